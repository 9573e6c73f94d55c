package graph

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"strings"
	"testing"

	"google.golang.org/protobuf/encoding/protowire"

	"github.com/apexlogic/apex/internal/model/scan"
)

type tfAttr struct {
	key   string
	value pb
}

func tfNode(name, op string, inputs ...string) pb {
	n := pb{}.str(1, name).str(2, op)
	for _, in := range inputs {
		n = n.str(3, in)
	}
	return n.str(4, "/device:CPU:0").with(tfAttr{"T", pb{}.num(6, 1)})
}

func (b pb) with(attrs ...tfAttr) pb {
	for _, a := range attrs {
		b = b.entry(5, a.key, string(a.value))
	}
	return b
}

func tfConst(name string, values ...string) pb {
	t := pb{}.num(1, 7).msg(2, pb{})
	for _, v := range values {
		t = t.str(8, v)
	}
	return pb{}.str(1, name).str(2, "Const").with(tfAttr{"dtype", pb{}.num(6, 7)}, tfAttr{"value", pb{}.msg(8, t)})
}

func tfWeights(name string, n int) pb {
	t := pb{}.num(1, 1).msg(2, pb{}.msg(2, pb{}.num(1, uint64(n/4)))).str(4, strings.Repeat("\x01", n))
	return pb{}.str(1, name).str(2, "Const").with(tfAttr{"dtype", pb{}.num(6, 1)}, tfAttr{"value", pb{}.msg(8, t)})
}

func tfGraph(nodes ...pb) pb { return pb{}.msg(1, nodes...).msg(4, pb{}.num(1, 1882)) }

func tfFunction(name string, nodes ...pb) pb {
	return pb{}.msg(1, pb{}.str(1, name).msg(2, pb{}.str(1, "x").num(3, 1))).msg(3, nodes...).entry(4, "y", "y:output:0")
}

func (b pb) library(functions ...pb) pb { return b.msg(2, pb{}.msg(1, functions...)) }

func tfSaved(graph pb, more ...pb) pb {
	meta := pb{}.msg(1, pb{}.str(4, "serve").str(5, "2.15.0")).msg(2, graph)
	for _, m := range more {
		meta = append(meta, m...)
	}
	return pb{}.num(1, 1).msg(2, meta)
}

func tfAsset(name string) pb { return pb{}.msg(6, pb{}.msg(1, pb{}.str(1, "asset:0")).str(2, name)) }

// saver is what every SavedModel holds to save and restore its variables.
func saver() []pb {
	return []pb{
		tfNode("saver_filename", "Placeholder"),
		tfConst("StaticRegexFullMatch/pattern", "^s3://.*"),
		tfNode("StaticRegexFullMatch", "StaticRegexFullMatch", "saver_filename"),
		tfConst("Const", ".part"), tfConst("Const_1", "_temp/part"),
		tfNode("Select", "Select", "StaticRegexFullMatch", "Const", "Const_1"),
		tfNode("StringJoin", "StringJoin", "saver_filename", "Select"),
		tfNode("ShardedFilename", "ShardedFilename", "StringJoin", "shard", "num_shards"),
		tfConst("SaveV2/tensor_names", "layer/kernel/.ATTRIBUTES/VARIABLE_VALUE", "../up"),
		tfNode("SaveV2", "SaveV2", "ShardedFilename", "SaveV2/tensor_names", "SaveV2/shape_and_slices"),
		tfNode("MergeV2Checkpoints/checkpoint_prefixes", "Pack", "ShardedFilename", "^SaveV2"),
		tfNode("MergeV2Checkpoints", "MergeV2Checkpoints", "MergeV2Checkpoints/checkpoint_prefixes", "saver_filename"),
		tfNode("RestoreV2", "RestoreV2", "saver_filename"),
	}
}

// network is a graph like those of image classifiers.
func network() []pb {
	nodes := []pb{tfNode("ReadFile_input", "Placeholder"), tfWeights("w", 400)}
	for i, op := range strings.Fields("Conv2D BiasAdd Relu MaxPool FusedBatchNormV3 AddV2 MatMul Softmax Mean Reshape StridedSlice ConcatV2 Identity NoOp ReadVariableOp VarHandleOp") {
		nodes = append(nodes, tfNode("layer/WriteFile/"+string(rune('a'+i)), op, "w"))
	}
	return nodes
}

