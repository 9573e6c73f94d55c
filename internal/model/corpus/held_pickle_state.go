package corpus

import "encoding/base64"

// heldPickleNested hold the pickle, or the code, that matters inside another
// value, as text or bytes that a second reader turns into values.
func heldPickleNested() []Case {
	s := heldCase("pickle-nested")
	s.pickle("three-deep", "m.pkl", pickle(4, reduce("_pickle.loads", blob(pickle(2, reduce("pickle.loads", blob(pickle(4, reduce("pickle.loads", blob(evil(1)))))))))), "loads of loads of loads")
	s.pickle("gzip-in-pickle", "m.pkl", pickle(4, reduce("pickle.loads", reduce("gzip.decompress", blob(gzipped(evil(0)))))), "a gzipped pickle")
	s.pickle("load-from-bytes", "m.pkl", pickle(2, dictOf("weight", reduce("torch.storage._load_from_bytes", blob(torchLegacyEvil())))), "torch reads a whole legacy file out of a pickle")
	s.pickle("load-from-bytes-zip", "m.pkl", pickle(4, reduce("torch.storage._load_from_bytes", blob(torchZip("archive", evilStateDict(0), []string{weights(3, 8)})))), "torch reads a whole zip out of a pickle")
	s.pickle("joblib-of-bytesio", "m.pkl", pickle(3, reduce("joblib.numpy_pickle.load", reduce("_io.BytesIO", blob(zlibbed(evil(5), 3))))), "joblib reads a compressed pickle out of a pickle")
	s.pickle("unpickler-load", "m.pkl", pickle(4, method(reduce("_pickle.Unpickler", reduce("_io.BytesIO", blob(evil(3)))), "load")), "an Unpickler over BytesIO")
	s.pickle("base64", "m.pkl", pickle(4, reduce("pickle.loads", reduce("base64.b64decode", base64.StdEncoding.EncodeToString([]byte(evil(4)))))), "a pickle in base64")
	s.pickle("numpy-load-of-bytesio", "m.pkl", pickle(4, reduce("numpy.load", reduce("_io.BytesIO", blob(npyObject(evil(0)))), nil, true)), "numpy reads an object array out of a pickle")

	m := heldCase("pickle-marshal-code")
	code := codeObject(11, "<lambda>", "apex", "print")
	m.pickle("called-function", "m.pkl", pickle(4, via(reduce("types.FunctionType", reduce("marshal.loads", blob(code)), dictOf()))), "a function of marshalled code is called")
	m.pickle("compile-bytecode", "m.pkl", pickle(4, via(reduce("types.LambdaType", reduce("importlib._bootstrap_external._compile_bytecode", blob(code), "x"), dictOf()))), "importlib's own unmarshaller")
	m.pickle("code-type", "m.pkl", pickle(3, via(reduce("types.FunctionType", reduce("types.CodeType", 0, 0, 0, 0, 1, 3, blob("\x97\x00d\x00S\x00"), tup{nil}, tup{}, tup{}, "m", "f", "f", 1, blob(""), blob(""), tup{}, tup{}), dictOf()))), "the code's fields one by one")
	m.pickle("dill-create-function", "m.pkl", pickle(4, via(reduce("dill._dill._create_function", reduce("dill._dill._create_code", 0, 0, 0, 0, 1, 67, blob("d\x00S\x00"), tup{nil}, tup{}, tup{}, "m", "f", 1, blob(""), tup{}, tup{}), dictOf(), "f", nil, nil))), "dill's function is called")
	m.pickle("cloudpickle-make-function", "m.pkl", pickle(5, via(reduce("cloudpickle.cloudpickle._make_function", reduce("marshal.loads", blob(code)), dictOf(), nil, nil, nil))), "cloudpickle's function is called")
	m.pickle("unpickle-code", "m.pkl", pickle(2, reduce("builtins.exec", reduce("idlelib.rpc.unpickle_code", blob(code)))), "IDLE's unmarshaller and exec")
	return join(s, m)
}

// torchLegacyEvil is a torch file of the time before zip, whose object calls.
func torchLegacyEvil() string {
	return pickle(2, bigMagic()) + pickle(2, 1001) + pickle(2, dictOf("protocol_version", 1001, "little_endian", true)) + evilStateDict(1) + pickle(2, listOf())
}

// heldPickleState use BUILD, which calls __setstate__ or writes attributes.
func heldPickleState() []Case {
	s := heldCase("pickle-build-setstate")
	system := opGlobal("os", "system")
	namespace := opGlobal("argparse", "Namespace") + opEmptyTuple + opNewObj
	s.pickle("slot-state-on-the-class", "m.pkl", opProto(2)+opGlobal("argparse", "Namespace")+opNone+opEmptyDict+opBinUnicode("__setstate__")+system+opSetItem+opTuple2+opBuild+opPop+
		namespace+opBinUnicode("true")+opBuild+opStop, "BUILD writes __setstate__ on the class; BUILD of an instance calls it")
	s.pickle("slot-state-on-the-instance", "m.pkl", opProto(2)+namespace+opNone+opEmptyDict+opBinUnicode("__setstate__")+system+opSetItem+opTuple2+opBuild+opBinUnicode("true")+opBuild+opStop, "the slots half of the state sets __setstate__")
	s.pickle("partial-setstate", "m.pkl", opProto(2)+opGlobal("functools", "partial")+opGlobal("builtins", "print")+opTuple1+opNewObj+
		opMark+system+opBinUnicode("true")+opTuple1+opEmptyDict+opNone+opTuple+opBuild+opEmptyTuple+opReduce+opStop, "partial.__setstate__ changes print into os.system, and the partial is called")
	s.pickle("class-of-the-instance", "m.pkl", opProto(4)+stackGlobal("argparse", "Namespace")+opEmptyTuple+opNewObj+opNone+opEmptyDict+text("__class__")+stackGlobal("subprocess", "Popen")+opSetItem+opTuple2+opBuild+opStop, "the state changes the instance's class")
	s.pickle("patches-a-trusted-class", "m.pkl", opProto(2)+opGlobal("collections", "OrderedDict")+opNone+opEmptyDict+opBinUnicode("update")+opGlobal("builtins", "exec")+opSetItem+opTuple2+opBuild+opStop, "BUILD on a class of the standard library")
	s.pickle("patches-a-torch-function", "m.pkl", opProto(2)+opGlobal("torch._utils", "_rebuild_tensor_v2")+opNone+opEmptyDict+opBinUnicode("__code__")+call("marshal", "loads", opBinUnicode("x"))+opSetItem+opTuple2+opBuild+opStop, "BUILD gives a function of torch other code")
	return s.cases
}
