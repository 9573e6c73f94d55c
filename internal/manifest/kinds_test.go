package manifest_test

import (
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/apexlogic/apex/internal/manifest"
)

// The images of this corpus have no host: only the table or a pod's shape finds
// them, not their looks.
var kindCorpus = []struct {
	name, doc string
	want      []string // "class text pointer"
}{
	{"a Pod's containers, init containers and native sidecars, ephemeral containers and image volumes", `
apiVersion: v1
kind: Pod
spec:
  containers: [{name: c, image: bad/c}]
  initContainers: [{name: i, image: bad/i}, {name: s, image: bad/s, restartPolicy: Always}]
  ephemeralContainers: [{name: e, image: bad/e}]
  volumes: [{name: v, image: {reference: bad/v, pullPolicy: Always}}]
`, []string{"container bad/c /spec/containers/0/image", "initContainer bad/i /spec/initContainers/0/image",
		"initContainer bad/s /spec/initContainers/1/image", "ephemeralContainer bad/e /spec/ephemeralContainers/0/image",
		"imageVolume bad/v /spec/volumes/0/image/reference"}},
	{"a Deployment", workload("apps/v1", "Deployment", "spec.template.spec"), []string{"container bad/x /spec/template/spec/containers/0/image"}},
	{"a Deployment of an old group", workload("extensions/v1beta1", "Deployment", "spec.template.spec"), []string{"container bad/x /spec/template/spec/containers/0/image"}},
	{"a StatefulSet", workload("apps/v1", "StatefulSet", "spec.template.spec"), []string{"container bad/x /spec/template/spec/containers/0/image"}},
	{"a DaemonSet", workload("apps/v1", "DaemonSet", "spec.template.spec"), []string{"container bad/x /spec/template/spec/containers/0/image"}},
	{"a ReplicaSet", workload("apps/v1", "ReplicaSet", "spec.template.spec"), []string{"container bad/x /spec/template/spec/containers/0/image"}},
	{"a ReplicationController", workload("v1", "ReplicationController", "spec.template.spec"), []string{"container bad/x /spec/template/spec/containers/0/image"}},
	{"a PodTemplate", workload("v1", "PodTemplate", "template.spec"), []string{"container bad/x /template/spec/containers/0/image"}},
	{"a Job", workload("batch/v1", "Job", "spec.template.spec"), []string{"container bad/x /spec/template/spec/containers/0/image"}},
	{"a CronJob", workload("batch/v1", "CronJob", "spec.jobTemplate.spec.template.spec"), []string{"container bad/x /spec/jobTemplate/spec/template/spec/containers/0/image"}},
	{"a DeploymentConfig", workload("apps.openshift.io/v1", "DeploymentConfig", "spec.template.spec"), []string{"container bad/x /spec/template/spec/containers/0/image"}},
	{"a Knative Service", workload("serving.knative.dev/v1", "Service", "spec.template.spec"), []string{"container bad/x /spec/template/spec/containers/0/image"}},
	{"a Knative Configuration", workload("serving.knative.dev/v1", "Configuration", "spec.template.spec"), []string{"container bad/x /spec/template/spec/containers/0/image"}},
	{"a Knative Revision", workload("serving.knative.dev/v1", "Revision", "spec"), []string{"container bad/x /spec/containers/0/image"}},
	{"a KServe InferenceService with every place", `
apiVersion: serving.kserve.io/v1beta1
kind: InferenceService
spec:
  predictor:
    initContainers: [{image: bad/i}]
    containers: [{image: bad/c, env: [{name: STORAGE_URI, value: "s3://bad/env"}]}]
    model: {modelFormat: {name: sklearn}, image: bad/m, storageUri: "gs://bad/m"}
    workerSpec: {containers: [{image: bad/w}]}
    storageUris: [{uri: "hf://bad/uris", mountPath: /m}]
  transformer: {containers: [{image: bad/t}]}
  explainer: {art: {image: bad/a, storageUri: "pvc://bad/a"}}
`, []string{"initContainer bad/i /spec/predictor/initContainers/0/image", "model s3://bad/env /spec/predictor/containers/0/env/0/value",
		"container bad/c /spec/predictor/containers/0/image", "container bad/m /spec/predictor/model/image",
		"model gs://bad/m /spec/predictor/model/storageUri", "container bad/w /spec/predictor/workerSpec/containers/0/image",
		"model hf://bad/uris /spec/predictor/storageUris/0/uri", "container bad/t /spec/transformer/containers/0/image",
		"container bad/a /spec/explainer/art/image", "model pvc://bad/a /spec/explainer/art/storageUri"}},
	{"a KServe model in an OCI image", `
apiVersion: serving.kserve.io/v1beta1
kind: InferenceService
spec: {predictor: {model: {storageUri: "oci://bad.example/m:1"}}}
`, []string{"model oci://bad.example/m:1 /spec/predictor/model/storageUri"}},
	{"a KServe model whose bucket stands in the parameters", `
apiVersion: serving.kserve.io/v1beta1
kind: InferenceService
spec: {predictor: {model: {storage: {key: k, path: m/bad, parameters: {type: s3, bucket: b}}}}}
`, []string{"model s3://b/m/bad /spec/predictor/model/storage"}},
	{"a KServe LLMInferenceService", `
apiVersion: serving.kserve.io/v1alpha1
kind: LLMInferenceService
spec:
  model: {uri: "hf://bad/m", lora: {adapters: [{name: a, uri: "hf://bad/l"}]}}
  template: {containers: [{name: main, image: bad/t}]}
  worker: {containers: [{image: bad/w}]}
  prefill: {template: {containers: [{image: bad/pt}]}, worker: {containers: [{image: bad/pw}]}}
  router: {scheduler: {template: {containers: [{image: bad/s}]}}}
`, []string{"model hf://bad/m /spec/model/uri", "model hf://bad/l /spec/model/lora/adapters/0/uri", "container bad/t /spec/template/containers/0/image",
		"container bad/w /spec/worker/containers/0/image", "container bad/pt /spec/prefill/template/containers/0/image",
		"container bad/pw /spec/prefill/worker/containers/0/image", "container bad/s /spec/router/scheduler/template/containers/0/image"}},
	{"a KServe LLMInferenceServiceConfig", "apiVersion: serving.kserve.io/v1alpha2\nkind: LLMInferenceServiceConfig\nspec: {template: {containers: [{image: bad/x}]}}",
		[]string{"container bad/x /spec/template/containers/0/image"}},
	{"a KServe ServingRuntime", "apiVersion: serving.kserve.io/v1alpha1\nkind: ServingRuntime\nspec: {containers: [{image: bad/x}], workerSpec: {containers: [{image: bad/w}]}}",
		[]string{"container bad/x /spec/containers/0/image", "container bad/w /spec/workerSpec/containers/0/image"}},
	{"a KServe ClusterServingRuntime", workload("serving.kserve.io/v1alpha1", "ClusterServingRuntime", "spec"), []string{"container bad/x /spec/containers/0/image"}},
	{"a KServe TrainedModel", "apiVersion: serving.kserve.io/v1alpha1\nkind: TrainedModel\nspec: {model: {storageUri: 'gs://bad/x'}}",
		[]string{"model gs://bad/x /spec/model/storageUri"}},
	{"a KServe LocalModelCache", "apiVersion: serving.kserve.io/v1alpha1\nkind: LocalModelCache\nspec: {sourceModelUri: 'hf://bad/x'}",
		[]string{"model hf://bad/x /spec/sourceModelUri"}},
	{"a KServe LocalModelNamespaceCache", "apiVersion: serving.kserve.io/v1alpha1\nkind: LocalModelNamespaceCache\nspec: {sourceModelUri: 'hf://bad/x'}",
		[]string{"model hf://bad/x /spec/sourceModelUri"}},
	{"a KServe InferenceGraph's services are no models, its containers are found", "apiVersion: serving.kserve.io/v1alpha1\nkind: InferenceGraph\nspec: {nodes: {root: {steps: [{serviceUrl: 'http://x/m.bin'}]}}, x: {containers: [{image: bad/x}]}}",
		[]string{"container bad/x /spec/x/containers/0/image"}},
	{"an Argo Workflow", argoWorkflow("Workflow", "spec"), argoWant("/spec")},
	{"an Argo WorkflowTemplate", argoWorkflow("WorkflowTemplate", "spec"), argoWant("/spec")},
	{"an Argo ClusterWorkflowTemplate", argoWorkflow("ClusterWorkflowTemplate", "spec"), argoWant("/spec")},
	{"an Argo CronWorkflow", argoWorkflow("CronWorkflow", "spec.workflowSpec"), argoWant("/spec/workflowSpec")},
	{"an Argo Workflow's stored templates, which its controller runs", "apiVersion: argoproj.io/v1alpha1\nkind: Workflow\nstatus: {storedTemplates: {t: {container: {image: bad/x}}}}",
		[]string{"container bad/x /status/storedTemplates/t/container/image"}},
	{"an Argo Rollout", workload("argoproj.io/v1alpha1", "Rollout", "spec.template.spec"), []string{"container bad/x /spec/template/spec/containers/0/image"}},
	{"an Argo AnalysisTemplate", "apiVersion: argoproj.io/v1alpha1\nkind: AnalysisTemplate\nspec: {metrics: [{provider: {job: {spec: {template: {spec: {containers: [{image: bad/x}]}}}}}}]}",
		[]string{"container bad/x /spec/metrics/0/provider/job/spec/template/spec/containers/0/image"}},
	{"a Tekton Task", "apiVersion: tekton.dev/v1\nkind: Task\nspec: {stepTemplate: {image: bad/t}, steps: [{image: bad/s}, {ref: {name: x}}], sidecars: [{image: bad/c}]}",
		[]string{"container bad/t /spec/stepTemplate/image", "container bad/s /spec/steps/0/image", "container bad/c /spec/sidecars/0/image"}},
	{"a Tekton StepAction", "apiVersion: tekton.dev/v1\nkind: StepAction\nspec: {image: bad/x}", []string{"container bad/x /spec/image"}},
	{"a Tekton TaskRun", "apiVersion: tekton.dev/v1\nkind: TaskRun\nspec: {taskSpec: {steps: [{image: bad/s}]}}", []string{"container bad/s /spec/taskSpec/steps/0/image"}},
	{"a Tekton Pipeline", "apiVersion: tekton.dev/v1\nkind: Pipeline\nspec: {tasks: [{taskSpec: {steps: [{image: bad/s}]}}], finally: [{taskSpec: {steps: [{image: bad/f}]}}]}",
		[]string{"container bad/s /spec/tasks/0/taskSpec/steps/0/image", "container bad/f /spec/finally/0/taskSpec/steps/0/image"}},
	{"a Tekton PipelineRun with a pipeline in a pipeline", "apiVersion: tekton.dev/v1\nkind: PipelineRun\nspec: {pipelineSpec: {tasks: [{pipelineSpec: {tasks: [{taskSpec: {steps: [{image: bad/s}]}}]}}]}}",
		[]string{"container bad/s /spec/pipelineSpec/tasks/0/pipelineSpec/tasks/0/taskSpec/steps/0/image"}},
	{"a RayCluster", "apiVersion: ray.io/v1\nkind: RayCluster\nspec: " + rayClusterSpec, rayWant("/spec")},
	{"a RayJob", "apiVersion: ray.io/v1\nkind: RayJob\nspec:\n  submitterPodTemplate: {spec: {containers: [{image: bad/j}]}}\n  runtimeEnvYAML: |\n    working_dir: https://bad.example/j.zip\n  rayClusterSpec: " + rayClusterSpec,
		append([]string{"container bad/j /spec/submitterPodTemplate/spec/containers/0/image", "model https://bad.example/j.zip /spec/runtimeEnvYAML"}, rayWant("/spec/rayClusterSpec")...)},
	{"a RayService with its serve configuration in text", "apiVersion: ray.io/v1\nkind: RayService\nspec:\n  serveConfigV2: |\n    applications:\n    - name: a\n      runtime_env: {working_dir: 'https://bad.example/a.zip', py_modules: ['s3://bad/p.zip', ./local], image_uri: bad/u}\n      deployments:\n      - ray_actor_options: {runtime_env: {container: {image: bad/r}}}\n  rayClusterConfig: " + rayClusterSpec,
		append([]string{"model https://bad.example/a.zip /spec/serveConfigV2", "model s3://bad/p.zip /spec/serveConfigV2", "container bad/u /spec/serveConfigV2",
			"container bad/r /spec/serveConfigV2"}, rayWant("/spec/rayClusterConfig")...)},
	{"a TFJob", kubeflow("TFJob", "tfReplicaSpecs"), []string{"container bad/x /spec/tfReplicaSpecs/Worker/template/spec/containers/0/image"}},
	{"a PyTorchJob", kubeflow("PyTorchJob", "pytorchReplicaSpecs"), []string{"container bad/x /spec/pytorchReplicaSpecs/Worker/template/spec/containers/0/image"}},
	{"an MPIJob", kubeflow("MPIJob", "mpiReplicaSpecs"), []string{"container bad/x /spec/mpiReplicaSpecs/Worker/template/spec/containers/0/image"}},
	{"an XGBoostJob", kubeflow("XGBoostJob", "xgbReplicaSpecs"), []string{"container bad/x /spec/xgbReplicaSpecs/Worker/template/spec/containers/0/image"}},
	{"a PaddleJob", kubeflow("PaddleJob", "paddleReplicaSpecs"), []string{"container bad/x /spec/paddleReplicaSpecs/Worker/template/spec/containers/0/image"}},
	{"a TrainJob", "apiVersion: trainer.kubeflow.org/v1alpha1\nkind: TrainJob\nspec: {trainer: {image: bad/x}, initializer: {model: {storageUri: 'hf://bad/m'}, dataset: {storageUri: 'hf://bad/d'}}}",
		[]string{"container bad/x /spec/trainer/image", "model hf://bad/m /spec/initializer/model/storageUri", "model hf://bad/d /spec/initializer/dataset/storageUri"}},
	{"a ClusterTrainingRuntime", "apiVersion: trainer.kubeflow.org/v1alpha1\nkind: ClusterTrainingRuntime\nspec: {template: {spec: {replicatedJobs: [{template: {spec: {template: {spec: {containers: [{image: bad/x}]}}}}}]}}}",
		[]string{"container bad/x /spec/template/spec/replicatedJobs/0/template/spec/template/spec/containers/0/image"}},
	{"a JobSet", "apiVersion: jobset.x-k8s.io/v1alpha2\nkind: JobSet\nspec: {replicatedJobs: [{template: {spec: {template: {spec: {containers: [{image: bad/x}]}}}}}]}",
		[]string{"container bad/x /spec/replicatedJobs/0/template/spec/template/spec/containers/0/image"}},
	{"a LeaderWorkerSet", "apiVersion: leaderworkerset.x-k8s.io/v1\nkind: LeaderWorkerSet\nspec: {leaderWorkerTemplate: {leaderTemplate: {spec: {containers: [{image: bad/l}]}}, workerTemplate: {spec: {containers: [{image: bad/w}]}}}}",
		[]string{"container bad/l /spec/leaderWorkerTemplate/leaderTemplate/spec/containers/0/image", "container bad/w /spec/leaderWorkerTemplate/workerTemplate/spec/containers/0/image"}},
	{"a SparkApplication", "apiVersion: sparkoperator.k8s.io/v1beta2\nkind: SparkApplication\nspec: {image: bad/s, driver: {image: bad/d, initContainers: [{image: bad/i}]}, executor: {image: bad/e, sidecars: [{image: bad/c}]}}",
		[]string{"container bad/s /spec/image", "container bad/d /spec/driver/image", "initContainer bad/i /spec/driver/initContainers/0/image",
			"container bad/e /spec/executor/image", "container bad/c /spec/executor/sidecars/0/image"}},
	{"a KubeVirt VirtualMachine", "apiVersion: kubevirt.io/v1\nkind: VirtualMachine\nspec: {dataVolumeTemplates: [{spec: {source: {registry: {url: 'docker://bad/d'}}}}], template: {spec: {volumes: [{containerDisk: {image: bad/x}}]}}}",
		[]string{"container docker://bad/d /spec/dataVolumeTemplates/0/spec/source/registry/url", "container bad/x /spec/template/spec/volumes/0/containerDisk/image"}},
	{"a Crossplane Provider", "apiVersion: pkg.crossplane.io/v1\nkind: Provider\nspec: {package: bad.example/p:v1}", []string{"container bad.example/p:v1 /spec/package"}},
	{"a Crossplane Configuration", "apiVersion: pkg.crossplane.io/v1\nkind: Configuration\nspec: {package: bad.example/p}", []string{"container bad.example/p /spec/package"}},
	{"a Crossplane Function", "apiVersion: pkg.crossplane.io/v1beta1\nkind: Function\nspec: {package: bad.example/p}", []string{"container bad.example/p /spec/package"}},
	{"a KEDA ScaledJob", workload("keda.sh/v1alpha1", "ScaledJob", "spec.jobTargetRef.template.spec"), []string{"container bad/x /spec/jobTargetRef/template/spec/containers/0/image"}},
	{"an OpenFaaS Function", "apiVersion: openfaas.com/v1\nkind: Function\nspec: {name: f, image: bad/x}", []string{"container bad/x /spec/image"}},
	{"a Nuclio function", "apiVersion: nuclio.io/v1beta1\nkind: NuclioFunction\nspec: {image: bad/x, build: {baseImage: bad/b}}", []string{"container bad/x /spec/image", "container bad/b /spec/build/baseImage"}},
	{"a Fission Environment", "apiVersion: fission.io/v1\nkind: Environment\nspec: {runtime: {image: bad/r}, builder: {image: bad/b}}", []string{"container bad/r /spec/runtime/image", "container bad/b /spec/builder/image"}},
	{"a Fission Package", "apiVersion: fission.io/v1\nkind: Package\nspec: {deployment: {url: 'https://bad.example/f.zip'}}", []string{"model https://bad.example/f.zip /spec/deployment/url"}},
	{"a v1 List", "apiVersion: v1\nkind: List\nitems:\n- {apiVersion: v1, kind: Pod, spec: {containers: [{image: bad/x}]}}", []string{"container bad/x /items/0/spec/containers/0/image"}},
	{"a typed list whose elements leave out their kind", "apiVersion: v1\nkind: PodList\nitems:\n- {spec: {containers: [{image: bad/x}]}}", []string{"container bad/x /items/0/spec/containers/0/image"}},
	{"a list in a list", "apiVersion: v1\nkind: List\nitems:\n- {apiVersion: v1, kind: List, items: [{apiVersion: openfaas.com/v1, kind: Function, spec: {image: bad/x}}]}", []string{"container bad/x /items/0/items/0/spec/image"}},
	{"an object inside of an object of an unknown kind", "apiVersion: work.example/v1\nkind: Work\nspec: {manifests: [{apiVersion: openfaas.com/v1, kind: Function, spec: {image: bad/x}}]}", []string{"container bad/x /spec/manifests/0/spec/image"}},
	{"a pod template deep in an unknown kind", "apiVersion: new.example/v1\nkind: New\nspec: {a: [[{b: {template: {metadata: {labels: {l: x}}, spec: {initContainers: [{image: bad/x}]}}}}]]}",
		[]string{"initContainer bad/x /spec/a/0/0/b/template/spec/initContainers/0/image"}},
	{"an image volume in an unknown kind", "apiVersion: new.example/v1\nkind: New\nspec: {pod: {volumes: [{image: {reference: bad/x}}]}}", []string{"imageVolume bad/x /spec/pod/volumes/0/image/reference"}},
	{"the body of a Pod in another kind", "apiVersion: v1\nkind: ConfigMap\nspec: {containers: [{image: bad/x}]}", []string{"container bad/x /spec/containers/0/image"}},
	{"a pod template in a known kind where it does not belong", "apiVersion: apps/v1\nkind: Deployment\nspec: {shadow: {spec: {containers: [{image: bad/x}]}}}", []string{"container bad/x /spec/shadow/spec/containers/0/image"}},
	{"an image field of an unknown kind", "apiVersion: new.example/v1\nkind: New\nspec: {image: bad/x, queueSidecarImage: bad/q}", []string{"unclassified bad/x /spec/image", "unclassified bad/q /spec/queueSidecarImage"}},
	{"an image in parts in an unknown kind", "apiVersion: new.example/v1\nkind: New\nspec: {image: {registry: ghcr.io, repository: bad/x, tag: 1.20}}", []string{"unclassified ghcr.io/bad/x:1.20 /spec/image"}},
	{"a Kustomization's images", "apiVersion: kustomize.config.k8s.io/v1beta1\nkind: Kustomization\nimages: [{name: app, newName: bad/x, newTag: v2}]", []string{"unclassified bad/x:v2 /images/0"}},
	{"text that looks like an image in an unknown field", "apiVersion: new.example/v1\nkind: New\nspec: {run: 'bad.example/x:1', list: ['bad.example:5000/y@sha256:" + hexA + "']}",
		[]string{"unclassified bad.example/x:1 /spec/run", "unclassified bad.example:5000/y@sha256:" + hexA + " /spec/list/0"}},
	{"text that looks like a model in an unknown field", "apiVersion: new.example/v1\nkind: New\nspec: {a: 'hf://bad/m', b: 's3://bad/m', c: 'https://bad.example/m.safetensors?x=1', d: 'pvc://bad/m'}",
		[]string{"unclassified hf://bad/m /spec/a", "unclassified s3://bad/m /spec/b", "unclassified https://bad.example/m.safetensors?x=1 /spec/c", "unclassified pvc://bad/m /spec/d"}},
	{"an annotation that makes a controller run an image", "apiVersion: v1\nkind: Pod\nmetadata: {annotations: {sidecar.example/proxyImage: bad/x:1, other: bad.example/y:1}}\nspec: {}",
		[]string{"unclassified bad/x:1 /metadata/annotations/sidecar.example~1proxyImage", "unclassified bad.example/y:1 /metadata/annotations/other"}},
	{"an image that a controller takes from its configuration", "apiVersion: v1\nkind: ConfigMap\ndata: {queue-sidecar-image: bad/x:1, plain: bad.example/y:1}",
		[]string{"unclassified bad/x:1 /data/queue-sidecar-image", "unclassified bad.example/y:1 /data/plain"}},
	{"images in arguments and variables", "apiVersion: v1\nkind: Pod\nspec: {containers: [{image: bad/x, args: ['--solver=bad.example/s:1', --reloader, 'bad.example/r:1'], env: [{name: RELATED, value: 'bad.example/e:1'}]}]}",
		[]string{"unclassified bad.example/e:1 /spec/containers/0/env/0/value", "unclassified bad.example/s:1 /spec/containers/0/args/0",
			"unclassified bad.example/r:1 /spec/containers/0/args/2", "container bad/x /spec/containers/0/image"}},
	{"a document that is no Kubernetes object", "services: {web: {image: bad/x}}", []string{"unclassified bad/x /services/web/image"}},
	{"a CloudFormation function", "Resources: {F: {Type: 'AWS::Serverless::Function', Properties: {PackageType: Image, ImageUri: 'bad.example/x:1'}}}", []string{"unclassified bad.example/x:1 /Resources/F/Properties/ImageUri"}},
	{"JSON", `{"apiVersion":"v1","kind":"Pod","spec":{"containers":[{"image":"bad\/x"}]}}`, []string{"container bad/x /spec/containers/0/image"}},
}

