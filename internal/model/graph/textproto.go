package graph

import (
	"errors"
	"fmt"
	"strings"

	"google.golang.org/protobuf/encoding/protowire"

	"github.com/apexlogic/apex/internal/model/scan"
)

var ruleText = &scan.Rule{ID: "graph.text", Severity: scan.Unreadable,
	Why: "Behind what cannot be parsed may stand anything.", Mend: "Have the model saved in the binary form."}

// Text is a SavedModel, a graph of TensorFlow or an ONNX model in protobuf's
// text format (saved_model.pbtxt, .textproto), which loaders take as they take
// the binary form. It is put into that form, as far as it is judged, and looked
// at as such. (protobuf.dev, text format language specification)
func Text() scan.Format {
	return scan.Format{Name: "graph-text", Claim: claimText, Scan: scanText, Rules: []*scan.Rule{ruleText, ruleRemote}}
}

const (
	maxText     = 24 << 20 // bytes
	maxTextDear = 4 << 20
	maxTextName = 64
	costText    = 8 // nanoseconds a byte, measured
)

// textField is a field that is put into the binary form.
type textField struct {
	num  protowire.Number
	kind string // the message's name in textFields; "s": a string, "n": a number
}

// textFields returns the fields of a message; those that are not listed are
// passed over.
func textFields(message string) map[string]textField {
	switch message {
	case "saved":
		return map[string]textField{"saved_model_schema_version": {1, "n"}, "meta_graphs": {2, "meta"}}
	case "meta":
		return map[string]textField{"meta_info_def": {1, "info"}, "graph_def": {2, "graph"}, "asset_file_def": {6, "asset"}}
	case "info":
		return map[string]textField{"tags": {4, "s"}, "tensorflow_version": {5, "s"}}
	case "asset":
		return map[string]textField{"filename": {2, "s"}}
	case "graph":
		return map[string]textField{"node": {1, "node"}, "library": {2, "library"}}
	case "library":
		return map[string]textField{"function": {1, "function"}}
	case "function":
		return map[string]textField{"signature": {1, "signature"}, "node_def": {3, "node"}}
	case "signature":
		return map[string]textField{"name": {1, "s"}}
	case "node":
		return map[string]textField{"name": {1, "s"}, "op": {2, "s"}, "input": {3, "s"}, "attr": {5, "attr"}}
	case "attr":
		return map[string]textField{"key": {1, "s"}, "value": {2, "value"}}
	case "value":
		return map[string]textField{"list": {1, "list"}, "s": {2, "s"}, "tensor": {8, "tensor"}}
	case "list":
		return map[string]textField{"s": {2, "s"}}
	case "tensor":
		return map[string]textField{"dtype": {1, "n"}, "string_val": {8, "s"}}
	case "onnx":
		return map[string]textField{"ir_version": {1, "n"}, "producer_name": {2, "s"}, "graph": {7, "onnx.graph"}, "opset_import": {8, "onnx.opset"},
			"metadata_props": {14, "onnx.entry"}, "training_info": {20, "onnx.training"}, "functions": {25, "onnx.function"}}
	case "onnx.opset":
		return map[string]textField{"domain": {1, "s"}, "version": {2, "n"}}
	case "onnx.entry":
		return map[string]textField{"key": {1, "s"}, "value": {2, "s"}}
	case "onnx.training":
		return map[string]textField{"initialization": {1, "onnx.graph"}, "algorithm": {2, "onnx.graph"}}
	case "onnx.function":
		return map[string]textField{"name": {1, "s"}, "node": {7, "onnx.node"}, "domain": {10, "s"}, "attribute_proto": {11, "onnx.attribute"}}
	case "onnx.graph":
		return map[string]textField{"node": {1, "onnx.node"}, "initializer": {5, "onnx.tensor"}, "sparse_initializer": {15, "onnx.sparse"}}
	case "onnx.node":
		return map[string]textField{"op_type": {4, "s"}, "attribute": {5, "onnx.attribute"}, "domain": {7, "s"}}
	case "onnx.attribute":
		return map[string]textField{"name": {1, "s"}, "i": {3, "n"}, "s": {4, "s"}, "t": {5, "onnx.tensor"}, "g": {6, "onnx.graph"}, "strings": {9, "s"},
			"tensors": {10, "onnx.tensor"}, "graphs": {11, "onnx.graph"}, "sparse_tensor": {22, "onnx.sparse"}, "sparse_tensors": {23, "onnx.sparse"}}
	case "onnx.sparse":
		return map[string]textField{"values": {1, "onnx.tensor"}, "indices": {2, "onnx.tensor"}}
	case "onnx.tensor":
		return map[string]textField{"dims": {1, "n"}, "data_type": {2, "n"}, "string_data": {6, "s"}, "name": {8, "s"},
			"external_data": {13, "onnx.entry"}, "data_location": {14, "n"}}
	}
	return nil
}

