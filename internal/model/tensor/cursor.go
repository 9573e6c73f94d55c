package tensor

import (
	"encoding/binary"
	"errors"

	"github.com/apexlogic/apex/internal/model/scan"
)

// A header is read in blocks that grow, so that a short one costs little and a
// long one few reads: 16 MiB take 6 requests to another machine.
const (
	nearBlock, nearMost = 64 << 10, 1 << 20
	dearBlock, dearMost = 512 << 10, 4 << 20
)

var (
	// errShort says that the file ends before what its header promises.
	errShort = errors.New("the file ends too early")
	// errTold ends a scan whose reason has been reported.
	errTold = errors.New("reported")
)

// cursor reads a file from front to back and steps over what is not wanted.
type cursor struct {
	place *scan.Place
	file  *scan.File
	order binary.ByteOrder
	buf   []byte
	base  int64 // of buf in the file
	pos   int64
	size  int64
	block int64
	most  int64
}

func newCursor(p *scan.Place, f *scan.File) *cursor {
	c := &cursor{place: p, file: f, order: binary.LittleEndian, size: f.Size(), block: nearBlock, most: nearMost}
	if f.IsDear() {
		c.block, c.most = dearBlock, dearMost
	}
	return c
}

// left is how many bytes follow.
func (c *cursor) left() int64 { return c.size - c.pos }

// take returns the next n bytes, which the caller has bounded. They are valid
// until the next call.
func (c *cursor) take(n int64) ([]byte, error) {
	if at := c.pos - c.base; at >= 0 && n >= 0 && n <= int64(len(c.buf))-at {
		c.pos += n
		return c.buf[at : at+n], nil
	}
	if n < 0 || n > c.left() {
		return nil, errShort
	}
	want := min(max(n, c.block), c.left())
	if err := c.place.Spend(scan.Cost(want) * scan.CostRead); err != nil {
		return nil, err
	}
	if want > int64(cap(c.buf)) {
		if _, err := c.place.Hold(want - int64(cap(c.buf))); err != nil {
			return nil, err
		}
		c.buf = make([]byte, want)
	}
	c.buf = c.buf[:want]
	if read, err := c.file.ReadAt(c.buf, c.pos); int64(read) < want {
		c.buf = c.buf[:0]
		return nil, err
	}
	c.base, c.block = c.pos, min(2*c.block, c.most)
	c.pos += n
	return c.buf[:n], nil
}

// skip steps over n bytes without reading them.
func (c *cursor) skip(n int64) error {
	if n < 0 || n > c.left() {
		return errShort
	}
	c.pos += n
	return nil
}

func (c *cursor) u32() (uint32, error) {
	b, err := c.take(4)
	if err != nil {
		return 0, err
	}
	return c.order.Uint32(b), nil
}

func (c *cursor) u64() (uint64, error) {
	b, err := c.take(8)
	if err != nil {
		return 0, err
	}
	return c.order.Uint64(b), nil
}
