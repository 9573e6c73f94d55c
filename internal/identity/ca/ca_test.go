package ca_test

import (
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"crypto/x509"
	"math/big"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/spiffe/go-spiffe/v2/spiffeid"
	"github.com/spiffe/go-spiffe/v2/svid/x509svid"

	"github.com/apexlogic/apex/internal/clock"
	"github.com/apexlogic/apex/internal/identity"
	"github.com/apexlogic/apex/internal/identity/ca"
	"github.com/apexlogic/apex/internal/identity/svid"
)

var (
	noon   = time.Date(2026, 11, 23, 12, 0, 0, 0, time.UTC)
	domain = spiffeid.RequireTrustDomainFromString("claims.example")
	intake = spiffeid.RequireFromString("spiffe://claims.example/intake")
)

func open(t testing.TB, dir string, c clock.Clock) *ca.CA {
	t.Helper()
	a, err := ca.Open(dir, domain, c)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { a.Close() })
	return a
}

func newKey(t testing.TB) *ecdsa.PrivateKey {
	t.Helper()
	k, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	return k
}

// accepts says who of a fresh certificate and a fresh token is believed with the
// bundle of an authority.
func accepts(t testing.TB, a *ca.CA, c clock.Clock, chain []*x509.Certificate, token string) (certificate, tok error) {
	t.Helper()
	bundles, err := svid.NewBundles(a.Bundle())
	if err != nil {
		t.Fatal(err)
	}
	_, certificate = svid.NewX509(bundles, c).Authenticate(t.Context(), &identity.Credentials{Peer: chain})
	j, err := svid.NewJWT(bundles, []string{"gateway"}, c)
	if err != nil {
		t.Fatal(err)
	}
	_, tok = j.Authenticate(t.Context(), &identity.Credentials{Bearer: token})
	return certificate, tok
}

func issue(t testing.TB, a *ca.CA, life time.Duration) ([]*x509.Certificate, string) {
	t.Helper()
	chain, err := a.IssueX509(intake, newKey(t).Public(), life)
	if err != nil {
		t.Fatal(err)
	}
	token, _, err := a.IssueJWT(intake, []string{"gateway"}, life)
	if err != nil {
		t.Fatal(err)
	}
	return chain, token
}

func TestWhatIsIssuedIsAcceptedUntilItExpires(t *testing.T) {
	now := clock.At(noon)
	a := open(t, t.TempDir(), now)
	chain, token := issue(t, a, 5*time.Minute)
	if c, j := accepts(t, a, now, chain, token); c != nil || j != nil {
		t.Errorf("fresh: %v, %v", c, j)
	}
	if id, _, err := x509svid.Verify(chain, a.Bundle().X509Bundle(), x509svid.WithTime(noon)); err != nil || id != intake {
		t.Errorf("by go-spiffe: %v, %v", id, err)
	}
	now.Advance(5 * time.Minute)
	if c, j := accepts(t, a, now, chain, token); c == nil || j == nil {
		t.Errorf("expired: %v, %v", c, j)
	}
	for _, life := range []time.Duration{0, time.Second, 10 * time.Minute, time.Hour} {
		chain, _ := issue(t, a, life)
		if got := chain[0].NotAfter.Sub(now.Now()); got < ca.MinLife || got > ca.MaxLife {
			t.Errorf("asked for %s, it lives %s", life, got)
		}
	}
}

func TestAnAuthorityIsOfATrustDomain(t *testing.T) {
	if _, err := ca.Open(t.TempDir(), spiffeid.TrustDomain{}, clock.At(noon)); err == nil {
		t.Error("there is an authority of nobody")
	}
}

func TestOnlyWorkloadsOfTheDomainWithStrongKeysGetAnIdentity(t *testing.T) {
	a := open(t, t.TempDir(), clock.At(noon))
	for name, id := range map[string]string{"another domain": "spiffe://vision.example/intake", "the domain itself": "spiffe://claims.example"} {
		if _, err := a.IssueX509(spiffeid.RequireFromString(id), newKey(t).Public(), ca.MinLife); err == nil {
			t.Errorf("%s got a certificate", name)
		}
		if _, _, err := a.IssueJWT(spiffeid.RequireFromString(id), []string{"a"}, ca.MinLife); err == nil {
			t.Errorf("%s got a token", name)
		}
	}
	for name, audience := range map[string][]string{"no audience": nil, "an empty one": {""}, "a long one": {strings.Repeat("a", 1000)}, "many": make([]string, 100)} {
		if _, _, err := a.IssueJWT(intake, audience, ca.MinLife); err == nil {
			t.Errorf("%s got a token", name)
		}
	}
	p224, _ := ecdsa.GenerateKey(elliptic.P224(), rand.Reader)
	small := &rsa.PublicKey{N: new(big.Int).Lsh(big.NewInt(1), 1023), E: 65537}
	public, _, _ := ed25519.GenerateKey(rand.Reader)
	for name, k := range map[string]any{"P-224": p224.Public(), "RSA of 1024 bits": small, "no key": nil} {
		if ca.CheckKey(k) == nil {
			t.Errorf("%s is taken", name)
		}
	}
	for name, k := range map[string]any{"P-256": newKey(t).Public(), "Ed25519": public} {
		if _, err := a.IssueX509(intake, k, ca.MinLife); err != nil {
			t.Errorf("%s: %v", name, err)
		}
	}
}

