package pickle

import (
	"fmt"
	"strconv"
	"strings"

	"github.com/apexlogic/apex/internal/model/scan"
)

// tensor is a call of torch._utils._rebuild_tensor_v2 that was found.
type tensor struct {
	name    string
	storage string // its key
	dtype   string
	shape   []int64
	offset  int64 // elements
	size    int64 // bytes of an element
}

// inZip describes a tensor of a torch zip: its bytes stand in the member
// data/<key> beside the pickle. See [SplitName].
func (t *tensor) inZip() scan.Tensor {
	return scan.Tensor{Name: fmt.Sprintf("%s@data/%s+%d", t.name, t.storage, t.offset*t.size), DType: t.dtype, Shape: t.shape,
		Offset: -1, Size: t.bytes()}
}

// SplitName splits the name of a tensor that a torch zip's pickle names: the
// tensor, the member that holds its bytes relative to the pickle's directory
// ("data/0"), and the offset of its first byte in that member. ok is false for
// names without a member: of tensors whose Offset counts in their own file.
func SplitName(name string) (tensor, member string, offset int64, ok bool) {
	at := strings.LastIndex(name, "@data/")
	if at < 0 {
		return name, "", 0, false
	}
	member, digits, found := strings.Cut(name[at+1:], "+")
	offset, err := strconv.ParseInt(digits, 10, 64)
	if !found || err != nil {
		return name, "", 0, false
	}
	return name[:at], member, offset, true
}

func (t *tensor) bytes() int64 {
	n := t.size
	for _, d := range t.shape {
		if d < 0 || d > 0 && n > 1<<62/d {
			return -1
		}
		n *= d
	}
	return n
}

// rebuiltTensor judges torch._utils._rebuild_tensor and its successors: they
// take a storage, an offset, a size and a stride.
func (m *machine) rebuiltTensor(c call) (value, error) {
	storage := m.item(c.args, 0)
	if storage.kind == isGlobal || c.args.kind != isTuple || c.args.n < 4 {
		return m.doubt(c)
	}
	return value{}, nil
}

// storageTypes are torch's storages: the dtype and the bytes of an element.
var storageTypes = map[string]struct {
	dtype string
	size  int64
}{
	"FloatStorage": {"float32", 4}, "DoubleStorage": {"float64", 8}, "HalfStorage": {"float16", 2}, "BFloat16Storage": {"bfloat16", 2},
	"LongStorage": {"int64", 8}, "IntStorage": {"int32", 4}, "ShortStorage": {"int16", 2}, "CharStorage": {"int8", 1},
	"ByteStorage": {"uint8", 1}, "BoolStorage": {"bool", 1}, "ComplexFloatStorage": {"complex64", 8},
	"ComplexDoubleStorage": {"complex128", 16}, "QUInt8Storage": {"quint8", 1}, "QInt8Storage": {"qint8", 1},
	"QInt32Storage": {"qint32", 4}, "QUInt4x2Storage": {"quint4x2", 1}, "QUInt2x4Storage": {"quint2x4", 1},
	"UntypedStorage": {"uint8", 1}, "_UntypedStorage": {"uint8", 1},
}

// storage is what a persistent id says of one.
type storage struct {
	class string
	count int64 // elements
}

// storage returns the key of the storage that a persistent id stands for.
func (m *machine) storage(v value) (key string, s storage, ok bool) {
	id := value{kind: isTuple, n: v.n, off: v.off}
	if v.kind != isPersistent || v.n < 5 {
		return "", storage{}, false
	}
	g, imported := m.importOf(m.item(id, 1))
	if !imported {
		return "", storage{}, false
	}
	return m.short(m.item(id, 2)), storage{class: g.name, count: m.item(id, 4).off}, true
}

// Limits of the search for tensors.
const (
	tensorDepth = 64
	tensorNodes = 1 << 20
	tensorName  = 300
	costNode    = scan.Cost(200)
)

// tensors returns the tensors of what a stream made, named by the keys that
// lead to them, when they are wanted.
func (m *machine) tensors(top value) (found []tensor) {
	if !m.place.WantsTensors() {
		return nil
	}
	type node struct {
		v     value
		path  string
		depth int
	}
	visited := map[int64]bool{}
	todo := []node{{v: top}}
	for nodes := 0; len(todo) > 0 && nodes < tensorNodes; nodes++ {
		n := todo[len(todo)-1]
		todo = todo[:len(todo)-1]
		if m.place.Spend(costNode) != nil {
			return found
		}
		if n.depth > tensorDepth || n.v.kind != isTuple && n.v.kind != isObject {
			continue
		}
		var inner []node
		child := func(v value, key string) {
			if key != "" && n.path != "" && len(n.path)+len(key) < tensorName {
				key = n.path + "." + key
			} else if key == "" {
				key = n.path
			}
			inner = append(inner, node{v, key, n.depth + 1})
		}
		o := m.heap.get(n.v)
		if o != nil {
			if visited[n.v.off] {
				continue
			}
			visited[n.v.off] = true
		}
		items := m.of(n.v)
		switch {
		case o == nil:
			for i := range min(int(n.v.n), tensorNodes) {
				child(m.item(n.v, i), strconv.Itoa(i))
			}
		case o.shape == aList:
			for i, item := range items {
				child(item, strconv.Itoa(i))
			}
		case o.shape == aCall && o.fn > 0 && m.globals[o.fn-1].listed.rule == "tensor":
			if t, ok := m.tensor(o.args); ok {
				t.name = n.path
				found = append(found, t)
			}
		case o.shape == aCall || o.shape == aInstance || o.shape == aDict:
			for i := 0; i+1 < len(items); i += 2 {
				child(items[i+1], m.key(items[i]))
			}
			if o.shape == aCall && o.fn > 0 && strings.HasPrefix(m.globals[o.fn-1].module, "torch.") {
				child(m.item(o.args, 0), "") // a parameter of a tensor
			}
			if state, built := m.hasState(n.v); built {
				child(state, "")
			}
		}
		if m.place.Spend(costNode*scan.Cost(len(inner))) != nil {
			return found
		}
		for i := len(inner) - 1; i >= 0; i-- {
			todo = append(todo, inner[i])
		}
	}
	return found
}

// key is what a dict's key adds to a tensor's name. What holds the parts of a
// torch module adds nothing.
func (m *machine) key(v value) string {
	if v.kind == isInt {
		return strconv.FormatInt(v.off, 10)
	}
	switch key := m.short(v); key {
	case "_parameters", "_modules", "_buffers":
		return ""
	default:
		return key
	}
}

func (m *machine) tensor(args value) (t tensor, ok bool) {
	key, from, ok := m.storage(m.item(args, 0))
	if !ok {
		return t, false
	}
	kind := storageTypes[from.class]
	t.storage, t.dtype, t.size, t.offset = key, kind.dtype, kind.size, m.item(args, 1).off
	if dtype, imported := m.importOf(m.item(args, 6)); imported && args.n > 6 && dtype.module == "torch" { // _rebuild_tensor_v3
		t.dtype = dtype.name
		t.size = 1
		for _, known := range storageTypes {
			if known.dtype == dtype.name {
				t.size = known.size
			}
		}
	}
	shape := m.item(args, 2)
	if o := m.heap.get(shape); o != nil { // torch.Size
		shape = m.item(o.args, 0)
	}
	for i := range min(int(shape.n), 64) {
		t.shape = append(t.shape, m.item(shape, i).off)
	}
	return t, true
}
