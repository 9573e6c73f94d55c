package interop

import (
	"bytes"
	"encoding/base64"
	"maps"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/apexlogic/apex/internal/clock"
	"github.com/apexlogic/apex/internal/fact"
	"github.com/apexlogic/apex/internal/image"
	"github.com/apexlogic/apex/internal/oci"
	"github.com/apexlogic/apex/internal/trust"
	"github.com/apexlogic/apex/verdict"
)

// now is when the tests look; nothing in the record depends on it.
func now() clock.Clock { return clock.At(time.Date(2026, 12, 1, 12, 0, 0, 0, time.UTC)) }

// trusting returns a root that believes the public keys of the record. The
// entries are named after the files.
func trusting(t testing.TB, names ...string) *trust.Root {
	t.Helper()
	var entries []trust.Entry
	for _, n := range names {
		entries = append(entries, trust.Entry{Name: n, Key: &trust.KeyEntry{PEM: readFile(t, dir, n+".pub")}})
	}
	root, err := trust.Compile(entries, trust.Options{})
	must(t, err)
	return root
}

var everywhere = image.Places{Bundles: true, LegacySignatures: true, LegacyAttestations: true}

func (h *house) evidence(repository string, d verdict.Digest, root *trust.Root) image.Evidence {
	h.t.Helper()
	return h.inspector(now()).Evidence(h.t.Context(), h.ref(repository, d), root, everywhere, false)
}

// expected is what an entry of the record has to say about its image.
type expected struct {
	signer      string // name of the key
	format      fact.Format
	kind        string // alias of the predicate; "" for a signature
	repository  string // as signed; "" when the signer named none
	annotations map[string]string
}

// expectedOf reads the name of an entry: names say what was done.
func expectedOf(r *record, e *entry) expected {
	x := expected{signer: "cosign", format: fact.FormatBundle}
	if strings.HasPrefix(e.Repository, "apex/") {
		x.signer = "apex"
	}
	if _, other, ok := strings.Cut(e.Name, "with the key of "); ok {
		x.signer = strings.ToLower(other)
	}
	if strings.Contains(e.Name, "legacy") {
		x.format = fact.FormatLegacy
	}
	if strings.HasPrefix(e.Name, "attested ") {
		x.kind, _, _ = strings.Cut(strings.TrimPrefix(e.Name, "attested "), ",")
	}
	if strings.Contains(e.Name, "annotated") {
		x.annotations = production
	}
	switch {
	case strings.Contains(e.Name, "another identity"):
		x.repository = otherIdentity
	case strings.HasPrefix(e.Repository, "cosign/") && x.format == fact.FormatBundle && x.kind == "":
		// What cosign signs in a bundle is the digest alone.
	default:
		x.repository = r.Registry + "/" + e.Repository
	}
	return x
}

// checkEvidence fails the test unless the evidence is exactly what is expected.
func checkEvidence(t *testing.T, got *image.Evidence, want expected, subject verdict.Digest) {
	t.Helper()
	signatures, _, ok := got.Signatures.All()
	attestations, _, ok2 := got.Attestations.All()
	if !ok || !ok2 {
		t.Fatalf("the evidence is not complete: %s %s", got.Signatures.Code(), got.Signatures.Why())
	}
	if want.kind != "" {
		if len(signatures) != 0 || len(attestations) != 1 {
			t.Fatalf("%d signatures and %d attestations, want one attestation", len(signatures), len(attestations))
		}
		a := attestations[0]
		checkSigning(t, &a.Signing, want)
		if a.PredicateType != predicateURI(t, want.kind) {
			t.Errorf("predicate type %s, want that of %s", a.PredicateType, want.kind)
		}
		if len(a.Subjects) != 1 || a.Subjects[0].Digest != subject {
			t.Errorf("subjects %v, want %s alone", a.Subjects, subject)
		}
		return
	}
	if len(signatures) != 1 || len(attestations) != 0 {
		t.Fatalf("%d signatures and %d attestations, want one signature", len(signatures), len(attestations))
	}
	s := signatures[0]
	checkSigning(t, &s.Signing, want)
	if s.Subject != subject {
		t.Errorf("subject %s, want %s", s.Subject, subject)
	}
	stated := maps.Clone(s.Annotations)
	delete(stated, trust.AnnotationRepository)
	if !maps.Equal(stated, want.annotations) {
		t.Errorf("annotations %v, want %v", stated, want.annotations)
	}
}

