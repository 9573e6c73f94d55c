// Package own is who this process is: an X.509-SVID of the built-in authority,
// renewed before it is half used, and the trust domains that it believes.
//
// Start with [Open] for the identity, and with [Domains] for the bundles of
// other trust domains that a person put into a directory.
//
// Sources: SPIFFE-ID, X509-SVID, SPIFFE Trust Domain and Bundle.
package own

import (
	"context"
	"crypto"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/spiffe/go-spiffe/v2/bundle/spiffebundle"
	"github.com/spiffe/go-spiffe/v2/spiffeid"

	"github.com/apexlogic/apex/internal/bounded"
	"github.com/apexlogic/apex/internal/clock"
	"github.com/apexlogic/apex/internal/identity/ca"
	"github.com/apexlogic/apex/internal/identity/svid"
)

// life of a certificate of ours; the next one is made at half of it.
const life = 10 * time.Minute

// Identity is this process's own. It is safe for concurrent use.
type Identity struct {
	// CA issued it; nil when somebody else's did, see [From].
	CA *ca.CA
	// ID is its SPIFFE ID.
	ID string

	id     spiffeid.ID
	clock  clock.Clock
	source *svid.Source
}

// Open opens the authority of a trust domain in a directory, which no other
// process may have open, and takes the identity of the path from it, for
// example "/apex/gateway".
func Open(dir, trustDomain, path string, c clock.Clock) (*Identity, error) {
	domain, err := spiffeid.TrustDomainFromString(trustDomain)
	if err != nil {
		return nil, fmt.Errorf("the trust domain %q: %w", trustDomain, err)
	}
	id, err := spiffeid.FromPath(domain, path)
	if err != nil {
		return nil, fmt.Errorf("the identity %q: %w", path, err)
	}
	authority, err := ca.Open(dir, domain, c)
	if err != nil {
		return nil, err
	}
	i := &Identity{CA: authority, ID: id.String(), id: id, clock: c}
	i.source = svid.NewSource(i.issue, c)
	if _, err := i.Certificate(); err != nil {
		authority.Close()
		return nil, err
	}
	return i, nil
}

// Close gives the authority back.
func (i *Identity) Close() error {
	if i.CA == nil {
		return nil
	}
	return i.CA.Close()
}

// Certificate returns the certificate to show now, as server and as client.
func (i *Identity) Certificate() (*tls.Certificate, error) {
	return i.source.Certificate(context.Background()) // made here, or asked for within issueWithin
}

func (i *Identity) issue(context.Context) ([]*x509.Certificate, crypto.Signer, error) {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return nil, nil, err
	}
	chain, err := i.CA.IssueX509(i.id, key.Public(), life)
	if err != nil {
		return nil, nil, fmt.Errorf("renew the certificate of %s: %w", i.ID, err)
	}
	return chain, key, nil
}

// ClientTLS shows this identity to a server, which has to have one of the SPIFFE
// IDs and a bundle that is believed; see [svid.ClientTLS].
func (i *Identity) ClientTLS(believed *svid.Bundles, servers ...string) (*tls.Config, error) {
	ids := make([]spiffeid.ID, len(servers))
	for n, s := range servers {
		var err error
		if ids[n], err = spiffeid.FromString(s); err != nil {
			return nil, fmt.Errorf("the server's identity %q: %w", s, err)
		}
	}
	return svid.ClientTLS(i.source, believed, i.clock, ids...)
}

// Token returns a JWT-SVID of this identity for an audience, with the life of a
// certificate; for an identity of our own authority only.
func (i *Identity) Token(audience string) (string, error) {
	token, _, err := i.CA.IssueJWT(i.id, []string{audience}, life)
	return token, err
}

// Bundle is the keys of one trust domain.
type Bundle = *spiffebundle.Bundle

// Bounds of a directory of bundles.
const (
	maxBundles = 256
	maxBundle  = 1 << 20 // bytes of one
)

// Domains reads the trust bundles of a directory: TRUST-DOMAIN.json in the
// format of SPIFFE bundles, TRUST-DOMAIN.pem with certificates of authorities.
// Other files are errors, so that a misspelled name is not a domain that is
// silently not believed.
func Domains(dir string) ([]Bundle, error) {
	entries, err := os.ReadDir(dir)
	if err != nil {
		return nil, err
	}
	var all []Bundle
	for _, e := range entries {
		if strings.HasPrefix(e.Name(), ".") { // where Kubernetes keeps versions of a mounted ConfigMap
			continue
		}
		if len(all) == maxBundles {
			return nil, fmt.Errorf("%s holds more than %d bundles", dir, maxBundles)
		}
		b, err := readBundle(dir, e.Name())
		if err != nil {
			return nil, fmt.Errorf("the trust bundle %s: %w", filepath.Join(dir, e.Name()), err)
		}
		all = append(all, b)
	}
	return all, nil
}

func readBundle(dir, name string) (Bundle, error) {
	kind := filepath.Ext(name)
	domain, err := spiffeid.TrustDomainFromString(strings.TrimSuffix(name, kind))
	if err != nil {
		return nil, err
	}
	data, err := bounded.ReadFile(filepath.Join(dir, name), maxBundle)
	if err != nil {
		return nil, err
	}
	switch kind {
	case ".json":
		return spiffebundle.Parse(domain, data)
	case ".pem":
		return parsePEM(domain, data)
	}
	return nil, fmt.Errorf("it is neither TRUST-DOMAIN.json nor TRUST-DOMAIN.pem")
}
