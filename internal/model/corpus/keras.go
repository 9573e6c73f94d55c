package corpus

import (
	"encoding/base64"
	"strings"
)

// layer is one of a Keras model's, as its config says it: already JSON.
type layer string

func kerasObject(module, class, config string) layer {
	return layer(`{"module": "` + module + `", "class_name": "` + class + `", "config": ` + config + `, "registered_name": null}`)
}

func kerasLayer(class, config string) layer { return kerasObject("keras.layers", class, config) }

// lambdaLayer is a Lambda of a marshalled code object, as Keras 2 writes it.
func lambdaLayer(name string, minor int) layer {
	code := base64.StdEncoding.EncodeToString([]byte(codeObject(minor, "<lambda>", "apex", "print")))
	return layer(`{"class_name": "Lambda", "config": {"name": "` + name + `", "trainable": true, "dtype": "float32", "function": {"class_name": "__tuple__", "items": [` + quote(code+"\n") + `, null, null]}, "function_type": "lambda", "module": "__main__", "output_shape": null, "output_shape_type": "raw", "arguments": {}}}`)
}

// lambdaLayer3 is the same as Keras 3 writes it.
func lambdaLayer3(name string, minor int) layer {
	code := base64.StdEncoding.EncodeToString([]byte(codeObject(minor, "<lambda>", "apex", "print")))
	return kerasLayer("Lambda", `{"name": "`+name+`", "function": {"class_name": "__lambda__", "config": {"code": `+quote(code+"\n")+`, "defaults": null, "closure": null}}, "arguments": {}}`)
}

func inputLayer(shape string) layer {
	return kerasLayer("InputLayer", `{"batch_shape": `+shape+`, "dtype": "float32", "sparse": false, "name": "input_layer"}`)
}

func denseLayer(name string, units int) layer {
	return kerasLayer("Dense", `{"name": "`+name+`", "trainable": true, "units": `+itoa(units)+`, "activation": "relu", "use_bias": true, "kernel_initializer": {"module": "keras.initializers", "class_name": "GlorotUniform", "config": {"seed": null}, "registered_name": null}, "bias_initializer": {"module": "keras.initializers", "class_name": "Zeros", "config": {}, "registered_name": null}, "kernel_regularizer": null}`)
}

func layersJSON(layers []layer) string {
	s := make([]string, len(layers))
	for i, l := range layers {
		s[i] = string(l)
	}
	return strings.Join(s, ", ")
}

// sequential is the config of a Sequential of the layers.
func sequential(layers ...layer) string {
	return `{"module": "keras", "class_name": "Sequential", "config": {"name": "sequential", "trainable": true, "dtype": "float32", "layers": [` + layersJSON(layers) + `], "build_input_shape": [null, 8]}, "registered_name": null, "build_config": {"input_shape": [null, 8]}, "compile_config": {"optimizer": {"module": "keras.optimizers", "class_name": "Adam", "config": {"learning_rate": 0.001}, "registered_name": null}, "loss": "mse", "metrics": ["mae"]}}`
}

// functional is the config of a Functional of the layers, in a chain.
func functional(layers ...layer) string {
	return `{"module": "keras.src.models.functional", "class_name": "Functional", "config": {"name": "functional", "trainable": true, "layers": [` + layersJSON(layers) + `], "input_layers": [["input_layer", 0, 0]], "output_layers": [["out", 0, 0]]}, "registered_name": "Functional"}`
}

// kerasZip is a .keras file with the weights that its name asks for.
func kerasZip(config string, extra ...member) string {
	members := []member{{name: "metadata.json", data: `{"keras_version": "3.3.3", "date_saved": "2024-06-15@13:33:36"}`},
		{name: "config.json", data: config}, {name: "model.weights.h5", data: hdf5(kerasWeights3())}}
	return string(archive{members: append(members, extra...)}.bytes())
}

func kerasWeights3() *h5Object {
	return &h5Object{children: []*h5Object{{name: "layers", children: []*h5Object{{name: "dense", children: []*h5Object{
		{name: "vars", children: []*h5Object{{name: "0", floats: []int{8, 4}, data: weights(11, 32)}, {name: "1", floats: []int{4}, data: weights(12, 4)}}}}}}}}}
}

// kerasRoot is the root group of an .h5 model that has the config.
func kerasRoot(config string) *h5Object {
	return &h5Object{attrs: []h5Attr{{name: "keras_version", value: "2.11.0"}, {name: "backend", value: "tensorflow"}, {name: "model_config", value: config}},
		children: []*h5Object{{name: "model_weights", attrs: []h5Attr{{name: "layer_names", names: []string{"dense"}}, {name: "backend", value: "tensorflow"}},
			children: []*h5Object{{name: "dense", attrs: []h5Attr{{name: "weight_names", names: []string{"dense/kernel:0", "dense/bias:0"}}},
				children: []*h5Object{{name: "dense", children: []*h5Object{{name: "kernel:0", floats: []int{8, 4}, data: weights(1, 32)}, {name: "bias:0", floats: []int{4}, data: weights(2, 4)}}}}}}}}}
}

