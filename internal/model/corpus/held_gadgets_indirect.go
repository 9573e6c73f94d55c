package corpus

// heldGadgetsIndirect call through functions whose work is to call others, or
// through iterators that a harmless constructor walks.
func heldGadgetsIndirect() []Case {
	system := glob("os.system")
	all := heldGadgetCases("calls what it is given", append(calls(
		reduce("copy._reconstruct", nil, nil, system, tup{"true"}),
		reduce("heapq.nsmallest", 1, listOf("true"), system),
		reduce("multiprocessing.pool.ThreadPool", 1, system, tup{"true"}),
		reduce("atexit.register", system, "true"),
		reduce("weakref.finalize", instance("argparse.Namespace", dictOf("a", 1)), system, "true"),
		reduce("concurrent.futures.process._process_chunk", system, listOf(tup{"true"})),
	), heldGadget{"starmap-walked-by-deque", reduce("collections.deque", reduce("itertools.starmap", glob("timeit.timeit"), listOf(tup{"pass"})))},
		heldGadget{"groupby-walked-by-list", reduce("builtins.list", reduce("itertools.groupby", listOf("true"), system))},
		heldGadget{"iter-of-a-callable-walked-by-set", reduce("builtins.set", reduce("builtins.iter", glob("posix.fork"), 0))},
		heldGadget{"accumulate-walked-by-sum", reduce("builtins.sum", reduce("itertools.accumulate", listOf("pass", dictOf()), glob("builtins.exec")))},
		heldGadget{"filter-walked-by-ordereddict", reduce("collections.OrderedDict", reduce("builtins.filter", system, listOf("true")))},
		heldGadget{"concurrent-workitem-run", method(reduce("concurrent.futures.thread._WorkItem", reduce("concurrent.futures._base.Future"), system, tup{"true"}, dictOf()), "run")},
		heldGadget{"joblib-batchedcalls-call", method(reduce("joblib.parallel.BatchedCalls", listOf(tup{system, tup{"true"}, dictOf()}), tup{"threading", 1}), "__call__")},
	)...)
	s := heldCase("pickle-trusted-callee")
	s.pickle("rebuild-from-type", "model.bin", pickle(2, reduce("torch._tensor._rebuild_from_type_v2", system, glob("torch.Tensor"), tup{"true"}, dictOf())),
		"torch._tensor._rebuild_from_type_v2 calls its first argument")
	s.pickle("function-transformer", "pipe.pkl", pickle(4, instance("sklearn.preprocessing._function_transformer.FunctionTransformer",
		dictOf("func", glob("os.system"), "inverse_func", nil, "validate", false, "_sklearn_version", "1.4.2"))),
		"a FunctionTransformer whose function is os.system: transform() runs what is predicted on")
	s.pickle("defaultdict-factory", "vocab.pkl", pickle(4, &object{function: glob("collections.defaultdict"), args: tup{glob("os.getlogin")},
		dictItems: [][2]any{{"a", 1}}}), "a defaultdict whose factory is a function of os")
	s.pickle("vectorize-called", "vec.pkl", pickle(3, via(reduce("numpy.vectorize", system), listOf("true"))), "numpy.vectorize wraps os.system and is called")
	s.pickle("ufunc-reconstruct-of-os", "ufunc.pkl", pickle(4, via(reduce("numpy.core._ufunc_reconstruct", "os", "system"), "true")),
		"numpy.core._ufunc_reconstruct imports any module's attribute; the result is called")
	s.pickle("new-index-of-memmap", "arr.pkl", pickle(2, reduce("pandas.core.indexes.base._new_Index", glob("numpy.memmap"), dictOf("filename", "/nonexistent/apex", "mode", "w+", "shape", tup{4}))),
		"pandas' _new_Index calls cls.__new__(cls, **d) of any class: memmap opens a file to write")
	s.pickle("reconstructor-of-popen", "old.pkl", pickle(2, reduce("copyreg._reconstructor", glob("subprocess.Popen"), glob("subprocess.Popen"), listOf("true"))),
		"copyreg._reconstructor calls base.__init__(obj, state) with Popen as base")
	s.pickle("new-index", "index.pkl", pickle(4, reduce("pandas.core.indexes.base._new_Index", glob("types.FunctionType"),
		dictOf("code", reduce("marshal.loads", blob(codeObject(11, "f", "apex"))), "globals", dictOf()))), "_new_Index builds a function out of marshalled code")
	return append(all, s.cases...)
}
