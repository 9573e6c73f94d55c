package verify_test

import (
	"encoding/hex"
	"maps"
	"net/http"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/apexlogic/apex/api/v1alpha1"
	"github.com/apexlogic/apex/internal/fact"
	"github.com/apexlogic/apex/internal/oci"
	"github.com/apexlogic/apex/internal/oci/ocitest"
	"github.com/apexlogic/apex/internal/trust"
	"github.com/apexlogic/apex/internal/verify/verifytest"
	"github.com/apexlogic/apex/verdict"
)

// The tests in this file are the known ways around the verification of models,
// each with its allowing twin: see docs/bypasses.md.

const slsa = "https://slsa.dev/provenance/v1"

// withFile is the kit's model with one file more, or other bytes in one.
func withFile(name, text string) map[string]string {
	files := maps.Clone(verifytest.Weights)
	files[name] = text
	return files
}

func TestTheModelPolicyAllowsAGoodModelAndBindsAllToOneSubject(t *testing.T) {
	k := verifytest.New(t).WithModels()
	m := k.GoodModel("vision/model")
	v := k.AllowedModel(m.URI())
	if len(v.Checks) != 7 || v.Digest != m.Digest || v.Repo != m.Repo || v.Kind != verdict.KindModel || !slices.Equal(v.Policies, []string{"models"}) {
		t.Fatalf("verdict about %s %s by %v with %d checks", v.Kind, v.Ref, v.Policies, len(v.Checks))
	}
	for _, text := range []string{m.Fixed(), m.Pinned(), m.Image(), "docker://" + m.Image(), "oci+native://" + m.Pinned()} {
		k.AllowedModel(text)
	}
}

func TestModelsNeedEveryPieceOfTheirEvidence(t *testing.T) {
	for piece, code := range map[string]verdict.Code{
		"signature": verdict.ModelSignatureMissing, "scan": verdict.ModelScanMissing,
		"provenance": verdict.ModelProvenanceMissing, "dataset": verdict.ModelDatasetMissing,
	} {
		t.Run(piece, func(t *testing.T) {
			k := verifytest.New(t).WithModels()
			m := k.PushModel("vision/model", verifytest.Weights, "Apache-2.0")
			evidence := k.Evidence(m)
			k.AttachEvidence(m, evidence, piece)
			k.TwinModel(m.URI(), code, func() string { k.AttachBundle(m.Pushed, evidence[piece]); return m.URI() })
		})
	}
}

