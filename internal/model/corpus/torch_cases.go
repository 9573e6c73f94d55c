package corpus

import "strings"

// torchLegacy is what torch.save wrote before 1.6: magic, protocol, system,
// object, storage keys, then each storage (here of float32) with its length.
func torchLegacy(object string, storages ...string) string {
	lengths := make([]int, len(storages))
	for i, s := range storages {
		lengths[i] = len(s) / 4
	}
	return torchLegacyOf(object, storages, lengths)
}

// torchLegacyOf is torchLegacy with the storages' lengths in elements.
func torchLegacyOf(object string, storages []string, lengths []int) string {
	keys := make([]any, len(storages))
	var data strings.Builder
	for i, s := range storages {
		keys[i] = itoa(i)
		data.WriteString(le64(lengths[i]) + s)
	}
	return torchLegacyHead() + object + pickle(2, listOf(keys...)) + data.String()
}

func torchLegacyHead() string {
	return pickle(2, bigMagic()) + pickle(2, 1001) +
		pickle(2, dictOf("protocol_version", 1001, "little_endian", true, "type_sizes", dictOf("short", 2, "int", 4, "long", 4)))
}

func torchLegacyCases() []Case {
	s := &set{technique: "torch-legacy"}
	s.add("object", "model.pth", torchLegacy(evilStateDict(0), weights(1, 8)), "the object is an evil state dict")
	s.add("inst-in-object", "model.pth", torchLegacy(evilStateDict(1), weights(2, 8)), "the same with INST")
	s.add("storage-keys", "model.pth", torchLegacyHead()+plainStateDict()+evil(0)+le64(8)+weights(3, 8), "the list of storage keys is a call")
	s.add("system-info", "model.pth", pickle(2, bigMagic())+pickle(2, 1001)+evil(2)+plainStateDict()+pickle(2, listOf("0"))+le64(8)+weights(4, 8), "the third stream is a call")
	s.add("protocol-stream", "model.pth", pickle(2, bigMagic())+evil(5)+plainStateDict(), "the second stream is a call")
	s.add("after-storages", "model.pth", torchLegacy(plainStateDict(), weights(5, 8))+evil(1), "a pickle follows the storages")
	s.add("lazy-magic", "model.pth", opProto(2)+call("os", "system", str2("true"))+opPop+pickle(2, bigMagic())[2:]+torchLegacy(plainStateDict(), weights(6, 8))[len(pickle(2, bigMagic())):], "the call precedes the magic number in the first stream")
	return s.cases
}

func torchTar(pkl, sysInfo, tensors, storages string) string {
	return tarOf(tarFile{"sys_info", sysInfo}, tarFile{"pickle", pkl}, tarFile{"tensors", tensors}, tarFile{"storages", storages})
}

func torchTarCases() []Case {
	s := &set{technique: "torch-legacy-tar", reference: "CVE-2025-32434"}
	info := pickle(2, dictOf("protocol_version", 1000, "little_endian", true))
	none := pickle(2, 0)
	s.add("pickle", "model.pt", torchTar(evil(0), info, none, none), "torch.load of a tar reads 'pickle' without weights_only")
	s.add("storages", "model.pt", torchTar(plainStateDict(), info, none, evil(1)), "the storages member is a call")
	s.add("tensors", "model.pt", torchTar(plainStateDict(), info, pickle(2, 1)+evil(2), none), "the tensors member has a call in its second stream")
	s.add("long-names", "checkpoint.tar", tarOf(tarFile{"./" + strings.Repeat("x/", 80) + "readme", "x"}, tarFile{"pickle", evil(3)}, tarFile{"storages", none}), "behind a member with a PAX name")
	return s.cases
}

