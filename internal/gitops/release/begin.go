package release

import (
	"context"
	"errors"
	"fmt"

	"github.com/apexlogic/apex/internal/gitops"
	"github.com/apexlogic/apex/internal/gitops/apply"
	"github.com/apexlogic/apex/verdict"
)

// Change is a revision that is about to be applied.
type Change struct {
	Commit string
	Set    *gitops.Set
	// Before is the set that the target holds now, "" when it holds none.
	Before verdict.Digest
	// Direct is set by a rollback: traffic goes to the revision in one step and
	// without analysis, as soon as it is ready.
	Direct bool
}

// Begin fixes where the traffic is before a revision is applied, durably, so that
// applying it moves none. It returns nil when there is no traffic to be moved: no
// object of a kind that can is there already with another template, or the source
// has no canary. The same change again is the same canary.
//
// What an earlier canary left halfway, or sent back, is taken along: its traffic
// stays where it was last known to be well, whatever the kind's own controller
// calls the latest revision. A template that failed and is still in Git gets none.
func (r *Release) Begin(ctx context.Context, ch Change) (*Canary, error) {
	if ch.Set == nil || len(ch.Commit) > maxCommit {
		return nil, fmt.Errorf("a change needs a set, and a commit of at most %d bytes", maxCommit)
	}
	v := apply.Revision{Commit: ch.Commit, Set: ch.Set.Digest()}
	var out *Canary
	err := r.change(ctx, func(s *record) (bool, error) {
		prior := s.Canary
		if prior != nil && prior.Revision == v && prior.Direct == ch.Direct {
			out = prior.copy()
			return false, nil
		}
		objects, err := r.moving(ctx, &ch, prior)
		if err != nil {
			return false, err
		}
		if len(objects) == 0 {
			s.Canary, out = nil, nil
			return prior != nil, nil
		}
		c := &Canary{Revision: v, Phase: Done, Steps: r.plan.steps, Since: r.now(), Direct: ch.Direct, Objects: objects}
		if ch.Direct {
			c.Steps = []int32{100}
		}
		for i := range objects {
			if !objects[i].Held {
				c.Phase = Preparing
			}
		}
		s.Canary, out = c, c.copy()
		return true, nil
	})
	if err != nil {
		return nil, err
	}
	r.c.Checkpoint("begun")
	return out, nil
}

func (c *Canary) copy() *Canary {
	d := *c
	d.Objects = append([]Moving(nil), c.Objects...)
	return &d
}

// moving finds the objects whose traffic the change would move. r.mu is held.
func (r *Release) moving(ctx context.Context, ch *Change, prior *Canary) ([]Moving, error) {
	unsettled := map[gitops.ID]*Moving{}
	if prior != nil {
		for i := range prior.Objects {
			if o := &prior.Objects[i]; prior.Phase != Done || o.Held {
				unsettled[o.ID] = o
			}
		}
	}
	if !r.plan.on && len(unsettled) == 0 {
		return nil, nil
	}
	var before map[gitops.ID]*gitops.Object
	if ch.Before != "" {
		var err error
		if before, err = r.objects(ctx, ch.Before); err != nil {
			return nil, err
		}
	}
	var all []Moving
	objects := ch.Set.Objects()
	for i := range objects {
		o := &objects[i]
		router := routerOf(o.ID)
		if router == nil || !router.free(o.Body) {
			continue
		}
		template, err := templateOf(router, o.Body)
		if err != nil {
			return nil, fmt.Errorf("%s: %w", o.ID, err)
		}
		was := unsettled[o.ID]
		if was == nil {
			// What Git did not hold before is new here, or is adopted as it is.
			old := before[o.ID]
			if !r.plan.on || old == nil || same(router.template(old.Body), router.template(o.Body)) {
				continue
			}
		}
		live, err := r.c.Target.Get(ctx, o.ID, o.Version)
		if errors.Is(err, gitops.ErrNotFound) || errors.Is(err, gitops.ErrUnknownKind) {
			continue
		}
		if err != nil {
			return nil, fmt.Errorf("look at %s: %w", o.ID, err)
		}
		m := Moving{ID: o.ID, Version: o.Version, Template: template}
		if m.Old, _, _ = router.newest(live.Body); m.Old == "" {
			m.Old = newestSeen(router, live.Body)
		}
		if was != nil {
			m.Stable = was.Stable
			m.Held = (was.Held || prior.Phase.failed()) && was.Template == template
		} else if m.Stable = router.stable(live.Body); m.Stable == "" {
			continue // it never served
		}
		if all = append(all, m); len(all) > maxObjects {
			return nil, fmt.Errorf("more than %d objects would move their traffic at once: split the source", maxObjects)
		}
	}
	return all, nil
}

// newestSeen is the newest revision that a status names, even one that is about
// an older spec.
func newestSeen(r *router, live map[string]any) string {
	if r.kind == "InferenceService" {
		return textAt(live, "status", "components", "predictor", "latestCreatedRevision")
	}
	return textAt(live, "status", "latestCreatedRevisionName")
}

// objects reads a set from the store, by ID. r.mu is held.
func (r *Release) objects(ctx context.Context, digest verdict.Digest) (map[gitops.ID]*gitops.Object, error) {
	if r.loaded.digest == digest {
		return r.loaded.byID, nil
	}
	data, err := r.c.Store.GetSet(ctx, digest)
	if err != nil {
		return nil, fmt.Errorf("read the set %s: %w", digest.Short(), err)
	}
	set, err := gitops.ReadSet(data)
	if err != nil {
		return nil, fmt.Errorf("read the set %s: %w", digest.Short(), err)
	}
	if set.Digest() != digest {
		return nil, refuse(verdict.ReleaseState, "the set %s was changed", digest.Short())
	}
	byID := map[gitops.ID]*gitops.Object{}
	all := set.Objects()
	for i := range all {
		if routerOf(all[i].ID) != nil { // the others are not asked for
			byID[all[i].ID] = &all[i]
		}
	}
	r.loaded = loadedSet{digest, byID}
	return byID, nil
}