// Evidence that is genuine and speaks for something else.
func TestModelsAreNotServedByTheEvidenceOfOthers(t *testing.T) {
	malicious := func(s *fact.ModelScan) { s.Verdict = "malicious" }
	for _, tc := range []struct {
		name  string
		piece string // of the evidence that is replaced
		make  func(k *verifytest.Kit, m, other verifytest.Model) []byte
		code  verdict.Code
	}{
		{"a signature over the files of an older version", "signature", func(k *verifytest.Kit, _, other verifytest.Model) []byte { return k.FilesBundle("modeler", other) }, verdict.ModelSignatureFiles},
		{"a signature by a key for images", "signature", func(k *verifytest.Kit, m, _ verifytest.Model) []byte { return k.FilesBundle("release", m) }, verdict.ModelSignatureUntrusted},
		{"a signature by a key for scans", "signature", func(k *verifytest.Kit, m, _ verifytest.Model) []byte { return k.FilesBundle("model-scanner", m) }, verdict.ModelSignatureUntrusted},
		{"a signature by a stranger", "signature", func(k *verifytest.Kit, m, _ verifytest.Model) []byte { return k.FilesBundle("mallory", m) }, verdict.ModelSignatureUntrusted},
		{"a signature over the root alone, which binds no names", "signature", func(k *verifytest.Kit, m, _ verifytest.Model) []byte {
			return mustBundle(k, func() ([]byte, error) { return trust.SignImage(k.Key("modeler").Signer, m.Repo, m.Root, nil) })
		}, verdict.ModelSignatureFiles},
		{"a bundle that was changed", "signature", func(k *verifytest.Kit, m, _ verifytest.Model) []byte {
			// A letter of the payload, which is base64.
			bundle := string(k.FilesBundle("modeler", m))
			i := strings.Index(bundle, `"payload":"`) + 200
			return []byte(bundle[:i] + string(bundle[i]^1) + bundle[i+1:])
		}, ""},
		{"a scan of an older version", "scan", func(k *verifytest.Kit, _, other verifytest.Model) []byte {
			return k.ModelBundle("model-scanner", other, fact.PredicateModelScan, k.CleanScan(other))
		}, verdict.ModelScanSubject},
		{"a scan whose subject is ours and whose root is another's", "scan", func(k *verifytest.Kit, m, other verifytest.Model) []byte {
			return k.ModelBundle("model-scanner", m, fact.PredicateModelScan, k.CleanScan(other))
		}, verdict.ModelScanSubject},
		{"a scan by the signer of the model", "scan", func(k *verifytest.Kit, m, _ verifytest.Model) []byte {
			return k.ModelBundle("modeler", m, fact.PredicateModelScan, k.CleanScan(m))
		}, verdict.ModelScanUntrusted},
		{"a scan by the scanner of images", "scan", func(k *verifytest.Kit, m, _ verifytest.Model) []byte {
			return k.ModelBundle("scanner", m, fact.PredicateModelScan, k.CleanScan(m))
		}, verdict.ModelScanUntrusted},
		{"a scan with older lists", "scan", func(k *verifytest.Kit, m, _ verifytest.Model) []byte {
			return k.ModelBundle("model-scanner", m, fact.PredicateModelScan, k.CleanScan(m, func(s *fact.ModelScan) { s.Scanner.Lists = "2026.10" }))
		}, verdict.ModelScanLists},
		{"a scan from the future", "scan", func(k *verifytest.Kit, m, _ verifytest.Model) []byte {
			return k.ModelBundle("model-scanner", m, fact.PredicateModelScan, k.CleanScan(m, func(s *fact.ModelScan) { s.Finished = verifytest.Now.Add(time.Hour) }))
		}, verdict.ModelScanInvalid},
		{"a scan that is too old", "scan", func(k *verifytest.Kit, m, _ verifytest.Model) []byte {
			return k.ModelBundle("model-scanner", m, fact.PredicateModelScan, k.CleanScan(m, func(s *fact.ModelScan) { s.Finished = verifytest.Now.AddDate(0, -2, 0) }))
		}, verdict.ModelScanStale},
		{"a scan that read ranges", "scan", func(k *verifytest.Kit, m, _ verifytest.Model) []byte {
			return k.ModelBundle("model-scanner", m, fact.PredicateModelScan, k.CleanScan(m, func(s *fact.ModelScan) { s.Unhashed = 1 }))
		}, verdict.ModelScanPartial},
		{"a scan that found something", "scan", func(k *verifytest.Kit, m, _ verifytest.Model) []byte {
			return k.ModelBundle("model-scanner", m, fact.PredicateModelScan, k.CleanScan(m, malicious))
		}, verdict.ModelScanBlocked},
		{"a scan that found another format", "scan", func(k *verifytest.Kit, m, _ verifytest.Model) []byte {
			return k.ModelBundle("model-scanner", m, fact.PredicateModelScan, k.CleanScan(m, func(s *fact.ModelScan) { s.Formats = []string{"pickle"} }))
		}, verdict.ModelFormatDenied},
		{"a scan that found remote code", "scan", func(k *verifytest.Kit, m, _ verifytest.Model) []byte {
			return k.ModelBundle("model-scanner", m, fact.PredicateModelScan, k.CleanScan(m, func(s *fact.ModelScan) { s.RemoteCode = []string{"config.json"} }))
		}, verdict.ModelRemoteCode},
		{"provenance of an older version", "provenance", func(k *verifytest.Kit, _, other verifytest.Model) []byte {
			return k.ModelBundle("trainer", other, slsa, verifytest.Training(verifytest.ApprovedBase))
		}, verdict.ModelProvenanceInvalid},
		{"provenance by the builder of images", "provenance", func(k *verifytest.Kit, m, _ verifytest.Model) []byte {
			return k.ModelBundle("builder", m, slsa, verifytest.Training(verifytest.ApprovedBase))
		}, verdict.ModelProvenanceUntrusted},
		{"provenance from another base model", "provenance", func(k *verifytest.Kit, m, _ verifytest.Model) []byte {
			return k.ModelBundle("trainer", m, slsa, verifytest.Training(verifytest.ApprovedBase, "sha256:"+strings.Repeat("3", 64)))
		}, verdict.ModelProvenanceBase},
		{"provenance by another builder", "provenance", func(k *verifytest.Kit, m, _ verifytest.Model) []byte {
			p := verifytest.Training()
			p["runDetails"].(map[string]any)["builder"] = map[string]any{"id": "https://laptop.example"}
			return k.ModelBundle("trainer", m, slsa, p)
		}, verdict.ModelProvenanceRefused},
		{"a dataset manifest of an older version", "dataset", func(k *verifytest.Kit, _, other verifytest.Model) []byte {
			return k.ModelBundle("curator", other, fact.PredicateDatasetManifest, verifytest.Datasets(verifytest.ApprovedDataset))
		}, verdict.ModelDatasetInvalid},
		{"a dataset manifest by a stranger", "dataset", func(k *verifytest.Kit, m, _ verifytest.Model) []byte {
			return k.ModelBundle("mallory", m, fact.PredicateDatasetManifest, verifytest.Datasets(verifytest.ApprovedDataset))
		}, verdict.ModelDatasetUntrusted},
		{"another dataset", "dataset", func(k *verifytest.Kit, m, _ verifytest.Model) []byte {
			return k.ModelBundle("curator", m, fact.PredicateDatasetManifest, verifytest.Datasets(verifytest.ApprovedDataset, "sha256:"+strings.Repeat("4", 64)))
		}, verdict.ModelDatasetDenied},
	} {
		t.Run(tc.name, func(t *testing.T) {
			k := verifytest.New(t).WithModels()
			other := k.PushModel("vision/older", withFile("model.safetensors", "older weights"), "Apache-2.0")
			m := k.PushModel("vision/model", verifytest.Weights, "Apache-2.0")
			evidence := k.Evidence(m)
			k.AttachEvidence(m, evidence, tc.piece)
			k.AttachBundle(m.Pushed, tc.make(k, m, other))
			v := k.AskModel(m.URI())
			if v.Decision != verdict.Deny || tc.code != "" && v.Code != tc.code {
				t.Fatalf("%s %s: %s; want deny %s", v.Decision, v.Code, v.Reason, tc.code)
			}
			// What somebody trusted has found stays: only a model without it is its twin.
			twin := k.PushModel("vision/twin", withFile("model.safetensors", "twin"), "Apache-2.0")
			k.AttachEvidence(twin, k.Evidence(twin))
			k.AllowedModel(twin.URI())
		})
	}
}

