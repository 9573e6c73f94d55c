package keras

import (
	"bytes"
	"errors"
	"fmt"
	"strconv"
	"unicode/utf16"
	"unicode/utf8"
)

var (
	// errJSON is wrapped by errors about what is no JSON to any reader.
	errJSON = errors.New("broken JSON")
	// errDeep is returned for nesting that Python's parser refuses as well.
	errDeep = fmt.Errorf("nested deeper than %d levels", mostDepth)
)

// mostDepth bounds nesting. Python stops at some 1000 levels by default.
const mostDepth = 3000

// nodeCost is what a node takes in memory, together with what slices that grow
// leave behind.
const nodeCost, nodesHeld = 256, 4096

// node is a value: an object or a list with kids, a string, or something else.
type node struct {
	key  string // in an object
	text string // of a string
	kids []node
	kind byte // '{', '[', '"', or 0
}

// parser reads JSON as Python does, and more: NaN and Infinity are written by
// Python, so encoding/json and internal/bounded, which refuse them, do not do.
// Where keys are there twice both values are kept.
//
// It passes over the text without keeping anything, to find out what it is, or
// builds the tree.
type parser struct {
	b     []byte
	i     int
	build bool
	hold  func(int64) (func(), error)
	nodes int

	shaped      bool // some object has a class_name and a config, as Keras's have
	metadata    bool // it is the metadata.json of a .keras archive
	duplicated  bool // some object has a key twice: the first such key, and where
	duplicate   string
	duplicateAt int
}

// document reads the whole text. The tree holds what was read before an error.
func (p *parser) document() (root node, err error) {
	if err = p.value(&root, 0); err != nil {
		return root, err
	}
	if p.space(); p.i < len(p.b) {
		return root, p.wrong("more than one value")
	}
	return root, nil
}

func (p *parser) wrong(what string) error {
	if p.i >= len(p.b) {
		what = "it ends too early"
	}
	return fmt.Errorf("%w at byte %d: %s", errJSON, p.i, what)
}

func (p *parser) space() {
	for p.i < len(p.b) && (p.b[p.i] == ' ' || p.b[p.i] == '\n' || p.b[p.i] == '\r' || p.b[p.i] == '\t') {
		p.i++
	}
}

func (p *parser) next(want byte) bool {
	p.space()
	if p.i < len(p.b) && p.b[p.i] == want {
		p.i++
		return true
	}
	return false
}

// value reads a value into n.
func (p *parser) value(n *node, depth int) error {
	if depth > mostDepth {
		return errDeep
	}
	p.space()
	if p.i >= len(p.b) {
		return p.wrong("")
	}
	if p.build {
		if p.nodes++; p.nodes%nodesHeld == 1 {
			if _, err := p.hold(nodesHeld * nodeCost); err != nil {
				return err
			}
		}
	}
	switch c := p.b[p.i]; c {
	case '"':
		n.kind = '"'
		text, err := p.text()
		n.text = text
		return err
	case '{':
		n.kind = c
		p.i++
		return p.object(n, depth)
	case '[':
		n.kind = c
		p.i++
		return p.list(n, depth)
	}
	return p.scalar()
}

// scalar steps over a number or a word.
func (p *parser) scalar() error {
	start := p.i
	for p.i < len(p.b) {
		c := p.b[p.i]
		if c >= '0' && c <= '9' || c >= 'a' && c <= 'z' || c >= 'A' && c <= 'Z' || c == '-' || c == '+' || c == '.' {
			p.i++
			continue
		}
		break
	}
	switch word := p.b[start:p.i]; {
	case len(word) == 0:
		return p.wrong("expected a value")
	case word[0] == '-' || word[0] >= '0' && word[0] <= '9':
		return nil // how a number is spelled changes nothing
	case string(word) == "true", string(word) == "false", string(word) == "null", string(word) == "NaN", string(word) == "Infinity":
		return nil
	}
	p.i = start
	return p.wrong("expected a value")
}

func (p *parser) list(n *node, depth int) error {
	if p.next(']') {
		return nil
	}
	for {
		var kid node
		err := p.value(&kid, depth+1)
		if p.build && kid.kind != 0 {
			n.kids = append(n.kids, kid)
		}
		switch {
		case err != nil:
			return err
		case p.next(','):
		case p.next(']'):
			return nil
		default:
			return p.wrong("expected a comma or the end of the list")
		}
	}
}

