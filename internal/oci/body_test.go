package oci

import (
	"context"
	"errors"
	"io"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/apexlogic/apex/internal/bounded"
	"github.com/apexlogic/apex/verdict"
)

func TestABodyIsJudgedByItsAverageRateAfterTheGrace(t *testing.T) {
	limits := Limits{}.withDefaults()
	for _, tc := range []struct {
		name  string
		chunk int64
		every time.Duration
		slow  bool
		after time.Duration // when it is noticed
	}{
		{"a byte each second", 1, time.Second, true, 5 * time.Second},
		{"nothing at all", 0, time.Second, true, 5 * time.Second},
		{"just enough", 1100, time.Second, false, 0},
		{"a burst, then nothing", 20 << 10, time.Hour, true, 21 * time.Second},
	} {
		t.Run(tc.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				var got atomic.Int64
				var noticed atomic.Int64
				start := time.Now()
				w := watchRate(limits, &got, func() { noticed.Store(int64(time.Since(start))) })
				defer w.stop()
				for time.Since(start) < time.Minute {
					got.Add(tc.chunk)
					time.Sleep(min(tc.every, time.Minute)) // the bubble's clock
				}
				if slow := noticed.Load() != 0; slow != tc.slow {
					t.Fatalf("slow is %v", slow)
				}
				if d := time.Duration(noticed.Load()); d < tc.after || d > tc.after+time.Second {
					t.Errorf("noticed after %s, want %s", d, tc.after)
				}
			})
		})
	}
}

func TestAReadMayWaitUntilTheAverageWouldBeTooLow(t *testing.T) {
	limits := Limits{}.withDefaults()
	synctest.Test(t, func(t *testing.T) {
		var got atomic.Int64
		pace := paceOf(limits, &got)
		start := time.Now()
		for _, tc := range []struct {
			at    time.Duration
			bytes int64
			until time.Duration
			slow  bool
		}{
			{0, 0, 5 * time.Second, false},
			{4 * time.Second, 1 << 10, 5 * time.Second, false},
			{4 * time.Second, 20 << 10, 20 * time.Second, false},
			{19 * time.Second, 20 << 10, 20 * time.Second, false},
			{20 * time.Second, 20 << 10, 20 * time.Second, true},
		} {
			time.Sleep(tc.at - time.Since(start)) // the bubble's clock
			got.Store(tc.bytes)
			until, err := pace()
			if until.Sub(start) != tc.until || errors.Is(err, errRate) != tc.slow {
				t.Errorf("at %s with %d bytes: until %s, %v", tc.at, tc.bytes, until.Sub(start), err)
			}
		}
	})
}

func TestAWatchThatIsStoppedSaysNothing(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var got atomic.Int64
		w := watchRate(Limits{}.withDefaults(), &got, func() { t.Error("it spoke") })
		w.stop()
		time.Sleep(time.Hour) // the bubble's clock
	})
}

type countingReader struct{ n int64 }

func (r *countingReader) Read(p []byte) (int, error) {
	r.n += int64(len(p))
	return len(p), nil
}

func TestABodyIsReadNoFurtherThanItsLimit(t *testing.T) {
	src := &countingReader{}
	data, err := readBody(src, 1000, -1)
	if !errors.Is(err, bounded.ErrTooLarge) || len(data) != 1000 {
		t.Fatalf("%d bytes, %v", len(data), err)
	}
	if src.n > 1001 {
		t.Errorf("%d bytes were read", src.n)
	}
	for _, announced := range []int64{-1, 0, 10, 1000, 1 << 40} {
		data, err := readBody(io.LimitReader(&countingReader{}, 1000), 1000, announced)
		if err != nil || len(data) != 1000 {
			t.Errorf("announced %d: %d bytes, %v", announced, len(data), err)
		}
	}
}

func TestTheCacheForgetsWhatWasNotAskedFor(t *testing.T) {
	c := newCache(10 * (entryOverhead + 100))
	m := Manifest{Raw: make([]byte, 100)}
	for _, k := range []string{"a", "b", "c", "d", "e", "f", "g", "h", "i", "j"} {
		c.put(k, m)
	}
	if _, ok := c.get("a"); !ok {
		t.Fatal("a is gone although there is room")
	}
	c.put("k", m)
	if _, ok := c.get("b"); ok {
		t.Error("b, asked for least recently, is still there")
	}
	if _, ok := c.get("a"); !ok {
		t.Error("a, asked for recently, is gone")
	}
	c.put("huge", Manifest{Raw: make([]byte, 5000)})
	if _, ok := c.get("huge"); ok || c.size > c.limit {
		t.Errorf("size %d of %d", c.size, c.limit)
	}
}

