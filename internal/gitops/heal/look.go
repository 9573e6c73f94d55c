package heal

import (
	"context"
	"errors"
	"fmt"
	"slices"

	"github.com/apexlogic/apex/api/v1alpha1"
	"github.com/apexlogic/apex/internal/gitops"
	"github.com/apexlogic/apex/verdict"
)

// maxRounds of looking, healing and finding it changed meanwhile, before the
// object goes to the end of the queue.
const maxRounds = 8

// maxReplaces of one object in one look: what is there afterwards is the server's.
const maxReplaces = 1

// look is one look at one suspect, and what came of it.
type look struct {
	*Healer
	target gitops.Target // writes in turns
	e      *entry
	modes  *Modes // of the object
	o      *gitops.Object
	digest sum // of what was desired when the look began
	uid    string
	since  int64

	verified map[sum]struct{} // found to be the server's, in this look
	generals map[sum]struct{} // the same, for the whole kind
	settledK map[sum]struct{} // what was known before
	knows    bool             // what the server adds was learned, now or before
	replaces int
	held     bool      // somebody of ours has stopped it
	turned   bool      // since it was last in order: what that makes is no drift
	first    []finding // the drift as it was found, before anything was done
	report   Report
	wrote    bool
}

// look asks for the object and puts it in order.
func (h *Healer) look(ctx context.Context, e *entry) error {
	h.mu.Lock()
	state := h.kinds[groupKind{e.id.Group, e.id.Kind}]
	l := look{Healer: h, e: e, digest: e.digest, uid: e.uid, since: e.since}
	l.target = turns{h.target, &l}
	l.knows, l.modes = e.learned, h.modes.For(e.mode)
	kept, where, known := e.body, e.where, slices.Clone(e.known)
	api, version, was := e.api, e.version, e.held
	if e.doubted {
		e.doubted, version = false, ""
	}
	h.stats.Looks++
	h.mu.Unlock()
	if state == nil {
		return nil // forgotten
	}
	l.settledK = make(map[sum]struct{}, len(known))
	for _, k := range known {
		l.settledK[k] = struct{}{}
	}
	l.verified, l.generals = map[sum]struct{}{}, map[sum]struct{}{}
	l.report = Report{ID: e.id, Where: where}

	live, err := h.target.Get(ctx, e.id, api)
	if err == nil && version != "" && live.ResourceVersion == version && live.UID == l.uid && stopped(h.holder, e.id) == was {
		return nil // it is the one that was in order
	}
	for round := range maxRounds {
		if round > 0 {
			live, err = h.target.Get(ctx, e.id, api)
		}
		// Anew each time: what others may write is written into it.
		body, bad := state.shelf.get(kept)
		if bad != nil {
			return l.stuck(bad)
		}
		o, bad := gitops.NewObject(body, where)
		if bad != nil {
			return l.stuck(bad)
		}
		l.o, l.held = &o, stopped(h.holder, o.ID)
		if l.held {
			l.o = stop(&o)
		}
		l.turned = l.held != was
		if err = l.once(ctx, live, err); !errors.Is(err, gitops.ErrConflict) {
			break
		}
	}
	if errors.Is(err, errOvertaken) {
		h.mu.Lock()
		defer h.mu.Unlock()
		e.again = !e.gone
		return nil
	}
	if err != nil && ctx.Err() == nil {
		return l.stuck(err)
	}
	return err
}

// once puts the object in order as it was got. ErrConflict: it changed meanwhile.
func (l *look) once(ctx context.Context, live *gitops.Live, err error) error {
	if errors.Is(err, gitops.ErrNotFound) {
		return l.missing(ctx)
	}
	if err != nil {
		return err
	}
	if l.uid != "" && l.uid != live.UID {
		l.report.Recreated = true
	}
	if meta, _ := live.Body["metadata"].(map[string]any); meta["deletionTimestamp"] != nil {
		return l.deleting(ctx, live)
	}
	healing, leaving := l.judge(live)
	if healing, leaving, err = l.explain(ctx, live, healing, leaving); err != nil {
		return err
	}
	if len(healing) == 0 {
		if l.report.Recreated && l.first == nil && l.modes.of(l.e.id, nil) != v1alpha1.ModeWarn {
			l.wrote = true // it is as it should be, and is not the one that was ours
		}
		return l.settle(live, leaving)
	}
	if l.first == nil {
		l.first = slices.DeleteFunc(slices.Clone(healing), func(f finding) bool { return l.ours(&f) })
		l.report.describe(l.first, live.Body)
	}
	live, err = l.heal(ctx, live, healing, leaving)
	if err != nil {
		return err
	}
	_, leaving = l.judge(live)
	return l.settle(live, leaving)
}

