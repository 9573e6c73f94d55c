package tensor

import (
	"math"
	"strconv"
	"strings"
)

// npyType is what the header of an array says of its elements.
type npyType struct {
	name    string
	size    int64
	objects bool // there are, or may be, objects of Python in it
}

// dtypeOf reads the value of "descr": a string; a list of fields, each a tuple
// of a name, or of a title and a name, and a type, and perhaps a shape; or a
// tuple of a type and a shape (numpy.lib.format.descr_to_dtype). ok is false
// for anything else that numpy.dtype may still take.
func dtypeOf(descr any, depth int) (t npyType, ok bool) {
	if depth > literalDepth {
		return t, false
	}
	switch d := descr.(type) {
	case string:
		return scalarType(d)
	case tuple:
		if len(d) != 2 {
			return t, false
		}
		t, ok = dtypeOf(d[0], depth+1)
		return times(t, ok, d[1])
	case list:
		t, ok = npyType{name: "fields"}, true
		for _, f := range d {
			field, is := f.(tuple)
			if !is || len(field) < 2 || len(field) > 3 || !isFieldName(field[0]) {
				ok = false
				continue
			}
			one, known := dtypeOf(field[1], depth+1)
			if len(field) == 3 {
				one, known = times(one, known, field[2])
			}
			t.objects = t.objects || one.objects
			ok = ok && known && one.size <= math.MaxInt64-t.size
			if ok {
				t.size += one.size
			}
		}
		return t, ok
	}
	return t, false
}

func isFieldName(v any) bool {
	switch n := v.(type) {
	case string:
		return true
	case tuple:
		if len(n) != 2 {
			return false
		}
		_, title := n[0].(string)
		_, name := n[1].(string)
		return title && name
	}
	return false
}

// times is a type with the shape of an array in every element.
func times(t npyType, ok bool, shape any) (npyType, bool) {
	dims := make([]int64, 0, 4)
	switch s := shape.(type) {
	case int64:
		dims = append(dims, s)
	case tuple:
		for _, d := range s {
			n, is := d.(int64)
			if !is {
				return t, false
			}
			dims = append(dims, n)
		}
	default:
		return t, false
	}
	for _, d := range dims {
		if d < 0 {
			return t, false
		}
	}
	size, fits := product(dims, t.size)
	t.size = size
	return t, ok && fits
}

// scalarType reads a type as numpy.save writes it: a byte order, a kind and
// how many bytes, or units, an element has.
func scalarType(s string) (npyType, bool) {
	t := npyType{name: s}
	rest := strings.TrimLeft(s, "<>|=")
	if len(s)-len(rest) > 1 || rest == "" {
		t.objects = strings.ContainsAny(s, "Oo")
		return t, false
	}
	kind, rest := rest[0], rest[1:]
	if kind == 'O' && (rest == "" || rest == "4" || rest == "8") {
		t.objects = true
		return t, true
	}
	if kind == '?' && rest == "" {
		t.size = 1
		return t, true
	}
	if kind == 'M' || kind == 'm' { // datetime64[ns]
		if at := strings.IndexByte(rest, '['); at >= 0 && strings.HasSuffix(rest, "]") {
			rest = rest[:at]
		}
	}
	n, err := strconv.ParseUint(rest, 10, 31)
	if err != nil {
		// A name such as "object", or several types with commas between.
		t.objects = strings.ContainsAny(s, "Oo")
		return t, false
	}
	t.size = int64(n)
	switch kind {
	case 'b', 'i', 'u', 'f', 'c', 'M', 'm':
		return t, n == 1 || n == 2 || n == 4 || n == 8 || (kind == 'f' || kind == 'c') && n <= 32 && n > 0
	case 'S', 'a', 'V':
		return t, true
	case 'U':
		t.size *= 4
		return t, true
	}
	return t, false
}
