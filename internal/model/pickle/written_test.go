package pickle_test

import (
	"testing"
)

// What pickles of libraries are really made of; tools/realmodels has the
// libraries write them.

func TestTypesThatDillNamesAreWhatTheyName(t *testing.T) {
	called := func(name, args string) []byte {
		return proto(2).call("dill._dill", "_load_type", name).raw(args, "R").stop()
	}
	const evaluated = "__import__('posix')"
	repr := func(text string) *asm { return proto(2).call("dill._dill", "_eval_repr", text) }
	method := func(of, name, text string) []byte {
		return proto(2).global("dill._dill", "_getattr").raw("(").call("dill._dill", "_load_type", of).text(name).text(text).raw("tR").stop()
	}
	expect(t, []sample{
		{"a set", called("set", "]\x85"), clean},
		{"an exception", called("ValueError", "X\x03\x00\x00\x00bad\x85"), clean},
		{"a partial of a type", proto(2).call("dill._dill", "_load_type", "PartialType").raw("(").call("dill._dill", "_load_type", "int").raw("tR").stop(), clean},
		{"a getter of items", called("ItemGetterType", "K\x01\x85"), clean},
		{"a function's type", called("FunctionType", ")"), malicious},
		{"a code's type", called("CodeType", ")"), malicious},
		{"the type of types", called("type", "K\x01\x85"), malicious},
		{"a view of memory", called("memoryview", "K\x01\x85"), malicious},
		{"a partial of a function that is not listed", proto(2).call("dill._dill", "_load_type", "PartialType").raw("(").global("acme", "run").raw("tR").stop(), malicious},
		{"a name that is no text", proto(2).global("dill._dill", "_load_type").raw("K\x01\x85R").stop(), malicious},

		{"a range", repr("range(0, 3)").stop(), clean},
		{"a range with a step", repr("range(-5, 3, 2)").stop(), clean},
		{"the ellipsis", repr("Ellipsis").stop(), clean},
		{"more than a range", repr("range(0, 3) and " + evaluated).stop(), malicious},
		{"a range of a call", repr("range(0, " + evaluated + ")").stop(), malicious},
		{"two lines", repr("range(0, 3)\n" + evaluated).stop(), malicious},
		{"the function, twice called", proto(2).global("dill._dill", "_eval_repr").raw("q\x00").args("range(0, 1)").raw("R0h\x00").args("range(0, 2)").raw("R").stop(), clean},
		{"the function that evaluates, kept", proto(2).raw("}").text("f").global("dill._dill", "_eval_repr").raw("s").stop(), malicious},
		{"kept after a call", proto(2).global("dill._dill", "_eval_repr").raw("q\x00").args("range(0, 1)").raw("R0}").text("f").raw("h\x00s").stop(), malicious},
		{"kept by DUP", proto(2).global("dill._dill", "_eval_repr").raw("2").args("range(0, 1)").raw("R0\x85").stop(), malicious},
		{"handed on in a tuple", proto(2).global("functools", "partial").global("dill._dill", "_eval_repr").text("1").raw("\x86R").stop(), malicious},

		{"a method", method("str", "lower", "<method 'lower' of 'str' objects>"), clean},
		{"a method of another type", method("str", "lower", "<method 'lower' of 'bytes' objects>"), malicious},
		{"what stands between the quotes", method("str", "lower", "<method 'lower' of '"+evaluated+"' objects>"), malicious},
		{"an attribute of Python's own", method("str", "__class__", "<method '__class__' of 'str' objects>"), malicious},
		{"a type that is no value", method("object", "x", "<method 'x' of 'object' objects>"), malicious},

		{"cloudpickle's name of a type", proto(2).call("cloudpickle.cloudpickle", "_builtin_type", "SimpleNamespace").raw(")R").stop(), clean},
		{"cloudpickle's name of a code", proto(2).call("cloudpickle.cloudpickle", "_builtin_type", "CodeType").stop(), malicious},
	})
}

func TestFlagsAreJoinedOfMembersOnly(t *testing.T) {
	flag := func(a *asm, name string) *asm {
		return a.global("builtins", "getattr").global("re", "RegexFlag").text(name).raw("\x86R")
	}
	joined := func() *asm {
		return flag(flag(proto(2).global("_operator", "or_").raw("("), "UNICODE"), "DOTALL").raw("tR")
	}
	expect(t, []sample{
		{"of an enumeration", joined().stop(), clean},
		{"for a pattern", flag(flag(proto(2).global("re", "_compile").raw("(").text("a+").global("_operator", "or_").raw("("), "UNICODE"), "DOTALL").raw("tRtR").stop(), clean},
		{"of three", flag(proto(2).global("_operator", "or_").raw("(").raw(string(joined().bytes()[2:])), "ASCII").raw("tR").stop(), clean},
		{"of numbers", proto(2).global("_operator", "or_").raw("K\x01K\x02\x86R").stop(), malicious},
		{"of an object that decides", proto(2).global("operator", "or_").global("acme", "Net").raw(")\x81K\x01\x86R").stop(), malicious},
		{"other operators of the inner module", proto(2).global("_operator", "and_").raw("K\x01K\x02\x86R").stop(), malicious},
	})
}

