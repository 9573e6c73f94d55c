package release_test

import (
	"context"
	"errors"
	"strings"
	"testing"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/apexlogic/apex/api/v1alpha1"
	"github.com/apexlogic/apex/internal/clock"
	"github.com/apexlogic/apex/internal/gitops"
	"github.com/apexlogic/apex/internal/gitops/apply"
	"github.com/apexlogic/apex/internal/gitops/release"
	"github.com/apexlogic/apex/internal/trust"
	"github.com/apexlogic/apex/internal/trust/trusttest"
	"github.com/apexlogic/apex/verdict"
)

// stage is "prod" after "staging", with everything in order: each test breaks one
// thing of it.
type stage struct {
	*place
	ada, bob, eve trusttest.Key // eve is in no trust root
	before        release.Standing
	beforeErr     error
	report        verdict.Report
	reportErr     error
	gate          *v1alpha1.GitGate
	candidate     release.Candidate
}

func newStage(t *testing.T, gate *v1alpha1.GitGate) *stage {
	t.Helper()
	s := &stage{ada: trusttest.NewKey(t), bob: trusttest.NewKey(t), eve: trusttest.NewKey(t), gate: gate}
	set := both(t, "two")
	s.candidate = release.Candidate{Commit: "c2", Set: set, Authors: []string{"vision"}}
	s.before = release.Standing{Revision: apply.Revision{Commit: "c2", Set: set.Digest()}, Since: noon.Add(-time.Hour)}
	s.report = verdict.Report{Schema: verdict.ReportSchema, Verdicts: []verdict.Verdict{{Decision: verdict.Allow}}}
	root := trusttest.Root(t, trust.Options{}, s.ada.Entry("ada"), s.bob.Entry("bob"))
	s.place = newPlace(t, "", clock.At(noon), func(c *release.Config) {
		c.Stage = &v1alpha1.GitStage{Name: "prod", After: "staging", Gate: gate}
		c.Trust = root
		c.Owner = func(entry string) string { return map[string]string{"ada": "platform", "bob": "vision"}[entry] }
		c.Before = func(context.Context) (release.Standing, error) { return s.before, s.beforeErr }
		c.Verdicts = func(context.Context, apply.Revision, *gitops.Set) (verdict.Report, error) {
			return s.report, s.reportErr
		}
	})
	return s
}

// promotion is one that counts.
func (s *stage) promotion(approver string) *release.Promotion {
	s.t.Helper()
	p, err := s.Propose(s.t.Context(), &s.candidate, approver, "it soaked over the weekend", time.Hour)
	if err != nil {
		s.t.Fatal(err)
	}
	return p
}

func (s *stage) sign(p *release.Promotion, k trusttest.Key) []byte {
	s.t.Helper()
	bundle, err := p.Sign(k.Signer, nil)
	if err != nil {
		s.t.Fatal(err)
	}
	return bundle
}

func (s *stage) promote(k trusttest.Key, approver string) error {
	_, err := s.Promote(s.t.Context(), &s.candidate, s.sign(s.promotion(approver), k))
	return err
}

func (s *stage) enter() *release.Decision {
	s.t.Helper()
	d, err := s.Enter(s.t.Context(), &s.candidate)
	if err != nil {
		s.t.Fatal(err)
	}
	return d
}

func metric() v1alpha1.GitMetric {
	return v1alpha1.GitMetric{Server: "http://prometheus.example", Query: "budget", Min: "0.1"}
}

