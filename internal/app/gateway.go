package app

import (
	"context"
	"errors"
	"log/slog"
	"net"
	"path/filepath"
	"sync"
	"sync/atomic"
	"time"

	"github.com/apexlogic/apex/internal/clock"
	"github.com/apexlogic/apex/internal/config"
	"github.com/apexlogic/apex/internal/gateway"
	"github.com/apexlogic/apex/internal/gateway/capture"
	"github.com/apexlogic/apex/internal/gateway/limit/shared"
	"github.com/apexlogic/apex/internal/gateway/trace"
	"github.com/apexlogic/apex/internal/identity/own"
	"github.com/apexlogic/apex/internal/ledger"
	"github.com/apexlogic/apex/internal/media/inspect"
	"github.com/apexlogic/apex/internal/meter"
)

// GatewayOptions configure [Gateway].
type GatewayOptions struct {
	// Config is the directory with the routes and policies, unless Kube has them
	// read from a cluster.
	Config string
	Kube   KubeSource
	// State is the directory for the ledger, the meter and the authority.
	State string
	// Address to listen on, and HealthAddress for probes. Without an identity of
	// its own or a certificate the gateway listens on loopback only.
	Address, HealthAddress string
	// TrustDomain, when not empty, is that of the built-in authority, of which
	// the gateway takes its own identity.
	TrustDomain string
	// Identity, when it says so, is where the gateway asks for its identity, of
	// TrustDomain, instead of being an authority itself.
	Identity GatewayIdentity
	// Bundles is a directory with the bundles of other trust domains; see [own.Domains].
	Bundles string
	// CertificateFile and KeyFile, when not empty, are what the gateway shows to
	// callers in place of its SPIFFE identity. They are read again when they change.
	CertificateFile, KeyFile string
	// PrivateIssuers are OpenID Connect issuers whose address may be private, and
	// IssuerAuthorities a PEM file with who signs issuers' TLS certificates beside
	// the system's authorities.
	PrivateIssuers    []string
	IssuerAuthorities string
	// ServerAuthorities is a PEM file with who signs the certificates of servers
	// behind routes with tls: Server, beside the system's authorities.
	ServerAuthorities string
	// Models say how the verdicts on models behind routes are found out.
	Models ModelRegistries
	// ExtAuthz is the door for proxies that ask.
	ExtAuthz ExtAuthz
	// AuthZEN is the door for enforcement points.
	AuthZEN AuthZEN
	// Egress is the door for what workloads send out.
	Egress Egress
	// Limits say where several gateways count together.
	Limits SharedLimits
	// BodyMemory is how many bytes the messages under way may hold together, and one
	// caller a quarter of it. Default: half of what the process may have, 512 MiB at most.
	BodyMemory int64
	// Traces say where spans of requests are sent.
	Traces Traces
	// Issuer says where callers get identities of the built-in authority.
	Issuer IssuerOptions
	// Drain is how long requests and streams under way may take to end. Default: 30s.
	Drain  time.Duration
	Clock  clock.Clock
	Logger *slog.Logger
	// Door is called with the name of each door that listens, and Ready once all
	// of them do; they may be nil.
	Door  func(name string, at net.Addr)
	Ready func(address, health net.Addr)
	// Health is called whenever what is in force changes; it may be nil.
	Health func(config.Health)

	within *surroundings // nil: the gateway is a process of its own
}

// surroundings are what a gateway that is a part of a larger process shares with
// it. Whoever made them keeps and closes them, and publishes.
type surroundings struct {
	ledger    *ledger.Ledger
	meter     *meter.Meter
	publisher *config.Publisher
	front     net.Listener // on loopback, in plain text
}

