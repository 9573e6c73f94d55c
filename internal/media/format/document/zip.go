package document

import (
	"bytes"
	"encoding/binary"
	"hash/crc32"
	"io"
	"path"
	"strings"
	"unicode/utf8"

	"github.com/klauspost/compress/flate"

	"github.com/apexlogic/apex/internal/media"
	"github.com/apexlogic/apex/internal/media/format"
)

const (
	zipLocal, zipCentral, zipEnd = "PK\x03\x04", "PK\x01\x02", "PK\x05\x06"
	zipDescriptor                = "PK\x07\x08"
	zipEndLength                 = 22

	// unmeasured is how much may be unfolded before the ratio counts: small
	// documents are made of XML that packs very well.
	unmeasured = 16 << 20
	// kept is the most that is kept of an entry that is read.
	kept = 1 << 20
)

func isZIP(head []byte) bool { return bytes.HasPrefix(head, []byte(zipLocal)) }

// zipEntry is one entry, as both its headers say.
type zipEntry struct {
	name           string
	method         uint16
	sum            uint32
	packed, folded int64 // bytes as they stand, and unfolded
	data           []byte
}

// walkZIP reads an archive as strictly as its strictest reader: every byte
// belongs to one entry, the directory, or its end, and both headers of an entry
// agree. Then no two readers see two archives.
func walkZIP(r *format.Reader, p *media.Part) error {
	data, err := r.All()
	if err != nil {
		return err
	}
	p.Carries |= Archive
	w := &zip{Reader: r, part: p, data: data, names: map[string]bool{}}
	if err := w.directory(); err != nil {
		return err
	}
	o := &office{zip: w}
	for i := range w.entries {
		if err := o.entry(i, &w.entries[i]); err != nil {
			return err
		}
	}
	return o.close()
}

// zip is the walk of one archive.
type zip struct {
	*format.Reader
	part    *media.Part
	data    []byte
	entries []zipEntry
	names   map[string]bool
}

// directory reads the end, the directory, and the header of each entry.
func (w *zip) directory() error {
	d := w.data
	if len(d) < zipEndLength || string(d[len(d)-zipEndLength:len(d)-zipEndLength+4]) != zipEnd {
		if i := bytes.LastIndex(d, []byte(zipEnd)); i >= 0 && i+zipEndLength <= len(d) {
			return w.Polyglot("the archive goes on after its end at byte %d", i+zipEndLength)
		}
		return w.Malformed("the archive is cut off: it has no directory")
	}
	end := d[len(d)-zipEndLength:]
	count, size, at := int(binary.LittleEndian.Uint16(end[10:])), int64(binary.LittleEndian.Uint32(end[12:])), int64(binary.LittleEndian.Uint32(end[16:]))
	switch {
	case binary.LittleEndian.Uint32(end[4:]) != 0 || int(binary.LittleEndian.Uint16(end[8:])) != count || binary.LittleEndian.Uint16(end[20:]) != 0:
		return w.Malformed("the archive is one of several, or its end is not the last thing in it")
	case at+size != int64(len(d)-zipEndLength):
		return w.Polyglot("the archive's directory does not stand where it says: something is before it or behind it")
	case count > w.Limits.Entries:
		return w.Over("the archive has %d entries, allowed are %d", count, w.Limits.Entries)
	case count == 0:
		return w.Malformed("the archive is empty")
	}
	dir, next, all := d[at:at+size], int64(0), int64(0)
	for range count {
		e, used, offset, err := w.central(dir)
		if err != nil {
			return err
		}
		dir = dir[used:]
		if offset != next {
			return w.Polyglot("between the archive's entries, at byte %d, stands something that is none", next)
		}
		if next, err = w.local(&e, offset, at); err != nil {
			return err
		}
		if all += e.folded; all > w.Limits.EntryBytes {
			return w.Over("the archive's entries have more than %d bytes", w.Limits.EntryBytes)
		}
		if all > unmeasured && all > int64(len(d))*w.Limits.Ratio {
			return w.Over("the archive unfolds into more than %d times its size", w.Limits.Ratio)
		}
		w.entries = append(w.entries, e)
	}
	if len(dir) > 0 || next != at {
		return w.Polyglot("in the archive, at byte %d, stands something that is no entry", next)
	}
	return nil
}

