// Package pickle judges Python pickles, and what else Python makes objects or
// code from: joblib files, PyTorch's legacy checkpoints, compiled modules.
//
// [Formats] returns the formats for a scan; [ListVersion] names the lists by
// which imports are judged. A machine (machine.go) runs the opcodes as
// CPython's unpicklers do, without importing or calling anything, and judges
// every import, call and change of state at the moment at which the unpickler
// would make it, so that neither a popped result nor a broken tail hides it.
// What is imported is compared with an allow-list of exact names (lists/);
// the deny-list only gives names to what is known.
//
// Sources: CPython's Lib/pickle.py and Modules/_pickle.c, PEP 307, PEP 574;
// joblib/numpy_pickle.py; torch/serialization.py.
package pickle

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"slices"

	"github.com/apexlogic/apex/internal/model/scan"
)

// Formats returns the formats of this package, for [scan.NewFormats].
func Formats() []scan.Format {
	return []scan.Format{
		{Name: "pickle", Claim: claim, Scan: scanPickle, Rules: allRules()},
		{Name: "joblib-z", Claim: claimZfile, Scan: scanZfile, Rules: []*scan.Rule{ruleCarrier, ruleBroken}},
		{Name: "python-bytecode", Claim: claimCode, Scan: scanCode, Rules: []*scan.Rule{ruleBytecode, ruleMarshal}},
	}
}

// claim takes every file that begins with an opcode: protocols 0 and 1 have no
// header. Running it tells.
func claim(f *scan.File) bool {
	head, err := f.Head()
	return err == nil && len(head) >= 2 && opNames[head[0]] != ""
}

// maxStreams bounds the pickles in one file.
const maxStreams = 1 << 20

// costStream is what beginning one takes.
const costStream scan.Cost = 500

// scanPickle runs all pickles in a file.
func scanPickle(p *scan.Place, f *scan.File) error {
	in := newInput(p, f)
	sure := false
	var old records
	m := newMachine(p, in)
	for n := 0; ; n++ {
		start := in.at()
		m.restart()
		end := m.run()
		certain := m.certainty(end, n)
		sure = sure || certain == yes
		if n == 0 && m.safetensors(end) {
			return scan.ErrOther
		}
		switch {
		case certain == no && sure:
			return residue(p, f, start)
		case certain == no:
			return scan.ErrOther
		}
		if m.joblib.arrays > 0 {
			p.As("joblib")
		}
		m.flush()
		if end.err != nil {
			return end.err
		}
		if err := p.Spend(costStream); err != nil {
			return err
		}
		if !end.stopped {
			p.Report(ruleBroken, scan.Op(m.opAt, opNames[m.op]), end.why)
		}
		if m.joblib.arrays > 0 {
			if err := readPlainly(p, in, start); err != nil {
				return err
			}
		}
		if !end.stopped {
			return nil
		}
		if n == 0 && m.isMagic(end.value) {
			p.As("torch-legacy")
			return legacy(p, m)
		}
		for _, t := range m.tensors(end.value) {
			p.Tensor(t.inZip())
		}
		if n == 0 {
			old.begin(end)
		} else if numbers, err := old.numbers(m, end); err != nil {
			return err
		} else if numbers > 0 {
			p.As("torch-legacy")
			if err := readNumbers(p, in, end.at); err != nil {
				return err
			}
			end.at += numbers
		}
		switch filler, err := uniform(p, f, end.at); {
		case err != nil || end.at == f.Size():
			return err
		case filler && !sure && m.ops < shortest:
			return scan.ErrOther
		case filler:
			p.Report(rulePadding, scan.At(end.at), fmt.Sprintf("%d bytes", f.Size()-end.at))
			return nil
		case n >= maxStreams:
			return fmt.Errorf("%w: more than %d pickles in one file", scan.ErrBudget, maxStreams)
		}
		in.seek(end.at)
	}
}

// certainty says how sure it is that a stream was a pickle.
type certainty uint8

const (
	no    certainty = iota
	maybe           // when all others up to the file's end are
	yes
)

// shortest is how many opcodes a pickle with padding has at least: raw numbers
// reach STOP in fewer.
const shortest = 3

