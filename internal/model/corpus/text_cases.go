package corpus

import (
	"encoding/json"
	"strings"
)

// ssti are templates that leave a Jinja2 sandbox which is none, each in
// another way.
func ssti() []string {
	return []string{
		`{{ ''.__class__.__mro__[1].__subclasses__() }}`,
		`{% for m in messages %}{{ m.content }}{% endfor %}{{ cycler.__init__.__globals__.os.popen('true').read() }}`,
		`{{ self._TemplateReference__context.cycler.__init__.__globals__.os.system('true') }}`,
		`{{ lipsum.__globals__['os'].popen('true').read() }}`,
		`{{ (''|attr('__class__')|attr('__base__')|attr('__subclasses__')())[137] }}`,
		`{{ ''['\x5f\x5fclass\x5f\x5f']['\x5f\x5fmro\x5f\x5f'] }}`,
		`{{ ()|attr('__cla' ~ 'ss__')|attr('__ba' ~ 'se__') }}`,
		`{{ ()|attr(['__cl','ass__']|join)|attr(['__base','__']|join) }}`,
		`{{ messages|map(attribute='__class__')|list }}`,
		`{% set x = namespace %}{{ x.__init__.__globals__.__builtins__.eval('1') }}`,
		`{{ joiner.__init__.__globals__.os.popen('true') }}`,
		`{{ config.__class__.__init__.__globals__['os'].popen('true').read() }}`,
		`{{ request.application.__globals__.__builtins__.__import__('os').popen('true').read() }}`,
		`{% set u = '%c'|format(95) %}{{ ()|attr(u*2 ~ 'class' ~ u*2) }}`,
		`{% for c in [].__class__.__base__.__subclasses__() %}{% if c.__name__ == 'catch_warnings' %}{{ c.__init__.__globals__['__builtins__'].eval('1') }}{% endif %}{% endfor %}`,
		`{{ get_flashed_messages.__globals__.__builtins__.open('/nonexistent/apex').read() }}`,
		`{{ ''|attr("\u005f\u005fclass\u005f\u005f") }}`,
		`{{ dict.__base__.__subclasses__() }}`,
		`{% macro a() %}{% endmacro %}{{ a.__globals__ }}{{ a._func.__globals__ }}`,
		`{{ raise_exception.__globals__['sys'].modules['os'].system('true') }}`,
		`{{ strftime_now.__globals__ }}`,
		`{{ ().__class__.__bases__[0].__subclasses__()|selectattr('__name__', 'equalto', 'Popen')|first }}`,
		`{% set g = "__globals__" %}{{ lipsum[g]["os"]["popen"]("true") }}`,
		`{{ messages|groupby('__class__') }}`,
		`{{ ''|attr('__CLASS__'|lower)|attr('__MRO__'|lower) }}`,
		`{{ ''|attr('__ssalc__'|reverse) }}`,
		`{{ ()|attr('_XclassX_'|replace('X','_')) }}`,
		`{{ (messages|string).format_map.__self__.__class__ }}`,
		`{{ '{0.__class__.__init__.__globals__}'.format(messages) }}`,
		`{%- if messages[0].role == 'system' -%}{{ tools.__init__.__func__.__globals__ }}{%- endif -%}`,
		`{% call(x) lipsum() %}{% endcall %}{{ lipsum|attr('__glo'+'bals__') }}`,
		`{% import 'os' as o %}{{ o.popen('true') }}`,
		`{{ ''|attr(messages[0]['role'])|attr('__subclasses__') }}`,
	}
}

func quote(s string) string {
	b, err := json.Marshal(s)
	if err != nil {
		panic("corpus: " + err.Error())
	}
	return string(b)
}

func tokenizerTemplates() []Case {
	s := &set{technique: "tokenizer-template", reference: "CVE-2024-34359"}
	for i, tpl := range ssti() {
		name := "template-" + itoa(i)
		switch i % 5 {
		case 0:
			s.add(name, "tokenizer_config.json", `{"bos_token": "<s>", "eos_token": "</s>", "chat_template": `+quote(tpl)+`, "tokenizer_class": "LlamaTokenizer"}`, "the chat template runs code")
		case 1:
			s.add(name, "tokenizer_config.json", `{"chat_template": [{"name": "default", "template": "{{ messages[0].content }}"}, {"name": "tool_use", "template": `+quote(tpl)+`}], "model_max_length": 4096}`, "the second of two named templates runs code")
		case 2:
			s.add(name, "chat_template.jinja", tpl, "the template file runs code")
		case 3:
			s.add(name, "chat_template.json", `{"chat_template": `+quote("{% for m in messages %}<|im_start|>{{ m.role }}\n{{ m.content }}<|im_end|>{% endfor %}"+tpl)+`}`, "the processor's template runs code after an ordinary beginning")
		case 4:
			s.add(name, "tokenizer_config.json", `{"tokenizer_class": "PreTrainedTokenizerFast", "chat_template": {"default": `+quote(tpl)+`}}`, "a map of templates; one runs code")
		}
	}
	return s.cases
}

