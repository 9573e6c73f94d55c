package corpus

import (
	"encoding/base64"
	"strings"
)

// thirdLayer is a layer of a Keras 3 config.
func thirdLayer(module, class, config string) string {
	return `{"module": "` + module + `", "class_name": "` + class + `", "config": ` + config + `, "registered_name": null, "build_config": {"input_shape": [null, 16]}}`
}

func thirdInput() string {
	return thirdLayer("keras.layers", "InputLayer", `{"batch_shape": [null, 16], "dtype": "float32", "name": "features"}`)
}

func thirdDense(name, more string) string {
	return thirdLayer("keras.layers", "Dense", `{"name": "`+name+`", "trainable": true, "units": 3, "activation": "softmax", "use_bias": true, "kernel_initializer": {"module": "keras.initializers", "class_name": "HeNormal", "config": {"seed": null}, "registered_name": null}`+more+`}`)
}

func thirdCode(minor int) string {
	return base64.StdEncoding.EncodeToString([]byte(codeObject(minor, "<lambda>", "scale", "print")))
}

func thirdLambda(name string) string {
	return thirdLayer("keras.layers", "Lambda", `{"name": "`+name+`", "trainable": true, "function": {"class_name": "__lambda__", "config": {"code": "`+thirdCode(12)+`\n", "defaults": [2.0], "closure": null}}, "arguments": {}}`)
}

// thirdLambda2 is a Lambda of Keras 2.
func thirdLambda2(name string) string {
	return `{"class_name": "Lambda", "config": {"name": "` + name + `", "trainable": true, "dtype": "float32", "function": {"class_name": "__tuple__", "items": ["` + thirdCode(8) + `\n", null, null]}, "function_type": "lambda", "module": "keras.layers.core", "output_shape": null, "output_shape_type": "raw", "output_shape_module": null, "arguments": {}}}`
}

// thirdFunctional is a Functional model around the layers; more is beside its
// config.
func thirdFunctional(more string, layers ...string) string {
	return `{"module": "keras.src.models.functional", "class_name": "Functional", "config": {"name": "classifier", "trainable": true, "layers": [` + strings.Join(append([]string{thirdInput()}, layers...), ", ") +
		`], "input_layers": ["features", 0, 0], "output_layers": ["out", 0, 0]}, "registered_name": "Functional", "build_config": {"input_shape": null}` + more + `}`
}

func thirdWeights3() string {
	vars := &h5Object{name: "vars", children: []*h5Object{{name: "0", floats: []int{16, 3}, data: weights(750, 48)}, {name: "1", floats: []int{3}, data: weights(751, 3)}}}
	return hdf5(&h5Object{children: []*h5Object{{name: "layers", children: []*h5Object{{name: "dense", children: []*h5Object{vars}}}}, {name: "optimizer", children: []*h5Object{{name: "vars", children: []*h5Object{{name: "0", floats: []int{1}, data: weights(752, 1)}}}}}}})
}

// thirdKerasFile is a .keras of a config, as Keras 3 zips it.
func thirdKerasFile(config string, more ...string) string {
	return thirdZip(append([]string{"metadata.json", `{"keras_version": "3.8.0", "date_saved": "2025-02-11@09:12:44"}`, "config.json", config, "model.weights.h5", thirdWeights3()}, more...)...)
}

func thirdKeras(layers ...string) string {
	return thirdKerasFile(thirdFunctional("", append(layers, thirdDense("out", ""))...))
}

// thirdH5 is a whole model of Keras 2 with the layers.
func thirdH5(layers ...string) *h5Object {
	config := `{"class_name": "Functional", "config": {"name": "model", "trainable": true, "layers": [` + strings.Join(layers, ", ") + `], "input_layers": [["features", 0, 0]], "output_layers": [["out", 0, 0]]}, "keras_version": "2.13.1", "backend": "tensorflow"}`
	kernel := &h5Object{name: "kernel:0", floats: []int{16, 3}, data: weights(753, 48)}
	return &h5Object{attrs: []h5Attr{{name: "keras_version", value: "2.13.1"}, {name: "backend", value: "tensorflow"}, {name: "model_config", value: config}},
		children: []*h5Object{{name: "model_weights", attrs: []h5Attr{{name: "layer_names", names: []string{"out"}}}, children: []*h5Object{{name: "out", attrs: []h5Attr{{name: "weight_names", names: []string{"out/kernel:0"}}}, children: []*h5Object{{name: "out", children: []*h5Object{kernel}}}}}}}}
}

