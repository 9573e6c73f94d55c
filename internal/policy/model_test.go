package policy

import (
	"crypto/sha256"
	"encoding/hex"
	"strings"
	"testing"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/apexlogic/apex/api/v1alpha1"
	"github.com/apexlogic/apex/internal/fact"
	"github.com/apexlogic/apex/verdict"
)

// modelWorld is what one check of a rule about models sees. As in world, its
// zero lists are complete facts: nothing is there.
type modelWorld struct {
	*world
	rule  v1alpha1.ModelRuleName
	param v1alpha1.ModelRuleParameters
	model fact.Model
}

// The files of the model of every modelWorld, in the order of their paths.
var modelFiles = []fact.ModelFile{
	{Path: "config.json", Digest: digestOf("{}"), Size: 2},
	{Path: "model.safetensors", Digest: digestOf("weights"), Size: 7},
	{Path: "tokenizer/vocab.txt", Digest: digestOf("words"), Size: 5},
}

// modelRoot is the root over files in their order, computed apart from the code
// that is tested.
func modelRoot(files []fact.ModelFile) verdict.Digest {
	sum := sha256.New()
	for _, f := range files {
		raw, err := hex.DecodeString(f.Digest.Hex())
		if err != nil {
			panic(err)
		}
		sum.Write(raw)
	}
	return verdict.Digest("sha256:" + hex.EncodeToString(sum.Sum(nil)))
}

// newModelWorld is a world with a model, signers for models and for images, and
// nothing about the model.
func newModelWorld(rule v1alpha1.ModelRuleName) *modelWorld {
	w := &modelWorld{world: newWorld(""), rule: rule}
	models := []v1alpha1.TrustUse{v1alpha1.UseModels}
	w.roots[0].Uses, w.roots[1].Uses = models, models
	w.roots = append(w.roots, v1alpha1.TrustEntry{Name: "imager", Key: w.roots[0].Key})
	w.q.Kind, w.q.Platform = verdict.KindModel, ""
	w.model = fact.Model{
		ArtifactType: "application/vnd.cncf.model.manifest.v1+json",
		Files:        append([]fact.ModelFile(nil), modelFiles...), Root: modelRoot(modelFiles), Licenses: []string{"Apache-2.0"},
	}
	return w
}

func (w *modelWorld) compile() Policy {
	policy := v1alpha1.ModelSecurityPolicy{ObjectMeta: metav1.ObjectMeta{Name: "p"}}
	policy.Spec.ModelSelector = &metav1.LabelSelector{}
	policy.Spec.Rules = []v1alpha1.ModelRule{{Name: w.rule, Parameters: w.param}}
	return Compile(Documents{
		Models:     []v1alpha1.ModelSecurityPolicy{policy},
		TrustRoots: []v1alpha1.TrustRoot{{Spec: v1alpha1.TrustRootSpec{Entries: w.roots}}},
	}, nil).Models[0]
}

// check compiles the world's policy, which has to be ready, and asks it. What
// the rule does not say that it needs is not gathered for it.
func (w *modelWorld) check(t *testing.T) verdict.Check {
	t.Helper()
	p := w.compile()
	if len(p.NotReady) > 0 {
		t.Fatalf("the policy is not ready: %v", p.NotReady)
	}
	facts, needs := &fact.Set{}, p.Needs()
	for _, need := range needs.Each() {
		switch need {
		case fact.NeedModel:
			facts.Model = established(w.world, need, w.model)
		case fact.NeedSignatures:
			facts.Signatures = established(w.world, need, w.signatures)
		case fact.NeedAttestations:
			facts.Attestations = established(w.world, need, w.attestations)
		case fact.NeedReports:
			facts.Reports = established(w.world, need, w.reports)
		case fact.NeedProvenance:
			facts.Provenance = established(w.world, need, w.provenance)
		default:
			t.Fatalf("a rule about models needs %s", need)
		}
	}
	checks := p.Check(&w.q, facts, w.now)
	if len(checks) != 1 {
		t.Fatalf("%d checks", len(checks))
	}
	return checks[0]
}

// modelTwin is one way to be refused: see twin.
type modelTwin struct {
	name    string
	wrong   func(*modelWorld)
	outcome verdict.Outcome
	code    verdict.Code
	says    string // a part of the detail
}

// runModelTwins checks for every row that the good world passes, and that the
// same world with the one thing wrong does not, for the reason that the row names.
func runModelTwins(t *testing.T, good func() *modelWorld, rows []modelTwin) {
	t.Helper()
	for _, row := range rows {
		t.Run(row.name, func(t *testing.T) {
			if c := good().check(t); c.Outcome != verdict.Pass || c.Code != verdict.OK {
				t.Fatalf("the good twin: %s %s: %s", c.Outcome, c.Code, c.Detail)
			}
			w := good()
			row.wrong(w)
			c := w.check(t)
			if c.Outcome != row.outcome || c.Code != row.code || !strings.Contains(c.Detail, row.says) {
				t.Errorf("%s %s: %s\nwant %s %s: …%s…", c.Outcome, c.Code, c.Detail, row.outcome, row.code, row.says)
			}
			if c.Detail == "" || c.Advice() == "" {
				t.Errorf("the reason %q or the mend %q of %s is empty", c.Detail, c.Advice(), c.Code)
			}
			bound := (&Policy{Name: "p"}).Bind(c, verdict.ActionDeny)
			if d, _, _ := verdict.Decide([]verdict.Check{bound}); d != verdict.Deny {
				t.Errorf("the decision is %s", d)
			}
		})
	}
}

