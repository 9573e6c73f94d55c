package keras

import (
	"fmt"
	"reflect"
	"slices"
	"strings"
	"testing"

	"github.com/apexlogic/apex/internal/model/scan"
)

// inYAML is a model of the layers, each a block, as model.to_yaml writes it.
func inYAML(class string, layers ...string) string {
	return "backend: tensorflow\nclass_name: " + class + "\nconfig:\n  layers:\n" + strings.Join(layers, "") + "  name: model\nkeras_version: 2.4.0\n"
}

const (
	denseYAML  = "  - class_name: Dense\n    config:\n      activation: relu\n      batch_input_shape: !!python/tuple\n      - null\n      - 4\n      dtype: float32\n      name: dense\n      units: 3\n"
	lambdaYAML = "  - class_name: Lambda\n    config:\n      arguments: {}\n      function: %s\n      function_type: lambda\n      module: __main__\n      name: x\n"
)

func lambdaOf(function string) string { return fmt.Sprintf(lambdaYAML, function) }

var (
	tupleOf = "!!python/tuple\n      - '" + inBase64(byteCode) + "\n\n        '\n      - null\n      - null"
	listOf  = "\n      - |\n        " + inBase64(byteCode) + "\n      - null"
)

func badYAML() map[string][2]string {
	const lambda = "malicious keras.code keras.lambda"
	whole := inYAML("Sequential", denseYAML, lambdaOf(tupleOf))
	return map[string][2]string{
		"a lambda in a tuple":                 {whole, lambda},
		"a lambda in a list":                  {inYAML("Functional", lambdaOf(listOf)), lambda},
		"a lambda in a model":                 {inYAML("Model", denseYAML, lambdaOf("['"+inBase64(byteCode)+"', null, null]")), lambda},
		"a lambda in flow style":              {`{class_name: Sequential, config: {layers: [{class_name: Lambda, config: {function: ["` + inBase64(byteCode) + `", null]}}]}}`, lambda},
		"a lambda by an alias":                {"x: &a\n  class_name: Lambda\n  config: {}\nclass_name: Sequential\nconfig:\n  layers: [*a]\n", "malicious keras.lambda"},
		"a lambda by a merge":                 {"class_name: Sequential\nconfig:\n  layers:\n  - <<: {class_name: Lambda}\n    config: {name: x}\n", "malicious keras.lambda"},
		"a lambda by a list of merges":        {"class_name: Sequential\nconfig:\n  layers:\n  - <<: [{config: {}}, {class_name: Lambda}]\n", "malicious keras.lambda"},
		"a lambda as the model":               {"class_name: Lambda\nconfig:\n  name: x\n", "malicious keras.lambda"},
		"a lambda whose key is escaped":       {strings.ReplaceAll(whole, "class_name", `"\x63lass_name"`), lambda},
		"a lambda behind comments":            {strings.Repeat("# a comment\n", 1000) + whole, lambda},
		"a lambda behind a mark of the order": {"\ufeff" + whole, lambda},
		"a lambda in UTF-16":                  {utf16Of("\ufeff" + whole), lambda},
		"a lambda in a second document":       {inYAML("Sequential", denseYAML) + "---\n" + whole, lambda},
		"a lambda hidden by a second key":     {inYAML("Sequential", "  - class_name: Lambda\n    class_name: Dense\n    config: {}\n"), "malicious keras.duplicate keras.lambda"},
		"a lambda in what is cut short":       {whole + "x: [1, 2", "malicious keras.broken keras.lambda"},
		"a vocabulary elsewhere":              {inYAML("Sequential", "  - class_name: StringLookup\n    config:\n      vocabulary: /etc/passwd\n"), "malicious keras.file.outside"},
		"a function of tf.io":                 {inYAML("Functional", "  - class_name: TFOpLambda\n    config:\n      function: io.write_file\n"), "malicious keras.op"},
		"a module":                            {inYAML("Sequential", "  - class_name: Popen\n    module: subprocess\n    config: {args: id}\n"), "malicious keras.module"},
		"aliases that grow":                   {inYAML("Sequential", denseYAML) + growing(40), "unscannable keras.limit"},
		"a text that aliases repeat":          {"t: &t " + strings.Repeat("4wAA", 5000) + "\n" + inYAML("Sequential", denseYAML) + "a: [" + strings.Repeat("*t, ", 20_000) + "x]\n", "unscannable keras.limit"},
		"an alias to itself":                  {inYAML("Sequential", denseYAML) + "a: &a [*a]\n", "unscannable keras.limit"},
		"nested too deep":                     {inYAML("Sequential", denseYAML) + "a: " + strings.Repeat("[", 300) + strings.Repeat("]", 300) + "\n", "unscannable keras.limit"},
		"longer than is read at once":         {inYAML("Sequential", denseYAML) + strings.Repeat("# comment\n", 3_500_000), "unscannable keras.limit"},
		"more values than a model":            {inYAML("Sequential", denseYAML) + strings.Repeat("# a: b\n", 100_000), "unscannable keras.limit"},
		"more values than a model, in flow":   {"{class_name: Sequential, config: {x: [" + strings.Repeat("1, ", 200_000) + "1]}}", "unscannable keras.limit"},
		"longer than a model":                 {inYAML("Sequential", denseYAML) + strings.Repeat("# comment\n", 900_000), "unscannable keras.limit"},
	}
}

