package ci

import (
	"context"
	"errors"
	"testing"
	"time"

	"github.com/apexlogic/apex/internal/config"
	"github.com/apexlogic/apex/internal/fact"
	"github.com/apexlogic/apex/internal/repo"
	"github.com/apexlogic/apex/internal/verify"
	"github.com/apexlogic/apex/verdict"
)

const policyDoc = `apiVersion: security.apexlogic.com/v1alpha1
kind: ImageSecurityPolicy
metadata: {name: signed}
spec:
  imageSelector: {}
  rules:
    - {name: RequireImageSignature, parameters: {requireSignatureFrom: [key]}}
`

const functionPolicy = `apiVersion: security.apexlogic.com/v1alpha1
kind: FunctionSecurityPolicy
metadata: {name: narrow}
spec:
  functionSelector: {}
  rules: [{name: LeastPrivilege}]
`

const pod = `apiVersion: v1
kind: Pod
metadata: {name: app, namespace: vision}
spec:
  containers: [{name: app, image: "registry.example/app:1.0"}]
`

// history is a repository with one commit after the other.
type history struct {
	*repo.Repo
	t *testing.T
	n int
}

func newHistory(t *testing.T) *history {
	t.Helper()
	r, err := repo.Init(t.TempDir(), repo.Author{Name: "Dev", Email: "dev@example.com"})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { r.Close() })
	return &history{Repo: r, t: t}
}

func (h *history) commit(files map[string]string) repo.Commit {
	h.t.Helper()
	change := repo.Change{Files: map[string][]byte{}, Message: "change", At: time.Unix(int64(1_800_000_000+h.n), 0)}
	h.n++
	for name, text := range files {
		if text == "" {
			change.Files[name] = nil
			continue
		}
		change.Files[name] = []byte(text)
	}
	c, err := h.Commit(h.t.Context(), change)
	if err != nil {
		h.t.Fatal(err)
	}
	return c
}

func (h *history) read(base, head repo.Commit, paths ...string) *Change {
	h.t.Helper()
	c, err := Read(h.t.Context(), h.Repo, Options{Base: base, Head: head, Policies: []string{"policies"}, Paths: paths})
	if err != nil {
		h.t.Fatal(err)
	}
	return c
}

func TestOnlyWhatChangesIsAskedUnlessTheRulesChange(t *testing.T) {
	h := newHistory(t)
	first := h.commit(map[string]string{"policies/p.yaml": policyDoc, "a.yaml": pod, "README.md": "x"})
	if c := h.read("", first); c.Everything == "" || len(c.Questions) != 1 || c.Before != nil || c.After == nil {
		t.Errorf("the first commit: %+v", c)
	}
	second := h.commit(map[string]string{"b.yaml": pod})
	if c := h.read(first, second); c.Everything != "" || len(c.Questions) != 1 || c.Questions[0].Where.File != "b.yaml" {
		t.Errorf("a changed file: %q %+v", c.Everything, c.Questions)
	}
	third := h.commit(map[string]string{"policies/p.yaml": policyDoc + "# a comment\n"})
	if c := h.read(second, third); c.Everything != "" || len(c.Questions) != 0 {
		t.Errorf("a comment changes no rule: %q", c.Everything)
	}
	fourth := h.commit(map[string]string{"policies/f.yaml": functionPolicy})
	if c := h.read(third, fourth); c.Everything == "" || len(c.Questions) != 2 {
		t.Errorf("another rule judges everything: %q, %d questions", c.Everything, len(c.Questions))
	}
	if c := h.read(third, fourth, "a.yaml", "deploy"); len(c.Questions) != 1 {
		t.Errorf("%d questions of the one path", len(c.Questions))
	}
	fifth := h.commit(map[string]string{"a.yaml": ""})
	if c := h.read(fourth, fifth); len(c.Questions) != 0 || len(c.Unresolved) != 0 {
		t.Errorf("a file that is removed asks for nothing: %+v", c)
	}
	sixth := h.commit(map[string]string{"c.yaml": "a: &x [*x]\n--- ]["})
	if c := h.read(fifth, sixth); len(c.Unresolved) == 0 {
		t.Error("a file that cannot be read is let through")
	}
}

func TestPoliciesThatAreBrokenStopTheGate(t *testing.T) {
	h := newHistory(t)
	first := h.commit(map[string]string{"policies/p.yaml": policyDoc})
	second := h.commit(map[string]string{"policies/p.yaml": policyDoc + "  unknown: field\n"})
	if _, err := Read(t.Context(), h.Repo, Options{Base: first, Head: second, Policies: []string{"policies"}}); err == nil {
		t.Error("policies that are not valid are passed over")
	}
}

