package heal

import (
	"context"
	"errors"
	"time"

	"github.com/apexlogic/apex/internal/gitops"
)

// How often the sweep goes on a little, and what failed is tried again while
// there is anything.
const (
	sweepTick = time.Second
	retryTick = firstWait
)

// A kind is swept by listing while the list is not much longer than what we hold
// of it: a few requests with metadata for thousands of objects. Where a cluster
// holds far more of the kind than the source does, each object is asked for.
const (
	crowdFactor = 8
	crowdFloor  = 500 // one page
)

// sweep has each object looked at once in a period, spread evenly, for the events
// that were lost: by the target, by the network, by us.
func (h *Healer) sweep(ctx context.Context) {
	timer := time.NewTimer(sweepTick)
	defer timer.Stop()
	now := h.clock.Now()
	s := sweeper{last: now, lastKind: now}
	s.lister, _ = gitops.As[gitops.Lister](h.target)
	for {
		select {
		case <-ctx.Done():
			return
		case <-timer.C:
		case <-h.failed:
		}
		next := h.advance(&s)
		if state := h.dueKind(&s); state != nil {
			h.sweepKind(ctx, s.lister, state)
		}
		timer.Reset(next)
	}
}

// sweeper is how far a sweep has come.
type sweeper struct {
	lister   gitops.Lister // nil: the target cannot list
	last     time.Time
	lastKind time.Time
	due      float64 // objects, with what is left of one
	left     []gitops.ID
}

// single says whether the objects of the kind are asked for one by one.
func (s *sweeper) single(state *kindState) bool { return s.lister == nil || state.crowded }

// advance has the objects looked at that are due by now, and returns when to come
// again.
func (h *Healer) advance(s *sweeper) (next time.Duration) {
	now := h.clock.Now()
	h.mu.Lock()
	defer h.mu.Unlock()
	for e, at := range h.retries {
		if !now.Before(at) {
			delete(h.retries, e)
			h.suspect(e, true)
		}
	}
	next = sweepTick
	if len(h.retries) > 0 {
		next = retryTick
	}
	for id, f := range h.fights {
		if f.over(now, h.fightW) {
			delete(h.fights, id)
		}
	}
	passed := now.Sub(s.last)
	if passed < sweepTick/2 && passed >= 0 {
		return next
	}
	s.last = now
	objects := 0
	for _, state := range h.kinds {
		if s.single(state) {
			objects += state.objects
		}
	}
	s.due += float64(objects) * max(passed, 0).Seconds() / h.period.Seconds()
	s.due = min(s.due, float64(objects)) // after a pause, once round is enough
	for ; s.due >= 1; s.due-- {
		if len(s.left) == 0 {
			s.left = make([]gitops.ID, 0, objects)
			for id := range h.entries {
				if s.single(h.kinds[groupKind{id.Group, id.Kind}]) {
					s.left = append(s.left, id)
				}
			}
		}
		id := s.left[len(s.left)-1]
		s.left = s.left[:len(s.left)-1]
		if e := h.entries[id]; e != nil {
			h.visit(e, now)
		}
	}
	return next
}

// visit has an object looked at for no other reason than that it is its turn.
// One that somebody was about to apply for too long is taken over. h.mu is held.
func (h *Healer) visit(e *entry, now time.Time) {
	if e.pending && now.Sub(unix(e.since)) > pendingLimit {
		e.pending, e.version = false, ""
	}
	h.suspect(e, false)
}

// dueKind returns the kind that is to be listed now, if any: the one that waits
// longest, one after the other over the period.
func (h *Healer) dueKind(s *sweeper) *kindState {
	now := h.clock.Now()
	h.mu.Lock()
	defer h.mu.Unlock()
	var first *kindState
	kinds := 0
	for _, state := range h.kinds {
		if s.lister == nil || state.crowded {
			continue
		}
		kinds++
		if first == nil || state.swept.Before(first.swept) {
			first = state
		}
	}
	if kinds == 0 || now.Sub(s.lastKind) < h.period/time.Duration(kinds) {
		return nil
	}
	s.lastKind, first.swept = now, now
	return first
}

// sweepKind compares what is listed with the ledger.
func (h *Healer) sweepKind(ctx context.Context, lister gitops.Lister, state *kindState) {
	ctx, cancel := context.WithTimeout(ctx, requestTimeout)
	defer cancel()
	h.mu.Lock()
	h.round++
	round, most := h.round, max(state.objects*crowdFactor, crowdFloor)
	h.mu.Unlock()
	listed := 0
	err := lister.List(ctx, gitops.Kind{Group: state.group, Version: state.version, Kind: state.kind}, func(o gitops.Held) {
		if listed++; listed > most {
			cancel()
			return
		}
		h.mu.Lock()
		defer h.mu.Unlock()
		e := h.entries[o.ID]
		if e == nil {
			return
		}
		e.round = round
		if e.version != o.ResourceVersion || e.uid != o.UID || o.Source != h.source {
			h.visit(e, h.clock.Now())
		}
	})
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.kinds[state.groupKind] != state || h.closed {
		return
	}
	switch {
	case listed > most || errors.Is(err, gitops.ErrForbidden):
		state.crowded = true // one by one, then
		return
	case err != nil:
		h.log.Warn("sweeping a kind failed; it is tried again", "kind", state.kind, "group", state.group, "error", err)
		state.swept = time.Time{}
		return
	}
	for id, e := range h.entries {
		if e.round != round && id.Group == state.group && id.Kind == state.kind {
			h.visit(e, h.clock.Now())
		}
	}
}
