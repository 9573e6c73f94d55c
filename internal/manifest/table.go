package manifest

import (
	"strings"
	"sync"
)

// row says where the kinds of a group keep their images and models. A kind of
// which nothing special is known needs no row: its shape is enough to find what
// it names, only the class stays unclassified where no pod is recognised.
type row struct {
	group string
	kinds string // separated by spaces
	paths []at
}

// at puts a role at a path below the object. In a path "[]" is any element,
// "*" any field, "{a,b}" either.
type at struct {
	path string
	role role
}

// podTemplate, podSpec: the two most frequent rows.
func podTemplate(path string) []at { return []at{{path, rolePodTemplate}} }

const (
	// kservePods are an InferenceService's components; each is a pod spec and
	// holds at most one of the frameworks, which are containers.
	kservePods       = "spec.{predictor,transformer,explainer}"
	kserveFrameworks = "{model,sklearn,xgboost,tensorflow,pytorch,triton,onnx,huggingface,pmml,lightgbm,paddle,alibi,art,aix}"
	trainJobTemplate = "spec.template.spec.replicatedJobs[].template.spec.template"
)

func table() []row {
	return []row{
		{"", "Pod", podTemplate("")},
		{"", "PodTemplate", podTemplate("template")},
		{"", "ReplicationController", podTemplate("spec.template")},
		{"", "ConfigMap", []at{{"data", roleData}, {"binaryData", roleEncoded}}},
		{"", "Secret", []at{{"data", roleEncoded}, {"stringData", roleData}}},
		{"", "PersistentVolume", []at{{"spec.rbd", roleSkip}}},
		{"apps", "Deployment StatefulSet DaemonSet ReplicaSet", podTemplate("spec.template")},
		{"extensions", "Deployment DaemonSet ReplicaSet", podTemplate("spec.template")},
		{"batch", "Job", podTemplate("spec.template")},
		{"batch", "CronJob", podTemplate("spec.jobTemplate.spec.template")},
		{"apps.openshift.io", "DeploymentConfig", podTemplate("spec.template")},
		{"apiextensions.k8s.io", "CustomResourceDefinition", []at{{"spec", roleSchema}}},

		{"serving.knative.dev", "Service Configuration", podTemplate("spec.template")},
		{"serving.knative.dev", "Revision", podTemplate("")},
		{"sources.knative.dev", "ContainerSource", podTemplate("spec.template")},

		{"serving.kserve.io", "InferenceService", []at{
			{kservePods, rolePodSpec},
			{kservePods + ".workerSpec", rolePodSpec},
			{kservePods + ".storageUris[].uri", roleModel},
			{kservePods + "." + kserveFrameworks, roleContainer},
			{kservePods + "." + kserveFrameworks + ".storageUri", roleModel},
			{kservePods + "." + kserveFrameworks + ".storageUris[].uri", roleModel},
			{kservePods + "." + kserveFrameworks + ".storage", roleModelStorage},
		}},
		{"serving.kserve.io", "LLMInferenceService LLMInferenceServiceConfig", []at{
			{"spec.model.uri", roleModel},
			{"spec.model.lora.adapters[].uri", roleModel},
			{"spec.{template,worker}", rolePodSpec},
			{"spec.prefill.{template,worker}", rolePodSpec},
			{"spec.router.scheduler.template", rolePodSpec},
		}},
		{"serving.kserve.io", "ServingRuntime ClusterServingRuntime", []at{{"spec", rolePodSpec}, {"spec.workerSpec", rolePodSpec}}},
		{"serving.kserve.io", "ClusterStorageContainer", []at{{"spec.container", roleContainer}}},
		{"serving.kserve.io", "TrainedModel", []at{{"spec.model.storageUri", roleModel}}},
		{"serving.kserve.io", "LocalModelCache LocalModelNamespaceCache ClusterLocalModel", []at{{"spec.sourceModelUri", roleModel}}},
		{"serving.kserve.io", "LocalModelNode", []at{{"spec.localModels[].sourceModelUri", roleModel}}},
		{"serving.kserve.io", "InferenceGraph", []at{{"spec.nodes.*.steps[].serviceUrl", roleSkip}}},

		{"argoproj.io", "Workflow", []at{{"spec", roleArgoSpec}, {"status.storedWorkflowTemplateSpec", roleArgoSpec}, {"status.storedTemplates.*", roleArgoTemplate}}},
		{"argoproj.io", "WorkflowTemplate ClusterWorkflowTemplate", []at{{"spec", roleArgoSpec}}},
		{"argoproj.io", "CronWorkflow", []at{{"spec.workflowSpec", roleArgoSpec}}},
		{"argoproj.io", "Rollout", podTemplate("spec.template")},
		{"argoproj.io", "Experiment", podTemplate("spec.templates[].template")},
		{"argoproj.io", "AnalysisTemplate ClusterAnalysisTemplate AnalysisRun", podTemplate("spec.metrics[].provider.job.spec.template")},

		{"tekton.dev", "Task ClusterTask", []at{{"spec", roleTektonTask}}},
		{"tekton.dev", "StepAction", []at{{"spec", roleContainer}}},
		{"tekton.dev", "TaskRun", []at{{"spec.taskSpec", roleTektonTask}}},
		{"tekton.dev", "Pipeline", []at{{"spec", roleTektonPipeline}}},
		{"tekton.dev", "PipelineRun", []at{{"spec.pipelineSpec", roleTektonPipeline}}},

		{"ray.io", "RayCluster", rayCluster("spec")},
		{"ray.io", "RayJob", append(rayCluster("spec.rayClusterSpec"), at{"spec.submitterPodTemplate", rolePodTemplate}, at{"spec.runtimeEnvYAML", roleRuntimeEnv})},
		{"ray.io", "RayService", append(rayCluster("spec.rayClusterConfig"), at{"spec.serveConfigV2", roleRuntimeEnv})},

		{"kubeflow.org", "TFJob PyTorchJob MPIJob XGBoostJob PaddleJob JAXJob MXJob",
			podTemplate("spec.{tfReplicaSpecs,pytorchReplicaSpecs,mpiReplicaSpecs,xgbReplicaSpecs,paddleReplicaSpecs,jaxReplicaSpecs,mxReplicaSpecs}.*.template")},
		{"kubeflow.org", "Notebook", podTemplate("spec.template")},
		{"trainer.kubeflow.org", "TrainJob", []at{
			{"spec.trainer", roleContainer},
			{"spec.initializer.{dataset,model}.storageUri", roleModel},
			{"spec.podTemplateOverrides[].spec", rolePodSpec},
		}},
		{"trainer.kubeflow.org", "TrainingRuntime ClusterTrainingRuntime", podTemplate(trainJobTemplate)},
		{"jobset.x-k8s.io", "JobSet", podTemplate("spec.replicatedJobs[].template.spec.template")},
		{"leaderworkerset.x-k8s.io", "LeaderWorkerSet", podTemplate("spec.leaderWorkerTemplate.{leaderTemplate,workerTemplate}")},
		{"batch.volcano.sh", "Job", podTemplate("spec.tasks[].template")},
		{"sparkoperator.k8s.io", "SparkApplication", []at{{"spec", roleSparkApplication}}},
		{"sparkoperator.k8s.io", "ScheduledSparkApplication", []at{{"spec.template", roleSparkApplication}}},
		{"keda.sh", "ScaledJob", podTemplate("spec.jobTargetRef.template")},

		{"kubevirt.io", "VirtualMachine VirtualMachineInstanceReplicaSet", kubevirt("spec.template.spec", "spec.dataVolumeTemplates[].spec")},
		{"kubevirt.io", "VirtualMachineInstance", kubevirt("spec", "")},
		{"pool.kubevirt.io", "VirtualMachinePool", kubevirt("spec.virtualMachineTemplate.spec.template.spec", "spec.virtualMachineTemplate.spec.dataVolumeTemplates[].spec")},
		{"cdi.kubevirt.io", "DataVolume", []at{{"spec.source.registry.url", roleRegistryURL}}},
		{"cdi.kubevirt.io", "DataImportCron", []at{{"spec.template.spec.source.registry.url", roleRegistryURL}}},

		{"pkg.crossplane.io", "Provider Configuration Function", []at{{"spec.package", rolePackage}}},
		{"pkg.crossplane.io", "ProviderRevision ConfigurationRevision FunctionRevision", []at{{"spec.image", rolePackage}}},
		{"pkg.crossplane.io", "DeploymentRuntimeConfig", podTemplate("spec.deploymentTemplate.spec.template")},

		// What it fetches is read as a whole: see elsewhere.
		{"source.toolkit.fluxcd.io", "OCIRepository", []at{{"spec.url", roleSkip}}},
		{"openfaas.com", "Function", []at{{"spec.image", roleImage}}},
		{"nuclio.io", "NuclioFunction Function", []at{
			{"spec.image", roleImage},
			{"spec.build.{image,baseImage,onbuildImage}", roleImage},
			{"spec.sidecars", roleContainers},
			{"spec.initContainers", roleInitContainers},
		}},
		{"fission.io", "Environment", []at{
			{"spec.{runtime,builder}.image", roleImage},
			{"spec.{runtime,builder}.container", roleContainer},
			{"spec.{runtime,builder}.podspec", rolePodSpec},
		}},
		{"fission.io", "Function", []at{{"spec.podspec", rolePodSpec}}},
		{"fission.io", "Package", []at{{"spec.{source,deployment}.url", roleCode}}},
	}
}

