package corpus

import (
	"math"
	"strconv"
	"strings"
)

func numpyObjects() []Case {
	s := &set{technique: "numpy-object"}
	s.add("version-1", "data.npy", npyObject(evil(0)), "an object array is a pickle")
	s.add("version-2", "data.npy", npyHeader(2, "{'descr': '|O', 'fortran_order': False, 'shape': (2, 2), }")+evil(1), "the same with a version 2 header")
	s.add("version-3", "data.npy", npyHeader(3, "{'descr': '|O', 'fortran_order': True, 'shape': (), }")+evil(2), "the same with a version 3 header")
	s.add("structured", "data.npy", npy("[('id', '<i8'), ('label', '|O')]", "(3,)", false, evil(3)), "one field of a structured dtype is an object")
	s.add("nested-dtype", "data.npy", npy("[('a', [('b', '<f4'), ('c', 'O', (2,))])]", "(1,)", false, evil(4)), "a nested field is an object")
	s.add("double-quotes", "data.npy", npyHeader(1, `{"shape": (1,), "fortran_order": False, "descr": "O"}`)+evil(5), "another spelling of the header")
	s.add("npz-second-member", "data.npz", string(archive{members: []member{{name: "x.npy", data: npy("'<f4'", "(4,)", false, weights(1, 4))}, {name: "y.npy", data: npyObject(evil(0)), deflate: true}}}.bytes()), "the second array of an npz")
	s.add("npz-bare-pickle", "data.npz", string(archive{members: []member{{name: "x.npy", data: npy("'<f4'", "(4,)", false, weights(2, 4))}, {name: "meta", data: evil(1)}}}.bytes()), "a member of an npz that is a bare pickle, which numpy.load reads too")
	s.add("bare-pickle", "data.npy", evil(2), "a bare pickle under numpy's extension")
	return s.cases
}

func joblibCases() []Case {
	s := &set{technique: "joblib-compressed"}
	zf := func(data string) string {
		length := "0x" + strconv.FormatInt(int64(len(data)), 16)
		return "ZF" + length + strings.Repeat(" ", 19-len(length)) + zlibbed(data, 3)
	}
	for i, c := range []struct {
		name string
		pack func(string) string
	}{
		{"zlib", func(s string) string { return zlibbed(s, 3) }}, {"zlib-9", func(s string) string { return zlibbed(s, 9) }}, {"gzip", gzipped},
		{"bz2", bzipped}, {"lzma", lzmaAlone}, {"xz", xzed}, {"lz4", lz4ed}, {"old-zf", zf},
	} {
		s.add(c.name, "model.joblib", c.pack(evil(i)), "a joblib file compressed with "+c.name)
		s.add(c.name+"-after-array", "model.joblib.z", c.pack(joblibArrays(i)), "a raw array stands between the beginning and the call")
	}
	s.add("uncompressed", "model.joblib", joblibArrays(1), "the call stands behind a raw array in an uncompressed file")
	s.add("object-array", "model.joblib", joblibObjectArray(evil(2)), "an object array's nested pickle is the call")
	return s.cases
}

// joblibArrays is a pickle in which a NumpyArrayWrapper's BUILD is followed by
// the array's raw bytes, and then by a call.
func joblibArrays(n int) string {
	wrapper := pickle(3, joblibWrapper("f8", tup{16}))
	return opProto(3) + opEmptyList + opMark + wrapper[2:len(wrapper)-1] + joblibRaw(doubles(uint64(n), 16), 2+1+1+len(wrapper)-3) +
		call("os", "system", str2("true")) + opAppends + opStop
}

// joblibRaw is an array's bytes behind the padding that aligns them to 16.
func joblibRaw(data string, at int) string {
	pad := 16 - (at+1)%16
	return string([]byte{byte(pad)}) + strings.Repeat("\xff", pad) + data
}

func joblibWrapper(code string, shape tup) *object {
	return instance("joblib.numpy_pickle.NumpyArrayWrapper", dictOf("subclass", glob("numpy.ndarray"), "shape", shape, "order", "C",
		"dtype", dtype(code), "allow_mmap", true, "numpy_array_alignment_bytes", 16))
}

func joblibObjectArray(inner string) string {
	w := pickle(4, joblibWrapper("O8", tup{1}))
	return w[:len(w)-1] + inner + opStop
}

