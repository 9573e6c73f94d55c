package corpus

import "encoding/base64"

// thirdPickleState write attributes, items or registries instead of calling.
func thirdPickleState() []Case {
	b := third("pickle-build-setstate")
	namespace := opGlobal("argparse", "Namespace") + opEmptyTuple + opNewObj
	attribute := func(name, function string) string {
		return opEmptyDict + str2(name) + function + opSetItem + opBuild
	}
	system := opGlobal("os", "system")
	b.pickle("append-is-system", "m.pkl", opProto(2)+namespace+attribute("append", system)+str2("true")+opAppend+opStop, "BUILD makes append os.system; APPEND calls it")
	b.pickle("extend-is-popen", "m.pkl", opProto(2)+namespace+attribute("extend", opGlobal("subprocess", "check_call"))+opMark+str2("true")+opAppends+opStop, "BUILD makes extend subprocess.check_call; APPENDS calls it with the list")
	b.pickle("add-is-exec", "m.pkl", opProto(4)+namespace+attribute("add", opGlobal("builtins", "exec"))+opMark+text("pass")+opAddItems+opStop, "BUILD makes add exec; ADDITEMS calls it")
	b.pickle("append-of-the-class", "m.pkl", opProto(2)+opGlobal("argparse", "Namespace")+opNone+opEmptyDict+str2("append")+system+opSetItem+opTuple2+opBuild+opEmptyTuple+opNewObj+str2("true")+opAppend+opStop,
		"BUILD gives the class an append that is os.system; APPEND on an instance calls it")
	b.pickle("partial-by-reduce-and-build", "m.pkl", opProto(4)+call4("functools", "partial", stackGlobal("builtins", "len"))+opMark+stackGlobal("subprocess", "getoutput")+tuple(text("true"))+opEmptyDict+opEmptyDict+opTuple+opBuild+opEmptyTuple+opReduce+opStop,
		"BUILD gives a partial of len another function, and it is called")
	b.pickle("methodcaller-state", "m.pkl", opProto(2)+opGlobal("collections", "UserDict")+opEmptyTuple+opNewObj+opNone+opEmptyDict+str2("__setstate__")+opGlobal("builtins", "exec")+opSetItem+opTuple2+opBuild+str2("pass")+opBuild+opStop, "a UserDict gets a __setstate__ by the slots' half of its state")

	m := third("pickle-global-mutation")
	m.pickle("environment", "m.pkl", opProto(2)+opGlobal("os", "environ")+str2("LD_PRELOAD")+str2("/nonexistent/libapex.so")+opSetItem+opStop, "SETITEM on os.environ: the next process loads a library; nothing is called")
	m.pickle("python-startup", "m.pkl", opProto(4)+stackGlobal("os", "environ")+opMark+text("PYTHONSTARTUP")+text("/nonexistent/apex.py")+text("PYTHONINSPECT")+text("1")+opSetItems+opStop, "SETITEMS on os.environ")
	m.pickle("module-path", "m.pkl", opGlobal("sys", "path")+opString("'/nonexistent/apex'")+opAppend+opStop, "APPEND to sys.path: later imports look in another directory")
	m.pickle("import-hooks", "m.pkl", opProto(2)+opGlobal("sys", "path_hooks")+opGlobal("os", "listdir")+opAppend+opStop, "APPEND to sys.path_hooks: a function of os sees every path that is imported from")
	m.pickle("builtins-by-a-dotted-name", "m.pkl", framed(4, stackGlobal("builtins", "__dict__")+text("len")+stackGlobal("builtins", "eval")+opSetItem+opStop), "SETITEM on the dict of builtins makes len eval")
	m.pickle("dispatch-table", "m.pkl", opProto(2)+opGlobal("copyreg", "dispatch_table")+opGlobal("argparse", "Namespace")+opGlobal("os", "popen")+opSetItem+opStop, "SETITEM on copyreg's table: the next pickling of a Namespace calls os.popen")
	m.pickle("attribute-of-a-module", "m.pkl", opProto(2)+opGlobal("posixpath", "os")+opNone+opEmptyDict+str2("getcwd")+opGlobal("builtins", "breakpoint")+opSetItem+opTuple2+opBuild+opStop, "BUILD of the module os replaces os.getcwd")
	m.pickle("exists-of-genericpath", "m.pkl", opProto(2)+opGlobal("posixpath", "genericpath")+opNone+opEmptyDict+str2("exists")+opGlobal("os", "remove")+opSetItem+opTuple2+opBuild+opStop, "BUILD of genericpath makes exists os.remove")
	return join(b, m)
}

