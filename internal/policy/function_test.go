package policy

import (
	"strings"
	"testing"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/apexlogic/apex/api/v1alpha1"
	"github.com/apexlogic/apex/internal/fact"
	"github.com/apexlogic/apex/verdict"
)

// tame is a function that every rule allows.
func tame() fact.Function {
	return fact.Function{
		Name: "describe", Kind: "AWS::Lambda::Function", Unit: "cloudformation", Root: "template.yaml",
		Where: verdict.Origin{File: "template.yaml", Line: 3}, Timeout: 10 * time.Second, Egress: "restricted",
		References: []fact.FunctionReference{{Kind: "image", Text: "registry.example/app@sha256:" + strings.Repeat("a", 64), Known: true, Immutable: true}},
		Sources:    []fact.FunctionSource{{Path: "template.yaml", Digest: digestOf("t"), Signing: []fact.Signing{{Code: verdict.OK, TrustedBy: []string{"author"}}}}},
	}
}

func wrong(class string) fact.FunctionFinding {
	return fact.FunctionFinding{Class: class, Resource: "role", Detail: "what it is", Where: verdict.Origin{File: "template.yaml", Line: 9}}
}

// askFunction compiles a policy with the one rule and asks it about the function.
func askFunction(t *testing.T, rule v1alpha1.FunctionRule, f fact.Fact[fact.Function]) verdict.Check {
	t.Helper()
	policy := v1alpha1.FunctionSecurityPolicy{ObjectMeta: metav1.ObjectMeta{Name: "p"}}
	policy.Spec.FunctionSelector = &metav1.LabelSelector{}
	policy.Spec.Rules = []v1alpha1.FunctionRule{rule}
	key := newWorld("").roots[0].Key
	p := Compile(Documents{
		Functions: []v1alpha1.FunctionSecurityPolicy{policy},
		TrustRoots: []v1alpha1.TrustRoot{{Spec: v1alpha1.TrustRootSpec{Entries: []v1alpha1.TrustEntry{
			{Name: "author", Uses: []v1alpha1.TrustUse{v1alpha1.UseSources}, Key: key},
		}}}},
	}, nil).Functions[0]
	if len(p.NotReady) > 0 {
		t.Fatalf("not ready: %v", p.NotReady)
	}
	if !p.Needs().Has(fact.NeedFunction) {
		t.Error("the rule does not say that it needs the function")
	}
	return p.Check(&verdict.Question{}, &fact.Set{Function: f}, time.Unix(1_800_000_000, 0))[0]
}

