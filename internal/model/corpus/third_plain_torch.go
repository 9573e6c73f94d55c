package corpus

import "strings"

// thirdModel is a network's parameters: names and shapes as the library that
// it comes from writes them, with fewer and smaller layers.
type thirdModel struct {
	name    string
	entries []entry
}

// thirdLayers repeats the parameters for each of n layers; # is the layer.
func thirdLayers(n int, e ...entry) []entry {
	var all []entry
	for i := range n {
		for _, p := range e {
			p.name = strings.ReplaceAll(p.name, "#", itoa(i))
			all = append(all, p)
		}
	}
	return all
}

func f32(name string, shape ...any) entry { return entry{name, "FloatStorage", tup(shape)} }

func thirdModels() []thirdModel {
	norm := func(name string, n int) []entry { return []entry{f32(name+".weight", n), f32(name+".bias", n)} }
	linear := func(name string, out, in int) []entry {
		return []entry{f32(name+".weight", out, in), f32(name+".bias", out)}
	}
	batch := func(name string, n int) []entry {
		return append(norm(name, n), f32(name+".running_mean", n), f32(name+".running_var", n), entry{name + ".num_batches_tracked", "LongStorage", tup{}})
	}
	cat := func(parts ...[]entry) []entry {
		var all []entry
		for _, p := range parts {
			all = append(all, p...)
		}
		return all
	}
	one := func(e ...entry) []entry { return e }
	return []thirdModel{
		{"resnet50", cat(one(f32("conv1.weight", 8, 3, 7, 7)), batch("bn1", 8), one(f32("layer1.0.conv1.weight", 8, 8, 1, 1), f32("layer1.0.conv2.weight", 8, 8, 3, 3)), batch("layer1.0.bn1", 8), one(f32("layer1.0.downsample.0.weight", 16, 8, 1, 1)), batch("layer1.0.downsample.1", 16), linear("fc", 10, 16))},
		{"mobilenet-v3", cat(one(f32("features.0.0.weight", 8, 3, 3, 3)), batch("features.0.1", 8), one(f32("features.1.block.0.0.weight", 8, 1, 3, 3)), batch("features.1.block.0.1", 8), linear("classifier.0", 16, 8), linear("classifier.3", 4, 16))},
		{"vgg16", cat(linear("features.0", 8, 27), linear("features.2", 8, 72), linear("classifier.0", 16, 8), linear("classifier.6", 10, 16))},
		{"vit-base", cat(one(f32("cls_token", 1, 1, 16), f32("pos_embed", 1, 5, 16), f32("patch_embed.proj.weight", 16, 3, 4, 4), f32("patch_embed.proj.bias", 16)), thirdLayers(2, cat(norm("blocks.#.norm1", 16), linear("blocks.#.attn.qkv", 48, 16), linear("blocks.#.attn.proj", 16, 16), linear("blocks.#.mlp.fc1", 32, 16))...), norm("norm", 16), linear("head", 10, 16))},
		{"clip", cat(one(f32("logit_scale"), f32("text_model.embeddings.token_embedding.weight", 32, 8), f32("text_model.embeddings.position_embedding.weight", 16, 8), entry{"text_model.embeddings.position_ids", "LongStorage", tup{1, 16}}), thirdLayers(2, linear("vision_model.encoder.layers.#.self_attn.q_proj", 8, 8)...), one(f32("visual_projection.weight", 8, 8)))},
		{"t5-small", cat(one(f32("shared.weight", 32, 8)), thirdLayers(2, f32("encoder.block.#.layer.0.SelfAttention.q.weight", 8, 8), f32("encoder.block.#.layer.0.layer_norm.weight", 8), f32("encoder.block.#.layer.1.DenseReluDense.wi.weight", 16, 8)), one(f32("encoder.block.0.layer.0.SelfAttention.relative_attention_bias.weight", 32, 2), f32("lm_head.weight", 32, 8)))},
		{"gpt2", cat(one(f32("wte.weight", 50, 8), f32("wpe.weight", 16, 8)), thirdLayers(2, cat(norm("h.#.ln_1", 8), one(entry{"h.#.attn.bias", "ByteStorage", tup{1, 1, 16, 16}}, f32("h.#.attn.c_attn.weight", 8, 24), f32("h.#.attn.c_attn.bias", 24), f32("h.#.mlp.c_fc.weight", 8, 32)))...), norm("ln_f", 8))},
		{"llama", cat(one(f32("model.embed_tokens.weight", 64, 16)), thirdLayers(2, f32("model.layers.#.self_attn.q_proj.weight", 16, 16), f32("model.layers.#.self_attn.k_proj.weight", 8, 16), f32("model.layers.#.self_attn.v_proj.weight", 8, 16), f32("model.layers.#.self_attn.o_proj.weight", 16, 16), f32("model.layers.#.mlp.gate_proj.weight", 32, 16), f32("model.layers.#.input_layernorm.weight", 16)), one(f32("model.norm.weight", 16), f32("lm_head.weight", 64, 16)))},
		{"mixtral", cat(one(f32("model.embed_tokens.weight", 32, 8)), thirdLayers(2, f32("model.layers.#.block_sparse_moe.gate.weight", 4, 8), f32("model.layers.#.block_sparse_moe.experts.0.w1.weight", 16, 8), f32("model.layers.#.block_sparse_moe.experts.1.w1.weight", 16, 8), f32("model.layers.#.self_attn.rotary_emb.inv_freq", 4)))},
		{"whisper-tiny", cat(one(f32("encoder.positional_embedding", 15, 8), f32("encoder.conv1.weight", 8, 4, 3), f32("encoder.conv1.bias", 8)), thirdLayers(2, cat(linear("encoder.blocks.#.attn.query", 8, 8), norm("encoder.blocks.#.attn_ln", 8), linear("decoder.blocks.#.cross_attn.value", 8, 8))...), one(f32("decoder.token_embedding.weight", 40, 8)))},
		{"unet2d", cat(linear("conv_in", 8, 36), linear("time_embedding.linear_1", 16, 8), thirdLayers(2, cat(norm("down_blocks.#.resnets.0.norm1", 8), linear("down_blocks.#.attentions.0.transformer_blocks.0.attn1.to_q", 8, 8), linear("up_blocks.#.resnets.0.time_emb_proj", 8, 16))...), linear("conv_out", 4, 72))},
		{"vae", cat(linear("encoder.conv_in", 8, 27), norm("encoder.mid_block.attentions.0.group_norm", 8), linear("quant_conv", 8, 8), linear("post_quant_conv", 4, 4), linear("decoder.conv_out", 3, 72))},
		{"realesrgan", cat(linear("conv_first", 8, 27), thirdLayers(3, linear("body.#.rdb1.conv1", 4, 72)...), linear("conv_last", 3, 72))},
		{"wav2vec2", cat(one(f32("wav2vec2.masked_spec_embed", 8), f32("wav2vec2.encoder.pos_conv_embed.conv.parametrizations.weight.original0", 1, 1, 16), f32("wav2vec2.encoder.pos_conv_embed.conv.parametrizations.weight.original1", 8, 1, 16)), thirdLayers(2, linear("wav2vec2.encoder.layers.#.attention.k_proj", 8, 8)...), linear("lm_head", 32, 8))},
		{"roberta", cat(one(f32("roberta.embeddings.word_embeddings.weight", 50, 8), entry{"roberta.embeddings.position_ids", "LongStorage", tup{1, 16}}), thirdLayers(2, cat(linear("roberta.encoder.layer.#.attention.self.query", 8, 8), linear("roberta.encoder.layer.#.intermediate.dense", 32, 8), norm("roberta.encoder.layer.#.output.LayerNorm", 8))...), linear("classifier.dense", 8, 8), linear("classifier.out_proj", 3, 8))},
		{"lstm-tagger", one(f32("embedding.weight", 40, 8), f32("lstm.weight_ih_l0", 32, 8), f32("lstm.weight_hh_l0", 32, 8), f32("lstm.bias_ih_l0", 32), f32("lstm.weight_ih_l0_reverse", 32, 8), f32("hidden2tag.weight", 5, 16))},
		{"sam", cat(one(f32("prompt_encoder.pe_layer.positional_encoding_gaussian_matrix", 2, 8), f32("mask_decoder.iou_token.weight", 1, 8)), thirdLayers(2, f32("image_encoder.blocks.#.attn.rel_pos_h", 7, 4)))},
		{"ppo-policy", cat(linear("mlp_extractor.policy_net.0", 8, 4), linear("mlp_extractor.value_net.0", 8, 4), linear("action_net", 2, 8), linear("value_net", 1, 8))},
	}
}

