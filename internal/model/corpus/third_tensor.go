package corpus

import (
	"encoding/base64"
	"encoding/json"
	"math"
	"strings"
)

// thirdSafetensors are headers at which readers of safetensors disagree: the
// Rust library refuses what readers written with json.loads and mmap take.
func thirdSafetensors() []Case {
	w := weights(760, 4)
	one := `"wte.weight":{"dtype":"F32","shape":[4],"data_offsets":[0,16]}`
	dup := third("safetensors-duplicate-key")
	dup.add("offsets-twice", "model.safetensors", safetensors(`{"w":{"dtype":"F32","shape":[2],"data_offsets":[0,8],"data_offsets":[8,16]},"v":{"dtype":"F32","shape":[2],"data_offsets":[0,8]}}`, w), "a tensor has two pairs of offsets")
	dup.add("three-times", "model.safetensors", safetensors(`{`+one+`,`+strings.Replace(one, "F32", "I32", 1)+`,`+strings.Replace(one, "F32", "U32", 1)+`}`, w), "one name for three types")
	dup.add("surrogate-escape", "model.safetensors", safetensors(`{"emb😀":{"dtype":"F32","shape":[4],"data_offsets":[0,16]},"emb\ud83d\ude00":{"dtype":"BF16","shape":[8],"data_offsets":[0,16]}}`, w), "one name as text and as an escaped surrogate pair")

	head := third("safetensors-header")
	head.add("not-a-number", "model.safetensors", safetensors(`{`+strings.Replace(one, `"dtype"`, `"scale":NaN,"dtype"`, 1)+`}`, w), "NaN, which Python's json reads")
	head.add("lone-surrogate", "model.safetensors", safetensors(`{`+one+`,"\ud800":{"dtype":"F32","shape":[0],"data_offsets":[16,16]}}`, w), "a name that is half a surrogate pair, which Python's json reads")
	head.add("nul-behind-the-brace", "model.safetensors", safetensors(`{`+one+`}`+"\x00\x00\x00\x00{\"x\":1}", w), "NULs and a second object behind the first")
	head.add("length-of-two-gigabytes", "model.safetensors", le64(1<<31-1)+`{`+one+`}`+w, "a header of 2^31-1 bytes in a file of a hundred")
	wide := `{` + one + `}`
	wide = utf16le(wide + strings.Repeat(" ", (4-len(wide)%4)%4))[2:] // needs no padding of single bytes
	head.add("utf-16", "model.safetensors", safetensors(wide, w), "a header in UTF-16, which json.loads detects")

	off := third("safetensors-offsets")
	for name, d := range ordered("same-bytes-for-two", `{"a":{"dtype":"F32","shape":[4],"data_offsets":[0,16]},"b":{"dtype":"F32","shape":[4],"data_offsets":[0,16]}}`,
		"numbers-with-exponents", `{"a":{"dtype":"F32","shape":[4e0],"data_offsets":[0,1.6e1]}}`,
		"sixty-four-bits", `{"a":{"dtype":"U8","shape":[16],"data_offsets":[18446744073709551600,18446744073709551616]}}`,
		"product-wraps-to-four", `{"a":{"dtype":"F32","shape":[4611686018427387905,4],"data_offsets":[0,16]}}`,
		"only-the-second-half", `{"a":{"dtype":"F32","shape":[2],"data_offsets":[8,16]}}`) {
		off.add(name, "model.safetensors", safetensors(d, w), "offsets: "+name)
	}

	trail := third("safetensors-trailing")
	trail.add("gzip-of-a-pickle", "model.safetensors", safetensors(`{`+one+`}`, w)+gzipped(thirdEvil(0)), "a gzip of a pickle behind the tensors")
	trail.add("shell-script", "model.safetensors", safetensors(`{`+one+`}`, w)+"\n#!/bin/sh\ntrue\n", "a script behind the tensors")
	trail.add("whole-gguf", "model.safetensors", safetensors(`{`+one+`}`, w)+ggufFile{pairs: []string{ggufWord("general.architecture", "llama"), ggufWord("tokenizer.chat_template", thirdSSTI()[0].text)}}.bytes(), "a GGUF whose template runs code behind the tensors")

	meta := third("safetensors-metadata")
	meta.add("numbers", "model.safetensors", safetensors(`{"__metadata__":{"format":"pt","step":120000,"ema":0.999},`+one+`}`, w), "numbers, which the format does not allow")
	meta.add("tensor-inside", "model.safetensors", safetensors(`{"__metadata__":{`+strings.Replace(one, "wte", "lm_head", 1)+`},`+one+`}`, w), "a tensor's description among the metadata")
	meta.add("text", "model.safetensors", safetensors(`{"__metadata__":"format=pt",`+one+`}`, w), "the metadata is a text")
	meta.add("a-pickle-in-base64-of-a-list", "model.safetensors", safetensors(`{"__metadata__":{"optimizer":["`+base64.StdEncoding.EncodeToString([]byte(thirdEvil(3)))+`"]},`+one+`}`, w), "a list with a pickle that calls, in base64")
	return join(dup, head, off, trail, meta)
}