// Steps of 7 minutes over five days: at each, the oldest that was issued and is
// not expired is accepted by who has the bundle of now, and what is issued now by
// who has the oldest bundle that is younger than Overlap.
func TestNobodyIsCutOffByARotation(t *testing.T) {
	now := clock.At(noon)
	dir := t.TempDir()
	a := open(t, dir, now)
	type seen struct {
		at      time.Time
		bundles *svid.Bundles
		chain   []*x509.Certificate
		token   string
	}
	var past []seen
	authorities := map[string]bool{}
	for range 5 * 24 * 60 / 7 {
		if err := a.Rotate(); err != nil {
			t.Fatal(err)
		}
		bundle := a.Bundle()
		if n := len(bundle.X509Authorities()); n < 1 || n > 3 {
			t.Fatalf("%s: %d authorities", now.Now(), n)
		}
		for _, c := range bundle.X509Authorities() {
			authorities[c.SerialNumber.String()] = true
		}
		bundles, err := svid.NewBundles(bundle)
		if err != nil {
			t.Fatal(err)
		}
		chain, token := issue(t, a, ca.MaxLife)
		past = append(past, seen{now.Now(), bundles, chain, token})
		for len(past) > 0 && now.Now().Sub(past[0].at) >= ca.Overlap {
			past = past[1:]
		}
		for _, p := range past[:1] {
			if _, err := svid.NewX509(p.bundles, now).Authenticate(t.Context(), &identity.Credentials{Peer: chain}); err != nil {
				t.Fatalf("%s: who has the bundle of %s refuses a new certificate: %v", now.Now(), p.at, err)
			}
			if c, j := accepts(t, a, now, p.chain, p.token); c != nil || j != nil {
				t.Fatalf("%s: what was issued at %s is refused: %v, %v", now.Now(), p.at, c, j)
			}
		}
		now.Advance(7 * time.Minute)
	}
	if n := len(authorities); n < 5 || n > 6 {
		t.Errorf("%d authorities in five days", n)
	}
}

func TestAuthoritiesOutliveTheProcess(t *testing.T) {
	now := clock.At(noon)
	dir := t.TempDir()
	a := open(t, dir, now)
	chain, token := issue(t, a, ca.MaxLife)
	if _, err := ca.Open(dir, domain, now); err == nil || !strings.Contains(err.Error(), "in use") {
		t.Errorf("a second process: %v", err)
	}
	a.Close()
	b := open(t, dir, now)
	if c, j := accepts(t, b, now, chain, token); c != nil || j != nil {
		t.Errorf("after a restart: %v, %v", c, j)
	}
	if info, err := os.Stat(filepath.Join(dir, "authorities.json")); err != nil || info.Mode().Perm() != 0o600 {
		t.Errorf("the file of keys: %v, %v", info.Mode(), err)
	}
	b.Close()
	// Longer than all of them live.
	now.Advance(30 * 24 * time.Hour)
	c := open(t, dir, now)
	chain, token = issue(t, c, ca.MaxLife)
	if c, j := accepts(t, c, now, chain, token); c != nil || j != nil {
		t.Errorf("after a month: %v, %v", c, j)
	}
}

