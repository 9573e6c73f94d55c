package corpus

import "strings"

func brokenTails() []Case {
	s := &set{technique: "pickle-broken-tail", reference: "nullifAI, ReversingLabs 2025-02"}
	evil := call("os", "system", str2("true"))
	for _, v := range [][2]string{
		{"no-stop", ""},
		{"unknown-opcode", "\xff\xff."},
		{"cut-string", "X\xff\x00\x00\x00abc"},
		{"stack-underflow", "0000000."},
		{"missing-memo", "h\xc8."},
		{"append-to-none", "0NNa."},
		{"cut-frame", "\x95\xff\xff\xff\x7f\x00\x00\x00\x00"},
		{"negative-length", "T\xff\xff\xff\xff"},
		{"reduce-of-nothing", "0R."},
		{"text-instead-of-opcodes", "\nthis is not a pickle any more\n"},
		{"zeros", strings.Repeat("\x00", 300)},
		{"protocol-99-late", "\x80\x63."},
	} {
		s.add(v[0], "model.pkl", opProto(2)+evil+v[1], "calls os.system, then the stream breaks")
	}
	s.add("broken-after-protocol-4", "model.pkl", opProto(4)+stackGlobal("builtins", "exec")+text("pass")+opTuple1+opReduce+opMemoize+"\xfe", "exec runs before a byte that is no opcode")
	s.add("raising-call", "model.pkl", opProto(2)+evil+opPop+call("builtins", "int", str2("x"))+opStop, "the load raises after the call, on purpose").wellFormed = true
	s.add("missing-module-after", "model.pkl", opProto(2)+evil+opPop+opGlobal("apex_no_such_module", "x")+opStop, "an import that fails ends the load after the call").wellFormed = true
	return s.cases
}

func frameTricks() []Case {
	s := &set{technique: "pickle-frame-tricks"}
	body := call4("os", "system", text("true")) + opStop
	frame := func(n int) string { return "\x95" + le64(n) }
	s.pickle("zero-frame", "model.pkl", opProto(4)+frame(0)+body, "a frame of no bytes; the code stands outside of it")
	s.pickle("short-frame", "model.pkl", opProto(4)+frame(5)+body, "the frame ends inside an opcode's argument")
	s.pickle("frame-in-frame", "model.pkl", opProto(4)+frame(len(body)+9)+frame(len(body))+body, "a frame inside a frame")
	s.pickle("frame-before-reduce", "model.pkl", opProto(4)+stackGlobal("os", "system")+text("true")+opTuple1+frame(2)+opReduce+opStop, "a frame opens between arguments and call")
	s.pickle("frames-in-protocol-2", "model.pkl", opProto(2)+frame(3)+opNone+opPop+frame(0)+call("os", "system", str2("true"))+opStop, "frames in a protocol that has none")
	s.add("long-frame-after-the-call", "model.pkl", opProto(4)+body[:len(body)-1]+frame(1<<40)+opStop, "a frame of a tebibyte follows the call: the load raises too late")
	s.pickle("one-frame-per-opcode", "model.pkl", opProto(4)+frame(4)+text("os")+frame(8)+text("system")+frame(1)+opStackGlobal+frame(6)+text("true")+frame(1)+opTuple1+frame(2)+opReduce+opStop, "a frame around every opcode")
	s.pickle("frame-without-proto", "model.pkl", frame(len(body))+body, "begins with FRAME")
	return s.cases
}

