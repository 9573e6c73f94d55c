// Package embedded is a target inside of the process: objects with server-side
// apply, resource versions, UIDs, finalizers and watches as an API server has
// them, kept in a directory without any server.
//
// Start with [Open]. [Store] implements [gitops.Target] and [gitops.Lister];
// [Store.Update] is how anything else than Apex writes.
//
// Fields are merged by sigs.k8s.io/structured-merge-diff, which is what an API
// server merges with: who owns which field is kept in metadata.managedFields,
// lists of the built-in kinds are maps where Kubernetes says so (schema.go), and
// what has no schema is deduced. There is no defaulting, no validation and no
// conversion between versions: an object is served as it was last written. Kinds
// need no definition, and nothing runs what the objects describe.
//
// Life of a write: it is merged, appended to the log together with what else is
// waiting, synced (one fsync for all that waited), then visible to readers and
// watches, then answered. What was answered survives the death of the machine;
// what was not answered is there whole or not at all. All objects are in memory,
// as JSON.
package embedded

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"hash/maphash"
	"maps"
	"strconv"
	"sync"
	"sync/atomic"

	jsonpatch "github.com/evanphx/json-patch/v5"
	utiljson "k8s.io/apimachinery/pkg/util/json"

	"github.com/apexlogic/apex/internal/clock"
	"github.com/apexlogic/apex/internal/gitops"
)

// What the store holds at most: it is all in memory.
const (
	MaxObjects = gitops.MaxObjects
	// An object with its managed fields, which are about as large again.
	maxStored = 2*gitops.MaxObjectBytes + 512<<10
	// A patch that heals one object names at most all of it.
	maxPatch = gitops.MaxObjectBytes
)

// ours are the fields of metadata that the store writes and nobody applies.
var ours = []string{"uid", "resourceVersion", "generation", "creationTimestamp", "deletionTimestamp",
	"deletionGracePeriodSeconds", "managedFields", "selfLink"}

// Options change how a store is opened.
type Options struct {
	// Dir keeps the objects; it is made with mode 0700 and belongs to one process.
	// Empty: in memory only.
	Dir string
	// Clock tells the time of creations and writes. Nil: the machine's.
	Clock clock.Clock
	// Reported names the kinds whose objects are healthy only when somebody who
	// runs them has reported so in their status. The others are healthy while
	// their status says nothing else. Nil: none.
	Reported func(gitops.Kind) bool
}

// Store is the embedded target. It is safe for concurrent use.
type Store struct {
	clock    clock.Clock
	reported func(gitops.Kind) bool
	merger   merger
	journal  *journal
	revision atomic.Uint64 // the last resource version that was given out
	// writes has one writer per object at a time: the stripe of its ID is held
	// from reading it until its successor is durable.
	writes [64]sync.Mutex
	seed   maphash.Seed

	mu      sync.RWMutex
	rows    map[gitops.ID]*row
	bytes   int64
	watches map[*watch]struct{}
}

// row is one object as it is stored. It does not change.
type row struct {
	id       gitops.ID
	version  string // without the group
	uid      string
	source   string
	revision uint64
	body     []byte // JSON, complete
}

func (r *row) size() int64 {
	return int64(len(r.body) + len(r.id.Group) + len(r.id.Kind) + len(r.id.Namespace) + len(r.id.Name) + len(r.uid) + len(r.source) + 16)
}

// Open opens the store. Another process that holds the directory is ErrLocked,
// a damaged log ErrCorrupt.
func Open(opt Options) (*Store, error) {
	s := &Store{
		clock: opt.Clock, reported: opt.Reported,
		merger:  merger{schema: schemaOnce(), ignore: newUnowned()},
		seed:    maphash.MakeSeed(),
		rows:    map[gitops.ID]*row{},
		watches: map[*watch]struct{}{},
	}
	if s.clock == nil {
		s.clock = clock.System{}
	}
	if opt.Dir == "" {
		return s, nil
	}
	var err error
	s.journal, err = openJournal(opt.Dir, func(record []byte) error {
		r, err := decodeRecord(record)
		if err != nil {
			return err
		}
		s.revision.Store(max(s.revision.Load(), r.revision))
		s.put(r)
		if len(s.rows) > MaxObjects {
			return fmt.Errorf("more than %d objects: %w", MaxObjects, ErrCorrupt)
		}
		return nil
	})
	if err != nil {
		return nil, fmt.Errorf("open the embedded store: %w", err)
	}
	s.journal.live, s.journal.keep = s.records, func() int64 {
		s.mu.RLock()
		defer s.mu.RUnlock()
		return s.bytes
	}
	return s, nil
}

// Close ends the store. Watches end with their contexts.
func (s *Store) Close() error { return s.journal.close() }

