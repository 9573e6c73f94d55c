package tensor_test

import (
	"encoding/base64"
	"encoding/binary"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"strings"
	"testing"

	"github.com/apexlogic/apex/internal/model/tensor"
)

const (
	one  = `{"a":{"dtype":"F32","shape":[2],"data_offsets":[0,8]}}`
	two  = `{"a":{"dtype":"F32","shape":[2],"data_offsets":[0,8]},"b":{"dtype":"F16","shape":[2,2],"data_offsets":[8,16]}}`
	hurt = "\x80\x04\x95\x1c\x00\x00\x00\x00\x00\x00\x00\x8c\x05posix\x94\x8c\x06system\x94\x93\x94\x8c\x02id\x94\x85\x94R\x94."
)

func withMetadata(key, value string) []byte {
	m, err := json.Marshal(map[string]string{key: value})
	if err != nil {
		panic(err)
	}
	return safetensors(`{"__metadata__":`+string(m)+`,`+one[1:], 8)
}

func withMetadataText(text string) []byte {
	return safetensors(`{"__metadata__":{"note":`+text+`},`+one[1:], 8)
}

// latin1 returns bytes as letters.
func latin1(b string) string {
	var s strings.Builder
	for _, c := range []byte(b) {
		s.WriteRune(rune(c))
	}
	return s.String()
}

func lied(header string, length uint64, data int) []byte {
	b := safetensors(header, data)
	binary.LittleEndian.PutUint64(b, length)
	return b
}

func TestSafetensorsThatTheLibraryWritesAreClean(t *testing.T) {
	const clean = "clean safetensors"
	kohya, _ := json.Marshal(map[string]map[string]int{"10_cat (animal)": {"exec (cosplay)": 3, "eval": 1, "system": 2, "import": 9}})
	var types strings.Builder
	types.WriteString("{")
	at := 0
	for i, name := range []string{"BOOL", "U8", "I8", "F8_E5M2", "F8_E4M3", "F8_E8M0", "F4", "F6_E2M3", "F6_E3M2", "I16", "U16", "F16", "BF16",
		"I32", "U32", "F32", "I64", "U64", "F64", "C64"} {
		bits, ok := tensor.DTypeSize(name)
		if !ok {
			t.Fatalf("no type %s", name)
		}
		if i > 0 {
			types.WriteString(",")
		}
		fmt.Fprintf(&types, `"t%d":{"dtype":%q,"shape":[2,4],"data_offsets":[%d,%d]}`, i, name, at, at+bits)
		at += bits
	}
	types.WriteString("}")
	check(t, []file{
		{"one tensor", safetensors(one, 8), clean},
		{"two tensors", safetensors(two, 16), clean},
		{"two tensors out of order", safetensors(`{"b":{"dtype":"F16","shape":[2,2],"data_offsets":[8,16]},`+one[1:], 16), clean},
		{"spaces that align the header", safetensors(one+"      ", 8), clean},
		{"no tensor", safetensors(`{}`, 0), clean},
		{"metadata only", safetensors(`{"__metadata__":{"format":"pt"}}`, 0), clean},
		{"an empty tensor", safetensors(`{"a":{"dtype":"F32","shape":[0],"data_offsets":[0,0]},"b":{"dtype":"I64","shape":[0,5],"data_offsets":[0,0]}}`, 0), clean},
		{"an empty tensor between two", safetensors(`{"a":{"dtype":"U8","shape":[4],"data_offsets":[0,4]},"e":{"dtype":"F32","shape":[0],"data_offsets":[4,4]},"b":{"dtype":"U8","shape":[4],"data_offsets":[4,8]}}`, 8), clean},
		{"a scalar", safetensors(`{"a":{"dtype":"F64","shape":[],"data_offsets":[0,8]}}`, 8), clean},
		{"every type", safetensors(types.String(), at), clean},
		{"names that differ in case", safetensors(`{"Layer":{"dtype":"U8","shape":[4],"data_offsets":[0,4]},"layer":{"dtype":"U8","shape":[4],"data_offsets":[4,8]}}`, 8), clean},
		{"names that are not ASCII", safetensors(`{"слой":{"dtype":"U8","shape":[4],"data_offsets":[0,4]},"\u5c42":{"dtype":"U8","shape":[4],"data_offsets":[4,8]}}`, 8), clean},
		{"a letter that is a pair of surrogates", safetensors(strings.Replace(one, `"a"`, `"\ud83d\ude00\\u"`, 1), 8), clean},
		{"a tensor called header", safetensors(strings.Replace(one, `"a"`, `"header"`, 1), 8), clean},
		{"five thousand tensors", safetensors(manyTensors(5000), 5000*16), clean},
		{"tags of a trainer", withMetadata("ss_tag_frequency", string(kohya)), clean},
		{"a digest", withMetadata("sshs_model_hash", strings.Repeat("80049550", 8)), clean},
		{"a thumbnail", withMetadata("modelspec.thumbnail", "data:image/jpeg;base64,"+base64.StdEncoding.EncodeToString(append([]byte("\xff\xd8\xff\xe0"), noise(3000)...))), clean},
		{"a description with code", withMetadata("description", "Load it with `model.eval()` and call retrieval(query). Run: python train.py; do not import system"), clean},
		{"lines of words", withMetadata("description", "cute\nanime\nLora for a character. Works best at 0.8, or."), clean},
		{"lines of words and brackets", withMetadata("description", "(cute\ncats\nanime\n(see below). Bob. Enjoy."), clean},
		{"letters of Latin-1", withMetadata("author", "\u00c4\u0080\u0099 M\u00fcller und S\u00f6hne"), clean},
		{"a benign template", withMetadata("template", "{{ bos_token }}{% for m in messages %}{{ m.content }}{% endfor %}"), clean},
		{"a text in base64", withMetadata("note", base64.StdEncoding.EncodeToString([]byte("nothing of interest is written here"))), clean},
		{"weights that begin like a pickle by chance", append(safetensors(`{"a":{"dtype":"U8","shape":[64],"data_offsets":[0,64]}}`, 0), append([]byte("\x80\x02\xf1\xf2"), make([]byte, 60)...)...), clean},
		{"state in JSON", append(safetensors(`{"quant_state":{"dtype":"U8","shape":[32],"data_offsets":[0,32]}}`, 0), []byte(`{"quant_type": "nf4", "bs": 64 }`)...), clean},
	})
}

