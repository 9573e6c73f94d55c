package ca

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/x509"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"syscall"
	"time"

	"github.com/spiffe/go-spiffe/v2/spiffeid"

	"github.com/apexlogic/apex/internal/bounded"
)

const (
	fileName = "authorities.json"
	half     = ".new" // what is being written
	lockName = "lock"
	// maxFile is far more than the three authorities that there are at once.
	maxFile = 64 << 10
)

// kept is an authority in the file, in DER.
type kept struct {
	Certificate []byte    `json:"certificate"`
	Key         []byte    `json:"key"`
	Tokens      []byte    `json:"tokens"`
	TokenKeyID  string    `json:"tokenKeyID"`
	From        time.Time `json:"from"`
}

// takeDirectory makes the directory when it is missing, and takes it for this
// process. The lock goes with the process, however that ends.
func takeDirectory(dir string) (*os.File, error) {
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return nil, err
	}
	// A directory that others may write to lets them replace the file.
	if err := closedTo(dir, 0o022); err != nil {
		return nil, err
	}
	lock, err := os.OpenFile(filepath.Join(dir, lockName), os.O_CREATE|os.O_RDWR, 0o600)
	if err != nil {
		return nil, err
	}
	if err := syscall.Flock(int(lock.Fd()), syscall.LOCK_EX|syscall.LOCK_NB); err != nil {
		lock.Close()
		return nil, fmt.Errorf("%s is in use by another process: %w", dir, err)
	}
	return lock, nil
}

// closedTo refuses what has any of these bits of its mode set.
func closedTo(path string, bits fs.FileMode) error {
	info, err := os.Stat(path)
	if err != nil {
		return err
	}
	if mode := info.Mode().Perm(); mode&bits != 0 {
		return fmt.Errorf("%s holds private keys, and its mode %04o lets others in: take %04o from it, and consider the keys as leaked", path, mode, bits)
	}
	return nil
}

func read(dir string, domain spiffeid.TrustDomain) ([]*authority, error) {
	path := filepath.Join(dir, fileName)
	file, err := readFile(path)
	if err != nil {
		return nil, err
	}
	return openAll(path, file, domain)
}

// readFile reads what is kept; nothing when there is no file.
func readFile(path string) ([]kept, error) {
	if err := closedTo(path, 0o077); errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	} else if err != nil {
		return nil, err
	}
	data, err := bounded.ReadFile(path, maxFile)
	if err != nil {
		return nil, err
	}
	var file []kept
	if err := bounded.JSON(data, 2, &file); err != nil {
		return nil, fmt.Errorf("%s: %w", path, err)
	}
	return file, nil
}

func openAll(path string, file []kept, domain spiffeid.TrustDomain) (all []*authority, err error) {
	all = make([]*authority, len(file))
	for i, k := range file {
		if all[i], err = k.open(domain); err != nil {
			return nil, fmt.Errorf("%s: authority %d: %w", path, i+1, err)
		}
	}
	return all, nil
}

// domain is the trust domain that the certificate names; "" when it names none.
func (k kept) domain() string {
	c, err := x509.ParseCertificate(k.Certificate)
	if err != nil || len(c.URIs) != 1 {
		return ""
	}
	return c.URIs[0].String()
}

func (k kept) open(domain spiffeid.TrustDomain) (*authority, error) {
	a := &authority{tokenKeyID: k.TokenKeyID, from: k.From}
	var err error
	if a.certificate, err = x509.ParseCertificate(k.Certificate); err != nil {
		return nil, err
	}
	if len(a.certificate.URIs) != 1 || a.certificate.URIs[0].String() != domain.IDString() {
		return nil, fmt.Errorf("it is not one of %s", domain)
	}
	if a.key, err = openKey(k.Key); err != nil {
		return nil, err
	}
	if a.tokens, err = openKey(k.Tokens); err != nil {
		return nil, err
	}
	if !a.key.PublicKey.Equal(a.certificate.PublicKey) || a.tokenKeyID == "" || a.from.IsZero() {
		return nil, errors.New("its key and certificate do not belong together")
	}
	return a, nil
}

func openKey(der []byte) (*ecdsa.PrivateKey, error) {
	parsed, err := x509.ParsePKCS8PrivateKey(der)
	if err != nil {
		return nil, errors.New("its key cannot be read") // the cause could quote the key
	}
	if k, ok := parsed.(*ecdsa.PrivateKey); ok && k.Curve == elliptic.P256() {
		return k, nil
	}
	return nil, errors.New("its key is not one of P-256")
}

// write replaces the file as a whole.
func write(dir string, all []*authority) error {
	file := make([]kept, len(all))
	for i, a := range all {
		key, err := x509.MarshalPKCS8PrivateKey(a.key)
		if err != nil {
			return err
		}
		tokens, err := x509.MarshalPKCS8PrivateKey(a.tokens)
		if err != nil {
			return err
		}
		file[i] = kept{a.certificate.Raw, key, tokens, a.tokenKeyID, a.from}
	}
	data, err := json.Marshal(file)
	if err != nil {
		return err
	}
	// One process has the directory, so that one name is enough. A write that
	// failed may have left it.
	if err := removeHalf(dir); err != nil {
		return err
	}
	path := filepath.Join(dir, fileName)
	if err := writeSynced(path+half, data); err != nil {
		return err
	}
	if err := os.Rename(path+half, path); err != nil {
		return err
	}
	d, err := os.Open(dir)
	if err != nil {
		return err
	}
	defer d.Close()
	return d.Sync()
}

// removeHalf removes what a crash left beside the file: it may hold keys.
func removeHalf(dir string) error {
	err := os.Remove(filepath.Join(dir, fileName+half))
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	return err
}

func writeSynced(path string, data []byte) error {
	f, err := os.OpenFile(path, os.O_CREATE|os.O_EXCL|os.O_WRONLY, 0o600)
	if err != nil {
		return err
	}
	if _, err = f.Write(data); err == nil {
		err = f.Sync()
	}
	return errors.Join(err, f.Close())
}
