package corpus

import "strings"

func thirdONNX() []Case {
	relu := onnxNode("Relu", "", "x", "y")
	outside := func(location string, more ...string) string {
		return onnxOutside("w", []int{4, 4}, append([]string{"location", location}, more...)...)
	}
	e := third("onnx-external-data")
	add := func(s *set, name, model, truth string) { s.add(name, "model.onnx", model, truth) }
	add(e, "list-of-tensors", onnxModel(onnxNode("Custom", "", "x", "y", pb(1, "values")+pb(10, onnxTensor("a", []int{1}, weights(1, 1)))+pb(10, outside("../../etc/passwd"))+pbInt(20, 9))), "the second tensor of an attribute's list is a file of the machine")
	add(e, "list-of-graphs", onnxModel(onnxNode("Custom", "", "x", "y", pb(1, "branches")+pb(11, onnxGraph([]string{relu}, outside("/proc/self/maps")))+pbInt(20, 10))), "an initializer of a graph in an attribute's list of graphs")
	add(e, "default-of-a-function", onnxModel(onnxNode("F", "local", "x", "y"))+pb(25, pb(1, "F"), pb(4, "x"), pb(5, "y"), pb(7, onnxNode("Identity", "", "x", "y")), pb(10, "local"), pb(11, pb(1, "table")+pb(5, outside("../weights/../../key.pem"))+pbInt(20, 4))), "the default of a function's attribute climbs out")
	add(e, "graph-in-two-halves", onnxFile("pytorch", onnxGraph([]string{relu}))+pb(7, pb(5, outside("/etc/hostname", "offset", "0", "length", "16"))), "the graph is given twice, which protobuf merges; the second half has the initializer")
	add(e, "offset-far-away", onnxFile("pytorch", onnxGraph([]string{relu}, outside("../model.onnx_data", "offset", "9223372036854775807", "length", "64"))), "the parent directory, at an offset that overflows")
	add(e, "engine-of-an-ep-context", onnxFile("trt", onnxGraph([]string{onnxNode("EPContext", "com.microsoft", "x", "y", onnxInt("embed_mode", 0), onnxText("ep_cache_context", "../../nonexistent/apex.engine"), onnxInt("main_context", 1))}), "com.microsoft"), "an EPContext loads a compiled engine from above the directory")
	add(e, "many-dots", onnxFile("pytorch", onnxGraph([]string{relu}, outside("data/./../.././../secrets.bin"))), "a location with dots between the steps up")

	p := third("onnx-python-op")
	add(p, "in-the-second-graph-half", onnxFile("pytorch", onnxGraph([]string{relu}), "ai.onnx.contrib")+pb(7, pb(1, onnxNode("PyOp", "ai.onnx.contrib", "y", "z", onnxText("module", "subprocess"), onnxText("compute", "getoutput")))), "protobuf merges a second graph, which has a PyOp")
	add(p, "in-a-function", onnxFile("pytorch", onnxGraph([]string{onnxNode("Block", "local", "x", "y")}), "local", "com.microsoft")+pb(25, pb(1, "Block"), pb(4, "x"), pb(5, "y"), pb(7, onnxNode("PythonOp", "com.microsoft", "x", "y", onnxText("func_name", "os.popen"))), pb(10, "local")), "PythonOp in the body of a local function")
	add(p, "last-of-a-hundred", onnxFile("pytorch", onnxGraph(append(thirdChain(100), onnxNode("PyOp", "ai.onnx.contrib", "x100", "y", onnxText("module", "apex"), onnxText("class_name", "Post")))), "ai.onnx.contrib"), "the hundred and first node")
	add(p, "op-type-twice", onnxFile("pytorch", onnxGraph([]string{pb(1, "x") + pb(2, "y") + pb(3, "act") + pb(4, "Relu") + pb(4, "PyOp") + pb(7, "") + pb(7, "ai.onnx.contrib")}), "ai.onnx.contrib"), "type and domain are given twice; the last counts")

	c := third("onnx-custom-op")
	add(c, "behind-an-overload", onnxFile("torch", onnxGraph([]string{onnxNode("Norm", "pkg.norm", "x", "y")}), "pkg.norm", "com.vendor.kernels")+pb(25, pb(1, "Norm"), pb(4, "x"), pb(5, "y"), pb(7, onnxNode("FusedNorm", "com.vendor.kernels", "x", "y")), pb(10, "pkg.norm"), pb(13, "v2")), "a function's body has an operator of a native library")
	add(c, "in-a-scan-in-a-loop", onnxFile("torch", onnxGraph([]string{onnxNode("Loop", "", "x", "y", onnxSubgraph("body", onnxGraph([]string{onnxNode("Scan", "", "x", "y", onnxSubgraph("body", onnxGraph([]string{onnxNode("Step", "rt.plugin", "x", "y")})))})))}), "rt.plugin"), "a plug-in's operator in a Scan in a Loop")
	add(c, "domain-twice", onnxFile("torch", onnxGraph([]string{pb(1, "x") + pb(2, "y") + pb(4, "Gelu") + pb(7, "ai.onnx.ml") + pb(7, "apex.native")}), "apex.native"), "the second domain of the node counts")
	add(c, "quantisation-plugin", onnxFile("nvidia", onnxGraph([]string{onnxNode("Int4Gemm_TRT", "trt.plugins", "x", "y", onnxText("plugin_namespace", ""), onnxText("plugin_version", "1"))}), "trt.plugins"), "an operator that only a plug-in library defines")
	return join(e, p, c)
}

