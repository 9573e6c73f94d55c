package corpus

import (
	"strings"
	"unicode/utf16"
)

func heldRemoteCode() []Case {
	s := heldCase("hf-remote-code")
	code := []byte("import os\nfrom transformers import PreTrainedModel\nos.system('true')\n\nclass ApexModel(PreTrainedModel):\n    pass\n")
	add := func(name, main, config string, rest map[string][]byte, truth string) {
		rest[main] = []byte(config)
		s.files(name, main, rest, truth)
	}
	add("auto-map", "config.json", `{"architectures": ["ApexModel"], "model_type": "apex", "auto_map": {"AutoModelForCausalLM": "modeling_apex.ApexModel"}}`, map[string][]byte{"modeling_apex.py": code}, "auto_map and the code that it names")
	add("auto-map-to-another-repository", "config.json", `{"model_type": "llama", "auto_map": {"AutoConfig": "someone/other-repo--configuration_x.XConfig"}}`, map[string][]byte{}, "auto_map into another repository")
	add("tokenizer", "tokenizer_config.json", `{"tokenizer_class": "ApexTokenizer", "auto_map": {"AutoTokenizer": ["tokenization_apex.ApexTokenizer", null]}}`, map[string][]byte{"tokenization_apex.py": code}, "the tokenizer's class is in the repository")
	add("image-processor", "preprocessor_config.json", `{"image_processor_type": "ApexProcessor", "auto_map": {"AutoImageProcessor": "image_apex.ApexProcessor"}}`, map[string][]byte{"image_apex.py": code}, "the image processor's class is in the repository")
	add("custom-pipelines", "config.json", `{"model_type": "bert", "custom_pipelines": {"pair": {"impl": "pair.PairPipeline", "pt": ["AutoModel"], "tf": []}}}`, map[string][]byte{"pair.py": code}, "a pipeline's implementation is in the repository")
	add("diffusers-component", "model_index.json", `{"_class_name": ["pipeline", "ApexPipeline"], "_diffusers_version": "0.27.0", "unet": ["my_unet", "MyUNet"]}`, map[string][]byte{"pipeline.py": code, "unet/my_unet.py": code}, "the pipeline and a component are classes of the repository")
	add("sentence-transformers-module", "modules.json", `[{"idx": 0, "name": "0", "path": "", "type": "custom_st.Transformer"}]`, map[string][]byte{"custom_st.py": code}, "a module's type is in the repository")

	h := heldCase("hydra-target")
	h.add("merged-by-an-anchor", "config.yaml", "x: &x\n  _target_: os.system\n  command: 'true'\nmodel:\n  <<: *x\n", "the target comes in by a merge key")
	h.add("escaped-key", "config.yaml", "model: {\"\\x5ftarget_\": \"builtins.exec\", \"_args_\": [\"pass\"]}\n", "the key is written with an escape")
	h.add("deep-in-a-list", "conf/callbacks.yaml", "trainer:\n  callbacks:\n  - _target_: lightning.pytorch.callbacks.ModelCheckpoint\n    monitor: val_loss\n  - _target_: subprocess.check_output\n    _args_: [['true']]\n", "the second of two callbacks")
	h.add("nemo", "model.nemo", heldTar(0, "./model_config.yaml", "sample_rate: 16000\npreprocessor:\n  _target_: nemo.collections.asr.modules.AudioToMelSpectrogramPreprocessor\nvocab:\n  _target_: pathlib.Path.touch\n  self: {_target_: pathlib.Path, _args_: [/nonexistent/apex]}\n", "./model_weights.ckpt", string(torchZip("archive", plainStateDict(), []string{weights(1, 8)}))), "a NeMo file whose config calls pathlib.Path.touch")
	h.add("json", "config.json", `{"model": {"_target_": "torch.hub.load", "repo_or_dir": "apex/none", "model": "x"}, "optimizer": {"_target_": "torch.optim.Adam"}}`, "a JSON config with torch.hub.load")
	h.add("partial-of-eval", "loss.yaml", "loss_fn:\n  _partial_: true\n  _target_: builtins.eval\n", "a partial of eval, called at the first step")
	h.add("interpolated", "config.yaml", "where: os\nmodel:\n  _target_: ${where}.system\n  command: 'true'\n", "the target is put together by interpolation")

	return join(s, h, heldConfigImports())
}

// heldConfigImports are settings whose value a loader imports or opens.
func heldConfigImports() *set {
	s := heldCase("config-import")
	s.add("peft-auto-mapping", "adapter_config.json", `{"peft_type": "LORA", "auto_mapping": {"base_model_class": "system", "parent_library": "os"}, "base_model_name_or_path": null, "r": 8}`, "peft imports parent_library and takes base_model_class from it")
	s.add("mlflow-loader-module", "MLmodel", "flavors:\n  python_function:\n    loader_module: apex_loader\n    code: code\n    python_version: 3.11.7\n    env: conda.yaml\nutc_time_created: '2024-06-15 13:33:36.000000'\n", "MLflow imports loader_module from the model's own code folder")
	return s
}

