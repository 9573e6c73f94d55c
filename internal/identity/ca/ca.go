// Package ca is the built-in certificate authority of one trust domain. It
// issues X.509-SVIDs and JWT-SVIDs that live for minutes, so that nothing that
// leaks is worth much for long.
//
// Start with [Open], [CA.IssueX509], [CA.IssueJWT] and [CA.Bundle]; call
// [CA.Rotate] now and then, as [CA.Run] does. Who may have which identity is not
// decided here: the packages workload and exchange ask attest first.
//
// # How its keys live
//
// All authorities stand in one file, readable by its owner alone, that is
// replaced as a whole: written beside it, synced, renamed. So a crash leaves the
// old ones or the new ones, never half. A new authority is published in the
// bundle at half the life of the last one and signs only [Overlap] later, when
// everybody has had the time to fetch it; the last one stays in the bundle until
// it expires, which is after all that it signed. Which authority signs follows
// from the clock alone: there is no state to be lost.
//
// Sources: X509-SVID, JWT-SVID, SPIFFE Trust Domain and Bundle.
package ca

import (
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/hex"
	"errors"
	"fmt"
	"math/big"
	"net/url"
	"os"
	"sync"
	"time"

	"github.com/spiffe/go-spiffe/v2/bundle/spiffebundle"
	"github.com/spiffe/go-spiffe/v2/spiffeid"

	"github.com/apexlogic/apex/internal/clock"
)

const (
	// MinLife and MaxLife bound what is issued. Shorter, and clocks that differ
	// would cut callers off; longer, and a stolen key would stay useful.
	MinLife = 5 * time.Minute
	MaxLife = 15 * time.Minute
	// Overlap is how long a new authority is published before it signs.
	Overlap = MaxLife
	// authorityLife leaves a day of signing, and a day in which the next one
	// takes over even when the machine sleeps through most of it.
	authorityLife = 48 * time.Hour
	// early is how much before its issue a certificate is valid, for callers
	// whose clocks are behind.
	early = time.Minute
	// look is how often [CA.Run] looks whether it is time.
	look = time.Minute
)

// CA issues for one trust domain. It is safe for concurrent use; one process at
// a time has the directory.
type CA struct {
	domain spiffeid.TrustDomain
	clock  clock.Clock
	dir    string
	lock   *os.File

	mu      sync.RWMutex
	all     []*authority // oldest first
	changed chan struct{}
}

// authority signs for a while.
type authority struct {
	certificate *x509.Certificate
	key         *ecdsa.PrivateKey // of certificates
	tokens      *ecdsa.PrivateKey // of tokens
	tokenKeyID  string
	from        time.Time // when it begins to sign
}

// Open opens the authorities of a directory, and makes the first one when there
// is none. The directory belongs to the trust domain alone. Authorities that
// others may read, or that cannot be read, are an error: they are never made
// anew in silence, since everybody who trusts them would be cut off.
func Open(dir string, domain spiffeid.TrustDomain, c clock.Clock) (*CA, error) {
	if domain.IsZero() {
		return nil, errors.New("a certificate authority needs the name of its trust domain")
	}
	lock, err := takeDirectory(dir)
	if err != nil {
		return nil, fmt.Errorf("open the authorities of %s: %w", domain, err)
	}
	ca := &CA{domain: domain, clock: c, dir: dir, lock: lock, changed: make(chan struct{})}
	if err = removeHalf(dir); err == nil {
		ca.all, err = read(dir, domain)
	}
	if err == nil {
		err = ca.Rotate()
	}
	if err != nil {
		lock.Close()
		return nil, fmt.Errorf("open the authorities of %s: %w", domain, err)
	}
	return ca, nil
}

// Close gives the directory back. Nothing may be issued afterwards.
func (ca *CA) Close() error { return ca.lock.Close() }

// TrustDomain is whose identities are issued.
func (ca *CA) TrustDomain() spiffeid.TrustDomain { return ca.domain }

