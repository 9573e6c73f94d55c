// Package seek reads files in parts, also those that come as a stream.
//
// Use [Open] where a format keeps its index at the end or refers to itself by
// offsets, as zip archives and programs do.
package seek

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"sync"

	"github.com/apexlogic/apex/internal/bounded"
	"github.com/apexlogic/apex/internal/sbom/extract"
)

const (
	// maxSmall is up to which size a stream is simply kept in memory: most wheels
	// and programs, and a quarter of what scanning one image may use.
	maxSmall = 32 << 20
	// maxRewinds is how often a stream is begun anew: formats need the index, the
	// tables it names, and some contents before those.
	maxRewinds = 32
	buffer     = 64 << 10
)

// Open returns the file for reading at any offset. A file that can only be
// streamed is read forward, and begun anew for what lies before; after 32 times
// that reads fail. The result is safe for concurrent use.
func Open(f *extract.File) (extract.ReaderAtCloser, error) {
	if f.At != nil {
		r, err := f.At()
		if err == nil {
			return r, nil
		}
		if !errors.Is(err, fs.ErrInvalid) {
			return nil, fmt.Errorf("open %s: %w", f.Path, err)
		}
	}
	if f.Size <= maxSmall {
		return whole(f)
	}
	return &stream{f: f, begins: maxRewinds + 1}, nil
}

// memory is a small file as a whole.
type memory []byte

func whole(f *extract.File) (memory, error) {
	r, err := f.Open()
	if err != nil {
		return nil, fmt.Errorf("open %s: %w", f.Path, err)
	}
	defer r.Close()
	data, err := bounded.ReadAll(r, maxSmall)
	if err != nil {
		return nil, fmt.Errorf("read %s: %w", f.Path, err)
	}
	return data, nil
}

// ReadAt implements io.ReaderAt.
func (m memory) ReadAt(p []byte, off int64) (int, error) {
	if off < 0 {
		return 0, fs.ErrInvalid
	}
	if off >= int64(len(m)) {
		return 0, io.EOF
	}
	n := copy(p, m[off:])
	if n < len(p) {
		return n, io.EOF
	}
	return n, nil
}

// Close implements io.Closer.
func (memory) Close() error { return nil }

// stream reads forward and begins anew to go back.
type stream struct {
	f *extract.File

	mu     sync.Mutex
	r      io.ReadCloser
	b      *bufio.Reader
	at     int64
	begins int // how many are left
}

// ReadAt implements io.ReaderAt.
func (s *stream) ReadAt(p []byte, off int64) (int, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if off < 0 {
		return 0, fs.ErrInvalid
	}
	if off >= s.f.Size {
		return 0, io.EOF
	}
	if s.r == nil || off < s.at {
		if err := s.begin(); err != nil {
			return 0, err
		}
	}
	if off > s.at {
		n, err := io.CopyN(io.Discard, s.b, off-s.at)
		s.at += n
		if err != nil {
			return 0, err
		}
	}
	n, err := io.ReadFull(s.b, p)
	s.at += int64(n)
	if errors.Is(err, io.ErrUnexpectedEOF) {
		err = io.EOF
	}
	return n, err
}

func (s *stream) begin() error {
	if s.begins--; s.begins < 0 {
		return fmt.Errorf("read %s: it refers back and forth more than %d times", s.f.Path, maxRewinds)
	}
	if s.r != nil {
		s.r.Close()
	}
	r, err := s.f.Open()
	if err != nil {
		s.r = nil
		return fmt.Errorf("open %s: %w", s.f.Path, err)
	}
	s.r, s.at = r, 0
	if s.b == nil {
		s.b = bufio.NewReaderSize(nil, buffer)
	}
	s.b.Reset(r)
	return nil
}

// Close implements io.Closer.
func (s *stream) Close() error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.r == nil {
		return nil
	}
	err := s.r.Close()
	s.r = nil
	s.begins = 0
	return err
}

// Interface guards.
var (
	_ extract.ReaderAtCloser = memory(nil)
	_ extract.ReaderAtCloser = (*stream)(nil)
)
