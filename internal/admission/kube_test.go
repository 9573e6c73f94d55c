package admission_test

import (
	"context"
	"crypto/tls"
	"net"
	"net/http"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	v1 "github.com/google/go-containerregistry/pkg/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/util/wait"
	"k8s.io/client-go/dynamic"
	"k8s.io/client-go/rest"

	"github.com/apexlogic/apex/internal/admission"
	"github.com/apexlogic/apex/internal/admission/cert"
	"github.com/apexlogic/apex/internal/kube/kubetest"
	"github.com/apexlogic/apex/internal/oci/reference"
	"github.com/apexlogic/apex/internal/verify/verifytest"
	"github.com/apexlogic/apex/verdict"
)

func TestMain(m *testing.M) { kubetest.Main(m) }

var (
	pods           = schema.GroupVersionResource{Version: "v1", Resource: "pods"}
	namespaces     = schema.GroupVersionResource{Version: "v1", Resource: "namespaces"}
	configurations = []schema.GroupVersionResource{
		{Group: "admissionregistration.k8s.io", Version: "v1", Resource: "mutatingwebhookconfigurations"},
		{Group: "admissionregistration.k8s.io", Version: "v1", Resource: "validatingwebhookconfigurations"},
	}
)

// cluster is a real API server that asks a handler with the reference policy.
type cluster struct {
	t         *testing.T
	server    *kubetest.Server
	kit       *verifytest.Kit
	client    dynamic.Interface
	namespace string
	url       string
	certs     *cert.Manager
	handler   *admission.Handler
	reviews   atomic.Int64 // that were answered
	mu        sync.Mutex
	before    func(path string) // each review
}

// memory is a store of certificates.
type memory struct {
	mu   sync.Mutex
	data []byte
}

func (m *memory) Load(context.Context) ([]byte, string, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.data, "", nil
}

func (m *memory) Save(_ context.Context, data []byte, _ string) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.data = data
	return nil
}

// newCluster returns when the API server asks the handler, in a namespace of the
// test's own that is not marked.
func newCluster(t *testing.T, change ...func(*admission.Options)) *cluster {
	t.Helper()
	return newClusterOn(t, verifytest.New(t), change...)
}

func newClusterOn(t *testing.T, kit *verifytest.Kit, change ...func(*admission.Options)) *cluster {
	t.Helper()
	c := &cluster{t: t, server: kubetest.Start(t), kit: kit}
	config := c.server.Config()
	config.WarningHandler = rest.NoWarnings{}
	client, err := dynamic.NewForConfig(config)
	if err != nil {
		t.Fatal(err)
	}
	c.client = client
	c.namespace = c.server.Namespace(t)
	options := admission.Options{
		Verifier:   verifierFunc(func(ctx context.Context, q []verdict.Question) verdict.Report { return c.kit.Verifier.Verify(ctx, q) }),
		Generation: func() string { return c.kit.Verifier.Generation().Name },
		Namespace:  c.labelsOf,
		Resolve:    c.resolve,
	}
	for _, f := range change {
		f(&options)
	}
	h, err := admission.New(options)
	if err != nil {
		t.Fatal(err)
	}
	c.handler = h
	c.serve()
	c.install(c.webhooks())
	return c
}

func (c *cluster) labelsOf(name string) (map[string]string, bool) {
	o, err := c.client.Resource(namespaces).Get(context.Background(), name, metav1.GetOptions{})
	if err != nil {
		return nil, false
	}
	return o.GetLabels(), true
}

// resolve pins what the reference policy selects.
func (c *cluster) resolve(ctx context.Context, q verdict.Question) (verdict.Digest, error) {
	if q.Labels["app"] != verifytest.Labels["app"] {
		return "", nil
	}
	ref, err := reference.Parse(q.Asked)
	if err != nil {
		return "", err
	}
	m, err := c.kit.Client.Resolve(ctx, ref)
	if err != nil {
		return "", err
	}
	return m.Digest, nil
}

