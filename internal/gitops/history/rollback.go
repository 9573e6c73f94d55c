package history

import (
	"bytes"
	"context"
	"crypto"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/apexlogic/apex/internal/repo"
	"github.com/apexlogic/apex/internal/trust"
	"github.com/apexlogic/apex/verdict"
)

// KindRollback is the kind of signed document that a rollback record is (see
// [trust.SignDocument]).
const KindRollback = "GitRollback"

// maxReason is some sentences.
const maxReason = 1024

// Rollback is a record that a source goes back from a commit to one that was
// accepted earlier, or forward again to one that was rolled back. It counts
// once: for the state that it names.
type Rollback struct {
	Source  string      `json:"source"`
	From    repo.Commit `json:"from"`
	To      repo.Commit `json:"to"`
	Counter uint64      `json:"counter"` // of the state that it is for
	Reason  string      `json:"reason"`
	At      time.Time   `json:"at"`
}

// Sign returns the record as a signed document.
func (b Rollback) Sign(signer crypto.Signer) ([]byte, error) {
	if err := b.check(); err != nil {
		return nil, fmt.Errorf("sign rollback: %w", err)
	}
	doc, err := json.Marshal(b)
	if err != nil {
		return nil, fmt.Errorf("sign rollback: %w", err)
	}
	return trust.SignDocument(signer, KindRollback, doc)
}

func (b *Rollback) check() error {
	switch {
	case b.Source == "" || b.From == "" || b.To == "" || b.At.IsZero():
		return errors.New("source, from, to and at are needed")
	case b.From == b.To:
		return errors.New("from and to are the same commit")
	case b.Reason == "" || len(b.Reason) > maxReason:
		return fmt.Errorf("a reason is needed, of at most %d bytes", maxReason)
	}
	return nil
}

// RolledBack is what an accepted rollback record says.
type RolledBack struct {
	Record  Rollback
	Signers []string // names of the trust root's entries that signed it
	// State to remember before anything is applied: the head of the branch is
	// refused with verdict.HistoryRolledBack until something new is on top of it.
	State State
}

// Rollback says whether a signed rollback record counts for the state. The
// repository is read, its remote is not needed.
func (v *Verifier) Rollback(ctx context.Context, r *repo.Repo, last State, envelope []byte, now time.Time) (*RolledBack, error) {
	out := &RolledBack{}
	if v.rollbacks == nil {
		return nil, refuse(verdict.RollbackRefused, last.Commit, "nobody is trusted to roll the source %s back", v.source)
	}
	doc, signers, err := v.rollbacks.VerifyDocument(envelope, KindRollback, now)
	if err != nil {
		return nil, refuse(verdict.RollbackRefused, last.Commit, "the rollback record: %v", err)
	}
	for i := range signers {
		if signers[i].Valid() {
			out.Signers = append(out.Signers, signers[i].TrustedBy...)
		}
	}
	fields := json.NewDecoder(bytes.NewReader(doc)) // its keys were compared with each other already
	fields.DisallowUnknownFields()
	if err := fields.Decode(&out.Record); err != nil {
		return nil, refuse(verdict.RollbackRefused, last.Commit, "the rollback record: %v", err)
	}
	if why := v.misfit(&out.Record, last); why != "" {
		return nil, refuse(verdict.RollbackRefused, last.Commit, "the rollback record %s", why)
	}
	l := look{Verifier: v, ctx: ctx, repo: r, g: r.NewGraph(maxCommits), last: last, head: out.Record.To, now: now}
	if out.State, err = l.goBack(&out.Record); err != nil {
		return nil, err
	}
	return out, nil
}

// misfit says what of the record is not what the state asks for.
func (v *Verifier) misfit(b *Rollback, last State) string {
	if err := b.check(); err != nil {
		return "is not complete: " + err.Error()
	}
	switch {
	case b.Source != v.source:
		return fmt.Sprintf("is for the source %q and not for %q", b.Source, v.source)
	case b.From != last.Commit:
		return fmt.Sprintf("goes back from %s and %q is accepted", b.From, last.Commit)
	case b.Counter != last.Counter:
		return fmt.Sprintf("is for the state %d and this is %d: it was used, or is too old", b.Counter, last.Counter)
	}
	return ""
}

// goBack is the state after the record. To has to have been accepted once.
func (l *look) goBack(b *Rollback) (State, error) {
	for _, c := range []repo.Commit{b.From, b.To, l.trust.First} {
		if err := l.present(c, verdict.HistoryIncomplete, "a commit of the rollback is not in the repository"); err != nil {
			return State{}, err
		}
	}
	older, err := l.ancestor(b.To, b.From)
	if err != nil {
		return State{}, err
	}
	if !older && !slices.Contains(l.last.RolledBack, b.To) {
		return State{}, refuse(verdict.RollbackRefused, b.To, "it was never accepted: a rollback goes to an earlier commit of the source")
	}
	if trusted, err := l.ancestor(l.trust.First, b.To); err != nil {
		return State{}, err
	} else if !trusted {
		return State{}, refuse(verdict.HistoryUnrelated, b.To, "it is older than the first trusted commit %s", l.trust.First)
	}
	left, err := l.g.Between(l.ctx, []repo.Commit{b.To}, b.From)
	if err != nil {
		return State{}, l.explain(b.To, err)
	}
	if len(left) > maxRolledBack {
		return State{}, refuse(verdict.HistoryTooLong, b.To, "it goes back over more than %d commits", maxRolledBack)
	}
	again, err := l.g.Between(l.ctx, []repo.Commit{b.From}, b.To)
	if err != nil {
		return State{}, l.explain(b.To, err)
	}
	next := State{Commit: b.To, First: l.trust.First, Counter: l.last.Counter + 1, At: l.now.UTC()}
	for _, c := range append(slices.Clone(l.last.RolledBack), left...) {
		if !slices.Contains(again, c) && !slices.Contains(next.RolledBack, c) {
			next.RolledBack = append(next.RolledBack, c)
		}
	}
	if len(next.RolledBack) > maxRolledBack {
		return State{}, refuse(verdict.HistoryTooLong, b.To, "together with earlier rollbacks it goes back over more than %d commits", maxRolledBack)
	}
	return next, nil
}
