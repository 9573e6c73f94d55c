package cluster

import (
	"context"
	"errors"

	"github.com/apexlogic/apex/internal/gitops"
	"github.com/apexlogic/apex/internal/kube"
)

// manyOfAKind is from how many objects of a kind in a namespace on a listing is
// cheaper than a request for each.
const manyOfAKind = 10

type place struct {
	gitops.Kind
	namespace string
}

// Unhealthy implements [gitops.HealthLister]: objects of which there are many are
// listed by the source's label; kinds that are healthy when they are there, by
// their metadata alone.
func (t *Target) Unhealthy(ctx context.Context, source string, objects []gitops.Object, each func(id gitops.ID, why string)) error {
	if err := gitops.CheckSource(source); err != nil {
		return as(gitops.ErrInvalid, err)
	}
	places := map[place][]*gitops.Object{}
	for i := range objects {
		o := &objects[i]
		at := place{gitops.Kind{Group: o.Group, Version: o.Version, Kind: o.Kind}, o.Namespace}
		places[at] = append(places[at], o)
	}
	for at, of := range places {
		said := map[string]string{} // by name: "" for what is healthy
		if len(of) >= manyOfAKind {
			if err := t.allow(ctx, of[0].ID, of[0].Version); err != nil {
				return err
			}
			err := t.conditions(ctx, at, gitops.LabelSource+"="+source, said)
			// Who may not list asks for each.
			if err != nil && !errors.Is(err, kube.ErrForbidden) {
				return mapped(err)
			}
		}
		for _, o := range of {
			why, listed := said[o.Name]
			if !listed {
				ok, reason, err := t.Healthy(ctx, o)
				if err != nil {
					return err
				}
				if why = reason; ok {
					why = ""
				}
			}
			if why != "" {
				each(o.ID, why)
			}
		}
	}
	return nil
}

// conditions says of each object that a listing shows what is wrong with it, ""
// when nothing is.
func (t *Target) conditions(ctx context.Context, at place, selector string, said map[string]string) error {
	if inert(at.Kind) {
		selected := kube.Selection{Kind: kube.Kind(at.Kind), Namespace: at.namespace, Labels: selector}
		return t.source.ListMeta(ctx, selected, func(m kube.Meta) {
			said[m.Name] = ""
			if m.Leaving {
				said[m.Name] = leaving
			}
		})
	}
	all, err := t.source.List(ctx, kube.Kind(at.Kind), at.namespace, selector)
	if err != nil {
		return err
	}
	for i := range all {
		id := gitops.ID{Group: at.Group, Kind: at.Kind.Kind, Namespace: at.namespace, Name: all[i].GetName()}
		ok, why := healthy(id, all[i].Object)
		if ok {
			why = ""
		}
		said[id.Name] = why
	}
	return nil
}

// inert are kinds without a status: they are healthy when they are there.
func inert(kind gitops.Kind) bool {
	switch kind.Group {
	case "":
		return kind.Kind == "ConfigMap" || kind.Kind == "Secret" || kind.Kind == "ServiceAccount"
	case "rbac.authorization.k8s.io":
		return true
	case "networking.k8s.io":
		return kind.Kind == "NetworkPolicy"
	}
	return false
}

var _ gitops.HealthLister = (*Target)(nil)
