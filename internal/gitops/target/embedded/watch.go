package embedded

import (
	"context"
	"strconv"
	"sync"

	"github.com/apexlogic/apex/internal/gitops"
)

// watch is one watcher's queue: at most one event per object waits, the last
// one, so that a slow watcher costs memory by objects, not by writes.
type watch struct {
	source string
	kinds  map[groupKind]bool

	mu    sync.Mutex
	order []gitops.ID
	event map[gitops.ID]gitops.Event
	wake  chan struct{}
}

type groupKind struct{ group, kind string }

func (w *watch) add(e gitops.Event) {
	w.mu.Lock()
	if _, waits := w.event[e.ID]; !waits {
		w.order = append(w.order, e.ID)
	}
	w.event[e.ID] = e
	w.mu.Unlock()
	select {
	case w.wake <- struct{}{}:
	default:
	}
}

func (w *watch) take() []gitops.Event {
	w.mu.Lock()
	defer w.mu.Unlock()
	events := make([]gitops.Event, len(w.order))
	for i, id := range w.order {
		events[i] = w.event[id]
	}
	w.order = w.order[:0]
	clear(w.event)
	return events
}

// tell passes a write on to who watches. The caller holds mu.
func (s *Store) tell(old, next *row) {
	was := ""
	if old != nil {
		was = old.source
	}
	kind := groupKind{next.id.Group, next.id.Kind}
	for w := range s.watches {
		if !w.kinds[kind] {
			continue
		}
		switch {
		case next.body != nil && next.source == w.source:
			w.add(event(gitops.Changed, next))
		case old != nil && was == w.source:
			w.add(event(gitops.Gone, next))
		}
	}
}

func event(kind gitops.EventKind, r *row) gitops.Event {
	return gitops.Event{Kind: kind, ID: r.id, UID: r.uid, ResourceVersion: strconv.FormatUint(r.revision, 10)}
}

// Watch implements [gitops.Target]. Events that a slow watcher has not taken yet
// are folded: of an object it gets the last.
func (s *Store) Watch(ctx context.Context, source string, kinds []gitops.Kind, each func(gitops.Event)) error {
	w := &watch{source: source, kinds: map[groupKind]bool{}, event: map[gitops.ID]gitops.Event{}, wake: make(chan struct{}, 1)}
	for _, k := range kinds {
		w.kinds[groupKind{k.Group, k.Kind}] = true
	}
	s.mu.Lock()
	for id, r := range s.rows {
		if r.source == source && w.kinds[groupKind{id.Group, id.Kind}] {
			w.add(event(gitops.Changed, r))
		}
	}
	s.watches[w] = struct{}{}
	first := w.take()
	s.mu.Unlock()
	defer func() {
		s.mu.Lock()
		delete(s.watches, w)
		s.mu.Unlock()
	}()
	for _, e := range first {
		each(e)
	}
	each(gitops.Event{Kind: gitops.Synced})
	for {
		select {
		case <-ctx.Done():
			return context.Cause(ctx)
		case <-w.wake:
			for _, e := range w.take() {
				each(e)
			}
		}
	}
}
