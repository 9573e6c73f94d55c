package policy

import (
	"fmt"
	"slices"
	"time"

	"github.com/apexlogic/apex/api/v1alpha1"
	"github.com/apexlogic/apex/internal/fact"
	"github.com/apexlogic/apex/verdict"
)

// sourceRule is RequireSignedSource: each file that declares the function is
// signed, byte for byte, by one of the named signers.
type sourceRule struct {
	functionRule
	from []string
}

func compileSource(p *v1alpha1.FunctionRuleParameters, env *environment) (Rule, string, []string) {
	r := &sourceRule{from: p.RequireSignatureFrom}
	return r, "needs files signed by " + list(r.from), env.missing("requireSignatureFrom", r.from, v1alpha1.UseSources)
}

func (r *sourceRule) Check(_ *verdict.Question, facts *fact.Set, _ time.Time) verdict.Check {
	f, problem := r.declared(facts)
	if problem != nil {
		return *problem
	}
	c := r.begin(facts, "every file signed by "+list(r.from))
	if unread := r.whole(facts, c); unread != nil {
		return *unread
	}
	var refusals []refusal
	var unsigned []string
	for i := range f.Sources {
		s := &f.Sources[i]
		if slices.ContainsFunc(s.Signing, func(by fact.Signing) bool { return len(signedBy(&by, r.from)) > 0 }) {
			continue
		}
		unsigned = append(unsigned, clean(s.Path))
		switch {
		case len(s.Signing) == 0:
			refusals = append(refusals, refusal{1, verdict.FunctionUnsigned, fmt.Sprintf("%s is not signed", clean(s.Path))})
		case s.Signing[0].Valid():
			refusals = append(refusals, refusal{2, verdict.FunctionUnsigned, fmt.Sprintf("%s is signed by %s, whom the policy does not name", clean(s.Path), list(s.Signing[0].TrustedBy))})
		default:
			refusals = append(refusals, refusal{3, verdict.FunctionUnsigned, fmt.Sprintf("%s: %s", clean(s.Path), clean(s.Signing[0].Detail))})
		}
	}
	if len(f.Sources) == 0 {
		refusals = append(refusals, refusal{1, verdict.FunctionUnsigned, "no file is known that declares the function"})
	}
	if len(refusals) > 0 {
		best := slices.MaxFunc(refusals, func(a, b refusal) int { return a.rank - b.rank })
		c.Outcome, c.Code, c.Found, c.Detail = verdict.Fail, best.code, some(unsigned, maxListed), best.detail
		return c
	}
	c.Outcome, c.Code, c.Detail = verdict.Pass, verdict.OK, "every file is signed by "+list(r.from)
	return c
}

var _ Rule = (*sourceRule)(nil)
