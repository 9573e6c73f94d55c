package trust

import (
	"encoding/base64"
	"encoding/hex"
	"errors"
	"fmt"
	"strings"
	"time"

	protocommon "github.com/sigstore/protobuf-specs/gen/pb-go/common/v1"
	protorekor "github.com/sigstore/protobuf-specs/gen/pb-go/rekor/v1"
	"github.com/sigstore/sigstore-go/pkg/tlog"

	"github.com/apexlogic/apex/internal/bounded"
	"github.com/apexlogic/apex/internal/fact"
	"github.com/apexlogic/apex/verdict"
)

// The types of a simple-signing payload: cosign's, and the one of the format
// that it took over (containers-signature(5)).
const (
	typeCosign = "cosign container image signature"
	typeAtomic = "atomic container signature"
)

// simpleSigning is the payload that cosign's older format signs.
type simpleSigning struct {
	Critical struct {
		Identity struct {
			DockerReference string `json:"docker-reference"`
		} `json:"identity"`
		Image struct {
			DockerManifestDigest string `json:"docker-manifest-digest"`
		} `json:"image"`
		Type string `json:"type"`
	} `json:"critical"`
	Optional map[string]string `json:"optional"`
}

// VerifyLegacySignature verifies cosign's older format: a simple-signing
// payload, the layer's bytes, and the layer's annotations, which hold the
// signature and, for keyless signing, certificate, chain, log entry (a signed
// entry timestamp of Rekor) and RFC 3161 timestamp.
func (r *Root) VerifyLegacySignature(payload []byte, annotations map[string]string, subject verdict.Digest, source string, now time.Time) fact.Signature {
	j := judged{format: fact.FormatLegacy, source: source, subject: subject, now: now}
	sig, err := r.judgeLegacy(payload, annotations, &j)
	if err != nil {
		p := asProblem(err, verdict.SignatureInvalid)
		return fact.Signature{Signing: fact.Signing{Format: j.format, Source: source, Code: p.code, Detail: p.detail}}
	}
	return sig
}

func (r *Root) judgeLegacy(payload []byte, annotations map[string]string, j *judged) (fact.Signature, error) {
	doc, err := parseSimpleSigning(payload)
	if err != nil {
		return fact.Signature{}, err
	}
	sig, err := base64.StdEncoding.DecodeString(annotations[AnnotationSignature])
	if err != nil || len(sig) == 0 {
		return fact.Signature{}, fmt.Errorf("annotation %s is missing or is not base64", AnnotationSignature)
	}
	s := &signed{msg: &messageSigned{algorithm: "SHA2_256", digest: sha256Of(payload), message: payload, sig: sig}}
	if err := s.addAnnotations(annotations); err != nil {
		return fact.Signature{}, err
	}
	signing := r.judgeSigners(s, payload, j)[0] // one signature has one signer
	out := fact.Signature{Signing: signing, Subject: doc.digest}
	if signing.Code != verdict.OK {
		return out, nil
	}
	if doc.digest != j.subject || doc.digest == "" {
		out.Code, out.TrustedBy = verdict.SignatureSubject, nil
		out.Detail = clip(fmt.Sprintf("the payload is about %s, not about %s", doc.digest, j.subject))
		return out, nil
	}
	out.Repository = repositoryOf(doc.reference)
	out.Annotations = doc.optional
	return out, nil
}

// VerifyLegacyAttestation verifies cosign's older attestations: a DSSE
// envelope, the layer's bytes, and the layer's annotations. The result holds
// one value per signer whom the root knows, or one that says why there is none.
func (r *Root) VerifyLegacyAttestation(envelope []byte, annotations map[string]string, subject verdict.Digest, source string, now time.Time) Result {
	s := &signed{}
	var err error
	if s.env, err = parseEnvelope(envelope); err == nil {
		err = s.addAnnotations(annotations)
	}
	if err != nil {
		res := unreadable(fact.FormatLegacy, source, err)
		res.Signatures = nil // under a .att tag there are attestations only
		return res
	}
	j := judged{format: fact.FormatLegacy, source: source, subject: subject, now: now}
	return r.judgeStatement(s, &j)
}

type simpleDocument struct {
	digest    verdict.Digest
	reference string
	optional  map[string]string
}

