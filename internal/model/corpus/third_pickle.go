package corpus

import "strings"

// thirdPickleCalls are the ways to import a callable and to have it called.
func thirdPickleCalls() []Case {
	g := third("pickle-global-reduce")
	g.pickle("in-the-metadata-of-a-state-dict", "pytorch_model.bin", pickle(2, func() *object {
		od := reduce("collections.OrderedDict")
		od.dictItems = [][2]any{{"w", 1.5}}
		return od.with(dictOf("_metadata", reduce("posix.system", "true")))
	}()), "the state that BUILD gives a state dict is made by a call")
	g.pickle("argument-of-a-trusted-call", "stats.pkl", pickle(3, dictOf("mean", reduce("numpy.dtype", reduce("os.popen", "true"), false, true))), "numpy.dtype is given what os.popen returned")
	vocabulary := &dict{}
	for i := range 1500 {
		vocabulary.pairs = append(vocabulary.pairs, [2]any{"token" + itoa(i), i})
	}
	vocabulary.pairs[1203][1] = reduce("builtins.eval", "1203")
	g.pickle("one-entry-of-fifteen-hundred", "vocab.pkl", pickle(4, vocabulary), "one number of a vocabulary is computed by eval")
	g.pickle("argument-as-bytes", "m.pkl", pickle(2, reduce("posix.system", blob("true"))), "the command is bytes, which protocol 2 writes as a call of _codecs.encode")
	g.pickle("shared-result", "m.pkl", func() string {
		r := reduce("subprocess.getoutput", "true")
		return pickle(4, listOf(r, r, dictOf("again", r)))
	}(), "one call whose result is used three times through the memo")

	i := third("pickle-inst")
	i.pickle("three-arguments", "m.pkl", opMark+opInt(0)+opString("'/bin/true'")+opMark+opString("'true'")+opList+opInst("os", "spawnv")+opStop, "INST calls os.spawnv with a list that is built in between")
	i.pickle("value-of-a-dict-of-a-list", "m.pkl", opMark+opMark+opString("'acc'")+opFloat("0.93")+opString("'hook'")+opMark+opString("'true'")+opInst("posix", "popen")+opDict+opList+opStop, "INST makes a value between the marks of a DICT and a LIST")
	i.pickle("by-a-python-2-name", "m.pkl", opMark+opString("'this'")+opInst("__builtin__", "__import__")+opStop, "INST of __builtin__.__import__, which fix_imports maps")
	i.pickle("in-the-state-of-build", "m.pkl", opProto(2)+opGlobal("argparse", "Namespace")+opEmptyTuple+opNewObj+opMark+str2("lr")+opMark+str2("0.1")+opInst("builtins", "eval")+opDict+opBuild+opStop, "INST makes a value of the state")

	o := third("pickle-obj")
	o.pickle("list-by-obj-for-popen-by-obj", "m.pkl", opMark+opGlobal("subprocess", "Popen")+opMark+opGlobal("builtins", "list")+opMark+opString("'true'")+opTuple+opObj+opObj+opStop, "one OBJ makes the list that another OBJ gives to Popen")
	o.pickle("without-arguments", "m.pkl", opMark+opGlobal("pdb", "set_trace")+opObj+opStop, "OBJ of a function without arguments")
	o.pickle("in-protocol-5", "m.pkl", framed(5, opEmptyList+opMemoize+opMark+opMark+stackGlobal("runpy", "run_path")+text("/nonexistent/apex.py")+opObj+opMemoize+opBinInt1(1)+opAppends+opStop), "OBJ inside a frame, as one of the items of a list")
	o.pickle("decoy-dropped-first", "m.pkl", opProto(2)+opMark+opGlobal("posix", "execv")+opMark+opGlobal("collections", "OrderedDict")+opPopMark+str2("/bin/true")+opEmptyList+str2("true")+opAppend+opObj+opStop, "a trusted class lies on a mark that POP_MARK drops before OBJ")

	n := third("pickle-newobj")
	mapped := opGlobal("builtins", "map") + tuple(opGlobal("os", "system"), opEmptyList+str2("true")+opAppend) + opNewObj
	n.pickle("array-walks-map", "m.pkl", opProto(2)+opGlobal("array", "array")+tuple(str2("i"), mapped)+opNewObj+opStop, "array.array.__new__ walks map(os.system, …)")
	n.pickle("product-walks-map", "m.pkl", opProto(2)+opGlobal("itertools", "product")+tuple(mapped)+opNewObj+opStop, "itertools.product.__new__ makes a tuple of map(os.system, …)")
	n.pickle("permutations-walk-starmap", "m.pkl", opProto(4)+stackGlobal("itertools", "permutations")+tuple(stackGlobal("itertools", "starmap")+tuple(stackGlobal("posix", "system"), opEmptyList+text("true")+opTuple1+opAppend)+opNewObj)+opNewObj+opStop, "itertools.permutations.__new__ walks a starmap")
	n.pickle("class-made-by-type", "m.pkl", opProto(2)+opGlobal("builtins", "type")+tuple(str2("Config"), opEmptyTuple, opEmptyDict+str2("__setstate__")+opGlobal("os", "system")+opSetItem)+opNewObj+opEmptyTuple+opNewObj+str2("true")+opBuild+opStop,
		"NEWOBJ of type makes a class whose __setstate__ is os.system; BUILD of its instance calls it")
	n.pickle("ex-with-empty-keywords", "m.pkl", opProto(4)+stackGlobal("builtins", "bytes")+tuple(stackGlobal("builtins", "filter")+tuple(stackGlobal("builtins", "exec"), tuple(text("pass")))+opEmptyDict+opNewObjEx)+opEmptyDict+opNewObjEx+opStop, "NEWOBJ_EX of filter and of bytes, which walks it")

	s := third("pickle-stack-global")
	s.pickle("one-string-for-both", "m.pkl", framed(4, text("timeit")+opDup+opStackGlobal+text("pass")+opTuple1+opReduce+opStop), "DUP makes one string the module and the name: timeit.timeit")
	s.pickle("from-the-keys-of-a-dict", "m.pkl", framed(4, opEmptyDict+opMemoize+opMark+text("posix")+opMemoize+opNone+text("system")+opMemoize+opNone+text("true")+opMemoize+opNone+opSetItems+opPop+opBinGet(1)+opBinGet(2)+opStackGlobal+opBinGet(3)+opTuple1+opReduce+opStop),
		"module, name and argument were the keys of a plain dict")
	s.pickle("far-apart", "m.pkl", framed(4, text("os")+text("popen")+opStackGlobal+opMemoize+opPop+strings.Repeat(opBinFloat(0.25)+opPop, 900)+opBinGet(0)+text("true")+opTuple1+opReduce+opStop), "import and call are eight kilobytes apart")
	s.pickle("python-2-strings", "m.pkl", opProto(1)+opBinString("subprocess")+opShortBinString("getoutput")+opStackGlobal+opMark+opShortBinString("true")+opTuple+opReduce+opStop, "STACK_GLOBAL of strings of Python 2 in protocol 1")

	return join(g, i, o, n, s, thirdExtensions(), thirdPersistent())
}

