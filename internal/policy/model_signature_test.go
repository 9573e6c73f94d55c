package policy

import (
	"encoding/json"
	"testing"
	"time"

	"github.com/apexlogic/apex/api/v1alpha1"
	"github.com/apexlogic/apex/internal/fact"
	"github.com/apexlogic/apex/verdict"
)

// omsOver is the statement of an OpenSSF Model Signing bundle over the files.
func omsOver(files []fact.ModelFile, by ...string) fact.Attestation {
	var p fact.ModelSignature
	p.Serialization.Method, p.Serialization.HashType = "files", "sha256"
	for _, f := range files {
		p.Resources = append(p.Resources, fact.ModelResource{Name: f.Path, Algorithm: "sha256", Digest: f.Digest.Hex()})
	}
	a := attested(fact.PredicateModelSignature, p, by...)
	a.Subjects = about(modelRoot(files))
	return a
}

// signedModel is a model whose files alice has signed.
func signedModel() *modelWorld {
	w := newModelWorld(v1alpha1.RequireModelSignature)
	w.param.RequireSignatureFrom = []string{"alice"}
	w.attestations = []fact.Attestation{omsOver(w.model.Files, "alice")}
	return w
}

// alter changes the list that the first statement signs, and its subject with it
// unless keep is set.
func (w *modelWorld) alter(keep bool, change func(*fact.ModelSignature)) {
	var p fact.ModelSignature
	if err := json.Unmarshal(w.attestations[0].Predicate, &p); err != nil {
		panic(err)
	}
	change(&p)
	w.attestations[0].Predicate, _ = json.Marshal(p)
	if keep {
		return
	}
	var files []fact.ModelFile
	for _, r := range p.Resources {
		files = append(files, fact.ModelFile{Path: r.Name, Digest: verdict.Digest("sha256:" + r.Digest)})
	}
	w.attestations[0].Subjects = about(modelRoot(files))
}

