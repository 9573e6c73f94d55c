package archive

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"hash/crc32"

	"github.com/apexlogic/apex/internal/model/scan"
)

// Sizes of records of a zip file (APPNOTE 4.3).
const (
	eocdSize    = 22
	locatorSize = 20
	eocd64Size  = 56
	centralSize = 46
	localSize   = 30
)

const (
	// zipTail is how much of the end is searched for directories: the longest
	// comment and the records before it.
	zipTail = 1<<16 + eocdSize + locatorSize + eocd64Size
	// maxMembers and maxDirectory bound what is kept of a directory.
	maxMembers   = 1 << 17
	maxDirectory = 32 << 20
	// maxDirectories bounds how many directories of one file are read.
	maxDirectories = 16
	// entryMemory is what one entry takes with all that is derived from it,
	// beside the bytes of the directory.
	entryMemory = 500
)

// An entry is what the central directory says of one member. Offsets are from
// the beginning of the file.
type entry struct {
	name          string
	unicode       string // the name of the Unicode path field, where that holds
	at            int64  // of the record
	madeBy        uint16
	version       uint16
	flags, method uint16
	crc           uint32
	packed, size  int64
	local         int64 // of the local header
	external      uint32
	extra         int // bytes of extra fields
	comment       int
}

// Kinds of files that the upper half of the external attributes tells, as
// unpackers of Unix take them whatever system is said to have written them.
const (
	modeKind = 0o170000
	modeLink = 0o120000
)

// kind is the type of the file as Unix has it, 0 when it is not told.
func (e *entry) kind() uint32 { return e.external >> 16 & modeKind }

func (e *entry) isDir() bool {
	return e.size == 0 && e.packed == 0 && len(e.name) > 0 && (e.name[len(e.name)-1] == '/' || e.name[len(e.name)-1] == '\\')
}

// An end is an end-of-central-directory record, with one reading of where its
// directory is.
type end struct {
	at         int64 // of the record
	after      int64 // where its comment ends
	start      int64 // of the directory
	size       int64 // of the directory as stated
	count      int64
	base       int64 // to be added to stated offsets
	zip64      bool
	split      bool // says that it is one of several disks
	ambiguous  bool // says two things, which readers choose from
	truncated  bool // the comment ends beyond the file
	recordsEnd int64
}

// ends finds the directories of a file, the last one first. Records that point
// at no directory are counted in strays: bytes that look like one.
func ends(f *scan.File) (found []end, strays []int64, err error) {
	from := max(f.Size()-zipTail, 0)
	tail, err := f.Read(from, f.Size()-from)
	if err != nil {
		return nil, nil, err
	}
	for at := len(tail); ; {
		at = bytes.LastIndex(tail[:at], []byte("PK\x05\x06"))
		if at < 0 || len(found) >= maxDirectories || len(strays) >= maxDirectories {
			return found, strays, nil
		}
		here := readEnds(f, tail, from, at)
		if len(here) == 0 {
			strays = append(strays, from+int64(at))
		}
		found = append(found, here...)
	}
}

// readEnds reads the record at tail[at], in each way that leads to a
// directory.
func readEnds(f *scan.File, tail []byte, from int64, at int) []end {
	b := tail[at:]
	if len(b) < eocdSize {
		return nil
	}
	le := binary.LittleEndian
	e := end{at: from + int64(at), count: int64(le.Uint16(b[10:])), size: int64(le.Uint32(b[12:])),
		split: le.Uint16(b[4:]) != le.Uint16(b[6:]) || le.Uint16(b[8:]) != le.Uint16(b[10:])}
	offset := int64(le.Uint32(b[16:]))
	e.after = e.at + eocdSize + int64(le.Uint16(b[20:]))
	if e.truncated = e.after > f.Size(); e.truncated {
		e.after = f.Size()
	}
	e.recordsEnd = e.at
	var all []end
	if big, bigOffset, ok := readEnd64(f, tail, from, at, e); ok {
		differs := e.count != 0xffff && e.count != big.count || e.size != 0xffffffff && e.size != big.size ||
			offset != 0xffffffff && offset != bigOffset
		all = append(all, places(f, big, bigOffset)...)
		if differs {
			all = append(all, places(f, e, offset)...)
			for i := range all {
				all[i].ambiguous = true
			}
		}
		return all
	}
	return places(f, e, offset)
}

