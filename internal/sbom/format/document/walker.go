package document

import (
	"bytes"
	"encoding/json"
	"fmt"
)

// Walker reads a JSON document front to back. Unlike unmarshalling into slices
// it counts while it reads, so that a document of a million empty objects costs
// a counter and not a gigabyte, and it takes the keys that it is asked about in
// their exact case.
//
// The document has passed [Check].
type Walker struct {
	dec      *json.Decoder
	elements int // list elements that may still be read
}

// NewWalker returns a walker at the start of the document.
func NewWalker(data []byte) *Walker {
	return &Walker{dec: json.NewDecoder(bytes.NewReader(data)), elements: maxElements}
}

// Object calls each for every key of the object that comes next; each has to
// consume the value. null is an object without keys.
func (w *Walker) Object(each func(key string) error) error {
	open, err := w.open('{', "an object")
	if err != nil || !open {
		return err
	}
	for w.dec.More() {
		tok, err := w.dec.Token()
		if err != nil {
			return err
		}
		key, _ := tok.(string)
		if err := each(key); err != nil {
			return fmt.Errorf("%s: %w", Clip(Clean(key), 64), err)
		}
	}
	_, err = w.dec.Token()
	return err
}

// Array calls each for every element of the list that comes next; null is an
// empty one. present is false for null.
func (w *Walker) Array(each func() error) (present bool, err error) {
	open, err := w.open('[', "a list")
	if err != nil || !open {
		return false, err
	}
	for i := 0; w.dec.More(); i++ {
		if w.elements--; w.elements < 0 {
			return true, fmt.Errorf("%w (%d)", ErrTooMany, maxElements)
		}
		if err := each(); err != nil {
			return true, fmt.Errorf("[%d]: %w", i, err)
		}
	}
	_, err = w.dec.Token()
	return true, err
}

// open consumes a delimiter, or null.
func (w *Walker) open(want json.Delim, name string) (bool, error) {
	tok, err := w.dec.Token()
	if err != nil {
		return false, err
	}
	switch tok {
	case nil:
		return false, nil
	case want:
		return true, nil
	}
	return false, fmt.Errorf("expected %s", name)
}

// Decode unmarshals the value that comes next.
func (w *Walker) Decode(v any) error { return w.dec.Decode(v) }

// Text reads a string into v. A value of another type leaves v as it is, so that
// a field that nobody relies on cannot break the reading.
func (w *Walker) Text(v *string) error {
	var t text
	err := w.dec.Decode(&t)
	if err == nil && t != "" {
		*v = string(t)
	}
	return err
}

// Skip consumes the value that comes next.
func (w *Walker) Skip() error {
	var raw nothing
	return w.dec.Decode(&raw)
}

// nothing takes any value and keeps none of it.
type nothing struct{}

func (*nothing) UnmarshalJSON([]byte) error { return nil }

// text takes a string, and any other value as "".
type text string

func (t *text) UnmarshalJSON(data []byte) error {
	var s string
	if json.Unmarshal(data, &s) == nil {
		*t = text(s)
	}
	return nil
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
