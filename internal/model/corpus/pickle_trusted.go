package corpus

// trustedCallees are functions and classes that honest pickles call, which call
// what they are given in turn: a list of trusted names that does not look at
// the arguments lets them through.
func trustedCallees() []Case {
	s := &set{technique: "pickle-trusted-callee"}
	system := opGlobal("os", "system")
	one := func(variation, module, name, truth string, items ...string) {
		s.pickle(variation, "model.pkl", opProto(2)+call(module, name, items...)+opStop, truth)
	}
	one("generator-ctor", "numpy.random._pickle", "__generator_ctor", "numpy's __generator_ctor calls its second argument with the first", str2("true"), system)
	one("randomstate-ctor", "numpy.random._pickle", "__randomstate_ctor", "numpy's __randomstate_ctor does the same", str2("true"), system)
	one("bit-generator-ctor", "numpy.random._pickle", "__bit_generator_ctor", "numpy's __bit_generator_ctor calls the class it is given", opGlobal("code", "InteractiveConsole"))
	one("rebuild-from-type", "torch._tensor", "_rebuild_from_type_v2", "torch rebuilds a tensor subclass by calling the first argument with the third", system, opGlobal("torch", "Tensor"), tuple(str2("true")), opEmptyDict)
	one("newobj", "copyreg", "__newobj__", "copyreg.__newobj__ makes a map, which bytes walks", opGlobal("builtins", "bytes"), call("copyreg", "__newobj__", opGlobal("builtins", "map"), system, tuple(str2("true"))))
	one("newobj-ex", "copyreg", "__newobj_ex__", "copyreg.__newobj_ex__ makes a partial of os.system", opGlobal("functools", "partial"), tuple(system, str2("true")), opEmptyDict)
	one("reconstructor", "copyreg", "_reconstructor", "copyreg._reconstructor calls the base's __new__ with the state, here a map that bytes walks", opGlobal("builtins", "bytes"), opGlobal("builtins", "bytes"), opGlobal("builtins", "map")+tuple(system, tuple(str2("true")))+opNewObj)
	one("default-factory", "operator", "getitem", "a defaultdict of os.getcwd is asked for a key it lacks", call("collections", "defaultdict", opGlobal("os", "getcwd")), str2("x"))
	one("ufunc-reconstruct", "numpy.core", "_ufunc_reconstruct", "numpy's _ufunc_reconstruct imports any function", str2("posix"), str2("system"))
	one("deque-of-map", "collections", "deque", "a deque walks map(os.system, …)", opGlobal("builtins", "map")+tuple(system, tuple(str2("true")))+opNewObj)
	one("counter-of-starmap", "collections", "Counter", "a Counter walks itertools.starmap", call("itertools", "starmap", system, tuple(tuple(str2("true")))))
	s.pickle("getattr-of-a-class", "model.pkl", opProto(4)+call4("builtins", "getattr", stackGlobal("pathlib", "Path"), text("unlink"))+call4("pathlib", "PosixPath", text("/nonexistent/apex"))+opTuple1+opReduce+opStop,
		"getattr as ZoneInfo's pickles use it, here Path.unlink")
	s.pickle("callable-default-in-state", "model.pkl", opProto(2)+opGlobal("sklearn.preprocessing._function_transformer", "FunctionTransformer")+opEmptyTuple+opNewObj+opEmptyDict+opMark+str2("func")+system+str2("validate")+opNewFalse+opSetItems+opBuild+opStop,
		"a FunctionTransformer whose function is os.system: the first prediction runs it")
	s.pickle("joblib-file-reference", "model.joblib", opProto(2)+opGlobal("joblib.numpy_pickle_compat", "NDArrayWrapper")+opEmptyTuple+opNewObj+opEmptyDict+opMark+str2("filename")+str2("/etc/passwd")+str2("subclass")+opGlobal("subprocess", "Popen")+str2("allow_mmap")+opNewFalse+opSetItems+opBuild+opStop,
		"joblib's old wrapper reads an array from a file of the host")
	return s.cases
}

