// Package segment cuts a network into what may reach what: it writes the
// NetworkPolicies that leave one way to a workload, through the gateway, and
// finds the ways that lead around it.
//
// Start with [Generate], which adds policies to a set's objects, and [Analyse],
// which looks at objects as they are desired or as they run.
//
// Sources: Kubernetes documentation, "Network Policies" (policies add up: what
// any of them allows is allowed); networking.k8s.io/v1; Knative Serving,
// "Configuring private Services"; KServe, "Cluster local services".
package segment

import (
	"cmp"
	"fmt"
	"maps"
	"net/netip"
	"slices"
	"strings"

	"github.com/apexlogic/apex/internal/gitops"
)

// LabelNamespace is what the API server gives every namespace: its name.
const LabelNamespace = "kubernetes.io/metadata.name"

// Peer names pods of one namespace; without labels, all of them.
type Peer struct {
	Namespace string
	Labels    map[string]string
}

// Port is a port of pods. Exactly one of Number and Name is given; 0 and "" are
// every port.
type Port struct {
	Protocol string // "TCP", "UDP" or "SCTP"; "" is TCP
	Number   int
	Name     string
}

// Flow is a declared way from some pods to others.
type Flow struct {
	From, To Peer
	Ports    []Port // none: every port
}

// Outside is a declared way from pods to addresses that are no pods.
type Outside struct {
	From  Peer
	CIDR  netip.Prefix
	Ports []Port // none: every port
}

// Spec is who may reach what, beside the gateway.
type Spec struct {
	Gateway Peer
	Allow   []Flow
	Egress  []Outside
}

// dns is where names are resolved, in every distribution.
var dns = Peer{Namespace: "kube-system", Labels: map[string]string{"k8s-app": "kube-dns"}}

// platform is what has to reach a kind of workload so that it works at all.
type platform struct {
	group string
	from  Peer
	ports []Port
}

// platforms has a line for each platform.
func platforms() []platform {
	tcp := func(numbers ...int) (out []Port) {
		for _, n := range numbers {
			out = append(out, Port{Number: n})
		}
		return out
	}
	return []platform{
		// The activator sends the requests (HTTP/1 and HTTP/2) and probes of a
		// service that was scaled to zero, the autoscaler reads the queue's metrics.
		{"serving.knative.dev", Peer{"knative-serving", map[string]string{"app": "activator"}}, tcp(8012, 8013, 8022)},
		{"serving.knative.dev", Peer{"knative-serving", map[string]string{"app": "autoscaler"}}, tcp(9090)},
		{"serving.kserve.io", Peer{"knative-serving", map[string]string{"app": "activator"}}, tcp(8012, 8013, 8022)},
		{"serving.kserve.io", Peer{"knative-serving", map[string]string{"app": "autoscaler"}}, tcp(9090)},
	}
}

// never are addresses that no pod has a reason to ask, even where a wide CIDR is
// declared: the cloud's metadata service hands out credentials there.
var never = []netip.Prefix{netip.MustParsePrefix("169.254.0.0/16"), netip.MustParsePrefix("fd00:ec2::/32"), netip.MustParsePrefix("fe80::/10")}

// Generate returns the NetworkPolicies for the workloads among the objects, in
// order: in each of their namespaces nothing may be reached and nothing may
// reach out, but for the gateway's requests, the resolution of names, what a
// platform needs, and what spec declares. A spec without a gateway, or with a
// peer without a namespace, is an error.
func Generate(objects []gitops.Object, spec Spec) ([]gitops.Object, error) {
	if err := spec.check(); err != nil {
		return nil, err
	}
	var out []gitops.Object
	add := func(namespace, name string, body map[string]any) error {
		o, err := gitops.NewObject(map[string]any{
			"apiVersion": "networking.k8s.io/v1", "kind": "NetworkPolicy",
			"metadata": map[string]any{"name": name, "namespace": namespace},
			"spec":     body,
		}, origin)
		out = append(out, o)
		return err
	}
	denied := map[string]bool{}
	for _, w := range Workloads(objects) {
		if !denied[w.Namespace] {
			denied[w.Namespace] = true
			if err := add(w.Namespace, "apex-default-deny", map[string]any{
				"podSelector": map[string]any{}, "policyTypes": []any{"Ingress", "Egress"},
			}); err != nil {
				return nil, err
			}
		}
		if err := add(w.Namespace, policyName(w), map[string]any{
			"podSelector": selectorBody(w.Selector), "policyTypes": []any{"Ingress", "Egress"},
			"ingress": spec.ingress(w), "egress": spec.egress(w),
		}); err != nil {
			return nil, err
		}
	}
	return out, nil
}

