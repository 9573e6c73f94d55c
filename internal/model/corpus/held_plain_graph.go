package corpus

import (
	"hash/crc32"
	"strings"
)

func heldPlainONNX() []Case {
	s := heldCase("plain-onnx")
	add := func(name, model, truth string) { s.add(name, "model.onnx", model, truth) }
	add("resnet-like", hoModel(hoGraph(hoNode("Conv", ""), hoNode("Relu", ""), hoNode("Gemm", ""), pb(5, hoTensor("w", 1))), nil), "torch.onnx.export of a small network")
	add("com-microsoft", hoModel(hoGraph(hoNode("FusedMatMul", "com.microsoft"), hoNode("SkipLayerNormalization", "com.microsoft"), hoNode("MatMulNBits", "com.microsoft")), []string{"com.microsoft"}), "a model that ONNX Runtime has optimised")
	add("ai-onnx-ml", hoModel(hoGraph(hoNode("Scaler", "ai.onnx.ml"), hoNode("TreeEnsembleClassifier", "ai.onnx.ml"), hoNode("ZipMap", "ai.onnx.ml")), []string{"ai.onnx.ml"}), "skl2onnx")
	add("local-function", hoModel(hoGraph(hoNode("aten_gelu", "pkg.onnxscript.torch_lib")), []string{"pkg.onnxscript.torch_lib"}, pb(25, pb(1, "aten_gelu"), pb(4, "x"), pb(5, "y"), pb(7, hoBody("Erf", "")), pb(9, pb(1, ""), pbInt(2, 18)), pb(10, "pkg.onnxscript.torch_lib"))), "torch.onnx.dynamo_export with a function that the model defines")
	add("if-and-loop", hoModel(hoGraph(hoNode("If", "", hoAttrGraph("then_branch", hoGraph(hoNode("Identity", ""))), hoAttrGraph("else_branch", hoGraph(hoNode("Neg", "")))), hoNode("Loop", "", hoAttrGraph("body", hoGraph(hoNode("Add", ""))))), nil), "control flow")
	s.files("external-data", "model.onnx", map[string][]byte{"model.onnx": []byte(hoModel(hoGraph(hoNode("MatMul", ""), pb(5, hoOutside("w", "model.onnx.data"))), nil)), "model.onnx.data": []byte(weights(2, 4))}, "weights in model.onnx.data beside it")
	s.files("external-data-in-a-folder", "model.onnx", map[string][]byte{"model.onnx": []byte(hoModel(hoGraph(hoNode("MatMul", ""), pb(5, hoOutside("w", "weights/layer.0..1.bin"))), nil)), "weights/layer.0..1.bin": []byte(weights(3, 4))}, "weights in a folder below, with two dots in the name")
	add("quantised", hoModel(hoGraph(hoNode("QuantizeLinear", ""), hoNode("DequantizeLinear", ""), hoNode("ConvInteger", "")), nil), "a quantised model")
	add("metadata", hoModel(hoGraph(hoNode("Identity", "")), nil, pb(14, pb(1, "names"), pb(2, "{0: 'person', 1: 'system'}")), pb(14, pb(1, "description"), pb(2, "exec(import os) is not run"))), "ultralytics' export with metadata_props")
	add("string-normaliser", hoModel(hoGraph(hoNode("StringNormalizer", ""), hoNode("TfIdfVectorizer", "")), nil), "text operators")
	s.add("tensor-file", "input_0.pb", hoTensor("x", 4), "a TensorProto of ONNX's test data")
	return s.cases
}