// engine answers by the name of the policies in force.
type engine struct {
	answers map[string]verdict.Decision // by hash of the set; Deny is the default
	now     string
	broken  bool
}

func (e *engine) Publish(_ context.Context, s *config.Set) error {
	if e.broken {
		return errors.New("not ready")
	}
	e.now = s.Hash()
	return nil
}

func (e *engine) Images(_ context.Context, questions []verdict.Question) verdict.Report {
	r := verdict.Report{Schema: verdict.ReportSchema}
	for _, q := range questions {
		r.Verdicts = append(r.Verdicts, verdict.Verdict{Question: q, Decision: e.answers[e.now]})
	}
	return r
}

func (e *engine) Functions(_ context.Context, functions []verify.Function) verdict.Report {
	r := verdict.Report{Schema: verdict.ReportSchema}
	for i := range functions {
		f, _, _ := functions[i].Fact.Some()
		r.Verdicts = append(r.Verdicts, verdict.Verdict{Question: verdict.Question{Asked: f.Name}, Decision: e.answers[e.now]})
	}
	return r
}

func TestTheStricterOfTwoAnswersCounts(t *testing.T) {
	h := newHistory(t)
	base := h.commit(map[string]string{"policies/p.yaml": policyDoc})
	head := h.commit(map[string]string{"policies/f.yaml": functionPolicy, "a.yaml": pod})
	c := h.read(base, head)
	describe := verify.Function{Fact: fact.Complete(fact.Function{Name: "describe"}, "app", time.Unix(1, 0))}
	for _, tc := range []struct {
		name         string
		before, then verdict.Decision
		want         verdict.Decision
		whose        string
	}{
		{"both allow", verdict.Allow, verdict.Allow, verdict.Allow, OfBoth},
		{"the base denies", verdict.Deny, verdict.Allow, verdict.Deny, OfBase},
		{"the change denies", verdict.Allow, verdict.Deny, verdict.Deny, OfChange},
		{"one warns", verdict.Allow, verdict.Warn, verdict.Warn, OfChange},
	} {
		t.Run(tc.name, func(t *testing.T) {
			e := &engine{answers: map[string]verdict.Decision{c.Before.Hash(): tc.before, c.After.Hash(): tc.then}}
			j, err := Judge(t.Context(), e, c, []verify.Function{describe})
			if err != nil {
				t.Fatal(err)
			}
			if j.Decision() != tc.want || j.Rules[0] != tc.whose {
				t.Errorf("%s by %q", j.Decision(), j.Rules[0])
			}
			// Only the change's policies speak about functions.
			if len(j.Report.Verdicts) != 2 || j.Rules[1] != OfChange || j.Report.Verdicts[1].Asked != "describe" || len(j.Report.NotJudged) != 0 {
				t.Errorf("functions: %+v %v, not judged %v", j.Report.Verdicts, j.Rules, j.Report.NotJudged)
			}
		})
	}
	if _, err := Judge(t.Context(), &engine{broken: true}, c, nil); err == nil {
		t.Error("policies that cannot be put in force are passed over")
	}
}

func TestAChangeCannotTakeAllPoliciesAway(t *testing.T) {
	h := newHistory(t)
	base := h.commit(map[string]string{"policies/p.yaml": policyDoc, "a.yaml": pod})
	head := h.commit(map[string]string{"policies/p.yaml": ""})
	c := h.read(base, head)
	e := &engine{answers: map[string]verdict.Decision{c.Before.Hash(): verdict.Allow}}
	if _, err := Judge(t.Context(), e, c, nil); err == nil {
		t.Error("it is allowed")
	}
	none := newHistory(t)
	empty := none.read("", none.commit(map[string]string{"a.yaml": pod}))
	if _, err := Judge(t.Context(), e, empty, nil); !errors.Is(err, ErrNoPolicies) {
		t.Errorf("got %v", err)
	}
}

func TestAChangeThatDeploysNothingIsAllowed(t *testing.T) {
	h := newHistory(t)
	base := h.commit(map[string]string{"policies/p.yaml": policyDoc})
	c := h.read(base, h.commit(map[string]string{"README.md": "words"}))
	j, err := Judge(t.Context(), &engine{answers: map[string]verdict.Decision{}}, c, nil)
	if err != nil || !j.Nothing || j.Decision() != verdict.Allow || c.Skipped != 1 {
		t.Errorf("%+v, %v", j, err)
	}
}
