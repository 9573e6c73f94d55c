package corpus

import "strings"

// heldTensorOf is a tensor of a storage that the caller numbers.
func heldTensorOf(key int, kind string, shape ...any) *object {
	return rebuildTensor(kind, itoa(key), product(shape), tup(shape))
}

// heldSaved is torch.save of v with storages of 64 bytes each.
func heldSaved(v any, storages int) string {
	var s []string
	for i := range storages {
		s = append(s, weights(uint64(950+i), 16))
	}
	return string(torchZip("archive", pickle(2, v), s))
}

func heldOrdered(kv ...any) *object {
	o := reduce("collections.OrderedDict")
	for i := 0; i < len(kv); i += 2 {
		o.dictItems = append(o.dictItems, [2]any{kv[i], kv[i+1]})
	}
	return o
}

func heldPlainTorch() []Case {
	s := heldCase("plain-torch")
	t := heldTensorOf
	add := func(name string, v any, storages int, truth string) {
		s.add(name, "model.pt", heldSaved(v, storages), "torch.save of "+truth)
	}
	add("state-dict-with-metadata", heldOrdered("conv.weight", t(0, "FloatStorage", 4, 4), "bn.num_batches_tracked", t(1, "LongStorage", 1)).with(dictOf("_metadata", heldOrdered("", dictOf("version", 1)))), 2, "a state dict with its _metadata")
	add("half-and-bfloat16", dictOf("a", t(0, "HalfStorage", 4), "b", t(1, "BFloat16Storage", 4), "c", t(2, "BoolStorage", 4), "d", t(3, "ComplexFloatStorage", 2)), 4, "tensors of several types")
	add("device-size-dtype", dictOf("device", reduce("torch.device", "cuda", 0), "shape", reduce("torch.Size", tup{1, 2}), "dtype", glob("torch.float16"), "fmt", glob("torch.channels_last"), "layout", glob("torch.strided")), 0, "values that are not tensors")
	add("sparse-coo", reduce("torch._utils._rebuild_sparse_tensor", glob("torch.sparse_coo"), tup{t(0, "LongStorage", 2, 2), t(1, "FloatStorage", 2), reduce("torch.Size", tup{4, 4}), true}), 2, "a sparse tensor")
	add("sparse-csr", reduce("torch._utils._rebuild_sparse_tensor", glob("torch.sparse_csr"), tup{t(0, "LongStorage", 3), t(1, "LongStorage", 2), t(2, "FloatStorage", 2), reduce("torch.Size", tup{2, 2})}), 3, "a CSR tensor")
	q := reduce("torch._utils._rebuild_qtensor", persID{tup{"storage", glob("torch.QInt8Storage"), "0", "cpu", 4}}, 0, tup{4}, tup{1}, tup{glob("torch.per_tensor_affine"), 0.02, 0}, false, reduce("collections.OrderedDict"))
	add("quantised", heldOrdered("fc.scale", 0.1, "fc._packed_params._packed_params", tup{q, nil}, "dtype", glob("torch.qint8")), 1, "a quantised layer's parameters")
	add("parameter", reduce("torch._utils._rebuild_parameter", t(0, "FloatStorage", 4), true, reduce("collections.OrderedDict")), 1, "one nn.Parameter")
	add("parameter-with-state", reduce("torch._utils._rebuild_parameter_with_state", t(0, "FloatStorage", 4), true, reduce("collections.OrderedDict"), dictOf("tensor_model_parallel", true)), 1, "a parameter of Megatron with attributes")
	add("rng-states", dictOf("cpu", t(0, "ByteStorage", 64), "cuda", listOf(t(1, "ByteStorage", 16)), "numpy", tup{"MT19937", numpy1.ints(1, 9, 8), 624, 0, 0.0}, "python", tup{3, tup{1, 2, 3}, nil}), 2, "the random states of a training")
	v3 := reduce("torch._utils._rebuild_tensor_v3", persID{tup{"storage", glob("torch.storage.UntypedStorage"), "0", "cpu", 64}}, 0, tup{16}, tup{1}, false, reduce("collections.OrderedDict"), glob("torch.float8_e4m3fn"))
	add("float8-v3", heldOrdered("w", v3), 1, "a float8 tensor, by _rebuild_tensor_v3")
	add("meta-tensor", reduce("torch._utils._rebuild_meta_tensor_no_storage", glob("torch.float32"), tup{2, 2}, tup{2, 1}, false), 0, "a tensor on the meta device")
	add("numpy-in-checkpoint", dictOf("best", numpy1.float(0.93), "hist", numpy2.floats(3, 4), "model", heldOrdered("w", t(0, "FloatStorage", 4))), 1, "a checkpoint with numpy scalars")
	add("tensor-subclass", reduce("torch._tensor._rebuild_from_type_v2", glob("torch._utils._rebuild_tensor_v2"), glob("torchvision.tv_tensors._image.Image"), tup{persID{tup{"storage", glob("torch.FloatStorage"), "0", "cpu", 4}}, 0, tup{4}, tup{1}, false, reduce("collections.OrderedDict")}, dictOf()), 1, "a subclass of Tensor of torchvision")
	add("keys-with-words", heldOrdered("system.exec.weight", t(0, "FloatStorage", 4), "eval.import.os", t(1, "FloatStorage", 4)), 2, "modules named system, exec, eval")
	s.add("many-layers", "model.pth", heldSaved(heldLayers(400), 1), "torch.save of 400 views of one storage")
	s.add("ten-thousand-floats", "emb.pt", string(torchZip("emb", pickle(2, heldTensorOf(0, "FloatStorage", 100, 100)), []string{weights(960, 10_000)})), "torch.save of one tensor")
	return s.cases
}

