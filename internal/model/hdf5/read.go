package hdf5

import (
	"bytes"
	"errors"
	"fmt"

	"github.com/apexlogic/apex/internal/model/scan"
)

var (
	// errBroken is wrapped by errors about content that the format forbids.
	errBroken = errors.New("broken HDF5")
	// errMost is wrapped by errors about content that is more than is read.
	errMost = errors.New("more than is read of an HDF5 file")
	// errRemote is returned when a scan over the network has read enough.
	errRemote = errors.New("the objects lie too far apart for a scan over the network")
)

func broken(format string, args ...any) error {
	return fmt.Errorf("%w: %s", errBroken, fmt.Sprintf(format, args...))
}

// How a file is read. Metadata lies in small pieces all over the file, so it
// is read in blocks that are kept for a while.
const (
	blockLocal  = 16 << 10
	keepLocal   = 256              // blocks: 4 MiB
	blockDear   = 512 << 10        // a request has a price, a byte hardly any
	keepDear    = 18               // blocks in all: beside the requests for the head, below 20 requests and 16 MiB
	mostPiece   = 16 << 20         // of one piece of metadata; a model_config has some MiB
	costMessage = scan.Cost(250)   // keeping a message of an object header
	costPiece   = scan.Cost(150)   // finding a piece in a block
	costBlock   = scan.Cost(3_000) // asking the system for a block
)

// reader reads pieces of metadata.
type reader struct {
	place  *scan.Place
	file   *scan.File
	block  int64
	keep   int
	blocks map[int64][]byte
	order  []int64 // of the blocks, the oldest first
	offset int     // bytes of an address: "size of offsets"
	length int     // bytes of a length: "size of lengths"
}

func newReader(p *scan.Place, f *scan.File) *reader {
	r := &reader{place: p, file: f, block: blockLocal, keep: keepLocal, blocks: map[int64][]byte{}, offset: 8, length: 8}
	if f.IsDear() {
		r.block, r.keep = blockDear, keepDear
	}
	return r
}

// load returns the block with the number.
func (r *reader) load(number int64) ([]byte, error) {
	if b, ok := r.blocks[number]; ok {
		return b, nil
	}
	if len(r.order) >= r.keep {
		if r.file.IsDear() {
			return nil, errRemote
		}
		delete(r.blocks, r.order[0])
		r.order = r.order[1:]
	}
	start := number * r.block
	n := min(r.block, r.file.Size()-start)
	if err := r.place.Spend(costBlock + scan.Cost(n)*scan.CostRead/4); err != nil { // copied, not looked at
		return nil, err
	}
	b, err := r.file.Read(start, n)
	if err != nil {
		return nil, err
	}
	r.blocks[number], r.order = b, append(r.order, number)
	return b, nil
}

// read returns n bytes from at; nobody changes them.
func (r *reader) read(at, n uint64) ([]byte, error) {
	size := uint64(r.file.Size())
	if at > size || n > size-at {
		return nil, broken("%d bytes at %d are outside of the file", n, at)
	}
	if n > mostPiece {
		return nil, fmt.Errorf("%w: a piece of %d bytes", errMost, n)
	}
	if err := r.place.Spend(costPiece + scan.Cost(n)*scan.CostRead); err != nil {
		return nil, err
	}
	first := int64(at) / r.block
	from := int64(at) - first*r.block
	b, err := r.load(first)
	if err != nil {
		return nil, err
	}
	if int64(n) <= int64(len(b))-from {
		return b[from : from+int64(n) : from+int64(n)], nil
	}
	whole := make([]byte, 0, n)
	whole = append(whole, b[from:]...)
	for next := first + 1; uint64(len(whole)) < n; next++ {
		if b, err = r.load(next); err != nil {
			return nil, err
		}
		whole = append(whole, b[:min(len(b), int(n)-len(whole))]...)
	}
	return whole, nil
}

// text returns what stands from at up to a NUL, which is before end.
func (r *reader) text(at, end uint64) (string, error) {
	end = min(end, uint64(r.file.Size()))
	for n := uint64(64); at < end; n *= 8 {
		n = min(n, end-at, 1<<16)
		b, err := r.read(at, n)
		if err != nil {
			return "", err
		}
		if i := bytes.IndexByte(b, 0); i >= 0 {
			return string(b[:i]), nil
		}
		if n == end-at || n == 1<<16 {
			break
		}
	}
	return "", broken("the name at %d has no end", at)
}

// at returns a cursor over n bytes.
func (r *reader) at(at, n uint64) (*cursor, error) {
	b, err := r.read(at, n)
	if err != nil {
		return nil, err
	}
	return r.over(b), nil
}

// over returns a cursor over the bytes.
func (r *reader) over(b []byte) *cursor { return &cursor{b: b, offset: r.offset, length: r.length} }

// cursor takes little-endian fields from bytes. After the end it returns
// zeros and remembers.
type cursor struct {
	b      []byte
	i      int
	short  bool
	offset int
	length int
}

func (c *cursor) left() int { return len(c.b) - c.i }

func (c *cursor) bytes(n int) []byte {
	if n < 0 || n > c.left() {
		c.short, c.i = true, len(c.b)
		return nil
	}
	c.i += n
	return c.b[c.i-n : c.i : c.i]
}

func (c *cursor) skip(n int) { c.bytes(n) }

// uint takes an integer of n bytes, at most 8.
func (c *cursor) uint(n int) uint64 {
	var v uint64
	for i, b := range c.bytes(n) {
		v |= uint64(b) << (8 * i)
	}
	return v
}

func (c *cursor) u8() int     { return int(c.uint(1)) }
func (c *cursor) u16() int    { return int(c.uint(2)) }
func (c *cursor) u32() uint32 { return uint32(c.uint(4)) }

// undefined is the address of nothing: all bits are set.
const undefined = ^uint64(0)

// address takes an address.
func (c *cursor) address() uint64 {
	v := c.uint(c.offset)
	if c.offset < 8 && v == 1<<(8*c.offset)-1 {
		return undefined
	}
	return v
}

// size takes a length.
func (c *cursor) size() uint64 {
	v := c.uint(c.length)
	if c.length < 8 && v == 1<<(8*c.length)-1 {
		return undefined
	}
	return v
}

// text takes a string that ends with a NUL.
func (c *cursor) text() string {
	n := bytes.IndexByte(c.b[c.i:], 0)
	if n < 0 {
		c.short, c.i = true, len(c.b)
		return ""
	}
	s := string(c.b[c.i : c.i+n])
	c.i += n + 1
	return s
}

// done returns an error if the fields of what were more than its bytes.
func (c *cursor) done(what string) error {
	if c.short {
		return broken("%s is cut short", what)
	}
	return nil
}
