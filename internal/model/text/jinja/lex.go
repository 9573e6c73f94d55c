package jinja

import (
	"strconv"
	"strings"
	"unicode"
	"unicode/utf8"
)

type tokenKind uint8

const (
	tokEOF tokenKind = iota
	tokText
	tokOutput // {{
	tokTag    // {%
	tokEnd    // }} or %}
	tokName
	tokString
	tokInt
	tokFloat
	tokOp
)

type token struct {
	kind tokenKind
	text string // a name, an operator, the decoded string, or text
	num  float64
	line int
}

// lexer splits a template into tokens. Inside of tags it follows the order in
// which Jinja tries its rules: the end of a tag counts only where brackets are
// balanced.
type lexer struct {
	src     string
	pos     int
	line    int
	closing string // "}}" or "%}" inside of a tag
	stack   []byte // open brackets
}

func (l *lexer) fail(msg string) error { return &SyntaxError{Line: l.line, Msg: msg} }

func (l *lexer) advance(n int) {
	l.line += strings.Count(l.src[l.pos:l.pos+n], "\n")
	l.pos += n
}

// next returns the next token.
func (l *lexer) next() (token, error) {
	if l.closing != "" {
		return l.inside()
	}
	return l.outside()
}

func (l *lexer) outside() (token, error) {
	for {
		text := l.src[l.pos:]
		at := 0
		for {
			i := strings.IndexByte(text[at:], '{')
			if i < 0 || at+i+1 >= len(text) {
				at = len(text)
				break
			}
			at += i
			if c := text[at+1]; c == '{' || c == '%' || c == '#' {
				break
			}
			at++
		}
		if at > 0 {
			t := token{kind: tokText, text: text[:at], line: l.line}
			l.advance(at)
			return t, nil
		}
		if text == "" {
			return token{kind: tokEOF, line: l.line}, nil
		}
		if t, ok, err := l.open(); ok || err != nil {
			return t, err
		}
	}
}

// open enters the tag that begins here. A comment is skipped, raw text is text.
func (l *lexer) open() (t token, ok bool, err error) {
	t.line = l.line
	switch l.src[l.pos+1] {
	case '#':
		end := strings.Index(l.src[l.pos+2:], "#}")
		if end < 0 && l.pos+2 < len(l.src) {
			return t, false, l.fail("a comment is not closed")
		}
		if l.pos+2 == len(l.src) { // Jinja does not mind at the very end
			l.advance(2)
			return t, false, nil
		}
		l.advance(end + 4)
		return t, false, nil
	case '%':
		if body, n, ok := rawBlock(l.src[l.pos:]); ok {
			l.advance(n)
			t.kind, t.text = tokText, body
			return t, true, nil
		}
		if n, ok := tagOf(l.src[l.pos:], "raw"); ok && l.pos+n == len(l.src) {
			l.advance(n) // nor here
			return t, false, nil
		}
		t.kind, l.closing = tokTag, "%}"
	default:
		t.kind, l.closing = tokOutput, "}}"
	}
	l.advance(2)
	l.sign()
	return t, true, nil
}

// sign skips the mark for white space after the beginning of a tag.
func (l *lexer) sign() {
	if l.pos < len(l.src) && (l.src[l.pos] == '-' || l.src[l.pos] == '+') {
		l.pos++
	}
}

// rawBlock reads {% raw %}…{% endraw %}.
func rawBlock(s string) (body string, n int, ok bool) {
	n, ok = tagOf(s, "raw")
	if !ok {
		return "", 0, false
	}
	for at := n; ; {
		i := strings.Index(s[at:], "{%")
		if i < 0 {
			return "", 0, false
		}
		at += i
		if m, ok := tagOf(s[at:], "endraw"); ok {
			return s[n:at], at + m, true
		}
		at += 2
	}
}

// tagOf says whether s begins with a tag that is the word alone.
func tagOf(s, word string) (n int, ok bool) {
	i := 2
	if i < len(s) && (s[i] == '-' || s[i] == '+') {
		i++
	}
	i += len(s[i:]) - len(strings.TrimLeft(s[i:], " \t\r\n\f\v"))
	if !strings.HasPrefix(s[i:], word) {
		return 0, false
	}
	i += len(word)
	i += len(s[i:]) - len(strings.TrimLeft(s[i:], " \t\r\n\f\v"))
	if i < len(s) && (s[i] == '-' || s[i] == '+') {
		i++
	}
	if !strings.HasPrefix(s[i:], "%}") {
		return 0, false
	}
	return i + 2, true
}