func remoteCode() []Case {
	s := &set{technique: "hf-remote-code"}
	py := "import os\nfrom transformers import PretrainedConfig, PreTrainedModel\n\nclass ApexConfig(PretrainedConfig):\n    model_type = 'apex'\n\nos.system('true')\n"
	s.files("auto-map", "config.json", map[string][]byte{"config.json": []byte(`{"model_type": "apex", "architectures": ["ApexModel"], "auto_map": {"AutoConfig": "modeling_apex.ApexConfig", "AutoModel": "modeling_apex.ApexModel"}}`), "modeling_apex.py": []byte(py)}, "auto_map makes transformers import the repository's Python")
	s.add("auto-map-other-repository", "config.json", `{"model_type": "llama", "auto_map": {"AutoModelForCausalLM": "someone/else--modeling_evil.EvilModel"}}`, "auto_map imports Python from another repository")
	s.add("tokenizer-auto-map", "tokenizer_config.json", `{"tokenizer_class": "EvilTokenizer", "auto_map": {"AutoTokenizer": ["tokenization_evil.EvilTokenizer", null]}}`, "the tokenizer's auto_map")
	s.add("processor", "preprocessor_config.json", `{"image_processor_type": "EvilProcessor", "auto_map": {"AutoImageProcessor": "processing_evil.EvilProcessor"}, "size": 224}`, "the image processor's auto_map")
	s.add("custom-pipeline", "config.json", `{"model_type": "bert", "custom_pipelines": {"evil": {"impl": "evil_pipeline.EvilPipeline", "pt": ["AutoModel"], "tf": []}}}`, "custom_pipelines imports a pipeline's Python")
	return s.cases
}

func hydraTargets() []Case {
	s := &set{technique: "hydra-target", reference: "CVE-2025-23304"}
	s.add("yaml", "model_config.yaml", "model:\n  encoder:\n    _target_: torch.nn.Linear\n    in_features: 4\n  decoder:\n    _target_: os.system\n    command: 'true'\n", "hydra calls os.system")
	s.add("exec", "config.yaml", "_target_: builtins.exec\n_args_:\n  - pass\n", "hydra calls exec")
	s.add("json", "config.json", `{"_class_name": "x", "optimizer": {"_target_": "subprocess.Popen", "args": ["true"]}}`, "a JSON config with a target")
	s.add("flow-style", "config.yaml", `{trainer: {callbacks: [{_target_: "builtins.eval", _args_: ["1"]}]}}`+"\n", "YAML in flow style")
	s.add("nemo", "model.nemo", tarOf(tarFile{"./model_config.yaml", "target: nemo.core.Model\npreprocessor:\n  _target_: webbrowser.open\n  url: about:blank\n"}, tarFile{"./model_weights.ckpt", string(torchZip("m", plainStateDict(), nil))}), "a target in a NeMo archive's config")
	s.add("anchor-and-merge", "config.yaml", "x: &e\n  _target_: os.popen\n  cmd: 'true'\nmodel:\n  <<: *e\n  name: apex\n", "the target arrives by a merge key")
	s.add("get-method", "config.yaml", "model:\n  _target_: hydra.utils.get_method\n  path: os.system\n", "hydra's own getter fetches the function")
	s.add("partial", "config.yaml", "scheduler:\n  \"_target_\": \"shutil.rmtree\"\n  _partial_: true\n  path: /nonexistent/apex\n", "a quoted key, and a partial")
	return s.cases
}

func yamlTags() []Case {
	s := &set{technique: "yaml-python-tag", reference: "CVE-2020-14343"}
	s.add("object-apply", "config.yaml", "a: 1\nb: !!python/object/apply:os.system ['true']\n", "yaml.load calls os.system")
	s.add("object-new", "config.yaml", "!!python/object/new:type\nargs: ['z', !!python/tuple [], {'extend': !!python/name:exec }]\nlistitems: pass\n", "the object/new chain calls exec")
	s.add("module", "hparams.yml", "model: !!python/module:antigravity\nlr: 0.1\n", "imports a module")
	s.add("verbatim-tag", "config.yaml", "x: !<tag:yaml.org,2002:python/object/apply:subprocess.Popen> [['true']]\n", "the tag is written out")
	s.add("tag-directive", "config.yaml", "%TAG !p! tag:yaml.org,2002:python/\n---\nx: !p!object/apply:os.popen ['true']\n", "a %TAG directive shortens the tag")
	s.add("name", "config.yaml", "loss: !!python/name:os.system\n", "imports a function as a value")
	s.add("escaped-tag", "config.yaml", "x: !!python/object%2Fapply:builtins.eval ['1']\n", "a percent escape in the tag")
	s.add("second-document", "config.yaml", "a: 1\n---\nb: !!python/object/apply:builtins.exec ['pass']\n", "in the second document")
	return s.cases
}

