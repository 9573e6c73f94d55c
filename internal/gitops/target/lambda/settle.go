package lambda

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/apexlogic/apex/internal/gitops"
)

// settle makes the object what is wanted, and returns what is there then.
// Pinned: it has to be what it was read as.
//
// AWS does not answer a write with all that the object is: that is read afterwards,
// and somebody may have written in between. So what differs still is never returned
// as if AWS had made it of our write, which a healer would believe from then on: it
// is a conflict, and the object is looked at again for as long as it differs.
func (t *Target) settle(ctx context.Context, now, want *held, dry, pinned bool) (*gitops.Live, error) {
	if err := t.mayWrite(now, want.id, want.source); err != nil {
		return nil, err
	}
	if dry {
		if now != nil {
			want.uid, want.arn = now.uid, now.arn
		}
		live, err := want.live()
		if err == nil {
			live.Made = now == nil
		}
		return live, err
	}
	made := now == nil
	ctx, cancel := context.WithTimeout(ctx, 2*t.opt.Settle)
	defer cancel()
	for round := range maxRounds {
		wrote, err := t.write(ctx, now, want, pinned && round == 0)
		if err != nil {
			return nil, fmt.Errorf("%s: %w", want.id, err)
		}
		if !wrote {
			if want.git {
				t.revise(want)
			}
			live, err := t.leave(now, want.source)
			if err == nil {
				live.Made = made
			}
			return live, err
		}
		next, err := t.reread(ctx, now, want.id)
		if err != nil {
			return nil, err
		}
		if next == nil {
			return nil, unsettled(want.id)
		}
		now = next
		if err := t.mayWrite(now, want.id, want.source); err != nil {
			return nil, err // somebody else made one meanwhile
		}
	}
	return nil, unsettled(want.id)
}

func unsettled(id gitops.ID) error {
	return fmt.Errorf("%s was written, and AWS still shows something else: somebody changes it too, or AWS does not keep what Git says: %w", id, gitops.ErrConflict)
}

// maxRereads of an object that still looks as it did before a write: reads may be
// older than the write.
const maxRereads = 4

// reread describes an object after a write; nil when it stayed as it was.
func (t *Target) reread(ctx context.Context, was *held, id gitops.ID) (*held, error) {
	before := ""
	if was != nil {
		var err error
		if before, err = was.version(); err != nil {
			return nil, err
		}
	}
	pause := pauses{next: t.opt.Pause}
	for tries := 0; ; {
		now, err := t.describe(ctx, id)
		switch {
		case errors.Is(err, gitops.ErrNotFound): // not yet; the context bounds it
		case err != nil:
			return nil, err
		default:
			// Tags that say how Git writes something are not in the description.
			if version, err := now.version(); err != nil || version != before || !same(now.tags, was.tags) {
				return now, err
			}
			if tries++; tries > maxRereads {
				return nil, nil
			}
		}
		if pause.wait(ctx) != nil {
			if err == nil {
				err = ctx.Err()
			}
			return nil, fmt.Errorf("wait until AWS shows what was written: %w", err)
		}
	}
}

// leave notes how the object was left.
func (t *Target) leave(now *held, source string) (*gitops.Live, error) {
	live, err := now.live()
	if err != nil {
		return nil, err
	}
	t.remember(now.id, source)
	t.leaves(now.id, live.ResourceVersion)
	return live, nil
}

// write does the difference, and says whether there was one.
func (t *Target) write(ctx context.Context, now, want *held, pinned bool) (bool, error) {
	if want.role != nil {
		return t.writeRole(ctx, now, want)
	}
	return t.writeFunction(ctx, now, want, pinned)
}

// pauses are waits that grow.
type pauses struct{ next time.Duration }

func (p *pauses) wait(ctx context.Context) error {
	pause := p.next
	p.next = min(2*p.next, maxPause)
	return sleep(ctx, pause)
}

// sleep waits, or returns the context's error.
func sleep(ctx context.Context, pause time.Duration) error {
	timer := time.NewTimer(pause)
	defer timer.Stop()
	select {
	case <-ctx.Done():
		return ctx.Err()
	case <-timer.C:
		return nil
	}
}
