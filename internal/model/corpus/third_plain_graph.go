package corpus

import "strings"

// thirdNode is an ONNX node of an operator without a domain, with its inputs
// and outputs: "a,b>c".
func thirdNode(op, wires string, attributes ...string) string {
	in, out, _ := strings.Cut(wires, ">")
	s := ""
	for name := range strings.SplitSeq(in, ",") {
		s += pb(1, name)
	}
	for name := range strings.SplitSeq(out, ",") {
		s += pb(2, name)
	}
	domain, name, found := strings.Cut(op, "::")
	if !found {
		domain, name = "", op
	}
	s += pb(3, "/"+out+"/"+name) + pb(4, name)
	for _, a := range attributes {
		s += pb(5, a)
	}
	return s + pb(7, domain)
}

func thirdInit(seed uint64, name string, dims ...int) string {
	n := 1
	for _, d := range dims {
		n *= d
	}
	return onnxTensor(name, dims, weights(seed, n))
}

func thirdInts64(name string, values ...int) string {
	data := ""
	for _, v := range values {
		data += le64(v)
	}
	return pbInt(1, len(values)) + pbInt(2, 7) + pb(8, name) + pb(9, data)
}

func thirdPlainONNX() []Case {
	s := third("onnx")
	add := func(name, file, producer string, graph string, truth string, domains ...string) {
		s.add(name, file, onnxFile(producer, graph, domains...), truth)
	}
	floats := func(name string, f float32) string { return pb(1, name) + pbFloat(2, f) + pbInt(20, 1) }
	add("resnet-block", "resnet18.onnx", "pytorch", onnxGraph([]string{thirdNode("Conv", "x,w,b>c", onnxInts("dilations", 1, 1), pb(1, "group")+pbInt(3, 1)+pbInt(20, 2), onnxInts("kernel_shape", 3, 3), onnxInts("pads", 1, 1, 1, 1), onnxInts("strides", 1, 1)), thirdNode("Relu", "c>r"), thirdNode("Add", "r,x>a"), thirdNode("GlobalAveragePool", "a>g"), thirdNode("Flatten", "g>f", onnxInt("axis", 1)), thirdNode("Gemm", "f,fw,fb>y", floats("alpha", 1), floats("beta", 1), onnxInt("transB", 1))}, thirdInit(1, "w", 3, 3, 3, 3), thirdInit(2, "b", 3), thirdInit(3, "fw", 4, 3), thirdInit(4, "fb", 4)), "a convolutional network")
	add("bert", "model.onnx", "pytorch", onnxGraph([]string{thirdNode("Gather", "emb,x>e"), thirdNode("Cast", "m>mf", onnxInt("to", 1)), thirdNode("Sub", "one,mf>inv"), thirdNode("Mul", "inv,neg>bias"), thirdNode("MatMul", "e,q>qq"), thirdNode("MatMul", "e,k>kk"), thirdNode("Transpose", "kk>kt", onnxInts("perm", 0, 2, 1)), thirdNode("MatMul", "qq,kt>s"), thirdNode("Add", "s,bias>sb"), thirdNode("Softmax", "sb>p", onnxInt("axis", -1)), thirdNode("ReduceMean", "p>mean", onnxInts("axes", -1), onnxInt("keepdims", 1)), thirdNode("Erf", "mean>y")}, thirdInit(5, "emb", 16, 8), thirdInit(6, "q", 8, 8), thirdInit(7, "k", 8, 8)), "a transformer in plain operators")
	add("bert-int8", "model_quantized.onnx", "onnx.quantize", onnxGraph([]string{thirdNode("DynamicQuantizeLinear", "x>xq,xs,xz"), thirdNode("MatMulInteger", "xq,w,xz,wz>i"), thirdNode("Cast", "i>f", onnxInt("to", 1)), thirdNode("Mul", "f,xs>m"), thirdNode("com.microsoft::QAttention", "m>a", onnxInt("num_heads", 12)), thirdNode("com.microsoft::EmbedLayerNormalization", "a>y")}, pbInts(1, 4, 4)+pbInt(2, 3)+pb(8, "w")+pb(9, noise(830, 16))), "a dynamically quantised model", "com.microsoft")
	add("llm-int4", "model_q4.onnx", "onnxruntime-genai", onnxGraph([]string{thirdNode("com.microsoft::MatMulNBits", "x,w,s>h", onnxInt("K", 64), onnxInt("N", 32), onnxInt("bits", 4), onnxInt("block_size", 32)), thirdNode("com.microsoft::GroupQueryAttention", "h,h,h>a", onnxInt("num_heads", 8), onnxInt("kv_num_heads", 2), onnxInt("do_rotary", 1)), thirdNode("com.microsoft::SimplifiedLayerNormalization", "a>n"), thirdNode("com.microsoft::RotaryEmbedding", "n>y")}), "a language model of onnxruntime-genai", "com.microsoft")
	add("yolo", "yolov8n.onnx", "pytorch", onnxGraph([]string{thirdNode("Conv", "x,w>c", onnxInts("kernel_shape", 3, 3)), thirdNode("Sigmoid", "c>s"), thirdNode("Mul", "c,s>m"), thirdNode("Split", "m,two>a,b", onnxInt("axis", 1)), thirdNode("MaxPool", "a>p", onnxInts("kernel_shape", 5, 5), onnxInts("pads", 2, 2, 2, 2), onnxInts("strides", 1, 1)), thirdNode("Concat", "a,p,b>cat", onnxInt("axis", 1)), thirdNode("Resize", "cat,roi,scales>u", onnxText("mode", "nearest"), onnxText("nearest_mode", "floor"), onnxText("coordinate_transformation_mode", "asymmetric")), thirdNode("Reshape", "u,shape>y")}, thirdInit(8, "w", 4, 3, 3, 3), thirdInts64("two", 2, 2), thirdInts64("shape", 1, 84, -1)), "a detector")
	s.cases[len(s.cases)-1].Files["yolov8n.onnx"] = append(s.cases[len(s.cases)-1].Files["yolov8n.onnx"], pb(14, pb(1, "names"), pb(2, "{0: 'person', 1: 'bicycle'}"))+pb(14, pb(1, "stride"), pb(2, "32"))+pb(14, pb(1, "author"), pb(2, "Ultralytics"))+pb(14, pb(1, "task"), pb(2, "detect"))...)
	add("detector-with-nms", "ssd.onnx", "tf2onnx 1.16.1", onnxGraph([]string{thirdNode("NonMaxSuppression", "boxes,scores,max,iou,score>sel"), thirdNode("Squeeze", "sel,axes>sq"), thirdNode("TopK", "sq,k>v,i", onnxInt("largest", 1)), thirdNode("GatherND", "v,i>y")}, thirdInts64("max", 100), thirdInts64("axes", 1)), "a detector with its non-maximum suppression")
	add("lstm", "lstm.onnx", "pytorch", onnxGraph([]string{thirdNode("LSTM", "x,w,r,b>y,h,c", onnxInt("hidden_size", 4), onnxText("direction", "bidirectional")), thirdNode("Squeeze", "h>z")}, thirdInit(9, "w", 2, 16, 4), thirdInit(10, "r", 2, 16, 4)), "a recurrent network")
	add("text-generation-loop", "decoder_model_merged.onnx", "optimum-onnx", onnxGraph([]string{thirdNode("If", "use_cache_branch>logits", onnxSubgraph("then_branch", onnxGraph([]string{thirdNode("Concat", "past,new>present", onnxInt("axis", 2))})), onnxSubgraph("else_branch", onnxGraph([]string{thirdNode("Identity", "new>present")})))}), "a decoder whose two branches were merged")
	add("beam-search", "t5_beam.onnx", "onnxruntime.transformers", onnxGraph([]string{thirdNode("com.microsoft::BeamSearch", "input_ids,max,min>sequences", onnxInt("eos_token_id", 1), onnxInt("model_type", 1), onnxSubgraph("decoder", onnxGraph([]string{thirdNode("MatMul", "h,w>l")})))}), "a beam search with its decoder as a subgraph", "com.microsoft")
	sk := func(name, op, truth string, attributes ...string) {
		add("skl-"+name, name+".onnx", "skl2onnx", onnxGraph([]string{thirdNode("ai.onnx.ml::"+op, "x>label,probabilities", attributes...), thirdNode("ai.onnx.ml::ZipMap", "probabilities>output_probability", pb(1, "classlabels_int64s")+pbInt(8, 0)+pbInt(8, 1)+pbInt(20, 7))}), truth, "ai.onnx.ml")
	}
	sk("random-forest", "TreeEnsembleClassifier", "a random forest of scikit-learn", onnxInts("nodes_treeids", 0, 0, 0), onnxInts("nodes_nodeids", 0, 1, 2), onnxInts("class_ids", 0, 1), onnxText("post_transform", "NONE"))
	sk("logistic", "LinearClassifier", "a logistic regression of scikit-learn", onnxInt("multi_class", 1), onnxText("post_transform", "LOGISTIC"))
	sk("svc", "SVMClassifier", "a support vector machine of scikit-learn", onnxText("kernel_type", "RBF"), onnxInts("vectors_per_class", 3, 4))
	add("lightgbm", "lgbm.onnx", "OnnxMLTools", onnxGraph([]string{thirdNode("ai.onnx.ml::Imputer", "x>i"), thirdNode("ai.onnx.ml::TreeEnsembleRegressor", "i>y", onnxInt("n_targets", 1), onnxText("aggregate_function", "SUM"))}), "a LightGBM regressor", "ai.onnx.ml")
	add("tfidf", "text_clf.onnx", "skl2onnx", onnxGraph([]string{thirdNode("StringNormalizer", "x>l", onnxText("case_change_action", "LOWER"), onnxInt("is_case_sensitive", 0)), thirdNode("com.microsoft::Tokenizer", "l>t", onnxText("tokenexp", "[a-zA-Z0-9_]+"), onnxInt("mark", 0), onnxText("pad_value", "#")), thirdNode("TfIdfVectorizer", "t>v", onnxText("mode", "TF"), onnxInt("max_gram_length", 1)), thirdNode("ai.onnx.ml::LinearClassifier", "v>y")}), "a text classifier", "ai.onnx.ml", "com.microsoft")
	add("tokenizer-extension", "tokenizer.onnx", "onnxruntime-extensions", onnxGraph([]string{thirdNode("ai.onnx.contrib::BertTokenizer", "text>ids,types,mask", onnxText("vocab_file", "[PAD]\n[UNK]\nthe\n"), onnxInt("do_lower_case", 1))}), "a tokenizer of onnxruntime-extensions", "ai.onnx.contrib")
	add("layout-optimised", "mobilenet.nchwc.onnx", "onnxruntime", onnxGraph([]string{thirdNode("com.microsoft.nchwc::Conv", "x,w>c"), thirdNode("com.microsoft.nchwc::ReorderOutput", "c>o", onnxInt("channels", 8)), thirdNode("com.microsoft::FusedConv", "o>f", onnxText("activation", "Relu")), thirdNode("com.ms.internal.nhwc::QLinearConv", "f>y")}), "a graph that onnxruntime optimised for a machine", "com.microsoft.nchwc", "com.microsoft", "com.ms.internal.nhwc")
	external := func(variation, location string, size int) {
		s.files(variation, "onnx/model.onnx", map[string][]byte{"onnx/model.onnx": []byte(onnxFile("pytorch", onnxGraph([]string{thirdNode("MatMul", "x,w>h"), thirdNode("Gelu", "h>y", onnxText("approximate", "tanh"))}, onnxOutside("w", []int{size / 16, 4}, "location", location, "offset", "0", "length", itoa(size)), onnxOutside("b", []int{4}, "location", location, "offset", itoa(size), "length", "16", "checksum", "0")))),
			"onnx/" + location: []byte(weights(uint64(size), size/4+4))}, "weights in "+location+" beside the model")
	}
	external("external-data", "model.onnx_data", 1024)
	external("external-data-weight", "decoder.weight.bin", 4096)
	external("external-data-numbered", "onnx__MatMul_1234", 256)
	add("torch-dynamo", "dynamo.onnx", "pytorch", onnxGraph([]string{thirdNode("pkg.torch.2.3.0::torch_nn_modules_linear_Linear_fc_1", "x>y")}), "a model of the dynamo exporter", "pkg.torch.2.3.0", "pkg.onnxscript.torch_lib.common")
	s.cases[len(s.cases)-1].Files["dynamo.onnx"] = append(s.cases[len(s.cases)-1].Files["dynamo.onnx"], pb(25, pb(1, "torch_nn_modules_linear_Linear_fc_1"), pb(4, "x"), pb(5, "y"), pb(7, thirdNode("pkg.onnxscript.torch_lib.common::Rank", "x>y")), pb(9, pb(1, ""), pbInt(2, 18)), pb(10, "pkg.torch.2.3.0"))+pb(25, pb(1, "Rank"), pb(4, "input"), pb(5, "r"), pb(7, thirdNode("Shape", "input>t")), pb(7, thirdNode("Size", "t>r")), pb(10, "pkg.onnxscript.torch_lib.common"))...)
	add("vae-decoder", "vae_decoder.onnx", "pytorch", onnxGraph([]string{thirdNode("Div", "latent,scale>z"), thirdNode("InstanceNormalization", "z,g,b>n", floats("epsilon", 1e-6)), thirdNode("ConvTranspose", "n,w>c", onnxInts("strides", 2, 2)), thirdNode("Clip", "c,lo,hi>y")}, thirdInit(11, "w", 4, 4, 2, 2), thirdInit(12, "g", 4)), "the decoder of a VAE")
	add("constants", "pre.onnx", "pytorch", onnxGraph([]string{pb(2, "k") + pb(3, "Constant_0") + pb(4, "Constant") + pb(5, pb(1, "value")+pb(5, thirdInit(13, "", 2, 2))+pbInt(20, 4)), thirdNode("ConstantOfShape", "shape>zero"), thirdNode("Where", "c,x,zero>y")}), "constants as nodes")
	return s.cases
}

