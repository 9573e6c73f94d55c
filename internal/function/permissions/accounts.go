package permissions

import (
	"cmp"
	"slices"
	"strings"

	"github.com/apexlogic/apex/internal/function/stack"
)

// Everybody is the group of whoever was authenticated, and accountsGroup that of
// all service accounts; those of a namespace have its name behind a colon.
const (
	everybody     = "system:authenticated"
	accountsGroup = "system:serviceaccounts"
)

// scoped is a rule of a role and the namespace in which a binding gives it.
type scoped struct {
	namespace string
	rule      *stack.RBACRule
	at        stack.Where
}

// subject is somebody whom a binding names.
type subject struct{ kind, namespace, name string }

func (s subject) id() string {
	if s.kind == "ServiceAccount" {
		return s.namespace + "/" + s.name
	}
	return s.name
}

// accounts lists the service accounts, users and groups of Kubernetes.
func accounts(s *stack.Stack) []Permission {
	roles := map[string]*stack.RBACRole{}
	for i := range s.Roles {
		r := &s.Roles[i]
		roles[r.Namespace+"/"+r.Name] = r
	}
	given := map[subject][]scoped{}
	people := map[subject]*Permission{}
	var order []subject
	who := func(k subject, at stack.Where) *Permission {
		p := people[k]
		if p == nil {
			p = &Permission{Where: at, ID: k.id(), Name: k.name, Kind: k.kind}
			people[k] = p
			order = append(order, k)
		}
		return p
	}
	for i := range s.Accounts {
		a := &s.Accounts[i]
		p := who(subject{"ServiceAccount", a.Namespace, a.Name}, a.Where)
		p.Functions = append(p.Functions, a.UsedBy...)
	}
	for i := range s.Functions {
		f := &s.Functions[i]
		namespace, name, _ := strings.Cut(f.Account, "/")
		if k := (subject{"ServiceAccount", namespace, name}); f.Account != "" && people[k] == nil {
			p := who(k, f.Where)
			p.Functions = append(p.Functions, cmp.Or(f.ID, f.Name))
		}
	}
	for i := range s.Bindings {
		b := &s.Bindings[i]
		namespace := b.Namespace
		if b.ClusterRole {
			namespace = ""
		}
		role := roles[namespace+"/"+b.Role]
		for _, sub := range b.Subjects {
			k := subject{sub.Kind, "", sub.Name}
			if sub.Kind == "ServiceAccount" {
				k.namespace = cmp.Or(sub.Namespace, b.Namespace)
			}
			p := who(k, b.Where)
			switch {
			case role == nil:
				p.Unresolved = append(p.Unresolved, Unresolved{b.Where, "the role " + b.Role + " is declared elsewhere"})
				continue
			case role.Aggregates:
				p.Unresolved = append(p.Unresolved, Unresolved{role.Where, "the role " + role.Name + " takes rules from others by their labels"})
			}
			for j := range role.Rules {
				rule := &role.Rules[j]
				at := rule.Where
				if at.Line == 0 {
					at = role.Where
				}
				given[k] = append(given[k], scoped{b.Namespace, rule, at})
			}
		}
	}
	out := make([]Permission, 0, len(order))
	for _, k := range order {
		p := people[k]
		list := slices.Clone(given[k])
		if k.kind == "ServiceAccount" {
			for _, group := range []string{everybody, accountsGroup, accountsGroup + ":" + k.namespace} {
				list = append(list, given[subject{"Group", "", group}]...)
				if g := people[subject{"Group", "", group}]; g != nil {
					p.Unresolved = append(p.Unresolved, g.Unresolved...)
				}
			}
		}
		p.Functions = sorted(p.Functions)
		p.Rules = merged(list, p)
		out = append(out, *p)
	}
	return out
}

// maxRules bounds the rules that are listed for one principal: a rule of a
// hostile manifest may name thousands of groups and of resources.
const maxRules = 5_000

// merged writes rules as verbs by resource.
func merged(list []scoped, p *Permission) []Rule {
	type key struct{ namespace, group, resource, url, names string }
	by := map[key]*Rule{}
	add := func(k key, one *scoped) (more bool) {
		r := by[k]
		if r == nil {
			if len(by) >= maxRules {
				p.Unresolved = append(p.Unresolved, Unresolved{one.at, "more rules than are listed"})
				return false
			}
			r = &Rule{Namespace: k.namespace, Group: k.group, Resource: k.resource, URL: k.url, Names: slices.Clone(one.rule.Names)}
			by[k] = r
		}
		r.Verbs = sorted(append(r.Verbs, one.rule.Verbs...))
		r.From = append(r.From, one.at)
		return true
	}
	func() {
		for i := range list {
			one := &list[i]
			names := strings.Join(one.rule.Names, "\n")
			for _, g := range one.rule.Groups {
				for _, res := range one.rule.Resources {
					if !add(key{one.namespace, g, res, "", names}, one) {
						return
					}
				}
			}
			for _, u := range one.rule.URLs {
				// A RoleBinding gives no paths.
				if one.namespace == "" && !add(key{"", "", "", u, ""}, one) {
					return
				}
			}
		}
	}()
	out := make([]Rule, 0, len(by))
	for _, r := range by {
		r.From = places(r.From)
		out = append(out, *r)
	}
	slices.SortFunc(out, func(a, b Rule) int {
		return cmp.Or(cmp.Compare(a.Namespace, b.Namespace), cmp.Compare(a.Group, b.Group), cmp.Compare(a.Resource, b.Resource), cmp.Compare(a.URL, b.URL), slices.Compare(a.Names, b.Names))
	})
	return out
}
