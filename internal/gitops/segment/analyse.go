package segment

import (
	"fmt"
	"slices"
	"strings"

	"github.com/apexlogic/apex/internal/gitops"
	"github.com/apexlogic/apex/verdict"
)

// Finding is a way to a workload that does not lead through the gateway.
type Finding struct {
	Code     verdict.Code   `json:"code"`
	Workload gitops.ID      `json:"workload"`
	Object   gitops.ID      `json:"object"` // what opens the way
	Where    verdict.Origin `json:"where"`  // of that object
	Why      string         `json:"why"`
	Mend     string         `json:"mend"`
}

// Analyse returns the ways around the gateway to each workload among the
// objects, which are all that a cluster holds, or will: policies add up, so that
// one forgotten policy opens what all others close. It is sure about what it
// does not report: a selector that it cannot see through is reported.
//
// It does not see what a network plugin adds (host policies, global policies),
// and addresses that somebody puts into an EndpointSlice by hand are reported as
// the Service without a selector that they need.
func Analyse(objects []gitops.Object, spec Spec) []Finding {
	a := analysis{spec: spec, policies: policiesOf(objects), objects: objects}
	for _, w := range Workloads(objects) {
		a.workload(w)
	}
	return a.found
}

type analysis struct {
	spec     Spec
	policies []policy
	objects  []gitops.Object
	found    []Finding
}

func (a *analysis) report(code verdict.Code, w Workload, by gitops.ID, where verdict.Origin, why, mend string) {
	a.found = append(a.found, Finding{code, w.ID, by, where, why, mend})
}

func (a *analysis) workload(w Workload) {
	if w.HostNetwork {
		a.report(verdict.NetworkRoute, w, w.ID, w.Where, "its pods are in the host's network, where no NetworkPolicy holds", "remove hostNetwork")
	}
	for _, p := range w.HostPorts {
		a.report(verdict.NetworkRoute, w, w.ID, w.Where, fmt.Sprintf("port %d of every node leads to it", p), "remove hostPort")
	}
	if w.Public {
		a.report(verdict.NetworkRoute, w, w.ID, w.Where, "its platform makes a route to it for the world",
			"give it the label networking.knative.dev/visibility: cluster-local, and let the gateway call it")
	}
	a.ingress(w)
	for i := range a.objects {
		a.service(w, &a.objects[i])
		a.knative(w, &a.objects[i])
	}
	for _, name := range w.Made {
		a.routes(w, destination{w.Namespace, name}, "the Service "+name+" that its platform makes")
	}
}

// ingress looks at every rule by which somebody may reach the workload.
func (a *analysis) ingress(w Workload) {
	selected := false
	for i := range a.policies {
		p := &a.policies[i]
		if p.namespace != w.Namespace || !slices.Contains(p.types, "Ingress") || !p.selects.matches(w.Labels) {
			continue
		}
		selected = true
		for n, r := range p.rules["Ingress"] {
			if why := a.stranger(w, p.namespace, &r); why != "" {
				a.report(verdict.NetworkRoute, w, p.ID, p.object.Where, fmt.Sprintf("rule %d lets in %s", n+1, why),
					"remove the rule, or declare the way, so that it is reviewed with the source")
			}
		}
	}
	if !selected {
		a.report(verdict.NetworkUnsegmented, w, w.ID, w.Where, "no NetworkPolicy selects its pods, so that everything in the cluster reaches them",
			"declare segmentation for the source")
	}
}

// stranger says whom a rule lets in who has no business there; "" when nobody.
func (a *analysis) stranger(w Workload, namespace string, r *policyRule) string {
	if r.peers.every {
		return "everybody"
	}
	for _, q := range r.peers.list {
		switch {
		case q.block.IsValid():
			return "addresses of " + q.block.String()
		case q.pods == nil && q.namespaces == nil:
			return "a peer that says nothing"
		case !a.expected(w, namespace, &q, r.ports):
			return q.String(namespace)
		}
	}
	return ""
}

