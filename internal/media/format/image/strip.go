package image

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"hash/crc32"
	"io"

	"github.com/apexlogic/apex/internal/media"
	"github.com/apexlogic/apex/internal/media/format"
)

// Keep says which metadata [StripMetadata] leaves in place beside what is
// needed to show the picture as it is: its colours and, for animations, its
// frames.
type Keep struct {
	// Orientation keeps how a camera was held, as an Exif block with nothing
	// else in it. Without it, a picture that was turned is shown lying.
	Orientation bool
}

// StripMetadata copies a PNG, JPEG or WebP image from src to dst without what
// it carries: Exif, XMP, IPTC, comments, thumbnails, makers' own blocks, and
// whatever follows its end, such as a second image that MPF names. The
// compressed pixels are copied byte for byte. It holds at most one block of
// metadata and one window of pixels of PNG and JPEG, and all of a WebP, whose
// header has to be written anew. An image that is malformed is refused; what was
// written until then must be thrown away.
func StripMetadata(dst io.Writer, src io.Reader, keep Keep, l *media.Limits) error {
	r := format.Open(src, "", l)
	defer r.Close()
	head, err := r.Peek(format.Head)
	if err != nil {
		return err
	}
	s := &stripper{Reader: r, dst: dst, keep: keep}
	switch {
	case begins(pngMagic)(head):
		err = s.png()
	case begins("\xff\xd8\xff")(head):
		err = s.jpeg()
	case isWebP(head):
		err = s.webp()
	default:
		return r.Malformed("metadata are taken out of PNG, JPEG and WebP only")
	}
	if err == nil {
		err = s.failed
	}
	return err
}

// Strippable reports whether StripMetadata takes images of a media type.
func Strippable(of string) bool {
	switch of {
	case "image/png", "image/apng", "image/jpeg", "image/webp":
		return true
	}
	return false
}

type stripper struct {
	*format.Reader
	dst    io.Writer
	keep   Keep
	failed error // of dst
}

func (s *stripper) write(b []byte) {
	if s.failed == nil {
		if _, err := s.dst.Write(b); err != nil {
			s.failed = fmt.Errorf("write the image: %w", err)
		}
	}
}

// oriented returns an Exif block with the orientation alone, nil when there is
// nothing to say.
func (s *stripper) oriented(exif []byte) []byte {
	o := orientation(exif)
	if !s.keep.Orientation || o < 2 {
		return nil
	}
	b := []byte("MM\x00*\x00\x00\x00\x08\x00\x01")
	b = binary.BigEndian.AppendUint16(b, tagOrientation)
	b = append(b, 0, 3, 0, 0, 0, 1)
	b = binary.BigEndian.AppendUint16(b, o)
	return append(b, 0, 0, 0, 0, 0, 0)
}

// pngKept are the chunks that say how the picture looks.
var pngKept = map[string]bool{
	"IHDR": true, "PLTE": true, "IDAT": true, "IEND": true, "tRNS": true, "gAMA": true, "cHRM": true, "sRGB": true, "iCCP": true, "sBIT": true,
	"cICP": true, "mDCV": true, "cLLI": true, "bKGD": true, "pHYs": true, "sPLT": true, "hIST": true, "acTL": true, "fcTL": true, "fdAT": true,
}

func (s *stripper) png() error {
	magic, err := s.Next(len(pngMagic))
	if err != nil {
		return err
	}
	s.write(magic)
	for range pngChunks {
		h, err := s.Peek(8)
		if err != nil {
			return err
		}
		if len(h) < 8 {
			return s.Truncated()
		}
		n, id := int64(binary.BigEndian.Uint32(h)), string(h[4:])
		switch {
		case n > 1<<31-1:
			return s.Malformed("a chunk declares %d bytes", n)
		case pngKept[id]:
			err = s.Each(12+n, s.write)
		case id == "eXIf" && n <= format.Kept:
			s.Advance(8)
			var data []byte
			if data, _, err = s.Reader.Keep(n); err != nil {
				return err
			}
			if e := s.oriented(data); e != nil {
				s.chunk("eXIf", e)
			}
			err = s.Skip(4)
		default:
			err = s.Skip(12 + n)
		}
		if err != nil || id == "IEND" {
			return err
		}
	}
	return s.Malformed("there are more than %d chunks", pngChunks)
}

// chunk writes a chunk of PNG.
func (s *stripper) chunk(id string, data []byte) {
	b := binary.BigEndian.AppendUint32(nil, uint32(len(data)))
	b = append(append(b, id...), data...)
	s.write(binary.BigEndian.AppendUint32(b, crc32.ChecksumIEEE(b[4:])))
}

