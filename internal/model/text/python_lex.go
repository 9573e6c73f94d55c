package text

import (
	"strconv"
	"strings"
	"unicode"
	"unicode/utf8"
)

// A pyToken is a token of Python's, as far as finding calls needs them apart.
type pyToken struct {
	kind byte // 'n' name, 's' string, '#' number, '\n' end of a line, or the operator's first character
	text string
	line int
}

// pySource is what was read of a source.
type pySource struct {
	isPython bool
	does     []pyFinding
}

type pyFinding struct {
	line int
	what string
}

func (f pyFinding) where() string { return "line " + strconv.Itoa(f.line) }

// maxPyFindings are enough to judge a source by.
const maxPyFindings = 20

// readPython splits a source into tokens and looks for what runs programs or
// code. Prose is told by two names side by side, which no Python has.
func readPython(src []byte) pySource {
	tokens, ok := lexPython(string(src))
	if !ok {
		return pySource{}
	}
	r := &pyReader{tokens: tokens, modules: map[string]string{}, names: map[string]string{}}
	r.read()
	return pySource{isPython: true, does: r.does}
}

// lexPython returns the tokens of a source, and whether it can be Python.
func lexPython(s string) (tokens []pyToken, ok bool) {
	line := 1
	var stack []byte
	add := func(kind byte, text string) { tokens = append(tokens, pyToken{kind, text, line}) }
	for i := 0; i < len(s); {
		c := s[i]
		switch {
		case c == '\n':
			if n := len(tokens); len(stack) == 0 && n > 0 && tokens[n-1].kind != '\n' {
				add('\n', "")
			}
			line++
			i++
		case c == ' ' || c == '\t' || c == '\r' || c == '\f':
			i++
		case c == '\\':
			if i+1 < len(s) && (s[i+1] == '\n' || s[i+1] == '\r') {
				i += 2
				line++
				continue
			}
			return nil, false
		case c == '#':
			n := strings.IndexByte(s[i:], '\n')
			if n < 0 {
				n = len(s) - i
			}
			i += n
		case c == '"' || c == '\'':
			text, n, lines, closed := pyString(s[i:])
			if !closed {
				return nil, false
			}
			add('s', text)
			line += lines
			i += n
		case c == '_' || c|0x20 >= 'a' && c|0x20 <= 'z' || c >= 0x80:
			n := 0
			for n < len(s)-i {
				r, size := utf8.DecodeRuneInString(s[i+n:])
				if r != '_' && !unicode.IsLetter(r) && !unicode.IsDigit(r) && !unicode.Is(unicode.M, r) {
					break
				}
				n += size
			}
			if n == 0 {
				return nil, false // punctuation of prose
			}
			name := s[i : i+n]
			i += n
			if i < len(s) && (s[i] == '"' || s[i] == '\'') && len(name) <= 2 && strings.Trim(strings.ToLower(name), "rbuft") == "" {
				text, n, lines, closed := pyString(s[i:])
				if !closed {
					return nil, false
				}
				if strings.ContainsAny(name, "fF") {
					formatFields(text, func(inner []pyToken) { tokens = append(tokens, inner...) }, line)
				}
				add('s', text)
				line += lines
				i += n
				continue
			}
			if n := len(tokens); n > 0 && !follows(tokens, name) {
				return nil, false
			}
			add('n', plainPython(name))
		case c >= '0' && c <= '9':
			n := 1
			for i+n < len(s) && (s[i+n] == '.' || s[i+n] == '_' || s[i+n]|0x20 >= 'a' && s[i+n]|0x20 <= 'z' || s[i+n] >= '0' && s[i+n] <= '9' ||
				(s[i+n] == '-' || s[i+n] == '+') && s[i+n-1]|0x20 == 'e' && s[i+1]|0x20 != 'x') {
				n++
			}
			add('#', s[i:i+n])
			i += n
		case strings.IndexByte("([{", c) >= 0:
			if len(stack) > 500 {
				return nil, false
			}
			stack = append(stack, c)
			add(c, "")
			i++
		case strings.IndexByte(")]}", c) >= 0:
			if n := len(stack); n == 0 || stack[n-1] != map[byte]byte{')': '(', ']': '[', '}': '{'}[c] {
				return nil, false
			}
			stack = stack[:len(stack)-1]
			add(c, "")
			i++
		case strings.IndexByte("+-*/%@&|^~<>=!.,:;", c) >= 0:
			if c == '=' && i+1 < len(s) && s[i+1] == '=' {
				add('~', "==")
				i += 2
				continue
			}
			if c == '!' && (i+1 == len(s) || s[i+1] != '=') {
				return nil, false
			}
			add(c, "")
			i++
		default: // $ ? ` and what is not printed
			return nil, false
		}
	}
	add('\n', "")
	return tokens, len(stack) == 0
}

