package source

import (
	"fmt"
	"net/netip"
	"slices"

	"github.com/apexlogic/apex/api/v1alpha1"
	"github.com/apexlogic/apex/internal/gitops"
	"github.com/apexlogic/apex/internal/gitops/follow"
	"github.com/apexlogic/apex/internal/gitops/segment"
)

// segmented adds the NetworkPolicies that the source asks for, and refuses a set
// that opens a way around the gateway.
func (s *Source) segmented(set *gitops.Set) (*gitops.Set, error) {
	if s.spec.Segmentation == nil {
		return set, nil
	}
	spec, err := Segmentation(s.spec.Segmentation)
	if err != nil {
		return nil, err
	}
	policies, err := segment.Generate(set.Objects(), spec)
	if err != nil {
		return nil, err
	}
	all, err := gitops.NewSet(append(slices.Clone(set.Objects()), policies...))
	if err != nil {
		return nil, err
	}
	if found := segment.Analyse(all.Objects(), spec); len(found) > 0 {
		f := found[0]
		return nil, &follow.Refused{Step: "gate", Code: f.Code, Where: f.Where,
			Why: fmt.Sprintf("%s: %s: %s; %s", f.Workload, f.Object, f.Why, f.Mend)}
	}
	return all, nil
}

// Segmentation is what a GitSource says about segmentation, as package segment
// takes it.
func Segmentation(in *v1alpha1.Segmentation) (segment.Spec, error) {
	peer := func(p v1alpha1.NetworkPeer) segment.Peer {
		return segment.Peer{Namespace: p.Namespace, Labels: p.Labels}
	}
	ports := func(list []v1alpha1.NetworkPort) (out []segment.Port) {
		for _, p := range list {
			out = append(out, segment.Port{Protocol: p.Protocol, Number: int(p.Number), Name: p.Name})
		}
		return out
	}
	out := segment.Spec{Gateway: peer(in.Gateway)}
	for _, f := range in.Allow {
		out.Allow = append(out.Allow, segment.Flow{From: peer(f.From), To: peer(f.To), Ports: ports(f.Ports)})
	}
	for i, e := range in.Egress {
		cidr, err := netip.ParsePrefix(e.CIDR)
		if err != nil {
			return out, fmt.Errorf("segmentation.egress[%d].cidr: %w", i, err)
		}
		out.Egress = append(out.Egress, segment.Outside{From: peer(e.From), CIDR: cidr, Ports: ports(e.Ports)})
	}
	return out, nil
}
