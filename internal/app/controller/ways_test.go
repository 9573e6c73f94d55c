package controller

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"

	"sigs.k8s.io/yaml"

	"github.com/apexlogic/apex/internal/gitops"
	"github.com/apexlogic/apex/internal/gitops/segment"
	"github.com/apexlogic/apex/internal/kube"
)

// holding is a cluster that holds objects.
type holding struct {
	all   []kube.Object
	fails map[string]error // by kind
}

func (h *holding) Get(context.Context, kube.ID) (*kube.Object, error) { return nil, kube.ErrNotFound }

func (h *holding) ListMeta(context.Context, kube.Selection, func(kube.Meta)) error {
	return kube.ErrInvalid
}

func (h *holding) List(_ context.Context, kind kube.Kind, namespace, _ string) (out []kube.Object, err error) {
	if err := h.fails[kind.Kind]; err != nil {
		return nil, err
	}
	for _, o := range h.all {
		if kube.IDOf(&o).Kind == kind && (namespace == "" || o.GetNamespace() == namespace) {
			out = append(out, *o.DeepCopy())
		}
	}
	return out, nil
}

// put adds an object. Its UID is its kind and name; owner is that of who controls it.
func (h *holding) put(t *testing.T, apiVersion, kind, name, owner, more string) {
	t.Helper()
	text := fmt.Sprintf("apiVersion: %s\nkind: %s\n%s", apiVersion, kind, more)
	var o kube.Object
	if err := yaml.Unmarshal([]byte(text), &o.Object); err != nil {
		t.Fatalf("%v in\n%s", err, text)
	}
	data, err := o.MarshalJSON()
	if err == nil {
		err = o.UnmarshalJSON(data) // numbers as servers give them
	}
	if err != nil {
		t.Fatal(err)
	}
	namespace, plain, found := strings.Cut(name, "/")
	if !found {
		namespace, plain = "vision", name
	}
	o.SetNamespace(namespace)
	o.SetName(plain)
	metadata := o.Object["metadata"].(map[string]any)
	metadata["uid"] = kind + "-" + plain
	if owner != "" {
		metadata["ownerReferences"] = []any{map[string]any{"apiVersion": "v1", "kind": "Any", "name": "any", "uid": owner, "controller": true}}
	}
	h.all = append(h.all, o)
}

// found returns the ways to what runs in the namespace vision: "workload < object".
func (h *holding) found(t *testing.T) (out []string) {
	t.Helper()
	c := covering{source: "vision", namespaces: []string{"vision"}, spec: segment.Spec{Gateway: segment.Peer{Namespace: "edge", Labels: map[string]string{"app": "gateway"}}}}
	routes := []kube.Kind{{Group: "networking.istio.io", Version: "v1", Kind: "VirtualService"}, {Group: "networking.k8s.io", Version: "v1", Kind: "Ingress"}}
	l, err := readLive(t.Context(), h, c.namespaces, routes)
	if err != nil {
		t.Fatal(err)
	}
	for _, f := range l.findings(c) {
		out = append(out, f.Workload.Kind+" "+f.Workload.Name+" < "+f.Object.Kind+" "+f.Object.Name)
	}
	slices.Sort(out)
	return out
}

// deployed is a Deployment with its ReplicaSet and two Pods, closed by a policy.
func deployedCluster(t *testing.T) *holding {
	t.Helper()
	h := &holding{}
	const template = "template: {metadata: {labels: {app: x}}, spec: {containers: [{name: c, image: r/c:1}]}}"
	h.put(t, "networking.k8s.io/v1", "NetworkPolicy", "closed", "", "spec: {podSelector: {}, policyTypes: [Ingress]}")
	h.put(t, "apps/v1", "Deployment", "captioner", "", "spec: {selector: {matchLabels: {app: x}}, "+template+"}")
	h.put(t, "apps/v1", "ReplicaSet", "captioner-1", "Deployment-captioner", "spec: {selector: {matchLabels: {app: x}}, "+template+"}")
	for _, name := range []string{"captioner-1-a", "captioner-1-b"} {
		h.put(t, "v1", "Pod", name, "ReplicaSet-captioner-1", "metadata: {labels: {app: x, pod-template-hash: \"1\"}}\nspec: {containers: [{name: c, image: r/c:1}]}")
	}
	h.put(t, "v1", "Service", "captioner", "", "spec: {selector: {app: x}}")
	return h
}

