package keras

import (
	"encoding/base64"
	"strings"
)

// decoded returns the bytes behind a text in base64, with the line breaks that
// Python's codec puts in.
func decoded(text string) ([]byte, bool) {
	clean := text
	if strings.ContainsAny(clean, "\n\r\t ") {
		clean = strings.Join(strings.Fields(clean), "")
	}
	clean = strings.TrimRight(clean, "=")
	b, err := base64.RawStdEncoding.DecodeString(clean)
	if err != nil {
		b, err = base64.RawURLEncoding.DecodeString(clean)
	}
	return b, err == nil && len(b) > 0
}

// latin returns the bytes that a text of the first 256 characters stands for.
func latin(text string) ([]byte, bool) {
	b := make([]byte, 0, len(text))
	for _, r := range text {
		if r > 0xff {
			return nil, false
		}
		b = append(b, byte(r))
	}
	return b, true
}

// marshalled returns the byte code in a string, where that is what Python's
// marshal writes for a function: in base64, or as characters (Keras 1 and 2.0).
func marshalled(text string) ([]byte, bool) {
	const shortest = 20
	if len(text) < shortest {
		return nil, false
	}
	begins := strings.TrimLeft(text[:shortest], "\n\r\t ")
	switch {
	case strings.HasPrefix(begins, "4"), strings.HasPrefix(begins, "Y"):
		b, ok := decoded(text)
		return b, ok && isCode(b)
	case strings.HasPrefix(begins, "c"), strings.HasPrefix(begins, "ã"):
		b, ok := latin(text)
		return b, ok && isCode(b)
	}
	return nil, false
}

// isCode says whether bytes begin as a code object does: its tag, with or
// without the bit for references, and the number of arguments in four bytes.
func isCode(b []byte) bool {
	return len(b) > 16 && b[0]&0x7f == 'c' && b[2] == 0 && b[3] == 0 && b[4] == 0
}

// outside says whether a path leads out of the model's folder: it is absolute
// on some system, goes up, or is an address.
func outside(path string) bool {
	slashed := strings.ReplaceAll(strings.TrimSpace(path), `\`, "/")
	if strings.HasPrefix(slashed, "/") || strings.HasPrefix(slashed, "~") || len(slashed) >= 2 && slashed[1] == ':' || strings.Contains(slashed, ":/") {
		return true
	}
	for part := range strings.SplitSeq(slashed, "/") {
		if part == ".." {
			return true
		}
	}
	return false
}

// opStanding says what a function of TensorFlow does that a TFOpLambda names.
func opStanding(name string) standing {
	name = strings.TrimPrefix(strings.TrimPrefix(name, "tf."), "compat.v1.")
	area, rest, dotted := strings.Cut(name, ".")
	if !dotted {
		switch name {
		case "py_function", "numpy_function", "py_func", "load_library", "load_op_library", "load_file_system_library", "read_file", "write_file",
			"matching_files", "import_graph_def", "function":
			return foreign
		}
		return ours
	}
	switch area {
	case "math", "nn", "linalg", "signal", "image", "keras", "strings", "sparse", "ragged", "random", "bitwise", "dtypes", "sets", "quantization",
		"__operators__", "nest", "initializers", "losses", "layers":
		if area == "keras" && inKeras(strings.Split(rest, ".")[:1], rest[strings.LastIndexByte(rest, '.')+1:], true) == reaching && !strings.HasPrefix(rest, "backend.") {
			return foreign
		}
		return ours
	case "io", "raw_ops":
		if isHarmlessOp(rest) {
			return ours
		}
		return foreign
	case "debugging", "autograph", "experimental", "compat", "audio":
		return unknown
	}
	return foreign // saved_model, train, data, summary, distribute, sysconfig, python, …
}

// isHarmlessOp says whether an op of tf.io or tf.raw_ops only computes.
func isHarmlessOp(name string) bool {
	if strings.HasPrefix(name, "decode_") || strings.HasPrefix(name, "encode_") || strings.HasPrefix(name, "parse_") {
		return true
	}
	return isCapital(name) && !isFileOp(name)
}

// isFileOp says whether an op of TensorFlow's graphs reads or writes files, or
// runs what is not in the graph.
func isFileOp(name string) bool {
	for _, part := range []string{"File", "PyFunc", "Save", "Restore", "Reader", "Dataset", "Library", "Summary", "Checkpoint", "Print", "Remote", "Rpc", "Table", "Iterator", "XlaHostCompute"} {
		if strings.Contains(name, part) {
			return true
		}
	}
	return false
}
