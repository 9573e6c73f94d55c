package tensor

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"math/bits"
	"slices"
	"unicode/utf8"

	"github.com/apexlogic/apex/internal/bounded"
	"github.com/apexlogic/apex/internal/model/scan"
)

const (
	// maxHeader is the longest header that the reference implementation reads.
	maxHeader = 100_000_000
	// maxDearHeader is the longest one that is fetched from another machine; a
	// header of 16 MiB describes some 150,000 tensors.
	maxDearHeader = 16 << 20
	// maxKeys is how many keys a header may have; the file with most tensors
	// in use, experts and their scales in one piece, has some 200,000.
	maxKeys = 1 << 19
	// maxRank is how many dimensions a shape may have. Frameworks stop at 64.
	maxRank = 64
	// costHeader is a byte of header checked and taken apart.
	costHeader scan.Cost = 6
	// keyMemory is what checking for equal keys takes for each.
	keyMemory = 64
)

var (
	ruleSTLength = &scan.Rule{ID: "safetensors.header.length", Severity: scan.Doubtful,
		Why:        "A header that is longer than its file, or than the format allows, makes loaders reserve the memory that it names or read past their buffer.",
		Mend:       "Download the file again; if it is the same, do not use it.",
		References: []string{"CWE-789"}}
	ruleSTHeader = &scan.Rule{ID: "safetensors.header", Severity: scan.Doubtful,
		Why:  "Writers of safetensors never produce such a header: strict loaders refuse it and lenient ones read something else, so what is loaded is not what was reviewed.",
		Mend: "Have the author save the model again with the safetensors library.", References: []string{"CWE-436"}}
	ruleSTDuplicate = &scan.Rule{ID: "safetensors.duplicate-key", Severity: scan.Doubtful,
		Why:  "Of two equal keys one loader takes the first and another the last: a reviewer and the server see different tensors.",
		Mend: "Have the author save the model again with the safetensors library.", References: []string{"CWE-436"}}
	ruleSTOffsets = &scan.Rule{ID: "safetensors.offsets", Severity: scan.Doubtful,
		Why:        "Tensors that overlap, leave gaps, or lie outside of the file make careless loaders read foreign memory, and hide bytes from careful ones.",
		Mend:       "Download the file again; if it is the same, have the author save it with the safetensors library.",
		References: []string{"CWE-125"}}
	ruleSTTrailing = &scan.Rule{ID: "safetensors.trailing", Severity: scan.Doubtful,
		Why:  "Bytes behind the last tensor belong to no tensor: the file can be another one at the same time.",
		Mend: "Have the author save the model again; cut nothing off by hand."}
	ruleSTDType = &scan.Rule{ID: "safetensors.dtype", Severity: scan.Unreadable,
		Why:  "The length of a tensor whose type is not known cannot be checked.",
		Mend: "Use a type of the safetensors format, or a newer version of Apex."}
	ruleSTMetadata = &scan.Rule{ID: "safetensors.metadata", Severity: scan.Doubtful,
		Why:  "Metadata maps strings to strings; the reference loader refuses anything else, and others take it for objects of their own.",
		Mend: "Have the author save the model again with the safetensors library."}
	ruleSTCode = &scan.Rule{ID: "safetensors.metadata.code", Severity: scan.Doubtful,
		Why:        "Metadata describes a model. A program in it waits for something that runs it, and makes the file a carrier that others trust.",
		Mend:       "Remove the metadata and save the model again, or do not use it.",
		References: []string{"CWE-506"}}
	ruleSTTensorCode = &scan.Rule{ID: "safetensors.tensor.code", Severity: scan.Doubtful,
		Why:        "A tensor of bytes that is a program or an archive is not weights, and makes the file a carrier that others trust.",
		Mend:       "Save the weights alone.",
		References: []string{"CWE-506"}}
	ruleSTTensorPickle = &scan.Rule{ID: "safetensors.tensor.pickle", Severity: scan.Note,
		Why:        "Loaders of safetensors take a tensor of bytes for numbers; libraries that keep extra state so unpickle it (TransformerEngine). What is in the pickle decides.",
		Mend:       "Save the weights alone.",
		References: []string{"CWE-502"}}
	ruleSTField = &scan.Rule{ID: "safetensors.field", Severity: scan.Note,
		Why: "Loaders ignore fields that the format does not have."}
)