func heldPlainTF() []Case {
	s := heldCase("plain-tensorflow")
	input := pb(1, htNode("serving_default_x", "Placeholder", htAttr("dtype", pbInt(6, 1)), htAttr("shape", pb(7, pb(2, pbInt(1, 4))))))
	saver := pb(1, htNode("saver_filename", "Placeholder")) + pb(1, htNode("StatefulPartitionedCall_1", "StatefulPartitionedCall", htAttr("f", pb(10, pb(1, "__inference__traced_save_9")))))
	functions := htFunction("__inference__traced_save_9", htNode("ShardedFilename", "ShardedFilename"), htNode("MergeV2Checkpoints", "MergeV2Checkpoints"), htNode("SaveV2", "SaveV2")) + htFunction("__inference__traced_restore_9", htNode("RestoreV2", "RestoreV2"), htNode("AssignVariableOp", "AssignVariableOp"))
	s.files("saved-model", "saved_model.pb", map[string][]byte{"saved_model.pb": []byte(htSaved(htGraph(input+saver+pb(1, htNode("NoOp", "NoOp")), functions))), "variables/variables.index": []byte("\x00\x00\x08\x0a" + noise(980, 90)), "variables/variables.data-00000-of-00001": []byte(weights(981, 32)), "fingerprint.pb": []byte(pbInt(1, 123456789)), "assets/vocab.txt": []byte("exec\nsystem\n")}, "tf.saved_model.save with variables and assets")
	s.add("while-and-tensor-lists", "saved_model.pb", htSaved(htGraph(input+pb(1, htNode("while", "StatelessWhile", htAttr("body", pb(10, pb(1, "while_body_3"))))), htFunction("while_body_3", htNode("TensorListReserve", "TensorListReserve"), htNode("TensorListGetItem", "TensorListGetItem"), htNode("ReadVariableOp", "ReadVariableOp")))), "an RNN with a while loop")
	s.add("hash-table", "saved_model.pb", htSaved(htGraph(input+htText("file", "assets/vocab.txt")+pb(1, htNode("init", "InitializeTableFromTextFileV2", pb(3, "table"), pb(3, "file")))+pb(1, htNode("table", "HashTableV2")), ""), pb(6, pb(1, pb(1, "file:0")), pb(2, "vocab.txt"))), "a lookup table from an asset")
	s.add("node-named-pyfunc", "frozen.pb", htGraph(input+pb(1, htNode("PyFunc/ReadFile/WriteFile", "AddV2"))+pb(1, htNode("lambda_1/eval", "Relu"))), "a frozen graph whose nodes, not ops, have such names")
	s.add("print-and-assert", "saved_model.pb", htSaved(htGraph(input+pb(1, htNode("p", "PrintV2", htAttr("output_stream", pb(2, "stderr"))))+pb(1, htNode("a", "Assert")))), "tf.print to stderr and an assertion")
	s.add("decode-jpeg", "saved_model.pb", htSaved(htGraph(input+pb(1, htNode("d", "DecodeJpeg"))+pb(1, htNode("r", "ResizeBilinear"))+pb(1, htNode("parse", "ParseExampleV2")))), "a serving graph that decodes pictures and Examples")
	s.add("keras-metadata", "keras_metadata.pb", pb(1, pbInt(2, 1)+pb(3, "root")+pb(4, "_tf_keras_sequential")+pb(5, `{"name": "lambda_eval", "class_name": "Sequential", "config": {"layers": [{"class_name": "Dense", "config": {"units": 1}}]}}`)), "keras_metadata.pb without a Lambda")
	s.add("tfrecord", "train.tfrecord", heldRecord(pb(1, pb(1, pb(1, "image"), pb(2, pb(1, pb(1, heldJPEG()))))))+heldRecord(pb(1, "")), "a TFRecord of Examples")
	s.add("events", "events.out.tfevents.1718458416.host", heldRecord("\x09"+lef64(1718458416)+pb(3, "brain.Event:2")), "TensorBoard's events")
	s.add("checkpoint-text", "checkpoint", "model_checkpoint_path: \"ckpt-10\"\nall_model_checkpoint_paths: \"ckpt-9\"\nall_model_checkpoint_paths: \"ckpt-10\"\n", "the text file checkpoint")
	s.add("object-detection-config", "pipeline.config", "model {\n  ssd {\n    num_classes: 90\n    image_resizer { fixed_shape_resizer { height: 300 width: 300 } }\n  }\n}\neval_config { num_examples: 8000 }\n", "a protobuf text config")
	lite := flatbuffer("TFL3", table{int32(3), []table{{int8(0), nil, int32(1), int8(3)}}, []table{{[]table{{[]int32{1, 4}, int8(0), int32(0), "x"}}, []int32{0}, []int32{0}, nil, "main"}}, "MLIR Converted.", []table{{nil}}})
	s.add("tflite", "model.tflite", lite, "TFLite's converter")
	s.add("tflite-with-metadata", "detect.tflite", string(archive{prefix: lite, adjusted: true, members: []member{{name: "labelmap.txt", data: "person\nsystem\n"}}}.bytes()), "TFLite with its label file as a zip behind it, as the metadata writer does")
	s.add("coreml", "model.mlmodel", pbInt(1, 5)+pb(2, pb(1, pb(1, "image")), pb(100, pb(1, "exec")))+pb(500, pb(1, pb(1, "x"))), "coremltools' neural network")
	s.add("openvino-xml", "model.xml", "<?xml version=\"1.0\"?>\n<net name=\"torch_jit\" version=\"11\"><layers><layer id=\"0\" name=\"x\" type=\"Parameter\" version=\"opset1\"/></layers><edges/></net>\n", "OpenVINO's graph")
	s.add("ncnn-param", "model.param", "7767517\n3 3\nInput data 0 1 data 0=224 1=224 2=3\nConvolution conv1 1 1 data conv1 0=64 1=3\nSoftmax prob 1 1 conv1 prob\n", "ncnn's graph")
	s.add("darknet-cfg", "yolov3.cfg", "[net]\nbatch=64\n\n[convolutional]\nbatch_normalize=1\nactivation=leaky\n", "Darknet's config")
	return s.cases
}

