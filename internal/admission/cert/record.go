package cert

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/json"
	"encoding/pem"
	"errors"
	"fmt"
	"math/big"
	"net"
	"time"

	"github.com/apexlogic/apex/internal/bounded"
)

// The limits of a record. A Secret has at most 1 MiB; ours holds two or three
// authorities of less than 1 KiB each.
const (
	maxRecord      = 256 << 10
	maxAuthorities = 16
	recordDepth    = 4
)

// record is what all replicas share.
type record struct {
	// Authorities from the oldest to the newest.
	Authorities []authority `json:"authorities"`
	Serving     serving     `json:"serving"`
}

// authority signs as long as it has its key.
type authority struct {
	Cert string `json:"cert"`          // PEM
	Key  string `json:"key,omitempty"` // PEM; "" once a newer one signs
	// Published is when API servers were first told of it.
	Published time.Time `json:"published,omitzero"`

	cert *x509.Certificate
}

type serving struct {
	Cert string `json:"cert"`
	Key  string `json:"key"`

	leaf *x509.Certificate
}

// readRecord returns nil for no data.
func readRecord(data []byte) (*record, error) {
	if len(data) == 0 {
		return nil, nil
	}
	if len(data) > maxRecord {
		return nil, fmt.Errorf("%d bytes, and a record of certificates has at most %d", len(data), maxRecord)
	}
	var rec record
	if err := bounded.JSON(data, recordDepth, &rec); err != nil {
		return nil, errors.New("the record of certificates is not the JSON that was written") // never its content
	}
	if n := len(rec.Authorities); n == 0 || n > maxAuthorities {
		return nil, fmt.Errorf("%d authorities, and there are 1 to %d", n, maxAuthorities)
	}
	for i := range rec.Authorities {
		a := &rec.Authorities[i]
		c, err := readCertificate(a.Cert)
		if err != nil {
			return nil, fmt.Errorf("authority %d: %w", i+1, err)
		}
		if !c.IsCA {
			return nil, fmt.Errorf("authority %d may not sign", i+1)
		}
		if a.Key != "" {
			key, err := readKey(a.Key)
			if err != nil {
				return nil, fmt.Errorf("authority %d: %w", i+1, err)
			}
			if !key.PublicKey.Equal(c.PublicKey) {
				return nil, fmt.Errorf("authority %d has the key of another one", i+1)
			}
		}
		a.cert = c
	}
	// A serving certificate that cannot be read is issued anew.
	rec.Serving.leaf, _ = readCertificate(rec.Serving.Cert)
	return &rec, nil
}

func (r *record) encode() ([]byte, error) { return json.Marshal(r) }

// usable are the authorities that have not expired.
func (r *record) usable(now time.Time) []authority {
	var all []authority
	for _, a := range r.Authorities {
		if now.Before(a.cert.NotAfter) {
			all = append(all, a)
		}
	}
	return all
}

// bundle is what API servers have to believe.
func (r *record) bundle(now time.Time) []byte {
	var out []byte
	for _, a := range r.usable(now) {
		out = append(out, a.Cert...)
	}
	return out
}

// published says whether API servers were told of the authority that signed the
// serving certificate.
func (r *record) published() bool {
	for _, a := range r.Authorities {
		if !a.Published.IsZero() && signedBy(r.Serving.leaf, a.cert) {
			return true
		}
	}
	return false
}

// signer is the newest authority that has been published for long enough, else
// the newest that still has its key.
func (r *record) signer(now time.Time, settle time.Duration) *authority {
	var fallback *authority
	for i := len(r.Authorities) - 1; i >= 0; i-- {
		a := &r.Authorities[i]
		if a.Key == "" {
			continue
		}
		if !a.Published.IsZero() && !now.Before(a.Published.Add(settle)) {
			return a
		}
		fallback = a // an older one is known better
	}
	return fallback
}