func memoConfusion() []Case {
	s := &set{technique: "pickle-memo-confusion", reference: "picklescan issue 14"}
	s.pickle("overwritten-name", "model.pkl", opProto(4)+text("collections")+opBinPut(0)+opPop+text("OrderedDict")+opBinPut(1)+opPop+text("os")+opBinPut(0)+opPop+text("system")+opBinPut(1)+opPop+
		opBinGet(0)+opBinGet(1)+opStackGlobal+text("true")+opTuple1+opReduce+opStop, "memo slots that held a harmless name are overwritten")
	s.pickle("memoize-after-put", "model.pkl", opProto(4)+opNone+opBinPut(5)+opPop+text("system")+opMemoize+text("os")+opMemoize+opPop+opPop+
		opBinGet(2)+opBinGet(1)+opStackGlobal+text("true")+opTuple1+opReduce+opStop, "MEMOIZE numbers by how many entries there are, not by the last PUT")
	s.pickle("put-collides-with-memoize", "model.pkl", opProto(4)+text("math")+opMemoize+opPop+text("os")+opBinPut(0)+opPop+text("system")+opMemoize+opPop+opBinGet(0)+opBinGet(1)+opStackGlobal+text("true")+opTuple1+opReduce+opStop,
		"PUT replaces what MEMOIZE numbered")
	s.pickle("loose-index", "model.pkl", opUnicode("true")+"p0_1\n"+opPop+opGlobal("os", "system")+"g+1\n"+opTuple1+opReduce+opStop, "PUT and GET write the same number in two ways")
	s.pickle("far-index", "model.pkl", opProto(2)+opGlobal("builtins", "eval")+opLongBinPut(70000)+opPop+opEmptyDict+opPop+opLongBinGet(70000)+str2("1")+opTuple1+opReduce+opStop, "the function waits at memo index 70000")
	s.pickle("memo-of-a-mutable", "model.pkl", opProto(2)+opEmptyList+opBinPut(0)+str2("true")+opAppend+opPop+opGlobal("subprocess", "run")+opBinGet(0)+opTuple1+opReduce+opStop,
		"the argument is a list that was changed after it was memoised")
	s.pickle("shadowed-after-use", "model.pkl", opProto(4)+opGlobal("os", "system")+opBinPut(0)+text("true")+opTuple1+opReduce+opPop+opGlobal("collections", "OrderedDict")+opBinPut(0)+opEmptyTuple+opReduce+opStop,
		"the slot is overwritten with a harmless class after the call")
	return s.cases
}

func multiStreams() []Case {
	s := &set{technique: "pickle-multi-stream"}
	evil := opProto(2) + call("os", "system", str2("true")) + opStop
	plain := pickle(2, dictOf("weight", listOf(0.5, 0.25), "bias", nil))
	s.pickle("second-of-two", "model.pkl", plain+evil, "the second of two streams calls os.system")
	s.pickle("third-in-another-protocol", "model.pkl", pickle(0, 1)+pickle(2, "x")+framed(4, call4("os", "popen", text("true"))+opStop), "three streams of three protocols")
	s.pickle("sixty-then-one", "model.pkl", strings.Repeat(pickle(4, listOf(1, 2)), 60)+evil, "sixty plain streams first")
	s.pickle("legacy-torch-shape", "model.pt", pickle(2, bigMagic())+pickle(2, 1001)+pickle(2, dictOf("protocol_version", 1001, "little_endian", true))+evil+pickle(2, listOf()), "where legacy torch.load reads its fourth stream")
	s.pickle("empty-streams-first", "model.pkl", "N.N.N.N."+call("posix", "system", opUnicode("true"))+opStop, "streams of two bytes, then a call")
	return s.cases
}

