package source

import (
	"context"
	"errors"
	"fmt"
	"path/filepath"

	"github.com/apexlogic/apex/api/v1alpha1"
	"github.com/apexlogic/apex/internal/gitops"
	"github.com/apexlogic/apex/internal/gitops/apply"
	"github.com/apexlogic/apex/internal/gitops/target/cluster"
	"github.com/apexlogic/apex/internal/gitops/target/dir"
	"github.com/apexlogic/apex/internal/gitops/target/dir/state"
	"github.com/apexlogic/apex/internal/gitops/target/embedded"
	"github.com/apexlogic/apex/internal/gitops/target/lambda"
)

// place is where a source goes, and what is remembered beside it.
type place struct {
	target gitops.Target
	store  gitops.Store
	close  func() error // nil: nothing to close
	// kinds says what the target serves; nil: it does not say.
	namespaced func(group, kind string) (namespaced, known bool)
	tenant     *apply.Tenant
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
			target: target, store: cluster.NewStore(o.Cluster, o.System, nil),
			tenant: &apply.Tenant{Namespaces: t.Cluster.Namespaces, ClusterKinds: t.Cluster.ClusterKinds},
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
			Account: t.Lambda.Account, Region: t.Lambda.Region, Endpoint: t.Lambda.Endpoint, Source: name, Owned: o.owned,
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
