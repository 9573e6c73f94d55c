package admission

import (
	"context"
	"crypto/sha256"
	"errors"
	"runtime/debug"
	"sync"
	"time"

	"github.com/apexlogic/apex/verdict"
)

// lateKeep is how long a digest is kept that came after its answer was due: the
// client asks again within seconds. It is verified like any other then.
const lateKeep = 30 * time.Second

// maxLate bounds the digests that are kept.
const maxLate = 4096

// resolving makes equal questions about tags one, and lets those go on whose
// answer was due before.
type resolving struct {
	mu    sync.Mutex
	byKey map[[sha256.Size]byte]*resolution
}

type resolution struct {
	done   chan struct{} // closed when digest and err are set
	digest verdict.Digest
	err    error

	// Under the lock of resolving:
	late  bool      // somebody left without the digest
	until time.Time // when it is forgotten; zero while it is not done
}

// resolve begins to ask which digest a tag names, or joins those who do.
func (h *Handler) resolve(ctx context.Context, q verdict.Question) *resolution {
	key := keyOf([]verdict.Question{q})
	h.resolving.mu.Lock()
	defer h.resolving.mu.Unlock()
	if f := h.resolving.byKey[key]; f != nil && (f.until.IsZero() || h.o.Clock.Now().Before(f.until)) {
		return f
	}
	f := &resolution{done: make(chan struct{})}
	if !h.state.begin() {
		f.err = errDraining
		close(f.done)
		return f
	}
	if h.resolving.byKey == nil {
		h.resolving.byKey = map[[sha256.Size]byte]*resolution{}
	}
	h.resolving.byKey[key] = f
	free, cancel := context.WithTimeout(context.WithoutCancel(ctx), h.o.Background)
	go func() {
		defer h.state.end()
		defer cancel()
		f.digest, f.err = h.resolveNow(free, q)
		h.resolving.finish(key, f, h.o.Clock.Now())
	}()
	return f
}

// resolveNow asks within the handler's limit of work.
func (h *Handler) resolveNow(ctx context.Context, q verdict.Question) (digest verdict.Digest, err error) {
	defer func() {
		if p := recover(); p != nil {
			h.o.Logger.Error("resolving a tag panicked", "panic", p, "stack", string(debug.Stack()))
			digest, err = "", errors.New("resolving panicked")
		}
	}()
	if err := h.work.enter(ctx, 1); err != nil {
		return "", err
	}
	defer h.work.leave(1)
	digest, err = h.o.Resolve(ctx, q)
	if err != nil || digest == "" {
		return "", err
	}
	return verdict.ParseDigest(string(digest))
}

// finish keeps what nobody has seen yet, and forgets the rest.
func (r *resolving) finish(key [sha256.Size]byte, f *resolution, now time.Time) {
	r.mu.Lock()
	defer r.mu.Unlock()
	close(f.done)
	f.until = now
	if f.late && f.err == nil {
		f.until = now.Add(lateKeep)
	}
	for other, kept := range r.byKey {
		if !kept.until.IsZero() && (!now.Before(kept.until) || len(r.byKey) > maxLate) {
			delete(r.byKey, other)
		}
	}
}

// wait returns the digest, or errLate when ctx ends before it is there.
func (h *Handler) wait(ctx context.Context, f *resolution) (verdict.Digest, error) {
	select {
	case <-f.done:
		return f.digest, f.err
	case <-ctx.Done():
	}
	h.resolving.mu.Lock()
	f.late = true
	h.resolving.mu.Unlock()
	return "", errLate
}
