package judge

import (
	"slices"
	"strings"

	"github.com/apexlogic/apex/internal/function/stack"
)

func roleName(r *stack.RBACRole) string {
	if r.Namespace == "" {
		return "ClusterRole/" + r.Name
	}
	return "Role/" + r.Namespace + "/" + r.Name
}

func bindingName(b *stack.RBACBinding) string {
	if b.Namespace == "" {
		return "ClusterRoleBinding/" + b.Name
	}
	return "RoleBinding/" + b.Namespace + "/" + b.Name
}

// place is where a rule stands, or else its role.
func place(rule, role stack.Where) stack.Where {
	if rule.Line == 0 {
		return role
	}
	return rule
}

func has(list []string, any ...string) bool {
	return slices.ContainsFunc(list, func(s string) bool { return slices.Contains(any, strings.ToLower(s)) })
}