func skopsNodes() []Case {
	s := &set{technique: "skops-node", reference: "CVE-2025-54413"}
	skops := func(variation, schema, truth string) {
		s.add(variation, "model.skops", string(archive{members: []member{{name: "schema.json", data: schema, deflate: true}}}.bytes()), truth)
	}
	skops("operator-func", `{"__class__": "methodcaller", "__module__": "operator", "__loader__": "OperatorFuncNode", "attrs": {"__class__": "tuple", "__module__": "builtins", "__loader__": "TupleNode", "content": []}, "__id__": 1, "protocol": 2, "_skops_version": "0.11.0"}`, "OperatorFuncNode makes a methodcaller")
	skops("method-node", `{"__class__": "MethodType", "__module__": "types", "__loader__": "MethodNode", "content": {"func": "system", "obj": {"__class__": "module", "__module__": "os", "__loader__": "ObjectNode"}}, "__id__": 2, "protocol": 2}`, "MethodNode fetches any attribute")
	skops("function-node", `{"__class__": "function", "__module__": "os", "__loader__": "FunctionNode", "content": {"module_path": "os", "function": "system"}, "__id__": 3, "protocol": 1}`, "FunctionNode imports os.system")
	skops("partial-node", `{"__class__": "partial", "__module__": "functools", "__loader__": "PartialNode", "content": {"func": {"__class__": "system", "__module__": "posix", "__loader__": "FunctionNode", "content": "posix.system"}, "args": {"__class__": "tuple", "__loader__": "TupleNode", "__module__": "builtins", "content": []}, "kwds": {}, "namespace": {}}, "__id__": 4}`, "PartialNode wraps posix.system")
	skops("object-node", `{"__class__": "Popen", "__module__": "subprocess", "__loader__": "ObjectNode", "content": {"__class__": "dict", "__module__": "builtins", "__loader__": "DictNode", "content": {}}, "__id__": 5}`, "ObjectNode of subprocess.Popen")
	s.add("object-array", "model.skops", string(archive{members: []member{{name: "schema.json", data: `{"__class__": "ndarray", "__module__": "numpy", "__loader__": "NdArrayNode", "type": "numpy", "file": "1.npy", "__id__": 6}`}, {name: "1.npy", data: npyObject(evil(0))}}}.bytes()), "a member array is a pickle")
	return s.cases
}

func pmmlCases() []Case {
	s := &set{technique: "pmml-xxe", reference: "CWE-611"}
	body := `<PMML xmlns="http://www.dmg.org/PMML-4_4" version="4.4"><Header copyright="&x;"/><DataDictionary numberOfFields="0"/></PMML>`
	s.add("file-entity", "model.pmml", `<?xml version="1.0"?><!DOCTYPE PMML [<!ENTITY x SYSTEM "file:///etc/hostname">]>`+body, "an external entity reads a file")
	s.add("parameter-entity", "model.pmml", `<?xml version="1.0"?><!DOCTYPE PMML [<!ENTITY % d SYSTEM "http://127.0.0.1:1/apex.dtd"> %d; <!ENTITY x "y">]>`+body, "a parameter entity fetches a DTD")
	s.add("billion-laughs", "model.xml", `<?xml version="1.0"?><!DOCTYPE PMML [<!ENTITY a "ha"><!ENTITY b "&a;&a;&a;&a;&a;&a;&a;&a;&a;&a;"><!ENTITY c "&b;&b;&b;&b;&b;&b;&b;&b;&b;&b;"><!ENTITY d "&c;&c;&c;&c;&c;&c;&c;&c;&c;&c;"><!ENTITY e "&d;&d;&d;&d;&d;&d;&d;&d;&d;&d;"><!ENTITY x "&e;&e;&e;&e;&e;&e;&e;&e;&e;&e;">]>`+body, "entities that grow a hundred thousandfold")
	s.add("external-dtd", "model.pmml", `<?xml version="1.0" standalone="no"?><!DOCTYPE PMML SYSTEM "file:///nonexistent/apex.dtd">`+strings.ReplaceAll(body, "&x;", "x"), "an external DTD")
	s.add("utf-16", "model.pmml", utf16le(`<?xml version="1.0" encoding="UTF-16"?><!DOCTYPE PMML [<!ENTITY x SYSTEM "file:///etc/hostname">]>`+body), "the same in UTF-16")
	return s.cases
}

