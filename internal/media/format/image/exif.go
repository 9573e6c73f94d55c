package image

import (
	"encoding/binary"

	"github.com/apexlogic/apex/internal/media"
	"github.com/apexlogic/apex/internal/media/format"
)

// Tags of TIFF 6.0 and of Exif (CIPA DC-008) that matter here.
const (
	tagWidth, tagHeight               = 0x0100, 0x0101
	tagOrientation                    = 0x0112
	tagThumbnail, tagThumbnailLength  = 0x0201, 0x0202
	tagStrips, tagStripBytes          = 0x0111, 0x0117
	tagTiles, tagTileBytes            = 0x0144, 0x0145
	tagSubIFDs, tagExif, tagGPS       = 0x014a, 0x8769, 0x8825
	tagInterop, tagMakerNote, tagXMP  = 0xa005, 0x927c, 0x02bc
	tagIPTC, tagPhotoshop             = 0x83bb, 0x8649
	tagJPEGTables, tagICC, tagPadding = 0x015b, 0x8773, 0xea1c
)

// personal are the tags that say who, with what, or in whose words.
var personal = [...]uint16{
	0x010d, 0x010e, 0x010f, 0x0110, 0x0132, 0x013b, 0x013c, 0x8298, // DocumentName to Copyright
	0x9003, 0x9004, tagMakerNote, 0x9286, 0x9c9b, 0x9c9c, 0x9c9d, 0x9c9e, 0x9c9f, // times, comments, XP*
	0xa420, 0xa430, 0xa431, 0xa433, 0xa434, 0xa435, 0xc62f, // unique id, owner, serial numbers, lens
}

// Bounds of one TIFF structure.
const (
	maxIFDs    = 4096 // directories, all kinds together
	maxIFDTags = 1024 // entries of one directory
)

// tiff is a TIFF structure, which is also what Exif is.
type tiff struct {
	data  []byte
	order binary.ByteOrder
	seen  map[uint32]bool
	// reach is the end of the last byte that something refers to.
	reach int64
	// left is how many bytes of directories and values may still be looked at.
	// Directories that do not share their bytes stay far within it.
	left int64
	// bad is set where a directory or a value does not lie in the data.
	bad bool
}

// entry of a directory, with where its values lie.
type entry struct {
	tag, typ uint16
	count    uint32
	values   []byte
}

// typeSizes are the sizes of the types 1 to 13.
var typeSizes = [...]int64{0, 1, 1, 2, 4, 8, 1, 1, 2, 4, 8, 4, 8, 4}

// openTIFF reads the header and returns where the first directory is.
func openTIFF(data []byte) (*tiff, uint32, bool) {
	if len(data) < 8 {
		return nil, 0, false
	}
	t := &tiff{data: data, seen: map[uint32]bool{}, reach: 8, left: 2*int64(len(data)) + 4096}
	switch string(data[:4]) {
	case "II*\x00":
		t.order = binary.LittleEndian
	case "MM\x00*":
		t.order = binary.BigEndian
	default:
		return nil, 0, false
	}
	return t, t.order.Uint32(data[4:]), true
}

// directory calls each for the entries of the directory at this offset, and
// returns the offset of the next one, 0 for none.
func (t *tiff) directory(at uint32, each func(entry)) uint32 {
	if t.seen[at] || len(t.seen) >= maxIFDs || int64(at)+2 > int64(len(t.data)) || at < 8 {
		t.bad = true
		return 0
	}
	t.seen[at] = true
	n := int64(t.order.Uint16(t.data[at:]))
	begin := int64(at) + 2
	if n > maxIFDTags || begin+12*n+4 > int64(len(t.data)) {
		t.bad = true
		return 0
	}
	t.reach = max(t.reach, begin+12*n+4)
	if !t.spend(12 * n) {
		return 0
	}
	for i := range n {
		b := t.data[begin+12*i:]
		e := entry{tag: t.order.Uint16(b), typ: t.order.Uint16(b[2:]), count: t.order.Uint32(b[4:])}
		if int(e.typ) >= len(typeSizes) || e.typ == 0 {
			continue // readers skip types that they do not know (TIFF 6.0, section 2)
		}
		size := typeSizes[e.typ] * int64(e.count)
		if size <= 4 {
			e.values = b[8 : 8+size]
		} else {
			from := int64(t.order.Uint32(b[8:]))
			if from+size > int64(len(t.data)) {
				t.bad = true
				continue
			}
			if !t.spend(size) {
				return 0
			}
			e.values = t.data[from : from+size]
			t.reach = max(t.reach, from+size)
		}
		each(e)
	}
	return t.order.Uint32(t.data[begin+12*n:])
}

// spend counts bytes that are looked at.
func (t *tiff) spend(n int64) bool {
	if t.left -= n; t.left < 0 {
		t.bad = true
	}
	return t.left >= 0
}

// number returns the i-th value of an entry of integers.
func (t *tiff) number(e entry, i int) (uint32, bool) {
	switch {
	case (e.typ == 3) && len(e.values) >= 2*i+2:
		return uint32(t.order.Uint16(e.values[2*i:])), true
	case (e.typ == 4 || e.typ == 13) && len(e.values) >= 4*i+4:
		return t.order.Uint32(e.values[4*i:]), true
	case e.typ == 1 && len(e.values) > i:
		return uint32(e.values[i]), true
	}
	return 0, false
}

// note says what an entry carries, and walks the directories that it names.
func (t *tiff) note(p *media.Part, e entry) {
	for _, tag := range personal {
		if e.tag == tag && len(e.values) > 0 {
			p.Carries |= media.Personal
		}
	}
	switch e.tag {
	case tagGPS:
		if at, ok := t.number(e, 0); ok {
			places := 0
			t.directory(at, func(g entry) {
				if g.tag != 0 { // GPSVersionID alone is no place
					places++
				}
			})
			if places > 0 {
				p.Carries |= media.Location
			}
		}
	case tagExif, tagInterop:
		if at, ok := t.number(e, 0); ok {
			t.directory(at, func(e entry) { t.note(p, e) })
		}
	case tagThumbnail:
		p.Carries |= media.Thumbnail
	case tagXMP:
		format.XMP(p, e.values)
	case tagIPTC:
		iptc(p, e.values)
	case tagPhotoshop:
		photoshop(p, e.values)
	}
}

// exif notes what an Exif block carries. One that cannot be read is counted as
// carrying what it could: readers differ in what they make of it.
func exif(p *media.Part, data []byte) {
	t, at, ok := openTIFF(data)
	if !ok {
		format.Unread(p)
		return
	}
	for n := 0; at != 0; n++ {
		if n > 0 {
			p.Carries |= media.Thumbnail // the second directory describes it
		}
		at = t.directory(at, func(e entry) { t.note(p, e) })
	}
	if t.bad {
		format.Unread(p)
	}
}

// orientation returns the value of the tag, 0 when there is none.
func orientation(data []byte) (found uint16) {
	t, at, ok := openTIFF(data)
	if !ok {
		return 0
	}
	t.directory(at, func(e entry) {
		if v, ok := t.number(e, 0); ok && e.tag == tagOrientation && v <= 8 {
			found = uint16(v)
		}
	})
	return found
}
