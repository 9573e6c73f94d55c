// Package release takes a revision from stage to stage, and traffic to it step
// by step.
//
// Start with [New], one [Release] for each stage of a GitSource (one in all when
// it has none). [Release.Enter] asks the gates whether a revision may be applied
// in the stage; [Release.Propose] and [Release.Promote] are how a person lets it
// in, by a signed statement that counts once. [Release.Begin] is called before a
// revision is applied and [Release.Tick] again and again afterwards: they move
// traffic to the new revisions of Knative Services and KServe InferenceServices,
// and back when one fails.
//
// While traffic moves it is not Git that says where to, so that its fields are
// owned here: [Release.Hold] wraps the target and [Release.Keep] the healer,
// which then apply and restore the promoted values, whoever writes others.
//
// What is decided is remembered in a signed record in the target's store, before
// it is done. Every step looks at the world and can be repeated: a process that
// is killed anywhere leaves a record from which the next Tick goes on.
//
// Sources: in-toto Attestation Framework v1 (Statement), Knative Serving API v1
// (TrafficTarget), KServe "Canary Rollout Strategy", Prometheus HTTP API v1.
package release

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"sync"
	"sync/atomic"
	"time"

	"github.com/apexlogic/apex/api/v1alpha1"
	"github.com/apexlogic/apex/internal/clock"
	"github.com/apexlogic/apex/internal/gitops"
	"github.com/apexlogic/apex/internal/gitops/apply"
	"github.com/apexlogic/apex/internal/trust"
	"github.com/apexlogic/apex/verdict"
)

// Config is what a release needs. Source, Target, Store, Sign, Verify and Applied
// have to be given; a stage with After needs Trust, Before and Verdicts too.
type Config struct {
	// Source is the GitSource's name.
	Source string
	// Stage is nil for a source without stages.
	Stage *v1alpha1.GitStage
	// Canary is nil when traffic moves at once.
	Canary *v1alpha1.GitCanary

	// Target and Store are the stage's own. Release writes to Target directly,
	// not through what [Release.Hold] returns.
	Target gitops.Target
	Store  gitops.Store
	// Sign and Verify protect the record, see [gitops.Records].
	Sign   func(ctx context.Context, message []byte) ([]byte, error)
	Verify func(ctx context.Context, message, signature []byte) error
	// Keeper hears of each object that is written; the healer. May be nil.
	Keeper apply.Keeper

	// Trust is compiled from the TrustRoot entries with the use Promotions.
	Trust *trust.Root
	// Owner is the person or team behind an entry; nil, or "": the entry itself.
	Owner func(entry string) string
	// Before says how the stage before stands: its [Release.Look].
	Before func(ctx context.Context) (Standing, error)
	// Verdicts judges all that a revision would deploy, with the policies of now.
	Verdicts func(ctx context.Context, r apply.Revision, set *gitops.Set) (verdict.Report, error)
	// Applied says what the stage is to hold, and whether it does so whole; Health what of it
	// does not do what it is there for; Look needs it.
	Applied func(ctx context.Context) (r apply.Revision, whole bool, err error)
	Health  func(ctx context.Context) ([]apply.Unhealthy, error)

	// Measure answers a metric. Nil: the metric's server is asked, through HTTP
	// (nil: a client of its own).
	Measure func(ctx context.Context, s Sample) (float64, error)
	HTTP    *http.Client
	// Record writes a journal's entry to the ledger. It is called at least once
	// for each, in order. May be nil.
	Record func(ctx context.Context, e Entry) error

	Clock clock.Clock
	// Checkpoint is called with the name of each point between two writes; tests
	// end the process there. May be nil.
	Checkpoint func(name string)
}

// Release is one stage at work. It is safe for concurrent use.
type Release struct {
	c       Config
	name    string // of the source in the stage: the label's value
	key     string // of the record in the store
	records gitops.Records
	plan    plan
	owned   atomic.Pointer[[]Field]

	mu     sync.Mutex // one at a time changes the record
	loaded loadedSet
}

// loadedSet is the last set that was read from the store.
type loadedSet struct {
	digest verdict.Digest
	byID   map[gitops.ID]*gitops.Object
}

// New checks the configuration and reads the record. A record that Apex did not
// write is a [Refusal] with the code [verdict.ReleaseState].
func New(ctx context.Context, c Config) (*Release, error) {
	if c.Target == nil || c.Store == nil || c.Sign == nil || c.Verify == nil || c.Applied == nil {
		return nil, errors.New("release: a target, a store, and functions that sign, verify and say what is applied are needed")
	}
	if c.Clock == nil {
		c.Clock = clock.System{}
	}
	if c.Checkpoint == nil {
		c.Checkpoint = func(string) {}
	}
	if c.Keeper == nil {
		c.Keeper = nobody{}
	}
	if c.Measure == nil {
		c.Measure = prometheus(c.HTTP)
	}
	r := &Release{c: c, records: gitops.Records{Purpose: recordPurpose, Most: maxRecord, Sign: c.Sign, Verify: c.Verify}}
	var err error
	if r.name, err = NameIn(c.Source, c.stage()); err != nil {
		return nil, fmt.Errorf("release: %w", err)
	}
	r.key = recordName(r.name)
	if r.gated() && (c.Trust == nil || c.Before == nil || c.Verdicts == nil) {
		return nil, fmt.Errorf("release: stage %s comes after %s: a trust root, the stage before and verdicts are needed", c.Stage.Name, c.Stage.After)
	}
	if r.plan, err = readPlan(c.Canary); err != nil {
		return nil, fmt.Errorf("release: canary: %w", err)
	}
	if r.gated() && c.Stage.Gate != nil {
		for i := range c.Stage.Gate.Metrics {
			if _, err := readBounds(&c.Stage.Gate.Metrics[i]); err != nil {
				return nil, fmt.Errorf("release: stage %s: metrics[%d]: %w", c.Stage.Name, i, err)
			}
		}
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	_, err = r.load(ctx)
	return r, err
}

type nobody struct{}

func (nobody) Desire(*gitops.Object) error          { return nil }
func (nobody) Resume(*gitops.Object) error          { return nil }
func (nobody) Applied(*gitops.Object, *gitops.Live) {}
func (nobody) Forget(gitops.ID)                     {}

func (c *Config) stage() string {
	if c.Stage == nil {
		return ""
	}
	return c.Stage.Name
}

// gated says whether a revision has to be promoted.
func (r *Release) gated() bool { return r.c.Stage != nil && r.c.Stage.After != "" }

// Name is what the source is called in this stage: the value of
// [gitops.LabelSource] and the name that the apply room gets.
func (r *Release) Name() string { return r.name }

func (r *Release) now() time.Time { return r.c.Clock.Now().UTC() }

// Refusal is a decision against something. Trying the same again changes nothing
// while the world is the same.
type Refusal struct {
	Code verdict.Code
	Why  string
}

// Error returns "code: why. What to do".
func (r *Refusal) Error() string {
	return fmt.Sprintf("%s: %s. %s", r.Code, r.Why, r.Code.Info().Mend)
}

func refuse(code verdict.Code, format string, args ...any) *Refusal {
	return &Refusal{Code: code, Why: clip(fmt.Sprintf(format, args...))}
}

// maxWhy keeps what others wrote from filling the record.
const maxWhy = 300

func clip(s string) string {
	if len(s) <= maxWhy {
		return s
	}
	return s[:maxWhy] + "…"
}
