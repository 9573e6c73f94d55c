package image

import (
	"bytes"
	"encoding/binary"
	"hash/crc32"

	"github.com/apexlogic/apex/internal/media"
	"github.com/apexlogic/apex/internal/media/format"
)

const (
	pngMagic = "\x89PNG\r\n\x1a\n"
	// pngChunks bounds the chunks of one file. Encoders write IDAT in pieces of
	// 8 KB and more.
	pngChunks = 1 << 16
)

// png is the walk of one file.
type png struct {
	*format.Reader
	part *media.Part

	width, height uint32
	header        bool
	palette       bool
	needPalette   bool
	data, ended   bool // IDAT began, and was followed by something else
	frames        uint32
	controls      uint32
	sequence      uint32
	animated      bool
	framed        bool // the last control waits for its data
}

func walkPNG(r *format.Reader, p *media.Part) error {
	if _, err := r.Next(len(pngMagic)); err != nil {
		return err
	}
	w := &png{Reader: r, part: p}
	for range pngChunks {
		last, err := w.chunk()
		if err != nil {
			return err
		}
		if last {
			return w.close()
		}
	}
	return r.Malformed("there are more than %d chunks", pngChunks)
}

// chunk reads one chunk with its checksum.
func (w *png) chunk() (last bool, err error) {
	at := w.Offset()
	h, err := w.Next(8)
	if err != nil {
		return false, err
	}
	length, id := binary.BigEndian.Uint32(h), string(h[4:])
	for _, c := range h[4:] {
		if c|0x20 < 'a' || c|0x20 > 'z' {
			return false, w.Malformed("the chunk at byte %d has no name", at)
		}
	}
	if length > 1<<31-1 {
		return false, w.Malformed("the chunk at byte %d declares %d bytes", at, length)
	}
	if !w.header && id != "IHDR" {
		return false, w.Malformed("the first chunk is not IHDR")
	}
	if w.data && id != "IDAT" {
		w.ended = true
	}
	crc := crc32.Update(0, crc32.IEEETable, h[4:])
	switch id {
	case "IDAT", "fdAT":
		crc, err = w.pixels(id, length, crc)
	default:
		crc, err = w.meta(id, length, crc)
	}
	if err != nil {
		return false, err
	}
	sum, err := w.Next(4)
	if err != nil {
		return false, err
	}
	if binary.BigEndian.Uint32(sum) != crc {
		return false, w.Malformed("the checksum of the chunk %s at byte %d is wrong", id, at)
	}
	return id == "IEND", nil
}

// pixels reads a chunk of compressed pixels.
func (w *png) pixels(id string, length, crc uint32) (uint32, error) {
	n := int64(length)
	switch {
	case id == "IDAT" && w.ended:
		return 0, w.Malformed("the chunks IDAT do not follow each other")
	case id == "IDAT" && w.needPalette && !w.palette:
		return 0, w.Malformed("an image with a palette has none")
	case id == "IDAT":
		w.data, w.framed = true, false
	case !w.animated || !w.data || n < 4:
		return 0, w.Malformed("a frame of an animation stands where none can be")
	default:
		s, err := w.Next(4)
		if err != nil {
			return 0, err
		}
		if binary.BigEndian.Uint32(s) != w.sequence {
			return 0, w.Malformed("the frames of the animation are not in order")
		}
		crc = crc32.Update(crc, crc32.IEEETable, s)
		w.sequence++
		w.framed = false
		n -= 4
	}
	err := w.Each(n, func(b []byte) { crc = crc32.Update(crc, crc32.IEEETable, b) })
	return crc, err
}

