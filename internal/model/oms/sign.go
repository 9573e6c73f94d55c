package oms

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/rand"
	"crypto/x509"
	"errors"
	"fmt"
	"slices"
	"strings"
)

// Signer is who signs.
type Signer struct {
	// Key is what internal/trust loads, or any other signer, such as one that
	// asks a KMS: ECDSA P-256, P-384 or P-521, Ed25519, RSA from 2048 bits.
	// Interoperable bundles need ECDSA: the others are outside of the
	// specification's list, and the reference implementation reads none.
	Key crypto.Signer
	// Chain is the certificate of Key, followed by those that lead to the
	// authority that verifiers trust. Empty: verifiers know the key itself.
	Chain []*x509.Certificate
}

// The shape of a bundle, in the order in which it is written.
type (
	bundleJSON struct {
		MediaType string       `json:"mediaType"`
		Material  materialJSON `json:"verificationMaterial"`
		Envelope  envelopeJSON `json:"dsseEnvelope"`
	}
	materialJSON struct {
		PublicKey *hintJSON  `json:"publicKey,omitempty"`
		Chain     *chainJSON `json:"x509CertificateChain,omitempty"`
		// Entries is empty; some readers refuse bundles without it.
		Entries []struct{} `json:"tlogEntries"`
	}
	hintJSON struct {
		Hint string `json:"hint"`
	}
	chainJSON struct {
		Certificates []certificateJSON `json:"certificates"`
	}
	certificateJSON struct {
		RawBytes []byte `json:"rawBytes"`
	}
	envelopeJSON struct {
		Payload     []byte          `json:"payload"`
		PayloadType string          `json:"payloadType"`
		Signatures  []signatureJSON `json:"signatures"`
	}
	signatureJSON struct {
		Sig   []byte `json:"sig"`
		KeyID string `json:"keyid"` // empty, as the reference implementation writes it
	}
)

// Sign signs a manifest and returns the bundle, which belongs beside the model.
// With a key in memory the same manifest gives the same bytes; a certificate's
// validity is the verifier's business.
func Sign(m *Manifest, s Signer) ([]byte, error) {
	if err := m.check(); err != nil {
		return nil, fmt.Errorf("sign: %w", err)
	}
	if m.Name == "" {
		return nil, errors.New("sign: the manifest has no name")
	}
	if !slices.IsSortedFunc(m.Resources, func(a, b Resource) int { return strings.Compare(a.Name, b.Name) }) {
		return nil, errors.New("sign: the manifest is not sorted by name")
	}
	if s.Key == nil {
		return nil, errors.New("sign: there is no key")
	}
	key, err := newPublicKey("", s.Key.Public())
	if err != nil {
		return nil, fmt.Errorf("sign: %w", err)
	}
	out := bundleJSON{MediaType: mediaType, Material: materialJSON{Entries: []struct{}{}}}
	if len(s.Chain) == 0 {
		out.Material.PublicKey = &hintJSON{key.hint()}
	} else if out.Material.Chain, err = chainOf(key, s.Chain); err != nil {
		return nil, fmt.Errorf("sign: %w", err)
	}
	payload, err := m.statement()
	if err != nil {
		return nil, fmt.Errorf("sign: %w", err)
	}
	sig, err := signPayload(s.Key, pae(payload))
	if err != nil {
		return nil, fmt.Errorf("sign: %w", err)
	}
	out.Envelope = envelopeJSON{Payload: payload, PayloadType: payloadType, Signatures: []signatureJSON{{Sig: sig}}}
	raw, err := marshal(out)
	if err != nil {
		return nil, fmt.Errorf("sign: %w", err)
	}
	// What nobody can verify must not leave this place: a signer may be another
	// machine's, and a list may be too long to be read again.
	b, err := Read(raw)
	if err != nil {
		return nil, fmt.Errorf("sign: %w", err)
	}
	if !key.verifies(b, false) {
		return nil, errors.New("sign: the signer returned a signature that does not verify under its own public key")
	}
	return raw, nil
}

func chainOf(key *publicKey, chain []*x509.Certificate) (*chainJSON, error) {
	if len(chain) > maxChain {
		return nil, fmt.Errorf("%d certificates, at most %d", len(chain), maxChain)
	}
	leaf, err := newPublicKey("", chain[0].PublicKey)
	if err != nil {
		return nil, err
	}
	if leaf.id != key.id {
		return nil, errors.New("the first certificate is not the key's; put the signing certificate first")
	}
	if err := maySign(chain[0]); err != nil {
		return nil, err
	}
	out := &chainJSON{}
	for _, c := range chain {
		out.Certificates = append(out.Certificates, certificateJSON{c.Raw})
	}
	return out, nil
}

func signPayload(key crypto.Signer, message []byte) ([]byte, error) {
	hash := hashOf(key.Public())
	if hash == 0 {
		return key.Sign(rand.Reader, message, crypto.Hash(0))
	}
	h := hash.New()
	h.Write(message)
	random := rand.Reader
	if _, here := key.(*ecdsa.PrivateKey); here {
		random = nil // deterministic, RFC 6979
	}
	return key.Sign(random, h.Sum(nil), hash)
}
