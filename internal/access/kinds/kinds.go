// Package kinds reads access policies out of documents of our kinds.
//
// Start with [Compile], which makes one set of all AccessPolicies and of what
// ProtectedRoutes allow, and with [Test], which asks the tests that stand in
// them. Both say what is wrong beside the document that says it.
package kinds

import (
	"fmt"
	"slices"
	"strings"

	"github.com/apexlogic/apex/api/v1alpha1"
	"github.com/apexlogic/apex/internal/access"
	"github.com/apexlogic/apex/internal/config"
	"github.com/apexlogic/apex/verdict"
)

// Compile makes one set of all access policies and of what routes allow.
// What is wrong is told by document.
func Compile(s *config.Set, o access.Options) (*access.Set, []config.Problem) {
	set, err := access.Compile(policies(s), grants(s), o)
	if err != nil {
		return nil, problemsOf(s, err)
	}
	return set, nil
}

// Test asks the tests that stand in the policies.
func Test(s *config.Set, set *access.Set) (results []access.Result, failed []config.Problem) {
	for i := range s.AccessPolicies {
		o := &s.AccessPolicies[i]
		tests := make([]access.Test, len(o.Value.Spec.Tests))
		for j, t := range o.Value.Spec.Tests {
			tests[j] = access.Test{
				Document: o.Value.Name, Name: t.Name, Principal: t.Principal, Groups: t.Groups, Claims: t.Claims, Action: t.Action, Route: t.Route,
				Model: t.Model, Properties: t.Properties, Context: t.Context, Expect: t.Expect, Policies: t.Policies,
			}
		}
		for j, r := range set.Test(tests) {
			results = append(results, r)
			if !r.Passed {
				failed = append(failed, o.Problem(verdict.PolicyInvalid, fmt.Sprintf("spec.tests[%d]", j), fmt.Sprintf("the test %q: %s", r.Name, r.Detail)))
			}
		}
	}
	return results, failed
}

// Targets are what is behind the routes: their models, or one that is not
// named where a route takes any.
func Targets(s *config.Set) []access.Target {
	var all []access.Target
	for i := range s.ProtectedRoutes {
		doc := s.ProtectedRoutes[i].Value
		for _, m := range doc.Spec.Models {
			all = append(all, access.Target{Resource: access.Entity{Type: access.Model, ID: m.Name}, Route: doc.Name})
		}
		if len(doc.Spec.Models) == 0 {
			all = append(all, access.Target{Resource: access.Entity{Type: access.Model, ID: "*"}, Route: doc.Name})
		}
	}
	return all
}

func policies(s *config.Set) []access.Policy {
	var all []access.Policy
	for i := range s.AccessPolicies {
		doc := s.AccessPolicies[i].Value
		p := access.Policy{Name: doc.Name, Cedar: doc.Spec.Cedar, Routes: doc.Spec.Routes, Observe: doc.Spec.Enforcement == "Observe"}
		for _, c := range doc.Spec.Claims {
			p.Claims = append(p.Claims, access.Claim{Name: c.Name, Type: access.Type(c.Type)})
		}
		all = append(all, p)
	}
	return all
}

func grants(s *config.Set) []access.Grant {
	var all []access.Grant
	for i := range s.ProtectedRoutes {
		doc := s.ProtectedRoutes[i].Value
		for j, a := range doc.Spec.Allow {
			all = append(all, access.Grant{
				Name: fmt.Sprintf("%s/allow/%d", doc.Name, j+1), Route: doc.Name, Identities: a.Identities, Actions: a.Actions,
				Models: a.Models, Anonymous: doc.Spec.Anonymous,
			})
		}
	}
	return all
}

// problemsOf puts what is wrong beside the document that says it.
func problemsOf(s *config.Set, err error) []config.Problem {
	var problems []config.Problem
	for _, p := range access.AsProblems(err) {
		detail := p.Detail
		if p.Line > 0 {
			detail = fmt.Sprintf("line %d, column %d: %s", p.Line, p.Column, p.Detail)
		}
		if at := slices.IndexFunc(s.AccessPolicies, func(o config.Object[v1alpha1.AccessPolicy]) bool { return o.Value.Name == p.Policy }); at >= 0 {
			problems = append(problems, s.AccessPolicies[at].Problem(verdict.PolicyInvalid, "spec.cedar", detail))
			continue
		}
		route, number, _ := strings.Cut(p.Policy, "/allow/")
		if at := slices.IndexFunc(s.ProtectedRoutes, func(o config.Object[v1alpha1.ProtectedRoute]) bool { return o.Value.Name == route }); at >= 0 {
			var n int
			fmt.Sscan(number, &n) // a number that is none stays 0, which is the list
			path := "spec.allow"
			if n > 0 {
				path = fmt.Sprintf("spec.allow[%d]", n-1)
			}
			problems = append(problems, s.ProtectedRoutes[at].Problem(verdict.PolicyInvalid, path, detail))
			continue
		}
		problems = append(problems, config.Problem{Code: verdict.PolicyInvalid, Object: p.Policy, Message: detail})
	}
	if len(problems) == 0 {
		problems = append(problems, config.Problem{Code: verdict.PolicyInvalid, Message: err.Error()})
	}
	return problems
}
