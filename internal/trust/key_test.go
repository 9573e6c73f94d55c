package trust_test

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"crypto/x509"
	"encoding/pem"
	"errors"
	"io"
	"strings"
	"testing"
	"time"

	"github.com/sigstore/sigstore/pkg/cryptoutils"

	"github.com/apexlogic/apex/internal/fact"
	"github.com/apexlogic/apex/internal/trust"
	"github.com/apexlogic/apex/internal/trust/trusttest"
	"github.com/apexlogic/apex/verdict"
)

const repo = "registry.example/vision/captioner"

var now = time.Date(2026, 11, 23, 12, 0, 0, 0, time.UTC)

func TestEveryAcceptedKeyAlgorithmSignsAndVerifies(t *testing.T) {
	ec := func(c elliptic.Curve) crypto.Signer {
		k, err := ecdsa.GenerateKey(c, rand.Reader)
		if err != nil {
			t.Fatal(err)
		}
		return k
	}
	rsaKey, err := rsa.GenerateKey(rand.Reader, 2048)
	if err != nil {
		t.Fatal(err)
	}
	_, ed, err := ed25519.GenerateKey(rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	subject := trusttest.Digest("image")
	for name, signer := range map[string]crypto.Signer{
		"ECDSA P-256":            ec(elliptic.P256()),
		"ECDSA P-384":            ec(elliptic.P384()),
		"ECDSA P-521":            ec(elliptic.P521()),
		"RSA 2048 with PKCS 1.5": rsaKey,
		"RSA 2048 with PSS":      pssSigner{rsaKey},
		"Ed25519":                ed,
	} {
		t.Run(name, func(t *testing.T) {
			key := trusttest.KeyOf(t, signer)
			root := trusttest.Root(t, trust.Options{}, key.Entry("release"))
			bundle, err := trust.SignImage(signer, repo, subject, nil)
			if err != nil {
				t.Fatal(err)
			}
			got := root.VerifyBundle(bundle, subject, "here", now)
			if len(got.Signatures) != 1 || !got.Signatures[0].Valid() {
				t.Fatalf("got %+v", got)
			}
			other := trusttest.NewKey(t)
			got = trusttest.Root(t, trust.Options{}, other.Entry("release")).VerifyBundle(bundle, subject, "here", now)
			if got.Signatures[0].Code != verdict.SignatureUntrusted {
				t.Fatalf("under another key: %+v", got)
			}
		})
	}
}

// pssSigner signs with RSASSA-PSS whatever it is asked for, as some KMS do.
type pssSigner struct{ *rsa.PrivateKey }

func (s pssSigner) Sign(r io.Reader, digest []byte, _ crypto.SignerOpts) ([]byte, error) {
	return s.PrivateKey.Sign(r, digest, &rsa.PSSOptions{SaltLength: rsa.PSSSaltLengthEqualsHash, Hash: crypto.SHA256})
}

func TestWeakAndForeignKeysAreRefused(t *testing.T) {
	good := trusttest.NewKey(t)
	private, _, err := trust.GenerateKeyPair([]byte("pw"))
	if err != nil {
		t.Fatal(err)
	}
	marshal := func(pub any) []byte {
		der, err := x509.MarshalPKIXPublicKey(pub)
		if err != nil {
			t.Fatal(err)
		}
		return pem.EncodeToMemory(&pem.Block{Type: "PUBLIC KEY", Bytes: der})
	}
	p224, err := ecdsa.GenerateKey(elliptic.P224(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct {
		name, want string
		entry      trust.KeyEntry
	}{
		{"P-224", "P-256", trust.KeyEntry{PEM: marshal(p224.Public())}},
		{"a private key", "keep this file secret", trust.KeyEntry{PEM: private}},
		{"two keys in one file", "follows the PEM block", trust.KeyEntry{PEM: append(append([]byte{}, good.PEM...), good.PEM...)}},
		{"no PEM at all", "no PEM block", trust.KeyEntry{PEM: []byte("ssh-ed25519 AAAA")}},
		{"an unknown hash", "unknown hashAlgorithm", trust.KeyEntry{PEM: good.PEM, HashAlgorithm: "md5"}},
		{"a validity that ends before it begins", "before validUntil", trust.KeyEntry{PEM: good.PEM, ValidFrom: now, ValidUntil: now.Add(-1)}},
		{"a log that nothing names", "needs a trustedRoot", trust.KeyEntry{PEM: good.PEM, RequireLog: true}},
	} {
		t.Run(c.name, func(t *testing.T) {
			_, err := trust.Compile([]trust.Entry{{Name: "k", Key: &c.entry}}, trust.Options{})
			if err == nil || !strings.Contains(err.Error(), c.want) || !strings.Contains(err.Error(), `"k"`) {
				t.Fatalf("error %v, want one that names the entry and says %q", err, c.want)
			}
		})
	}
	if _, err := trust.Compile([]trust.Entry{good.Entry("k")}, trust.Options{}); err != nil {
		t.Fatalf("the twin, a good key: %v", err)
	}
}

func TestAKeyPairIsInCosignsFormat(t *testing.T) {
	private, public, err := trust.GenerateKeyPair([]byte("correct horse"))
	if err != nil {
		t.Fatal(err)
	}
	if !strings.HasPrefix(string(private), "-----BEGIN ENCRYPTED SIGSTORE PRIVATE KEY-----") {
		t.Fatalf("private key begins %.60q", private)
	}
	// sigstore's own loader, which cosign uses, reads it.
	theirs, err := cryptoutils.UnmarshalPEMToPrivateKey(private, func(bool) ([]byte, error) { return []byte("correct horse"), nil })
	if err != nil {
		t.Fatal(err)
	}
	pub, err := cryptoutils.UnmarshalPEMToPublicKey(public)
	if err != nil {
		t.Fatal(err)
	}
	if !theirs.(*ecdsa.PrivateKey).PublicKey.Equal(pub) {
		t.Fatal("public and private key differ")
	}
	ours, err := trust.LoadSigner(private, []byte("correct horse"))
	if err != nil || !ours.Public().(*ecdsa.PublicKey).Equal(pub) {
		t.Fatalf("LoadSigner: %v", err)
	}
	if _, err := trust.LoadSigner(private, []byte("wrong horse")); !errors.Is(err, trust.ErrPassword) {
		t.Fatalf("wrong password: %v", err)
	}
	if _, err := trust.LoadSigner(private, nil); !errors.Is(err, trust.ErrPasswordNeeded) {
		t.Fatalf("no password: %v", err)
	}
	// And theirs is read by us.
	pemText, _, err := cryptoutils.GeneratePEMEncodedECDSAKeyPair(elliptic.P256(), func(bool) ([]byte, error) { return []byte("x"), nil })
	if err != nil {
		t.Fatal(err)
	}
	if _, err := trust.LoadSigner(pemText, []byte("x")); err != nil {
		t.Fatal(err)
	}
}

func TestPlainPrivateKeysLoad(t *testing.T) {
	key, err := ecdsa.GenerateKey(elliptic.P384(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	sec1, err := x509.MarshalECPrivateKey(key)
	if err != nil {
		t.Fatal(err)
	}
	pkcs8, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		t.Fatal(err)
	}
	for kind, der := range map[string][]byte{"EC PRIVATE KEY": sec1, "PRIVATE KEY": pkcs8} {
		signer, err := trust.LoadSigner(pem.EncodeToMemory(&pem.Block{Type: kind, Bytes: der}), nil)
		if err != nil || !key.PublicKey.Equal(signer.Public()) {
			t.Errorf("%s: %v", kind, err)
		}
		if _, err := trust.LoadSigner(pem.EncodeToMemory(&pem.Block{Type: kind, Bytes: der[:20]}), nil); err == nil {
			t.Errorf("%s cut short: no error", kind)
		}
	}
}

func TestOneKeyUnderTwoNamesIsRefused(t *testing.T) {
	key, other := trusttest.NewKey(t), trusttest.NewKey(t)
	_, err := trust.Compile([]trust.Entry{key.Entry("a"), key.Entry("b")}, trust.Options{})
	if err == nil || !strings.Contains(err.Error(), "would count twice") {
		t.Fatalf("error %v", err)
	}
	if _, err := trust.Compile([]trust.Entry{key.Entry("a"), other.Entry("a")}, trust.Options{}); err == nil {
		t.Fatal("one name for two keys was accepted")
	}
	root, err := trust.Compile([]trust.Entry{key.Entry("a"), other.Entry("b")}, trust.Options{})
	if err != nil {
		t.Fatal(err)
	}
	if id, ok := root.KeyIDOf("a"); !ok || id != key.ID {
		t.Fatalf("KeyIDOf = %s, %v", id, ok)
	}
}

func TestTheHashFollowsTheMaterialAndNotItsOrder(t *testing.T) {
	a, b := trusttest.NewKey(t), trusttest.NewKey(t)
	base := trusttest.Root(t, trust.Options{}, a.Entry("a"), b.Entry("b")).Hash()
	if got := trusttest.Root(t, trust.Options{}, b.Entry("b"), a.Entry("a")).Hash(); got != base {
		t.Error("another order gave another hash")
	}
	windowed := a.Entry("a")
	windowed.Key = &trust.KeyEntry{PEM: a.PEM, ValidUntil: now}
	restricted := a.Entry("a")
	restricted.Formats = []fact.Format{fact.FormatBundle}
	for name, root := range map[string]*trust.Root{
		"another key":    trusttest.Root(t, trust.Options{}, a.Entry("a"), trusttest.NewKey(t).Entry("b")),
		"another name":   trusttest.Root(t, trust.Options{}, a.Entry("a"), b.Entry("c")),
		"a validity":     trusttest.Root(t, trust.Options{}, windowed, b.Entry("b")),
		"a format":       trusttest.Root(t, trust.Options{}, restricted, b.Entry("b")),
		"a revocation":   trusttest.Root(t, trust.Options{Revoked: []trust.Revoked{{KeyID: a.ID}}}, a.Entry("a"), b.Entry("b")),
		"a trusted root": trusttest.Root(t, trust.Options{TrustedRootJSON: trust.PublicGoodRoot()}, a.Entry("a"), b.Entry("b")),
	} {
		if root.Hash() == base {
			t.Errorf("%s did not change the hash", name)
		}
	}
}

func FuzzKeyPEM(f *testing.F) {
	private, public, err := trust.GenerateKeyPair([]byte("pw"))
	if err != nil {
		f.Fatal(err)
	}
	f.Add(private)
	f.Add(public)
	f.Add([]byte("-----BEGIN EC PARAMETERS-----\nBggqhkjOPQMBBw==\n-----END EC PARAMETERS-----\n"))
	f.Fuzz(func(t *testing.T, text []byte) {
		if len(text) < 4096 && !strings.Contains(string(text), "ENCRYPTED") { // scrypt is slow on purpose
			if s, err := trust.LoadSigner(text, nil); err == nil {
				if _, err := trust.SignImage(s, repo, trusttest.Digest("x"), nil); err != nil {
					t.Errorf("a key that loads does not sign: %v", err)
				}
			}
		}
		root, err := trust.Compile([]trust.Entry{{Name: "k", Key: &trust.KeyEntry{PEM: text}}}, trust.Options{})
		if err == nil {
			if _, ok := root.KeyIDOf("k"); !ok {
				t.Error("a key that compiles has no id")
			}
		}
	})
}
