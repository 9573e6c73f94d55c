package manifest_test

import (
	"maps"
	"slices"
	"strings"
	"testing"

	"github.com/apexlogic/apex/internal/manifest"
	"github.com/apexlogic/apex/verdict"
)

const digestA = "sha256:" + hexA

func TestWhatCannotBeJudgedIsReported(t *testing.T) {
	inference := func(model string) string {
		return "apiVersion: serving.kserve.io/v1beta1\nkind: InferenceService\nspec: {predictor: {model: " + model + "}}\n"
	}
	unknown := func(fields string) string { return "apiVersion: new.example/v1\nkind: New\nspec: " + fields + "\n" }
	for _, tt := range []struct {
		name, doc, text string
		code            verdict.Code
		twin            string
	}{
		{"a shell's placeholder", pod("  - image: ${IMAGE}\n"), "${IMAGE}", verdict.ReferenceUnresolved, pod("  - image: good/x\n")},
		{"a placeholder for the tag alone", pod("  - image: good/x:$TAG\n"), "good/x:$TAG", verdict.ReferenceUnresolved, pod("  - image: good/x:1\n")},
		{"a template's placeholder", pod("  - image: '{{ .Values.image }}'\n"), "{{ .Values.image }}", verdict.ReferenceUnresolved, pod("  - image: good/x\n")},
		{"a Tekton parameter", "apiVersion: tekton.dev/v1\nkind: Task\nspec: {steps: [{image: $(params.image)}]}", "$(params.image)", verdict.ReferenceUnresolved, "apiVersion: tekton.dev/v1\nkind: Task\nspec: {steps: [{image: good/x}]}"},
		{"an Argo parameter", "apiVersion: argoproj.io/v1alpha1\nkind: Workflow\nspec: {templates: [{container: {image: '{{inputs.parameters.i}}'}}]}", "{{inputs.parameters.i}}", verdict.ReferenceUnresolved, "apiVersion: argoproj.io/v1alpha1\nkind: Workflow\nspec: {templates: [{container: {image: good/x}}]}"},
		{"an empty image", pod("  - image: ''\n"), "", verdict.ReferenceUnresolved, pod("  - image: good/x\n")},
		{"an image that is null", pod("  - image: null\n"), "", verdict.ReferenceUnresolved, pod("  - image: 'null'\n")},
		{"an image that is a tilde", pod("  - image: ~\n"), "", verdict.ReferenceUnresolved, pod("  - image: good/x\n")},
		{"a container without an image", pod("  - name: x\n"), "", verdict.ReferenceUnresolved, pod("  - {name: x, image: good/x}\n")},
		{"an empty volume image", pod("  volumes: [{name: v, image: {reference: ''}}]\n"), "", verdict.ReferenceUnresolved, pod("  volumes: [{name: v, image: {reference: good/x}}]\n")},
		{"a tool's own tag", pod("  - image: !Sub good/x\n"), "good/x", verdict.ReferenceUnresolved, pod("  - image: good/x\n")},
		{"upper case in the repository", pod("  - image: Bad/x\n"), "Bad/x", verdict.ReferenceInvalid, pod("  - image: good/x\n")},
		{"a line break at the end of a block", pod("  - image: |\n      good/x\n"), "good/x\n", verdict.ReferenceInvalid, pod("  - image: |-\n      good/x\n")},
		{"a zero-width space", pod("  - image: \"good/\\u200bx\"\n"), "good/\u200bx", verdict.ReferenceInvalid, pod("  - image: \"good/x\"\n")},
		{"a Cyrillic letter", pod("  - image: ghcr.iо/good/x\n"), "ghcr.iо/good/x", verdict.ReferenceInvalid, pod("  - image: ghcr.io/good/x\n")},
		{"an encoded slash", pod("  - image: ghcr.io/good%2fx\n"), "ghcr.io/good%2fx", verdict.ReferenceInvalid, pod("  - image: ghcr.io/good/x\n")},
		{"a scheme before an image", pod("  - image: docker://good/x\n"), "docker://good/x", verdict.ReferenceInvalid, pod("  - image: good/x\n")},
		{"a Crossplane package without its registry", "apiVersion: pkg.crossplane.io/v1\nkind: Provider\nspec: {package: a/good:v1}", "a/good:v1", verdict.ReferenceUnresolved, "apiVersion: pkg.crossplane.io/v1\nkind: Provider\nspec: {package: xpkg.example.io/a/good:v1}"},
		{"a KubeVirt registry that is no registry", "apiVersion: cdi.kubevirt.io/v1beta1\nkind: DataVolume\nspec: {source: {registry: {url: 'oci-archive:///x'}}}", "oci-archive:///x", verdict.ReferenceUnresolved, "apiVersion: cdi.kubevirt.io/v1beta1\nkind: DataVolume\nspec: {source: {registry: {url: 'docker://good/x'}}}"},
		{"a model's placeholder", inference("{storageUri: 's3://${BUCKET}/m'}"), "s3://${BUCKET}/m", verdict.ReferenceUnresolved, inference("{storageUri: 's3://good/m'}")},
		{"an empty model", inference("{storageUri: ''}"), "", verdict.ReferenceUnresolved, inference("{storageUri: 's3://good/m'}")},
		{"a model in a bucket that a Secret names", inference("{storage: {key: k, path: m/x}}"), "m/x", verdict.ReferenceUnresolved, inference("{storage: {key: k, path: m/x, parameters: {type: s3, bucket: good}}}")},
		{"a model in an OCI image that is none", inference("{storageUri: 'oci://ghcr.io/Bad/x'}"), "oci://ghcr.io/Bad/x", verdict.ReferenceInvalid, inference("{storageUri: 'oci://ghcr.io/good/x'}")},
		{"a model's URI with a space", inference("{storageUri: 's3://good/m '}"), "s3://good/m ", verdict.ReferenceInvalid, inference("{storageUri: 's3://good/m'}")},
		{"a model's URI that climbs", inference("{storageUri: 's3://good/../bad'}"), "s3://good/../bad", verdict.ReferenceInvalid, inference("{storageUri: 's3://good/good'}")},
		{"a model variable that another object holds", pod("    env: [{name: HF_MODEL_ID, valueFrom: {configMapKeyRef: {name: x, key: y}}}]\n"), "HF_MODEL_ID", verdict.ReferenceUnresolved, pod("    env: [{name: HF_MODEL_ID, value: good/m}]\n")},
		{"a model option whose variable is unknown", pod("    args: [--model, $(MODEL)]\n"), "$(MODEL)", verdict.ReferenceUnresolved, pod("    env: [{name: MODEL, value: good/m}]\n    args: [--model, $(MODEL)]\n")},
		{"a workflow's object that depends on parameters", "apiVersion: argoproj.io/v1alpha1\nkind: Workflow\nspec: {templates: [{resource: {manifest: \"kind: Pod\\nspec: {{x}}\"}}]}", "", verdict.ReferenceUnresolved, "apiVersion: argoproj.io/v1alpha1\nkind: Workflow\nspec: {templates: [{resource: {manifest: \"kind: Pod\\nspec: {}\"}}]}"},
		{"an image of an unknown kind in bad spelling", unknown("{image: Bad/x}"), "Bad/x", verdict.ReferenceInvalid, unknown("{image: good/x}")},
		{"an image of an unknown kind with a placeholder", unknown("{image: 'good/${X}'}"), "good/${X}", verdict.ReferenceUnresolved, unknown("{image: 'good/x'}")},
		{"an image in parts with an empty tag", unknown("{image: {repository: good/x, tag: ''}}"), "good/x", verdict.ReferenceUnresolved, unknown("{image: {repository: good/x, tag: '1'}}")},
		{"an image in parts in bad spelling", unknown("{image: {repository: Bad/x}}"), "Bad/x", verdict.ReferenceInvalid, unknown("{image: {repository: good/x}}")},
	} {
		t.Run(tt.name, func(t *testing.T) {
			r := manifest.Extract("f.yaml", []byte(tt.doc), manifest.Limits{})
			if r.Rejected || len(r.Unresolved) != 1 {
				t.Fatalf("unresolved are %v, problems %v", r.Unresolved, r.Problems)
			}
			u := r.Unresolved[0]
			if u.Text != tt.text || u.Code != tt.code || u.Why == "" || u.Where.Line == 0 || u.Where.Pointer == "" {
				t.Errorf("unresolved is %+v", u)
			}
			twin := manifest.Extract("f.yaml", []byte(tt.twin), manifest.Limits{})
			if twin.Rejected || len(twin.Unresolved) > 0 {
				t.Errorf("the mended twin has %v, %v", twin.Unresolved, twin.Problems)
			}
			if strings.Contains(tt.twin, "good/x") && len(twin.Refs) == 0 {
				t.Error("the mended twin names nothing")
			}
		})
	}
}