// Protocols 2 and 3 write so what later ones write by NEWOBJ_EX.
func TestObjectsOfNamedArgumentsAreMadeOfTheirClass(t *testing.T) {
	made := func(module, name string, called string) []byte {
		a := proto(2).global("functools", "partial").raw("(")
		a.global("builtins", "getattr").global(module, name).text("__new__").raw("\x86Rq\x01tR")
		a.raw("(h\x01(").global(module, name).raw("K\x01t}").text("sign").raw("K\x01sNtb")
		return a.raw(called).stop()
	}
	expect(t, []sample{
		{"a listed class", made("scipy.stats._stats_py", "KstestResult", ")R"), clean},
		{"a class that is not listed", made("acme", "Result", ")R"), malicious},
		{"a function", made("torch._utils", "_rebuild_tensor_v2", ")R"), malicious},
		{"called with more", made("scipy.stats._stats_py", "KstestResult", "K\x01\x85R"), malicious},
		{"__new__ by its name", proto(4).stackGlobal("scipy.stats._stats_py", "KstestResult.__new__").stop(), malicious},
		{"another class by it", proto(2).global("builtins", "getattr").global("scipy.stats._stats_py", "KstestResult").text("__new__").raw("\x86R(").
			global("acme", "Net").raw("tR").stop(), suspicious},
	})
}

func TestObjectsThatCallWhatTheyHoldAreJudgedByIt(t *testing.T) {
	holding := func(module, name, key string, function ...string) []byte {
		return proto(2).global(module, name).raw(")\x81}").text(key).global(function[0], function[1]).raw("sb").stop()
	}
	hook := "torch.nn.modules.module"
	script := func(name string) []byte {
		return proto(2).global("torch", "ScriptObject").raw(")\x81]").text(name).raw("\x86b").stop()
	}
	expect(t, []sample{
		{"a hook of torch's own", holding(hook, "_WrappedHook", "hook", "torch.nn.functional", "relu"), clean},
		{"a hook of a library's function", holding(hook, "_WrappedHook", "hook", "nltk.tokenize", "word_tokenize"), suspicious},
		{"a hook that runs commands", holding(hook, "_WrappedHook", "hook", "posix", "system"), malicious},
		{"numpy.vectorize of numpy's own", holding("numpy", "vectorize", "pyfunc", "numpy", "log1p"), clean},
		{"numpy.vectorize of a library's function", holding("numpy", "vectorize", "pyfunc", "nltk.tokenize", "word_tokenize"), suspicious},
		{"numpy.vectorize of eval", holding("numpy", "vectorize", "pyfunc", "builtins", "eval"), malicious},
		{"numpy.vectorize that is called", proto(2).global("numpy", "vectorize").global("numpy", "log1p").raw("\x85R)R").stop(), malicious},
		{"a method of interpolation", proto(4).stackGlobal("scipy.interpolate._interpolate", "interp1d._call_spline").stop(), clean},
		{"a method that is not listed", proto(4).stackGlobal("scipy.interpolate._interpolate", "interp1d._call_system").stop(), malicious},

		{"weights that torch has packed", script("__torch__.torch.classes.quantized.LinearPackedParamsBase"), clean},
		{"another class of C++", script("__torch__.torch.classes.acme.Loader"), suspicious},
		{"a state without a class", proto(2).global("torch", "ScriptObject").raw(")\x81}b").stop(), suspicious},
		{"a script object that is called", proto(2).global("torch", "ScriptObject").raw(")R").stop(), suspicious},
	})
}

func TestLegacyFilesWithoutAProtocolAreReadToTheirEnd(t *testing.T) {
	magic := plain().raw("L119547037146038801333356L\n").stop()
	start := append(append(magic, "M\xe9\x03."...), plain().raw("}").stop()...)
	file := func(object []byte) []byte {
		return append(append(start[:len(start):len(start)], object...), "].\x01\x02"...)
	}
	for _, s := range []sample{
		{"an honest object", append(append(start[:len(start):len(start)], "}."...), "]."...), clean},
		{"bytes too many", file([]byte("}.")), unscannable},
		{"a call in the object", file(plain().global("posix", "system").args("true").raw("R").stop()), malicious},
	} {
		t.Run(s.name, func(t *testing.T) {
			if res := examine(t, s.content); res.Verdict != s.want || res.Formats[0] != "torch-legacy" {
				t.Errorf("%v as %v, want %v: %v", res.Verdict, res.Formats, s.want, res.Findings)
			}
		})
	}
}

