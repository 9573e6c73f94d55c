package oms

import (
	"crypto/x509"
	"encoding/pem"
	"errors"
	"fmt"
	"slices"
	"time"
)

// Authority is a certificate authority of the verifier's own, for the scheme
// [ByCertificate].
type Authority struct {
	Name string
	// PEM holds the root certificates, one or more.
	PEM []byte
	// Subjects are the signers that are trusted: each the certificate's
	// distinguished name ("CN=models,O=Example", RFC 4514), a DNS name, a mail
	// address or a URI, compared exactly. Empty: everyone whom the authority
	// certifies for signing code.
	Subjects []string
}

type authority struct {
	name     string
	roots    *x509.CertPool
	subjects []string
}

// maxRoots bounds what one authority brings; the web has fewer than 200.
const maxRoots = 256

func (a *Authority) parse() (*authority, error) {
	out := &authority{name: a.Name, roots: x509.NewCertPool(), subjects: a.Subjects}
	n := 0
	for block, rest := pem.Decode(a.PEM); block != nil; block, rest = pem.Decode(rest) {
		if block.Type != "CERTIFICATE" {
			return nil, fmt.Errorf(`authority %q: PEM block is %q, expected "CERTIFICATE"`, a.Name, clip(block.Type))
		}
		if n++; n > maxRoots {
			return nil, fmt.Errorf("authority %q: more than %d certificates", a.Name, maxRoots)
		}
		c, err := x509.ParseCertificate(block.Bytes)
		if err != nil {
			return nil, fmt.Errorf("authority %q: %w", a.Name, err)
		}
		out.roots.AddCert(c)
	}
	if n == 0 {
		return nil, fmt.Errorf("authority %q: no certificate", a.Name)
	}
	return out, nil
}

// maySign says why a certificate is not one for signatures: its usages must
// allow digital signatures and, as far as they are listed, code signing. One
// that lists neither is anybody's.
func maySign(c *x509.Certificate) error {
	if c.KeyUsage != 0 && c.KeyUsage&x509.KeyUsageDigitalSignature == 0 {
		return errors.New("the certificate's key usage does not allow digital signatures")
	}
	listed := len(c.ExtKeyUsage)+len(c.UnknownExtKeyUsage) > 0
	if listed && !slices.Contains(c.ExtKeyUsage, x509.ExtKeyUsageCodeSigning) && !slices.Contains(c.ExtKeyUsage, x509.ExtKeyUsageAny) {
		return errors.New("the certificate's extended key usage does not allow code signing")
	}
	if c.KeyUsage == 0 && !listed {
		return errors.New("the certificate does not say that it may sign; issue one with the key usage digitalSignature")
	}
	return nil
}

// verifyChain verifies the path from the bundle's certificate to one of the
// authority's roots at time t (RFC 5280). The other certificates of the bundle
// may only help to find it. The leaf may itself carry the bit of an authority,
// as some private ones issue them.
func (a *authority) verifyChain(chain []*x509.Certificate, t time.Time) error {
	leaf := chain[0]
	if t.Before(leaf.NotBefore) || t.After(leaf.NotAfter) {
		return fmt.Errorf("the certificate is valid from %s until %s, and not at %s",
			leaf.NotBefore.UTC().Format(time.RFC3339), leaf.NotAfter.UTC().Format(time.RFC3339), t.UTC().Format(time.RFC3339))
	}
	if err := maySign(leaf); err != nil {
		return err
	}
	middle := x509.NewCertPool()
	for _, c := range chain[1:] {
		middle.AddCert(c)
	}
	_, err := leaf.Verify(x509.VerifyOptions{
		Roots: a.roots, Intermediates: middle, CurrentTime: t,
		KeyUsages: []x509.ExtKeyUsage{x509.ExtKeyUsageCodeSigning},
	})
	if err != nil {
		return fmt.Errorf("the certificate does not lead to the authority at %s: %w", t.UTC().Format(time.RFC3339), err)
	}
	if len(a.subjects) > 0 && !slices.ContainsFunc(namesIn(leaf), func(n string) bool { return slices.Contains(a.subjects, n) }) {
		return fmt.Errorf("the certificate is %q's, whom the policy does not name", clip(leaf.Subject.String()))
	}
	return nil
}

// namesIn are the names that a certificate gives its holder.
func namesIn(c *x509.Certificate) []string {
	names := append([]string{c.Subject.String()}, c.DNSNames...)
	names = append(names, c.EmailAddresses...)
	for _, u := range c.URIs {
		names = append(names, u.String())
	}
	return slices.DeleteFunc(names, func(n string) bool { return n == "" })
}
