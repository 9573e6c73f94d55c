package archive

import (
	"encoding/binary"
	"fmt"
	"unicode/utf16"
)

// What the header of a 7z archive says. All counts have been checked against
// the bytes that would be needed for them.
type sevenList struct {
	packAt  int64
	packs   []int64 // sizes of the packed streams
	folders []sevenFolder
	counts  []int     // files per folder, nil for one each
	inner   [][]int64 // their sizes but the last
	files   []string
	filled  []string // those with content
}

type sevenFolder struct {
	coders  []sevenCoder
	pairs   [][2]int // input, output
	packed  []int    // inputs that are packed streams
	unpacks []int64  // by output
	first   int      // its first packed stream
}

type sevenCoder struct {
	id      string
	in, out int
	props   []byte
}

// main is the output that no input takes: the content.
func (f *sevenFolder) main() int {
	for out := range f.unpacks {
		bound := false
		for _, pair := range f.pairs {
			bound = bound || pair[1] == out
		}
		if !bound {
			return out
		}
	}
	return -1
}

func (f *sevenFolder) size() int64 {
	if main := f.main(); main >= 0 {
		return f.unpacks[main]
	}
	return 0
}

// sizes are those of the files in a folder.
func (l *sevenList) sizes(folder int) []int64 {
	left := l.folders[folder].size()
	count := 1
	if l.counts != nil {
		count = l.counts[folder]
	}
	if count == 0 {
		return nil
	}
	sizes := make([]int64, 0, count)
	if folder < len(l.inner) {
		for _, size := range l.inner[folder] {
			size = min(size, left)
			sizes = append(sizes, size)
			left -= size
		}
	}
	return append(sizes, left)
}

// sevenReader parses a header. The first error stays.
type sevenReader struct {
	b   []byte
	err error
}

func (r *sevenReader) fail(what string) {
	if r.err == nil {
		r.err = fmt.Errorf("%w: %s", errSeven, what)
	}
	r.b = nil
}

func (r *sevenReader) take(n int64) []byte {
	if n < 0 || n > int64(len(r.b)) {
		r.fail("its header breaks off")
		return nil
	}
	b := r.b[:n]
	r.b = r.b[n:]
	return b
}

func (r *sevenReader) byte() byte {
	if b := r.take(1); b != nil {
		return b[0]
	}
	return 0
}

// number reads the variable length of 7zFormat.txt: set bits in front of the
// first byte count the bytes that follow.
func (r *sevenReader) number() int64 {
	first := r.byte()
	var n uint64
	mask := byte(0x80)
	for i := range 8 {
		if first&mask == 0 {
			n |= uint64(first&(mask-1)) << (8 * i)
			break
		}
		n |= uint64(r.byte()) << (8 * i)
		mask >>= 1
	}
	if n > 1<<62 {
		r.fail("a number in its header is too large")
		return 0
	}
	return int64(n)
}

// count reads a number of things of which each takes at least so many bits.
func (r *sevenReader) count(bits int64) int {
	n := r.number()
	if n > int64(len(r.b))*8/bits+8 {
		r.fail("its header counts more than it can hold")
		return 0
	}
	return int(n)
}

// digests skips checksums.
func (r *sevenReader) digests(n int) {
	defined := n
	if r.byte() == 0 {
		defined = 0
		for _, set := range r.bits(n) {
			if set {
				defined++
			}
		}
	}
	r.take(4 * int64(defined))
}

func (r *sevenReader) bits(n int) []bool {
	b := r.take((int64(n) + 7) / 8)
	if b == nil {
		return nil
	}
	set := make([]bool, n)
	for i := range set {
		set[i] = b[i/8]&(0x80>>(i%8)) != 0
	}
	return set
}

// list reads a whole header.
func (r *sevenReader) list(l *sevenList) {
	for r.err == nil {
		switch id := r.byte(); id {
		case 0x00:
			return
		case 0x02: // properties of the archive
			for r.err == nil && r.byte() != 0 {
				r.take(r.number())
			}
		case 0x03: // additional streams, which no writer makes
			r.streams(&sevenList{})
		case 0x04:
			r.streams(l)
		case 0x05:
			r.filesInfo(l)
		default:
			r.fail(fmt.Sprintf("its header has a part %#02x", id))
		}
	}
}

func (r *sevenReader) streams(l *sevenList) {
	for r.err == nil {
		switch id := r.byte(); id {
		case 0x00:
			return
		case 0x06:
			r.packInfo(l)
		case 0x07:
			r.folderInfo(l)
		case 0x08:
			r.subStreams(l)
		default:
			r.fail(fmt.Sprintf("its streams have a part %#02x", id))
		}
	}
}

func (r *sevenReader) packInfo(l *sevenList) {
	l.packAt = r.number()
	n := r.count(8)
	for r.err == nil {
		switch id := r.byte(); id {
		case 0x00:
			return
		case 0x09:
			l.packs = make([]int64, n)
			for i := range l.packs {
				l.packs[i] = r.number()
			}
		case 0x0a:
			r.digests(n)
		default:
			r.fail(fmt.Sprintf("its packed streams have a part %#02x", id))
		}
	}
}

