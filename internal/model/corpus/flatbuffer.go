package corpus

import "encoding/binary"

// A FlatBuffers table is its fields in the schema's order; nil is absent. Field
// types: int8, int32, string, table, []table, []int32, []byte.
type table []any

// flatbuffer writes root behind its offset and the file's identifier. Children
// follow their parents, so that every offset points forward as the format asks.
func flatbuffer(identifier string, root table) string {
	b := &flatWriter{}
	b.out = append(b.out, 0, 0, 0, 0)
	b.out = append(b.out, identifier...)
	b.patch(0, b.table(root))
	return string(b.out)
}

type flatWriter struct{ out []byte }

func (b *flatWriter) align(n int) {
	for len(b.out)%n != 0 {
		b.out = append(b.out, 0)
	}
}

func (b *flatWriter) patch(at, target int) {
	binary.LittleEndian.PutUint32(b.out[at:], uint32(target-at))
}

func (b *flatWriter) table(t table) int {
	b.align(4)
	vtable := len(b.out)
	b.out = append(b.out, le16(4+2*len(t))+le16(4+4*len(t))...)
	for i, f := range t {
		offset := 4 + 4*i
		if f == nil {
			offset = 0
		}
		b.out = append(b.out, le16(offset)...)
	}
	b.align(4)
	start := len(b.out)
	b.out = append(b.out, le32(start-vtable)...)
	for _, f := range t {
		switch f := f.(type) {
		case int8:
			b.out = append(b.out, le32(int(uint8(f)))...)
		case int32:
			b.out = append(b.out, le32(int(f))...)
		default:
			b.out = append(b.out, 0, 0, 0, 0)
		}
	}
	for i, f := range t {
		switch f.(type) {
		case nil, int8, int32:
			continue
		}
		b.patch(start+4+4*i, b.value(f))
	}
	return start
}

func (b *flatWriter) value(v any) int {
	if t, ok := v.(table); ok {
		return b.table(t)
	}
	b.align(4)
	start := len(b.out)
	switch v := v.(type) {
	case string:
		b.out = append(b.out, le32(len(v))+v+"\x00"...)
	case []byte:
		b.out = append(append(b.out, le32(len(v))...), v...)
	case []int32:
		b.out = append(b.out, le32(len(v))...)
		for _, n := range v {
			b.out = append(b.out, le32(int(n))...)
		}
	case []table:
		b.out = append(b.out, le32(len(v))...)
		b.out = append(b.out, make([]byte, 4*len(v))...)
		for i, t := range v {
			b.patch(start+4+4*i, b.table(t))
		}
	default:
		panic("corpus: no FlatBuffers form for this value")
	}
	return start
}
