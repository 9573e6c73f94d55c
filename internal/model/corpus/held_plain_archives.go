package corpus

import (
	"archive/tar"
	"strings"
)

func heldPlainEdge() []Case {
	s := heldCase("plain-edge")
	for name, data := range ordered("empty", "", "one-byte", "a", "one-dot", ".", "one-newline", "\n", "zeros", strings.Repeat("\x00", 4096), "random", noise(990, 4096), "all-ff", strings.Repeat("\xff", 512),
		"utf16-text", heldUTF16("import os\r\nnotes of the training\r\n"), "byte-order-mark", "\xef\xbb\xbfid,text\r\n1,exec\r\n", "raw-floats", weights(991, 1000), "raw-doubles", doubles(992, 500), "latin-1", "caf\xe9 na\xefve\n",
		"git-lfs-pointer", "version https://git-lfs.github.com/spec/v1\noid sha256:"+strings.Repeat("ab", 32)+"\nsize 4212\n", "sparse-like", "head"+strings.Repeat("\x00", 100_000)+"tail") {
		s.add(name, [...]string{"data.bin", "model.bin", "a", "notes.txt"}[len(data)%4], data, "a file of no format: "+name)
	}
	s.add("fasttext", "model.bin", le32(793712314)+le32(12)+noise(993, 300), "fastText's save_model")
	s.add("word2vec-binary", "GoogleNews.bin", "3 4\nin "+weights(1, 4)+"\nos "+weights(2, 4)+"\nexec "+weights(3, 4)+"\n", "word2vec's binary format")
	s.add("glove-text", "glove.txt", "the 0.418 0.24968 -0.41242\nsystem -0.1 0.2 0.3\n", "GloVe's vectors in text")
	s.add("faiss", "index.faiss", "IxF2"+le32(4)+le64(2)+le64(1<<20)+le64(1<<20)+"\x01"+le32(1)+le64(8)+weights(4, 8), "FAISS's flat index")
	s.add("kenlm-arpa", "lm.arpa", "\\data\\\nngram 1=3\n\n\\1-grams:\n-1.2\t<s>\t-0.3\n-2.1\timport\n\n\\end\\\n", "an ARPA language model")
	return s.cases
}

