package corpus

import "strings"

func tfOps() []Case {
	s := &set{technique: "tf-op"}
	in := tfNode("x", "Placeholder", tfAttr("dtype", pbInt(6, 1)))
	file := tfConst("path", "/etc/passwd")
	op := func(variation, name string, truth string, attributes ...string) {
		s.add(variation, "saved_model.pb", savedModel(tfGraph([]string{in, file, tfNode("node", name, append([]string{pb(3, "path")}, attributes...)...)})), truth)
	}
	op("read-file", "ReadFile", "reads a file of the host")
	op("write-file", "WriteFile", "writes a file of the host")
	op("matching-files", "MatchingFiles", "lists files of the host")
	op("py-func", "PyFunc", "calls a Python function of the process")
	op("eager-py-func", "EagerPyFunc", "the same in eager mode")
	op("debug-identity", "DebugIdentityV2", "writes tensors to a URL of its choice", tfAttr("debug_urls", pb(1, pb(2, "file:///nonexistent/apex"))))
	op("print-v2", "PrintV2", "writes to a file by output_stream", tfAttr("output_stream", pb(2, "file:///nonexistent/apex")))
	op("whole-file-reader", "WholeFileReaderV2", "reads files")
	op("text-line-dataset", "TextLineDataset", "reads lines of a file")
	op("dlopen", "LoadLibrary", "loads a native library")
	op("save-dataset", "SaveDatasetV2", "writes a directory")
	s.add("frozen-graph", "frozen_inference_graph.pb", tfGraph([]string{in, file, tfNode("r", "ReadFile", pb(3, "path")), tfNode("y", "Identity", pb(3, "x"))}), "ReadFile in a frozen graph")
	s.add("second-meta-graph", "saved_model.pb", savedModel(tfGraph([]string{in}))+savedModel(tfGraph([]string{in, file, tfNode("w", "WriteFile", pb(3, "path"))}))[2:], "in the second meta graph")
	return s.cases
}

func tfFunctionOps() []Case {
	s := &set{technique: "tf-op-in-function"}
	in := tfNode("x", "Placeholder", tfAttr("dtype", pbInt(6, 1)))
	callNode := func(f string) string {
		return tfNode("call", "StatefulPartitionedCall", pb(3, "x"), tfAttr("f", pb(10, pb(1, f))))
	}
	s.add("one-call", "saved_model.pb", savedModel(tfGraph([]string{in, callNode("__inference_f_1")}, tfFunction("__inference_f_1", tfConst("p", "/etc/passwd"), tfNode("out", "ReadFile", pb(3, "p"))))), "ReadFile in a function")
	s.add("two-calls", "saved_model.pb", savedModel(tfGraph([]string{in, callNode("a")}, tfFunction("a", callNode("b")), tfFunction("b", tfConst("p", "/tmp/apex"), tfNode("out", "WriteFile", pb(3, "p"))))), "WriteFile behind two calls")
	s.add("last-of-many", "saved_model.pb", savedModel(tfGraph([]string{in}, append(manyFunctions(60), tfFunction("z", tfNode("out", "PyFunc", tfAttr("token", pb(2, "pyfunc_0")))))...)), "the last of sixty functions")
	s.add("frozen", "graph.pb", tfGraph([]string{in, callNode("g")}, tfFunction("g", tfNode("out", "MatchingFiles"))), "in a frozen graph's library")
	s.add("dataset-map", "saved_model.pb", savedModel(tfGraph([]string{in, tfNode("m", "MapDataset", tfAttr("f", pb(10, pb(1, "h"))))}, tfFunction("h", tfNode("out", "EagerPyFunc")))), "in the function of a dataset's map")
	return s.cases
}

func manyFunctions(n int) []string {
	var f []string
	for i := range n {
		f = append(f, tfFunction("__inference_layer_"+itoa(i), tfNode("out", "MatMul"), tfNode("b", "BiasAdd")))
	}
	return f
}

func tfBrokenTails() []Case {
	s := &set{technique: "tf-broken-tail"}
	bad := savedModel(tfGraph([]string{tfConst("p", "/etc/passwd"), tfNode("r", "ReadFile", pb(3, "p"))}))
	s.add("cut-field", "saved_model.pb", bad+"\x12\xff\xff\xff\x0f", "a field longer than the file follows the graph")
	s.add("wrong-wire-type", "saved_model.pb", bad+"\x0f\x00", "a wire type that there is not")
	s.add("endless-varint", "saved_model.pb", bad+strings.Repeat("\xff", 12), "a varint without end")
	s.add("field-zero", "saved_model.pb", bad+"\x02\x00", "field number 0")
	s.add("pickle-after", "saved_model.pb", bad+evil(0), "a pickle follows")
	return s.cases
}

