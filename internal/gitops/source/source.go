// Package source is one GitSource at work: its repository, the trust in its
// commits, its target, what keeps the target as it is, and the way back.
//
// Start with [Open]. [Source.Run] follows the branch and heals the target until
// its context ends; [Source.Plan], [Source.Pass], [Source.Heal] and
// [Source.Rollback] are the same steps one at a time, for a person. One process
// at a time fetches for a source: its mirror is locked then. Others may ask, and
// roll back: who follows notices.
//
// The rooms beside this one do the work; this one holds their order and hands
// each what it needs. What has to be asked of other floors (verdicts, the ledger,
// a registry) comes in as functions.
package source

import (
	"context"
	"crypto"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"path/filepath"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"github.com/apexlogic/apex/api/v1alpha1"
	"github.com/apexlogic/apex/internal/clock"
	"github.com/apexlogic/apex/internal/gitops"
	"github.com/apexlogic/apex/internal/gitops/apply"
	"github.com/apexlogic/apex/internal/gitops/follow"
	"github.com/apexlogic/apex/internal/gitops/heal"
	"github.com/apexlogic/apex/internal/gitops/release"
	"github.com/apexlogic/apex/internal/gitops/render"
	"github.com/apexlogic/apex/internal/kube"
	"github.com/apexlogic/apex/internal/oci"
	"github.com/apexlogic/apex/internal/oci/reference"
	"github.com/apexlogic/apex/internal/repo"
	"github.com/apexlogic/apex/verdict"
)

// Revision is what the gate is asked about.
type Revision struct {
	Source string
	Commit string
	// Tree holds the files below the source's path, as they were committed.
	Tree fs.FS
	Set  *gitops.Set
}

// What other floors know of a source.
type (
	// Status is where a source stands.
	Status = follow.Status
	// Refused is why a commit is not applied.
	Refused = follow.Refused
	// Event is the record of what became of a commit.
	Event = follow.Event
	// Drift is a change behind Git's back.
	Drift = heal.Report
)

// Options say what a source is made of. Source, TrustRoots, State, Sign, Verify,
// Gate and Record are needed.
type Options struct {
	Source *v1alpha1.GitSource
	// TrustRoots and Revocations are kept beside the target, never in the
	// repository.
	TrustRoots  []v1alpha1.TrustRoot
	Revocations []v1alpha1.Revocation

	// Stage is the one that is opened; nil for a source without stages. Before is
	// the stage before it, open; nil for the first. See [OpenAll].
	Stage  *v1alpha1.GitStage
	Before *Source

	// State is the directory of this source's mirror and embedded target.
	State string
	// Cluster is needed for a target of that kind; System is the namespace of
	// Apex's own records there.
	Cluster *kube.Client
	System  string

	// Sign and Verify protect what is remembered beside the target, see
	// [apply.Config].
	Sign   func(ctx context.Context, message []byte) ([]byte, error)
	Verify func(ctx context.Context, message, signature []byte) error

	// Gate judges all that a revision would deploy.
	Gate func(ctx context.Context, r Revision) (verdict.Report, error)
	// Resolve turns a tag into a digest; nil: manifests have to name digests.
	Resolve func(ctx context.Context, ref reference.Reference) (verdict.Digest, error)
	// Record writes what was decided to the ledger, durably.
	Record func(ctx context.Context, kind string, payload any) error
	// Generation names the policies in force.
	Generation func() string
	// Drift and Changed are told what was found and where the source stands.
	Drift   func(Drift)
	Changed func(Status)
	// Holder says what Apex itself has stopped; nil: nothing.
	Holder heal.Holder
	// Looks says that nothing will be applied: where another process follows the
	// source, the repository is fetched once more beside it.
	Looks bool
	// Remote says how the repository is reached, Registry how those of artifacts
	// are; nil where there are none.
	Remote   repo.RemoteOptions
	Registry *oci.Client
	// Publisher signs the artifacts of a source that publishes; Published is told
	// what became of each try, and may be nil.
	Publisher crypto.Signer
	Published func(Publication)

	Clock  clock.Clock
	Logger *slog.Logger

	// named and owned say whether a commit names the object, for targets that
	// belong to Apex alone or where what marks an object can be taken off it;
	// foreign is told of what none names.
	named   func(gitops.ID) (bool, error)
	owned   func(gitops.ID) bool
	foreign func(path string, removed bool)
	kept    func(context.Context, gitops.ID) ([]gitops.Object, error)
}

