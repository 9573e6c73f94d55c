package admission_test

import (
	"encoding/json"
	"fmt"
	"maps"
	"slices"
	"strings"
	"testing"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/client-go/dynamic"

	"github.com/apexlogic/apex/internal/kube/kubetest"
	"github.com/apexlogic/apex/internal/verify/verifytest"
	"github.com/apexlogic/apex/verdict"
)

// Rows 1 and 2 of the table of known ways around image verification: every place
// of every kind, and every way to write it, through a real API server. Each
// denial has its twin, the same write with a good image.

// workloadKind is a kind with one or more pod specs in it.
type workloadKind struct {
	resource schema.GroupVersionResource
	kind     string
	cluster  bool // it is in no namespace
	// pods are the paths to its pod specs; the first is written to by all ways.
	pods []string
	// frame is the object around pod specs that are put in at their paths.
	frame map[string]any
	never bool // its Pods restart never
	// frozen kinds take no other image once they are made.
	frozen bool
	// builtIn kinds take strategic merge patches, and image volumes.
	builtIn bool
}

func gvr(group, version, resource string) schema.GroupVersionResource {
	return schema.GroupVersionResource{Group: group, Version: version, Resource: resource}
}

func builtInKinds() []workloadKind {
	matching := map[string]any{"matchLabels": selected}
	template := []string{"spec.template.spec"}
	frame := func(spec map[string]any) map[string]any {
		template := map[string]any{"template": map[string]any{"metadata": map[string]any{"labels": selected}}}
		maps.Copy(template, spec)
		return map[string]any{"spec": template}
	}
	job := frame(nil)["spec"]
	return []workloadKind{
		{resource: pods, kind: "Pod", pods: []string{"spec"}, builtIn: true},
		{resource: gvr("", "v1", "podtemplates"), kind: "PodTemplate", pods: []string{"template.spec"}, builtIn: true, frame: map[string]any{"template": map[string]any{"metadata": map[string]any{"labels": selected}}}},
		{resource: gvr("", "v1", "replicationcontrollers"), kind: "ReplicationController", pods: template, builtIn: true, frame: frame(map[string]any{"selector": selected})},
		{resource: gvr("apps", "v1", "deployments"), kind: "Deployment", pods: template, builtIn: true, frame: frame(map[string]any{"selector": matching})},
		{resource: gvr("apps", "v1", "statefulsets"), kind: "StatefulSet", pods: template, builtIn: true, frame: frame(map[string]any{"selector": matching, "serviceName": "s"})},
		{resource: gvr("apps", "v1", "daemonsets"), kind: "DaemonSet", pods: template, builtIn: true, frame: frame(map[string]any{"selector": matching})},
		{resource: gvr("apps", "v1", "replicasets"), kind: "ReplicaSet", pods: template, builtIn: true, frame: frame(map[string]any{"selector": matching})},
		{resource: gvr("batch", "v1", "jobs"), kind: "Job", pods: template, builtIn: true, frame: frame(nil), never: true, frozen: true},
		{resource: gvr("batch", "v1", "cronjobs"), kind: "CronJob", pods: []string{"spec.jobTemplate.spec.template.spec"}, builtIn: true, never: true,
			frame: map[string]any{"spec": map[string]any{"schedule": "0 0 * * *", "jobTemplate": map[string]any{"spec": job}}}},
	}
}

func knativeKinds() []workloadKind {
	frame := map[string]any{"spec": map[string]any{"template": map[string]any{"metadata": map[string]any{"labels": selected}}}}
	return []workloadKind{
		{resource: gvr("serving.knative.dev", "v1", "services"), kind: "Service", pods: []string{"spec.template.spec"}, frame: frame},
		{resource: gvr("serving.knative.dev", "v1", "configurations"), kind: "Configuration", pods: []string{"spec.template.spec"}, frame: frame},
		{resource: gvr("serving.knative.dev", "v1", "revisions"), kind: "Revision", pods: []string{"spec"}},
	}
}

