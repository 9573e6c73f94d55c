package corpus

import "strings"

// onnxNode is a NodeProto with one input and one output; attributes are
// AttributeProto messages.
func onnxNode(op, domain, in, out string, attributes ...string) string {
	s := pb(1, in) + pb(2, out) + pb(3, op+"_"+out) + pb(4, op)
	for _, a := range attributes {
		s += pb(5, a)
	}
	if domain != "" {
		s += pb(7, domain)
	}
	return s
}

func onnxText(name, value string) string { return pb(1, name) + pb(4, value) + pbInt(20, 3) }
func onnxInt(name string, n int) string  { return pb(1, name) + pbInt(3, n) + pbInt(20, 2) }
func onnxInts(name string, ns ...int) string {
	s := pb(1, name)
	for _, n := range ns {
		s += pbInt(8, n)
	}
	return s + pbInt(20, 7)
}
func onnxSubgraph(name, graph string) string { return pb(1, name) + pb(6, graph) + pbInt(20, 5) }

func onnxTensor(name string, dims []int, data string) string {
	s := ""
	for _, d := range dims {
		s += pbInt(1, d)
	}
	return s + pbInt(2, 1) + pb(8, name) + pb(9, data)
}

// onnxOutside is a tensor whose data is in another file; pairs are keys and
// values of external_data.
func onnxOutside(name string, dims []int, pairs ...string) string {
	s := ""
	for _, d := range dims {
		s += pbInt(1, d)
	}
	s += pbInt(2, 1) + pb(8, name)
	for i := 0; i < len(pairs); i += 2 {
		s += pb(13, pb(1, pairs[i]), pb(2, pairs[i+1]))
	}
	return s + pbInt(14, 1)
}

func onnxValue(name string, dims ...int) string {
	shape := ""
	for _, d := range dims {
		shape += pb(1, pbInt(1, d))
	}
	return pb(1, name) + pb(2, pb(1, pbInt(1, 1), pb(2, shape)))
}

// onnxGraph joins nodes and initializers (NodeProto and TensorProto messages).
func onnxGraph(nodes []string, initializers ...string) string {
	s := ""
	for _, n := range nodes {
		s += pb(1, n)
	}
	s += pb(2, "main_graph")
	for _, t := range initializers {
		s += pb(5, t)
	}
	return s + pb(11, onnxValue("x", 1, 4)) + pb(12, onnxValue("y", 1, 4))
}

// onnxFile is a ModelProto around a graph; domains are imported beside ONNX's.
func onnxFile(producer, graph string, domains ...string) string {
	s := pbInt(1, 8) + pb(2, producer) + pb(3, "2.3.0") + pb(7, graph) + pb(8, pb(1, ""), pbInt(2, 17))
	for _, d := range domains {
		s += pb(8, pb(1, d), pbInt(2, 1))
	}
	return s
}

func onnxModel(nodes ...string) string { return onnxFile("pytorch", onnxGraph(nodes)) }