func nestedPickles() []Case {
	s := &set{technique: "pickle-nested"}
	inner := opProto(2) + call("os", "system", str2("true")) + opStop
	bytesIO := func(b string) string { return call("io", "BytesIO", octets(b)) }
	s.pickle("pickle-loads", "model.pkl", opProto(3)+call("pickle", "loads", octets(inner))+opStop, "pickle.loads of bytes")
	s.pickle("underscore-pickle-latin1", "model.pkl", opProto(2)+call("_pickle", "loads", call("_codecs", "encode", str2(latin1(inner)), str2("latin1")))+opStop, "the inner pickle is text for _codecs.encode, as protocol 2 writes bytes")
	s.pickle("load-from-bytes", "model.pkl", opProto(4)+call4("torch.storage", "_load_from_bytes", octets(inner))+opStop, "torch.storage._load_from_bytes, which honest pickles use too")
	s.pickle("joblib-load", "model.pkl", opProto(3)+call("joblib.numpy_pickle", "load", bytesIO(inner))+opStop, "joblib.load of a BytesIO")
	s.pickle("three-deep", "model.pkl", framed(4, call4("pickle", "loads", octets(framed(4, call4("_pickle", "loads", octets(framed(4, call4("pickle", "loads", octets(inner))+opStop)))+opStop)))+opStop), "three pickles inside one another")
	s.pickle("numpy-load", "model.pkl", opProto(4)+call4("numpy", "load", bytesIO(npyObject(inner)), opNone, opNewTrue)+opStop, "numpy.load(…, allow_pickle=True) of an object array")
	s.pickle("dill-loads", "model.pkl", opProto(4)+call4("dill._dill", "loads", opByteArray8(inner))+opStop, "dill.loads of a bytearray")
	s.pickle("torch-load-zip", "model.pkl", opProto(4)+call4("torch.serialization", "load", bytesIO(string(torchZip("archive", inner, nil))))+opStop, "torch.load of a zip in a BytesIO")
	s.pickle("cloudpickle-loads", "model.pkl", opProto(4)+opMark+stackGlobal("cloudpickle.cloudpickle", "loads")+octets(inner)+opObj+opStop, "cloudpickle.loads of bytes, by OBJ")
	return s.cases
}

func noProto() []Case {
	s := &set{technique: "pickle-no-proto"}
	s.pickle("starts-with-mark", "model.bin", opMark+opString("'true'")+opInst("os", "system")+opStop, "begins with MARK")
	s.pickle("starts-with-none", "model.bin", opNone+opPop+call("os", "system", opBinUnicode("true"))+opStop, "begins with NONE")
	s.pickle("starts-with-short-string", "model.bin", opShortBinUnicode("os")+opShortBinUnicode("system")+opStackGlobal+opShortBinUnicode("true")+opTuple1+opReduce+opStop, "protocol 4 opcodes without PROTO")
	s.pickle("starts-with-int", "weights.dat", opInt(7)+opPop+opEmptyDict+opPop+call("builtins", "eval", opUnicode("1+1"))+opStop, "begins with INT")
	s.pickle("starts-with-empty-dict", "weights.dat", opEmptyDict+opUnicode("w")+call("subprocess", "getstatusoutput", opUnicode("true"))+opSetItem+opStop, "begins with EMPTY_DICT")
	s.pickle("starts-with-persid-like-text", "weights.dat", opFloat("3.5")+opPop+call("pty", "spawn", opUnicode("true"))+opStop, "begins with FLOAT")
	s.pickle("starts-with-ascii-brace", "weights.json", "}(Vformat\nVpt\nVmetadata\n"+call("os", "system", opUnicode("true"))+"u.", "begins with a brace, as a JSON file might end")
	return s.cases
}

func opcodeFloods() []Case {
	s := &set{technique: "pickle-opcode-flood"}
	evil := call("os", "system", opBinUnicode("true"))
	s.pickle("pushed-and-popped", "model.pkl", opProto(2)+strings.Repeat(opNone+opPop, 600_000)+evil+opStop, "1.2 million opcodes before the call")
	s.pickle("memo-flood", "model.pkl", opProto(4)+strings.Repeat(opNone+opMemoize+opPop, 300_000)+evil+opStop, "300,000 memo entries before the call")
	s.pickle("dup-flood", "model.pkl", opProto(2)+opNone+strings.Repeat(opDup, 1_000_000)+evil+opStop, "a stack of a million items below the call")
	s.pickle("marks", "model.pkl", opProto(2)+strings.Repeat(opMark, 400_000)+evil+opStop, "400,000 open marks below the call")
	s.pickle("nested-tuples", "model.pkl", opProto(2)+opEmptyTuple+strings.Repeat(opTuple1, 200_000)+opPop+evil+opStop, "a tuple nested 200,000 deep before the call")
	s.pickle("harmless-globals", "model.pkl", opProto(2)+strings.Repeat(opGlobal("collections", "OrderedDict")+opPop, 30_000)+evil+opStop, "30,000 harmless imports before the call")
	return s.cases
}

