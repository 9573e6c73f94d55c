package corpus

import "strings"

func heldPlainRepos() []Case {
	s := heldCase("plain-repo")
	st := safetensors(`{"__metadata__":{"format":"pt"},"embed.weight":{"dtype":"F32","shape":[4,4],"data_offsets":[0,64]}}`, weights(1, 16))
	repo := func(name, main, truth string, files ...string) {
		m := map[string][]byte{}
		for i := 0; i < len(files); i += 2 {
			m[files[i]] = []byte(files[i+1])
		}
		s.files(name, main, m, truth)
	}
	config := `{"architectures": ["LlamaForCausalLM"], "model_type": "llama", "hidden_size": 4, "torch_dtype": "bfloat16", "transformers_version": "4.44.0", "use_cache": true}`
	repo("llama", "config.json", "save_pretrained of a Llama with every usual file", "config.json", config, "generation_config.json", `{"bos_token_id": 1, "do_sample": true, "eos_token_id": [2, 3], "temperature": 0.6, "transformers_version": "4.44.0"}`,
		"tokenizer_config.json", `{"add_bos_token": true, "tokenizer_class": "LlamaTokenizer", "model_max_length": 1000000000000000019884624838656, "chat_template": "{% for message in messages %}{{ message['content'] }}{% endfor %}"}`,
		"special_tokens_map.json", `{"bos_token": {"content": "<s>", "lstrip": false, "normalized": false, "rstrip": false, "single_word": false}}`, "model.safetensors", st, "README.md", "---\nlicense: mit\n---\n# A model\n\n```python\nfrom transformers import pipeline\npipe = pipeline('text-generation', trust_remote_code=False)\n```\n", ".gitattributes", "*.safetensors filter=lfs diff=lfs merge=lfs -text\n")
	repo("sharded", "model.safetensors.index.json", "a model in two shards", "model.safetensors.index.json", `{"metadata": {"total_size": 128}, "weight_map": {"a": "model-00001-of-00002.safetensors", "b": "model-00002-of-00002.safetensors"}}`,
		"model-00001-of-00002.safetensors", safetensors(`{"a":{"dtype":"F32","shape":[16],"data_offsets":[0,64]}}`, weights(2, 16)), "model-00002-of-00002.safetensors", safetensors(`{"b":{"dtype":"BF16","shape":[32],"data_offsets":[0,64]}}`, weights(3, 16)))
	repo("clip", "preprocessor_config.json", "a CLIP with its processor and BPE", "config.json", `{"architectures": ["CLIPModel"], "model_type": "clip", "text_config": {"eos_token_id": 2}}`, "preprocessor_config.json", `{"crop_size": 224, "do_resize": true, "image_mean": [0.48, 0.45, 0.4], "image_processor_type": "CLIPImageProcessor"}`, "merges.txt", "#version: 0.2\ni n\nt h\nimport os\nex ec</w>\n", "vocab.json", `{"!": 0, "\"": 1, "system</w>": 2, "eval</w>": 3, "__</w>": 4}`)
	repo("bert-vocabulary", "vocab.txt", "BERT's vocabulary", "vocab.txt", "[PAD]\n[unused0]\n[UNK]\n[CLS]\n!\nsystem\n##exec\n__\nimport\n", "tokenizer_config.json", `{"do_lower_case": true, "tokenizer_class": "BertTokenizer"}`)
	repo("tokenizer-json", "tokenizer.json", "a fast tokenizer", "tokenizer.json", `{"version": "1.0", "truncation": null, "added_tokens": [{"id": 0, "content": "<|system|>", "special": true}], "normalizer": {"type": "NFC"}, "pre_tokenizer": {"type": "Split", "pattern": {"Regex": "(?i:'s|'t)|[^\\r\\n\\p{L}]?\\p{L}+"}, "behavior": "Isolated"}, "post_processor": {"type": "TemplateProcessing", "single": [{"Sequence": {"id": "A"}}]}, "decoder": {"type": "ByteLevel"}, "model": {"type": "BPE", "vocab": {"os": 1, ".system": 2, "{{": 3, "}}": 4, "__class__": 5}, "merges": ["o s", "{ {"]}}`)
	repo("gptq", "quantize_config.json", "a GPTQ model", "quantize_config.json", `{"bits": 4, "group_size": 128, "desc_act": true, "model_file_base_name": "model"}`, "config.json", strings.Replace(config, "}", `, "quantization_config": {"quant_method": "gptq", "bits": 4, "exllama_config": {"version": 1}}}`, 1))
	repo("diffusers", "model_index.json", "a pipeline of diffusers", "model_index.json", `{"_class_name": "StableDiffusionPipeline", "_diffusers_version": "0.30.0", "feature_extractor": ["transformers", "CLIPImageProcessor"], "safety_checker": [null, null], "unet": ["diffusers", "UNet2DConditionModel"], "scheduler": ["diffusers", "PNDMScheduler"]}`,
		"scheduler/scheduler_config.json", `{"_class_name": "PNDMScheduler", "beta_start": 0.00085, "trained_betas": null}`, "unet/config.json", `{"_class_name": "UNet2DConditionModel", "sample_size": 64}`, "unet/diffusion_pytorch_model.safetensors", st)
	repo("sentence-transformers", "modules.json", "a folder of sentence-transformers", "modules.json", `[{"idx": 0, "name": "0", "path": "", "type": "sentence_transformers.models.Transformer"}, {"idx": 1, "name": "1", "path": "1_Pooling", "type": "sentence_transformers.models.Pooling"}, {"idx": 2, "name": "2", "path": "2_Normalize", "type": "sentence_transformers.models.Normalize"}]`,
		"1_Pooling/config.json", `{"word_embedding_dimension": 384, "pooling_mode_mean_tokens": true}`, "config_sentence_transformers.json", `{"__version__": {"sentence_transformers": "3.0.1", "pytorch": "2.3.0"}, "prompts": {}, "similarity_fn_name": null}`, "sentence_bert_config.json", `{"max_seq_length": 256, "do_lower_case": false}`)
	repo("lora", "adapter_config.json", "a LoRA of peft", "adapter_config.json", `{"alpha_pattern": {}, "auto_mapping": null, "base_model_name_or_path": "meta-llama/Llama-2-7b-hf", "bias": "none", "peft_type": "LORA", "r": 16, "target_modules": ["q_proj", "v_proj"], "task_type": "CAUSAL_LM"}`, "adapter_model.safetensors", st)
	repo("lora-with-auto-mapping", "adapter_config.json", "a LoRA of peft over a model that is no AutoModel of a task", "adapter_config.json", `{"auto_mapping": {"base_model_class": "BertModel", "parent_library": "transformers.models.bert.modeling_bert"}, "base_model_name_or_path": "bert-base-uncased", "peft_type": "LORA", "r": 8}`)
	repo("whisper", "preprocessor_config.json", "Whisper's feature extractor and normaliser", "preprocessor_config.json", `{"chunk_length": 30, "feature_extractor_type": "WhisperFeatureExtractor", "processor_class": "WhisperProcessor", "sampling_rate": 16000}`, "normalizer.json", `{"accessorise": "accessorize", "finalise": "finalize"}`)
	repo("mlflow", "MLmodel", "mlflow.sklearn.save_model's text files", "MLmodel", "artifact_path: model\nflavors:\n  python_function:\n    env:\n      conda: conda.yaml\n      virtualenv: python_env.yaml\n    loader_module: mlflow.sklearn\n    model_path: model.pkl\n    predict_fn: predict\n    python_version: 3.11.7\n  sklearn:\n    code: null\n    pickled_model: model.pkl\n    serialization_format: cloudpickle\nmlflow_version: 2.13.0\n", "conda.yaml", "channels:\n- conda-forge\ndependencies:\n- python=3.11.7\n- pip:\n  - mlflow==2.13.0\nname: mlflow-env\n", "model.pkl", pickle(4, instance("sklearn.dummy.DummyClassifier", dictOf("strategy", "prior", "_sklearn_version", "1.5.0"))))
	repo("trainer-state", "trainer_state.json", "a Trainer's state, with NaN as Python writes it", "trainer_state.json", "{\n  \"best_metric\": null,\n  \"log_history\": [{\"loss\": NaN, \"grad_norm\": Infinity, \"step\": 1}]\n}\n")
	repo("spiece", "spiece.model", "a SentencePiece model", "spiece.model", pb(1, pb(1, "<unk>")+pbFloat(2, 0)+pbInt(3, 2))+pb(1, pb(1, "▁system")+pbFloat(2, -3.5))+pb(1, pb(1, "▁exec")+pbFloat(2, -4))+pb(2, pb(7, "m")+pbInt(3, 2)))
	return s.cases
}