func checkSigning(t *testing.T, s *fact.Signing, want expected) {
	t.Helper()
	if !s.Valid() || !slices.Equal(s.TrustedBy, []string{want.signer}) {
		t.Fatalf("code %s (%s), trusted by %v; want a valid one by %s", s.Code, s.Detail, s.TrustedBy, want.signer)
	}
	if s.Format != want.format {
		t.Errorf("format %s, want %s", s.Format, want.format)
	}
	if s.Repository != want.repository {
		t.Errorf("repository %q, want %q", s.Repository, want.repository)
	}
}

func TestWhatCosignSignedVerifies(t *testing.T) {
	r, h := readRecord(t), open(t)
	root := trusting(t, "cosign", "apex", "other")
	if len(r.SignedByCosign) != len(signings()) {
		t.Errorf("the record holds %d entries and cosign is asked for %d: run tools/interop.sh", len(r.SignedByCosign), len(signings()))
	}
	for _, s := range signings() {
		t.Run(s.name, func(t *testing.T) {
			e := find(t, r.SignedByCosign, s.name)
			h.load(t, e, e.Repository, nil)
			got := h.evidence(e.Repository, e.Image, root)
			checkEvidence(t, &got, expectedOf(r, e), e.Image)
		})
	}
}

func TestABundleOfCosignNamesNoRepository(t *testing.T) {
	// cosign's statement holds the digest alone, so that the signature counts
	// wherever it is copied to. A policy has to see that.
	r, h := readRecord(t), open(t)
	e := find(t, r.SignedByCosign, "signed bundle")
	h.load(t, e, "elsewhere/captioner", nil)
	got := h.evidence("elsewhere/captioner", e.Image, trusting(t, "cosign"))
	signatures, _, ok := got.Signatures.All()
	if !ok || len(signatures) != 1 || !signatures[0].Valid() {
		t.Fatalf("want one valid signature, got %+v", signatures)
	}
	if got := signatures[0].Repository; got != "" {
		t.Errorf("repository %q, but cosign signed none", got)
	}
}

func TestAttestationsOfCosignAreReadByTheirContent(t *testing.T) {
	r, h := readRecord(t), open(t)
	root := trusting(t, "cosign")
	for _, form := range []string{"bundle", "legacy"} {
		t.Run("the scan in a "+form, func(t *testing.T) {
			e := find(t, r.SignedByCosign, "attested vuln, "+form)
			h.load(t, e, e.Repository, nil)
			got := h.evidence(e.Repository, e.Image, root)
			reports, _, ok := got.Reports.All()
			if !ok || len(reports) != 1 || reports[0].Code != verdict.OK || len(reports[0].Findings) != 1 {
				t.Fatalf("want one report with one finding, got %+v", reports)
			}
			if f := reports[0].Findings[0]; f.ID != "CVE-2025-32434" || f.Severity != fact.SeverityCritical || reports[0].Subject != e.Image {
				t.Errorf("finding %+v about %s", f, reports[0].Subject)
			}
		})
		t.Run("the provenance in a "+form, func(t *testing.T) {
			e := find(t, r.SignedByCosign, "attested slsaprovenance1, "+form)
			h.load(t, e, e.Repository, nil)
			got := h.evidence(e.Repository, e.Image, root)
			all, _, ok := got.Provenance.All()
			if !ok || len(all) != 1 || all[0].Code != verdict.OK {
				t.Fatalf("want one provenance, got %+v", all)
			}
			if p := all[0]; p.Builder != "https://github.com/actions/runner/github-hosted" || p.SourceRepository != "https://github.com/apexlogic/captioner" {
				t.Errorf("builder %s, source %s", p.Builder, p.SourceRepository)
			}
		})
	}
}

