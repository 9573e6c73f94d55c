package corpus

// heldEras are the numpys that wrote pickles: module names differ before and
// after 2.0, and protocol 5 uses _frombuffer.
func heldEras() []numpyEra { return []numpyEra{numpy1, numpy2, numpy1b, numpy2b} }

// heldOctets is a dtype of one byte, which has no byte order.
func heldOctets(code string) *object {
	return reduce("numpy.dtype", code, false, true).with(tup{3, "|", nil, nil, nil, -1, -1, 0})
}

func heldPlainPickles() []Case {
	s := heldCase("plain-pickle")
	p := func(proto int, name, file string, v any, truth string) { s.pickle(name, file, pickle(proto, v), truth) }
	p(2, "vocabulary", "vocab.pkl", dictOf("import", 0, "os", 1, "system", 2, "__class__", 3, "eval(", 4), "pickle.dumps of a dict of tokens that are Python words")
	p(4, "ordered-dict-of-lists", "history.pkl", &object{function: glob("collections.OrderedDict"), dictItems: [][2]any{{"loss", listOf(0.5, 0.25)}, {"val_loss", listOf(0.6)}}}, "a Keras History's dict, pickled")
	p(3, "defaultdict-of-int", "counts.pkl", &object{function: glob("collections.defaultdict"), args: tup{glob("builtins.int")}, dictItems: [][2]any{{"a", 1}}}, "collections.defaultdict(int)")
	p(4, "adjacency", "graph.pkl", &object{function: glob("collections.defaultdict"), args: tup{glob("builtins.list")}, dictItems: [][2]any{{1, listOf(2, 3)}}}, "an adjacency list")
	p(2, "datetime-protocol-2", "log.pkl", listOf(reduce("datetime.datetime", blob("\x07\xe8\x06\x0f\x0d\x21\x24\x00\x00\x00"))), "datetime under Python 3 with protocol 2: the bytes go through _codecs.encode")
	p(4, "pathlib", "paths.pkl", dictOf("train", reduce("pathlib.PosixPath", "/", "data", "eval", "system"), "win", reduce("pathlib.WindowsPath", `C:\`, "Users")), "paths of both systems in a list of files")
	p(5, "bytearray", "buffer.pkl", byteArray(noise(920, 300)), "a bytearray with protocol 5")
	p(0, "protocol-0-text", "p0.pkl", dictOf("ключ", "значение\n\\u0041", "n", 5, "f", 0.1, "b", true, "none", nil), "protocol 0 with escapes")
	p(4, "sets", "stopwords.pkl", &setOf{[]any{"exec", "the", "of"}}, "a set of stop words")
	p(4, "tokenizer-of-nltk", "punkt.pickle", instance("nltk.tokenize.punkt.PunktSentenceTokenizer", dictOf("_params", instance("nltk.tokenize.punkt.PunktParameters", dictOf("abbrev_types", &setOf{[]any{"dr", "vs"}}, "collocations", &setOf{}, "sent_starters", &setOf{}, "ortho_context", &object{function: glob("collections.defaultdict"), args: tup{glob("builtins.int")}})))), "nltk's punkt tokenizer")
	p(4, "gensim-keyed-vectors", "vectors.kv", instance("gensim.models.keyedvectors.KeyedVectors", dictOf("vector_size", 4, "index_to_key", listOf("a", "b"), "vectors", numpy1.singles(3, 2, 4), "norms", nil, "expandos", dictOf(), "mapfile_path", nil)), "gensim's KeyedVectors.save")
	p(5, "shapely-like-tuple-tree", "boxes.pkl", listOf(tup{0, 0, tup{1, 1, tup{2, 2}}}, tup{}), "nested tuples")
	p(2, "old-style-cifar", "data_batch_1", dictOf("batch_label", "training batch 1 of 5", "labels", listOf(6, 9, 9), "data", numpy1.array(heldOctets("u1"), tup{3, 8}, noise(921, 24)), "filenames", listOf("leptodactylus_pentadactylus_s_000004.png", "camion_s_000148.png", "tipper_truck_s_001250.png")), "a batch of CIFAR-10")
	p(4, "hf-training-args-like-enum", "strategy.pkl", reduce("transformers.trainer_utils.IntervalStrategy", "steps"), "an enum of transformers by its value")
	p(4, "word-counter", "df.pkl", &object{function: glob("collections.Counter"), args: tup{dictOf("pickle", 3, "subprocess", 1)}}, "collections.Counter over source code")
	return s.cases
}

func heldPlainNumpy() []Case {
	s := heldCase("plain-numpy")
	for i, e := range heldEras() {
		era := [...]string{"numpy1", "numpy2", "numpy1-proto5", "numpy2-proto5"}[i]
		proto := [...]int{3, 4, 5, 5}[i]
		s.pickle("floats-"+era, "x.pkl", pickle(proto, e.floats(uint64(i), 3, 4)), "pickle.dumps of a float64 array by "+era)
		s.pickle("record-"+era, "rec.pkl", pickle(proto, e.array(recordType(12, field{"id", "i4", 0}, field{"x", "f8", 4}), tup{2}, noise(uint64(930+i), 24))), "a structured array by "+era)
	}
	s.pickle("object-strings", "names.pkl", pickle(4, numpy1.objects("exec", nil, "os.system", 3)), "an array of Python strings, numbers and None")
	s.pickle("scalar-and-dtype", "mean.pkl", pickle(4, dictOf("mean", numpy1.float(0.5), "dtype", dtype("f4"), "bool", numpy1.scalar("b1", "\x01"))), "numpy scalars and a dtype")
	s.pickle("datetime64", "dates.pkl", pickle(4, numpy1.array(reduce("numpy.dtype", "M8", false, true).with(tup{4, "<", nil, nil, nil, -1, -1, 0, tup{dictOf(), tup{blob("D"), 1, 1, 1}}}), tup{2}, le64(19000)+le64(19001))), "datetime64[D] with its metadata")
	s.pickle("random-state", "rs.pkl", pickle(2, numpy1.randomState(4)), "numpy.random.RandomState of numpy 1")
	s.pickle("random-state-2", "rs.pkl", pickle(5, numpy2.randomState(5)), "numpy.random.RandomState of numpy 2")
	state := dictOf("bit_generator", "PCG64", "state", dictOf("state", bigMagic(), "inc", bigMagic()), "has_uint32", 0, "uinteger", 0)
	s.pickle("generator-of-1.24", "rng.pkl", pickle(4, reduce("numpy.random._pickle.__generator_ctor", "PCG64").with(state)), "default_rng() of numpy 1.2x")
	s.pickle("generator-of-2", "rng.pkl", pickle(4, reduce("numpy.random._pickle.__generator_ctor", reduce("numpy.random._pickle.__bit_generator_ctor", glob("numpy.random._pcg64.PCG64")).with(tup{state, nil}))), "default_rng() of numpy 2")
	s.pickle("ufunc-by-name", "agg.pkl", pickle(4, dictOf("log", glob("numpy.log1p"), "exp", glob("numpy.expm1"))), "ufuncs of numpy 1.2x and later are pickled by name")
	s.pickle("ufunc-by-reconstruct", "agg.pkl", pickle(2, reduce("numpy.core._ufunc_reconstruct", "numpy.core._multiarray_umath", "add")), "a ufunc of numpy before 1.20 is pickled by module and name")
	s.pickle("masked", "masked.pkl", pickle(2, reduce("numpy.ma.core._mareconstruct", glob("numpy.ma.core.MaskedArray"), glob("numpy.ndarray"), tup{0}, "b").with(tup{1, tup{2}, dtype("f8"), false, blob(doubles(9, 2)), blob("\x00\x01"), nil})), "a masked array")
	s.pickle("poly1d", "poly.pkl", pickle(4, instance("numpy.poly1d", dictOf("coeffs", numpy1.floats(5, 3), "_variable", "x"))), "numpy.poly1d")
	s.pickle("matrix-and-fortran", "m.pkl", pickle(2, numpy1.array(dtype("f4"), tup{2, 2}, weights(6, 4))), "a matrix of float32")
	s.pickle("recarray", "r.pkl", pickle(4, reduce("numpy.core.multiarray._reconstruct", glob("numpy.recarray"), tup{0}, blob("b")).with(tup{1, tup{1}, recordType(8, field{"a", "f8", 0}), false, blob(lef64(1))})), "numpy.recarray")
	return s.cases
}

func heldPlainPandas() []Case {
	s := heldCase("plain-pandas")
	e := numpy1
	index := func(values any) *object {
		return reduce("pandas.core.indexes.base._new_Index", glob("pandas.core.indexes.base.Index"), dictOf("data", values, "name", nil))
	}
	// backed is an array of pandas' Cython base class, by Cython's own unpickler.
	backed := func(class string, dtype, values *object) *object {
		return reduce("pandas._libs.arrays.__pyx_unpickle_NDArrayBacked", glob(class), 117911646, nil).with(tup{dtype, values, dictOf()})
	}
	rng := func(n int) *object {
		return reduce("pandas.core.indexes.base._new_Index", glob("pandas.core.indexes.range.RangeIndex"), dictOf("name", nil, "start", 0, "stop", n, "step", 1))
	}
	frame := func(columns *object, rows *object, values any) *object {
		block := reduce("pandas._libs.internals._unpickle_block", values, reduce("builtins.slice", 0, 2, 1), 2)
		mgr := reduce("pandas.core.internals.managers.BlockManager", tup{block}, listOf(columns, rows))
		return instance("pandas.core.frame.DataFrame", dictOf("_mgr", mgr, "_typ", "dataframe", "_metadata", listOf(), "attrs", dictOf(), "_flags", dictOf("allows_duplicate_labels", true)))
	}
	s.pickle("frame", "df.pkl", pickle(5, frame(index(e.objects("eval", "exec")), rng(3), e.floats(1, 2, 3))), "DataFrame.to_pickle of pandas 2 with columns eval and exec")
	s.pickle("frame-with-utc-index", "df.pkl", pickle(4, frame(index(e.objects("a", "b")), reduce("pandas.core.indexes.datetimes._new_DatetimeIndex", glob("pandas.core.indexes.datetimes.DatetimeIndex"),
		dictOf("data", backed("pandas.core.arrays.datetimes.DatetimeArray", instance("pandas.core.dtypes.dtypes.DatetimeTZDtype", dictOf("unit", "ns", "tz", reduce("pytz._p", "Europe/Rome", 3000, 0, "LMT"))), e.array(reduce("numpy.dtype", "M8", false, true).with(tup{4, "<", nil, nil, nil, -1, -1, 0, tup{dictOf(), tup{blob("ns"), 1, 1, 1}}}), tup{2}, le64(1718458416000000000)+le64(1718458417000000000))), "name", nil)), e.floats(2, 2, 2))), "an index of times with a pytz zone")
	s.pickle("period-index", "p.pkl", pickle(4, reduce("pandas.core.indexes.period._new_PeriodIndex", glob("pandas.core.indexes.period.PeriodIndex"), dictOf("data", backed("pandas.core.arrays.period.PeriodArray", reduce("pandas.core.dtypes.dtypes.PeriodDtype", "period[M]"), e.ints(1, 600, 3)), "name", nil))), "PeriodIndex by month")
	s.pickle("interval", "bins.pkl", pickle(4, reduce("pandas._libs.interval.Interval", 0, 5, "right")), "pandas.Interval, as pd.cut leaves them")
	s.pickle("timestamp", "t.pkl", pickle(4, listOf(reduce("pandas._libs.tslibs.timestamps._unpickle_timestamp", 1718458416000000000, nil, nil, 10), reduce("pandas._libs.tslibs.timedeltas._timedelta_unpickle", 86400000000000, 10), reduce("pandas._libs.tslibs.nattype._nat_unpickle", nil))), "Timestamp, Timedelta and NaT of pandas 2")
	s.pickle("categorical", "cat.pkl", pickle(4, backed("pandas.core.arrays.categorical.Categorical", instance("pandas.core.dtypes.dtypes.CategoricalDtype", dictOf("categories", index(e.objects("x", "y")), "ordered", false)), e.array(heldOctets("i1"), tup{3}, "\x00\x01\x00"))), "a Categorical")
	s.pickle("nullable-integers", "na.pkl", pickle(4, instance("pandas.core.arrays.integer.IntegerArray", dictOf("_data", e.ints(2, 9, 3), "_mask", e.array(dtype("b1"), tup{3}, "\x00\x01\x00"), "_cache", dictOf("dtype", instance("pandas.core.arrays.integer.Int64Dtype", dictOf()))))), "Int64 with missing values; NA")
	s.pickle("multi-index", "mi.pkl", pickle(4, reduce("pandas.core.indexes.base._new_Index", glob("pandas.core.indexes.multi.MultiIndex"), dictOf("levels", listOf(index(e.objects("a")), index(e.objects("b"))), "codes", listOf(e.array(heldOctets("i1"), tup{1}, "\x00"), e.array(heldOctets("i1"), tup{1}, "\x00")), "sortorder", nil, "names", listOf(nil, nil)))), "a MultiIndex")
	s.pickle("series-of-pandas-1", "s.pkl", pickle(4, instance("pandas.core.series.Series", dictOf("_mgr", instance("pandas.core.internals.managers.SingleBlockManager", tup{listOf(rng(2)), listOf(e.floats(3, 2)), listOf(rng(2)), dictOf("0.14.1", dictOf("axes", listOf(rng(2)), "blocks", listOf(dictOf("values", e.floats(3, 2), "mgr_locs", reduce("builtins.slice", 0, 2, 1)))))}), "_typ", "series", "name", "y"))), "a Series of pandas 1.x")
	s.pickle("na", "na.pkl", pickle(4, glob("pandas._libs.missing.NA")), "pandas.NA is pickled as a name")
	s.pickle("offsets", "off.pkl", pickle(4, listOf(reduce("pandas._libs.tslibs.offsets.Day", 1, false), reduce("pandas._libs.tslibs.offsets.QuarterEnd", 1, false, 3))), "date offsets")
	return s.cases
}