func TestWhatIsFoundOfAWorkloadsPodsIsSaidOfTheWorkloadOnce(t *testing.T) {
	if got := deployedCluster(t).found(t); len(got) != 0 {
		t.Fatalf("what is closed has the ways %q", got)
	}
	for _, c := range []struct {
		name string
		open func(*holding)
		want []string
	}{
		{"a LoadBalancer in front of its pods", func(h *holding) {
			h.put(t, "v1", "Service", "side", "", "spec: {type: LoadBalancer, selector: {app: x}}")
		}, []string{"Deployment captioner < Service side"}},
		{"a label that a Pod alone has got", func(h *holding) {
			h.put(t, "v1", "Pod", "captioner-1-c", "ReplicaSet-captioner-1", "metadata: {labels: {app: x, out: \"yes\"}}\nspec: {containers: [{name: c, image: r/c:1}]}")
			h.put(t, "v1", "Service", "side", "", "spec: {type: LoadBalancer, selector: {out: \"yes\"}}")
		}, []string{"Deployment captioner < Service side"}},
		{"a Pod of its own in the host's network", func(h *holding) {
			h.put(t, "v1", "Pod", "bare", "", "spec: {hostNetwork: true, containers: [{name: c, image: r/c:1}]}")
		}, []string{"Pod bare < Pod bare"}},
		{"a Pod that names an owner who is not there", func(h *holding) {
			h.put(t, "v1", "Pod", "bare", "nobody", "spec: {hostNetwork: true, containers: [{name: c, image: r/c:1}]}")
		}, []string{"Pod bare < Pod bare"}},
		{"a Pod that has run to its end", func(h *holding) {
			h.put(t, "v1", "Pod", "bare", "", "spec: {hostNetwork: true, containers: [{name: c, image: r/c:1}]}\nstatus: {phase: Succeeded}")
		}, nil},
		{"a route of another namespace", func(h *holding) {
			h.put(t, "networking.istio.io/v1", "VirtualService", "edge/v", "", "spec: {http: [{route: [{destination: {host: captioner.vision.svc}}]}]}")
		}, []string{"Deployment captioner < VirtualService v"}},
		{"a workload of a namespace that is not covered", func(h *holding) {
			h.put(t, "v1", "Pod", "other/bare", "", "spec: {hostNetwork: true, containers: [{name: c, image: r/c:1}]}")
		}, nil},
	} {
		t.Run(c.name, func(t *testing.T) {
			h := deployedCluster(t)
			c.open(h)
			if got := h.found(t); !slices.Equal(got, c.want) {
				t.Errorf("found %q, want %q", got, c.want)
			}
		})
	}
}

func TestWhatAPlatformMakesIsJudgedByWhatItWasTold(t *testing.T) {
	platform := func(visibility string) *holding {
		h := &holding{}
		labels := "metadata: {labels: {" + visibility + "}}\n"
		const pod = "metadata: {labels: {serving.knative.dev/service: captioner, serving.knative.dev/revision: captioner-00001}}\nspec: {containers: [{name: c, image: r/c:1}]}"
		const template = "spec: {template: {spec: {containers: [{name: c, image: r/c:1}]}}}"
		// As package segment writes them: the activator may come in.
		h.put(t, "networking.k8s.io/v1", "NetworkPolicy", "apex", "", `spec:
  podSelector: {matchLabels: {serving.knative.dev/service: captioner}}
  policyTypes: [Ingress]
  ingress: [{from: [{namespaceSelector: {matchLabels: {kubernetes.io/metadata.name: knative-serving}}, podSelector: {matchLabels: {app: activator}}}], ports: [{protocol: TCP, port: 8012}]}]`)
		h.put(t, "serving.knative.dev/v1", "Service", "captioner", "", labels+template)
		h.put(t, "serving.knative.dev/v1", "Configuration", "captioner", "Service-captioner", template)
		h.put(t, "serving.knative.dev/v1", "Revision", "captioner-00001", "Configuration-captioner", "spec: {}")
		h.put(t, "apps/v1", "Deployment", "captioner-00001-deployment", "Revision-captioner-00001", template)
		h.put(t, "apps/v1", "ReplicaSet", "captioner-00001-deployment-1", "Deployment-captioner-00001-deployment", template)
		h.put(t, "v1", "Pod", "captioner-00001-deployment-1-a", "ReplicaSet-captioner-00001-deployment-1", pod)
		h.put(t, "networking.internal.knative.dev/v1alpha1", "ServerlessService", "captioner-00001", "", "spec: {}")
		h.put(t, "networking.internal.knative.dev/v1alpha1", "Ingress", "captioner", "", "spec: {}")
		h.put(t, "v1", "Service", "captioner-00001", "ServerlessService-captioner-00001", "spec: {ports: [{port: 80}]}")
		h.put(t, "v1", "Service", "captioner-00001-private", "ServerlessService-captioner-00001", "spec: {selector: {serving.knative.dev/revision: captioner-00001}}")
		h.put(t, "networking.istio.io/v1", "VirtualService", "captioner-mesh", "Ingress-captioner", "spec: {http: [{route: [{destination: {host: captioner-00001.vision.svc.cluster.local}}]}]}")
		return h
	}
	const local = "networking.knative.dev/visibility: cluster-local"
	if got := platform(local).found(t); len(got) != 0 {
		t.Errorf("a function that is local to the cluster has the ways %q", got)
	}
	if got := platform("").found(t); !slices.Equal(got, []string{"Service captioner < Service captioner"}) {
		t.Errorf("a function for the world has the ways %q", got)
	}
	for _, c := range []struct{ name, apiVersion, kind, object, owner, more, want string }{
		{"a Service with another name than its owner's", "v1", "Service", "side", "ServerlessService-captioner-00001", "spec: {ports: [{port: 80}]}", "Service side"},
		{"a Service whose owner is not there", "v1", "Service", "captioner-00002", "ServerlessService-captioner-00002", "spec: {ports: [{port: 80}]}", "Service captioner-00002"},
		{"a LoadBalancer that claims to be the platform's", "v1", "Service", "captioner-00001-public", "ServerlessService-captioner-00001", "spec: {type: LoadBalancer, selector: {serving.knative.dev/service: captioner}}", "Service captioner-00001-public"},
		{"a route that claims to be the platform's", "networking.istio.io/v1", "VirtualService", "side", "Ingress-captioner", "spec: {http: [{route: [{destination: {host: captioner.vision.svc}}]}]}", "VirtualService side"},
	} {
		t.Run(c.name, func(t *testing.T) {
			h := platform(local)
			h.put(t, c.apiVersion, c.kind, c.object, c.owner, c.more)
			if got := h.found(t); !slices.Equal(got, []string{"Service captioner < " + c.want}) {
				t.Errorf("found %q", got)
			}
		})
	}
}