func torchZipCases() []Case {
	s := &set{technique: "torch-zip"}
	s.add("state-dict", "pytorch_model.bin", string(torchZip("archive", evilStateDict(0), []string{weights(1, 8)})), "data.pkl calls os.system beside a tensor")
	s.add("inst", "model.pt", string(torchZip("model", evilStateDict(1), []string{weights(2, 8)})), "data.pkl calls eval by INST")
	s.add("old-layout", "model.pth", string(archive{members: []member{torchMember("m/data.pkl", evilStateDict(3)), torchMember("m/data/0", weights(3, 8)), torchMember("m/version", "3\n")}}.bytes()), "the layout of torch 1.6")
	s.add("deflated", "model.pth", string(archive{members: []member{{name: "best/data.pkl", data: evil(4), deflate: true, unixTime: true}, {name: "best/version", data: "3\n", deflate: true, unixTime: true}}}.bytes()), "zipped again by hand")
	s.add("protocol-4", "ckpt.ckpt", string(torchZip("ckpt", framed(4, opEmptyDict+opMemoize+text("state_dict")+call4("importlib", "import_module", text("antigravity"))+opSetItem+opStop), nil)), "data.pkl of protocol 4 imports a module")
	s.add("optimizer-hook", "training.pt", string(torchZip("archive", opProto(2)+opGlobal("torch.optim.sgd", "SGD")+opEmptyTuple+opNewObj+opEmptyDict+str2("step")+call("functools", "partial", opGlobal("os", "system"), str2("true"))+opSetItem+opBuild+opStop, nil)),
		"an optimizer whose step is a partial of os.system")
	s.add("custom-module", "model.pt", string(torchZip("archive", opProto(2)+opGlobal("torch.nn.modules.container", "Sequential")+opEmptyTuple+opNewObj+opEmptyDict+str2("forward")+opGlobal("os", "system")+opSetItem+opBuild+opStop, nil)),
		"a module whose forward is os.system, imported as a value and never called while loading")
	return s.cases
}

func torchOddMembers() []Case {
	s := &set{technique: "torch-zip-odd-member"}
	for i, name := range []string{"archive/data/0", "archive/extra/hook.pkl", "archive/.data/loader", "archive/attributes.pkl", "other/data.pkl", "archive/data/weights.bin"} {
		storages := []string{weights(1, 8)}
		if i == 0 {
			storages = []string{evil(0)}
			s.add("storage", "model.pt", string(torchZip("archive", plainStateDict(), storages)), "a storage is a pickle")
			continue
		}
		s.add(strings.NewReplacer("/", "-", ".", "").Replace(name), "model.pt", string(torchZip("archive", plainStateDict(), storages, torchMember(name, evil(i)))), "data.pkl is plain, "+name+" is an evil pickle")
	}
	s.add("compressed", "model.pt", string(torchZip("archive", plainStateDict(), nil, torchMember("archive/notes.txt", gzipped(evil(4))))), "a gzip of a pickle that is called notes.txt")
	return s.cases
}

func torchScriptCases() []Case {
	s := &set{technique: "torchscript-constants"}
	code := "class Net(Module):\n  __parameters__ = [\"weight\", ]\n  __buffers__ = []\n  weight : Tensor\n  training : bool\n  def forward(self: __torch__.Net,\n    x: Tensor) -> Tensor:\n    return torch.add(x, self.weight)\n"
	ts := func(data, constants string, extra ...member) string {
		return string(archive{zip64: true, members: append([]member{torchMember("net/data.pkl", data), torchMember("net/code/__torch__.py", code),
			torchMember("net/code/__torch__.py.debug_pkl", pickle(2, tup{"FORMAT_WITH_STRING_TABLE"})), torchMember("net/constants.pkl", constants), torchMember("net/version", "3\n")}, extra...)}.bytes())
	}
	s.add("constants", "net.pt", ts(plainStateDict(), evil(0)), "constants.pkl is a call")
	s.add("debug-pickle", "net.pt", ts(plainStateDict(), pickle(2, tup{}), torchMember("net/code/__torch__/torch/nn.py.debug_pkl", evil(1))), "a debug_pkl is a call")
	s.add("data", "net.pt", ts(evilStateDict(2), pickle(2, tup{})), "data.pkl of a TorchScript archive is a call")
	s.add("extra-file", "net.pt", ts(plainStateDict(), pickle(2, tup{}), torchMember("net/extra/producer.pkl", evil(3))), "an extra file is a call")
	return s.cases
}

