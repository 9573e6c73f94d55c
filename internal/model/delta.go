package model

import (
	"bytes"
	"context"
	"encoding/binary"
	"errors"
	"io"
	"math"
	"sync"
)

// Delta is by how much the numbers of two tensors differ. Of types whose
// numbers are not decoded (quantised ones) only Bytes says something.
type Delta struct {
	Bytes    int64   `json:"bytes"`              // that differ
	Elements int64   `json:"elements,omitempty"` // that differ
	MaxAbs   float64 `json:"maxAbs,omitempty"`
	MeanAbs  float64 `json:"meanAbs,omitempty"` // over all elements
	// Relative is the norm of the difference over that of the base (L2); 0 where
	// the base is all zeros.
	Relative float64 `json:"relative,omitempty"`
	// NotFinite counts elements that are infinite or no number on either side
	// and differ; they are in no other figure but Bytes and Elements.
	NotFinite int64 `json:"notFinite,omitempty"`
}

// decoder turns the bytes of whole elements into numbers.
type decoder struct {
	size   int
	decode func(to []float64, from []byte)
}

// decoders are by the names of types in safetensors and GGUF; see [numeric].
var decoders = map[string]decoder{
	"F64": {8, func(to []float64, b []byte) {
		for i := range to {
			to[i] = math.Float64frombits(binary.LittleEndian.Uint64(b[8*i:]))
		}
	}},
	"F32": {4, func(to []float64, b []byte) {
		for i := range to {
			to[i] = float64(math.Float32frombits(binary.LittleEndian.Uint32(b[4*i:])))
		}
	}},
	"F16": {2, func(to []float64, b []byte) {
		table := halves()
		for i := range to {
			to[i] = float64(table[binary.LittleEndian.Uint16(b[2*i:])])
		}
	}},
	"BF16": {2, func(to []float64, b []byte) {
		for i := range to {
			to[i] = float64(math.Float32frombits(uint32(binary.LittleEndian.Uint16(b[2*i:])) << 16))
		}
	}},
	"I64":  {8, each(8, func(b []byte) float64 { return float64(int64(binary.LittleEndian.Uint64(b))) })},
	"U64":  {8, each(8, func(b []byte) float64 { return float64(binary.LittleEndian.Uint64(b)) })},
	"I32":  {4, each(4, func(b []byte) float64 { return float64(int32(binary.LittleEndian.Uint32(b))) })},
	"U32":  {4, each(4, func(b []byte) float64 { return float64(binary.LittleEndian.Uint32(b)) })},
	"I16":  {2, each(2, func(b []byte) float64 { return float64(int16(binary.LittleEndian.Uint16(b))) })},
	"U16":  {2, each(2, func(b []byte) float64 { return float64(binary.LittleEndian.Uint16(b)) })},
	"I8":   {1, each(1, func(b []byte) float64 { return float64(int8(b[0])) })},
	"U8":   {1, each(1, func(b []byte) float64 { return float64(b[0]) })},
	"BOOL": {1, each(1, func(b []byte) float64 { return float64(b[0]) })},
}

func each(size int, decode func([]byte) float64) func([]float64, []byte) {
	return func(to []float64, b []byte) {
		for i := range to {
			to[i] = decode(b[size*i : size*i+size])
		}
	}
}

// numeric is the decoder's name of a type that torch or NumPy names; the name
// itself where it is one already, or where nothing decodes it: numbers in the
// other byte order, quantised and complex ones.
func numeric(dtype string) string {
	switch dtype {
	case "float64", "<f8":
		return "F64"
	case "float32", "<f4":
		return "F32"
	case "float16", "<f2":
		return "F16"
	case "bfloat16":
		return "BF16"
	case "int64", "<i8":
		return "I64"
	case "<u8":
		return "U64"
	case "int32", "<i4":
		return "I32"
	case "<u4":
		return "U32"
	case "int16", "<i2":
		return "I16"
	case "<u2":
		return "U16"
	case "int8", "|i1":
		return "I8"
	case "uint8", "|u1":
		return "U8"
	case "bool", "|b1", "?":
		return "BOOL"
	}
	return dtype
}

// halves are all numbers of binary16.
var halves = sync.OnceValue(func() *[1 << 16]float32 {
	var t [1 << 16]float32
	for i := range t {
		t[i] = float32(half(uint16(i)))
	}
	return &t
})

