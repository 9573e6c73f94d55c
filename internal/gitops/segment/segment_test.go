package segment

import (
	"encoding/json"
	"fmt"
	"net/netip"
	"slices"
	"strings"
	"testing"

	"sigs.k8s.io/yaml"

	"github.com/apexlogic/apex/internal/gitops"
	"github.com/apexlogic/apex/verdict"
)

// objects reads YAML documents.
func objects(t testing.TB, text string) []gitops.Object {
	t.Helper()
	var out []gitops.Object
	for doc := range strings.SplitSeq(text, "\n---\n") {
		var body map[string]any
		if err := yaml.Unmarshal([]byte(doc), &body); err != nil {
			t.Fatalf("%v in\n%s", err, doc)
		}
		if body == nil {
			continue
		}
		o, err := gitops.NewObject(body, verdict.Origin{File: "a.yaml"})
		if err != nil {
			t.Fatalf("%v in\n%s", err, doc)
		}
		out = append(out, o)
	}
	return out
}

var (
	gateway = Peer{"apex-system", map[string]string{"app": "apex-gateway"}}
	spec    = Spec{
		Gateway: gateway,
		Allow:   []Flow{{From: Peer{"claims", map[string]string{"app": "forms"}}, To: Peer{"vision", map[string]string{"app": "captioner"}}, Ports: []Port{{Number: 8080}}}},
		Egress:  []Outside{{From: Peer{"vision", map[string]string{"app": "captioner"}}, CIDR: netip.MustParsePrefix("0.0.0.0/0"), Ports: []Port{{Number: 443}}}},
	}
)

const captioner = `
apiVersion: apps/v1
kind: Deployment
metadata: {name: captioner, namespace: vision}
spec:
  selector: {matchLabels: {app: captioner}}
  template:
    metadata: {labels: {app: captioner, tier: web}}
    spec: {containers: [{name: c, image: r/c:1, ports: [{name: http, containerPort: 8080}]}]}`

func pod(namespace, address string, labels ...string) Pod {
	p := Pod{Namespace: namespace, Address: netip.MustParseAddr(address), Labels: map[string]string{}, Ports: map[string]int64{"http": 8080}}
	for _, l := range labels {
		k, v, _ := strings.Cut(l, "=")
		p.Labels[k] = v
	}
	return p
}

func TestTheGeneratedPoliciesLeaveTheDeclaredWays(t *testing.T) {
	all := objects(t, captioner)
	made, err := Generate(all, spec)
	if err != nil {
		t.Fatal(err)
	}
	all = append(all, made...)
	self := pod("vision", "10.0.0.1", "app=captioner", "tier=web")
	other := pod("vision", "10.0.0.2", "app=other")
	forms := pod("claims", "10.0.1.1", "app=forms")
	gate := pod("apex-system", "10.0.2.1", "app=apex-gateway")
	resolver := pod("kube-system", "10.0.3.1", "k8s-app=kube-dns")
	world := Pod{Address: netip.MustParseAddr("93.184.216.34")}
	metadata := Pod{Address: netip.MustParseAddr("169.254.169.254")}
	for _, c := range []struct {
		name     string
		from, to Pod
		protocol string
		port     int64
		want     bool
	}{
		{"the gateway reaches it", gate, self, "TCP", 8080, true},
		{"the gateway's neighbour does not", pod("apex-system", "10.0.2.2", "app=x"), self, "TCP", 8080, false},
		{"a pod with the gateway's labels elsewhere does not", pod("vision", "10.0.0.9", "app=apex-gateway"), self, "TCP", 8080, false},
		{"what is declared reaches it", forms, self, "TCP", 8080, true},
		{"on its port only", forms, self, "TCP", 9090, false},
		{"what is declared for others does not", pod("claims", "10.0.1.2", "app=other"), self, "TCP", 8080, false},
		{"its neighbour does not", other, self, "TCP", 8080, false},
		{"the world does not", world, self, "TCP", 8080, false},
		{"it resolves names", self, resolver, "UDP", 53, true},
		{"but asks the resolver nothing else", self, resolver, "TCP", 80, false},
		{"it reaches what is declared", self, world, "TCP", 443, true},
		{"on that port only", self, world, "TCP", 80, false},
		{"never the metadata service", self, metadata, "TCP", 443, false},
		{"a pod of the namespace without a policy of its own reaches nothing", other, world, "TCP", 443, false},
		{"nor its neighbour", other, self, "TCP", 8080, false},
		{"elsewhere nothing changes", pod("else", "10.0.4.1"), world, "TCP", 80, true},
	} {
		if got := Reach(all, c.from, c.to, c.protocol, c.port); got != c.want {
			t.Errorf("%s: %v", c.name, got)
		}
	}
	if found := Analyse(all, spec); len(found) != 0 {
		t.Errorf("the generated policies have findings: %+v", found)
	}
	again, err := Generate(all, spec)
	if err != nil {
		t.Fatal(err)
	}
	a, _ := json.Marshal(made)
	b, _ := json.Marshal(again)
	if string(a) != string(b) {
		t.Error("generated twice, and different")
	}
}

