package verifytest

import (
	"encoding/json"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/apexlogic/apex/api/v1alpha1"
	"github.com/apexlogic/apex/internal/fact"
	"github.com/apexlogic/apex/internal/model/artifact"
	"github.com/apexlogic/apex/internal/model/oms"
	"github.com/apexlogic/apex/internal/trust"
	"github.com/apexlogic/apex/verdict"
)

// What the model policy of [Kit.WithModels] names: the builder, the digest of
// the base model, the root of the dataset.
const (
	Trainer         = "https://train.example/runs"
	ApprovedBase    = "sha256:1111111111111111111111111111111111111111111111111111111111111111"
	ApprovedDataset = "sha256:2222222222222222222222222222222222222222222222222222222222222222"
)

// Weights are the files of the model that most tests push.
var Weights = map[string]string{"config.json": "{}", "model.safetensors": "weights", "tokenizer/vocab.txt": "words"}

// WithModels puts a policy about models in force beside the one about images,
// with every rule of its kind, and the keys "modeler", "model-scanner", "trainer"
// and "curator" for models.
func (k *Kit) WithModels() *Kit {
	k.T.Helper()
	k.Options.Models = artifact.New(k.Client, k.Clock)
	for _, name := range []string{"modeler", "model-scanner", "trainer", "curator"} {
		k.Docs.TrustRoots[0].Spec.Entries = append(k.Docs.TrustRoots[0].Spec.Entries, k.Entry(name, v1alpha1.UseModels))
	}
	rule := func(name v1alpha1.ModelRuleName, set func(*v1alpha1.ModelRuleParameters)) v1alpha1.ModelRule {
		r := v1alpha1.ModelRule{Name: name, Action: "Deny"}
		set(&r.Parameters)
		return r
	}
	scanner := []string{"model-scanner"}
	k.Docs.Models = []v1alpha1.ModelSecurityPolicy{{
		ObjectMeta: metav1.ObjectMeta{Name: "models"},
		Spec: v1alpha1.ModelSecurityPolicySpec{
			ModelSelector: &metav1.LabelSelector{MatchLabels: Labels},
			Rules: []v1alpha1.ModelRule{
				rule(v1alpha1.RequireModelSignature, func(p *v1alpha1.ModelRuleParameters) { p.RequireSignatureFrom = []string{"modeler"} }),
				rule(v1alpha1.ModelScanThreshold, func(p *v1alpha1.ModelRuleParameters) { p.ScanFrom, p.MinListVersion = scanner, "2026.11" }),
				rule(v1alpha1.AllowOnlyFormats, func(p *v1alpha1.ModelRuleParameters) {
					p.ScanFrom, p.AllowedFormats = scanner, []string{"json", "safetensors", "text"}
				}),
				rule(v1alpha1.DenyRemoteCode, func(p *v1alpha1.ModelRuleParameters) { p.ScanFrom = scanner }),
				rule(v1alpha1.RequireModelProvenance, func(p *v1alpha1.ModelRuleParameters) {
					p.ProvenanceFrom, p.Builders, p.BaseModels = []string{"trainer"}, []string{Trainer}, []string{ApprovedBase}
				}),
				rule(v1alpha1.AllowedLicenses, func(p *v1alpha1.ModelRuleParameters) { p.AllowedLicenses = []string{"Apache-2.0"} }),
				rule(v1alpha1.RequireDatasetManifest, func(p *v1alpha1.ModelRuleParameters) {
					p.DatasetFrom, p.Datasets = []string{"curator"}, []string{ApprovedDataset}
				}),
			},
		},
	}}
	k.Restart()
	return k
}

// ModelRule returns the parameters of the model policy's rule, to be changed
// before Publish.
func (k *Kit) ModelRule(name v1alpha1.ModelRuleName) *v1alpha1.ModelRuleParameters {
	for i := range k.Docs.Models[0].Spec.Rules {
		if r := &k.Docs.Models[0].Spec.Rules[i]; r.Name == name {
			return &r.Parameters
		}
	}
	k.T.Fatalf("the model policy has no rule %s", name)
	return nil
}

