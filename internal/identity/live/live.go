// Package live knows everything that runs on the word of an identity, and ends
// what may run no longer: of whom is revoked, whose identity expires, or what the
// rules and the trust that came into force meanwhile would not let begin.
//
// Start with [New]. [Live.Begin] registers an answer, a socket or a call, and
// gives it a context; [Live.Use] brings what is revoked into force, and has ended
// what that names before it returns; [Live.Review] asks all that runs by which
// [Permit] it still does; [Live.End] ends everything, and [Live.Wait]
// waits for it. It is the one registry of a process, so that no door has one
// that another forgets.
package live

import (
	"context"
	"errors"
	"sync"
	"time"

	"github.com/apexlogic/apex/internal/clock"
	"github.com/apexlogic/apex/internal/identity"
	"github.com/apexlogic/apex/verdict"
)

// About says on whose word something runs, and what it runs for.
type About struct {
	Principal *identity.Principal // nil: nobody's
	Digest    string              // of the model, "" when it is not known
	// Permit is asked again by [Live.Review]; nil: what runs ends when it is
	// revoked or expires only.
	Permit Permit
}

// Permit is what something was allowed to run by. It is safe for concurrent use,
// also when what runs is over, and asks nothing of the registry.
type Permit interface {
	// Still returns why it would not be allowed any more; nil: it would be.
	Still() *Ended
}

// Ended is the cause of a context that was ended here.
type Ended struct {
	Code   verdict.Code
	Detail string
}

// Error returns the detail.
func (e *Ended) Error() string { return e.Detail }

// Live is the registry. It is safe for concurrent use; use [New].
type Live struct {
	clock clock.Clock

	mu      sync.Mutex
	revoked *Revoked // in force
	over    *Ended   // nothing runs any more
	runs    map[*Run]struct{}
	reviews uint64        // how often what runs was reviewed
	timer   *time.Timer   // that looks for what expired; nil while nothing runs
	empty   chan struct{} // closed when nothing runs; nil while nobody waits
}

// lookEvery is how often is looked for what expired: by the clock of now, which
// may have been set.
const lookEvery = time.Second

// New returns a registry in which nothing runs and nothing is revoked.
func New(c clock.Clock) *Live {
	return &Live{clock: c, revoked: new(Revoked), runs: map[*Run]struct{}{}}
}

// Run is one thing that runs.
type Run struct {
	live    *Live
	about   About
	expires time.Time // by the machine's monotonic clock, which nobody sets
	ctx     context.Context
	cancel  context.CancelCauseFunc
}

// Begin registers something that runs until Done is called. Its context ends
// when it has to, with an *Ended as its cause; at once, when it should not have
// begun: it may have been allowed by what was in force a moment ago.
func (l *Live) Begin(parent context.Context, a About) *Run {
	r := &Run{live: l, about: a}
	r.ctx, r.cancel = context.WithCancelCause(parent)
	now := l.clock.Now()
	if p := a.Principal; p != nil && !p.NotAfter.IsZero() {
		r.expires = time.Now().Add(p.NotAfter.Sub(now))
	}
	l.mu.Lock()
	l.runs[r] = struct{}{}
	why := l.why(r, now)
	if l.timer == nil {
		l.timer = time.AfterFunc(lookEvery, l.look)
	}
	l.mu.Unlock()
	if why != nil {
		r.cancel(why)
	}
	return r
}

// Context ends with what runs.
func (r *Run) Context() context.Context { return r.ctx }

// Cut ends it with a reason.
func (r *Run) Cut(why error) { r.cancel(why) }

// Done takes it out of the registry. It may be called more than once.
func (r *Run) Done() {
	l := r.live
	l.mu.Lock()
	delete(l.runs, r)
	if len(l.runs) == 0 && l.empty != nil {
		close(l.empty)
		l.empty = nil
	}
	l.mu.Unlock()
	r.cancel(context.Canceled)
}

// Use brings what is revoked into force, and ends what it names before it
// returns. It must not change afterwards; nil is nothing.
func (l *Live) Use(revoked *Revoked) {
	if revoked == nil {
		revoked = new(Revoked)
	}
	l.mu.Lock()
	l.revoked = revoked
	l.mu.Unlock()
	if !revoked.empty() {
		l.sweep()
	}
}

