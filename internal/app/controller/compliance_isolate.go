package controller

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"reflect"
	"slices"
	"strings"

	"github.com/apexlogic/apex/internal/admission"
	"github.com/apexlogic/apex/internal/kube"
)

var networkPolicies = kube.Kind{Group: "networking.k8s.io", Version: "v1", Kind: "NetworkPolicy"}

// What marks the NetworkPolicies that cut something off. Admission lets nobody but
// Apex write them, see [admission.Steering].
const (
	actIsolate           = "isolate"
	labelAction          = admission.LabelAction
	annotationObject     = "apexlogic.com/object"
	annotationObjectKind = "apexlogic.com/object-kind"
)

// isolation is a NetworkPolicy of ours that is there.
type isolation struct {
	name, namespace, uid string
	object               kube.ID
	body                 map[string]any // its spec
}

// isolations returns all that are cut off, by namespace.
func (b *background) isolations(ctx context.Context) (map[string][]isolation, error) {
	found, err := b.c.client.List(ctx, networkPolicies, "", labelAction+"="+actIsolate)
	if err != nil {
		return nil, err
	}
	out := map[string][]isolation{}
	for i := range found {
		o := &found[i]
		spec, _ := o.Object["spec"].(map[string]any)
		annotations := o.GetAnnotations()
		version, kind, _ := strings.Cut(annotations[annotationObjectKind], " ")
		group, v, grouped := strings.Cut(version, "/")
		if !grouped {
			group, v = "", version
		}
		id := kube.ID{Kind: kube.Kind{Group: group, Version: v, Kind: kind}, Namespace: o.GetNamespace(), Name: annotations[annotationObject]}
		if o.GetName() != isolationName(id) {
			continue // somebody else's, or one that says it is about another object
		}
		out[o.GetNamespace()] = append(out[o.GetNamespace()], isolation{o.GetName(), o.GetNamespace(), string(o.GetUID()), id, spec})
	}
	return out, nil
}

func isolationName(id kube.ID) string {
	sum := sha256.Sum256([]byte(id.Group + "\x00" + id.Kind.Kind + "\x00" + id.Name))
	return "apex-isolate-" + hex.EncodeToString(sum[:8])
}

// isolate lets nothing in and nothing out of the object's Pods.
func (b *background) isolate(ctx context.Context, s *subject, f finding, was isolation, is bool) error {
	if len(s.pods) == 0 {
		return refusal("nothing names the Pods that it runs, so they cannot be isolated; scale it down or delete it")
	}
	spec := map[string]any{
		"podSelector": map[string]any(s.pods), "policyTypes": []any{"Ingress", "Egress"},
		"ingress": []any{}, "egress": []any{},
	}
	if is && shuts(was.body, s.pods) {
		return nil
	}
	open, err := b.openings(ctx, s)
	if err != nil {
		return err
	}
	text := "it is cut off from the network: " + f.reason
	if len(open) > 0 {
		// NetworkPolicies add up: none takes away what another allows.
		text = fmt.Sprintf("a NetworkPolicy lets nothing in or out, but what these allow still passes: %s; remove or narrow them. %s", strings.Join(open, ", "), f.reason)
	}
	err = b.doing(ctx, ActionRecord{Object: s.id.String(), UID: s.uid, Action: "Isolate", Code: f.code}, func() (string, error) {
		_, err := b.c.client.Apply(ctx, map[string]any{
			"apiVersion": networkPolicies.APIVersion(), "kind": networkPolicies.Kind,
			"metadata": map[string]any{
				"name": isolationName(s.id), "namespace": s.id.Namespace,
				"labels":      map[string]any{labelAction: actIsolate, "app.kubernetes.io/managed-by": "apex"},
				"annotations": map[string]any{annotationObject: s.id.Name, annotationObjectKind: s.id.Kind.String()},
			},
			"spec": spec,
		}, kube.ApplyOptions{Manager: complianceManager})
		if len(open) > 0 {
			return "still open: " + clip(strings.Join(open, ", ")), err
		}
		return "", err
	})
	if err == nil {
		b.say(ctx, s.id, s.uid, "Isolated", text)
	}
	return err
}

// shuts says whether a NetworkPolicy still selects the Pods and lets nothing pass.
func shuts(spec map[string]any, pods selector) bool {
	ingress, _ := spec["ingress"].([]any)
	egress, _ := spec["egress"].([]any)
	types, _ := spec["policyTypes"].([]any)
	selected, _ := spec["podSelector"].(map[string]any)
	return len(ingress)+len(egress) == 0 && slices.Contains(types, any("Ingress")) && slices.Contains(types, any("Egress")) &&
		reflect.DeepEqual(selected, map[string]any(pods))
}

// openings names the NetworkPolicies that let something pass to or from the Pods.
func (b *background) openings(ctx context.Context, s *subject) ([]string, error) {
	labels, known := s.pods.labels()
	var out []string
	err := list(ctx, b.c.client, networkPolicies, s.id.Namespace, func(o *kube.Object) {
		spec, _ := o.Object["spec"].(map[string]any)
		ingress, _ := spec["ingress"].([]any)
		egress, _ := spec["egress"].([]any)
		selects, _ := spec["podSelector"].(map[string]any)
		if len(ingress)+len(egress) > 0 && (!known || selector(selects).mayMatch(labels)) {
			out = append(out, o.GetName())
		}
	})
	slices.Sort(out)
	return out, err
}

// connect takes back what isolate did.
func (b *background) connect(ctx context.Context, i isolation) error {
	err := b.doing(ctx, ActionRecord{Object: i.object.String(), Action: "Connect"}, func() (string, error) {
		return "", b.c.client.Delete(ctx, kube.ID{Kind: networkPolicies, Namespace: i.namespace, Name: i.name}, kube.Precondition{UID: i.uid})
	})
	if errors.Is(err, kube.ErrConflict) {
		return nil // it is another by now: the next pass sees it
	}
	if err == nil {
		b.say(ctx, i.object, "", "Connected", "it is no longer cut off from the network")
	}
	return err
}
