package follow

import (
	"context"
	"errors"
	"fmt"
	"testing"
	"testing/synctest"
	"time"

	"github.com/apexlogic/apex/internal/gitops"
	"github.com/apexlogic/apex/verdict"
)

// run follows the scene until the test ends.
func (s *scene) run(t *testing.T) (stop func()) {
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan error, 1)
	go func() { done <- s.Run(ctx) }()
	synctest.Wait()
	return func() { cancel(); <-done }
}

func (s *scene) after(d time.Duration) {
	time.Sleep(d)
	synctest.Wait()
}

func TestWhatTheTargetRefusesIsAskedAboutAgain(t *testing.T) {
	for code, want := range map[verdict.Code]int{
		verdict.ApplyUnserved:  10, // at 30 s, 60 s, 90 s …: to ask is one request
		verdict.ApplyInvalid:   4,  // at 30 s, 90 s, 210 s: to ask is one for each object
		verdict.ApplyForbidden: 4,
		verdict.ApplyMissing:   4,
		verdict.ApplyQuota:     1, // nobody mends that in the target
		verdict.ApplyReturned:  1, // nor is a revision written again that was taken back
	} {
		t.Run(string(code), func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				s := newScene(t)
				s.failing("apply", &Refused{Step: "plan", Code: code, Why: "not here"})
				stop := s.run(t)
				defer stop()
				s.after(299 * time.Second)
				if n := s.count("apply"); n != want {
					t.Errorf("it was asked %d times in 299 s, want %d", n, want)
				}
				s.expect("on record once", "accepted c1", "refused c1")
				since := s.Status().At
				if st := s.Status(); st.Refused == nil || st.Refused.Code != code || time.Since(since) < 298*time.Second {
					t.Errorf("%+v", st)
				}
				s.failing("apply", nil)
				s.after(15 * time.Minute)
				if st := s.Status(); st.Ready() != (want > 1) {
					t.Errorf("the target was mended, the source is at %+v", st)
				}
				if want == 1 { // its twin: a new commit is always tried
					s.push("c2")
					s.after(31 * time.Second)
					if st := s.Status(); !st.Ready() || st.Commit != "c2" {
						t.Errorf("%+v", st)
					}
				}
			})
		})
	}
}

func TestAnotherRefusalOfTheTargetIsOnRecord(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newScene(t)
		s.failing("apply", &Refused{Step: "plan", Code: verdict.ApplyUnserved, Why: "no such kind"})
		defer s.run(t)()
		s.failing("apply", &Refused{Step: "plan", Code: verdict.ApplyInvalid, Why: "the kind is here, and says no"})
		s.after(31 * time.Second)
		s.expect("both", "accepted c1", "refused c1", "refused c1")
	})
}

func TestAnApplyThatMetAnotherWriterIsTriedAtOnce(t *testing.T) {
	for writers, ok := range map[int]bool{0: true, 1: true, 4: true, 100: false} {
		s := newScene(t)
		tries, apply := 0, s.steps.Apply
		s.steps.Apply = func(ctx context.Context, commit string, set *gitops.Set) (Applied, error) {
			if tries++; tries <= writers {
				return Applied{}, fmt.Errorf("save: %w", gitops.ErrConflict)
			}
			return apply(ctx, commit, set)
		}
		err := s.Pass(t.Context())
		if (err == nil) != ok || !ok && !errors.Is(err, gitops.ErrConflict) {
			t.Errorf("%d writers: %v", writers, err)
		}
		if n := s.count("render"); n != 1 {
			t.Errorf("%d writers: it was rendered %d times", writers, n)
		}
		if !ok && tries > 10 {
			t.Errorf("it was tried %d times in a row", tries)
		}
	}
}
