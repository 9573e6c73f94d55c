package apply_test

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/apexlogic/apex/internal/gitops"
	"github.com/apexlogic/apex/internal/gitops/apply"
	"github.com/apexlogic/apex/verdict"
)

// refusing makes the target say no to a verb on objects of the name.
func refusing(verb, name string, err error) func(string, gitops.ID) error {
	return func(v string, id gitops.ID) error {
		if v == verb && id.Name == name {
			return fmt.Errorf("the server says: %w", err)
		}
		return nil
	}
}

func (f *fixture) value(text string) any {
	f.t.Helper()
	live, err := f.target.Get(f.t.Context(), object(f.t, text).ID, "v1")
	if errors.Is(err, gitops.ErrNotFound) {
		return nil
	}
	if err != nil {
		f.t.Fatal(err)
	}
	values, _ := live.Body["data"].(map[string]any)
	return values["v"]
}

// names of all that the target holds, in order.
func names(t *testing.T, f *fixture) (all []string) {
	for _, id := range everything(t, f) {
		all = append(all, id.String())
	}
	return all
}

// journal is what became of revisions, in order.
func (f *fixture) journal() (all []string) {
	f.t.Helper()
	for _, e := range f.state().Journal {
		all = append(all, strings.TrimSpace(string(e.What)+" "+e.Commit))
	}
	return all
}

func TestOneObjectThatTheTargetRefusesStopsTheRevisionBeforeTheFirstWrite(t *testing.T) {
	for name, c := range map[string]struct {
		err  error
		code verdict.Code
	}{
		"an object that breaks its schema":          {gitops.ErrInvalid, verdict.ApplyInvalid},
		"an object that the source may not write":   {gitops.ErrForbidden, verdict.ApplyForbidden},
		"an object whose namespace nobody made":     {gitops.ErrNotFound, verdict.ApplyMissing},
		"an object of a kind that nobody serves":    {gitops.ErrUnknownKind, verdict.ApplyUnserved},
		"an object that cannot be asked about now":  {errors.New("the network is down"), ""},
		"an object that somebody else writes still": {gitops.ErrConflict, ""},
	} {
		for look, kind := range map[apply.Look]string{apply.LookAll: "looking at all", apply.LookChanged: "looking at changes"} {
			t.Run(name+", "+kind, func(t *testing.T) {
				var r *recorder
				f := newFixture(t, recorded(&r))
				f.must("one", objects(t, "ConfigMap vision/bad v=1", "ConfigMap vision/good v=1")...)
				before := f.state()
				r.take()
				r.fail = refusing("try", "bad", c.err)
				req := f.request("two", objects(t, "ConfigMap vision/bad v=2", "ConfigMap vision/good v=2", "Deployment vision/new", "Namespace more")...)
				req.Look = look
				_, err := f.try(req)
				if c.code != "" {
					wantRefusal(t, err, c.code)
					if !strings.Contains(err.Error(), "all.yaml:1") || !strings.Contains(err.Error(), "the server says") || strings.Contains(err.Error(), "good") {
						t.Errorf("it says %v", err)
					}
				} else if err == nil || errors.As(err, new(*apply.Refusal)) {
					t.Errorf("got %v, want an error that may pass", err)
				}
				if calls := r.take("apply", "delete"); len(calls) > 0 {
					t.Errorf("it wrote: %v", calls)
				}
				if after := f.state(); after.Counter != before.Counter || after.Current != before.Current || after.Unfinished() {
					t.Errorf("the state is %+v", after)
				}
				r.fail = nil // its twin
				if _, err := f.try(req); err != nil || f.value("ConfigMap vision/bad") != "2" {
					t.Errorf("the same, allowed: %v", err)
				}
			})
		}
	}
}

func TestARefusalNamesAllThatTheTargetRefuses(t *testing.T) {
	var r *recorder
	f := newFixture(t, recorded(&r))
	r.fail = func(verb string, id gitops.ID) error {
		if verb == "try" && id.Name != "filler-3" {
			return fmt.Errorf("%s is wrong: %w", id.Name, gitops.ErrInvalid)
		}
		return nil
	}
	_, err := f.try(f.request("one", many(t, 9)...))
	wantRefusal(t, err, verdict.ApplyInvalid)
	refusal, _ := errors.AsType[*apply.Refusal](err)
	if len(refusal.Objects) != 8 || strings.Contains(err.Error(), "filler-3") || strings.Count(refusal.Why, "is wrong") != 5 || !strings.Contains(refusal.Why, "and 3 more") {
		t.Errorf("it says %v", err)
	}
}