func TestWhatIsWrongWithASignatureOfCosignIsSaid(t *testing.T) {
	r := readRecord(t)
	cosign, other := trusting(t, "cosign"), trusting(t, "other")
	const another = "another image"
	tests := []struct {
		name   string
		alter  change
		root   *trust.Root
		loaded bool // under the digest of another image
		// The codes by entry. A bundle names its key, so that spoilt bytes are
		// told from a stranger's signature; the older format does not.
		bundle, legacy, attestedBundle, attestedLegacy verdict.Code
	}{
		{
			name: "nothing", root: cosign,
			bundle: verdict.OK, legacy: verdict.OK, attestedBundle: verdict.OK, attestedLegacy: verdict.OK,
		},
		{
			name: "one character of what was signed", alter: flipPayload, root: cosign,
			bundle: verdict.SignatureInvalid, legacy: verdict.SignatureUntrusted,
			attestedBundle: verdict.AttestationInvalid, attestedLegacy: verdict.AttestationUntrusted,
		},
		{
			name: "one character of the signature", alter: flipSignature, root: cosign,
			bundle: verdict.SignatureInvalid, legacy: verdict.SignatureUntrusted,
			attestedBundle: verdict.AttestationInvalid, attestedLegacy: verdict.AttestationUntrusted,
		},
		{
			name: "the key", root: other,
			bundle: verdict.SignatureUntrusted, legacy: verdict.SignatureUntrusted,
			attestedBundle: verdict.AttestationUntrusted, attestedLegacy: verdict.AttestationUntrusted,
		},
		{
			name: "the digest", root: cosign, loaded: true,
			bundle: verdict.SignatureSubject, legacy: verdict.SignatureSubject,
			attestedBundle: verdict.SignatureSubject, attestedLegacy: verdict.SignatureSubject,
		},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			h := open(t)
			for name, want := range map[string]verdict.Code{
				"signed bundle": test.bundle, "signed legacy": test.legacy,
				"attested vuln, bundle": test.attestedBundle, "attested vuln, legacy": test.attestedLegacy,
			} {
				e := find(t, r.SignedByCosign, name)
				subject := e.Image
				alter, loaded := test.alter, e
				if test.loaded {
					d := h.pushImage(e.Repository, another)
					subject = d.Digest
					loaded, alter = movedTo(t, e, d)
				}
				h.load(t, loaded, e.Repository, alter)
				got := h.evidence(e.Repository, subject, test.root)
				if code := onlyCode(t, &got); code != want {
					t.Errorf("%s: code %s, want %s", name, code, want)
				}
			}
		})
	}
}

// onlyCode returns the code of the one signature or attestation that was found.
func onlyCode(t *testing.T, e *image.Evidence) verdict.Code {
	t.Helper()
	signatures, code, ok := e.Signatures.All()
	attestations, _, _ := e.Attestations.All()
	switch {
	case !ok:
		return code
	case len(signatures) == 1 && len(attestations) == 0:
		return signatures[0].Code
	case len(signatures) == 0 && len(attestations) == 1:
		return attestations[0].Code
	}
	t.Fatalf("%d signatures and %d attestations, want one of them", len(signatures), len(attestations))
	return ""
}

// flipPayload changes one character of what was signed, and leaves it readable.
func flipPayload(t *testing.T, m *manifest, data []byte) []byte {
	if m.Layers[0].MediaType == oci.MediaTypeSimpleSigning {
		return bytes.Replace(data, []byte("/cosign/"), []byte("/cosigm/"), 1)
	}
	_, rest, _ := bytes.Cut(data, []byte(`"payload":"`))
	encoded, _, _ := bytes.Cut(rest, []byte(`"`))
	payload, err := base64.StdEncoding.DecodeString(string(encoded))
	must(t, err)
	at := bytes.Index(payload, []byte(`"sha256":"`)) + len(`"sha256":"`)
	payload[at] = otherDigit(payload[at])
	return bytes.Replace(data, encoded, []byte(base64.StdEncoding.EncodeToString(payload)), 1)
}

