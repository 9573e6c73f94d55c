package pickle_test

import (
	"bytes"
	"compress/zlib"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"strings"
	"testing"

	"github.com/apexlogic/apex/internal/model/pickle"
	"github.com/apexlogic/apex/internal/model/scan"
)

// dtype writes a numpy.dtype as numpy pickles it.
func (a *asm) dtype(code string, elsize, flags int) *asm {
	a.global("numpy", "dtype").text(code).raw("\x89\x88\x87R(K\x03").text("<").raw("NNN").int(elsize).int(-1).int(flags)
	return a.raw("tb")
}

// wrapper writes joblib's NumpyArrayWrapper. The array follows.
func (a *asm) wrapper(code string, flags int, alignment bool, shape ...int) *asm {
	a.global("joblib.numpy_pickle", "NumpyArrayWrapper").raw(")\x81}(").text("subclass").global("numpy", "ndarray").text("shape").raw("(")
	for _, n := range shape {
		a.int(n)
	}
	a.raw("t").text("order").text("C").text("dtype").dtype(code, -1, flags).text("allow_mmap").raw("\x88")
	if alignment {
		a.text("numpy_array_alignment_bytes").raw("K\x10")
	}
	return a.raw("ub")
}

func padded(b []byte) string { return "\x04\xff\xff\xff\xff" + string(b) }

func TestJoblibArraysArePassedOver(t *testing.T) {
	raw := bytes.Repeat([]byte{0, 0, 0xf0, 0x3f}, 6) // 3 float64
	objects := proto(5).global("numpy.core.multiarray", "_reconstruct").global("numpy", "ndarray").raw("K\x00\x85C\x01b\x87R").stop()
	bad := proto(5).call("os", "system", inert).stop()
	for _, s := range []sample{
		{"one", proto(3).wrapper("f8", 0, false, 3).raw(string(raw)).stop(), clean},
		{"aligned", proto(3).wrapper("f8", 0, true, 3).raw(padded(raw)).stop(), clean},
		{"of two dimensions", proto(3).wrapper("i4", 0, false, 2, 3).raw(string(raw)).stop(), clean},
		{"of none", proto(3).wrapper("f8", 0, false).raw(string(raw[:8])).stop(), clean},
		{"empty", proto(3).wrapper("f8", 0, false, 0).stop(), clean},
		{"of texts", proto(3).wrapper("U2", 0, false, 3).raw(string(raw)).stop(), clean},
		{"of objects", proto(3).wrapper("O8", 63, false, 3).raw(string(objects)).stop(), clean},
		{"two in a dict", proto(3).raw("}").text("a").wrapper("f8", 0, false, 3).raw(string(raw), "s").text("b").wrapper("f4", 0, true, 6).raw(padded(raw), "s").stop(), clean},
		{"behind its frame", append([]byte("\x80\x04"), append(frame(plain().raw("}").text("a").wrapper("f8", 0, true, 3).bytes()), padded(raw)+string(frame(plain().raw("s").stop()))...)...), clean},
		{"between frames of protocol 5", append([]byte("\x80\x05"), string(frame(plain().raw("}(").text("a").wrapper("f8", 0, true, 3).bytes()))+padded(raw)+
			string(frame(plain().text("b").wrapper("f4", 0, true, 6).bytes()))+padded(raw)+string(frame(plain().raw("u.").bytes()))...), clean},
		{"of objects behind its frame", append([]byte("\x80\x04"), string(frame(plain().wrapper("O8", 63, true, 3).bytes()))+string(objects)+string(frame([]byte{'.'}))...), clean},
		{"behind its frame, then a call", append([]byte("\x80\x04"), string(frame(plain().raw("}").text("a").wrapper("f8", 0, true, 3).bytes()))+padded(raw)+string(frame(plain().raw("s0").call("os", "system", inert).raw(".").bytes()))...), malicious},
		{"with a frame that is cut behind it", append([]byte("\x80\x04"), string(frame(plain().raw("}").text("a").wrapper("f8", 0, true, 3).bytes()))+padded(raw)+"\x95"+le64(3)+"X\x06\x00\x00\x00abcdef0s."...), suspicious},
		{"then a call", proto(3).wrapper("f8", 0, false, 3).raw(string(raw), "0").call("os", "system", inert).stop(), malicious},
		{"with objects that call", proto(3).wrapper("O8", 63, false, 3).raw(string(bad)).stop(), malicious},
		{"whose bytes pickle.load runs", proto(3).wrapper("i1", 0, false, len(bad)).raw(string(bad)).stop(), malicious},
		{"longer than the file", proto(3).wrapper("f8", 0, false, 1<<30).raw(string(raw)).stop(), unscannable},
		{"of a size that overflows", proto(3).wrapper("f8", 0, false, 1<<30, 1<<30, 1<<30).raw(string(raw)).stop(), unscannable},
		{"of an unknown type", proto(3).wrapper("q", 0, false, 3).raw(string(raw)).stop(), unscannable},
		{"in the middle of a frame", proto(4).raw("\x95", le64(1000)).wrapper("f8", 0, false, 3).raw(string(make([]byte, 2000))).stop(), suspicious},
		{"old, in a file beside", proto(2).global("joblib.numpy_pickle", "NDArrayWrapper").raw(")\x81}").text("filename").text("m.pkl_01.npy").raw("sb").stop(), clean},
		{"old, in a file elsewhere", proto(2).global("joblib.numpy_pickle", "NDArrayWrapper").raw(")\x81}").text("filename").text("../m.npy").raw("sb").stop(), suspicious},
	} {
		t.Run(s.name, func(t *testing.T) {
			res := examine(t, s.content)
			if res.Verdict != s.want {
				t.Errorf("%v, want %v: %v", res.Verdict, s.want, res.Findings)
			}
			if want := "joblib"; s.want == clean && !strings.HasPrefix(s.name, "old") && res.Formats[0] != want {
				t.Errorf("formats %v", res.Formats)
			}
		})
	}
}

