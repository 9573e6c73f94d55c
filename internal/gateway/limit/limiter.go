package limit

import (
	"errors"
	"time"

	"github.com/apexlogic/apex/internal/clock"
)

// Store counts for several gateways together. It is safe for concurrent use.
type Store interface {
	// Take takes all bounds or none. Refused is the number of the bound of which
	// there is not enough, from 1, and 0 when all were taken; wait says when to
	// ask again. Leave gives back the places among them; it is nil when there are
	// none, and otherwise has to be called once.
	//
	// An error says that nothing is known of the store's counts; [ErrAway] that it
	// was not asked.
	Take(bounds []Bound) (refused int, wait time.Duration, leave func(), err error)
	// Gateways is how many share the store's counts, as far as is known.
	Gateways() int
}

// ErrAway is why a store that is known not to answer is not asked.
var ErrAway = errors.New("the store of shared limits does not answer")

// Limiter holds requests to bounds. It is safe for concurrent use.
type Limiter struct {
	store  Store // nil: this process counts for itself
	rates  *Rates
	places Places
}

// NewLimiter returns a limiter that remembers up to so many callers. With a
// store, counts are shared while it answers.
func NewLimiter(c clock.Clock, callers int, s Store) *Limiter {
	return &Limiter{store: s, rates: NewRates(c, callers)}
}

// Refusal is a bound that there was not enough of.
type Refusal struct {
	Bound Bound // as it was asked for
	Wait  time.Duration
}

// Take takes all bounds or none. Leave gives places back, and has to be called
// once when it is not nil.
func (l *Limiter) Take(bounds []Bound) (leave func(), refused *Refusal) {
	if len(bounds) == 0 {
		return nil, nil
	}
	if l.store == nil {
		return l.local(bounds, 1)
	}
	n, wait, there, err := l.store.Take(bounds)
	switch {
	case err != nil:
		return l.local(bounds, l.store.Gateways())
	case n > 0:
		return nil, &Refusal{Bound: bounds[n-1], Wait: wait}
	case there == nil:
		return nil, nil
	}
	// What runs is counted here too, so that the share is right when the store
	// goes away.
	here, n := l.enter(bounds, 1)
	if n >= 0 {
		there()
		return nil, &Refusal{Bound: bounds[n]}
	}
	return func() { here(); there() }, nil
}

// local holds the bounds to this process's share.
func (l *Limiter) local(bounds []Bound, gateways int) (leave func(), refused *Refusal) {
	leave, n := l.enter(bounds, gateways)
	if n >= 0 {
		return nil, &Refusal{Bound: bounds[n]}
	}
	for i := range bounds {
		if bounds[i].place() {
			continue
		}
		b := bounds[i].share(gateways)
		wait, ok := l.rates.Take(&b)
		if ok {
			continue
		}
		for j := range i {
			if taken := bounds[j].share(gateways); !taken.place() {
				l.rates.back(&taken)
			}
		}
		if leave != nil {
			leave()
		}
		return nil, &Refusal{Bound: bounds[i], Wait: wait}
	}
	return leave, nil
}

// enter takes the places among the bounds; refused is the number of the one that
// there is none of, or -1. Leave is nil when no bound is a place.
func (l *Limiter) enter(bounds []Bound, gateways int) (leave func(), refused int) {
	for i := range bounds {
		if !bounds[i].place() {
			continue
		}
		b := bounds[i].share(gateways)
		one, ok := l.places.Enter(b.Route, b.Who, b.Most)
		if !ok {
			if leave != nil {
				leave()
			}
			return nil, i
		}
		leave = both(one, leave)
	}
	return leave, -1
}

// both calls one and, if there is one, the other.
func both(one, other func()) func() {
	if other == nil {
		return one
	}
	return func() { one(); other() }
}
