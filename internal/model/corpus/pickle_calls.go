package corpus

import "strings"

// str2 is a string as protocol 2 writes it.
func str2(s string) string { return opBinUnicode(s) }

func globalReduce() []Case {
	s := &set{technique: "pickle-global-reduce"}
	s.pickle("protocol-0-text", "model.pkl", "cos\nsystem\np0\n(S'true'\np1\ntp2\nRp3\n.", "GLOBAL and REDUCE call os.system")
	s.pickle("protocol-1", "model.pkl", opGlobal("posix", "system")+opBinPut(0)+opMark+opShortBinString("true")+opTuple+opReduce+opStop, "calls posix.system")
	s.pickle("protocol-2-in-a-state-dict", "pytorch_model.bin", opProto(2)+opEmptyDict+opBinPut(0)+opMark+
		str2("layer.weight")+opBinFloat(0.5)+str2("layer.bias")+call("subprocess", "call", opEmptyList+str2("true")+opAppend)+opSetItems+opStop,
		"a value of the state dict is the result of subprocess.call")
	s.pickle("python-2-module-names", "clf.pkl", opProto(2)+call("__builtin__", "eval", str2("1+1"))+opStop, "calls eval under its Python 2 name")
	s.pickle("python-2-commands", "clf.pkl", opProto(1)+opGlobal("commands", "getoutput")+opMark+opShortBinString("true")+opTuple+opReduce+opStop,
		"calls commands.getoutput, which fix_imports turns into subprocess.getoutput")
	s.pickle("list-item-before-data", "data.pkl", framed(4, opEmptyList+opMemoize+opMark+call4("builtins", "exec", text("pass"))+opBinInt1(1)+opBinInt1(2)+opAppends+opStop),
		"the first item of a list is the result of exec")
	s.pickle("windows-module", "weights.pkl", opProto(3)+call("nt", "system", str2("ver"))+opStop, "calls nt.system, which is os.system on Windows")
	return s.cases
}

func instCalls() []Case {
	s := &set{technique: "pickle-inst"}
	s.pickle("bare", "model.pkl", opMark+opString("'true'")+opInst("os", "system")+opStop, "INST calls os.system")
	s.pickle("two-arguments-protocol-2", "model.pkl", opProto(2)+opMark+str2("apex-absent")+str2("w")+opInst("io", "open")+opStop, "INST opens a file for writing")
	s.pickle("inside-a-tuple", "model.pkl", opProto(3)+opMark+opBinInt1(7)+opMark+str2("os")+opInst("importlib", "import_module")+opTuple+opStop, "INST imports a module")
	s.pickle("nested-in-arguments", "model.pkl", opProto(0)+opMark+opMark+opUnicode("print('apex')")+opInst("builtins", "str")+opInst("builtins", "exec")+opStop,
		"the argument of one INST is the result of another")
	s.pickle("protocol-5-stamp", "model.pkl", opProto(5)+opEmptyDict+opMemoize+text("k")+opMark+text("true")+opInst("os", "popen")+opSetItem+opStop, "INST in a stream that says protocol 5")
	return s.cases
}

func objCalls() []Case {
	s := &set{technique: "pickle-obj"}
	s.pickle("bare", "model.pkl", opMark+opGlobal("os", "system")+opString("'true'")+opObj+opStop, "OBJ calls os.system")
	s.pickle("stack-global-class", "model.pkl", opProto(4)+opMark+stackGlobal("subprocess", "getoutput")+text("true")+opObj+opStop, "OBJ calls what STACK_GLOBAL imported")
	s.pickle("memoised-class", "model.pkl", opProto(2)+opGlobal("builtins", "compile")+opBinPut(3)+opPop+opMark+opBinGet(3)+str2("1")+str2("x")+str2("eval")+opObj+opStop,
		"OBJ calls a function that was put in the memo and popped")
	s.pickle("result-is-a-key", "model.pkl", opProto(2)+opEmptyDict+opMark+opGlobal("os", "getcwd")+opObj+opMark+opGlobal("os", "spawnlp")+opBinInt1(0)+str2("true")+str2("true")+opObj+opSetItem+opStop,
		"key and value of a dict are calls")
	return s.cases
}