func TestOldCompressedJoblibFilesAreUnpacked(t *testing.T) {
	zfile := func(content []byte, announced int, extra string) []byte {
		var b bytes.Buffer
		fmt.Fprintf(&b, "ZF%-19s%s", fmt.Sprintf("%#x", announced), extra)
		w := zlib.NewWriter(&b)
		_, _ = w.Write(content)
		_ = w.Close()
		return b.Bytes()
	}
	good, bad := ordered().stop(), proto(2).call("os", "system", inert).stop()
	for _, s := range []sample{
		{"honest", zfile(good, len(good), ""), clean},
		{"honest, of Python 2", zfile(good, len(good), " "), clean},
		{"calling", zfile(bad, len(bad), ""), malicious},
		{"calling, of another length", zfile(bad, 5, ""), malicious},
		{"cut", zfile(bad, len(bad), "")[:len(zfile(bad, len(bad), ""))-9], malicious},
		{"honest, of another length", zfile(good, 5, ""), unscannable},
		{"of no pickle", zfile([]byte("hello"), 5, ""), suspicious},
		{"a text", []byte("ZF0xyz and more text than a header"), unknown},
	} {
		t.Run(s.name, func(t *testing.T) {
			if res := examine(t, s.content); res.Verdict != s.want {
				t.Errorf("%v, want %v: %v", res.Verdict, s.want, res.Findings)
			}
		})
	}
}

// tensor writes a tensor of two rows and three columns.
func (a *asm) tensor(class, key string, offset int) *asm {
	a.global("torch._utils", "_rebuild_tensor_v2").raw("((").text("storage").global("torch", class).text(key).text("cpu")
	a.int(12).raw("tQ").int(offset).raw("K\x02K\x03\x86K\x03K\x01\x86\x89").global("collections", "OrderedDict").raw(")RtR")
	return a
}

// legacy writes torch.save's legacy file.
func legacy(object []byte, keys []string, storages ...string) []byte {
	a := proto(2).raw("\x8a\x0al\xfc\x9cF\xf9 j\xa8P\x19.")
	a.raw(string(proto(2).raw("M\xe9\x03").stop()))
	a.raw(string(proto(2).raw("}").text("protocol_version").raw("M\xe9\x03s").stop()))
	a.raw(string(object))
	list := proto(2).raw("](")
	for _, key := range keys {
		list.text(key)
	}
	return a.raw(string(list.raw("e").stop())).raw(storages...).bytes()
}

func storage(elements, size int) string {
	return le64(elements) + strings.Repeat("\x01", elements*size)
}