const (
	roleGateway = "gateway"
	// gatewayHeaders bounds the headers of one request: tokens of identity
	// providers have up to 16 KB, and there are up to 100 headers.
	gatewayHeaders = 64 << 10
	headersWithin  = 10 * time.Second
	// frameTakenWithin is how long a caller of HTTP/2 may take nothing of what is
	// sent to it: beside answers there are frames of the connection itself.
	frameTakenWithin = 30 * time.Second
	// gatewayIdle is how long a caller's connection is kept without a request.
	gatewayIdle = 2 * time.Minute
	// defaultDrain is as long as Kubernetes waits by default.
	defaultDrain = 30 * time.Second
)

// running is a gateway with all that it stands on.
type runningGateway struct {
	o        GatewayOptions
	ledger   *ledger.Ledger
	meter    *meter.Meter
	gateway  *gateway.Gateway
	identity *own.Identity // nil without one
	issuer   *issuer       // nil without one
	compiler *gatewayCompiler
	part     config.Part[*gateway.Snapshot]
	access   config.Part[*accessInForce]
	shared   *shared.Store // nil: limits are local
	captures *capture.Store
	traces   *trace.Tracer // nil: there are none
	verdicts *modelVerdicts
	models   config.Part[*modelRules]

	publisher *config.Publisher
	source    documentSource // nil within a larger process
	cluster   *clusterSource // when it is the source
	draining  atomic.Bool
	unknown   atomic.Bool // it has no identity to show, and needs one
}

// Gateway serves the routes of a directory until the context ends, and then
// lets what is under way end. A change of the directory is in force within a
// second; one that cannot be in force changes nothing, and probes say so.
func Gateway(ctx context.Context, o GatewayOptions) (err error) {
	if o.Clock == nil {
		o.Clock = clock.System{}
	}
	if o.Logger == nil {
		o.Logger = slog.New(slog.DiscardHandler)
	}
	if o.Drain <= 0 {
		o.Drain = defaultDrain
	}
	routeKlog(o.Logger)
	g := &runningGateway{o: o}
	defer func() { err = errors.Join(err, g.close(context.WithoutCancel(ctx))) }()
	if err := g.open(ctx); err != nil {
		return err
	}
	return g.run(ctx)
}

// open opens what the gateway stands on.
func (g *runningGateway) open(ctx context.Context) (err error) {
	o := &g.o
	if err := g.openRecords(ctx); err != nil {
		return err
	}
	if g.identity, err = gatewayIdentity(o); err != nil {
		return err
	}
	g.unknown.Store(g.identity != nil && g.identity.CA == nil)
	g.verdicts = &modelVerdicts{g: g, again: make(chan struct{}, 1)}
	limits, err := g.openLimits()
	if err != nil {
		return err
	}
	traces, err := g.openTraces()
	if err != nil {
		return err
	}
	g.gateway = gateway.New(gateway.Options{
		Traces: traces,
		Clock:  o.Clock, Recorder: requestRecorder{g.ledger}, Strangers: requestRecorder{g.ledger}.Strangers, Inspect: inspect.Inspect, Verdicts: g.verdicts, Limits: limits, Bodies: bodyBudget(o.BodyMemory), Log: o.Logger,
	})
	if g.compiler, err = newGatewayCompiler(o, g.identity, g.meter, g.gateway.Current); err != nil {
		return err
	}
	g.captures = g.openCaptures()
	g.compiler.judge, g.compiler.ledger, g.compiler.captures = g.gateway, g.ledger, g.captures
	if g.publisher = config.NewPublisher(o.Clock); !alone(g) {
		g.publisher = o.within.publisher
	}
	g.part = config.Register(g.publisher, "gateway", g.compiler.compile)
	g.access = config.Register(g.publisher, "access", g.compiler.compileAccess)
	g.models = config.Register(g.publisher, "models", g.compileModels)
	if err := g.openIssuer(); err != nil {
		return err
	}
	switch {
	case !alone(g): // who made it publishes
	case o.Kube.Enabled:
		if g.cluster, err = newClusterSource(g); err != nil {
			return err
		}
		g.source = g.cluster
	default:
		g.source = config.NewWatcher(g.publisher, o.Config, g.changed)
	}
	return nil
}

