package hdf5

import (
	"errors"
	"fmt"
	"slices"

	"github.com/apexlogic/apex/internal/model/scan"
)

// chunks returns the data of an array of one dimension that is stored in
// chunks, which a B-tree of version 1 finds (section III.A.1, node type 1). It
// is for text and for bytes that PyTables and others keep pickles in; what
// other indexes find is not read.
func (w *walker) chunks(l layout, filters []filter, need uint64) ([]byte, error) {
	if need > mostData || l.chunk > mostData {
		return nil, nil
	}
	// It may consist of gaps alone, which are cleared.
	if err := w.place.Spend(scan.Cost(need) / 2); err != nil {
		return nil, err
	}
	data := slices.Grow(w.array[:0], int(need)) // nobody has the one before any more
	w.array = data
	err := w.chunkTree(l.at, l, map[uint64]bool{}, -1, func(at, size uint64, mask uint32, offset uint64) error {
		b, err := w.file.read(at, size)
		if err != nil {
			return err
		}
		if b, err = w.undo(b, filters, mask, l.chunk); err != nil {
			return err
		}
		if uint64(len(data)) < offset && offset <= need { // chunks that were never written
			gap := data[len(data):offset]
			clear(gap)
			data = data[:offset]
		}
		if uint64(len(data)) == offset {
			data = append(data, b[:min(uint64(len(b)), need-offset)]...)
		}
		return nil
	})
	if len(filters) > 0 && errors.Is(err, errMost) {
		return nil, nil // packed by a filter that is not undone
	}
	return data, err
}

// chunkTree visits the chunks in the order of the array; offset is in bytes.
func (w *walker) chunkTree(at uint64, l layout, seen map[uint64]bool, level int, visit func(at, size uint64, mask uint32, offset uint64) error) error {
	if seen[at] {
		return broken("the B-tree node at %d is its own child", at)
	}
	seen[at] = true
	c, err := w.file.at(at, uint64(8+2*w.file.offset))
	if err != nil {
		return err
	}
	if string(c.bytes(4)) != "TREE" || c.u8() != 1 {
		return broken("no B-tree of chunks at %d", at)
	}
	own, used := c.u8(), c.u16()
	if level >= 0 && own != level || own > mostTreeDepth {
		return broken("the B-tree node at %d is of level %d", at, own)
	}
	key := 4 + 4 + 8*l.rank
	if c, err = w.file.at(at+uint64(8+2*w.file.offset), uint64(used*(key+w.file.offset))); err != nil {
		return err
	}
	for range used {
		size, mask, offset := c.u32(), c.u32(), c.uint(8)
		c.skip(8 * (l.rank - 1))
		child := c.address()
		if own > 0 {
			err = w.chunkTree(child, l, seen, own-1, visit)
		} else if offset > mostData/l.element {
			err = fmt.Errorf("%w: a chunk at element %d", errMost, offset)
		} else {
			err = visit(child, uint64(size), mask, offset*l.element)
		}
		if err != nil {
			return err
		}
	}
	return nil
}
