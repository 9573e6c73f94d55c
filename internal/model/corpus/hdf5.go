package corpus

import (
	"encoding/binary"
	"math/bits"
	"slices"
	"strings"
)

// h5Object is a group, a dataset or a link of an HDF5 file.
type h5Object struct {
	name     string
	attrs    []h5Attr
	children []*h5Object

	floats  []int  // a dataset of float32 with these dimensions
	data    string // its bytes
	outside string // its bytes are in this other file (External File List)
	mapped  string // it is a virtual dataset over this other file

	linkFile, linkPath string // an external link; its group is written in the new style
	soft               string // a soft link
}

// h5Attr is a text attribute: one of variable length as h5py writes a str, of
// fixed length as it writes numpy bytes, or a list of fixed-length names.
type h5Attr struct {
	name, value string
	fixed       bool
	names       []string
}

const h5Undefined = "\xff\xff\xff\xff\xff\xff\xff\xff"

// hdf5 writes the file as libhdf5 does by default ("earliest"): superblock 0,
// symbol tables, object headers of version 1.
func hdf5(root *h5Object) string {
	w := &h5Writer{out: make([]byte, 96)}
	address, tree, heap := w.object(root)
	copy(w.out, "\x89HDF\r\n\x1a\n"+"\x00\x00\x00\x00\x00\x08\x08\x00"+le16(4)+le16(16)+le32(0)+
		le64(0)+h5Undefined+le64(len(w.out))+h5Undefined+
		le64(0)+le64(address)+le32(1)+le32(0)+le64(tree)+le64(heap))
	return string(w.out)
}

// hdf5Latest writes the file as libver="latest" does: superblock 3, links in
// the object headers, headers of version 2 with checksums.
func hdf5Latest(root *h5Object) string {
	w := &h5Writer{latest: true, out: make([]byte, 48)}
	address, _, _ := w.object(root)
	head := "\x89HDF\r\n\x1a\n\x03\x08\x08\x00" + le64(0) + h5Undefined + le64(len(w.out)) + le64(address)
	copy(w.out, head+le32(int(lookup3(head))))
	return string(w.out)
}

type h5Writer struct {
	latest bool
	out    []byte
}

func (w *h5Writer) put(s string) int {
	for len(w.out)%8 != 0 {
		w.out = append(w.out, 0)
	}
	at := len(w.out)
	w.out = append(w.out, s...)
	return at
}

func pad8(s string) string { return s + strings.Repeat("\x00", (8-len(s)%8)%8) }

type h5Message struct {
	kind int
	body string
}

// object writes o and what is below it; tree and heap are set for groups in
// the old style.
func (w *h5Writer) object(o *h5Object) (address, tree, heap int) {
	var messages []h5Message
	if o.floats != nil {
		messages = w.dataset(o)
	} else if w.latest || slices.ContainsFunc(o.children, func(c *h5Object) bool { return c.linkFile != "" }) {
		messages = append(messages, h5Message{2, "\x00\x00" + h5Undefined + h5Undefined}, h5Message{10, "\x00\x00"})
		for _, c := range o.children {
			messages = append(messages, h5Message{6, w.link(c)})
		}
	} else {
		tree, heap = w.symbols(o.children)
		messages = append(messages, h5Message{0x11, le64(tree) + le64(heap)})
	}
	for _, a := range o.attrs {
		messages = append(messages, h5Message{12, w.attribute(a)})
	}
	return w.header(messages), tree, heap
}

func (w *h5Writer) header(messages []h5Message) int {
	var b strings.Builder
	if w.latest {
		for _, m := range messages {
			b.WriteString(string([]byte{byte(m.kind)}) + le16(len(m.body)) + "\x00" + m.body)
		}
		s := "OHDR\x02\x02" + le32(b.Len()) + b.String()
		return w.put(s + le32(int(lookup3(s))))
	}
	for _, m := range messages {
		body := pad8(m.body)
		b.WriteString(le16(m.kind) + le16(len(body)) + "\x00\x00\x00\x00" + body)
	}
	return w.put("\x01\x00" + le16(len(messages)) + le32(1) + le32(b.Len()) + le32(0) + b.String())
}

func (w *h5Writer) link(c *h5Object) string {
	name := string([]byte{byte(len(c.name))}) + c.name
	switch {
	case c.linkFile != "":
		value := "\x00" + c.linkFile + "\x00" + c.linkPath + "\x00"
		return "\x01\x08\x40" + name + le16(len(value)) + value
	case c.soft != "":
		return "\x01\x08\x01" + name + le16(len(c.soft)) + c.soft
	}
	address, _, _ := w.object(c)
	return "\x01\x00" + name + le64(address)
}

// symbols writes a group's B-tree, local heap and symbol nodes of eight.
func (w *h5Writer) symbols(children []*h5Object) (tree, heap int) {
	children = slices.SortedFunc(slices.Values(children), func(a, b *h5Object) int { return strings.Compare(a.name, b.name) })
	names := strings.Repeat("\x00", 8)
	offsets := map[string]int{}
	intern := func(s string) int {
		if _, ok := offsets[s]; !ok {
			offsets[s] = len(names)
			names += pad8(s + "\x00")
		}
		return offsets[s]
	}
	keys, nodes := le64(0), 0
	for chunk := range slices.Chunk(children, 8) {
		entries := ""
		for _, c := range chunk {
			name := intern(c.name)
			if c.soft != "" {
				entries += le64(name) + h5Undefined + le32(2) + le32(0) + le32(intern(c.soft)) + strings.Repeat("\x00", 12)
				continue
			}
			address, t, h := w.object(c)
			kind, scratch := 0, strings.Repeat("\x00", 16)
			if t != 0 {
				kind, scratch = 1, le64(t)+le64(h)
			}
			entries += le64(name) + le64(address) + le32(kind) + le32(0) + scratch
		}
		node := w.put("SNOD\x01\x00" + le16(len(chunk)) + entries + strings.Repeat("\x00", 40*(8-len(chunk))))
		keys += le64(node) + le64(offsets[chunk[len(chunk)-1].name])
		nodes++
	}
	segment := w.put(names)
	heap = w.put("HEAP\x00\x00\x00\x00" + le64(len(names)) + le64(1) + le64(segment))
	full := 8 * (2*32 + 1)
	tree = w.put("TREE\x00\x00" + le16(nodes) + h5Undefined + h5Undefined + keys + strings.Repeat("\x00", full-len(keys)))
	return tree, heap
}

