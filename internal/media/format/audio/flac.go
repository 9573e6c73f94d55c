package audio

import (
	"bytes"
	"sync"

	"github.com/apexlogic/apex/internal/media"
	"github.com/apexlogic/apex/internal/media/format"
)

func isFLAC(head []byte) bool { return bytes.HasPrefix(head, []byte("fLaC")) }

const (
	flacBlocks = 1024
	// flacLastFrame bounds the last frame, which is checked where it stands. The
	// largest of an ordinary encoder (4,608 samples) has 28 KB in stereo.
	flacLastFrame = 64 << 10
)

// flac is the walk of one file.
type flac struct {
	*format.Reader
	part *media.Part

	rate, channels, total int64
	variable              bool
	frames, samples       int64
	last                  int64 // where the last frame began
	bits                  int   // of a sample
	header, block         int   // of the last frame: bytes of its header, samples
}

func walkFLAC(r *format.Reader, p *media.Part) error {
	w := &flac{Reader: r, part: p}
	if _, err := r.Next(4); err != nil {
		return err
	}
	for n := 0; ; n++ {
		if n == flacBlocks {
			return r.Malformed("there are more than %d blocks of metadata", flacBlocks)
		}
		h, err := r.Next(4)
		if err != nil {
			return err
		}
		last, kind, size := h[0]&0x80 != 0, h[0]&0x7f, int64(h[1])<<16|int64(h[2])<<8|int64(h[3])
		if (n == 0) != (kind == 0) {
			return r.Malformed("the first block of metadata is not the only description of the stream")
		}
		if err := w.metadata(kind, size); err != nil {
			return err
		}
		if last {
			break
		}
	}
	if err := w.audio(); err != nil {
		return err
	}
	if w.total > 0 && w.samples != w.total {
		return r.Malformed("the stream declares %d samples, its frames have %d", w.total, w.samples)
	}
	return r.Sound(p, w.rate, w.channels, w.samples)
}

// metadata reads one block (RFC 9639 section 8).
func (w *flac) metadata(kind byte, size int64) error {
	switch kind {
	case 0:
		if size != 34 {
			return w.Malformed("the description of the stream is not one")
		}
		d, err := w.Next(34)
		if err != nil {
			return err
		}
		w.rate = int64(d[10])<<12 | int64(d[11])<<4 | int64(d[12]>>4)
		w.channels = int64(d[12]>>1&7) + 1
		w.bits = int(d[12]&1)<<4 | int(d[13]>>4) + 1
		w.total = int64(d[13]&15)<<32 | int64(d[14])<<24 | int64(d[15])<<16 | int64(d[16])<<8 | int64(d[17])
		return w.Sound(w.part, w.rate, w.channels, w.total)
	case 4:
		d, whole, err := w.Keep(size)
		if err == nil && !whole {
			format.Unread(w.part)
		}
		vorbisComment(w.part, d)
		return err
	case 6:
		w.part.Carries |= media.Thumbnail
	case 1, 3, 5: // padding, seek table, cue sheet
	case 127:
		return w.Malformed("there is a block that FLAC forbids")
	default:
		format.Comment(w.part, nil)
	}
	return w.Skip(size)
}

// vorbisComment notes what comments carry (Vorbis I section 5): who, where, and
// pictures in base64.
func vorbisComment(p *media.Part, d []byte) {
	upper := bytes.ToUpper(d)
	for _, name := range []string{"ARTIST=", "PERFORMER=", "CONTACT=", "COPYRIGHT=", "DESCRIPTION=", "COMMENT=", "ORGANIZATION=", "AUTHOR=", "COMPOSER="} {
		if bytes.Contains(upper, []byte(name)) {
			p.Carries |= media.Personal
		}
	}
	if bytes.Contains(upper, []byte("LOCATION=")) || bytes.Contains(upper, []byte("GEO=")) {
		p.Carries |= media.Location
	}
	if bytes.Contains(upper, []byte("METADATA_BLOCK_PICTURE=")) || bytes.Contains(upper, []byte("COVERART=")) {
		p.Carries |= media.Thumbnail
	}
	if format.Markup(d) {
		p.Carries |= media.Script
	}
}

// flacHeader is the longest header of a frame.
const flacHeader = 16