// textRoot says which message a file is that has a field at its top.
func textRoot(name string) string {
	switch name {
	case "meta_graphs", "saved_model_schema_version":
		return "saved"
	case "meta_info_def", "graph_def", "saver_def", "collection_def", "asset_file_def", "object_graph_def":
		return "meta"
	case "node", "library", "versions":
		return "graph"
	case "ir_version", "producer_name", "producer_version", "opset_import", "graph":
		return "onnx"
	}
	return ""
}

func claimText(file *scan.File) bool {
	head, err := file.Head()
	if err != nil {
		return false
	}
	t := text{b: head}
	name, ok := t.name()
	t.space()
	return ok && textRoot(name) != "" && t.at < len(head) && strings.IndexByte(":{<", head[t.at]) >= 0
}

func scanText(p *scan.Place, file *scan.File) error {
	switch {
	case file.IsDear() && file.Size() > maxTextDear:
		p.Report(ruleRemote, scan.Nowhere, errDear.Error())
		return nil
	case file.Size() > maxText:
		p.Report(ruleText, scan.Nowhere, fmt.Sprintf("the text is longer than %d MiB", maxText>>20))
		return nil
	}
	if err := p.Spend(scan.Cost(file.Size()) * costText); err != nil {
		return err
	}
	if _, err := p.Hold(3 * file.Size()); err != nil {
		return err
	}
	b, err := file.Read(0, file.Size())
	if err != nil {
		return err
	}
	t := text{b: b}
	name, _ := t.name()
	t.at = 0
	wire, err := t.message(nil, textRoot(name), 0)
	if len(wire) == 0 || !p.Inside("binary form", -1, scan.Bytes(wire)) {
		return scan.ErrOther
	}
	var bad *broken
	if errors.As(err, &bad) {
		p.Report(ruleText, scan.At(bad.at), bad.what)
	}
	return nil
}

// text is a reader of the text format.
type text struct {
	b  []byte
	at int
}

func (t *text) broken(what string) error { return &broken{int64(t.at), what} }

// space skips white space, comments and separators.
func (t *text) space() {
	for ; t.at < len(t.b); t.at++ {
		switch t.b[t.at] {
		case ' ', '\t', '\r', '\n', '\v', '\f', ',', ';':
		case '#':
			for t.at+1 < len(t.b) && t.b[t.at+1] != '\n' {
				t.at++
			}
		default:
			return
		}
	}
}

// peek returns the next character that means something, 0 at the end.
func (t *text) peek() byte {
	if t.space(); t.at < len(t.b) {
		return t.b[t.at]
	}
	return 0
}

func isWord(c byte) bool {
	return c|0x20 >= 'a' && c|0x20 <= 'z' || c >= '0' && c <= '9' || c == '_' || c == '.' || c == '-' || c == '+'
}

func (t *text) word() string {
	t.space()
	start := t.at
	for t.at < len(t.b) && isWord(t.b[t.at]) {
		t.at++
	}
	return string(t.b[start:t.at])
}

// name reads a field's name; one in brackets, an extension, has none.
func (t *text) name() (string, bool) {
	if t.peek() == '[' {
		for t.at < len(t.b) && t.b[t.at] != ']' {
			t.at++
		}
		t.at++
		return "", t.at <= len(t.b)
	}
	name := t.word()
	return name, name != "" && len(name) <= maxTextName
}