// heldRecord frames one record of a TFRecord with its masked CRC-32C.
func heldRecord(data string) string {
	masked := func(s string) string {
		c := crc32.Checksum([]byte(s), crc32.MakeTable(crc32.Castagnoli))
		return le32(int((c>>15 | c<<17) + 0xa282ead8))
	}
	return le64(len(data)) + masked(le64(len(data))) + data + masked(data)
}

func heldPlainKeras() []Case {
	s := heldCase("plain-keras")
	add := func(name, config, truth string) { s.add(name, "model.keras", hkFile(config), truth) }
	add("names-with-words", hkModel("", hk("keras.layers", "Dense", `{"name": "lambda_exec_eval", "units": 4, "activation": "sigmoid"}`), hk("keras.layers", "Activation", `{"name": "os_system", "activation": "softmax"}`)), "layers named lambda, exec, eval")
	add("registered", hkModel("", `{"module": null, "class_name": "MyScale", "config": {"factor": 2.0}, "registered_name": "my_package>MyScale"}`), "a layer registered with register_keras_serializable")
	add("dtype-policy", hkModel("", hkDense(`, "dtype": {"module": "keras", "class_name": "DTypePolicy", "config": {"name": "mixed_float16"}, "registered_name": null}`)), "mixed precision")
	add("compile-config", hkModel(`, "compile_config": {"optimizer": {"module": "keras.optimizers", "class_name": "AdamW", "config": {"learning_rate": {"module": "keras.optimizers.schedules", "class_name": "CosineDecay", "config": {"decay_steps": 100}, "registered_name": null}}, "registered_name": null}, "loss": {"module": "keras.losses", "class_name": "SparseCategoricalCrossentropy", "config": {"from_logits": true}, "registered_name": null}, "metrics": ["accuracy"], "run_eagerly": false, "jit_compile": true}`, hkDense("")), "an optimizer with a schedule")
	add("wrappers", hkModel("", hk("keras.layers", "Bidirectional", `{"layer": `+hk("keras.layers", "LSTM", `{"units": 8, "activation": "tanh"}`)+`, "merge_mode": "concat"}`), hk("keras.layers", "TimeDistributed", `{"layer": `+hkDense("")+`}`)), "Bidirectional and TimeDistributed")
	add("string-lookup-inline", hkModel("", hk("keras.layers", "StringLookup", `{"vocabulary": ["exec", "etc/passwd", "a"], "mask_token": null, "num_oov_indices": 1}`)), "StringLookup whose vocabulary is in the config")
	add("text-vectorization", hkModel("", hk("keras.layers", "TextVectorization", `{"max_tokens": 100, "standardize": "lower_and_strip_punctuation", "split": "whitespace", "vocabulary": null}`)), "TextVectorization whose vocabulary is an asset")
	add("functional-operations", `{"module": "keras.src.models.functional", "class_name": "Functional", "config": {"name": "f", "layers": [{"module": "keras.src.ops.numpy", "class_name": "Add", "config": {"name": "add"}, "registered_name": "Add", "inbound_nodes": [{"args": [{"class_name": "__keras_tensor__", "config": {"shape": [null, 4], "dtype": "float32", "keras_history": ["x", 0, 0]}}], "kwargs": {}}]}], "input_layers": ["x", 0, 0], "output_layers": ["add", 0, 0]}, "registered_name": "Functional"}`, "a functional model with an operation of keras.ops")
	add("keras-hub", hkModel("", `{"module": "keras_hub.src.models.bert.bert_backbone", "class_name": "BertBackbone", "config": {"vocabulary_size": 100}, "registered_name": "keras_hub>BertBackbone"}`), "a backbone of KerasHub")
	h5 := func(name, config, truth string, more ...h5Attr) {
		s.add(name, "model.h5", hkH5(config, more...), truth)
	}
	h5("h5-sequential", `{"class_name": "Sequential", "config": {"name": "lambda", "layers": [{"class_name": "Dense", "config": {"name": "eval", "units": 1, "activation": "linear"}}]}}`, "model.save of Keras 2", h5Attr{name: "training_config", value: `{"loss": "mse", "metrics": null, "optimizer_config": {"class_name": "Adam", "config": {"learning_rate": 0.001}}}`})
	h5("h5-custom-class", `{"class_name": "Sequential", "config": {"layers": [{"class_name": "Custom>MyLayer", "config": {"name": "m"}}, {"class_name": "Addons>GELU", "config": {}}]}}`, "layers of other packages by their registered names")
	h5("h5-keras-1", `{"class_name": "Sequential", "keras_version": "1.2.2", "config": [{"class_name": "Convolution2D", "config": {"nb_filter": 32, "activation": "relu"}}]}`, "a model of Keras 1")
	s.add("architecture-json", "model.json", `{"class_name": "Functional", "config": {"name": "m", "layers": [{"class_name": "InputLayer", "config": {"name": "x"}, "inbound_nodes": []}]}, "keras_version": "2.9.0", "backend": "tensorflow"}`, "model.to_json()")
	s.add("tfjs", "model.json", `{"format": "layers-model", "generatedBy": "keras v2.15.0", "convertedBy": "TensorFlow.js Converter v4.17.0", "modelTopology": {"keras_version": "2.15.0", "model_config": {"class_name": "Sequential", "config": {"layers": []}}}, "weightsManifest": [{"paths": ["group1-shard1of1.bin"], "weights": []}]}`, "TensorFlow.js")
	return s.cases
}

