package segment

import (
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"net/netip"
	"testing"

	corev1 "k8s.io/api/core/v1"
	netv1 "k8s.io/api/networking/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/labels"
	"k8s.io/apimachinery/pkg/util/intstr"
	utiljson "k8s.io/apimachinery/pkg/util/json"

	"github.com/apexlogic/apex/internal/gitops"
	"github.com/apexlogic/apex/verdict"
)

// reference judges as the comments of networking.k8s.io/v1 have it, on its own
// types and with apimachinery's selectors.
func reference(policies []netv1.NetworkPolicy, from, to Pod, protocol corev1.Protocol, port int32) bool {
	selects := func(s *metav1.LabelSelector, set map[string]string) bool {
		sel, err := metav1.LabelSelectorAsSelector(s)
		return err == nil && sel.Matches(labels.Set(set))
	}
	peerMatches := func(own string, p netv1.NetworkPolicyPeer, other Pod) bool {
		if p.IPBlock != nil {
			block := netip.MustParsePrefix(p.IPBlock.CIDR)
			for _, e := range p.IPBlock.Except {
				if netip.MustParsePrefix(e).Contains(other.Address) {
					return false
				}
			}
			return block.Contains(other.Address)
		}
		if other.Namespace == "" {
			return false
		}
		namespace := labels.Set{LabelNamespace: other.Namespace}
		for k, v := range other.NamespaceLabels {
			namespace[k] = v
		}
		switch {
		case p.NamespaceSelector != nil && p.PodSelector != nil:
			return selects(p.NamespaceSelector, namespace) && selects(p.PodSelector, other.Labels)
		case p.NamespaceSelector != nil:
			return selects(p.NamespaceSelector, namespace)
		case p.PodSelector != nil:
			return other.Namespace == own && selects(p.PodSelector, other.Labels)
		}
		return false
	}
	portMatches := func(list []netv1.NetworkPolicyPort) bool {
		if len(list) == 0 {
			return true
		}
		for _, p := range list {
			want := corev1.ProtocolTCP
			if p.Protocol != nil {
				want = *p.Protocol
			}
			if want != protocol {
				continue
			}
			if p.Port == nil {
				return true
			}
			if p.Port.Type == intstr.String {
				if n, ok := to.Ports[p.Port.StrVal]; ok && int32(n) == port {
					return true
				}
				continue
			}
			if p.EndPort != nil && p.Port.IntVal <= port && port <= *p.EndPort || p.Port.IntVal == port {
				return true
			}
		}
		return false
	}
	side := func(self, other Pod, kind netv1.PolicyType) bool {
		if self.Namespace == "" {
			return true
		}
		isolated := false
		for _, p := range policies {
			applies := false
			for _, t := range p.Spec.PolicyTypes {
				applies = applies || t == kind
			}
			if len(p.Spec.PolicyTypes) == 0 {
				applies = kind == netv1.PolicyTypeIngress || len(p.Spec.Egress) > 0
			}
			if !applies || p.Namespace != self.Namespace || !selects(&p.Spec.PodSelector, self.Labels) {
				continue
			}
			isolated = true
			if kind == netv1.PolicyTypeIngress {
				for _, r := range p.Spec.Ingress {
					ok := len(r.From) == 0
					for _, peer := range r.From {
						ok = ok || peerMatches(p.Namespace, peer, other)
					}
					if ok && portMatches(r.Ports) {
						return true
					}
				}
				continue
			}
			for _, r := range p.Spec.Egress {
				ok := len(r.To) == 0
				for _, peer := range r.To {
					ok = ok || peerMatches(p.Namespace, peer, other)
				}
				if ok && portMatches(r.Ports) {
					return true
				}
			}
		}
		return !isolated
	}
	return side(from, to, netv1.PolicyTypeEgress) && side(to, from, netv1.PolicyTypeIngress)
}

