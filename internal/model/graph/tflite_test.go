package graph

import (
	"encoding/binary"
	"slices"
	"strings"
	"testing"

	"github.com/apexlogic/apex/internal/model/scan"
)

// fb is a table of a FlatBuffer: values by field. A value is int8, int32,
// uint64, string, []int32, fb or []fb.
type fb map[int]any

// write appends the table and what it refers to, and returns where it is.
func (t fb) write(b []byte) ([]byte, int) {
	keys := make([]int, 0, len(t))
	for k := range t {
		keys = append(keys, k)
	}
	slices.Sort(keys)
	last := -1
	if len(keys) > 0 {
		last = keys[len(keys)-1]
	}
	for len(b)%8 != 0 {
		b = append(b, 0)
	}
	vtable := len(b)
	b = binary.LittleEndian.AppendUint16(b, uint16(4+2*(last+1)))
	b = append(b, make([]byte, 2+2*(last+1))...)
	for len(b)%8 != 4 {
		b = append(b, 0)
	}
	at := len(b)
	b = binary.LittleEndian.AppendUint32(b, uint32(at-vtable))
	place := map[int]int{}
	for _, k := range keys {
		place[k] = len(b)
		binary.LittleEndian.PutUint16(b[vtable+4+2*k:], uint16(len(b)-at))
		switch v := t[k].(type) {
		case int8:
			b = append(b, byte(v), 0, 0, 0)
		case int32:
			b = binary.LittleEndian.AppendUint32(b, uint32(v))
		case uint64:
			b = binary.LittleEndian.AppendUint64(b, v)
		default:
			b = append(b, 0, 0, 0, 0)
		}
	}
	binary.LittleEndian.PutUint16(b[vtable+2:], uint16(len(b)-at))
	for _, k := range keys {
		to := (len(b) + 3) &^ 3
		switch v := t[k].(type) {
		case string:
			b = append(b, make([]byte, to-len(b))...)
			b = binary.LittleEndian.AppendUint32(b, uint32(len(v)))
			b = append(append(b, v...), 0)
		case []int32:
			b = append(b, make([]byte, to-len(b))...)
			b = binary.LittleEndian.AppendUint32(b, uint32(len(v)))
			for _, n := range v {
				b = binary.LittleEndian.AppendUint32(b, uint32(n))
			}
		case []fb:
			b = append(b, make([]byte, to-len(b))...)
			b = binary.LittleEndian.AppendUint32(b, uint32(len(v)))
			b = append(b, make([]byte, 4*len(v))...)
			for i, inner := range v {
				var where int
				b, where = inner.write(b)
				binary.LittleEndian.PutUint32(b[to+4+4*i:], uint32(where-to-4-4*i))
			}
		default:
			continue
		}
		binary.LittleEndian.PutUint32(b[place[k]:], uint32(to-place[k]))
	}
	return b, at
}

func tfl(model fb) []byte {
	b, at := model.write([]byte("\x00\x00\x00\x00TFL3"))
	binary.LittleEndian.PutUint32(b, uint32(at))
	return b
}

// tflModel is a model with one operator of each code.
func tflModel(codes []fb, options ...string) fb {
	var operators []fb
	for i := range codes {
		o := fb{operatorCode: int32(i), operatorInputs: []int32{0, -1}, operatorOutputs: []int32{1}}
		if i < len(options) {
			o[operatorOptions] = options[i]
		}
		operators = append(operators, o)
	}
	return fb{
		tfliteVersion: int32(3), tfliteCodes: codes, tfliteDescription: "MLIR Converted.",
		tfliteBuffers: []fb{{}, {bufferData: strings.Repeat("\x01", 64)}, {bufferData: "2.15.0"}},
		tfliteSubgraphs: []fb{{graphInputs: []int32{0}, graphOutputs: []int32{1}, graphOperators: operators, graphTensors: []fb{
			{tensorShape: []int32{1, 16}, tensorType: int8(0), tensorBuffer: int32(1), tensorName: "w"},
			{tensorShape: []int32{1}, tensorBuffer: int32(0), tensorName: "y"}}}},
		tfliteMetadata: []fb{{0: "min_runtime_version", 1: int32(2)}},
	}
}

