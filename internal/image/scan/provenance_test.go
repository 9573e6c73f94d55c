package scan

import (
	"slices"
	"strings"
	"testing"

	"github.com/apexlogic/apex/internal/fact"
	"github.com/apexlogic/apex/verdict"
)

const (
	commit   = "0123456789abcdef0123456789abcdef01234567"
	slsaV02  = `{"builder":{"id":"https://github.com/slsa-framework/slsa-github-generator/.github/workflows/generator_container_slsa3.yml@refs/tags/v2.1.0"},"buildType":"https://github.com/slsa-framework/slsa-github-generator/container@v1","invocation":{"configSource":{"uri":"git+https://github.com/vision/captioner@refs/tags/v1.2","digest":{"sha1":"` + commit + `"},"entryPoint":".github/workflows/release.yml"}},"metadata":{"buildStartedOn":"2026-11-20T08:00:00Z","buildFinishedOn":"2026-11-20T08:10:00Z"},"materials":[{"uri":"git+https://github.com/vision/captioner@refs/tags/v1.2","digest":{"sha1":"` + commit + `"}}]}`
	slsaV1   = `{"buildDefinition":{"buildType":"https://actions.github.io/buildtypes/workflow/v1","externalParameters":{"workflow":{"ref":"refs/heads/main","repository":"https://github.com/vision/captioner","path":".github/workflows/release.yml"}},"internalParameters":{},"resolvedDependencies":[{"uri":"git+https://github.com/vision/captioner@refs/heads/main","digest":{"gitCommit":"` + commit + `"}}]},"runDetails":{"builder":{"id":"https://github.com/vision/captioner/.github/workflows/release.yml@refs/heads/main"},"metadata":{"invocationId":"x","finishedOn":"2026-11-20T08:10:00Z"}}}`
	buildKit = `{"buildDefinition":{"buildType":"https://github.com/moby/buildkit/blob/master/docs/attestations/slsa-definitions.md","externalParameters":{"configSource":{"uri":"https://github.com/vision/captioner.git#refs/heads/main","digest":{"sha1":"` + commit + `"},"path":"Dockerfile"},"request":{}},"resolvedDependencies":[]},"runDetails":{"builder":{"id":"https://mobyproject.org/buildkit"},"metadata":{}}}`
	cloud    = `{"buildDefinition":{"buildType":"https://cloud.google.com/build/gcb-buildtypes/google-worker/v1","externalParameters":{"buildConfigSource":{"repository":"git+https://github.com/vision/captioner","ref":"refs/heads/main","path":"cloudbuild.yaml"}}},"runDetails":{"builder":{"id":"https://cloudbuild.googleapis.com/GoogleHostedWorker"}}}`
	plainSrc = `{"buildDefinition":{"buildType":"https://slsa.dev/container-based-build/v0.1","externalParameters":{"source":{"uri":"git+https://github.com/vision/captioner","digest":{"sha1":"` + commit + `"}},"configPath":"build.toml"}},"runDetails":{"builder":{"id":"b"}}}`
)

func TestProvenanceOfTheCommonBuilders(t *testing.T) {
	tests := []struct {
		name, kind, predicate string
		want                  fact.Provenance
	}{
		{"slsa-github-generator, v0.2", PredicateSLSA02, slsaV02, fact.Provenance{Version: "0.2", SourceDigest: commit, EntryPoint: ".github/workflows/release.yml"}},
		{"GitHub Actions, v1", PredicateSLSA1, slsaV1, fact.Provenance{Version: "1", SourceDigest: commit, EntryPoint: ".github/workflows/release.yml"}},
		{"BuildKit, v1", PredicateSLSA1, buildKit, fact.Provenance{Version: "1", SourceDigest: commit, EntryPoint: "Dockerfile"}},
		{"Google Cloud Build, v1", PredicateSLSA1, cloud, fact.Provenance{Version: "1", EntryPoint: "cloudbuild.yaml"}},
		{"container-based, v1", PredicateSLSA1, plainSrc, fact.Provenance{Version: "1", SourceDigest: commit, EntryPoint: "build.toml"}},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			p, ok, err := ParseProvenance(attest(test.kind, test.predicate, manifest))
			if !ok || err != nil || p.Code != verdict.OK {
				t.Fatalf("ok %v, code %s, error %v", ok, p.Code, err)
			}
			if p.SourceRepository != "https://github.com/vision/captioner" {
				t.Errorf("source %q", p.SourceRepository)
			}
			if p.Version != test.want.Version || p.SourceDigest != test.want.SourceDigest || p.EntryPoint != test.want.EntryPoint {
				t.Errorf("version %q, commit %q, entry point %q", p.Version, p.SourceDigest, p.EntryPoint)
			}
			if p.Builder == "" || p.BuildType == "" || !p.Signing.Valid() || len(p.Subjects) != 1 || p.Subjects[0].Digest != manifest {
				t.Errorf("builder %q, build type %q, subjects %v", p.Builder, p.BuildType, p.Subjects)
			}
			if strings.Contains(test.predicate, "08:10") && p.Finished.Minute() != 10 {
				t.Errorf("finished %s", p.Finished)
			}
		})
	}
}