func (r *sevenReader) folderInfo(l *sevenList) {
	if r.byte() != 0x0b {
		r.fail("its folders are missing")
		return
	}
	n := r.count(8)
	if r.byte() != 0 {
		r.fail("its folders are elsewhere")
		return
	}
	first := 0
	for range n {
		if r.err != nil {
			return
		}
		f := r.folder()
		f.first = first
		first += len(f.packed)
		l.folders = append(l.folders, f)
	}
	if r.byte() != 0x0c {
		r.fail("the sizes of its folders are missing")
		return
	}
	for i := range l.folders {
		out := 0
		for _, c := range l.folders[i].coders {
			out += c.out
		}
		l.folders[i].unpacks = make([]int64, out)
		for j := range out {
			l.folders[i].unpacks[j] = r.number()
		}
	}
	for r.err == nil {
		switch id := r.byte(); id {
		case 0x00:
			return
		case 0x0a:
			r.digests(n)
		default:
			r.fail(fmt.Sprintf("its folders have a part %#02x", id))
		}
	}
}

// Limits of 7-Zip itself for one folder.
const (
	maxSevenCoders = 32
	maxSevenInputs = 32
)

func (r *sevenReader) folder() (f sevenFolder) {
	n := r.count(8)
	if n == 0 || n > maxSevenCoders {
		r.fail("a folder has no coder, or too many")
		return f
	}
	in, out := 0, 0
	for range n {
		flags := r.byte()
		c := sevenCoder{id: string(r.take(int64(flags & 0xf))), in: 1, out: 1}
		if flags&0x10 != 0 {
			c.in, c.out = r.count(1), r.count(1)
		}
		if flags&0x20 != 0 {
			c.props = r.take(r.number())
		}
		if in, out = in+c.in, out+c.out; r.err == nil && (flags&0xc0 != 0 || in > maxSevenInputs || out > maxSevenInputs) {
			r.fail("a coder of a folder is not understood")
		}
		if r.err != nil {
			return f
		}
		f.coders = append(f.coders, c)
	}
	if out == 0 || in < out-1 {
		r.fail("the coders of a folder do not fit together")
		return f
	}
	taken := make([]bool, in)
	for range out - 1 {
		pair := [2]int{int(r.number()), int(r.number())}
		if r.err != nil || pair[0] < 0 || pair[0] >= in || pair[1] < 0 || pair[1] >= out {
			r.fail("the coders of a folder do not fit together")
			return f
		}
		taken[pair[0]] = true
		f.pairs = append(f.pairs, pair)
	}
	if packed := in - (out - 1); packed > 1 {
		for range packed {
			f.packed = append(f.packed, int(r.number()))
		}
		return f
	}
	for i := range taken {
		if !taken[i] {
			f.packed = append(f.packed, i)
			break
		}
	}
	return f
}

func (r *sevenReader) subStreams(l *sevenList) {
	l.counts = make([]int, len(l.folders))
	for i := range l.counts {
		l.counts[i] = 1
	}
	sized := false
	for r.err == nil {
		switch id := r.byte(); id {
		case 0x00:
			return
		case 0x0d:
			total := 0
			for i := range l.counts {
				l.counts[i] = r.count(1)
				if total += l.counts[i]; total > maxMembers {
					r.fail("it has too many members")
					return
				}
			}
		case 0x09:
			if sized {
				r.fail("it has two lists of sizes")
				return
			}
			sized = true
			l.inner = make([][]int64, len(l.folders))
			for i, n := range l.counts {
				for range n - 1 {
					l.inner[i] = append(l.inner[i], r.number())
					if r.err != nil {
						return
					}
				}
			}
		case 0x0a: // those of folders with one file may stand there already; nothing follows that is needed
			r.skipDigests(l)
			return
		default:
			r.fail(fmt.Sprintf("its files have a part %#02x", id))
		}
	}
}

// skipDigests skips the checksums of files. How many there are depends on
// which folders have one, which differs among writers: each number is tried.
func (r *sevenReader) skipDigests(l *sevenList) {
	most, least := 0, 0
	for _, n := range l.counts {
		most += n
		if n != 1 {
			least += n
		}
	}
	for _, n := range [2]int{least, most} {
		try := &sevenReader{b: r.b}
		try.digests(n)
		if end := try.byte(); try.err == nil && end == 0 && (len(try.b) == 0 || try.b[0] == 0) {
			r.b = try.b
			return
		}
	}
	r.fail("the checksums of its files are not understood")
}

func (r *sevenReader) filesInfo(l *sevenList) {
	n := r.count(1)
	if n > maxMembers {
		r.fail("it has too many members")
		return
	}
	l.files = make([]string, n)
	var empty []bool
	for r.err == nil {
		id := r.byte()
		if id == 0 {
			break
		}
		part := &sevenReader{b: r.take(r.number())}
		switch id {
		case 0x0e:
			empty = part.bits(n)
		case 0x11:
			if part.byte() != 0 {
				r.fail("its names are elsewhere")
				return
			}
			names(part.b, l.files)
		}
		if part.err != nil {
			r.fail("a list of its files breaks off")
		}
	}
	for i, name := range l.files {
		if i >= len(empty) || !empty[i] {
			l.filled = append(l.filled, name)
		}
	}
}

// names splits UTF-16 at its zeros.
func names(b []byte, into []string) {
	for i := range into {
		var units []uint16
		for len(b) >= 2 {
			unit := binary.LittleEndian.Uint16(b)
			b = b[2:]
			if unit == 0 {
				break
			}
			units = append(units, unit)
		}
		into[i] = string(utf16.Decode(units))
	}
}
