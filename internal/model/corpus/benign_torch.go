package corpus

import "strings"

// resnet, bert and gpt are names and shapes of parameters as those models have
// them, shrunk.
func resnet() []entry {
	e := []entry{{"conv1.weight", "FloatStorage", tup{8, 3, 3, 3}}}
	for _, layer := range []string{"layer1.0", "layer1.1", "layer2.0"} {
		e = append(e, entry{layer + ".conv1.weight", "FloatStorage", tup{8, 8, 3, 3}}, entry{layer + ".bn1.weight", "FloatStorage", tup{8}}, entry{layer + ".bn1.running_mean", "FloatStorage", tup{8}}, entry{layer + ".bn1.num_batches_tracked", "LongStorage", tup{}})
	}
	return append(e, entry{"fc.weight", "FloatStorage", tup{10, 8}}, entry{"fc.bias", "FloatStorage", tup{10}})
}

func transformer(prefix, storage string, layers int) []entry {
	e := []entry{{prefix + "embeddings.word_embeddings.weight", storage, tup{64, 16}}}
	for i := range layers {
		for _, part := range []string{"attention.self.query", "attention.self.key", "attention.self.value", "attention.output.dense", "intermediate.dense"} {
			e = append(e, entry{prefix + "encoder.layer." + itoa(i) + "." + part + ".weight", storage, tup{16, 16}}, entry{prefix + "encoder.layer." + itoa(i) + "." + part + ".bias", storage, tup{16}})
		}
	}
	return e
}

func storagesOf(entries []entry) []string {
	var s []string
	for i, e := range entries {
		width := 4
		switch e.storage {
		case "HalfStorage", "BFloat16Storage":
			width = 2
		case "LongStorage", "DoubleStorage":
			width = 8
		case "CharStorage", "ByteStorage", "BoolStorage", "QInt8Storage", "UntypedStorage":
			width = 1
		}
		s = append(s, noise(uint64(i), width*product(e.shape)))
	}
	return s
}

// legacyStateDict is a state dict whose persistent ids have a sixth part, as
// before torch 1.6.
func legacyStateDict(entries []entry) *object {
	od := stateDict(entries...)
	for _, pair := range od.dictItems {
		t := pair[1].(*object)
		id := t.args[0].(persID).id.(tup)
		t.args[0] = persID{append(id[:len(id):len(id)], nil)}
	}
	return od
}

// storagesIn returns the bytes of the storages that v's tensors refer to, by
// their keys, which are numbers from 0.
func storagesIn(v any) []string {
	found := map[string]string{}
	seen := map[any]bool{}
	var walk func(v any)
	walk = func(v any) {
		switch v := v.(type) {
		case persID:
			id := v.id.(tup)
			name := string(id[1].(glob))
			e := entry{storage: name[strings.LastIndexByte(name, '.')+1:], shape: tup{id[4]}}
			found[id[2].(string)] = storagesOf([]entry{e})[0]
		case tup:
			for _, item := range v {
				walk(item)
			}
		case *list:
			for _, item := range v.items {
				walk(item)
			}
		case *dict:
			for _, pair := range v.pairs {
				walk(pair[1])
			}
		case *object:
			if !seen[v] {
				seen[v] = true
				walk(v.args)
				walk(v.state)
				for _, pair := range v.dictItems {
					walk(pair[1])
				}
			}
		}
	}
	walk(v)
	storages := make([]string, len(found))
	for i := range storages {
		storages[i] = found[itoa(i)]
	}
	return storages
}

func parameter(t *object) *object {
	return reduce("torch._utils._rebuild_parameter", t, true, reduce("collections.OrderedDict"))
}

// torchModule is an nn.Module's pickle.
func torchModule(class string, parameters, modules [][2]any, attributes ...any) *object {
	od := func(items [][2]any) *object { o := reduce("collections.OrderedDict"); o.dictItems = items; return o }
	return instance(class, dictOf(append([]any{"training", false, "_parameters", od(parameters), "_buffers", od(nil), "_non_persistent_buffers_set", &setOf{}, "_backward_pre_hooks", od(nil), "_backward_hooks", od(nil), "_is_full_backward_hook", nil, "_forward_hooks", od(nil),
		"_forward_hooks_with_kwargs", od(nil), "_forward_pre_hooks", od(nil), "_state_dict_hooks", od(nil), "_load_state_dict_pre_hooks", od(nil), "_modules", od(modules)}, attributes...)...))
}

