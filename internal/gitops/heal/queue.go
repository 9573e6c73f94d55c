package heal

import (
	"context"
	"time"
)

// queue is first in, first out, and gives its memory back when it is empty.
type queue struct {
	items []*entry
	head  int
}

func (q *queue) len() int { return len(q.items) - q.head }

func (q *queue) push(e *entry) { q.items = append(q.items, e) }

func (q *queue) pop() *entry {
	e := q.items[q.head]
	q.items[q.head] = nil
	if q.head++; q.head == len(q.items) {
		*q = queue{}
	}
	return e
}

// suspect has the object looked at: at once, or after everything urgent. One
// object is never in two hands. h.mu is held.
func (h *Healer) suspect(e *entry, urgent bool) {
	if e.gone {
		return
	}
	if e.pending {
		e.again = true
		return
	}
	if e.since == 0 {
		e.since = h.clock.Now().UnixNano()
	}
	switch {
	case e.busy:
		e.again = true
		return
	case e.queued && (e.urgent || !urgent):
		return
	}
	// One that moves up stays in the lazy queue too, where it is passed over.
	e.queued, e.urgent = true, urgent
	if urgent {
		h.urgent.push(e)
	} else {
		h.lazy.push(e)
	}
	h.wake.Signal()
}

// lazyShare of the looks go to what is not urgent even when everything is, so that
// nobody can hold up the sweep by making noise.
const lazyShare = 8

// next waits for an object to look at; nil when the healer has ended.
func (h *Healer) next() *entry {
	h.mu.Lock()
	defer h.mu.Unlock()
	for {
		for h.urgent.len()+h.lazy.len() == 0 && !h.closed {
			h.wake.Wait()
		}
		if h.closed {
			return nil
		}
		var e *entry
		h.turn++
		if h.lazy.len() == 0 || h.urgent.len() > 0 && h.turn%lazyShare != 0 {
			e = h.urgent.pop()
		} else if e = h.lazy.pop(); e.urgent {
			continue // it is in the other queue too
		}
		if e.gone || !e.queued {
			continue
		}
		if e.pending {
			e.queued, e.urgent, e.again = false, false, true
			continue
		}
		e.queued, e.urgent, e.busy, e.heard = false, false, true, ""
		delete(h.retries, e)
		h.inflight++
		return e
	}
}

// Waits between tries of an object whose look failed: with the target away they
// grow, so that it is not flooded when it comes back. Healing that succeeds
// never waits.
const (
	firstWait   = 100 * time.Millisecond
	longestWait = 5 * time.Second
)

// done gives the object back. The watch often reports our own write before we are
// through: events of an object come in order, so that nothing is new when the last
// one is of the version that is in order now. Another version that the look has met
// does not do: in a directory the same tampering gives the same version again.
func (h *Healer) done(e *entry, err error) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.inflight--
	e.busy = false
	again := e.again || e.heard != "" && e.heard != e.version
	if !e.pending {
		e.again = false
	}
	switch {
	case e.gone || e.pending:
	case err != nil:
		h.stats.Errors++
		wait := min(firstWait<<min(e.tries, 6), longestWait)
		e.tries = min(e.tries+1, 6)
		h.retries[e] = h.clock.Now().Add(wait)
		select {
		case h.failed <- struct{}{}: // to come again sooner
		default:
		}
	case again:
		e.tries = 0
		e.since = 0
		h.suspect(e, true)
	default:
		e.tries = 0
		e.since = 0
	}
}

// work looks at suspects, one after the other.
func (h *Healer) work(ctx context.Context) {
	for {
		e := h.next()
		if e == nil {
			return
		}
		looking, cancel := context.WithTimeout(ctx, requestTimeout)
		err := h.look(looking, e)
		cancel()
		if ctx.Err() != nil {
			err = nil // the healer ends; the next one looks at everything
		}
		h.done(e, err)
	}
}