// Each harmless text stands beside a twin that is one character or word away
// and is reported.
func TestWhatOnlyResemblesAReferenceIsNotReported(t *testing.T) {
	unknown := func(fields string) string { return "apiVersion: new.example/v1\nkind: New\nspec: " + fields + "\n" }
	for _, tt := range []struct{ name, doc, twin string }{
		{"an apiVersion", unknown("{ref: {apiVersion: batch.example.io/v1, kind: Job, name: x}}"), unknown("{ref: {apiVersion: 'batch.example.io/v1:1', kind: Job, name: x}}")},
		{"a URL in an annotation", "apiVersion: v1\nkind: Service\nmetadata: {annotations: {docs: 'https://example.com/app:1'}}", "apiVersion: v1\nkind: Service\nmetadata: {annotations: {docs: 'example.com/app:1'}}"},
		{"a picture's address in an image field", unknown("{image: 'https://example.com/logo.png'}"), unknown("{image: 'example.com/logo'}")},
		{"the values of labels", "apiVersion: v1\nkind: Service\nmetadata: {labels: {image: nginx}}", "apiVersion: v1\nkind: Service\nmetadata: {annotations: {image: nginx}}"},
		{"a host and a port", unknown("{endpoint: 'db.example.com:5432'}"), unknown("{endpoint: 'db.example.com:5432/x:1'}")},
		{"a path without a tag", unknown("{group: example.com/team}"), unknown("{group: 'example.com/team:1'}")},
		{"a web address", unknown("{url: 'https://example.com/v1/models/m:predict'}"), unknown("{url: 'https://example.com/v1/models/m.safetensors'}")},
		{"a Git address", unknown("{url: 'git@example.com:team/app.git'}"), unknown("{url: 'example.com/team/app:git'}")},
		{"a module version", unknown("{mod: 'example.com/team/app@v1.2.3'}"), unknown("{mod: 'example.com/team/app@" + digestA + "'}")},
		{"a date", unknown("{at: '2026-01-02T03:04:05Z'}"), unknown("{at: 'a.io/2026:03'}")},
		{"a media type", unknown("{type: 'application/vnd.oci.image.index.v1+json'}"), unknown("{type: 'application.io/vnd.oci:1'}")},
		{"a taint in an argument", pod("    args: ['--register-with-taints=node.example.io/new:NoSchedule']\n"), pod("    args: ['--register-with=node.example.io/new:NoSchedule']\n")},
		{"a bucket in an argument that is about something else", pod("    args: ['--backup=s3://bucket/x']\n"), pod("    args: ['--model-dir=s3://bucket/x']\n")},
		{"a bucket in a variable that is about something else", pod("    env: [{name: BACKUP, value: 's3://bucket/x'}]\n"), pod("    env: [{name: BACKUP, value: 's3://bucket/x.safetensors'}]\n")},
		{"a name to serve a model under", pod("    env: [{name: MODEL_NAME, value: captioner}]\n"), pod("    env: [{name: MODEL_NAME, value: team/captioner}]\n")},
		{"a model on a volume", pod("    args: [--model, /mnt/models]\n"), pod("    args: [--model, mnt/models]\n")},
		{"prose in a ConfigMap", "apiVersion: v1\nkind: ConfigMap\ndata: {README: 'Run image: ghcr.io/team/app:1 or see https://example.com.'}", "apiVersion: v1\nkind: ConfigMap\ndata: {README: 'ghcr.io/team/app:1'}"},
		{"a word in a ConfigMap", "apiVersion: v1\nkind: ConfigMap\ndata: {image: none}", "apiVersion: v1\nkind: ConfigMap\ndata: {image: 'none:1'}"},
		{"capital keys in a ConfigMap", "apiVersion: v1\nkind: ConfigMap\ndata: {Image: none, image: none}", "apiVersion: v1\nkind: ConfigMap\ndata: {Image: 'a.io/b:1', image: none}"},
		{"a Secret's bytes", "apiVersion: v1\nkind: Secret\ndata: {x: 'a.io/b:1'}", "apiVersion: v1\nkind: Secret\nstringData: {x: 'a.io/b:1'}"},
		{"a CRD's descriptions", "apiVersion: apiextensions.k8s.io/v1\nkind: CustomResourceDefinition\nspec: {versions: [{schema: {properties: {image: {type: string, description: 'a.io/b:1'}}}}]}", "apiVersion: apiextensions.k8s.io/v1\nkind: CustomResourceDefinition\nspec: {versions: [{schema: {properties: {image: {type: string, default: 'a.io/b:1'}}}}]}"},
		{"a Ceph block device", pod("  volumes: [{rbd: {image: disk}}]\n"), pod("  volumes: [{csi: {volumeAttributes: {image: disk}}}]\n")},
		{"a policy's pattern", unknown("{image: 'ghcr.io/team/*'}"), unknown("{image: 'ghcr.io/team/x'}")},
		{"a policy of Apex", "apiVersion: security.apexlogic.com/v1alpha1\nkind: ImageSecurityPolicy\nspec: {rules: [{parameters: {allowedBaseImages: ['gcr.io/a/b:1']}}]}", "apiVersion: security.example/v1alpha1\nkind: ImageSecurityPolicy\nspec: {rules: [{parameters: {allowedBaseImages: ['gcr.io/a/b:1']}}]}"},
		{"a virtual machine's image in a pipeline", "pool: {vmImage: ubuntu-24.04}", "pool: {image: ubuntu-24.04}"},
		{"a pull policy", unknown("{imagePullPolicy: Always, imagePullSecrets: [{name: x}]}"), unknown("{image: always}")},
		{"a reference to a workload", unknown("{scaleTargetRef: {apiVersion: apps/v1, kind: Deployment, name: x}}"), unknown("{scaleTargetRef: {apiVersion: apps/v1, kind: Deployment, image: x}}")},
		{"an empty file", "# nothing\n---\n---\n", "image: x"},
		{"the status that the API server ignores", "apiVersion: v1\nkind: Pod\nstatus: {containerStatuses: [{image: 'a.io/b:1'}]}", "apiVersion: v1\nkind: Pod\nstate: {containerStatuses: [{image: 'a.io/b:1'}]}"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			base := len(manifest.Extract("f.yaml", []byte(pod("")), manifest.Limits{}).Refs)
			if !strings.HasPrefix(tt.doc, pod("")) {
				base = 0
			}
			r := manifest.Extract("f.yaml", []byte(tt.doc), manifest.Limits{})
			if r.Rejected || len(r.Refs) != base || len(r.Unresolved) > 0 {
				t.Errorf("reported %s, problems %v", r.Line(), r.Problems)
			}
			twin := manifest.Extract("f.yaml", []byte(tt.twin), manifest.Limits{})
			if twin.Rejected || len(twin.Refs) != base+1 {
				t.Errorf("the twin is not reported: %s, problems %v", twin.Line(), twin.Problems)
			}
		})
	}
}

