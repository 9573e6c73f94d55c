package format

import "encoding/binary"

const (
	boxDepth = 12      // moov/trak/mdia/minf/stbl/stsd/entry/wave and some air
	boxCount = 1 << 16 // of all boxes of one file; fragments of a second in an hour need fewer
)

// Boxes walks ISO base media boxes (ISO/IEC 14496-12 section 4.2).
type Boxes struct {
	*Reader
	depth, count int
}

// Box is one box. Size is that of its content.
type Box struct {
	Type string
	Size int64
	// ToEnd is set for a box that declares to reach to the end of the file.
	ToEnd bool
}

// Walk walks n bytes of boxes, or to the end of the file when n is negative.
// Each is called behind a box's header and reads at most its content; the rest
// is skipped.
func (b *Boxes) Walk(n int64, each func(Box) error) error {
	if b.depth++; b.depth > boxDepth {
		return b.Malformed("boxes stand in each other more than %d deep", boxDepth)
	}
	defer func() { b.depth-- }()
	end := b.Offset() + n
	for {
		if n >= 0 && b.Offset() == end {
			return nil
		}
		if n < 0 {
			if done, err := b.Ended(); done || err != nil {
				return err
			}
		}
		if b.count++; b.count > boxCount {
			return b.Malformed("there are more than %d boxes", boxCount)
		}
		left := int64(-1)
		if n >= 0 {
			left = end - b.Offset()
		}
		box, err := b.header(left)
		if err != nil {
			return err
		}
		if box.ToEnd {
			if err := each(box); err != nil {
				return err
			}
			return b.Skip2End()
		}
		behind := b.Offset() + box.Size
		if err := each(box); err != nil {
			return err
		}
		if b.Offset() > behind {
			return b.Malformed("the content of a box %s is longer than the %d bytes that it declares", box.Type, box.Size)
		}
		if err := b.Skip(behind - b.Offset()); err != nil {
			return err
		}
	}
}

// Skip2End reads everything that is left.
func (b *Boxes) Skip2End() error {
	_, _, err := b.Sum()
	return err
}

// header reads one box's header; left is what its parent still holds, negative
// at the top.
func (b *Boxes) header(left int64) (Box, error) {
	at := b.Offset()
	h, err := b.Next(8)
	if err != nil {
		return Box{}, err
	}
	size, used := int64(binary.BigEndian.Uint32(h)), int64(8)
	box := Box{Type: string(h[4:8])}
	switch size {
	case 1:
		if h, err = b.Next(8); err != nil {
			return Box{}, err
		}
		large := binary.BigEndian.Uint64(h)
		if large > 1<<62 {
			return Box{}, b.Malformed("a box at byte %d declares more bytes than there can be", at)
		}
		size, used = int64(large), 16
	case 0:
		if left >= 0 {
			return Box{}, b.Malformed("a box at byte %d has no size", at)
		}
		box.ToEnd, box.Size = true, 1<<62
		return box, nil
	}
	if box.Type == "uuid" {
		if _, err = b.Next(16); err != nil {
			return Box{}, err
		}
		used += 16
	}
	if size < used || left >= 0 && size > left {
		return Box{}, b.Malformed("a box at byte %d declares %d bytes, which do not fit in what holds it", at, size)
	}
	box.Size = size - used
	return box, nil
}
