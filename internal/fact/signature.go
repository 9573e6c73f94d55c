package fact

import (
	"encoding/json"
	"time"

	"github.com/apexlogic/apex/verdict"
)

// Format is how a signature is packed.
type Format string

// The formats that are read.
const (
	FormatBundle   Format = "bundle"   // sigstore bundle, attached as OCI 1.1 referrer
	FormatLegacy   Format = "legacy"   // cosign simple signing (.sig) and DSSE (.att) under tags
	FormatNotation Format = "notation" // Notary Project JWS or COSE envelope
	FormatFile     Format = "file"     // handed in beside the image, not found in a registry
)

// Identity is who a certificate says the signer is.
type Identity struct {
	Issuer  string `json:"issuer,omitempty"`  // OIDC issuer, or the certificate's issuer for Notation
	Subject string `json:"subject,omitempty"` // SAN, or the certificate's subject for Notation
}

// Signing is who signed, when, and what proves it. It says what was verified
// cryptographically; whether that is enough is the rule's business.
type Signing struct {
	Format Format `json:"format"`
	// Source is the descriptor or file that holds the signature.
	Source string `json:"source,omitempty"`
	// TrustedBy names the TrustRoot entries under which the signature verifies,
	// sorted. Empty: nobody whom we know made it, or Code says what is wrong.
	TrustedBy []string `json:"trustedBy,omitempty"`
	// KeyID is "sha256:<hex>" of the public key's DER (SubjectPublicKeyInfo).
	KeyID    string   `json:"keyID,omitempty"`
	Identity Identity `json:"identity,omitzero"`
	// SignedAt is the time that a log or a timestamp authority vouches for; zero: nobody does.
	SignedAt time.Time `json:"signedAt,omitzero"`
	// Logs names the distinct transparency logs with a verified entry about this signature.
	Logs []string `json:"logs,omitempty"`
	// Timestamps names the distinct timestamp authorities that vouch for SignedAt.
	Timestamps []string `json:"timestamps,omitempty"`
	// Repository is the repository that the signer named, canonical; "" when the format or the signer names none.
	Repository string `json:"repository,omitempty"`
	// Code and Detail say why the signature does not count; Code is verdict.OK when it verifies under some entry.
	Code   verdict.Code `json:"code"`
	Detail string       `json:"detail,omitempty"`
	// Until is when the signature stops verifying (a key's or revocation's limit); zero: never.
	Until time.Time `json:"until,omitzero"`
}

// Valid reports whether the signature verified under at least one entry.
func (s *Signing) Valid() bool { return s.Code == verdict.OK && len(s.TrustedBy) > 0 }

// Signature is a signature over the image's digest, with no further statement.
type Signature struct {
	Signing
	Subject     verdict.Digest    `json:"subject"` // what the signed payload names
	Annotations map[string]string `json:"annotations,omitempty"`
}

// Attestation is a signed in-toto statement about the image's digest.
type Attestation struct {
	Signing
	StatementType string               `json:"statementType"`
	PredicateType string               `json:"predicateType"`
	Subjects      []AttestationSubject `json:"subjects"`
	// Predicate is the JSON as it was signed. Duplicate keys were refused.
	Predicate json.RawMessage `json:"predicate"`
}

// AttestationSubject is one resource descriptor of a statement.
type AttestationSubject struct {
	Name   string         `json:"name,omitempty"`
	Digest verdict.Digest `json:"digest"`
}