func TestARevisionThatIsRefusedOnTheWayLeavesTheOneBefore(t *testing.T) {
	one := []string{"ConfigMap vision/a v=1", "ConfigMap vision/b v=1", "Secret vision/leaves v=1", "Deployment vision/leaves", "ServiceAccount vision/leaves"}
	two := []string{"ConfigMap vision/a v=2", "ConfigMap vision/b v=2", "ConfigMap vision/comes v=2", "Deployment vision/comes", "Widget vision/comes"}
	for name, c := range map[string]struct {
		verb, object string
		err          error
	}{
		"at its first object":      {"apply", "ConfigMap a", gitops.ErrInvalid},
		"at one among others":      {"apply", "ConfigMap b", gitops.ErrForbidden},
		"at its last stage":        {"apply", "Widget comes", gitops.ErrInvalid},
		"since a kind went":        {"apply", "Widget comes", gitops.ErrUnknownKind},
		"since its namespace went": {"apply", "ConfigMap b", gitops.ErrNotFound},
		"at its last deletion":     {"delete", "ServiceAccount leaves", gitops.ErrForbidden},
	} {
		t.Run(name, func(t *testing.T) {
			var r *recorder
			f := newFixture(t, recorded(&r))
			f.must("one", objects(t, one...)...)
			applied := f.state().Applied
			refusals := 0
			r.fail = func(verb string, id gitops.ID) error {
				if verb != c.verb || id.Kind+" "+id.Name != c.object || refusals > 0 {
					return nil
				}
				refusals++ // going back may write what going on may not
				return fmt.Errorf("not today: %w", c.err)
			}
			req := f.request("two", objects(t, two...)...)
			req.AllowPrune, req.Look = true, apply.LookChanged
			p, err := f.Plan(t.Context(), req)
			if err != nil {
				t.Fatal(err)
			}
			_, err = f.Apply(t.Context(), p)
			wantRefusal(t, err, verdict.ApplyReturned)
			if !strings.Contains(err.Error(), "not today") || !strings.Contains(err.Error(), "all.yaml:1") && c.verb == "apply" {
				t.Errorf("it says %v", err)
			}
			var want []string
			for _, o := range objects(t, one...) {
				want = append(want, o.ID.String())
			}
			slices.Sort(want)
			if got := names(t, f); !slices.Equal(got, want) {
				t.Errorf("there is %v, want %v", got, want)
			}
			if f.value("ConfigMap vision/a") != "1" || f.value("ConfigMap vision/b") != "1" {
				t.Error("a value is that of the refused revision")
			}
			s := f.state()
			if s.Unfinished() || s.Applied != applied || s.Current != applied || s.Accepted.Commit != "two" || s.Counter != 3 || s.Objects != len(one) {
				t.Errorf("the state is %+v", s)
			}
			if got := f.journal(); !slices.Equal(got, []string{"accepted one", "applied one", "accepted two", "returned one", "applied one"}) {
				t.Errorf("the journal says %q", got)
			}
			for _, item := range s.Items() {
				if item.Desired == "" || item.UID == "" {
					t.Errorf("the inventory does not know %s", item.ID)
				}
			}
			// Its twin: the same again, when the target allows it; and a mended one.
			r.fail = nil
			if _, err := f.try(req); err != nil || f.value("ConfigMap vision/comes") != "2" || f.has(object(t, one[2]).ID) != true {
				t.Errorf("allowed, %v: %v", err, everything(t, f))
			}
			f.must("three", objects(t, two[:4]...)...)
		})
	}
}

func TestAFirstRevisionThatIsRefusedOnTheWayIsTakenAway(t *testing.T) {
	var r *recorder
	f := newFixture(t, recorded(&r))
	plant("ConfigMap vision/found v=theirs")(t, f)
	all := objects(t, "Namespace vision", "ConfigMap vision/a v=1", "ConfigMap vision/found v=1", "Deployment vision/bad", "Widget vision/w")
	r.fail = refusing("apply", "bad", gitops.ErrForbidden)
	_, err := f.try(f.request("one", all...))
	wantRefusal(t, err, verdict.ApplyReturned)
	// A Namespace may hold what others made meanwhile, and what was there before
	// was nobody's to delete.
	if got := names(t, f); !slices.Equal(got, []string{"ConfigMap vision/found", "Namespace vision"}) {
		t.Errorf("there is %v", got)
	}
	s := f.state()
	if s.Unfinished() || s.Applied != (apply.Revision{}) || s.Current != (apply.Revision{}) || s.Objects != 0 || len(s.Items()) != 2 {
		t.Errorf("the state is %+v", s)
	}
	for _, item := range s.Items() {
		if item.Kept == "" {
			t.Errorf("it is not said why %s is kept", item.ID)
		}
	}
	if got, err := f.Resume(t.Context(), f.source); got != nil || err != nil {
		t.Errorf("something is left to do: %v, %v", got, err)
	}
	// A later revision without the object that was found leaves it, too; one that
	// holds it takes it over.
	r.fail = nil
	f.must("two", objects(t, "Namespace vision", "ConfigMap vision/a v=2")...)
	if !f.has(all[2].ID) {
		t.Error("what was found was deleted")
	}
	kept := append(many(t, 9), all[0], all[1])
	f.must("three", append(kept, all[2])...)
	req := f.request("four", kept...)
	req.AllowPrune = true
	if _, err := f.try(req); err != nil || f.has(all[2].ID) {
		t.Errorf("what was taken over stays: %v", err)
	}
}

