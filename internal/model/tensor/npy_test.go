package tensor_test

import (
	"bytes"
	"fmt"
	"strings"
	"testing"
)

func TestArraysOfNumbersAreClean(t *testing.T) {
	const clean = "clean numpy"
	var files []file
	for descr, size := range map[string]int{
		"'|b1'": 1, "'?'": 1, "'|i1'": 1, "'<u2'": 2, "'>i4'": 4, "'<f2'": 2, "'<f4'": 4, "'f8'": 8, "'<f16'": 16, "'<c8'": 8, "'<c16'": 16, "'=i8'": 8,
		"'|S10'": 10, "'<U3'": 12, "'|V8'": 8, "'|S0'": 0, "'<M8[ns]'": 8, "'<m8[25s]'": 8, "'<M8'": 8,
		"[('x', '<f4'), ('y', '<i8')]": 12, "[('xy', '<f4', (2, 3)), ('n', '|u1', 4)]": 28, "[(('title', 'name'), '<i4'), ('', '|V4')]": 8,
		"[('outer', [('inner', '<f8'), ('s', '|S2')])]": 10, "[('Object', '<f4'), ('O', '<i2')]": 6, "[]": 0, "('<f4', (2,))": 8,
	} {
		files = append(files, file{descr, npy(1, npyHeader(descr, "(2, 3)"), strings.Repeat("\x01", 6*size)), clean})
	}
	long := "["
	for i := range 600 {
		long += fmt.Sprintf("('a_field_with_a_long_name_%d', '<f4'), ", i)
	}
	long += "]"
	check(t, append(files,
		file{"version 2", npy(2, npyHeader("'<f4'", "(1,)"), "1234"), clean},
		file{"version 3 with other letters", npy(3, npyHeader("[('größe', '<f4')]", "(1,)"), "1234"), clean},
		file{"a scalar", npy(1, npyHeader("'<f8'", "()"), "12345678"), clean},
		file{"an empty array", npy(1, npyHeader("'<f8'", "(0, 7)"), ""), clean},
		file{"Python 2", npy(1, "{'descr': [(u'x', '<f4')], 'fortran_order': True, 'shape': (3L, 1L), }", "123412341234"), clean},
		file{"other quotes and no comma", npy(1, `{"descr":"<f4","fortran_order":False,"shape":(1,)}`, "1234"), clean},
		file{"several in one file", append(npy(1, npyHeader("'<f4'", "(1,)"), "1234"), npy(1, npyHeader("'<f8'", "(1,)"), "12345678")...), clean},
		file{"thousands in one file", bytes.Repeat(npy(1, npyHeader("'<f4'", "(1,)"), "1234"), 5000), clean},
		file{"many fields", npy(2, npyHeader(long, "(1,)"), strings.Repeat("1234", 600)), "clean numpy: numpy.header.long"},
	))
}

func TestArraysOfObjectsAreThePickleThatFollows(t *testing.T) {
	const benign = "\x80\x02]q\x00(K\x01K\x02e."
	const note, bad = "clean numpy: numpy.object.pickle", "malicious numpy: test.pickle numpy.object.pickle"
	check(t, []file{
		{"a benign pickle", npy(1, npyHeader("'|O'", "(2,)"), benign), note},
		{"a benign pickle of an old type", npy(1, npyHeader("'|O8'", "(2,)"), benign), note},
		{"a pickle that runs", npy(1, npyHeader("'|O'", "(2,)"), hurt), bad},
		{"without a byte order", npy(1, npyHeader("'O'", "(2,)"), hurt), bad},
		{"of an empty array", npy(1, npyHeader("'|O'", "(0,)"), hurt), bad},
		{"by its name", npy(1, npyHeader("'object'", "(2,)"), hurt), bad},
		{"in a field", npy(1, npyHeader("[('x', '<f4'), ('y', '|O')]", "(2,)"), hurt), bad},
		{"in a field of a field", npy(1, npyHeader("[('x', [('y', [('z', '|O')])])]", "(2,)"), hurt), bad},
		{"in a field with a shape", npy(1, npyHeader("[('x', '|O', (2, 2))]", "(2,)"), hurt), bad},
		{"in a type with a shape", npy(1, npyHeader("('|O', (2, 2))", "(2,)"), hurt), bad},
		{"behind commas", npy(1, npyHeader("'<f4,O'", "(2,)"), hurt), bad},
		{"version 3", npy(3, npyHeader("'|O'", "(2,)"), hurt), bad},
		{"of protocol 0", npy(1, npyHeader("'|O'", "(2,)"), "cos\nsystem\n(S'id'\ntR."), bad},
		{"behind an array of numbers", append(npy(1, npyHeader("'<f4'", "(1,)"), "1234"), npy(1, npyHeader("'|O'", "(1,)"), hurt)...), bad},
		{"of a type that is not understood", npy(1, npyHeader("'<q9'", "(2,)"), hurt), "malicious numpy: test.pickle numpy.dtype"},
		{"no pickle", npy(1, npyHeader("'|O'", "(2,)"), "none"), "unscannable numpy: numpy.object"},
		{"nothing", npy(1, npyHeader("'|O'", "(2,)"), ""), "unscannable numpy: numpy.object"},
	})
}

