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
		h.unsee(state)
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

// unsee has what the watch before saw be seen again by the one that begins: what
// went in between is in no listing.
func (h *Healer) unsee(state *kindState) {
	h.mu.Lock()
	defer h.mu.Unlock()
	for id, e := range h.entries {
		if id.Group == state.group && id.Kind == state.kind {
			e.seen = false
		}
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
		e.again, e.version = true, "" // for when it has been applied
		if event.Kind == gitops.Changed {
			e.version = event.ResourceVersion // of what is gone it says what it was
		}
		return
	}
	if event.Kind == gitops.Changed && e.busy {
		e.heard = event.ResourceVersion
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