func wrapped(class string, inner layer) layer {
	return kerasLayer(class, `{"name": "wrapper", "trainable": true, "layer": `+string(inner)+`}`)
}

func kerasLambdas() []Case {
	s := &set{technique: "keras-lambda", reference: "CVE-2024-3660"}
	in := inputLayer("[null, 8]")
	s.add("keras-3", "model.keras", kerasZip(sequential(in, lambdaLayer3("act", 11))), "a Lambda of marshalled bytecode")
	s.add("keras-2-layout", "model.keras", kerasZip(functional(in, lambdaLayer("lambda", 9))), "a Lambda in the layout of Keras 2")
	s.add("h5", "model.h5", hdf5(kerasRoot(sequential(in, lambdaLayer("l", 8)))), "a Lambda in an .h5, where safe_mode says nothing")
	s.add("h5-fixed-length", "model.hdf5", func() string {
		root := kerasRoot(sequential(in, lambdaLayer("l", 10)))
		root.attrs[2].fixed = true
		return hdf5(root)
	}(), "the config is text of fixed length")
	s.add("h5-latest", "model.h5", hdf5Latest(kerasRoot(functional(in, denseLayer("d", 4), lambdaLayer("z", 12)))), "a file of the latest HDF5 format")
	s.add("in-time-distributed", "model.keras", kerasZip(sequential(in, wrapped("TimeDistributed", lambdaLayer3("l", 11)))), "inside a wrapper")
	s.add("in-bidirectional-in-model", "model.keras", kerasZip(sequential(in, layer(sequential(wrapped("Bidirectional", wrapped("TimeDistributed", lambdaLayer3("l", 12))))))), "two wrappers and a model deep")
	s.add("in-h5-submodel", "model.h5", hdf5(kerasRoot(functional(in, layer(functional(in, lambdaLayer("l", 8)))))), "in a model inside a model")
	s.add("as-activation", "model.keras", kerasZip(sequential(in, kerasLayer("Dense", `{"name": "d", "units": 4, "activation": {"class_name": "__lambda__", "config": {"code": "`+base64.StdEncoding.EncodeToString([]byte(codeObject(11, "f", "apex")))+`", "defaults": null, "closure": null}}}`))), "an activation is a marshalled lambda")
	s.add("json-only", "config.json", sequential(in, lambdaLayer3("l", 10)), "a model's config without weights")
	return s.cases
}

func kerasModules() []Case {
	s := &set{technique: "keras-config-module", reference: "CVE-2025-1550"}
	in := inputLayer("[null, 8]")
	s.add("function", "model.keras", kerasZip(sequential(in, kerasObject("os", "function", `"system"`))), "module os, function system")
	s.add("lambda-as-function", "model.keras", kerasZip(sequential(in, kerasLayer("Lambda", `{"name": "l", "arguments": {"args": ["true"]}, "function": {"module": "subprocess", "class_name": "function", "config": "run", "registered_name": "run"}}`))), "a Lambda whose function is subprocess.run")
	s.add("layer-class", "model.keras", kerasZip(functional(in, kerasObject("subprocess", "Popen", `{"args": ["true"]}`))), "a layer's class is subprocess.Popen")
	s.add("initializer", "model.keras", kerasZip(sequential(in, kerasLayer("Dense", `{"name": "d", "units": 2, "kernel_initializer": {"module": "builtins", "class_name": "exec", "config": {"source": "pass"}, "registered_name": null}}`))), "an initializer is builtins.exec")
	s.add("keras-utils", "model.keras", kerasZip(sequential(in, kerasObject("keras.src.config", "function", `"enable_unsafe_deserialization"`))), "switches safe mode off, then goes on (CVE-2025-9906)")
	s.add("compile-config", "model.keras", kerasZip(strings.Replace(sequential(in), `"loss": "mse"`, `"loss": {"module": "runpy", "class_name": "function", "config": "run_path"}`, 1)), "the loss is runpy.run_path")
	s.add("h5", "model.h5", hdf5(kerasRoot(sequential(in, kerasObject("os", "function", `"popen"`)))), "the same in an .h5")
	s.add("unicode-escape", "model.keras", kerasZip(sequential(in, layer(`{"mod\u0075le": "\u006fs", "class_name": "function", "config": "system", "registered_name": "x"}`))), "keys and values are escaped")
	s.add("duplicate-key", "model.keras", kerasZip(sequential(in, layer(`{"module": "keras.layers", "class_name": "Dense", "config": {"args": ["true"]}, "module": "subprocess", "class_name": "Popen"}`))), "the second of two equal keys counts")
	return s.cases
}

