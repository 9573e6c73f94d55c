package tensor

import (
	"bytes"
	"encoding/json"
	"strconv"
	"unicode"
	"unicode/utf16"
)

// walker steps through JSON. It is meant for what [bounded.Rules.Check] has
// passed; of anything else it makes no sense, but ends and does not fail.
type walker struct {
	b []byte
	i int
}

// peek returns the next byte that is not white space, 0 at the end.
func (w *walker) peek() byte {
	for w.i < len(w.b) {
		switch c := w.b[w.i]; c {
		case ' ', '\t', '\n', '\r':
			w.i++
		default:
			return c
		}
	}
	return 0
}

// next takes c, if it is what follows.
func (w *walker) next(c byte) bool {
	if w.peek() != c {
		return false
	}
	w.i++
	return true
}

// text takes a string and returns what it means; of one without escapes these
// are bytes of the document.
func (w *walker) text() (text []byte, ok bool) {
	if !w.next('"') {
		return nil, false
	}
	start, escaped := w.i, false
	for {
		n := bytes.IndexAny(w.b[w.i:], `"\`)
		if n < 0 {
			return nil, false
		}
		w.i += n
		if w.b[w.i] == '"' {
			break
		}
		escaped = true
		w.i += 2
		if w.i > len(w.b) {
			return nil, false
		}
	}
	w.i++
	text = w.b[start : w.i-1]
	if escaped {
		var s string
		if json.Unmarshal(w.b[start-1:w.i], &s) != nil {
			return nil, false
		}
		text = []byte(s)
	}
	return text, true
}

// skip steps over one value.
func (w *walker) skip() bool {
	depth := 0
	for {
		switch w.peek() {
		case 0:
			return false
		case '"':
			if _, ok := w.raw(); !ok {
				return false
			}
		case '{', '[':
			depth++
			w.i++
		case '}', ']':
			depth--
			w.i++
		case ',', ':':
			w.i++
			continue
		default:
			start := w.i
			for w.i < len(w.b) && bytes.IndexByte([]byte(" \t\n\r,:]}[{\""), w.b[w.i]) < 0 {
				w.i++
			}
			if w.i == start {
				return false
			}
		}
		if depth <= 0 {
			return depth == 0
		}
	}
}

// raw takes a string as it is spelled.
func (w *walker) raw() ([]byte, bool) {
	if !w.next('"') {
		return nil, false
	}
	start := w.i
	for {
		n := bytes.IndexByte(w.b[w.i:], '"')
		if n < 0 {
			return nil, false
		}
		w.i += n + 1
		slashes := 0
		for at := w.i - 2; at >= start && w.b[at] == '\\'; at-- {
			slashes++
		}
		if slashes%2 == 0 {
			return w.b[start : w.i-1], true
		}
	}
}

// members calls each with the key of every member of an object; each takes the
// value. It says whether the object was one, to its end.
func (w *walker) members(each func(key []byte) bool) bool {
	return w.sequence('{', '}', func() bool {
		key, ok := w.text()
		return ok && w.next(':') && each(key)
	})
}

// elements calls each for every element of a list; each takes it.
func (w *walker) elements(each func() bool) bool { return w.sequence('[', ']', each) }

func (w *walker) sequence(open, end byte, each func() bool) bool {
	if !w.next(open) {
		return false
	}
	if w.next(end) {
		return true
	}
	for {
		if !each() {
			return false
		}
		if !w.next(',') {
			return w.next(end)
		}
	}
}

// number takes an unsigned integer that fits into 63 bits.
func (w *walker) number() (n int64, ok bool) {
	w.peek()
	start := w.i
	for w.i < len(w.b) && w.b[w.i] >= '0' && w.b[w.i] <= '9' {
		d := int64(w.b[w.i] - '0')
		if n > (1<<63-1-d)/10 {
			return 0, false
		}
		n = n*10 + d
		w.i++
	}
	if w.i == start {
		return 0, false
	}
	switch w.peek() { // neither a fraction nor an exponent
	case ',', ']', '}', 0:
		return n, true
	}
	return 0, false
}

// halfSurrogate returns where JSON has an escaped surrogate without the other
// half of its pair, -1 for nowhere (RFC 8259 §8.2).
func halfSurrogate(b []byte) int {
	for i := 0; ; {
		n := bytes.IndexByte(b[i:], '\\')
		if n < 0 || i+n+2 > len(b) {
			return -1
		}
		i += n
		if b[i+1] != 'u' {
			i += 2
			continue
		}
		r, ok := escaped(b[i:])
		if !ok || !utf16.IsSurrogate(r) {
			i += 2
			continue
		}
		low, ok := escaped(b[min(i+6, len(b)):])
		if !ok || utf16.DecodeRune(r, low) == unicode.ReplacementChar {
			return i
		}
		i += 12
	}
}

// escaped reads \uXXXX.
func escaped(b []byte) (rune, bool) {
	if len(b) < 6 || b[0] != '\\' || b[1] != 'u' {
		return 0, false
	}
	n, err := strconv.ParseUint(string(b[2:6]), 16, 16)
	return rune(n), err == nil
}