func TestLegacyFilesOfTorchAreReadToTheirEnd(t *testing.T) {
	object := proto(2).raw("}(").text("a").tensor("FloatStorage", "10", 0).text("b").tensor("HalfStorage", "11", 6).raw("u").stop()
	bad := proto(2).call("os", "system", inert).stop()
	both := []string{"10", "11"}
	for _, s := range []sample{
		{"honest", legacy(object, both, storage(12, 4), storage(12, 2)), clean},
		{"without storages", legacy(proto(2).raw("}").stop(), nil), clean},
		{"with a call in the object", legacy(bad, nil), malicious},
		{"with a call in the system's part", append(proto(2).raw("\x8a\x0al\xfc\x9cF\xf9 j\xa8P\x19.").bytes(), bad...), malicious},
		{"with a call behind the storages", append(legacy(object, both, storage(12, 4), storage(12, 2)), bad...), malicious},
		{"with another file behind the storages", append(legacy(object, both, storage(12, 4), storage(12, 2)), ordered().stop()...), suspicious},
		{"with noise behind the storages", append(legacy(object, both, storage(12, 4), storage(12, 2)), "\x01noise\x02"...), unscannable},
		{"with a storage that is cut", legacy(object, both, storage(12, 4), storage(12, 2)[:9]), unscannable},
		{"with a storage of a huge count", legacy(object, both, storage(12, 4), le64(-1)), unscannable},
		{"with a storage missing", legacy(object, both, storage(12, 4)), unscannable},
		{"with a storage that nothing uses", legacy(object, []string{"99"}, storage(12, 4)), unscannable},
	} {
		t.Run(s.name, func(t *testing.T) {
			res := examine(t, s.content)
			if res.Verdict != s.want || res.Formats[0] != "torch-legacy" {
				t.Errorf("%v, want %v: %v %v", res.Verdict, s.want, res.Formats, res.Findings)
			}
		})
	}
}

func tensors(t *testing.T, content []byte) []string {
	t.Helper()
	res := scan.NewFormats(scan.Limits{}, pickle.Formats()...).Scan(t.Context(), scan.Bytes(content), scan.Options{Tensors: true})
	if res.Verdict != clean {
		t.Errorf("%v %v", res.Verdict, res.Findings)
	}
	var got []string
	for _, tensor := range res.Tensors {
		got = append(got, fmt.Sprint(tensor.Name, " ", tensor.DType, tensor.Shape, " ", tensor.Size, "@", tensor.Offset))
	}
	return got
}

func TestTensorsAreNamedByTheKeysThatLeadToThem(t *testing.T) {
	object := proto(2).raw("}").text("state").global("collections", "OrderedDict").raw(")R(").text("fc.weight").tensor("FloatStorage", "0", 6).
		text("fc.bias").global("torch._utils", "_rebuild_parameter").tensor("HalfStorage", "1", 0).raw("\x88").global("collections", "OrderedDict").
		raw(")R\x87Rus").text("net").raw("s").bytes()
	object = proto(2).raw(string(object[2:len(object)-len("s")-len("X\x03\x00\x00\x00net")])).text("net").global("__main__", "Net").raw(")\x81}").
		text("_modules").raw("}").text("head").raw("]").tensor("LongStorage", "2", 0).raw("assbs").stop()
	want := "[state.fc.weight@data/0+24 float32[2 3] 24@-1 state.fc.bias@data/1+0 float16[2 3] 12@-1 net.head.0@data/2+0 int64[2 3] 48@-1]"
	if got := fmt.Sprint(tensors(t, object)); got != want {
		t.Errorf("got  %s\nwant %s", got, want)
	}
	name, member, offset, ok := pickle.SplitName("fc@home@data/12+24")
	if name != "fc@home" || member != "data/12" || offset != 24 || !ok {
		t.Errorf("got %q %q %d %v", name, member, offset, ok)
	}
	if _, _, _, ok := pickle.SplitName("fc.weight"); ok {
		t.Error("a name without a member was split")
	}
	both := proto(2).raw("}(").text("a").tensor("FloatStorage", "10", 0).text("b").tensor("HalfStorage", "11", 6).raw("u").stop()
	content := legacy(both, []string{"11", "10"}, storage(12, 2), storage(12, 4))
	start := len(content) - 12*4
	want = fmt.Sprintf("[a float32[2 3] 24@%d b float16[2 3] 12@%d]", start, start-8-24+12)
	if got := fmt.Sprint(tensors(t, content)); got != want {
		t.Errorf("got  %s\nwant %s", got, want)
	}
}

