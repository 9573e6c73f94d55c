package source

import (
	"context"
	"crypto"
	"errors"
	"fmt"

	"github.com/apexlogic/apex/internal/gitops"
	"github.com/apexlogic/apex/internal/gitops/apply"
)

// maxConflicts is how often a rollback is begun anew because what is remembered
// has changed.
const maxConflicts = 5

// Rollback makes the target hold an earlier revision that was healthy, from what
// is kept beside it: the repository's remote and the registry are not asked. To
// is its commit, or the digest of its artifact; "" is the last one. The signer is believed for promotions by a
// TrustRoot beside the source; its record of the rollback stays with the target.
// Nothing newer is applied until a commit comes that descends from the one that
// is left.
func (s *Source) Rollback(ctx context.Context, to, reason string, signer crypto.Signer) (*apply.Result, error) {
	request := apply.RollbackRequest{
		Source: s.limits(), To: to,
		Record: func(ctx context.Context, state *apply.State, t apply.Transition) ([]byte, error) {
			if err := s.shiftBack(ctx, t.To); err != nil {
				return nil, err
			}
			return s.origin.sign(state, t, reason, signer)
		},
		Verify: s.origin.rollback,
	}
	result, err := s.applier.Rollback(ctx, request)
	// Who follows the source may have written that it is healthy meanwhile.
	for tries := 0; errors.Is(err, gitops.ErrConflict) && tries < maxConflicts; tries++ {
		result, err = s.applier.Rollback(ctx, request)
	}
	if err != nil {
		return nil, refusal(err)
	}
	return result, s.o.Record(ctx, RecordRollback, RollbackRecord{Source: s.name, To: result.Revision, Counter: result.Counter, Reason: reason, At: s.o.Clock.Now()})
}

// shiftBack sends all traffic to the earlier revision, in one step.
func (s *Source) shiftBack(ctx context.Context, to apply.Revision) error {
	if s.release == nil {
		return nil
	}
	data, err := s.place.store.GetSet(ctx, to.Set)
	if err != nil {
		return err
	}
	set, err := gitops.ReadSet(data)
	if err != nil {
		return err
	}
	return s.shift(ctx, to.Commit, set, true)
}

// Heal puts back what differs in the target, once, and says what that was.
func (s *Source) Heal(ctx context.Context) (*apply.Plan, error) {
	plan, err := s.Diff(ctx)
	if err != nil {
		return nil, err
	}
	if _, err := s.applier.Apply(ctx, plan); err != nil {
		return plan, err
	}
	return plan, nil
}

// CheckHealth says which objects do not do what they are there for. When all do,
// the revision is one to go back to.
func (s *Source) CheckHealth(ctx context.Context) ([]apply.Unhealthy, error) {
	if s.release != nil {
		standing, err := s.release.Look(ctx)
		return standing.Sick, err
	}
	sick, err := s.applier.CheckHealth(ctx, s.name)
	if r, is := errors.AsType[*apply.Refusal](err); is {
		return nil, fmt.Errorf("its health cannot be asked: %w", r)
	}
	return sick, err
}
