package tensor_test

import (
	"bytes"
	"encoding/base64"
	"fmt"
	"math"
	"slices"
	"strings"
	"testing"
)

// The numbers of the types of values.
const (
	kindU8, kindI8, kindU32, kindF32, kindBool, kindString, kindArray, kindU64 = 0, 1, 4, 6, 7, 8, 9, 10
)

const template = "{% for m in messages %}{{ '<|' + m.role + '|>' + m.content }}{% endfor %}"

// llama is a small model as the converters of llama.cpp write it.
func llama() ggufFile {
	return ggufFile{
		keys: []ggufKey{
			{"general.architecture", kindString, "llama"},
			{"general.name", kindString, "Tiny"},
			{"general.license", kindString, "apache-2.0"},
			{"general.base_model.0.name", kindString, "Llama 3"},
			{"general.base_model.0.repo_url", kindString, "https://huggingface.co/meta-llama/Llama-3"},
			{"general.tags", kindArray, array{kindString, []any{"text-generation", "en"}}},
			{"llama.block_count", kindU32, uint32(2)},
			{"llama.rope.freq_base", kindF32, uint32(0x461c4000)},
			{"tokenizer.ggml.tokens", kindArray, array{kindString, []any{"<s>", "</s>", "{{", "{%", "a", ""}}},
			{"tokenizer.ggml.scores", kindArray, array{kindF32, []any{uint32(0), uint32(0), uint32(0), uint32(0), uint32(0), uint32(0)}}},
			{"tokenizer.ggml.add_bos_token", kindBool, true},
			{"tokenizer.chat_template", kindString, template},
		},
		tensors: []ggufTensor{
			{"token_embd.weight", []uint64{8, 4}, 0, 0},
			{"blk.0.attn_q.weight", []uint64{32, 2}, 8, 128},
			{"output_norm.weight", []uint64{3}, 0, 224},
		},
		data: 236,
	}
}

// with changes the model.
func with(change func(*ggufFile)) []byte {
	g := llama()
	change(&g)
	return g.bytes()
}

func key(name string, kind uint32, value any) []byte {
	return with(func(g *ggufFile) { g.keys = append(g.keys, ggufKey{name, kind, value}) })
}

func tensorOf(t ggufTensor) []byte {
	return with(func(g *ggufFile) { g.tensors[0] = t })
}

func TestGGUFThatConvertersWriteIsClean(t *testing.T) {
	const clean = "clean gguf"
	tokens := array{kind: kindString}
	merges := array{kind: kindString}
	scores := array{kind: kindF32}
	for i := range 30_000 {
		tokens.values = append(tokens.values, fmt.Sprintf("▁token%d", i))
		merges.values = append(merges.values, fmt.Sprintf("to ken%d", i))
		scores.values = append(scores.values, uint32(i))
	}
	var all ggufFile
	for i, n := range []int{4, 2, 18, 20, 0, 0, 22, 24, 34, 36, 84, 110, 144, 176, 210, 292, 66, 74, 98, 50, 18, 110, 82, 136, 1, 2, 4, 8, 8, 56, 2, 18, 18, 18, 54, 66, 0, 18, 18, 17, 36, 18} {
		block := map[int]uint64{2: 32, 3: 32, 6: 32, 7: 32, 8: 32, 9: 32, 20: 32, 31: 32, 32: 32, 33: 32, 37: 32, 38: 32, 39: 32, 40: 64, 41: 128,
			0: 1, 1: 1, 24: 1, 25: 1, 26: 1, 27: 1, 28: 1, 30: 1}[i]
		if n == 0 {
			continue
		}
		if block == 0 {
			block = 256
		}
		all.tensors = append(all.tensors, ggufTensor{fmt.Sprintf("t%d", i), []uint64{block, 2}, uint32(i), uint64(all.data)})
		all.data = (all.data + 2*n + 31) / 32 * 32
	}
	check(t, []file{
		{"version 3", with(func(*ggufFile) {}), clean},
		{"version 2", with(func(g *ggufFile) { g.version = 2 }), clean},
		{"version 1", with(func(g *ggufFile) { g.version = 1 }), clean},
		{"big-endian", with(func(g *ggufFile) { g.big = true }), clean},
		{"every type", all.bytes(), clean},
		{"thirty thousand tokens", with(func(g *ggufFile) {
			g.keys = append(g.keys, ggufKey{"t", kindArray, tokens}, ggufKey{"m", kindArray, merges}, ggufKey{"s", kindArray, scores})
		}), clean},
		{"arrays in arrays", key("x", kindArray, array{kindArray, []any{array{kindU8, []any{uint8(1)}}, array{kindString, []any{"a", "b"}}}}), clean},
		{"an empty array", key("x", kindArray, array{kind: kindString}), clean},
		{"all numbers of the tensors padded", with(func(g *ggufFile) { g.data = 256 }), clean},
		{"a page of zeros behind", with(func(g *ggufFile) { g.data = 4096 }), clean},
		{"only words", with(func(g *ggufFile) { g.tensors, g.data = nil, 0 }), clean},
		{"another alignment", with(func(g *ggufFile) {
			g.keys = append(g.keys, ggufKey{"general.alignment", kindU32, uint32(8)})
			g.align, g.data, g.tensors[2].offset = 8, 212, 200
		}), clean},
		{"several templates", with(func(g *ggufFile) {
			g.keys = append(g.keys, ggufKey{"tokenizer.chat_templates", kindArray, array{kindString, []any{"tool_use"}}},
				ggufKey{"tokenizer.chat_template.tool_use", kindString, template})
		}), clean},
		{"a table of characters", key("tokenizer.ggml.precompiled_charsmap", kindArray, array{kindU8, slices.Repeat([]any{uint8(1)}, 1000)}), clean},
		{"a description", key("general.description", kindString, "Call model.eval() first; the system prompt can import tools."), clean},
		{"a text about the format", []byte("GGUF is a format of files."), "unknown "},
	})
}

