package app

import (
	"context"
	"errors"
	"log/slog"
	"net"
	"path/filepath"
	"sync"
	"time"

	"github.com/apexlogic/apex/internal/clock"
	"github.com/apexlogic/apex/internal/config"
	"github.com/apexlogic/apex/internal/identity/ca"
	"github.com/apexlogic/apex/internal/identity/own"
	"github.com/apexlogic/apex/internal/ledger"
	"github.com/apexlogic/apex/internal/meter"
)

// IdentityServerOptions configure [ServeIdentities].
type IdentityServerOptions struct {
	IssuerOptions
	// TrustDomain of the authority, and Registrations the directory with the
	// WorkloadIdentities and Revocations, unless Kube has them read from a cluster,
	// where the authority then publishes its keys; see [Trust].
	TrustDomain, Registrations string
	Kube                       KubeSource
	// GatewayAccount is the service account NAMESPACE/NAME whose Pods are gateways
	// of the trust domain, spiffe://TRUST-DOMAIN/apex/gateway; "" for none.
	GatewayAccount string
	// State is the directory for the authority, the ledger and the meter.
	State string
	// CertificateFile and KeyFile, PrivateIssuers and IssuerAuthorities as in
	// [GatewayOptions].
	CertificateFile, KeyFile string
	PrivateIssuers           []string
	IssuerAuthorities        string
	Clock                    clock.Clock
	Logger                   *slog.Logger
	// Ready is called once it listens; addresses that were not asked for are nil.
	Ready func(socket, exchange net.Addr)
	// InForce is called whenever what is in force changes.
	InForce func(h config.Health, given, revoked, elsewhere int)
}

// Servers are the identities that an exchange may have, below its trust domain.
func Servers() []string { return []string{ownPath, gatewayPath} }

const (
	roleIdentity = "identity"
	ownPath      = "/apex/identity"
	gatewayPath  = "/apex/gateway"
)

// newIssuer registers the issuer's part of each generation; it is opened later.
func newIssuer(o *IssuerOptions, r *registrar, l *ledger.Ledger, m *meter.Meter, p *config.Publisher, log *slog.Logger) *issuer {
	part := config.Register(p, "identities", r.compile)
	return &issuer{o: *o, ca: r.ca, ledger: l, meter: m, clock: r.clock, log: log, now: func() (*registrations, string) {
		g := p.Current()
		now, ok := part.Of(g)
		if !ok {
			return nil, ""
		}
		return now, g.Hash
	}}
}

// ServeIdentities issues identities to callers until the context ends.
func ServeIdentities(ctx context.Context, o IdentityServerOptions) (err error) {
	if o.Clock == nil {
		o.Clock = clock.System{}
	}
	if o.Logger == nil {
		o.Logger = slog.New(slog.DiscardHandler)
	}
	if o.TrustDomain == "" {
		return errNoAuthority
	}
	if !o.asked() {
		return errors.New("nobody could ask for an identity: name a --socket, an --exchange-address, or both")
	}
	routeKlog(o.Logger)
	me, err := own.Open(filepath.Join(o.State, "ca"), o.TrustDomain, ownPath, o.Clock)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, me.Close()) }()
	records, err := ledger.Open(ctx, filepath.Join(o.State, "ledger", roleIdentity), ledger.Options{
		Origin: "apex/" + roleIdentity, Clock: o.Clock, Logger: o.Logger, LockWait: lockWait,
	})
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, records.Close()) }()
	m, err := meter.Open(ctx, filepath.Join(o.State, "meter", roleIdentity), o.Clock, usageSink{records})
	if err != nil && m == nil {
		return err
	}
	if err != nil {
		o.Logger.Warn("usage of an earlier process is not recorded yet", "err", err)
	}
	defer func() { err = errors.Join(err, m.Close(context.WithoutCancel(ctx), usageSink{records})) }()
	pool, err := authorities(o.IssuerAuthorities)
	if err != nil {
		return err
	}
	publisher := config.NewPublisher(o.Clock)
	r := &registrar{ca: me.CA, clock: o.Clock, private: o.PrivateIssuers, authorities: pool, gateway: o.GatewayAccount}
	i := newIssuer(&o.IssuerOptions, r, records, m, publisher, o.Logger)
	if err := i.open(o.State); err != nil {
		return err
	}
	if o.Kube.Enabled {
		if i.cluster, err = openInCluster(&o, me.CA); err != nil {
			return err
		}
	}
	return i.run(ctx, &o, me, publisher)
}

