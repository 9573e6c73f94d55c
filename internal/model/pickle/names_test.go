package pickle_test

import (
	"testing"

	"github.com/apexlogic/apex/internal/model/scan"
)

func expect(t *testing.T, samples []sample) {
	t.Helper()
	for _, s := range samples {
		t.Run(s.name, func(t *testing.T) {
			if res := examine(t, s.content); res.Verdict != s.want {
				t.Errorf("%v, want %v: %v", res.Verdict, s.want, res.Findings)
			}
		})
	}
}

func TestAFileThatBeginsWithAnImpossiblePersistentIDIsNoPickle(t *testing.T) {
	zip := "PK\x03\x04\x14\x00\x08\x08\x00\x00data.pklFB\x0e\x00ZZ\x80\x02}q\x00(X\x04\x00\x00\x00step\n"
	for name, content := range map[string]string{
		"the head of a zip file":        zip + "K\x01u.",
		"calls of listed functions":     zip + "ccollections\nOrderedDict\n)R" + "u.",
		"bytes that are no text":        "P\x00\x01\nK\x01.",
		"characters that are not ASCII": "P\xff\xfe\nccollections\nOrderedDict\n)R.",
	} {
		if res := examine(t, []byte(content)); len(res.Findings) > 0 {
			t.Errorf("%s: %v", name, res.Findings)
		}
	}
	expect(t, []sample{
		{"a call behind it", []byte("P\x00\x01\ncos\nsystem\n(S'echo inert'\ntR."), malicious},
		{"an unlisted call behind it", []byte(zip + "cacme\nrun\n(S'x'\ntR."), malicious},
		{"a call before it", []byte("cos\nsystem\n(S'echo inert'\ntRPK\x03\x04\n."), malicious},
		{"an id that is text", []byte("Pstorage:1\n(lp0\ncacme\nNet\n."), suspicious},
	})
}

func TestGettersOfPlainAttributesAreNoted(t *testing.T) {
	getter := func(names ...string) []byte { return proto(2).call("operator", "attrgetter", names...).stop() }
	expect(t, []sample{
		{"one name", getter("score"), clean},
		{"two names", getter("score", "rank2"), clean},
		{"a dotted name", getter("a.b"), malicious},
		{"a dunder", getter("__class__"), malicious},
		{"a dunder among names", getter("score", "a.__globals__"), malicious},
		{"a private name", getter("_sys"), suspicious},
		{"no name", getter(), suspicious},
		{"that is called", proto(2).call("operator", "attrgetter", "system").global("acme", "Net").raw("\x85R.").bytes(), malicious},
	})
}

func TestMethodsOfListedTypesAreNotedUntilTheyAreCalled(t *testing.T) {
	get := func(module, name, attribute string) *asm {
		return proto(2).global("builtins", "getattr").global(module, name).text(attribute).raw("\x86R")
	}
	interp := "scipy.interpolate._interpolate"
	expect(t, []sample{
		{"of str", get("builtins", "str", "lower").stop(), clean},
		{"of dict", get("builtins", "dict", "get").stop(), clean},
		{"of a listed class", get(interp, "interp1d", "_call_linear").stop(), clean},
		{"of a listed class's object", proto(2).global("builtins", "getattr").global(interp, "interp1d").raw(")\x81").text("_call_linear").raw("\x86R").stop(), clean},
		{"called", get("builtins", "str", "format").args("{0.x}").raw("R").stop(), malicious},
		{"a dunder", get("builtins", "str", "__subclasses__").stop(), malicious},
		{"a dotted name", get("builtins", "str", "lower.x").stop(), malicious},
		{"of object", get("builtins", "object", "x").stop(), malicious},
		{"of an unlisted class", get("acme", "Net", "run").stop(), malicious},
		{"of a listed function", get("torch._utils", "_rebuild_tensor_v2", "run").stop(), malicious},
		{"a module's name", get(interp, "interp1d", "os").stop(), malicious},
	})
}

func TestOnlyKeysThatPythonLooksUpChangeAnObject(t *testing.T) {
	build := func(key string) []byte {
		return proto(2).global("collections", "OrderedDict").raw(")R}").text(key).raw("}sb").stop()
	}
	for key, want := range map[string]scan.Verdict{
		"__networkx_cache__": clean, "__acme_data__": clean, "__doc__": clean, "__x": clean,
		"__class__": malicious, "__setstate__": malicious, "__reduce_ex__": malicious, "__call__": malicious, "__getattr__": malicious,
		"__dict__": malicious, "__del__": malicious, "__array_interface__": malicious, "__torch_function__": malicious, "__wrapped__": malicious,
	} {
		if res := examine(t, build(key)); res.Verdict != want {
			t.Errorf("%s: %v, want %v: %v", key, res.Verdict, want, res.Findings)
		}
	}
}
