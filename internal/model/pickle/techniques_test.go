package pickle_test

import (
	"bytes"
	"fmt"
	"strings"
	"testing"

	"github.com/apexlogic/apex/internal/model/scan"
)

// sample is a file with the verdict that it must get.
type sample struct {
	name    string
	content []byte
	want    scan.Verdict
}

const (
	clean       = scan.Clean
	unknown     = scan.Unknown
	unscannable = scan.Unscannable
	suspicious  = scan.Suspicious
	malicious   = scan.Malicious
)

// inert is what the bad samples would run.
const inert = "echo inert"

// parser is the text that scipy keeps in its normal distribution.
const parser = `
def _parse_args(self,  loc=0, scale=1):
    return (), loc, scale

def _parse_args_rvs(self,  loc=0, scale=1, size=None):
    return self._argcheck_rvs( loc, scale, size=size)

def _parse_args_stats(self,  loc=0, scale=1, moments='mv'):
    return (), loc, scale, moments
`

func ordered() *asm { return proto(2).global("collections", "OrderedDict").raw(")R") }

// techniques are the ways by which pickles run code, each several times, and
// honest files that look like them.
func techniques() map[string][]sample {
	system := func(a *asm) *asm { return a.call("os", "system", inert) }
	bad := system(proto(2)).stop()
	good := ordered().stop()
	flood := func(tail []byte) []byte {
		return append(append([]byte("\x80\x04"), bytes.Repeat([]byte("K\x010"), 100_000)...), tail...)
	}
	return map[string][]sample{
		"global-reduce": {
			{"os.system", bad, malicious},
			{"posix.system", proto(2).call("posix", "system", inert).stop(), malicious},
			{"builtins.exec", proto(3).call("builtins", "exec", "pass").stop(), malicious},
			{"a function nobody lists", proto(2).call("acme.tools", "rebuild", "x").stop(), malicious},
			{"only imported", proto(2).global("subprocess", "Popen").stop(), malicious},
			{"inside of a dict", proto(2).raw("}").text("w").call("os", "system", inert).raw("s").stop(), malicious},
			{"an ordered dict", good, clean},
			{"a word that a gadget has", proto(2).args("os", "system", "eval").stop(), clean},
		},
		"stack-global": {
			{"os.system", proto(4).stackGlobal("os", "system").args(inert).raw("R").stop(), malicious},
			{"names from the memo", proto(4).short("os").raw("\x94").short("system").raw("\x9400h\x00h\x01\x93").args(inert).raw("R").stop(), malicious},
			{"names by BINSTRING", proto(4).raw("U\x02osU\x06system\x93").args(inert).raw("R").stop(), malicious},
			{"a listed class", proto(4).stackGlobal("collections", "OrderedDict").raw(")R").stop(), clean},
		},
		"computed-global": {
			{"the module is a call's result", proto(4).call("builtins", "str", "os").short("system").raw("\x93").args(inert).raw("R").stop(), malicious},
			{"the name is a call's result", proto(4).short("os").call("builtins", "str", "system").raw("\x93").args(inert).raw("R").stop(), malicious},
			{"the name is a buffer from outside", proto(5).short("os").raw("\x97\x93)R").stop(), malicious},
			{"the callee is a call's result", proto(4).call("operator", "itemgetter", "x").args("y").raw("R").stop(), malicious},
			{"a call's result is data", proto(4).call("builtins", "str", "os").stop(), clean},
		},
		"dotted-reexport": {
			{"a module in a trusted one", proto(4).stackGlobal("torch", "os.system").args(inert).raw("R").stop(), malicious},
			{"a private module", proto(4).stackGlobal("collections", "_sys.modules").stop(), malicious},
			{"without a dot", proto(2).global("collections", "_sys").stop(), malicious},
			{"builtins of a package", proto(2).global("numpy", "__builtins__").stop(), malicious},
			{"through a class", proto(4).stackGlobal("torch.serialization", "os.popen").stop(), malicious},
			{"through a function", proto(4).stackGlobal("logging", "getLogger.__globals__").stop(), malicious},
			{"a listed class method", proto(4).stackGlobal("zoneinfo", "ZoneInfo._unpickle").short("UTC").raw("K\x01\x86R").stop(), clean},
		},
		"getattr": {
			{"of a module", proto(2).global("builtins", "getattr").global("os", "path").text("system").raw("\x86R").stop(), malicious},
			{"of a listed class", proto(2).global("builtins", "getattr").global("builtins", "str").text("__class__").raw("\x86R").stop(), malicious},
			{"of a call's result", proto(2).global("builtins", "getattr").call("builtins", "str", "x").text("join").raw("\x86R").stop(), malicious},
			{"the pair that Python itself writes", proto(2).global("builtins", "getattr").global("zoneinfo", "ZoneInfo").text("_unpickle").raw("\x86R").text("UTC").raw("K\x01\x86R").stop(), clean},
			{"a member of an enumeration", proto(2).global("builtins", "getattr").global("http", "HTTPStatus").text("OK").raw("\x86R").stop(), clean},
		},
		"inst": {
			{"os.system", plain().raw("(S'echo inert'\nios\nsystem\n.").bytes(), malicious},
			{"with a header", proto(0).raw("(").text(inert).raw("iposix\npopen\n.").bytes(), malicious},
			{"without arguments", proto(0).raw("(ipty\nspawn\n.").bytes(), malicious},
			{"an unlisted function", proto(0).raw("(").text("x").raw("iacme\nrun\n.").bytes(), malicious},
			{"an unlisted class", proto(0).raw("(iacme\nNet\n.").bytes(), suspicious},
			{"a class of the program", proto(0).raw("(i__main__\nNet\n(dS'a'\nI1\nsb.").bytes(), clean},
		},
		"obj": {
			{"os.system", proto(2).raw("(").global("os", "system").text(inert).raw("o").stop(), malicious},
			{"subprocess.Popen", proto(1).raw("(").global("subprocess", "Popen").text(inert).raw("o").stop(), malicious},
			{"an unlisted function", proto(2).raw("(").global("acme", "run").raw("o").stop(), malicious},
			{"a listed class", proto(2).raw("(").global("argparse", "Namespace").raw("o}").text("a").raw("K\x01sb").stop(), clean},
		},
		"newobj": {
			{"a denied class", proto(2).global("subprocess", "Popen").args(inert).raw("\x81").stop(), malicious},
			{"type makes a class", proto(2).global("builtins", "type").text("X").raw(")}\x87\x81").stop(), malicious},
			{"a file by numpy", proto(2).global("numpy", "memmap").args("/tmp/x").raw("\x81").stop(), malicious},
			{"an unlisted class", proto(2).global("acme.nets", "Net").raw(")\x81").stop(), suspicious},
			{"an unlisted class with state", proto(2).global("acme.nets", "Net").raw(")\x81}").text("a").raw("K\x01sb").stop(), suspicious},
			{"with keywords", proto(4).stackGlobal("functools", "partial").stackGlobal("os", "system").raw("\x85}\x92").stop(), malicious},
			{"a layer", proto(2).global("torch.nn.modules.linear", "Linear").raw(")\x81}").text("in_features").raw("K\x01sb").stop(), clean},
			{"a class of the program", proto(2).global("__main__", "Net").raw(")\x81}").text("a").raw("K\x01sb").stop(), clean},
			{"a named tuple of the program", proto(2).global("__main__", "Point").raw("K\x01K\x02\x86\x81").stop(), clean},
		},
		"build-setstate": {
			{"a method for the next BUILD", proto(2).global("argparse", "Namespace").raw(")\x81}").text("__setstate__").global("os", "system").raw("sb").text(inert).raw("b").stop(), malicious},
			{"a listed function as the method", proto(2).global("argparse", "Namespace").raw(")\x81}").text("__setstate__").global("builtins", "print").raw("sb").stop(), malicious},
			{"in the state of slots", proto(2).global("argparse", "Namespace").raw(")\x81N}").text("__class__").global("builtins", "dict").raw("s\x86b").stop(), malicious},
			{"escaped", proto(0).raw("(iargparse\nNamespace\n(dS'\\x5f_setstate__'\nI1\nsb.").bytes(), malicious},
			{"by DICT", proto(2).global("argparse", "Namespace").raw(")\x81(").text("__reduce__").raw("K\x01db").stop(), malicious},
			{"by a call", proto(2).global("argparse", "Namespace").raw(")\x81").global("builtins", "dict").raw("]").text("__setstate__").raw("K\x01\x86a\x85Rb").stop(), malicious},
			{"computed", proto(2).global("argparse", "Namespace").raw(")\x81}").global("builtins", "str").data([]byte("__setstate__")).text("ascii").raw("\x86RK\x01sb").stop(), suspicious},
			{"computed, by a call", proto(2).global("argparse", "Namespace").raw(")\x81").global("builtins", "dict").raw("]").call("builtins", "str", "a").raw("K\x01\x86a\x85Rb").stop(), suspicious},
			{"code that scipy runs", proto(2).global("scipy.stats._continuous_distns", "norm_gen").raw(")\x81}").text("_parse_arg_template").text("import os").raw("sb").stop(), malicious},
			{"code that scipy runs, after its own", proto(2).global("scipy.stats._continuous_distns", "norm_gen").raw(")\x81}").text("_parse_arg_template").text(parser + "\nx()").raw("sb").stop(), malicious},
			{"code that scipy runs, in a default", proto(2).global("scipy.stats._continuous_distns", "norm_gen").raw(")\x81}").text("_parse_arg_template").text(strings.Replace(parser, "scale=1", "scale=x()", 1)).raw("sb").stop(), malicious},
			{"of a class", proto(2).global("argparse", "Namespace").raw("}").text("x").raw("K\x01sb").stop(), malicious},
			{"of a module's dict", proto(2).global("os", "environ").text("A").text("B").raw("s").stop(), malicious},
			{"of a listed function", proto(2).global("numpy", "mean").raw("}").text("x").raw("K\x01sb").stop(), malicious},
			{"scipy's own code", proto(2).global("scipy.stats._continuous_distns", "norm_gen").raw(")\x81}").text("_parse_arg_template").text(parser).raw("sb").stop(), clean},
			{"a key in plain data", proto(2).raw("}").text("__class__").text("Foo").raw("s").stop(), clean},
			{"a harmless one", proto(2).global("argparse", "Namespace").raw(")\x81}").text("__doc__").text("x").raw("sb").stop(), clean},
		},
		"ext-registry": {
			{"EXT1", proto(2).raw("\x82\x05").args(inert).raw("R").stop(), malicious},
			{"EXT2", proto(2).raw("\x83\x05\x01)R").stop(), malicious},
			{"EXT4 alone", proto(2).raw("\x84\x05\x00\x00\x00").stop(), malicious},
			{"registered before", proto(2).global("copyreg", "add_extension").text("os").text("system").raw("K\x05\x87R0\x82\x05").stop(), malicious},
			{"code 0 is refused", proto(2).raw("\x82\x00").stop(), unscannable},
			{"the same bytes in a text", proto(2).raw("X\x02\x00\x00\x00\x82\x05").stop(), clean},
		},
		"result-popped": {
			{"POP", proto(2).call("os", "system", inert).raw("0N").stop(), malicious},
			{"POP_MARK", proto(2).raw("(").call("os", "system", inert).raw("1N").stop(), malicious},
			{"an unlisted one", proto(2).call("acme", "run", inert).raw("0").global("collections", "OrderedDict").raw(")R").stop(), malicious},
			{"a number", proto(2).raw("K\x010N").stop(), clean},
		},
		"broken-tail": {
			{"no STOP", proto(2).call("os", "system", inert).bytes(), malicious},
			{"no opcode", proto(2).call("os", "system", inert).raw("\xff\xff").bytes(), malicious},
			{"an empty stack", proto(2).call("os", "system", inert).raw("000000.").bytes(), malicious},
			{"cut in a text", proto(2).call("os", "system", inert).raw("X\xff\x00\x00\x00ab").bytes(), malicious},
			{"an unlisted call", proto(2).call("acme", "run", inert).raw("\xff").bytes(), malicious},
			{"an import that only Python's own unpickler makes", []byte("\x80\x02cos\nsystemX"), malicious},
			{"harmless, cut", good[:len(good)-1], unscannable},
			{"harmless, garbled", proto(2).raw("]K").bytes(), unscannable},
			{"harmless, whole", good, clean},
		},
		"frame-tricks": {
			{"longer than the file", proto(4).raw("\x95", le64(1<<40)).call("os", "system", inert).stop(), malicious},
			{"ends in the middle", proto(4).raw("\x95", le64(3)).call("os", "system", inert).stop(), malicious},
			{"in a frame", proto(4).raw("\x95", le64(30), "\x95", le64(2)).call("os", "system", inert).stop(), malicious},
			{"of no length", proto(4).raw("\x95", le64(0)).call("os", "system", inert).stop(), malicious},
			{"ends in a name", proto(4).raw("\x95", le64(7), "ctorch.os\nsystem\n0N").stop(), malicious},
			{"ends in a length", proto(4).raw("\x95", le64(3), "X\xff\xff", le32(2), "os").short("system").raw("\x93)R").stop(), suspicious},
			{"ends in a text", proto(4).raw("\x95", le64(7), "X", le32(4), "abcd0N").stop(), suspicious},
			{"ends after STOP", proto(4).raw("\x95", le64(4), "N.N.", string(bad)).bytes(), malicious},
			{"ends after STOP, harmless", proto(4).raw("\x95", le64(4), "N.N.").bytes(), suspicious},
			{"in another one", proto(4).raw("\x95", le64(12), "\x95", le64(2), "N0N").stop(), suspicious},
			{"harmless, longer than the file", proto(4).raw("\x95", le64(1<<40), "N").stop(), unscannable},
			{"harmless, exact", append([]byte("\x80\x04"), frame(plain().raw("N").stop())...), clean},
		},
		"memo-confusion": {
			{"PUT and MEMOIZE share indexes", proto(4).short("x").raw("q\x000").short("os").raw("\x940").short("system").raw("\x940h\x01h\x02\x93").args(inert).raw("R").stop(), malicious},
			{"overwritten", proto(4).short("collections").raw("q\x000").short("os").raw("q\x000h\x00").short("system").raw("\x93").args(inert).raw("R").stop(), malicious},
			{"far beyond", proto(4).short("os").raw("r\xff\xff\xff\x7f0").short("system").raw("r\xff\xff\xff\x7e0j\xff\xff\xff\x7fj\xff\xff\xff\x7e\x93").args(inert).raw("R").stop(), malicious},
			{"by a text index", proto(4).short("os").raw("p 0_0\n0").short("system").raw("p+1\n0g0\ng1\n\x93").args(inert).raw("R").stop(), malicious},
			{"the callee from the memo", proto(2).global("os", "system").raw("q\x050h\x05").args(inert).raw("R").stop(), malicious},
			{"never set", proto(4).raw("h\x07").stop(), unscannable},
			{"honest", proto(4).short("a").raw("\x94h\x00\x86").stop(), clean},
		},
		"multi-stream": {
			{"the second", append(bytes.Clone(good), bad...), malicious},
			{"the fifth", append(bytes.Repeat(good, 4), bad...), malicious},
			{"the second without a header", append(bytes.Clone(good), "cos\nsystem\n(S'x'\ntR."...), malicious},
			{"the second, none with a header", []byte("N.cos\nsystem\n(S'x'\ntR."), malicious},
			{"after padding that is none", append(append(bytes.Clone(good), "\x00\x00"...), bad...), unscannable},
			{"all honest", bytes.Repeat(good, 4), clean},
		},
		"nested": {
			{"pickle.loads", proto(2).global("pickle", "loads").data(bad).raw("\x85R").stop(), malicious},
			{"torch.storage._load_from_bytes", proto(2).global("torch.storage", "_load_from_bytes").data(bad).raw("\x85R").stop(), malicious},
			{"as text of protocol 2", proto(2).global("torch.storage", "_load_from_bytes").global("_codecs", "encode").text(latin(bad)).text("latin1").raw("\x86R\x85R").stop(), malicious},
			{"in bytes()", proto(3).global("torch.storage", "_load_from_bytes").global("builtins", "bytearray").data(bad).raw("\x85R\x85R").stop(), malicious},
			{"twice", proto(2).global("torch.storage", "_load_from_bytes").data(proto(2).global("torch.storage", "_load_from_bytes").data(bad).raw("\x85R").stop()).raw("\x85R").stop(), malicious},
			{"of bytes that are computed", proto(2).global("torch.storage", "_load_from_bytes").global("builtins", "bytes").raw("]K\x80a\x85R\x85R").stop(), suspicious},
			{"by a codec that hides", proto(2).global("torch.storage", "_load_from_bytes").call("_codecs", "encode", "abc", "rot13").raw("\x85R").stop(), suspicious},
			{"of what is no model", proto(2).global("torch.storage", "_load_from_bytes").data([]byte("\x01\x02")).raw("\x85R").stop(), suspicious},
			{"an honest one", proto(2).global("torch.storage", "_load_from_bytes").data(good).raw("\x85R").stop(), clean},
			{"as data", proto(3).data(bad).stop(), clean},
		},
		"marshal-code": {
			{"marshal.loads", proto(2).global("marshal", "loads").data([]byte("\xe3\x00")).raw("\x85R").stop(), malicious},
			{"types.CodeType", proto(2).global("types", "CodeType").raw("K\x00\x85R").stop(), malicious},
			{"types.FunctionType", proto(2).global("types", "FunctionType").raw(")\x81").stop(), malicious},
			{"dill", proto(2).global("dill._dill", "_create_function").raw(")R").stop(), malicious},
			{"cloudpickle", proto(4).stackGlobal("cloudpickle.cloudpickle", "_make_function").raw(")R").stop(), malicious},
			{"a compiled module", append([]byte("\xa7\x0d\x0d\x0a\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\xe3"), make([]byte, 20)...), suspicious},
			{"a bare code object", []byte("\xe3" + le32(0) + le32(0) + le32(0) + le32(2) + le32(0x40) + "s" + le32(4) + "d\x00S\x00"), suspicious},
			{"a text that begins alike", []byte("cafe and more text, some of it long enough\n"), unknown},
		},
		"no-proto": {
			{"the shortest", []byte("cos\nsystem\n(S'echo inert'\ntR."), malicious},
			{"without its end", []byte("cos\nsystem\n(S'echo inert'\ntR"), malicious},
			{"cut before the call", []byte("cos\nsystem\n(S'echo"), malicious},
			{"an unlisted call", []byte("cacme\nrun\n(S'echo inert'\ntR."), malicious},
			{"an unlisted call without an end", []byte("cacme\nrun\n(S'x'\ntR\xff\xff"), malicious},
			{"Python 2's names", []byte("c__builtin__\neval\n(S'1'\ntR."), malicious},
			{"commands of Python 2", []byte("ccommands\ngetoutput\n(S'id'\ntR."), malicious},
			{"a mark first", []byte("(cos\nsystem\nS'x'\no."), malicious},
			{"labels", []byte("cat\ndog\nlion\ntiger\n"), unknown},
			{"labels with a word of a module", []byte("cos\nsin\n"), unknown},
			{"a text", []byte("import os\nos.system('x')\n"), unknown},
			{"a class", []byte("class Net:\n    pass\n"), unknown},
			{"numbers", []byte("1.0\n2.0\n"), unknown},
			{"a list of protocol 0", []byte("(lp0\nI1\naI2\na."), clean},
			{"Python 2's set", []byte("c__builtin__\nset\n((lI1\natR."), clean},
		},
		"opcode-flood": {
			{"in front", flood(system(plain()).stop()), malicious},
			{"marks", append(append([]byte("\x80\x04"), bytes.Repeat([]byte("(1"), 200_000)...), system(plain()).stop()...), malicious},
			{"memo", append(append([]byte("\x80\x04N"), bytes.Repeat([]byte("\x94"), 200_000)...), system(plain()).stop()...), malicious},
			{"honest", flood([]byte("N.")), clean},
		},
		"p5-opcodes": {
			{"after BYTEARRAY8", proto(5).raw("\x96", le64(3), "abc0").call("os", "system", inert).stop(), malicious},
			{"after NEXT_BUFFER", proto(5).raw("\x97\x980").call("os", "system", inert).stop(), malicious},
			{"BINBYTES8", proto(5).raw("\x8e", le64(3), "abc0").call("acme", "run", inert).stop(), malicious},
			{"BINUNICODE8 names", proto(5).raw("\x8d", le64(2), "os\x8d", le64(6), "system\x93").args(inert).raw("R").stop(), malicious},
			{"sets", proto(5).raw("\x8f(").call("os", "system", inert).raw("\x90").stop(), malicious},
			{"honest", proto(5).raw("\x96", le64(3), "abc\x8f(K\x01\x90(K\x01\x91\x87").stop(), clean},
		},
		"parser-differential": {
			{"a text that is not ASCII", proto(0).raw("V\xe9\xff\n0").call("os", "system", inert).stop(), malicious},
			{"a persistent id that is not ASCII", proto(0).raw("P\xff\n0").call("os", "system", inert).stop(), malicious},
			{"a loose number", proto(0).raw("I 0x_10 \n0L 5\n0F nan\n0").call("os", "system", inert).stop(), malicious},
			{"two headers", []byte("\x80\x02\x80\x04" + string(bad)), malicious},
			{"a header in the middle", proto(4).raw("N0\x80\x00").call("os", "system", inert).stop(), malicious},
			{"a protocol to come", []byte("\x80\x09" + string(bad[2:])), malicious},
			{"a protocol to come, harmless", []byte("\x80\x09N."), unscannable},
			{"dict keys that cannot be keys", proto(2).raw("}]K\x01s0").call("os", "system", inert).stop(), malicious},
			{"a carriage return is part of the name", proto(0).raw("cos\r\nsystem\r\n)R").stop(), malicious},
			{"a comment that Python 2 reads", proto(0).raw("S'a' \n0").call("os", "system", inert).stop(), malicious},
			{"honest", proto(0).raw("V\xe9\nI01\n\x86").stop(), clean},
		},
		"persid": {
			{"a call in a package", proto(2).text("reduce_package").raw("K\x01").global("acme", "run").raw("(t(tQ0(").text("reduce_package").raw("K\x01").global("acme", "run").raw(")tQ").stop(), malicious},
			{"an unknown kind", proto(2).text("file:///etc/passwd").raw("Q").stop(), suspicious},
			{"as text", proto(0).raw("Phttp://example.org\n").stop(), suspicious},
			{"a function as the storage", proto(2).raw("(").text("storage").global("os", "system").text("0").text("cpu").raw("K\x01tQ").stop(), malicious},
			{"an unlisted class as the storage", proto(2).raw("(").text("storage").global("acme", "Storage").text("0").text("cpu").raw("K\x01tQ").stop(), suspicious},
			{"a call afterwards", proto(2).raw("P1\n0").call("os", "system", inert).stop(), malicious},
			{"a storage", proto(2).raw("(").text("storage").global("torch", "FloatStorage").text("0").text("cpu").raw("K\x01tQ").stop(), clean},
		},
		"size-padding": {
			{"zeros behind", append(bytes.Clone(bad), make([]byte, 5<<20)...), malicious},
			{"zeros behind the second", append(append(bytes.Clone(good), bad...), make([]byte, 5<<20)...), malicious},
			{"a long text in front", proto(2).text(strings.Repeat("a", 6<<20)).raw("0").call("os", "system", inert).stop(), malicious},
			{"many texts in front", append(append([]byte("\x80\x02"), bytes.Repeat([]byte("X\x04\x00\x00\x00aaaa0"), 700_000)...), bad...), malicious},
			{"noise behind an honest one", append(bytes.Clone(good), "\x01\x02\x03\x04 a little noise"...), unscannable},
			{"zeros behind an honest one", append(bytes.Clone(good), make([]byte, 5<<20)...), clean},
			{"a line feed behind an honest one", append(bytes.Clone(good), '\n'), clean},
		},
		"stack-juggling": {
			{"DUP", proto(2).global("os", "system").raw("2").args(inert).raw("R").stop(), malicious},
			{"marks between", proto(2).raw("((((").global("os", "system").args(inert).raw("R1110N").stop(), malicious},
			{"POP of a mark", proto(2).raw("(0").call("os", "system", inert).stop(), malicious},
			{"arguments made first", proto(2).args(inert).raw("q\x000").global("os", "system").raw("h\x00R").stop(), malicious},
			{"arguments as a list", proto(2).global("acme", "run").raw("](").text(inert).raw("eR").stop(), malicious},
			{"below a mark is out of reach", proto(2).raw("N(.").bytes(), unscannable},
			{"honest", proto(2).raw("K\x012\x86").stop(), clean},
		},
		"string-escape": {
			{"hexadecimal", proto(4).raw("S'\\x6f\\x73'\nS'sys\\x74em'\n\x93").args(inert).raw("R").stop(), malicious},
			{"octal", proto(4).raw("S'\\157s'\nS'system'\n\x93").args(inert).raw("R").stop(), malicious},
			{"unicode", proto(4).raw("V\\u006fs\nVsyste\\U0000006d\n\x93").args(inert).raw("R").stop(), malicious},
			{"quotes", proto(4).raw("S\"os\"\nS'system'\n\x93").args(inert).raw("R").stop(), malicious},
			{"no quotes", proto(4).raw("Sos\n").stop(), unscannable},
			{"honest", proto(0).raw("S'\\x6f\\x73'\n").stop(), clean},
		},
		"torch-setitem": {
			{"of a storage", proto(2).raw("(").text("storage").global("torch", "FloatStorage").text("0").text("cpu").raw("K\x01tQK\x01K\x02s").stop(), malicious},
			{"of a tensor", proto(2).tensor("FloatStorage", "0", 0).raw("K\x01K\x02s").stop(), malicious},
			{"several of a tensor", proto(2).tensor("FloatStorage", "0", 0).raw("(K\x01K\x02u").stop(), malicious},
			{"of an ordered dict", ordered().raw("K\x01").tensor("FloatStorage", "0", 0).raw("s").stop(), clean},
		},
		"factories": {
			{"partial of a gadget", proto(2).global("functools", "partial").global("os", "system").raw("\x85R").stop(), malicious},
			{"partial of an unlisted function", proto(2).global("functools", "partial").global("acme", "run").raw("\x85R").stop(), malicious},
			{"partial changed by its state", proto(2).global("functools", "partial").global("builtins", "int").raw("\x85R(").global("acme", "run").raw(")}Ntb").stop(), malicious},
			{"defaultdict of an unlisted function", proto(2).global("collections", "defaultdict").global("acme", "run").raw("\x85R").stop(), suspicious},
			{"_reconstructor of a function's base", proto(2).global("copyreg", "_reconstructor").global("argparse", "Namespace").global("acme", "Base").raw("N\x87R").stop(), malicious},
			{"_rebuild_from_type_v2 calls a function", proto(2).global("torch._tensor", "_rebuild_from_type_v2").raw("(").global("acme", "run").global("torch", "Tensor").raw(")}tR").stop(), malicious},
			{"numpy imports a universal function", proto(2).call("numpy.core", "_ufunc_reconstruct", "os", "system").stop(), malicious},
			{"a random state calls", proto(2).global("numpy.random._pickle", "__randomstate_ctor").text("MT19937").global("acme", "run").raw("\x86R").stop(), malicious},
			{"dill's type of code", proto(2).call("dill._dill", "_load_type", "CodeType").stop(), malicious},
			{"an index of no class", proto(2).global("pandas.core.indexes.base", "_new_Index").global("acme", "run").raw("}\x86R").stop(), malicious},
			{"partial of a listed one", proto(2).global("functools", "partial").global("builtins", "int").raw("\x85R").stop(), clean},
			{"defaultdict of a list", proto(2).global("collections", "defaultdict").global("builtins", "list").raw("\x85R").stop(), clean},
			{"a listed universal function", proto(2).call("numpy.core", "_ufunc_reconstruct", "numpy.core._multiarray_umath", "log1p").stop(), clean},
			{"a random state", proto(2).global("numpy.random._pickle", "__randomstate_ctor").text("MT19937").global("numpy.random._pickle", "__bit_generator_ctor").raw("\x86R").stop(), clean},
		},
	}
}

