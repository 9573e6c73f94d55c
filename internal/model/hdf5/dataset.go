package hdf5

import (
	"fmt"
	"math"
	"math/bits"
	"strings"

	"github.com/apexlogic/apex/internal/model/scan"
)

// The built-in filters that are undone (section IV.A.2.l).
const (
	filterDeflate  = 1
	filterShuffle  = 2
	filterChecksum = 3
	filterBuiltIn  = 255 // the last number that the library keeps for itself
)

// registered says whether The HDF Group lists the filter. Those are plug-ins
// as well, but ones that many have installed (hdf5plugin, LZF of h5py).
func registered(id int) bool {
	return id == 305 || id == 307 || id >= 32000 && id <= 32031
}

// The ways in which a dataset is laid out (section IV.A.2.i).
const (
	layoutCompact    = 0
	layoutContiguous = 1
	layoutChunked    = 2
	layoutVirtual    = 3
)

// A dataset that claims at least bombBytes, and bombRatio times what the file
// has, is a bomb. Deflate reaches 1032:1, on zeros only.
const (
	bombBytes = 4 << 30
	bombRatio = 2000
)

// mostData is how much of one dataset is read for the text in it.
const mostData = 1 << 20

// layout is where a dataset's data is.
type layout struct {
	class  int
	at     uint64 // of contiguous data, or of the list of a virtual dataset
	size   uint64 // of contiguous data; undefined: not said
	inline []byte
	index  uint32
	// Of chunks that a B-tree of version 1 finds:
	rank    int    // dimensions, and one more for the bytes of an element
	chunk   uint64 // bytes of a chunk
	element uint64 // bytes of an element
}

// takeChunk takes the shape of a chunk.
func (l *layout) takeChunk(c *cursor) {
	l.chunk = 1
	for range l.rank {
		l.element = uint64(c.u32())
		high, low := bits.Mul64(l.chunk, l.element)
		if high != 0 || low > mostPiece {
			low = mostPiece + 1
		}
		l.chunk = low
	}
}

// takeLayout takes a data layout message of any version.
func (w *walker) takeLayout(data []byte) (l layout, err error) {
	c := w.file.over(data)
	l.at, l.size = undefined, undefined
	version := c.u8()
	switch {
	case version == 1 || version == 2:
		rank := c.u8()
		l.class = c.u8()
		c.skip(5)
		if l.class != layoutCompact {
			l.at = c.address()
		}
		if l.class == layoutChunked {
			l.rank = rank
			l.takeChunk(c)
		} else {
			c.skip(4 * rank)
		}
		if l.class == layoutCompact {
			l.inline = c.bytes(int(c.u32()))
		}
	case version >= 3 && version <= 5:
		switch l.class = c.u8(); l.class {
		case layoutCompact:
			l.inline = c.bytes(c.u16())
		case layoutContiguous:
			l.at, l.size = c.address(), c.size()
		case layoutChunked:
			if version == 3 {
				l.rank = c.u8()
				l.at = c.address()
				l.takeChunk(c)
			}
		case layoutVirtual:
			l.at, l.index = c.address(), c.u32()
		}
	default:
		return l, broken("version %d of a layout is unknown", version)
	}
	return l, c.done("a layout")
}

// filter is one step of a filter pipeline.
type filter struct {
	id     int
	name   string
	values []uint32
}

// takeFilters takes a filter pipeline message (section IV.A.2.l).
func (w *walker) takeFilters(data []byte) ([]filter, error) {
	c := w.file.over(data)
	version, count := c.u8(), c.u8()
	if version < 1 || version > 2 {
		return nil, broken("version %d of a filter pipeline is unknown", version)
	}
	if version == 1 {
		c.skip(6)
	}
	var filters []filter
	for range count {
		f := filter{id: c.u16()}
		named := 0
		if version == 1 || f.id > filterBuiltIn {
			named = c.u16()
		}
		c.skip(2)
		values := c.u16()
		if version == 1 {
			named = (named + 7) &^ 7
		}
		f.name, _, _ = strings.Cut(string(c.bytes(named)), "\x00")
		if values > c.left()/4 {
			return nil, broken("a filter pipeline is cut short")
		}
		for range values {
			f.values = append(f.values, c.u32())
		}
		if version == 1 && values%2 == 1 {
			c.skip(min(4, c.left()))
		}
		filters = append(filters, f)
	}
	return filters, c.done("a filter pipeline")
}

// judgeFilters reports filters that the library would load code for.
func (w *walker) judgeFilters(filters []filter, at int64, op string) {
	for _, f := range filters {
		if f.id <= filterBuiltIn {
			continue
		}
		rule := ruleFilter
		if registered(f.id) {
			if w.noted[f.id] {
				continue
			}
			if w.noted == nil {
				w.noted = map[int]bool{}
			}
			w.noted[f.id] = true
			rule = ruleFilterKnown
		}
		w.report(rule, w.where(at, op), fmt.Sprintf("filter %d %q", f.id, clip(f.name)))
	}
}

