package trust

import (
	"container/list"
	"crypto/x509"
	"encoding/asn1"
	"errors"
	"sync"
	"time"

	"github.com/sigstore/sigstore-go/pkg/root"
	"github.com/sigstore/sigstore-go/pkg/verify"
	"github.com/sigstore/sigstore/pkg/cryptoutils"
)

// maxChains bounds the cache of verified leaf certificates of one trusted
// root. An entry is about 4 kB, and only certificates that verified get in.
const maxChains = 2048

// validity is when every one of the certificates is valid.
func validity(certs []*x509.Certificate) (from, till time.Time) {
	for i, c := range certs {
		if i == 0 || c.NotBefore.After(from) {
			from = c.NotBefore
		}
		if i == 0 || c.NotAfter.Before(till) {
			till = c.NotAfter
		}
	}
	return from, till
}

// authority is a certificate authority of a trusted root. Its intermediates are
// verified under its root once, so that a new leaf costs one signature.
type authority struct {
	*root.FulcioCertificateAuthority
	once    sync.Once
	anchors []anchor
}

// anchor is an intermediate that was proved to be issued by the root.
type anchor struct {
	pool  *x509.CertPool
	chain []*x509.Certificate // intermediate, …, root
}

func newAuthority(ca *root.FulcioCertificateAuthority) *authority {
	return &authority{FulcioCertificateAuthority: ca}
}

// prepare proves the intermediates. Only the plainest shape is prepared (a
// root without name or path constraints that bite, and one intermediate below
// it); for any other, verifyChain goes the long way every time.
func (a *authority) prepare() {
	if plain := !constrained(a.Root) && (a.Root.MaxPathLen < 0 || a.Root.MaxPathLen >= 1 || !a.Root.BasicConstraintsValid); !plain {
		return
	}
	roots := x509.NewCertPool()
	roots.AddCert(a.Root)
	for _, mid := range a.Intermediates {
		if constrained(mid) || !mid.IsCA {
			continue
		}
		from, till := validity([]*x509.Certificate{mid, a.Root})
		if till.Before(from) {
			continue
		}
		_, err := mid.Verify(x509.VerifyOptions{
			Roots: roots, CurrentTime: from, KeyUsages: []x509.ExtKeyUsage{x509.ExtKeyUsageCodeSigning},
		})
		if err != nil {
			continue
		}
		pool := x509.NewCertPool()
		pool.AddCert(mid)
		a.anchors = append(a.anchors, anchor{pool: pool, chain: []*x509.Certificate{mid, a.Root}})
	}
}

func constrained(c *x509.Certificate) bool {
	return len(c.PermittedDNSDomains)+len(c.ExcludedDNSDomains)+len(c.PermittedIPRanges)+len(c.ExcludedIPRanges)+
		len(c.PermittedEmailAddresses)+len(c.ExcludedEmailAddresses)+len(c.PermittedURIDomains)+len(c.ExcludedURIDomains) > 0
}

// verifyChain verifies leaf at time t under this authority: RFC 5280 path
// validation with the code-signing usage, every certificate valid at t, and t
// inside the authority's own period.
func (a *authority) verifyChain(leaf *x509.Certificate, extra []*x509.Certificate, t time.Time) ([]*x509.Certificate, error) {
	if !a.ValidityPeriodStart.IsZero() && t.Before(a.ValidityPeriodStart) {
		return nil, errors.New("the certificate authority was not in use yet")
	}
	if !a.ValidityPeriodEnd.IsZero() && t.After(a.ValidityPeriodEnd) {
		return nil, errors.New("the certificate authority was not in use any more")
	}
	a.once.Do(a.prepare)
	usages := []x509.ExtKeyUsage{x509.ExtKeyUsageCodeSigning}
	for _, an := range a.anchors {
		chains, err := leaf.Verify(x509.VerifyOptions{Roots: an.pool, CurrentTime: t, KeyUsages: usages})
		if err != nil {
			continue
		}
		// The library checked leaf and intermediate at t; the root is left.
		if top := a.Root; t.Before(top.NotBefore) || t.After(top.NotAfter) {
			continue
		}
		return append(chains[0][:len(chains[0]):len(chains[0])], an.chain[1:]...), nil
	}
	roots, middle := x509.NewCertPool(), x509.NewCertPool()
	roots.AddCert(a.Root)
	for _, c := range a.Intermediates {
		middle.AddCert(c)
	}
	for _, c := range extra {
		middle.AddCert(c)
	}
	chains, err := leaf.Verify(x509.VerifyOptions{Roots: roots, Intermediates: middle, CurrentTime: t, KeyUsages: usages})
	if err != nil {
		return nil, err
	}
	return chains[0], nil
}

