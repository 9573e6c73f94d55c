package seal

import (
	"bytes"
	"crypto/hpke"
	"crypto/sha256"
	"encoding/hex"
	"encoding/pem"
	"errors"
	"fmt"
)

// Types of PEM blocks with keys.
const (
	publicType  = "APEX SEAL PUBLIC KEY"
	privateType = "APEX SEAL PRIVATE KEY"
)

// maxKeyFile bounds a key file; a public key as PEM has some 1,700 bytes.
const maxKeyFile = 8 << 10

// PublicKey seals. It does not change, and is safe for concurrent use.
type PublicKey struct {
	key hpke.PublicKey
	id  [idSize]byte
}

// PrivateKey opens. It is safe for concurrent use, and does not print itself.
type PrivateKey struct {
	key    hpke.PrivateKey
	public *PublicKey
}

// GenerateKey makes a key pair of MLKEM768-X25519.
func GenerateKey() (*PrivateKey, error) {
	k, err := hpke.MLKEM768X25519().GenerateKey()
	if err != nil {
		return nil, fmt.Errorf("seal: generate a key: %w", err)
	}
	return privateOf(k), nil
}

func privateOf(k hpke.PrivateKey) *PrivateKey { return &PrivateKey{k, publicOf(k.PublicKey())} }

func publicOf(k hpke.PublicKey) *PublicKey {
	p := &PublicKey{key: k}
	sum := sha256.Sum256(k.Bytes())
	copy(p.id[:], sum[:])
	return p
}

// ID names the key: the first 8 bytes of the SHA-256 of the public key, in hex.
func (k *PublicKey) ID() string { return hex.EncodeToString(k.id[:]) }

// PEM returns the key as text.
func (k *PublicKey) PEM() []byte {
	return pem.EncodeToMemory(&pem.Block{Type: publicType, Bytes: k.key.Bytes()})
}

// ID is that of the public key.
func (k *PrivateKey) ID() string { return k.public.ID() }

// Public returns the public key.
func (k *PrivateKey) Public() *PublicKey { return k.public }

// PEM returns the key as text, which is not encrypted: its file is for its owner
// alone.
func (k *PrivateKey) PEM() ([]byte, error) {
	b, err := k.key.Bytes()
	if err != nil {
		return nil, fmt.Errorf("seal: encode a private key: %w", err)
	}
	return pem.EncodeToMemory(&pem.Block{Type: privateType, Bytes: b}), nil
}

// String names the key, so that no log shows it.
func (k *PrivateKey) String() string { return "private key " + k.ID() }

// GoString is String.
func (k *PrivateKey) GoString() string { return k.String() }

// ParsePublicKey reads a public key as PEM.
func ParsePublicKey(text []byte) (*PublicKey, error) {
	b, err := block(text, publicType)
	if err != nil {
		return nil, err
	}
	k, err := hpke.MLKEM768X25519().NewPublicKey(b)
	if err != nil {
		return nil, errors.New("seal: the public key is not one of MLKEM768-X25519: make one with apex capture keygen")
	}
	return publicOf(k), nil
}

// ParsePrivateKey reads a private key as PEM. No error holds any of it.
func ParsePrivateKey(text []byte) (*PrivateKey, error) {
	b, err := block(text, privateType)
	if err != nil {
		return nil, err
	}
	k, err := hpke.MLKEM768X25519().NewPrivateKey(b)
	if err != nil {
		return nil, errors.New("seal: the private key is not one of MLKEM768-X25519: make one with apex capture keygen")
	}
	return privateOf(k), nil
}

// block returns the content of the one PEM block that the text is.
func block(text []byte, kind string) ([]byte, error) {
	if len(text) > maxKeyFile {
		return nil, fmt.Errorf("seal: a key has at most %d bytes", maxKeyFile)
	}
	b, rest := pem.Decode(bytes.TrimSpace(text))
	switch {
	case b == nil:
		return nil, fmt.Errorf("seal: this is no %s in PEM", kind)
	case b.Type == privateType && kind == publicType:
		return nil, errors.New("seal: this is a private key, which belongs to whoever opens envelopes; name the public one")
	case b.Type != kind:
		return nil, fmt.Errorf("seal: this is no %s", kind)
	case len(b.Headers) > 0 || len(bytes.TrimSpace(rest)) > 0:
		return nil, fmt.Errorf("seal: something stands beside the %s", kind)
	}
	return b.Bytes, nil
}
