package install

import "github.com/apexlogic/apex/internal/admission"

const rbac = "rbac.authorization.k8s.io"

func rule(groups, resources, verbs []any) Object {
	return Object{"apiGroups": groups, "resources": resources, "verbs": verbs}
}

func named(r Object, names ...string) Object {
	r["resourceNames"] = texts(names...)
	return r
}

// rights are the ServiceAccount of the controller and what it may do; each rule
// is there for one thing that the controller does.
func rights(o *Options) []Object {
	read := texts("get", "list", "watch")
	controller := []any{
		// The kinds of Apex are what is in force; whether each is, stands in its status.
		rule(texts("security.apexlogic.com"), texts("*"), read),
		rule(texts("security.apexlogic.com"), texts("*/status"), texts("patch")),
		// Which namespaces enforce.
		rule(texts(""), texts("namespaces"), read),
		// What was refused, healed, or runs and may not, is said where people look.
		rule(texts("events.k8s.io"), texts("events"), texts("get", "create", "update")),
		// What runs and whether it may, for those who collect reports.
		rule(texts("openreports.io"), texts("reports", "clusterreports"), texts("get", "list", "create", "patch", "delete")),
		rule(texts("wgpolicyk8s.io"), texts("policyreports", "clusterpolicyreports"), texts("get", "list", "create", "patch", "delete")),
	}
	hooks := []any{
		// Its own two webhook configurations, and no others.
		named(rule(texts("admissionregistration.k8s.io"), texts("mutatingwebhookconfigurations", "validatingwebhookconfigurations"), texts("get", "create", "patch")), admission.ConfigurationName),
	}
	own := []any{
		// The webhook's certificate, the key of what is remembered of sources, and
		// the records of sources, whose names are made while it runs.
		rule(texts(""), texts("secrets"), texts("get", "list", "create", "update", "delete")),
		// One replica writes.
		named(rule(texts("coordination.k8s.io"), texts("leases"), texts("get", "update")), "apex-controller"),
		rule(texts("coordination.k8s.io"), texts("leases"), texts("create")),
	}
	watched := []any{
		rule(texts(""), texts("pods", "services", "configmaps", "serviceaccounts", "persistentvolumeclaims"), read),
		rule(texts("apps"), texts("deployments", "statefulsets", "daemonsets", "replicasets"), read),
		rule(texts("batch"), texts("jobs", "cronjobs"), read),
		rule(texts("autoscaling"), texts("horizontalpodautoscalers"), read),
		rule(texts("networking.k8s.io"), texts("networkpolicies", "ingresses"), read),
		rule(texts("policy"), texts("poddisruptionbudgets"), read),
		rule(texts(rbac), texts("roles", "rolebindings"), read),
		rule(texts("serving.knative.dev"), texts("services", "configurations", "revisions", "routes", "domainmappings"), read),
		rule(texts("serving.kserve.io"), texts("inferenceservices", "servingruntimes", "clusterservingruntimes"), read),
		// What leads around the gateway, and what platforms make of their own.
		rule(texts(""), texts("replicationcontrollers"), read),
		rule(texts("networking.internal.knative.dev"), texts("serverlessservices", "ingresses"), read),
		rule(texts("gateway.networking.k8s.io"), texts("httproutes", "grpcroutes", "tcproutes", "tlsroutes", "udproutes"), read),
		rule(texts("networking.istio.io"), texts("virtualservices", "serviceentries"), read),
		rule(texts("projectcontour.io"), texts("httpproxies"), read),
		rule(texts("traefik.io", "traefik.containo.us"), texts("ingressroutes", "ingressroutetcps", "ingressrouteudps"), read),
		rule(texts("route.openshift.io"), texts("routes"), read),
		rule(texts("getambassador.io"), texts("mappings", "tcpmappings"), read),
		rule(texts("configuration.konghq.com"), texts("tcpingresses", "udpingresses"), read),
		rule(texts("apisix.apache.org"), texts("apisixroutes"), read),
	}
	as := func(kind, name string) Object { return Object{"apiGroup": rbac, "kind": kind, "name": name} }
	subject := []any{Object{"kind": "ServiceAccount", "namespace": o.Namespace, "name": ServiceAccount}}
	clusterRole := func(name string, rules []any) Object {
		return made(rbac+"/v1", "ClusterRole", "", name, "rights", Object{"rules": rules})
	}
	bound := func(name string) Object {
		return made(rbac+"/v1", "ClusterRoleBinding", "", name, "rights", Object{"roleRef": as("ClusterRole", name), "subjects": subject})
	}
	workloads := clusterRole("apex-watched-workloads", watched)
	workloads["metadata"].(Object)["labels"].(Object)[WatchedLabel] = "true"
	all := []Object{
		made("v1", "ServiceAccount", o.Namespace, ServiceAccount, "controller", nil),
		clusterRole("apex-controller", controller),
		clusterRole("apex-webhooks", hooks),
		workloads,
		// Its rules are those of all roles with the label: the cluster writes them.
		made(rbac+"/v1", "ClusterRole", "", "apex-watched", "rights", Object{"aggregationRule": Object{
			"clusterRoleSelectors": []any{Object{"matchLabels": Object{WatchedLabel: "true"}}},
		}}),
		// Bound by nobody here: a namespace that wants to be written by a source binds it.
		clusterRole(SourceAccount, []any{named(rule(texts(""), texts("serviceaccounts"), texts("impersonate")), SourceAccount)}),
		// Bound where actions are switched on, and nowhere else: it is the right to
		// change workloads.
		clusterRole("apex-actions", []any{
			rule(texts("networking.k8s.io"), texts("networkpolicies"), texts("create", "patch", "delete")),
			rule(texts("apps"), texts("deployments", "statefulsets"), texts("patch")),
			rule(texts("batch"), texts("jobs", "cronjobs"), texts("patch")),
		}),
		bound("apex-controller"),
		bound("apex-webhooks"),
		bound("apex-watched"),
		made(rbac+"/v1", "Role", o.Namespace, "apex-controller", "rights", Object{"rules": own}),
		made(rbac+"/v1", "RoleBinding", o.Namespace, "apex-controller", "rights", Object{"roleRef": as("Role", "apex-controller"), "subjects": subject}),
	}
	for _, in := range o.Actions {
		if in == "*" {
			all = append(all, bound("apex-actions"))
			continue
		}
		all = append(all, made(rbac+"/v1", "RoleBinding", in, "apex-actions", "rights", Object{"roleRef": as("ClusterRole", "apex-actions"), "subjects": subject}))
	}
	return append(gatewayRights(o), all...)
}

// protection lets the API server itself deny what would take Apex out of the
// way, also while no controller answers.
func protection(o *Options) []Object {
	trusted := writers(o)
	// The gateway and its authority write in this namespace, and nothing elsewhere.
	return append(admission.Protection(o.Namespace, append(trusted, o.Users...), o.Groups), admission.Steering(append(trusted[:1:1], o.Users...), o.Groups)...)
}
