package terraform

import (
	"strings"

	"github.com/apexlogic/apex/internal/function/node"
	"github.com/apexlogic/apex/internal/function/stack"
)

// kubernetes reads the roles and bindings that the provider of Kubernetes makes.
func (x *extraction) kubernetes(o *object) {
	kind, ok := strings.CutPrefix(o.kind, "kubernetes_")
	if !ok {
		return
	}
	kind = strings.TrimSuffix(kind, "_v1")
	at := o.resource.Where
	meta := o.first("metadata")
	name := meta.Get("name").Value().Value
	namespace := meta.Get("namespace").Value().Value
	if namespace == "" {
		namespace = "default"
	}
	switch kind {
	case "role", "cluster_role":
		r := stack.RBACRole{Where: at, Namespace: namespace, Name: name, Aggregates: o.first("aggregation_rule") != nil}
		if kind == "cluster_role" {
			r.Namespace = ""
		}
		for _, rule := range o.get("rule").All() {
			r.Rules = append(r.Rules, stack.RBACRule{Where: rule.Where, Verbs: shown(rule.Get("verbs")), Groups: shown(rule.Get("api_groups")),
				Resources: shown(rule.Get("resources")), Names: shown(rule.Get("resource_names")), URLs: shown(rule.Get("non_resource_urls"))})
		}
		x.Stack.Roles = append(x.Stack.Roles, r)
	case "role_binding", "cluster_role_binding":
		ref := o.first("role_ref")
		b := stack.RBACBinding{Where: at, Namespace: namespace, Name: name, Role: ref.Get("name").Value().Value, ClusterRole: ref.Get("kind").Text() == "ClusterRole"}
		if kind == "cluster_role_binding" {
			b.Namespace = ""
		}
		for _, s := range o.get("subject").All() {
			b.Subjects = append(b.Subjects, stack.RBACSubject{Kind: s.Get("kind").Value().Value, Namespace: s.Get("namespace").Value().Value, Name: s.Get("name").Value().Value})
		}
		x.Stack.Bindings = append(x.Stack.Bindings, b)
	case "service_account":
		a := stack.Account{Where: at, Namespace: namespace, Name: name}
		if v, known := o.get("automount_service_account_token").True(); known {
			a.AutomountToken = &v
		}
		x.Stack.Accounts = append(x.Stack.Accounts, a)
	}
}

// shown are the texts of a list, unknown ones as people see them.
func shown(n *node.Node) []string {
	var out []string
	for _, item := range n.All() {
		if item.IsScalar() || item.IsUnknown() {
			out = append(out, item.Value().Value)
		}
	}
	return out
}
