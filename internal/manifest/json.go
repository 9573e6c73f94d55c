package manifest

import (
	"encoding/json"
	"strings"
)

// syntaxError tells text that is not JSON from JSON that is refused.
type syntaxError struct{ *Problem }

// Unwrap lets a caller see the Problem.
func (e *syntaxError) Unwrap() error { return e.Problem }

// json reads a stream of JSON values (RFC 8259). It is a reader of its own
// because encoding/json's tokens cost three times as much, and an API server
// waits for it.
func (b *builder) json(data []byte, each func(*node) error) error {
	r := jsonReader{builder: b, data: data, line: 1}
	for {
		r.space()
		if r.i == len(r.data) {
			return nil
		}
		root, err := r.value(0)
		if err != nil {
			return err
		}
		if err := b.spend(root); err != nil {
			return err
		}
		if root.isNull() {
			continue
		}
		if err := each(root); err != nil {
			return err
		}
	}
}

// jsonReader steps through the text and knows each value's line and column.
type jsonReader struct {
	*builder
	data      []byte
	i         int
	line      int32
	lineStart int
}

func (r *jsonReader) space() {
	for r.i < len(r.data) {
		switch r.data[r.i] {
		case '\n':
			r.line++
			r.lineStart = r.i + 1
		case ' ', '\t', '\r':
		default:
			return
		}
		r.i++
	}
}

// next returns the next byte that is not white space, 0 at the end.
func (r *jsonReader) next() byte {
	if r.space(); r.i < len(r.data) {
		return r.data[r.i]
	}
	return 0
}

func (r *jsonReader) col() int32 { return int32(r.i - r.lineStart + 1) }

// syntax places a complaint at the reader's place.
func (r *jsonReader) syntax(why string) error {
	if r.i >= len(r.data) {
		why = "it ends too early"
	}
	return &syntaxError{problem(r.line, r.col(), "not valid JSON: %s: %s", why, mendSyntax(r.data, "JSON"))}
}

func (r *jsonReader) value(depth int) (*node, error) {
	c := r.next()
	n := &node{line: r.line, col: r.col()}
	switch c {
	case '"':
		text, err := r.text()
		if err != nil {
			return nil, err
		}
		n.text = text
	case '{', '[':
		if depth >= r.limits.Depth {
			return nil, r.tooDeep(n.line, n.col)
		}
		r.i++
		n.kind = sequence
		read := r.elements
		if c == '{' {
			n.kind = mapping
			read = r.fields
		}
		if err := read(n, depth+1); err != nil {
			return nil, err
		}
	case 't', 'f', 'n':
		word := "true"
		switch c {
		case 'f':
			word = "false"
		case 'n':
			word = "null"
		}
		if string(r.data[r.i:min(len(r.data), r.i+len(word))]) != word {
			return nil, r.syntax("expected a value")
		}
		r.i += len(word)
		n.typ, n.text = typeOther, word
		if c == 'n' {
			n.typ = typeNull
		}
	default:
		text, err := r.number()
		if err != nil {
			return nil, err
		}
		n.typ, n.text = typeOther, text
	}
	return n, r.seal(n)
}

func (r *jsonReader) elements(n *node, depth int) error {
	if r.next() == ']' {
		r.i++
		return nil
	}
	for {
		val, err := r.value(depth)
		if err != nil {
			return err
		}
		n.items = append(n.items, item{val: val})
		switch r.next() {
		case ',':
			r.i++
		case ']':
			r.i++
			return nil
		default:
			return r.syntax("expected , or ]")
		}
	}
}

func (r *jsonReader) fields(n *node, depth int) error {
	if r.next() == '}' {
		r.i++
		return nil
	}
	f := fieldList{}
	for {
		if r.next() != '"' {
			return r.syntax("a key that is not a string")
		}
		line, col := r.line, r.col()
		key, err := r.text()
		switch {
		case err != nil:
			return err
		case key == "<<":
			return problem(line, col, `the key "<<" would merge if this were read as YAML: use another key`)
		case len(key) > maxKey:
			return problem(line, col, "a key of %d bytes and the limit is %d: shorten it", len(key), maxKey)
		}
		if r.next() != ':' {
			return r.syntax("expected :")
		}
		r.i++
		val, err := r.value(depth)
		if err != nil {
			return err
		}
		if err := f.set(item{key, line, col, val}); err != nil {
			return err
		}
		switch r.next() {
		case ',':
			r.i++
		case '}':
			r.i++
			n.items = f.items
			return nil
		default:
			return r.syntax("expected , or }")
		}
	}
}

// text reads a string. A surrogate without its other half becomes U+FFFD, as in
// encoding/json.
func (r *jsonReader) text() (string, error) {
	start := r.i
	escaped := false
	for i := start + 1; i < len(r.data); i++ {
		switch c := r.data[i]; {
		case c == '"':
			r.i = i + 1
			if !escaped {
				return string(r.data[start+1 : i]), nil
			}
			var text string
			if err := json.Unmarshal(r.data[start:r.i], &text); err != nil {
				r.i = start
				return "", r.syntax(err.Error())
			}
			return text, nil
		case c == '\\':
			escaped = true
			i++
		case c < ' ':
			return "", r.syntax("a control character in a string")
		}
	}
	return "", r.syntax("a string that does not end")
}

// number reads a number (RFC 8259 section 6).
func (r *jsonReader) number() (string, error) {
	start := r.i
	digits := func() bool {
		from := r.i
		for r.i < len(r.data) && r.data[r.i] >= '0' && r.data[r.i] <= '9' {
			r.i++
		}
		return r.i > from
	}
	one := func(set string) bool {
		if r.i < len(r.data) && strings.IndexByte(set, r.data[r.i]) >= 0 {
			r.i++
			return true
		}
		return false
	}
	one("-")
	ok := one("0") || digits()
	if ok && one(".") {
		ok = digits()
	}
	if ok && one("eE") {
		one("+-")
		ok = digits()
	}
	if !ok {
		r.i = start
		return "", r.syntax("expected a value")
	}
	text := string(r.data[start:r.i])
	if isTooLarge(text) {
		r.i = start
		return "", problem(r.line, r.col(), "the number %s is more than readers hold: write a smaller one, or text in quotes", clip(text, 60))
	}
	return text, nil
}
