package admission

import (
	"context"
	"errors"
	"sync"
)

// errFull says that too many wait already: whoever comes now is sent away at
// once, because an answer after the caller's deadline helps nobody.
var errFull = errors.New("too many reviews wait")

// gate lets a bounded weight in at a time, in the order of arrival, and lets a
// bounded number wait.
type gate struct {
	mu    sync.Mutex
	free  int64
	queue []*waiter
	most  int
}

type waiter struct {
	weight int64
	in     chan struct{} // closed when it is let in
}

func newGate(weight int64, queue int) *gate { return &gate{free: weight, most: queue} }

// enter takes weight, at once or when its turn comes. The error is errFull, or
// the context's.
func (g *gate) enter(ctx context.Context, weight int64) error {
	g.mu.Lock()
	if len(g.queue) == 0 && weight <= g.free {
		g.free -= weight
		g.mu.Unlock()
		return nil
	}
	if len(g.queue) >= g.most {
		g.mu.Unlock()
		return errFull
	}
	w := &waiter{weight, make(chan struct{})}
	g.queue = append(g.queue, w)
	g.mu.Unlock()

	select {
	case <-w.in:
		return nil
	case <-ctx.Done():
	}
	g.mu.Lock()
	defer g.mu.Unlock()
	for i, other := range g.queue {
		if other == w {
			g.queue = append(g.queue[:i], g.queue[i+1:]...)
			g.admit() // it may have stood before lighter ones
			return ctx.Err()
		}
	}
	g.free += weight // it was let in at the same moment
	g.admit()
	return ctx.Err()
}

// leave gives weight back.
func (g *gate) leave(weight int64) {
	g.mu.Lock()
	g.free += weight
	g.admit()
	g.mu.Unlock()
}

// admit lets in whom there is room for. The caller holds the lock.
func (g *gate) admit() {
	for len(g.queue) > 0 && g.queue[0].weight <= g.free {
		w := g.queue[0]
		g.queue[0] = nil
		g.queue = g.queue[1:]
		g.free -= w.weight
		close(w.in)
	}
}
