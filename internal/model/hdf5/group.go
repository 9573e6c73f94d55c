package hdf5

import (
	"fmt"
	"strings"
)

// table is a group as files have it since the beginning: a B-tree of symbol
// table nodes, and a heap for the names.
type table struct{ tree, heap uint64 }

// entry is a symbol table entry (section III.C).
type entry struct {
	name   uint64 // offset in the group's heap
	header uint64
	table  *table // what the entry remembers of a group
	soft   bool
	target uint64 // of a soft link: offset in the heap
}

// entrySize is how long a symbol table entry is.
func (r *reader) entrySize() int { return 2*r.offset + 4 + 4 + 16 }

func takeEntry(c *cursor) (e entry) {
	e.name, e.header = c.address(), c.address()
	kind := c.u32()
	c.skip(4)
	pad := &cursor{b: c.bytes(16), offset: c.offset, length: c.length}
	switch kind {
	case 1:
		e.table = &table{tree: pad.address(), heap: pad.address()}
	case 2:
		e.soft, e.target = true, uint64(pad.u32())
	}
	return e
}

// mostTreeDepth bounds the trees of the file. One of 16 levels whose nodes
// have two children holds more than any file.
const mostTreeDepth = 32

// symbols queues what a group of the first kind holds.
func (w *walker) symbols(node int32, t table) error {
	c, err := w.file.at(t.heap, uint64(8+2*w.file.length+w.file.offset))
	if err != nil {
		return err
	}
	if string(c.bytes(4)) != "HEAP" {
		return broken("no local heap at %d", t.heap)
	}
	c.skip(4)
	size := c.size()
	c.size()
	names := c.address()
	if end := uint64(w.file.file.Size()); names > end || size > end-names {
		return broken("the local heap at %d lies outside of the file", t.heap)
	}
	return w.symbolTree(node, t.tree, names, names+size, map[uint64]bool{}, -1)
}

// symbolTree walks a B-tree of version 1 (section III.A.1) whose leaves are
// symbol table nodes. level is what the node must have, -1 for any.
func (w *walker) symbolTree(node int32, at, names, end uint64, seen map[uint64]bool, level int) error {
	if seen[at] {
		return broken("the B-tree node at %d is its own child", at)
	}
	seen[at] = true
	c, err := w.file.at(at, uint64(8+2*w.file.offset))
	if err != nil {
		return err
	}
	if string(c.bytes(4)) != "TREE" || c.u8() != 0 {
		return broken("no B-tree of a group at %d", at)
	}
	own, used := c.u8(), c.u16()
	if level >= 0 && own != level || own > mostTreeDepth {
		return broken("the B-tree node at %d is of level %d", at, own)
	}
	width := w.file.length + w.file.offset
	if c, err = w.file.at(at+uint64(8+2*w.file.offset), uint64(used*width+w.file.length)); err != nil {
		return err
	}
	for range used {
		c.size()
		child := c.address()
		if own > 0 {
			err = w.symbolTree(node, child, names, end, seen, own-1)
		} else {
			err = w.symbolNode(node, child, names, end)
		}
		if err != nil {
			return err
		}
	}
	return nil
}

// symbolNode queues the entries of a symbol table node (section III.B).
func (w *walker) symbolNode(node int32, at, names, end uint64) error {
	c, err := w.file.at(at, 8)
	if err != nil {
		return err
	}
	if string(c.bytes(4)) != "SNOD" {
		return broken("no symbol table node at %d", at)
	}
	c.skip(2)
	count := c.u16()
	if c, err = w.file.at(at+8, uint64(count*w.file.entrySize())); err != nil {
		return err
	}
	for range count {
		e := takeEntry(c)
		if e.soft {
			continue // it names an object of this file, which has another name as well
		}
		name, err := w.file.text(names+min(e.name, end), end)
		if err != nil {
			return err
		}
		if err := w.queue(node, name, e.header); err != nil {
			return err
		}
		if e.table != nil {
			w.aside = append(w.aside, aside{node: node, table: *e.table})
		}
	}
	return nil
}

// The kinds of links (section IV.A.2.g). Those from 65 on are the user's.
const (
	linkHard     = 0
	linkSoft     = 1
	linkExternal = 64
)

// link queues or reports what a link message names.
func (w *walker) link(node int32, data []byte, at int64) error {
	c := w.file.over(data)
	if version := c.u8(); version != 1 {
		return broken("version %d of a link is unknown", version)
	}
	flags := c.u8()
	kind := linkHard
	if flags&(1<<3) != 0 {
		kind = c.u8()
	}
	if flags&(1<<2) != 0 {
		c.skip(8) // creation order
	}
	if flags&(1<<4) != 0 {
		c.skip(1) // character set
	}
	length := c.uint(1 << (flags & 3))
	if length > uint64(c.left()) {
		return broken("the name of a link is cut short")
	}
	name := string(c.bytes(int(length)))
	switch kind {
	case linkHard:
		header := c.address()
		if err := c.done("a link"); err != nil {
			return err
		}
		return w.queue(node, name, header)
	case linkSoft:
		c.skip(c.u16())
		return c.done("a link")
	}
	value := w.file.over(c.bytes(c.u16()))
	if err := c.done("a link"); err != nil {
		return err
	}
	where := w.where(at, w.path(node)+"/"+clip(name))
	if kind != linkExternal {
		w.report(ruleLinkUser, where, fmt.Sprintf("a link of the user-defined kind %d", kind))
		return nil
	}
	value.skip(1) // version and flags
	file, object := value.text(), value.text()
	if value.short { // what is named is unclear, that it is another file is not
		file, object = strings.Trim(string(value.b[min(1, len(value.b)):]), "\x00"), "?"
	}
	rule := ruleLinkExternal
	if outside(file) {
		rule = ruleLinkOutside
	}
	w.report(rule, where, fmt.Sprintf("%q in the file %q", clip(object), clip(file)))
	return nil
}

// linkInfo queues the links of a group that are stored densely (section
// IV.A.2.c): in a fractal heap, found by B-trees.
func (w *walker) linkInfo(node int32, data []byte) error {
	c := w.file.over(data)
	c.skip(1)
	flags := c.u8()
	if flags&1 != 0 {
		c.skip(8)
	}
	heap, trees := c.address(), []uint64{c.address()}
	if flags&2 != 0 {
		trees = append(trees, c.address())
	}
	if err := c.done("a link info message"); err != nil {
		return err
	}
	if heap == undefined {
		return nil
	}
	h, err := w.fractal(heap)
	if err != nil {
		return err
	}
	return h.each(trees, linkID, func(id, _ []byte, at int64, object []byte) error {
		return w.link(node, object, at)
	})
}

// linkID returns the heap identifier in a record of a B-tree of links.
func linkID(kind int, record []byte) (id, rest []byte, ok bool) {
	switch {
	case kind == treeLinkNames && len(record) >= 4+7:
		return record[4:], nil, true
	case kind == treeLinkOrder && len(record) >= 8+7:
		return record[8:], nil, true
	}
	return nil, nil, false
}
