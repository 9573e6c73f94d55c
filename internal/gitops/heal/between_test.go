package heal_test

import (
	"context"
	"fmt"
	"sync/atomic"
	"testing"

	"github.com/apexlogic/apex/internal/gitops"
	"github.com/apexlogic/apex/internal/gitops/heal"
	"github.com/apexlogic/apex/verdict"
)

// planted makes an object before the healer does.
func planted(t *testing.T, w world, o *gitops.Object) {
	body := deepCopy(o.Body)
	sidecar(body)
	if !w.create(t, body, "evil-controller") {
		t.Errorf("%s is there already", o.ID)
	}
}

var (
	miner          = object1("name", "miner", "image", evilImage)
	sidecar        = add(miner, "spec", "containers")
	errUnremovable = fmt.Errorf("a Pod's containers cannot be removed: %w", gitops.ErrInvalid)
)

// quick is a world in which somebody is faster than the healer.
type quick struct {
	world
	t     *testing.T
	asked func(*gitops.Object) // before the healer asks what the server makes of one
	after func()               // after the healer has deleted something
	fixed bool                 // nothing can be removed
}

func (q *quick) Apply(ctx context.Context, o *gitops.Object, opt gitops.ApplyOptions) (*gitops.Live, error) {
	if opt.DryRun && q.asked != nil {
		q.asked(o)
	}
	return q.world.Apply(ctx, o, opt)
}

func (q *quick) Patch(ctx context.Context, id gitops.ID, version string, patch []byte) (*gitops.Live, error) {
	if q.fixed {
		return nil, errUnremovable
	}
	return q.world.Patch(ctx, id, version, patch)
}

func (q *quick) Delete(ctx context.Context, id gitops.ID, version string, only gitops.Precondition) error {
	err := q.world.Delete(ctx, id, version, only)
	if err == nil && q.after != nil {
		q.after()
	}
	return err
}

func containers(t *testing.T, w world, o *gitops.Object) int {
	t.Helper()
	live, err := w.Get(t.Context(), o.ID, o.Version)
	if err != nil {
		t.Fatal(err)
	}
	return len(at(live.Body, "spec", "containers").([]any))
}

// What is there under the name that the healer asks about says nothing of the server.
func TestNothingIsLearnedFromAnObjectThatSomebodyMadeForIt(t *testing.T) {
	w := openEmbedded(t)
	var asked atomic.Int64
	q := &quick{world: w, t: t, asked: func(o *gitops.Object) {
		asked.Add(1)
		planted(t, w, o)
	}}
	g := newGuard(t, q, nil)
	o := object(t, w, pod)
	if _, err := w.Apply(t.Context(), o, gitops.ApplyOptions{}); err != nil {
		t.Fatal(err)
	}
	w.write(t, o.ID, o.Version, writers[0], sidecar)
	if err := g.Resume(o); err != nil {
		t.Fatal(err)
	}
	g.run(t)
	g.rest(t, 1)
	if asked.Load() == 0 {
		t.Error("nothing was asked")
	}
	if n := containers(t, w, o); n != 1 {
		t.Errorf("%d containers after a healing", n)
	}
}

// An object that can be healed only by making it again, and that somebody makes
// between its deletion and our apply, is not taken for what the server makes of it.
func TestWhatSomebodyMakesInAReplacementIsNotLearned(t *testing.T) {
	w := openEmbedded(t)
	var o *gitops.Object
	var once atomic.Bool
	q := &quick{world: w, t: t, fixed: true, after: func() {
		if once.CompareAndSwap(false, true) {
			planted(t, w, o)
		}
	}}
	g := newGuard(t, q, nil)
	g.run(t)
	o = object(t, w, pod)
	g.put(t, o)
	g.rest(t, 0)
	for i := range 2 {
		w.write(t, o.ID, o.Version, writers[0], sidecar)
		g.until(t, "healing", func([]heal.Report) bool { return len(g.of(verdict.DriftHealed, o.ID)) > i })
		g.rest(t, 0)
		if n := containers(t, w, o); n != 1 {
			t.Errorf("%d containers after healing %d", n, i)
		}
	}
}
