package corpus

import (
	"sort"
	"strings"
)

// thirdTensor is one of a safetensors file: its name, type and shape.
type thirdTensor struct {
	name, kind string
	shape      tup
}

// thirdWidths are the bits of an element.
func thirdWidths() map[string]int {
	return map[string]int{"F64": 64, "I64": 64, "F32": 32, "I32": 32, "F16": 16, "BF16": 16, "U8": 8, "I8": 8, "BOOL": 8, "F8_E4M3": 8, "F8_E5M2": 8}
}

// thirdStore is a file as the safetensors library writes it: tensors ordered
// by the width of their type and then by name, the metadata first.
func thirdStore(seed uint64, metadata map[string]string, tensors ...thirdTensor) string {
	widths := thirdWidths()
	sorted := append([]thirdTensor(nil), tensors...)
	sort.SliceStable(sorted, func(i, k int) bool {
		a, b := widths[sorted[i].kind], widths[sorted[k].kind]
		return a > b || a == b && sorted[i].name < sorted[k].name
	})
	header, data, at := "{", "", 0
	if metadata != nil {
		header += `"__metadata__":` + thirdJSON(metadata)
	}
	for i, t := range sorted {
		if len(header) > 1 {
			header += ","
		}
		n := product(t.shape) * widths[t.kind] / 8
		dims := make([]string, len(t.shape))
		for k, d := range t.shape {
			dims[k] = itoa(d.(int))
		}
		header += thirdJSON(t.name) + `:{"dtype":"` + t.kind + `","shape":[` + strings.Join(dims, ",") + `],"data_offsets":[` + itoa(at) + `,` + itoa(at+n) + `]}`
		data += noise(seed+uint64(i), n)
		at += n
	}
	return safetensors(header+"}", data)
}

func thirdTensorsOf(e []entry, kind string) []thirdTensor {
	t := make([]thirdTensor, len(e))
	for i, p := range e {
		k := kind
		switch p.storage {
		case "LongStorage":
			k = "I64"
		case "ByteStorage":
			k = "U8"
		}
		t[i] = thirdTensor{p.name, k, p.shape}
	}
	return t
}