func thirdPlainTF() []Case {
	s := third("tensorflow")
	in := tfNode("serving_default_input_1", "Placeholder", tfAttr("dtype", pbInt(6, 1)), tfAttr("shape", pb(7, pb(2, pbInt(1, 1)))))
	variable := func(name string) []string {
		return []string{tfNode(name, "VarHandleOp", tfAttr("dtype", pbInt(6, 1)), tfAttr("shared_name", pb(2, name))), tfNode(name+"/Read/ReadVariableOp", "ReadVariableOp", pb(3, name), tfAttr("dtype", pbInt(6, 1)))}
	}
	saver := []string{tfConst("saver_filename", ""), tfNode("StaticRegexFullMatch", "StaticRegexFullMatch", pb(3, "saver_filename"), tfAttr("pattern", pb(2, "^s3://.*"))), tfConst("Const", ".part"), tfNode("Select", "Select"), tfNode("StringJoin", "StringJoin"), tfNode("num_shards", "Const"), tfNode("ShardedFilename", "ShardedFilename"), tfNode("SaveV2", "SaveV2"), tfNode("MergeV2Checkpoints", "MergeV2Checkpoints"), tfNode("RestoreV2", "RestoreV2"), tfNode("AssignVariableOp", "AssignVariableOp")}
	call := tfNode("StatefulPartitionedCall", "StatefulPartitionedCall", pb(3, "serving_default_input_1"), tfAttr("f", pb(10, pb(1, "__inference_signature_wrapper_77"))))
	folder := func(variation, truth string, graph string, more ...string) {
		files := map[string][]byte{"saved_model.pb": []byte(savedModel(graph)), "fingerprint.pb": []byte(pbInt(1, 1234567890123) + pbInt(2, 42)), "variables/variables.index": []byte(tfCheckpoint("dense/kernel", 512)), "variables/variables.data-00000-of-00001": []byte(weights(841, 512))}
		for i := 0; i < len(more); i += 2 {
			files[more[i]] = []byte(more[i+1])
		}
		s.files(variation, "saved_model.pb", files, truth)
	}
	function := func(name string, ops ...string) string {
		nodes := make([]string, len(ops))
		for i, op := range ops {
			nodes[i] = tfNode(strings.ToLower(op)+"_"+itoa(i), op)
		}
		return tfFunction(name, nodes...)
	}
	dense := append(append([]string{in, call}, variable("dense/kernel")...), saver...)
	folder("keras-dense", "an exported Keras model", tfGraph(dense, function("__inference_signature_wrapper_77", "StatefulPartitionedCall"), function("__inference__wrapped_model_70", "MatMul", "BiasAdd", "Relu", "NoOp", "Identity"), function("__inference__traced_save_90", "SaveV2", "ShardedFilename", "MergeV2Checkpoints"), function("__inference__traced_restore_95", "RestoreV2", "AssignVariableOp")), "keras_metadata.pb", pb(1, pbInt(2, 1)+pb(3, "root")+pb(4, "_tf_keras_sequential")+pb(5, `{"name": "sequential", "class_name": "Sequential", "config": {"layers": [{"class_name": "Dense", "config": {"units": 3}}]}}`)))
	folder("efficientnet", "an image classifier of TF Hub", tfGraph(dense, function("__inference_call_1", "Conv2D", "DepthwiseConv2dNative", "FusedBatchNormV3", "Sigmoid", "Mul", "Mean", "ResizeBilinear", "Mul", "AddV2")))
	folder("text-classifier", "a classifier with its vocabulary among the assets", tfGraph(append(dense, tfNode("hash_table", "HashTableV2", tfAttr("shared_name", pb(2, "9999"))), tfConst("asset_path_initializer", "vocab.txt")), function("__inference__initializer_60", "InitializeTableFromTextFileV2"), function("__inference_call_2", "StaticRegexReplace", "StringLower", "StringSplitV2", "LookupTableFindV2", "RaggedTensorToTensor", "GatherV2")), "assets/vocab.txt", "the\na\nof\nsystem\n")
	folder("universal-sentence-encoder", "a sentence encoder", tfGraph(append(dense, tfNode("SentencepieceOp", "SentencepieceOp"), tfNode("tok", "SentencepieceTokenizeOp")), function("__inference_call_3", "UnicodeTranscode", "Einsum", "Softmax", "SegmentSum", "SparseSegmentSqrtN")))
	folder("object-detection", "a detector with loops", tfGraph(dense, function("__inference_call_4", "CombinedNonMaxSuppression", "StatelessWhile", "TensorListFromTensor", "TensorListStack", "CropAndResize", "TopKV2"), function("while_body_5", "TensorListGetItem", "Cast", "Pack"), function("while_cond_6", "Less", "LogicalAnd")))
	folder("decision-forest", "a forest of TensorFlow Decision Forests", tfGraph(append([]string{in}, tfNode("model", "SimpleMLCreateModelResource"), tfNode("load", "SimpleMLLoadModelFromPathWithHandle"), tfNode("infer", "SimpleMLInferenceOpWithHandle"))), "assets/header.pb", pb(1, "forest"), "assets/done", "")
	folder("preprocessing", "a model that parses examples and decodes pictures", tfGraph(append(dense, tfNode("parse", "ParseExampleV2"), tfNode("decode", "DecodeJpeg"), tfNode("b64", "DecodeBase64"), tfNode("assert", "Assert"), tfNode("print", "StringFormat")), function("map_body", "DecodeJpeg", "ResizeBicubic", "Cast")))
	s.add("frozen-inception", "frozen_inception.pb", tfGraph([]string{tfNode("input", "Placeholder"), tfNode("w", "Const", tfAttr("dtype", pbInt(6, 1)), tfAttr("value", pb(8, pbInt(1, 1), pb(2, pb(2, pbInt(1, 8))), pb(4, weights(842, 8))))), tfNode("conv", "Conv2D", pb(3, "input"), pb(3, "w")), tfNode("bn", "BatchNormWithGlobalNormalization"), tfNode("pool", "MaxPool"), tfNode("lrn", "LRN"), tfNode("softmax", "Softmax")}), "a frozen Inception")
	s.add("frozen-facenet", "facenet.pb", tfGraph([]string{tfNode("phase_train", "PlaceholderWithDefault"), tfNode("sw", "Switch"), tfNode("mg", "Merge"), tfNode("l2", "Rsqrt"), tfNode("emb", "Mul")}), "a frozen FaceNet")
	s.files("checkpoint", "model.ckpt-1000.index", map[string][]byte{"checkpoint": []byte("model_checkpoint_path: \"model.ckpt-1000\"\nall_model_checkpoint_paths: \"model.ckpt-1000\"\n"), "model.ckpt-1000.index": []byte(tfCheckpoint("conv/weights", 300)), "model.ckpt-1000.data-00000-of-00001": []byte(weights(844, 300)), "model.ckpt-1000.meta": []byte(pb(1, pb(5, "1.15.0")) + pb(2, tfGraph([]string{in, tfNode("save/SaveV2", "SaveV2"), tfNode("save/RestoreV2", "RestoreV2")})))}, "a checkpoint of TensorFlow 1")
	s.files("tfjs-layers", "model.json", map[string][]byte{"model.json": []byte(`{"format": "layers-model", "generatedBy": "keras v2.13.1", "convertedBy": "TensorFlow.js Converter v4.10.0", "modelTopology": {"keras_version": "2.13.1", "model_config": {"class_name": "Sequential", "config": {"layers": [{"class_name": "Dense", "config": {"units": 4, "activation": "relu"}}]}}}, "weightsManifest": [{"paths": ["group1-shard1of1.bin"], "weights": [{"name": "dense/kernel", "shape": [8, 4], "dtype": "float32"}]}]}`), "group1-shard1of1.bin": []byte(weights(845, 32))}, "a model for TensorFlow.js")

	lite := third("tflite")
	tensor := func(name string, buffer int32, kind int8) table { return table{[]int32{1, 4}, kind, buffer, name} }
	model := func(codes []table, description string, kind int8) string {
		return flatbuffer("TFL3", table{int32(3), codes, []table{{[]table{tensor("serving_default_x:0", 1, kind), tensor("StatefulPartitionedCall:0", 2, kind)}, []int32{0}, []int32{1}, []table{{int32(0), []int32{0}, []int32{1}}}, "main"}}, description, []table{{}, {[]byte(noise(uint64(846+len(codes)), 64))}, {[]byte("1.14.0\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00")}}})
	}
	code := func(n int32) table { return table{int8(min(n, 127)), nil, int32(1), n} }
	lite.add("mobilenet", "mobilenet_v2.tflite", model([]table{code(3), code(4), code(0), code(1), code(25)}, "MLIR Converted.", 0), "an image classifier")
	lite.add("quantised", "classifier_int8.tflite", model([]table{code(114), code(3), code(9), code(6)}, "TOCO Converted.", 9), "a classifier in eight-bit integers")
	lite.add("speech", "kws.tflite", model([]table{code(16), code(22), code(40), code(130)}, "MLIR Converted.", 0), "a keyword spotter")
	lite.add("detection", "ssd_mobilenet.tflite", model([]table{code(3), {int8(32), "TFLite_Detection_PostProcess", int32(1), int32(32)}}, "TOCO Converted.", 3), "a detector with its usual custom operator")
	coreml := func(kind int, body string) string {
		return pbInt(1, 7) + pb(2, pb(1, pb(1, "image"), pb(3, pb(4, pbInt(1, 224), pbInt(2, 224), pbInt(3, 20)))), pb(10, pb(1, "classLabel"), pb(3, pb(3))), pb(11, "classLabel"), pb(100, pb(1, "a classifier of flowers"), pb(2, "1"), pb(3, "someone"), pb(4, "MIT"))) + pb(kind, body)
	}
	lite.files("coreml-package", "Data/com.apple.CoreML/model.mlmodel", map[string][]byte{"Manifest.json": []byte(`{"fileFormatVersion": "1.0.0", "itemInfoEntries": {"A1": {"author": "com.apple.CoreML", "description": "CoreML Model Specification", "name": "model.mlmodel", "path": "com.apple.CoreML/model.mlmodel"}}, "rootModelIdentifier": "A1"}`), "Data/com.apple.CoreML/model.mlmodel": []byte(coreml(502, pbInt(1, 1)+pb(2, pb(1, "main"), pb(2, pb(1, "CoreML7")))))}, "an ML program in a package")
	lite.add("coreml-classifier", "FlowerClassifier.mlmodel", coreml(403, pb(1, pb(1, "conv1"), pb(2, "image"), pb(3, "f"), pb(100, pbInt(1, 8), pbInt(2, 3)))+pb(100, pb(1, "rose"), pb(1, "tulip"))), "a neural network classifier for CoreML")
	lite.files("openvino", "openvino_model.xml", map[string][]byte{"openvino_model.xml": []byte(`<?xml version="1.0"?>` + "\n" + `<net name="Model0" version="11"><layers><layer id="0" name="input_ids" type="Parameter" version="opset1"><data shape="?,?" element_type="i64"/><output><port id="0" precision="I64"><dim>-1</dim></port></output></layer><layer id="1" name="weight" type="Const" version="opset1"><data element_type="f32" shape="4, 4" offset="0" size="64"/></layer></layers><edges><edge from-layer="0" from-port="0" to-layer="1" to-port="0"/></edges><rt_info><Runtime_version value="2024.1.0"/></rt_info></net>` + "\n"), "openvino_model.bin": []byte(weights(847, 16))}, "a model of OpenVINO")
	return join(s, lite)
}

