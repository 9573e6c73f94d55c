package judge

import (
	"fmt"
	"strings"

	"github.com/apexlogic/apex/internal/function/stack"
)

func rbacDangerous() Class {
	return Class{
		ID: "k8s_rbac_dangerous", Severity: "high",
		Why:  "the rights lead to more: they bind roles, impersonate, read secrets, open shells or change what admits",
		Mend: "take the verb or the resource away, or name the objects by resourceNames",
		find: func(sc *scene) {
			for i := range sc.stack.Roles {
				r := &sc.stack.Roles[i]
				for _, rule := range r.Rules {
					if why := danger(&rule); why != "" {
						sc.report(place(rule.Where, r.Where), roleName(r), why)
						break
					}
				}
			}
			for i := range sc.stack.Bindings {
				b := &sc.stack.Bindings[i]
				switch {
				case b.ClusterRole && b.Role == "cluster-admin":
					sc.report(b.Where, bindingName(b), "binds cluster-admin, which may do everything")
				case anonymous(b) != "":
					sc.report(b.Where, bindingName(b), fmt.Sprintf("gives %s to %s", b.Role, anonymous(b)))
				}
			}
		},
	}
}

func anonymous(b *stack.RBACBinding) string {
	if strings.HasPrefix(b.Role, "system:") && b.Role != "system:masters" {
		return "" // discovery and the like, which the server itself gives them
	}
	for _, s := range b.Subjects {
		switch s.Name {
		case "system:anonymous", "system:unauthenticated", "system:authenticated":
			return s.Name
		}
	}
	return ""
}

// danger says what a rule leads to. Rules that are nothing but stars are of the
// other class.
func danger(r *stack.RBACRule) string {
	all := has(r.Verbs, "*")
	verb := func(any ...string) bool { return all || has(r.Verbs, any...) }
	on := func(any ...string) bool { return has(r.Resources, any...) }
	group := func(g string) bool { return has(r.Groups, g, "*") || len(r.Groups) == 0 }
	named := len(r.Names) > 0
	switch {
	case has(r.Verbs, "escalate"):
		return "may escalate: write roles with rights that it does not have"
	case has(r.Verbs, "bind") && !named:
		return "may bind any role"
	case has(r.Verbs, "impersonate") && !named:
		return "may impersonate " + strings.Join(r.Resources, ", ")
	case on("secrets") && group("") && verb("get", "list", "watch") && !named:
		return "may read all secrets"
	case on("pods/exec", "pods/attach", "pods/portforward", "pods/ephemeralcontainers", "pods/*") && verb("create", "get", "update", "patch"):
		return "may open shells or connections into pods (" + strings.Join(r.Resources, ", ") + ")"
	case on("nodes/proxy") && verb("get", "create"):
		return "may reach the kubelet's API through nodes/proxy"
	case on("serviceaccounts/token") && verb("create") && !named:
		return "may mint tokens of any service account"
	case on("validatingwebhookconfigurations", "mutatingwebhookconfigurations") && verb("create", "update", "patch", "delete", "deletecollection"):
		return "may change the webhooks that admit"
	case on("roles", "clusterroles") && group("rbac.authorization.k8s.io") && all:
		return "may do everything with roles, escalate included"
	case on("certificatesigningrequests/approval") && verb("update", "patch"), on("signers") && has(r.Verbs, "approve", "sign"):
		return "may approve certificates"
	}
	return ""
}
