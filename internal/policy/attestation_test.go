package policy

import (
	"encoding/json"
	"strings"
	"testing"
	"time"

	"github.com/apexlogic/apex/api/v1alpha1"
	"github.com/apexlogic/apex/internal/fact"
	"github.com/apexlogic/apex/internal/image/scan"
	"github.com/apexlogic/apex/verdict"
)

const reviewType = "https://example.com/review/v1"

func reviewedWorld() *world {
	w := newWorld(v1alpha1.RequireAttestation)
	w.param.Attestations = []v1alpha1.RequiredAttestation{{
		PredicateType: reviewType, From: []string{"alice"},
		Condition: "predicate.approved && predicate.score >= 7 && predicate.open == 0",
	}}
	w.attestations = []fact.Attestation{attested(reviewType, map[string]any{"approved": true, "score": 8, "open": 0}, "alice")}
	return w
}

func predicate(w *world, text string) { w.attestations[0].Predicate = json.RawMessage(text) }

func TestAnAttestationCountsOnlyWhenEverythingAboutItHolds(t *testing.T) {
	runTwins(t, reviewedWorld, []twin{
		{"there is none", func(w *world) { w.attestations = nil }, verdict.Fail, verdict.AttestationMissing, reviewType},
		{"it is of another type", func(w *world) { w.attestations[0].PredicateType = "https://example.com/review/v2" }, verdict.Fail, verdict.AttestationMissing, ""},
		{"nobody whom we know signed it", func(w *world) {
			w.attestations[0].TrustedBy, w.attestations[0].Code = nil, verdict.SignatureUntrusted
		}, verdict.Fail, verdict.AttestationUntrusted, "alice"},
		{"somebody else signed it", func(w *world) { w.attestations[0].Signing = signing("bob") }, verdict.Fail, verdict.AttestationUntrusted, "alice"},
		{"its statement is not one", func(w *world) { w.attestations[0].Code = verdict.AttestationInvalid }, verdict.Fail, verdict.AttestationInvalid, ""},
		{"it has no code at all", func(w *world) { w.attestations[0].Code = "" }, verdict.Fail, verdict.AttestationInvalid, ""},
		{"it is about another digest", func(w *world) { w.attestations[0].Subjects = about(digestOf("else")) }, verdict.Fail, verdict.SignatureSubject, ""},
		{"it is about no digest", func(w *world) { w.attestations[0].Subjects = about("") }, verdict.Fail, verdict.SignatureSubject, ""},
		{"its predicate is empty", func(w *world) { predicate(w, "null") }, verdict.Fail, verdict.AttestationInvalid, ""},
		{"its predicate cannot be read", func(w *world) { predicate(w, "{") }, verdict.Fail, verdict.AttestationInvalid, ""},
		{"its predicate says no", func(w *world) { predicate(w, `{"approved":false,"score":8,"open":0}`) }, verdict.Fail, verdict.AttestationPredicate, "condition"},
		{"its predicate says too little", func(w *world) { predicate(w, `{"approved":true,"score":6.9,"open":0}`) }, verdict.Fail, verdict.AttestationPredicate, ""},
		{"a field that the condition needs is missing", func(w *world) { predicate(w, `{"approved":true}`) }, verdict.Fail, verdict.ExpressionFailed, "no such key"},
		{"a field has another type", func(w *world) { predicate(w, `{"approved":"true","score":8,"open":0}`) }, verdict.Fail, verdict.ExpressionFailed, ""},
		{"one of two that are wanted is missing", func(w *world) {
			w.param.Attestations = append(w.param.Attestations, v1alpha1.RequiredAttestation{PredicateType: "https://example.com/pentest", From: []string{"bob"}})
		}, verdict.Fail, verdict.AttestationMissing, "pentest"},
		{"they could not be fetched", func(w *world) { w.unknown = fact.NeedAttestations }, verdict.Unknown, verdict.RegistryUnreachable, ""},
		{"not all were looked at, and none of those counts", func(w *world) {
			w.partial, w.attestations = fact.NeedAttestations, nil
		}, verdict.Unknown, verdict.RegistryTooMany, ""},
	})
}

