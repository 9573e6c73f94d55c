package oci

import (
	"context"
	"runtime/debug"
	"sync"

	"github.com/apexlogic/apex/verdict"
)

// group makes concurrent equal calls one call. Nothing is kept once the work is
// done. The zero value is ready.
//
// Who asks first does the work, on its own goroutine and with its own context:
// in most cases nobody else asks meanwhile, and a new goroutine costs more than
// all that a flight is. If it leaves early, the others ask anew, once for all of
// them: that flight lasts for as long as anybody waits for it.
type group[T any] struct {
	mu      sync.Mutex
	flights map[string]*flight[T]
}

type flight[T any] struct {
	done    chan struct{} // closed when value, err and left are set
	value   T
	err     error
	left    bool // the work ended early because who did it left
	waiters int
	// cancel ends the work when nobody waits any more; nil: it ends with the
	// context of who asked first.
	cancel context.CancelFunc
}

// do returns what work returns for key. work gets the context values of
// whoever began it.
func (g *group[T]) do(ctx context.Context, key string, work func(context.Context) (T, error)) (T, error) {
	value, left, err := g.join(ctx, key, work, false)
	if left && ctx.Err() == nil {
		value, _, err = g.join(ctx, key, work, true)
	}
	return value, err
}

// join waits for the flight with the key, or begins it. lasting says that it
// must not be one that ends when somebody else leaves.
func (g *group[T]) join(ctx context.Context, key string, work func(context.Context) (T, error), lasting bool) (value T, left bool, err error) {
	if err := ctx.Err(); err != nil {
		return value, false, err
	}
	g.mu.Lock()
	f := g.flights[key]
	switch {
	case f != nil && (f.cancel != nil || !lasting):
		f.waiters++
	case lasting:
		own, cancel := context.WithCancel(context.WithoutCancel(ctx))
		f = g.begin(key, cancel)
		go g.run(own, key, f, work)
	default:
		f = g.begin(key, nil)
		g.mu.Unlock()
		g.run(ctx, key, f, work)
		return f.value, false, f.err
	}
	g.mu.Unlock()

	select {
	case <-f.done:
		return f.value, f.left, f.err
	case <-ctx.Done():
	}
	g.mu.Lock()
	if f.waiters--; f.waiters == 0 {
		f.cancel()
		g.forget(key, f) // whoever comes now starts anew
	}
	g.mu.Unlock()
	return value, false, context.Cause(ctx)
}

// begin adds a flight for its first waiter. The caller holds the lock.
func (g *group[T]) begin(key string, cancel context.CancelFunc) *flight[T] {
	if g.flights == nil {
		g.flights = map[string]*flight[T]{}
	}
	f := &flight[T]{done: make(chan struct{}), waiters: 1, cancel: cancel}
	g.flights[key] = f
	return f
}

func (g *group[T]) run(ctx context.Context, key string, f *flight[T], work func(context.Context) (T, error)) {
	defer func() {
		if p := recover(); p != nil {
			f.err = faultf(verdict.Internal, "panic in a registry call: %v\n%s", p, debug.Stack())
		}
		if f.cancel != nil {
			f.cancel()
		} else {
			f.left = f.err != nil && ctx.Err() != nil
		}
		g.mu.Lock()
		g.forget(key, f)
		g.mu.Unlock()
		close(f.done)
	}()
	f.value, f.err = work(ctx)
}

// forget removes f, unless a newer flight has its key. The caller holds the lock.
func (g *group[T]) forget(key string, f *flight[T]) {
	if g.flights[key] == f {
		delete(g.flights, key)
	}
}
