package document

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
)

// Walker reads a JSON document front to back. Unlike unmarshalling into slices
// it counts while it reads, so that a document of a million empty objects costs
// a counter and not a gigabyte, and it takes the keys that it is asked about in
// their exact case. What nobody asks about is stepped over without being read.
//
// The document has passed [Check], so that it is JSON; on other bytes a walker
// returns errors and no meaning.
type Walker struct {
	b        []byte
	i        int
	elements int // list elements that may still be read
}

// errSyntax cannot be seen on a document that was checked.
var errSyntax = errors.New("invalid JSON")

// NewWalker returns a walker at the start of the document.
func NewWalker(data []byte) *Walker { return &Walker{b: data, elements: maxElements} }

// space steps over white space and returns what comes next, 0 at the end.
func (w *Walker) space() byte {
	for ; w.i < len(w.b); w.i++ {
		switch c := w.b[w.i]; c {
		case ' ', '\t', '\n', '\r':
		default:
			return c
		}
	}
	return 0
}

// take steps over c, if it comes next.
func (w *Walker) take(c byte) bool {
	if w.space() != c {
		return false
	}
	w.i++
	return true
}

// Object calls each for every key of the object that comes next; each has to
// consume the value. null is an object without keys.
func (w *Walker) Object(each func(key string) error) error {
	open, err := w.open('{', "an object")
	if err != nil || !open || w.take('}') {
		return err
	}
	for {
		var key string
		if w.space() != '"' {
			return errSyntax
		}
		if err := w.Text(&key); err != nil {
			return err
		}
		if !w.take(':') {
			return errSyntax
		}
		if err := each(key); err != nil {
			return fmt.Errorf("%s: %w", Clip(Clean(key), 64), err)
		}
		switch {
		case w.take(','):
		case w.take('}'):
			return nil
		default:
			return errSyntax
		}
	}
}

// Array calls each for every element of the list that comes next; null is an
// empty one. present is false for null.
func (w *Walker) Array(each func() error) (present bool, err error) {
	open, err := w.open('[', "a list")
	if err != nil || !open {
		return false, err
	}
	if w.take(']') {
		return true, nil
	}
	for i := 0; ; i++ {
		if w.elements--; w.elements < 0 {
			return true, fmt.Errorf("[%d]: %w (%d elements)", i, ErrTooMany, maxElements)
		}
		if err := each(); err != nil {
			return true, fmt.Errorf("[%d]: %w", i, err)
		}
		switch {
		case w.take(','):
		case w.take(']'):
			return true, nil
		default:
			return true, errSyntax
		}
	}
}

// open consumes a delimiter, or null.
func (w *Walker) open(want byte, name string) (bool, error) {
	switch w.space() {
	case want:
		w.i++
		return true, nil
	case 'n':
		return false, w.Skip()
	}
	return false, fmt.Errorf("expected %s", name)
}

// Decode unmarshals the value that comes next.
func (w *Walker) Decode(v any) error {
	raw, err := w.value()
	if err != nil {
		return err
	}
	return json.Unmarshal(raw, v)
}

// Text reads a string into v. A value of another type leaves v as it is, so that
// a field that nobody relies on cannot break the reading.
func (w *Walker) Text(v *string) error {
	raw, err := w.value()
	if err != nil || raw[0] != '"' {
		return err
	}
	if bytes.IndexByte(raw, '\\') < 0 {
		*v = string(raw[1 : len(raw)-1])
		return nil
	}
	return json.Unmarshal(raw, v)
}

// Skip consumes the value that comes next.
func (w *Walker) Skip() error {
	_, err := w.value()
	return err
}

// value steps over the value that comes next and returns its bytes, at least one.
func (w *Walker) value() ([]byte, error) {
	w.space()
	start, depth := w.i, 0
	for w.i < len(w.b) {
		switch c := w.b[w.i]; c {
		case '"':
			if !w.quoted() {
				return nil, errSyntax
			}
		case '{', '[':
			depth++
			w.i++
			continue
		case '}', ']':
			if depth--; depth < 0 {
				return nil, errSyntax
			}
			w.i++
		case ',', ':':
			if depth == 0 {
				return nil, errSyntax
			}
			w.i++
			continue
		case ' ', '\t', '\n', '\r':
			w.i++
			continue
		default:
			w.word()
		}
		if depth == 0 {
			return w.b[start:w.i], nil
		}
	}
	return nil, errSyntax
}

// quoted steps over a string; false when it does not end.
func (w *Walker) quoted() bool {
	w.i++
	for w.i < len(w.b) {
		end := bytes.IndexByte(w.b[w.i:], '"')
		if end < 0 {
			break
		}
		// The quote counts unless an odd number of backslashes is before it.
		at, escapes := w.i+end, 0
		for at-1-escapes >= w.i && w.b[at-1-escapes] == '\\' {
			escapes++
		}
		w.i = at + 1
		if escapes%2 == 0 {
			return true
		}
	}
	w.i = len(w.b)
	return false
}

// word steps over a number, true, false or null.
func (w *Walker) word() {
	for w.i++; w.i < len(w.b); w.i++ {
		switch w.b[w.i] {
		case ',', ':', '}', ']', '{', '[', '"', ' ', '\t', '\n', '\r':
			return
		}
	}
}

// List is a short list inside one package or statement. Longer ones are an error.
type List[T any] []T

// UnmarshalJSON reads a list of at most [MaxInner] elements.
func (l *List[T]) UnmarshalJSON(data []byte) error {
	w := NewWalker(data)
	*l = nil
	_, err := w.Array(func() error {
		if len(*l) == MaxInner {
			return fmt.Errorf("%w (%d)", ErrTooMany, MaxInner)
		}
		var v T
		if err := w.Decode(&v); err != nil {
			return err
		}
		*l = append(*l, v)
		return nil
	})
	return err
}