func heldPlainHDF5() []Case {
	s := heldCase("plain-hdf5")
	d := func(name string, n int) *h5Object {
		return &h5Object{name: name, floats: []int{n}, data: weights(uint64(n), n)}
	}
	s.add("h5py-default", "data.h5", hdf5(&h5Object{children: []*h5Object{d("x", 32), d("y", 8), {name: "meta", attrs: []h5Attr{{name: "eval", value: "import os"}}}}}), "h5py.File with datasets and attributes")
	s.add("libver-latest", "data.h5", hdf5Latest(&h5Object{children: []*h5Object{d("x", 16), {name: "g", children: []*h5Object{d("z", 4)}}}}), "h5py.File(libver='latest')")
	s.add("matlab-7.3", "data.mat", heldUserblock(hdf5(&h5Object{children: []*h5Object{{name: "A", attrs: []h5Attr{{name: "MATLAB_class", value: "double", fixed: true}}, floats: []int{4}, data: weights(9, 4)}}})), "MATLAB's save -v7.3")
	s.add("soft-links", "data.h5", hdf5(&h5Object{children: []*h5Object{d("run1", 8), {name: "latest", soft: "/run1"}}}), "a soft link within the file")
	s.add("netcdf4-like", "climate.nc", hdf5(&h5Object{attrs: []h5Attr{{name: "_NCProperties", value: "version=2,netcdf=4.9.2,hdf5=1.14.0"}, {name: "Conventions", value: "CF-1.8"}}, children: []*h5Object{d("time", 12), d("lat", 4), d("tas", 48)}}), "a netCDF-4 file")
	s.add("anndata", "cells.h5ad", hdf5(&h5Object{attrs: []h5Attr{{name: "encoding-type", value: "anndata"}, {name: "encoding-version", value: "0.1.0"}}, children: []*h5Object{d("X", 40), {name: "obs", attrs: []h5Attr{{name: "_index", value: "cell_id"}, {name: "column-order", names: []string{"exec", "batch"}}}}, {name: "uns"}}}), "anndata's write_h5ad")
	s.add("weights-of-keras-3", "model.weights.h5", hdf5(&h5Object{children: []*h5Object{{name: "layers", children: []*h5Object{{name: "lambda_layer", children: []*h5Object{{name: "vars", children: []*h5Object{d("0", 16)}}}}}}, {name: "optimizer", children: []*h5Object{{name: "vars"}}}}}), "save_weights of Keras 3")
	s.add("many-groups", "zoo.h5", hdf5(&h5Object{children: heldGroups(60)}), "sixty groups, so that the B-tree has several nodes")
	s.add("classic-netcdf", "old.nc", "CDF\x01"+be32(0)+be32(10)+be32(1)+be32(4)+"time"+be32(3)+strings.Repeat("\x00", 16), "a netCDF-3 file, which is no HDF5")
	return s.cases
}

func heldGroups(n int) []*h5Object {
	var g []*h5Object
	for i := range n {
		g = append(g, &h5Object{name: "block_" + itoa(i), floats: []int{2}, data: weights(uint64(i), 2)})
	}
	return g
}
