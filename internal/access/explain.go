package access

import (
	"strings"

	"github.com/cedar-policy/cedar-go/types"
	"github.com/cedar-policy/cedar-go/x/exp/ast"
	"github.com/cedar-policy/cedar-go/x/exp/eval"
)

// Explanation is how a decision came about. It holds the texts of policies, and
// of a request only what Cedar says in the error of a condition.
type Explanation struct {
	Decision Decision `json:"decision"`
	// Policies whose scope holds: all that were looked at, in the order of the
	// documents.
	Policies []Looked `json:"policies"`
	// Near are policies that were not looked at because one part of their
	// scope does not hold, at most [mostNear].
	Near []Near `json:"near,omitempty"`
	// Others is the number of all further policies.
	Others int `json:"others"`
}

// Looked is a policy that was looked at.
type Looked struct {
	Name       string      `json:"name"`
	Effect     string      `json:"effect"` // permit or forbid
	Line       int         `json:"line,omitempty"`
	Column     int         `json:"column,omitempty"`
	Observed   bool        `json:"observed,omitempty"` // it does not decide
	Holds      bool        `json:"holds"`
	Failed     bool        `json:"failed,omitempty"` // it could not be evaluated
	Conditions []Condition `json:"conditions,omitempty"`
}

// Condition is a part of a condition: what stands between && in when and
// unless.
type Condition struct {
	Kind   string `json:"kind"` // when or unless
	Text   string `json:"text"`
	Result string `json:"result"` // true, false, an error, or empty: not reached
}

// Near is a policy that one part of the scope keeps from being looked at.
type Near struct {
	Name string `json:"name"`
	Part string `json:"part"` // principal, action or resource
}

const mostNear = 16

// Explain decides, and says which policies were looked at and why each did or
// did not hold. It is for people: it looks at every policy of the set.
func (s *Set) Explain(q *Request) Explanation {
	x := Explanation{Decision: s.Decide(q), Policies: []Looked{}}
	if s == nil {
		return x
	}
	x.Others = len(s.rules)
	a := newAsking(s)
	if _, err := a.name(q); err != nil {
		return x
	}
	var n needs
	var looked []*rule
	for _, r := range s.rules {
		switch misses := a.misses(r); {
		case len(misses) == 0:
			looked = append(looked, r)
			n.add(&r.needs)
		case len(misses) == 1 && len(x.Near) < mostNear:
			x.Near = append(x.Near, Near{r.name, misses[0]})
		}
	}
	x.Others -= len(looked) + len(x.Near)
	if a.build(&n) != nil {
		return x // the decision says what is wrong with the request
	}
	for _, r := range looked {
		x.Policies = append(x.Policies, a.explain(r))
	}
	return x
}

// misses are the parts of a scope that do not hold.
func (a *asking) misses(r *rule) []string {
	var parts []string
	if !a.within(r.policy.Principal, a.cedar.Principal, true) {
		parts = append(parts, "principal")
	}
	if !covers(r.policy.Action, a.cedar.Action) {
		parts = append(parts, "action")
	}
	if !a.within(r.policy.Resource, a.cedar.Resource, false) {
		parts = append(parts, "resource")
	}
	return parts
}

// within says whether a scope holds for one side of the request.
func (a *asking) within(s ast.IsScopeNode, e types.EntityUID, principal bool) bool {
	below := func(above types.EntityUID) bool {
		if e == above {
			return true
		}
		if !principal {
			return a.request.Route != "" && above == routeUID(a.request.Route)
		}
		for parent := range a.parents(true) {
			if parent == above {
				return true
			}
		}
		return false
	}
	switch s := s.(type) {
	case ast.ScopeTypeEq:
		return e == s.Entity
	case ast.ScopeTypeIs:
		return e.Type == s.Type
	case ast.ScopeTypeIn:
		return below(s.Entity)
	case ast.ScopeTypeIsIn:
		return e.Type == s.Type && below(s.Entity)
	}
	return true
}

// explain evaluates the conditions of a policy one by one, as far as Cedar would.
func (a *asking) explain(r *rule) Looked {
	l := Looked{Name: r.name, Effect: "forbid", Line: r.policy.Position.Line, Column: r.policy.Position.Column, Observed: r.observe, Holds: true}
	if r.permits() {
		l.Effect = "permit"
	}
	env := eval.Env{Entities: a, Principal: a.cedar.Principal, Action: a.cedar.Action, Resource: a.cedar.Resource, Context: a.cedar.Context}
	for _, c := range r.policy.Conditions {
		kind := "when"
		if c.Condition == ast.ConditionUnless {
			kind = "unless"
		}
		value := true // of the whole condition so far
		for _, part := range conjuncts(c.Body) {
			shown := Condition{Kind: kind, Text: textOf(part)}
			if l.Holds && value && !l.Failed {
				v, err := eval.Eval(part, env)
				switch b, ok := v.(types.Boolean); {
				case err != nil:
					shown.Result, l.Failed = err.Error(), true
				case !ok:
					shown.Result, l.Failed = "it is neither true nor false", true
				default:
					shown.Result, value = b.String(), bool(b)
				}
			}
			l.Conditions = append(l.Conditions, shown)
		}
		l.Holds = l.Holds && !l.Failed && value == (kind == "when")
	}
	return l
}

// conjuncts are the parts of a condition between &&.
func conjuncts(n ast.IsNode) []ast.IsNode {
	if and, ok := n.(ast.NodeTypeAnd); ok {
		return append(conjuncts(and.Left), conjuncts(and.Right)...)
	}
	return []ast.IsNode{n}
}

// textOf writes an expression in Cedar.
func textOf(n ast.IsNode) string {
	p := ast.Permit()
	p.When(ast.NewNode(n))
	text := string(compile(p).MarshalCedar())
	_, text, _ = strings.Cut(text, "{")
	if i := strings.LastIndexByte(text, '}'); i >= 0 {
		text = text[:i]
	}
	return strings.TrimSpace(text)
}
