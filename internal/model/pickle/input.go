package pickle

import (
	"bytes"
	"fmt"
	"io"
	"strings"

	"github.com/apexlogic/apex/internal/model/scan"
)

// How a file is read.
const (
	inputWhole = 4 << 20   // a file up to this size is read at once
	inputBlock = 256 << 10 // a longer one in blocks, each somewhat larger than what one read of a disk costs
	inputDear  = 16 << 20  // of a file behind a network no more than this, from its beginning
	keptText   = 64 << 10  // of a constant no more than this is looked at
)

// input is a window that moves over a file.
type input struct {
	file  *scan.File
	place *scan.Place
	buf   []byte // the window
	base  int64  // where the window begins in the file
	pos   int    // of the next byte in the window
	own   []byte // the window's memory, where it is not the file's
	spent int64  // bytes of blocks whose reading was paid for
	err   error  // why reading ended, io.EOF for the file's end
}

func newInput(p *scan.Place, f *scan.File) *input { return &input{file: f, place: p} }

// at is where the next byte is in the file.
func (in *input) at() int64 { return in.base + int64(in.pos) }

// seek goes to an offset in the file. Beyond its end is at its end.
func (in *input) seek(off int64) {
	off = min(off, in.file.Size())
	if off >= in.base && off <= in.base+int64(len(in.buf)) {
		in.pos = int(off - in.base)
		return
	}
	in.base, in.buf, in.pos = off, nil, 0
}

// need makes the next n bytes, at most a block, part of the window.
func (in *input) need(n int) bool {
	if len(in.buf)-in.pos >= n {
		return true
	}
	return in.fill(n)
}

// fill moves the window on. Near the file's end it takes what is left, and
// says that it is too little.
func (in *input) fill(n int) bool {
	left := in.file.Size() - in.at()
	if left >= int64(n) {
		return in.load(in.at(), n)
	}
	if int64(len(in.buf)-in.pos) < left && !in.load(in.at(), int(left)) {
		return false
	}
	in.err = io.EOF
	return false
}

// load reads the window anew from an offset, at least n bytes of it.
func (in *input) load(at int64, n int) bool {
	size := in.file.Size()
	from, length := at, max(int64(n), inputBlock)
	switch {
	case size <= inputWhole:
		from, length = 0, size
	case in.file.IsDear():
		length = max(length, 1<<20)
	}
	length = min(length, size-from)
	in.spent += length
	if in.file.IsDear() && in.spent > inputDear {
		in.err = fmt.Errorf("%w: more than %d MiB of it would have to be fetched", scan.ErrBudget, inputDear>>20)
		return false
	}
	if in.err = in.place.Spend(scan.Cost(length) / 8); in.err != nil {
		return false
	}
	if size <= inputWhole {
		in.buf, in.err = in.file.Read(0, size)
	} else {
		if int64(cap(in.own)) < length {
			in.own = make([]byte, length)
		}
		in.own = in.own[:length]
		var got int
		got, in.err = in.file.ReadAt(in.own, from)
		if int64(got) == length {
			in.err = nil
		}
		in.buf = in.own
	}
	if in.err != nil {
		in.base, in.buf, in.pos = at, nil, 0
		return false
	}
	in.base, in.pos = from, int(at-from)
	return true
}

// skip passes n bytes over.
func (in *input) skip(n int64) bool {
	if n < 0 || n > in.file.Size()-in.at() {
		in.err = io.EOF
		return false
	}
	if n <= int64(len(in.buf)-in.pos) {
		in.pos += int(n)
		return true
	}
	in.seek(in.at() + n)
	return true
}

// How long lines are. Of a file that is read in blocks, a line that goes on
// must look like the argument of its opcode; behind a network it ends at last.
const (
	longLine = 64 << 10
	dearLine = 4 << 20
)

// errLongLine ends reading in a line that could go on for all of a file.
var errLongLine = fmt.Errorf("%w: a line is longer than %d MiB", scan.ErrBudget, dearLine>>20)

// line passes over the bytes up to a line feed, the argument of an opcode, and
// returns where they are. Where the file ends before one, whole is false and n
// counts what is left.
func (in *input) line(op byte) (off, n int64, whole bool) {
	off = in.at()
	if i := bytes.IndexByte(in.buf[in.pos:], '\n'); i >= 0 {
		in.pos += i + 1
		return off, in.at() - 1 - off, true
	}
	if size := in.file.Size(); size > inputWhole && size-off > longLine {
		if !in.need(longLine) {
			return off, 0, false
		}
		if begin := in.buf[in.pos : in.pos+longLine]; bytes.IndexByte(begin, '\n') < 0 && !goesOn(op, begin) {
			in.err = broken("its line does not end")
			return off, 0, false
		}
	}
	for {
		if i := bytes.IndexByte(in.buf[in.pos:], '\n'); i >= 0 {
			in.pos += i + 1
			return off, in.at() - 1 - off, true
		}
		in.pos = len(in.buf)
		if in.file.IsDear() && in.at()-off > dearLine {
			in.err = errLongLine
			return off, 0, false
		}
		if !in.need(1) {
			return off, in.at() - off, false
		}
	}
}

// goesOn says whether the beginning of a long line can be of an argument that
// some unpickler takes: a text, a name, or a number, of which C reads no more
// than comes before a zero. A persistent id of this length is none.
func goesOn(op byte, begin []byte) bool {
	switch op {
	case opUnicode:
		return true
	case opString:
		return begin[0] == '\'' || begin[0] == '"'
	case opGlobal, opInst:
		return importable(strings.TrimRight(strings.ToValidUTF8(string(begin), "x"), "."))
	case opPersID:
		return false
	}
	number, _, _ := bytes.Cut(begin, []byte{0})
	rest := bytes.Trim(number, "0123456789abcdefABCDEFxXoOlLtTyYiInN_+-. \t\r\v\f")
	return len(rest) == 0 && bytes.ContainsAny(number, "0123456789nN") // digits, inf and nan
}

// text returns up to keptText bytes of the file, valid until the next read.
func (in *input) text(off, n int64) ([]byte, error) {
	n = min(n, keptText, in.file.Size()-off)
	if off < 0 || n < 0 {
		return nil, io.ErrUnexpectedEOF
	}
	if from := off - in.base; from >= 0 && from+n <= int64(len(in.buf)) {
		return in.buf[from : from+n], nil
	}
	if err := in.place.Spend(scan.Cost(n) + 500); err != nil {
		return nil, err
	}
	if in.file.IsDear() {
		in.spent += 64 << 10 // a request
		if in.spent > inputDear {
			return nil, fmt.Errorf("%w: too much of it would have to be fetched again", scan.ErrBudget)
		}
	}
	return in.file.Read(off, n)
}
