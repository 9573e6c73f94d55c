package tensor

import "strconv"

// ggmlType is a type of elements: so many bytes hold a block of so many.
type ggmlType struct {
	name         string
	block, bytes int64
}

// ggmlTypes are the types of ggml by their number (ggml.h, enum ggml_type, and
// the sizes of ggml-common.h). Those without a name were removed before GGUF.
var ggmlTypes = [...]ggmlType{
	0: {"F32", 1, 4}, 1: {"F16", 1, 2}, 2: {"Q4_0", 32, 18}, 3: {"Q4_1", 32, 20},
	6: {"Q5_0", 32, 22}, 7: {"Q5_1", 32, 24}, 8: {"Q8_0", 32, 34}, 9: {"Q8_1", 32, 36},
	10: {"Q2_K", 256, 84}, 11: {"Q3_K", 256, 110}, 12: {"Q4_K", 256, 144}, 13: {"Q5_K", 256, 176},
	14: {"Q6_K", 256, 210}, 15: {"Q8_K", 256, 292}, 16: {"IQ2_XXS", 256, 66}, 17: {"IQ2_XS", 256, 74},
	18: {"IQ3_XXS", 256, 98}, 19: {"IQ1_S", 256, 50}, 20: {"IQ4_NL", 32, 18}, 21: {"IQ3_S", 256, 110},
	22: {"IQ2_S", 256, 82}, 23: {"IQ4_XS", 256, 136}, 24: {"I8", 1, 1}, 25: {"I16", 1, 2},
	26: {"I32", 1, 4}, 27: {"I64", 1, 8}, 28: {"F64", 1, 8}, 29: {"IQ1_M", 256, 56}, 30: {"BF16", 1, 2},
	31: {"Q4_0_4_4", 32, 18}, 32: {"Q4_0_4_8", 32, 18}, 33: {"Q4_0_8_8", 32, 18},
	34: {"TQ1_0", 256, 54}, 35: {"TQ2_0", 256, 66},
	37: {"IQ4_NL_4_8", 32, 18}, 38: {"IQ4_NL_8_8", 32, 18}, 39: {"MXFP4", 32, 17}, 40: {"NVFP4", 64, 36}, 41: {"Q1_0", 128, 18},
}

// maxGGMLType is above every number that a fork of ggml has given to a type
// of its own; what is above it was not written by any.
const maxGGMLType = 512

// typeOf returns a type, or its number as the name where its size is unknown.
func typeOf(n uint32) (t ggmlType, known bool) {
	if n < uint32(len(ggmlTypes)) && ggmlTypes[n].name != "" {
		return ggmlTypes[n], true
	}
	return ggmlType{name: "type " + strconv.FormatUint(uint64(n), 10)}, false
}

// ofForks says whether a type is one that a fork of ggml writes: the ternary
// ones of BitNet, which took over 36, and those of ik_llama.cpp.
func ofForks(n uint32) bool { return n == 36 || n >= 97 && n <= 99 || n >= 133 && n <= 400 }
