package policy

import (
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"sync"
	"time"

	"github.com/google/cel-go/cel"
	"github.com/google/cel-go/common/types"
	"github.com/google/cel-go/ext"

	"github.com/apexlogic/apex/api/v1alpha1"
	"github.com/apexlogic/apex/internal/fact"
	"github.com/apexlogic/apex/verdict"
)

// maxExpressionCost bounds one evaluation, in CEL's cost units, so that an
// expression over a large report cannot hold the engine.
const maxExpressionCost = 1_000_000

// expressionVariables are what an expression may look at, with the fact each needs.
var expressionVariables = []struct {
	name string
	need fact.Need
}{
	{"image", fact.NeedImage},
	{"signatures", fact.NeedSignatures},
	{"attestations", fact.NeedAttestations},
	{"reports", fact.NeedReports},
	{"provenance", fact.NeedProvenance},
	{"model", fact.NeedModel},
	{"declaration", fact.NeedFunction}, // CEL reserves the word function
	{"repository", 0},
	{"digest", 0},
	{"platform", 0},
	{"workloadNamespace", 0}, // CEL reserves the word namespace
	{"labels", 0},
	{"now", 0},
}

// predicateOnly is what the condition of an attestation may look at.
var predicateOnly = []string{"predicate"}

// variableNames are those of all variables but the given ones: an image has no
// fact about a model, and a model none about an image.
func variableNames(without ...string) []string {
	var names []string
	for _, v := range expressionVariables {
		if !slices.Contains(without, v.name) {
			names = append(names, v.name)
		}
	}
	return names
}

var (
	imageVariables = variableNames("model", "declaration")
	modelVariables = variableNames("image", "declaration")
)

// expressionRule is Expression: CEL over verified facts, without any I/O.
type expressionRule struct {
	expressions []namedExpression
	needs       fact.Need
}

type namedExpression struct {
	expression
	name, message string
}

func compileExpression(p *v1alpha1.ImageRuleParameters, _ *environment) (Rule, string, []string) {
	return compileExpressions(&p.ExpressionParameters, imageVariables)
}

func compileExpressions(p *v1alpha1.ExpressionParameters, variables []string) (Rule, string, []string) {
	r := &expressionRule{}
	var missing, about []string
	for _, e := range p.Expressions {
		n := namedExpression{expression{text: e.Expression, variables: variables}, e.Name, e.Message}
		if err := n.compile(); err != nil {
			missing = append(missing, fmt.Sprintf("expressions: %s: %v", e.Name, err))
		}
		for _, v := range expressionVariables {
			if slices.Contains(n.uses, v.name) {
				r.needs |= v.need
			}
		}
		r.expressions = append(r.expressions, n)
		about = append(about, e.Name)
	}
	return r, "needs " + some(about, 3), missing
}

func (r *expressionRule) Needs() fact.Need { return r.needs }

func (r *expressionRule) Check(q *verdict.Question, facts *fact.Set, now time.Time) verdict.Check {
	c := verdict.Check{Outcome: verdict.Pass, Code: verdict.OK, Detail: "all expressions are true"}
	input, problem := r.input(q, facts, now)
	if problem != nil {
		return *problem
	}
	for i := range r.expressions {
		e := &r.expressions[i]
		// What an expression says about the time holds for a moment only.
		if slices.Contains(e.uses, "now") {
			c.Until = verdict.Earliest(c.Until, now.Add(time.Minute))
		}
		ok, err := e.eval(input)
		switch {
		case err != nil:
			c.Outcome, c.Code = verdict.Unknown, verdict.ExpressionFailed
			c.Expected, c.Detail = e.text, fmt.Sprintf("expression %s could not be evaluated: %v", e.name, err)
			return c
		case !ok:
			c.Outcome, c.Code = verdict.Fail, verdict.ExpressionFalse
			c.Expected, c.Found = e.text, "false"
			c.Detail = orElse(e.message, fmt.Sprintf("expression %s is false", e.name))
			return c
		}
	}
	return c
}

// input gives the expression complete facts only: an expression cannot tell
// presence from absence, so a partial list would let it prove too much.
func (r *expressionRule) input(q *verdict.Question, facts *fact.Set, now time.Time) (map[string]any, *verdict.Check) {
	in := map[string]any{
		"repository": q.Repo, "digest": string(q.Digest), "platform": q.Platform,
		"workloadNamespace": q.Namespace, "labels": q.Labels, "now": now,
	}
	if q.Labels == nil {
		in["labels"] = map[string]string{}
	}
	var problem *verdict.Check
	bind := func(name string, c *verdict.Check, value any) {
		if c != nil {
			problem = c
			return
		}
		in[name] = plain(value)
	}
	if r.needs.Has(fact.NeedImage) {
		v, c := whole(fact.NeedImage, &facts.Image, "the image")
		bind("image", c, v)
	}
	if r.needs.Has(fact.NeedSignatures) {
		v, c := whole(fact.NeedSignatures, &facts.Signatures, "the signatures")
		bind("signatures", c, v)
	}
	if r.needs.Has(fact.NeedAttestations) {
		v, c := whole(fact.NeedAttestations, &facts.Attestations, "the attestations")
		bind("attestations", c, v)
	}
	if r.needs.Has(fact.NeedReports) {
		v, c := whole(fact.NeedReports, &facts.Reports, "the reports")
		bind("reports", c, v)
	}
	if r.needs.Has(fact.NeedProvenance) {
		v, c := whole(fact.NeedProvenance, &facts.Provenance, "the provenance")
		bind("provenance", c, v)
	}
	if r.needs.Has(fact.NeedModel) {
		v, c := whole(fact.NeedModel, &facts.Model, "the model")
		bind("model", c, v)
	}
	if r.needs.Has(fact.NeedFunction) {
		v, c := whole(fact.NeedFunction, &facts.Function, "the function")
		bind("declaration", c, v)
	}
	return in, problem
}

