package tensor

import (
	"encoding/binary"
	"errors"
	"hash/maphash"
	"math"
	"slices"
	"strings"

	"github.com/apexlogic/apex/internal/model/scan"
)

const (
	// longestKey is the longest key that the specification allows. Names of
	// tensors end at 64 in llama.cpp, and at 160 in forks for other models.
	longestKey = 1<<16 - 1
	// longestName is the longest name of a tensor that is taken for honest.
	longestName = 512
	// ggmlRank is how many dimensions a tensor of ggml can have.
	ggmlRank = 4
	// rankOfForks is how many some readers allow.
	rankOfForks = 8
	// nestedArrays is how deep arrays in arrays are followed; llama.cpp
	// refuses all, writers make none.
	nestedArrays = 4
	// structSize is about what a loader written in C reserves for each key,
	// tensor or string: a count whose product with it overflows is an attack.
	structSize = 256
	// ggufEntry is what a tensor or key takes here.
	ggufEntry = 128
	// defaultAlignment holds where general.alignment says nothing, and
	// maxAlignment is a page of the largest kind.
	defaultAlignment, maxAlignment = 32, 2 << 20
	// costString is a string of an array stepped over.
	costString scan.Cost = 15
	// longTemplate is where a string of an array is long enough to be looked
	// at: tokens are shorter.
	longTemplate = 256
)

var (
	ruleGGUFOverflow = &scan.Rule{ID: "gguf.overflow", Severity: scan.Harmful,
		Why:  "A number in the header overflows the arithmetic of loaders written in C: they reserve too little memory and write past it, which has been used to run code.",
		Mend: "Do not load the file.",
		References: []string{"CVE-2024-25664", "CVE-2024-25665", "CVE-2024-25666", "CVE-2024-25667", "CVE-2024-25668",
			"CVE-2025-53630", "CVE-2026-27940", "CVE-2026-33298", "CWE-190"}}
	ruleGGUFBounds = &scan.Rule{ID: "gguf.bounds", Severity: scan.Doubtful,
		Why:        "A count, a length or an offset reaches past the end of the file or into another tensor: loaders that trust it read foreign memory.",
		Mend:       "Download the file again; if it is the same, do not load it.",
		References: []string{"CVE-2024-25664", "CVE-2026-7482", "CWE-125"}}
	ruleGGUFRank = &scan.Rule{ID: "gguf.dimensions", Severity: scan.Harmful,
		Why:        "ggml keeps four dimensions per tensor; loaders that do not check write the others past the end of that array.",
		Mend:       "Do not load the file.",
		References: []string{"CWE-787"}}
	ruleGGUFType = &scan.Rule{ID: "gguf.type", Severity: scan.Doubtful,
		Why:        "Loaders look up the size of a type in a table; a number that no writer uses reads outside of it.",
		Mend:       "Do not load the file.",
		References: []string{"CWE-129"}}
	ruleGGUFUnknownType = &scan.Rule{ID: "gguf.type.unknown", Severity: scan.Unreadable,
		Why:  "The length of a tensor whose type is not known cannot be checked.",
		Mend: "Use a released type of ggml, or a newer version of Apex."}
	ruleGGUFFork = &scan.Rule{ID: "gguf.type.fork", Severity: scan.Note,
		Why: "Only a fork of ggml knows this type; its length was not checked."}
	ruleGGUFAlignment = &scan.Rule{ID: "gguf.alignment", Severity: scan.Doubtful,
		Why:        "An alignment that is not a power of two, or is huge, breaks the arithmetic that places tensors.",
		Mend:       "Have the author write the file again.",
		References: []string{"CWE-369", "CWE-190"}}
	ruleGGUFDuplicate = &scan.Rule{ID: "gguf.duplicate-key", Severity: scan.Doubtful,
		Why:        "Of two equal names one loader takes the first and another the last: what is reviewed is not what is loaded.",
		Mend:       "Have the author write the file again.",
		References: []string{"CWE-436"}}
	ruleGGUFHeader = &scan.Rule{ID: "gguf.header", Severity: scan.Doubtful,
		Why:  "No writer produces such a header; loaders that do not check it misread all that follows.",
		Mend: "Download the file again; if it is the same, do not load it."}
	ruleGGUFVersion = &scan.Rule{ID: "gguf.version", Severity: scan.Unreadable,
		Why:  "Only versions 1 to 3 of the format are known.",
		Mend: "Convert the model to version 3, or use a newer version of Apex."}
	ruleGGUFCode = &scan.Rule{ID: "gguf.metadata.code", Severity: scan.Doubtful,
		Why:        "Metadata describes a model. A program in it waits for something that runs it.",
		Mend:       "Remove the key, or do not use the file.",
		References: []string{"CWE-506"}}
	ruleGGUFTrailing = &scan.Rule{ID: "gguf.trailing", Severity: scan.Doubtful,
		Why:  "Bytes behind the last tensor belong to no tensor: the file can be another one at the same time.",
		Mend: "Have the author write the file again."}
	ruleGGUFVocabulary = &scan.Rule{ID: "gguf.vocabulary", Severity: scan.Doubtful,
		Why:        "llama.cpp reads a score and a type for each token by the token's number, past the end of an array that has fewer.",
		Mend:       "Do not load the file; have the author write it again.",
		References: []string{"CWE-125"}}
	ruleGGUFGap = &scan.Rule{ID: "gguf.gap", Severity: scan.Note,
		Why: "Bytes between tensors belong to none."}
)

