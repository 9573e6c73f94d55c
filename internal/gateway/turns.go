package gateway

import (
	"cmp"
	"sync"

	"github.com/apexlogic/apex/internal/gateway/stream"
	"github.com/apexlogic/apex/internal/media/body"
)

// turns counts the answers of a session of OpenAI's Realtime API, for the limits on
// tokens. An answer is paid when it is asked for; a server answers unasked, too, as
// soon as somebody has stopped speaking, and then it is paid when it begins.
//
// How long answers may be is what the server says of its session, and not what the
// caller asked of it: a server that refuses an event leaves everything as it was. It is
// safe for concurrent use by both directions.
type turns struct {
	mu    sync.Mutex
	bound int64 // of one answer, as the server said last; 0: it said none
	paid  int64 // tokens of answers that were asked for, and have not begun
}

// asked says what the answer costs that an event of the caller asks for; 0 when it
// asks for none. Most is the route's, for an answer that nothing bounds.
func (t *turns) asked(b *body.Body, most int64) int64 {
	if eventOf(b) != "response.create" {
		return 0
	}
	return t.most(b, most)
}

// most is what bounds one answer: what the event says, else what the session says,
// else what the route says. "inf" is the route's.
func (t *turns) most(b *body.Body, most int64) int64 {
	if b.Unbounded {
		return most
	}
	t.mu.Lock()
	defer t.mu.Unlock()
	return cmp.Or(b.MaxTokens, t.bound, most)
}

// pay keeps what was paid for an answer that will begin.
func (t *turns) pay(n int64) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.paid = plus(t.paid, n)
}

// begun says what an answer that begins costs beyond what was paid for it.
func (t *turns) begun(n int64) (unpaid int64) {
	t.mu.Lock()
	defer t.mu.Unlock()
	from := min(t.paid, n)
	t.paid -= from
	return n - from
}

// happened takes note of what the server says of a session. An answer that nobody
// has paid for is paid here, and ends the stream where it cannot be.
func (x *Exchange) happened(b *body.Body) error {
	t := x.turns
	switch eventOf(b) {
	case "session.created", "session.updated":
		t.mu.Lock()
		defer t.mu.Unlock()
		t.bound = b.MaxTokens
	case "response.created":
		if err := x.charge(Tokens{Output: t.begun(t.most(b, x.Route.Limits.Answer))}); err != nil {
			d := denialOf(err)
			return &stream.Cut{Code: d.Code, Detail: d.Detail}
		}
	}
	return nil
}

// eventOf is the type of an event; "" when it has none, or one that is a plain name,
// as no event of the API is.
func eventOf(b *body.Body) string {
	for i := range b.Controls {
		if c := &b.Controls[i]; c.Where == "/type" {
			return string(c.Value)
		}
	}
	return ""
}
