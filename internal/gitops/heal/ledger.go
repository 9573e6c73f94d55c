package heal

import (
	"context"
	"encoding/json"
	"fmt"
	"strings"
	"time"

	"github.com/apexlogic/apex/internal/gitops"
	"github.com/apexlogic/apex/verdict"
)

type groupKind struct{ group, kind string }

// kindState is what objects of one kind share.
type kindState struct {
	groupKind
	version  string
	objects  int
	swept    time.Time // when it was last listed
	crowded  bool      // it is not swept by listing
	shelf    *shelf
	defaults map[sum]struct{} // of the server, seen on any object of the kind
	stop     context.CancelFunc
}

// maxDefaults of one kind are remembered beside those of each object: field
// defaults of a built-in kind are a few dozen.
const maxDefaults = 4096

// entry is the ledger's line about one object. 10,000 of them are kept, so that
// what is alike is shared and the body is kept small.
type entry struct {
	id      gitops.ID
	where   verdict.Origin
	api     string // version that it is written in: "v1"
	mode    Mode   // of its own, in Git; "" is the source's
	uid     string
	version string // resource version that was ours, or was found to be in order
	body    []byte // the desired body, see shelf
	digest  sum    // of the desired body
	known   []sum  // what the server adds to it or writes otherwise, sorted
	warned  sum    // the drift that was last reported and left
	since   int64  // when it became a suspect, Unix nanoseconds; 0 when it is none
	round   uint32 // of the sweep that last saw it
	tries   uint8
	queued  bool   // in one of the queues
	urgent  bool   // in the urgent one
	busy    bool   // a worker looks at it
	writing bool   // and writes it just now, see turns
	again   bool   // became a suspect meanwhile
	heard   string // resource version that the watch reported last meanwhile; see done
	seen    bool   // the watch that runs has reported it
	learned bool   // known is complete
	pending bool   // about to be applied: by whoever desires it, not by us
	gone    bool   // forgotten
	doubted bool   // to be compared though it has not changed
	held    bool   // it was in order as stopped, see Holder
}

// pendingLimit is how long an object is left to whoever is about to apply it. One
// that died in the middle is not waited for; the sweep comes by.
const pendingLimit = time.Minute

// Desire says what an object is about to look like. It is called just before the
// object is applied, so that what is seen meanwhile is not taken for drift, and
// is followed by [Healer.Applied]. The body carries the source's label
// ([gitops.Labelled]). The same body again changes nothing. A write of ours that is
// on its way is waited for, so that it cannot come after the applier's.
func (h *Healer) Desire(o *gitops.Object) error { return h.desire(o, true) }

// Resume says what an object looks like that was applied before: after a start,
// for each object of the inventory. What differs is drift, and so is an object
// that is not there.
func (h *Healer) Resume(o *gitops.Object) error { return h.desire(o, false) }

func (h *Healer) desire(o *gitops.Object, pending bool) error {
	if gitops.SourceOf(o.Body) != h.source {
		return fmt.Errorf("heal: %s does not carry the label %s=%s, without which it is not watched", o.ID, gitops.LabelSource, h.source)
	}
	data, err := json.Marshal(o.Body)
	if err != nil {
		return fmt.Errorf("heal: %s: %w", o.ID, err)
	}
	if len(data) > gitops.MaxObjectBytes {
		return fmt.Errorf("heal: %s has %d bytes: an object may have %d", o.ID, len(data), gitops.MaxObjectBytes)
	}
	digest := h.hash.bytes(data)
	mode, err := ModeOf(o)
	if err != nil {
		h.log.Warn("a mode of drift counts as the source's", "error", err)
	}
	h.mu.Lock()
	defer h.mu.Unlock()
	e := h.entries[o.ID]
	if e != nil && e.digest == digest {
		e.where = o.Where
		e.pending = e.pending && pending
		return nil
	}
	k := groupKind{o.Group, o.Kind}
	state := h.kinds[k]
	if e == nil {
		if len(h.entries) >= gitops.MaxObjects {
			return fmt.Errorf("heal: a source may hold %d objects", gitops.MaxObjects)
		}
		if state == nil {
			state = &kindState{groupKind: k, swept: h.clock.Now(), version: strings.Clone(o.Version), shelf: newShelf(data), defaults: map[sum]struct{}{}}
			h.kinds[k] = state
			if h.start != nil && !h.closed {
				h.start(state)
			}
		}
		e = &entry{id: gitops.ID{Group: o.Group, Kind: o.Kind, Namespace: o.Namespace, Name: o.Name}}
		h.entries[e.id] = e
		state.objects++
	}
	if e.body, err = state.shelf.put(data); err != nil {
		return fmt.Errorf("heal: %s: %w", o.ID, err)
	}
	e.where, e.digest, e.api, e.mode = o.Where, digest, state.version, mode
	if o.Version != state.version {
		e.api = strings.Clone(o.Version)
	}
	e.known, e.learned, e.version, e.warned = nil, false, "", 0
	e.pending, e.since = pending, 0
	if pending {
		e.since = h.clock.Now().UnixNano()
	} else if h.start != nil {
		h.suspect(e, false)
	}
	h.noteScaler(o.ID, o.Body)
	if pending {
		h.awaitTurn(e)
	}
	return nil
}

