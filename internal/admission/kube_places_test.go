package admission_test

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"strings"
	"sync"
	"testing"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/types"

	"github.com/apexlogic/apex/internal/admission"
	"github.com/apexlogic/apex/internal/kube/kubetest"
	"github.com/apexlogic/apex/internal/manifest"
	"github.com/apexlogic/apex/internal/verify/verifytest"
	"github.com/apexlogic/apex/verdict"
)

// Rows 1 and 2, what is not a pod spec of a kind: subresources, frameworks'
// containers, models.

func TestRow01AnEphemeralContainerIsJudgedHoweverItIsAdded(t *testing.T) {
	c := newCluster(t)
	good, unsigned := c.images()
	list := func(image string) []any { return []any{map[string]any{"name": "debug", "image": image}} }
	ways := map[string]func(name, image string) error{
		"strategic patch": func(name, image string) error {
			text, _ := json.Marshal(map[string]any{"spec": map[string]any{"ephemeralContainers": list(image)}})
			_, err := c.client.Resource(pods).Namespace(c.namespace).Patch(t.Context(), name, types.StrategicMergePatchType, text, metav1.PatchOptions{}, "ephemeralcontainers")
			return err
		},
		"merge patch": func(name, image string) error {
			text, _ := json.Marshal(map[string]any{"spec": map[string]any{"ephemeralContainers": list(image)}})
			_, err := c.client.Resource(pods).Namespace(c.namespace).Patch(t.Context(), name, types.MergePatchType, text, metav1.PatchOptions{}, "ephemeralcontainers")
			return err
		},
		"JSON patch": func(name, image string) error {
			text, _ := json.Marshal([]any{map[string]any{"op": "add", "path": "/spec/ephemeralContainers", "value": list(image)}})
			_, err := c.client.Resource(pods).Namespace(c.namespace).Patch(t.Context(), name, types.JSONPatchType, text, metav1.PatchOptions{}, "ephemeralcontainers")
			return err
		},
		"update": func(name, image string) error {
			o, err := c.client.Resource(pods).Namespace(c.namespace).Get(t.Context(), name, metav1.GetOptions{})
			if err == nil {
				err = unstructured.SetNestedSlice(o.Object, list(image), "spec", "ephemeralContainers")
			}
			if err != nil {
				t.Fatal(err)
			}
			_, err = c.client.Resource(pods).Namespace(c.namespace).Update(t.Context(), o, metav1.UpdateOptions{}, "ephemeralcontainers")
			return err
		},
	}
	n := 0
	for way, add := range ways {
		name := fmt.Sprintf("debugged-%d", n)
		n++
		c.created(pods, c.pod(name, selected, good.Pinned()))
		for _, image := range []string{unsigned.Image(), unsigned.Pinned()} {
			c.isDenied(add(name, image), verdict.SignatureMissing)
		}
		if err := add(name, good.Image()); err != nil {
			t.Fatalf("%s: the twin: %v", way, err)
		}
		stored, err := c.client.Resource(pods).Namespace(c.namespace).Get(t.Context(), name, metav1.GetOptions{})
		if err != nil {
			t.Fatal(err)
		}
		all, _, _ := unstructured.NestedSlice(stored.Object, "spec", "ephemeralContainers")
		if len(all) != 1 || all[0].(map[string]any)["image"] != good.Pinned() {
			t.Errorf("%s: it is not pinned: %v", way, all)
		}
	}
	// A Pod cannot be made with one: that the API server itself refuses.
	spec := map[string]any{"containers": containers(good.Pinned()), "ephemeralContainers": list(unsigned.Pinned())}
	if _, err := c.create(pods, c.object("v1", "Pod", "born-debugged", selected, spec)); err == nil {
		t.Error("a Pod is made with an ephemeral container")
	}
}

// The cheap reader is for what API servers really send: were that written otherwise
// than it expects, every object would be read twice and nobody would see it.
func TestWhatAPIServersSendIsReadTheCheapWay(t *testing.T) {
	c := newCluster(t)
	good, _ := c.images()
	var mu sync.Mutex
	read := map[string]bool{}
	c.point(newTLSServer(t, c.certs, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		body, err := io.ReadAll(r.Body)
		if err != nil {
			t.Error(err)
		}
		if review, err := admission.ParseReview(body); err == nil && review.Object != nil {
			kind := manifest.GroupVersionKind{Group: review.Group, Version: review.Version, Kind: review.Kind}
			found, ok := manifest.Places(kind, review.Namespace, review.Object)
			written := fmt.Sprintf(`"kind":{"group":%q,"version":%q,"kind":%q}`, kind.Group, kind.Version, kind.Kind)
			mu.Lock()
			read[review.Kind+" "+review.Name] = ok && len(found.Refs) > 0 && strings.Contains(string(body), written)
			mu.Unlock()
		}
		r.Body = io.NopCloser(bytes.NewReader(body))
		c.handler.ServeHTTP(w, r)
		c.reviews.Add(1)
	})))
	for _, k := range builtInKinds() {
		o := k.object(c, "cheap", k.pods[0], map[string]any{"containers": containers(good.Image())})
		c.await(func() bool { // the API server asks there after a moment
			_, err := c.in(k).Create(t.Context(), o, metav1.CreateOptions{DryRun: []string{metav1.DryRunAll}})
			if err != nil {
				t.Fatal(err)
			}
			mu.Lock()
			defer mu.Unlock()
			_, asked := read[k.kind+" cheap"]
			return asked
		})
		mu.Lock()
		if !read[k.kind+" cheap"] {
			t.Errorf("a %s is read the dear way", k.kind)
		}
		mu.Unlock()
	}
}