func benignTF() []Case {
	s := &set{technique: "tensorflow"}
	in := tfNode("serving_default_x", "Placeholder", tfAttr("dtype", pbInt(6, 1)))
	float := func(name string) string {
		return tfNode(name, "Const", tfAttr("dtype", pbInt(6, 1)), tfAttr("value", pb(8, pbInt(1, 1), pb(2, pb(2, pbInt(1, 4))), pb(4, weights(3, 4)))))
	}
	variables := []string{tfNode("dense/kernel", "VarHandleOp", tfAttr("shared_name", pb(2, "dense/kernel"))), tfNode("dense/kernel/Read", "ReadVariableOp", pb(3, "dense/kernel")), tfNode("Assign", "AssignVariableOp", pb(3, "dense/kernel")), tfConst("saver_filename", "model"),
		tfNode("StaticRegexFullMatch", "StaticRegexFullMatch"), tfNode("SaveV2", "SaveV2"), tfNode("MergeV2Checkpoints", "MergeV2Checkpoints"), tfNode("RestoreV2", "RestoreV2"), tfNode("ShardedFilename", "ShardedFilename")}
	call := tfNode("StatefulPartitionedCall", "StatefulPartitionedCall", pb(3, "serving_default_x"), tfAttr("f", pb(10, pb(1, "__inference_signature_wrapper_0"))))
	s.add("keras-export", "saved_model.pb", savedModel(tfGraph(append([]string{in, call}, variables...), manyFunctions(12)...)), "a Keras model with save and restore operators")
	s.files("with-variables", "saved_model.pb", map[string][]byte{"saved_model.pb": []byte(savedModel(tfGraph(append([]string{in}, variables...)))), "variables/variables.index": []byte("\x00\x00\x08" + noise(1, 60)), "variables/variables.data-00000-of-00001": []byte(weights(2, 256)), "fingerprint.pb": []byte(pbInt(1, 123456789))}, "a directory with variables")
	s.add("frozen-ssd", "frozen_inference_graph.pb", tfGraph([]string{in, float("w"), tfNode("Conv2D", "Conv2D", pb(3, "x"), pb(3, "w")), tfNode("Relu6", "Relu6"), tfNode("NonMaxSuppressionV3", "NonMaxSuppressionV3"), tfNode("while/Enter", "Enter"), tfNode("while/Switch", "Switch")}), "a frozen detector")
	s.add("names-like-ops", "saved_model.pb", savedModel(tfGraph([]string{in, tfNode("ReadFile", "Identity"), tfNode("PyFunc/eval", "MatMul"), tfNode("system", "Relu")})), "node names that look like dangerous operators")
	s.add("text-model", "saved_model.pb", savedModel(tfGraph([]string{in, tfNode("h", "HashTableV2"), tfNode("l", "LookupTableFindV2"), tfNode("s", "StringSplitV2"), tfNode("r", "StaticRegexReplace", tfAttr("pattern", pb(2, "[^a-z]"))), tfConst("oov", "[UNK]"), tfNode("i", "LookupTableImportV2")})), "a text model with a vocabulary in the graph")
	s.add("transformer", "saved_model.pb", savedModel(tfGraph([]string{in, tfNode("e", "Einsum", tfAttr("equation", pb(2, "abc,cde->abde"))), tfNode("s", "Softmax"), tfNode("b", "BatchMatMulV2"), tfNode("g", "GatherV2"), tfNode("f", "FusedBatchNormV3"), tfNode("w", "StatelessWhile", tfAttr("body", pb(10, pb(1, "body"))))}, tfFunction("body", tfNode("out", "AddV2")))), "a transformer with a loop")
	s.add("assets", "saved_model.pb", savedModel(tfGraph([]string{in, tfConst("asset_path", "vocab.txt"), tfNode("t", "InitializeTableFromTextFileV2"), tfNode("h", "HashTableV2")})), "a vocabulary among the assets")
	s.add("estimator", "saved_model.pb", savedModel(tfGraph([]string{tfNode("input_example_tensor", "Placeholder"), tfNode("ParseExample", "ParseExampleV2"), tfNode("m", "BoostedTreesPredict"), tfNode("Assert", "Assert")})), "an Estimator's export")
	code := func(builtin int32) table {
		return table{int8(min(builtin, 127)), nil, int32(1), builtin}
	}
	tensor := func(name string, buffer int32) table { return table{[]int32{1, 4}, int8(0), buffer, name} }
	op := table{int32(0), []int32{0}, []int32{1}}
	for name, codes := range ordered("conv", []table{code(3), code(4)}, "fully-connected", []table{code(9), code(25)}, "lstm", []table{code(16), code(28), code(40)}) {
		s.add("tflite-"+name, "model.tflite", flatbuffer("TFL3", table{int32(3), codes, []table{{[]table{tensor("x", 1), tensor("y", 2)}, []int32{0}, []int32{1}, []table{op}, "main"}}, "MLIR Converted.", []table{{}, {[]byte(weights(4, 4))}, {[]byte{}}}}), "a TFLite model")
	}
	coreml := func(kind int, body string) string {
		return pbInt(1, 4) + pb(2, pb(1, pb(1, "x"), pb(3, pb(5, pbInt(1, 4), pbInt(2, 65568)))), pb(10, pb(1, "y")), pb(100, pb(1, "a model"), pb(2, "1.0"), pb(3, "apex"), pb(4, "MIT"))) + pb(kind, body)
	}
	s.add("coreml-linear", "model.mlmodel", coreml(300, pb(1, pb(1, lef64(0.5)))), "a CoreML regressor")
	s.add("coreml-network", "model.mlmodel", coreml(500, pb(1, pb(1, "fc"), pb(2, "x"), pb(3, "y"), pb(140, pbInt(1, 4), pbInt(2, 4), pb(20, pb(1, weights(5, 16)))))), "a CoreML network")
	s.add("coreml-trees", "model.mlmodel", coreml(302, pb(1, pb(1, pbInt(1, 0), pbInt(2, 0), pbInt(3, 1)))), "a CoreML tree ensemble")
	return s.cases
}
