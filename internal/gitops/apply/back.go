package apply

import (
	"context"
	"errors"
	"fmt"

	"github.com/apexlogic/apex/verdict"
)

// tryLater asks about the objects that could not be tried before their
// namespaces and definitions were there: nothing else has been written yet.
func (w *work) tryLater(ctx context.Context) error {
	if w.p.mode != newRevision && w.p.mode != sameRevision {
		return nil // it was held before, or was asked about before
	}
	var steps []*Step
	for _, stage := range w.p.Stages {
		for i := range stage.Steps {
			if s := &stage.Steps[i]; s.later && !s.tried {
				s.later = false // once: what still waits for something is judged by its write
				steps = append(steps, s)
			}
		}
	}
	if len(steps) == 0 {
		return nil
	}
	err := w.a.tries(ctx, w.p, steps, servedWithin)
	w.a.at("tried")
	return err
}

// refused returns why the revision cannot be carried out, nil when it can be gone
// on with: what a target says no to stays a no, what it could not answer may
// pass the next time.
func (w *work) refused(ctx context.Context, err error) *Refusal {
	if err == nil || ctx.Err() != nil || w.p.Revision == w.s.Applied || !w.s.Unfinished() {
		return nil
	}
	if r, is := errors.AsType[*Refusal](err); is {
		return r
	}
	if r, is := errors.AsType[*Refusal](w.no.refusal()); is {
		return r
	}
	code, no := decision(err)
	if !no {
		return nil
	}
	return refuse(code, "%v", err)
}

// goesOn keeps an error of a return in left: as much as can be is brought back.
// Any other error, and one that time may mend, ends the work.
func (w *work) goesOn(err error, left *[]error) error {
	if _, no := decision(err); no && (w.p.mode == returning || w.p.mode == resumedReturn) {
		*left = append(*left, err)
		return nil
	}
	return err
}

// goBack makes the target hold again what it held whole last, after it refused a
// part of the revision that was being applied. It returns why, as a [*Refusal],
// or what kept it from going back: then the state says that it is under way, and
// the next pass goes on.
func (a *Applier) goBack(ctx context.Context, from Revision, s *State, cause *Refusal) error {
	if err := a.bringBack(ctx, s, cause); err != nil {
		// No refusal: it is not decided, and is tried again.
		return fmt.Errorf("commit %.12s is refused: %s; going back to %q: %w", from.Commit, cause.Why, s.Applied.Commit, undecided{err})
	}
	r := *cause
	r.Code = verdict.ApplyReturned
	r.Why = fmt.Sprintf("commit %.12s: %s (%s); the target holds commit %.12s again", from.Commit, cause.Why, cause.Code, s.Applied.Commit)
	if s.Applied.Commit == "" {
		r.Why = fmt.Sprintf("commit %.12s: %s (%s); what was made of it is taken away again", from.Commit, cause.Why, cause.Code)
	}
	return &r
}

func (a *Applier) bringBack(ctx context.Context, s *State, cause *Refusal) error {
	set, err := a.set(ctx, s.Applied.Set)
	if err != nil {
		return err
	}
	p := &Plan{Source: s.Source, Revision: s.Applied, state: s, set: set, mode: returning, cause: cause}
	// It was held before: no bound of today keeps it from being held again.
	if err := a.fill(ctx, p, &Source{Name: s.Source}, LookChanged, true); err != nil {
		return err
	}
	w := &work{a: a, p: p, s: s.copy(), result: &Result{}}
	return w.run(ctx)
}

// undecided hides that an error is a refusal, and nothing else of it.
type undecided struct{ err error }

func (u undecided) Error() string { return u.err.Error() }

func (u undecided) Is(target error) bool { return errors.Is(u.err, target) }
