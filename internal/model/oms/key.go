package oms

import (
	"bytes"
	"crypto"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/rsa"
	"crypto/sha256"
	_ "crypto/sha512" // P-384 and P-521 keys sign SHA-384 and SHA-512
	"crypto/x509"
	"encoding/base64"
	"encoding/hex"
	"encoding/pem"
	"errors"
	"fmt"
	"strconv"
	"strings"

	"github.com/apexlogic/apex/internal/trust"
)

// Key is a public key that a policy trusts.
type Key struct {
	Name string // how the policy calls it
	// PEM is one block "PUBLIC KEY" (ECDSA P-256, P-384 or P-521, Ed25519, RSA
	// from 2048 bits); text above it, as GnuTLS writes it, is skipped.
	PEM []byte
}

// publicKey verifies with one key and the hash that belongs to it.
type publicKey struct {
	name string
	id   string // "sha256:<hex>" of the DER, as internal/trust has it
	der  []byte
	key  crypto.PublicKey
}

func (k *Key) parse() (*publicKey, error) {
	if len(k.PEM) > maxKeyPEM {
		return nil, fmt.Errorf("key %q: larger than %d bytes", k.Name, maxKeyPEM)
	}
	block, rest := pem.Decode(k.PEM)
	switch {
	case block == nil:
		return nil, fmt.Errorf(`key %q: no PEM block; expected "-----BEGIN PUBLIC KEY-----"`, k.Name)
	case strings.Contains(block.Type, "PRIVATE KEY"):
		return nil, fmt.Errorf("key %q: this is a private key; give the public one and keep this file secret", k.Name)
	case block.Type != "PUBLIC KEY":
		return nil, fmt.Errorf(`key %q: PEM block is %q, expected "PUBLIC KEY"`, k.Name, clip(block.Type))
	case len(bytes.TrimSpace(rest)) != 0:
		return nil, fmt.Errorf("key %q: something follows the PEM block; give one key per entry", k.Name)
	}
	pub, err := x509.ParsePKIXPublicKey(block.Bytes)
	if err != nil {
		return nil, fmt.Errorf("key %q: %w", k.Name, err)
	}
	return newPublicKey(k.Name, pub)
}

func newPublicKey(name string, pub crypto.PublicKey) (*publicKey, error) {
	if _, err := trust.PublicPEM(pub); err != nil { // which keys are accepted is trust's business
		return nil, err
	}
	der, err := x509.MarshalPKIXPublicKey(pub)
	if err != nil {
		return nil, fmt.Errorf("key: %w", err)
	}
	sum := sha256.Sum256(der)
	return &publicKey{name: name, id: "sha256:" + hex.EncodeToString(sum[:]), der: der, key: pub}, nil
}

// hint is how OMS bundles name a key: the hex SHA-256 of its PEM text, as every
// encoder writes it. A file's own text may differ from that.
func (k *publicKey) hint() string {
	sum := sha256.Sum256(pem.EncodeToMemory(&pem.Block{Type: "PUBLIC KEY", Bytes: k.der}))
	return hex.EncodeToString(sum[:])
}

// named says whether the bundle names this key, or why not. What a bundle says
// of its key is not signed, so this can only refuse.
func (k *publicKey) named(b *Bundle) error {
	if b.keyBytes != nil {
		der := b.keyBytes
		if block, _ := pem.Decode(der); block != nil {
			der = block.Bytes
		}
		if !bytes.Equal(der, k.der) {
			return errors.New("the key in the bundle is another one")
		}
	}
	der := sha256.Sum256(k.der)
	switch b.hint {
	case "", k.hint(), hex.EncodeToString(der[:]), base64.StdEncoding.EncodeToString(der[:]):
		return nil
	}
	return fmt.Errorf("the bundle names the key %q; this one is %q", clip(b.hint), k.hint())
}

// pae is DSSE's pre-authentication encoding: what is signed.
func pae(payload []byte) []byte {
	b := make([]byte, 0, len(payload)+64)
	b = append(b, "DSSEv1 "...)
	b = strconv.AppendInt(b, int64(len(payloadType)), 10)
	b = append(b, " "+payloadType+" "...)
	b = strconv.AppendInt(b, int64(len(payload)), 10)
	b = append(b, ' ')
	return append(b, payload...)
}

// paeV02 is what v0.2 of the reference implementation signed by mistake: another
// magic word, and the payload as Python prints a byte string.
func paeV02(payload []byte) []byte {
	b := make([]byte, 0, 2*len(payload)+64)
	b = append(b, "DSSEV1 "...)
	b = strconv.AppendInt(b, int64(len(payloadType)), 10)
	b = append(b, " "+payloadType+" "...)
	b = strconv.AppendInt(b, int64(len(payload)), 10)
	b = append(b, " b"...)
	quote := byte('\'')
	if bytes.IndexByte(payload, '\'') >= 0 && bytes.IndexByte(payload, '"') < 0 {
		quote = '"'
	}
	b = append(b, quote)
	for _, c := range payload {
		switch {
		case c == quote || c == '\\':
			b = append(b, '\\', c)
		case c == '\n':
			b = append(b, `\n`...)
		case c == '\r':
			b = append(b, `\r`...)
		case c == '\t':
			b = append(b, `\t`...)
		case c < ' ' || c >= 0x7f:
			const digits = "0123456789abcdef"
			b = append(b, '\\', 'x', digits[c>>4], digits[c&15])
		default:
			b = append(b, c)
		}
	}
	return append(b, quote)
}

// hashOf is the hash that belongs to a key; 0 for Ed25519, which hashes by itself.
func hashOf(pub crypto.PublicKey) crypto.Hash {
	switch key := pub.(type) {
	case ed25519.PublicKey:
		return 0
	case *ecdsa.PublicKey:
		switch key.Curve {
		case elliptic.P384():
			return crypto.SHA384
		case elliptic.P521():
			return crypto.SHA512
		}
	}
	return crypto.SHA256
}

// verifies says whether one of the signatures is this key's over the payload.
// old also accepts what v0.2 signed.
func (k *publicKey) verifies(b *Bundle, old bool) bool {
	tries := []struct {
		message []byte
		hash    crypto.Hash
	}{{pae(b.payload), hashOf(k.key)}}
	if old {
		quirk := paeV02(b.payload)
		tries = append(tries, tries[0], tries[0])
		tries[1].message, tries[2].message = quirk, quirk
		if tries[0].hash != 0 {
			tries[2].hash = crypto.SHA256 // whatever the curve
		}
	}
	for _, try := range tries {
		for _, sig := range b.signatures {
			if k.verify(try.message, sig, try.hash) {
				return true
			}
		}
	}
	return false
}

func (k *publicKey) verify(message, sig []byte, hash crypto.Hash) bool {
	if key, ok := k.key.(ed25519.PublicKey); ok {
		return ed25519.Verify(key, message, sig)
	}
	h := hash.New()
	h.Write(message)
	digest := h.Sum(nil)
	switch key := k.key.(type) {
	case *ecdsa.PublicKey:
		return ecdsa.VerifyASN1(key, digest, sig)
	case *rsa.PublicKey:
		return rsa.VerifyPKCS1v15(key, hash, digest, sig) == nil || rsa.VerifyPSS(key, hash, digest, sig, nil) == nil
	}
	return false
}