// thirdRenamed puts a prefix before each name and another class of storage.
func thirdRenamed(e []entry, prefix, storage string) []entry {
	all := make([]entry, len(e))
	for i, p := range e {
		if p.storage == "FloatStorage" && storage != "" {
			p.storage = storage
		}
		p.name = prefix + p.name
		all[i] = p
	}
	return all
}

// thirdState is module.state_dict(): an OrderedDict whose _metadata has each
// module's version.
func thirdState(e []entry) *object {
	od := stateDict(e...)
	versions := reduce("collections.OrderedDict")
	seen := map[string]bool{}
	for _, p := range append([]entry{{name: "."}}, e...) {
		module := p.name[:max(strings.LastIndexByte(p.name, '.'), 0)]
		if !seen[module] {
			seen[module] = true
			versions.dictItems = append(versions.dictItems, [2]any{module, dictOf("version", 1)})
		}
	}
	return od.with(dictOf("_metadata", versions))
}

// thirdSaved is torch.save of v, with every storage that v refers to. Since
// 2.7 torch writes two more small members.
func thirdSaved(root string, v any, recent bool) string {
	var extra []member
	if recent {
		extra = []member{torchMember(root+"/.format_version", "1"), torchMember(root+"/.storage_alignment", "64")}
	}
	return string(torchZip(root, pickle(2, v), storagesIn(v), extra...))
}