// parseSimpleSigning reads the payload strictly: exact names, no duplicates.
// Unknown fields beside "optional" are refused, since nobody would judge them.
func parseSimpleSigning(payload []byte) (*simpleDocument, error) {
	if len(payload) > maxPayload {
		return nil, fmt.Errorf("payload: %w of %d bytes", bounded.ErrTooLarge, maxPayload)
	}
	if err := checkJSON(payload); err != nil {
		return nil, fmt.Errorf("payload: %w", err)
	}
	top, err := object(payload, "critical", "optional")
	if err != nil {
		return nil, fmt.Errorf("payload: %w", err)
	}
	critical, err := object(top.get("critical"), "identity", "image", "type")
	if err != nil {
		return nil, fmt.Errorf("payload critical: %w", err)
	}
	var kind, digest string
	if err := decodeString(critical.get("type"), &kind); err != nil {
		return nil, fmt.Errorf("payload critical.type: %w", err)
	}
	if kind != typeCosign && kind != typeAtomic {
		return nil, fmt.Errorf("payload critical.type is %q, expected %q", clip(kind), typeCosign)
	}
	image, err := object(critical.get("image"), "docker-manifest-digest")
	if err != nil {
		return nil, fmt.Errorf("payload critical.image: %w", err)
	}
	if err := decodeString(image.get("docker-manifest-digest"), &digest); err != nil {
		return nil, fmt.Errorf("payload docker-manifest-digest: %w", err)
	}
	doc := &simpleDocument{}
	if doc.digest, err = verdict.ParseDigest(digest); err != nil {
		return nil, fmt.Errorf("payload docker-manifest-digest: %w", err)
	}
	identity, err := object(critical.get("identity"), "docker-reference")
	if err != nil {
		return nil, fmt.Errorf("payload critical.identity: %w", err)
	}
	if err := decodeString(identity.get("docker-reference"), &doc.reference); err != nil {
		return nil, fmt.Errorf("payload docker-reference: %w", err)
	}
	if raw := top.get("optional"); len(raw) > 0 {
		if doc.optional, err = textMap(raw); err != nil {
			return nil, fmt.Errorf("payload optional: %w", err)
		}
	}
	return doc, nil
}

// addAnnotations reads what a layer carries beside its signature.
func (s *signed) addAnnotations(annotations map[string]string) error {
	for _, key := range [...]string{AnnotationSignature, AnnotationCertificate, AnnotationChain, AnnotationLog, AnnotationTimestamp} {
		if len(annotations[key]) > maxAnnotation {
			return fmt.Errorf("annotation %s: %w of %d bytes", key, bounded.ErrTooLarge, maxAnnotation)
		}
	}
	if text := annotations[AnnotationCertificate]; strings.TrimSpace(text) != "" {
		certs, err := parseCertificates([]byte(text), 1)
		if err != nil {
			return fmt.Errorf("annotation %s: %w", AnnotationCertificate, err)
		}
		s.leaf = certs[0]
		if text := annotations[AnnotationChain]; strings.TrimSpace(text) != "" {
			if s.extra, err = parseCertificates([]byte(text), maxChain); err != nil {
				return fmt.Errorf("annotation %s: %w", AnnotationChain, err)
			}
		}
	}
	// An entry that cannot be read counts as none, and says why where one is
	// required: clients have logged kinds of entry that nothing verifies.
	if text := annotations[AnnotationLog]; text != "" {
		s.entryErr = guarded("log entry", func() error {
			entry, err := parseLogAnnotation(text)
			if err == nil {
				s.entries = []*tlog.Entry{entry}
			}
			return err
		})
	}
	if text := annotations[AnnotationTimestamp]; text != "" {
		var t struct {
			SignedRFC3161Timestamp []byte
		}
		if err := bounded.JSON([]byte(text), maxDepth, &t); err != nil {
			return fmt.Errorf("annotation %s: %w", AnnotationTimestamp, err)
		}
		if len(t.SignedRFC3161Timestamp) == 0 {
			return fmt.Errorf("annotation %s: it holds no timestamp", AnnotationTimestamp)
		}
		s.stamps = [][]byte{t.SignedRFC3161Timestamp}
	}
	return nil
}

// parseLogAnnotation rebuilds a log entry from cosign's annotation (BUNDLE_SPEC):
// the entry's body and the log's promise to include it.
func parseLogAnnotation(text string) (*tlog.Entry, error) {
	var b struct {
		SignedEntryTimestamp []byte
		Payload              struct {
			Body           string `json:"body"`
			IntegratedTime int64  `json:"integratedTime"`
			LogIndex       int64  `json:"logIndex"`
			LogID          string `json:"logID"`
		}
	}
	if err := bounded.JSON([]byte(text), maxDepth, &b); err != nil {
		return nil, err
	}
	body, err := base64.StdEncoding.DecodeString(b.Payload.Body)
	if err != nil {
		return nil, fmt.Errorf("body: %w", err)
	}
	logID, err := hex.DecodeString(b.Payload.LogID)
	if err != nil {
		return nil, fmt.Errorf("logID: %w", err)
	}
	if len(b.SignedEntryTimestamp) == 0 || len(logID) == 0 || b.Payload.LogIndex < 0 {
		return nil, errors.New("signed entry timestamp, logID or logIndex is missing")
	}
	var head struct {
		Kind       string `json:"kind"`
		APIVersion string `json:"apiVersion"`
	}
	if err := bounded.JSON(body, maxDepth, &head); err != nil {
		return nil, fmt.Errorf("body: %w", err)
	}
	return tlog.ParseTransparencyLogEntry(&protorekor.TransparencyLogEntry{
		LogIndex:          b.Payload.LogIndex,
		LogId:             &protocommon.LogId{KeyId: logID},
		KindVersion:       &protorekor.KindVersion{Kind: head.Kind, Version: head.APIVersion},
		IntegratedTime:    b.Payload.IntegratedTime,
		InclusionPromise:  &protorekor.InclusionPromise{SignedEntryTimestamp: b.SignedEntryTimestamp},
		CanonicalizedBody: body,
	})
}
