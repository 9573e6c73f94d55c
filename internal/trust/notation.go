package trust

import (
	"context"
	"crypto/x509"
	"errors"
	"fmt"
	"time"

	"github.com/notaryproject/notation-core-go/signature"
	"github.com/notaryproject/notation-core-go/signature/cose"
	"github.com/notaryproject/notation-core-go/signature/jws"
	nx509 "github.com/notaryproject/notation-core-go/x509"
	"github.com/notaryproject/tspclient-go"

	"github.com/apexlogic/apex/internal/bounded"
	"github.com/apexlogic/apex/internal/fact"
	"github.com/apexlogic/apex/verdict"
)

// MediaTypeNotationPayload is the payload of every Notary Project signature.
const MediaTypeNotationPayload = "application/vnd.cncf.notary.payload.v1+json"

// maxRoots bounds the certificates of one trust store.
const maxRoots = 64

// CertificateEntry trusts certificates of a Notary Project trust store.
type CertificateEntry struct {
	// RootsPEM are the certificate authorities (or self-signed signing
	// certificates) of the trust store; one of them must be in the chain.
	RootsPEM []byte
	// Identities are whom the authorities must name: distinguished names as
	// "CN=signer,O=Apex Logic,C=US", which must be a subset of the signing
	// certificate's subject. At least one is needed; "*" is refused.
	Identities []string
	// TimestampRootsPEM are the authorities that RFC 3161 countersignatures
	// must come from; empty: none is believed.
	TimestampRootsPEM []byte
	// SigningAuthority says that the roots issue to signing authorities, whose
	// signing time is believed (scheme notary.x509.signingAuthority). Otherwise
	// only the scheme notary.x509 counts.
	SigningAuthority bool
}

type certified struct {
	name       string
	roots      []*x509.Certificate
	identities []distinguished
	stampRoots *x509.CertPool // nil: none
	scheme     signature.SigningScheme
}

func newCertified(e *Entry) (*certified, error) {
	roots, err := parseCertificates(e.Certificate.RootsPEM, maxRoots)
	if err != nil {
		return nil, fmt.Errorf("roots: %w", err)
	}
	c := &certified{name: e.Name, roots: roots, scheme: signature.SigningSchemeX509}
	if e.Certificate.SigningAuthority {
		c.scheme = signature.SigningSchemeX509SigningAuthority
	}
	if len(e.Certificate.Identities) == 0 {
		return nil, errors.New("identities: name at least one, as CN=…,O=…")
	}
	for _, text := range e.Certificate.Identities {
		dn, err := parseDN(text)
		if err != nil {
			return nil, fmt.Errorf("identity %q: %w", clip(text), err)
		}
		c.identities = append(c.identities, dn)
	}
	if len(e.Certificate.TimestampRootsPEM) > 0 {
		stampRoots, err := parseCertificates(e.Certificate.TimestampRootsPEM, maxRoots)
		if err != nil {
			return nil, fmt.Errorf("timestampRoots: %w", err)
		}
		c.stampRoots = x509.NewCertPool()
		for _, root := range stampRoots {
			c.stampRoots.AddCert(root)
		}
	}
	return c, nil
}

// VerifyNotation verifies a Notary Project signature envelope: mediaType is
// "application/jose+json" or "application/cose". It checks integrity, the
// certificate chain against the entry's roots, the identity, the signing
// scheme, the expiry, the countersigned time and the digest of the artifact.
// It does not check whether a certificate was revoked (OCSP, CRL): that needs
// the network; use [Revoked]. Notary Project signatures name no repository.
func (r *Root) VerifyNotation(envelope []byte, mediaType string, subject verdict.Digest, source string, now time.Time) fact.Signature {
	out := fact.Signature{Signing: fact.Signing{Format: fact.FormatNotation, Source: source}}
	j := judged{format: fact.FormatNotation, source: source, subject: subject, now: now}
	err := guarded("notation envelope", func() error { return r.judgeNotation(envelope, mediaType, &out, &j) })
	out.Code = verdict.OK
	if err != nil {
		p := asProblem(err, verdict.SignatureInvalid)
		out.Code, out.Detail, out.TrustedBy, out.Annotations = p.code, p.detail, nil, nil
	}
	return out
}