// expected reports whether all pods of the peer are the gateway's, a
// platform's, or declared for the workload, for these ports.
func (a *analysis) expected(w Workload, namespace string, q *policyPeer, ports policyPorts) bool {
	is := func(p Peer, declared []Port) bool {
		if q.namespaces == nil {
			if namespace != p.Namespace {
				return false
			}
		} else if !q.namespaces.within(map[string]string{LabelNamespace: p.Namespace}) {
			return false
		}
		if len(p.Labels) > 0 && (q.pods == nil || !q.pods.within(p.Labels)) {
			return false
		}
		return covers(declared, ports)
	}
	if is(a.spec.Gateway, nil) {
		return true
	}
	for _, p := range platforms() {
		if p.group == w.Group && is(p.from, p.ports) {
			return true
		}
	}
	return slices.ContainsFunc(a.spec.Allow, func(f Flow) bool { return f.To.holds(w.Namespace, w.Labels) && is(f.From, f.Ports) })
}

// covers reports whether the declared ports hold all of a rule's; none declared
// holds every port.
func covers(declared []Port, ports policyPorts) bool {
	if len(declared) == 0 {
		return true
	}
	if len(ports) == 0 {
		return false
	}
	for _, p := range ports {
		protocol, _ := p["protocol"].(string)
		if protocol == "" {
			protocol = "TCP"
		}
		name, _ := p["port"].(string)
		first, numbered := number(p["port"])
		last := first
		if end, ok := number(p["endPort"]); ok {
			last = end
		}
		if !slices.ContainsFunc(declared, func(d Port) bool {
			want := d.Protocol
			if want == "" {
				want = "TCP"
			}
			every := d.Name == "" && d.Number == 0
			return want == protocol && (every || d.Name != "" && d.Name == name || numbered && d.Number > 0 && int64(d.Number) == first && first == last)
		}) {
			return false
		}
	}
	return true
}

// String says who the peer is, for people.
func (q *policyPeer) String(namespace string) string {
	who := "all pods"
	if q.pods != nil && (len(q.pods.labels) > 0 || len(q.pods.terms) > 0) {
		who = "pods with " + q.pods.text()
	}
	switch {
	case q.namespaces == nil:
		return who + " of the namespace " + namespace
	case len(q.namespaces.labels) == 0 && len(q.namespaces.terms) == 0:
		return who + " of every namespace"
	}
	return who + " of the namespaces with " + q.namespaces.text()
}

func (s *selector) text() string {
	var parts []string
	for _, k := range sortedKeys(s.labels) {
		parts = append(parts, k+"="+s.labels[k])
	}
	for _, t := range s.terms {
		parts = append(parts, strings.TrimSpace(t.key+" "+t.operator+" "+strings.Join(t.values, ",")))
	}
	return strings.Join(parts, ", ")
}

// service looks at an object that may make a route to the workload.
func (a *analysis) service(w Workload, o *gitops.Object) {
	if o.Group != "" || o.Kind != "Service" || o.Namespace != w.Namespace {
		return
	}
	spec := at(o.Body, "spec")
	selects := texts(at(spec, "selector"))
	external, _ := spec["externalIPs"].([]any)
	if len(selects) == 0 {
		if kind, _ := spec["type"].(string); kind != "ExternalName" {
			a.report(verdict.NetworkRoute, w, o.ID, o.Where, "a Service without a selector leads to whatever addresses its EndpointSlices name, pods of the workload too",
				"give it a selector")
		}
		return
	}
	labels := selector{labels: selects}
	if !labels.matches(w.Labels) {
		return
	}
	if kind, _ := spec["type"].(string); kind == "NodePort" || kind == "LoadBalancer" {
		a.report(verdict.NetworkRoute, w, o.ID, o.Where, "it is reached from outside of the cluster by a Service of type "+kind, "make it a ClusterIP: the gateway calls it")
	}
	if len(external) > 0 {
		a.report(verdict.NetworkRoute, w, o.ID, o.Where, "externalIPs lead to it from outside of the cluster", "remove externalIPs")
	}
	a.routes(w, destination{o.Namespace, o.Name}, "its Service "+o.Name)
}