func heldLayers(n int) *object {
	o := reduce("collections.OrderedDict")
	for i := range n {
		o.dictItems = append(o.dictItems, [2]any{"model.layers." + itoa(i) + ".self_attn.q_proj.weight", heldTensorOf(0, "FloatStorage", 4, 4)})
	}
	return o
}

func heldPlainTraining() []Case {
	s := heldCase("plain-training")
	t := heldTensorOf
	model := heldOrdered("layer.weight", t(0, "FloatStorage", 4, 4))
	add := func(name, file string, v any, storages int, truth string) {
		s.add(name, file, heldSaved(v, storages), truth)
	}
	adam := dictOf("state", dictOf(0, dictOf("step", t(1, "FloatStorage", 1), "exp_avg", t(2, "FloatStorage", 4, 4), "exp_avg_sq", t(3, "FloatStorage", 4, 4))), "param_groups", listOf(dictOf("lr", 1e-3, "betas", tup{0.9, 0.999}, "eps", 1e-8, "weight_decay", 0, "amsgrad", false, "foreach", nil, "fused", nil, "params", listOf(0))))
	add("adam", "optimizer.pt", adam, 4, "the state of Adam")
	add("scheduler", "scheduler.pt", dictOf("T_max", 10, "base_lrs", listOf(0.1), "last_epoch", 3, "_step_count", 4, "_get_lr_called_within_step", false, "_last_lr", listOf(0.05), "lr_lambdas", listOf(nil)), 0, "a LambdaLR's state, whose lambdas are left out")
	add("grad-scaler", "scaler.pt", dictOf("scale", 65536.0, "growth_factor", 2.0, "backoff_factor", 0.5, "growth_interval", 2000, "_growth_tracker", 7), 0, "the state of torch.cuda.amp.GradScaler")
	add("training-args-of-transformers", "training_args.bin", instance("transformers.training_args.TrainingArguments", dictOf("output_dir", "./out", "eval_strategy", reduce("transformers.trainer_utils.IntervalStrategy", "epoch"), "lr_scheduler_type", reduce("transformers.trainer_utils.SchedulerType", "cosine"), "optim", reduce("transformers.training_args.OptimizerNames", "adamw_torch"), "hub_strategy", reduce("transformers.trainer_utils.HubStrategy", "every_save"), "distributed_state", instance("accelerate.state.PartialState", dictOf("_shared_state", nil)), "_n_gpu", 1, "device", reduce("torch.device", "cuda", 0))), 0, "training_args.bin of transformers.Trainer")
	lightning := dictOf("epoch", 3, "global_step", 300, "pytorch-lightning_version", "2.2.1", "state_dict", model, "loops", dictOf("fit_loop", dictOf("state_dict", dictOf())), "callbacks", dictOf("ModelCheckpoint{'monitor': 'val_loss', 'mode': 'min'}", dictOf("best_model_score", t(1, "FloatStorage", 1), "dirpath", "/ckpt")), "optimizer_states", listOf(adam), "lr_schedulers", listOf(), "hparams_name", "kwargs", "hyper_parameters", dictOf("lr", 1e-3, "root", reduce("pathlib.PosixPath", "/", "data")))
	add("lightning", "epoch=3.ckpt", lightning, 4, "a checkpoint of Lightning with a path in hyper_parameters")
	add("lightning-attribute-dict", "last.ckpt", dictOf("pytorch-lightning_version", "1.9.5", "state_dict", model, "hparams_name", "hparams", "hyper_parameters", &object{function: glob("pytorch_lightning.utilities.parsing.AttributeDict"), newObj: true, dictItems: [][2]any{{"lr", 0.1}, {"loss", "mse"}}}), 1, "hyper_parameters as an AttributeDict")
	add("lightning-namespace", "old.ckpt", dictOf("pytorch-lightning_version", "0.9.0", "state_dict", model, "hyper_parameters", instance("argparse.Namespace", dictOf("lr", 0.1, "gpus", 8))), 1, "hyper_parameters as an argparse.Namespace")
	omega := instance("omegaconf.dictconfig.DictConfig", dictOf("_metadata", instance("omegaconf.base.ContainerMetadata", dictOf("ref_type", glob("typing.Any"), "object_type", glob("builtins.dict"), "optional", true, "key", nil, "flags", nil, "flags_root", false, "resolver_cache", &object{function: glob("collections.defaultdict"), args: tup{glob("builtins.dict")}}, "key_type", glob("typing.Any"), "element_type", glob("typing.Any"))), "_parent", nil, "_content", dictOf("lr", instance("omegaconf.nodes.AnyNode", dictOf("_val", 0.1, "_parent", nil)))))
	add("omegaconf", "wav2vec.pt", dictOf("cfg", omega, "model", model, "args", nil), 1, "a fairseq checkpoint with its OmegaConf config")
	add("deepspeed-zero", "zero_pp_rank_0_mp_rank_00_optim_states.pt", dictOf("optimizer_state_dict", dictOf("zero_stage", 2, "loss_scaler", instance("deepspeed.runtime.fp16.loss_scaler.LossScaler", dictOf("cur_scale", 1.0, "dynamic", false)), "partition_count", listOf(2), "ds_version", "0.14.0", "base_optimizer_state", adam), "ds_config", dictOf("zero_optimization", dictOf("stage", 2))), 4, "DeepSpeed's state of ZeRO 2")
	add("accelerate-random-states", "random_states_0.pkl", dictOf("step", 10, "random_state", tup{3, tup{1, 2, 624}, nil}, "numpy_random_seed", tup{"MT19937", numpy1.ints(2, 99, 8), 624, 0, 0.0}, "torch_manual_seed", t(0, "ByteStorage", 64)), 1, "accelerate's random_states_0.pkl")
	add("megatron", "model_optim_rng.pt", dictOf("args", instance("argparse.Namespace", dictOf("num_layers", 2, "params_dtype", glob("torch.bfloat16"), "eval_iters", 10)), "checkpoint_version", 3.0, "model", model), 1, "Megatron-LM's checkpoint")
	add("ema-and-swa", "ema.pth", dictOf("ema", model, "n_averaged", t(1, "LongStorage", 1), "decay", 0.999), 2, "an averaged model")
	s.pickle("fsdp-metadata", ".metadata", pickle(4, instance("torch.distributed.checkpoint.metadata.Metadata", dictOf("state_dict_metadata", dictOf("w", instance("torch.distributed.checkpoint.metadata.BytesStorageMetadata", nil)), "planner_data", dictOf("w", tup{"w"}), "storage_data", dictOf()))), "the .metadata of a distributed checkpoint")
	add("peft-adapter", "adapter_model.bin", dictOf("base_model.model.q_proj.lora_A.weight", t(0, "FloatStorage", 2, 4)), 1, "a LoRA adapter in torch's format")
	add("stable-baselines-policy", "policy.pth", heldOrdered("log_std", t(0, "FloatStorage", 2)), 1, "the policy of stable-baselines3")
	add("textual-inversion", "learned_embeds.bin", dictOf("<cat-toy>", t(0, "FloatStorage", 16)), 1, "a textual inversion")
	return s.cases
}

