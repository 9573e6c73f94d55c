package graph

import (
	"bytes"
	"encoding/base64"
	"strings"
	"testing"

	"google.golang.org/protobuf/encoding/protowire"

	"github.com/apexlogic/apex/internal/model/scan"
)

func onnxNode(domain, op string, attributes ...pb) pb {
	n := pb{}.str(1, "x").str(2, "y").str(3, "node/"+op).str(4, op).msg(5, attributes...)
	if domain != "" {
		n = n.str(7, domain)
	}
	return n
}

func onnxTensor(name string, raw int) pb {
	return pb{}.num(1, uint64(raw/4)).num(2, 1).str(8, name).str(9, strings.Repeat("\x00", raw))
}

func onnxExternal(name string, entries ...string) pb {
	t := pb{}.num(1, 8).num(2, 1).str(8, name)
	for i := 0; i < len(entries); i += 2 {
		t = t.entry(13, entries[i], entries[i+1])
	}
	return t.num(14, 1)
}

func onnxValue(name string) pb {
	return pb{}.str(1, name).msg(2, pb{}.msg(1, pb{}.num(1, 1).msg(2, pb{}.msg(1, pb{}.num(1, 3)))))
}

func onnxGraph(parts ...pb) pb {
	return bytes.Join(toBytes(append(parts, pb{}.str(2, "g").msg(11, onnxValue("x")).msg(12, onnxValue("y")))), nil)
}

func toBytes(parts []pb) [][]byte {
	all := make([][]byte, len(parts))
	for i, p := range parts {
		all[i] = p
	}
	return all
}

func onnxNodes(nodes ...pb) pb { return pb{}.msg(1, nodes...) }

func onnxModel(graph pb, more ...pb) pb {
	m := pb{}.num(1, 8).str(2, "pytorch").str(3, "2.1.0").msg(7, graph).msg(8, pb{}.str(1, "").num(2, 17))
	return bytes.Join(append([][]byte{m}, toBytes(more)...), nil)
}

func onnxWeights(tensors ...pb) pb {
	return onnxModel(onnxGraph(onnxNodes(onnxNode("", "Relu")), pb{}.msg(5, tensors...)))
}

func attrGraph(name string, g pb) pb   { return pb{}.str(1, name).msg(6, g).num(20, 5) }
func attrString(name, value string) pb { return pb{}.str(1, name).str(4, value).num(20, 3) }
func attrInt(name string, v uint64) pb { return pb{}.str(1, name).num(3, v).num(20, 2) }
func attrTensor(name string, t pb) pb  { return pb{}.str(1, name).msg(5, t).num(20, 4) }
func attrStrings(n string, v ...string) pb {
	a := pb{}.str(1, n)
	for _, s := range v {
		a = a.str(9, s)
	}
	return a.num(20, 8)
}

func fifty() pb {
	var g pb
	ops := []string{"Conv", "BatchNormalization", "Relu", "MaxPool", "Add", "Gemm", "Softmax", "Reshape", "Transpose", "Concat"}
	for i := range 50 {
		g = g.msg(1, onnxNode("", ops[i%len(ops)], pb{}.str(1, "kernel_shape").num(8, 3).num(8, 3).num(20, 7)))
	}
	return g
}

