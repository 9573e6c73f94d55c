package trust

import (
	"crypto"
	"encoding/base64"
	"encoding/hex"
	"fmt"
	"slices"
	"sort"
	"time"

	"github.com/secure-systems-lab/go-securesystemslib/dsse"
	"github.com/sigstore/sigstore-go/pkg/bundle"
	"github.com/sigstore/sigstore-go/pkg/root"
	"github.com/sigstore/sigstore-go/pkg/verify"
	"github.com/sigstore/sigstore/pkg/signature"

	"github.com/apexlogic/apex/internal/fact"
	"github.com/apexlogic/apex/verdict"
)

// judged is what one piece of evidence is judged for.
type judged struct {
	format  fact.Format
	source  string
	subject verdict.Digest
	now     time.Time
}

// judgeStatement judges a DSSE envelope with an in-toto statement.
func (r *Root) judgeStatement(s *signed, j *judged) Result {
	st, err := parseStatement(s.env.payloadType, s.env.payload)
	if err != nil {
		return unreadable(j.format, j.source, err)
	}
	var out Result
	at := st.about(j.subject)
	message := pae(s.env.payloadType, s.env.payload)
	for _, signing := range r.judgeSigners(s, message, j) {
		if signing.Code == verdict.OK && at < 0 {
			signing.Code, signing.TrustedBy = verdict.SignatureSubject, nil
			signing.Detail = clip(fmt.Sprintf("the statement is about %s, not about %s", firstDigest(st), j.subject))
		}
		verified := signing.Code == verdict.OK
		if verified {
			signing.Repository = st.repository(at)
		}
		if st.predicateType == predicateCosignSign {
			sig := fact.Signature{Signing: signing, Subject: firstDigest(st)}
			if verified {
				sig.Subject, sig.Annotations = j.subject, st.annotations[at]
			}
			out.Signatures = append(out.Signatures, sig)
			continue
		}
		switch signing.Code {
		case verdict.SignatureInvalid:
			signing.Code = verdict.AttestationInvalid
		case verdict.SignatureUntrusted:
			signing.Code = verdict.AttestationUntrusted
		}
		a := fact.Attestation{
			Signing: signing, StatementType: st.statementType,
			PredicateType: st.predicateType, Subjects: st.subjects,
		}
		// A predicate that nobody vouches for is not handed on: there is
		// nothing that a rule may do with it.
		if verified {
			a.Predicate = st.predicate
		}
		out.Attestations = append(out.Attestations, a)
	}
	return out
}

func firstDigest(st *statement) verdict.Digest {
	for _, s := range st.subjects {
		if s.Digest != "" {
			return s.Digest
		}
	}
	return ""
}

// judgeMessage judges a message signature, which signs the artifact itself.
func (r *Root) judgeMessage(s *signed, j *judged) Result {
	m := s.msg
	signings := r.judgeSigners(s, nil, j)
	about := verdict.Digest("")
	if m.algorithm == "SHA2_256" {
		about = verdict.Digest("sha256:" + hex.EncodeToString(m.digest))
	}
	var out Result
	for _, signing := range signings {
		if signing.Code == verdict.OK && (about == "" || about != j.subject) {
			signing.Code, signing.TrustedBy = verdict.SignatureSubject, nil
			signing.Detail = clip(fmt.Sprintf("the signature is over %s, not over %s", about, j.subject))
		}
		out.Signatures = append(out.Signatures, fact.Signature{Signing: signing, Subject: about})
	}
	return out
}

// judgeSigners finds out who signed. Each distinct signer that the root knows
// is one value; when there is none, one value says why not.
func (r *Root) judgeSigners(s *signed, message []byte, j *judged) []fact.Signing {
	if s.leaf != nil {
		return []fact.Signing{r.judgeCertificate(s, message, j)}
	}
	var out []fact.Signing
	counted := make([]bool, len(r.keys))
	for i := range signatureCount(s) {
		sig, keyID := signatureAt(s, i)
		k := r.signerOf(s, message, sig, keyID)
		if k < 0 || counted[k] {
			continue // an unknown signature neither helps nor spoils; the same key counts once
		}
		counted[k] = true
		out = append(out, r.judgeKey(r.keys[k], s, i, j))
	}
	if len(out) > 0 {
		return out
	}
	return []fact.Signing{r.nobody(s, j)}
}

