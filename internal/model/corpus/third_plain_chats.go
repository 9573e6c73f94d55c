package corpus

// thirdChats are chat templates in the manner of those that models ship.
func thirdChats() []heldTemplate {
	return []heldTemplate{
		{"chatml", "{% for message in messages %}{% if loop.first and messages[0]['role'] != 'system' %}{{ '<|im_start|>system\nYou are a helpful assistant.<|im_end|>\n' }}{% endif %}{{ '<|im_start|>' + message['role'] + '\n' + message['content'] + '<|im_end|>' + '\n' }}{% endfor %}{% if add_generation_prompt %}{{ '<|im_start|>assistant\n' }}{% endif %}"},
		{"headers", "{{- bos_token }}\n{%- if not date_string is defined %}{%- set date_string = strftime_now(\"%d %b %Y\") if strftime_now is defined else \"26 Jul 2024\" %}{%- endif %}\n{%- if messages[0]['role'] == 'system' %}{%- set system_message = messages[0]['content']|trim %}{%- set messages = messages[1:] %}{%- else %}{%- set system_message = \"\" %}{%- endif %}\n{{- \"<|start_header_id|>system<|end_header_id|>\\n\\n\" }}{{- \"Today Date: \" + date_string + \"\\n\\n\" }}{{- system_message }}{{- \"<|eot_id|>\" }}\n{%- for message in messages %}{{- '<|start_header_id|>' + message['role'] + '<|end_header_id|>\\n\\n' + message['content'] | trim + '<|eot_id|>' }}{%- endfor %}\n{%- if add_generation_prompt %}{{- '<|start_header_id|>assistant<|end_header_id|>\\n\\n' }}{%- endif %}"},
		{"inst", "{{ bos_token }}{% for message in messages %}{% if (message['role'] == 'user') != (loop.index0 % 2 == 0) %}{{ raise_exception('Conversation roles must alternate user/assistant/user/assistant/...') }}{% endif %}{% if message['role'] == 'user' %}{{ '[INST] ' + message['content'] + ' [/INST]' }}{% elif message['role'] == 'assistant' %}{{ message['content'] + eos_token }}{% else %}{{ raise_exception('Only user and assistant roles are supported!') }}{% endif %}{% endfor %}"},
		{"turns", "{{ bos_token }}{% if messages[0]['role'] == 'system' %}{{ raise_exception('System role not supported') }}{% endif %}{% for message in messages %}{% if (message['role'] == 'assistant') %}{% set role = 'model' %}{% else %}{% set role = message['role'] %}{% endif %}{{ '<start_of_turn>' + role + '\n' + message['content'] | trim + '<end_of_turn>\n' }}{% endfor %}{% if add_generation_prompt %}{{'<start_of_turn>model\n'}}{% endif %}"},
		{"tools", "{%- if tools %}\n    {{- '<|im_start|>system\\n# Tools\\n\\nYou may call one or more functions to assist with the user query.\\n\\n<tools>' }}\n    {%- for tool in tools %}\n        {{- \"\\n\" }}\n        {{- tool | tojson }}\n    {%- endfor %}\n    {{- '\\n</tools><|im_end|>\\n' }}\n{%- endif %}\n{%- for message in messages %}\n    {%- if message.tool_calls %}\n        {%- for tool_call in message.tool_calls %}\n            {%- if tool_call.function is defined %}{%- set tool_call = tool_call.function %}{%- endif %}\n            {{- '<tool_call>\\n{\"name\": \"' ~ tool_call.name ~ '\", \"arguments\": ' ~ (tool_call.arguments | tojson) ~ '}\\n</tool_call>' }}\n        {%- endfor %}\n    {%- else %}\n        {{- '<|im_start|>' ~ message.role ~ '\\n' ~ message.content ~ '<|im_end|>\\n' }}\n    {%- endif %}\n{%- endfor %}"},
		{"namespace", "{%- set ns = namespace(found=false, is_tool=false, system_prompt='') %}\n{%- for message in messages %}{%- if message['role'] == 'system' %}{%- set ns.system_prompt = message['content'] %}{%- set ns.found = true %}{%- endif %}{%- endfor %}\n{{- bos_token ~ ns.system_prompt }}\n{%- for message in messages %}{%- if message['role'] == 'user' %}{{- '<｜User｜>' ~ message['content'] }}{%- elif message['role'] == 'assistant' %}{%- set content = message['content'] %}{%- if '</think>' in content %}{%- set content = content.split('</think>')[-1] %}{%- endif %}{{- '<｜Assistant｜>' ~ content ~ '<｜end▁of▁sentence｜>' }}{%- endif %}{%- endfor %}"},
		{"sections", "{% for message in messages %}\n{% if message['role'] == 'user' %}\n{{ '<|user|>\n' + message['content'] + eos_token }}\n{% elif message['role'] == 'system' %}\n{{ '<|system|>\n' + message['content'] + eos_token }}\n{% elif message['role'] == 'assistant' %}\n{{ '<|assistant|>\n'  + message['content'] + eos_token }}\n{% endif %}\n{% if loop.last and add_generation_prompt %}\n{{ '<|assistant|>' }}\n{% endif %}\n{% endfor %}"},
		{"images", "{% for message in messages %}{{ '<|' ~ message.role ~ '|>\\n' }}{% if message.content is string %}{{ message.content }}{% else %}{% for item in message.content %}{% if item.type == 'image' %}{{ '<image>' }}{% elif item.type == 'text' %}{{ item.text | replace('<image>', '') }}{% endif %}{% endfor %}{% endif %}{{ '<|end|>\\n' }}{% endfor %}"},
		{"alpaca", "{% if messages[0]['role'] == 'system' %}{% set loop_messages = messages[1:] %}{% set system_message = messages[0]['content'].strip() + '\n\n' %}{% else %}{% set loop_messages = messages %}{% set system_message = 'Below is an instruction that describes a task.\n\n' %}{% endif %}{{ system_message }}{% for m in loop_messages %}{% if m.role == 'user' %}{{ '### Instruction:\n' + m.content.strip() + '\n\n' }}{% else %}{{ '### Response:\n' + m.content.strip() + '\n\n' }}{% endif %}{% endfor %}"},
		{"documents", "{% macro document_turn(documents) -%}\n{% for document in documents %}\nDocument: {{ loop.index0 }}\n{% for key, value in document.items() %}{{ key }}: {{ value }}\n{% endfor %}{% endfor %}\n{%- endmacro %}\n{{ bos_token }}{% if documents %}{{ document_turn(documents) }}{% endif %}{% for message in messages %}{{ '<|START_OF_TURN_TOKEN|>' }}{{ {'user': '<|USER_TOKEN|>', 'assistant': '<|CHATBOT_TOKEN|>', 'system': '<|SYSTEM_TOKEN|>'}[message['role'] | lower] }}{{ message['content'] | string | trim }}{{ '<|END_OF_TURN_TOKEN|>' }}{% endfor %}"},
		{"schema", "{%- macro json_type(param) -%}\n{%- if param.type == \"array\" -%}{{- json_type(param['items']) ~ \"[]\" -}}{%- elif param.type == \"object\" -%}{{- \"{\" -}}{%- for name, p in param.properties.items() -%}{{- name ~ \": \" ~ json_type(p) -}}{%- if not loop.last %}, {% endif %}{%- endfor -%}{{- \"}\" -}}{%- else -%}{{- param.type | default('any') -}}{%- endif -%}\n{%- endmacro -%}\n{%- for tool in tools | default([]) | selectattr('type', 'equalto', 'function') | list %}{{- 'type ' ~ tool.function.name ~ ' = (_: ' ~ json_type(tool.function.parameters) ~ ') => any;\\n' }}{%- endfor %}{%- for message in messages %}{{- message.role | upper ~ ': ' ~ message.content ~ '\\n' }}{%- endfor %}"},
	}
}

