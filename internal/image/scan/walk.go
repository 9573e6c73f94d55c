package scan

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
)

// walker reads a JSON document front to back. Unlike unmarshalling into slices
// it counts while it reads, so a document of a million empty objects costs a
// counter and not a gigabyte; and it takes keys in their exact case.
//
// The document has passed [bounded.Rules.Check]: it is one value, of limited
// depth, without duplicate keys.
type walker struct {
	dec      *json.Decoder
	elements int // list elements that may still be read
}

func newWalker(data []byte) *walker {
	return &walker{dec: json.NewDecoder(bytes.NewReader(data)), elements: maxElements}
}

var errNotObject = errors.New("expected an object")

// object calls each for every key of the object that comes next; each has to
// consume the value. null is an object without keys.
func (w *walker) object(each func(key string) error) error {
	open, err := w.open('{')
	if err != nil || !open {
		return err
	}
	for w.dec.More() {
		tok, err := w.dec.Token()
		if err != nil {
			return err
		}
		key, ok := tok.(string)
		if !ok {
			return errNotObject
		}
		if err := each(key); err != nil {
			return within(key, err)
		}
	}
	_, err = w.dec.Token()
	return err
}

// array calls each for every element of the array that comes next. present is
// false when there is null in its place.
func (w *walker) array(each func() error) (present bool, err error) {
	open, err := w.open('[')
	if err != nil || !open {
		return false, err
	}
	for i := 0; w.dec.More(); i++ {
		if w.elements--; w.elements < 0 {
			return true, fmt.Errorf("%w (%d)", ErrTooMany, maxElements)
		}
		if err := each(); err != nil {
			return true, within(fmt.Sprintf("[%d]", i), err)
		}
	}
	_, err = w.dec.Token()
	return true, err
}

// open consumes a delimiter, or null.
func (w *walker) open(want json.Delim) (bool, error) {
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
	if want == '[' {
		return false, fmt.Errorf("expected a list, found %s", kindOf(tok))
	}
	return false, fmt.Errorf("%w, found %s", errNotObject, kindOf(tok))
}

func kindOf(tok json.Token) string {
	switch tok.(type) {
	case json.Delim:
		return "a list or an object"
	case string:
		return "a text"
	case bool:
		return "true or false"
	}
	return "a number"
}

// decode unmarshals the value that comes next.
func (w *walker) decode(v any) error { return w.dec.Decode(v) }

// text reads a string into v; a value of another type leaves v as it is, so
// that a field that nobody relies on cannot break the reading.
func (w *walker) text(v *string) error {
	var any json.RawMessage
	if err := w.dec.Decode(&any); err != nil {
		return err
	}
	var s string
	if json.Unmarshal(any, &s) == nil {
		*v = s
	}
	return nil
}

// skip consumes the value that comes next.
func (w *walker) skip() error {
	var raw nothing
	return w.dec.Decode(&raw)
}

// nothing takes any value and keeps none of it.
type nothing struct{}

func (*nothing) UnmarshalJSON([]byte) error { return nil }

// within puts a key before an error, "Results: [3]: expected an object".
func within(key string, err error) error {
	return fmt.Errorf("%s: %w", clip(key, 64), err)
}

// list is a short list inside one finding. Longer ones are an error.
type list[T any] []T

func (l *list[T]) UnmarshalJSON(data []byte) error {
	w := newWalker(data)
	_, err := w.array(func() error {
		if len(*l) == maxInner {
			return fmt.Errorf("%w (%d)", ErrTooMany, maxInner)
		}
		var v T
		if err := w.decode(&v); err != nil {
			return err
		}
		*l = append(*l, v)
		return nil
	})
	return err
}

// values is a short object of which only the values matter.
type values[T any] []T

func (l *values[T]) UnmarshalJSON(data []byte) error {
	w := newWalker(data)
	return w.object(func(string) error {
		if len(*l) == maxInner {
			return fmt.Errorf("%w (%d)", ErrTooMany, maxInner)
		}
		var v T
		if err := w.decode(&v); err != nil {
			return err
		}
		*l = append(*l, v)
		return nil
	})
}
