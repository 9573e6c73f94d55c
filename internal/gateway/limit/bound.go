package limit

import "time"

// What is counted.
const (
	Requests   = "requests"
	Bytes      = "bytes"
	Tokens     = "tokens"
	Cost       = "cost"
	Concurrent = "concurrent"
)

// Bound is one thing that a request is held to.
type Bound struct {
	// Route and Who (an identity; "" for everybody together) that it is counted for.
	Route, Who string
	// Unit that is counted, for example Requests.
	Unit string
	// N is how much the request takes; a place is one.
	N int64
	// Most that there is in the period Per, or at once when Per is zero.
	Most int64
	Per  time.Duration
}

// place reports whether what is taken is given back at the end.
func (b *Bound) place() bool { return b.Per == 0 }

func (b *Bound) key() key { return key{b.Route, b.Who, b.Unit} }

// cost is the part of the period that the request takes.
func (b *Bound) cost() time.Duration {
	return time.Duration(float64(b.N) / float64(b.Most) * float64(b.Per))
}

// share is the bound of one of so many gateways: never nothing, because a limit
// of a few would otherwise stop everybody, and never all.
func (b *Bound) share(gateways int) Bound {
	s := *b
	s.Most = max(1, b.Most/int64(max(gateways, 1)))
	return s
}