func TestTemplatesInGGUFAreRead(t *testing.T) {
	const (
		evil = "{{ ''.__class__.__mro__[1].__subclasses__() }}"
		bad  = "malicious gguf: test.template"
	)
	check(t, []file{
		{"the template", with(func(g *ggufFile) { g.keys[11].value = evil }), bad},
		{"a named one", key("tokenizer.chat_template.tool_use", kindString, evil), bad},
		{"one of a list", key("tokenizer.chat_template.all", kindArray, array{kindString, []any{template, evil}}), bad},
		{"one in a list of lists", key("tokenizer.chat_template.all", kindArray, array{kindArray, []any{array{kindString, []any{evil}}}}), bad},
		{"under another key", key("general.prompt", kindString, evil), bad},
		{"far down in a list of others", key("x.prompts", kindArray, array{kindString, []any{"a", evil + strings.Repeat(" ", 300)}}), bad},
		{"big-endian", with(func(g *ggufFile) { g.big = true; g.keys[11].value = evil }), bad},
		{"version 1", with(func(g *ggufFile) { g.version = 1; g.keys[11].value = evil }), bad},
	})
	r := examine(t, key("tokenizer.chat_template.tool_use", kindString, evil))
	if got := r.Findings[0].Where.Member; got != "tokenizer.chat_template.tool_use" {
		t.Errorf("the place is %q", got)
	}
}

func TestGGUFThatOverflowsIsMalicious(t *testing.T) {
	const bad = "malicious gguf: gguf.overflow"
	put := func(at int, n uint64) []byte {
		b := with(func(*ggufFile) {})
		for i := range 8 {
			b[at+i] = byte(n >> (8 * i))
		}
		return b
	}
	check(t, []file{
		{"as many tensors as there can be", put(8, 1<<64-1), bad},
		{"tensors whose entries wrap", put(8, 1<<56), bad},
		{"as many keys as there can be", put(16, 1<<64-1), bad},
		{"keys whose entries wrap", put(16, 1<<57+1), bad},
		{"a key as long as memory", put(24, 1<<64-1), bad},
		{"a string as long as memory", key("x", kindString, uint64(1<<64-1)), bad},
		{"an array of numbers that wraps", key("x", kindArray, append([]byte{kindU64, 0, 0, 0}, 1, 0, 0, 0, 0, 0, 0, 0x20)), bad},
		{"an array of strings that wraps", key("x", kindArray, append([]byte{kindString, 0, 0, 0}, 1, 0, 0, 0, 0, 0, 0, 0x10)), bad},
		{"a negative dimension", tensorOf(ggufTensor{"t", []uint64{1 << 63}, 0, 0}), bad},
		{"dimensions whose product wraps", tensorOf(ggufTensor{"t", []uint64{1 << 32, 1 << 32, 4}, 0, 0}), bad},
		{"bytes that wrap", tensorOf(ggufTensor{"t", []uint64{1 << 62}, 0, 0}), bad},
		{"a size that wraps when it is padded", tensorOf(ggufTensor{"t", []uint64{math.MaxUint64/8 - 1}, 0, 0}), bad},
		{"blocks that wrap before they are divided", tensorOf(ggufTensor{"t", []uint64{5124095576030431008}, 2, 0}), bad},
		{"an offset that wraps", tensorOf(ggufTensor{"t", []uint64{8}, 0, 1<<64 - 32}), bad},
		{"an end that wraps", tensorOf(ggufTensor{"t", []uint64{1 << 20}, 0, 1<<63 - 32}), bad},
		{"elements of a type of a fork that wrap", tensorOf(ggufTensor{"t", []uint64{1 << 40, 1 << 40}, 36, 0}), "malicious gguf: gguf.overflow gguf.type.fork"},
		{"five dimensions", tensorOf(ggufTensor{"t", []uint64{2, 2, 2, 2, 2}, 0, 0}), "malicious gguf: gguf.dimensions"},
		{"a thousand dimensions", tensorOf(ggufTensor{"t", slices.Repeat([]uint64{1}, 1000), 0, 0}), "malicious gguf: gguf.dimensions"},
	})
}

