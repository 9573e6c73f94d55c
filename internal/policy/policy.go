// Package policy holds the rules: pure functions from facts to checks.
//
// [Compile] turns the documents in force into a [Set]: policies with their
// selectors and compiled rules, signed exceptions and revocations. [Rule] is
// what each rule implements; one file holds one rule and the table in rules.go
// lists them all. Nothing here does I/O, and nothing reads a clock.
//
// A rule proves presence from facts that may be partial and absence only from
// complete ones. A fact that could not be established makes the check Unknown,
// which the rule's action treats like a failure.
package policy

import (
	"fmt"
	"slices"
	"strings"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/labels"

	"github.com/apexlogic/apex/api/v1alpha1"
	"github.com/apexlogic/apex/internal/fact"
	"github.com/apexlogic/apex/verdict"
)

// Rule judges one subject.
type Rule interface {
	// Needs are the facts that Check looks at, fixed when the rule is compiled.
	Needs() fact.Need
	// Check is pure and safe for concurrent use. The check's Until says how
	// long its answer holds when the facts stay as they are.
	Check(q *verdict.Question, facts *fact.Set, now time.Time) verdict.Check
}

// Bound is a rule in its policy.
type Bound struct {
	Rule
	Name        string
	Description string
	Action      verdict.Action
}

// Policy is one compiled policy. It is immutable.
type Policy struct {
	Name        string
	Enforcement v1alpha1.Enforcement
	Selector    labels.Selector
	// Platforms that have to be there and to pass; empty: all that are there.
	Platforms []string
	Rules     []Bound
	// NotReady says what the policy names and nothing defines. When it is not
	// empty the policy denies all that it selects.
	NotReady []string
	// Summary says in words what the policy does.
	Summary string
}

// Documents are what a generation is compiled from.
type Documents struct {
	Policies    []v1alpha1.ImageSecurityPolicy
	Models      []v1alpha1.ModelSecurityPolicy
	Functions   []v1alpha1.FunctionSecurityPolicy
	TrustRoots  []v1alpha1.TrustRoot
	Exceptions  []v1alpha1.PolicyException
	Revocations []v1alpha1.Revocation
	Locks       []v1alpha1.BaseImageLock
}

// Set is all compiled policies of one generation. It is immutable.
type Set struct {
	Policies    []Policy // about images
	Models      []Policy // about models
	Functions   []Policy // about functions
	Exceptions  []Exception
	Revocations []Revocation
	// Problems are documents that have no effect, or more effect than meant,
	// with the reason. They do not keep the set from being used.
	Problems []Problem
}

// Problem is a document that does not do what its author meant.
type Problem struct {
	Kind, Name string
	Code       verdict.Code
	Detail     string
}

// Compile compiles validated documents. It never fails: a policy that cannot
// be compiled completely is not ready, and denies what it selects.
func Compile(docs Documents, verify DocumentVerifier) *Set {
	env := newEnvironment(docs)
	set := &Set{}
	for i := range docs.Policies {
		set.Policies = append(set.Policies, compilePolicy(&docs.Policies[i], env))
	}
	for i := range docs.Models {
		set.Models = append(set.Models, compileModelPolicy(&docs.Models[i], env))
	}
	for i := range docs.Functions {
		set.Functions = append(set.Functions, compileFunctionPolicy(&docs.Functions[i], env))
	}
	byName := func(a, b Policy) int { return strings.Compare(a.Name, b.Name) }
	slices.SortFunc(set.Policies, byName)
	slices.SortFunc(set.Models, byName)
	slices.SortFunc(set.Functions, byName)
	set.Exceptions, set.Problems = compileExceptions(docs, env, verify)
	revocations, problems := compileRevocations(docs, env, verify)
	set.Revocations = revocations
	set.Problems = append(set.Problems, problems...)
	return set
}

func compilePolicy(doc *v1alpha1.ImageSecurityPolicy, env *environment) Policy {
	p := newPolicy(doc.Name, doc.Spec.Enforcement, "imageSelector", doc.Spec.ImageSelector)
	p.Platforms = doc.Spec.Platforms
	for i := range doc.Spec.Rules {
		r := &doc.Spec.Rules[i]
		rule, about, missing := compileRule(r, env)
		p.add(rule, about, missing, string(r.Name), r.Description, r.Action)
	}
	return p.finish()
}