func thirdExtensions() *set {
	s := third("pickle-ext-registry")
	entry := func(module, name string) string { return tuple(text(module), text(name)) }
	s.pickle("update-of-the-registry", "m.pkl", framed(4, stackGlobal("copyreg", "_inverted_registry.update")+opEmptyDict+opBinInt1(240)+entry("os", "system")+opSetItem+opTuple1+opReduce+opPop+opExt1(240)+text("true")+opTuple1+opReduce+opStop),
		"the registry's own update() names os.system as code 240")
	s.pickle("setitem-function", "m.pkl", opProto(2)+call("operator", "setitem", opGlobal("copyreg", "_inverted_registry"), opBinInt2(4097), entry("builtins", "exec"))+opPop+opExt2(4097)+text("pass")+opTuple1+opReduce+opStop,
		"operator.setitem writes the registry, EXT2 reads it")
	s.pickle("add-extension-by-inst", "m.pkl", opMark+opString("'posix'")+opString("'system'")+opInt(77)+opInst("copy_reg", "add_extension")+opPop+"\x82\x4d"+opString("'true'")+opTuple1+opReduce+opStop, "INST of copy_reg.add_extension, then EXT1 in protocol 0")
	s.pickle("dotted-name-registered", "m.pkl", framed(4, call4("copyreg", "add_extension", text("shutil"), text("os.popen"), opBinInt(99_999))+opPop+opExt4(99_999)+text("true")+opTuple1+opReduce+opStop), "the registered name is a walk through shutil")
	return s
}

