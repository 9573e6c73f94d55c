package verify_test

import (
	"context"
	"testing"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/apexlogic/apex/api/v1alpha1"
	"github.com/apexlogic/apex/internal/fact"
	"github.com/apexlogic/apex/internal/trust"
	"github.com/apexlogic/apex/internal/verify"
	"github.com/apexlogic/apex/internal/verify/verifytest"
	"github.com/apexlogic/apex/verdict"
)

// functions is a world with a policy about functions, and the key "author" for sources.
func functions(t *testing.T, rules ...v1alpha1.FunctionRule) *verifytest.Kit {
	k := verifytest.New(t)
	k.Docs.TrustRoots[0].Spec.Entries = append(k.Docs.TrustRoots[0].Spec.Entries, k.Entry("author", v1alpha1.UseSources))
	k.Docs.Functions = []v1alpha1.FunctionSecurityPolicy{{
		ObjectMeta: metav1.ObjectMeta{Name: "functions"},
		Spec: v1alpha1.FunctionSecurityPolicySpec{
			FunctionSelector: &metav1.LabelSelector{MatchLabels: map[string]string{"tier": "public"}}, Rules: rules,
		},
	}}
	k.Publish()
	return k
}

func declared(content string, bundle []byte) verify.Function {
	f := fact.Function{Name: "describe", Kind: "AWS::Lambda::Function", Unit: "cloudformation", Root: "app", Labels: map[string]string{"tier": "public"}}
	return verify.Function{
		Fact:    fact.Complete(f, "app", verifytest.Now),
		Sources: []verify.Source{{Path: "app/template.yaml", Content: []byte(content), Bundle: bundle}},
	}
}

func ask(k *verifytest.Kit, f verify.Function) verdict.Verdict {
	return k.Verifier.Functions(k.T.Context(), []verify.Function{f}).Verdicts[0]
}

func TestAFunctionIsAllowedWhenItsFilesAreSigned(t *testing.T) {
	k := functions(t, v1alpha1.FunctionRule{Name: v1alpha1.RequireSignedSource, Parameters: v1alpha1.FunctionRuleParameters{RequireSignatureFrom: []string{"author"}}})
	bundle, err := trust.SignFile(k.Key("author").Signer, []byte("Resources: {}"))
	if err != nil {
		t.Fatal(err)
	}
	allowed := ask(k, declared("Resources: {}", bundle))
	if allowed.Decision != verdict.Allow || allowed.Digest == "" || allowed.Kind != verdict.KindFunction {
		t.Fatalf("%s %s %s", allowed.Decision, allowed.Code, allowed.Reason)
	}
	for name, f := range map[string]verify.Function{
		"a changed file":        declared("Resources: {Evil: {}}", bundle),
		"a file without bundle": declared("Resources: {}", nil),
		"a broken bundle":       declared("Resources: {}", []byte("{")),
	} {
		if d := ask(k, f); d.Decision != verdict.Deny || d.Code != verdict.FunctionUnsigned {
			t.Errorf("%s: %s %s", name, d.Decision, d.Code)
		}
	}
	stranger, err := trust.SignFile(k.Key("release").Signer, []byte("Resources: {}"))
	if err != nil {
		t.Fatal(err)
	}
	if d := ask(k, declared("Resources: {}", stranger)); d.Decision != verdict.Deny {
		t.Error("a key for images counts for sources")
	}
	records := k.Records.All()
	if len(records) != 5 {
		t.Errorf("%d records of 5 decisions", len(records))
	}
}

func TestAFunctionThatNoPolicySelectsOrNobodyCouldReadIsDenied(t *testing.T) {
	k := functions(t, v1alpha1.FunctionRule{Name: v1alpha1.LeastPrivilege})
	if d := ask(k, declared("", nil)); d.Decision != verdict.Allow {
		t.Fatalf("the twin is denied: %s", d.Reason)
	}
	other := declared("", nil)
	other.Fact = fact.Complete(fact.Function{Name: "internal"}, "app", verifytest.Now)
	if d := ask(k, other); d.Code != verdict.Unselected {
		t.Errorf("unselected: %s", d.Code)
	}
	unread := declared("", nil)
	unread.Fact = fact.Problem[fact.Function](verdict.FunctionUnreadable, "line 3", "app", verifytest.Now)
	if d := ask(k, unread); d.Code != verdict.FunctionUnreadable || d.Decision != verdict.Deny {
		t.Errorf("unreadable: %s", d.Code)
	}
}

