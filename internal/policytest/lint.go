package policytest

import (
	"fmt"
	"strconv"
	"strings"
	"time"

	"github.com/apexlogic/apex/internal/access"
	"github.com/apexlogic/apex/internal/access/kinds"
	"github.com/apexlogic/apex/internal/config"
	"github.com/apexlogic/apex/internal/policy"
	"github.com/apexlogic/apex/internal/verify"
	"github.com/apexlogic/apex/verdict"
)

// Lint returns everything that is wrong or questionable with a set: what
// [config.Lint] knows from the documents, and what only compiling them shows
// (CEL expressions, access policies and their tests, keys, the signatures of
// exceptions and revocations). What
// is only worth compiling when the documents are valid comes after them.
func Lint(set *config.Set, now time.Time) []config.Problem {
	problems := config.Lint(set, now)
	if set.Err() != nil {
		return problems
	}
	told := map[string]bool{}
	for _, p := range problems {
		told[p.Object+" "+string(p.Code)] = true
		told[p.Object+" "+p.Path] = true
	}
	g, err := verify.Compile(set.Hash(), documents(set), now)
	var images, models, functions []policy.Policy
	if err == nil {
		images, models, functions = g.Policies(), g.Models(), g.Functions()
	}
	for _, p := range set.ImageSecurityPolicies {
		problems = append(problems, notReady(p, policy.ExpressionProblems(p.Value), set.Readiness(p.Value.Name).Ready, named(images, p.Value.Name))...)
	}
	for _, p := range set.ModelSecurityPolicies {
		problems = append(problems, notReady(p, policy.ModelExpressionProblems(p.Value), set.ModelReadiness(p.Value.Name).Ready, named(models, p.Value.Name))...)
	}
	for _, p := range set.FunctionSecurityPolicies {
		problems = append(problems, notReady(p, policy.FunctionExpressionProblems(p.Value), set.FunctionReadiness(p.Value.Name).Ready, named(functions, p.Value.Name))...)
	}
	problems = append(problems, accessProblems(set)...)
	if err != nil {
		return append(problems, trustProblem(set, err))
	}
	for _, found := range g.Problems() {
		object := found.Kind + "/" + found.Name + " "
		if !told[object+string(found.Code)] && !told[object+"spec.signature"] { // the documents say it better
			problems = append(problems, locate(set, found))
		}
	}
	return problems
}

// accessProblems compiles the access policies, and asks their tests.
func accessProblems(set *config.Set) []config.Problem {
	rules, problems := kinds.Compile(set, access.Options{})
	if len(problems) > 0 {
		return problems
	}
	_, failed := kinds.Test(set, rules)
	return failed
}

// notReady says why the compiled policy is not, beside the names that ready
// speaks of: at each expression that does not compile, or else at the spec.
func notReady[T any](p config.Object[T], broken []policy.ExpressionProblem, ready bool, missing []string) []config.Problem {
	var problems []config.Problem
	for _, e := range broken {
		problems = append(problems, p.Problem(verdict.PolicyNotReady, e.Path, e.Err.Error()))
	}
	if len(missing) > 0 && ready && len(broken) == 0 {
		problems = append(problems, p.Problem(verdict.PolicyNotReady, "spec", fmt.Sprintf("the policy is not ready and denies all that it selects: %s", strings.Join(missing, "; "))))
	}
	return problems
}

// named returns why the policy of that name is not ready.
func named(compiled []policy.Policy, name string) []string {
	for i := range compiled {
		if compiled[i].Name == name {
			return compiled[i].NotReady
		}
	}
	return nil
}

// trustProblem stands at the entry that the error names.
func trustProblem(set *config.Set, err error) config.Problem {
	p := config.Problem{Code: verdict.PolicyInvalid}
	for _, root := range set.TrustRoots {
		for i := range root.Value.Spec.Entries {
			if strings.Contains(err.Error(), strconv.Quote(root.Value.Spec.Entries[i].Name)) {
				p = root.Problem(verdict.PolicyInvalid, fmt.Sprintf("spec.entries[%d]", i), "")
			}
		}
	}
	p.Message = err.Error()
	return p
}

// locate is a warning where the document stands.
func locate(set *config.Set, found policy.Problem) config.Problem {
	p := config.Problem{Object: found.Kind + "/" + found.Name, Code: found.Code}
	for _, e := range set.PolicyExceptions {
		if found.Kind == "PolicyException" && e.Value.Name == found.Name {
			p = e.Problem(found.Code, "spec.signature", "")
		}
	}
	for _, r := range set.Revocations {
		if found.Kind == "Revocation" && r.Value.Name == found.Name {
			p = r.Problem(found.Code, "spec.signature", "")
		}
	}
	p.Severity, p.Message = config.Warning, found.Detail
	return p
}