// proof is a leaf certificate that verified: its chain, by which authority,
// and whether its certificate transparency timestamp verifies.
type proof struct {
	authority *authority
	chain     []*x509.Certificate
	from      time.Time
	till      time.Time
	sct       error
}

func (p *proof) holds(t time.Time) bool {
	a := p.authority
	return !t.Before(p.from) && !t.After(p.till) &&
		(a.ValidityPeriodStart.IsZero() || !t.Before(a.ValidityPeriodStart)) &&
		(a.ValidityPeriodEnd.IsZero() || !t.After(a.ValidityPeriodEnd))
}

// prove verifies the leaf's chain at time t, and its SCT, or remembers both.
func (m *material) prove(leaf *x509.Certificate, extra []*x509.Certificate, t time.Time) (*proof, error) {
	key := certificateHash(leaf)
	if p := m.chains.get(key); p != nil && p.holds(t) {
		return p, nil
	}
	dropOtherName(leaf)
	err := errors.New("the trusted root names no certificate authority")
	for _, a := range m.authorities {
		var chain []*x509.Certificate
		if chain, err = a.verifyChain(leaf, extra, t); err != nil {
			continue
		}
		p := &proof{authority: a, chain: chain}
		p.from, p.till = validity(chain)
		p.sct = guarded("certificate transparency", func() error {
			return verify.VerifySignedCertificateTimestamp([][]*x509.Certificate{chain}, 1, m)
		})
		m.chains.put(key, p)
		return p, nil
	}
	return nil, err
}

// dropOtherName lets Go verify certificates whose only name is an OtherName,
// which Fulcio issues for user names: Go does not know that kind of name and
// calls the extension unhandled. The name itself is read by summarize.
func dropOtherName(leaf *x509.Certificate) {
	var left []asn1.ObjectIdentifier
	for _, oid := range leaf.UnhandledCriticalExtensions {
		if !oid.Equal(cryptoutils.SANOID) {
			left = append(left, oid)
		}
	}
	leaf.UnhandledCriticalExtensions = left
}

// chainCache remembers leaf certificates that verified, the least recently
// used one goes first. Only cryptographic facts are kept, no verdicts: which
// identity is trusted and at which time is judged anew for every signature.
type chainCache struct {
	mu    sync.Mutex
	order *list.List
	byKey map[[32]byte]*list.Element
}

type cached struct {
	key   [32]byte
	proof *proof
}

func newChainCache() *chainCache {
	return &chainCache{order: list.New(), byKey: map[[32]byte]*list.Element{}}
}

func (c *chainCache) get(key [32]byte) *proof {
	c.mu.Lock()
	defer c.mu.Unlock()
	e, ok := c.byKey[key]
	if !ok {
		return nil
	}
	c.order.MoveToFront(e)
	return e.Value.(cached).proof
}

func (c *chainCache) put(key [32]byte, p *proof) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if e, ok := c.byKey[key]; ok {
		e.Value = cached{key, p}
		c.order.MoveToFront(e)
		return
	}
	c.byKey[key] = c.order.PushFront(cached{key, p})
	if c.order.Len() > maxChains {
		last := c.order.Back()
		c.order.Remove(last)
		delete(c.byKey, last.Value.(cached).key)
	}
}
