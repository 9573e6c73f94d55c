package tensor

import (
	"errors"
	"unicode/utf8"

	"github.com/apexlogic/apex/internal/model/scan"
)

var (
	ruleGGMLOutdated = &scan.Rule{ID: "ggml.outdated", Severity: scan.Note,
		Why:        "The formats before GGUF have few lengths that could be checked, and their loaders trust all numbers in them; nobody mends those any more.",
		Mend:       "Convert the model to GGUF from its original weights.",
		References: []string{"CVE-2024-21802", "CVE-2024-23605"}}
	ruleGGMLBounds = &scan.Rule{ID: "ggml.bounds", Severity: scan.Doubtful,
		Why:        "A count or a length reaches past the end of the file, or overflows: loaders that trust it write past their memory.",
		Mend:       "Download the file again; if it is the same, do not load it.",
		References: []string{"CWE-787", "CWE-125"}}
)

// GGML reads what ggml wrote before GGUF. Of these whisper.cpp still uses one,
// which is read to its end. Of those of llama.cpp and its kin the parameters,
// the words and the first tensors are read: how long a quantised tensor is
// depends on the version of a library that nobody has any more. What has the
// mark and no parameters that a model could have is none of this format.
func GGML() scan.Format {
	return scan.Format{Name: "ggml", Claim: claimGGML, Scan: scanGGML, Rules: []*scan.Rule{ruleGGMLOutdated, ruleGGMLBounds}}
}

// claimGGML wants a mark and, because that is four letters, a number after it.
func claimGGML(f *scan.File) bool {
	head, err := f.Head()
	if err != nil || len(head) < 8 || isText(head[4:8]) && utf8.Valid(head[4:8]) {
		return false
	}
	switch string(head[:4]) {
	case "lmgg", "fmgg", "tjgg", "algg", "ggml", "ggmf", "ggjt", "ggla":
		return true
	}
	return false
}

func scanGGML(p *scan.Place, f *scan.File) error {
	w := &whisper{reporter: report(p), cursor: newCursor(p, f)}
	err := w.read()
	if errors.Is(err, errTold) || err == nil {
		w.As(w.name)
	}
	switch {
	case errors.Is(err, errTold):
		return nil
	case errors.Is(err, errShort):
		w.say(ruleGGMLBounds, scan.At(w.pos), "the file ends too early")
		return nil
	}
	return err
}

// whisper reads a model of whisper.cpp: eleven parameters, filters, tokens,
// and tensors to the end of the file (whisper.cpp, whisper_model_load).
type whisper struct {
	*reporter
	*cursor
	name    string
	aligned bool // tensors begin at multiples of 32
}

func (w *whisper) stop(rule *scan.Rule, detail string, args ...any) error {
	w.say(rule, scan.At(w.pos), detail, args...)
	return errTold
}

func (w *whisper) read() error {
	mark, err := w.take(4)
	if err != nil {
		return err
	}
	if string(mark) != "lmgg" {
		return w.llama(string(mark))
	}
	var parameters [11]uint32
	known := true
	for i := range parameters {
		if parameters[i], err = w.u32(); err != nil {
			known = false
		}
	}
	tokens, mels := parameters[0], parameters[9]
	if !known || tokens < 51_800 || tokens > 52_000 || mels != 80 && mels != 128 {
		w.pos = int64(len(mark))
		return w.llama(string(mark))
	}
	w.name = "ggml-whisper"
	w.As(w.name)
	filters, err := w.u32()
	if err != nil {
		return err
	}
	bins, err := w.u32()
	if err != nil {
		return err
	}
	total, ok := product([]int64{int64(filters), int64(bins)}, 4)
	if !ok {
		return errShort
	}
	if err := w.skip(total); err != nil {
		return err
	}
	if tokens, err = w.u32(); err != nil {
		return err
	}
	if err := w.words(tokens, 0); err != nil {
		return err
	}
	for w.left() > 0 {
		if err := w.tensor(); err != nil {
			return err
		}
	}
	return nil
}

