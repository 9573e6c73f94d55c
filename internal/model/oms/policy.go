package oms

import (
	"crypto/sha256"
	"crypto/x509"
	"encoding/hex"
	"encoding/pem"
	"errors"
	"fmt"
	"time"

	"github.com/apexlogic/apex/internal/fact"
	"github.com/apexlogic/apex/internal/trust"
	"github.com/apexlogic/apex/verdict"
)

// Policy says whom a verifier trusts and what it lets pass. Whom no field
// names is not trusted.
type Policy struct {
	// Keys are trusted for the scheme [ByKey]. Each uses the hash of its curve.
	Keys []Key
	// Authorities are trusted for the scheme [ByCertificate].
	Authorities []Authority
	// Trust is asked for the scheme [ByIdentity], and for [ByKey] after Keys;
	// its validity periods, logs and revocations hold. Entries with P-384 or
	// P-521 keys need their hashAlgorithm (sha384, sha512), which OMS fixes by
	// the curve.
	Trust *trust.Root
	// Now is the verifier's clock. It is required.
	Now time.Time
	// At is when the signature is held to have been made, where the caller
	// knows that from elsewhere; zero: nothing is known, and certificates must
	// be valid now.
	At time.Time
	// AllowV02 accepts bundles of v0.2 of the reference implementation, whose
	// signatures do not follow DSSE.
	AllowV02 bool
	// AllowSymlinks follows links inside of the model where the bundle says
	// that the signer did.
	AllowSymlinks bool
	// Ignore and Signature are as in [Options]. What they name may differ from
	// what the signer named.
	Ignore    []string
	Signature string
	// BundleIgnores also leaves out what the bundle asks to leave out. Files
	// that nobody signed then pass at those paths.
	BundleIgnores bool
	// AllowUnlisted accepts files that are not signed; [Verified] names them.
	AllowUnlisted bool
	// AllowEmpty accepts empty files beside a list of shards, which cannot
	// name them.
	AllowEmpty bool
	Work       Work
}

// SignedBy is who signed, as far as it was proved.
type SignedBy struct {
	Scheme Scheme
	// TrustedBy names the keys, authorities or trust root entries that
	// vouch for the signer; never empty.
	TrustedBy   []string
	KeyID       string            // "sha256:<hex>" of the key's DER; see [trust.KeyID]
	Identity    fact.Identity     // of a certificate
	Certificate *x509.Certificate // by certificate only
	// Time is when the signature is held to have been made, and Clock who says so.
	Time  time.Time
	Clock Clock
}

// Clock is where a time comes from.
type Clock string

// The clocks that are believed, the best first.
const (
	ClockWitness  Clock = "witness"  // a transparency log or a timestamp authority
	ClockStated   Clock = "stated"   // the caller of Verify, in Policy.At
	ClockVerifier Clock = "verifier" // nobody dates the signature; it is judged at Policy.Now
)

// signer proves who signed the bundle, or says why that is nobody.
func (p *Policy) signer(b *Bundle) (*SignedBy, error) {
	if p.Now.IsZero() {
		return nil, errors.New("verify: the policy has no time; set Now")
	}
	if b.V02() && !p.AllowV02 {
		return nil, fmt.Errorf("%w: it is of the layout of v0.2, whose signatures are not sound DSSE; "+
			"sign the model again, or allow v0.2 explicitly", ErrManifest)
	}
	by, err := p.judge(b)
	if err != nil {
		return nil, fmt.Errorf("%w: %w", ErrSignature, err)
	}
	by.Scheme = b.Scheme
	if by.Clock == "" {
		by.Time, by.Clock = p.time()
	}
	return by, nil
}

func (p *Policy) time() (time.Time, Clock) {
	if !p.At.IsZero() {
		return p.At, ClockStated
	}
	return p.Now, ClockVerifier
}

func (p *Policy) judge(b *Bundle) (*SignedBy, error) {
	switch b.Scheme {
	case ByKey:
		return p.byKey(b)
	case ByCertificate:
		return p.byCertificate(b)
	}
	if p.Trust == nil {
		return nil, errors.New("an identity signed it and the policy names none; give a trust root")
	}
	return p.byTrust(b, b.raw)
}