// The types of records.
const (
	RecordRevision = "apex.gitops.revision/v1"
	RecordDrift    = "apex.gitops.drift/v1"
	RecordRollback = "apex.gitops.rollback/v1"
	RecordArtifact = "apex.gitops.artifact/v1" // what was published
)

// DefaultInterval is how often a branch is looked at, when the source does not say.
const DefaultInterval = 15 * time.Second

// stateInterval is how often what is remembered is looked at: whether another
// process has rolled back, and whether what was applied is healthy by now.
const stateInterval = time.Second

// deadAfter is how long another process may take over what it has begun until it
// is taken up here: a stage of the largest sets.
const deadAfter = time.Minute

// Source is a source at work. It is safe for concurrent use.
type Source struct {
	o        Options
	spec     *v1alpha1.GitSourceSpec
	name     string
	origin   origin
	trust    *trusted
	place    place
	applier  *apply.Applier
	healer   *heal.Healer
	release  *release.Release // nil without stages and a canary
	follower *follow.Follower

	publisher *publishing // nil for a source that does not publish

	ready   atomic.Bool   // the healer knows what is desired
	counter atomic.Uint64 // of the state that it knows

	rendered *render.Cache // what kustomizations were built to

	mu       sync.Mutex
	proofs   map[string]proof // by commit
	warnings []render.Warning // of the revision that was rendered last
}

// renderedBytes is room for builds of 10,000 objects of 3 KB, twice.
const renderedBytes = 64 << 20

// Warnings are what a person should mend in the revision that was rendered last.
func (s *Source) Warnings() []render.Warning {
	s.mu.Lock()
	defer s.mu.Unlock()
	return slices.Clone(s.warnings)
}

// proof is what trust found about a commit.
type proof struct {
	after      string // what it was proved to descend from
	memory     json.RawMessage
	authors    []string // owners who signed what is new
	allowPrune bool
}

// Open opens the source: its mirror, its target and what that remembers. Nothing
// is fetched or written yet.
func Open(ctx context.Context, o Options) (_ *Source, err error) {
	if o.Clock == nil {
		o.Clock = clock.System{}
	}
	if o.Logger == nil {
		o.Logger = slog.New(slog.DiscardHandler)
	}
	s := &Source{o: o, spec: &o.Source.Spec, name: o.Source.Name, proofs: map[string]proof{}, rendered: render.NewCache(renderedBytes)}
	if o.Stage != nil {
		if s.name, err = release.NameIn(o.Source.Name, o.Stage.Name); err != nil {
			return nil, fmt.Errorf("source %s: %w", o.Source.Name, err)
		}
		s.spec = stageOf(s.spec, o.Stage)
		s.o.State = filepath.Join(o.State, o.Stage.Name)
		o.State = s.o.State
	}
	defer func() {
		if err != nil {
			err = errors.Join(fmt.Errorf("source %s: %w", s.name, err), s.Close())
		}
	}()
	if err := gitops.CheckSource(s.name); err != nil {
		return nil, err
	}
	if s.trust, err = compileTrust(&o); err != nil {
		return nil, err
	}
	if s.origin, err = s.openOrigin(); err != nil {
		return nil, err
	}
	o.named, o.owned, o.foreign, o.kept = s.named, s.owned, s.foreign, s.kept
	if s.place, err = o.open(ctx, s.name, &s.spec.Target); err != nil {
		return nil, err
	}
	keeper := &late{}
	target, err := s.releasing(ctx, keeper)
	if err != nil {
		return nil, err
	}
	s.healer, err = heal.New(heal.Config{
		Target: target, Source: s.name, Heal: s.spec.Heal, Holder: o.Holder, Report: s.drift, Clock: o.Clock, Log: o.Logger,
	})
	if err != nil {
		return nil, err
	}
	keeper.Keeper = s.healer
	kept := apply.Keeper(s.healer)
	if s.release != nil {
		kept = s.release.Keep(s.healer)
	}
	s.applier, err = apply.New(apply.Config{
		Target: o.holding(target), Store: s.place.store, Sign: o.Sign, Verify: o.Verify, Keeper: kept, Clock: o.Clock,
	})
	if err != nil {
		return nil, err
	}
	if s.publisher, err = s.openPublisher(); err != nil {
		return nil, err
	}
	interval := DefaultInterval
	if s.spec.Interval != nil {
		interval = s.spec.Interval.Duration
	}
	s.follower = follow.New(follow.Steps{
		Fetch: s.next, Trust: s.verify, Render: s.render, Gate: s.judged, Apply: s.apply, Applied: s.held, Record: s.record,
	}, follow.Options{
		Source: s.name, Interval: interval, Generation: o.Generation, Changed: o.Changed, Clock: o.Clock, Logger: o.Logger,
	})
	return s, nil
}