func thirdPlainTokenizers() []Case {
	s := third("tokenizer")
	for i, t := range thirdChats() {
		switch i % 3 {
		case 0:
			s.add("chat-"+t.name, "tokenizer_config.json", `{"add_bos_token": true, "add_eos_token": false, "added_tokens_decoder": {"0": {"content": "<unk>", "lstrip": false, "normalized": false, "rstrip": false, "single_word": false, "special": true}, "1": {"content": "<s>", "special": true}}, "bos_token": "<s>", "chat_template": `+thirdJSON(t.text)+`, "clean_up_tokenization_spaces": false, "eos_token": "</s>", "legacy": true, "model_max_length": 1000000000000000019884624838656, "pad_token": null, "tokenizer_class": "LlamaTokenizer", "unk_token": "<unk>"}`, "a tokenizer's config with a template of "+t.name)
		case 1:
			s.add("chat-"+t.name, "chat_template.jinja", t.text, "a template of "+t.name+" in a file of its own")
		case 2:
			s.add("chat-"+t.name, "chat_template.json", `{"chat_template": `+thirdJSON(t.text)+"}\n", "a processor's template of "+t.name)
		}
	}
	s.add("two-templates", "tokenizer_config.json", `{"tokenizer_class": "CohereTokenizer", "chat_template": [{"name": "default", "template": `+thirdJSON(thirdChats()[0].text)+`}, {"name": "tool_use", "template": `+thirdJSON(thirdChats()[4].text)+`}, {"name": "rag", "template": `+thirdJSON(thirdChats()[9].text)+`}]}`, "three named templates")
	s.add("bert", "tokenizer_config.json", `{"clean_up_tokenization_spaces": true, "cls_token": "[CLS]", "do_lower_case": true, "mask_token": "[MASK]", "model_max_length": 512, "pad_token": "[PAD]", "sep_token": "[SEP]", "strip_accents": null, "tokenize_chinese_chars": true, "tokenizer_class": "BertTokenizer", "unk_token": "[UNK]"}`, "the config of BERT's tokenizer")
	s.add("whisper", "tokenizer_config.json", `{"add_prefix_space": false, "bos_token": "<|endoftext|>", "errors": "replace", "processor_class": "WhisperProcessor", "return_attention_mask": false, "tokenizer_class": "WhisperTokenizer", "dropout": null}`, "the config of Whisper's tokenizer")
	s.add("special-tokens", "special_tokens_map.json", "{\n  \"additional_special_tokens\": [\n    \"<|im_start|>\",\n    \"<|im_end|>\"\n  ],\n  \"eos_token\": {\n    \"content\": \"<|im_end|>\",\n    \"lstrip\": false,\n    \"normalized\": false,\n    \"rstrip\": false,\n    \"single_word\": false\n  },\n  \"pad_token\": \"<|endoftext|>\"\n}\n", "special tokens")
	vocabulary, merges := "", "#version: 0.2\n"
	for i, w := range heldVocabulary(300) {
		if i > 0 {
			vocabulary += ","
		}
		vocabulary += thirdJSON(w) + ":" + itoa(i)
		merges += "t ok" + itoa(i) + "\n"
	}
	s.add("bpe", "tokenizer.json", `{"version":"1.0","truncation":null,"padding":null,"added_tokens":[{"id":0,"content":"<unk>","single_word":false,"lstrip":false,"rstrip":false,"normalized":false,"special":true}],"normalizer":{"type":"Sequence","normalizers":[{"type":"Prepend","prepend":"▁"},{"type":"Replace","pattern":{"String":" "},"content":"▁"}]},"pre_tokenizer":{"type":"Split","pattern":{"Regex":"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\\r\\n\\p{L}\\p{N}]?\\p{L}+|\\p{N}{1,3}"},"behavior":"Isolated","invert":false},"post_processor":{"type":"TemplateProcessing","single":[{"SpecialToken":{"id":"<s>","type_id":0}},{"Sequence":{"id":"A","type_id":0}}],"pair":[],"special_tokens":{}},"decoder":{"type":"ByteLevel","add_prefix_space":true,"trim_offsets":true,"use_regex":true},"model":{"type":"BPE","dropout":null,"unk_token":"<unk>","fuse_unk":true,"byte_fallback":true,"vocab":{`+vocabulary+`},"merges":["t o","to k"]}}`, "a fast tokenizer")
	s.add("wordpiece", "tokenizer.json", `{"version":"1.0","normalizer":{"type":"BertNormalizer","clean_text":true,"lowercase":true},"pre_tokenizer":{"type":"BertPreTokenizer"},"decoder":{"type":"WordPiece","prefix":"##","cleanup":true},"model":{"type":"WordPiece","unk_token":"[UNK]","continuing_subword_prefix":"##","max_input_chars_per_word":100,"vocab":{"[PAD]":0,"[UNK]":100,"os":101,"system":102,"##ing":103,"import":104,"eval":105}}}`, "a WordPiece tokenizer")
	s.add("vocab-json", "vocab.json", "{"+vocabulary+"}", "a vocabulary")
	s.add("merges", "merges.txt", merges, "merges of byte pairs")
	s.add("vocab-txt", "vocab.txt", "[PAD]\n[unused0]\n[UNK]\n[CLS]\n[SEP]\n[MASK]\n!\n\"\n#\n$\nthe\nof\nand\nexec\nsubprocess\n__init__\n##s\n##ed\n", "a vocabulary of WordPiece")
	s.add("added-tokens", "added_tokens.json", `{"<tool_call>": 151657, "</tool_call>": 151658, "<|fim_prefix|>": 151659, "<|fim_middle|>": 151660}`, "added tokens")
	piece := ""
	for i, w := range append([]string{"<unk>", "<s>", "</s>"}, heldVocabulary(120)...) {
		kind := ""
		if i < 3 {
			kind = pbInt(3, []int{2, 3, 3}[i])
		}
		piece += pb(1, pb(1, w)+pbFloat(2, float32(-i))+kind)
	}
	s.add("sentencepiece", "spiece.model", piece+pb(2, pb(1, "corpus.txt")+pbInt(3, 1)+pbInt(4, 8000))+pb(3, pb(1, "nmt_nfkc")+pbInt(3, 1)), "a SentencePiece model")
	s.add("tiktoken", "qwen.tiktoken", "IQ== 0\nIg== 1\nIw== 2\nJA== 3\nJQ== 4\nb3M= 5\nc3lzdGVt 6\n", "ranks of tiktoken")
	s.add("normalizer", "normalizer.json", `{"accessorise": "accessorize", "analyse": "analyze", "colour": "color"}`, "Whisper's spellings")
	return s.cases
}