func heldPlainTokenizers() []Case {
	s := heldCase("plain-tokenizer")
	s.add("named-templates", "tokenizer_config.json", heldJSON(map[string]any{"tokenizer_class": "CohereTokenizer", "chat_template": []any{map[string]any{"name": "default", "template": heldTurns}, map[string]any{"name": "tool_use", "template": "{% for tool in tools %}{{ tool|tojson }}{% endfor %}"}}}), "a tokenizer with named templates (Command R)")
	s.add("no-template", "tokenizer_config.json", `{"added_tokens_decoder": {"0": {"content": "__import__", "special": false}}, "tokenizer_class": "GPT2Tokenizer", "errors": "replace"}`, "a tokenizer whose vocabulary has Python words")
	s.add("processor", "processor_config.json", heldJSON(map[string]any{"processor_class": "LlavaProcessor", "patch_size": 14, "chat_template": "{% for m in messages %}{{ m['role'].upper() }}: {% for c in m['content']|selectattr('type', 'equalto', 'image') %}<image>\n{% endfor %}{% endfor %}"}), "LLaVA's processor")
	s.add("chat-template-json", "chat_template.json", heldJSON(map[string]any{"chat_template": heldChats()[0].text}), "a processor's chat_template.json")
	return s.cases
}

// heldChats are templates in the manner of published models: every construct
// of Jinja that they use, and the words that substring lists trip over.
func heldChats() []heldTemplate {
	return []heldTemplate{
		{"chatml", "{% for message in messages %}{{'<|im_start|>' + message['role'] + '\n' + message['content'] + '<|im_end|>' + '\n'}}{% endfor %}{% if add_generation_prompt %}{{ '<|im_start|>assistant\n' }}{% endif %}"},
		{"llama-2", "{% if messages[0]['role'] == 'system' %}{% set loop_messages = messages[1:] %}{% set system_message = messages[0]['content'] %}{% else %}{% set loop_messages = messages %}{% set system_message = false %}{% endif %}{% for message in loop_messages %}{% if (message['role'] == 'user') != (loop.index0 % 2 == 0) %}{{ raise_exception('Conversation roles must alternate user/assistant/user/assistant/...') }}{% endif %}{{ bos_token + '[INST] ' + message['content'].strip() + ' [/INST]' }}{% endfor %}"},
		{"llama-3.1-tools", "{{- bos_token }}{%- if not date_string is defined %}{%- if strftime_now is defined %}{%- set date_string = strftime_now(\"%d %b %Y\") %}{%- else %}{%- set date_string = \"26 Jul 2024\" %}{%- endif %}{%- endif %}{%- if tools is not none %}{{- \"Environment: ipython\\n\" }}{%- for t in tools %}{{- t | tojson(indent=4) }}{%- endfor %}{%- endif %}{%- for message in messages %}{%- if 'tool_calls' in message %}{%- set tool_call = message.tool_calls[0].function %}{{- '{\"name\": \"' + tool_call.name + '\", ' }}{%- endif %}{%- endfor %}"},
		{"namespace", "{%- set ns = namespace(is_first=false, is_tool=false, system_prompt='') -%}{%- for message in messages %}{%- if message['role'] == 'system' %}{%- set ns.system_prompt = message['content'] %}{%- endif %}{%- endfor %}{{ bos_token }}{{ ns.system_prompt }}"},
		{"macro", "{% macro render_item_list(item_list, tag_name='required') %}{%- if item_list is iterable and item_list is not string %}\n<{{ tag_name }}>{{ item_list|join(', ') }}</{{ tag_name }}>{%- endif %}{% endmacro %}{% for tool in tools %}{{ render_item_list(tool.function.parameters.required) }}{% endfor %}"},
		{"recursive-macro", "{%- macro json_to_python_type(json_spec) %}{%- set basic_type_map = {\"string\": \"str\", \"number\": \"float\", \"integer\": \"int\", \"boolean\": \"bool\"} %}{%- if basic_type_map[json_spec.type] is defined %}{{- basic_type_map[json_spec.type] }}{%- elif json_spec.type == \"array\" %}{{- \"list[\" + json_to_python_type(json_spec|items) + \"]\" }}{%- else %}{{- \"Any\" }}{%- endif %}{%- endmacro %}{% for t in tools %}{{ json_to_python_type(t) }}{% endfor %}"},
		{"words", "You may write import os, exec, eval, system(), subprocess, __init__.py and open('file').{% for m in messages %}{{ m.content }}{% endfor %} Never reveal __class__ or __globals__."},
		{"deepseek-think", "{% for m in messages %}{% set content = m['content'] %}{% if '</think>' in content %}{% set content = content.split('</think>')[-1] %}{% endif %}{{'<｜Assistant｜>' + content + '<｜end▁of▁sentence｜>'}}{% endfor %}"},
		{"reversed-loop", "{%- for message in messages[::-1] %}{%- set index = (messages|length - 1) - loop.index0 %}{%- if message.role == \"user\" and not(message.content.startswith('<tool_response>') and message.content.endswith('</tool_response>')) %}{{ index }}{%- endif %}{%- endfor %}"},
		{"selectattr-map", "{% set system = messages | selectattr('role', 'equalto', 'system') | map(attribute='content') | join('\n') %}{{ system }}{% for m in messages | rejectattr('role', 'equalto', 'system') %}{{ m.content | trim }}{% endfor %}"},
		{"items", "{% for name, param in tools[0].parameters.properties.items() %}{{ name ~ ': ' ~ param.type | default('any') }}{% if not loop.last %}, {% endif %}{% endfor %}"},
		{"generation-block", "{% for m in messages %}{% if m.role == 'assistant' %}{% generation %}{{ m.content }}<|end|>{% endgeneration %}{% else %}{{ m.content }}{% endif %}{% endfor %}"},
		{"break", "{% for m in messages %}{% if m.role == 'stop' %}{% break %}{% endif %}{% if not m.content %}{% continue %}{% endif %}{{ m.content }}{% endfor %}"},
		{"filter-block", "{% filter trim %}{% for m in messages %} {{ m.content|e|replace('\"', '\\\\\"') }} {% endfor %}{% endfilter %}{# a comment about __class__ and os.system #}"},
		{"raw", "{% raw %}{{ not.a.__class__ }} {% exec %}{% endraw %}{% for m in messages %}{{ m.content }}{% endfor %}"},
		{"call-block", "{% macro turn(role) %}<{{ role }}>{{ caller() }}</{{ role }}>{% endmacro %}{% for m in messages %}{% call turn(m.role) %}{{ m.content }}{% endcall %}{% endfor %}"},
		{"set-block", "{% set sys %}You are {{ name|default('an assistant') }}.{% endset %}{{ sys }}{% for m in messages %}{{ loop.cycle('A', 'B') }}: {{ m.content }}{% endfor %}"},
		{"ternary-and-tests", "{{ 'x' if messages is defined and messages is not none and messages|length > 0 else '' }}{{ messages[0].content is string }}{{ (3 is odd) and (2 is divisibleby 2) }}"},
		{"math", "{% set ns = namespace(n=0) %}{% for m in messages %}{% set ns.n = ns.n + m.content|length // 4 ** 1 %}{% endfor %}{{ ns.n }} {{ range(3)|list|sum }}"},
		{"dictsort-groupby", "{% for role, group in messages|groupby('role') %}{{ role }}: {{ group|map(attribute='content')|join(' ') }}{% endfor %}{% for k, v in options|dictsort %}{{ k }}={{ v }}{% endfor %}"},
		{"unicode-escapes", "{{ \"\\u003c|user|\\u003e\\x0a\" }}{% for m in messages %}{{ m.content }}{% endfor %}"},
		{"python-code-example", "{%- for t in tools %}\n```python\nimport os\ndef {{ t.name }}(path: str) -> str:\n    return os.popen(path).read()  # __import__('os').system\n```\n{%- endfor %}"},
		{"attr-of-role", "{% for m in messages %}{{ m|attr('role')|default(m.role, true)|upper }}{{ m['content'] }}{% endfor %}"},
		{"slices", "{% for chunk in messages|batch(2) %}{% for m in chunk %}{{ m.content[:100] }}{% endfor %}{% endfor %}"},
		{"get-method", "{% for m in messages %}{{ m.get('name', '') }}{{ m.get('tool_call_id') or '' }}{{ m.content|string|indent(2)|wordwrap(80) }}{% endfor %}"},
		{"json-schema", "{% for tool in tools %}{{ tool.function.parameters|tojson }}{{ tool['function']['description'].split('\\n')[0]|safe }}{% endfor %}"},
		{"mistral-tools", "{%- set user_messages = messages | selectattr(\"role\", \"equalto\", \"user\") | list %}{%- for key, val in tools[0].function.items() if key != \"return\" %}{{- '\"' + key + '\": \"' + val + '\"' }}{%- endfor %}{%- if loop is defined and loop.last %}[/AVAILABLE_TOOLS]{%- endif %}"},
		{"gemma", "{{ bos_token }}{% if messages[0]['role'] == 'system' %}{{ raise_exception('System role not supported') }}{% endif %}{% for message in messages %}{% if (message['role'] == 'assistant') %}{% set role = 'model' %}{% else %}{% set role = message['role'] %}{% endif %}{{ '<start_of_turn>' + role + '\n' + message['content'] | trim + '<end_of_turn>\n' }}{% endfor %}"},
		{"format-filter", "{{ '%s: %s' % ('user', messages[0].content) }}{{ '%d'|format(messages|length) }}{{ \"{} of {}\".format(1, 2) }}"},
		{"loop-changed", "{% for m in messages %}{% if loop.changed(m.role) %}[{{ m.role }}]{% endif %}{{ loop.previtem.content if loop.previtem is defined else '' }}{{ m.content }}{% else %}empty{% endfor %}"},
		{"vision", "{% set image_count = namespace(value=0) %}{% for m in messages %}{% for c in m['content'] %}{% if c['type'] == 'image' or 'image_url' in c %}{% set image_count.value = image_count.value + 1 %}Picture {{ image_count.value }}: <|vision_start|><|image_pad|><|vision_end|>{% elif 'text' in c %}{{ c['text'] }}{% endif %}{% endfor %}{% endfor %}"},
	}
}

