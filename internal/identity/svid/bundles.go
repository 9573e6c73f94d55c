// Package svid verifies SPIFFE identities: X.509-SVIDs that a TLS client shows,
// and JWT-SVIDs that a request bears.
//
// Start with [NewBundles] (which trust domains are believed, and their keys),
// [X509] and [JWT]; both are authenticators. [Bundles.Set] replaces the keys of
// all trust domains at once, which is how rotation reaches us.
//
// Sources: SPIFFE-ID, X509-SVID, JWT-SVID, SPIFFE Trust Domain and Bundle.
package svid

import (
	"crypto/sha256"
	"crypto/x509"
	"errors"
	"fmt"
	"sync"
	"sync/atomic"

	"github.com/spiffe/go-spiffe/v2/bundle/spiffebundle"
	"github.com/spiffe/go-spiffe/v2/bundle/x509bundle"
	"github.com/spiffe/go-spiffe/v2/spiffeid"

	"github.com/apexlogic/apex/internal/identity/jwt"
)

// maxAuthorities of one trust domain; rotation has two or three at once.
const maxAuthorities = 64

// Bundles are the trust domains that are believed, with the keys that sign for
// each. They are safe for concurrent use.
type Bundles struct {
	mu  sync.Mutex // held by Set
	now atomic.Pointer[bundles]
}

// bundles are what one call of Set brought; immutable.
type bundles struct {
	generation uint64
	byDomain   map[spiffeid.TrustDomain]domain
}

type domain struct {
	authorities   *x509bundle.Bundle
	authorityKeys map[[sha256.Size]byte]bool // as in identity.Principal.Keys
	keys          *jwt.Keys
}

// NewBundles returns bundles with these trust domains; none is believed without
// one.
func NewBundles(all ...*spiffebundle.Bundle) (*Bundles, error) {
	b := &Bundles{}
	b.now.Store(&bundles{})
	return b, b.Set(all...)
}

// Set replaces all trust domains and their keys together. When one of them is
// wrong, nothing changes.
func (b *Bundles) Set(all ...*spiffebundle.Bundle) error {
	b.mu.Lock()
	defer b.mu.Unlock()
	next := &bundles{generation: b.now.Load().generation + 1, byDomain: make(map[spiffeid.TrustDomain]domain, len(all))}
	for _, one := range all {
		name := one.TrustDomain()
		if _, twice := next.byDomain[name]; twice {
			return fmt.Errorf("trust domain %s has two bundles: merge them", name)
		}
		authorities := one.X509Authorities()
		if len(authorities) > maxAuthorities || len(one.JWTAuthorities()) > jwt.MaxKeys {
			return fmt.Errorf("trust domain %s has more than %d authorities", name, maxAuthorities)
		}
		of := map[[sha256.Size]byte]bool{}
		for _, authority := range authorities {
			of[sha256.Sum256(authority.RawSubjectPublicKeyInfo)] = true
			if err := isAuthority(authority, name); err != nil {
				return fmt.Errorf("trust domain %s: %w", name, err)
			}
		}
		keys, err := jwt.NewKeys(one.JWTAuthorities())
		if err != nil {
			return fmt.Errorf("trust domain %s: %w", name, err)
		}
		next.byDomain[name] = domain{authorities: x509bundle.FromX509Authorities(name, authorities), authorityKeys: of, keys: keys}
	}
	b.now.Store(next)
	return nil
}

func isAuthority(c *x509.Certificate, name spiffeid.TrustDomain) error {
	if !c.IsCA || !c.BasicConstraintsValid || c.KeyUsage&x509.KeyUsageCertSign == 0 {
		return errors.New("an authority's certificate is not that of a CA")
	}
	for _, uri := range c.URIs {
		if id, err := spiffeid.FromURI(uri); err == nil && id.TrustDomain() != name {
			return fmt.Errorf("an authority's certificate is that of %s", id.TrustDomain())
		}
	}
	return nil
}

// Generation grows with each Set.
func (b *Bundles) Generation() uint64 { return b.now.Load().generation }
