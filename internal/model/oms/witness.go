package oms

import (
	"errors"
	"fmt"
	"hash/maphash"
	"io"
	"sync"
)

// witnessBlock is the unit in which a [Witness] remembers: small enough that a
// scanner which reads a header makes it read little more, large enough that
// hashing it twice costs nothing beside the file's digest.
const witnessBlock = 64 << 10

const (
	// maxWitnessed bounds what is remembered: 24 bytes for each block. No
	// scanner that keeps to its budget reads 64 GiB.
	maxWitnessed = 1 << 20
	// keptBlocks are kept in memory, for scanners that read byte by byte.
	keptBlocks = 8
)

// Witness is a file as a scanner sees it. For every block that it hands out it
// remembers a keyed hash of what it handed out; [Witness.Check] compares that
// with what the hashing pass reads later. What was scanned is so bound to what
// was hashed, without reading the file twice: a change between the two passes
// goes unnoticed with a probability of 2^-64, and nobody who writes to the file
// knows the key.
//
// It is safe for concurrent use.
type Witness struct {
	r          io.ReaderAt
	size, span int64
	seed       maphash.Seed

	mu     sync.RWMutex
	seen   map[int64]uint64 // by the offset at which a block begins
	kept   [keptBlocks]keptBlock
	next   int
	failed error
}

type keptBlock struct {
	start int64
	bytes []byte
}

// NewWitness witnesses what is read of r, which holds size bytes. Blocks begin
// anew at every multiple of span, so that each shard can be checked by itself;
// 0: the file is hashed as one.
func NewWitness(r io.ReaderAt, size, span int64) *Witness {
	if span <= 0 {
		span = max(size, 1)
	}
	return &Witness{r: r, size: size, span: span, seed: maphash.MakeSeed(), seen: map[int64]uint64{}}
}

// Size is the file's length in bytes.
func (w *Witness) Size() int64 { return w.size }

// block returns the block that holds off.
func (w *Witness) block(off int64) (start, end int64) {
	first := off / w.span * w.span
	start = first + (off-first)/witnessBlock*witnessBlock
	end = min(start+witnessBlock, w.size)
	if w.span < end-first { // without overflow for a span near 2^63
		end = first + w.span
	}
	return start, end
}

// ReadAt reads as io.ReaderAt does. Once a block reads differently than before
// every later call fails too.
func (w *Witness) ReadAt(p []byte, off int64) (int, error) {
	if off < 0 {
		return 0, fmt.Errorf("read at byte %d", off)
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	done := 0
	for done < len(p) && off < w.size && w.failed == nil {
		n := w.read(p[done:], off)
		done, off = done+n, off+int64(n)
	}
	switch {
	case w.failed != nil:
		return 0, w.failed
	case done < len(p):
		return done, io.EOF
	}
	return done, nil
}

// read fills the beginning of p: with as many whole blocks as fit, or with a
// part of one.
func (w *Witness) read(p []byte, off int64) int {
	start, end := w.block(off)
	if off != start || int64(len(p)) < end-start {
		return copy(p, w.keep(start, end)[off-start:])
	}
	last := end
	for last < w.size {
		_, next := w.block(last)
		if next-off > int64(len(p)) {
			break
		}
		last = next
	}
	p = p[:last-off]
	if !w.fill(p, off) {
		return 0
	}
	for b := p; len(b) > 0; {
		_, end := w.block(off)
		n := end - off
		w.note(off, b[:n])
		off, b = end, b[n:]
	}
	return len(p)
}

// keep returns a block from memory, or reads it into memory.
func (w *Witness) keep(start, end int64) []byte {
	for i := range w.kept {
		if k := &w.kept[i]; k.bytes != nil && k.start == start {
			return k.bytes
		}
	}
	k := &w.kept[w.next]
	w.next = (w.next + 1) % keptBlocks
	if k.bytes == nil {
		k.bytes = make([]byte, 0, min(witnessBlock, w.size))
	}
	k.start, k.bytes = start, k.bytes[:end-start]
	if !w.fill(k.bytes, start) {
		k.bytes = nil
		return make([]byte, end-start)
	}
	w.note(start, k.bytes)
	return k.bytes
}

func (w *Witness) fill(b []byte, off int64) bool {
	n, err := w.r.ReadAt(b, off)
	switch {
	case n == len(b):
		return true
	case err == nil || errors.Is(err, io.EOF):
		w.failed = &ChangedError{Detail: fmt.Sprintf("it ended at byte %d and had %d", off+int64(n), w.size)}
	default:
		w.failed = fmt.Errorf("read at byte %d: %w", off, err)
	}
	return false
}

func (w *Witness) note(start int64, b []byte) {
	sum := maphash.Bytes(w.seed, b)
	old, ok := w.seen[start]
	switch {
	case ok && old != sum:
		w.failed = &ChangedError{Detail: fmt.Sprintf("two reads of the bytes from %d on gave different ones", start)}
	case !ok && len(w.seen) >= maxWitnessed:
		w.failed = fmt.Errorf("the scanner read more than %d blocks of %d bytes", maxWitnessed, witnessBlock)
	default:
		w.seen[start] = sum
	}
}

// Check compares b, which the hashing pass read at off, with what was handed
// out before. off is where a block begins and b ends where one ends. It also
// returns what failed while the scanner read.
func (w *Witness) Check(b []byte, off int64) error {
	w.mu.RLock()
	defer w.mu.RUnlock()
	if w.failed != nil || len(w.seen) == 0 {
		return w.failed
	}
	for len(b) > 0 {
		start, end := w.block(off)
		if start != off || end-start > int64(len(b)) {
			return fmt.Errorf("byte %d is not where a block of the witness begins", off)
		}
		if sum, ok := w.seen[off]; ok && sum != maphash.Bytes(w.seed, b[:end-start]) {
			return &ChangedError{Detail: fmt.Sprintf("the bytes from %d on are not those that were scanned", off)}
		}
		b, off = b[end-start:], end
	}
	return nil
}

var _ io.ReaderAt = (*Witness)(nil)
