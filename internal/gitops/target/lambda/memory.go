package lambda

import (
	"hash/maphash"
	"slices"
	"sync"
	"time"

	"github.com/apexlogic/apex/internal/gitops"
)

// memory is what a process knows of the account. All of it can be forgotten:
// then more is asked of AWS.
type memory struct {
	seed     maphash.Seed
	writes   [64]sync.Mutex // by name: this process writes an object once at a time
	identity sync.Mutex

	mu      sync.Mutex
	checked bool
	left    map[gitops.ID]string // version that this process left it in
	owned   map[gitops.ID]string // source that was seen on the object, or given by us
	codes   map[gitops.LambdaCode]string
	// What this process applied, the newest last.
	revisions map[gitops.ID][]*function
	looks     map[gitops.ID]look
	// By kind, the watch that looks at each in its turn. Nil: none does.
	sound map[string]*watch
}

// maxRemembered archives have their digests kept; beyond, all are forgotten.
const maxRemembered = 20_000

// look is what an object was when it was described last, with the mark that it
// had in the listing.
type look struct {
	mark    string
	version string
	uid     string
	source  string
	whole   bool // and not only whose it is
	at      time.Time
}

// fresh looks are good for the first turn of a watch.
const fresh = 5 * time.Minute

// recent returns a look that is fresh.
func (m *memory) recent(id gitops.ID) (look, bool) {
	m.mu.Lock()
	defer m.mu.Unlock()
	l, ok := m.looks[id]
	return l, ok && time.Since(l.at) < fresh && l.version != unreadable
}

func newMemory() *memory {
	return &memory{seed: maphash.MakeSeed(), left: map[gitops.ID]string{}, owned: map[gitops.ID]string{}, codes: map[gitops.LambdaCode]string{},
		revisions: map[gitops.ID][]*function{}, looks: map[gitops.ID]look{}, sound: map[string]*watch{}}
}

// hold lets this process write the object once at a time.
func (m *memory) hold(id gitops.ID) *sync.Mutex {
	l := &m.writes[maphash.Comparable(m.seed, id)%uint64(len(m.writes))]
	l.Lock()
	return l
}

func (m *memory) remember(id gitops.ID, source string) {
	m.mu.Lock()
	defer m.mu.Unlock()
	put(m.owned, id, source)
}

// put adds to what is remembered of objects; where that is too much, all before
// is forgotten.
func put[V any](all map[gitops.ID]V, id gitops.ID, v V) {
	if len(all) >= gitops.MaxObjects {
		clear(all)
	}
	all[id] = v
}

func (m *memory) sourceSeen(id gitops.ID) string {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.owned[id]
}

// forget forgets what was deleted.
func (m *memory) forget(id gitops.ID) {
	m.mu.Lock()
	defer m.mu.Unlock()
	delete(m.owned, id)
	delete(m.left, id)
	delete(m.looks, id)
	delete(m.revisions, id)
}

// leaves notes how this process left an object.
func (m *memory) leaves(id gitops.ID, version string) {
	m.mu.Lock()
	defer m.mu.Unlock()
	put(m.left, id, version)
	delete(m.looks, id)
}

// strays says whether the object is not as this process left it.
func (m *memory) strays(id gitops.ID, version string) bool {
	m.mu.Lock()
	defer m.mu.Unlock()
	left, ok := m.left[id]
	return ok && left != version
}

// learn notes the digest of an archive: versions in a bucket do not change.
func (m *memory) learn(code gitops.LambdaCode, digest string) {
	if digest == "" || digest == otherSize { // of the size, the next one may have another
		return
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	if len(m.codes) >= maxRemembered {
		clear(m.codes)
	}
	m.codes[code] = digest
}

// revise notes what an applied revision has the function run. h is from Git.
func (m *memory) revise(h *held) {
	if h.function == nil {
		return
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	was := slices.DeleteFunc(m.revisions[h.id], func(f *function) bool { return f.runsAs(h.function) && f.codeAs(h.function) })
	put(m.revisions, h.id, append(was[max(0, len(was)-maxRevisions+1):], h.function))
}

// looked notes a description.
func (m *memory) looked(h *held, mark, version string, whole bool) {
	m.mu.Lock()
	defer m.mu.Unlock()
	put(m.looks, h.id, look{mark: mark, version: version, uid: h.uid, source: h.source, whole: whole, at: time.Now()})
}

// known returns what an object is, without asking, where the listing shows what
// it did then and a watch looks at each in its turn.
func (m *memory) known(id gitops.ID, mark string) (look, bool) {
	m.mu.Lock()
	defer m.mu.Unlock()
	l, ok := m.looks[id]
	return l, ok && m.sound[id.Kind] != nil && l.mark == mark && l.version != unreadable
}

// stands says whether the watch, after its last turn, can be relied on.
func (m *memory) stands(w *watch, ok bool) {
	m.mu.Lock()
	defer m.mu.Unlock()
	switch {
	case ok:
		m.sound[w.kind] = w
	case m.sound[w.kind] == w:
		delete(m.sound, w.kind)
	}
}