func heldPlainZips() []Case {
	s := heldCase("plain-zip")
	s.add("npz", "data.npz", string(archive{members: []member{{name: "x.npy", data: npy("'<f4'", "(4, 2)", false, weights(1, 8)), zip64: true}, {name: "names.npy", data: npy("'<U3'", "(2,)", false, le32('a')+le32('b')+le32('c')+le32('d')+le32('e')+le32('f'))}}}.bytes()), "np.savez")
	s.add("npz-of-zeros", "mask.npz", heldZipOf("mask.npy", npy("'|b1'", "(2000, 2000)", false, strings.Repeat("\x00", 4_000_000))), "np.savez_compressed of a mask of zeros: a ratio of 1000")
	s.add("macos", "dataset.zip", heldZipOf("data/a.csv", "x,y\n1,2\n", "__MACOSX/data/._a.csv", "\x00\x05\x16\x07\x00\x02\x00\x00Mac OS X        \x00\x02"+strings.Repeat("\x00", 80), "data/.DS_Store", "\x00\x00\x00\x01Bud1\x00\x00\x10\x00"+strings.Repeat("\x00", 60)), "a zip by the Finder")
	s.add("windows", "dataset.zip", string(archive{members: []member{{name: "data\\a.csv", data: "x\r\n", deflate: true, edit: func(l, c *zipHeader) { c.madeBy, c.external = 20, 0x20 }}}}.bytes()), "a zip by .NET Framework 4.0, which writes backslashes")
	s.add("info-zip", "dataset.zip", string(archive{members: []member{{name: "data/", unixTime: true, edit: func(l, c *zipHeader) { c.external = 0o40755<<16 | 0x10 }}, {name: "data/a.json", data: "{}", unixTime: true}}, comment: "released 2024"}.bytes()), "Info-ZIP with a folder and a comment")
	s.add("streamed", "out.zip", string(archive{members: []member{{name: "part-0.jsonl", data: strings.Repeat("{\"a\": 1}\n", 50), deflate: true, descriptor: 16}, {name: "part-1.jsonl", data: "{}\n", deflate: true, descriptor: 24}}}.bytes()), "a zip written to a pipe, with data descriptors")
	s.add("jar", "h2o-genmodel.jar", heldZipOf("META-INF/MANIFEST.MF", "Manifest-Version: 1.0\r\nCreated-By: 17\r\n\r\n", "hex/genmodel/Model.class", "\xca\xfe\xba\xbe\x00\x00\x00\x34\x00\x02\x07\x00\x01"), "a jar of H2O")
	s.add("mojo", "model.zip", heldZipOf("model.ini", "[info]\nh2o_version = 3.46\nalgo = gbm\n\n[columns]\nsystem\nexec\n", "domains/d000.txt", "a\nb\n", "trees/t00_000.bin", noise(994, 90)), "H2O's MOJO")
	s.add("docx-like", "model-card.docx", heldZipOf("[Content_Types].xml", `<?xml version="1.0" encoding="UTF-8" standalone="yes"?><Types xmlns="http://schemas.openxmlformats.org/package/2006/content-types"/>`, "word/document.xml", `<w:document xmlns:w="http://schemas.openxmlformats.org/wordprocessingml/2006/main"><w:body/></w:document>`), "a Word document")
	s.add("stable-baselines", "ppo.zip", heldZipOf("data", `{"policy_class": {":type:": "<class 'abc.ABCMeta'>"}, "verbose": 0, "gamma": 0.99}`, "policy.pth", heldSaved(heldOrdered("w", heldTensorOf(0, "FloatStorage", 4)), 1), "_stable_baselines3_version", "2.3.2"), "stable-baselines3's save")
	s.add("skops", "model.skops", heldZipOf("schema.json", `{"__class__": "LogisticRegression", "__module__": "sklearn.linear_model._logistic", "__loader__": "ObjectNode", "content": {"__class__": "dict", "__module__": "builtins", "__loader__": "DictNode", "content": {"C": {"__class__": "str", "__module__": "builtins", "__loader__": "JsonNode", "content": "1.0", "is_json": true}, "coef_": {"__class__": "ndarray", "__module__": "numpy", "__loader__": "NdArrayNode", "type": "numpy", "file": "140.npy"}}}, "protocol": 1, "_skops_version": "0.9.0"}`, "140.npy", npy("'<f8'", "(2,)", false, doubles(1, 2))), "skops.io.dump")
	s.add("mlpackage", "Model.mlpackage.zip", heldZipOf("Model.mlpackage/Manifest.json", `{"fileFormatVersion": "1.0.0"}`, "Model.mlpackage/Data/com.apple.CoreML/model.mlmodel", pbInt(1, 8)+pb(2, pb(1, pb(1, "x")))), "coremltools' package")
	s.add("empty-zip", "empty.zip", "PK\x05\x06"+strings.Repeat("\x00", 18), "a zip of nothing")
	s.add("seven-zip-of-data", "corpus.7z", string(sevenLZMA(sevenFile{"train.csv", strings.Repeat("id,text\n1,a\n", 40)}, sevenFile{"README.txt", "a data set"})), "7z a corpus.7z")
	s.add("zip-of-pictures", "images.zip", string(archive{members: []member{{name: "a.jpg", data: heldJPEG()}, {name: "b/c.jpg", data: heldJPEG() + " "}}}.bytes()), "pictures, stored")
	s.add("utf8-names", "данные.zip", string(archive{members: []member{{name: "данные/файл ①.txt", data: "x", edit: func(l, c *zipHeader) { l.flags |= 0x800; c.flags |= 0x800 }}}}.bytes()), "names in UTF-8")
	return s.cases
}

