package segment

import (
	"net/netip"
	"slices"

	"github.com/apexlogic/apex/internal/gitops"
)

// Pod is an end of a connection. An address alone (no namespace) is something
// outside of the cluster.
type Pod struct {
	Namespace string
	Labels    map[string]string
	// NamespaceLabels beside [LabelNamespace], which is there by itself.
	NamespaceLabels map[string]string
	Address         netip.Addr
	Ports           map[string]int64 // by name
}

// Reach simulates what policies do, on what [Analyse] reads of them: it reports whether the NetworkPolicies among the objects let from open a
// connection to the port of to: from's side has to let it out, and to's side has
// to let it in. A side that no policy of its direction selects lets everything.
func Reach(objects []gitops.Object, from, to Pod, protocol string, port int64) bool {
	policies := policiesOf(objects)
	return lets(policies, "Egress", from, to, to, protocol, port) && lets(policies, "Ingress", to, from, to, protocol, port)
}

// lets judges one side: self is who the policies select, other the far end, and
// target who has the port.
func lets(policies []policy, direction string, self, other, target Pod, protocol string, port int64) bool {
	if self.Namespace == "" {
		return true // what is outside of the cluster has no policies
	}
	selected := false
	for i := range policies {
		p := &policies[i]
		if p.namespace != self.Namespace || !slices.Contains(p.types, direction) || !p.selects.matches(self.Labels) {
			continue
		}
		selected = true
		for _, r := range p.rules[direction] {
			if r.ports.allow(protocol, port, target) && r.peers.allow(p.namespace, other) {
				return true
			}
		}
	}
	return !selected
}

func (p *peers) allow(namespace string, other Pod) bool {
	return p.every || slices.ContainsFunc(p.list, func(q policyPeer) bool { return q.allows(namespace, other) })
}

// allows judges one peer. Blocks are compared with addresses, of pods too.
func (q *policyPeer) allows(namespace string, other Pod) bool {
	if q.block.IsValid() {
		a := other.Address.Unmap()
		return a.IsValid() && q.block.Contains(a) && !slices.ContainsFunc(q.except, func(x netip.Prefix) bool { return x.Contains(a) })
	}
	if other.Namespace == "" {
		return false
	}
	if q.namespaces == nil {
		if other.Namespace != namespace {
			return false
		}
	} else {
		labels := map[string]string{LabelNamespace: other.Namespace}
		for k, v := range other.NamespaceLabels {
			if k != LabelNamespace {
				labels[k] = v
			}
		}
		if !q.namespaces.matches(labels) {
			return false
		}
	}
	return q.pods == nil && q.namespaces != nil || q.pods != nil && q.pods.matches(other.Labels)
}

func (list policyPorts) allow(protocol string, port int64, target Pod) bool {
	if len(list) == 0 {
		return true
	}
	for _, p := range list {
		want, _ := p["protocol"].(string)
		if want == "" {
			want = "TCP"
		}
		if want != protocol {
			continue
		}
		switch v := p["port"].(type) {
		case nil:
			return true
		case string:
			if n, ok := target.Ports[v]; ok && n == port {
				return true
			}
		default:
			first, ok := number(v)
			last := first
			if end, is := number(p["endPort"]); is {
				last = end
			}
			if ok && first <= port && port <= last {
				return true
			}
		}
	}
	return false
}
