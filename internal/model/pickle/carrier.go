package pickle

import (
	"unicode/utf8"

	"github.com/apexlogic/apex/internal/model/scan"
)

// maxCarried bounds bytes that are decoded to be looked into; what stands in
// the file as it is has no bound.
const maxCarried = 32 << 20

// costCarried is what handing bytes to all formats takes at least.
const costCarried = 5 * scan.CostMember

// bytesOf returns the bytes that a value is when it is loaded, where that can
// be said: constants, and what turns text into bytes. off is where they stand
// in the file, -1 for nowhere.
func (m *machine) bytesOf(v value) (file *scan.File, off int64, ok bool) {
	for range 4 { // BytesIO(bytes(encode(…)))
		switch v.kind {
		case isBytes:
			return m.in.file.Section(v.off, int64(v.n)), v.off, v.n < 1<<32-1
		case isText, isOwned:
			if m.latin1Opcode(v) {
				return m.in.file.Section(v.off, int64(v.n)), v.off, v.n < 1<<32-1
			}
			return nil, 0, false
		case isObject:
		default:
			return nil, 0, false
		}
		o := m.heap.get(v)
		if o.shape != aCall || o.fn == 0 {
			return nil, 0, false
		}
		inner := m.item(o.args, 0)
		switch g := &m.globals[o.fn-1]; g.String() {
		case "_codecs.encode":
			file, ok := m.encodedBytes(inner, m.item(o.args, 1))
			return file, -1, ok
		case "builtins.bytes", "builtins.bytearray":
			switch o.args.n {
			case 0:
				return scan.Bytes(nil), -1, true
			case 2:
				file, ok := m.encodedBytes(inner, m.item(o.args, 1))
				return file, -1, ok
			}
			v = inner
		case "io.BytesIO", "_io.BytesIO":
			v = inner
		default:
			return nil, 0, false
		}
	}
	return nil, 0, false
}

// latin1Opcode says whether the text came from an opcode of Python 2's str,
// and stands in the file as it is.
func (m *machine) latin1Opcode(v value) bool {
	return v.kind == isText && v.mark&markLatin1 != 0 && v.mark&markEscaped == 0
}

// encodedBytes is a text in an encoding.
func (m *machine) encodedBytes(v, encoding value) (*scan.File, bool) {
	latin := m.is(encoding, "latin1", "latin-1", "iso-8859-1")
	if !latin && !m.is(encoding, "utf-8", "utf8", "ascii") || v.kind != isText && v.kind != isOwned {
		return nil, false
	}
	if m.latin1Opcode(v) && latin {
		return m.in.file.Section(v.off, int64(v.n)), true
	}
	var text string
	switch {
	case v.kind == isOwned:
		text = m.texts[v.n]
	case v.n > maxCarried:
		return nil, false
	default:
		release, err := m.place.Hold(3 * int64(v.n))
		if err != nil {
			return nil, false
		}
		m.decoded = release
		if m.spendText(int64(v.n)) != nil {
			return nil, false
		}
		b, err := m.in.file.Read(v.off, int64(v.n))
		if err != nil {
			return nil, false
		}
		if v.mark&markEscaped != 0 {
			text = unescape(b, false)
		} else {
			text = string(b)
		}
	}
	if !latin {
		return scan.Bytes([]byte(text)), true
	}
	b := make([]byte, 0, len(text))
	for i := 0; i < len(text); {
		r, size := utf8.DecodeRuneInString(text[i:])
		if r > 0xff {
			return nil, false
		}
		b = append(b, byte(r))
		i += size
	}
	return scan.Bytes(b), true
}
