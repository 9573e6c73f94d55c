package corpus

import (
	"strconv"
	"strings"
)

func heldTorchFiles() []Case {
	pt := heldCase("torch-zip")
	pt.add("call-as-a-state-dict-key", "model.pt", string(torchZip("model", opProto(2)+opEmptyDict+sysTrue+opBinInt1(0)+opSetItem+opStop, []string{weights(1, 8)})), "the call makes a key of the state dict")
	pt.add("deflated-pickle", "model.pth", string(archive{members: append([]member{{name: "archive/data.pkl", data: evilStateDict(0), deflate: true}}, heldHonestMembers()[1:]...)}.bytes()), "a state dict that was packed again with deflate")
	pt.add("root-in-unicode", "модель.pt", string(torchZip("модель", evilStateDict(1), []string{weights(1, 8)})), "the root folder is not ASCII")
	pt.add("pickle-of-protocol-5", "model.pt", string(torchZip("archive", framed(5, call4("builtins", "exec", text("pass"))+opStop), nil)), "torch.save(pickle_protocol=5) with a call")
	pt.add("big-endian", "model.pt", string(archive{members: []member{torchMember("m/data.pkl", evilStateDict(2)), torchMember("m/byteorder", "big"), torchMember("m/data/0", weights(1, 8)), torchMember("m/version", "3\n")}}.bytes()), "written on a big-endian machine")

	odd := heldCase("torch-zip-odd-member")
	honest := func(extra ...member) string {
		return string(torchZip("archive", plainStateDict(), []string{weights(2, 8)}, extra...))
	}
	odd.add("torch-package-pickle", "package.pt", string(archive{members: []member{torchMember("pkg/.data/extern_modules", "torch\nos\n"), torchMember("pkg/.data/version", "6\n"), torchMember("pkg/model/model.pkl", evil(0)), torchMember("pkg/net.py", "import torch\n")}}.bytes()), "torch.package: any member may be a pickle")
	odd.add("debug-pkl", "model.pt", honest(torchMember("archive/code/__torch__.py.debug_pkl", evil(1))), "a debug pickle in an eager checkpoint")
	odd.add("attributes-pkl", "model.ptl", honest(torchMember("archive/attributes.pkl", evil(2))), "mobile modules keep attributes beside data.pkl")
	odd.add("extra-npy", "model.pt", honest(torchMember("archive/extra/stats.npy", npyObject(evil(3)))), "an extra file is an object array")
	odd.add("second-root", "model.pt", honest(torchMember("backup/data.pkl", evilStateDict(0))), "another root with another data.pkl")

	ts := heldCase("torchscript-constants")
	code := "class M(Module):\n  __parameters__ = []\n  __buffers__ = []\n  training : bool\n  def forward(self: __torch__.M, x: Tensor) -> Tensor:\n    return torch.relu(x)\n"
	script := func(constants, data string) string {
		return string(archive{members: []member{torchMember("m/data.pkl", data), torchMember("m/code/__torch__.py", code), torchMember("m/code/__torch__.py.debug_pkl", pickle(2, tup{})), torchMember("m/constants.pkl", constants), torchMember("m/version", "3\n")}}.bytes())
	}
	module := opProto(2) + opGlobal("__torch__", "M") + opEmptyTuple + opNewObj + opEmptyDict + opBinUnicode("training") + opNewFalse + opSetItem + opBuild + opStop
	ts.add("tuple-with-a-call", "scripted.pt", script(opProto(2)+tuple(opBinInt1(1), evalOne)+opStop, module), "constants.pkl holds a call")
	ts.add("debug-pkl", "scripted.pt", string(archive{members: []member{torchMember("m/data.pkl", module), torchMember("m/code/__torch__.py", code), torchMember("m/code/__torch__.py.debug_pkl", evil(0)), torchMember("m/constants.pkl", pickle(2, tup{})), torchMember("m/version", "3\n")}}.bytes()), "the debug pickle calls")
	ts.add("inst-in-constants", "scripted.ptl", script(opMark+opString("'1+1'")+opInst("builtins", "eval")+opStop, module), "constants.pkl of protocol 0")

	legacy := heldCase("torch-legacy")
	head := pickle(2, bigMagic()) + pickle(2, 1001)
	info := pickle(2, dictOf("protocol_version", 1001, "little_endian", true, "type_sizes", dictOf("short", 2, "int", 4, "long", 4)))
	legacy.add("in-the-system-info", "model.pt", head+evil(0)+plainStateDict()+pickle(2, listOf("0"))+le64(8)+weights(1, 8), "the third stream calls")
	legacy.add("in-the-storage-keys", "model.pt", head+info+plainStateDict()+opProto(2)+opEmptyList+evalOne+opAppend+opStop+le64(8)+weights(1, 8), "the fifth stream calls")
	legacy.add("instead-of-the-magic-number", "model.pt", opProto(2)+sysTrue+opPop+pickle(2, bigMagic())[2:]+head[len(pickle(2, bigMagic())):]+info+plainStateDict()+pickle(2, listOf()), "the first stream calls and then is the magic number")

	tarred := heldCase("torch-legacy-tar")
	tarred.add("storages-call", "model.tar", heldTar(0, "sys_info", info, "pickle", plainStateDict(), "storages", pickle(2, 1)+evil(1), "tensors", pickle(2, 0)), "the member storages calls")
	tarred.add("tensors-call", "model.pth.tar", heldTar(0, "sys_info", info, "pickle", plainStateDict(), "storages", pickle(2, 0), "tensors", opProto(2)+sysTrue+opStop), "the member tensors calls")
	tarred.add("sys-info-call", "model.tar", heldTar(0, "sys_info", evil(2), "pickle", plainStateDict(), "storages", pickle(2, 0), "tensors", pickle(2, 0)), "the member sys_info calls")
	return join(pt, odd, ts, legacy, tarred)
}

