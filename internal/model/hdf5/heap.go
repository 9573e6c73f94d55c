package hdf5

import "fmt"

// globalObject returns an object of a global heap collection (section III.E):
// strings of variable length and the lists of virtual datasets are kept there.
func (w *walker) globalObject(at uint64, index uint32) ([]byte, error) {
	c, err := w.collection(at)
	if err != nil {
		return nil, err
	}
	if o, ok := c[index]; ok {
		return w.file.read(o.at, o.size)
	}
	return nil, broken("the global heap at %d has no object %d", at, index)
}

type globalSpan struct{ at, size uint64 }

// mostCollections are kept: arrays of strings take theirs one after another.
const mostCollections = 16

// mostGlobal is how many objects a collection may have; the library makes
// collections of 4 KiB and larger ones for single large objects.
const mostGlobal = 1 << 15

// collection lists the objects of a global heap collection.
func (w *walker) collection(at uint64) (map[uint32]globalSpan, error) {
	if c, ok := w.collections[at]; ok {
		return c, nil
	}
	head := uint64(8 + w.file.length)
	c, err := w.file.at(at, head)
	if err != nil {
		return nil, err
	}
	if string(c.bytes(4)) != "GCOL" {
		return nil, broken("no global heap at %d", at)
	}
	c.skip(4)
	size := c.size()
	if size > uint64(w.file.file.Size())-at {
		return nil, broken("the global heap at %d lies outside of the file", at)
	}
	objects := map[uint32]globalSpan{}
	for i := head; i+head <= size; {
		if c, err = w.file.at(at+i, head); err != nil {
			return nil, err
		}
		index := uint32(c.u16())
		c.skip(6)
		n := c.size()
		if index == 0 {
			break // the rest is free
		}
		i += head
		if n > size-i {
			return nil, broken("object %d of the global heap at %d is longer than the heap", index, at)
		}
		if err := w.file.place.Spend(costMessage); err != nil {
			return nil, err
		}
		objects[index] = globalSpan{at: at + i, size: n}
		if len(objects) > mostGlobal {
			return nil, fmt.Errorf("%w: %d objects in one global heap", errMost, mostGlobal)
		}
		if i += (n + 7) &^ 7; i > size {
			break
		}
	}
	if len(w.collections) >= mostCollections || w.collections == nil {
		w.collections = map[uint64]map[uint32]globalSpan{}
	}
	w.collections[at] = objects
	return objects, nil
}
