package body

import (
	"encoding/binary"
	"strconv"
	"unicode/utf8"

	"github.com/apexlogic/apex/internal/media"
	"github.com/apexlogic/apex/verdict"
)

// tensorHead is what the JSON of a request says about one tensor.
type tensorHead struct {
	where    string
	shape    []int64
	datatype string
	count    int64 // of the elements that stand in the JSON
	binary   int64 // bytes that follow the JSON
	inJSON   bool
	inBinary bool
}

// widths are the bytes of an element by datatype; BYTES have their own length each.
var widths = map[string]int64{
	"BOOL": 1, "UINT8": 1, "INT8": 1, "UINT16": 2, "INT16": 2, "FP16": 2, "BF16": 2, "UINT32": 4, "INT32": 4, "FP32": 4,
	"UINT64": 8, "INT64": 8, "FP64": 8, "BYTES": 0,
}

const maxDimensions = 16

func (p *Parser) beginTensor() error {
	if len(p.tensors) >= p.limits.Parts {
		return p.refuse(verdict.BodyLimit, "the request has more than %d tensors", p.limits.Parts)
	}
	p.tensor = len(p.tensors)
	p.tensors = append(p.tensors, tensorHead{where: p.where()})
	return nil
}

// shape reads a list of whole numbers.
func (p *Parser) shape() error {
	t := &p.tensors[p.tensor]
	t.shape = make([]int64, 0, 4)
	p.at++
	p.space()
	if p.at < len(p.data) && p.data[p.at] == ']' {
		p.at++
		return nil
	}
	for {
		p.space()
		n, whole, err := p.number()
		if err != nil {
			return err
		}
		if !whole || n < 0 {
			return p.refuse(verdict.TensorShape, "a shape is a list of whole numbers that are not negative")
		}
		if len(t.shape) == maxDimensions {
			return p.refuse(verdict.TensorShape, "a shape has more than %d dimensions", maxDimensions)
		}
		t.shape = append(t.shape, n)
		p.space()
		if done, err := p.separator(']'); done || err != nil {
			return err
		}
	}
}

// elements reads the data of a tensor: numbers, truth values or strings, in one
// list or in lists of lists. They count against the elements of a tensor, not
// against the values of a document.
func (p *Parser) elements(depth int) error {
	if depth > p.limits.Depth {
		return p.refuse(verdict.BodyLimit, "values are nested more than %d deep", p.limits.Depth)
	}
	t := &p.tensors[p.tensor]
	p.at++
	p.space()
	if p.at < len(p.data) && p.data[p.at] == ']' {
		p.at++
		return nil
	}
	for {
		p.space()
		if p.at >= len(p.data) {
			return p.malformed("the document ends within a list")
		}
		var err error
		switch c := p.data[p.at]; {
		case c == '[':
			err = p.elements(depth + 1)
			t.count--
		case c == '"':
			var s []byte
			if s, err = p.text8(); err == nil {
				err = p.addText(s)
			}
		case c == 't':
			err = p.word("true")
		case c == 'f':
			err = p.word("false")
		default:
			_, _, err = p.number()
		}
		if err != nil {
			return err
		}
		if t.count++; t.count > p.limits.Elements {
			return p.refuse(verdict.BodyLimit, "a tensor has more than %d elements", p.limits.Elements)
		}
		p.space()
		if done, err := p.separator(']'); done || err != nil {
			return err
		}
	}
}

// finishTensors compares what was declared with what is there: in the JSON, or
// in rest, the bytes that follow it.
func (p *Parser) finishTensors(rest []byte) error {
	for i := range p.tensors {
		t := &p.tensors[i]
		refuse := func(format string, args ...any) error {
			return media.Refuse(verdict.TensorShape, t.where, format, args...)
		}
		width, known := widths[t.datatype]
		if !known {
			return refuse("a tensor has no datatype of the Open Inference Protocol")
		}
		want, fits := product(t.shape)
		if !fits || want > p.limits.Elements {
			return media.Refuse(verdict.BodyLimit, t.where, "a tensor has more than %d elements", p.limits.Elements)
		}
		part := media.Part{Kind: media.Tensor, Where: t.where, Shape: t.shape, Datatype: t.datatype}
		switch {
		case t.inJSON == t.inBinary:
			return refuse("a tensor has its data in the JSON or after it: one of the two")
		case t.inJSON:
			if t.count != want {
				return refuse("a tensor has %d elements, its shape says %d", t.count, want)
			}
			part.Bytes = want * width
		default:
			if t.binary < 0 || t.binary > int64(len(rest)) {
				return refuse("a tensor's binary data is longer than what follows the JSON")
			}
			content := rest[:t.binary]
			rest = rest[t.binary:]
			if width > 0 && t.binary != want*width {
				return refuse("a tensor has %d bytes, its shape and datatype say %d", t.binary, want*width)
			}
			part.Bytes, part.Digest = t.binary, digest(content)
			if width == 0 {
				if err := p.byteElements(t, content, want); err != nil {
					return err
				}
			}
		}
		if err := p.addPart(part); err != nil {
			return err
		}
	}
	if len(rest) > 0 {
		return p.refuse(verdict.TensorShape, "%d bytes follow the last tensor", len(rest))
	}
	return nil
}

// byteElements reads the elements of a BYTES tensor: each with its length in
// four bytes before it. What is text is text; anything else is content.
func (p *Parser) byteElements(t *tensorHead, data []byte, want int64) error {
	defer p.pop(len(p.path))
	for i := int64(0); i < want; i++ {
		if len(data) < 4 {
			return media.Refuse(verdict.TensorShape, t.where, "a tensor ends before its element %d", i)
		}
		n := int64(binary.LittleEndian.Uint32(data))
		if n > int64(len(data)-4) {
			return media.Refuse(verdict.TensorShape, t.where, "element %d of a tensor is longer than the tensor", i)
		}
		element := data[4 : 4+n]
		data = data[4+n:]
		p.path = append(append(p.path[:0], t.where...), "/data/"...)
		p.path = strconv.AppendInt(p.path, i, 10)
		if utf8.Valid(element) {
			if err := p.addText(element); err != nil {
				return err
			}
			continue
		}
		if n > p.limits.PartBytes {
			return p.refuse(verdict.BodyLimit, "a part has %d bytes, allowed are %d", n, p.limits.PartBytes)
		}
		if err := p.describe(media.InMemory(element), element, ""); err != nil {
			return err
		}
	}
	if len(data) > 0 {
		return media.Refuse(verdict.TensorShape, t.where, "%d bytes follow the last element of a tensor", len(data))
	}
	return nil
}

// Width returns the bytes of an element of a datatype of the Open Inference
// Protocol; 0 for BYTES, of which each has its own length, and false for a
// datatype that it does not have.
func Width(datatype string) (int64, bool) {
	width, known := widths[datatype]
	return width, known
}

// Elements returns how many elements a shape has; false when it is none.
func Elements(shape []int64) (int64, bool) {
	if len(shape) > maxDimensions {
		return 0, false
	}
	return product(shape)
}