func thirdPlainStates() []Case {
	s := third("torch-state-dict")
	for i, m := range thirdModels() {
		s.add(m.name, "pytorch_model.bin", thirdSaved("pytorch_model", thirdState(m.entries), false), "the state dict of a "+m.name)
		switch i % 6 {
		case 0:
			s.add(m.name+"-half", m.name+"_fp16.pth", thirdSaved("archive", thirdState(thirdRenamed(m.entries, "", "HalfStorage")), true), "the same in half precision, by a recent torch")
		case 1:
			s.add(m.name+"-ddp", "checkpoint.pth.tar", thirdSaved("checkpoint", dictOf("epoch", 90, "arch", m.name, "state_dict", thirdState(thirdRenamed(m.entries, "module.", "")), "best_acc1", 76.13), false), "a checkpoint of DistributedDataParallel")
		case 2:
			s.add(m.name+"-bfloat16", "consolidated.00.pth", thirdSaved("consolidated.00", thirdState(thirdRenamed(m.entries, "", "BFloat16Storage")), false), "the same in bfloat16")
		case 3:
			s.add(m.name+"-compiled", "ckpt.pt", thirdSaved("ckpt", dictOf("model", thirdState(thirdRenamed(m.entries, "_orig_mod.", "")), "model_args", dictOf("n_layer", 2, "n_head", 2, "bias", false, "dropout", 0.0), "iter_num", 5000, "best_val_loss", 1.4697, "config", dictOf("dataset", "shakespeare_char", "compile", true)), true), "a checkpoint of a compiled model")
		case 4:
			few := m.entries[:min(len(m.entries), 9)]
			lengths := make([]int, len(few))
			for k, e := range few {
				lengths[k] = product(e.shape)
			}
			s.add(m.name+"-legacy", m.name+"-1.5.pth", torchLegacyOf(pickle(2, legacyStateDict(few)), storagesOf(few), lengths), "the same as torch 1.5 wrote it")
		case 5:
			s.add(m.name+"-ema", m.name+"_ema.pth", thirdSaved("archive", dictOf("params", thirdState(m.entries), "params_ema", thirdState(m.entries[:len(m.entries)/2])), false), "weights and their moving average")
		}
	}
	return s.cases
}

