package admission_test

import (
	"context"
	"fmt"
	"net/http"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/client-go/dynamic"
	"k8s.io/client-go/rest"

	"github.com/apexlogic/apex/internal/admission"
	"github.com/apexlogic/apex/internal/admission/cert"
	"github.com/apexlogic/apex/internal/oci/ocitest"
	"github.com/apexlogic/apex/internal/verify/verifytest"
	"github.com/apexlogic/apex/verdict"
)

// A client of Kubernetes waits and asks again by itself when the verification
// takes longer than an answer may.
func TestAClientGetsThroughASlowRegistryByItself(t *testing.T) {
	release := make(chan struct{})
	var slow atomic.Bool
	var once sync.Once
	gate := ocitest.Behind(func(h http.Handler) http.Handler {
		return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			if slow.Load() {
				<-release // until it was asked twice
			}
			h.ServeHTTP(w, r)
		})
	})
	c := newClusterOn(t, verifytest.New(t, gate), func(o *admission.Options) { o.Deadline = 500 * time.Millisecond })
	good := c.kit.Good("vision/slow")
	slow.Store(true)
	var asked atomic.Int64
	c.mu.Lock()
	c.before = func(path string) {
		// The second time that it is asked, the registry answers at last.
		if path == admission.PathValidate && asked.Add(1) == 2 {
			once.Do(func() { close(release) })
		}
	}
	c.mu.Unlock()
	t.Cleanup(func() { once.Do(func() { close(release) }) })
	c.created(pods, c.pod("patient", selected, good.Pinned()))
	if asked.Load() < 2 {
		t.Error("it was asked once only: the registry was not slow")
	}
}

func TestUnselectedPodsAreAllowedWithAWarning(t *testing.T) {
	c := newCluster(t)
	good, _ := c.images()
	config := c.server.Config()
	warnings := &heard{}
	config.WarningHandler = warnings
	client, err := dynamic.NewForConfig(config)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := client.Resource(pods).Namespace(c.namespace).Create(t.Context(), c.pod("bare", nil, good.Pinned()), metav1.CreateOptions{}); err != nil {
		t.Fatal(err)
	}
	if !strings.Contains(warnings.String(), "no policy of Apex selects") {
		t.Errorf("warnings: %s", warnings)
	}
}

type heard struct {
	mu   sync.Mutex
	text string
}

func (h *heard) HandleWarningHeader(_ int, _, text string) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.text += text + "\n"
}

func (h *heard) String() string {
	h.mu.Lock()
	defer h.mu.Unlock()
	return h.text
}

var _ rest.WarningHandler = (*heard)(nil)

func TestAGuardedObjectIsDeniedToOthersByTheAPIServer(t *testing.T) {
	guard := &admission.Guarded{Label: "apexlogic.com/source", Denies: func(s string) bool { return s == "prod" }, Users: []string{"apex"}, Groups: admission.ControllerGroups(),
		Writers: func(string) []string { return []string{"system:serviceaccount:vision:deployer"} }}
	c := newCluster(t, func(o *admission.Options) { o.Guard = guard.Check })
	configMaps := schema.GroupVersionResource{Version: "v1", Resource: "configmaps"}
	o := c.object("v1", "ConfigMap", "guarded", map[string]any{"apexlogic.com/source": "prod"}, nil)
	delete(o.Object, "spec")
	config := c.server.As("apex", "system:masters")
	apex, err := dynamic.NewForConfig(config)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := apex.Resource(configMaps).Namespace(c.namespace).Create(t.Context(), o, metav1.CreateOptions{}); err != nil {
		t.Fatal(err)
	}
	patch := func(client dynamic.Interface, data string) error {
		_, err := client.Resource(configMaps).Namespace(c.namespace).Patch(t.Context(), "guarded", "application/merge-patch+json", []byte(data), metav1.PatchOptions{})
		return err
	}
	c.isDenied(patch(c.client, `{"data":{"a":"b"}}`), verdict.AdmissionGuarded)
	c.isDenied(patch(c.client, `{"metadata":{"labels":null}}`), verdict.AdmissionGuarded)
	c.isDenied(c.client.Resource(configMaps).Namespace(c.namespace).Delete(t.Context(), "guarded", metav1.DeleteOptions{}), verdict.AdmissionGuarded)
	if err := patch(apex, `{"data":{"a":"b"}}`); err != nil {
		t.Error(err)
	}
	// Apex applies as the source's ServiceAccount: that is whom the API server names.
	impersonated, err := dynamic.NewForConfig(c.server.As("system:serviceaccount:vision:deployer", "system:masters"))
	if err != nil {
		t.Fatal(err)
	}
	if err := patch(impersonated, `{"data":{"a":"c"}}`); err != nil {
		t.Error(err)
	}
	free := c.object("v1", "ConfigMap", "free", map[string]any{"apexlogic.com/source": "dev"}, nil)
	delete(free.Object, "spec")
	c.created(configMaps, free)
}

