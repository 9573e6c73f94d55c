package ledger

import (
	"fmt"
	"sync"
)

// maxProblems bounds what a report lists; a directory with more is not worth
// the reading.
const maxProblems = 1000

// Problem is one thing that is wrong.
type Problem struct {
	File   string `json:"file"`   // relative to the ledger's directory; "." for the whole
	Offset int64  `json:"offset"` // where in the file; 0 also for the whole file
	Text   string `json:"text"`
}

// String returns "file:offset: text".
func (p Problem) String() string { return fmt.Sprintf("%s:%d: %s", p.File, p.Offset, p.Text) }

// Report is what [Fsck] found.
type Report struct {
	Schema   string `json:"schema"` // "apex.ledger.check/v1"
	Origin   string `json:"origin"`
	Complete bool   `json:"complete"` // everything was looked at, in time
	Files    int    `json:"files"`
	Bytes    int64  `json:"bytes"`
	Segments uint64 `json:"segments"`
	Sealed   uint64 `json:"sealed"`
	LogSize  uint64 `json:"log_size"` // of the signed checkpoint
	Records  uint64 `json:"records"`
	Erased   uint64 `json:"erased"`
	Torn     int64  `json:"torn"` // bytes of an unacknowledged end; the next opening cuts them off
	// Leftovers counts files that a crash left half written under a name that
	// nobody reads; the next opening removes them.
	Leftovers int       `json:"leftovers"`
	Problems  []Problem `json:"problems"`
	// Omitted counts the problems beyond those listed.
	Omitted int `json:"omitted,omitempty"`
}

// ReportSchema is the value of [Report.Schema].
const ReportSchema = "apex.ledger.check/v1"

// OK says that everything was looked at and nothing is wrong.
func (r *Report) OK() bool { return r.Complete && len(r.Problems) == 0 }

// sink collects a report while it may at any moment be handed out as it is.
type sink struct {
	mu sync.Mutex
	r  Report
}

func (s *sink) problem(file string, offset int64, format string, args ...any) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if len(s.r.Problems) >= maxProblems {
		s.r.Omitted++
		return
	}
	s.r.Problems = append(s.r.Problems, Problem{file, offset, fmt.Sprintf(format, args...)})
}

func (s *sink) update(f func(*Report)) {
	s.mu.Lock()
	defer s.mu.Unlock()
	f(&s.r)
}

func (s *sink) report() Report {
	s.mu.Lock()
	defer s.mu.Unlock()
	r := s.r
	r.Problems = append([]Problem{}, s.r.Problems...)
	return r
}