func TestONNX(t *testing.T) {
	location := func(path string) pb { return onnxWeights(onnxExternal("w", "location", path)) }
	oneNode := func(domain, op string, attributes ...pb) pb {
		return onnxModel(onnxGraph(onnxNodes(onnxNode(domain, op, attributes...))))
	}
	function := func(domain, name string, nodes ...pb) pb {
		return pb{}.msg(25, pb{}.str(1, name).str(4, "x").str(5, "y").msg(7, nodes...).str(10, domain))
	}
	pickle := "\x80\x04\x95" + strings.Repeat("p", 40) + "."
	const escape, custom, python, clean = "malicious onnx.external.escape", "suspicious onnx.operator.custom", "malicious onnx.operator.python", "clean"
	for name, c := range map[string]struct {
		content pb
		want    string
	}{
		// onnx-external-data
		"data above the folder":                   {location("../../etc/passwd"), escape},
		"data in a folder and up again":           {location("a/../b"), escape},
		"data at an absolute path":                {location("/etc/shadow"), escape},
		"data behind a backslash":                 {location(`..\secret`), escape},
		"data in a Windows folder":                {location(`weights\w.bin`), escape},
		"data on a drive":                         {location("C:weights"), escape},
		"data at a URL":                           {location("http://host/w"), escape},
		"data behind a NUL":                       {location("w.bin\x00/../x"), escape},
		"data above, in the second entry":         {onnxWeights(onnxExternal("w", "location", "w.bin", "location", "../x")), escape + " onnx.external"},
		"data above, in the second of two values": {onnxWeights(pb{}.num(1, 8).num(2, 1).str(8, "w").msg(13, pb{}.str(1, "location").str(2, "ok").str(2, "../x")).num(14, 1)), escape},
		"data above, the value before the key":    {onnxWeights(pb{}.num(1, 8).num(2, 1).str(8, "w").msg(13, pb{}.str(2, "../x").str(1, "location")).num(14, 1)), escape},
		"data above, in a sparse initializer":     {onnxModel(onnxGraph(pb{}.msg(15, pb{}.msg(1, onnxExternal("w", "location", "../x")).msg(2, onnxTensor("i", 8))))), escape},
		"data above, in an attribute":             {oneNode("", "Constant", attrTensor("value", onnxExternal("", "location", "../x"))), escape},
		"data above, in a branch of an If": {oneNode("", "If", attrGraph("then_branch", onnxGraph(onnxNodes(onnxNode("", "Loop",
			attrGraph("body", onnxGraph(pb{}.msg(5, onnxExternal("w", "location", "/x")))))))), attrGraph("else_branch", onnxGraph())), escape},
		"data above, in a function":         {onnxModel(onnxGraph(), function("d", "F", onnxNode("", "Constant", attrTensor("value", onnxExternal("", "location", "../x"))))), escape},
		"data above, in training":           {onnxModel(onnxGraph(), pb{}.msg(20, pb{}.msg(2, onnxGraph(pb{}.msg(5, onnxExternal("w", "location", "../x")))))), escape},
		"a compiled graph above the folder": {oneNode("com.microsoft", "EPContext", attrInt("embed_mode", 0), attrString("ep_cache_context", "../x.bin")), escape},
		"data in memory":                    {location("*/_ORT_MEM_ADDR_/*"), "malicious onnx.external.memory"},
		"a negative offset":                 {onnxWeights(onnxExternal("w", "location", "w.bin", "offset", "-8")), "suspicious onnx.external.range onnx.external"},
		"a length beyond 64 bits":           {onnxWeights(onnxExternal("w", "location", "w.bin", "length", "99999999999999999999")), "suspicious onnx.external.range onnx.external"},
		"a length that is no number":        {onnxWeights(onnxExternal("w", "location", "w.bin", "length", "x")), "unscannable onnx.broken onnx.external"},
		"external data without a name":      {onnxWeights(onnxExternal("w", "location", "")), "suspicious onnx.external.range"},
		"a key that reaches into an object": {onnxWeights(onnxExternal("w", "location", "w.bin", "__class__", "x")), "suspicious onnx.external.key onnx.external"},
		"the data beside the model":         {onnxWeights(onnxExternal("w", "location", "model.onnx.data", "offset", "4096", "length", "32", "checksum", "00ff")), "clean onnx.external"},
		"the data in a folder of the model": {onnxWeights(onnxExternal("w", "location", "./weights/layer.0..w", "offset", "0")), "clean onnx.external"},
		"a compiled graph beside the model": {oneNode("com.microsoft", "EPContext", attrInt("embed_mode", 0), attrString("ep_cache_context", "x.bin")), clean},
		"a compiled graph in the model":     {oneNode("com.microsoft", "EPContext", attrInt("embed_mode", 1), attrString("ep_cache_context", "/\x00..")), clean},

		// onnx-python-op
		"a Python operator of a training build":   {oneNode("com.microsoft", "PythonOp", attrString("func_name", "os.system")), python},
		"its gradient":                            {oneNode("com.microsoft", "PythonOpGrad"), python},
		"a Python operator of the extensions":     {oneNode("ai.onnx.contrib", "PyCustomOpDef"), python},
		"one that has a name behind it":           {oneNode("ai.onnx.contrib", "PyCustomOpDef_17"), python},
		"one in no domain":                        {oneNode("", "PyCustomOpDef_invert"), python},
		"one of the interop, numbered":            {oneNode("com.microsoft", "PythonOp_2"), python},
		"a plug-in that TensorRT does not have":   {oneNode("trt.plugins", "Int4Gemm_TRT"), custom},
		"the same, without a domain":              {oneNode("", "Int4Gemm_TRT"), custom},
		"a name that the extensions do not have":  {oneNode("ai.onnx.contrib", "RunShell"), custom},
		"PyOp in a domain of its own":             {oneNode("pyop", "PyOp", attrString("module", "evil"), attrString("class_name", "Run")), python},
		"a Python operator in a loop":             {oneNode("", "Loop", attrGraph("body", onnxGraph(onnxNodes(onnxNode("com.microsoft", "PythonOp"))))), python},
		"a Python operator that a function hides": {onnxModel(onnxGraph(onnxNodes(onnxNode("com.microsoft", "PythonOp"))), function("com.microsoft", "PythonOp", onnxNode("", "Relu"))), python},
		"a function that is called like one":      {onnxModel(onnxGraph(onnxNodes(onnxNode("mine", "PyOp"))), function("mine", "PyOp", onnxNode("", "Relu"))), clean},

		// onnx-custom-op
		"an operator of an unknown domain":       {oneNode("evil.domain", "Run"), custom},
		"one in a branch":                        {oneNode("", "If", attrGraph("then_branch", onnxGraph(onnxNodes(onnxNode("evil.domain", "Run"))))), custom},
		"one in a function":                      {onnxModel(onnxGraph(onnxNodes(onnxNode("mine", "F"))), function("mine", "F", onnxNode("evil", "Run"))), custom},
		"an unknown operator of the default one": {oneNode("", "SystemCommand"), custom},
		"a function that the model defines":      {onnxModel(onnxGraph(onnxNodes(onnxNode("pkg.mine", "Attn"))), function("pkg.mine", "Attn", onnxNode("", "MatMul"))), clean},
		"a TensorRT plugin":                      {oneNode("", "EfficientNMS_TRT"), "clean onnx.operator.extension"},
		"a plug-in of TensorRT in its domain":    {oneNode("trt.plugins", "BatchedNMSDynamic_TRT"), "clean onnx.operator.extension"},
		"a type of the Model Optimizer":          {oneNode("trt", "TRT_FP8QuantizeLinear"), "clean onnx.operator.extension"},
		"an operator of the extensions":          {oneNode("ai.onnx.contrib", "BertTokenizer"), "clean onnx.operator.extension"},
		"a string operator of the extensions":    {oneNode("ai.onnx.contrib", "StringRegexReplace"), "clean onnx.operator.extension"},
		"a picture operator of the extensions":   {oneNode("ai.onnx.contrib", "DecodeImage"), "clean onnx.operator.extension"},
		"an operator of a newer standard": {onnxModel(onnxGraph(onnxNodes(onnxNode("", "FromTheFuture"))), pb{}.msg(8, pb{}.num(2, 99))),
			"clean onnx.operator.extension"},

		// what is in strings
		"a library in an attribute":      {oneNode("com.microsoft", "X", attrString("library", "/tmp/libevil.so")), "suspicious onnx.library"},
		"a library in metadata":          {onnxModel(onnxGraph(), pb{}.entry(14, "custom_ops", "ops\\evil.DLL")), "suspicious onnx.library"},
		"a pickle in an attribute":       {oneNode("com.microsoft", "X", attrString("state", pickle)), "malicious test.inside"},
		"a pickle in base64 in metadata": {onnxModel(onnxGraph(), pb{}.entry(14, "state", base64.StdEncoding.EncodeToString([]byte(pickle)))), "malicious test.inside"},
		"a pickle in a string tensor":    {onnxModel(onnxGraph(pb{}.msg(5, pb{}.num(1, 1).num(2, 8).str(8, "s").str(6, pickle)))), "malicious test.inside"},
		"ordinary strings": {onnxModel(onnxGraph(onnxNodes(onnxNode("ai.onnx.ml", "LabelEncoder", attrStrings("keys_strings", "system", "os.system", "eval", "import", "lib so")))),
			pb{}.entry(14, "names", "{0: 'person', 1: 'car'}").entry(14, "license", "AGPL-3.0").entry(14, "description", "A\nmodel.")), clean},

		// realistic
		"fifty nodes":                   {onnxModel(onnxGraph(fifty(), pb{}.msg(5, onnxTensor("w", 400), onnxTensor("b", 64)))), clean},
		"trees of scikit-learn":         {oneNode("ai.onnx.ml", "TreeEnsembleClassifier", attrStrings("nodes_modes", "BRANCH_LEQ", "LEAF")), clean},
		"fused by ONNX Runtime":         {onnxModel(onnxGraph(onnxNodes(onnxNode("com.microsoft", "FusedMatMul"), onnxNode("com.microsoft.nchwc", "Conv"), onnxNode("com.ms.internal.nhwc", "Conv"), onnxNode("", "SimplifiedLayerNormalization")))), clean},
		"control flow":                  {oneNode("", "If", attrGraph("then_branch", onnxGraph(fifty())), attrGraph("else_branch", onnxGraph(onnxNodes(onnxNode("", "Scan", attrGraph("body", onnxGraph(fifty()))))))), clean},
		"aten as PyTorch exports it":    {oneNode("org.pytorch.aten", "ATen", attrString("operator", "embedding_bag")), clean},
		"fields in another order":       {bytes.Join([][]byte{pb{}.msg(8, pb{}.num(2, 17)), pb{}.msg(7, onnxGraph(fifty())), pb{}.num(1, 8)}, nil), clean},
		"no graph, nothing":             {pb{}.num(1, 8).str(2, "pytorch"), "unknown"},
		"an initializer and no node":    {pb{}.num(1, 8).msg(7, pb{}.msg(5, onnxTensor("w", 16))), clean},
		"padding before all":            {bytes.Join([][]byte{pb{}.str(100, strings.Repeat("\x00", 100_000)), oneNode("evil.domain", "Run")}, nil), custom},
		"small unknown fields in front": {bytes.Join([][]byte{bytes.Repeat(pb{}.num(77, 1), 3000), oneNode("evil.domain", "Run")}, nil), custom},
		"a group in front":              {bytes.Join([][]byte{protowire.AppendGroup(protowire.AppendTag(nil, 50, protowire.StartGroupType), 50, pb{}.num(1, 1)), oneNode("evil.domain", "Run")}, nil), custom},

		// broken
		"garbage behind":                     {append(oneNode("", "Relu"), 0xff, 0xff, 0xff), "unscannable onnx.broken"},
		"garbage behind something dangerous": {append(oneNode("evil", "Run"), 0xff, 0xff, 0xff), "suspicious onnx.operator.custom onnx.broken"},
		"cut off":                            {oneNode("", "Relu")[:60], "unscannable onnx.broken"},
		"a broken node":                      {onnxModel(onnxGraph(onnxNodes(onnxNode("", "Relu"), pb("\x0f\xff"), onnxNode("evil", "Run")))), "suspicious onnx.operator.custom onnx.broken"},
	} {
		t.Run(name, func(t *testing.T) {
			checkOutcome(t, examine(t.Context(), c.content, look("\x80\x04\x95")), c.want)
		})
	}
}

