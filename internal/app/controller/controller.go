// Package controller is the role that Apex has inside of a cluster: admission
// webhook, reconciler of GitSources, and the one who keeps asking whether what
// runs still may.
//
// Start with [Run]. Every replica answers the API server; one of them at a time,
// the leader, writes. What is in force are the cluster's own objects of our
// kinds: a change of one is in force on every replica within a second.
package controller

import (
	"context"
	"crypto"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"sync"
	"sync/atomic"
	"time"

	"github.com/apexlogic/apex/internal/admission"
	"github.com/apexlogic/apex/internal/admission/cert"
	"github.com/apexlogic/apex/internal/app"
	"github.com/apexlogic/apex/internal/clock"
	"github.com/apexlogic/apex/internal/config"
	"github.com/apexlogic/apex/internal/gitops"
	"github.com/apexlogic/apex/internal/kube"
	"github.com/apexlogic/apex/internal/oci"
)

// Options configure [Run].
type Options struct {
	// Namespace of Apex's own objects. Default: apex-system.
	Namespace string
	// Service in front of the webhook. Default: apex.
	Service string
	// WebhookURL, when not empty, is where API servers reach the webhook, for a
	// controller outside of its cluster: "https://host:port".
	WebhookURL string
	// WebhookAddress and HealthAddress are where to listen.
	WebhookAddress, HealthAddress string
	// State is the directory for the ledger, the caches and the mirrors.
	State string
	// Identity of this process among the replicas. Default: the host's name.
	Identity string
	Version  string
	Kube     kube.Config

	AllowPrivate, PlainHTTP []string
	Keychain                oci.Keychain

	Clock  clock.Clock
	Logger *slog.Logger
	// Ready is called once the webhook answers; it may be nil.
	Ready func(webhook, health net.Addr)
}

// manager of the fields that the controller writes.
const manager = "apex-controller"

// verifyWithin bounds one verification, also after its answer was due.
const verifyWithin = time.Minute

// controller is the running role.
type controller struct {
	o      Options
	client *kube.Client
	engine *app.Engine

	set      atomic.Pointer[config.Set] // in force
	locks    atomic.Pointer[locks]      // of its sources
	changed  chan struct{}              // something is in force since it was last read
	notReady failure                    // why what the cluster says is not in force

	certificates *cert.Manager
	namespaces   *namespaces
	events       *announcer

	holds    holds           // what is stopped
	sources  followedSources // of the leader
	operator crypto.Signer   // of the leader
}

// failure is the last error of a part.
type failure struct {
	mu  sync.Mutex
	err error
}

func (f *failure) Store(err error) { f.mu.Lock(); f.err = err; f.mu.Unlock() }
func (f *failure) Load() error     { f.mu.Lock(); defer f.mu.Unlock(); return f.err }

// errStarting is why nothing is answered yet.
var errStarting = errors.New("the cluster's policies are not read yet")

func (o *Options) defaults() error {
	set := func(s *string, to string) {
		if *s == "" {
			*s = to
		}
	}
	set(&o.Namespace, "apex-system")
	set(&o.Service, "apex")
	set(&o.WebhookAddress, ":9443")
	set(&o.HealthAddress, ":8081")
	if o.Identity == "" {
		host, err := os.Hostname()
		if err != nil {
			return fmt.Errorf("the host has no name; give an identity: %w", err)
		}
		o.Identity = host
	}
	if o.Clock == nil {
		o.Clock = clock.System{}
	}
	if o.Logger == nil {
		o.Logger = slog.New(slog.DiscardHandler)
	}
	o.Kube.UserAgent = "apex/" + o.Version
	o.Kube.Clock = o.Clock
	return nil
}