// readEnd64 reads the zip64 record that the locator before an end names.
func readEnd64(f *scan.File, tail []byte, from int64, at int, e end) (end, int64, bool) {
	if at < locatorSize || !bytes.HasPrefix(tail[at-locatorSize:], []byte("PK\x06\x07")) {
		return end{}, 0, false
	}
	le := binary.LittleEndian
	stated := int64(le.Uint64(tail[at-locatorSize+8:]))
	for _, where := range [2]int64{stated, e.at - locatorSize - eocd64Size} {
		var b []byte
		if where >= from && where+eocd64Size <= from+int64(len(tail)) {
			b = tail[where-from:]
		} else if where >= 0 && where < from {
			b, _ = f.Read(where, eocd64Size)
		}
		if len(b) < eocd64Size || !bytes.HasPrefix(b, []byte("PK\x06\x06")) {
			continue
		}
		e.zip64, e.recordsEnd = true, where
		e.count, e.size = int64(le.Uint64(b[32:])), int64(le.Uint64(b[40:]))
		e.split = le.Uint64(b[24:]) != le.Uint64(b[32:])
		return e, int64(le.Uint64(b[48:])), true
	}
	return end{}, 0, false
}

// places gives the end for each place where its directory can be: right before
// the records, as Python looks for it, and where it says, as miniz does.
func places(f *scan.File, e end, offset int64) []end {
	if e.count < 0 || e.size < 0 || offset < 0 {
		return nil
	}
	if e.count == 0 && e.size == 0 {
		if e.truncated || e.after != f.Size() || offset > e.recordsEnd {
			return nil
		}
		e.start, e.base = e.recordsEnd, e.recordsEnd-offset
		return []end{e}
	}
	var all []end
	if start := e.recordsEnd - e.size; start >= 0 && isCentral(f, start) {
		e.start, e.base = start, start-offset
		all = append(all, e)
		if e.base == 0 {
			return all
		}
	}
	if offset < e.recordsEnd && isCentral(f, offset) {
		e.start, e.base = offset, 0
		e.ambiguous = len(all) > 0
		all = append(all, e)
	}
	return all
}

func isCentral(f *scan.File, at int64) bool {
	b, err := f.Read(at, 4)
	return err == nil && string(b) == "PK\x01\x02"
}

// errDirectory is wrapped by errors about a directory that is not read.
var errDirectory = errors.New("the central directory is not read to its end")

// entries reads a directory. bySize is how many records there are within its
// stated size; readers that count go on behind it. stop is where they end.
func (e *end) entries(p *scan.Place, f *scan.File) (all []entry, bySize int, stop int64, err error) {
	length := e.recordsEnd - e.start
	if length <= 0 {
		return nil, 0, e.start, nil
	}
	clipped := length > maxDirectory
	length = min(length, maxDirectory)
	if err := p.Spend(scan.Cost(length) * scan.CostRead); err != nil {
		return nil, 0, 0, err
	}
	if _, err := p.Hold(length); err != nil {
		return nil, 0, 0, err
	}
	b, err := f.Read(e.start, length)
	if err != nil {
		return nil, 0, 0, err
	}
	at := 0
	for len(b)-at >= centralSize && bytes.HasPrefix(b[at:], []byte("PK\x01\x02")) {
		if int64(at) >= e.size && int64(len(all)) >= e.count {
			break // behind what either kind of reader reads
		}
		if len(all)&1023 == 0 {
			if err := p.Spend(1024 * 100); err != nil {
				return nil, 0, 0, err
			}
			if _, err := p.Hold(1024 * entryMemory); err != nil {
				return nil, 0, 0, err
			}
		}
		if len(all) >= maxMembers {
			return all, bySize, e.start + int64(at), fmt.Errorf("%w: it has more than %d members", errDirectory, maxMembers)
		}
		one, n := central(b[at:], e.start+int64(at), e.base)
		if n == 0 {
			return all, bySize, e.start + int64(at), fmt.Errorf("%w: it breaks off within the record at byte %d", errDirectory, e.start+int64(at))
		}
		if int64(at) < e.size {
			bySize++
		}
		all = append(all, one)
		at += n
	}
	if clipped && len(b)-at < centralSize {
		return all, bySize, e.start + int64(at), fmt.Errorf("%w: it is longer than %d bytes", errDirectory, maxDirectory)
	}
	return all, bySize, e.start + int64(at), nil
}

// central reads one record and returns its length, 0 when it breaks off.
func central(b []byte, at, base int64) (entry, int) {
	le := binary.LittleEndian
	name, extra, comment := int(le.Uint16(b[28:])), int(le.Uint16(b[30:])), int(le.Uint16(b[32:]))
	n := centralSize + name + extra + comment
	if n > len(b) {
		return entry{}, 0
	}
	e := entry{name: string(b[centralSize : centralSize+name]), at: at, madeBy: le.Uint16(b[4:]), version: le.Uint16(b[6:]),
		flags: le.Uint16(b[8:]), method: le.Uint16(b[10:]), crc: le.Uint32(b[16:]),
		packed: int64(le.Uint32(b[20:])), size: int64(le.Uint32(b[24:])), local: int64(le.Uint32(b[42:])),
		external: le.Uint32(b[38:]), extra: extra, comment: comment}
	field := b[centralSize+name : centralSize+name+extra]
	wide(field, &e.size, &e.packed, &e.local)
	e.unicode = unicodePath(field, b[centralSize:centralSize+name])
	e.local += base
	return e, n
}

