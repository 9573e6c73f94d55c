package cluster_test

import (
	"errors"
	"slices"
	"strings"
	"testing"

	"github.com/apexlogic/apex/internal/gitops"
	"github.com/apexlogic/apex/internal/gitops/target/cluster"
	"github.com/apexlogic/apex/internal/kube"
	"github.com/apexlogic/apex/internal/kube/kubetest"
	"github.com/apexlogic/apex/verdict"
)

func body(apiVersion, kind, namespace, name string, rest map[string]any) map[string]any {
	meta := map[string]any{"name": name}
	if namespace != "" {
		meta["namespace"] = namespace
	}
	b := map[string]any{"apiVersion": apiVersion, "kind": kind, "metadata": meta}
	for k, v := range rest {
		b[k] = v
	}
	return b
}

func desired(t testing.TB, b map[string]any) *gitops.Object {
	t.Helper()
	o, err := gitops.NewObject(b, verdict.Origin{File: "escape.yaml", Line: 1})
	must(t, err)
	return &o
}

const rbac = "rbac.authorization.k8s.io/v1"

func rules(verbs ...any) map[string]any {
	return map[string]any{"rules": []any{map[string]any{"apiGroups": []any{"*"}, "resources": []any{"*"}, "verbs": verbs}}}
}

func binding(kind, name, namespace string) map[string]any {
	return map[string]any{
		"roleRef":  map[string]any{"apiGroup": "rbac.authorization.k8s.io", "kind": kind, "name": name},
		"subjects": []any{map[string]any{"kind": "ServiceAccount", "name": "tenant", "namespace": namespace}},
	}
}

