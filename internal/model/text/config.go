package text

import (
	"strings"

	"github.com/apexlogic/apex/internal/model/scan"
)

var (
	ruleRemoteCode = &scan.Rule{ID: "config.remote-code", Severity: scan.Doubtful,
		Why:        "The model brings its own Python code, which runs when it is loaded with trust_remote_code.",
		Mend:       "Read the code, pin its revision, or use a model that its library supports by itself.",
		References: []string{"CWE-94", "CWE-829"}}
	ruleRemoteRepository = &scan.Rule{ID: "config.remote-repository", Severity: scan.Doubtful,
		Why:        "The model loads Python code from another repository, which can change at any time.",
		Mend:       "Copy the code beside the model and pin it, or use a model that its library supports by itself.",
		References: []string{"CWE-829"}}
	ruleCodePath = &scan.Rule{ID: "config.path", Severity: scan.Harmful,
		Why:        "The configuration has its loader leave the model's folder.",
		Mend:       "Do not load the model.",
		References: []string{"CWE-22"}}
	ruleImport = &scan.Rule{ID: "config.import", Severity: scan.Harmful,
		Why:        "The configuration has its loader import what runs, loads or writes what it is given.",
		Mend:       "Do not load the model.",
		References: []string{"CWE-470"}}
	ruleImportUnlisted = &scan.Rule{ID: "config.library", Severity: scan.Doubtful,
		Why:        "The configuration has its loader import a module that is none of the known libraries.",
		Mend:       "See that the module is the one that you expect.",
		References: []string{"CWE-470"}}
	rulePickled = &scan.Rule{ID: "mlflow.pickled", Severity: scan.Note,
		Why:  "The model beside this description is a pickle, which runs code when it is loaded.",
		Mend: "Scan the pickle, too."}
)

func configRules() []*scan.Rule {
	return []*scan.Rule{ruleRemoteCode, ruleRemoteRepository, ruleCodePath, ruleImport, ruleImportUnlisted, rulePickled}
}

// chatTemplate names what holds a template; the walk itself judges it.
func chatTemplate(d *document, o *object) error {
	switch {
	case o.has("tokenizer_class"), o.has("chat_template"), o.root && o.has("added_tokens") && o.has("model"):
		d.name("tokenizer")
	case o.root && (o.has("processor_class") || o.has("image_processor_type") || o.has("feature_extractor_type")):
		d.name("hf-config")
	}
	return nil
}

// remoteCode looks at what loaders of transformers and diffusers take for the
// place of Python code.
func remoteCode(d *document, o *object) error {
	for _, f := range o.fields {
		switch f.key {
		case "auto_map":
			if f.kind == isNull {
				continue
			}
			d.name("hf-config")
			for _, ref := range f.texts() {
				d.codeReference("auto_map", ref)
			}
		case "custom_pipelines":
			if f.kind != isObject {
				continue
			}
			d.name("hf-config")
			for _, pipeline := range f.object.fields {
				if pipeline.kind == isObject {
					if impl := pipeline.object.text("impl"); impl != "" {
						d.codeReference("custom_pipelines", impl)
					}
				}
			}
		case "trust_remote_code":
			if isTrue(f.text) {
				d.place.Report(ruleRemoteCode, d.at(), "trust_remote_code is set")
			}
		case "custom_generate":
			if f.kind == isText {
				d.codeReference("custom_generate", f.text)
			}
		}
	}
	return nil
}

// isTrue says whether a reader of JSON or YAML takes the word for true.
func isTrue(s string) bool {
	switch strings.ToLower(s) {
	case "true", "yes", "on", "1":
		return true
	}
	return false
}