func rayCluster(spec string) []at {
	return []at{
		{spec + ".headGroupSpec.template", rolePodTemplate},
		{spec + ".workerGroupSpecs[].template", rolePodTemplate},
		{spec + ".autoscalerOptions.image", roleImage},
	}
}

func kubevirt(spec, dataVolume string) []at {
	all := []at{
		{spec + ".volumes[].containerDisk.image", roleImage},
		{spec + ".domain.firmware.kernelBoot.container.image", roleImage},
	}
	if dataVolume != "" {
		all = append(all, at{dataVolume + ".source.registry.url", roleRegistryURL})
	}
	return all
}

// ownGroup is the group of Apex's own kinds. They name images to judge others
// by, and nothing runs them.
const ownGroup = "security.apexlogic.com"

// kinds is the compiled table, by "group/kind". It is built on first use, so
// that a program that reads no manifest does not pay for it; nobody changes it.
var kinds = sync.OnceValue(func() map[string]*pattern {
	all := map[string]*pattern{}
	for _, r := range table() {
		for kind := range strings.FieldsSeq(r.kinds) {
			p := all[r.group+"/"+kind]
			if p == nil {
				p = &pattern{}
				all[r.group+"/"+kind] = p
			}
			for _, a := range r.paths {
				p.add(a.path, a.role)
			}
		}
	}
	return all
})

// groupOf cuts the version off an apiVersion; the core group is "".
func groupOf(apiVersion string) string {
	group, _, ok := strings.Cut(apiVersion, "/")
	if !ok {
		return ""
	}
	return group
}

// requiresImage reports whether a container without an image is incomplete in
// this group. Elsewhere (KServe runtimes, Tekton steps, Ray overrides) another
// object brings the image, and the pod's own admission judges it.
func requiresImage(group string) bool {
	switch group {
	case "", "apps", "batch", "extensions", "serving.knative.dev":
		return true
	}
	return false
}

// builtIn reports whether the API server itself serves the group: it ignores
// what a manifest says under status.
func builtIn(group string) bool {
	return group == "" || group == "apps" || group == "batch" || group == "extensions"
}
