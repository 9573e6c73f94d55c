package graph

import (
	"encoding/binary"
	"math"
)

// flat reads FlatBuffers (flatbuffers.dev, internals) that nobody verified:
// every offset is checked before it is followed.
type flat struct{ s *source }

// flatTable is a table: where it is and where its fields are.
type flatTable struct {
	at     int64
	fields []byte // offsets of the fields from at, two bytes each
}

const maxFlatFields = 64 // of one table; TensorFlow Lite has 9 at most

func (f flat) u32(at int64) (uint32, error) {
	if err := f.s.spend(costField); err != nil {
		return 0, err
	}
	b, err := f.s.peek(at, 4)
	if err != nil {
		return 0, err
	}
	return binary.LittleEndian.Uint32(b), nil
}

// follow follows an offset that stands at a place.
func (f flat) follow(at int64) (int64, error) {
	off, err := f.u32(at)
	if err != nil {
		return 0, err
	}
	if to := at + int64(off); off != 0 && to <= f.s.file.Size()-4 {
		return to, nil
	}
	return 0, &broken{at, "an offset leads out of the file"}
}

// table reads the table at a place.
func (f flat) table(at int64) (t flatTable, err error) {
	back, err := f.u32(at)
	if err != nil {
		return t, err
	}
	vtable := at - int64(int32(back))
	if vtable < 0 || vtable > f.s.file.Size()-4 {
		return t, &broken{at, "a table's layout is outside of the file"}
	}
	b, err := f.s.peek(vtable, 4)
	if err != nil {
		return t, err
	}
	size := int64(binary.LittleEndian.Uint16(b))
	if size < 4 || size%2 != 0 {
		return t, &broken{vtable, "a table's layout has no possible size"}
	}
	b, err = f.s.peek(vtable, min(size, 4+2*maxFlatFields))
	if err != nil {
		return t, err
	}
	return flatTable{at: at, fields: b[4:]}, nil
}

// field returns where a field is; 0: it has its default.
func (t flatTable) field(i int) int64 {
	if 2*i+2 > len(t.fields) {
		return 0
	}
	if off := binary.LittleEndian.Uint16(t.fields[2*i:]); off != 0 {
		return t.at + int64(off)
	}
	return 0
}

// number reads an integer of some bytes; its default is 0.
func (f flat) number(t flatTable, i int, size int64) (int64, error) {
	at := t.field(i)
	if at == 0 {
		return 0, nil
	}
	b, err := f.s.peek(at, size)
	if err != nil {
		return 0, err
	}
	switch size {
	case 1:
		return int64(int8(b[0])), nil
	case 4:
		return int64(int32(binary.LittleEndian.Uint32(b))), nil
	}
	v := binary.LittleEndian.Uint64(b)
	return int64(min(v, math.MaxInt64)), nil
}

// vector is where the elements of a vector begin, and how many there are.
type vector struct{ at, count int64 }

// vector reads a vector of elements of some bytes.
func (f flat) vector(t flatTable, i int, size int64) (v vector, err error) {
	at := t.field(i)
	if at == 0 {
		return v, nil
	}
	if at, err = f.follow(at); err != nil {
		return v, err
	}
	count, err := f.u32(at)
	if err != nil {
		return v, err
	}
	v = vector{at + 4, int64(count)}
	if v.count > (f.s.file.Size()-v.at)/size {
		return v, &broken{at, "a vector is longer than the file"}
	}
	return v, nil
}

// text reads a string, at most limit bytes of it.
func (f flat) text(t flatTable, i int, limit int64) (string, error) {
	v, err := f.vector(t, i, 1)
	if err != nil || v.count == 0 {
		return "", err
	}
	b, err := f.s.peek(v.at, min(v.count, limit))
	return string(b), err
}

// tables calls do for every table of a vector of them.
func (f flat) tables(t flatTable, i int, do func(n int64, t flatTable) error) error {
	v, err := f.vector(t, i, 4)
	if err != nil {
		return err
	}
	for n := range v.count {
		at, err := f.follow(v.at + 4*n)
		if err != nil {
			return err
		}
		inner, err := f.table(at)
		if err != nil {
			return err
		}
		if err := do(n, inner); err != nil {
			return err
		}
	}
	return nil
}

// flexStrings reads a FlexBuffer that is a vector of strings, which is how
// TensorFlow Lite keeps the TensorFlow node behind an operator.
// (flatbuffers.dev, flexbuffers; types: 4 key, 5 string, 9 map, 10 vector)
func flexStrings(b []byte) ([]string, bool) {
	if len(b) < 3 {
		return nil, false
	}
	width, packed := int(b[len(b)-1]), b[len(b)-2]
	root := len(b) - 2 - width
	at, ok := flexFollow(b, root, width)
	if typ := packed >> 2; !ok || typ != 9 && typ != 10 {
		return nil, false
	}
	width = 1 << (packed & 3)
	count, ok := flexNumber(b, at-width, width)
	if !ok || count > 64 {
		return nil, false
	}
	types := at + int(count)*width
	if types < at || types+int(count) > len(b) {
		return nil, false
	}
	all := make([]string, count)
	for i := range all {
		typ := b[types+i]
		to, ok := flexFollow(b, at+i*width, width)
		if !ok || typ>>2 != 5 && typ>>2 != 4 {
			continue
		}
		n := uint64(0)
		if typ>>2 == 5 {
			size := 1 << (typ & 3)
			if n, ok = flexNumber(b, to-size, size); !ok || n > uint64(len(b)-to) {
				return nil, false
			}
		} else {
			for to+int(n) < len(b) && b[to+int(n)] != 0 {
				n++
			}
		}
		all[i] = string(b[to : to+int(n)])
	}
	return all, true
}

func flexNumber(b []byte, at, width int) (uint64, bool) {
	if at < 0 || width < 1 || at > len(b)-width {
		return 0, false
	}
	switch b = b[at:]; width {
	case 1:
		return uint64(b[0]), true
	case 2:
		return uint64(binary.LittleEndian.Uint16(b)), true
	case 4:
		return uint64(binary.LittleEndian.Uint32(b)), true
	case 8:
		return binary.LittleEndian.Uint64(b), true
	}
	return 0, false
}

func flexFollow(b []byte, at, width int) (int, bool) {
	back, ok := flexNumber(b, at, width)
	if !ok || back > uint64(at) {
		return 0, false
	}
	return at - int(back), true
}
