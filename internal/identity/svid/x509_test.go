package svid_test

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/sha256"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/asn1"
	"errors"
	"math/big"
	"net/url"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/spiffe/go-spiffe/v2/bundle/spiffebundle"
	"github.com/spiffe/go-spiffe/v2/spiffeid"

	"github.com/apexlogic/apex/internal/clock"
	"github.com/apexlogic/apex/internal/identity"
	"github.com/apexlogic/apex/internal/identity/svid"
	"github.com/apexlogic/apex/verdict"
)

var (
	noon   = time.Date(2026, 11, 23, 12, 0, 0, 0, time.UTC)
	claims = spiffeid.RequireTrustDomainFromString("claims.example")
	vision = spiffeid.RequireTrustDomainFromString("vision.example")
)

// party has a certificate and its key.
type party struct {
	certificate *x509.Certificate
	key         *ecdsa.PrivateKey
}

// issue signs a certificate; by is nil for one that signs itself.
func issue(t testing.TB, by *party, change func(*x509.Certificate)) *party {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	serial, _ := rand.Int(rand.Reader, big.NewInt(1<<62))
	c := &x509.Certificate{SerialNumber: serial, NotBefore: noon.Add(-time.Minute), NotAfter: noon.Add(10 * time.Minute), BasicConstraintsValid: true}
	change(c)
	parent, signer := c, key
	if by != nil {
		parent, signer = by.certificate, by.key
	}
	der, err := x509.CreateCertificate(rand.Reader, c, parent, crypto.PublicKey(key.Public()), signer)
	if err != nil {
		t.Fatal(err)
	}
	parsed, err := x509.ParseCertificate(der)
	if err != nil {
		t.Fatal(err)
	}
	return &party{parsed, key}
}

func authority(id string, life time.Duration) func(*x509.Certificate) {
	return func(c *x509.Certificate) {
		c.IsCA, c.KeyUsage, c.URIs = true, x509.KeyUsageCertSign, uris(id)
		c.NotBefore, c.NotAfter = noon.Add(-time.Hour), noon.Add(life)
	}
}

func workload(ids ...string) func(*x509.Certificate) {
	return func(c *x509.Certificate) {
		c.KeyUsage, c.ExtKeyUsage = x509.KeyUsageDigitalSignature, []x509.ExtKeyUsage{x509.ExtKeyUsageClientAuth, x509.ExtKeyUsageServerAuth}
		c.URIs = uris(ids...)
	}
}

func uris(ids ...string) (all []*url.URL) {
	for _, id := range ids {
		u, err := url.Parse(id)
		if err != nil {
			panic(err)
		}
		all = append(all, u)
	}
	return all
}