func builtin(code int) fb   { return fb{codeOld: int8(min(code, 127)), codeBuiltin: int32(code)} }
func custom(name string) fb { return fb{codeOld: int8(32), codeCustom: name, codeBuiltin: int32(32)} }
func flexOp(name string) fb { return custom("Flex" + name) }

// flexVector is a FlexBuffer: a vector of two strings, with lengths of four bytes.
func flexVector(words ...string) string {
	var b []byte
	var at []int
	for _, w := range words {
		b = binary.LittleEndian.AppendUint32(b, uint32(len(w)))
		at = append(at, len(b))
		b = append(append(b, w...), 0)
	}
	b = binary.LittleEndian.AppendUint32(b, uint32(len(words)))
	start := len(b)
	for _, a := range at {
		b = binary.LittleEndian.AppendUint32(b, uint32(len(b)-a))
	}
	for range words {
		b = append(b, 5<<2|2)
	}
	return string(append(b, byte(len(b)-start), 10<<2|2, 1))
}

func TestTFLite(t *testing.T) {
	flex := func(name string, node pb) []byte {
		return tfl(tflModel([]fb{builtin(3), flexOp(name)}, "", flexVector(name, string(node))))
	}
	edit := func(do func(fb)) []byte {
		m := tflModel([]fb{builtin(3)})
		do(m)
		return tfl(m)
	}
	operator := func(m fb) fb { return m[tfliteSubgraphs].([]fb)[0][graphOperators].([]fb)[0] }
	const clean, extension = "clean", "clean tflite.op.extension"
	for name, c := range map[string]struct {
		content []byte
		want    string
	}{
		"ReadFile through Flex":                {flex("ReadFile", tfNode("x", "ReadFile")), "malicious tensorflow.op.file tflite.op.extension"},
		"WriteFile through Flex":               {flex("WriteFile", tfNode("x", "WriteFile")), "malicious tensorflow.op.file tflite.op.extension"},
		"PyFunc through Flex":                  {flex("EagerPyFunc", tfNode("x", "EagerPyFunc")), "malicious tensorflow.op.python tflite.op.extension"},
		"WriteFile in the node of an Add":      {flex("AddV2", tfNode("x", "WriteFile")), "malicious tensorflow.op.file tflite.op.extension"},
		"PrintV2 to a file through Flex":       {flex("PrintV2", tfNode("x", "PrintV2").with(tfAttr{"output_stream", pb{}.str(2, "file:///x")})), "malicious tensorflow.op.print tflite.op.extension"},
		"a Flex operator that nobody knows":    {flex("RunAll", tfNode("x", "RunAll")), "suspicious tensorflow.op.custom tflite.op.extension"},
		"a Flex operator without its node":     {tfl(tflModel([]fb{flexOp("AddV2")})), "unscannable tflite.broken tflite.op.extension"},
		"a Flex operator":                      {flex("AddV2", tfNode("x", "AddV2")), extension},
		"a custom operator":                    {tfl(tflModel([]fb{custom("EvilOp")})), "suspicious tflite.op.custom"},
		"a custom operator without a name":     {tfl(tflModel([]fb{custom("")})), "suspicious tflite.op.custom"},
		"a custom operator in the new field":   {tfl(tflModel([]fb{{codeBuiltin: int32(32), codeCustom: "EvilOp"}})), "suspicious tflite.op.custom"},
		"a custom operator in the old field":   {tfl(tflModel([]fb{{codeOld: int8(32), codeCustom: "EvilOp"}})), "suspicious tflite.op.custom"},
		"object detection":                     {tfl(tflModel([]fb{builtin(3), custom("TFLite_Detection_PostProcess")})), extension},
		"an Edge TPU":                          {tfl(tflModel([]fb{custom("edgetpu-custom-op")})), extension},
		"a name that a builtin does not need":  {tfl(tflModel([]fb{{codeOld: int8(3), codeCustom: "EvilOp"}})), clean},
		"builtin operators, old and new":       {tfl(tflModel([]fb{builtin(0), builtin(3), builtin(150)})), clean},
		"a zip of labels behind the model":     {append(tfl(tflModel([]fb{builtin(3)})), "PK\x05\x06................"...), clean},
		"a code that is not there":             {edit(func(m fb) { operator(m)[operatorCode] = int32(9) }), "suspicious tflite.index"},
		"a tensor that is not there":           {edit(func(m fb) { operator(m)[operatorInputs] = []int32{7} }), "suspicious tflite.index"},
		"a tensor before the first":            {edit(func(m fb) { operator(m)[operatorOutputs] = []int32{-2} }), "suspicious tflite.index"},
		"a buffer that is not there":           {edit(func(m fb) { m[tfliteSubgraphs].([]fb)[0][graphTensors].([]fb)[1][tensorBuffer] = int32(99) }), "suspicious tflite.index"},
		"metadata in no buffer":                {edit(func(m fb) { m[tfliteMetadata] = []fb{{0: "x", 1: int32(44)}} }), "suspicious tflite.index"},
		"a buffer behind the model":            {append(edit(func(m fb) { m[tfliteBuffers].([]fb)[1] = fb{bufferOffset: uint64(900), bufferSize: uint64(64)} }), make([]byte, 1000)...), clean},
		"a buffer behind the end":              {edit(func(m fb) { m[tfliteBuffers].([]fb)[1] = fb{bufferOffset: uint64(1 << 40), bufferSize: uint64(64)} }), "unscannable tflite.broken"},
		"a custom operator, and then cut off":  {tfl(tflModel([]fb{custom("EvilOp")}))[:260], "suspicious tflite.op.custom tflite.broken"},
		"a root outside of the file":           {[]byte("\xff\xff\xff\x7fTFL3........................"), "unscannable tflite.broken"},
		"a root whose layout is before it all": {[]byte("\x08\x00\x00\x00TFL3\x00\x00\x00\x70........................"), "unscannable tflite.broken"},
	} {
		t.Run(name, func(t *testing.T) { checkOutcome(t, examine(t.Context(), c.content), c.want) })
	}
}