func heldNumpy() []Case {
	s := heldCase("numpy-object")
	object := func(descr string) string {
		return npyHeader(1, "{'descr': "+descr+", 'fortran_order': False, 'shape': (1,), }") + evil(0)
	}
	s.add("field-of-a-record", "a.npy", object("[('x', '<f4'), ('meta', '|O')]"), "one field of the record is an object")
	s.add("subarray-of-a-field", "a.npy", object("[('x', [('y', 'O', (2,))])]"), "an object two levels down")
	s.add("escaped-letter", "a.npy", object(`'|\x4f'`), "numpy reads the header with literal_eval: \\x4f is O")
	s.add("spelled-object", "a.npy", object(`u"object"`), "the dtype by its long name")
	s.add("version-3", "a.npy", npyHeader(3, "{'descr': [('größe', '|O')], 'fortran_order': True, 'shape': (), }")+evil(1), "a header of version 3 with a field in UTF-8")
	s.add("npz-with-one", "a.npz", heldZipOf("x.npy", npy("'<f4'", "(2,)", false, weights(1, 2)), "labels.npy", npyObject(evil(2))), "one member of two is of objects")
	s.add("npz-member-without-extension", "a.npz", heldZipOf("x.npy", npy("'<f4'", "(2,)", false, weights(1, 2)), "labels", evil(4)), "np.load gives a member without magic back as bytes; a loader unpickles it")
	s.add("header-in-another-order", "a.npy", npyHeader(1, "{'shape':(1,),\t'fortran_order':False,'descr':'O'}")+evil(3), "the header's keys in another order and without spaces")

	j := heldCase("joblib-compressed")
	zf := zlibbed(evil(0), 3)
	length := "0x" + strconv.FormatInt(int64(len(evil(0))), 16)
	j.add("zf-of-0-9", "model.joblib", "ZF"+length+strings.Repeat(" ", 19-len(length))+zf, "the framing of joblib before 0.10")
	j.add("lz4", "model.joblib", lz4ed(evil(3)), "compress='lz4'")
	j.add("call-behind-a-raw-array", "model.joblib", zlibbed(heldJoblib(1), 3), "an array's raw bytes, then the call")
	j.add("xz-with-a-state", "model.pkl.xz", xzed(pickle(3, dictOf("m", reduce("os.system", "true")))), "compress=('xz', 3)")
	j.add("object-array", "model.joblib", bzipped(heldJoblib(2)), "an array of objects is a pickle inside the pickle")
	return join(s, j)
}

