package config

import (
	"fmt"
	"strings"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/apexlogic/apex/api/v1alpha1"
	"github.com/apexlogic/apex/verdict"
)

// semantic is a check of what a schema cannot say.
type semantic struct {
	// blocking checks find errors, and belong to loading; the others find what
	// only [Lint] tells.
	blocking bool
	run      func(s *Set, now time.Time, report func(Problem))
}

// semantics lists all checks.
func semantics() []semantic {
	return []semantic{
		{true, uniqueNames},
		{true, uniqueTrustEntries},
		{true, selectors},
		{true, reachableThresholds},
		{true, basePatterns},
		{true, publicKeysOnly},
		{true, keyValidity},
		{true, anchoredIdentities},
		{true, idleGrants},
		{false, wideIdentities},
		{false, wideBasePatterns},
		{false, lockedBases},
		{false, exceptionsInForce},
		{false, exceptionTargets},
		{false, exceptionApprovers},
		{false, exceptionConflicts},
		{false, signedRevocations},
	}
}

// check runs either the blocking checks or the others; what it returns is
// bounded like everything that is told.
func check(s *Set, now time.Time, blocking bool) []Problem {
	var problems []Problem
	report := func(p Problem) {
		if len(problems) <= maxProblems {
			problems = append(problems, p)
		}
	}
	for _, c := range semantics() {
		if c.blocking == blocking {
			c.run(s, now, report)
		}
	}
	return problems
}

// Lint returns everything that a person should know about the set, sorted by
// position: what forbids publishing it, why policies are not ready, and what
// is probably not meant. Now is the time by which exceptions have expired.
func Lint(s *Set, now time.Time) []Problem {
	problems := append([]Problem(nil), s.Problems...)
	seen := map[Problem]bool{} // two policies may wait for the same scanner's signer
	for _, d := range s.docs {
		for _, reason := range s.readiness[d.kind+"/"+d.name].Reasons {
			if !seen[reason] {
				seen[reason] = true
				problems = append(problems, reason)
			}
		}
	}
	problems = append(problems, check(s, now, false)...)
	sortProblems(problems)
	return problems
}

// uniqueNames refuses two objects of a kind with one name: which one counts
// would depend on the order of files.
func uniqueNames(s *Set, _ time.Time, report func(Problem)) {
	first := map[string]*document{}
	for _, d := range s.docs {
		key := d.kind + "/" + d.name
		if other, twice := first[key]; twice {
			report(d.problem(Error, verdict.PolicyInvalid, "metadata.name",
				fmt.Sprintf("%s is defined twice, first at %s; remove or rename one of the two", key, other.position("metadata.name")), ""))
			continue
		}
		first[key] = d
	}
}

// uniqueTrustEntries refuses a name that two trust roots define: a policy that
// names it would trust whichever comes first.
func uniqueTrustEntries(s *Set, _ time.Time, report func(Problem)) {
	first := map[string]Position{}
	for _, root := range s.TrustRoots {
		for i, e := range root.Value.Spec.Entries {
			path := fmt.Sprintf("spec.entries[%d].name", i)
			if at, twice := first[e.Name]; twice {
				report(root.doc.problem(Error, verdict.PolicyInvalid, path,
					fmt.Sprintf("the entry %q is defined twice, first at %s; names are unique over all trust roots", e.Name, at), ""))
				continue
			}
			first[e.Name] = root.At(path)
		}
	}
}

// selectors refuses label selectors that Kubernetes would refuse.
func selectors(s *Set, _ time.Time, report func(Problem)) {
	for _, p := range s.ImageSecurityPolicies {
		soundSelector(p.doc, "spec.imageSelector", p.Value.Spec.ImageSelector, report)
	}
	for _, p := range s.ModelSecurityPolicies {
		soundSelector(p.doc, "spec.modelSelector", p.Value.Spec.ModelSelector, report)
	}
	for _, p := range s.FunctionSecurityPolicies {
		soundSelector(p.doc, "spec.functionSelector", p.Value.Spec.FunctionSelector, report)
	}
}

func soundSelector(d *document, path string, selector *metav1.LabelSelector, report func(Problem)) {
	operators := []string{"In", "NotIn", "Exists", "DoesNotExist"}
	wrong := false
	for i, e := range selector.MatchExpressions {
		switch e.Operator {
		case metav1.LabelSelectorOpIn, metav1.LabelSelectorOpNotIn, metav1.LabelSelectorOpExists, metav1.LabelSelectorOpDoesNotExist:
			continue
		}
		wrong = true
		report(d.problem(Error, verdict.PolicyInvalid, fmt.Sprintf("%s.matchExpressions[%d].operator", path, i),
			quote(string(e.Operator))+" is not one of "+strings.Join(operators, ", "), closest(string(e.Operator), operators)))
	}
	if wrong {
		return
	}
	if _, err := metav1.LabelSelectorAsSelector(selector); err != nil {
		report(d.problem(Error, verdict.PolicyInvalid, path, "is not a label selector: "+err.Error(), ""))
	}
}

// eachRule calls f for every rule of every policy with the path of its parameters.
func eachRule(s *Set, f func(p Object[v1alpha1.ImageSecurityPolicy], rule *v1alpha1.ImageRule, parameters string)) {
	for _, p := range s.ImageSecurityPolicies {
		for i := range p.Value.Spec.Rules {
			f(p, &p.Value.Spec.Rules[i], fmt.Sprintf("spec.rules[%d].parameters", i))
		}
	}
}

// eachModelRule is eachRule for models.
func eachModelRule(s *Set, f func(p Object[v1alpha1.ModelSecurityPolicy], rule *v1alpha1.ModelRule, parameters string)) {
	for _, p := range s.ModelSecurityPolicies {
		for i := range p.Value.Spec.Rules {
			f(p, &p.Value.Spec.Rules[i], fmt.Sprintf("spec.rules[%d].parameters", i))
		}
	}
}

// reachableThresholds refuses a threshold that nothing can reach.
func reachableThresholds(s *Set, _ time.Time, report func(Problem)) {
	eachModelRule(s, func(p Object[v1alpha1.ModelSecurityPolicy], rule *v1alpha1.ModelRule, path string) {
		if n := len(rule.Parameters.RequireSignatureFrom); int(rule.Parameters.Threshold) > n {
			report(p.doc.problem(Error, verdict.PolicyInvalid, path+".threshold",
				fmt.Sprintf("is %d, and requireSignatureFrom names %d; no model can have that many signatures", rule.Parameters.Threshold, n), ""))
		}
	})
	eachRule(s, func(p Object[v1alpha1.ImageSecurityPolicy], rule *v1alpha1.ImageRule, path string) {
		if n := len(rule.Parameters.RequireSignatureFrom); int(rule.Parameters.Threshold) > n {
			report(p.doc.problem(Error, verdict.PolicyInvalid, path+".threshold",
				fmt.Sprintf("is %d, and requireSignatureFrom names %d; no image can have that many signatures", rule.Parameters.Threshold, n), ""))
		}
	})
}