func TestARollbackThatTheTargetRefusesLeavesWhatItLeft(t *testing.T) {
	var r *recorder
	f := newFixture(t, recorded(&r))
	f.must("one", objects(t, "ConfigMap vision/a v=1", "ConfigMap vision/b v=1")...)
	if sick, err := f.CheckHealth(t.Context(), "vision"); err != nil || len(sick) > 0 {
		t.Fatal(sick, err)
	}
	r2 := f.request("two", objects(t, "ConfigMap vision/a v=2", "ConfigMap vision/b v=2", "ConfigMap vision/c v=2")...)
	r2.Memory = []byte(`{"proved":"two"}`)
	if _, err := f.try(r2); err != nil {
		t.Fatal(err)
	}
	writes := 0
	r.fail = func(verb string, id gitops.ID) error {
		if verb == "apply" && id.Name == "b" {
			if writes++; writes == 1 {
				return gitops.ErrInvalid
			}
		}
		return nil
	}
	_, err := f.Rollback(t.Context(), f.rollback())
	wantRefusal(t, err, verdict.ApplyReturned)
	s := f.state()
	if f.value("ConfigMap vision/a") != "2" || f.value("ConfigMap vision/b") != "2" || f.value("ConfigMap vision/c") != "2" || s.Unfinished() {
		t.Errorf("there is %v, the state is %+v", everything(t, f), s)
	}
	if s.Pin != nil || s.Undo != nil || string(s.Memory) != `{"proved":"two"}` || s.Applied.Commit != "two" || s.Counter != 4 {
		t.Errorf("the state is %+v", s)
	}
	if _, err := f.Rollback(t.Context(), f.rollback()); err != nil || f.value("ConfigMap vision/b") != "1" {
		t.Errorf("its twin: %v", err)
	}
}

func TestAReturnThatFailsIsGoneOnWith(t *testing.T) {
	var r *recorder
	f := newFixture(t, recorded(&r))
	f.must("one", objects(t, "ConfigMap vision/a v=1", "ConfigMap vision/b v=1", "Deployment vision/d")...)
	r.fail = refusing("apply", "b", gitops.ErrInvalid) // there is no way back for it
	_, err := f.try(f.request("two", objects(t, "ConfigMap vision/a v=2", "ConfigMap vision/b v=2", "Deployment vision/d")...))
	if err == nil || errors.As(err, new(*apply.Refusal)) || !strings.Contains(err.Error(), "going back") {
		t.Errorf("got %v", err)
	}
	if got := f.value("ConfigMap vision/a"); got != "1" {
		t.Errorf("what could be brought back was not: %v", got)
	}
	s := f.state()
	if !s.Unfinished() || s.Current.Commit != "one" {
		t.Errorf("the state is %+v", s)
	}
	if _, err := f.Resume(t.Context(), f.source); err == nil {
		t.Error("it is said to be whole")
	}
	r.fail = nil
	if _, err := f.Resume(t.Context(), f.source); err != nil || f.value("ConfigMap vision/b") != "1" || f.state().Unfinished() {
		t.Errorf("resumed: %v", err)
	}
}

func TestWhatWasDeletedOnTheWayIsThereAgain(t *testing.T) {
	var r *recorder
	f := newFixture(t, recorded(&r))
	f.must("one", objects(t, "ConfigMap vision/a v=1", "Deployment vision/d", "ConfigMap vision/keep v=1")...)
	// The network goes away after the first deletion, and the next commit wants
	// the deleted object as it was.
	down := errors.New("the network is down")
	r.fail = refusing("delete", "a", down)
	req := f.request("two", objects(t, "ConfigMap vision/keep v=1")...)
	req.AllowPrune = true
	if _, err := f.try(req); !errors.Is(err, down) {
		t.Fatal(err)
	}
	if f.has(object(t, "Deployment vision/d").ID) {
		t.Fatal("it was not deleted: the test is about nothing")
	}
	r.fail = nil
	three := f.request("three", objects(t, "ConfigMap vision/a v=1", "Deployment vision/d", "ConfigMap vision/keep v=1")...)
	three.Look = apply.LookChanged
	if _, err := f.try(three); err != nil || !f.has(object(t, "Deployment vision/d").ID) {
		t.Errorf("it is not there again: %v", err)
	}
}