func TestAGateThatIsNotOpenKeepsTheRevisionOut(t *testing.T) {
	window := func(from, until time.Duration) []v1alpha1.GitFreeze {
		return []v1alpha1.GitFreeze{{From: metav1.Time{Time: noon.Add(from)}, Until: metav1.Time{Time: noon.Add(until)}, Reason: "holidays"}}
	}
	for _, tc := range []struct {
		name  string
		gate  v1alpha1.GitGate
		harm  func(s *stage) // nil: the promotion is missing
		code  verdict.Code
		state release.GateState
		until time.Duration // since noon; 0: not said
		mend  func(s *stage)
	}{
		{name: "nobody has promoted it", code: verdict.PromotionMissing, state: release.Waiting, mend: func(s *stage) {
			if err := s.promote(s.ada, "ada"); err != nil {
				s.t.Fatal(err)
			}
		}},
		{name: "one of two owners has promoted it", gate: v1alpha1.GitGate{Approvals: 2}, harm: func(*stage) {}, code: verdict.PromotionMissing, state: release.Waiting,
			mend: func(s *stage) {
				if err := s.promote(s.bob, "bob"); err != nil {
					s.t.Fatal(err)
				}
			}},
		{name: "its promotion has expired", harm: func(s *stage) { s.clock.Advance(time.Hour) }, code: verdict.PromotionExpired,
			mend: func(s *stage) {
				if err := s.promote(s.ada, "ada"); err != nil {
					s.t.Fatal(err)
				}
			}},
		{name: "the stage before holds another commit", harm: func(s *stage) { s.before.Revision.Commit = "c1" }, code: verdict.GateStage, state: release.Waiting,
			mend: func(s *stage) { s.before.Revision.Commit = "c2" }},
		{name: "the stage before holds nothing whole", harm: func(s *stage) { s.before.Revision = apply.Revision{} }, code: verdict.GateStage, state: release.Waiting,
			mend: func(s *stage) { s.before.Revision = apply.Revision{Commit: "c2", Set: "sha256:any"} }},
		{name: "the stage before cannot be asked", harm: func(s *stage) { s.beforeErr = errors.New("no route") }, code: verdict.GateUnknown,
			mend: func(s *stage) { s.beforeErr = nil }},
		{name: "an object of the stage before is not healthy", harm: func(s *stage) { s.before.Sick = []apply.Unhealthy{{ID: ksvcID, Why: "it crashes"}} }, code: verdict.GateHealth,
			mend: func(s *stage) { s.before.Sick = nil }},
		{name: "the stage before has not soaked", gate: v1alpha1.GitGate{Soak: duration(2 * time.Hour)}, harm: func(*stage) {}, code: verdict.GateSoak, state: release.Waiting, until: time.Hour,
			mend: func(s *stage) { s.before.Since = noon.Add(-2 * time.Hour) }},
		{name: "the stage before is not healthy since any time", gate: v1alpha1.GitGate{Soak: duration(time.Hour)}, harm: func(s *stage) { s.before.Since = time.Time{} }, code: verdict.GateSoak, state: release.Waiting,
			mend: func(s *stage) { s.before.Since = noon.Add(-time.Hour) }},
		{name: "the error budget is spent", gate: v1alpha1.GitGate{Metrics: []v1alpha1.GitMetric{metric()}}, harm: func(*stage) {}, code: verdict.GateMetric,
			mend: func(s *stage) { s.value = func(release.Sample) (float64, error) { return 0.2, nil } }},
		{name: "the error budget cannot be asked", gate: v1alpha1.GitGate{Metrics: []v1alpha1.GitMetric{metric()}}, code: verdict.GateUnknown,
			harm: func(s *stage) { s.value = func(release.Sample) (float64, error) { return 1, errors.New("no route") } },
			mend: func(s *stage) { s.value = func(release.Sample) (float64, error) { return 1, nil } }},
		{name: "the stage is frozen", gate: v1alpha1.GitGate{Freeze: window(-time.Hour, 30*time.Minute)}, harm: func(*stage) {}, code: verdict.GateFreeze, state: release.Waiting, until: 30 * time.Minute,
			mend: func(s *stage) { s.clock.Advance(30 * time.Minute) }},
		{name: "something is denied now", harm: func(s *stage) {
			s.report.Verdicts = append(s.report.Verdicts, verdict.Verdict{Decision: verdict.Deny, Code: verdict.Revoked})
		}, code: verdict.GateVerdicts, mend: func(s *stage) { s.report.Verdicts = s.report.Verdicts[:1] }},
		{name: "something cannot be judged", harm: func(s *stage) {
			s.report.Unresolved = []verdict.Unresolved{{Code: verdict.ReferenceUnresolved}}
		}, code: verdict.GateVerdicts, mend: func(s *stage) { s.report.Unresolved = nil }},
		{name: "there are no verdicts", harm: func(s *stage) { s.report.Schema = "" }, code: verdict.GateUnknown,
			mend: func(s *stage) { s.report.Schema = verdict.ReportSchema }},
		{name: "the verdicts cannot be had", harm: func(s *stage) { s.reportErr = errors.New("no registry") }, code: verdict.GateUnknown,
			mend: func(s *stage) { s.reportErr = nil }},
	} {
		t.Run(tc.name, func(t *testing.T) {
			s := newStage(t, &tc.gate)
			if tc.harm != nil {
				if err := s.promote(s.ada, "ada"); err != nil {
					t.Fatal(err)
				}
				tc.harm(s)
			}
			d := s.enter()
			r := d.Refusal()
			if d.Open || r == nil || r.Code != tc.code {
				t.Fatalf("the gates say %+v, want %s", d, tc.code)
			}
			if !strings.Contains(r.Error(), tc.code.Info().Mend) {
				t.Errorf("it does not say how to mend it: %v", r)
			}
			for _, g := range d.Gates {
				if g.Code != tc.code {
					continue
				}
				if g.State != tc.state || (tc.until != 0) != !g.Until.IsZero() || tc.until != 0 && !g.Until.Equal(noon.Add(tc.until)) {
					t.Errorf("the gate %s is %s until %s", g.Gate, g.State, g.Until)
				}
				break
			}
			tc.mend(s)
			if d := s.enter(); !d.Open {
				t.Errorf("with that mended it stays out: %v", d.Refusal())
			}
		})
	}
}