func heldYAML() []Case {
	s := heldCase("yaml-python-tag")
	add := func(name, text, truth string) { s.add(name, "config.yaml", text, truth) }
	add("tag-directive", "%TAG !p! tag:yaml.org,2002:python/object/\n---\nmodel: !p!apply:os.system ['true']\n", "a handle stands for the tag's beginning")
	add("verbatim", "a: !<tag:yaml.org,2002:python/object/apply:os.system> ['true']\n", "the tag in its verbatim form")
	add("percent-escape", "a: !!python/object/%61pply:os.system ['true']\n", "a letter of the tag is percent-escaped")
	add("as-a-key", "? !!python/object/new:subprocess.Popen [['true']]\n: 1\n", "the tag is on a mapping's key")
	add("second-document", "epochs: 3\n---\n- &a !!python/name:os.system\n- !!python/object/apply:builtins.map [*a, ['true']]\n", "in the second document, by an anchor")
	add("module", "backend: !!python/module:antigravity\n", "importing the module is all of it")
	add("flow-on-one-line", "{lr: 0.1, cb: !!python/object/apply:eval {args: ['1+1']}}", "in flow style without a line break")
	s.add("utf16", "config.yml", heldUTF16("a: !!python/object/apply:os.system ['true']\n"), "UTF-16 with a byte order mark, which PyYAML reads")
	return s.cases
}

func heldUTF16(text string) string {
	var b strings.Builder
	b.WriteString("\xff\xfe")
	for _, u := range utf16.Encode([]rune(text)) {
		b.WriteString(le16(int(u)))
	}
	return b.String()
}

func heldSkops() []Case {
	s := heldCase("skops-node")
	file := func(content string) string {
		return heldZipOf("schema.json", `{"__class__": "Pipeline", "__module__": "sklearn.pipeline", "__loader__": "ObjectNode", "content": {"__class__": "dict", "__module__": "builtins", "__loader__": "DictNode", "content": {"steps": `+content+`}, "key_types": {}}, "protocol": 1, "_skops_version": "0.9.0"}`)
	}
	s.add("function-node", "model.skops", file(`{"__class__": "function", "__module__": "builtins", "__loader__": "FunctionNode", "content": {"module_path": "os", "function": "system"}}`), "a function of os")
	s.add("operator-func", "model.skops", file(`{"__class__": "methodcaller", "__module__": "operator", "__loader__": "OperatorFuncNode", "attrs": {"__class__": "tuple", "__module__": "builtins", "__loader__": "TupleNode", "content": [{"__class__": "str", "__module__": "builtins", "__loader__": "JsonNode", "content": "\"system\"", "is_json": true}]}}`), "operator.methodcaller")
	s.add("method-node", "model.skops", file(`{"__class__": "method", "__module__": "builtins", "__loader__": "MethodNode", "content": {"func": "load_module", "obj": {"__class__": "zipimporter", "__module__": "zipimport", "__loader__": "ObjectNode", "content": null}}}`), "a method of zipimporter")
	s.add("partial-node", "model.skops", file(`{"__class__": "partial", "__module__": "functools", "__loader__": "PartialNode", "content": {"func": {"__class__": "exec", "__module__": "builtins", "__loader__": "TypeNode"}, "args": []}}`), "a partial of exec")

	r := heldCase("r-rds-promise")
	r.add("gzipped", "model.rds", gzipped(rds(rdsNamed("glm", []string{"coefficients", "call"}, rdsNumbers(1, 2), rdsPromise("system", "true")))), "a promise to call system() (CVE-2024-27322)")
	r.add("xz-deep", "model.rds", xzed(rds(rdsList(rdsList(rdsList(rdsPromise("eval", "1")))))), "a promise three lists deep, in xz")

	x := heldCase("shard-index-traversal")
	x.add("climbs", "model.safetensors.index.json", `{"metadata": {"total_size": 32}, "weight_map": {"a": "model-00001-of-00002.safetensors", "b": "../../nonexistent/other.safetensors"}}`, "a shard outside the folder")
	x.add("absolute", "pytorch_model.bin.index.json", `{"metadata": {"total_size": 32}, "weight_map": {"a": "/dev/shm/apex.bin"}}`, "a shard by an absolute path")
	return join(s, r, x)
}

