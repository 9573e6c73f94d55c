package app

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"maps"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/apexlogic/apex/internal/clock"
	"github.com/apexlogic/apex/internal/config"
	"github.com/apexlogic/apex/internal/gitops/source"
	"github.com/apexlogic/apex/internal/meter"
	"github.com/apexlogic/apex/internal/oci"
	"github.com/apexlogic/apex/internal/registry"
	"github.com/apexlogic/apex/verdict"
)

// UpOptions configure [Up].
type UpOptions struct {
	// Dir is the workspace; it is made when it is not there.
	Dir string
	// RegistryAddress and APIAddress are where to listen. Loopback only: what
	// listens here is for this machine. Port 0 takes a free port the first time
	// and the same one again later, because repositories carry it in their
	// names; empty is the default port the first time and the same again later.
	RegistryAddress, APIAddress string
	// GatewayAddress is where the gateway in front of the example's server
	// listens, as above; where the default is taken, empty is a free port.
	GatewayAddress string
	Clock          clock.Clock
	Logger         *slog.Logger
	// Progress is told what the start is doing; it may be nil.
	Progress func(stage string)
	// Verdicts is called with the verdicts of the workspace's workloads: after
	// the start, and whenever another commit is in force.
	Verdicts func(Verdicts)
	// Source is called when the workspace's source stands elsewhere, Drift when
	// something was changed behind Git's back. They may be nil.
	Source func(source.Status)
	Drift  func(source.Drift)
	// Once ends after the first verdicts.
	Once bool
}

// Where a new workspace's registry, API and gateway listen.
const (
	DefaultRegistryAddress = "127.0.0.1:5011"
	DefaultAPIAddress      = "127.0.0.1:8011"
	DefaultGatewayAddress  = "127.0.0.1:8012"
)

// Verdicts are the verdicts of a workspace's workloads at one commit.
type Verdicts struct {
	Workspace string
	Commit    string
	Registry  string
	API       string
	Gateway   string
	Report    verdict.Report
}

const (
	// headInterval is how often the repository's head is looked at: a
	// revocation that is committed is in force within a second.
	headInterval = 300 * time.Millisecond
	// usageInterval is how often units go to the ledger.
	usageInterval = 10 * time.Second
	// retryInterval is how long a background task that failed waits.
	retryInterval = 5 * time.Second
	// shutdownLimit bounds how long requests under way may take to end.
	shutdownLimit = 5 * time.Second
	// roleUp names the ledger and the meter of apex up.
	roleUp = "up"
)