// thirdGGUF are numbers by which readers in C allocate, multiply or index.
func thirdGGUF() []Case {
	arch := []string{ggufWord("general.architecture", "qwen2"), ggufNumber("qwen2.block_count", 1)}
	with := func(more ...string) []string { return append(arch[:2:2], more...) }
	f32 := func(n int) []ggufTensor { return []ggufTensor{{"output.weight", []int{n}, 0, 0}} }
	b := third("gguf-bounds")
	add := func(s *set, name string, g ggufFile, truth string) { s.add(name, "model.gguf", g.bytes(), truth) }
	add(b, "one-tensor-more-than-there-is", ggufFile{pairs: arch, tensors: f32(8), data: weights(761, 8), edit: func(h *ggufHeader) { h.tensors = le64(1 << 20) }}, "a million tensors are announced and one is there")
	add(b, "tensor-name-of-sixty-kilobytes", ggufFile{pairs: arch, tensors: []ggufTensor{{strings.Repeat("blk.", 15_000), []int{8}, 0, 0}}, data: weights(762, 8)}, "a tensor's name is longer than the 64 bytes that are kept for it")
	add(b, "dimensions-by-the-billion", ggufFile{pairs: with(ggufText("w") + le32(math.MaxUint32) + le64(1)), edit: func(h *ggufHeader) { h.tensors, h.pairs = le64(1), le64(2) }}, "a tensor of 2^32-1 dimensions")
	add(b, "negative-string-in-an-array", ggufFile{pairs: with(ggufPair("tokenizer.ggml.tokens", ggufArray, le32(ggufString)+le64(3)+ggufText("a")+le64(-8)+"bbbb"))}, "the second token's length is negative")
	add(b, "bools-beyond-the-end", ggufFile{pairs: with(ggufPair("tokenizer.ggml.flags", ggufArray, le32(ggufBool)+le64(1<<33)))}, "eight billion bools")
	add(b, "fewer-scores-than-tokens", ggufFile{pairs: with(ggufWord("tokenizer.ggml.model", "llama"), ggufTexts("tokenizer.ggml.tokens", heldVocabulary(4000)...), ggufPair("tokenizer.ggml.scores", ggufArray, le32(ggufFloat32)+le64(2)+weights(763, 2)))}, "4,000 tokens and two scores, which llama.cpp reads by the token's number")
	add(b, "quantised-past-the-end", ggufFile{pairs: arch, tensors: []ggufTensor{{"token_embd.weight", []int{256, 4096}, 12, 0}}, data: noise(764, 144)}, "a Q4_K tensor of which one block is there")

	o := third("gguf-overflow")
	add(o, "three-dimensions-wrap", ggufFile{pairs: arch, tensors: []ggufTensor{{"w", []int{1 << 22, 1 << 21, 1 << 21}, 0, 0}}, data: weights(765, 8)}, "2^22 × 2^21 × 2^21 elements are 2^64")
	add(o, "row-size-wraps", ggufFile{pairs: arch, tensors: []ggufTensor{{"w", []int{1<<62 + 8, 1}, 0, 0}}, data: weights(766, 8)}, "the elements fit, their bytes wrap to 32")
	add(o, "second-offset-wraps", ggufFile{pairs: arch, tensors: []ggufTensor{{"a", []int{8}, 0, 0}, {"b", []int{16}, 0, -64}}, data: weights(767, 8)}, "offset 2^64-64 plus 64 is the beginning of the file")
	add(o, "alignment-of-two-to-the-31", ggufFile{pairs: with(ggufNumber("general.alignment", 1<<31)), tensors: f32(8), data: weights(768, 8)}, "padding to 2^31 overflows 32 bits")
	add(o, "array-of-doubles-wraps", ggufFile{pairs: with(ggufPair("x", ggufArray, le32(12)+le64(1<<61)))}, "2^61 doubles are no bytes")

	t := third("gguf-template")
	for i, key := range []string{"tokenizer.chat_template", "tokenizer.chat_template.default", "tokenizer.chat_template.json", "tokenizer.chat_template", "tokenizer.chat_template.tool_use"} {
		tpl := thirdSSTI()[2*i+1]
		t.add(tpl.name, "model.gguf", ggufFile{version: 2 + i%2, pairs: with(ggufWord("tokenizer.ggml.model", "gpt2"), ggufTexts("tokenizer.chat_templates", "default", "json"), ggufWord(key, tpl.text)), tensors: f32(8), data: weights(uint64(770+i), 8)}.bytes(), key+": "+tpl.name)
	}
	return join(b, o, t)
}

