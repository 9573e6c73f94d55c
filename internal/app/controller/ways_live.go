package controller

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"slices"

	"github.com/apexlogic/apex/internal/gitops"
	"github.com/apexlogic/apex/internal/gitops/segment"
	"github.com/apexlogic/apex/internal/kube"
	"github.com/apexlogic/apex/verdict"
)

var (
	serviceKind       = kube.Kind{Version: "v1", Kind: "Service"}
	networkPolicyKind = kube.Kind{Group: "networking.k8s.io", Version: "v1", Kind: "NetworkPolicy"}
)

// The groups whose controllers make Pods, Services and routes for what people
// write.
const (
	knativeGroup     = "serving.knative.dev"
	knativeInternals = "networking.internal.knative.dev"
	kserveGroup      = "serving.kserve.io"
)

// routeKinds are those that lead to workloads, in whatever version.
func routeKinds() (out []kube.Kind) {
	for _, k := range segment.RouteKinds() {
		out = append(out, kube.Kind{Group: k.Group, Kind: k.Kind})
	}
	return out
}

// ownerKinds make other objects, and are looked at for nothing else: what they
// have made is known by them.
func ownerKinds() []kube.Kind {
	return []kube.Kind{
		{Group: knativeGroup, Version: "v1", Kind: "Revision"},
		{Group: knativeInternals, Version: "v1alpha1", Kind: "ServerlessService"},
		{Group: knativeInternals, Version: "v1alpha1", Kind: "Ingress"},
	}
}

// workloadKinds run pods.
func workloadKinds() []kube.Kind {
	return []kube.Kind{
		{Version: "v1", Kind: "Pod"}, {Version: "v1", Kind: "ReplicationController"},
		{Group: "apps", Version: "v1", Kind: "Deployment"}, {Group: "apps", Version: "v1", Kind: "StatefulSet"},
		{Group: "apps", Version: "v1", Kind: "DaemonSet"}, {Group: "apps", Version: "v1", Kind: "ReplicaSet"},
		{Group: "batch", Version: "v1", Kind: "Job"}, {Group: "batch", Version: "v1", Kind: "CronJob"},
		{Group: knativeGroup, Version: "v1", Kind: "Service"}, {Group: knativeGroup, Version: "v1", Kind: "Configuration"},
		{Group: kserveGroup, Version: "v1beta1", Kind: "InferenceService"},
	}
}

// live is what of a cluster decides who reaches what.
type live struct {
	objects []gitops.Object // Services and routes of all namespaces, the rest of those that are covered
	roots   map[gitops.ID]gitops.ID
	uids    map[string]*owned
}

// owned is an object that may own others.
type owned struct {
	id    gitops.ID
	owner string // the UID of who controls it
}

// manyNamespaces are listed in one request for all of the cluster.
const manyNamespaces = 8

// readLive reads it. The error says what could not be read; the rest is good.
func readLive(ctx context.Context, from cluster, namespaces []string, routes []kube.Kind) (*live, error) {
	l := &live{roots: map[gitops.ID]gitops.ID{}, uids: map[string]*owned{}}
	var errs error
	read := func(kind kube.Kind, everywhere bool, each func(*kube.Object)) {
		err := listIn(ctx, from, kind, namespaces, everywhere, each)
		if err != nil && !errors.Is(err, kube.ErrUnknownKind) {
			errs = errors.Join(errs, fmt.Errorf("list %s: %w", kind.Kind, err))
		}
	}
	for _, kind := range ownerKinds() {
		read(kind, true, l.know)
	}
	var workloads, opens []*kube.Object
	for _, kind := range workloadKinds() {
		read(kind, false, func(o *kube.Object) {
			l.know(o)
			if !finished(o) {
				workloads = append(workloads, reduced(o))
			}
		})
	}
	read(networkPolicyKind, false, func(o *kube.Object) { opens = append(opens, reduced(o)) })
	for _, kind := range append([]kube.Kind{serviceKind}, routes...) {
		read(kind, true, func(o *kube.Object) { opens = append(opens, reduced(o)) })
	}
	for _, o := range opens {
		if !l.platforms(o) {
			errs = errors.Join(errs, l.add(o))
		}
	}
	alike := map[string]bool{}
	for _, o := range workloads {
		errs = errors.Join(errs, l.workload(o, alike))
	}
	return l, errs
}

// listIn reports the objects of a kind in the namespaces, or everywhere.
func listIn(ctx context.Context, from cluster, kind kube.Kind, namespaces []string, everywhere bool, each func(*kube.Object)) error {
	if everywhere {
		return list(ctx, from, kind, "", each)
	}
	if len(namespaces) > manyNamespaces {
		all, err := from.List(ctx, kind, "", "")
		for i := range all {
			if slices.Contains(namespaces, all[i].GetNamespace()) {
				each(&all[i])
			}
		}
		if !errors.Is(err, kube.ErrInvalid) { // more than one listing holds
			return err
		}
	}
	for _, namespace := range namespaces {
		if err := list(ctx, from, kind, namespace, each); err != nil {
			return err
		}
	}
	return nil
}

// reduced leaves away what says nothing about ways, which is most of a Pod.
func reduced(o *kube.Object) *kube.Object {
	delete(o.Object, "status")
	o.SetManagedFields(nil)
	return o
}

