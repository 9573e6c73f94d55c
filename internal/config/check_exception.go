package config

import (
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/apexlogic/apex/api/v1alpha1"
	"github.com/apexlogic/apex/verdict"
)

// exceptionsInForce warns about exceptions that have no effect: expired ones,
// and those that nobody has approved.
func exceptionsInForce(s *Set, now time.Time, report func(Problem)) {
	for _, e := range s.PolicyExceptions {
		if !now.Before(e.Value.Spec.ExpiresAt.Time) {
			report(e.doc.problem(Warning, verdict.ExceptionExpired, "spec.expiresAt",
				"has expired on "+e.Value.Spec.ExpiresAt.UTC().Format(time.RFC3339)+" and has no effect; remove it, or have a new one approved", ""))
		}
		if e.Value.Spec.Signature == nil {
			report(e.doc.problem(Warning, verdict.ExceptionUnsigned, "spec.signature",
				"is missing, so the exception has no effect; have an approver sign it", ""))
		}
	}
}

// exceptionTargets warns about exceptions from policies and rules that are not there.
func exceptionTargets(s *Set, _ time.Time, report func(Problem)) {
	rules := map[string][]string{}
	var policies []string
	for _, p := range s.ImageSecurityPolicies {
		policies = append(policies, p.Value.Name)
		for _, r := range p.Value.Spec.Rules {
			rules[p.Value.Name] = append(rules[p.Value.Name], string(r.Name))
		}
	}
	for _, e := range s.PolicyExceptions {
		spec := e.Value.Spec
		there, known := rules[spec.Policy]
		switch {
		case !known:
			report(e.doc.problem(Warning, verdict.ExceptionSubject, "spec.policy",
				"no policy is called "+quote(spec.Policy)+", so the exception has no effect", closest(spec.Policy, policies)))
		case !slices.Contains(there, spec.Rule):
			report(e.doc.problem(Warning, verdict.ExceptionSubject, "spec.rule",
				fmt.Sprintf("the policy %s has no rule %s, so the exception has no effect; its rules are %s", spec.Policy, quote(spec.Rule), strings.Join(there, ", ")),
				closest(spec.Rule, there)))
		}
	}
}

// exceptionApprovers warns about an exception that nobody but its author could
// approve. Who did approve it is proved when it is used.
func exceptionApprovers(s *Set, _ time.Time, report func(Problem)) {
	owners := map[string]bool{}
	eachEntry(s, func(_ Object[v1alpha1.TrustRoot], e *v1alpha1.TrustEntry, _ string) {
		for _, use := range e.Uses {
			if use == v1alpha1.UseExceptions {
				owners[strings.ToLower(e.Owner)] = true
			}
		}
	})
	for _, e := range s.PolicyExceptions {
		switch author := e.Value.Spec.Author; {
		case len(owners) == 0:
			report(e.doc.problem(Warning, verdict.ExceptionUnsigned, "spec",
				"no trust root has an entry with the use Exceptions, so nobody can approve the exception", ""))
		case len(owners) == 1 && owners[strings.ToLower(author)]:
			report(e.doc.problem(Warning, verdict.ExceptionSelfApproved, "spec.author",
				quote(author)+" is the only owner of an entry with the use Exceptions, and nobody approves their own exception; add an approver", ""))
		}
	}
}

// exceptionConflicts warns about two exceptions from the same rule for the same image.
func exceptionConflicts(s *Set, _ time.Time, report func(Problem)) {
	first := map[[4]string]Object[v1alpha1.PolicyException]{}
	for _, e := range s.PolicyExceptions {
		spec := e.Value.Spec
		key := [4]string{spec.Policy, spec.Rule, spec.Digest, spec.Repository}
		other, twice := first[key]
		if !twice && spec.Repository != "" {
			other, twice = first[[4]string{spec.Policy, spec.Rule, spec.Digest, ""}]
		}
		if twice {
			report(e.doc.problem(Warning, verdict.ExceptionConflict, "spec.digest",
				fmt.Sprintf("the exception %s at %s covers the same check; delete one of the two", other.Value.Name, other.At("")), ""))
			continue
		}
		first[key] = e
	}
}

// signedRevocations reports revocations that nobody signed. They stop their
// target all the same.
func signedRevocations(s *Set, _ time.Time, report func(Problem)) {
	for _, r := range s.Revocations {
		if r.Value.Spec.Signature == nil {
			report(r.doc.problem(Warning, verdict.Revoked, "spec.signature",
				"is missing; the revocation stops its target all the same, but nobody answers for it", ""))
		}
	}
}