// documentSource has what routes and policies say published, for as long as it runs.
type documentSource interface {
	Run(context.Context) error
	Health() config.Health
}

// openRecords opens the ledger and the meter.
func (g *runningGateway) openRecords(ctx context.Context) (err error) {
	o := &g.o
	if !alone(g) {
		g.ledger, g.meter = o.within.ledger, o.within.meter
		return nil
	}
	g.ledger, err = ledger.Open(ctx, filepath.Join(o.State, "ledger", roleGateway), ledger.Options{
		Origin: "apex/" + roleGateway, Clock: o.Clock, Logger: o.Logger, LockWait: lockWait,
	})
	if err != nil {
		return err
	}
	g.meter, err = meter.Open(ctx, filepath.Join(o.State, "meter", roleGateway), o.Clock, usageSink{g.ledger})
	if err != nil && g.meter == nil {
		return err
	}
	if err != nil {
		o.Logger.Warn("usage of an earlier process is not recorded yet", "err", err)
	}
	return nil
}

// alone says whether the gateway is a process of its own.
func alone(g *runningGateway) bool { return g.o.within == nil }

// changed brings what was published into force.
func (g *runningGateway) changed(h config.Health) {
	if s, ok := g.part.Of(g.publisher.Current()); ok && s != g.gateway.Current() {
		g.compiler.enforce(s, g.gateway.Use)
	}
	if r, ok := g.models.Of(g.publisher.Current()); ok {
		g.verdicts.use(r)
	}
	for i := range h.Problems {
		g.o.Logger.Error("what routes and policies say is not in force: what was before stays, and only revocations count", "problem", h.Problems[i].String(), "generation", h.Generation)
	}
	if g.o.Health != nil {
		g.o.Health(h)
	}
}

// run opens the doors, works until the context ends, and closes them.
func (g *runningGateway) run(ctx context.Context) error {
	open, err := g.openDoors()
	if err != nil {
		return err
	}
	var background sync.WaitGroup
	working, stop := context.WithCancel(context.WithoutCancel(ctx)) // until the last request has ended
	defer background.Wait()
	defer stop()
	for _, t := range tasks {
		if t.asked == nil || t.asked(g) {
			background.Go(func() { g.keep(working, t.name, func(ctx context.Context) error { return t.run(ctx, g) }) })
		}
	}
	ended := make(chan error, len(open))
	for _, d := range open {
		go func() { ended <- d.serve() }()
	}
	g.announce(open)
	var failed error
	select {
	case <-ctx.Done():
	case failed = <-ended:
	}
	g.draining.Store(true)
	ending, cancel := context.WithTimeout(context.WithoutCancel(ctx), g.o.Drain)
	defer cancel()
	g.closeDoors(ending, open)
	return failed
}

// keep runs a background task again when it fails.
func (g *runningGateway) keep(ctx context.Context, what string, run func(context.Context) error) {
	for {
		err := run(ctx)
		if ctx.Err() != nil {
			return
		}
		g.o.Logger.Error(what+" failed", "err", err)
		select {
		case <-ctx.Done():
			return
		case <-time.After(retryInterval):
		}
	}
}

func (g *runningGateway) close(ctx context.Context) error {
	var errs []error
	if g.gateway != nil {
		g.gateway.Use(nil) // closes the connections to servers
	}
	if g.compiler != nil {
		g.compiler.close()
		errs = append(errs, g.compiler.closeEvents(ctx))
	}
	if g.shared != nil {
		errs = append(errs, g.shared.Close())
	}
	if g.meter != nil && alone(g) {
		errs = append(errs, g.meter.Close(ctx, usageSink{g.ledger}))
	}
	if g.identity != nil {
		errs = append(errs, g.identity.Close())
	}
	if g.ledger != nil && alone(g) {
		errs = append(errs, g.ledger.Close())
	}
	return errors.Join(errs...)
}