func thirdPlainKeras() []Case {
	s := third("keras")
	object := func(class, config string) string { return thirdLayer("keras.layers", class, config) }
	add := func(name string, layers ...string) {
		s.add(name, name+".keras", thirdKeras(layers...), "a model of Keras 3: "+name)
	}
	add("mnist-cnn", object("Rescaling", `{"name": "r", "scale": 0.00392156862745098, "offset": 0.0}`), object("Conv2D", `{"name": "c", "filters": 32, "kernel_size": [3, 3], "activation": "relu"}`), object("MaxPooling2D", `{"name": "m", "pool_size": [2, 2]}`), object("Flatten", `{"name": "f", "data_format": "channels_last"}`), object("Dropout", `{"name": "d", "rate": 0.5, "seed": null}`))
	add("text-embedding", object("TextVectorization", `{"name": "tv", "max_tokens": 5000, "standardize": "lower_and_strip_punctuation", "split": "whitespace", "output_sequence_length": 100, "vocabulary": null}`), object("Embedding", `{"name": "e", "input_dim": 5000, "output_dim": 16, "mask_zero": true}`), object("Bidirectional", `{"name": "b", "layer": `+object("LSTM", `{"units": 8, "dropout": 0.1}`)+`, "merge_mode": "concat"}`), object("GlobalAveragePooling1D", `{"name": "g"}`))
	add("tabular", object("StringLookup", `{"name": "city", "vocabulary": ["berlin", "paris", "[UNK]"], "mask_token": null, "num_oov_indices": 1, "output_mode": "one_hot"}`), object("Normalization", `{"name": "n", "axis": [-1], "mean": null, "variance": null}`), object("CategoryEncoding", `{"name": "ce", "num_tokens": 4}`), object("Hashing", `{"name": "h", "num_bins": 32, "salt": null}`), object("Discretization", `{"name": "disc", "bin_boundaries": [0.0, 1.0, 2.0]}`))
	add("augmented", object("RandomFlip", `{"name": "rf", "mode": "horizontal"}`), object("RandomRotation", `{"name": "rr", "factor": [-0.1, 0.1], "fill_mode": "reflect"}`), thirdFunctional("", object("DepthwiseConv2D", `{"name": "dw", "kernel_size": [3, 3]}`), object("BatchNormalization", `{"name": "bn", "momentum": 0.99}`), object("ReLU", `{"name": "re", "max_value": 6.0}`)), object("GlobalAveragePooling2D", `{"name": "gap"}`))
	add("attention", object("MultiHeadAttention", `{"name": "mha", "num_heads": 4, "key_dim": 16, "value_dim": 16, "dropout": 0.1}`), object("Add", `{"name": "add"}`), object("LayerNormalization", `{"name": "ln", "epsilon": 1e-06}`), object("TimeDistributed", `{"name": "td", "layer": `+thirdDense("inner", "")+`}`))
	add("lambda-free-names", object("Activation", `{"name": "lambda_1", "activation": "gelu"}`), object("Dense", `{"name": "eval_head", "units": 1, "activation": {"module": "keras.activations", "class_name": "silu", "config": "silu", "registered_name": "silu"}}`))
	s.add("compiled", "compiled.keras", thirdKerasFile(thirdFunctional(`, "compile_config": {"optimizer": {"module": "keras.optimizers", "class_name": "AdamW", "config": {"name": "adamw", "learning_rate": {"module": "keras.optimizers.schedules", "class_name": "CosineDecay", "config": {"initial_learning_rate": 0.001, "decay_steps": 1000}, "registered_name": null}, "weight_decay": 0.004}, "registered_name": null}, "loss": {"module": "keras.losses", "class_name": "SparseCategoricalCrossentropy", "config": {"name": "scc", "from_logits": true}, "registered_name": null}, "loss_weights": null, "metrics": ["accuracy", {"module": "keras.metrics", "class_name": "TopKCategoricalAccuracy", "config": {"k": 5}, "registered_name": null}]}`, thirdDense("out", ""))), "a compiled model with a schedule")
	s.add("vocabulary-asset", "text.keras", thirdKerasFile(thirdFunctional("", object("TextVectorization", `{"name": "tv", "vocabulary": null}`), thirdDense("out", "")), "assets/layers/text_vectorization/vocabulary.txt", "\n[UNK]\nthe\nsystem\n"), "a vocabulary among the archive's assets")
	s.add("custom-layer", "custom.keras", thirdKeras(`{"module": null, "class_name": "PositionalEmbedding", "config": {"name": "pe", "sequence_length": 20, "vocab_size": 1000}, "registered_name": "apex_book>PositionalEmbedding", "build_config": {"input_shape": [null, 20]}}`), "a registered class of the user's own, which the loader must be given")

	layer2 := func(class, config string) string {
		return `{"class_name": "` + class + `", "config": ` + config + `, "name": "` + strings.ToLower(class) + `", "inbound_nodes": []}`
	}
	out2 := layer2("Dense", `{"name": "out", "trainable": true, "units": 3, "activation": "softmax", "kernel_initializer": {"class_name": "GlorotUniform", "config": {"seed": null}}}`)
	h5 := func(name, truth string, latest bool, layers ...string) {
		root := thirdH5(append(layers, out2)...)
		root.attrs = append(root.attrs, h5Attr{name: "training_config", value: `{"loss": "categorical_crossentropy", "metrics": [["accuracy"]], "optimizer_config": {"class_name": "Adam", "config": {"learning_rate": 0.001}}}`})
		file := hdf5(root)
		if latest {
			file = hdf5Latest(root)
		}
		s.add(name, name+".h5", file, truth)
	}
	h5("vgg-transfer", "a transfer of VGG in HDF5", false, layer2("InputLayer", `{"batch_input_shape": [null, 224, 224, 3], "name": "input_1"}`), layer2("Conv2D", `{"name": "block1_conv1", "filters": 64, "kernel_size": [3, 3]}`), layer2("GlobalMaxPooling2D", `{"name": "gmp"}`))
	h5("lstm-forecast", "a forecaster in HDF5", false, layer2("LSTM", `{"name": "lstm", "units": 50, "return_sequences": true}`), layer2("Dropout", `{"name": "dropout", "rate": 0.2}`))
	h5("face-emotion", "an emotion classifier in the latest HDF5", true, layer2("SeparableConv2D", `{"name": "sep", "filters": 16}`), layer2("LeakyReLU", `{"name": "lr", "alpha": 0.1}`))
	h5("unet", "a Unet in HDF5", false, layer2("UpSampling2D", `{"name": "up"}`), layer2("Concatenate", `{"name": "cat", "axis": 3}`), layer2("Conv2DTranspose", `{"name": "ct", "filters": 8}`))
	s.add("weights-3", "model.weights.h5", thirdWeights3(), "weights of Keras 3")
	s.add("weights-2", "tf_model.h5", hdf5(&h5Object{attrs: []h5Attr{{name: "layer_names", names: []string{"bert", "classifier"}}, {name: "backend", value: "tensorflow"}, {name: "keras_version", value: "2.13.1"}}, children: []*h5Object{{name: "bert", children: []*h5Object{{name: "embeddings", children: []*h5Object{{name: "weight:0", floats: []int{16, 8}, data: weights(848, 128)}}}}}, {name: "classifier", attrs: []h5Attr{{name: "weight_names", names: []string{"classifier/kernel:0"}}}, children: []*h5Object{{name: "kernel:0", floats: []int{8, 2}, data: weights(849, 16)}}}}}), "the weights of a TensorFlow model of transformers")
	s.add("features", "features.hdf5", hdf5(&h5Object{attrs: []h5Attr{{name: "description", value: "features of 2,000 clips"}}, children: []*h5Object{{name: "train", children: []*h5Object{{name: "x", floats: []int{20, 8}, data: weights(850, 160)}, {name: "y", floats: []int{20}, data: weights(851, 20)}}}, {name: "test", children: []*h5Object{{name: "x", floats: []int{5, 8}, data: weights(852, 40)}}}}}), "a data set in HDF5")
	s.add("soft-linked", "splits.h5", hdf5Latest(&h5Object{children: []*h5Object{{name: "data", floats: []int{8}, data: weights(853, 8)}, {name: "latest", soft: "/data"}}}), "a soft link within the file")
	return s.cases
}
