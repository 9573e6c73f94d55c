package escalate

import (
	"errors"
	"slices"
	"strings"

	"github.com/apexlogic/apex/internal/function/iam"
)

// ErrTooLarge is the answer to a graph of more edges than it may have.
var ErrTooLarge = errors.New("too many ways between principals: judge fewer of them together")

// out lists the steps that a principal can take.
func (g *Graph) out(n *Node) ([]Step, error) {
	if steps, ok := g.edges[n]; ok {
		return steps, nil
	}
	var steps []Step
	for i := range g.methods {
		m := &g.methods[i]
		more, err := g.uses(n, m)
		if err != nil {
			return nil, err
		}
		if g.steps += len(more); g.steps > maxEdges {
			return nil, ErrTooLarge
		}
		steps = append(steps, more...)
	}
	steps = append(steps, g.raised(n, steps)...)
	// Those that lead to somebody unknown first: they are the strongest.
	slices.SortStableFunc(steps, func(a, b Step) int { return boolean(a.To != nil) - boolean(b.To != nil) })
	g.edges[n] = steps
	return steps, nil
}

// raised are the steps that write the policies of somebody whom n can become:
// both together lead to any right at all.
func (g *Graph) raised(n *Node, steps []Step) []Step {
	var more []Step
	for i := range g.methods {
		m := &g.methods[i]
		if m.Target != Self || m.ID == "add-user-to-group" {
			continue
		}
		for _, action := range m.Needs[0] {
			for _, grant := range g.grants[asked{n, action, ""}] {
				if grant.Truth != iam.Yes {
					continue
				}
				for _, s := range steps {
					if s.To != nil && reaches(&grant, s.To.Kind)(s.To.Name, s.To.ID) {
						more = append(more, Step{Method: m, From: n, Grants: append([]iam.Grant{grant}, s.Grants...)})
					}
				}
			}
		}
	}
	return more
}

func boolean(b bool) int {
	if b {
		return 1
	}
	return 0
}

// uses lists the steps of one method.
func (g *Graph) uses(n *Node, m *Method) ([]Step, error) {
	var rest []iam.Grant
	for _, need := range m.Needs[1:] {
		grant, ok, err := g.first(n, need)
		if err != nil || !ok {
			return nil, err
		}
		rest = append(rest, grant)
	}
	var steps []Step
	for _, action := range m.Needs[0] {
		grants, err := g.allowed(n, action, m.Service)
		if err != nil {
			return nil, err
		}
		a, _ := iam.AWS().Lookup(action)
		for _, grant := range grants {
			if grant.Truth != iam.Yes {
				continue
			}
			for _, to := range g.targets(n, m, &grant, &a) {
				steps = append(steps, Step{Method: m, From: n, Grants: append([]iam.Grant{grant}, rest...), To: to})
			}
		}
	}
	return steps, nil
}

// first finds a grant of one of the actions, on whatever resource: what is
// created may have any name that the policy likes.
func (g *Graph) first(n *Node, actions []string) (iam.Grant, bool, error) {
	for _, action := range actions {
		grants, err := g.allowed(n, action, "")
		if err != nil {
			return iam.Grant{}, false, err
		}
		for _, grant := range grants {
			if grant.Truth == iam.Yes {
				return grant, true, nil
			}
		}
	}
	return iam.Grant{}, false, nil
}

// targets are whom a method leads to by one grant; nil among them stands for
// somebody outside of the templates.
func (g *Graph) targets(n *Node, m *Method, grant *iam.Grant, a *iam.Action) []*Node {
	anybody := []*Node{nil}
	wide := grant.Star() || grant.Wide(a)
	switch m.Target {
	case OwnPolicy:
		about := reaches(grant, "policy")
		if wide || slices.ContainsFunc(n.Policies, func(p *iam.Policy) bool { return p.Origin != "" && about(p.Name, p.Origin) }) {
			return anybody
		}
	case Self:
		if wide || g.own(n, grant) {
			return anybody
		}
		if m.ID == "add-user-to-group" {
			return g.others(n, grant, func(t *Node) bool { return t.Kind == "group" })
		}
	case Boundary:
		if n.Bounded && (wide || g.own(n, grant)) {
			return anybody
		}
	case Other:
		if grant.Own() {
			return nil // their own key or password gives nobody more
		}
		if wide {
			return anybody
		}
		return g.others(n, grant, func(t *Node) bool {
			return t.Kind == "user" || t.Kind == "role" && strings.EqualFold(a.Name, "UpdateAssumeRolePolicy")
		})
	case Passed:
		if wide {
			return anybody
		}
		return g.others(n, grant, func(t *Node) bool { return t.Kind == "role" && trusts(t, iam.Caller{Service: m.Service}) })
	case Assumed:
		return g.others(n, grant, func(t *Node) bool { return t.Kind == "role" && n.ARN != "" && trusts(t, caller(n)) })
	case Running:
		if wide {
			return anybody
		}
		var to []*Node
		about := reaches(grant, "function")
		for _, t := range g.nodes {
			if t != n && slices.ContainsFunc(t.Code, func(c Code) bool { return about(c.Name, c.ID) }) {
				to = append(to, t)
			}
		}
		return to
	case Machine:
		if wide || strings.Contains(grant.Resource.String(), "instance/*") {
			return anybody
		}
	case Directory:
		return anybody
	}
	return nil
}

