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
