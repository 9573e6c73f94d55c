package bodies

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"strings"
	"sync"
	"testing"
	"testing/iotest"
	"testing/synctest"
)

// begun returns a hold of a caller.
func begun(b *Budget, caller string) *Hold {
	h := new(Hold)
	h.Begin(b, caller)
	return h
}

func TestOneCallerLeavesRoomForTheOthers(t *testing.T) {
	b := New(400)
	noisy := begun(b, "noisy")
	if err := noisy.Try(100); err != nil {
		t.Fatalf("a share: %v", err)
	}
	again := begun(b, "noisy")
	if err := again.Try(1); err != ErrShare {
		t.Errorf("more than the share, in another message: %v", err)
	}
	if err := noisy.Try(1); err != ErrLarge {
		t.Errorf("more than the share, in one message: %v", err)
	}
	for _, other := range []string{"alice", "bob", "carol"} {
		if err := begun(b, other).Try(100); err != nil {
			t.Errorf("%s, beside one who has his share: %v", other, err)
		}
	}
	late := begun(b, "late")
	if err := late.Try(1); err != ErrFull {
		t.Errorf("the 401st byte: %v", err)
	}
	noisy.Give(1)
	if err := late.Try(1); err != nil || b.Taken() != 400 {
		t.Errorf("a byte that was given back: %v", err)
	}
}

func TestAllIsGivenBackAtTheEnd(t *testing.T) {
	b := New(400)
	for range 1000 {
		h := begun(b, "alice")
		for _, n := range []int64{30, 0, 60, 100, 10} { // the fourth is refused
			_ = h.Try(n)
		}
		h.Give(20)
		h.End()
		h.End()
	}
	if b.Taken() != 0 {
		t.Errorf("%d bytes are held by nobody", b.Taken())
	}
	for row := range b.callers {
		for i := range b.callers[row] {
			if n := b.callers[row][i].Load(); n != 0 {
				t.Errorf("%d bytes are counted for nobody", n)
			}
		}
	}
}

func TestAMessageWaitsAMomentForTheRoomOfAnother(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := New(400)
		var others []*Hold
		for i := range 4 {
			others = append(others, begun(b, fmt.Sprint(i)))
			if err := others[i].Try(100); err != nil {
				t.Fatal(err)
			}
		}
		got := make(chan error)
		h := begun(b, "alice")
		go func() { got <- h.Take(t.Context(), 50) }()
		synctest.Wait() // it waits
		others[0].End()
		if err := <-got; err != nil {
			t.Errorf("room was given back: %v", err)
		}
		if err := begun(b, "bob").Take(t.Context(), 100); err != ErrFull {
			t.Errorf("nobody gave back enough: %v", err)
		}
		ctx, cancel := context.WithCancel(t.Context())
		go func() { got <- begun(b, "carol").Take(ctx, 100) }()
		synctest.Wait()
		cancel()
		if err := <-got; !errors.Is(err, context.Canceled) {
			t.Errorf("the caller went away: %v", err)
		}
		if err := h.Take(t.Context(), 51); err != ErrLarge {
			t.Errorf("more than a share is not waited for: %v", err)
		}
	})
}

func TestManyAtOnceNeverHoldMoreThanThereIs(t *testing.T) {
	b := New(1000)
	var running sync.WaitGroup
	for i := range 16 {
		running.Go(func() {
			random := rand.New(rand.NewPCG(uint64(i), 1))
			for range 2000 {
				h := begun(b, fmt.Sprint(i%8))
				for range 3 {
					_ = h.Try(random.Int64N(200))
				}
				if n := b.Taken(); n > 1000 || n < 0 {
					t.Errorf("%d of 1000 bytes", n)
				}
				h.End()
			}
		})
	}
	running.Wait()
	if b.Taken() != 0 {
		t.Errorf("%d bytes are held by nobody", b.Taken())
	}
}

func TestWhatIsRefusedTakesNoRoomFromWhoHasIt(t *testing.T) {
	for name, n := range map[string]int64{"more than the caller's share": 80, "more than there is": 60} {
		b := New(400)
		if err := begun(b, "alice").Try(30); err != nil {
			t.Fatal(err)
		}
		if n == 60 { // of 50 that are left
			for _, other := range []string{"bob", "carol", "dora"} {
				if err := begun(b, other).Try(100); err != nil {
					t.Fatal(err)
				}
			}
			if err := begun(b, "eve").Try(20); err != nil {
				t.Fatal(err)
			}
		}
		stop := make(chan struct{})
		var refused sync.WaitGroup
		for range 2 {
			refused.Go(func() {
				for h := begun(b, "alice"); ; {
					select {
					case <-stop:
						return
					default:
					}
					if h.Try(n) == nil {
						t.Errorf("%s is let have", name)
						return
					}
				}
			})
		}
		for range 100_000 {
			h := begun(b, "alice")
			if err := h.Try(50); err != nil {
				t.Errorf("%s is refused, and so is what fits: %v", name, err)
				break
			}
			h.End()
		}
		close(stop)
		refused.Wait()
	}
}

func TestAReaderTakesMemoryForWhatComes(t *testing.T) {
	sent := bytes.Repeat([]byte("x"), 10*First+7)
	for name, from := range map[string]io.Reader{
		"at once": bytes.NewReader(sent), "byte for byte": iotest.OneByteReader(bytes.NewReader(sent)), "with its end": iotest.DataErrReader(bytes.NewReader(sent)),
	} {
		b := New(100 * First)
		h := begun(b, "alice")
		got, err := io.ReadAll(h.Reader(t.Context(), from))
		if n := b.Taken(); err != nil || !bytes.Equal(got, sent) || n < int64(len(sent)) || n > int64(len(sent))*2 {
			t.Errorf("%s: %d bytes, for which %d are held: %v", name, len(got), n, err)
		}
	}
	small := New(4 * 3 * First)
	h := begun(small, "alice")
	if got, err := io.ReadAll(h.Reader(t.Context(), bytes.NewReader(sent))); err != ErrLarge || len(got) > 3*First {
		t.Errorf("%d bytes were read into a share of %d: %v", len(got), small.Share(), err)
	}
}

func TestWithoutABudgetNothingIsBounded(t *testing.T) {
	var h Hold
	if err := h.Take(t.Context(), 1<<40); err != nil {
		t.Error(err)
	}
	h.Give(1 << 40)
	h.End()
	h.Begin(nil, "alice")
	if got, err := io.ReadAll(h.Reader(t.Context(), strings.NewReader("hello"))); string(got) != "hello" || err != nil {
		t.Error(string(got), err)
	}
}

func BenchmarkAMessage(b *testing.B) {
	budget := New(1 << 30)
	b.ReportAllocs()
	b.RunParallel(func(pb *testing.PB) {
		var h Hold
		for pb.Next() {
			h.Begin(budget, "https://id.example#alice")
			if err := h.Try(300); err != nil {
				b.Fatal(err)
			}
			h.End()
		}
	})
}
