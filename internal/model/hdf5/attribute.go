package hdf5

import (
	"bytes"
	"fmt"

	"github.com/apexlogic/apex/internal/model/scan"
)

// How much text is handed on.
const (
	mostElements = 1 << 14 // of one attribute; names of layers are split at 64 KiB
	mostHanded   = 1 << 15 // pieces of text of one file
	mostText     = 48 << 20

	costElement scan.Cost = 400 // an element with its name
	costShape   scan.Cost = 500 // a datatype and a dataspace
)

// attribute reads an attribute message (section IV.A.2.m).
func (w *walker) attribute(node int32, data []byte) error {
	c := w.file.over(data)
	version, flags := c.u8(), c.u8()
	if version < 1 || version > 3 {
		return broken("version %d of an attribute is unknown", version)
	}
	if version == 1 {
		flags = 0
	}
	nameSize, typeSize, spaceSize := c.u16(), c.u16(), c.u16()
	if version == 3 {
		c.skip(1)
	}
	padded := func(n int) []byte {
		b := c.bytes(n)
		if version == 1 {
			c.bytes(min((8-n%8)%8, c.left()))
		}
		return b
	}
	name, typ, space := padded(nameSize), padded(typeSize), padded(spaceSize)
	if err := c.done("an attribute"); err != nil {
		return err
	}
	name, _, _ = bytes.Cut(name, []byte{0})
	t, _, count, err := w.shape(typ, flags&1 != 0, space, flags&2 != 0)
	if err == nil {
		err = w.values(node, "@"+clip(string(name)), t, count, c.bytes(c.left()))
	}
	if err != nil {
		return fmt.Errorf("attribute %q: %w", clip(string(name)), err)
	}
	return nil
}

// shape reads a datatype and a dataspace, which may be shared.
func (w *walker) shape(typ []byte, typShared bool, space []byte, spaceShared bool) (t *datatype, shape []uint64, count uint64, err error) {
	// A type within types takes a value for each of its few bytes.
	if err := w.place.Spend(costShape + scan.Cost(len(typ)+len(space))*8); err != nil {
		return nil, nil, 0, err
	}
	if typ, err = w.content(kindDatatype, typShared, typ); err != nil {
		return nil, nil, 0, err
	}
	if space, err = w.content(kindDataspace, spaceShared, space); err != nil {
		return nil, nil, 0, err
	}
	if t, err = takeDatatype(w.file.over(typ), 0); err != nil {
		return nil, nil, 0, err
	}
	shape, count, err = takeDataspace(w.file.over(space))
	return t, shape, count, err
}

// attributeInfo reads the attributes that are stored densely (section
// IV.A.2.v): in a fractal heap, found by B-trees.
func (w *walker) attributeInfo(node int32, data []byte) error {
	c := w.file.over(data)
	c.skip(1)
	flags := c.u8()
	if flags&1 != 0 {
		c.skip(2)
	}
	at, trees := c.address(), []uint64{c.address()}
	if flags&2 != 0 {
		trees = append(trees, c.address())
	}
	if err := c.done("an attribute info message"); err != nil {
		return err
	}
	if at == undefined {
		return nil
	}
	h, err := w.fractal(at)
	if err != nil {
		return err
	}
	idOf := func(kind int, record []byte) (id, rest []byte, ok bool) {
		if (kind != treeAttrNames && kind != treeAttrOrder) || len(record) < 9 {
			return nil, nil, false
		}
		return record[:8], record[8:], true
	}
	return h.each(trees, idOf, func(id, rest []byte, _ int64, _ []byte) error {
		object, err := []byte(nil), error(nil)
		if rest[0]&flagShared != 0 {
			object, err = w.sharedContent(kindAttribute, id)
		} else {
			object, err = h.object(id)
		}
		if err == nil {
			err = w.attribute(node, object)
		}
		return w.fault(node, err)
	})
}