func thirdPlainSafetensors() []Case {
	s := third("safetensors")
	pt := map[string]string{"format": "pt"}
	kinds := []string{"F32", "BF16", "F16"}
	for i, m := range thirdModels() {
		s.add(m.name, "model.safetensors", thirdStore(uint64(1000+50*i), pt, thirdTensorsOf(m.entries, kinds[i%3])...), "the weights of a "+m.name)
	}
	add := func(name, file string, metadata map[string]string, truth string, t ...thirdTensor) {
		s.add(name, file, thirdStore(uint64(2000+len(s.cases)*40), metadata, t...), truth)
	}
	add("gptq", "model.safetensors", pt, "a GPTQ model", thirdTensor{"model.layers.0.self_attn.q_proj.qweight", "I32", tup{16, 16}}, thirdTensor{"model.layers.0.self_attn.q_proj.qzeros", "I32", tup{1, 2}}, thirdTensor{"model.layers.0.self_attn.q_proj.scales", "F16", tup{1, 16}}, thirdTensor{"model.layers.0.self_attn.q_proj.g_idx", "I32", tup{16}})
	add("awq", "model.safetensors", pt, "an AWQ model", thirdTensor{"model.layers.0.mlp.down_proj.qweight", "I32", tup{32, 2}}, thirdTensor{"model.layers.0.mlp.down_proj.scales", "F16", tup{1, 16}}, thirdTensor{"model.embed_tokens.weight", "F16", tup{32, 16}})
	add("bitsandbytes-4bit", "model.safetensors", pt, "a model of bitsandbytes in four bits, with its quant state as bytes", thirdTensor{"model.layers.0.mlp.up_proj.weight", "U8", tup{128, 1}}, thirdTensor{"model.layers.0.mlp.up_proj.weight.absmax", "U8", tup{4}}, thirdTensor{"model.layers.0.mlp.up_proj.weight.quant_map", "F32", tup{16}}, thirdTensor{"model.layers.0.mlp.up_proj.weight.quant_state.bitsandbytes__nf4", "U8", tup{90}})
	add("fp8", "flux1-dev-fp8.safetensors", nil, "a model in eight-bit floats, without metadata", thirdTensor{"double_blocks.0.img_attn.qkv.weight", "F8_E4M3", tup{24, 8}}, thirdTensor{"double_blocks.0.img_attn.norm.query_norm.scale", "F32", tup{8}}, thirdTensor{"scaled_fp8", "F8_E5M2", tup{2}})
	add("mlx", "weights.00.safetensors", map[string]string{"format": "mlx"}, "a model for MLX", thirdTensor{"model.layers.0.mlp.gate_proj.weight", "I32", tup{16, 4}}, thirdTensor{"model.layers.0.mlp.gate_proj.scales", "F16", tup{16, 1}}, thirdTensor{"model.layers.0.mlp.gate_proj.biases", "F16", tup{16, 1}})
	kohya := map[string]string{"ss_network_module": "networks.lora", "ss_network_dim": "16", "ss_network_alpha": "8.0", "ss_sd_model_name": "v1-5-pruned.safetensors", "ss_tag_frequency": `{"10_style": {"portrait": 12, "system": 1, "night": 4}}`, "ss_optimizer": "bitsandbytes.optim.adamw.AdamW8bit", "ss_training_started_at": "1690000000.0", "ss_output_name": "style", "sshs_model_hash": "c0ffee", "ss_bucket_info": `{"buckets": {"0": {"resolution": [512, 512], "count": 20}}}`}
	add("kohya-lora", "style_v2.safetensors", kohya, "a LoRA of kohya's scripts with its training metadata", thirdTensor{"lora_te_text_model_encoder_layers_0_mlp_fc1.lora_down.weight", "F16", tup{4, 8}}, thirdTensor{"lora_te_text_model_encoder_layers_0_mlp_fc1.lora_up.weight", "F16", tup{8, 4}}, thirdTensor{"lora_te_text_model_encoder_layers_0_mlp_fc1.alpha", "F16", tup{}})
	modelspec := map[string]string{"modelspec.sai_model_spec": "1.0.0", "modelspec.architecture": "stable-diffusion-xl-v1-base", "modelspec.title": "Watercolour XL", "modelspec.author": "someone", "modelspec.license": "CreativeML OpenRAIL++-M", "modelspec.thumbnail": "data:image/jpeg;base64,/9j/4AAQSkZJRgABAQAAAQABAAD/2Q=="}
	add("modelspec", "sdxl.safetensors", modelspec, "metadata of the model specification, with a picture", thirdTensor{"model.diffusion_model.input_blocks.0.0.weight", "F16", tup{8, 4, 3, 3}}, thirdTensor{"first_stage_model.decoder.conv_in.weight", "F16", tup{8, 4, 3, 3}})
	add("controlnet", "diffusion_pytorch_model.fp16.safetensors", pt, "a ControlNet", thirdTensor{"controlnet_cond_embedding.conv_in.weight", "F16", tup{4, 3, 3, 3}}, thirdTensor{"controlnet_down_blocks.0.bias", "F16", tup{8}})
	add("textual-inversion", "easynegative.safetensors", map[string]string{}, "an embedding with empty metadata", thirdTensor{"emb_params", "F32", tup{8, 64}})
	add("sentence-transformers-dense", "2_Dense/model.safetensors", pt, "the dense layer of a sentence transformer", thirdTensor{"linear.weight", "F32", tup{16, 32}}, thirdTensor{"linear.bias", "F32", tup{16}})
	add("masks-and-indices", "buffers.safetensors", pt, "masks, indices and doubles", thirdTensor{"mask", "BOOL", tup{3, 5}}, thirdTensor{"index", "I64", tup{7}}, thirdTensor{"mean", "F64", tup{3}}, thirdTensor{"empty", "F32", tup{0}}, thirdTensor{"scalar", "F32", tup{}})
	add("flax", "flax_model.safetensors", map[string]string{"format": "flax"}, "a model of Flax", thirdTensor{"transformer.h.0.attn.c_attn.kernel", "F32", tup{8, 24}}, thirdTensor{"transformer.ln_f.scale", "F32", tup{8}})
	add("names-in-other-scripts", "voices.safetensors", nil, "names that are not ASCII, with quotes and slashes", thirdTensor{"声音/女声 \"一\"", "F32", tup{4}}, thirdTensor{"élève.poids", "F32", tup{4}})
	add("no-tensors", "adapter_model.safetensors", pt, "an adapter of nothing")
	for i, shards := range []int{2, 3, 5} {
		m := thirdModels()[7+i%2]
		files, index := map[string][]byte{}, map[string]string{}
		var first string
		for k := range shards {
			name := "model-0000" + itoa(k+1) + "-of-0000" + itoa(shards) + ".safetensors"
			if k == 0 {
				first = name
			}
			var part []thirdTensor
			for n, t := range thirdTensorsOf(m.entries, "BF16") {
				if n%shards == k {
					part = append(part, t)
					index[t.name] = name
				}
			}
			files[name] = []byte(thirdStore(uint64(3000+100*i+10*k), pt, part...))
		}
		files["model.safetensors.index.json"] = []byte(heldJSON(map[string]any{"metadata": map[string]any{"total_size": 4096}, "weight_map": index}))
		s.files("shards-"+itoa(shards), first, files, itoa(shards)+" shards with their index")
	}
	return s.cases
}