func linearModule(key string, in, out int) *object {
	return torchModule("torch.nn.modules.linear.Linear", [][2]any{{"weight", parameter(rebuildTensor("FloatStorage", key, in*out, tup{out, in}))}, {"bias", nil}}, nil, "in_features", in, "out_features", out)
}

func benignTorch() []Case {
	s := &set{technique: "torch"}
	zip := func(variation, file, root string, v any, truth string) {
		s.add(variation, file, string(torchZip(root, pickle(2, v), storagesIn(v))), truth)
	}
	models := func(yield func(string, []entry) bool) {
		_ = yield("resnet", resnet()) && yield("bert", transformer("bert.", "FloatStorage", 2)) && yield("bert-half", transformer("model.", "HalfStorage", 2)) && yield("gpt-bfloat16", transformer("transformer.", "BFloat16Storage", 3)) &&
			yield("int8", []entry{{"q.weight", "CharStorage", tup{16, 16}}, {"q.scale", "DoubleStorage", tup{}}, {"q.mask", "BoolStorage", tup{16}}}) && yield("lora", []entry{{"base_model.model.q_proj.lora_A.weight", "FloatStorage", tup{4, 16}}, {"base_model.model.q_proj.lora_B.weight", "FloatStorage", tup{16, 4}}})
	}
	models(func(name string, e []entry) bool {
		sd := stateDict(e...)
		zip("zip-"+name, "pytorch_model.bin", "archive", sd, "a state dict in torch's zip")
		m := []member{torchMember("pytorch_model/data.pkl", pickle(2, sd))}
		for i, d := range storagesOf(e) {
			m = append(m, torchMember("pytorch_model/data/"+itoa(i), d))
		}
		s.add("zip-1-6-"+name, name+".pth", string(archive{members: append(m, torchMember("pytorch_model/version", "3\n"))}.bytes()), "the same as torch 1.6 wrote it")
		few := e[:min(len(e), 8)]
		lengths := make([]int, len(few))
		for i, f := range few {
			lengths[i] = product(f.shape)
		}
		s.add("legacy-"+name, name+".pth", torchLegacyOf(pickle(2, legacyStateDict(few)), storagesOf(few), lengths), "the same as torch 1.5 wrote it")
		return true
	})
	state := stateDict(entry{"weight", "FloatStorage", tup{4, 4}})
	adam := dictOf("state", dictOf(0, dictOf("step", 100, "exp_avg", rebuildTensor("FloatStorage", "1", 16, tup{4, 4}), "exp_avg_sq", rebuildTensor("FloatStorage", "2", 16, tup{4, 4}))), "param_groups", listOf(dictOf("lr", 0.001, "betas", tup{0.9, 0.999}, "eps", 1e-8, "weight_decay", 0, "amsgrad", false, "params", listOf(0))))
	sixteen := []string{weights(1, 16), weights(2, 16), weights(3, 16)}
	zip("checkpoint", "checkpoint.pt", "checkpoint", dictOf("epoch", 12, "model_state_dict", state, "optimizer_state_dict", adam, "loss", 0.25, "args", instance("argparse.Namespace", dictOf("lr", 0.1, "data", "/data"))), "a training checkpoint with its arguments")
	attributes := instance("lightning_fabric.utilities.data.AttributeDict", nil)
	attributes.dictItems = [][2]any{{"lr", 0.001}, {"hidden", 128}}
	old := instance("pytorch_lightning.utilities.parsing.AttributeDict", nil)
	old.dictItems = attributes.dictItems
	lightning := func(hparams any) *dict {
		return dictOf("epoch", 3, "global_step", 1500, "pytorch-lightning_version", "2.2.1", "state_dict", state, "loops", dictOf("fit_loop", dictOf("state_dict", dictOf(), "epoch_progress", dictOf("total", dictOf("ready", 4, "completed", 3)))),
			"callbacks", dictOf("ModelCheckpoint{'monitor': 'val_loss', 'mode': 'min'}", dictOf("best_model_path", "/runs/best.ckpt", "best_model_score", rebuildTensor("FloatStorage", "3", 1, tup{}))), "optimizer_states", listOf(adam), "lr_schedulers", listOf(dictOf("T_max", 10, "last_epoch", 3)), "hparams_name", "kwargs", "hyper_parameters", hparams)
	}
	zip("lightning", "epoch=3.ckpt", "archive", lightning(attributes), "a Lightning checkpoint")
	zip("lightning-1", "last.ckpt", "archive", lightning(old), "a Lightning 1.x checkpoint")
	zip("lightning-dict", "v.ckpt", "v", lightning(dictOf("lr", 1, "precision", glob("torch.float16"))), "hyperparameters in a plain dict")
	zip("device-and-size", "misc.pt", "misc", dictOf("device", reduce("torch.device", "cuda", 0), "size", reduce("torch.Size", tup{1, 2}), "dtype", glob("torch.bfloat16"), "layout", glob("torch.strided")), "a device, a size and a dtype")
	zip("tensor", "tensor.pt", "tensor", rebuildTensor("FloatStorage", "0", 8, tup{2, 4}), "one tensor")
	zip("tensor-list", "embeddings.pt", "embeddings", listOf(rebuildTensor("FloatStorage", "0", 8, tup{8}), rebuildTensor("LongStorage", "1", 2, tup{2})), "a list of tensors")
	zip("sparse", "sparse.pt", "sparse", reduce("torch._utils._rebuild_sparse_tensor", glob("torch.sparse_coo"), tup{rebuildTensor("LongStorage", "0", 2, tup{1, 2}), rebuildTensor("FloatStorage", "1", 2, tup{2}), reduce("torch.Size", tup{4})}), "a sparse tensor")
	zip("quantized", "quant.pt", "quant", reduce("torch._utils._rebuild_qtensor", persID{tup{"storage", glob("torch.QInt8Storage"), "0", "cpu", 4}}, 0, tup{4}, tup{1}, tup{glob("torch.per_tensor_affine"), 0.1, 0}, false, reduce("collections.OrderedDict")), "a quantised tensor")
	zip("untyped-v3", "v3.pt", "v3", reduce("torch._utils._rebuild_tensor_v3", persID{tup{"storage", glob("torch.storage.UntypedStorage"), "0", "cpu", 16}}, 0, tup{4}, tup{1}, false, reduce("collections.OrderedDict"), glob("torch.float8_e4m3fn")), "a tensor of a type that has no storage class")
	zip("numpy-inside", "rng.pt", "rng", dictOf("numpy", tup{"MT19937", numpy1.array(dtype("u4"), tup{8}, noise(1, 32)), 624, 0, 0.0}, "python", tup{3, tup{1, 2, 3}, nil}, "torch", rebuildTensor("ByteStorage", "0", 16, tup{16}), "mean", numpy1.float(0.5)), "states of random generators")
	zip("linear-module", "model.pt", "model", linearModule("0", 4, 4), "a whole Linear")
	sequentialModule := torchModule("torch.nn.modules.container.Sequential", nil, [][2]any{{"0", linearModule("0", 4, 4)}, {"1", torchModule("torch.nn.modules.activation.ReLU", nil, nil, "inplace", false)}, {"2", torchModule("torch.nn.modules.dropout.Dropout", nil, nil, "p", 0.5)}, {"3", linearModule("1", 4, 4)}})
	zip("sequential-module", "model.pt", "model", sequentialModule, "a whole Sequential")
	block := torchModule("torchvision.models.resnet.BasicBlock", nil, [][2]any{{"conv1", torchModule("torch.nn.modules.conv.Conv2d", [][2]any{{"weight", parameter(rebuildTensor("FloatStorage", "0", 16, tup{2, 2, 2, 2}))}}, nil, "padding_mode", "zeros", "kernel_size", tup{2, 2})}}, "stride", 1)
	zip("resnet-module", "resnet.pt", "resnet", torchModule("torchvision.models.resnet.ResNet", nil, [][2]any{{"layer1", block}, {"bn1", torchModule("torch.nn.modules.batchnorm.BatchNorm2d", nil, nil, "eps", 1e-5)}, {"avgpool", torchModule("torch.nn.modules.pooling.AdaptiveAvgPool2d", nil, nil, "output_size", tup{1, 1})}}, "_norm_layer", glob("torch.nn.modules.batchnorm.BatchNorm2d"), "inplanes", 512), "a whole ResNet")
	yolo := dictOf("epoch", -1, "best_fitness", nil, "model", torchModule("ultralytics.nn.tasks.DetectionModel", nil, [][2]any{{"model", torchModule("torch.nn.modules.container.Sequential", nil, [][2]any{{"0", torchModule("ultralytics.nn.modules.conv.Conv", nil, [][2]any{{"act", torchModule("torch.nn.modules.activation.SiLU", nil, nil)}})}, {"22", torchModule("ultralytics.nn.modules.head.Detect", nil, nil, "nc", 80)}})}}, "yaml", dictOf("nc", 80, "depth_multiple", 0.33)), "ema", nil, "train_args", dictOf("task", "detect"), "date", "2024-06-15T13:33:36", "version", "8.2.0")
	zip("yolo", "yolov8n.pt", "yolov8n", yolo, "a YOLOv8 checkpoint")
	zip("transformers-module", "bert.pt", "bert", torchModule("transformers.models.bert.modeling_bert.BertModel", nil, [][2]any{{"pooler", torchModule("transformers.models.bert.modeling_bert.BertPooler", nil, [][2]any{{"dense", linearModule("0", 4, 4)}})}}, "config", instance("transformers.models.bert.configuration_bert.BertConfig", dictOf("hidden_size", 4, "torch_dtype", glob("torch.float32")))), "a whole BERT")
	s.add("protocol-4", "model.pt", string(torchZip("model", pickle(4, state), storagesIn(state))), "torch.save with pickle_protocol=4")
	s.add("big-endian", "model.pt", string(archive{zip64: true, members: []member{torchMember("m/data.pkl", pickle(2, state)), torchMember("m/byteorder", "big"), torchMember("m/data/0", sixteen[0]), torchMember("m/version", "3\n")}}.bytes()), "from a big-endian machine")
	s.add("repacked-with-zip", "model.pt", string(archive{members: []member{{name: "model/data.pkl", data: pickle(2, state), deflate: true, unixTime: true}, {name: "model/data/0", data: sixteen[0], unixTime: true}, {name: "model/version", data: "3\n", unixTime: true}}}.bytes()), "unpacked and zipped again")
	s.add("tar", "model.tar", torchTar(pickle(2, dictOf("w", persID{1})), pickle(2, dictOf("protocol_version", 1000, "little_endian", true)),
		pickle(2, 1)+pickle(2, tup{1, 0, glob("torch.FloatTensor")})+le32(2)+le32(0)+le64(2)+le64(2)+le64(2)+le64(1)+le64(0),
		pickle(2, 1)+pickle(2, tup{0, "cpu", glob("torch.FloatStorage")})+le64(4)+weights(1, 4)+pickle(2, listOf())), "torch's oldest layout")
	s.add("legacy-bare-tensor", "x.pth", torchLegacy(pickle(2, legacyStateDict([]entry{{"x", "FloatStorage", tup{4, 4}}})), sixteen[0]), "a tensor of torch 1.4")
	s.add("legacy-v1-tensor", "x.pth", torchLegacy(pickle(2, reduce("torch._utils._rebuild_tensor", persID{tup{"storage", glob("torch.FloatStorage"), "0", "cpu", 16, nil}}, 0, tup{4, 4}, tup{4, 1})), sixteen[1]), "a tensor of torch 0.3")
	code := "class Net(Module):\n  __parameters__ = [\"weight\", ]\n  weight : Tensor\n  training : bool\n  def forward(self: __torch__.Net,\n    x: Tensor) -> Tensor:\n    _0 = torch.matmul(x, self.weight)\n    return torch.relu(_0)\n"
	for i, root := range []string{"net", "traced_model", "scripted"} {
		data := opProto(2) + opGlobal("__torch__", "Net") + opBinPut(0) + opEmptyTuple + opNewObj + opEmptyDict + opMark + str2("weight") + pickle(2, rebuildTensor("FloatStorage", "0", 16, tup{4, 4}))[2:]
		data = strings.TrimSuffix(data, opStop) + str2("training") + opNewFalse + opSetItems + opBuild + opStop
		s.add("torchscript-"+root, "model.pt", string(archive{zip64: true, members: []member{torchMember(root+"/data.pkl", data), torchMember(root+"/code/__torch__.py", code), torchMember(root+"/code/__torch__.py.debug_pkl", pickle(2, tup{"FORMAT_WITH_STRING_TABLE", tup{"x"}, tup{}})),
			torchMember(root+"/data/0", sixteen[i]), torchMember(root+"/constants.pkl", opProto(2)+opEmptyTuple+opStop), torchMember(root+"/version", "3\n")}}.bytes()), "a TorchScript archive")
	}
	zip("custom-module", "net.pt", "net", torchModule("__main__.Net", nil, [][2]any{{"fc", linearModule("0", 4, 4)}}), "a whole module of a class from the training script; it calls nothing")
	return s.cases
}

