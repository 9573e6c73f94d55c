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
	done    chan struct{} // closed when value, err and left are set
	value   T
	err     error
	left    bool // the work ended early because nobody waited for the flight around it
	waiters int
	cancel  context.CancelFunc // nil: the work runs on the goroutine of who asked first
}

type flyingKey struct{}

// do returns what work returns for key. work gets the first caller's context
// values but neither its deadline nor its cancellation.
//
// Within the work of another flight there is nobody who could leave early, so
// the work runs at once, without a goroutine, and ends with the flight around
// it. Who waited for it from outside of that flight then asks anew.
func (g *group[T]) do(ctx context.Context, key string, work func(context.Context) (T, error)) (T, error) {
	for {
		value, err, left := g.join(ctx, key, work)
		if !left || ctx.Err() != nil {
			return value, err
		}
	}
}

func (g *group[T]) join(ctx context.Context, key string, work func(context.Context) (T, error)) (value T, err error, left bool) {
	if err := ctx.Err(); err != nil {
		return value, err, false
	}
	g.mu.Lock()
	f := g.flights[key]
	if f == nil {
		if g.flights == nil {
			g.flights = map[string]*flight[T]{}
		}
		f = &flight[T]{done: make(chan struct{}), waiters: 1}
		g.flights[key] = f
		if ctx.Value(flyingKey{}) != nil {
			g.mu.Unlock()
			g.run(ctx, key, f, work)
			return f.value, f.err, false
		}
		own := context.WithValue(context.WithoutCancel(ctx), flyingKey{}, true)
		own, f.cancel = context.WithCancel(own)
		go g.run(own, key, f, work)
	} else {
		f.waiters++
	}
	g.mu.Unlock()

	select {
	case <-f.done:
		return f.value, f.err, f.left
	case <-ctx.Done():
	}
	g.mu.Lock()
	if f.waiters--; f.waiters == 0 {
		f.cancel()
		g.forget(key, f) // whoever comes now starts anew
	}
	g.mu.Unlock()
	return value, context.Cause(ctx), false
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