// thirdAdam is AdamW's state for n parameters; its storages' keys begin with
// first.
func thirdAdam(first, n int) *dict {
	state, params := &dict{}, &list{}
	for i := range n {
		key := first + 3*i
		state.pairs = append(state.pairs, [2]any{i, dictOf("step", heldTensorOf(key, "FloatStorage"), "exp_avg", heldTensorOf(key+1, "FloatStorage", 4, 2), "exp_avg_sq", heldTensorOf(key+2, "FloatStorage", 4, 2))})
		params.items = append(params.items, i)
	}
	group := dictOf("lr", 4.5e-05, "betas", tup{0.9, 0.999}, "eps", 1e-08, "weight_decay", 0.01, "amsgrad", false, "maximize", false, "foreach", nil, "capturable", false, "differentiable", false, "fused", nil, "initial_lr", 5e-05, "params", params)
	return dictOf("state", state, "param_groups", listOf(group))
}

func thirdPlainTraining() []Case {
	s := third("torch-training")
	save := func(name, file, root string, v any, truth string) {
		s.add(name, file, thirdSaved(root, v, false), truth)
	}
	small := thirdModels()[17].entries
	save("optimizer", "optimizer.pt", "optimizer", thirdAdam(0, 3), "an AdamW state beside a Trainer's checkpoint")
	save("scheduler-lambda", "scheduler.pt", "scheduler", dictOf("base_lrs", listOf(5e-05), "last_epoch", 1500, "verbose", false, "_step_count", 1501, "_get_lr_called_within_step", false, "_last_lr", listOf(4.5e-05), "lr_lambdas", listOf(dictOf(), nil)), "a LambdaLR, whose function is a dict of its attributes")
	save("scheduler-cosine", "scheduler.bin", "scheduler", dictOf("T_max", 50, "eta_min", 0.0, "base_lrs", listOf(0.1, 0.01), "last_epoch", 7, "_step_count", 8, "_last_lr", listOf(0.095, 0.0095)), "a CosineAnnealingLR")
	save("scheduler-plateau", "sched.pt", "sched", dictOf("factor", 0.1, "patience", 10, "mode", "min", "threshold", 0.0001, "best", 0.31, "num_bad_epochs", 2, "cooldown_counter", 0, "min_lrs", listOf(0)), "a ReduceLROnPlateau")
	save("rng-state", "rng_state.pth", "rng_state", dictOf("python", tup{3, tup{2147483648, 766982754, 497961170, 4, 624}, nil}, "numpy", tup{"MT19937", numpy1.array(dtype("u4"), tup{624}, noise(800, 2496)), 624, 0, 0.0}, "cpu", heldTensorOf(0, "ByteStorage", 5056), "cuda", heldTensorOf(1, "ByteStorage", 16)), "the states of random generators beside a checkpoint")
	save("rng-state-numpy-2", "rng_state_0.pth", "rng_state_0", dictOf("python", tup{3, tup{1, 2, 3, 624}, nil}, "numpy", tup{"MT19937", numpy2.array(dtype("u4"), tup{624}, noise(801, 2496)), 12, 0, 0.0}, "cpu", heldTensorOf(0, "ByteStorage", 5056)), "the same with numpy 2")
	save("grad-scaler", "scaler.pt", "scaler", dictOf("scale", 65536.0, "growth_factor", 2.0, "backoff_factor", 0.5, "growth_interval", 2000, "_growth_tracker", 41), "a GradScaler")
	enum := func(class, value string) *object { return reduce(class, value) }
	arguments := instance("transformers.training_args.TrainingArguments", dictOf("output_dir", "out", "overwrite_output_dir", false, "do_train", true, "learning_rate", 5e-05, "num_train_epochs", 3.0, "lr_scheduler_type", enum("transformers.trainer_utils.SchedulerType", "linear"),
		"logging_strategy", enum("transformers.trainer_utils.IntervalStrategy", "steps"), "save_strategy", enum("transformers.trainer_utils.IntervalStrategy", "epoch"), "optim", enum("transformers.training_args.OptimizerNames", "adamw_torch"), "hub_strategy", enum("transformers.trainer_utils.HubStrategy", "every_save"),
		"report_to", listOf("tensorboard"), "_n_gpu", 1, "__cached__setup_devices", reduce("torch.device", "cuda", 0), "accelerator_config", instance("transformers.trainer_pt_utils.AcceleratorConfig", dictOf("split_batches", false, "dispatch_batches", nil, "even_batches", true)), "distributed_state", nil))
	save("training-args", "training_args.bin", "training_args", arguments, "the arguments of a Trainer")
	save("training-args-trl", "training_args.bin", "training_args", instance("trl.trainer.sft_config.SFTConfig", dictOf("output_dir", "sft", "max_seq_length", 1024, "packing", true, "lr_scheduler_type", enum("transformers.trainer_utils.SchedulerType", "cosine"), "gradient_checkpointing_kwargs", dictOf("use_reentrant", false))), "the arguments of a trl SFTTrainer")
	loops := dictOf("fit_loop", dictOf("state_dict", dictOf(), "epoch_loop.state_dict", dictOf("_batches_that_stepped", 500), "epoch_loop.batch_progress", dictOf("total", dictOf("ready", 500, "completed", 500, "started", 500, "processed", 500))), "validate_loop", dictOf("state_dict", dictOf()))
	for i, version := range []string{"1.9.5", "2.0.9", "2.4.0"} {
		checkpoint := dictOf("epoch", i, "global_step", 500*(i+1), "pytorch-lightning_version", version, "state_dict", thirdState(thirdRenamed(small, "model.", "")), "loops", loops, "callbacks", dictOf("EarlyStopping{'monitor': 'val_loss', 'mode': 'min'}", dictOf("wait_count", i, "stopped_epoch", 0, "patience", 5)),
			"optimizer_states", listOf(thirdAdam(len(small), 2)), "lr_schedulers", listOf(), "MixedPrecision", dictOf("scale", 1024.0), "hparams_name", "kwargs", "hyper_parameters", dictOf("lr", 0.001, "hidden", listOf(64, 64), "dropout", 0.1, "backbone", "resnet18"))
		save("lightning-"+strings.ReplaceAll(version, ".", "-"), "epoch="+itoa(i)+"-step="+itoa(500*(i+1))+".ckpt", "archive", checkpoint, "a checkpoint of Lightning "+version)
	}
	omega := func(v any) *object {
		return instance("omegaconf.nodes.AnyNode", dictOf("_metadata", instance("omegaconf.base.Metadata", dictOf("ref_type", glob("typing.Any"), "object_type", nil, "optional", true, "key", "lr", "flags", nil)), "_parent", nil, "_val", v))
	}
	save("lightning-omegaconf", "last.ckpt", "archive", dictOf("epoch", 1, "state_dict", thirdState(small), "hyper_parameters", instance("omegaconf.dictconfig.DictConfig", dictOf("_metadata", instance("omegaconf.base.ContainerMetadata", dictOf("ref_type", glob("typing.Any"), "object_type", glob("builtins.dict"), "optional", true, "key_type", glob("typing.Any"), "element_type", glob("typing.Any"))), "_parent", nil, "_content", dictOf("lr", omega(0.001))))), "hyperparameters of OmegaConf")
	save("whisper", "tiny.en.pt", "tiny.en", dictOf("dims", dictOf("n_mels", 80, "n_vocab", 51864, "n_audio_ctx", 1500, "n_audio_state", 384, "n_text_layer", 4), "model_state_dict", thirdState(thirdRenamed(thirdModels()[9].entries, "", "HalfStorage"))), "OpenAI's layout of a Whisper model")
	save("peft-adapter", "adapter_model.bin", "adapter_model", stateDict(thirdLayers(4, f32("base_model.model.model.layers.#.self_attn.q_proj.lora_A.weight", 4, 16), f32("base_model.model.model.layers.#.self_attn.q_proj.lora_B.weight", 16, 4))...), "a LoRA adapter of peft")
	save("textual-inversion", "learned_embeds.bin", "learned_embeds", dictOf("<cat-toy>", heldTensorOf(0, "FloatStorage", 768)), "an embedding of textual inversion")
	save("embeddings-list", "speaker_embeddings.pt", "speaker_embeddings", dictOf("speakers", listOf("p225", "p226"), "embeddings", heldTensorOf(0, "FloatStorage", 2, 64), "counts", heldTensorOf(1, "LongStorage", 2)), "embeddings of speakers")
	save("dataset-of-tensors", "training.pt", "training", tup{heldTensorOf(0, "ByteStorage", 10, 28, 28), heldTensorOf(1, "LongStorage", 10)}, "MNIST as torchvision keeps it")
	save("fairseq", "checkpoint_best.pt", "archive", dictOf("args", nil, "cfg", dictOf("_name", nil, "common", dictOf("fp16", true, "seed", 1)), "model", thirdState(small), "criterion", reduce("collections.OrderedDict"), "optimizer_history", listOf(dictOf("criterion_name", "CrossEntropyCriterion", "optimizer_name", "FairseqAdam", "lr_scheduler_state", dictOf("best", nil), "num_updates", 100)), "task_state", dictOf(), "extra_state", dictOf("train_iterator", dictOf("epoch", 2, "iterations_in_epoch", 0), "val_loss", 4.2), "last_optimizer_state", thirdAdam(len(small), 1)), "a checkpoint of fairseq")
	save("detectron2", "model_final.pth", "model_final", dictOf("model", thirdState(thirdModels()[0].entries), "optimizer", thirdAdam(len(thirdModels()[0].entries), 1), "scheduler", dictOf("max_iter", 90000, "base_lrs", listOf(0.02), "last_epoch", 89999), "iteration", 89999), "a checkpoint of detectron2")
	save("mmdetection", "epoch_12.pth", "epoch_12", dictOf("meta", dictOf("env_info", "sys.platform: linux\nPython: 3.9\nCUDA available: True", "mmdet_version", "2.28.2", "seed", nil, "exp_name", "faster_rcnn.py", "epoch", 12, "iter", 87960, "CLASSES", tup{"person", "bicycle"}, "hook_msgs", dictOf("last_ckpt", "epoch_11.pth")), "state_dict", thirdState(thirdModels()[1].entries)), "a checkpoint of mmdetection")
	save("deepspeed-model-states", "mp_rank_00_model_states.pt", "mp_rank_00_model_states", dictOf("module", thirdState(small), "buffer_names", listOf(), "optimizer", nil, "param_shapes", listOf(func() *object {
		od := reduce("collections.OrderedDict")
		od.dictItems = [][2]any{{"w", reduce("torch.Size", tup{8, 4})}}
		return od
	}()), "ds_version", "0.14.2", "ds_config", dictOf("train_batch_size", 32, "zero_optimization", dictOf("stage", 2)), "global_steps", 100, "dp_world_size", 2, "mp_world_size", 1), "the model states of DeepSpeed")
	save("rvc-voice", "voice.pth", "voice", dictOf("weight", reduce("collections.OrderedDict").withItems("enc_p.emb_phone.weight", heldTensorOf(0, "HalfStorage", 8, 16)), "config", listOf(1025, 32, 192, 192, 768, 2, 6, 3, 0, "1", listOf(3, 7, 11), 40000), "info", "200epoch", "sr", "40k", "f0", 1, "version", "v2"), "a voice model of RVC")
	return s.cases
}

// withItems adds keys and values in turn, as SETITEMS on an OrderedDict does.
func (o *object) withItems(keysAndValues ...any) *object {
	for i := 0; i < len(keysAndValues); i += 2 {
		o.dictItems = append(o.dictItems, [2]any{keysAndValues[i], keysAndValues[i+1]})
	}
	return o
}
