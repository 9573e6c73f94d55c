// Package cert makes the certificates that a webhook is served with, and
// replaces them before they expire without a failed request.
//
// Start with [New], [Manager.Run], which keeps everything fresh until its
// context ends, and [Manager.GetCertificate], which a TLS server asks.
//
// All replicas share one record (a Secret): the authorities, of which the newest
// signs, and the serving certificate. Whichever replica finds that something is
// due writes the next record, and only if nobody else has meanwhile. Each step
// is safe to be the last one for a while:
//
//  1. A new authority is added beside the old one. Both are published, so that
//     API servers believe either.
//  2. Once that was published, and API servers have had time to see it, the new
//     authority signs a new serving certificate, and the key of the old one is
//     dropped: it signs nothing any more.
//  3. The old authority stays published until it expires. No certificate of it
//     outlives it, so no replica can be serving one by then.
//
// Keys are ECDSA P-256. Source: RFC 5280; CA/Browser practice for the overlap.
package cert

import (
	"bytes"
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"github.com/apexlogic/apex/internal/clock"
)

// ErrConflict is what a [Store] returns when the record has changed meanwhile.
var ErrConflict = errors.New("the record has changed meanwhile")

// Store keeps the record, which holds private keys: a Secret of the cluster.
type Store interface {
	// Load returns the record and its version; nil and "" when there is none.
	Load(ctx context.Context) (record []byte, version string, err error)
	// Save replaces the record if its version is still the given one; else the
	// error wraps ErrConflict.
	Save(ctx context.Context, record []byte, version string) error
}

// Options configure a Manager. Store, Names and Publish are needed.
type Options struct {
	Store Store
	// Names are the DNS names and IP addresses that the webhook is called by,
	// for example "apex.apex-system.svc".
	Names []string
	// Publish makes API servers believe exactly the authorities (PEM). It is
	// called each time, also when nothing has changed: somebody else may have
	// changed it there.
	Publish func(ctx context.Context, bundle []byte) error

	Clock  clock.Clock
	Logger *slog.Logger

	// Authority and Serving are how long the certificates are valid; 0: one year
	// and 30 days. Each is replaced when a third of its time is left.
	Authority, Serving time.Duration
	// Settle is how long a new authority is published before it signs; 0: 2 min.
	// API servers see a change within seconds.
	Settle time.Duration
	// Every is how often Run looks; 0: 1 min.
	Every time.Duration
}

// Manager keeps certificates fresh. It is safe for concurrent use.
type Manager struct {
	o       Options
	mu      sync.Mutex // one Reconcile at a time
	last    *record    // that was served, to keep its authorities when the stored one is lost
	serving atomic.Pointer[tls.Certificate]
	bundle  atomic.Pointer[[]byte]
}

// skew is how much the clocks of a cluster may differ.
const skew = time.Hour

// New returns a manager that has no certificate until Reconcile or Run.
func New(o Options) (*Manager, error) {
	if o.Store == nil || o.Publish == nil || len(o.Names) == 0 {
		return nil, errors.New("certificates: a store, names and where to publish are needed")
	}
	if o.Clock == nil {
		o.Clock = clock.System{}
	}
	if o.Logger == nil {
		o.Logger = slog.New(slog.DiscardHandler)
	}
	for _, d := range []struct {
		set      *time.Duration
		fallback time.Duration
	}{{&o.Authority, 365 * 24 * time.Hour}, {&o.Serving, 30 * 24 * time.Hour}, {&o.Settle, 2 * time.Minute}, {&o.Every, time.Minute}} {
		if *d.set <= 0 {
			*d.set = d.fallback
		}
	}
	if o.Serving >= o.Authority || o.Settle >= o.Serving/3 {
		return nil, fmt.Errorf("certificates: an authority of %s, a certificate of %s and %s to settle leave no time to rotate", o.Authority, o.Serving, o.Settle)
	}
	o.Names = slices.Sorted(slices.Values(o.Names))
	return &Manager{o: o}, nil
}

