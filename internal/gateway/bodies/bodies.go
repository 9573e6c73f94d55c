// Package bodies bounds the memory that messages in flight hold, in the whole
// process and for each caller.
//
// Start with [Budget], of which a process has one, and [Hold], which is what one
// exchange has of it. Memory is taken as bytes arrive, never because a header
// announces them, and is given back when the exchange is over.
//
// A caller has a quarter at most, so that one who sends much leaves room for the
// others. Callers are counted in two tables of fixed size, each hashed with a seed
// of its own, and the lower of the two counts is believed (a count-min sketch,
// Cormode and Muthukrishnan 2005): nobody is ever counted too low, and a neighbour
// counts for another only where both hashes meet, one pair in a million.
package bodies

import (
	"context"
	"errors"
	"hash/maphash"
	"io"
	"sync"
	"sync/atomic"
	"time"
)

const (
	// columns of each of the two tables: 16 KB for both.
	columns = 1 << 10
	// parts is how many callers it takes to fill the budget.
	parts = 4
	// patience is how long a message waits for the room of another: as long as a
	// body of a few megabytes takes to be judged and sent, a few times. What half
	// arrived holds memory itself, so nobody waits for long.
	patience = time.Second
)

// What a message is refused for.
var (
	ErrFull  = errors.New("the memory for messages is used up")
	ErrShare = errors.New("the caller's messages hold as much memory as one caller may")
	ErrLarge = errors.New("the message alone needs more memory than one caller may have")
)

// Budget is the memory for messages. It is safe for concurrent use; nil bounds
// nothing.
type Budget struct {
	most, share int64
	taken       atomic.Int64
	callers     [2][columns]atomic.Int64
	seeds       [2]maphash.Seed

	waiting atomic.Int64 // who waits for changed
	mu      sync.Mutex
	changed chan struct{} // closed when something was given back
}

// New returns a budget of so many bytes.
func New(bytes int64) *Budget {
	b := &Budget{most: bytes, share: max(1, bytes/parts), changed: make(chan struct{})}
	b.seeds[0], b.seeds[1] = maphash.MakeSeed(), maphash.MakeSeed()
	return b
}

// Share is how much one caller may hold.
func (b *Budget) Share() int64 { return b.share }

// Taken is how much is held now.
func (b *Budget) Taken() int64 { return b.taken.Load() }

// Hold is what one message has of a budget. It is safe for concurrent use once it
// was begun; the zero value is bounded by nothing.
type Hold struct {
	budget *Budget
	caller [2]*atomic.Int64
	bytes  atomic.Int64
}

// Begin has the hold take from a budget, for a caller. What it held before is
// given back.
func (h *Hold) Begin(b *Budget, caller string) {
	h.End()
	if h.budget = b; b == nil {
		return
	}
	for i := range h.caller {
		h.caller[i] = &b.callers[i][maphash.String(b.seeds[i], caller)%columns]
	}
}

// Take takes memory for so many bytes more, and waits a moment where there is
// none. The errors are ErrFull, ErrShare, ErrLarge and that of the context.
func (h *Hold) Take(ctx context.Context, n int64) error {
	err := h.Try(n)
	if err != ErrFull && err != ErrShare {
		return err
	}
	b := h.budget
	b.waiting.Add(1)
	defer b.waiting.Add(-1)
	end := time.NewTimer(patience)
	defer end.Stop()
	for {
		b.mu.Lock()
		changed := b.changed
		b.mu.Unlock()
		if err = h.Try(n); err != ErrFull && err != ErrShare {
			return err
		}
		select {
		case <-changed:
		case <-end.C:
			return err
		case <-ctx.Done():
			return ctx.Err()
		}
	}
}

// Try is Take without waiting.
func (h *Hold) Try(n int64) error {
	b := h.budget
	if b == nil || n <= 0 {
		return nil
	}
	if h.bytes.Load()+n > b.share {
		return ErrLarge
	}
	// Looked at before it is counted: what is refused anyhow would count against
	// others of the caller for a moment, who have room.
	switch {
	case min(h.caller[0].Load(), h.caller[1].Load())+n > b.share:
		return ErrShare
	case b.taken.Load()+n > b.most:
		return ErrFull
	}
	if one, other := h.caller[0].Add(n), h.caller[1].Add(n); min(one, other) > b.share {
		h.uncount(n)
		b.tell()
		return ErrShare
	}
	for {
		taken := b.taken.Load()
		if taken+n > b.most {
			h.uncount(n)
			b.tell()
			return ErrFull
		}
		if b.taken.CompareAndSwap(taken, taken+n) {
			h.bytes.Add(n)
			return nil
		}
	}
}

func (h *Hold) uncount(n int64) {
	h.caller[0].Add(-n)
	h.caller[1].Add(-n)
}

// Give gives back so many bytes of those that were taken.
func (h *Hold) Give(n int64) {
	b := h.budget
	if b == nil || n <= 0 {
		return
	}
	h.bytes.Add(-n)
	h.uncount(n)
	b.taken.Add(-n)
	b.tell()
}

// tell has those who wait look again.
func (b *Budget) tell() {
	if b.waiting.Load() == 0 {
		return
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	close(b.changed)
	b.changed = make(chan struct{})
}

// End gives back all. A hold that has ended takes nothing until it is begun again.
func (h *Hold) End() {
	h.Give(h.bytes.Load())
	h.budget = nil
}

const (
	// First is how much is taken before anything has arrived.
	First = 64 << 10
	// Growth is how many times as much is taken once all that was taken has arrived:
	// 8 MiB, then the rest. Smaller steps would be copied, and be garbage, while
	// many bodies come at once.
	Growth = 128
)

// Reader returns what reads from another reader, and takes memory for what comes
// before it does. Its errors are also those of Take.
func (h *Hold) Reader(ctx context.Context, r io.Reader) io.Reader {
	return &reader{hold: h, ctx: ctx, from: r}
}

type reader struct {
	hold  *Hold
	ctx   context.Context
	from  io.Reader
	taken int64
	read  int64
}

// Read reads no more than memory was taken for.
func (r *reader) Read(p []byte) (int, error) {
	if r.read == r.taken {
		n := max(First, r.taken/4) // who reads to the end of this has little more than came
		if err := r.hold.Take(r.ctx, n); err != nil {
			return 0, err
		}
		r.taken += n
	}
	n, err := r.from.Read(p[:min(int64(len(p)), r.taken-r.read)])
	r.read += int64(n)
	return n, err
}