func TestAWideBlockLeavesTheMetadataServiceOut(t *testing.T) {
	for cidr, want := range map[string]string{
		"0.0.0.0/0":      `{"ipBlock":{"cidr":"0.0.0.0/0","except":["169.254.0.0/16"]}}`,
		"10.0.0.0/8":     `{"ipBlock":{"cidr":"10.0.0.0/8"}}`,
		"::/0":           `{"ipBlock":{"cidr":"::/0","except":["fd00:ec2::/32","fe80::/10"]}}`,
		"203.0.113.9/24": `{"ipBlock":{"cidr":"203.0.113.0/24"}}`,
	} {
		if got, _ := json.Marshal(blockBody(netip.MustParsePrefix(cidr))); string(got) != want {
			t.Errorf("%s: %s", cidr, got)
		}
	}
}

func TestASpecThatWouldMeanEverythingIsRefused(t *testing.T) {
	for name, s := range map[string]Spec{
		"no gateway":                 {},
		"a gateway without labels":   {Gateway: Peer{Namespace: "apex-system"}},
		"a flow without a namespace": {Gateway: gateway, Allow: []Flow{{From: Peer{Labels: map[string]string{"a": "b"}}, To: Peer{Namespace: "x"}}}},
		"egress without a block":     {Gateway: gateway, Egress: []Outside{{From: Peer{Namespace: "x"}}}},
		"a port of 70000":            {Gateway: gateway, Allow: []Flow{{From: gateway, To: gateway, Ports: []Port{{Number: 70000}}}}},
		"an unknown protocol":        {Gateway: gateway, Allow: []Flow{{From: gateway, To: gateway, Ports: []Port{{Protocol: "ICMP"}}}}},
	} {
		if _, err := Generate(nil, s); err == nil {
			t.Errorf("%s is accepted", name)
		}
	}
	if _, err := Generate(nil, spec); err != nil {
		t.Error(err)
	}
}

// closed is the captioner with what Generate makes for it.
func closed(t testing.TB, text string) []gitops.Object {
	t.Helper()
	all := objects(t, text)
	made, err := Generate(all, spec)
	if err != nil {
		t.Fatal(err)
	}
	return append(all, made...)
}

const service = `
apiVersion: v1
kind: Service
metadata: {name: captioner, namespace: vision}
spec: {selector: {app: captioner}, ports: [{port: 80, targetPort: http}]%s}`

func policyOf(ingress string) string {
	return "apiVersion: networking.k8s.io/v1\nkind: NetworkPolicy\nmetadata: {name: more, namespace: vision}\nspec: {podSelector: {matchLabels: {app: captioner}}, policyTypes: [Ingress], ingress: " + ingress + "}"
}

