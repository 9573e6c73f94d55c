package trusttest

import (
	"context"
	"crypto"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"fmt"
	"math/big"
	"testing"
	"time"

	"github.com/digitorus/timestamp"
	"github.com/notaryproject/notation-core-go/signature"
	_ "github.com/notaryproject/notation-core-go/signature/cose" // registers the format
	_ "github.com/notaryproject/notation-core-go/signature/jws"  // registers the format
	"github.com/notaryproject/tspclient-go"

	"github.com/apexlogic/apex/verdict"
)

// Notation is a certificate authority for Notary Project signatures.
type Notation struct {
	t     testing.TB
	now   time.Time
	label string // of fixed keys; "" for random ones
	made  int
	Root  *x509.Certificate
	key   *ecdsa.PrivateKey
}

// NewNotation makes an authority that is valid for years around now.
func NewNotation(t testing.TB, now time.Time) *Notation {
	t.Helper()
	return newNotation(&Notation{t: t, now: now})
}

// NewFixedNotation is NewNotation with keys and certificates that are the same
// in every process, for the seeds of fuzz targets.
func NewFixedNotation(t testing.TB, now time.Time, label string) *Notation {
	t.Helper()
	return newNotation(&Notation{t: t, now: now, label: label})
}

func newNotation(n *Notation) *Notation {
	n.t.Helper()
	now := n.now
	n.key = n.newKey()
	n.Root = n.issue(&x509.Certificate{
		Subject: pkix.Name{CommonName: "test notation root", Organization: []string{"Apex Logic"}},
		IsCA:    true, BasicConstraintsValid: true, KeyUsage: x509.KeyUsageCertSign,
		NotBefore: now.AddDate(-5, 0, 0), NotAfter: now.AddDate(5, 0, 0),
	}, nil, n.key)
	return n
}

// RootPEM is the authority's certificate for a trust store.
func (n *Notation) RootPEM() []byte {
	return pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: n.Root.Raw})
}

// Envelope describes a Notary Project signature. The zero value, with a
// subject, is a good one by "CN=signer,O=Apex Logic".
type Envelope struct {
	MediaType   string // default: application/jose+json
	Subject     verdict.Digest
	CommonName  string    // default: "signer"
	NotAfter    time.Time // of the certificate; default: in a year
	SignedAt    time.Time // what the signer claims; default: the authority's time
	Expiry      time.Time
	Scheme      signature.SigningScheme
	Attributes  []signature.Attribute
	ContentType string              // default: the Notary Project payload
	Payload     string              // default: a payload about Subject
	TSA         *TimestampAuthority // countersigns at StampedAt when given
	StampedAt   time.Time
}

// Sign makes the envelope.
func (n *Notation) Sign(e Envelope) []byte {
	n.t.Helper()
	if e.MediaType == "" {
		e.MediaType = "application/jose+json"
	}
	if e.CommonName == "" {
		e.CommonName = "signer"
	}
	if e.NotAfter.IsZero() {
		e.NotAfter = n.now.AddDate(1, 0, 0)
	}
	if e.SignedAt.IsZero() {
		e.SignedAt = n.now
	}
	if e.Scheme == "" {
		e.Scheme = signature.SigningSchemeX509
	}
	if e.ContentType == "" {
		e.ContentType = "application/vnd.cncf.notary.payload.v1+json"
	}
	if e.Payload == "" {
		e.Payload = fmt.Sprintf(`{"targetArtifact":{"mediaType":"application/vnd.oci.image.manifest.v1+json","digest":%q,"size":7,"annotations":{"team":"vision"}}}`, e.Subject)
	}
	key := n.newKey()
	leaf := n.issue(&x509.Certificate{
		Subject:   pkix.Name{CommonName: e.CommonName, Organization: []string{"Apex Logic"}, Country: []string{"DE"}},
		NotBefore: n.now.AddDate(-1, 0, 0), NotAfter: e.NotAfter,
		KeyUsage: x509.KeyUsageDigitalSignature, ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageCodeSigning},
	}, n.Root, key)
	signer, err := signature.NewLocalSigner([]*x509.Certificate{leaf, n.Root}, key)
	n.must(err)
	env, err := signature.NewEnvelope(e.MediaType)
	n.must(err)
	req := &signature.SignRequest{
		Payload: signature.Payload{ContentType: e.ContentType, Content: []byte(e.Payload)},
		Signer:  signer, SigningTime: e.SignedAt, Expiry: e.Expiry, SigningScheme: e.Scheme,
		ExtendedSignedAttributes: e.Attributes,
	}
	if e.TSA != nil {
		req.Timestamper = stamper{e.TSA, e.StampedAt}
		req.TSARootCAs = x509.NewCertPool()
		req.TSARootCAs.AddCert(e.TSA.Root)
	}
	raw, err := env.Sign(req)
	n.must(err)
	return raw
}

// stamper answers timestamp requests in the process.
type stamper struct {
	a  *TimestampAuthority
	at time.Time
}

func (s stamper) Timestamp(_ context.Context, req *tspclient.Request) (*tspclient.Response, error) {
	ts := timestamp.Timestamp{
		HashAlgorithm: crypto.SHA256, HashedMessage: req.MessageImprint.HashedMessage, Nonce: req.Nonce,
		Time: s.at, SerialNumber: big.NewInt(1), Policy: []int{1, 3, 6, 1, 4, 1, 57264, 2}, AddTSACertificate: true,
		Certificates: []*x509.Certificate{s.a.Intermediate, s.a.Root},
	}
	raw, err := ts.CreateResponseWithOpts(s.a.Leaf, s.a.key, crypto.SHA384)
	if err != nil {
		return nil, err
	}
	resp := &tspclient.Response{}
	return resp, resp.UnmarshalBinary(raw)
}

// RootPEM is the timestamp authority's root for a trust store.
func (a *TimestampAuthority) RootPEM() []byte {
	return pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: a.Root.Raw})
}

func (n *Notation) issue(tmpl, parent *x509.Certificate, key *ecdsa.PrivateKey) *x509.Certificate {
	serial, err := rand.Int(rand.Reader, big.NewInt(1<<62))
	n.must(err)
	random := rand.Reader
	if n.label != "" {
		serial, random = big.NewInt(int64(n.made)), nil // nil: sign as RFC 6979 says
	}
	tmpl.SerialNumber = serial
	if parent == nil {
		parent = tmpl
	}
	der, err := x509.CreateCertificate(random, tmpl, parent, key.Public(), n.key)
	n.must(err)
	cert, err := x509.ParseCertificate(der)
	n.must(err)
	return cert
}

func (n *Notation) newKey() *ecdsa.PrivateKey {
	n.made++
	if n.label != "" {
		return fixedKey(n.t, elliptic.P256(), n.label, n.made)
	}
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	n.must(err)
	return key
}

func (n *Notation) must(err error) {
	n.t.Helper()
	if err != nil {
		n.t.Fatal(err)
	}
}