func TestGGUFThatReachesOutOfBoundsIsFound(t *testing.T) {
	const bad = "suspicious gguf: gguf.bounds"
	whole := with(func(*ggufFile) {})
	put := func(at int, n byte) []byte {
		b := bytes.Clone(whole)
		b[at+3] = n
		return b
	}
	check(t, []file{
		{"more tensors than fit", put(8, 1), bad},
		{"more keys than fit", put(16, 1), bad},
		{"a key longer than the file", put(24, 1), bad},
		{"a string longer than the file", key("x", kindString, uint64(1<<30)), bad},
		{"an array longer than the file", key("x", kindArray, append([]byte{kindU8, 0, 0, 0}, 0, 0, 0, 1, 0, 0, 0, 0)), bad},
		{"strings more than fit", key("x", kindArray, append([]byte{kindString, 0, 0, 0}, 0, 0, 1, 0, 0, 0, 0, 0)), bad},
		{"cut off in the header", whole[:200], bad},
		{"only the mark", whole[:12], bad},
		{"cut off in the numbers", whole[:len(whole)-40], bad},
		{"no numbers", whole[:len(whole)-236], bad},
		{"past the end", tensorOf(ggufTensor{"t", []uint64{8, 4}, 0, 1 << 20}), "suspicious gguf: gguf.bounds gguf.gap"},
		{"larger than the file", tensorOf(ggufTensor{"t", []uint64{1 << 20, 4}, 0, 0}), bad},
		{"overlap", tensorOf(ggufTensor{"t", []uint64{8, 4}, 0, 32}), "suspicious gguf: gguf.bounds gguf.gap"},
		{"the same place twice", with(func(g *ggufFile) { g.tensors[1].offset = 0 }), "suspicious gguf: gguf.bounds gguf.gap"},
		{"not aligned", with(func(g *ggufFile) { g.tensors[2].offset = 228 }), "suspicious gguf: gguf.bounds gguf.gap"},
		{"a row of half a block", tensorOf(ggufTensor{"t", []uint64{40}, 8, 0}), "suspicious gguf: gguf.bounds gguf.gap"},
	})
}

