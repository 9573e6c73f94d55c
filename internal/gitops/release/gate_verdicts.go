package release

import (
	"context"

	"github.com/apexlogic/apex/verdict"
)

// verdictsGate is closed unless all that the revision would deploy is allowed
// now: what was allowed in the stage before may have been revoked since.
func verdictsGate(ctx context.Context, q *question) Result {
	report, err := q.r.c.Verdicts(ctx, q.c.revision(), q.c.Set)
	switch {
	case err != nil:
		return closed(verdict.GateUnknown, "the verdicts cannot be had: %v", err)
	case report.Schema != verdict.ReportSchema:
		return closed(verdict.GateUnknown, "the verdicts are no report")
	case len(report.Unresolved) > 0:
		u := &report.Unresolved[0]
		return closed(verdict.GateVerdicts, "%s: %s", u.Code, u.Why)
	}
	for i := range report.Verdicts {
		v := &report.Verdicts[i]
		if v.Decision != verdict.Allow && v.Decision != verdict.Warn {
			return closed(verdict.GateVerdicts, "%s: %s: %s", v.Code, v.Question.Subject.Ref, v.Reason)
		}
	}
	return open()
}
