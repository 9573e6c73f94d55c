package cluster

import (
	"encoding/json"
	"fmt"
	"io/fs"
	"maps"
	"slices"
	"strings"
	"testing"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/yaml"

	"github.com/apexlogic/apex/api/v1alpha1"
	"github.com/apexlogic/apex/examples/captioner"
	"github.com/apexlogic/apex/internal/fact"
	"github.com/apexlogic/apex/internal/kube"
	"github.com/apexlogic/apex/internal/kube/kubetest"
	"github.com/apexlogic/apex/internal/oci/build"
	"github.com/apexlogic/apex/internal/verify/verifytest"
)

// The names that the shipped policies use.
const (
	signingKey = "apexlogic-model-signing-key-v1"
	modelsKey  = "apexlogic-models-key-v1"
	buildKey   = "apexlogic-build-key-v1"
)

// seeded is a cluster with the policies that apex up ships, exactly as they are,
// and a registry with what their workloads name.
type seeded struct {
	*cluster
	kit *verifytest.Kit
}

func newSeeded(t *testing.T) *seeded {
	t.Helper()
	kit := verifytest.New(t)
	s := &seeded{newClusterWith(t, kit.Server, 1), kit}
	s.server.InstallCRDs(t, kubetest.KServe())
	s.document("TrustRoot", "captioner", v1alpha1.TrustRootSpec{Entries: []v1alpha1.TrustEntry{
		kit.Entry(signingKey), kit.Entry(buildKey), kit.Entry("scans"), kit.Entry(modelsKey, v1alpha1.UseModels),
		{Name: "Trivy", Scanner: &v1alpha1.ScannerEntry{SignedBy: []string{"scans"}}},
	}})
	lock := kit.Lock(verifytest.BaseName, "linux/amd64", verifytest.Base...).Spec
	lock.Images[0].ResolvedAt = metav1.Now()
	s.document("BaseImageLock", "bases", lock)
	policies, err := fs.Glob(captioner.Files, "policies/*.yaml")
	if err != nil || len(policies) < 3 {
		t.Fatal(policies, err)
	}
	for _, name := range policies {
		data, err := captioner.Files.ReadFile(name)
		if err != nil {
			t.Fatal(err)
		}
		s.apply(string(data))
	}
	s.pushAll()
	return s
}

func (s *seeded) document(kind, name string, spec any) {
	s.t.Helper()
	data, err := json.Marshal(map[string]any{"apiVersion": v1alpha1.GroupVersion.String(), "kind": kind, "metadata": metav1.ObjectMeta{Name: name}, "spec": spec})
	if err != nil {
		s.t.Fatal(err)
	}
	s.apply(string(data))
}

// pushAll pushes what the workloads name: what is right, and what each attacker
// has got wrong.
func (s *seeded) pushAll() {
	scan := func(p verifytest.Pushed, age time.Duration, severities ...string) {
		s.kit.Attest("scans", p, "vuln", verifytest.Scan(p.Digest, time.Now().Add(-age), severities...))
	}
	push := func(name, key string, age time.Duration, severities ...string) verifytest.Pushed {
		p := s.kit.Push("vision/"+name, verifytest.App(name))
		if key != "" {
			s.kit.Sign(key, p)
		}
		scan(p, age, severities...)
		return p
	}
	push("captioner", signingKey, time.Hour)
	push("captioner-unsigned", "", time.Hour)
	push("captioner-stranger", "stranger", time.Hour)
	push("captioner-vulnerable", signingKey, time.Hour, "CRITICAL")
	push("captioner-stale", signingKey, 48*time.Hour)
	forged := s.kit.Push("vision/captioner-forged-base", build.Image{Platform: "linux/amd64", Created: verifytest.Now, Layers: []build.Layer{{"etc/os-release": "ID=alpine\n"}}})
	s.kit.Sign(signingKey, forged)
	scan(forged, time.Hour)
	copied := s.kit.Push("mirror/captioner", verifytest.App("captioner"))
	s.kit.SignAs(signingKey, copied, s.kit.Server.Host+"/vision/captioner") // the signature of the image that it is a copy of
	scan(copied, time.Hour)
	multi := s.kit.PushIndex("vision/captioner-multi", verifytest.App("captioner-multi"), build.Image{Platform: "linux/arm64", Created: verifytest.Now, Layers: []build.Layer{{"etc/os-release": "ID=alpine\n"}}})
	s.kit.Sign(signingKey, multi)
	for i := range multi.Platforms {
		scan(multi.Of(i), time.Hour)
	}

	model := func(name, key string, change ...func(*fact.ModelScan)) {
		m := s.kit.PushModel("vision/"+name, verifytest.Weights, "Apache-2.0")
		now := func(f *fact.ModelScan) { f.Finished = time.Now().Add(-time.Hour).UTC() }
		s.kit.AttachEvidence(m, map[string][]byte{
			"signature": s.kit.FilesBundle(key, m),
			"scan":      s.kit.ModelBundle(modelsKey, m, fact.PredicateModelScan, s.kit.CleanScan(m, append(change, now)...)),
		})
	}
	model("captioner-model", modelsKey)
	model("captioner-model-stranger", "stranger")
	model("captioner-model-poisoned", modelsKey, func(f *fact.ModelScan) { f.Verdict = "dangerous" })
}