func onnxExternal() []Case {
	s := &set{technique: "onnx-external-data", reference: "CVE-2024-27318"}
	node := []string{onnxNode("Relu", "", "x", "y")}
	for i, location := range []string{"../../../etc/passwd", "/etc/shadow", "a/../../b.bin", "..\\..\\Windows\\win.ini", "weights/../../../x", "C:\\secrets.bin", "./../model.bin", "file:///etc/passwd", "//host/share/x"} {
		s.add("location-"+itoa(i), "model.onnx", onnxFile("pytorch", onnxGraph(node, onnxOutside("w", []int{4, 4}, "location", location, "offset", "0", "length", "64"))), "a tensor's bytes are at "+location)
	}
	s.add("in-a-subgraph", "model.onnx", onnxFile("pytorch", onnxGraph([]string{onnxNode("If", "", "x", "y", onnxSubgraph("then_branch", onnxGraph(node, onnxOutside("w", []int{4}, "location", "../../../etc/hostname"))))})), "in a branch of an If")
	s.add("in-an-attribute", "model.onnx", onnxModel(onnxNode("Constant", "", "", "y", pb(1, "value")+pb(5, onnxOutside("c", []int{4}, "offset", "0", "location", "/proc/self/environ"))+pbInt(20, 4))), "in a Constant's tensor")
	s.add("in-a-function", "model.onnx", onnxModel(onnxNode("F", "local", "x", "y"))+pb(25, pb(1, "F"), pb(7, onnxNode("Constant", "", "", "y", pb(1, "value")+pb(5, onnxOutside("c", []int{4}, "location", "../../key.pem"))+pbInt(20, 4))), pb(10, "local")), "in a model-local function")
	s.add("location-twice", "model.onnx", onnxFile("pytorch", onnxGraph(node, onnxOutside("w", []int{4, 4}, "location", "weights.bin", "location", "/etc/passwd"))), "a second location overrides the first")
	return s.cases
}

func onnxPython() []Case {
	s := &set{technique: "onnx-python-op"}
	s.add("pyop", "model.onnx", onnxFile("onnx-example", onnxGraph([]string{onnxNode("PyOp", "ai.onnx.contrib", "x", "y", onnxText("class_name", "Evil"), onnxText("module", "os"), onnxText("compute", "system"))}), "ai.onnx.contrib"), "PyOp runs a class of a Python module")
	s.add("pythonop", "model.onnx", onnxFile("pytorch", onnxGraph([]string{onnxNode("PythonOp", "com.microsoft", "x", "y", onnxText("name", "apex.Evil"), onnxText("input_convention", "d"))}), "com.microsoft"), "ORT training's PythonOp")
	s.add("pythonopgrad-in-loop", "model.onnx", onnxFile("pytorch", onnxGraph([]string{onnxNode("Loop", "", "x", "y", onnxSubgraph("body", onnxGraph([]string{onnxNode("PythonOpGrad", "com.microsoft", "x", "y")})))}), "com.microsoft"), "PythonOpGrad in a Loop's body")
	s.add("pycustomop", "model.onnx", onnxFile("ortext", onnxGraph([]string{onnxNode("Relu", "", "x", "h"), onnxNode("PyCustomOpDef_apex", "ai.onnx.contrib", "h", "y", onnxText("code", "import os"))}), "ai.onnx.contrib"), "a Python operator of onnxruntime-extensions")
	s.add("aten-python", "model.onnx", onnxFile("pytorch", onnxGraph([]string{onnxNode("PythonOp", "org.pytorch.prim", "x", "y", onnxText("module", "subprocess"))}), "org.pytorch.prim"), "an exported prim::PythonOp")
	return s.cases
}

func onnxCustom() []Case {
	s := &set{technique: "onnx-custom-op"}
	s.add("unknown-domain", "model.onnx", onnxFile("apex", onnxGraph([]string{onnxNode("Exec", "evil.custom", "x", "y", onnxText("cmd", "true"))}), "evil.custom"), "an operator of a domain that needs a native library")
	s.add("in-a-function", "model.onnx", onnxFile("apex", onnxGraph([]string{onnxNode("Wrapper", "local.fn", "x", "y")}), "local.fn", "x.native")+pb(25, pb(1, "Wrapper"), pb(4, "x"), pb(5, "y"), pb(7, onnxNode("Shell", "x.native", "x", "y")), pb(10, "local.fn")), "behind a model-local function")
	s.add("in-nested-branches", "model.onnx", onnxFile("apex", onnxGraph([]string{onnxNode("If", "", "x", "y", onnxSubgraph("else_branch", onnxGraph([]string{onnxNode("Scan", "", "x", "y", onnxSubgraph("body", onnxGraph([]string{onnxNode("Backdoor", "third.party", "x", "y")})))})))}), "third.party"), "two subgraphs deep")
	s.add("library-path", "model.onnx", onnxFile("apex", onnxGraph([]string{onnxNode("CustomOp", "test.customop", "x", "y", onnxText("library", "/nonexistent/libapex.so"))}), "test.customop"), "an operator that names its library")
	return s.cases
}

