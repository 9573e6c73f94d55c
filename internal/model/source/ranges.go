package source

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"io"
	"slices"
	"sync"

	"github.com/apexlogic/apex/internal/model/scan"
	"github.com/apexlogic/apex/verdict"
)

// How much is fetched at a time. Scanners read little headers from the front
// and the directory of an archive from the end.
const (
	firstBlock = 128 << 10
	lastBlock  = 72 << 10 // the longest end of a zip's directory, and some of the directory
	largest    = 4 << 20
)

// fetcher returns exactly n bytes from off, and how many requests that took. It
// is asked for no bytes only of a file without any: to confirm that.
type fetcher func(ctx context.Context, off, n int64) (data []byte, requests int, err error)

// Ranges is a remote file that is read at offsets. What was fetched is kept
// until the file is done with, so no byte is asked for twice, and reading on
// fetches more at a time. It is safe for concurrent use.
type Ranges struct {
	ctx   context.Context
	fetch fetcher
	size  int64

	mu       sync.Mutex
	spans    []span // sorted, apart from each other
	requests int
	bytes    int64
	failed   error
}

type span struct {
	off  int64
	data []byte
}

func (s *span) end() int64 { return s.off + int64(len(s.data)) }

func newRanges(ctx context.Context, size int64, fetch fetcher) *Ranges {
	return &Ranges{ctx: ctx, fetch: fetch, size: size}
}

// Size is the file's length.
func (r *Ranges) Size() int64 { return r.size }

// Cost is what was asked for so far.
func (r *Ranges) Cost() (requests int, bytes int64) {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.requests, r.bytes
}

// Confirm asks whether a file that was listed as empty is. Of other files every
// answer says how long they are.
func (r *Ranges) Confirm() error {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.size > 0 {
		return nil
	}
	_, requests, err := r.fetch(r.ctx, 0, 0)
	r.requests += requests
	return err
}

// Digest is that of the whole file, where all of it was read.
func (r *Ranges) Digest() (d verdict.Digest, whole bool) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.bytes != r.size || r.failed != nil {
		return "", false
	}
	sum := sha256.New()
	for i := range r.spans { // each byte is there once, so they have no gaps
		sum.Write(r.spans[i].data)
	}
	return verdict.Digest("sha256:" + hex.EncodeToString(sum.Sum(nil))), true
}

// ReadAt implements io.ReaderAt. An error that wraps [scan.ErrBudget] says that
// the file may not cost more.
func (r *Ranges) ReadAt(p []byte, off int64) (int, error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	n := 0
	for n < len(p) {
		at := off + int64(n)
		if at >= r.size {
			return n, io.EOF
		}
		i, inside := r.find(at)
		if inside {
			n += copy(p[n:], r.spans[i].data[at-r.spans[i].off:])
			continue
		}
		if err := r.load(i, at, int64(len(p)-n)); err != nil {
			return n, err
		}
	}
	return n, nil
}

// find returns the span that holds at, or the place where one would be.
func (r *Ranges) find(at int64) (int, bool) {
	i, _ := slices.BinarySearchFunc(r.spans, at, func(s span, at int64) int {
		if s.end() <= at {
			return -1
		}
		return 1
	})
	return i, i < len(r.spans) && r.spans[i].off <= at
}

// load fetches what is missing from at, at least need bytes where there are
// that many before the next span.
func (r *Ranges) load(i int, at, need int64) error {
	if r.failed != nil {
		return r.failed
	}
	n := max(need, firstBlock)
	follows := i > 0 && r.spans[i-1].end() == at
	if follows {
		n = max(n, min(2*int64(len(r.spans[i-1].data)), largest)) // somebody reads on
	}
	end := r.size
	if i < len(r.spans) {
		end = r.spans[i].off
	}
	begin := at
	if end == r.size && r.size-at <= lastBlock && len(r.spans) > 0 && !follows {
		// The end of the file: what scanners look for begins somewhat earlier.
		begin = max(r.size-lastBlock, 0)
		if i > 0 {
			begin = max(begin, r.spans[i-1].end())
		}
		begin = min(begin, at)
		n = end - begin
	}
	n = min(n, end-begin, max(need, largest))
	if left := MaxBytes - r.bytes; n > left { // no more than is needed, then
		begin, n = at, min(need, end-at)
	}
	if r.requests >= MaxRequests || r.bytes+n > MaxBytes {
		r.failed = fmt.Errorf("%w: a remote file is read with at most %d requests and %d MiB; scan a local copy", scan.ErrBudget, MaxRequests, MaxBytes>>20)
		return r.failed
	}
	data, requests, err := r.fetch(r.ctx, begin, n)
	r.requests += requests
	r.bytes += n
	if err == nil && int64(len(data)) != n {
		err = fmt.Errorf("asked for %d bytes at %d and got %d", n, begin, len(data))
	}
	if err != nil {
		r.failed = err
		return err
	}
	if follows && begin == at {
		r.spans[i-1].data = append(r.spans[i-1].data, data...)
		return nil
	}
	r.spans = slices.Insert(r.spans, i, span{begin, data})
	return nil
}
