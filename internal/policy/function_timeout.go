package policy

import (
	"fmt"
	"time"

	"github.com/apexlogic/apex/api/v1alpha1"
	"github.com/apexlogic/apex/internal/fact"
	"github.com/apexlogic/apex/verdict"
)

// timeoutRule is LimitTimeout: a call ends in time, so that nobody can hold the
// function, and its bill, for long.
type timeoutRule struct {
	functionRule
	most time.Duration
}

func compileTimeout(p *v1alpha1.FunctionRuleParameters, _ *environment) (Rule, string, []string) {
	if p.MaxTimeout == nil {
		return nil, "", []string{"maxTimeout is needed"}
	}
	return &timeoutRule{most: p.MaxTimeout.Duration}, "ends calls after " + age(p.MaxTimeout.Duration), nil
}

func (r *timeoutRule) Check(_ *verdict.Question, facts *fact.Set, _ time.Time) verdict.Check {
	f, problem := r.declared(facts)
	if problem != nil {
		return *problem
	}
	c := r.begin(facts, "a timeout of at most "+age(r.most))
	switch {
	case f.Name == "":
	case f.Timeout == 0:
		c.Outcome, c.Code, c.Found, c.Detail = verdict.Fail, verdict.FunctionTimeout, "none", "the function sets no timeout"
		return c
	case f.Timeout > r.most:
		c.Outcome, c.Code, c.Found = verdict.Fail, verdict.FunctionTimeout, age(f.Timeout)
		c.Detail = fmt.Sprintf("a call may last %s; at most %s are allowed", age(f.Timeout), age(r.most))
		return c
	}
	c.Outcome, c.Code, c.Detail = verdict.Pass, verdict.OK, "calls end in time"
	return c
}

var _ Rule = (*timeoutRule)(nil)