func thirdKerasLambdas() []Case {
	s := third("keras-lambda")
	s.add("in-functional-in-functional", "model.keras", thirdKeras(thirdFunctional("", thirdFunctional("", thirdLambda("inner")))), "a Lambda two models deep")
	s.add("backward-layer", "model.keras", thirdKeras(thirdLayer("keras.layers", "Bidirectional", `{"name": "b", "layer": `+thirdLayer("keras.layers", "LSTM", `{"units": 4}`)+`, "backward_layer": `+thirdLayer("keras.layers", "TimeDistributed", `{"layer": `+thirdLambda("l")+`}`)+`}`)), "the backward layer of a Bidirectional wraps a Lambda")
	s.add("metric-of-compile-config", "model.keras", thirdKerasFile(thirdFunctional(`, "compile_config": {"optimizer": "adam", "loss": "mse", "weighted_metrics": [{"class_name": "__lambda__", "config": {"code": "`+thirdCode(11)+`", "defaults": null, "closure": null}}]}`, thirdDense("out", ""))), "a weighted metric is a lambda")
	s.add("regularizer", "model.keras", thirdKeras(thirdDense("d", `, "kernel_regularizer": {"class_name": "__lambda__", "config": {"code": "`+thirdCode(10)+`", "defaults": null, "closure": null}}`)), "a regulariser is a lambda")
	s.add("cell-of-an-rnn", "model.keras", thirdKeras(thirdLayer("keras.layers", "RNN", `{"name": "rnn", "cell": [`+thirdLayer("keras.layers", "GRUCell", `{"units": 2}`)+`, `+thirdLambda("cell")+`]}`)), "the second cell of an RNN is a Lambda")
	s.add("h5-in-time-distributed", "model.h5", hdf5(thirdH5(`{"class_name": "TimeDistributed", "config": {"name": "td", "layer": `+thirdLambda2("l")+`}}`)), "a Lambda in TimeDistributed of an .h5")
	s.add("h5-mask-and-shape", "model.h5", hdf5Latest(thirdH5(strings.Replace(thirdLambda2("l"), `"output_shape": null, "output_shape_type": "raw"`, `"output_shape": ["`+thirdCode(8)+`", null, null], "output_shape_type": "lambda"`, 1))), "function and output shape are lambdas, in the latest HDF5")
	s.add("h5-under-another-name", "weights.best", hdf5(thirdH5(thirdLambda2("preprocess"))), "an .h5 that is called weights.best")
	s.add("architecture-only", "model.json", `{"class_name": "Sequential", "config": {"name": "s", "layers": [`+thirdLambda2("x")+`]}, "keras_version": "2.4.0", "backend": "tensorflow"}`, "the JSON of model.to_json(), which model_from_json reads")
	return s.cases
}

func thirdKerasConfigs() []Case {
	m := third("keras-config-module")
	function := func(module, name string) string {
		return `{"module": "` + module + `", "class_name": "function", "config": "` + name + `", "registered_name": "` + name + `"}`
	}
	m.add("activation-is-a-shell", "model.keras", thirdKeras(thirdLayer("keras.layers", "Activation", `{"name": "a", "activation": `+function("posix", "system")+`}`)), "an Activation's function is posix.system")
	m.add("lambda-of-run-path", "model.keras", thirdKeras(thirdLayer("keras.layers", "Lambda", `{"name": "l", "function": `+function("runpy", "run_path")+`, "arguments": {"path_name": "/nonexistent/apex.py"}}`)), "a Lambda whose function is runpy.run_path")
	m.add("optimizer-class", "model.keras", thirdKerasFile(thirdFunctional(`, "compile_config": {"optimizer": {"module": "ctypes", "class_name": "CDLL", "config": {"name": "/nonexistent/libapex.so"}, "registered_name": null}, "loss": "mse"}`, thirdDense("out", ""))), "the optimizer is ctypes.CDLL")
	m.add("dtype-policy", "model.keras", thirdKeras(thirdDense("d", `, "dtype": {"module": "logging.config", "class_name": "DictConfigurator", "config": {"config": {"version": 1}}, "registered_name": null}`)), "a dtype policy is a class of logging.config")
	m.add("h5-loss", "model.h5", hdf5(thirdH5(`{"class_name": "Dense", "config": {"name": "out", "units": 3, "activation": `+function("os", "popen")+`}}`)), "a function of os as an activation in an .h5")
	m.add("model-class", "model.keras", thirdKerasFile(`{"module": "zipimport", "class_name": "zipimporter", "config": {"path": "/nonexistent/apex.zip"}, "registered_name": null}`), "the model itself is zipimport.zipimporter")
	m.add("private-switch", "model.keras", thirdKeras(thirdLayer("keras.layers", "Lambda", `{"name": "l", "function": `+function("keras.src.backend.common.global_state", "set_global_attribute")+`, "arguments": {"value": false}}`), thirdLambda("after")), "a private function of Keras as one Lambda's, and then a Lambda of bytecode")

	r := third("keras-file-read")
	r.add("vocabulary-in-a-nested-model", "model.keras", thirdKeras(thirdFunctional("", thirdLayer("keras.layers", "StringLookup", `{"name": "s", "max_tokens": null, "vocabulary": "/proc/self/environ", "oov_token": "[UNK]"}`))), "a vocabulary is the process's environment")
	r.add("cloud-address", "model.keras", thirdKeras(thirdLayer("keras.layers", "IntegerLookup", `{"name": "i", "vocabulary": "gs://apex-nonexistent/ids.txt"}`)), "a vocabulary is fetched from a bucket")
	r.add("home-directory", "model.h5", hdf5(thirdH5(`{"class_name": "StringLookup", "config": {"name": "s", "vocabulary": "../../../root/.aws/credentials", "mask_token": null}}`)), "a vocabulary above the directory, in an .h5")
	r.add("vectorization", "model.keras", thirdKeras(thirdLayer("keras.layers", "TextVectorization", `{"name": "t", "standardize": "lower", "vocabulary": "/etc/passwd", "output_mode": "int"}`)), "TextVectorization reads a file of the host")
	r.add("saved-model-from-elsewhere", "model.keras", thirdKeras(thirdLayer("keras.layers", "TFSMLayer", `{"name": "sm", "filepath": "../shared/saved_model", "call_endpoint": "serving_default"}`)), "TFSMLayer loads a graph from another directory")

	w := third("keras-torch-wrapper")
	wrap := func(pkl string) string {
		return thirdLayer("keras.layers", "TorchModuleWrapper", `{"name": "torch", "module": {"class_name": "__bytes__", "value": "`+base64.StdEncoding.EncodeToString([]byte(pkl))+`"}, "output_shape": null}`)
	}
	w.add("in-a-functional-in-a-functional", "model.keras", thirdKeras(thirdFunctional("", wrap(thirdTorch("archive", thirdStateDict(0))))), "a torch archive that calls, in base64 in a model in a model")
	w.add("protocol-0", "model.keras", thirdKeras(wrap(thirdEvil(2))), "a text pickle in base64")
	w.add("module-by-its-source-name", "model.keras", thirdKeras(strings.Replace(wrap(thirdLegacy(1)), "keras.layers", "keras.src.utils.torch_utils", 1)), "the layer by the module that defines it, with a legacy file")
	return join(m, r, w)
}