func TestModelsInCommandsAndVariables(t *testing.T) {
	for _, tt := range []struct {
		name, container string
		want            []string
		revision        string
	}{
		{"an option and its value", "args: [--model, org/m]", []string{"org/m"}, ""},
		{"an option with an equals sign", "args: ['--model=org/m', '--revision=abc']", []string{"org/m"}, "abc"},
		{"an option split between command and args", "command: [server, --model]\n    args: [org/m, --revision, abc]", []string{"org/m"}, "abc"},
		{"underscores", "args: [--model_id, org/m]", []string{"org/m"}, ""},
		{"vllm serve", "command: [vllm, serve]\n    args: [org/m, --port, '80']", []string{"org/m"}, ""},
		{"a script in a shell", "command: [sh, -c]\n    args: ['exec vllm serve \"org/m\" --port 80']", []string{"org/m"}, ""},
		{"LoRA modules", "args: [--lora-modules, a=org/a, 'b=hf://org/b', '{\"name\": \"c\", \"path\": \"org/c\"}', --port, '80']", []string{"hf://org/b", "org/a", "org/c"}, ""},
		{"variables", "env: [{name: HF_MODEL_ID, value: org/a}, {name: STORAGE_URI, value: 's3://b/c'}, {name: MODEL_ID, value: gpt2}, {name: MODEL_NAME, value: org/d}]", []string{"gpt2", "org/a", "org/d", "s3://b/c"}, ""},
		{"a variable in an option", "env: [{name: M, value: org/m}]\n    args: ['--model=$(M)']", []string{"org/m"}, ""},
		{"a variable in a variable", "env: [{name: ORG, value: org}, {name: MODEL_ID, value: $(ORG)/m}]", []string{"org/m"}, ""},
		{"a model registry's URI in any variable", "env: [{name: X, value: 'hf://org/m'}]", []string{"hf://org/m"}, ""},
		{"a model registry's URI in any argument", "args: [run, 'oci://a.io/m:1']", []string{"oci://a.io/m:1"}, ""},
	} {
		t.Run(tt.name, func(t *testing.T) {
			r := manifest.Extract("f.yaml", []byte(pod("    "+tt.container+"\n")), manifest.Limits{})
			if got := r.Line().Models; r.Rejected || len(r.Unresolved) > 0 || !slices.Equal(got, tt.want) {
				t.Fatalf("models are %v, want %v; %v %v", got, tt.want, r.Unresolved, r.Problems)
			}
			for _, ref := range r.Refs {
				if ref.Kind() == verdict.KindModel && ref.Revision != tt.revision {
					t.Errorf("the revision of %s is %q, want %q", ref.Model, ref.Revision, tt.revision)
				}
			}
			if twin := manifest.Extract("f.yaml", []byte(pod("    name: c\n")), manifest.Limits{}); len(twin.Line().Models) > 0 {
				t.Errorf("the twin without it names %v", twin.Line().Models)
			}
		})
	}
}