func newObjCalls() []Case {
	s := &set{technique: "pickle-newobj", reference: "arXiv:2508.19774"}
	lazy := func(function string) string { // map(function, ["true"]) by NEWOBJ
		return opGlobal("builtins", "map") + function + opEmptyList + str2("true") + opAppend + opTuple2 + opNewObj
	}
	s.pickle("bytes-of-map", "model.pkl", opProto(2)+opGlobal("builtins", "bytes")+lazy(opGlobal("os", "system"))+opTuple1+opNewObj+opStop,
		"bytes.__new__ walks map(os.system, …): no REDUCE anywhere")
	s.pickle("tuple-of-map", "model.pkl", opProto(4)+stackGlobal("builtins", "tuple")+stackGlobal("builtins", "map")+stackGlobal("builtins", "exec")+
		tuple(text("pass"))+opTuple2+opNewObj+opTuple1+opNewObj+opStop, "tuple.__new__ walks map(exec, …)")
	s.pickle("frozenset-of-filter", "model.pkl", opProto(2)+opGlobal("builtins", "frozenset")+opGlobal("builtins", "filter")+opGlobal("os", "system")+
		tuple(str2("true"))+opTuple2+opNewObj+opTuple1+opNewObj+opStop, "frozenset.__new__ walks filter(os.system, …)")
	s.pickle("starmap", "model.pkl", opProto(3)+opGlobal("builtins", "tuple")+opGlobal("itertools", "starmap")+opGlobal("os", "execlp")+
		tuple(tuple(str2("true"), str2("true")))+opTuple2+opNewObj+opTuple1+opNewObj+opStop, "tuple.__new__ walks itertools.starmap")
	s.pickle("newobj-ex-partial", "model.pkl", opProto(4)+stackGlobal("functools", "partial")+tuple(stackGlobal("os", "system"), text("true"))+opEmptyDict+
		opNewObjEx+opEmptyTuple+opReduce+opStop, "NEWOBJ_EX makes a partial that REDUCE then calls")
	s.pickle("zip-of-maps", "model.pkl", opProto(2)+opGlobal("builtins", "tuple")+opGlobal("builtins", "zip")+lazy(opGlobal("builtins", "print"))+
		opTuple1+opNewObj+opTuple1+opNewObj+opStop, "tuple.__new__ walks zip, which walks map")
	return s.cases
}

func stackGlobals() []Case {
	s := &set{technique: "pickle-stack-global"}
	s.pickle("as-written", "model.pkl", framed(4, call4("os", "system", text("true"))+opMemoize+opStop), "STACK_GLOBAL and REDUCE as pickle.dumps writes them")
	s.pickle("protocol-5-posix", "model.pkl", framed(5, call4("posix", "popen", text("true"))+opMemoize+opStop), "calls posix.popen")
	s.pickle("strings-from-memo", "model.pkl", opProto(4)+text("system")+opMemoize+text("os")+opMemoize+opPop+opPop+opBinGet(1)+opBinGet(0)+opStackGlobal+text("true")+opTuple1+opReduce+opStop,
		"module and name come from the memo in another order")
	s.pickle("long-forms", "model.pkl", opProto(4)+opBinUnicode8("builtins")+opBinUnicode("eval")+opStackGlobal+opBinUnicode8("1+1")+opTuple1+opReduce+opStop,
		"module and name with eight-byte and four-byte lengths")
	s.pickle("protocol-0-strings", "model.pkl", opString("'os'")+opString("'system'")+opStackGlobal+opUnicode("true")+opTuple1+opReduce+opStop, "STACK_GLOBAL on STRING operands, no PROTO")
	s.pickle("short-binstring-names", "model.pkl", opProto(2)+opShortBinString("runpy")+opBinString("run_path")+opStackGlobal+str2("/nonexistent/apex.py")+opTuple1+opReduce+opStop,
		"STACK_GLOBAL on Python 2 strings in a protocol 2 stream")
	return s.cases
}