func TestAPanicInAFlightIsAnError(t *testing.T) {
	var g group[int]
	_, err := g.do(t.Context(), "k", func(context.Context) (int, error) { panic("boom") })
	if err == nil {
		t.Fatal("no error")
	}
	if v, err := g.do(t.Context(), "k", func(context.Context) (int, error) { return 7, nil }); v != 7 || err != nil {
		t.Errorf("afterwards: %d, %v", v, err)
	}
	c := &call{op: "x", ref: "y"}
	if code := CodeOf(c.wrap(err)); code != verdict.Internal {
		t.Errorf("its code is %s", code)
	}
}

func TestWorkWithinAFlightIsSharedWithThoseOutsideOfIt(t *testing.T) {
	var outer, inner group[int]
	started, finish := make(chan struct{}), make(chan struct{})
	work := func(ctx context.Context) (int, error) {
		close(started)
		select {
		case <-finish:
			return 7, nil
		case <-ctx.Done():
			return 0, context.Cause(ctx)
		}
	}
	within := func(ctx context.Context) (int, error) { return inner.do(ctx, "k", work) }
	results := make(chan int, 2)
	ask := func(ctx context.Context, do func(context.Context) (int, error)) {
		v, err := do(ctx)
		if err != nil {
			v = -1
		}
		results <- v
	}
	waiting := func() int {
		inner.mu.Lock()
		defer inner.mu.Unlock()
		if f := inner.flights["k"]; f != nil {
			return f.waiters
		}
		return 0
	}

	t.Run("it is one call", func(t *testing.T) {
		synctest.Test(t, func(t *testing.T) {
			started, finish = make(chan struct{}), make(chan struct{})
			go ask(t.Context(), func(ctx context.Context) (int, error) { return outer.do(ctx, "o", within) })
			<-started
			// A second run of work would close the channel again, and panic.
			go ask(t.Context(), within)
			synctest.Wait()
			if n := waiting(); n != 2 {
				t.Fatalf("%d wait", n)
			}
			close(finish)
			if a, b := <-results, <-results; a != 7 || b != 7 {
				t.Errorf("%d and %d", a, b)
			}
		})
	})
	t.Run("when the flight around it is left by all, the others ask anew", func(t *testing.T) {
		synctest.Test(t, func(t *testing.T) {
			started, finish = make(chan struct{}), make(chan struct{})
			ctx, leave := context.WithCancel(t.Context())
			go ask(ctx, func(ctx context.Context) (int, error) { return outer.do(ctx, "o", within) })
			<-started
			go ask(t.Context(), within)
			synctest.Wait()
			started = make(chan struct{})
			leave()
			if v := <-results; v != -1 {
				t.Errorf("who left got %d", v)
			}
			<-started
			close(finish)
			if v := <-results; v != 7 {
				t.Errorf("who stayed got %d", v)
			}
		})
	})
	t.Run("who waits from outside may leave", func(t *testing.T) {
		synctest.Test(t, func(t *testing.T) {
			started, finish = make(chan struct{}), make(chan struct{})
			go ask(t.Context(), func(ctx context.Context) (int, error) { return outer.do(ctx, "o", within) })
			<-started
			ctx, leave := context.WithCancel(t.Context())
			leaving := make(chan error)
			go func() { _, err := within(ctx); leaving <- err }()
			synctest.Wait()
			leave()
			if err := <-leaving; !errors.Is(err, context.Canceled) {
				t.Errorf("who left got %v", err)
			}
			close(finish)
			if v := <-results; v != 7 {
				t.Errorf("who stayed got %d", v)
			}
		})
	})
	if len(inner.flights)+len(outer.flights) != 0 {
		t.Errorf("%d and %d flights are kept", len(inner.flights), len(outer.flights))
	}
}

func TestAKeyIsHeldByOneAtATime(t *testing.T) {
	var k keyedMutex
	unlock, err := k.lock(t.Context(), "a")
	if err != nil {
		t.Fatal(err)
	}
	other, err := k.lock(t.Context(), "b")
	if err != nil {
		t.Fatal(err)
	}
	other()
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := k.lock(ctx, "a"); !errors.Is(err, context.Canceled) {
		t.Errorf("got %v", err)
	}
	unlock()
	again, err := k.lock(t.Context(), "a")
	if err != nil {
		t.Fatal(err)
	}
	again()
	if len(k.held) != 0 {
		t.Errorf("%d keys are kept", len(k.held))
	}
}
