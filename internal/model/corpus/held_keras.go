package corpus

import (
	"encoding/base64"
	"strings"
)

// hk is an object of a Keras 3 config.
func hk(module, class, config string) string {
	return `{"module": "` + module + `", "class_name": "` + class + `", "config": ` + config + `, "registered_name": null}`
}

// hkModel is a Sequential of the layers; more is spliced in beside its config.
func hkModel(more string, layers ...string) string {
	return `{"module": "keras", "class_name": "Sequential", "config": {"name": "seq", "trainable": true, "layers": [` + strings.Join(layers, ", ") + `]}, "registered_name": null, "build_config": {"input_shape": [null, 4]}` + more + `}`
}

func hkDense(more string) string {
	return hk("keras.layers", "Dense", `{"name": "dense", "units": 2, "activation": "relu", "kernel_initializer": {"module": "keras.initializers", "class_name": "GlorotUniform", "config": {"seed": null}, "registered_name": null}`+more+`}`)
}

// hkFile is a .keras of the config.
func hkFile(config string, extra ...string) string {
	return heldZipOf(append([]string{"metadata.json", `{"keras_version": "3.6.0", "date_saved": "2024-11-02@10:00:00"}`, "config.json", config, "model.weights.h5", hdf5(&h5Object{children: []*h5Object{{name: "layers"}, {name: "optimizer"}}})}, extra...)...)
}

// hkH5 is a whole model of Keras 2 in HDF5.
func hkH5(config string, more ...h5Attr) string {
	return hdf5(&h5Object{attrs: append([]h5Attr{{name: "backend", value: "tensorflow"}, {name: "keras_version", value: "2.12.0"}, {name: "model_config", value: config}}, more...),
		children: []*h5Object{{name: "model_weights", attrs: []h5Attr{{name: "layer_names", names: []string{"dense"}}}}}})
}

func kerasHonest() string { return hkFile(hkModel("", hkDense(""))) }

func hkCode() string {
	return base64.StdEncoding.EncodeToString([]byte(codeObject(10, "<lambda>", "apex", "print")))
}

func hkLambda3() string {
	return hk("keras.layers", "Lambda", `{"name": "l", "function": {"class_name": "__lambda__", "config": {"code": "`+hkCode()+`", "defaults": null, "closure": null}}, "arguments": {}}`)
}

func hkLambda2() string {
	return `{"class_name": "Lambda", "config": {"name": "l", "function": ["` + hkCode() + `\n", null, null], "function_type": "lambda", "module": "__main__", "output_shape": null, "arguments": {}}}`
}

func heldKerasConfigs() []Case {
	m := heldCase("keras-config-module")
	m.add("function-as-activation", "model.keras", hkFile(hkModel("", hk("keras.layers", "Dense", `{"units": 1, "activation": {"module": "os", "class_name": "function", "config": "system", "registered_name": "system"}}`))), "a Dense layer's activation is os.system")
	m.add("loss-of-the-compile-config", "model.keras", hkFile(hkModel(`, "compile_config": {"optimizer": "adam", "loss": {"module": "subprocess", "class_name": "function", "config": "getoutput", "registered_name": "getoutput"}}`, hkDense(""))), "the loss is subprocess.getoutput")
	m.add("keras-utils-run", "model.keras", hkFile(hkModel("", hk("keras.src.saving.saving_lib", "load_model", `{"filepath": "/nonexistent/m.keras", "safe_mode": false}`))), "a function of Keras itself, of no layer's module")
	m.add("enable-unsafe", "model.keras", hkFile(hkModel("", hk("keras.config", "enable_unsafe_deserialization", `{}`), hkLambda3())), "the config switches the safe mode off and then has a Lambda (CVE-2025-9906)")
	m.add("quantization-config", "model.keras", hkFile(hkModel("", hkDense(`, "dtype": {"module": "builtins", "class_name": "eval", "config": {"source": "1+1"}, "registered_name": null}`))), "the dtype policy is builtins.eval")
	m.add("json-beside-weights", "model.json", hkModel("", hk("shutil", "rmtree", `{"path": "/nonexistent"}`)), "an architecture in JSON with shutil.rmtree as a layer")
	m.add("training-config-in-h5", "model.h5", hkH5(`{"class_name": "Sequential", "config": {"name": "s", "layers": []}}`, h5Attr{name: "training_config", value: `{"loss": {"module": "timeit", "class_name": "Timer", "config": {"stmt": "pass"}, "registered_name": null}}`}), "training_config names timeit.Timer")

	r := heldCase("keras-file-read")
	r.add("string-lookup", "model.keras", hkFile(hkModel("", hk("keras.layers", "StringLookup", `{"name": "lookup", "vocabulary": "/etc/passwd", "mask_token": null}`))), "the vocabulary is a file of the machine (CVE-2025-12058)")
	r.add("text-vectorization-url", "model.keras", hkFile(hkModel("", hk("keras.layers", "TextVectorization", `{"name": "tv", "vocabulary": "https://127.0.0.1:9/vocab.txt"}`))), "the vocabulary is fetched")
	r.add("get-file", "model.keras", hkFile(hkModel("", hk("keras.utils", "get_file", `{"fname": "x.tgz", "origin": "file:///etc/hostname", "extract": true}`))), "keras.utils.get_file as a layer (CVE-2025-8747)")
	r.add("tfsm-layer", "model.keras", hkFile(hkModel("", hk("keras.layers", "TFSMLayer", `{"name": "t", "filepath": "/nonexistent/saved_model", "call_endpoint": "serve"}`))), "TFSMLayer loads another SavedModel (CVE-2026-1462)")
	r.add("integer-lookup-in-a-functional-in-a-functional", "model.keras", hkFile(hkModel("", hk("keras", "Functional", `{"name": "inner", "layers": [`+hk("keras.layers", "IntegerLookup", `{"vocabulary": "../../nonexistent/ids.txt"}`)+`], "input_layers": [], "output_layers": []}`))), "two models deep")

	t := heldCase("keras-torch-wrapper")
	b64 := base64.StdEncoding.EncodeToString(torchZip("archive", evilStateDict(0), []string{weights(1, 8)}))
	t.add("zip", "model.keras", hkFile(hkModel("", hk("keras.layers", "TorchModuleWrapper", `{"name": "t", "module": "`+b64+`"}`))), "a torch zip that calls, in base64")
	t.add("legacy-in-time-distributed", "model.keras", hkFile(hkModel("", hk("keras.layers", "TimeDistributed", `{"layer": `+hk("keras.src.utils.torch_utils", "TorchModuleWrapper", `{"module": "`+base64.StdEncoding.EncodeToString([]byte(torchLegacyEvil()))+`", "output_shape": null}`)+`}`))), "a legacy torch file inside TimeDistributed")
	t.add("bytes-object", "model.keras", hkFile(hkModel("", hk("keras.layers", "TorchModuleWrapper", `{"module": {"class_name": "__bytes__", "config": {"value": "`+b64+`"}}}`))), "the module as Keras writes bytes")
	return join(m, r, t)
}

