package bounded

import (
	"encoding/binary"
	"encoding/json"
	"errors"
	"fmt"
	"unicode/utf8"
)

// ErrTooDeep is wrapped by every error about a limit on nesting.
var ErrTooDeep = errors.New("nested deeper than the limit")

// ErrTooMany is wrapped by every error about a limit on values or keys.
var ErrTooMany = errors.New("more items than the limit")

// ErrDuplicateKey is wrapped by errors about a JSON object that has a key twice.
var ErrDuplicateKey = errors.New("duplicate key")

// The limits on JSON whose [Rules] set no others.
const (
	// MaxValues is how many values a document may hold. The largest documents
	// that are read are vulnerability reports of 64 MiB; scanners write 25 bytes
	// or more per value, so a real one holds fewer than 3 million.
	MaxValues = 4 << 20
	// MaxKeys is how many keys an object may have, together with those that
	// the objects around it have had so far. The widest real objects (lists of
	// packages by name) have some thousand; checking this many allocates 12 MB.
	MaxKeys = 1 << 16
)

// Rules say what JSON is accepted. The zero value accepts scalars only.
type Rules struct {
	// Depth is how deeply lists and objects may be nested: 0 for a scalar, 1
	// for a list of scalars.
	Depth int
	// Values and Keys replace [MaxValues] and [MaxKeys]; 0 keeps them.
	Values, Keys int
	// FreeMaps names members whose value, where it is an object, is a map with
	// free keys: image labels, or environment variables, where http_proxy and
	// HTTP_PROXY are two. Its own keys are then duplicates only when they are
	// equal. A name is matched exactly and wherever it occurs, so it must be
	// one that no reader of the document decodes into a struct.
	FreeMaps []string
}

// CheckJSON checks data by the rules with that depth and no free maps.
func CheckJSON(data []byte, depth int) error { return Rules{Depth: depth}.Check(data) }

// JSON checks data with [CheckJSON] and unmarshals it into v. Unknown fields
// are ignored: foreign documents grow fields.
func JSON(data []byte, depth int, v any) error { return Rules{Depth: depth}.Unmarshal(data, v) }

// Unmarshal checks data with [Rules.Check] and unmarshals it into v.
func (r Rules) Unmarshal(data []byte, v any) error {
	if err := r.Check(data); err != nil {
		return err
	}
	return json.Unmarshal(data, v)
}

// Check reports an error unless data is exactly one JSON value in valid UTF-8,
// within the limits, whose objects have no key twice. Parsers disagree on
// which of two equal keys counts, so a document with both says two things.
//
// Keys are equal when encoding/json takes them for the same field of a struct:
// without regard to case, where "ſ" is an s and the Kelvin sign a k. Outside of
// free maps that also refuses two keys that no Go program confuses because it
// reads them into a map: whether a struct will be reached cannot be told here.
//
// It passes over data once and builds nothing, so that it costs less than any
// parser. Errors wrap ErrTooDeep, ErrTooMany or ErrDuplicateKey; any other one
// says at which byte the JSON is wrong.
func (r Rules) Check(data []byte) error {
	if r.Values <= 0 {
		r.Values = MaxValues
	}
	if r.Keys <= 0 {
		r.Keys = MaxKeys
	}
	const most = 32 // the keys that are open at once, in most documents
	c := checker{b: data, rules: r, keys: make([]key, 0, most)}
	if err := c.value(r.Depth, false); err != nil {
		return err
	}
	if c.space(); c.i != len(c.b) {
		return c.wrong("more than one JSON value")
	}
	return nil
}

// checker steps through the document.
type checker struct {
	b      []byte
	i      int
	values int
	rules  Rules
	keys   []key // of all objects that are open, innermost last
}

func (c *checker) wrong(what string) error {
	if c.i >= len(c.b) {
		what = "it ends too early"
	}
	return fmt.Errorf("invalid JSON at byte %d: %s", min(c.i, len(c.b)), what)
}

func (c *checker) space() {
	for c.i < len(c.b) {
		switch c.b[c.i] {
		case ' ', '\t', '\n', '\r':
			c.i++
		default:
			return
		}
	}
}

// next takes want, after white space.
func (c *checker) next(want byte) bool {
	c.space()
	if c.i < len(c.b) && c.b[c.i] == want {
		c.i++
		return true
	}
	return false
}

// value steps over one value. free says that it is a free map if it is an object.
func (c *checker) value(depth int, free bool) error {
	if c.values++; c.values > c.rules.Values {
		return fmt.Errorf("%w of %d JSON values", ErrTooMany, c.rules.Values)
	}
	c.space()
	if c.i >= len(c.b) {
		return c.wrong("expected a value")
	}
	switch ch := c.b[c.i]; ch {
	case '"':
		_, _, err := c.text()
		return err
	case '{', '[':
		if depth <= 0 {
			return fmt.Errorf("%w of %d levels", ErrTooDeep, c.rules.Depth)
		}
		c.i++
		if ch == '{' {
			return c.members(depth-1, free)
		}
		return c.elements(depth - 1)
	case 't':
		return c.word("true")
	case 'f':
		return c.word("false")
	case 'n':
		return c.word("null")
	}
	return c.number()
}

func (c *checker) word(w string) error {
	if len(c.b)-c.i < len(w) || string(c.b[c.i:c.i+len(w)]) != w {
		return c.wrong("expected a value")
	}
	c.i += len(w)
	return nil
}