type modelVariant struct {
	name string
	with func(*modelWorld)
}

func runModelPasses(t *testing.T, good func() *modelWorld, rows []modelVariant) {
	t.Helper()
	for _, row := range rows {
		t.Run(row.name, func(t *testing.T) {
			w := good()
			row.with(w)
			if c := w.check(t); c.Outcome != verdict.Pass {
				t.Errorf("%s %s: %s", c.Outcome, c.Code, c.Detail)
			}
		})
	}
}

// unlooked are the rows that every rule about something signed has in common:
// what could not be looked at is unknown, and unknown is denied.
func unlooked(kind fact.Need, nothing func(*modelWorld)) []modelTwin {
	return []modelTwin{
		{"what the model consists of could not be read", func(w *modelWorld) { w.unknown = fact.NeedModel }, verdict.Unknown, verdict.RegistryUnreachable, "consists of"},
		{"what is signed could not be fetched", func(w *modelWorld) { w.unknown = kind }, verdict.Unknown, verdict.RegistryUnreachable, "does not answer"},
		{"nothing is there and not everything was looked at", func(w *modelWorld) { w.partial = kind; nothing(w) }, verdict.Unknown, verdict.RegistryTooMany, "there is more"},
	}
}

func TestEverySignerOfARuleAboutModelsHasToBeForModels(t *testing.T) {
	for _, tt := range []struct {
		rule v1alpha1.ModelRuleName
		set  func(*v1alpha1.ModelRuleParameters, string)
	}{
		{v1alpha1.RequireModelSignature, func(p *v1alpha1.ModelRuleParameters, n string) { p.RequireSignatureFrom = []string{n} }},
		{v1alpha1.ModelScanThreshold, func(p *v1alpha1.ModelRuleParameters, n string) { p.ScanFrom = []string{n} }},
		{v1alpha1.AllowOnlyFormats, func(p *v1alpha1.ModelRuleParameters, n string) {
			p.ScanFrom, p.AllowedFormats = []string{n}, []string{"gguf"}
		}},
		{v1alpha1.DenyRemoteCode, func(p *v1alpha1.ModelRuleParameters, n string) { p.ScanFrom = []string{n} }},
		{v1alpha1.RequireModelProvenance, func(p *v1alpha1.ModelRuleParameters, n string) {
			p.ProvenanceFrom, p.Builders = []string{n}, []string{"https://builder.example"}
		}},
		{v1alpha1.RequireDatasetManifest, func(p *v1alpha1.ModelRuleParameters, n string) { p.DatasetFrom = []string{n} }},
	} {
		t.Run(string(tt.rule), func(t *testing.T) {
			for name, says := range map[string]string{"alice": "", "imager": "is not for Models", "approver": "is not for Models", "mallory": "no TrustRoot entry", "house-scanner": "no TrustRoot entry"} {
				w := newModelWorld(tt.rule)
				tt.set(&w.param, name)
				p := w.compile()
				got := strings.Join(p.NotReady, "\n")
				if says == "" && got != "" || !strings.Contains(got, says) {
					t.Errorf("%s: not ready because of %q, want …%s…", name, got, says)
				}
				if says == "" {
					continue
				}
				checks := p.Check(&w.q, &fact.Set{}, w.now)
				if d, _, _ := verdict.Decide(checks); d != verdict.Deny || checks[0].Code != verdict.PolicyNotReady {
					t.Errorf("%s: a policy that is not ready decides %s %s", name, d, checks[0].Code)
				}
			}
		})
	}
}

func TestParametersThatMeanNothingLeaveAModelPolicyNotReady(t *testing.T) {
	for _, tt := range []struct {
		says string
		rule v1alpha1.ModelRuleName
		set  func(*v1alpha1.ModelRuleParameters)
	}{
		{"threshold is 2", v1alpha1.RequireModelSignature, func(p *v1alpha1.ModelRuleParameters) { p.RequireSignatureFrom, p.Threshold = []string{"alice"}, 2 }},
		{"blockAtOrAbove", v1alpha1.ModelScanThreshold, func(p *v1alpha1.ModelRuleParameters) { p.ScanFrom, p.BlockAtOrAbove = []string{"alice"}, "Clean" }},
		{"at least one format", v1alpha1.AllowOnlyFormats, func(p *v1alpha1.ModelRuleParameters) { p.ScanFrom = []string{"alice"} }},
		{"at least one builder", v1alpha1.RequireModelProvenance, func(p *v1alpha1.ModelRuleParameters) { p.ProvenanceFrom = []string{"alice"} }},
		{"sourceRepositories", v1alpha1.RequireModelProvenance, func(p *v1alpha1.ModelRuleParameters) {
			p.ProvenanceFrom, p.Builders, p.SourceRepositories = []string{"alice"}, []string{"b"}, []string{"nonsense"}
		}},
		{"is not known", "Nonsense", func(*v1alpha1.ModelRuleParameters) {}},
	} {
		w := newModelWorld(tt.rule)
		tt.set(&w.param)
		if got := strings.Join(w.compile().NotReady, "\n"); !strings.Contains(got, tt.says) {
			t.Errorf("%s: not ready because of %q, want …%s…", tt.rule, got, tt.says)
		}
	}
}

