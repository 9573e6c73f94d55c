package trust

import (
	"bytes"
	"crypto"
	"encoding/json"
	"fmt"
	"time"

	"github.com/cyberphone/json-canonicalization/go/src/webpki.org/jsoncanonicalizer"

	"github.com/apexlogic/apex/internal/bounded"
	"github.com/apexlogic/apex/internal/fact"
	"github.com/apexlogic/apex/verdict"
)

// FormatDocument is the format of signatures over Apex's own documents.
const FormatDocument = fact.Format("document")

// maxDocument bounds a PolicyException or a Revocation.
const maxDocument = 1 << 20

// maxKind is the longest kind of document; Kubernetes allows 63.
const maxKind = 63

// documentType is the DSSE payload type of a kind, such as "PolicyException".
// Kinds are kept apart by it: a signed Revocation is not a signed exception.
func documentType(kind string) (string, error) {
	if kind == "" || len(kind) > maxKind {
		return "", fmt.Errorf("document kind %q is empty or too long", clip(kind))
	}
	for _, c := range []byte(kind) {
		if (c < 'a' || c > 'z') && (c < 'A' || c > 'Z') && (c < '0' || c > '9') && c != '-' {
			return "", fmt.Errorf("document kind %q is not a plain word", clip(kind))
		}
	}
	return "application/vnd.apexlogic." + kind + "+json", nil
}

// Canonical returns the canonical form of a JSON document (RFC 8785), which is
// what SignDocument signs. Duplicate keys are refused.
func Canonical(doc []byte) ([]byte, error) {
	if len(doc) > maxDocument {
		return nil, fmt.Errorf("document: %w of %d bytes", bounded.ErrTooLarge, maxDocument)
	}
	if err := checkJSON(doc); err != nil {
		return nil, fmt.Errorf("document: %w", err)
	}
	out, err := jsoncanonicalizer.Transform(doc)
	if err != nil {
		return nil, fmt.Errorf("document: %w", err)
	}
	return out, nil
}

// SignDocument signs one of Apex's own JSON documents, for example a
// PolicyException, and returns a DSSE envelope over its canonical form.
func SignDocument(signer crypto.Signer, kind string, doc []byte) ([]byte, error) {
	payloadType, err := documentType(kind)
	if err != nil {
		return nil, err
	}
	payload, err := Canonical(doc)
	if err != nil {
		return nil, err
	}
	env, err := signEnvelope(signer, payloadType, payload)
	if err != nil {
		return nil, fmt.Errorf("sign document: %w", err)
	}
	return json.Marshal(env)
}

// AddSignature adds a signature to an envelope that SignDocument made, so that
// several people sign the same document.
func AddSignature(signer crypto.Signer, envelope []byte) ([]byte, error) {
	env, err := parseEnvelope(envelope)
	if err != nil {
		return nil, err
	}
	if len(env.sigs) >= maxSignatures {
		return nil, fmt.Errorf("envelope: it has %d signatures already", len(env.sigs))
	}
	added, err := signEnvelope(signer, env.payloadType, env.payload)
	if err != nil {
		return nil, fmt.Errorf("sign document: %w", err)
	}
	out := envelopeJSON{Payload: env.payload, PayloadType: env.payloadType}
	for _, s := range env.sigs {
		out.Signatures = append(out.Signatures, signatureJSON{KeyID: s.keyID, Sig: s.sig})
	}
	out.Signatures = append(out.Signatures, added.Signatures...)
	return json.Marshal(out)
}

// VerifyDocument verifies a DSSE envelope over a document of this kind under
// the root's key entries. It returns the document in its canonical form and one
// value per distinct key of the root that signed; entries may refuse by their
// validity or by a revocation, then the value's Code says so. The error says
// why the document must not be used: it is set unless at least one signer counts.
func (r *Root) VerifyDocument(envelope []byte, kind string, now time.Time) (doc []byte, signers []fact.Signing, err error) {
	payloadType, err := documentType(kind)
	if err != nil {
		return nil, nil, err
	}
	if len(envelope) > 2*maxDocument {
		return nil, nil, fmt.Errorf("document: %w of %d bytes", bounded.ErrTooLarge, 2*maxDocument)
	}
	env, err := parseEnvelope(envelope)
	if err != nil {
		return nil, nil, err
	}
	if env.payloadType != payloadType {
		return nil, nil, fmt.Errorf("document: payload type is %q, expected %q", clip(env.payloadType), payloadType)
	}
	canonical, err := Canonical(env.payload)
	if err != nil {
		return nil, nil, err
	}
	if !bytes.Equal(canonical, env.payload) {
		return nil, nil, fmt.Errorf("document: the signed bytes are not in canonical form (RFC 8785)")
	}
	j := judged{format: FormatDocument, now: now}
	signers = r.judgeSigners(&signed{env: env}, pae(env.payloadType, env.payload), &j)
	for i := range signers {
		if signers[i].Valid() {
			return env.payload, signers, nil
		}
	}
	return nil, signers, fmt.Errorf("document: %w", &problem{code: signers[0].Code, detail: signers[0].Detail})
}

// Code returns the code of an error of this package, or
// [verdict.SignatureInvalid] for one that has none.
func Code(err error) verdict.Code { return asProblem(err, verdict.SignatureInvalid).code }
