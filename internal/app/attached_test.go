package app

import (
	"encoding/json"
	"fmt"
	"slices"
	"testing"
	"time"

	"github.com/apexlogic/apex/internal/clock"
	"github.com/apexlogic/apex/internal/fact"
	"github.com/apexlogic/apex/internal/image"
	"github.com/apexlogic/apex/internal/model/artifact"
	"github.com/apexlogic/apex/internal/oci"
	"github.com/apexlogic/apex/internal/oci/ocitest"
	"github.com/apexlogic/apex/internal/oci/reference"
	"github.com/apexlogic/apex/internal/trust"
	"github.com/apexlogic/apex/internal/trust/trusttest"
	"github.com/apexlogic/apex/verdict"
)

// attachedTo counts what is attached to a subject, by predicate type; what is
// under the older tags is "legacy".
func attachedTo(t *testing.T, client *oci.Client, repo string, subject verdict.Digest) map[string]int {
	t.Helper()
	found, err := client.Attached(t.Context(), repo, subject, oci.Wanted{Types: []string{oci.ArtifactBundle}, Legacy: []string{oci.LegacySignature, oci.LegacyAttestation}})
	if err != nil {
		t.Fatal(err)
	}
	count := map[string]int{}
	for i := range found {
		kind := found[i].Annotations[annotationBundlePredicate]
		if found[i].Tag != "" {
			kind = "legacy"
		}
		count[kind] += len(found[i].Layers)
	}
	return count
}

func TestAModelThatIsPackedAgainIsNotSignedAgain(t *testing.T) {
	h := newModelHost(t)
	dir := h.folder("captioner", plainModel)
	now := clock.At(time.Now().Add(-72 * time.Hour))
	provenance := []byte(`{"buildDefinition": {}, "runDetails": {}}`)
	pack := func(key trusttest.Key, provenance []byte) *PackedModel {
		t.Helper()
		packed, err := h.pack(dir, "vision/model:1.0", PackOptions{Key: key.Signer, Clock: now, Provenance: provenance,
			Description: artifact.Description{Created: time.Unix(1_800_000_000, 0)}})
		if err != nil {
			t.Fatal(err)
		}
		return packed
	}
	holds := func(ref verdict.Ref, signatures, scans, provenances int) {
		t.Helper()
		want := map[string]int{fact.PredicateModelSignature: signatures, predicateSign: signatures, fact.PredicateModelScan: scans}
		if provenances > 0 {
			want["https://slsa.dev/provenance/v1"] = provenances
		}
		if got := attachedTo(t, h.engine.Registry, ref.Repo, ref.Digest); fmt.Sprint(got) != fmt.Sprint(want) {
			t.Errorf("attached are %v, want %v", got, want)
		}
	}
	first := pack(h.key, provenance)
	if first.Attached != 4 {
		t.Errorf("first: %+v", first)
	}
	for range 4 {
		now.Advance(time.Hour)
		if again := pack(h.key, provenance); again.Attached != 0 || !again.Signed || again.Ref != first.Ref || len(again.Superseded) > 0 {
			t.Errorf("again: %+v", again)
		}
	}
	holds(first.Ref, 1, 1, 1)

	// Another statement adds, and so does another key.
	if packed := pack(h.key, []byte(`{"buildDefinition": {}, "runDetails": {"builder": {"id": "x"}}}`)); packed.Attached != 1 {
		t.Errorf("another provenance: %+v", packed)
	}
	holds(first.Ref, 1, 1, 2)
	if packed := pack(trusttest.NewKey(t), nil); packed.Attached != 3 || len(packed.Superseded) > 0 {
		t.Errorf("another key: %+v", packed)
	}
	holds(first.Ref, 2, 2, 2)

	// A scan grows old: who packs again attests it again, and hears of the older one.
	now.Advance(scanStays)
	later := pack(h.key, provenance)
	if later.Attached != 1 || len(later.Superseded) != 1 {
		t.Errorf("a day later: %+v", later)
	}
	holds(first.Ref, 2, 3, 2)
}

