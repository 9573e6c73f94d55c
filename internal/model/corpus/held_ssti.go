package corpus

import "encoding/json"

// heldTemplate is a Jinja template that leaves the sandbox, or would without
// one: each reaches an attribute that leads to code, in another way.
type heldTemplate struct{ name, text string }

const heldTurns = "{% for m in messages %}<|{{ m.role }}|>{{ m.content }}{% endfor %}"

func heldSSTI() []heldTemplate {
	return []heldTemplate{
		{"attr-with-a-concatenation", heldTurns + `{% set c = "__cl" ~ "ass__" %}{{ (messages|attr(c))|attr("__m" ~ "ro__") }}`},
		{"groupby", heldTurns + `{% for g in messages|groupby("__class__") %}{{ g }}{% endfor %}`},
		{"map-attribute-path", heldTurns + `{{ [bos_token]|map(attribute="__class__.__mro__.1.__subclasses__")|list }}`},
		{"function-globals", heldTurns + `{{ raise_exception.__globals__["os"].popen("true").read() }}`},
		{"reversed-slice", heldTurns + `{{ cycler|attr("__tini__"[::-1])|attr("__slabolg__"[::-1]) }}`},
		{"format", heldTurns + `{% set u = "%c%c" % (95, 95) %}{{ lipsum|attr(u ~ "globals" ~ u) }}`},
		{"hexadecimal", heldTurns + `{{ ""["\x5f\x5fclass\x5f\x5f"]["\x5f\x5fbase\x5f\x5f"] }}`},
		{"replace-filter", heldTurns + `{{ namespace|attr("..init..".replace(".", "_")) }}`},
		{"join-of-a-list", heldTurns + `{{ joiner|attr(["__in", "it__"]|join)|attr(["__glo", "bals__"]|join) }}`},
		{"selectattr", heldTurns + `{{ messages|selectattr("content.__class__.__init__.__globals__")|list }}`},
		{"macro-argument", `{% macro get(o, k) %}{{ o|attr(k) }}{% endmacro %}` + heldTurns + `{{ get(self, "__init__") }}`},
		{"keys-of-a-dict", heldTurns + `{% set d = dict(__globals__=1) %}{{ strftime_now|attr(d|first) }}`},
		{"underscores-from-select", heldTurns + `{% set p = (lipsum|string|list)[18] %}{{ ()|attr([p, p, "class", p, p]|join) }}`},
		{"sort-attribute", heldTurns + `{{ [tools]|sort(attribute="__class__.__base__")|first }}`},
		{"format-map-of-a-string", heldTurns + `{{ "{0.__class__.__init__.__globals__}".format(messages) }}`},
	}
}

func heldJSON(v any) string {
	b, err := json.MarshalIndent(v, "", "  ")
	if err != nil {
		panic("corpus: json: " + err.Error())
	}
	return string(b)
}

func heldTemplates() []Case {
	s := heldCase("tokenizer-template")
	for i, t := range heldSSTI() {
		switch i % 5 {
		case 0:
			s.add(t.name, "tokenizer_config.json", heldJSON(map[string]any{"bos_token": "<s>", "tokenizer_class": "LlamaTokenizerFast", "chat_template": t.text}), t.name+" in chat_template")
		case 1:
			s.add(t.name, "tokenizer_config.json", heldJSON(map[string]any{"chat_template": []any{map[string]any{"name": "default", "template": heldTurns}, map[string]any{"name": "rag", "template": t.text}}}), t.name+" in the second of the named templates")
		case 2:
			s.add(t.name, "chat_template.jinja", t.text, t.name+" in chat_template.jinja")
		case 3:
			s.add(t.name, "chat_template.json", heldJSON(map[string]any{"chat_template": t.text}), t.name+" in a processor's chat_template.json")
		case 4:
			s.add(t.name, "processor_config.json", heldJSON(map[string]any{"processor_class": "LlavaProcessor", "chat_template": t.text}), t.name+" in processor_config.json")
		}
	}
	s.files("additional-template", "additional_chat_templates/tool_use.jinja", map[string][]byte{"additional_chat_templates/tool_use.jinja": []byte(heldSSTI()[3].text), "tokenizer_config.json": []byte(`{"tokenizer_class": "Qwen2Tokenizer"}`)}, "a template in additional_chat_templates")
	return s.cases
}
