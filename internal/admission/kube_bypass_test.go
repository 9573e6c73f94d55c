package admission_test

import (
	"bytes"
	"context"
	"crypto/tls"
	"encoding/json"
	"fmt"
	"net/http"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/util/wait"

	"github.com/apexlogic/apex/internal/admission"
	"github.com/apexlogic/apex/internal/admission/cert"
	"github.com/apexlogic/apex/internal/verify/verifytest"
	"github.com/apexlogic/apex/verdict"
)

// The tests in this file are the rows of the table of known ways around image
// verification that concern a webhook, through a real API server; what a client of
// such a cluster meets is in kube_client_test.go.

// hook is another webhook of the cluster, which somebody else wrote: it answers
// each Pod with a JSON patch.
type hook struct {
	c       *cluster
	patch   func(pod *unstructured.Unstructured) string
	reviews atomic.Int64
}

func (h *hook) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	var review struct {
		Request struct {
			UID    string         `json:"uid"`
			Object map[string]any `json:"object"`
		} `json:"request"`
	}
	if err := json.NewDecoder(r.Body).Decode(&review); err != nil {
		http.Error(w, err.Error(), http.StatusBadRequest)
		return
	}
	h.reviews.Add(1)
	response := map[string]any{"uid": review.Request.UID, "allowed": true}
	if patch := h.patch(&unstructured.Unstructured{Object: review.Request.Object}); patch != "" {
		response["patchType"], response["patch"] = "JSONPatch", []byte(patch)
	}
	w.Header().Set("Content-Type", "application/json")
	_ = json.NewEncoder(w).Encode(map[string]any{"apiVersion": "admission.k8s.io/v1", "kind": "AdmissionReview", "response": response})
}

// inject installs the hook for Pods; its name decides whether it comes before
// or after Apex, because API servers ask in the order of the names.
func (c *cluster) inject(name string, patch func(*unstructured.Unstructured) string) *hook {
	c.t.Helper()
	h := &hook{c: c, patch: patch}
	server := newTLSServer(c.t, c.certs, h)
	client := c.client.Resource(configurations[0])
	o := &unstructured.Unstructured{Object: map[string]any{
		"apiVersion": "admissionregistration.k8s.io/v1", "kind": "MutatingWebhookConfiguration", "metadata": map[string]any{"name": name},
		"webhooks": []any{map[string]any{
			"name": "injector.example.org", "admissionReviewVersions": []any{"v1"}, "sideEffects": "None", "reinvocationPolicy": "IfNeeded",
			"clientConfig":      map[string]any{"url": server, "caBundle": c.certs.Bundle()},
			"rules":             []any{map[string]any{"apiGroups": []any{""}, "apiVersions": []any{"v1"}, "resources": []any{"pods"}, "operations": []any{"CREATE"}}},
			"namespaceSelector": map[string]any{"matchLabels": map[string]any{"kubernetes.io/metadata.name": c.namespace}},
		}},
	}}
	data, err := json.Marshal(o.Object) // []byte becomes base64
	if err != nil {
		c.t.Fatal(err)
	}
	if err := json.Unmarshal(data, &o.Object); err != nil {
		c.t.Fatal(err)
	}
	if _, err := client.Create(c.t.Context(), o, metav1.CreateOptions{}); err != nil {
		c.t.Fatal(err)
	}
	c.t.Cleanup(func() {
		ctx, cancel := context.WithTimeout(context.Background(), 2*time.Minute)
		defer cancel()
		if err := client.Delete(ctx, name, metav1.DeleteOptions{}); err != nil {
			c.t.Error(err)
		}
	})
	c.await(func() bool {
		_, _ = c.client.Resource(pods).Namespace(c.namespace).Create(c.t.Context(), c.pod("probe", nil, "example.com/probe:1"), metav1.CreateOptions{DryRun: []string{metav1.DryRunAll}})
		return h.reviews.Load() > 0
	})
	return h
}

