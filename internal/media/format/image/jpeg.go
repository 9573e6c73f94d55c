package image

import (
	"bytes"
	"encoding/binary"

	"github.com/apexlogic/apex/internal/media"
	"github.com/apexlogic/apex/internal/media/format"
)

const (
	// jpegScans bounds the scans: each one makes a decoder go over the whole
	// image again. Encoders write about ten for a progressive image.
	jpegScans = 100
	// jpegSegments bounds the segments.
	jpegSegments = 4096

	mSOI, mEOI, mSOS, mDQT, mDNL, mDRI, mDHP, mEXP, mCOM = 0xd8, 0xd9, 0xda, 0xdb, 0xdc, 0xdd, 0xde, 0xdf, 0xfe
	mDHT, mJPG, mDAC, mTEM                               = 0xc4, 0xc8, 0xcc, 0x01
	mAPP0, mAPP15                                        = 0xe0, 0xef
)

// jpeg is the walk of one file.
type jpeg struct {
	*format.Reader
	part       *media.Part
	components int
	scans      int
	pictures   []picture // all of the file, when a directory names them
	inner      bool      // this one is named by the first one's directory
}

func walkJPEG(r *format.Reader, p *media.Part) error {
	w := &jpeg{Reader: r, part: p}
	if err := w.image(); err != nil {
		return err
	}
	if err := w.others(); err != nil {
		return err
	}
	return r.End()
}

// image reads one image, from its first marker to its last.
func (w *jpeg) image() error {
	if _, err := w.Next(2); err != nil {
		return err
	}
	for range jpegSegments {
		marker, err := w.marker()
		if err != nil {
			return err
		}
		if marker == mEOI {
			if w.scans == 0 {
				return w.Malformed("there are no pixels")
			}
			return nil
		}
		if err := w.segment(marker); err != nil {
			return err
		}
	}
	return w.Malformed("there are more than %d segments", jpegSegments)
}

// marker reads a marker, with the bytes that may fill the space before it.
func (w *jpeg) marker() (byte, error) {
	at := w.Offset()
	b, err := w.Next(2)
	if err != nil {
		return 0, err
	}
	if b[0] != 0xff {
		return 0, w.Malformed("at byte %d stands no marker", at)
	}
	m := b[1]
	for m == 0xff {
		if b, err = w.Next(1); err != nil {
			return 0, err
		}
		m = b[0]
	}
	return m, nil
}

// segment reads what follows a marker.
func (w *jpeg) segment(m byte) error {
	at := w.Offset() - 2
	switch {
	case m == mDNL || m == mDHP || m == mEXP || m == mJPG || m == mSOI || m < 0xc0 || 0xd0 <= m && m <= 0xd7 || 0xf0 <= m && m < mCOM || m == 0xff:
		return w.Malformed("at byte %d stands the marker %02x, which no image needs there", at, m)
	}
	h, err := w.Next(2)
	if err != nil {
		return err
	}
	n := int64(binary.BigEndian.Uint16(h)) - 2
	if n < 0 {
		return w.Malformed("the segment at byte %d has no length", at)
	}
	data, _, err := w.Keep(n) // a segment is never longer than what is kept
	if err != nil {
		return err
	}
	switch {
	case m == mSOS:
		return w.scan(data)
	case 0xc0 <= m && m <= 0xcf && m != mDHT && m != mDAC:
		return w.frame(data)
	case m == mAPP0+2 && bytes.HasPrefix(data, []byte(nameMPF)):
		return w.directory(w.Offset()-n+int64(len(nameMPF)), data[len(nameMPF):])
	case mAPP0 <= m && m <= mAPP15:
		w.app(m, data)
	case m == mCOM:
		format.Comment(w.part, data)
	}
	return nil
}

// frame reads the frame's header (T.81 B.2.2).
func (w *jpeg) frame(d []byte) error {
	if w.components > 0 {
		return w.Malformed("the image declares its size twice")
	}
	if len(d) < 6 || len(d) != 6+3*int(d[5]) || d[5] == 0 || d[5] > 4 {
		return w.Malformed("the frame's header is not one")
	}
	w.components = int(d[5])
	return w.Picture(w.part, int64(binary.BigEndian.Uint16(d[3:])), int64(binary.BigEndian.Uint16(d[1:])), 1)
}

