package format

import (
	"crypto/sha256"
	"hash"
	"io"
	"sync"

	"github.com/apexlogic/apex/internal/media"
)

const (
	// window is how much is read at once: large enough that the digest is what
	// reading costs, small enough to stay in a core's cache.
	window = 64 << 10
	// step is how much is hashed at once, while it is in a core's nearest cache.
	step = 16 << 10
	// Reach is the most that Next and Peek return.
	Reach = 4 << 10
	// Kept is the most that Keep returns: metadata that are longer are not
	// looked into, and counted as holding everything that they could.
	Kept = 64 << 10
	// pooled is the largest buffer that is kept for the next content.
	pooled = 1 << 20
	// idle bounds how often a source may return nothing without an error.
	idle = 100
)

// Reader reads one piece of content, once, and hashes it on the way. It is not
// safe for concurrent use.
type Reader struct {
	Where  string
	Limits *media.Limits

	src   io.Reader
	sum   hash.Hash
	total int64 // read from the source
	err   error // of the source, kept
	eof   bool

	// Unread, and hashed, are the bytes from at to end of cur. That is all of the
	// content when it is in memory; otherwise one of two windows, each of which
	// begins with room for what was unread of the other, so that Peek is one piece.
	cur     []byte
	at, end int
	held    bool // cur is all of the content
	buf     [2][Reach + window]byte
	now     int
	before  int // end of what buf[1-now] holds, from Reach on; 0 for nothing

	scratch []byte
	chunk   string // the last one's name
}

var readers = sync.Pool{New: func() any { return &Reader{sum: sha256.New()} }}

// Open returns a reader of the content of src. Close gives it back.
func Open(src io.Reader, where string, l *media.Limits) *Reader {
	r := readers.Get().(*Reader)
	r.sum.Reset()
	r.Where, r.Limits, r.src = where, l, src
	r.total, r.err, r.eof = 0, nil, false
	if m, ok := src.(*media.Memory); ok {
		r.cur, r.at, r.end, r.held = m.Rest(), 0, 0, true
		return r
	}
	r.now, r.at, r.end, r.before, r.held = 0, Reach, Reach, 0, false
	r.cur = r.buf[0][:]
	return r
}

// Close ends the use of the reader and of all slices that it returned.
func (r *Reader) Close() {
	r.src, r.cur, r.Limits, r.Where = nil, nil, nil, ""
	if cap(r.scratch) > pooled {
		r.scratch = nil
	}
	readers.Put(r)
}

// fill reads the next window. What is unread, at most Reach bytes, stays in
// front of it.
func (r *Reader) fill() error {
	if r.err != nil || r.eof {
		return r.err
	}
	if r.held {
		return r.extend()
	}
	next := &r.buf[1-r.now]
	into, n, silent := next[Reach:], 0, 0
	for n < len(into) && !r.eof {
		m, err := r.src.Read(into[n:min(n+step, len(into))])
		r.sum.Write(into[n : n+m])
		n += m
		switch {
		case err == io.EOF:
			r.eof = true
		case err != nil:
			r.err = err
			return err
		case m > 0:
			silent = 0
		default:
			if silent++; silent > idle {
				r.err = io.ErrNoProgress
				return r.err
			}
		}
	}
	if n == 0 {
		return nil
	}
	if err := r.count(n); err != nil {
		return err
	}
	unread := r.end - r.at
	copy(next[Reach-unread:Reach], r.cur[r.at:r.end])
	r.before = r.end
	r.now, r.at, r.end = 1-r.now, Reach-unread, Reach+n
	r.cur = next[:]
	return nil
}

// extend makes more of the content in memory readable, and hashes it.
func (r *Reader) extend() error {
	n := min(window, len(r.cur)-r.end)
	if n == 0 {
		r.eof = true
		return nil
	}
	if err := r.count(n); err != nil {
		return err
	}
	r.sum.Write(r.cur[r.end : r.end+n])
	r.end += n
	return nil
}

// count holds what was read to its limit.
func (r *Reader) count(n int) error {
	if r.total += int64(n); r.total > r.Limits.PartBytes {
		r.err = r.Over("the content has more than %d bytes", r.Limits.PartBytes)
	}
	return r.err
}

