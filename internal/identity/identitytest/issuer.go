// Package identitytest makes credentials for tests: an issuer with real keys,
// and tokens that must not be accepted, each beside one that must be.
//
// Start with [NewIssuer], [Issuer.Serve] and [Forgeries].
package identitytest

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/hmac"
	"crypto/rand"
	"crypto/rsa"
	"crypto/sha256"
	"crypto/sha512"
	"crypto/x509"
	"encoding/base64"
	"encoding/json"
	"encoding/pem"
	"hash"
	"maps"
	"math/big"
	"net/http"
	"net/http/httptest"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/go-jose/go-jose/v4"
)

// Issuer signs tokens with the keys "p256", "p384", "rsa", "rsa-only" (which is
// for RS256 alone) and "ed25519".
type Issuer struct {
	T      testing.TB
	URL    string // once it serves
	Pool   *x509.CertPool
	PEM    []byte // the certificate in Pool
	P256   *ecdsa.PrivateKey
	P384   *ecdsa.PrivateKey
	RSA    *rsa.PrivateKey
	Ed     ed25519.PrivateKey
	Asked  atomic.Int64 // requests for keys
	answer atomic.Pointer[http.HandlerFunc]
}

// oneRSA is made once for all tests of a program: making it is slow.
var oneRSA = sync.OnceValues(func() (*rsa.PrivateKey, error) { return rsa.GenerateKey(rand.Reader, 2048) })

// NewIssuer returns an issuer with new keys.
func NewIssuer(t testing.TB) *Issuer {
	t.Helper()
	i := &Issuer{T: t, P256: must(ecdsa.GenerateKey(elliptic.P256(), rand.Reader)), P384: must(ecdsa.GenerateKey(elliptic.P384(), rand.Reader)), RSA: must(oneRSA())}
	_, i.Ed, _ = ed25519.GenerateKey(rand.Reader)
	return i
}

func must[T any](v T, err error) T {
	if err != nil {
		panic(err)
	}
	return v
}

// Public are the public keys by their ids.
func (i *Issuer) Public() map[string]crypto.PublicKey {
	return map[string]crypto.PublicKey{
		"p256": &i.P256.PublicKey, "p384": &i.P384.PublicKey,
		"rsa": &i.RSA.PublicKey, "rsa-only": &i.RSA.PublicKey, "ed25519": i.Ed.Public(),
	}
}

// Keys is the JWK set.
func (i *Issuer) Keys() []byte {
	set := jose.JSONWebKeySet{}
	for id, public := range i.Public() {
		k := jose.JSONWebKey{Key: public, KeyID: id, Use: "sig"}
		if id == "rsa-only" {
			k.Algorithm = "RS256"
		}
		set.Keys = append(set.Keys, k)
	}
	return must(json.Marshal(set))
}

// Serve serves discovery and keys over TLS on 127.0.0.1 until the test ends.
func (i *Issuer) Serve() *Issuer {
	server := httptest.NewTLSServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if h := i.answer.Load(); h != nil {
			(*h)(w, r)
			return
		}
		i.Answer(w, r)
	}))
	i.T.Cleanup(server.Close)
	i.URL, i.Pool = server.URL, x509.NewCertPool()
	i.Pool.AddCert(server.Certificate())
	i.PEM = pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: server.Certificate().Raw})
	return i
}

// Answer is how an honest issuer answers.
func (i *Issuer) Answer(w http.ResponseWriter, r *http.Request) {
	w.Header().Set("Content-Type", "application/json")
	switch r.URL.Path {
	case "/.well-known/openid-configuration":
		json.NewEncoder(w).Encode(map[string]any{"issuer": i.URL, "jwks_uri": i.URL + "/keys"})
	case "/keys":
		i.Asked.Add(1)
		w.Write(i.Keys())
	default:
		http.NotFound(w, r)
	}
}

// Behave makes it answer otherwise; nil: honestly.
func (i *Issuer) Behave(h http.HandlerFunc) {
	if h == nil {
		i.answer.Store(nil)
		return
	}
	i.answer.Store(&h)
}

// Object is a JSON object.
type Object map[string]any

// With returns a copy with one member set, or without it when v is nil.
func (o Object) With(name string, v any) Object {
	o = maps.Clone(o)
	if o[name] = v; v == nil {
		delete(o, name)
	}
	return o
}

// String is the object as JSON.
func (o Object) String() string { return string(must(json.Marshal(o))) }

// Encode is base64url as tokens have it.
func Encode[T ~string | ~[]byte](v T) string { return base64.RawURLEncoding.EncodeToString([]byte(v)) }

// Token signs a header and claims, both as JSON texts, with an algorithm, which
// need not be the one that the header names.
func (i *Issuer) Token(algorithm, header, claims string) string {
	input := Encode(header) + "." + Encode(claims)
	return input + "." + Encode(i.Sign(algorithm, []byte(input)))
}

// Sign signs with the key that the issuer has for an algorithm.
func (i *Issuer) Sign(algorithm string, input []byte) []byte {
	s256, s384 := sha256.Sum256(input), sha512.Sum384(input)
	switch algorithm {
	case "ES256":
		return pair(i.P256, s256[:], 32)
	case "ES384":
		return pair(i.P384, s384[:], 48)
	case "RS256":
		return must(rsa.SignPKCS1v15(rand.Reader, i.RSA, crypto.SHA256, s256[:]))
	case "PS256":
		return must(rsa.SignPSS(rand.Reader, i.RSA, crypto.SHA256, s256[:], &rsa.PSSOptions{SaltLength: rsa.PSSSaltLengthEqualsHash}))
	case "EdDSA":
		return ed25519.Sign(i.Ed, input)
	}
	i.T.Fatalf("no key for %s", algorithm)
	return nil
}

func pair(k *ecdsa.PrivateKey, digest []byte, size int) []byte {
	r, s, err := ecdsa.Sign(rand.Reader, k, digest)
	out := make([]byte, 2*size)
	must(0, err)
	r.FillBytes(out[:size])
	s.FillBytes(out[size:])
	return out
}

// keyed is an HMAC over input with a public key taken for a secret.
func keyed(h func() hash.Hash, secret []byte, input string) string {
	m := hmac.New(h, secret)
	m.Write([]byte(input))
	return Encode(m.Sum(nil))
}

// Chain is a certificate that nobody signed but itself, as a client's chain.
func Chain(t testing.TB) []*x509.Certificate {
	t.Helper()
	k := must(ecdsa.GenerateKey(elliptic.P256(), rand.Reader))
	template := &x509.Certificate{SerialNumber: big.NewInt(1)}
	return []*x509.Certificate{must(x509.ParseCertificate(must(x509.CreateCertificate(rand.Reader, template, template, k.Public(), k))))}
}

// Parsed is a chain of certificates that are shown as DER.
func Parsed(t testing.TB, chain [][]byte) (all []*x509.Certificate) {
	t.Helper()
	for _, der := range chain {
		all = append(all, must(x509.ParseCertificate(der)))
	}
	return all
}
