package oci

import (
	"context"
	"runtime/debug"
	"sync"

	"github.com/apexlogic/apex/verdict"
)

// group makes concurrent equal calls one call. The work runs for as long as
// anybody waits for it: one waiter's cancellation leaves the others alone, the
// last one's ends the work. Nothing is kept once the work is done. The zero
// value is ready.
type group[T any] struct {
	mu      sync.Mutex
	flights map[string]*flight[T]
}

type flight[T any] struct {
	done    chan struct{} // closed when value and err are set
	value   T
	err     error
	waiters int
	cancel  context.CancelFunc
}

// do returns what work returns for key. work gets the first caller's context
// values but neither its deadline nor its cancellation.
func (g *group[T]) do(ctx context.Context, key string, work func(context.Context) (T, error)) (T, error) {
	var zero T
	if err := ctx.Err(); err != nil {
		return zero, err
	}
	g.mu.Lock()
	if g.flights == nil {
		g.flights = map[string]*flight[T]{}
	}
	f := g.flights[key]
	if f == nil {
		own, cancel := context.WithCancel(context.WithoutCancel(ctx))
		f = &flight[T]{done: make(chan struct{}), cancel: cancel}
		g.flights[key] = f
		go g.run(own, key, f, work)
	}
	f.waiters++
	g.mu.Unlock()

	select {
	case <-f.done:
		return f.value, f.err
	case <-ctx.Done():
	}
	g.mu.Lock()
	if f.waiters--; f.waiters == 0 {
		f.cancel()
		g.forget(key, f) // whoever comes now starts anew
	}
	g.mu.Unlock()
	return zero, context.Cause(ctx)
}

func (g *group[T]) run(ctx context.Context, key string, f *flight[T], work func(context.Context) (T, error)) {
	defer func() {
		if p := recover(); p != nil {
			f.err = faultf(verdict.Internal, "panic in a registry call: %v\n%s", p, debug.Stack())
		}
		f.cancel()
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
