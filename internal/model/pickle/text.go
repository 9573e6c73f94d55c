package pickle

import (
	"bytes"
	"strconv"
	"strings"
	"unicode/utf8"
)

// literal pushes the text of a STRING or UNICODE line.
func (m *machine) literal(off, n int64) error {
	v := value{kind: isText, mark: markLatin1}
	if m.op == opString {
		b, err := m.in.text(off, n)
		if err != nil {
			return err
		}
		if trimmed := bytes.TrimRight(b, " \t\r\x00"); int64(len(b)) == n {
			n = int64(len(trimmed)) // Python 2 does
		}
		last, err := m.in.text(off+max(n-1, 0), 1)
		if err != nil {
			return err
		}
		if n < 2 || b[0] != last[0] || b[0] != '\'' && b[0] != '"' {
			return broken("a STRING stands without quotes")
		}
		off, n = off+1, n-2
	}
	v.off, v.n = off, uint32(min(n, 1<<32-1))
	b, err := m.in.text(off, n)
	if err != nil {
		return err
	}
	switch {
	case bytes.IndexByte(b, '\\') < 0 && int64(len(b)) == n:
	case int64(len(b)) < n:
		v.mark |= markEscaped
	default:
		s := unescape(b, m.op == opString)
		if err := m.take(int64(len(s)) + 32); err != nil {
			return err
		}
		m.texts = append(m.texts, s)
		v = value{kind: isOwned, n: uint32(len(m.texts) - 1)}
		b = []byte(s)
	}
	if m.op == opUnicode && v.kind == isText {
		v.mark |= markLatin1
	}
	if bytes.HasPrefix(b, []byte("__")) {
		v.mark |= markDunder
	}
	return m.push(v)
}

// text returns what a string constant says, at most keptText bytes of it.
func (m *machine) text(v value) (string, error) {
	switch v.kind {
	case isOwned:
		return m.texts[v.n], m.spendText(int64(len(m.texts[v.n]) / 8))
	case isText, isBytes:
		if n := min(int64(v.n), keptText); v.mark&markEscaped != 0 {
			if err := m.spendText(n * 3); err != nil {
				return "", err
			}
		} else if err := m.spendText(n / 8); err != nil {
			return "", err
		}
		b, err := m.in.text(v.off, int64(v.n))
		if err != nil {
			return "", err
		}
		if v.mark&markEscaped != 0 {
			return unescape(b, false), nil
		}
		if v.mark&markLatin1 != 0 && !ascii(b) {
			var s strings.Builder
			for _, c := range b {
				latin1(&s, c)
			}
			return s.String(), nil
		}
		return string(b), nil
	}
	return "", nil
}

// is says whether a value is a string constant with one of the texts.
func (m *machine) is(v value, texts ...string) bool {
	if !v.isString() || v.n > 100 && v.kind != isOwned {
		return false
	}
	s, err := m.text(v)
	if err != nil {
		return false
	}
	for _, text := range texts {
		if s == text {
			return true
		}
	}
	return false
}

// unescape decodes what Python's escape_decode (of bytes) or
// raw-unicode-escape decodes. Code points stand as UTF-8, bytes as U+0000 to
// U+00FF. What no decoder takes stays as it is.
func unescape(b []byte, all bool) string {
	var s strings.Builder
	s.Grow(len(b))
	for i := 0; i < len(b); i++ {
		c := b[i]
		if c != '\\' || i+1 == len(b) {
			latin1(&s, c)
			continue
		}
		i++
		digits := map[byte]int{'u': 4, 'U': 8}[b[i]]
		if all {
			digits = 0
		}
		switch {
		case digits > 0:
			if r, ok := number(b[i+1:], digits, 16); ok && r <= utf8.MaxRune {
				s.WriteRune(r)
				i += digits
				continue
			}
			s.WriteByte('\\')
			latin1(&s, b[i])
		case !all:
			s.WriteByte('\\')
			latin1(&s, b[i])
		case b[i] == 'x':
			r, ok := number(b[i+1:], 2, 16)
			if !ok {
				s.WriteString(`\x`)
				continue
			}
			s.WriteRune(r)
			i += 2
		case b[i] >= '0' && b[i] <= '7':
			n := 1
			for n < 3 && i+n < len(b) && b[i+n] >= '0' && b[i+n] <= '7' {
				n++
			}
			r, _ := number(b[i:], n, 8)
			s.WriteRune(r & 0xff)
			i += n - 1
		default:
			if at := strings.IndexByte(`\'"abfnrtv`, b[i]); at >= 0 {
				s.WriteByte("\\'\"\a\b\f\n\r\t\v"[at])
				continue
			}
			s.WriteByte('\\')
			latin1(&s, b[i])
		}
	}
	return s.String()
}

func ascii(b []byte) bool {
	for _, c := range b {
		if c >= utf8.RuneSelf {
			return false
		}
	}
	return true
}

func latin1(s *strings.Builder, c byte) { s.WriteRune(rune(c)) }

func number(b []byte, digits, base int) (rune, bool) {
	if len(b) < digits {
		return 0, false
	}
	x, err := strconv.ParseUint(string(b[:digits]), base, 32)
	return rune(x), err == nil
}