func mustBundle(k *verifytest.Kit, make func() ([]byte, error)) []byte {
	k.T.Helper()
	bundle, err := make()
	if err != nil {
		k.T.Fatal(err)
	}
	return bundle
}

// Evidence about the files of a model is brought to an artifact with other files,
// or with the same under other names.
func TestModelsWithOtherFilesThanWereSignedAreNotServed(t *testing.T) {
	renamed := maps.Clone(verifytest.Weights)
	delete(renamed, "config.json")
	renamed["config.jsonc"] = verifytest.Weights["config.json"] // the same order, so the same root
	missing := maps.Clone(verifytest.Weights)
	delete(missing, "tokenizer/vocab.txt")
	for name, files := range map[string]map[string]string{
		"a file more": withFile("modeling.py", "import os"), "other bytes": withFile("config.json", "[]"),
		"a file less": missing, "another name": renamed, "the bundle beside them": withFile("model.sig", "bundle"),
	} {
		t.Run(name, func(t *testing.T) {
			k := verifytest.New(t).WithModels()
			k.OnlyModelRule(v1alpha1.RequireModelSignature)
			signed := k.GoodModel("vision/model")
			m := k.PushModel("vision/changed", files, "Apache-2.0")
			k.AttachBundle(m.Pushed, k.FilesBundle("modeler", signed))
			if name == "another name" && m.Root != signed.Root {
				t.Fatal("the test needs one root for both")
			}
			k.TwinModel(m.URI(), verdict.ModelSignatureFiles, func() string { k.SignFiles("modeler", m); return m.URI() })
		})
	}
}

