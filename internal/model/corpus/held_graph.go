package corpus

import "strings"

// ONNX by field numbers of onnx.proto3.

func hoNode(op, domain string, attrs ...string) string { return pb(1, hoBody(op, domain, attrs...)) }

// hoBody is a node without the field that a graph, or a function, has it in.
func hoBody(op, domain string, attrs ...string) string {
	return pb(1, "x") + pb(2, "y") + pb(3, "n_"+op) + pb(4, op) + strings.Join(attrs, "") + pb(7, domain)
}

func hoAttrGraph(name, graph string) string { return pb(5, pb(1, name), pb(6, graph), pbInt(20, 5)) }

func hoAttrTensor(name, tensor string) string { return pb(5, pb(1, name), pb(5, tensor), pbInt(20, 4)) }

// hoOutside is a tensor whose bytes are in another file.
func hoOutside(name, location string) string {
	return pbInts(1, 2, 2) + pbInt(2, 1) + pb(8, name) + pb(13, pb(1, "location"), pb(2, location)) + pb(13, pb(1, "offset"), pb(2, "0")) + pb(13, pb(1, "length"), pb(2, "16")) + pbInt(14, 1)
}

func hoTensor(name string, seed uint64) string {
	return pbInts(1, 2, 2) + pbInt(2, 1) + pb(8, name) + pb(9, weights(seed, 4))
}

func hoValue(field int, name string) string {
	return pb(field, pb(1, name), pb(2, pb(1, pbInt(1, 1), pb(2, pb(1, pb(2, "batch")), pb(1, pbInt(1, 2))))))
}

func hoGraph(parts ...string) string {
	return strings.Join(parts, "") + pb(2, "main_graph") + hoValue(11, "x") + hoValue(12, "y")
}

// hoModel is a ModelProto; rest are further fields of it.
func hoModel(graph string, domains []string, rest ...string) string {
	s := pbInt(1, 9) + pb(2, "pytorch") + pb(3, "2.4.0") + pb(7, graph) + pb(8, pb(1, ""), pbInt(2, 17))
	for _, d := range domains {
		s += pb(8, pb(1, d), pbInt(2, 1))
	}
	return s + strings.Join(rest, "")
}

func heldONNX() []Case {
	e := heldCase("onnx-external-data")
	matmul := hoNode("Identity", "")
	add := func(s *set, name, model, truth string) { s.add(name, "model.onnx", model, truth) }
	add(e, "in-an-if-branch", hoModel(hoGraph(hoNode("If", "", hoAttrGraph("then_branch", hoGraph(matmul, pb(5, hoOutside("w", "../../../etc/passwd")))))), nil), "a branch's initializer is a file of the machine")
	add(e, "constant-node", hoModel(hoGraph(hoNode("Constant", "", hoAttrTensor("value", hoOutside("c", "/etc/shadow")))), nil), "a Constant's value is a file of the machine")
	add(e, "sparse-initializer", hoModel(hoGraph(matmul, pb(15, pb(1, hoOutside("values", "weights/../../secret.bin")), pb(2, hoTensor("i", 2)), pbInts(3, 2, 2))), nil), "the values of a sparse initializer climb out")
	add(e, "function-body", hoModel(hoGraph(hoNode("F", "local")), []string{"local"}, pb(25, pb(1, "F"), pb(4, "x"), pb(5, "y"), pb(7, hoBody("Constant", "", hoAttrTensor("value", hoOutside("c", `..\..\secret.bin`)))), pb(10, "local"))), "a function's constant climbs out with backslashes")
	add(e, "drive-letter", hoModel(hoGraph(matmul, pb(5, hoOutside("w", `C:\Windows\win.ini`))), nil), "a file of a Windows machine")
	add(e, "training-info", hoModel(hoGraph(matmul), nil, pb(20, pb(2, hoGraph(matmul, pb(5, hoOutside("w", "../w.bin")))))), "the training graph's initializer climbs out")

	p := heldCase("onnx-python-op")
	add(p, "pyop", hoModel(hoGraph(hoNode("PyOp", "pyopmulti_1", pb(5, pb(1, "module"), pb(4, "mymodule"), pbInt(20, 3)), pb(5, pb(1, "class_name"), pb(4, "Multi"), pbInt(20, 3)))), []string{"pyopmulti_1"}), "onnxruntime's PyOp names a module and a class")
	add(p, "python-op-of-ort-training", hoModel(hoGraph(hoNode("PythonOp", "com.microsoft", pb(5, pb(1, "func_name"), pb(4, "os.system"), pbInt(20, 3)))), []string{"com.microsoft"}), "PythonOp of ORTModule in a domain that is trusted otherwise")
	add(p, "in-a-loop", hoModel(hoGraph(hoNode("Loop", "", hoAttrGraph("body", hoGraph(hoNode("PyCustomOpDef", "ai.onnx.contrib"))))), []string{"ai.onnx.contrib"}), "a Python operator of onnxruntime-extensions in a loop's body")

	c := heldCase("onnx-custom-op")
	add(c, "shared-library-domain", hoModel(hoGraph(hoNode("FusedEvil", "com.apexcorp.ops")), []string{"com.apexcorp.ops"}), "an operator that only a shared library beside the model defines")
	add(c, "in-a-function", hoModel(hoGraph(hoNode("F", "local")), []string{"local", "test.customop"}, pb(25, pb(1, "F"), pb(4, "x"), pb(5, "y"), pb(7, hoBody("CustomOpOne", "test.customop")), pb(10, "local"))), "a function's body has an operator of a library")
	add(c, "aten-fallback", hoModel(hoGraph(hoNode("Scan", "", hoAttrGraph("body", hoGraph(hoNode("EvilKernel", "vendor.x"))))), []string{"vendor.x"}), "an operator of a library in the body of a Scan")
	return join(e, p, c)
}

