package corpus

import "strings"

// The value types of GGUF metadata.
const (
	ggufUint8   = 0
	ggufUint32  = 4
	ggufInt32   = 5
	ggufFloat32 = 6
	ggufBool    = 7
	ggufString  = 8
	ggufArray   = 9
	ggufUint64  = 10
)

type ggufFile struct {
	version   int
	pairs     []string // as ggufPair writes them
	tensors   []ggufTensor
	alignment int
	data      string // after the alignment that follows the tensor table
	edit      func(header *ggufHeader)
}

type ggufHeader struct{ magic, version, tensors, pairs string }

type ggufTensor struct {
	name   string
	dims   []int
	kind   int
	offset int
}

func ggufText(s string) string { return le64(len(s)) + s }

func ggufPair(key string, kind int, value string) string { return ggufText(key) + le32(kind) + value }

func ggufWord(key, value string) string { return ggufPair(key, ggufString, ggufText(value)) }

func ggufNumber(key string, n int) string { return ggufPair(key, ggufUint32, le32(n)) }

func ggufTexts(key string, values ...string) string {
	var b strings.Builder
	for _, v := range values {
		b.WriteString(ggufText(v))
	}
	return ggufPair(key, ggufArray, le32(ggufString)+le64(len(values))+b.String())
}

func (g ggufFile) bytes() string {
	if g.version == 0 {
		g.version = 3
	}
	if g.alignment == 0 {
		g.alignment = 32
	}
	h := ggufHeader{"GGUF", le32(g.version), le64(len(g.tensors)), le64(len(g.pairs))}
	if g.edit != nil {
		g.edit(&h)
	}
	out := h.magic + h.version + h.tensors + h.pairs + strings.Join(g.pairs, "")
	for _, t := range g.tensors {
		out += ggufText(t.name) + le32(len(t.dims))
		for _, d := range t.dims {
			out += le64(d)
		}
		out += le32(t.kind) + le64(t.offset)
	}
	for len(out)%g.alignment != 0 {
		out += "\x00"
	}
	return out + g.data
}
