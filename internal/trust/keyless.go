package trust

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/x509"
	"fmt"
	"slices"
	"sort"
	"strings"
	"time"

	"github.com/sigstore/sigstore-go/pkg/bundle"
	"github.com/sigstore/sigstore-go/pkg/fulcio/certificate"

	"github.com/apexlogic/apex/internal/fact"
	"github.com/apexlogic/apex/verdict"
)

// requirements are what a keyless entry asks for beside an identity.
type requirements struct {
	logs      int // distinct transparency logs
	timestamp bool
	sct       bool
}

// keylessGroup holds the entries that share trusted material and requirements,
// so that a certificate is verified once for all of them.
type keylessGroup struct {
	material *material
	need     requirements
	entries  []keylessEntry
}

type keylessEntry struct {
	name    string
	policy  identityPolicy
	formats []fact.Format
}

// judgeCertificate judges a signature by a certificate that names an identity.
func (r *Root) judgeCertificate(s *signed, message []byte, j *judged) fact.Signing {
	signing := fact.Signing{Format: j.format, Source: j.source}
	fail := func(p *problem) fact.Signing {
		signing.Code, signing.Detail = p.code, p.detail
		return signing
	}
	if len(r.groups) == 0 {
		return fail(deny(verdict.SignatureUntrusted, "it is signed by a certificate and the trust root names no keyless identity"))
	}
	summary, identity, err := summarize(s.leaf)
	if err != nil {
		return fail(asProblem(err, verdict.SignatureInvalid))
	}
	i, key, err := leafSignature(s, message)
	if err != nil {
		return fail(asProblem(err, verdict.SignatureInvalid))
	}
	signing.Identity, signing.KeyID = identity, key.id
	var failed []*problem
	for _, g := range r.groups {
		p := r.judgeGroup(g, s, i, summary, &signing, j)
		if p != nil {
			failed = append(failed, p)
		}
	}
	if len(signing.TrustedBy) == 0 {
		return fail(nearest(failed))
	}
	sort.Strings(signing.TrustedBy)
	signing.Code = verdict.OK
	return signing
}

// judgeGroup verifies the certificate under one group's material and adds the
// entries that trust it to signing. It returns why none of them does.
func (r *Root) judgeGroup(g *keylessGroup, s *signed, i int, summary *certificate.Summary, signing *fact.Signing, j *judged) *problem {
	seen, until, p := g.verify(s, i, j.now)
	if p != nil {
		return p
	}
	limit, p := r.checkRevoked(signing.KeyID, signing.Identity, seen, j.now)
	if p != nil {
		return p
	}
	var names []string
	for k := range g.entries {
		e := &g.entries[k]
		switch why := e.policy.mismatch(summary); {
		case why != "":
			p = deny(verdict.SignatureIdentity, "%q trusts another identity: the certificate's %s", e.name, why)
		case !accepts(e.formats, j.format):
			p = deny(verdict.SignatureFormatDenied, "%q does not accept the format %s", e.name, j.format)
		default:
			names = append(names, e.name)
		}
	}
	if len(names) == 0 {
		return p
	}
	// Several groups may trust it; what each proved adds up, and the earliest
	// end counts.
	signing.TrustedBy = append(signing.TrustedBy, names...)
	fillIn(signing, seen)
	signing.Until = verdict.Earliest(signing.Until, verdict.Earliest(until, limit))
	return nil
}

// verify establishes when the signature was made and that its certificate was
// good then: log entries, timestamps, path, certificate transparency. until is
// set when only the present time says that the certificate is good.
func (g *keylessGroup) verify(s *signed, i int, now time.Time) (*observation, time.Time, *problem) {
	seen := g.material.observe(entityOf(s, i, bundle.NewCertificate(s.leaf)), g.material)
	if len(seen.logs) < g.need.logs {
		if p := outsideValidity(s); p != nil && seen.logErr != nil {
			return nil, time.Time{}, p
		}
		return nil, time.Time{}, deny(verdict.SignatureLogMissing, "entries of %d distinct transparency logs verify and %d are required: %s",
			len(seen.logs), g.need.logs, reason(seen.logErr, "there are no more"))
	}
	if g.need.timestamp && len(seen.stamps) == 0 {
		return nil, time.Time{}, deny(verdict.SignatureTimeMissing, "a timestamp is required: %s", reason(seen.stampErr, "there is none"))
	}
	times, until := seen.times, time.Time{}
	if len(times) == 0 {
		if now.Before(s.leaf.NotBefore) || now.After(s.leaf.NotAfter) {
			return nil, time.Time{}, deny(verdict.SignatureTimeMissing, "the certificate is valid %s and nothing trusted says that the signature was made then: %s",
				period(s.leaf.NotBefore, s.leaf.NotAfter), reason(seen.stampErr, "there is no timestamp"))
		}
		times, until = []time.Time{now}, s.leaf.NotAfter
	}
	for _, t := range times {
		if t.Before(s.leaf.NotBefore) || t.After(s.leaf.NotAfter) {
			return nil, time.Time{}, deny(verdict.SignatureKeyValidity, "the certificate is valid %s; the signature is from %s",
				period(s.leaf.NotBefore, s.leaf.NotAfter), t.Format(time.RFC3339))
		}
		p, err := g.material.prove(s.leaf, s.extra, t)
		if err != nil {
			return nil, time.Time{}, deny(verdict.SignatureUntrusted, "the certificate does not verify at %s: %v", t.Format(time.RFC3339), err)
		}
		if g.need.sct && p.sct != nil {
			return nil, time.Time{}, deny(verdict.SignatureUntrusted, "the certificate has no certificate transparency timestamp that verifies: %v", p.sct)
		}
		if len(seen.times) == 0 {
			until = p.till // the whole chain must be valid now
		}
	}
	return &seen, until, nil
}