func TestAliasesOfARegistryAndATagBesideADigestAreOneImage(t *testing.T) {
	for _, tt := range []struct {
		name, want string
		texts      []string
		twin       string // another image
	}{
		{"Docker Hub's names", "docker.io/library/nginx:1", []string{"nginx:1", "library/nginx:1", "docker.io/nginx:1", "index.docker.io/library/nginx:1",
			"registry-1.docker.io/library/nginx:1", "DOCKER.IO/nginx:1", "docker.io:443/nginx:1", "docker.io./nginx:1"}, "docker.io/other/nginx:1"},
		{"a registry's spellings", "ghcr.io/a/b:1", []string{"ghcr.io/a/b:1", "GHCR.io/a/b:1", "ghcr.io:443/a/b:1", "ghcr.io./a/b:1"}, "ghcr.io:444/a/b:1"},
		{"any tag beside a digest", "ghcr.io/a/b@" + digestA, []string{"ghcr.io/a/b@" + digestA, "ghcr.io/a/b:good@" + digestA, "ghcr.io/a/b:latest@" + digestA}, "ghcr.io/a/b:good"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			doc := "apiVersion: v1\nkind: Pod\nspec:\n  containers:\n"
			for _, text := range tt.texts {
				doc += "  - image: " + text + "\n"
			}
			r := manifest.Extract("f.yaml", []byte(doc), manifest.Limits{})
			if got := r.Line().Images; !slices.Equal(got, []string{tt.want}) || len(r.Refs) != len(tt.texts) {
				t.Errorf("images are %v, want only %s; %v", got, tt.want, r.Unresolved)
			}
			twin := manifest.Extract("f.yaml", []byte(doc+"  - image: "+tt.twin+"\n"), manifest.Limits{})
			if len(twin.Line().Images) != 2 {
				t.Errorf("%s is folded into %v", tt.twin, twin.Line().Images)
			}
		})
	}
}

