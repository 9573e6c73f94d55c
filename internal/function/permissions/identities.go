package permissions

import (
	"cmp"
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/apexlogic/apex/internal/function/iam"
	"github.com/apexlogic/apex/internal/function/stack"
)

// reading is a stack whose documents are being read.
type reading struct {
	stack   *stack.Stack
	policy  map[string]*stack.Policy
	parsed  map[string]*iam.Policy
	member  map[string]*stack.Principal
	origins map[*iam.Policy]origin
}

// origin is where the statements of a document stand.
type origin struct {
	stack.Where
	lines []int
}

// identities lists the roles, users and groups of AWS.
func identities(s *stack.Stack) []Permission {
	r := reading{stack: s, policy: map[string]*stack.Policy{}, parsed: map[string]*iam.Policy{}, member: map[string]*stack.Principal{}, origins: map[*iam.Policy]origin{}}
	for i := range s.Policies {
		r.policy[s.Policies[i].ID] = &s.Policies[i]
	}
	for i := range s.Principals {
		r.member[s.Principals[i].ID] = &s.Principals[i]
	}
	functions := map[string][]string{}
	outside := map[string]*Permission{}
	var out []Permission
	for i := range s.Functions {
		f := &s.Functions[i]
		name := cmp.Or(f.Name, f.ID)
		switch {
		case f.Role != "":
			functions[f.Role] = append(functions[f.Role], name)
		case f.RoleText.Value != "":
			p := outside[f.RoleText.Value]
			if p == nil {
				p = &Permission{Where: f.Where, ID: f.RoleText.Value, Kind: "role",
					Unresolved: []Unresolved{{f.Where, "the role is declared elsewhere"}}}
				outside[f.RoleText.Value] = p
			}
			p.Functions = append(p.Functions, name)
		}
	}
	for i := range s.Principals {
		p := r.principal(&s.Principals[i])
		p.Functions = sorted(functions[p.ID])
		out = append(out, p)
	}
	for _, p := range outside {
		p.Functions = sorted(p.Functions)
		out = append(out, *p)
	}
	return out
}

func sorted(list []string) []string {
	slices.Sort(list)
	return slices.Compact(list)
}

// principal adds up the rights of one principal.
func (r *reading) principal(p *stack.Principal) Permission {
	out := Permission{Where: p.Where, ID: p.ID, Name: p.Name, Kind: p.Kind}
	policies := r.attached(p, &out)
	for _, id := range p.Groups {
		if g := r.member[id]; g != nil && g != p {
			policies = append(policies, r.attached(g, &out)...)
		}
	}
	var boundary []*iam.Policy
	switch {
	case p.Boundary != "":
		if doc, ok := r.read(p.Boundary, &out); ok {
			boundary, out.Boundary = []*iam.Policy{doc}, true
		}
	case p.Outside.Value != "":
		if doc, ok := iam.Managed(p.Outside.Value); ok {
			boundary, out.Boundary = []*iam.Policy{doc}, true
		} else {
			out.Unresolved = append(out.Unresolved, Unresolved{p.Where, "the boundary " + p.Outside.Value + " is not known here: rights are listed as if there were none"})
		}
	}
	services, err := r.services(policies, boundary)
	out.Services = services
	if err != nil {
		out.Unresolved = append(out.Unresolved, Unresolved{p.Where, "the list is not complete: " + err.Error()})
	}
	slices.SortFunc(out.Unresolved, func(a, b Unresolved) int {
		return cmp.Or(cmp.Compare(a.File, b.File), cmp.Compare(a.Line, b.Line), cmp.Compare(a.Why, b.Why))
	})
	out.Unresolved = slices.Compact(out.Unresolved)
	return out
}

// attached are the policies of a principal itself.
func (r *reading) attached(p *stack.Principal, out *Permission) []*iam.Policy {
	var list []*iam.Policy
	for _, id := range p.Policies {
		if doc, ok := r.read(id, out); ok {
			list = append(list, doc)
		}
	}
	for i, m := range p.Managed {
		where := p.Where
		if i < len(p.ManagedAt) {
			where = p.ManagedAt[i]
		}
		doc, ok := iam.Managed(m.Value)
		if !ok {
			out.Unresolved = append(out.Unresolved, Unresolved{where, "what the policy " + m.Value + " allows is not known here"})
			continue
		}
		r.origins[doc] = origin{Where: where}
		list = append(list, doc)
	}
	return list
}

// read parses a document; one that is not known, or in part, is noted.
func (r *reading) read(id string, out *Permission) (*iam.Policy, bool) {
	p := r.policy[id]
	if p == nil {
		out.Unresolved = append(out.Unresolved, Unresolved{out.Where, "the policy " + id + " is declared elsewhere"})
		return nil, false
	}
	if p.Unknown {
		out.Unresolved = append(out.Unresolved, Unresolved{p.Where, fmt.Sprintf("the policy %s depends on values outside of the files", cmp.Or(p.Name, p.ID))})
	}
	if len(p.Document) == 0 {
		return nil, false
	}
	doc := r.parsed[id]
	if doc == nil {
		var err error
		if doc, err = iam.Parse(p.Document); err != nil {
			out.Unresolved = append(out.Unresolved, Unresolved{p.Where, err.Error()})
			return nil, false
		}
		r.parsed[id], r.origins[doc] = doc, origin{p.Where, p.Lines}
	}
	return doc, true
}

