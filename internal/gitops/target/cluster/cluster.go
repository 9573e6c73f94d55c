// Package cluster makes a Kubernetes cluster look like a set.
//
// Start with [New], a [gitops.Target] that writes as one ServiceAccount to some
// namespaces and to nothing else, and [NewStore], the [gitops.Store] beside it.
//
// What a source may write is held twice: here, before anything is sent, by the
// namespaces and cluster-scoped kinds that its GitSource names; and by the API
// server, since reads and writes impersonate the source's ServiceAccount. Only
// watches are Apex's own: they carry metadata alone.
package cluster

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"

	"github.com/apexlogic/apex/internal/gitops"
	"github.com/apexlogic/apex/internal/kube"
)

// Options say what a target is.
type Options struct {
	// Client is Apex's own. It has to have the right to impersonate the
	// ServiceAccount, and to list and watch the kinds in use.
	Client *kube.Client
	// ServiceAccount that reads and writes, "namespace/name".
	ServiceAccount string
	// Namespaces that may be written; at least one.
	Namespaces []string
	// ClusterKinds are the cluster-scoped kinds that may be written, "Kind" or
	// "Kind.group". Of Namespaces, only those above.
	ClusterKinds []string
	// System is the namespace of Apex's own records, which no source may write.
	// Default: [SystemNamespace].
	System string
}

// SystemNamespace is where Apex keeps its records.
const SystemNamespace = "apex-system"

// Target is what a source may write of a cluster.
type Target struct {
	own, source  *kube.Client
	namespaces   map[string]bool
	clusterKinds map[string]bool
}

// New returns the target of a source. It makes no request.
func New(o Options) (*Target, error) {
	if o.System == "" {
		o.System = SystemNamespace
	}
	account, name, ok := strings.Cut(o.ServiceAccount, "/")
	if !ok {
		return nil, fmt.Errorf("serviceAccount is %q: write namespace/name", o.ServiceAccount)
	}
	if account == o.System {
		return nil, fmt.Errorf("serviceAccount is %s: those of %s have Apex's own rights, no source may act as one of them", o.ServiceAccount, o.System)
	}
	if len(o.Namespaces) == 0 {
		return nil, errors.New("a source of a cluster needs at least one namespace that it may write")
	}
	if slices.Contains(o.Namespaces, o.System) || slices.Contains(o.Namespaces, "") {
		return nil, fmt.Errorf("namespaces holds %s or an empty name: Apex keeps its records there, no source may write them", o.System)
	}
	source, err := o.Client.As(account, name)
	if err != nil {
		return nil, fmt.Errorf("serviceAccount: %w", err)
	}
	t := &Target{own: o.Client, source: source, namespaces: map[string]bool{}, clusterKinds: map[string]bool{}}
	for _, namespace := range o.Namespaces {
		t.namespaces[namespace] = true
	}
	for _, kind := range o.ClusterKinds {
		t.clusterKinds[kind] = true
	}
	return t, nil
}

// Get implements [gitops.Target].
func (t *Target) Get(ctx context.Context, id gitops.ID, version string) (*gitops.Live, error) {
	if err := t.allow(ctx, id, version); err != nil {
		return nil, err
	}
	return live(t.source.Get(ctx, named(id, version)))
}

// Apply implements [gitops.Target].
func (t *Target) Apply(ctx context.Context, o *gitops.Object, opt gitops.ApplyOptions) (*gitops.Live, error) {
	// What is sent is the body, what is judged is the ID: they have to be the same.
	written, err := gitops.NewObject(o.Body, o.Where)
	if err != nil {
		return nil, as(gitops.ErrInvalid, err)
	}
	if written.ID != o.ID || written.Version != o.Version {
		return nil, as(gitops.ErrInvalid, fmt.Errorf("%s: the object is called %s, its body says %s", o.Where, o.ID, written.ID))
	}
	if err := t.allow(ctx, o.ID, o.Version); err != nil {
		return nil, err
	}
	made := false
	l, err := live(t.source.Apply(ctx, o.Body, kube.ApplyOptions{
		Manager: gitops.FieldManager, DryRun: opt.DryRun, ResourceVersion: opt.ResourceVersion, Made: &made,
	}))
	if err == nil {
		l.Made = made
	}
	return l, err
}

// Patch implements [gitops.Target].
func (t *Target) Patch(ctx context.Context, id gitops.ID, version string, patch []byte) (*gitops.Live, error) {
	if err := t.allow(ctx, id, version); err != nil {
		return nil, err
	}
	return live(t.source.Patch(ctx, named(id, version), gitops.FieldManager, patch))
}

// Delete implements [gitops.Target].
func (t *Target) Delete(ctx context.Context, id gitops.ID, version string, only gitops.Precondition) error {
	if err := t.allow(ctx, id, version); err != nil {
		if errors.Is(err, gitops.ErrUnknownKind) {
			return nil // with the kind, its objects went
		}
		return err
	}
	return mapped(t.source.Delete(ctx, named(id, version), kube.Precondition(only)))
}

// Healthy implements [gitops.Target].
func (t *Target) Healthy(ctx context.Context, o *gitops.Object) (ok bool, why string, err error) {
	found, err := t.Get(ctx, o.ID, o.Version)
	if errors.Is(err, gitops.ErrNotFound) {
		return false, "it is not there", nil
	}
	if err != nil {
		return false, "", err
	}
	ok, why = healthy(o.ID, found.Body)
	return ok, why, nil
}

