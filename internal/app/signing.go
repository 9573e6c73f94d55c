package app

import (
	"bytes"
	"context"
	"crypto"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/rsa"
	"crypto/x509"
	"encoding/json"
	"encoding/pem"
	"errors"
	"fmt"
	"time"

	"github.com/apexlogic/apex/internal/bounded"
	"github.com/apexlogic/apex/internal/clock"
	"github.com/apexlogic/apex/internal/fact"
	"github.com/apexlogic/apex/internal/image"
	"github.com/apexlogic/apex/internal/image/scan"
	"github.com/apexlogic/apex/internal/oci"
	"github.com/apexlogic/apex/internal/oci/reference"
	"github.com/apexlogic/apex/internal/trust"
	"github.com/apexlogic/apex/verdict"
)

// LoadKey reads a private key from a file: cosign's encrypted format, or plain
// PKCS #8, SEC 1 or PKCS #1. password is asked only when the key is encrypted.
func LoadKey(path string, password func() ([]byte, error)) (crypto.Signer, error) {
	data, err := bounded.ReadFile(path, maxKeyFile)
	if err != nil {
		return nil, err
	}
	signer, err := trust.LoadSigner(data, nil)
	if errors.Is(err, trust.ErrPasswordNeeded) {
		given, failed := password()
		if failed != nil {
			return nil, fmt.Errorf("key %s: %w", path, failed)
		}
		signer, err = trust.LoadSigner(data, given)
		clear(given)
	}
	if err != nil {
		return nil, fmt.Errorf("key %s: %w", path, err)
	}
	return signer, nil
}

// PublicKey is the public half of a key, as people and trust roots name it.
type PublicKey struct {
	ID        string `json:"id"` // "sha256:<hex>" of the key's DER
	Algorithm string `json:"algorithm"`
	PEM       string `json:"pem"`
}

// LoadPublicKey reads a public key, or the public half of a private one. See
// [LoadKey] for password.
func LoadPublicKey(path string, password func() ([]byte, error)) (PublicKey, error) {
	data, err := bounded.ReadFile(path, maxKeyFile)
	if err != nil {
		return PublicKey{}, err
	}
	block, rest := pem.Decode(data)
	if block == nil {
		return PublicKey{}, fmt.Errorf("key %s: it holds no PEM block", path)
	}
	if block.Type != "PUBLIC KEY" {
		signer, err := LoadKey(path, password)
		if err != nil {
			return PublicKey{}, err
		}
		return Public(signer.Public())
	}
	if len(bytes.TrimSpace(rest)) > 0 {
		return PublicKey{}, fmt.Errorf("key %s: something follows the public key; a file holds one key", path)
	}
	pub, err := x509.ParsePKIXPublicKey(block.Bytes)
	if err != nil {
		return PublicKey{}, fmt.Errorf("key %s: the block does not hold a public key", path)
	}
	k, err := Public(pub)
	if err != nil {
		return PublicKey{}, fmt.Errorf("key %s: %w", path, err)
	}
	return k, nil
}

// Public describes a public key. Algorithms that nothing verifies are an error.
func Public(pub crypto.PublicKey) (PublicKey, error) {
	text, err := trust.PublicPEM(pub)
	if err != nil {
		return PublicKey{}, err
	}
	id, err := trust.KeyID(pub)
	if err != nil {
		return PublicKey{}, err
	}
	return PublicKey{ID: id, Algorithm: algorithm(pub), PEM: string(text)}, nil
}

func algorithm(pub crypto.PublicKey) string {
	switch key := pub.(type) {
	case *ecdsa.PublicKey:
		return "ECDSA " + key.Curve.Params().Name
	case *rsa.PublicKey:
		return fmt.Sprintf("RSA %d bits", key.N.BitLen())
	case ed25519.PublicKey:
		return "Ed25519"
	}
	return "unknown"
}

// SignOptions say how [SignImages] signs.
type SignOptions struct {
	Key crypto.Signer
	// Format is [fact.FormatBundle] or [fact.FormatLegacy].
	Format fact.Format
	// Annotations are signed too; policies may ask for them.
	Annotations map[string]string
	// AllPlatforms signs the images of an index beside the index.
	AllPlatforms bool
	// DryRun resolves and signs nothing.
	DryRun bool
}