func safetensorsCases() []Case {
	w := func(a, b int) string {
		return `{"dtype":"F32","shape":[` + itoa((b-a)/4) + `],"data_offsets":[` + itoa(a) + `,` + itoa(b) + `]}`
	}
	data := weights(1, 8)
	dup := &set{technique: "safetensors-duplicate-key"}
	dup.add("tensor", "model.safetensors", safetensors(`{"a":`+w(0, 16)+`,"a":`+w(16, 32)+`}`, data), "a tensor is listed twice")
	dup.add("escaped", "model.safetensors", safetensors(`{"layer":`+w(0, 16)+`,"\u006cayer":`+w(16, 32)+`}`, data), "twice, once with an escape")
	dup.add("inside-the-tensor", "model.safetensors", safetensors(`{"a":{"dtype":"F32","dtype":"U8","shape":[8],"data_offsets":[0,32]}}`, data), "a tensor has two dtypes")
	dup.add("metadata", "model.safetensors", safetensors(`{"__metadata__":{"format":"pt"},"a":`+w(0, 32)+`,"__metadata__":{"format":"np"}}`, data), "two metadata blocks")
	header := &set{technique: "safetensors-header", reference: "Trail of Bits, safetensors 2023"}
	header.add("longer-than-file", "model.safetensors", le64(1<<40)+`{"a":`+w(0, 32)+`}`+data, "a header of a tebibyte")
	header.add("over-100-mb", "model.safetensors", le64(100_000_001)+`{"a":`+w(0, 32)+`}`+data, "a header above the limit")
	header.add("negative-length", "model.safetensors", le64(-1)+`{}`, "a length that is negative when signed")
	header.add("no-json", "model.safetensors", le64(16)+"{not json at all}"[:16]+data, "the header is no JSON")
	header.add("deep-json", "model.safetensors", safetensors(`{"a":`+strings.Repeat("[", 100_000)+strings.Repeat("]", 100_000)+`}`, data), "a header nested 100,000 deep")
	header.add("leading-space", "model.safetensors", safetensors("\n "+`{"a":`+w(0, 32)+`}`, data), "the header does not begin with a brace")
	off := &set{technique: "safetensors-offsets"}
	off.add("overlap", "model.safetensors", safetensors(`{"a":`+w(0, 24)+`,"b":`+w(16, 32)+`}`, data), "two tensors share bytes")
	off.add("hole", "model.safetensors", safetensors(`{"a":`+w(0, 8)+`,"b":`+w(24, 32)+`}`, data), "bytes that belong to no tensor")
	off.add("past-the-end", "model.safetensors", safetensors(`{"a":`+w(0, 4096)+`}`, data), "a tensor ends after the file")
	off.add("backwards", "model.safetensors", safetensors(`{"a":{"dtype":"F32","shape":[4],"data_offsets":[16,0]},"b":`+w(0, 32)+`}`, data), "a tensor ends before it begins")
	off.add("shape-overflow", "model.safetensors", safetensors(`{"a":{"dtype":"F32","shape":[4611686018427387905,4],"data_offsets":[0,16]},"b":`+w(16, 32)+`}`, data), "the shape's product overflows to the right size")
	off.add("size-mismatch", "model.safetensors", safetensors(`{"a":{"dtype":"F64","shape":[8],"data_offsets":[0,32]}}`, data), "shape and dtype want more bytes than the offsets give")
	off.add("negative", "model.safetensors", safetensors(`{"a":{"dtype":"F32","shape":[-8],"data_offsets":[-32,0]}}`, data), "negative shape and offsets")
	trail := &set{technique: "safetensors-trailing"}
	trail.add("pickle", "model.safetensors", safetensors(`{"a":`+w(0, 32)+`}`, data)+evil(0), "a pickle after the tensors")
	trail.add("zeros", "model.safetensors", safetensors(`{"a":`+w(0, 32)+`}`, data)+strings.Repeat("\x00", 4096), "zeros after the tensors")
	trail.add("elf", "model.safetensors", safetensors(`{"a":`+w(0, 32)+`}`, data)+elf(), "a program after the tensors")
	trail.add("no-tensors", "model.safetensors", safetensors(`{}`, noise(3, 500)), "no tensors, but bytes")
	meta := &set{technique: "safetensors-metadata"}
	meta.add("not-text", "model.safetensors", safetensors(`{"__metadata__":{"format":{"os":["system","true"]}},"a":`+w(0, 32)+`}`, data), "metadata that is no map of text, which the format forbids")
	meta.add("a-list", "model.safetensors", safetensors(`{"__metadata__":["pt"],"a":`+w(0, 32)+`}`, data), "metadata that is a list")
	meta.add("pickle", "model.safetensors", safetensors(`{"__metadata__":{"format":"pt","optimizer":"`+latin1Escaped(evil(0))+`"},"a":`+w(0, 32)+`}`, data), "metadata that carries a pickle")
	meta.add("template", "model.safetensors", safetensors(`{"__metadata__":{"chat_template":"{{ cycler.__init__.__globals__.os.popen('true').read() }}"},"a":`+w(0, 32)+`}`, data), "metadata that carries a template which calls os.popen")
	return join(dup, header, off, trail, meta)
}