// meta reads any other chunk.
func (w *png) meta(id string, length, crc uint32) (uint32, error) {
	var data []byte
	n, whole := int64(length), false
	var err error
	if n > format.Kept {
		err = w.Each(n, func(b []byte) { crc = crc32.Update(crc, crc32.IEEETable, b) })
	} else if data, whole, err = w.Keep(n); err == nil {
		crc = crc32.Update(crc, crc32.IEEETable, data)
	}
	if err != nil {
		return 0, err
	}
	switch id {
	case "IHDR":
		err = w.ihdr(data)
	case "PLTE":
		if w.palette || w.data || n == 0 || n%3 != 0 || n > 768 {
			err = w.Malformed("the palette is not one")
		}
		w.palette = true
	case "IEND":
		if n != 0 {
			err = w.Malformed("the last chunk is not empty")
		}
	case "acTL":
		err = w.animation(data)
	case "fcTL":
		err = w.control(data)
	case "eXIf":
		if !whole {
			format.Unread(w.part)
		} else {
			exif(w.part, data)
		}
	case "tEXt", "zTXt", "iTXt":
		w.text(id, data, whole)
	case "tIME": // when the file was written, and by nobody
	default:
		if id[0]&0x20 == 0 { // critical: who does not know it cannot show the image
			err = w.Malformed("a critical chunk is none that PNG defines")
		}
	}
	return crc, err
}

func (w *png) ihdr(h []byte) error {
	if w.header || len(h) != 13 {
		return w.Malformed("the header of the image is not one")
	}
	w.header = true
	w.width, w.height = binary.BigEndian.Uint32(h), binary.BigEndian.Uint32(h[4:])
	depth, colour := h[8], h[9]
	w.needPalette = colour == 3
	allowed := map[byte]string{0: "\x01\x02\x04\x08\x10", 2: "\x08\x10", 3: "\x01\x02\x04\x08", 4: "\x08\x10", 6: "\x08\x10"}[colour]
	if bytes.IndexByte([]byte(allowed), depth) < 0 || h[10] != 0 || h[11] != 0 || h[12] > 1 {
		return w.Malformed("the header declares a way to store pixels that PNG does not define")
	}
	return w.Picture(w.part, int64(w.width), int64(w.height), 1)
}

func (w *png) animation(d []byte) error {
	if w.animated || w.data || len(d) != 8 {
		return w.Malformed("the animation's header stands where none can be")
	}
	w.animated, w.part.Type = true, "image/apng"
	if w.frames = binary.BigEndian.Uint32(d); w.frames == 0 {
		return w.Malformed("the animation has no frames")
	}
	return w.Picture(w.part, int64(w.width), int64(w.height), int64(w.frames))
}

func (w *png) control(d []byte) error {
	if !w.animated || len(d) != 26 || w.framed {
		return w.Malformed("the control of a frame stands where none can be")
	}
	field := func(at int) uint64 { return uint64(binary.BigEndian.Uint32(d[at:])) }
	switch {
	case field(0) != uint64(w.sequence):
		return w.Malformed("the frames of the animation are not in order")
	case field(4) == 0 || field(8) == 0 || field(4)+field(12) > uint64(w.width) || field(8)+field(16) > uint64(w.height):
		return w.Malformed("a frame lies outside of the image")
	}
	w.sequence++
	w.framed = true
	if w.controls++; w.controls > w.frames {
		return w.Malformed("the animation has more than the %d frames that it declares", w.frames)
	}
	return nil
}

// text notes what a text chunk carries; data are not unfolded.
func (w *png) text(id string, data []byte, whole bool) {
	key, rest, _ := bytes.Cut(data, []byte{0})
	switch {
	case !whole:
		format.Unread(w.part)
	case string(key) == "XML:com.adobe.xmp" && id == "iTXt" && len(rest) > 0 && rest[0] == 0:
		format.XMP(w.part, rest)
	case id == "zTXt" || id == "iTXt" && len(rest) > 0 && rest[0] != 0:
		format.Unread(w.part) // compressed
	case bytes.HasPrefix(key, []byte("Raw profile type")): // how ImageMagick keeps Exif and IPTC
		format.Unread(w.part)
	case string(key) == "Software" && !format.Markup(data):
	default:
		format.Comment(w.part, data)
	}
}

func (w *png) close() error {
	switch {
	case !w.data:
		return w.Malformed("there are no pixels")
	case w.controls != w.frames || w.framed:
		return w.Malformed("the animation has %d frames, and declares %d", w.controls, w.frames)
	}
	return w.End()
}
