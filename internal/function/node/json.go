package node

import (
	"errors"
	"fmt"
	"strconv"
	"strings"
	"unicode/utf16"
	"unicode/utf8"

	"github.com/apexlogic/apex/internal/function/stack"
)

// JSON reads one JSON document (RFC 8259), comments of JavaScript allowed as
// tools write them. Of two fields with one name the last counts, as the clouds'
// own readers have it.
func JSON(file string, data []byte) (*Node, error) {
	return parseJSON(stack.Where{File: file, Line: 1}, Clean(string(data)), true)
}

// ParseText reads a text that holds JSON: a policy in a heredoc, a string of
// JSON. The lines are those of the file when the text is a block of it. Unknown
// parts may stand inside of strings and in the place of values.
func ParseText(n *Node) (*Node, error) {
	if n.Source != nil {
		return n.Source, nil
	}
	return parseJSON(n.Where, n.Str, n.Block)
}

func parseJSON(at stack.Where, text string, lines bool) (*Node, error) {
	if len(text) > 8*MaxText {
		return nil, fmt.Errorf("%s:%d: JSON of more than 8 MiB: split it", at.File, at.Line)
	}
	p := jsonParser{text: strings.TrimPrefix(text, "\ufeff"), at: at, lines: lines}
	p.space()
	n, err := p.value(0)
	if err == nil {
		if p.space(); p.pos < len(p.text) {
			err = errors.New("something follows the document")
		}
	}
	if err != nil {
		return nil, fmt.Errorf("%s:%d: not valid JSON: %w", at.File, p.at.Line, err)
	}
	return n, nil
}

type jsonParser struct {
	text  string
	pos   int
	at    stack.Where // of pos
	lines bool        // newlines count
	count int
}

// space skips white space and comments, counting lines.
func (p *jsonParser) space() {
	for p.pos < len(p.text) {
		switch c := p.text[p.pos]; {
		case c == '\n':
			if p.lines {
				p.at.Line++
			}
			p.pos++
		case c == ' ' || c == '\t' || c == '\r':
			p.pos++
		case strings.HasPrefix(p.text[p.pos:], "//"):
			if i := strings.IndexByte(p.text[p.pos:], '\n'); i >= 0 {
				p.pos += i
			} else {
				p.pos = len(p.text)
			}
		case strings.HasPrefix(p.text[p.pos:], "/*"):
			i := strings.Index(p.text[p.pos+2:], "*/")
			if i < 0 {
				return
			}
			if p.lines {
				p.at.Line += strings.Count(p.text[p.pos:p.pos+2+i], "\n")
			}
			p.pos += i + 4
		default:
			return
		}
	}
}

func (p *jsonParser) value(depth int) (*Node, error) {
	if depth > MaxDepth {
		return nil, fmt.Errorf("nested deeper than %d", MaxDepth)
	}
	if p.count++; p.count > MaxSize {
		return nil, fmt.Errorf("more than %d values", MaxSize)
	}
	rest := p.text[p.pos:]
	at := p.at
	switch {
	case rest == "":
		return nil, errors.New("it ends in the middle")
	case rest[0] == '{':
		return p.object(depth)
	case rest[0] == '[':
		return p.array(depth)
	case rest[0] == '"':
		s, err := p.str()
		return String(at, s), err
	case strings.HasPrefix(rest, Open):
		return p.unknown()
	}
	end := strings.IndexAny(rest, ",]} \t\r\n/")
	if end < 0 {
		end = len(rest)
	}
	word := rest[:end]
	p.pos += end
	switch word {
	case "null":
		return Nothing(at), nil
	case "true", "false":
		return Bool(at, word == "true"), nil
	}
	if _, err := strconv.ParseFloat(word, 64); err != nil || word[0] > '9' || word[0] == '+' {
		return nil, fmt.Errorf("%q is no value", clip(word))
	}
	return Number(at, word), nil
}

// unknown reads an unknown part that stands in the place of a value. What
// follows it directly belongs to it.
func (p *jsonParser) unknown() (*Node, error) {
	at := p.at
	end := strings.Index(p.text[p.pos:], Close)
	if end < 0 {
		return nil, errors.New("an unknown part has no end")
	}
	n := &Node{Where: at, Kind: KindUnknown, Str: p.text[p.pos : p.pos+end+len(Close)], size: 1, open: true}
	p.pos += end + len(Close)
	return n, nil
}