// holder is a format whose files hold one member.
func holder(content []byte) []scan.Format {
	return append(pickle.Formats(), scan.Format{Name: "holder",
		Claim: func(f *scan.File) bool { return f.HasPrefix("{holder}") },
		Scan: func(p *scan.Place, f *scan.File) error {
			p.Inside("member", 8, f.Section(8, f.Size()-8))
			return nil
		}})
}

func TestMembersOfRawNumbersAreNoPickles(t *testing.T) {
	random := rand.New(rand.NewPCG(1, 2))
	for i := range 20000 {
		b := make([]byte, 64+random.IntN(200))
		for j := range b {
			b[j] = byte(random.Uint32())
		}
		copy(b, [][]byte{{0x80, 2}, {0x80, 4}, {'c'}, {'('}, {'}'}, {']'}, {'N'}, {')'}, {'K'}, {'X', 3, 0, 0, 0}}[i%10])
		content := append([]byte("{holder}"), b...)
		res := scan.NewFormats(scan.Limits{}, holder(nil)...).Scan(t.Context(), scan.Bytes(content), scan.Options{})
		if res.Verdict != clean {
			t.Fatalf("%x: %v", b, res.Findings)
		}
	}
	bad := append([]byte("{holder}"), proto(2).call("os", "system", inert).raw("\xff\xff").bytes()...)
	res := scan.NewFormats(scan.Limits{}, holder(nil)...).Scan(t.Context(), scan.Bytes(bad), scan.Options{})
	if res.Verdict != malicious || res.Findings[0].Where.Member != "member" {
		t.Errorf("%v %v", res.Verdict, res.Findings)
	}
}

// remote counts what is read of a file behind a network.
type remote struct {
	content  []byte
	requests int
	read     int64
}

func (r *remote) ReadAt(p []byte, off int64) (int, error) {
	r.requests++
	n := copy(p, r.content[off:])
	r.read += int64(n)
	if n < len(p) {
		return n, io.EOF
	}
	return n, nil
}

func TestAFileBehindANetworkIsReadInFewRequests(t *testing.T) {
	a := proto(2).raw("}(")
	var storages []string
	var keys []string
	for i := range 200 {
		key := fmt.Sprint(i)
		a.text("layer."+key).tensor("FloatStorage", key, 0)
		storages = append(storages, storage(12, 4))
		keys = append(keys, key)
	}
	storages = append(storages, storage(5<<20, 4)) // 20 MiB that nobody reads
	keys = append(keys, "big")
	a.text("big").global("torch._utils", "_rebuild_tensor_v2").raw("((").text("storage").global("torch", "FloatStorage").text("big").text("cpu").
		int(5<<20).raw("tQ").int(0).int(5<<20).raw("\x85K\x01\x85\x89").global("collections", "OrderedDict").raw(")RtRu")
	r := &remote{content: legacy(a.stop(), keys, storages...)}
	res := scan.NewFormats(scan.Limits{}, pickle.Formats()...).Scan(t.Context(), scan.NewFile(r, int64(len(r.content))).Dear(), scan.Options{})
	if res.Verdict != clean || r.requests > 20 || r.read > 4<<20 {
		t.Errorf("%v in %d requests of %d bytes: %v", res.Verdict, r.requests, r.read, res.Findings)
	}
}

func TestAFileThatIsNotInMemoryIsReadAlike(t *testing.T) {
	for name, samples := range techniques() {
		for _, s := range samples {
			padded := s.content
			if s.want >= suspicious { // across the blocks in which it is read
				padded = append(proto(2).text(strings.Repeat("x", 5<<20)).raw("0").bytes(), s.content...)
			}
			r := &remote{content: padded}
			res := scan.NewFormats(scan.Limits{}, pickle.Formats()...).Scan(t.Context(), scan.NewFile(r, int64(len(padded))), scan.Options{})
			if s.want == malicious && res.Verdict != malicious || s.want <= clean && res.Verdict != s.want {
				t.Errorf("%s/%s: %v, want %v: %v", name, s.name, res.Verdict, s.want, res.Findings)
			}
		}
	}
}