// latin is bytes as text whose code points they are.
func latin(b []byte) string {
	var s strings.Builder
	for _, c := range b {
		s.WriteRune(rune(c))
	}
	return s.String()
}

func TestEveryTechniqueIsFoundAndItsTwinIsNot(t *testing.T) {
	for technique, samples := range techniques() {
		bad, fine := 0, 0
		for _, s := range samples {
			if s.want >= suspicious {
				bad++
			}
			if s.want <= clean {
				fine++
			}
			t.Run(technique+"/"+s.name, func(t *testing.T) {
				if res := examine(t, s.content); res.Verdict != s.want {
					t.Errorf("%v, want %v: %v", res.Verdict, s.want, res.Findings)
				}
			})
		}
		if bad < 3 || fine < 1 {
			t.Errorf("%s: %d bad samples, %d fine ones", technique, bad, fine)
		}
	}
}

// gadgets are calls that run code, reach files or the network; most of them
// stand on no deny-list.
var gadgets = strings.Split(`os.system os.popen os.execv os.remove posix.system nt.system subprocess.Popen subprocess.getoutput
subprocess.check_output commands.getoutput __builtin__.eval __builtin__.execfile builtins.exec builtins.compile builtins.open
builtins.__import__ builtins.getattr builtins.map builtins.filter builtins.breakpoint importlib.import_module imp.load_source
runpy.run_path runpy._run_code pty.spawn socket.create_connection ctypes.CDLL shutil.rmtree webbrowser.open pip.main
pip._internal.main pkgutil.resolve_name operator.methodcaller functools.reduce code.interact pdb.run cProfile.run profile.run
timeit.timeit trace.Trace doctest.testfile bdb.Bdb idlelib.pyshell.ModifiedInterpreter lib2to3.pgen2.pgen.ParserGenerator
asyncio.unix_events._UnixSubprocessTransport multiprocessing.util.spawnv_passfds logging.config.fileConfig tempfile.mkdtemp
urllib.request.urlretrieve http.client.HTTPSConnection smtplib.SMTP xmlrpc.client.ServerProxy zipfile.ZipFile tarfile.open
sqlite3.connect dbm.open shelve.open linecache.getline fileinput.input glob.glob distutils.file_util.write_file
ensurepip._run_pip venv.create uuid._popen platform.popen sysconfig._init_posix unittest.mock._importer test.support.script_helper.assert_python_ok
torch.hub.load torch.utils.cpp_extension.load_inline torch.utils.collect_env.run torch.load torch.jit.unsupported_tensor_ops.execWrapper
torch._dynamo.guards.GuardBuilder.get torch.serialization.load torch.utils.bottleneck.__main__.run_cprofile numpy.f2py.crackfortran.getlincoef
numpy.testing._private.utils.runstring numpy.load numpy.fromfile numpy.lib.npyio.load pandas.eval pandas.read_pickle
pandas.core.computation.expr.Expr scipy.io.loadmat sklearn.utils._testing.raises joblib.load joblib.parallel.Parallel
dill.loads cloudpickle.loads yaml.unsafe_load jinja2.Template transformers.pipelines.pipeline keras.utils.get_file
tensorflow.load_library nltk.downloader.download matplotlib.testing.compare sympy.sympify numexpr.evaluate jsonpickle.decode
hydra.utils.instantiate fire.Fire IPython.start_ipython acme.run acme.utils.load_model mylib.nodes.Runner setuptools.setup
concurrent.futures.ProcessPoolExecutor ast.literal_eval string.Formatter difflib.unified_diff calendar.month gettext.find
csv.writer configparser.ConfigParser netrc.netrc zipapp.create_archive tokenize.open tabnanny.check pstats.Stats
symtable.symtable compileall.compile_dir py_compile.compile cgitb.enable antigravity.geohash turtle.Screen`, " ")

