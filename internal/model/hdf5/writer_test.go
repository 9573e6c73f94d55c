package hdf5

import (
	"encoding/binary"
	"slices"
)

// writer writes HDF5 files by the specification's tables, with addresses and
// lengths of 8 bytes. A file is built from the end to the beginning of its
// references: what is named is written before what names it.
type writer struct{ b []byte }

func le(n int, v uint64) []byte {
	return binary.LittleEndian.AppendUint64(nil, v)[:n]
}

func cat(parts ...any) []byte {
	var b []byte
	for _, p := range parts {
		switch p := p.(type) {
		case string:
			b = append(b, p...)
		case []byte:
			b = append(b, p...)
		case byte:
			b = append(b, p)
		case int:
			b = append(b, byte(p))
		}
	}
	return b
}

// put appends a block on a boundary of 8 bytes and returns its address.
func (w *writer) put(b []byte) uint64 {
	if len(w.b) == 0 {
		w.b = make([]byte, 128) // for the superblock
	}
	w.b = append(w.b, make([]byte, (8-len(w.b)%8)%8)...)
	at := uint64(len(w.b))
	w.b = append(w.b, b...)
	return at
}

// msg is a message for an object header.
type msg struct {
	kind, flags int
	data        []byte
}

// header1 writes an object header of version 1.
func (w *writer) header1(messages ...msg) uint64 {
	var body []byte
	for _, m := range messages {
		data := append(slices.Clone(m.data), make([]byte, (8-len(m.data)%8)%8)...)
		body = cat(body, le(2, uint64(m.kind)), le(2, uint64(len(data))), m.flags, 0, 0, 0, data)
	}
	return w.put(cat(1, 0, le(2, uint64(len(messages))), le(4, 1), le(4, uint64(len(body))), le(4, 0), body))
}

// header2 writes an object header of version 2.
func (w *writer) header2(messages ...msg) uint64 {
	var body []byte
	for _, m := range messages {
		body = append(body, cat(m.kind, le(2, uint64(len(m.data))), m.flags, m.data)...)
	}
	return w.put(cat("OHDR", 2, 2, le(4, uint64(len(body))), body, le(4, 0)))
}

// superblock0 ends a file whose root is at the address.
func (w *writer) superblock0(root uint64) []byte {
	copy(w.b, cat(signature, 0, 0, 0, 0, 0, 8, 8, 0, le(2, 4), le(2, 16), le(4, 0), le(8, 0), le(8, undefined), le(8, uint64(len(w.b))), le(8, undefined),
		le(8, 0), le(8, root), le(4, 0), le(4, 0), make([]byte, 16)))
	return w.b
}

// superblock2 ends a file whose root is at the address.
func (w *writer) superblock2(root uint64) []byte {
	copy(w.b, cat(signature, 2, 8, 8, 0, le(8, 0), le(8, undefined), le(8, uint64(len(w.b))), le(8, root), le(4, 0)))
	return w.b
}

// localHeap writes a local heap of the texts and returns their offsets.
func (w *writer) localHeap(texts ...string) (at uint64, offsets []uint64) {
	var data []byte
	for _, s := range texts {
		offsets = append(offsets, uint64(len(data)))
		data = cat(data, s, 0)
	}
	names := w.put(data)
	return w.put(cat("HEAP", 0, 0, 0, 0, le(8, uint64(len(data))), le(8, 1), le(8, names))), offsets
}

// globalHeap writes a global heap collection of one object, with number 1.
func (w *writer) globalHeap(object []byte) uint64 {
	padded := append(slices.Clone(object), make([]byte, (8-len(object)%8)%8)...)
	return w.put(cat("GCOL", 1, 0, 0, 0, le(8, uint64(16+16+len(padded))), le(2, 1), le(2, 1), le(4, 0), le(8, uint64(len(object))), padded))
}

// symbols writes a group of the first kind: names and object headers.
func (w *writer) symbols(names []string, headers []uint64) msg {
	heap, offsets := w.localHeap(append([]string{""}, names...)...)
	var entries []byte
	for i, at := range headers {
		entries = cat(entries, le(8, offsets[i+1]), le(8, at), le(4, 0), le(4, 0), make([]byte, 16))
	}
	node := w.put(cat("SNOD", 1, 0, le(2, uint64(len(headers))), entries))
	tree := w.put(cat("TREE", 0, 0, le(2, 1), le(8, undefined), le(8, undefined), le(8, 0), le(8, node), le(8, 0)))
	return msg{kind: kindGroup, data: cat(le(8, tree), le(8, heap))}
}

