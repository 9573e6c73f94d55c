package corpus

import "strings"

// The sizes below are those that llama.cpp and its descendants once multiplied
// or allocated before they compared them with the file.
func heldGGUF() []Case {
	arch := ggufWord("general.architecture", "llama")
	tensor := ggufTensor{name: "token_embd.weight", dims: []int{8, 4}}
	b := heldCase("gguf-bounds")
	add := func(s *set, name string, g ggufFile, truth string) { s.add(name, "model.gguf", g.bytes(), truth) }
	add(b, "pairs-beyond-the-file", ggufFile{pairs: []string{arch}, edit: func(h *ggufHeader) { h.pairs = le64(1 << 40) }}, "a trillion pairs")
	add(b, "array-of-arrays-of-arrays", ggufFile{pairs: []string{arch, ggufPair("x", ggufArray, strings.Repeat(le32(ggufArray)+le64(1), 4000)+le32(ggufUint8)+le64(1)+"\x00")}}, "arrays four thousand levels deep")
	add(b, "unknown-value-type", ggufFile{pairs: []string{arch, ggufPair("tokenizer.ggml.model", 77, le32(0))}}, "a value of type 77")
	add(b, "alignment-of-nothing", ggufFile{pairs: []string{arch, ggufNumber("general.alignment", 0)}, tensors: []ggufTensor{tensor}, data: weights(1, 32)}, "an alignment of zero, by which a loader divides")
	add(b, "tensor-behind-the-end", ggufFile{pairs: []string{arch}, tensors: []ggufTensor{{name: "a", dims: []int{8, 4}, offset: 1 << 30}}, data: weights(1, 32)}, "a tensor a gigabyte behind the end")
	add(b, "five-hundred-dimensions", ggufFile{pairs: []string{arch}, tensors: []ggufTensor{{name: "a", dims: make([]int, 500)}}, data: weights(1, 32)}, "a tensor of 500 dimensions, for which four places are kept")
	add(b, "key-of-a-gigabyte", ggufFile{pairs: []string{arch, le64(1<<30) + "k"}}, "a key of a gigabyte")
	add(b, "type-beyond-the-table", ggufFile{pairs: []string{arch}, tensors: []ggufTensor{{name: "a", dims: []int{32}, kind: 4096}}, data: weights(1, 32)}, "a tensor type that indexes beyond the table of types")

	o := heldCase("gguf-overflow")
	add(o, "elements-wrap-to-sixteen", ggufFile{pairs: []string{arch}, tensors: []ggufTensor{{name: "a", dims: []int{1 << 32, 1 << 31, 2, 16}}}, data: weights(1, 32)}, "the product of the dimensions wraps round to a small number")
	add(o, "offset-plus-size-wraps", ggufFile{pairs: []string{arch}, tensors: []ggufTensor{{name: "a", dims: []int{8}, offset: -32}}, data: weights(1, 32)}, "offset 2^64-32 plus 32 bytes is zero")
	add(o, "array-bytes-wrap", ggufFile{pairs: []string{arch, ggufPair("tokenizer.ggml.scores", ggufArray, le32(ggufFloat32)+le64(1<<62)+le32(0))}}, "2^62 floats of four bytes are no bytes")
	add(o, "string-length-minus-one", ggufFile{pairs: []string{ggufPair("general.name", ggufString, le64(-1)+"x")}}, "a text of 2^64-1 bytes, to which a loader adds one for the NUL")
	add(o, "tensor-count-wraps", ggufFile{pairs: []string{arch}, edit: func(h *ggufHeader) { h.tensors = le64(1<<61 + 1) }}, "2^61+1 tensor records")
	add(o, "alignment-of-four-gigabytes", ggufFile{pairs: []string{arch, ggufPair("general.alignment", ggufUint32, le32(-1))}, tensors: []ggufTensor{tensor}, data: weights(1, 32)}, "padding to 2^32-1 wraps")
	return join(b, o)
}

func heldGGUFTemplates() []Case {
	s := heldCase("gguf-template")
	base := []string{ggufWord("general.architecture", "qwen2"), ggufTexts("tokenizer.ggml.tokens", "a", "b")}
	for i, at := range []struct{ name, key string }{{"main", "tokenizer.chat_template"}, {"named-tool-use", "tokenizer.chat_template.tool_use"}, {"named-rag", "tokenizer.chat_template.rag"}} {
		s.add(at.name, "model.gguf", ggufFile{pairs: append(base[:2:2], ggufWord(at.key, heldSSTI()[i].text))}.bytes(), at.key+": "+heldSSTI()[i].name)
	}
	s.add("version-2", "model.gguf", ggufFile{version: 2, pairs: append(base[:2:2], ggufWord("tokenizer.chat_template", heldSSTI()[4].text))}.bytes(), "a GGUF of version 2: "+heldSSTI()[4].name)
	s.add("behind-ten-thousand-tokens", "model.gguf", ggufFile{pairs: append([]string{base[0], ggufTexts("tokenizer.ggml.tokens", heldVocabulary(10_000)...)}, ggufWord("tokenizer.chat_template", heldSSTI()[5].text))}.bytes(), "the template stands behind ten thousand tokens")
	return s.cases
}

func heldVocabulary(n int) []string {
	v := make([]string, n)
	for i := range v {
		v[i] = "▁tok" + itoa(i)
	}
	return v
}