func TestSafetensorsWithAKeyTwiceAreFound(t *testing.T) {
	const bad = "suspicious safetensors: safetensors.duplicate-key"
	check(t, []file{
		{"a tensor", safetensors(`{"a":{"dtype":"F32","shape":[2],"data_offsets":[0,8]},`+one[1:], 8), bad},
		{"a tensor spelled with escapes", safetensors(`{"\u0061":{"dtype":"F32","shape":[2],"data_offsets":[0,8]},`+one[1:], 8), bad},
		{"a field", safetensors(`{"a":{"dtype":"F32","dtype":"I32","shape":[2],"data_offsets":[0,8]}}`, 8), bad},
		{"a field in another case", safetensors(`{"a":{"dtype":"F32","shape":[2],"Shape":[2],"data_offsets":[0,8]}}`, 8), bad},
		{"the metadata", safetensors(`{"__metadata__":{},"__metadata__":{},`+one[1:], 8), bad},
		{"a key of the metadata", safetensors(`{"__metadata__":{"format":"pt","format":"tf"},`+one[1:], 8), bad},
		{"a tensor far away", safetensors(strings.TrimRight(manyTensors(300), " }")+`},`+manyTensors(1)[len(`{"__metadata__":{"format":"pt"},`):], 4800), bad},
	})
}

