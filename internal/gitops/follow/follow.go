// Package follow takes the newest commit of a source all the way to its target:
// fetch, trust, render, gate, apply; and says why when it does not.
//
// Start with [New] and [Follower.Run]; [Follower.Status] is what people see and
// [Follower.Notify] makes it look now. What each step does is in the rooms beside
// this one; here is only their order, and what is remembered between passes.
//
// A commit that was refused is not tried again until something is different: the
// commit, or the policies in force. What the target refuses before anything is
// written (a kind that it does not serve, a right or a namespace that is missing)
// may be mended there, so that is asked again from time to time. A step that
// could not be made (the network, a registry, the target) is tried again, and
// nothing is applied meanwhile.
package follow

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"sync"
	"time"

	"github.com/apexlogic/apex/internal/clock"
	"github.com/apexlogic/apex/internal/gitops"
	"github.com/apexlogic/apex/verdict"
)

// Applied is what a target holds of a source.
type Applied struct {
	Commit  string         `json:"commit,omitempty"`
	Set     verdict.Digest `json:"set,omitempty"`
	Counter uint64         `json:"counter,omitempty"`
	Objects int            `json:"objects,omitempty"`
	// Held is the commit that a rollback took away. It is not applied again: a
	// new one has to come, which descends from it.
	Held string `json:"held,omitempty"`
}

// Refused is why a commit is not applied. It is an error of steps, and a
// decision: trying again changes nothing.
type Refused struct {
	Step  string         `json:"step"` // "trust", "render", "gate", "plan"
	Code  verdict.Code   `json:"code"`
	Where verdict.Origin `json:"where,omitzero"`
	Why   string         `json:"why"`
	// Report is what the gate said; nil for the other steps.
	Report *verdict.Report `json:"report,omitempty"`
}

// Error returns "code: place: why".
func (r *Refused) Error() string {
	if at := r.Where.String(); at != "" {
		return fmt.Sprintf("%s: %s: %s", r.Code, at, r.Why)
	}
	return fmt.Sprintf("%s: %s", r.Code, r.Why)
}

// Steps are what a pass is made of. All are needed. An error that is a
// [*Refused] ends the pass until something is different; any other is tried
// again.
type Steps struct {
	// Fetch brings the branch here and returns its newest commit.
	Fetch func(ctx context.Context) (commit string, err error)
	// Trust verifies every commit between what is applied and this one.
	Trust func(ctx context.Context, commit string) error
	// Render makes a commit's files the objects that it stands for.
	Render func(ctx context.Context, commit string) (*gitops.Set, error)
	// Gate judges everything that the set would deploy. The error is for what
	// could not be asked; what is denied is in the report.
	Gate func(ctx context.Context, commit string, set *gitops.Set) (verdict.Report, error)
	// Apply makes the target look like the set. It survives being killed at any
	// point: the next Apply, of whatever commit, completes or replaces it.
	Apply func(ctx context.Context, commit string, set *gitops.Set) (Applied, error)
	// Applied returns what the target holds.
	Applied func(ctx context.Context) (Applied, error)
	// Record writes what was decided where it can be proved; the pass waits for
	// it, and a change is applied only when it is recorded.
	Record func(ctx context.Context, e Event) error
}

// Event is a decision about a commit.
type Event struct {
	Source  string         `json:"source"`
	Commit  string         `json:"commit"`
	Set     verdict.Digest `json:"set,omitempty"`
	Kind    string         `json:"kind"` // "accepted", "applied", "refused"
	Refused *Refused       `json:"refused,omitempty"`
	At      time.Time      `json:"at"`
}

// Options configure [New].
type Options struct {
	Source string
	// Interval between two looks at the branch.
	Interval time.Duration
	// Generation names the policies in force; another one makes a refused commit
	// worth another try.
	Generation func() string
	// Changed is called when the status is another one; it may be nil.
	Changed func(Status)
	Clock   clock.Clock
	Logger  *slog.Logger
}

// Status is where a source stands.
type Status struct {
	Source string `json:"source"`
	Applied
	// Head is the branch's newest commit; it is not applied while Refused or
	// Problem says why.
	Head    string   `json:"head,omitempty"`
	Refused *Refused `json:"refused,omitempty"`
	// Problem is what kept the last pass from its end.
	Problem string `json:"problem,omitempty"`
	// At is when this became so.
	At time.Time `json:"at,omitzero"`
}

// Ready says that the newest commit is applied, or was taken away on purpose.
func (s *Status) Ready() bool {
	return s.Head != "" && (s.Head == s.Commit || s.Head == s.Held) && s.Problem == ""
}