// put makes the row, or its absence when it has no body, what readers see.
// The caller holds mu or is alone.
func (s *Store) put(r *row) {
	if old := s.rows[r.id]; old != nil {
		s.bytes -= old.size()
	}
	if r.body == nil {
		delete(s.rows, r.id)
		return
	}
	s.bytes += r.size()
	s.rows[r.id] = r
}

func (s *Store) records() [][]byte {
	s.mu.RLock()
	defer s.mu.RUnlock()
	// Gone objects leave no row, but their revision must not be given out again.
	all := make([][]byte, 0, len(s.rows)+1)
	for _, r := range s.rows {
		all = append(all, encodeRecord(r))
	}
	return append(all, encodeRecord(&row{revision: s.revision.Load()}))
}

func (s *Store) row(id gitops.ID) *row {
	s.mu.RLock()
	defer s.mu.RUnlock()
	return s.rows[id]
}

func (s *Store) hold(id gitops.ID) *sync.Mutex {
	m := &s.writes[maphash.Comparable(s.seed, id)%uint64(len(s.writes))]
	m.Lock()
	return m
}

// Get returns the object whatever version is asked for: there is no conversion.
func (s *Store) Get(ctx context.Context, id gitops.ID, _ string) (*gitops.Live, error) {
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	r := s.row(id)
	if r == nil {
		return nil, fmt.Errorf("%s: %w", id, gitops.ErrNotFound)
	}
	return r.live()
}

func (r *row) live() (*gitops.Live, error) {
	body, err := decodeBody(r.body)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", r.id, err)
	}
	return &gitops.Live{UID: r.uid, ResourceVersion: strconv.FormatUint(r.revision, 10), Body: body}, nil
}

func decodeBody(data []byte) (map[string]any, error) {
	var body map[string]any
	if err := utiljson.Unmarshal(data, &body); err != nil {
		return nil, err
	}
	return body, nil
}

// Apply implements [gitops.Target]. A status in the object is not applied, as if
// every kind had the status subresource.
func (s *Store) Apply(ctx context.Context, o *gitops.Object, opt gitops.ApplyOptions) (*gitops.Live, error) {
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	if !opt.DryRun {
		defer s.hold(o.ID).Unlock()
	}
	old := s.row(o.ID)
	if opt.ResourceVersion != "" && (old == nil || opt.ResourceVersion != strconv.FormatUint(old.revision, 10)) {
		return nil, fmt.Errorf("%s: %w", o.ID, gitops.ErrConflict)
	}
	desired := desiredBody(o)
	live, err := s.liveBody(old, o)
	if err != nil {
		return nil, err
	}
	body, err := s.merger.apply(o, live, desired, s.clock.Now())
	if err != nil {
		return nil, err
	}
	return s.write(ctx, o.ID, o.Version, old, live, body, opt.DryRun)
}

// desiredBody is what is applied of an object: a copy without what the store writes.
func desiredBody(o *gitops.Object) map[string]any {
	body := maps.Clone(o.Body)
	delete(body, "status")
	meta, _ := body["metadata"].(map[string]any)
	meta = maps.Clone(meta)
	if meta == nil {
		meta = map[string]any{}
	}
	for _, field := range ours {
		delete(meta, field)
	}
	body["metadata"] = meta
	return body
}

// liveBody decodes what is there, or makes what a new object begins with.
func (s *Store) liveBody(old *row, o *gitops.Object) (map[string]any, error) {
	if old != nil {
		return decodeBody(old.body)
	}
	meta := map[string]any{"name": o.Name}
	if o.Namespace != "" {
		meta["namespace"] = o.Namespace
	}
	return map[string]any{"apiVersion": apiVersion(o), "kind": o.Kind, "metadata": meta}, nil
}

func apiVersion(o *gitops.Object) string {
	if o.Group == "" {
		return o.Version
	}
	return o.Group + "/" + o.Version
}