func TestSafetensorsWithAHeaderThatNobodyWritesAreFound(t *testing.T) {
	const (
		length = "suspicious safetensors: safetensors.header.length"
		bad    = "suspicious safetensors: safetensors.header"
	)
	check(t, []file{
		{"the first half of a surrogate pair", safetensors(strings.Replace(one, `"a"`, `"a\ud800"`, 1), 8), bad},
		{"the second half alone", safetensors(strings.Replace(one, `"a"`, `"\udc00"`, 1), 8), bad},
		{"two first halves", safetensors(strings.Replace(one, `"a"`, `"\uD83D\uD83D\uDE00"`, 1), 8), bad},
		{"a half in the metadata", withMetadataText(`"\ud800x"`), bad},
		{"longer than allowed", lied(one, 100_000_001, 8), length},
		{"as long as the address space", lied(one, 1<<64-1, 8), length},
		{"negative", lied(one, 1<<63, 8), length},
		{"letters for a length", lied(one, 0x4141414141414141, 8), length},
		{"longer than the file", lied(one, 4096, 8), length},
		{"negative, before nothing", lied(`{}`, 1<<64-1, 0), length},
		{"the smallest one, before a name", lied(`{"w":[]}`, 1<<63, 0), length},
		{"past the end, before a space", lied(`{ "w": 0 }`, 1<<40|0x80, 0), length},
		{"cut off", safetensors(one, 0)[:40], length},
		{"not JSON", safetensors(`{"a":oops}`, 0), bad},
		{"a comma too many", safetensors(one[:len(one)-1]+`,}`, 8), bad},
		{"more than one object", safetensors(one+`{}`, 8), bad},
		{"NULs that align", safetensors(one+"\x00\x00", 8), bad},
		{"not UTF-8", safetensors(strings.Replace(one, `"a"`, "\"a\xff\"", 1), 8), bad},
		{"space before the brace", safetensors("  "+one, 8), bad},
		{"a byte order mark", safetensors("\xef\xbb\xbf"+one, 8), bad},
		{"nested far", safetensors(`{"a":`+strings.Repeat("[", 10_000)+strings.Repeat("]", 10_000)+`}`, 0), bad},
		{"an entry that is a number", safetensors(`{"a":1}`, 0), bad},
		{"an entry without a shape", safetensors(`{"a":{"dtype":"F32","data_offsets":[0,8]}}`, 8), bad},
		{"a negative dimension", safetensors(`{"a":{"dtype":"F32","shape":[-2],"data_offsets":[0,8]}}`, 8), bad},
		{"a dimension that is no whole number", safetensors(`{"a":{"dtype":"F32","shape":[2.0],"data_offsets":[0,8]}}`, 8), bad},
		{"an offset with an exponent", safetensors(`{"a":{"dtype":"F32","shape":[2],"data_offsets":[0,8e0]}}`, 8), bad},
		{"an offset of 65 bits", safetensors(`{"a":{"dtype":"F32","shape":[2],"data_offsets":[0,18446744073709551624]}}`, 8), bad},
		{"three offsets", safetensors(`{"a":{"dtype":"F32","shape":[2],"data_offsets":[0,8,8]}}`, 8), bad},
		{"a type of objects", safetensors(`{"a":{"dtype":"OBJECT","shape":[2],"data_offsets":[0,8]}}`, 8), bad},
		{"a type that is not known", safetensors(`{"a":{"dtype":"F8_E3M4","shape":[8],"data_offsets":[0,8]}}`, 8), "unscannable safetensors: safetensors.dtype"},
		{"a field too many", safetensors(`{"a":{"dtype":"F32","shape":[2],"data_offsets":[0,8],"x":[{}]}}`, 8), "clean safetensors: safetensors.field"},
		{"JSON that is none", []byte(`params: {"dtype":"float16"}`), "unknown "},
	})
}

func TestSafetensorsWhoseOffsetsLieAreFound(t *testing.T) {
	const bad = "suspicious safetensors: safetensors.offsets"
	check(t, []file{
		{"overlap", safetensors(strings.Replace(two, "[8,16]", "[4,12]", 1), 12), bad},
		{"the same bytes twice", safetensors(strings.Replace(two, "[8,16]", "[0,8]", 1), 8), bad},
		{"a hole", safetensors(strings.Replace(two, "[8,16]", "[12,20]", 1), 20), bad},
		{"a hole before the first", safetensors(strings.Replace(one, "[0,8]", "[8,16]", 1), 16), bad},
		{"backwards", safetensors(strings.Replace(one, "[0,8]", "[8,0]", 1), 8), bad},
		{"past the end", safetensors(one, 4), bad},
		{"far past the end", safetensors(strings.Replace(one, "[0,8]", "[0,9223372036854775807]", 1), 8), bad},
		{"a shape that is larger", safetensors(strings.Replace(one, "[2]", "[3]", 1), 8), bad},
		{"a shape that is smaller", safetensors(strings.Replace(one, "[2]", "[1]", 1), 8), bad},
		{"a shape that overflows", safetensors(strings.Replace(one, "[2]", "[4294967296,4294967296,2]", 1), 8), bad},
		{"a shape that overflows beside a zero", safetensors(strings.Replace(one, `[2],"data_offsets":[0,8]`, `[0,4294967296,4294967296],"data_offsets":[0,0]`, 1), 0), bad},
		{"half a byte", safetensors(`{"a":{"dtype":"F4","shape":[3],"data_offsets":[0,2]}}`, 2), bad},
	})
}

