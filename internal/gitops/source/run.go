package source

import (
	"context"
	"fmt"
	"sync"
	"time"

	"github.com/apexlogic/apex/verdict"
)

// Run finishes what a killed process left, then follows the branch and heals the
// target until the context ends.
func (s *Source) Run(ctx context.Context) error {
	ctx, stop := context.WithCancelCause(ctx)
	defer stop(nil)
	var running sync.WaitGroup
	defer running.Wait()
	running.Go(func() {
		if err := s.healer.Run(ctx); ctx.Err() == nil {
			stop(fmt.Errorf("source %s: healing ended: %w", s.name, err))
		}
	})
	running.Go(func() { s.watchState(ctx) })
	running.Go(func() { s.tick(ctx) })
	running.Go(func() { s.publishing(ctx) })
	for {
		err := s.Resume(ctx)
		if err == nil {
			break
		}
		s.o.Logger.Error("what is applied cannot be taken up", "source", s.name, "err", err)
		select {
		case <-ctx.Done():
			return context.Cause(ctx)
		case <-time.After(time.Second):
		}
	}
	if s.spec.Suspend {
		<-ctx.Done()
		return context.Cause(ctx)
	}
	err := s.follower.Run(ctx)
	if cause := context.Cause(ctx); cause != nil {
		return cause
	}
	return err
}

// Resume finishes an apply that was interrupted, and tells the healer what is
// applied.
func (s *Source) Resume(ctx context.Context) error {
	// The counter is read first: what changes meanwhile is taken up again.
	state, err := s.applier.Load(ctx, s.name)
	if err != nil {
		return err
	}
	if _, err := s.applier.Resume(ctx, s.limits()); err != nil {
		return err
	}
	s.counter.Store(state.Counter)
	s.ready.Store(true)
	s.publisher.wake()
	return nil
}

// watchState remembers an applied revision as one to go back to, once all of it
// is healthy, and takes up what another process decided: a rollback.
func (s *Source) watchState(ctx context.Context) {
	tick := time.NewTicker(stateInterval)
	defer tick.Stop()
	var known verdict.Digest
	var unfinished time.Time // since when another process is at it
	var asked verdict.Digest // whose health was last asked about, and when to ask again
	var again time.Time
	for {
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
		}
		state, err := s.applier.Load(ctx, s.name)
		if err != nil || !s.ready.Load() {
			continue
		}
		if !state.Unfinished() {
			unfinished = time.Time{}
		} else if unfinished.IsZero() {
			unfinished = s.o.Clock.Now()
		}
		// Whoever has begun is left to finish, unless it seems to have died.
		if state.Counter != s.counter.Load() && !s.follower.Busy() && (unfinished.IsZero() || s.o.Clock.Now().Sub(unfinished) > deadAfter) {
			err := s.Resume(ctx)
			if err == nil {
				// Until now it was healed to what was desired before.
				_, err = s.Heal(ctx)
			}
			if err != nil && ctx.Err() == nil {
				s.o.Logger.Error("what another process decided cannot be taken up", "source", s.name, "err", err)
			}
			s.follower.Notify()
			continue
		}
		if state.Unfinished() || state.Applied.Set == "" || state.Applied.Set == known {
			continue
		}
		if state.Applied.Set == asked && time.Now().Before(again) {
			continue
		}
		began := time.Now()
		if s.healthy(ctx) {
			known = state.Applied.Set
		}
		// What stays unhealthy must not cost a share of a core, however large it is.
		asked, again = state.Applied.Set, time.Now().Add(min(healthShare*time.Since(began), healthAtLast))
	}
}

// A revision that is not healthy is asked about again after a multiple of what the
// asking took, and after some time at the latest.
const (
	healthShare  = 20
	healthAtLast = 30 * time.Second
)

// healthy remembers what is applied as good to go back to, when it is. What a
// canary still tries, or has sent back, is not.
func (s *Source) healthy(ctx context.Context) bool {
	if s.release != nil {
		standing, err := s.release.Look(ctx)
		return err == nil && !standing.Since.IsZero()
	}
	sick, err := s.applier.CheckHealth(ctx, s.name)
	return err == nil && len(sick) == 0
}