func benignTensors() []Case {
	s := &set{technique: "safetensors"}
	st := func(variation, metadata string, e []entry) {
		var b strings.Builder
		b.WriteString("{" + metadata)
		at := 0
		var data strings.Builder
		types := map[string]string{"FloatStorage": "F32", "HalfStorage": "F16", "BFloat16Storage": "BF16", "LongStorage": "I64", "CharStorage": "I8", "BoolStorage": "BOOL", "DoubleStorage": "F64", "ByteStorage": "U8"}
		for i, d := range storagesOf(e) {
			if i > 0 {
				b.WriteByte(',')
			}
			shape := make([]string, len(e[i].shape))
			for k, n := range e[i].shape {
				shape[k] = itoa(n.(int))
			}
			b.WriteString(`"` + e[i].name + `":{"dtype":"` + types[e[i].storage] + `","shape":[` + strings.Join(shape, ",") + `],"data_offsets":[` + itoa(at) + `,` + itoa(at+len(d)) + `]}`)
			at += len(d)
			data.WriteString(d)
		}
		s.add(variation, "model.safetensors", safetensors(b.String()+"}", data.String()), "tensors and nothing else")
	}
	st("resnet", `"__metadata__":{"format":"pt"},`, resnet())
	st("bert", `"__metadata__":{"format":"pt"},`, transformer("bert.", "FloatStorage", 2))
	st("half", "", transformer("model.", "HalfStorage", 2))
	st("bfloat16", `"__metadata__":{"format":"pt","total_size":"123"},`, transformer("model.", "BFloat16Storage", 2))
	st("mixed", `"__metadata__":{"format":"np"},`, []entry{{"a", "LongStorage", tup{3}}, {"b", "BoolStorage", tup{5}}, {"c", "DoubleStorage", tup{}}, {"d", "CharStorage", tup{2, 2}}})
	st("lora-kohya", `"__metadata__":{"ss_network_module":"networks.lora","ss_tag_frequency":"{\"img\": {\"system\": 3, \"eval\": 1}}","ss_training_comment":"import os; exec","modelspec.license":"CreativeML Open RAIL-M"},`, []entry{{"lora_unet_down.weight", "HalfStorage", tup{4, 8}}, {"lora_unet_down.alpha", "HalfStorage", tup{}}})
	st("empty-tensor", "", []entry{{"empty", "FloatStorage", tup{0, 4}}, {"x", "FloatStorage", tup{2}}})
	st("names-like-code", "", []entry{{"os.system.weight", "FloatStorage", tup{2}}, {"eval/exec:0", "FloatStorage", tup{2}}})
	s.files("sharded", "model-00001-of-00002.safetensors", map[string][]byte{"model-00001-of-00002.safetensors": []byte(safetensors(`{"a":{"dtype":"F32","shape":[2],"data_offsets":[0,8]}}`, weights(1, 2))), "model-00002-of-00002.safetensors": []byte(safetensors(`{"b":{"dtype":"F32","shape":[2],"data_offsets":[0,8]}}`, weights(2, 2))),
		"model.safetensors.index.json": []byte(`{"metadata":{"total_size":16},"weight_map":{"a":"model-00001-of-00002.safetensors","b":"model-00002-of-00002.safetensors"}}`)}, "two shards and their index")
	g := &set{technique: "gguf"}
	templates := chatTemplates()
	arch := []string{"llama", "qwen2", "phi3", "gemma", "mamba", "bert", "falcon", "stablelm", "gptneox", "starcoder2", "deepseek2", "command-r"}
	for i, a := range arch {
		pairs := []string{ggufWord("general.architecture", a), ggufWord("general.name", "apex "+a), ggufNumber("general.file_type", 7), ggufNumber(a+".block_count", 2), ggufNumber(a+".context_length", 4096), ggufPair(a+".attention.layer_norm_rms_epsilon", ggufFloat32, lef32(1e-5)),
			ggufWord("tokenizer.ggml.model", "llama"), ggufTexts("tokenizer.ggml.tokens", "<unk>", "<s>", "</s>", "▁os", "▁system", "eval"), ggufPair("tokenizer.ggml.scores", ggufArray, le32(ggufFloat32)+le64(6)+weights(1, 6)), ggufPair("tokenizer.ggml.token_type", ggufArray, le32(ggufInt32)+le64(6)+strings.Repeat(le32(1), 6)),
			ggufPair("tokenizer.ggml.add_bos_token", ggufBool, "\x01"), ggufWord("tokenizer.chat_template", templates[i%len(templates)]), ggufWord("general.license", "apache-2.0")}
		if i%3 == 0 {
			pairs = append(pairs, ggufNumber("general.alignment", 64))
		}
		alignment := 32
		if i%3 == 0 {
			alignment = 64
		}
		if i == 5 {
			pairs = append(pairs, ggufPair("x.byte", ggufUint8, "\x07"), ggufPair("x.long", ggufUint64, le64(1<<40)))
		}
		// kind 0 is F32, 1 F16, 2 Q4_0 (18 bytes per 32), 8 Q8_0 (34 per 32), 30 BF16
		kinds := [][2]int{{0, 256}, {1, 128}, {2, 36}, {8, 68}, {30, 128}}
		k := kinds[i%len(kinds)]
		size := (k[1] + alignment - 1) / alignment * alignment
		g.add(a, a+".gguf", ggufFile{version: 2 + i%2, alignment: alignment, pairs: pairs, tensors: []ggufTensor{{"token_embd.weight", []int{32, 2}, k[0], 0}, {"output_norm.weight", []int{64}, 0, size}}, data: noise(uint64(i), size) + noise(uint64(i+50), 256)}.bytes(), "a GGUF model with tokens and a chat template")
	}
	g.add("no-tensors", "vocab.gguf", ggufFile{pairs: []string{ggufWord("general.architecture", "llama"), ggufTexts("tokenizer.ggml.tokens", strings.Fields(strings.Repeat("tok ", 3000))...)}}.bytes(), "a vocabulary without tensors")
	g.add("lora-adapter", "lora.gguf", ggufFile{pairs: []string{ggufWord("general.type", "adapter"), ggufWord("adapter.type", "lora"), ggufPair("adapter.lora.alpha", ggufFloat32, lef32(16))}, tensors: []ggufTensor{{"blk.0.attn_q.weight.lora_a", []int{8, 4}, 0, 0}}, data: weights(9, 32)}.bytes(), "a LoRA adapter")
	return join(s, g)
}