func TestIteratorsOverDataAreMadeAndNotRun(t *testing.T) {
	over := func(name, args string) []byte { return proto(2).global("builtins", name).raw(args, "R").stop() }
	count := func() *asm { return proto(2).global("itertools", "count").raw("K\x03\x85R") }
	expect(t, []sample{
		{"a list's", over("iter", "]K\x01a\x85"), clean},
		{"backwards", over("reversed", "]K\x01a\x85"), clean},
		{"a pair of lists'", over("zip", "]]\x86"), clean},
		{"counted", over("enumerate", "]K\x00\x86"), clean},
		{"numbers", count().stop(), clean},
		{"repeated", proto(2).global("itertools", "repeat").text("x").raw("\x85R").stop(), clean},
		{"dill's name of one", proto(2).call("dill._dill", "_load_type", "enumerate").raw("]K\x00\x86R").stop(), clean},
		{"of a function's results", proto(2).global("builtins", "iter").global("builtins", "print").raw("K\x00\x86R").stop(), malicious},
		{"of an object of a class", proto(2).global("builtins", "iter").global("acme", "Net").raw(")\x81\x85R").stop(), malicious},
		{"of what a call returned", proto(2).global("builtins", "zip").global("acme", "rows").raw(")R\x85R").stop(), malicious},
		{"without an end, in a list", proto(2).global("builtins", "list").raw(string(count().bytes()[2:]), "\x85R").stop(), suspicious},
		{"without an end, in a queue", proto(2).global("collections", "deque").raw(string(count().bytes()[2:]), "\x85R").stop(), suspicious},
		{"others of itertools", proto(2).global("itertools", "starmap").global("builtins", "print").raw("]\x86R").stop(), malicious},
	})
}

func TestTypesWithArgumentsAreNamesOfTypes(t *testing.T) {
	item := func(of, name string) *asm { return proto(2).global("_operator", "getitem").global(of, name) }
	alias := func() *asm { return proto(2).global("types", "GenericAlias").global("builtins", "list") }
	expect(t, []sample{
		{"an optional one", item("typing", "Optional").global("builtins", "str").raw("\x86R").stop(), clean},
		{"one of several", item("typing", "Union").global("builtins", "int").global("types", "NoneType").raw("\x86\x86R").stop(), clean},
		{"of a builtin type", alias().global("builtins", "int").raw("\x85\x86R").stop(), clean},
		{"of another one", alias().raw("(", string(alias().bytes()[2:])).global("builtins", "int").raw("\x85\x86Rt\x86R").stop(), clean},
		{"of text, which Python compiles", item("typing", "Optional").text("x").raw("\x86R").stop(), malicious},
		{"of a function's result", item("typing", "Optional").global("acme", "f").raw(")R\x86R").stop(), malicious},
		{"an item of an object", item("acme", "table").text("x").raw("\x86R").stop(), malicious},
		{"an item of a module's dictionary", item("builtins", "__dict__").text("eval").raw("\x86R").stop(), malicious},
	})
}

func TestMethodsOfListedObjectsAreNotedWhenTheyAreKept(t *testing.T) {
	kept := func(module, name, method string) []byte {
		return proto(2).global("builtins", "getattr").global(module, name).raw(")\x81").text(method).raw("\x86R").stop()
	}
	expect(t, []sample{
		{"of a stemmer", kept("nltk.stem.snowball", "EnglishStemmer", "stem"), clean},
		{"of a class that is not listed", kept("acme", "Stemmer", "stem"), malicious},
		{"of a library's class that is only noted", kept("transformers.models.t5.modeling_t5", "T5Stack", "forward"), malicious},
		{"pieces of torch that are packed", proto(2).global("torch.ao.nn.quantized.dynamic.modules.rnn", "PackedParameter").raw(")\x81}b").stop(), clean},
		{"a loader of data with torch's own function", proto(2).global("torch.utils.data.dataloader", "DataLoader").raw(")\x81}").text("collate_fn").
			global("torch.utils.data._utils.collate", "default_collate").raw("sb").stop(), clean},
		{"a loader of data with a library's function", proto(2).global("torch.utils.data.dataloader", "DataLoader").raw(")\x81}").text("worker_init_fn").
			global("nltk.tokenize", "word_tokenize").raw("sb").stop(), suspicious},
		{"text that is bytes, as a pattern", proto(2).global("re", "_compile").call("_codecs", "encode", "b", "latin1").raw("K\x10\x86R").stop(), clean},
		{"a time zone that was read from a file", proto(2).global("dateutil.tz.tz", "tzfile").raw("(N").text("/usr/share/zoneinfo/UTC").raw("tR").stop(), clean},
		{"a time zone that is read from a file", proto(2).call("dateutil.tz.tz", "tzfile", "/etc/passwd").stop(), malicious},
		{"a default of pandas", proto(2).global("builtins", "getattr").global("pandas._libs.lib", "_NoDefault").text("no_default").raw("\x86R").stop(), clean},
		{"a call's result as a pattern", proto(2).global("re", "_compile").call("acme", "f", "b").raw("K\x10\x86R").stop(), malicious},
	})
}