// nobody explains a signature that no key of the root made.
func (r *Root) nobody(s *signed, j *judged) fact.Signing {
	signing := fact.Signing{
		Format: j.format, Source: j.source, Code: verdict.SignatureUntrusted,
		Detail: fmt.Sprintf("it verifies under none of the %d keys of the trust root", len(r.keys)),
	}
	hints := []string{s.hint}
	if s.env != nil {
		for _, sig := range s.env.sigs {
			hints = append(hints, sig.keyID)
		}
	}
	for _, hint := range hints {
		if k, ok := r.byHint[hint]; ok && hint != "" {
			signing.Code = verdict.SignatureInvalid
			signing.KeyID = r.keys[k].key.id
			signing.Detail = fmt.Sprintf("it names the key of %q and does not verify under it: the signed bytes or the signature were changed", r.keys[k].name)
		}
	}
	return signing
}

func signatureCount(s *signed) int {
	if s.env != nil {
		return len(s.env.sigs)
	}
	return 1
}

func signatureAt(s *signed, i int) (sig []byte, keyID string) {
	if s.env != nil {
		return s.env.sigs[i].sig, s.env.sigs[i].keyID
	}
	return s.msg.sig, ""
}

// signerOf returns the index of the key that made the signature, or -1. The
// hint only says which key to try first: it is not signed.
func (r *Root) signerOf(s *signed, message, sig []byte, keyID string) int {
	first := -1
	for _, hint := range [...]string{keyID, s.hint} {
		if k, ok := r.byHint[hint]; ok && first < 0 {
			first = k
		}
	}
	if first >= 0 && r.keys[first].key.verifies(s, message, sig) {
		return first
	}
	for k := range r.keys {
		if k != first && r.keys[k].key.verifies(s, message, sig) {
			return k
		}
	}
	return -1
}

// verifies checks one signature of s. message is the DSSE encoding, or nil for
// a message signature.
func (k *publicKey) verifies(s *signed, message, sig []byte) bool {
	if s.env != nil {
		return k.verify(message, sig)
	}
	if s.msg.message != nil {
		return k.verify(s.msg.message, sig)
	}
	return hashName(k) == s.msg.algorithm && k.verifyDigest(s.msg.digest, sig)
}

// hashName is the key's hash as bundles spell it; "" for Ed25519, which signs
// the artifact and not its digest, so that a digest cannot be verified.
func hashName(k *publicKey) string {
	switch k.hash {
	case crypto.SHA256:
		return "SHA2_256"
	case crypto.SHA384:
		return "SHA2_384"
	case crypto.SHA512:
		return "SHA2_512"
	}
	return ""
}

// judgeKey judges a signature that verifies under k: its log, its time, and
// whether the key may be believed at that time.
func (r *Root) judgeKey(k *keyed, s *signed, i int, j *judged) fact.Signing {
	signing := fact.Signing{
		Format: j.format, Source: j.source, KeyID: k.key.id, Code: verdict.OK,
	}
	var seen observation
	if r.logs != nil && (len(s.entries) > 0 || len(s.stamps) > 0 || s.entryErr != nil) {
		seen = r.logs.observe(entityOf(s, i, keyContent{k.key}), keyMaterial{r.logs, k.key})
	}
	fillIn(&signing, &seen)
	p := k.check(&seen, j)
	if p == nil {
		var until time.Time
		if until, p = r.checkRevoked(k.key.id, fact.Identity{}, &seen, j.now); p == nil {
			signing.Until = verdict.Earliest(signing.Until, until)
			if len(seen.times) == 0 {
				signing.Until = verdict.Earliest(signing.Until, k.till)
			}
			signing.TrustedBy = []string{k.name}
			return signing
		}
	}
	signing.Code, signing.Detail = p.code, p.detail
	return signing
}