func TestHeadersOfArraysThatNumpyDoesNotWriteAreFound(t *testing.T) {
	const bad, shape = "suspicious numpy: numpy.header", "suspicious numpy: numpy.shape"
	good := npy(1, npyHeader("'<f4'", "(2,)"), "12341234")
	check(t, []file{
		{"a call", npy(1, "{'descr': __import__('os').system('id'), 'fortran_order': False, 'shape': (2,), }", ""), bad},
		{"an expression", npy(1, npyHeader("'<f4'", "(2*3,)"), ""), bad},
		{"a key too many", npy(1, "{'descr': '<f4', 'fortran_order': False, 'shape': (2,), 'x': 1, }", "12341234"), bad},
		{"a key twice", npy(1, "{'descr': '<f4', 'descr': '|O', 'fortran_order': False, 'shape': (2,), }", hurt), bad},
		{"a key too few", npy(1, "{'descr': '<f4', 'shape': (2,), }", "12341234"), bad},
		{"a shape that is a list", npy(1, npyHeader("'<f4'", "[2]"), "12341234"), bad},
		{"an order that is a number", npy(1, "{'descr': '<f4', 'fortran_order': 1, 'shape': (2,), }", "12341234"), bad},
		{"two values", npy(1, npyHeader("'<f4'", "(2,)")+" 1", "12341234"), bad},
		{"tuples in tuples", npy(1, npyHeader(strings.Repeat("(", 500), "(2,)"), ""), bad},
		{"no header", []byte("\x93NUMPY\x01\x00\x00\x00"), bad},
		{"a header longer than the file", []byte("\x93NUMPY\x02\x00\xff\xff\xff\xff{'descr'"), bad},
		{"a negative size", npy(1, npyHeader("'<f4'", "(-2,)"), "12341234"), shape},
		{"a size that overflows", npy(1, npyHeader("'<f4'", "(4294967296, 4294967296)"), "12341234"), shape},
		{"a size that overflows beside a zero", npy(1, npyHeader("'<f4'", "(0, 4294967296, 4294967296)"), ""), shape},
		{"a size that overflows in nothing", npy(1, npyHeader("'|S0'", "(4294967296, 4294967296)"), ""), shape},
		{"a hundred dimensions", npy(1, npyHeader("'<f4'", "("+strings.Repeat("1, ", 100)+")"), "1234"), shape},
		{"a size of 70 bits", npy(1, npyHeader("'<f4'", "(1180591620717411303424,)"), "1234"), bad},
		{"an array that is cut off", good[:len(good)-1], "unscannable numpy: numpy.short"},
		{"a file that ends in its head", good[:9], "unscannable numpy: numpy.short"},
		{"a type that is not understood", npy(1, npyHeader("'<i3'", "(2,)"), "123123"), "unscannable numpy: numpy.dtype"},
		{"version 9", npy(9, npyHeader("'<f4'", "(2,)"), "12341234"), "unscannable numpy: numpy.version"},
		{"bytes behind", append(bytes.Clone(good), "more"...), "suspicious numpy: numpy.trailing"},
		{"a pickle behind", append(bytes.Clone(good), hurt...), "malicious numpy: test.pickle numpy.trailing"},
	})
}

func TestAnArrayIsReportedAsATensor(t *testing.T) {
	r := examine(t, npy(1, npyHeader("[('x', '<f4')]", "(2, 3)"), strings.Repeat("1234", 6)))
	if got, want := fmt.Sprint(r.Tensors), "[{  fields [2 3] 128 24}]"; got != want {
		t.Errorf("got %s, want %s", got, want)
	}
}
