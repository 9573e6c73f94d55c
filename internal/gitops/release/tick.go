package release

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"

	"github.com/apexlogic/apex/internal/gitops"
	"github.com/apexlogic/apex/verdict"
)

// workers write, look and measure at once.
const workers = 16

// maxMoves of one Tick: from the beginning of a canary to its end, with each step
// settled at once.
const maxMoves = 4 * (maxSteps + 1)

// Tick looks at the canary and takes it as far as the world allows now: it is
// called every second or so, and after a start. When something failed, traffic is
// on its way back before Tick returns. The result is nil when there is no canary.
// An error means that something could not be asked or done; the next Tick tries
// again.
func (r *Release) Tick(ctx context.Context) (*Canary, error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	s, err := r.load(ctx)
	if err != nil {
		return nil, err
	}
	for moves := 0; s.Canary != nil && moves < maxMoves; moves++ {
		again, err := r.advance(ctx, s, s.Canary)
		if err != nil {
			// The ledger hears of what was decided, whether or not it could be done.
			return s.Canary.copy(), errors.Join(fmt.Errorf("canary of %s: %w", r.name, err), r.tell(ctx, s))
		}
		if !again {
			break
		}
	}
	if err := r.tell(ctx, s); err != nil {
		return nil, err
	}
	if s.Canary == nil {
		return nil, nil
	}
	return s.Canary.copy(), nil
}

// advance does what is to be done in the phase. Again says that the phase is
// another one now.
func (r *Release) advance(ctx context.Context, s *record, c *Canary) (again bool, err error) {
	switch c.Phase {
	case Preparing:
		return r.prepare(ctx, s, c)
	case Shifting:
		if err := r.act(ctx, c); err != nil {
			return false, err
		}
		r.c.Checkpoint("shifted")
		return true, r.enter(ctx, s, Settling)
	case Settling:
		return r.settle(ctx, s, c)
	case Observing:
		return r.observe(ctx, s, c)
	case Finishing:
		if err := r.act(ctx, c); err != nil {
			return false, err
		}
		r.c.Checkpoint("finished")
		return true, r.enter(ctx, s, Done)
	case Returning:
		if err := r.act(ctx, c); err != nil {
			return false, err
		}
		r.c.Checkpoint("sent-back")
		return true, r.enter(ctx, s, Gone)
	}
	return false, nil
}

// enter begins a phase, durably.
func (r *Release) enter(ctx context.Context, s *record, p Phase) error {
	c := s.Canary
	c.Phase, c.Since, c.Unknown = p, r.now(), time.Time{}
	switch p {
	case Shifting:
		s.write(r.now(), Entry{What: Shifted, Revision: c.Revision, Percent: c.Steps[c.Step]})
	case Finishing:
		s.write(r.now(), Entry{What: Finished, Revision: c.Revision, Percent: 100})
	case Returning:
		s.write(r.now(), Entry{What: Returned, Revision: c.Revision, Percent: c.Steps[c.Step], Code: c.Code, Note: c.Why})
	}
	if err := r.save(ctx, s); err != nil {
		return err
	}
	r.c.Checkpoint(string(p))
	return nil
}

// fail decides that traffic goes back.
func (r *Release) fail(ctx context.Context, s *record, code verdict.Code, format string, args ...any) (bool, error) {
	s.Canary.Code, s.Canary.Why = code, clip(fmt.Sprintf(format, args...))
	return true, r.enter(ctx, s, Returning)
}

// late says whether the phase takes longer than it may.
func (r *Release) late(since time.Time) bool { return r.now().Sub(since) > r.plan.readyWithin }

// glance is what one object looks like.
type glance struct {
	newest, failed string
	ready          bool
	routed         int64
	gone           bool
	healthy        bool
	why            string // it is not healthy
}

