package policy

import (
	"testing"
	"time"

	"github.com/apexlogic/apex/api/v1alpha1"
	"github.com/apexlogic/apex/internal/fact"
	"github.com/apexlogic/apex/verdict"
)

const trainer = "https://train.example/runs"

var approvedBase = digestOf("approved base")

func provenModel() *modelWorld {
	w := newModelWorld(v1alpha1.RequireModelProvenance)
	w.param.ProvenanceFrom, w.param.Builders, w.param.BaseModels = []string{"alice"}, []string{trainer}, []string{string(approvedBase)}
	w.provenance = []fact.Provenance{{
		Signing: signing("alice"), Subjects: about(subject), Version: "1", Builder: trainer, Code: verdict.OK,
		SourceRepository: "https://github.com/vision/captioner", Finished: noon.Add(-time.Hour),
		Dependencies: []fact.Dependency{
			{Name: "code", URI: "git+https://github.com/vision/captioner"},
			{Name: "base-model", URI: "hf://owner/tiny", Digest: approvedBase},
			{Name: "dataset", URI: "s3://data/cars", Digest: digestOf("cars")},
		},
	}}
	return w
}

func TestModelProvenanceCountsOnlyWhenEverythingAboutItHolds(t *testing.T) {
	first := func(f func(*fact.Provenance)) func(*modelWorld) {
		return func(w *modelWorld) { f(&w.provenance[0]) }
	}
	depends := func(d fact.Dependency) func(*modelWorld) {
		return first(func(p *fact.Provenance) { p.Dependencies = append(p.Dependencies, d) })
	}
	evil := digestOf("evil base")
	runModelTwins(t, provenModel, append(unlooked(fact.NeedProvenance, func(w *modelWorld) { w.provenance = nil }), []modelTwin{
		{"none", func(w *modelWorld) { w.provenance = nil }, verdict.Fail, verdict.ModelProvenanceMissing, ""},
		{"it verifies under no entry", first(func(p *fact.Provenance) { p.Signing.Code, p.Signing.TrustedBy = verdict.AttestationUntrusted, nil }), verdict.Fail, verdict.ModelProvenanceUntrusted, ""},
		{"its key is revoked", first(func(p *fact.Provenance) { p.Signing.Code, p.Signing.TrustedBy = verdict.SignatureRevokedKey, nil }), verdict.Fail, verdict.ModelProvenanceUntrusted, ""},
		{"somebody else whom we know signed", first(func(p *fact.Provenance) { p.Signing.TrustedBy = []string{"bob"} }), verdict.Fail, verdict.ModelProvenanceUntrusted, "alice"},
		{"it cannot be read", first(func(p *fact.Provenance) { p.Code = verdict.ProvenanceInvalid }), verdict.Fail, verdict.ModelProvenanceInvalid, ""},
		{"its statement is about another digest", first(func(p *fact.Provenance) { p.Signing.Code, p.Signing.TrustedBy = verdict.SignatureSubject, nil }), verdict.Fail, verdict.ModelProvenanceInvalid, "another model"},
		{"its subjects are another model's", first(func(p *fact.Provenance) { p.Subjects = about(digestOf("else")) }), verdict.Fail, verdict.ModelProvenanceInvalid, "another"},
		{"its subject has no digest, and the model no root", func(w *modelWorld) {
			w.provenance[0].Subjects, w.model.Root = []fact.AttestationSubject{{}}, ""
		}, verdict.Fail, verdict.ModelProvenanceInvalid, "another"},
		{"another builder", first(func(p *fact.Provenance) { p.Builder = "https://laptop.example" }), verdict.Fail, verdict.ModelProvenanceRefused, "laptop"},
		{"another build type", func(w *modelWorld) { w.param.BuildTypes = []string{"https://train.example/v1"} }, verdict.Fail, verdict.ModelProvenanceRefused, "build type"},
		{"another source", func(w *modelWorld) { w.param.SourceRepositories = []string{"https://github.com/vision/other"} }, verdict.Fail, verdict.ModelProvenanceRefused, "captioner"},
		{"too old", func(w *modelWorld) { w.param.MaxBuildAge = hours(1); w.now = noon.Add(time.Second) }, verdict.Fail, verdict.ModelProvenanceRefused, "ago"},
		{"from the future", func(w *modelWorld) {
			w.param.MaxBuildAge = hours(1)
			w.provenance[0].Finished = noon.Add(time.Hour)
		}, verdict.Fail, verdict.ModelProvenanceInvalid, "future"},
		{"another base model", depends(fact.Dependency{Name: "base-model", URI: "hf://evil/base", Digest: evil}), verdict.Fail, verdict.ModelProvenanceBase, "hf://evil/base"},
		{"a base model without a digest", depends(fact.Dependency{Name: "base-model", URI: "hf://owner/tiny"}), verdict.Fail, verdict.ModelProvenanceBase, "no digest"},
		{"a base model by another word", depends(fact.Dependency{Name: "Teacher Model", URI: "hf://evil/base", Digest: evil}), verdict.Fail, verdict.ModelProvenanceBase, "evil"},
		{"a dependency that does not say what it is", depends(fact.Dependency{URI: "https://huggingface.co/evil/base", Digest: evil}), verdict.Fail, verdict.ModelProvenanceBase, "evil"},
		{"an artifact that does not say what it is", depends(fact.Dependency{URI: "oci://registry.example/evil/base", Digest: evil, Repository: "registry.example/evil/base"}), verdict.Fail, verdict.ModelProvenanceBase, "evil"},
		{"a second statement names another base model", func(w *modelWorld) {
			second := w.provenance[0]
			second.Dependencies = []fact.Dependency{{Name: "base-model", URI: "hf://evil/base", Digest: evil}}
			w.provenance = append(w.provenance, second)
		}, verdict.Fail, verdict.ModelProvenanceBase, "evil"},
		{"a second statement may name another base model where nobody looked", func(w *modelWorld) { w.partial = fact.NeedProvenance }, verdict.Unknown, verdict.RegistryTooMany, "there is more"},
	}...))
	runModelPasses(t, provenModel, []modelVariant{
		{"about the files, before they were packed", func(w *modelWorld) { w.provenance[0].Subjects = about(w.model.Root) }},
		{"from no base model", first(func(p *fact.Provenance) { p.Dependencies = p.Dependencies[:1] })},
		{"its source, without a name", depends(fact.Dependency{URI: "git+https://github.com/vision/captioner@refs/heads/main"})},
		{"any base model, where the policy lists none", func(w *modelWorld) {
			w.param.BaseModels = nil
			w.provenance[0].Dependencies[1].Digest = evil
		}},
		{"more may exist, where any base model may be", func(w *modelWorld) { w.param.BaseModels, w.partial = nil, fact.NeedProvenance }},
		{"an untrusted statement beside it names another base model", func(w *modelWorld) {
			w.provenance = append(w.provenance, fact.Provenance{Signing: signing("bob"), Subjects: about(subject), Builder: trainer, Code: verdict.OK,
				Dependencies: []fact.Dependency{{Name: "base-model", Digest: evil}}})
		}},
	})
	w := provenModel()
	w.param.MaxBuildAge = hours(2)
	if c := w.check(t); !c.Until.Equal(noon.Add(time.Hour)) {
		t.Errorf("until %s", c.Until)
	}
}