// thirdBlocks are GGML's types by number: elements and bytes of a block.
func thirdBlocks() map[int][2]int {
	return map[int][2]int{0: {1, 4}, 1: {1, 2}, 2: {32, 18}, 3: {32, 20}, 6: {32, 22}, 7: {32, 24}, 8: {32, 34}, 10: {256, 84}, 11: {256, 110}, 12: {256, 144}, 13: {256, 176}, 14: {256, 210}, 20: {32, 18}, 30: {1, 2}}
}

// thirdModelGGUF is a model with two layers of one type and norms of float32.
func thirdModelGGUF(seed uint64, version, kind, alignment int, pairs []string) string {
	block := thirdBlocks()[kind]
	var tensors []ggufTensor
	var data strings.Builder
	put := func(name string, kind, blocks int, dims ...int) {
		tensors = append(tensors, ggufTensor{name, dims, kind, data.Len()})
		data.WriteString(noise(seed+uint64(len(tensors)), blocks))
		for data.Len()%alignment != 0 {
			data.WriteByte(0)
		}
	}
	put("token_embd.weight", kind, 4*256/block[0]*block[1], 256, 4)
	for i := range 2 {
		layer := "blk." + itoa(i) + "."
		put(layer+"attn_norm.weight", 0, 1024, 256)
		put(layer+"attn_q.weight", kind, 2*256/block[0]*block[1], 256, 2)
		put(layer+"ffn_down.weight", kind, 256/block[0]*block[1], 256, 1)
	}
	put("output_norm.weight", 0, 1024, 256)
	return ggufFile{version: version, alignment: alignment, pairs: pairs, tensors: tensors, data: data.String()}.bytes()
}

func ggufNumbers(key string, kind int, data string, width int) string {
	return ggufPair(key, ggufArray, le32(kind)+le64(len(data)/width)+data)
}