// TestWaysAroundTheGateway has, for each way, one that leads past the gateway
// and one that looks like it and does not.
func TestWaysAroundTheGateway(t *testing.T) {
	with := func(more ...string) string { return strings.Join(append([]string{captioner}, more...), "\n---\n") }
	knative := func(labels string) string {
		return "apiVersion: serving.knative.dev/v1\nkind: Service\nmetadata: {name: k, namespace: vision" + labels + "}\nspec: {template: {spec: {containers: [{image: r/k:1}]}}}"
	}
	kserve := func(labels string) string {
		return "apiVersion: serving.kserve.io/v1beta1\nkind: InferenceService\nmetadata: {name: m, namespace: vision" + labels + "}\nspec: {predictor: {model: {storageUri: 'oci://r/m'}}}"
	}
	ingress := func(name, namespace string) string {
		return "apiVersion: networking.k8s.io/v1\nkind: Ingress\nmetadata: {name: i, namespace: " + namespace + "}\nspec: {rules: [{http: {paths: [{path: /, pathType: Prefix, backend: {service: {name: " + name + ", port: {number: 80}}}}]}}]}"
	}
	route := func(backend string) string {
		return "apiVersion: gateway.networking.k8s.io/v1\nkind: HTTPRoute\nmetadata: {name: h, namespace: edge}\nspec: {parentRefs: [{name: captioner, namespace: vision}], rules: [{backendRefs: [" + backend + "]}]}"
	}
	svc := fmt.Sprintf(service, "")
	virtual := func(host string) string {
		return "apiVersion: networking.istio.io/v1\nkind: VirtualService\nmetadata: {name: v, namespace: edge}\nspec: {hosts: [x.example.com], http: [{route: [{destination: {host: " + host + "}}]}]}"
	}
	led := func(host string) string {
		return strings.Replace(virtual(host), "x.example.com", "captioner.vision.svc.cluster.local", 1)
	}
	annotated := func(snippet string) string {
		return strings.Replace(ingress("gateway", "edge"), "{name: i,", "{name: i, annotations: {nginx.ingress.kubernetes.io/configuration-snippet: '"+snippet+"'},", 1)
	}
	alias := func(host string) string {
		return "apiVersion: v1\nkind: Service\nmetadata: {name: alias, namespace: edge}\nspec: {type: ExternalName, externalName: " + host + "}"
	}
	private := func(of func(string) string) string {
		return of(", labels: {networking.knative.dev/visibility: cluster-local}")
	}
	mapping := func(name string) string {
		return "apiVersion: serving.knative.dev/v1beta1\nkind: DomainMapping\nmetadata: {name: k.example.com, namespace: vision}\nspec: {ref: {kind: Service, apiVersion: serving.knative.dev/v1, name: " + name + "}}"
	}
	const configuration = "apiVersion: serving.knative.dev/v1\nkind: Configuration\nmetadata: {name: c, namespace: vision}\nspec: {template: {spec: {containers: [{image: r/k:1}]}}}"
	knativeRoute := func(labels string) string {
		return "apiVersion: serving.knative.dev/v1\nkind: Route\nmetadata: {name: r, namespace: vision" + labels + "}\nspec: {traffic: [{configurationName: c, percent: 100}]}"
	}
	for _, c := range []struct {
		name, bad, good string
	}{
		{"everybody", with(policyOf("[{}]")), with(policyOf("[]"))},
		{"an empty list of peers", with(policyOf("[{from: []}]")), with()},
		{"every namespace", with(policyOf("[{from: [{namespaceSelector: {}}]}]")),
			with(policyOf("[{from: [{namespaceSelector: {matchLabels: {kubernetes.io/metadata.name: apex-system}}, podSelector: {matchLabels: {app: apex-gateway}}}]}]"))},
		{"the gateway's whole namespace", with(policyOf("[{from: [{namespaceSelector: {matchLabels: {kubernetes.io/metadata.name: apex-system}}}]}]")),
			with(policyOf("[{from: [{namespaceSelector: {matchLabels: {kubernetes.io/metadata.name: apex-system}}, podSelector: {matchLabels: {app: apex-gateway, zone: a}}}]}]"))},
		{"the gateway's label in every namespace", with(policyOf("[{from: [{namespaceSelector: {}, podSelector: {matchLabels: {app: apex-gateway}}}]}]")), with()},
		{"a namespace by a label that anybody may set", with(policyOf("[{from: [{namespaceSelector: {matchLabels: {name: apex-system}}, podSelector: {matchLabels: {app: apex-gateway}}}]}]")), with()},
		{"the gateway's label in the own namespace", with(policyOf("[{from: [{podSelector: {matchLabels: {app: apex-gateway}}}]}]")), with()},
		{"neighbours", with(policyOf("[{from: [{podSelector: {}}]}]")), with()},
		{"an In with a stranger", with(policyOf("[{from: [{namespaceSelector: {matchExpressions: [{key: kubernetes.io/metadata.name, operator: In, values: [apex-system, x]}]}, podSelector: {matchLabels: {app: apex-gateway}}}]}]")),
			with(policyOf("[{from: [{namespaceSelector: {matchExpressions: [{key: kubernetes.io/metadata.name, operator: In, values: [apex-system]}]}, podSelector: {matchLabels: {app: apex-gateway}}}]}]"))},
		{"a NotIn", with(policyOf("[{from: [{namespaceSelector: {matchExpressions: [{key: kubernetes.io/metadata.name, operator: NotIn, values: [x]}]}, podSelector: {matchLabels: {app: apex-gateway}}}]}]")), with()},
		{"an address block", with(policyOf("[{from: [{ipBlock: {cidr: 10.0.0.0/8}}]}]")), with()},
		{"one stranger among friends", with(policyOf("[{from: [{namespaceSelector: {matchLabels: {kubernetes.io/metadata.name: apex-system}}, podSelector: {matchLabels: {app: apex-gateway}}}, {podSelector: {}}]}]")), with()},
		{"a declared peer on another port", with(policyOf("[{from: [{namespaceSelector: {matchLabels: {kubernetes.io/metadata.name: claims}}, podSelector: {matchLabels: {app: forms}}}], ports: [{port: 9090}]}]")),
			with(policyOf("[{from: [{namespaceSelector: {matchLabels: {kubernetes.io/metadata.name: claims}}, podSelector: {matchLabels: {app: forms}}}], ports: [{port: 8080}]}]"))},
		{"a declared peer on every port", with(policyOf("[{from: [{namespaceSelector: {matchLabels: {kubernetes.io/metadata.name: claims}}, podSelector: {matchLabels: {app: forms}}}]}]")), with()},
		{"a declared peer on a range of ports", with(policyOf("[{from: [{namespaceSelector: {matchLabels: {kubernetes.io/metadata.name: claims}}, podSelector: {matchLabels: {app: forms}}}], ports: [{port: 8080, endPort: 8090}]}]")), with()},
		{"a declared peer by UDP", with(policyOf("[{from: [{namespaceSelector: {matchLabels: {kubernetes.io/metadata.name: claims}}, podSelector: {matchLabels: {app: forms}}}], ports: [{port: 8080, protocol: UDP}]}]")), with()},
		{"an empty peer", with(policyOf("[{from: [{}]}]")), with()},
		{"a policy for another pod", with(strings.Replace(policyOf("[{}]"), "{app: captioner}", "{tier: web}", 1)), with(strings.Replace(policyOf("[{}]"), "{app: captioner}", "{app: other}", 1))},
		{"a policy of another namespace", with(policyOf("[{}]")), with(strings.Replace(policyOf("[{}]"), "namespace: vision", "namespace: else", 1))},
		{"NodePort", with(fmt.Sprintf(service, ", type: NodePort")), with(svc)},
		{"LoadBalancer", with(fmt.Sprintf(service, ", type: LoadBalancer")), with(fmt.Sprintf(service, ", type: ClusterIP"))},
		{"externalIPs", with(fmt.Sprintf(service, ", externalIPs: [203.0.113.1]")), with(fmt.Sprintf(service, ", externalIPs: []"))},
		{"another's NodePort", with(fmt.Sprintf(service, ", type: NodePort")), with(strings.Replace(fmt.Sprintf(service, ", type: NodePort"), "{app: captioner}", "{app: other}", 1))},
		{"a Service without a selector", with("apiVersion: v1\nkind: Service\nmetadata: {name: s, namespace: vision}\nspec: {ports: [{port: 80}]}"),
			with("apiVersion: v1\nkind: Service\nmetadata: {name: s, namespace: vision}\nspec: {type: ExternalName, externalName: example.com}")},
		{"an Ingress", with(svc, ingress("captioner", "vision")), with(svc, ingress("gateway", "vision"))},
		{"an Ingress of another namespace", with(svc, ingress("captioner", "vision")), with(svc, ingress("captioner", "else"))},
		{"an HTTPRoute across namespaces", with(svc, route("{name: captioner, namespace: vision, port: 80}")), with(svc, route("{name: gateway, namespace: apex-system, port: 80}"))},
		{"a route to a host name", with(svc, "apiVersion: networking.istio.io/v1\nkind: VirtualService\nmetadata: {name: v, namespace: edge}\nspec: {http: [{route: [{destination: {host: captioner.vision.svc.cluster.local}}]}]}"),
			with(svc, "apiVersion: networking.istio.io/v1\nkind: VirtualService\nmetadata: {name: v, namespace: edge}\nspec: {http: [{route: [{destination: {host: captioner.else.svc.cluster.local}}]}]}")},
		{"a route to a host name of another form", with(svc, virtual("Captioner.Vision.svc.corp.example.")), with(svc, virtual("captioner.vision.example.com"))},
		{"a route to a host name with a port, in a text", with(svc, "apiVersion: getambassador.io/v3alpha1\nkind: Mapping\nmetadata: {name: m, namespace: edge}\nspec: {prefix: /, service: 'http://captioner.vision:80'}"),
			with(svc, "apiVersion: getambassador.io/v3alpha1\nkind: Mapping\nmetadata: {name: m, namespace: edge}\nspec: {prefix: /, service: 'http://gateway.vision-2:80'}")},
		{"a route in an annotation", with(svc, annotated("proxy_pass http://captioner.vision.svc.cluster.local/;")), with(svc, annotated("# captioner of vision is behind the gateway"))},
		{"the Service's name led elsewhere than to the gateway", with(svc, led("captioner.vision.svc")), with(svc, led("gateway.apex-system.svc"))},
		{"an Ingress to another name of the Service", with(svc, alias("captioner.vision.svc.cluster.local"), ingress("alias", "edge")), with(svc, alias("gateway.apex-system.svc.cluster.local"), ingress("alias", "edge"))},
		{"an Ingress to a name of a name of the Service", with(svc, alias("captioner.vision.svc"), strings.NewReplacer("name: alias", "name: second", "captioner.vision.svc", "alias.edge.svc").Replace(alias("captioner.vision.svc")), ingress("second", "edge")),
			with(svc, alias("captioner.vision.svc"), ingress("second", "edge"))},
		{"an Ingress to what Knative makes", private(knative) + "\n---\n" + ingress("k", "vision"), private(knative) + "\n---\n" + ingress("kk", "vision")},
		{"an Ingress to a revision", private(knative) + "\n---\n" + ingress("k-00001-private", "vision"), private(knative) + "\n---\n" + ingress("k-page", "vision")},
		{"a route to a revision's host name", private(knative) + "\n---\n" + virtual("k-00002.vision.svc.cluster.local"), private(knative) + "\n---\n" + virtual("k-00002.other.svc.cluster.local")},
		{"a DomainMapping", private(knative) + "\n---\n" + mapping("k"), private(knative) + "\n---\n" + mapping("gateway")},
		{"an Ingress to what KServe makes", private(kserve) + "\n---\n" + ingress("m-predictor", "vision"), private(kserve) + "\n---\n" + ingress("n-predictor", "vision")},
		{"a public Route to a Configuration", configuration + "\n---\n" + knativeRoute(""), configuration + "\n---\n" + knativeRoute(", labels: {networking.knative.dev/visibility: cluster-local}")},
		{"hostNetwork", strings.Replace(captioner, "spec: {containers", "spec: {hostNetwork: true, containers", 1), strings.Replace(captioner, "spec: {containers", "spec: {hostNetwork: false, containers", 1)},
		{"hostPort", strings.Replace(captioner, "containerPort: 8080", "containerPort: 8080, hostPort: 80", 1), captioner},
		{"a public Knative Service", knative(""), knative(", labels: {networking.knative.dev/visibility: cluster-local}")},
		{"a public InferenceService", kserve(""), kserve(", labels: {networking.kserve.io/visibility: cluster-local}")},
		{"the activator on another port", knative(", labels: {networking.knative.dev/visibility: cluster-local}") + "\n---\n" + strings.Replace(policyOf("[{from: [{namespaceSelector: {matchLabels: {kubernetes.io/metadata.name: knative-serving}}, podSelector: {matchLabels: {app: activator}}}], ports: [{port: 22}]}]"), "{app: captioner}", "{serving.knative.dev/service: k}", 1),
			knative(", labels: {networking.knative.dev/visibility: cluster-local}") + "\n---\n" + strings.Replace(policyOf("[{from: [{namespaceSelector: {matchLabels: {kubernetes.io/metadata.name: knative-serving}}, podSelector: {matchLabels: {app: activator}}}], ports: [{port: 8012}]}]"), "{app: captioner}", "{serving.knative.dev/service: k}", 1)},
	} {
		if found := Analyse(closed(t, c.bad), spec); len(found) == 0 || slices.ContainsFunc(found, func(f Finding) bool { return f.Code != verdict.NetworkRoute || f.Mend == "" }) {
			t.Errorf("%s: %+v", c.name, found)
		}
		if found := Analyse(closed(t, c.good), spec); len(found) != 0 {
			t.Errorf("%s: the good one has findings: %+v", c.name, found)
		}
	}
}

