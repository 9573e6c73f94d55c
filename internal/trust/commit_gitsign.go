package trust

import (
	"bytes"
	"crypto"
	"crypto/sha256"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/asn1"
	"encoding/base64"
	"encoding/hex"
	"encoding/pem"
	"errors"
	"fmt"
	"math/big"
	"time"

	protorekor "github.com/sigstore/protobuf-specs/gen/pb-go/rekor/v1"
	"github.com/sigstore/sigstore-go/pkg/tlog"
	"google.golang.org/protobuf/proto"

	"github.com/apexlogic/apex/verdict"
)

// What a gitsign signature is made of: CMS SignedData (RFC 5652 §5), detached,
// with one signer; the log entry is a serialized TransparencyLogEntry without
// its body in an unsigned attribute (Rekor's OID directory), and an RFC 3161
// token may be in another one (RFC 5816, gitsign's docs/bundle-cms.md). It is
// read as DER and no more loosely: what is signed must not depend on who reads.
type (
	cmsContent struct {
		Type    asn1.ObjectIdentifier
		Content asn1.RawValue `asn1:"explicit,tag:0"`
	}
	cmsSignedData struct {
		Version      int
		Digests      asn1.RawValue `asn1:"set"`
		Encapsulated struct {
			Type    asn1.ObjectIdentifier
			Content asn1.RawValue `asn1:"explicit,optional,tag:0"`
		}
		Certificates asn1.RawValue `asn1:"optional,tag:0"`
		CRLs         asn1.RawValue `asn1:"optional,tag:1"`
		Signers      []cmsSigner   `asn1:"set"`
	}
	cmsSigner struct {
		Version   int
		ID        asn1.RawValue
		Digest    pkix.AlgorithmIdentifier
		Signed    asn1.RawValue `asn1:"optional,tag:0"`
		Algorithm pkix.AlgorithmIdentifier
		Signature []byte
		Unsigned  asn1.RawValue `asn1:"optional,tag:1"`
	}
	cmsAttribute struct {
		Type   asn1.ObjectIdentifier
		Values asn1.RawValue `asn1:"set"`
	}
	cmsIssuer struct {
		Issuer asn1.RawValue
		Serial *big.Int
	}
)

const pemSignedMessage = "SIGNED MESSAGE"

// maxAttributes is what a signer may have; gitsign writes three and two.
const maxAttributes = 16

// dotted compares an object identifier with its usual spelling.
func dotted(id asn1.ObjectIdentifier, text string) bool { return id.String() == text }

const (
	oidData          = "1.2.840.113549.1.7.1"
	oidSignedData    = "1.2.840.113549.1.7.2"
	oidContentType   = "1.2.840.113549.1.9.3"
	oidMessageDigest = "1.2.840.113549.1.9.4"
	oidTimestamp     = "1.2.840.113549.1.9.16.2.14"
	oidLogEntry      = "1.3.6.1.4.1.57264.3.1"
	oidSHA256        = "2.16.840.1.101.3.4.2.1"
	oidSHA384        = "2.16.840.1.101.3.4.2.2"
	oidSHA512        = "2.16.840.1.101.3.4.2.3"
)

func (v *CommitVerifier) verifyGitsign(payload, armored []byte, seen time.Time) (CommitSigning, error) {
	block, rest := pem.Decode(armored)
	if block == nil || block.Type != pemSignedMessage || len(block.Headers) > 0 || len(bytes.TrimSpace(rest)) > 0 {
		return CommitSigning{}, deny(verdict.CommitInvalid, "its signature is not one armored CMS message")
	}
	s, err := parseGitsign(block.Bytes, payload)
	if err != nil {
		return CommitSigning{}, asProblem(fmt.Errorf("its CMS signature: %w", err), verdict.CommitInvalid)
	}
	j := judged{format: FormatDocument, now: seen} // the formats of images do not apply
	signing := v.root.judgeCertificate(s, s.msg.message, &j)
	if signing.Code != verdict.OK {
		return CommitSigning{}, deny(gitsignCode(signing.Code), "%s", signing.Detail)
	}
	out := CommitSigning{Format: FormatGitsign, KeyID: signing.KeyID, Identity: signing.Identity, SignedAt: signing.SignedAt}
	at := seen
	if !out.SignedAt.IsZero() {
		at = out.SignedAt
	}
	var valid []*namedSigner
	for _, name := range signing.TrustedBy {
		n := v.named[name]
		if e := n.check(at); e != nil {
			err = e
			continue
		}
		valid = append(valid, n)
	}
	if len(valid) == 0 {
		return CommitSigning{}, err
	}
	out.setNames(valid)
	return out, nil
}

