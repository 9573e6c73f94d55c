package corpus

import "strings"

func benignKeras() []Case {
	s := &set{technique: "keras"}
	in := inputLayer("[null, 8]")
	l := func(class, config string) layer { return kerasLayer(class, config) }
	conv := l("Conv2D", `{"name": "conv2d", "filters": 8, "kernel_size": [3, 3], "activation": "relu", "padding": "same"}`)
	models := []struct {
		name   string
		config string
	}{
		{"dense", sequential(in, denseLayer("dense", 4), l("Dropout", `{"name": "dropout", "rate": 0.5}`), denseLayer("out", 1))},
		{"cnn", sequential(inputLayer("[null, 28, 28, 1]"), conv, l("MaxPooling2D", `{"name": "pool", "pool_size": [2, 2]}`), l("BatchNormalization", `{"name": "bn", "axis": [3], "momentum": 0.99}`), l("Flatten", `{"name": "flatten"}`), denseLayer("dense", 10))},
		{"lstm", sequential(inputLayer("[null, 20]"), l("Embedding", `{"name": "embedding", "input_dim": 1000, "output_dim": 16}`), wrapped("Bidirectional", l("LSTM", `{"name": "lstm", "units": 8, "return_sequences": true}`)), wrapped("TimeDistributed", denseLayer("td", 4)))},
		{"transformer", functional(in, l("MultiHeadAttention", `{"name": "mha", "num_heads": 2, "key_dim": 8}`), l("LayerNormalization", `{"name": "ln", "epsilon": 1e-06}`), l("Add", `{"name": "add"}`), denseLayer("out", 4))},
		{"text-vectorization", sequential(inputLayer("[null, 1]"), l("TextVectorization", `{"name": "tv", "max_tokens": 1000, "standardize": "lower_and_strip_punctuation", "split": "whitespace", "vocabulary": ["", "[UNK]", "os", "system", "/etc"], "output_mode": "int"}`), l("Embedding", `{"name": "e", "input_dim": 1000, "output_dim": 8}`))},
		{"lookup-list", sequential(inputLayer("[null, 1]"), l("StringLookup", `{"name": "lookup", "vocabulary": ["a", "b"], "num_oov_indices": 1, "oov_token": "[UNK]"}`))},
		{"names-with-lambda", sequential(in, denseLayer("lambda_1", 4), denseLayer("exec_eval_system", 4), l("Rescaling", `{"name": "lambda", "scale": 0.00392}`))},
		{"preprocessing", sequential(inputLayer("[null, 32, 32, 3]"), l("RandomFlip", `{"name": "flip", "mode": "horizontal"}`), l("Normalization", `{"name": "norm", "axis": [-1], "mean": [0.5], "variance": [1.0]}`), conv)},
		{"activations", functional(in, l("Activation", `{"name": "a", "activation": "gelu"}`), l("LeakyReLU", `{"name": "leaky", "negative_slope": 0.3}`), l("Softmax", `{"name": "s", "axis": -1}`))},
		{"nested", functional(in, layer(sequential(in, denseLayer("inner", 4))), denseLayer("out", 2))},
		{"operations", functional(in, kerasObject("keras.src.ops.numpy", "Add", `{"name": "add_op"}`), kerasObject("keras.src.ops.nn", "Relu", `{"name": "relu_op"}`), denseLayer("out", 2))},
	}
	for _, m := range models {
		s.add(m.name+"-keras", "model.keras", kerasZip(m.config), "a "+m.name+" model in a .keras")
		s.add(m.name+"-h5", "model.h5", hdf5(kerasRoot(m.config)), "a "+m.name+" model in an .h5")
	}
	s.add("weights-h5", "weights.h5", hdf5(kerasWeights3()), "weights alone")
	s.add("weights-latest", "model.weights.h5", hdf5Latest(kerasWeights3()), "weights in the latest HDF5 format")
	s.add("fixed-length-config", "model.h5", func() string {
		r := kerasRoot(models[0].config)
		r.attrs[2].fixed = true
		return hdf5(r)
	}(), "a config of fixed length, as old h5py wrote it")
	s.add("many-layers", "model.h5", func() string {
		r := &h5Object{}
		for i := range 60 {
			r.children = append(r.children, &h5Object{name: "layer_" + itoa(i), children: []*h5Object{{name: "kernel:0", floats: []int{2, 2}, data: weights(uint64(i), 4)}}})
		}
		return hdf5(r)
	}(), "sixty layers, so that the group has several nodes")
	s.add("soft-link", "data.h5", hdf5(&h5Object{children: []*h5Object{{name: "x", floats: []int{4}, data: weights(1, 4)}, {name: "alias", soft: "/x"}}}), "a soft link inside the file")
	s.add("data-h5", "dataset.h5", hdf5(&h5Object{attrs: []h5Attr{{name: "description", value: "features; see /etc/dataset"}, {name: "classes", names: []string{"cat", "dog"}}}, children: []*h5Object{{name: "features", floats: []int{16, 4}, data: weights(2, 64)}}}), "a data set")
	s.add("config-json", "config.json", models[1].config, "a model's config alone")
	return s.cases
}