const hexA = "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa"

// The figure of docs/performance.md: how much of what the corpus marks is found,
// and how much besides.
func TestTheMarkedCorpusIsFoundWhole(t *testing.T) {
	marked, found, besides := 0, 0, 0
	for _, tt := range kindCorpus {
		left := slices.Clone(tt.want)
		for _, ref := range manifest.Extract("f.yaml", []byte(tt.doc), manifest.Limits{}).Refs {
			if i := slices.Index(left, fmt.Sprintf("%s %s %s", ref.Class, ref.Text, ref.Where.Pointer)); i >= 0 {
				left = slices.Delete(left, i, i+1)
			} else {
				besides++
			}
		}
		marked, found = marked+len(tt.want), found+len(tt.want)-len(left)
	}
	t.Logf("%d of %d marked references in %d manifests are found, and %d others", found, marked, len(kindCorpus), besides)
	if found < marked || besides > 0 || marked < 100 {
		t.Error("the corpus is not found whole")
	}
}

func TestEveryKindNamesItsImagesAndModels(t *testing.T) {
	for _, tt := range kindCorpus {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel() // Extract may be called concurrently
			r := manifest.Extract("f.yaml", []byte(tt.doc), manifest.Limits{})
			if r.Rejected || len(r.Unresolved) > 0 {
				t.Fatalf("rejected %v, unresolved %v", r.Problems, r.Unresolved)
			}
			var got []string
			for _, ref := range r.Refs {
				got = append(got, fmt.Sprintf("%s %s %s", ref.Class, ref.Text, ref.Where.Pointer))
			}
			want := slices.Clone(tt.want)
			slices.Sort(got)
			slices.Sort(want)
			if !slices.Equal(got, want) {
				t.Errorf("found\n\t%s\nwant\n\t%s", strings.Join(got, "\n\t"), strings.Join(want, "\n\t"))
			}
			// The twin names approved things in the same places.
			twin := manifest.Extract("f.yaml", []byte(strings.ReplaceAll(tt.doc, "bad", "good")), manifest.Limits{})
			if twin.Rejected || len(twin.Refs) != len(r.Refs) {
				t.Fatalf("the twin names %d, want %d; problems %v", len(twin.Refs), len(r.Refs), twin.Problems)
			}
			if line := twin.Line().String(); strings.Contains(line, "bad") {
				t.Errorf("the twin still names something bad: %s", line)
			}
		})
	}
}

