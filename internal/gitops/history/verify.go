package history

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/apexlogic/apex/internal/repo"
	"github.com/apexlogic/apex/verdict"
)

// look is one look at a history.
type look struct {
	*Verifier
	ctx  context.Context
	repo *repo.Repo
	g    *repo.Graph
	last State
	head repo.Commit
	now  time.Time
}

// Verify says whether head may be followed after what was accepted last. An
// error that is no [Refusal] says that the question could not be answered now,
// such as the end of the context; nothing may be followed then either.
//
// It reads objects only, never a reference: who resolves a branch or a tag does
// so once and hands in the commit.
func (v *Verifier) Verify(ctx context.Context, r *repo.Repo, last State, head repo.Commit, now time.Time) (*Accepted, error) {
	l := look{Verifier: v, ctx: ctx, repo: r, g: r.NewGraph(maxCommits), last: last, head: head, now: now}
	if err := l.checkOverlays(); err != nil {
		return nil, err
	}
	if err := l.checkDescent(); err != nil {
		return nil, err
	}
	out := &Accepted{State: last, Warnings: []Warning{}}
	out.State.First = v.trust.First
	if last.Commit != head {
		var err error
		if out.Commits, err = l.verifyNew(); err != nil {
			return nil, err
		}
		// What was rolled back is forgotten: none of it descends from a new head,
		// so who sets the branch to it is rewinding from now on.
		out.State = State{Commit: head, First: v.trust.First, Counter: last.Counter + 1, At: now.UTC()}
	}
	stale, err := l.freshness()
	if err != nil {
		return nil, err
	}
	out.Warnings = append(out.Warnings, stale...)
	v.proved.Store(&head)
	return out, nil
}

// checkOverlays refuses repositories that show a person another history than
// the one that is verified, or that lack a part of it.
func (l *look) checkOverlays() error {
	found, err := l.repo.Overlays()
	if err != nil {
		return l.explain(l.head, err)
	}
	if slices.Contains(found, "shallow") {
		return refuse(verdict.HistoryIncomplete, l.head, "the repository is shallow: a part of the history is missing")
	}
	if len(found) > 0 {
		return refuse(verdict.HistoryReplaced, l.head, "the repository has %q: the git command shows another history than the one that is stored", found[0])
	}
	return nil
}

// checkDescent holds the head to what was accepted: it only moves forward.
func (l *look) checkDescent() error {
	if err := l.present(l.head, verdict.HistoryIncomplete, "the head is missing from the repository"); err != nil {
		return err
	}
	if l.firstIsBelow() {
		return l.checkForward()
	}
	if err := l.present(l.trust.First, verdict.HistoryUnrelated, "the first trusted commit is not in the repository"); err != nil {
		return err
	}
	if l.last.Commit != "" {
		if err := l.checkForward(); err != nil {
			return err
		}
	}
	descends, err := l.ancestor(l.trust.First, l.head)
	if err != nil {
		return err
	}
	if !descends {
		return refuse(verdict.HistoryUnrelated, l.head, "it does not descend from the first trusted commit %s", l.trust.First)
	}
	return nil
}

// checkForward holds the head to the accepted commit, and to those that were
// rolled back.
func (l *look) checkForward() error {
	last := l.last.Commit
	if err := l.present(last, verdict.HistoryDiverged, "the commit that was accepted is not in the repository any more"); err != nil {
		return err
	}
	forward, err := l.ancestor(last, l.head)
	if err != nil {
		return err
	}
	if !forward {
		return l.backward(last)
	}
	if last == l.head {
		return nil
	}
	rolledBack := slices.Contains(l.last.RolledBack, l.head)
	if left := l.left(); !rolledBack && len(left) > 0 {
		// Whoever remembers the newest of them alone is answered rightly too.
		if rolledBack, err = l.g.IsAncestor(l.ctx, l.head, left...); err != nil {
			return l.explain(l.head, err)
		}
	}
	if rolledBack {
		return refuse(verdict.HistoryRolledBack, l.head, "it was accepted before the source was rolled back to %s", last)
	}
	return nil
}