// plainPython is the name that Python makes of an identifier in full width or
// mathematical letters (NFKC).
func plainPython(name string) string {
	for i := 0; i < len(name); i++ {
		if name[i] >= 0x80 {
			return normal(name)
		}
	}
	return name
}

func normal(name string) string {
	return strings.Map(func(c rune) rune {
		switch {
		case c >= 0xff21 && c <= 0xff5a:
			return c - 0xff21 + 'A'
		case c == 0xff3f:
			return '_'
		case c >= 0x1d400 && c <= 0x1d6a3:
			if n := (c - 0x1d400) % 52; n < 26 {
				return 'A' + n
			} else {
				return 'a' + n - 26
			}
		}
		return c
	}, name)
}

// formatFields reads the expressions in an f-string.
func formatFields(text string, add func([]pyToken), line int) {
	for range 64 {
		i := strings.IndexByte(text, '{')
		if i < 0 || i+1 >= len(text) {
			return
		}
		text = text[i+1:]
		if text[0] == '{' {
			text = text[1:]
			continue
		}
		end := strings.IndexByte(text, '}')
		if end < 0 {
			return
		}
		if inner, ok := lexPython(text[:end]); ok {
			for i := range inner {
				inner[i].line = line
			}
			add(append([]pyToken{{'(', "", line}}, append(inner, pyToken{')', "", line})...))
		}
		text = text[end:]
	}
}

// pyString reads a string from its quote on.
func pyString(s string) (text string, n, lines int, closed bool) {
	q := s[:1]
	long := strings.HasPrefix(s, strings.Repeat(q, 3))
	if long {
		q = s[:3]
	}
	for i := len(q); i < len(s); i++ {
		switch {
		case s[i] == '\\':
			if i+1 < len(s) && s[i+1] == '\n' {
				lines++
			}
			i++
		case s[i] == '\n':
			if !long {
				return "", 0, 0, false
			}
			lines++
		case strings.HasPrefix(s[i:], q):
			return s[len(q):i], i + len(q), lines, true
		}
	}
	return "", 0, 0, false
}

// follows says whether a name can stand behind the last token.
func follows(tokens []pyToken, name string) bool {
	last := tokens[len(tokens)-1]
	switch last.kind {
	case 'n':
		if isPyKeyword(last.text) || isPyKeyword(name) {
			return true
		}
		first := len(tokens) == 1 || tokens[len(tokens)-2].kind == '\n' || tokens[len(tokens)-2].kind == ':' || tokens[len(tokens)-2].kind == ';'
		return first && (last.text == "match" || last.text == "case" || last.text == "type" || last.text == "print" || last.text == "exec")
	case 's', '#', ')', ']', '}':
		return isPyKeyword(name)
	}
	return true
}

func isPyKeyword(s string) bool {
	switch s {
	case "False", "None", "True", "and", "as", "assert", "async", "await", "break", "class", "continue", "def", "del", "elif", "else", "except",
		"finally", "for", "from", "global", "if", "import", "in", "is", "lambda", "nonlocal", "not", "or", "pass", "raise", "return", "try",
		"while", "with", "yield":
		return true
	}
	return false
}
