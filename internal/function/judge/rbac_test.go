package judge

import (
	"strings"
	"testing"

	"github.com/apexlogic/apex/internal/function/stack"
)

// rule reads "verbs on resources [of groups] [named x]".
func rule(text string) *stack.Stack {
	text, names, _ := strings.Cut(text, " named ")
	text, groups, _ := strings.Cut(text, " of ")
	verbs, resources, _ := strings.Cut(text, " on ")
	r := stack.RBACRule{Where: stack.Where{File: "role.yaml", Line: 12}, Verbs: strings.Split(verbs, ","), Resources: strings.Split(resources, ","), Groups: strings.Split(groups, ",")}
	if names != "" {
		r.Names = strings.Split(names, ",")
	}
	return &stack.Stack{Roles: []stack.RBACRole{{Where: stack.Where{File: "role.yaml", Line: 3}, Namespace: "vision", Name: "app", Rules: []stack.RBACRule{
		{Where: stack.Where{File: "role.yaml", Line: 9}, Verbs: []string{"get"}, Groups: []string{""}, Resources: []string{"configmaps"}}, r,
	}}}}
}

func bound(role string, cluster bool, subjects ...stack.RBACSubject) *stack.Stack {
	return &stack.Stack{Bindings: []stack.RBACBinding{{Where: stack.Where{File: "b.yaml", Line: 2}, Name: "b", Role: role, ClusterRole: cluster, Subjects: subjects}}}
}

func TestRBACWildcard(t *testing.T) {
	var cases []labelled
	for _, r := range []string{"* on pods", "get on *", "get on pods of *", "* on * of *", "get,* on pods", "* on deployments of apps", "get,list on *", "list on pods,*", "create on jobs of batch,*", "* on secrets named x"} {
		cases = append(cases, labelled{r, true, rule(r)})
	}
	for _, r := range []string{"get on pods", "get,list,watch on pods", "create on jobs of batch", "patch on deployments of apps", "get on pods/log", "update on configmaps named x", "delete on pods", "get on services,endpoints", "list on namespaces", "deletecollection on pods", "get on secrets named tls"} {
		cases = append(cases, labelled{r, false, rule(r)})
	}
	check(t, "k8s_rbac_wildcard", cases)
	if found := of(Judge(rule("* on * of *"), Options{}), "k8s_rbac_wildcard"); len(found) != 1 || found[0].Line != 12 || found[0].Resource != "Role/vision/app" {
		t.Errorf("%+v", found)
	}
	urls := rule("get on pods")
	urls.Roles[0].Rules[1].URLs = []string{"*"}
	if len(of(Judge(urls, Options{}), "k8s_rbac_wildcard")) != 1 {
		t.Error("a star of URLs is not found")
	}
}

func TestRBACDangerous(t *testing.T) {
	app := stack.RBACSubject{Kind: "ServiceAccount", Namespace: "vision", Name: "app"}
	var cases []labelled
	for _, r := range []string{
		"escalate on roles of rbac.authorization.k8s.io", "bind on clusterroles of rbac.authorization.k8s.io", "bind on rolebindings of rbac.authorization.k8s.io", "impersonate on users,groups", "get on secrets", "list on secrets", "watch,list on pods,secrets", "* on secrets",
		"create on pods/exec", "get,create on pods/attach", "create on pods/portforward", "patch on pods/ephemeralcontainers", "get on nodes/proxy", "create on serviceaccounts/token",
		"update on validatingwebhookconfigurations of admissionregistration.k8s.io", "create,patch on mutatingwebhookconfigurations of admissionregistration.k8s.io", "update on certificatesigningrequests/approval of certificates.k8s.io", "approve on signers of certificates.k8s.io", "* on clusterroles of rbac.authorization.k8s.io",
	} {
		cases = append(cases, labelled{r, true, rule(r)})
	}
	for _, r := range []string{
		"get on roles of rbac.authorization.k8s.io", "bind on clusterroles of rbac.authorization.k8s.io named view", "get on secrets named tls", "create,update on secrets", "get on pods/log", "create on pods", "get on nodes",
		"get on serviceaccounts", "create on serviceaccounts/token named app", "list on validatingwebhookconfigurations of admissionregistration.k8s.io", "create on certificatesigningrequests of certificates.k8s.io", "impersonate on users named ci", "get on secrets of example.org",
	} {
		cases = append(cases, labelled{r, false, rule(r)})
	}
	cases = append(cases,
		labelled{"cluster-admin", true, bound("cluster-admin", true, app)},
		labelled{"rights of the anonymous", true, bound("reader", false, stack.RBACSubject{Kind: "User", Name: "system:anonymous"})},
		labelled{"view", false, bound("view", true, app)},
		labelled{"a role that is called cluster-admin", false, bound("cluster-admin", false, app)},
		labelled{"discovery for everybody", false, bound("system:discovery", true, stack.RBACSubject{Kind: "Group", Name: "system:authenticated"})},
	)
	check(t, "k8s_rbac_dangerous", cases)
}

func TestDefaultAccountBinding(t *testing.T) {
	sa := func(namespace, name string) stack.RBACSubject {
		return stack.RBACSubject{Kind: "ServiceAccount", Namespace: namespace, Name: name}
	}
	var cases []labelled
	for _, role := range []string{"view", "edit", "reader", "cluster-admin"} {
		cases = append(cases,
			labelled{role + " for the default account", true, bound(role, true, sa("vision", "default"))},
			labelled{role + " for the default account among others", true, bound(role, false, sa("vision", "app"), sa("vision", "default"))},
			labelled{role + " for an account of its own", false, bound(role, true, sa("vision", "app"))},
			labelled{role + " for a user who is called default", false, bound(role, false, stack.RBACSubject{Kind: "User", Name: "default"})},
			labelled{role + " for an account of the namespace default", false, bound(role, false, sa("default", "app"))},
		)
	}
	cases = append(cases,
		labelled{"all accounts", true, bound("view", true, stack.RBACSubject{Kind: "Group", Name: "system:serviceaccounts"})},
		labelled{"all accounts of a namespace", true, bound("view", true, stack.RBACSubject{Kind: "Group", Name: "system:serviceaccounts:vision"})},
		labelled{"the default account as a user", true, bound("view", true, stack.RBACSubject{Kind: "User", Name: "system:serviceaccount:vision:default"})},
		labelled{"another account as a user", false, bound("view", true, stack.RBACSubject{Kind: "User", Name: "system:serviceaccount:vision:app"})},
	)
	check(t, "k8s_default_sa_binding", cases)
}
