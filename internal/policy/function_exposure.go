package policy

import (
	"time"

	"github.com/apexlogic/apex/api/v1alpha1"
	"github.com/apexlogic/apex/internal/fact"
	"github.com/apexlogic/apex/verdict"
)

// exposureRule is DenyPublicExposure: nobody calls the function without saying
// who they are, except through the gateway, which asks.
type exposureRule struct {
	functionRule
	denyGateway bool
}

func compileExposure(p *v1alpha1.FunctionRuleParameters, _ *environment) (Rule, string, []string) {
	return &exposureRule{denyGateway: p.BehindGateway == "Block"}, "denies functions that anybody may call", nil
}

func (r *exposureRule) Check(_ *verdict.Question, facts *fact.Set, _ time.Time) verdict.Check {
	f, problem := r.declared(facts)
	if problem != nil {
		return *problem
	}
	c := r.begin(facts, "no way in without an identity")
	bad := ofClasses(f, []string{"function_public_invoke"})
	switch {
	case f.Gateway && !r.denyGateway:
	case len(bad) > 0:
		return overstepped(c, verdict.FunctionPublic, bad)
	case len(f.Exposed) > 0:
		c.Outcome, c.Code = verdict.Fail, verdict.FunctionPublic
		c.Found = clean(some(f.Exposed, maxListed))
		c.Detail = "anybody may call it: " + clean(f.Exposed[0])
		return c
	}
	if unread := r.whole(facts, c); unread != nil {
		return *unread
	}
	c.Outcome, c.Code, c.Detail = verdict.Pass, verdict.OK, "every way in asks for an identity"
	return c
}

// egressRule is RestrictEgress: the function's network says where it may connect to.
type egressRule struct{ functionRule }

func compileEgress(*v1alpha1.FunctionRuleParameters, *environment) (Rule, string, []string) {
	return &egressRule{}, "needs a network with rules", nil
}

func (r *egressRule) Check(_ *verdict.Question, facts *fact.Set, _ time.Time) verdict.Check {
	f, problem := r.declared(facts)
	if problem != nil {
		return *problem
	}
	c := r.begin(facts, "a network that says where the function may connect to")
	switch {
	case f.Name == "": // what a unit declares beside its functions connects to nothing
	case f.Egress == "restricted":
	case f.Egress == "anywhere":
		c.Outcome, c.Code = verdict.Fail, verdict.FunctionEgress
		c.Found, c.Detail = "anywhere", "the function may connect to anywhere"
		return c
	default:
		c.Outcome, c.Code = verdict.Unknown, verdict.FunctionEgress
		c.Detail = "the files do not say where the function may connect to"
		return c
	}
	c.Outcome, c.Code, c.Detail = verdict.Pass, verdict.OK, "its network has rules"
	return c
}

var (
	_ Rule = (*exposureRule)(nil)
	_ Rule = (*egressRule)(nil)
)