func stackJuggling() []Case {
	s := &set{technique: "pickle-stack-juggling"}
	s.pickle("arguments-before-function", "model.pkl", opProto(2)+str2("true")+opTuple1+opBinPut(0)+opPop+opGlobal("os", "system")+opBinGet(0)+opReduce+opStop,
		"the argument tuple is made first and fetched from the memo")
	s.pickle("dup-the-function", "model.pkl", opProto(2)+opGlobal("builtins", "print")+opDup+str2("apex")+opTuple1+opReduce+opPop+str2("apex")+opTuple1+opReduce+opStop,
		"DUP keeps the function for a second call")
	s.pickle("decoys-behind-a-mark", "model.pkl", opProto(2)+opGlobal("os", "system")+opMark+opNone+opEmptyList+opBinInt1(3)+opPopMark+opMark+str2("true")+opTuple+opReduce+opStop,
		"POP_MARK drops decoys between function and arguments")
	s.pickle("pop-removes-a-mark", "model.pkl", opProto(2)+opGlobal("os", "system")+opMark+opPop+str2("true")+opTuple1+opReduce+opStop, "POP takes away a MARK, as CPython allows")
	s.pickle("function-from-a-deep-stack", "model.pkl", opProto(3)+strings.Repeat(opMark+opNone, 40)+opGlobal("os", "system")+str2("true")+opTuple1+opReduce+strings.Repeat(opTuple, 40)+opStop,
		"the call stands forty marks deep")
	s.pickle("get-instead-of-push", "model.pkl", opProto(4)+text("true")+opMemoize+opTuple1+opMemoize+stackGlobal("os", "system")+opPop+opPop+opBinGet(4)+opBinGet(1)+opReduce+opStop,
		"function and arguments are both fetched from the memo")
	return s.cases
}

func resultPopped() []Case {
	s := &set{technique: "pickle-result-popped", reference: "GHSA-p523-jq9w-64x9"}
	evil := call("os", "system", str2("true"))
	s.pickle("pop", "model.pkl", opProto(2)+evil+opPop+opEmptyDict+opStop, "the result is popped; an empty dict is returned")
	s.pickle("pop-mark", "model.pkl", opProto(2)+opMark+evil+evil+opPopMark+pickle(2, dictOf("w", 1.0))[2:], "POP_MARK drops two results before plain data")
	s.pickle("popped-in-a-list", "model.pkl", opProto(4)+opEmptyList+opMemoize+opMark+opBinInt1(1)+call4("builtins", "eval", text("1"))+opPop+opBinInt1(2)+opAppends+opStop,
		"popped between two items of a list")
	s.pickle("overwritten-key", "model.pkl", opProto(2)+opEmptyDict+opMark+str2("a")+call("os", "getpid")+str2("a")+call("os", "getppid")+str2("a")+opBinInt1(1)+opSetItems+opStop,
		"the same key is set again, so that the result is lost")
	s.pickle("left-below-the-top", "model.pkl", opProto(2)+evil+pickle(2, listOf(1, 2, 3))[2:], "the result stays below what STOP returns")
	s.pickle("memo-overwritten", "model.pkl", opProto(2)+evil+opBinPut(0)+opPop+opNone+opBinPut(0)+opStop, "the memo slot that held the result gets None")
	return s.cases
}

func buildStates() []Case {
	s := &set{technique: "pickle-build-setstate", reference: "GHSA-q5qq-mvfm-j35x"}
	namespace := opGlobal("argparse", "Namespace") + opEmptyTuple + opNewObj
	s.pickle("instance-attribute", "model.pkl", opProto(2)+namespace+opEmptyDict+str2("__setstate__")+opGlobal("os", "system")+opSetItem+opBuild+str2("true")+opBuild+opStop,
		"the first BUILD gives the instance a __setstate__, the second calls it")
	s.pickle("slot-state", "model.pkl", opProto(4)+stackGlobal("types", "SimpleNamespace")+opEmptyTuple+opReduce+opNone+opEmptyDict+text("__setstate__")+stackGlobal("builtins", "exec")+
		opSetItem+opTuple2+opBuild+text("pass")+opBuild+opStop, "the same through the slot half of a state tuple")
	s.pickle("patched-class", "model.pkl", opProto(2)+opGlobal("argparse", "Namespace")+opNone+opEmptyDict+str2("__setstate__")+opGlobal("os", "system")+opSetItem+opTuple2+opBuild+
		opEmptyTuple+opNewObj+str2("true")+opBuild+opStop, "BUILD patches the class, an instance runs it")
	s.pickle("partial-setstate", "model.pkl", opProto(2)+opGlobal("functools", "partial")+tuple(opGlobal("builtins", "len"))+opNewObj+
		opMark+opGlobal("os", "system")+str2("true")+opTuple1+opEmptyDict+opNone+opTuple+opBuild+opEmptyTuple+opReduce+opStop,
		"partial.__setstate__ swaps len for os.system")
	s.pickle("module-attribute", "model.pkl", opProto(2)+call("importlib", "import_module", str2("json"))+opNone+opEmptyDict+str2("loads")+opGlobal("builtins", "eval")+opSetItem+opTuple2+opBuild+opStop,
		"BUILD replaces json.loads for the whole process")
	s.pickle("class-key", "model.pkl", opProto(2)+namespace+opNone+opEmptyDict+str2("__class__")+opGlobal("subprocess", "Popen")+opSetItem+opTuple2+opBuild+opStop, "BUILD changes the instance's class")
	s.pickle("reexported-class-dict", "model.pkl", opProto(2)+opGlobal("collections", "OrderedDict")+opEmptyTuple+opNewObj+opNone+opEmptyDict+str2("__setstate__")+
		opGlobal("builtins", "eval")+opSetItem+opTuple2+opBuild+str2("1+1")+opBuild+opStop, "an OrderedDict, which state dicts are made of, gets a __setstate__")
	return s.cases
}

