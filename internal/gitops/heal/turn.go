package heal

import (
	"context"
	"errors"

	"github.com/apexlogic/apex/internal/gitops"
)

// errOvertaken ends a look at an object that was forgotten, or is desired otherwise,
// since the look began: whoever said so writes now.
var errOvertaken = errors.New("something else is desired by now")

// turns is the target as one look writes to it: each write is a turn that is taken
// only while the look is about what is desired, and that [Healer.Forget] and
// [Healer.Desire] wait for. Else a write that is on its way would make again what
// was deleted just now, for good, or put what was desired before over what was
// applied just now.
type turns struct {
	gitops.Target
	l *look
}

// begin takes a turn, or says that there is none to be had.
func (t turns) begin() error {
	h := t.l.Healer
	h.mu.Lock()
	defer h.mu.Unlock()
	if t.l.e.gone || t.l.e.digest != t.l.digest {
		return errOvertaken
	}
	t.l.e.writing = true
	return nil
}

func (t turns) end() {
	h := t.l.Healer
	h.mu.Lock()
	defer h.mu.Unlock()
	t.l.e.writing = false
	h.written.Broadcast()
}

// Apply implements [gitops.Target].
func (t turns) Apply(ctx context.Context, o *gitops.Object, opt gitops.ApplyOptions) (*gitops.Live, error) {
	if !opt.DryRun {
		if err := t.begin(); err != nil {
			return nil, err
		}
		defer t.end()
	}
	return t.Target.Apply(ctx, o, opt)
}

// Patch implements [gitops.Target].
func (t turns) Patch(ctx context.Context, id gitops.ID, version string, patch []byte) (*gitops.Live, error) {
	if err := t.begin(); err != nil {
		return nil, err
	}
	defer t.end()
	return t.Target.Patch(ctx, id, version, patch)
}

// Delete implements [gitops.Target].
func (t turns) Delete(ctx context.Context, id gitops.ID, version string, only gitops.Precondition) error {
	if err := t.begin(); err != nil {
		return err
	}
	defer t.end()
	return t.Target.Delete(ctx, id, version, only)
}

// awaitTurn returns when no look writes the object. What a look may write was
// changed before, so that it takes no other turn. h.mu is held, and let go meanwhile.
func (h *Healer) awaitTurn(e *entry) {
	for e.writing {
		h.written.Wait()
	}
}
