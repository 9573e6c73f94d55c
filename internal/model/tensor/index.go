package tensor

import (
	"bytes"
	"errors"
	"io"
	"strings"

	"github.com/apexlogic/apex/internal/bounded"
	"github.com/apexlogic/apex/internal/model/scan"
)

const (
	// maxIndex is the longest index that is read, and maxDearIndex the longest
	// that is fetched from another machine; one of 100,000 tensors has 10 MB.
	maxIndex, maxDearIndex = 64 << 20, 16 << 20
	// maxPadded is how far a longer file is searched for the key of an index.
	maxPadded = 512 << 20
)

var (
	ruleIndexPath = &scan.Rule{ID: "safetensors.index.path", Severity: scan.Harmful,
		Why:        "Loaders join the names of an index with the model's folder and load what they find: such a name leaves the folder.",
		Mend:       "Name the shards by plain file names beside the index.",
		References: []string{"CWE-22"}}
	ruleIndex = &scan.Rule{ID: "safetensors.index", Severity: scan.Doubtful,
		Why:  "An index that parsers read differently loads other shards than the ones that were reviewed.",
		Mend: "Have the author save the model again.", References: []string{"CWE-436"}}
	ruleIndexRead = &scan.Rule{ID: "safetensors.index.unreadable", Severity: scan.Unreadable,
		Why:  "An index that is not JSON, or too long, was not read to its end.",
		Mend: "Have the author save the model again."}
)

// SafetensorsIndex reads the JSON that says in which file each tensor of a
// model in several files stands. That of pickled models is the same.
func SafetensorsIndex() scan.Format {
	return scan.Format{Name: "safetensors-index", Claim: claimIndex, Scan: scanIndex,
		Rules: []*scan.Rule{ruleIndexPath, ruleIndex, ruleIndexRead}}
}

const weightMap = "weight_map"

func claimIndex(f *scan.File) bool {
	head, err := f.Head()
	if err != nil {
		return false
	}
	head = bytes.TrimLeft(head, "\xef\xbb\xbf \t\r\n")
	return len(head) > 0 && head[0] == '{' || len(head) == 0 && f.Size() <= maxIndex
}

func scanIndex(p *scan.Place, f *scan.File) error {
	s := report(p)
	most := int64(maxIndex)
	if f.IsDear() {
		most = maxDearIndex
	}
	if f.Size() > most {
		found, err := contains(p, f, weightMap)
		if err != nil {
			return err
		}
		if !found {
			return scan.ErrOther
		}
		s.say(ruleIndexRead, scan.Nowhere, "it has %d bytes, at most %d are read", f.Size(), most)
		return nil
	}
	release, err := p.Hold(f.Size())
	if err != nil {
		return err
	}
	defer release()
	b, err := f.Read(0, f.Size())
	if err != nil {
		return err
	}
	if err := p.Spend(scan.Cost(len(b)) * scan.CostRead); err != nil {
		return err
	}
	b = bytes.TrimPrefix(b, []byte("\xef\xbb\xbf"))
	if !bytes.Contains(b, []byte(weightMap)) && !bytes.Contains(b, []byte(`\u`)) {
		return scan.ErrOther
	}
	maps := 0
	w := &walker{b: b}
	whole := w.members(func(key []byte) bool {
		if string(key) != weightMap {
			return w.skip()
		}
		maps++
		start := w.i
		if !s.shards(w) {
			w.i = start
			s.say(ruleIndex, scan.Path(weightMap), "it does not map names of tensors to names of files")
			return w.skip()
		}
		return true
	})
	if maps == 0 {
		return scan.ErrOther
	}
	if err := p.Spend(scan.Cost(len(b)) * costHeader); err != nil {
		return err
	}
	if _, err := p.Hold(keyMemory * min(maxKeys, f.Size()/8)); err != nil {
		return err
	}
	const depth = 16 // metadata is free; writers nest it two or three levels
	err = bounded.Rules{Depth: depth, Keys: maxKeys, FreeMaps: []string{weightMap, "metadata"}}.Check(b)
	switch {
	case errors.Is(err, bounded.ErrDuplicateKey):
		s.say(ruleIndex, scan.Nowhere, "it has a %v", err)
	case err != nil:
		s.say(ruleIndexRead, scan.Nowhere, "it is not JSON: %v", err)
	case !whole:
		s.say(ruleIndexRead, scan.At(int64(w.i)), "it is not understood from here on")
	}
	return nil
}

// contains searches a file that is too long to be held; one on another machine
// at its beginning only.
func contains(p *scan.Place, f *scan.File, what string) (bool, error) {
	if f.IsDear() {
		head, err := f.Head()
		return bytes.Contains(head, []byte(what)), err
	}
	const block = 1 << 20
	overlap := int64(len(what) - 1)
	buf := make([]byte, block)
	for at := int64(0); at < min(f.Size(), maxPadded); at += block - overlap {
		if err := p.Spend(block * scan.CostRead / 2); err != nil {
			return false, err
		}
		n, err := f.ReadAt(buf, at)
		if err != nil && !errors.Is(err, io.EOF) {
			return false, err
		}
		if bytes.Contains(buf[:n], []byte(what)) {
			return true, nil
		}
	}
	return false, nil
}

// shards checks the names of the files. It is false where there is something
// else in the place of names.
func (r *reporter) shards(w *walker) bool {
	last := ""
	return w.members(func(key []byte) bool {
		if w.peek() != '"' {
			return false
		}
		name, ok := w.text()
		if !ok {
			return false
		}
		if string(name) == last { // most tensors share a file with the one before
			return true
		}
		last = string(name)
		if why := leaves(last); why != "" {
			r.say(ruleIndexPath, scan.Path(weightMap+"."+short(key)), "%q %s", short(name), why)
		}
		return true
	})
}

// leaves says why a name of a file is not one below the folder it is joined
// to, on any system; "" when it is.
func leaves(name string) string {
	switch {
	case strings.HasPrefix(name, "/"):
		return "is absolute"
	case strings.Contains(name, "://"):
		return "is an address on the network"
	case len(name) > 1 && name[1] == ':' && (name[0]|0x20 >= 'a' && name[0]|0x20 <= 'z'):
		return "names a drive"
	case strings.Contains(name, `\`):
		return "has a backslash"
	case strings.Contains(name, "\x00"):
		return "has a NUL"
	case strings.HasPrefix(name, "~"):
		return "begins in a home directory"
	}
	for part := range strings.SplitSeq(name, "/") {
		if part == ".." {
			return "goes up"
		}
	}
	return ""
}