// outsideValidity says so when a log entry is dated outside of the certificate's validity.
func outsideValidity(s *signed) *problem {
	for _, e := range s.entries {
		t := e.IntegratedTime()
		if !t.IsZero() && (t.Before(s.leaf.NotBefore) || t.After(s.leaf.NotAfter)) {
			return deny(verdict.SignatureKeyValidity, "the certificate is valid %s; the log entry is from %s",
				period(s.leaf.NotBefore, s.leaf.NotAfter), t.UTC().Format(time.RFC3339))
		}
	}
	return nil
}

// leafSignature returns the first signature that the leaf's key made.
func leafSignature(s *signed, message []byte) (int, *publicKey, error) {
	if s.leaf.IsCA {
		return 0, nil, deny(verdict.SignatureUntrusted, "the signing certificate is a certificate authority's")
	}
	keys, err := leafKeys(s.leaf)
	if err != nil {
		return 0, nil, err
	}
	for i := range signatureCount(s) {
		sig, _ := signatureAt(s, i)
		for _, k := range keys {
			if k.verifies(s, message, sig) {
				return i, k, nil
			}
		}
	}
	return 0, nil, deny(verdict.SignatureInvalid, "the signature does not verify under the key of its certificate")
}

// leafKeys returns the leaf's key with the hash that belongs to its algorithm,
// and with SHA-256, which older clients used with every curve.
func leafKeys(leaf *x509.Certificate) ([]*publicKey, error) {
	hash := ""
	if ec, ok := leaf.PublicKey.(*ecdsa.PublicKey); ok {
		switch ec.Curve {
		case elliptic.P384():
			hash = "sha384"
		case elliptic.P521():
			hash = "sha512"
		}
	}
	k, err := newPublicKey(leaf.PublicKey, hash)
	if err != nil || hash == "" {
		return []*publicKey{k}, err
	}
	old, err := newPublicKey(leaf.PublicKey, "sha256")
	return []*publicKey{k, old}, err
}

// nearest picks the reason of the group that came closest to trusting the signer.
func nearest(failed []*problem) *problem {
	rank := []verdict.Code{
		verdict.SignatureRevokedKey, verdict.SignatureFormatDenied, verdict.SignatureIdentity,
		verdict.SignatureKeyValidity, verdict.SignatureTimeMissing, verdict.SignatureLogMissing,
	}
	for _, code := range rank {
		for _, p := range failed {
			if p.code == code {
				return p
			}
		}
	}
	return failed[0]
}

// accepts reports whether an entry that lists formats lists this one. The list
// is about images; Apex's own documents have one format.
func accepts(formats []fact.Format, f fact.Format) bool {
	return len(formats) == 0 || f == FormatDocument || slices.Contains(formats, f)
}

func reason(err error, otherwise string) string {
	if err == nil {
		return otherwise
	}
	return clip(err.Error())
}

func period(from, till time.Time) string {
	var parts []string
	if !from.IsZero() {
		parts = append(parts, "from "+from.UTC().Format(time.RFC3339))
	}
	if !till.IsZero() {
		parts = append(parts, "until "+till.UTC().Format(time.RFC3339))
	}
	return strings.Join(parts, " ")
}

func stamp(t time.Time, isNow bool) string {
	if isNow {
		return fmt.Sprintf("an unknown time and it is now %s", t.UTC().Format(time.RFC3339))
	}
	return t.UTC().Format(time.RFC3339)
}