func TestGGUFThatNobodyWritesIsFound(t *testing.T) {
	const header = "suspicious gguf: gguf.header"
	check(t, []file{
		{"a key twice", key("general.name", kindString, "Other"), "suspicious gguf: gguf.duplicate-key"},
		{"a template twice", key("tokenizer.chat_template", kindString, "{{ ''.__class__ }}"), "malicious gguf: test.template gguf.duplicate-key"},
		{"a tensor twice", with(func(g *ggufFile) { g.tensors[1].name = g.tensors[0].name }), "suspicious gguf: gguf.duplicate-key"},
		{"an alignment of 0", key("general.alignment", kindU32, uint32(0)), "suspicious gguf: gguf.alignment"},
		{"an alignment of 3", key("general.alignment", kindU32, uint32(3)), "suspicious gguf: gguf.alignment"},
		{"an alignment of 2 GiB", key("general.alignment", kindU32, uint32(1<<31)), "suspicious gguf: gguf.alignment"},
		{"an alignment that is a string", key("general.alignment", kindString, "32"), "suspicious gguf: gguf.alignment"},
		{"a type of value that there is not", key("x", 13, uint32(0)), header},
		{"an array of a type that there is not", key("x", kindArray, []byte{99, 0, 0, 0, 1, 0, 0, 0, 0, 0, 0, 0}), header},
		{"arrays in arrays in arrays", key("x", kindArray, array{kindArray, []any{array{kindArray, []any{array{kindArray, []any{array{kindArray, []any{array{kind: kindU8}}}}}}}}}), header},
		{"a key of 70 KB", key(strings.Repeat("k", 70_000), kindU32, uint32(0)), header},
		{"a name of a tensor of 1 KB", tensorOf(ggufTensor{strings.Repeat("n", 1000), []uint64{8, 4}, 0, 0}), header},
		{"a type far outside of the table", tensorOf(ggufTensor{"t", []uint64{8, 4}, 1 << 31, 0}), "suspicious gguf: gguf.type"},
		{"a type that was removed", tensorOf(ggufTensor{"t", []uint64{8, 4}, 4, 0}), "suspicious gguf: gguf.type"},
		{"a type of later", tensorOf(ggufTensor{"t", []uint64{8, 4}, 60, 0}), "unscannable gguf: gguf.type.unknown"},
		{"a type of a fork", tensorOf(ggufTensor{"t", []uint64{8, 4}, 36, 0}), "clean gguf: gguf.type.fork"},
		{"version 4", with(func(g *ggufFile) { g.version = 4 }), "unscannable gguf: gguf.version"},
		{"bytes behind", append(with(func(g *ggufFile) { g.data = 256 }), "more"...), "suspicious gguf: gguf.trailing"},
		{"a pickle behind", append(with(func(g *ggufFile) { g.data = 256 }), hurt...), "malicious gguf: test.pickle gguf.trailing"},
		{"a pickle in a gap", append(with(func(g *ggufFile) { g.tensors[2].offset = 288; g.data = 224 }), append([]byte(hurt), make([]byte, 80)...)...), "malicious gguf: test.pickle gguf.gap"},
		{"a pickle in base64", key("x.state", kindString, base64.StdEncoding.EncodeToString([]byte(hurt))), "malicious gguf: test.pickle gguf.metadata.code"},
		{"a pickle in an array of bytes", key("x.state", kindArray, slices.Concat([]byte{kindU8, 0, 0, 0, byte(len(hurt)), 0, 0, 0, 0, 0, 0, 0}, []byte(hurt))), "malicious gguf: test.pickle gguf.metadata.code"},
		{"Python", key("x.init", kindString, "__import__('os').system('id')"), "suspicious gguf: gguf.metadata.code"},
	})
}

func TestGGUFSaysWhatItIs(t *testing.T) {
	r := examine(t, with(func(*ggufFile) {}))
	want := "[{architecture llama} {base_model Llama 3} {base_model https://huggingface.co/meta-llama/Llama-3} {license apache-2.0} {name Tiny}]"
	if got := fmt.Sprint(r.Properties); got != want {
		t.Errorf("got %s\nwant %s", got, want)
	}
	at := int64(len(with(func(*ggufFile) {})) - 236)
	want = fmt.Sprintf("[{ token_embd.weight F32 [4 8] %d 128} { blk.0.attn_q.weight Q8_0 [2 32] %d 68} { output_norm.weight F32 [3] %d 12}]", at, at+128, at+224)
	if got := fmt.Sprint(r.Tensors); got != want {
		t.Errorf("got %s\nwant %s", got, want)
	}
}

func TestVocabulariesHaveANumberForEachToken(t *testing.T) {
	const bad, clean = "suspicious gguf: gguf.vocabulary", "clean gguf"
	numbers := func(kind uint32, n int) array {
		a := array{kind: kind}
		for i := range n {
			if kind == kindU8 {
				a.values = append(a.values, uint8(i))
			} else {
				a.values = append(a.values, uint32(i))
			}
		}
		return a
	}
	scores := func(a array) []byte {
		return with(func(g *ggufFile) { g.keys[9].value = a })
	}
	const types = "tokenizer.ggml.token_type"
	check(t, []file{
		{"two scores for six tokens", scores(numbers(kindF32, 2)), bad},
		{"no score", scores(numbers(kindF32, 0)), bad},
		{"six scores of one byte", scores(numbers(kindU8, 6)), bad},
		{"five types", key(types, kindArray, numbers(kindU32, 5)), bad},
		{"scores before tokens", with(func(g *ggufFile) {
			g.keys[9].value = numbers(kindF32, 1)
			g.keys[8], g.keys[9] = g.keys[9], g.keys[8]
		}), bad},
		{"six types", key(types, kindArray, numbers(kindU32, 6)), clean},
		{"more scores than tokens", scores(numbers(kindF32, 9)), clean},
		{"no scores at all", with(func(g *ggufFile) { g.keys = slices.Delete(g.keys, 9, 10) }), clean},
	})
}