func TestRulesAboutFunctionsDenyWhatTheyAreThereFor(t *testing.T) {
	seconds := func(n int) *metav1.Duration { return &metav1.Duration{Duration: time.Duration(n) * time.Second} }
	expression := func(text string) v1alpha1.FunctionRuleParameters {
		return v1alpha1.FunctionRuleParameters{ExpressionParameters: v1alpha1.ExpressionParameters{Expressions: []v1alpha1.NamedExpression{{Name: "e", Expression: text}}}}
	}
	author := v1alpha1.FunctionRuleParameters{RequireSignatureFrom: []string{"author"}}
	for _, tc := range []struct {
		name    string
		rule    v1alpha1.FunctionRuleName
		param   v1alpha1.FunctionRuleParameters
		change  func(*fact.Function)
		outcome verdict.Outcome
		code    verdict.Code
	}{
		{"rights to escalate", v1alpha1.LeastPrivilege, v1alpha1.FunctionRuleParameters{}, func(f *fact.Function) { f.Findings = append(f.Findings, wrong("privilege_escalation")) }, verdict.Fail, verdict.FunctionRights},
		{"a class that the policy does not forbid", v1alpha1.LeastPrivilege, v1alpha1.FunctionRuleParameters{ForbiddenClasses: []v1alpha1.FunctionClass{"star_resource"}}, func(f *fact.Function) { f.Findings = append(f.Findings, wrong("privilege_escalation")) }, verdict.Pass, verdict.OK},
		{"rights that cannot be told", v1alpha1.LeastPrivilege, v1alpha1.FunctionRuleParameters{}, func(f *fact.Function) { f.Unresolved = []string{"${Policy}"} }, verdict.Unknown, verdict.FunctionUnresolved},
		{"rights that cannot be told, allowed", v1alpha1.LeastPrivilege, v1alpha1.FunctionRuleParameters{Unresolved: "Allow"}, func(f *fact.Function) { f.Unresolved = []string{"${Policy}"} }, verdict.Pass, verdict.OK},
		{"a way in for anybody", v1alpha1.DenyPublicExposure, v1alpha1.FunctionRuleParameters{}, func(f *fact.Function) { f.Exposed = []string{"function URL"} }, verdict.Fail, verdict.FunctionPublic},
		{"a finding of exposure", v1alpha1.DenyPublicExposure, v1alpha1.FunctionRuleParameters{}, func(f *fact.Function) { f.Findings = append(f.Findings, wrong("function_public_invoke")) }, verdict.Fail, verdict.FunctionPublic},
		{"a way in through the gateway", v1alpha1.DenyPublicExposure, v1alpha1.FunctionRuleParameters{}, func(f *fact.Function) { f.Exposed, f.Gateway = []string{"route"}, true }, verdict.Pass, verdict.OK},
		{"a way in through the gateway, blocked", v1alpha1.DenyPublicExposure, v1alpha1.FunctionRuleParameters{BehindGateway: "Block"}, func(f *fact.Function) { f.Exposed, f.Gateway = []string{"route"}, true }, verdict.Fail, verdict.FunctionPublic},
		{"a secret", v1alpha1.DenySecretsInEnvironment, v1alpha1.FunctionRuleParameters{}, func(f *fact.Function) { f.Findings = append(f.Findings, wrong("function_secret_in_env")) }, verdict.Fail, verdict.FunctionSecret},
		{"another finding than a secret", v1alpha1.DenySecretsInEnvironment, v1alpha1.FunctionRuleParameters{}, func(f *fact.Function) { f.Findings = append(f.Findings, wrong("star_resource")) }, verdict.Pass, verdict.OK},
		{"open egress", v1alpha1.RestrictEgress, v1alpha1.FunctionRuleParameters{}, func(f *fact.Function) { f.Egress = "anywhere" }, verdict.Fail, verdict.FunctionEgress},
		{"egress that is not said", v1alpha1.RestrictEgress, v1alpha1.FunctionRuleParameters{}, func(f *fact.Function) { f.Egress = "" }, verdict.Unknown, verdict.FunctionEgress},
		{"a long timeout", v1alpha1.LimitTimeout, v1alpha1.FunctionRuleParameters{MaxTimeout: seconds(5)}, func(*fact.Function) {}, verdict.Fail, verdict.FunctionTimeout},
		{"no timeout", v1alpha1.LimitTimeout, v1alpha1.FunctionRuleParameters{MaxTimeout: seconds(60)}, func(f *fact.Function) { f.Timeout = 0 }, verdict.Fail, verdict.FunctionTimeout},
		{"a shared role", v1alpha1.DenySharedRoles, v1alpha1.FunctionRuleParameters{}, func(f *fact.Function) { f.Findings = append(f.Findings, wrong("function_shared_role")) }, verdict.Fail, verdict.FunctionSharedRole},
		{"an environment without a key", v1alpha1.RequireEncryption, v1alpha1.FunctionRuleParameters{}, func(f *fact.Function) { f.Findings = append(f.Findings, wrong("function_env_not_encrypted")) }, verdict.Fail, verdict.FunctionUnencrypted},
		{"a tag", v1alpha1.RequireImmutableReferences, v1alpha1.FunctionRuleParameters{}, func(f *fact.Function) {
			f.References = []fact.FunctionReference{{Kind: "image", Text: "app:latest", Known: true}}
		}, verdict.Fail, verdict.FunctionMutable},
		{"a reference from outside", v1alpha1.RequireImmutableReferences, v1alpha1.FunctionRuleParameters{}, func(f *fact.Function) {
			f.References = []fact.FunctionReference{{Kind: "image", Text: "${Image}"}}
		}, verdict.Unknown, verdict.FunctionUnresolved},
		{"an unsigned file", v1alpha1.RequireSignedSource, author, func(f *fact.Function) { f.Sources[0].Signing = nil }, verdict.Fail, verdict.FunctionUnsigned},
		{"a file signed by somebody else", v1alpha1.RequireSignedSource, author, func(f *fact.Function) { f.Sources[0].Signing[0].TrustedBy = []string{"somebody"} }, verdict.Fail, verdict.FunctionUnsigned},
		{"a signature that does not verify", v1alpha1.RequireSignedSource, author, func(f *fact.Function) { f.Sources[0].Signing[0].Code = verdict.SignatureInvalid }, verdict.Fail, verdict.FunctionUnsigned},
		{"no known file", v1alpha1.RequireSignedSource, author, func(f *fact.Function) { f.Sources = nil }, verdict.Fail, verdict.FunctionUnsigned},
		{"a false expression", v1alpha1.FunctionExpression, expression(`declaration.kind == "AWS::Lambda::Function" && labels.exists(k, k == "team")`), func(*fact.Function) {}, verdict.Fail, verdict.ExpressionFalse},
	} {
		t.Run(tc.name, func(t *testing.T) {
			f := tame()
			tc.change(&f)
			rule := v1alpha1.FunctionRule{Name: tc.rule, Parameters: tc.param}
			now := time.Unix(1_800_000_000, 0)
			c := askFunction(t, rule, fact.Complete(f, "files", now))
			if c.Outcome != tc.outcome || c.Code != tc.code {
				t.Errorf("got %s %s (%s), want %s %s", c.Outcome, c.Code, c.Detail, tc.outcome, tc.code)
			}
			if c.Outcome != verdict.Pass && c.Detail == "" {
				t.Error("it does not say why")
			}
			// The twin: the same rule about a function that is as it should be.
			if tc.param.MaxTimeout != nil {
				rule.Parameters.MaxTimeout = seconds(10)
			}
			if tc.rule == v1alpha1.FunctionExpression {
				rule.Parameters = expression(`declaration.kind == "AWS::Lambda::Function"`)
			}
			if c := askFunction(t, rule, fact.Complete(tame(), "files", now)); c.Outcome != verdict.Pass {
				t.Errorf("the twin is denied: %s %s", c.Code, c.Detail)
			}
		})
	}
}