// Up runs everything in one process on the workspace until the context ends:
// the registry, the HTTP API, the verifier with its ledger and meter. A second
// call on the same workspace reuses all that the first one made, however that
// one ended. While one runs, another on the same workspace is an error that
// wraps [ErrServed].
func Up(ctx context.Context, o UpOptions) (err error) {
	if o.Clock == nil {
		o.Clock = clock.System{}
	}
	if o.Logger == nil {
		o.Logger = slog.New(slog.DiscardHandler)
	}
	if o.Progress == nil {
		o.Progress = func(string) {}
	}
	routeKlog(o.Logger)
	dir, err := filepath.Abs(o.Dir)
	if err != nil {
		return err
	}
	state := filepath.Join(dir, folderState)
	if err := os.MkdirAll(state, 0o700); err != nil {
		return fmt.Errorf("make workspace %s: %w", dir, err)
	}
	unlock, err := lockWorkspace(dir)
	if err != nil {
		return err
	}
	defer unlock()
	keys, err := openKeyring(filepath.Join(state, "keys"))
	if err != nil {
		return err
	}
	w := Workspace{dir}
	listening, err := w.listen(o)
	if err != nil {
		return err
	}
	defer listening.close()
	at := listening.endpoints()

	o.Progress("reading the workspace")
	if w, err = makeWorkspace(ctx, dir, at, keys); err != nil {
		return fmt.Errorf("make workspace %s: %w", dir, err)
	}
	o.Progress("opening the ledger")
	engine, err := OpenEngine(ctx, EngineOptions{
		State: state, Role: roleUp,
		AllowPrivate: []string{at.Registry}, PlainHTTP: []string{at.Registry},
		Keychain: w.Keychain(oci.DockerKeychain()), Clock: o.Clock, Logger: o.Logger, KeepInventories: true,
	})
	if err != nil {
		return err
	}
	ctx, stop := context.WithCancel(ctx)
	var background sync.WaitGroup
	var deployed *source.Source
	var u *up
	defer func() {
		stop()
		// Our own idle connections would keep the registry's server waiting.
		engine.Registry.Close()
		background.Wait()
		if deployed != nil {
			err = errors.Join(err, deployed.Close())
		}
		if u != nil && u.gateway != nil {
			err = errors.Join(err, u.gateway.close(context.WithoutCancel(ctx)))
		}
		err = errors.Join(err, engine.Close(context.WithoutCancel(ctx)))
	}()

	local, err := registry.New(registry.Options{Dir: filepath.Join(state, "registry"), Clock: o.Clock, Logger: o.Logger})
	if err != nil {
		return err
	}
	u = &up{o: o, workspace: w, engine: engine, local: local, at: at}
	token, err := apiToken(state)
	if err == nil {
		err = u.openGateway(ctx, listening.gateway)
	}
	if err != nil {
		return errors.Join(err, local.Close())
	}
	var serving sync.WaitGroup
	serve(ctx, &serving, registry.Server(local), listening.registry, &u.registryDown)
	serve(ctx, &serving, apiServer(u.handler(token)), listening.api, &u.apiDown)
	background.Go(func() {
		serving.Wait()
		if err := local.Close(); err != nil {
			o.Logger.Warn("close the registry", "err", err)
		}
	})
	u.keep(ctx, &background, &u.unsealed, "sealing the ledger", engine.Ledger.Run)
	u.keep(ctx, &background, &u.unmetered, "recording usage", func(ctx context.Context) error {
		return engine.Meter.Run(ctx, usageSink{engine.Ledger}, usageInterval, o.Logger)
	})

	o.Progress("stocking the registry with the example's images")
	last, err := w.readStock()
	if err != nil {
		return err
	}
	now, err := stock(ctx, engine.Registry, at.Registry, keys, last, o.Clock.Now())
	if err != nil {
		return err
	}
	if now != last {
		if err := w.writeStock(now); err != nil {
			return err
		}
	}
	o.Progress("verifying the workloads")
	if err := u.follow(ctx); err != nil {
		return err
	}
	o.Progress("applying what is deployed")
	if deployed, err = u.openSource(ctx, keys); err != nil {
		if ctx.Err() != nil {
			return nil // told to end
		}
		return err
	}
	u.source = deployed
	if o.Once {
		if err := u.broken.Load(); err != nil {
			return err // nothing was decided then
		}
		return u.applyOnce(ctx)
	}
	u.serveExample(ctx, &background, listening.captioner)
	u.keep(ctx, &background, &u.unfollowed, "following the workspace's source", deployed.Run)
	tick := time.NewTicker(headInterval)
	defer tick.Stop()
	for {
		select {
		case <-tick.C:
			u.unread.Store(u.follow(ctx))
		case <-ctx.Done():
			return nil
		}
	}
}

// serve runs a server until the context ends, and lets requests under way end.
func serve(ctx context.Context, background *sync.WaitGroup, s *http.Server, l net.Listener, down *failure) {
	background.Go(func() {
		if err := s.Serve(l); err != nil && !errors.Is(err, http.ErrServerClosed) {
			down.Store(fmt.Errorf("the listener on %s stopped: %w", l.Addr(), err))
		}
	})
	background.Go(func() {
		<-ctx.Done()
		ending, cancel := context.WithTimeout(context.WithoutCancel(ctx), shutdownLimit)
		defer cancel()
		if err := s.Shutdown(ending); err != nil {
			s.Close()
		}
	})
}

// up is the running process.
type up struct {
	o         UpOptions
	workspace Workspace
	engine    *Engine
	local     *registry.Registry
	at        endpoints
	gateway   *runningGateway

	source *source.Source // nil at the start

	mu     sync.Mutex
	commit string

	// What is wrong at the moment, part by part.
	unread                failure // the repository cannot be read
	broken                failure // the commit at the head cannot be put in force
	registryDown, apiDown failure
	gatewayDown           failure
	captionerDown         failure
	unsealed, unmetered   failure
	unfollowed            failure // the workspace's source
}

// keep runs a task until the context ends, again after it has failed.
func (u *up) keep(ctx context.Context, background *sync.WaitGroup, failed *failure, what string, task func(context.Context) error) {
	background.Go(func() {
		for {
			failed.Store(nil)
			err := task(ctx)
			if ctx.Err() != nil {
				return
			}
			u.o.Logger.Error(what+" failed", "err", err)
			failed.Store(cmp.Or(err, errors.New("it ended")))
			select {
			case <-ctx.Done():
				return
			case <-time.After(retryInterval):
			}
		}
	})
}