// Applied hands over what the target answered when the object was applied as it
// is desired. An answer that only shows what the server is known to add costs
// nothing more; else the object is looked at soon.
func (h *Healer) Applied(o *gitops.Object, live *gitops.Live) {
	held := stopped(h.holder, o.ID)
	if held {
		o = stop(o)
	}
	found := compare(h.hash, o, live.Body)
	h.mu.Lock()
	defer h.mu.Unlock()
	e := h.entries[o.ID]
	if e == nil {
		return
	}
	missed := e.pending && e.again && e.version != live.ResourceVersion
	if e.pending {
		e.pending, e.again, e.since = false, false, 0
	}
	e.uid, e.version = live.UID, ""
	e.tries = 0
	for i := range found {
		if f := &found[i]; f.what == Missing && isZero(f.want) {
			e.learn(f.id) // the target's own answer leaves out what says nothing
		}
	}
	rest := h.unexplained(e, o, live, held, found)
	if len(rest) > 0 || e.busy || missed {
		h.suspect(e, missed || held)
		return
	}
	e.version = live.ResourceVersion
	e.learned, e.held = true, held
}

// Forget takes an object out: it is about to be deleted, or belongs to the
// source no longer. A write of ours that is on its way is waited for, and none
// follows: nothing makes the object again.
func (h *Healer) Forget(id gitops.ID) {
	h.mu.Lock()
	defer h.mu.Unlock()
	e := h.entries[id]
	if e == nil {
		return
	}
	e.gone = true
	delete(h.entries, id)
	delete(h.fights, id)
	delete(h.retries, e)
	for scaled, by := range h.scalers {
		if by.id == id {
			delete(h.scalers, scaled)
			h.doubt(scaled.ID)
		}
	}
	k := groupKind{id.Group, id.Kind}
	state := h.kinds[k]
	if state.objects--; state.objects == 0 {
		if state.stop != nil {
			state.stop()
		}
		delete(h.kinds, k)
	}
	h.awaitTurn(e)
}

// Desired returns the objects that are desired, in no order. It is what a
// sweep, a status page or a test goes through.
func (h *Healer) Desired() []gitops.ID {
	h.mu.Lock()
	defer h.mu.Unlock()
	all := make([]gitops.ID, 0, len(h.entries))
	for id := range h.entries {
		all = append(all, id)
	}
	return all
}

// scaledBy names what is scaled: the number of Pods, or the size of each.
type scaledBy struct {
	gitops.ID
	size bool
}

// scaler is an autoscaler of the source, and how far it may go.
type scaler struct {
	id       gitops.ID
	min, max int64
}

// doubt has an object compared again: its writers' rights have changed.
func (h *Healer) doubt(id gitops.ID) {
	if e := h.entries[id]; e != nil && !e.pending && e.version != "" {
		e.doubted = true
		h.suspect(e, false)
	}
}

// noteScaler remembers what an autoscaler of the source scales.
func (h *Healer) noteScaler(id gitops.ID, body map[string]any) {
	s := scaler{id: id, min: 1, max: 1}
	spec, _ := body["spec"].(map[string]any)
	least, most, ref := "minReplicas", "maxReplicas", "scaleTargetRef"
	switch id.Kind {
	case "HorizontalPodAutoscaler":
	case "ScaledObject": // KEDA, with its defaults
		least, most = "minReplicaCount", "maxReplicaCount"
		s.min, s.max = 0, 100
	case "VerticalPodAutoscaler":
		ref = "targetRef"
	default:
		return
	}
	if n, ok := spec[least].(int64); ok {
		s.min = n
	}
	if n, ok := spec[most].(int64); ok {
		s.max = n
	}
	if n, ok := spec["idleReplicaCount"].(int64); ok {
		s.min = min(s.min, n)
	}
	target, _ := spec[ref].(map[string]any)
	text := func(name, otherwise string) string {
		if v, ok := target[name].(string); ok && v != "" {
			return v
		}
		return otherwise
	}
	group, _, ok := strings.Cut(text("apiVersion", "apps/v1"), "/")
	if !ok {
		group = "" // "v1"
	}
	scaled := gitops.ID{Group: group, Kind: text("kind", "Deployment"), Namespace: id.Namespace, Name: text("name", "")}
	h.scalers[scaledBy{scaled, id.Kind == "VerticalPodAutoscaler"}] = s
	h.doubt(scaled)
}