// serve runs the handler until the test ends.
func (c *cluster) serve() {
	c.t.Helper()
	certs, err := cert.New(cert.Options{Store: &memory{}, Names: []string{"127.0.0.1"}, Publish: func(context.Context, []byte) error { return nil }})
	if err == nil {
		err = certs.Reconcile(c.t.Context())
	}
	if err != nil {
		c.t.Fatal(err)
	}
	c.certs = certs
	l := listen(c.t)
	c.url = "https://" + l.Addr().String()
	server := &http.Server{
		Handler: http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			c.mu.Lock()
			before := c.before
			c.mu.Unlock()
			if before != nil {
				before(r.URL.Path)
			}
			c.handler.ServeHTTP(w, r)
			c.reviews.Add(1)
		}),
		TLSConfig:         &tls.Config{GetCertificate: certs.GetCertificate, MinVersion: tls.VersionTLS13},
		ReadHeaderTimeout: time.Minute,
	}
	go server.ServeTLS(l, "", "")
	c.t.Cleanup(func() { _ = server.Close() })
}

func (c *cluster) webhooks() admission.Webhooks {
	return admission.Webhooks{URL: c.url, CABundle: c.certs.Bundle(), Namespace: "apex-system", GuardLabel: "apexlogic.com/source"}
}

// install puts the configuration in force until the test ends.
func (c *cluster) install(w admission.Webhooks) {
	c.t.Helper()
	for i, body := range admission.Configuration(w) {
		r := c.client.Resource(configurations[i])
		if _, err := r.Create(c.t.Context(), &unstructured.Unstructured{Object: body}, metav1.CreateOptions{}); err != nil {
			c.t.Fatal(err)
		}
		c.t.Cleanup(func() {
			ctx, cancel := context.WithTimeout(context.Background(), 2*time.Minute)
			defer cancel()
			if err := r.Delete(ctx, admission.ConfigurationName, metav1.DeleteOptions{}); err != nil {
				c.t.Error(err)
			}
		})
	}
	c.awaitAsked()
}

// awaitAsked returns when a dry run is asked about by both passes: an API server
// sees its webhooks after a moment.
func (c *cluster) awaitAsked() {
	c.t.Helper()
	probe := c.pod("probe", nil, "example.com/probe:1")
	err := wait.PollUntilContextTimeout(c.t.Context(), 20*time.Millisecond, 5*time.Minute, true, func(ctx context.Context) (bool, error) {
		before := c.reviews.Load()
		_, err := c.client.Resource(pods).Namespace(c.namespace).Create(ctx, probe, metav1.CreateOptions{DryRun: []string{metav1.DryRunAll}})
		return c.reviews.Load() >= before+2, ignoreDenial(err)
	})
	if err != nil {
		c.t.Fatalf("the API server does not ask the webhook: %v", err)
	}
}

// ignoreDenial leaves the answers of an earlier test's configuration, which may
// still be in force, out.
func ignoreDenial(err error) error {
	if err != nil && strings.Contains(err.Error(), "webhook") {
		return nil
	}
	return err
}

// pod returns a Pod of the workload, with further labels.
func (c *cluster) pod(name string, labels map[string]any, images ...string) *unstructured.Unstructured {
	return c.object("v1", "Pod", name, labels, map[string]any{"containers": containers(images...)})
}

func containers(images ...string) []any {
	var all []any
	for i, image := range images {
		all = append(all, map[string]any{"name": "c" + string(rune('0'+i)), "image": image})
	}
	return all
}

func (c *cluster) object(apiVersion, kind, name string, labels map[string]any, spec any) *unstructured.Unstructured {
	metadata := map[string]any{"name": name, "namespace": c.namespace}
	if labels != nil {
		metadata["labels"] = labels
	}
	return &unstructured.Unstructured{Object: map[string]any{"apiVersion": apiVersion, "kind": kind, "metadata": metadata, "spec": spec}}
}

// create stores the object in the test's namespace.
func (c *cluster) create(r schema.GroupVersionResource, o *unstructured.Unstructured) (*unstructured.Unstructured, error) {
	return c.client.Resource(r).Namespace(c.namespace).Create(c.t.Context(), o, metav1.CreateOptions{})
}

func (c *cluster) created(r schema.GroupVersionResource, o *unstructured.Unstructured) *unstructured.Unstructured {
	c.t.Helper()
	stored, err := c.create(r, o)
	if err != nil {
		c.t.Fatalf("%s %s: %v", o.GetKind(), o.GetName(), err)
	}
	return stored
}