func TestEveryFunctionThatIsCalledIsListedOrHarmful(t *testing.T) {
	seen := 0
	for _, gadget := range gadgets {
		for name := range strings.FieldsSeq(gadget) {
			dot := strings.LastIndexByte(name, '.')
			module, function := name[:dot], name[dot+1:]
			for how, content := range map[string][]byte{
				"GLOBAL":       proto(2).call(module, function, inert).stop(),
				"STACK_GLOBAL": proto(4).stackGlobal(module, function).args(inert).raw("R").stop(),
				"INST":         []byte("(S'echo inert'\ni" + module + "\n" + function + "\n."),
				"OBJ":          proto(2).raw("(").global(module, function).text(inert).raw("o").stop(),
			} {
				if res := examine(t, content); res.Verdict != malicious {
					t.Errorf("%s by %s: %v %v", name, how, res.Verdict, res.Findings)
				}
			}
			seen++
		}
	}
	if seen < 100 {
		t.Errorf("only %d gadgets", seen)
	}
	for _, twin := range []string{"datetime.timedelta", "builtins.str", "collections.Counter", "uuid.SafeUUID"} {
		dot := strings.LastIndexByte(twin, '.')
		if res := examine(t, proto(2).call(twin[:dot], twin[dot+1:], "x").stop()); res.Verdict != clean {
			t.Errorf("%s: %v %v", twin, res.Verdict, res.Findings)
		}
	}
}

func TestAFindingSaysWhatAndWhere(t *testing.T) {
	res := examine(t, proto(2).call("os", "system", "echo 'x'").stop())
	got := fmt.Sprint(res.Findings[0].Rule, res.Findings[0].Where, res.Findings[0].Detail, res.Findings[0].References)
	want := `pickle.import.dangerous@2 GLOBALos.system: runs commands and changes files[CWE-502 CWE-78]`
	if got != want {
		t.Errorf("got %s, want %s", got, want)
	}
	if call := res.Findings[1]; call.Rule != "pickle.call.unlisted" || call.Detail != `os.system("echo 'x'")` {
		t.Errorf("got %v", call)
	}
}
