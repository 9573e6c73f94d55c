package flight

import (
	"context"
	"errors"
	"sync/atomic"
	"testing"
	"testing/synctest"
)

func TestAPanicInAFlightIsAnError(t *testing.T) {
	var g Group[int]
	_, err := g.Do(t.Context(), "k", func(context.Context) (int, error) { panic("boom") })
	if p, ok := errors.AsType[*Panic](err); !ok || p.Value != "boom" {
		t.Fatalf("got %v", err)
	}
	if v, err := g.Do(t.Context(), "k", func(context.Context) (int, error) { return 7, nil }); v != 7 || err != nil {
		t.Errorf("afterwards: %d, %v", v, err)
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
				var g Group[int]
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
						v, err := g.Do(ctx, "k", work)
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
