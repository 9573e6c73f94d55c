package corpus

import (
	"encoding/base64"
	"strings"
	"unicode/utf16"
)

func thirdRemoteCode() []Case {
	s := third("hf-remote-code")
	code := "import subprocess\nfrom transformers import PreTrainedModel\n\nsubprocess.run(['true'])\n\n\nclass NetForCausalLM(PreTrainedModel):\n    pass\n"
	repo := func(name, main string, truth string, files ...string) {
		m := map[string][]byte{}
		for i := 0; i < len(files); i += 2 {
			m[files[i]] = []byte(files[i+1])
		}
		s.files(name, main, m, truth)
	}
	repo("backbone", "config.json", "a detection model's backbone comes from the repository's own code", "config.json", `{"architectures": ["NetForObjectDetection"], "model_type": "net", "auto_map": {"AutoConfig": "configuration_net.NetConfig", "AutoBackbone": "modeling_net.NetBackbone"}, "torch_dtype": "float32"}`, "modeling_net.py", code, "configuration_net.py", "from transformers import PretrainedConfig\n\n\nclass NetConfig(PretrainedConfig):\n    model_type = 'net'\n")
	repo("video-processor", "video_preprocessor_config.json", "the video processor is a class of the repository", "video_preprocessor_config.json", `{"video_processor_type": "NetVideoProcessor", "auto_map": {"AutoVideoProcessor": "video_net.NetVideoProcessor"}, "fps": 2}`, "video_net.py", code)
	repo("processor", "processor_config.json", "the processor is a class of the repository", "processor_config.json", `{"processor_class": "NetProcessor", "auto_map": {"AutoProcessor": "processing_net.NetProcessor"}}`, "processing_net.py", code)
	repo("feature-extractor-of-another", "preprocessor_config.json", "the feature extractor is code of another repository", "preprocessor_config.json", `{"feature_extractor_type": "NetFeatureExtractor", "sampling_rate": 16000, "auto_map": {"AutoFeatureExtractor": "someone/else--feature_net.NetFeatureExtractor"}}`)
	repo("custom-generate", "custom_generate/generate.py", "generate(custom_generate=…) runs this file of the repository", "custom_generate/generate.py", "import subprocess\n\n\ndef generate(model, **kwargs):\n    subprocess.run(['true'])\n    return model.generate(**kwargs)\n", "custom_generate/requirements.txt", "apex-nonexistent\n", "config.json", `{"model_type": "qwen2"}`)
	repo("dataset-script", "quotes.py", "a data set's loading script runs a command when it is imported", "quotes.py", "import os\nimport datasets\n\nos.system('true')\n\n\nclass Quotes(datasets.GeneratorBasedBuilder):\n    def _info(self):\n        return datasets.DatasetInfo()\n", "README.md", "---\nlicense: mit\n---\n# Quotes\n")
	repo("diffusers-scheduler", "model_index.json", "a scheduler is a class of the repository's scheduler folder", "model_index.json", `{"_class_name": "StableDiffusionPipeline", "_diffusers_version": "0.30.0", "scheduler": ["my_scheduler", "MyScheduler"], "unet": ["diffusers", "UNet2DConditionModel"]}`, "scheduler/my_scheduler.py", strings.ReplaceAll(code, "transformers import PreTrainedModel", "diffusers import SchedulerMixin"))

	c := third("config-import")
	c.add("lightning-class-path", "config.yaml", "seed_everything: 1\nmodel:\n  class_path: subprocess.Popen\n  init_args:\n    args: ['true']\n", "LightningCLI calls what class_path names")
	c.add("latent-diffusion-target", "v1-inference.yaml", "model:\n  base_learning_rate: 1.0e-04\n  target: ldm.models.diffusion.ddpm.LatentDiffusion\n  params:\n    first_stage_config:\n      target: os.system\n      params:\n        command: 'true'\n", "instantiate_from_config imports and calls any target")
	c.add("yolo-activation", "yolov8-custom.yaml", "nc: 80\nactivation: __import__('os').system('true')\nscales:\n  n: [0.33, 0.25, 1024]\nbackbone:\n  - [-1, 1, Conv, [64, 3, 2]]\nhead:\n  - [[0], 1, Detect, [nc]]\n", "ultralytics evaluates the activation as Python")
	c.add("peft-parent-library", "adapter_config.json", `{"peft_type": "LORA", "task_type": null, "r": 16, "lora_alpha": 32, "auto_mapping": {"base_model_class": "popen", "parent_library": "posix"}, "target_modules": ["q_proj"]}`, "peft imports posix and takes popen from it")
	c.add("sentence-transformers-pooling", "modules.json", `[{"idx": 0, "name": "0", "path": "", "type": "sentence_transformers.models.Transformer"}, {"idx": 1, "name": "1", "path": "1_Pooling", "type": "subprocess.Popen"}]`, "the second module's type is subprocess.Popen")
	c.add("sentence-transformers-router", "router_config.json", `{"types": {"": "sentence_transformers.models.Transformer", "query_1": "runpy.run_path"}, "structure": {"query": ["", "query_1"]}, "parameters": {}}`, "a router's type is any dotted name")
	c.add("mlflow-python-model", "MLmodel", "flavors:\n  python_function:\n    loader_module: runpy_apex\n    code: code\n    data: data\n    env:\n      conda: conda.yaml\nmodel_uuid: 0f1e2d3c\nmlflow_version: 2.14.1\n", "MLflow imports a loader from the model's own code")

	x := third("shard-index-traversal")
	x.add("flax-parent", "flax_model.msgpack.index.json", `{"metadata": {"total_size": 64}, "weight_map": {"params/wte": "flax_model-00001-of-00002.msgpack", "params/ln": "../../nonexistent/b.msgpack"}}`, "a shard above the directory")
	x.add("diffusers-home", "diffusion_pytorch_model.safetensors.index.json", `{"metadata": {"total_size": 64}, "weight_map": {"conv_in.weight": "/root/.cache/other/model.safetensors"}}`, "a shard by an absolute path")
	x.add("pickle-of-another-folder", "pytorch_model.bin.index.json", `{"metadata": {"total_size": 64}, "weight_map": {"a": "sub/../../other-model/pytorch_model.bin"}}`, "a pickle of another model's folder")
	return join(s, c, x)
}

