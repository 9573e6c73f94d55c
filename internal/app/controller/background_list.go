package controller

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"slices"

	"github.com/apexlogic/apex/internal/app"
	"github.com/apexlogic/apex/internal/gitops"
	"github.com/apexlogic/apex/internal/kube"
)

// running are the kinds that run something. Pods that a controller made are
// asked about as well: what was injected shows there alone.
func running() []kube.Kind {
	return []kube.Kind{
		{Version: "v1", Kind: "Pod"},
		{Group: "apps", Version: "v1", Kind: "Deployment"}, {Group: "apps", Version: "v1", Kind: "StatefulSet"}, {Group: "apps", Version: "v1", Kind: "DaemonSet"},
		{Group: "batch", Version: "v1", Kind: "CronJob"}, {Group: "batch", Version: "v1", Kind: "Job"},
		{Group: "serving.knative.dev", Version: "v1", Kind: "Service"},
		{Group: "serving.kserve.io", Version: "v1beta1", Kind: "InferenceService"},
		{Group: "serving.kserve.io", Version: "v1alpha1", Kind: "ClusterServingRuntime"},
	}
}

// cluster is what is needed of a [kube.Client] to see what runs.
type cluster interface {
	Get(ctx context.Context, id kube.ID) (*kube.Object, error)
	List(ctx context.Context, kind kube.Kind, namespace, selector string) ([]kube.Object, error)
	ListMeta(ctx context.Context, s kube.Selection, each func(kube.Meta)) error
}

// subject is an object that runs something, reduced to what is asked about it
// and to what an action needs.
type subject struct {
	id      kube.ID
	uid     string
	version string // resource version
	source  string // of Git, "" without one
	asked   app.Asked

	pods        selector          // its Pods, nil when nothing names them
	labels      map[string]string // its own, of a Pod
	annotated   bool              // it has annotations
	noted       bool              // one of them says what it was before it was stopped
	stoppedFrom string            // what it was before it was stopped, "" when it is not
	count       any               // spec.replicas or spec.suspend
}

// place is a namespace as it is now.
type place struct{ labels, annotations map[string]string }

// world is what runs.
type world struct {
	subjects map[string][]*subject // by namespace, in the order of the listings
	places   map[string]place
	asked    []string           // the namespaces that were asked for, nil: all
	unseen   map[kube.Kind]bool // kinds that could not be listed
}

// namespaces returns those that were asked about, sorted; "" is for objects
// without one.
func (w *world) namespaces() []string {
	if w.asked != nil {
		return w.asked
	}
	return slices.Sorted(maps.Keys(w.subjects))
}

// enforced says whether what no policy selects is denied there. A namespace that
// is not known counts as one that enforces.
func (w *world) enforced(namespace string) bool {
	if namespace == "" {
		return false
	}
	p, known := w.places[namespace]
	return !known || p.labels["apexlogic.com/enforce"] == "true"
}

// gather lists what runs in the namespaces, nil being all. A kind that cannot be
// listed is unseen, and why is in the error; the rest of the world is good. There
// is none when the namespaces themselves cannot be read.
func gather(ctx context.Context, from cluster, only []string, leaves func(string) bool) (*world, error) {
	w := &world{subjects: map[string][]*subject{}, places: map[string]place{}, unseen: map[kube.Kind]bool{}, asked: only}
	if only != nil {
		w.asked = slices.DeleteFunc(slices.Clone(only), leaves)
	}
	if err := w.seePlaces(ctx, from); err != nil {
		return nil, fmt.Errorf("read the namespaces: %w", err) // they say what is enforced
	}
	var errs error
	for _, kind := range running() {
		err := w.see(ctx, from, kind, leaves)
		if err != nil && !errors.Is(err, kube.ErrUnknownKind) {
			w.unseen[kind] = true
			errs = errors.Join(errs, fmt.Errorf("list %s: %w", kind.Kind, err))
		}
	}
	return w, errs
}