func newPolicy(name string, enforcement v1alpha1.Enforcement, field string, by *metav1.LabelSelector) *Policy {
	p := &Policy{Name: name, Enforcement: enforcement}
	if p.Enforcement == "" {
		p.Enforcement = v1alpha1.Enforce
	}
	selector, err := metav1.LabelSelectorAsSelector(by)
	if err != nil || by == nil {
		// A selector that cannot be read selects everything: the policy then denies it all.
		selector = labels.Everything()
		p.NotReady = append(p.NotReady, fmt.Sprintf("%s: %v", field, err))
	}
	p.Selector = selector
	return p
}

func (p *Policy) add(rule Rule, about string, missing []string, name, description string, a v1alpha1.Action) {
	p.NotReady = append(p.NotReady, missing...)
	if rule == nil {
		return
	}
	action, err := parseAction(a)
	if err != nil {
		p.NotReady = append(p.NotReady, err.Error())
	}
	p.Rules = append(p.Rules, Bound{rule, name, description, action})
	if p.Summary != "" {
		p.Summary += "; "
	}
	p.Summary += about
}

func (p *Policy) finish() Policy {
	if len(p.Rules) == 0 && len(p.NotReady) == 0 {
		p.NotReady = append(p.NotReady, "the policy has no rules")
	}
	return *p
}

func compileRule(r *v1alpha1.ImageRule, env *environment) (Rule, string, []string) {
	for _, entry := range rules {
		if entry.name == r.Name {
			return entry.compile(&r.Parameters, env)
		}
	}
	return nil, "", []string{fmt.Sprintf("rule %q is not known", r.Name)}
}

func parseAction(a v1alpha1.Action) (verdict.Action, error) {
	if a == "" {
		return verdict.ActionDeny, nil
	}
	var action verdict.Action
	err := action.UnmarshalText([]byte(a))
	return action, err
}

// Selects reports whether the policy speaks about a workload with these labels.
func (p *Policy) Selects(workload map[string]string) bool {
	return p.Selector.Matches(labels.Set(workload))
}

// Needs are the facts that the policy's rules need together.
func (p *Policy) Needs() fact.Need {
	var n fact.Need
	for i := range p.Rules {
		n |= p.Rules[i].Needs()
	}
	return n
}

// Check makes all checks of the policy about one subject. A rule that panics
// yields an Unknown check: a defect in one rule must not let anything pass.
func (p *Policy) Check(q *verdict.Question, facts *fact.Set, now time.Time) []verdict.Check {
	if len(p.NotReady) > 0 {
		c := verdict.Check{Rule: "Ready", Outcome: verdict.Unknown, Code: verdict.PolicyNotReady,
			Detail: fmt.Sprintf("policy %s is not ready: %s", p.Name, strings.Join(p.NotReady, "; "))}
		return []verdict.Check{p.Bind(c, verdict.ActionDeny)}
	}
	checks := make([]verdict.Check, 0, len(p.Rules))
	for i := range p.Rules {
		r := &p.Rules[i]
		c := guarded(r, q, facts, now)
		c.Rule = r.Name
		checks = append(checks, p.Bind(c, r.Action))
	}
	return checks
}

// Bind says how hard a check may bite under the policy's enforcement.
func (p *Policy) Bind(c verdict.Check, action verdict.Action) verdict.Check {
	c.Policy, c.Action = p.Name, action
	switch p.Enforcement {
	case v1alpha1.Observe:
		c.Observed = true
	case v1alpha1.Warn:
		if c.Action == verdict.ActionDeny {
			c.Action = verdict.ActionWarn
		}
	}
	return c
}

func guarded(r *Bound, q *verdict.Question, facts *fact.Set, now time.Time) (c verdict.Check) {
	defer func() {
		if p := recover(); p != nil {
			c = verdict.Check{Outcome: verdict.Unknown, Code: verdict.RuleFailed, Detail: fmt.Sprintf("rule %s panicked: %v", r.Name, p)}
		}
	}()
	return r.Check(q, facts, now)
}

// unknown is the check that could not be made because a fact is missing.
func unknown[T any](kind fact.Need, f *fact.Fact[T], what string) verdict.Check {
	return verdict.Check{
		Outcome:  verdict.Unknown,
		Code:     f.Code(),
		Detail:   fmt.Sprintf("%s could not be established: %s", what, f.Why()),
		Evidence: []verdict.Evidence{f.Evidence(kind)},
	}
}
