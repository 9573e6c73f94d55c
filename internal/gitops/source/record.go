package source

import (
	"context"
	"time"

	"github.com/apexlogic/apex/internal/gitops"
	"github.com/apexlogic/apex/internal/gitops/apply"
	"github.com/apexlogic/apex/internal/gitops/heal"
	"github.com/apexlogic/apex/verdict"
)

// DriftRecord is what the ledger keeps of a change behind Git's back: names of
// fields and never their values.
type DriftRecord struct {
	Source  string         `json:"source"`
	Code    verdict.Code   `json:"code"`
	Object  gitops.ID      `json:"object"`
	Where   verdict.Origin `json:"where"`
	At      time.Time      `json:"at"`
	TookMS  float64        `json:"tookMs,omitempty"`
	Changes []string       `json:"changes,omitempty"` // "added /spec/…"
	More    int            `json:"more,omitempty"`
	By      []string       `json:"by,omitempty"` // by what they said of themselves
	Error   string         `json:"error,omitempty"`
}

// driftWait bounds how long a worker of the healer waits for the ledger.
const driftWait = 5 * time.Second

// drift records what the healer found, and passes it on.
func (s *Source) drift(r heal.Report) {
	rec := DriftRecord{Source: s.name, Code: r.Code, Object: r.ID, Where: r.Where, At: r.At, TookMS: float64(r.Took.Microseconds()) / 1000, More: r.More}
	if r.Deleted {
		rec.Changes = append(rec.Changes, "deleted")
	}
	if r.Recreated {
		rec.Changes = append(rec.Changes, "made anew")
	}
	for _, c := range r.Changes {
		rec.Changes = append(rec.Changes, c.What.String()+" "+c.Path)
	}
	for _, m := range r.By {
		rec.By = append(rec.By, m.Name)
	}
	if r.Err != nil {
		rec.Error = r.Err.Error()
	}
	ctx, cancel := context.WithTimeout(context.Background(), driftWait)
	defer cancel()
	if err := s.o.Record(ctx, RecordDrift, rec); err != nil {
		s.o.Logger.Error("a drift is not on record", "source", s.name, "object", r.ID, "err", err)
	}
	s.o.Logger.Warn("drift", "source", s.name, "object", r.ID.String(), "code", r.Code, "changes", rec.Changes, "took", r.Took)
	if s.o.Drift != nil {
		s.o.Drift(r)
	}
}

// RollbackRecord is what the ledger keeps of a rollback. The signed record itself
// stays with the target.
type RollbackRecord struct {
	Source  string         `json:"source"`
	To      apply.Revision `json:"to"`
	Counter uint64         `json:"counter"`
	Reason  string         `json:"reason"`
	At      time.Time      `json:"at"`
}