func TestAReferenceKnowsWhereItStandsAndWhatSelectsIt(t *testing.T) {
	doc := `# a comment
apiVersion: apps/v1
kind: Deployment
metadata:
  name: captioner
  namespace: vision
  labels: {team: vision, app: outer}
spec:
  template:
    metadata:
      labels: {app: multimodal-inference}
    spec:
      containers:
        - name: server
          image: ghcr.io/team/captioner:1
---
apiVersion: v1
kind: Pod
metadata: {generateName: p-, labels: {app: own}}
spec: {containers: [{image: a}]}
`
	r := manifest.Extract("deploy/app.yaml", []byte(doc), manifest.Limits{})
	if len(r.Refs) != 2 {
		t.Fatalf("%s %v", r.Line(), r.Problems)
	}
	ref := r.Refs[0]
	want := verdict.Origin{File: "deploy/app.yaml", Line: 15, Column: 18, Object: "apps/v1/Deployment vision/captioner",
		Pointer: "/spec/template/spec/containers/0/image", Container: "server"}
	if ref.Where != want {
		t.Errorf("it stands at %+v, want %+v", ref.Where, want)
	}
	if ref.Namespace != "vision" || ref.ObjectLabels["app"] != "outer" || ref.TemplateLabels["app"] != "multimodal-inference" {
		t.Errorf("it has %q, %v, %v", ref.Namespace, ref.ObjectLabels, ref.TemplateLabels)
	}
	if got, want := ref.Labels(), (map[string]string{"team": "vision", "app": "multimodal-inference"}); !maps.Equal(got, want) {
		t.Errorf("selectors see %v, want %v", got, want)
	}
	if ref.Kind() != verdict.KindImage || ref.Reference.Canonical() != "ghcr.io/team/captioner:1" {
		t.Errorf("it is %v %v", ref.Kind(), ref.Reference)
	}
	bare := r.Refs[1]
	if bare.TemplateLabels["app"] != "own" || bare.Where.Object != "v1/Pod p-" || bare.Where.Line != 20 {
		t.Errorf("the bare pod's is %+v", bare)
	}
}

