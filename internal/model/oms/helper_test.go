package oms

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/json"
	"encoding/pem"
	"math/big"
	"os"
	"path/filepath"
	"testing"
	"time"
)

var now = time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)

// writeModel makes a folder of files; a name may have folders in it.
func writeModel(t testing.TB, files map[string]string) string {
	t.Helper()
	dir := filepath.Join(t.TempDir(), "tiny")
	if err := os.Mkdir(dir, 0o755); err != nil {
		t.Fatal(err)
	}
	for name, content := range files {
		write(t, filepath.Join(dir, filepath.FromSlash(name)), content)
	}
	return dir
}

func write(t testing.TB, path, content string) {
	t.Helper()
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(path, []byte(content), 0o644); err != nil {
		t.Fatal(err)
	}
}

// small is the model of most tests.
func small(t testing.TB) string {
	return writeModel(t, map[string]string{
		"config.json":         `{"architectures":["Tiny"]}`,
		"model.safetensors":   "weights weights weights weights",
		"tokenizer/merges":    "a b",
		"tokenizer-old.json":  "{}", // sorts around "tokenizer/" by either rule
		"tokenizer/empty.txt": "",
	})
}

func mustHash(t testing.TB, path string, o Options) *Hashed {
	t.Helper()
	h, err := Hash(t.Context(), path, o)
	if err != nil {
		t.Fatal(err)
	}
	return h
}

func mustSign(t testing.TB, m *Manifest, s Signer) []byte {
	t.Helper()
	raw, err := Sign(m, s)
	if err != nil {
		t.Fatal(err)
	}
	return raw
}

func must[T any](t testing.TB) func(T, error) T {
	return func(v T, err error) T {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
		return v
	}
}

func ecKey(t testing.TB, curve elliptic.Curve) *ecdsa.PrivateKey {
	return must[*ecdsa.PrivateKey](t)(ecdsa.GenerateKey(curve, rand.Reader))
}

func edKey(t testing.TB) ed25519.PrivateKey {
	_, key, err := ed25519.GenerateKey(rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	return key
}

func rsaKey(t testing.TB) *rsa.PrivateKey {
	return must[*rsa.PrivateKey](t)(rsa.GenerateKey(rand.Reader, 2048))
}

func publicPEM(t testing.TB, key crypto.Signer) []byte {
	der := must[[]byte](t)(x509.MarshalPKIXPublicKey(key.Public()))
	return pem.EncodeToMemory(&pem.Block{Type: "PUBLIC KEY", Bytes: der})
}

// trusting is a policy that trusts one key.
func trusting(t testing.TB, key crypto.Signer) Policy {
	return Policy{Keys: []Key{{Name: "release", PEM: publicPEM(t, key)}}, Now: now}
}

// ca is a certificate authority with an intermediate.
type ca struct {
	root, middle       *x509.Certificate
	rootKey, middleKey *ecdsa.PrivateKey
}

func newCA(t testing.TB) *ca {
	c := &ca{rootKey: ecKey(t, elliptic.P256()), middleKey: ecKey(t, elliptic.P256())}
	c.root = c.issue(t, &x509.Certificate{
		Subject: pkix.Name{CommonName: "root"}, IsCA: true, KeyUsage: x509.KeyUsageCertSign,
		NotBefore: now.AddDate(-5, 0, 0), NotAfter: now.AddDate(5, 0, 0),
	}, nil, c.rootKey.Public(), c.rootKey)
	c.middle = c.issue(t, &x509.Certificate{
		Subject: pkix.Name{CommonName: "middle"}, IsCA: true, KeyUsage: x509.KeyUsageCertSign,
		NotBefore: now.AddDate(-3, 0, 0), NotAfter: now.AddDate(3, 0, 0),
	}, c.root, c.middleKey.Public(), c.rootKey)
	return c
}

// leafTemplate is a good signing certificate.
func leafTemplate() *x509.Certificate {
	return &x509.Certificate{
		Subject:  pkix.Name{CommonName: "models", Organization: []string{"Example"}},
		KeyUsage: x509.KeyUsageDigitalSignature, ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageCodeSigning},
		NotBefore: now.AddDate(-1, 0, 0), NotAfter: now.AddDate(1, 0, 0),
	}
}

func (c *ca) leaf(t testing.TB, template *x509.Certificate, key crypto.Signer) []*x509.Certificate {
	return []*x509.Certificate{c.issue(t, template, c.middle, key.Public(), c.middleKey), c.middle}
}

func (c *ca) issue(t testing.TB, template, parent *x509.Certificate, pub crypto.PublicKey, key crypto.Signer) *x509.Certificate {
	t.Helper()
	template.SerialNumber = big.NewInt(now.UnixNano())
	template.BasicConstraintsValid = true
	if parent == nil {
		parent = template
	}
	der := must[[]byte](t)(x509.CreateCertificate(rand.Reader, template, parent, pub, key))
	return must[*x509.Certificate](t)(x509.ParseCertificate(der))
}

func (c *ca) rootPEM() []byte {
	return pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: c.root.Raw})
}

// node is a JSON object that a test changes.
type node = map[string]any

func decode(t testing.TB, raw []byte) node {
	t.Helper()
	var n node
	if err := json.Unmarshal(raw, &n); err != nil {
		t.Fatal(err)
	}
	return n
}

func encode(t testing.TB, n any) []byte {
	t.Helper()
	return must[[]byte](t)(json.Marshal(n))
}
