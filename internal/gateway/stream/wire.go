package stream

import (
	"bytes"
	"crypto/sha256"
	"slices"
	"strconv"
	"strings"
	"unicode/utf8"

	"google.golang.org/protobuf/encoding/protowire"

	"github.com/apexlogic/apex/internal/media"
	"github.com/apexlogic/apex/internal/media/body"
	"github.com/apexlogic/apex/verdict"
)

// message is the table of a protobuf message: what its fields are.
type message map[protowire.Number]field

// field is one row of it.
type field struct {
	name string
	is   fieldKind
	of   message // of a part, a tensor
	many bool
	// datatypes whose elements the field holds.
	datatypes string
}

// fieldKind is what a field holds. Strings are controls, texts or names by what
// they do, as in the tables of JSON.
type fieldKind uint8

const (
	ofNumber fieldKind = iota // varint
	ofDouble
	ofControl
	ofText
	ofModel
	ofVersion
	ofParameter // its name
	ofPart      // a message
	ofTensor
	ofShape
	ofDatatype
	ofVarints // elements
	ofFixed32
	ofFixed64
	ofBytes
	ofRaw // all bytes of a tensor, in the order of the tensors
)

// wireOf is how a kind is written.
func wireOf(k fieldKind) protowire.Type {
	switch k {
	case ofNumber, ofShape, ofVarints:
		return protowire.VarintType
	case ofDouble, ofFixed64:
		return protowire.Fixed64Type
	case ofFixed32:
		return protowire.Fixed32Type
	}
	return protowire.BytesType
}

// Bounds of a message beside its bytes.
const (
	maxFields     = 100_000 // of all parts together
	maxDimensions = 16
	// ownLanes is how many elements of a tensor are followed from message to message
	// by themselves; what is beyond is followed together.
	ownLanes = 8
)

// fields reads protobuf messages by their tables, and looks at what they hold. A
// field that the table does not have is refused: nobody could say what it is.
// So is a singular field that comes twice, of which readers take either.
type fields struct {
	judge   *judge
	path    []byte
	count   int
	tensors []tensor
	raws    [][]byte
	told    body.Body // for who judges messages as a whole
}

type tensor struct {
	where, name, datatype string
	shape                 []int64
	count                 int64    // elements in typed fields
	held                  string   // the datatypes of the field that they are in; "" when there are none
	elements              [][]byte // of BYTES
}

func (f *fields) read(table message, data []byte) error {
	f.told = body.Body{Length: int64(len(data)), Texts: f.told.Texts[:0], Controls: f.told.Controls[:0], Parts: f.told.Parts[:0]}
	f.path, f.count, f.tensors, f.raws = f.path[:0], 0, f.tensors[:0], f.raws[:0]
	if err := f.message(table, data, nil); err != nil {
		return err
	}
	if err := f.finish(); err != nil {
		return err
	}
	return f.judge.tell(&f.told)
}

func (f *fields) refuse(code verdict.Code, what string) error {
	return cut(code, "a message: %s: %s", f.path, what)
}

// message reads one message; t is the tensor that it is a part of.
func (f *fields) message(table message, data []byte, t *tensor) error {
	var seen uint64 // numbers of the tables are below 64
	var indexes [64]int32
	base := len(f.path)
	for len(data) > 0 {
		number, kind, n := protowire.ConsumeTag(data)
		if n < 0 {
			return f.refuse(verdict.StreamInvalid, "this is no protobuf message")
		}
		data = data[n:]
		row, known := table[number]
		if !known {
			return f.refuse(verdict.StreamInvalid, "the protocol has no field "+strconv.Itoa(int(number)))
		}
		if f.count++; f.count > maxFields {
			return f.refuse(verdict.StreamLimit, "there are more fields than "+strconv.Itoa(maxFields))
		}
		f.path = append(append(f.path[:base], '/'), row.name...)
		bit := uint64(1) << number
		if seen&bit != 0 && !row.many {
			return f.refuse(verdict.StreamInvalid, "the field comes twice: readers differ in which of the two counts")
		}
		seen |= bit
		packed := row.many && kind == protowire.BytesType && wireOf(row.is) != protowire.BytesType
		if kind != wireOf(row.is) && !packed {
			return f.refuse(verdict.StreamInvalid, "the field is not written as the protocol says")
		}
		if row.many && !packed {
			f.path = append(f.path, '/')
			f.path = strconv.AppendInt(f.path, int64(indexes[number]), 10)
			indexes[number]++
		}
		var value []byte
		if kind == protowire.BytesType {
			if value, n = protowire.ConsumeBytes(data); n < 0 {
				return f.refuse(verdict.StreamInvalid, "the field is longer than the message")
			}
		} else if n = protowire.ConsumeFieldValue(number, kind, data); n < 0 {
			return f.refuse(verdict.StreamInvalid, "the field ends too early")
		} else {
			value = data[:n]
		}
		data = data[n:]
		if err := f.field(row, value, t); err != nil {
			return err
		}
	}
	f.path = f.path[:base]
	return nil
}