// run listens, and serves until the context ends.
func (i *issuer) run(ctx context.Context, o *IdentityServerOptions, me *own.Identity, p *config.Publisher) error {
	var open []*openDoor
	var socket, at net.Addr
	closeAll := func(ctx context.Context) {
		for _, d := range open {
			d.close(ctx)
		}
	}
	if o.Socket != "" {
		d, err := i.workloadDoor()
		if err != nil {
			return err
		}
		open, socket = append(open, d), d.at
	}
	if o.Exchange != "" {
		d, err := i.exchangeDoor(o, me)
		if err != nil {
			closeAll(ctx)
			return err
		}
		open, at = append(open, d), d.at
	}
	working, stop := context.WithCancel(ctx)
	var background sync.WaitGroup
	defer background.Wait()
	defer stop()
	i.work(working, &background, o, me.CA, p)
	ended := make(chan error, len(open))
	for _, d := range open {
		go func() { ended <- d.serve() }()
	}
	if o.Ready != nil {
		o.Ready(socket, at)
	}
	var failed error
	select {
	case <-ctx.Done():
	case failed = <-ended:
	}
	ending, cancel := context.WithTimeout(context.WithoutCancel(ctx), headersWithin)
	defer cancel()
	closeAll(ending)
	return failed
}

// work keeps the authority, the ledger, the meter and what is in force.
func (i *issuer) work(ctx context.Context, background *sync.WaitGroup, o *IdentityServerOptions, authority *ca.CA, p *config.Publisher) {
	again := func(what string, run func(context.Context) error) {
		background.Go(func() {
			for ctx.Err() == nil {
				if err := run(ctx); ctx.Err() == nil {
					i.log.Error(what+" failed", "err", err)
					select {
					case <-ctx.Done():
					case <-time.After(retryInterval):
					}
				}
			}
		})
	}
	changed := func(h config.Health) {
		for n := range h.Problems {
			i.log.Error("what documents say is not in force", "problem", h.Problems[n].String())
		}
		if r, _ := i.now(); r != nil && o.InForce != nil {
			o.InForce(h, r.given, r.revoked, r.elsewhere)
		} else if o.InForce != nil {
			o.InForce(h, 0, 0, 0)
		}
	}
	if i.cluster != nil {
		again("following the cluster", func(ctx context.Context) error { return i.cluster.follow(ctx, i, p, changed) })
		again("publishing the keys", i.cluster.publish)
	} else {
		again("following the directory", config.NewWatcher(p, o.Registrations, changed).Run)
	}
	again("sealing the ledger", i.ledger.Run)
	again("recording usage", func(ctx context.Context) error { return i.meter.Run(ctx, usageSink{i.ledger}, usageInterval, i.log) })
	again("renewing the authority", func(ctx context.Context) error {
		return authority.Run(ctx, func(err error) { i.log.Error("the authority could not be renewed", "err", err) })
	})
}

// exchangeDoor listens by TLS, with files or with our own identity.
func (i *issuer) exchangeDoor(o *IdentityServerOptions, me *own.Identity) (*openDoor, error) {
	g := &runningGateway{o: GatewayOptions{
		Issuer: i.o, CertificateFile: o.CertificateFile, KeyFile: o.KeyFile, Logger: o.Logger,
	}, identity: me, issuer: i}
	return openExchange(g)
}