// ErrNone is the error of a handshake before there is a certificate.
var ErrNone = errors.New("there is no certificate yet")

// GetCertificate implements [tls.Config.GetCertificate].
func (m *Manager) GetCertificate(*tls.ClientHelloInfo) (*tls.Certificate, error) {
	if c := m.serving.Load(); c != nil {
		return c, nil
	}
	return nil, ErrNone
}

// Bundle returns the authorities that were published last (PEM), nil when none
// were.
func (m *Manager) Bundle() []byte {
	if b := m.bundle.Load(); b != nil {
		return bytes.Clone(*b)
	}
	return nil
}

// Ready says why nothing can be served yet.
func (m *Manager) Ready() error {
	c := m.serving.Load()
	if c == nil {
		return ErrNone
	}
	if now := m.o.Clock.Now(); now.After(c.Leaf.NotAfter) {
		return fmt.Errorf("the certificate expired at %s", c.Leaf.NotAfter.Format(time.RFC3339))
	}
	return nil
}

// afterFailure is how long Run waits after a failure, and twice as long after each
// further one. A replica that begins has nothing to serve until it has succeeded,
// and API servers deny meanwhile.
const afterFailure = 2 * time.Second

// Run reconciles until ctx ends. What fails is logged and tried again soon; what was
// served before is served meanwhile.
func (m *Manager) Run(ctx context.Context) error {
	timer, again := time.NewTimer(0), afterFailure
	defer timer.Stop()
	for {
		select {
		case <-ctx.Done():
			return nil
		case <-timer.C:
		}
		if err := m.Reconcile(ctx); err != nil && ctx.Err() == nil {
			m.o.Logger.Error("the webhook's certificates could not be kept fresh", "err", err)
			timer.Reset(min(again, m.o.Every))
			again = min(2*again, m.o.Every)
			continue
		}
		again = afterFailure
		timer.Reset(m.o.Every)
	}
}

// attempts is how often a replica tries again that lost against another.
const attempts = 8

// Reconcile does what is due now: it writes the next record, publishes the
// authorities and serves the certificate. Doing it again changes nothing.
func (m *Manager) Reconcile(ctx context.Context) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	for range attempts {
		done, err := m.step(ctx)
		if errors.Is(err, ErrConflict) {
			continue
		}
		if done || err != nil {
			return err
		}
	}
	return fmt.Errorf("the record of the certificates changes all the time: %w", ErrConflict)
}

// step does the next thing that is due, and says whether nothing was.
func (m *Manager) step(ctx context.Context) (done bool, err error) {
	data, version, err := m.o.Store.Load(ctx)
	if err != nil {
		return false, fmt.Errorf("load the certificates: %w", err)
	}
	now := m.o.Clock.Now()
	rec, err := readRecord(data)
	if err != nil {
		// Whoever damaged it must not take the webhook down.
		m.o.Logger.Error("the stored certificates cannot be read and are made anew", "err", err)
	}
	if rec == nil || len(rec.usable(now)) == 0 {
		// What is served now stays believed until all replicas serve the new.
		if rec, err = m.first(m.last, now); err != nil {
			return false, err
		}
		return false, m.save(ctx, rec, version)
	}
	switch changed, err := m.advance(rec, now); {
	case err != nil:
		return false, err
	case changed:
		return false, m.save(ctx, rec, version)
	}
	bundle := rec.bundle(now)
	if err := m.o.Publish(ctx, bundle); err != nil {
		err = fmt.Errorf("publish the authorities of the webhook: %w", err)
		if rec.published() {
			err = errors.Join(err, m.serve(rec)) // API servers believe it already
		}
		return false, err
	}
	m.bundle.Store(&bundle)
	if err := m.serve(rec); err != nil {
		return false, err
	}
	if newest := rec.Authorities[len(rec.Authorities)-1]; newest.Published.IsZero() {
		rec.Authorities[len(rec.Authorities)-1].Published = now
		return false, m.save(ctx, rec, version)
	}
	return true, nil
}