func thirdHDF5() []Case {
	s := third("hdf5-external-link")
	with := func(c *h5Object) *h5Object {
		root := thirdH5(`{"class_name": "Dense", "config": {"name": "out", "units": 3, "activation": "relu"}}`)
		root.children = append(root.children, c)
		return root
	}
	s.add("optimizer-weights", "model.h5", hdf5(with(&h5Object{name: "optimizer_weights", children: []*h5Object{{name: "iteration:0", linkFile: "/var/lib/other.h5", linkPath: "/x"}}})), "the optimiser's weights are in another file")
	s.add("behind-a-soft-link", "model.h5", hdf5Latest(with(&h5Object{name: "a", children: []*h5Object{{name: "w", soft: "/a/x"}, {name: "x", linkFile: "../../private.h5", linkPath: "/w"}}})), "a soft link to an external link")
	s.add("keras-weights-in-a-zip", "model.keras", thirdZip("metadata.json", `{"keras_version": "3.8.0"}`, "config.json", thirdFunctional("", thirdDense("out", "")), "model.weights.h5", hdf5(&h5Object{children: []*h5Object{{name: "layers", children: []*h5Object{{name: "dense", children: []*h5Object{{name: "vars", children: []*h5Object{{name: "0", floats: []int{16, 3}, outside: "/etc/passwd"}}}}}}}}})), "a .keras whose kernel's bytes are /etc/passwd")
	s.add("virtual-over-a-neighbour", "train.h5", hdf5Latest(&h5Object{children: []*h5Object{{name: "images", floats: []int{4, 8}, mapped: "../other-tenant/images.h5"}}}), "a virtual dataset over another tenant's file")

	p := third("hdf5-pickle-attribute")
	frame := func(name, value string) *h5Object {
		return &h5Object{attrs: []h5Attr{{name: "CLASS", value: "GROUP", fixed: true}, {name: "PYTABLES_FORMAT_VERSION", value: "2.1", fixed: true}}, children: []*h5Object{{name: "table", attrs: []h5Attr{{name: "pandas_type", value: "frame_table", fixed: true}, {name: name, value: value, fixed: true}}, children: []*h5Object{{name: "values", floats: []int{2}, data: weights(754, 2)}}}}}
	}
	p.add("values-cols", "store.h5", hdf5(frame("values_cols", thirdEvil(2))), "PyTables unpickles values_cols of a table")
	p.add("data-columns-by-inst", "store.h5", hdf5(frame("data_columns", "(S'true'\niposix\npopen\n.")), "the attribute is a text pickle with INST")
	p.add("info-latest", "store.hdf5", hdf5Latest(frame("info", "(dp0\nS'x'\n"+thirdShell+"s.")), "an attribute in the latest format")
	return join(s, p)
}
