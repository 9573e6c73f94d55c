package gateway

import (
	"sync"
	"time"
)

// When a server is left alone, and for how long: a server that restarts is back
// within seconds, and five failures in a row are no accident.
const (
	breakAfter = 5
	breakFor   = 5 * time.Second
)

// breaker leaves a server alone that fails again and again, so that callers are
// told at once and the server is not asked by everybody while it comes back. Its
// zero value lets everything through; it is safe for concurrent use.
type breaker struct {
	mu       sync.Mutex
	failures int
	until    time.Time // no request before; zero while all is well
	probe    any       // who finds out whether the server is back; nil: nobody does
}

// enter asks for a request to be let through, of whoever may be compared. When it
// is, exactly one call of settle by the same has to follow. Of those that come when the time is over, one is let
// through, and the others wait for what it finds.
func (b *breaker) enter(who any, now time.Time) (wait time.Duration, ok bool) {
	b.mu.Lock()
	defer b.mu.Unlock()
	switch {
	case b.until.IsZero():
		return 0, true
	case now.Before(b.until):
		return b.until.Sub(now), false
	case b.probe != nil:
		return aMoment, false
	}
	b.probe = who
	return 0, true
}

// health is what a request found out about a server.
type health uint8

const (
	nothing health = iota // the caller left, or the request was never sent
	answers
	fails
)

// settle tells what became of a request that was let through. What was sent
// before the server was left alone, and fails later, is no news of it: only the
// probe's failure leaves it alone for longer.
func (b *breaker) settle(who any, now time.Time, found health) {
	b.mu.Lock()
	defer b.mu.Unlock()
	probe := b.probe == who
	if probe {
		b.probe = nil
	}
	switch {
	case found == answers:
		b.failures, b.until = 0, time.Time{}
	case found == fails && (probe || b.until.IsZero()):
		b.failures++
		if probe || b.failures >= breakAfter {
			b.until = now.Add(breakFor)
		}
	}
}
