package release

import (
	"context"

	"github.com/apexlogic/apex/verdict"
)

// healthGate is closed while something in the stage before is not healthy.
func healthGate(ctx context.Context, q *question) Result {
	s, err := q.standing(ctx)
	switch {
	case err != nil:
		return closed(verdict.GateUnknown, "how %s stands is not known: %v", q.r.c.Stage.After, err)
	case len(s.Sick) > 0:
		return closed(verdict.GateHealth, "%d objects of %s are not healthy; %s: %s", len(s.Sick), q.r.c.Stage.After, s.Sick[0].ID, s.Sick[0].Why)
	case s.Revision.Set == "":
		return closed(verdict.GateHealth, "%s holds nothing whole", q.r.c.Stage.After)
	}
	return open()
}
