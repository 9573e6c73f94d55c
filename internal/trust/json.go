package trust

import (
	"bytes"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"unicode/utf8"

	"github.com/apexlogic/apex/internal/bounded"
)

// This file reads signed JSON (RFC 8259) in one pass without building it up.
// It decides like [bounded.CheckJSON] and costs a tenth; a fuzz target holds
// the two together. Values are slices of the document.

// checkJSON refuses JSON that two readers could read differently: duplicate
// keys (compared without case, as encoding/json does), text that is not UTF-8,
// nesting beyond every need.
func checkJSON(raw []byte) error {
	if !utf8.Valid(raw) {
		return errors.New("it is not UTF-8")
	}
	var keys [32][]byte
	s := scanner{b: raw, keys: keys[:0]}
	if err := s.value(maxDepth); err != nil {
		return err
	}
	if s.space(); s.i != len(s.b) {
		return errors.New("more than one JSON value")
	}
	return nil
}

type scanner struct {
	b    []byte
	i    int
	keys [][]byte // of all objects that are open, innermost last
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

func (s *scanner) value(depth int) error {
	s.space()
	if s.i >= len(s.b) {
		return s.syntax()
	}
	switch c := s.b[s.i]; {
	case c == '"':
		_, err := s.text()
		return err
	case c == '{' || c == '[':
		if depth <= 0 {
			return bounded.ErrTooDeep
		}
		s.i++
		if c == '{' {
			return s.members(depth - 1)
		}
		return s.elements(depth - 1)
	case c == '-' || c >= '0' && c <= '9':
		return s.number()
	}
	for _, word := range [...]string{"true", "false", "null"} {
		if bytes.HasPrefix(s.b[s.i:], []byte(word)) {
			s.i += len(word)
			return nil
		}
	}
	return s.syntax()
}

func (s *scanner) elements(depth int) error {
	if s.next(']') {
		return nil
	}
	for {
		if err := s.value(depth); err != nil {
			return err
		}
		switch {
		case s.next(','):
		case s.next(']'):
			return nil
		default:
			return s.syntax()
		}
	}
}

// manyKeys is where looking through a list of keys becomes slower than a map,
// and where a hostile object would begin to cost the square of its size.
const manyKeys = 24

func (s *scanner) members(depth int) error {
	if s.next('}') {
		return nil
	}
	base := len(s.keys)
	defer func() { s.keys = s.keys[:base] }()
	var seen map[string]struct{}
	for {
		if s.space(); s.i >= len(s.b) || s.b[s.i] != '"' {
			return s.syntax()
		}
		key, err := s.text()
		if err != nil {
			return err
		}
		key = foldable(key)
		if seen == nil && len(s.keys)-base >= manyKeys {
			seen = make(map[string]struct{}, 2*manyKeys)
			for _, k := range s.keys[base:] {
				seen[strings.ToLower(string(k))] = struct{}{}
			}
		}
		if seen != nil {
			fold := strings.ToLower(string(key))
			if _, dup := seen[fold]; dup {
				return fmt.Errorf("%w %q", bounded.ErrDuplicateKey, clip(string(key)))
			}
			seen[fold] = struct{}{}
		} else {
			for _, k := range s.keys[base:] {
				if equalFoldASCII(k, key) {
					return fmt.Errorf("%w %q", bounded.ErrDuplicateKey, clip(string(key)))
				}
			}
			s.keys = append(s.keys, key)
		}
		if !s.next(':') {
			return s.syntax()
		}
		if err := s.value(depth); err != nil {
			return err
		}
		switch {
		case s.next(','):
		case s.next('}'):
			return nil
		default:
			return s.syntax()
		}
	}
}

// foldable returns a key such that comparing ASCII letters without case is
// comparing keys without case: anything but plain ASCII is decoded and lowered.
func foldable(key []byte) []byte {
	for _, c := range key {
		if c >= utf8.RuneSelf || c == '\\' {
			return []byte(strings.ToLower(unquote(key)))
		}
	}
	return key
}

func equalFoldASCII(a, b []byte) bool {
	if len(a) != len(b) {
		return false
	}
	for i := range a {
		x, y := a[i], b[i]
		if x == y {
			continue
		}
		if x|0x20 != y|0x20 || x|0x20 < 'a' || x|0x20 > 'z' {
			return false
		}
	}
	return true
}

// text takes a string and returns what is between its quotes, escapes and all.
func (s *scanner) text() ([]byte, error) {
	s.i++
	start := s.i
	for s.i < len(s.b) {
		switch c := s.b[s.i]; {
		case c == '"':
			s.i++
			return s.b[start : s.i-1], nil
		case c < ' ':
			return nil, s.syntax()
		case c != '\\':
			s.i++
		default:
			if err := s.escape(); err != nil {
				return nil, err
			}
		}
	}
	return nil, s.syntax()
}

func (s *scanner) escape() error {
	s.i++
	if s.i >= len(s.b) {
		return s.syntax()
	}
	switch s.b[s.i] {
	case '"', '\\', '/', 'b', 'f', 'n', 'r', 't':
		s.i++
		return nil
	case 'u':
		s.i++
		for range 4 {
			if s.i >= len(s.b) || !isHex(s.b[s.i]) {
				return s.syntax()
			}
			s.i++
		}
		return nil
	}
	return s.syntax()
}

func isHex(c byte) bool {
	return c >= '0' && c <= '9' || c >= 'a' && c <= 'f' || c >= 'A' && c <= 'F'
}

func (s *scanner) number() error {
	if s.b[s.i] == '-' {
		s.i++
	}
	if s.i < len(s.b) && s.b[s.i] == '0' {
		s.i++
	} else if !s.digits() {
		return s.syntax()
	}
	if s.i < len(s.b) && s.b[s.i] == '.' {
		if s.i++; !s.digits() {
			return s.syntax()
		}
	}
	if s.i < len(s.b) && s.b[s.i]|0x20 == 'e' {
		s.i++
		if s.i < len(s.b) && (s.b[s.i] == '+' || s.b[s.i] == '-') {
			s.i++
		}
		if !s.digits() {
			return s.syntax()
		}
	}
	return nil
}

func (s *scanner) digits() bool {
	start := s.i
	for s.i < len(s.b) && s.b[s.i] >= '0' && s.b[s.i] <= '9' {
		s.i++
	}
	return s.i > start
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
