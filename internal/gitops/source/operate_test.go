package source

import (
	"context"
	"errors"
	"strings"
	"testing"

	"github.com/apexlogic/apex/api/v1alpha1"
	"github.com/apexlogic/apex/verdict"
)

func denies(r *verdict.Report) bool {
	for i := range r.Verdicts {
		if r.Verdicts[i].Decision == verdict.Deny {
			return true
		}
	}
	return false
}

// revisions follows three commits that name an object each, all healthy.
func (s *story) revisions() (commits []string) {
	s.t.Helper()
	last := ""
	for _, name := range []string{"a", "b", "c"} {
		s.commit("add "+name, s.key, map[string]string{"deploy/" + name + ".yaml": configMap(name, "1")})
		if last != "" {
			s.git("rm", "-q", "deploy/"+last+".yaml")
			s.git("-c", "gpg.format=ssh", "-c", "user.signingkey="+s.key, "commit", "-q", "-S", "--amend", "--no-edit")
		}
		last = name
		commits = append(commits, s.git("rev-parse", "HEAD"))
		if err := s.Pass(s.t.Context()); err != nil {
			s.t.Fatal(err)
		}
		if sick, err := s.CheckHealth(s.t.Context()); err != nil || len(sick) > 0 {
			s.t.Fatal(sick, err)
		}
	}
	return commits
}

func TestTheOperatorGoesBackToTheNewestRevisionThatComplies(t *testing.T) {
	s := newStory(t, func(g *v1alpha1.GitSource) {
		g.Spec.Trust.Operator = true
		g.Spec.Prune.MaxPercent = new(int32(100))
	})
	apex, err := s.Operate(s.stranger)
	if err != nil || apex == nil {
		t.Fatal(apex, err)
	}
	commits := s.revisions()
	if _, err := apex.Leave(t.Context(), "nothing is wrong", denies); !errors.Is(err, ErrComplies) {
		t.Errorf("a revision that complies is left: %v", err)
	}
	s.deny = "c"
	r, err := apex.Leave(t.Context(), "c may not run", denies)
	if err != nil {
		t.Fatal(err)
	}
	if r.Revision.Commit != commits[1] || s.value("b") != "1" || s.value("c") != "" {
		t.Errorf("it went back to %.12s, want %.12s; b is %q, c is %q", r.Revision.Commit, commits[1], s.value("b"), s.value("c"))
	}
	// Automation is on: what was left does not come back by itself.
	if err := s.Pass(t.Context()); err != nil || s.value("c") != "" {
		t.Errorf("%v, c is %q", err, s.value("c"))
	}
	if _, err := apex.Leave(t.Context(), "again", denies); !errors.Is(err, ErrComplies) {
		t.Errorf("it is left once more: %v", err)
	}
}

func TestTheOperatorStaysWhereNothingCompliesAndSaysSo(t *testing.T) {
	s := newStory(t, func(g *v1alpha1.GitSource) {
		g.Spec.Trust.Operator = true
		g.Spec.Prune.MaxPercent = new(int32(100))
	})
	apex, err := s.Operate(s.stranger)
	if err != nil {
		t.Fatal(err)
	}
	commits := s.revisions()
	_, err = apex.Leave(t.Context(), "nothing may run", func(*verdict.Report) bool { s.deny = "b"; return true })
	if err != nil || s.value("a") != "1" {
		t.Fatalf("it did not go over the one that is denied: %v, a is %q", err, s.value("a"))
	}
	s.deny = ""
	gate := s.o.Gate
	s.o.Gate = func(ctx context.Context, r Revision) (verdict.Report, error) {
		report, err := gate(ctx, r)
		report.Verdicts = append(report.Verdicts, verdict.Verdict{Decision: verdict.Deny, Code: verdict.SignatureMissing, Reason: "nobody signed it"})
		return report, err
	}
	_, err = apex.Leave(t.Context(), "nothing may run", denies)
	if !errors.Is(err, ErrNoneComplies) || !strings.Contains(err.Error(), commits[1][:12]) || !strings.Contains(err.Error(), "nobody signed it") || s.value("a") != "1" {
		t.Errorf("%v, a is %q", err, s.value("a"))
	}
}

func TestNobodyOperatesASourceThatDoesNotSaySo(t *testing.T) {
	s := newStory(t, func(g *v1alpha1.GitSource) { g.Spec.Prune.MaxPercent = new(int32(100)) })
	if apex, err := s.Operate(s.stranger); apex != nil || err != nil {
		t.Errorf("%v, %v", apex, err)
	}
	s.revisions()
	if _, err := s.Rollback(t.Context(), "", "I would like to", s.stranger); err == nil {
		t.Error("a key that nobody trusts rolls back")
	}
}

func TestTheOperatorsKeyPromotesNothing(t *testing.T) {
	s := newStory(t, func(g *v1alpha1.GitSource) { g.Spec.Trust.Operator = true })
	before := s.trust.promotions
	if _, err := s.Operate(s.stranger); err != nil {
		t.Fatal(err)
	}
	if s.trust.promotions != before {
		t.Error("the operator is believed for promotions too")
	}
}
