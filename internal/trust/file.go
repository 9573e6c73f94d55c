package trust

import (
	"crypto"
	"crypto/sha256"
	"crypto/x509"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"time"

	"github.com/apexlogic/apex/internal/fact"
	"github.com/apexlogic/apex/verdict"
)

// messageBundleJSON is a sigstore bundle (v0.3) with a message signature.
type messageBundleJSON struct {
	MediaType            string `json:"mediaType"`
	VerificationMaterial struct {
		PublicKey struct {
			Hint string `json:"hint"`
		} `json:"publicKey"`
	} `json:"verificationMaterial"`
	MessageSignature struct {
		MessageDigest struct {
			Algorithm string `json:"algorithm"`
			Digest    []byte `json:"digest"`
		} `json:"messageDigest"`
		Signature []byte `json:"signature"`
	} `json:"messageSignature"`
}

// SignFile signs the bytes of a file and returns a sigstore bundle (v0.3) with a
// message signature, as cosign sign-blob makes them.
func SignFile(signer crypto.Signer, content []byte) ([]byte, error) {
	sig, err := sign(signer, content)
	if err != nil {
		return nil, fmt.Errorf("sign: %w", err)
	}
	spki, err := x509.MarshalPKIXPublicKey(signer.Public())
	if err != nil {
		return nil, fmt.Errorf("sign: %w", err)
	}
	sum := sha256.Sum256(content)
	b := messageBundleJSON{MediaType: MediaTypeBundle}
	b.VerificationMaterial.PublicKey.Hint = hintOf(spki)
	b.MessageSignature.MessageDigest.Algorithm = "SHA2_256"
	b.MessageSignature.MessageDigest.Digest = sum[:]
	b.MessageSignature.Signature = sig
	return json.Marshal(&b)
}

// VerifyFile verifies a sigstore bundle about a file whose bytes are known; see
// [Root.VerifyBundle]. With the bytes, every kind of key can be verified: an
// Ed25519 signature is over the message and not over its digest.
func (r *Root) VerifyFile(raw, content []byte, source string, now time.Time) Result {
	sum := sha256.Sum256(content)
	subject := verdict.Digest("sha256:" + hex.EncodeToString(sum[:]))
	s, err := parseBundle(raw)
	if err != nil {
		return unreadable(fact.FormatBundle, source, err)
	}
	j := judged{format: fact.FormatBundle, source: source, subject: subject, now: now}
	if s.env != nil {
		return r.judgeStatement(s, &j)
	}
	s.msg.message = content
	return r.judgeMessage(s, &j)
}
