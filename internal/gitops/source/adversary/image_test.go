package adversary

import (
	"fmt"
	"strings"

	"github.com/apexlogic/apex/verdict"
)

// place is where an image stands: «» is the reference.
type place struct {
	name, text string
	// pinned says that a tag is replaced by its digest there; elsewhere a tag is
	// refused with unpinned.
	pinned   bool
	unpinned verdict.Code
}

const (
	meta = `metadata: {name: x}`
	// of what is no workload in the table
	loose = verdict.ReferenceUnknown
)

func pod(spec string) string {
	return `{apiVersion: v1, kind: Pod, ` + meta + `, spec: {` + spec + `}}`
}

func template(apiVersion, kind, spec string) string {
	return `{apiVersion: ` + apiVersion + `, kind: ` + kind + `, ` + meta + `, spec: {selector: {matchLabels: {app: x}}, template: {metadata: {labels: {app: x}}, spec: {` + spec + `}}}}`
}

func object(apiVersion, kind, rest string) string {
	return `{apiVersion: ` + apiVersion + `, kind: ` + kind + `, ` + meta + `, ` + rest + `}`
}

const (
	one  = `containers: [{name: c, image: "«»"}]`
	fine = `containers: [{name: c, image: "«good»"}]`
	isvc = "serving.kserve.io/v1beta1"
	llm  = "serving.kserve.io/v1alpha2"
	knat = "serving.knative.dev/v1"
)