func kserveKinds() []workloadKind {
	llm := []string{"spec.template", "spec.worker", "spec.prefill.template", "spec.prefill.worker", "spec.router.scheduler.template"}
	return []workloadKind{
		{resource: gvr("serving.kserve.io", "v1beta1", "inferenceservices"), kind: "InferenceService",
			pods: []string{"spec.predictor", "spec.transformer", "spec.explainer", "spec.predictor.workerSpec"}, frame: map[string]any{"spec": map[string]any{"predictor": map[string]any{}}}},
		{resource: gvr("serving.kserve.io", "v1alpha1", "servingruntimes"), kind: "ServingRuntime", pods: []string{"spec", "spec.workerSpec"}},
		{resource: gvr("serving.kserve.io", "v1alpha1", "clusterservingruntimes"), kind: "ClusterServingRuntime", pods: []string{"spec", "spec.workerSpec"}, cluster: true},
		{resource: gvr("serving.kserve.io", "v1alpha1", "llminferenceservices"), kind: "LLMInferenceService", pods: llm},
		{resource: gvr("serving.kserve.io", "v1alpha2", "llminferenceservices"), kind: "LLMInferenceService", pods: llm},
		{resource: gvr("serving.kserve.io", "v1alpha2", "llminferenceserviceconfigs"), kind: "LLMInferenceServiceConfig", pods: llm},
	}
}

// object is one of the kind with the pod spec at the path.
func (k workloadKind) object(c *cluster, name, path string, pod map[string]any) *unstructured.Unstructured {
	c.t.Helper()
	o := (&unstructured.Unstructured{Object: k.frame}).DeepCopy()
	if o.Object == nil {
		o.Object = map[string]any{}
	}
	o.SetAPIVersion(k.resource.GroupVersion().String())
	o.SetKind(k.kind)
	o.SetName(name)
	if !k.cluster {
		o.SetNamespace(c.namespace)
	}
	o.SetLabels(map[string]string{"app": selected["app"].(string)})
	if k.builtIn {
		pod["restartPolicy"] = "Always"
		if k.never {
			pod["restartPolicy"] = "Never"
		}
	}
	at := strings.Split(path, ".")
	here, _, err := unstructured.NestedMap(o.Object, at...)
	if err == nil {
		if here == nil {
			here = map[string]any{}
		}
		maps.Copy(here, pod)
		err = unstructured.SetNestedMap(o.Object, (&unstructured.Unstructured{Object: here}).DeepCopy().Object, at...)
	}
	if err != nil {
		c.t.Fatal(err)
	}
	return o
}

// in returns the client for the kind.
func (c *cluster) in(k workloadKind) dynamic.ResourceInterface {
	if k.cluster {
		return c.client.Resource(k.resource)
	}
	return c.client.Resource(k.resource).Namespace(c.namespace)
}

// podPlaces are the places of an image in a pod spec.
func podPlaces(good string) map[string]func(image string) map[string]any {
	initContainer := func(more map[string]any) func(string) map[string]any {
		return func(image string) map[string]any {
			c := map[string]any{"name": "i", "image": image}
			maps.Copy(c, more)
			return map[string]any{"initContainers": []any{c}, "containers": containers(good)}
		}
	}
	return map[string]func(string) map[string]any{
		"container": func(i string) map[string]any { return map[string]any{"containers": containers(i)} },
		"init":      initContainer(nil),
		"sidecar":   initContainer(map[string]any{"restartPolicy": "Always"}),
		"volume": func(i string) map[string]any {
			return map[string]any{"containers": containers(good), "volumes": []any{map[string]any{"name": "v", "image": map[string]any{"reference": i}}}}
		},
		"last": func(i string) map[string]any {
			all := make([]any, 20)
			for n := range all {
				all[n] = map[string]any{"name": fmt.Sprintf("c%d", n), "image": good}
			}
			all[len(all)-1].(map[string]any)["image"] = i
			return map[string]any{"containers": all}
		},
	}
}