// heldJoblib is a joblib pickle with an array: 0 honest, 1 with a call behind
// its raw bytes, 2 with an array of objects that calls.
func heldJoblib(kind int) string {
	wrapper := func(code string, shape tup) string {
		return body(3, instance("joblib.numpy_pickle.NumpyArrayWrapper", dictOf("subclass", glob("numpy.ndarray"), "shape", shape, "order", "C", "dtype", dtype(code), "allow_mmap", code != "O8")))
	}
	s := opProto(3) + opEmptyDict + opMark + text("coef") + wrapper("f8", tup{4}) + doubles(908, 4)
	switch kind {
	case 1:
		s += text("b") + sysTrue
	case 2:
		s += text("labels") + wrapper("O8", tup{1}) + evil(0)
	}
	return s + opSetItems + opStop
}

func heldHDF5() []Case {
	s := heldCase("hdf5-external-link")
	data := func(o *h5Object) *h5Object {
		return &h5Object{children: []*h5Object{{name: "model_weights", children: []*h5Object{{name: "dense", children: []*h5Object{o}}}}}}
	}
	link := &h5Object{name: "kernel:0", linkFile: "/etc/hostname", linkPath: "/"}
	s.add("three-groups-down", "model.h5", hdf5(data(link)), "an external link three groups down")
	s.add("latest-format", "model.h5", hdf5Latest(data(&h5Object{name: "kernel:0", linkFile: "../../nonexistent/secret.h5", linkPath: "/w"})), "the same in the newest layout")
	s.add("behind-a-userblock", "model.h5", heldUserblock(hdf5(data(link))), "behind a userblock of 512 bytes, as MATLAB writes")
	s.add("raw-bytes-of-another-file", "model.weights.h5", hdf5(data(&h5Object{name: "bias:0", floats: []int{16}, outside: "/etc/passwd"})), "the dataset's bytes are in another file")
	s.add("virtual-dataset", "data.h5", hdf5Latest(data(&h5Object{name: "x", floats: []int{16}, mapped: "/nonexistent/private.h5"})), "a virtual dataset over another file")

	p := heldCase("hdf5-pickle-attribute")
	p.add("optimizer-state", "model.h5", hdf5(&h5Object{attrs: []h5Attr{{name: "optimizer_pickle", value: evil(0), fixed: true}}}), "an attribute holds a pickle that calls")
	p.add("dataset-of-bytes", "frame.h5", hdf5(&h5Object{children: []*h5Object{{name: "df", attrs: []h5Attr{{name: "CLASS", value: "VLARRAY"}, {name: "PSEUDOATOM", value: "object"}, {name: "meta", value: opMark + opString("'true'") + opInst("os", "system") + opStop}}}}}), "PyTables keeps an object as a pickle in an attribute")
	return join(s, p)
}

// heldUserblock moves an HDF5 file of the old layout behind 512 free bytes.
func heldUserblock(file string) string {
	b := []byte(file)
	copy(b[24:], le64(512))
	head := "MATLAB 7.3 MAT-file, Platform: GLNXA64, Created on: Sat Jun 15 13:33:36 2024 HDF5 schema 1.00 ."
	return head + strings.Repeat(" ", 124-len(head)) + "\x00\x02IM" + strings.Repeat("\x00", 384) + string(b)
}

