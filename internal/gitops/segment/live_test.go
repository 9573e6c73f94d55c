package segment

import (
	"fmt"
	"slices"
	"strings"
	"testing"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/client-go/dynamic"

	"github.com/apexlogic/apex/internal/gitops"
	"github.com/apexlogic/apex/internal/kube/kubetest"
	"github.com/apexlogic/apex/verdict"
)

// resources are what a live cluster is asked for.
var resources = []schema.GroupVersionResource{
	{Version: "v1", Resource: "pods"}, {Version: "v1", Resource: "services"},
	{Group: "apps", Version: "v1", Resource: "deployments"}, {Group: "apps", Version: "v1", Resource: "daemonsets"},
	{Group: "networking.k8s.io", Version: "v1", Resource: "networkpolicies"}, {Group: "networking.k8s.io", Version: "v1", Resource: "ingresses"},
	{Group: "gateway.networking.k8s.io", Version: "v1", Resource: "httproutes"}, {Group: "networking.istio.io", Version: "v1", Resource: "virtualservices"},
}

// loose is a definition of a kind that takes any spec.
func loose(group, kind, plural string) []byte {
	return fmt.Appendf(nil, `apiVersion: apiextensions.k8s.io/v1
kind: CustomResourceDefinition
metadata:
  name: %[3]s.%[1]s
  annotations: {api-approved.kubernetes.io: unapproved}
spec:
  group: %[1]s
  scope: Namespaced
  names: {kind: %[2]s, plural: %[3]s, singular: %[4]s}
  versions:
    - name: v1
      served: true
      storage: true
      schema: {openAPIV3Schema: {type: object, x-kubernetes-preserve-unknown-fields: true}}
`, group, kind, plural, strings.ToLower(kind))
}

// everything reads what the cluster holds, defaults included.
func everything(t *testing.T, client dynamic.Interface) (all []gitops.Object) {
	t.Helper()
	for _, r := range resources {
		list, err := client.Resource(r).List(t.Context(), metav1.ListOptions{})
		if err != nil {
			t.Fatalf("%s: %v", r.Resource, err)
		}
		for _, item := range list.Items {
			if item.GetNamespace() != "vision" && item.GetNamespace() != "edge" {
				continue
			}
			o, err := gitops.NewObject(item.Object, verdict.Origin{Object: item.GetName()})
			if err != nil {
				t.Fatal(err)
			}
			all = append(all, o)
		}
	}
	return all
}

