package access

import (
	"fmt"
	"slices"
	"strings"

	"github.com/cedar-policy/cedar-go"
	publicast "github.com/cedar-policy/cedar-go/ast"
	"github.com/cedar-policy/cedar-go/types"
	"github.com/cedar-policy/cedar-go/x/exp/ast"
)

// Policy is a document of Cedar policies.
type Policy struct {
	// Name of the document, for example that of the AccessPolicy. A policy in
	// it is called NAME/ID by its annotation @id("ID"), NAME when it is the
	// only one, and otherwise NAME/NUMBER, counted from 1.
	Name string
	// Cedar holds the policies.
	Cedar string
	// Routes that the policies are about; empty: all.
	Routes []string
	// Claims that the policies may ask for.
	Claims []Claim
	// Observe decides nothing by the policies, and reports what they forbid
	// in [Decision.Observed].
	Observe bool
}

// rule is one Cedar policy.
type rule struct {
	name     string
	document string
	policy   *ast.Policy   // as it applies: with the routes of its document
	whole    *cedar.Policy // the same, to be evaluated
	sliced   *cedar.Policy // without what the index proves
	needs    needs         // of the sliced policy
	quick    quick         // of the sliced policy, where it has that form
	proved   bool          // nothing is left of it: it holds where it is found
	observe  bool
	grant    bool // not written in Cedar by anybody
}

func (r *rule) permits() bool { return r.policy.Effect == ast.EffectPermit }

// read returns the policies of a document.
func (p *Policy) read(s *schema) ([]*rule, Problems) {
	wrong := func(w *Problem) Problems {
		w.Policy = p.Name
		return Problems{w}
	}
	if len(p.Cedar) > maxDocument {
		return nil, wrong(&Problem{Detail: fmt.Sprintf("it is larger than %d bytes: split it", maxDocument)})
	}
	words, problem := tokens(p.Cedar)
	if problem != nil {
		return nil, wrong(problem)
	}
	list, err := cedar.NewPolicyListFromBytes(p.Name, []byte(p.Cedar))
	if err != nil {
		return nil, wrong(syntax(err))
	}
	if len(list) == 0 {
		return nil, wrong(&Problem{Detail: "it holds no policy: write one, or leave the document out"})
	}
	var rules []*rule
	var problems Problems
	for i, c := range list {
		own := words
		if i+1 < len(list) {
			next := list[i+1].Position().Offset
			own, words = before(words, next)
		}
		r := &rule{document: p.Name, policy: (*ast.Policy)(c.AST()), observe: p.Observe}
		r.name = p.nameOf(c, i, len(list))
		problems = append(problems, s.judge(r, own)...)
		if w := r.confine(p.Routes); w != nil {
			pos := c.Position()
			w.Policy, w.Line, w.Column = p.Name, pos.Line, pos.Column
			problems = append(problems, w)
		}
		rules = append(rules, r)
	}
	return rules, problems
}

func (p *Policy) nameOf(c *cedar.Policy, i, of int) string {
	if id := c.Annotations()["id"]; id != "" {
		return p.Name + "/" + string(id)
	}
	if of == 1 {
		return p.Name
	}
	return fmt.Sprintf("%s/%d", p.Name, i+1)
}

// before splits tokens at an offset.
func before(words []token, offset int) (own, rest []token) {
	n, _ := slices.BinarySearchFunc(words, offset, func(t token, o int) int { return t.offset - o })
	return words[:n], words[n:]
}

// syntax reads the place out of the parser's error:
// "parser error: parse error at <input>:LINE:COLUMN "TOKEN": what".
func syntax(err error) *Problem {
	w := &Problem{Detail: "it is no Cedar: " + err.Error()}
	if _, rest, ok := strings.Cut(err.Error(), "<input>:"); ok {
		var near string
		if n, _ := fmt.Sscanf(rest, "%d:%d %q:", &w.Line, &w.Column, &near); n < 2 {
			w.Line, w.Column = 0, 0
			return w
		}
		_, what, _ := strings.Cut(rest, ": ")
		var got, want string
		if n, _ := fmt.Sscanf(what, "exact got %s want %s", &got, &want); n == 2 {
			what = fmt.Sprintf("there is %s where %s should be", got, want)
		}
		w.Detail = fmt.Sprintf("it is no Cedar, before %q: %s", near, what)
	}
	return w
}

// confine has the policy apply to resources of these routes only.
func (r *rule) confine(routes []string) *Problem {
	if len(routes) == 0 {
		return nil
	}
	if in, ok := inRoute(r.policy.Resource); ok {
		if !slices.Contains(routes, in) {
			return &Problem{Detail: fmt.Sprintf("the policy is about the route %s, and the document only about %s: it would never apply", in, strings.Join(routes, ", "))}
		}
		return nil
	}
	if _, ok := r.policy.Resource.(ast.ScopeTypeAll); ok && len(routes) == 1 {
		p := *r.policy
		p.Resource = ast.ScopeTypeIn{Entity: routeUID(routes[0])}
		r.policy = &p
		return nil
	}
	among := make([]types.Value, len(routes))
	for i, name := range routes {
		among[i] = routeUID(name)
	}
	p := *r.policy
	p.Conditions = slices.Concat([]ast.ConditionType{{
		Condition: ast.ConditionWhen,
		Body: ast.NodeTypeIn{BinaryNode: ast.BinaryNode{
			Left: ast.NodeTypeVariable{Name: "resource"}, Right: ast.NodeValue{Value: types.NewSet(among...)},
		}},
	}}, p.Conditions)
	r.policy = &p
	return nil
}

// inRoute returns the route of a scope that names one.
func inRoute(s ast.IsScopeNode) (string, bool) {
	var e types.EntityUID
	switch s := s.(type) {
	case ast.ScopeTypeIn:
		e = s.Entity
	case ast.ScopeTypeIsIn:
		e = s.Entity
	}
	return string(e.ID), e.Type == Route
}

func routeUID(name string) types.EntityUID {
	return types.EntityUID{Type: Route, ID: types.String(name)}
}

func compile(p *ast.Policy) *cedar.Policy { return cedar.NewPolicyFromAST((*publicast.Policy)(p)) }
