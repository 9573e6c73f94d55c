package apply

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"sync"

	"github.com/apexlogic/apex/internal/gitops"
	"github.com/apexlogic/apex/verdict"
)

// Resume tells the healer what was applied before, and finishes what was being
// applied when the last process ended. The result
// is nil when there is nothing to finish.
func (a *Applier) Resume(ctx context.Context, source Source) (*Result, error) {
	state, err := a.Load(ctx, source.Name)
	if err != nil {
		return nil, err
	}
	if !state.Unfinished() {
		if err := a.keepApplied(ctx, state); err != nil {
			return nil, err
		}
		return nil, a.sweep(ctx, state)
	}
	set, err := a.set(ctx, state.Current.Set)
	if err != nil {
		return nil, err
	}
	p := &Plan{Source: source.Name, Revision: state.Current, state: state, set: set, mode: resumed}
	if state.Current == state.Applied {
		p.mode = resumedReturn // or the same revision, put right: there is nothing to go back to either
	}
	// What was decided stands, the bounds of deletions too.
	err = a.fill(ctx, p, &source, LookChanged, true)
	if cause, is := errors.AsType[*Refusal](err); is && p.mode == resumed {
		return nil, a.goBack(ctx, p.Revision, state, cause)
	}
	if err != nil {
		return nil, err
	}
	return a.Apply(ctx, p)
}

// set reads a set from the store. Without a digest, it is that of no revision.
func (a *Applier) set(ctx context.Context, digest verdict.Digest) (*gitops.Set, error) {
	if digest == "" {
		return gitops.NewSet(nil)
	}
	data, err := a.store.GetSet(ctx, digest)
	if err != nil {
		return nil, fmt.Errorf("read the set %s: %w", digest.Short(), err)
	}
	set, err := gitops.ReadSet(data)
	if err != nil {
		return nil, fmt.Errorf("read the set %s: %w", digest.Short(), err)
	}
	if set.Digest() != digest {
		return nil, refuse(verdict.ApplyState, "the set %s was changed", digest.Short())
	}
	return set, nil
}

// Transition is what the signed record of a rollback has to say.
type Transition struct {
	Source   string
	From, To Revision
	// Counter that the rollback will have: the state's, and one.
	Counter uint64
}

// RollbackRequest asks for a rollback.
type RollbackRequest struct {
	Source Source
	// To is the commit to go back to; "" picks the last one that was healthy.
	To string
	// Record makes the signed record of the transition from a state, Verify
	// refuses one that does not say it or is not signed by somebody who may roll
	// back, and returns what is remembered of it; see [State.Memory]. Both are
	// needed.
	Record func(ctx context.Context, s *State, t Transition) ([]byte, error)
	Verify func(ctx context.Context, s *State, t Transition, record []byte) (memory json.RawMessage, err error)
}

// maxRollbackRecord bounds the signed record, which the state holds.
const maxRollbackRecord = 64 << 10

// Rollback makes the target hold an earlier revision again, from the set that
// the store keeps, and pins it there: the revision that was left is not applied
// again, one that descends from it ends the pin. Objects that came with what is
// left are deleted without a bound on their number; kinds that are never deleted
// stay. The target is not asked first: it held the revision before, and when it
// refuses a part of it, what was left holds again.
func (a *Applier) Rollback(ctx context.Context, r RollbackRequest) (*Result, error) {
	if r.Record == nil || r.Verify == nil {
		return nil, errors.New("rollback: functions that make and verify the signed record are needed")
	}
	state, err := a.Load(ctx, r.Source.Name)
	if err != nil {
		return nil, err
	}
	to, err := goodRevision(state, r.To)
	if err != nil {
		return nil, err
	}
	t := Transition{Source: r.Source.Name, From: state.Current, To: to, Counter: state.Counter + 1}
	record, err := r.Record(ctx, state, t)
	if err != nil {
		return nil, fmt.Errorf("make the record of the rollback: %w", err)
	}
	if len(record) == 0 || len(record) > maxRollbackRecord {
		return nil, refuse(verdict.RollbackRecord, "the record has %d bytes", len(record))
	}
	memory, err := r.Verify(ctx, state, t, record)
	if err != nil {
		return nil, refuse(verdict.RollbackRecord, "%v", err)
	}
	set, err := a.set(ctx, to.Set)
	if err != nil {
		return nil, err
	}
	p := &Plan{Source: r.Source.Name, Revision: to, state: state, set: set, memory: memory, mode: rolledBack,
		pin: &Pin{Left: state.Accepted, At: a.clock.Now().UTC(), Record: record}}
	if err := a.fill(ctx, p, &r.Source, LookChanged, true); err != nil {
		return nil, err
	}
	return a.Apply(ctx, p)
}