func (c *cluster) await(so func() bool) {
	c.t.Helper()
	err := wait.PollUntilContextTimeout(c.t.Context(), 10*time.Millisecond, 5*time.Minute, true, func(context.Context) (bool, error) { return so(), nil })
	if err != nil {
		c.t.Fatal("it does not come to pass")
	}
}

func newTLSServer(t *testing.T, certs *cert.Manager, h http.Handler) string {
	t.Helper()
	l := listen(t)
	server := &http.Server{Handler: h, TLSConfig: &tls.Config{GetCertificate: certs.GetCertificate, MinVersion: tls.VersionTLS13}, ReadHeaderTimeout: time.Minute}
	go server.ServeTLS(l, "", "")
	t.Cleanup(func() { _ = server.Close() })
	return "https://" + l.Addr().String()
}

func TestRow03ATagThatMovesAfterTheCheckIsNotPulled(t *testing.T) {
	c := newCluster(t)
	good, _ := c.images()
	stored := c.created(pods, c.pod("moved", selected, good.Image()))
	c.kit.PushBuilt("vision/captioner", built(t, "evil")) // the tag has moved on
	if got := imagesOf(stored); got[0] != good.Pinned() {
		t.Fatalf("the Pod runs %s", got[0])
	}
	// The same manifest again names the moved tag, and is judged as what it is now.
	c.denied(pods, c.pod("again", selected, good.Image()), verdict.SignatureMissing)
	if from := stored.GetAnnotations()[admission.PinnedAnnotation]; !strings.Contains(from, good.Image()) {
		t.Errorf("the annotation says %s", from)
	}
}

func TestRow03AnotherWebhookThatChangesTheImageAfterUsIsJudged(t *testing.T) {
	for _, tt := range []struct {
		name  string
		image func(good, unsigned verifytest.Pushed) string
		code  verdict.Code
	}{
		{"to an unsigned digest", func(_, unsigned verifytest.Pushed) string { return unsigned.Pinned() }, verdict.SignatureMissing},
		{"to an unsigned tag", func(_, unsigned verifytest.Pushed) string { return unsigned.Image() }, verdict.SignatureMissing},
		{"to another good image", func(good, _ verifytest.Pushed) string { return good.Pinned() }, ""},
	} {
		t.Run(tt.name, func(t *testing.T) {
			c := newCluster(t)
			good, unsigned := c.images()
			first := c.kit.Good("vision/first")
			c.inject("zz-after-apex", func(pod *unstructured.Unstructured) string {
				if pod.GetName() == "probe" {
					return ""
				}
				return fmt.Sprintf(`[{"op":"replace","path":"/spec/containers/0/image","value":%q}]`, tt.image(good, unsigned))
			})
			o := c.pod("changed", selected, first.Image())
			if tt.code != "" {
				c.denied(pods, o, tt.code)
				return
			}
			c.created(pods, o)
		})
	}
}

func TestAWebhookLoopEndsAndSidecarsArePinnedAndJudged(t *testing.T) {
	c := newCluster(t)
	good, unsigned := c.images()
	sidecar := atomic.Pointer[string]{}
	h := c.inject("zz-injector", func(pod *unstructured.Unstructured) string {
		all, _, _ := unstructured.NestedSlice(pod.Object, "spec", "containers")
		for _, each := range all {
			if each.(map[string]any)["name"] == "mesh" {
				return ""
			}
		}
		if sidecar.Load() == nil {
			return ""
		}
		return fmt.Sprintf(`[{"op":"add","path":"/spec/containers/-","value":{"name":"mesh","image":%q}}]`, *sidecar.Load())
	})
	image := good.Image()
	sidecar.Store(&image)
	before, ours := h.reviews.Load(), c.reviews.Load()
	stored := c.created(pods, c.pod("meshed", selected, good.Image()))
	if got := imagesOf(stored); len(got) != 2 || got[0] != good.Pinned() || got[1] != good.Pinned() {
		t.Errorf("it runs %s", got)
	}
	if asked := h.reviews.Load() - before; asked > 2 {
		t.Errorf("the other webhook was asked %d times", asked)
	}
	if asked := c.reviews.Load() - ours; asked > 3 {
		t.Errorf("Apex was asked %d times", asked)
	}
	evil := unsigned.Image()
	sidecar.Store(&evil)
	c.denied(pods, c.pod("evil", selected, good.Image()), verdict.SignatureMissing)
}