func heldPlainChats() []Case {
	s := heldCase("plain-chat-template")
	for i, t := range heldChats() {
		if i%2 == 0 {
			s.add(t.name, "tokenizer_config.json", heldJSON(map[string]any{"tokenizer_class": "PreTrainedTokenizerFast", "bos_token": "<s>", "chat_template": t.text}), "a chat template as published models have them: "+t.name)
			continue
		}
		s.add(t.name, "chat_template.jinja", t.text, "chat_template.jinja as transformers 4.50 saves it: "+t.name)
	}
	return s.cases
}

func heldPlainGGUF() []Case {
	s := heldCase("plain-gguf")
	base := []string{ggufWord("general.architecture", "llama"), ggufNumber("llama.block_count", 2), ggufNumber("general.file_type", 1)}
	add := func(name string, g ggufFile, truth string) { s.add(name, "model.gguf", g.bytes(), truth) }
	tensors := []ggufTensor{{name: "token_embd.weight", dims: []int{8, 4}}, {name: "output.weight", dims: []int{8, 4}, offset: 128}}
	scores := le32(ggufFloat32) + le64(30_000) + weights(7, 30_000)
	add("thirty-thousand-tokens", ggufFile{pairs: append(base, ggufTexts("tokenizer.ggml.tokens", heldVocabulary(30_000)...), ggufPair("tokenizer.ggml.scores", ggufArray, scores)), tensors: tensors, data: weights(8, 64)}, "convert_hf_to_gguf with a large vocabulary")
	for i, t := range heldChats()[2:8] {
		add("template-"+t.name, ggufFile{pairs: append(base[:3:3], ggufWord("tokenizer.chat_template", t.text), ggufTexts("tokenizer.chat_templates", "tool_use"), ggufWord("tokenizer.chat_template.tool_use", heldChats()[i].text)), tensors: tensors, data: weights(8, 64)}, "GGUF with the template "+t.name)
	}
	add("version-2-empty", ggufFile{version: 2, pairs: base}, "a vocabulary-only GGUF of version 2")
	add("alignment-64", ggufFile{pairs: append(base, ggufNumber("general.alignment", 64)), alignment: 64, tensors: tensors[:1], data: weights(9, 32)}, "another alignment")
	add("imatrix", ggufFile{pairs: []string{ggufWord("general.type", "imatrix"), ggufTexts("imatrix.datasets", "wiki.train.raw"), ggufNumber("imatrix.chunk_count", 100)}, tensors: tensors[:1], data: weights(10, 32)}, "llama-imatrix's output")
	add("bool-and-numbers", ggufFile{pairs: append(base, ggufPair("tokenizer.ggml.add_bos_token", ggufBool, "\x01"), ggufPair("x.u64", ggufUint64, le64(5)), ggufPair("x.i32", ggufInt32, le32(-5)), ggufPair("llama.rope.freq_base", ggufFloat32, lef32(10000)), ggufPair("llama.ff", ggufArray, le32(ggufInt32)+le64(0)))}, "every kind of value, one array empty")
	return s.cases
}

