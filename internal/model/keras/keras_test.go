package keras

import (
	"encoding/base64"
	"fmt"
	"slices"
	"strings"
	"testing"
	"unicode/utf16"

	"github.com/apexlogic/apex/internal/model/scan"
)

// bytesSeen collects what is handed on that is no JSON.
type bytesSeen map[string]string

func (s bytesSeen) format() scan.Format {
	return scan.Format{Name: "bytes",
		Claim: func(f *scan.File) bool { return !f.HasPrefix("{") && !f.HasPrefix("[") },
		Scan: func(p *scan.Place, f *scan.File) error {
			b, err := f.Read(0, f.Size())
			if err != nil || p.Depth() == 0 {
				return scan.ErrOther
			}
			s[p.Member()] = string(b)
			return nil
		}}
}

func examineText(t testing.TB, text string) (scan.Result, bytesSeen) {
	t.Helper()
	seen := bytesSeen{}
	return scan.NewFormats(scan.Limits{}, Format(), seen.format()).Scan(t.Context(), scan.Bytes([]byte(text)), scan.Options{}), seen
}

func said(res scan.Result) string {
	var ids []string
	for _, f := range res.Findings {
		ids = append(ids, f.Rule)
	}
	slices.Sort(ids)
	return res.Verdict.String() + " " + strings.Join(slices.Compact(ids), " ")
}

// byteCode is what marshal writes for a code object, cut short: inert.
var byteCode = "\xe3\x01\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x01\x00\x00\x00\x02\x00\x00\x00C\x00\x00\x00s\x0c\x00\x00\x00"

func inBase64(b string) string { return base64.StdEncoding.EncodeToString([]byte(b)) }

// sequential is a model of the layers in Keras 3's shape.
func sequential(layers ...string) string {
	return `{"module":"keras","class_name":"Sequential","config":{"name":"sequential","trainable":true,"layers":[` +
		`{"module":"keras.layers","class_name":"InputLayer","config":{"batch_shape":[null,4],"dtype":"float32","sparse":false,"name":"input"},"registered_name":null},` +
		strings.Join(layers, ",") + `],"build_input_shape":[null,4]},"registered_name":null,"build_config":{"input_shape":[null,4]},` +
		`"compile_config":{"optimizer":{"module":"keras.optimizers","class_name":"Adam","config":{"name":"adam","learning_rate":0.001},"registered_name":null},"loss":"binary_crossentropy","metrics":["accuracy"],"jit_compile":true}}`
}

// layer is one layer in Keras 3's shape.
func layer(module, class, config, registered string) string {
	return fmt.Sprintf(`{"module":%q,"class_name":%q,"config":{%s},"registered_name":%s}`, module, class, config, registered)
}

// function is a function where a layer has one.
func function(module, name, registered string) string {
	return layer("keras.layers", "Dense", fmt.Sprintf(`"name":"dense","units":2,"activation":{"module":%q,"class_name":"function","config":%q,"registered_name":%q}`, module, name, registered), "null")
}

var (
	lambda3 = layer("keras.layers", "Lambda", `"name":"x","function":{"class_name":"__lambda__","config":{"code":"`+inBase64(byteCode)+`","defaults":null,"closure":null}},"arguments":{}`, "null")
	lambda2 = `{"class_name":"Lambda","config":{"name":"x","function":["` + inBase64(byteCode) + `\n",null,null],"function_type":"lambda","module":"__main__","output_shape":null,"output_shape_type":"raw","arguments":{}}}`
	legacy  = `{"class_name":"Sequential","config":{"name":"s","layers":[%s]},"keras_version":"2.15.0","backend":"tensorflow"}`
	wrapper = `{"class_name":%q,"config":{"name":"w","layer":%s}}`
	dense   = `{"class_name":"Dense","config":{"name":"dense","units":3,"activation":"relu","kernel_initializer":{"class_name":"GlorotUniform","config":{"seed":null}}}}`
	padding = strings.Repeat(" \n", 40<<10)
)