// values hands on the text in the elements, and queues objects that they
// refer to.
func (w *walker) values(node int32, name string, t *datatype, count uint64, data []byte) error {
	for t.class == classArray {
		if t.count != 0 && count > undefined/t.count {
			return broken("too many elements")
		}
		t, count = t.base, count*t.count
	}
	width := t.size
	if t.class == classVariable {
		width = uint64(4 + w.file.offset + 4)
	}
	if t.class == classInteger && t.size == 1 && count > 8 {
		// Bytes that were saved as numbers: handed on where they begin and end
		// as a pickle does, which arrays hardly ever do.
		if n := min(count, uint64(len(data))); n > 8 && data[0] == 0x80 && data[1] <= 5 && data[n-1] == '.' {
			return w.hand(node, name, data[:n])
		}
		return nil
	}
	text := t.class == classString || t.class == classOpaque || t.isVariableString() || t.isVariableBytes()
	if !text && !t.isObjectReference() || width == 0 {
		return nil
	}
	if count > uint64(len(data))/width {
		return broken("%d elements of %d bytes are more than there are", count, width)
	}
	if count > mostElements {
		return fmt.Errorf("%w: %d elements of text", errMost, count)
	}
	if err := w.place.Spend(scan.Cost(count) * costElement); err != nil { // at most mostElements of them
		return err
	}
	c := w.file.over(data)
	for i := range count {
		label := name
		if count > 1 {
			label = fmt.Sprintf("%s[%d]", name, i)
		}
		var err error
		switch {
		case t.class == classString:
			err = w.hand(node, label, bytes.TrimRight(c.bytes(int(width)), "\x00"))
		case t.class == classOpaque:
			err = w.hand(node, label, c.bytes(int(width)))
		case t.class == classVariable:
			n, at, index := uint64(c.u32()), c.address(), c.u32()
			if n == 0 || at == 0 || at == undefined {
				continue
			}
			var b []byte
			if b, err = w.globalObject(at, index); err == nil {
				err = w.hand(node, label, b[:min(n*max(t.base.size, 1), uint64(len(b)))])
			}
		default:
			if at := c.address(); at != 0 && at != undefined {
				err = w.refer(at)
			}
		}
		if err != nil {
			return err
		}
	}
	return nil
}

// hand has every format look at a text. Readers of C take it to end at its
// first NUL, others read on, so that both are looked at.
func (w *walker) hand(node int32, name string, text []byte) error {
	w.describe(node, name, text)
	if i := bytes.IndexByte(text, 0); i > 0 && i < len(text)-1 && !plain(text[:i]) {
		if err := w.inside(node, name, text[:i]); err != nil {
			return err
		}
	}
	if plain(text) {
		return nil
	}
	return w.inside(node, name, text)
}

func (w *walker) inside(node int32, name string, text []byte) error {
	w.handed++
	w.handedBytes += len(text)
	if w.handed > mostHanded || w.handedBytes > mostText {
		return fmt.Errorf("%w: %d pieces of text with %d bytes", errMost, w.handed, w.handedBytes)
	}
	if err := w.place.Spend(scan.CostMember); err != nil {
		return err
	}
	w.place.Inside(w.path(node)+name, -1, scan.Bytes(text))
	return nil
}

// plain says that text is a name, a path or a number: no format can say
// anything in those characters that runs.
func plain(text []byte) bool {
	for _, b := range text {
		switch {
		case b >= 'a' && b <= 'z', b >= 'A' && b <= 'Z', b >= '0' && b <= '9', b == '_', b == '-', b == '/', b == ':', b == ' ', b == 0:
		case b == '.' && len(text) < 256:
		default:
			return false
		}
	}
	return true
}

// describe keeps what the file says of itself.
func (w *walker) describe(node int32, name string, text []byte) {
	switch name {
	case "@keras_version", "@backend":
		if node != 0 && w.path(node) != "/model_weights" || len(text) > 64 || !plain(text) {
			return
		}
		w.place.Property(name[1:], string(text))
		w.place.Property("framework", "keras")
	}
}