type broken struct{}

func (broken) ReadAt(p []byte, off int64) (int, error) {
	if off > 5000 {
		return 0, errors.New("the disk is gone")
	}
	return copy(p, bytes.Repeat([]byte{'N'}, len(p))), nil
}

func TestAFileThatCannotBeReadIsNotClean(t *testing.T) {
	res := scan.NewFormats(scan.Limits{}, pickle.Formats()...).Scan(t.Context(), scan.NewFile(broken{}, 100<<20), scan.Options{})
	if res.Verdict != unscannable || res.Findings[0].Rule != "scan.read" {
		t.Errorf("%v %v", res.Verdict, res.Findings)
	}
}

func TestHugeCountsTakeNoMemory(t *testing.T) {
	for name, content := range map[string][]byte{
		"a text of 4 GiB":     []byte("\x80\x02X\xff\xff\xff\xff"),
		"a text of 2^63":      append([]byte("\x80\x04\x8d"), binary.LittleEndian.AppendUint64(nil, 1<<63)...),
		"a negative length":   []byte("\x80\x02T\xff\xff\xff\xff"),
		"a memo of 4 billion": []byte("\x80\x02Nr\xff\xff\xff\xffj\xff\xff\xff\xff\x86."),
	} {
		if res := examine(t, content); res.Verdict != unscannable && name != "a memo of 4 billion" {
			t.Errorf("%s: %v %v", name, res.Verdict, res.Findings)
		}
	}
	for name, unit := range map[string]string{"a stack": "N", "marks": "(", "lists": "]", "tuples in tuples": "\x85", "a memo": "\x94", "calls": ")2"} {
		content := append([]byte("\x80\x04N"), bytes.Repeat([]byte(unit), (12<<20)/len(unit))...)
		res := examine(t, content)
		if res.Verdict != unscannable {
			t.Errorf("%s: %v %v", name, res.Verdict, res.Findings)
		}
	}
}

func TestWorkThatIsRepeatedIsPaidFor(t *testing.T) {
	long := "X\x00\x00\x01\x00" + strings.Repeat("a", 65536)
	wide := "(" + strings.Repeat("N", 5000) + "t"
	limits := scan.DefaultLimits
	limits.Work /= 100
	for name, s := range map[string][2]string{
		"names of 64 KiB":         {long + "q\x00", "h\x00h\x00\x930"},
		"names of 64 KiB escaped": {"V" + strings.Repeat("\\u0041", 10900) + "\nq\x00", "h\x00h\x00\x930"},
		"calls that are shown":    {"cos\nsystem\nq\x00" + wide + "q\x01", "h\x00h\x01R0"},
		"states made by a call":   {"cargparse\nNamespace\n)\x81q\x00cbuiltins\ndict\n" + wide + "Rq\x01", "h\x00h\x01b0"},
		"bytes that are decoded":  {"ctorch.storage\n_load_from_bytes\nq\x00c_codecs\nencode\n" + long + "X\x06\x00\x00\x00latin1\x86R\x85q\x01", "h\x00h\x01R0"},
		"small pickles":           {"N.", "\x80\x04N."},
	} {
		content := []byte("\x80\x04" + s[0] + strings.Repeat(s[1], 200_000) + "N.")
		res := scan.NewFormats(limits, pickle.Formats()...).Scan(t.Context(), scan.Bytes(content), scan.Options{})
		paid := false
		for _, f := range res.Findings {
			paid = paid || f.Rule == "scan.budget"
		}
		if !paid {
			t.Errorf("%s: %v %v", name, res.Verdict, res.Findings)
		}
	}
}