// writes are the ways in which an object comes to name another image. Each is
// given one of the kind that exists and whose first container has another.
func writes() map[string]func(c *cluster, k workloadKind, name, image string) error {
	patch := func(t types.PatchType, data func(k workloadKind, image string) any) func(*cluster, workloadKind, string, string) error {
		return func(c *cluster, k workloadKind, name, image string) error {
			text, err := json.Marshal(data(k, image))
			if err != nil {
				c.t.Fatal(err)
			}
			_, err = c.in(k).Patch(c.t.Context(), name, t, text, metav1.PatchOptions{FieldManager: "p"})
			return err
		}
	}
	merge := func(k workloadKind, image string) any {
		o := map[string]any{}
		_ = unstructured.SetNestedSlice(o, containers(image), append(strings.Split(k.pods[0], "."), "containers")...)
		return o
	}
	return map[string]func(*cluster, workloadKind, string, string) error{
		"update": func(c *cluster, k workloadKind, name, image string) error {
			o, err := c.in(k).Get(c.t.Context(), name, metav1.GetOptions{})
			if err != nil {
				c.t.Fatal(err)
			}
			at := append(strings.Split(k.pods[0], "."), "containers")
			all, _, _ := unstructured.NestedSlice(o.Object, at...)
			all[0].(map[string]any)["image"] = image
			_ = unstructured.SetNestedSlice(o.Object, all, at...)
			_, err = c.in(k).Update(c.t.Context(), o, metav1.UpdateOptions{})
			return err
		},
		"JSON patch": patch(types.JSONPatchType, func(k workloadKind, image string) any {
			return []any{map[string]any{"op": "replace", "path": "/" + strings.ReplaceAll(k.pods[0], ".", "/") + "/containers/0/image", "value": image}}
		}),
		"merge patch":     patch(types.MergePatchType, merge),
		"strategic patch": patch(types.StrategicMergePatchType, merge),
		"server-side apply": func(c *cluster, k workloadKind, name, image string) error {
			_, err := c.in(k).Apply(c.t.Context(), name, k.object(c, name, k.pods[0], map[string]any{"containers": containers(image)}), metav1.ApplyOptions{FieldManager: "p", Force: true})
			return err
		},
		"dry-run patch": func(c *cluster, k workloadKind, name, image string) error {
			text, _ := json.Marshal(merge(k, image))
			_, err := c.in(k).Patch(c.t.Context(), name, types.MergePatchType, text, metav1.PatchOptions{DryRun: []string{metav1.DryRunAll}})
			return err
		},
	}
}

// creations are the ways in which an object comes to be.
func creations() map[string]func(c *cluster, k workloadKind, o *unstructured.Unstructured) error {
	create := func(dryRun ...string) func(*cluster, workloadKind, *unstructured.Unstructured) error {
		return func(c *cluster, k workloadKind, o *unstructured.Unstructured) error {
			_, err := c.in(k).Create(c.t.Context(), o, metav1.CreateOptions{DryRun: dryRun})
			return err
		}
	}
	return map[string]func(*cluster, workloadKind, *unstructured.Unstructured) error{
		"create":         create(),
		"dry-run create": create(metav1.DryRunAll),
		"generateName": func(c *cluster, k workloadKind, o *unstructured.Unstructured) error {
			o.SetGenerateName(o.GetName() + "-")
			o.SetName("")
			return create()(c, k, o)
		},
		"apply that creates": func(c *cluster, k workloadKind, o *unstructured.Unstructured) error {
			_, err := c.in(k).Apply(c.t.Context(), o.GetName(), o, metav1.ApplyOptions{FieldManager: "p"})
			return err
		},
	}
}

// tally counts what was denied and allowed, by kind and by what was tried.
type tally struct {
	kinds, ways []string
	denied      map[[2]string]int
}

func (n *tally) add(kind, way string) {
	if n.denied == nil {
		n.denied = map[[2]string]int{}
	}
	for list, name := range map[*[]string]string{&n.kinds: kind, &n.ways: way} {
		if !slices.Contains(*list, name) {
			*list = append(*list, name)
		}
	}
	n.denied[[2]string{kind, way}]++
}

// String is a table: how many pairs of a denial and its twin there are.
func (n *tally) String() string {
	slices.Sort(n.ways)
	var b strings.Builder
	total := 0
	for _, kind := range n.kinds {
		sum := 0
		fmt.Fprintf(&b, "\n%-42s", kind)
		for _, way := range n.ways {
			if d := n.denied[[2]string{kind, way}]; d > 0 {
				fmt.Fprintf(&b, " %s %d,", way, d)
				sum += d
			}
		}
		fmt.Fprintf(&b, " in all %d", sum)
		total += sum
	}
	return fmt.Sprintf("%d denials, each with its allowing twin:%s", total, b.String())
}