// GGUF reads the files of llama.cpp, versions 1 to 3, of either byte order.
func GGUF() scan.Format {
	return scan.Format{Name: "gguf", Claim: func(f *scan.File) bool { return f.HasPrefix("GGUF") }, Scan: scanGGUF,
		Rules: []*scan.Rule{ruleGGUFOverflow, ruleGGUFBounds, ruleGGUFRank, ruleGGUFType, ruleGGUFUnknownType, ruleGGUFFork,
			ruleGGUFAlignment, ruleGGUFDuplicate, ruleGGUFHeader, ruleGGUFVersion, ruleGGUFCode, ruleGGUFTrailing, ruleGGUFVocabulary, ruleGGUFGap}}
}

// gguf is one scan.
type gguf struct {
	*reporter
	*cursor
	version   uint32
	alignment int64
	seed      maphash.Seed
	tensors   []ggufTensor
	wanted    []scan.Tensor
	unsized   bool // a tensor has a type of unknown size
	tokens    int64
	perToken  [len(keysPerToken)]perToken
}

type ggufTensor struct {
	offset int64 // from where tensors begin
	size   int64
}

func scanGGUF(p *scan.Place, f *scan.File) error {
	g := &gguf{reporter: report(p), cursor: newCursor(p, f), alignment: defaultAlignment, seed: maphash.MakeSeed()}
	err := g.read()
	switch {
	case errors.Is(err, errTold):
		return nil
	case errors.Is(err, errShort):
		g.say(ruleGGUFBounds, scan.At(g.pos), "the file ends within its header")
		return nil
	}
	return err
}

// stop reports why the rest of the header cannot be read.
func (g *gguf) stop(rule *scan.Rule, where scan.Where, detail string, args ...any) error {
	g.say(rule, where, detail, args...)
	return errTold
}

func (g *gguf) read() error {
	b, err := g.take(8)
	if err != nil {
		return err
	}
	g.version = binary.LittleEndian.Uint32(b[4:])
	if g.version&0xffff == 0 { // as llama.cpp tells the byte order
		g.order, g.version = binary.BigEndian, binary.BigEndian.Uint32(b[4:])
	}
	if g.version < 1 || g.version > 3 {
		if isText(b[4:]) {
			return scan.ErrOther // a text about the format
		}
		return g.stop(ruleGGUFVersion, scan.At(4), "it is of version %d", g.version)
	}
	tensors, err := g.count(24, "tensors")
	if err != nil {
		return err
	}
	keys, err := g.count(13, "keys")
	if err != nil {
		return err
	}
	if err := g.metadata(keys); err != nil {
		return err
	}
	g.vocabulary()
	entry := int64(ggufEntry)
	if g.WantsTensors() {
		entry *= 2
	}
	if _, err := g.Hold(tensors * entry); err != nil {
		return err
	}
	g.tensors = make([]ggufTensor, 0, tensors)
	names := make(map[uint64]struct{}, tensors)
	for range tensors {
		if err := g.tensor(names); err != nil {
			return err
		}
	}
	return g.layout()
}

