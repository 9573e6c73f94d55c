package python

import "bytes"

// maxOpen bounds f-strings inside of f-strings. Python's own limit is 150;
// people nest two.
const maxOpen = 150

type tokenKind uint8

const (
	tokenEnd tokenKind = iota
	tokenNewline
	tokenName
	tokenString
	tokenOp
	tokenNumber
)

// token is one token of Python source.
type token struct {
	kind tokenKind
	// text of a name or operator, or of a plain string: a part of the source.
	text []byte
	// plain marks a short string of text, without escapes or fields in it.
	plain bool
	line  int
}

// lexer splits Python source into tokens. What stands in the replacement fields
// of an f-string is code: it comes as tokens of its own, after the string's.
type lexer struct {
	src  []byte
	i    int
	line int
	open []fstring // f-strings that have begun, innermost last
}

// fstring is an f-string that has not ended yet (PEP 701).
type fstring struct {
	quote string // what ends it
	raw   bool
	// fields has one entry for each replacement field that is open: how many
	// brackets are open in it, or -1 after its colon, where text goes on.
	fields []int
}

// inText says whether the next bytes are text of an f-string rather than code.
func (l *lexer) inText() bool {
	if len(l.open) == 0 {
		return false
	}
	f := &l.open[len(l.open)-1].fields
	return len(*f) == 0 || (*f)[len(*f)-1] < 0
}

func (l *lexer) next() token {
	for {
		if l.inText() {
			l.text()
		}
		if l.i >= len(l.src) {
			return token{kind: tokenEnd, line: l.line}
		}
		if l.inText() {
			continue
		}
		t := token{line: l.line}
		switch c := l.src[l.i]; {
		case c == ' ' || c == '\t' || c == '\f':
			l.i++
		case c == '\n' || c == '\r':
			l.newline()
			t.kind = tokenNewline
			return t
		case c == '\\' && l.i+1 < len(l.src) && (l.src[l.i+1] == '\n' || l.src[l.i+1] == '\r'):
			l.i++
			l.newline()
		case c == '#':
			for l.i < len(l.src) && l.src[l.i] != '\n' && l.src[l.i] != '\r' {
				l.i++
			}
		case c == '"' || c == '\'':
			return l.string(nil)
		case c >= '0' && c <= '9':
			for l.i < len(l.src) && (isName(l.src[l.i]) || l.src[l.i] == '.') {
				l.i++
			}
			t.kind = tokenNumber
			return t
		case isName(c):
			start := l.i
			for l.i < len(l.src) && isName(l.src[l.i]) {
				l.i++
			}
			name := l.src[start:l.i]
			if l.i < len(l.src) && (l.src[l.i] == '"' || l.src[l.i] == '\'') && isPrefix(name) {
				return l.string(name)
			}
			t.kind, t.text = tokenName, name
			return t
		default:
			t.kind, t.text = tokenOp, l.src[l.i:l.i+1]
			l.i++
			l.field(c)
			return t
		}
	}
}

// newline steps over one end of a line.
func (l *lexer) newline() {
	if l.src[l.i] == '\r' && l.i+1 < len(l.src) && l.src[l.i+1] == '\n' {
		l.i++
	}
	l.i++
	l.line++
}

// isPrefix says whether the name can stand before the quotes of a string.
func isPrefix(name []byte) bool {
	if len(name) > 2 {
		return false
	}
	for _, c := range name {
		switch c {
		case 'r', 'R', 'b', 'B', 'u', 'U', 'f', 'F', 't', 'T':
		default:
			return false
		}
	}
	return true
}

// string reads a string literal; of an f-string only its beginning.
func (l *lexer) string(prefix []byte) token {
	t := token{kind: tokenString, line: l.line}
	raw, formatted, bytesLiteral := false, false, false
	for i := range len(prefix) {
		switch prefix[i] | 0x20 {
		case 'r':
			raw = true
		case 'f', 't':
			formatted = true
		case 'b':
			bytesLiteral = true
		}
	}
	quote := l.src[l.i : l.i+1]
	if triple := l.src[l.i:min(l.i+3, len(l.src))]; len(triple) == 3 && triple[1] == triple[0] && triple[2] == triple[0] {
		quote = triple
	}
	l.i += len(quote)
	if formatted && len(l.open) < maxOpen {
		l.open = append(l.open, fstring{quote: string(quote), raw: raw})
		return t
	}
	start, escaped := l.i, false
	for l.i < len(l.src) {
		c := l.src[l.i]
		switch {
		case c == '\\':
			escaped = true
			l.escape()
			continue
		case c == '\n' || c == '\r':
			if len(quote) == 1 { // never closed: Python would refuse it
				return t
			}
			l.newline()
			continue
		case c == quote[0] && bytes.HasPrefix(l.src[l.i:], quote):
			if text := l.src[start:l.i]; !escaped && !bytesLiteral && !formatted && len(text) <= maxName {
				t.text, t.plain = text, true
			}
			l.i += len(quote)
			return t
		}
		l.i++
	}
	return t
}

// escape steps over a backslash and what it protects. A raw string keeps both,
// but its quote is protected all the same.
func (l *lexer) escape() {
	l.i++
	if l.i >= len(l.src) {
		return
	}
	if c := l.src[l.i]; c == '\n' || c == '\r' {
		l.newline()
		return
	}
	l.i++
}

// text steps over text of the innermost f-string, to where code begins in it or
// around it.
func (l *lexer) text() {
	f := &l.open[len(l.open)-1]
	for l.i < len(l.src) {
		c := l.src[l.i]
		switch {
		case c == '\\':
			switch after := l.src[l.i+1 : min(l.i+3, len(l.src))]; {
			case !f.raw && string(after) == "N{": // \N{BULLET} is a character
				l.i += 3
			case len(after) > 0 && (after[0] == '{' || after[0] == '}'):
				l.i++
			default:
				l.escape()
			}
		case c == '\n' || c == '\r':
			if len(f.quote) == 1 {
				l.open = l.open[:len(l.open)-1]
				return
			}
			l.newline()
		case c == f.quote[0] && bytes.HasPrefix(l.src[l.i:], []byte(f.quote)):
			l.i += len(f.quote)
			l.open = l.open[:len(l.open)-1]
			return
		case c == '{':
			l.i++
			if len(f.fields) == 0 && l.i < len(l.src) && l.src[l.i] == '{' {
				l.i++ // a brace that means itself
				continue
			}
			if len(f.fields) < maxOpen {
				f.fields = append(f.fields, 0)
				return
			}
		case c == '}':
			l.i++
			if len(f.fields) > 0 { // the end of a format
				f.fields = f.fields[:len(f.fields)-1]
				if len(f.fields) > 0 && f.fields[len(f.fields)-1] >= 0 {
					return
				}
			}
		default:
			l.i++
		}
	}
}

// field notes what an operator means for the replacement field that it is in.
func (l *lexer) field(c byte) {
	if len(l.open) == 0 {
		return
	}
	fields := &l.open[len(l.open)-1].fields
	if len(*fields) == 0 {
		return
	}
	depth := &(*fields)[len(*fields)-1]
	switch c {
	case '(', '[', '{':
		*depth++
	case ')', ']':
		*depth = max(*depth-1, 0)
	case '}':
		if *depth > 0 {
			*depth--
			return
		}
		*fields = (*fields)[:len(*fields)-1]
	case ':':
		if *depth == 0 {
			*depth = -1
		}
	}
}