func (l *live) know(o *kube.Object) {
	l.uids[string(o.GetUID())] = &owned{idOf(o), controllerOf(o)}
}

// controllerOf is the UID of who controls the object; "" when nobody does.
func controllerOf(o *kube.Object) string {
	for _, r := range o.GetOwnerReferences() {
		if r.Controller != nil && *r.Controller {
			return string(r.UID)
		}
	}
	return ""
}

// maxOwners bounds a chain of owners: Pod, ReplicaSet, Deployment, Revision,
// Configuration, Service, InferenceService.
const maxOwners = 8

// root is who controls who controls the object, up to the last one that is there
// and in the same namespace. Whoever names an owner that is not there has none.
func (l *live) root(o *kube.Object) (gitops.ID, bool) {
	root, found := gitops.ID{}, false
	uid := controllerOf(o)
	for range maxOwners {
		up := l.uids[uid]
		if up == nil || up.id.Namespace != o.GetNamespace() {
			break
		}
		root, found, uid = up.id, true, up.owner
	}
	return root, found
}

// platforms says whether a platform made the Service or the route and keeps it as
// it is, so that what it leads to is judged by what the platform was told: its
// owner is there, and the name is the one that the platform gives it. Somebody
// else's under that name is overwritten by the platform.
func (l *live) platforms(o *kube.Object) bool {
	id := idOf(o)
	if id == (gitops.ID{Kind: "Service", Namespace: "default", Name: "kubernetes"}) {
		return true // the API server's own
	}
	owner := l.uids[controllerOf(o)]
	if owner == nil || owner.id.Namespace != id.Namespace {
		return false
	}
	by, name := owner.id, owner.id.Name
	switch {
	case id.Group == "" && id.Kind == "Service" && by.Group == knativeInternals && by.Kind == "ServerlessService":
		return id.Name == name
	case id.Kind == "VirtualService" && by.Group == knativeInternals && by.Kind == "Ingress":
		return id.Name == name+"-ingress" || id.Name == name+"-mesh"
	case id.Kind == "VirtualService" && by.Group == kserveGroup && by.Kind == "InferenceService":
		return id.Name == name
	}
	return false
}

func (l *live) add(o *kube.Object) error {
	object, err := gitops.NewObject(o.Object, verdict.Origin{Object: idOf(o).String()})
	if err == nil {
		l.objects = append(l.objects, object)
	}
	return err
}

// workload takes in a workload. Of what another one made, Pods alone are looked
// at, which may have got labels that their template has not, and of those that are
// alike one. Their findings are those of the root.
func (l *live) workload(o *kube.Object, alike map[string]bool) error {
	id := idOf(o)
	root, made := l.root(o)
	if !made {
		return l.add(o)
	}
	if id.Group != "" || id.Kind != "Pod" {
		return nil
	}
	spec, _ := o.Object["spec"].(map[string]any)
	key, err := json.Marshal([]any{root, o.GetLabels(), spec["hostNetwork"], portsOf(spec)})
	if err != nil || alike[string(key)] {
		return err
	}
	alike[string(key)] = true
	if root.Group == knativeGroup || root.Group == kserveGroup {
		// The platform's own pods have to reach it: it is looked at as one of its.
		// Its name is the one in the label that Knative gives Pods.
		name := cmp.Or(o.GetLabels()["serving.knative.dev/service"], root.Name)
		o = &kube.Object{Object: map[string]any{
			"apiVersion": knativeGroup + "/v1", "kind": "Configuration", "metadata": map[string]any{"name": name, "namespace": id.Namespace},
			"spec": map[string]any{"template": map[string]any{"metadata": map[string]any{"labels": labelsOf(o)}, "spec": spec}},
		}}
	}
	l.roots[idOf(o)] = root
	return l.add(o)
}

func labelsOf(o *kube.Object) map[string]any {
	out := map[string]any{}
	for k, v := range o.GetLabels() {
		out[k] = v
	}
	return out
}

// portsOf are the ports of a Pod's containers.
func portsOf(spec map[string]any) (out []any) {
	for _, name := range []string{"containers", "initContainers"} {
		list, _ := spec[name].([]any)
		for _, e := range list {
			container, _ := e.(map[string]any)
			out = append(out, container["ports"])
		}
	}
	return out
}

// findings are the ways to what runs in the namespaces of a source, each once, in
// an order that stays the same.
func (l *live) findings(c covering) []segment.Finding {
	objects := slices.DeleteFunc(slices.Clone(l.objects), func(o gitops.Object) bool {
		isWorkload := slices.ContainsFunc(workloadKinds(), func(k kube.Kind) bool { return k.Group == o.Group && k.Kind == o.Kind })
		return (isWorkload || o.Kind == networkPolicyKind.Kind) && !slices.Contains(c.namespaces, o.Namespace)
	})
	var out []segment.Finding
	seen := map[segment.Finding]bool{}
	for _, f := range segment.Analyse(objects, c.spec) {
		if root, made := l.roots[f.Workload]; made {
			if f.Object == f.Workload {
				f.Object = root
			}
			f.Workload = root
			f.Where = verdict.Origin{Object: f.Object.String()}
		}
		if !seen[f] {
			seen[f] = true
			out = append(out, f)
		}
	}
	return out
}
