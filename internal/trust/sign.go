package trust

import (
	"crypto"
	"crypto/x509"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"

	"github.com/apexlogic/apex/internal/bounded"
	"github.com/apexlogic/apex/verdict"
)

// The annotations of cosign's older format, on the layer that holds the payload.
const (
	AnnotationSignature   = "dev.cosignproject.cosign/signature"
	AnnotationCertificate = "dev.sigstore.cosign/certificate"
	AnnotationChain       = "dev.sigstore.cosign/chain"
	AnnotationLog         = "dev.sigstore.cosign/bundle"
	AnnotationTimestamp   = "dev.sigstore.cosign/rfc3161timestamp"
	// AnnotationPredicateType is on .att layers, for listings only.
	AnnotationPredicateType = "predicateType"
)

// Media types of the layers of cosign's older format.
const (
	MediaTypeSimpleSigning = "application/vnd.dev.cosign.simplesigning.v1+json"
	MediaTypeDSSE          = "application/vnd.dsse.envelope.v1+json"
)

type resource struct {
	Name        string            `json:"name,omitempty"`
	Digest      map[string]string `json:"digest"`
	Annotations map[string]string `json:"annotations,omitempty"`
}

type statementJSON struct {
	Type          string          `json:"_type"`
	Subject       []resource      `json:"subject"`
	PredicateType string          `json:"predicateType"`
	Predicate     json.RawMessage `json:"predicate"`
}

type envelopeJSON struct {
	Payload     []byte          `json:"payload"`
	PayloadType string          `json:"payloadType"`
	Signatures  []signatureJSON `json:"signatures"`
}

type signatureJSON struct {
	KeyID string `json:"keyid,omitempty"`
	Sig   []byte `json:"sig"`
}

type bundleJSON struct {
	MediaType            string `json:"mediaType"`
	VerificationMaterial struct {
		PublicKey struct {
			Hint string `json:"hint"`
		} `json:"publicKey"`
	} `json:"verificationMaterial"`
	DSSEEnvelope envelopeJSON `json:"dsseEnvelope"`
}

// SignImage signs a digest in a repository and returns a sigstore bundle
// (v0.3). repo is the canonical repository, without tag or digest. The statement
// names it both as the subject and as the annotation [AnnotationRepository], so
// that a copy in another repository is told apart; annotations are signed too.
// cosign verifies these bundles.
func SignImage(signer crypto.Signer, repo string, digest verdict.Digest, annotations map[string]string) ([]byte, error) {
	subject, err := newResource(repo, digest)
	if err != nil {
		return nil, fmt.Errorf("sign: %w", err)
	}
	subject.Annotations = map[string]string{AnnotationRepository: repo}
	for k, v := range annotations {
		if k == AnnotationRepository {
			return nil, fmt.Errorf("sign: annotation %s is set from the repository", k)
		}
		subject.Annotations[k] = v
	}
	return signBundle(signer, &statementJSON{
		Type: statementV1, Subject: []resource{subject},
		PredicateType: predicateCosignSign, Predicate: json.RawMessage("{}"),
	})
}

// Attest signs an in-toto statement about a digest in a repository and returns
// a sigstore bundle. predicateType is a URI or an alias of [PredicateType];
// predicate is one JSON value without duplicate keys.
func Attest(signer crypto.Signer, repo string, digest verdict.Digest, predicateType string, predicate []byte) ([]byte, error) {
	st, err := newStatement(statementV1, repo, digest, predicateType, predicate)
	if err != nil {
		return nil, fmt.Errorf("attest: %w", err)
	}
	return signBundle(signer, st)
}

// AttestContent is [Attest] about a digest and, in the same statement, about
// what the artifact holds: content is a digest of its own, named name. Who has
// only one of the two finds the statement by it, and both are bound together.
func AttestContent(signer crypto.Signer, repo string, digest verdict.Digest, name string, content verdict.Digest, predicateType string, predicate []byte) ([]byte, error) {
	st, err := newStatement(statementV1, repo, digest, predicateType, predicate)
	if err != nil {
		return nil, fmt.Errorf("attest: %w", err)
	}
	second, err := newResource(name, content)
	if err != nil {
		return nil, fmt.Errorf("attest: %w", err)
	}
	st.Subject = append(st.Subject, second)
	return signBundle(signer, st)
}