// goodRevision picks a revision whose set is kept: the newest healthy one that is
// not the current one, or that of the commit.
func goodRevision(s *State, commit string) (Revision, error) {
	for _, r := range slices.Backward(s.Good) {
		if r != s.Current && (commit == "" || r.Commit == commit) {
			return r, nil
		}
	}
	if commit != "" {
		return Revision{}, refuse(verdict.RollbackNone, "commit %.12s is not among the last %d healthy revisions, or is applied", commit, maxGood)
	}
	return Revision{}, refuse(verdict.RollbackNone, "source %s has none", s.Source)
}

// Unhealthy is an object that does not do what it is there for.
type Unhealthy struct {
	gitops.ID
	Why string
}

// CheckHealth asks the target about every object of the applied revision. When
// all of them are healthy, the revision is one that can be gone back to.
func (a *Applier) CheckHealth(ctx context.Context, source string) ([]Unhealthy, error) {
	state, err := a.Load(ctx, source)
	if err != nil {
		return nil, err
	}
	if state.Applied.Set == "" || state.Unfinished() {
		return nil, refuse(verdict.ApplyUnfinished, "%s is not applied whole", source)
	}
	set, err := a.set(ctx, state.Applied.Set)
	if err != nil {
		return nil, err
	}
	sick, err := a.unhealthy(ctx, source, set.Objects())
	slices.SortFunc(sick, func(a, b Unhealthy) int { return compareIDs(a.ID, b.ID) })
	if err != nil || len(sick) > 0 {
		return sick, err
	}
	return nil, a.markHealthy(ctx, state)
}

func (a *Applier) unhealthy(ctx context.Context, source string, objects []gitops.Object) (sick []Unhealthy, err error) {
	if l, ok := gitops.As[gitops.HealthLister](a.target); ok {
		err = l.Unhealthy(ctx, source, objects, func(id gitops.ID, why string) { sick = append(sick, Unhealthy{id, why}) })
		if !errors.Is(err, errors.ErrUnsupported) {
			return sick, err
		}
	}
	var mu sync.Mutex
	err = a.each(ctx, len(objects), func(ctx context.Context, i int) error {
		ok, why, err := a.target.Healthy(ctx, &objects[i])
		if errors.Is(err, gitops.ErrNotFound) {
			ok, why, err = false, "it is not there", nil
		}
		if err != nil || ok {
			return err
		}
		mu.Lock()
		defer mu.Unlock()
		sick = append(sick, Unhealthy{objects[i].ID, why})
		return nil
	})
	return sick, err
}

// markHealthy remembers the applied revision as one to go back to.
func (a *Applier) markHealthy(ctx context.Context, s *State) error {
	if n := len(s.Good); n > 0 && s.Good[n-1] == s.Applied {
		return nil
	}
	s.Good = append(slices.DeleteFunc(s.Good, func(r Revision) bool { return r == s.Applied }), s.Applied)
	if extra := len(s.Good) - maxGood; extra > 0 {
		s.Good = slices.Clone(s.Good[extra:])
	}
	s.write(a.clock.Now(), Healthy, s.Applied, "", "")
	if err := a.save(ctx, s); err != nil {
		return err
	}
	a.at("healthy")
	return a.sweep(ctx, s)
}

// Refuse writes into the journal that a revision was not applied. The same
// refusal twice in a row is one entry; while a revision is under way there is
// none, since the state is that process's, which a rollback of another may be.
func (a *Applier) Refuse(ctx context.Context, source string, r Revision, code verdict.Code, why string) error {
	if len(r.Commit) > maxCommit {
		return fmt.Errorf("a commit's name has at most %d bytes", maxCommit)
	}
	s, err := a.Load(ctx, source)
	if err != nil {
		return err
	}
	if s.Unfinished() {
		return nil
	}
	if n := len(s.Journal); n > 0 {
		if e := s.Journal[n-1]; e.What == Refused && e.Revision == r && e.Code == code {
			return nil
		}
	}
	s.write(a.clock.Now(), Refused, r, code, why)
	return a.save(ctx, s)
}
