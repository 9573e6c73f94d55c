package follow

import (
	"context"
	"errors"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/apexlogic/apex/internal/clock"
	"github.com/apexlogic/apex/internal/gitops"
	"github.com/apexlogic/apex/verdict"
)

// scene is a source whose steps a test decides.
type scene struct {
	t          *testing.T
	head       string
	now        Applied
	generation string
	fail       map[string]error // by step
	deny       string           // why the gate denies
	log        []string
	mu         sync.Mutex
	counts     map[string]int
	*Follower
}

// at is the branch's newest commit, push makes it another one.
func (s *scene) at() string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.head
}

func (s *scene) push(commit string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.head = commit
}

func newScene(t *testing.T) *scene {
	s := &scene{t: t, head: "c1", fail: map[string]error{}, counts: map[string]int{}}
	step := func(name string) error {
		s.mu.Lock()
		defer s.mu.Unlock()
		s.counts[name]++
		return s.fail[name]
	}
	s.Follower = New(Steps{
		Fetch: func(context.Context) (string, error) { err := step("fetch"); return s.at(), err },
		Trust: func(context.Context, string) error { return step("trust") },
		Render: func(_ context.Context, commit string) (*gitops.Set, error) {
			if err := step("render"); err != nil {
				return nil, err
			}
			o, err := gitops.NewObject(map[string]any{"apiVersion": "v1", "kind": "ConfigMap", "metadata": map[string]any{"name": commit}}, verdict.Origin{})
			if err != nil {
				return nil, err
			}
			return gitops.NewSet([]gitops.Object{o})
		},
		Gate: func(context.Context, string, *gitops.Set) (verdict.Report, error) {
			r := verdict.Report{Verdicts: []verdict.Verdict{{Decision: verdict.Allow}}}
			if s.deny != "" {
				r.Verdicts = append(r.Verdicts, verdict.Verdict{Decision: verdict.Deny, Code: verdict.SignatureMissing, Reason: s.deny})
			}
			return r, step("gate")
		},
		Apply: func(_ context.Context, commit string, set *gitops.Set) (Applied, error) {
			if err := step("apply"); err != nil {
				return Applied{}, err
			}
			s.now = Applied{Commit: commit, Set: set.Digest(), Counter: s.now.Counter + 1, Objects: len(set.Objects())}
			s.log = append(s.log, "apply "+commit)
			return s.now, nil
		},
		Applied: func(context.Context) (Applied, error) { return s.now, step("applied") },
		Record: func(_ context.Context, e Event) error {
			for _, name := range []string{"record", "record " + e.Kind} {
				if err := step(name); err != nil {
					return err
				}
			}
			s.log = append(s.log, e.Kind+" "+e.Commit)
			return nil
		},
	}, Options{Source: "s", Interval: 30 * time.Second, Clock: clock.System{}, Generation: func() string { return s.generation }})
	return s
}

func (s *scene) count(step string) int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.counts[step]
}

func (s *scene) failing(step string, err error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.fail[step] = err
}

func (s *scene) expect(what string, want ...string) {
	s.t.Helper()
	if !slices.Equal(s.log, want) {
		s.t.Errorf("%s: %q, want %q", what, s.log, want)
	}
	s.log = nil
}

func TestACommitIsRecordedBeforeItIsApplied(t *testing.T) {
	s := newScene(t)
	if err := s.Pass(t.Context()); err != nil {
		t.Fatal(err)
	}
	s.expect("the first", "accepted c1", "apply c1", "applied c1")
	if st := s.Status(); !st.Ready() || st.Commit != "c1" || st.Counter != 1 || st.Objects != 1 {
		t.Errorf("%+v", st)
	}
	if err := s.Pass(t.Context()); err != nil {
		t.Fatal(err)
	}
	s.expect("nothing new")
	s.head = "c2"
	if err := s.Pass(t.Context()); err != nil {
		t.Fatal(err)
	}
	s.expect("the second", "accepted c2", "apply c2", "applied c2")
}

// What was applied while the ledger could not be written is on record as soon as it
// can be, once, and nothing else is done before.
func TestWhatWasAppliedAndNotRecordedIsRecordedLater(t *testing.T) {
	s := newScene(t)
	full := errors.New("the disk is full")
	s.failing("record applied", full)
	for range 2 {
		if err := s.Pass(t.Context()); !errors.Is(err, full) {
			t.Fatal(err)
		}
	}
	s.expect("with a full disk", "accepted c1", "apply c1")
	s.push("c2")
	if err := s.Pass(t.Context()); !errors.Is(err, full) {
		t.Fatal(err)
	}
	s.expect("another commit", []string(nil)...)
	s.failing("record applied", nil)
	for range 2 {
		if err := s.Pass(t.Context()); err != nil {
			t.Fatal(err)
		}
	}
	s.expect("with room again", "applied c1", "accepted c2", "apply c2", "applied c2")
}

func TestWhatCannotBeRecordedIsNotApplied(t *testing.T) {
	s := newScene(t)
	s.failing("record", errors.New("the disk is full"))
	if err := s.Pass(t.Context()); err == nil || !strings.Contains(err.Error(), "disk is full") {
		t.Fatal(err)
	}
	s.expect("nothing happened")
	if st := s.Status(); st.Ready() || st.Problem == "" {
		t.Errorf("%+v", st)
	}
	s.failing("record", nil)
	if err := s.Pass(t.Context()); err != nil {
		t.Fatal(err)
	}
	s.expect("later", "accepted c1", "apply c1", "applied c1")
}