// gitsignCode is the code of a commit for what is wrong with its certificate.
func gitsignCode(c verdict.Code) verdict.Code {
	switch c {
	case verdict.SignatureInvalid:
		return verdict.CommitInvalid
	case verdict.SignatureRevokedKey:
		return verdict.CommitKeyRevoked
	case verdict.SignatureLogMissing, verdict.SignatureTimeMissing, verdict.SignatureKeyValidity:
		return verdict.CommitEvidence
	}
	return verdict.CommitUntrusted // another authority or another identity
}

// exactly reads one DER value and nothing after it.
func exactly(der []byte, into any, params string) error {
	rest, err := asn1.UnmarshalWithParams(der, into, params)
	if err == nil && len(rest) > 0 {
		err = errors.New("something follows it")
	}
	return err
}

// parseGitsign reads a CMS message about payload as a message signature over
// its signed attributes, which is what the key signed and the log holds.
func parseGitsign(der, payload []byte) (*signed, error) {
	var content cmsContent
	if err := exactly(der, &content, ""); err != nil {
		return nil, err
	}
	var data cmsSignedData
	if !dotted(content.Type, oidSignedData) {
		return nil, errors.New("it is no SignedData")
	}
	if err := exactly(content.Content.Bytes, &data, ""); err != nil {
		return nil, err
	}
	if !dotted(data.Encapsulated.Type, oidData) || len(data.Encapsulated.Content.FullBytes) > 0 {
		return nil, errors.New("it is not detached: it brings its own content")
	}
	if len(data.Signers) != 1 {
		return nil, fmt.Errorf("it has %d signers, expected one", len(data.Signers))
	}
	signer := &data.Signers[0]
	certs, err := x509.ParseCertificates(data.Certificates.Bytes)
	if err != nil {
		return nil, fmt.Errorf("certificates: %w", err)
	}
	if len(certs) > maxChain+1 {
		return nil, fmt.Errorf("it has %d certificates, at most %d are read", len(certs), maxChain+1)
	}
	s := &signed{}
	if err := s.pickLeaf(certs, signer.ID); err != nil {
		return nil, err
	}
	message, err := signer.message(payload)
	if err != nil {
		return nil, err
	}
	sum := sha256.Sum256(message)
	s.msg = &messageSigned{algorithm: "SHA2_256", digest: sum[:], message: message, sig: signer.Signature}
	return s, s.addEvidence(signer)
}

// pickLeaf finds the signer's certificate; the others may be its chain.
func (s *signed) pickLeaf(certs []*x509.Certificate, id asn1.RawValue) error {
	var by cmsIssuer
	if err := exactly(id.FullBytes, &by, ""); err != nil || by.Serial == nil {
		return errors.New("the signer is not named by issuer and serial number")
	}
	for _, c := range certs {
		if s.leaf == nil && bytes.Equal(c.RawIssuer, by.Issuer.FullBytes) && c.SerialNumber.Cmp(by.Serial) == 0 {
			s.leaf = c
			continue
		}
		s.extra = append(s.extra, c)
	}
	if s.leaf == nil {
		return errors.New("it does not hold its signer's certificate")
	}
	return nil
}