// The shapes in which libraries that are not here write themselves.
func TestWhatLibrariesWriteIsClean(t *testing.T) {
	array := func(a *asm) *asm { // numpy, protocols 2 and 3
		return a.global("numpy.core.multiarray", "_reconstruct").global("numpy", "ndarray").raw("K\x00\x85").data([]byte("b")).raw("\x87R(K\x01K\x02\x85").
			dtype("f8", -1, 0).raw("\x89").data(make([]byte, 16)).raw("tb")
	}
	tree := proto(3).global("sklearn.tree._tree", "Tree").raw("K\x04")
	tree = array(tree).raw("K\x01\x87R}").text("max_depth").raw("K\x03sb")
	forest := proto(3).global("sklearn.ensemble._forest", "RandomForestClassifier").raw(")\x81}(").text("n_estimators").raw("K\x0a").
		text("estimators_").raw("]").text("_sklearn_version").text("1.5.0").raw("ub")
	frame := proto(4).stackGlobal("pandas.core.frame", "DataFrame").raw(")\x81}").text("_mgr").stackGlobal("pandas.core.internals.managers", "BlockManager").
		stackGlobal("pandas._libs.internals", "_unpickle_block")
	frame = array(frame).stackGlobal("builtins", "slice").raw("K\x00K\x01K\x01\x87RK\x02\x87R\x85]").
		stackGlobal("pandas.core.indexes.base", "_new_Index").stackGlobal("pandas.core.indexes.range", "RangeIndex").raw("}").text("start").raw("K\x00s\x86Ra\x86Rsb")
	for name, content := range map[string][]byte{
		"a tree of scikit-learn":   tree.stop(),
		"a forest of scikit-learn": forest.stop(),
		"a frame of pandas":        frame.stop(),
		"a function of numpy":      proto(2).global("sklearn.preprocessing._function_transformer", "FunctionTransformer").raw(")\x81}").text("func").global("numpy", "log1p").raw("sb").stop(),
		"a booster of xgboost":     proto(4).stackGlobal("xgboost.core", "Booster").raw(")\x81}").text("handle").raw("\x96", le64(4), "binfsb").stop(),
		"a model of lightgbm": proto(4).stackGlobal("lightgbm.sklearn", "LGBMClassifier").raw(")\x81}(").text("_Booster").stackGlobal("lightgbm.basic", "Booster").raw(")\x81}").text("handle").text("tree").raw("sb").
			text("_le").stackGlobal("lightgbm.compat", "_LGBMLabelEncoder").raw(")\x81}").text("classes_").raw("Nsbub").stop(),
		"folds of lightgbm":       proto(4).stackGlobal("lightgbm.engine", "CVBooster").raw(")\x81}").text("best_iteration").raw("K\x01sb").stop(),
		"a distance metric":       proto(3).global("sklearn.metrics._dist_metrics", "newObj").global("sklearn.metrics._dist_metrics", "EuclideanDistance64").raw("\x85R").stop(),
		"a loss of Cython":        proto(3).global("sklearn._loss._loss", "__pyx_unpickle_CyHalfBinomialLoss").global("sklearn._loss._loss", "CyHalfBinomialLoss").raw("J\x01\x02\x03\x04N\x87R").stop(),
		"a random state":          proto(3).global("numpy.random._pickle", "__randomstate_ctor").text("MT19937").global("numpy.random._pickle", "__bit_generator_ctor").raw("\x86R}").text("pos").raw("K\x01sb").stop(),
		"a generator of numpy 2":  proto(3).global("numpy.random._pickle", "__generator_ctor").global("numpy.random._pickle", "__bit_generator_ctor").global("numpy.random._pcg64", "PCG64").raw("\x85R\x85R").stop(),
		"a masked array":          proto(3).global("numpy.ma.core", "_mareconstruct").raw("(").global("numpy.ma.core", "MaskedArray").global("numpy", "ndarray").raw("K\x00\x85C\x01btR").stop(),
		"a whole module of torch": proto(2).global("torch.nn.modules.container", "Sequential").raw(")\x81}").text("_modules").global("collections", "OrderedDict").raw(")R").text("0").global("torch.nn.modules.linear", "Linear").raw(")\x81}").text("weight").global("torch._utils", "_rebuild_parameter").tensor("FloatStorage", "0", 0).raw("\x88").global("collections", "OrderedDict").raw(")R\x87Rsbssb").stop(),
		"a class of TorchScript":  proto(2).global("__torch__.net", "Net").raw(")\x81}").text("training").raw("\x89sb").stop(),
		"an old set of Python 2":  proto(2).global("__builtin__", "set").raw("]K\x01a\x85R").stop(),
		"a class of torch's tar":  proto(2).raw("(").global("torch.nn.modules.linear", "Linear").text("linear.py").text("class Linear: pass").raw("tQ)\x81").stop(),
	} {
		if res := examine(t, content); res.Verdict != clean {
			t.Errorf("%s: %v %v", name, res.Verdict, res.Findings)
		}
	}
}
