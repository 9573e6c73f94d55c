package judge

import (
	"fmt"

	"github.com/apexlogic/apex/internal/function/stack"
)

func functionSharedRole() Class {
	return Class{
		ID: "function_shared_role", Severity: "medium",
		Why:  "several functions run as one role, so that each has the rights of all",
		Mend: "give each function a role of its own with the rights that it uses",
		find: func(sc *scene) {
			by := map[string][]*stack.Function{}
			for i := range sc.stack.Functions {
				f := &sc.stack.Functions[i]
				role := f.Role
				if role == "" {
					role = f.RoleText.Value // of a role outside: the same words are the same role
				}
				if role != "" {
					by[role] = append(by[role], f)
				}
			}
			for i := range sc.stack.Functions {
				f := &sc.stack.Functions[i]
				role := f.Role
				if role == "" {
					role = f.RoleText.Value
				}
				mates := by[role]
				if role == "" || len(mates) < 2 {
					continue
				}
				var others []stack.Where
				for _, m := range mates {
					if m != f {
						others = append(others, m.Where)
					}
				}
				sc.report(f.Where, f.ID, fmt.Sprintf("runs as %s, as %d more functions do", role, len(mates)-1), others...)
			}
		},
	}
}
