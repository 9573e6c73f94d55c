package repo

import (
	"bytes"
	"compress/zlib"
	"errors"
	"fmt"
	"io"

	"github.com/go-git/go-git/v5/plumbing"
)

// maxChainCache bounds what is kept of objects that others are made of.
const maxChainCache = 16 << 20

// chains reads many objects of packs. Each is the difference to another one,
// which is the difference to another: what was made on the way is kept, or the
// directories of a history would all be made again from the same few. One
// goroutine uses it at a time, under the repository's lock.
type chains struct {
	made     map[place][]byte
	bytes    int
	buf      []byte
	inflater io.Reader
}

// place is where an object is.
type place struct {
	pack *pack
	at   int64
}

// difference is a step on the way to an object.
type difference struct {
	at   int64
	data []byte
}

// read returns the object of the wanted type at an offset, of at most limit
// bytes. It is shared: nobody changes it. Limits are those of pack.read.
func (c *chains) read(p *pack, at int64, want plumbing.ObjectType, limit int64) ([]byte, error) {
	var way []difference
	var data []byte
	spent := int64(0)
	kind, known := want, false
	for {
		// What was made before was of the wanted type: commits and directories
		// are never made of each other, and the hash tells if they were.
		if data, known = c.made[place{p, at}]; known {
			break
		}
		e, raw, err := c.entry(p, at)
		if err != nil {
			return nil, err
		}
		if spent += int64(len(raw)); spent > maxInflate {
			return nil, fmt.Errorf("%w: it takes more than %d bytes to make", ErrTooLarge, maxInflate)
		}
		if !e.kind.IsDelta() {
			kind, data = e.kind, raw
			c.keep(place{p, at}, raw)
			break
		}
		if way = append(way, difference{at, raw}); len(way) == maxChain {
			return nil, fmt.Errorf("%w: an object is made of more than %d differences", ErrTooLarge, maxChain)
		}
		at = e.base
	}
	if kind != want {
		return nil, fmt.Errorf("%w: it is a %s", ErrCorrupt, kind)
	}
	for i := len(way) - 1; i >= 0; i-- {
		var err error
		if data, err = applyDelta(data, way[i].data, maxBase); err != nil {
			return nil, err
		}
		if spent += int64(len(data)); spent > maxInflate {
			return nil, fmt.Errorf("%w: it takes more than %d bytes to make", ErrTooLarge, maxInflate)
		}
		c.keep(place{p, way[i].at}, data)
	}
	if int64(len(data)) > limit {
		return nil, fmt.Errorf("%w: it has %d bytes, the limit is %d", ErrTooLarge, len(data), limit)
	}
	return data, nil
}

func (c *chains) keep(at place, data []byte) {
	const overhead = 64
	if c.bytes += len(data) + overhead; c.made == nil || c.bytes > maxChainCache {
		c.made, c.bytes = map[place][]byte{}, len(data)+overhead
	}
	c.made[at] = data
}

// entry reads an entry and inflates its body, mostly in one step.
func (c *chains) entry(p *pack, at int64) (packed, []byte, error) {
	const usual = 4 << 10 // compressed: what a directory of some hundred files has
	if c.buf == nil {
		c.buf = make([]byte, usual)
	}
	n, err := p.data.ReadAt(c.buf, at)
	if err != nil && !errors.Is(err, io.EOF) {
		return packed{}, nil, err
	}
	if e, raw, ok := c.small(p, at, c.buf[:n]); ok {
		return e, raw, nil
	}
	e, err := p.entry(at)
	if err != nil {
		return e, nil, err
	}
	raw, err := p.inflate(e)
	return e, raw, err
}

// small reads an entry that is whole in buf; ok is false for any that is not, or
// that is wrong in any way.
func (c *chains) small(p *pack, at int64, buf []byte) (e packed, raw []byte, ok bool) {
	r := bytes.NewReader(buf)
	b, err := r.ReadByte()
	if err != nil {
		return e, nil, false
	}
	e = packed{kind: plumbing.ObjectType(b >> 4 & 7), size: int64(b & 15)}
	for shift := 4; b&0x80 != 0; shift += 7 {
		if b, err = r.ReadByte(); err != nil || shift > 25 {
			return e, nil, false
		}
		e.size |= int64(b&0x7f) << shift
	}
	if e.base, err = p.base(e.kind, at, r); err != nil || e.size > maxTree {
		return e, nil, false
	}
	if c.inflater == nil {
		c.inflater, err = zlib.NewReader(r)
	} else {
		err = c.inflater.(zlib.Resetter).Reset(r, nil)
	}
	if err != nil {
		return e, nil, false
	}
	// As much as can come of that many bytes (RFC 1951 §1.1: 1032 times), so
	// that a small pack that states a large size costs nothing.
	if e.size > 1032*int64(len(buf)) {
		return e, nil, false
	}
	raw = make([]byte, e.size)
	if _, err := io.ReadFull(c.inflater, raw); err != nil {
		return e, nil, false
	}
	var more [1]byte
	if n, err := c.inflater.Read(more[:]); n != 0 || !errors.Is(err, io.EOF) {
		return e, nil, false
	}
	return e, raw, true
}