// Peek returns the next n bytes, at most Reach, without moving; fewer at the end.
func (r *Reader) Peek(n int) ([]byte, error) {
	if r.end-r.at < n {
		if err := r.fill(); err != nil {
			return nil, err
		}
	}
	return r.cur[r.at:min(r.at+n, r.end)], nil
}

// Next returns the next n bytes, at most Reach, and moves behind them. They
// hold until the next call.
func (r *Reader) Next(n int) ([]byte, error) {
	if r.end-r.at < n {
		if err := r.fill(); err != nil {
			return nil, err
		}
		if r.end-r.at < n {
			return nil, r.Truncated()
		}
	}
	r.at += n
	return r.cur[r.at-n : r.at], nil
}

// Window returns all that is at hand, at least one byte; nothing at the end.
// Advance moves.
func (r *Reader) Window() ([]byte, error) {
	if r.at == r.end {
		if err := r.fill(); err != nil {
			return nil, err
		}
	}
	return r.cur[r.at:r.end], nil
}

// Advance moves n bytes within what Window or Peek returned.
func (r *Reader) Advance(n int) { r.at += n }

// Each hands the next n bytes to f, piece by piece.
func (r *Reader) Each(n int64, f func([]byte)) error {
	for n > 0 {
		w, err := r.Window()
		if err != nil {
			return err
		}
		if len(w) == 0 {
			return r.Truncated()
		}
		w = w[:min(int64(len(w)), n)]
		f(w)
		r.at += len(w)
		n -= int64(len(w))
	}
	return nil
}

// Skip moves behind the next n bytes.
func (r *Reader) Skip(n int64) error {
	if int64(r.end-r.at) >= n {
		r.at += int(n)
		return nil
	}
	return r.Each(n, func([]byte) {})
}

// Keep reads the next n bytes and returns them; more than Kept are read but
// not returned, and whole is false.
func (r *Reader) Keep(n int64) (data []byte, whole bool, err error) {
	if n > Kept {
		return nil, false, r.Skip(n)
	}
	r.scratch = r.scratch[:0]
	err = r.Each(n, func(b []byte) { r.scratch = append(r.scratch, b...) })
	return r.scratch, true, err
}

// All reads everything that is left and returns it, for formats that cannot be
// read front to back. It is bounded by Limits.PartBytes.
func (r *Reader) All() ([]byte, error) {
	if r.held {
		for !r.eof {
			if err := r.extend(); err != nil {
				return nil, err
			}
		}
		rest := r.cur[r.at:r.end]
		r.at = r.end
		return rest, nil
	}
	r.scratch = r.scratch[:0]
	for {
		w, err := r.Window()
		if err != nil {
			return nil, err
		}
		if len(w) == 0 {
			return r.scratch, nil
		}
		r.scratch = append(r.scratch, w...)
		r.at += len(w)
	}
}

// Offset is the number of bytes before the next one.
func (r *Reader) Offset() int64 { return r.total - int64(r.end-r.at) }

// Ended reports whether everything was read.
func (r *Reader) Ended() (bool, error) {
	w, err := r.Window()
	return len(w) == 0, err
}

// End refuses content that goes on after the end of its format.
func (r *Reader) End() error {
	w, err := r.Peek(Head)
	if err != nil {
		return err
	}
	if len(w) > 0 {
		return r.Polyglot("the content goes on after its end at byte %d%s", r.Offset(), named(w))
	}
	return nil
}

// Sum reads what is left, and returns the length and the SHA-256 of all.
func (r *Reader) Sum() (int64, media.Digest, error) {
	for {
		w, err := r.Window()
		if err != nil {
			return 0, media.Digest{}, err
		}
		if len(w) == 0 {
			break
		}
		r.at += len(w)
	}
	var d media.Digest
	r.sum.Sum(d[:0])
	return r.total, d, nil
}

// Tail returns the last bytes that were read, in two pieces that follow each
// other: everything, or at least the last 64 KiB.
func (r *Reader) Tail() (first, second []byte) {
	if r.held {
		return nil, r.cur[:r.end]
	}
	if r.before > Reach {
		first = r.buf[1-r.now][Reach:r.before]
	}
	return first, r.cur[Reach:max(r.end, Reach)]
}
