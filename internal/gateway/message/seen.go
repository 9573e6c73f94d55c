package message

import (
	"context"
	"crypto/sha256"
	"sync"
	"time"

	"github.com/apexlogic/apex/internal/clock"
)

// Key names a message: two of one sender with the same source and id are the
// same message, or one is a forgery.
type Key struct {
	Principal string `json:"principal"`
	Source    string `json:"source"`
	ID        string `json:"id"`
}

// State is what is known of a message.
type State uint8

// The states.
const (
	New     State = iota // it was not seen; who asked processes it
	Done                 // the same was processed
	Busy                 // the same is being processed, or there is no room
	Another              // a different message had this key
)

// Seen remembers messages. Begin asks about one, and takes it when it is New;
// the one who took it ends it, as done or to be taken again. A Seen that more
// than one gateway shares keeps a message from being processed by two of them.
type Seen interface {
	Begin(ctx context.Context, k Key, digest [sha256.Size]byte, until time.Time) (State, error)
	End(ctx context.Context, k Key, done bool) error
}

// Memory is a Seen of one process. A message that was processed right before the
// process ended can be processed once more by the next one, within the window.
type Memory struct {
	clock clock.Clock
	most  int

	mu    sync.Mutex
	known map[Key]*entry
}

type entry struct {
	digest [sha256.Size]byte
	until  time.Time
	done   bool
}

// NewMemory returns a Seen for up to so many messages. When they are that many,
// new ones wait: one that is not remembered could be repeated.
func NewMemory(c clock.Clock, most int) *Memory {
	return &Memory{clock: c, most: most, known: map[Key]*entry{}}
}

// Begin implements [Seen].
func (m *Memory) Begin(_ context.Context, k Key, digest [sha256.Size]byte, until time.Time) (State, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	now := m.clock.Now()
	e, ok := m.known[k]
	if ok && e.done && e.until.Before(now) {
		delete(m.known, k)
		ok = false
	}
	switch {
	case ok && e.digest != digest:
		return Another, nil
	case ok && e.done:
		return Done, nil
	case ok:
		return Busy, nil
	}
	if len(m.known) >= m.most {
		for k, e := range m.known {
			if e.done && e.until.Before(now) {
				delete(m.known, k)
			}
		}
		if len(m.known) >= m.most {
			return Busy, nil
		}
	}
	m.known[k] = &entry{digest: digest, until: until}
	return New, nil
}

// End implements [Seen].
func (m *Memory) End(_ context.Context, k Key, done bool) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	if !done {
		delete(m.known, k)
		return nil
	}
	if e, ok := m.known[k]; ok {
		e.done = true
	}
	return nil
}
