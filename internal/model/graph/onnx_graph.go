package graph

import (
	"errors"
	"fmt"
	"math"
	"strconv"
	"strings"

	"google.golang.org/protobuf/encoding/protowire"

	"github.com/apexlogic/apex/internal/model/scan"
)

// graph looks at a GraphProto.
func (o *onnx) graph(m *message, f field, depth int) error {
	if depth > maxDepth {
		return o.tolerate(&broken{f.off, "graphs nested deeper than any runtime reads"})
	}
	return o.in(m, f, func(m *message, f field) error {
		if f.typ != protowire.BytesType {
			return nil
		}
		switch f.num {
		case 1:
			return o.node(m, f, depth)
		case 5:
			return o.tensor(m, f, true)
		case 11, 12: // input, output
			return o.value(m, f)
		case 15:
			return o.sparse(m, f)
		case 16:
			return o.metadata(m, f, false)
		}
		return nil
	})
}

// value looks at a ValueInfoProto, to know a graph without nodes.
func (o *onnx) value(m *message, f field) error {
	if o.evidence > 0 {
		return nil
	}
	named, typed := false, false
	err := m.sub(f).each(func(m *message, f field) (err error) {
		switch {
		case f.is(1, protowire.BytesType):
			var name string
			if name, err = m.text(f, maxName); err == nil {
				named = isName(name)
			}
		case f.is(2, protowire.BytesType):
			typed = m.sub(f).each(func(*message, field) error { return nil }) == nil && f.len() > 1
		}
		return err
	})
	if err == nil && named && typed {
		o.evidence++
	}
	return o.tolerate(err)
}

// isName says whether a name is one that people would give.
func isName(s string) bool {
	for i := range len(s) {
		if s[i] < ' ' || s[i] == 0x7f {
			return false
		}
	}
	return s != ""
}

// isOperatorName says whether a name has the form of an operator's.
func isOperatorName(s string) bool {
	if s == "" || len(s) >= maxName {
		return false
	}
	for i := range len(s) {
		switch c := s[i]; {
		case c|0x20 >= 'a' && c|0x20 <= 'z', c == '_':
		case i > 0 && (c >= '0' && c <= '9' || c == '.' || c == ':' || c == '-' || c == '>' || c == '/'):
		default:
			return false
		}
	}
	return true
}

// node looks at a NodeProto.
func (o *onnx) node(m *message, f field, depth int) error {
	var (
		op       operator
		context  field // the string ep_cache_context
		embedded = true
	)
	whole := true
	err := m.sub(f).each(func(m *message, f field) (err error) {
		if f.typ != protowire.BytesType {
			return nil
		}
		whole = whole && !f.cut
		if f.cut && f.num < 5 {
			return nil
		}
		switch f.num {
		case 4:
			op.name, err = m.text(f, maxName)
		case 7:
			op.domain, err = m.text(f, maxName)
		case 5:
			var name string
			if err = o.attribute(m, f, &name, depth); err == nil && strings.HasPrefix(name, "e") {
				err = o.contextAttribute(m, f, name, &context, &embedded)
			}
		case 9:
			err = o.metadata(m, f, false)
		}
		return err
	})
	if err == nil && whole && isOperatorName(op.name) {
		o.evidence++
	}
	if err := o.tolerate(err); err != nil {
		return err
	}
	if op.name == "EPContext" && !embedded && context.len() > 0 {
		path, err := m.text(context, longestPath)
		if err != nil {
			return err
		}
		if why := outside(path); why != "" {
			o.p.Report(ruleONNXEscape, scan.Op(context.off, "ep_cache_context"), fmt.Sprintf("the compiled graph is in %q: %s", path, why))
		}
	}
	if kind := onnxDomain(op.domain); kind == domainDefault && onnxOperatorSet()[op.name] ||
		kind == domainBuiltin && !isPythonOperator(op.name) {
		return nil
	}
	if _, known := o.unusual[op]; !known && len(o.unusual) < maxOperators && op.name != "" {
		o.unusual[op] = f.at
	}
	return nil
}

// contextAttribute picks out what says where a compiled graph is (ONNX
// Runtime's EPContext).
func (o *onnx) contextAttribute(m *message, f field, name string, context *field, embedded *bool) error {
	return o.in(m, f, func(_ *message, f field) error {
		switch {
		case name == "ep_cache_context" && f.is(4, protowire.BytesType):
			*context = f
		case name == "embed_mode" && f.is(3, protowire.VarintType):
			*embedded = f.val != 0
		}
		return nil
	})
}

// attribute looks at an AttributeProto and sets its name.
func (o *onnx) attribute(m *message, f field, name *string, depth int) error {
	return o.in(m, f, func(m *message, f field) (err error) {
		if f.typ != protowire.BytesType {
			return nil
		}
		switch f.num {
		case 1:
			*name, err = m.text(f, maxName)
		case 4, 9: // s, strings
			err = o.text(m, *name, f)
		case 5, 10: // t, tensors
			err = o.tensor(m, f, false)
		case 6, 11: // g, graphs
			err = o.graph(m, f, depth+1)
		case 22, 23: // sparse_tensor, sparse_tensors
			err = o.sparse(m, f)
		}
		return err
	})
}

func (o *onnx) sparse(m *message, f field) error {
	return o.in(m, f, func(m *message, f field) error {
		if f.is(1, protowire.BytesType) || f.is(2, protowire.BytesType) { // values, indices
			return o.tensor(m, f, false)
		}
		return nil
	})
}