// judge compares, and sorts what is left by what happens to it.
func (l *look) judge(live *gitops.Live) (healing, leaving []finding) {
	found := compare(l.hash, l.o, live.Body)
	l.mu.Lock()
	defer l.mu.Unlock()
	for _, f := range l.modes.sort(l.hash, l.o, live.Body, l.unexplained(l.e, l.o, live, l.held, found)) {
		if _, ok := l.verified[f.id]; ok {
			continue
		}
		if _, ok := slices.BinarySearch(l.e.known, f.id); ok {
			continue // a part that is the server's
		}
		if f.mode == v1alpha1.ModeWarn {
			if l.ours(&f) {
				continue // whoever stops it writes it, too
			}
			leaving = append(leaving, f)
		} else {
			healing = append(healing, f)
		}
	}
	return healing, leaving
}

// ours says whether the difference is there because the object was stopped or let
// go since it was last in order.
func (l *look) ours(f *finding) bool {
	return l.turned && (atStop(l.o.ID, f) || ofHolder(f))
}

// unexplained returns the differences that are not the server's and not a listed
// writer's. Differences that the object was not yet seen with count as the
// server's when it makes the same ones in other objects of the kind. h.mu is held.
func (h *Healer) unexplained(e *entry, o *gitops.Object, live *gitops.Live, held bool, found []finding) []finding {
	state := h.kinds[groupKind{o.Group, o.Kind}]
	var rest []finding
	for i := range found {
		f := &found[i]
		if _, ok := slices.BinarySearch(e.known, f.id); ok {
			continue
		}
		if !e.learned && f.general != 0 && state != nil {
			if _, ok := state.defaults[f.general]; ok {
				e.learn(f.id)
				continue
			}
		}
		if held && ofHolder(f) {
			continue
		}
		if !(held && atStop(o.ID, f)) && h.allowed(o, live.Body, f) {
			continue
		}
		if parts := h.parts(o, live.Body, f); parts != nil {
			rest = append(rest, parts...)
			continue
		}
		rest = append(rest, *f)
	}
	return rest
}

// parts returns what of an addition nobody may make, when somebody may make some
// of it; else nil: the first annotation brings the map with it.
func (h *Healer) parts(o *gitops.Object, live map[string]any, f *finding) []finding {
	below, ok := f.have.(map[string]any)
	if f.what != Added || !ok || !slices.ContainsFunc(h.writer, func(w Writer) bool {
		return w.Group == o.Group && slices.Contains(w.Kinds, o.Kind) && len(w.path) > len(f.way) && w.path[:len(f.way)].matches(f.way)
	}) {
		return nil
	}
	c := newComparison(h.hash, o, live)
	c.way = slices.Clone(f.way)
	c.mapping(nil, below)
	rest := slices.DeleteFunc(c.found, func(part finding) bool { return h.allowed(o, live, &part) })
	if len(rest) == len(below) {
		return nil
	}
	return append([]finding{}, rest...)
}

// learn notes what the server makes of the object.
func (e *entry) learn(id sum) {
	if i, ok := slices.BinarySearch(e.known, id); !ok && len(e.known) < maxFindings {
		e.known = slices.Insert(e.known, i, id)
	}
}

// missing makes an object again that is not there.
func (l *look) missing(ctx context.Context) error {
	l.report.Deleted = true
	if l.modes.of(l.e.id, nil) == v1alpha1.ModeWarn {
		return l.settle(&gitops.Live{}, []finding{{what: Missing, id: 1}})
	}
	live, err := l.target.Apply(ctx, l.o, gitops.ApplyOptions{})
	if errors.Is(err, gitops.ErrInvalid) {
		if _, there := l.target.Get(ctx, l.e.id, l.o.Version); there == nil {
			return fmt.Errorf("%w: somebody made it first", gitops.ErrConflict)
		}
	}
	if err != nil {
		return err
	}
	l.wrote = true
	healing, leaving := l.judge(live)
	if healing, leaving, err = l.explain(ctx, live, healing, leaving); err != nil {
		return err
	}
	if len(healing) > 0 {
		if live, err = l.heal(ctx, live, healing, leaving); err != nil {
			return err
		}
		_, leaving = l.judge(live)
	}
	return l.settle(live, leaving)
}

// deleting looks at an object that is on its way out: what holds it up and is
// not Git's is taken away; when it is gone, it is made again.
func (l *look) deleting(ctx context.Context, live *gitops.Live) error {
	healing, leaving := l.judge(live)
	holds := slices.DeleteFunc(healing, func(f finding) bool {
		// The server's own two are what a deletion in the foreground is made of.
		last := f.way[len(f.way)-1].name
		return f.what != Added || len(f.way) != 3 || f.way[1].name != "finalizers" || last == "foregroundDeletion" || last == "orphan"
	})
	if len(holds) > 0 {
		l.report.describe(holds, live.Body)
		patch, err := removal(live.ResourceVersion, holds)
		if err != nil {
			return err
		}
		if live, err = l.target.Patch(ctx, l.e.id, l.o.Version, patch); errors.Is(err, gitops.ErrNotFound) {
			l.first, l.wrote = holds, true
			return l.missing(ctx) // that was the last that held it
		} else if err != nil {
			return err
		}
		l.first, l.wrote = holds, true
	}
	live.ResourceVersion = "" // whatever comes next is a reason to look
	return l.settle(live, leaving)
}

