package ca

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"crypto/sha256"
	"crypto/x509"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"net/url"
	"slices"
	"time"

	"github.com/spiffe/go-spiffe/v2/spiffeid"
)

// maxAudiences of a token that is issued, and their length.
const (
	maxAudiences = 16
	maxAudience  = 512
)

// IssueX509 signs a certificate for an identity and a public key, whose
// possession the caller has proved. It lives for life, held between [MinLife]
// and [MaxLife]; the chain has the leaf first, and no root.
func (ca *CA) IssueX509(id spiffeid.ID, public crypto.PublicKey, life time.Duration) ([]*x509.Certificate, error) {
	if err := ca.ours(id); err != nil {
		return nil, err
	}
	if err := CheckKey(public); err != nil {
		return nil, err
	}
	now := ca.clock.Now()
	a, err := ca.signer(now)
	if err != nil {
		return nil, err
	}
	until := now.Add(min(max(life, MinLife), MaxLife))
	if until.After(a.certificate.NotAfter) {
		until = a.certificate.NotAfter
	}
	template := &x509.Certificate{
		SerialNumber: newSerial(), NotBefore: now.Add(-early), NotAfter: until,
		KeyUsage: x509.KeyUsageDigitalSignature, BasicConstraintsValid: true,
		ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth, x509.ExtKeyUsageClientAuth},
		URIs:        []*url.URL{id.URL()},
	}
	der, err := x509.CreateCertificate(rand.Reader, template, a.certificate, public, a.key)
	if err != nil {
		return nil, fmt.Errorf("issue a certificate: %w", err)
	}
	leaf, err := x509.ParseCertificate(der)
	if err != nil {
		return nil, fmt.Errorf("issue a certificate: %w", err)
	}
	return []*x509.Certificate{leaf}, nil
}

// IssueJWT signs a token for an identity and an audience, by ES256. It returns
// when it expires.
func (ca *CA) IssueJWT(id spiffeid.ID, audience []string, life time.Duration) (string, time.Time, error) {
	if err := ca.ours(id); err != nil {
		return "", time.Time{}, err
	}
	if err := CheckAudience(audience); err != nil {
		return "", time.Time{}, err
	}
	now := ca.clock.Now()
	a, err := ca.signer(now)
	if err != nil {
		return "", time.Time{}, err
	}
	until := now.Add(min(max(life, MinLife), MaxLife)).Truncate(time.Second)
	if until.After(a.certificate.NotAfter) {
		until = a.certificate.NotAfter
	}
	claims, err := json.Marshal(struct {
		Subject  string   `json:"sub"`
		Audience []string `json:"aud"`
		Expiry   int64    `json:"exp"`
		IssuedAt int64    `json:"iat"`
	}{id.String(), audience, until.Unix(), now.Unix()})
	if err != nil {
		return "", time.Time{}, err
	}
	header := `{"alg":"ES256","kid":"` + a.tokenKeyID + `","typ":"JWT"}`
	input := base64.RawURLEncoding.EncodeToString([]byte(header)) + "." + base64.RawURLEncoding.EncodeToString(claims)
	digest := sha256.Sum256([]byte(input))
	r, s, err := ecdsa.Sign(rand.Reader, a.tokens, digest[:])
	if err != nil {
		return "", time.Time{}, fmt.Errorf("sign a token: %w", err)
	}
	var signature [64]byte // RFC 7518 section 3.4
	r.FillBytes(signature[:32])
	s.FillBytes(signature[32:])
	return input + "." + base64.RawURLEncoding.EncodeToString(signature[:]), until, nil
}

func (ca *CA) ours(id spiffeid.ID) error {
	if !id.MemberOf(ca.domain) || id.Path() == "" {
		return fmt.Errorf("an identity of %s is one of a workload in that trust domain", ca.domain)
	}
	return nil
}

// CheckAudience refuses audiences that no token is made for.
func CheckAudience(audience []string) error {
	if len(audience) == 0 || len(audience) > maxAudiences || slices.ContainsFunc(audience, func(a string) bool { return a == "" || len(a) > maxAudience }) {
		return fmt.Errorf("a token is made for 1 to %d audiences, each of 1 to %d bytes", maxAudiences, maxAudience)
	}
	return nil
}

// CheckKey refuses public keys that are too weak, or too costly to verify with.
func CheckKey(public crypto.PublicKey) error {
	switch k := public.(type) {
	case *ecdsa.PublicKey:
		if k.Curve == elliptic.P256() || k.Curve == elliptic.P384() {
			return nil
		}
	case ed25519.PublicKey:
		return nil
	case *rsa.PublicKey:
		if bits := k.N.BitLen(); bits >= 2048 && bits <= 4096 {
			return nil
		}
	}
	return errors.New("the key is none of P-256, P-384, Ed25519 and RSA of 2048 to 4096 bits")
}
