package model

import (
	"bytes"
	"context"
	"encoding/binary"
	"io"
	"math"
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

// decoders turn one element into a number, by the names of types in
// safetensors, GGUF and NumPy's short form.
var decoders = map[string]struct {
	size   int
	decode func([]byte) float64
}{
	"F64": {8, func(b []byte) float64 { return math.Float64frombits(binary.LittleEndian.Uint64(b)) }},
	"F32": {4, func(b []byte) float64 { return float64(math.Float32frombits(binary.LittleEndian.Uint32(b))) }},
	"F16": {2, func(b []byte) float64 { return half(binary.LittleEndian.Uint16(b)) }},
	"BF16": {2, func(b []byte) float64 {
		return float64(math.Float32frombits(uint32(binary.LittleEndian.Uint16(b)) << 16))
	}},
	"I64":  {8, func(b []byte) float64 { return float64(int64(binary.LittleEndian.Uint64(b))) }},
	"I32":  {4, func(b []byte) float64 { return float64(int32(binary.LittleEndian.Uint32(b))) }},
	"I16":  {2, func(b []byte) float64 { return float64(int16(binary.LittleEndian.Uint16(b))) }},
	"I8":   {1, func(b []byte) float64 { return float64(int8(b[0])) }},
	"U8":   {1, func(b []byte) float64 { return float64(b[0]) }},
	"BOOL": {1, func(b []byte) float64 { return float64(b[0]) }},
}

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

// compareNumbers compares size bytes of two tensors of one type.
func compareNumbers(ctx context.Context, dtype string, x, y io.Reader, size int64) (Delta, error) {
	const block = 1 << 20 // a multiple of every element's size
	var d Delta
	var difference, norm, absolute float64
	var elements int64
	decoder, known := decoders[dtype]
	a, b := make([]byte, min(block, size)), make([]byte, min(block, size))
	for done := int64(0); done < size; done += int64(len(a)) {
		a, b = a[:min(block, size-done)], b[:min(block, size-done)]
		if _, err := io.ReadFull(x, a); err != nil {
			return d, err
		}
		if _, err := io.ReadFull(y, b); err != nil {
			return d, err
		}
		if err := ctx.Err(); err != nil {
			return d, err
		}
		equal := bytes.Equal(a, b)
		if !known {
			if !equal {
				d.Bytes += differing(a, b)
			}
			continue
		}
		elements += int64(len(a) / decoder.size)
		for i := 0; i+decoder.size <= len(a); i += decoder.size {
			v := decoder.decode(a[i : i+decoder.size])
			finite := !math.IsNaN(v) && !math.IsInf(v, 0)
			if finite {
				norm += v * v
			}
			if equal || bytes.Equal(a[i:i+decoder.size], b[i:i+decoder.size]) {
				continue
			}
			d.Elements++
			d.Bytes += differing(a[i:i+decoder.size], b[i:i+decoder.size])
			w := decoder.decode(b[i : i+decoder.size])
			if !finite || math.IsNaN(w) || math.IsInf(w, 0) {
				d.NotFinite++
				continue
			}
			gap := math.Abs(v - w)
			d.MaxAbs = max(d.MaxAbs, gap)
			absolute += gap
			difference += gap * gap
		}
	}
	if elements > 0 && d.Elements > 0 {
		d.MeanAbs = absolute / float64(elements)
		if norm > 0 {
			d.Relative = math.Sqrt(difference / norm)
		}
	}
	return d, nil
}

func differing(a, b []byte) (n int64) {
	for i := range a {
		if a[i] != b[i] {
			n++
		}
	}
	return n
}
