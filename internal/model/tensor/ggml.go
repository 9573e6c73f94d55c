package tensor

import (
	"errors"
	"slices"

	"github.com/apexlogic/apex/internal/model/scan"
)

var (
	ruleGGMLOutdated = &scan.Rule{ID: "ggml.outdated", Severity: scan.Unreadable,
		Why:        "The formats before GGUF have no lengths that could be checked, and their loaders trust all numbers in them; nobody mends those any more.",
		Mend:       "Convert the model to GGUF from its original weights.",
		References: []string{"CVE-2024-21802", "CVE-2024-23605"}}
	ruleGGMLBounds = &scan.Rule{ID: "ggml.bounds", Severity: scan.Doubtful,
		Why:        "A count or a length reaches past the end of the file, or overflows: loaders that trust it write past their memory.",
		Mend:       "Download the file again; if it is the same, do not load it.",
		References: []string{"CWE-787", "CWE-125"}}
)

// GGML reads what ggml wrote before GGUF. Of these whisper.cpp still uses one,
// which is read to its end; the others are reported as outdated.
func GGML() scan.Format {
	return scan.Format{Name: "ggml", Claim: claimGGML, Scan: scanGGML, Rules: []*scan.Rule{ruleGGMLOutdated, ruleGGMLBounds}}
}

// claimGGML wants a mark and, because that is four letters, a number after it.
func claimGGML(f *scan.File) bool {
	head, err := f.Head()
	if err != nil || len(head) < 8 || !slices.Contains(head[4:8], 0) {
		return false
	}
	switch string(head[:4]) {
	case "lmgg", "fmgg", "tjgg", "algg", "ggml", "ggmf", "ggjt", "ggla":
		return true
	}
	return false
}

func scanGGML(p *scan.Place, f *scan.File) error {
	w := &whisper{report(p), newCursor(p, f)}
	err := w.read()
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
	var parameters [11]uint32
	known := string(mark) == "lmgg"
	for i := range parameters {
		if parameters[i], err = w.u32(); err != nil {
			known = false
		}
	}
	tokens, mels := parameters[0], parameters[9]
	if !known || tokens < 51_800 || tokens > 52_000 || mels != 80 && mels != 128 {
		return w.stop(ruleGGMLOutdated, "it has the mark of a format before GGUF")
	}
	w.As("ggml-whisper")
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
	for range tokens {
		n, err := w.u32()
		if err != nil {
			return err
		}
		if err := w.Spend(costString); err != nil {
			return err
		}
		if err := w.skip(int64(n)); err != nil {
			return err
		}
	}
	for w.left() > 0 {
		if err := w.tensor(); err != nil {
			return err
		}
	}
	return nil
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
	total, ok := product(shape, t.bytes)
	if !ok || total/t.block > w.left() {
		return w.stop(ruleGGMLBounds, "a tensor of %s %v does not fit into the %d bytes that follow", t.name, shape, w.left())
	}
	if w.WantsTensors() {
		w.Tensor(scan.Tensor{Name: name, DType: t.name, Shape: shape, Offset: w.pos, Size: total / t.block})
	}
	return w.skip(total / t.block)
}
