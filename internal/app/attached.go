package app

import (
	"bytes"
	"context"
	"crypto"
	"encoding/json"
	"fmt"
	"maps"
	"slices"
	"time"

	"github.com/apexlogic/apex/internal/clock"
	"github.com/apexlogic/apex/internal/fact"
	"github.com/apexlogic/apex/internal/image"
	"github.com/apexlogic/apex/internal/image/scan"
	"github.com/apexlogic/apex/internal/oci"
	"github.com/apexlogic/apex/internal/trust"
	"github.com/apexlogic/apex/verdict"
)

// evidence is what one key has signed about a subject already. Whoever signs
// the same again adds nothing: verifiers read only so many artifacts of a
// subject, and deny what has more.
type evidence struct {
	registry *oci.Client
	repo     string
	subject  oci.Descriptor
	contents []verdict.Digest
	root     *trust.Root // the key and nothing else
	now      time.Time

	signatures   []fact.Signature
	attestations []fact.Attestation
}

// evidenceOf looks once at the places for what the key signed about the subject,
// or about its contents. What cannot be read counts as not there: it is then
// signed again.
func evidenceOf(ctx context.Context, registry *oci.Client, key crypto.Signer, c clock.Clock, repo string, subject oci.Descriptor, at image.Places) (*evidence, error) {
	text, err := trust.PublicPEM(key.Public())
	if err != nil {
		return nil, err
	}
	root, err := trust.Compile([]trust.Entry{{Name: "the key", Key: &trust.KeyEntry{PEM: text}}}, trust.Options{})
	if err != nil {
		return nil, err
	}
	e := &evidence{registry: registry, repo: repo, subject: subject, contents: at.Contents, root: root, now: c.Now()}
	found := image.New(registry, c).Evidence(ctx, verdict.Ref{Repo: repo, Digest: subject.Digest}, root, at, false)
	e.signatures, _, _ = found.Signatures.Some()
	e.attestations, _, _ = found.Attestations.Some()
	if found.Signatures.Code() == verdict.RegistryTooMany {
		return nil, fmt.Errorf("so much is attached to %s@%s that nobody reads all of it; delete old signatures and attestations from the registry: %s", repo, subject.Digest, found.Signatures.Why())
	}
	return e, ctx.Err()
}

// attach attaches a bundle of the key, unless one is there that says the same.
func (e *evidence) attach(ctx context.Context, bundle []byte, predicateType string) (added bool, err error) {
	said := e.root.VerifyBundle(bundle, e.subject.Digest, "", e.now)
	for i := 0; i < len(e.contents) && !e.counts(&said); i++ {
		said = e.root.VerifyBundle(bundle, e.contents[i], "", e.now)
	}
	if e.knows(&said) {
		return false, nil
	}
	return true, AttachBundle(ctx, e.registry, e.repo, e.subject, bundle, predicateType)
}

func (e *evidence) counts(r *trust.Result) bool {
	return slices.ContainsFunc(r.Signatures, func(s fact.Signature) bool { return s.Valid() }) ||
		slices.ContainsFunc(r.Attestations, func(a fact.Attestation) bool { return a.Valid() })
}

// knows says whether all that was said is attached already, by the same key.
func (e *evidence) knows(said *trust.Result) bool {
	if !e.counts(said) {
		return false
	}
	for i := range said.Signatures {
		if s := &said.Signatures[i]; !slices.ContainsFunc(e.signatures, func(old fact.Signature) bool {
			return old.Valid() && old.Format == s.Format && old.Subject == s.Subject && old.Repository == s.Repository && maps.Equal(old.Annotations, s.Annotations)
		}) {
			return false
		}
	}
	for i := range said.Attestations {
		if a := &said.Attestations[i]; !slices.ContainsFunc(e.attestations, func(old fact.Attestation) bool { return sameStatement(&old, a) }) {
			return false
		}
	}
	return true
}

func sameStatement(old, a *fact.Attestation) bool {
	return old.Valid() && old.Format == a.Format && old.StatementType == a.StatementType && old.PredicateType == a.PredicateType &&
		slices.Equal(old.Subjects, a.Subjects) && bytes.Equal(compact(old.Predicate), compact(a.Predicate))
}

// compact is the document without its spaces, or as it is where it is no JSON.
func compact(raw []byte) []byte {
	var b bytes.Buffer
	if json.Compact(&b, raw) != nil {
		return raw
	}
	return b.Bytes()
}

// scanStays is how long a scan stands for a later one that says the same. Policies
// count a scan's age, by default up to 30 days, so it is attested again at times.
const scanStays = 24 * time.Hour

// modelScans looks through the scans of the model's files that are attached.
// repeats says that one of them is what the new one says, and is young;
// superseded are the artifacts that no policy counts beside the new one, for the
// same scanner has said something later, with lists that are no older, of as many
// bytes.
func (e *evidence) modelScans(scan *fact.ModelScan) (repeats bool, superseded []verdict.Digest) {
	for i := range e.attestations {
		a := &e.attestations[i]
		var old fact.ModelScan
		if !a.Valid() || a.PredicateType != fact.PredicateModelScan || json.Unmarshal(a.Predicate, &old) != nil || old.Root != scan.Root ||
			old.Scanner.Name != scan.Scanner.Name || old.Finished.After(scan.Finished) {
			continue
		}
		if scan.Finished.Sub(old.Finished) < scanStays && saysTheSame(old, *scan) {
			repeats = true
		}
		if old.Finished.Before(scan.Finished) && scan.Scanner.Lists >= old.Scanner.Lists && scan.Unhashed <= old.Unhashed {
			superseded = append(superseded, verdict.Digest(a.Source))
		}
	}
	if repeats {
		superseded = nil
	}
	return repeats, superseded
}

func saysTheSame(a, b fact.ModelScan) bool {
	a.Finished, b.Finished = time.Time{}, time.Time{}
	one, err := json.Marshal(a)
	other, failed := json.Marshal(b)
	return err == nil && failed == nil && bytes.Equal(one, other)
}

// reports are the artifacts with older reports of the scanner whose report a
// predicate holds. Policies count the newest report of a scanner.
func (e *evidence) reports(predicateType string, predicate []byte) (superseded []verdict.Digest) {
	read := func(a *fact.Attestation) (fact.Report, bool) {
		r, ok, err := scan.FromAttestation(a)
		return r, ok && err == nil && r.Code == verdict.OK
	}
	about := []fact.AttestationSubject{{Digest: e.subject.Digest}}
	latest, ok := read(&fact.Attestation{PredicateType: predicateType, Predicate: predicate, Subjects: about})
	if !ok {
		return nil
	}
	for i := range e.attestations {
		a := &e.attestations[i]
		if old, ok := read(a); ok && a.Valid() && a.Format == fact.FormatBundle && old.Scanner == latest.Scanner && old.Finished.Before(latest.Finished) {
			superseded = append(superseded, verdict.Digest(a.Source))
		}
	}
	return superseded
}
