package release

import (
	"context"
	"fmt"
	"time"

	"github.com/apexlogic/apex/api/v1alpha1"
	"github.com/apexlogic/apex/verdict"
)

// GateState says whether a gate lets a revision through.
type GateState uint8

// The states. The zero value is the closed one.
const (
	Closed  GateState = iota // something has to be mended first
	Waiting                  // it opens by itself, or when a person does something
	Open
)

// String returns the state's name.
func (s GateState) String() string {
	return [...]string{"closed", "waiting", "open"}[min(s, Open)]
}

// Result is what one gate says.
type Result struct {
	Gate  string       `json:"gate"`
	State GateState    `json:"state"`
	Code  verdict.Code `json:"code"` // [verdict.OK] when it is open
	Why   string       `json:"why,omitempty"`
	// Until is when a waiting gate opens by itself at the earliest; zero: when
	// something else happens.
	Until time.Time `json:"until,omitzero"`
}

func open() Result { return Result{State: Open, Code: verdict.OK} }

func closed(code verdict.Code, format string, args ...any) Result {
	return Result{State: Closed, Code: code, Why: clip(fmt.Sprintf(format, args...))}
}

func waiting(code verdict.Code, until time.Time, format string, args ...any) Result {
	return Result{State: Waiting, Code: code, Until: until, Why: clip(fmt.Sprintf(format, args...))}
}

// question is what the gates of one candidate are asked with.
type question struct {
	r    *Release
	c    *Candidate
	s    *record
	now  time.Time
	gate *v1alpha1.GitGate // nil: the stage adds nothing to what always holds

	before    *Standing // of the stage before, asked once
	beforeErr error
}

// standing is how the stage before stands.
func (q *question) standing(ctx context.Context) (*Standing, error) {
	if q.before == nil && q.beforeErr == nil {
		s, err := q.r.c.Before(ctx)
		q.before, q.beforeErr = &s, err
	}
	return q.before, q.beforeErr
}

// gate is one line of the table: one file, one condition.
type gate struct {
	name  string
	asked func(*v1alpha1.GitGate) bool
	check func(context.Context, *question) Result
}

// gates is the table, the cheapest first. A new one needs its file and its line.
func gates() []gate {
	always := func(*v1alpha1.GitGate) bool { return true }
	return []gate{
		{"freeze", func(g *v1alpha1.GitGate) bool { return g != nil && len(g.Freeze) > 0 }, freezeGate},
		{"approvals", always, approvalsGate},
		{"stage", always, stageGate},
		{"health", always, healthGate},
		{"soak", func(g *v1alpha1.GitGate) bool { return g != nil && g.Soak != nil }, soakGate},
		{"metrics", func(g *v1alpha1.GitGate) bool { return g != nil && len(g.Metrics) > 0 }, metricsGate},
		{"verdicts", always, verdictsGate},
	}
}