func (m *Manager) save(ctx context.Context, rec *record, version string) error {
	data, err := rec.encode()
	if err != nil {
		return err
	}
	if err := m.o.Store.Save(ctx, data, version); err != nil {
		return fmt.Errorf("save the certificates: %w", err)
	}
	return nil
}

// serve hands the record's certificate to new connections.
func (m *Manager) serve(rec *record) error {
	if old := m.serving.Load(); old != nil && bytes.Equal(old.Certificate[0], rec.Serving.leaf.Raw) {
		m.last = rec
		return nil
	}
	key, err := readKey(rec.Serving.Key)
	if err != nil {
		return err
	}
	m.serving.Store(&tls.Certificate{Certificate: [][]byte{rec.Serving.leaf.Raw}, PrivateKey: key, Leaf: rec.Serving.leaf})
	m.last = rec
	m.o.Logger.Info("the webhook is served with a new certificate", "until", rec.Serving.leaf.NotAfter)
	return nil
}

// first makes a record from nothing. Authorities that are believed stay so.
func (m *Manager) first(before *record, now time.Time) (*record, error) {
	rec := &record{}
	if before != nil {
		for _, a := range before.usable(now) {
			a.Key = ""
			rec.Authorities = append(rec.Authorities, a)
		}
	}
	if err := m.addAuthority(rec, now); err != nil {
		return nil, err
	}
	return rec, m.issue(rec, now)
}

// advance changes the record by the next step that is due.
func (m *Manager) advance(rec *record, now time.Time) (changed bool, err error) {
	if n := len(rec.Authorities); len(rec.usable(now)) < n {
		rec.Authorities = rec.usable(now)
		changed = true
	}
	newest := &rec.Authorities[len(rec.Authorities)-1]
	signer := rec.signer(now, m.o.Settle)
	switch {
	case newest.Key == "" || due(newest.cert, now):
		if err := m.addAuthority(rec, now); err != nil {
			return false, err
		}
		if signer == nil { // nobody can sign otherwise
			return true, m.issue(rec, now)
		}
		return true, nil
	case rec.Serving.leaf == nil || !m.suits(rec),
		due(rec.Serving.leaf, now) && m.until(signer, now).After(rec.Serving.leaf.NotAfter),
		signer == newest && !signedBy(rec.Serving.leaf, newest.cert):
		return true, m.issue(rec, now)
	}
	return changed, nil
}

// until is how long a certificate that is issued now is valid: never longer than
// its authority.
func (m *Manager) until(signer *authority, now time.Time) time.Time {
	until := now.Add(m.o.Serving).UTC().Truncate(time.Second) // as it is encoded
	if until.After(signer.cert.NotAfter) {
		return signer.cert.NotAfter
	}
	return until
}

// due says whether a third of the certificate's time is left, or less.
func due(c *x509.Certificate, now time.Time) bool {
	return now.After(c.NotAfter.Add(-c.NotAfter.Sub(c.NotBefore) / 3))
}

// suits says whether the serving certificate has the names that are wanted, is
// signed by an authority of the record and has its key.
func (m *Manager) suits(rec *record) bool {
	for _, name := range m.o.Names {
		if rec.Serving.leaf.VerifyHostname(name) != nil {
			return false
		}
	}
	if _, err := tls.X509KeyPair([]byte(rec.Serving.Cert), []byte(rec.Serving.Key)); err != nil {
		return false
	}
	return slices.ContainsFunc(rec.Authorities, func(a authority) bool { return signedBy(rec.Serving.leaf, a.cert) })
}

func signedBy(leaf, ca *x509.Certificate) bool { return leaf.CheckSignatureFrom(ca) == nil }
