package corpus

import (
	"archive/tar"
	"hash/crc32"
	"strings"
)

func thirdNested() []Case {
	s := third("archive-nested")
	s.add("conda-package", "model-1.0-py_0.conda", thirdZip("metadata.json", `{"conda_pkg_format_version": 2}`, "pkg-model-1.0-py_0.tar.zst", zstded(thirdTar("lib/model/weights.pkl", thirdEvil(0)))), "zip, zstd, tar, pickle: a conda package")
	s.add("image-layer", "image.tar", thirdTar("manifest.json", `[{"Config": "c.json", "RepoTags": ["model:1"], "Layers": ["l/layer.tar"]}]`, "l/layer.tar", thirdTar("models/net.pt", thirdTorch("net", thirdStateDict(1)))), "a torch archive in a layer of a saved image")
	s.add("tgz-in-7z-in-zip", "bundle.zip", thirdZip("a.7z", string(sevenLZMA(sevenFile{"b.tgz", gzipped(thirdTar("c.joblib", gzipped(thirdEvil(2))))}))), "zip, 7z, gzip, tar, gzip, pickle")
	s.add("tar-bz2-of-npz", "features.tar.bz2", bzipped(thirdTar("train/x.npz", thirdZip("x.npy", npy("'<f4'", "(2,)", false, weights(1, 2)), "y.npy", npyObject(thirdEvil(3))))), "an object array in an npz in a tar in bzip2")
	s.add("mlflow-artifacts", "artifacts.tar.gz", gzipped(thirdTar("model/MLmodel", "flavors:\n  python_function:\n    loader_module: mlflow.sklearn\n    model_path: model.pkl\n", "model/model.pkl", thirdEvil(4), "model/requirements.txt", "scikit-learn==1.4.2\n")), "an MLflow model whose pickle calls, as artifacts are archived")
	s.add("keras-in-tar", "export.tar.gz", gzipped(thirdTar("export/model.keras", thirdKeras(thirdLambda("n")))), "a .keras with a Lambda in a tar in gzip")

	t := third("archive-path-traversal")
	link := func(name, to string) tar.Header {
		return tar.Header{Typeflag: tar.TypeSymlink, Name: name, Linkname: to}
	}
	t.add("long-name-of-gnu", "model.tar", tarRaw([]tar.Header{{Typeflag: tar.TypeReg, Name: "../" + strings.Repeat("../", 40) + "nonexistent/apex.pth", Format: tar.FormatGNU}}, []string{"import this\n"}), "a name that leaves, in GNU's long-name record")
	t.add("pax-link-path", "model.nemo", tarRaw([]tar.Header{{Typeflag: tar.TypeSymlink, Name: "weights", Linkname: strings.Repeat("../", 50) + "nonexistent", Format: tar.FormatPAX}, {Typeflag: tar.TypeReg, Name: "weights/apex"}}, []string{"", "x"}), "a symlink whose target is in a pax record, and a file through it")
	t.add("two-links-in-a-row", "dataset.tar.gz", gzipped(tarRaw([]tar.Header{link("data/a", "."), link("data/a/b", ".."), {Typeflag: tar.TypeReg, Name: "data/a/b/../apex.sh"}}, []string{"", "", "true\n"})), "a chain of links that each look harmless")
	t.add("whole-model-is-a-link", "model.tar", tarRaw([]tar.Header{link("model.safetensors", "/dev/shm/other.safetensors")}, []string{""}), "the weights are an absolute link")
	t.add("hard-link-to-parent", "model.tar.gz", gzipped(tarRaw([]tar.Header{{Typeflag: tar.TypeLink, Name: "config.json", Linkname: "../../nonexistent/secrets.json"}}, []string{""})), "a hard link above the directory")
	for name, at := range ordered("unc-path", `\\127.0.0.1\share\apex.dll`, "double-slash", "//nonexistent/apex", "dots-in-the-middle", "assets/./.././../apex.py", "user-site", "../../../.local/lib/python3.11/site-packages/apex.pth") {
		t.add("zip-"+name, "model.zip", thirdZip("config.json", "{}", at, "import this\n"), "a zip's member is called "+at)
	}
	t.add("seven-absolute", "model.7z", string(sevenLZMA(sevenFile{"model/a.txt", "a"}, sevenFile{"/nonexistent/apex.so", elf()})), "a 7z's member with an absolute name")
	t.add("skops-parent", "model.skops", thirdZip("schema.json", `{"__class__": "dict", "__module__": "builtins", "__loader__": "DictNode", "content": {}, "protocol": 2}`, "../apex.npy", npy("'<f4'", "(2,)", false, weights(2, 2))), "a .skops with a member above the directory")
	return join(s, t)
}

