// Package apply makes a target hold what a set says: it plans, applies in order,
// prunes, remembers, and goes back.
//
// Start with [New], [Applier.Plan] and [Applier.Apply]. [Applier.Resume] finishes
// what a killed process left, [Applier.Rollback] returns to the last healthy
// revision from what the [gitops.Store] keeps, with Git unreachable.
//
// A plan is refused as a whole, before anything is written, with a [Refusal]:
// kinds and namespaces that the source may not write, quotas, objects of other
// sources, an empty set, more deletions than a mistake may make, a revision that
// does not follow the accepted one, and whatever the target refuses: each object
// that would be made or changed is tried without effect (a server-side dry run in
// a cluster). What needs a namespace or a definition of the same set is tried as
// soon as those are there, before anything else is written.
//
// A target may still say no to what it said yes to: a quota that thirty objects
// use up together. Then the revision that was held whole last is brought back, in
// the same way as any other is applied, and the journal says why. What the target
// could not answer is gone on with instead. So no revision stays half.
//
// What is done is crash-safe: the intent and everything needed to fulfil it are
// durable before the first object is written, every step can be repeated, and the
// last write of the [State] is what makes it done. A process that is killed at
// any point leaves a state from which Resume, or the next Apply of whatever
// revision, converges; nothing that was made on the way is forgotten, since the
// inventory names objects before they are made.
//
// Order (stages): namespaces, definitions (waited for until they are
// established), access, configuration, workloads, the rest, and admission last: a
// webhook that fails would lock everything before it out. Deletions run in the
// reverse order, after everything else is applied.
package apply

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"sync/atomic"

	"github.com/apexlogic/apex/internal/clock"
	"github.com/apexlogic/apex/internal/gitops"
	"github.com/apexlogic/apex/verdict"
)

// DefaultWorkers write at once. An API server on two cores answers no faster
// with more.
const DefaultWorkers = 16

// Keeper hears of every object before it is written, and what the target
// answered; the healer is one.
type Keeper interface {
	// Desire says what an object is about to look like; Applied follows.
	Desire(o *gitops.Object) error
	// Resume says what an object looks like that was applied before.
	Resume(o *gitops.Object) error
	Applied(o *gitops.Object, live *gitops.Live)
	Forget(id gitops.ID)
}

// Config is what an applier needs. Target, Store, Sign and Verify have to be
// given.
type Config struct {
	Target gitops.Target
	Store  gitops.Store
	// Sign and Verify protect the state, see [gitops.Records].
	Sign   func(ctx context.Context, message []byte) (signature []byte, err error)
	Verify func(ctx context.Context, message, signature []byte) error

	Keeper  Keeper // may be nil
	Workers int    // default DefaultWorkers
	Clock   clock.Clock
	// Checkpoint is called with the name of each point between two writes; tests
	// end the process there. May be nil.
	Checkpoint func(name string)
}

// Applier applies sources to one target. It is safe for concurrent use; of two
// that apply one source at the same time, one gets [gitops.ErrConflict].
type Applier struct {
	target  gitops.Target
	store   gitops.Store
	records gitops.Records
	keeper  Keeper
	workers int
	clock   clock.Clock
	at      func(string)
	// inventory is the one that was read last: a pass asks for it several times,
	// and to parse that of 1,000 objects takes 10 ms.
	inventory atomic.Pointer[inventory]
}

// New returns an applier.
func New(c Config) (*Applier, error) {
	if c.Target == nil || c.Store == nil || c.Sign == nil || c.Verify == nil {
		return nil, errors.New("apply: a target, a store, and functions that sign and verify are needed")
	}
	a := &Applier{target: c.Target, store: c.Store,
		records: gitops.Records{Purpose: "apex gitops state v1", Most: maxState, Sign: c.Sign, Verify: c.Verify},
		keeper:  c.Keeper, workers: c.Workers, clock: c.Clock, at: c.Checkpoint}
	if a.keeper == nil {
		a.keeper = nobody{}
	}
	if a.workers <= 0 {
		a.workers = DefaultWorkers
	}
	if a.clock == nil {
		a.clock = clock.System{}
	}
	if a.at == nil {
		a.at = func(string) {}
	}
	return a, nil
}

type nobody struct{}

func (nobody) Desire(*gitops.Object) error          { return nil }
func (nobody) Resume(*gitops.Object) error          { return nil }
func (nobody) Applied(*gitops.Object, *gitops.Live) {}
func (nobody) Forget(gitops.ID)                     {}

// Refusal is why a revision is not applied. Trying the same again changes
// nothing, unless the target changes.
type Refusal struct {
	Code verdict.Code
	Why  string
	// Objects that it is about, at most maxNamed, and where the first one is.
	Objects []gitops.ID
	Where   verdict.Origin
}

// maxNamed is how many objects a message names: a person mends them one by one.
const maxNamed = 10

// Error returns "code: why: objects: what to do".
func (r *Refusal) Error() string {
	var b strings.Builder
	fmt.Fprintf(&b, "%s: %s", r.Code, r.Reason())
	if at := r.Where.String(); at != "" {
		b.WriteString(" (" + at + ")")
	}
	b.WriteString(". " + r.Code.Info().Mend)
	return b.String()
}

// Reason returns why, and of which objects, without the code, the place and the
// mend.
func (r *Refusal) Reason() string {
	var b strings.Builder
	b.WriteString(r.Why)
	for i, id := range r.Objects {
		b.WriteString([]string{": ", ", "}[min(i, 1)] + id.String())
	}
	return b.String()
}

func refuse(code verdict.Code, format string, args ...any) *Refusal {
	return &Refusal{Code: code, Why: fmt.Sprintf(format, args...)}
}

// about adds an object to the refusal.
func (r *Refusal) about(o *gitops.Object) {
	if len(r.Objects) == 0 {
		r.Where = o.Where
	}
	r.name(o.ID)
}

func (r *Refusal) name(id gitops.ID) {
	if len(r.Objects) < maxNamed {
		r.Objects = append(r.Objects, id)
	}
}
