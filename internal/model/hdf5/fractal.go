package hdf5

import (
	"bytes"
	"compress/zlib"
	"fmt"
	"io"
	"math/bits"

	"github.com/apexlogic/apex/internal/model/scan"
)

// heap is a fractal heap (section III.G): a space of objects that is cut into
// rows of blocks, each row's twice as large as the one's before.
type heap struct {
	w         *walker
	at        uint64
	idLen     int
	offsetLen int // bytes of an object's offset in an identifier
	lengthLen int // bytes of its length
	huge      uint64
	start     uint64 // size of the blocks of the first row
	direct    uint64 // the largest size of blocks that hold objects
	width     int    // blocks in a row
	root      uint64
	rows      int // of the root block; 0: it is a direct one
	filtered  bool
	filters   []filter
	rootSize  uint64 // of a filtered root block
	rootMask  uint32
	spread    map[uint64]hugeSpan // huge objects by identifier
}

// plainBlock is the filtered block that was unpacked last: objects come in
// order.
type plainBlock struct {
	at    uint64
	bytes []byte
}

// mostHuge is how many objects of their own a heap may have. Each has 64 KiB
// or more.
const mostHuge = 1 << 14

type hugeSpan struct {
	at, size uint64
	packed   bool
	mask     uint32
}

// fractal reads the header of a fractal heap.
func (w *walker) fractal(at uint64) (*heap, error) {
	if h, ok := w.heaps[at]; ok {
		return h, nil
	}
	fixed := 4 + 1 + 2 + 2 + 1 + 4 + 12*w.file.length + 3*w.file.offset + 2 + 2 + 2 + 2
	c, err := w.file.at(at, uint64(fixed))
	if err != nil {
		return nil, err
	}
	if string(c.bytes(4)) != "FRHP" || c.u8() != 0 {
		return nil, broken("no fractal heap at %d", at)
	}
	h := &heap{w: w, at: at, idLen: c.u16()}
	filters := c.u16()
	c.skip(1)
	largest := uint64(c.u32())
	c.skip(w.file.length) // next identifier of a huge object
	h.huge = c.address()
	c.skip(w.file.length) // free space
	c.address()
	c.skip(8 * w.file.length)
	h.width = c.u16()
	h.start, h.direct = c.size(), c.size()
	space := c.u16()
	c.skip(2)
	h.root, h.rows = c.address(), c.u16()
	if err := c.done("a fractal heap"); err != nil {
		return nil, err
	}
	if h.width < 1 || h.start < 1 || h.start&(h.start-1) != 0 || h.direct < h.start || h.direct&(h.direct-1) != 0 ||
		h.direct > mostPiece || space < 1 || space > 64 || h.rows > 64 {
		return nil, broken("the fractal heap at %d has impossible measures", at)
	}
	h.offsetLen = (space + 7) / 8
	h.lengthLen = min((bits.Len64(h.direct)-1+7)/8, (bits.Len64(largest)-1)/8+1)
	if filters > 0 {
		h.filtered = true
		if c, err = w.file.at(at+uint64(fixed), uint64(w.file.length+4+filters)); err != nil {
			return nil, err
		}
		h.rootSize, h.rootMask = c.size(), c.u32()
		if h.filters, err = w.takeFilters(c.bytes(filters)); err != nil {
			return nil, err
		}
		w.judgeFilters(h.filters, int64(at), "a fractal heap")
	}
	if w.heaps == nil || len(w.heaps) >= mostCollections {
		w.heaps = map[uint64]*heap{}
	}
	w.heaps[at] = h
	return h, nil
}

// object returns the object with the identifier.
func (h *heap) object(id []byte) ([]byte, error) {
	object, _, err := h.find(id)
	return object, err
}

// find returns the object, and where in the file it is (-1: packed).
func (h *heap) find(id []byte) ([]byte, int64, error) {
	if len(id) > h.idLen {
		id = id[:h.idLen]
	}
	c := h.w.file.over(id)
	first := c.u8()
	if first>>6 != 0 {
		return nil, 0, broken("version %d of a heap identifier is unknown", first>>6)
	}
	switch first >> 4 & 3 {
	case 0:
		offset, length := c.uint(h.offsetLen), c.uint(h.lengthLen)
		if err := c.done("a heap identifier"); err != nil {
			return nil, 0, err
		}
		return h.managed(offset, length)
	case 1:
		return h.hugeObject(id)
	case 2:
		n := first&0x0f + 1
		if h.idLen > 17 { // the length takes another byte
			n = (first&0x0f)<<8 + c.u8() + 1
		}
		object := c.bytes(n)
		return object, -1, c.done("a heap identifier")
	}
	return nil, 0, broken("a heap identifier of an unknown kind")
}

