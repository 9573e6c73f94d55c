package hdf5

import (
	"fmt"
	"math/bits"
)

// The kinds of B-trees of version 2 that are read (section III.A.2).
const (
	treeHuge       = 1
	treeHugePacked = 2
	treeLinkNames  = 5
	treeLinkOrder  = 6
	treeAttrNames  = 8
	treeAttrOrder  = 9
)

// mostNode bounds the size of a node; the library makes them of 512 to 2048
// bytes.
const mostNode = 1 << 20

// treeLevel is what nodes of one level can hold.
type treeLevel struct {
	most      uint64 // records in a node
	total     uint64 // records in it and below it
	totalSize int    // bytes of a count of those
}

// tree2 is a B-tree of version 2 while it is read.
type tree2 struct {
	w         *walker
	kind      int
	nodeSize  uint64
	record    int
	countSize int // bytes of a node's count of records
	levels    []treeLevel
	seen      map[uint64]bool
	visit     func(kind int, record []byte) error
}

// tree visits the records of a B-tree of version 2.
func (w *walker) tree(at uint64, visit func(kind int, record []byte) error) error {
	c, err := w.file.at(at, uint64(16+w.file.offset+2+w.file.length))
	if err != nil {
		return err
	}
	if string(c.bytes(4)) != "BTHD" || c.u8() != 0 {
		return broken("no B-tree at %d", at)
	}
	t := &tree2{w: w, kind: c.u8(), nodeSize: uint64(c.u32()), record: c.u16(), seen: map[uint64]bool{}, visit: visit}
	depth := c.u16()
	c.skip(2)
	root, count := c.address(), c.u16()
	if err := c.done("a B-tree"); err != nil {
		return err
	}
	const frame = 4 + 1 + 1 + 4
	if t.record < 1 || t.nodeSize < uint64(frame+t.record) || t.nodeSize > mostNode || depth > mostTreeDepth {
		return broken("the B-tree at %d has impossible measures", at)
	}
	leaf := (t.nodeSize - frame) / uint64(t.record)
	t.levels = []treeLevel{{most: leaf, total: leaf}}
	t.countSize = countSize(leaf)
	for level := 1; level <= depth; level++ {
		below := t.levels[level-1]
		pointer := uint64(w.file.offset + t.countSize + below.totalSize)
		if t.nodeSize < frame+pointer {
			return broken("the B-tree at %d has impossible measures", at)
		}
		most := (t.nodeSize - frame - pointer) / (uint64(t.record) + pointer)
		high, total := bits.Mul64(most+1, below.total)
		if high != 0 || total > 1<<62 {
			return broken("the B-tree at %d is too deep", at)
		}
		total += most
		t.levels = append(t.levels, treeLevel{most: most, total: total, totalSize: countSize(total)})
	}
	if root == undefined {
		return nil
	}
	return t.node(root, depth, uint64(count))
}

// countSize is how many bytes hold counts up to most.
func countSize(most uint64) int { return (max(bits.Len64(most), 1)-1)/8 + 1 }

// node visits the records of a node and of those below it.
func (t *tree2) node(at uint64, level int, count uint64) error {
	if t.seen[at] {
		return broken("the B-tree node at %d is its own child", at)
	}
	if t.seen[at] = true; len(t.seen) > mostObjects {
		return fmt.Errorf("%w: %d nodes in one B-tree", errMost, mostObjects)
	}
	if count > t.levels[level].most {
		return broken("the B-tree node at %d has %d records", at, count)
	}
	c, err := t.w.file.at(at, t.nodeSize)
	if err != nil {
		return err
	}
	sign := "BTLF"
	if level > 0 {
		sign = "BTIN"
	}
	if string(c.bytes(4)) != sign {
		return broken("no B-tree node at %d", at)
	}
	c.skip(2)
	for range count {
		record := c.bytes(t.record)
		if err := c.done("a B-tree node"); err != nil {
			return err
		}
		if err := t.w.place.Spend(50); err != nil {
			return err
		}
		if err := t.visit(t.kind, record); err != nil {
			return err
		}
	}
	if level == 0 {
		return nil
	}
	for range count + 1 {
		child, below := c.address(), c.uint(t.countSize)
		c.skip(t.levels[level-1].totalSize)
		if err := c.done("a B-tree node"); err != nil {
			return err
		}
		if err := t.node(child, level-1, below); err != nil {
			return err
		}
	}
	return nil
}
