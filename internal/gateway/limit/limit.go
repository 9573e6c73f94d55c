// Package limit counts what callers take, and says when that is too much.
//
// Start with [Limiter], which holds a request to several [Bound]s at once, all
// or none. [Rates] (so much in a period) and [Places] (so many at once) count in
// this process; a [Store] counts for several gateways together, and while it is
// away each of them gives out its share only. All keep a bounded number of
// callers: when there is no room for one more, a caller is refused, since one who
// is not counted is not limited. The callers of one issuer on one route never take
// the last of the room that others would need.
//
// Source: the generic cell rate algorithm (ITU-T I.371), which keeps one instant
// for each caller.
package limit

import (
	"hash/maphash"
	"sync"
	"time"

	"github.com/apexlogic/apex/internal/clock"
	"github.com/apexlogic/apex/internal/identity"
)

const shards = 64

// key names what is counted for whom.
type key struct{ route, who, unit string }

// Rates allows every caller so much in a period, a period's worth at once.
// It is safe for concurrent use.
type Rates struct {
	clock  clock.Clock
	most   int // callers in a shard
	seed   maphash.Seed
	shards [shards]shard
}

// shard holds some of the callers.
type shard struct {
	sync.Mutex
	full map[key]time.Time // when the caller will have no debt
	of   map[group]int     // how many of them one group has
}

// group is whoever one issuer vouches for, on one route.
type group struct{ route, issuer string }

func (k key) group() group { return group{k.route, identity.IssuerOf(k.who)} }

// NewRates returns rates for up to so many callers.
func NewRates(c clock.Clock, callers int) *Rates {
	r := &Rates{clock: c, most: callers/shards + 1, seed: maphash.MakeSeed()}
	for i := range r.shards {
		r.shards[i].full, r.shards[i].of = map[key]time.Time{}, map[group]int{}
	}
	return r
}

// Take takes what the bound says. When there is not that much, nothing is taken,
// and wait says when there may be.
func (r *Rates) Take(b *Bound) (wait time.Duration, ok bool) {
	if b.N > b.Most {
		return b.Per, false
	}
	cost := b.cost()
	k := b.key()
	s := &r.shards[maphash.Comparable(r.seed, k)%shards]
	s.Lock()
	defer s.Unlock()
	now := r.clock.Now()
	debt, known := s.full[k]
	if debt.Before(now) || debt.Sub(now) > b.Per { // nobody owes that much: the clock was set back
		debt = now
	}
	after := debt.Add(cost)
	if late := after.Sub(now) - b.Per; late > 0 {
		return late, false
	}
	if !known {
		g := k.group()
		if !s.room(g, r.most) {
			s.forget(now)
			if !s.room(g, r.most) {
				return b.Per, false
			}
		}
		s.of[g]++
	}
	s.full[k] = after
	return 0, true
}

// room reports whether a group may have one more caller: it always leaves as much
// as it has itself.
func (s *shard) room(g group, most int) bool { return len(s.full)+s.of[g] < most }

// back gives back what was just taken.
func (r *Rates) back(b *Bound) {
	k := b.key()
	s := &r.shards[maphash.Comparable(r.seed, k)%shards]
	s.Lock()
	defer s.Unlock()
	if debt, known := s.full[k]; known {
		s.full[k] = debt.Add(-b.cost())
	}
}

// forget drops the callers without a debt.
func (s *shard) forget(now time.Time) {
	for k, debt := range s.full {
		if debt.After(now) {
			continue
		}
		delete(s.full, k)
		g := k.group()
		if s.of[g]--; s.of[g] == 0 {
			delete(s.of, g)
		}
	}
}

// Places allows every caller so many things at once. It is safe for concurrent
// use; the zero value is ready.
type Places struct {
	mu    sync.Mutex
	taken map[key]int64
}

// Enter takes a place of most. When there is none, ok is false; otherwise leave
// gives it back, and must be called once.
func (p *Places) Enter(route, who string, most int64) (leave func(), ok bool) {
	k := key{route: route, who: who}
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.taken == nil {
		p.taken = map[key]int64{}
	}
	if p.taken[k] >= most {
		return nil, false
	}
	p.taken[k]++
	return func() {
		p.mu.Lock()
		defer p.mu.Unlock()
		if p.taken[k]--; p.taken[k] == 0 {
			delete(p.taken, k)
		}
	}, true
}
