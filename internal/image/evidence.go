package image

import (
	"context"
	"fmt"
	"slices"
	"time"

	"github.com/apexlogic/apex/internal/fact"
	"github.com/apexlogic/apex/internal/image/scan"
	"github.com/apexlogic/apex/internal/oci"
	"github.com/apexlogic/apex/internal/trust"
	"github.com/apexlogic/apex/verdict"
)

// Evidence is what is signed about one digest. All facts come from one look at
// the registry, so that they agree with each other.
type Evidence struct {
	Signatures   fact.Fact[[]fact.Signature]
	Attestations fact.Fact[[]fact.Attestation]
	Reports      fact.Fact[[]fact.Report]
	Provenance   fact.Fact[[]fact.Provenance]
	// Until is when the first of the signatures stops verifying; zero: none does.
	Until time.Time
	// Checked is how many signatures were verified, for the meter.
	Checked uint64
}

// Places says where to look for evidence.
type Places struct {
	// Referrers: bundles and Notary Project envelopes by the referrers API and
	// its fallback tag.
	Bundles, Notation bool
	// LegacySignatures and LegacyAttestations are cosign's tags.
	LegacySignatures, LegacyAttestations bool
	// Contents are digests of what the artifact holds: a bundle that is about
	// one of them instead of the artifact counts too. A model is signed before
	// it is packed.
	Contents []verdict.Digest
}

// Evidence looks at the places and verifies all that it finds there against
// the root. deferred says that other places exist that were not asked: then
// the facts are partial.
func (i *Inspector) Evidence(ctx context.Context, ref verdict.Ref, root *trust.Root, at Places, deferred bool) Evidence {
	now := i.clock.Now()
	var want oci.Wanted
	if at.Bundles {
		want.Types = append(want.Types, oci.ArtifactBundle)
	}
	if at.Notation {
		want.Types = append(want.Types, oci.ArtifactNotation)
	}
	if at.LegacySignatures {
		want.Legacy = append(want.Legacy, oci.LegacySignature)
	}
	if at.LegacyAttestations {
		want.Legacy = append(want.Legacy, oci.LegacyAttestation)
	}
	artifacts, err := i.registry.Attached(ctx, ref.Repo, ref.Digest, want)

	var e Evidence
	var found trust.Result
	for n := range artifacts {
		e.Checked += i.verify(&artifacts[n], ref, at.Contents, root, now, &found)
	}
	source := ref.String()
	switch {
	case err != nil && len(artifacts) == 0:
		return problemEvidence(code(ctx, err), err, source, now)
	case err != nil:
		e.fill(found, source, now, code(ctx, err), err.Error())
	case deferred:
		e.fill(found, source, now, verdict.EvidenceDeferred, "not all places were looked at")
	default:
		e.fill(found, source, now, verdict.OK, "")
	}
	return e
}

// verify adds what the artifact says to found and returns how many signatures it checked.
func (i *Inspector) verify(a *oci.Artifact, ref verdict.Ref, contents []verdict.Digest, root *trust.Root, now time.Time, found *trust.Result) uint64 {
	source := string(a.Manifest.Digest)
	if a.Tag != "" {
		source = a.Tag + "@" + source
	}
	var checked uint64
	for n := range a.Layers {
		l := &a.Layers[n]
		var r trust.Result
		switch {
		case a.Type == oci.ArtifactNotation:
			r.Signatures = []fact.Signature{root.VerifyNotation(l.Data, l.MediaType, ref.Digest, source, now)}
		case a.Tag == "":
			r = root.VerifyBundle(l.Data, ref.Digest, source, now)
			for n := 0; n < len(contents) && isAboutAnother(&r); n++ {
				checked++
				r = root.VerifyBundle(l.Data, contents[n], source, now)
			}
		case l.MediaType == oci.MediaTypeSimpleSigning:
			r.Signatures = []fact.Signature{root.VerifyLegacySignature(l.Data, l.Annotations, ref.Digest, source, now)}
		case l.MediaType == oci.MediaTypeDSSE:
			r = root.VerifyLegacyAttestation(l.Data, l.Annotations, ref.Digest, source, now)
		default:
			continue // a companion of the signature, such as a public key
		}
		checked++
		found.Signatures = append(found.Signatures, r.Signatures...)
		found.Attestations = append(found.Attestations, r.Attestations...)
	}
	return checked
}