func benignONNX() []Case {
	s := &set{technique: "onnx"}
	w := func(name string, dims ...int) string {
		n := 1
		for _, d := range dims {
			n *= d
		}
		return onnxTensor(name, dims, weights(uint64(len(name)+n), n))
	}
	mlp := []string{onnxNode("Gemm", "", "x", "h", onnxInt("transB", 1)), onnxNode("Relu", "", "h", "r"), onnxNode("Softmax", "", "r", "y", onnxInt("axis", -1))}
	s.add("mlp", "model.onnx", onnxFile("pytorch", onnxGraph(mlp, w("fc.weight", 4, 4), w("fc.bias", 4))), "a small network")
	s.add("cnn", "model.onnx", onnxFile("pytorch", onnxGraph([]string{onnxNode("Conv", "", "x", "c", onnxInts("kernel_shape", 3, 3), onnxInts("pads", 1, 1, 1, 1)), onnxNode("BatchNormalization", "", "c", "b"), onnxNode("MaxPool", "", "b", "m", onnxInts("kernel_shape", 2, 2)), onnxNode("Flatten", "", "m", "y")}, w("conv.weight", 8, 3, 3, 3))), "a convolution")
	s.add("external-data", "model.onnx", onnxFile("pytorch", onnxGraph(mlp, onnxOutside("fc.weight", []int{4, 4}, "location", "model.onnx_data", "offset", "0", "length", "64"))), "a tensor beside the model")
	s.files("external-data-with-file", "model.onnx", map[string][]byte{"model.onnx": []byte(onnxFile("pytorch", onnxGraph(mlp, onnxOutside("w", []int{8, 8}, "location", "weights/w.bin")))), "weights/w.bin": []byte(weights(8, 64))}, "a tensor in a directory below the model")
	s.add("if", "model.onnx", onnxFile("tf2onnx", onnxGraph([]string{onnxNode("If", "", "x", "y", onnxSubgraph("then_branch", onnxGraph([]string{onnxNode("Identity", "", "x", "y")})), onnxSubgraph("else_branch", onnxGraph([]string{onnxNode("Neg", "", "x", "y")})))})), "an If")
	s.add("loop", "model.onnx", onnxFile("pytorch", onnxGraph([]string{onnxNode("Loop", "", "x", "y", onnxSubgraph("body", onnxGraph([]string{onnxNode("Add", "", "x", "y")})))})), "a Loop")
	s.add("sklearn", "model.onnx", onnxFile("skl2onnx", onnxGraph([]string{onnxNode("TreeEnsembleClassifier", "ai.onnx.ml", "x", "y", onnxInts("nodes_featureids", 0, 2, 1), onnxText("post_transform", "NONE")), onnxNode("ZipMap", "ai.onnx.ml", "y", "z"), onnxNode("Scaler", "ai.onnx.ml", "z", "s")}), "ai.onnx.ml"), "a converted random forest")
	s.add("contrib", "model.onnx", onnxFile("onnxruntime.transformers", onnxGraph([]string{onnxNode("Attention", "com.microsoft", "x", "a", onnxInt("num_heads", 12)), onnxNode("SkipLayerNormalization", "com.microsoft", "a", "l"), onnxNode("FastGelu", "com.microsoft", "l", "g"), onnxNode("MatMulNBits", "com.microsoft", "g", "y", onnxInt("bits", 4))}), "com.microsoft"), "an optimised transformer")
	s.add("functions", "model.onnx", onnxFile("pytorch", onnxGraph([]string{onnxNode("aten_gelu", "pkg.onnxscript.torch_lib", "x", "y")}), "pkg.onnxscript.torch_lib")+pb(25, pb(1, "aten_gelu"), pb(4, "x"), pb(5, "y"), pb(7, onnxNode("Erf", "", "x", "y")), pb(9, pb(1, ""), pbInt(2, 18)), pb(10, "pkg.onnxscript.torch_lib")), "functions of the dynamo exporter")
	s.add("quantized", "model.onnx", onnxFile("onnx.quantize", onnxGraph([]string{onnxNode("QuantizeLinear", "", "x", "q"), onnxNode("QLinearMatMul", "", "q", "m"), onnxNode("DequantizeLinear", "", "m", "y")})), "an int8 model")
	s.add("metadata", "model.onnx", onnxModel(onnxNode("Relu", "", "x", "y"))+pb(14, pb(1, "license"), pb(2, "apache-2.0"))+pb(14, pb(1, "system_prompt"), pb(2, "import the eval set and exec the system"))+pb(6, "A model that can eval() nothing."), "metadata in words that look like code")
	s.add("training-ops", "model.onnx", onnxFile("pytorch", onnxGraph([]string{onnxNode("Dropout", "", "x", "d"), onnxNode("Gradient", "ai.onnx.preview.training", "d", "y")}), "ai.onnx.preview.training"), "a training graph")
	s.add("large-initializer", "model.onnx", onnxFile("pytorch", onnxGraph(mlp, w("embed", 512, 64))), "an embedding of 128 KiB")
	s.add("string-tensor", "model.onnx", onnxFile("tf2onnx", onnxGraph([]string{onnxNode("StringNormalizer", "", "x", "y", onnxText("case_change_action", "LOWER"))}, pbInt(1, 2)+pbInt(2, 8)+pb(6, "os.system")+pb(6, "eval")+pb(8, "vocab"))), "a vocabulary with words that look like code")
	return s.cases
}