// growing is a document whose aliases double at each of so many lines.
func growing(lines int) string {
	var b strings.Builder
	b.WriteString("a0: &a0 [x, x]\n")
	for i := 1; i < lines; i++ {
		fmt.Fprintf(&b, "a%d: &a%d [*a%d, *a%d]\n", i, i, i-1, i-1)
	}
	return b.String()
}

func benignYAML() map[string]string {
	return map[string]string{
		"a sequential model":    inYAML("Sequential", denseYAML, denseYAML),
		"a functional model":    inYAML("Functional", denseYAML, "  - class_name: Activation\n    config: {activation: relu, name: lambda}\n    inbound_nodes: [[[dense, 0, 0, {}]]]\n"),
		"shared by aliases":     inYAML("Model", "  - class_name: Dense\n    config: &id001 {units: 3, name: d}\n", "  - class_name: Dense\n    config: *id001\n"),
		"flow style":            `{class_name: Sequential, config: {layers: [{class_name: Dense, config: {units: 3}}]}}`,
		"the list of old Keras": "class_name: Sequential\nconfig:\n- class_name: Dense\n  config: {units: 3}\n",
	}
}

func TestConfigurationsInYAMLThatReachOutAreFound(t *testing.T) {
	for name, tc := range badYAML() {
		t.Run(name, func(t *testing.T) {
			if res, _ := examineText(t, tc[0]); said(res) != tc[1] {
				t.Errorf("got %s\nwant %s\n%v", said(res), tc[1], res.Findings)
			}
		})
	}
}

func TestTheByteCodeInYAMLIsHandedOn(t *testing.T) {
	_, seen := examineText(t, inYAML("Sequential", denseYAML, lambdaOf(tupleOf)))
	if got := seen["$.config.layers[1].config.function[0]"]; got != byteCode {
		t.Errorf("got %q", seen)
	}
}

func TestConfigurationsInYAMLOfRealModelsAreClean(t *testing.T) {
	for name, text := range benignYAML() {
		t.Run(name, func(t *testing.T) {
			res, _ := examineText(t, text)
			if res.Verdict != scan.Clean || !slices.Contains(res.Formats, "keras") {
				t.Errorf("got %s %v", said(res), res.Findings)
			}
		})
	}
}

func TestOtherTextIsNoConfigurationInYAML(t *testing.T) {
	for name, text := range map[string]string{
		"other YAML":             "name: x\nconfig:\n  class: y\n",
		"a class in a list":      "config:\n- class_name: Lambda\n  x: 1\n",
		"a class without config": "class_name: Lambda\nconfig: none\n",
		"prose":                  "The class_name: Lambda and the config: are keys.\nclass_name is one.\n",
		"an example in a text":   "# Title\n\nUse `x`:\n```yaml\nclass_name: Lambda\nconfig:\n  name: x\n```\n",
		"broken YAML":            "class_name: [Lambda\n  config: }",
		"lines of JSON":          strings.Repeat(`{"text": "a class_name and a config"}`+"\n", 100_000),
		"a vocabulary":           strings.Repeat("config:\nclass_name\n", 100_000),
		"text that is searched":  strings.Repeat("config:\nclass_name\n", 1_800_000),
		"long prose":             strings.Repeat("a class_name and a config\n", 400_000),
	} {
		t.Run(name, func(t *testing.T) {
			if res, _ := examineText(t, text); res.Verdict != scan.Unknown {
				t.Errorf("got %s as %v", said(res), res.Formats)
			}
		})
	}
}

// The fuzzer runs every input that finds something new up to a minute long, in
// ever shorter forms, and counts nothing meanwhile: inputs have to be short, and
// seeds cheap.
const mostFuzzed = 4 << 10

func FuzzYAML(f *testing.F) {
	for name, tc := range badYAML() {
		if len(tc[0]) <= mostFuzzed && name != "aliases that grow" { // that one takes 50 ms
			f.Add([]byte(tc[0]))
		}
	}
	f.Add([]byte(inYAML("Sequential", denseYAML) + growing(8)))
	for _, text := range benignYAML() {
		f.Add([]byte(text))
	}
	f.Fuzz(func(t *testing.T, data []byte) {
		if len(data) > mostFuzzed {
			t.Skip()
		}
		first, _ := examineText(t, string(data))
		again, _ := examineText(t, string(data))
		if !reflect.DeepEqual(first, again) {
			t.Fatalf("two results:\n%v\n%v", first, again)
		}
		for _, finding := range first.Findings {
			if finding.Rule == "scan.internal" || finding.Rule == "scan.budget" {
				t.Fatalf("%v", finding)
			}
		}
	})
}

// Aliases make work of hardly any bytes, so that many little documents are
// together over the budget.
func TestAliasesInYAMLAreCounted(t *testing.T) {
	limits := scan.DefaultLimits
	limits.Work /= 100 // 40 ms: more than the bytes of the document, less than what it stands for
	for text, over := range map[string]bool{
		inYAML("Sequential", denseYAML) + growing(40): true,
		inYAML("Sequential", denseYAML) + growing(8):  false,
	} {
		res := scan.NewFormats(limits, Format()).Scan(t.Context(), scan.Bytes([]byte(text)), scan.Options{})
		if got := strings.Contains(said(res), "scan.budget"); got != over {
			t.Errorf("%d bytes: %s", len(text), said(res))
		}
	}
}