func (m *Manager) addAuthority(rec *record, now time.Time) error {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return err
	}
	template := &x509.Certificate{
		Subject:   pkix.Name{CommonName: "apex admission " + now.UTC().Format("2006-01-02")},
		NotBefore: now.Add(-skew), NotAfter: now.Add(m.o.Authority),
		KeyUsage: x509.KeyUsageCertSign, BasicConstraintsValid: true, IsCA: true, MaxPathLenZero: true,
	}
	cert, certPEM, err := sign(template, template, &key.PublicKey, key)
	if err != nil {
		return fmt.Errorf("make an authority: %w", err)
	}
	keyPEM, err := writeKey(key)
	if err != nil {
		return err
	}
	rec.Authorities = append(rec.Authorities, authority{Cert: certPEM, Key: keyPEM, cert: cert})
	for len(rec.Authorities) > maxAuthorities { // it was damaged that often within one's life
		rec.Authorities = rec.Authorities[1:]
	}
	return nil
}

// issue makes a serving certificate, and drops the keys of authorities that are
// older than its signer.
func (m *Manager) issue(rec *record, now time.Time) error {
	signer := rec.signer(now, m.o.Settle)
	if signer == nil {
		return errors.New("no authority has a key")
	}
	signing, err := readKey(signer.Key)
	if err != nil {
		return err
	}
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return err
	}
	template := &x509.Certificate{
		Subject:   pkix.Name{CommonName: "apex admission"},
		NotBefore: now.Add(-skew), NotAfter: m.until(signer, now),
		KeyUsage: x509.KeyUsageDigitalSignature, ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth},
	}
	for _, name := range m.o.Names {
		if ip := net.ParseIP(name); ip != nil {
			template.IPAddresses = append(template.IPAddresses, ip)
			continue
		}
		template.DNSNames = append(template.DNSNames, name)
	}
	leaf, certPEM, err := sign(template, signer.cert, &key.PublicKey, signing)
	if err != nil {
		return fmt.Errorf("issue a certificate: %w", err)
	}
	keyPEM, err := writeKey(key)
	if err != nil {
		return err
	}
	rec.Serving = serving{Cert: certPEM, Key: keyPEM, leaf: leaf}
	for i := range rec.Authorities {
		if &rec.Authorities[i] == signer {
			break
		}
		rec.Authorities[i].Key = ""
	}
	return nil
}

// serialBits is what RFC 5280 section 4.1.2.2 has room for, with the sign.
const serialBits = 127

func sign(template, parent *x509.Certificate, public crypto.PublicKey, key crypto.Signer) (*x509.Certificate, string, error) {
	serial, err := rand.Int(rand.Reader, new(big.Int).Lsh(big.NewInt(1), serialBits))
	if err != nil {
		return nil, "", err
	}
	template.SerialNumber = serial
	der, err := x509.CreateCertificate(rand.Reader, template, parent, public, key)
	if err != nil {
		return nil, "", err
	}
	cert, err := x509.ParseCertificate(der)
	if err != nil {
		return nil, "", err
	}
	return cert, string(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der})), nil
}

func readCertificate(text string) (*x509.Certificate, error) {
	block, rest := pem.Decode([]byte(text))
	if block == nil || block.Type != "CERTIFICATE" || len(rest) != 0 {
		return nil, errors.New("not one PEM certificate")
	}
	return x509.ParseCertificate(block.Bytes)
}

func readKey(text string) (*ecdsa.PrivateKey, error) {
	block, _ := pem.Decode([]byte(text))
	if block == nil || block.Type != "EC PRIVATE KEY" {
		return nil, errors.New("not a PEM key")
	}
	key, err := x509.ParseECPrivateKey(block.Bytes)
	if err != nil {
		return nil, errors.New("a key that cannot be read") // never its content
	}
	return key, nil
}

func writeKey(key *ecdsa.PrivateKey) (string, error) {
	der, err := x509.MarshalECPrivateKey(key)
	if err != nil {
		return "", err
	}
	return string(pem.EncodeToMemory(&pem.Block{Type: "EC PRIVATE KEY", Bytes: der})), nil
}