func TestWhatNeedsSomethingOfTheSetIsAskedAboutOnceThatIsThere(t *testing.T) {
	namespace := "Namespace vision"
	definition := "CustomResourceDefinition widgets.example.com"
	for name, c := range map[string]struct {
		made, needs string
		bad         bool
		written     []string
	}{
		"an object of a new namespace":                       {namespace, "ConfigMap vision/needs", false, nil},
		"an object of a new namespace that is refused":       {namespace, "ConfigMap vision/needs", true, []string{"apply Namespace vision"}},
		"an object of a new definition":                      {definition, "Widget vision/needs", false, nil},
		"an object of a new definition, and it is refused":   {definition, "Widget vision/needs", true, []string{"apply CustomResourceDefinition widgets.example.com"}},
		"a Pod whose ServiceAccount is new":                  {"ServiceAccount vision/runner", "Pod vision/needs serviceAccountName=runner", false, nil},
		"a Pod whose ServiceAccount is new, and it is wrong": {"ServiceAccount vision/runner", "Pod vision/needs serviceAccountName=other", true, []string{}},
	} {
		t.Run(name, func(t *testing.T) {
			var r *recorder
			f := newFixture(t, recorded(&r))
			made := object(t, c.made)
			r.fail = func(verb string, id gitops.ID) error {
				if verb != "try" && verb != "apply" || id.Name != "needs" {
					return nil
				}
				if c.bad {
					return fmt.Errorf("it is wrong: %w", gitops.ErrInvalid)
				}
				if _, err := f.target.Get(context.Background(), made.ID, "v1"); err != nil {
					return fmt.Errorf("%s %q is not found: %w", made.Kind, made.Name, gitops.ErrNotFound)
				}
				return nil
			}
			_, err := f.try(f.request("one", append(objects(t, c.made, c.needs), many(t, 3)...)...))
			if !c.bad {
				if err != nil {
					t.Fatal(err)
				}
				return
			}
			if len(c.written) == 0 {
				wantRefusal(t, err, verdict.ApplyInvalid)
			} else {
				wantRefusal(t, err, verdict.ApplyReturned)
			}
			if got := r.take("apply"); !slices.Equal(got, c.written) {
				t.Errorf("it wrote %v", got)
			}
		})
	}
}

func TestPuttingRightWhatIsHeldDecidesNothing(t *testing.T) {
	f := newFixture(t)
	f.must("one", objects(t, "ConfigMap vision/a v=1")...)
	if _, err := f.CheckHealth(t.Context(), "vision"); err != nil {
		t.Fatal(err)
	}
	f.must("two", objects(t, "ConfigMap vision/a v=2")...)
	if _, err := f.Rollback(t.Context(), f.rollback()); err != nil {
		t.Fatal(err)
	}
	_, err := f.target.Update(t.Context(), object(t, "ConfigMap vision/a").ID, "somebody", "", func(body map[string]any) error {
		body["data"] = map[string]any{"v": "tampered"}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	before := f.state()
	f.must("one", objects(t, "ConfigMap vision/a v=1")...)
	after := f.state()
	if f.value("ConfigMap vision/a") != "1" {
		t.Error("it was not put right")
	}
	if after.Pin == nil || after.Counter != before.Counter || after.Accepted != before.Accepted || len(after.Journal) != len(before.Journal) {
		t.Errorf("the state was %+v and is %+v", before, after)
	}
}

func TestARefusalDoesNotDisturbARevisionThatIsUnderWay(t *testing.T) {
	var f *fixture
	refused := errors.New("not called")
	f = newFixture(t, func(c *apply.Config) {
		c.Checkpoint = func(name string) {
			if name == "apply-configuration" {
				refused = f.Refuse(context.Background(), "vision", apply.Revision{Commit: "bad"}, verdict.SignatureMissing, "nobody signed it")
			}
		}
	})
	f.must("one", many(t, 3)...)
	if refused != nil {
		t.Error(refused)
	}
	if got := f.journal(); !slices.Equal(got, []string{"accepted one", "applied one"}) {
		t.Errorf("the journal says %q", got)
	}
	if err := f.Refuse(t.Context(), "vision", apply.Revision{Commit: "bad"}, verdict.SignatureMissing, "nobody signed it"); err != nil {
		t.Fatal(err)
	}
	if got := f.journal(); !slices.Equal(got, []string{"accepted one", "applied one", "refused bad"}) {
		t.Errorf("its twin, afterwards: %q", got)
	}
}