func TestONNXNestsAsDeepAsItReads(t *testing.T) {
	nested := func(depth int) pb {
		g := onnxGraph(onnxNodes(onnxNode("evil", "Run")))
		for range depth {
			g = onnxGraph(onnxNodes(onnxNode("", "If", attrGraph("then_branch", g))))
		}
		return onnxModel(g)
	}
	checkOutcome(t, examine(t.Context(), nested(maxDepth)), "suspicious onnx.operator.custom")
	checkOutcome(t, examine(t.Context(), nested(maxDepth+1)), "unscannable onnx.broken")
	checkOutcome(t, examine(t.Context(), nested(300)), "unscannable onnx.broken")
}

func TestONNXTellsItsTensors(t *testing.T) {
	content := onnxWeights(onnxTensor("a", 400), onnxExternal("b", "location", "b.bin", "length", "32"))
	res := examine(t.Context(), content)
	if len(res.Tensors) != 2 {
		t.Fatalf("got %v", res.Tensors)
	}
	a, b := res.Tensors[0], res.Tensors[1]
	if a.Name != "a" || a.DType != "F32" || a.Size != 400 || a.Shape[0] != 100 || !bytes.Equal(content[a.Offset:a.Offset+400], make([]byte, 400)) {
		t.Errorf("got %+v", a)
	}
	if b.Name != "b" || b.Offset != -1 || b.Size != 32 {
		t.Errorf("got %+v", b)
	}
	var props []string
	for _, p := range res.Properties {
		props = append(props, p.Key+"="+p.Value)
	}
	if got := strings.Join(props, " "); got != "opset=ai.onnx 17 producer=pytorch" {
		t.Errorf("properties %s", got)
	}
}

