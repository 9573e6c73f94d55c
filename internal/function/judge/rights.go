package judge

import (
	"github.com/apexlogic/apex/internal/function/iam"
	"github.com/apexlogic/apex/internal/function/iam/escalate"
)

// wide gathers which of the actions a principal has on everything of a kind.
func (sc *scene) wide(actions []string) *tally {
	t := &tally{}
	for _, n := range sc.nodes {
		for _, action := range actions {
			a, known := iam.AWS().Lookup(action)
			if !known || !a.TakesResource() {
				continue
			}
			grants, err := sc.graph.Grants(n, action)
			if err != nil {
				sc.hopeless(n, err)
				break
			}
			for i := range grants {
				if g := &grants[i]; g.Truth == iam.Yes && (g.Star() || g.Wide(&a)) {
					sc.add(t, g.Source, action)
				}
			}
		}
	}
	return t
}

// each calls f for the grants of every action that the statements of the
// principals allow and that want asks for. f says whether the statement has
// told enough.
func (sc *scene) each(want func(*iam.Action) bool, f func(a *iam.Action, g *iam.Grant) (enough bool)) {
	all := iam.ActionPattern("*")
	for _, n := range sc.nodes {
		for _, p := range n.Policies {
			for i := range p.Statements {
				s := &p.Statements[i]
				if s.Effect != iam.Allow || !sc.worth(s) {
					continue
				}
				patterns := s.Actions
				if len(s.NotActions) > 0 {
					patterns = []*iam.Pattern{all}
				}
				for _, pattern := range patterns {
					sc.eachAction(n, iam.Source{Policy: p, Statement: s}, pattern, want, f)
				}
			}
		}
	}
}

// worth says whether a statement has a resource that could be wide: most name
// what they are about, and need not be looked at action by action.
func (sc *scene) worth(s *iam.Statement) bool {
	if len(s.Resources) == 0 {
		return true
	}
	for _, r := range s.Resources {
		g := iam.Grant{Resource: r}
		if g.Star() || g.Open() {
			return true
		}
	}
	return false
}

func (sc *scene) eachAction(n *escalate.Node, from iam.Source, pattern *iam.Pattern, want func(*iam.Action) bool, f func(*iam.Action, *iam.Grant) bool) {
	iam.AWS().Each(pattern, func(a *iam.Action) bool {
		if !want(a) || from.Statement.MatchesAction(a.String()) != iam.Yes {
			return true
		}
		grants, err := sc.graph.Grants(n, a.String())
		if err != nil {
			sc.hopeless(n, err)
			return false
		}
		for i := range grants {
			if g := &grants[i]; g.Truth == iam.Yes && g.Source == from && f(a, g) {
				return false
			}
		}
		return true
	})
}
