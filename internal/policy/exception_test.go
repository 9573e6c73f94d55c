package policy

import (
	"encoding/base64"
	"encoding/json"
	"strings"
	"testing"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/apexlogic/apex/api/v1alpha1"
	"github.com/apexlogic/apex/internal/fact"
	"github.com/apexlogic/apex/internal/trust"
	"github.com/apexlogic/apex/internal/trust/trusttest"
	"github.com/apexlogic/apex/verdict"
)

// house is a world whose image has no signature, with a real approver.
type house struct {
	*world
	exceptions  []v1alpha1.PolicyException
	revocations []v1alpha1.Revocation
	keys        map[string]trusttest.Key
	t           *testing.T
}

// newHouse has carol, who approves exceptions and revocations, and dan, whose
// key is for images alone. One exception, asked for by vera and signed by
// carol, covers the failed check for a day.
func newHouse(t *testing.T) *house {
	h := &house{world: signedWorld(), keys: map[string]trusttest.Key{}, t: t}
	h.signatures = nil
	h.roots = append(h.roots[:2],
		v1alpha1.TrustEntry{Name: "carol-key", Owner: "carol", Uses: []v1alpha1.TrustUse{v1alpha1.UseExceptions, v1alpha1.UseRevocations}, Key: &v1alpha1.KeyEntry{}},
		v1alpha1.TrustEntry{Name: "dan-key", Owner: "dan", Key: &v1alpha1.KeyEntry{}},
	)
	for _, name := range []string{"carol-key", "dan-key", "stranger"} {
		h.keys[name] = trusttest.NewKey(t)
	}
	h.exceptions = []v1alpha1.PolicyException{{ObjectMeta: metav1.ObjectMeta{Name: "hotfix"}, Spec: v1alpha1.PolicyExceptionSpec{
		Digest: string(subject), Policy: "p", Rule: string(v1alpha1.RequireImageSignature), Reason: "the signer is down",
		Author: "vera", ExpiresAt: metav1.NewTime(noon.Add(24 * time.Hour)),
	}}}
	return h
}

func (h *house) sign(kind string, spec any, key string) *v1alpha1.DocumentSignature {
	h.t.Helper()
	doc, err := json.Marshal(spec)
	if err != nil {
		h.t.Fatal(err)
	}
	envelope, err := trust.SignDocument(h.keys[key], kind, doc)
	if err != nil {
		h.t.Fatal(err)
	}
	return &v1alpha1.DocumentSignature{Envelope: base64.StdEncoding.EncodeToString(envelope)}
}

func (h *house) approve(i int, key string) {
	spec := h.exceptions[i].Spec
	spec.Signature = nil
	h.exceptions[i].Spec.Signature = h.sign(DocumentException, spec, key)
}

// verifier verifies documents as the engine does: a root per use.
func (h *house) verifier() DocumentVerifier {
	roots := map[v1alpha1.TrustUse]*trust.Root{
		v1alpha1.UseExceptions:  trusttest.Root(h.t, trust.Options{}, h.keys["carol-key"].Entry("carol-key")),
		v1alpha1.UseRevocations: trusttest.Root(h.t, trust.Options{}, h.keys["carol-key"].Entry("carol-key")),
	}
	return func(use v1alpha1.TrustUse, kind string, envelope []byte) ([]byte, []fact.Signing, error) {
		return roots[use].VerifyDocument(envelope, kind, noon)
	}
}

func (h *house) compile() *Set {
	docs := h.documents()
	docs.Exceptions, docs.Revocations = h.exceptions, h.revocations
	return Compile(docs, h.verifier())
}

// decide judges the image, with the exceptions that are in force.
func (h *house) decide() (verdict.Decision, []verdict.Check, *Set) {
	set := h.compile()
	checks := set.Policies[0].Check(&h.q, h.facts(), h.now)
	_, notes := Apply(set.Exceptions, &h.q, checks, h.now)
	checks = append(checks, notes...)
	d, _, _ := verdict.Decide(checks)
	return d, checks, set
}