func TestTensorFlow(t *testing.T) {
	node := func(nodes ...pb) pb { return tfGraph(append(network(), nodes...)...) }
	str := func(key, value string) tfAttr { return tfAttr{key, pb{}.str(2, value)} }
	list := func(key string, values ...string) tfAttr {
		l := pb{}
		for _, v := range values {
			l = l.str(2, v)
		}
		return tfAttr{key, pb{}.msg(1, l)}
	}
	function := func(nodes ...pb) pb {
		return node(tfNode("call", "StatefulPartitionedCall", "x")).library(tfFunction("__inference_f_12", nodes...))
	}
	const file, python, custom, clean = "malicious tensorflow.op.file", "malicious tensorflow.op.python", "suspicious tensorflow.op.custom", "clean"
	pickle := "\x80\x04\x95" + strings.Repeat("p", 40) + "."
	layer := func(json string) pb {
		return pb{}.msg(1, pb{}.num(2, 3).str(3, "root.layer-1").str(4, "_tf_keras_layer").str(5, json).msg(6, pb{}.num(1, 1)))
	}
	for name, c := range map[string]struct {
		content pb
		want    string
	}{
		// tf-op
		"ReadFile in a frozen graph":              {node(tfNode("x", "ReadFile", "w")), file},
		"WriteFile in a SavedModel":               {tfSaved(node(tfNode("relu", "WriteFile"))), file},
		"MatchingFiles in a MetaGraph":            {pb{}.msg(1, pb{}.str(5, "1.15.0")).msg(2, node(tfNode("x", "MatchingFiles"))), file},
		"WriteFile in the second MetaGraph":       {append(tfSaved(node()), pb{}.msg(2, pb{}.msg(2, tfGraph(tfNode("x", "WriteFile"))))...), file},
		"PyFunc":                                  {tfSaved(node(tfNode("x", "PyFunc"))), python},
		"EagerPyFunc alone":                       {tfGraph(tfNode("x", "EagerPyFunc")), python},
		"PyFuncStateless":                         {node(tfNode("x", "PyFuncStateless")), python},
		"the operator behind its attributes":      {node(pb{}.with(str("a", "b")).str(2, "WriteFile").str(1, "x")), file},
		"PrintV2 to a file":                       {node(tfNode("x", "PrintV2").with(str("output_stream", "file:///root/.bashrc"))), "malicious tensorflow.op.print"},
		"PrintV2 to stderr":                       {node(tfNode("x", "PrintV2").with(str("output_stream", "stderr"))), clean},
		"PrintV2 to the log":                      {node(tfNode("x", "PrintV2").with(str("output_stream", "log(info)"))), clean},
		"a debugger that listens":                 {node(tfNode("x", "DebugIdentityV3").with(list("debug_urls", "grpc://host:1"))), "malicious tensorflow.op.debug"},
		"a debugger by Copy":                      {node(tfNode("x", "CopyHost").with(list("debug_ops_spec", "DebugIdentity;file:///tmp/x;0"))), "malicious tensorflow.op.debug"},
		"a debugger that does not":                {node(tfNode("x", "DebugIdentity").with(list("debug_urls"))), clean},
		"a constant that maps a file":             {node(tfNode("x", "ImmutableConst").with(str("memory_region_name", "/etc/shadow"))), "malicious tensorflow.op.memory"},
		"a constant of the package":               {node(tfNode("x", "ImmutableConst").with(str("memory_region_name", "memmapped_package://w"))), clean},
		"a data base":                             {node(tfNode("x", "SqlDataset")), "suspicious tensorflow.op.input"},
		"a graph that is data":                    {node(tfNode("x", "DatasetFromGraph")), "suspicious tensorflow.op.input"},
		"lines of a fixed file":                   {node(tfConst("f", "/etc/passwd"), tfNode("x", "TextLineDataset", "f")), "suspicious tensorflow.path.read"},
		"lines of a fixed file, passed on":        {node(tfNode("x", "FixedLengthRecordDatasetV2", "i"), tfNode("i", "Identity", "f:0"), tfConst("f", "ok", "/etc/passwd")), "suspicious tensorflow.path.read"},
		"lines of a file of the model":            {node(tfConst("f", "data/vocab.txt"), tfNode("x", "TextLineDataset", "f")), clean},
		"lines of what the caller names":          {node(tfNode("f", "Placeholder"), tfNode("x", "TextLineDataset", "f")), clean},
		"a saver with a fixed name":               {node(tfConst("f", "/root/.ssh/authorized_keys"), tfNode("x", "SaveV2", "f")), "malicious tensorflow.path.write"},
		"a saver with a joined name":              {node(tfConst("a", "/"), tfConst("b", "root"), tfNode("f", "StringJoin", "a", "b"), tfNode("x", "SaveV2", "f")), "malicious tensorflow.path.write"},
		"a saver that goes up":                    {node(tfConst("a", "x/.."), tfNode("p", "Placeholder"), tfConst("b", "/../y"), tfNode("f", "StringJoin", "a", "p", "b"), tfNode("x", "Save", "f")), "malicious tensorflow.path.write"},
		"a saver with a hidden name":              {node(tfConst("a", "L2V0Yw"), tfNode("f", "DecodeBase64", "a"), tfNode("x", "SaveV2", "f")), "suspicious tensorflow.path.hidden"},
		"a summary at a fixed place":              {node(tfConst("f", "/var/www"), tfNode("x", "CreateSummaryFileWriter", "w", "f")), "malicious tensorflow.path.write"},
		"a summary with too few inputs":           {node(tfConst("f", "/var/www"), tfNode("x", "CreateSummaryFileWriter", "f")), "malicious tensorflow.path.write"},
		"a summary where the caller says":         {node(tfNode("f", "Placeholder"), tfNode("x", "CreateSummaryFileWriter", "w", "f")), clean},
		"a snapshot at a fixed place":             {node(tfConst("f", "/srv"), tfNode("x", "SnapshotDatasetV2", "d", "f")), "malicious tensorflow.path.write"},
		"a saved data set":                        {node(tfConst("d", "/srv"), tfConst("a", "host"), tfNode("x", "DistributedSave", "s", "d", "a")), "malicious tensorflow.path.write"},
		"records by a queue":                      {node(tfNode("x", "TFRecordReaderV2")), "suspicious tensorflow.op.input"},
		"a data base by a queue":                  {node(tfNode("x", "LMDBReader")), "suspicious tensorflow.op.input"},
		"a reader that opens nothing":             {node(tfNode("x", "IdentityReaderV2")), clean},
		"a data set that a service gets":          {node(tfNode("x", "RegisterDatasetV2")), "suspicious tensorflow.op.input"},
		"an engine at a fixed place":              {node(tfConst("f", "/opt/x.plan"), tfNode("x", "InitializeTRTResource", "h", "f")), "suspicious tensorflow.path.read"},
		"an engine among the assets":              {node(tfConst("f", "x.plan"), tfNode("x", "InitializeTRTResource", "h", "f")), clean},
		"descriptors in a file":                   {node(tfNode("x", "DecodeProtoV2").with(str("descriptor_source", "/etc/passwd"))), "suspicious tensorflow.path.read"},
		"descriptors of the program":              {node(tfNode("x", "DecodeProtoV2").with(str("descriptor_source", "local://"))), clean},
		"groups before the graph":                 {pb{}.msg(2, append(pb("\x93\x03\x9b\x06\x08\x07\x9c\x06\x94\x03"), pb{}.msg(2, node(tfNode("x", "ReadFile")))...)), file},
		"groups before a graph without files":     {pb{}.msg(2, append(pb("\x93\x03\x9b\x06\x08\x07\x9c\x06\x94\x03"), pb{}.msg(2, node())...)), clean},
		"a checkpoint where training began":       {node(tfConst("f", "/home/me/bert/model.ckpt"), tfNode("x", "RestoreV2", "f")), clean},
		"the saver of TensorFlow 1":               {node(tfConst("save/Const", "model"), tfNode("save/SaveV2", "SaveV2", "save/Const")), clean},
		"an operator that nobody knows":           {node(tfNode("x", "ShellExecute")), custom},
		"one with a field that nodes do not have": {node(tfNode("x", "ShellExecute").str(12, "proto3")), custom},
		"descriptors of protobuf":                 {pb{}.msg(1, pb{}.str(1, "a.proto").str(2, "Vendor").msg(5, pb{}.str(1, "Kind")).str(12, "proto3")), "unknown"},
		"the same, in a SavedModel":               {tfSaved(node(tfNode("x", "Vendor>RunAll"))), custom},
		"an asset above the folder":               {tfSaved(node(), tfAsset("../../etc/passwd")), "malicious tensorflow.asset.escape"},
		"an asset at an absolute path":            {tfSaved(node(), tfAsset("/etc/passwd")), "malicious tensorflow.asset.escape"},
		"an asset behind a backslash":             {tfSaved(node(), tfAsset(`..\x`)), "malicious tensorflow.asset.escape"},
		"an asset":                                {tfSaved(node(), tfAsset("vocab.txt")), clean},
		"a pickle in a constant":                  {node(tfConst("c", pickle)), "malicious test.inside"},
		"a graph in the engine of TensorRT":       {node(tfNode("x", "TRTEngineOp").with(str("serialized_segment", string(tfGraph(tfNode("x", "ReadFile")))))), file},
		"a graph that pretends to be a MetaGraph": {append(pb{}.msg(1, pb{}.str(4, "serve").str(5, "2.15.0")), tfGraph(append(network(), tfNode("x", "ReadFile"))...)...), file},
		"a SavedModel that begins as a graph":     {append(pb{}.msg(1, network()...), tfSaved(node(tfNode("x", "ReadFile")))...), file},
		"a field 1 as padding":                    {append(pb{}.str(9, strings.Repeat("a", 90_000)), tfSaved(node(tfNode("x", "ReadFile")))...), file},

		// tf-op-in-function
		"WriteFile in a function":           {tfSaved(function(tfNode("x", "WriteFile"))), file},
		"ReadFile in a frozen one":          {function(tfNode("x", "ReadFile")), file},
		"PyFunc in the second function":     {tfGraph(tfNode("x", "NoOp")).library(tfFunction("a", network()...), tfFunction("b", tfNode("y", "PyFunc"))), python},
		"a saver in a function":             {tfSaved(function(tfConst("f", "/x"), tfNode("y", "SaveV2", "f:output:0"))), "malicious tensorflow.path.write"},
		"an unknown operator in a function": {tfSaved(function(tfNode("x", "RunAll"))), custom},
		"a function that is called by name": {tfGraph(tfNode("x", "NoOp"), tfNode("c", "MyFunction")).library(tfFunction("MyFunction", network()...)), clean},
		"functions of a SavedModel":         {tfSaved(function(append(network(), saver()...)...)), clean},

		// tf-broken-tail
		"ReadFile, then garbage":          {append(node(tfNode("x", "ReadFile")), "\xff\xff\xff\xff"...), file + " tensorflow.broken"},
		"PyFunc, then a field cut off":    {append(tfSaved(node(tfNode("x", "PyFunc"))), 0x12, 0x7f, 1), python + " tensorflow.broken"},
		"WriteFile in what is cut off":    {tfSaved(node(tfNode("x", "WriteFile"), tfWeights("z", 4000)))[:1500], file + " tensorflow.broken"},
		"a broken node before it":         {tfGraph(append(network(), pb("\x0f"), tfNode("x", "WriteFile"))...), file + " tensorflow.broken"},
		"nothing dangerous, then garbage": {append(tfSaved(node()), "\xff\xff\xff\xff"...), "unscannable tensorflow.broken"},
		"nothing dangerous, cut off":      {tfSaved(node(tfWeights("z", 4000)))[:1500], "unscannable tensorflow.broken"},

		// realistic
		"a frozen network":              {node(), clean},
		"a SavedModel with its saver":   {tfSaved(node(saver()...)), clean},
		"a table with its asset":        {tfSaved(node(tfConst("f", "/tmp/build/vocab.txt"), tfNode("t", "HashTableV2"), tfNode("i", "InitializeTableFromTextFileV2", "t", "f"), tfNode("l", "LookupTableFindV2", "t")), tfAsset("vocab.txt")), clean},
		"names like operators":          {node(tfNode("ReadFile", "Identity"), tfNode("PyFunc/WriteFile", "Relu")), clean},
		"quantized and optimized":       {node(tfNode("a", "QuantizedConv2DWithBias"), tfNode("b", "_FusedConv2D"), tfNode("c", "FakeQuantWithMinMaxVars"), tfNode("d", "XlaLaunch")), clean},
		"text":                          {node(tfNode("a", "SentencepieceOp"), tfNode("b", "RegexReplace"), tfNode("c", "UnicodeDecodeWithOffsets")), "clean tensorflow.op.extension"},
		"trees of Decision Forests":     {node(tfNode("a", "SimpleMLInferenceOpWithHandle")), "clean tensorflow.op.extension"},
		"a graph without nodes":         {tfSaved(pb{}.msg(4, pb{}.num(1, 1882))), clean},
		"Keras metadata":                {append(layer(`{"class_name": "Dense", "config": {}}`), layer(`{"class_name": "ReLU"}`)...), clean},
		"Keras metadata with a Lambda":  {append(layer(`{"class_name": "Dense"}`), layer(`{"class_name": "Lambda", "config": {}}`)...), "malicious test.inside"},
		"an object graph with a Lambda": {tfSaved(node(), pb{}.msg(7, pb{}.msg(1, pb{}.msg(4, pb{}.str(1, "_tf_keras_layer").str(3, `{"class_name": "Lambda", "x": 1}`))))), "malicious test.inside"},
		"a map of strings":              {pb{}.entry(1, "key", "Value").entry(1, "other", "Thing"), "unknown"},
	} {
		t.Run(name, func(t *testing.T) {
			word := "\x80\x04\x95"
			if strings.Contains(name, "Lambda") {
				word = `{"class_name": "Lambda"`
			}
			checkOutcome(t, examine(t.Context(), c.content, look(word)), c.want)
		})
	}
}