// try writes the object and returns what the API server says.
func (s *seeded) try(text string) error {
	s.t.Helper()
	var body map[string]any
	if err := yaml.Unmarshal([]byte(strings.ReplaceAll(text, "${REGISTRY}", s.kit.Server.Host)), &body); err != nil {
		s.t.Fatal(err)
	}
	_, err := s.client.Apply(s.t.Context(), body, kube.ApplyOptions{Manager: "a-person"})
	return err
}

func TestTheSeedPolicyDeniesAndAllowsRealWorkloads(t *testing.T) {
	s := newSeeded(t)
	good := s.kit.Server.Host + "/vision/captioner:1.0"
	pod := func(image string) string {
		return fmt.Sprintf(`{"metadata":{"labels":{"app":"multimodal-inference"}},"spec":{"restartPolicy":"RESTART","containers":[{"name":"server","image":%q}]}}`, image)
	}
	kinds := map[string]func(image string) string{
		"Pod": func(i string) string {
			return fmt.Sprintf(`{"apiVersion":"v1","kind":"Pod","metadata":{"name":"p","namespace":"vision","labels":{"app":"multimodal-inference"}},"spec":{"containers":[{"name":"server","image":%q}]}}`, i)
		},
		"Deployment": func(i string) string {
			return `{"apiVersion":"apps/v1","kind":"Deployment","metadata":{"name":"d","namespace":"vision"},"spec":{"selector":{"matchLabels":{"app":"multimodal-inference"}},"template":` + strings.Replace(pod(i), "RESTART", "Always", 1) + `}}`
		},
		"Job": func(i string) string {
			return `{"apiVersion":"batch/v1","kind":"Job","metadata":{"name":"j","namespace":"vision"},"spec":{"template":` + strings.Replace(pod(i), "RESTART", "Never", 1) + `}}`
		},
		"CronJob": func(i string) string {
			return `{"apiVersion":"batch/v1","kind":"CronJob","metadata":{"name":"c","namespace":"vision"},"spec":{"schedule":"0 0 * * *","jobTemplate":{"spec":{"template":` + strings.Replace(pod(i), "RESTART", "Never", 1) + `}}}}`
		},
	}
	s.await("the seed policy is in force", func() bool {
		err := s.try(kinds["Pod"](s.kit.Server.Host + "/vision/captioner-unsigned:1.0"))
		return err != nil && strings.Contains(err.Error(), "RequireImageSignature")
	})
	rules := map[string]string{ // what each attacker's image breaks
		"vision/captioner-unsigned":    "RequireImageSignature",
		"vision/captioner-stranger":    "RequireImageSignature",
		"mirror/captioner":             "RequireImageSignature",
		"vision/captioner-vulnerable":  "VulnerabilityScanThreshold",
		"vision/captioner-stale":       "VulnerabilityScanThreshold",
		"vision/captioner-forged-base": "AllowOnlyApprovedBaseImages",
		"vision/captioner-multi":       "AllowOnlyApprovedBaseImages",
	}
	for _, kind := range slices.Sorted(maps.Keys(kinds)) {
		t.Run(kind, func(t *testing.T) {
			for image, rule := range rules {
				if err := s.try(kinds[kind](s.kit.Server.Host + "/" + image + ":1.0")); err == nil || !strings.Contains(err.Error(), rule) {
					t.Errorf("%s: %v, want a denial by %s", image, err, rule)
				}
			}
			if err := s.try(kinds[kind](good)); err != nil {
				t.Errorf("the twin: %v", err)
			}
		})
	}

	t.Run("the shipped workloads", func(t *testing.T) {
		s.server.InstallCRDs(t, kubetest.Knative(t)...)
		files, err := fs.Glob(captioner.Files, "workloads/*.yaml")
		if err != nil {
			t.Fatal(err)
		}
		allowed, denied := 0, 0
		for _, file := range files {
			data, err := captioner.Files.ReadFile(file)
			if err != nil {
				t.Fatal(err)
			}
			name := strings.TrimSuffix(strings.TrimPrefix(file, "workloads/"), ".yaml")
			rule := map[string]string{"captioner-copied": "RequireImageSignature", "captioner-model-stranger": "RequireModelSignature", "captioner-model-poisoned": "ModelScanThreshold"}[name]
			if rule == "" {
				rule = rules["vision/"+name]
			}
			err = s.try(string(data))
			switch {
			case rule == "" && err != nil:
				t.Errorf("%s is denied: %v", name, err)
			case rule == "":
				allowed++
			case err == nil || !strings.Contains(err.Error(), rule):
				t.Errorf("%s: %v, want a denial by %s", name, err, rule)
			default:
				denied++
			}
		}
		if allowed != 2 || denied != 9 {
			t.Errorf("%d are allowed and %d denied", allowed, denied)
		}
	})
}