// Signed is one digest that was signed, or attested.
type Signed struct {
	// Image as it was asked for; a tag in it selected nothing but Digest.
	Image      string         `json:"image"`
	Repository string         `json:"repository"`
	Digest     verdict.Digest `json:"digest"`
	// Platform is set for the images of an index.
	Platform string `json:"platform,omitempty"`
	KeyID    string `json:"keyID"`
	// PredicateType is an attestation's.
	PredicateType string `json:"predicateType,omitempty"`
	// Already says that the key had signed the same before, so nothing was added.
	Already bool `json:"already,omitempty"`
	// Superseded are the artifacts with older reports of the same scanner, which
	// are attached still. They may be deleted from the registry.
	Superseded []verdict.Digest `json:"superseded,omitempty"`
	// Bundle is what was signed; nil for the older format and for a dry run.
	Bundle json.RawMessage `json:"-"`
}

// SignImages resolves every image once, before anything is signed, and signs
// what the references named at that moment. When it fails, what it returns was
// signed already.
func SignImages(ctx context.Context, registry *oci.Client, images []string, o SignOptions) ([]Signed, error) {
	id, err := trust.KeyID(o.Key.Public())
	if err != nil {
		return nil, err
	}
	var todo []target
	for _, text := range images {
		found, err := resolve(ctx, registry, text, o.AllPlatforms)
		if err != nil {
			return nil, err
		}
		todo = append(todo, found...)
	}
	var out []Signed
	for _, t := range todo {
		s := Signed{Image: t.asked, Repository: t.repo, Digest: t.Digest, Platform: t.platform, KeyID: id}
		if !o.DryRun {
			if err = signOne(ctx, registry, &s, t.Descriptor, o); err != nil {
				return out, fmt.Errorf("sign %s@%s: %w", t.repo, t.Digest, err)
			}
		}
		out = append(out, s)
	}
	return out, nil
}

// signOne signs one digest, unless the key has signed the same about it before.
func signOne(ctx context.Context, registry *oci.Client, s *Signed, subject oci.Descriptor, o SignOptions) error {
	legacy := o.Format == fact.FormatLegacy
	known, err := evidenceOf(ctx, registry, o.Key, clock.System{}, s.Repository, subject, image.Places{Bundles: !legacy, LegacySignatures: legacy})
	if err != nil {
		return err
	}
	if legacy {
		payload, layer, err := trust.SignLegacy(o.Key, s.Repository, s.Digest, o.Annotations)
		if err != nil {
			return err
		}
		said := known.root.VerifyLegacySignature(payload, layer, s.Digest, "", known.now)
		if s.Already = known.knows(&trust.Result{Signatures: []fact.Signature{said}}); s.Already {
			return nil
		}
		return registry.AttachLegacy(ctx, s.Repository, s.Digest, oci.LegacySignature, payload, layer)
	}
	if s.Bundle, err = trust.SignImage(o.Key, s.Repository, s.Digest, o.Annotations); err != nil {
		return err
	}
	added, err := known.attach(ctx, s.Bundle, predicateSign)
	s.Already = err == nil && !added
	return err
}

// target is something to be signed about.
type target struct {
	oci.Descriptor
	asked, repo, platform string
}

// resolve finds what the reference names now; with every, the images of an
// index follow it.
func resolve(ctx context.Context, registry *oci.Client, text string, every bool) ([]target, error) {
	ref, err := reference.Parse(text)
	if err != nil {
		return nil, err
	}
	m, err := registry.Resolve(ctx, ref)
	if err != nil {
		return nil, err
	}
	out := []target{{Descriptor: m.Descriptor, asked: text, repo: ref.Name()}}
	if !every || !m.IsIndex() {
		return out, nil
	}
	platforms, err := oci.ParseIndex(m.Raw)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", text, err)
	}
	for _, p := range platforms {
		if p.Attestation {
			continue // nothing that runs
		}
		d := oci.Descriptor{MediaType: p.MediaType, Digest: p.Digest, Size: p.Size}
		out = append(out, target{Descriptor: d, asked: text, repo: ref.Name(), platform: p.Platform})
	}
	return out, nil
}

// AttestOptions say what [AttestImage] states.
type AttestOptions struct {
	Key    crypto.Signer
	Format fact.Format
	// Type is an alias such as "vuln", or the predicate type's URI.
	Type string
	// Predicate is one JSON document. For the type "vuln" it may be a scanner's
	// own report, which is then wrapped, see [VulnPredicate].
	Predicate []byte
}