func TestAnAttestationCountsInEveryWayThatThePolicyAllows(t *testing.T) {
	runPasses(t, reviewedWorld, []variant{
		{"no condition is set", func(w *world) { w.param.Attestations[0].Condition = ""; predicate(w, `{}`) }},
		{"it is about the index that was asked for", func(w *world) {
			w.q.Index = digestOf("index")
			w.attestations[0].Subjects = about(w.q.Index)
		}},
		{"an earlier one said no: one that says yes is enough", func(w *world) {
			no := attested(reviewType, map[string]any{"approved": false, "score": 0, "open": 9}, "alice")
			w.attestations = append([]fact.Attestation{no}, w.attestations...)
		}},
		{"more may exist, but what is there is enough", func(w *world) { w.partial = fact.NeedAttestations }},
	})
	w := reviewedWorld()
	w.attestations[0].Until = noon.Add(time.Hour)
	if c := w.check(t); !c.Until.Equal(noon.Add(time.Hour)) {
		t.Errorf("until %s", c.Until)
	}
}

func TestConditionsThatDoNotCompileLeaveThePolicyNotReady(t *testing.T) {
	for condition, says := range map[string]string{
		"predicate.":       "Syntax error",
		"image.user == ''": "undeclared reference",
		"'yes'":            "not bool",
		"predicate.x":      "", // its type is only known when it runs
	} {
		w := reviewedWorld()
		w.param.Attestations[0].Condition = condition
		if says != "" {
			deniesAsNotReady(t, w, says)
			continue
		}
		predicate(w, `{"x":"b"}`)
		if c := w.check(t); c.Outcome != verdict.Fail || c.Code != verdict.ExpressionFailed || !strings.Contains(c.Detail, "not bool") {
			t.Errorf("%s: %s %s: %s", condition, c.Outcome, c.Code, c.Detail)
		}
	}
}

func sbomWorld() *world {
	w := newWorld(v1alpha1.RequireSBOM)
	w.param.SBOMFrom = []string{"alice"}
	w.attestations = []fact.Attestation{attested("https://cyclonedx.org/bom/v1.6", map[string]any{"bomFormat": "CycloneDX", "components": []any{map[string]any{"name": "zlib"}}}, "alice")}
	return w
}

func TestAnSBOMCountsOnlyWhenItListsSomething(t *testing.T) {
	runTwins(t, sbomWorld, []twin{
		{"there is none", func(w *world) { w.attestations = nil }, verdict.Fail, verdict.SBOMMissing, ""},
		{"what is attested is something else", func(w *world) { w.attestations[0].PredicateType = reviewType }, verdict.Fail, verdict.SBOMMissing, ""},
		{"its type only begins like an SBOM's", func(w *world) { w.attestations[0].PredicateType = "https://cyclonedx.org/bomb" }, verdict.Fail, verdict.SBOMMissing, ""},
		{"somebody else signed it", func(w *world) { w.attestations[0].Signing = signing("bob") }, verdict.Fail, verdict.AttestationUntrusted, "alice"},
		{"it is about another digest", func(w *world) { w.attestations[0].Subjects = about(digestOf("else")) }, verdict.Fail, verdict.SignatureSubject, ""},
		{"only the other format is accepted", func(w *world) { w.param.SBOMFormats = []string{"SPDX"} }, verdict.Fail, verdict.SBOMFormat, "CycloneDX"},
		{"it lists nothing", func(w *world) { predicate(w, `{"bomFormat":"CycloneDX","components":[]}`) }, verdict.Fail, verdict.SBOMInvalid, ""},
		{"it is the other format under this type", func(w *world) { predicate(w, `{"spdxVersion":"SPDX-2.3","packages":[{}]}`) }, verdict.Fail, verdict.SBOMInvalid, ""},
		{"it cannot be read", func(w *world) { predicate(w, `[]`) }, verdict.Fail, verdict.SBOMInvalid, ""},
		{"it could not be fetched", func(w *world) { w.unknown = fact.NeedAttestations }, verdict.Unknown, verdict.RegistryUnreachable, ""},
		{"not all was looked at", func(w *world) { w.partial, w.attestations = fact.NeedAttestations, nil }, verdict.Unknown, verdict.RegistryTooMany, ""},
	})
	spdx := func(w *world) {
		w.attestations[0] = attested("https://spdx.dev/Document", map[string]any{"spdxVersion": "SPDX-2.3", "packages": []any{map[string]any{"name": "zlib"}}}, "alice")
	}
	runPasses(t, sbomWorld, []variant{
		{"it is SPDX", spdx},
		{"it is SPDX with its version in the type", func(w *world) { spdx(w); w.attestations[0].PredicateType += "/v2.3" }},
		{"it is SPDX and only that is accepted", func(w *world) { spdx(w); w.param.SBOMFormats = []string{"SPDX"} }},
		{"it is CycloneDX without a version in the type", func(w *world) { w.attestations[0].PredicateType = "https://cyclonedx.org/bom" }},
	})
}