func heldXML() []Case {
	s := heldCase("pmml-xxe")
	pmml := `<PMML version="4.4" xmlns="http://www.dmg.org/PMML-4_4"><Header><Application name="`
	end := `"/></Header><DataDictionary numberOfFields="0"/></PMML>`
	s.add("parameter-entity", "model.pmml", `<?xml version="1.0"?><!DOCTYPE PMML [<!ENTITY % d SYSTEM "http://127.0.0.1:9/x.dtd"> %d;]>`+pmml+"x"+end, "a parameter entity from another machine")
	s.add("external-subset", "model.pmml", `<?xml version="1.0"?><!DOCTYPE PMML SYSTEM "file:///nonexistent/apex.dtd">`+pmml+"x"+end, "the DTD is a file of the machine")
	s.add("utf-16", "model.pmml", heldUTF16(`<?xml version="1.0" encoding="UTF-16"?><!DOCTYPE PMML [<!ENTITY e SYSTEM "file:///etc/passwd">]>`+pmml+"&e;"+end), "an entity in UTF-16")
	s.add("billion-laughs", "model.xml", `<?xml version="1.0"?><!DOCTYPE PMML [<!ENTITY a "ha"><!ENTITY b "&a;&a;&a;&a;&a;&a;&a;&a;&a;&a;"><!ENTITY c "&b;&b;&b;&b;&b;&b;&b;&b;&b;&b;"><!ENTITY d "&c;&c;&c;&c;&c;&c;&c;&c;&c;&c;"><!ENTITY e "&d;&d;&d;&d;&d;&d;&d;&d;&d;&d;"><!ENTITY f "&e;&e;&e;&e;&e;&e;&e;&e;&e;&e;"><!ENTITY g "&f;&f;&f;&f;&f;&f;&f;&f;&f;&f;">]>`+pmml+"&g;&g;&g;&g;&g;&g;&g;&g;&g;&g;"+end, "entities of entities")
	s.add("comment-before-the-doctype", "model.pmml", "<?xml version='1.0'?>\n<!-- "+heldPadding(6000)+" -->\n<!DOCTYPE PMML [\n<!ENTITY\n e\n PUBLIC 'x' 'file:///etc/passwd'>]>"+pmml+"&e;"+end, "six thousand bytes of comment first, PUBLIC instead of SYSTEM")
	return s.cases
}

func heldExecutables() []Case {
	s := heldCase("executable-as-model")
	pe := "MZ\x90\x00" + strings.Repeat("\x00", 56) + le32(64) + "PE\x00\x00\x64\x86" + le16(1) + strings.Repeat("\x00", 12) + le16(240) + le16(0x22) + le16(0x20b) + strings.Repeat("\x00", 300)
	s.add("pe-as-safetensors", "model.safetensors", pe, "a Windows program named as safetensors")
	s.add("mach-o-universal", "model.bin", "\xca\xfe\xba\xbe"+be32(2)+be32(0x01000007)+be32(3)+be32(4096)+be32(64)+be32(12)+be32(0x0100000c)+be32(0)+be32(8192)+be32(64)+be32(14)+strings.Repeat("\x00", 8192), "a Mach-O for two machines")
	s.add("mach-o-64", "pytorch_model.bin", "\xcf\xfa\xed\xfe"+le32(0x0100000c)+le32(0)+le32(2)+le32(0)+le32(0)+le32(0)+le32(0)+strings.Repeat("\x00", 400), "a Mach-O program")
	s.add("elf-32-big-endian", "weights.gguf", "\x7fELF\x01\x02\x01"+strings.Repeat("\x00", 9)+be16(3)+be16(8)+be32(1)+strings.Repeat("\x00", 300), "a shared object for MIPS named as GGUF")
	s.add("shell-script", "model.bin", "#!/bin/sh\nset -e\ntrue\n", "a shell script named as weights")
	s.add("python-behind-env", "model.onnx", "#!/usr/bin/env -S python3 -I\nimport os\n", "a Python script named as ONNX")
	s.add("actually-portable", "model.llamafile", "MZqFpD='\n\n'\"\"\nexec true\n"+strings.Repeat("\x00", 200), "an actually portable executable")
	s.add("windows-shortcut", "model.lnk.pt", "\x4c\x00\x00\x00\x01\x14\x02\x00\x00\x00\x00\x00\xc0\x00\x00\x00\x00\x00\x00\x46"+strings.Repeat("\x00", 56), "a Windows shortcut")
	return s.cases
}

func heldWrongNames() []Case {
	s := heldCase("wrong-extension")
	s.add("pickle-as-png", "logo.png", evil(0), "a pickle named as a picture")
	s.add("pickle-as-json", "config.json", evil(3), "a pickle of protocol 0 named as JSON")
	s.add("pickle-without-extension", "weights", evil(2), "a pickle without an extension")
	s.add("torch-zip-as-h5", "model.h5", string(heldEvilZip(0, nil)), "a torch zip named as HDF5")
	s.add("keras-as-pb", "saved_model.pb", hkFile(hkModel("", hkLambda3())), "a .keras with a Lambda named as a SavedModel")
	s.add("hdf5-as-npy", "a.npy", hkH5(`{"class_name": "Sequential", "config": {"layers": [`+hkLambda2()+`]}}`), "an HDF5 with a Lambda named as an array")
	s.add("npy-as-csv", "train.csv", npyObject(evil(1)), "an object array named as a table")
	s.add("gzip-as-gguf", "model.gguf", gzipped(evil(4)), "a gzipped pickle named as GGUF")
	return s.cases
}
