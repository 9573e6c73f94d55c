package trust

import (
	"bytes"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"

	"github.com/apexlogic/apex/internal/bounded"
)

// This file takes signed JSON apart without building it up: values are slices
// of the document. All that is read here was checked by checkJSON before.

// strict are the rules of signed JSON. Its free maps are those of image labels
// and annotations, and of the environment and build arguments in SLSA
// provenance, where http_proxy and HTTP_PROXY are two: no reader of a statement
// or of a predicate decodes these into a struct.
func strict(depth int) bounded.Rules {
	return bounded.Rules{Depth: depth, FreeMaps: []string{"annotations", "args", "environment", "labels", "Labels"}}
}

// checkJSON refuses JSON that two readers could read differently.
func checkJSON(raw []byte) error { return strict(maxDepth).Check(raw) }

// scanner steps through JSON that is known to be valid. Where it is not after
// all it returns an error or a shorter value, never more than there is.
type scanner struct {
	b []byte
	i int
}

func (s *scanner) space() {
	for s.i < len(s.b) {
		switch s.b[s.i] {
		case ' ', '\t', '\n', '\r':
			s.i++
		default:
			return
		}
	}
}

func (s *scanner) syntax() error { return fmt.Errorf("invalid JSON at byte %d", s.i) }

// next takes c, after white space.
func (s *scanner) next(c byte) bool {
	s.space()
	if s.i < len(s.b) && s.b[s.i] == c {
		s.i++
		return true
	}
	return false
}

// text takes a string and returns what is between its quotes, escapes and all.
func (s *scanner) text() ([]byte, error) {
	s.i++
	start := s.i
	for s.i < len(s.b) {
		switch s.b[s.i] {
		case '"':
			s.i++
			return s.b[start : s.i-1], nil
		case '\\':
			s.i += 2
		default:
			s.i++
		}
	}
	return nil, s.syntax()
}

// fields are the members of one object, in the order of the document.
type fields []field

type field struct {
	key   string
	value []byte
}

// get returns a member's JSON, or nil when there is none of this exact name.
// encoding/json matches struct fields without regard to case; a signed document
// must not be read more generously than other verifiers read it.
func (f fields) get(key string) []byte {
	for i := range f {
		if f[i].key == key {
			return f[i].value
		}
	}
	return nil
}

// object splits an object whose names are all in allowed. Like everything
// below it reads a part of a document that checkJSON accepted.
func object(raw []byte, allowed ...string) (fields, error) {
	f, err := openObject(raw)
	if err != nil {
		return nil, err
	}
next:
	for i := range f {
		for _, a := range allowed {
			if f[i].key == a {
				continue next
			}
		}
		return nil, fmt.Errorf("unknown field %q", clip(f[i].key))
	}
	return f, nil
}

// openObject is object for documents that may grow fields.
func openObject(raw []byte) (fields, error) {
	s := scanner{b: raw}
	if !s.next('{') {
		return nil, errors.New("expected an object")
	}
	var out fields
	for !s.next('}') {
		s.next(',')
		if s.space(); s.i >= len(s.b) || s.b[s.i] != '"' {
			return nil, s.syntax()
		}
		key, err := s.text()
		if err != nil {
			return nil, err
		}
		if !s.next(':') {
			return nil, s.syntax()
		}
		value, err := s.raw()
		if err != nil {
			return nil, err
		}
		out = append(out, field{unquote(key), value})
	}
	return out, nil
}

// array splits an array.
func array(raw []byte) ([][]byte, error) {
	s := scanner{b: raw}
	if !s.next('[') {
		return nil, errors.New("expected an array")
	}
	var out [][]byte
	for !s.next(']') {
		s.next(',')
		value, err := s.raw()
		if err != nil {
			return nil, err
		}
		out = append(out, value)
	}
	return out, nil
}

// raw takes one value, whatever it holds, without looking at it again.
func (s *scanner) raw() ([]byte, error) {
	s.space()
	start, depth := s.i, 0
	for s.i < len(s.b) {
		switch s.b[s.i] {
		case '"':
			if _, err := s.text(); err != nil {
				return nil, err
			}
		case '{', '[':
			depth++
			s.i++
			continue
		case '}', ']':
			if depth == 0 {
				return s.end(start)
			}
			depth--
			s.i++
		case ',', ' ', '\t', '\n', '\r':
			if depth == 0 {
				return s.end(start)
			}
			s.i++
			continue
		default:
			s.i++
			continue
		}
		if depth == 0 {
			return s.end(start)
		}
	}
	return s.end(start)
}

func (s *scanner) end(start int) ([]byte, error) {
	if s.i == start {
		return nil, s.syntax()
	}
	return s.b[start:s.i:s.i], nil
}

// unquote decodes what is between the quotes of a string.
func unquote(text []byte) string {
	if bytes.IndexByte(text, '\\') < 0 {
		return string(text)
	}
	var out string
	quoted := make([]byte, 0, len(text)+2)
	quoted = append(append(append(quoted, '"'), text...), '"')
	if json.Unmarshal(quoted, &out) != nil {
		return string(text)
	}
	return out
}

func decodeString(raw []byte, s *string) error {
	if len(raw) == 0 {
		return errors.New("missing")
	}
	if raw[0] != '"' || len(raw) < 2 {
		return errors.New("expected a string")
	}
	*s = unquote(raw[1 : len(raw)-1])
	return nil
}

// decodeBase64 accepts the standard alphabet with padding, which every producer
// writes. An empty value is refused: nothing that is signed or signs is empty.
func decodeBase64(raw []byte) ([]byte, error) {
	if len(raw) < 3 || raw[0] != '"' {
		return nil, errors.New("missing or empty")
	}
	text := raw[1 : len(raw)-1]
	b := make([]byte, base64.StdEncoding.DecodedLen(len(text)))
	n, err := base64.StdEncoding.Decode(b, text)
	if err != nil {
		return nil, err
	}
	if n == 0 {
		return nil, errors.New("missing or empty")
	}
	return b[:n], nil
}

// textMap reads an object of annotations. Strings stay as they are; any other
// value is kept as its JSON. null is no annotations.
func textMap(raw []byte) (map[string]string, error) {
	if string(raw) == "null" {
		return nil, nil
	}
	members, err := openObject(raw)
	if err != nil || len(members) == 0 {
		return nil, err
	}
	out := make(map[string]string, len(members))
	for _, m := range members {
		var text string
		if decodeString(m.value, &text) != nil {
			text = string(m.value)
		}
		out[m.key] = text
	}
	return out, nil
}