func (r *Root) judgeNotation(raw []byte, mediaType string, out *fact.Signature, j *judged) error {
	content, err := parseNotation(raw, mediaType)
	if err != nil {
		return err
	}
	info := &content.SignerInfo
	leaf := info.CertificateChain[0]
	out.Identity = fact.Identity{Issuer: leaf.Issuer.String(), Subject: leaf.Subject.String()}
	out.KeyID = keyIDOf(leaf.RawSubjectPublicKeyInfo)
	target, err := parseTarget(&content.Payload)
	if err != nil {
		return err
	}
	out.Subject = target.digest
	if expiry := info.SignedAttributes.Expiry; !expiry.IsZero() {
		if !j.now.Before(expiry) {
			return deny(verdict.SignatureTooOld, "the signer let it expire at %s", expiry.UTC().Format(time.RFC3339))
		}
		out.Until = expiry
	}
	for _, a := range info.SignedAttributes.ExtendedAttributes {
		if a.Critical {
			return deny(verdict.SignatureInvalid, "it has the critical attribute %v, which is not known here", a.Key)
		}
	}
	if len(r.certs) == 0 {
		return deny(verdict.SignatureUntrusted, "it is a Notary Project signature and the trust root names no certificate authorities")
	}
	failed := make([]*problem, 0, len(r.certs))
	for _, c := range r.certs {
		if p := r.judgeCertified(c, info, out, j); p != nil {
			failed = append(failed, p)
		}
	}
	if len(out.TrustedBy) == 0 {
		return nearest(failed)
	}
	out.TrustedBy = union(nil, out.TrustedBy)
	if target.digest != j.subject {
		return deny(verdict.SignatureSubject, "the signature is about %s, not about %s", target.digest, j.subject)
	}
	out.Annotations = target.annotations
	return nil
}

// parseNotation checks integrity and the shape of the certificate chain.
func parseNotation(raw []byte, mediaType string) (*signature.EnvelopeContent, error) {
	if len(raw) > maxNotation {
		return nil, fmt.Errorf("notation envelope: %w of %d bytes", bounded.ErrTooLarge, maxNotation)
	}
	var env signature.Envelope
	var err error
	switch mediaType {
	case jws.MediaTypeEnvelope:
		if err := checkJSON(raw); err != nil {
			return nil, fmt.Errorf("notation envelope: %w", err)
		}
		env, err = jws.ParseEnvelope(raw)
	case cose.MediaTypeEnvelope:
		env, err = cose.ParseEnvelope(raw)
	default:
		return nil, deny(verdict.SignatureFormatDenied, "notation envelope: media type %q is neither %s nor %s",
			clip(mediaType), jws.MediaTypeEnvelope, cose.MediaTypeEnvelope)
	}
	if err != nil {
		return nil, fmt.Errorf("notation envelope: %w", err)
	}
	content, err := env.Verify()
	if err != nil {
		return nil, fmt.Errorf("notation envelope: %w", err)
	}
	if n := len(content.SignerInfo.CertificateChain); n == 0 || n > maxChain {
		return nil, fmt.Errorf("notation envelope: certificate chain of %d, expected 1 to %d", n, maxChain)
	}
	return content, nil
}

type notationTarget struct {
	digest      verdict.Digest
	annotations map[string]string
}

func parseTarget(p *signature.Payload) (*notationTarget, error) {
	if p.ContentType != MediaTypeNotationPayload {
		return nil, fmt.Errorf("notation payload: content type is %q, expected %q", clip(p.ContentType), MediaTypeNotationPayload)
	}
	if err := checkJSON(p.Content); err != nil {
		return nil, fmt.Errorf("notation payload: %w", err)
	}
	top, err := object(p.Content, "targetArtifact")
	if err != nil {
		return nil, fmt.Errorf("notation payload: %w", err)
	}
	artifact, err := openObject(top.get("targetArtifact"))
	if err != nil {
		return nil, fmt.Errorf("notation payload targetArtifact: %w", err)
	}
	var digest string
	if err := decodeString(artifact.get("digest"), &digest); err != nil {
		return nil, fmt.Errorf("notation payload digest: %w", err)
	}
	t := &notationTarget{}
	if t.digest, err = verdict.ParseDigest(digest); err != nil {
		return nil, fmt.Errorf("notation payload digest: %w", err)
	}
	if raw := artifact.get("annotations"); len(raw) > 0 {
		if t.annotations, err = textMap(raw); err != nil {
			return nil, fmt.Errorf("notation payload annotations: %w", err)
		}
	}
	return t, nil
}