// End ends everything that runs, and what would begin later, with a reason.
func (l *Live) End(why *Ended) {
	l.mu.Lock()
	l.over = why
	l.mu.Unlock()
	l.sweep()
}

// Wait returns when nothing runs, or with the context's error.
func (l *Live) Wait(ctx context.Context) error {
	l.mu.Lock()
	if len(l.runs) == 0 {
		l.mu.Unlock()
		return nil
	}
	if l.empty == nil {
		l.empty = make(chan struct{})
	}
	empty := l.empty
	l.mu.Unlock()
	select {
	case <-empty:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

// Review asks all that runs whether it still may, after rules or trust changed,
// and ends what may not before it returns.
func (l *Live) Review() {
	type running struct {
		run    *Run
		permit Permit
	}
	var all []running
	l.mu.Lock()
	l.reviews++
	for r := range l.runs {
		if p := r.about.Permit; p != nil {
			all = append(all, running{r, p})
		}
	}
	l.mu.Unlock()
	for _, one := range all { // rules are asked without holding up who begins
		if why := one.permit.Still(); why != nil {
			one.run.cancel(why)
		}
	}
}

// Reviews is how often what runs was reviewed. Who is judged, and begins after
// it has grown, asks its permit again: the review came too early to see it.
func (l *Live) Reviews() uint64 {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.reviews
}

// Watch calls cut once, when the principal is revoked or the permit, which may be
// nil, holds no more, at once when that is so already; until stop is called. When
// the identity expires is for the caller to see.
func (l *Live) Watch(p *identity.Principal, permit Permit, cut func(*Ended)) (stop func()) {
	lasting := *p
	lasting.NotAfter = time.Time{}
	r := l.Begin(context.Background(), About{Principal: &lasting, Permit: permit})
	forget := context.AfterFunc(r.ctx, func() {
		if why, is := errors.AsType[*Ended](context.Cause(r.ctx)); is {
			cut(why)
		}
	})
	if permit != nil { // it may have been given before a review, and registered after it
		if why := permit.Still(); why != nil {
			r.cancel(why)
		}
	}
	return func() {
		forget()
		r.Done()
	}
}

// Why returns why nothing may begin on the word of a principal; nil: it may.
func (l *Live) Why(p *identity.Principal) *Ended {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.over != nil {
		return l.over
	}
	if code := l.revoked.Why(p, ""); code != "" {
		return &Ended{code, code.Info().Meaning}
	}
	return nil
}

// Count is how much runs.
func (l *Live) Count() int {
	l.mu.Lock()
	defer l.mu.Unlock()
	return len(l.runs)
}

// sweep ends what may run no longer.
func (l *Live) sweep() {
	now := l.clock.Now()
	type ending struct {
		run *Run
		why *Ended
	}
	var all []ending
	l.mu.Lock()
	for r := range l.runs {
		if why := l.why(r, now); why != nil {
			all = append(all, ending{r, why})
		}
	}
	l.mu.Unlock()
	for _, e := range all { // what waits for a context may ask the registry
		e.run.cancel(e.why)
	}
}

// look ends what expired, and looks again for as long as anything runs.
func (l *Live) look() {
	l.sweep()
	l.mu.Lock()
	defer l.mu.Unlock()
	if len(l.runs) == 0 {
		l.timer = nil
		return
	}
	l.timer.Reset(lookEvery)
}

// why returns why something may not run; nil when it may.
func (l *Live) why(r *Run, now time.Time) *Ended {
	if l.over != nil {
		return l.over
	}
	if code := l.revoked.Why(r.about.Principal, r.about.Digest); code != "" {
		return &Ended{code, code.Info().Meaning}
	}
	// By the clock, which may have been set forward; and by the time that passed,
	// since a clock that stands or was set back lets nobody go on.
	if !r.expires.IsZero() && (!now.Before(r.about.Principal.NotAfter) || !time.Now().Before(r.expires)) {
		return &Ended{verdict.StreamExpired, "the identity expired"}
	}
	return nil
}