func hdf5Pickles() []Case {
	s := &set{technique: "hdf5-pickle-attribute", reference: "PyTables: attributes are unpickled"}
	frame := func(title string, a ...h5Attr) *h5Object {
		return &h5Object{attrs: append([]h5Attr{{name: "CLASS", value: "GROUP", fixed: true}, {name: "PYTABLES_FORMAT_VERSION", value: "2.1", fixed: true}, {name: "TITLE", value: title, fixed: true}}, a...),
			children: []*h5Object{{name: "df", attrs: []h5Attr{{name: "pandas_type", value: "frame", fixed: true}}, children: []*h5Object{{name: "block0_values", floats: []int{2, 2}, data: weights(1, 4)}}}}}
	}
	s.add("protocol-0", "store.h5", hdf5(frame("", h5Attr{name: "info", value: "(dp0\nS'a'\n" + call("os", "system", opUnicode("true")) + "s.", fixed: true})), "an attribute that PyTables unpickles when it is read")
	s.add("protocol-2", "store.h5", hdf5(frame("x", h5Attr{name: "non_index_axes", value: evil(0), fixed: true})), "the same in protocol 2")
	s.add("below-a-group", "store.hdf5", hdf5(&h5Object{children: []*h5Object{{name: "a", children: []*h5Object{{name: "b", attrs: []h5Attr{{name: "values_attributes", value: evil(2), fixed: true}}}}}}}), "on a group below")
	s.add("latest", "store.h5", hdf5Latest(frame("y", h5Attr{name: "meta", value: evil(1), fixed: true})), "in the latest format")
	return s.cases
}

func indexTraversals() []Case {
	s := &set{technique: "shard-index-traversal", reference: "CWE-22"}
	s.add("safetensors", "model.safetensors.index.json", `{"metadata": {"total_size": 8}, "weight_map": {"a": "../../../etc/passwd"}}`, "a shard above the directory")
	s.add("pytorch-absolute", "pytorch_model.bin.index.json", `{"metadata": {}, "weight_map": {"a": "pytorch_model-00001-of-00002.bin", "b": "/tmp/evil.bin"}}`, "an absolute shard, which torch.load would unpickle")
	s.add("escaped", "model.safetensors.index.json", `{"weight_map": {"a": "x\/..\u002f..\/secret.safetensors"}}`, "the dots and slashes are escaped")
	s.add("backslashes", "pytorch_model.bin.index.json", `{"weight_map": {"a": "..\\..\\evil.bin"}}`, "with backslashes")
	return s.cases
}

// importedByName are configs by which libraries import a module that the file
// names, besides transformers' auto_map.
func importedByName() []Case {
	s := &set{technique: "config-import"}
	s.add("peft-auto-mapping", "adapter_config.json", `{"peft_type": "LORA", "base_model_name_or_path": "x", "auto_mapping": {"base_model_class": "system", "parent_library": "os"}}`, "peft imports the parent library and takes the class from it")
	s.add("sentence-transformers-module", "modules.json", `[{"idx": 0, "name": "0", "path": "", "type": "sentence_transformers.models.Transformer"}, {"idx": 1, "name": "1", "path": "", "type": "os.system"}]`, "a module's type is any dotted name")
	s.add("sentence-transformers-activation", "config_sentence_transformers.json", `{"__version__": {"sentence_transformers": "3.0.0"}, "activation_fn": "subprocess.getoutput"}`, "the activation is any dotted name")
	s.add("diffusers-custom-pipeline", "model_index.json", `{"_class_name": ["evil_pipeline", "EvilPipeline"], "_diffusers_version": "0.27.0", "unet": ["evil_module", "Evil"]}`, "the pipeline and a component come from the repository's Python")
	s.add("mlflow-loader", "MLmodel", "flavors:\n  python_function:\n    loader_module: evil_loader\n    code: code\n    data: model\n", "MLflow imports a loader from the model's directory")
	return s.cases
}