func TestProvenanceThatCannotBeTrustedToSayOneThingIsRefused(t *testing.T) {
	two := strings.Replace(slsaV1, `"externalParameters":{`, `"externalParameters":{"source":"git+https://github.com/evil/captioner",`, 1)
	tests := []struct{ name, kind, predicate, says string }{
		{"two sources", PredicateSLSA1, two, "two sources"},
		{"a source beside one that is none", PredicateSLSA1, strings.Replace(two, "git+https://github.com/evil/captioner", "evil", 1), "two sources"},
		{"no builder", PredicateSLSA1, `{"buildDefinition":{},"runDetails":{}}`, "no builder"},
		{"no builder, v0.2", PredicateSLSA02, `{}`, "no builder"},
		{"a builder that is a number", PredicateSLSA02, `{"builder":{"id":7}}`, "cannot unmarshal"},
		{"a key twice", PredicateSLSA02, `{"builder":{"id":"a"},"Builder":{"id":"b"}}`, "duplicate key"},
		{"v0.1", PredicateSLSA01, `{"builder":{"id":"a"}}`, "v0.1 is not read"},
		{"not JSON", PredicateSLSA1, `{`, "ends too early"},
		{"nothing", PredicateSLSA1, ``, "ends too early"},
		{"null", PredicateSLSA1, `null`, "no builder"},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			p, ok, err := ParseProvenance(attest(test.kind, test.predicate, manifest))
			if !ok || err == nil || p.Code != verdict.ProvenanceInvalid || p.Builder != "" || p.SourceRepository != "" {
				t.Fatalf("ok %v, %+v, error %v", ok, p, err)
			}
			if !strings.Contains(err.Error(), test.says) || p.Detail == "" {
				t.Errorf("error %q does not say %q", err, test.says)
			}
		})
	}
	same := strings.Replace(slsaV1, `"externalParameters":{`, `"externalParameters":{"source":"git+https://GitHub.com/vision/captioner.git@refs/heads/main",`, 1)
	if p, _, err := ParseProvenance(attest(PredicateSLSA1, same)); err != nil || p.Code != verdict.OK {
		t.Errorf("the twin, which names one source in two spellings: %v", err)
	}
	if _, ok, err := ParseProvenance(attest("https://spdx.dev/Document", `{}`)); ok || err != nil {
		t.Errorf("an attestation of another type: ok %v, error %v", ok, err)
	}
}