// thirdChain is n Relus in a row, from x to xN.
func thirdChain(n int) []string {
	nodes := make([]string, n)
	from := "x"
	for i := range nodes {
		to := "x" + itoa(i+1)
		nodes[i], from = onnxNode("Relu", "", from, to), to
	}
	return nodes
}

func thirdTF() []Case {
	t := third("tf-op")
	in := tfNode("x", "Placeholder", tfAttr("dtype", pbInt(6, 1)))
	graph := func(nodes ...string) string { return savedModel(tfGraph(append([]string{in}, nodes...))) }
	op := func(name, operation, truth string, parts ...string) {
		t.add(name, "saved_model.pb", graph(tfConst("path", "/nonexistent/apex"), tfNode("node", operation, append([]string{pb(3, "path")}, parts...)...)), truth)
	}
	op("summary-writer", "CreateSummaryFileWriter", "writes event files where it likes")
	op("sql-dataset", "SqlDataset", "opens a database file")
	op("snapshot", "SnapshotDatasetV2", "writes what passes through it to a directory")
	op("record-reader", "TFRecordReaderV2", "reads a file of the host")
	op("fixed-length-records", "FixedLengthRecordDataset", "reads any file in pieces")
	op("immutable-const", "ImmutableConst", "maps a file of the host as a tensor", tfAttr("memory_region_name", pb(2, "/etc/passwd")))
	op("data-service", "DataServiceDatasetV4", "connects to another machine", tfAttr("task_refresh_interval_hint_ms", pbInt(3, 1)))
	t.add("op-given-twice", "saved_model.pb", graph(tfConst("path", "/nonexistent/apex"), pb(1, "save")+pb(2, "Identity")+pb(3, "path")+pb(2, "WriteFile")), "a node's operation is given twice; the last counts")
	t.add("second-half-of-the-graph", "saved_model.pb", pbInt(1, 1)+pb(2, pb(1, pb(4, "serve")), pb(2, tfGraph([]string{in})), pb(2, tfGraph([]string{tfConst("p", "/etc/passwd"), tfNode("r", "ReadFile", pb(3, "p"))}))), "graph_def is given twice, which protobuf merges")
	t.add("frozen-under-another-name", "model.bytes", tfGraph([]string{in, tfConst("p", "/nonexistent/apex"), tfNode("w", "WriteFile", pb(3, "p"), pb(3, "x"))}), "a frozen graph that is called model.bytes")

	f := third("tf-op-in-function")
	call := func(op, attr, name string) string {
		return tfNode(op+"_call", op, pb(3, "x"), tfAttr(attr, pb(10, pb(1, name))))
	}
	bad := tfNode("out", "WriteFile")
	saved := func(node string, functions ...string) string {
		return savedModel(tfGraph([]string{in, node}, functions...))
	}
	f.add("branch-of-an-if", "saved_model.pb", saved(call("StatelessIf", "then_branch", "then_3"), tfFunction("then_3", bad), tfFunction("else_4", tfNode("out", "Identity"))), "the branch of an If writes a file")
	f.add("case-branches", "saved_model.pb", saved(tfNode("case", "Case", tfAttr("branches", pb(1, pb(9, pb(1, "b0")), pb(9, pb(1, "b1"))))), tfFunction("b0", tfNode("out", "Identity")), tfFunction("b1", tfNode("out", "EagerPyFunc"))), "the second branch of a Case calls Python")
	f.add("gradient-function", "saved_model.pb", saved(call("SymbolicGradient", "f", "grad"), tfFunction("grad", tfConst("p", "/etc/hostname"), tfNode("out", "ReadFile", pb(3, "p")))), "a gradient's function reads a file")
	f.add("never-called", "saved_model.pb", saved(tfNode("y", "Identity", pb(3, "x")), append(manyFunctions(20), tfFunction("__inference__destroyer_9", bad))...), "the destructor of a table, which the graph does not call, writes a file")

	b := third("tf-broken-tail")
	evilGraph := graph(tfConst("p", "/nonexistent/apex"), tfNode("w", "WriteFile", pb(3, "p"), pb(3, "x")))
	group := varint(99<<3|3) + pbInt(1, 7) + pb(2, "note") + varint(99<<3|4)
	b.add("unknown-group-behind", "saved_model.pb", evilGraph+group, "an unknown group, which protobuf skips, stands behind the graph")
	b.add("unknown-group-before", "saved_model.pb", group+evilGraph, "an unknown group stands before the graph")
	b.add("nested-groups-inside", "saved_model.pb", pbInt(1, 1)+pb(2, varint(50<<3|3)+group+varint(50<<3|4)+pb(1, pb(4, "serve"))+pb(2, tfGraph([]string{in, tfConst("p", "/x"), tfNode("r", "ReadFile", pb(3, "p"))}))), "groups in groups stand before the graph in the meta graph")
	b.add("overlong-varints", "saved_model.pb", "\x88\x80\x80\x80\x00\x81\x00"+evilGraph[2:], "the first field's tag and value are written in more bytes than they need, as protobuf allows")
	b.add("unknown-fields-behind", "frozen.pb", tfGraph([]string{in, tfConst("p", "/nonexistent/apex"), tfNode("w", "WriteFile", pb(3, "p"))})+varint((1<<29-1)<<3|1)+le64(7)+varint(4000<<3|5)+le32(7), "fields of the largest number and of other wire types stand behind a frozen graph")

	x := third("tflite-flex-op")
	lite := func(codes ...table) string {
		tensor := func(name string, buffer int32) table { return table{[]int32{1, 4}, int8(0), buffer, name} }
		return flatbuffer("TFL3", table{int32(3), codes, []table{{[]table{tensor("x", 1), tensor("y", 2)}, []int32{0}, []int32{1}, []table{{int32(0), []int32{0}, []int32{1}}}, "main"}}, "MLIR Converted.", []table{{}, {[]byte(weights(780, 4))}, {[]byte{}}}})
	}
	custom := func(name string) table { return table{int8(32), name, int32(1), int32(32)} }
	x.add("write-file", "model.tflite", lite(custom("FlexWriteFile")), "a custom operator that the Flex delegate runs as TensorFlow's WriteFile")
	x.add("read-file-among-builtins", "model.tflite", lite(table{int8(9), nil, int32(1), int32(9)}, custom("FlexReadFile")), "FlexReadFile beside a built-in operator")
	x.add("py-func", "detect.tflite", lite(custom("FlexEagerPyFunc"), custom("TFLite_Detection_PostProcess")), "FlexEagerPyFunc beside an ordinary custom operator")
	return join(t, f, b, x)
}

