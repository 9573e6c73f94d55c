package scan

import (
	"errors"
	"time"
)

// Cost is CPU time as the scanners estimate it, in nanoseconds of the machine
// that they were measured on. It is counted, so it is the same everywhere.
type Cost int64

// String writes the cost as a duration.
func (c Cost) String() string { return time.Duration(c).String() }

// What common work costs. A scanner that does other work defines its own,
// measured, beside it.
const (
	CostMember  Cost = 2_000 // looking at one member of an archive
	CostInside  Cost = 5_000 // asking every format about a file inside
	CostRead    Cost = 1     // one byte read and looked at
	CostInflate Cost = 4     // one byte inflated by deflate, zstd or lz4
	CostSlow    Cost = 30    // one byte unpacked by bzip2, xz or LZMA
)

// ErrBudget is wrapped by every error about a limit on work or memory.
var ErrBudget = errors.New("over the budget")

// Limits bound the examination of one outermost file.
type Limits struct {
	Work     Cost  // in all
	Memory   int64 // bytes held at once, beside what is fixed per scan
	Depth    int   // files in files
	Findings int   // kept; the most severe ones
	Tensors  int   // collected
}

// DefaultLimits keep one file under 5 s of CPU time and 256 MiB of memory.
var DefaultLimits = Limits{Work: Cost(4 * time.Second), Memory: 128 << 20, Depth: 8, Findings: 1000, Tensors: 1 << 20}