func TestATensorFlowThatEndsEarlyIsNeverClean(t *testing.T) {
	content := tfSaved(tfGraph(append(network(), tfNode("last", "Relu"))...))
	for _, cut := range prefixes(content) {
		if res := checkSane(t, cut); res.Verdict == scan.Clean && len(cut) > 0 {
			t.Errorf("%d of %d bytes are clean", len(cut), len(content))
		}
	}
}

func TestTheSameOperatorDoesNotFillTheReport(t *testing.T) {
	res := examine(t.Context(), tfGraph(bytesOf(5000, tfNode("x", "ReadFile"))...))
	if res.Verdict != scan.Malicious || len(res.Findings) != maxSame || res.Dropped != 0 {
		t.Errorf("%v, %d findings, %d dropped", res.Verdict, len(res.Findings), res.Dropped)
	}
}

func TestARemoteSavedModelIsReadInFewRequests(t *testing.T) {
	content := tfSaved(tfGraph(append(bytesOf(20_000, tfNode("x", "Relu", "y")), tfNode("x", "ReadFile"))...))
	res, _ := remote(t, content, int64(len(content)))
	checkOutcome(t, res, "malicious tensorflow.op.file")
}

// table is a checkpoint's index with the place of its two indexes.
func table(metaAt, metaSize, at, size uint64) []byte {
	b := bytes.Repeat([]byte{7}, 100)
	footer := make([]byte, 0, footerSize)
	for _, v := range []uint64{metaAt, metaSize, at, size} {
		footer = protowire.AppendVarint(footer, v)
	}
	footer = append(footer, make([]byte, footerSize-8-len(footer))...)
	return append(b, binary.LittleEndian.AppendUint64(footer, footerMagic)...)
}