// Each attempt is made against a real API server with RBAC on. Those of the
// second table pass the target's own check, which is set wide for them: they
// show what impersonation holds.
func TestASourceCannotWriteOutsideOfWhatItWasGiven(t *testing.T) {
	s := kubetest.Start(t)
	victim := s.Namespace(t)
	target, own := tenant(t, s, nil)
	wide, wideOwn := tenant(t, s, func(o *cluster.Options) {
		o.Namespaces = append(o.Namespaces, victim, "default", "kube-system", "kube-public")
		o.ClusterKinds = []string{
			"Namespace", "Node", "PersistentVolume", "ClusterRole.rbac.authorization.k8s.io", "ClusterRoleBinding.rbac.authorization.k8s.io",
			"CustomResourceDefinition.apiextensions.k8s.io", "ValidatingWebhookConfiguration.admissionregistration.k8s.io",
			"MutatingWebhookConfiguration.admissionregistration.k8s.io", "APIService.apiregistration.k8s.io", "PriorityClass.scheduling.k8s.io",
			"StorageClass.storage.k8s.io", "CertificateSigningRequest.certificates.k8s.io", "ValidatingAdmissionPolicy.admissionregistration.k8s.io",
			"RuntimeClass.node.k8s.io", "FlowSchema.flowcontrol.apiserver.k8s.io", "IngressClass.networking.k8s.io",
		}
	})
	data := map[string]any{"data": map[string]any{"k": "v"}}
	webhooks := map[string]any{"webhooks": []any{}}
	crd := map[string]any{"spec": map[string]any{"group": "evil.example", "scope": "Cluster", "names": map[string]any{"kind": "Evil", "plural": "evils"},
		"versions": []any{map[string]any{"name": "v1", "served": true, "storage": true, "schema": map[string]any{"openAPIV3Schema": map[string]any{"type": "object"}}}}}}

	for name, b := range map[string]map[string]any{
		"a ConfigMap of another tenant":           body("v1", "ConfigMap", victim, "x", data),
		"a Secret of another tenant":              body("v1", "Secret", victim, "x", nil),
		"a Secret beside Apex's records":          body("v1", "Secret", cluster.SystemNamespace, "apex-source-vision", nil),
		"a ConfigMap of the system":               body("v1", "ConfigMap", "kube-system", "x", data),
		"a ConfigMap of the default namespace":    body("v1", "ConfigMap", "default", "x", data),
		"a namespace that only begins like ours":  body("v1", "ConfigMap", own+"0", "x", data),
		"a namespace in capital letters":          body("v1", "ConfigMap", strings.ToUpper(own), "x", data),
		"a namespace with a path":                 body("v1", "ConfigMap", own+"/../"+victim, "x", data),
		"a Namespace":                             body("v1", "Namespace", "", "new", nil),
		"its own Namespace":                       body("v1", "Namespace", "", own, nil),
		"a ClusterRole":                           body(rbac, "ClusterRole", "", "x", rules("*")),
		"a ClusterRoleBinding to cluster-admin":   body(rbac, "ClusterRoleBinding", "", "x", binding("ClusterRole", "cluster-admin", own)),
		"a CRD":                                   body("apiextensions.k8s.io/v1", "CustomResourceDefinition", "", "evils.evil.example", crd),
		"a validating webhook":                    body("admissionregistration.k8s.io/v1", "ValidatingWebhookConfiguration", "", "x", webhooks),
		"a mutating webhook":                      body("admissionregistration.k8s.io/v1", "MutatingWebhookConfiguration", "", "x", webhooks),
		"an APIService":                           body("apiregistration.k8s.io/v1", "APIService", "", "v1.x", nil),
		"a Node":                                  body("v1", "Node", "", "x", nil),
		"a PersistentVolume":                      body("v1", "PersistentVolume", "", "x", nil),
		"a cluster-scoped kind in its namespace":  body(rbac, "ClusterRole", own, "x", rules("*")),
		"a namespaced kind without a namespace":   body("v1", "ConfigMap", "", "x", data),
		"a name with a path":                      body("v1", "ConfigMap", own, "../../"+victim+"/configmaps/x", data),
		"a name that is a subresource":            body("v1", "Pod", own, "p/status", nil),
		"a name with an escaped path":             body("v1", "ConfigMap", own, "..%2f..%2f"+victim, data),
		"a kind of another group's name":          body("evil.example/v1", "ConfigMap", own, "x", data),
		"an API version with a path":              body("v1/namespaces/"+victim, "ConfigMap", own, "x", data),
		"a list that carries other objects":       body("v1", "List", own, "x", map[string]any{"items": []any{body("v1", "ConfigMap", victim, "x", data)}}),
		"a ConfigMapList":                         body("v1", "ConfigMapList", own, "x", nil),
		"a question about rights":                 body("authorization.k8s.io/v1", "SelfSubjectAccessReview", "", "x", nil),
		"a token of the API server":               body("authentication.k8s.io/v1", "TokenRequest", own, "tenant", nil),
		"an eviction":                             body("policy/v1", "Eviction", own, "p", nil),
		"a binding of a pod to a node":            body("v1", "Binding", own, "p", map[string]any{"target": map[string]any{"kind": "Node", "name": "n"}}),
		"a Role with more rights than it has":     body(rbac, "Role", own, "x", rules("*")),
		"a Role that may impersonate":             body(rbac, "Role", own, "x", map[string]any{"rules": []any{map[string]any{"apiGroups": []any{""}, "resources": []any{"serviceaccounts"}, "verbs": []any{"impersonate"}}}}),
		"a RoleBinding to cluster-admin":          body(rbac, "RoleBinding", own, "x", binding("ClusterRole", "cluster-admin", own)),
		"a RoleBinding of another's tenant":       body(rbac, "RoleBinding", victim, "x", binding("Role", "tenant", own)),
		"a kind outside of its ServiceAccount's":  body("coordination.k8s.io/v1", "Lease", own, "x", nil),
		"an HPA, which its account may not write": body("autoscaling/v2", "HorizontalPodAutoscaler", own, "x", nil),
	} {
		attempt(t, "target", name, target, b, gitops.ErrForbidden, gitops.ErrInvalid, gitops.ErrUnknownKind)
	}
	wideNamespace := func(n string) string {
		if n == own {
			return wideOwn
		}
		return n
	}
	for name, b := range map[string]map[string]any{
		"a ConfigMap of another tenant":         body("v1", "ConfigMap", victim, "x", data),
		"a ConfigMap of the default namespace":  body("v1", "ConfigMap", "default", "x", data),
		"a ConfigMap of the system":             body("v1", "ConfigMap", "kube-system", "x", data),
		"what everybody may read":               body("v1", "ConfigMap", "kube-public", "x", data),
		"a Namespace of the system":             body("v1", "Namespace", "", "kube-system", map[string]any{}),
		"a Namespace that is not named":         body("v1", "Namespace", "", "new", nil),
		"a ClusterRole":                         body(rbac, "ClusterRole", "", "x", rules("*")),
		"a ClusterRoleBinding to cluster-admin": body(rbac, "ClusterRoleBinding", "", "x", binding("ClusterRole", "cluster-admin", wideOwn)),
		"a CRD":                                 body("apiextensions.k8s.io/v1", "CustomResourceDefinition", "", "evils.evil.example", crd),
		"a validating webhook":                  body("admissionregistration.k8s.io/v1", "ValidatingWebhookConfiguration", "", "x", webhooks),
		"a mutating webhook":                    body("admissionregistration.k8s.io/v1", "MutatingWebhookConfiguration", "", "x", webhooks),
		"an APIService":                         body("apiregistration.k8s.io/v1", "APIService", "", "v1.x", nil),
		"a Node":                                body("v1", "Node", "", "x", nil),
		"a PersistentVolume":                    body("v1", "PersistentVolume", "", "x", nil),
		"a priority above all others":           body("scheduling.k8s.io/v1", "PriorityClass", "", "x", map[string]any{"value": int64(1_000_000_000)}),
		"a StorageClass":                        body("storage.k8s.io/v1", "StorageClass", "", "x", map[string]any{"provisioner": "x.example"}),
		"a certificate request":                 body("certificates.k8s.io/v1", "CertificateSigningRequest", "", "x", nil),
		"an admission policy":                   body("admissionregistration.k8s.io/v1", "ValidatingAdmissionPolicy", "", "x", nil),
		"a RuntimeClass":                        body("node.k8s.io/v1", "RuntimeClass", "", "x", map[string]any{"handler": "x"}),
		"a FlowSchema":                          body("flowcontrol.apiserver.k8s.io/v1", "FlowSchema", "", "x", nil),
		"a RoleBinding to cluster-admin":        body(rbac, "RoleBinding", wideNamespace(own), "x", binding("ClusterRole", "cluster-admin", wideOwn)),
	} {
		attempt(t, "RBAC", name, wide, b, gitops.ErrForbidden)
	}
	// And what it was given, it may write.
	for _, b := range []map[string]any{
		body("v1", "ConfigMap", own, "x", data), body("v1", "Secret", own, "x", nil), body("v1", "ServiceAccount", own, "x", nil),
		body(rbac, "Role", own, "x", map[string]any{"rules": []any{map[string]any{"apiGroups": []any{""}, "resources": []any{"configmaps"}, "verbs": []any{"get"}}}}),
	} {
		if _, err := target.Apply(t.Context(), desired(t, b), gitops.ApplyOptions{}); err != nil {
			t.Errorf("its own %s: %v", b["kind"], err)
		}
	}
	found, err := admin(t, s).List(t.Context(), kube.Kind{Version: "v1", Kind: "ConfigMap"}, victim, "")
	must(t, err)
	for _, o := range found {
		if o.GetName() == "x" {
			t.Error("the other tenant has a ConfigMap x")
		}
	}
}

