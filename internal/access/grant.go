package access

import (
	"fmt"
	"slices"
	"strings"

	"github.com/cedar-policy/cedar-go/types"
	"github.com/cedar-policy/cedar-go/x/exp/ast"
)

// Grant lets identities do actions with what is on a route.
type Grant struct {
	// Name that decisions give as the policy's, for example captioner/allow/1.
	Name string
	// Route whose models it is about.
	Route string
	// Identities: SPIFFE IDs, where a last segment * stands for everything
	// below; ISSUER#SUBJECT; group:NAME; anonymous for who shows nothing; or *
	// for whoever the route lets in.
	Identities []string
	// Actions that are allowed, of [Actions].
	Actions []string
	// Models by name; empty: all of the route.
	Models []string
	// Anonymous says that the route lets in who shows nothing, so that * is
	// about them, too.
	Anonymous bool
}

// rules compiles the grant: a policy for each identity.
func (g *Grant) rules() ([]*rule, Problems) {
	var problems Problems
	wrong := func(format string, args ...any) {
		problems = append(problems, &Problem{Policy: g.Name, Detail: fmt.Sprintf(format, args...)})
	}
	if g.Route == "" {
		wrong("the grant names no route")
	}
	if len(g.Identities) == 0 || len(g.Actions) == 0 {
		wrong("the grant names nobody, or nothing that they may do: write identities and actions")
	}
	may := ast.ScopeTypeInSet{}
	for _, a := range g.Actions {
		if actionIndex(a) < 0 {
			wrong("there is no action %q%s", clip(a), didYouMean(a, Actions()))
			continue
		}
		may.Entities = append(may.Entities, actionUID(a))
	}
	var rules []*rule
	for _, identity := range g.Identities {
		scopes, err := scopesOf(identity, g.Anonymous)
		if err != nil {
			wrong("%v", err)
			continue
		}
		for _, who := range scopes {
			p := ast.Permit()
			p.Principal, p.Action, p.Resource = who, may, ast.ScopeTypeIn{Entity: routeUID(g.Route)}
			g.limit(p)
			rules = append(rules, &rule{name: g.Name, document: g.Name, policy: p, grant: true})
		}
	}
	if len(problems) > 0 {
		return nil, problems
	}
	return rules, nil
}

// limit narrows the policy to the grant's models.
func (g *Grant) limit(p *ast.Policy) {
	resource := ast.Resource()
	switch len(g.Models) {
	case 0:
	case 1: // found by the model, which is rarer than the route
		p.Resource = ast.ScopeTypeEq{Entity: types.EntityUID{Type: Model, ID: types.String(g.Models[0])}}
		p.When(resource.In(ast.Value(routeUID(g.Route))))
	default:
		among := make([]types.Value, len(g.Models))
		for i, m := range g.Models {
			among[i] = types.EntityUID{Type: Model, ID: types.String(m)}
		}
		p.When(ast.Value(types.NewSet(among...)).Contains(resource))
	}
}

// scopesOf reads an identity of a grant.
func scopesOf(identity string, anonymous bool) ([]ast.IsPrincipalScopeNode, error) {
	one := func(s ast.IsPrincipalScopeNode) ([]ast.IsPrincipalScopeNode, error) {
		return []ast.IsPrincipalScopeNode{s}, nil
	}
	group, isGroup := strings.CutPrefix(identity, "group:")
	switch {
	case identity == "*" && anonymous:
		return one(ast.ScopeTypeAll{})
	case identity == "*":
		return []ast.IsPrincipalScopeNode{ast.ScopeTypeIs{Type: Workload}, ast.ScopeTypeIs{Type: Person}}, nil
	case identity == "anonymous":
		return one(ast.ScopeTypeIs{Type: Nobody})
	case isGroup && group != "":
		return one(ast.ScopeTypeIn{Entity: types.EntityUID{Type: Group, ID: types.String(group)}})
	}
	e, err := ParsePrincipal(identity)
	if err != nil {
		return nil, err
	}
	if above, all := strings.CutSuffix(e.ID, "/*"); all && e.Type == Workload {
		if len(above) <= len(spiffeScheme) || strings.Contains(above, "*") {
			return nil, fmt.Errorf("the identity %q: a * stands for whole segments, at the end, after a trust domain", clip(identity))
		}
		return one(ast.ScopeTypeIn{Entity: types.EntityUID{Type: Path, ID: types.String(above)}})
	}
	if e.Type == Workload && strings.Contains(e.ID, "*") {
		return nil, fmt.Errorf("the identity %q: a * stands for whole segments, at the end, after a trust domain", clip(identity))
	}
	return one(ast.ScopeTypeEq{Entity: types.EntityUID{Type: types.EntityType(e.Type), ID: types.String(e.ID)}})
}

// ParsePrincipal reads who asks as people write it: a SPIFFE ID, ISSUER#SUBJECT,
// or anonymous.
func ParsePrincipal(id string) (Entity, error) {
	issuer, subject, person := strings.Cut(id, "#")
	switch {
	case id == "anonymous":
		return Entity{Nobody, id}, nil
	case strings.HasPrefix(id, spiffeScheme):
		path := strings.TrimPrefix(id, spiffeScheme)
		if path == "" || person || slices.Contains(strings.Split(path, "/"), "") {
			return Entity{}, fmt.Errorf("%q is no SPIFFE ID: write spiffe://TRUST-DOMAIN/PATH", clip(id))
		}
		return Entity{Workload, id}, nil
	case person && issuer != "" && subject != "":
		return Entity{Person, id}, nil
	}
	return Entity{}, fmt.Errorf("%q is nobody: write a SPIFFE ID, ISSUER#SUBJECT or anonymous", clip(id))
}
