package corpus

import (
	"encoding/binary"
	"strings"
)

// Fields of a protocol buffer message; a message is its fields, joined.

func varint(n int) string { return string(binary.AppendUvarint(nil, uint64(n))) }

func pbInt(field, n int) string { return varint(field<<3) + varint(n) }

func pbFloat(field int, f float32) string { return varint(field<<3|5) + lef32(f) }

func pb(field int, parts ...string) string {
	s := strings.Join(parts, "")
	return varint(field<<3|2) + varint(len(s)) + s
}

func pbInts(field int, ns ...int) string {
	var b strings.Builder
	for _, n := range ns {
		b.WriteString(varint(n))
	}
	return pb(field, b.String())
}