func TestModelsThatAreSignedAsTheReferenceImplementationSortsAreServed(t *testing.T) {
	k := verifytest.New(t).WithModels()
	k.OnlyModelRule(v1alpha1.RequireModelSignature)
	m := k.PushModel("vision/model", map[string]string{"a/x": "1", "a-b/x": "2"})
	list := func(order ...string) map[string]any {
		var resources []map[string]string
		for _, name := range order {
			i := slices.IndexFunc(m.Files, func(f fact.ModelFile) bool { return f.Path == name })
			resources = append(resources, map[string]string{"name": name, "algorithm": "sha256", "digest": m.Files[i].Digest.Hex()})
		}
		return map[string]any{"serialization": map[string]any{"method": "files", "hash_type": "sha256", "allow_symlinks": false}, "resources": resources}
	}
	attest := func(root verdict.Digest, predicate any) {
		byRoot := m
		byRoot.Digest = root // the statement names no artifact: it was made before
		byRoot.Root = root
		k.AttachBundle(m.Pushed, k.ModelBundle("modeler", byRoot, fact.PredicateModelSignature, predicate))
	}
	byParts := rootOf(t, m, "a/x", "a-b/x")
	// The list of one order under the root of the other is not what was signed.
	attest(byParts, list("a-b/x", "a/x"))
	k.TwinModel(m.URI(), verdict.ModelSignatureInvalid, func() string {
		attest(byParts, list("a/x", "a-b/x"))
		return m.URI()
	})
}

// rootOf is the root over the model's files in the order of the names.
func rootOf(t *testing.T, m verifytest.Model, order ...string) verdict.Digest {
	t.Helper()
	var raw []byte
	for _, name := range order {
		i := slices.IndexFunc(m.Files, func(f fact.ModelFile) bool { return f.Path == name })
		digest, err := hex.DecodeString(m.Files[i].Digest.Hex())
		if err != nil {
			t.Fatal(err)
		}
		raw = append(raw, digest...)
	}
	return verdict.Digest(ocitest.Digest(raw))
}

func TestModelsAreNamedByWhatEvidenceCanBeAbout(t *testing.T) {
	k := verifytest.New(t).WithModels()
	m := k.GoodModel("vision/model")
	for _, text := range []string{
		"hf://owner/model", "s3://bucket/model", "pvc://claim/model", "https://example.com/model.bin", "owner/model", "gs://b/m@sha256:abc",
		"OCI://" + m.Image(), m.URI() + "@sha256:abc", "oci://user:secret@" + m.Image(), "oci://" + strings.Replace(m.Image(), "vision", "visiоn", 1), "",
	} {
		if v := k.DeniedModel(text, verdict.ModelReference); strings.Contains(v.Reason, "secret") {
			t.Errorf("the reason shows the credentials: %s", v.Reason)
		}
	}
	q := verdict.Question{Asked: m.Fixed(), Labels: verifytest.Labels}
	q.Kind, q.Digest = verdict.KindModel, verdict.Digest("sha256:"+strings.Repeat("0", 64))
	if v := k.AskQuestion(q); v.Code != verdict.ModelReference {
		t.Errorf("two digests: %s %s", v.Decision, v.Code)
	}
	k.AllowedModel(m.URI())
}

func TestModelsWhoseTagMovesAreJudgedByWhatTheTagNames(t *testing.T) {
	k := verifytest.New(t).WithModels()
	m := k.GoodModel("vision/model")
	k.AllowedModel(m.URI())
	k.PushModel("vision/model", withFile("modeling.py", "import os"), "Apache-2.0") // the tag has moved
	k.TwinModel(m.URI(), verdict.ModelSignatureMissing, func() string { return m.Fixed() })
	k.Server.Forget()
	k.Restart()
	k.AskModel(m.URI())
	if n := k.Server.Count(http.MethodGet, "/manifests/1.0"); n != 1 {
		t.Errorf("the tag was asked for %d times", n)
	}
}

func TestModelsOfAnotherShapeAreNotServed(t *testing.T) {
	k := verifytest.New(t).WithModels()
	k.OnlyModelRule(v1alpha1.RequireModelSignature)
	index := k.PushIndex("vision/index", verifytest.App("one"))
	k.DeniedModel("oci://"+index.Image(), verdict.ModelMediaType)
	// A container image may hold a model: it is judged by the digest that covers it.
	img := k.Push("vision/image", verifytest.App("modelcar"))
	k.Sign("release", img) // a key for images
	k.TwinModel("oci://"+img.Image(), verdict.ModelSignatureUntrusted, func() string { k.Sign("modeler", img); return "oci://" + img.Image() })

	good := k.PushModel("vision/good", verifytest.Weights)
	k.SignFiles("modeler", good)
	raw := func() string {
		m, err := k.Client.Resolve(t.Context(), mustParse(t, good.Pinned()))
		if err != nil {
			t.Fatal(err)
		}
		return string(m.Raw)
	}()
	k.AllowedModel(good.URI())
	for name, change := range map[string][2]string{
		"a way out":                    {`filepath":"config.json"`, `filepath":"../config.json"`},
		"two names that are alike":     {`filepath":"config.json"`, `filepath":"MODEL.safetensors"`},
		"an annotation that disagrees": {`"org.cncf.model.filepath":"config.json"`, `"org.cncf.model.filepath":"config.json","org.opencontainers.image.title":"x.pkl"`},
		"a layer without a path":       {`"org.cncf.model.filepath":"config.json"`, `"other":"config.json"`},
		"a file that is a folder, too": {`filepath":"config.json"`, `filepath":"tokenizer"`},
	} {
		t.Run(name, func(t *testing.T) {
			bad := strings.Replace(raw, change[0], change[1], 1)
			if bad == raw {
				t.Fatalf("nothing changed in %s", raw)
			}
			d, err := k.Client.PushManifest(t.Context(), good.Repo, "bad", oci.MediaTypeManifest, []byte(bad))
			if err != nil {
				t.Fatal(err)
			}
			m := good
			m.Descriptor = d
			k.Sign("modeler", m.Pushed) // even by who is trusted
			k.DeniedModel(m.Fixed(), verdict.ModelManifest)
		})
	}
}