// OnlyModelRule leaves the rule with the name in the model policy.
func (k *Kit) OnlyModelRule(name v1alpha1.ModelRuleName) {
	rules := &k.Docs.Models[0].Spec.Rules
	*rules = slices.DeleteFunc(slices.Clone(*rules), func(r v1alpha1.ModelRule) bool { return r.Name != name })
	k.Publish()
}

// Model is a model in the registry.
type Model struct {
	Pushed
	fact.Model
	// Dir holds its files.
	Dir string
}

// URI returns "oci://repo:tag".
func (m Model) URI() string { return "oci://" + m.Image() }

// Fixed returns "oci://repo@digest".
func (m Model) Fixed() string { return "oci://" + m.Pinned() }

// PushModel packs the files under path:1.0, without anything that is signed.
func (k *Kit) PushModel(path string, files map[string]string, licenses ...string) Model {
	k.T.Helper()
	dir := filepath.Join(k.T.TempDir(), "captioner")
	for name, text := range files {
		full := filepath.Join(dir, filepath.FromSlash(name))
		if err := os.MkdirAll(filepath.Dir(full), 0o755); err != nil {
			k.T.Fatal(err)
		}
		if err := os.WriteFile(full, []byte(text), 0o644); err != nil {
			k.T.Fatal(err)
		}
	}
	var listed []fact.ModelFile
	hashed := k.hash(dir)
	for _, r := range hashed.Resources {
		listed = append(listed, fact.ModelFile{Path: r.Name, Digest: verdict.Digest("sha256:" + r.Digest), Size: int64(len(files[r.Name]))})
	}
	ref := k.ref(path)
	packed, err := artifact.Pack(k.T.Context(), k.Client, ref, dir, listed, nil, artifact.Description{Name: path, Licenses: licenses}, nil)
	if err != nil {
		k.T.Fatal(err)
	}
	if err := packed.Tag(k.T.Context()); err != nil {
		k.T.Fatal(err)
	}
	return Model{Pushed{Repo: ref.Name(), Tag: ref.Tag, Descriptor: packed.Descriptor}, packed.Model, dir}
}

func (k *Kit) hash(dir string) *oms.Manifest {
	k.T.Helper()
	hashed, err := oms.Hash(k.T.Context(), dir, oms.Options{})
	if err != nil {
		k.T.Fatal(err)
	}
	return hashed.Manifest
}

// FilesBundle is an OpenSSF Model Signing bundle by the key over the model's files.
func (k *Kit) FilesBundle(key string, m Model) []byte {
	k.T.Helper()
	bundle, err := oms.Sign(k.hash(m.Dir), oms.Signer{Key: k.Key(key).Signer})
	if err != nil {
		k.T.Fatal(err)
	}
	return bundle
}

// SignFiles attaches a bundle by the key over the model's files.
func (k *Kit) SignFiles(key string, m Model) {
	k.T.Helper()
	k.AttachBundle(m.Pushed, k.FilesBundle(key, m))
}

// ModelBundle is a statement by the key about the model's artifact and its files.
func (k *Kit) ModelBundle(key string, m Model, predicateType string, predicate any) []byte {
	k.T.Helper()
	data, err := json.Marshal(predicate)
	if err != nil {
		k.T.Fatal(err)
	}
	bundle, err := trust.AttestContent(k.Key(key).Signer, m.Repo, m.Digest, "captioner", m.Root, predicateType, data)
	if err != nil {
		k.T.Fatal(err)
	}
	return bundle
}

// CleanScan is a scan of the model that found nothing, an hour old, changed.
func (k *Kit) CleanScan(m Model, change ...func(*fact.ModelScan)) fact.ModelScan {
	s := fact.ModelScan{
		Root: m.Root, Finished: k.Clock.Now().Add(-time.Hour).UTC(), Verdict: "clean", Files: len(m.Files),
		Formats: []string{"json", "safetensors", "text"},
	}
	s.Scanner.Name, s.Scanner.Version, s.Scanner.Lists = "apex", "1.0.0", "2026.11"
	for _, f := range change {
		f(&s)
	}
	return s
}