func thirdBombs() []Case {
	s := third("decompression-bomb")
	const gib = 1 << 10 // in mebibytes
	zeros := deflatedZeros(gib)
	sum := thirdZeroCRC(gib)
	gz := "\x1f\x8b\x08\x00\x00\x00\x00\x00\x02\x03" + zeros + le32(int(sum)) + le32(gib<<20)
	big := func(name string) member {
		return member{name: name, packed: zeros, edit: func(l, c *zipHeader) {
			l.method, c.method, l.size, c.size, l.crc, c.crc = 8, 8, gib<<20, gib<<20, sum, sum
		}}
	}
	s.add("gzip-of-one-gibibyte", "model.tar.gz", gz, "one gibibyte of zeros in one whole gzip member")
	s.add("npz-of-zeros", "weights.npz", string(archive{members: []member{{name: "small.npy", data: npy("'<f4'", "(2,)", false, weights(1, 2))}, big("big.npy")}}.bytes()), "an npz whose second array unpacks to a gibibyte")
	s.add("keras-weights", "model.keras", string(archive{members: []member{{name: "metadata.json", data: `{"keras_version": "3.6.0"}`}, {name: "config.json", data: hkModel("", hkDense(""))}, big("model.weights.h5")}}.bytes()), "a .keras whose weights unpack to a gibibyte")
	s.add("gzip-of-gzip-of-gzip", "model.joblib.gz", gzipped(gzipped(gz)), "three layers of gzip over a gibibyte")
	s.add("zlib-of-joblib", "model.joblib.z", "\x78\xda"+zeros+be32(int(thirdZeroAdler(gib<<20))), "a zlib stream, as joblib writes, of a gibibyte")
	s.add("lz4-frame", "model.pkl.lz4", strings.Repeat(lz4ed(strings.Repeat("\x00", 16<<20)), 16), "sixteen lz4 frames of 16 MiB of zeros")
	s.add("zip-of-equal-zips", "bundle.zip", func() string {
		inner := string(archive{members: []member{big("a.bin")}}.bytes())
		var m []member
		for i := range 16 {
			m = append(m, member{name: "part" + itoa(i) + ".zip", data: inner, deflate: true})
		}
		return string(archive{members: m}.bytes())
	}(), "sixteen zips of a gibibyte in one")
	return s.cases
}

func thirdZeroCRC(mebibytes int) uint32 {
	block := make([]byte, 1<<20)
	sum := uint32(0)
	for range mebibytes {
		sum = crc32.Update(sum, crc32.IEEETable, block)
	}
	return sum
}

// thirdZeroAdler is Adler-32 of n zeros: a stays 1, b counts.
func thirdZeroAdler(n int) uint32 { return uint32(n%65521)<<16 | 1 }