// errNotReady keeps what is not known to be foreign: nothing is removed before
// what is desired is known.
var errNotReady = errors.New("what is applied is not taken up yet")

func (s *Source) named(id gitops.ID) (bool, error) {
	if !s.ready.Load() {
		return false, errNotReady
	}
	return s.healer.Desires(id), nil
}

func (s *Source) owned(id gitops.ID) bool { return s.ready.Load() && s.healer.Desires(id) }

// kept returns the object as it is in each revision that may be gone back to.
func (s *Source) kept(ctx context.Context, id gitops.ID) (all []gitops.Object, err error) {
	state, err := s.applier.Load(ctx, s.name)
	if err != nil {
		return nil, err
	}
	seen := map[verdict.Digest]bool{"": true}
	for _, r := range append(slices.Clone(state.Good), state.Applied, state.Current) {
		if seen[r.Set] {
			continue
		}
		seen[r.Set] = true
		data, err := s.place.store.GetSet(ctx, r.Set)
		if err != nil {
			return nil, err
		}
		set, err := gitops.ReadSet(data)
		if err != nil {
			return nil, err
		}
		for _, o := range set.Objects() {
			if o.ID == id {
				all = append(all, o)
			}
		}
	}
	return all, nil
}

func (s *Source) foreign(path string, removed bool) {
	if removed {
		s.drift(heal.Report{Code: verdict.DriftHealed, ID: gitops.ID{Kind: "File", Name: path}, At: s.o.Clock.Now(), Changes: []heal.Change{{What: heal.Added, Path: "/"}}})
	}
}

// Close releases the mirror and the target.
func (s *Source) Close() error {
	var errs []error
	if s.origin != nil {
		errs = append(errs, s.origin.close())
	}
	if s.place.close != nil {
		errs = append(errs, s.place.close())
	}
	return errors.Join(errs...)
}

// Name is the GitSource's name.
func (s *Source) Name() string { return s.name }

// Stage is the stage's name, "" for a source without stages.
func (s *Source) Stage() string {
	if s.o.Stage == nil {
		return ""
	}
	return s.o.Stage.Name
}

// Status is where the source stands.
func (s *Source) Status() Status { return s.follower.Status() }

// State is what the target remembers.
func (s *Source) State(ctx context.Context) (*apply.State, error) { return s.applier.Load(ctx, s.name) }

// Healer keeps the target as it is desired.
func (s *Source) Healer() *heal.Healer { return s.healer }

// Notify makes Run look at the branch now.
func (s *Source) Notify() { s.follower.Notify() }

// Pass looks at the branch once and applies what it may; see
// [follow.Follower.Pass]. What is applied is published, which may fail without
// changing that it is applied; see [Source.Publication].
func (s *Source) Pass(ctx context.Context) error {
	err := s.follower.Pass(ctx)
	s.publish(ctx)
	return err
}

// Plan says what the branch's newest commit would change, without a write. The
// error is a [*follow.Refused] when it may not be applied.
func (s *Source) Plan(ctx context.Context) (*apply.Plan, error) {
	head, err := s.next(ctx)
	if err != nil {
		return nil, err
	}
	if err := s.verify(ctx, head); err != nil {
		return nil, err
	}
	set, err := s.render(ctx, head)
	if err != nil {
		return nil, err
	}
	report, err := s.judged(ctx, head, set)
	if err == nil {
		err = follow.Judge(&report)
	}
	if err != nil {
		return nil, err
	}
	plan, err := s.plan(ctx, head, set, apply.LookAll)
	return plan, refusal(err)
}

// Diff says how the target differs from what is applied: the plan of applying it
// again.
func (s *Source) Diff(ctx context.Context) (*apply.Plan, error) {
	state, err := s.applier.Load(ctx, s.name)
	if err != nil {
		return nil, err
	}
	if state.Current.Set == "" {
		return nil, fmt.Errorf("nothing of source %s is applied yet", s.name)
	}
	data, err := s.place.store.GetSet(ctx, state.Current.Set)
	if err != nil {
		return nil, err
	}
	set, err := gitops.ReadSet(data)
	if err != nil {
		return nil, err
	}
	return s.applier.Plan(ctx, apply.Request{Source: s.limits(), Set: set, Commit: state.Current.Commit, After: state.Accepted.Commit, Look: apply.LookAll})
}
