package graph

import (
	"errors"

	"github.com/apexlogic/apex/internal/model/scan"
)

// How a file is read. A walk goes forward and jumps over weights: after a jump
// little is read, and more with every step that follows.
const (
	wholeSize  = 1 << 20   // a file up to this long is read at once
	firstBlock = 4 << 10   // after a jump
	lastBlock  = 256 << 10 // while it goes on
	keptBlocks = 8

	// Of a file on another machine fewer and larger blocks are read; a file
	// may take 20 requests and 16 MiB in all, other formats' looks included.
	dearFirst    = 256 << 10
	dearLast     = 2 << 20
	dearRequests = 15
	dearBytes    = 14 << 20
)

// errDear says that the rest of a remote file is not worth its requests.
var errDear = errors.New("reading it all would take too many requests")

var ruleRemote = &scan.Rule{ID: "graph.remote", Severity: scan.Unreadable,
	Why:  "Operators and paths that stand between many weights are not read over a network, so nothing is known of them.",
	Mend: "Download the file and scan it."}

// source reads a file in blocks.
type source struct {
	p        *scan.Place
	file     *scan.File
	blocks   [keptBlocks]block
	last     int // block that was used last
	next     int // block that is replaced next
	step     int64
	forward  int64 // where the block that was read last ends
	requests int
	bytes    int64
	owed     scan.Cost
}

type block struct {
	at   int64
	data []byte
}

func (b *block) has(off, n int64) bool { return off >= b.at && off+n <= b.at+int64(len(b.data)) }

func newSource(p *scan.Place, file *scan.File) (*source, error) {
	s := &source{p: p, file: file}
	head, err := file.Head()
	if err != nil {
		return nil, err
	}
	s.blocks[0] = block{0, head}
	s.next, s.forward = 1, int64(len(head))
	return s, p.Spend(scan.Cost(len(head)) * scan.CostRead)
}

// spend takes from the budget, in steps that are worth the call.
func (s *source) spend(c scan.Cost) error {
	if s.owed += c; s.owed < 10_000 {
		return nil
	}
	owed := s.owed
	s.owed = 0
	return s.p.Spend(owed)
}

// peek returns n bytes from off; the caller bounds n, does not change the bytes
// and may keep them. Past the end of the file it is a broken file.
func (s *source) peek(off, n int64) ([]byte, error) {
	if b := &s.blocks[s.last]; b.has(off, n) {
		return b.data[off-b.at : off-b.at+n], nil
	}
	for i := range s.blocks {
		if b := &s.blocks[i]; b.has(off, n) {
			s.last = i
			return b.data[off-b.at : off-b.at+n], nil
		}
	}
	if off < 0 || n < 0 || off > s.file.Size() || n > s.file.Size()-off {
		return nil, &broken{off, "the file ends too early"}
	}
	size := max(s.blockSize(off), n)
	size = min(size, s.file.Size()-off)
	if s.file.IsDear() {
		if s.requests++; s.requests > dearRequests || s.bytes+size > dearBytes {
			return nil, errDear
		}
		s.bytes += size
	}
	if err := s.p.Spend(scan.Cost(size) * scan.CostRead); err != nil {
		return nil, err
	}
	data, err := s.file.Read(off, size)
	if err != nil {
		return nil, err
	}
	s.forward = off + size
	s.blocks[s.next] = block{off, data}
	s.last, s.next = s.next, (s.next+1)%keptBlocks
	return data[:n], nil
}

func (s *source) blockSize(off int64) int64 {
	first, last := int64(firstBlock), int64(lastBlock)
	if s.file.IsDear() {
		first, last = dearFirst, dearLast
	}
	switch {
	case s.file.Size() <= wholeSize:
		first = wholeSize
	case s.step > 0 && off >= s.forward-first && off <= s.forward:
		first = min(2*s.step, last)
	}
	s.step = first
	return first
}

// ended translates how a walk of the whole file ended: what is broken and what
// was too dear is a finding, everything else goes on as an error.
func (s *source) ended(err error, rule *scan.Rule) error {
	var b *broken
	switch {
	case errors.Is(err, errDear):
		s.p.Report(ruleRemote, scan.Nowhere, errDear.Error())
	case errors.As(err, &b):
		s.p.Report(rule, scan.At(b.at), b.what)
	default:
		return err
	}
	return nil
}
