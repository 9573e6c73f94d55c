package oms

import (
	"bytes"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"slices"

	"github.com/apexlogic/apex/internal/bounded"
	"github.com/apexlogic/apex/verdict"
)

const (
	mediaType       = "application/vnd.dev.sigstore.bundle.v0.3+json"
	payloadType     = "application/vnd.in-toto+json"
	statementType   = "https://in-toto.io/Statement/v1"
	predicateV1     = "https://model_signing/signature/v1.0"
	predicateV02    = "https://model_signing/Digests/v0.1"
	maxBundleDepth  = 32 // log entries nest 6 deep
	maxPayloadDepth = 32 // annotations of resources are free; the rest nests 5 deep
)

// mediaTypes are both spellings of version 0.3, the only one that OMS signers write.
var mediaTypes = [...]string{mediaType, "application/vnd.dev.sigstore.bundle+json;version=0.3"}

// Scheme is how a signer is known (OMS §4.1).
type Scheme string

// The schemes of the OMS specification.
const (
	ByKey         Scheme = "key"         // a key pair
	ByCertificate Scheme = "certificate" // a certificate of the verifier's own authority
	ByIdentity    Scheme = "sigstore"    // an identity that a sigstore deployment certifies
)

// Bundle is what a bundle says. Nothing in it is proved.
type Bundle struct {
	Scheme        Scheme
	PredicateType string
	// Root is the subject's digest; of a v0.2 bundle, which has none, the root
	// of its manifest.
	Root     verdict.Digest
	Manifest *Manifest

	raw        []byte
	payload    []byte
	predicate  []byte // as it stands in the payload
	about      verdict.Digest
	signatures [][]byte
	hint       string
	keyBytes   []byte   // what bundles before 1.1 carry instead of a hint
	chain      [][]byte // DER, the leaf first
	witnessed  bool     // it has log entries or timestamps
}

// V02 says whether the bundle is of the layout of v0.2, which is not read any
// more unless a policy allows it.
func (b *Bundle) V02() bool { return b.PredicateType == predicateV02 }

// Read reads a bundle, without believing any of it. Errors wrap [ErrManifest].
func Read(bundle []byte) (*Bundle, error) {
	b, err := read(bundle)
	if err != nil {
		return nil, fmt.Errorf("%w: %w", ErrManifest, err)
	}
	return b, nil
}

func read(raw []byte) (*Bundle, error) {
	if len(raw) > maxBundle {
		return nil, fmt.Errorf("%w of %d bytes", bounded.ErrTooLarge, maxBundle)
	}
	if err := bounded.CheckJSON(raw, maxBundleDepth); err != nil {
		return nil, err
	}
	top, err := object(raw, "mediaType", "verificationMaterial", "dsseEnvelope")
	if err != nil {
		return nil, err
	}
	if err := top.only(); err != nil {
		return nil, err
	}
	media, err := text(top.get("mediaType"))
	if err != nil {
		return nil, fmt.Errorf("mediaType: %w", err)
	}
	if !slices.Contains(mediaTypes[:], media) {
		return nil, fmt.Errorf("mediaType is %q, expected %q", clip(media), mediaType)
	}
	b := &Bundle{raw: raw}
	if err := b.readMaterial(top.get("verificationMaterial")); err != nil {
		return nil, fmt.Errorf("verificationMaterial: %w", err)
	}
	if err := b.readEnvelope(top.get("dsseEnvelope")); err != nil {
		return nil, fmt.Errorf("dsseEnvelope: %w", err)
	}
	if err := b.readStatement(); err != nil {
		return nil, fmt.Errorf("statement: %w", err)
	}
	return b, nil
}

func (b *Bundle) readMaterial(raw []byte) error {
	m, err := object(raw, "publicKey", "certificate", "x509CertificateChain", "tlogEntries", "timestampVerificationData")
	if err != nil {
		return err
	}
	if err := m.only(); err != nil {
		return err
	}
	logged := false
	if raw := m.get("tlogEntries"); raw != nil {
		entries, err := array(raw)
		if err != nil {
			return fmt.Errorf("tlogEntries: %w", err)
		}
		logged = len(entries) > 0
	}
	b.witnessed = logged
	if stamps := m.get("timestampVerificationData"); stamps != nil && string(stamps) != "{}" && string(stamps) != "null" {
		b.witnessed = true
	}
	key, leaf, chain := m.get("publicKey"), m.get("certificate"), m.get("x509CertificateChain")
	kinds := 0
	for _, kind := range [][]byte{key, leaf, chain} {
		if kind != nil {
			kinds++
		}
	}
	if kinds != 1 {
		return errors.New("expected exactly one of publicKey, certificate and x509CertificateChain")
	}
	switch {
	case key != nil:
		b.Scheme = ByKey
		return b.readKey(key)
	case leaf != nil:
		if b.Scheme = ByIdentity; !logged {
			return errors.New("an identity's signature needs an entry of a transparency log")
		}
		return b.readCertificates([]json.RawMessage{leaf})
	}
	b.Scheme = ByCertificate
	list, err := object(chain, "certificates")
	if err != nil {
		return fmt.Errorf("x509CertificateChain: %w", err)
	}
	certificates, err := array(list.get("certificates"))
	if err != nil {
		return fmt.Errorf("certificates: %w", err)
	}
	return b.readCertificates(certificates)
}