func TestAScanThatSaysSomethingElseIsAddedAndNamesTheOlderOne(t *testing.T) {
	h := newModelHost(t)
	dir := h.folder("captioner", plainModel)
	o := PackOptions{Key: h.key.Signer, Description: artifact.Description{Created: time.Unix(1_800_000_000, 0)}}
	one, err := h.pack(dir, "vision/one:1.0", o)
	if err != nil {
		t.Fatal(err)
	}
	// In another repository the same artifact lies without a tag, with nothing but
	// an older scan that found something.
	if _, err := h.pack(dir, "vision/two:1.0", PackOptions{Description: o.Description}); err == nil {
		t.Fatal("without evidence the tag is there")
	}
	subject, err := h.engine.Registry.Resolve(t.Context(), h.ref("vision/two@"+string(one.Ref.Digest)))
	if err != nil {
		t.Fatal(err)
	}
	repo := h.host + "/vision/two"
	known := attestations(t, h, one.Ref)
	old := known[slices.IndexFunc(known, func(a fact.Attestation) bool { return a.PredicateType == fact.PredicateModelScan })]
	var scan fact.ModelScan
	if err := json.Unmarshal(old.Predicate, &scan); err != nil {
		t.Fatal(err)
	}
	scan.Finished, scan.Verdict = scan.Finished.Add(-time.Minute), "suspicious"
	predicate, err := json.Marshal(scan)
	if err != nil {
		t.Fatal(err)
	}
	bundle, err := trust.AttestContent(h.key.Signer, repo, subject.Digest, "captioner", one.Root, fact.PredicateModelScan, predicate)
	if err != nil {
		t.Fatal(err)
	}
	if err := AttachBundle(t.Context(), h.engine.Registry, repo, subject.Descriptor, bundle, fact.PredicateModelScan); err != nil {
		t.Fatal(err)
	}
	two, err := h.pack(dir, "vision/two:1.0", o)
	if err != nil || two.Attached != 3 || len(two.Superseded) != 1 {
		t.Fatalf("%+v, %v", two, err)
	}
	if got := attachedTo(t, h.engine.Registry, repo, subject.Digest); got[fact.PredicateModelScan] != 2 {
		t.Errorf("attached are %v", got)
	}
	// It is the older scan that is named.
	if m, err := h.engine.Registry.Resolve(t.Context(), h.ref("vision/two@"+string(two.Superseded[0]))); err != nil || len(m.Raw) == 0 {
		t.Errorf("%v", err)
	}
	for _, a := range attestations(t, h, two.Ref) {
		if a.Source == string(two.Superseded[0]) && !slices.Equal(compact(a.Predicate), compact(predicate)) {
			t.Errorf("named is %s", a.Predicate)
		}
	}
}

// attestations are what the policy's key has signed about a model.
func attestations(t *testing.T, h *modelHost, ref verdict.Ref) []fact.Attestation {
	t.Helper()
	m, err := h.engine.Registry.Resolve(t.Context(), h.ref(ref.Repo[len(h.host)+1:]+"@"+string(ref.Digest)))
	if err != nil {
		t.Fatal(err)
	}
	e, err := evidenceOf(t.Context(), h.engine.Registry, h.key.Signer, clock.System{}, ref.Repo, m.Descriptor, image.Places{Bundles: true})
	if err != nil {
		t.Fatal(err)
	}
	return e.attestations
}

func TestScansRepeatAndSupersedeOneAnother(t *testing.T) {
	now := time.Date(2026, 11, 20, 10, 0, 0, 0, time.UTC)
	scan := func(change func(*fact.ModelScan)) fact.ModelScan {
		s := fact.ModelScan{Root: "sha256:a", Finished: now, Verdict: "clean", Files: 1, Bytes: 9, Formats: []string{"json"}}
		s.Scanner.Name, s.Scanner.Version, s.Scanner.Lists = "apex", "1.0", "2026-11-01"
		change(&s)
		return s
	}
	for _, c := range []struct {
		name       string
		old        func(*fact.ModelScan)
		broken     bool // the old one is not the key's
		repeats    bool
		supersedes bool
	}{
		{name: "the same, an hour ago", old: func(s *fact.ModelScan) { s.Finished = now.Add(-time.Hour) }, repeats: true},
		{name: "the same, two days ago", old: func(s *fact.ModelScan) { s.Finished = now.Add(-48 * time.Hour) }, supersedes: true},
		{name: "another verdict", old: func(s *fact.ModelScan) { s.Finished, s.Verdict = now.Add(-time.Hour), "malicious" }, supersedes: true},
		{name: "older lists", old: func(s *fact.ModelScan) { s.Finished, s.Scanner.Lists = now.Add(-time.Hour), "2026-10-01" }, supersedes: true},
		{name: "newer lists", old: func(s *fact.ModelScan) { s.Finished, s.Scanner.Lists = now.Add(-time.Hour), "2026-12-01" }},
		{name: "another scanner", old: func(s *fact.ModelScan) { s.Finished, s.Scanner.Name = now.Add(-time.Hour), "other" }},
		{name: "other files", old: func(s *fact.ModelScan) { s.Finished, s.Root = now.Add(-time.Hour), "sha256:b" }},
		{name: "a later scan", old: func(s *fact.ModelScan) { s.Finished = now.Add(time.Hour) }},
		{name: "the same by another key", old: func(s *fact.ModelScan) { s.Finished = now.Add(-time.Hour) }, broken: true},
	} {
		t.Run(c.name, func(t *testing.T) {
			old, latest := scan(c.old), scan(func(*fact.ModelScan) {})
			predicate, err := json.Marshal(old)
			if err != nil {
				t.Fatal(err)
			}
			a := fact.Attestation{Signing: fact.Signing{Source: "sha256:old", TrustedBy: []string{"the key"}, Code: verdict.OK}, PredicateType: fact.PredicateModelScan, Predicate: predicate}
			if c.broken {
				a.TrustedBy, a.Code = nil, verdict.SignatureUntrusted
			}
			e := &evidence{attestations: []fact.Attestation{a}}
			repeats, superseded := e.modelScans(&latest)
			if repeats != c.repeats || (len(superseded) == 1) != c.supersedes {
				t.Errorf("repeats %t, supersedes %v", repeats, superseded)
			}
		})
	}
	// A scan that read less does not supersede one that read more.
	partial := scan(func(s *fact.ModelScan) { s.Unhashed = 5 })
	whole := scan(func(s *fact.ModelScan) { s.Finished = now.Add(-time.Hour) })
	predicate, _ := json.Marshal(whole)
	e := &evidence{attestations: []fact.Attestation{{Signing: fact.Signing{TrustedBy: []string{"the key"}, Code: verdict.OK}, PredicateType: fact.PredicateModelScan, Predicate: predicate}}}
	if repeats, superseded := e.modelScans(&partial); repeats || len(superseded) > 0 {
		t.Errorf("a partial scan: repeats %t, supersedes %v", repeats, superseded)
	}
}

