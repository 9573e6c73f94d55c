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

func TestWhenTheFirstToAskLeavesTheOthersAskAnewOnce(t *testing.T) {
	type answer struct {
		value int
		err   error
	}
	for _, tc := range []struct {
		name  string
		leave []int // who leaves, in turn
		stay  []int
		calls int
	}{
		{"nobody leaves", nil, []int{0, 1, 2}, 1},
		{"another one leaves", []int{1}, []int{0, 2}, 1},
		{"the first leaves", []int{0}, []int{1, 2, 3}, 2},
		{"all leave one by one", []int{0, 1, 2}, nil, 2},
		{"all but the last leave", []int{0, 1, 2}, []int{3}, 2},
	} {
		t.Run(tc.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				var g group[int]
				finish := make(chan struct{})
				var calls, running atomic.Int64
				work := func(ctx context.Context) (int, error) {
					calls.Add(1)
					running.Add(1)
					defer running.Add(-1)
					select {
					case <-finish:
						return 7, nil
					case <-ctx.Done():
						return 0, context.Cause(ctx)
					}
				}
				answers := make([]chan answer, len(tc.leave)+len(tc.stay))
				cancels := make([]context.CancelFunc, len(answers))
				for i := range answers {
					var ctx context.Context
					ctx, cancels[i] = context.WithCancel(t.Context())
					defer cancels[i]()
					answers[i] = make(chan answer, 1)
					go func() {
						v, err := g.do(ctx, "k", work)
						answers[i] <- answer{v, err}
					}()
					synctest.Wait() // so that the first is the first
				}
				for _, i := range tc.leave {
					cancels[i]()
					if a := <-answers[i]; !errors.Is(a.err, context.Canceled) {
						t.Errorf("%d left and got %+v", i, a)
					}
					synctest.Wait()
				}
				if n := running.Load(); n != int64(min(1, len(tc.stay))) {
					t.Errorf("the work runs %d times", n)
				}
				close(finish)
				for _, i := range tc.stay {
					if a := <-answers[i]; a != (answer{7, nil}) {
						t.Errorf("%d stayed and got %+v", i, a)
					}
				}
				synctest.Wait()
				if int(calls.Load()) != tc.calls || len(g.flights) != 0 {
					t.Errorf("%d calls, want %d; %d flights are kept", calls.Load(), tc.calls, len(g.flights))
				}
			})
		})
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