// places are every place of the kinds in use where an image hides, and some that
// nobody knows.
var places = []place{
	{"a Pod's container", pod(one), true, ""},
	{"a Pod's second container", pod(`containers: [{name: c, image: "«good»"}, {name: d, image: "«»"}]`), true, ""},
	{"an init container", pod(fine + `, initContainers: [{name: i, image: "«»"}]`), true, ""},
	{"an init container that stays as a sidecar", pod(fine + `, initContainers: [{name: i, image: "«»", restartPolicy: Always}]`), true, ""},
	{"an ephemeral container", pod(fine + `, ephemeralContainers: [{name: e, image: "«»"}]`), true, ""},
	{"an image volume", pod(fine + `, volumes: [{name: v, image: {reference: "«»", pullPolicy: Always}}]`), true, ""},
	{"a Deployment", template("apps/v1", "Deployment", one), true, ""},
	{"a StatefulSet", template("apps/v1", "StatefulSet", one), true, ""},
	{"a DaemonSet", template("apps/v1", "DaemonSet", one), true, ""},
	{"a ReplicaSet", template("apps/v1", "ReplicaSet", one), true, ""},
	{"a Job", object("batch/v1", "Job", `spec: {template: {spec: {`+one+`}}}`), true, ""},
	{"a CronJob", object("batch/v1", "CronJob", `spec: {schedule: "@daily", jobTemplate: {spec: {template: {spec: {`+one+`}}}}}`), true, ""},
	{"a CronJob's init container", object("batch/v1", "CronJob", `spec: {schedule: "@daily", jobTemplate: {spec: {template: {spec: {`+fine+`, initContainers: [{name: i, image: "«»"}]}}}}}`), true, ""},
	{"a PodTemplate", object("v1", "PodTemplate", `template: {spec: {`+one+`}}`), true, ""},
	{"a ReplicationController", object("v1", "ReplicationController", `spec: {template: {spec: {`+one+`}}}`), true, ""},
	{"a Knative Service", object(knat, "Service", `spec: {template: {spec: {`+one+`}}}`), true, ""},
	{"a Knative Service's init container", object(knat, "Service", `spec: {template: {spec: {`+fine+`, initContainers: [{name: i, image: "«»"}]}}}`), true, ""},
	{"a Knative Configuration", object(knat, "Configuration", `spec: {template: {spec: {`+one+`}}}`), true, ""},
	{"a Knative Revision", object(knat, "Revision", `spec: {`+one+`}`), true, ""},
	{"a predictor's container", object(isvc, "InferenceService", `spec: {predictor: {`+one+`}}`), true, ""},
	{"a predictor's framework", object(isvc, "InferenceService", `spec: {predictor: {sklearn: {image: "«»"}}}`), true, ""},
	{"a predictor's model", object(isvc, "InferenceService", `spec: {predictor: {model: {modelFormat: {name: onnx}, image: "«»"}}}`), true, ""},
	{"a predictor's workers", object(isvc, "InferenceService", `spec: {predictor: {`+fine+`, workerSpec: {`+one+`}}}`), true, ""},
	{"a transformer", object(isvc, "InferenceService", `spec: {predictor: {`+fine+`}, transformer: {`+one+`}}`), true, ""},
	{"an explainer", object(isvc, "InferenceService", `spec: {predictor: {`+fine+`}, explainer: {`+one+`}}`), true, ""},
	{"an LLMInferenceService", object(llm, "LLMInferenceService", `spec: {template: {`+one+`}}`), true, ""},
	{"an LLMInferenceService's prefill workers", object(llm, "LLMInferenceService", `spec: {prefill: {worker: {`+one+`}}}`), true, ""},
	{"an LLMInferenceService's scheduler", object(llm, "LLMInferenceService", `spec: {router: {scheduler: {template: {`+one+`}}}}`), true, ""},
	{"a ServingRuntime", object("serving.kserve.io/v1alpha1", "ServingRuntime", `spec: {`+one+`}`), true, ""},
	{"a ClusterStorageContainer", object("serving.kserve.io/v1alpha1", "ClusterStorageContainer", `spec: {container: {name: c, image: "«»"}}`), true, ""},
	{"an Argo Workflow", object("argoproj.io/v1alpha1", "Workflow", `spec: {templates: [{name: t, container: {image: "«»"}}]}`), true, ""},
	{"an Argo Workflow's script", object("argoproj.io/v1alpha1", "Workflow", `spec: {templates: [{name: t, script: {image: "«»", source: "x"}}]}`), true, ""},
	{"a Tekton Task's step", object("tekton.dev/v1", "Task", `spec: {steps: [{name: s, image: "«»"}]}`), true, ""},
	{"a RayCluster's workers", object("ray.io/v1", "RayCluster", `spec: {workerGroupSpecs: [{template: {spec: {`+one+`}}}]}`), true, ""},
	{"a PyTorchJob", object("kubeflow.org/v1", "PyTorchJob", `spec: {pytorchReplicaSpecs: {Worker: {template: {spec: {`+one+`}}}}}`), true, ""},
	{"a ScaledJob", object("keda.sh/v1alpha1", "ScaledJob", `spec: {jobTargetRef: {template: {spec: {`+one+`}}}}`), true, ""},
	{"an OpenFaaS Function", object("openfaas.com/v1", "Function", `spec: {name: x, image: "«»"}`), true, ""},
	{"a Nuclio function's base image", object("nuclio.io/v1beta1", "NuclioFunction", `spec: {image: "«good»", build: {baseImage: "«»"}}`), true, ""},
	{"a Fission Environment's builder", object("fission.io/v1", "Environment", `spec: {runtime: {image: "«good»"}, builder: {image: "«»"}}`), true, ""},
	{"a virtual machine's disk", object("kubevirt.io/v1", "VirtualMachine", `spec: {template: {spec: {volumes: [{name: d, containerDisk: {image: "«»"}}]}}}`), true, ""},
	{"a Crossplane Provider", object("pkg.crossplane.io/v1", "Provider", `spec: {package: "«»"}`), true, ""},
	{"a List", `{apiVersion: v1, kind: List, items: [` + pod(one) + `]}`, true, ""},
	{"a PodList", `{apiVersion: v1, kind: PodList, items: [{metadata: {name: x}, spec: {` + one + `}}]}`, true, ""},
	{"a List in a List", `{apiVersion: v1, kind: List, items: [{apiVersion: v1, kind: List, items: [` + pod(one) + `]}]}`, true, ""},
	{"a pod within an unknown kind", object("evil.example/v1", "Widget", `spec: {workers: [{containers: [{name: x, image: "«»"}]}]}`), true, ""},
	{"a field called image of an unknown kind", object("evil.example/v1", "Widget", `spec: {image: "«»"}`), false, loose},
	{"a field called otherwise of an unknown kind", object("evil.example/v1", "Widget", `spec: {engine: {runs: "«»"}}`), false, loose},
	{"an element of a list of an unknown kind", object("evil.example/v1", "Widget", `spec: {run: [a, ["«»"]]}`), false, loose},
	{"a key of an annotation", `{apiVersion: v1, kind: Pod, metadata: {name: x, annotations: {sidecar.evil.example/proxyImage: "«»"}}, spec: {` + fine + `}}`, false, loose},
	{"a variable", pod(`containers: [{name: c, image: "«good»", env: [{name: WORKER_IMAGE, value: "«»"}]}]`), false, loose},
	{"an argument", pod(`containers: [{name: c, image: "«good»", args: ["--sidecar", "«»"]}]`), false, loose},
	{"an argument with its option", pod(`containers: [{name: c, image: "«good»", args: ["--sidecar=«»"]}]`), false, loose},
	{"a command", pod(`containers: [{name: c, image: "«good»", command: ["run", "«»"]}]`), false, loose},
	{"a script within a command", pod(`containers: [{name: c, image: "«good»", command: [sh, -c, "exec crane export «» -"]}]`), false, loose},
	{"a ConfigMap of an operator", object("v1", "ConfigMap", `data: {sidecarImage: "«»"}`), false, loose},
	{"a Secret of an operator", object("v1", "Secret", `stringData: {runner-image: "«»"}`), false, loose},
	{"a default in a CRD", `{apiVersion: apiextensions.k8s.io/v1, kind: CustomResourceDefinition, metadata: {name: x.evil.example}, spec: {group: evil.example, scope: Namespaced, names: {kind: X, plural: x}, versions: [{name: v1, schema: {openAPIV3Schema: {type: object, properties: {image: {type: string, default: "«»"}}}}}]}}`, false, loose},
	{"settings of Ray in text", object("ray.io/v1", "RayService", `spec: {serveConfigV2: "applications: [{runtime_env: {container: {image: \"«»\"}}}]"}`), false, verdict.ReferenceUnresolved},
	{"an object in the text of a Workflow", object("argoproj.io/v1alpha1", "Workflow", `spec: {templates: [{name: t, resource: {action: create, manifest: "{apiVersion: v1, kind: Pod, metadata: {name: y}, spec: {containers: [{name: c, image: \"«»\"}]}}"}}]}`), false, verdict.ReferenceUnresolved},
}