// own says whether the grant is about the principal itself, or a group it is in.
func (g *Graph) own(n *Node, grant *iam.Grant) bool {
	if n.Kind == "" {
		return grant.Own()
	}
	if grant.Own() {
		return n.Kind == "user"
	}
	return reaches(grant, n.Kind)(n.Name, n.ID) || slices.ContainsFunc(n.Groups, func(t *Node) bool { return reaches(grant, t.Kind)(t.Name, t.ID) })
}

// others are the principals of the templates that the grant is about.
func (g *Graph) others(n *Node, grant *iam.Grant, ok func(*Node) bool) []*Node {
	about := map[string]func(name, id string) bool{}
	for _, kind := range []string{"role", "user", "group"} {
		about[kind] = reaches(grant, kind)
	}
	var to []*Node
	for _, t := range g.nodes {
		if f := about[t.Kind]; f != nil && t != n && f(t.Name, t.ID) && ok(t) {
			to = append(to, t)
		}
	}
	return to
}

// reaches returns a test of whether a grant is about the thing of a kind that is
// in the templates by name or id.
func reaches(grant *iam.Grant, kind string) func(name, id string) bool {
	holes := grant.Resource.Holes()
	service, prefix := "iam", kind+"/"
	if kind == "function" {
		service, prefix = "lambda", "function:"
	}
	named := grant.Names(service)
	return func(name, id string) bool {
		for _, hole := range holes {
			if Refers(hole, id) {
				return true
			}
		}
		return name != "" && !strings.Contains(name, "${") && named(prefix+name)
	}
}

// Refers says whether an expression of a template is about the thing with the
// id: "aws_iam_role.app.arn" is about "aws_iam_role.app".
func Refers(expression, id string) bool {
	if id == "" {
		return false
	}
	for at := 0; ; {
		i := strings.Index(expression[at:], id)
		if i < 0 {
			return false
		}
		i += at
		end := i + len(id)
		if (i == 0 || !word(expression[i-1])) && (end == len(expression) || !word(expression[end])) {
			return true
		}
		at = i + 1
	}
}

func word(c byte) bool {
	return c >= 'a' && c <= 'z' || c >= 'A' && c <= 'Z' || c >= '0' && c <= '9' || c == '_' || c == '-'
}

func caller(n *Node) iam.Caller {
	c := iam.Caller{ARN: n.ARN}
	if parts := strings.SplitN(n.ARN, ":", 6); len(parts) == 6 {
		c.Account = parts[4]
	}
	return c
}

// trusts says whether a role lets somebody assume it. Who is not known for
// certain not to be trusted is: the identity's own grant names the role.
func trusts(role *Node, who iam.Caller) bool {
	if role.Trust == nil {
		return false
	}
	if who.Service == "" {
		return mentions(role.Trust, who)
	}
	p := iam.Policies{Resource: []*iam.Policy{role.Trust}}
	ctx := iam.Attacker{Action: "sts:AssumeRole", Values: map[string][]string{"aws:sourceaccount": nil}}.Context()
	service := func(key string) iam.Value {
		if strings.HasPrefix(key, "aws:source") {
			return iam.Value{State: iam.Chosen} // of the principal's own account: the guard lets it in
		}
		return ctx(key)
	}
	d := p.Evaluate(iam.Request{Action: "sts:AssumeRole", Resource: "*", Caller: who, Context: service})
	return d.Allowed > iam.No
}

// mentions says whether a trust policy names the principal or its account.
func mentions(trust *iam.Policy, who iam.Caller) bool {
	ctx := iam.Attacker{Action: "sts:AssumeRole", ARN: who.ARN}.Context()
	for i := range trust.Statements {
		s := &trust.Statements[i]
		if s.Effect != iam.Allow || s.Holds(ctx, iam.Yes) == iam.No {
			continue
		}
		for _, p := range s.Principals {
			name := p.Name.String()
			switch {
			case p.Everyone():
				return true
			case p.Type != "AWS":
			case name == who.ARN, strings.HasSuffix(name, ":root"), len(name) == 12 && strings.Trim(name, "0123456789") == "":
				return true
			case p.Name.Unknown() && (strings.Contains(who.ARN, "${") || iam.ResourcePattern(name).Overlaps(iam.ResourcePattern(who.ARN))):
				return true
			default:
				if tail := who.ARN[strings.LastIndexByte(who.ARN, ':')+1:]; strings.HasSuffix(name, ":"+tail) {
					return true
				}
			}
		}
	}
	return false
}