func thirdCompressed() []Case {
	s := third("compressed-pickle")
	honest := pickle(4, dictOf("a", 1))
	s.add("pandas-tar-gz", "frame.pkl.tar.gz", gzipped(thirdTar("frame.pkl", thirdEvil(0))), "pandas reads a pickle out of a tar in gzip")
	s.add("pandas-zst", "frame.pkl.zst", zstded(thirdEvil(1)), "pandas reads zstd")
	s.add("padding-between-gzip-members", "model.pkl.gz", gzipped(honest)+strings.Repeat("\x00", 1024)+gzipped(thirdEvil(2)), "Python's gzip reads over zeros between members")
	s.add("bzip2-of-gzip", "model.pkl.gz.bz2", bzipped(gzipped(thirdEvil(3))), "two compressors")
	s.add("gzip-stored", "model.pkl.gz", thirdStoredGzip(thirdEvil(4)), "a gzip whose blocks are stored")
	s.add("xz-behind-three-empty-ones", "model.pkl.xz", xzed("")+xzed("")+xzed("")+xzed(thirdEvil(5)), "three empty xz streams first")
	s.add("zlib-without-a-name", "weights", zlibbed(thirdEvil(6), 1), "zlib at level 1 without an extension")

	j := third("joblib-compressed")
	for i, p := range []struct {
		name, file string
		pack       func(string) string
	}{{"zlib-level-1", "clf.joblib", func(s string) string { return zlibbed(s, 1) }}, {"gzip", "clf.joblib.gz", gzipped}, {"xz", "clf.joblib.xz", xzed}, {"lzma", "clf.joblib", lzmaAlone}} {
		j.add(p.name+"-between-arrays", p.file, p.pack(thirdJoblib(i)), "the call stands between the raw bytes of two arrays, in "+p.name)
	}
	j.add("lz4-objects", "clf.joblib", lz4ed(pickle(3, dictOf("classes", joblibArray{"O8", tup{1}, thirdEvil(1)}))), "an array of objects is a pickle of its own inside lz4")
	j.add("memory-mapped", "clf.joblib", thirdJoblib(5), "an uncompressed file with aligned arrays")

	w := third("webdataset-pickle")
	w.add("pyd-in-a-folder", "train-0.tar", thirdTar("n01440764/a.jpg", heldJPEG(), "n01440764/a.pyd", thirdEvil(0)), "a .pyd beside a picture")
	w.add("pyd-in-gzip", "train-1.tar", thirdTar("s.pyd.gz", gzipped(thirdEvil(1)), "s.txt", "a dog"), "a .pyd.gz, which webdataset unpacks before it unpickles")
	w.add("pth-legacy", "val-0.tar", thirdTar("k0.cls", "7", "k0.pth", thirdLegacy(2)), "a .pth in torch's old layout")
	w.add("pickle-in-zst", "train-2.tar.zst", zstded(thirdTar("0.input.pickle", thirdEvil(5), "0.json", "{}")), "a shard in zstd")

	m := third("torchserve-mar")
	manifest := func(model string) string {
		return `{"createdOn": "02/11/2024 10:00:00", "runtime": "python", "model": {"modelName": "net", ` + model + `, "modelVersion": "1.0"}, "archiverVersion": "0.11.0"}`
	}
	m.add("model-file-runs", "net.mar", thirdZip("MAR-INF/MANIFEST.json", manifest(`"serializedFile": "net.pt", "modelFile": "net.py", "handler": "image_classifier"`), "net.py", "import os\nimport torch.nn as nn\n\nos.system('true')\n\nclass Net(nn.Module):\n    pass\n", "net.pt", thirdTorch("net", thirdHonestDict())),
		"the base handler imports the model's file, which calls os.system")
	m.add("requirements-from-elsewhere", "net.mar", thirdZip("MAR-INF/MANIFEST.json", manifest(`"serializedFile": "net.pt", "handler": "text_classifier", "requirementsFile": "requirements.txt"`), "requirements.txt", "--index-url http://127.0.0.1:9/simple\n-e git+http://127.0.0.1:9/apex.git#egg=apex\n", "net.pt", thirdTorch("net", thirdStateDict(0))),
		"TorchServe installs what requirements.txt names, and then loads a pickle that calls")
	m.add("workflow", "flow.war", thirdZip("WAR-INF/MANIFEST.json", `{"createdOn": "02/11/2024 10:00:00", "runtime": "python", "workflow": {"workflowName": "flow", "handler": "handler.py", "specFile": "flow.yaml"}, "archiverVersion": "0.11.0"}`, "handler.py", "import subprocess\n\ndef pre(data, context):\n    return subprocess.check_output(['true'])\n", "flow.yaml", "models:\n  m1:\n    url: net.mar\ndag:\n  pre: [m1]\n"),
		"a workflow archive whose function runs a command")
	m.add("handler-outside", "net.mar", thirdZip("MAR-INF/MANIFEST.json", manifest(`"serializedFile": "weights/net.pt", "handler": "../../nonexistent/apex.py:handle"`), "weights/net.pt", thirdTorch("net", thirdStateDict(3))), "the handler is a file outside of the archive, the weights call")
	return join(s, j, w, m)
}