func TestACrashLeavesTheOldAuthoritiesOrTheNew(t *testing.T) {
	now := clock.At(noon)
	dir := t.TempDir()
	a := open(t, dir, now)
	chain, token := issue(t, a, ca.MaxLife)
	a.Close()
	file := filepath.Join(dir, "authorities.json")
	before, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	// The death of a process between writing and renaming leaves a part beside.
	for _, n := range []int{0, 1, len(before) / 2, len(before)} {
		if err := os.WriteFile(file+".new", before[:n], 0o600); err != nil {
			t.Fatal(err)
		}
		b := open(t, dir, now)
		if c, j := accepts(t, b, now, chain, token); c != nil || j != nil {
			t.Errorf("%d bytes beside: %v, %v", n, c, j)
		}
		if _, err := os.Stat(file + ".new"); !os.IsNotExist(err) {
			t.Errorf("the part stays: %v", err)
		}
		b.Close()
	}
	// A disk that cannot be written to when it is time to rotate: the old ones go on.
	b := open(t, dir, now)
	if err := os.MkdirAll(filepath.Join(file+".new", "in the way"), 0o700); err != nil {
		t.Fatal(err)
	}
	now.Advance(24*time.Hour + time.Minute)
	if err := b.Rotate(); err == nil {
		t.Error("the rotation succeeds on a disk that it cannot write to")
	}
	if n := len(b.Bundle().X509Authorities()); n != 1 {
		t.Errorf("%d authorities after a rotation that failed", n)
	}
	issue(t, b, ca.MaxLife)
	os.RemoveAll(file + ".new")
	changed := b.Changed()
	if err := b.Rotate(); err != nil || len(b.Bundle().X509Authorities()) != 2 {
		t.Errorf("its twin: %v", err)
	}
	<-changed
}

func TestAuthoritiesThatCannotBeTrustedAreNotReplacedInSilence(t *testing.T) {
	for name, harm := range map[string]func(dir, file string, data []byte) error{
		"a file that others may read":          func(_, file string, _ []byte) error { return os.Chmod(file, 0o640) },
		"a directory that others may write to": func(dir, _ string, _ []byte) error { return os.Chmod(dir, 0o770) },
		"an empty file":                        func(_, file string, _ []byte) error { return os.WriteFile(file, nil, 0o600) },
		"half a file":                          func(_, file string, d []byte) error { return os.WriteFile(file, d[:len(d)/2], 0o600) },
		"a key of another authority": func(_, file string, d []byte) error {
			k, _ := x509.MarshalPKCS8PrivateKey(mustKey())
			return os.WriteFile(file, replaceKey(d, k), 0o600)
		},
	} {
		t.Run(name, func(t *testing.T) {
			dir := filepath.Join(t.TempDir(), "ca")
			now := clock.At(noon)
			open(t, dir, now).Close()
			open(t, dir, now).Close() // the twin
			file := filepath.Join(dir, "authorities.json")
			data, err := os.ReadFile(file)
			if err != nil {
				t.Fatal(err)
			}
			if err := harm(dir, file, data); err != nil {
				t.Fatal(err)
			}
			after, _ := os.ReadFile(file)
			a, err := ca.Open(dir, domain, now)
			if err == nil {
				a.Close()
				t.Fatal("it was opened")
			}
			if now, _ := os.ReadFile(file); string(now) != string(after) {
				t.Error("the file was changed")
			}
		})
	}
	dir := filepath.Join(t.TempDir(), "ca")
	open(t, dir, clock.At(noon)).Close()
	if a, err := ca.Open(dir, spiffeid.RequireTrustDomainFromString("vision.example"), clock.At(noon)); err == nil {
		a.Close()
		t.Error("another domain opened it")
	}
}

func TestAClockBeforeTheAuthoritiesIssuesNothing(t *testing.T) {
	now := clock.At(noon)
	a := open(t, t.TempDir(), now)
	now.Advance(-time.Hour)
	if _, err := a.IssueX509(intake, newKey(t).Public(), ca.MinLife); err == nil {
		t.Error("a certificate was issued before its authority began")
	}
	now.Advance(time.Hour)
	if _, err := a.IssueX509(intake, newKey(t).Public(), ca.MinLife); err != nil {
		t.Error(err)
	}
}

func TestThePublicKeysAreReadWhileAnotherProcessIssues(t *testing.T) {
	now, dir := clock.At(noon), t.TempDir()
	if _, err := ca.Published(dir, now); err == nil {
		t.Error("a directory without authorities has a bundle")
	}
	a := open(t, dir, now)
	now.Advance(25 * time.Hour)
	if err := a.Rotate(); err != nil {
		t.Fatal(err)
	}
	b, err := ca.Published(dir, now)
	if err != nil || !b.Equal(a.Bundle()) || len(b.X509Authorities()) != 2 {
		t.Errorf("%v, %v", b, err)
	}
	if err := os.Chmod(filepath.Join(dir, "authorities.json"), 0o644); err != nil {
		t.Fatal(err)
	}
	if _, err := ca.Published(dir, now); err == nil {
		t.Error("keys that everybody may read are taken")
	}
}
