package tensor

import (
	"math"
	"slices"
	"strings"

	"github.com/apexlogic/apex/internal/model/scan"
)

// The types of values of GGUF.
const (
	ggufU32    = 4
	ggufString = 8
	ggufArray  = 9
	ggufTypes  = 13
)

// ggufSizes are the bytes of a value of each type; 0 for those of no fixed size.
var ggufSizes = [ggufTypes]int64{1, 1, 2, 2, 4, 4, 4, 1, 0, 0, 8, 8, 8}

const (
	keyAlignment = "general.alignment"
	keyTemplate  = "tokenizer.chat_template"
	keyTokens    = "tokenizer.ggml.tokens"
)

// keysPerToken are arrays that llama.cpp reads as numbers of four bytes, one
// for each token, whatever their length and type are (llama-vocab.cpp, load).
var keysPerToken = [...]string{"tokenizer.ggml.scores", "tokenizer.ggml.token_type"}

// perToken is what was found of such an array.
type perToken struct {
	found bool
	at    int64
	bytes int64
}

// vocabulary compares the arrays of a vocabulary.
func (g *gguf) vocabulary() {
	const each = 4
	for i, key := range keysPerToken {
		if array := g.perToken[i]; array.found && array.bytes/each < g.tokens {
			g.say(ruleGGUFVocabulary, scan.Op(array.at, key), "it has room for %d numbers, there are %d tokens", array.bytes/each, g.tokens)
		}
	}
}

// metadata reads so many keys and their values.
func (g *gguf) metadata(keys int64) error {
	// A model has some fifty keys. More than this many cannot be held, and
	// make llama.cpp, which looks for each by comparing all, take hours.
	const most = 1 << 18
	if keys > most {
		return g.stop(ruleGGUFBounds, scan.At(g.pos), "it has %d keys", keys)
	}
	seen := make(map[string]struct{})
	for range keys {
		at := g.pos
		text, length, err := g.text(longestKey)
		if err != nil {
			return err
		}
		if length > longestKey {
			return g.stop(ruleGGUFHeader, scan.At(at), "a key is %d bytes long", length)
		}
		if _, err := g.Hold(length + ggufEntry); err != nil {
			return err
		}
		if err := g.Spend(500); err != nil {
			return err
		}
		key := string(text)
		if _, had := seen[key]; had {
			g.say(ruleGGUFDuplicate, scan.Op(at, short(key)), "the key is there twice")
		}
		seen[key] = struct{}{}
		kind, err := g.u32()
		if err != nil {
			return err
		}
		if err := g.value(key, kind); err != nil {
			return err
		}
	}
	return nil
}

func (g *gguf) value(key string, kind uint32) error {
	at := g.pos
	if key == keyAlignment {
		if kind != ggufU32 {
			return g.stop(ruleGGUFAlignment, scan.Op(at, key), "it is of type %d, not a 32-bit number", kind)
		}
		n, err := g.u32()
		if err != nil {
			return err
		}
		if n == 0 || n&(n-1) != 0 || n > maxAlignment {
			return g.stop(ruleGGUFAlignment, scan.Op(at, key), "it is %d", n)
		}
		g.alignment = int64(n)
		return nil
	}
	switch {
	case kind == ggufString:
		text, length, err := g.text(longestText)
		if err != nil {
			return err
		}
		if length > longestText {
			g.say(ruleGGUFHeader, scan.Op(at, short(key)), "a string of %d bytes is no metadata", length)
			return nil
		}
		return g.string(key, text)
	case kind == ggufArray:
		return g.array(key, 1)
	case kind < ggufTypes:
		return g.skip(ggufSizes[kind])
	}
	return g.stop(ruleGGUFHeader, scan.Op(at, short(key)), "its value is of type %d, the format has %d", kind, ggufTypes)
}

// string looks at the value of a key.
func (g *gguf) string(key string, text []byte) error {
	if property := ggufProperty(key); property != "" && len(text) <= 1000 {
		g.Property(property, string(text))
	}
	return g.handOn(key, text)
}

// handOn gives a text to whoever reads templates or programs. The text is part
// of the cursor's buffer, so it is copied.
func (g *gguf) handOn(key string, text []byte) error {
	if len(text) < shortestCode && !isTemplate(text) && !strings.HasPrefix(key, keyTemplate) {
		return nil
	}
	release, err := g.Hold(int64(len(text)))
	if err != nil {
		return err
	}
	defer release()
	text = append([]byte(nil), text...)
	if strings.HasPrefix(key, keyTemplate) {
		if err := g.Spend(scan.Cost(len(text)) * scan.CostRead); err != nil {
			return err
		}
		return g.inside(short(key), text)
	}
	return g.carried(ruleGGUFCode, short(key), text)
}

