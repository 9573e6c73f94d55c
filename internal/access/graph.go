package access

import (
	"cmp"
	"fmt"
	"io"
	"maps"
	"slices"
	"strings"

	"github.com/cedar-policy/cedar-go"
	"github.com/cedar-policy/cedar-go/types"
	"github.com/cedar-policy/cedar-go/x/exp/ast"
)

// Identity is who a graph is drawn for.
type Identity struct {
	Name      string // as it is shown
	Principal Entity
	Groups    []string
}

// Target is what a graph is drawn to.
type Target struct {
	Resource Entity `json:"resource"`
	Route    string `json:"route"`
}

// Edge says that an identity can do actions to a target.
type Edge struct {
	Identity string   `json:"identity"`
	Target   Target   `json:"target"`
	Actions  []string `json:"actions"`
	Policies []string `json:"policies"` // that permit it, sorted
	// Conditional: only when a condition on the request, on claims or on
	// labels holds, or that of a policy in Unless does not.
	Conditional bool     `json:"conditional"`
	Unless      []string `json:"unless,omitempty"` // policies that may forbid it, sorted
}

// Graph is who can reach what.
type Graph struct {
	Identities []string `json:"identities"`
	Targets    []Target `json:"targets"`
	Edges      []Edge   `json:"edges"`
}

// maxAsked bounds what a graph may ask: a thousand identities by a thousand
// models take some seconds.
const maxAsked = 10_000_000

// Graph returns who can reach what. Without identities they are those that the
// policies name, "anybody below PATH" and "GROUP's members" among them, and for
// each type one that is not named. Targets are what is behind the routes, beside
// the tools, topics and hosts that policies name; without any they are the models
// that the policies name, on each route that they name, and for each route a model
// that is not named, "*". What the policies say of persons and models without a name
// is therefore in the graph, and what is not in it is denied to everybody.
func (s *Set) Graph(who []Identity, what []Target) (*Graph, error) {
	if len(who) == 0 {
		who = s.identities()
	}
	var found []Target
	asked := func(t Target) bool { return len(what) == 0 || t.Resource.Type != Model && s.speaksOf(t.Resource.Type) }
	for _, t := range s.targets() {
		if asked(t) {
			found = append(found, t)
		}
	}
	what = slices.Concat(what, found)
	questions := 0
	for _, t := range what {
		for _, action := range actions {
			if action.resource == t.Resource.Type {
				questions += len(who)
			}
		}
	}
	if questions > maxAsked {
		return nil, fmt.Errorf("%d identities by %d targets are too many for one graph: ask for some of them", len(who), len(what))
	}
	g := &Graph{Identities: []string{}, Targets: what, Edges: []Edge{}}
	a := newAsking(s)
	for _, i := range who {
		g.Identities = append(g.Identities, i.Name)
		for _, t := range what {
			from := len(g.Edges)
			for _, action := range actions {
				if action.resource != t.Resource.Type {
					continue
				}
				e, ok := a.edge(i, t, action.name)
				if !ok {
					continue
				}
				if n := slices.IndexFunc(g.Edges[from:], e.sameWay); n >= 0 {
					g.Edges[from+n].Actions = append(g.Edges[from+n].Actions, action.name)
					continue
				}
				g.Edges = append(g.Edges, e)
			}
		}
	}
	return g, nil
}

// speaksOf says whether some policy is about what is done to such a resource.
func (s *Set) speaksOf(kind string) bool {
	return slices.ContainsFunc(s.rules, func(r *rule) bool {
		for _, action := range actions {
			if action.resource == kind && r.permits() && covers(r.policy.Action, actionUID(action.name)) {
				return true
			}
		}
		return false
	})
}

func (e *Edge) sameWay(o Edge) bool {
	return e.Conditional == o.Conditional && slices.Equal(e.Policies, o.Policies) && slices.Equal(e.Unless, o.Unless)
}

// edge finds out by which policies one action is possible.
func (a *asking) edge(i Identity, t Target, action string) (Edge, bool) {
	e := Edge{Identity: i.Name, Target: t, Actions: []string{action}}
	n, err := a.name(&Request{Principal: i.Principal, Groups: i.Groups, Action: action, Resource: t.Resource, Route: t.Route})
	if err != nil {
		return e, false
	}
	var surely, perhaps []string
	for _, r := range a.set.enforced.find(nil, a, n) {
		holds, known := a.holds(r)
		switch {
		case known && !holds:
		case known && !r.permits():
			return e, false
		case !r.permits():
			e.Unless = append(e.Unless, r.name)
		case known:
			surely = append(surely, r.name)
		default:
			perhaps = append(perhaps, r.name)
		}
	}
	e.Policies, e.Unless = sorted(surely), sorted(e.Unless)
	if len(surely) == 0 {
		e.Policies = sorted(perhaps)
	}
	e.Conditional = len(surely) == 0 || len(e.Unless) > 0
	return e, len(e.Policies) > 0
}