func computedGlobals() []Case {
	s := &set{technique: "pickle-computed-global", reference: "GHSA-vvpj-8cmc-gx39"}
	run := func(function, argument string) string { return function + tuple(argument) + opReduce + opStop }
	osModule := call("importlib", "import_module", str2("os"))
	s.pickle("getattr-of-import", "model.pkl", opProto(2)+run(call("builtins", "getattr", osModule, str2("system")), str2("true")), "getattr on an imported module")
	s.pickle("concatenated-name", "model.pkl", opProto(4)+call4("operator", "concat", text("o"), text("s"))+call4("operator", "add", text("sys"), text("tem"))+opStackGlobal+
		text("true")+opTuple1+opReduce+opStop, "STACK_GLOBAL on two computed strings")
	s.pickle("rot13-name", "model.pkl", opProto(4)+text("os")+call4("codecs", "decode", text("flfgrz"), text("rot13"))+opStackGlobal+text("true")+opTuple1+opReduce+opStop,
		"the name is decoded while loading")
	s.pickle("latin1-bytes-name", "model.pkl", opProto(4)+call4("_codecs", "decode", octets("posix"), text("latin1"))+text("system")+opStackGlobal+text("true")+opTuple1+opReduce+opStop,
		"the module's name is decoded from bytes by a function that honest pickles use")
	s.pickle("resolve-name", "model.pkl", opProto(2)+run(call("pkgutil", "resolve_name", str2("os:system")), str2("true")), "pkgutil.resolve_name imports anything")
	s.pickle("attrgetter", "model.pkl", opProto(2)+run(call("operator", "attrgetter", str2("system"))+osModule+opTuple1+opReduce, str2("true")), "operator.attrgetter fetches the function")
	s.pickle("methodcaller", "model.pkl", opProto(2)+run(call("operator", "methodcaller", str2("system"), str2("true")), osModule), "operator.methodcaller calls it")
	s.pickle("item-of-sys-modules", "model.pkl", opProto(2)+run(call("builtins", "getattr", call("operator", "getitem", opGlobal("sys", "modules"), str2("os")), str2("popen")), str2("true")),
		"the module is an item of sys.modules")
	s.pickle("sys-modules-rewritten", "model.pkl", opProto(2)+opGlobal("sys", "modules")+str2("sys")+opGlobal("sys", "modules")+opSetItem+opGlobal("sys", "get")+
		tuple(str2("os"))+opReduce+opPop+opNone+opStop, "sys.modules['sys'] becomes sys.modules, so that GLOBAL reads a dict's methods")
	s.pickle("dunder-import", "model.pkl", opProto(3)+run(call("builtins", "getattr", call("builtins", "__import__", str2("subprocess")), str2("getoutput")), str2("true")), "__import__ and getattr")
	s.pickle("object-subclasses", "model.pkl", opProto(4)+run(call4("operator", "getitem", stackGlobal("builtins", "object.__subclasses__")+opEmptyTuple+opReduce, opBinInt2(137)), text("apex")), "calls a class of the process by its number")
	s.pickle("reduce-getattr", "model.pkl", opProto(2)+run(call("functools", "reduce", opGlobal("builtins", "getattr"), tuple(opGlobal("shutil", "os"), str2("system"))), str2("true")), "functools.reduce over getattr")
	return s.cases
}