// extras walks the extra fields (APPNOTE 4.5).
func extras(b []byte, each func(id uint16, data []byte)) {
	for len(b) >= 4 {
		id, n := binary.LittleEndian.Uint16(b), int(binary.LittleEndian.Uint16(b[2:]))
		if n > len(b)-4 {
			return
		}
		each(id, b[4:4+n])
		b = b[4+n:]
	}
}

// wide replaces values that are all ones by those of the zip64 field, in its
// order (APPNOTE 4.5.3). It reports whether there is such a field.
func wide(extra []byte, values ...*int64) (has bool) {
	extras(extra, func(id uint16, data []byte) {
		if id != 1 || has {
			return
		}
		has = true
		for _, v := range values {
			if *v == 0xffffffff && len(data) >= 8 {
				*v = int64(binary.LittleEndian.Uint64(data) & (1<<63 - 1))
				data = data[8:]
			}
		}
	})
	return has
}

// unicodePath returns the name of a Info-ZIP Unicode path field that belongs
// to the name (APPNOTE 4.6.9). Python takes it for the member's name.
func unicodePath(extra, name []byte) (path string) {
	extras(extra, func(id uint16, data []byte) {
		if id == 0x7075 && len(data) > 5 && data[0] == 1 && binary.LittleEndian.Uint32(data[1:]) == crc32.ChecksumIEEE(name) {
			path = string(data[5:])
		}
	})
	return path
}

// A local is a local header: what a reader that goes from the front believes.
type local struct {
	at            int64
	name          string
	unicode       string
	version       uint16
	flags, method uint16
	crc           uint32
	packed, size  int64 // -1: not stated here
	data          int64 // where the content begins
	extra         int64 // bytes of extra fields before
}

// readLocal reads the local header at an offset.
func readLocal(f *scan.File, at int64) (local, bool) {
	const usual = 256 // header, name and extra fields of nearly all members
	if at < 0 || at > f.Size()-localSize {
		return local{}, false
	}
	b, err := f.Read(at, min(usual, f.Size()-at))
	if err != nil || !bytes.HasPrefix(b, []byte("PK\x03\x04")) {
		return local{}, false
	}
	le := binary.LittleEndian
	name, extra := int64(le.Uint16(b[26:])), int64(le.Uint16(b[28:]))
	l := local{at: at, version: le.Uint16(b[4:]), flags: le.Uint16(b[6:]), method: le.Uint16(b[8:]), crc: le.Uint32(b[14:]),
		packed: int64(le.Uint32(b[18:])), size: int64(le.Uint32(b[22:])), data: at + localSize + name + extra, extra: extra}
	if l.data > f.Size() {
		return local{}, false
	}
	if l.data-at > int64(len(b)) {
		if b, err = f.Read(at, l.data-at); err != nil {
			return local{}, false
		}
	}
	l.name = string(b[localSize : localSize+name])
	field := b[localSize+name : l.data-at]
	wide(field, &l.size, &l.packed)
	l.unicode = unicodePath(field, b[localSize:localSize+name])
	if streamed := l.flags&flagDescriptor != 0; l.packed == 0xffffffff || streamed && l.packed == 0 {
		l.packed = -1
	}
	if streamed := l.flags&flagDescriptor != 0; l.size == 0xffffffff || streamed && l.size == 0 {
		l.size = -1
	}
	return l, true
}

// descriptor measures the data descriptor behind a member (APPNOTE 4.3.9): its
// length, 0 when there is none that says the same as the entry.
func descriptor(f *scan.File, at int64, crc uint32, packed, size int64) int64 {
	b, err := f.Read(at, min(24, max(f.Size()-at, 0)))
	if err != nil {
		return 0
	}
	le := binary.LittleEndian
	signature := 0
	if bytes.HasPrefix(b, []byte("PK\x07\x08")) {
		signature = 4
	}
	for _, skip := range [2]int{signature, 0} {
		d := b[skip:]
		if len(d) >= 20 && le.Uint32(d) == crc && int64(le.Uint64(d[4:])) == packed && int64(le.Uint64(d[12:])) == size {
			return int64(skip) + 20
		}
		if len(d) >= 12 && le.Uint32(d) == crc && int64(le.Uint32(d[4:])) == packed&0xffffffff && int64(le.Uint32(d[8:])) == size&0xffffffff {
			return int64(skip) + 12
		}
	}
	return 0
}