// bad are configurations that run code or reach out when they are loaded.
func bad() map[string][2]string {
	return map[string][2]string{
		"a lambda in Keras 3":                   {sequential(lambda3), "malicious keras.code keras.lambda"},
		"a lambda in Keras 2":                   {fmt.Sprintf(legacy, lambda2), "malicious keras.code keras.lambda"},
		"a lambda in a wrapper":                 {fmt.Sprintf(legacy, fmt.Sprintf(wrapper, "TimeDistributed", lambda2)), "malicious keras.code keras.lambda"},
		"a lambda in two wrappers and a model":  {fmt.Sprintf(legacy, fmt.Sprintf(wrapper, "Bidirectional", fmt.Sprintf(wrapper, "TimeDistributed", fmt.Sprintf(legacy, lambda2)))), "malicious keras.code keras.lambda"},
		"a lambda in a custom wrapper":          {sequential(layer("my", "Wrap", `"inner":`+lambda3, `"my>Wrap"`)), "malicious keras.code keras.custom keras.lambda"},
		"a Lambda over a named function":        {sequential(layer("keras.layers", "Lambda", `"function":{"module":"builtins","class_name":"function","config":"f","registered_name":"function"}`, "null")), "malicious keras.custom keras.lambda"},
		"a lambda for the shape only":           {fmt.Sprintf(legacy, `{"class_name":"Reshape","config":{"output_shape_type":"lambda","output_shape":["`+inBase64(byteCode)+`",null,null]}}`), "malicious keras.code keras.lambda"},
		"a lambda among tfjs's":                 {`{"format":"layers-model","modelTopology":{"keras_version":"2.4.0","model_config":` + fmt.Sprintf(legacy, lambda2) + `},"weightsManifest":[]}`, "malicious keras.code keras.lambda"},
		"a lambda in characters":                {fmt.Sprintf(legacy, `{"class_name":"Lambda","config":{"function":["\u00e3\u0001\u0000\u0000\u0000\u0000\u0000\u0000\u0000\u0002\u0000\u0000\u0000\u0043\u0000\u0000\u0000s\f\u0000\u0000\u0000",null,null]}}`), "malicious keras.code keras.lambda"},
		"a lambda behind padding":               {padding + sequential(lambda3), "malicious keras.code keras.lambda"},
		"a lambda whose keys are escaped":       {strings.ReplaceAll(sequential(lambda3), "class_name", `\u0063lass_name`), "malicious keras.code keras.lambda"},
		"a lambda in a list":                    {"[" + sequential(lambda3) + "]", "malicious keras.code keras.lambda"},
		"a lambda behind a mark of the order":   {"\ufeff" + sequential(lambda3), "malicious keras.code keras.lambda"},
		"a lambda in UTF-16":                    {utf16Of(sequential(lambda3)), "malicious keras.code keras.lambda"},
		"a lambda in JSON in JSON":              {fmt.Sprintf(legacy, `{"class_name":"Dense","config":{"inner":`+fmt.Sprintf("%q", fmt.Sprintf(legacy, `{"class_name":"Lambda","config":{}}`))+`}}`), "malicious keras.lambda"},
		"a lambda hidden by a second key":       {fmt.Sprintf(legacy, `{"class_name":"Lambda","config":{},"class_name":"Dense"}`), "malicious keras.duplicate keras.lambda"},
		"a lambda in what is cut short":         {fmt.Sprintf(legacy, lambda2)[:120], "malicious keras.broken keras.lambda"},
		"a lambda before another value":         {fmt.Sprintf(legacy, lambda2) + "{}", "malicious keras.broken keras.code keras.lambda"},
		"byte code without a Lambda":            {fmt.Sprintf(legacy, `{"class_name":"MyLayer","config":{"fn":"`+inBase64(byteCode)+`"}}`), "malicious keras.code keras.custom"},
		"os.system":                             {sequential(function("os", "system", "system")), "malicious keras.module"},
		"posix.system as a class":               {sequential(layer("posix", "system", `"name":"x"`, "null")), "malicious keras.module"},
		"a class of subprocess":                 {sequential(layer("subprocess", "Popen", `"args":"id"`, `"Popen"`)), "malicious keras.module"},
		"eval of builtins":                      {sequential(function("builtins", "eval", "function")), "malicious keras.module"},
		"exec by its registered name":           {sequential(function("builtins", "relu", "exec")), "malicious keras.module"},
		"a gadget of the library":               {sequential(function("runpy", "run_path", "x>run_path")), "malicious keras.module"},
		"a gadget beside Keras":                 {sequential(function("torch.hub", "load", "load")), "malicious keras.module"},
		"a function of TensorFlow":              {sequential(function("tensorflow.python.lib.io.file_io", "write_string_to_file", "f")), "malicious keras.module"},
		"a module of the metrics":               {strings.Replace(sequential(dense), `"loss":"binary_crossentropy"`, `"loss":{"module":"shutil","class_name":"function","config":"rmtree","registered_name":"rmtree"}`, 1), "malicious keras.module"},
		"a type specification":                  {fmt.Sprintf(legacy, `{"class_name":"__typespec__","spec_name":"Popen","module":"subprocess","config":["id"],"registered_name":null}`), "malicious keras.module"},
		"get_file":                              {sequential(function("keras.utils", "get_file", "get_file")), "malicious keras.function"},
		"get_file as a class":                   {sequential(layer("keras.utils", "get_file", `"fname":"x","origin":"http://127.0.0.1/x"`, "null")), "malicious keras.function"},
		"get_file across the dot":               {sequential(layer("keras", "utils.get_file", `"fname":"x"`, "null")), "malicious keras.function"},
		"get_file by where it is":               {sequential(function("keras.src.utils.file_utils", "get_file", "get_file")), "malicious keras.function"},
		"get_file of TensorFlow's Keras":        {sequential(function("tensorflow.keras.utils", "get_file", "get_file")), "malicious keras.function"},
		"safe mode switched off":                {sequential(function("keras.config", "enable_unsafe_deserialization", "x")), "malicious keras.function"},
		"another model":                         {sequential(function("keras.models", "load_model", "x"), function("keras.saving", "load_model", "x")), "malicious keras.function"},
		"func_load":                             {sequential(function("keras.src.utils.python_utils", "func_load", "x")), "malicious keras.function"},
		"deserialize of the losses":             {sequential(function("keras.losses", "deserialize", "x")), "malicious keras.function"},
		"a callback":                            {sequential(layer("keras.callbacks", "BackupAndRestore", `"backup_dir":"/tmp"`, "null")), "suspicious keras.class.unexpected"},
		"a class of an unknown module":          {sequential(layer("colours.paint", "Brush", `"name":"x"`, `"Brush"`)), "suspicious keras.module.unknown"},
		"a function of an unknown module":       {sequential(function("colours", "paint", "paint")), "suspicious keras.module.unknown"},
		"an absolute vocabulary":                {sequential(layer("keras.layers", "StringLookup", `"name":"x","vocabulary":"/etc/passwd"`, "null")), "malicious keras.file.outside"},
		"a vocabulary at an address":            {sequential(layer("keras.layers", "TextVectorization", `"vocabulary":"https://127.0.0.1/v.txt"`, "null")), "malicious keras.file.outside"},
		"a vocabulary above":                    {fmt.Sprintf(legacy, `{"class_name":"IntegerLookup","config":{"vocabulary":"a/../../v.txt"}}`), "malicious keras.file.outside"},
		"a vocabulary on a Windows disk":        {fmt.Sprintf(legacy, `{"class_name":"StringLookup","config":{"vocabulary":"C:\\Users\\x"}}`), "malicious keras.file.outside"},
		"a vocabulary beside the model":         {sequential(layer("keras.layers", "StringLookup", `"vocabulary":"vocab.txt"`, "null")), "suspicious keras.file"},
		"a tokenizer's merges":                  {sequential(layer("keras_hub.src.tokenizers.byte_pair_tokenizer", "BytePairTokenizer", `"merges":"/root/.ssh/id_rsa"`, "null")), "malicious keras.file.outside"},
		"a torch module":                        {sequential(layer("keras.layers", "TorchModuleWrapper", `"name":"t","module":"`+inBase64("PK\x03\x04 a torch file")+`"`, "null")), "malicious keras.torch"},
		"a torch module by where it is":         {sequential(layer("keras.src.utils.torch_utils", "TorchModuleWrapper", `"module":{"class_name":"__bytes__","config":{"value":"\u0080\u0002a pickle"}}`, "null")), "malicious keras.torch"},
		"a torch module in a wrapper":           {fmt.Sprintf(legacy, fmt.Sprintf(wrapper, "TimeDistributed", `{"class_name":"TorchModuleWrapper","config":{"module":"`+inBase64("\x80\x02}q\x00.")+`"}}`)), "malicious keras.torch"},
		"a SavedModel elsewhere":                {sequential(layer("keras.layers", "TFSMLayer", `"filepath":"/tmp/model","call_endpoint":"serve"`, "null")), "malicious keras.savedmodel.outside"},
		"a SavedModel on a share":               {sequential(layer("keras.src.export.tfsm_layer", "TFSMLayer", `"filepath":"\\\\host\\share"`, "null")), "malicious keras.savedmodel.outside"},
		"a SavedModel beside the model":         {sequential(layer("keras.layers", "TFSMLayer", `"filepath":"saved"`, "null")), "suspicious keras.savedmodel"},
		"a function of tf.io":                   {fmt.Sprintf(legacy, `{"class_name":"TFOpLambda","config":{"name":"x","function":"io.write_file"}}`), "malicious keras.op"},
		"a raw op":                              {fmt.Sprintf(legacy, `{"class_name":"TFOpLambda","config":{"function":"raw_ops.ReadFile"}}`), "malicious keras.op"},
		"tf.py_function":                        {fmt.Sprintf(legacy, `{"class_name":"TFOpLambda","config":{"function":"py_function"}}`), "malicious keras.op"},
		"get_file through a TFOpLambda":         {fmt.Sprintf(legacy, `{"class_name":"TFOpLambda","config":{"function":"keras.utils.get_file"}}`), "malicious keras.op"},
		"a function of TensorFlow nobody knows": {fmt.Sprintf(legacy, `{"class_name":"TFOpLambda","config":{"function":"experimental.thing"}}`), "suspicious keras.op.unknown"},
		"a node of a graph":                     {fmt.Sprintf(legacy, `{"class_name":"TensorFlowOpLayer","config":{"node_def":"{\n \"name\": \"x\",\n \"op\": \"WriteFile\"}"}}`), "malicious keras.op"},
	}
}