func TestAModelSignatureCoversExactlyTheFilesOfTheArtifact(t *testing.T) {
	rename := func(from int, to string) func(*fact.ModelSignature) {
		return func(p *fact.ModelSignature) { p.Resources[from].Name = to }
	}
	runModelTwins(t, signedModel, append(unlooked(fact.NeedAttestations, func(w *modelWorld) { w.attestations = nil }), []modelTwin{
		{"a file that nobody signed", func(w *modelWorld) {
			w.model.Files = append(w.model.Files, fact.ModelFile{Path: "modeling.py", Digest: digestOf("import os")})
		}, verdict.Fail, verdict.ModelSignatureFiles, "modeling.py"},
		{"the bundle itself, packed beside the files", func(w *modelWorld) {
			w.model.Files = append(w.model.Files, fact.ModelFile{Path: "model.sig", Digest: digestOf("bundle")})
		}, verdict.Fail, verdict.ModelSignatureFiles, "model.sig"},
		{"a file that the statement asks to ignore", func(w *modelWorld) {
			w.alter(false, func(p *fact.ModelSignature) { p.Serialization.IgnorePaths = []string{"cache"} })
			w.model.Files = append(w.model.Files, fact.ModelFile{Path: "cache/x.pkl", Digest: digestOf("pickle")})
		}, verdict.Fail, verdict.ModelSignatureFiles, "cache/x.pkl"},
		{"a signed file is missing", func(w *modelWorld) { w.model.Files = w.model.Files[:2] }, verdict.Fail, verdict.ModelSignatureFiles, "vocab.txt"},
		{"a file with other bytes", func(w *modelWorld) { w.model.Files[1].Digest = digestOf("other weights") }, verdict.Fail, verdict.ModelSignatureFiles, "is not the file"},
		{"two files have changed their names", func(w *modelWorld) {
			w.model.Files[0].Path, w.model.Files[1].Path = w.model.Files[1].Path, w.model.Files[0].Path
		}, verdict.Fail, verdict.ModelSignatureFiles, "is not the file"},
		{"the same bytes in the same order under another name", func(w *modelWorld) { w.model.Files[0].Path = "config.jsonl" }, verdict.Fail, verdict.ModelSignatureFiles, "config.jsonl"},
		{"a name in another case", func(w *modelWorld) { w.model.Files[0].Path = "Config.json" }, verdict.Fail, verdict.ModelSignatureFiles, "Config.json"},
		{"a name in another normal form", func(w *modelWorld) {
			w.alter(false, rename(0, "cafe\u0301.json"))
			w.model.Files[0].Path = "caf\u00e9.json"
		}, verdict.Fail, verdict.ModelSignatureFiles, ""},
		{"the subject is not the root of the list", func(w *modelWorld) { w.attestations[0].Subjects = about(subject) }, verdict.Fail, verdict.ModelSignatureInvalid, "signed root"},
		{"the list is in another order than its root", func(w *modelWorld) {
			w.alter(true, func(p *fact.ModelSignature) { p.Resources[0], p.Resources[1] = p.Resources[1], p.Resources[0] })
		}, verdict.Fail, verdict.ModelSignatureInvalid, "signed root"},
		{"a name is listed twice", func(w *modelWorld) {
			w.alter(false, func(p *fact.ModelSignature) { p.Resources = append(p.Resources, p.Resources[0]) })
		}, verdict.Fail, verdict.ModelSignatureInvalid, "twice"},
		{"the list is empty", func(w *modelWorld) { w.alter(false, func(p *fact.ModelSignature) { p.Resources = nil }) }, verdict.Fail, verdict.ModelSignatureFiles, "was not signed"},
		{"shards", func(w *modelWorld) {
			w.alter(false, func(p *fact.ModelSignature) { p.Serialization.Method = "shards" })
		}, verdict.Fail, verdict.ModelSignatureFiles, "shards"},
		{"another hash", func(w *modelWorld) {
			w.alter(false, func(p *fact.ModelSignature) { p.Serialization.HashType = "blake3" })
		}, verdict.Fail, verdict.ModelSignatureFiles, "blake3"},
		{"another hash for one of the files", func(w *modelWorld) {
			w.alter(true, func(p *fact.ModelSignature) { p.Resources[1].Algorithm = "blake3" })
		}, verdict.Fail, verdict.ModelSignatureInvalid, "no sha256"},
		{"a digest that is none", func(w *modelWorld) {
			w.alter(true, func(p *fact.ModelSignature) { p.Resources[1].Digest = "abc" })
		}, verdict.Fail, verdict.ModelSignatureInvalid, "no sha256"},
		{"a list that cannot be read", func(w *modelWorld) { w.attestations[0].Predicate = []byte(`{"resources":7}`) }, verdict.Fail, verdict.ModelSignatureInvalid, "cannot be read"},
		{"a dot for one of several files", func(w *modelWorld) { w.alter(false, rename(0, ".")) }, verdict.Fail, verdict.ModelSignatureFiles, "config.json"},
		{"the artifact holds packed layers", func(w *modelWorld) {
			w.model.Root, w.model.Files = "", []fact.ModelFile{{Packed: true, Digest: digestOf("tar")}}
		}, verdict.Fail, verdict.ModelSignatureFiles, "packed"},
	}...))
	runModelPasses(t, signedModel, []modelVariant{
		{"by components, as the reference implementation sorts", func(w *modelWorld) {
			// "a-b/x" is before "a/x" as text and after it by components.
			w.model.Files = []fact.ModelFile{{Path: "a-b/x", Digest: digestOf("1")}, {Path: "a/x", Digest: digestOf("2")}}
			w.model.Root = modelRoot(w.model.Files)
			w.attestations = []fact.Attestation{omsOver([]fact.ModelFile{w.model.Files[1], w.model.Files[0]}, "alice")}
		}},
		{"one file, by its name", func(w *modelWorld) {
			w.model.Files = w.model.Files[:1]
			w.attestations = []fact.Attestation{omsOver(w.model.Files, "alice")}
		}},
		{"one file, as early versions name it", func(w *modelWorld) {
			w.model.Files = w.model.Files[:1]
			w.attestations = []fact.Attestation{omsOver(w.model.Files, "alice")}
			w.alter(false, rename(0, "."))
		}},
		{"more may exist, but what is there is enough", func(w *modelWorld) { w.partial = fact.NeedAttestations | fact.NeedSignatures }},
		{"a bad statement beside it spoils nothing", func(w *modelWorld) {
			bad := omsOver(w.model.Files[:1], "alice")
			w.attestations = append([]fact.Attestation{bad, {Signing: fact.Signing{Code: verdict.AttestationInvalid}, PredicateType: fact.PredicateModelSignature}}, w.attestations...)
		}},
	})
}

