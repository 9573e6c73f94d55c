package body

import (
	"bytes"
	"encoding/binary"
	"math/bits"
	"unicode/utf16"
	"unicode/utf8"
)

const (
	ones   = 0x0101010101010101
	highs  = 0x8080808080808080
	quotes = '"' * ones
	slash  = '\\' * ones
	spaces = ' ' * ones
)

// special returns where, from i on, the next quote, backslash or control
// character stands, len(d) when there is none. The high bits of all say whether
// a byte before it is beyond ASCII.
func special(d []byte, i int) (at int, all uint64) {
	// Eight bytes at a time: what is looked for sets the high bit of its byte
	// (of the first of those in a word that is exact).
	for ; i+8 <= len(d); i += 8 {
		w := binary.LittleEndian.Uint64(d[i:])
		q, s := w^quotes, w^slash
		if found := ((q-ones)&^q | (s-ones)&^s | (w-spaces)&^w) & highs; found != 0 {
			n := bits.TrailingZeros64(found) / 8
			return i + n, all | w&(1<<(8*n)-1)
		}
		all |= w
	}
	for ; i < len(d); i++ {
		if c := d[i]; c == '"' || c == '\\' || c < ' ' {
			return i, all
		}
		all |= uint64(d[i])
	}
	return i, all
}

// text8 reads a string; the cursor is at its first quote. It returns the
// string unescaped, in the message's own memory when nothing was escaped.
func (p *Parser) text8() ([]byte, error) {
	start := p.at + 1
	i, all := special(p.data, start)
	if i == len(p.data) {
		return nil, p.malformed("a string has no end")
	}
	switch p.data[i] {
	case '"':
		s := p.data[start:i:i]
		if all&highs != 0 && !utf8.Valid(s) {
			return nil, p.malformed("a string is not valid UTF-8")
		}
		p.at = i + 1
		return s, nil
	case '\\':
		return p.unescape(start, i)
	}
	p.at = i
	return nil, p.malformed("a string holds a control character")
}

// unescape reads a string whose first escape is at i.
func (p *Parser) unescape(start, i int) ([]byte, error) {
	d := p.data
	end := i
	for {
		n := bytes.IndexByte(d[end:], '"')
		if n < 0 {
			return nil, p.malformed("a string has no end")
		}
		end += n
		back := 0
		for end-1-back >= i && d[end-1-back] == '\\' {
			back++
		}
		if back%2 == 0 {
			break
		}
		end++
	}
	out := p.arena.take(end - start)[:0]
	i = start // what stands before the first escape is checked with the rest
	var all uint64
	for i < end {
		from := i
		var beyond uint64
		i, beyond = special(d[:end], i)
		all |= beyond
		out = append(out, d[from:i]...)
		if i == end {
			break
		}
		if d[i] != '\\' { // within the string there is no quote without a backslash
			p.at = i
			return nil, p.malformed("a string holds a control character")
		}
		i++ // the backslash; d[i] is within the string, since the quote at end is not escaped
		switch c := d[i]; c {
		case '"', '\\', '/':
			out = append(out, c)
		case 'b':
			out = append(out, '\b')
		case 'f':
			out = append(out, '\f')
		case 'n':
			out = append(out, '\n')
		case 'r':
			out = append(out, '\r')
		case 't':
			out = append(out, '\t')
		case 'u':
			r, n, ok := unicodeEscape(d[i+1 : end])
			if !ok {
				p.at = i
				return nil, p.malformed("an escape stands for no character")
			}
			out = utf8.AppendRune(out, r)
			i += n
		default:
			p.at = i
			return nil, p.malformed("this escape is none of JSON's")
		}
		i++
	}
	if all&highs != 0 && !utf8.Valid(out) {
		return nil, p.malformed("a string is not valid UTF-8")
	}
	p.at = end + 1
	return out, nil
}

// unicodeEscape reads what follows \u: four hex digits, or a pair of
// surrogates. N is how many bytes it took.
func unicodeEscape(d []byte) (r rune, n int, ok bool) {
	hi, ok := hex4(d)
	if !ok {
		return 0, 0, false
	}
	if !utf16.IsSurrogate(hi) {
		return hi, 4, true
	}
	if len(d) < 10 || d[4] != '\\' || d[5] != 'u' {
		return 0, 0, false
	}
	lo, ok := hex4(d[6:])
	if !ok {
		return 0, 0, false
	}
	r = utf16.DecodeRune(hi, lo)
	return r, 10, r != utf8.RuneError
}

func hex4(d []byte) (r rune, ok bool) {
	if len(d) < 4 {
		return 0, false
	}
	for _, c := range d[:4] {
		switch {
		case '0' <= c && c <= '9':
			c -= '0'
		case 'a' <= c && c <= 'f':
			c -= 'a' - 10
		case 'A' <= c && c <= 'F':
			c -= 'A' - 10
		default:
			return 0, false
		}
		r = r<<4 | rune(c)
	}
	return r, true
}
