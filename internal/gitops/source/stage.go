package source

import (
	"context"
	"crypto"
	"errors"
	"fmt"
	"time"

	"github.com/apexlogic/apex/api/v1alpha1"
	"github.com/apexlogic/apex/internal/gitops"
	"github.com/apexlogic/apex/internal/gitops/apply"
	"github.com/apexlogic/apex/internal/gitops/follow"
	"github.com/apexlogic/apex/internal/gitops/release"
	"github.com/apexlogic/apex/verdict"
)

// RecordRelease is the type of records about stages and canaries.
const RecordRelease = "apex.gitops.release/v1"

// tickInterval is how often a canary and a stage's standing are looked at.
const tickInterval = time.Second

// OpenAll opens a source: one for each of its stages, in the order that a commit
// goes through them, or one in all. Each has a mirror and a state of its own.
func OpenAll(ctx context.Context, o Options) (_ []*Source, err error) {
	stages, err := release.Stages(o.Source.Name, &o.Source.Spec)
	if err != nil {
		return nil, fmt.Errorf("source %s: %w", o.Source.Name, err)
	}
	if len(stages) == 0 {
		s, err := Open(ctx, o)
		if err != nil {
			return nil, err
		}
		return []*Source{s}, nil
	}
	var all []*Source
	defer func() {
		if err != nil {
			for _, s := range all {
				err = errors.Join(err, s.Close())
			}
		}
	}()
	byName := map[string]*Source{}
	for i := range stages {
		of := o
		of.Stage, of.Before = &stages[i], byName[stages[i].After]
		s, err := Open(ctx, of)
		if err != nil {
			return nil, err
		}
		byName[stages[i].Name] = s
		all = append(all, s)
	}
	return all, nil
}

// late is a keeper that is known later than the one who tells it.
type late struct{ apply.Keeper }

// releasing sets up what moves traffic and asks the gates, where the source has
// stages or a canary. It returns the target as the other rooms see it.
func (s *Source) releasing(ctx context.Context, keeper *late) (gitops.Target, error) {
	if s.o.Stage == nil && s.spec.Canary == nil {
		return s.place.target, nil
	}
	owners := map[string]string{}
	for i := range s.o.TrustRoots {
		for _, e := range s.o.TrustRoots[i].Spec.Entries {
			owners[e.Name] = e.Owner
		}
	}
	c := release.Config{
		Source: s.o.Source.Name, Stage: s.o.Stage, Canary: s.spec.Canary,
		Target: s.place.target, Store: s.place.store, Sign: s.o.Sign, Verify: s.o.Verify, Keeper: keeper,
		Trust: s.trust.promotions, Owner: func(entry string) string { return owners[entry] },
		Applied: func(ctx context.Context) (apply.Revision, bool, error) {
			state, err := s.applier.Load(ctx, s.name)
			if err != nil {
				return apply.Revision{}, false, err
			}
			return state.Current, !state.Unfinished(), nil
		},
		Health: func(ctx context.Context) ([]apply.Unhealthy, error) { return s.applier.CheckHealth(ctx, s.name) },
		Verdicts: func(ctx context.Context, r apply.Revision, set *gitops.Set) (verdict.Report, error) {
			return s.gate(ctx, r.Commit, set)
		},
		Record: func(ctx context.Context, e release.Entry) error { return s.o.Record(ctx, RecordRelease, e) },
		Clock:  s.o.Clock,
	}
	if before := s.o.Before; before != nil {
		c.Before = func(ctx context.Context) (release.Standing, error) { return before.release.Look(ctx) }
	}
	var err error
	if s.release, err = release.New(ctx, c); err != nil {
		return nil, err
	}
	return s.release.Hold(s.place.target), nil
}

// next is the commit that may be followed: the branch's newest one, or, in a
// later stage, the one that the stage before holds whole.
func (s *Source) next(ctx context.Context) (string, error) {
	head, err := s.origin.head(ctx)
	if err != nil || s.o.Before == nil {
		return head, err
	}
	state, err := s.o.Before.applier.Load(ctx, s.o.Before.name)
	if err != nil {
		return "", err
	}
	if state.Unfinished() || state.Current != state.Applied || state.Applied.Commit == "" {
		return "", fmt.Errorf("the stage before, %s, does not hold a revision whole", s.o.Before.name)
	}
	return state.Applied.Commit, nil
}

