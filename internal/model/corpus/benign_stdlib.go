package corpus

import (
	"math/big"
	"strings"
)

// protocols writes one value in a few protocols, each its own case.
func (s *set) protocols(name string, v any, truth string, protos ...int) {
	for _, p := range protos {
		s.pickle(name+"-protocol-"+itoa(p), "value.pkl", pickle(p, v), truth)
	}
}

func benignStdlib() []Case {
	s := &set{technique: "stdlib-pickle"}
	s.protocols("datetime", reduce("datetime.datetime", blob("\x07\xe8\x01\x02\x03\x04\x05\x00\x00\x06")), "a datetime", 2, 4)
	utc := reduce("datetime.timezone", reduce("datetime.timedelta", 0, 0, 0))
	s.protocols("aware-datetime", dictOf("created", reduce("datetime.datetime", blob("\x07\xe8\x01\x02\x03\x04\x05\x00\x00\x06"), utc), "took", reduce("datetime.timedelta", 1, 2, 3)), "datetimes with a time zone", 0, 4)
	s.protocols("date", listOf(reduce("datetime.date", blob("\x07\xe8\x06\x0f")), reduce("datetime.time", blob("\x0c\x1e\x00\x00\x00\x00"))), "a date and a time", 4)
	s.protocols("decimal", listOf(reduce("decimal.Decimal", "1.50"), reduce("decimal.Decimal", "NaN")), "decimals", 0, 4)
	s.protocols("uuid", instance("uuid.UUID", dictOf("int", new(big.Int).Lsh(big.NewInt(0x1234567), 90))), "a UUID", 0, 2, 4)
	s.protocols("path", dictOf("model", reduce("pathlib.PosixPath", "models", "bert"), "cache", reduce("pathlib.PurePosixPath", "/", "data")), "paths", 2, 5)
	s.protocols("windows-path", reduce("pathlib.WindowsPath", "C:\\", "models"), "a Windows path", 4)
	s.protocols("namespace", instance("argparse.Namespace", dictOf("lr", 0.001, "epochs", 10, "device", "cuda:0", "resume", nil)), "training arguments", 0, 2, 4)
	dd := reduce("collections.defaultdict", glob("builtins.list"))
	dd.dictItems = [][2]any{{"train", listOf(0.9, 0.5)}, {"val", listOf(1.1)}}
	s.protocols("defaultdict", dd, "a defaultdict of lists", 2, 4)
	dint := reduce("collections.defaultdict", glob("builtins.int"))
	dint.dictItems = [][2]any{{"a", 1}, {"b", 2}}
	s.protocols("defaultdict-int", dint, "a defaultdict of counts", 2, 5)
	s.protocols("counter", reduce("collections.Counter", dictOf("the", 120, "eval", 3, "system", 2)), "a Counter of words that look like code", 2, 4)
	dq := reduce("collections.deque", tup{}, 100)
	dq.listItems = []any{1.0, 0.5, 0.25}
	s.protocols("deque", dq, "a deque", 2, 4)
	od := reduce("collections.OrderedDict")
	od.dictItems = [][2]any{{"conv1", 64}, {"fc", 10}}
	s.protocols("ordered-dict", od, "an OrderedDict", 0, 2, 4, 5)
	s.protocols("chain-map", instance("collections.ChainMap", dictOf("maps", listOf(dictOf("a", 1), dictOf("b", 2)))), "a ChainMap", 4)
	s.protocols("simple-namespace", reduce("types.SimpleNamespace").with(dictOf("hidden", 768, "heads", 12)), "a SimpleNamespace", 4)
	s.protocols("complex", listOf(reduce("builtins.complex", 1.0, 2.0)), "a complex number", 0, 2, 4)
	s.protocols("sets", dictOf("stop", &frozen{[]any{"a", "the"}}, "seen", &setOf{[]any{1, 2, 3}}), "sets", 0, 2, 3, 4)
	s.protocols("range-slice", tup{reduce("builtins.range", 0, 10, 2), reduce("builtins.slice", 1, 5, nil)}, "a range and a slice", 2, 4)
	s.protocols("bytearray", byteArray("\x00\x01\x02raw"), "a bytearray", 2, 4, 5)
	s.protocols("bytes", listOf(blob(""), blob("abc"), blob(noise(2, 300))), "bytes", 0, 2, 3, 5)
	s.protocols("array", reduce("array._array_reconstructor", glob("array.array"), "d", 16, blob(doubles(1, 8))), "an array.array", 3, 4)
	s.protocols("fraction", reduce("fractions.Fraction", "1/3"), "a Fraction", 2)
	s.protocols("zoneinfo", &object{function: reduce("builtins.getattr", glob("zoneinfo.ZoneInfo"), "_unpickle"), args: tup{"Europe/Berlin", true}}, "a ZoneInfo, which CPython writes by way of getattr", 4)
	s.protocols("ip-address", reduce("ipaddress.IPv4Address", 2130706433), "an IP address", 2, 4)
	s.protocols("enum", reduce("http.HTTPStatus", 200), "a member of an enum", 2, 4)
	s.protocols("type-objects", dictOf("dtype", glob("builtins.float"), "key", glob("builtins.str"), "cls", glob("collections.OrderedDict")), "classes as values", 2, 4)
	s.protocols("numbers", listOf(0, 1, -1, 255, 65535, 65536, 1<<31, -1<<31, 1<<40, new(big.Int).Lsh(big.NewInt(7), 2100), 0.1, -2.5e-300, true, false, nil), "numbers of all sizes", 0, 1, 2, 4)
	s.protocols("vocabulary", dictOf("word2idx", dictOf("<pad>", 0, "os", 1, "system", 2, "exec", 3, "subprocess", 4, "__import__", 5), "max_len", 128), "a vocabulary of words that look like code", 2, 4)
	s.protocols("unicode", listOf("naïve", "日本語", "emoji 🎉", "line\nbreak", "back\\slash", strings.Repeat("long ", 100)), "text of many scripts", 0, 2, 4)
	many := &list{}
	index := &dict{}
	for i := range 3000 {
		many.items = append(many.items, tup{"user" + itoa(i), i, float64(i) / 3})
		index.pairs = append(index.pairs, [2]any{i, "item" + itoa(i)})
	}
	s.protocols("large-lists", dictOf("rows", many, "index", index), "thousands of rows, in batches and frames", 2, 4, 5)
	self := &list{}
	shared := dictOf("k", 1)
	self.items = []any{shared, shared, self}
	s.protocols("recursive", self, "a list that holds itself", 2, 4)
	s.pickle("several-streams", "log.pkl", pickle(4, dictOf("epoch", 1, "loss", 0.5))+pickle(4, dictOf("epoch", 2, "loss", 0.4))+pickle(4, dictOf("epoch", 3, "loss", 0.3)), "values that were dumped one after the other")
	s.pickle("cpickle-protocol-2", "old.pkl", opProto(2)+opEmptyDict+opBinPut(1)+opMark+opShortBinString("weights")+opBinPut(2)+opEmptyList+opBinPut(3)+opMark+opBinFloat(0.5)+opBinFloat(0.25)+opAppends+opShortBinString("name")+opBinPut(4)+opShortBinString("m")+opBinPut(5)+opSetItems+opStop, "what Python 2's cPickle wrote")
	s.pickle("protocol-0-python-2", "old.pkl", "(dp1\nS'a'\np2\nI1\nsS'b'\np3\n(lp4\nF0.5\naL3L\nas.", "what Python 2 wrote by default")
	s.pickle("dill-plain-data", "session.pkl", pickle(4, dictOf("params", dictOf("alpha", 0.1), "type", glob("collections.OrderedDict"))), "dill of plain data and a class")
	s.pickle("cloudpickle-plain-data", "m.cloudpickle", pickle(5, dictOf("cfg", od, "seed", 42)), "cloudpickle of plain data")
	s.pickle("bytes-that-look-like-pickle", "cache.pkl", pickle(4, dictOf("blob", blob(pickle(2, listOf(1, 2, 3))), "text", "cos\nsystem\n(S'true'\ntR.")), "data that looks like a pickle")
	return s.cases
}