// Follower follows one source. It is safe for concurrent use.
type Follower struct {
	steps  Steps
	o      Options
	notify chan struct{}

	pass sync.Mutex // one at a time

	mu         sync.Mutex
	status     Status
	generation string // by which Refused was decided
	again      again  // when the target is asked about it again

	// Of the pass under way.
	accepted revision // what the last record says is accepted
	owed     *Event   // that a commit is applied, which could not be recorded
}

type revision struct {
	commit string
	set    verdict.Digest
}

// again is when a refusal of the target is worth another try.
type again struct {
	at    time.Time
	pause time.Duration
}

// longestPause between two times that a target is asked about a revision that it
// refused: to ask costs a request for each object that changes.
const longestPause = 10 * time.Minute

// mendable says whether a refusal may end without a new commit: somebody
// installs the kind, grants the right, or makes the namespace. Nothing was
// written when it was made.
func mendable(code verdict.Code) bool {
	switch code {
	case verdict.ApplyUnserved, verdict.ApplyInvalid, verdict.ApplyForbidden, verdict.ApplyMissing:
		return true
	}
	return false
}

// New returns a follower that has not looked yet.
func New(steps Steps, o Options) *Follower {
	if o.Logger == nil {
		o.Logger = slog.New(slog.DiscardHandler)
	}
	if o.Generation == nil {
		o.Generation = func() string { return "" }
	}
	return &Follower{steps: steps, o: o, notify: make(chan struct{}, 1), status: Status{Source: o.Source}}
}

// Notify makes Run look at the branch now. It does not wait.
func (f *Follower) Notify() {
	select {
	case f.notify <- struct{}{}:
	default:
	}
}

// Busy says that a pass is under way.
func (f *Follower) Busy() bool {
	if !f.pass.TryLock() {
		return true
	}
	f.pass.Unlock()
	return false
}

// Status returns where the source stands.
func (f *Follower) Status() Status {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.status
}

// maxConflicts is how often an apply that met another writer is tried in a row.
const maxConflicts = 5

// retryMin is how soon a step that could not be made is tried again; it doubles
// up to the interval.
const retryMin = time.Second

// Run follows the source until the context ends.
func (f *Follower) Run(ctx context.Context) error {
	retry := retryMin
	for {
		wait := f.o.Interval
		if err := f.Pass(ctx); err != nil && !errors.As(err, new(*Refused)) {
			f.o.Logger.Warn("the source cannot be followed now", "source", f.o.Source, "err", err)
			wait, retry = min(retry, f.o.Interval), min(2*retry, f.o.Interval)
		} else {
			retry = retryMin
		}
		timer := time.NewTimer(wait)
		select {
		case <-ctx.Done():
			timer.Stop()
			return ctx.Err()
		case <-timer.C:
		case <-f.notify:
			timer.Stop()
		}
	}
}

// Pass looks once. It returns nil when the newest commit is applied, the
// [*Refused] when it may not be, and otherwise what kept it from being applied.
func (f *Follower) Pass(ctx context.Context) error {
	f.pass.Lock()
	defer f.pass.Unlock()
	if f.owed != nil {
		if err := f.record(ctx, *f.owed); err != nil {
			return f.end(ctx, "", nil, err)
		}
		f.owed = nil
	}
	head, err := f.steps.Fetch(ctx)
	if err != nil {
		return f.end(ctx, "", nil, fmt.Errorf("fetch: %w", err))
	}
	now, err := f.steps.Applied(ctx)
	if err != nil {
		return f.end(ctx, head, nil, fmt.Errorf("read what is applied: %w", err))
	}
	generation := f.o.Generation()
	if head == now.Commit || head == now.Held {
		return f.end(ctx, head, &now, nil)
	}
	f.mu.Lock()
	known := f.status.Refused
	same := known != nil && f.status.Head == head && f.generation == generation && !f.due(known)
	f.mu.Unlock()
	if same {
		return known
	}
	f.mu.Lock()
	f.generation = generation
	f.mu.Unlock()
	applied, err := f.bring(ctx, head)
	if err != nil {
		return f.end(ctx, head, &now, err)
	}
	return f.end(ctx, head, &applied, nil)
}

// due says whether the target is asked again about what it refused. The caller
// holds mu.
func (f *Follower) due(known *Refused) bool {
	return mendable(known.Code) && !f.o.Clock.Now().Before(f.again.at)
}

// wait decides when the target is asked again about a refusal: after an interval,
// and after twice as long each time that it says the same, unless to ask is one
// request. The caller holds mu.
func (f *Follower) wait(refused *Refused, repeated bool) {
	if !repeated || refused.Code == verdict.ApplyUnserved {
		f.again.pause = f.o.Interval
	} else {
		f.again.pause = max(f.o.Interval, min(2*f.again.pause, longestPause))
	}
	f.again.at = f.o.Clock.Now().Add(f.again.pause)
}

