package image

import (
	"encoding/binary"

	"github.com/apexlogic/apex/internal/media"
	"github.com/apexlogic/apex/internal/media/format"
)

// bmpHeaders are the sizes of the headers that there are: OS/2, Windows 3, with
// masks, version 4 and version 5.
var bmpHeaders = [...]uint32{12, 40, 52, 56, 64, 108, 124}

// isBMP recognises the header's size too: the magic is two letters.
func isBMP(head []byte) bool {
	if len(head) < 18 || string(head[:2]) != "BM" {
		return false
	}
	for _, n := range bmpHeaders {
		if binary.LittleEndian.Uint32(head[14:]) == n {
			return true
		}
	}
	return false
}

func walkBMP(r *format.Reader, p *media.Part) error {
	h, err := r.Next(18)
	if err != nil {
		return err
	}
	size, pixels, n := int64(binary.LittleEndian.Uint32(h[2:])), int64(binary.LittleEndian.Uint32(h[10:])), int(binary.LittleEndian.Uint32(h[14:]))
	if binary.LittleEndian.Uint32(h[6:]) != 0 {
		return r.Malformed("the reserved fields of the header are not zero")
	}
	if h, err = r.Next(n - 4); err != nil {
		return err
	}
	var width, height int64
	var planes, bits, packing, declared int64
	if n == 12 {
		width, height = int64(binary.LittleEndian.Uint16(h)), int64(binary.LittleEndian.Uint16(h[2:]))
		planes, bits = int64(binary.LittleEndian.Uint16(h[4:])), int64(binary.LittleEndian.Uint16(h[6:]))
	} else {
		width, height = int64(int32(binary.LittleEndian.Uint32(h))), int64(int32(binary.LittleEndian.Uint32(h[4:])))
		planes, bits = int64(binary.LittleEndian.Uint16(h[8:])), int64(binary.LittleEndian.Uint16(h[10:]))
		packing, declared = int64(binary.LittleEndian.Uint32(h[12:])), int64(binary.LittleEndian.Uint32(h[16:]))
	}
	height = max(height, -height)
	if err := r.Picture(p, width, height, 1); err != nil {
		return err
	}
	if planes != 1 || bits != 1 && bits != 2 && bits != 4 && bits != 8 && bits != 16 && bits != 24 && bits != 32 {
		return r.Malformed("the header declares a way to store pixels that BMP does not define")
	}
	length := (width*bits + 31) / 32 * 4 * height
	switch packing {
	case 0, 3, 6: // not packed
	case 1, 2: // run lengths: at least two bytes a row, and never more than the file
		if length = declared; length == 0 {
			return r.Malformed("packed pixels have no length")
		}
	default: // 4 and 5 are whole JPEG and PNG files
		return r.Malformed("the pixels are packed in a way that is not for files")
	}
	end := pixels + length
	if n == 124 {
		if kind := binary.LittleEndian.Uint32(h[56-4:]); kind == 0x4c494e4b { // "LINK": a path of a file
			return r.Malformed("the colour profile is a link to a file")
		}
		if at, m := int64(binary.LittleEndian.Uint32(h[112-4:])), int64(binary.LittleEndian.Uint32(h[116-4:])); m > 0 {
			if at+14 < end {
				return r.Malformed("the colour profile lies within the pixels")
			}
			if at+14 > end+3 {
				return r.Polyglot("between the pixels and the colour profile stands something else")
			}
			end = at + 14 + m
		}
	}
	const (
		slack   = 3       // bytes that writers pad with
		between = 1 << 12 // masks and a table of colours stand before the pixels
	)
	switch {
	case pixels < r.Offset() || pixels > r.Offset()+between:
		return r.Malformed("the pixels do not begin behind the header")
	case size != end && (size < end || size > end+slack):
		return r.Malformed("the header declares %d bytes, the image has %d", size, end)
	}
	if err := r.Skip(end - r.Offset()); err != nil {
		return err
	}
	pad, err := r.Peek(slack + 1)
	if err != nil {
		return err
	}
	if len(pad) <= slack && int64(len(pad)) == size-end {
		r.Advance(len(pad))
	}
	return r.End()
}