// TestReachAgreesWithAnEvaluationWrittenFromTheAPI compares both on random
// policies over few names, so that they often meet.
func TestReachAgreesWithAnEvaluationWrittenFromTheAPI(t *testing.T) {
	r := rand.New(rand.NewPCG(11, 12))
	pick := func(list ...string) string { return list[r.IntN(len(list))] }
	randomLabels := func() map[string]string {
		m := map[string]string{}
		for range r.IntN(3) {
			m[pick("a", "b")] = pick("x", "y")
		}
		return m
	}
	randomSelector := func() *metav1.LabelSelector {
		s := &metav1.LabelSelector{}
		if r.IntN(2) == 0 {
			s.MatchLabels = randomLabels()
		}
		if r.IntN(3) == 0 {
			op := []metav1.LabelSelectorOperator{metav1.LabelSelectorOpIn, metav1.LabelSelectorOpNotIn, metav1.LabelSelectorOpExists, metav1.LabelSelectorOpDoesNotExist}[r.IntN(4)]
			e := metav1.LabelSelectorRequirement{Key: pick("a", "b", LabelNamespace), Operator: op}
			if op == metav1.LabelSelectorOpIn || op == metav1.LabelSelectorOpNotIn {
				e.Values = []string{pick("x", "y", "n1")}
				if r.IntN(2) == 0 {
					e.Values = append(e.Values, pick("z", "n2"))
				}
			}
			s.MatchExpressions = append(s.MatchExpressions, e)
		}
		return s
	}
	randomPeer := func() netv1.NetworkPolicyPeer {
		var p netv1.NetworkPolicyPeer
		switch r.IntN(4) {
		case 0:
			p.IPBlock = &netv1.IPBlock{CIDR: pick("10.0.0.0/8", "0.0.0.0/0", "10.0.0.1/32", "203.0.113.0/24")}
			if r.IntN(2) == 0 && p.IPBlock.CIDR == "0.0.0.0/0" {
				p.IPBlock.Except = []string{pick("10.0.0.0/24", "203.0.113.0/25")}
			}
		case 1:
			p.PodSelector = randomSelector()
		case 2:
			p.NamespaceSelector = randomSelector()
		default:
			p.PodSelector, p.NamespaceSelector = randomSelector(), randomSelector()
		}
		return p
	}
	randomPorts := func() (out []netv1.NetworkPolicyPort) {
		for range r.IntN(3) {
			var p netv1.NetworkPolicyPort
			if r.IntN(2) == 0 {
				proto := []corev1.Protocol{"TCP", "UDP"}[r.IntN(2)]
				p.Protocol = &proto
			}
			switch r.IntN(4) {
			case 0:
				v := intstr.FromString(pick("http", "other"))
				p.Port = &v
			case 1:
				v := intstr.FromInt32(int32(80 + r.IntN(3)))
				p.Port = &v
			case 2:
				v, end := intstr.FromInt32(int32(79+r.IntN(3))), int32(81+r.IntN(3))
				p.Port, p.EndPort = &v, &end
			}
			out = append(out, p)
		}
		return out
	}
	randomPod := func() Pod {
		p := Pod{Namespace: pick("n1", "n2", ""), Labels: randomLabels(), NamespaceLabels: map[string]string{}, Address: netip.MustParseAddr(pick("10.0.0.1", "10.0.1.1", "203.0.113.5", "203.0.113.200")), Ports: map[string]int64{"http": int64(80 + r.IntN(2))}}
		if p.Namespace == "n1" {
			p.NamespaceLabels["a"] = "x"
		}
		return p
	}
	const cases = 20_000
	yes := 0
	for n := range cases {
		var policies []netv1.NetworkPolicy
		var all []gitops.Object
		for i := range 1 + r.IntN(3) {
			p := netv1.NetworkPolicy{TypeMeta: metav1.TypeMeta{APIVersion: "networking.k8s.io/v1", Kind: "NetworkPolicy"}}
			p.Name, p.Namespace = fmt.Sprint("p", i), pick("n1", "n2")
			p.Spec.PodSelector = *randomSelector()
			switch r.IntN(4) {
			case 0:
				p.Spec.PolicyTypes = []netv1.PolicyType{netv1.PolicyTypeIngress}
			case 1:
				p.Spec.PolicyTypes = []netv1.PolicyType{netv1.PolicyTypeEgress}
			case 2:
				p.Spec.PolicyTypes = []netv1.PolicyType{netv1.PolicyTypeIngress, netv1.PolicyTypeEgress}
			}
			for range r.IntN(3) {
				rule := netv1.NetworkPolicyIngressRule{Ports: randomPorts()}
				for range r.IntN(3) {
					rule.From = append(rule.From, randomPeer())
				}
				p.Spec.Ingress = append(p.Spec.Ingress, rule)
			}
			for range r.IntN(3) {
				rule := netv1.NetworkPolicyEgressRule{Ports: randomPorts()}
				for range r.IntN(3) {
					rule.To = append(rule.To, randomPeer())
				}
				p.Spec.Egress = append(p.Spec.Egress, rule)
			}
			policies = append(policies, p)
			data, err := json.Marshal(p)
			if err != nil {
				t.Fatal(err)
			}
			var body map[string]any
			if err := utiljson.Unmarshal(data, &body); err != nil {
				t.Fatal(err)
			}
			o, err := gitops.NewObject(body, verdict.Origin{})
			if err != nil {
				t.Fatal(err)
			}
			all = append(all, o)
		}
		from, to := randomPod(), randomPod()
		protocol, port := pick("TCP", "UDP"), int32(79+r.IntN(6))
		want := reference(policies, from, to, corev1.Protocol(protocol), port)
		if want {
			yes++
		}
		if got := Reach(all, from, to, protocol, int64(port)); got != want {
			data, _ := json.MarshalIndent(policies, "", " ")
			t.Fatalf("case %d: %v, want %v: %+v to %+v %s/%d under\n%s", n, got, want, from, to, protocol, port, data)
		}
	}
	if yes < cases/10 || yes > cases*9/10 {
		t.Errorf("%d of %d cases are allowed: one answer is hardly tested", yes, cases)
	}
}