// thirdPickleNested hold a pickle or code in another value.
func thirdPickleNested() []Case {
	n := third("pickle-nested")
	n.pickle("shelf", "m.pkl", pickle(4, reduce("operator.getitem", reduce("shelve.Shelf", dictOf(blob("weights"), blob(thirdEvil(1)))), "weights")), "an item of a shelf over a plain dict is unpickled")
	n.pickle("pure-python-unpickler", "m.pkl", pickle(3, dictOf("cache", reduce("pickle._loads", blob(thirdEvil(2))))), "pickle._loads, the unpickler in Python")
	n.pickle("object-array-in-bytes", "m.pkl", pickle(4, listOf(reduce("numpy.lib.format.read_array", reduce("_io.BytesIO", blob(npyObject(thirdEvil(3)))), true))), "numpy.lib.format.read_array of an object array")
	n.pickle("compressed-twice", "m.pkl", pickle(4, reduce("pickle.loads", reduce("lzma.decompress", reduce("bz2.decompress", blob(bzipped(xzed(thirdEvil(0)))))))), "bz2 of xz of a pickle")
	n.pickle("hexadecimal", "m.pkl", pickle(2, reduce("_pickle.loads", reduce("binascii.unhexlify", hexOf(thirdEvil(4))))), "a pickle in hexadecimal digits")
	n.pickle("storage-from-bytes-legacy", "m.pkl", pickle(2, dictOf("storage", reduce("torch.storage._load_from_bytes", blob(thirdLegacy(0))))), "torch reads a legacy file out of bytes, as deep-copied storages are pickled")
	n.pickle("joblib-from-bytes", "m.joblib", pickle(4, reduce("joblib.numpy_pickle.load", reduce("_io.BytesIO", blob(lz4ed(thirdEvil(5)))))), "joblib reads lz4 out of bytes")

	n.add("stable-baselines", "ppo.zip", thirdZip("data", `{"policy_class": {":type:": "<class 'abc.ABCMeta'>", ":serialized:": "`+base64.StdEncoding.EncodeToString([]byte(thirdEvil(1)))+`"}, "verbose": 0}`, "policy.pth", thirdSaved("policy", thirdState(thirdModels()[17].entries), false), "_stable_baselines3_version", "2.3.2"),
		"the settings of a saved agent hold a pickle in base64, which load() reads with cloudpickle")

	m := third("pickle-marshal-code")
	code := blob(codeObject(11, "warmup", "apex", "print"))
	m.pickle("read-code-of-a-pyc", "m.pkl", pickle(4, reduce("builtins.exec", reduce("pkgutil.read_code", reduce("_io.BytesIO", blob("\xa7\r\r\n"+string(make([]byte, 12)))+code)))), "pkgutil.read_code reads a .pyc out of bytes, exec runs it")
	m.pickle("marshal-load-of-a-stream", "m.pkl", pickle(4, reduce("builtins.eval", reduce("marshal.load", reduce("_io.BytesIO", code)))), "marshal.load and eval")
	m.pickle("function-by-newobj", "m.pkl", framed(4, stackGlobal("types", "FunctionType")+tuple(call4("marshal", "loads", octets(string(code))), opEmptyDict)+opNewObj+text("x")+opTuple1+opReduce+opStop), "NEWOBJ makes a function of marshalled code, REDUCE calls it")
	m.pickle("run-code-of-runpy", "m.pkl", pickle(3, reduce("runpy._run_code", reduce("marshal.loads", reduce("base64.b85decode", base85(string(code)))), dictOf())), "runpy._run_code of marshalled code in base 85")
	m.pickle("zipimport-unmarshal", "m.pkl", pickle(4, reduce("builtins.exec", reduce("marshal.loads", reduce("zlib.decompress", reduce("base64.b64decode", base64.StdEncoding.EncodeToString([]byte(zlibbed(string(code), 9)))))))), "code in zlib in base64")
	return join(n, m)
}

func hexOf(s string) string {
	const digits = "0123456789abcdef"
	b := make([]byte, 0, 2*len(s))
	for i := range len(s) {
		b = append(b, digits[s[i]>>4], digits[s[i]&15])
	}
	return string(b)
}

// base85 is base64.b85encode of Python, git's alphabet.
func base85(s string) string {
	const alphabet = "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz!#$%&()*+-;<=>?@^_`{|}~"
	pad := (4 - len(s)%4) % 4
	s += string(make([]byte, pad))
	var out []byte
	for i := 0; i < len(s); i += 4 {
		n := uint32(s[i])<<24 | uint32(s[i+1])<<16 | uint32(s[i+2])<<8 | uint32(s[i+3])
		var group [5]byte
		for k := 4; k >= 0; k-- {
			group[k] = alphabet[n%85]
			n /= 85
		}
		out = append(out, group[:]...)
	}
	return string(out[:len(out)-pad])
}

// thirdLegacy is a torch file of the time before zip; its object is the nth
// state dict, with its storage behind it.
func thirdLegacy(n int) string { return torchLegacy(thirdStateDict(n), weights(701, 8)) }
