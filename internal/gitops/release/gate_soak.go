package release

import (
	"context"
	"time"

	"github.com/apexlogic/apex/verdict"
)

// soakGate waits until the stage before was healthy for long enough.
func soakGate(ctx context.Context, q *question) Result {
	s, err := q.standing(ctx)
	if err != nil {
		return closed(verdict.GateUnknown, "how %s stands is not known: %v", q.r.c.Stage.After, err)
	}
	want := q.gate.Soak.Duration
	if s.Since.IsZero() || s.Revision.Commit != q.c.Commit {
		return waiting(verdict.GateSoak, time.Time{}, "%s is to be healthy for %s with the commit, and is not yet", q.r.c.Stage.After, want)
	}
	if until := s.Since.Add(want); q.now.Before(until) {
		return waiting(verdict.GateSoak, until, "%s is healthy since %s and has to be until %s", q.r.c.Stage.After, s.Since.Format(time.RFC3339), until.Format(time.RFC3339))
	}
	return open()
}
