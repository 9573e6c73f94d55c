package scan

import (
	"bytes"
	"errors"
	"fmt"
	"io"
)

// HeadSize is how much of a file's beginning, and of its end, claims can look
// at for nothing.
const HeadSize = 4096

// File is a run of bytes of known length that can be read anywhere: a file on
// disk, a part of one, a member that was unpacked, a file behind a network
// that answers ranges. It is not safe for concurrent use.
type File struct {
	reader io.ReaderAt
	size   int64
	dear   bool
	whole  []byte // where the file is in memory
	head   []byte
	tail   []byte
	failed error
	origin *File       // that this one is a section of
	start  int64       // where it begins in origin
	onRead func(n int) // is told what was read, of the outermost file only
	swell  int64       // how many bytes of it one byte of the outermost file makes, at least 1; 0 for 1
}

// NewFile returns a file of size bytes that r holds. r returns an error, and
// not fewer bytes, for what it cannot read.
func NewFile(r io.ReaderAt, size int64) *File { return &File{reader: r, size: size} }

// Dear marks the file as one whose every read costs a request to another
// machine: scanners read headers and what can run, and no more.
func (f *File) Dear() *File {
	f.dear = true
	return f
}

// Bytes returns a file that is in memory.
func Bytes(b []byte) *File {
	return &File{reader: bytes.NewReader(b), size: int64(len(b)), whole: b}
}

// IsDear says whether reads are requests to another machine.
func (f *File) IsDear() bool { return f.dear }

// Size is the file's length in bytes.
func (f *File) Size() int64 { return f.size }

// ReadAt reads as io.ReaderAt does.
func (f *File) ReadAt(p []byte, off int64) (int, error) {
	if off < 0 {
		return 0, fmt.Errorf("read at byte %d", off)
	}
	if off >= f.size {
		return 0, io.EOF
	}
	short := false
	if int64(len(p)) > f.size-off {
		p, short = p[:f.size-off], true
	}
	n, err := f.reader.ReadAt(p, off)
	if f.onRead != nil {
		f.onRead(n)
	}
	if n == len(p) {
		err = nil
	}
	if err == nil && short {
		err = io.EOF
	}
	if err != nil && n < len(p) && errors.Is(err, io.EOF) {
		err = io.ErrUnexpectedEOF // the file is shorter than it was said to be
	}
	return n, err
}

// Head returns the first HeadSize bytes, or all of a shorter file. The caller
// does not change them.
func (f *File) Head() ([]byte, error) {
	if f.head == nil && f.failed == nil {
		f.head, f.failed = f.Read(0, min(f.size, HeadSize))
	}
	return f.head, f.failed
}

// HasPrefix says whether the file begins with the bytes.
func (f *File) HasPrefix(prefix string) bool {
	head, err := f.Head()
	return err == nil && len(head) >= len(prefix) && string(head[:len(prefix)]) == prefix
}

// Tail returns the last HeadSize bytes, or all of a shorter file.
func (f *File) Tail() ([]byte, error) {
	if f.size <= HeadSize {
		return f.Head()
	}
	if f.tail == nil {
		tail, err := f.Read(f.size-HeadSize, HeadSize)
		if err != nil {
			return nil, err
		}
		f.tail = tail
	}
	return f.tail, nil
}

// Read returns exactly n bytes from off. The caller does not change them, and
// bounds n before it asks. Reading past the end is io.ErrUnexpectedEOF.
func (f *File) Read(off, n int64) ([]byte, error) {
	if off < 0 || n < 0 || off > f.size || n > f.size-off {
		return nil, io.ErrUnexpectedEOF
	}
	if f.whole != nil {
		return f.whole[off : off+n : off+n], nil
	}
	if off == 0 && n <= int64(len(f.head)) {
		return f.head[:n:n], nil
	}
	b := make([]byte, n)
	if _, err := f.ReadAt(b, off); err != nil && !(errors.Is(err, io.EOF) && off+n == f.size) {
		return nil, err
	}
	return b, nil
}

// Section returns n bytes from off as a file of their own. What lies outside
// of the file is cut off.
func (f *File) Section(off, n int64) *File {
	off = min(max(off, 0), f.size)
	n = min(max(n, 0), f.size-off)
	if f.whole != nil {
		b := Bytes(f.whole[off : off+n : off+n])
		b.dear, b.swell = f.dear, f.swell
		b.origin, b.start = f.root()
		b.start += off
		return b
	}
	s := &File{reader: io.NewSectionReader(f, off, n), size: n, dear: f.dear, swell: f.swell}
	s.origin, s.start = f.root()
	s.start += off
	return s
}

// root is the file that this one is a section of, and where.
func (f *File) root() (origin *File, start int64) {
	if f.origin == nil {
		return f, 0
	}
	return f.origin, f.start
}