// heldModule is a torch module as pickle writes the whole of it.
func heldModule(class string, modules []any, parameters []any, more ...any) *object {
	state := []any{"training", false, "_parameters", heldOrdered(parameters...), "_buffers", heldOrdered(), "_non_persistent_buffers_set", &setOf{}, "_backward_hooks", heldOrdered(), "_is_full_backward_hook", nil, "_forward_hooks", heldOrdered(), "_forward_pre_hooks", heldOrdered(), "_state_dict_hooks", heldOrdered(), "_load_state_dict_pre_hooks", heldOrdered(), "_modules", heldOrdered(modules...)}
	return instance(class, dictOf(append(state, more...)...))
}

func heldConv(key int) *object {
	return heldModule("torch.nn.modules.conv.Conv2d", nil, []any{"weight", heldTensorOf(key, "FloatStorage", 1, 1, 2, 2), "bias", nil}, "in_channels", 1, "out_channels", 1, "kernel_size", tup{2, 2}, "stride", tup{1, 1}, "padding", tup{0, 0}, "padding_mode", "zeros", "_reversed_padding_repeated_twice", listOf(0, 0, 0, 0))
}

func heldPlainModules() []Case {
	s := heldCase("plain-modules")
	add := func(name, file string, v any, truth string) { s.add(name, file, heldSaved(v, 3), truth) }
	seq := heldModule("torch.nn.modules.container.Sequential", []any{"0", heldConv(0), "1", heldModule("torch.nn.modules.activation.ReLU", nil, nil, "inplace", true), "2", heldModule("torch.nn.modules.dropout.Dropout", nil, nil, "p", 0.5)}, nil)
	add("sequential", "net.pth", seq, "torch.save of a whole nn.Sequential")
	yolo := heldModule("ultralytics.nn.tasks.DetectionModel", []any{"model", heldModule("torch.nn.modules.container.Sequential", []any{"0", heldModule("ultralytics.nn.modules.conv.Conv", []any{"conv", heldConv(0), "act", heldModule("torch.nn.modules.activation.SiLU", nil, nil, "inplace", true)}, nil), "1", heldModule("ultralytics.nn.modules.block.C2f", []any{"cv1", heldConv(1)}, nil), "2", heldModule("ultralytics.nn.modules.head.Detect", []any{"dfl", heldModule("ultralytics.nn.modules.block.DFL", nil, nil, "c1", 16)}, nil)}, nil)}, nil, "yaml", dictOf("nc", 80, "backbone", listOf(listOf(-1, 1, "Conv", listOf(64, 3, 2)))), "names", dictOf(0, "person"), "args", dictOf("mode", "train"))
	add("yolov8", "yolov8n.pt", dictOf("date", "2024-06-15T13:33:36", "version", "8.2.0", "license", "AGPL-3.0", "docs", "https://docs.ultralytics.com", "epoch", -1, "best_fitness", nil, "model", yolo, "ema", nil, "optimizer", nil, "train_args", dictOf("exist_ok", false, "amp", true)), "ultralytics' whole checkpoint")
	add("yolov5", "yolov5s.pt", dictOf("epoch", -1, "model", heldModule("models.yolo.DetectionModel", []any{"model", heldModule("torch.nn.modules.container.Sequential", []any{"0", heldModule("models.common.Conv", []any{"conv", heldConv(0)}, nil), "1", heldModule("models.common.C3", nil, nil)}, nil)}, nil, "names", listOf("person")), "opt", dictOf(), "git", dictOf("remote", nil)), "YOLOv5's checkpoint, with classes of its own repository")
	block := heldModule("torchvision.models.resnet.BasicBlock", []any{"conv1", heldConv(0), "bn1", heldModule("torch.nn.modules.batchnorm.BatchNorm2d", nil, nil, "num_features", 1, "eps", 1e-5)}, nil, "stride", 1)
	add("resnet", "resnet18.pth", heldModule("torchvision.models.resnet.ResNet", []any{"conv1", heldConv(1), "layer1", heldModule("torch.nn.modules.container.Sequential", []any{"0", block}, nil)}, nil, "_norm_layer", glob("torch.nn.modules.batchnorm.BatchNorm2d"), "inplanes", 64), "a whole ResNet of torchvision")
	add("timm-vit", "vit.pth", heldModule("timm.models.vision_transformer.VisionTransformer", []any{"patch_embed", heldModule("timm.layers.patch_embed.PatchEmbed", []any{"proj", heldConv(0)}, nil, "flatten", true)}, nil, "num_classes", 1000, "global_pool", "token"), "a whole ViT of timm")
	add("lambda-like-names", "t5.pth", heldModule("transformers.models.t5.modeling_t5.T5LayerNorm", nil, []any{"weight", heldTensorOf(0, "FloatStorage", 4)}, "variance_epsilon", 1e-6), "a module of transformers")
	add("partial-of-a-norm", "swin.pth", heldModule("torchvision.models.swin_transformer.SwinTransformer", []any{"norm", heldModule("torch.nn.modules.normalization.LayerNorm", nil, nil, "eps", 1e-5)}, nil, "norm_layer", &object{function: glob("functools.partial"), args: tup{glob("torch.nn.modules.normalization.LayerNorm")}, state: tup{glob("torch.nn.modules.normalization.LayerNorm"), tup{}, dictOf("eps", 1e-5), nil}}), "a module that keeps partial(nn.LayerNorm, eps=1e-5)")
	add("activation-function", "mlp.pth", heldModule("torch.nn.modules.transformer.TransformerEncoderLayer", []any{"dropout", heldModule("torch.nn.modules.dropout.Dropout", nil, nil, "p", 0.1)}, nil, "activation", glob("torch.nn.functional.relu"), "norm_first", false), "a layer that keeps torch.nn.functional.relu")
	return s.cases
}