// chatTemplates are in the styles of published models.
func chatTemplates() []string {
	loop := func(before, between, after string) string {
		return before + "{% for message in messages %}" + between + "{% endfor %}" + after
	}
	return []string{
		loop("", "{{'<|im_start|>' + message['role'] + '\n' + message['content'] + '<|im_end|>' + '\n'}}", "{% if add_generation_prompt %}{{ '<|im_start|>assistant\n' }}{% endif %}"),
		"{% if messages[0]['role'] == 'system' %}{% set loop_messages = messages[1:] %}{% set system_message = messages[0]['content'] %}{% else %}{% set loop_messages = messages %}{% set system_message = false %}{% endif %}{% for message in loop_messages %}{% if (message['role'] == 'user') != (loop.index0 % 2 == 0) %}{{ raise_exception('Conversation roles must alternate user/assistant/user/assistant/...') }}{% endif %}{% if loop.index0 == 0 and system_message != false %}{% set content = '<<SYS>>\\n' + system_message + '\\n<</SYS>>\\n\\n' + message['content'] %}{% else %}{% set content = message['content'] %}{% endif %}{% if message['role'] == 'user' %}{{ bos_token + '[INST] ' + content.strip() + ' [/INST]' }}{% elif message['role'] == 'assistant' %}{{ ' '  + content.strip() + ' ' + eos_token }}{% endif %}{% endfor %}",
		"{% set loop_messages = messages %}{% for message in loop_messages %}{% set content = '<|start_header_id|>' + message['role'] + '<|end_header_id|>\n\n'+ message['content'] | trim + '<|eot_id|>' %}{% if loop.index0 == 0 %}{% set content = bos_token + content %}{% endif %}{{ content }}{% endfor %}{{ '<|start_header_id|>assistant<|end_header_id|>\n\n' }}",
		"{{ bos_token }}{%- if tools is not none %}{{- '[AVAILABLE_TOOLS]' + (tools | tojson) + '[/AVAILABLE_TOOLS]' }}{%- endif %}" + loop("", "{% if message.role == 'user' %}{{ '[INST] ' + message.content + ' [/INST]' }}{% elif message.role == 'assistant' %}{{ message.content + eos_token }}{% endif %}", ""),
		"{%- set ns = namespace(is_tool=false, system_prompt='') -%}" + loop("", "{%- if message['role'] == 'system' %}{%- set ns.system_prompt = ns.system_prompt + message['content'] %}{%- endif %}", "{{ bos_token }}{{ ns.system_prompt }}"),
		"{%- macro render(content) -%}{%- if content is string -%}{{- content -}}{%- elif content is iterable -%}{%- for item in content -%}{%- if item.type == 'image' -%}<image>{%- else -%}{{- item.text -}}{%- endif -%}{%- endfor -%}{%- endif -%}{%- endmacro -%}" + loop("", "{{- message.role }}: {{ render(message.content) }}\n", ""),
		"{%- set date = strftime_now('%d %b %Y') %}{{- 'Today Date: ' + date + '\n' }}" + loop("", "{{ message.content | trim }}\n", ""),
		loop("{{ bos_token }}", "{% if not loop.first %}{{ '\n' }}{% endif %}<start_of_turn>{{ 'model' if message['role'] == 'assistant' else message['role'] }}\n{{ message['content'] | trim }}<end_of_turn>", "{% if add_generation_prompt %}\n<start_of_turn>model\n{% endif %}"),
		loop("", "{% if message['role'] == 'system' %}{{ message['content'] + '\n\n' }}{% elif message['role'] == 'user' %}{{ 'User: ' + message['content'] + '\n\n' }}{% else %}{{ 'Assistant: ' + message['content'] + eos_token }}{% endif %}", "Assistant:"),
		"{%- for message in messages %}{%- if message.tool_calls is defined and message.tool_calls %}{%- for tool_call in message.tool_calls %}{{- '<tool_call>\n{\"name\": \"' }}{{- tool_call.function.name }}{{- '\", \"arguments\": ' }}{{- tool_call.function.arguments | tojson }}{{- '}\n</tool_call>' }}{%- endfor %}{%- else %}{{- message.content }}{%- endif %}{%- endfor %}",
		"{%- set roles = messages | map(attribute='role') | list -%}{% if 'system' not in roles %}{{ 'You are a helpful assistant.' }}{% endif %}" + loop("", "{{ message.content }}", ""),
		"{%- if 'import' in messages[-1].content or 'eval' in messages[-1].content %}{{ 'Answer about code only.' }}{% endif %}" + loop("", "{{ message['content'].split('</think>')[-1].lstrip('\n') }}", ""),
		"{% for m in messages if m.role != 'system' %}{{ m.role | upper }}: {{ m.content | replace('\n', ' ') }}{{ ' ' * 2 }}{% endfor %}",
		"{%- for tool in tools | selectattr('type', 'equalto', 'function') %}{{ tool.function.name }}({{ tool.function.parameters.properties.keys() | join(', ') }}){% endfor %}" + loop("", "{{ message.content }}", ""),
		"{% set messages = messages[1:] if messages[0].role == 'system' else messages %}" + loop("", "### {{ message.role.capitalize() }}:\n{{ message.content }}\n\n", "### Assistant:\n"),
		"{{- bos_token }}{%- for message in messages %}{%- if message['content'] is mapping %}{{- message['content']['text'] }}{%- elif message['content'] is not string %}{{- message['content'] | selectattr('text', 'defined') | map(attribute='text') | join('') }}{%- else %}{{- message['content'] }}{%- endif %}{%- endfor %}",
		loop("", "{{ '<|' + message['role'] + '|>' + '\n' + message['content'] + '<|end|>' + '\n' }}", "{% if add_generation_prompt and messages[-1]['role'] != 'assistant' %}{{ '<|assistant|>\n' }}{% endif %}"),
		"{%- for k, v in documents[0].items() %}{{ k }}: {{ v }}\n{% endfor %}" + loop("", "{{ '{}: {}'.format(message.role, message.content) }}", ""),
		"{# system prompt: never run os.system or __import__ #}" + loop("", "{{ message.content }}{% if loop.last %}{{ eos_token }}{% endif %}", ""),
		"{% set sep = '\n' %}{% filter trim %}" + loop("", "{{ message.content }}{{ sep }}", "") + "{% endfilter %}",
		"{% raw %}{{ not a template }}{% endraw %}" + loop("", "{{ message.content | default('', true) | string | length }}:{{ message.content }}", ""),
		"{%- if enable_thinking is defined and enable_thinking is false %}{{- '<think>\n\n</think>\n\n' }}{%- endif %}{%- for i in range(messages|length) %}{{- messages[i].content }}{%- endfor %}",
	}
}