func TestTheIndexOfACheckpoint(t *testing.T) {
	checkOutcome(t, examine(t.Context(), table(50, 8, 63, 32)), "clean")
	checkOutcome(t, examine(t.Context(), table(50, 8, 63, 99)), "unscannable tensorflow.checkpoint.broken")
	checkOutcome(t, examine(t.Context(), table(1<<63, 1<<63, 63, 32)), "unscannable tensorflow.checkpoint.broken")
	checkOutcome(t, examine(t.Context(), table(50, 8, 63, 32)[:140]), "unknown")
}

func FuzzTensorFlow(f *testing.F) {
	f.Add([]byte(tfSaved(tfGraph(append(saver(), tfNode("x", "PyFunc"))...), tfAsset("../x"))))
	f.Add([]byte(tfGraph(tfConst("f", "/x"), tfNode("s", "SaveV2", "f")).library(tfFunction("f", tfNode("x", "RunAll")))))
	f.Add([]byte(pb{}.msg(1, pb{}.num(2, 3).str(3, "root").str(4, "_tf_keras_layer").str(5, `{"class_name": "Lambda"}`))))
	f.Add(table(50, 8, 63, 32))
	f.Fuzz(func(t *testing.T, b []byte) { checkSane(t, b) })
}

func BenchmarkTensorFlow(b *testing.B) {
	content := tfSaved(tfGraph(append(bytesOf(100_000, tfNode("block/layer/Conv2D", "Conv2D", "a", "b/read")), saver()...)...))
	measure(b, content, TensorFlow())
}

