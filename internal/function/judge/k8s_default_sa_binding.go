package judge

import (
	"fmt"
	"strings"
)

func defaultAccountBinding() Class {
	return Class{
		ID: "k8s_default_sa_binding", Severity: "medium",
		Why:  "every pod that names no service account gets the rights",
		Mend: "bind a service account of the workload's own",
		find: func(sc *scene) {
			for i := range sc.stack.Bindings {
				b := &sc.stack.Bindings[i]
				for _, s := range b.Subjects {
					switch {
					case s.Kind == "ServiceAccount" && s.Name == "default":
						sc.report(b.Where, bindingName(b), fmt.Sprintf("binds %s to the default service account of %s", b.Role, orSelf(s.Namespace)))
					case s.Kind == "Group" && (s.Name == "system:serviceaccounts" || strings.HasPrefix(s.Name, "system:serviceaccounts:")):
						sc.report(b.Where, bindingName(b), fmt.Sprintf("binds %s to all service accounts (%s)", b.Role, s.Name))
					case s.Kind == "User" && strings.HasPrefix(s.Name, "system:serviceaccount:") && strings.HasSuffix(s.Name, ":default"):
						sc.report(b.Where, bindingName(b), fmt.Sprintf("binds %s to %s", b.Role, s.Name))
					}
				}
			}
		},
	}
}

func orSelf(namespace string) string {
	if namespace == "" {
		return "its namespace"
	}
	return "namespace " + namespace
}
