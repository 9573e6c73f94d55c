package adversary

import (
	"strings"

	"github.com/apexlogic/apex/verdict"
)

// modelPlaces are where a model hides: «» is its location.
var modelPlaces = []place{
	{"a predictor's model", object(isvc, "InferenceService", `spec: {predictor: {model: {modelFormat: {name: onnx}, storageUri: "«»"}}}`), true, ""},
	{"a predictor's framework", object(isvc, "InferenceService", `spec: {predictor: {pytorch: {storageUri: "«»"}}}`), true, ""},
	{"a predictor's models", object(isvc, "InferenceService", `spec: {predictor: {model: {modelFormat: {name: onnx}, storageUris: [{uri: "«»"}]}}}`), true, ""},
	{"a transformer's models", object(isvc, "InferenceService", `spec: {predictor: {`+fine+`}, transformer: {`+fine+`, storageUris: [{uri: "«»"}]}}`), true, ""},
	{"an LLMInferenceService's model", object(llm, "LLMInferenceService", `spec: {model: {uri: "«»"}}`), true, ""},
	{"an LLMInferenceService's adapter", object(llm, "LLMInferenceService", `spec: {model: {uri: "«model»", lora: {adapters: [{uri: "«»"}]}}}`), true, ""},
	{"a TrainedModel", object("serving.kserve.io/v1alpha1", "TrainedModel", `spec: {model: {storageUri: "«»", framework: onnx}}`), true, ""},
	{"a LocalModelCache", object("serving.kserve.io/v1alpha1", "LocalModelCache", `spec: {sourceModelUri: "«»"}`), true, ""},
	{"a TrainJob's initializer", object("trainer.kubeflow.org/v1alpha1", "TrainJob", `spec: {initializer: {model: {storageUri: "«»"}}}`), true, ""},
	{"the variable STORAGE_URI", pod(`containers: [{name: c, image: "«good»", env: [{name: STORAGE_URI, value: "«»"}]}]`), true, ""},
	{"the variable HF_MODEL_ID", pod(`containers: [{name: c, image: "«good»", env: [{name: HF_MODEL_ID, value: "«»"}]}]`), true, ""},
	{"a variable in a variable", pod(`containers: [{name: c, image: "«good»", env: [{name: A, value: "«»"}, {name: STORAGE_URI, value: "$(A)"}]}]`), false, verdict.ReferenceUnknown},
	{"the option --model", pod(`containers: [{name: c, image: "«good»", args: ["--model", "«»"]}]`), true, ""},
	{"the option --model=", pod(`containers: [{name: c, image: "«good»", args: ["--model=«»"]}]`), false, verdict.ReferenceUnresolved},
	{"the option --lora-modules", pod(`containers: [{name: c, image: "«good»", args: ["--lora-modules", "a=«»"]}]`), false, verdict.ReferenceUnresolved},
	{"vllm serve", pod(`containers: [{name: c, image: "«good»", command: [vllm, serve, "«»"]}]`), true, ""},
	{"a field of an unknown kind", object("evil.example/v1", "Widget", `spec: {weights: "«»"}`), false, verdict.ReferenceUnknown},
	{"a ConfigMap", object("v1", "ConfigMap", `data: {model: "«»"}`), false, verdict.ReferenceUnknown},
}

