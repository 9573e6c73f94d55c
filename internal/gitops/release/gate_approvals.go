package release

import (
	"context"
	"errors"
	"time"

	"github.com/apexlogic/apex/verdict"
)

// approvalsGate waits until enough different owners have promoted the revision.
// The signatures are verified again: a key may be revoked since.
func approvalsGate(_ context.Context, q *question) Result {
	want := 1
	if q.gate != nil {
		want = max(want, int(q.gate.Approvals))
	}
	owners := map[string]bool{}
	var last *Refusal
	v := q.c.revision()
	for i := range q.s.Promotions {
		p := &q.s.Promotions[i]
		if p.Revision != v {
			continue
		}
		_, owner, err := q.r.verify(p.Bundle, v, q.s.Counter)
		if refused, is := errors.AsType[*Refusal](err); is {
			last = refused
			continue
		}
		if refused := q.r.author(q.c, owner); refused != nil {
			last = refused
			continue
		}
		owners[owner] = true
	}
	if len(owners) >= want {
		return open()
	}
	if last != nil {
		return closed(last.Code, "a promotion does not count any more: %s", last.Why)
	}
	return waiting(verdict.PromotionMissing, time.Time{}, "%d of %d owners have promoted commit %.12s", len(owners), want, q.c.Commit)
}