// managed returns n bytes at an offset in the heap's space.
func (h *heap) managed(offset, n uint64) ([]byte, int64, error) {
	block, size := h.root, h.start
	packed, mask := h.rootSize, h.rootMask
	var from uint64
	for rows := h.rows; rows > 0; {
		child, err := h.child(block, rows, offset, &from)
		if err != nil {
			return nil, 0, err
		}
		block, size, packed, mask, rows = child.at, child.size, child.packed, child.mask, child.rows
	}
	if offset < from || offset-from > size || n > size-(offset-from) {
		return nil, 0, broken("an object of %d bytes at %d is not in its heap", n, offset)
	}
	if block == undefined {
		return nil, 0, broken("a block of the heap at %d is missing", h.at)
	}
	if !h.filtered {
		at := block + (offset - from)
		object, err := h.w.file.read(at, n)
		return object, int64(at), err
	}
	plain, err := h.unpacked(block, packed, size, mask)
	if err != nil {
		return nil, 0, err
	}
	if offset-from > uint64(len(plain)) || n > uint64(len(plain))-(offset-from) {
		return nil, 0, broken("a block of the heap at %d is shorter than it must be", h.at)
	}
	return plain[offset-from : offset-from+n], -1, nil
}

type heapChild struct {
	at, size, packed uint64
	mask             uint32
	rows             int // 0: it holds objects
}

// child returns the block of an indirect block that covers the offset, and
// moves from to where that begins.
func (h *heap) child(at uint64, rows int, offset uint64, from *uint64) (heapChild, error) {
	if at == undefined {
		return heapChild{}, broken("a block of the heap at %d is missing", h.at)
	}
	directRows := bits.Len64(h.direct) - bits.Len64(h.start) + 2
	head := uint64(4 + 1 + h.w.file.offset + h.offsetLen)
	entry := uint64(h.w.file.offset)
	directEntry := entry
	if h.filtered {
		directEntry += uint64(h.w.file.length) + 4
	}
	if err := h.w.place.Spend(100); err != nil {
		return heapChild{}, err
	}
	place := head
	begin := *from
	for row := range rows {
		size := h.start << max(0, row-1)
		if size == 0 || size>>max(0, row-1) != h.start {
			break
		}
		step := directEntry
		if row >= directRows {
			step = entry
		}
		whole := size * uint64(h.width)
		if whole/uint64(h.width) != size {
			break
		}
		if offset < begin+whole && offset >= begin {
			column := (offset - begin) / size
			c, err := h.w.file.at(at+place+column*step, step)
			if err != nil {
				return heapChild{}, err
			}
			if sign, err := h.w.file.read(at, 4); err != nil || string(sign) != "FHIB" {
				return heapChild{}, broken("no indirect block at %d", at)
			}
			*from = begin + column*size
			child := heapChild{at: c.address(), size: size}
			if row >= directRows {
				child.rows = bits.Len64(size) - bits.Len64(h.start*uint64(h.width)) + 1
				if child.rows < 1 || child.rows >= rows {
					return heapChild{}, broken("the heap at %d has impossible measures", h.at)
				}
				return child, nil
			}
			if h.filtered {
				child.packed, child.mask = c.size(), c.u32()
			}
			return child, nil
		}
		begin += whole
		place += step * uint64(h.width)
	}
	return heapChild{}, broken("an object at %d is not in its heap", offset)
}

// unpacked undoes the filters of a direct block.
func (h *heap) unpacked(at, packed, size uint64, mask uint32) ([]byte, error) {
	if h.w.plain.bytes != nil && h.w.plain.at == at {
		return h.w.plain.bytes, nil
	}
	b, err := h.w.file.read(at, packed)
	if err != nil {
		return nil, err
	}
	plain, err := h.w.undo(b, h.filters, mask, size)
	if err != nil {
		return nil, err
	}
	h.w.plain = plainBlock{at: at, bytes: plain}
	return plain, nil
}

// hugeObject returns an object that is stored on its own.
func (h *heap) hugeObject(id []byte) ([]byte, int64, error) {
	c := h.w.file.over(id)
	c.skip(1)
	need := h.w.file.offset + h.w.file.length
	if h.filtered {
		need += 4 + h.w.file.length
	}
	var s hugeSpan
	if h.idLen-1 >= need {
		s = hugeSpan{at: c.address(), size: c.size()}
		if h.filtered {
			s.packed, s.mask = true, c.u32()
		}
	} else {
		if h.spread == nil {
			if err := h.listHuge(); err != nil {
				return nil, 0, err
			}
		}
		var ok bool
		if s, ok = h.spread[c.uint(min(c.left(), h.w.file.length))]; !ok {
			return nil, 0, broken("the heap at %d lacks a huge object", h.at)
		}
	}
	if err := c.done("a heap identifier"); err != nil {
		return nil, 0, err
	}
	b, err := h.w.file.read(s.at, s.size)
	if err != nil || !s.packed {
		return b, int64(s.at), err
	}
	plain, err := h.w.undo(b, h.filters, s.mask, mostPiece)
	return plain, -1, err
}