// remote scans content that stands at the beginning of a remote file; zeros
// fill it up to size.
func remote(t *testing.T, content []byte, size int64) (scan.Result, *dearFile) {
	t.Helper()
	d := &dearFile{content: content, size: size}
	res := scan.NewFormats(scan.Limits{}, Formats()...).Scan(t.Context(), scan.NewFile(d, size).Dear(), scan.Options{})
	if d.reads > 20 || d.bytes > 16<<20 {
		t.Errorf("%d reads of %d bytes", d.reads, d.bytes)
	}
	return res, d
}

func TestARemoteONNXIsReadInFewRequests(t *testing.T) {
	// One initializer of a gigabyte, and behind it zeros to the end.
	const raw = 1 << 30
	tensor := pb{}.num(1, raw/4).num(2, 1).str(8, "w")
	tensor = protowire.AppendVarint(protowire.AppendTag(tensor, 9, protowire.BytesType), raw)
	graph := onnxGraph(fifty())
	graph = protowire.AppendVarint(protowire.AppendTag(graph, 5, protowire.BytesType), uint64(len(tensor)+raw))
	graph = append(graph, tensor...)
	model := protowire.AppendVarint(protowire.AppendTag(pb{}.num(1, 8), 7, protowire.BytesType), uint64(len(graph)+raw))
	model = append(model, graph...)
	res, d := remote(t, model, int64(len(model)+raw))
	checkOutcome(t, res, "clean")
	if d.reads > 4 {
		t.Errorf("%d reads", d.reads)
	}

	// Many initializers are not worth their requests.
	many := onnxModel(onnxGraph(fifty(), pb{}.msg(5, bytesOf(60, onnxTensor("w", 1<<20))...)))
	res, _ = remote(t, many, int64(len(many)))
	checkOutcome(t, res, "unscannable graph.remote")
	checkOutcome(t, examine(t.Context(), many), "clean")
}

