// Package trust makes and verifies signatures over bytes and digests: sigstore
// bundles, cosign's older simple signing and attestations, and Notary Project
// envelopes. It does no I/O: callers hand in bytes and get facts.
//
// Start with [Compile], which turns the entries of a trust root into a [Root],
// and with [Root.VerifyBundle]. What is there and does not count is returned
// too, with a code and a reason; it never vanishes. To sign, load a key with
// [LoadSigner] and call [SignImage] or [Attest]; Apex's own documents are
// signed with [SignDocument].
//
// A Root is immutable and safe for concurrent use. It takes the time as an
// argument and never asks a clock, a log or an authority: everything is
// verified offline, against the material that the root holds. That has a price
// that callers must know: certificates are not checked for revocation (CRL,
// OCSP); [Revoked] is the way to stop a key or an identity.
//
// Sources: sigstore bundle and trusted root (protobuf-specs), the sigstore
// client specification, DSSE v1, in-toto Statement v0.1 and v1, cosign
// SIGNATURE_SPEC and BUNDLE_SPEC, the Notary Project signature specification
// v1.1, RFC 3161, RFC 6962.
//
// This package is the only owner of the sigstore and Notary Project libraries.
package trust

import (
	"errors"
	"fmt"

	"github.com/apexlogic/apex/internal/fact"
	"github.com/apexlogic/apex/verdict"
)

// Limits on foreign bytes. What is larger is refused, never truncated.
const (
	// maxBundle holds an SBOM of a large image, base64-encoded in a bundle;
	// cosign's own default limit for attestations is 128 MB and no producer
	// that we know comes near this.
	maxBundle = 32 << 20
	// maxPayload is a simple-signing document: a reference, a digest and annotations.
	maxPayload = 256 << 10
	// maxAnnotation bounds one annotation that carries certificates or a log entry.
	maxAnnotation = 1 << 20
	// maxNotation is a Notary Project envelope: a descriptor and a certificate chain.
	maxNotation = 1 << 20
	// maxDepth is the nesting of any signed JSON. SLSA and CycloneDX stay below 20.
	maxDepth = 64
	// maxSignatures is the number of DSSE signatures in one envelope; each is
	// tried with every key, so this bounds the work of a hostile envelope.
	maxSignatures = 8
	// maxSubjects and maxDigests are what sigstore-go allows in a statement.
	maxSubjects = 1024
	maxDigests  = 32
	// maxChain is the number of certificates beside a leaf.
	maxChain = 8
)

// Result is what one piece of evidence holds about a subject. What could not
// be read at all may have been either kind and is in both lists.
type Result struct {
	Signatures   []fact.Signature
	Attestations []fact.Attestation
}

// problem is why a signature does not count. It is an error so that it can be
// returned as one; its code goes into the fact.
type problem struct {
	code   verdict.Code
	detail string
}

func (p *problem) Error() string { return p.detail }

func deny(code verdict.Code, format string, args ...any) *problem {
	return &problem{code: code, detail: clip(fmt.Sprintf(format, args...))}
}

// asProblem keeps the code of a problem and gives any other error the code.
func asProblem(err error, code verdict.Code) *problem {
	var p *problem
	if errors.As(err, &p) {
		return p
	}
	return &problem{code: code, detail: clip(err.Error())}
}

// maxDetail keeps a hostile document from writing pages into a verdict.
const maxDetail = 400

func clip(s string) string {
	if len(s) <= maxDetail {
		return s
	}
	return s[:maxDetail] + "…"
}

// unreadable is the result for bytes that are no signature of any kind.
func unreadable(format fact.Format, source string, err error) Result {
	p := asProblem(err, verdict.SignatureInvalid)
	s := fact.Signing{Format: format, Source: source, Code: p.code, Detail: p.detail}
	a := s
	if a.Code == verdict.SignatureInvalid {
		a.Code = verdict.AttestationInvalid
	}
	return Result{
		Signatures:   []fact.Signature{{Signing: s}},
		Attestations: []fact.Attestation{{Signing: a}},
	}
}

// guarded calls f and turns a panic into an error. The libraries that parse
// log entries, timestamps and COSE read hostile bytes with code that is not
// ours: should one of them panic, the signature is denied and the process lives.
func guarded(what string, f func() error) (err error) {
	defer func() {
		if p := recover(); p != nil {
			err = fmt.Errorf("%s: the library failed on these bytes: %v", what, p)
		}
	}()
	return f()
}
