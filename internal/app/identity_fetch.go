package app

import (
	"bytes"
	"context"
	"crypto/x509"
	"encoding/json"
	"encoding/pem"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/apexlogic/apex/internal/bounded"
	"github.com/apexlogic/apex/internal/clock"
	attestation "github.com/apexlogic/apex/internal/identity/attest"
	"github.com/apexlogic/apex/internal/identity/ca"
	"github.com/apexlogic/apex/internal/identity/fetch"
)

// IdentitySource gives identities: a Workload API, or an exchange.
type IdentitySource = fetch.Source

// IdentityRefused is the error of who was asked for an identity and said no.
type IdentityRefused = fetch.Refused

// FromSocket is the Workload API at a path.
func FromSocket(path string) (IdentitySource, error) {
	path, err := filepath.Abs(path)
	if err != nil {
		return nil, err
	}
	return fetch.Socket("unix://" + path), nil
}

// ExchangeSource says which exchange is asked, and what is shown to it.
type ExchangeSource struct {
	URL, TrustDomain string
	// BundleFile is the SPIFFE bundle by which the exchange is known; "" for a
	// certificate for its host.
	BundleFile string
	// Kind of evidence, and the file with it; or AWSRegion.
	Kind, File, AWSRegion string
	// Read reads File.
	Read  func(path string) ([]byte, error)
	Clock clock.Clock
}

const maxTrustBundle = 1 << 20

// FromExchange is an exchange.
func FromExchange(o ExchangeSource) (IdentitySource, error) {
	var bundle []byte
	if o.BundleFile != "" {
		var err error
		if bundle, err = bounded.ReadFile(o.BundleFile, maxTrustBundle); err != nil {
			return nil, err
		}
	}
	return fetch.NewExchange(fetch.ExchangeOptions{
		URL: o.URL, TrustDomain: o.TrustDomain, Bundle: bundle, Servers: Servers(), Clock: o.Clock, Evidence: o.evidence,
	})
}

// evidence is what is shown; it is read anew each time, since tokens change.
func (o *ExchangeSource) evidence() (kind, what string, err error) {
	if o.AWSRegion != "" {
		r, err := attestation.SignAWS(attestation.AWSKeys{
			AccessKeyID: os.Getenv("AWS_ACCESS_KEY_ID"), SecretAccessKey: os.Getenv("AWS_SECRET_ACCESS_KEY"), SessionToken: os.Getenv("AWS_SESSION_TOKEN"),
		}, o.AWSRegion, "spiffe://"+o.TrustDomain, o.Clock.Now())
		if err != nil {
			return "", "", err
		}
		data, err := json.Marshal(r)
		return evidenceAWS, string(data), err
	}
	if o.Kind == "" {
		return "", "", errors.New("an exchange wants evidence: a token of a join, of a service account or of an issuer, or keys of AWS")
	}
	data, err := o.Read(o.File)
	return o.Kind, strings.TrimSpace(string(data)), err
}

// FetchedCertificate says where a certificate was written.
type FetchedCertificate struct {
	ID          string    `json:"id"`
	Expires     time.Time `json:"expires"`
	Certificate string    `json:"certificate"`
	Key         string    `json:"key"`
	Bundle      string    `json:"bundle"`
}

// FetchCertificate gets a certificate and writes it, its key, which only the owner
// may read, and the authorities of its trust domain to a folder.
func FetchCertificate(ctx context.Context, s IdentitySource, id, dir string) (*FetchedCertificate, error) {
	c, err := s.Certificate(ctx, id)
	if err != nil {
		return nil, err
	}
	key, err := x509.MarshalPKCS8PrivateKey(c.Key)
	if err != nil {
		return nil, err
	}
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return nil, err
	}
	f := &FetchedCertificate{
		ID: c.ID, Expires: c.Expires.UTC(), Certificate: filepath.Join(dir, "svid.pem"), Key: filepath.Join(dir, "svid.key"), Bundle: filepath.Join(dir, "bundle.pem"),
	}
	private := pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: key})
	// The key first: who reads in between finds a pair that does not fit, and reads
	// again, but never a certificate whose key is not there yet.
	for _, one := range []struct {
		path string
		data []byte
		mode os.FileMode
	}{{f.Key, private, 0o600}, {f.Certificate, pemOf(c.Chain), 0o644}, {f.Bundle, pemOf(c.Bundle), 0o644}} {
		if err := replaceWhole(one.path, one.data, one.mode); err != nil {
			return nil, fmt.Errorf("keep the identity: %w", err)
		}
	}
	return f, nil
}

const (
	// askAgain is how long is waited after an identity could not be had; it doubles
	// up to askAgainAtMost.
	askAgain       = 5 * time.Second
	askAgainAtMost = time.Minute
)

// KeepCertificate writes a certificate, and the next one at half of its life, until
// the context ends. Told is called after each, with what went wrong in place of it:
// then what was written stays, and is asked for again soon. Only that the first one
// cannot be had is an error.
func KeepCertificate(ctx context.Context, s IdentitySource, id, dir string, c clock.Clock, told func(*FetchedCertificate, error)) error {
	pause := askAgain
	for first := true; ; first = false {
		asked := c.Now()
		f, err := FetchCertificate(ctx, s, id, dir)
		if ctx.Err() != nil {
			return nil
		}
		if err != nil && first {
			return err
		}
		told(f, err)
		wait := pause
		if pause = min(2*pause, askAgainAtMost); err == nil {
			id = f.ID // it stays the same, whatever else there comes to be
			wait, pause = max(f.Expires.Sub(asked)/2, askAgain), askAgain
		}
		timer := time.NewTimer(wait)
		select {
		case <-ctx.Done():
			timer.Stop()
			return nil
		case <-timer.C:
		}
	}
}

func pemOf(all []*x509.Certificate) []byte {
	var b bytes.Buffer
	for _, c := range all {
		pem.Encode(&b, &pem.Block{Type: "CERTIFICATE", Bytes: c.Raw}) // into memory
	}
	return b.Bytes()
}

// replaceWhole replaces a file as a whole.
func replaceWhole(path string, data []byte, mode os.FileMode) error {
	f, err := os.CreateTemp(filepath.Dir(path), "."+filepath.Base(path)+"-*")
	if err != nil {
		return err
	}
	_, err = f.Write(data)
	if err = errors.Join(err, f.Chmod(mode), f.Close()); err == nil {
		err = os.Rename(f.Name(), path)
	}
	if err != nil {
		os.Remove(f.Name())
	}
	return err
}

// TrustBundle is the SPIFFE bundle of the authority of a state directory.
func TrustBundle(state string, c clock.Clock) ([]byte, error) {
	b, err := ca.Published(filepath.Join(state, "ca"), c)
	if err != nil {
		return nil, err
	}
	return b.Marshal()
}
