package corpus

import "strings"

// heldPickleParse are pickles that CPython reads and that a reader written
// from pickletools, or from the opcodes' names, reads otherwise or not at all.
func heldPickleParse() []Case {
	tail := heldCase("pickle-broken-tail")
	for name, end := range ordered("get-of-nothing", opBinGet(250)+opStop, "promise-of-two-exabytes", "\x8e"+le64(1<<61)+"x",
		"protocol-99", opProto(99)+opStop, "module-that-is-missing", opGlobal("apex_no_such_module", "x")+opStop,
		"unhashable-key", opEmptyDict+opEmptyList+opNone+opSetItem+opStop, "frame-beyond-the-end", "\x95"+le64(4096)+"N.",
		"build-without-an-instance", opBuild+opBuild+opBuild+opStop, "half-a-float", "G\x3f\xf0") {
		tail.add(name, "model.pkl", opProto(4)+opEmptyDict+text("w")+sysTrue+opSetItem+end, "calls, then breaks: "+name)
	}

	frame := heldCase("pickle-frame-tricks")
	frame.pickle("empty-frames", "m.pkl", opProto(4)+strings.Repeat("\x95"+le64(0), 40)+sysTrue+opStop, "forty empty frames before the call")
	frame.pickle("frame-in-protocol-0", "m.pkl", "\x95"+le64(3)+"N0N0"+sysTrue+opStop, "FRAME without PROTO, that ends between opcodes it does not count")
	frame.pickle("strings-in-two-frames", "m.pkl", opProto(4)+"\x95"+le64(4)+text("os")+"\x95"+le64(len(text("system")))+text("system")+opStackGlobal+text("true")+opTuple1+opReduce+opStop,
		"the module in one frame, the name in the next, the call in none")
	frame.pickle("frame-in-a-frame", "m.pkl", opProto(4)+"\x95"+le64(17)+"N0\x95"+le64(5)+"N0N0N0"+sysTrue+opStop, "a frame begins inside another")
	frame.add("first-frame-too-long", "m.pkl", opProto(4)+sysTrue+opPop+"\x95"+le64(1<<40)+"N.", "the call stands before a frame that the file cannot hold")

	diff := heldCase("pickle-parser-differential")
	diff.pickle("hexadecimal-int", "m.pkl", "I0x7f\n0"+sysTrue+opStop, "C's strtol reads I0x7f, pickletools does not")
	diff.pickle("octal-int-and-underscores", "m.pkl", "I0777\n0L1_000L\n0"+sysTrue+opStop, "ints as C Python alone reads them")
	diff.pickle("float-words", "m.pkl", opFloat("-Infinity")+opPop+opFloat("nan")+opPop+evalOne+opStop, "floats in words")
	diff.pickle("protocol-raised-in-the-middle", "m.pkl", opProto(2)+opNone+opPop+opProto(4)+opGlobal("pathlib", "os.system")+text("true")+opTuple1+opReduce+opStop,
		"a dotted GLOBAL is walked because PROTO 4 came before it")
	diff.pickle("module-in-utf8", "m.pkl", opProto(2)+opBinUnicode("modèle Ω 模型 \xed\xa0\x80")+opPop+opGlobal("os", "system")+opBinUnicode("true")+opTuple1+opReduce+opStop, "a lone surrogate, which CPython lets pass, before the call")
	diff.pickle("string-of-foreign-bytes", "m.pkl", opProto(2)+opShortBinUnicode("x")+opPop+opString("\"o\\x73\"")+opString(`"s\171stem"`)+opStackGlobal+opString(`"true"`)+opTuple1+opReduce+opStop,
		"STRING in double quotes with hexadecimal and octal escapes")
	diff.pickle("bool-that-is-an-int", "m.pkl", "I001\n0I00\n0"+evalOne+opStop, "I001 is one, I00 is False")
	diff.pickle("appends-to-an-object", "m.pkl", opProto(2)+opGlobal("collections", "deque")+opEmptyTuple+opReduce+opMark+evalOne+opNone+opAppends+opStop, "APPENDS on what is no list")
	diff.pickle("stop-in-a-string-and-crlf", "m.pkl", opUnicode("end.\r")+opPop+sysTrue+opStop, "a UNICODE line that ends in CR and holds a STOP")

	memo := heldCase("pickle-memo-confusion")
	memo.pickle("get-with-underscores", "m.pkl", opString("'os'")+"p10\n0"+opString("'system'")+"p1\n0g1_0\ng 1\n"+opStackGlobal+opString("'true'")+opTuple1+opReduce+opStop,
		"g1_0 is ten, and a space before a number is read over")
	memo.pickle("memoize-overwrites", "m.pkl", opProto(4)+text("decoy")+opBinPut(1)+opPop+text("os")+opMemoize+opPop+opBinGet(1)+text("system")+opStackGlobal+text("true")+opTuple1+opReduce+opStop,
		"MEMOIZE counts what the memo holds, and so replaces entry 1")
	memo.pickle("put-after-memoize", "m.pkl", framed(4, text("posix")+opMemoize+text("path")+opMemoize+text("system")+opLongBinPut(1)+opPopThree()+opBinGet(0)+opBinGet(1)+opStackGlobal+text("true")+opTuple1+opReduce+opStop),
		"LONG_BINPUT replaces what MEMOIZE had left")
	memo.pickle("memo-holds-a-list-that-grows", "m.pkl", opProto(2)+opEmptyList+opBinPut(0)+opBinUnicode("true")+opAppend+opPop+opGlobal("os", "system")+opGlobal("builtins", "tuple")+opBinGet(0)+opTuple1+opReduce+opReduce+opStop,
		"the memo keeps the list, not what it held when it was put")

	escape := heldCase("pickle-string-escape")
	escape.pickle("raw-unicode-escapes", "m.pkl", opUnicode(`\u0062\u0075\u0069\u006c\u0074\u0069\u006e\u0073`)+opUnicode(`\U00000065val`)+opStackGlobal+opUnicode(`1\u002b1`)+opTuple1+opReduce+opStop, "the names are raw-unicode-escapes")
	escape.pickle("octal", "m.pkl", opString(`'\157\163'`)+opString(`'\163\171\163\164\145\155'`)+opStackGlobal+opString("'true'")+opTuple1+opReduce+opStop, "the names are octal escapes")
	escape.pickle("escaped-line-break", "m.pkl", opString(`'o\x73'`)+opString(`'sys\x74em'`)+opStackGlobal+opString(`'echo a\nb'`)+opTuple1+opReduce+opStop, "hexadecimal escapes, and a line break in the argument")

	none := heldCase("pickle-no-proto")
	for name, begin := range ordered("none-first", "N0", "mark-first", "(1", "float-first", "F0.5\n0", "list-first", "]0", "pop-a-tuple", ")0", "text-that-looks-like-json", "}0", "long-first", "L5L\n0") {
		none.pickle(name, "weights", begin+sysTrue+opStop, "begins with "+name)
	}
	return join(tail, frame, diff, memo, escape, none)
}