func TestBytesBehindSafetensorsAreFoundAndRead(t *testing.T) {
	check(t, []file{
		{"a byte", safetensors(one, 9), "suspicious safetensors: safetensors.trailing"},
		{"zeros", safetensors(one, 4096), "suspicious safetensors: safetensors.trailing"},
		{"a pickle", append(safetensors(one, 8), hurt...), "malicious safetensors: test.pickle safetensors.trailing"},
		{"a pickle in a hole", append(safetensors(fmt.Sprintf(`{"a":{"dtype":"U8","shape":[4],"data_offsets":[%d,%d]}}`, len(hurt), len(hurt)+4), 0), hurt+"abcd"...),
			"malicious safetensors: test.pickle safetensors.offsets"},
		{"a pickle in a tensor of bytes", append(safetensors(fmt.Sprintf(`{"extra_state":{"dtype":"U8","shape":[%d],"data_offsets":[0,%d]}}`, len(hurt), len(hurt)), 0), hurt...),
			"malicious safetensors: test.pickle safetensors.tensor.pickle"},
		{"a pickle of protocol 0 in a tensor of signed bytes", append(safetensors(`{"state":{"dtype":"I8","shape":[23],"data_offsets":[0,23]}}`, 0), "cos\nsystem\n(S'date'\ntR."...),
			"malicious safetensors: test.pickle safetensors.tensor.pickle"},
		{"an honest pickle in a tensor of bytes", append(safetensors(`{"state":{"dtype":"U8","shape":[28],"data_offsets":[0,28]}}`, 0), "\x80\x02}X\x10\x00\x00\x00amax_history_lenK\x01s."...),
			"clean safetensors: safetensors.tensor.pickle"},
		{"a program in a tensor of bytes", append(safetensors(`{"x":{"dtype":"U8","shape":[64],"data_offsets":[0,64]}}`, 0), append([]byte("\x7fELF\x02\x01\x01"), make([]byte, 57)...)...),
			"suspicious safetensors: safetensors.tensor.code"},
		{"an archive in a tensor of bytes", append(safetensors(`{"x":{"dtype":"U8","shape":[64],"data_offsets":[0,64]}}`, 0), append([]byte("PK\x03\x04"), make([]byte, 60)...)...),
			"suspicious safetensors: safetensors.tensor.code"},
	})
}

func TestMetadataThatIsMoreThanTextIsFound(t *testing.T) {
	const code = "suspicious safetensors: safetensors.metadata.code"
	std := base64.StdEncoding.EncodeToString
	check(t, []file{
		{"a number", safetensors(`{"__metadata__":{"a":1},`+one[1:], 8), "suspicious safetensors: safetensors.metadata"},
		{"an object", safetensors(`{"__metadata__":{"a":{"b":["c"]}},`+one[1:], 8), "suspicious safetensors: safetensors.metadata"},
		{"null", safetensors(`{"__metadata__":null,`+one[1:], 8), "suspicious safetensors: safetensors.metadata"},
		{"a list of strings", safetensors(`{"__metadata__":["a"],`+one[1:], 8), "suspicious safetensors: safetensors.metadata"},
		{"a pickle in base64", withMetadata("state", std([]byte(hurt))), "malicious safetensors: test.pickle safetensors.metadata.code"},
		{"a pickle in base64 without padding, in lines", withMetadata("state", strings.TrimRight(std([]byte(hurt))[:20]+"\n"+std([]byte(hurt))[20:], "=")), "malicious safetensors: test.pickle safetensors.metadata.code"},
		{"a pickle in the other base64", withMetadata("state", base64.URLEncoding.EncodeToString([]byte(hurt))), "malicious safetensors: test.pickle safetensors.metadata.code"},
		{"a pickle in hex", withMetadata("state", hex.EncodeToString([]byte(hurt+strings.Repeat("x", 64)))), "malicious safetensors: test.pickle safetensors.metadata.code"},
		{"a pickle of protocol 0", withMetadata("state", "cos\nsystem\n(S'id'\ntR."), "malicious safetensors: test.pickle safetensors.metadata.code"},
		{"a pickle of protocol 0 that begins with a dict", withMetadata("state", "(dp0\nS'x'\np1\ncos\nsystem\np2\n(S'id'\ntR."), code},
		{"a pickle of protocol 0 of the old calls", withMetadata("state", "(S'echo hello'\nios\nsystem\n."), code},
		{"a pickle of protocol 0 that builds", withMetadata("state", "(cos\nsystem\np0\nS'id'\no."), code},
		{"a pickle as letters", withMetadata("state", latin1(hurt)), "malicious safetensors: test.pickle safetensors.metadata.code"},
		{"YAML that makes objects", withMetadata("config", "!!python/object/apply:os.system ['id']"), code},
		{"an image that is a pickle", withMetadata("thumbnail", "data:image/png;base64,"+std([]byte(hurt))), "malicious safetensors: test.pickle safetensors.metadata.code"},
		{"a program in base64", withMetadata("blob", std(append([]byte("\x7fELF\x02\x01\x01"), make([]byte, 64)...))), code},
		{"Python", withMetadata("init", "__import__('os').system('id')"), code},
		{"Python in base64", withMetadata("init", std([]byte("import os; os.system('touch /tmp/x')"))), code},
		{"a shell script", withMetadata("setup", "#!/bin/sh\necho hello > /tmp/x\n"), code},
		{"a script of a browser", withMetadata("description", `<p>nice</p><script>alert(1)</script>`), code},
		{"a template that reaches out", withMetadata("chat_template", "{{ ''.__class__.__mro__ }}"), "malicious safetensors: test.template"},
		{"a key that is a template", withMetadata("{{ ''.__class__.__mro__ }}", "x"), "malicious safetensors: test.template"},
	})
}

