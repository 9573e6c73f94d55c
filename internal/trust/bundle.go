package trust

import (
	"bytes"
	"crypto/sha256"
	"crypto/x509"
	"errors"
	"fmt"
	"slices"
	"time"

	protobundle "github.com/sigstore/protobuf-specs/gen/pb-go/bundle/v1"
	protocommon "github.com/sigstore/protobuf-specs/gen/pb-go/common/v1"
	"github.com/sigstore/sigstore-go/pkg/bundle"
	"github.com/sigstore/sigstore-go/pkg/tlog"

	"github.com/apexlogic/apex/internal/bounded"
	"github.com/apexlogic/apex/internal/fact"
	"github.com/apexlogic/apex/verdict"
)

// MediaTypeBundle is the media type of the bundles that this package makes.
const MediaTypeBundle = "application/vnd.dev.sigstore.bundle.v0.3+json"

// bundleMediaTypes are the versions that are read, in all their spellings.
var bundleMediaTypes = [...]string{
	MediaTypeBundle,
	"application/vnd.dev.sigstore.bundle+json;version=0.3",
	"application/vnd.dev.sigstore.bundle+json;version=0.2",
	"application/vnd.dev.sigstore.bundle+json;version=0.1",
}

// signed is a bundle, or any other evidence, with its encoding undone.
type signed struct {
	env     *envelope // one of env and msg is set
	msg     *messageSigned
	hint    string // of a bare key; "" when there is none
	leaf    *x509.Certificate
	extra   []*x509.Certificate
	entries []*tlog.Entry
	stamps  [][]byte
	// entryErr is why a log entry could not be read; only where that is no
	// reason to refuse the whole.
	entryErr error
}

// messageSigned is a signature over a message of which the digest is known.
type messageSigned struct {
	algorithm string // "SHA2_256", …
	digest    []byte
	message   []byte // nil when only the digest is known
	sig       []byte
}

// VerifyBundle verifies a sigstore bundle (v0.1 to v0.3, JSON) about subject.
// source says where it was found and is repeated in the facts.
//
// A DSSE bundle with cosign's sign predicate, or a message signature over the
// subject's digest, gives a [fact.Signature]; any other statement gives a
// [fact.Attestation]. Each signer whom the root knows gives one value. When
// none is known there is one value, whose Code says why.
func (r *Root) VerifyBundle(raw []byte, subject verdict.Digest, source string, now time.Time) Result {
	s, err := parseBundle(raw)
	if err != nil {
		return unreadable(fact.FormatBundle, source, err)
	}
	j := judged{format: fact.FormatBundle, source: source, subject: subject, now: now}
	if s.env != nil {
		return r.judgeStatement(s, &j)
	}
	return r.judgeMessage(s, &j)
}

// parseBundle reads a bundle. What the small parser does not recognise is left
// to sigstore-go, so that no spelling that others accept is lost.
func parseBundle(raw []byte) (*signed, error) {
	if len(raw) > maxBundle {
		return nil, fmt.Errorf("bundle: %w of %d bytes", bounded.ErrTooLarge, maxBundle)
	}
	if err := checkJSON(raw); err != nil {
		return nil, fmt.Errorf("bundle: %w", err)
	}
	if s, ok := parseLean(raw); ok {
		return s, nil
	}
	var s *signed
	err := guarded("bundle", func() (err error) {
		s, err = parseFull(raw)
		return err
	})
	if err != nil {
		return nil, fmt.Errorf("bundle: %w", err)
	}
	return s, nil
}

// parseLean reads the bundles that are signed by a bare key and hold neither
// log entries nor timestamps: cosign's and ours. It accepts a subset of what
// sigstore-go accepts and reads the same content from it (a test holds both).
func parseLean(raw []byte) (*signed, bool) {
	// Nothing in such a bundle needs an escape, and how escapes are read differs.
	if bytes.IndexByte(raw, '\\') >= 0 {
		return nil, false
	}
	top, err := object(raw, "mediaType", "verificationMaterial", "dsseEnvelope", "messageSignature")
	if err != nil {
		return nil, false
	}
	var mediaType string
	if decodeString(top.get("mediaType"), &mediaType) != nil || !slices.Contains(bundleMediaTypes[:], mediaType) {
		return nil, false
	}
	material, err := object(top.get("verificationMaterial"), "publicKey")
	if err != nil {
		return nil, false
	}
	key, err := object(material.get("publicKey"), "hint")
	if err != nil {
		return nil, false
	}
	s := &signed{}
	if hint := key.get("hint"); hint != nil && decodeString(hint, &s.hint) != nil {
		return nil, false
	}
	env, msg := top.get("dsseEnvelope"), top.get("messageSignature")
	switch {
	case (env == nil) == (msg == nil):
		return nil, false
	case env != nil:
		s.env, err = decodeEnvelope(env, "sig", "keyid")
	default:
		s.msg, err = decodeMessage(msg)
	}
	return s, err == nil
}