func TestRow07AForgedAnnotationIsNotBelieved(t *testing.T) {
	c := newCluster(t)
	good, unsigned := c.images()
	forge := func(o *unstructured.Unstructured) *unstructured.Unstructured {
		o.SetAnnotations(map[string]string{
			"apexlogic.com/verified": "true", "apexlogic.com/decision": "allow",
			admission.PinnedAnnotation: `{"` + unsigned.Pinned() + `":"` + good.Image() + `"}`,
		})
		return o
	}
	c.denied(pods, forge(c.pod("forged", selected, unsigned.Pinned())), verdict.SignatureMissing)
	stored := c.created(pods, forge(c.pod("forged", selected, good.Pinned())))
	for key := range stored.GetAnnotations() { // and no verdict is left on the object
		switch key {
		case "apexlogic.com/verified", "apexlogic.com/decision", admission.PinnedAnnotation:
		default:
			t.Errorf("annotation %s", key)
		}
	}
}

func TestRow08SelectorsAreNotEvaded(t *testing.T) {
	c := newCluster(t)
	good, unsigned := c.images()
	update := func(name string, patch string) error {
		_, err := c.client.Resource(pods).Namespace(c.namespace).Patch(t.Context(), name, "application/merge-patch+json", []byte(patch), metav1.PatchOptions{})
		return err
	}
	t.Run("a label that is added later", func(t *testing.T) {
		c.created(pods, c.pod("later", nil, unsigned.Pinned())) // unselected, in an unmarked namespace
		c.isDenied(update("later", `{"metadata":{"labels":{"app":"multimodal-inference"}}}`), verdict.SignatureMissing)
		c.created(pods, c.pod("later-good", nil, good.Pinned()))
		if err := update("later-good", `{"metadata":{"labels":{"app":"multimodal-inference"}}}`); err != nil {
			t.Error(err)
		}
	})
	t.Run("an image that is changed later", func(t *testing.T) {
		c.created(pods, c.pod("image", selected, good.Pinned()))
		data := []byte(`[{"op":"replace","path":"/spec/containers/0/image","value":"` + unsigned.Pinned() + `"}]`)
		_, err := c.client.Resource(pods).Namespace(c.namespace).Patch(t.Context(), "image", "application/json-patch+json", data, metav1.PatchOptions{})
		c.isDenied(err, verdict.SignatureMissing)
		other := c.kit.Good("vision/other")
		data = bytes.ReplaceAll(data, []byte(unsigned.Pinned()), []byte(other.Pinned()))
		if _, err := c.client.Resource(pods).Namespace(c.namespace).Patch(t.Context(), "image", "application/json-patch+json", data, metav1.PatchOptions{}); err != nil {
			t.Error(err)
		}
	})
	t.Run("an object that is being deleted", func(t *testing.T) {
		o := c.pod("deleting", selected, good.Pinned())
		o.SetFinalizers([]string{"example.org/hold"})
		c.created(pods, o)
		zero := int64(0)
		if err := c.client.Resource(pods).Namespace(c.namespace).Delete(t.Context(), "deleting", metav1.DeleteOptions{GracePeriodSeconds: &zero}); err != nil {
			t.Fatal(err)
		}
		data := []byte(`[{"op":"replace","path":"/spec/containers/0/image","value":"` + unsigned.Pinned() + `"}]`)
		_, err := c.client.Resource(pods).Namespace(c.namespace).Patch(t.Context(), "deleting", "application/json-patch+json", data, metav1.PatchOptions{})
		c.isDenied(err, verdict.SignatureMissing)
		// A policy that denies it by now does not keep it from going.
		c.kit.Docs.Policies[0].Spec.Rules[0].Parameters.RequireSignatureFrom = []string{"builder"}
		c.kit.Publish()
		c.denied(pods, c.pod("denied-now", selected, good.Pinned()), verdict.SignatureUntrusted)
		if err := update("deleting", `{"metadata":{"finalizers":null}}`); err != nil {
			t.Error(err)
		}
		c.kit.Docs.Policies[0].Spec.Rules[0].Parameters.RequireSignatureFrom = []string{"release"}
		c.kit.Publish()
	})
	t.Run("no label, in a marked namespace", func(t *testing.T) {
		c.mark(c.namespace)
		c.denied(pods, c.pod("bare", nil, good.Pinned()), verdict.Unselected)
		c.created(pods, c.pod("bare", selected, good.Pinned()))
	})
	t.Run("a namespace that labels itself as kube-system", func(t *testing.T) {
		patch := []byte(`{"metadata":{"labels":{"kubernetes.io/metadata.name":"kube-system"}}}`)
		_, _ = c.client.Resource(namespaces).Patch(t.Context(), c.namespace, "application/merge-patch+json", patch, metav1.PatchOptions{})
		c.denied(pods, c.pod("evader", selected, unsigned.Pinned()), verdict.SignatureMissing)
	})
}