func TestAnImageThatIsSignedAgainIsNotSignedTwice(t *testing.T) {
	for name, options := range map[string][]ocitest.Option{"with a referrers API": nil, "with a listing under a tag": {ocitest.WithoutReferrers()}} {
		t.Run(name, func(t *testing.T) {
			server := ocitest.Registry(t, options...)
			client, err := oci.New(oci.Options{AllowPrivate: []string{server.Host}, PlainHTTP: []string{server.Host}})
			if err != nil {
				t.Fatal(err)
			}
			t.Cleanup(client.Close)
			ref, err := reference.Parse(server.Repo("team/app") + ":1.0")
			if err != nil {
				t.Fatal(err)
			}
			d, err := client.PushIndex(t.Context(), ref, ocitest.Index(t, "linux/amd64"))
			if err != nil {
				t.Fatal(err)
			}
			key, other := trusttest.NewKey(t), trusttest.NewKey(t)
			report := func(at string) []byte {
				return []byte(`{"SchemaVersion":2,"CreatedAt":"` + at + `","ArtifactName":"a","ArtifactType":"container_image","Trivy":{"Version":"0.67.0"},"Results":[{"Target":"p","Class":"lang-pkgs","Vulnerabilities":[]}]}`)
			}
			sign := func(k trusttest.Key, format fact.Format, annotations map[string]string) Signed {
				t.Helper()
				signed, err := SignImages(t.Context(), client, []string{ref.Canonical()}, SignOptions{Key: k, Format: format, Annotations: annotations})
				if err != nil {
					t.Fatal(err)
				}
				return signed[0]
			}
			attest := func(k trusttest.Key, format fact.Format, at string) Signed {
				t.Helper()
				s, err := AttestImage(t.Context(), client, ref.Canonical(), AttestOptions{Key: k, Format: format, Type: "vuln", Predicate: report(at)})
				if err != nil {
					t.Fatal(err)
				}
				return s
			}
			const monday, tuesday = "2026-11-16T10:00:00Z", "2026-11-17T10:00:00Z"
			var got []string
			said := func(what string, s Signed) {
				got = append(got, fmt.Sprintf("%s %t %d", what, s.Already, len(s.Superseded)))
			}
			for _, format := range []fact.Format{fact.FormatBundle, fact.FormatLegacy} {
				f := string(format)
				said(f+" first", sign(key, format, nil))
				said(f+" again", sign(key, format, nil))
				said(f+" annotated", sign(key, format, map[string]string{"build": "7"}))
				said(f+" annotated again", sign(key, format, map[string]string{"build": "7"}))
				said(f+" other key", sign(other, format, nil))
				said(f+" report", attest(key, format, monday))
				said(f+" report again", attest(key, format, monday))
				said(f+" report by another", attest(other, format, monday))
			}
			said("a later report", attest(key, fact.FormatBundle, tuesday))
			want := []string{
				"bundle first false 0", "bundle again true 0", "bundle annotated false 0", "bundle annotated again true 0", "bundle other key false 0",
				"bundle report false 0", "bundle report again true 0", "bundle report by another false 0",
				"legacy first false 0", "legacy again true 0", "legacy annotated false 0", "legacy annotated again true 0", "legacy other key false 0",
				"legacy report false 0", "legacy report again true 0", "legacy report by another false 0",
				"a later report false 1",
			}
			if !slices.Equal(got, want) {
				t.Errorf("got  %q\nwant %q", got, want)
			}
			count := attachedTo(t, client, ref.Name(), d.Digest)
			if count[predicateSign] != 3 || count["https://cosign.sigstore.dev/attestation/vuln/v1"] != 3 || count["legacy"] != 5 {
				t.Errorf("attached are %v", count)
			}
		})
	}
}