func TestAnExceptionCoversOneCheckOfOneDigestUntilItExpires(t *testing.T) {
	covers := func(t *testing.T) *house {
		h := newHouse(t)
		h.approve(0, "carol-key")
		return h
	}
	h := covers(t)
	d, checks, _ := h.decide()
	if d != verdict.Allow || len(checks) != 1 || checks[0].Exception != "hotfix" || checks[0].Outcome != verdict.Fail {
		t.Fatalf("%s: %+v", d, checks)
	}
	if !checks[0].Until.Equal(noon.Add(24 * time.Hour)) {
		t.Errorf("the answer holds until %s", checks[0].Until)
	}
	spec := func(h *house) *v1alpha1.PolicyExceptionSpec { return &h.exceptions[0].Spec }
	for _, tt := range []struct {
		name  string
		wrong func(*house)
		code  verdict.Code // of the note or the problem; "" when there is nothing to say
	}{
		{"it has expired", func(h *house) { spec(h).ExpiresAt = metav1.NewTime(noon); h.approve(0, "carol-key") }, verdict.ExceptionExpired},
		{"it has no expiry", func(h *house) { spec(h).ExpiresAt = metav1.Time{}; h.approve(0, "carol-key") }, verdict.ExceptionNoExpiry},
		{"its author approved it", func(h *house) { spec(h).Author = "carol"; h.approve(0, "carol-key") }, verdict.ExceptionSelfApproved},
		{"its author approved it under another spelling", func(h *house) { spec(h).Author = " CAROL "; h.approve(0, "carol-key") }, verdict.ExceptionSelfApproved},
		{"nobody approved it", func(h *house) { spec(h).Signature = nil }, verdict.ExceptionUnsigned},
		{"a stranger approved it", func(h *house) { h.approve(0, "stranger") }, verdict.ExceptionUnsigned},
		{"somebody approved it whose key is for images", func(h *house) { h.approve(0, "dan-key") }, verdict.ExceptionUnsigned},
		{"it was changed after it was approved", func(h *house) { spec(h).ExpiresAt = metav1.NewTime(noon.Add(1000 * time.Hour)) }, verdict.ExceptionUnsigned},
		{"what was approved is another kind of document", func(h *house) {
			s := *spec(h)
			s.Signature = nil
			spec(h).Signature = h.sign(DocumentRevocation, s, "carol-key")
		}, verdict.ExceptionUnsigned},
		{"its signature is not base64", func(h *house) { spec(h).Signature.Envelope = "%" }, verdict.ExceptionUnsigned},
		{"it names a tag", func(h *house) { spec(h).Digest = "registry.example/vision/captioner:1.0"; h.approve(0, "carol-key") }, verdict.ExceptionSubject},
		{"it names nothing", func(h *house) { spec(h).Digest = ""; h.approve(0, "carol-key") }, verdict.ExceptionSubject},
		{"it is for another digest", func(h *house) { spec(h).Digest = string(digestOf("else")); h.approve(0, "carol-key") }, ""},
		{"it is for another repository", func(h *house) { spec(h).Repository = "registry.example/else"; h.approve(0, "carol-key") }, ""},
		{"it is from another rule", func(h *house) { spec(h).Rule = "RequireSBOM"; h.approve(0, "carol-key") }, ""},
		{"it is from another policy", func(h *house) { spec(h).Policy = "q"; h.approve(0, "carol-key") }, ""},
		{"another live one covers the same check", func(h *house) {
			h.exceptions = append(h.exceptions, *h.exceptions[0].DeepCopy())
			h.exceptions[1].Name = "second"
			h.approve(1, "carol-key")
		}, verdict.ExceptionConflict},
	} {
		t.Run(tt.name, func(t *testing.T) {
			h := covers(t)
			tt.wrong(h)
			d, checks, set := h.decide()
			if d != verdict.Deny || checks[0].Exception != "" {
				t.Fatalf("%s: %+v", d, checks)
			}
			var codes []verdict.Code
			for _, c := range checks[1:] {
				codes = append(codes, c.Code)
				if c.Action != verdict.ActionAudit {
					t.Errorf("the note %s bites", c.Code)
				}
			}
			for _, p := range set.Problems {
				codes = append(codes, p.Code)
			}
			if tt.code == "" && len(codes) > 0 || tt.code != "" && (len(codes) != 1 || codes[0] != tt.code) {
				t.Errorf("%v, want %q", codes, tt.code)
			}
		})
	}
}

func TestAnExceptionMayBeNarrowerAndStillCover(t *testing.T) {
	for name, with := range map[string]func(*house){
		"it names the repository": func(h *house) { h.exceptions[0].Spec.Repository = repository },
		"it names the index": func(h *house) {
			h.q.Index = digestOf("index")
			h.exceptions[0].Spec.Digest = string(h.q.Index)
		},
		"an expired one is beside it": func(h *house) {
			h.exceptions = append(h.exceptions, *h.exceptions[0].DeepCopy())
			h.exceptions[1].Name = "old"
			h.exceptions[1].Spec.ExpiresAt = metav1.NewTime(noon.Add(-time.Hour))
			h.approve(1, "carol-key")
		},
	} {
		t.Run(name, func(t *testing.T) {
			h := newHouse(t)
			with(h)
			h.approve(0, "carol-key")
			if d, checks, _ := h.decide(); d != verdict.Allow {
				t.Errorf("%s: %+v", d, checks)
			}
		})
	}
}

