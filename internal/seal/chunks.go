package seal

import (
	"bufio"
	"crypto/cipher"
	"encoding/binary"
	"errors"
	"io"
)

// nonce is that of a chunk: its number, and whether it is the last.
func nonce(number uint64, last bool) []byte {
	n := make([]byte, 12)
	binary.BigEndian.PutUint64(n[3:], number)
	if last {
		n[11] = 1
	}
	return n
}

type writer struct {
	to     io.Writer
	aead   cipher.AEAD
	chunk  []byte // not sealed yet
	number uint64
	err    error
}

var errClosed = errors.New("seal: the envelope is closed")

// Write seals whole chunks. The last one waits for Close, since it has to say that
// it is the last.
func (w *writer) Write(p []byte) (n int, err error) {
	for len(p) > 0 && w.err == nil {
		if len(w.chunk) == chunkSize {
			w.flush(false)
			continue
		}
		taken := min(len(p), chunkSize-len(w.chunk))
		w.chunk = append(w.chunk, p[:taken]...)
		p, n = p[taken:], n+taken
	}
	return n, w.err
}

// Close writes the last chunk. An envelope that could not be written is an error
// here as well.
func (w *writer) Close() error {
	if w.err != nil {
		if w.err == errClosed {
			return nil
		}
		return w.err
	}
	w.flush(true)
	if w.err != nil {
		return w.err
	}
	w.err = errClosed
	return nil
}

func (w *writer) flush(last bool) {
	if w.number == maxChunks {
		w.err = errors.New("seal: the content is longer than an envelope can hold")
		return
	}
	sealed := w.aead.Seal(w.chunk[:0], nonce(w.number, last), w.chunk, nil)
	w.number++
	_, w.err = w.to.Write(sealed)
	clear(w.chunk)
	w.chunk = w.chunk[:0]
}

type reader struct {
	from   *bufio.Reader
	aead   cipher.AEAD
	buffer []byte // of a chunk
	left   []byte // opened, and not read yet
	number uint64
	err    error
}

// Read returns what was opened. Content is whole once Read returns io.EOF; until
// then it may turn out to be cut off.
func (r *reader) Read(p []byte) (int, error) {
	for len(r.left) == 0 {
		if r.err != nil {
			return 0, r.err
		}
		r.next()
	}
	n := copy(p, r.left)
	r.left = r.left[n:]
	return n, nil
}

// next opens the next chunk.
func (r *reader) next() {
	n, err := io.ReadFull(r.from, r.buffer)
	last := false
	switch err {
	case nil: // the last chunk may be a whole one
		_, err := r.from.Peek(1)
		if err != nil && err != io.EOF {
			r.err = err
			return
		}
		last = err == io.EOF
	case io.ErrUnexpectedEOF:
		last = true
	case io.EOF:
		r.err = ErrChanged
		return
	default:
		r.err = err
		return
	}
	if r.number == maxChunks {
		r.err = ErrChanged
		return
	}
	opened, err := r.aead.Open(r.buffer[:0], nonce(r.number, last), r.buffer[:n], nil)
	if err != nil || len(opened) == 0 && r.number > 0 { // only empty content has an empty chunk
		r.err = ErrChanged
		return
	}
	r.number++
	r.left = opened
	if last {
		r.err = io.EOF
	}
}