// enter asks the stage's gates. One that is not open is no decision against the
// commit: it is asked again.
func (s *Source) enter(ctx context.Context, commit string, set *gitops.Set) error {
	if s.release == nil || s.o.Stage == nil {
		return nil
	}
	c, err := s.candidate(commit, set)
	if err != nil {
		return err
	}
	d, err := s.release.Enter(ctx, c)
	if err != nil {
		return err
	}
	if refused := d.Refusal(); refused != nil {
		return fmt.Errorf("commit %.12s waits at the stage %s: %w", commit, s.o.Stage.Name, refused)
	}
	return nil
}

func (s *Source) candidate(commit string, set *gitops.Set) (*release.Candidate, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	p, ok := s.proofs[commit]
	if !ok {
		return nil, fmt.Errorf("commit %.12s is not verified", commit)
	}
	return &release.Candidate{Commit: commit, Set: set, Authors: p.authors}, nil
}

// shift fixes where the traffic is before a revision is applied.
func (s *Source) shift(ctx context.Context, commit string, set *gitops.Set, direct bool) error {
	if s.release == nil {
		return nil
	}
	state, err := s.applier.Load(ctx, s.name)
	if err != nil {
		return err
	}
	_, err = s.release.Begin(ctx, release.Change{Commit: commit, Set: set, Before: state.Current.Set, Direct: direct})
	return err
}

// tick moves traffic as far as the world allows, and remembers since when the
// stage is healthy.
func (s *Source) tick(ctx context.Context) {
	if s.release == nil {
		return
	}
	every := time.NewTicker(tickInterval)
	defer every.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-every.C:
		}
		if _, err := s.release.Tick(ctx); err != nil && ctx.Err() == nil {
			s.o.Logger.Warn("the traffic could not be looked at", "source", s.name, "err", err)
		}
		if s.o.Stage != nil {
			if _, err := s.release.Look(ctx); err != nil && ctx.Err() == nil {
				s.o.Logger.Warn("the stage's standing could not be asked", "source", s.name, "err", err)
			}
		}
	}
}

// Promote lets what the stage before holds into this stage, by a statement that
// the signer signs. Approver is the TrustRoot entry of its key, with the use
// Promotions. It counts for this revision and this state of the stage.
func (s *Source) Promote(ctx context.Context, approver, reason string, life time.Duration, signer crypto.Signer) (*release.Decision, error) {
	if s.o.Before == nil {
		return nil, fmt.Errorf("%s is the first stage: what is committed and trusted enters it by itself", s.name)
	}
	commit, err := s.next(ctx)
	if err != nil {
		return nil, err
	}
	if err := s.verify(ctx, commit); err != nil {
		return nil, err
	}
	set, err := s.render(ctx, commit)
	if err != nil {
		return nil, err
	}
	c, err := s.candidate(commit, set)
	if err != nil {
		return nil, err
	}
	p, err := s.release.Propose(ctx, c, approver, reason, life)
	if err != nil {
		return nil, promotionRefused(err)
	}
	bundle, err := p.Sign(signer, nil)
	if err != nil {
		return nil, err
	}
	if _, err := s.release.Promote(ctx, c, bundle); err != nil {
		return nil, promotionRefused(err)
	}
	return s.release.Ask(ctx, c)
}

func promotionRefused(err error) error {
	if r, is := errors.AsType[*release.Refusal](err); is {
		return &follow.Refused{Step: "stage", Code: r.Code, Why: r.Error()}
	}
	return err
}

// owners are those of entries, for gates that take no promotion from one of them.
func (s *Source) owners(signers ...string) []string {
	owners := map[string]bool{}
	for i := range s.o.TrustRoots {
		for _, e := range s.o.TrustRoots[i].Spec.Entries {
			for _, name := range signers {
				if e.Name == name {
					owners[e.Owner] = true
				}
			}
		}
	}
	out := make([]string, 0, len(owners))
	for o := range owners {
		out = append(out, o)
	}
	return out
}

// stageOf fills in what a stage says in place of its source.
func stageOf(spec *v1alpha1.GitSourceSpec, stage *v1alpha1.GitStage) *v1alpha1.GitSourceSpec {
	out := *spec
	out.Path = stage.Path
	if stage.Target != nil {
		out.Target = *stage.Target
	}
	return &out
}