// heldPlainLegacy are torch's formats besides the zip with a state dict.
func heldPlainLegacy() []Case {
	s := heldCase("plain-torch-formats")
	head := pickle(2, bigMagic()) + pickle(2, 1001) + pickle(2, dictOf("protocol_version", 1001, "little_endian", true, "type_sizes", dictOf("short", 2, "int", 4, "long", 4)))
	old := func(key string) *object {
		return heldOrdered("w", reduce("torch._utils._rebuild_tensor_v2", persID{tup{"storage", glob("torch.FloatStorage"), key, "cpu", 4, nil}}, 0, tup{4}, tup{1}, false, reduce("collections.OrderedDict")))
	}
	s.add("legacy", "model.pth", head+pickle(2, old("94312"))+pickle(2, listOf("94312"))+le64(4)+weights(970, 4), "torch.save with _use_new_zipfile_serialization=False")
	s.add("legacy-two-storages", "vgg.pth", head+pickle(2, listOf(old("1"), old("2")))+pickle(2, listOf("1", "2"))+le64(4)+weights(971, 4)+le64(4)+weights(972, 4), "a legacy file of two storages, whose raw bytes follow each other")
	code := "class Net(Module):\n  __parameters__ = [\"weight\", ]\n  __buffers__ = []\n  weight : Tensor\n  training : bool\n  def forward(self: __torch__.Net,\n    x: Tensor) -> Tensor:\n    _0 = torch.linear(x, self.weight)\n    ops.prim.RaiseException(\"eval\")\n    return _0\n"
	module := opProto(2) + opGlobal("__torch__", "Net") + opEmptyTuple + opNewObj + opEmptyDict + opMark + opBinUnicode("weight") + body(2, heldTensorOf(0, "FloatStorage", 4)) + opBinUnicode("training") + opNewFalse + opSetItems + opBuild + opStop
	s.add("torchscript", "scripted.pt", string(archive{zip64: true, members: []member{torchMember("net/data.pkl", module), torchMember("net/byteorder", "little"), torchMember("net/data/0", weights(973, 4)), torchMember("net/code/__torch__.py", code), torchMember("net/code/__torch__.py.debug_pkl", pickle(2, tup{"FORMAT_WITH_STRING_TABLE", listOf("x"), tup{}})), torchMember("net/constants.pkl", pickle(2, tup{})), torchMember("net/version", "3\n")}}.bytes()), "torch.jit.save")
	s.add("exported-program", "model.pt2", string(archive{members: []member{{name: "serialized_exported_program.json", data: `{"graph_module": {"graph": {"nodes": [{"target": "torch.ops.aten.linear.default"}]}}, "opset_version": {"aten": 10}, "schema_version": {"major": 5}}`}, {name: "serialized_state_dict.pt", data: heldSaved(old("0"), 1)}, {name: "version", data: "5.1"}}}.bytes()), "torch.export.save")
	s.add("deflated-by-a-person", "repacked.pt", string(archive{members: []member{{name: "m/data.pkl", data: pickle(2, heldOrdered("w", heldTensorOf(0, "FloatStorage", 16))), deflate: true}, {name: "m/data/0", data: weights(974, 16), deflate: true}, {name: "m/version", data: "3\n"}}}.bytes()), "a torch zip that was unpacked and zipped again")
	s.add("package", "package.pt", string(archive{members: []member{torchMember("p/.data/version", "6\n"), torchMember("p/.data/extern_modules", "torch\nnumpy\n"), torchMember("p/model/model.pkl", pickle(3, heldOrdered("w", 1.0))), torchMember("p/byteorder", "little"), torchMember("p/.data/python_version", "3.11.7")}}.bytes()), "torch.package with a state dict of numbers")
	s.add("mar-of-a-built-in-handler", "vision.mar", heldZipOf("MAR-INF/MANIFEST.json", `{"runtime": "python", "model": {"modelName": "resnet", "serializedFile": "resnet.pt", "handler": "image_classifier"}}`, "resnet.pt", heldSaved(old("0"), 1), "index_to_name.json", `{"0": ["n01440764", "tench"]}`), "torch-model-archiver with a built-in handler")
	s.add("nemo-weights", "asr.nemo", heldTar(0, "./model_config.yaml", "target: nemo.collections.asr.models.ctc_bpe_models.EncDecCTCModelBPE\npreprocessor:\n  _target_: nemo.collections.asr.modules.AudioToMelSpectrogramPreprocessor\n  normalize: per_feature\noptim:\n  name: novograd\n", "./model_weights.ckpt", heldSaved(old("0"), 1)), "NeMo's save_to")
	s.add("executorch", "model.pte", le32(24)+"ET12"+strings.Repeat("\x00", 200), "the head of an ExecuTorch program")
	return s.cases
}