// field takes one value.
func (f *fields) field(row field, value []byte, t *tensor) error {
	j := f.judge
	switch row.is {
	case ofNumber, ofDouble:
		return nil
	case ofPart:
		return f.message(row.of, value, t)
	case ofTensor:
		f.tensors = append(f.tensors, tensor{where: string(f.path)})
		if len(f.tensors) > j.limits.Parts {
			return f.refuse(verdict.StreamLimit, "there are too many tensors")
		}
		return f.message(row.of, value, &f.tensors[len(f.tensors)-1])
	case ofRaw:
		if f.raws = append(f.raws, value); len(f.raws) > j.limits.Parts {
			return f.refuse(verdict.StreamLimit, "there are too many tensors")
		}
		return nil
	case ofShape:
		return f.shape(value, t)
	case ofVarints, ofFixed32, ofFixed64, ofBytes:
		return f.elements(row, value, t)
	}
	if !utf8.Valid(value) {
		return f.refuse(verdict.StreamInvalid, "a string is not UTF-8")
	}
	switch {
	case row.is == ofParameter && string(value) == "shared_memory_region": // of Triton
		return f.refuse(verdict.BodyOutside, "it names what the message does not hold, which nobody has looked at")
	case row.is == ofDatatype && t != nil:
		t.datatype = string(value)
	case row.name == "name" && t != nil:
		t.name = string(value)
	case row.is == ofModel && j.o.Model != nil:
		if err := j.refused(j.o.Model(string(value))); err != nil {
			return err
		}
	}
	j.sum.Text += int64(len(value))
	where := string(f.path)
	switch {
	case j.o.Message == nil:
	case row.is == ofText:
		f.told.Texts = append(f.told.Texts, media.Text{Where: where, Value: value})
	case row.is == ofModel:
		f.told.Model = string(value)
		f.told.Controls = append(f.told.Controls, media.Text{Where: where, Value: value})
	case row.is == ofVersion:
		f.told.Version = string(value)
		fallthrough
	default:
		f.told.Controls = append(f.told.Controls, media.Text{Where: where, Value: value})
	}
	return j.windows.judge(where, "", "", value)
}

func (f *fields) shape(value []byte, t *tensor) error {
	for len(value) > 0 {
		n, size := protowire.ConsumeVarint(value)
		if size < 0 {
			return f.refuse(verdict.StreamInvalid, "the field ends too early")
		}
		value = value[size:]
		if t == nil {
			continue
		}
		if t.shape = append(t.shape, int64(n)); len(t.shape) > maxDimensions {
			return f.refuse(verdict.TensorShape, "a shape has too many dimensions")
		}
	}
	return nil
}

// elements counts the elements in a typed field.
func (f *fields) elements(row field, value []byte, t *tensor) error {
	if t == nil {
		return f.refuse(verdict.StreamInvalid, "elements stand outside of a tensor")
	}
	n := int64(1)
	switch row.is {
	case ofBytes:
		t.elements = append(t.elements, value)
	case ofVarints:
		n = 0
		for _, c := range value {
			if c < 0x80 {
				n++
			}
		}
		if len(value) > 0 && value[len(value)-1] >= 0x80 {
			return f.refuse(verdict.StreamInvalid, "the field ends too early")
		}
	default:
		width := 4
		if row.is == ofFixed64 {
			width = 8
		}
		if len(value)%width != 0 {
			return f.refuse(verdict.StreamInvalid, "the field ends too early")
		}
		n = int64(len(value) / width)
	}
	if n == 0 {
		return nil
	}
	if t.held != "" && t.held != row.datatypes {
		return f.refuse(verdict.TensorShape, "a tensor has its elements in one field, not in two")
	}
	t.held = row.datatypes
	t.count += n
	return nil
}