// thirdStoredGzip is a gzip that stores its data, as level 0 does.
func thirdStoredGzip(s string) string {
	return "\x1f\x8b\x08\x00\x00\x00\x00\x00\x00\xff\x01" + le16(len(s)) + le16(len(s)^0xffff) + s + le32(int(crc32.ChecksumIEEE([]byte(s)))) + le32(len(s))
}

// thirdJoblib is a fitted model with two arrays and, between them, a call.
func thirdJoblib(n int) string {
	call := reduce("os.popen", "true")
	if n%2 == 1 {
		call = reduce("subprocess.check_call", listOf("true"))
	}
	return pickle(3, instance("sklearn.linear_model._logistic.LogisticRegression", dictOf("penalty", "l2", "coef_", joblibArray{"f8", tup{2, 4}, doubles(uint64(720+n), 8)}, "callback", call,
		"intercept_", joblibArray{"f8", tup{2}, doubles(uint64(730+n), 2)}, "_sklearn_version", "1.3.2")))
}

// thirdTorchFiles hold the call in each of torch's layouts.
func thirdTorchFiles() []Case {
	z := third("torch-zip")
	for i, at := range []struct{ name, truth string }{{"metadata-of-the-state-dict", "the call is in the state dict's _metadata"}, {"hyper-parameters", "the call is a hyperparameter of a Lightning checkpoint"}, {"parameter-hooks", "the call is where a parameter has its hooks"},
		{"epoch", "the call is the epoch of a checkpoint"}, {"strides", "the call computes a tensor's strides"}} {
		z.add(at.name, []string{"pytorch_model.bin", "last.ckpt", "model.pth", "checkpoint.pt", "net.pt"}[i], thirdTorch("archive", thirdStateDict(i)), at.truth)
	}
	z.add("optimizer-state", "optimizer.pt", thirdTorch("optimizer", pickle(2, dictOf("state", dictOf(0, dictOf("step", reduce("posix.popen", "true"), "exp_avg", heldTensorOf(0, "FloatStorage", 8))), "param_groups", listOf(dictOf("lr", 0.001, "params", listOf(0)))))), "an Adam state whose step is a call")
	z.add("protocol-4-and-zip-again", "model.pt", thirdZip("m/data.pkl", pickle(4, listOf(heldTensorOf(0, "FloatStorage", 8), reduce("os.popen", "true"))), "m/data/0", weights(740, 8), "m/version", "3\n"), "protocol 4, packed again with zip(1)")

	odd := third("torch-zip-odd-member")
	pkl := func(p string) string { return thirdTorch("archive", p) }
	exported := func(state, constants, inputs string) string {
		return string(archive{members: []member{{name: "version", data: "5.1"}, {name: "serialized_exported_program.json", data: `{"graph_module": {"graph": {"inputs": [], "outputs": [], "nodes": []}}, "opset_version": {"aten": 10}, "schema_version": {"major": 5, "minor": 1}}`}, {name: "serialized_state_dict.pt", data: state}, {name: "serialized_constants.pt", data: constants}, {name: "serialized_example_inputs.pt", data: inputs}}}.bytes())
	}
	odd.add("exported-constants", "net.pt2", exported(pkl(thirdHonestDict()), pkl(thirdStateDict(0)), pkl(thirdHonestDict())), "the constants of an exported program, which torch.export.load up to 2.4 unpickles")
	odd.add("exported-inputs", "net.pt2", exported(pkl(thirdHonestDict()), pkl(pickle(2, dictOf())), pkl(thirdStateDict(3))), "the example inputs of an exported program")
	odd.add("first-root-of-two", "model.pt", string(archive{zip64: true, members: append([]member{torchMember("archive_/data.pkl", thirdStateDict(2)), torchMember("archive_/data/0", weights(744, 8)), torchMember("archive_/version", "3\n")}, torchMembers("archive", thirdHonestDict(), []string{weights(745, 8)})...)}.bytes()), "torch takes the first member's folder as the archive's, and the honest one is second")
	odd.add("second-pickle-of-a-package", "package.pt", string(archive{members: []member{torchMember("pkg/.data/extern_modules", "torch\n"), torchMember("pkg/.data/version", "6\n"), torchMember("pkg/model/model.pkl", pickle(3, dictOf("a", 1))), torchMember("pkg/model/preprocess.pkl", thirdEvil(4))}}.bytes()), "the second pickle of a torch.package calls")
	odd.add("package-source", "package.pt", string(archive{members: []member{torchMember("pkg/.data/extern_modules", "torch\nos\n"), torchMember("pkg/.data/version", "6\n"), torchMember("pkg/.data/python_version", "3.11.7"), torchMember("pkg/net.py", "import os\nos.system('true')\n\nclass Net:\n    pass\n"),
		torchMember("pkg/model/model.pkl", opProto(3)+opGlobal("net", "Net")+opEmptyTuple+opNewObj+opStop)}}.bytes()), "a torch.package whose own source calls os.system when the pickle imports it")

	ts := third("torchscript-constants")
	module := opProto(2) + opGlobal("__torch__", "Net") + opEmptyTuple + opNewObj + opEmptyDict + str2("training") + opNewFalse + opSetItem + opBuild + opStop
	code := "class Net(Module):\n  __parameters__ = []\n  __buffers__ = []\n  training : bool\n  def forward(self: __torch__.Net,\n    x: Tensor) -> Tensor:\n    return torch.relu(x)\n"
	script := func(code, constants string, extra ...member) string {
		return string(archive{zip64: true, members: append([]member{torchMember("net/data.pkl", module), torchMember("net/code/__torch__.py", code), torchMember("net/code/__torch__.py.debug_pkl", pickle(2, tup{"FORMAT_WITH_STRING_TABLE", tup{}, tup{}})), torchMember("net/constants.pkl", constants), torchMember("net/version", "3\n")}, extra...)}.bytes())
	}
	ts.add("list-of-constants", "net.pt", script(code, pickle(2, tup{1, reduce("posix.system", "true")})), "one of two constants is a call")
	ts.add("bytecode-of-mobile", "net.ptl", script(code, pickle(2, tup{}), torchMember("net/bytecode.pkl", thirdEvil(2))), "the bytecode of a mobile module is a pickle that calls")
	ts.add("traced-inputs", "net.pt", script(code, pickle(2, tup{}), torchMember("net/traced_inputs.pkl", thirdEvil(4))), "an extra pickle beside the constants")

	op := third("torchscript-file-op")
	op.add("save-in-setstate", "net.pt", script(strings.Replace(code, "  def forward", "  def __setstate__(self: __torch__.Net,\n    state: Tensor) -> NoneType:\n    _0 = torch.save(state, \"/nonexistent/apex.pth\")\n    return None\n  def forward", 1), pickle(2, tup{})), "__setstate__, which torch.jit.load runs, writes a file by aten::save")
	op.add("from-file-in-forward", "net.pt", script(strings.Replace(code, "return torch.relu(x)", "_0 = torch.from_file(\"/etc/hostname\", False, 16, dtype=0)\n    return _0", 1), pickle(2, tup{})), "forward reads a file of the host by aten::from_file")
	op.add("shared-from-file", "net.pt", script(strings.Replace(code, "return torch.relu(x)", "_0 = torch.from_file(\"/nonexistent/apex\", True, 4096, dtype=0)\n    _1 = torch.copy_(_0, x)\n    return x", 1), pickle(2, tup{})), "forward writes into a shared mapping of a file")

	legacy := third("torch-legacy")
	info := pickle(2, dictOf("protocol_version", 1001, "little_endian", true, "type_sizes", dictOf("short", 2, "int", 4, "long", 4)))
	legacy.add("metadata-of-the-object", "model.pth", thirdLegacy(0), "the object's _metadata is a call")
	legacy.add("in-type-sizes", "model.pth", pickle(2, bigMagic())+pickle(2, 1001)+pickle(2, dictOf("protocol_version", 1001, "little_endian", true, "type_sizes", reduce("posix.popen", "true")))+thirdHonestDict()+pickle(2, listOf("0"))+le64(8)+weights(741, 8), "the third stream's type sizes are a call")
	legacy.add("in-protocol-4", "model.pth", pickle(4, bigMagic())+pickle(4, 1001)+pickle(4, dictOf("little_endian", true))+pickle(4, dictOf("w", reduce("os.popen", "true")))+pickle(4, listOf()), "torch.save with pickle_protocol=4 in the old layout")
	legacy.add("one-key-is-a-call", "model.pth", pickle(2, bigMagic())+pickle(2, 1001)+info+thirdHonestDict()+pickle(2, listOf(reduce("subprocess.getoutput", "true")))+le64(8)+weights(742, 8), "the list of storage keys has a call")

	tarred := third("torch-legacy-tar")
	parts := func(change, to string) string {
		files := []string{"sys_info", pickle(2, dictOf("protocol_version", 1000, "little_endian", true)), "pickle", pickle(2, dictOf("w", persID{1})), "tensors", pickle(2, 0), "storages", pickle(2, 0)}
		for i := 0; i < len(files); i += 2 {
			if files[i] == change {
				files[i+1] = to
			}
		}
		return thirdTar(files...)
	}
	tarred.add("pickle-of-protocol-0", "model.pth.tar", parts("pickle", thirdEvil(2)), "the member pickle calls, in text")
	tarred.add("second-storage", "model.tar", parts("storages", pickle(2, 2)+pickle(2, tup{0, "cpu", glob("torch.FloatStorage")})+le64(4)+weights(743, 4)+thirdEvil(0)), "the second storage's description is a call")
	tarred.add("count-of-tensors", "legacy.pt", parts("tensors", thirdEvil(3)), "the first stream of tensors, their number, calls")
	return join(z, odd, ts, op, legacy, tarred)
}

