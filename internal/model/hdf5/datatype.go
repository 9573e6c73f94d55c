package hdf5

import (
	"fmt"
	"math/bits"
)

// The classes of datatypes (section IV.A.2.d).
const (
	classInteger   = 0
	classFloat     = 1
	classString    = 3
	classOpaque    = 5
	classReference = 7
	classEnum      = 8
	classVariable  = 9
	classArray     = 10
)

// mostNesting bounds datatypes within datatypes.
const mostNesting = 16

// datatype is what is known of the type of an element.
type datatype struct {
	class    int
	size     uint64 // bytes of an element in the file
	flags    uint32 // of 24 bits, by class
	exponent int    // bits of a float's exponent
	count    uint64 // elements of an array
	base     *datatype
}

// takeDatatype takes a datatype message. Of compounds only the size is taken.
func takeDatatype(c *cursor, depth int) (*datatype, error) {
	if depth > mostNesting {
		return nil, broken("a datatype is nested deeper than %d levels", mostNesting)
	}
	first := c.u8()
	t := &datatype{class: first & 0x0f, flags: uint32(c.uint(3)), size: uint64(c.u32())}
	version := first >> 4
	if version < 1 || version > 5 {
		return nil, broken("version %d of a datatype is unknown", version)
	}
	switch t.class {
	case classFloat:
		c.skip(2 + 2 + 1)
		t.exponent = c.u8()
	case classVariable:
		base, err := takeDatatype(c, depth+1)
		if err != nil {
			return nil, err
		}
		t.base = base
	case classArray:
		rank := c.u8()
		if version == 2 {
			c.skip(3)
		}
		t.count = 1
		for range rank {
			high, low := bits.Mul64(t.count, uint64(c.u32()))
			if high != 0 {
				return nil, broken("an array type has too many elements")
			}
			t.count = low
		}
		if version == 2 {
			c.skip(4 * rank)
		}
		base, err := takeDatatype(c, depth+1)
		if err != nil {
			return nil, err
		}
		t.base = base
	case classEnum:
		base, err := takeDatatype(c, depth+1)
		if err != nil {
			return nil, err
		}
		t.base = base
	}
	return t, c.done("a datatype")
}

// isVariableString says whether elements are strings in a global heap.
func (t *datatype) isVariableString() bool { return t.class == classVariable && t.flags&0x0f == 1 }

// isVariableBytes says whether elements are runs of bytes in a global heap.
func (t *datatype) isVariableBytes() bool {
	return t.class == classVariable && t.flags&0x0f == 0 && t.base.size == 1 &&
		(t.base.class == classInteger || t.base.class == classString || t.base.class == classOpaque)
}

// isObjectReference says whether elements are addresses of objects.
func (t *datatype) isObjectReference() bool { return t.class == classReference && t.flags&0x0f == 0 }

// name is what reports call the type.
func (t *datatype) name() string {
	switch t.class {
	case classInteger:
		if t.flags&(1<<3) != 0 {
			return fmt.Sprintf("I%d", t.size*8)
		}
		return fmt.Sprintf("U%d", t.size*8)
	case classFloat:
		if t.size == 2 && t.exponent == 8 {
			return "BF16"
		}
		return fmt.Sprintf("F%d", t.size*8)
	case classEnum:
		if t.base.size == 1 {
			return "BOOL"
		}
		return t.base.name()
	case classArray:
		return t.base.name()
	case classVariable:
		if t.isVariableString() {
			return "STRING"
		}
		return "VARIABLE"
	}
	return [...]string{2: "TIME", 3: "STRING", 4: "BITS", 5: "OPAQUE", 6: "COMPOUND", 7: "REFERENCE", 8: "", 15: "OTHER"}[min(t.class, 15)]
}

// takeDataspace takes a dataspace message (section IV.A.2.b): the shape, and
// how many elements that is.
func takeDataspace(c *cursor) (shape []uint64, count uint64, err error) {
	version, rank := c.u8(), c.u8()
	c.skip(1)
	count = 1
	switch version {
	case 1:
		c.skip(5)
	case 2:
		if c.u8() == 2 {
			count = 0
		}
	default:
		return nil, 0, broken("version %d of a dataspace is unknown", version)
	}
	shape = make([]uint64, 0, rank)
	for range rank {
		n := c.size()
		shape = append(shape, n)
		high, low := bits.Mul64(count, n)
		if high != 0 {
			low = undefined // more than there are addresses: bounds say so
		}
		count = low
	}
	return shape, count, c.done("a dataspace")
}