// heal puts back what differs, and returns what the target holds then.
func (l *look) heal(ctx context.Context, live *gitops.Live, healing, leaving []finding) (*gitops.Live, error) {
	if slices.ContainsFunc(healing, func(f finding) bool { return f.what != Added || f.positional }) {
		after, err := l.apply(ctx, live, healing, leaving)
		if err != nil {
			return nil, err
		}
		live = after
		healing, _ = l.judge(live)
	}
	added := slices.DeleteFunc(healing, func(f finding) bool { return f.what != Added })
	if len(added) == 0 {
		return live, nil
	}
	return l.remove(ctx, live, added)
}

// apply puts back what Git sets. What it leaves different, the server or an
// admission webhook makes so: that is reported, once.
func (l *look) apply(ctx context.Context, live *gitops.Live, healing, leaving []finding) (*gitops.Live, error) {
	l.keep(live, leaving)
	after, err := l.target.Apply(ctx, l.o, gitops.ApplyOptions{})
	if errors.Is(err, gitops.ErrInvalid) {
		if after, err = l.rewrite(ctx, live, healing); err == nil {
			after, err = l.target.Apply(ctx, l.o, gitops.ApplyOptions{}) // the fields are ours again
		}
		if errors.Is(err, gitops.ErrInvalid) {
			after, err = l.replace(ctx, live, err)
		}
	}
	if err != nil {
		return nil, err
	}
	l.wrote = true
	left, _ := l.judge(after)
	left = slices.DeleteFunc(left, func(f finding) bool { return f.what == Added })
	if slices.ContainsFunc(left, func(f finding) bool { return f.what == Reordered }) {
		// An apply merges elements in an order of its own.
		if again, err := l.rewrite(ctx, after, left); err == nil {
			after = again
			left, _ = l.judge(after)
			left = slices.DeleteFunc(left, func(f finding) bool { return f.what == Added })
		} else if !errors.Is(err, gitops.ErrInvalid) {
			return nil, err
		}
	}
	var altered []finding
	for _, f := range left {
		l.verified[f.id] = struct{}{}
		if f.what == Missing && isZero(f.want) {
			continue // servers leave out what says nothing
		}
		altered = append(altered, f)
	}
	if len(altered) > 0 {
		r := Report{Code: verdict.DriftAltered, ID: l.e.id, Where: l.report.Where, At: l.clock.Now()}
		r.describe(altered, after.Body)
		l.Healer.report(r)
	}
	return after, nil
}

// keep writes into what is applied what others may write, and what is only to be
// reported.
func (l *look) keep(live *gitops.Live, leaving []finding) {
	for i := range leaving {
		if leaving[i].what != Added {
			adopt(l.o.Body, &leaving[i])
		}
	}
	found := compare(l.hash, l.o, live.Body)
	l.mu.Lock()
	defer l.mu.Unlock()
	for i := range found {
		if f := &found[i]; f.what == Changed && !(l.held && atStop(l.o.ID, f)) && l.allowed(l.o, live.Body, f) {
			adopt(l.o.Body, f)
		}
	}
}

func (l *look) rewrite(ctx context.Context, live *gitops.Live, healing []finding) (*gitops.Live, error) {
	patch, err := rewriting(live.ResourceVersion, healing)
	if err != nil {
		return nil, err
	}
	after, err := l.target.Patch(ctx, l.e.id, l.o.Version, patch)
	if err == nil {
		l.wrote = true
	}
	return after, err
}

// keepsData says whether objects of the kind hold what Git does not, so that they
// are never deleted to be made again.
func keepsData(id gitops.ID) bool {
	switch id.Kind {
	case "Namespace", "PersistentVolume", "PersistentVolumeClaim":
		return id.Group == ""
	case "CustomResourceDefinition":
		return true
	}
	return false
}

// errKeepsData is why an object is not replaced.
var errKeepsData = errors.New("it could be put back only by deleting it, and it holds data: do it by hand")

// replace deletes the object and makes it again: what differs cannot be changed.
func (l *look) replace(ctx context.Context, live *gitops.Live, why error) (*gitops.Live, error) {
	if keepsData(l.e.id) {
		return nil, errors.Join(errKeepsData, why)
	}
	if l.replaces == maxReplaces {
		return nil, fmt.Errorf("it was replaced, and differs still: %w", why)
	}
	l.replaces++
	turn := turns{l.Healer.target, l} // one for both: what is deleted is made again
	if err := turn.begin(); err != nil {
		return nil, err
	}
	defer turn.end()
	if err := turn.Target.Delete(ctx, l.e.id, l.o.Version, gitops.Precondition{UID: live.UID}); err != nil {
		return nil, err
	}
	l.wrote, l.report.Replaced = true, true
	after, err := turn.Target.Apply(ctx, l.o, gitops.ApplyOptions{})
	if err == nil && after.UID == live.UID {
		return nil, fmt.Errorf("%w: it is being deleted", gitops.ErrConflict)
	}
	return after, err
}
