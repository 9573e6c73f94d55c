package pickle

import (
	"compress/zlib"
	"errors"
	"fmt"
	"io"
	"math/bits"
	"strconv"
	"strings"

	"github.com/apexlogic/apex/internal/model/scan"
)

// joblibState is about arrays that joblib writes between opcodes.
type joblibState struct {
	off    bool // read as pickle.load does, which takes them for opcodes
	arrays int  // passed over
}

func joblibModule(module string) bool {
	switch strings.TrimPrefix(module, "sklearn.externals.") {
	case "joblib.numpy_pickle", "joblib.numpy_pickle_compat":
		return true
	}
	return false
}

// fieldsSearched bounds the search for a key: keys and values of states of
// honest objects are fewer.
const fieldsSearched = 1 << 12

// field returns what a state dict has under a key.
func (m *machine) field(state value, key string) (value, bool) {
	items := m.of(state)
	if m.place.Spend(scan.Cost(min(len(items), fieldsSearched))*5) != nil {
		return value{}, false // the next opcodes find out
	}
	for i := 0; i+1 < len(items) && i < fieldsSearched; i += 2 {
		if m.is(items[i], key) {
			return items[i+1], true
		}
	}
	return value{}, false
}

// joblibArray passes over the array that follows the BUILD of a
// NumpyArrayWrapper (joblib/numpy_pickle.py, read_array): raw bytes, or a
// pickle of its own where the array holds objects.
func (m *machine) joblibArray(state value) error {
	if m.joblib.off {
		return nil
	}
	in := m.in
	if m.frame > in.at() { // joblib reads after the frame, whose rest are opcodes
		m.report(ruleFrameArray, fmt.Sprintf("the frame has %d bytes more", m.frame-in.at()))
		return nil
	}
	m.frame = 0
	dtype, _ := m.field(state, "dtype")
	shape, _ := m.field(state, "shape")
	size, objects, ok := m.dtype(dtype)
	count, counted := m.count(shape)
	if !ok || !counted {
		m.report(ruleArray, "dtype "+m.show(dtype, 0)+", shape "+m.show(shape, 0))
		return broken("the length of an array cannot be said")
	}
	m.joblib.arrays++
	if objects {
		return m.nested()
	}
	if alignment, found := m.field(state, "numpy_array_alignment_bytes"); found && alignment.kind != isNone {
		if !in.need(1) {
			return in.err
		}
		padding := int64(in.buf[in.pos])
		in.pos++
		if !in.skip(padding) {
			return in.err
		}
	}
	high, length := bits.Mul64(uint64(count), uint64(size))
	if high != 0 || length > uint64(in.file.Size()-in.at()) {
		return broken(fmt.Sprintf("an array of %d times %d bytes does not fit", count, size))
	}
	if !in.skip(int64(length)) {
		return in.err
	}
	return m.place.Spend(costOp)
}

// nested runs a pickle that stands between opcodes, read by an unpickler of
// its own.
func (m *machine) nested() error {
	if m.spare == nil {
		m.spare = newMachine(m.place, m.in)
		m.spare.joblib.off = true
	}
	n := m.spare
	n.restart()
	end := n.run()
	n.settle()
	for _, f := range n.found {
		if key := f.rule.ID + " " + f.detail; !m.seen[key] && m.counts[f.rule.Severity] < maxFindings {
			m.keep(key, f)
		}
	}
	for _, look := range n.later { // while its values are there; that this is a pickle is sure
		look()
	}
	m.valid += n.valid
	m.acted += n.acted
	m.denying = m.denying || n.denying
	switch {
	case end.err != nil:
		return end.err
	case !end.stopped:
		return broken(end.why)
	}
	m.in.seek(end.at)
	return nil
}

// count is the product of a shape.
func (m *machine) count(shape value) (int64, bool) {
	if shape.kind != isTuple || shape.n > 64 {
		return 0, false
	}
	product := int64(1)
	for i := range int(shape.n) {
		n := m.item(shape, i)
		if n.kind != isInt || n.off < 0 {
			return 0, false
		}
		high, low := bits.Mul64(uint64(product), uint64(n.off))
		if high != 0 || low > 1<<62 {
			return 0, false
		}
		product = int64(low)
	}
	return product, true
}

// dtype returns the size of an element, and whether it holds Python objects.
func (m *machine) dtype(v value) (size int64, objects, ok bool) {
	o := m.heap.get(v)
	if o == nil || o.shape != aCall || o.fn == 0 || m.globals[o.fn-1].name != "dtype" {
		return 0, false, false
	}
	code := strings.TrimLeft(m.short(m.item(o.args, 0)), "<>=|")
	if code == "" {
		return 0, false, false
	}
	if n, err := strconv.ParseInt(code[1:], 10, 40); err == nil {
		size = n
	}
	switch code[0] {
	case '?':
		size = 1
	case 'b', 'i', 'u', 'f', 'c', 'S', 'a', 'V', 'M', 'm':
	case 'U':
		size *= 4
	case 'O':
		objects = true
	default:
		return 0, false, false
	}
	if state, built := m.hasState(v); built && state.kind == isTuple {
		if elsize := m.item(state, 5); state.n > 5 && elsize.kind == isInt && elsize.off > 0 {
			size = elsize.off
		}
		if flags := m.item(state, 7); state.n > 7 && flags.kind == isInt && flags.off&1 != 0 {
			objects = true // NPY_ITEM_REFCOUNT
		}
	}
	return size, objects, size >= 0
}

// joblibFile judges the older wrapper, whose array is a file beside this one
// that joblib loads with allow_pickle.
func (m *machine) joblibFile(state value) {
	name, _ := m.field(state, "filename")
	if file := m.short(name); !name.isString() || file == "" || strings.ContainsAny(file, `/\:`) {
		m.report(ruleOutside, m.show(name, 0))
	}
}

// The header of joblib's oldest compressed files (numpy_pickle_compat.py,
// read_zfile): "ZF" and the length in hexadecimal, filled up with spaces.
const (
	zfilePrefix = "ZF"
	zfileHeader = len(zfilePrefix) + len("0x10000000000000000")
)

func claimZfile(f *scan.File) bool { return f.HasPrefix(zfilePrefix + "0x") }

func scanZfile(p *scan.Place, f *scan.File) error {
	head, err := f.Head()
	if err != nil {
		return err
	}
	if len(head) < zfileHeader+2 {
		return scan.ErrOther
	}
	length, err := strconv.ParseUint(strings.TrimSpace(string(head[len(zfilePrefix):zfileHeader])), 0, 64)
	if err != nil {
		return scan.ErrOther
	}
	at := int64(zfileHeader)
	if head[at] == ' ' { // Python 2 wrote one more
		at++
	}
	packed := f.Section(at, f.Size()-at)
	content, err := p.Unpack(func() (io.Reader, error) {
		return zlib.NewReader(io.NewSectionReader(packed, 0, packed.Size()))
	}, packed.Size(), scan.CostInflate)
	if errors.Is(err, zlib.ErrHeader) && content == nil {
		return scan.ErrOther
	}
	if content != nil && !p.Inside("", -1, content) {
		p.Report(ruleCarrier, scan.At(at), fmt.Sprintf("%d bytes, unpacked", content.Size()))
	}
	switch {
	case errors.Is(err, scan.ErrBomb):
		return nil
	case err != nil:
		return err
	case content.Size() != int64(length):
		p.Report(ruleBroken, scan.At(0), fmt.Sprintf("%d bytes are announced, %d are there", length, content.Size()))
	}
	return nil
}