// models are the attempts at every place for models.
func models() (all []attempt) {
	for _, p := range modelPlaces {
		in := func(ref string) string { return strings.ReplaceAll(p.text, "«»", ref) }
		all = append(all,
			attempt{name: "a good model in " + p.name, text: in("«model»")},
			attempt{name: "an unsigned model in " + p.name, text: in("«naked»"), code: verdict.ModelSignatureMissing},
		)
		if p.pinned {
			all = append(all, attempt{name: "a good model's tag in " + p.name, text: in("«model:tag»")})
			continue
		}
		all = append(all, attempt{name: "a good model's tag in " + p.name, text: in("«model:tag»"), code: p.unpinned})
	}
	uri := func(text string) string { return strings.ReplaceAll(modelPlaces[0].text, "«»", text) }
	args := func(text string) string {
		return pod(`containers: [{name: c, image: "«good»", args: [` + text + `]}]`)
	}
	env := func(text string) string {
		return pod(`containers: [{name: c, image: "«good»", env: [` + text + `]}]`)
	}
	return append(all, []attempt{
		{name: "a model without a scan", text: uri("«half»"), code: verdict.ModelScanMissing},
		{name: "a model that is not there", text: uri("«no model»"), code: verdict.RegistryNotFound},
		{name: "an image in the place of a model", text: uri("oci://«good»"), code: verdict.ModelSignatureUntrusted},
		{name: "a model of a hub without a revision", text: uri("hf://owner/tiny"), code: verdict.ModelReference},
		{name: "a model of a hub at a branch", text: uri("hf://owner/tiny:main"), code: verdict.ModelReference},
		{name: "a model of a hub at a commit that nobody signed", text: uri("hf://owner/tiny:0123456789abcdef0123456789abcdef01234567"), code: verdict.ModelReference},
		{name: "a model of another hub", text: uri("modelscope://owner/tiny"), code: verdict.ModelReference},
		{name: "a model in S3", text: uri("s3://bucket/tiny"), code: verdict.ModelReference},
		{name: "a model in Google's storage", text: uri("gs://bucket/tiny"), code: verdict.ModelReference},
		{name: "a model in Azure's storage", text: uri("https://account.blob.core.windows.net/models/tiny.onnx"), code: verdict.ModelReference},
		{name: "a model at any web server", text: uri("http://10.0.0.1/tiny.bin"), code: verdict.ModelReference},
		{name: "a model in a repository of Git", text: uri("https://git.example/tiny.git"), code: verdict.ModelReference},
		{name: "a model on a volume", text: uri("pvc://volume/tiny"), code: verdict.ModelReference},
		{name: "a model in HDFS", text: uri("hdfs://cluster/tiny"), code: verdict.ModelReference},
		{name: "a model with a secret in its URI", text: uri("https://user:pass@models.example/tiny.onnx"), code: verdict.ReferenceInvalid},
		{name: "a model with a parent in its path", text: uri("s3://bucket/a/../b"), code: verdict.ReferenceInvalid},
		{name: "a model that depends on a variable", text: uri("oci://«host»/models/good:${TAG}"), code: verdict.ReferenceUnresolved},
		{name: "an empty model", text: uri(""), code: verdict.ReferenceUnresolved},
		{name: "a model in a bucket that a Secret names", text: object(isvc, "InferenceService", `spec: {predictor: {model: {modelFormat: {name: onnx}, storage: {key: k, path: tiny}}}}`), code: verdict.ReferenceUnresolved},
		{name: "a model in a bucket beside its path", text: object(isvc, "InferenceService", `spec: {predictor: {model: {modelFormat: {name: onnx}, storage: {path: tiny, parameters: {type: s3, bucket: b}}}}}`), code: verdict.ModelReference},
		{name: "a hub's model in the variable HF_MODEL_ID", text: env(`{name: HF_MODEL_ID, value: owner/tiny}`), code: verdict.ModelReference},
		{name: "a model whose variable comes from a Secret", text: env(`{name: HF_MODEL_ID, valueFrom: {secretKeyRef: {name: s, key: k}}}`), code: verdict.ReferenceUnresolved},
		{name: "a hub's model behind --model", text: args(`--model, owner/tiny`), code: verdict.ModelReference},
		{name: "a hub's model with its revision beside", text: args(`--model, owner/tiny, --revision, main`), code: verdict.ModelReference},
		{name: "a hub's model behind --model_id", text: args(`--model_id=owner/tiny`), code: verdict.ModelReference},
		{name: "a hub's adapter", text: args(`--lora-modules, "a=owner/adapter"`), code: verdict.ModelReference},
		{name: "a hub's adapter in JSON", text: args(`--lora-modules, '{"name": "a", "path": "owner/adapter"}'`), code: verdict.ModelReference},
		{name: "a hub's model served by a script", text: pod(`containers: [{name: c, image: "«good»", command: [sh, -c, "vllm serve owner/tiny --port 80"]}]`), code: verdict.ModelReference},
		{name: "weights downloaded by a script", text: pod(`containers: [{name: c, image: "«good»", command: [sh, -c, "curl -O https://files.example/tiny.gguf"]}]`), code: verdict.ModelReference},
		{name: "code of Ray that is downloaded", text: object("ray.io/v1", "RayService", `spec: {serveConfigV2: "applications: [{runtime_env: {working_dir: \"https://files.example/x.zip\"}}]"}`), code: verdict.ModelReference},
		{name: "a package of Fission that is downloaded", text: object("fission.io/v1", "Package", `spec: {deployment: {url: "https://files.example/x.zip"}}`), code: verdict.ModelReference},
		{name: "a model in the image itself", text: args(`--model, /models/tiny`)},
		{name: "a model on a path in a variable", text: env(`{name: MODEL_PATH, value: /models/tiny}`)},
		{name: "a name to serve under", text: args(`--model-name, captioner`)},
	}...)
}