const builder = "https://github.com/slsa-framework/slsa-github-generator/.github/workflows/generator_container_slsa3.yml"

func builtWorld() *world {
	w := newWorld(v1alpha1.RequireProvenance)
	w.param.ProvenanceFrom = []string{"alice"}
	w.param.Builders = []string{builder + "@*"}
	w.param.SourceRepositories = []string{"git+https://GitHub.com/vision/captioner.git"}
	w.param.EntryPoints = []string{".github/workflows/release.yml"}
	w.param.BuildTypes = []string{"https://example.com/container/v1"}
	w.param.MaxBuildAge = hours(72)
	w.provenance = []fact.Provenance{{
		Signing: signing("alice"), Subjects: about(subject), Version: "1", Builder: builder + "@refs/tags/v2.1.0",
		BuildType: "https://example.com/container/v1", SourceRepository: "https://github.com/vision/captioner",
		EntryPoint: ".github/workflows/release.yml", Finished: noon.Add(-48 * time.Hour), Code: verdict.OK,
	}}
	return w
}

func TestProvenanceCountsOnlyWhenEverythingAboutItHolds(t *testing.T) {
	runTwins(t, builtWorld, []twin{
		{"there is none", func(w *world) { w.provenance = nil }, verdict.Fail, verdict.ProvenanceMissing, ""},
		{"somebody else signed it", func(w *world) { w.provenance[0].Signing = signing("bob") }, verdict.Fail, verdict.AttestationUntrusted, "alice"},
		{"it cannot be read", func(w *world) { w.provenance[0].Code = verdict.ProvenanceInvalid }, verdict.Fail, verdict.ProvenanceInvalid, ""},
		{"it has no code at all", func(w *world) { w.provenance[0].Code = "" }, verdict.Fail, verdict.ProvenanceInvalid, ""},
		{"it is about another digest", func(w *world) { w.provenance[0].Subjects = about(digestOf("else")) }, verdict.Fail, verdict.SignatureSubject, ""},
		{"another builder built it", func(w *world) { w.provenance[0].Builder = "https://evil.example@refs/tags/v2.1.0" }, verdict.Fail, verdict.ProvenanceBuilder, "evil"},
		{"a builder whose name only begins alike", func(w *world) { w.provenance[0].Builder = builder + ".evil@v1" }, verdict.Fail, verdict.ProvenanceBuilder, ""},
		{"the builder has no version", func(w *world) { w.provenance[0].Builder = builder + "@" }, verdict.Fail, verdict.ProvenanceBuilder, ""},
		{"another version than the exact one", func(w *world) { w.param.Builders = []string{builder + "@refs/tags/v2.2.0"} }, verdict.Fail, verdict.ProvenanceBuilder, ""},
		{"it was built in another way", func(w *world) { w.provenance[0].BuildType = "https://example.com/shell/v1" }, verdict.Fail, verdict.ProvenanceBuildUnknown, "shell"},
		{"it was built from another source", func(w *world) { w.provenance[0].SourceRepository = "https://github.com/mallory/captioner" }, verdict.Fail, verdict.ProvenanceSource, "mallory"},
		{"it names no source", func(w *world) { w.provenance[0].SourceRepository = "" }, verdict.Fail, verdict.ProvenanceSource, ""},
		{"another workflow built it", func(w *world) { w.provenance[0].EntryPoint = ".github/workflows/pr.yml" }, verdict.Fail, verdict.ProvenanceEntryPoint, "pr.yml"},
		{"it was built too long ago", func(w *world) { w.provenance[0].Finished = noon.Add(-73 * time.Hour) }, verdict.Fail, verdict.ProvenanceTooOld, "72h"},
		{"it does not say when it was built", func(w *world) { w.provenance[0].Finished = time.Time{} }, verdict.Fail, verdict.ProvenanceTooOld, "does not say"},
		{"it was built in the future", func(w *world) { w.provenance[0].Finished = noon.Add(time.Hour) }, verdict.Fail, verdict.ProvenanceInvalid, "future"},
		{"it could not be fetched", func(w *world) { w.unknown = fact.NeedProvenance }, verdict.Unknown, verdict.RegistryUnreachable, ""},
		{"not all of it was looked at", func(w *world) { w.partial, w.provenance = fact.NeedProvenance, nil }, verdict.Unknown, verdict.RegistryTooMany, ""},
	})
	runPasses(t, builtWorld, []variant{
		{"the builder is named exactly", func(w *world) { w.param.Builders = []string{builder + "@refs/tags/v2.1.0"} }},
		{"only the builder is asked for", func(w *world) {
			w.param.SourceRepositories, w.param.EntryPoints, w.param.BuildTypes, w.param.MaxBuildAge = nil, nil, nil, nil
			w.provenance[0] = fact.Provenance{Signing: signing("alice"), Subjects: about(subject), Builder: builder + "@main", Code: verdict.OK}
		}},
		{"a stranger's provenance beside it spoils nothing", func(w *world) {
			w.provenance = append([]fact.Provenance{{Signing: fact.Signing{Code: verdict.SignatureUntrusted}, Code: verdict.OK}}, w.provenance...)
		}},
	})
	w := builtWorld()
	if c := w.check(t); !c.Until.Equal(noon.Add(24 * time.Hour)) {
		t.Errorf("until %s", c.Until)
	}
}