// workload writes a kind whose pod spec is at path.
func workload(apiVersion, kind, path string) string {
	var b strings.Builder
	fmt.Fprintf(&b, "apiVersion: %s\nkind: %s\nmetadata: {name: n}\n", apiVersion, kind)
	indent := ""
	for step := range strings.SplitSeq(path, ".") {
		fmt.Fprintf(&b, "%s%s:\n", indent, step)
		indent += "  "
	}
	fmt.Fprintf(&b, "%scontainers: [{name: c, image: bad/x}]\n", indent)
	return b.String()
}

func kubeflow(kind, specs string) string {
	return fmt.Sprintf("apiVersion: kubeflow.org/v1\nkind: %s\nspec: {%s: {Worker: {template: {spec: {containers: [{image: bad/x}]}}}}}", kind, specs)
}

const rayClusterSpec = "{headGroupSpec: {template: {spec: {containers: [{image: bad/h}]}}}, workerGroupSpecs: [{template: {spec: {containers: [{image: bad/w}]}}}], autoscalerOptions: {image: bad/a}}\n"

func rayWant(at string) []string {
	return []string{"container bad/h " + at + "/headGroupSpec/template/spec/containers/0/image",
		"container bad/w " + at + "/workerGroupSpecs/0/template/spec/containers/0/image", "container bad/a " + at + "/autoscalerOptions/image"}
}