type dataset map[string]any

func trainedModel() *modelWorld {
	w := newModelWorld(v1alpha1.RequireDatasetManifest)
	w.param.DatasetFrom, w.param.Datasets = []string{"alice"}, []string{string(digestOf("cars")), string(digestOf("boats"))}
	w.attestations = []fact.Attestation{trainedOn("alice", dataset{"name": "cars", "root": digestOf("cars"), "records": 12})}
	return w
}

func trainedOn(by string, all ...dataset) fact.Attestation {
	return attested(fact.PredicateDatasetManifest, map[string]any{"datasets": all}, by)
}

func TestADatasetManifestCountsOnlyWhenEverythingAboutItHolds(t *testing.T) {
	only := func(a fact.Attestation) func(*modelWorld) {
		return func(w *modelWorld) { w.attestations = []fact.Attestation{a} }
	}
	signed := func(code verdict.Code) func(*modelWorld) {
		return func(w *modelWorld) {
			w.attestations[0].Code, w.attestations[0].TrustedBy, w.attestations[0].Predicate = code, nil, nil
		}
	}
	runModelTwins(t, trainedModel, append(unlooked(fact.NeedAttestations, func(w *modelWorld) { w.attestations = nil }), []modelTwin{
		{"none", func(w *modelWorld) { w.attestations = nil }, verdict.Fail, verdict.ModelDatasetMissing, ""},
		{"it verifies under no entry", signed(verdict.AttestationUntrusted), verdict.Fail, verdict.ModelDatasetUntrusted, ""},
		{"its key is revoked", signed(verdict.SignatureRevokedKey), verdict.Fail, verdict.ModelDatasetUntrusted, ""},
		{"somebody else whom we know signed", func(w *modelWorld) { w.attestations[0].TrustedBy = []string{"bob"} }, verdict.Fail, verdict.ModelDatasetUntrusted, "alice"},
		{"its statement is about another digest", signed(verdict.SignatureSubject), verdict.Fail, verdict.ModelDatasetInvalid, "another model"},
		{"its subjects are another model's", func(w *modelWorld) { w.attestations[0].Subjects = about(digestOf("else")) }, verdict.Fail, verdict.ModelDatasetInvalid, "another model"},
		{"it cannot be read", func(w *modelWorld) { w.attestations[0].Predicate = []byte(`{"datasets":"cars"}`) }, verdict.Fail, verdict.ModelDatasetInvalid, "cannot be read"},
		{"it names no dataset", only(trainedOn("alice")), verdict.Fail, verdict.ModelDatasetInvalid, "no dataset"},
		{"a dataset without a root", only(trainedOn("alice", dataset{"name": "cars"})), verdict.Fail, verdict.ModelDatasetInvalid, "cars"},
		{"another dataset", only(trainedOn("alice", dataset{"name": "poison", "root": digestOf("poison")})), verdict.Fail, verdict.ModelDatasetDenied, "poison"},
		{"another dataset beside an approved one", only(trainedOn("alice", dataset{"name": "cars", "root": digestOf("cars")}, dataset{"name": "poison", "root": digestOf("poison")})),
			verdict.Fail, verdict.ModelDatasetDenied, "poison"},
		{"a second manifest names another dataset", func(w *modelWorld) {
			w.attestations = append(w.attestations, trainedOn("alice", dataset{"name": "poison", "root": digestOf("poison")}))
		}, verdict.Fail, verdict.ModelDatasetDenied, "poison"},
		{"a second manifest may stand where nobody looked", func(w *modelWorld) { w.partial = fact.NeedAttestations }, verdict.Unknown, verdict.RegistryTooMany, "there is more"},
	}...))
	runModelPasses(t, trainedModel, []modelVariant{
		{"about the files, before they were packed", func(w *modelWorld) { w.attestations[0].Subjects = about(w.model.Root) }},
		{"two approved ones", only(trainedOn("alice", dataset{"name": "cars", "root": digestOf("cars")}, dataset{"name": "boats", "root": digestOf("boats")}))},
		{"any, where the policy lists none", func(w *modelWorld) {
			w.param.Datasets = nil
			w.attestations[0] = trainedOn("alice", dataset{"name": "other", "root": digestOf("other")})
		}},
		{"more may exist, where any dataset may be", func(w *modelWorld) { w.param.Datasets, w.partial = nil, fact.NeedAttestations }},
		{"a stranger's manifest names another dataset", func(w *modelWorld) {
			w.attestations = append(w.attestations, trainedOn("bob", dataset{"name": "poison", "root": digestOf("poison")}))
		}},
	})
	w := trainedModel()
	w.attestations[0].Until = noon.Add(time.Hour)
	if c := w.check(t); !c.Until.Equal(noon.Add(time.Hour)) {
		t.Errorf("until %s", c.Until)
	}
}