// finish compares what the tensors declare with what is there, and looks at the
// elements that are text or content.
func (f *fields) finish() error {
	if len(f.raws) > 0 && len(f.raws) != len(f.tensors) {
		return cut(verdict.TensorShape, "a message: %d tensors have %d raw contents", len(f.tensors), len(f.raws))
	}
	for i := range f.tensors {
		var raw []byte
		if len(f.raws) > 0 {
			raw = f.raws[i]
		}
		if err := f.tensor(&f.tensors[i], raw, len(f.raws) > 0); err != nil {
			return err
		}
	}
	return nil
}

func (f *fields) tensor(t *tensor, raw []byte, isRaw bool) error {
	j := f.judge
	f.path = append(f.path[:0], t.where...)
	width, known := body.Width(t.datatype)
	if !known {
		return f.refuse(verdict.TensorShape, "a tensor has no datatype of the Open Inference Protocol")
	}
	want, ok := body.Elements(t.shape)
	if !ok || want > j.limits.Elements {
		return f.refuse(verdict.TensorShape, "a tensor's shape is none, or has too many elements")
	}
	part := media.Part{Kind: media.Tensor, Where: t.where, Shape: t.shape, Datatype: t.datatype, Bytes: want * width}
	switch {
	case t.held != "" && !slices.Contains(strings.Fields(t.held), t.datatype):
		return f.refuse(verdict.TensorShape, "the elements are not in the field of the tensor's datatype")
	case isRaw && t.held != "":
		return f.refuse(verdict.TensorShape, "a tensor has its elements in one place, not in two")
	case isRaw && width == 0:
		if err := f.split(t, raw, want); err != nil {
			return err
		}
		fallthrough
	case isRaw:
		if width > 0 && int64(len(raw)) != part.Bytes {
			return f.refuse(verdict.TensorShape, "a tensor has "+strconv.Itoa(len(raw))+" bytes, its shape and datatype say "+strconv.FormatInt(part.Bytes, 10))
		}
		part.Bytes, part.Digest = int64(len(raw)), sha256.Sum256(raw)
	case t.count != want:
		return f.refuse(verdict.TensorShape, "a tensor has "+strconv.FormatInt(t.count, 10)+" elements, its shape says "+strconv.FormatInt(want, 10))
	}
	for i, e := range t.elements {
		if err := f.element(t, i, e); err != nil {
			return err
		}
	}
	return f.part(part)
}

// part hands a part on, and keeps it for who judges the message.
func (f *fields) part(p media.Part) error {
	if f.judge.o.Message != nil {
		f.told.Parts = append(f.told.Parts, p)
	}
	return f.judge.part(p)
}

// split reads the elements of a raw BYTES tensor: each with its length in four
// bytes before it.
func (f *fields) split(t *tensor, raw []byte, want int64) error {
	for range want {
		if len(raw) < 4 {
			return f.refuse(verdict.TensorShape, "a tensor ends before its last element")
		}
		v, _ := protowire.ConsumeFixed32(raw) // little endian
		if n := int64(v); n > int64(len(raw)-4) {
			return f.refuse(verdict.TensorShape, "an element is longer than its tensor")
		}
		t.elements = append(t.elements, raw[4:4+v])
		raw = raw[4+v:]
	}
	if len(raw) > 0 {
		return f.refuse(verdict.TensorShape, "something follows the last element of a tensor")
	}
	return nil
}

// element looks at an element of a BYTES tensor: what is text is text, anything
// else is content.
func (f *fields) element(t *tensor, i int, e []byte) error {
	j := f.judge
	where := t.where + "/data/" + strconv.Itoa(i)
	if utf8.Valid(e) {
		j.sum.Text += int64(len(e))
		if j.o.Message != nil {
			f.told.Texts = append(f.told.Texts, media.Text{Where: where, Value: e})
		}
		return j.windows.judge(where, t.name, strconv.Itoa(min(i, ownLanes)), e)
	}
	if int64(len(e)) > j.limits.PartBytes {
		return f.refuse(verdict.StreamLimit, "a part is too long")
	}
	part, err := j.inspect(bytes.NewReader(e), where, "", &j.limits)
	if err != nil {
		return j.refused(err)
	}
	return f.part(part)
}