// at is where a statement stands.
func (r *reading) at(p *iam.Policy, s *iam.Statement) stack.Where {
	o := r.origins[p]
	if s.Index < len(o.lines) && o.lines[s.Index] > 0 {
		return stack.Where{File: o.File, Line: o.lines[s.Index]}
	}
	return o.Where
}

// undecided is the context of requests about which nothing is known: no
// condition is met for certain, none is missed.
func undecided(string) iam.Value { return iam.Value{State: iam.Foreign} }

// sum is a service while it is added up.
type sum struct {
	Service
	level iam.Level
	rank  int
	by    map[*iam.Statement]bool
}

// ranks are the widths, from the narrowest.
func ranks() []string { return []string{None, Narrow, Wide, Star} }

// services lists what policies allow. With an error, the list lacks something.
func (r *reading) services(policies, boundary []*iam.Policy) ([]Service, error) {
	rights := iam.NewRights(policies, boundary)
	sums := map[string]*sum{}
	seen := map[string]bool{}
	var failed error
	every := iam.ActionPattern("*")
	for _, p := range policies {
		for i := range p.Statements {
			s := &p.Statements[i]
			if s.Effect == iam.Deny {
				continue
			}
			patterns := s.Actions
			if len(s.NotActions) > 0 {
				patterns = []*iam.Pattern{every}
			}
			for _, pattern := range patterns {
				iam.AWS().Each(pattern, func(a *iam.Action) bool {
					name := a.String()
					if seen[name] {
						return true
					}
					seen[name] = true
					grants, err := rights.Grants(name, undecided)
					if err != nil {
						failed = errors.Join(failed, fmt.Errorf("%s: %w", name, err))
						return false
					}
					r.add(sums, a, grants)
					return true
				})
				if failed != nil {
					break
				}
			}
		}
	}
	var out []Service
	for _, x := range sums {
		r.conditions(x, policies, boundary)
		x.Levels, x.Width = levels(x.level), ranks()[x.rank]
		x.Of = len(iam.AWS().Actions(x.Service.Service))
		x.From = places(x.From)
		out = append(out, x.Service)
	}
	slices.SortFunc(out, func(a, b Service) int { return strings.Compare(a.Service, b.Service) })
	return out, failed
}

// add counts an action and the ways in which it is allowed.
func (r *reading) add(sums map[string]*sum, a *iam.Action, grants []iam.Grant) {
	if len(grants) == 0 {
		return
	}
	x := sums[a.Service]
	if x == nil {
		x = &sum{Service: Service{Service: a.Service}, by: map[*iam.Statement]bool{}}
		sums[a.Service] = x
	}
	x.Actions++
	x.level |= a.Level
	for i := range grants {
		g := &grants[i]
		switch {
		case !a.TakesResource():
		case g.Star() && len(g.Except) == 0:
			x.rank = max(x.rank, 3)
		case g.Star() || g.Wide(a):
			x.rank = max(x.rank, 2)
		default:
			x.rank = max(x.rank, 1)
		}
		if !x.by[g.Statement] {
			x.by[g.Statement] = true
			x.From = append(x.From, r.at(g.Policy, g.Statement))
		}
	}
}

// conditions gathers what the statements ask of a request for the service, and
// what makes others deny it.
func (r *reading) conditions(x *sum, policies, boundary []*iam.Policy) {
	add := func(unless string, s *iam.Statement) {
		for i := range s.Conditions {
			c := &s.Conditions[i]
			values := make([]string, 0, len(c.Values))
			for _, v := range c.Values {
				values = append(values, v.String())
			}
			x.Conditions = append(x.Conditions, unless+c.Name()+" "+c.Key+" "+strings.Join(values, ", "))
		}
	}
	for s := range x.by {
		add("", s)
	}
	for i, list := range [][]*iam.Policy{policies, boundary} {
		for _, p := range list {
			for j := range p.Statements {
				s := &p.Statements[j]
				switch {
				case len(s.Conditions) == 0 || !about(s, x.Service.Service):
				case s.Effect == iam.Deny:
					add("unless ", s)
				case i == 1:
					add("", s)
				}
			}
		}
	}
	x.Conditions = sorted(x.Conditions)
}

// about says whether a statement may be about some action of a service.
func about(s *iam.Statement, service string) bool {
	if len(s.NotActions) > 0 {
		return !slices.ContainsFunc(s.NotActions, func(p *iam.Pattern) bool { return p.Covers(iam.ActionPattern(service + ":*")) })
	}
	return slices.ContainsFunc(s.Actions, func(p *iam.Pattern) bool { return p.Overlaps(iam.ActionPattern(service + ":*")) })
}

func levels(l iam.Level) []string {
	var out []string
	for _, x := range []struct {
		level iam.Level
		name  string
	}{{iam.List, "list"}, {iam.Read, "read"}, {iam.Write, "write"}, {iam.Tagging, "tagging"}, {iam.Permissions, "permissions management"}} {
		if l&x.level != 0 {
			out = append(out, x.name)
		}
	}
	return out
}
