package corpus

import "strings"

// thirdPickleParse are pickles that CPython's C unpickler reads, or reads as
// far as the call.
func thirdPickleParse() []Case {
	tail := third("pickle-broken-tail")
	for name, end := range ordered("pop-of-an-empty-stack", strings.Repeat(opPop, 9)+opStop, "tuple-without-a-mark", opPop+opTuple+opStop, "reduce-on-a-number", opBinInt1(1)+opEmptyTuple+opReduce+opStop,
		"text-that-is-no-utf-8", opBinUnicode("\xff\xfe\xfd")+opStop, "negative-length", "T\xff\xff\xff\xff"+opStop, "no-such-opcode", "\xff\xfe"+opStop, "import-of-nothing", opGlobal("", "")+opStop, "nothing-more", "") {
		tail.add(name, "model.pkl", opProto(2)+opEmptyDict+str2("layer")+thirdShell+opSetItem+end, "calls, then ends in an error: "+name)
	}

	frame := third("pickle-frame-tricks")
	frame.pickle("one-frame-for-each-opcode", "m.pkl", opProto(4)+thirdFrames(text("posix"), text("system"), opStackGlobal, text("true"), opTuple1, opReduce)+opStop, "every opcode has a frame of its own")
	frame.pickle("frame-ends-within-a-string", "m.pkl", opProto(4)+"\x95"+le64(3)+text("posix")+text("popen")+opStackGlobal+text("true")+opTuple1+opReduce+opStop, "the frame ends in the middle of the module's name")
	frame.pickle("frame-in-protocol-2", "m.pkl", opProto(2)+"\x95"+le64(len(thirdExec)+1)+thirdExec+opStop, "FRAME in a stream that says protocol 2")
	frame.pickle("frame-over-two-streams", "m.pkl", opProto(4)+"\x95"+le64(len(thirdRun)+1+5)+thirdRun+opStop+pickle(2, 1), "a frame that reaches over STOP into the next stream")
	frame.pickle("frames-within-frames", "m.pkl", opProto(4)+"\x95"+le64(9+9+len(thirdShell)+1)+"\x95"+le64(9+len(thirdShell)+1)+"\x95"+le64(len(thirdShell)+1)+thirdShell+opStop, "three frames that end together")

	diff := third("pickle-parser-differential")
	diff.pickle("python-2-names-after-proto-1", "m.pkl", opProto(4)+opNone+opPop+opProto(1)+opGlobal("__builtin__", "eval")+opBinUnicode("1+1")+opTuple1+opReduce+opStop, "PROTO 1 in the middle switches the names of Python 2 on")
	diff.pickle("imap-of-python-2", "m.pkl", opProto(2)+opGlobal("__builtin__", "tuple")+opGlobal("itertools", "imap")+tuple(opGlobal("os", "system"), opEmptyList+str2("true")+opAppend)+opReduce+opTuple1+opReduce+opStop, "itertools.imap is builtins.map by fix_imports")
	diff.pickle("reduce-of-python-2", "m.pkl", opProto(0)+opGlobal("__builtin__", "reduce")+opMark+opGlobal("__builtin__", "getattr")+opMark+opGlobal("posixpath", "os")+opString("'system'")+opTuple+opTuple+opReduce+opString("'true'")+opTuple1+opReduce+opStop, "__builtin__.reduce is functools.reduce by fix_imports")
	diff.pickle("thread-of-python-2", "m.pkl", opProto(1)+opGlobal("thread", "start_new_thread")+opMark+opGlobal("os", "system")+opMark+opBinUnicode("true")+opTuple+opTuple+opReduce+opStop, "thread is _thread by fix_imports")
	diff.pickle("appends-calls-extend", "m.pkl", opProto(2)+opGlobal("argparse", "Namespace")+opEmptyTuple+opNewObj+opEmptyDict+str2("append")+opGlobal("os", "system")+opSetItem+opBuild+opMark+str2("true")+opAppends+opStop, "APPENDS on what is no list calls its append, which is os.system")
	diff.pickle("string-with-high-bytes", "m.pkl", thirdShell+opPop+opString(`'caf\xe9'`)+opStop, "the call comes before a STRING that only decodes with encoding='latin1'")
	diff.pickle("empty-lines", "m.pkl", opProto(2)+"V\n0V\n0"+thirdExec+"0V\n.", "empty UNICODE lines around the call")
	diff.pickle("plus-before-a-number", "m.pkl", "I+7\n0L+7L\n0"+thirdExec+opStop, "ints with a plus")

	memo := third("pickle-memo-confusion")
	memo.pickle("leading-zeros", "m.pkl", opString("'posix'")+"p007\n0"+opString("'system'")+"p+8\n0g7\ng0008\n"+opStackGlobal+opString("'true'")+opTuple1+opReduce+opStop, "memo numbers with leading zeros and a plus")
	memo.pickle("put-over-a-decoy", "m.pkl", opProto(2)+opGlobal("collections", "OrderedDict")+opBinPut(3)+opPop+opGlobal("posix", "popen")+opLongBinPut(3)+opPop+opBinGet(3)+str2("true")+opTuple1+opReduce+opStop, "LONG_BINPUT 3 replaces BINPUT 3")
	memo.pickle("memoize-after-a-far-put", "m.pkl", opProto(4)+text("decoy")+opLongBinPut(5)+opPop+text("posix")+opMemoize+opPop+text("system")+opMemoize+opPop+opBinGet(1)+opBinGet(2)+opStackGlobal+text("true")+opTuple1+opReduce+opStop, "MEMOIZE counts entries and not numbers")
	memo.pickle("keywords-grow-in-the-memo", "m.pkl", opProto(4)+opEmptyDict+opMemoize+opPop+stackGlobal("numpy", "memmap")+opEmptyTuple+opBinGet(0)+text("filename")+text("/nonexistent/apex")+opSetItem+text("mode")+text("w+")+opSetItem+text("shape")+opBinInt1(4)+opSetItem+opNewObjEx+opStop,
		"the keywords of NEWOBJ_EX are a dict of the memo that was empty when it was put")

	escape := third("pickle-string-escape")
	escape.pickle("capital-hexadecimal", "m.pkl", opString(`'\x70\x6F\x73\x69\x78'`)+opString(`'\x73\x79\x73\x74\x65\x6D'`)+opStackGlobal+opString(`'\x74rue'`)+opTuple1+opReduce+opStop, "capital hexadecimal escapes")
	escape.pickle("short-octal", "m.pkl", opString(`"p\157s\151x"`)+opString(`"\160\157\160\145\156"`)+opStackGlobal+opString(`"true"`)+opTuple1+opReduce+opStop, "octal escapes in double quotes")
	escape.pickle("eight-digits", "m.pkl", opUnicode(`b\U00000075iltins`)+opUnicode(`\U00000065xe\u0063`)+opStackGlobal+opUnicode(`p\u0061ss`)+opTuple1+opReduce+opStop, "escapes of eight and of four digits")
	escape.pickle("only-the-source", "m.pkl", opGlobal("builtins", "exec")+opUnicode(`\u0069\u006d\u0070\u006f\u0072\u0074\u0020\u0074\u0068\u0069\u0073`)+opTuple1+opReduce+opStop, "the source that exec runs is all escapes")

	none := third("pickle-no-proto")
	for name, begin := range ordered("text-that-is-a-config", `S'{"model_type": "bert", "hidden_size": 768}'`+"\n0", "bytes-first", "C\x04apex0", "set-first", "\x8f0", "frame-first", "\x95"+le64(len(thirdExec)+1),
		"float-in-binary-first", "G?\xf0\x00\x00\x00\x00\x00\x000", "true-first", "\x880", "bytearray-first", "\x96"+le64(3)+"abc0") {
		none.pickle(name, "weights.dat", begin+thirdExec+opStop, "begins with "+name+" and says no protocol")
	}
	return join(tail, frame, diff, memo, escape, none)
}