// half decodes an IEEE 754 binary16.
func half(h uint16) float64 {
	sign, exponent, fraction := h>>15, int(h>>10&0x1f), float64(h&0x3ff)
	var v float64
	switch exponent {
	case 0:
		v = math.Ldexp(fraction, -24)
	case 0x1f:
		v = math.Inf(1)
		if fraction != 0 {
			v = math.NaN()
		}
	default:
		v = math.Ldexp(1+fraction/1024, exponent-15)
	}
	if sign == 1 {
		v = -v
	}
	return v
}

// compareBlock is how much is compared at once: a multiple of every element's
// size, small enough for the second-level cache.
const compareBlock = 256 << 10

// firstDifference reads both until they differ and returns where that block
// begins; size where they are equal.
func firstDifference(ctx context.Context, x, y io.ReaderAt, size int64) (int64, error) {
	a, b := make([]byte, min(compareBlock, size)), make([]byte, min(compareBlock, size))
	for at := int64(0); at < size; at += compareBlock {
		n := min(compareBlock, size-at)
		if err := readBoth(ctx, x, y, a[:n], b[:n], at); err != nil {
			return 0, err
		}
		if !bytes.Equal(a[:n], b[:n]) {
			return at, nil
		}
	}
	return size, nil
}

func readBoth(ctx context.Context, x, y io.ReaderAt, a, b []byte, at int64) error {
	if err := ctx.Err(); err != nil {
		return context.Cause(ctx)
	}
	for _, side := range []struct {
		r io.ReaderAt
		b []byte
	}{{x, a}, {y, b}} {
		if n, err := side.r.ReadAt(side.b, at); n < len(side.b) {
			if err == nil || errors.Is(err, io.EOF) {
				err = io.ErrUnexpectedEOF
			}
			return err
		}
	}
	return nil
}

// compareNumbers compares size bytes of two tensors of one type. Equal ones
// cost their reading only.
func compareNumbers(ctx context.Context, dtype string, x, y io.ReaderAt, size int64) (Delta, error) {
	var d Delta
	first, err := firstDifference(ctx, x, y, size)
	if err != nil || first == size {
		return d, err
	}
	numbers, known := decoders[numeric(dtype)]
	if known && size%int64(numbers.size) != 0 {
		known = false
	}
	begin := first
	if known {
		begin = 0 // the norm is that of all
	}
	var difference, norm, absolute float64
	a, b := make([]byte, min(compareBlock, size)), make([]byte, min(compareBlock, size))
	var v, w []float64
	if known {
		v, w = make([]float64, len(a)/numbers.size), make([]float64, len(a)/numbers.size)
	}
	for at := begin; at < size; at += compareBlock {
		n := min(compareBlock, size-at)
		a, b := a[:n], b[:n]
		if err := readBoth(ctx, x, y, a, b, at); err != nil {
			return d, err
		}
		equal := bytes.Equal(a, b)
		if !known {
			if !equal {
				d.Bytes += differing(a, b)
			}
			continue
		}
		v, w := v[:int(n)/numbers.size], w[:int(n)/numbers.size]
		numbers.decode(v, a)
		for _, number := range v {
			if finite(number) {
				norm += number * number
			}
		}
		if equal {
			continue
		}
		numbers.decode(w, b)
		for i := range v {
			p, q := a[i*numbers.size:(i+1)*numbers.size], b[i*numbers.size:(i+1)*numbers.size]
			if bytes.Equal(p, q) {
				continue
			}
			d.Elements++
			d.Bytes += differing(p, q)
			if !finite(v[i]) || !finite(w[i]) {
				d.NotFinite++
				continue
			}
			gap := math.Abs(v[i] - w[i])
			d.MaxAbs = max(d.MaxAbs, gap)
			absolute += gap
			difference += gap * gap
		}
	}
	if d.Elements > 0 {
		d.MeanAbs = absolute / float64(size/int64(numbers.size))
		if norm > 0 {
			d.Relative = math.Sqrt(difference / norm)
		}
	}
	return d, nil
}

func finite(v float64) bool { return v-v == 0 }

func differing(a, b []byte) (n int64) {
	for i := range a {
		if a[i] != b[i] {
			n++
		}
	}
	return n
}