func TestAnIndexNamesFilesInItsFolderOnly(t *testing.T) {
	index := func(name string) []byte {
		q, _ := json.Marshal(name)
		return []byte(`{"metadata":{"total_size":16,"Total_Size":2},"weight_map":{"a":"model-00001-of-00002.safetensors","A":` + string(q) + `}}`)
	}
	const (
		clean = "clean safetensors-index"
		bad   = "malicious safetensors-index: safetensors.index.path"
		odd   = "suspicious safetensors-index: safetensors.index"
	)
	check(t, []file{
		{"plain", index("model-00002-of-00002.safetensors"), clean},
		{"a folder below", index("shards/model-00002.safetensors"), clean},
		{"dots in a name", index("model..v2.safetensors"), clean},
		{"up", index("../other/model.safetensors"), bad},
		{"up in the middle", index("a/../../model.safetensors"), bad},
		{"absolute", index("/etc/passwd"), bad},
		{"a drive", index("c:model.bin"), bad},
		{"a backslash", index(`..\model.bin`), bad},
		{"a share", index(`\\host\share\model.bin`), bad},
		{"an address", index("https://example.com/model.bin"), bad},
		{"a home", index("~/model.bin"), bad},
		{"a NUL", index("model.bin\x00.safetensors"), bad},
		{"spelled with escapes", []byte(`{"weight\u005fmap":{"a":"..\u002fmodel.bin"}}`), bad},
		{"far behind", []byte(`{"metadata":{"x":"` + strings.Repeat("y", 10_000) + `"},"weight_map":{"a":"../m.bin"}}`), bad},
		{"a name twice", []byte(`{"weight_map":{"a":"m1.bin","a":"m2.bin"}}`), odd},
		{"two maps", []byte(`{"weight_map":{"a":"m1.bin"},"weight_map":{"a":"m2.bin"}}`), odd},
		{"a name that is a list", []byte(`{"weight_map":{"a":["m1.bin"]}}`), odd},
		{"cut off", []byte(`{"weight_map":{"a":"m1.bin"`), "suspicious safetensors-index: safetensors.index safetensors.index.unreadable"},
		{"other JSON", []byte(`{"architectures":["weight_map"]}`), "unknown "},
		{"other JSON with escapes", []byte(`{"a":"\u0041","b":[{"weight_map":1}]}`), "unknown "},
	})
}

func TestSafetensorsSayWhatTheyAre(t *testing.T) {
	r := examine(t, safetensors(`{"__metadata__":{"format":"pt","modelspec.license":"MIT"},`+two[1:], 16))
	if got, want := fmt.Sprint(r.Properties), "[{framework pt} {license MIT}]"; got != want {
		t.Errorf("got %s, want %s", got, want)
	}
	data := 8 + int64(len(`{"__metadata__":{"format":"pt","modelspec.license":"MIT"},`+two[1:]))
	want := fmt.Sprintf("[{ a F32 [2] %d 8} { b F16 [2 2] %d 8}]", data, data+8)
	if got := fmt.Sprint(r.Tensors); got != want {
		t.Errorf("got %s, want %s", got, want)
	}
	if _, ok := tensor.DTypeSize("F128"); ok {
		t.Error("a type that does not exist has a size")
	}
}
