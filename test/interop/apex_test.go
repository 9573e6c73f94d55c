package interop

import (
	"crypto"
	"slices"
	"strings"
	"testing"

	"github.com/apexlogic/apex/internal/oci"
	"github.com/apexlogic/apex/internal/trust"
	"github.com/apexlogic/apex/verdict"
)

// production is what annotated signatures state.
var production = map[string]string{"stage": "production", "team": "vision"}

// making is one way in which Apex signs, and what cosign is asked about it.
type making struct {
	name string
	key  string // file name without ".key"
	make func(t testing.TB, key crypto.Signer, repo string, subject verdict.Digest) artifact
	asks []ask
}

// ask is one command of cosign; the reference is added at its end.
type ask struct {
	why     string
	command []string
	passes  bool
}

// makings are all of them. Every ask that passes has a twin that does not.
func makings() []making {
	signed := func(key string, annotated bool) []ask {
		verify := []string{"cosign", "verify", "--insecure-ignore-tlog", "--key"}
		asks := []ask{
			{"it verifies under its key", append(slices.Clone(verify), key+".pub"), true},
			{"it does not verify under another key", append(slices.Clone(verify), "other.pub"), false},
		}
		if annotated {
			asks = append(asks,
				ask{"it states its annotations", append(slices.Clone(verify), key+".pub", "-a", "stage=production"), true},
				ask{"it states no other annotations", append(slices.Clone(verify), key+".pub", "-a", "stage=test"), false})
		}
		return asks
	}
	all := []making{
		{"signed bundle", "apex", signBundle(nil), signed("apex", false)},
		{"signed bundle, annotated", "apex", signBundle(production), signed("apex", true)},
		{"signed bundle with the key of cosign", "cosign", signBundle(nil), signed("cosign", false)},
		{"signed legacy", "apex", signLegacy(nil), signed("apex", false)},
		{"signed legacy, annotated", "apex", signLegacy(production), signed("apex", true)},
	}
	for i, kind := range predicates {
		verify := []string{"cosign", "verify-attestation", "--insecure-ignore-tlog", "--key"}
		asks := []ask{
			{"it verifies under its key", append(slices.Clone(verify), "apex.pub", "--type", kind), true},
			{"it does not verify under another key", append(slices.Clone(verify), "other.pub", "--type", kind), false},
			{"it is of no other type", append(slices.Clone(verify), "apex.pub", "--type", predicates[(i+1)%len(predicates)]), false},
		}
		all = append(all,
			making{"attested " + kind + ", bundle", "apex", attestBundle(kind), asks},
			making{"attested " + kind + ", legacy", "apex", attestLegacy(kind), asks})
	}
	return all
}

// artifact is a signature that is not attached yet.
type artifact struct {
	data          []byte
	predicateType string            // of a bundle
	suffix        string            // of the tag in the older format; "": a bundle
	layer         map[string]string // annotations in the older format
}

type maker = func(t testing.TB, key crypto.Signer, repo string, subject verdict.Digest) artifact

func signBundle(annotations map[string]string) maker {
	return func(t testing.TB, key crypto.Signer, repo string, subject verdict.Digest) artifact {
		t.Helper()
		bundle, err := trust.SignImage(key, repo, subject, annotations)
		must(t, err)
		return artifact{data: bundle, predicateType: "https://sigstore.dev/cosign/sign/v1"}
	}
}

func signLegacy(annotations map[string]string) maker {
	return func(t testing.TB, key crypto.Signer, repo string, subject verdict.Digest) artifact {
		t.Helper()
		payload, layer, err := trust.SignLegacy(key, repo, subject, annotations)
		must(t, err)
		return artifact{data: payload, suffix: oci.LegacySignature, layer: layer}
	}
}

func attestBundle(kind string) maker {
	return func(t testing.TB, key crypto.Signer, repo string, subject verdict.Digest) artifact {
		t.Helper()
		bundle, err := trust.Attest(key, repo, subject, kind, readFile(t, "testdata", "predicates", kind+".json"))
		must(t, err)
		return artifact{data: bundle, predicateType: predicateURI(t, kind)}
	}
}

func attestLegacy(kind string) maker {
	return func(t testing.TB, key crypto.Signer, repo string, subject verdict.Digest) artifact {
		t.Helper()
		envelope, layer, err := trust.AttestLegacy(key, repo, subject, kind, readFile(t, "testdata", "predicates", kind+".json"))
		must(t, err)
		return artifact{data: envelope, suffix: oci.LegacyAttestation, layer: layer}
	}
}

// attach publishes a signature about subject. A bundle gets the annotations by
// which cosign lists it.
func (h *house) attach(t testing.TB, repository string, subject oci.Descriptor, a artifact) {
	t.Helper()
	ctx, repo := t.Context(), h.host+"/"+repository
	if a.suffix != "" {
		must(t, h.client.AttachLegacy(ctx, repo, subject.Digest, a.suffix, a.data, a.layer))
		return
	}
	_, err := h.client.Attach(ctx, repo, subject, oci.ArtifactBundleV03,
		map[string]string{"dev.sigstore.bundle.content": "dsse-envelope", "dev.sigstore.bundle.predicateType": a.predicateType},
		oci.Blob{MediaType: oci.ArtifactBundleV03, Data: a.data})
	must(t, err)
}

func predicateURI(t testing.TB, kind string) string {
	t.Helper()
	uri, err := trust.PredicateType(kind)
	must(t, err)
	return uri
}

// signers loads the two private keys of a record, by the names of their files.
func signers(t testing.TB, root, password string) map[string]crypto.Signer {
	t.Helper()
	keys := map[string]crypto.Signer{}
	for _, name := range []string{"cosign", "apex"} {
		key, err := trust.LoadSigner(readFile(t, root, name+".key"), []byte(password))
		must(t, err)
		keys[name] = key
	}
	return keys
}

// repositoryOf turns an entry's name into a repository's.
func repositoryOf(who, name string) string {
	return who + "/" + strings.ToLower(strings.NewReplacer(" ", "-", ",", "").Replace(name))
}