// codeReference judges "module.Class" or "owner/repository--module.Class".
func (d *document) codeReference(key, ref string) {
	repository, name, remote := strings.Cut(ref, "--")
	switch {
	case ref == "":
	case strings.Contains(ref, ".."), strings.HasPrefix(ref, "/"), strings.Contains(ref, `\`), strings.Contains(ref, ":"):
		d.place.Report(ruleCodePath, d.at(), key+": "+ref)
	case remote:
		d.place.Report(ruleRemoteRepository, d.at(), key+": "+name+" of "+repository)
	default:
		d.place.Report(ruleRemoteCode, d.at(), key+": "+ref)
	}
}

// importName judges a module, or a class in it, that a loader imports.
func (d *document) importName(key, name string) {
	switch verdict, why := judgeCallable(name); {
	case strings.HasPrefix(name, "transformers_modules."):
		d.place.Report(ruleRemoteCode, d.at(), key+": "+name)
	case verdict == gadget:
		d.place.Report(ruleImport, d.at(), key+": "+name+" "+why)
	case !isLibrary(strings.SplitN(name, ".", 2)[0]):
		d.place.Report(ruleImportUnlisted, d.at(), key+": "+name)
	}
}

// adapter looks at the configuration of a PEFT adapter, whose loader imports
// parent_library and takes base_model_class out of it.
func adapter(d *document, o *object) error {
	if base := o.text("base_model_name_or_path"); base != "" && o.has("peft_type") {
		d.name("hf-config")
		d.place.Property("base_model", base)
	}
	mapping := o.get("auto_mapping")
	if mapping.kind != isObject {
		return nil
	}
	if library := mapping.object.text("parent_library"); library != "" {
		d.importName("parent_library", library)
	}
	if class := mapping.object.text("base_model_class"); class != "" && (!isIdentifier(class) || strings.HasPrefix(class, "_") || !isClassName(class)) {
		d.place.Report(ruleImportUnlisted, d.at(), "base_model_class: "+class)
	}
	return nil
}

// diffusers looks at model_index.json, which names [library, class] for each
// part of a pipeline.
func diffusers(d *document, o *object) error {
	class := o.get("_class_name")
	if class.kind == isNull || !o.root {
		return nil
	}
	d.name("hf-config")
	if class.kind == isList {
		for _, name := range class.texts()[:min(len(class.texts()), 1)] {
			d.codeReference("_class_name", name)
		}
	}
	for _, f := range o.fields {
		if f.kind != isList || len(f.list) != 2 || f.list[0].kind != isText || f.list[1].kind != isText || f.key == "_class_name" {
			continue
		}
		library, name := f.list[0].text, f.list[1].text
		switch {
		case strings.ContainsAny(library, `/\`):
			d.codeReference(f.key, library)
		case !isIdentifier(strings.ReplaceAll(library, ".", "_")) || !isIdentifier(name):
			// A pair of something else, for example of block types.
		case isPipelineModule(library):
		case isClassName(library): // block types, for example [DownBlock2D, UpBlock2D]
		default:
			d.importName(f.key, library+"."+name)
		}
	}
	return nil
}

// isPipelineModule names modules of diffusers that stand for themselves.
func isPipelineModule(library string) bool {
	switch library {
	case "stable_diffusion", "stable_diffusion_xl", "stable_diffusion_safe", "paint_by_example", "latent_diffusion", "alt_diffusion", "kandinsky",
		"kolors", "k_diffusion", "optimum", "onnxruntime", "versatile_diffusion", "unclip", "unidiffuser", "wuerstchen", "stable_cascade", "audioldm2",
		"blip_diffusion", "deepfloyd_if", "shap_e", "stable_audio", "stable_diffusion_3", "flux", "musicldm", "deprecated", "pipeline_utils", "ip_adapter",
		"amused", "semantic_stable_diffusion", "controlnet", "hunyuandit", "marigold", "quantizers", "invisible_watermark":
		return true
	}
	return false
}

// sentenceModules looks at modules.json of sentence-transformers, whose loader
// imports type and loads path.
func sentenceModules(d *document, o *object) error {
	class := o.text("type")
	if class == "" || !o.has("idx") || !o.has("path") || !o.has("name") {
		return nil
	}
	d.name("hf-config")
	if strings.HasPrefix(class, "sentence_transformers.") {
		if verdict, why := judgeCallable(class); verdict != listed {
			d.place.Report(ruleImport, d.at(), "type: "+class+" "+why)
		}
	} else if strings.Contains(class, "--") || strings.Contains(class, "/") {
		d.codeReference("type", class)
	} else if verdict, why := judgeCallable(class); verdict == gadget {
		d.place.Report(ruleImport, d.at(), "type: "+class+" "+why)
	} else {
		d.place.Report(ruleRemoteCode, d.at(), "type: "+class)
	}
	if path := o.text("path"); strings.HasPrefix(path, "/") || strings.Contains(path, "..") || strings.Contains(path, ":") {
		d.place.Report(ruleCodePath, d.at(), "path: "+path)
	}
	return nil
}

// sentenceNames looks at the other names that sentence-transformers imports:
// the activation of a layer or of a cross-encoder, the modules of a router, the
// tokenizer of word vectors. Names without a dot are transformers' own keys,
// which nobody imports.
func sentenceNames(d *document, o *object) error {
	for _, f := range o.fields {
		switch f.key {
		case "activation_fn", "activation_function", "sbert_ce_default_activation_function":
			if f.kind == isText && strings.ContainsAny(f.text, ".:") {
				d.sentenceName(f.key, f.text)
			}
		case "tokenizer_class":
			if verdict, why := judgeCallable(f.text); f.kind == isText && strings.Contains(f.text, ".") && verdict == gadget {
				d.place.Report(ruleImport, d.at(), f.key+": "+f.text+" "+why)
			}
		case "types":
			if f.kind == isObject && o.has("structure") {
				for _, name := range f.texts() {
					d.sentenceName(f.key, name)
				}
			}
		}
	}
	return nil
}

// sentenceName judges a name that sentence-transformers imports and calls:
// classes and functions of its own, and of the libraries below it.
func (d *document) sentenceName(key, name string) {
	root, _, _ := strings.Cut(name, ".")
	switch verdict, why := judgeCallable(name); {
	case why == "is no dotted name": // LeakyReLU(0.2), which nobody can import
	case verdict == gadget:
		d.place.Report(ruleImport, d.at(), key+": "+name+" "+why)
	case verdict != listed || root != "torch" && root != "transformers" && root != "sentence_transformers":
		d.place.Report(ruleImportUnlisted, d.at(), key+": "+name)
	}
}

// mlflow looks at an MLmodel, whose loader imports loader_module.
func mlflow(d *document, o *object) error {
	if o.has("flavors") && o.root {
		d.name("mlflow")
	}
	module := o.text("loader_module")
	if module == "" {
		return nil
	}
	d.name("mlflow")
	if root, _, _ := strings.Cut(module, "."); root != "mlflow" {
		d.importName("loader_module", module)
	} else if verdict, why := judgeCallable(module); verdict == gadget && module != "mlflow.pyfunc" && !strings.HasPrefix(module, "mlflow.pyfunc.") {
		d.place.Report(ruleImport, d.at(), "loader_module: "+module+" "+why)
	} else if module == "mlflow.pyfunc.model" {
		d.place.Report(rulePickled, d.at(), "a Python function by cloudpickle")
	}
	if code := o.get("code"); code.kind == isText && code.text != "" || code.kind == isList && len(code.list) > 0 {
		for _, path := range code.texts() {
			if strings.HasPrefix(path, "/") || strings.Contains(path, "..") {
				d.place.Report(ruleCodePath, d.at(), "code: "+path)
			}
		}
		d.place.Report(ruleRemoteCode, d.at(), "the model brings its own code: "+strings.Join(code.texts(), " "))
	}
	return nil
}

// describe keeps what a configuration says of its model.
func describe(d *document, o *object) error {
	if !o.root {
		return nil
	}
	if len(o.get("architectures").texts()) > 0 || o.has("model_type") || o.has("transformers_version") {
		d.name("hf-config")
	}
	for _, architecture := range o.get("architectures").texts() {
		d.place.Property("architecture", architecture)
	}
	if d.as == "hf-config" || d.language == "front matter" {
		for _, name := range o.get("license").texts() {
			d.place.Property("license", name)
		}
		for _, name := range o.get("base_model").texts() {
			d.place.Property("base_model", name)
		}
		d.place.Property("base_model", o.text("_name_or_path"))
		d.place.Property("framework", o.text("library_name"))
		if d.language == "front matter" {
			for _, name := range o.get("datasets").texts() {
				d.place.Property("dataset", name)
			}
		}
	}
	return nil
}