func (p *Policy) byKey(b *Bundle) (*SignedBy, error) {
	if len(p.Keys) == 0 && p.Trust == nil {
		return nil, errors.New("a key signed it and the policy names none")
	}
	why := fmt.Errorf("it verifies under none of the policy's %d keys", len(p.Keys))
	for i := range p.Keys {
		k, err := p.Keys[i].parse()
		if err != nil {
			return nil, err
		}
		err = k.named(b)
		switch verifies := k.verifies(b, b.V02()); {
		case verifies && err == nil:
			return &SignedBy{TrustedBy: []string{k.name}, KeyID: k.id}, nil
		case verifies:
			why = fmt.Errorf("it verifies under %q and names another key: %w", k.name, err)
		case err == nil:
			why = fmt.Errorf("it names the key %q and does not verify under it: the list of files or the signature was changed", k.name)
		}
	}
	if p.Trust == nil {
		return nil, why
	}
	raw := b.raw
	if !b.witnessed {
		// Without anything that dates it a bundle is its envelope: handed on in
		// the form that every reader knows, whatever the form it came in.
		var err error
		if raw, err = b.plain(); err != nil {
			return nil, err
		}
	}
	by, err := p.byTrust(b, raw)
	if err != nil {
		if len(p.Keys) == 0 {
			return nil, err
		}
		return nil, fmt.Errorf("%w; %w", why, err)
	}
	if b.keyBytes != nil {
		der := b.keyBytes
		if block, _ := pem.Decode(der); block != nil {
			der = block.Bytes
		}
		if sum := sha256.Sum256(der); by.KeyID != "sha256:"+hex.EncodeToString(sum[:]) {
			return nil, errors.New("the key in the bundle is another one")
		}
	}
	return by, nil
}

// plain is a bundle by a bare key, with what of b is signed.
func (b *Bundle) plain() ([]byte, error) {
	out := struct {
		MediaType string `json:"mediaType"`
		Material  struct {
			PublicKey hintJSON `json:"publicKey"`
		} `json:"verificationMaterial"`
		Envelope envelopeJSON `json:"dsseEnvelope"`
	}{MediaType: mediaType, Envelope: envelopeJSON{Payload: b.payload, PayloadType: payloadType}}
	out.Material.PublicKey.Hint = b.hint
	for _, sig := range b.signatures {
		out.Envelope.Signatures = append(out.Envelope.Signatures, signatureJSON{Sig: sig})
	}
	return marshal(out)
}

// byTrust lets the trust root judge, about the subject that the bundle names.
func (p *Policy) byTrust(b *Bundle, raw []byte) (*SignedBy, error) {
	result := p.Trust.VerifyBundle(raw, b.about, "model signature", p.Now)
	why := errors.New("the trust root does not know the signer")
	for i := range result.Attestations {
		a := &result.Attestations[i]
		if !a.Valid() {
			if a.Code != verdict.OK {
				why = fmt.Errorf("%s: %s", a.Code, a.Detail)
			}
			continue
		}
		// Two readers read these bytes; they must have read the same.
		if a.PredicateType != b.PredicateType || string(a.Predicate) != string(b.predicate) {
			return nil, errors.New("the statement reads differently the second time")
		}
		by := &SignedBy{TrustedBy: a.TrustedBy, KeyID: a.KeyID, Identity: a.Identity}
		if !a.SignedAt.IsZero() {
			by.Time, by.Clock = a.SignedAt, ClockWitness
		} else {
			by.Time, by.Clock = p.Now, ClockVerifier // that is what the root judged at
		}
		return by, nil
	}
	return nil, why
}

func (p *Policy) byCertificate(b *Bundle) (*SignedBy, error) {
	if len(p.Authorities) == 0 {
		return nil, errors.New("a certificate signed it and the policy names no authority")
	}
	chain := make([]*x509.Certificate, len(b.chain))
	for i, der := range b.chain {
		c, err := x509.ParseCertificate(der)
		if err != nil {
			return nil, fmt.Errorf("certificate %d: %w", i, err)
		}
		chain[i] = c
	}
	leaf := chain[0]
	k, err := newPublicKey("", leaf.PublicKey)
	if err != nil {
		return nil, err
	}
	if !k.verifies(b, b.V02()) {
		return nil, errors.New("it does not verify under the key of its certificate: the list of files or the signature was changed")
	}
	by := &SignedBy{
		KeyID: k.id, Certificate: leaf,
		Identity: fact.Identity{Issuer: leaf.Issuer.String(), Subject: leaf.Subject.String()},
	}
	by.Time, by.Clock = p.time()
	var why error
	for i := range p.Authorities {
		a, err := p.Authorities[i].parse()
		if err != nil {
			return nil, err
		}
		if err := a.verifyChain(chain, by.Time); err != nil {
			why = fmt.Errorf("authority %q: %w", a.name, err)
			continue
		}
		by.TrustedBy = append(by.TrustedBy, a.name)
	}
	if len(by.TrustedBy) == 0 {
		return nil, why
	}
	return by, nil
}
