package manifest

import (
	"bytes"
	"encoding/json"
	"errors"
	"io"
	"strings"
)

// syntaxError tells text that is not JSON from JSON that is refused.
type syntaxError struct{ *Problem }

// Unwrap lets a caller see the Problem.
func (e *syntaxError) Unwrap() error { return e.Problem }

// json reads a stream of JSON values.
func (b *builder) json(data []byte, each func(*node) error) error {
	r := jsonReader{builder: b, data: data, dec: json.NewDecoder(bytes.NewReader(data)), line: 1}
	r.dec.UseNumber()
	for {
		tok, line, col, err := r.next()
		if errors.Is(err, io.EOF) {
			return nil
		}
		if err != nil {
			return r.syntax(err)
		}
		root, err := r.value(tok, line, col, 0)
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

// jsonReader follows the decoder's offset to know each token's line and column.
type jsonReader struct {
	*builder
	data      []byte
	dec       *json.Decoder
	offset    int // up to which lines are counted
	line      int32
	lineStart int
}

// next returns the next token and where it starts.
func (r *jsonReader) next() (tok json.Token, line, col int32, err error) {
	line, col = r.place(r.start())
	tok, err = r.dec.Token()
	return tok, line, col, err
}

// start returns the offset of the token that the decoder reads next.
func (r *jsonReader) start() int {
	at := int(r.dec.InputOffset())
	for at < len(r.data) && strings.IndexByte(" \t\r\n,:", r.data[at]) >= 0 {
		at++
	}
	return at
}

func (r *jsonReader) place(at int) (line, col int32) {
	for ; r.offset < at; r.offset++ {
		if r.data[r.offset] == '\n' {
			r.line++
			r.lineStart = r.offset + 1
		}
	}
	return r.line, int32(at - r.lineStart + 1)
}

// syntax places the decoder's complaint at the start of the token that it is about.
func (r *jsonReader) syntax(err error) error {
	line, col := r.place(r.start())
	return &syntaxError{problem(line, col, "not valid JSON: %v: %s", err, mendSyntax(r.data, "JSON"))}
}

func (r *jsonReader) value(tok json.Token, line, col int32, depth int) (*node, error) {
	n := &node{line: line, col: col}
	switch v := tok.(type) {
	case string:
		n.text = v
	case nil:
		n.typ, n.text = typeNull, "null"
	case json.Number:
		n.typ, n.text = typeOther, v.String()
	case bool:
		n.typ, n.text = typeOther, "false"
		if v {
			n.text = "true"
		}
	case json.Delim:
		if depth >= r.limits.Depth {
			return nil, r.tooDeep(line, col)
		}
		n.kind = sequence
		read := r.elements
		if v == '{' {
			n.kind = mapping
			read = r.fields
		}
		if err := read(n, depth+1); err != nil {
			return nil, err
		}
		if _, _, _, err := r.next(); err != nil { // the closing bracket
			return nil, r.syntax(err)
		}
	}
	return n, r.seal(n)
}

func (r *jsonReader) elements(n *node, depth int) error {
	for r.dec.More() {
		tok, line, col, err := r.next()
		if err != nil {
			return r.syntax(err)
		}
		val, err := r.value(tok, line, col, depth)
		if err != nil {
			return err
		}
		n.items = append(n.items, item{val: val})
	}
	return nil
}

func (r *jsonReader) fields(n *node, depth int) error {
	f := fieldList{}
	for r.dec.More() {
		tok, line, col, err := r.next()
		if err != nil {
			return r.syntax(err)
		}
		key, ok := tok.(string)
		switch {
		case !ok:
			return r.syntax(errors.New("a key that is not a string"))
		case key == "<<":
			return problem(line, col, `the key "<<" would merge if this were read as YAML: use another key`)
		case len(key) > maxKey:
			return problem(line, col, "a key of %d bytes and the limit is %d: shorten it", len(key), maxKey)
		}
		tok, vline, vcol, err := r.next()
		if err != nil {
			return r.syntax(err)
		}
		val, err := r.value(tok, vline, vcol, depth)
		if err != nil {
			return err
		}
		if err := f.set(item{key, line, col, val}); err != nil {
			return err
		}
	}
	n.items = f.items
	return nil
}
