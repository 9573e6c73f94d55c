package image

import (
	"encoding/binary"

	"github.com/apexlogic/apex/internal/media"
	"github.com/apexlogic/apex/internal/media/format"
)

func isWebP(head []byte) bool {
	return len(head) >= 12 && string(head[:4]) == "RIFF" && string(head[8:12]) == "WEBP"
}

// webp is the walk of one file.
type webp struct {
	*format.Reader
	part          *media.Part
	extended      bool
	flags         byte
	width, height int64
	frames        int64
	pictures      int
	first         bool
}

// Flags of the chunk VP8X.
const (
	webpAnimated = 0x02
	webpXMP      = 0x04
	webpExif     = 0x08
)

func walkWebP(r *format.Reader, p *media.Part) error {
	w := &webp{Reader: r, part: p, first: true}
	n, err := r.Riff("WEBP")
	if err != nil {
		return err
	}
	if n&1 == 1 {
		return r.Malformed("the file's length is odd")
	}
	if err := r.RIFF(n, w.chunk); err != nil {
		return err
	}
	if w.pictures == 0 && w.frames == 0 {
		return r.Malformed("there are no pixels")
	}
	return r.End()
}

func (w *webp) chunk(id string, size int64) error {
	first := w.first
	w.first = false
	if first && id != "VP8 " && id != "VP8L" && id != "VP8X" {
		return w.Malformed("the first chunk is none that begins an image")
	}
	switch id {
	case "VP8X":
		if !first || size != 10 {
			return w.Malformed("the extended header stands where none can be")
		}
		return w.header()
	case "VP8 ", "VP8L":
		if w.pictures++; w.pictures > 1 || !first && !w.extended || w.flags&webpAnimated != 0 {
			return w.Malformed("there is a second picture")
		}
		return w.picture(id, size)
	case "ANMF":
		return w.frame(size)
	case "ANIM", "ALPH", "ICCP":
		return nil
	case "EXIF", "XMP ":
		data, whole, err := w.Keep(size)
		switch {
		case err != nil:
			return err
		case !whole:
			format.Unread(w.part)
		case id == "XMP ":
			format.XMP(w.part, data)
		default:
			if len(data) > 6 && string(data[:5]) == nameExif { // some writers copy JPEG's segment
				data = data[6:]
			}
			exif(w.part, data)
		}
		return nil
	}
	format.Comment(w.part, nil) // a maker's own
	return nil
}

func (w *webp) header() error {
	d, err := w.Next(10)
	if err != nil {
		return err
	}
	w.extended, w.flags = true, d[0]
	w.width, w.height = 1+little24(d[4:]), 1+little24(d[7:])
	return w.Picture(w.part, w.width, w.height, 1)
}

func little24(b []byte) int64 { return int64(b[0]) | int64(b[1])<<8 | int64(b[2])<<16 }

// picture reads the header of a bitstream: RFC 6386 section 9.1 (VP8, a key
// frame), RFC 9649 section 3 (VP8L).
func (w *webp) picture(id string, size int64) error {
	width, height, err := w.bitstream(id, size)
	if err != nil {
		return err
	}
	if w.extended && (width != w.width || height != w.height) {
		return w.Malformed("the picture has %d × %d pixels, the header says %d × %d", width, height, w.width, w.height)
	}
	w.width, w.height = width, height
	return w.Picture(w.part, width, height, 1)
}

func (w *webp) bitstream(id string, size int64) (width, height int64, err error) {
	need := int64(10)
	if id == "VP8L" {
		need = 5
	}
	if size < need {
		return 0, 0, w.Malformed("a picture has no header")
	}
	d, err := w.Next(int(need))
	if err != nil {
		return 0, 0, err
	}
	if id == "VP8L" {
		bits := binary.LittleEndian.Uint32(d[1:])
		if d[0] != 0x2f || bits>>29 != 0 {
			return 0, 0, w.Malformed("a picture is no lossless WebP")
		}
		return 1 + int64(bits&0x3fff), 1 + int64(bits>>14&0x3fff), nil
	}
	tag := little24(d)
	if tag&1 != 0 || string(d[3:6]) != "\x9d\x01\x2a" || tag>>5 > size-10 {
		return 0, 0, w.Malformed("a picture is no key frame of VP8")
	}
	return int64(binary.LittleEndian.Uint16(d[6:]) & 0x3fff), int64(binary.LittleEndian.Uint16(d[8:]) & 0x3fff), nil
}

// frame reads one frame of an animation, which is a list of chunks in itself.
func (w *webp) frame(size int64) error {
	if w.flags&webpAnimated == 0 || size < 16 {
		return w.Malformed("a frame of an animation stands where none can be")
	}
	d, err := w.Next(16)
	if err != nil {
		return err
	}
	x, y, width, height := 2*little24(d), 2*little24(d[3:]), 1+little24(d[6:]), 1+little24(d[9:])
	if x+width > w.width || y+height > w.height {
		return w.Malformed("a frame lies outside of the image")
	}
	w.frames++
	if err := w.Picture(w.part, w.width, w.height, w.frames); err != nil {
		return err
	}
	pictures := 0
	err = w.RIFF(size-16, func(id string, size int64) error {
		if id != "VP8 " && id != "VP8L" {
			return nil
		}
		if pictures++; pictures > 1 {
			return w.Malformed("a frame has two pictures")
		}
		fw, fh, err := w.bitstream(id, size)
		if err == nil && (fw != width || fh != height) {
			err = w.Malformed("a frame has %d × %d pixels, its header says %d × %d", fw, fh, width, height)
		}
		return err
	})
	if err == nil && pictures == 0 {
		err = w.Malformed("a frame has no picture")
	}
	return err
}