func TestAPodThatNoPolicySelectsIsReported(t *testing.T) {
	kinds := []string{captioner,
		"apiVersion: v1\nkind: Pod\nmetadata: {name: p, namespace: vision, labels: {app: p}}\nspec: {containers: []}",
		"apiVersion: batch/v1\nkind: CronJob\nmetadata: {name: j, namespace: vision}\nspec: {jobTemplate: {spec: {template: {metadata: {labels: {app: j}}, spec: {containers: []}}}}}",
		"apiVersion: batch/v1\nkind: Job\nmetadata: {name: j, namespace: vision}\nspec: {template: {metadata: {labels: {app: j}}, spec: {containers: []}}}",
		"apiVersion: apps/v1\nkind: StatefulSet\nmetadata: {name: s, namespace: vision}\nspec: {selector: {matchLabels: {app: s}}, template: {metadata: {labels: {app: s}}, spec: {containers: []}}}",
		"apiVersion: apps/v1\nkind: DaemonSet\nmetadata: {name: d, namespace: vision}\nspec: {selector: {matchLabels: {app: d}}, template: {metadata: {labels: {app: d}}, spec: {containers: []}}}",
	}
	for _, text := range kinds {
		found := Analyse(objects(t, text), spec)
		if len(found) != 1 || found[0].Code != verdict.NetworkUnsegmented {
			t.Errorf("%+v in %s", found, text)
		}
		if found := Analyse(closed(t, text), spec); len(found) != 0 {
			t.Errorf("%+v in %s", found, text)
		}
	}
	// An egress policy lets nobody in and keeps nobody out.
	only := captioner + "\n---\n" + strings.Replace(strings.Replace(policyOf("[]"), "[Ingress]", "[Egress]", 1), "ingress", "egress", 1)
	if found := Analyse(objects(t, only), spec); len(found) != 1 || found[0].Code != verdict.NetworkUnsegmented {
		t.Errorf("%+v", found)
	}
}

func BenchmarkThousandWorkloads(b *testing.B) {
	var all []gitops.Object
	for i := range 1000 {
		all = append(all, objects(b, strings.ReplaceAll(strings.ReplaceAll(captioner, "name: captioner", fmt.Sprintf("name: w%d", i)), "app: captioner", fmt.Sprintf("app: w%d", i)))...)
	}
	for b.Loop() {
		made, err := Generate(all, spec)
		if err != nil {
			b.Fatal(err)
		}
		if found := Analyse(append(slices.Clone(all), made...), spec); len(found) != 0 {
			b.Fatal(found[0])
		}
	}
}