// message returns what the signer's key signed: the signed attributes, which
// have to be about the payload.
func (c *cmsSigner) message(payload []byte) ([]byte, error) {
	var hash crypto.Hash
	switch c.Digest.Algorithm.String() {
	case oidSHA256:
		hash = crypto.SHA256
	case oidSHA384:
		hash = crypto.SHA384
	case oidSHA512:
		hash = crypto.SHA512
	default:
		return nil, deny(verdict.CommitWeak, "its CMS signature uses the hash %s", clip(c.Digest.Algorithm.String()))
	}
	attributes, err := attributesOf(c.Signed)
	if err != nil || len(attributes) == 0 {
		return nil, fmt.Errorf("its signed attributes cannot be read or are missing: %w", errors.Join(err))
	}
	var kind asn1.ObjectIdentifier
	var digest []byte
	if err := attribute(attributes, oidContentType, &kind); err != nil || !dotted(kind, oidData) {
		return nil, errors.New("the signed content type is not data")
	}
	if err := attribute(attributes, oidMessageDigest, &digest); err != nil {
		return nil, fmt.Errorf("signed message digest: %w", err)
	}
	h := hash.New()
	h.Write(payload)
	if !bytes.Equal(h.Sum(nil), digest) {
		return nil, errors.New("it is about another object: the signed digest is not that of this one")
	}
	// RFC 5652 §5.4: signed under the tag SET OF instead of its own.
	const setOf = 0x31
	return append([]byte{setOf}, c.Signed.FullBytes[1:]...), nil
}

func attributesOf(raw asn1.RawValue) ([]cmsAttribute, error) {
	var list []cmsAttribute
	for rest := raw.Bytes; len(rest) > 0; {
		var a cmsAttribute
		var err error
		if rest, err = asn1.Unmarshal(rest, &a); err != nil {
			return nil, err
		}
		if list = append(list, a); len(list) > maxAttributes {
			return nil, fmt.Errorf("more than %d attributes", maxAttributes)
		}
	}
	return list, nil
}

var errNoAttribute = errors.New("there is none")

// attribute reads the only value of the only attribute of a type.
func attribute(list []cmsAttribute, oid string, into any) error {
	found := errNoAttribute
	for _, a := range list {
		if !dotted(a.Type, oid) {
			continue
		}
		if !errors.Is(found, errNoAttribute) {
			return errors.New("there are several")
		}
		found = exactly(a.Values.Bytes, into, "")
	}
	return found
}

// addEvidence reads the log entry and the timestamp beside the signature. One
// that cannot be read counts as none, and says why where one is required.
func (s *signed) addEvidence(c *cmsSigner) error {
	attributes, err := attributesOf(c.Unsigned)
	if err != nil {
		return fmt.Errorf("its unsigned attributes cannot be read: %w", err)
	}
	var entry []byte
	switch err := attribute(attributes, oidLogEntry, &entry); {
	case err == nil:
		s.entryErr = guarded("log entry", func() error { return s.addLogEntry(entry) })
	case errors.Is(err, errNoAttribute):
		s.entryErr = errors.New("the commit does not hold one, as those signed in gitsign's online mode")
	default:
		s.entryErr = err
	}
	var token asn1.RawValue
	if attribute(attributes, oidTimestamp, &token) != nil {
		return nil
	}
	// Authorities are asked to judge a response: a status, granted, and the token.
	response, err := asn1.Marshal(struct {
		Status struct{ Status int }
		Token  asn1.RawValue
	}{Token: token})
	if err != nil {
		return fmt.Errorf("its timestamp cannot be read: %w", err)
	}
	s.stamps = [][]byte{response}
	return nil
}

// addLogEntry completes a log entry with its body, which gitsign leaves out
// because it says what the signature says: hashedrekord v0.0.1, in canonical JSON.
func (s *signed) addLogEntry(raw []byte) error {
	var pb protorekor.TransparencyLogEntry
	if err := proto.Unmarshal(raw, &pb); err != nil {
		return err
	}
	if len(pb.GetCanonicalizedBody()) > 0 || pb.GetKindVersion().GetKind() != "hashedrekord" || pb.GetKindVersion().GetVersion() != "0.0.1" {
		return errors.New("it is not of the kind that gitsign writes")
	}
	certificate := pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: s.leaf.Raw})
	pb.CanonicalizedBody = fmt.Appendf(nil,
		`{"apiVersion":"0.0.1","kind":"hashedrekord","spec":{"data":{"hash":{"algorithm":"sha256","value":"%s"}},"signature":{"content":"%s","publicKey":{"content":"%s"}}}}`,
		hex.EncodeToString(s.msg.digest), base64.StdEncoding.EncodeToString(s.msg.sig), base64.StdEncoding.EncodeToString(certificate))
	entry, err := tlog.ParseTransparencyLogEntry(&pb)
	if err != nil {
		return err
	}
	s.entries = []*tlog.Entry{entry}
	return nil
}