// audio walks the frames. A frame has no length, so the next one is found by
// its header: 15 bits to begin with, a number that has to be the next, and a
// checksum. That data look like all of it is not to be expected; that a file
// hides something behind the last frame is, so that one's checksum is made.
func (w *flac) audio() error {
	h, err := w.Peek(flacHeader)
	if err != nil {
		return err
	}
	n, ok := w.frame(h)
	if !ok {
		return w.Malformed("at byte %d stands no frame of audio", w.Offset())
	}
	for {
		w.last = w.Offset()
		w.Advance(n)
		for {
			b, err := w.Window()
			if err != nil {
				return err
			}
			if len(b) == 0 {
				return w.checkLast()
			}
			i := bytes.IndexByte(b, 0xff)
			if i < 0 {
				w.Advance(len(b))
				continue
			}
			if i+1 < len(b) && b[i+1]&0xfe != 0xf8 {
				w.Advance(i + 1)
				continue
			}
			w.Advance(i)
			if h, err = w.Peek(flacHeader); err != nil {
				return err
			}
			if n, ok = w.frame(h); ok {
				break
			}
			w.Advance(1)
		}
	}
}

// frame reads a frame's header and counts the frame (RFC 9639 section 9.1).
func (w *flac) frame(h []byte) (int, bool) {
	if len(h) < 6 || h[0] != 0xff || h[1]&0xfe != 0xf8 || w.frames > 0 && (h[1]&1 == 1) != w.variable {
		return 0, false
	}
	if h[2]>>4 == 0 || h[2]&15 == 15 || h[3]>>4 > 10 || h[3]&1 != 0 {
		return 0, false
	}
	number, n := coded(h[4:])
	if n == 0 {
		return 0, false
	}
	n += 4
	var block int64
	switch code := h[2] >> 4; {
	case code == 1:
		block = 192
	case code <= 5:
		block = 576 << (code - 2)
	case code == 6 && len(h) > n:
		block = int64(h[n]) + 1
		n++
	case code == 7 && len(h) > n+1:
		block = int64(h[n])<<8 | int64(h[n+1]) + 1
		n += 2
	case code >= 8:
		block = 256 << (code - 8)
	default:
		return 0, false
	}
	switch h[2] & 15 {
	case 12:
		n++
	case 13, 14:
		n += 2
	}
	if len(h) <= n || crc8(h[:n]) != h[n] {
		return 0, false
	}
	variable := h[1]&1 == 1
	if variable && number != w.samples || !variable && number != w.frames {
		return 0, false
	}
	w.variable = variable
	w.frames++
	w.samples += block
	w.header, w.block = n+1, int(block)
	return n + 1, true
}

// coded reads a number that is coded as UTF-8 does, with up to seven bytes.
func coded(b []byte) (v int64, n int) {
	lead := 0
	for lead < 8 && b[0]<<lead&0x80 != 0 {
		lead++
	}
	switch {
	case lead == 0:
		return int64(b[0]), 1
	case lead == 1 || lead == 8 || len(b) < lead:
		return 0, 0
	}
	v = int64(b[0] & (0x7f >> lead))
	for _, c := range b[1:lead] {
		if c&0xc0 != 0x80 {
			return 0, 0
		}
		v = v<<6 | int64(c&0x3f)
	}
	return v, lead
}

// checkLast holds the last frame to its checksum, and to the length that its
// subframes have.
func (w *flac) checkLast() error {
	size := w.Offset() - w.last
	first, second := w.Tail()
	if size < 8 || size > flacLastFrame || size > int64(len(first)+len(second)) {
		return w.Malformed("the last frame has %d bytes, allowed are %d: the stream is cut off, or goes on after its end", size, flacLastFrame)
	}
	frame := second[max(0, int64(len(second))-size):]
	if n := size - int64(len(second)); n > 0 {
		frame = append(append(make([]byte, 0, size), first[int64(len(first))-n:]...), second...)
	}
	if n, ok := w.frameLength(frame); !ok || n != len(frame) {
		return w.Malformed("the last frame is cut off, or the stream goes on after its end")
	}
	if crc16(0, frame) != 0 { // a checksum over its own is zero
		return w.Malformed("the checksum of the last frame is wrong")
	}
	return nil
}

// crc8 has the polynomial x^8 + x^2 + x + 1.
func crc8(b []byte) (sum byte) {
	for _, c := range b {
		sum ^= c
		for range 8 {
			if sum&0x80 != 0 {
				sum = sum<<1 ^ 0x07
			} else {
				sum <<= 1
			}
		}
	}
	return sum
}

var crc16Table = sync.OnceValue(func() *[256]uint16 {
	var t [256]uint16
	for i := range t {
		c := uint16(i) << 8
		for range 8 {
			if c&0x8000 != 0 {
				c = c<<1 ^ 0x8005
			} else {
				c <<= 1
			}
		}
		t[i] = c
	}
	return &t
})

// crc16 has the polynomial x^16 + x^15 + x^2 + 1.
func crc16(sum uint16, b []byte) uint16 {
	t := crc16Table()
	for _, c := range b {
		sum = sum<<8 ^ t[byte(sum>>8)^c]
	}
	return sum
}