// bad are references that may stand nowhere.
var bad = []struct {
	name, ref string
	code      verdict.Code
}{
	{"that a stranger signed", "«wrong»", verdict.SignatureUntrusted},
	{"that is not there", "«gone»", verdict.RegistryNotFound},
	{"with a critical hole", "«holed»", verdict.VulnerabilityOver},
	{"on a base of its own", "«own»", verdict.BaseUnapproved},
	{"without a report", "«bare»", verdict.ReportMissing},
	{"of another repository", "«moved»", verdict.RegistryNotFound},
}

// images are the attempts at every place: a good image that goes in, and its
// twins that do not.
func images(places []place) (all []attempt) {
	for i, p := range places {
		in := func(ref string) string { return strings.ReplaceAll(p.text, "«»", ref) }
		other := bad[i%len(bad)]
		all = append(all,
			attempt{name: "a good image in " + p.name, text: in("«good»")},
			attempt{name: "an unsigned image in " + p.name, text: in("«unsigned»"), code: verdict.SignatureMissing},
			attempt{name: "an image " + other.name + " in " + p.name, text: in(other.ref), code: other.code},
		)
		if p.pinned {
			all = append(all,
				attempt{name: "a good image's tag in " + p.name, text: in("«good:tag»")},
				attempt{name: "an unsigned image's tag in " + p.name, text: in("«unsigned:tag»"), code: verdict.SignatureMissing},
			)
			continue
		}
		all = append(all, attempt{name: "a good image's tag in " + p.name, text: in("«good:tag»"), code: p.unpinned})
	}
	return all
}

// badly are each of the bad ones in the most frequent place, so that none
// depends on where it came by in the rotation.
func badly() (all []attempt) {
	for _, b := range bad {
		all = append(all, attempt{name: fmt.Sprintf("an image %s, plainly", b.name), text: deployment("x", b.ref), code: b.code})
	}
	return all
}

