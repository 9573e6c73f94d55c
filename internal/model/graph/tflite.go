package graph

import (
	"fmt"
	"strings"

	"github.com/apexlogic/apex/internal/model/scan"
)

var (
	ruleTFLiteCustom = &scan.Rule{ID: "tflite.op.custom", Severity: scan.Doubtful,
		Why:  "TensorFlow Lite has no such operator: the model runs only with a library that brings it, and libraries run what they like.",
		Mend: "Have the model converted with built-in operators, or review the library and make an exception."}
	ruleTFLiteExtension = &scan.Rule{ID: "tflite.op.extension", Severity: scan.Note,
		Why: "The model needs an operator of a published extension, or TensorFlow's own through the Flex delegate.", Mend: "Install the extension from its maker only."}
	ruleTFLiteIndex = &scan.Rule{ID: "tflite.index", Severity: scan.Doubtful,
		Why:        "Interpreters that do not verify the model use the number as it is, and read or write outside of their memory.",
		Mend:       "Do not load the model; have it converted again.",
		References: []string{"CVE-2020-15211", "CVE-2020-15212", "CWE-787"}}
	ruleTFLiteBroken = &scan.Rule{ID: "tflite.broken", Severity: scan.Unreadable,
		Why: "The model says that it holds what is not in the file, so it was not read to its end.", Mend: "Have the model converted again."}
)

// TFLite is a model of TensorFlow Lite (LiteRT): a FlatBuffer with the
// identifier TFL3.
func TFLite() scan.Format {
	return scan.Format{Name: "tflite", Claim: claimTFLite, Scan: scanTFLite,
		Rules: append(tensorflowOpRules(), ruleTFLiteCustom, ruleTFLiteExtension, ruleTFLiteIndex, ruleTFLiteBroken, ruleRemote, ruleStrings)}
}

func claimTFLite(file *scan.File) bool {
	head, err := file.Head()
	return err == nil && len(head) >= 8 && string(head[4:8]) == "TFL3"
}

// Fields of the tables in schema.fbs.
const (
	tfliteVersion, tfliteCodes, tfliteSubgraphs, tfliteDescription, tfliteBuffers, tfliteMetadata = 0, 1, 2, 3, 4, 6
	codeOld, codeCustom, codeBuiltin                                                              = 0, 1, 3
	graphTensors, graphInputs, graphOutputs, graphOperators                                       = 0, 1, 2, 3
	tensorShape, tensorType, tensorBuffer, tensorName                                             = 0, 1, 2, 3
	operatorCode, operatorInputs, operatorOutputs, operatorOptions                                = 0, 1, 2, 5
	operatorLargeOffset, operatorLargeSize                                                        = 8, 9
	bufferData, bufferOffset, bufferSize                                                          = 0, 1, 2
	builtinCustom                                                                                 = 32
)

// Models have some tens of operators' codes, and some thousands of buffers.
const (
	maxCodes   = 1 << 16
	maxBuffers = 1 << 20
)

// tflite is the walk of one model.
type tflite struct {
	flat
	p        *scan.Place
	ops      *tensorflow // judges TensorFlow nodes in Flex operators
	flex     []bool      // by operator code
	buffers  []span      // where each is
	reported int
}

type span struct{ at, size int64 }

func scanTFLite(p *scan.Place, file *scan.File) error {
	s, err := newSource(p, file)
	if err != nil {
		return err
	}
	ops := &tensorflow{p: p, s: s, strings: embedded{s: s}, same: map[string]int{}, kinds: map[string]operatorKind{}}
	ops.fresh()
	t := &tflite{flat: flat{s}, p: p, ops: ops}
	return s.ended(t.model(), ruleTFLiteBroken)
}

func (t *tflite) model() error {
	at, err := t.follow(0)
	if err != nil {
		return err
	}
	root, err := t.table(at)
	if err != nil {
		return err
	}
	if version, err := t.number(root, tfliteVersion, 4); err != nil {
		return err
	} else if version > 0 {
		t.p.Property("framework", fmt.Sprintf("tflite %d", version))
	}
	if err := t.tables(root, tfliteCodes, t.code); err != nil {
		return err
	}
	if err := t.tables(root, tfliteBuffers, t.buffer); err != nil {
		return err
	}
	if err := t.tables(root, tfliteSubgraphs, t.subgraph); err != nil {
		return err
	}
	return t.tables(root, tfliteMetadata, func(_ int64, m flatTable) error {
		buffer, err := t.number(m, 1, 4)
		if err == nil && (buffer < 0 || buffer >= int64(len(t.buffers))) {
			t.index(m.at, fmt.Sprintf("metadata is in buffer %d of %d", buffer, len(t.buffers)))
		}
		return err
	})
}

// index reports a number that leads nowhere.
func (t *tflite) index(at int64, detail string) {
	if t.reported++; t.reported <= maxSame {
		t.p.Report(ruleTFLiteIndex, scan.At(at), detail)
	}
}

