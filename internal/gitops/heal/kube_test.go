package heal_test

import (
	"context"
	"encoding/json"
	"net/http"
	"strings"
	"sync/atomic"
	"testing"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/client-go/dynamic"

	"github.com/apexlogic/apex/internal/gitops"
	"github.com/apexlogic/apex/internal/gitops/heal"
	target "github.com/apexlogic/apex/internal/gitops/target/cluster"
	"github.com/apexlogic/apex/internal/kube"
	"github.com/apexlogic/apex/internal/kube/kubetest"
	"github.com/apexlogic/apex/verdict"
)

func TestMain(m *testing.M) { kubetest.Main(m) }

// cluster is a real API server, behind the target that is used for one, and
// others who write to it.
type cluster struct {
	*target.Target
	others   dynamic.Interface
	ns       string
	server   *kubetest.Server
	requests atomic.Int64 // of the target
}

func openCluster(t testing.TB, options ...kubetest.Option) *cluster {
	t.Helper()
	return joinCluster(t, kubetest.Start(t, options...))
}

func joinCluster(t testing.TB, server *kubetest.Server) *cluster {
	t.Helper()
	c := &cluster{others: server.Dynamic(t), ns: server.Namespace(t), server: server}
	client, err := kube.Open(kube.Config{Kubeconfig: server.Kubeconfig(), Wrap: func(next http.RoundTripper) http.RoundTripper {
		return roundTrip(func(r *http.Request) (*http.Response, error) {
			c.requests.Add(1)
			return next.RoundTrip(r)
		})
	}})
	if err != nil {
		t.Fatal(err)
	}
	c.Target, err = target.New(target.Options{Client: client, ServiceAccount: c.ns + "/applier", Namespaces: []string{c.ns},
		ClusterKinds: []string{"ClusterRole.rbac.authorization.k8s.io", "ValidatingWebhookConfiguration.admissionregistration.k8s.io",
			"MutatingWebhookConfiguration.admissionregistration.k8s.io"}})
	if err != nil {
		t.Fatal(err)
	}
	c.create(t, map[string]any{"apiVersion": "v1", "kind": "ServiceAccount", "metadata": map[string]any{"name": "applier", "namespace": c.ns}}, "test")
	c.create(t, map[string]any{"apiVersion": "rbac.authorization.k8s.io/v1", "kind": "ClusterRoleBinding", "metadata": map[string]any{"name": c.ns + "-applier"},
		"roleRef":  map[string]any{"apiGroup": "rbac.authorization.k8s.io", "kind": "ClusterRole", "name": "cluster-admin"},
		"subjects": []any{map[string]any{"kind": "ServiceAccount", "name": "applier", "namespace": c.ns}}}, "test")
	server.InstallCRDs(t, kubetest.KServe())
	server.InstallCRDs(t, kubetest.Knative(t)...)
	return c
}

type roundTrip func(*http.Request) (*http.Response, error)

func (f roundTrip) RoundTrip(r *http.Request) (*http.Response, error) { return f(r) }

func (c *cluster) namespace() string { return c.ns }
func (c *cluster) real() bool        { return true }

// resource is how others name the kind; plurals are regular here.
func (c *cluster) resource(id gitops.ID, version string) dynamic.ResourceInterface {
	plural := strings.ToLower(id.Kind) + "s"
	if strings.HasSuffix(plural, "ys") {
		plural = strings.TrimSuffix(plural, "ys") + "ies"
	}
	if strings.HasSuffix(plural, "sss") || strings.HasSuffix(plural, "ss") {
		plural = strings.TrimSuffix(plural, "s") + "es"
	}
	r := c.others.Resource(schema.GroupVersionResource{Group: id.Group, Version: version, Resource: plural})
	if id.Namespace != "" {
		return r.Namespace(id.Namespace)
	}
	return r
}

