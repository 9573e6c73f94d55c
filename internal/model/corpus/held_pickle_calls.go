package corpus

import "strings"

// sysTrue and evalOne are calls in opcodes that any protocol may hold.
const (
	sysTrue = "cos\nsystem\n(S'true'\ntR"
	evalOne = "cbuiltins\neval\nX\x03\x00\x00\x001+1\x85R"
)

// heldPickleCalls are the ways to import and to call, each in shapes that
// picklers never write and unpicklers read.
func heldPickleCalls() []Case {
	global := heldCase("pickle-global-reduce")
	global.pickle("in-a-key-of-a-dict", "m.pkl", opProto(2)+opEmptyDict+evalOne+opBinUnicode("w")+opSetItem+opStop, "the call makes a dict's key")
	global.pickle("in-a-frozenset", "m.pkl", opProto(4)+opMark+text("w")+sysTrue+opFrozenSet+opStop, "the call makes an element of a frozenset")
	global.pickle("posixpath-os", "m.pkl", opProto(3)+opGlobal("posixpath", "os")+opPop+opGlobal("nt", "system")+text("true")+opTuple1+opReduce+opStop, "imports os from posixpath, calls nt.system")
	global.pickle("arguments-from-the-memo", "m.pkl", opProto(2)+opBinUnicode("pass")+opLongBinPut(70_000)+opPop+opNone+opPop+
		opGlobal("builtins", "exec")+opLongBinGet(70_000)+opTuple1+opBinPut(1)+opReduce+opStop, "the argument waits at a far place of the memo")
	global.pickle("result-is-the-argument-tuple", "m.pkl", opProto(2)+opGlobal("os", "system")+opGlobal("builtins", "tuple")+opEmptyList+
		opBinUnicode("true")+opAppend+opTuple1+opReduce+opReduce+opStop, "tuple([...]) makes the arguments of os.system")

	inst := heldCase("pickle-inst")
	inst.pickle("python2-name", "m.pkl", opMark+opString("'true'")+opInst("commands", "getoutput")+opStop, "INST of commands, which fix_imports turns into subprocess")
	inst.pickle("in-protocol-5", "m.pkl", framed(5, text("layers")+opMemoize+opPop+opMark+opBinGet(0)+opPop+text("pass")+opInst("builtins", "exec")+opStop), "INST inside a frame of protocol 5, behind a popped decoy")
	inst.pickle("nested-marks", "m.pkl", opMark+opMark+opMark+opTuple+opPop+opString("'1+1'")+opInst("builtins", "eval")+opList+opStop, "INST between marks")

	obj := heldCase("pickle-obj")
	obj.pickle("class-from-the-memo", "m.pkl", opGlobal("os", "system")+opPut(3)+opPop+opMark+opGet(3)+opString("'true'")+opObj+opStop, "OBJ whose class is a GET")
	obj.pickle("class-by-dup", "m.pkl", opProto(1)+opGlobal("builtins", "eval")+opDup+opPop+opPop+opMark+opGlobal("builtins", "eval")+opDup+opPop+opBinUnicode("1+1")+opObj+opStop, "OBJ whose class was copied by DUP")
	obj.pickle("class-by-a-call", "m.pkl", opMark+opGlobal("operator", "attrgetter")+opString("'system'")+opTuple1+opReduce+opGlobal("posixpath", "os")+opTuple1+opReduce+opString("'true'")+opObj+opStop, "OBJ whose class a call returned")

	newobj := heldCase("pickle-newobj")
	mapped := opGlobal("builtins", "map") + tuple(opGlobal("os", "system"), opEmptyList+opBinUnicode("true")+opAppend) + opNewObj
	newobj.pickle("tuple-walks-map", "m.pkl", opProto(2)+opGlobal("builtins", "tuple")+mapped+opTuple1+opNewObj+opStop, "NEWOBJ of map and of tuple: the second walks the first")
	newobj.pickle("frozenset-walks-filter", "m.pkl", opProto(4)+stackGlobal("builtins", "frozenset")+call4filter()+opTuple1+opNewObj+opStop, "NEWOBJ of frozenset over a filter")
	newobj.pickle("memmap", "m.pkl", opProto(2)+opGlobal("numpy", "memmap")+tuple(text("/nonexistent/apex"), text("f4"), text("w+"))+opNewObj+opStop, "numpy.memmap.__new__ opens a file to write")
	newobj.pickle("ex-with-keywords", "m.pkl", opProto(4)+stackGlobal("numpy", "memmap")+opEmptyTuple+opEmptyDict+opMark+text("filename")+text("/nonexistent/apex")+
		text("mode")+text("w+")+text("shape")+opBinInt1(4)+opTuple1+opSetItems+opNewObjEx+opStop, "NEWOBJ_EX with the file's name as a keyword")

	sg := heldCase("pickle-stack-global")
	sg.pickle("long-string-opcodes", "m.pkl", opProto(4)+opBinUnicode8("builtins")+opBinUnicode8("exec")+opStackGlobal+opBinUnicode8("pass")+opTuple1+opReduce+opStop, "STACK_GLOBAL of BINUNICODE8")
	sg.pickle("protocol-0-strings", "m.pkl", opUnicode(`o\u0073`)+opUnicode(`\u0073ystem`)+opStackGlobal+opUnicode("true")+opTuple1+opReduce+opStop, "STACK_GLOBAL of escaped UNICODE without PROTO")
	sg.pickle("same-string-twice", "m.pkl", framed(4, text("code")+opMemoize+opPop+text("code")+text("interact")+opStackGlobal+opEmptyTuple+opReduce+opStop), "code.interact, with a decoy of the module's name")
	sg.pickle("swapped-by-memo", "m.pkl", framed(4, opMark+text("system")+opMemoize+text("os")+opMemoize+opPopMark+opBinGet(1)+opBinGet(0)+opStackGlobal+text("true")+opTuple1+opReduce+opStop), "module and name come from the memo in the other order")

	computed := heldCase("pickle-computed-global")
	computed.pickle("typing-cast", "m.pkl", framed(4, call4("typing", "cast", opNone, text("os"))+call4("typing", "cast", opNone, text("system"))+opStackGlobal+text("true")+opTuple1+opReduce+opStop), "typing.cast returns the names")
	computed.pickle("getitem-of-a-dict", "m.pkl", framed(4, text("os")+call4("operator", "getitem", opEmptyDict+text("a")+text("system")+opSetItem, text("a"))+opStackGlobal+text("true")+opTuple1+opReduce+opStop), "the name is looked up in a dict")
	computed.pickle("sys-intern", "m.pkl", framed(4, call4("sys", "intern", text("builtins"))+text("eval")+opStackGlobal+text("1+1")+opTuple1+opReduce+opStop), "sys.intern returns the module's name")
	computed.pickle("ufunc-reconstruct", "m.pkl", framed(5, call4("numpy._core", "_ufunc_reconstruct", text("builtins"), text("exec"))+text("pass")+opTuple1+opReduce+opStop), "a trusted function of numpy imports builtins.exec")
	computed.pickle("getattr-static", "m.pkl", opProto(2)+opGlobal("inspect", "getattr_static")+tuple(opGlobal("posixpath", "os"), opBinUnicode("system"))+opReduce+opBinUnicode("true")+opTuple1+opReduce+opStop, "inspect.getattr_static stands for getattr")
	computed.pickle("string-method", "m.pkl", framed(4, call4("_codecs", "decode", octets("bf"), text("rot13"))+text("system")+opStackGlobal+text("true")+opTuple1+opReduce+opStop), "rot13 of the module's name")

	dotted := heldCase("pickle-dotted-reexport")
	for name, at := range ordered("argparse-os", [2]string{"argparse", "_os.system"}, "pathlib-os", [2]string{"pathlib", "os.system"},
		"sklearn-base-platform", [2]string{"sklearn.base", "platform.os.system"}, "numpy-lib-datasource", [2]string{"numpy.lib", "_datasource.os.system"},
		"torch-serialization-os", [2]string{"torch.serialization", "os.system"}, "collections-abc-sys", [2]string{"_collections_abc", "sys.modules.__class__.pop"},
		"namespace-globals", [2]string{"argparse", "Namespace.__init__.__globals__.get"}, "ordereddict-self", [2]string{"collections", "OrderedDict.fromkeys.__self__.__subclasses__"}) {
		dotted.pickle(name, "m.pkl", framed(4, call4(at[0], at[1], text("true"))+opStop), "walks from "+at[0]+" to "+at[1])
	}
	dotted.pickle("builtins-of-a-function", "m.pkl", framed(4, call4("argparse", "Namespace.__init__.__builtins__.__getitem__", text("exec"))+text("pass")+opTuple1+opReduce+opStop),
		"the attribute __builtins__ of a method gives exec")
	dotted.pickle("module-without-a-dot", "m.pkl", opProto(2)+opGlobal("random", "_os")+opNone+opEmptyDict+opBinUnicode("getcwd")+opGlobal("builtins", "exec")+opSetItem+opTuple2+opBuild+opStop,
		"BUILD puts exec in the place of os.getcwd, through the name of os in random")

	return join(global, inst, obj, newobj, sg, computed, dotted, heldExtensions(), heldPersistent())
}

