package judge

import "github.com/apexlogic/apex/internal/function/iam"

func starResource() Class {
	return Class{
		ID: "star_resource", Severity: "medium",
		Why:  `something is written on "*" although the action takes a resource`,
		Mend: `name the resource; keep "*" in a statement of its own for actions that take none`,
		find: func(sc *scene) {
			t := &tally{}
			sc.each(writes, func(a *iam.Action, g *iam.Grant) bool {
				if !g.Star() || sc.origins[g.Policy].managed {
					return false
				}
				sc.add(t, g.Source, a.String())
				return true
			})
			sc.tell(t, `allows %s on "*"`)
		},
	}
}

// writes says whether an action changes something that a policy can name.
func writes(a *iam.Action) bool {
	return a.Level&(iam.Write|iam.Permissions|iam.Tagging) != 0 && a.TakesResource()
}