// A registry that does not give up one piece of the evidence: what it hides could
// say anything.
func TestModelsAreNotServedWhileEvidenceIsHidden(t *testing.T) {
	var mu sync.Mutex
	hidden := ""
	k := verifytest.New(t, ocitest.Behind(func(h http.Handler) http.Handler {
		return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			mu.Lock()
			bad := hidden != "" && r.Method == http.MethodGet && strings.HasSuffix(r.URL.Path, hidden)
			mu.Unlock()
			if bad {
				w.WriteHeader(http.StatusServiceUnavailable)
				return
			}
			h.ServeHTTP(w, r)
		})
	})).WithModels()
	m := k.GoodModel("vision/model")
	bad := k.ModelBundle("model-scanner", m, fact.PredicateModelScan, k.CleanScan(m, func(s *fact.ModelScan) {
		s.Verdict, s.Finished = "malicious", verifytest.Now.Add(-time.Minute)
	}))
	k.AllowedModel(m.URI())
	k.AttachBundle(m.Pushed, bad)
	hide := func(what string) {
		mu.Lock()
		hidden = what
		mu.Unlock()
		k.Reconnect()
	}
	hide(ocitest.Digest(bad))
	v := k.DeniedModel(m.URI(), verdict.RegistryUnreachable)
	if i := slices.IndexFunc(v.Checks, func(c verdict.Check) bool { return c.Rule == "ModelScanThreshold" }); v.Checks[i].Outcome != verdict.Unknown {
		t.Errorf("the scan is %s", v.Checks[i].Outcome)
	}
	hide("/referrers/" + string(m.Digest))
	k.DeniedModel(m.URI(), verdict.RegistryUnreachable)
	hide("/manifests/" + string(m.Digest))
	k.DeniedModel(m.Fixed(), verdict.RegistryUnreachable)
	// Nothing of that is remembered: what is shown decides.
	hide("")
	k.DeniedModel(m.URI(), verdict.ModelScanBlocked)
	good := k.PushModel("vision/good", withFile("x.txt", "x"), "Apache-2.0")
	k.AttachEvidence(good, k.Evidence(good))
	k.AllowedModel(good.URI())
}

func TestModelsOfOneDigestInTwoRepositoriesHaveTheirOwnEvidence(t *testing.T) {
	k := verifytest.New(t).WithModels()
	m := k.GoodModel("vision/model")
	k.AllowedModel(m.URI())
	files := k.PushModel("mirror/model", verifytest.Weights, "Apache-2.0")
	k.TwinModel(files.URI(), verdict.ModelSignatureMissing, func() string {
		// What is about the files holds wherever they are.
		k.AttachEvidence(files, k.Evidence(m))
		return files.URI()
	})
}

func TestModelsWithoutALicenceAreDenied(t *testing.T) {
	k := verifytest.New(t).WithModels()
	k.OnlyModelRule(v1alpha1.AllowedLicenses)
	without, other := k.PushModel("vision/without", verifytest.Weights), k.PushModel("vision/other", verifytest.Weights, "GPL-3.0-only")
	m := k.PushModel("vision/model", verifytest.Weights, "Apache-2.0")
	k.TwinModel(without.URI(), verdict.ModelLicenseUnknown, func() string { return m.URI() })
	k.TwinModel(other.URI(), verdict.ModelLicenseDenied, func() string { return m.URI() })
}