func dottedReexports() []Case {
	s := &set{technique: "pickle-dotted-reexport", reference: "CVE-2025-10157"}
	for _, g := range [][3]string{
		{"shutil", "os.system", "true"}, {"torch.hub", "os.system", "true"}, {"torch.serialization", "os.popen", "true"},
		{"collections", "_sys.exit", "apex"}, {"logging", "os.system", "true"}, {"numpy.lib.npyio", "os.system", "true"},
		{"sklearn.utils", "warnings.sys.modules.get", "os"}, {"pathlib", "os.remove", "/nonexistent/apex"},
		{"torch", "os.system", "true"}, {"torch._utils", "sys.modules.get", "os"}, {"joblib.numpy_pickle", "os.system", "true"},
		{"argparse", "Namespace.__init__.__globals__.get", "_sys"}, {"pandas.compat", "sys.settrace", "x"},
		{"transformers.utils", "hub.os.system", "true"}, {"numpy", "__builtins__.get", "eval"},
	} {
		s.pickle(strings.ReplaceAll(g[0], ".", "-")+"-"+strings.ReplaceAll(g[1], ".", "-"), "model.pkl",
			framed(4, call4(g[0], g[1], text(g[2]))+opStop), "reaches "+g[1]+" through "+g[0])
	}
	s.pickle("protocol-2-function-reexport", "model.pkl", opProto(2)+call("torch.utils.collect_env", "run", str2("true"))+opStop, "a helper of a trusted package that runs a command")
	s.pickle("protocol-2-module-reexport", "model.pkl", opProto(2)+call("builtins", "getattr", opGlobal("torch.serialization", "os"), str2("system"))+opStop, "GLOBAL imports the module os out of torch")
	s.pickle("protocol-5-global-opcode", "model.pkl", opProto(5)+call("numpy.lib", "npyio.os.system", str2("true"))+opStop, "GLOBAL with a dotted name, which protocol 4 and later walk")
	return s.cases
}

func extRegistry() []Case {
	s := &set{technique: "pickle-ext-registry"}
	register := func(code int) string {
		return call("copyreg", "add_extension", str2("os"), str2("system"), opBinInt(code)) + opPop
	}
	s.pickle("ext1", "model.pkl", opProto(2)+register(241)+opExt1(241)+str2("true")+opTuple1+opReduce+opStop, "registers os.system as extension 241 and calls it by EXT1")
	s.pickle("ext2", "model.pkl", opProto(2)+register(4097)+opExt2(4097)+str2("true")+opTuple1+opReduce+opStop, "the same with EXT2")
	s.pickle("ext4", "model.pkl", opProto(4)+register(1<<20)+opExt4(1<<20)+text("true")+opTuple1+opReduce+opStop, "the same with EXT4")
	s.pickle("inverted-registry", "model.pkl", opProto(2)+opGlobal("copyreg", "_inverted_registry")+opBinInt1(7)+tuple(str2("os"), str2("system"))+opSetItem+opPop+opExt1(7)+str2("true")+opTuple1+opReduce+opStop,
		"writes the registry as a dict")
	s.pickle("extension-cache", "model.pkl", opProto(2)+opGlobal("copy_reg", "_extension_cache")+opBinInt1(9)+opGlobal("os", "system")+opSetItem+opPop+opExt1(9)+str2("true")+opTuple1+opReduce+opStop,
		"puts the function in the extension cache, under copyreg's Python 2 name")
	s.pickle("already-registered", "model.pkl", opProto(2)+opExt1(1)+str2("true")+opTuple1+opReduce+opStop, "calls whatever the process has registered as extension 1")
	return s.cases
}

func persistentIDs() []Case {
	s := &set{technique: "pickle-persid"}
	s.pickle("call-in-the-id", "model.pkl", opProto(2)+tuple(str2("storage"), call("os", "system", str2("true")))+opBinPersID+opStop, "the persistent id is computed by os.system")
	s.pickle("text-id-after-call", "model.pkl", call("os", "system", opUnicode("true"))+opPop+opPersID("0")+opStop, "a call, then PERSID, which raises in plain loaders")
	s.pickle("storage-type-is-a-call", "data.pkl", opProto(2)+call("torch._utils", "_rebuild_tensor_v2", opMark+str2("storage")+call("builtins", "eval", str2("1"))+str2("0")+str2("cpu")+opBinInt1(1)+opTuple+opBinPersID,
		opBinInt1(0), tuple(opBinInt1(1)), tuple(opBinInt1(1)), opNewFalse, call("collections", "OrderedDict"))+opStop, "the storage's type is the result of eval")
	s.pickle("container-source", "data.pkl", opProto(2)+opMark+str2("module")+opGlobal("os", "system")+str2("/nonexistent/apex.py")+str2("source")+opTuple+opBinPersID+str2("true")+opTuple1+opReduce+opStop,
		"torch's legacy persistent_load returns the class of a 'module' id, here os.system")
	return s.cases
}
