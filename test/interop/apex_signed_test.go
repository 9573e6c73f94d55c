package interop

import (
	"bytes"
	"fmt"
	"maps"
	"slices"
	"strings"
	"testing"

	"github.com/apexlogic/apex/verdict"
)

func TestCosignVerifiedWhatApexSigned(t *testing.T) {
	r := readRecord(t)
	if len(r.SignedByApex) != len(makings()) {
		t.Errorf("the record holds %d entries, Apex signs in %d ways: run tools/interop.sh", len(r.SignedByApex), len(makings()))
	}
	for _, m := range makings() {
		t.Run(m.name, func(t *testing.T) {
			e := find(t, r.SignedByApex, m.name)
			if len(e.Checks) != len(m.asks) {
				t.Fatalf("cosign was asked %d questions, there are %d: run tools/interop.sh", len(e.Checks), len(m.asks))
			}
			image := r.Registry + "/" + e.Repository + "@" + string(e.Image)
			for i, a := range m.asks {
				k := e.Checks[i]
				if want := about(a.command, image); !slices.Equal(k.Command, want) {
					t.Errorf("%s: cosign was run as\n%q, now it is\n%q: run tools/interop.sh", a.why, k.Command, want)
				}
				if (k.ExitCode == 0) != a.passes {
					t.Errorf("%s: cosign's exit code was %d", a.why, k.ExitCode)
				}
			}
		})
	}
}

func TestApexStillMakesWhatCosignVerified(t *testing.T) {
	// The recorded answers speak about today's code only as long as it makes
	// the same bytes. Signatures differ each time; nothing else may.
	r, h := readRecord(t), open(t)
	keys := signers(t, dir, r.Password)
	for _, m := range makings() {
		t.Run(m.name, func(t *testing.T) {
			e := find(t, r.SignedByApex, m.name)
			subject := h.pushImage(e.Repository, captioner)
			if subject.Digest != e.Image {
				t.Fatalf("the image is %s, the recorded one is %s: run tools/interop.sh", subject.Digest, e.Image)
			}
			// What is signed names the record's host, so that it is the same.
			a := m.make(t, keys[m.key], r.Registry+"/"+e.Repository, subject.Digest)
			h.attach(t, e.Repository, subject, a)

			recorded := parseManifest(t, readBlob(t, e.Pushed[len(e.Pushed)-1].Digest))
			if was := readBlob(t, recorded.Layers[0].Digest); !bytes.Equal(unsigned(was), unsigned(a.data)) {
				t.Errorf("cosign verified\n%s\nApex makes\n%s\nrun tools/interop.sh", was, a.data)
			}
			all := h.pushedTo(e.Repository)
			today := parseManifest(t, h.get("/v2/"+e.Repository+"/manifests/"+string(all[len(all)-1].Digest)))
			if was, is := shape(&recorded), shape(&today); was != is {
				t.Errorf("cosign verified a manifest like\n%s\nApex makes\n%s\nrun tools/interop.sh", was, is)
			}
		})
	}
}

// unsigned blanks the signature in a bundle or an envelope.
func unsigned(data []byte) []byte {
	before, rest, ok := bytes.Cut(data, []byte(`"sig":"`))
	if !ok {
		return data // a simple-signing payload, whose signature is elsewhere
	}
	_, after, _ := bytes.Cut(rest, []byte(`"`))
	return slices.Concat(before, []byte(`"sig":""`), after)
}

// shape says what a manifest of evidence consists of, without digests and signatures.
func shape(m *manifest) string {
	var b strings.Builder
	fmt.Fprintf(&b, "%s %s, config %s, annotations %v", m.MediaType, m.ArtifactType, m.Config.MediaType, m.Annotations)
	for _, l := range m.Layers {
		fmt.Fprintf(&b, ", layer %s with %v", l.MediaType, slices.Sorted(maps.Keys(l.Annotations)))
	}
	return b.String()
}

func TestApexVerifiesWhatItSigned(t *testing.T) {
	r, h := readRecord(t), open(t)
	root := trusting(t, "cosign", "apex", "other")
	for _, m := range makings() {
		t.Run(m.name, func(t *testing.T) {
			e := find(t, r.SignedByApex, m.name)
			h.load(t, e, e.Repository, nil)
			got := h.evidence(e.Repository, e.Image, root)
			checkEvidence(t, &got, expectedOf(r, e), e.Image)
		})
	}
}

func TestASignatureOfApexCountsUnderItsRepositoryOnly(t *testing.T) {
	h := open(t)
	key := signers(t, dir, password)["apex"]
	for _, form := range []making{{name: "bundle", make: signBundle(nil)}, {name: "legacy", make: signLegacy(nil)}} {
		t.Run(form.name, func(t *testing.T) {
			own, elsewhere := "vision/"+form.name, "mirror/"+form.name
			for _, repository := range []string{own, elsewhere} {
				d := h.pushImage(repository, captioner)
				h.attach(t, repository, d, form.make(t, key, h.host+"/"+own, d.Digest))
				got := h.decide(t, repository, d.Digest, signedBy("apex", nil))
				want := verdict.OK
				if repository != own {
					want = verdict.SignatureRepository
				}
				if got.Code != want {
					t.Errorf("in %s: %s: %s (%s), want %s", repository, got.Decision, got.Code, got.Reason, want)
				}
			}
		})
	}
}
