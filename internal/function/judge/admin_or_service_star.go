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
					service, rest, ok := strings.Cut(strings.ToLower(action), ":")
					if action == "*" {
						action = "*:*"
					} else if !ok || strings.Trim(rest, "*") != "" || rest == "" || service == "" {
						continue
					}
					if sc.stays(n.Rights, from, action, service) {
						sc.add(t, from, pattern.String())
					}
				}
				// "Everything but": whatever service is not named is wholly allowed.
				if len(s.NotActions) > 0 && sc.stays(n.Rights, from, "*:*", "*") {
					sc.add(t, from, "every action but a few (NotAction)")
				}
			}
		}
	}
	sc.tell(t, "allows %s on everything")
}

// stays says whether a statement still allows all of a service, once denies and
// the boundary have been applied, on everything that it has.
func (sc *scene) stays(r *iam.Rights, from iam.Source, action, service string) bool {
	grants, err := r.Grants(action, iam.Attacker{Action: action}.Context())
	if err != nil {
		return true // it allows a star: too complex to tell that something takes it away
	}
	for i := range grants {
		if g := &grants[i]; g.Source == from && g.Truth == iam.Yes && (g.Star() || g.Whole(service)) {
			return true
		}
	}
	return false
}