// Rotate makes the next authority when it is time, and drops those that have
// expired. It changes nothing at other times, and nothing when it fails.
func (ca *CA) Rotate() error {
	ca.mu.Lock()
	defer ca.mu.Unlock()
	now := ca.clock.Now()
	var next []*authority
	for _, a := range ca.all {
		if a.certificate.NotAfter.After(now) {
			next = append(next, a)
		}
	}
	due := len(next) == 0
	if !due {
		last := next[len(next)-1].certificate
		due = !now.Before(last.NotBefore.Add(authorityLife / 2))
	}
	if !due && len(next) == len(ca.all) {
		return nil
	}
	if due {
		from := now.Add(Overlap)
		if len(next) == 0 {
			from = now // nobody else can
		}
		a, err := newAuthority(ca.domain, now, from)
		if err != nil {
			return err
		}
		next = append(next, a)
	}
	if err := write(ca.dir, next); err != nil {
		return fmt.Errorf("keep the authorities of %s: %w", ca.domain, err)
	}
	ca.all = next
	close(ca.changed)
	ca.changed = make(chan struct{})
	return nil
}

// Run rotates until the context ends. Failures are told, and tried again: half a
// life is left then.
func (ca *CA) Run(ctx context.Context, failed func(error)) error {
	ticker := time.NewTicker(look)
	defer ticker.Stop()
	for {
		select {
		case <-ctx.Done():
			return nil
		case <-ticker.C:
			if err := ca.Rotate(); err != nil {
				failed(err)
			}
		}
	}
}

// Changed is closed when the bundle changes; ask for it before the bundle.
func (ca *CA) Changed() <-chan struct{} {
	ca.mu.RLock()
	defer ca.mu.RUnlock()
	return ca.changed
}

// Bundle has all authorities that may have signed what is valid now, or will.
func (ca *CA) Bundle() *spiffebundle.Bundle {
	ca.mu.RLock()
	defer ca.mu.RUnlock()
	return bundleOf(ca.domain, ca.all, ca.clock.Now())
}

func bundleOf(domain spiffeid.TrustDomain, all []*authority, now time.Time) *spiffebundle.Bundle {
	b := spiffebundle.New(domain)
	b.SetRefreshHint(Overlap / 3)
	for _, a := range all {
		if !a.certificate.NotAfter.After(now) {
			continue
		}
		b.AddX509Authority(a.certificate)
		_ = b.AddJWTAuthority(a.tokenKeyID, a.tokens.Public()) // fails without an id only
	}
	return b
}

// signer returns who signs now: the newest authority that has begun to, and that
// outlives what it signs.
func (ca *CA) signer(now time.Time) (*authority, error) {
	ca.mu.RLock()
	defer ca.mu.RUnlock()
	for i := len(ca.all) - 1; i >= 0; i-- {
		a := ca.all[i]
		if !a.from.After(now) && a.certificate.NotAfter.After(now.Add(MinLife)) {
			return a, nil
		}
	}
	return nil, fmt.Errorf("trust domain %s has no authority that may sign now: rotate it, and compare the clock", ca.domain)
}

func newAuthority(domain spiffeid.TrustDomain, now, from time.Time) (*authority, error) {
	a := &authority{from: from.UTC().Truncate(time.Second)}
	var err error
	if a.key, err = ecdsa.GenerateKey(elliptic.P256(), rand.Reader); err != nil {
		return nil, err
	}
	if a.tokens, err = ecdsa.GenerateKey(elliptic.P256(), rand.Reader); err != nil {
		return nil, err
	}
	var id [16]byte
	rand.Read(id[:]) // never fails
	a.tokenKeyID = hex.EncodeToString(id[:])
	template := &x509.Certificate{
		SerialNumber: newSerial(), Subject: pkix.Name{Organization: []string{"Apex"}, CommonName: "authority of " + domain.Name()},
		NotBefore: now.Add(-early), NotAfter: now.Add(authorityLife),
		KeyUsage: x509.KeyUsageCertSign | x509.KeyUsageCRLSign, BasicConstraintsValid: true, IsCA: true, MaxPathLenZero: true,
		URIs: []*url.URL{domain.ID().URL()},
	}
	der, err := x509.CreateCertificate(rand.Reader, template, template, a.key.Public(), a.key)
	if err != nil {
		return nil, err
	}
	a.certificate, err = x509.ParseCertificate(der)
	return a, err
}

// newSerial is random, 127 bits and never zero (RFC 5280 section 4.1.2.2).
func newSerial() *big.Int {
	var b [16]byte
	rand.Read(b[:]) // never fails
	b[0] &= 0x7f
	b[15] |= 1
	return new(big.Int).SetBytes(b[:])
}
