package verify

import (
	"context"
	"sync"
	"sync/atomic"
	"time"

	lru "github.com/hashicorp/golang-lru/v2"

	"github.com/apexlogic/apex/internal/clock"
	"github.com/apexlogic/apex/internal/flight"
)

// Store keeps entries beyond the life of the process. An entry is returned as
// it was put, or not at all; a store that cannot tell returns nothing.
type Store interface {
	Get(ctx context.Context, key string) (value []byte, ok bool)
	Put(ctx context.Context, key string, value []byte, until time.Time)
}

// cache holds values until their time is over, and lets one caller compute a
// value for all who ask for it meanwhile. Values are shared: nobody may change
// one. A value is stored only when keep says so; an error never is.
type cache[T any] struct {
	clock  clock.Clock
	memory *lru.Cache[string, held[T]]
	flight flight.Group[T]
}

type held[T any] struct {
	value T
	until time.Time
}

func newCache[T any](c clock.Clock, size int) *cache[T] {
	memory, err := lru.New[string, held[T]](size)
	if err != nil {
		panic(err) // the size is a constant above zero
	}
	return &cache[T]{clock: c, memory: memory}
}

func (c *cache[T]) get(key string) (T, bool) {
	if h, ok := c.memory.Get(key); ok && c.clock.Now().Before(h.until) {
		return h.value, true
	}
	var zero T
	return zero, false
}

func (c *cache[T]) put(key string, value T, until time.Time) {
	c.memory.Add(key, held[T]{value, until})
}

// once returns the value for the key, computing it at most once for all who
// ask at the same time, on the goroutine of the first and within limit. When
// that one gives up, it is computed anew for those who still wait. A panic of
// compute is an error of all who wait.
func (c *cache[T]) once(ctx context.Context, key string, limit time.Duration, compute func(context.Context) T) (T, error) {
	return c.flight.Do(ctx, key, func(ctx context.Context) (T, error) {
		if _, ok := ctx.Deadline(); !ok {
			limited, cancel := context.WithTimeout(ctx, limit)
			defer cancel()
			ctx = limited
		}
		return compute(ctx), nil
	})
}

// each calls do for 0 to n-1 on at most workers goroutines, the caller's own
// among them. Few goroutines that live long are cheaper than many that each
// grow a stack for the cryptography.
func each(n, workers int, do func(i int)) {
	var next atomic.Int64
	work := func() {
		for i := int(next.Add(1)) - 1; i < n; i = int(next.Add(1)) - 1 {
			do(i)
		}
	}
	var others sync.WaitGroup
	for range min(n, workers) - 1 {
		others.Go(work)
	}
	work()
	others.Wait()
}
