package judge

import (
	"github.com/apexlogic/apex/internal/function/iam"
)

func unconstrainedWrite() Class {
	return Class{
		ID: "unconstrained_write", Severity: "medium",
		Why:  "something is written on every resource of its kind, and no condition bounds it",
		Mend: "name the resources that are written, at least by a prefix, or bound them by a condition on their tags",
		find: func(sc *scene) {
			t := &tally{}
			sc.each(func(a *iam.Action) bool { return a.Level&iam.Write != 0 && writes(a) && !ownLogs(a) }, func(a *iam.Action, g *iam.Grant) bool {
				if sc.origins[g.Policy].managed || !g.Star() && !g.Wide(a) {
					return false
				}
				sc.add(t, g.Source, a.String())
				return true
			})
			sc.tell(t, "allows %s on every resource of its kind")
		},
	}
}

// ownLogs are what every function needs to write its logs and connect to its
// network: the services give them on everything themselves, and what they write
// is new.
func ownLogs(a *iam.Action) bool {
	switch a.String() {
	case "logs:CreateLogGroup", "logs:CreateLogStream", "logs:PutLogEvents":
		return true
	}
	return false
}