func TestRow26AWebhookThatDoesNotAnswerClosesTheCluster(t *testing.T) {
	var broken atomic.Bool
	c := newCluster(t, func(o *admission.Options) {
		verifier := o.Verifier
		o.Verifier = verifierFunc(func(ctx context.Context, q []verdict.Question) verdict.Report {
			if broken.Load() {
				panic("out of order")
			}
			return verifier.Verify(ctx, q)
		})
	})
	good, _ := c.images()
	c.created(pods, c.pod("up", selected, good.Pinned()))
	broken.Store(true)
	if _, err := c.create(pods, c.pod("panic", selected, good.Pinned())); err == nil || !strings.Contains(err.Error(), "Apex failed") {
		t.Errorf("a panic: %v", err)
	}
	broken.Store(false)
	c.created(pods, c.pod("panic", selected, good.Pinned()))

	// Nobody listens there any more: every namespace but the exempt is closed.
	c.point("https://" + unused(t))
	c.await(func() bool {
		_, err := c.client.Resource(pods).Namespace(c.namespace).Create(t.Context(), c.pod("down", selected, good.Pinned()), metav1.CreateOptions{DryRun: []string{metav1.DryRunAll}})
		return err != nil
	})
	if _, err := c.create(pods, c.pod("down", selected, good.Pinned())); err == nil || !strings.Contains(err.Error(), "failed calling webhook") {
		t.Errorf("down: %v", err)
	}
	exempt := c.pod("apex", nil, good.Pinned())
	exempt.SetNamespace("kube-system")
	if _, err := c.client.Resource(pods).Namespace("kube-system").Create(t.Context(), exempt, metav1.CreateOptions{DryRun: []string{metav1.DryRunAll}}); err != nil {
		t.Errorf("kube-system cannot start what Apex needs: %v", err)
	}
	c.point(c.url)
	c.awaitAsked()
	c.created(pods, c.pod("down", selected, good.Pinned()))
}

// point changes where the API server asks.
func (c *cluster) point(url string) {
	c.t.Helper()
	w := c.webhooks()
	w.URL = url
	c.apply(w)
}

func (c *cluster) apply(w admission.Webhooks) {
	c.t.Helper()
	for i, body := range admission.Configuration(w) {
		o := &unstructured.Unstructured{Object: body}
		if _, err := c.client.Resource(configurations[i]).Apply(c.t.Context(), o.GetName(), o, metav1.ApplyOptions{FieldManager: "apex", Force: true}); err != nil {
			c.t.Fatal(err)
		}
	}
}