// backward names the way in which the head does not descend from last.
func (l *look) backward(last repo.Commit) error {
	older, err := l.ancestor(l.head, last)
	if err != nil {
		return err
	}
	if older {
		return refuse(verdict.HistoryRewound, l.head, "it is older than %s, which was accepted", last)
	}
	shared, err := l.g.Bases(l.ctx, []repo.Commit{last}, l.head)
	if err != nil {
		return l.explain(l.head, err)
	}
	if len(shared) == 0 {
		return refuse(verdict.HistoryUnrelated, l.head, "it has nothing in common with %s, which was accepted", last)
	}
	return refuse(verdict.HistoryDiverged, l.head, "it does not hold %s, which was accepted; they parted at %s", last, shared[0])
}

// present refuses when a commit is not in the repository.
func (l *look) present(c repo.Commit, code verdict.Code, why string) error {
	_, err := l.g.IsAncestor(l.ctx, c, c)
	if errors.Is(err, repo.ErrNotFound) {
		return refuse(code, l.head, "%s (%s)", why, c)
	}
	return l.explain(c, err)
}

// ancestor is Graph.IsAncestor with errors that name what is wrong.
func (l *look) ancestor(old, young repo.Commit) (bool, error) {
	is, err := l.g.IsAncestor(l.ctx, old, young)
	return is, l.explain(young, err)
}

// known are the commits from which on everything was judged before. Those that
// were rolled back were accepted once.
func (l *look) known() []repo.Commit {
	var known []repo.Commit
	if l.last.Commit != "" {
		known = append(known, l.last.Commit)
	}
	if !l.firstIsBelow() {
		known = append(known, l.trust.First)
	}
	return append(known, l.left()...)
}

// left are the commits that were rolled back and are in the repository still.
func (l *look) left() []repo.Commit {
	var left []repo.Commit
	for _, c := range l.last.RolledBack {
		if _, err := l.g.IsAncestor(l.ctx, c, c); err == nil {
			left = append(left, c)
		}
	}
	return left
}

// firstIsBelow says whether the accepted commit is known to descend from the
// first trusted one: the state says so, or it was found out before. What a
// commit descends from is part of its hash and does not change.
func (l *look) firstIsBelow() bool {
	if l.last.Commit == "" {
		return false
	}
	proved := l.proved.Load()
	return l.last.First == l.trust.First || proved != nil && *proved == l.last.Commit
}

// freshness warns about a head that may be held back. Its date is signed by
// somebody trusted, which makes it a lower bound for the age and no more: one of
// tomorrow, or of a wrong clock, would never be old. So is the time at which the
// head was accepted here, which nobody else writes.
func (l *look) freshness() ([]Warning, error) {
	if l.trust.MaxAge <= 0 {
		return nil, nil
	}
	c, err := l.repo.RawCommit(l.head)
	if err != nil {
		return nil, l.explain(l.head, err)
	}
	if l.last.Commit == l.head && !l.last.At.IsZero() {
		if age := l.now.Sub(l.last.At); age > l.trust.MaxAge {
			return []Warning{{verdict.HistoryStale, fmt.Sprintf("the newest commit %s is the newest one here since %s, more than %s", c.ID, l.last.At.Format(time.RFC3339), l.trust.MaxAge)}}, nil
		}
	}
	switch age := l.now.Sub(c.When); {
	case age > l.trust.MaxAge:
		return []Warning{{verdict.HistoryStale, fmt.Sprintf("the newest commit %s is from %s, more than %s ago", c.ID, c.When.Format(time.RFC3339), l.trust.MaxAge)}}, nil
	case age < -clockSkew:
		return []Warning{{verdict.HistoryStale, fmt.Sprintf("the newest commit %s claims to be from %s, which is ahead of now", c.ID, c.When.Format(time.RFC3339))}}, nil
	}
	return nil, nil
}

// explain turns what reading the repository found into a refusal with its name.
func (l *look) explain(c repo.Commit, err error) error {
	var path *repo.PathError
	var named *Refusal
	switch {
	case err == nil || errors.As(err, &named):
		return err
	case l.ctx.Err() != nil:
		return fmt.Errorf("verify %s: %w", l.head, err)
	case errors.Is(err, repo.ErrCollision):
		return refuse(verdict.HistoryCollision, c, "%v", err)
	case errors.Is(err, repo.ErrTooLarge):
		return refuse(verdict.HistoryTooLong, c, "%v", err)
	case errors.Is(err, repo.ErrNotFound):
		return refuse(verdict.HistoryIncomplete, c, "%v", err)
	case errors.Is(err, repo.ErrMalformed), errors.As(err, &path):
		return refuse(verdict.CommitMalformed, c, "%v", err)
	}
	return refuse(verdict.HistoryUnreadable, c, "%v", err)
}