func heldPlainTensors() []Case {
	s := heldCase("plain-safetensors")
	add := func(name, header, data, truth string) {
		s.add(name, "model.safetensors", safetensors(header, data), truth)
	}
	add("empty-tensor", `{"a":{"dtype":"F32","shape":[0,4],"data_offsets":[0,0]},"b":{"dtype":"F32","shape":[],"data_offsets":[0,4]}}`, "\x00\x00\x80\x3f", "a tensor of no elements and one of no dimensions")
	add("no-tensors", `{"__metadata__":{"format":"pt"}}`, "", "metadata and no tensor")
	add("metadata-of-a-lora", `{"__metadata__":{"ss_network_args":"{\"conv_dim\": 8, \"lambda\": 1}","ss_tag_frequency":"{\"img\": {\"import\": 3}}","modelspec.thumbnail":"data:image/jpeg;base64,/9j/4AAQ","sshs_legacy_hash":"0a1b"},"lora_unet.weight":{"dtype":"F16","shape":[8],"data_offsets":[0,16]}}`, weights(1, 4), "a LoRA of kohya-ss with its training metadata")
	add("not-in-order", `{"b":{"dtype":"I64","shape":[1],"data_offsets":[8,16]},"a":{"dtype":"BF16","shape":[4],"data_offsets":[0,8]}}`, weights(2, 4), "tensors that are not in the order of their bytes")
	add("float8", `{"a":{"dtype":"F8_E4M3","shape":[8],"data_offsets":[0,8]},"b":{"dtype":"F8_E5M2","shape":[8],"data_offsets":[8,16]},"c":{"dtype":"U8","shape":[4],"data_offsets":[16,20]},"d":{"dtype":"BOOL","shape":[4],"data_offsets":[20,24]}}`, weights(3, 6), "small types")
	add("names-in-unicode", `{"слой.вес":{"dtype":"F32","shape":[1],"data_offsets":[0,4]},"层":{"dtype":"F32","shape":[1],"data_offsets":[4,8]}}`, weights(4, 2), "names that are not ASCII")
	add("bytes-that-look-like-a-pickle", `{"w":{"dtype":"U8","shape":[`+itoa(len(sysTrue)+3)+`],"data_offsets":[0,`+itoa(len(sysTrue)+3)+`]}}`, opProto(2)+sysTrue+opStop, "bytes of a tensor that happen to be a pickle: nobody reads them as one")
	odd := `{"w":{"dtype":"F32","shape":[1],"data_offsets":[0,4]}}`
	s.add("unpadded", "model.safetensors", le64(len(odd))+odd+weights(5, 1), "a header of an odd length, as old versions wrote")
	return s.cases
}
