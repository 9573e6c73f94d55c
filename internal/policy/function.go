package policy

import (
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/apexlogic/apex/api/v1alpha1"
	"github.com/apexlogic/apex/internal/fact"
	"github.com/apexlogic/apex/verdict"
)

// functionRules lists every rule of FunctionSecurityPolicy; see rules for the columns.
var functionRules = []struct {
	name    v1alpha1.FunctionRuleName
	compile func(*v1alpha1.FunctionRuleParameters, *environment) (rule Rule, about string, missing []string)
}{
	{v1alpha1.LeastPrivilege, compileRights},
	{v1alpha1.DenyPublicExposure, compileExposure},
	{v1alpha1.DenySecretsInEnvironment, compileClasses(verdict.FunctionSecret, "denies secrets in the environment", "no secret in the environment", "function_secret_in_env")},
	{v1alpha1.RestrictEgress, compileEgress},
	{v1alpha1.LimitTimeout, compileTimeout},
	{v1alpha1.DenySharedRoles, compileClasses(verdict.FunctionSharedRole, "denies shared roles", "a role of its own", "function_shared_role")},
	{v1alpha1.RequireEncryption, compileClasses(verdict.FunctionUnencrypted, "needs encrypted data", "encrypted data", "function_env_not_encrypted")},
	{v1alpha1.RequireImmutableReferences, compileReferences},
	{v1alpha1.RequireSignedSource, compileSource},
	{v1alpha1.FunctionExpression, compileFunctionExpression},
}

// functionVariables are what an expression about a function may look at.
var functionVariables = []string{"declaration", "labels", "now"}

func compileFunctionPolicy(doc *v1alpha1.FunctionSecurityPolicy, env *environment) Policy {
	p := newPolicy(doc.Name, doc.Spec.Enforcement, "functionSelector", doc.Spec.FunctionSelector)
	for i := range doc.Spec.Rules {
		r := &doc.Spec.Rules[i]
		rule, about, missing := compileFunctionRule(r, env)
		p.add(rule, about, missing, string(r.Name), r.Description, r.Action)
	}
	return p.finish()
}

func compileFunctionRule(r *v1alpha1.FunctionRule, env *environment) (Rule, string, []string) {
	for _, entry := range functionRules {
		if entry.name == r.Name {
			return entry.compile(&r.Parameters, env)
		}
	}
	return nil, "", []string{fmt.Sprintf("rule %q is not known", r.Name)}
}

func compileFunctionExpression(p *v1alpha1.FunctionRuleParameters, _ *environment) (Rule, string, []string) {
	return compileExpressions(&p.ExpressionParameters, functionVariables)
}

// functionRule is what the rules about functions share: they look at one fact.
type functionRule struct{}

func (functionRule) Needs() fact.Need { return fact.NeedFunction }

// declared returns the function, or the check that could not be made.
func (functionRule) declared(facts *fact.Set) (*fact.Function, *verdict.Check) {
	f, _, ok := facts.Function.Some()
	if !ok {
		c := unknown(fact.NeedFunction, &facts.Function, "what the function is declared as")
		return nil, &c
	}
	return &f, nil
}

func (functionRule) begin(facts *fact.Set, expected string) verdict.Check {
	return verdict.Check{Expected: expected, Evidence: []verdict.Evidence{facts.Function.Evidence(fact.NeedFunction)}}
}

// whole says why absence cannot be proved, or nil: a file was not read to its end.
func (functionRule) whole(facts *fact.Set, c verdict.Check) *verdict.Check {
	if _, code, ok := facts.Function.All(); !ok {
		c.Outcome, c.Code = verdict.Unknown, code
		c.Detail = "not all of what declares the function could be read: " + clean(facts.Function.Why())
		return &c
	}
	return nil
}

// overstepped turns what was found into a failed check.
func overstepped(c verdict.Check, code verdict.Code, list []fact.FunctionFinding) verdict.Check {
	var places, classes []string
	for i := range list {
		f := &list[i]
		places = append(places, fmt.Sprintf("%s:%d %s", f.Where.File, f.Where.Line, clean(f.Detail)))
		if !slices.Contains(classes, f.Class) {
			classes = append(classes, f.Class)
		}
	}
	c.Outcome, c.Code = verdict.Fail, code
	c.Found, c.Where, c.Mend = some(places, maxListed), list[0].Where, list[0].Mend
	c.Detail = fmt.Sprintf("%s at %s:%d: %s", strings.Join(classes, ", "), list[0].Where.File, list[0].Where.Line, clean(list[0].Detail))
	return c
}

// classRule denies findings of given classes.
type classRule struct {
	functionRule
	code     verdict.Code
	expected string
	classes  []string
}

func compileClasses(code verdict.Code, about, expected string, classes ...string) func(*v1alpha1.FunctionRuleParameters, *environment) (Rule, string, []string) {
	return func(*v1alpha1.FunctionRuleParameters, *environment) (Rule, string, []string) {
		return &classRule{code: code, expected: expected, classes: classes}, about, nil
	}
}

func (r *classRule) Check(_ *verdict.Question, facts *fact.Set, _ time.Time) verdict.Check {
	f, problem := r.declared(facts)
	if problem != nil {
		return *problem
	}
	c := r.begin(facts, r.expected)
	if bad := ofClasses(f, r.classes); len(bad) > 0 {
		return overstepped(c, r.code, bad)
	}
	if unread := r.whole(facts, c); unread != nil {
		return *unread
	}
	c.Outcome, c.Code, c.Detail = verdict.Pass, verdict.OK, r.expected
	return c
}

func ofClasses(f *fact.Function, classes []string) []fact.FunctionFinding {
	var out []fact.FunctionFinding
	for i := range f.Findings {
		if slices.Contains(classes, f.Findings[i].Class) {
			out = append(out, f.Findings[i])
		}
	}
	return out
}

var _ Rule = (*classRule)(nil)
