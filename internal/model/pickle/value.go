package pickle

import (
	"github.com/apexlogic/apex/internal/model/scan"
)

// kind is what the machine knows of a value.
type kind uint8

const (
	isUnknown    kind = iota // a buffer from outside, or what is past a limit
	isNone                   // None
	isBool                   // off is 0 or 1
	isInt                    // off is its value
	isNumber                 // a float, or an int of more than 64 bits
	isText                   // str: off and n are its place in the file
	isBytes                  // bytes or bytearray: likewise
	isOwned                  // str that stood escaped: n is its index in texts
	isTuple                  // n items, from off on in items
	isPersistent             // what a persistent id stands for
	isGlobal                 // off is its index in globals
	isObject                 // off is its index in objects: everything that can change or was made by a call
)

// Marks of a value.
const (
	markDunder  = 1 << iota // text that begins with two underscores
	markLatin1              // text of an opcode whose bytes are the loader's to decode
	markEscaped             // text that stands escaped in the file, for raw-unicode-escape or escape_decode
)

// value is a reference: 16 bytes without a pointer, so that millions of them
// cost the garbage collector nothing.
type value struct {
	kind kind
	mark uint8
	n    uint32
	off  int64
}

func (v value) isString() bool { return v.kind == isText || v.kind == isOwned || v.kind == isBytes }

// shape is what kind of object an object is.
type shape uint8

const (
	aList shape = iota
	aDict
	aSet
	aCall     // the result of a call: REDUCE, INST, OBJ
	aInstance // made without __init__: NEWOBJ, copyreg._reconstructor
	aBuffer   // an out-of-band buffer
)

// object is a value that can change, or that a call made.
type object struct {
	shape   shape
	partial bool   // not all items are kept
	dunder  uint8  // flags of keys that begin with two underscores
	fn      uint32 // of calls and instances: index of the global, plus one
	items   uint32 // index in lists, plus one; of a dict keys and values alternate
	state   uint32 // index in states, plus one: what BUILD gave it last
	args    value  // of calls and instances: the tuple
}

// Pages keep growing from copying, and let memory be taken as it is needed.
const (
	pageBits = 12
	pageSize = 1 << pageBits
)

// paged is an array that grows by pages. Elements that were never set are zero.
type paged[T any] struct {
	pages []*[pageSize]T
	n     int
}

func (a *paged[T]) at(i int) *T { return &a.pages[i>>pageBits][i&(pageSize-1)] }

// grow makes room for one more element and returns it.
func (a *paged[T]) grow(p *scan.Place, size int64) (*T, error) {
	i := a.n
	if i>>pageBits == len(a.pages) {
		if _, err := p.Hold(size * pageSize); err != nil { // until the scan returns: the next stream uses the page too
			return nil, err
		}
		a.pages = append(a.pages, new([pageSize]T))
	}
	a.n++
	slot := a.at(i)
	var zero T
	*slot = zero
	return slot, nil
}

const (
	valueSize  = 16
	objectSize = 40
)

// heap is everything that one stream made.
type heap struct {
	place   *scan.Place
	items   paged[value]
	objects paged[object]
	lists   [][]value
	states  []value
	texts   []string
	kept    int // values in lists

	room     int64 // bytes that were taken from the budget and are not used yet
	releases []func()
}

// take takes memory from the budget, some more than is asked for at a time,
// until the stream ends.
func (h *heap) take(n int64) error {
	if n > h.room {
		more := max(n, 64<<10)
		release, err := h.place.Hold(more)
		if err != nil {
			return err
		}
		h.releases = append(h.releases, release)
		h.room += more
	}
	h.room -= n
	return nil
}

// reset forgets everything, for the next stream.
func (h *heap) reset() {
	for _, release := range h.releases {
		release()
	}
	clear(h.lists)
	clear(h.texts)
	h.items.n, h.objects.n, h.kept, h.room = 0, 0, 0, 0
	h.lists, h.states, h.texts, h.releases = h.lists[:0], h.states[:0], h.texts[:0], h.releases[:0]
}

// maxKept bounds the items that are kept of lists and dicts.
const maxKept = 1 << 20

func (h *heap) tuple(items []value) (value, error) {
	v := value{kind: isTuple, n: uint32(len(items)), off: int64(h.items.n)}
	for _, item := range items {
		slot, err := h.items.grow(h.place, valueSize)
		if err != nil {
			return value{}, err
		}
		*slot = item
	}
	return v, nil
}

// item returns the i-th item of a tuple.
func (h *heap) item(tuple value, i int) value {
	if tuple.kind != isTuple || i >= int(tuple.n) {
		return value{}
	}
	return *h.items.at(int(tuple.off) + i)
}

func (h *heap) object(o object) (value, error) {
	v := value{kind: isObject, off: int64(h.objects.n)}
	slot, err := h.objects.grow(h.place, objectSize)
	if err != nil {
		return value{}, err
	}
	*slot = o
	return v, nil
}

// add appends items to what is kept of an object.
func (h *heap) add(o *object, items []value) error {
	if len(items) == 0 {
		return nil
	}
	if h.kept+len(items) > maxKept {
		o.partial = true
		return nil
	}
	h.kept += len(items)
	if o.items == 0 {
		if err := h.take(48); err != nil {
			return err
		}
		h.lists = append(h.lists, nil)
		o.items = uint32(len(h.lists))
	}
	list := &h.lists[o.items-1]
	if cap(*list)-len(*list) < len(items) {
		if err := h.take(int64(len(items)+len(*list)) * valueSize); err != nil {
			return err
		}
	}
	*list = append(*list, items...)
	return nil
}

// mostOf is how many items of a tuple are looked at.
const mostOf = 64

// of returns the items that are kept of an object, or the first ones of a
// tuple.
func (h *heap) of(v value) []value {
	switch v.kind {
	case isTuple:
		items := make([]value, min(int(v.n), mostOf))
		for i := range items {
			items[i] = h.item(v, i)
		}
		return items
	case isObject:
		if o := h.objects.at(int(v.off)); o.items > 0 {
			return h.lists[o.items-1]
		}
	}
	return nil
}

func (h *heap) get(v value) *object {
	if v.kind != isObject {
		return nil
	}
	return h.objects.at(int(v.off))
}

// hasState returns what BUILD gave an object last.
func (h *heap) hasState(v value) (value, bool) {
	o := h.get(v)
	if o == nil || o.state == 0 {
		return value{}, false
	}
	return h.states[o.state-1], true
}