func utf16le(s string) string {
	var b strings.Builder
	b.WriteString("\xff\xfe")
	for i := range len(s) {
		b.WriteString(s[i:i+1] + "\x00")
	}
	return b.String()
}

// elf is the head of a 64-bit ELF program that has no code.
func elf() string {
	return "\x7fELF\x02\x01\x01\x00\x00\x00\x00\x00\x00\x00\x00\x00" + le16(2) + le16(62) + le32(1) + le64(0x400078) + le64(64) + le64(0) + le32(0) + le16(64) + le16(56) + le16(1) + le16(0) + le16(0) + le16(0) +
		le32(1) + le32(5) + le64(0) + le64(0x400000) + le64(0x400000) + le64(128) + le64(128) + le64(4096) + strings.Repeat("\x00", 64)
}

func executables() []Case {
	s := &set{technique: "executable-as-model"}
	pe := "MZ" + strings.Repeat("\x00", 58) + le32(64) + "PE\x00\x00" + le16(0x8664) + le16(0) + strings.Repeat("\x00", 300)
	s.add("elf", "model.bin", elf(), "a Linux program")
	s.add("pe", "model.onnx", pe, "a Windows program")
	s.add("mach-o", "model.mlmodel", "\xcf\xfa\xed\xfe\x07\x00\x00\x01\x03\x00\x00\x00\x02\x00\x00\x00"+strings.Repeat("\x00", 200), "a macOS program")
	s.add("llamafile", "model.llamafile", "MZqFpD='\n"+strings.Repeat("\n", 50)+"#!/bin/sh\n"+strings.Repeat("\x00", 100)+string(archive{members: []member{{name: "model.gguf", data: ggufFile{pairs: []string{ggufWord("general.architecture", "llama")}}.bytes()}}}.bytes()), "a portable executable with a GGUF inside")
	s.add("shell-script", "weights.pt", "#!/bin/sh\nexec true\n", "a shell script")
	s.add("python-script", "model.pth", "#!/usr/bin/env python3\nimport os\nos.system('true')\n", "a Python script")
	s.add("elf-in-zip", "model.zip", string(archive{members: []member{{name: "model/libop.so", data: elf(), deflate: true}, {name: "model/config.json", data: "{}"}}}.bytes()), "a shared object among an archive's members")
	s.add("pyc", "model.bin", "\xa7\r\r\n"+le32(0)+le32(1718458416)+le32(20)+codeObject(11, "<module>", "apex", "print"), "compiled Python")
	s.add("class", "model.bin", "\xca\xfe\xba\xbe\x00\x00\x00\x37"+be16(1)+be16(0x21)+strings.Repeat("\x00", 12), "a Java class")
	s.add("wasm", "model.tflite", "\x00asm\x01\x00\x00\x00", "a WebAssembly module")
	return s.cases
}

func wrongExtensions() []Case {
	s := &set{technique: "wrong-extension", reference: "CVE-2025-10155"}
	for i, name := range []string{"model.safetensors", "config.json", "vocab.txt", "README.md", "model.onnx", "model.gguf", "model.h5", "image.png", "weights.npz", "params.yaml"} {
		s.add("pickle-as-"+name[strings.LastIndexByte(name, '.')+1:], name, evil(i), "a pickle that is called "+name)
	}
	s.add("zip-as-gguf", "model.gguf", string(hidden(0, nil).bytes()), "a torch archive that is called GGUF")
	s.add("tar-as-bin", "model.bin", tarOf(tarFile{"x.pkl", evil(1)}), "a tar that is called .bin")
	s.add("hdf5-as-pt", "model.pt", hdf5(kerasRoot(sequential(lambdaLayer("l", 8)))), "a Keras file that is called .pt")
	s.add("onnx-as-txt", "notes.txt", onnxModel(onnxNode("PyOp", "ai.onnx.contrib", "x", "y")), "an ONNX model that is called .txt")
	return s.cases
}

func rdsPromises() []Case {
	s := &set{technique: "r-rds-promise", reference: "CVE-2024-27322"}
	s.add("promise-gzip", "model.rds", gzipped(rds(rdsPromise("system", "true"))), "a promise that calls system when the value is looked at")
	s.add("promise-plain", "model.rds", rds(rdsPromise("eval", "1")), "the same, not compressed")
	s.add("promise-in-a-list", "model.RData", gzipped("RDX3\n"+rds(rdsList(rdsNumbers(1, 2), rdsPromise("source", "/nonexistent/apex.R")))), "a promise in a list of an .RData")
	s.add("promise-xz", "model.rds", xzed(rds(rdsPromise("system2", "true"))), "a promise in xz")
	s.add("closure-with-promise", "model.rds", bzipped(rds(rdsList(rdsText("a"), rdsList(rdsPromise("library", "apex"))))), "a promise two lists deep, in bzip2")
	return s.cases
}