func TestAPromotionCountsForWhatItSaysAndNothingElse(t *testing.T) {
	for _, tc := range []struct {
		name string
		code verdict.Code
		harm func(p *release.Promotion)
	}{
		{"another source", verdict.PromotionInvalid, func(p *release.Promotion) { p.Source = "billing" }},
		{"another stage", verdict.PromotionInvalid, func(p *release.Promotion) { p.Stage = "staging" }},
		{"from another stage", verdict.PromotionInvalid, func(p *release.Promotion) { p.From = "dev" }},
		{"another commit", verdict.PromotionInvalid, func(p *release.Promotion) { p.Commit = "c1" }},
		{"another set", verdict.PromotionInvalid, func(p *release.Promotion) { p.Set = trusttest.Digest("other") }},
		{"an older state of the stage", verdict.PromotionUsed, func(p *release.Promotion) { p.Counter = 7 }},
		{"a time that is over", verdict.PromotionExpired, func(p *release.Promotion) { p.At, p.Expires = noon.Add(-2*time.Hour), noon }},
		{"a time that lies ahead", verdict.PromotionInvalid, func(p *release.Promotion) { p.At, p.Expires = noon.Add(time.Hour), noon.Add(2*time.Hour) }},
		{"another approver than its signer", verdict.PromotionInvalid, func(p *release.Promotion) { p.Approver = "bob" }},
	} {
		t.Run(tc.name, func(t *testing.T) {
			s := newStage(t, nil)
			p := s.promotion("ada")
			tc.harm(p)
			_, err := s.Promote(t.Context(), &s.candidate, s.sign(p, s.ada))
			wantRefusal(t, err, tc.code)
			if err := s.promote(s.ada, "ada"); err != nil {
				t.Errorf("the one that says the right thing: %v", err)
			}
		})
	}
}

func TestAPromotionOfAStrangerDoesNotCount(t *testing.T) {
	s := newStage(t, nil)
	wantRefusal(t, s.promote(s.eve, "ada"), verdict.PromotionInvalid)
	_, err := s.Promote(t.Context(), &s.candidate, []byte("{}"))
	wantRefusal(t, err, verdict.PromotionInvalid)
	// A signature of the right person under another kind of statement.
	bundle, err := trust.Attest(s.ada.Signer, "captioner/prod", s.candidate.Set.Digest(), "https://example.com/other", []byte(`{}`))
	if err != nil {
		t.Fatal(err)
	}
	_, err = s.Promote(t.Context(), &s.candidate, bundle)
	wantRefusal(t, err, verdict.PromotionInvalid)
	if d := s.enter(); d.Open {
		t.Error("it entered")
	}
}

func TestWhoMadeARevisionMayNotPromoteItWhereThatIsAsked(t *testing.T) {
	s := newStage(t, &v1alpha1.GitGate{NotAuthor: true})
	wantRefusal(t, s.promote(s.bob, "bob"), verdict.PromotionAuthor) // bob is of the team vision, who signed it
	authors := s.candidate.Authors
	s.candidate.Authors = nil
	wantRefusal(t, s.promote(s.ada, "ada"), verdict.GateUnknown)
	s.candidate.Authors = authors
	if err := s.promote(s.ada, "ada"); err != nil {
		t.Fatal(err)
	}
	if d := s.enter(); !d.Open {
		t.Errorf("it stays out: %v", d.Refusal())
	}
}