// thirdNumpy hold an array of objects in forms of the header that numpy reads.
func thirdNumpy() []Case {
	s := third("numpy-object")
	array := func(variation, descr, shape, truth string, n int) {
		s.add(variation, "a.npy", npyHeader(1, "{'descr': "+descr+", 'fortran_order': False, 'shape': "+shape+", }")+thirdEvil(n), truth)
	}
	array("titled-field", "[(('the label', 'label'), '|O')]", "(2,)", "a field with a title is an object", 0)
	array("subarray-tuple", "('|O', (2, 3))", "(1,)", "a pair of a type and a shape", 1)
	array("with-its-size", "'|O8'", "(3,)", "the object type with its size", 2)
	array("two-levels-down", "[('a', [('b', [('c', '<i4'), ('d', 'O')])])]", "(1,)", "an object three levels down", 3)
	s.add("zero-dimensional", "a.npy", npyHeader(2, "{'descr': 'O', 'fortran_order': True, 'shape': ()}")+thirdEvil(4), "one object without dimensions")
	s.add("npz-zip64", "a.npz", string(archive{zip64: true, members: []member{{name: "ids.npy", data: npy("'<i8'", "(2,)", false, counts(1, 2, 9)), zip64: true}, {name: "allow.npy", data: npyObject(thirdEvil(5)), zip64: true}}}.bytes()), "the second array of an npz with zip64 records")
	s.add("long-header", "a.npy", npyHeader(2, "{'descr': ["+strings.Repeat("('', '<f4'), ", 900)+"('o', 'O')], 'fortran_order': False, 'shape': (1,), }")+thirdEvil(6), "the last of 901 fields is an object")
	return s.cases
}