// code judges an operator code.
func (t *tflite) code(n int64, c flatTable) error {
	if n >= maxCodes {
		return &broken{c.at, "more operator codes than any model has"}
	}
	old, err := t.number(c, codeOld, 1)
	if err != nil {
		return err
	}
	builtin, err := t.number(c, codeBuiltin, 4)
	if err != nil {
		return err
	}
	name, err := t.text(c, codeCustom, maxName)
	if err != nil {
		return err
	}
	op, flex := strings.CutPrefix(name, "Flex")
	custom := max(old, builtin) == builtinCustom
	t.flex = append(t.flex, custom && flex)
	where := scan.Op(c.at, name)
	switch {
	case !custom: // the name means nothing
	case flex:
		t.p.Report(ruleTFLiteExtension, where, "TensorFlow's operator "+op+" is used through the Flex delegate")
		t.ops.flexOperator(op, where)
	case isTFLiteExtension(name):
		t.p.Report(ruleTFLiteExtension, where, "the operator "+name+" is of a published extension")
	default:
		t.p.Report(ruleTFLiteCustom, where, fmt.Sprintf("nothing defines the operator %q", name))
	}
	return nil
}

// flexOperator judges an operator of TensorFlow by its name.
func (t *tensorflow) flexOperator(op string, where scan.Where) {
	rule, what := dangerous(op)
	switch kind := tensorflowOperator(op); {
	case rule != nil:
		t.report(rule, where, op, "the operator "+op+" "+what)
	case kind == operatorExtension:
		t.report(ruleTFExtension, where, op, "the operator "+op+" is of a published extension")
	case kind == operatorUnknown:
		t.report(ruleTFCustom, where, op, "nothing defines the operator "+op)
	}
}

// isTFLiteExtension knows the custom operators of TensorFlow's own libraries,
// MediaPipe, accelerators and TensorFlow Text.
func isTFLiteExtension(name string) bool {
	switch name {
	case "TFLite_Detection_PostProcess", "edgetpu-custom-op", "ethos-u", "XC_OPS", "Convolution2DTransposeBias", "MaxPoolingWithArgmax2D",
		"MaxUnpooling2D", "MaxPoolWithArgmax", "MaxUnpool2D", "TransformTensor", "TransformTensorBilinear", "TransformLandmarks", "Landmarks2TransformMatrix",
		"Landmarks2TransformMatrixV2", "Resampler", "Mfcc", "AudioSpectrogram", "AudioMicrofrontend", "LayerNormLstm", "Predict", "ExtractFeatures",
		"Normalize", "NGrams", "NumericVerify", "RandomUniform", "RandomStandardNormal", "Multinomial", "HashtableV2", "HashTableV2", "HashtableLookupV2",
		"LookupTableFindV2", "DENSIFY", "RFFT2D", "IRFFT2D", "Roll", "Sign", "UnsortedSegmentProd", "GridSample", "SignalFramer", "SignalWindow", "SignalRfft",
		"SignalEnergy", "SignalFftAutoScale", "SignalFilterBank", "SignalFilterBankLog", "SignalFilterBankSpectralSubtraction", "SignalFilterBankSquareRoot",
		"SignalPCAN", "SignalStacker", "SignalOverlapAdd", "SignalIrfft", "SignalDelay", "CALL_ONCE", "odml.update_kv_cache", "odml.scaled_dot_product_attention",
		"AveragePool3D", "AvgPool3D", "Conv3D", "MaxPool3D", "Conv3DTranspose", "Dilation2D", "CropAndResize", "CombinedNonMaxSuppression", "NonMaxSuppression",
		"LSQQuant", "LceBconv2d", "LceBMaxPool2d", "LceQuantize", "LceDequantize", "VHK_OPS", "NEURON", "VsiNpu", "vsi-npu", "CopyOnRead", "DISPATCH_OP", "FLOAT_ROPE":
		return true
	}
	for _, prefix := range [...]string{"TFSentencepiece", "tftext:", "TFText>", "Sentencepiece", "Wordpiece", "WhitespaceTokenize", "FastWordpiece", "FastSentencepiece",
		"RaggedTensorTo", "aeq.", "odml.", "mtk-", "qti-", "MTKEXT"} {
		if strings.HasPrefix(name, prefix) {
			return true
		}
	}
	return false
}

// buffer notes where a buffer is: in the FlatBuffer, or behind it where that
// would be too long.
func (t *tflite) buffer(n int64, b flatTable) error {
	if n >= maxBuffers {
		return &broken{b.at, "more buffers than any model has"}
	}
	data, err := t.vector(b, bufferData, 1)
	if err != nil {
		return err
	}
	s := span{data.at, data.count}
	offset, err := t.number(b, bufferOffset, 8)
	if err != nil {
		return err
	}
	size, err := t.number(b, bufferSize, 8)
	if err != nil {
		return err
	}
	if offset > 1 { // 0 and 1 say that there is none
		if s = (span{offset, size}); offset > t.s.file.Size() || size > t.s.file.Size()-offset {
			return &broken{b.at, "a buffer is outside of the file"}
		}
	}
	if n%4096 == 0 {
		if _, err := t.p.Hold(4096 * 32); err != nil { // until the scan ends
			return err
		}
	}
	t.buffers = append(t.buffers, s)
	return nil
}