// bring takes a commit through the steps.
func (f *Follower) bring(ctx context.Context, head string) (Applied, error) {
	if err := f.steps.Trust(ctx, head); err != nil {
		return Applied{}, f.refuse(ctx, head, "", err)
	}
	set, err := f.steps.Render(ctx, head)
	if err != nil {
		return Applied{}, f.refuse(ctx, head, "", err)
	}
	report, err := f.steps.Gate(ctx, head, set)
	if err == nil {
		err = Judge(&report)
	}
	if err != nil {
		return Applied{}, f.refuse(ctx, head, set.Digest(), err)
	}
	// What is about to be done is on record before it is done; once, however often
	// the target is asked.
	if now := (revision{head, set.Digest()}); f.accepted != now {
		if err := f.record(ctx, Event{Commit: head, Set: set.Digest(), Kind: "accepted"}); err != nil {
			return Applied{}, err
		}
		f.accepted = now
	}
	applied, err := f.steps.Apply(ctx, head, set)
	// Whoever looks after the applied revision writes what is remembered, too: a
	// plan that was made before that is made anew.
	for tries := 1; errors.Is(err, gitops.ErrConflict) && tries < maxConflicts && ctx.Err() == nil; tries++ {
		applied, err = f.steps.Apply(ctx, head, set)
	}
	if err != nil {
		return Applied{}, f.refuse(ctx, head, set.Digest(), err)
	}
	f.accepted = revision{}
	done := Event{Commit: head, Set: set.Digest(), Kind: "applied", At: f.o.Clock.Now()}
	if err := f.record(ctx, done); err != nil {
		f.owed = &done // the next pass finds it applied, and would not tell
		return applied, err
	}
	return applied, nil
}

// Judge turns a report into the refusal of the revision: one subject that is
// denied, or that cannot be judged, stops all of it. Nil when it may be applied.
func Judge(report *verdict.Report) error {
	refused := &Refused{Step: "gate", Report: report}
	for i := range report.Unresolved {
		u := &report.Unresolved[i]
		refused.Code, refused.Where, refused.Why = u.Code, u.Where, u.Why
		return refused
	}
	for i := range report.Verdicts {
		v := &report.Verdicts[i]
		if v.Decision == verdict.Deny {
			refused.Code, refused.Why = v.Code, fmt.Sprintf("%s: %s", v.Question.Subject.Ref, v.Reason)
			refused.Where = v.Question.Where
			return refused
		}
	}
	return nil
}

// refuse records a refusal; other errors it only returns.
func (f *Follower) refuse(ctx context.Context, head string, set verdict.Digest, err error) error {
	refused, is := errors.AsType[*Refused](err)
	if !is {
		return err
	}
	if !mendable(refused.Code) {
		f.accepted = revision{}
	}
	f.mu.Lock()
	known := f.status.Refused
	repeated := known != nil && f.status.Head == head && known.Code == refused.Code && known.Why == refused.Why
	f.wait(refused, repeated)
	f.mu.Unlock()
	if repeated && mendable(refused.Code) {
		return known // it is on record
	}
	if err := f.record(ctx, Event{Commit: head, Set: set, Kind: "refused", Refused: refused}); err != nil {
		return err
	}
	f.o.Logger.Warn("a commit is refused", "source", f.o.Source, "commit", head, "code", refused.Code, "why", refused.Why)
	return refused
}

func (f *Follower) record(ctx context.Context, e Event) error {
	e.Source = f.o.Source
	if e.At.IsZero() {
		e.At = f.o.Clock.Now()
	}
	if err := f.steps.Record(ctx, e); err != nil {
		return fmt.Errorf("record that a commit is %s: %w", e.Kind, err)
	}
	return nil
}

// end keeps the status and tells of it when it is another one.
func (f *Follower) end(ctx context.Context, head string, applied *Applied, err error) error {
	if ctx.Err() != nil {
		return ctx.Err() // what was cut off says nothing about the source
	}
	f.mu.Lock()
	next := f.status
	next.Refused, next.Problem = nil, ""
	if head != "" {
		next.Head = head
	}
	if applied != nil {
		next.Applied = *applied
	}
	if refused, is := errors.AsType[*Refused](err); is {
		next.Refused = refused
	} else if err != nil {
		next.Problem = err.Error()
	}
	changed := next.Head != f.status.Head || next.Applied != f.status.Applied || next.Refused != f.status.Refused || next.Problem != f.status.Problem
	if changed {
		next.At = f.o.Clock.Now()
	}
	f.status = next
	f.mu.Unlock()
	if changed && f.o.Changed != nil {
		f.o.Changed(next)
	}
	return err
}
