package source

import (
	"errors"
	"testing"
	"time"

	"github.com/apexlogic/apex/api/v1alpha1"
	"github.com/apexlogic/apex/internal/gitops"
	"github.com/apexlogic/apex/internal/gitops/follow"
	"github.com/apexlogic/apex/internal/kube"
	"github.com/apexlogic/apex/internal/kube/kubetest"
	"github.com/apexlogic/apex/verdict"
)

func TestMain(m *testing.M) { kubetest.Main(m) }

// widgets are two kinds that nobody knows by name, one of them cluster-scoped.
const widgets = `
apiVersion: apiextensions.k8s.io/v1
kind: CustomResourceDefinition
metadata: {name: widgets.example.com}
spec:
  group: example.com
  scope: Cluster
  names: {kind: Widget, plural: widgets, singular: widget, listKind: WidgetList}
  versions: [{name: v1, served: true, storage: true, schema: {openAPIV3Schema: {type: object, x-kubernetes-preserve-unknown-fields: true}}}]
---
apiVersion: apiextensions.k8s.io/v1
kind: CustomResourceDefinition
metadata: {name: gadgets.example.com}
spec:
  group: example.com
  scope: Namespaced
  names: {kind: Gadget, plural: gadgets, singular: gadget, listKind: GadgetList}
  versions: [{name: v1, served: true, storage: true, schema: {openAPIV3Schema: {type: object, x-kubernetes-preserve-unknown-fields: true}}}]
`

func TestAClusterSaysWhichKindsLiveInNamespaces(t *testing.T) {
	server := kubetest.Start(t)
	server.InstallCRDs(t, []byte(widgets))
	client, err := kube.Open(kube.Config{Kubeconfig: server.Kubeconfig()})
	if err != nil {
		t.Fatal(err)
	}
	namespace := server.Namespace(t)
	admit(t, client, namespace)
	s := newStoryWith(t, func(o *Options) {
		o.Cluster, o.System = client, server.Namespace(t)
		o.Source.Spec.Namespace = namespace
		o.Source.Spec.Quota.Kinds = []string{"Gadget.example.com"}
		o.Source.Spec.Target = v1alpha1.GitTarget{Cluster: &v1alpha1.ClusterTarget{
			ServiceAccount: namespace + "/tenant", Namespaces: []string{namespace}, ClusterKinds: []string{"Widget.example.com"},
		}}
	})
	const widget, gadget = "apiVersion: example.com/v1\nkind: Widget\nmetadata: {name: w}\n", "apiVersion: example.com/v1\nkind: Gadget\nmetadata: {name: g}\n"
	s.commit("one", s.key, map[string]string{"deploy/w.yaml": widget, "deploy/g.yaml": gadget})
	s.pass()
	for _, id := range []gitops.ID{
		{Group: "example.com", Kind: "Widget", Name: "w"},
		{Group: "example.com", Kind: "Gadget", Name: "g", Namespace: namespace},
	} {
		if _, err := s.place.target.Get(t.Context(), id, "v1"); err != nil {
			t.Errorf("%s: %v", id, err)
		}
	}
	s.commit("a widget in a namespace", s.key, map[string]string{"deploy/w.yaml": "apiVersion: example.com/v1\nkind: Widget\nmetadata: {name: w, namespace: " + namespace + "}\n"})
	s.refused(verdict.ObjectNamespace)
	s.commit("another kind", s.key, map[string]string{"deploy/w.yaml": widget, "deploy/c.yaml": "apiVersion: v1\nkind: ConfigMap\nmetadata: {name: c}\n"})
	s.refused(verdict.ApplyKind)
	s.commit("only its own", s.key, map[string]string{"deploy/c.yaml": "", "deploy/h.yaml": "apiVersion: example.com/v1\nkind: Gadget\nmetadata: {name: h}\n"})
	s.pass()

	// Who cannot be asked is no reason to guess.
	server.Stop()
	s.commit("later", s.key, map[string]string{"deploy/i.yaml": "apiVersion: example.com/v1\nkind: Gadget\nmetadata: {name: i}\n"})
	if err := s.Pass(t.Context()); err == nil || errors.As(err, new(*follow.Refused)) {
		t.Errorf("got %v", err)
	}
	server.Resume(t)
	s.pass()
}

// admit lets the tenant's ServiceAccount write anything: what a source may hold
// is its own bound.
func admit(t *testing.T, c *kube.Client, namespace string) {
	t.Helper()
	for _, body := range []map[string]any{
		{"apiVersion": "v1", "kind": "ServiceAccount", "metadata": map[string]any{"namespace": namespace, "name": "tenant"}},
		{"apiVersion": "rbac.authorization.k8s.io/v1", "kind": "ClusterRoleBinding", "metadata": map[string]any{"name": "tenant-" + namespace},
			"roleRef":  map[string]any{"apiGroup": "rbac.authorization.k8s.io", "kind": "ClusterRole", "name": "cluster-admin"},
			"subjects": []any{map[string]any{"kind": "ServiceAccount", "name": "tenant", "namespace": namespace}}},
	} {
		if _, err := c.Apply(t.Context(), body, kube.ApplyOptions{Manager: "a-person"}); err != nil {
			t.Fatal(err)
		}
	}
	account, err := c.As(namespace, "tenant")
	if err != nil {
		t.Fatal(err)
	}
	for deadline := time.Now().Add(2 * time.Minute); ; { // until the authorizer has seen the binding
		ok, _, err := account.Can(t.Context(), "patch", kube.ID{Kind: kube.Kind{Group: "example.com", Version: "v1", Kind: "Widget"}})
		if err != nil {
			t.Fatal(err)
		}
		if ok {
			return
		}
		if time.Now().After(deadline) {
			t.Fatal("the rights do not come")
		}
	}
}