// failure is the last error of a background task, for the health of the process.
type failure struct {
	mu  sync.Mutex
	err error
}

func (f *failure) Store(err error) { f.mu.Lock(); f.err = err; f.mu.Unlock() }
func (f *failure) Load() error     { f.mu.Lock(); defer f.mu.Unlock(); return f.err }

// follow puts the repository's head in force when it has moved, and verifies
// the workloads. A commit that cannot be published leaves the one before it in
// force and makes the process unhealthy.
func (u *up) follow(ctx context.Context) error {
	head, err := u.workspace.Head()
	if err != nil {
		return err
	}
	u.mu.Lock()
	defer u.mu.Unlock()
	if head == u.commit {
		return nil
	}
	set, head, err := u.workspace.Load(ctx)
	if err != nil {
		return err
	}
	u.commit = head // also when it is broken: it is not tried again until it moves
	if err := u.engine.Publish(ctx, set); err != nil {
		u.o.Logger.Error("the commit is not in force: its documents are not valid", "commit", head, "err", err)
		u.broken.Store(err)
		return nil
	}
	u.gateway.changed(config.Health{Generation: set.Hash()})
	documents, err := u.workspace.VEX(ctx)
	if err == nil {
		err = u.engine.UseVEX(documents, u.o.Clock.Now())
	}
	if err != nil {
		u.o.Logger.Error("the statements (VEX) of the commit are not in force", "commit", head, "err", err)
		u.broken.Store(err)
		return nil
	}
	u.broken.Store(nil)
	if u.source != nil {
		u.source.Notify()
	}
	report, err := u.verifyWorkloads(ctx)
	if err != nil {
		u.commit = "" // in force, and not told: all of it again at the next look
		return err
	}
	if u.o.Verdicts != nil {
		u.o.Verdicts(Verdicts{Workspace: u.workspace.Dir, Commit: head, Registry: u.at.Registry, API: u.at.API, Gateway: u.at.Gateway, Report: report})
	}
	return nil
}

// openSource opens the workspace's own source.
func (u *up) openSource(ctx context.Context, keys *keyring) (*source.Source, error) {
	if err := u.workspace.makeSource(ctx, keys); err != nil {
		return nil, fmt.Errorf("make the workspace's source: %w", err)
	}
	documents, err := u.workspace.Sources(ctx)
	if err != nil {
		return nil, err
	}
	all, err := u.engine.OpenSource(ctx, SourceOptions{
		Documents: documents, Name: workspaceSource, State: filepath.Join(u.workspace.State(), "gitops"),
		Changed: u.o.Source, Drift: u.o.Drift, Clock: u.o.Clock, Logger: u.o.Logger,
	})
	if err != nil {
		return nil, err
	}
	return all[0], nil // it has no stages
}

// applyOnce applies the head. A commit that is refused is a decision, and no
// failure of the process.
func (u *up) applyOnce(ctx context.Context) error {
	if err := u.source.Resume(ctx); err != nil {
		return err
	}
	if err := u.source.Pass(ctx); err != nil && !errors.As(err, new(*source.Refused)) {
		return err
	}
	return nil
}

func (u *up) verifyWorkloads(ctx context.Context) (verdict.Report, error) {
	files, err := u.workspace.Workloads(ctx)
	if err != nil {
		return verdict.Report{}, err
	}
	var asked Asked
	for _, name := range slices.Sorted(maps.Keys(files)) {
		if !strings.HasSuffix(name, ".yaml") {
			continue
		}
		a := AskManifest(name, files[name])
		asked.Questions = append(asked.Questions, a.Questions...)
		asked.Unresolved = append(asked.Unresolved, a.Unresolved...)
	}
	return u.engine.Ask(ctx, asked), nil
}

// Ask verifies what manifests ask for.
func (e *Engine) Ask(ctx context.Context, a Asked) verdict.Report {
	var notJudged []verdict.Unresolved
	if g := e.Verifier.Generation(); g == nil || len(g.Models()) == 0 {
		notJudged = a.withoutModels()
	}
	report := e.Verifier.Verify(ctx, a.Questions)
	report.Unresolved, report.NotJudged = a.Unresolved, notJudged
	return report
}

var _ meter.Sink = usageSink{}
