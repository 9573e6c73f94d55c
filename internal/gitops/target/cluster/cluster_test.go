package cluster_test

import (
	"context"
	"testing"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime/schema"

	"github.com/apexlogic/apex/internal/gitops"
	"github.com/apexlogic/apex/internal/gitops/target/cluster"
	"github.com/apexlogic/apex/internal/gitops/targettest"
	"github.com/apexlogic/apex/internal/kube"
	"github.com/apexlogic/apex/internal/kube/kubetest"
)

func TestMain(m *testing.M) { kubetest.Main(m) }

var byTest = kube.ApplyOptions{Manager: "test"}

func must(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

func admin(t testing.TB, s *kubetest.Server) *kube.Client {
	t.Helper()
	c, err := kube.Open(kube.Config{Kubeconfig: s.Kubeconfig()})
	must(t, err)
	return c
}

// tenant makes a namespace whose ServiceAccount "tenant" may do everything in it
// and nothing else, and the target of a source that goes there.
func tenant(t testing.TB, s *kubetest.Server, change func(*cluster.Options)) (*cluster.Target, string) {
	t.Helper()
	c, namespace := admin(t, s), s.Namespace(t)
	_, err := c.Apply(t.Context(), map[string]any{
		"apiVersion": "rbac.authorization.k8s.io/v1", "kind": "Role",
		"metadata": map[string]any{"namespace": namespace, "name": "tenant"},
		"rules": []any{map[string]any{
			"apiGroups": []any{"", "apps", "batch", "rbac.authorization.k8s.io", "networking.k8s.io", "serving.knative.dev", "serving.kserve.io", "apex.example"},
			"resources": []any{"*"}, "verbs": []any{"get", "list", "watch", "create", "update", "patch", "delete"},
		}},
	}, byTest)
	must(t, err)
	_, err = c.Apply(t.Context(), map[string]any{
		"apiVersion": "rbac.authorization.k8s.io/v1", "kind": "RoleBinding",
		"metadata": map[string]any{"namespace": namespace, "name": "tenant"},
		"roleRef":  map[string]any{"apiGroup": "rbac.authorization.k8s.io", "kind": "Role", "name": "tenant"},
		"subjects": []any{map[string]any{"kind": "ServiceAccount", "name": "tenant", "namespace": namespace}},
	}, byTest)
	must(t, err)
	o := cluster.Options{Client: c, ServiceAccount: namespace + "/tenant", Namespaces: []string{namespace}}
	if change != nil {
		change(&o)
	}
	target, err := cluster.New(o)
	must(t, err)
	awaitRights(t, c, namespace)
	return target, namespace
}

// awaitRights returns when the authorizer has seen the binding.
func awaitRights(t testing.TB, c *kube.Client, namespace string) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 2*time.Minute)
	defer cancel()
	account, err := c.As(namespace, "tenant")
	must(t, err)
	for ctx.Err() == nil {
		ok, _, err := account.Can(t.Context(), "patch", kube.ID{Kind: kube.Kind{Version: "v1", Kind: "ConfigMap"}, Namespace: namespace})
		must(t, err)
		if ok {
			return
		}
	}
	t.Fatal("the rights do not come")
}

func TestTheClusterDoesWhatEveryTargetDoes(t *testing.T) {
	s := kubetest.Start(t)
	configMaps := schema.GroupVersionResource{Version: "v1", Resource: "configmaps"}
	targettest.Target(t, func(t *testing.T) targettest.Harness {
		target, namespace := tenant(t, s, nil)
		others := s.Dynamic(t).Resource(configMaps).Namespace(namespace)
		return targettest.Harness{
			Target: target, Namespace: namespace,
			Write: func(t testing.TB, id gitops.ID, manager string, change func(map[string]any)) {
				t.Helper()
				o, err := others.Get(t.Context(), id.Name, metav1.GetOptions{})
				must(t, err)
				change(o.Object)
				_, err = others.Update(t.Context(), o, metav1.UpdateOptions{FieldManager: manager})
				must(t, err)
			},
			Remove: func(t testing.TB, id gitops.ID) {
				t.Helper()
				must(t, others.Delete(t.Context(), id.Name, metav1.DeleteOptions{}))
			},
		}
	})
}

func TestTheClustersStoreDoesWhatEveryStoreDoes(t *testing.T) {
	s := kubetest.Start(t)
	targettest.Store(t, func(t *testing.T) (gitops.Store, func(testing.TB) gitops.Store) {
		namespace := s.Namespace(t)
		open := func(t testing.TB) gitops.Store { return cluster.NewStore(admin(t, s), namespace, nil) }
		return open(t), open
	})
}
