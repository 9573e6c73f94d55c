package segment

import (
	"net/netip"

	"github.com/apexlogic/apex/internal/gitops"
)

// policy is a NetworkPolicy.
type policy struct {
	gitops.ID
	object    *gitops.Object
	namespace string
	selects   selector
	types     []string
	rules     map[string][]policyRule // by direction
}

type policyRule struct {
	peers peers
	ports policyPorts
}

// peers of a rule; an empty list is everybody.
type peers struct {
	every bool
	list  []policyPeer
}

type policyPeer struct {
	pods, namespaces *selector // nil: not given
	block            netip.Prefix
	except           []netip.Prefix
}

type policyPorts []map[string]any // none: every port

func policiesOf(objects []gitops.Object) []policy {
	var out []policy
	for i := range objects {
		o := &objects[i]
		if o.Group != "networking.k8s.io" || o.Kind != "NetworkPolicy" {
			continue
		}
		spec := at(o.Body, "spec")
		p := policy{ID: o.ID, object: o, namespace: o.Namespace, selects: readSelector(at(spec, "podSelector")), rules: map[string][]policyRule{}}
		if p.namespace == "" {
			p.namespace = "default"
		}
		types, _ := spec["policyTypes"].([]any)
		for _, t := range types {
			if s, ok := t.(string); ok {
				p.types = append(p.types, s)
			}
		}
		if len(p.types) == 0 {
			// The default: Ingress always, Egress when there are rules for it.
			p.types = []string{"Ingress"}
			if len(items(spec["egress"])) > 0 {
				p.types = append(p.types, "Egress")
			}
		}
		for direction, keys := range map[string][2]string{"Ingress": {"ingress", "from"}, "Egress": {"egress", "to"}} {
			for _, r := range items(spec[keys[0]]) {
				p.rules[direction] = append(p.rules[direction], policyRule{readPeers(r[keys[1]]), items(r["ports"])})
			}
		}
		out = append(out, p)
	}
	return out
}

func readPeers(v any) peers {
	list := items(v)
	out := peers{every: len(list) == 0}
	for _, m := range list {
		var p policyPeer
		if s, ok := m["podSelector"].(map[string]any); ok {
			sel := readSelector(s)
			p.pods = &sel
		}
		if s, ok := m["namespaceSelector"].(map[string]any); ok {
			sel := readSelector(s)
			p.namespaces = &sel
		}
		if b, ok := m["ipBlock"].(map[string]any); ok {
			text, _ := b["cidr"].(string)
			p.block, _ = netip.ParsePrefix(text)
			except, _ := b["except"].([]any)
			for _, e := range except {
				text, _ := e.(string)
				if x, err := netip.ParsePrefix(text); err == nil {
					p.except = append(p.except, x)
				}
			}
		}
		out.list = append(out.list, p)
	}
	return out
}