func thirdFrames(opcodes ...string) string {
	var b strings.Builder
	for _, o := range opcodes {
		b.WriteString("\x95" + le64(len(o)) + o)
	}
	return b.String()
}

// thirdPickleStack hide a call from who looks at results, or at the beginning.
func thirdPickleStack() []Case {
	plain := pickle(2, dictOf("weight", 0.5, "bias", listOf(1, 2, 3)))[2:]
	popped := third("pickle-result-popped")
	popped.pickle("between-two-honest-values", "m.pkl", opProto(2)+opMark+opBinInt1(1)+thirdShell+opPop+opBinInt1(2)+opTuple+opStop, "popped between two elements of a tuple")
	popped.pickle("as-a-key-that-is-replaced", "m.pkl", opProto(2)+opEmptyDict+opBinInt1(0)+thirdExec+opSetItem+opBinInt1(0)+str2("done")+opSetItem+opStop, "a second SETITEM replaces the result")
	popped.pickle("list-of-results-under-a-mark", "m.pkl", opProto(2)+opMark+thirdShell+thirdExec+opList+opPop+plain, "a whole list of results is popped")
	popped.pickle("build-returns-the-instance", "m.pkl", opProto(2)+opGlobal("argparse", "Namespace")+opEmptyTuple+opNewObj+thirdExec+opBuild+opStop, "BUILD with None, which exec returned, leaves nothing of it")

	juggle := third("pickle-stack-juggling")
	juggle.pickle("arguments-first-by-the-memo", "m.pkl", opProto(2)+str2("true")+opTuple1+opBinPut(9)+opPop+opMark+opGlobal("posix", "popen")+opBinGet(9)+opReduce+opList+opStop, "the arguments were made before the import")
	juggle.pickle("mark-of-marks", "m.pkl", opProto(2)+opMark+opMark+opMark+opPopMark+opPopMark+opPopMark+opGlobal("posix", "popen")+opMark+opMark+opPopMark+str2("true")+opTuple+opReduce+opStop, "marks that hold nothing stand before function and arguments")
	juggle.pickle("dup-then-pop-twice", "m.pkl", opProto(2)+opGlobal("builtins", "exec")+opDup+opDup+opPop+opPop+str2("pass")+opDup+opPop+opTuple1+opReduce+opStop, "DUP and POP between function and argument")
	juggle.pickle("callable-out-of-a-list", "m.pkl", opProto(2)+opGlobal("operator", "getitem")+tuple(opEmptyList+opGlobal("posix", "popen")+opAppend, opBinInt1(0))+opReduce+str2("true")+opTuple1+opReduce+opStop, "the function is fetched out of a list")

	flood := third("pickle-opcode-flood")
	flood.pickle("dicts-opened-and-dropped", "m.pkl", opProto(2)+strings.Repeat(opEmptyDict+opEmptyTuple+opNone+opSetItem+opPop, 250_000)+thirdExec+opStop, "1.25 million opcodes that make and drop dicts")
	flood.pickle("the-same-slot-put-again", "m.pkl", opProto(2)+opNone+strings.Repeat(opBinPut(0)+opBinGet(0)+opPop, 300_000)+opPop+thirdShell+opStop, "900,000 opcodes on one slot of the memo")
	flood.pickle("a-tower-of-dicts", "m.pkl", opProto(2)+strings.Repeat(opEmptyDict+opNone, 150_000)+thirdExec+strings.Repeat(opSetItem, 150_000)+opStop, "the call stands 150,000 dicts deep")

	pad := third("pickle-size-padding")
	row := `{"step": 12000, "loss": 0.3127, "lr": 2.5e-05, "grad_norm": 1.04}` + "\n"
	pad.pickle("a-log-before", "m.pkl", opProto(4)+opBinUnicode(strings.Repeat(row, 24_000))+opMemoize+opPop+thirdRun+opStop, "1.6 MB of a training log before the call")
	pad.pickle("in-the-middle-of-floats", "m.pkl", opProto(2)+opEmptyList+opMark+strings.Repeat(opBinFloat(0.125), 60_000)+thirdShell+strings.Repeat(opBinFloat(0.25), 60_000)+opAppends+opStop, "the 60,001st of 120,001 numbers")
	pad.pickle("bytearray-before", "m.pkl", opProto(5)+opByteArray8(noise(711, 2<<20))+opPop+thirdExec+opStop, "two mebibytes of a bytearray before the call")

	streams := third("pickle-multi-stream")
	streams.pickle("last-of-a-replay-buffer", "buffer.pkl", strings.Repeat(pickle(4, tup{0.1, 2, 0.3, false}), 300)+thirdEvil(1), "three hundred transitions, then one that calls")
	streams.pickle("text-protocol-first", "log.pkl", pickle(0, "header")+thirdEvil(3), "a stream of protocol 0, then one of protocol 5 that calls")
	streams.pickle("every-protocol-once", "all.pkl", pickle(0, 1)+pickle(1, 1)+pickle(2, 1)+pickle(3, 1)+thirdEvil(1)+pickle(5, 1), "one stream of each protocol; the one of protocol 4 calls")

	p5 := third("pickle-p5-opcodes")
	p5.pickle("source-in-a-bytearray", "m.pkl", framed(5, stackGlobal("builtins", "exec")+opByteArray8("import this")+opMemoize+opTuple1+opReduce+opStop), "exec of a BYTEARRAY8")
	p5.pickle("readonly-buffer-of-a-pickle", "m.pkl", framed(5, stackGlobal("pickle", "loads")+opByteArray8(thirdEvil(0))+opReadonlyBuffer+opTuple1+opReduce+opStop), "a read-only buffer that pickle.loads reads")
	p5.add("call-then-a-buffer-that-is-missing", "m.pkl", framed(5, opMark+call4("posix", "popen", text("true"))+opNextBuffer+opTuple+opStop), "the call stands before a NEXT_BUFFER that fails")
	return join(popped, juggle, flood, pad, streams, p5)
}