func TestExpressionsAboutModelsSeeTheModelAndNoImage(t *testing.T) {
	good := func() *modelWorld {
		w := newModelWorld(v1alpha1.ModelExpression)
		w.param.Expressions = []v1alpha1.NamedExpression{{Name: "small", Expression: `size(model.files) == 3 && model.licenses == ["Apache-2.0"] && model.root == "` + string(w.model.Root) + `"`}}
		return w
	}
	runModelTwins(t, good, []modelTwin{
		{"it is false", func(w *modelWorld) { w.model.Files = w.model.Files[:2] }, verdict.Fail, verdict.ExpressionFalse, "small"},
		{"it fails", func(w *modelWorld) { w.param.Expressions[0].Expression = `model.nonsense == 1` }, verdict.Unknown, verdict.ExpressionFailed, "small"},
		{"the model is not known", func(w *modelWorld) { w.unknown = fact.NeedModel }, verdict.Unknown, verdict.RegistryUnreachable, "the model"},
	})
	w := good()
	w.param.Expressions[0].Expression = `image.user == "65532"`
	if p := w.compile(); len(p.NotReady) == 0 {
		t.Error("an expression about an image compiles in a policy about models")
	}
}

// The licence stands in the configuration, which a signature over the files does
// not cover: docs/bypasses.md names this expression.
func TestAnExpressionCanAskForASignatureOverTheArtifact(t *testing.T) {
	runModelTwins(t, func() *modelWorld {
		w := newModelWorld(v1alpha1.ModelExpression)
		w.param.Expressions = []v1alpha1.NamedExpression{{Name: "artifact", Expression: `signatures.exists(s, has(s.trustedBy) && "alice" in s.trustedBy && s.subject == digest)`}}
		w.signatures = []fact.Signature{{Signing: fact.Signing{Code: verdict.SignatureInvalid}}, {Signing: signing("alice"), Subject: subject}}
		return w
	}, []modelTwin{
		{"only the files are signed", func(w *modelWorld) { w.signatures = w.signatures[:1] }, verdict.Fail, verdict.ExpressionFalse, ""},
		{"by somebody else", func(w *modelWorld) { w.signatures[1].TrustedBy = []string{"bob"} }, verdict.Fail, verdict.ExpressionFalse, ""},
		{"over another artifact", func(w *modelWorld) { w.signatures[1].Subject = digestOf("else") }, verdict.Fail, verdict.ExpressionFalse, ""},
		{"not all signatures were looked at", func(w *modelWorld) { w.partial = fact.NeedSignatures }, verdict.Unknown, verdict.RegistryTooMany, ""},
	})
}

func TestLicensesAreAllOfThemAllowed(t *testing.T) {
	good := func() *modelWorld {
		w := newModelWorld(v1alpha1.AllowedLicenses)
		w.param.AllowedLicenses = []string{"apache-2.0", "MIT"}
		return w
	}
	runModelTwins(t, good, []modelTwin{
		{"another licence", func(w *modelWorld) { w.model.Licenses = []string{"GPL-3.0-only"} }, verdict.Fail, verdict.ModelLicenseDenied, "GPL-3.0-only"},
		{"one of two is another", func(w *modelWorld) { w.model.Licenses = []string{"MIT", "GPL-3.0-only"} }, verdict.Fail, verdict.ModelLicenseDenied, "GPL-3.0-only"},
		{"a choice, which is not one of the list", func(w *modelWorld) { w.model.Licenses = []string{"MIT OR GPL-3.0-only"} }, verdict.Fail, verdict.ModelLicenseDenied, "OR"},
		{"an empty licence", func(w *modelWorld) { w.model.Licenses = []string{""} }, verdict.Fail, verdict.ModelLicenseDenied, ""},
		{"no licence", func(w *modelWorld) { w.model.Licenses = nil }, verdict.Fail, verdict.ModelLicenseUnknown, "no licence"},
		{"the model is not known", func(w *modelWorld) { w.unknown = fact.NeedModel }, verdict.Unknown, verdict.RegistryUnreachable, "licence"},
	})
	runModelPasses(t, good, []modelVariant{
		{"two that are allowed", func(w *modelWorld) { w.model.Licenses = []string{"MIT", "Apache-2.0"} }},
		{"none, where the policy allows that", func(w *modelWorld) { w.model.Licenses, w.param.UnknownLicense = nil, "Allow" }},
	})
}