func decodeMessage(raw []byte) (*messageSigned, error) {
	fields, err := object(raw, "messageDigest", "signature")
	if err != nil {
		return nil, err
	}
	digest, err := object(fields.get("messageDigest"), "algorithm", "digest")
	if err != nil {
		return nil, err
	}
	m := &messageSigned{}
	if err := decodeString(digest.get("algorithm"), &m.algorithm); err != nil {
		return nil, err
	}
	if m.algorithm != "SHA2_256" {
		return nil, errors.New("algorithm is left to the full parser")
	}
	if m.digest, err = decodeBase64(digest.get("digest")); err != nil {
		return nil, err
	}
	m.sig, err = decodeBase64(fields.get("signature"))
	return m, err
}

// parseFull reads any bundle with sigstore-go, whose validation applies.
func parseFull(raw []byte) (*signed, error) {
	b := &bundle.Bundle{}
	if err := b.UnmarshalJSON(raw); err != nil {
		return nil, err
	}
	content, err := b.VerificationContent()
	if err != nil {
		return nil, err
	}
	s := &signed{}
	if key := content.PublicKey(); key != nil {
		s.hint = key.Hint()
	}
	if s.leaf = content.Certificate(); s.leaf != nil {
		if s.extra, err = extraCertificates(b.GetVerificationMaterial()); err != nil {
			return nil, err
		}
	}
	if s.entries, err = b.TlogEntries(); err != nil {
		return nil, err
	}
	if s.stamps, err = b.Timestamps(); err != nil {
		return nil, err
	}
	switch c := b.Content.(type) {
	case *protobundle.Bundle_DsseEnvelope:
		s.env = &envelope{payloadType: c.DsseEnvelope.GetPayloadType(), payload: c.DsseEnvelope.GetPayload()}
		for _, sig := range c.DsseEnvelope.GetSignatures() {
			s.env.sigs = append(s.env.sigs, envelopeSig{keyID: sig.GetKeyid(), sig: sig.GetSig()})
		}
		if n := len(s.env.sigs); n == 0 || n > maxSignatures {
			return nil, fmt.Errorf("envelope: %d signatures, expected 1 to %d", n, maxSignatures)
		}
		if len(s.env.payload) == 0 {
			return nil, errors.New("envelope: the payload is empty")
		}
	case *protobundle.Bundle_MessageSignature:
		d := c.MessageSignature.GetMessageDigest()
		if d == nil || len(c.MessageSignature.GetSignature()) == 0 {
			return nil, errors.New("message signature: digest or signature is missing")
		}
		s.msg = &messageSigned{
			algorithm: protocommon.HashAlgorithm_name[int32(d.GetAlgorithm())],
			digest:    d.GetDigest(), sig: c.MessageSignature.GetSignature(),
		}
	default:
		return nil, errors.New("it has neither a DSSE envelope nor a message signature")
	}
	return s, nil
}

// extraCertificates are what bundles before v0.3 carry beside the leaf. They
// are not trusted: they may only help to find a path to a root that is. Roots
// that older clients packed along are left out.
func extraCertificates(m *protobundle.VerificationMaterial) ([]*x509.Certificate, error) {
	certs := m.GetX509CertificateChain().GetCertificates()
	if len(certs) > maxChain+1 {
		return nil, fmt.Errorf("certificate chain has %d certificates, at most %d are read", len(certs), maxChain+1)
	}
	var extra []*x509.Certificate
	for i, c := range certs {
		if i == 0 {
			continue
		}
		cert, err := x509.ParseCertificate(c.GetRawBytes())
		if err != nil {
			return nil, err
		}
		extra = append(extra, cert)
	}
	return extra, nil
}

// sha256Of is the digest of what a message signature signs.
func sha256Of(message []byte) []byte {
	sum := sha256.Sum256(message)
	return sum[:]
}