func TestOneOwnerCountsOnce(t *testing.T) {
	s := newStage(t, &v1alpha1.GitGate{Approvals: 2})
	for range 3 {
		if err := s.promote(s.ada, "ada"); err != nil {
			t.Fatal(err)
		}
	}
	if d := s.enter(); d.Open {
		t.Error("one person said it three times, and it entered")
	}
}

func TestAPromotionIsUsedUp(t *testing.T) {
	s := newStage(t, nil)
	old := s.sign(s.promotion("ada"), s.ada)
	if _, err := s.Promote(t.Context(), &s.candidate, old); err != nil {
		t.Fatal(err)
	}
	if d := s.enter(); !d.Open {
		t.Fatal(d.Refusal())
	}
	// A killed process asks again, and goes on.
	s.before.Sick = []apply.Unhealthy{{ID: ksvcID}}
	if d := s.enter(); !d.Open {
		t.Errorf("what was let in is kept out: %v", d.Refusal())
	}
	s.before.Sick = nil
	v, proof, err := s.Promotions(t.Context())
	if err != nil || v.Commit != "c2" || len(proof) != 1 {
		t.Errorf("the proof is %v of %v, %v", len(proof), v, err)
	}
	first := s.candidate
	s.candidate = release.Candidate{Commit: "c3", Set: both(t, "three")}
	s.before.Revision.Commit = "c3"
	if err := s.promote(s.ada, "ada"); err != nil {
		t.Fatal(err)
	}
	if d := s.enter(); !d.Open {
		t.Fatal(d.Refusal())
	}
	// The old one would take the stage back.
	_, err = s.Promote(t.Context(), &first, old)
	wantRefusal(t, err, verdict.PromotionUsed)
}

func TestAPromotionCanBeAttachedToTheSetsArtifact(t *testing.T) {
	s := newStage(t, nil)
	bundle, err := s.promotion("ada").Sign(s.ada.Signer, &verdict.Ref{Repo: "registry.example/sets", Digest: trusttest.Digest("artifact")})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := s.Promote(t.Context(), &s.candidate, bundle); err != nil {
		t.Fatal(err)
	}
	if d := s.enter(); !d.Open {
		t.Error(d.Refusal())
	}
}

func TestTheFirstStageTakesEveryRevision(t *testing.T) {
	p := newPlace(t, "", clock.At(noon), func(c *release.Config) { c.Stage = &v1alpha1.GitStage{Name: "dev"} })
	d, err := p.Enter(t.Context(), &release.Candidate{Commit: "c1", Set: both(t, "one")})
	if err != nil || !d.Open {
		t.Errorf("got %+v, %v", d, err)
	}
	if p.Name() != "captioner.dev" {
		t.Errorf("its objects carry the label %s", p.Name())
	}
}

func TestSoakingIsInterrupted(t *testing.T) {
	for _, tc := range []struct {
		name string
		harm func(p *place)
		want time.Duration // since noon
	}{
		{"by nothing while it is looked at", func(p *place) {}, 0},
		{"by an object that is not healthy", func(p *place) {
			p.played.Sicken(ksvcID, "it crashes")
			p.turn()
			if s, err := p.Look(p.t.Context()); err != nil || !s.Since.IsZero() || len(s.Sick) != 1 {
				p.t.Fatalf("got %+v, %v", s, err)
			}
			p.played.Sicken(ksvcID, "")
			p.turn()
		}, 4 * time.Minute},
		{"by nobody looking", func(p *place) { p.clock.Advance(6 * time.Minute) }, 10 * time.Minute},
	} {
		t.Run(tc.name, func(t *testing.T) {
			p := newPlace(t, "", clock.At(noon), nil)
			p.deploy("one", both(t, "one"))
			p.turn()
			for range 2 {
				if s, err := p.Look(t.Context()); err != nil || !s.Since.Equal(noon) || s.Revision.Commit != "one" {
					t.Fatalf("got %+v, %v", s, err)
				}
				p.clock.Advance(2 * time.Minute)
			}
			tc.harm(p)
			if s, err := p.Look(t.Context()); err != nil || !s.Since.Equal(noon.Add(tc.want)) {
				t.Errorf("healthy since %s, %v", s.Since, err)
			}
		})
	}
}