// central reads an entry of the directory (APPNOTE 4.3.12).
func (w *zip) central(d []byte) (e zipEntry, used int, offset int64, err error) {
	const head = 46
	if len(d) < head || string(d[:4]) != zipCentral {
		return e, 0, 0, w.Malformed("the archive's directory is cut off")
	}
	flags, method := binary.LittleEndian.Uint16(d[8:]), binary.LittleEndian.Uint16(d[10:])
	name, extra, comment := int(binary.LittleEndian.Uint16(d[28:])), int(binary.LittleEndian.Uint16(d[30:])), int(binary.LittleEndian.Uint16(d[32:]))
	used = head + name + extra + comment
	if len(d) < used {
		return e, 0, 0, w.Malformed("the archive's directory is cut off")
	}
	e = zipEntry{
		name: string(d[head : head+name]), method: method, sum: binary.LittleEndian.Uint32(d[16:]),
		packed: int64(binary.LittleEndian.Uint32(d[20:])), folded: int64(binary.LittleEndian.Uint32(d[24:])),
	}
	switch {
	case flags&(1|1<<6|1<<13) != 0:
		return e, 0, 0, w.Opaque("an entry of the archive is encrypted")
	case method != 0 && method != 8:
		return e, 0, 0, w.Opaque("an entry of the archive is packed by the method %d, which is not looked into", method)
	case method == 0 && e.packed != e.folded:
		return e, 0, 0, w.Malformed("an entry that is not packed has two lengths")
	case len(e.name) > w.Limits.KeyBytes:
		return e, 0, 0, w.Over("the name of an entry has %d bytes, allowed are %d", len(e.name), w.Limits.KeyBytes)
	}
	if clean := strings.TrimSuffix(e.name, "/"); clean == "" || !utf8.ValidString(e.name) || path.Clean(clean) != clean || clean[0] == '/' ||
		clean == ".." || strings.HasPrefix(clean, "../") || strings.ContainsAny(e.name, "\\:\x00") {
		return e, 0, 0, w.Malformed("the name of an entry leads out of the archive, or is none")
	}
	folded := strings.ToLower(e.name)
	if w.names[folded] {
		return e, 0, 0, w.Malformed("two entries of the archive have the same name")
	}
	w.names[folded] = true
	return e, used, int64(binary.LittleEndian.Uint32(d[42:])), nil
}

// local reads the header before an entry's bytes (4.3.7), and returns where
// they end.
func (w *zip) local(e *zipEntry, at, limit int64) (next int64, err error) {
	const head = 30
	if at+head > limit || string(w.data[at:at+4]) != zipLocal {
		return 0, w.Malformed("an entry does not stand where the directory says")
	}
	h := w.data[at:]
	flags, method := binary.LittleEndian.Uint16(h[6:]), binary.LittleEndian.Uint16(h[8:])
	sum, packed, folded := binary.LittleEndian.Uint32(h[14:]), int64(binary.LittleEndian.Uint32(h[18:])), int64(binary.LittleEndian.Uint32(h[22:]))
	name, extra := int64(binary.LittleEndian.Uint16(h[26:])), int64(binary.LittleEndian.Uint16(h[28:]))
	begin := at + head + name + extra
	if begin+e.packed > limit {
		return 0, w.Malformed("an entry does not lie in the archive")
	}
	streamed := flags&8 != 0 // its sizes follow its bytes
	if method != e.method || string(h[head:head+name]) != e.name || !streamed && (sum != e.sum || packed != e.packed || folded != e.folded) {
		return 0, w.Malformed("an entry is described in two ways")
	}
	e.data = w.data[begin : begin+e.packed]
	next = begin + e.packed
	if !streamed {
		return next, nil
	}
	d := w.data[next:limit]
	n := int64(12)
	if bytes.HasPrefix(d, []byte(zipDescriptor)) {
		d = d[4:]
		n += 4
	}
	if len(d) < 12 || binary.LittleEndian.Uint32(d) != e.sum {
		return 0, w.Malformed("an entry is described in two ways")
	}
	switch {
	case int64(binary.LittleEndian.Uint32(d[4:])) == e.packed && int64(binary.LittleEndian.Uint32(d[8:])) == e.folded:
		return next + n, nil
	case len(d) >= 20 && int64(binary.LittleEndian.Uint64(d[4:])) == e.packed && int64(binary.LittleEndian.Uint64(d[12:])) == e.folded:
		return next + n + 8, nil // of ZIP64
	}
	return 0, w.Malformed("an entry is described in two ways")
}

// unfold hands an entry's bytes to each, piece by piece, and holds them to the
// length and the checksum that are declared.
func (w *zip) unfold(e *zipEntry, buf []byte, each func([]byte)) error {
	if e.method == 0 {
		if crc32.ChecksumIEEE(e.data) != e.sum {
			return w.Malformed("the checksum of an entry is wrong")
		}
		each(e.data)
		return nil
	}
	packed := bytes.NewReader(e.data)
	f := flate.NewReader(packed)
	defer f.Close()
	var n int64
	var sum uint32
	for {
		m, err := f.Read(buf)
		if n += int64(m); n > e.folded {
			return w.Malformed("an entry unfolds into more than the %d bytes that it declares", e.folded)
		}
		sum = crc32.Update(sum, crc32.IEEETable, buf[:m])
		each(buf[:m])
		if err == io.EOF {
			break
		}
		if err != nil {
			return w.Malformed("an entry cannot be unfolded")
		}
	}
	if n != e.folded || sum != e.sum || packed.Len() > 0 {
		return w.Malformed("an entry is not what its length and its checksum say")
	}
	return nil
}