// attempt applies, and applies without effect; both have to be refused by one of
// the errors.
func attempt(t *testing.T, by, name string, target *cluster.Target, b map[string]any, errs ...error) {
	t.Helper()
	o := desired(t, b)
	ours := func(err error) bool {
		return slices.ContainsFunc(errs, func(e error) bool { return errors.Is(err, e) })
	}
	if _, err := target.Apply(t.Context(), o, gitops.ApplyOptions{}); !ours(err) {
		t.Errorf("%s: %s: apply: %v", by, name, err)
	}
	if _, err := target.Apply(t.Context(), o, gitops.ApplyOptions{DryRun: true}); !ours(err) {
		t.Errorf("%s: %s: dry run: %v", by, name, err)
	}
}

func TestOtherWaysOutOfATargetAreRefused(t *testing.T) {
	s := kubetest.Start(t)
	victim := s.Namespace(t)
	target, own := tenant(t, s, nil)
	c := admin(t, s)
	_, err := c.Apply(t.Context(), body("v1", "ConfigMap", victim, "theirs", map[string]any{"data": map[string]any{"secret": "hunter2"}}), byTest)
	must(t, err)
	theirs := gitops.ID{Kind: "ConfigMap", Namespace: victim, Name: "theirs"}

	mismatched := desired(t, body("v1", "ConfigMap", own, "x", nil))
	mismatched.Body = body("v1", "ConfigMap", victim, "theirs", nil)
	if _, err := target.Apply(t.Context(), mismatched, gitops.ApplyOptions{}); !errors.Is(err, gitops.ErrInvalid) {
		t.Errorf("a body that is another object than its ID: %v", err)
	}
	if _, err := target.Get(t.Context(), theirs, "v1"); !errors.Is(err, gitops.ErrForbidden) {
		t.Errorf("a read: %v", err)
	}
	if _, err := target.Patch(t.Context(), theirs, "v1", []byte(`[{"op":"remove","path":"/data"}]`)); !errors.Is(err, gitops.ErrForbidden) {
		t.Errorf("a patch: %v", err)
	}
	if err := target.Delete(t.Context(), theirs, "v1", gitops.Precondition{}); !errors.Is(err, gitops.ErrForbidden) {
		t.Errorf("a deletion: %v", err)
	}
	if _, _, err := target.Healthy(t.Context(), desired(t, body("v1", "ConfigMap", victim, "theirs", nil))); !errors.Is(err, gitops.ErrForbidden) {
		t.Errorf("a look at its health: %v", err)
	}
	if err := target.List(t.Context(), gitops.Kind{Group: "rbac.authorization.k8s.io", Version: "v1", Kind: "ClusterRole"}, func(gitops.Held) {}); !errors.Is(err, gitops.ErrForbidden) {
		t.Errorf("a list of a cluster-scoped kind: %v", err)
	}
	err = target.List(t.Context(), gitops.Kind{Version: "v1", Kind: "ConfigMap"}, func(h gitops.Held) {
		if h.Namespace != own {
			t.Errorf("a list shows %s", h.ID)
		}
	})
	must(t, err)

	for name, change := range map[string]func(*cluster.Options){
		"Apex's own namespace as a target":      func(o *cluster.Options) { o.Namespaces = append(o.Namespaces, cluster.SystemNamespace) },
		"all namespaces by an empty name":       func(o *cluster.Options) { o.Namespaces = append(o.Namespaces, "") },
		"no namespace at all":                   func(o *cluster.Options) { o.Namespaces = nil },
		"Apex's own ServiceAccount":             func(o *cluster.Options) { o.ServiceAccount = cluster.SystemNamespace + "/apex" },
		"no ServiceAccount, which would be us":  func(o *cluster.Options) { o.ServiceAccount = "" },
		"an account that is a user":             func(o *cluster.Options) { o.ServiceAccount = "admin" },
		"an account with a name of other users": func(o *cluster.Options) { o.ServiceAccount = "x:y/z" },
	} {
		o := cluster.Options{Client: c, ServiceAccount: own + "/tenant", Namespaces: []string{own}}
		if _, err := cluster.New(o); err != nil {
			t.Fatalf("the twin: %v", err)
		}
		if change(&o); true {
			if _, err := cluster.New(o); err == nil {
				t.Errorf("%s: allowed", name)
			}
		}
	}
}