// policyName is unique among the workloads of a namespace: kinds may share names.
func policyName(w Workload) string {
	name := "apex-" + strings.ToLower(w.Kind) + "-" + w.Name
	return name[:min(len(name), 253)]
}

func (s *Spec) check() error {
	if s.Gateway.Namespace == "" || len(s.Gateway.Labels) == 0 {
		return fmt.Errorf("segmentation needs the gateway's namespace and the labels of its pods: without them everything in a namespace would be the gateway")
	}
	for i, f := range s.Allow {
		if f.From.Namespace == "" || f.To.Namespace == "" {
			return fmt.Errorf("allow[%d]: both sides need a namespace", i)
		}
	}
	for i, o := range s.Egress {
		if o.From.Namespace == "" || !o.CIDR.IsValid() {
			return fmt.Errorf("egress[%d]: it needs the namespace it is for, and a CIDR", i)
		}
	}
	for _, p := range slices.Concat(ports(s)...) {
		if p.Number < 0 || p.Number > 65535 || p.Number > 0 && p.Name != "" {
			return fmt.Errorf("a port has a number up to 65535 or a name")
		}
		if !slices.Contains([]string{"", "TCP", "UDP", "SCTP"}, p.Protocol) {
			return fmt.Errorf("the protocol of a port is TCP, UDP or SCTP")
		}
	}
	return nil
}

func ports(s *Spec) (out [][]Port) {
	for _, f := range s.Allow {
		out = append(out, f.Ports)
	}
	for _, o := range s.Egress {
		out = append(out, o.Ports)
	}
	return out
}

// ingress are the rules by which the workload may be reached.
func (s *Spec) ingress(w Workload) []any {
	rules := []any{rule("from", peerBody(s.Gateway), nil)}
	for _, p := range platforms() {
		if p.group == w.Group {
			rules = append(rules, rule("from", peerBody(p.from), p.ports))
		}
	}
	for _, f := range s.Allow {
		if f.To.holds(w.Namespace, w.Labels) {
			rules = append(rules, rule("from", peerBody(f.From), f.Ports))
		}
	}
	return rules
}

// egress are the rules by which it may reach out.
func (s *Spec) egress(w Workload) []any {
	rules := []any{rule("to", peerBody(dns), []Port{{Protocol: "UDP", Number: 53}, {Protocol: "TCP", Number: 53}})}
	for _, f := range s.Allow {
		if f.From.holds(w.Namespace, w.Labels) {
			rules = append(rules, rule("to", peerBody(f.To), f.Ports))
		}
	}
	for _, o := range s.Egress {
		if o.From.holds(w.Namespace, w.Labels) {
			rules = append(rules, rule("to", blockBody(o.CIDR), o.Ports))
		}
	}
	return rules
}

// holds reports whether pods with the labels are among the peer's.
func (p Peer) holds(namespace string, labels map[string]string) bool {
	if p.Namespace != namespace {
		return false
	}
	for k, v := range p.Labels {
		if labels[k] != v {
			return false
		}
	}
	return true
}

func rule(direction string, peer map[string]any, ports []Port) map[string]any {
	r := map[string]any{direction: []any{peer}}
	if len(ports) > 0 {
		var list []any
		for _, p := range ports {
			body := map[string]any{"protocol": cmp.Or(p.Protocol, "TCP")}
			switch {
			case p.Name != "":
				body["port"] = p.Name
			case p.Number > 0:
				body["port"] = int64(p.Number)
			}
			list = append(list, body)
		}
		r["ports"] = list
	}
	return r
}

func peerBody(p Peer) map[string]any {
	return map[string]any{
		"namespaceSelector": selectorBody(map[string]string{LabelNamespace: p.Namespace}),
		"podSelector":       selectorBody(p.Labels),
	}
}

func selectorBody(labels map[string]string) map[string]any {
	if len(labels) == 0 {
		return map[string]any{}
	}
	m := map[string]any{}
	for k, v := range labels {
		m[k] = v
	}
	return map[string]any{"matchLabels": m}
}

// blockBody leaves out what is never to be reached.
func blockBody(cidr netip.Prefix) map[string]any {
	cidr = cidr.Masked()
	block := map[string]any{"cidr": cidr.String()}
	var except []any
	for _, n := range never {
		// An exception has to lie within the block.
		if n.Addr().Is4() == cidr.Addr().Is4() && cidr.Bits() <= n.Bits() && cidr.Contains(n.Addr()) {
			except = append(except, n.String())
		}
	}
	if len(except) > 0 {
		block["except"] = except
	}
	return map[string]any{"ipBlock": block}
}

func sortedKeys(m map[string]string) []string { return slices.Sorted(maps.Keys(m)) }