// templated are references that are not written out, and spellings that one
// program reads and another does not.
var templated = []attempt{
	{name: "a tag that is not there", text: deployment("x", "«gone:tag»"), code: verdict.RegistryNotFound},
	{name: "a variable of a shell as image", text: deployment("x", "${IMAGE}"), code: verdict.ReferenceUnresolved},
	{name: "a variable of a shell as tag", text: deployment("x", "«repo»:${TAG}"), code: verdict.ReferenceUnresolved},
	{name: "a template of Helm as image", text: deployment("x", "{{ .Values.image }}"), code: verdict.ReferenceUnresolved},
	{name: "a template of Helm as digest", text: deployment("x", "«repo»@{{ .Values.digest }}"), code: verdict.ReferenceUnresolved},
	{name: "a variable of a container as image", text: deployment("x", "$(IMAGE)"), code: verdict.ReferenceUnresolved},
	{name: "no image at all", text: pod(`containers: [{name: c}]`), code: verdict.ReferenceUnresolved},
	{name: "an empty image", text: deployment("x", ""), code: verdict.ReferenceUnresolved},
	{name: "an image of white space", text: deployment("x", " "), code: verdict.ReferenceInvalid},
	{name: "a good image with a space behind", text: deployment("x", "«good» "), code: verdict.ReferenceInvalid},
	{name: "a good image with a line's end", text: deployment("x", `«good»\n`), code: verdict.ReferenceInvalid},
	{name: "a good image with a NUL", text: deployment("x", `«good»\0`), code: verdict.ReferenceInvalid},
	{name: "an image with the scheme of Docker", text: deployment("x", "docker://«good»"), code: verdict.ReferenceInvalid},
	{name: "an image with a user", text: deployment("x", "user:pass@«good»"), code: verdict.ReferenceInvalid},
	{name: "a repository in capital letters", text: deployment("x", "«host»/Vision/Good@«digest»"), code: verdict.ReferenceInvalid},
	{name: "a repository with dots", text: deployment("x", "«host»/vision/../vision/good@«digest»"), code: verdict.ReferenceInvalid},
	{name: "a digest that is too short", text: deployment("x", "«repo»@sha256:abcdef"), code: verdict.ReferenceInvalid},
	{name: "a digest by another algorithm", text: deployment("x", "«repo»@md5:d41d8cd98f00b204e9800998ecf8427e"), code: verdict.ReferenceInvalid},
	{name: "two digests", text: deployment("x", "«repo»@«digest»@«bad digest»"), code: verdict.ReferenceInvalid},
	{name: "an unsigned digest under a good tag", text: deployment("x", "«bad repo»:1.0@«bad digest»"), code: verdict.SignatureMissing},
	{name: "an unsigned digest under a good repository", text: deployment("x", "«repo»@«bad digest»"), code: verdict.RegistryNotFound},
	{name: "an image that is a number", text: pod(`containers: [{name: c, image: 42}]`), code: verdict.ManifestInvalid},
	{name: "an image that is a mapping", text: pod(`containers: [{name: c, image: {name: "«good»"}}]`), code: verdict.ManifestInvalid},
	{name: "an image that is a list", text: pod(`containers: [{name: c, image: ["«good»"]}]`), code: verdict.ManifestInvalid},
	{name: "an image in capital letters", text: pod(`containers: [{name: c, image: "«good»", Image: "«unsigned»"}]`), code: verdict.ManifestInvalid},
	{name: "containers in capital letters", text: pod(`containers: [{name: c, image: "«good»"}], Containers: [{name: c, image: "«unsigned»"}]`), code: verdict.ManifestInvalid},
	{name: "an image with a long s", text: pod("containers: [{name: c, image: \"«good»\"}], initContainer\u017f: [{name: c, image: \"«unsigned»\"}]"), code: verdict.ManifestInvalid},
	{name: "containers that are a mapping", text: pod(`containers: {c: {name: c, image: "«unsigned»"}}`), code: verdict.ManifestInvalid},
	{name: "a runtime that picks a tag", text: object(isvc, "InferenceService", `spec: {predictor: {model: {modelFormat: {name: onnx}, runtimeVersion: "1.2", image: "«good»"}}}`), code: verdict.ReferenceUnresolved},
	{name: "a runtime that picks a tag for a transformer", text: object(isvc, "InferenceService", `spec: {predictor: {`+fine+`}, transformer: {RUNTIMEVERSION: "1", `+fine+`}}`), code: verdict.ReferenceUnresolved},
	{name: "an image in parts with a tag", text: object("evil.example/v1", "Widget", `spec: {image: {repository: "«bad repo»", tag: "1.0"}}`), code: verdict.ReferenceUnknown},
	{name: "an unsigned image in parts with its digest", text: object("evil.example/v1", "Widget", `spec: {image: {repository: "«bad repo»", digest: "«bad digest»"}}`), code: verdict.SignatureMissing},
	{name: "a good image in parts with its digest", text: object("evil.example/v1", "Widget", `spec: {image: {repository: "«repo»", digest: "«digest»"}}`)},
	{name: "an unsigned image beside a hundred good ones", text: pod(`containers: [` + many(100) + `{name: d, image: "«unsigned»"}]`), code: verdict.SignatureMissing},
	{name: "a hundred good images", text: pod(`containers: [` + many(99) + `{name: d, image: "«good»"}]`)},
	{name: "an unsigned image in the second document", text: configMap("y") + "---\n" + deployment("x", "«unsigned»"), code: verdict.SignatureMissing},
	{name: "a good image in the second document", text: configMap("y") + "---\n" + deployment("x", "«good»"), objects: 2},
}

// many are containers with a good image.
func many(n int) string {
	var b strings.Builder
	for i := range n {
		fmt.Fprintf(&b, `{name: c%d, image: "«good»"}, `, i)
	}
	return b.String()
}