func otherDigit(c byte) byte {
	if c == '0' {
		return '1'
	}
	return '0'
}

// flipSignature changes one character in the middle of the signature.
func flipSignature(_ *testing.T, m *manifest, data []byte) []byte {
	const key = trust.AnnotationSignature
	if sig := m.Layers[0].Annotations[key]; sig != "" {
		m.Layers[0].Annotations = maps.Clone(m.Layers[0].Annotations)
		m.Layers[0].Annotations[key] = string(flipBase64([]byte(sig), len(sig)/2))
		return data
	}
	return flipBase64(data, bytes.Index(data, []byte(`"sig":"`))+len(`"sig":"`)+48)
}

// flipBase64 changes the character at an offset into one that is base64 too.
func flipBase64(data []byte, at int) []byte {
	out := bytes.Clone(data)
	if out[at] == 'A' {
		out[at] = 'B'
	} else {
		out[at] = 'A'
	}
	return out
}

// movedTo makes the entry's evidence claim to be about another image.
func movedTo(t *testing.T, e *entry, d oci.Descriptor) (*entry, change) {
	t.Helper()
	moved := *e
	moved.Pushed = slices.Clone(e.Pushed)
	for i, p := range moved.Pushed {
		moved.Pushed[i].Tag = strings.Replace(p.Tag, e.Image.Hex(), d.Digest.Hex(), 1)
	}
	moved.Pushed = slices.DeleteFunc(moved.Pushed, func(p pushed) bool { return p.Tag == "1.0" })
	return &moved, func(_ *testing.T, m *manifest, data []byte) []byte {
		if m.Subject != nil {
			subject := oci.Descriptor{MediaType: d.MediaType, Digest: d.Digest, Size: d.Size}
			m.Subject = &subject
		}
		return data
	}
}

func TestABlobThatChangesOnItsWayIsNoSignature(t *testing.T) {
	r, h := readRecord(t), open(t)
	root := trusting(t, "cosign")
	for _, name := range []string{"signed bundle", "signed legacy"} {
		t.Run(name, func(t *testing.T) {
			e := find(t, r.SignedByCosign, name)
			h.load(t, e, e.Repository, nil)
			m := parseManifest(t, readBlob(t, e.Pushed[len(e.Pushed)-1].Digest))
			h.spoil(m.Layers[0].Digest)
			got := h.evidence(e.Repository, e.Image, root)
			if _, _, ok := got.Signatures.All(); ok || got.Signatures.Code() != verdict.RegistryDigest {
				t.Errorf("code %s, want %s", got.Signatures.Code(), verdict.RegistryDigest)
			}
			h.spoil("")
			got = h.evidence(e.Repository, e.Image, root)
			if code := onlyCode(t, &got); code != verdict.OK {
				t.Errorf("its allowing twin has the code %s", code)
			}
		})
	}
}

func TestAKeyThatCosignEncryptedIsRead(t *testing.T) {
	r := readRecord(t)
	private, public := readFile(t, dir, "cosign.key"), readFile(t, dir, "cosign.pub")
	key, err := trust.LoadSigner(private, []byte(r.Password))
	must(t, err)
	got, err := trust.PublicPEM(key.Public())
	must(t, err)
	if !bytes.Equal(bytes.TrimSpace(got), bytes.TrimSpace(public)) {
		t.Errorf("the public half of cosign.key is not %s", filepath.Join(dir, "cosign.pub"))
	}
	if _, err := trust.LoadSigner(private, []byte(r.Password+"x")); err == nil {
		t.Error("another password opened it")
	}
}