func TestAModelSignatureCountsOnlyWhenItsSignerDoes(t *testing.T) {
	bySignature := func() *modelWorld {
		w := signedModel()
		w.attestations = nil
		w.signatures = []fact.Signature{{Signing: signing("alice"), Subject: subject}}
		return w
	}
	failed := func(code verdict.Code) func(*modelWorld) {
		return func(w *modelWorld) {
			for i := range w.attestations {
				w.attestations[i].Code, w.attestations[i].TrustedBy = code, nil
			}
			for i := range w.signatures {
				w.signatures[i].Code, w.signatures[i].TrustedBy = code, nil
			}
		}
	}
	nobody := func(w *modelWorld) { w.attestations, w.signatures = nil, nil }
	shared := []modelTwin{
		{"nobody signed", nobody, verdict.Fail, verdict.ModelSignatureMissing, "no signature"},
		{"it verifies under no entry", failed(verdict.SignatureUntrusted), verdict.Fail, verdict.ModelSignatureUntrusted, ""},
		{"its key is revoked", failed(verdict.SignatureRevokedKey), verdict.Fail, verdict.ModelSignatureUntrusted, ""},
		{"it does not verify", failed(verdict.SignatureInvalid), verdict.Fail, verdict.ModelSignatureInvalid, ""},
		{"its statement does not verify", failed(verdict.AttestationInvalid), verdict.Fail, verdict.ModelSignatureInvalid, ""},
		{"it is about another model", failed(verdict.SignatureSubject), verdict.Fail, verdict.ModelSignatureFiles, ""},
		{"two have to sign and one did", func(w *modelWorld) {
			w.param.RequireSignatureFrom, w.param.Threshold = []string{"alice", "bob"}, 2
		}, verdict.Fail, verdict.ModelSignatureThreshold, "1 of 2"},
		{"two have to sign, one did, and not every signature was looked at", func(w *modelWorld) {
			w.param.RequireSignatureFrom, w.param.Threshold, w.partial = []string{"alice", "bob"}, 2, fact.NeedSignatures
		}, verdict.Unknown, verdict.RegistryTooMany, "there is more"},
		{"two have to sign, one did, and not every statement was looked at", func(w *modelWorld) {
			w.param.RequireSignatureFrom, w.param.Threshold, w.partial = []string{"alice", "bob"}, 2, fact.NeedAttestations
		}, verdict.Unknown, verdict.RegistryTooMany, "there is more"},
	}
	t.Run("files", func(t *testing.T) {
		runModelTwins(t, signedModel, append(shared, modelTwin{"somebody else whom we know signed", func(w *modelWorld) {
			w.attestations[0].TrustedBy = []string{"bob"}
		}, verdict.Fail, verdict.ModelSignatureUntrusted, "bob"}))
	})
	t.Run("artifact", func(t *testing.T) {
		runModelTwins(t, bySignature, append(shared, append(unlooked(fact.NeedSignatures, nobody), []modelTwin{
			{"somebody else whom we know signed", func(w *modelWorld) { w.signatures[0].TrustedBy = []string{"bob"} }, verdict.Fail, verdict.ModelSignatureUntrusted, "bob"},
			{"it is about another digest", func(w *modelWorld) { w.signatures[0].Subject = digestOf("else") }, verdict.Fail, verdict.ModelSignatureFiles, string(digestOf("else"))},
			{"it is about the files' root, which binds no names", func(w *modelWorld) { w.signatures[0].Subject = w.model.Root }, verdict.Fail, verdict.ModelSignatureFiles, ""},
			{"it is about the index of a question that has one", func(w *modelWorld) {
				w.q.Index = digestOf("index")
				w.signatures[0].Subject = w.q.Index
			}, verdict.Fail, verdict.ModelSignatureFiles, ""},
		}...)...))
	})
	runModelPasses(t, bySignature, []modelVariant{
		{"packed layers, which the digest covers", func(w *modelWorld) { w.model.Root, w.model.Files = "", []fact.ModelFile{{Packed: true}} }},
		{"one signs the files and one the artifact", func(w *modelWorld) {
			w.param.RequireSignatureFrom, w.param.Threshold = []string{"alice", "bob"}, 2
			w.attestations = []fact.Attestation{omsOver(w.model.Files, "bob")}
		}},
	})
	// The same key over both the files and the artifact is one signer.
	w := bySignature()
	w.param.RequireSignatureFrom, w.param.Threshold = []string{"alice", "bob"}, 2
	w.attestations = []fact.Attestation{omsOver(w.model.Files, "alice")}
	if c := w.check(t); c.Code != verdict.ModelSignatureThreshold {
		t.Errorf("one signer reaches a threshold of two: %s %s", c.Outcome, c.Detail)
	}
}

func TestTheAnswerAboutAModelHoldsAsLongAsItsSignatures(t *testing.T) {
	w := signedModel()
	w.attestations[0].Until = noon.Add(time.Hour)
	if c := w.check(t); !c.Until.Equal(noon.Add(time.Hour)) {
		t.Errorf("until %s", c.Until)
	}
}