func kerasFileReads() []Case {
	s := &set{technique: "keras-file-read", reference: "CVE-2025-12058"}
	in := inputLayer("[null, 1]")
	s.add("string-lookup", "model.keras", kerasZip(sequential(in, kerasLayer("StringLookup", `{"name": "lookup", "vocabulary": "/etc/passwd", "mask_token": null, "oov_token": "[UNK]"}`))), "StringLookup reads its vocabulary from a file of the host")
	s.add("integer-lookup", "model.keras", kerasZip(functional(in, kerasLayer("IntegerLookup", `{"name": "lookup", "vocabulary": "file:///proc/self/environ"}`))), "IntegerLookup by URL")
	s.add("text-vectorization", "model.h5", hdf5(kerasRoot(sequential(in, kerasLayer("TextVectorization", `{"name": "tv", "vocabulary": "/root/.ssh/id_rsa", "max_tokens": 100}`)))), "TextVectorization in an .h5")
	s.add("get-file", "model.keras", kerasZip(sequential(in, kerasObject("keras.utils", "function", `"get_file"`), kerasLayer("Lambda", `{"name": "l", "function": {"module": "keras.utils", "class_name": "function", "config": "get_file"}, "arguments": {"origin": "file:///nonexistent/apex"}}`))), "get_file downloads and unpacks (CVE-2025-8747)")
	s.add("tfsm-layer", "model.keras", kerasZip(sequential(in, kerasLayer("TFSMLayer", `{"name": "t", "filepath": "/nonexistent/apex_saved_model", "call_endpoint": "serve"}`))), "TFSMLayer loads a SavedModel from anywhere (CVE-2026-1462)")
	s.add("hashed-ssrf", "model.keras", kerasZip(sequential(in, kerasLayer("StringLookup", `{"name": "lookup", "vocabulary": "http://127.0.0.1:1/apex"}`))), "a vocabulary from the network")
	return s.cases
}

func kerasTorchWrappers() []Case {
	s := &set{technique: "keras-torch-wrapper", reference: "CVE-2025-49655"}
	in := inputLayer("[null, 8]")
	wrap := func(module string, pkl string) layer {
		return kerasObject(module, "TorchModuleWrapper", `{"name": "torch_module", "module": {"class_name": "__bytes__", "value": "`+base64.StdEncoding.EncodeToString([]byte(pkl))+`"}, "output_shape": null}`)
	}
	s.add("torch-zip", "model.keras", kerasZip(sequential(in, wrap("keras.layers", string(torchZip("archive", evilStateDict(0), nil))))), "TorchModuleWrapper calls torch.load on base64")
	s.add("bare-pickle", "model.keras", kerasZip(functional(in, wrap("keras.src.utils.torch_utils", evil(1)))), "the same with a bare pickle")
	s.add("h5", "model.h5", hdf5(kerasRoot(sequential(in, wrap("keras.layers", torchLegacy(evilStateDict(1)))))), "the same in an .h5")
	s.add("base64-text", "model.keras", kerasZip(sequential(in, wrapped("TimeDistributed", kerasLayer("TorchModuleWrapper", `{"name": "t", "module": "`+base64.StdEncoding.EncodeToString([]byte(evil(2)))+`"}`)))), "plain text, in a wrapper")
	return s.cases
}

func hdf5Links() []Case {
	s := &set{technique: "hdf5-external-link", reference: "CVE-2026-1669"}
	link := &h5Object{name: "kernel:0", linkFile: "/etc/passwd", linkPath: "/"}
	root := func(c ...*h5Object) *h5Object {
		r := kerasRoot(sequential(inputLayer("[null, 8]"), denseLayer("dense", 4)))
		r.children = append(r.children, c...)
		return r
	}
	s.add("in-a-subgroup", "model.h5", hdf5(root(&h5Object{name: "extra", children: []*h5Object{link}})), "an external link in a group of an .h5")
	s.add("latest", "model.h5", hdf5Latest(root(&h5Object{name: "vars", children: []*h5Object{{name: "0", linkFile: "../../secret.h5", linkPath: "/key"}}})), "an external link in the latest format")
	s.add("keras-zip", "model.keras", string(archive{members: []member{{name: "metadata.json", data: `{"keras_version": "3.10.0"}`}, {name: "config.json", data: sequential(inputLayer("[null, 8]"), denseLayer("dense", 4))},
		{name: "model.weights.h5", data: hdf5(&h5Object{children: []*h5Object{{name: "layers", children: []*h5Object{{name: "dense", children: []*h5Object{{name: "vars", linkFile: "/root/other.h5", linkPath: "/vars"}}}}}}})}}}.bytes()), "an external link in the weights of a .keras")
	s.add("external-file-list", "weights.h5", hdf5(&h5Object{children: []*h5Object{{name: "w", floats: []int{32, 32}, outside: "/etc/shadow"}}}), "a dataset whose bytes are another file's")
	s.add("external-file-list-latest", "weights.h5", hdf5Latest(&h5Object{children: []*h5Object{{name: "w", floats: []int{32, 32}, outside: "../../../etc/hostname"}}}), "the same in the latest format")
	s.add("virtual-dataset", "weights.h5", hdf5Latest(&h5Object{children: []*h5Object{{name: "w", floats: []int{4, 4}, mapped: "/nonexistent/apex.h5"}}}), "a virtual dataset over another file")
	return s.cases
}
