package embedded

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/apexlogic/apex/internal/gitops"
)

// Update changes an object as another program would: fn gets a copy of what is
// there, changes it, and the difference belongs to the manager afterwards, with
// the operation Update. Subresource "" leaves the status as it is; "status"
// takes nothing but the status; any other name is recorded as it is. What fn
// does to the object's name or to fields that the store writes is undone, except
// that it may take finalizers away. An object that is not there is ErrNotFound.
func (s *Store) Update(ctx context.Context, id gitops.ID, by, subresource string, fn func(body map[string]any) error) (*gitops.Live, error) {
	if by == "" || len(by) > maxManager || strings.ContainsRune(by, 0) || strings.ContainsRune(subresource, 0) {
		return nil, fmt.Errorf("%s: a manager's name has 1 to %d characters", id, maxManager)
	}
	return s.change(ctx, id, "", manager{by, opUpdate, subresource}, func(body map[string]any) (map[string]any, error) {
		return body, fn(body)
	})
}

// Create makes an object as another program would, under the manager's name.
// One that is there already is ErrConflict.
func (s *Store) Create(ctx context.Context, o *gitops.Object, by string) (*gitops.Live, error) {
	if by == "" || len(by) > maxManager || strings.ContainsRune(by, 0) {
		return nil, fmt.Errorf("%s: a manager's name has 1 to %d characters", o.ID, maxManager)
	}
	defer s.hold(o.ID).Unlock()
	if s.row(o.ID) != nil {
		return nil, fmt.Errorf("%s is there already: %w", o.ID, gitops.ErrConflict)
	}
	live, err := s.liveBody(nil, o)
	if err != nil {
		return nil, err
	}
	body, err := s.merger.update(o.ID, apiVersion(o), live, desiredBody(o), manager{by, opUpdate, ""}, s.clock.Now())
	if err != nil {
		return nil, err
	}
	return s.write(ctx, o.ID, o.Version, nil, live, body, false)
}

func (s *Store) change(ctx context.Context, id gitops.ID, version string, by manager, fn func(map[string]any) (map[string]any, error)) (*gitops.Live, error) {
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	defer s.hold(id).Unlock()
	old := s.row(id)
	if old == nil {
		return nil, fmt.Errorf("%s: %w", id, gitops.ErrNotFound)
	}
	if version == "" {
		version = old.version
	}
	live, err := decodeBody(old.body)
	if err != nil {
		return nil, err
	}
	next, err := fn(clone(live).(map[string]any))
	if err != nil {
		return nil, err
	}
	if next, err = admit(live, next, by.subresource); err != nil {
		return nil, fmt.Errorf("%s: %w", id, err)
	}
	o := gitops.Object{ID: id, Version: version}
	body, err := s.merger.update(id, apiVersion(&o), live, next, by, s.clock.Now())
	if err != nil {
		return nil, err
	}
	return s.write(ctx, id, version, old, live, body, false)
}

// admit takes from next what its writer may write.
func admit(live, next map[string]any, subresource string) (map[string]any, error) {
	meta, ok := next["metadata"].(map[string]any)
	if !ok {
		return nil, errors.New("metadata is no map")
	}
	if subresource == "status" {
		status := next["status"]
		next = clone(live).(map[string]any)
		if status == nil {
			delete(next, "status")
		} else {
			next["status"] = status
		}
		return next, nil
	}
	was := live["metadata"].(map[string]any)
	for _, field := range append(slices.Clone(ours), "name", "namespace") {
		restore(meta, was, field)
	}
	restore(next, live, "kind")
	restore(next, live, "apiVersion")
	if subresource == "" {
		restore(next, live, "status")
	}
	return next, nil
}

func restore(to, from map[string]any, field string) {
	if v, ok := from[field]; ok {
		to[field] = clone(v)
	} else {
		delete(to, field)
	}
}
