package ci

import (
	"context"
	"errors"
	"fmt"
	"slices"

	"github.com/apexlogic/apex/internal/config"
	"github.com/apexlogic/apex/internal/verify"
	"github.com/apexlogic/apex/verdict"
)

// ErrNoPolicies means that neither the base nor the change has a policy, so
// that nothing could be said about it.
var ErrNoPolicies = errors.New("there are no policies, neither in the base nor in the change")

// Engine answers questions under the documents that were put in force last.
type Engine interface {
	// Publish puts the documents in force.
	Publish(ctx context.Context, s *config.Set) error
	// Images answers about images and models, Functions about functions.
	Images(ctx context.Context, questions []verdict.Question) verdict.Report
	Functions(ctx context.Context, functions []verify.Function) verdict.Report
}

// Judgement is what the gate says about a change.
type Judgement struct {
	// Report holds the stricter verdict of the two about each subject. It holds
	// no verdict when the change deploys nothing.
	Report verdict.Report
	// Rules says under whose rules each verdict of the report was reached:
	// [OfBase], [OfChange] or, where they agree, [OfBoth].
	Rules []string
	// Nothing is true when the change deploys nothing that is judged.
	Nothing bool
}

// Whose rules a verdict was reached under.
const (
	OfBase   = "the base's policies"
	OfChange = "the change's own policies"
	OfBoth   = ""
)

// Judge asks the engine about all that the change deploys, under the rules of
// its base and under its own. functions are those that it declares.
func Judge(ctx context.Context, e Engine, c *Change, functions []verify.Function) (*Judgement, error) {
	sets := []struct {
		whose string
		set   *config.Set
	}{{OfBase, c.Before}, {OfChange, c.After}}
	if c.Before == nil && c.After == nil {
		return nil, ErrNoPolicies
	}
	if c.Before != nil && c.After != nil && c.Before.Hash() == c.After.Hash() {
		sets = sets[:1] // nothing would come of asking twice
		sets[0].whose = OfBoth
	}
	if c.Before != nil && c.After == nil {
		// The change takes all policies away: what it deploys would then be unselected.
		return nil, fmt.Errorf("the change removes every policy, so nothing could be deployed after it")
	}
	out := &Judgement{}
	for _, s := range sets {
		if s.set == nil {
			continue
		}
		if err := e.Publish(ctx, s.set); err != nil {
			return nil, fmt.Errorf("%s: %w", s.whose, err)
		}
		report := e.Images(ctx, c.Questions)
		if len(functions) > 0 && len(s.set.FunctionSecurityPolicies) > 0 {
			more := e.Functions(ctx, functions)
			report.Verdicts = append(report.Verdicts, more.Verdicts...)
		} else if len(functions) > 0 {
			report.NotJudged = append(report.NotJudged, unjudged(functions)...)
		}
		out.fold(report, s.whose)
	}
	out.Report.Unresolved = append(out.Report.Unresolved, c.Unresolved...)
	out.Nothing = len(out.Report.Verdicts) == 0 && len(out.Report.Unresolved) == 0
	return out, nil
}

// unjudged notes functions that no kind of policy speaks about.
func unjudged(functions []verify.Function) []verdict.Unresolved {
	var out []verdict.Unresolved
	for i := range functions {
		f, _, _ := functions[i].Fact.Some()
		if f.Name != "" {
			out = append(out, verdict.Unresolved{Text: f.Name, Where: f.Where, Code: verdict.Unselected, Why: "no FunctionSecurityPolicy is in force"})
		}
	}
	return out
}

// fold keeps the stricter of two answers to each question. A set of policies
// that does not speak about models or functions leaves their answers out.
func (j *Judgement) fold(r verdict.Report, whose string) {
	known := map[string]int{}
	for i := range j.Report.Verdicts {
		known[asked(&j.Report.Verdicts[i])] = i
	}
	verdicts, rules := j.Report.Verdicts, j.Rules
	for i := range r.Verdicts {
		at, twice := known[asked(&r.Verdicts[i])]
		switch {
		case !twice:
			verdicts, rules = append(verdicts, r.Verdicts[i]), append(rules, whose)
		case r.Verdicts[i].Decision < verdicts[at].Decision:
			verdicts[at], rules[at] = r.Verdicts[i], whose
		case r.Verdicts[i].Decision == verdicts[at].Decision:
			rules[at] = OfBoth
		}
	}
	r.Verdicts, j.Rules = verdicts, rules
	r.NotJudged = slices.DeleteFunc(append(j.Report.NotJudged, r.NotJudged...), func(u verdict.Unresolved) bool {
		return slices.ContainsFunc(verdicts, func(v verdict.Verdict) bool { return v.Where == u.Where })
	})
	j.Report = r
}

// asked names a question by what was asked where.
func asked(v *verdict.Verdict) string {
	return v.Kind.String() + " " + v.Asked + " " + v.Where.String()
}

// Decision of the gate: a change that deploys nothing is allowed.
func (j *Judgement) Decision() verdict.Decision {
	if j.Nothing {
		return verdict.Allow
	}
	return j.Report.Decision()
}