// check judges what the entry asks for beside the signature itself.
func (k *keyed) check(seen *observation, j *judged) *problem {
	if !accepts(k.formats, j.format) {
		return deny(verdict.SignatureFormatDenied, "%q does not accept the format %s", k.name, j.format)
	}
	if k.requireLog && len(seen.logs) == 0 {
		return deny(verdict.SignatureLogMissing, "%q requires a transparency log entry: %s", k.name, reason(seen.logErr, "there is none"))
	}
	times := seen.times
	if len(times) == 0 {
		times = []time.Time{j.now}
	}
	for _, t := range times {
		if !k.from.IsZero() && t.Before(k.from) || !k.till.IsZero() && t.After(k.till) {
			return deny(verdict.SignatureKeyValidity, "the key %q is valid %s; the signature is from %s",
				k.name, period(k.from, k.till), stamp(t, len(seen.times) == 0))
		}
	}
	return nil
}

// checkRevoked applies the revocations. A signature by what is revoked counts
// only when something trusted dates it before. until is when a revocation that
// lies ahead will stop a signature that nothing dates.
func (r *Root) checkRevoked(keyID string, id fact.Identity, seen *observation, now time.Time) (until time.Time, p *problem) {
	for i := range r.revoked {
		rev := &r.revoked[i]
		switch {
		case rev.KeyID != "":
			if rev.KeyID != keyID {
				continue
			}
		case id.Subject == "" || rev.Subject != id.Subject && rev.Subject != Everybody || rev.Issuer != "" && rev.Issuer != id.Issuer:
			continue
		}
		at := seen.earliest()
		if at.IsZero() {
			// It exists now, so before a moment that lies ahead it counts.
			if now.Before(rev.Since) {
				until = verdict.Earliest(until, rev.Since)
				continue
			}
			return until, deny(verdict.SignatureRevokedKey, "it is revoked since %s and nothing trusted says that the signature is older",
				rev.Since.UTC().Format(time.RFC3339))
		}
		if !at.Before(rev.Since) {
			return until, deny(verdict.SignatureRevokedKey, "it is revoked since %s and the signature is from %s",
				rev.Since.UTC().Format(time.RFC3339), at.Format(time.RFC3339))
		}
	}
	return until, nil
}

// entityOf is signature i of s for sigstore-go.
func entityOf(s *signed, i int, content verify.VerificationContent) *entity {
	e := &entity{content: content, entries: s.entries, stamps: s.stamps, entryErr: s.entryErr}
	if s.env == nil {
		e.sig = bundle.NewMessageSignature(s.msg.digest, s.msg.algorithm, s.msg.sig)
		return e
	}
	// The one signature that verified: log entries and timestamps must be
	// about this one, whatever else is in the envelope.
	e.sig = &bundle.Envelope{Envelope: &dsse.Envelope{
		PayloadType: s.env.payloadType,
		Payload:     base64.StdEncoding.EncodeToString(s.env.payload),
		Signatures:  []dsse.Signature{{KeyID: s.env.sigs[i].keyID, Sig: base64.StdEncoding.EncodeToString(s.env.sigs[i].sig)}},
	}}
	return e
}

// keyMaterial adds one key to trusted material, for log entries that repeat it.
type keyMaterial struct {
	*material
	key *publicKey
}

func (m keyMaterial) PublicKeyVerifier(string) (root.TimeConstrainedVerifier, error) {
	v, err := signature.LoadVerifier(m.key.key, m.key.hash)
	if err != nil {
		return nil, err
	}
	return root.NewExpiringKey(v, time.Time{}, time.Time{}), nil
}

// fillIn adds what was observed to a signing; names stay distinct and sorted.
func fillIn(signing *fact.Signing, seen *observation) {
	signing.Logs = union(signing.Logs, seen.logs)
	signing.Timestamps = union(signing.Timestamps, seen.stamps)
	signing.SignedAt = verdict.Earliest(signing.SignedAt, seen.earliest())
}

func union(a, b []string) []string {
	if len(b) == 0 {
		return a
	}
	all := append(slices.Clone(a), b...)
	sort.Strings(all)
	return slices.Compact(all)
}