func bytesOf(n int, m pb) []pb {
	all := make([]pb, n)
	for i := range all {
		all[i] = m
	}
	return all
}

func TestAPlainFileIsNoGraph(t *testing.T) {
	for name, content := range map[string]string{
		"text":      strings.Repeat("import os\nprint(': (7)')\n", 1000),
		"JSON":      `{"model_type": "bert", "a": [` + strings.Repeat("1,", 5000) + `1]}`,
		"a pickle":  "\x80\x02}q\x00(X\x01\x00\x00\x00aK\x01u.",
		"zeros":     strings.Repeat("\x00", 10_000),
		"GGUF":      "GGUF\x03\x00\x00\x00" + strings.Repeat("\x01\x00\x00\x00\x00\x00\x00\x00", 800),
		"a tensor":  string(onnxTensor("w", 100)),
		"two bytes": "\x08\x01",
		"a colon":   ":\x04abcd",
	} {
		t.Run(name, func(t *testing.T) {
			if res := checkSane(t, []byte(content)); res.Verdict != scan.Unknown {
				t.Errorf("%s taken as %v: %v", name, res.Formats, res.Findings)
			}
		})
	}
}

func TestAnONNXThatEndsEarlyIsNeverClean(t *testing.T) {
	content := onnxModel(onnxGraph(onnxNodes(onnxNode("", "Relu")), pb{}.msg(5, onnxTensor("w", 100))))
	for _, cut := range prefixes(content) {
		if res := checkSane(t, cut); res.Verdict == scan.Clean && len(cut) > 0 && len(cut) < bytes.Index(content, []byte("\x42")) {
			t.Errorf("%d of %d bytes are clean", len(cut), len(content))
		}
	}
}

func FuzzONNX(f *testing.F) {
	f.Add([]byte(onnxWeights(onnxExternal("w", "location", "../x", "offset", "-1"))))
	f.Add([]byte(onnxModel(onnxGraph(onnxNodes(onnxNode("", "If", attrGraph("then_branch", onnxGraph(fifty())))))))[:700])
	f.Add([]byte(onnxModel(onnxGraph(onnxNodes(onnxNode("com.microsoft", "PythonOp", attrString("s", "cos\nsystem\n.")))))))
	f.Add([]byte(onnxModel(onnxGraph(), pb{}.msg(25, pb{}.str(1, "F").msg(7, onnxNode("d", "G")).str(10, "d")))))
	f.Fuzz(func(t *testing.T, b []byte) { checkSane(t, b) })
}

func BenchmarkONNX(b *testing.B) {
	node := onnxNode("", "Conv", pb{}.str(1, "kernel_shape").num(8, 3).num(8, 3).num(20, 7), attrInt("group", 1), attrString("auto_pad", "SAME_UPPER"))
	content := onnxModel(onnxGraph(pb{}.msg(1, bytesOf(100_000, node)...)))
	measure(b, content, ONNX())
}