func marshalCases() []Case {
	s := &set{technique: "pickle-marshal-code", reference: "CVE-2025-1716"}
	code := func(minor int) string { return codeObject(minor, "<lambda>", "apex", "print") }
	s.pickle("marshal-loads-function", "model.pkl", opProto(3)+call("types", "FunctionType", call("marshal", "loads", octets(code(8))), opEmptyDict)+str2("x")+opTuple1+opReduce+opStop, "marshal.loads, FunctionType, call")
	s.pickle("stack-global-311", "model.pkl", framed(4, call4("types", "FunctionType", call4("marshal", "loads", octets(code(11))), call4("builtins", "globals"))+text("x")+opTuple1+opReduce+opStop), "the same for Python 3.11")
	s.pickle("code-type", "model.pkl", opProto(4)+opMark+stackGlobal("types", "CodeType")+opBinInt1(0)+opBinInt1(0)+opBinInt1(0)+opBinInt1(0)+opBinInt1(1)+opBinInt1(67)+octets("d\x00S\x00")+tuple(opNone)+opEmptyTuple+opEmptyTuple+text("<s>")+text("f")+opBinInt1(1)+octets("")+opObj+opStop, "types.CodeType from raw bytecode")
	s.pickle("dill-create-function", "model.pkl", opProto(4)+call4("dill._dill", "_create_function", call4("dill._dill", "_create_code", octets(code(10))), opEmptyDict, text("f"))+opStop, "dill rebuilds a function")
	s.pickle("cloudpickle-make-function", "model.pkl", framed(5, call4("cloudpickle.cloudpickle", "_make_function", call4("cloudpickle.cloudpickle", "_builtin_type", text("CodeType"))+opBinInt1(0)+opTuple1+opReduce, opEmptyDict, opNone)+opStop), "cloudpickle rebuilds a function")
	s.pickle("exec-of-marshal", "model.pkl", opProto(2)+call("builtins", "exec", call("marshal", "loads", call("_codecs", "encode", str2(latin1(code(9))), str2("latin1"))))+opStop, "exec of a code object that travels as text")
	s.pickle("zlib-marshal", "model.pkl", opProto(3)+call("marshal", "loads", call("zlib", "decompress", octets(zlibbed(code(12), 6))))+opStop, "the code object is compressed")
	s.pickle("ipykernel-codeutil", "model.pkl", opProto(4)+call4("dill._dill", "_unmarshal", octets(code(7)))+opStop, "dill's _unmarshal")
	return s.cases
}

func polyglots() []Case {
	a := &set{technique: "polyglot-pickle-zip"}
	plain := string(torchZip("archive", plainStateDict(), []string{weights(1, 8)}))
	a.add("pickle-head", "model.pt", evil(0)+plain, "a pickle to readers of the beginning, a plain torch archive to zip readers")
	a.add("zip-inside-a-string", "model.pkl", opProto(3)+opBinBytes(plain)+opPop+call("os", "system", str2("true"))+opStop, "the archive is a bytes literal of the pickle")
	a.add("pickle-head-adjusted", "model.pt", string(archive{prefix: evil(2), adjusted: true, members: torchMembers("archive", plainStateDict(), nil)}.bytes()), "the same with right offsets")
	a.add("both-evil", "model.pt", evil(4)+string(hidden(0, nil).bytes()), "both readings are evil")
	a.add("unterminated-head", "model.bin", strings.TrimSuffix(evil(1), opStop)+string(torchZip("m", plainStateDict(), nil)), "the pickle runs into the archive and breaks after its call")
	b := &set{technique: "polyglot-safetensors-zip"}
	header := `{"w":{"dtype":"F32","shape":[2],"data_offsets":[0,8]}}`
	st := safetensors(header, weights(2, 2))
	b.add("archive-after", "model.safetensors", st+string(hidden(1, nil).bytes()), "a torch archive follows the tensors")
	b.add("archive-as-tensor", "model.safetensors", func() string {
		z := string(hidden(2, nil).bytes())
		return safetensors(`{"w":{"dtype":"U8","shape":[`+itoa(len(z))+`],"data_offsets":[0,`+itoa(len(z))+`]}}`, z)
	}(), "a tensor is a torch archive, and the last of the file")
	b.add("archive-in-metadata", "model.safetensors", func() string {
		z := latin1Escaped(string(archive{members: []member{{name: "data.pkl", data: evil(3)}}}.bytes()))
		return safetensors(`{"__metadata__":{"blob":"`+z+`"},"w":{"dtype":"F32","shape":[2],"data_offsets":[0,8]}}`, weights(3, 2)) + string(archive{members: []member{{name: "data.pkl", data: evil(3)}}}.bytes())
	}(), "an archive in the metadata and one behind")
	b.add("pickle-as-tensor-head", "model.safetensors", le64(0x80)+evil(0)+strings.Repeat(" ", 0x80-len(evil(0)))+plain, "the header is a pickle, the data an archive")
	return join(a, b)
}

func latin1Escaped(s string) string {
	var b strings.Builder
	for i := range len(s) {
		b.WriteString(`\u` + hex(int(s[i]), 4))
	}
	return b.String()
}
