package audio

import (
	"encoding/binary"
	"strings"

	"github.com/apexlogic/apex/internal/media"
	"github.com/apexlogic/apex/internal/media/format"
)

// id3Header is the size of the header of an ID3v2 tag.
const id3Header = 10

// id3Size is the size of a tag behind its header: four times seven bits.
func id3Size(h []byte) (int64, bool) {
	var n int64
	for _, c := range h[6:10] {
		if c >= 0x80 {
			return 0, false
		}
		n = n<<7 | int64(c)
	}
	return n, true
}

// readID3 reads a tag at the reader's place, if there is one.
func readID3(r *format.Reader, p *media.Part) error {
	h, err := r.Peek(id3Header)
	if err != nil || len(h) < id3Header || string(h[:3]) != "ID3" {
		return err
	}
	n, ok := id3Size(h)
	if !ok || h[3] < 2 || h[3] > 4 {
		return r.Malformed("the tag's header is not one of ID3")
	}
	n += id3Header
	if h[3] == 4 && h[5]&0x10 != 0 { // a footer
		n += id3Header
	}
	if n > format.Kept { // in practice because of a cover
		format.Unread(p)
		return longID3(r, p, n)
	}
	tag, _, err := r.Keep(n)
	if err == nil {
		id3(p, tag)
	}
	return err
}

// longID3 passes over a tag that is not kept, frame by frame, to find files.
func longID3(r *format.Reader, p *media.Part, n int64) error {
	end := r.Offset() + n
	h, err := r.Next(id3Header)
	if err != nil {
		return err
	}
	version, plain := h[3], h[3] > 2 && h[5]&0xc0 == 0
	if !plain { // what cannot be walked may hold anything
		p.Carries |= media.Attachment
	}
	for plain && end-r.Offset() >= id3Header {
		if h, err = r.Peek(id3Header); err != nil {
			return err
		}
		if len(h) < id3Header || h[0] == 0 {
			break
		}
		size := int64(binary.BigEndian.Uint32(h[4:]))
		if version == 4 {
			size = int64(h[4]&0x7f)<<21 | int64(h[5]&0x7f)<<14 | int64(h[6]&0x7f)<<7 | int64(h[7]&0x7f)
		}
		if string(h[:4]) == "GEOB" {
			p.Carries |= media.Attachment
		}
		if err := r.Skip(min(id3Header+size, end-r.Offset())); err != nil {
			return err
		}
	}
	return r.Skip(end - r.Offset())
}

// id3 notes what a tag carries.
func id3(p *media.Part, d []byte) {
	if len(d) < id3Header || string(d[:3]) != "ID3" {
		format.Unread(p)
		return
	}
	version, flags := d[3], d[5]
	n, _ := id3Size(d)
	d = d[id3Header:min(int64(len(d)), id3Header+n)]
	if flags&0xc0 != 0 && version < 4 || flags&0x40 != 0 { // unsynchronised, or an extended header
		format.Unread(p)
		if strings.Contains(string(d), "GEOB") {
			p.Carries |= media.Attachment
		}
		return
	}
	head, name := 10, 4
	if version == 2 {
		head, name = 6, 3
	}
	for len(d) >= head && d[0] != 0 {
		var size int64
		switch version {
		case 2:
			size = int64(d[3])<<16 | int64(d[4])<<8 | int64(d[5])
		case 3:
			size = int64(binary.BigEndian.Uint32(d[4:]))
		default:
			size = int64(d[4]&0x7f)<<21 | int64(d[5]&0x7f)<<14 | int64(d[6]&0x7f)<<7 | int64(d[7]&0x7f)
		}
		if size > int64(len(d)-head) {
			format.Unread(p)
			return
		}
		id3Frame(p, string(d[:name]), d[head:int64(head)+size])
		d = d[int64(head)+size:]
	}
}

func id3Frame(p *media.Part, name string, value []byte) {
	switch name {
	case "APIC", "PIC":
		p.Carries |= media.Thumbnail
	case "GEOB", "GEO":
		p.Carries |= media.Attachment
	case "TSSE", "TENC", "TLEN", "TSS", "TEN", "TLE", "TIT2", "TT2", "TALB", "TAL", "TRCK", "TRK", "TYER", "TYE", "TDRC", "TCON", "TCO", "MCDI", "SEEK", "RVA2", "TXX":
		if format.Markup(value) {
			p.Carries |= media.Script
		}
	default:
		format.Comment(p, value)
	}
}

// trailer reads the tags that may follow the frames: APEv2, Lyrics3 is not
// taken, then ID3v1.
func trailer(r *format.Reader, p *media.Part) error {
	h, err := r.Peek(32)
	if err != nil {
		return err
	}
	if len(h) == 32 && string(h[:8]) == "APETAGEX" {
		size := int64(binary.LittleEndian.Uint32(h[12:]))
		if binary.LittleEndian.Uint32(h[20:])&(1<<29) == 0 { // this is a footer without its header
			return r.Malformed("the tag behind the audio has no beginning")
		}
		text, whole, err := r.Keep(32 + size)
		if err != nil {
			return err
		}
		if !whole {
			format.Unread(p)
		}
		format.Comment(p, text)
		if strings.Contains(strings.ToLower(string(text)), "cover art") {
			p.Carries |= media.Thumbnail
		}
		if h, err = r.Peek(32); err != nil {
			return err
		}
	}
	if len(h) >= 3 && string(h[:3]) == "TAG" {
		text, err := r.Next(128)
		if err != nil {
			return err
		}
		format.Comment(p, text)
	}
	return r.End()
}