func heldKerasLambdas() []Case {
	s := heldCase("keras-lambda")
	s.add("activation-of-dense", "model.keras", hkFile(hkModel("", hk("keras.layers", "Dense", `{"units": 1, "activation": {"class_name": "__lambda__", "config": {"code": "`+hkCode()+`", "defaults": null, "closure": null}}}`))), "a lambda as an activation")
	s.add("metric", "model.keras", hkFile(hkModel(`, "compile_config": {"optimizer": "adam", "metrics": [{"class_name": "__lambda__", "config": {"code": "`+hkCode()+`"}}]}`, hkDense(""))), "a lambda as a metric")
	s.add("bidirectional-in-h5", "model.h5", hkH5(`{"class_name": "Sequential", "config": {"layers": [{"class_name": "TimeDistributed", "config": {"layer": `+hkLambda2()+`}}]}}`), "a Lambda in TimeDistributed of Keras 2")
	s.add("keras-metadata-of-a-saved-model", "keras_metadata.pb", pb(1, pbInt(2, 1)+pb(3, "root")+pb(4, "_tf_keras_sequential")+pb(5, `{"name": "s", "class_name": "Sequential", "config": {"layers": [`+hkLambda2()+`]}}`)), "keras_metadata.pb of a SavedModel has the layer's code")
	s.add("latest-layout", "model.hdf5", hdf5Latest(&h5Object{attrs: []h5Attr{{name: "model_config", value: `{"class_name": "Functional", "config": {"layers": [` + hkLambda2() + `]}}`, fixed: true}}}), "HDF5 in the newest layout, the config of fixed length")
	s.add("output-shape-lambda", "model.h5", hkH5(`{"class_name": "Sequential", "config": {"layers": [{"class_name": "Lambda", "config": {"name": "l", "function": "relu", "function_type": "function", "module": "keras.activations", "output_shape": ["`+hkCode()+`", null, null], "output_shape_type": "lambda"}}]}}`), "a named function, but the output shape is marshalled code")
	s.add("yaml-architecture", "model.yaml", "backend: tensorflow\nclass_name: Sequential\nconfig:\n  layers:\n  - class_name: Lambda\n    config:\n      function: !!python/tuple\n      - "+hkCode()+"\n      - null\n      - null\n      function_type: lambda\nkeras_version: 2.4.0\n", "model.to_yaml() of Keras 2.4, which model_from_yaml loaded unsafely")
	s.add("userblock", "model.h5", heldUserblock(hkH5(`{"class_name": "Sequential", "config": {"layers": [`+hkLambda2()+`]}}`)), "behind a userblock")
	return s.cases
}