func TestAFunctionOfWhichAFileCouldNotBeReadIsNotProvedSafe(t *testing.T) {
	now := time.Unix(1_800_000_000, 0)
	partial := fact.Partial(tame(), "files", now, verdict.FunctionUnreadable, "main.tf:4: a brace is missing")
	for _, name := range []v1alpha1.FunctionRuleName{v1alpha1.LeastPrivilege, v1alpha1.DenyPublicExposure, v1alpha1.DenySecretsInEnvironment, v1alpha1.RequireImmutableReferences, v1alpha1.DenySharedRoles} {
		c := askFunction(t, v1alpha1.FunctionRule{Name: name}, partial)
		if c.Outcome != verdict.Unknown || c.Code != verdict.FunctionUnreadable || !strings.Contains(c.Detail, "brace") {
			t.Errorf("%s: %s %s %s", name, c.Outcome, c.Code, c.Detail)
		}
	}
	// What was found stands nevertheless.
	f := tame()
	f.Findings = []fact.FunctionFinding{wrong("admin_or_service_star")}
	c := askFunction(t, v1alpha1.FunctionRule{Name: v1alpha1.LeastPrivilege}, fact.Partial(f, "files", now, verdict.FunctionUnreadable, "main.tf:4"))
	if c.Outcome != verdict.Fail || c.Code != verdict.FunctionRights {
		t.Errorf("got %s %s", c.Outcome, c.Code)
	}
	if c := askFunction(t, v1alpha1.FunctionRule{Name: v1alpha1.LeastPrivilege}, fact.Fact[fact.Function]{}); c.Outcome != verdict.Unknown {
		t.Errorf("a function that nobody looked at: %s", c.Outcome)
	}
}

func TestAnUnknownSignerOfSourcesLeavesThePolicyNotReady(t *testing.T) {
	policy := v1alpha1.FunctionSecurityPolicy{}
	policy.Spec.FunctionSelector = &metav1.LabelSelector{}
	policy.Spec.Rules = []v1alpha1.FunctionRule{{Name: v1alpha1.RequireSignedSource, Parameters: v1alpha1.FunctionRuleParameters{RequireSignatureFrom: []string{"nobody"}}}}
	p := Compile(Documents{Functions: []v1alpha1.FunctionSecurityPolicy{policy}}, nil).Functions[0]
	c := p.Check(&verdict.Question{}, &fact.Set{Function: fact.Complete(tame(), "files", time.Unix(1, 0))}, time.Unix(1, 0))[0]
	if c.Code != verdict.PolicyNotReady || c.Action != verdict.ActionDeny {
		t.Errorf("got %+v", c)
	}
}