func benignNumpy() []Case {
	s := &set{technique: "numpy-pickle"}
	for name, era := range ordered("numpy-1", numpy1, "numpy-1-buffers", numpy1b, "numpy-2", numpy2, "numpy-2-buffers", numpy2b) {
		proto := 4
		if era.buffer {
			proto = 5
		} else if era == numpy1 {
			proto = 3
		}
		put := func(variation string, v any, truth string) {
			if era == numpy2b && (variation == "generator" || variation == "masked" || variation == "types") {
				return // nothing of these depends on the version
			}
			s.pickle(variation+"-"+name, "array.pkl", pickle(proto, v), truth)
		}
		put("floats", era.floats(1, 10, 4), "an array of float64")
		put("mixed", dictOf("x", era.singles(2, 3, 3), "y", era.ints(3, 10, 9), "mean", era.float(0.5), "names", era.texts("a", "bcd"), "mask", era.array(dtype("b1"), tup{4}, "\x01\x00\x01\x01")), "arrays and scalars of several types")
		put("objects", era.objects("a", nil, 1, dictOf("k", 2.5)), "an array of objects")
		put("structured", era.array(recordType(12, field{"id", "i4", 0}, field{"score", "f8", 4}), tup{3}, noise(4, 36)), "a structured array")
		put("random-state", era.randomState(5), "a RandomState")
		put("generator", reduce("numpy.random._pickle.__generator_ctor", "PCG64").with(dictOf("bit_generator", "PCG64", "state", dictOf("state", new(big.Int).Lsh(big.NewInt(3), 120), "inc", new(big.Int).Lsh(big.NewInt(5), 100)), "has_uint32", 0, "uinteger", 0)), "a Generator")
		put("masked", reduce("numpy.ma.core._mareconstruct", glob("numpy.ma.core.MaskedArray"), glob("numpy.ndarray"), tup{0}, "b").with(tup{1, tup{4}, dtype("f8"), false, blob(doubles(6, 4)), blob("\x00\x01\x00\x00"), 1e20}), "a masked array")
		put("large", era.singles(7, 300, 100), "an array of 120 kB")
		put("dates", era.array(reduce("numpy.dtype", "M8", false, true).with(tup{4, "<", nil, nil, nil, -1, -1, 0, tup{&dict{}, tup{blob("D"), 1, 1, 1}}}), tup{3}, counts(8, 3, 20000)), "an array of dates")
		put("types", dictOf("dtype", dtype("f4"), "cls", glob("numpy.float64"), "kind", glob("numpy.int64")), "dtypes and scalar types as values")
	}
	s.pickle("protocol-2", "array.pkl", pickle(2, numpy1.floats(9, 5)), "an array whose bytes travel as latin-1 text")
	s.pickle("python-2", "array.pkl", pickle(0, numpy1.floats(10, 3)), "an array in protocol 0")
	s.add("npy-floats", "x.npy", npy("'<f4'", "(8, 4)", false, weights(11, 32)), "an array file")
	s.add("npy-fortran", "x.npy", npy("'<f8'", "(4, 4)", true, doubles(12, 16)), "in Fortran order")
	s.add("npy-structured", "x.npy", npy("[('id', '<i4'), ('box', '<f4', (4,)), ('name', '<U8')]", "(2,)", false, noise(13, 2*(4+16+32))), "a structured array file")
	s.add("npy-version-2", "x.npy", npyHeader(2, "{'descr': '|u1', 'fortran_order': False, 'shape': (64,), }")+noise(14, 64), "a version 2 header")
	s.add("npy-scalar", "x.npy", npy("'<i8'", "()", false, counts(15, 1, 100)), "a scalar")
	s.add("npy-strings", "x.npy", npy("'<U6'", "(2,)", false, strings.Repeat("o\x00\x00\x00", 12)), "an array of text")
	s.add("npz", "x.npz", string(archive{members: []member{{name: "a.npy", data: npy("'<f4'", "(4,)", false, weights(16, 4)), zip64: true}, {name: "b.npy", data: npy("'<i8'", "(2,)", false, counts(17, 2, 9)), zip64: true}}}.bytes()), "numpy.savez")
	s.add("npz-compressed", "x.npz", string(archive{members: []member{{name: "a.npy", data: npy("'<f8'", "(64,)", false, doubles(18, 64)), deflate: true}}}.bytes()), "numpy.savez_compressed")
	s.add("npz-scipy-sparse", "x.npz", string(archive{members: []member{{name: "indices.npy", data: npy("'<i4'", "(3,)", false, noise(19, 12)), deflate: true}, {name: "indptr.npy", data: npy("'<i4'", "(2,)", false, noise(20, 8)), deflate: true}, {name: "format.npy", data: npy("'|S3'", "()", false, "csr"), deflate: true}, {name: "shape.npy", data: npy("'<i8'", "(2,)", false, counts(21, 2, 9)), deflate: true}, {name: "data.npy", data: npy("'<f8'", "(3,)", false, doubles(22, 3)), deflate: true}}}.bytes()), "scipy.sparse.save_npz")
	return s.cases
}