// hardLink, softLink and otherLink are link messages.
func hardLink(name string, at uint64) msg {
	return msg{kind: kindLink, data: cat(1, 0, len(name), name, le(8, at))}
}

func softLink(name, target string) msg {
	return msg{kind: kindLink, data: cat(1, 1<<3, 1, len(name), name, le(2, uint64(len(target))), target)}
}

func otherLink(name string, kind int, value []byte) msg {
	return msg{kind: kindLink, data: cat(1, 1<<3|1<<4, kind, 1, len(name), name, le(2, uint64(len(value))), value)}
}

func externalLink(name, file string) msg {
	return otherLink(name, linkExternal, cat(0, file, 0, "/w", 0))
}

var (
	float32Type = cat(1<<4|classFloat, 0x20, 0x1f, 0, le(4, 4), le(2, 0), le(2, 32), 23, 8, 0, 23, le(4, 127))
	vlenString  = cat(1<<4|classVariable, 1, 0, 0, le(4, 16), 1<<4|classString, 0, 0, 0, le(4, 1))
)

func fixedString(n int) []byte { return cat(1<<4|classString, 0, 0, 0, le(4, uint64(n))) }

func simple(dims ...uint64) []byte {
	b := cat(2, len(dims), 0, 1)
	for _, n := range dims {
		b = cat(b, le(8, n))
	}
	return b
}

func scalar() []byte { return cat(2, 0, 0, 0) }

// attribute3 is an attribute message of version 3.
func attribute3(name string, typ, space, data []byte) msg {
	return msg{kind: kindAttribute, data: cat(3, 0, le(2, uint64(len(name)+1)), le(2, uint64(len(typ))), le(2, uint64(len(space))), 0, name, 0, typ, space, data)}
}

// attribute1 is one of version 1, whose parts are padded.
func attribute1(name string, typ, space, data []byte) msg {
	pad := func(b []byte) []byte { return append(slices.Clone(b), make([]byte, (8-len(b)%8)%8)...) }
	text := cat(name, 0)
	return msg{kind: kindAttribute, data: cat(1, 0, le(2, uint64(len(text))), le(2, uint64(len(typ))), le(2, uint64(len(space))), pad(text), pad(typ), pad(space), data)}
}

func contiguous(at, size uint64) msg {
	return msg{kind: kindLayout, data: cat(3, layoutContiguous, le(8, at), le(8, size))}
}

// chunked3 is a layout in chunks that were never written.
func chunked3(dims ...uint64) msg {
	b := cat(3, layoutChunked, len(dims)+1, le(8, undefined))
	for _, n := range dims {
		b = cat(b, le(4, n))
	}
	return msg{kind: kindLayout, data: cat(b, le(4, 4))}
}

func virtualLayout(at uint64) msg {
	return msg{kind: kindLayout, data: cat(4, layoutVirtual, le(8, at), le(4, 1))}
}

// sources is the list of a virtual dataset.
func sources(files ...string) []byte {
	all := cat(le(4, 3), le(4, 1), le(8, 0))
	hyper := cat(le(4, 2), le(4, 1), le(4, 0), le(4, 16), le(4, 1), le(4, 1), le(4, 0), le(4, 7))
	b := cat(0, le(8, uint64(len(files))))
	for _, f := range files {
		b = append(b, cat(f, 0, "d", 0, all, hyper)...)
	}
	return cat(b, le(4, 0))
}

// externalList is an external file list message.
func (w *writer) externalList(files ...string) msg {
	heap, offsets := w.localHeap(files...)
	b := cat(1, 0, 0, 0, le(2, uint64(len(files))), le(2, uint64(len(files))), le(8, heap))
	for _, at := range offsets {
		b = cat(b, le(8, at), le(8, 0), le(8, 16))
	}
	return msg{kind: kindExternal, data: b}
}

// filters2 is a filter pipeline message of version 2.
func filters2(ids ...int) msg {
	b := cat(2, len(ids))
	for _, id := range ids {
		b = append(b, le(2, uint64(id))...)
		if id > filterBuiltIn {
			b = cat(b, le(2, 0))
		}
		b = cat(b, le(2, 0), le(2, 1), le(4, 6))
	}
	return msg{kind: kindFilters, data: b}
}

func typ(b []byte) msg   { return msg{kind: kindDatatype, data: b} }
func space(b []byte) msg { return msg{kind: kindDataspace, data: b} }
