package judge

import (
	"strings"

	"github.com/apexlogic/apex/internal/function/iam"
)

func adminOrServiceStar() Class {
	return Class{
		ID: "admin_or_service_star", Severity: "high",
		Why:  "every action of a service, or of all of them, is allowed on everything",
		Mend: "list the actions that are used; `apex function rightsize` finds them from what was observed",
		find: findStars,
	}
}

func findStars(sc *scene) {
	t := &tally{}
	for _, n := range sc.nodes {
		for _, p := range n.Policies {
			for i := range p.Statements {
				s := &p.Statements[i]
				if s.Effect != iam.Allow {
					continue
				}
				from := iam.Source{Policy: p, Statement: s}
				for _, pattern := range s.Actions {
					action := pattern.String()
					if service, rest, ok := strings.Cut(action, ":"); action == "*" {
						action = "*:*"
					} else if !ok || strings.Trim(rest, "*") != "" || rest == "" || service == "" {
						continue
					}
					if sc.stays(n.Rights, from, action, isWhole) {
						sc.add(t, from, pattern.String())
					}
				}
				// "Everything but": whatever service is not named is wholly allowed.
				if len(s.NotActions) > 0 && sc.stays(n.Rights, from, "*:*", isWhole) {
					sc.add(t, from, "every action but a few (NotAction)")
				}
			}
		}
	}
	sc.tell(t, "allows %s on everything")
}

// stays says whether a statement still allows the action, once denies and the
// boundary have been applied, on a resource that ok accepts.
func (sc *scene) stays(r *iam.Rights, from iam.Source, action string, ok func(*iam.Grant) bool) bool {
	grants, err := r.Grants(action, iam.Attacker{Action: action}.Context())
	if err != nil {
		return true // it allows a star: too complex to tell that something takes it away
	}
	for i := range grants {
		if g := &grants[i]; g.Source == from && g.Truth == iam.Yes && ok(g) {
			return true
		}
	}
	return false
}

// isWhole says whether a resource is everything that a service has.
func isWhole(g *iam.Grant) bool { return g.Star() || g.Whole() }