// glances looks at the objects that move.
func (r *Release) glances(ctx context.Context, c *Canary, health bool) ([]glance, error) {
	desired, err := r.objects(ctx, c.Set)
	if err != nil && health {
		return nil, err
	}
	out := make([]glance, len(c.Objects))
	err = each(ctx, len(c.Objects), func(ctx context.Context, i int) error {
		o, g := &c.Objects[i], &out[i]
		if o.Held {
			return nil
		}
		router := routerOf(o.ID)
		live, err := r.c.Target.Get(ctx, o.ID, o.Version)
		if errors.Is(err, gitops.ErrNotFound) {
			g.gone, g.why = true, "it is not there"
			return nil
		}
		if err != nil {
			return fmt.Errorf("look at %s: %w", o.ID, err)
		}
		g.newest, g.ready, g.failed = router.newest(live.Body)
		g.routed = router.routed(live.Body, o.Candidate)
		if want := desired[o.ID]; health && want != nil {
			if want, err = r.Overlay(want); err != nil {
				return err
			}
			if g.healthy, g.why, err = r.c.Target.Healthy(ctx, want); err != nil {
				return fmt.Errorf("ask for the health of %s: %w", o.ID, err)
			}
		}
		return nil
	})
	return out, err
}

// prepare waits until the new revisions can serve.
func (r *Release) prepare(ctx context.Context, s *record, c *Canary) (bool, error) {
	// Before all of it is applied, what is newest is an older change's.
	applied, whole, err := r.c.Applied(ctx)
	if err != nil {
		return false, err
	}
	if !whole || applied.Set != c.Set {
		if r.late(c.Since) {
			return r.fail(ctx, s, verdict.CanaryUnready, "the revision was not applied within %s", r.plan.readyWithin)
		}
		return false, nil
	}
	seen, err := r.glances(ctx, c, false)
	if err != nil {
		return r.unknown(ctx, s, c, err.Error())
	}
	var waits *Moving
	for i := range c.Objects {
		o, g := &c.Objects[i], &seen[i]
		switch {
		case o.Held:
		case g.newest == "" || g.newest == o.Stable || g.newest == o.Old:
			waits = o
		case g.failed != "":
			return r.fail(ctx, s, verdict.CanaryUnready, "%s: revision %s cannot serve: %s", o.ID, g.newest, g.failed)
		case !g.ready:
			waits = o
		}
	}
	if waits != nil {
		if r.late(c.Since) {
			return r.fail(ctx, s, verdict.CanaryUnready, "%s has no new revision that can serve after %s", waits.ID, r.plan.readyWithin)
		}
		return false, nil
	}
	for i := range c.Objects {
		c.Objects[i].Candidate = seen[i].newest
	}
	c.Step = 0
	return true, r.enter(ctx, s, Shifting)
}

// settle waits until the controllers have followed.
func (r *Release) settle(ctx context.Context, s *record, c *Canary) (bool, error) {
	seen, err := r.glances(ctx, c, true)
	if err != nil {
		return r.unknown(ctx, s, c, err.Error())
	}
	for i := range c.Objects {
		o, g := &c.Objects[i], &seen[i]
		if o.Held {
			continue
		}
		if refused := other(o, g); refused != nil {
			return r.fail(ctx, s, refused.Code, "%s", refused.Why)
		}
		if g.routed != int64(c.percentOf(o)) || !g.healthy {
			if r.late(c.Since) {
				return r.fail(ctx, s, verdict.CanaryFailed, "%s does not settle at %d %% within %s: %s", o.ID, c.percentOf(o), r.plan.readyWithin, g.why)
			}
			return false, nil
		}
	}
	return true, r.enter(ctx, s, Observing)
}

// other refuses to go on with an object that has another revision by now: who
// moves traffic to "the latest" would move it there.
func other(o *Moving, g *glance) *Refusal {
	switch {
	case g.gone:
		return refuse(verdict.CanaryFailed, "%s is not there any more", o.ID)
	case g.failed != "":
		return refuse(verdict.CanaryFailed, "%s: revision %s cannot serve: %s", o.ID, g.newest, g.failed)
	case g.newest != "" && g.newest != o.Candidate:
		return refuse(verdict.CanaryFailed, "%s has the revision %s beside its candidate %s", o.ID, g.newest, o.Candidate)
	}
	return nil
}

