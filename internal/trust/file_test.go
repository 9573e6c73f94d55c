package trust_test

import (
	"bytes"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"testing"
	"time"

	"github.com/apexlogic/apex/internal/trust"
	"github.com/apexlogic/apex/internal/trust/trusttest"
	"github.com/apexlogic/apex/verdict"
)

func TestAFileIsVerifiedByItsBytes(t *testing.T) {
	ec, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	_, ed, err := ed25519.GenerateKey(rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	rsaKey, err := rsa.GenerateKey(rand.Reader, 2048)
	if err != nil {
		t.Fatal(err)
	}
	content := []byte("Resources: {}\n")
	now := time.Date(2026, 11, 23, 0, 0, 0, 0, time.UTC)
	for name, key := range map[string]trusttest.Key{
		"ECDSA": trusttest.KeyOf(t, ec), "Ed25519": trusttest.KeyOf(t, ed), "RSA": trusttest.KeyOf(t, rsaKey),
	} {
		t.Run(name, func(t *testing.T) {
			root := trusttest.Root(t, trust.Options{}, key.Entry("author"))
			bundle, err := trust.SignFile(key.Signer, content)
			if err != nil {
				t.Fatal(err)
			}
			check := func(r *trust.Root, bundle, content []byte) verdict.Code {
				t.Helper()
				res := r.VerifyFile(bundle, content, "template.yaml", now)
				if len(res.Signatures) != 1 || len(res.Attestations) != 0 {
					t.Fatalf("%d signatures, %d attestations", len(res.Signatures), len(res.Attestations))
				}
				return res.Signatures[0].Code
			}
			if code := check(root, bundle, content); code != verdict.OK {
				t.Errorf("what was signed is refused: %s", code)
			}
			if code := check(root, bundle, append(bytes.Clone(content), '\n')); code == verdict.OK {
				t.Error("a changed file is accepted")
			}
			other := trusttest.Root(t, trust.Options{}, trusttest.NewKey(t).Entry("other"))
			if code := check(other, bundle, content); code == verdict.OK {
				t.Error("a key that nobody trusts is accepted")
			}
			// A bundle whose digest is another's, with the same signature.
			forged := bytes.Replace(bundle, []byte(`"digest":"`), []byte(`"digest":"A`), 1)
			if res := root.VerifyFile(forged, content, "template.yaml", now); len(res.Signatures) > 0 && res.Signatures[0].Code == verdict.OK {
				t.Error("a bundle about another digest is accepted")
			}
		})
	}
}
