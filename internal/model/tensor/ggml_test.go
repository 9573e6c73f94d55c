package tensor_test

import (
	"bytes"
	"encoding/binary"
	"testing"
)

func words(b []byte, n ...uint32) []byte {
	for _, n := range n {
		b = binary.LittleEndian.AppendUint32(b, n)
	}
	return b
}

// whisper is a model of whisper.cpp with no words and one tensor.
func whisper(rank, kind uint32, shape ...uint32) []byte {
	b := words([]byte("lmgg"), 51864, 1500, 384, 6, 4, 448, 384, 6, 4, 80, 1)
	b = append(words(b, 2, 3), make([]byte, 24)...)
	b = append(append(words(b, 2, 1), 'a'), words(nil, 2)...)
	b = append(b, "bc"...)
	b = words(b, rank, 4, kind)
	b = append(words(b, shape...), "name"...)
	return append(b, make([]byte, 16)...)
}

func TestFormatsBeforeGGUFAreNotScannable(t *testing.T) {
	const outdated = "unscannable ggml: ggml.outdated"
	zeros := make([]byte, 64)
	whole := whisper(1, 0, 4)
	check(t, []file{
		{"ggjt", append(words([]byte("tjgg"), 3), zeros...), outdated},
		{"ggmf", append(words([]byte("fmgg"), 1), zeros...), outdated},
		{"ggml", append(words([]byte("lmgg"), 32000), zeros...), outdated},
		{"an adapter", append(words([]byte("algg"), 1), zeros...), outdated},
		{"a text about it", []byte("ggml is a library"), "unknown "},
		{"a model of whisper.cpp", whole, "clean ggml-whisper"},
		{"one that is cut off", whole[:len(whole)-1], "suspicious ggml-whisper: ggml.bounds"},
		{"one with nine dimensions", whisper(9, 0, 4), "suspicious ggml-whisper: ggml.bounds"},
		{"one with a type that there is not", whisper(1, 99, 4), "suspicious ggml-whisper: ggml.bounds"},
		{"one with filters that wrap", bytes.Replace(whole, words(nil, 80, 1, 2, 3), words(nil, 80, 1, 1<<31, 1<<31), 1), "suspicious ggml-whisper: ggml.bounds"},
	})
}