func TestACertificateIsAnIdentityOnlyOfItsOwnTrustDomain(t *testing.T) {
	root := issue(t, nil, authority("spiffe://claims.example", time.Hour))
	other := issue(t, nil, authority("spiffe://vision.example", time.Hour))
	stranger := issue(t, nil, authority("spiffe://claims.example", time.Hour))
	between := issue(t, root, authority("spiffe://claims.example", 5*time.Minute))
	expired := issue(t, root, authority("spiffe://claims.example", -time.Minute))
	colleague := issue(t, root, workload("spiffe://claims.example/report"))
	last := issue(t, root, func(c *x509.Certificate) {
		authority("spiffe://claims.example", 5*time.Minute)(c)
		c.MaxPathLenZero = true // it certifies workloads, and no other authorities
	})
	behindLast := issue(t, last, authority("spiffe://claims.example", 5*time.Minute))
	bundles, err := svid.NewBundles(
		spiffebundle.FromX509Authorities(claims, []*x509.Certificate{root.certificate}),
		spiffebundle.FromX509Authorities(vision, []*x509.Certificate{other.certificate}))
	if err != nil {
		t.Fatal(err)
	}
	a := svid.NewX509(bundles, clock.At(noon))
	const intake = "spiffe://claims.example/intake"
	with := func(base func(*x509.Certificate), change func(*x509.Certificate)) func(*x509.Certificate) {
		return func(c *x509.Certificate) { base(c); change(c) }
	}
	for _, tt := range []struct {
		name string
		by   *party
		leaf func(*x509.Certificate)
		also []*party
		want verdict.Code
	}{
		{"as it should be", root, workload(intake), nil, ""},
		{"without an extended key usage", root, with(workload(intake), func(c *x509.Certificate) { c.ExtKeyUsage = nil }), nil, ""},
		{"by an intermediate that is shown", between, workload(intake), []*party{between}, ""},
		{"by an intermediate that is not shown", between, workload(intake), nil, verdict.IdentitySignature},
		{"by an intermediate that has expired", expired, workload(intake), []*party{expired}, verdict.IdentityExpired},
		{"of another trusted domain, by its own authority", other, workload("spiffe://vision.example/intake"), nil, ""},
		{"of one domain, by the authority of another", other, workload(intake), nil, verdict.IdentitySignature},
		{"by a stranger of the same name", stranger, workload(intake), nil, verdict.IdentitySignature},
		{"by a stranger who is shown", stranger, workload(intake), []*party{stranger}, verdict.IdentitySignature},
		{"by itself", nil, workload(intake), nil, verdict.IdentitySignature},
		{"of a domain that is not trusted", root, workload("spiffe://other.example/intake"), nil, verdict.IdentityUntrusted},
		{"without an identity", root, workload(), nil, verdict.IdentityMalformed},
		{"with two identities", root, workload(intake, "spiffe://claims.example/admin"), nil, verdict.IdentityMalformed},
		{"with a web address", root, workload("https://claims.example/intake"), nil, verdict.IdentityMalformed},
		{"of the domain itself", root, workload("spiffe://claims.example"), nil, verdict.IdentityMalformed},
		{"of a domain in upper case", root, workload("spiffe://Claims.example/intake"), nil, verdict.IdentityMalformed},
		{"with a port", root, workload("spiffe://claims.example:1/intake"), nil, verdict.IdentityMalformed},
		{"with dots in its path", root, workload("spiffe://claims.example/a/../intake"), nil, verdict.IdentityMalformed},
		{"of an authority", root, with(workload(intake), func(c *x509.Certificate) { c.IsCA = true }), nil, verdict.IdentityMalformed},
		{"that may sign certificates", root, with(workload(intake), func(c *x509.Certificate) { c.KeyUsage |= x509.KeyUsageCertSign }), nil, verdict.IdentityMalformed},
		{"that may not sign at all", root, with(workload(intake), func(c *x509.Certificate) { c.KeyUsage = x509.KeyUsageKeyAgreement }), nil, verdict.IdentityMalformed},
		{"for servers only", root, with(workload(intake), func(c *x509.Certificate) { c.ExtKeyUsage = []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth} }), nil, verdict.IdentityMalformed},
		{"that has expired", root, with(workload(intake), func(c *x509.Certificate) { c.NotAfter = noon }), nil, verdict.IdentityExpired},
		{"that is not valid yet", root, with(workload(intake), func(c *x509.Certificate) { c.NotBefore = noon.Add(time.Second) }), nil, verdict.IdentityExpired},
		{"by another workload", colleague, workload(intake), []*party{colleague}, verdict.IdentitySignature},
		{"by an authority that may certify workloads only", last, workload(intake), []*party{last}, ""},
		{"by one that such an authority certified", behindLast, workload(intake), []*party{behindLast, last}, verdict.IdentitySignature},
		{"by an intermediate, as that of a domain that it is not of", between, workload("spiffe://vision.example/intake"), []*party{between}, verdict.IdentitySignature},
		{"with percent signs in its path", root, workload("spiffe://claims.example/in%74ake"), nil, verdict.IdentityMalformed},
		{"with a zero byte in its path", root, workload("spiffe://claims.example/intake%00"), nil, verdict.IdentityMalformed},
		{"with a slash at its end", root, workload("spiffe://claims.example/intake/"), nil, verdict.IdentityMalformed},
		{"with a query", root, workload("spiffe://claims.example/intake?admin"), nil, verdict.IdentityMalformed},
		{"with a user", root, workload("spiffe://admin@claims.example/intake"), nil, verdict.IdentityMalformed},
		{"longer than an identity may be", root, workload("spiffe://claims.example/" + strings.Repeat("a", 2048)), nil, verdict.IdentityMalformed},
		{"of a domain that ends like a trusted one", root, workload("spiffe://my.claims.example/intake"), nil, verdict.IdentityUntrusted},
		{"of a domain that begins like a trusted one", root, workload("spiffe://claims.example.evil.org/intake"), nil, verdict.IdentityUntrusted},
		{"with a name in the DNS beside its identity", root, with(workload(intake), func(c *x509.Certificate) { c.DNSNames = []string{"admin.claims.example"} }), nil, ""},
		{"with a condition that nobody knows", root, with(workload(intake), func(c *x509.Certificate) {
			c.ExtraExtensions = []pkix.Extension{{Id: asn1.ObjectIdentifier{1, 3, 6, 1, 4, 1, 99999, 1}, Critical: true, Value: []byte{5, 0}}}
		}), nil, verdict.IdentitySignature},
		{"for signing code", root, with(workload(intake), func(c *x509.Certificate) { c.ExtKeyUsage = []x509.ExtKeyUsage{x509.ExtKeyUsageCodeSigning} }), nil, verdict.IdentityMalformed},
		{"that may sign lists of revoked ones", root, with(workload(intake), func(c *x509.Certificate) { c.KeyUsage |= x509.KeyUsageCRLSign }), nil, verdict.IdentityMalformed},
		{"that is larger than any", root, with(workload(intake), func(c *x509.Certificate) {
			c.DNSNames = slices.Repeat([]string{strings.Repeat("a", 60) + ".example"}, 300)
		}), nil, verdict.IdentityMalformed},
		{"beside too many others", root, workload(intake), slices.Repeat([]*party{between}, 6), verdict.IdentityMalformed},
	} {
		t.Run(tt.name, func(t *testing.T) {
			leaf := issue(t, tt.by, tt.leaf).certificate
			c := &identity.Credentials{Peer: []*x509.Certificate{leaf}}
			for _, p := range tt.also {
				c.Peer = append(c.Peer, p.certificate)
			}
			p, err := a.Authenticate(t.Context(), c)
			if tt.want != "" {
				if r, ok := errors.AsType[*identity.Refusal](err); !ok || r.Code != tt.want || p != nil {
					t.Fatalf("got %v, %v; want %s", p, err, tt.want)
				}
				return
			}
			if err != nil {
				t.Fatal(err)
			}
			until := leaf.NotAfter
			if tt.by == between || tt.by == last {
				until = tt.by.certificate.NotAfter
			}
			if p.ID != leaf.URIs[0].String() || p.Method != identity.X509SVID || p.Subject != "/intake" || !p.NotAfter.Equal(until) || p.Credential != sha256.Sum256(leaf.RawTBSCertificate) {
				t.Errorf("got %+v", p)
			}
		})
	}
	if _, err := a.Authenticate(t.Context(), &identity.Credentials{Bearer: "x"}); !errors.Is(err, identity.ErrOther) {
		t.Errorf("a token: %v", err)
	}
}