func whole[T any](kind fact.Need, f *fact.Fact[T], what string) (T, *verdict.Check) {
	v, _, ok := f.All()
	if !ok {
		c := unknown(kind, f, what)
		return v, &c
	}
	return v, nil
}

// plain turns a fact into maps and lists with the names of its JSON form, which
// are the names that docs/kinds documents.
func plain(v any) any {
	data, err := json.Marshal(v)
	if err != nil {
		return nil
	}
	var out any
	if err := json.Unmarshal(data, &out); err != nil {
		return nil
	}
	if out == nil {
		return []any{} // a nil slice
	}
	return out
}

// expression is a compiled CEL expression over untyped variables. Compiling
// once makes it safe for concurrent use.
type expression struct {
	text      string
	variables []string
	uses      []string // variables that the expression mentions
	program   cel.Program
}

// celBase is the environment that all expressions extend. CEL's declarations
// cost milliseconds, which a process without expressions does not pay.
var celBase = sync.OnceValues(func() (*cel.Env, error) {
	return cel.NewEnv(ext.Strings(), ext.Sets(), cel.DefaultUTCTimeZone(true))
})

func (e *expression) compile() error {
	base, err := celBase()
	if err != nil {
		return err
	}
	var options []cel.EnvOption
	for _, v := range e.variables {
		kind := cel.DynType
		if v == "now" {
			kind = cel.TimestampType
		}
		options = append(options, cel.Variable(v, kind))
	}
	env, err := base.Extend(options...)
	if err != nil {
		return err
	}
	ast, issues := env.Compile(e.text)
	if errs := issues.Errors(); len(errs) > 0 {
		// One sentence without CEL's drawing of the place: it is shown in lists.
		return fmt.Errorf("line %d, column %d: %s", errs[0].Location.Line(), errs[0].Location.Column()+1, errs[0].Message)
	}
	if out := ast.OutputType(); !out.IsExactType(cel.BoolType) && !out.IsExactType(cel.DynType) {
		return fmt.Errorf("its result is %s, not bool", out)
	}
	for _, r := range ast.NativeRep().ReferenceMap() {
		if slices.Contains(e.variables, r.Name) && !slices.Contains(e.uses, r.Name) {
			e.uses = append(e.uses, r.Name)
		}
	}
	e.program, err = env.Program(ast, cel.CostLimit(maxExpressionCost), cel.EvalOptions(cel.OptOptimize))
	return err
}

func (e *expression) eval(input map[string]any) (bool, error) {
	if e.program == nil {
		return false, errors.New("it does not compile")
	}
	out, _, err := e.program.Eval(input)
	if err != nil {
		return false, err
	}
	b, ok := out.(types.Bool)
	if !ok {
		return false, fmt.Errorf("its result is %s, not bool", out.Type())
	}
	return bool(b), nil
}

var _ Rule = (*expressionRule)(nil)

// ExpressionProblem is a CEL expression that does not compile.
type ExpressionProblem struct {
	Path string // of the expression, for example "spec.rules[0].parameters.expressions[1].expression"
	Err  error
}

// ExpressionProblems compiles every expression of the policy and returns those
// that do not compile: each of them leaves the policy not ready.
func ExpressionProblems(doc *v1alpha1.ImageSecurityPolicy) []ExpressionProblem {
	var problems []ExpressionProblem
	try := func(e expression, path string, args ...any) {
		if err := e.compile(); err != nil {
			problems = append(problems, ExpressionProblem{fmt.Sprintf(path, args...), err})
		}
	}
	for i := range doc.Spec.Rules {
		p := &doc.Spec.Rules[i].Parameters
		for j := range p.Expressions {
			try(expression{text: p.Expressions[j].Expression, variables: imageVariables}, "spec.rules[%d].parameters.expressions[%d].expression", i, j)
		}
		for j := range p.Attestations {
			if p.Attestations[j].Condition != "" {
				try(expression{text: p.Attestations[j].Condition, variables: predicateOnly}, "spec.rules[%d].parameters.attestations[%d].condition", i, j)
			}
		}
	}
	return problems
}

// ModelExpressionProblems is [ExpressionProblems] of a policy about models.
func ModelExpressionProblems(doc *v1alpha1.ModelSecurityPolicy) []ExpressionProblem {
	var problems []ExpressionProblem
	for i := range doc.Spec.Rules {
		for j, named := range doc.Spec.Rules[i].Parameters.Expressions {
			e := expression{text: named.Expression, variables: modelVariables}
			if err := e.compile(); err != nil {
				problems = append(problems, ExpressionProblem{fmt.Sprintf("spec.rules[%d].parameters.expressions[%d].expression", i, j), err})
			}
		}
	}
	return problems
}

// FunctionExpressionProblems is [ExpressionProblems] of a policy about functions.
func FunctionExpressionProblems(doc *v1alpha1.FunctionSecurityPolicy) []ExpressionProblem {
	var problems []ExpressionProblem
	for i := range doc.Spec.Rules {
		for j, named := range doc.Spec.Rules[i].Parameters.Expressions {
			e := expression{text: named.Expression, variables: functionVariables}
			if err := e.compile(); err != nil {
				problems = append(problems, ExpressionProblem{fmt.Sprintf("spec.rules[%d].parameters.expressions[%d].expression", i, j), err})
			}
		}
	}
	return problems
}