func thirdPlainGGUF() []Case {
	s := third("gguf")
	templates := thirdChats()
	tokens := heldVocabulary(200)
	names := []string{"F32", "F16", "Q4_0", "Q4_1", "Q5_0", "Q5_1", "Q8_0", "Q2_K", "Q3_K_M", "Q4_K_M", "Q5_K_M", "Q6_K", "IQ4_NL", "BF16"}
	kinds := []int{0, 1, 2, 3, 6, 7, 8, 10, 11, 12, 13, 14, 20, 30}
	for i, m := range []struct{ arch, name, tokenizer, pre string }{{"llama", "Llama 3.1 8B Instruct", "gpt2", "llama-bpe"}, {"llama", "Mistral 7B Instruct v0.3", "llama", "default"}, {"qwen2", "Qwen2.5 7B Instruct", "gpt2", "qwen2"}, {"qwen3", "Qwen3 4B", "gpt2", "qwen2"}, {"gemma2", "Gemma 2 9B It", "llama", "default"}, {"gemma3", "Gemma 3 4B It", "llama", "default"}, {"phi3", "Phi 3.5 Mini Instruct", "llama", "default"},
		{"deepseek2", "DeepSeek V2 Lite", "gpt2", "deepseek-llm"}, {"command-r", "c4ai command r v01", "gpt2", "command-r"}, {"falcon", "falcon-7b-instruct", "gpt2", "falcon"}, {"starcoder2", "starcoder2-3b", "gpt2", "starcoder"}, {"mamba", "mamba-1.4b-hf", "gpt2", "olmo"}, {"nomic-bert", "nomic-embed-text-v1.5", "bert", "bert-bge"}, {"granite", "granite 3.0 2b", "gpt2", "refact"},
		{"olmo2", "OLMo 2 7B", "gpt2", "dbrx"}, {"stablelm", "stablelm-zephyr-3b", "gpt2", "stablelm"}, {"internlm2", "internlm2-chat-7b", "llama", "default"}, {"rwkv6", "rwkv-6-world", "rwkv", "default"}, {"t5", "flan-t5-small", "t5", "default"}, {"exaone", "EXAONE 3.5", "gpt2", "exaone"}} {
		k := i % len(kinds)
		pairs := []string{ggufWord("general.architecture", m.arch), ggufWord("general.type", "model"), ggufWord("general.name", m.name), ggufWord("general.finetune", "Instruct"), ggufWord("general.size_label", "7B"), ggufWord("general.license", []string{"apache-2.0", "mit", "llama3.1", "gemma"}[i%4]), ggufNumber("general.quantization_version", 2), ggufNumber("general.file_type", kinds[k]),
			ggufTexts("general.tags", "text-generation", "chat"), ggufTexts("general.languages", "en", "de"), ggufNumber(m.arch+".block_count", 2), ggufNumber(m.arch+".context_length", 8192<<(i%4)), ggufNumber(m.arch+".embedding_length", 256), ggufNumber(m.arch+".feed_forward_length", 1024), ggufNumber(m.arch+".attention.head_count", 8), ggufNumber(m.arch+".attention.head_count_kv", 2), ggufPair(m.arch+".rope.freq_base", ggufFloat32, lef32(500000)), ggufPair(m.arch+".attention.layer_norm_rms_epsilon", ggufFloat32, lef32(1e-5)),
			ggufWord("tokenizer.ggml.model", m.tokenizer), ggufWord("tokenizer.ggml.pre", m.pre), ggufTexts("tokenizer.ggml.tokens", tokens...), ggufNumbers("tokenizer.ggml.token_type", ggufInt32, strings.Repeat(le32(1), 200), 4)}
		if m.tokenizer == "gpt2" {
			pairs = append(pairs, ggufTexts("tokenizer.ggml.merges", "Ġ t", "Ġ a", "h e", "i n"))
		} else {
			pairs = append(pairs, ggufNumbers("tokenizer.ggml.scores", ggufFloat32, weights(uint64(820+i), 200), 4))
		}
		pairs = append(pairs, ggufNumber("tokenizer.ggml.bos_token_id", 1), ggufNumber("tokenizer.ggml.eos_token_id", 2), ggufPair("tokenizer.ggml.add_bos_token", ggufBool, "\x01"))
		if m.tokenizer != "bert" && m.tokenizer != "t5" {
			pairs = append(pairs, ggufWord("tokenizer.chat_template", templates[i%len(templates)].text))
		}
		if i%5 == 4 {
			pairs = append(pairs, ggufWord("quantize.imatrix.file", "/models/calibration/imatrix.dat"), ggufPair("quantize.imatrix.entries_count", ggufInt32, le32(224)))
		}
		s.add(strings.ToLower(strings.NewReplacer(" ", "-", ".", "-").Replace(m.name))+"-"+strings.ToLower(names[k]), strings.ReplaceAll(m.name, " ", "-")+"-"+names[k]+".gguf", thirdModelGGUF(uint64(4000+20*i), 3, kinds[k], 32, pairs), m.name+" in "+names[k])
	}
	base := []string{ggufWord("general.architecture", "llama"), ggufNumber("llama.block_count", 2)}
	s.add("version-2", "ggml-model-f16.gguf", thirdModelGGUF(4500, 2, 1, 32, base), "a file of version 2")
	s.add("alignment-4096", "model-page.gguf", thirdModelGGUF(4550, 3, 8, 4096, append(base[:2:2], ggufNumber("general.alignment", 4096))), "tensors aligned to pages")
	for i := range 2 {
		s.add("split-"+itoa(i+1)+"-of-2", "model-0000"+itoa(i+1)+"-of-00002.gguf", thirdModelGGUF(uint64(4600+50*i), 3, 2, 32, append(base[:2:2], ggufPair("split.no", 2, le16(i)), ggufPair("split.count", 2, le16(2)), ggufPair("split.tensors.count", ggufInt32, le32(16)))), "a part of a split model")
	}
	s.add("mmproj", "mmproj-model-f16.gguf", ggufFile{pairs: []string{ggufWord("general.architecture", "clip"), ggufPair("clip.has_vision_encoder", ggufBool, "\x01"), ggufWord("clip.projector_type", "mlp"), ggufNumber("clip.vision.image_size", 336), ggufNumbers("clip.vision.image_mean", ggufFloat32, lef32(0.48)+lef32(0.45)+lef32(0.4), 4)}, tensors: []ggufTensor{{"v.patch_embd.weight", []int{14, 14, 3, 2}, 1, 0}}, data: noise(4700, 2352)}.bytes(), "the projector of a vision model")
	s.add("lora", "adapter-lora-f16.gguf", ggufFile{pairs: []string{ggufWord("general.type", "adapter"), ggufWord("general.architecture", "llama"), ggufWord("adapter.type", "lora"), ggufPair("adapter.lora.alpha", ggufFloat32, lef32(16))}, tensors: []ggufTensor{{"blk.0.attn_q.weight.lora_a", []int{64, 4}, 1, 0}, {"blk.0.attn_q.weight.lora_b", []int{4, 64}, 1, 512}}, data: noise(4710, 1024)}.bytes(), "a LoRA adapter")
	s.add("control-vector", "happy.gguf", ggufFile{pairs: []string{ggufWord("general.architecture", "controlvector"), ggufWord("controlvector.model_hint", "mistral"), ggufNumber("controlvector.layer_count", 2)}, tensors: []ggufTensor{{"direction.1", []int{64}, 0, 0}, {"direction.2", []int{64}, 0, 256}}, data: weights(4720, 128)}.bytes(), "a control vector")
	s.add("vocabulary-only", "ggml-vocab-test.gguf", ggufFile{pairs: append(base[:2:2], ggufWord("tokenizer.ggml.model", "llama"), ggufTexts("tokenizer.ggml.tokens", heldVocabulary(1500)...), ggufNumbers("tokenizer.ggml.scores", ggufFloat32, weights(4730, 1500), 4))}.bytes(), "a vocabulary without weights")
	return s.cases
}