func thirdHydra() []Case {
	h := third("hydra-target")
	h.add("defaults-then-target", "config.yaml", "defaults:\n  - _self_\n  - optimizer: adam\nmodel:\n  _target_: importlib.import_module\n  name: this\n", "a target imports a module")
	h.add("args-of-args", "conf/train.yaml", "datamodule:\n  _target_: torch.utils.data.DataLoader\n  dataset:\n    _target_: torch.utils.data.TensorDataset\n    tensors:\n      _target_: pickle.loads\n      _args_: [!!binary \""+base64.StdEncoding.EncodeToString([]byte(thirdEvil(1)))+"\"]\n", "a nested target is pickle.loads")
	h.add("json-of-a-policy", "config.json", `{"policy": {"_target_": "lerobot.policies.act.ACTPolicy", "config": {"_target_": "posix.system", "_args_": ["true"]}}}`, "a target in a target's config")
	h.add("quoted-by-unicode", "model_config.yaml", "encoder:\n  \"\\u005ftarget\\u005f\": \"shutil.\\x72mtree\"\n  path: /nonexistent/apex\n", "key and value are escaped")
	h.add("recursive-none", "config.yaml", "_target_: builtins.map\n_convert_: all\n_recursive_: true\n_args_:\n  - _target_: hydra.utils.get_method\n    path: posix.system\n  - ['true']\n", "map of a function that Hydra fetches")
	h.add("nemo-tokenizer", "model.nemo", gzipped(thirdTar("./model_config.yaml", "target: nemo.collections.nlp.models.TextClassificationModel\ntokenizer:\n  _target_: subprocess.getoutput\n  cmd: 'true'\n", "./model_weights.ckpt", thirdTorch("model", thirdHonestDict()))), "a tokenizer's target in a NeMo archive")

	y := third("yaml-python-tag")
	add := func(name, text, truth string) { y.add(name, "hparams.yaml", text, truth) }
	add("object-new-with-state", "model: !!python/object/new:str\n  state: !!python/tuple\n  - 'pass'\n  - !!python/object/new:Warning\n    state:\n      update: !!python/name:exec\n", "the state of a str is given to the update of a Warning, which is exec")
	add("apply-in-a-set", "tags: !!set\n  ? !!python/object/apply:subprocess.getoutput ['true']\n", "a call makes an element of a set")
	add("secondary-handle", "%YAML 1.1\n%TAG !! tag:yaml.org,2002:python/\n---\ncb: !!object/apply:posix.system ['true']\n", "the handle !! itself is given another meaning")
	add("behind-a-thousand-lines", strings.Repeat("- {step: 100, loss: 0.25, lr: 3.0e-04}\n", 1000)+"- !!python/object/apply:posix.popen ['true']\n", "after a thousand honest entries")
	add("object-new-of-a-function", "net: !!python/object/new:posix.system\n  args: ['true']\n", "object/new of a function, which is called")
	y.add("utf-16-big-endian", "config.yaml", thirdUTF16("lr: 0.1\ncb: !!python/object/apply:os.popen ['true']\n"), "UTF-16 with its big end first")

	k := third("skops-node")
	file := func(name, node, truth string) { k.add(name, "model.skops", thirdSkops(node), truth) }
	file("function-of-posix", `{"__class__": "function", "__module__": "posix", "__loader__": "FunctionNode", "content": {"module_path": "posix", "function": "popen"}}`, "a function of posix")
	file("sgd-node", `{"__class__": "Popen", "__module__": "subprocess", "__loader__": "SGDNode", "reduce": {"__class__": "tuple", "__module__": "builtins", "__loader__": "TupleNode", "content": [{"__class__": "list", "__module__": "builtins", "__loader__": "ListNode", "content": [{"__class__": "str", "__module__": "builtins", "__loader__": "JsonNode", "content": "\"true\"", "is_json": true}]}]}, "attrs": {}, "content": {}}`, "a node that calls subprocess.Popen with a list")
	file("method-of-a-path", `{"__class__": "method", "__module__": "builtins", "__loader__": "MethodNode", "content": {"func": "unlink", "obj": {"__class__": "PosixPath", "__module__": "pathlib", "__loader__": "ObjectNode", "content": null}}}`, "the method unlink of a path")
	file("partial-of-run", `{"__class__": "partial", "__module__": "functools", "__loader__": "PartialNode", "content": {"func": {"__class__": "function", "__module__": "runpy", "__loader__": "FunctionNode", "content": {"module_path": "runpy", "function": "run_path"}}, "args": {"__class__": "tuple", "__module__": "builtins", "__loader__": "TupleNode", "content": []}, "kwds": {"__class__": "dict", "__module__": "builtins", "__loader__": "DictNode", "content": {}, "key_types": {}}, "namespace": null}}`, "a partial of runpy.run_path")

	return join(h, y, k)
}

