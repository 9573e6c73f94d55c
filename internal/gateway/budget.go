package gateway

import (
	"context"
	"slices"
	"sync"
	"time"

	"github.com/apexlogic/apex/verdict"
)

// Budgets of stages: how long each may take of one request. They are by the
// machine's clock, which no time of day changes, and generous: a stage that
// computes takes microseconds, so it overruns only what nobody should wait for.
const (
	// shortly is for what computes over a few kilobytes. A busy machine lets a
	// process wait for tenths of a second; after five nobody wants the answer.
	shortly = 5 * time.Second
	// identityWithin is twice the time of a fetch of an issuer's keys.
	identityWithin = 10 * time.Second
	// bodyWithin is for a body to arrive, which the route bounds by itself with a
	// minute, and to be taken apart.
	bodyWithin = 70 * time.Second
	// firewallWithin is what the rules take for 4 MiB of text, 0.2 s a MiB, where
	// fifteen processes share a core.
	firewallWithin = 15 * time.Second
	// contentWithin is for all fetches, and to look at the new message.
	contentWithin = fetchWithin + shortly
	// recordWithin is as long as a record waits for a disk that does not keep up,
	// twice.
	recordWithin = 10 * time.Second
	// byRoute says that the stage has bounds of its own, which the route says.
	byRoute time.Duration = -1
)

// Budgeted are the names of the stages whose budget a route may set: those that
// come once the route and whom it is for are known, up to the record.
func Budgeted() []string {
	var names []string
	for i := range stages {
		if stages[i].ofRoute {
			names = append(names, stages[i].name)
		}
	}
	return names
}

// budget resolves what a route says of its stages' budgets.
func (r *Route) budget() error {
	for name := range r.Budgets {
		if !slices.Contains(Budgeted(), name) {
			return Refuse(verdict.PolicyInvalid, "the route %s sets the budget of a stage %q; there are %v", r.Name, name, Budgeted())
		}
	}
	for i := range stages {
		s := &stages[i]
		r.budgets[i] = s.budget
		if own := r.Budgets[s.name]; own > 0 {
			r.budgets[i] = own
		}
		switch s.name {
		case "firewall":
			r.perMessage = r.budgets[i]
		case "record":
			r.perRecord = r.budgets[i]
		}
	}
	return nil
}

// budgetOf is how long a stage may take; byRoute: it has its own bounds.
func (x *Exchange) budgetOf(stage int) time.Duration {
	if x.Route != nil {
		return x.Route.budgets[stage]
	}
	return stages[stage].budget
}

// late reports whether the stage at hand has used its budget up. Stages ask
// where they go through pieces whose number the caller chooses.
func (x *Exchange) late() bool { return !x.until.IsZero() && time.Now().After(x.until) }

// errLate is returned by a stage that has found out that it is late.
var errLate = &Denial{Code: verdict.GatewayOverdue, Detail: "the check took longer than its budget", RetryAfter: aMoment}

// overdue is errLate with what there is to say about it.
func overdue(stage string, budget time.Duration) error {
	d := *errLate
	d.Detail = "the stage " + stage + " took longer than its budget of " + budget.String()
	return &d
}

// within returns a context that ends with the budget of the stage at hand. stop
// is called when nobody needs it any more.
func (x *Exchange) within() (ctx context.Context, stop func()) {
	if x.until.IsZero() {
		return x.Request.Context(), func() {}
	}
	p := &patience{Context: x.Request.Context(), until: x.until}
	return p, p.stop
}

// patience is a context with a deadline, whose timer is there only for who waits
// for it: most stages that might wait have what they need at hand.
type patience struct {
	context.Context
	until time.Time

	once  sync.Once
	timed context.Context
	end   context.CancelFunc
}

func (p *patience) wait() context.Context {
	p.once.Do(func() { p.timed, p.end = context.WithDeadline(p.Context, p.until) })
	return p.timed
}

// Deadline returns the budget's end, or that of the request if it is earlier.
func (p *patience) Deadline() (time.Time, bool) {
	if own, ok := p.Context.Deadline(); ok && own.Before(p.until) {
		return own, true
	}
	return p.until, true
}

// Done is closed when the budget is used up.
func (p *patience) Done() <-chan struct{} { return p.wait().Done() }

// Err says whether that has happened.
func (p *patience) Err() error { return p.wait().Err() }

// stop lets go of the timer. Who keeps the context waits for the request.
func (p *patience) stop() {
	p.once.Do(func() { p.timed, p.end = p.Context, func() {} })
	p.end()
}
