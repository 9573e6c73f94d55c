package source

import (
	"errors"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/apexlogic/apex/api/v1alpha1"
	"github.com/apexlogic/apex/internal/gitops"
)

// staged opens the story's repository as a source with two stages.
func (s *story) staged() (dev, prod *Source) {
	s.t.Helper()
	o := s.o
	o.Source = o.Source.DeepCopy()
	o.Source.Name, o.State = "staged", filepath.Join(s.t.TempDir(), "state")
	o.Source.Spec.Stages = []v1alpha1.GitStage{{Name: "prod", After: "dev"}, {Name: "dev"}}
	all, err := OpenAll(s.t.Context(), o)
	if err != nil {
		s.t.Fatal(err)
	}
	s.t.Cleanup(func() {
		for _, one := range all {
			if err := one.Close(); err != nil {
				s.t.Error(err)
			}
		}
	})
	if len(all) != 2 || all[0].Name() != "staged.dev" || all[1].Name() != "staged.prod" {
		s.t.Fatalf("%d stages", len(all))
	}
	return all[0], all[1]
}

func valueIn(t *testing.T, s *Source, name string) string {
	t.Helper()
	live, err := s.place.target.Get(t.Context(), gitops.ID{Kind: "ConfigMap", Namespace: "vision", Name: name}, "v1")
	if errors.Is(err, gitops.ErrNotFound) {
		return ""
	}
	if err != nil {
		t.Fatal(err)
	}
	data, _ := live.Body["data"].(map[string]any)
	v, _ := data["key"].(string)
	return v
}

func TestACommitEntersTheNextStageWhenItIsPromoted(t *testing.T) {
	s := newStory(t, nil)
	dev, prod := s.staged()
	s.commit("one", s.key, map[string]string{"deploy/a.yaml": configMap("a", "1")})
	if err := prod.Pass(t.Context()); err == nil || errors.As(err, new(*Refused)) {
		t.Errorf("prod has something to take before dev holds it: %v", err)
	}
	if err := dev.Pass(t.Context()); err != nil || valueIn(t, dev, "a") != "1" {
		t.Fatalf("%v, dev has %q", err, valueIn(t, dev, "a"))
	}
	if err := prod.Pass(t.Context()); err == nil || !strings.Contains(err.Error(), "waits at the stage prod") || valueIn(t, prod, "a") != "" {
		t.Errorf("nobody promoted it: %v, prod has %q", err, valueIn(t, prod, "a"))
	}
	if _, err := prod.Promote(t.Context(), "operator", "it works in dev", time.Hour, s.stranger); err == nil {
		t.Error("a stranger may promote")
	}
	if _, err := dev.Promote(t.Context(), "operator", "why not", time.Hour, s.operator); err == nil {
		t.Error("the first stage takes promotions")
	}
	d, err := prod.Promote(t.Context(), "operator", "it works in dev", time.Hour, s.operator)
	if err != nil || !d.Open {
		t.Fatalf("%+v %v", d, err)
	}
	if err := prod.Pass(t.Context()); err != nil || valueIn(t, prod, "a") != "1" {
		t.Fatalf("%v, prod has %q", err, valueIn(t, prod, "a"))
	}
	// The promotion was for that revision.
	s.commit("two", s.key, map[string]string{"deploy/a.yaml": configMap("a", "2")})
	if err := dev.Pass(t.Context()); err != nil {
		t.Fatal(err)
	}
	if err := prod.Pass(t.Context()); err == nil || valueIn(t, prod, "a") != "1" {
		t.Errorf("the next one came along: %v, prod has %q", err, valueIn(t, prod, "a"))
	}
	// What is refused in the first stage never comes to the second.
	s.deny = "evil"
	s.commit("three", s.key, map[string]string{"deploy/e.yaml": configMap("evil", "1")})
	if err := dev.Pass(t.Context()); err == nil {
		t.Error("dev took it")
	}
	if _, err := prod.Promote(t.Context(), "operator", "two is good", time.Hour, s.operator); err != nil {
		t.Fatal(err)
	}
	if err := prod.Pass(t.Context()); err != nil || valueIn(t, prod, "a") != "2" || valueIn(t, prod, "evil") != "" {
		t.Errorf("%v, prod has %q", err, valueIn(t, prod, "a"))
	}
}

func TestStagesThatNoOrderSatisfiesAreRefused(t *testing.T) {
	s := newStory(t, nil)
	o := s.o
	o.Source = o.Source.DeepCopy()
	o.Source.Spec.Stages = []v1alpha1.GitStage{{Name: "a", After: "b"}, {Name: "b", After: "a"}}
	if _, err := OpenAll(t.Context(), o); err == nil {
		t.Error("a circle is opened")
	}
}