// isDenied fails the test unless err is a denial with the code.
func (c *cluster) isDenied(err error, code verdict.Code) {
	c.t.Helper()
	if err == nil || !strings.Contains(err.Error(), "denied the request") || !strings.Contains(err.Error(), string(code)) {
		c.t.Fatalf("got %v, want a denial with %s", err, code)
	}
}

func (c *cluster) denied(r schema.GroupVersionResource, o *unstructured.Unstructured, code verdict.Code) {
	c.t.Helper()
	_, err := c.create(r, o)
	c.isDenied(err, code)
}

// selected are the labels that the reference policy selects.
var selected = map[string]any{"app": "multimodal-inference"}

// images are one that the reference policy allows, and one that nobody signed.
func (c *cluster) images() (good, unsigned verifytest.Pushed) {
	return c.kit.Good("vision/captioner"), c.kit.Push("vision/unsigned", verifytest.App("unsigned"))
}

// A kind that no table knows is judged by what is in it, where the namespace asks
// for that.
func TestRow02AKindThatNobodyKnowsIsJudgedInAMarkedNamespace(t *testing.T) {
	c := newCluster(t)
	c.server.InstallCRDs(t, []byte(unknownKind))
	good, unsigned := c.images()
	c.mark(c.namespace)
	widgets := gvr("example.org", "v1", "widgets")
	deep := func(image string) *unstructured.Unstructured {
		pod := map[string]any{"metadata": map[string]any{"labels": selected}, "spec": map[string]any{"containers": containers(image)}}
		return c.object("example.org/v1", "Widget", "w", selected, map[string]any{"a": map[string]any{"b": []any{map[string]any{"template": pod}}}})
	}
	c.denied(widgets, deep(unsigned.Pinned()), verdict.SignatureMissing)
	c.created(widgets, deep(good.Pinned()))
}

// unknownKind has no row in any table.
const unknownKind = `
apiVersion: apiextensions.k8s.io/v1
kind: CustomResourceDefinition
metadata: {name: widgets.example.org}
spec:
  group: example.org
  scope: Namespaced
  names: {kind: Widget, listKind: WidgetList, plural: widgets, singular: widget}
  versions:
    - name: v1
      served: true
      storage: true
      schema: {openAPIV3Schema: {type: object, x-kubernetes-preserve-unknown-fields: true}}
`

// mark labels a namespace, and returns when a Pod of nobody's is denied there.
func (c *cluster) mark(namespace string) {
	c.t.Helper()
	patch := []byte(`{"metadata":{"labels":{"` + admission.EnforceLabel + `":"true"}}}`)
	if _, err := c.client.Resource(namespaces).Patch(c.t.Context(), namespace, "application/merge-patch+json", patch, metav1.PatchOptions{}); err != nil {
		c.t.Fatal(err)
	}
	// The webhook for unknown kinds is selected by the label, which the API
	// server's cache has after a moment.
	widgets := schema.GroupVersionResource{Group: "example.org", Version: "v1", Resource: "widgets"}
	err := wait.PollUntilContextTimeout(c.t.Context(), 20*time.Millisecond, 5*time.Minute, true, func(ctx context.Context) (bool, error) {
		probe := c.object("example.org/v1", "Widget", "probe", nil, map[string]any{"containers": containers("example.com/probe:1")})
		_, err := c.client.Resource(widgets).Namespace(namespace).Create(ctx, probe, metav1.CreateOptions{DryRun: []string{metav1.DryRunAll}})
		if apierrors.IsNotFound(err) { // the test does not use the kind
			return true, nil
		}
		return err != nil, ignoreDenial(err)
	})
	if err != nil {
		c.t.Fatal(err)
	}
}

func listen(t testing.TB) net.Listener {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	return l
}

// unused returns an address that nobody listens on.
func unused(t testing.TB) string {
	t.Helper()
	l := listen(t)
	defer l.Close()
	return l.Addr().String()
}

// built is an image of its own digest.
func built(t testing.TB, name string) v1.Image {
	t.Helper()
	img, err := verifytest.App(name).Build()
	if err != nil {
		t.Fatal(err)
	}
	return img
}