func (s *stripper) jpeg() error {
	if _, err := s.Next(2); err != nil {
		return err
	}
	s.write([]byte{0xff, mSOI})
	w := &jpeg{Reader: s.Reader, part: &media.Part{}}
	turned := false
	for range jpegSegments {
		m, err := w.marker()
		if err != nil {
			return err
		}
		if m == mEOI {
			s.write([]byte{0xff, mEOI})
			return nil
		}
		if m < 0xc0 || 0xd0 <= m && m <= 0xd7 || m == mSOI {
			return s.Malformed("at byte %d stands the marker %02x, which no image needs there", s.Offset()-2, m)
		}
		h, err := s.Next(2)
		if err != nil {
			return err
		}
		n := int64(binary.BigEndian.Uint16(h)) - 2
		if n < 0 {
			return s.Malformed("the segment at byte %d has no length", s.Offset()-4)
		}
		data, _, err := s.Reader.Keep(n)
		if err != nil {
			return err
		}
		switch {
		case bytes.HasPrefix(data, []byte(nameExif)) && len(data) > 6 && m == mAPP0+1:
			if e := s.oriented(data[6:]); e != nil && !turned {
				turned = true
				s.segment(m, append([]byte(nameExif+"\x00"), e...))
			}
		case bytes.HasPrefix(data, []byte(nameJFIF)) && m == mAPP0 && len(data) >= 14:
			s.segment(m, append(bytes.Clone(data[:12]), 0, 0)) // without the thumbnail
		case m == mCOM || mAPP0 <= m && m <= mAPP15 && !bytes.HasPrefix(data, []byte(nameICC)) && !(m == mAPP0+14 && bytes.HasPrefix(data, []byte(nameAdobe))):
		default:
			s.segment(m, data)
		}
		if m == mSOS {
			if err := s.entropy(); err != nil {
				return err
			}
		}
	}
	return s.Malformed("there are more than %d segments", jpegSegments)
}

func (s *stripper) segment(m byte, data []byte) {
	b := binary.BigEndian.AppendUint16([]byte{0xff, m}, uint16(len(data)+2))
	s.write(append(b, data...))
}

// entropy copies the data of a scan up to the next marker.
func (s *stripper) entropy() error {
	for {
		b, err := s.Window()
		if err != nil {
			return err
		}
		if len(b) == 0 {
			return s.Truncated()
		}
		i := bytes.IndexByte(b, 0xff)
		if i != 0 {
			if i < 0 {
				i = len(b)
			}
			s.write(b[:i])
			s.Advance(i)
			continue
		}
		if b, err = s.Peek(2); err != nil {
			return err
		}
		if len(b) < 2 {
			return s.Truncated()
		}
		if b[1] != 0 && (b[1] < 0xd0 || b[1] > 0xd7) {
			return nil
		}
		s.write(b)
		s.Advance(2)
	}
}

// webp holds the image: the file's length stands at its beginning.
func (s *stripper) webp() error {
	n, err := s.Riff("WEBP")
	if err != nil {
		return err
	}
	var out bytes.Buffer
	header := -1 // where the flags are
	err = s.RIFF(n, func(id string, size int64) error {
		switch id {
		case "VP8X", "VP8 ", "VP8L", "ALPH", "ANIM", "ANMF", "ICCP":
			if id == "VP8X" {
				header = out.Len() + 8
			}
			riffHeader(&out, id, size)
			if err := s.Each(size, func(b []byte) { out.Write(b) }); err != nil {
				return err
			}
			if size&1 == 1 {
				out.WriteByte(0)
			}
		case "EXIF":
			data, _, err := s.Reader.Keep(size)
			if err != nil {
				return err
			}
			if bytes.HasPrefix(data, []byte(nameExif)) && len(data) > 6 {
				data = data[6:]
			}
			if e := s.oriented(data); e != nil {
				riffHeader(&out, id, int64(len(e)))
				out.Write(e)
				s.keep.Orientation = false // once
				if header >= 0 {
					out.Bytes()[header] |= 0x80 // marks it below
				}
			}
		}
		return nil
	})
	if err != nil {
		return err
	}
	if header >= 0 && header < out.Len() {
		f := out.Bytes()[header]
		oriented := f&0x80 != 0
		if f &^= 0x80 | webpXMP | webpExif; oriented {
			f |= webpExif
		}
		out.Bytes()[header] = f
	}
	var h bytes.Buffer
	riffHeader(&h, "RIFF", int64(out.Len()+4))
	h.WriteString("WEBP")
	s.write(h.Bytes())
	s.write(out.Bytes())
	return nil
}

func riffHeader(out *bytes.Buffer, id string, size int64) {
	out.WriteString(id)
	out.Write(binary.LittleEndian.AppendUint32(nil, uint32(size)))
}