func utf16Of(s string) string {
	var b strings.Builder
	for _, u := range utf16.Encode([]rune(s)) {
		b.WriteByte(byte(u))
		b.WriteByte(byte(u >> 8))
	}
	return b.String()
}

func TestConfigurationsThatReachOutAreFound(t *testing.T) {
	for name, tc := range bad() {
		if name == "" || len(tc[0]) == 0 {
			t.Fatal("an empty case")
		}
		t.Run(name, func(t *testing.T) {
			if res, _ := examineText(t, tc[0]); said(res) != tc[1] {
				t.Errorf("got %s\nwant %s\n%v", said(res), tc[1], res.Findings)
			}
		})
	}
}

func TestWhatRunsIsHandedOn(t *testing.T) {
	for name, tc := range map[string]struct{ text, where, want string }{
		"the byte code of a lambda":        {sequential(lambda3), "$.config.layers[1].config.function.config.code", byteCode},
		"the byte code of an old lambda":   {fmt.Sprintf(legacy, lambda2), "$.config.layers[0].config.function[0]", byteCode},
		"the pickle of a torch module":     {bad()["a torch module"][0], "$.config.layers[1].module", "PK\x03\x04 a torch file"},
		"the pickle of an old one":         {bad()["a torch module by where it is"][0], "$.config.layers[1].module", "\x80\x02a pickle"},
		"a function that is no byte code":  {fmt.Sprintf(legacy, `{"class_name":"Lambda","config":{"function":["`+inBase64("a pickle, perhaps")+`",null,null]}}`), "$.config.layers[0].function", "a pickle, perhaps"},
		"a pickle instead of byte code, 3": {sequential(layer("keras.layers", "Lambda", `"function":{"class_name":"__lambda__","config":{"code":"`+inBase64("another pickle")+`"}}`, "null")), "$.config.layers[1].config.function.code", "another pickle"},
	} {
		t.Run(name, func(t *testing.T) {
			if _, seen := examineText(t, tc.text); seen[tc.where] != tc.want {
				t.Errorf("got %q", seen)
			}
		})
	}
}

