package corpus

// evil is one of a few pickles that call something when they are loaded; which
// one depends on n, so that neighbours differ.
func evil(n int) string {
	switch n % 6 {
	case 0:
		return opProto(2) + call("os", "system", str2("true")) + opStop
	case 1:
		return framed(4, call4("builtins", "exec", text("pass"))+opMemoize+opStop)
	case 2:
		return opProto(2) + opEmptyDict + opBinPut(0) + opMark + str2("w") + call("subprocess", "getoutput", str2("true")) + opSetItems + opStop
	case 3:
		return opMark + opString("'true'") + opInst("posix", "system") + opStop
	case 4:
		return framed(5, call4("runpy", "run_path", text("/nonexistent/apex.py"))+opStop)
	}
	return opProto(3) + call("builtins", "eval", str2("1+1")) + opPop + pickle(3, dictOf("weight", 1.5))[2:]
}

// evilStateDict is a torch data.pkl with a tensor and, at n's place, a call.
func evilStateDict(n int) string {
	tensor := pickle(2, rebuildTensor("FloatStorage", "0", 8, tup{4, 2}))
	tensor = tensor[2 : len(tensor)-1]
	bad := call("os", "system", str2("true"))
	if n%2 == 1 {
		bad = opMark + str2("1+1") + opInst("builtins", "eval")
	}
	s := opProto(2) + opGlobal("collections", "OrderedDict") + opEmptyTuple + opReduce + opMark
	if n%3 == 0 {
		return s + str2("fc.bias") + bad + str2("fc.weight") + tensor + opSetItems + opStop
	}
	return s + str2("fc.weight") + tensor + str2("fc.bias") + bad + opSetItems + opStop
}

// plainStateDict is the same without the call.
func plainStateDict() string {
	return pickle(2, stateDict(entry{"fc.weight", "FloatStorage", tup{4, 2}}))
}

// entry is a parameter of a state dict: its name, the storage's class and the
// shape.
type entry struct {
	name, storage string
	shape         tup
}

// stateDict is an OrderedDict of tensors with one storage each.
func stateDict(entries ...entry) *object {
	od := reduce("collections.OrderedDict")
	for i, e := range entries {
		n := 1
		for _, d := range e.shape {
			n *= d.(int)
		}
		od.dictItems = append(od.dictItems, [2]any{e.name, rebuildTensor(e.storage, itoa(i), n, e.shape)})
	}
	return od
}

// rebuildTensor is a tensor as torch pickles it: the storage is a persistent id.
func rebuildTensor(storage, key string, n int, shape tup) *object {
	strides := make(tup, len(shape))
	step := 1
	for i := len(shape) - 1; i >= 0; i-- {
		strides[i] = step
		step *= shape[i].(int)
	}
	return reduce("torch._utils._rebuild_tensor_v2", persID{tup{"storage", glob("torch." + storage), key, "cpu", n}},
		0, shape, strides, false, reduce("collections.OrderedDict"))
}
