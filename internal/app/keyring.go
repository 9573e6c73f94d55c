package app

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"encoding/pem"
	"errors"
	"fmt"
	"os"
	"path/filepath"

	"github.com/apexlogic/apex/internal/bounded"
	"github.com/apexlogic/apex/internal/trust"
)

// keyring keeps the key pairs of a workspace, one file pair per name. The
// private keys are plain PKCS #8: they are for the example on this machine, and
// the directory is its owner's alone.
type keyring struct{ dir string }

// maxKeyFile bounds a key file; RSA keys of 8,192 bits take less than 8 KiB.
const maxKeyFile = 64 << 10

func openKeyring(dir string) (*keyring, error) {
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return nil, err
	}
	return &keyring{dir}, nil
}

// signer returns the private key with the name, made the first time.
func (k *keyring) signer(name string) (crypto.Signer, error) {
	path := filepath.Join(k.dir, name+".key")
	data, err := bounded.ReadFile(path, maxKeyFile)
	if errors.Is(err, os.ErrNotExist) {
		if err := k.generate(name); err != nil {
			return nil, fmt.Errorf("make key %s: %w", name, err)
		}
		data, err = bounded.ReadFile(path, maxKeyFile)
	}
	if err != nil {
		return nil, err
	}
	signer, err := trust.LoadSigner(data, nil)
	if err != nil {
		return nil, fmt.Errorf("key %s: %w", name, err)
	}
	return signer, nil
}

// public returns the public key with the name as PEM.
func (k *keyring) public(name string) (string, error) {
	// The private key is the last of the pair to be written.
	if _, err := os.Stat(filepath.Join(k.dir, name+".key")); errors.Is(err, os.ErrNotExist) {
		if _, err := k.signer(name); err != nil {
			return "", err
		}
	}
	data, err := bounded.ReadFile(filepath.Join(k.dir, name+".pub"), maxKeyFile)
	return string(data), err
}

func (k *keyring) generate(name string) error {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return err
	}
	der, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		return err
	}
	private := pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: der})
	public, err := trust.PublicPEM(key.Public())
	if err != nil {
		return err
	}
	if err := os.WriteFile(filepath.Join(k.dir, name+".pub"), public, 0o644); err != nil {
		return err
	}
	// The private key last, and in one step: where it is, the pair is whole.
	tmp := filepath.Join(k.dir, name+".key.new")
	if err := os.WriteFile(tmp, private, 0o600); err != nil {
		return err
	}
	return os.Rename(tmp, filepath.Join(k.dir, name+".key"))
}