func (w *h5Writer) dataset(o *h5Object) []h5Message {
	space := "\x01" + string([]byte{byte(len(o.floats))}) + "\x00\x00\x00\x00\x00\x00"
	for _, d := range o.floats {
		space += le64(d)
	}
	float := "\x11\x20\x1f\x00" + le32(4) + le16(0) + le16(32) + "\x17\x08\x00\x17" + le32(127)
	messages := []h5Message{{1, space}, {3, float}, {5, "\x02\x02\x02\x01" + le32(0)}}
	switch {
	case o.outside != "":
		names := strings.Repeat("\x00", 8) + pad8(o.outside+"\x00")
		segment := w.put(names)
		heap := w.put("HEAP\x00\x00\x00\x00" + le64(len(names)) + le64(1) + le64(segment))
		messages = append(messages, h5Message{7, "\x01\x00\x00\x00" + le16(1) + le16(1) + le64(heap) + le64(8) + le64(0) + le64(4096)},
			h5Message{8, "\x03\x01" + h5Undefined + le64(0)})
	case o.mapped != "":
		all := le32(3) + le32(1) + le32(0) + le32(0)
		block := "\x00" + le64(1) + o.mapped + "\x00" + "/data\x00" + all + all
		block += le32(int(lookup3(block)))
		messages = append(messages, h5Message{8, "\x04\x03" + le64(w.heap(block)) + le32(1)})
	default:
		messages = append(messages, h5Message{8, "\x03\x01" + le64(w.put(o.data)) + le64(len(o.data))})
	}
	return messages
}

// heap writes a global heap collection of one object.
func (w *h5Writer) heap(s string) int {
	body := le16(1) + le16(1) + le32(0) + le64(len(s)) + pad8(s)
	free := max(4096-16-len(body), 16)
	return w.put("GCOL\x01\x00\x00\x00" + le64(16+len(body)+free) + body +
		le16(0) + le16(0) + le32(0) + le64(free) + strings.Repeat("\x00", free-16))
}

func (w *h5Writer) attribute(a h5Attr) string {
	kind, space, data := "", "\x01\x00\x00\x00\x00\x00\x00\x00", ""
	switch {
	case a.names != nil:
		width := 1
		for _, n := range a.names {
			width = max(width, len(n))
		}
		for _, n := range a.names {
			data += n + strings.Repeat("\x00", width-len(n))
		}
		kind, space = "\x13\x01\x00\x00"+le32(width), "\x01\x01\x00\x00\x00\x00\x00\x00"+le64(len(a.names))
	case a.fixed:
		kind, data = "\x13\x01\x00\x00"+le32(len(a.value)), a.value
	default:
		kind = "\x19\x01\x01\x00" + le32(16) + "\x13\x00\x00\x00" + le32(1)
		data = le32(len(a.value)) + le64(w.heap(a.value)) + le32(1)
	}
	if w.latest {
		return "\x03\x00" + le16(len(a.name)+1) + le16(len(kind)) + le16(len(space)) + "\x00" + a.name + "\x00" + kind + space + data
	}
	return "\x01\x00" + le16(len(a.name)+1) + le16(len(kind)) + le16(len(space)) + pad8(a.name+"\x00") + pad8(kind) + pad8(space) + data
}

// lookup3 is Bob Jenkins's hash, HDF5's checksum of metadata.
func lookup3(s string) uint32 {
	a := 0xdeadbeef + uint32(len(s))
	b, c := a, a
	word := func(s string) uint32 {
		var w [4]byte
		copy(w[:], s)
		return binary.LittleEndian.Uint32(w[:])
	}
	for len(s) > 12 {
		a, b, c = a+word(s), b+word(s[4:]), c+word(s[8:])
		for _, r := range [][3]int{{4, 6, 8}, {16, 19, 4}} {
			a -= c
			a ^= bits.RotateLeft32(c, r[0])
			c += b
			b -= a
			b ^= bits.RotateLeft32(a, r[1])
			a += c
			c -= b
			c ^= bits.RotateLeft32(b, r[2])
			b += a
		}
		s = s[12:]
	}
	if len(s) == 0 {
		return c
	}
	rest := s + strings.Repeat("\x00", 12-len(s))
	a, b, c = a+word(rest), b+word(rest[4:]), c+word(rest[8:])
	for _, step := range []struct {
		to, from *uint32
		by       int
	}{{&c, &b, 14}, {&a, &c, 11}, {&b, &a, 25}, {&c, &b, 16}, {&a, &c, 4}, {&b, &a, 14}, {&c, &b, 24}} {
		*step.to ^= *step.from
		*step.to -= bits.RotateLeft32(*step.from, step.by)
	}
	return c
}