// message reads fields to the end of a message, and appends to wire what is
// judged of them. What was read before an error is returned beside it.
func (t *text) message(wire []byte, kind string, depth int) ([]byte, error) {
	if depth > maxDepth {
		return wire, t.broken("messages nested too deep")
	}
	fields := textFields(kind)
	for {
		switch c := t.peek(); {
		case c == 0 && t.at >= len(t.b):
			if depth > 0 {
				return wire, t.broken("a message that does not end")
			}
			return wire, nil
		case (c == '}' || c == '>') && depth > 0:
			t.at++
			return wire, nil
		}
		name, ok := t.name()
		if !ok {
			return wire, t.broken("no field begins")
		}
		colon := t.peek() == ':'
		if colon {
			t.at++
		}
		var err error
		if wire, err = t.values(wire, fields[name], colon, depth); err != nil {
			return wire, err
		}
	}
}

// values reads a value, or a list of them.
func (t *text) values(wire []byte, f textField, colon bool, depth int) ([]byte, error) {
	if t.peek() != '[' {
		return t.value(wire, f, colon, depth)
	}
	t.at++
	for t.peek() != ']' {
		var err error
		if wire, err = t.value(wire, f, colon, depth); err != nil {
			return wire, err
		}
	}
	t.at++
	return wire, nil
}

func (t *text) value(wire []byte, f textField, colon bool, depth int) ([]byte, error) {
	switch c := t.peek(); {
	case c == '{' || c == '<':
		t.at++
		kind := f.kind
		if kind == "s" || kind == "n" {
			kind, f.num = "", 0
		}
		inner, err := t.message(nil, kind, depth+1)
		if f.num > 0 {
			wire = protowire.AppendBytes(protowire.AppendTag(wire, f.num, protowire.BytesType), inner)
		}
		return wire, err
	case !colon:
		return wire, t.broken("a field without a value")
	case c == '"' || c == '\'':
		s, err := t.quoted()
		if f.kind == "s" {
			wire = protowire.AppendString(protowire.AppendTag(wire, f.num, protowire.BytesType), s)
		}
		return wire, err
	}
	word := t.word()
	if word == "" {
		return wire, t.broken("no value begins")
	}
	if f.kind == "n" {
		wire = protowire.AppendVarint(protowire.AppendTag(wire, f.num, protowire.VarintType), textNumber(word))
	}
	return wire, nil
}

// textNumber reads a number or the name of one.
func textNumber(word string) uint64 {
	switch word {
	case "DT_STRING":
		return 7
	case "EXTERNAL":
		return 1
	}
	var n uint64
	for _, c := range word {
		if c < '0' || c > '9' || n > 1<<50 {
			return 1
		}
		n = n*10 + uint64(c-'0')
	}
	return n
}

// quoted reads strings that stand one behind the other as one.
func (t *text) quoted() (string, error) {
	var s []byte
	for {
		end := t.peek()
		if end != '"' && end != '\'' {
			return string(s), nil
		}
		for t.at++; ; t.at++ {
			if t.at >= len(t.b) {
				return string(s), t.broken("a string that does not end")
			}
			c := t.b[t.at]
			if c == end {
				t.at++
				break
			}
			if c == '\\' {
				c = t.escape()
			}
			s = append(s, c)
		}
	}
}

// escape reads an escape, of which the last character is left. What is not
// ASCII, which no operator's name has, becomes '?'.
func (t *text) escape() byte {
	t.at++
	digits := func(base, most int) int {
		n := 0
		for i := 0; i < most && t.at+1 < len(t.b); i++ {
			d := strings.IndexByte("0123456789abcdefABCDEF", t.b[t.at+1])
			if d >= 16 {
				d -= 6
			}
			if d < 0 || d >= base {
				break
			}
			n, t.at = n*base+d, t.at+1
		}
		return n
	}
	if t.at >= len(t.b) {
		return '?'
	}
	switch c := t.b[t.at]; c {
	case 'n':
		return '\n'
	case 't':
		return '\t'
	case 'r':
		return '\r'
	case 'x', 'X':
		return byte(digits(16, 2))
	case '0', '1', '2', '3', '4', '5', '6', '7':
		t.at--
		return byte(digits(8, 3))
	case 'u', 'U':
		most := 4
		if c == 'U' {
			most = 8
		}
		if n := digits(16, most); n < 0x80 {
			return byte(n)
		}
		return '?'
	default:
		return c
	}
}
