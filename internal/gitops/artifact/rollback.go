package artifact

import (
	"bytes"
	"encoding/json"
	"fmt"
	"slices"
	"time"

	"github.com/apexlogic/apex/internal/gitops/history"
	"github.com/apexlogic/apex/internal/repo"
	"github.com/apexlogic/apex/verdict"
)

// Rollback says whether a signed rollback record, [history.Rollback], counts for
// the state: From and To are digests of artifacts. No registry is asked.
func (v *Verifier) Rollback(last State, envelope []byte, now time.Time) (history.Rollback, State, error) {
	var r history.Rollback
	at := last.Current.Digest
	if v.rollbacks == nil {
		return r, State{}, refuse(verdict.RollbackRefused, at, "nobody is trusted to roll the source %s back", v.trust.Source)
	}
	doc, _, err := v.rollbacks.VerifyDocument(envelope, history.KindRollback, now)
	if err != nil {
		return r, State{}, refuse(verdict.RollbackRefused, at, "the rollback record: %v", err)
	}
	d := json.NewDecoder(bytes.NewReader(doc)) // its keys were compared with each other already
	d.DisallowUnknownFields()
	if err := d.Decode(&r); err != nil {
		return r, State{}, refuse(verdict.RollbackRefused, at, "the rollback record: %v", err)
	}
	if why := v.misfit(&r, &last); why != "" {
		return r, State{}, refuse(verdict.RollbackRefused, at, "the rollback record %s", why)
	}
	to := slices.IndexFunc(last.Accepted, func(m Mark) bool { return repo.Commit(m.Digest) == r.To })
	if to < 0 {
		return r, State{}, refuse(verdict.RollbackRefused, verdict.Digest(r.To), "it is not among the last %d artifacts that were accepted", maxAccepted)
	}
	next := last
	next.Current, next.Number, next.At = last.Accepted[to], last.Number+1, now.UTC()
	return r, next, nil
}

// misfit says what of the record is not what the state asks for.
func (v *Verifier) misfit(r *history.Rollback, last *State) string {
	switch {
	case r.Source != v.trust.Source:
		return fmt.Sprintf("is for the source %q and not for %q", r.Source, v.trust.Source)
	case r.From != repo.Commit(last.Current.Digest):
		return fmt.Sprintf("goes back from %s and %s is accepted", r.From, last.Current.Digest)
	case r.Counter != last.Number:
		return fmt.Sprintf("is for the state %d and this is %d: it was used, or is too old", r.Counter, last.Number)
	case r.From == r.To:
		return "goes nowhere"
	}
	return ""
}