func TestACRDAndItsObjectsComeInOneSet(t *testing.T) {
	s := kubetest.Start(t)
	c := admin(t, s)
	target, own := tenant(t, s, func(o *cluster.Options) { o.ClusterKinds = []string{"CustomResourceDefinition.apiextensions.k8s.io"} })
	_, err := c.Apply(t.Context(), body(rbac, "ClusterRole", "", "crds-"+own, map[string]any{"rules": []any{map[string]any{
		"apiGroups": []any{"apiextensions.k8s.io"}, "resources": []any{"customresourcedefinitions"}, "verbs": []any{"get", "create", "patch"},
	}}}), byTest)
	must(t, err)
	_, err = c.Apply(t.Context(), body(rbac, "ClusterRoleBinding", "", "crds-"+own, binding("ClusterRole", "crds-"+own, own)), byTest)
	must(t, err)
	account, err := c.As(own, "tenant")
	must(t, err)
	crdKind := kube.Kind{Group: "apiextensions.k8s.io", Version: "v1", Kind: "CustomResourceDefinition"}
	for ok := false; !ok && t.Context().Err() == nil; {
		ok, _, err = account.Can(t.Context(), "patch", kube.ID{Kind: crdKind})
		must(t, err)
	}
	thing := desired(t, body("apex.example/v1", "Thing", own, "a", map[string]any{"spec": map[string]any{"n": int64(7)}}))
	if _, err := target.Apply(t.Context(), thing, gitops.ApplyOptions{}); !errors.Is(err, gitops.ErrUnknownKind) {
		t.Fatalf("before its CRD: %v", err)
	}
	crd := desired(t, body("apiextensions.k8s.io/v1", "CustomResourceDefinition", "", "things.apex.example", map[string]any{"spec": map[string]any{
		"group": "apex.example", "scope": "Namespaced", "names": map[string]any{"kind": "Thing", "plural": "things"},
		"versions": []any{map[string]any{"name": "v1", "served": true, "storage": true, "schema": map[string]any{"openAPIV3Schema": map[string]any{
			"type": "object", "properties": map[string]any{"spec": map[string]any{"type": "object", "properties": map[string]any{"n": map[string]any{"type": "integer"}}}}}}}},
	}}))
	_, err = target.Apply(t.Context(), crd, gitops.ApplyOptions{})
	must(t, err)
	must(t, c.AwaitEstablished(t.Context(), "things.apex.example"))
	if ok, why, err := target.Healthy(t.Context(), crd); !ok || err != nil {
		t.Errorf("the CRD: %q, %v", why, err)
	}
	live, err := target.Apply(t.Context(), thing, gitops.ApplyOptions{})
	must(t, err)
	if spec, _ := live.Body["spec"].(map[string]any); spec["n"] != int64(7) {
		t.Errorf("spec %v", spec)
	}
	wrong := desired(t, body("apex.example/v1", "Thing", own, "b", map[string]any{"spec": map[string]any{"n": "seven"}}))
	if _, err := target.Apply(t.Context(), wrong, gitops.ApplyOptions{}); !errors.Is(err, gitops.ErrInvalid) {
		t.Errorf("against its schema: %v", err)
	}
}