// Safetensors reads a safetensors file.
func Safetensors() scan.Format {
	return scan.Format{Name: "safetensors", Claim: claimSafetensors, Scan: scanSafetensors, Rules: []*scan.Rule{
		ruleSTLength, ruleSTHeader, ruleSTDuplicate, ruleSTOffsets, ruleSTTrailing, ruleSTDType,
		ruleSTMetadata, ruleSTCode, ruleSTTensorCode, ruleSTTensorPickle, ruleSTField}}
}

// claimSafetensors wants a length whose upper half is zero, as no text has it,
// and a brace. Where the length itself is the attack, or something stands
// before the brace, a key of the format must be in sight too.
func claimSafetensors(f *scan.File) bool {
	head, err := f.Head()
	if err != nil || len(head) < 10 {
		return false
	}
	n := binary.LittleEndian.Uint64(head)
	if n >= 2 && n <= maxHeader && int64(n) <= f.Size()-8 && head[8] == '{' {
		return true
	}
	if n < 2 {
		return false
	}
	start := bytes.TrimLeft(head[8:], "\xef\xbb\xbf \t\r\n\x00")
	if len(start) == 0 || start[0] != '{' {
		return false
	}
	if bytes.Contains(start, []byte(`"data_offsets"`)) {
		return true
	}
	// A length that no file has, with JSON right behind it: there is no other
	// format of that shape, and loaders read the length first.
	if next := bytes.TrimLeft(start[1:], " \t\r\n"); n > uint64(f.Size()) && head[8] == '{' &&
		(!isText(head[:8]) || !utf8.Valid(head[:8])) && len(next) > 0 && (next[0] == '"' || next[0] == '}') {
		return true
	}
	// Eight letters may stand before any JSON.
	return !isText(head[:8]) && (bytes.Contains(start, []byte(`"dtype"`)) || bytes.Contains(start, []byte(`"__metadata__"`)))
}

// safetensors is one scan.
type safetensors struct {
	*reporter
	file    *scan.File
	header  []byte
	data    int64 // where the tensors begin
	extents []extent
	broken  bool               // extents do not account for all tensors
	bytes   []int64            // where tensors of bytes begin
	room    [2 + maxRank]int64 // for the offsets and the shape of the tensor that is read
}

func scanSafetensors(p *scan.Place, f *scan.File) error {
	s := &safetensors{reporter: report(p), file: f}
	head, err := f.Read(0, 8)
	if err != nil {
		return err
	}
	n := binary.LittleEndian.Uint64(head)
	switch {
	case n > maxHeader:
		s.say(ruleSTLength, scan.At(0), "the header is said to be %d bytes long, the format allows %d", n, maxHeader)
		return nil
	case int64(n) > f.Size()-8:
		s.say(ruleSTLength, scan.At(0), "the header is said to be %d bytes long, the file has %d after the length", n, f.Size()-8)
		return nil
	case f.IsDear() && n > maxDearHeader:
		return fmt.Errorf("%w: a header of %d bytes is not fetched from another machine", scan.ErrBudget, n)
	}
	if err := p.Spend(scan.Cost(n) * costHeader); err != nil {
		return err
	}
	// The header is wrapped in an object, so that its own keys, which are names
	// of tensors, are those of a free map.
	const before, after = `{"header":`, `}`
	release, err := p.Hold(int64(n) + keyMemory*min(maxKeys, int64(n)/8))
	if err != nil {
		return err
	}
	defer release()
	wrapped := make([]byte, len(before)+int(n)+len(after))
	copy(wrapped, before)
	copy(wrapped[len(wrapped)-len(after):], after)
	s.header = wrapped[len(before) : len(before)+int(n)]
	if read, err := f.ReadAt(s.header, 8); read < len(s.header) {
		return err
	}
	s.data = 8 + int64(n)
	if !s.check(wrapped) {
		return nil
	}
	release()
	if _, err := p.Hold(int64(n)); err != nil {
		return err
	}
	return s.read()
}

