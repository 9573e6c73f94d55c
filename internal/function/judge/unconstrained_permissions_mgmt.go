package judge

import "github.com/apexlogic/apex/internal/function/iam"

func unconstrainedPermissionsManagement() Class {
	return Class{
		ID: "unconstrained_permissions_mgmt", Severity: "high",
		Why:  "policies and other rights can be changed without a bound",
		Mend: "name whose rights may be changed, or require a permissions boundary by a condition on iam:PermissionsBoundary",
		find: func(sc *scene) {
			t := &tally{}
			sc.each(func(a *iam.Action) bool { return a.Level&iam.Permissions != 0 && a.TakesResource() }, func(a *iam.Action, g *iam.Grant) bool {
				if g.Star() || g.Wide(a) {
					sc.add(t, g.Source, a.String())
					return true
				}
				return false
			})
			sc.tell(t, "allows %s without a bound")
		},
	}
}