func thirdExecutables() []Case {
	s := third("executable-as-model")
	so := strings.Replace(elf(), le16(2)+le16(62), le16(3)+le16(183), 1)
	s.add("shared-object-for-arm", "model.engine", so, "an AArch64 shared object that is called an engine")
	s.add("elf-behind-zeros-of-a-gzip", "weights.bin.gz", gzipped(elf()), "a gzip of a Linux program")
	s.add("python-path-file", "model.pth", "import os; os.system('true')\n", "one line that Python's site runs when the file stands among its packages")
	s.add("pe-dll", "tokenizer.model", "MZ\x90\x00"+strings.Repeat("\x00", 56)+le32(128)+strings.Repeat("\x00", 64)+"PE\x00\x00\x4c\x01"+le16(2)+strings.Repeat("\x00", 12)+le16(224)+le16(0x2102)+le16(0x10b)+strings.Repeat("\x00", 400), "a Windows library that is called a tokenizer")
	s.add("perl-script", "model.onnx", "#!/usr/bin/perl\nuse strict;\nexit 0;\n", "a Perl script named as ONNX")
	s.add("program-in-a-checkpoint", "model.pt", thirdTorch("net", thirdHonestDict(), torchMember("net/extra/post", elf())), "a torch archive with a program among its extra files")

	w := third("wrong-extension")
	for name, c := range ordered("pickle-as-jinja", [2]string{"chat_template.jinja", thirdEvil(2)}, "torch-as-gguf", [2]string{"model-q4_k_m.gguf", thirdTorch("m", thirdStateDict(0))}, "torch-as-safetensors", [2]string{"model.safetensors", thirdTorch("archive", thirdStateDict(3))},
		"keras-as-onnx", [2]string{"model.onnx", thirdKeras(thirdLambda("x"))}, "frame-as-parquet", [2]string{"train.parquet", thirdEvil(1)}, "joblib-as-mp3", [2]string{"sample.mp3", zlibbed(thirdEvil(3), 3)}, "legacy-torch-as-txt", [2]string{"LICENSE.txt", thirdLegacy(2)},
		"objects-as-bin", [2]string{"embeddings.bin", npyObject(thirdEvil(4))}, "tar-as-json", [2]string{"tokenizer.json", thirdTar("a.pkl", thirdEvil(5))}) {
		w.add(name, c[0], c[1], "what the name says and what the file is differ: "+name)
	}
	return join(s, w)
}