// thirdSkops is a .skops whose pipeline has the node as a step.
func thirdSkops(node string) string {
	return thirdZip("schema.json", `{"__class__": "Pipeline", "__module__": "sklearn.pipeline", "__loader__": "ObjectNode", "__id__": 1, "content": {"__class__": "dict", "__module__": "builtins", "__loader__": "DictNode", "__id__": 2, "content": {"memory": {"__class__": "str", "__module__": "builtins", "__loader__": "JsonNode", "content": "null", "is_json": true, "__id__": 3}, "steps": `+node+`}, "key_types": {"__class__": "list", "__module__": "builtins", "__loader__": "ListNode", "content": [], "__id__": 4}}, "protocol": 1, "_skops_version": "0.10.0"}`)
}

// thirdUTF16 is text in UTF-16 with a mark and the big end first.
func thirdUTF16(text string) string {
	var b strings.Builder
	b.WriteString("\xfe\xff")
	for _, u := range utf16.Encode([]rune(text)) {
		b.WriteString(be16(int(u)))
	}
	return b.String()
}

func thirdXML() []Case {
	s := third("pmml-xxe")
	start, end := `<PMML version="4.3" xmlns="http://www.dmg.org/PMML-4_3"><Header description="`, `"/><DataDictionary numberOfFields="0"/></PMML>`
	s.add("big-endian-utf-16", "model.pmml", thirdUTF16(`<?xml version="1.0" encoding="UTF-16"?><!DOCTYPE PMML [<!ENTITY a SYSTEM "file:///etc/hostname">]>`+start+"&a;"+end), "an external entity in UTF-16 with its big end first")
	s.add("quadratic", "model.pmml", `<?xml version="1.0"?><!DOCTYPE PMML [<!ENTITY a "`+strings.Repeat("x", 50_000)+`">]>`+start+strings.Repeat("&a;", 5_000)+end, "one long entity five thousand times: 250 MB")
	s.add("entity-by-a-character", "model.pmml", `<?xml version="1.0"?>`+"\n\n"+`<!DOCTYPE PMML [<!ENTITY % p "&#60;!ENTITY q SYSTEM 'file:///etc/hostname'&#62;">%p;]>`+start+"&q;"+end, "a parameter entity whose text, in character references, declares the external one")
	s.add("gzipped", "model.pmml.gz", gzipped(`<?xml version="1.0"?><!DOCTYPE PMML [<!ENTITY a SYSTEM "http://127.0.0.1:9/a">]>`+start+"&a;"+end), "an external entity of a gzipped PMML")

	r := third("r-rds-promise")
	r.add("attribute-of-a-model", "fit.rds", gzipped(rds(rdsNamed("lm", []string{"coefficients", "terms", "model"}, rdsNumbers(0.5, 1.5), rdsText("y ~ x"), rdsPromise("system", "true")))), "the data of a fitted model are a promise")
	r.add("environment-variable", "fit.rds", bzipped(rds(rdsPromise("Sys.setenv", "LD_PRELOAD"))), "a promise in bzip2")
	r.add("workspace", "session.RData", xzed("RDX3\n"+rds(rdsList(rdsInts(1, 2), rdsList(rdsText("a"), rdsPromise("source", "/nonexistent/apex.R"))))), "a promise in a saved workspace in xz")
	return join(s, r)
}