func heldPlainTars() []Case {
	s := heldCase("plain-tar")
	s.add("webdataset", "train-000000.tar", heldTar(tar.FormatUSTAR, "000000.jpg", heldJPEG(), "000000.json", `{"caption": "exec"}`, "000000.txt", "a photo of a system", "000000.cls", "7", "000001.seg.png", "\x89PNG\r\n\x1a\n", "000001.npy", npy("'<i8'", "(2,)", false, counts(1, 2, 9))), "a shard of webdataset")
	s.add("folder-of-pictures", "images.tar.gz", gzipped(heldTar(tar.FormatGNU, tar.Header{Typeflag: tar.TypeDir, Name: "images/", Mode: 0o755}, "", "images/0001.jpg", heldJPEG())), "tar czf of pictures")
	s.add("dot-slash", "data.tar", heldTar(tar.FormatGNU, tar.Header{Typeflag: tar.TypeDir, Name: "./", Mode: 0o755}, "", "./a/b.txt", "x"), "tar cf data.tar .")
	s.add("symlink-inside", "ckpt.tar", heldTar(tar.FormatGNU, "ckpt/step-10/w.bin", weights(5, 8), tar.Header{Typeflag: tar.TypeSymlink, Name: "ckpt/latest", Linkname: "step-10", Mode: 0o777}, ""), "a symlink to a folder beside it")
	s.add("hardlink-inside", "ckpt.tar", heldTar(tar.FormatGNU, "ckpt/a.bin", weights(6, 8), tar.Header{Typeflag: tar.TypeLink, Name: "ckpt/b.bin", Linkname: "ckpt/a.bin", Mode: 0o644}, ""), "a hard link to a member before it")
	s.add("two-dots-in-a-name", "data.tar", heldTar(tar.FormatPAX, "data/v1..v2.diff", "-a\n+b\n", "data/..hidden", "x"), "names with two dots that do not climb")
	s.add("zst", "corpus.tar.zst", zstded(heldTar(tar.FormatPAX, "c/0.jsonl", "{\"text\": \"a\"}\n")), "tar --zstd")
	s.add("sagemaker", "model.tar.gz", gzipped(heldTar(tar.FormatPAX, "xgboost-model", "{L"+noise(995, 60), "MANIFEST.json", "{}")), "SageMaker's model.tar.gz")
	s.add("jsonl-gz", "train.jsonl.gz", gzipped(strings.Repeat(`{"text": "import os; os.system('x')"}`+"\n", 30)), "a gzipped data set of code")
	s.add("npy-gz", "labels-idx1.npy.gz", gzipped(npy("'|u1'", "(400,)", false, noise(996, 400))), "a gzipped array")
	s.add("idx-gz", "train-labels-idx1-ubyte.gz", gzipped("\x00\x00\x08\x01"+be32(200)+noise(997, 200)), "MNIST's labels")
	s.add("csv-bz2", "table.csv.bz2", bzipped(strings.Repeat("1,2,3\n", 400)), "a bzip2 of a table")
	s.add("csv-xz", "table.csv.xz", xzed(strings.Repeat("1,2,3\n", 400)), "an xz of a table")
	s.add("two-gzip-members", "log.gz", gzipped("a\n")+gzipped("b\n"), "a log that was appended to")
	return s.cases
}

func heldPlainJoblib() []Case {
	s := heldCase("plain-joblib")
	honest := heldJoblib(0)
	for name, data := range ordered("uncompressed", honest, "zlib", zlibbed(honest, 3), "gzip", gzipped(honest), "bz2", bzipped(honest), "lzma", lzmaAlone(honest), "xz", xzed(honest), "lz4", lz4ed(honest)) {
		s.add(name, "model.joblib", data, "joblib.dump, "+name)
	}
	s.add("aligned", "model.joblib", heldJoblibAligned(), "joblib 1.1 and later, with padding before an array")
	s.add("object-array", "labels.joblib", heldJoblibObjects(), "an object array of strings, a pickle inside")
	return s.cases
}

func heldJoblibWrapper(code string, more ...any) string {
	return body(3, instance("joblib.numpy_pickle.NumpyArrayWrapper", dictOf(append([]any{"subclass", glob("numpy.ndarray"), "shape", tup{2}, "order", "C", "dtype", dtype(code), "allow_mmap", code != "O8"}, more...)...)))
}

func heldJoblibAligned() string {
	s := opProto(3) + opEmptyDict + text("w") + heldJoblibWrapper("f8", "numpy_array_alignment_bytes", 16)
	pad := 16 - (len(s)+1)%16
	return s + string([]byte{byte(pad)}) + strings.Repeat("\xff", pad) + doubles(7, 2) + opSetItem + opStop
}

func heldJoblibObjects() string {
	return opProto(3) + opEmptyDict + text("classes_") + heldJoblibWrapper("O8") + pickle(2, numpy1.objects("exec", "system")) + opSetItem + opStop
}