// advisories is a matcher whose answer a test sets.
type advisories struct {
	report   fact.Fact[fact.Report]
	kept     bool // whether it was asked for what was kept only
	admitted []verdict.Ref
	revision string
}

func (a *advisories) Match(_ context.Context, _ verdict.Ref, kept bool) fact.Fact[fact.Report] {
	a.kept = kept
	return a.report
}
func (a *advisories) Admitted(ref verdict.Ref) { a.admitted = append(a.admitted, ref) }
func (a *advisories) Revision() string         { return a.revision }

func matching(k *verifytest.Kit, severities ...fact.Severity) *advisories {
	a := &advisories{revision: "1"}
	a.says(severities...)
	k.Options.Matcher = a
	return a
}

func (a *advisories) says(severities ...fact.Severity) {
	r := fact.Report{Scanner: "Apex", Code: verdict.OK, Finished: verifytest.Now}
	for _, s := range severities {
		r.Findings = append(r.Findings, fact.Vulnerability{ID: "CVE-2026-1", Package: "pillow", Version: "1", Severity: s})
	}
	a.report = fact.Complete(r, "advisories", verifytest.Now)
}

func TestTheBuiltInMatcherDecides(t *testing.T) {
	k := verifytest.New(t)
	a := matching(k)
	k.Only(v1alpha1.VulnerabilityScanThreshold)
	k.Rule(v1alpha1.VulnerabilityScanThreshold).VulnerabilityScanner = "Apex"
	k.Restart()
	p := k.Push("vision/app", verifytest.App("app"))
	k.Allowed(p.Image())
	if a.kept || len(a.admitted) != 1 || a.admitted[0].Digest != p.Digest {
		t.Errorf("kept %t, admitted %v", a.kept, a.admitted)
	}
	// Advisories that say something else are asked at once.
	a.says(fact.SeverityCritical)
	k.Allowed(p.Image())
	a.revision = "2"
	k.Denied(p.Image(), verdict.VulnerabilityOver)

	a.report, a.revision = fact.Problem[fact.Report](verdict.AdvisoriesMissing, "none", "advisories", verifytest.Now), "3"
	k.Denied(p.Image(), verdict.AdvisoriesMissing)
	a.says()
	report, _, _ := a.report.All()
	a.report, a.revision = fact.Partial(report, "advisories", verifytest.Now, verdict.InventoryGaps, "var/lib/rpm"), "4"
	k.Denied(p.Image(), verdict.InventoryGaps)
	report.Finished = verifytest.Now.Add(-48 * 3600e9)
	a.report, a.revision = fact.Complete(report, "advisories", verifytest.Now), "5"
	k.Denied(p.Image(), verdict.ReportStale)
}

func TestWithoutAdvisoriesTheBuiltInMatcherDenies(t *testing.T) {
	k := verifytest.New(t)
	k.Only(v1alpha1.VulnerabilityScanThreshold)
	k.Rule(v1alpha1.VulnerabilityScanThreshold).VulnerabilityScanner = "Apex"
	k.Restart()
	p := k.Push("vision/app", verifytest.App("app"))
	k.Denied(p.Image(), verdict.AdvisoriesMissing)
}

func TestAReportThatLapsedIsKeptFreshByWhatWasKept(t *testing.T) {
	k := verifytest.New(t)
	a := matching(k)
	k.Only(v1alpha1.VulnerabilityScanThreshold)
	k.Restart()
	p := k.Push("vision/app", verifytest.App("app"))
	k.Scanned(p)
	k.Allowed(p.Image())
	if !a.kept {
		t.Error("the matcher was asked to look inside for a policy about another scanner")
	}
	k.Clock.Advance(72 * 3600e9)
	a.report = fact.Problem[fact.Report](verdict.InventoryMissing, "nothing was kept", "advisories", k.Clock.Now())
	a.revision = "2"
	k.Denied(p.Image(), verdict.ReportStale)

	fresh := fact.Report{Scanner: "Apex", Code: verdict.OK, Finished: k.Clock.Now()}
	a.report, a.revision = fact.Complete(fresh, "advisories", k.Clock.Now()), "3"
	k.Allowed(p.Image())
	fresh.Findings = []fact.Vulnerability{{ID: "CVE-2026-2", Severity: fact.SeverityHigh}}
	a.report, a.revision = fact.Complete(fresh, "advisories", k.Clock.Now()), "4"
	k.Denied(p.Image(), verdict.VulnerabilityOver)
}
