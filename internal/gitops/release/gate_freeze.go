package release

import (
	"context"
	"time"

	"github.com/apexlogic/apex/verdict"
)

// freezeGate waits until no window holds the present moment.
func freezeGate(_ context.Context, q *question) Result {
	var until time.Time
	reason := ""
	for _, w := range q.gate.Freeze {
		if !q.now.Before(w.From.Time) && q.now.Before(w.Until.Time) && w.Until.After(until) {
			until, reason = w.Until.UTC(), w.Reason
		}
	}
	if until.IsZero() {
		return open()
	}
	if reason == "" {
		reason = "no reason is given"
	}
	return waiting(verdict.GateFreeze, until, "nothing enters until %s: %s", until.Format(time.RFC3339), reason)
}