// TensorFlow by field numbers of graph.proto, function.proto and saved_model.proto.

func htNode(name, op string, attrs ...string) string {
	return pb(1, name) + pb(2, op) + strings.Join(attrs, "")
}

func htAttr(key, value string) string { return pb(5, pb(1, key), pb(2, value)) }

func htText(name, value string) string {
	return pb(1, htNode(name, "Const", htAttr("dtype", pbInt(6, 7)), htAttr("value", pb(8, pbInt(1, 7), pb(2, ""), pb(8, value)))))
}

func htFunction(name string, nodes ...string) string {
	s := pb(1, pb(1, name), pb(2, pb(1, "x"), pbInt(2, 1)))
	for _, n := range nodes {
		s += pb(3, n)
	}
	return pb(1, s)
}

func htGraph(nodes string, functions ...string) string {
	return nodes + pb(4, pbInt(1, 1482)) + pb(2, strings.Join(functions, ""))
}

func htSaved(graph string, more ...string) string {
	return pbInt(1, 1) + pb(2, pb(1, pb(4, "serve"), pb(5, "2.15.0"), pb(6, "v2.15.0")), pb(2, graph), strings.Join(more, ""))
}

func heldTF() []Case {
	t := heldCase("tf-op")
	input := pb(1, htNode("x", "Placeholder", htAttr("dtype", pbInt(6, 1))))
	for name, op := range ordered("eager-py-func", "EagerPyFunc", "py-func-stateless", "PyFuncStateless", "write-file", "WriteFile", "read-file", "ReadFile") {
		t.add(name, "saved_model.pb", htSaved(htGraph(input+htText("path", "/nonexistent/apex")+pb(1, htNode("n", op, pb(3, "path"))))), op+" in the graph")
	}
	t.add("print-to-a-file", "saved_model.pb", htSaved(htGraph(input+htText("s", "text")+pb(1, htNode("p", "PrintV2", pb(3, "s"), htAttr("output_stream", pb(2, "file:///nonexistent/apex.log")))))), "PrintV2 whose output stream is a file")
	t.add("text-form", "saved_model.pbtxt", "saved_model_schema_version: 1\nmeta_graphs {\n  meta_info_def { tags: \"serve\" }\n  graph_def {\n    node { name: \"w\" op: \"WriteFile\" input: \"a\" input: \"b\" }\n    versions { producer: 1482 }\n  }\n}\n", "a SavedModel in text form with WriteFile")
	t.add("frozen-graph", "frozen_inference_graph.pb", htGraph(input+pb(1, htNode("f", "PyFunc", htAttr("token", pb(2, "pyfunc_0"))))), "PyFunc in a frozen graph")
	t.add("second-meta-graph", "saved_model.pb", htSaved(htGraph(input))+pb(2, pb(1, pb(4, "train")), pb(2, htGraph(pb(1, htNode("w", "WriteFile"))))), "the second meta graph writes a file")

	f := heldCase("tf-op-in-function")
	f.add("body-of-a-while", "saved_model.pb", htSaved(htGraph(input+pb(1, htNode("while", "While", htAttr("body", pb(10, pb(1, "body_7"))))), htFunction("cond_7", htNode("c", "Less")), htFunction("body_7", htNode("innocent", "WriteFile")))), "a while loop's body writes a file")
	f.add("restored-function", "saved_model.pb", htSaved(htGraph(input+pb(1, htNode("StatefulPartitionedCall", "StatefulPartitionedCall", htAttr("f", pb(10, pb(1, "__inference_signature_wrapper_42"))))), htFunction("__inference__traced_save_9", htNode("s", "SaveV2")), htFunction("__inference_signature_wrapper_42", htNode("r", "EagerPyFunc")))), "the signature's wrapper calls Python")
	f.add("thirtieth-of-thirty", "saved_model.pb", htSaved(htGraph(input, heldFunctions(29)+htFunction("f29", htNode("r", "ReadFile")))), "the last of thirty functions reads a file")

	b := heldCase("tf-broken-tail")
	bad := htSaved(htGraph(input + pb(1, htNode("w", "WriteFile"))))
	b.add("cut-in-a-length", "saved_model.pb", bad+"\x12\xff\xff\xff\xff\x0f", "WriteFile, then a field that is longer than the file")
	b.add("wire-type-seven", "saved_model.pb", bad+"\x1f\x00\x00", "WriteFile, then a wire type that there is not")
	b.add("endless-varint", "saved_model.pb", bad+strings.Repeat("\xff", 30), "WriteFile, then a varint without an end")
	b.add("cut-graph", "frozen.pb", pb(1, htNode("w", "WriteFile"))+pb(1, htNode("e", "Exp"))[:5], "a frozen graph cut in its second node")
	return join(t, f, b)
}

func heldFunctions(n int) string {
	s := ""
	for i := range n {
		s += htFunction("f"+itoa(i), htNode("a"+itoa(i), "AddV2"))
	}
	return s
}
