package release

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/apexlogic/apex/internal/gitops"
	"github.com/apexlogic/apex/internal/gitops/apply"
)

// Field is a field that a release owns at the moment, with the value that holds
// instead of Git's.
type Field struct {
	ID gitops.ID
	// Path is a JSON pointer (RFC 6901) through objects; no part of it needs an
	// escape.
	Path string
	// Value is as in [gitops.Object.Body]. It is shared: nobody changes it.
	Value any
}

// Fields returns what is owned now. The slice is shared.
func (r *Release) Fields() []Field {
	if f := r.owned.Load(); f != nil {
		return *f
	}
	return nil
}

// own takes up the fields of a record.
func (r *Release) own(s *record) {
	var all []Field
	if s.Canary != nil {
		all = s.Canary.fields()
	}
	r.owned.Store(&all)
}

// Overlay returns the object as it is to be held now: with the owned fields in
// place of Git's. It shares everything else with o, which stays as it was.
func (r *Release) Overlay(o *gitops.Object) (*gitops.Object, error) {
	out := o
	for _, f := range r.Fields() {
		if f.ID != o.ID {
			continue
		}
		if out == o {
			c := *o
			out = &c
		}
		body, err := with(out.Body, strings.Split(f.Path, "/")[1:], f.Value)
		if err != nil {
			return nil, fmt.Errorf("%s: %s: %w", o.ID, f.Path, err)
		}
		out.Body = body
	}
	return out, nil
}

// with returns a copy of m in which the path has the value.
func with(m map[string]any, path []string, value any) (map[string]any, error) {
	m = maps.Clone(m)
	if m == nil {
		m = map[string]any{}
	}
	if len(path) == 1 {
		m[path[0]] = value
		return m, nil
	}
	inner, ok := m[path[0]].(map[string]any)
	if !ok && m[path[0]] != nil {
		return nil, fmt.Errorf("%s is no object", path[0])
	}
	next, err := with(inner, path[1:], value)
	m[path[0]] = next
	return m, err
}

// Hold returns the target as the rooms that apply and heal see it: what they
// apply gets the owned values first.
func (r *Release) Hold(t gitops.Target) gitops.Target {
	return held{t, r}
}

type held struct {
	gitops.Target
	r *Release
}

// Unwrap implements [gitops.Wrapper].
func (h held) Unwrap() gitops.Target { return h.Target }

func (h held) Apply(ctx context.Context, o *gitops.Object, opt gitops.ApplyOptions) (*gitops.Live, error) {
	o, err := h.r.Overlay(o)
	if err != nil {
		return nil, err
	}
	return h.Target.Apply(ctx, o, opt)
}

// Unhealthy asks about the objects as they are held.
func (h held) Unhealthy(ctx context.Context, source string, objects []gitops.Object, each func(gitops.ID, string)) error {
	all := make([]gitops.Object, len(objects))
	for i := range objects {
		o, err := h.r.Overlay(&objects[i])
		if err != nil {
			return err
		}
		all[i] = *o
	}
	many, ok := gitops.As[gitops.HealthLister](h.Target)
	if !ok {
		return errors.ErrUnsupported
	}
	return many.Unhealthy(ctx, source, all, each)
}

// Healthy asks about the object as it is held.
func (h held) Healthy(ctx context.Context, o *gitops.Object) (bool, string, error) {
	o, err := h.r.Overlay(o)
	if err != nil {
		return false, "", err
	}
	return h.Target.Healthy(ctx, o)
}

// Keep returns the keeper as the room that applies sees it: what it desires gets
// the owned values first, so that they are what is healed to.
func (r *Release) Keep(k apply.Keeper) apply.Keeper { return kept{k, r} }

type kept struct {
	apply.Keeper
	r *Release
}

func (k kept) Desire(o *gitops.Object) error {
	o, err := k.r.Overlay(o)
	if err != nil {
		return err
	}
	return k.Keeper.Desire(o)
}

func (k kept) Resume(o *gitops.Object) error {
	o, err := k.r.Overlay(o)
	if err != nil {
		return err
	}
	return k.Keeper.Resume(o)
}

func (k kept) Applied(o *gitops.Object, live *gitops.Live) {
	// What could be desired can be overlaid: the error was met before.
	if o, err := k.r.Overlay(o); err == nil {
		k.Keeper.Applied(o, live)
	}
}

// fields of a canary in its phase.
func (c *Canary) fields() []Field {
	given := c.Phase == Finishing || c.Phase == Done // back to Git
	all := make([]Field, 0, len(c.Objects))
	for i := range c.Objects {
		o := &c.Objects[i]
		if router := routerOf(o.ID); router != nil && (o.Held || !given) {
			all = append(all, router.field(o, c.percentOf(o)))
		}
	}
	return slices.Clip(all)
}

var (
	_ gitops.Target = held{}
	_ apply.Keeper  = kept{}
)