// listHuge reads the B-tree of huge objects.
func (h *heap) listHuge() error {
	h.spread = map[uint64]hugeSpan{}
	if h.huge == undefined {
		return nil
	}
	return h.w.tree(h.huge, func(kind int, record []byte) error {
		c := h.w.file.over(record)
		s := hugeSpan{at: c.address(), size: c.size()}
		switch kind {
		case treeHuge:
		case treeHugePacked:
			s.packed, s.mask = true, c.u32()
			c.size()
		default:
			return nil
		}
		if len(h.spread) >= mostHuge {
			return fmt.Errorf("%w: %d huge objects in one heap", errMost, mostHuge)
		}
		h.spread[c.size()] = s
		return c.done("a record of a huge object")
	})
}

// costObject is an object of a heap that was not seen before.
const costObject scan.Cost = 500

// each visits the objects that B-trees name, every object once.
func (h *heap) each(trees []uint64, idOf func(kind int, record []byte) (id, rest []byte, ok bool),
	visit func(id, rest []byte, at int64, object []byte) error) error {
	seen := map[string]bool{}
	for _, tree := range trees {
		if tree == undefined {
			continue
		}
		err := h.w.tree(tree, func(kind int, record []byte) error {
			id, rest, ok := idOf(kind, record)
			if !ok {
				return broken("the B-tree at %d is of another kind", tree)
			}
			id = id[:min(len(id), h.idLen)]
			if seen[string(id)] {
				return nil
			}
			if len(seen) >= mostObjects {
				return fmt.Errorf("%w: %d links or attributes in one heap", errMost, mostObjects)
			}
			seen[string(id)] = true
			if err := h.w.place.Spend(costObject); err != nil {
				return err
			}
			if rest != nil { // who visits finds the object itself
				return visit(id, rest, -1, nil)
			}
			object, at, err := h.find(id)
			if err != nil {
				return err
			}
			return visit(id, nil, at, object)
		})
		if err != nil {
			return err
		}
	}
	return nil
}

// What undoing a filter costs beside the bytes that come of it.
const (
	costDeflate scan.Cost = 25_000 // the tables and the window of a reader
	costShuffle scan.Cost = 6      // a byte put in its place
)

// undo undoes the filters of a piece of metadata. Only deflate is undone: the
// others are for arrays of numbers.
func (w *walker) undo(b []byte, filters []filter, mask uint32, most uint64) ([]byte, error) {
	for i := len(filters) - 1; i >= 0; i-- {
		if i < 32 && mask&(1<<i) != 0 {
			continue
		}
		switch filters[i].id {
		case filterDeflate:
			if err := w.place.Spend(costDeflate); err != nil {
				return nil, err
			}
			z, err := zlib.NewReader(bytes.NewReader(b))
			if err != nil {
				return nil, broken("a deflated block: %v", err)
			}
			plain, err := io.ReadAll(io.LimitReader(z, int64(min(most, mostPiece))+1))
			if err := w.place.Spend(scan.Cost(len(plain)) * scan.CostInflate); err != nil {
				return nil, err
			}
			if err != nil {
				return nil, broken("a deflated block: %v", err)
			}
			if uint64(len(plain)) > min(most, mostPiece) {
				return nil, fmt.Errorf("%w: a block that inflates to more than %d bytes", errMost, min(most, mostPiece))
			}
			b = plain
		case filterShuffle:
			if err := w.place.Spend(scan.Cost(len(b)) * costShuffle); err != nil {
				return nil, err
			}
			b = unshuffle(b, filters[i].values)
		case filterChecksum:
			if len(b) < 4 {
				return nil, broken("a block has no checksum")
			}
			b = b[:len(b)-4]
		default:
			return nil, fmt.Errorf("%w: text that is packed by filter %d", errMost, filters[i].id)
		}
	}
	return b, nil
}

// unshuffle puts the bytes of each element together again.
func unshuffle(b []byte, values []uint32) []byte {
	if len(values) == 0 || values[0] < 2 || uint64(values[0]) > uint64(len(b)) {
		return b
	}
	size := int(values[0])
	count := len(b) / size
	plain := make([]byte, len(b))
	copy(plain[count*size:], b[count*size:])
	for i := range count {
		for j := range size {
			plain[i*size+j] = b[j*count+i]
		}
	}
	return plain
}