func benignTokenizers() []Case {
	s := &set{technique: "tokenizer"}
	for i, tpl := range chatTemplates() {
		switch i % 4 {
		case 0, 1:
			s.add("chat-template-"+itoa(i), "tokenizer_config.json", `{"add_bos_token": true, "bos_token": "<s>", "eos_token": "</s>", "chat_template": `+quote(tpl)+`, "tokenizer_class": "LlamaTokenizer", "clean_up_tokenization_spaces": false}`, "a tokenizer's config with a chat template")
		case 2:
			s.add("chat-template-"+itoa(i), "tokenizer_config.json", `{"chat_template": [{"name": "default", "template": `+quote(tpl)+`}, {"name": "rag", "template": `+quote(chatTemplates()[0])+`}], "tokenizer_class": "CohereTokenizerFast"}`, "named chat templates")
		case 3:
			s.add("chat-template-"+itoa(i), "chat_template.jinja", tpl, "a chat template in its own file")
		}
	}
	s.add("bert-config", "tokenizer_config.json", `{"cls_token": "[CLS]", "do_lower_case": true, "mask_token": "[MASK]", "model_max_length": 512, "pad_token": "[PAD]", "tokenizer_class": "BertTokenizer"}`, "a tokenizer's config without a template")
	s.add("fast-tokenizer", "tokenizer.json", `{"version": "1.0", "truncation": null, "padding": null, "added_tokens": [{"id": 0, "content": "<unk>", "special": true}], "normalizer": {"type": "NFKC"}, "pre_tokenizer": {"type": "ByteLevel", "add_prefix_space": false}, "post_processor": {"type": "TemplateProcessing", "single": [{"Sequence": {"id": "A", "type_id": 0}}]}, "decoder": {"type": "ByteLevel"}, "model": {"type": "BPE", "vocab": {"<unk>": 0, "os": 1, "system": 2, "eval": 3, "__class__": 4, "{{": 5}, "merges": ["o s", "s y"]}}`, "a fast tokenizer whose vocabulary has words that look like code")
	s.add("special-tokens", "special_tokens_map.json", `{"bos_token": {"content": "<s>", "lstrip": false, "normalized": false}, "eos_token": "</s>", "additional_special_tokens": ["<|im_start|>", "<|im_end|>"]}`, "special tokens")
	s.add("vocab", "vocab.txt", "[PAD]\n[UNK]\n[CLS]\nos\nsystem\n##eval\nimport\n__class__\n{{\n", "a WordPiece vocabulary")
	s.add("merges", "merges.txt", "#version: 0.2\nĠ t\nĠ a\nh e\ni n\n", "BPE merges")
	s.add("vocab-json", "vocab.json", `{"!": 0, "\"": 1, "Ġos": 2, "system": 3, "__import__": 4, "subclasses": 5}`, "a BPE vocabulary")
	s.add("added-tokens", "added_tokens.json", `{"<|tool_call|>": 32000, "</think>": 32001}`, "added tokens")
	s.add("sentencepiece", "tokenizer.model", pb(1, pb(1, "<unk>"), pbFloat(2, 0), pbInt(3, 2))+pb(1, pb(1, "▁the"), pbFloat(2, -3.2))+pb(2, pb(1, "spm.model"), pbInt(3, 1)), "a SentencePiece model")
	s.add("processor", "processor_config.json", `{"processor_class": "LlavaProcessor", "image_token": "<image>", "patch_size": 14}`, "a processor's config")
	s.add("tiktoken", "tokenizer.tiktoken", "IQ== 0\nIg== 1\nIw== 2\n"+strings.Repeat("b3M= 3\n", 20), "a tiktoken vocabulary")
	return s.cases
}