func (b *Bundle) readKey(raw []byte) error {
	key, err := object(raw, "hint", "rawBytes", "keyDetails")
	if err != nil {
		return fmt.Errorf("publicKey: %w", err)
	}
	if hint := key.get("hint"); hint != nil {
		if b.hint, err = text(hint); err != nil {
			return fmt.Errorf("publicKey hint: %w", err)
		}
	}
	if old := key.get("rawBytes"); old != nil {
		if b.keyBytes, err = encoded(old); err != nil {
			return fmt.Errorf("publicKey rawBytes: %w", err)
		}
	}
	if b.hint == "" && b.keyBytes == nil {
		return errors.New("publicKey has neither hint nor rawBytes")
	}
	return nil
}

func (b *Bundle) readCertificates(list []json.RawMessage) error {
	if len(list) == 0 || len(list) > maxChain {
		return fmt.Errorf("%d certificates, expected 1 to %d", len(list), maxChain)
	}
	for i, raw := range list {
		c, err := object(raw, "rawBytes")
		if err != nil {
			return fmt.Errorf("certificate %d: %w", i, err)
		}
		der, err := encoded(c.get("rawBytes"))
		if err != nil {
			return fmt.Errorf("certificate %d: %w", i, err)
		}
		b.chain = append(b.chain, der)
	}
	return nil
}

func (b *Bundle) readEnvelope(raw []byte) error {
	env, err := object(raw, "payload", "payloadType", "signatures")
	if err != nil {
		return err
	}
	if err := env.only(); err != nil {
		return err
	}
	kind, err := text(env.get("payloadType"))
	if err != nil {
		return fmt.Errorf("payloadType: %w", err)
	}
	if kind != payloadType {
		return fmt.Errorf("payloadType is %q, expected %q", clip(kind), payloadType)
	}
	if b.payload, err = encoded(env.get("payload")); err != nil {
		return fmt.Errorf("payload: %w", err)
	}
	signatures, err := array(env.get("signatures"))
	if err != nil {
		return fmt.Errorf("signatures: %w", err)
	}
	if len(signatures) == 0 || len(signatures) > maxSignatures {
		return fmt.Errorf("%d signatures, expected 1 to %d", len(signatures), maxSignatures)
	}
	for i, raw := range signatures {
		s, err := object(raw, "sig", "keyid")
		if err != nil {
			return fmt.Errorf("signature %d: %w", i, err)
		}
		if err := s.only(); err != nil {
			return fmt.Errorf("signature %d: %w", i, err)
		}
		sig, err := encoded(s.get("sig"))
		if err != nil {
			return fmt.Errorf("signature %d: %w", i, err)
		}
		if id := s.get("keyid"); id != nil && string(id) != "null" {
			if _, err := text(id); err != nil {
				return fmt.Errorf("signature %d keyid: %w", i, err)
			}
		}
		b.signatures = append(b.signatures, sig)
	}
	return nil
}

// members are the members of one object of a document that was checked. Names
// are compared exactly; encoding/json would not mind their case.
type members struct {
	all   map[string]json.RawMessage
	known []string
}

func object(raw []byte, known ...string) (members, error) {
	m := members{known: known}
	if len(raw) == 0 {
		return m, errors.New("missing")
	}
	if first := bytes.TrimLeft(raw, " \t\r\n"); len(first) == 0 || first[0] != '{' {
		return m, errors.New("expected an object")
	}
	return m, json.Unmarshal(raw, &m.all)
}

func (m members) get(name string) json.RawMessage { return m.all[name] }

// only refuses members that are not known.
func (m members) only() error {
	for name := range m.all {
		if !slices.Contains(m.known, name) {
			return fmt.Errorf("unknown field %q", clip(name))
		}
	}
	return nil
}

func array(raw []byte) ([]json.RawMessage, error) {
	if len(raw) == 0 {
		return nil, errors.New("missing")
	}
	var out []json.RawMessage
	if err := json.Unmarshal(raw, &out); err != nil || out == nil {
		return nil, errors.New("expected a list")
	}
	return out, nil
}

// text returns a string that is part of a document that was checked.
func text(raw []byte) (string, error) {
	if len(raw) == 0 {
		return "", errors.New("missing")
	}
	if raw[0] == '"' && bytes.IndexByte(raw, '\\') < 0 {
		return string(raw[1 : len(raw)-1]), nil // the document was checked: nothing to undo
	}
	var out *string
	if err := json.Unmarshal(raw, &out); err != nil || out == nil {
		return "", errors.New("expected a string")
	}
	return *out, nil
}

// encoded undoes base64 in the standard alphabet, with padding. Nothing that
// is signed or signs is empty.
func encoded(raw []byte) ([]byte, error) {
	s, err := text(raw)
	if err != nil {
		return nil, err
	}
	out, err := base64.StdEncoding.Strict().DecodeString(s)
	if err == nil && len(out) == 0 {
		err = errors.New("empty")
	}
	return out, err
}