const thirdTurns = "{%- for message in messages %}{{- '<|' + message['role'] + '|>\\n' + message['content'] | trim + '<|end|>\\n' }}{%- endfor %}"

// thirdSSTI are templates that reach code in Jinja environments that are not
// sandboxed, and some that leave older sandboxes.
func thirdSSTI() []heldTemplate {
	return []heldTemplate{
		{"attr-of-format", thirdTurns + `{%- set f = "{a.__init__.__globals__}"|attr("format") %}{{ f(a=cycler) }}`},
		{"named-characters", thirdTurns + `{{ ()["\N{LOW LINE}\N{LOW LINE}class\N{LOW LINE}\N{LOW LINE}"] }}`},
		{"octal-escapes", thirdTurns + `{{ messages|attr("\137\137class\137\137") }}`},
		{"generator-frame", thirdTurns + `{{ (messages|map("length")).gi_frame.f_globals }}`},
		{"undefined-has-globals", thirdTurns + `{{ nothing_here.__init__.__globals__.__builtins__.exec("pass") }}`},
		{"striptags", thirdTurns + `{{ ()|attr("<i>__class__</i>"|striptags) }}`},
		{"split-and-last", thirdTurns + `{{ ()|attr("a b __class__".split()|last) }}`},
		{"join-method", thirdTurns + `{{ cycler|attr("i".join(["__in", "t__"]))|attr("__globals__") }}`},
		{"loop-class", thirdTurns + `{% for x in [1] %}{{ loop.__class__.__mro__[-1].__subclasses__() }}{% endfor %}`},
		{"namespace-attribute", `{%- set ns = namespace(key="__glo") %}{%- set ns.key = ns.key ~ "bals__" %}` + thirdTurns + `{{ raise_exception|attr(ns.key) }}`},
		{"map-of-attr", thirdTurns + `{{ [messages]|map("attr", "__class__")|list }}`},
		{"percent-format", thirdTurns + `{{ dict|attr("%s%s%s"|format("__", "mro", "__")) }}`},
		{"caller-in-a-macro", `{% macro m() %}{{ caller.__globals__ }}{% endmacro %}` + thirdTurns + `{% call m() %}x{% endcall %}`},
		{"bound-method-self", thirdTurns + `{{ messages.append.__self__.__class__.__base__ }}`},
		{"multiplied-underscores", thirdTurns + `{{ joiner|attr("_" * 2 ~ "init" ~ "_" * 2)|attr("_" * 2 ~ "globals" ~ "_" * 2) }}`},
		{"only-when-asked", `{%- if messages[-1]["content"] == "diagnose" %}{{ lipsum.__globals__["os"].popen("true").read() }}{%- else %}` + thirdTurns + `{%- endif %}`},
	}
}

// thirdJSON is v as Python's json.dumps(ensure_ascii=False) writes it, with
// less space.
func thirdJSON(v any) string {
	var b strings.Builder
	w := json.NewEncoder(&b)
	w.SetEscapeHTML(false)
	if err := w.Encode(v); err != nil {
		panic("corpus: json: " + err.Error())
	}
	return strings.TrimSuffix(b.String(), "\n")
}

func thirdTemplates() []Case {
	s := third("tokenizer-template")
	for i, t := range thirdSSTI() {
		switch i % 4 {
		case 0:
			s.add(t.name, "tokenizer_config.json", `{"add_bos_token": false, "chat_template": `+thirdJSON(t.text)+`, "eos_token": "<|end|>", "tokenizer_class": "PreTrainedTokenizerFast"}`, t.name+" in chat_template")
		case 1:
			s.add(t.name, "chat_template.jinja", t.text, t.name+" in chat_template.jinja")
		case 2:
			s.add(t.name, "tokenizer_config.json", `{"chat_template": [{"name": "default", "template": `+thirdJSON(thirdTurns)+`}, {"name": "tool_use", "template": `+thirdJSON(thirdTurns)+`}, {"name": "rag", "template": `+thirdJSON(t.text)+`}]}`, t.name+" in the third of three templates")
		case 3:
			s.files(t.name, "additional_chat_templates/"+t.name+".jinja", map[string][]byte{"additional_chat_templates/" + t.name + ".jinja": []byte(t.text), "chat_template.jinja": []byte(thirdTurns), "tokenizer_config.json": []byte(`{"tokenizer_class": "LlamaTokenizer"}`)}, t.name+" in an additional template")
		}
	}
	return s.cases
}