// Training is SLSA provenance v1 by the trainer, from the base models.
func Training(bases ...string) map[string]any {
	resolved := []map[string]any{}
	for _, b := range bases {
		resolved = append(resolved, map[string]any{"name": "base-model", "uri": "hf://owner/tiny", "digest": map[string]string{"sha256": strings.TrimPrefix(b, "sha256:")}})
	}
	return map[string]any{
		"buildDefinition": map[string]any{"buildType": "https://train.example/v1", "externalParameters": map[string]any{}, "resolvedDependencies": resolved},
		"runDetails":      map[string]any{"builder": map[string]any{"id": Trainer}, "metadata": map[string]any{"finishedOn": Now.Add(-time.Hour).Format(time.RFC3339)}},
	}
}

// Datasets is a dataset manifest with the roots.
func Datasets(roots ...string) map[string]any {
	all := []map[string]any{}
	for _, r := range roots {
		all = append(all, map[string]any{"name": "cars", "root": r, "records": 12})
	}
	return map[string]any{"datasets": all}
}

// Evidence is all that the model policy asks for, by the name of what it is.
func (k *Kit) Evidence(m Model) map[string][]byte {
	k.T.Helper()
	return map[string][]byte{
		"signature":  k.FilesBundle("modeler", m),
		"scan":       k.ModelBundle("model-scanner", m, fact.PredicateModelScan, k.CleanScan(m)),
		"provenance": k.ModelBundle("trainer", m, "https://slsa.dev/provenance/v1", Training(ApprovedBase)),
		"dataset":    k.ModelBundle("curator", m, fact.PredicateDatasetManifest, Datasets(ApprovedDataset)),
	}
}

// AttachEvidence attaches the evidence, but not what is left out.
func (k *Kit) AttachEvidence(m Model, evidence map[string][]byte, without ...string) {
	k.T.Helper()
	for _, name := range slices.Sorted(maps.Keys(evidence)) {
		if !slices.Contains(without, name) {
			k.AttachBundle(m.Pushed, evidence[name])
		}
	}
}

// GoodModel pushes a model that the model policy allows.
func (k *Kit) GoodModel(path string) Model {
	k.T.Helper()
	m := k.PushModel(path, Weights, "Apache-2.0")
	k.AttachEvidence(m, k.Evidence(m))
	return m
}

// AskModel verifies one model with the selected workload's labels.
func (k *Kit) AskModel(text string) verdict.Verdict {
	k.T.Helper()
	q := verdict.Question{Asked: text, Labels: Labels}
	q.Kind = verdict.KindModel
	return k.AskQuestion(q)
}

// DeniedModel fails the test unless the model is denied with the code.
func (k *Kit) DeniedModel(text string, code verdict.Code) verdict.Verdict {
	k.T.Helper()
	v := k.AskModel(text)
	if v.Decision != verdict.Deny || v.Code != code {
		k.T.Fatalf("%s: got %s %s (%s), want deny %s", text, v.Decision, v.Code, v.Reason, code)
	}
	return v
}

// AllowedModel fails the test unless the model is allowed.
func (k *Kit) AllowedModel(text string) verdict.Verdict {
	k.T.Helper()
	v := k.AskModel(text)
	if v.Decision != verdict.Allow {
		k.T.Fatalf("%s: got %s %s (%s), want allow; checks: %s", text, v.Decision, v.Code, v.Reason, describe(v.Checks))
	}
	return v
}

// TwinModel is [Kit.Twin] for models.
func (k *Kit) TwinModel(text string, code verdict.Code, mend func() string) {
	k.T.Helper()
	k.DeniedModel(text, code)
	mended := mend()
	k.Restart()
	k.AllowedModel(mended)
}