// AttestLegacy is Attest for cosign's older format: a DSSE envelope and the
// annotations of the layer that holds it, pushed under the tag sha256-<hex>.att.
func AttestLegacy(signer crypto.Signer, repo string, digest verdict.Digest, predicateType string, predicate []byte) (envelope []byte, annotations map[string]string, err error) {
	// cosign writes statements of v0.1 here, and old readers know no other.
	st, err := newStatement(statementV01, repo, digest, predicateType, predicate)
	if err != nil {
		return nil, nil, fmt.Errorf("attest: %w", err)
	}
	payload, err := json.Marshal(st)
	if err != nil {
		return nil, nil, fmt.Errorf("attest: %w", err)
	}
	env, err := signEnvelope(signer, payloadTypeInToto, payload)
	if err != nil {
		return nil, nil, fmt.Errorf("attest: %w", err)
	}
	out, err := json.Marshal(env)
	if err != nil {
		return nil, nil, fmt.Errorf("attest: %w", err)
	}
	// The signature is in the envelope; cosign leaves the annotation empty.
	return out, map[string]string{AnnotationSignature: "", AnnotationPredicateType: st.PredicateType}, nil
}

// SignLegacy is SignImage for cosign's older format: a simple-signing payload
// and the annotations of the layer that holds it, pushed under sha256-<hex>.sig.
func SignLegacy(signer crypto.Signer, repo string, digest verdict.Digest, annotations map[string]string) (payload []byte, layer map[string]string, err error) {
	if _, err := newResource(repo, digest); err != nil {
		return nil, nil, fmt.Errorf("sign: %w", err)
	}
	var doc simpleSigning
	doc.Critical.Identity.DockerReference = repo
	doc.Critical.Image.DockerManifestDigest = string(digest)
	doc.Critical.Type = typeCosign
	doc.Optional = annotations
	if payload, err = json.Marshal(doc); err != nil {
		return nil, nil, fmt.Errorf("sign: %w", err)
	}
	sig, err := sign(signer, payload)
	if err != nil {
		return nil, nil, fmt.Errorf("sign: %w", err)
	}
	return payload, map[string]string{AnnotationSignature: base64.StdEncoding.EncodeToString(sig)}, nil
}

func newResource(repo string, digest verdict.Digest) (resource, error) {
	if _, err := verdict.ParseDigest(string(digest)); err != nil {
		return resource{}, err
	}
	if repo == "" {
		return resource{}, errors.New("the repository is empty; a signature without one could be copied anywhere")
	}
	if repo != repositoryOf(repo) {
		return resource{}, fmt.Errorf("repository %q carries a tag or a digest", clip(repo))
	}
	return resource{Name: repo, Digest: map[string]string{"sha256": digest.Hex()}}, nil
}

func newStatement(version, repo string, digest verdict.Digest, predicateType string, predicate []byte) (*statementJSON, error) {
	subject, err := newResource(repo, digest)
	if err != nil {
		return nil, err
	}
	uri, err := PredicateType(predicateType)
	if err != nil {
		return nil, err
	}
	if uri == predicateCosignSign {
		return nil, errors.New("that predicate type is a signature's; use SignImage")
	}
	if len(predicate) > maxBundle/2 {
		return nil, fmt.Errorf("predicate: %w of %d bytes", bounded.ErrTooLarge, maxBundle/2)
	}
	if err := strict(maxDepth - 1).Check(predicate); err != nil {
		return nil, fmt.Errorf("predicate: %w", err)
	}
	return &statementJSON{Type: version, Subject: []resource{subject}, PredicateType: uri, Predicate: predicate}, nil
}

func signBundle(signer crypto.Signer, st *statementJSON) ([]byte, error) {
	payload, err := json.Marshal(st)
	if err != nil {
		return nil, fmt.Errorf("sign: %w", err)
	}
	env, err := signEnvelope(signer, payloadTypeInToto, payload)
	if err != nil {
		return nil, fmt.Errorf("sign: %w", err)
	}
	spki, err := x509.MarshalPKIXPublicKey(signer.Public())
	if err != nil {
		return nil, fmt.Errorf("sign: %w", err)
	}
	b := bundleJSON{MediaType: MediaTypeBundle, DSSEEnvelope: *env}
	b.VerificationMaterial.PublicKey.Hint = hintOf(spki)
	return json.Marshal(b)
}

func signEnvelope(signer crypto.Signer, payloadType string, payload []byte) (*envelopeJSON, error) {
	sig, err := sign(signer, pae(payloadType, payload))
	if err != nil {
		return nil, err
	}
	return &envelopeJSON{Payload: payload, PayloadType: payloadType, Signatures: []signatureJSON{{Sig: sig}}}, nil
}