// words passes over the vocabulary: texts, each with what follows it.
func (w *whisper) words(count uint32, follows int64) error {
	for range count {
		n, err := w.u32()
		if err != nil {
			return err
		}
		if err := w.Spend(costString); err != nil {
			return err
		}
		if err := w.skip(int64(n) + follows); err != nil {
			return err
		}
	}
	return nil
}

// llama reads what llama.cpp and the examples of ggml wrote in 2022 and 2023
// (llama.cpp b1046, llama_file_loader; ggml/examples/gpt-j).
func (w *whisper) llama(mark string) error {
	const (
		largest  = 1 << 20 // parameter of a model
		versions = 3
	)
	version := uint32(0)
	if mark != "lmgg" && mark != "ggml" {
		var err error
		if version, err = w.u32(); err != nil || version == 0 || version > versions {
			return scan.ErrOther
		}
	}
	if mark == "algg" || mark == "ggla" {
		return w.adapter()
	}
	var parameters [7]uint32 // words, then width, heads, layers, … in an order of their own
	for i := range parameters {
		n, err := w.u32()
		if err != nil || i > 0 && (n > largest || n == 0 && i < 5) {
			return scan.ErrOther
		}
		parameters[i] = n
	}
	words, follows := parameters[0], int64(0)
	if words == 0 {
		return scan.ErrOther
	}
	w.name = "ggml"
	if words > largest {
		return w.stop(ruleGGMLBounds, "it is said to know %d words", words)
	}
	if version > 0 {
		follows = 4 // a score
	}
	if again, err := w.peek(); err == nil && again == words { // gpt-2, gpt-j: the number stands twice
		if err := w.skip(4); err != nil {
			return err
		}
	}
	if err := w.words(words, follows); err != nil {
		return err
	}
	return w.first(mark == "tjgg" || mark == "ggjt")
}

// adapter reads a LoRA: a rank, a scale, tensors.
func (w *whisper) adapter() error {
	for range 2 {
		if n, err := w.u32(); err != nil || n == 0 || n > 1<<16 {
			return scan.ErrOther
		}
	}
	w.name = "ggml"
	return w.first(true)
}

// first reads tensors up to one that is quantised.
func (w *whisper) first(aligned bool) error {
	w.say(ruleGGMLOutdated, scan.At(0), "it is of a format before GGUF")
	for w.left() > 0 {
		at := w.pos
		for range 2 {
			if _, err := w.u32(); err != nil {
				return err
			}
		}
		kind, err := w.peek()
		if err != nil {
			return err
		}
		w.pos = at
		if kind > 1 { // neither F32 nor F16
			return nil
		}
		w.aligned = aligned
		if err := w.tensor(); err != nil {
			return err
		}
	}
	return nil
}

// peek returns the next number and stays where it is.
func (w *whisper) peek() (uint32, error) {
	at := w.pos
	n, err := w.u32()
	w.pos = at
	return n, err
}

func (w *whisper) tensor() error {
	if err := w.Spend(200); err != nil {
		return err
	}
	var head [3]uint32 // dimensions, length of the name, type
	for i := range head {
		n, err := w.u32()
		if err != nil {
			return err
		}
		head[i] = n
	}
	t, ok := typeOf(head[2])
	if head[0] > ggmlRank || head[1] > longestName || !ok {
		return w.stop(ruleGGMLBounds, "a tensor has %d dimensions, a name of %d bytes, and %s", head[0], head[1], t.name)
	}
	shape := make([]int64, head[0])
	for i := range shape {
		n, err := w.u32()
		if err != nil {
			return err
		}
		shape[len(shape)-1-i] = int64(n)
	}
	b, err := w.take(int64(head[1]))
	if err != nil {
		return err
	}
	name := ""
	if w.WantsTensors() {
		name = string(b)
	}
	if w.aligned {
		if err := w.skip(-w.pos & 31); err != nil {
			return err
		}
	}
	total, ok := product(shape, t.bytes)
	if !ok || total/t.block > w.left() {
		return w.stop(ruleGGMLBounds, "a tensor of %s %v does not fit into the %d bytes that follow", t.name, shape, w.left())
	}
	if w.WantsTensors() {
		w.Tensor(scan.Tensor{Name: name, DType: t.name, Shape: shape, Offset: w.pos, Size: total / t.block})
	}
	return w.skip(total / t.block)
}
