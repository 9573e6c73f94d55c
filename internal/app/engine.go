// Package app wires the rooms to roles. Start with [OpenEngine], which gives a
// command what it needs to verify, and with [Up], the whole of Apex in one
// process. Only this package and cmd/apex know all rooms.
package app

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"time"

	"github.com/apexlogic/apex/internal/admission"
	"github.com/apexlogic/apex/internal/clock"
	"github.com/apexlogic/apex/internal/config"
	"github.com/apexlogic/apex/internal/fact"
	"github.com/apexlogic/apex/internal/image"
	"github.com/apexlogic/apex/internal/ledger"
	"github.com/apexlogic/apex/internal/meter"
	"github.com/apexlogic/apex/internal/model/artifact"
	"github.com/apexlogic/apex/internal/oci"
	"github.com/apexlogic/apex/internal/policy"
	"github.com/apexlogic/apex/internal/store"
	"github.com/apexlogic/apex/internal/verify"
)

// EngineOptions say what an engine is made of. State and Role are needed.
type EngineOptions struct {
	// State is the directory for the ledger, the meter and the caches.
	State string
	// Role names this process's own ledger and meter below State: "cli" or "up".
	Role string
	// AllowPrivate and PlainHTTP are the registry client's, see [oci.Options].
	AllowPrivate, PlainHTTP []string
	Keychain                oci.Keychain
	// Reports are vulnerability reports that a person hands in.
	Reports  []fact.Report
	Deadline time.Duration
	// Recheck is how old evidence may be when it leads to a denial; see
	// [verify.Options]. A door that is asked again right after something was
	// signed needs it short.
	Recheck time.Duration
	// Advisories is the directory of advisories; "" is below [StateDir]. Several
	// workspaces share it.
	Advisories string
	// Version of the program, for reports of the built-in matcher.
	Version string
	// KeepInventories makes and keeps an inventory of every image that is admitted.
	KeepInventories bool
	// WithoutCache keeps facts and verdicts in memory only.
	WithoutCache bool
	Clock        clock.Clock
	Logger       *slog.Logger
}

// Engine is a verifier with its ledger, meter and registry client.
type Engine struct {
	Verifier *verify.Verifier
	Registry *oci.Client
	Ledger   *ledger.Ledger
	Meter    *meter.Meter
	Matcher  *Matcher

	cache     *store.DB
	publisher *config.Publisher
	part      config.Part[*verify.Generation]
	clock     clock.Clock
	log       *slog.Logger
}

// lockWait is how long one command waits for another that writes to the same ledger.
const lockWait = 10 * time.Second

// OpenEngine opens the ledger and the meter of the role below State.
func OpenEngine(ctx context.Context, o EngineOptions) (_ *Engine, err error) {
	if o.Clock == nil {
		o.Clock = clock.System{}
	}
	if o.Logger == nil {
		o.Logger = slog.New(slog.DiscardHandler)
	}
	e := &Engine{clock: o.Clock, log: o.Logger}
	defer func() {
		if err != nil {
			err = errors.Join(err, e.Close(context.WithoutCancel(ctx)))
		}
	}()
	e.Ledger, err = ledger.Open(ctx, filepath.Join(o.State, "ledger", o.Role), ledger.Options{
		Origin: "apex/" + o.Role, Clock: o.Clock, Logger: o.Logger, LockWait: lockWait,
	})
	if err != nil {
		return nil, err
	}
	e.Meter, err = meter.Open(ctx, filepath.Join(o.State, "meter", o.Role), o.Clock, usageSink{e.Ledger})
	if err != nil && e.Meter == nil {
		return nil, err
	}
	if err != nil {
		o.Logger.Warn("usage of an earlier process is not recorded yet", "err", err)
	}
	requests := e.Meter.Handle(meter.Key{Control: verify.Control, Unit: "requests"})
	bytes := e.Meter.Handle(meter.Key{Control: verify.Control, Unit: "bytes"})
	e.Registry, err = oci.New(oci.Options{
		AllowPrivate: o.AllowPrivate, PlainHTTP: o.PlainHTTP, Keychain: o.Keychain, Clock: o.Clock,
		Meter: func(n, b int64) {
			requests.Add(uint64(max(0, n)))
			bytes.Add(uint64(max(0, b)))
		},
	})
	if err != nil {
		return nil, err
	}
	if e.Matcher, err = openMatcher(e.Registry, &o); err != nil {
		return nil, err
	}
	disk, err := e.openCache(ctx, o)
	if err != nil {
		return nil, err
	}
	e.Verifier, err = verify.New(verify.Options{
		Store:     disk,
		Inspector: image.New(e.Registry, o.Clock),
		Models:    artifact.New(e.Registry, o.Clock),
		Matcher:   e.Matcher,
		Recorder:  recorder{e.Ledger},
		Clock:     o.Clock, Logger: o.Logger, Meter: e.Meter,
		Deadline: o.Deadline, Recheck: o.Recheck, Reports: o.Reports,
	})
	if err != nil {
		return nil, err
	}
	e.publisher = config.NewPublisher(o.Clock)
	e.part = config.Register(e.publisher, "verify", func(s *config.Set) (*verify.Generation, error) {
		return verify.Compile(s.Hash(), Documents(s), o.Clock.Now())
	})
	return e, nil
}