// certainty judges a stream; n counts those before it in the file. Text and raw
// numbers begin like a pickle now and then, but they call nothing that they
// have imported.
func (m *machine) certainty(end ending, n int) certainty {
	const moreThanImport = 3 // opcodes: lists of words begin with "cos", "sin", too
	if m.foreign && !m.denying && !m.calls() {
		return no
	}
	if m.acted > 0 || m.denying && m.ops >= moreThanImport || errors.Is(end.err, errLongLine) {
		return yes
	}
	head, err := m.in.file.Read(m.start, min(2, m.in.file.Size()-m.start))
	header := err == nil && len(head) == 2 && head[0] == opProto && head[1] <= highestProtocol
	outermost := header && n == 0 && m.place.Depth() == 0
	switch {
	case outermost, header && m.valid > 0, end.stopped && m.valid+m.bare > 0:
		return yes
	case errors.Is(end.err, scan.ErrBudget):
		if header || m.ops > opsBlock {
			return yes
		}
		return no
	case end.err != nil:
		return yes
	case end.stopped && (header || end.sane):
		return maybe
	}
	return no
}

// calls says whether the stream calls an importable function that no list has.
func (m *machine) calls() bool {
	return m.acted > 0 && slices.ContainsFunc(m.found, func(f finding) bool { return f.rule == ruleCall })
}

// safetensors says whether a stream was the length that a safetensors file
// begins with: one below 4 GiB, of which some bytes can be opcodes, before a
// header in JSON. No unpickler gets further than to the zeros either.
func (m *machine) safetensors(end ending) bool {
	head, err := m.in.file.Head()
	return err == nil && len(head) > 8 && head[8] == '{' && binary.LittleEndian.Uint32(head[4:]) == 0 &&
		end.err == nil && !end.stopped && m.opAt < 8 && m.acted == 0
}

// readPlainly reads a stream with arrays of joblib again as pickle.load does,
// which takes them for opcodes, and reports what runs code then.
func readPlainly(p *scan.Place, in *input, start int64) error {
	after := in.at()
	in.seek(start)
	m := newMachine(p, in)
	m.joblib.off = true
	end := m.run()
	m.found = slices.DeleteFunc(m.found, func(f finding) bool { return f.rule.Severity < scan.Harmful })
	m.flush()
	in.seek(after)
	return end.err
}

// Limits of the search for padding. What pickle.load leaves unread, it leaves
// unread at any length.
const (
	paddingBlock  = 1 << 20
	paddingSearch = 64 << 20
)

// uniform says whether nothing comes from an offset on but one byte over and
// over, or white space.
func uniform(p *scan.Place, f *scan.File, off int64) (bool, error) {
	if off >= f.Size() {
		return false, nil
	}
	first, err := f.Read(off, 1)
	if err != nil {
		return false, err
	}
	cut := string(first)
	if bytes.Contains([]byte(" \t\r\n"), first) {
		cut = " \t\r\n"
	}
	end := min(f.Size(), off+paddingSearch)
	if f.IsDear() {
		end = min(f.Size(), off+64<<10)
	}
	for size := int64(64); off < end; size = min(16*size, paddingBlock) {
		n := min(size, end-off)
		if err := p.Spend(scan.Cost(n)); err != nil {
			return false, err
		}
		b, err := f.Read(off, n)
		if err != nil {
			return false, err
		}
		if len(bytes.TrimLeft(b, cut)) > 0 {
			return false, nil
		}
		off += n
	}
	tail, err := f.Tail()
	if err != nil {
		return false, err
	}
	tail = tail[max(0, int64(len(tail))-(f.Size()-off)):]
	return len(bytes.TrimLeft(tail, cut)) == 0, nil
}

// residue judges what comes after the last pickle and is none.
func residue(p *scan.Place, f *scan.File, off int64) error {
	length := f.Size() - off
	if p.Inside("", off, f.Section(off, length)) {
		p.Report(ruleAppended, scan.At(off), fmt.Sprintf("%d bytes", length))
		return nil
	}
	p.Report(ruleResidue, scan.At(off), fmt.Sprintf("%d bytes", length))
	return nil
}
