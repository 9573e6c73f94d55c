package corpus

// thirdModule is a whole nn.Module, as torch.save(model) pickles it.
func thirdModule(class string, children []any, attributes ...any) *object {
	var modules [][2]any
	for i := 0; i < len(children); i += 2 {
		modules = append(modules, [2]any{children[i], children[i+1]})
	}
	return torchModule(class, nil, modules, attributes...)
}

// thirdWeighted is a module with a weight, of which key is the storage.
func thirdWeighted(class string, key int, shape tup, attributes ...any) *object {
	return torchModule(class, [][2]any{{"weight", parameter(heldTensorOf(key, "FloatStorage", shape...))}, {"bias", nil}}, nil, attributes...)
}

func thirdPlainModules() []Case {
	s := third("torch-module")
	save := func(name, file, root string, v any, truth string) {
		s.add(name, file, thirdSaved(root, v, false), truth)
	}
	conv := func(key int) *object {
		return thirdWeighted("torch.nn.modules.conv.Conv2d", key, tup{4, 2, 3, 3}, "in_channels", 2, "out_channels", 4, "kernel_size", tup{3, 3}, "stride", tup{1, 1}, "padding", tup{1, 1}, "dilation", tup{1, 1}, "transposed", false, "output_padding", tup{0, 0}, "groups", 1, "padding_mode", "zeros", "_reversed_padding_repeated_twice", listOf(1, 1, 1, 1))
	}
	relu := func() *object { return thirdModule("torch.nn.modules.activation.ReLU", nil, "inplace", true) }
	norm := func() *object {
		return torchModule("torch.nn.modules.batchnorm.BatchNorm2d", nil, nil, "num_features", 4, "eps", 0.001, "momentum", 0.03, "affine", true, "track_running_stats", true)
	}
	sequential := func(children ...any) *object {
		return thirdModule("torch.nn.modules.container.Sequential", children)
	}
	save("small-cnn", "cnn.pth", "cnn", sequential("0", conv(0), "1", norm(), "2", relu(), "3", thirdModule("torch.nn.modules.pooling.MaxPool2d", nil, "kernel_size", 2, "stride", 2, "padding", 0, "dilation", 1, "return_indices", false, "ceil_mode", false), "4", thirdModule("torch.nn.modules.flatten.Flatten", nil, "start_dim", 1, "end_dim", -1),
		"5", linearModule("1", 16, 4), "6", thirdModule("torch.nn.modules.activation.LogSoftmax", nil, "dim", 1)), "a whole Sequential")
	save("lstm", "lstm.pt", "lstm", thirdModule("__main__.Tagger", []any{"embedding", thirdWeighted("torch.nn.modules.sparse.Embedding", 0, tup{10, 4}, "num_embeddings", 10, "embedding_dim", 4, "padding_idx", 0, "max_norm", nil, "norm_type", 2.0, "scale_grad_by_freq", false, "sparse", false),
		"lstm", torchModule("torch.nn.modules.rnn.LSTM", [][2]any{{"weight_ih_l0", parameter(heldTensorOf(1, "FloatStorage", 16, 4))}}, nil, "mode", "LSTM", "input_size", 4, "hidden_size", 4, "num_layers", 1, "batch_first", true, "bidirectional", false, "_flat_weights_names", listOf("weight_ih_l0"), "_all_weights", listOf(listOf("weight_ih_l0")))}, "hidden_dim", 4), "a whole module of a notebook's class")
	bottleneck := thirdModule("torchvision.models.resnet.Bottleneck", []any{"conv1", conv(1), "bn1", norm(), "relu", relu()}, "downsample", nil, "stride", 1)
	save("torchvision-resnet50", "resnet50_finetuned.pth", "resnet50_finetuned", thirdModule("torchvision.models.resnet.ResNet", []any{"conv1", conv(0), "bn1", norm(), "relu", relu(), "layer1", sequential("0", bottleneck), "avgpool", thirdModule("torch.nn.modules.pooling.AdaptiveAvgPool2d", nil, "output_size", tup{1, 1}), "fc", linearModule("2", 4, 2)}, "_norm_layer", glob("torch.nn.modules.batchnorm.BatchNorm2d"), "inplanes", 256, "dilation", 1, "groups", 1, "base_width", 64), "a fine-tuned ResNet of torchvision")
	save("torchvision-efficientnet", "effnet.pth", "effnet", thirdModule("torchvision.models.efficientnet.EfficientNet", []any{"features", sequential("0", thirdModule("torchvision.ops.misc.Conv2dNormActivation", []any{"0", conv(0), "1", norm(), "2", thirdModule("torch.nn.modules.activation.SiLU", nil, "inplace", true)}, "out_channels", 4)), "classifier", sequential("0", thirdModule("torch.nn.modules.dropout.Dropout", nil, "p", 0.2, "inplace", true), "1", linearModule("1", 4, 3))}), "an EfficientNet of torchvision")
	save("unet-smp", "unet.pth", "unet", thirdModule("segmentation_models_pytorch.decoders.unet.model.Unet", []any{"encoder", thirdModule("segmentation_models_pytorch.encoders.resnet.ResNetEncoder", []any{"conv1", conv(0)}, "_depth", 5, "_out_channels", tup{3, 64, 64}, "_in_channels", 3), "decoder", thirdModule("segmentation_models_pytorch.decoders.unet.decoder.UnetDecoder", []any{"center", thirdModule("torch.nn.modules.linear.Identity", nil)}), "segmentation_head", thirdModule("segmentation_models_pytorch.base.heads.SegmentationHead", []any{"0", conv(1)})}, "name", "u-resnet34"), "a Unet of segmentation_models_pytorch")
	yoloConv := func(key int) *object {
		return thirdModule("ultralytics.nn.modules.conv.Conv", []any{"conv", conv(key), "bn", norm(), "act", thirdModule("torch.nn.modules.activation.SiLU", nil, "inplace", true)})
	}
	for i, v := range []struct{ name, head, block string }{{"yolov8s", "ultralytics.nn.modules.head.Detect", "ultralytics.nn.modules.block.C2f"}, {"yolo11n-seg", "ultralytics.nn.modules.head.Segment", "ultralytics.nn.modules.block.C3k2"}} {
		model := thirdModule([]string{"ultralytics.nn.tasks.DetectionModel", "ultralytics.nn.tasks.SegmentationModel"}[i], []any{"model", sequential("0", yoloConv(0), "1", thirdModule(v.block, []any{"cv1", yoloConv(1), "m", thirdModule("torch.nn.modules.container.ModuleList", []any{"0", thirdModule("ultralytics.nn.modules.block.Bottleneck", []any{"cv1", yoloConv(2)}, "add", true)})}, "c", 16), "2", thirdModule("torch.nn.modules.upsampling.Upsample", nil, "size", nil, "scale_factor", 2.0, "mode", "nearest", "align_corners", nil, "recompute_scale_factor", nil),
			"3", thirdModule("ultralytics.nn.modules.conv.Concat", nil, "d", 1), "4", thirdModule(v.head, []any{"dfl", thirdModule("ultralytics.nn.modules.block.DFL", []any{"conv", conv(3)}, "c1", 16)}, "nc", 80, "nl", 3, "reg_max", 16, "no", 144))}, "yaml", dictOf("nc", 80, "scales", dictOf("n", listOf(0.33, 0.25, 1024)), "backbone", listOf(listOf(-1, 1, "Conv", listOf(64, 3, 2))), "head", listOf(listOf(listOf(15, 18, 21), 1, "Detect", listOf("nc"))), "ch", 3),
			"save", listOf(4), "names", dictOf(0, "person", 1, "bicycle"), "args", dictOf("task", "detect", "imgsz", 640), "task", "detect")
		save(v.name, v.name+".pt", v.name, dictOf("date", "2024-03-11T09:12:44", "version", "8.1.24", "license", "AGPL-3.0 License", "epoch", -1, "best_fitness", nil, "model", model, "ema", nil, "updates", nil, "optimizer", nil, "train_args", dictOf("task", "detect", "mode", "train", "epochs", 100, "data", "coco.yaml", "exist_ok", true), "train_metrics", dictOf("metrics/mAP50(B)", 0.52)), "a checkpoint of Ultralytics")
	}
	save("yolov5-old", "best.pt", "best", dictOf("epoch", 299, "model", thirdModule("models.yolo.DetectionModel", []any{"model", sequential("0", thirdModule("models.common.Conv", []any{"conv", conv(0), "act", thirdModule("torch.nn.modules.activation.SiLU", nil)}), "24", thirdModule("models.yolo.Detect", []any{"m", thirdModule("torch.nn.modules.container.ModuleList", []any{"0", conv(1)})}, "nc", 2, "nl", 3, "na", 3, "inplace", true))}, "names", listOf("cat", "dog")), "wandb_id", nil, "date", "2022-10-03T17:40:01"), "a checkpoint of YOLOv5, whose classes are in its own repository")
	save("timm-vit", "vit.pth", "vit", thirdModule("timm.models.vision_transformer.VisionTransformer", []any{"patch_embed", thirdModule("timm.layers.patch_embed.PatchEmbed", []any{"proj", conv(0), "norm", thirdModule("torch.nn.modules.linear.Identity", nil)}, "img_size", tup{224, 224}, "flatten", true), "norm", thirdWeighted("torch.nn.modules.normalization.LayerNorm", 1, tup{4}, "normalized_shape", tup{4}, "eps", 1e-06, "elementwise_affine", true), "head", linearModule("2", 4, 3)}, "num_classes", 3, "global_pool", "token"), "a ViT of timm")
	save("huggingface-distilbert", "model.pt", "model", thirdModule("transformers.models.distilbert.modeling_distilbert.DistilBertForSequenceClassification", []any{"distilbert", thirdModule("transformers.models.distilbert.modeling_distilbert.DistilBertModel", []any{"embeddings", thirdModule("transformers.models.distilbert.modeling_distilbert.Embeddings", []any{"dropout", thirdModule("torch.nn.modules.dropout.Dropout", nil, "p", 0.1, "inplace", false)})}), "classifier", linearModule("0", 4, 2)},
		"config", instance("transformers.models.distilbert.configuration_distilbert.DistilBertConfig", dictOf("vocab_size", 30522, "dim", 768, "activation", "gelu", "id2label", dictOf(0, "NEGATIVE", 1, "POSITIVE"), "architectures", listOf("DistilBertForSequenceClassification"), "torch_dtype", nil, "transformers_version", "4.38.2")), "name_or_path", "distilbert-base-uncased", "warnings_issued", dictOf(), "num_labels", 2), "a whole DistilBERT")
	save("transformer-encoder", "encoder.pt", "encoder", thirdModule("torch.nn.modules.transformer.TransformerEncoder", []any{"layers", thirdModule("torch.nn.modules.container.ModuleList", []any{"0", thirdModule("torch.nn.modules.transformer.TransformerEncoderLayer", []any{"self_attn", torchModule("torch.nn.modules.activation.MultiheadAttention", [][2]any{{"in_proj_weight", parameter(heldTensorOf(0, "FloatStorage", 12, 4))}}, [][2]any{{"out_proj", torchModule("torch.nn.modules.linear.NonDynamicallyQuantizableLinear", nil, nil, "in_features", 4, "out_features", 4)}}, "embed_dim", 4, "num_heads", 2, "batch_first", true)}, "activation", glob("torch.nn.functional.relu"), "norm_first", false)})}, "num_layers", 1, "enable_nested_tensor", true), "a TransformerEncoder, whose activation is torch.nn.functional.relu")

	l := third("torchscript")
	source := func(class, more, body string) string {
		return "class " + class + "(Module):\n  __parameters__ = [\"weight\", ]\n  __buffers__ = []\n  weight : Tensor\n  training : bool\n" + more + "  def forward(self: __torch__." + class + ",\n    x: Tensor) -> Tensor:\n" + body
	}
	for i, v := range []struct{ name, class, more, body string }{
		{"scripted-mlp", "MLP", "", "    _0 = torch.linear(x, self.weight, None)\n    return torch.softmax(_0, -1)\n"},
		{"traced-conv", "Conv", "", "    input = torch._convolution(x, self.weight, None, [1, 1], [0, 0], [1, 1], False, [0, 0], 1, False, False, True, True)\n    return torch.relu_(input)\n"},
		{"silero-vad", "VAD", "  _is_full_backward_hook : Optional[bool]\n", "    _0 = torch.stft(x, 256, 64)\n    if bool(torch.gt(torch.max(_0), 0.5)):\n      _1 = torch.mean(_0)\n    else:\n      _1 = torch.zeros_like(x)\n    return _1\n"},
	} {
		data := opProto(2) + opGlobal("__torch__", v.class) + opBinPut(100) + opEmptyTuple + opNewObj + opBinPut(101) + opEmptyDict + opBinPut(102) + opMark + str2("weight") + body(2, heldTensorOf(0, "FloatStorage", 4, 4)) + str2("training") + opNewFalse + opSetItems + opBuild + opStop
		l.add(v.name, v.name+".pt", string(archive{zip64: true, members: []member{torchMember(v.name+"/data.pkl", data), torchMember(v.name+"/code/__torch__.py", source(v.class, v.more, v.body)), torchMember(v.name+"/code/__torch__.py.debug_pkl", pickle(2, tup{"FORMAT_WITH_STRING_TABLE", tup{"", "/src/net.py", v.body}, tup{tup{0, 0, 14}}})),
			torchMember(v.name+"/data/0", weights(uint64(810+i), 16)), torchMember(v.name+"/constants.pkl", opProto(2)+opEmptyTuple+opStop), torchMember(v.name+"/version", "3\n"), torchMember(v.name+"/byteorder", "little")}}.bytes()), "a TorchScript archive: "+v.name)
	}
	return join(s, l)
}