func (c *checker) elements(depth int) error {
	if c.next(']') {
		return nil
	}
	for {
		if err := c.value(depth, false); err != nil {
			return err
		}
		switch {
		case c.next(','):
		case c.next(']'):
			return nil
		default:
			return c.wrong("expected a comma or the end of the list")
		}
	}
}

func (c *checker) members(depth int, free bool) error {
	if c.next('}') {
		return nil
	}
	o := object{base: len(c.keys), exact: free}
	for {
		if c.space(); c.i >= len(c.b) || c.b[c.i] != '"' {
			return c.wrong("expected a key in quotes")
		}
		start := c.i
		text, plain, err := c.text()
		if err != nil {
			return err
		}
		if err := c.add(&o, text, plain, start); err != nil {
			return err
		}
		if !c.next(':') {
			return c.wrong("expected a colon after the key")
		}
		if err := c.value(depth, c.isFreeMap(text)); err != nil {
			return err
		}
		switch {
		case c.next(','):
		case c.next('}'):
			c.keys = c.keys[:o.base]
			return nil
		default:
			return c.wrong("expected a comma or the end of the object")
		}
	}
}

// isFreeMap says whether the member with the key is a free map. A key that is
// spelled with escapes is not: stricter is always safe.
func (c *checker) isFreeMap(text []byte) bool {
	for _, name := range c.rules.FreeMaps {
		if string(text) == name {
			return true
		}
	}
	return false
}

// text takes a string and returns what is between its quotes, escapes and all.
// plain says that it holds neither escapes nor anything beyond ASCII.
func (c *checker) text() (text []byte, plain bool, err error) {
	c.i++
	start, escaped, foreign := c.i, false, false
	for {
		n, beyond := ordinary(c.b[c.i:])
		c.i += n
		foreign = foreign || beyond
		if c.i >= len(c.b) {
			return nil, false, c.wrong("")
		}
		switch c.b[c.i] {
		case '"':
			c.i++
			text = c.b[start : c.i-1]
			if foreign && !utf8.Valid(text) {
				return nil, false, fmt.Errorf("not UTF-8 at byte %d", start+invalidAt(text))
			}
			return text, !escaped && !foreign, nil
		case '\\':
			escaped = true
			if err := c.escape(); err != nil {
				return nil, false, err
			}
		default:
			return nil, false, c.wrong("a control character in a string")
		}
	}
}

// ordinary counts the bytes at the beginning of b that mean themselves in a
// string: all but quotes, backslashes and control characters. beyond says that
// some are not ASCII. It looks at eight bytes at a time, because nearly all
// bytes of nearly all documents are such ones.
func ordinary(b []byte) (n int, beyond bool) {
	const ones, highs = 0x0101010101010101, 0x8080808080808080
	var seen uint64
	for ; len(b)-n >= 8; n += 8 {
		w := binary.LittleEndian.Uint64(b[n:])
		quote, slash := w^(ones*'"'), w^(ones*'\\')
		// The high bit is set in a byte that is below 0x20 or equal to one of
		// the two. A borrow can set it in a byte above such a one as well.
		if ((w-ones*' ')&^w|(quote-ones)&^quote|(slash-ones)&^slash)&highs != 0 {
			break
		}
		seen |= w
	}
	for n < len(b) && b[n] >= ' ' && b[n] != '"' && b[n] != '\\' {
		seen |= uint64(b[n])
		n++
	}
	return n, seen&highs != 0
}

// invalidAt returns where text, which is not UTF-8, stops being it.
func invalidAt(text []byte) int {
	for i := 0; i < len(text); {
		r, n := utf8.DecodeRune(text[i:])
		if r == utf8.RuneError && n == 1 {
			return i
		}
		i += n
	}
	return len(text)
}

func (c *checker) escape() error {
	c.i++
	if c.i >= len(c.b) {
		return c.wrong("")
	}
	switch c.b[c.i] {
	case '"', '\\', '/', 'b', 'f', 'n', 'r', 't':
		c.i++
		return nil
	case 'u':
		c.i++
		for range 4 {
			if c.i >= len(c.b) || !isHex(c.b[c.i]) {
				return c.wrong("expected four hex digits after \\u")
			}
			c.i++
		}
		return nil
	}
	return c.wrong("an escape that JSON does not have")
}

func isHex(c byte) bool {
	return c >= '0' && c <= '9' || c >= 'a' && c <= 'f' || c >= 'A' && c <= 'F'
}

func (c *checker) number() error {
	if c.b[c.i] == '-' {
		c.i++
	}
	if c.i < len(c.b) && c.b[c.i] == '0' {
		c.i++
	} else if !c.digits() {
		return c.wrong("expected a value")
	}
	if c.i < len(c.b) && c.b[c.i] == '.' {
		if c.i++; !c.digits() {
			return c.wrong("expected digits after the point")
		}
	}
	if c.i < len(c.b) && c.b[c.i]|0x20 == 'e' {
		c.i++
		if c.i < len(c.b) && (c.b[c.i] == '+' || c.b[c.i] == '-') {
			c.i++
		}
		if !c.digits() {
			return c.wrong("expected digits in the exponent")
		}
	}
	return nil
}

func (c *checker) digits() bool {
	start := c.i
	for c.i < len(c.b) && c.b[c.i] >= '0' && c.b[c.i] <= '9' {
		c.i++
	}
	return c.i > start
}