func TestPathsAreFollowedHoweverManyNodesThereAre(t *testing.T) {
	chain := func(n int, last pb) []pb {
		nodes := []pb{tfNode("s", "SaveV2", "i0"), last}
		for i := range n {
			nodes = append(nodes, tfNode(fmt.Sprintf("i%d", i), "Identity", fmt.Sprintf("i%d:0", i+1)))
		}
		return nodes
	}
	many := func(n int, op string) []pb {
		return append(bytesOf(n, tfNode("d", op, "p")), tfNode("p", "Placeholder"), tfConst("f", "/x"), tfNode("s", op, "f"))
	}
	files := make([]string, 100)
	for i := range files {
		files[i] = "part"
	}
	for name, c := range map[string]struct {
		nodes []pb
		want  string
	}{
		"a long chain":              {chain(500, tfConst("i500", "/x")), "malicious tensorflow.path.write"},
		"a chain that never ends":   {chain(5000, tfConst("i5000", "/x")), "suspicious tensorflow.path.hidden"},
		"a circle":                  {chain(2, tfNode("i2", "Identity", "i0")), "suspicious tensorflow.path.hidden"},
		"a chain to a placeholder":  {chain(500, tfNode("i500", "Placeholder")), "clean"},
		"savers before the bad one": {many(500, "SaveV2"), "malicious tensorflow.path.write"},
		"too many savers":           {many(2000, "SaveV2"), "suspicious tensorflow.path.hidden"},
		"the last of many files":    {[]pb{tfConst("f", append(files, "/etc/passwd")...), tfNode("d", "TextLineDataset", "f")}, "suspicious tensorflow.path.read"},
		"many files":                {[]pb{tfConst("f", files...), tfNode("d", "TextLineDataset", "f")}, "clean"},
	} {
		t.Run(name, func(t *testing.T) { checkOutcome(t, examine(t.Context(), tfGraph(c.nodes...)), c.want) })
	}
}