func (l *lexer) inside() (token, error) {
	for l.pos < len(l.src) {
		c, n := utf8.DecodeRuneInString(l.src[l.pos:])
		if !unicode.IsSpace(c) {
			break
		}
		l.advance(n)
	}
	rest := l.src[l.pos:]
	if rest == "" {
		return token{}, l.fail("a tag is not closed")
	}
	t := token{line: l.line}
	if len(l.stack) == 0 {
		after := rest
		if rest[0] == '-' || rest[0] == '+' && l.closing == "%}" {
			after = rest[1:]
		}
		if strings.HasPrefix(after, l.closing) {
			l.pos += len(rest) - len(after) + 2
			l.closing = ""
			t.kind = tokEnd
			return t, nil
		}
	}
	c, _ := utf8.DecodeRuneInString(rest)
	switch {
	case c >= '0' && c <= '9':
		return l.number()
	case c == '_' || unicode.IsLetter(c) || c >= 0x80 && (unicode.IsDigit(c) || unicode.Is(unicode.Pc, c) || unicode.Is(unicode.Nl, c)):
		n := 0
		for n < len(rest) {
			c, size := utf8.DecodeRuneInString(rest[n:])
			if c == utf8.RuneError && size == 1 || c != '_' && !unicode.IsLetter(c) && !unicode.IsDigit(c) && !unicode.Is(unicode.M, c) && !unicode.Is(unicode.Pc, c) && !unicode.Is(unicode.Nl, c) {
				break
			}
			n += size
		}
		if n == 0 {
			return t, l.fail("a character that is none of Jinja's")
		}
		t.kind, t.text = tokName, rest[:n]
		l.pos += n
		return t, nil
	case c == '"' || c == '\'':
		return l.str(rest[0])
	}
	for _, op := range [...]string{"//", "**", "==", "!=", ">=", "<="} {
		if strings.HasPrefix(rest, op) {
			t.kind, t.text = tokOp, op
			l.pos += 2
			return t, nil
		}
	}
	if !strings.ContainsRune("+-*/%~[](){}>=<.:|,;", c) {
		return t, l.fail("a character that is none of Jinja's: " + strconv.QuoteRuneToASCII(c))
	}
	switch c {
	case '(', '[', '{':
		if len(l.stack) >= maxDepth {
			return t, l.fail("brackets are nested too deeply")
		}
		l.stack = append(l.stack, closes[byte(c)])
	case ')', ']', '}':
		if len(l.stack) == 0 || l.stack[len(l.stack)-1] != byte(c) {
			return t, l.fail("a bracket closes nothing")
		}
		l.stack = l.stack[:len(l.stack)-1]
	}
	t.kind, t.text = tokOp, rest[:1]
	l.pos++
	return t, nil
}

var closes = [128]byte{'(': ')', '[': ']', '{': '}'}

func (l *lexer) number() (token, error) {
	rest := l.src[l.pos:]
	t := token{kind: tokInt, line: l.line}
	n := 0
	isDigit := func(i int) bool { return i < len(rest) && rest[i] >= '0' && rest[i] <= '9' }
	afterDot := l.pos > 0 && l.src[l.pos-1] == '.' // x.1.5 is two subscripts
	if n = prefixed(rest); n == 0 {
		for isDigit(n) || n < len(rest) && rest[n] == '_' && isDigit(n+1) {
			n++
		}
		if !afterDot && n+1 < len(rest) && rest[n] == '.' && isDigit(n+1) {
			t.kind = tokFloat
			n++
			for isDigit(n) || n < len(rest) && rest[n] == '_' && isDigit(n+1) {
				n++
			}
		}
		if !afterDot && n < len(rest) && rest[n]|0x20 == 'e' {
			m := n + 1
			if m < len(rest) && (rest[m] == '+' || rest[m] == '-') {
				m++
			}
			if isDigit(m) {
				t.kind = tokFloat
				for n = m; isDigit(n) || n < len(rest) && rest[n] == '_' && isDigit(n+1); n++ {
				}
			}
		}
	}
	t.text = strings.ReplaceAll(rest[:n], "_", "")
	l.pos += n
	if t.kind == tokInt {
		v, err := strconv.ParseInt(t.text, 0, 64)
		if err != nil { // too long, or with zeros before it
			f, err := strconv.ParseFloat(t.text, 64)
			if err != nil {
				f = 1e300
			}
			t.kind, t.num = tokFloat, f
			return t, nil
		}
		t.num = float64(v)
		return t, nil
	}
	t.num, _ = strconv.ParseFloat(t.text, 64) // out of range is infinite
	return t, nil
}

