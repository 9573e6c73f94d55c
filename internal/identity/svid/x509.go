package svid

import (
	"context"
	"crypto/sha256"
	"crypto/x509"
	"errors"
	"slices"

	"github.com/spiffe/go-spiffe/v2/spiffeid"
	"github.com/spiffe/go-spiffe/v2/svid/x509svid"

	"github.com/apexlogic/apex/internal/clock"
	"github.com/apexlogic/apex/internal/identity"
	"github.com/apexlogic/apex/verdict"
)

const (
	// maxChain is how many certificates a client may show. Each intermediate may
	// cost a signature; SPIRE with nested servers shows three.
	maxChain = 6
	maxLeaf  = 16 << 10
	maxID    = 2048 // bytes (SPIFFE-ID section 2.3)
)

// X509 authenticates who shows an X.509-SVID in the TLS handshake. It is safe
// for concurrent use.
type X509 struct {
	bundles *Bundles
	clock   clock.Clock
	usage   x509.ExtKeyUsage // what the certificate must be for
}

// NewX509 returns the authenticator. The TLS server must ask for certificates
// without verifying them (tls.RequestClientCert or RequireAnyClientCert): the
// chain is verified here, against the bundle of the trust domain that the
// certificate names, where a common pool would let one domain sign for another.
func NewX509(b *Bundles, c clock.Clock) *X509 { return &X509{b, c, x509.ExtKeyUsageClientAuth} }

// NewServers is NewX509 for a client, which is shown the certificates of servers.
func NewServers(b *Bundles, c clock.Clock) *X509 { return &X509{b, c, x509.ExtKeyUsageServerAuth} }

// Generation is that of the bundles.
func (x *X509) Generation() uint64 { return x.bundles.Generation() }

// Authenticate verifies the chain of c.Peer.
func (x *X509) Authenticate(_ context.Context, c *identity.Credentials) (*identity.Principal, error) {
	if len(c.Peer) == 0 {
		return nil, identity.ErrOther
	}
	leaf := c.Peer[0]
	if len(c.Peer) > maxChain || len(leaf.Raw) > maxLeaf {
		return nil, identity.Refuse(verdict.IdentityMalformed, "the chain has more than %d certificates, or the first is larger than %d bytes", maxChain, maxLeaf)
	}
	id, err := x509svid.IDFromCert(leaf)
	if err != nil || id.Path() == "" || len(id.String()) > maxID {
		return nil, identity.Refuse(verdict.IdentityMalformed, "the certificate does not hold exactly one SPIFFE ID of a workload")
	}
	if err := isLeaf(leaf, x.usage); err != nil {
		return nil, err
	}
	now := x.clock.Now()
	if now.Before(leaf.NotBefore) || !now.Before(leaf.NotAfter) {
		return nil, identity.Refuse(verdict.IdentityExpired, "the certificate has expired, or is not valid yet")
	}
	domain, ok := x.bundles.domainOf(id)
	if !ok {
		return nil, identity.Refuse(verdict.IdentityUntrusted, "the certificate's trust domain is not trusted here")
	}
	_, chains, err := x509svid.Verify(c.Peer, domain.authorities, x509svid.WithTime(now))
	if err != nil {
		if invalid, ok := errors.AsType[x509.CertificateInvalidError](err); ok && invalid.Reason == x509.Expired {
			return nil, identity.Refuse(verdict.IdentityExpired, "an authority above the certificate has expired")
		}
		return nil, identity.Refuse(verdict.IdentitySignature, "the certificate is not signed by an authority of its trust domain")
	}
	p := &identity.Principal{
		ID: id.String(), Method: identity.X509SVID,
		Issuer: id.TrustDomain().Name(), Subject: id.Path(),
		Credential: sha256.Sum256(leaf.RawTBSCertificate),
	}
	for _, chain := range chains { // the chain that holds longest
		until := chain[0].NotAfter
		for _, one := range chain {
			if key := sha256.Sum256(one.RawSubjectPublicKeyInfo); !slices.Contains(p.Keys, key) {
				p.Keys = append(p.Keys, key)
			}
		}
		for _, above := range chain[1:] {
			if above.NotAfter.Before(until) {
				until = above.NotAfter
			}
		}
		if until.After(p.NotAfter) {
			p.NotAfter = until
		}
	}
	return p, nil
}

// Recognises reports whether one of the keys that the principal's certificate
// rests on is that of an authority of its trust domain.
func (x *X509) Recognises(p *identity.Principal) bool {
	if p.Method != identity.X509SVID {
		return false
	}
	d := x.bundles.named(p.Issuer)
	return slices.ContainsFunc(p.Keys, func(key [sha256.Size]byte) bool { return d.authorityKeys[key] })
}

// isLeaf refuses certificates that the specification does not allow for a
// workload (X509-SVID section 4.3, 4.4); that a leaf is no CA is checked again
// by go-spiffe.
func isLeaf(leaf *x509.Certificate, usage x509.ExtKeyUsage) error {
	const sign = x509.KeyUsageCertSign | x509.KeyUsageCRLSign
	if leaf.IsCA || leaf.KeyUsage&sign != 0 || leaf.KeyUsage&x509.KeyUsageDigitalSignature == 0 {
		return identity.Refuse(verdict.IdentityMalformed, "the certificate is not one that a workload may show (key usage)")
	}
	all := len(leaf.ExtKeyUsage) + len(leaf.UnknownExtKeyUsage)
	if all > 0 && !slices.Contains(leaf.ExtKeyUsage, usage) {
		return identity.Refuse(verdict.IdentityMalformed, "the certificate is for another side of a connection (extended key usage)")
	}
	return nil
}

// domainOf returns the trust domain's keys, and false for one that is not
// believed.
func (b *Bundles) domainOf(id spiffeid.ID) (domain, bool) {
	d, ok := b.now.Load().byDomain[id.TrustDomain()]
	return d, ok
}

// named returns the keys of a trust domain; none of one that is not believed.
func (b *Bundles) named(name string) domain {
	td, err := spiffeid.TrustDomainFromString(name)
	if err != nil {
		return domain{}
	}
	return b.now.Load().byDomain[td]
}

var _ identity.Generational = (*X509)(nil)
