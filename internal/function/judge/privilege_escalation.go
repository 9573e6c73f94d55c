package judge

import (
	"fmt"
	"slices"
	"strings"

	"github.com/apexlogic/apex/internal/function/iam/escalate"
	"github.com/apexlogic/apex/internal/function/stack"
)

func privilegeEscalation() Class {
	return Class{
		ID: "privilege_escalation", Severity: "critical",
		Why:  "whoever runs with these rights can gain rights that they were not given",
		Mend: "take away one of the actions, or bound it: name the roles that may be passed and the services they may be passed to, and require a permissions boundary where policies are written",
		find: findEscalation,
	}
}

func findEscalation(sc *scene) {
	type told struct {
		path    escalate.Path
		where   stack.Where
		related []stack.Where
		ways    []string
	}
	by := map[string]*told{}
	var order []string
	for _, n := range sc.nodes {
		paths, err := sc.graph.From(n)
		if err != nil {
			sc.hopeless(n, err)
		}
		for _, p := range paths {
			lead := p.Steps[0].Grants[0].Source
			resource, where := sc.origins[lead.Policy].resource, sc.at(lead)
			x := by[resource]
			if x == nil {
				x = &told{path: p, where: where}
				by[resource] = x
				order = append(order, resource)
			} else if where.File == x.where.File && where.Line < x.where.Line {
				x.where, x.path = where, p
			}
			if x.path.Steps[0].Method == p.Steps[0].Method {
				x.related = nil
				for _, s := range p.Steps {
					for _, g := range s.Grants {
						x.related = append(x.related, sc.at(g.Source))
					}
				}
			}
			if way := p.Steps[0].Method.ID; !slices.Contains(x.ways, way) {
				x.ways = append(x.ways, way)
			}
		}
	}
	for _, resource := range order {
		x := by[resource]
		detail := sentence(x.path)
		if len(x.ways) > 1 {
			detail += fmt.Sprintf("; %d more ways", len(x.ways)-1)
		}
		slices.SortFunc(x.related, func(a, b stack.Where) int {
			if a.File != b.File {
				return strings.Compare(a.File, b.File)
			}
			return a.Line - b.Line
		})
		sc.report(x.where, resource, detail, slices.Compact(x.related)...)
	}
}

// sentence says what a path does: "iam:PassRole with lambda:CreateFunction: …".
func sentence(p escalate.Path) string {
	var parts []string
	for _, s := range p.Steps {
		var actions []string
		for _, g := range s.Grants {
			actions = append(actions, g.Action)
		}
		part := strings.Join(actions, " with ") + ": the holder " + s.Method.What
		if s.To != nil {
			part += " (" + s.To.ID + ")"
		}
		parts = append(parts, part)
	}
	return strings.Join(parts, "; then ")
}
