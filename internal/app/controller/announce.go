package controller

import (
	"context"
	"strings"
	"sync"
	"time"

	"github.com/apexlogic/apex/internal/kube"
)

// The bounds of what is said with Events beside compliance: 10,000 objects that
// are tampered with at once are in the ledger one by one, and are no reason to
// write 10,000 Events while they are healed.
const (
	maxAnnounced  = 256              // that wait to be written
	maxSaid       = 4096             // of which is remembered that they were said
	announceAgain = 10 * time.Minute // when the same is said of the same object again
)

// announcer writes Events without making anybody wait, each thing once in
// [announceAgain]. What has no room is counted and not written.
type announcer struct {
	write func(context.Context, kube.Note)
	now   func() time.Time

	mu      sync.Mutex
	said    map[string]time.Time
	waiting []kube.Note
	lost    int
	wake    chan struct{}
}

func newAnnouncer(write func(context.Context, kube.Note), now func() time.Time) *announcer {
	return &announcer{write: write, now: now, said: map[string]time.Time{}, wake: make(chan struct{}, 1)}
}

// announce says something of an object; about tells what is the same.
func (a *announcer) announce(n kube.Note, about ...string) {
	a.mu.Lock()
	defer a.mu.Unlock()
	key, now := strings.Join(append([]string{n.Regarding.String(), n.Reason}, about...), "\x00"), a.now()
	if at, said := a.said[key]; said && now.Sub(at) < announceAgain {
		return
	}
	if len(a.waiting) >= maxAnnounced {
		a.lost++
		return
	}
	if len(a.said) >= maxSaid {
		for key, at := range a.said {
			if now.Sub(at) >= announceAgain {
				delete(a.said, key)
			}
		}
		if len(a.said) >= maxSaid {
			clear(a.said) // the server counts up what is said again
		}
	}
	a.said[key] = now
	a.waiting = append(a.waiting, n)
	select {
	case a.wake <- struct{}{}:
	default:
	}
}

// run writes until the context ends. It reports how many had no room, when there
// is room again.
func (a *announcer) run(ctx context.Context, lost func(int)) error {
	for {
		a.mu.Lock()
		waiting, missed := a.waiting, 0
		a.waiting = nil
		if len(waiting) == 0 {
			missed, a.lost = a.lost, 0
		}
		a.mu.Unlock()
		if missed > 0 {
			lost(missed)
		}
		for _, n := range waiting {
			if ctx.Err() == nil {
				a.write(ctx, n)
			}
		}
		if len(waiting) > 0 {
			continue
		}
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-a.wake:
		}
	}
}