func (w *world) seePlaces(ctx context.Context, from cluster) error {
	see := func(o *kube.Object) { w.places[o.GetName()] = place{o.GetLabels(), o.GetAnnotations()} }
	if w.asked == nil {
		return list(ctx, from, namespaceKind, "", see)
	}
	for _, name := range w.asked {
		if name == "" {
			continue
		}
		o, err := from.Get(ctx, kube.ID{Kind: namespaceKind, Name: name})
		if errors.Is(err, kube.ErrNotFound) {
			continue
		}
		if err != nil {
			return err
		}
		see(o)
	}
	return nil
}

func (w *world) see(ctx context.Context, from cluster, kind kube.Kind, leaves func(string) bool) error {
	var failed error
	add := func(o *kube.Object) {
		if leaves(o.GetNamespace()) || finished(o) {
			return
		}
		s, err := describe(o)
		if err != nil {
			failed = errors.Join(failed, err)
			return
		}
		if len(s.asked.Questions)+len(s.asked.Unresolved) > 0 {
			w.subjects[s.id.Namespace] = append(w.subjects[s.id.Namespace], s)
		}
	}
	if w.asked == nil {
		// One listing, unless there is too much for one.
		found, err := from.List(ctx, kind, "", "")
		if err == nil {
			for i := range found {
				add(&found[i])
			}
			return failed
		}
		if !errors.Is(err, kube.ErrInvalid) {
			return err
		}
		for _, name := range slices.Sorted(maps.Keys(w.places)) {
			if leaves(name) {
				continue
			}
			if err := list(ctx, from, kind, name, add); err != nil {
				return err
			}
		}
		return failed
	}
	for _, name := range w.asked {
		if (name == "") != clusterScoped(kind) {
			continue
		}
		if err := list(ctx, from, kind, name, add); err != nil {
			return err
		}
	}
	return failed
}

func clusterScoped(kind kube.Kind) bool { return kind.Kind == "ClusterServingRuntime" }

// list reports the objects of a kind in a namespace, however many there are: what
// has more than a listing returns is named page by page and read one by one.
func list(ctx context.Context, from cluster, kind kube.Kind, namespace string, each func(*kube.Object)) error {
	found, err := from.List(ctx, kind, namespace, "")
	if err == nil {
		for i := range found {
			each(&found[i])
		}
		return nil
	}
	if !errors.Is(err, kube.ErrInvalid) {
		return err
	}
	var ids []kube.ID
	err = from.ListMeta(ctx, kube.Selection{Kind: kind, Namespace: namespace}, func(m kube.Meta) {
		ids = append(ids, kube.ID{Kind: kind, Namespace: m.Namespace, Name: m.Name})
	})
	if err != nil {
		return err
	}
	for _, id := range ids {
		o, err := from.Get(ctx, id)
		if errors.Is(err, kube.ErrNotFound) {
			continue // it went meanwhile
		}
		if err != nil {
			return err
		}
		each(o)
	}
	return nil
}

// finished says whether the object runs nothing any more and never will.
func finished(o *kube.Object) bool {
	status, _ := o.Object["status"].(map[string]any)
	switch o.GetKind() {
	case "Pod":
		return status["phase"] == "Succeeded" || status["phase"] == "Failed"
	case "Job":
		conditions, _ := status["conditions"].([]any)
		for _, e := range conditions {
			c, _ := e.(map[string]any)
			if (c["type"] == "Complete" || c["type"] == "Failed") && c["status"] == "True" {
				return true
			}
		}
	}
	return false
}

func describe(o *kube.Object) (*subject, error) {
	data, err := json.Marshal(o.Object)
	if err != nil {
		return nil, err
	}
	s := &subject{
		id: kube.IDOf(o), uid: string(o.GetUID()), version: o.GetResourceVersion(), source: o.GetLabels()[gitops.LabelSource],
		pods: podsOf(o), labels: o.GetLabels(), annotated: len(o.GetAnnotations()) > 0, stoppedFrom: o.GetAnnotations()[annotationStopped],
	}
	_, s.noted = o.GetAnnotations()[annotationStopped]
	s.asked = app.AskManifest(s.id.String(), data)
	spec, _ := o.Object["spec"].(map[string]any)
	switch s.id.Kind.Kind {
	case "Deployment", "StatefulSet":
		s.count = spec["replicas"]
	case "CronJob", "Job":
		s.count = spec["suspend"]
	}
	return s, nil
}