// array steps over an array. Only strings are looked at: those of templates,
// and long ones.
func (g *gguf) array(key string, depth int) error {
	at := g.pos
	kind, err := g.u32()
	if err != nil {
		return err
	}
	n, err := g.wide()
	if err != nil {
		return err
	}
	where := scan.Op(at, short(key))
	if kind >= ggufTypes {
		return g.stop(ruleGGUFHeader, where, "its elements are of type %d, the format has %d", kind, ggufTypes)
	}
	// The least that an element takes: of a string its length, of an array its
	// type and its length.
	least := ggufSizes[kind]
	switch {
	case kind == ggufString && g.version == 1:
		least = 4
	case kind == ggufString || kind == ggufArray && g.version == 1:
		least = 8
	case kind == ggufArray:
		least = 12
	}
	reserved := least
	if kind == ggufString || kind == ggufArray {
		reserved = structSize
	}
	switch {
	case n > uint64(math.MaxInt64/reserved):
		return g.stop(ruleGGUFOverflow, where, "its length of %d overflows", n)
	case int64(n) > g.left()/least:
		return g.stop(ruleGGUFBounds, where, "its %d elements do not fit into the %d bytes that follow", n, g.left())
	}
	if i := slices.Index(keysPerToken[:], key); i >= 0 && depth == 1 {
		g.perToken[i] = perToken{true, at, int64(n) * ggufSizes[kind]}
	}
	if key == keyTokens && depth == 1 {
		g.tokens = int64(n)
	}
	switch kind {
	case ggufString:
		return g.strings(key, int64(n))
	case ggufArray:
		if depth >= nestedArrays {
			return g.stop(ruleGGUFHeader, where, "arrays are nested deeper than %d levels", nestedArrays)
		}
		for range n {
			if err := g.Spend(50); err != nil {
				return err
			}
			if err := g.array(key, depth+1); err != nil {
				return err
			}
		}
		return nil
	}
	return g.numbers(key, kind, int64(n))
}

// numbers steps over an array of numbers; what is kept in bytes may be a file.
func (g *gguf) numbers(key string, kind uint32, n int64) error {
	at, size := g.pos, n*ggufSizes[kind]
	if kind <= 1 && n >= shortestCode {
		head, err := g.take(min(n, 512))
		if err != nil {
			return err
		}
		if what := program(head); what != "" {
			g.say(ruleGGUFCode, scan.Op(at, short(key)), "the bytes are %s", what)
			if err := g.Spend(costInside); err != nil {
				return err
			}
			g.Inside(short(key), -1, g.file.Section(at, n))
		}
		size -= int64(len(head))
	}
	return g.skip(size)
}

// strings steps over an array of strings. A list of tokens has hundreds of
// thousands, so the work per string is the reading of its length.
func (g *gguf) strings(key string, n int64) error {
	if err := g.Spend(scan.Cost(n) * costString); err != nil {
		return err
	}
	all := strings.HasPrefix(key, keyTemplate)
	property := ggufProperty(key)
	for range n {
		text, length, err := g.text(longestText)
		if err != nil {
			return err
		}
		if length > longestText {
			g.say(ruleGGUFHeader, scan.Op(g.pos-length, short(key)), "a string of %d bytes is no metadata", length)
			continue
		}
		if property != "" && length <= 1000 {
			g.Property(property, string(text))
		}
		if all || length >= longTemplate {
			if err := g.handOn(key, text); err != nil {
				return err
			}
		}
	}
	return nil
}

// ggufProperty names what a key speaks of; "" for most.
func ggufProperty(key string) string {
	switch key {
	case "general.architecture":
		return "architecture"
	case "general.license", "general.license.name":
		return "license"
	case "general.name":
		return "name"
	case "general.datasets":
		return "dataset"
	}
	if strings.HasPrefix(key, "general.base_model.") && (strings.HasSuffix(key, ".name") || strings.HasSuffix(key, ".repo_url")) {
		return "base_model"
	}
	if strings.HasPrefix(key, "general.dataset.") && strings.HasSuffix(key, ".name") {
		return "dataset"
	}
	return ""
}