// Run is the role; it ends with its context.
func Run(ctx context.Context, o Options) (err error) {
	if err := o.defaults(); err != nil {
		return err
	}
	c := &controller{o: o, changed: make(chan struct{}, 1)}
	c.notReady.Store(errStarting)
	if c.client, err = kube.Open(o.Kube); err != nil {
		return err
	}
	c.engine, err = app.OpenEngine(ctx, app.EngineOptions{
		State: o.State, Role: "controller", Version: o.Version, AllowPrivate: o.AllowPrivate, PlainHTTP: o.PlainHTTP,
		Keychain: o.Keychain, Clock: o.Clock, Logger: o.Logger, KeepInventories: true,
		// The webhook has a deadline of its own; what is late for it goes on.
		Deadline: verifyWithin,
	})
	if err != nil {
		return err
	}
	webhook, err := net.Listen("tcp", o.WebhookAddress)
	if err != nil {
		return errors.Join(err, c.engine.Close(context.WithoutCancel(ctx)))
	}
	health, err := net.Listen("tcp", o.HealthAddress)
	if err != nil {
		return errors.Join(err, webhook.Close(), c.engine.Close(context.WithoutCancel(ctx)))
	}
	ctx, stop := context.WithCancelCause(ctx)
	var parts sync.WaitGroup
	run := func(name string, part func(context.Context) error) {
		parts.Go(func() {
			if err := part(ctx); ctx.Err() == nil {
				// One part that ended is a process that does half of its work.
				stop(fmt.Errorf("%s ended: %w", name, err))
			}
		})
	}
	defer func() {
		stop(nil)
		parts.Wait()
		err = errors.Join(err, c.engine.Close(context.WithoutCancel(ctx)))
	}()
	if c.certificates, err = c.newCertificates(); err != nil {
		return errors.Join(err, webhook.Close(), health.Close())
	}
	handler, err := c.newHandler()
	if err != nil {
		return errors.Join(err, webhook.Close(), health.Close())
	}
	c.namespaces = newNamespaces(c.client)
	c.events = newAnnouncer(c.writeNote, o.Clock.Now)
	run("writing events", func(ctx context.Context) error {
		return c.events.run(ctx, func(n int) { o.Logger.Warn("events were not written, the ledger has what they are about", "events", n) })
	})
	run("sealing the ledger", c.engine.Ledger.Run)
	run("reading the namespaces", c.namespaces.run)
	run("reading the policies", (&app.ClusterDocuments{
		Client: c.client, Publish: c.engine.Bring, Log: o.Logger, Failed: c.notReady.Store,
		InForce: func(_ context.Context, s *config.Set) {
			c.locks.Store(locksOf(s))
			c.set.Store(s)
			select {
			case c.changed <- struct{}{}:
			default:
			}
		},
	}).Run)
	run("keeping the certificates", c.certificates.Run)
	run("the webhook", func(ctx context.Context) error {
		return handler.Run(ctx, webhook, c.certificates.GetCertificate)
	})
	run("the health endpoint", func(ctx context.Context) error { return c.serveHealth(ctx, health) })
	run("leading", func(ctx context.Context) error {
		return c.client.Lead(ctx, kube.Lease{Namespace: o.Namespace, Name: "apex-controller", Identity: o.Identity}, c.lead)
	})
	if o.Ready != nil {
		run("telling that it is ready", func(ctx context.Context) error {
			for c.ready() != nil {
				select {
				case <-ctx.Done():
					return ctx.Err()
				case <-time.After(20 * time.Millisecond):
				}
			}
			o.Ready(webhook.Addr(), health.Addr())
			<-ctx.Done()
			return ctx.Err()
		})
	}
	<-ctx.Done()
	if cause := context.Cause(ctx); !errors.Is(cause, context.Canceled) {
		return cause
	}
	return nil
}

// ready says why this replica cannot answer yet.
func (c *controller) ready() error {
	if c.set.Load() == nil {
		if err := c.notReady.Load(); err != nil {
			return err
		}
		return errStarting
	}
	if !c.namespaces.synced() {
		return errors.New("the namespaces are not read yet")
	}
	return c.certificates.Ready()
}

func (c *controller) newHandler() (*admission.Handler, error) {
	guard := &admission.Guarded{
		Label: gitops.LabelSource, Denied: c.denied, Writers: c.writers,
		Users: []string{"system:serviceaccount:" + c.o.Namespace + ":apex-controller"}, Groups: admission.ControllerGroups(),
	}
	return admission.New(admission.Options{
		Verifier: c.engine.Verifier, Generation: c.engine.Generation,
		Namespace: func(name string) (map[string]string, bool) { return c.namespaces.labels(name) },
		Resolve:   c.resolve, Guard: guard.Check, Ready: c.ready, Clock: c.o.Clock, Logger: c.o.Logger,
	})
}

func (c *controller) serveHealth(ctx context.Context, l net.Listener) error {
	mux := http.NewServeMux()
	answer := func(check func() error) http.HandlerFunc {
		return func(w http.ResponseWriter, _ *http.Request) {
			if err := check(); err != nil {
				http.Error(w, "not ready", http.StatusServiceUnavailable)
				return
			}
			fmt.Fprintln(w, "ok")
		}
	}
	mux.HandleFunc("GET /healthz", answer(func() error { return nil }))
	mux.HandleFunc("GET /readyz", answer(c.ready))
	s := &http.Server{Handler: mux, ReadHeaderTimeout: 5 * time.Second, MaxHeaderBytes: 16 << 10}
	go func() {
		<-ctx.Done()
		s.Close()
	}()
	if err := s.Serve(l); !errors.Is(err, http.ErrServerClosed) {
		return err
	}
	return ctx.Err()
}

func (c *controller) sourcesDir() string { return filepath.Join(c.o.State, "gitops") }