// AttestImage resolves the image, signs the statement about it and attaches it.
// Vulnerability reports and provenance that Apex itself could not read, or that
// are about another image, are refused before anything is signed.
func AttestImage(ctx context.Context, registry *oci.Client, text string, o AttestOptions) (Signed, error) {
	predicateType, err := trust.PredicateType(o.Type)
	if err != nil {
		return Signed{}, err
	}
	if predicateType == scan.PredicateVuln {
		if o.Predicate, err = VulnPredicate(o.Predicate); err != nil {
			return Signed{}, err
		}
	}
	id, err := trust.KeyID(o.Key.Public())
	if err != nil {
		return Signed{}, err
	}
	found, err := resolve(ctx, registry, text, false)
	if err != nil {
		return Signed{}, err
	}
	t := found[0]
	s := Signed{Image: text, Repository: t.repo, Digest: t.Digest, KeyID: id, PredicateType: predicateType}
	if err := readable(t.Digest, predicateType, o.Predicate); err != nil {
		return s, err
	}
	legacy := o.Format == fact.FormatLegacy
	known, err := evidenceOf(ctx, registry, o.Key, clock.System{}, t.repo, t.Descriptor, image.Places{Bundles: !legacy, LegacyAttestations: legacy})
	if err != nil {
		return s, err
	}
	if legacy {
		envelope, layer, err := trust.AttestLegacy(o.Key, t.repo, t.Digest, predicateType, o.Predicate)
		if err != nil {
			return s, err
		}
		said := known.root.VerifyLegacyAttestation(envelope, layer, t.Digest, "", known.now)
		if s.Already = known.knows(&said); s.Already {
			return s, nil
		}
		return s, registry.AttachLegacy(ctx, t.repo, t.Digest, oci.LegacyAttestation, envelope, layer)
	}
	if s.Bundle, err = trust.Attest(o.Key, t.repo, t.Digest, predicateType, o.Predicate); err != nil {
		return s, err
	}
	added, err := known.attach(ctx, s.Bundle, predicateType)
	if s.Already = err == nil && !added; added && err == nil {
		s.Superseded = known.reports(predicateType, o.Predicate)
	}
	return s, err
}

// readable refuses a statement that would be signed and then never count.
func readable(subject verdict.Digest, predicateType string, predicate []byte) error {
	a := &fact.Attestation{
		PredicateType: predicateType, Predicate: predicate,
		Subjects: []fact.AttestationSubject{{Digest: subject}},
	}
	report, ok, err := scan.FromAttestation(a)
	if err == nil && ok && report.Code != verdict.OK {
		err = fmt.Errorf("%s (%s)", report.Detail, report.Code)
	}
	if err == nil && !ok {
		_, _, err = scan.ParseProvenance(a)
	}
	if err != nil {
		return fmt.Errorf("this predicate would never count, so it is not signed: %w", err)
	}
	return nil
}

// maxPredicateDepth is the nesting of a report that is wrapped; the statement
// around it takes the rest of what trust allows.
const maxPredicateDepth = 56

// scannerURIs are how scanners name themselves in cosign's predicate.
var scannerURIs = map[string]string{
	"Trivy":       "https://github.com/aquasecurity/trivy",
	"Grype":       "https://github.com/anchore/grype",
	"OSV-Scanner": "https://github.com/google/osv-scanner",
}

// VulnPredicate returns cosign's vulnerability predicate around a report of a
// scanner (COSIGN_VULN_ATTESTATION_SPEC). Scanner, version and time are those
// that the report states; nothing is invented, so a report that does not say
// when its scan finished, or that it failed, is refused. What is such a
// predicate already comes back as it is.
func VulnPredicate(data []byte) ([]byte, error) {
	var shape struct {
		Scanner  json.RawMessage `json:"scanner"`
		Metadata json.RawMessage `json:"metadata"`
	}
	if err := bounded.JSON(data, maxPredicateDepth, &shape); err != nil {
		return nil, fmt.Errorf("predicate: %w", err)
	}
	if len(shape.Scanner) > 0 && len(shape.Metadata) > 0 {
		return data, nil
	}
	r, err := scan.ParseReport(data)
	if err != nil {
		return nil, err
	}
	if r.Code != verdict.OK {
		return nil, fmt.Errorf("the report proves nothing (%s): %s", r.Code, r.Detail)
	}
	if r.Finished.IsZero() {
		return nil, errors.New("the report does not say when its scan finished, and a report of unknown age never counts; write the scanner's own JSON format, or a cosign vuln predicate with metadata.scanFinishedOn")
	}
	type m = map[string]any
	uri := r.URI
	if uri == "" {
		uri = scannerURIs[r.Scanner]
	}
	if uri == "" {
		uri = r.Scanner
	}
	database := m{"uri": "", "version": ""}
	if !r.DBUpdated.IsZero() {
		database["lastUpdate"] = r.DBUpdated.UTC().Format(time.RFC3339)
	}
	finished := r.Finished.UTC().Format(time.RFC3339Nano)
	return json.Marshal(m{
		"invocation": m{"parameters": nil, "uri": "", "event_id": "", "builder.id": ""},
		"scanner":    m{"uri": uri, "version": r.Version, "db": database, "result": json.RawMessage(data)},
		"metadata":   m{"scanStartedOn": finished, "scanFinishedOn": finished},
	})
}