func TestTFLiteTellsItsTensors(t *testing.T) {
	content := tfl(tflModel([]fb{builtin(3)}))
	res := examine(t.Context(), content)
	if len(res.Tensors) != 1 {
		t.Fatalf("got %v", res.Tensors)
	}
	w := res.Tensors[0]
	if w.Name != "w" || w.DType != "F32" || !slices.Equal(w.Shape, []int64{1, 16}) || string(content[w.Offset:w.Offset+w.Size]) != strings.Repeat("\x01", 64) {
		t.Errorf("got %+v", w)
	}
}

func TestATFLiteThatEndsEarlyIsNeverClean(t *testing.T) {
	content := tfl(tflModel([]fb{builtin(3)}))
	for _, cut := range prefixes(content)[8:] {
		if res := checkSane(t, cut); res.Verdict == scan.Clean && len(cut) < len(content)-24 {
			t.Errorf("%d of %d bytes are clean", len(cut), len(content))
		}
	}
}

func FuzzTFLite(f *testing.F) {
	f.Add(tfl(tflModel([]fb{builtin(3), custom("EvilOp"), flexOp("ReadFile")}, "", "", flexVector("ReadFile", string(tfNode("x", "ReadFile"))))))
	f.Add(tfl(tflModel([]fb{builtin(150)})))
	f.Fuzz(func(t *testing.T, b []byte) { checkSane(t, b) })
}

func FuzzFlexStrings(f *testing.F) {
	f.Add([]byte(flexVector("AddV2", "x")))
	f.Fuzz(func(t *testing.T, b []byte) {
		if words, ok := flexStrings(b); ok && len(words) > 64 {
			t.Errorf("%d words", len(words))
		}
	})
}