// tfAttr is one attribute of a node: its name and an AttrValue.
func tfAttr(name, value string) string { return pb(5, pb(1, name), pb(2, value)) }

func tfNode(name, op string, parts ...string) string {
	return pb(1, name) + pb(2, op) + strings.Join(parts, "")
}

func tfTensorText(values ...string) string {
	s := pbInt(1, 7) + pb(2, "")
	for _, v := range values {
		s += pb(8, v)
	}
	return pb(8, s)
}

func tfConst(name, value string) string {
	return tfNode(name, "Const", tfAttr("dtype", pbInt(6, 7)), tfAttr("value", tfTensorText(value)))
}

// tfGraph is a GraphDef of nodes, with functions in its library.
func tfGraph(nodes []string, functions ...string) string {
	s := ""
	for _, n := range nodes {
		s += pb(1, n)
	}
	library := ""
	for _, f := range functions {
		library += pb(1, f)
	}
	if library != "" {
		s += pb(2, library)
	}
	return s + pb(4, pbInt(1, 1482))
}

func tfFunction(name string, nodes ...string) string {
	s := pb(1, pb(1, name), pb(2, pb(1, "x"), pbInt(3, 1)), pb(3, pb(1, "y"), pbInt(3, 1)))
	for _, n := range nodes {
		s += pb(3, n)
	}
	return s + pb(4, pb(1, "y"), pb(2, "out:output:0"))
}

// savedModel is a SavedModel of one graph.
func savedModel(graph string) string {
	return pbInt(1, 1) + pb(2, pb(1, pb(4, "serve"), pb(5, "2.15.0"), pb(6, "v2.15.0-rc1-8-g6887368d6d4")), pb(2, graph), pb(3, pb(1, "saver_filename:0"), pb(2, "StatefulPartitionedCall_1:0"), pb(3, "StatefulPartitionedCall_2")),
		pb(5, pb(1, "serving_default"), pb(2, pb(1, pb(1, "x"), pb(2, pb(1, "serving_default_x:0"), pbInt(2, 1))), pb(3, "tensorflow/serving/predict"))))
}