func TestTheAPIServerProtectsApexWithoutAskingIt(t *testing.T) {
	c := newCluster(t)
	group := func(resource string) schema.GroupVersionResource {
		return schema.GroupVersionResource{Group: "admissionregistration.k8s.io", Version: "v1", Resource: resource}
	}
	apexSystem := c.server.Namespace(t)
	resources := []schema.GroupVersionResource{group("validatingadmissionpolicies"), group("validatingadmissionpolicybindings")}
	for i, body := range admission.Protection(apexSystem, []string{"installer"}, nil) {
		r := c.client.Resource(resources[i])
		o := &unstructured.Unstructured{Object: body}
		if _, err := r.Create(t.Context(), o, metav1.CreateOptions{}); err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() {
			ctx, cancel := context.WithTimeout(context.Background(), 2*time.Minute)
			defer cancel()
			_ = r.Delete(ctx, admission.ProtectionName, metav1.DeleteOptions{})
		})
	}
	installer, err := dynamic.NewForConfig(c.server.As("installer", "system:masters"))
	if err != nil {
		t.Fatal(err)
	}
	configMaps := schema.GroupVersionResource{Version: "v1", Resource: "configmaps"}
	configMap := func(namespace string) *unstructured.Unstructured {
		return &unstructured.Unstructured{Object: map[string]any{"apiVersion": "v1", "kind": "ConfigMap", "metadata": map[string]any{"name": "a", "namespace": namespace}}}
	}
	dry := metav1.CreateOptions{DryRun: []string{metav1.DryRunAll}}
	c.await(func() bool {
		_, err := c.client.Resource(configMaps).Namespace(apexSystem).Create(t.Context(), configMap(apexSystem), dry)
		return err != nil
	})
	refused := func(err error, why string) {
		t.Helper()
		if err == nil || !strings.Contains(err.Error(), why) {
			t.Errorf("got %v, want %q", err, why)
		}
	}
	_, err = c.client.Resource(configMaps).Namespace(apexSystem).Create(t.Context(), configMap(apexSystem), metav1.CreateOptions{})
	refused(err, "part of Apex")
	if _, err := installer.Resource(configMaps).Namespace(apexSystem).Create(t.Context(), configMap(apexSystem), metav1.CreateOptions{}); err != nil {
		t.Error(err)
	}
	if _, err := c.client.Resource(configMaps).Namespace(c.namespace).Create(t.Context(), configMap(c.namespace), metav1.CreateOptions{}); err != nil {
		t.Error(err)
	}
	refused(c.client.Resource(namespaces).Delete(t.Context(), apexSystem, metav1.DeleteOptions{DryRun: []string{metav1.DryRunAll}}), "part of Apex")

	label := func(client dynamic.Interface, value string) error {
		_, err := client.Resource(namespaces).Patch(t.Context(), c.namespace, "application/merge-patch+json", []byte(`{"metadata":{"labels":{"apexlogic.com/enforce":`+value+`}}}`), metav1.PatchOptions{})
		return err
	}
	if err := label(c.client, `"true"`); err != nil {
		t.Error(err)
	}
	refused(label(c.client, "null"), "the mark is taken off")
	refused(label(c.client, `"false"`), "the mark is taken off")
	if err := label(installer, "null"); err != nil {
		t.Error(err)
	}
}

func TestNoPodIsRefusedWhileTheCertificateRotates(t *testing.T) {
	c := newCluster(t)
	good, _ := c.images()
	next := cert.Options{Store: &memory{}, Names: []string{"127.0.0.1"}, Publish: func(context.Context, []byte) error { return nil }}
	rotated, err := cert.New(next)
	if err == nil {
		err = rotated.Reconcile(t.Context())
	}
	if err != nil {
		t.Fatal(err)
	}
	ctx, stop := context.WithCancel(t.Context())
	var wg sync.WaitGroup
	var made, failed atomic.Int64
	var failure atomic.Value
	for i := range 3 {
		wg.Go(func() {
			for n := 0; ctx.Err() == nil; n++ {
				_, err := c.client.Resource(pods).Namespace(c.namespace).Create(t.Context(), c.pod(fmt.Sprintf("r%d-%d", i, n), selected, good.Pinned()), metav1.CreateOptions{DryRun: []string{metav1.DryRunAll}})
				if err != nil {
					failed.Add(1)
					failure.Store(err)
				}
				made.Add(1)
			}
		})
	}
	more := func(n int64) { before := made.Load(); c.await(func() bool { return made.Load() >= before+n }) }
	more(20)
	w := c.webhooks()
	w.CABundle = append(w.CABundle, rotated.Bundle()...) // both authorities
	c.apply(w)
	more(20)
	second := newTLSServer(t, rotated, c.handler) // another replica, which serves the new certificate
	w.URL = second
	c.apply(w)
	more(20)
	w.CABundle = rotated.Bundle() // the old one has expired
	c.apply(w)
	more(20)
	stop()
	wg.Wait()
	if failed.Load() > 0 {
		t.Errorf("%d of %d Pods were refused, one with: %v", failed.Load(), made.Load(), failure.Load())
	}
}