// What a write to a subresource cannot change is not asked about: it has to go
// through while the policy denies what runs, and no image comes in by it.
func TestRow02NoImageComesInThroughASubresource(t *testing.T) {
	c := newCluster(t)
	good, unsigned := c.images()
	deployments := builtInKinds()[3]
	if _, err := c.in(deployments).Create(t.Context(), deployments.object(c, "scaled", "spec.template.spec", map[string]any{"containers": containers(good.Pinned())}), metav1.CreateOptions{}); err != nil {
		t.Fatal(err)
	}
	c.created(pods, c.pod("running", selected, good.Pinned()))

	// From now on the policy denies what runs already.
	c.kit.Docs.Policies[0].Spec.Rules[0].Parameters.RequireSignatureFrom = []string{"builder"}
	c.kit.Publish()
	c.denied(pods, c.pod("new", selected, good.Pinned()), verdict.SignatureUntrusted)

	in := func(resource string) func(data string, sub string) error {
		return func(data, sub string) error {
			r, name := pods, "running"
			if resource == "deployments" {
				r, name = deployments.resource, "scaled"
			}
			_, err := c.client.Resource(r).Namespace(c.namespace).Patch(t.Context(), name, types.MergePatchType, []byte(data), metav1.PatchOptions{}, sub)
			return err
		}
	}
	for _, tt := range []struct{ resource, sub, data, smuggle string }{
		{"deployments", "scale", `{"spec":{"replicas":3}}`, `{"spec":{"replicas":4,"template":{"spec":{"containers":[{"name":"c0","image":"%s"}]}}}}`},
		{"deployments", "status", `{"status":{"observedGeneration":1}}`, `{"status":{"observedGeneration":2},"spec":{"template":{"spec":{"containers":[{"name":"c0","image":"%s"}]}}}}`},
		{"pods", "status", `{"status":{"message":"a"}}`, `{"status":{"message":"b"},"spec":{"containers":[{"name":"c0","image":"%s"}]}}`},
		{"pods", "resize", `{"metadata":{"annotations":{"a":"b"}}}`, `{"spec":{"containers":[{"name":"c0","image":"%s","resources":{"limits":{"cpu":"1"}}}]}}`},
	} {
		t.Run(tt.resource+"/"+tt.sub, func(t *testing.T) {
			write := in(tt.resource)
			if err := write(tt.data, tt.sub); err != nil {
				t.Errorf("it is kept from its work: %v", err)
			}
			_ = write(fmt.Sprintf(tt.smuggle, unsigned.Pinned()), tt.sub) // refused or not, it must not be stored
			r, name := pods, "running"
			if tt.resource == "deployments" {
				r, name = deployments.resource, "scaled"
			}
			stored, err := c.client.Resource(r).Namespace(c.namespace).Get(t.Context(), name, metav1.GetOptions{})
			if err != nil {
				t.Fatal(err)
			}
			if text, _ := stored.MarshalJSON(); strings.Contains(string(text), unsigned.Pinned()) || !strings.Contains(string(text), good.Pinned()) {
				t.Errorf("it holds another image: %s", text)
			}
		})
	}
	t.Run("eviction and binding", func(t *testing.T) {
		binding := &unstructured.Unstructured{Object: map[string]any{"apiVersion": "v1", "kind": "Binding", "metadata": map[string]any{"name": "running", "namespace": c.namespace}, "target": map[string]any{"apiVersion": "v1", "kind": "Node", "name": "node-1"}}}
		if _, err := c.client.Resource(pods).Namespace(c.namespace).Create(t.Context(), binding, metav1.CreateOptions{}, "binding"); err != nil {
			t.Errorf("what runs is not scheduled: %v", err)
		}
		eviction := &unstructured.Unstructured{Object: map[string]any{"apiVersion": "policy/v1", "kind": "Eviction", "metadata": map[string]any{"name": "running", "namespace": c.namespace}, "deleteOptions": map[string]any{"gracePeriodSeconds": int64(0)}}}
		if _, err := c.client.Resource(pods).Namespace(c.namespace).Create(t.Context(), eviction, metav1.CreateOptions{}, "eviction"); err != nil {
			t.Errorf("what is not compliant cannot be evicted: %v", err)
		}
	})
}