// List implements [gitops.Lister]: namespace by namespace, as the source.
func (t *Target) List(ctx context.Context, kind gitops.Kind, each func(gitops.Held)) error {
	namespaced, err := t.source.Serves(ctx, kube.Kind(kind))
	if err != nil {
		return mapped(err)
	}
	namespaces := []string{""}
	if namespaced {
		namespaces = namespaces[:0]
		for namespace := range t.namespaces {
			namespaces = append(namespaces, namespace)
		}
		slices.Sort(namespaces)
	} else if !t.clusterKind(kind.Group, kind.Kind) {
		return t.refuse(gitops.ID{Group: kind.Group, Kind: kind.Kind}, "it is cluster-scoped, and clusterKinds does not hold it")
	}
	for _, namespace := range namespaces {
		err := t.source.ListMeta(ctx, kube.Selection{Kind: kube.Kind(kind), Namespace: namespace}, func(m kube.Meta) {
			each(gitops.Held{
				ID:  gitops.ID{Group: kind.Group, Kind: kind.Kind, Namespace: m.Namespace, Name: m.Name},
				UID: m.UID, ResourceVersion: m.ResourceVersion, Source: m.Labels[gitops.LabelSource],
			})
		})
		if err != nil {
			return mapped(err)
		}
	}
	return nil
}

// Served implements [gitops.Discoverer].
func (t *Target) Served(ctx context.Context, group, kind string) ([]string, error) {
	versions, err := t.source.Versions(ctx, group, kind)
	return versions, mapped(err)
}

// Watch implements [gitops.Target]: one metadata watch per kind. Objects that
// carry the label where the source may not write are not its own: anybody can
// write a label. Each is called by one goroutine at a time.
func (t *Target) Watch(ctx context.Context, source string, kinds []gitops.Kind, each func(gitops.Event)) error {
	if err := gitops.CheckSource(source); err != nil {
		return as(gitops.ErrInvalid, err)
	}
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	var mu sync.Mutex
	unsynced := len(kinds)
	if unsynced == 0 {
		each(gitops.Event{Kind: gitops.Synced})
	}
	var running sync.WaitGroup
	for _, kind := range kinds {
		running.Go(func() {
			err := t.own.Watch(ctx, kube.Selection{Kind: kube.Kind(kind), Labels: gitops.LabelSource + "=" + source}, func(e kube.Event) {
				mu.Lock()
				defer mu.Unlock()
				if e.Kind == kube.Synced {
					if unsynced--; unsynced == 0 {
						each(gitops.Event{Kind: gitops.Synced})
					}
					return
				}
				id := gitops.ID{Group: kind.Group, Kind: kind.Kind, Namespace: e.Namespace, Name: e.Name}
				if t.within(id) {
					each(gitops.Event{Kind: gitops.EventKind(e.Kind), ID: id, UID: e.UID, ResourceVersion: e.ResourceVersion})
				}
			})
			cancel(mapped(err)) // the first that ends ends all
		})
	}
	if len(kinds) == 0 {
		<-ctx.Done()
	}
	running.Wait()
	return context.Cause(ctx)
}

// allow says whether the source may touch the object at all.
func (t *Target) allow(ctx context.Context, id gitops.ID, version string) error {
	namespaced, err := t.source.Serves(ctx, kube.Kind{Group: id.Group, Version: version, Kind: id.Kind})
	switch {
	case err != nil:
		return mapped(err)
	case namespaced && id.Namespace == "":
		return as(gitops.ErrInvalid, fmt.Errorf("%s has no namespace: objects of its kind are in one", id))
	case !namespaced && id.Namespace != "":
		return as(gitops.ErrInvalid, fmt.Errorf("%s has a namespace: its kind is cluster-scoped", id))
	case namespaced && !t.namespaces[id.Namespace]:
		return t.refuse(id, "its GitSource does not name this namespace")
	case !namespaced && !t.clusterKind(id.Group, id.Kind):
		return t.refuse(id, "it is cluster-scoped, and clusterKinds of its GitSource does not hold it")
	case !t.within(id):
		return t.refuse(id, "its GitSource does not name this namespace")
	}
	return nil
}

// within says whether an object, whose scope is that of its kind, is the source's
// to write.
func (t *Target) within(id gitops.ID) bool {
	switch {
	case id.Namespace != "":
		return t.namespaces[id.Namespace]
	case id.Group == "" && id.Kind == "Namespace":
		return t.clusterKinds["Namespace"] && t.namespaces[id.Name]
	}
	return t.clusterKind(id.Group, id.Kind)
}

func (t *Target) clusterKind(group, kind string) bool {
	if group != "" {
		kind += "." + group
	}
	return t.clusterKinds[kind]
}

func (t *Target) refuse(id gitops.ID, why string) error {
	return as(gitops.ErrForbidden, fmt.Errorf("%s: %w: %s", id, gitops.ErrForbidden, why))
}

func named(id gitops.ID, version string) kube.ID {
	return kube.ID{Kind: kube.Kind{Group: id.Group, Version: version, Kind: id.Kind}, Namespace: id.Namespace, Name: id.Name}
}

// live returns what the server answered in the words of targets.
func live(o *kube.Object, err error) (*gitops.Live, error) {
	if err != nil {
		return nil, mapped(err)
	}
	return &gitops.Live{UID: string(o.GetUID()), ResourceVersion: o.GetResourceVersion(), Body: o.Object}, nil
}

var (
	_ gitops.Target     = (*Target)(nil)
	_ gitops.Lister     = (*Target)(nil)
	_ gitops.Discoverer = (*Target)(nil)
)
