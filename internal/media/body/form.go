package body

import (
	"bytes"
	"strconv"
	"unicode/utf8"

	"github.com/apexlogic/apex/verdict"
)

func validText(b []byte) bool { return utf8.Valid(b) && !bytes.HasPrefix(b, bom) }

// readForm reads application/x-www-form-urlencoded (WHATWG URL, section 5.1),
// but refuses what its parser would repair.
func readForm(p *Parser, m Message, _ map[string]string) error {
	rest := m.Data
	for n := 0; len(rest) > 0; n++ {
		if n >= p.limits.Values {
			return p.refuse(verdict.BodyLimit, "the form has more than %d fields", p.limits.Values)
		}
		pair, after, more := bytes.Cut(rest, []byte("&"))
		rest = after
		if len(pair) == 0 || more && len(after) == 0 {
			return p.refuse(verdict.BodyMalformed, "the form has an empty field")
		}
		name, value, _ := bytes.Cut(pair, []byte("="))
		if bytes.IndexByte(pair, ';') >= 0 { // some readers end a field there
			return p.refuse(verdict.BodyAmbiguous, "the form has a semicolon that is not written as %%3B")
		}
		name, ok := p.percent(name)
		if !ok {
			return p.refuse(verdict.BodyMalformed, "a field's name is not valid percent-encoded UTF-8")
		}
		if value, ok = p.percent(value); !ok {
			return p.refuse(verdict.BodyMalformed, "a field's value is not valid percent-encoded UTF-8")
		}
		if err := p.field(name, value); err != nil {
			return err
		}
	}
	return nil
}

// percent decodes a name or a value of a form.
func (p *Parser) percent(s []byte) ([]byte, bool) {
	if bytes.IndexByte(s, '%') < 0 && bytes.IndexByte(s, '+') < 0 {
		return s, validText(s)
	}
	out := p.arena.take(len(s))[:0]
	for i := 0; i < len(s); i++ {
		switch s[i] {
		case '+':
			out = append(out, ' ')
		case '%':
			if i+3 > len(s) {
				return nil, false
			}
			c, ok := hex2(s[i+1], s[i+2])
			if !ok {
				return nil, false
			}
			out = append(out, c)
			i += 2
		default:
			out = append(out, s[i])
		}
	}
	return out, validText(out)
}

func hex2(hi, lo byte) (byte, bool) {
	r, ok := hex4([]byte{'0', '0', hi, lo})
	return byte(r), ok
}

// field keeps a field of a form. A field that steers may be there once only.
func (p *Parser) field(name, value []byte) error {
	if len(name) > p.limits.KeyBytes {
		return p.refuse(verdict.BodyLimit, "a field's name has more than %d bytes", p.limits.KeyBytes)
	}
	p.path = p.path[:0]
	p.pushKey(name)
	defer p.pop(0)
	at, mistaken := p.fieldPlace(name)
	if mistaken != "" {
		return p.refuse(verdict.BodyAmbiguous, "a field is nearly %q: some readers would take one for the other", mistaken)
	}
	if at == elsewhere {
		if err := p.addControl(name); err != nil {
			return err
		}
	}
	if at.is == text {
		return p.addText(value)
	}
	if p.api.fetched && (at == elsewhere || at.is == bare || at.is == kept) && isFetched(value) {
		return p.refuse(verdict.MediaAddress, "a field of a form names content by an address")
	}
	if at.is == outside {
		return p.refuse(verdict.BodyOutside, "it names what the message does not hold, which nobody has looked at")
	}
	switch at.is {
	case model, stream, choices, maxTokens, ranked:
		for _, k := range p.keys {
			if bytes.Equal(k, name) {
				return p.refuse(verdict.BodyAmbiguous, "a field is there twice: readers differ in which of the two counts")
			}
		}
		p.keys = append(p.keys, name)
	}
	switch at.is {
	case model:
		p.body.Model = p.arena.text(value)
	case stream:
		p.body.Stream = !bytes.EqualFold(value, []byte("false")) && string(value) != "0"
	case kept:
		p.keep(at.of)
	case ranked:
		switch n, err := strconv.ParseInt(string(value), 10, 64); {
		case string(value) == "true" || string(value) == "false":
		case err != nil:
			return p.refuse(verdict.BodyMalformed, "a field is neither a whole number nor true or false")
		case n < 0 || n > maxRanked:
			return p.refuse(verdict.BodyLimit, "each token is to be told with others, of which 0 to %d may be asked for", maxRanked)
		}
	case choices, maxTokens:
		n, err := strconv.ParseInt(string(value), 10, 64)
		if err != nil || n < 0 {
			return p.refuse(verdict.BodyMalformed, "a field is not a whole number from 0 on")
		}
		p.number64(at, n)
	}
	return p.addControl(value)
}

// fieldPlace finds what a field is. Mistaken is the known field that some readers
// would take it for: they ignore case, take name[] for one of several values and
// name[key] for a member, drop spaces, and end a name at NUL.
func (p *Parser) fieldPlace(name []byte) (at *place, mistaken string) {
	if at, known := p.api.fields[string(name)]; known {
		return at, ""
	}
	folded := string(stem(fold(nil, name)))
	for known := range p.api.fields {
		if string(stem(fold(nil, []byte(known)))) == folded {
			return nil, known
		}
	}
	return elsewhere, ""
}

// stem is what of a field's name some readers go by.
func stem(name []byte) []byte {
	if n := bytes.IndexAny(name, "[\x00"); n > 0 {
		name = name[:n]
	}
	return bytes.TrimSpace(name)
}