// openCache opens what is kept between processes. The key beside the database
// is what its entries are believed by; nil means that nothing is kept.
func (e *Engine) openCache(ctx context.Context, o EngineOptions) (verify.Store, error) {
	if o.WithoutCache {
		return nil, nil
	}
	key, err := secret(filepath.Join(o.State, "cache.key"))
	if err != nil {
		return nil, err
	}
	if e.cache, err = store.Open(ctx, "sqlite:"+filepath.Join(o.State, "cache.db")); err != nil {
		return nil, err
	}
	return verify.OpenDisk(ctx, e.cache, []byte(key), o.Clock, o.Logger)
}

// Publish puts the documents in force, or says why they cannot be; what was in
// force before stays then, but for what the documents revoke.
func (e *Engine) Publish(ctx context.Context, s *config.Set) error {
	_, err := e.Bring(ctx, s)
	return err
}

// Bring is Publish that also returns what it brought into force: nil with an error
// that changed nothing.
func (e *Engine) Bring(ctx context.Context, s *config.Set) (*config.Generation, error) {
	g, err := e.publisher.Publish(ctx, s)
	if g == nil {
		return nil, err
	}
	compiled, ok := e.part.Of(g)
	if !ok {
		return nil, errors.Join(err, errors.New("the generation holds no compiled policies"))
	}
	for _, p := range compiled.Problems() {
		e.log.Warn("a document does not do what it says", "kind", p.Kind, "name", p.Name, "code", p.Code, "detail", p.Detail)
	}
	e.Verifier.Use(compiled)
	return g, err
}

// Close flushes the meter and closes the ledger.
func (e *Engine) Close(ctx context.Context) error {
	var errs []error
	if e.Matcher != nil {
		e.Matcher.Close()
	}
	if e.Registry != nil {
		e.Registry.Close()
	}
	if e.Meter != nil {
		errs = append(errs, e.Meter.Close(ctx, usageSink{e.Ledger}))
	}
	if e.Ledger != nil {
		errs = append(errs, e.Ledger.Close())
	}
	if e.cache != nil {
		errs = append(errs, e.cache.Close())
	}
	return errors.Join(errs...)
}

// Documents takes the documents out of their positions.
func Documents(s *config.Set) policy.Documents {
	return policy.Documents{
		Policies:    specs(s.ImageSecurityPolicies),
		Models:      specs(s.ModelSecurityPolicies),
		Functions:   specs(s.FunctionSecurityPolicies),
		TrustRoots:  specs(s.TrustRoots),
		Exceptions:  specs(s.PolicyExceptions),
		Revocations: specs(s.Revocations),
		Locks:       specs(s.BaseImageLocks),
	}
}

// recorder writes verdicts to the ledger.
type recorder struct{ ledger *ledger.Ledger }

func (r recorder) Record(ctx context.Context, kind string, payload []byte, durable bool) (string, error) {
	d := ledger.Written
	if durable {
		d = ledger.Durable
	}
	if admission.DryRun(ctx) {
		return "", nil // nothing will be stored, so nothing was decided
	}
	receipt, err := r.ledger.Append(ctx, ledger.Record{Type: kind, Data: payload}, d)
	if err != nil {
		return "", err
	}
	return receipt.ID.String(), nil
}

// usageSink writes usage to the ledger.
type usageSink struct{ ledger *ledger.Ledger }

func (s usageSink) Use(ctx context.Context, u meter.Usage) error {
	data, err := json.Marshal(u)
	if err != nil {
		return err
	}
	_, err = s.ledger.Append(ctx, ledger.Record{Type: meter.UsageSchema, Data: data}, ledger.Durable)
	return err
}

// StateDir returns the directory for the state of commands that run outside of
// a workspace: $APEX_STATE, else the user's state directory (XDG base
// directory specification).
func StateDir() (string, error) {
	if dir := os.Getenv("APEX_STATE"); dir != "" {
		return dir, nil
	}
	if dir := os.Getenv("XDG_STATE_HOME"); filepath.IsAbs(dir) {
		return filepath.Join(dir, "apex"), nil
	}
	home, err := os.UserHomeDir()
	if err != nil {
		return "", fmt.Errorf("no home directory for the state: %w (set APEX_STATE)", err)
	}
	return filepath.Join(home, ".local", "state", "apex"), nil
}

func specs[T any](objects []config.Object[T]) []T {
	out := make([]T, len(objects))
	for i := range objects {
		out[i] = *objects[i].Value
	}
	return out
}
