package bump

import "strings"

// pep508 reads a requirement that allows one version, "name[extra]==1.0;
// marker", with places relative to its beginning. ok is false for any other.
func pep508(text string) (p Pin, ok bool) {
	s := cursor{text: text}
	s.space()
	begin := s.at
	name := s.while(func(c byte) bool { return isAlphanumeric(c) || c == '-' || c == '_' || c == '.' })
	if name == "" || !isAlphanumeric(name[0]) || !isAlphanumeric(name[len(name)-1]) {
		return p, false
	}
	s.space()
	if s.take("[") {
		s.while(func(c byte) bool { return c != ']' })
		if !s.take("]") {
			return p, false
		}
		s.space()
	}
	s.take("(")
	specifiers := s.text[s.at:]
	if i := strings.IndexByte(specifiers, ';'); i >= 0 {
		specifiers = specifiers[:i]
	}
	// Of several conditions the first "==" names the version, as in the inventory.
	for at := s.at; ; {
		one, rest, more := strings.Cut(specifiers, ",")
		inner := cursor{text: one}
		inner.space()
		if inner.take("==") {
			inner.take("=")
			inner.space()
			start := inner.at
			version := inner.while(func(c byte) bool { return c != ' ' && c != '\t' && c != '\r' && c != ')' })
			inner.space()
			inner.take(")")
			inner.space()
			// What follows may only be options of pip.
			if !isVersion(version) || strings.ContainsAny(version, "~:") || inner.at < len(one) && !strings.HasPrefix(one[inner.at:], "--") {
				return p, false
			}
			p = Pin{Ecosystem: pypi, Name: name, Version: version, begin: begin, start: at + start, end: at + start + len(version)}
			if more || at > s.at {
				p.Held = "there are further conditions beside the version, which may not allow another"
			} else if i := strings.IndexByte(version, '+'); i >= 0 {
				p.Held = localLabel(version[i:])
			}
			return p, true
		}
		if !more {
			return p, false
		}
		at += len(one) + 1
		specifiers = rest
	}
}

// cursor reads a text from its beginning.
type cursor struct {
	text string
	at   int
}

func (s *cursor) while(is func(byte) bool) string {
	from := s.at
	for s.at < len(s.text) && is(s.text[s.at]) {
		s.at++
	}
	return s.text[from:s.at]
}

func (s *cursor) space() {
	s.while(func(c byte) bool { return c == ' ' || c == '\t' || c == '\r' })
}

func (s *cursor) take(word string) bool {
	if !strings.HasPrefix(s.text[s.at:], word) {
		return false
	}
	s.at += len(word)
	return true
}