// write stores the body that came out of a merge. The caller holds the object,
// unless it is a dry run.
func (s *Store) write(ctx context.Context, id gitops.ID, version string, old *row, live, body map[string]any, dry bool) (*gitops.Live, error) {
	meta, ok := body["metadata"].(map[string]any)
	if !ok {
		return nil, fmt.Errorf("%s: metadata is no map", id)
	}
	if old == nil {
		s.mu.RLock()
		full := len(s.rows) >= MaxObjects
		s.mu.RUnlock()
		if full {
			return nil, fmt.Errorf("%s: the embedded store holds %d objects and takes no more", id, MaxObjects)
		}
		meta["uid"] = newUID()
		meta["creationTimestamp"] = s.clock.Now().UTC().Format("2006-01-02T15:04:05Z")
		meta["generation"] = int64(1)
	} else if same(live, body) {
		return old.live()
	} else if !sameSpec(live, body) {
		n, _ := meta["generation"].(int64)
		meta["generation"] = n + 1
	}
	uid, _ := meta["uid"].(string)
	next := &row{id: id, version: version, uid: uid, source: gitops.SourceOf(body)}
	if dry {
		return &gitops.Live{UID: uid, ResourceVersion: resourceVersion(meta), Body: body, Made: old == nil}, nil
	}
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	next.revision = s.revision.Add(1)
	meta["resourceVersion"] = strconv.FormatUint(next.revision, 10)
	var err error
	if next.body, err = json.Marshal(body); err != nil {
		return nil, fmt.Errorf("%s: %w", id, err)
	}
	if len(next.body) > maxStored {
		return nil, fmt.Errorf("%s has %d bytes: an object may have %d", id, len(next.body), maxStored)
	}
	if gone(meta) {
		next.body = nil
	}
	if err := s.commit(old, next); err != nil {
		return nil, err
	}
	return &gitops.Live{UID: uid, ResourceVersion: strconv.FormatUint(next.revision, 10), Body: body, Made: old == nil}, nil
}

// gone says whether an object that is being deleted waits for nobody any more.
func gone(meta map[string]any) bool {
	finalizers, _ := meta["finalizers"].([]any)
	return meta["deletionTimestamp"] != nil && len(finalizers) == 0
}

func resourceVersion(meta map[string]any) string {
	s, _ := meta["resourceVersion"].(string)
	return s
}

func (s *Store) commit(old, next *row) error {
	return s.journal.append(encodeRecord(next), func() {
		s.mu.Lock()
		defer s.mu.Unlock()
		s.put(next)
		s.tell(old, next)
	})
}

// Patch implements [gitops.Target]. A test in the patch that does not hold is
// ErrConflict.
func (s *Store) Patch(ctx context.Context, id gitops.ID, version string, patch []byte) (*gitops.Live, error) {
	if len(patch) > maxPatch {
		return nil, fmt.Errorf("%s: a patch may have %d bytes", id, maxPatch)
	}
	operations, err := jsonpatch.DecodePatch(patch)
	if err != nil {
		return nil, fmt.Errorf("%s: read the patch: %w", id, err)
	}
	return s.change(ctx, id, version, manager{gitops.FieldManager, opUpdate, ""}, func(body map[string]any) (map[string]any, error) {
		data, err := json.Marshal(body)
		if err != nil {
			return nil, err
		}
		opt := jsonpatch.NewApplyOptions()
		opt.AccumulatedCopySizeLimit = maxPatch
		data, err = operations.ApplyWithOptions(data, opt)
		switch {
		case errors.Is(err, jsonpatch.ErrTestFailed):
			return nil, fmt.Errorf("%s: %w: %w", id, gitops.ErrConflict, err)
		case err != nil:
			return nil, fmt.Errorf("%s: %w", id, err)
		}
		return decodeBody(data)
	})
}

// Delete implements [gitops.Target]. An object with finalizers stays, marked as
// being deleted, until the last finalizer is taken away.
func (s *Store) Delete(ctx context.Context, id gitops.ID, version string, only gitops.Precondition) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	defer s.hold(id).Unlock()
	old := s.row(id)
	if old == nil {
		return nil
	}
	if only.UID != "" && only.UID != old.uid || only.ResourceVersion != "" && only.ResourceVersion != strconv.FormatUint(old.revision, 10) {
		return fmt.Errorf("%s: %w", id, gitops.ErrConflict)
	}
	live, err := decodeBody(old.body)
	if err != nil {
		return err
	}
	meta := live["metadata"].(map[string]any)
	if finalizers, _ := meta["finalizers"].([]any); len(finalizers) > 0 {
		if meta["deletionTimestamp"] != nil {
			return nil
		}
		body := clone(live).(map[string]any)
		body["metadata"].(map[string]any)["deletionTimestamp"] = s.clock.Now().UTC().Format("2006-01-02T15:04:05Z")
		_, err := s.write(ctx, id, version, old, live, body, false)
		return err
	}
	return s.commit(old, &row{id: id, uid: old.uid, revision: s.revision.Add(1)})
}

// List implements [gitops.Lister].
func (s *Store) List(ctx context.Context, kind gitops.Kind, each func(gitops.Held)) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	s.mu.RLock()
	var held []gitops.Held
	for id, r := range s.rows {
		if id.Group == kind.Group && id.Kind == kind.Kind {
			held = append(held, gitops.Held{ID: id, UID: r.uid, ResourceVersion: strconv.FormatUint(r.revision, 10), Source: r.source})
		}
	}
	s.mu.RUnlock()
	for _, h := range held {
		each(h)
	}
	return nil
}

var (
	_ gitops.Target = (*Store)(nil)
	_ gitops.Lister = (*Store)(nil)
)
