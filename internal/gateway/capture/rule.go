package capture

import (
	"bytes"
	"strconv"
	"time"

	"github.com/apexlogic/apex/internal/seal"
)

// Bounds of what a rule may say.
const (
	// MaxBytes is the longest body of a request, or of an answer.
	MaxBytes = 64 << 20
	// Most is how many captures of one route are kept: enough to compare policies
	// by, and few enough to be listed.
	Most = 10_000
	// Million is what Rule.Sample counts in.
	Million = 1_000_000
)

// Rule is what a route says of captures. It belongs to a [Store] and does not
// change; it is safe for concurrent use.
type Rule struct {
	// Route whose requests they are; it names the folder.
	Route string
	// Sample is how many of a million requests are captured.
	Sample int64
	// Recipients can open them.
	Recipients []*seal.PublicKey
	// Expire is for how long they are kept.
	Expire time.Duration
	// Bytes of a request's body, and of an answer's: of longer requests the capture is
	// dropped, longer answers are cut. Keep is how many bytes of all are kept.
	Bytes, Keep int64
	// Answers are captured as well.
	Answers bool
	// Allowed and Denied say which decisions are captured.
	Allowed, Denied bool

	store *Store
}

// Samples says whether a request is captured. The id's last 32 bits are random,
// and made by the gateway: a caller has no say in it, and who reads the record
// can tell that the gateway had none either.
func (r *Rule) Samples(id string) bool {
	if len(id) != 36 {
		return false
	}
	n, err := strconv.ParseUint(id[28:], 16, 64)
	return err == nil && n < uint64(r.Sample)<<32/Million
}

// Takes says whether requests are captured about which it was so decided.
func (r *Rule) Takes(allowed bool) bool { return allowed && r.Allowed || !allowed && r.Denied }

// Offer hands a capture in, and does not wait. The request's body is copied; the
// answer's, of [Rule.Answer], is not to be used any more.
func (r *Rule) Offer(c *Capture) {
	held := int64(0)
	if c.Answer != nil {
		held = int64(len(c.Answer.Body))
	}
	n := int64(len(c.Request.Body))
	why := ""
	switch {
	case n > r.Bytes:
		why = TooLong
	case !r.store.reserve(n):
		why = Busy
	}
	if why != "" {
		r.store.release(held)
		r.store.put(job{rule: r, id: c.ID, at: c.At, dropped: why})
		return
	}
	c.Request.Body = bytes.Clone(c.Request.Body)
	r.store.put(job{rule: r, id: c.ID, at: c.At, capture: c, held: n + held})
}

// Answer returns what an answer is copied into, piece by piece.
func (r *Rule) Answer() *Answer { return &Answer{rule: r} }

// Add copies what the caller is given, as far as there is room.
func (a *Answer) Add(p []byte) {
	if a.Cut {
		return
	}
	if room := a.rule.Bytes - int64(len(a.Body)); int64(len(p)) > room {
		a.Cut, p = true, p[:room]
	}
	if !a.rule.store.reserve(int64(len(p))) {
		a.Cut = true
		return
	}
	a.Body = append(a.Body, p...)
}

// Drop gives back what a copy took that is not handed in; of none, nothing.
func (a *Answer) Drop() {
	if a == nil {
		return
	}
	a.rule.store.release(int64(len(a.Body)))
	a.Body = nil
}