func TestEachStepMayRefuse(t *testing.T) {
	for _, step := range []string{"trust", "render", "gate", "apply"} {
		t.Run(step, func(t *testing.T) {
			s := newScene(t)
			if err := s.Pass(t.Context()); err != nil {
				t.Fatal(err)
			}
			s.log, s.head = nil, "c2"
			s.failing(step, &Refused{Step: step, Code: verdict.PolicyInvalid, Why: "it is bad"})
			err := s.Pass(t.Context())
			if r, is := errors.AsType[*Refused](err); !is || r.Why != "it is bad" {
				t.Fatal(err)
			}
			if step == "apply" { // a plan that is refused, after the gate
				s.expect("refused", "accepted c2", "refused c2")
			} else {
				s.expect("refused", "refused c2")
			}
			if st := s.Status(); st.Ready() || st.Refused == nil || st.Commit != "c1" || st.Head != "c2" {
				t.Errorf("%+v", st)
			}
			// The same commit under the same policies is not asked about again.
			before := s.count("trust")
			if err := s.Pass(t.Context()); !errors.As(err, new(*Refused)) || s.count("trust") != before {
				t.Errorf("%v; asked %d times more", err, s.count("trust")-before)
			}
			s.expect("known")
			s.failing(step, nil)
			s.generation = "g2"
			if err := s.Pass(t.Context()); err != nil {
				t.Fatal(err)
			}
			s.expect("with other policies", "accepted c2", "apply c2", "applied c2")
			if st := s.Status(); !st.Ready() || st.Refused != nil {
				t.Errorf("%+v", st)
			}
		})
	}
}

func TestEachStepMayFailAndIsTriedAgain(t *testing.T) {
	for _, step := range []string{"fetch", "applied", "trust", "render", "gate", "apply"} {
		t.Run(step, func(t *testing.T) {
			s := newScene(t)
			s.failing(step, errors.New("no network"))
			if err := s.Pass(t.Context()); err == nil || errors.As(err, new(*Refused)) {
				t.Fatal(err)
			}
			if st := s.Status(); st.Ready() || !strings.Contains(st.Problem, "no network") {
				t.Errorf("%+v", st)
			}
			s.failing(step, nil)
			if err := s.Pass(t.Context()); err != nil {
				t.Fatal(err)
			}
			if st := s.Status(); !st.Ready() || st.Problem != "" {
				t.Errorf("%+v", st)
			}
		})
	}
}

func TestOneDeniedSubjectStopsTheWholeRevision(t *testing.T) {
	s := newScene(t)
	s.deny = "nobody signed it"
	err := s.Pass(t.Context())
	r, is := errors.AsType[*Refused](err)
	if !is || r.Step != "gate" || r.Code != verdict.SignatureMissing || !strings.Contains(r.Why, "nobody signed it") || r.Report == nil {
		t.Fatalf("%v", err)
	}
	s.expect("refused", "refused c1")
	for name, report := range map[string]verdict.Report{
		"unresolved": {Unresolved: []verdict.Unresolved{{Code: verdict.PolicyInvalid}}},
		"denied":     {Verdicts: []verdict.Verdict{{Decision: verdict.Allow}, {Decision: verdict.Deny}}},
	} {
		if Judge(&report) == nil {
			t.Errorf("%s is applied", name)
		}
	}
	for name, report := range map[string]verdict.Report{
		"nothing to ask": {},
		"a warning":      {Verdicts: []verdict.Verdict{{Decision: verdict.Warn}}},
	} {
		if err := Judge(&report); err != nil {
			t.Errorf("%s: %v", name, err)
		}
	}
}

func TestWhatWasRolledBackDoesNotComeBackByItself(t *testing.T) {
	s := newScene(t)
	s.head, s.now = "c2", Applied{Commit: "c1", Counter: 3, Held: "c2"}
	if err := s.Pass(t.Context()); err != nil {
		t.Fatal(err)
	}
	s.expect("held")
	if st := s.Status(); !st.Ready() || st.Commit != "c1" || st.Head != "c2" {
		t.Errorf("%+v", st)
	}
	s.head = "c3"
	if err := s.Pass(t.Context()); err != nil {
		t.Fatal(err)
	}
	s.expect("the next one", "accepted c3", "apply c3", "applied c3")
}

func TestRunLooksOftenAndAtOnceWhenNotified(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newScene(t)
		ctx, stop := context.WithCancel(t.Context())
		done := make(chan error, 1)
		go func() { done <- s.Run(ctx) }()
		synctest.Wait()
		if s.count("fetch") != 1 {
			t.Errorf("%d looks at the start", s.count("fetch"))
		}
		s.Notify()
		s.Notify()
		synctest.Wait()
		if n := s.count("fetch"); n < 2 || n > 3 {
			t.Errorf("%d looks after a notification", n)
		}
		before := s.count("fetch")
		time.Sleep(91 * time.Second)
		synctest.Wait()
		if n := s.count("fetch") - before; n != 3 {
			t.Errorf("%d looks in 91 s", n)
		}
		s.failing("fetch", errors.New("no network"))
		s.Notify()
		synctest.Wait()
		before = s.count("fetch")
		time.Sleep(16 * time.Second) // after 1, 2, 4 and 8 s
		synctest.Wait()
		if n := s.count("fetch") - before; n != 4 {
			t.Errorf("%d tries in 16 s without a network", n)
		}
		stop()
		if err := <-done; !errors.Is(err, context.Canceled) {
			t.Error(err)
		}
	})
}
