// Package rate limits how often somebody asks for identities.
//
// Start with [New] and [Limits.Take]. It counts by the generic cell rate
// algorithm (ITU-T I.371): one instant for each who asks, at which there is no
// debt any more.
package rate

import (
	"net/netip"
	"sync"
	"time"

	"github.com/apexlogic/apex/internal/clock"
)

// maxCounted are counted at once. When more ask within a minute, new ones are
// refused: who is not counted is not limited.
const maxCounted = 65_536

// Limits are the same for all. They are safe for concurrent use.
type Limits[K comparable] struct {
	clock clock.Clock
	each  time.Duration // what one request costs
	mu    sync.Mutex
	full  map[K]time.Time
	swept time.Time
}

// New allows each so many requests a minute, which may come at once.
func New[K comparable](c clock.Clock, perMinute int) *Limits[K] {
	return &Limits[K]{clock: c, each: time.Minute / time.Duration(perMinute), full: map[K]time.Time{}}
}

// Take counts one request, and says how long to wait when it is one too many.
func (l *Limits[K]) Take(who K) (wait time.Duration, ok bool) {
	l.mu.Lock()
	defer l.mu.Unlock()
	now := l.clock.Now()
	debt, known := l.full[who]
	if debt.Before(now) || debt.After(now.Add(time.Minute)) { // later, only when the clock was set back
		debt = now
	}
	after := debt.Add(l.each)
	if late := after.Sub(now) - time.Minute; late > 0 {
		return min(late, time.Minute), false
	}
	if !known && len(l.full) >= maxCounted {
		if since := now.Sub(l.swept); since >= 0 && since < time.Second {
			return time.Minute, false // looking through all of them for each request would be the attack
		}
		l.swept = now
		for other, end := range l.full {
			if !end.After(now) {
				delete(l.full, other)
			}
		}
		if len(l.full) >= maxCounted {
			return time.Minute, false
		}
	}
	l.full[who] = after
	return 0, true
}

// Network returns what a remote address is counted as: an IPv4 address, or the
// /64 of an IPv6 one, which is what one customer has. Headers say nothing here:
// who asks writes them.
func Network(remote string) (netip.Prefix, bool) {
	at, err := netip.ParseAddrPort(remote)
	if err != nil {
		return netip.Prefix{}, false
	}
	ip, bits := at.Addr().Unmap().WithZone(""), 32
	if ip.Is6() {
		bits = 64
	}
	who, err := ip.Prefix(bits)
	return who, err == nil
}
