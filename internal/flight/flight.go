// Package flight makes concurrent equal calls one call.
//
// Start with [Group.Do]. Unlike golang.org/x/sync/singleflight it hands a
// context to the work, starts no goroutine for it where nobody else waits, and
// turns a panic of the work into an error.
package flight

import (
	"context"
	"fmt"
	"runtime/debug"
	"sync"
)

// Group makes concurrent equal calls one call. Nothing is kept once the work is
// done. The zero value is ready; it is safe for concurrent use.
//
// Who asks first does the work, on its own goroutine and with its own context:
// in most cases nobody else asks meanwhile, and a new goroutine costs more than
// all that a flight is. If it leaves early, the others ask anew, once for all of
// them: that flight lasts for as long as anybody waits for it.
type Group[T any] struct {
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

// Do returns what work returns for key. work gets the context of whoever began
// it, or, once somebody has left, one without a deadline that is cancelled when
// nobody waits any more: work sets its own limit then. A panic of work is a
// [*Panic] for all who wait; a caller whose context ends gets its cause.
func (g *Group[T]) Do(ctx context.Context, key string, work func(context.Context) (T, error)) (T, error) {
	value, left, err := g.join(ctx, key, work, false)
	if left && ctx.Err() == nil {
		value, _, err = g.join(ctx, key, work, true)
	}
	return value, err
}

// join waits for the flight with the key, or begins it. lasting says that it
// must not be one that ends when somebody else leaves.
func (g *Group[T]) join(ctx context.Context, key string, work func(context.Context) (T, error), lasting bool) (value T, left bool, err error) {
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

// Waiting returns how many callers wait now, those who do the work included.
func (g *Group[T]) Waiting() int {
	g.mu.Lock()
	defer g.mu.Unlock()
	n := 0
	for _, f := range g.flights {
		n += f.waiters
	}
	return n
}

// begin adds a flight for its first waiter. The caller holds the lock.
func (g *Group[T]) begin(key string, cancel context.CancelFunc) *flight[T] {
	if g.flights == nil {
		g.flights = map[string]*flight[T]{}
	}
	f := &flight[T]{done: make(chan struct{}), waiters: 1, cancel: cancel}
	g.flights[key] = f
	return f
}

func (g *Group[T]) run(ctx context.Context, key string, f *flight[T], work func(context.Context) (T, error)) {
	defer func() {
		if p := recover(); p != nil {
			f.err = &Panic{p, debug.Stack()}
		}
		if f.cancel != nil {
			f.cancel()
		} else {
			// What was begun for somebody who left is at best a part.
			f.left = ctx.Err() != nil
		}
		g.mu.Lock()
		g.forget(key, f)
		g.mu.Unlock()
		close(f.done)
	}()
	f.value, f.err = work(ctx)
}

// Panic is the error of work that panicked.
type Panic struct {
	Value any
	Stack []byte // where
}

func (p *Panic) Error() string { return fmt.Sprintf("panic: %v\n%s", p.Value, p.Stack) }

// forget removes f, unless a newer flight has its key. The caller holds the lock.
func (g *Group[T]) forget(key string, f *flight[T]) {
	if g.flights[key] == f {
		delete(g.flights, key)
	}
}
