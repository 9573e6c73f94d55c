package corpus

import "strings"

// The values that numpy's types pickle to. A numpyEra says how: the module
// that a version of numpy uses, and whether arrays go through _frombuffer as
// protocol 5 lets them.
type numpyEra struct {
	core   string // "numpy.core" before 2.0, "numpy._core" after
	buffer bool
}

var (
	numpy1  = numpyEra{core: "numpy.core"}
	numpy1b = numpyEra{core: "numpy.core", buffer: true}
	numpy2  = numpyEra{core: "numpy._core"}
	numpy2b = numpyEra{core: "numpy._core", buffer: true}
)

// dtype is numpy.dtype(code, False, True) with its state, for codes such as
// f8, i4, b1, O8, U7, S3.
func dtype(code string) *object {
	order, size, align, flags := "<", -1, -1, 0
	switch code[0] {
	case 'b':
		order = "|"
	case 'O':
		order, flags = "|", 63
	case 'S':
		order, size, align = "|", atoi(code[1:]), 1
	case 'U':
		size, align, flags = 4*atoi(code[1:]), 4, 8
	}
	return reduce("numpy.dtype", code, false, true).with(tup{3, order, nil, nil, nil, size, align, flags})
}

func atoi(s string) int {
	n := 0
	for _, c := range []byte(s) {
		n = 10*n + int(c-'0')
	}
	return n
}

// field is one of a structured dtype.
type field struct {
	name, code string
	offset     int
}

// recordType is a structured dtype of size bytes.
func recordType(size int, fields ...field) *object {
	names, places := tup{}, &dict{}
	for _, f := range fields {
		names = append(names, f.name)
		places.pairs = append(places.pairs, [2]any{f.name, tup{dtype(f.code), f.offset}})
	}
	return reduce("numpy.dtype", "V"+itoa(size), false, true).with(tup{3, "|", nil, names, places, size, 1, 16})
}

// array is an ndarray of the raw data.
func (e numpyEra) array(d any, shape tup, data string) *object {
	if e.buffer {
		return reduce(e.core+".numeric._frombuffer", byteArray(data), d, shape, "C")
	}
	return reduce(e.core+".multiarray._reconstruct", glob("numpy.ndarray"), tup{0}, blob("b")).with(tup{1, shape, d, false, blob(data)})
}

// objects is an array of Python objects.
func (e numpyEra) objects(items ...any) *object {
	return reduce(e.core+".multiarray._reconstruct", glob("numpy.ndarray"), tup{0}, blob("b")).with(tup{1, tup{len(items)}, dtype("O8"), false, listOf(items...)})
}

func (e numpyEra) scalar(code, data string) *object {
	return reduce(e.core+".multiarray.scalar", dtype(code), blob(data))
}

func (e numpyEra) floats(seed uint64, shape ...any) *object {
	return e.array(dtype("f8"), tup(shape), doubles(seed, product(shape)))
}

func (e numpyEra) singles(seed uint64, shape ...any) *object {
	return e.array(dtype("f4"), tup(shape), weights(seed, product(shape)))
}

func (e numpyEra) ints(seed uint64, limit int, shape ...any) *object {
	return e.array(dtype("i8"), tup(shape), counts(seed, product(shape), limit))
}

func (e numpyEra) float(f float64) *object { return e.scalar("f8", lef64(f)) }

func (e numpyEra) texts(values ...string) *object {
	width := 1
	for _, v := range values {
		width = max(width, len(v))
	}
	var b strings.Builder
	for _, v := range values {
		for _, c := range v {
			b.WriteString(le32(int(c)))
		}
		b.WriteString(strings.Repeat("\x00", 4*(width-len(v))))
	}
	return e.array(dtype("U"+itoa(width)), tup{len(values)}, b.String())
}

func product(shape []any) int {
	n := 1
	for _, d := range shape {
		n *= d.(int)
	}
	return n
}

// randomState is a RandomState of the Mersenne Twister.
func (e numpyEra) randomState(seed uint64) *object {
	key := e.array(dtype("u4"), tup{624}, noise(seed, 4*624))
	state := dictOf("bit_generator", "MT19937", "state", dictOf("key", key, "pos", 624), "has_gauss", 0, "gauss", 0.0)
	if e.core == "numpy._core" {
		generator := reduce("numpy.random._pickle.__bit_generator_ctor", glob("numpy.random._mt19937.MT19937")).with(tup{state, nil})
		return reduce("numpy.random._pickle.__randomstate_ctor", generator).with(state)
	}
	return reduce("numpy.random._pickle.__randomstate_ctor", "MT19937").with(state)
}
