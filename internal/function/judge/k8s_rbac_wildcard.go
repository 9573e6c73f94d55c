package judge

import "strings"

func rbacWildcard() Class {
	return Class{
		ID: "k8s_rbac_wildcard", Severity: "high",
		Why:  "a rule allows all verbs, all resources or all groups, also those that do not exist yet",
		Mend: "list the verbs, resources and API groups that are used",
		find: func(sc *scene) {
			for i := range sc.stack.Roles {
				r := &sc.stack.Roles[i]
				for _, rule := range r.Rules {
					var stars []string
					for _, x := range []struct {
						name string
						list []string
					}{{"verbs", rule.Verbs}, {"resources", rule.Resources}, {"apiGroups", rule.Groups}, {"nonResourceURLs", rule.URLs}} {
						if has(x.list, "*") {
							stars = append(stars, x.name)
						}
					}
					if len(stars) > 0 {
						sc.report(place(rule.Where, r.Where), roleName(r), `"*" in `+strings.Join(stars, " and "))
						break
					}
				}
			}
		},
	}
}