func TestARotatedAuthorityIsTrustedFromOneMomentToTheNext(t *testing.T) {
	old, next := issue(t, nil, authority("spiffe://claims.example", time.Hour)), issue(t, nil, authority("spiffe://claims.example", time.Hour))
	bundle := func(all ...*party) *spiffebundle.Bundle {
		b := spiffebundle.New(claims)
		for _, p := range all {
			b.AddX509Authority(p.certificate)
		}
		return b
	}
	bundles, err := svid.NewBundles(bundle(old))
	if err != nil {
		t.Fatal(err)
	}
	a := svid.NewX509(bundles, clock.At(noon))
	leaf := func(by *party) *identity.Credentials {
		return &identity.Credentials{Peer: []*x509.Certificate{issue(t, by, workload("spiffe://claims.example/intake")).certificate}}
	}
	ofOld, ofNext, generation := leaf(old), leaf(next), a.Generation()
	for _, step := range []struct {
		trusted       []*party
		byOld, byNext bool
	}{{[]*party{old}, true, false}, {[]*party{old, next}, true, true}, {[]*party{next}, false, true}, {nil, false, false}} {
		if err := bundles.Set(bundle(step.trusted...)); err != nil {
			t.Fatal(err)
		}
		_, errOld := a.Authenticate(t.Context(), ofOld)
		_, errNext := a.Authenticate(t.Context(), ofNext)
		if (errOld == nil) != step.byOld || (errNext == nil) != step.byNext {
			t.Errorf("%d authorities: %v, %v", len(step.trusted), errOld, errNext)
		}
		if g := a.Generation(); g <= generation {
			t.Errorf("the generation stays %d", g)
		} else {
			generation = g
		}
	}
	// A set that is wrong changes nothing.
	leafAsRoot := issue(t, old, workload("spiffe://claims.example/intake"))
	bundles.Set(bundle(old))
	for name, wrong := range map[string][]*spiffebundle.Bundle{
		"one domain twice":             {bundle(next), bundle(next)},
		"a leaf as an authority":       {bundle(next, leafAsRoot)},
		"an authority of another name": {spiffebundle.FromX509Authorities(vision, []*x509.Certificate{next.certificate})},
	} {
		if err := bundles.Set(wrong...); err == nil {
			t.Errorf("%s is taken", name)
		}
		if _, err := a.Authenticate(t.Context(), ofOld); err != nil {
			t.Errorf("after %s: %v", name, err)
		}
	}
}

func TestTokensNeedAnAudience(t *testing.T) {
	bundles, err := svid.NewBundles()
	if err != nil {
		t.Fatal(err)
	}
	for _, audiences := range [][]string{nil, {""}, {"a", ""}} {
		if _, err := svid.NewJWT(bundles, audiences, clock.At(noon)); err == nil {
			t.Errorf("%q is taken", audiences)
		}
	}
	if _, err := svid.NewJWT(bundles, []string{"a"}, clock.At(noon)); err != nil {
		t.Error(err)
	}
}