func protocol5() []Case {
	s := &set{technique: "pickle-p5-opcodes"}
	inner := opProto(2) + call("os", "system", str2("true")) + opStop
	s.pickle("bytearray8-nested", "model.pkl", framed(5, call4("pickle", "loads", opByteArray8(inner)+opMemoize)+opStop), "the inner pickle is a BYTEARRAY8")
	s.pickle("next-buffer-after-call", "model.pkl", opProto(5)+call4("os", "system", text("true"))+opPop+opNextBuffer+opReadonlyBuffer+opStop, "the call, then an out-of-band buffer that nobody gave")
	s.pickle("readonly-buffer-argument", "model.pkl", opProto(5)+stackGlobal("builtins", "exec")+octets("pass")+opReadonlyBuffer+opTuple1+opReduce+opStop, "exec of bytes that READONLY_BUFFER wrapped")
	s.pickle("bytearray8-as-command", "model.pkl", opProto(5)+stackGlobal("os", "system")+stackGlobal("builtins", "bytes")+opByteArray8("true")+opTuple1+opReduce+opTuple1+opReduce+opStop, "the command is a BYTEARRAY8")
	s.pickle("buffer-between", "model.pkl", opProto(5)+stackGlobal("numpy.core.numeric", "_frombuffer")+opByteArray8("\x00\x00\x00\x00")+call4("builtins", "eval", text("1"))+tuple(opBinInt1(1))+text("C")+"0000"+opPop+opNone+opStop,
		"a call among the arguments of numpy's buffer function, which is never called")
	return s.cases
}

func parserDifferentials() []Case {
	s := &set{technique: "pickle-parser-differential", reference: "arXiv:2508.19774"}
	evil := call("os", "system", str2("true"))
	s.pickle("non-ascii-text", "model.pkl", opProto(2)+"V\xe9\xff\xfe\n"+opPop+evil+opStop, "a UNICODE line that is no ASCII")
	s.pickle("non-ascii-global-first", "model.pkl", opProto(4)+opGlobal("os", "system")+opBinUnicode("\xc3\xa9")+opPop+text("true")+opTuple1+opReduce+opStop, "a non-ASCII string between function and arguments")
	s.pickle("loose-integers", "model.pkl", opProto(2)+"I0x10\n"+opPop+"L0b11\n"+opPop+"I 7\n"+opPop+evil+opStop, "integers in bases that listing tools refuse")
	s.pickle("long-without-suffix", "model.pkl", "L12\n"+opPop+call("os", "system", opUnicode("true"))+opStop, "LONG without its L")
	s.pickle("proto-in-the-middle", "model.pkl", opProto(2)+opNone+opPop+opProto(4)+evil+opProto(0)+opStop, "PROTO three times")
	s.pickle("proto-lowered-then-dotted", "model.pkl", opProto(2)+opProto(5)+opGlobal("shutil", "os.system")+str2("true")+opTuple1+opReduce+opStop, "the second PROTO makes dotted names work")
	s.pickle("carriage-return-float", "model.pkl", opProto(2)+"F 1.5 \n"+opPop+evil+opStop, "a float among blanks")
	s.pickle("quotes-of-two-kinds", "model.pkl", "S\"it's\"\n"+opPop+"S'tr'\n"+opPop+call("os", "system", "S\"true\"\n")+opStop, "strings in both kinds of quotes")
	s.pickle("space-before-names", "model.pkl", opProto(2)+"cos\nsystem\n"+"V\n"+opPop+str2("true")+opTuple1+opReduce+opStop, "an empty UNICODE line between function and arguments")
	s.pickle("surrogates", "model.pkl", opProto(4)+opBinUnicode("\xed\xa0\x80")+opPop+evil+opStop, "a string of a lone surrogate, which CPython accepts")
	s.pickle("pop-of-mark-and-empty", "model.pkl", opProto(2)+opMark+opMark+opPop+opPop+evil+opStop, "POP twice on marks")
	s.pickle("negative-long1", "model.pkl", opProto(2)+opLong1("")+opPop+opLong1("\xff\xff\xff\xff\xff\xff\xff\xff\xff")+opPop+evil+opStop, "a LONG1 of no bytes and one of nine")
	return s.cases
}