func TestBaseImagesAreFoundAmongTheDependencies(t *testing.T) {
	hex := strings.Repeat("a", 64)
	tests := []struct {
		name, uri, digest string
		want              string // repository:tag@hex's first digit
	}{
		{"BuildKit, official image", "pkg:docker/debian@bookworm?platform=linux%2Famd64", hex, "docker.io/library/debian:bookworm@a"},
		{"BuildKit, digest in the URI", "pkg:docker/pytorch/pytorch@2.6.0-cuda12.4-cudnn9-runtime?digest=sha256:" + hex, "", "docker.io/pytorch/pytorch:2.6.0-cuda12.4-cudnn9-runtime@a"},
		{"BuildKit, another registry", "pkg:docker/tensorflow/tensorflow@2.17-gpu?repository_url=gcr.io", hex, "gcr.io/tensorflow/tensorflow:2.17-gpu@a"},
		{"OCI purl", "pkg:oci/debian@sha256%3A" + hex + "?repository_url=ghcr.io/debian/debian&tag=12", "", "ghcr.io/debian/debian:12@a"},
		{"OCI purl without a tag", "pkg:oci/debian@sha256%3A" + hex + "?repository_url=ghcr.io/debian/debian", "", "ghcr.io/debian/debian:@a"},
		{"OCI purl without a place", "pkg:oci/debian@sha256%3A" + hex, "", ":@"},
		{"docker scheme", "docker://alpine:3.22", hex, "docker.io/library/alpine:3.22@a"},
		{"oci scheme with a digest", "oci://ghcr.io/a/b@sha256:" + hex, "", "ghcr.io/a/b:@a"},
		{"a URI and a digest that disagree", "pkg:docker/debian@12?digest=sha256:" + strings.Repeat("b", 64), hex, ":@a"},
		{"a digest that is none", "docker://alpine:3.22", "zz", "docker.io/library/alpine:3.22@"},
		{"a source", "git+https://github.com/a/b@refs/heads/main", "", ":@"},
		{"a reference that is none", "docker://UPPER/../x", hex, ":@a"},
		{"an encoded slash", "pkg:docker/evil%2Fdebian@12", hex, "docker.io/evil/debian:12@a"},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			material := `{"uri":"` + test.uri + `","digest":{"sha256":"` + test.digest + `"}}`
			p, _, err := ParseProvenance(attest(PredicateSLSA02, `{"builder":{"id":"b"},"materials":[`+material+`]}`))
			if err != nil || len(p.Dependencies) != 1 {
				t.Fatalf("%v, %v", p.Dependencies, err)
			}
			d := p.Dependencies[0]
			got := d.Repository + ":" + d.Tag + "@" + d.Digest.Hex()[:min(1, len(d.Digest.Hex()))]
			if got != test.want {
				t.Errorf("%s, want %s", got, test.want)
			}
		})
	}
}

func TestDependenciesAreBounded(t *testing.T) {
	list := func(n int) string {
		return `{"builder":{"id":"b"},"materials":[` + strings.TrimSuffix(strings.Repeat(`{},`, n), ",") + `]}`
	}
	if _, _, err := ParseProvenance(attest(PredicateSLSA02, list(maxDependencies+1))); err == nil {
		t.Error("no error")
	}
	if p, _, err := ParseProvenance(attest(PredicateSLSA02, list(maxDependencies))); err != nil || len(p.Dependencies) != maxDependencies {
		t.Errorf("the twin: %d dependencies, %v", len(p.Dependencies), err)
	}
}

func TestASourceRepositoryHasOneSpelling(t *testing.T) {
	const want = "https://github.com/vision/captioner"
	for _, uri := range []string{
		want, want + "/", want + ".git", "git+" + want, "git+" + want + ".git@refs/heads/main", want + "@v1",
		"https://GitHub.com/vision/captioner", "https://github.com:443/vision/captioner", "git@github.com:vision/captioner.git",
		"ssh://git@github.com/vision/captioner.git", "git+ssh://git@github.com:22/vision/captioner", "scm:git:https://github.com/vision/captioner.git",
		"https://user:secret@github.com/vision/captioner", want + "?token=secret", want + ".git#refs/heads/main:sub",
	} {
		if got := fact.SourceRepository(uri); got != want {
			t.Errorf("%q is %q, want %q", uri, got, want)
		}
	}
	others := []string{
		"https://github.com/Vision/captioner", "http://github.com/vision/captioner", "https://github.com:8443/vision/captioner",
		"https://github.com.evil.example/vision/captioner", "https://github.com/vision/captioner/sub", "https://github.com/vision/captioner.github",
		"https://github.com@evil.example/vision/captioner", "https://[2001:db8::1]/vision/captioner", "git://github.com/vision/captioner",
	}
	for _, uri := range others {
		if got := fact.SourceRepository(uri); got == want || got == "" {
			t.Errorf("%q is %q", uri, got)
		}
	}
	for _, uri := range []string{
		"", "x", "/vision/captioner", "file:///vision/captioner", "https://github.com", "https://github.com/", "https:///vision",
		"https://github.com/good/../vision/captioner", "https://github.com//vision/captioner", "https://github.com/vision%2Fcaptioner",
		`https://github.com/vision\captioner`, "git@github.com/vision:captioner", "https://github.com/" + strings.Repeat("a", 3000), "pkg:github/vision/captioner",
	} {
		if got := fact.SourceRepository(uri); got != "" {
			t.Errorf("%q is %q, want none", uri, got)
		}
	}
	if slices.Contains(others, want) {
		t.Error("the table contradicts itself")
	}
}
