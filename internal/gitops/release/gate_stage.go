package release

import (
	"context"
	"time"

	"github.com/apexlogic/apex/verdict"
)

// stageGate waits until the stage before holds the commit.
func stageGate(ctx context.Context, q *question) Result {
	s, err := q.standing(ctx)
	if err != nil {
		return closed(verdict.GateUnknown, "how %s stands is not known: %v", q.r.c.Stage.After, err)
	}
	switch s.Revision.Commit {
	case q.c.Commit:
		return open()
	case "":
		return waiting(verdict.GateStage, time.Time{}, "%s holds no commit whole", q.r.c.Stage.After)
	}
	return waiting(verdict.GateStage, time.Time{}, "%s holds commit %.12s and not %.12s", q.r.c.Stage.After, s.Revision.Commit, q.c.Commit)
}
