package pickle

import (
	"encoding/binary"
	"strings"

	"github.com/apexlogic/apex/internal/model/scan"
)

// The oldest file of torch.save (torch/serialization.py, legacy_load) is a tar.
// Two of its members, "storages" and "tensors", are the pickle of a count and
// then that many records: the pickle of a tuple that ends with a type, and
// numbers behind it that no pickle holds. In "storages" these are the count of
// elements, in eight bytes, and the elements; in "tensors" the number of
// dimensions, in four bytes and four of zeros, the sizes, the strides and an
// offset, in eight bytes each.
type records struct {
	left int64 // records still to come
}

// maxDimensions is more than torch allows a tensor to have.
const maxDimensions = 64

// begin takes the first pickle of a file for the count of records, if it is one.
func (r *records) begin(end ending) {
	if end.sane && end.value.kind == isInt && end.value.off > 0 {
		r.left = end.value.off
	}
}

// numbers returns how many bytes of numbers follow the pickle of a record, 0
// for what is none.
func (r *records) numbers(m *machine, end ending) (int64, error) {
	if r.left == 0 {
		return 0, nil
	}
	r.left--
	id := end.value
	if !end.sane || id.kind != isTuple || id.n != 3 {
		r.left = 0
		return 0, nil
	}
	g, imported := m.importOf(m.item(id, 2))
	if !imported || g.module != "torch" && !strings.HasPrefix(g.module, "torch.") {
		r.left = 0
		return 0, nil
	}
	in := m.in
	in.seek(end.at)
	left := in.file.Size() - end.at
	if left < 8 || !in.need(8) {
		r.left = 0
		return 0, in.err
	}
	head := in.buf[in.pos : in.pos+8]
	size := int64(0)
	switch kind, isStorage := storageTypes[g.name]; {
	case isStorage:
		if n := binary.LittleEndian.Uint64(head); n <= uint64(left-8)/uint64(kind.size) {
			size = 8 + int64(n)*kind.size
		}
	case strings.HasSuffix(g.name, "Tensor"):
		if n := int64(binary.LittleEndian.Uint32(head)); n <= maxDimensions && binary.LittleEndian.Uint32(head[4:]) == 0 && 8+16*n+8 <= left {
			size = 8 + 16*n + 8
		}
	}
	if size == 0 {
		r.left = 0
	}
	return size, nil
}

// readNumbers reports what numbers do to who takes them for a pickle, which
// whoever calls pickle.load again and again does.
func readNumbers(p *scan.Place, in *input, at int64) error {
	in.seek(at)
	m := newMachine(p, in)
	end := m.run()
	if end.err == nil && m.certainty(end, 1) == yes {
		m.flush()
	}
	return end.err
}
