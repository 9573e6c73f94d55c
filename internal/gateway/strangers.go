package gateway

import (
	"context"
	"hash/maphash"
	"net/netip"
	"sync"
	"time"

	"github.com/apexlogic/apex/internal/identity"
	"github.com/apexlogic/apex/verdict"
)

// Denials of who is not known are recorded one by one up to a rate, and together
// above it: a flood of them would otherwise grow the ledger twenty times as fast,
// and wait for the disk as often as strangers can send.
const (
	// addressBurst is how many of one address are recorded one by one before they
	// come slowly: a person who looks for a mistake sends fewer. Then it is one each
	// addressEvery.
	addressBurst, addressEvery = 100, time.Second
	// allBurst and allEvery are the same of all addresses: who floods has many.
	allBurst, allEvery = 1000, 20 * time.Millisecond
	// networks that are told apart. The table is of fixed size, and those that meet
	// in it share a rate.
	networks = 1 << 12
	// together is how long denials are gathered before they are recorded and
	// answered, and mostTogether how many of them at most: 40 bytes each, of the
	// 1 MiB that a record may have.
	together     = 100 * time.Millisecond
	mostTogether = 10_000
)

// StrangersSchema is the value of Strangers.Schema.
const StrangersSchema = "apex.request.strangers/v1"

// Strangers is the record of denials of callers who were not known, which came too
// fast to be recorded one by one. Nothing that was allowed is ever in it.
type Strangers struct {
	Schema     string `json:"schema"`
	ID         string `json:"id"`
	Generation string `json:"generation,omitempty"`
	// First and Last are when the requests began.
	First time.Time `json:"first"`
	Last  time.Time `json:"last"`
	// Denied are the ids of the requests, by the code of their denial.
	Denied map[verdict.Code][]string `json:"denied"`
}

// strangers records the denials of who is not known. It is safe for concurrent use.
type strangers struct {
	keep func(context.Context, *Strangers) error
	seed maphash.Seed

	mu       sync.Mutex
	paid     [networks]time.Time // when the address has no debt any more
	allPaid  time.Time
	gathered *gathered // nil: none
}

// gathered are denials that wait for their record.
type gathered struct {
	record Strangers
	n      int
	done   chan struct{} // closed when err stands
	err    error
}

// alone reports whether the next denial of an address is recorded by itself.
func (s *strangers) alone(address string, now time.Time) bool {
	slot := &s.paid[maphash.Comparable(s.seed, networkOf(address))%networks]
	s.mu.Lock()
	defer s.mu.Unlock()
	own, all := within(*slot, now, addressBurst, addressEvery), within(s.allPaid, now, allBurst, allEvery)
	if own.IsZero() || all.IsZero() {
		return false
	}
	*slot, s.allPaid = own, all
	return true
}

// within is when there is no debt any more once one more is taken; the zero time if
// that is more than a burst.
func within(paid, now time.Time, burst int, every time.Duration) time.Time {
	most := time.Duration(burst) * every
	if paid.Before(now) || paid.Sub(now) > most { // nobody owes that much: the clock was set back
		paid = now
	}
	if paid = paid.Add(every); paid.Sub(now) > most {
		return time.Time{}
	}
	return paid
}

// record keeps a denial together with others, and returns when that is done.
func (s *strangers) record(ctx context.Context, d *Decision) error {
	g := s.gather(d)
	select {
	case <-g.done:
		return g.err
	case <-ctx.Done():
		return ctx.Err()
	}
}

func (s *strangers) gather(d *Decision) *gathered {
	s.mu.Lock()
	defer s.mu.Unlock()
	g := s.gathered
	if g == nil || g.n == mostTogether || g.record.Generation != d.Generation {
		g = &gathered{
			record: Strangers{Schema: StrangersSchema, ID: newID(), Generation: d.Generation, First: d.At, Denied: map[verdict.Code][]string{}},
			done:   make(chan struct{}),
		}
		s.gathered = g
		time.AfterFunc(together, func() { s.write(g) })
	}
	code := verdict.Code(d.Code)
	g.record.Denied[code] = append(g.record.Denied[code], d.ID)
	g.record.Last = d.At
	g.n++
	return g
}

// write records what was gathered, and lets those go who wait for it.
func (s *strangers) write(g *gathered) {
	s.mu.Lock()
	if s.gathered == g {
		s.gathered = nil
	}
	s.mu.Unlock()
	ctx, cancel := context.WithTimeout(context.Background(), recordWithin)
	defer cancel()
	g.err = s.keep(ctx, &g.record)
	close(g.done)
}

// stranger reports whether nobody knows who asks.
func (x *Exchange) stranger() bool {
	return x.Principal == nil || x.Principal.Method == identity.Anonymous
}

// networkOf is what one caller has for itself: an address of IPv4, and the first 64
// bits of one of IPv6 (RFC 4291 §2.5.4). What is no address is all one.
func networkOf(address string) netip.Prefix {
	at, err := netip.ParseAddrPort(address)
	if err != nil {
		return netip.Prefix{}
	}
	a, bits := at.Addr().Unmap().WithZone(""), 32
	if a.Is6() {
		bits = 64
	}
	p, _ := a.Prefix(bits)
	return p
}