// onnxTypes are the names of TensorProto.DataType.
var onnxTypes = [...]string{"", "F32", "U8", "I8", "U16", "I16", "I32", "I64", "STRING", "BOOL", "F16", "F64", "U32", "U64", "C64", "C128",
	"BF16", "F8_E4M3", "F8_E4M3FNUZ", "F8_E5M2", "F8_E5M2FNUZ", "U4", "I4", "F4_E2M1", "F8_E8M0", "U2", "I2"}

// tensor looks at a TensorProto. Its numbers are passed over.
func (o *onnx) tensor(m *message, f field, initializer bool) error {
	var (
		t        = scan.Tensor{Offset: -1}
		typ      uint64
		external externalData
		outer    = f
	)
	err := m.sub(f).each(func(m *message, f field) (err error) {
		switch {
		case f.is(1, protowire.VarintType):
			t.Shape = appendDim(t.Shape, f.val)
		case f.is(1, protowire.BytesType): // packed
			t.Shape, err = packedDims(m, f, t.Shape)
		case f.is(2, protowire.VarintType):
			typ = f.val
		case f.is(6, protowire.BytesType): // string_data
			err = o.strings.look(t.Name, f)
		case f.is(8, protowire.BytesType):
			t.Name, err = m.text(f, maxName)
		case f.is(9, protowire.BytesType):
			t.Offset, t.Size = f.off, f.len()
		case f.is(13, protowire.BytesType):
			err = o.externalEntry(m, f, &external)
		case f.is(14, protowire.VarintType):
			external.used = f.val == 1
		case f.is(16, protowire.BytesType):
			err = o.metadata(m, f, false)
		}
		return err
	})
	if err == nil && typ > 0 && typ < uint64(len(onnxTypes)) && (t.Name != "" && isName(t.Name) || len(t.Shape) > 0) {
		o.evidence++
	}
	if err := o.tolerate(err); err != nil {
		return err
	}
	if external.used && external.location == "" && external.entries > 0 {
		o.p.Report(ruleONNXRange, scan.Op(outer.at, t.Name), "the data is said to be in a file that has no name")
	}
	if external.offset > math.MaxInt64-external.length {
		o.p.Report(ruleONNXRange, scan.Op(outer.at, t.Name), fmt.Sprintf("offset %d and length %d overflow", external.offset, external.length))
	}
	if initializer && o.p.WantsTensors() {
		if typ < uint64(len(onnxTypes)) {
			t.DType = onnxTypes[typ]
		}
		if external.used {
			t.Offset, t.Size = -1, external.length
		}
		o.p.Tensor(t)
	}
	return nil
}

func appendDim(shape []int64, v uint64) []int64 {
	if len(shape) < maxDims {
		shape = append(shape, int64(v))
	}
	return shape
}

// packedDims reads packed varints.
func packedDims(m *message, f field, shape []int64) ([]int64, error) {
	b, err := m.s.peek(f.off, min(f.len(), maxDims*10))
	for err == nil && len(b) > 0 && len(shape) < maxDims {
		v, n := protowire.ConsumeVarint(b)
		if n < 0 {
			break
		}
		shape, b = appendDim(shape, v), b[n:]
	}
	return shape, err
}

// externalData is what a tensor says of the file that holds it.
type externalData struct {
	used           bool
	entries        int
	location       string
	offset, length int64
}

// memoryLocation is what ONNX Runtime calls data in its own memory.
const memoryLocation = "_ORT_MEM_ADDR_"

// externalEntry looks at one entry of external_data: every location counts,
// because loaders differ in which of several they take.
func (o *onnx) externalEntry(m *message, f field, external *externalData) error {
	key, value, err := m.sub(f).entry()
	if err != nil {
		return o.tolerate(err)
	}
	external.entries++
	where := scan.Op(f.at, "external_data."+key)
	text, err := m.text(value, longestPath)
	if err != nil {
		return err
	}
	switch key {
	case "location":
		external.location = text
		if value.len() > longestPath {
			o.p.Report(ruleONNXRange, where, "the name of the file with the data is longer than any system takes")
		}
		switch why := outside(text); {
		case strings.Contains(text, memoryLocation):
			o.p.Report(ruleONNXMemory, where, fmt.Sprintf("the data is at an address: %q", text))
		case why != "":
			o.p.Report(ruleONNXEscape, where, fmt.Sprintf("the data is in %q: %s", text, why))
		case text != "" && !o.locations[text] && len(o.locations) < maxLocations:
			o.locations[text] = true
			o.p.Report(ruleONNXExternal, where, fmt.Sprintf("weights are in the file %q", text))
		}
	case "offset":
		external.offset, err = o.externalNumber(key, text, where)
	case "length":
		external.length, err = o.externalNumber(key, text, where)
	default:
		if strings.HasPrefix(key, "_") {
			o.p.Report(ruleONNXKey, where, fmt.Sprintf("external data has the key %q", key))
		}
	}
	return err
}

// externalNumber reads a number as Python's int does, and says what no file
// can hold.
func (o *onnx) externalNumber(key, text string, where scan.Where) (int64, error) {
	const longest = 1 << 50 // a petabyte
	n, err := strconv.ParseInt(strings.ReplaceAll(strings.TrimSpace(text), "_", ""), 10, 64)
	switch {
	case errors.Is(err, strconv.ErrRange) || n < 0 || n > longest:
		o.p.Report(ruleONNXRange, where, fmt.Sprintf("the %s of external data is %s", key, text))
	case err != nil && text != "":
		return 0, o.tolerate(&broken{where.Offset, fmt.Sprintf("the %s of external data is %q, no number", key, text)})
	}
	return max(n, 0), nil
}