// scan reads the compressed data of a scan: up to the next marker that is not a
// restart, since 0xff in data is followed by zero.
func (w *jpeg) scan(d []byte) error {
	if w.components == 0 {
		return w.Malformed("pixels come before the image's size")
	}
	if len(d) < 1 || len(d) != 4+2*int(d[0]) || int(d[0]) > w.components || d[0] == 0 {
		return w.Malformed("the scan's header is not one")
	}
	if w.scans++; w.scans > jpegScans {
		return w.Over("there are more than %d scans", jpegScans)
	}
	for {
		b, err := w.Window()
		if err != nil {
			return err
		}
		if len(b) == 0 {
			return w.Truncated()
		}
		i := 0
		for {
			j := bytes.IndexByte(b[i:], 0xff)
			if j < 0 {
				i = len(b)
				break
			}
			i += j
			if i+1 == len(b) {
				break
			}
			if c := b[i+1]; c != 0 && (c < 0xd0 || c > 0xd7) {
				w.Advance(i)
				return nil
			}
			i += 2
		}
		w.Advance(i)
		if i == len(b) {
			continue
		}
		// The pair stands across two windows.
		if b, err = w.Peek(2); err != nil {
			return err
		}
		if len(b) < 2 {
			return w.Truncated()
		}
		if c := b[1]; c != 0 && (c < 0xd0 || c > 0xd7) {
			return nil
		}
		w.Advance(2)
	}
}

// The names that application segments begin with.
const (
	nameExif     = "Exif\x00"
	nameXMP      = "http://ns.adobe.com/xap/1.0/\x00"
	nameXMPMore  = "http://ns.adobe.com/xmp/extension/\x00"
	namePhotos   = "Photoshop 3.0\x00"
	nameMPF      = "MPF\x00"
	nameJFIF     = "JFIF\x00"
	nameJFXX     = "JFXX\x00"
	nameICC      = "ICC_PROFILE\x00"
	nameAdobe    = "Adobe"
	nameFlashPix = "FPXR\x00"
)

// app notes what an application segment carries.
func (w *jpeg) app(m byte, d []byte) {
	starts := func(name string) bool { return bytes.HasPrefix(d, []byte(name)) }
	switch {
	case starts(nameJFIF):
		if len(d) >= 14 && d[12] != 0 && d[13] != 0 {
			w.part.Carries |= media.Thumbnail
		}
	case starts(nameJFXX), starts(nameFlashPix):
		w.part.Carries |= media.Thumbnail
	case starts(nameExif):
		exif(w.part, d[min(len(d), 6):])
	case starts(nameXMP):
		format.XMP(w.part, d[len(nameXMP):])
	case starts(nameXMPMore):
		format.Unread(w.part) // in pieces
	case starts(namePhotos):
		photoshop(w.part, d[len(namePhotos):])
	case starts(nameICC), starts(nameAdobe):
	default: // a maker's own
		format.Comment(w.part, d)
	}
}

// photoshop notes what image resources carry: IPTC-IIM 4.2 as resource 0x0404,
// thumbnails as 0x0409 and 0x040c.
func photoshop(p *media.Part, d []byte) {
	for len(d) >= 12 && string(d[:4]) == "8BIM" {
		id := binary.BigEndian.Uint16(d[4:])
		name := 1 + int(d[6])
		name += name & 1
		if len(d) < 6+name+4 {
			break
		}
		size := int64(binary.BigEndian.Uint32(d[6+name:]))
		d = d[6+name+4:]
		if size > int64(len(d)) {
			break
		}
		switch id {
		case 0x0404:
			iptc(p, d[:size])
		case 0x0409, 0x040c:
			p.Carries |= media.Thumbnail
		case 0x0422, 0x0423: // Exif within Exif's neighbour: nobody needs it twice
			format.Unread(p)
		case 0x0424:
			format.XMP(p, d[:size])
		}
		d = d[min(int64(len(d)), size+size&1):]
	}
	if len(d) > 1 {
		format.Unread(p)
	}
}

// iptc notes what IPTC records carry: in record 2 the datasets 26-27, 90-101
// are places, the others say who and what.
func iptc(p *media.Part, d []byte) {
	for len(d) >= 5 && d[0] == 0x1c {
		size := int(binary.BigEndian.Uint16(d[3:]))
		if d[1] == 2 {
			switch set := d[2]; {
			case set == 26 || set == 27 || 90 <= set && set <= 101:
				p.Carries |= media.Location
			case set != 0:
				p.Carries |= media.Personal
			}
		}
		if size > len(d)-5 {
			format.Unread(p)
			return
		}
		d = d[5+size:]
	}
}