// observe watches a step while it lasts, and ends it.
func (r *Release) observe(ctx context.Context, s *record, c *Canary) (bool, error) {
	seen, err := r.glances(ctx, c, true)
	if err != nil {
		return r.unknown(ctx, s, c, err.Error())
	}
	for i := range c.Objects {
		o, g := &c.Objects[i], &seen[i]
		if o.Held {
			continue
		}
		if refused := other(o, g); refused != nil {
			return r.fail(ctx, s, refused.Code, "%s", refused.Why)
		}
		if g.routed != int64(c.percentOf(o)) {
			// Somebody moved it. It is put back, and the step lasts anew.
			return true, r.enter(ctx, s, Shifting)
		}
		if !g.healthy {
			return r.fail(ctx, s, verdict.CanaryFailed, "%s at %d %%: %s", o.ID, c.percentOf(o), g.why)
		}
	}
	if code, why := r.analyse(ctx, c); code == verdict.GateMetric {
		return r.fail(ctx, s, verdict.CanaryFailed, "%s", why)
	} else if code != verdict.OK {
		return r.unknown(ctx, s, c, why)
	}
	if !c.Unknown.IsZero() {
		c.Unknown = time.Time{}
		if err := r.save(ctx, s); err != nil {
			return false, err
		}
	}
	switch {
	case !c.Direct && r.now().Sub(c.Since) < r.plan.interval:
		return false, nil
	case c.Step+1 < len(c.Steps):
		c.Step++
		return true, r.enter(ctx, s, Shifting)
	}
	return true, r.enter(ctx, s, Finishing)
}

// unknown holds the canary where it is; when there is no answer for too long,
// traffic goes back.
func (r *Release) unknown(ctx context.Context, s *record, c *Canary, why string) (bool, error) {
	if c.Unknown.IsZero() {
		c.Unknown = r.now()
		return false, r.save(ctx, s)
	}
	if !r.late(c.Unknown) {
		return false, nil
	}
	return r.fail(ctx, s, verdict.GateUnknown, "no answer since %s: %s", c.Unknown.Format(time.RFC3339), why)
}

// analyse measures every moving object. One that is out of bounds counts more
// than one that is not known.
func (r *Release) analyse(ctx context.Context, c *Canary) (verdict.Code, string) {
	if c.Direct || len(r.plan.analysis) == 0 {
		return verdict.OK, ""
	}
	var mu sync.Mutex
	code, why := verdict.OK, ""
	_ = each(ctx, len(c.Objects)*len(r.plan.analysis), func(ctx context.Context, i int) error {
		o, m := &c.Objects[i/len(r.plan.analysis)], &r.plan.analysis[i%len(r.plan.analysis)]
		if o.Held {
			return nil
		}
		found, text := r.judge(ctx, Sample{Metric: m, Object: o.ID, Revision: o.Candidate})
		mu.Lock()
		defer mu.Unlock()
		if found == verdict.GateMetric && code != found || found != verdict.OK && code == verdict.OK {
			code, why = found, fmt.Sprintf("%s at %d %%: analysis[%d]: %s", o.ID, c.percentOf(o), i%len(r.plan.analysis), text)
		}
		return nil
	})
	return code, why
}

// act makes the target hold the objects with the fields as they are owned now.
// All are written, whatever becomes of one.
func (r *Release) act(ctx context.Context, c *Canary) error {
	applied, _, err := r.c.Applied(ctx)
	if err != nil {
		return err
	}
	if applied.Set != c.Set {
		return nil // another set is to be held: whoever applies it gets the fields
	}
	desired, err := r.objects(ctx, c.Set)
	if err != nil {
		return err
	}
	return each(ctx, len(c.Objects), func(ctx context.Context, i int) error {
		want := desired[c.Objects[i].ID]
		if want == nil {
			return nil
		}
		o, err := gitops.Labelled(*want, r.name)
		if err != nil {
			return err
		}
		held, err := r.Overlay(&o)
		if err != nil {
			return err
		}
		if err := r.c.Keeper.Desire(held); err != nil {
			return err
		}
		live, err := r.c.Target.Apply(ctx, held, gitops.ApplyOptions{})
		if err != nil {
			return fmt.Errorf("move the traffic of %s: %w", o.ID, err)
		}
		r.c.Keeper.Applied(held, live)
		return nil
	})
}

// each calls fn for every index, some at once, and returns all errors.
func each(ctx context.Context, n int, fn func(ctx context.Context, i int) error) error {
	errs := make([]error, n)
	var all sync.WaitGroup
	free := make(chan struct{}, workers)
	for i := range n {
		free <- struct{}{}
		all.Go(func() {
			defer func() { <-free }()
			errs[i] = fn(ctx, i)
		})
	}
	all.Wait()
	return errors.Join(errs...)
}
