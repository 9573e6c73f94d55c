// Package trusttest makes the signed things that tests need: key pairs, a
// sigstore deployment of its own ([NewSigstore]: certificate authority,
// transparency log, certificate transparency log and timestamp authority, with
// a trusted_root.json), and a Notary Project authority ([NewNotation]). Every
// maker can also make the thing wrong in one chosen way, so that each denial
// has an allowing twin.
//
// Nothing here reads a network or a file. Keys are made anew in every process,
// except by the makers whose names say Fixed.
package trusttest

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/sha256"
	"crypto/sha512"
	"encoding/hex"
	"fmt"
	"testing"

	"github.com/apexlogic/apex/internal/trust"
	"github.com/apexlogic/apex/verdict"
)

// Key is a key pair for tests.
type Key struct {
	crypto.Signer
	PEM []byte // the public key, as trust.KeyEntry wants it
	ID  string
}

// NewKey makes an ECDSA P-256 key pair.
func NewKey(t testing.TB) Key {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	return KeyOf(t, key)
}

// FixedKey is a key pair that is the same in every process: a fuzz target's
// seeds are made in one process and judged in others.
func FixedKey(t testing.TB, label string) Key {
	t.Helper()
	return KeyOf(t, fixedKey(t, elliptic.P256(), label, 0))
}

// fixedKey derives the n-th key of a label. It is for tests only: whoever reads
// the label knows the key.
func fixedKey(t testing.TB, c elliptic.Curve, label string, n int) *ecdsa.PrivateKey {
	t.Helper()
	sum := sha512.Sum512(fmt.Appendf(nil, "apex test key %s %d", label, n))
	key, err := ecdsa.ParseRawPrivateKey(c, sum[:(c.Params().BitSize+7)/8])
	if err != nil {
		t.Fatal(err)
	}
	return key
}

// KeyOf wraps a private key of any kind.
func KeyOf(t testing.TB, signer crypto.Signer) Key {
	t.Helper()
	text, err := trust.PublicPEM(signer.Public())
	if err != nil {
		t.Fatal(err)
	}
	id, err := trust.KeyID(signer.Public())
	if err != nil {
		t.Fatal(err)
	}
	return Key{Signer: signer, PEM: text, ID: id}
}

// Entry is a trust root entry for the key.
func (k Key) Entry(name string) trust.Entry {
	return trust.Entry{Name: name, Key: &trust.KeyEntry{PEM: k.PEM}}
}

// Digest is the digest of the text: a subject for tests.
func Digest(text string) verdict.Digest {
	sum := sha256.Sum256([]byte(text))
	return verdict.Digest("sha256:" + hex.EncodeToString(sum[:]))
}

// Root compiles entries or fails the test.
func Root(t testing.TB, opts trust.Options, entries ...trust.Entry) *trust.Root {
	t.Helper()
	r, err := trust.Compile(entries, opts)
	if err != nil {
		t.Fatal(err)
	}
	return r
}
