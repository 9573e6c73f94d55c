package heal

import (
	"context"
	"errors"
	"time"

	"github.com/apexlogic/apex/internal/gitops"
)

// watch follows one kind, for as long as objects of it are desired. A target's
// watch comes back by itself; one that ends nevertheless is begun again.
func (h *Healer) watch(ctx context.Context, state *kindState, kind gitops.Kind) {
	for ctx.Err() == nil {
		err := h.target.Watch(ctx, h.source, []gitops.Kind{kind}, func(e gitops.Event) { h.see(state, e) })
		if ctx.Err() != nil {
			return
		}
		if err != nil && !errors.Is(err, gitops.ErrUnknownKind) { // a kind may come later: its CRD is on the way
			h.log.Warn("watching for drift failed; trying again", "kind", kind.Kind, "group", kind.Group, "error", err)
		}
		timer := time.NewTimer(time.Second)
		select {
		case <-ctx.Done():
		case <-timer.C:
		}
		timer.Stop()
	}
}

// see takes one event. It does no I/O: it holds the watch up.
func (h *Healer) see(state *kindState, event gitops.Event) {
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.kinds[state.groupKind] != state {
		return // the last words of a watch that was ended: another one may have begun
	}
	if event.Kind == gitops.Synced {
		h.synced(state)
		return
	}
	e := h.entries[event.ID]
	if e == nil {
		return // carries the label and is not ours; a plan lists it
	}
	e.seen = true
	if e.pending {
		e.again, e.version = true, event.ResourceVersion // for when it has been applied
		return
	}
	if event.Kind == gitops.Changed && !e.busy && e.version != "" && event.ResourceVersion == e.version && event.UID == e.uid {
		return // our own write, or one that was looked at
	}
	h.suspect(e, true)
}

// synced is called when a listing is complete: what is desired and was not in
// it is not there, or lost its label. h.mu is held.
func (h *Healer) synced(state *kindState) {
	for id, e := range h.entries {
		if id.Group == state.group && id.Kind == state.kind && !e.seen && !e.pending {
			h.suspect(e, true)
		}
	}
}

// How often the sweep goes on a little, and what failed is tried again while
// there is anything.
const (
	sweepTick = time.Second
	retryTick = firstWait
)

// sweep has each object looked at once in a period, spread evenly, for the events
// that were lost: by the target, by the network, by us.
func (h *Healer) sweep(ctx context.Context) {
	timer := time.NewTimer(sweepTick)
	defer timer.Stop()
	s := sweeper{last: h.clock.Now()}
	for {
		select {
		case <-ctx.Done():
			return
		case <-timer.C:
		case <-h.failed:
		}
		timer.Reset(h.advance(&s))
	}
}

// sweeper is how far a sweep has come.
type sweeper struct {
	last time.Time
	due  float64 // objects, with what is left of one
	left []gitops.ID
}

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
	s.due += float64(len(h.entries)) * max(passed, 0).Seconds() / h.period.Seconds()
	s.due = min(s.due, float64(len(h.entries))) // after a pause, once round is enough
	for ; s.due >= 1 && len(h.entries) > 0; s.due-- {
		if len(s.left) == 0 {
			s.left = make([]gitops.ID, 0, len(h.entries))
			for id := range h.entries {
				s.left = append(s.left, id)
			}
		}
		id := s.left[len(s.left)-1]
		s.left = s.left[:len(s.left)-1]
		if e := h.entries[id]; e != nil {
			if e.pending && now.Sub(unix(e.since)) > pendingLimit {
				e.pending, e.version = false, ""
			}
			h.suspect(e, false)
		}
	}
	return next
}