func (t *tflite) subgraph(_ int64, g flatTable) error {
	var tensors int64
	err := t.tables(g, graphTensors, func(_ int64, tensor flatTable) error {
		tensors++
		return t.tensor(tensor)
	})
	if err != nil {
		return err
	}
	for _, list := range [...]int{graphInputs, graphOutputs} {
		if err := t.tensorIndexes(g, list, tensors); err != nil {
			return err
		}
	}
	return t.tables(g, graphOperators, func(_ int64, o flatTable) error {
		code, err := t.number(o, operatorCode, 4)
		if err != nil {
			return err
		}
		if code < 0 || code >= int64(len(t.flex)) {
			t.index(o.at, fmt.Sprintf("an operator has code %d of %d", code, len(t.flex)))
			return nil
		}
		for _, list := range [...]int{operatorInputs, operatorOutputs} {
			if err := t.tensorIndexes(o, list, tensors); err != nil {
				return err
			}
		}
		if t.flex[code] {
			return t.flexNode(o)
		}
		return nil
	})
}

// tensorIndexes looks at numbers of tensors; -1 stands for none.
func (t *tflite) tensorIndexes(table flatTable, field int, tensors int64) error {
	v, err := t.vector(table, field, 4)
	if err != nil {
		return err
	}
	for n := range v.count {
		i, err := t.u32(v.at + 4*n)
		if err != nil {
			return err
		}
		if int64(int32(i)) < -1 || int64(int32(i)) >= tensors {
			t.index(v.at+4*n, fmt.Sprintf("tensor %d of %d is used", int32(i), tensors))
		}
	}
	return nil
}

// tfliteTypes are the names of TensorType.
var tfliteTypes = [...]string{"F32", "F16", "I32", "U8", "I64", "STRING", "BOOL", "I16", "C64", "I8", "F64", "C128", "U64", "RESOURCE", "VARIANT", "U32", "U16", "I4", "BF16"}

func (t *tflite) tensor(table flatTable) error {
	buffer, err := t.number(table, tensorBuffer, 4)
	if err != nil {
		return err
	}
	if buffer < 0 || buffer >= int64(len(t.buffers)) {
		t.index(table.at, fmt.Sprintf("a tensor is in buffer %d of %d", buffer, len(t.buffers)))
		return nil
	}
	if !t.p.WantsTensors() || t.buffers[buffer].size == 0 {
		return nil
	}
	tensor := scan.Tensor{Offset: t.buffers[buffer].at, Size: t.buffers[buffer].size}
	if tensor.Name, err = t.text(table, tensorName, maxName); err != nil {
		return err
	}
	typ, err := t.number(table, tensorType, 1)
	if err != nil {
		return err
	}
	if typ >= 0 && typ < int64(len(tfliteTypes)) {
		tensor.DType = tfliteTypes[typ]
	}
	shape, err := t.vector(table, tensorShape, 4)
	for n := range min(shape.count, maxDims) {
		dim, err := t.u32(shape.at + 4*n)
		if err != nil {
			return err
		}
		tensor.Shape = append(tensor.Shape, int64(int32(dim)))
	}
	t.p.Tensor(tensor)
	return err
}

// flexNode judges the TensorFlow node in the options of a Flex operator: that
// is what runs, whatever the operator is called.
func (t *tflite) flexNode(o flatTable) error {
	options, err := t.vector(o, operatorOptions, 1)
	if err != nil {
		return err
	}
	if options.count == 0 { // they may stand behind the FlatBuffer
		offset, err := t.number(o, operatorLargeOffset, 8)
		if err != nil {
			return err
		}
		size, err := t.number(o, operatorLargeSize, 8)
		if err != nil {
			return err
		}
		if offset > t.s.file.Size() || size > t.s.file.Size()-offset {
			return &broken{o.at, "the options of an operator are outside of the file"}
		}
		options = vector{offset, size}
	}
	if options.count > maxEmbedded {
		return &broken{o.at, "the node of a Flex operator is longer than any is"}
	}
	if err := t.s.spend(scan.Cost(options.count)); err != nil { // models may share them
		return err
	}
	b, err := t.s.peek(options.at, options.count)
	if err != nil {
		return err
	}
	words, ok := flexStrings(b)
	if !ok || len(words) < 2 {
		return &broken{options.at, "a Flex operator holds no node of TensorFlow"}
	}
	// The node is read as if it stood in a file of its own.
	ops, err := newSource(t.p, scan.Bytes([]byte(words[1])))
	if err != nil {
		return err
	}
	inner := &tensorflow{p: t.p, s: ops, strings: embedded{s: ops}, same: t.ops.same, kinds: t.ops.kinds, base: options.at}
	inner.fresh()
	var sinks []sink
	whole := ops.message()
	if err := inner.node(&whole, field{end: int64(len(words[1]))}, &sinks); err != nil {
		return err
	}
	inner.evidence++
	inner.judge()
	return nil
}
