package sarif

import (
	"encoding/json"
	"fmt"
	"strconv"
	"unicode/utf8"

	"github.com/apexlogic/apex/internal/bounded"
)

// cursor steps through JSON and builds only what is asked for: a report of
// 50,000 results is mostly code flows and help texts that nobody reads. It may
// only be given what bounded.Rules accepted, so it does not look for errors of
// syntax again.
type cursor struct {
	b []byte
	i int
	// seen keeps one copy of each name: a report repeats few rules and files.
	seen map[string]string
}

// maxSeen bounds the table of names; more are not shared.
const maxSeen = 1 << 16

// freeMaps are the property bags, whose keys the tool chooses.
var freeMaps = []string{"partialFingerprints", "fingerprints", "properties"}

func newCursor(data []byte) (*cursor, error) {
	if err := (bounded.Rules{Depth: maxDepth, Values: maxValues, FreeMaps: freeMaps}).Check(data); err != nil {
		return nil, fmt.Errorf("%w: %w", ErrFormat, err)
	}
	return &cursor{b: data, seen: map[string]string{}}, nil
}

func (c *cursor) space() byte {
	for {
		switch c.b[c.i] {
		case ' ', '\t', '\n', '\r':
			c.i++
		default:
			return c.b[c.i]
		}
	}
}

// null steps over a null: absent, wherever a value may be absent.
func (c *cursor) null() bool {
	if c.space() != 'n' {
		return false
	}
	c.i += len("null")
	return true
}

// object calls each for the members of an object; each reads the value. The key
// is valid during the call.
func (c *cursor) object(each func(key []byte) error) error {
	if c.null() {
		return nil
	}
	if c.b[c.i] != '{' {
		return c.not("an object")
	}
	for c.i++; c.space() != '}'; {
		if c.b[c.i] == ',' {
			c.i++
			c.space()
		}
		key := c.raw()
		c.space()
		c.i++ // the colon
		if err := each(key); err != nil {
			return err
		}
	}
	c.i++
	return nil
}

// array calls each for the elements of a list; each reads the element. present
// is false for null.
func (c *cursor) array(each func() error) (present bool, err error) {
	if c.null() {
		return false, nil
	}
	if c.b[c.i] != '[' {
		return false, c.not("a list")
	}
	for c.i++; c.space() != ']'; {
		if c.b[c.i] == ',' {
			c.i++
		}
		if err := each(); err != nil {
			return true, err
		}
	}
	c.i++
	return true, nil
}

// raw takes a string as it stands between its quotes.
func (c *cursor) raw() []byte {
	c.i++
	start := c.i
	for c.b[c.i] != '"' {
		if c.b[c.i] == '\\' {
			c.i++
		}
		c.i++
	}
	c.i++
	return c.b[start : c.i-1]
}

// text reads a string, clipped to most bytes; "" for null.
func (c *cursor) text(most int) (string, error) {
	if c.null() {
		return "", nil
	}
	if c.b[c.i] != '"' {
		return "", c.not("a string")
	}
	start := c.i
	raw := c.raw()
	for _, ch := range raw {
		if ch == '\\' {
			var s string
			if err := json.Unmarshal(c.b[start:c.i], &s); err != nil {
				return "", fmt.Errorf("%w: %w", ErrFormat, err)
			}
			return clip(s, most), nil
		}
	}
	// Clipped first: the copy of a long text would be the cost.
	if len(raw) > most+utf8.UTFMax {
		raw = raw[:most+utf8.UTFMax]
	}
	if s, ok := c.seen[string(raw)]; ok {
		return s, nil
	}
	s := clip(string(raw), most)
	if len(raw) <= 128 && len(c.seen) < maxSeen {
		c.seen[s] = s
	}
	return s, nil
}

// number reads a number, or one in quotes, as security-severity is; 0 for null.
func (c *cursor) number() (float64, error) {
	if c.null() {
		return 0, nil
	}
	if c.b[c.i] == '"' {
		s, err := c.text(maxName)
		if err != nil {
			return 0, err
		}
		// A word where a score should be states no score.
		f, err := strconv.ParseFloat(s, 64)
		if err != nil || f != f {
			return 0, nil
		}
		return f, nil
	}
	start := c.i
	if ch := c.b[start]; ch != '-' && (ch < '0' || ch > '9') {
		return 0, c.not("a number")
	}
	c.skip()
	f, err := strconv.ParseFloat(string(c.b[start:c.i]), 64)
	if err != nil {
		return 0, fmt.Errorf("%w: a number at byte %d is out of range", ErrFormat, start)
	}
	return f, nil
}

// integer reads a count or a line; one that is none is 0.
func (c *cursor) integer() (int, error) {
	f, err := c.number()
	if err != nil || f < 0 || f > 1<<30 {
		return 0, err
	}
	return int(f), nil
}

// boolean reads true or false; set is false for null.
func (c *cursor) boolean() (value, set bool, err error) {
	if c.null() {
		return false, false, nil
	}
	switch c.b[c.i] {
	case 't':
		c.i += len("true")
		return true, true, nil
	case 'f':
		c.i += len("false")
		return false, true, nil
	}
	return false, false, c.not("true or false")
}

// skip steps over any value.
func (c *cursor) skip() error {
	depth := 0
	for {
		switch ch := c.space(); ch {
		case '"':
			c.raw()
		case '{', '[':
			depth++
			c.i++
			continue
		case '}', ']':
			depth--
			c.i++
		case ',', ':':
			c.i++
			continue
		default:
			for c.i < len(c.b) && !ends(c.b[c.i]) {
				c.i++
			}
		}
		if depth <= 0 {
			return nil
		}
	}
}

func ends(ch byte) bool {
	switch ch {
	case ',', ']', '}', ' ', '\t', '\n', '\r':
		return true
	}
	return false
}

func (c *cursor) not(what string) error {
	return fmt.Errorf("%w: byte %d is not %s", ErrFormat, c.i, what)
}

// clip shortens s to at most n bytes, between characters.
func clip(s string, n int) string {
	if len(s) <= n {
		return s
	}
	for n > 0 && !utf8.RuneStart(s[n]) {
		n--
	}
	return s[:n]
}

// Clip shortens foreign text to at most n bytes, between characters.
func Clip(s string, n int) string { return clip(s, n) }

// lower is strings.ToLower for the ASCII words of formats.
func lower(s string) string {
	b := []byte(s)
	for i, ch := range b {
		if 'A' <= ch && ch <= 'Z' {
			b[i] = ch + 'a' - 'A'
		}
	}
	return string(b)
}
