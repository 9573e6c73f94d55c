package trust

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
	"strings"
)

// RSA moduli outside of these bounds are refused: smaller ones can be broken
// (NIST SP 800-131A), larger ones only cost time.
const (
	minRSABits = 2048
	maxRSABits = 8192
)

// maxKeyPEM is generous for the PEM of an RSA-8192 key.
const maxKeyPEM = 16 << 10

// KeyID names a public key: "sha256:" and the hex SHA-256 of its DER
// (SubjectPublicKeyInfo, RFC 5280 §4.1). It is what [fact.Signing] and
// [Revoked] call KeyID.
func KeyID(pub crypto.PublicKey) (string, error) {
	der, err := x509.MarshalPKIXPublicKey(pub)
	if err != nil {
		return "", fmt.Errorf("key id: %w", err)
	}
	return keyIDOf(der), nil
}

func keyIDOf(spki []byte) string {
	sum := sha256.Sum256(spki)
	return "sha256:" + hex.EncodeToString(sum[:])
}

// hintOf is the public key hint that cosign puts into bundles: the base64 of
// the same hash.
func hintOf(spki []byte) string {
	sum := sha256.Sum256(spki)
	return base64.StdEncoding.EncodeToString(sum[:])
}

// publicKey verifies with one key and one hash.
type publicKey struct {
	id   string
	hint string
	spki []byte
	key  crypto.PublicKey
	hash crypto.Hash // 0 for Ed25519
}

// parsePublicKey reads exactly one PEM block "PUBLIC KEY". hash is "", "sha256",
// "sha384" or "sha512".
func parsePublicKey(text []byte, hash string) (*publicKey, error) {
	if len(text) > maxKeyPEM {
		return nil, fmt.Errorf("key: larger than %d bytes", maxKeyPEM)
	}
	block, rest := pem.Decode(text)
	if block == nil {
		return nil, errors.New(`key: no PEM block; expected "-----BEGIN PUBLIC KEY-----"`)
	}
	switch {
	case strings.Contains(block.Type, "PRIVATE KEY"):
		return nil, errors.New("key: this is a private key; give the public one and keep this file secret")
	case block.Type != "PUBLIC KEY":
		return nil, fmt.Errorf(`key: PEM block is %q, expected "PUBLIC KEY"`, clip(block.Type))
	case len(bytes.TrimSpace(rest)) != 0:
		return nil, errors.New("key: something follows the PEM block; give one key per entry")
	}
	pub, err := x509.ParsePKIXPublicKey(block.Bytes)
	if err != nil {
		return nil, fmt.Errorf("key: %w", err)
	}
	return newPublicKey(pub, hash)
}

func newPublicKey(pub crypto.PublicKey, hash string) (*publicKey, error) {
	if err := acceptable(pub); err != nil {
		return nil, err
	}
	k := &publicKey{key: pub}
	if _, pure := pub.(ed25519.PublicKey); pure {
		if hash != "" {
			return nil, fmt.Errorf("key: Ed25519 hashes by itself; leave hashAlgorithm %q out", clip(hash))
		}
	} else {
		switch hash {
		case "", "sha256":
			k.hash = crypto.SHA256
		case "sha384":
			k.hash = crypto.SHA384
		case "sha512":
			k.hash = crypto.SHA512
		default:
			return nil, fmt.Errorf("key: unknown hashAlgorithm %q (one of sha256, sha384, sha512)", clip(hash))
		}
	}
	spki, err := x509.MarshalPKIXPublicKey(pub)
	if err != nil {
		return nil, fmt.Errorf("key: %w", err)
	}
	k.spki, k.id, k.hint = spki, keyIDOf(spki), hintOf(spki)
	return k, nil
}

// acceptable refuses keys that nobody should trust.
func acceptable(pub crypto.PublicKey) error {
	switch key := pub.(type) {
	case *ecdsa.PublicKey:
		switch key.Curve {
		case elliptic.P256(), elliptic.P384(), elliptic.P521():
			return nil
		}
		return errors.New("key: ECDSA curve is not P-256, P-384 or P-521")
	case *rsa.PublicKey:
		if n := key.N.BitLen(); n < minRSABits || n > maxRSABits {
			return fmt.Errorf("key: RSA modulus has %d bits, expected %d to %d", n, minRSABits, maxRSABits)
		}
		return nil
	case ed25519.PublicKey:
		return nil
	}
	return fmt.Errorf("key: algorithm %T is not accepted (ECDSA, RSA or Ed25519)", pub)
}

// verify reports whether sig is this key's signature over message. RSA keys may
// have signed with PKCS #1 v1.5 or PSS (RFC 8017 §8): both hash the whole message.
func (k *publicKey) verify(message, sig []byte) bool {
	if key, ok := k.key.(ed25519.PublicKey); ok {
		return len(sig) == ed25519.SignatureSize && ed25519.Verify(key, message, sig)
	}
	if k.hash == crypto.SHA256 { // without an allocation for the usual case
		sum := sha256.Sum256(message)
		return k.verifyDigest(sum[:], sig)
	}
	h := k.hash.New()
	h.Write(message)
	return k.verifyDigest(h.Sum(nil), sig)
}

// verifyDigest is verify for a message of which only the digest by k.hash is known.
func (k *publicKey) verifyDigest(digest, sig []byte) bool {
	if len(digest) != k.hash.Size() {
		return false
	}
	switch key := k.key.(type) {
	case *ecdsa.PublicKey:
		return ecdsa.VerifyASN1(key, digest, sig)
	case *rsa.PublicKey:
		return rsa.VerifyPKCS1v15(key, k.hash, digest, sig) == nil ||
			rsa.VerifyPSS(key, k.hash, digest, sig, nil) == nil
	}
	return false
}
