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

// llama is an outdated model with two words and a tensor.
func oldLlama(mark string, version, known uint32, kind uint32, shape ...uint32) []byte {
	b := []byte(mark)
	if version > 0 {
		b = words(b, version)
	}
	b = words(b, known, 4096, 256, 32, 32, 128, 2)
	for _, word := range []string{"<s>", " the"} {
		b = append(words(b, uint32(len(word))), word...)
		if version > 0 {
			b = append(b, 0, 0, 0x80, 0xbf)
		}
	}
	b = words(b, uint32(len(shape)), 4, kind)
	b = append(words(b, shape...), "norm"...)
	for mark == "tjgg" && len(b)%32 != 0 {
		b = append(b, 0)
	}
	return append(b, make([]byte, 64)...)
}

func TestFormatsBeforeGGUFAreReadAsFarAsTheyGo(t *testing.T) {
	const outdated, bounds, unknown = "clean ggml: ggml.outdated", "suspicious ggml: ggml.bounds", "unknown "
	zeros := make([]byte, 64)
	whole := whisper(1, 0, 4)
	check(t, []file{
		{"a first llama", oldLlama("lmgg", 0, 2, 0, 16), outdated},
		{"one with versions", oldLlama("fmgg", 1, 2, 0, 16), outdated},
		{"one with aligned tensors", oldLlama("tjgg", 3, 2, 0, 16), outdated},
		{"one that is quantised", oldLlama("tjgg", 2, 2, 2, 4096), outdated},
		{"an adapter", append(append(words([]byte("algg"), 1, 8, 16, 1, 4, 0, 8), "lora"...), make([]byte, 28+32)...), outdated},
		{"one with more words than there are", oldLlama("lmgg", 0, 30000, 0, 16), bounds},
		{"one with four milliard words", oldLlama("lmgg", 0, 1<<32-1, 0, 16), bounds},
		{"one with a tensor that is too long", oldLlama("fmgg", 1, 2, 0, 1<<30), "suspicious ggml: ggml.bounds ggml.outdated"},
		{"one with a tensor whose length wraps", oldLlama("tjgg", 3, 2, 1, 1<<31, 1<<31, 1<<31), "suspicious ggml: ggml.bounds ggml.outdated"},
		{"a mark before zeros", append(words([]byte("tjgg"), 3), zeros...), unknown},
		{"a mark before noise", append(words([]byte("lmgg"), 32000, 4096), noise(300)...), unknown},
		{"a mark alone", append(words([]byte("algg"), 1), zeros...), unknown},
		{"a text about it", []byte("ggml is a library"), unknown},
		{"a model of whisper.cpp", whole, "clean ggml-whisper"},
		{"one that is cut off", whole[:len(whole)-1], "suspicious ggml-whisper: ggml.bounds"},
		{"one with nine dimensions", whisper(9, 0, 4), "suspicious ggml-whisper: ggml.bounds"},
		{"one with a type that there is not", whisper(1, 99, 4), "suspicious ggml-whisper: ggml.bounds"},
		{"one with filters that wrap", bytes.Replace(whole, words(nil, 80, 1, 2, 3), words(nil, 80, 1, 1<<31, 1<<31), 1), "suspicious ggml-whisper: ggml.bounds"},
	})
}