// judgeCertified judges the signer under one entry and adds its name to out.
func (r *Root) judgeCertified(c *certified, info *signature.SignerInfo, out *fact.Signature, j *judged) *problem {
	if scheme := info.SignedAttributes.SigningScheme; scheme != c.scheme {
		return deny(verdict.SignatureUntrusted, "its signing scheme is %q and %q trusts %q", clip(string(scheme)), c.name, c.scheme)
	}
	if _, err := signature.VerifyAuthenticity(info, c.roots); err != nil {
		return deny(verdict.SignatureUntrusted, "no certificate of its chain is a root of %q", c.name)
	}
	if !c.names(info.CertificateChain[0]) {
		return deny(verdict.SignatureIdentity, "%q trusts another identity: the certificate's subject is %q", c.name, out.Identity.Subject)
	}
	seen, until, p := c.date(info, j.now)
	if p != nil {
		return p
	}
	limit, p := r.checkRevoked(out.KeyID, out.Identity, seen, j.now)
	if p != nil {
		return p
	}
	out.TrustedBy = append(out.TrustedBy, c.name)
	fillIn(&out.Signing, seen)
	out.Until = verdict.Earliest(out.Until, verdict.Earliest(until, limit))
	return nil
}

func (c *certified) names(leaf *x509.Certificate) bool {
	subject := distinguishedOf(leaf)
	for _, id := range c.identities {
		if id.within(subject) {
			return true
		}
	}
	return false
}

// date establishes when the signature was made and that every certificate of
// the chain was valid then (Notary Project specification, "Trust store and
// trust policy", authentic timestamp). until is set when only the present time
// says that they are.
func (c *certified) date(info *signature.SignerInfo, now time.Time) (*observation, time.Time, *problem) {
	seen := &observation{}
	from, till := validity(info.CertificateChain)
	if c.scheme == signature.SigningSchemeX509SigningAuthority {
		at, err := info.AuthenticSigningTime()
		if err != nil {
			return nil, till, deny(verdict.SignatureTimeMissing, "%v", err)
		}
		// The authority is believed about the past, not about what is to come.
		if at.After(now) || at.Before(from) || at.After(till) {
			return nil, till, deny(verdict.SignatureKeyValidity, "the certificates are valid %s; the signature is from %s", period(from, till), at.UTC().Format(time.RFC3339))
		}
		seen.times = []time.Time{at.UTC()}
		return seen, time.Time{}, nil
	}
	var why error
	if token := info.UnsignedAttributes.TimestampSignature; len(token) > 0 && c.stampRoots != nil {
		ts, name, err := c.countersigned(token, info.Signature)
		switch {
		case err != nil:
			why = err
		case !ts.BoundedAfter(from) || !ts.BoundedBefore(till):
			return nil, till, deny(verdict.SignatureKeyValidity, "the certificates are valid %s; the signature is from %s", period(from, till), ts.Format(time.RFC3339))
		default:
			seen.times, seen.stamps = []time.Time{ts.Value.UTC()}, []string{name}
			return seen, time.Time{}, nil
		}
	}
	if now.Before(from) || now.After(till) {
		return nil, till, deny(verdict.SignatureTimeMissing, "the certificates are valid %s and nothing trusted says that the signature was made then: %s",
			period(from, till), reason(why, "there is no countersignature that counts"))
	}
	return seen, till, nil
}

// countersigned verifies an RFC 3161 token over the signature.
func (c *certified) countersigned(token, sig []byte) (*tspclient.Timestamp, string, error) {
	signed, err := tspclient.ParseSignedToken(token)
	if err != nil {
		return nil, "", fmt.Errorf("timestamp: %w", err)
	}
	info, err := signed.Info()
	if err != nil {
		return nil, "", fmt.Errorf("timestamp: %w", err)
	}
	ts, err := info.Validate(sig)
	if err != nil {
		return nil, "", fmt.Errorf("timestamp: %w", err)
	}
	// The authority's certificates must have been valid when it stamped.
	chain, err := signed.Verify(context.Background(), x509.VerifyOptions{Roots: c.stampRoots, CurrentTime: ts.Value})
	if err != nil {
		return nil, "", fmt.Errorf("timestamp: %w", err)
	}
	if err := nx509.ValidateTimestampingCertChain(chain); err != nil {
		return nil, "", fmt.Errorf("timestamp: %w", err)
	}
	return ts, chain[0].Subject.String(), nil
}