// check reports a header that is not the one JSON object that it must be.
func (s *safetensors) check(wrapped []byte) bool {
	if s.header[0] != '{' {
		s.say(ruleSTHeader, scan.At(8), "the header begins with %q, not with a brace", s.header[0])
		return false
	}
	const depth = 8 // real headers have 3 levels; what is nested in metadata is reported there
	err := bounded.Rules{Depth: 1 + depth, Keys: maxKeys, Values: 8 * maxKeys, FreeMaps: []string{"header", "__metadata__"}}.Check(wrapped)
	switch {
	case err == nil:
		at := halfSurrogate(s.header)
		if at < 0 {
			return true
		}
		s.say(ruleSTHeader, scan.At(8+int64(at)), "a text has half of a surrogate pair, which the reference loader refuses and Python's json reads")
		return false
	case errors.Is(err, bounded.ErrDuplicateKey):
		s.say(ruleSTDuplicate, scan.At(8), "the header has a %v", err)
	default:
		s.say(ruleSTHeader, scan.At(8), "the header is not one JSON object: %v", err)
	}
	return false
}

func (s *safetensors) read() error {
	w := &walker{b: s.header}
	var failed error
	held := int64(0)
	whole := w.members(func(key []byte) bool {
		if string(key) == "__metadata__" {
			failed = s.metadata(w)
			return failed == nil
		}
		if len(s.extents) == cap(s.extents) {
			// 24 bytes each, while a slice of them grows to twice its size.
			if _, failed = s.Hold(72*(int64(cap(s.extents))+64) - held); failed != nil {
				return false
			}
			held = 72 * (int64(cap(s.extents)) + 64)
			s.extents = slices.Grow(s.extents, len(s.extents)+64)
		}
		return s.tensor(w, key)
	})
	if failed != nil {
		return failed
	}
	if !whole || w.peek() != 0 {
		s.say(ruleSTHeader, scan.At(8+int64(w.i)), "the header is not understood from here on")
		return nil
	}
	return s.layout()
}

// tensor reads the entry of one tensor. It is false where the entry is not
// made as entries are, so that the rest cannot be trusted either.
func (s *safetensors) tensor(w *walker, name []byte) bool {
	// Almost no tensor is reported, so its place is not made before.
	at := func() scan.Where { return scan.Path(short(name)) }
	var (
		dtype, seen []byte
		shape       []int64
		offsets     []int64
		good        = true
	)
	list := func(into []int64) []int64 {
		if !w.elements(func() bool {
			n, ok := w.number()
			if ok && len(into) <= maxRank {
				into = append(into, n)
			}
			return ok
		}) {
			return nil
		}
		return into
	}
	ok := w.members(func(key []byte) bool {
		switch string(key) {
		case "dtype":
			dtype, good = w.text()
			seen = append(seen, 'd')
		case "shape":
			shape = list(s.room[2:2])
			good = shape != nil
			seen = append(seen, 's')
		case "data_offsets":
			offsets = list(s.room[0:0:2])
			good = len(offsets) == 2
			seen = append(seen, 'o')
		default:
			s.say(ruleSTField, at(), "it has a field %q", short(key))
			good = w.skip()
		}
		return good
	})
	switch {
	case !ok:
		s.say(ruleSTHeader, at(), "its entry is not a dtype, a shape and two offsets that are whole numbers")
		return false
	case len(seen) != 3:
		s.say(ruleSTHeader, at(), "its entry must have a dtype, a shape and data_offsets, each once")
		s.broken = true
		return true
	case len(shape) > maxRank:
		s.say(ruleSTHeader, at(), "its shape has more than %d dimensions", maxRank)
		s.broken = true
		return true
	}
	s.place(name, string(dtype), shape, offsets[0], offsets[1])
	return true
}

