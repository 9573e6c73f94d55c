package format

import (
	"bytes"
	"encoding/binary"

	"github.com/apexlogic/apex/internal/media"
)

// near is how far from the beginning PDF readers look for the header (ISO 32000-1,
// annex H.3.4.1).
const near = 1024

// mark is how another format is recognised, by readers that look for it at its
// own place or anywhere near the beginning.
type mark struct {
	mime string // its type, when it is a format that is walked here
	name string
	at   int // -1: anywhere in the head
	text string
}

// marks of formats that are found though they do not begin the content.
var marks = [...]mark{
	{"application/pdf", "a PDF document", -1, "%PDF-"},
	{"", "a tar archive", 257, "ustar"},
	{"", "a DICOM file", 128, "DICM"},
	{"", "an ISO 9660 image", 0x8001, "CD001"},
}

// Foreign refuses content in which readers of other formats find theirs: marks
// at their places near the beginning. It is called before anything is consumed,
// and leaves out the format that was found.
func (r *Reader) Foreign(except string) error {
	w, err := r.Window()
	if err != nil {
		return err
	}
	for _, m := range marks {
		switch {
		case m.mime != "" && m.mime == except:
		case m.at < 0:
			if i := bytes.Index(w[:min(len(w), near)], []byte(m.text)); i >= 0 {
				return r.Polyglot("readers of other formats find %s at byte %d", m.name, i)
			}
		case m.at < len(w) && bytes.HasPrefix(w[m.at:], []byte(m.text)):
			return r.Polyglot("readers of other formats find %s at byte %d", m.name, m.at)
		}
	}
	return nil
}

const (
	endOfArchive = "PK\x05\x06"
	endLength    = 22
	longestTail  = endLength + 1<<16 - 1 // the record, and its comment
)

// Archived reports whether the content, which was read to its end, is also a
// ZIP archive: its readers begin at the end, and take whatever stands before
// it (APPNOTE 4.3.16). The record has to make sense, so that four bytes of
// compressed data are not taken for one.
func (r *Reader) Archived() bool {
	first, second := r.Tail()
	return r.endRecord(first, second) || r.endRecord(second, nil)
}

func (r *Reader) endRecord(b, after []byte) bool {
	from := 0
	if all := len(b) + len(after); all > longestTail {
		from = min(len(b), all-longestTail)
	}
	var record [endLength]byte
	// A record may stand across both pieces.
	edge := append(append(make([]byte, 0, 2*endLength), b[max(0, len(b)-endLength+1):]...), after[:min(len(after), endLength-1)]...)
	for _, in := range [][]byte{b[from:], edge} {
		for {
			i := bytes.Index(in, []byte(endOfArchive))
			if i < 0 || len(in)-i < endLength {
				break
			}
			copy(record[:], in[i:])
			entries, total := binary.LittleEndian.Uint16(record[8:]), binary.LittleEndian.Uint16(record[10:])
			size, offset := binary.LittleEndian.Uint32(record[12:]), binary.LittleEndian.Uint32(record[16:])
			if entries == total && (entries == 0 && size == 0 || int64(size) >= 46*int64(entries) &&
				(int64(size)+int64(offset) <= r.total || offset == 1<<32-1)) {
				return true
			}
			in = in[i+4:]
		}
	}
	return false
}

// named says what foreign bytes begin like, for a person who wonders.
func named(b []byte) string {
	for _, m := range [...]struct{ magic, name string }{
		{"PK\x03\x04", "with a ZIP archive"}, {"PK\x05\x06", "with a ZIP archive"}, {"%PDF-", "with a PDF document"},
		{"\xff\xd8\xff", "with a JPEG image"}, {"\x89PNG", "with a PNG image"}, {"GIF8", "with a GIF image"}, {"RIFF", "with a RIFF file"},
		{"MZ", "with a program"}, {"\x7fELF", "with a program"}, {"#!", "with a script"}, {"Rar!", "with a RAR archive"}, {"7z\xbc\xaf", "with a 7z archive"},
		{"\x1f\x8b", "with a gzip stream"},
	} {
		if bytes.HasPrefix(b, []byte(m.magic)) {
			return ", " + m.name
		}
	}
	if Markup(b) {
		return ", with markup"
	}
	return ""
}

// marksOfPrograms begin what a browser or a server would run, in lower case.
var marksOfPrograms = [...]string{"<script", "<html", "<svg", "<!doctype", "<?php", "<iframe", "javascript:", "<%eval", "<body", "onerror="}

// Markup reports whether text holds something that a browser or a server which
// reads it would run.
func Markup(text []byte) bool {
	if bytes.IndexByte(text, '<') < 0 && bytes.IndexByte(text, ':') < 0 {
		return false
	}
	low := make([]byte, len(text))
	for i, c := range text {
		if 'A' <= c && c <= 'Z' {
			c += 'a' - 'A'
		}
		low[i] = c
	}
	for _, m := range marksOfPrograms {
		if bytes.Contains(low, []byte(m)) {
			return true
		}
	}
	return false
}

// Comment notes what free text beside the content carries.
func Comment(p *media.Part, text []byte) {
	p.Carries |= media.Personal
	if Markup(text) {
		p.Carries |= media.Script
	}
}

// XMP notes what an XMP packet (ISO 16684-1) carries. The properties are looked
// for by name, in whatever notation they are written.
func XMP(p *media.Part, packet []byte) {
	has := func(names ...string) bool {
		for _, n := range names {
			if bytes.Contains(packet, []byte(n)) {
				return true
			}
		}
		return false
	}
	if has("GPSL", "GPSA", "GPSD", "photoshop:City", "Iptc4xmpExt:LocationCreated", "Iptc4xmpCore:Location", "LocationShown") {
		p.Carries |= media.Location
	}
	if has("dc:creator", "photoshop:", "xmpRights", "SerialNumber", "OwnerName", "CreatorTool", "Iptc4xmp", "dc:description", "xmpMM:", "PersonInImage", "dc:rights") {
		p.Carries |= media.Personal
	}
	if has("xmp:Thumbnails", "xapGImg", "xmpGImg", "GImage") {
		p.Carries |= media.Thumbnail
	}
	if Markup(packet) {
		p.Carries |= media.Script
	}
}

// Unread notes that metadata were too long to be looked into: they may hold
// everything that metadata can.
func Unread(p *media.Part) {
	p.Carries |= media.Location | media.Personal | media.Thumbnail
}