// holds evaluates a policy whose scope holds, where its conditions are only
// about who is in what.
func (a *asking) holds(r *rule) (holds, known bool) {
	n := &r.needs
	switch {
	case r.proved:
		return true, true
	case n.about|n.who|n.what != 0 || n.whoLabels || n.whatLabels:
		return false, false
	}
	if a.build(&needs{parents: true}) != nil {
		return false, false
	}
	a.open = append(a.open[:0], r)
	_, d := cedar.Authorize(a, a, a.cedar)
	return len(d.Reasons) > 0, len(d.Errors) == 0
}

// identities are those that scopes name, and one of each type that none names.
func (s *Set) identities() []Identity {
	named := map[types.EntityUID]bool{}
	for _, r := range s.rules {
		switch p := r.policy.Principal.(type) {
		case ast.ScopeTypeEq:
			named[p.Entity] = true
		case ast.ScopeTypeIn:
			named[p.Entity] = true
		case ast.ScopeTypeIsIn:
			named[p.Entity] = true
		}
	}
	for e := range s.mentions {
		named[e] = true
	}
	var all []Identity
	for _, e := range slices.SortedFunc(maps.Keys(named), compare) {
		id := string(e.ID)
		switch e.Type {
		case Workload, Person, Nobody:
			all = append(all, Identity{id, Entity{string(e.Type), id}, nil})
		case Path:
			all = append(all, Identity{"anybody below " + id, Entity{Workload, id + "/*"}, nil})
		case Group:
			all = append(all, Identity{"workloads of group " + id, Entity{Workload, "*"}, []string{id}}, Identity{"persons of group " + id, Entity{Person, "*"}, []string{id}})
		}
	}
	return append(all, Identity{"any workload", Entity{Workload, "*"}, nil}, Identity{"any person", Entity{Person, "*"}, nil}, Identity{"anonymous", Entity{Nobody, "anonymous"}, nil})
}

// targets are the resources that policies name, by each route they name.
func (s *Set) targets() []Target {
	named, routes := map[types.EntityUID]bool{}, map[string]bool{}
	see := func(e types.EntityUID) {
		if e.Type == Route {
			routes[string(e.ID)] = true
		} else if slices.Contains(resources[:], string(e.Type)) {
			named[e] = true
		}
	}
	for _, r := range s.rules {
		switch p := r.policy.Resource.(type) {
		case ast.ScopeTypeEq:
			see(p.Entity)
		case ast.ScopeTypeIn:
			see(p.Entity)
		case ast.ScopeTypeIsIn:
			see(p.Entity)
		}
	}
	for e := range s.mentions {
		see(e)
	}
	for _, t := range resources {
		named[types.EntityUID{Type: types.EntityType(t), ID: "*"}] = true
	}
	routes["*"] = true
	var all []Target
	for _, route := range slices.Sorted(maps.Keys(routes)) {
		for _, e := range slices.SortedFunc(maps.Keys(named), compare) {
			all = append(all, Target{Entity{string(e.Type), string(e.ID)}, route})
		}
	}
	return all
}

func compare(a, b types.EntityUID) int {
	return cmp.Or(strings.Compare(string(a.Type), string(b.Type)), strings.Compare(string(a.ID), string(b.ID)))
}

// WriteDOT draws the graph in the language of Graphviz: conditional edges are
// dashed, and each one is labelled with its actions and policies.
func (g *Graph) WriteDOT(w io.Writer) error {
	var b strings.Builder
	b.WriteString("digraph access {\n\trankdir=LR\n\tnode [shape=box]\n")
	for _, e := range g.Edges {
		label := strings.Join(e.Actions, ", ") + "\n" + strings.Join(e.Policies, ", ")
		if len(e.Unless) > 0 {
			label += "\nunless " + strings.Join(e.Unless, ", ")
		}
		style := ""
		if e.Conditional {
			style = ", style=dashed"
		}
		fmt.Fprintf(&b, "\t%s -> %s [label=%s%s]\n", quote(e.Identity), quote(e.Target.String()), quote(label), style)
	}
	b.WriteString("}\n")
	_, err := io.WriteString(w, b.String())
	return err
}

// String returns ROUTE/ID, with the type when it is no model.
func (t Target) String() string {
	if t.Resource.Type == Model {
		return t.Route + "/" + t.Resource.ID
	}
	return t.Route + "/" + t.Resource.Type + ":" + t.Resource.ID
}

// quote writes a string of DOT: only " and \ are escaped, and a line break is \n.
func quote(s string) string {
	return `"` + strings.NewReplacer(`\`, `\\`, `"`, `\"`, "\n", `\n`).Replace(s) + `"`
}

// Named are the identities and the resources that the policies name one by one.
// What they say of groups, of whole paths, or of everything is not in it.
func (s *Set) Named() (who, what []Entity) {
	for _, i := range s.identities() {
		if len(i.Groups) == 0 && i.Principal.ID == i.Name && !slices.Contains(who, i.Principal) {
			who = append(who, i.Principal)
		}
	}
	for _, t := range s.targets() { // each one on every route, and on "*"
		if t.Route == "*" && t.Resource.ID != "*" {
			what = append(what, t.Resource)
		}
	}
	return who, what
}
