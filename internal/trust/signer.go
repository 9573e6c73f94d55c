package trust

import (
	"bytes"
	"crypto"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/sha256"
	"crypto/x509"
	"encoding/pem"
	"errors"
	"fmt"

	"github.com/secure-systems-lab/go-securesystemslib/encrypted"
)

// The PEM types of encrypted private keys: what cosign writes, and what it
// wrote before 2.0.
const (
	pemEncrypted    = "ENCRYPTED SIGSTORE PRIVATE KEY"
	pemEncryptedOld = "ENCRYPTED COSIGN PRIVATE KEY"
	pemPublic       = "PUBLIC KEY"
)

// ErrPassword is returned when a private key cannot be decrypted.
var ErrPassword = errors.New("wrong password for the private key, or the file is damaged")

// ErrPasswordNeeded is returned for an encrypted private key without a password.
var ErrPasswordNeeded = errors.New("the private key is encrypted; give its password")

// GenerateKeyPair makes an ECDSA P-256 key pair in cosign's format: the private
// key is PKCS #8 under scrypt and NaCl secretbox, as PEM "ENCRYPTED SIGSTORE
// PRIVATE KEY"; the public key is PEM "PUBLIC KEY". An empty password encrypts
// under the empty password, as cosign does.
func GenerateKeyPair(password []byte) (private, public []byte, err error) {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return nil, nil, fmt.Errorf("generate key: %w", err)
	}
	der, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		return nil, nil, fmt.Errorf("generate key: %w", err)
	}
	box, err := encrypted.Encrypt(der, password)
	clear(der)
	if err != nil {
		return nil, nil, fmt.Errorf("generate key: %w", err)
	}
	public, err = PublicPEM(key.Public())
	if err != nil {
		return nil, nil, err
	}
	return pem.EncodeToMemory(&pem.Block{Type: pemEncrypted, Bytes: box}), public, nil
}

// PublicPEM writes a public key as KeyEntry.PEM wants it.
func PublicPEM(pub crypto.PublicKey) ([]byte, error) {
	if err := acceptable(pub); err != nil {
		return nil, err
	}
	der, err := x509.MarshalPKIXPublicKey(pub)
	if err != nil {
		return nil, fmt.Errorf("public key: %w", err)
	}
	return pem.EncodeToMemory(&pem.Block{Type: pemPublic, Bytes: der}), nil
}

// LoadSigner reads one PEM private key: cosign's encrypted format, or plain
// PKCS #8, SEC 1 or PKCS #1. password is ignored for a plain key; nil means
// that there is none. What it returns may be replaced by any [crypto.Signer],
// for example one that asks a KMS.
func LoadSigner(text, password []byte) (crypto.Signer, error) {
	if len(text) > maxKeyPEM {
		return nil, fmt.Errorf("private key: larger than %d bytes", maxKeyPEM)
	}
	block, rest := pem.Decode(text)
	if block == nil {
		return nil, errors.New("private key: no PEM block")
	}
	if len(bytes.TrimSpace(rest)) != 0 && block.Type != "EC PARAMETERS" {
		return nil, errors.New("private key: something follows the PEM block")
	}
	if block.Type == "EC PARAMETERS" { // openssl writes them before the key
		if block, rest = pem.Decode(rest); block == nil || len(bytes.TrimSpace(rest)) != 0 {
			return nil, errors.New("private key: expected one key after EC PARAMETERS")
		}
	}
	key, err := decodePrivate(block, password)
	if err != nil {
		return nil, err
	}
	signer, ok := key.(crypto.Signer)
	if !ok {
		return nil, fmt.Errorf("private key: %T cannot sign", key)
	}
	if err := acceptable(signer.Public()); err != nil {
		return nil, err
	}
	return signer, nil
}

func decodePrivate(block *pem.Block, password []byte) (any, error) {
	var key any
	var err error
	switch block.Type {
	case pemEncrypted, pemEncryptedOld:
		if password == nil {
			return nil, ErrPasswordNeeded
		}
		// The library's error may quote what it read: it is not passed on.
		der, failed := encrypted.Decrypt(block.Bytes, password)
		if failed != nil {
			return nil, ErrPassword
		}
		key, err = x509.ParsePKCS8PrivateKey(der)
		clear(der)
	case "PRIVATE KEY":
		key, err = x509.ParsePKCS8PrivateKey(block.Bytes)
	case "EC PRIVATE KEY":
		key, err = x509.ParseECPrivateKey(block.Bytes)
	case "RSA PRIVATE KEY":
		key, err = x509.ParsePKCS1PrivateKey(block.Bytes)
	case pemPublic:
		return nil, errors.New("private key: this is a public key")
	default:
		return nil, fmt.Errorf("private key: PEM block %q is not known", clip(block.Type))
	}
	if err != nil {
		return nil, errors.New("private key: the block does not hold a key of its type")
	}
	return key, nil
}

// sign signs a message: SHA-256 with ECDSA or RSA PKCS #1 v1.5, or Ed25519.
// These are what [KeyEntry] verifies by default.
func sign(signer crypto.Signer, message []byte) ([]byte, error) {
	if err := acceptable(signer.Public()); err != nil {
		return nil, err
	}
	if _, pure := signer.Public().(ed25519.PublicKey); pure {
		return signer.Sign(rand.Reader, message, crypto.Hash(0))
	}
	sum := sha256.Sum256(message)
	return signer.Sign(rand.Reader, sum[:], crypto.SHA256)
}