func (p *jsonParser) object(depth int) (*Node, error) {
	at := p.at
	p.pos++
	var fields []Field
	for {
		p.space()
		if p.next('}') {
			return Map(at, fields), nil
		}
		if len(fields) > 0 {
			if !p.next(',') {
				return nil, errors.New("a comma or } is missing")
			}
			p.space()
			if p.next('}') { // a comma too many, as people leave behind
				return Map(at, fields), nil
			}
		}
		line := p.at.Line
		var key string
		switch rest := p.text[p.pos:]; {
		case strings.HasPrefix(rest, `"`):
			var err error
			if key, err = p.str(); err != nil {
				return nil, err
			}
		case strings.HasPrefix(rest, Open):
			n, err := p.unknown()
			if err != nil {
				return nil, err
			}
			key = n.Str
		default:
			return nil, errors.New("a field's name is missing")
		}
		p.space()
		if !p.next(':') {
			return nil, fmt.Errorf("no colon after %q", clip(key))
		}
		p.space()
		v, err := p.value(depth + 1)
		if err != nil {
			return nil, err
		}
		fields = append(fields, Field{key, line, v})
	}
}

func (p *jsonParser) array(depth int) (*Node, error) {
	at := p.at
	p.pos++
	var items []*Node
	for {
		p.space()
		if p.next(']') {
			return List(at, items), nil
		}
		if len(items) > 0 {
			if !p.next(',') {
				return nil, errors.New("a comma or ] is missing")
			}
			p.space()
			if p.next(']') {
				return List(at, items), nil
			}
		}
		v, err := p.value(depth + 1)
		if err != nil {
			return nil, err
		}
		items = append(items, v)
	}
}

func (p *jsonParser) next(c byte) bool {
	if p.pos < len(p.text) && p.text[p.pos] == c {
		p.pos++
		return true
	}
	return false
}

// str reads a string. A newline in it is taken as one: heredocs hold them.
func (p *jsonParser) str() (string, error) {
	var b strings.Builder
	for i := p.pos + 1; i < len(p.text); {
		c := p.text[i]
		switch {
		case c == '"':
			p.pos = i + 1
			return b.String(), nil
		case c == '\\':
			n, err := escape(&b, p.text[i:])
			if err != nil {
				return "", err
			}
			i += n
		case strings.HasPrefix(p.text[i:], Open):
			end := strings.Index(p.text[i:], Close)
			if end < 0 {
				return "", errors.New("an unknown part has no end")
			}
			b.WriteString(p.text[i : i+end+len(Close)])
			i += end + len(Close)
		default:
			if c == '\n' && p.lines {
				p.at.Line++
			}
			b.WriteByte(c)
			i++
		}
	}
	return "", errors.New("a string has no end")
}

// escape writes what the escape at the start of s means and returns its length.
func escape(b *strings.Builder, s string) (int, error) {
	if len(s) < 2 {
		return 0, errors.New("a string has no end")
	}
	switch s[1] {
	case 'n':
		b.WriteByte('\n')
	case 't':
		b.WriteByte('\t')
	case 'r':
		b.WriteByte('\r')
	case 'b':
		b.WriteByte('\b')
	case 'f':
		b.WriteByte('\f')
	case '"', '\\', '/':
		b.WriteByte(s[1])
	case 'u':
		r, ok := unit(s)
		if !ok {
			return 0, errors.New(`\u needs four digits`)
		}
		if utf16.IsSurrogate(r) {
			if low, ok := unit(s[6:]); ok {
				if both := utf16.DecodeRune(r, low); both != utf8.RuneError {
					b.WriteRune(both)
					return 12, nil
				}
			}
			r = utf8.RuneError
		}
		// An escape must not make an unknown part either.
		b.WriteString(Clean(string(r)))
		return 6, nil
	default:
		return 0, fmt.Errorf("unknown escape %q", s[:2])
	}
	return 2, nil
}

func unit(s string) (rune, bool) {
	if len(s) < 6 || s[0] != '\\' || s[1] != 'u' {
		return 0, false
	}
	v, err := strconv.ParseUint(s[2:6], 16, 32)
	return rune(v), err == nil
}

func clip(s string) string {
	if len(s) > 60 {
		return strings.ToValidUTF8(s[:60], "") + "…"
	}
	return s
}