// Places that hold an image and are no pod spec, and every place of a model.
func TestRow02FrameworksAndModelsOfKServeAreJudged(t *testing.T) {
	c := newClusterOn(t, verifytest.New(t).WithModels())
	c.server.InstallCRDs(t, kubetest.KServe())
	good, unsigned := c.images()
	model, unproved := c.kit.GoodModel("vision/weights"), c.kit.PushModel("vision/unproved", verifytest.Weights, "Apache-2.0")

	inference, runtimes, llm := kserveKinds()[0], kserveKinds()[1], kserveKinds()[4]
	trained := workloadKind{resource: gvr("serving.kserve.io", "v1alpha1", "trainedmodels"), kind: "TrainedModel"}
	cache := workloadKind{resource: gvr("serving.kserve.io", "v1alpha1", "localmodelcaches"), kind: "LocalModelCache", cluster: true}
	namespaceCache := workloadKind{resource: gvr("serving.kserve.io", "v1alpha1", "localmodelnamespacecaches"), kind: "LocalModelNamespaceCache"}
	type place struct {
		kind workloadKind
		spec string // with a %s for what is named
	}
	var models, images []place
	for _, framework := range strings.Fields("model sklearn xgboost tensorflow pytorch triton onnx huggingface pmml lightgbm paddle") {
		extra := ""
		if framework == "model" {
			extra = `"modelFormat":{"name":"onnx"},`
		}
		models = append(models,
			place{inference, `{"predictor":{"` + framework + `":{` + extra + `"storageUri":"%s"}}}`},
			place{inference, `{"predictor":{"` + framework + `":{` + extra + `"storageUris":[{"uri":"` + model.Fixed() + `"},{"uri":"%s"}]}}}`})
		images = append(images, place{inference, `{"predictor":{"` + framework + `":{` + extra + `"name":"kserve-container","image":"%s"}}}`})
	}
	models = append(models,
		place{inference, `{"predictor":{"containers":[{"name":"c","image":"` + good.Pinned() + `","env":[{"name":"STORAGE_URI","value":"%s"}]}]}}`},
		place{inference, `{"predictor":{"containers":[{"name":"c","image":"` + good.Pinned() + `","args":["--model=%s"]}]}}`},
		place{inference, `{"predictor":{},"transformer":{"containers":[{"name":"c","image":"` + good.Pinned() + `","args":["--model","%s"]}]}}`},
		place{llm, `{"model":{"uri":"%s"}}`},
		place{llm, `{"model":{"uri":"` + model.Fixed() + `","lora":{"adapters":[{"uri":"%s"}]}}}`},
		place{trained, `{"model":{"framework":"onnx","memory":"1Gi","storageUri":"%s"},"inferenceService":"s"}`},
		place{cache, `{"sourceModelUri":"%s","modelSize":"1Gi","nodeGroups":["a"]}`},
		place{namespaceCache, `{"sourceModelUri":"%s","modelSize":"1Gi","nodeGroups":["a"]}`},
		place{runtimes, `{"containers":[{"name":"c","image":"` + good.Pinned() + `","env":[{"name":"MODEL_ID","value":"%s"}]}]}`},
	)
	pairs := 0
	try := func(t *testing.T, p place, bad, fine string, code verdict.Code) {
		t.Helper()
		write := func(what string) error {
			o := p.kind.object(c, "m", "spec", map[string]any{})
			var spec map[string]any
			if err := json.Unmarshal(fmt.Appendf(nil, p.spec, what), &spec); err != nil {
				t.Fatal(err)
			}
			o.Object["spec"] = spec
			_, err := c.in(p.kind).Create(t.Context(), o, metav1.CreateOptions{})
			return err
		}
		c.isDenied(write(bad), code)
		if err := write(fine); err != nil {
			t.Fatalf("%s %s: the twin: %v", p.kind.kind, p.spec, err)
		}
		c.remove(p.kind, "m")
		pairs++
	}
	for _, p := range images {
		try(t, p, unsigned.Pinned(), good.Pinned(), verdict.SignatureMissing)
		try(t, p, unsigned.Image(), good.Image(), verdict.SignatureMissing)
	}
	for _, p := range models {
		try(t, p, unproved.Fixed(), model.Fixed(), verdict.ModelSignatureMissing)
	}
	// What cannot be verified at all is denied under a policy about models: a bucket
	// that stands in a Secret, a runtime's version that picks a tag elsewhere.
	storage := place{inference, `{"predictor":{"model":{"modelFormat":{"name":"onnx"},"storage":%s}}}`}
	try(t, storage, `{"key":"default","path":"m"}`, `{"storageUri":"`+model.Fixed()+`"}`, verdict.ReferenceUnresolved)
	t.Logf("%d denials, each with its allowing twin", pairs)
}