func ggufCases() []Case {
	base := []string{ggufWord("general.architecture", "llama"), ggufNumber("general.alignment", 32)}
	b := &set{technique: "gguf-bounds", reference: "CVE-2024-25664"}
	head := func(variation, truth string, edit func(h *ggufHeader)) {
		b.add(variation, "model.gguf", ggufFile{pairs: base, edit: edit}.bytes(), truth)
	}
	head("pairs", "2^60 metadata pairs", func(h *ggufHeader) { h.pairs = le64(1 << 60) })
	head("tensors", "2^40 tensors", func(h *ggufHeader) { h.tensors = le64(1 << 40) })
	head("both-all-ones", "all counts are all ones", func(h *ggufHeader) { h.pairs = le64(-1); h.tensors = le64(-1) })
	b.add("string-length", "model.gguf", ggufFile{pairs: []string{ggufText("general.name") + le32(ggufString) + le64(1<<62) + "abc"}}.bytes(), "a string of 2^62 bytes")
	b.add("key-length", "model.gguf", ggufFile{pairs: []string{le64(-1) + "general.name" + le32(ggufString) + ggufText("x")}}.bytes(), "a key of 2^64-1 bytes")
	b.add("array-length", "model.gguf", ggufFile{pairs: append(base, ggufPair("tokenizer.ggml.tokens", ggufArray, le32(ggufString)+le64(1<<58)))}.bytes(), "an array of 2^58 strings")
	b.add("dimensions", "model.gguf", ggufFile{pairs: base, tensors: []ggufTensor{{"w", []int{1, 1, 1, 1, 1, 1, 1, 1, 1}, 0, 0}}, data: weights(1, 8)}.bytes(), "a tensor of nine dimensions where four fit")
	b.add("data-past-the-end", "model.gguf", ggufFile{pairs: base, tensors: []ggufTensor{{"w", []int{1 << 20}, 0, 0}}, data: weights(1, 8)}.bytes(), "a tensor longer than the file")
	b.add("offset-past-the-end", "model.gguf", ggufFile{pairs: base, tensors: []ggufTensor{{"w", []int{8}, 0, 1 << 40}}, data: weights(1, 8)}.bytes(), "a tensor that begins after the file")
	b.add("unknown-type", "model.gguf", ggufFile{pairs: append(base, ggufPair("x", 77, ""))}.bytes(), "a value of type 77")
	b.add("nested-arrays", "model.gguf", ggufFile{pairs: []string{ggufPair("x", ggufArray, strings.Repeat(le32(ggufArray)+le64(1), 50_000))}}.bytes(), "arrays in arrays, 50,000 deep")
	o := &set{technique: "gguf-overflow", reference: "CVE-2025-53630"}
	tensor := func(variation, truth string, dims []int, kind, offset int) {
		o.add(variation, "model.gguf", ggufFile{pairs: base, tensors: []ggufTensor{{"token_embd.weight", dims, kind, offset}}, data: weights(2, 64)}.bytes(), truth)
	}
	tensor("elements", "the product of the dimensions overflows to a small number", []int{1 << 32, 1 << 32, 16}, 0, 0)
	tensor("negative-dimension", "a dimension of 2^63", []int{math.MinInt64, 2}, 0, 0)
	tensor("bytes", "the elements fit in 64 bits, their bytes do not", []int{1 << 62, 1}, 0, 0)
	tensor("offset", "offset plus size overflows", []int{8}, 0, -32)
	o.add("sum-of-sizes", "model.gguf", ggufFile{pairs: base, tensors: []ggufTensor{{"a", []int{1 << 61, 1}, 0, 0}, {"b", []int{1 << 61, 1}, 0, 0}, {"c", []int{8}, 0, 0}}, data: weights(3, 8)}.bytes(), "the sum of all sizes overflows")
	o.add("alignment-zero", "model.gguf", ggufFile{pairs: []string{ggufNumber("general.alignment", 0)}, tensors: []ggufTensor{{"a", []int{8}, 0, 0}}, data: weights(3, 8)}.bytes(), "an alignment of 0 divides by zero")
	o.add("alignment-huge", "model.gguf", ggufFile{pairs: []string{ggufNumber("general.alignment", 0xffffffff)}, tensors: []ggufTensor{{"a", []int{8}, 0, 0}}, data: weights(3, 8)}.bytes(), "an alignment of 2^32-1 overflows the padding")
	o.add("array-bytes", "model.gguf", ggufFile{pairs: append(base, ggufPair("x", ggufArray, le32(ggufUint64)+le64(1<<61+1)+le64(1)))}.bytes(), "the count of an array times eight overflows to eight")
	t := &set{technique: "gguf-template", reference: "CVE-2024-34359"}
	for i, tpl := range ssti() {
		if i%2 == 0 {
			key := "tokenizer.chat_template"
			if i%4 == 2 {
				key += ".tool_use"
			}
			t.add("template-"+itoa(i), "model.gguf", ggufFile{version: 2 + i%4/2, pairs: append(base, ggufWord(key, tpl)), tensors: []ggufTensor{{"w", []int{8}, 0, 0}}, data: weights(4, 8)}.bytes(), "the chat template under "+key+" runs code")
		}
	}
	t.add("after-many-tokens", "model.gguf", ggufFile{pairs: append(base, ggufTexts("tokenizer.ggml.tokens", strings.Fields(strings.Repeat("tok ", 5000))...), ggufWord("tokenizer.chat_template", ssti()[1]))}.bytes(), "the template follows 5,000 tokens")
	return join(b, o, t)
}