// TestALiveRouteAroundTheGatewayIsFound makes each way on a real API server,
// reads back all that it holds, and finds it; its twin, which looks like it, leads
// to the gateway.
func TestALiveRouteAroundTheGatewayIsFound(t *testing.T) {
	server := kubetest.Start(t)
	server.InstallCRDs(t, loose("gateway.networking.k8s.io", "HTTPRoute", "httproutes"), loose("networking.istio.io", "VirtualService", "virtualservices"))
	client := server.Dynamic(t)
	resource := func(o *gitops.Object) dynamic.ResourceInterface {
		plural := map[string]string{"Ingress": "ingresses", "NetworkPolicy": "networkpolicies"}[o.Kind]
		if plural == "" {
			plural = strings.ToLower(o.Kind) + "s"
		}
		r := client.Resource(schema.GroupVersionResource{Group: o.Group, Version: o.Version, Resource: plural})
		if o.Namespace == "" {
			return r
		}
		return r.Namespace(o.Namespace)
	}
	create := func(t *testing.T, all []gitops.Object) {
		t.Helper()
		for i := range all {
			o := &all[i]
			if _, err := resource(o).Create(t.Context(), &unstructured.Unstructured{Object: o.Body}, metav1.CreateOptions{}); err != nil {
				t.Fatalf("%s: %v", o.ID, err)
			}
		}
	}
	remove := func(t *testing.T, all []gitops.Object) {
		t.Helper()
		for i := range all {
			o := &all[i]
			zero := int64(0)
			if err := resource(o).Delete(t.Context(), o.Name, metav1.DeleteOptions{GracePeriodSeconds: &zero}); err != nil {
				t.Fatalf("%s: %v", o.ID, err)
			}
		}
	}
	create(t, objects(t, "apiVersion: v1\nkind: Namespace\nmetadata: {name: vision}\n---\napiVersion: v1\nkind: Namespace\nmetadata: {name: edge}"))
	create(t, closed(t, captioner+"\n---\n"+fmt.Sprintf(service, "")))
	if found := Analyse(everything(t, client), spec); len(found) != 0 {
		t.Fatalf("what is segmented has findings: %+v", found)
	}
	second := func(more string) string {
		return strings.Replace(fmt.Sprintf(service, more), "name: captioner,", "name: second,", 1)
	}
	ingress := func(name string) string {
		return "apiVersion: networking.k8s.io/v1\nkind: Ingress\nmetadata: {name: i, namespace: vision}\nspec: {defaultBackend: {service: {name: " + name + ", port: {number: 80}}}}"
	}
	route := func(name, namespace string) string {
		return "apiVersion: gateway.networking.k8s.io/v1\nkind: HTTPRoute\nmetadata: {name: h, namespace: edge}\nspec: {rules: [{backendRefs: [{name: " + name + ", namespace: " + namespace + ", port: 80}]}]}"
	}
	virtual := func(host string) string {
		return "apiVersion: networking.istio.io/v1\nkind: VirtualService\nmetadata: {name: v, namespace: edge}\nspec: {hosts: [x.example.com], http: [{route: [{destination: {host: " + host + "}}]}]}"
	}
	node := func(spec string) string {
		return "apiVersion: apps/v1\nkind: DaemonSet\nmetadata: {name: d, namespace: vision}\nspec:\n  selector: {matchLabels: {app: captioner}}\n  template:\n    metadata: {labels: {app: captioner}}\n    spec: {" + spec + "}"
	}
	other := func(s string) string {
		return strings.Replace(s, "selector: {app: captioner}", "selector: {app: other}", 1)
	}
	alias := func(host string) string {
		return "apiVersion: v1\nkind: Service\nmetadata: {name: alias, namespace: vision}\nspec: {type: ExternalName, externalName: " + host + "}"
	}
	for _, c := range []struct {
		name, bad, good string
		by              string // the name of what opens the way
	}{
		{"an Ingress", ingress("captioner"), ingress("gateway"), "i"},
		{"an HTTPRoute of another namespace", route("captioner", "vision"), route("gateway", "apex-system"), "h"},
		{"a VirtualService", virtual("captioner.vision.svc.cluster.local"), virtual("gateway.apex-system.svc.cluster.local"), "v"},
		{"an Ingress to an alias", alias("captioner.vision.svc.cluster.local") + "\n---\n" + ingress("alias"), alias("gateway.apex-system.svc.cluster.local") + "\n---\n" + ingress("alias"), "i"},
		{"a LoadBalancer", second(", type: LoadBalancer"), second(""), "second"},
		{"a NodePort", second(", type: NodePort"), second(", type: ClusterIP"), "second"},
		{"a NodePort to others", second(", type: NodePort"), other(second(", type: NodePort")), "second"},
		{"externalIPs", second(", externalIPs: [203.0.113.1]"), other(second(", externalIPs: [203.0.113.1]")), "second"},
		{"a Service whose addresses are written by hand", strings.Replace(second(""), "selector: {app: captioner}, ", "", 1), second(""), "second"},
		{"hostPort", node("containers: [{name: c, image: r/c:1, ports: [{containerPort: 8080, hostPort: 8080}]}]"), node("containers: [{name: c, image: r/c:1, ports: [{containerPort: 8080}]}]"), "d"},
		{"hostPort of a container that starts first and stays", node("initContainers: [{name: i, image: r/c:1, restartPolicy: Always, ports: [{containerPort: 8080, hostPort: 8080}]}], containers: [{name: c, image: r/c:1}]"),
			node("initContainers: [{name: i, image: r/c:1, restartPolicy: Always, ports: [{containerPort: 8080}]}], containers: [{name: c, image: r/c:1}]"), "d"},
		{"hostNetwork", node("hostNetwork: true, containers: [{name: c, image: r/c:1}]"), node("containers: [{name: c, image: r/c:1}]"), "d"},
		{"a policy that lets everybody in", policyOf("[{}]"), policyOf("[]"), "more"},
	} {
		t.Run(c.name, func(t *testing.T) {
			bad := objects(t, c.bad)
			create(t, bad)
			found := Analyse(everything(t, client), spec)
			if !slices.ContainsFunc(found, func(f Finding) bool {
				return f.Code == verdict.NetworkRoute && f.Object.Name == c.by && f.Why != "" && f.Mend != ""
			}) {
				t.Errorf("found %+v", found)
			}
			remove(t, bad)
			good := objects(t, c.good)
			create(t, good)
			if found := Analyse(everything(t, client), spec); len(found) != 0 {
				t.Errorf("the twin has findings: %+v", found)
			}
			remove(t, good)
		})
	}
}
