package graph

import (
	"strings"
	"testing"

	"github.com/apexlogic/apex/internal/model/scan"
)

func TestText(t *testing.T) {
	node := func(op string) string {
		return `node { name: "x" op: "` + op + `" input: "a" attr { key: "T" value { type: DT_FLOAT } } }` + "\n"
	}
	saved := func(graph string) string {
		return "# a comment\nsaved_model_schema_version: 1\nmeta_graphs {\n  meta_info_def { tags: \"serve\" tensorflow_version: \"2.15.0\" }\n  graph_def {\n" + graph + "  }\n}\n"
	}
	for name, c := range map[string]struct{ content, want string }{
		"ReadFile in a SavedModel":    {saved(node("ReadFile")), "malicious tensorflow.op.file"},
		"WriteFile in a graph":        {node("Relu") + node("WriteFile"), "malicious tensorflow.op.file"},
		"PyFunc in a function":        {saved(node("NoOp") + `library < function: { signature { name: "f" } node_def { name: 'y' op: 'PyFunc' } } >`), "malicious tensorflow.op.python"},
		"an operator that is escaped": {node(`\122ead\x46\u0069le`), "malicious tensorflow.op.file"},
		"one in two strings":          {node(`Read" 'File' "`), "malicious tensorflow.op.file"},
		"nodes in a list":             {`node: [{op: "Relu" name: "a" attr {}}, {op: "ReadFile"}]`, "malicious tensorflow.op.file"},
		"a saver with a fixed name": {saved(`node { name: "f" op: "Const" attr { key: "value" value { tensor { dtype: DT_STRING string_val: "/x" } } } }
			node { name: "s" op: "SaveV2" input: "f" }`), "malicious tensorflow.path.write"},
		"an asset above":             {strings.TrimSuffix(saved(node("Relu")), "}\n") + `asset_file_def { filename: "../x" } }`, "malicious tensorflow.asset.escape"},
		"ReadFile, then garbage":     {node("ReadFile") + "}}", "malicious tensorflow.op.file graph.text"},
		"an ONNX with data above":    {`ir_version: 8 graph { node { op_type: "Relu" } initializer { dims: 4 data_type: 1 name: "w" external_data { key: "location" value: "../x" } data_location: EXTERNAL } }`, "malicious onnx.external.escape"},
		"an ONNX with Python":        {`ir_version: 8 graph { node { op_type: "PythonOp" domain: "com.microsoft" } }`, "malicious onnx.operator.python"},
		"a SavedModel":               {saved(node("Conv2D") + node("Relu")), "clean"},
		"a graph":                    {node("Conv2D") + "versions { producer: 27 }", "clean"},
		"an ONNX":                    {`producer_name: "x" graph { name: "g" node { op_type: "Relu" attribute { name: "a" f: 0.5 type: FLOAT } } }`, "clean"},
		"a graph that ends early":    {saved(node("Conv2D"))[:200], "unscannable graph.text"},
		"YAML that looks like one":   {"node:\n  - name: x\n    op: y\n", "unknown"},
		"JSON":                       {`{"node": {"op": "ReadFile"}}`, "unknown"},
		"a file of another language": {"library: {\n  version = 1;\n}\n", "unknown"},
		"prose":                      {"graph: the one below shows the loss.\n", "unknown"},
	} {
		t.Run(name, func(t *testing.T) { checkOutcome(t, examine(t.Context(), []byte(c.content)), c.want) })
	}
}

func TestTextNestsAsDeepAsItReads(t *testing.T) {
	deep := `ir_version: 8 graph { node { op_type: "If" attribute { g ` + strings.Repeat(`{ node { attribute { g `, 100_000)
	if res := examine(t.Context(), []byte(deep)); res.Verdict == scan.Clean {
		t.Error("clean")
	}
}

func FuzzText(f *testing.F) {
	f.Add([]byte(`meta_graphs { graph_def { node { name: "x" op: "Read\x46ile" attr { key: 'k' value { s: "v" } } } } }`))
	f.Add([]byte(`ir_version: 8 graph < node: [{op_type: "PythonOp"}] > [ext]: 1 # c`))
	f.Fuzz(func(t *testing.T, b []byte) { checkSane(t, b) })
}