func TestOtherJSONIsLeftToOthers(t *testing.T) {
	for name, text := range map[string]string{
		"an empty object":         `{}`,
		"a model's configuration": `{"architectures":["BertForMaskedLM"],"hidden_size":768,"model_type":"bert"}`,
		"a tokenizer":             `{"version":"1.0","model":{"type":"BPE","vocab":{"class_name":1,"config":2,"Lambda":3,"eval":4}}}`,
		"labels":                  `[{"class_name":"cat","score":0.5},{"class_name":"Lambda","score":0.5}]`,
		"a class without config":  `{"class_name":"Lambda"}`,
		"no JSON":                 `{{ messages }}`,
		"text":                    `Lambda`,
		"records in lines":        "{\"class_name\":\"a\"}\n{\"class_name\":\"b\"}\n",
	} {
		t.Run(name, func(t *testing.T) {
			if res, _ := examineText(t, text); res.Verdict != scan.Unknown {
				t.Errorf("got %s %v", said(res), res.Findings)
			}
		})
	}
}

func TestWhatAConfigurationSaysOfItselfIsKept(t *testing.T) {
	res, _ := examineText(t, `{"keras_version":"3.5.0","date_saved":"2024-10-01@10:00:00"}`)
	if said(res) != "clean " || len(res.Properties) != 2 || res.Properties[1] != (scan.Property{Key: "keras_version", Value: "3.5.0"}) {
		t.Errorf("got %s %v", said(res), res.Properties)
	}
}

func TestLongAndDeepConfigurationsAreNotClean(t *testing.T) {
	deep := strings.Repeat(`{"class_name":"Wrapper","config":`, 4000) + "{}" + strings.Repeat("}", 4000)
	if res, _ := examineText(t, deep); said(res) != "unscannable keras.custom keras.limit" && said(res) != "unscannable keras.limit" {
		t.Errorf("deep: %s", said(res))
	}
	long := `{"x":"` + strings.Repeat("x", mostBytes) + `",` + sequential(dense)[1:]
	if res, _ := examineText(t, long); said(res) != "unscannable keras.limit" {
		t.Errorf("long: %s", said(res))
	}
	other := `{"x":"` + strings.Repeat("x", mostBytes) + `","vocab":{"class_name": 7}}`
	if res, _ := examineText(t, other); res.Verdict != scan.Unknown {
		t.Errorf("long and of others: %s", said(res))
	}
}