func TestAnExceptionCoversNoPolicyThatIsNotReady(t *testing.T) {
	h := newHouse(t)
	h.param.RequireSignatureFrom = []string{"mallory"}
	h.approve(0, "carol-key")
	if d, checks, _ := h.decide(); d != verdict.Deny || checks[0].Code != verdict.PolicyNotReady {
		t.Errorf("%s: %+v", d, checks)
	}
}

func TestARevocationStopsItsDigestWhoeverSaysSo(t *testing.T) {
	index := digestOf("index")
	for _, tt := range []struct {
		name     string
		digest   verdict.Digest
		signed   bool
		stops    bool
		problems int
	}{
		{"signed, about the digest", subject, true, true, 0},
		{"unsigned, about the digest", subject, false, true, 1},
		{"signed, about the index", index, true, true, 0},
		{"signed, about something else", digestOf("else"), true, false, 0},
	} {
		t.Run(tt.name, func(t *testing.T) {
			h := newHouse(t)
			h.q.Index, h.exceptions = index, nil
			spec := v1alpha1.RevocationSpec{Digest: string(tt.digest), Reason: "the build machine was taken over"}
			if tt.signed {
				spec.Signature = h.sign(DocumentRevocation, spec, "carol-key")
			}
			h.revocations = []v1alpha1.Revocation{{ObjectMeta: metav1.ObjectMeta{Name: "r"}, Spec: spec}}
			set := h.compile()
			r, stops := set.Revoked(&h.q)
			if stops != tt.stops || stops && (r.Name != "r" || r.Reason == "") || len(set.Problems) != tt.problems {
				t.Errorf("stops %v (%+v), problems %v", stops, r, set.Problems)
			}
		})
	}
	empty := &Set{Revocations: []Revocation{{Name: "about a key", KeyID: "k"}}}
	if _, stops := empty.Revoked(&verdict.Question{}); stops {
		t.Error("a revocation of a key stops what has no digest")
	}
}

// TestOnlyATrustedSignerKeepsEarlierSignaturesAlive: since is a favour.
func TestOnlyATrustedSignerKeepsEarlierSignaturesAlive(t *testing.T) {
	for name, signed := range map[string]bool{"signed": true, "unsigned": false} {
		h := newHouse(t)
		spec := v1alpha1.RevocationSpec{
			Identity: &v1alpha1.RevokedIdentity{Issuer: "https://issuer.example", Subject: "mallory"},
			Reason:   "the token leaked", Since: clone(metav1.NewTime(noon.Add(-time.Hour))),
		}
		if signed {
			spec.Signature = h.sign(DocumentRevocation, spec, "carol-key")
		}
		h.revocations = []v1alpha1.Revocation{{Spec: spec}}
		r := h.compile().Revocations[0]
		if r.Since.IsZero() == signed || r.Subject != "mallory" || r.Issuer != "https://issuer.example" {
			t.Errorf("%s: %+v", name, r)
		}
	}
}

func TestEnforcementSaysHowHardADenialBites(t *testing.T) {
	for _, tt := range []struct {
		enforcement v1alpha1.Enforcement
		action      v1alpha1.Action
		want        verdict.Decision
		observed    bool
	}{
		{"", "", verdict.Deny, false},
		{v1alpha1.Enforce, "Deny", verdict.Deny, false},
		{v1alpha1.Enforce, "Warn", verdict.Warn, false},
		{v1alpha1.Enforce, "Audit", verdict.Allow, false},
		{v1alpha1.Warn, "Deny", verdict.Warn, false},
		{v1alpha1.Warn, "Audit", verdict.Allow, false},
		{v1alpha1.Observe, "Deny", verdict.Allow, true},
	} {
		w := signedWorld()
		w.signatures = nil
		docs := w.documents()
		docs.Policies[0].Spec.Enforcement = tt.enforcement
		docs.Policies[0].Spec.Rules[0].Action = tt.action
		checks := Compile(docs, nil).Policies[0].Check(&w.q, w.facts(), noon)
		d, _, _ := verdict.Decide(checks)
		if d != tt.want || checks[0].Observed != tt.observed || checks[0].Outcome != verdict.Fail {
			t.Errorf("%s %s: %s %+v", tt.enforcement, tt.action, d, checks[0])
		}
	}
}

