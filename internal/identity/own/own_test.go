package own

import (
	"crypto/x509"
	"encoding/pem"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/apexlogic/apex/internal/clock"
	"github.com/apexlogic/apex/internal/identity"
	"github.com/apexlogic/apex/internal/identity/svid"
)

var start = time.Date(2026, 11, 23, 12, 0, 0, 0, time.UTC)

func open(t *testing.T, domain string, c clock.Clock) *Identity {
	t.Helper()
	i, err := Open(filepath.Join(t.TempDir(), "ca"), domain, "/apex/gateway", c)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { i.Close() })
	return i
}

func TestTheCertificateIsRenewedAtHalfItsLifeAndBelievedByTheBundle(t *testing.T) {
	now := clock.At(start)
	i := open(t, "vision.example", now)
	first, err := i.Certificate()
	if err != nil {
		t.Fatal(err)
	}
	half := first.Leaf.NotAfter.Sub(first.Leaf.NotBefore)/2 - now.Now().Sub(first.Leaf.NotBefore)
	now.Advance(half - time.Second)
	if same, _ := i.Certificate(); same != first {
		t.Error("it was renewed early")
	}
	now.Advance(time.Second)
	second, err := i.Certificate()
	if err != nil || second == first {
		t.Fatal("it was not renewed", err)
	}
	bundles, err := svid.NewBundles(i.CA.Bundle())
	if err != nil {
		t.Fatal(err)
	}
	p, err := svid.NewX509(bundles, now).Authenticate(t.Context(), &identity.Credentials{Peer: []*x509.Certificate{second.Leaf}})
	if err != nil || p.ID != i.ID || i.ID != "spiffe://vision.example/apex/gateway" {
		t.Errorf("%+v %v", p, err)
	}
	tokens, err := svid.NewJWT(bundles, []string{"captioner"}, now)
	if err != nil {
		t.Fatal(err)
	}
	for audience, allowed := range map[string]bool{"captioner": true, "other": false} {
		token, err := i.Token(audience)
		if err != nil {
			t.Fatal(err)
		}
		if p, err := tokens.Authenticate(t.Context(), &identity.Credentials{Bearer: token}); (err == nil && p.ID == i.ID) != allowed {
			t.Errorf("a token for %s: %v", audience, err)
		}
	}
}

func TestBundlesAreReadByTheNameOfTheirFile(t *testing.T) {
	i := open(t, "vision.example", clock.At(start))
	dir := t.TempDir()
	asJSON, err := i.CA.Bundle().Marshal()
	if err != nil {
		t.Fatal(err)
	}
	asPEM := pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: i.CA.Bundle().X509Authorities()[0].Raw})
	write := func(name string, data []byte) {
		if err := os.WriteFile(filepath.Join(dir, name), data, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	write("vision.example.json", asJSON)
	write("claims.example.pem", asPEM)
	write(".kept", []byte("of Kubernetes"))
	all, err := Domains(dir)
	if err != nil || len(all) != 2 || all[0].TrustDomain().Name() != "claims.example" || len(all[1].X509Authorities()) != 1 {
		t.Fatalf("%v %v", all, err)
	}
	for name, data := range map[string]string{"a.example.json": "{", "Vision.json": "{}", "b.example.txt": "x", "c.example.pem": "x"} {
		write(name, []byte(data))
		if _, err := Domains(dir); err == nil || !strings.Contains(err.Error(), name) {
			t.Errorf("%s: %v", name, err)
		}
		os.Remove(filepath.Join(dir, name))
	}
	if _, err := Domains(dir); err != nil {
		t.Error("without those:", err)
	}
}

func TestANameThatIsNoTrustDomainIsAnError(t *testing.T) {
	if _, err := Open(t.TempDir(), "Vision Example", "/a", clock.At(start)); err == nil {
		t.Error("a name with a space")
	}
	if _, err := Open(filepath.Join(t.TempDir(), "ca"), "vision.example", "no-slash", clock.At(start)); err == nil {
		t.Error("a path without a slash")
	}
}