func TestJSONKnowsItsLinesToo(t *testing.T) {
	doc := "{\n  \"kind\": \"Pod\", \"apiVersion\": \"v1\",\n  \"spec\": {\"containers\": [ {\"image\" :\n   \"a\"}]}}\n{\"image\": \"b\"}"
	r := manifest.Extract("f.json", []byte(doc), manifest.Limits{})
	if len(r.Refs) != 2 {
		t.Fatalf("%s %v", r.Line(), r.Problems)
	}
	for i, want := range [][2]int{{4, 4}, {5, 11}} {
		if w := r.Refs[i].Where; w.Line != want[0] || w.Column != want[1] {
			t.Errorf("%s stands at %d:%d, want %v", r.Refs[i].Text, w.Line, w.Column, want)
		}
	}
}

func TestFlowStyleThatLooksLikeJSONIsRead(t *testing.T) {
	r := manifest.Extract("f.yaml", []byte("{apiVersion: v1, kind: Pod, spec: {containers: [{image: a}]}}\n---\nimage: b\n"), manifest.Limits{})
	if got := r.Line().Images; len(got) != 2 {
		t.Errorf("images are %v, %v", got, r.Problems)
	}
}

func TestAModelInAnOCIImageIsBoth(t *testing.T) {
	r := manifest.Extract("f.yaml", []byte("apiVersion: serving.kserve.io/v1beta1\nkind: InferenceService\nspec: {predictor: {model: {storageUri: 'oci://GHCR.io/a/m:1'}}}"), manifest.Limits{})
	if len(r.Refs) != 1 || r.Refs[0].Reference.Canonical() != "ghcr.io/a/m:1" || r.Refs[0].Model != "oci://GHCR.io/a/m:1" || r.Refs[0].Kind() != verdict.KindModel {
		t.Errorf("found %+v", r.Refs)
	}
	if line := r.Line(); len(line.Images) != 0 || len(line.Models) != 1 {
		t.Errorf("the line is %s", line)
	}
}

func TestCredentialsAreNotShown(t *testing.T) {
	doc := pod("  - image: user:hunter2@ghcr.io/a/b\n") + `---
apiVersion: serving.kserve.io/v1beta1
kind: InferenceService
spec: {predictor: {model: {storageUri: 'https://user:hunter2@host/m.bin'}}}
`
	r := manifest.Extract("f.yaml", []byte(doc), manifest.Limits{})
	if len(r.Unresolved) != 2 {
		t.Fatalf("unresolved are %v, %v", r.Unresolved, r.Problems)
	}
	for _, u := range r.Unresolved {
		if strings.Contains(u.Text+u.Why, "hunter2") {
			t.Errorf("the password is shown: %+v", u)
		}
	}
}

func TestTheLineIsSortedUniqueAndNeverNull(t *testing.T) {
	r := manifest.Extract("f.yaml", []byte("[{image: b}, {image: a}, {image: b}]"), manifest.Limits{})
	want := `{"file":"f.yaml","images":["docker.io/library/a:latest","docker.io/library/b:latest"],"models":[],"unresolved":[],"rejected":false}`
	if got := r.Line().String(); got != want {
		t.Errorf("the line is %s", got)
	}
	bad := manifest.Extract("f.yaml", []byte("image: b\n\ta"), manifest.Limits{})
	if got := bad.Line().String(); got != `{"file":"f.yaml","images":[],"models":[],"unresolved":[],"rejected":true}` {
		t.Errorf("the rejected line is %s", got)
	}
}
