package body

import (
	"encoding/binary"
	"io"
	"sync"

	vector "github.com/segmentio/asm/base64"

	"github.com/apexlogic/apex/verdict"
)

// decoder reads base64 (RFC 4648 section 4: the standard alphabet, with its
// padding, the unused bits zero, and nothing in between) straight into the
// reader's buffer.
type decoder struct {
	src  []byte
	held [3]byte // decoded bytes that did not fit
	n    int     // how many of held, from its end
	bad  bool
}

// size is how many bytes come out, if it is base64 at all.
func (d *decoder) size() int64 {
	n := len(d.src) / 4 * 3
	for i := len(d.src) - 1; i >= 0 && i >= len(d.src)-2 && d.src[i] == '='; i-- {
		n--
	}
	return int64(n)
}

// errBase64 ends a reading; the parser says where.
var errBase64 = io.ErrUnexpectedEOF

// manyGroups is from how many on vector instructions are asked: below, their
// package reads one by one too.
const manyGroups = 16

// invalid marks a character that is not of the alphabet.
const invalid = 0x80000000

// tables hold each character's six bits, in place for the first to the fourth
// of a group.
type tables [4][256]uint32

var alphabet = sync.OnceValue(func() *tables {
	const chars = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/"
	var t tables
	for at := range t {
		for c := range t[at] {
			t[at][c] = invalid
		}
		for v, c := range []byte(chars) {
			t[at][c] = uint32(v) << (26 - 6*at) >> 1 // the top bit stays free for invalid
		}
	}
	return &t
})

// Read fills dst as far as there is something.
func (d *decoder) Read(dst []byte) (int, error) {
	if d.bad {
		return 0, errBase64
	}
	n := 0
	if d.n > 0 {
		n = copy(dst, d.held[3-d.n:])
		d.n -= n
		if n == len(dst) {
			return n, nil
		}
	}
	if len(d.src) == 0 {
		if n > 0 {
			return n, nil
		}
		return 0, io.EOF
	}
	t := alphabet()
	src := d.src
	// Many groups at once in vector instructions, but not the last. What they do
	// not read whole (they pass over line ends) is read below, and refused there.
	if groups := min((len(src)-5)/4, (len(dst)-n)/3); groups >= manyGroups {
		if m, err := vector.StdEncoding.Decode(dst[n:n+3*groups], src[:4*groups]); err == nil && m == 3*groups {
			n, src = n+m, src[4*groups:]
		}
	}
	// The last group may be padded and is read apart. Four bytes are written
	// for three, so the loop stops one byte early.
	for len(src) > 8 && len(dst)-n >= 8 {
		a := t[0][src[0]] | t[1][src[1]] | t[2][src[2]] | t[3][src[3]]
		b := t[0][src[4]] | t[1][src[5]] | t[2][src[6]] | t[3][src[7]]
		if (a|b)&invalid != 0 {
			d.bad = true
			return n, errBase64
		}
		binary.BigEndian.PutUint64(dst[n:], uint64(a)<<33|uint64(b)<<9)
		n += 6
		src = src[8:]
	}
	for len(src) > 4 && len(dst)-n >= 3 {
		a := t[0][src[0]] | t[1][src[1]] | t[2][src[2]] | t[3][src[3]]
		if a&invalid != 0 {
			d.bad = true
			return n, errBase64
		}
		dst[n], dst[n+1], dst[n+2] = byte(a>>23), byte(a>>15), byte(a>>7)
		n += 3
		src = src[4:]
	}
	d.src = src
	if n == len(dst) || n > 0 && len(src) > 4 {
		return n, nil
	}
	size, ok := d.group(t)
	if !ok {
		d.bad = true
		return n, errBase64
	}
	m := copy(dst[n:], d.held[3-size:])
	d.n = size - m
	return n + m, nil
}

// group reads one group, perhaps the padded last, into the end of held.
func (d *decoder) group(t *tables) (size int, ok bool) {
	if len(d.src) < 4 {
		return 0, false
	}
	g := d.src[:4]
	last := len(d.src) == 4
	d.src = d.src[4:]
	size = 3
	if last && g[3] == '=' {
		size = 2
		if g[2] == '=' {
			size = 1
		}
	}
	a := t[0][g[0]] | t[1][g[1]]
	if size > 1 {
		a |= t[2][g[2]]
	}
	if size > 2 {
		a |= t[3][g[3]]
	}
	if a&invalid != 0 {
		return 0, false
	}
	decoded := [3]byte{byte(a >> 23), byte(a >> 15), byte(a >> 7)}
	for _, unused := range decoded[size:] {
		if unused != 0 {
			return 0, false // bits that stand for nothing: two spellings of one content
		}
	}
	copy(d.held[3-size:], decoded[:size])
	return size, true
}

// decode has base64 described.
func (p *Parser) decode(src []byte, declared string) error {
	p.coder = decoder{src: src}
	if n := p.coder.size(); n > p.limits.PartBytes {
		return p.refuse(verdict.BodyLimit, "a part has %d bytes, allowed are %d", n, p.limits.PartBytes)
	}
	if len(src) == 0 {
		return p.refuse(verdict.MediaEncoding, "a part is empty")
	}
	err := p.describe(&p.coder, src, declared)
	if p.coder.bad {
		return p.refuse(verdict.MediaEncoding, "the content is not base64 from its first to its last character")
	}
	if err == nil && (len(p.coder.src) > 0 || p.coder.n > 0) {
		return p.refuse(verdict.Internal, "a part was not read to its end")
	}
	return err
}