// place checks where a tensor is said to stand, and how long it is.
func (s *safetensors) place(name []byte, dtype string, shape []int64, begin, end int64) {
	at := func() scan.Where { return scan.Path(short(name)) }
	if begin > end {
		s.say(ruleSTOffsets, at(), "it begins at %d and ends before, at %d", begin, end)
		s.broken = true
		return
	}
	if size, known := DTypeSize(dtype); !known {
		if looksNumeric(dtype) {
			s.say(ruleSTDType, at(), "its type %q is not known", short(dtype))
		} else {
			s.say(ruleSTHeader, at(), "its type %q is not one of numbers", short(dtype))
		}
	} else if total, ok := product(shape, int64(size)); !ok {
		s.say(ruleSTOffsets, at(), "the product of its shape %v overflows", shape)
	} else if total%8 != 0 || total/8 != end-begin {
		s.say(ruleSTOffsets, at(), "%s of shape %v is %d bits, the offsets hold %d bytes", dtype, shape, total, end-begin)
	}
	if (dtype == "U8" || dtype == "I8") && len(shape) == 1 && end-begin >= shortestCode {
		s.bytes = append(s.bytes, begin)
	}
	s.extents = append(s.extents, extent{begin, end, len(s.extents)})
	if s.WantsTensors() {
		s.Tensor(scan.Tensor{Name: string(name), DType: dtype, Shape: slices.Clone(shape), Offset: s.data + begin, Size: end - begin})
	}
}

// product multiplies a shape with the size of an element. ok is false when it
// does not fit into 63 bits; the order does not matter, except that a zero
// does not excuse the others.
func product(shape []int64, size int64) (total int64, ok bool) {
	ok, zero := true, false
	n := uint64(size)
	for _, d := range shape {
		if d == 0 {
			zero = true
			continue
		}
		hi, lo := bits.Mul64(n, uint64(d))
		if hi != 0 || lo > 1<<63-1 {
			return 0, false
		}
		n = lo
	}
	if zero {
		return 0, ok
	}
	return int64(n), ok
}

// layout checks that the tensors fill the file, one after the other.
func (s *safetensors) layout() error {
	if err := s.Spend(scan.Cost(len(s.extents)) * 100); err != nil {
		return err
	}
	slices.SortFunc(s.extents, byPlace)
	size := s.file.Size() - s.data
	end := int64(0)
	for _, e := range s.extents {
		switch {
		case e.begin < end:
			s.say(ruleSTOffsets, scan.At(s.data+e.begin), "tensor %d (of the header) begins at %d, before the one before it ends, at %d", e.index, e.begin, end)
		case e.begin > end && !s.broken && end <= size:
			s.say(ruleSTOffsets, scan.At(s.data+end), "no tensor accounts for the bytes %d to %d", end, e.begin)
			if s.reported[ruleSTOffsets] < mostReports {
				s.Inside("", s.data+end, s.file.Section(s.data+end, e.begin-end))
			}
		}
		end = max(end, e.end)
	}
	switch {
	case end > size:
		s.say(ruleSTOffsets, scan.At(s.file.Size()), "the tensors end at %d, the data at %d: it is cut off, or the offsets are wrong", end, size)
	case end < size && !s.broken:
		s.say(ruleSTTrailing, scan.At(s.data+end), "%d bytes follow the last tensor", size-end)
		s.Inside("", s.data+end, s.file.Section(s.data+end, size-end))
	}
	return s.heads()
}

// heads looks at the first bytes of tensors of bytes: libraries keep pickled
// state there, whose content decides. It is not worth requests to another
// machine.
func (s *safetensors) heads() error {
	if s.file.IsDear() {
		return nil
	}
	slices.Sort(s.bytes)
	for _, begin := range s.bytes {
		at := s.data + begin
		if s.file.Size()-at < shortestCode {
			break
		}
		if err := s.Spend(1000); err != nil {
			return err
		}
		i, _ := slices.BinarySearchFunc(s.extents, extent{begin: begin, end: begin + 1}, byPlace)
		if i == len(s.extents) {
			continue
		}
		n := min(s.extents[i].end-begin, s.file.Size()-at)
		head, err := s.file.Read(at, min(n, 512))
		if err != nil {
			return err
		}
		switch what := program(head); {
		case len(head) >= shortestCode && isPickle(head):
			s.say(ruleSTTensorPickle, scan.At(at), "a tensor of bytes begins as a pickle does")
		case what != "":
			s.say(ruleSTTensorCode, scan.At(at), "a tensor of bytes begins as %s does", what)
		default:
			continue
		}
		if err := s.Spend(costInside); err != nil {
			return err
		}
		s.Inside("", at, s.file.Section(at, n))
	}
	return nil
}
