package image

import (
	"encoding/binary"

	"github.com/apexlogic/apex/internal/media"
	"github.com/apexlogic/apex/internal/media/format"
)

// gifBlocks bounds extensions, which are not frames.
const gifBlocks = 1 << 14

func walkGIF(r *format.Reader, p *media.Part) error {
	h, err := r.Next(13)
	if err != nil {
		return err
	}
	width, height, flags := int64(binary.LittleEndian.Uint16(h[6:])), int64(binary.LittleEndian.Uint16(h[8:])), h[10]
	if err := r.Picture(p, width, height, 1); err != nil {
		return err
	}
	if err := r.Skip(gifColours(flags)); err != nil {
		return err
	}
	frames := int64(0)
	for blocks := 0; ; blocks++ {
		at := r.Offset()
		b, err := r.Next(1)
		if err != nil {
			return err
		}
		switch b[0] {
		case 0x21:
			if blocks-int(frames) > gifBlocks {
				return r.Malformed("there are more than %d extensions", gifBlocks)
			}
			err = gifExtension(r, p)
		case 0x2c:
			frames++
			if err = r.Picture(p, width, height, frames); err == nil {
				err = gifFrame(r, width, height)
			}
		case 0x3b:
			if frames == 0 {
				return r.Malformed("there are no pixels")
			}
			return r.End()
		default:
			return r.Malformed("at byte %d stands no block", at)
		}
		if err != nil {
			return err
		}
	}
}

// gifColours is the size of a table of colours.
func gifColours(flags byte) int64 {
	if flags&0x80 == 0 {
		return 0
	}
	return 3 << (flags&7 + 1)
}

func gifFrame(r *format.Reader, width, height int64) error {
	d, err := r.Next(9)
	if err != nil {
		return err
	}
	at := func(i int) int64 { return int64(binary.LittleEndian.Uint16(d[i:])) }
	if at(4) == 0 || at(6) == 0 || at(0)+at(4) > width || at(2)+at(6) > height {
		return r.Malformed("a frame lies outside of the image")
	}
	if err := r.Skip(gifColours(d[8])); err != nil {
		return err
	}
	size, err := r.Next(1)
	if err != nil {
		return err
	}
	if size[0] < 1 || size[0] > 8 {
		return r.Malformed("the frame's codes begin with %d bits, 1 to 8 are possible", size[0])
	}
	n, err := gifData(r, nil)
	if err == nil && n == 0 {
		err = r.Malformed("a frame has no pixels")
	}
	return err
}

// gifData reads blocks of data to the empty one, and returns their length.
func gifData(r *format.Reader, each func([]byte)) (n int64, err error) {
	for {
		b, err := r.Next(1)
		if err != nil || b[0] == 0 {
			return n, err
		}
		n += int64(b[0])
		if b, err = r.Next(int(b[0])); err != nil {
			return n, err
		}
		if each != nil {
			each(b)
		}
	}
}

func gifExtension(r *format.Reader, p *media.Part) error {
	label, err := r.Next(1)
	if err != nil {
		return err
	}
	var head []byte
	keep := func(b []byte) { head = append(head, b[:min(len(b), format.Head-len(head))]...) }
	switch label[0] {
	case 0xf9: // graphic control
		_, err = gifData(r, nil)
		return err
	case 0xfe, 0x01: // comment, plain text
		_, err = gifData(r, keep)
		format.Comment(p, head)
		return err
	case 0xff: // application
		n, err := gifData(r, keep)
		if len(head) < 11 {
			return r.Malformed("an application's extension has no name")
		}
		switch string(head[:11]) {
		case "NETSCAPE2.0", "ANIMEXTS1.0", "ICCRGBG1012":
		case "XMP DataXMP": // written as if the packet were blocks; who skips it reads the same bytes
			format.XMP(p, head)
			p.Carries |= media.Personal
			if n > int64(len(head)) {
				format.Unread(p)
			}
		default:
			format.Comment(p, head)
		}
		return err
	}
	return r.Malformed("there is an extension that GIF does not define")
}
