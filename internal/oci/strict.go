package oci

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"unicode"

	"github.com/apexlogic/apex/internal/bounded"
)

var errTooManyValues = errors.New("too many values")

// checkJSON reports an error when data is not one JSON value, is nested deeper
// than maxDepth, holds more than maxValues values, or has an object with the
// same key twice. Keys are compared as encoding/json matches them to fields,
// so that no two of them can mean the same field.
//
// It says what bounded.CheckJSON says, without building tokens: a manifest of
// 4 MiB costs no memory but that of its keys, and a small one a fifth of the time.
func checkJSON(data []byte) error {
	if !json.Valid(data) {
		var v struct{}
		if err := json.Unmarshal(data, &v); err != nil {
			return err // says where
		}
		return errors.New("invalid JSON")
	}
	w := walker{data: data}
	return w.value(maxDepth)
}

// walker steps through JSON that is valid.
type walker struct {
	data   []byte
	at     int
	values int
}

func (w *walker) space() {
	for w.at < len(w.data) {
		switch w.data[w.at] {
		case ' ', '\t', '\r', '\n':
			w.at++
		default:
			return
		}
	}
}

// value steps over one value and the space before it.
func (w *walker) value(depth int) error {
	if w.values++; w.values > maxValues {
		return errTooManyValues
	}
	w.space()
	switch w.data[w.at] {
	case '"':
		w.text()
		return nil
	case '{':
		return w.object(depth)
	case '[':
		return w.list(depth)
	}
	for w.at < len(w.data) && bytes.IndexByte([]byte(" \t\r\n,]}"), w.data[w.at]) < 0 {
		w.at++
	}
	return nil
}

// text steps over a string and returns it with its quotes.
func (w *walker) text() []byte {
	start := w.at
	for w.at++; w.data[w.at] != '"'; w.at++ {
		if w.data[w.at] == '\\' {
			w.at++
		}
	}
	w.at++
	return w.data[start:w.at]
}

func (w *walker) list(depth int) error {
	if depth <= 0 {
		return bounded.ErrTooDeep
	}
	w.at++ // [
	for w.space(); w.data[w.at] != ']'; w.space() {
		if w.data[w.at] == ',' {
			w.at++
			continue
		}
		if err := w.value(depth - 1); err != nil {
			return err
		}
	}
	w.at++
	return nil
}

func (w *walker) object(depth int) error {
	if depth <= 0 {
		return bounded.ErrTooDeep
	}
	w.at++ // {
	var keys keySet
	for w.space(); w.data[w.at] != '}'; w.space() {
		if w.data[w.at] == ',' {
			w.at++
			continue
		}
		key := w.text()
		if keys.has(key) {
			return fmt.Errorf("%w %.80s", bounded.ErrDuplicateKey, key)
		}
		w.space()
		w.at++ // :
		if err := w.value(depth - 1); err != nil {
			return err
		}
	}
	w.at++
	return nil
}

// keySet holds the keys of one object; most objects have a handful.
type keySet struct {
	few  [8][]byte
	n    int
	many map[string]struct{}
}

// has adds the quoted key and reports whether it was there.
func (s *keySet) has(quoted []byte) bool {
	if s.many == nil {
		plain := isPlain(quoted)
		for _, k := range s.few[:min(s.n, len(s.few))] {
			if plain && isPlain(k) && len(k) != len(quoted) {
				continue
			}
			if bytes.Equal(k, quoted) || foldKey(k) == foldKey(quoted) {
				return true
			}
		}
		if s.n < len(s.few) {
			s.few[s.n] = quoted
			s.n++
			return false
		}
		s.many = make(map[string]struct{}, 2*len(s.few))
		for _, k := range s.few {
			s.many[foldKey(k)] = struct{}{}
		}
	}
	key := foldKey(quoted)
	if _, dup := s.many[key]; dup {
		return true
	}
	s.many[key] = struct{}{}
	return false
}

// isPlain reports whether a quoted key holds neither escapes nor characters
// beyond ASCII, so that its length does not change when it is folded.
func isPlain(quoted []byte) bool {
	for _, b := range quoted {
		if b == '\\' || b >= 0x80 {
			return false
		}
	}
	return true
}

// foldKey returns one spelling for all keys that encoding/json takes for the
// same field name: each rune is the smallest that folds to it.
func foldKey(quoted []byte) string {
	if isPlain(quoted) {
		return string(bytes.ToUpper(quoted[1 : len(quoted)-1]))
	}
	var key string
	if json.Unmarshal(quoted, &key) != nil {
		return string(quoted)
	}
	out := []rune(key)
	for i, r := range out {
		for next := unicode.SimpleFold(r); next != r; next = unicode.SimpleFold(next) {
			if next < out[i] {
				out[i] = next
			}
		}
	}
	return string(out)
}