func call4filter() string {
	return stackGlobal("builtins", "filter") + tuple(stackGlobal("posix", "system"), opEmptyList+text("true")+opAppend) + opNewObj
}

func heldExtensions() *set {
	s := heldCase("pickle-ext-registry")
	s.pickle("cache-by-setitem", "m.pkl", opProto(2)+opGlobal("copyreg", "_extension_cache")+opBinInt1(200)+opGlobal("os", "system")+opSetItem+opPop+
		opExt1(200)+opBinUnicode("true")+opTuple1+opReduce+opStop, "SETITEM into copyreg's cache, no call before EXT1")
	s.pickle("inverted-by-setitems", "m.pkl", opProto(3)+opGlobal("copyreg", "_inverted_registry")+opMark+opBinInt(70_000)+text("builtins")+text("eval")+opTuple2+opSetItems+opPop+
		opExt4(70_000)+text("1+1")+opTuple1+opReduce+opStop, "SETITEMS into copyreg's registry, then EXT4")
	s.pickle("registered-in-stream-one", "m.pkl", opProto(2)+call("copyreg", "add_extension", text("os"), text("system"), opBinInt2(300))+opStop+
		opProto(2)+opExt2(300)+text("true")+opTuple1+opReduce+opStop, "the first stream registers what the second uses")
	s.pickle("code-one", "m.pkl", opProto(2)+call("copy_reg", "add_extension", text("code"), text("interact"), opBinInt1(1))+opPop+opExt4(1)+opEmptyTuple+opReduce+opStop, "copy_reg of Python 2 registers code 1, EXT4 reads it")
	return s
}

func heldPersistent() *set {
	s := heldCase("pickle-persid")
	s.pickle("call-in-a-torch-storage-id", "m.bin", opProto(2)+opMark+text("storage")+evalOne+text("0")+text("cpu")+opBinInt1(4)+opTuple+opBinPersID+opStop,
		"the storage's type in a persistent id is the result of a call")
	s.pickle("location-by-a-call", "m.bin", opProto(2)+opMark+text("storage")+opGlobal("torch", "FloatStorage")+text("0")+sysTrue+opBinInt1(4)+opTuple+opBinPersID+opStop,
		"the storage's location in a persistent id is the result of a call")
	s.pickle("text-id-and-then-a-call", "m.pkl", opPersID("model-7")+opPop+sysTrue+opStop, "PERSID of protocol 0, then a call")
	s.pickle("id-makes-the-callable", "m.pkl", opProto(4)+text("func:os.system")+opBinPersID+text("true")+opTuple1+opReduce+opStop, "what the persistent id returns is called")
	return s
}

// heldPadding is n bytes of a text that is not worth compressing.
func heldPadding(n int) string { return strings.Repeat("loss 0.0421 lr 3e-4\n", n/20+1)[:n] }