// dataset looks at the messages of an object that has a layout.
func (w *walker) dataset(node int32, messages []message) error {
	var typ, space, layoutMessage, external, pipeline *message
	for i := range messages {
		switch m := &messages[i]; m.kind {
		case kindDatatype:
			typ = m
		case kindDataspace:
			space = m
		case kindLayout:
			layoutMessage = m
		case kindFilters:
			pipeline = m
		case kindExternal:
			external = m
			if err := w.fault(node, w.externalFiles(node, *external)); err != nil {
				return err
			}
		}
	}
	var filters []filter
	if pipeline != nil {
		data, err := w.content(kindFilters, pipeline.flags&flagShared != 0, pipeline.data)
		if err == nil {
			filters, err = w.takeFilters(data)
		}
		if err = w.fault(node, err); err != nil {
			return err
		}
		w.judgeFilters(filters, pipeline.at, w.path(node))
	}
	if layoutMessage == nil {
		return nil
	}
	l, err := w.takeLayout(layoutMessage.data)
	if err != nil {
		return err
	}
	if l.class == layoutVirtual {
		if err := w.fault(node, w.virtual(node, l)); err != nil {
			return err
		}
	}
	if typ == nil || space == nil {
		return broken("a dataset has no datatype or no dataspace")
	}
	t, shape, count, err := w.shape(typ.data, typ.flags&flagShared != 0, space.data, space.flags&flagShared != 0)
	if err != nil {
		return err
	}
	high, need := bits.Mul64(count, t.size)
	if high != 0 || count == undefined {
		need = math.MaxInt64
	}
	if size := uint64(w.file.file.Size()); need >= bombBytes && need/bombRatio > size {
		w.report(ruleBomb, w.where(layoutMessage.at, w.path(node)), fmt.Sprintf("the shape %v of %d-byte elements, in a file of %d bytes", shape, t.size, size))
	}
	w.tensor(node, t, shape, l, need, external != nil)
	return w.data(node, t, count, need, l, filters, layoutMessage.at)
}

// tensor tells where a dataset's numbers are.
func (w *walker) tensor(node int32, t *datatype, shape []uint64, l layout, need uint64, elsewhere bool) {
	if !w.place.WantsTensors() {
		return
	}
	tensor := scan.Tensor{Name: strings.TrimPrefix(w.path(node), "/"), DType: t.name(), Offset: -1, Size: int64(min(need, math.MaxInt64))}
	for _, n := range shape {
		tensor.Shape = append(tensor.Shape, int64(min(n, math.MaxInt64)))
	}
	if l.class == layoutContiguous && l.at != undefined && !elsewhere {
		tensor.Offset = w.base + int64(min(l.at, uint64(w.file.file.Size())))
	}
	w.place.Tensor(tensor)
}

// data checks that a dataset's data is where it must be, and hands on text.
func (w *walker) data(node int32, t *datatype, count, need uint64, l layout, filters []filter, at int64) error {
	var data []byte
	switch l.class {
	case layoutCompact:
		if need > uint64(len(l.inline)) {
			w.report(ruleBounds, w.where(at, w.path(node)), fmt.Sprintf("%d bytes are there of %d", len(l.inline), need))
			return nil
		}
		data = l.inline
	case layoutContiguous:
		if l.at == undefined || need == 0 {
			return nil // never written, or in other files
		}
		size := uint64(w.file.file.Size())
		if l.at > size || need > size-l.at || l.size != undefined && l.size < need {
			w.report(ruleBounds, w.where(at, w.path(node)), fmt.Sprintf("%d bytes at %d, in a file of %d bytes", need, l.at, size))
			return nil
		}
		if need > mostData || count > mostElements || !mayHoldText(t) || w.file.file.IsDear() {
			return nil
		}
		var err error
		if data, err = w.file.read(l.at, need); err != nil {
			return err
		}
	case layoutChunked:
		if l.at == undefined || need == 0 || l.rank != 2 || l.element == 0 || !mayHoldText(t) || w.file.file.IsDear() {
			return nil
		}
		var err error
		if data, err = w.chunks(l, filters, need); err != nil || uint64(len(data)) < need {
			return err
		}
	default:
		return nil
	}
	if !mayHoldText(t) || count > mostElements && t.size != 1 {
		return nil
	}
	return w.values(node, "", t, count, data)
}

// mayHoldText says whether a dataset of the type is read. Bytes that were
// saved as numbers are a pickle now and then.
func mayHoldText(t *datatype) bool {
	return t.class == classString || t.class == classOpaque || t.class == classVariable || t.class == classReference ||
		t.class == classInteger && t.size == 1
}