// isAboutAnother says whether the bundle may count for another digest: a signer
// of it is refused for no other reason.
func isAboutAnother(r *trust.Result) bool {
	return slices.ContainsFunc(r.Attestations, func(a fact.Attestation) bool { return a.Code == verdict.SignatureSubject })
}

func problemEvidence(c verdict.Code, err error, source string, now time.Time) Evidence {
	return Evidence{
		Signatures:   fact.Problem[[]fact.Signature](c, err.Error(), source, now),
		Attestations: fact.Problem[[]fact.Attestation](c, err.Error(), source, now),
		Reports:      fact.Problem[[]fact.Report](c, err.Error(), source, now),
		Provenance:   fact.Problem[[]fact.Provenance](c, err.Error(), source, now),
	}
}

// fill derives reports and provenance from the attestations and sets all facts.
func (e *Evidence) fill(found trust.Result, source string, now time.Time, c verdict.Code, why string) {
	var reports []fact.Report
	var provenance []fact.Provenance
	for n := range found.Signatures {
		e.Until = verdict.Earliest(e.Until, found.Signatures[n].Until)
	}
	for n := range found.Attestations {
		a := &found.Attestations[n]
		e.Until = verdict.Earliest(e.Until, a.Until)
		if r, ok, err := scan.FromAttestation(a); ok {
			if err != nil {
				r.Code, r.Detail = reportCode(r.Code), err.Error()
			}
			r.Signing = a.Signing
			reports = append(reports, r)
		}
		if p, ok, err := scan.ParseProvenance(a); ok {
			if err != nil {
				p.Code, p.Detail = verdict.ProvenanceInvalid, err.Error()
			}
			p.Signing, p.Subjects = a.Signing, a.Subjects
			provenance = append(provenance, p)
		}
	}
	e.Signatures = newFact(found.Signatures, source, now, c, why).WithUntil(e.Until)
	e.Attestations = newFact(found.Attestations, source, now, c, why).WithUntil(e.Until)
	e.Reports = newFact(reports, source, now, c, why).WithUntil(e.Until)
	e.Provenance = newFact(provenance, source, now, c, why).WithUntil(e.Until)
}

func reportCode(c verdict.Code) verdict.Code {
	if c == verdict.OK || c == "" {
		return verdict.ReportInvalid
	}
	return c
}

func newFact[T any](value T, source string, now time.Time, c verdict.Code, why string) fact.Fact[T] {
	if c == verdict.OK {
		return fact.Complete(value, source, now)
	}
	return fact.Partial(value, source, now, c, why)
}

// Merge joins the evidence about an index with that about one of its
// platforms: a signature over the index covers what the index lists.
func Merge(index, platform *Evidence) Evidence {
	return Evidence{
		Signatures:   join(&index.Signatures, &platform.Signatures),
		Attestations: join(&index.Attestations, &platform.Attestations),
		Reports:      join(&index.Reports, &platform.Reports),
		Provenance:   join(&index.Provenance, &platform.Provenance),
		Until:        verdict.Earliest(index.Until, platform.Until),
		Checked:      index.Checked + platform.Checked,
	}
}

func join[T any](a, b *fact.Fact[[]T]) fact.Fact[[]T] {
	av, _, aok := a.Some()
	bv, _, bok := b.Some()
	source := a.Source() + " and " + b.Source()
	if !aok && !bok {
		return fact.Problem[[]T](a.Code(), a.Why(), source, latest(a.At(), b.At()))
	}
	all := make([]T, 0, len(av)+len(bv))
	all = append(append(all, av...), bv...)
	// The older of the two looks is how fresh the whole is.
	at, until := a.At(), verdict.Earliest(a.Until(), b.Until())
	if b.At().Before(at) {
		at = b.At()
	}
	for _, f := range []*fact.Fact[[]T]{a, b} {
		if f.Incomplete() {
			return fact.Partial(all, source, at, f.Code(), f.Why()).WithUntil(until)
		}
	}
	return fact.Complete(all, source, at).WithUntil(until)
}

// HandedIn reads a vulnerability report that a person gives beside the image.
// It counts as that person's word: nobody else can hand one in.
func HandedIn(data []byte, name string) (fact.Report, error) {
	r, err := scan.ParseReport(data)
	if err != nil {
		return fact.Report{}, fmt.Errorf("report %s: %w", name, err)
	}
	r.Signing = fact.Signing{Format: fact.FormatFile, Source: name, Code: verdict.OK}
	if r.Subject == "" && r.Config == "" {
		return fact.Report{}, fmt.Errorf("report %s: it does not name the digest that was scanned", name)
	}
	return r, nil
}