func TestAKindThatIsNotThereIsNoErrorAndOneThatMayNotBeReadIs(t *testing.T) {
	h := deployedCluster(t)
	h.put(t, "v1", "Service", "side", "", "spec: {type: LoadBalancer, selector: {app: x}}")
	h.fails = map[string]error{"InferenceService": kube.ErrUnknownKind, "Revision": kube.ErrUnknownKind}
	if got := h.found(t); len(got) != 1 {
		t.Errorf("found %q", got)
	}
	h.fails["Pod"] = kube.ErrForbidden
	l, err := readLive(t.Context(), h, []string{"vision"}, nil)
	if !errors.Is(err, kube.ErrForbidden) {
		t.Errorf("a kind that may not be read: %v", err)
	}
	found := l.findings(covering{namespaces: []string{"vision"}})
	if !slices.ContainsFunc(found, func(f segment.Finding) bool { return f.Object.Name == "side" }) {
		t.Errorf("what was seen is not said: %+v", found)
	}
	for _, c := range []struct {
		found  []segment.Finding
		missed error
		want   string
	}{{nil, nil, "True NoWayAround"}, {nil, err, "Unknown NotSeen"}, {found, nil, "False WayAroundGateway"}, {found, err, "False WayAroundGateway"}} {
		if got := conditionOfWays(c.found, c.missed); got.status+" "+got.reason != c.want {
			t.Errorf("%d found, %v missed: %+v", len(c.found), c.missed, got)
		}
	}
}

func TestEveryKindOfRoutesThatIsReadIsTakenForOne(t *testing.T) {
	service := gitops.ID{Kind: "Service", Namespace: "vision", Name: "captioner"}
	for _, kind := range routeKinds() {
		h := deployedCluster(t)
		h.put(t, kind.Group+"/v1", kind.Kind, "r", "", "spec: {backend: {serviceName: captioner, name: captioner}, traffic: [{configurationName: captioner}]}")
		kind.Version = "v1"
		if kind.Kind == "Route" && kind.Group == knativeGroup { // leads to what is Knative's alone
			h.put(t, "serving.knative.dev/v1", "Configuration", "captioner", "", "spec: {template: {spec: {}}}")
		}
		l, err := readLive(t.Context(), h, []string{"vision"}, []kube.Kind{kind})
		if err != nil {
			t.Fatal(err)
		}
		if !slices.ContainsFunc(l.findings(covering{namespaces: []string{"vision"}}), func(f segment.Finding) bool { return f.Object.Kind == kind.Kind && f.Object.Group == kind.Group }) {
			t.Errorf("a %s.%s to %s is none", kind.Kind, kind.Group, service)
		}
	}
}