// count reads a number of the version's width and says how many entries of at
// least least bytes follow. Nothing is reserved by it before it fits the file.
func (g *gguf) count(least int64, of string) (int64, error) {
	at := scan.At(g.pos)
	n, err := g.wide()
	if err != nil {
		return 0, err
	}
	if n > math.MaxInt64/structSize {
		return 0, g.stop(ruleGGUFOverflow, at, "it is said to have %d %s", n, of)
	}
	if g.version == 1 {
		least = least/2 + 1 // lengths and dimensions have half the width
	}
	if int64(n) > g.left()/least {
		return 0, g.stop(ruleGGUFBounds, at, "it is said to have %d %s, which do not fit into the %d bytes that follow", n, of, g.left())
	}
	return int64(n), nil
}

// wide reads a number that version 1 has in 32 bits.
func (g *gguf) wide() (uint64, error) {
	if g.version == 1 {
		n, err := g.u32()
		return uint64(n), err
	}
	return g.u64()
}

// text reads a string of at most longest bytes; longer ones are stepped over,
// and nil.
func (g *gguf) text(longest int64) (text []byte, length int64, err error) {
	at := scan.At(g.pos)
	n, err := g.wide()
	if err != nil {
		return nil, 0, err
	}
	switch {
	case n > math.MaxInt64:
		return nil, 0, g.stop(ruleGGUFOverflow, at, "a string is said to be %d bytes long", n)
	case int64(n) > g.left():
		return nil, 0, g.stop(ruleGGUFBounds, at, "a string is said to be %d bytes long, %d follow", n, g.left())
	case int64(n) > longest:
		return nil, int64(n), g.skip(int64(n))
	}
	text, err = g.take(int64(n))
	return text, int64(n), err
}

// tensor reads the entry of one tensor.
func (g *gguf) tensor(names map[uint64]struct{}) error {
	at := g.pos
	name, length, err := g.text(longestName)
	if err != nil {
		return err
	}
	if length > longestName {
		return g.stop(ruleGGUFHeader, scan.At(at), "the name of a tensor is %d bytes long", length)
	}
	where := scan.Op(at, short(name))
	hash, full := maphash.Bytes(g.seed, name), ""
	if g.WantsTensors() {
		full = string(name)
	}
	if _, had := names[hash]; had {
		g.say(ruleGGUFDuplicate, where, "two tensors have this name")
	}
	names[hash] = struct{}{}
	rank, err := g.u32()
	if err != nil {
		return err
	}
	if rank > ggmlRank {
		g.say(ruleGGUFRank, where, "it has %d dimensions", rank)
		if rank > rankOfForks {
			return errTold
		}
	}
	shape := make([]int64, rank, rankOfForks)
	for i := range shape {
		n, err := g.wide()
		if err != nil {
			return err
		}
		if n > math.MaxInt64 {
			return g.stop(ruleGGUFOverflow, where, "dimension %d is %d", i, n)
		}
		shape[len(shape)-1-i] = int64(n) // the file has the innermost first
	}
	if err := g.Spend(200); err != nil {
		return err
	}
	kind, err := g.u32()
	if err != nil {
		return err
	}
	offset, err := g.u64()
	if err != nil {
		return err
	}
	return g.place(where, full, kind, shape, offset)
}