// Row 27: what a kubelet runs by itself is outside of admission. The mirror of
// it is a Pod like any other, and calling a Pod a mirror lets nothing in.
func TestRow27AMirrorPodIsJudgedLikeAnyOther(t *testing.T) {
	c := newCluster(t)
	good, unsigned := c.images()
	mirror := func(image string) *unstructured.Unstructured {
		o := c.pod("mirror", selected, image)
		o.SetAnnotations(map[string]string{"kubernetes.io/config.mirror": "abc", "kubernetes.io/config.source": "file"})
		_ = unstructured.SetNestedField(o.Object, "node-1", "spec", "nodeName")
		containers, _, _ := unstructured.NestedSlice(o.Object, "spec", "containers")
		containers[0].(map[string]any)["imagePullPolicy"] = "Never"
		_ = unstructured.SetNestedSlice(o.Object, containers, "spec", "containers")
		return o
	}
	c.denied(pods, mirror(unsigned.Pinned()), verdict.SignatureMissing)
	c.created(pods, mirror(good.Pinned()))
}

func TestRow28ADryRunRecordsNothingAndALargePodIsJudged(t *testing.T) {
	var records atomic.Int64
	c := newCluster(t, func(o *admission.Options) {
		verifier := o.Verifier
		o.Verifier = verifierFunc(func(ctx context.Context, q []verdict.Question) verdict.Report {
			if !admission.DryRun(ctx) {
				records.Add(int64(len(q)))
			}
			return verifier.Verify(ctx, q)
		})
	})
	good, unsigned := c.images()
	records.Store(0)
	if _, err := c.client.Resource(pods).Namespace(c.namespace).Create(t.Context(), c.pod("dry", selected, good.Pinned()), metav1.CreateOptions{DryRun: []string{metav1.DryRunAll}}); err != nil {
		t.Fatal(err)
	}
	if records.Load() != 0 {
		t.Errorf("%d verdicts of a dry run were recorded", records.Load())
	}
	c.created(pods, c.pod("wet", selected, good.Pinned()))
	if records.Load() != 1 {
		t.Errorf("%d verdicts were recorded", records.Load())
	}
	large := func(image string) *unstructured.Unstructured {
		o := c.pod("large", selected, good.Pinned(), image)
		o.SetAnnotations(map[string]string{"a": strings.Repeat("x", 200<<10)})
		var env []any
		for i := range 4000 {
			env = append(env, map[string]any{"name": fmt.Sprintf("V%d", i), "value": strings.Repeat("y", 200)})
		}
		all, _, _ := unstructured.NestedSlice(o.Object, "spec", "containers")
		all[0].(map[string]any)["env"] = env
		_ = unstructured.SetNestedSlice(o.Object, all, "spec", "containers")
		return o
	}
	c.denied(pods, large(unsigned.Pinned()), verdict.SignatureMissing)
	c.created(pods, large(good.Pinned()))
}

func TestRow29NoAnswerIsFromAPolicyThatWasReplaced(t *testing.T) {
	c := newCluster(t)
	good, _ := c.images()
	c.created(pods, c.pod("before", selected, good.Pinned()))
	for round := range 5 {
		c.kit.Docs.Policies[0].Spec.Rules[0].Parameters.RequireSignatureFrom = []string{"builder"}
		c.kit.Publish() // in force when this returns
		c.denied(pods, c.pod(fmt.Sprintf("p%d", round), selected, good.Pinned()), verdict.SignatureUntrusted)
		c.kit.Docs.Policies[0].Spec.Rules[0].Parameters.RequireSignatureFrom = []string{"release"}
		c.kit.Publish()
		c.created(pods, c.pod(fmt.Sprintf("p%d", round), selected, good.Pinned()))
	}
	c.mark(c.namespace)
	policies := c.kit.Docs.Policies
	c.kit.Docs.Policies = nil // deleted: nothing allows it any more
	c.kit.Publish()
	c.denied(pods, c.pod("after", selected, good.Pinned()), verdict.Unselected)
	c.kit.Docs.Policies = policies
	c.kit.Publish()
	c.created(pods, c.pod("after", selected, good.Pinned()))
}

func imagesOf(o *unstructured.Unstructured) []string {
	all, _, _ := unstructured.NestedSlice(o.Object, "spec", "containers")
	var images []string
	for _, each := range all {
		images = append(images, each.(map[string]any)["image"].(string))
	}
	return images
}