func heldSafetensors() []Case {
	w := weights(1, 4)
	dup := heldCase("safetensors-duplicate-key")
	dup.add("by-an-escape", "model.safetensors", safetensors(`{"wte":{"dtype":"F32","shape":[4],"data_offsets":[0,16]},"\u0077te":{"dtype":"I32","shape":[4],"data_offsets":[0,16]}}`, w), "the same name, once with an escape")
	dup.add("inside-a-tensor", "model.safetensors", safetensors(`{"w":{"dtype":"F32","shape":[4],"shape":[2,2],"data_offsets":[0,16]}}`, w), "shape is given twice")
	dup.add("two-metadata", "model.safetensors", safetensors(`{"__metadata__":{"format":"pt"},"w":{"dtype":"F32","shape":[4],"data_offsets":[0,16]},"__metadata__":{"format":"tf"}}`, w), "__metadata__ is given twice")
	dup.add("inside-the-metadata", "model.safetensors", safetensors(`{"__metadata__":{"license":"mit","license":"proprietary"},"w":{"dtype":"F32","shape":[4],"data_offsets":[0,16]}}`, w), "a key of the metadata is given twice")

	head := heldCase("safetensors-header")
	one := `{"w":{"dtype":"F32","shape":[4],"data_offsets":[0,16]}}`
	head.add("starts-with-a-space", "model.safetensors", safetensors("  "+one, w), "the header does not begin with a brace")
	head.add("byte-order-mark", "model.safetensors", safetensors("\xef\xbb\xbf"+one, w), "a byte order mark before the brace")
	head.add("garbage-behind-the-object", "model.safetensors", safetensors(one+`{"w2":{}}`, w), "a second object in the header")
	head.add("length-beyond-the-file", "model.safetensors", le64(1<<40)+one+w, "the header is a terabyte long")
	head.add("two-thousand-brackets", "model.safetensors", safetensors(`{"w":`+strings.Repeat("[", 2000)+strings.Repeat("]", 2000)+`}`, w), "JSON two thousand levels deep")
	head.add("tensor-is-a-list", "model.safetensors", safetensors(`{"w":["F32",[4],[0,16]]}`, w), "a tensor's description is a list")

	off := heldCase("safetensors-offsets")
	for name, d := range ordered("overlap", `{"a":{"dtype":"F32","shape":[3],"data_offsets":[0,12]},"b":{"dtype":"F32","shape":[3],"data_offsets":[4,16]}}`,
		"hole", `{"a":{"dtype":"F32","shape":[1],"data_offsets":[0,4]},"b":{"dtype":"F32","shape":[1],"data_offsets":[12,16]}}`,
		"backwards", `{"a":{"dtype":"F32","shape":[4],"data_offsets":[16,0]}}`,
		"shape-product-overflows", `{"a":{"dtype":"F32","shape":[4294967296,4294967296,4],"data_offsets":[0,16]}}`,
		"negative", `{"a":{"dtype":"F32","shape":[-2,-2],"data_offsets":[0,16]}}`,
		"size-is-not-the-shapes", `{"a":{"dtype":"F64","shape":[4],"data_offsets":[0,16]}}`,
		"beyond-the-end", `{"a":{"dtype":"F32","shape":[4096],"data_offsets":[0,16384]}}`) {
		off.add(name, "model.safetensors", safetensors(d, w), "offsets: "+name)
	}

	trail := heldCase("safetensors-trailing")
	trail.add("an-elf", "model.safetensors", safetensors(one, w)+"\x7fELF\x02\x01\x01"+noise(910, 200), "an ELF stands behind the tensors")
	trail.add("a-pickle", "model.safetensors", safetensors(one, w)+evil(0), "a pickle stands behind the tensors")
	trail.add("a-second-safetensors", "model.safetensors", safetensors(one, w)+safetensors(one, weights(2, 4)), "a second file stands behind the first")

	meta := heldCase("safetensors-metadata")
	meta.add("nested-object", "model.safetensors", safetensors(`{"__metadata__":{"config":{"auto_map":{"AutoModel":"modeling.M"}}},"w":{"dtype":"F32","shape":[4],"data_offsets":[0,16]}}`, w), "a value of the metadata is no text")
	meta.add("metadata-is-a-list", "model.safetensors", safetensors(`{"__metadata__":["format","pt"],"w":{"dtype":"F32","shape":[4],"data_offsets":[0,16]}}`, w), "the metadata is a list")
	meta.add("null-and-number", "model.safetensors", safetensors(`{"__metadata__":{"step":1000,"ema":null},"w":{"dtype":"F32","shape":[4],"data_offsets":[0,16]}}`, w), "numbers and null in the metadata")
	return join(dup, head, off, trail, meta)
}