func (c *cluster) write(t testing.TB, id gitops.ID, version string, by writer, change func(map[string]any)) *gitops.Live {
	t.Helper()
	r := c.resource(id, version)
	var sub []string
	if by.subresource != "" {
		sub = []string{by.subresource}
	}
	for range 100 {
		live, err := r.Get(t.Context(), id.Name, metav1.GetOptions{})
		if err != nil {
			t.Fatal(err)
		}
		body := live.Object
		if by.subresource == "scale" {
			body = map[string]any{"apiVersion": "autoscaling/v1", "kind": "Scale", "metadata": map[string]any{"name": id.Name, "namespace": id.Namespace}, "spec": map[string]any{}}
		}
		var after *unstructured.Unstructured
		switch by.operation {
		case "Apply":
			body = applicable(body)
			change(body)
			data, _ := json.Marshal(body)
			force := true
			after, err = r.Patch(t.Context(), id.Name, types.ApplyPatchType, data, metav1.PatchOptions{FieldManager: by.manager, Force: &force}, sub...)
		default:
			change(body)
			if by.operation == "Wipe" {
				body["metadata"].(map[string]any)["managedFields"] = []any{map[string]any{}}
			}
			after, err = r.Update(t.Context(), &unstructured.Unstructured{Object: body}, metav1.UpdateOptions{FieldManager: by.manager}, sub...)
		}
		if apierrors.IsConflict(err) {
			continue
		}
		if err != nil {
			t.Skipf("the API server refuses the tampering itself: %v", err)
		}
		return &gitops.Live{UID: string(after.GetUID()), ResourceVersion: after.GetResourceVersion(), Body: after.Object}
	}
	t.Fatal("a hundred conflicts")
	return nil
}

// tamper patches in one request, whatever the version.
func (c *cluster) tamper(t testing.TB, o *gitops.Object, manager, patch string) {
	_, err := c.resource(o.ID, o.Version).Patch(context.Background(), o.Name, types.JSONPatchType, []byte(patch), metav1.PatchOptions{FieldManager: manager})
	if err != nil {
		t.Error(err)
	}
}

func (c *cluster) create(t testing.TB, body map[string]any, manager string) bool {
	t.Helper()
	o, err := gitops.NewObject(body, verdict.Origin{})
	if err != nil {
		t.Fatal(err)
	}
	_, err = c.resource(o.ID, o.Version).Create(t.Context(), &unstructured.Unstructured{Object: deepCopy(body)}, metav1.CreateOptions{FieldManager: manager})
	if err != nil && !apierrors.IsAlreadyExists(err) {
		t.Fatal(err)
	}
	return err == nil
}

func TestEveryTamperIsHealedInACluster(t *testing.T) {
	testTampers(t, openCluster(t, kubetest.Args("--allow-privileged")))
}

func TestWhatChangedWhileTheServerWasAwayIsHealed(t *testing.T) {
	server := kubetest.Start(t, kubetest.Own())
	w := joinCluster(t, server)
	g := newGuard(t, w, nil)
	g.run(t)
	o, other := object(t, w, configMap), object(t, w, deployment)
	g.put(t, o)
	g.put(t, other)
	g.rest(t, 0)
	server.Restart(t)
	w.write(t, o.ID, o.Version, writers[0], set("lax", "data", "mode"))
	w.write(t, other.ID, other.Version, writers[0], drop("metadata", "labels", gitops.LabelSource))
	g.until(t, "healing", func([]heal.Report) bool {
		return len(g.of(verdict.DriftHealed, o.ID)) == 1 && len(g.of(verdict.DriftHealed, other.ID)) == 1
	})
}

func TestWhatHoldsDataIsNotDeletedToPutItBack(t *testing.T) {
	w := openCluster(t)
	g := newGuard(t, w, nil)
	g.run(t)
	o := object(t, w, claim)
	g.put(t, o)
	g.rest(t, 0)
	class := func(name string) map[string]any {
		live, err := w.Get(t.Context(), o.ID, o.Version)
		if err != nil {
			t.Fatal(err)
		}
		body := applicable(live.Body)
		set(name, "spec", "storageClassName")(body)
		drop("metadata", "finalizers")(body)
		return body
	}
	body := class("other")
	g.Forget(o.ID) // so that the claim is gone before it is made again
	w.write(t, o.ID, o.Version, writers[0], drop("metadata", "finalizers"))
	remove(t, w, o)
	recreate(t, w, o, body)
	before, err := w.Get(t.Context(), o.ID, o.Version)
	if err != nil {
		t.Fatal(err)
	}
	if err := g.Resume(o); err != nil {
		t.Fatal(err)
	}
	g.until(t, "a report", func([]heal.Report) bool { return len(g.of(verdict.DriftStuck, o.ID)) == 1 })
	after, err := w.Get(t.Context(), o.ID, o.Version)
	if err != nil || after.UID != before.UID {
		t.Errorf("the claim was replaced: %v", err)
	}
	if r := g.of(verdict.DriftStuck, o.ID)[0]; r.Err == nil || !strings.Contains(r.Err.Error(), "by hand") {
		t.Errorf("the report says %v", r.Err)
	}
}