// place checks how long a tensor is, and keeps where it stands.
func (g *gguf) place(where scan.Where, name string, kind uint32, shape []int64, offset uint64) error {
	t, known := typeOf(kind)
	if offset > math.MaxInt64 {
		return g.stop(ruleGGUFOverflow, where, "it begins at %d", offset)
	}
	size := int64(-1)
	switch {
	case known:
		// ggml multiplies by the bytes of a block before it divides by its
		// elements, so that product must not overflow either.
		total, ok := product(shape, t.bytes)
		if !ok || total > math.MaxInt64-maxAlignment {
			return g.stop(ruleGGUFOverflow, where, "the size of %s %v overflows", t.name, shape)
		}
		if len(shape) > 0 && shape[len(shape)-1]%t.block != 0 {
			g.say(ruleGGUFBounds, where, "its rows of %d are not whole blocks of %s, which have %d", shape[len(shape)-1], t.name, t.block)
		}
		size = total / t.block
		if size > math.MaxInt64-int64(offset)-maxAlignment {
			return g.stop(ruleGGUFOverflow, where, "it begins at %d and has %d bytes: the end overflows", offset, size)
		}
	case ofForks(kind):
		g.say(ruleGGUFFork, where, "its type has the number %d", kind)
	case kind >= maxGGMLType || kind < uint32(len(ggmlTypes)):
		g.say(ruleGGUFType, where, "its type has the number %d", kind)
	default:
		g.say(ruleGGUFUnknownType, where, "its type has the number %d", kind)
	}
	if !known {
		if _, ok := product(shape, 1); !ok {
			return g.stop(ruleGGUFOverflow, where, "the number of elements of %v overflows", shape)
		}
		g.unsized = true
	}
	g.tensors = append(g.tensors, ggufTensor{int64(offset), size})
	if g.WantsTensors() {
		g.wanted = append(g.wanted, scan.Tensor{Name: name, DType: t.name, Shape: shape, Offset: int64(offset), Size: max(size, 0)})
	}
	return nil
}

// layout checks that the tensors stand in the file, one after the other.
func (g *gguf) layout() error {
	begin := align(g.pos, g.alignment)
	if err := g.Spend(scan.Cost(len(g.tensors)) * 100); err != nil {
		return err
	}
	for _, t := range g.wanted {
		t.Offset += begin
		g.Tensor(t)
	}
	extents := make([]extent, len(g.tensors))
	for i, t := range g.tensors {
		if t.offset%g.alignment != 0 {
			g.say(ruleGGUFBounds, scan.At(begin), "tensor %d begins at %d, which is not aligned to %d", i, t.offset, g.alignment)
		}
		extents[i] = extent{t.offset, t.offset + max(t.size, 0), i}
	}
	slices.SortFunc(extents, byPlace)
	data := max(g.size-begin, 0)
	end := int64(0)
	for _, e := range extents {
		switch {
		case e.begin < end && e.end > e.begin:
			g.say(ruleGGUFBounds, scan.At(begin+e.begin), "tensor %d begins at %d, before the one before it ends, at %d", e.index, e.begin, end)
		case e.begin > align(end, g.alignment) && e.begin <= data && !g.unsized:
			gap := align(end, g.alignment)
			g.say(ruleGGUFGap, scan.At(begin+gap), "no tensor accounts for the bytes %d to %d", gap, e.begin)
			if g.reported[ruleGGUFGap] < mostReports {
				g.Inside("", begin+gap, g.file.Section(begin+gap, e.begin-gap))
			}
		}
		if e.begin > data || e.end > data {
			g.say(ruleGGUFBounds, scan.At(g.size), "tensor %d is said to stand at %d to %d, the data ends at %d: it is cut off, or the offsets are wrong", e.index, e.begin, e.end, data)
		}
		end = max(end, e.end)
	}
	if g.unsized {
		return nil
	}
	return g.trailing(begin + align(end, g.alignment))
}

// trailing looks at what follows the tensors. Zeros up to the next page are
// padding that some writers add.
func (g *gguf) trailing(at int64) error {
	if at >= g.size {
		return nil
	}
	const page = 64 << 10
	n := g.size - at
	if n <= page {
		rest, err := g.file.Read(at, n)
		if err != nil {
			return err
		}
		if strings.Trim(string(rest), "\x00") == "" {
			return nil
		}
	}
	g.say(ruleGGUFTrailing, scan.At(at), "%d bytes follow the last tensor", n)
	g.Inside("", at, g.file.Section(at, n))
	return nil
}

// align rounds up; the numbers are small enough by then.
func align(n, to int64) int64 { return (n + to - 1) / to * to }