func TestRow02EveryWayToWriteEveryKindIsDeniedUnderTheReferencePolicy(t *testing.T) {
	c := newCluster(t)
	c.server.InstallCRDs(t, kubetest.KServe())
	good, unsigned := c.images()
	other := c.kit.Good("vision/other")
	kinds := slices.Concat(builtInKinds(), kserveKinds())
	var n tally
	all := func(t *testing.T, kinds []workloadKind) {
		for _, k := range kinds {
			t.Run(k.resource.Version+" "+k.kind, func(t *testing.T) {
				c := c.on(t)
				c.everyPlace(k, good, unsigned, &n)
				c.everyWay(k, good, unsigned, other, &n)
			})
		}
	}
	all(t, kinds)
	t.Run("Knative", func(t *testing.T) {
		c.server.InstallCRDs(t, kubetest.Knative(t)...)
		all(t, knativeKinds())
	})
	t.Log(n.String())
}

// on is the cluster for a part of the test.
func (c *cluster) on(t *testing.T) *cluster {
	return &cluster{t: t, server: c.server, kit: c.kit, client: c.client, namespace: c.namespace, url: c.url, certs: c.certs, handler: c.handler}
}

// everyPlace makes one of the kind for each place of each of its pod specs.
func (c *cluster) everyPlace(k workloadKind, good, unsigned verifytest.Pushed, n *tally) {
	c.t.Helper()
	label := k.resource.Group + "/" + k.resource.Version + " " + k.kind
	for i, path := range k.pods {
		for place, pod := range podPlaces(good.Pinned()) {
			if place == "volume" && k.resource.Group == "serving.knative.dev" {
				continue // its schema drops image volumes
			}
			name := fmt.Sprintf("%s-%s-%d", strings.ToLower(k.kind), place, i)
			make := func(image string) (*unstructured.Unstructured, error) {
				return c.in(k).Create(c.t.Context(), k.object(c, name, path, pod(image)), metav1.CreateOptions{})
			}
			_, err := make(unsigned.Image())
			c.isDenied(err, verdict.SignatureMissing)
			stored, err := make(good.Image())
			if err != nil {
				c.t.Fatalf("%s %s %s: the twin: %v", label, path, place, err)
			}
			if text, _ := stored.MarshalJSON(); strings.Contains(string(text), `"`+good.Image()+`"`) || !strings.Contains(string(text), good.Pinned()) {
				c.t.Errorf("%s %s %s: it is not pinned: %s", label, path, place, text)
			}
			n.add(label, "place "+place)
			c.remove(k, name)
		}
	}
}

// remove deletes the object, so that its name is free.
func (c *cluster) remove(k workloadKind, name string) {
	c.t.Helper()
	now, background := int64(0), metav1.DeletePropagationBackground // nobody collects what a foreground would wait for
	if err := c.in(k).Delete(c.t.Context(), name, metav1.DeleteOptions{GracePeriodSeconds: &now, PropagationPolicy: &background}); err != nil {
		c.t.Error(err)
	}
}

// everyWay makes and changes one of the kind in each way.
func (c *cluster) everyWay(k workloadKind, good, unsigned, other verifytest.Pushed, n *tally) {
	c.t.Helper()
	label := k.resource.Group + "/" + k.resource.Version + " " + k.kind
	name := strings.ToLower(k.kind) + "-way"
	one := func(image string) *unstructured.Unstructured {
		return k.object(c, name, k.pods[0], map[string]any{"containers": containers(image)})
	}
	for way, create := range creations() {
		c.isDenied(create(c, k, one(unsigned.Pinned())), verdict.SignatureMissing)
		if err := create(c, k, one(good.Pinned())); err != nil {
			c.t.Fatalf("%s, %s: the twin: %v", label, way, err)
		}
		n.add(label, way)
		if way == "create" || way == "apply that creates" {
			c.remove(k, name)
		}
	}
	if k.frozen {
		return
	}
	if _, err := c.in(k).Create(c.t.Context(), one(good.Pinned()), metav1.CreateOptions{}); err != nil {
		c.t.Fatal(err)
	}
	next := []string{other.Pinned(), good.Pinned()}
	for way, write := range writes() {
		if way == "strategic patch" && !k.builtIn {
			continue // only kinds that the API server itself serves take them
		}
		c.isDenied(write(c, k, name, unsigned.Pinned()), verdict.SignatureMissing)
		if err := write(c, k, name, next[0]); err != nil {
			c.t.Fatalf("%s, %s: the twin: %v", label, way, err)
		}
		if way != "dry-run patch" {
			slices.Reverse(next)
		}
		n.add(label, way)
	}
	c.remove(k, name)
}