func TestAPathIsFollowedIntoFunctions(t *testing.T) {
	call := func(name, function string, inputs ...string) pb {
		return tfNode(name, "StatefulPartitionedCall", inputs...).with(tfAttr{"f", pb{}.msg(10, pb{}.str(1, function))})
	}
	save := tfFunction("save", tfNode("s", "SaveV2", "file_prefix"))
	through := tfFunction("through", call("c", "save", "x"))
	for name, c := range map[string]struct {
		graph pb
		want  string
	}{
		"a fixed name for the saver":               {tfGraph(tfConst("f", "/x"), call("c", "save", "f")).library(save), "malicious tensorflow.path.write"},
		"the same, through another function":       {tfGraph(tfConst("f", "/x"), call("c", "through", "f")).library(through, save), "malicious tensorflow.path.write"},
		"a fixed name in the other function":       {tfGraph(call("c", "g")).library(tfFunction("g", tfConst("f", "/x"), call("c", "save", "f")), save), "malicious tensorflow.path.write"},
		"the saver, called by its name":            {tfGraph(tfConst("f", "/x"), tfNode("c", "save", "f")).library(save), "malicious tensorflow.path.write"},
		"a name that whoever saves gives":          {tfGraph(tfNode("p", "Placeholder"), call("c", "through", "p")).library(through, save), "clean"},
		"a fixed name for a function that reads":   {tfGraph(tfConst("f", "/build/vocab.txt"), call("c", "init", "f")).library(save, tfFunction("init", tfNode("i", "InitializeTableFromTextFileV2", "t", "f"))), "clean"},
		"functions that call one another in turns": {tfGraph(call("c", "a")).library(save, tfFunction("a", call("c", "b", "x")), tfFunction("b", call("c", "a", "x"), call("d", "save", "x"))), "clean"},
	} {
		t.Run(name, func(t *testing.T) {
			checkOutcome(t, examine(t.Context(), tfSaved(c.graph)), c.want)
			checkOutcome(t, examine(t.Context(), c.graph), c.want)
		})
	}
}

func TestTheFingerprintOfASavedModel(t *testing.T) {
	whole := pb{}.num(1, 1<<62).num(2, 1<<61).num(3, 1<<60).num(4, 0).num(5, 1<<59).msg(6, pb{}.num(1, 1)).str(7, "1234567890")
	checkOutcome(t, examine(t.Context(), whole), "clean")
	checkOutcome(t, examine(t.Context(), whole.str(8, "more")), "unknown")
	checkOutcome(t, examine(t.Context(), whole[:12]), "unknown")
	checkOutcome(t, examine(t.Context(), append(whole, 0xff)), "unknown")
}
