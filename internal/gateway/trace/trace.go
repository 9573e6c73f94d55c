// Package trace tells where the time of requests went: a span for each request
// and one for each of its stages, sent to a collector by OTLP over HTTP.
//
// Start with [Open], which makes a [Tracer]; [Tracer.Begin] gives a request its
// place in a trace, and [Tracer.End] takes its spans once it is over. Neither
// waits: what the collector does not take in time is dropped and counted. A nil
// Tracer traces nothing.
//
// A request's spans are made when it has ended, from times that were taken
// anyway, and only where it is sampled: a trace has all of a request or none.
//
// Sources: W3C Trace Context (Recommendation of 2021), OpenTelemetry Protocol
// 1.x, OTLP/HTTP, and its semantic conventions for HTTP.
package trace

import (
	"encoding/binary"
	"encoding/hex"
	"math/rand/v2"
	"net/http"
	"time"
)

// The headers of W3C Trace Context.
const (
	Parent = "Traceparent"
	State  = "Tracestate"
	// Response tells a caller where its request was traced; it is that of the
	// Trace Context's second level, still a draft.
	Response = "Traceresponse"
)

// Context is a request's place in a trace. The zero Context is in none.
type Context struct {
	trace  [16]byte
	parent [8]byte // zeroes: the request is the trace's root
	base   uint64  // the id of the request's span; those of its stages follow
	// Sampled says that the spans are wanted.
	Sampled bool
}

// In reports whether the request is in a trace, sampled or not.
func (c *Context) In() bool { return c.trace != [16]byte{} }

// ID is the trace's id in hex.
func (c *Context) ID() string { return hex.EncodeToString(c.trace[:]) }

// Header is the value of a traceparent that names one of the request's spans:
// 0 is the request's own, others are numbered by [Span.Number].
func (c *Context) Header(span int) string {
	var b [55]byte
	copy(b[:], "00-")
	hex.Encode(b[3:], c.trace[:])
	b[35] = '-'
	id := c.id(span)
	hex.Encode(b[36:], id[:])
	copy(b[52:], "-00")
	if c.Sampled {
		b[54] = '1'
	}
	return string(b[:])
}

func (c *Context) id(span int) (id [8]byte) {
	binary.BigEndian.PutUint64(id[:], c.base+uint64(span))
	return id
}

// Within is the place of a request that comes to be within a span of this one.
func (c *Context) Within(span int) Context {
	return Context{trace: c.trace, parent: c.id(span), base: newBase(), Sampled: c.Sampled}
}

// newBase leaves room for the numbers of a request's spans, and is never zero.
func newBase() uint64 { return rand.Uint64()&^0xff | 1<<63 }

// Begin gives a request its place in a trace, by its headers. A traceparent that
// is valid names the trace and the parent; any other value is as if there was
// none, and with it goes its tracestate. Whether the request is sampled is decided
// here, since whoever sends a header could have all of its requests traced; only
// where callers are followed it is as they say.
func (t *Tracer) Begin(h http.Header) Context {
	if t == nil {
		return Context{}
	}
	c := Context{base: newBase()}
	given := h[Parent]
	asked, ok := false, false
	if len(given) == 1 { // more are for the gateway to refuse
		asked, ok = c.follow(given[0])
		delete(h, Parent)
	}
	if !ok {
		binary.BigEndian.PutUint64(c.trace[:], rand.Uint64()|1<<63)
		binary.BigEndian.PutUint64(c.trace[8:], rand.Uint64())
		delete(h, State)
	}
	if ok && t.options.Follow {
		c.Sampled = asked
	} else {
		c.Sampled = rand.Float64() < t.options.Sample
	}
	return c
}

// follow takes over what a traceparent says. Versions to come may have more
// behind the flags, and no version is ff (Trace Context, sections 3.2.2 and 4.3).
func (c *Context) follow(header string) (sampled, ok bool) {
	if len(header) < 55 || header[2] != '-' || header[35] != '-' || header[52] != '-' {
		return false, false
	}
	if len(header) > 55 && (header[:2] == "00" || header[55] != '-') || header[:2] == "ff" {
		return false, false
	}
	var version, flags [1]byte
	var trace [16]byte
	var parent [8]byte
	if !lowerHex(version[:], header[:2]) || !lowerHex(trace[:], header[3:35]) || !lowerHex(parent[:], header[36:52]) || !lowerHex(flags[:], header[53:55]) {
		return false, false
	}
	if trace == [16]byte{} || parent == [8]byte{} {
		return false, false
	}
	c.trace, c.parent = trace, parent
	return flags[0]&1 == 1, true
}

// lowerHex decodes hexadecimal digits, of which those in upper case are none.
func lowerHex(to []byte, from string) bool {
	for i := range to {
		high, low := digit(from[2*i]), digit(from[2*i+1])
		if high > 15 || low > 15 {
			return false
		}
		to[i] = high<<4 | low
	}
	return true
}

func digit(c byte) byte {
	switch {
	case '0' <= c && c <= '9':
		return c - '0'
	case 'a' <= c && c <= 'f':
		return c - 'a' + 10
	}
	return 0xff
}

// Request is one that is over, with its spans: the first is its own, the others
// are within it, in the order in which they began.
type Request struct {
	Context
	Spans []Span
}

// Span is a part of a request's time.
type Span struct {
	// Number within the request, from 0 to 254, each once; 0 is the request's own.
	Number     int
	Name       string
	Began      time.Time
	Ended      time.Time
	Client     bool // it waits for a server
	Failed     bool
	Attributes []Attribute
}

// Attribute says something about a span. Its value is text, or a number where
// there is no text.
type Attribute struct {
	Key    string
	Text   string
	Number int64
}