func sizePadding() []Case {
	s := &set{technique: "pickle-size-padding"}
	evil := call("os", "system", opBinUnicode("true"))
	s.pickle("bytes-before", "model.pkl", opProto(3)+opBinBytes(strings.Repeat("\x00", 2<<20))+opPop+evil+opStop, "two mebibytes of zeros before the call")
	s.pickle("text-before", "model.pkl", opProto(2)+opBinUnicode(strings.Repeat("lorem ipsum ", 150_000))+opPop+evil+opStop, "1.8 MB of text before the call")
	s.pickle("bytes8-before", "model.pkl", opProto(4)+opBinBytes8(strings.Repeat("\x80\x02N.", 300_000))+opPop+evil+opStop, "1.2 MB of plain pickles as bytes before the call")
	s.pickle("between-function-and-arguments", "model.pkl", opProto(3)+opGlobal("os", "system")+opBinBytes(noise(1, 1<<20))+opPop+str2("true")+opTuple1+opReduce+opStop, "a mebibyte of noise between function and call")
	s.add("after", "model.pkl", opProto(2)+evil+opStop+strings.Repeat("\x00", 1<<20), "a mebibyte of zeros after STOP")
	s.pickle("long-line", "model.pkl", "V"+strings.Repeat("a", 1<<20)+"\n"+opPop+call("os", "system", opUnicode("true"))+opStop, "a UNICODE line of a mebibyte")
	return s.cases
}

func stringEscapes() []Case {
	s := &set{technique: "pickle-string-escape"}
	s.pickle("unicode-escapes", "model.pkl", opProto(4)+opUnicode(`\u006f\u0073`)+opUnicode(`\u0073\u0079stem`)+opStackGlobal+opUnicode(`tr\u0075e`)+opTuple1+opReduce+opStop, "module and name in \\u escapes")
	s.pickle("string-hex-escapes", "model.pkl", `S'\x6f\x73'`+"\n"+`S'\163\171\163\164\145\155'`+"\n"+opStackGlobal+opString("'true'")+opTuple1+opReduce+opStop, "module and name in \\x and octal escapes")
	s.pickle("long-unicode-escapes", "model.pkl", opUnicode(`\U00000062uiltins`)+opUnicode(`e\U00000076al`)+opStackGlobal+opUnicode(`1\u002b1`)+opTuple1+opReduce+opStop, "\\U escapes")
	s.pickle("mixed-with-memo", "model.pkl", opProto(4)+opUnicode(`\u0070osix`)+opMemoize+opPop+`S"s\x79stem"`+"\n"+opMemoize+opPop+opBinGet(0)+opBinGet(1)+opStackGlobal+text("true")+opTuple1+opReduce+opStop, "escaped names by way of the memo")
	s.pickle("backslash-newline-argument", "model.pkl", opGlobal("builtins", "exec")+`S'p\x61ss\n'`+"\n"+opTuple1+opReduce+opStop, "the source that exec runs is escaped")
	return s.cases
}