func thirdPersistent() *set {
	s := third("pickle-persid")
	s.pickle("numel-by-a-call", "m.bin", opProto(2)+opMark+str2("storage")+opGlobal("torch", "HalfStorage")+str2("0")+str2("cpu")+thirdExec+opTuple+opBinPersID+opStop, "the number of elements in a persistent id is what exec returns")
	s.pickle("module-container", "m.bin", opProto(2)+opMark+str2("module")+thirdShell+str2("net.py")+str2("class Net: pass")+opTuple+opBinPersID+opStop, "a 'module' id, which legacy torch writes for sources, whose class is the result of a call")
	s.pickle("key-in-a-nested-tuple", "m.bin", opProto(2)+opMark+str2("storage")+opGlobal("torch", "FloatStorage")+tuple(str2("0"), thirdRun)+str2("cpu")+opBinInt1(8)+opTuple+opBinPersID+opStop, "the storage's key is a tuple with a call")
	s.pickle("text-id-after-the-call", "m.pkl", "("+opString("'w'")+thirdShell+opPersID("weights.0")+opTuple+opStop, "the call stands before a PERSID of protocol 0")
	return s
}

// thirdPickleComputed come to a callable without naming it outright.
func thirdPickleComputed() []Case {
	c := third("pickle-computed-global")
	named := func(variation, truth string, module, name string) {
		c.pickle(variation, "m.pkl", framed(4, module+name+opStackGlobal+text("true")+opTuple1+opReduce+opStop), truth)
	}
	sys := text("system")
	named("url-quoted", "urllib.parse.unquote makes the module's name", call4("urllib.parse", "unquote", text("%6f%73")), sys)
	named("html-entities", "html.unescape makes the function's name", text("os"), call4("html", "unescape", text("s&#121;stem")))
	named("json-string", "json.loads makes the module's name", call4("json", "loads", text(`"\u0070osix"`)), sys)
	named("joined", "str.join makes the module's name out of two", call4("builtins", "str.join", text(""), tuple(text("po"), text("six"))), sys)
	named("full-width-letters", "unicodedata.normalize makes plain letters of wide ones", call4("unicodedata", "normalize", text("NFKC"), text("ｏｓ")), sys)
	named("base-name-of-a-path", "posixpath.basename of a harmless path is the function's name", text("posix"), call4("posixpath", "basename", text("/models/system")))
	c.pickle("object-getattribute", "m.pkl", framed(4, call4("builtins", "object.__getattribute__", stackGlobal("posixpath", "os"), text("popen"))+text("true")+opTuple1+opReduce+opStop), "object.__getattribute__ stands for getattr")
	c.pickle("vars-of-a-module", "m.pkl", framed(4, call4("operator", "getitem", call4("builtins", "vars", stackGlobal("genericpath", "os")), text("system"))+text("true")+opTuple1+opReduce+opStop), "an item of vars(os)")
	c.pickle("torch-import-by-name", "m.pkl", pickle(2, via(reduce("torch._utils._import_dotted_name", "subprocess.getoutput"), "true")), "torch's own import by a dotted name; the result is called")

	d := third("pickle-dotted-reexport")
	for name, at := range ordered("tempfile", [2]string{"tempfile", "_os.system"}, "random-os", [2]string{"random", "_os.popen"}, "uuid", [2]string{"uuid", "os.system"},
		"ctypes", [2]string{"ctypes", "_os.system"}, "inspect", [2]string{"inspect", "os.popen"}, "glob", [2]string{"glob", "os.system"}, "unittest-loader", [2]string{"unittest.loader", "os.system"},
		"joblib-disk", [2]string{"joblib.disk", "os.system"}, "torch-storage", [2]string{"torch.storage", "io.open"}, "ultralytics", [2]string{"ultralytics.utils", "subprocess.getoutput"},
		"xgboost-core", [2]string{"xgboost.core", "os.system"}, "nltk-data", [2]string{"nltk.data", "os.system"}) {
		d.pickle(name, "m.pkl", framed(4, call4(at[0], at[1], text("true"))+opMemoize+opStop), "reaches "+at[1]+" through "+at[0])
	}
	for name, at := range ordered("codecs-builtins", [2]string{"codecs", "builtins.exec"}, "enum-bltns", [2]string{"enum", "bltns.eval"}, "dataclasses-builtins", [2]string{"dataclasses", "builtins.exec"}) {
		d.pickle(name, "m.pkl", framed(5, call4(at[0], at[1], text("1"))+opMemoize+opStop), "reaches "+at[1]+" through "+at[0])
	}
	d.pickle("pickle-of-numpy-format", "m.pkl", framed(4, call4("numpy.lib.format", "pickle.loads", octets(thirdEvil(2)))+opStop), "numpy.lib.format has pickle as an attribute")
	d.pickle("method-of-a-library", "m.pkl", framed(4, call4("ctypes", "cdll.LoadLibrary", text("/nonexistent/libapex.so"))+opStop), "ctypes.cdll.LoadLibrary by a dotted name")
	d.pickle("torch-ops-load-library", "m.pkl", framed(4, call4("torch", "ops.load_library", text("/nonexistent/libapex.so"))+opStop), "torch.ops.load_library by a dotted name")
	d.pickle("path-write-text", "m.pkl", framed(4, call4("pathlib", "Path.write_text", call4("pathlib", "PosixPath", text("/nonexistent/apex.pth")), text("import this"))+opStop), "Path.write_text writes a file")

	t := third("pickle-trusted-callee")
	system := glob("os.system")
	t.pickle("vectorizer-with-a-shell", "tfidf.pkl", pickle(4, instance("sklearn.feature_extraction.text.TfidfVectorizer", dictOf("analyzer", "word", "lowercase", true, "preprocessor", glob("subprocess.getoutput"), "tokenizer", nil, "_sklearn_version", "1.4.2"))),
		"a vectorizer whose preprocessor is subprocess.getoutput: transform() runs every text as a command")
	t.pickle("loader-of-a-folder", "train_dataset.pkl", pickle(4, instance("torchvision.datasets.folder.DatasetFolder", dictOf("root", "data", "samples", listOf(tup{"true", 0}), "targets", listOf(0), "loader", system, "transform", nil, "target_transform", nil))), "a data set whose loader is os.system: its first sample runs a command")
	t.pickle("ordereddict-of-starmap", "m.pkl", pickle(4, reduce("collections.OrderedDict", reduce("itertools.starmap", system, listOf(tup{"true"})))), "OrderedDict() walks a starmap of os.system")
	t.pickle("counter-of-map", "counts.pkl", pickle(2, reduce("collections.Counter", reduce("builtins.map", system, listOf("true")))), "Counter() walks map(os.system, …)")
	t.pickle("frombuffer-of-a-call", "arr.pkl", pickle(5, reduce("numpy.core.numeric._frombuffer", byteArray("\x00\x00\x00\x00"), reduce("os.popen", "true"), tup{1}, "C")), "numpy's _frombuffer is given a call as its dtype")
	t.pickle("codec-search-function", "m.pkl", opProto(2)+call("codecs", "register", opGlobal("os", "system"))+opPop+call("_codecs", "encode", str2("x"), str2("true"))+opStop, "os.system is registered as a search for codecs; _codecs.encode asks it for 'true'")
	t.pickle("reduceex-of-rebuild-subclass", "m.bin", pickle(2, reduce("torch._tensor._rebuild_from_type_v2", glob("subprocess.getoutput"), glob("torch.nn.parameter.Parameter"), tup{"true"}, dictOf("x", 1))), "torch calls the first argument with the third")
	t.pickle("bit-generator-of-a-shell", "rng.pkl", pickle(4, reduce("numpy.random._pickle.__generator_ctor", "true", glob("subprocess.getoutput"))), "numpy's __generator_ctor calls its second argument with the first")
	return join(c, d, t)
}