// prefixed is the length of a number in another base at the beginning of s.
func prefixed(s string) int {
	if len(s) < 3 || s[0] != '0' {
		return 0
	}
	digits := ""
	switch s[1] | 0x20 {
	case 'x':
		digits = "0123456789abcdefABCDEF"
	case 'o':
		digits = "01234567"
	case 'b':
		digits = "01"
	default:
		return 0
	}
	n := 2
	for n < len(s) && (strings.IndexByte(digits, s[n]) >= 0 || s[n] == '_' && n+1 < len(s) && strings.IndexByte(digits, s[n+1]) >= 0) {
		n++
	}
	if n == 2 {
		return 0
	}
	return n
}

func (l *lexer) str(quote byte) (token, error) {
	t := token{kind: tokString, line: l.line}
	rest := l.src[l.pos+1:]
	for i := 0; i < len(rest); i++ {
		switch rest[i] {
		case '\\':
			i++
		case quote:
			t.text = unescape(rest[:i])
			l.advance(i + 2)
			return t, nil
		}
	}
	l.pos = len(l.src)
	return t, l.fail("a string is not closed")
}

// unescape decodes as Python's "unicode-escape" does. What it would refuse
// stays as it is.
func unescape(s string) string {
	if !strings.Contains(s, `\`) {
		return s
	}
	var b strings.Builder
	for i := 0; i < len(s); i++ {
		if s[i] != '\\' || i+1 == len(s) {
			b.WriteByte(s[i])
			continue
		}
		i++
		switch c := s[i]; c {
		case '\n':
		case 'a', 'b', 'f', 'n', 'r', 't', 'v':
			b.WriteByte("\a\b\f\n\r\t\v"[strings.IndexByte("abfnrtv", c)])
		case 'x', 'u', 'U':
			n := map[byte]int{'x': 2, 'u': 4, 'U': 8}[c]
			v, err := uint64(0), error(strconv.ErrSyntax)
			if i+1+n <= len(s) {
				v, err = strconv.ParseUint(s[i+1:i+1+n], 16, 32)
			}
			if err != nil {
				b.WriteByte('\\')
				b.WriteByte(c)
				continue
			}
			b.WriteRune(rune(v))
			i += n
		case 'N':
			end := strings.IndexByte(s[i:], '}')
			if i+1 < len(s) && s[i+1] == '{' && end > 0 {
				b.WriteString(named(s[i+2 : i+end]))
				i += end
				continue
			}
			b.WriteString(`\N`)
		case '\\', '\'', '"':
			b.WriteByte(c)
		default:
			if c < '0' || c > '7' {
				b.WriteByte('\\')
				b.WriteByte(c)
				continue
			}
			v := 0
			for n := 0; n < 3 && i < len(s) && s[i] >= '0' && s[i] <= '7'; n++ {
				v = v*8 + int(s[i]-'0')
				i++
			}
			i--
			b.WriteRune(rune(v))
		}
	}
	return b.String()
}

// named returns the character of a Unicode name, for the names by which an
// attribute could be spelled.
func named(name string) string {
	name = strings.ToUpper(name)
	if name == "LOW LINE" || name == "SPACING UNDERSCORE" {
		return "_"
	}
	if letter, ok := strings.CutPrefix(name, "LATIN SMALL LETTER "); ok && len(letter) == 1 {
		return strings.ToLower(letter)
	}
	if letter, ok := strings.CutPrefix(name, "LATIN CAPITAL LETTER "); ok && len(letter) == 1 {
		return letter
	}
	return gap
}