func TestSelectorsMatchTheLabelsOfTheWorkload(t *testing.T) {
	app := map[string]string{"app": "multimodal-inference"}
	for _, tt := range []struct {
		name     string
		selector *metav1.LabelSelector
		want     bool
		ready    bool
	}{
		{"an empty one selects everything", &metav1.LabelSelector{}, true, true},
		{"the right label", &metav1.LabelSelector{MatchLabels: app}, true, true},
		{"another value", &metav1.LabelSelector{MatchLabels: map[string]string{"app": "x"}}, false, true},
		{"an expression", &metav1.LabelSelector{MatchExpressions: []metav1.LabelSelectorRequirement{{Key: "app", Operator: "Exists"}}}, true, true},
		{"none at all denies everything", nil, true, false},
		{"one that cannot be read denies everything", &metav1.LabelSelector{MatchExpressions: []metav1.LabelSelectorRequirement{{Key: "app", Operator: "Like"}}}, true, false},
	} {
		t.Run(tt.name, func(t *testing.T) {
			w := signedWorld()
			docs := w.documents()
			docs.Policies[0].Spec.ImageSelector = tt.selector
			p := Compile(docs, nil).Policies[0]
			if p.Selects(app) != tt.want || (len(p.NotReady) == 0) != tt.ready {
				t.Errorf("selects %v, not ready: %v", p.Selects(app), p.NotReady)
			}
		})
	}
}

func TestWhatCannotBeCompiledIsNotReady(t *testing.T) {
	for name, tt := range map[string]struct {
		wrong func(*v1alpha1.ImageSecurityPolicySpec)
		says  string
	}{
		"an unknown rule":   {func(s *v1alpha1.ImageSecurityPolicySpec) { s.Rules[0].Name = "RequireLuck" }, `"RequireLuck" is not known`},
		"an unknown action": {func(s *v1alpha1.ImageSecurityPolicySpec) { s.Rules[0].Action = "deny" }, `unknown action "deny"`},
		"no rules":          {func(s *v1alpha1.ImageSecurityPolicySpec) { s.Rules = nil }, "no rules"},
	} {
		t.Run(name, func(t *testing.T) {
			w := signedWorld()
			docs := w.documents()
			tt.wrong(&docs.Policies[0].Spec)
			p := Compile(docs, nil).Policies[0]
			if !strings.Contains(strings.Join(p.NotReady, "\n"), tt.says) {
				t.Errorf("not ready: %q", p.NotReady)
			}
			if c := p.Check(&w.q, w.facts(), noon); len(c) != 1 || c[0].Code != verdict.PolicyNotReady {
				t.Errorf("%+v", c)
			}
		})
	}
}

type panics struct{}

func (panics) Needs() fact.Need { return 0 }
func (panics) Check(*verdict.Question, *fact.Set, time.Time) verdict.Check {
	panic("a defect")
}

func TestARuleThatPanicsLetsNothingPass(t *testing.T) {
	p := Policy{Name: "p", Rules: []Bound{{Rule: panics{}, Name: "Defective"}}}
	checks := p.Check(&verdict.Question{}, &fact.Set{}, noon)
	d, _, _ := verdict.Decide(checks)
	if d != verdict.Deny || checks[0].Code != verdict.RuleFailed || checks[0].Outcome != verdict.Unknown || checks[0].Rule != "Defective" {
		t.Errorf("%s: %+v", d, checks)
	}
}

// TestFactsThatNobodyGatheredProveNothing asks every rule about the zero Set.
func TestFactsThatNobodyGatheredProveNothing(t *testing.T) {
	for name, good := range map[string]func() *world{
		"signature": signedWorld, "report": scannedWorld, "base": basedWorld, "attestation": reviewedWorld,
		"sbom": sbomWorld, "provenance": builtWorld, "expression": expressionWorld("image.user == '65532'"),
	} {
		w := good()
		p := Compile(w.documents(), nil).Policies[0]
		c := p.Check(&w.q, &fact.Set{}, noon)[0]
		if c.Outcome != verdict.Unknown || c.Code != verdict.RuleNotGathered {
			t.Errorf("%s: %s %s", name, c.Outcome, c.Code)
		}
		if c := p.Check(&w.q, w.facts(), noon)[0]; c.Outcome != verdict.Pass {
			t.Errorf("%s: %s %s: %s", name, c.Outcome, c.Code, c.Detail)
		}
	}
}