func argoWorkflow(kind, path string) string {
	first, rest, nested := strings.Cut(path, ".")
	spec := `{templates: [
  {container: {image: bad/c}}, {script: {image: bad/s, source: 'print(1)'}}, {containerSet: {containers: [{image: bad/cs}]}},
  {sidecars: [{image: bad/sc}], initContainers: [{image: bad/i}]}, {steps: [[{inline: {container: {image: bad/st}}}]]},
  {dag: {tasks: [{inline: {container: {image: bad/d}}}]}},
  {resource: {action: create, manifest: "apiVersion: batch/v1\nkind: Job\nspec: {template: {spec: {containers: [{image: bad/r}]}}}\n"}}]}`
	if nested {
		spec = "{" + rest + ": " + spec + "}"
	}
	return fmt.Sprintf("apiVersion: argoproj.io/v1alpha1\nkind: %s\n%s: %s\n", kind, first, spec)
}

func argoWant(at string) []string {
	at += "/templates/"
	return []string{"container bad/c " + at + "0/container/image", "container bad/s " + at + "1/script/image", "container bad/cs " + at + "2/containerSet/containers/0/image",
		"container bad/sc " + at + "3/sidecars/0/image", "initContainer bad/i " + at + "3/initContainers/0/image",
		"container bad/st " + at + "4/steps/0/0/inline/container/image", "container bad/d " + at + "5/dag/tasks/0/inline/container/image",
		"container bad/r " + at + "6/resource/manifest"}
}