func opPopThree() string { return opPop + opPop + opPop }

// heldPickleStack are the ways to hide a call from who looks at results, and
// to tire who looks at every opcode.
func heldPickleStack() []Case {
	popped := heldCase("pickle-result-popped")
	plain := body(4, dictOf("weight", 1.5, "bias", -0.5))
	popped.pickle("under-popmark", "m.pkl", opProto(4)+opMark+sysTrue+evalOne+opPopMark+plain+opStop, "two calls whose results POP_MARK drops")
	popped.pickle("overwritten-key", "m.pkl", opProto(4)+opEmptyDict+text("w")+sysTrue+opSetItem+text("w")+opBinInt1(1)+opSetItem+opStop, "the result is in a dict until its key is written again")
	popped.pickle("tuple-of-results-popped", "m.pkl", opProto(2)+evalOne+opTuple1+opPop+plain+opStop, "the result goes with the tuple around it")
	popped.pickle("memoized-then-popped", "m.pkl", opProto(2)+sysTrue+opBinPut(200)+opPop+plain+opStop, "the result is left in the memo")

	juggle := heldCase("pickle-stack-juggling")
	juggle.pickle("pop-takes-the-mark", "m.pkl", "(0(0"+opGlobal("os", "system")+"("+opString("'true'")+opTuple+"(0"+opReduce+opStop, "POP on an empty mark drops the mark")
	juggle.pickle("dup-of-the-callable", "m.pkl", opProto(2)+opGlobal("os", "system")+opDup+opBinUnicode("true")+opTuple1+opReduce+opPop+opBinUnicode("true")+opTuple1+opReduce+opStop, "one import, two calls")
	juggle.pickle("arguments-before-decoys", "m.pkl", opProto(4)+stackGlobal("builtins", "eval")+text("1+1")+opMark+stackGlobal("collections", "OrderedDict")+opEmptyTuple+opReduce+text("len")+opPopMark+opTuple1+opReduce+opStop,
		"a trusted call stands between the callable and its argument and is dropped")
	juggle.pickle("marks-as-deep-as-a-model", "m.pkl", strings.Repeat(opMark, 5000)+strings.Repeat(opPopMark, 4999)+opGlobal("os", "system")+opString("'true'")+opTuple1+opReduce+opStop, "five thousand marks; the call stands on the last")
	juggle.pickle("list-becomes-arguments", "m.pkl", opMark+opGlobal("builtins", "eval")+opMark+opString("'1+1'")+opTuple+opReduce+opList+opStop, "MARK around all of it")

	flood := heldCase("pickle-opcode-flood")
	flood.pickle("nops", "m.pkl", opProto(2)+strings.Repeat("N0", 700_000)+sysTrue+opStop, "1.4 million opcodes that do nothing, then a call")
	flood.pickle("memoize", "m.pkl", opProto(4)+opNone+strings.Repeat(opMemoize, 900_000)+opPop+sysTrue+opStop, "900,000 entries of the memo, then a call")
	flood.pickle("nested-lists", "m.pkl", opProto(2)+strings.Repeat(opEmptyList, 300_000)+sysTrue+strings.Repeat(opAppend, 300_000)+opStop, "a call 300,000 lists deep")

	pad := heldCase("pickle-size-padding")
	pad.pickle("three-megabytes-before", "m.pkl", opProto(3)+opBinBytes(noise(901, 3<<20))+opPop+sysTrue+opStop, "the call stands behind three megabytes")
	pad.add("two-megabytes-behind", "m.pkl", opProto(2)+opEmptyDict+text("w")+sysTrue+opSetItem+opStop+strings.Repeat("\x00", 2<<20), "two megabytes of zeros behind the STOP")
	pad.pickle("a-thousand-comments", "m.pkl", opProto(4)+strings.Repeat(opBinUnicode(heldPadding(900))+opPop, 1000)+evalOne+opStop, "a thousand long texts are pushed and popped first")

	streams := heldCase("pickle-multi-stream")
	var first strings.Builder
	for i := range 40 {
		first.WriteString(pickle(2+i%4, dictOf("step", i, "loss", 1/float64(i+1))))
	}
	streams.pickle("after-forty", "log.pkl", first.String()+evil(2), "forty records of training, then one that calls")
	streams.pickle("protocol-0-after-5", "log.pkl", pickle(5, listOf(1, 2, 3))+pickle(4, "epoch")+sysTrue+opStop, "the third stream begins without PROTO")
	streams.pickle("between-two", "log.pkl", pickle(3, 1)+evil(4)+pickle(3, 2), "the call is in the stream between two that hold a number")
	streams.pickle("persisted-empty-first", "log.pkl", "N."+"N."+sysTrue+".", "two streams of two bytes, then a call")

	p5 := heldCase("pickle-p5-opcodes")
	p5.pickle("pickle-in-a-bytearray", "m.pkl", framed(5, call4("_pickle", "loads", opByteArray8(evil(0)))+opStop), "BYTEARRAY8 holds a pickle that _pickle.loads reads")
	p5.pickle("out-of-band-argument", "m.pkl", framed(5, stackGlobal("builtins", "exec")+opNextBuffer+opReadonlyBuffer+opTuple1+opReduce+opStop), "what exec runs comes in a buffer beside the file")
	p5.add("next-buffer-after-the-call", "m.pkl", opProto(5)+sysTrue+opNextBuffer+opTuple2+opStop, "a call, then NEXT_BUFFER, which fails where there are none")
	return join(popped, juggle, flood, pad, streams, p5)
}