// TestProvenanceOfBothVersionsSatisfiesTheSamePolicy reads real statements.
func TestProvenanceOfBothVersionsSatisfiesTheSamePolicy(t *testing.T) {
	v02 := map[string]any{
		"builder": map[string]any{"id": builder + "@refs/tags/v2.1.0"}, "buildType": "https://example.com/container/v1",
		"invocation": map[string]any{"configSource": map[string]any{
			"uri": "git+https://github.com/vision/captioner@refs/tags/v1", "entryPoint": ".github/workflows/release.yml",
			"digest": map[string]any{"sha1": strings.Repeat("a", 40)},
		}},
		"metadata": map[string]any{"buildFinishedOn": "2026-11-19T12:00:00Z"},
	}
	v1 := map[string]any{
		"buildDefinition": map[string]any{
			"buildType": "https://example.com/container/v1",
			"externalParameters": map[string]any{
				"source":   map[string]any{"uri": "git+https://github.com/vision/captioner@refs/tags/v1"},
				"workflow": map[string]any{"path": ".github/workflows/release.yml", "repository": "https://github.com/vision/captioner", "ref": "refs/tags/v1"},
			},
		},
		"runDetails": map[string]any{"builder": map[string]any{"id": builder + "@refs/tags/v2.1.0"}, "metadata": map[string]any{"finishedOn": "2026-11-19T12:00:00Z"}},
	}
	for predicateType, body := range map[string]any{scan.PredicateSLSA02: v02, scan.PredicateSLSA1: v1} {
		a := attested(predicateType, body, "alice")
		p, ok, err := scan.ParseProvenance(&a)
		if !ok || err != nil {
			t.Fatalf("%s: %v", predicateType, err)
		}
		w := builtWorld()
		if predicateType == scan.PredicateSLSA1 && p.EntryPoint == "" {
			w.param.EntryPoints = nil // where v1 states it depends on the build type
		}
		w.provenance = []fact.Provenance{p}
		if c := w.check(t); c.Outcome != verdict.Pass {
			t.Errorf("%s: %s %s: %s (%+v)", predicateType, c.Outcome, c.Code, c.Detail, p)
		}
		w.param.SourceRepositories = []string{"https://github.com/vision/other"}
		if c := w.check(t); c.Code != verdict.ProvenanceSource {
			t.Errorf("%s with another source: %s %s", predicateType, c.Outcome, c.Code)
		}
	}
}

func TestSourcesThatAreNoRepositoriesLeaveThePolicyNotReady(t *testing.T) {
	w := builtWorld()
	w.param.SourceRepositories = []string{"github.com/vision/captioner"}
	deniesAsNotReady(t, w, "not the URI of a repository")
	w = builtWorld()
	w.param.Builders = nil
	deniesAsNotReady(t, w, "at least one builder")
}
