package policy

import (
	"fmt"
	"slices"

	"github.com/apexlogic/apex/api/v1alpha1"
	"github.com/apexlogic/apex/internal/fact"
	"github.com/apexlogic/apex/verdict"
)

// modelRules lists every rule of ModelSecurityPolicy; see rules for the columns.
var modelRules = []struct {
	name    v1alpha1.ModelRuleName
	compile func(*v1alpha1.ModelRuleParameters, *environment) (rule Rule, about string, missing []string)
}{
	{v1alpha1.RequireModelSignature, compileModelSignature},
	{v1alpha1.ModelScanThreshold, compileModelScan},
	{v1alpha1.AllowOnlyFormats, compileModelFormats},
	{v1alpha1.DenyRemoteCode, compileRemoteCode},
	{v1alpha1.RequireModelProvenance, compileModelProvenance},
	{v1alpha1.AllowedLicenses, compileLicenses},
	{v1alpha1.RequireDatasetManifest, compileDataset},
	{v1alpha1.ModelExpression, compileModelExpression},
}

func compileModelPolicy(doc *v1alpha1.ModelSecurityPolicy, env *environment) Policy {
	p := newPolicy(doc.Name, doc.Spec.Enforcement, "modelSelector", doc.Spec.ModelSelector)
	for i := range doc.Spec.Rules {
		r := &doc.Spec.Rules[i]
		rule, about, missing := compileModelRule(r, env)
		p.add(rule, about, missing, string(r.Name), r.Description, r.Action)
	}
	return p.finish()
}

func compileModelRule(r *v1alpha1.ModelRule, env *environment) (Rule, string, []string) {
	for _, entry := range modelRules {
		if entry.name == r.Name {
			return entry.compile(&r.Parameters, env)
		}
	}
	return nil, "", []string{fmt.Sprintf("rule %q is not known", r.Name)}
}

func compileModelExpression(p *v1alpha1.ModelRuleParameters, _ *environment) (Rule, string, []string) {
	return compileExpressions(&p.ExpressionParameters, modelVariables)
}

// concerns says whether a statement is about the model: by the digest of its
// artifact, or by the root of exactly its files.
func concerns(subjects []fact.AttestationSubject, q *verdict.Question, m *fact.Model) bool {
	return names(subjects, q) || m.Root != "" && slices.ContainsFunc(subjects, func(s fact.AttestationSubject) bool { return s.Digest == m.Root })
}

// statements are the model and what is signed about it, where both are known.
// Otherwise the check says which is not.
func statements(facts *fact.Set, what string) (*fact.Model, []fact.Attestation, *verdict.Check) {
	m, _, ok := facts.Model.All()
	if !ok {
		c := unknown(fact.NeedModel, &facts.Model, "what the model consists of")
		return nil, nil, &c
	}
	all, _, ok := facts.Attestations.Some()
	if !ok {
		c := unknown(fact.NeedAttestations, &facts.Attestations, what)
		return nil, nil, &c
	}
	return &m, all, nil
}

// incomplete turns the check into one that could not be made, where the fact is
// not all there is and the answer needs all.
func incomplete[T any](c *verdict.Check, f *fact.Fact[T], what string) bool {
	_, code, ok := f.All()
	if !ok {
		c.Outcome, c.Code = verdict.Unknown, code
		c.Detail = fmt.Sprintf("not all %s could be looked at: %s", what, f.Why())
	}
	return !ok
}

// refused is the failed check for the refusal that came nearest to counting, or
// for the absence of anything that could count. The caller has seen to it that
// nothing else is there.
func refused(c verdict.Check, refusals []refusal, absent refusal) verdict.Check {
	best := absent
	if len(refusals) > 0 {
		best = slices.MaxFunc(refusals, func(a, b refusal) int { return a.rank - b.rank })
	}
	return fail(c, best.code, best.detail)
}

func pass(c verdict.Check, found string) verdict.Check {
	c.Outcome, c.Code, c.Found, c.Detail = verdict.Pass, verdict.OK, found, found
	return c
}

func fail(c verdict.Check, code verdict.Code, found string) verdict.Check {
	c.Outcome, c.Code, c.Found, c.Detail = verdict.Fail, code, found, found
	return c
}