// manyKeys is from how many keys on duplicates are looked for in a table.
const manyKeys = 16

func (p *parser) object(n *node, depth int) error {
	if p.next('}') {
		return nil
	}
	var class, config, version, date bool
	var keys map[string]bool
	for {
		if p.space(); p.i >= len(p.b) || p.b[p.i] != '"' {
			return p.wrong("expected a key in quotes")
		}
		start := p.i
		key, err := p.text()
		if err != nil {
			return err
		}
		if !p.next(':') {
			return p.wrong("expected a colon after the key")
		}
		kid := node{key: key}
		err = p.value(&kid, depth+1)
		if p.build {
			if keys == nil && len(n.kids) >= manyKeys {
				keys = make(map[string]bool, 2*manyKeys)
				for i := range n.kids {
					keys[n.kids[i].key] = true
				}
			}
			if !p.duplicated && (keys[key] || keys == nil && n.has(key)) {
				p.duplicated, p.duplicate, p.duplicateAt = true, key, start
			}
			if keys != nil {
				keys[key] = true
			}
			n.kids = append(n.kids, kid)
		}
		class = class || key == "class_name" && kid.kind == '"'
		config = config || key == "config"
		version = version || key == "keras_version"
		date = date || key == "date_saved"
		p.shaped = p.shaped || class && config
		switch {
		case err != nil:
			return err
		case p.next(','):
		case p.next('}'):
			p.metadata = p.metadata || depth == 0 && version && date
			return nil
		default:
			return p.wrong("expected a comma or the end of the object")
		}
	}
}

func (n *node) has(key string) bool {
	for i := range n.kids {
		if n.kids[i].key == key {
			return true
		}
	}
	return false
}

// text reads a string. Where nothing is built, only strings without escapes
// and short ones with them are returned.
func (p *parser) text() (string, error) {
	p.i++
	start := p.i
	end := bytes.IndexByte(p.b[start:], '"')
	if end < 0 {
		p.i = len(p.b)
		return "", p.wrong("")
	}
	if bytes.IndexByte(p.b[start:start+end], '\\') < 0 {
		p.i = start + end + 1
		if !p.build && end > 32 {
			return "", nil
		}
		return string(p.b[start : start+end]), nil
	}
	var text []byte
	for p.i < len(p.b) {
		switch c := p.b[p.i]; c {
		case '"':
			p.i++
			return string(text), nil
		case '\\':
			r, err := p.escape()
			if err != nil {
				return string(text), err
			}
			text = utf8.AppendRune(text, r)
		default:
			text = append(text, c)
			p.i++
		}
		if !p.build && len(text) > 32 {
			text = append(text[:0], "…"...) // it is no key that counts
		}
	}
	return string(text), p.wrong("")
}

func (p *parser) escape() (rune, error) {
	p.i++
	if p.i >= len(p.b) {
		return 0, p.wrong("")
	}
	c := p.b[p.i]
	p.i++
	switch c {
	case '"', '\\', '/':
		return rune(c), nil
	case 'b':
		return '\b', nil
	case 'f':
		return '\f', nil
	case 'n':
		return '\n', nil
	case 'r':
		return '\r', nil
	case 't':
		return '\t', nil
	case 'u':
		r, err := p.hex()
		if err != nil || !utf16.IsSurrogate(r) {
			return r, err
		}
		if p.i+1 < len(p.b) && p.b[p.i] == '\\' && p.b[p.i+1] == 'u' {
			back := p.i
			p.i += 2
			low, err := p.hex()
			if err != nil {
				return 0, err
			}
			if both := utf16.DecodeRune(r, low); both != utf8.RuneError {
				return both, nil
			}
			p.i = back
		}
		return utf8.RuneError, nil
	}
	p.i--
	return 0, p.wrong("an escape that JSON does not have")
}

func (p *parser) hex() (rune, error) {
	if p.i+4 > len(p.b) {
		p.i = len(p.b)
		return 0, p.wrong("")
	}
	v, err := strconv.ParseUint(string(p.b[p.i:p.i+4]), 16, 16)
	if err != nil {
		return 0, p.wrong(`expected four hex digits after \u`)
	}
	p.i += 4
	return rune(v), nil
}
