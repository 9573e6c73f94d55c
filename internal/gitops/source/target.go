package source

import (
	"context"
	"errors"
	"fmt"
	"path/filepath"
	"slices"

	"github.com/apexlogic/apex/api/v1alpha1"
	"github.com/apexlogic/apex/internal/gitops"
	"github.com/apexlogic/apex/internal/gitops/apply"
	"github.com/apexlogic/apex/internal/gitops/target/cluster"
	"github.com/apexlogic/apex/internal/gitops/target/dir"
	"github.com/apexlogic/apex/internal/gitops/target/dir/state"
	"github.com/apexlogic/apex/internal/gitops/target/embedded"
	"github.com/apexlogic/apex/internal/gitops/target/lambda"
	"github.com/apexlogic/apex/internal/kube"
)

// place is where a source goes, and what is remembered beside it.
type place struct {
	target gitops.Target
	store  gitops.Store
	close  func() error // nil: nothing to close
	// scope says whether a kind lives in namespaces, as the target serves it; nil:
	// it cannot tell.
	scope  func(ctx context.Context, group, kind string) (namespaced, known bool, err error)
	tenant *apply.Tenant
}

// open opens the target that a source names.
func (o *Options) open(ctx context.Context, name string, t *v1alpha1.GitTarget) (place, error) {
	switch {
	case t.Cluster != nil:
		if o.Cluster == nil {
			return place{}, errors.New("the source's target is a cluster, and none is configured: give a kubeconfig, or another target")
		}
		target, err := cluster.New(cluster.Options{
			Client: o.Cluster, System: o.System, ServiceAccount: t.Cluster.ServiceAccount,
			Namespaces: t.Cluster.Namespaces, ClusterKinds: t.Cluster.ClusterKinds,
		})
		if err != nil {
			return place{}, err
		}
		return place{
			target: target, store: cluster.NewStore(o.Cluster, o.System, nil), scope: scopeIn(o.Cluster),
			tenant: o.tenant(t.Cluster),
		}, nil
	case t.Directory != nil:
		target, err := dir.Open(dir.Options{Path: t.Directory.Path, Named: o.named, Foreign: o.foreign})
		if err != nil {
			return place{}, err
		}
		return place{target: target, store: target.State(), close: target.Close}, nil
	case t.Embedded != nil:
		at := t.Embedded.Path
		if at == "" {
			at = filepath.Join(o.State, "embedded")
		}
		target, err := embedded.Open(embedded.Options{Dir: filepath.Join(at, "objects"), Clock: o.Clock})
		if err != nil {
			return place{}, err
		}
		store, err := state.Open(filepath.Join(at, "state"))
		if err != nil {
			return place{}, errors.Join(err, target.Close())
		}
		return place{target: target, store: store, close: func() error { return errors.Join(target.Close(), store.Close()) }}, nil
	case t.Lambda != nil:
		target, err := lambda.Open(ctx, lambda.Options{
			Account: t.Lambda.Account, Region: t.Lambda.Region, Endpoint: t.Lambda.Endpoint, Source: name, Owned: o.owned, Revisions: o.kept,
		})
		if err != nil {
			return place{}, err
		}
		// An account has no place for what is remembered; it is kept here.
		store, err := state.Open(filepath.Join(o.State, "state"))
		if err != nil {
			return place{}, err
		}
		return place{target: target, store: store, close: store.Close}, nil
	}
	return place{}, fmt.Errorf("the source names no target that is known")
}

// tenant is the part of the cluster that the source may write.
func (o *Options) tenant(c *v1alpha1.ClusterTarget) *apply.Tenant {
	t := &apply.Tenant{Namespaces: c.Namespaces, ClusterKinds: c.ClusterKinds}
	if kinds := o.Source.Spec.Quota.Kinds; len(kinds) > 0 {
		t.Kinds = slices.Clone(kinds)
		if o.Source.Spec.Segmentation != nil {
			t.Kinds = append(t.Kinds, "NetworkPolicy.networking.k8s.io") // which the source adds itself
		}
	}
	return t
}

// scopeIn asks an API server, whose discovery everybody may read.
func scopeIn(c *kube.Client) func(ctx context.Context, group, kind string) (namespaced, known bool, err error) {
	return func(ctx context.Context, group, kind string) (bool, bool, error) {
		versions, err := c.Versions(ctx, group, kind)
		if err != nil || len(versions) == 0 {
			return false, false, err
		}
		namespaced, err := c.Serves(ctx, kube.Kind{Group: group, Version: versions[0], Kind: kind})
		return namespaced, err == nil, err
	}
}

// scopes are those of the kinds of one revision, each asked for once.
type scopes struct {
	ask   func(ctx context.Context, group, kind string) (namespaced, known bool, err error)
	known map[string][2]bool
	err   error // of the first question without an answer
}

// namespaced is what package render asks. It has no way to say that there is no
// answer: whoever renders looks at err afterwards.
func (s *scopes) namespaced(ctx context.Context) func(group, kind string) (namespaced, known bool) {
	if s.ask == nil {
		return nil
	}
	return func(group, kind string) (bool, bool) {
		name := group + "/" + kind
		if a, ok := s.known[name]; ok {
			return a[0], a[1]
		}
		namespaced, known, err := s.ask(ctx, group, kind)
		if err != nil && s.err == nil {
			s.err = fmt.Errorf("ask the target about the kind %s: %w", kindOf(gitops.ID{Group: group, Kind: kind}), err)
		}
		s.known[name] = [2]bool{namespaced, known}
		return namespaced, known
	}
}
