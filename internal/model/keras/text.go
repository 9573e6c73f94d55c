package keras

import (
	"bytes"
	"unicode/utf16"
	"unicode/utf8"

	"github.com/apexlogic/apex/internal/model/scan"
)

// decode returns JSON as UTF-8, which Python's json.loads takes in UTF-8, -16
// and -32, with a mark of the byte order or without. grown says that the
// result is a copy. A head may end within a character.
func decode(b []byte, head bool) (text []byte, grown bool) {
	switch {
	case bytes.HasPrefix(b, []byte("\xef\xbb\xbf")):
		return b[3:], false
	case bytes.HasPrefix(b, []byte("\xff\xfe\x00\x00")):
		return wide(b[4:], 4, 0), true
	case bytes.HasPrefix(b, []byte("\x00\x00\xfe\xff")):
		return wide(b[4:], 4, 3), true
	case bytes.HasPrefix(b, []byte("\xff\xfe")):
		return wide(b[2:], 2, 0), true
	case bytes.HasPrefix(b, []byte("\xfe\xff")):
		return wide(b[2:], 2, 1), true
	case len(b) >= 4 && b[0] == 0 && b[1] == 0:
		return wide(b, 4, 3), true
	case len(b) >= 2 && b[0] == 0:
		return wide(b, 2, 1), true
	case len(b) >= 4 && b[1] == 0 && b[2] == 0 && b[3] == 0:
		return wide(b, 4, 0), true
	case len(b) >= 2 && b[1] == 0:
		return wide(b, 2, 0), true
	}
	return b, false
}

// wide decodes units of 2 or 4 bytes whose least byte is at the offset low.
func wide(b []byte, width, low int) []byte {
	text := make([]byte, 0, len(b)/2)
	unit := func(i int) (u uint32) {
		for j := range width {
			at := j
			if low != 0 {
				at = width - 1 - j
			}
			u |= uint32(b[i+at]) << (8 * j)
		}
		return u
	}
	for i := 0; i+width <= len(b); i += width {
		u := unit(i)
		if width == 2 && utf16.IsSurrogate(rune(u)) && i+2*width <= len(b) {
			if r := utf16.DecodeRune(rune(u), rune(unit(i+width))); r != utf8.RuneError {
				text = utf8.AppendRune(text, r)
				i += width
				continue
			}
		}
		text = utf8.AppendRune(text, rune(min(u, utf8.MaxRune+1)))
	}
	return text
}

// mentions says whether a piece of JSON seems to have the key that all objects
// of Keras have, with a string: as a word of a vocabulary it has a number. The
// letters of a key can be escaped, which no writer of JSON does.
func mentions(b []byte) bool {
	for _, odd := range []string{"c\x00l\x00a\x00s\x00s\x00_", `\u0063`, `\u006c`, `\u006C`, `\u0061`, `\u0073`, `\u005f`, `\u005F`, `\u006e`, `\u006E`, `\u006d`, `\u006D`, `\u0065`} {
		if bytes.Contains(b, []byte(odd)) {
			return true
		}
	}
	for {
		_, after, found := bytes.Cut(b, []byte(`"class_name"`))
		if !found {
			return false
		}
		value := bytes.TrimLeft(after, " \t\r\n:")
		if len(value) == 0 || value[0] == '"' {
			return true
		}
		b = after
	}
}

// search looks through a whole file for the key.
func search(p *scan.Place, f *scan.File) (bool, error) {
	const step, overlap = 1 << 20, 64
	for at := int64(0); at < f.Size(); at += step {
		n := min(step+overlap, f.Size()-at)
		if err := p.Spend(scan.Cost(n) * scan.CostRead * 2); err != nil {
			return false, err
		}
		b, err := f.Read(at, n)
		if err != nil || mentions(b) {
			return err == nil, err
		}
	}
	return false, nil
}
