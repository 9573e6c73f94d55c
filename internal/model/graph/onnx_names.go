package graph

import (
	"strings"
	"sync"
)

// newestOpset is the version of the default operator set that the list below
// is complete for.
const newestOpset = 25

// onnxOperators are the operators of the default domain, in all versions of it,
// with those that were experimental, and those that ONNX Runtime and exporters
// put there. (onnx: docs/Operators.md, docs/Changelog.md)
const onnxOperators = `
Abs Acos Acosh Add AffineGrid And ArgMax ArgMin Asin Asinh Atan Atanh Attention AveragePool BatchNormalization
Bernoulli BitCast BitShift BitwiseAnd BitwiseNot BitwiseOr BitwiseXor BlackmanWindow Cast CastLike Ceil Celu
CenterCropPad Clip Col2Im Compress Concat ConcatFromSequence Constant ConstantOfShape Conv ConvInteger ConvTranspose
Cos Cosh CumProd CumSum DFT DeformConv DepthToSpace DequantizeLinear Det Div Dropout DynamicQuantizeLinear Einsum Elu
Equal Erf Exp Expand EyeLike Flatten Floor GRU Gather GatherElements GatherND Gelu Gemm GlobalAveragePool
GlobalLpPool GlobalMaxPool Greater GreaterOrEqual GridSample GroupNormalization HammingWindow HannWindow HardSigmoid
HardSwish Hardmax Identity If ImageDecoder InstanceNormalization IsInf IsNaN LRN LSTM LayerNormalization LeakyRelu
Less LessOrEqual Log LogSoftmax Loop LpNormalization LpPool MatMul MatMulInteger Max MaxPool MaxRoiPool MaxUnpool
Mean MeanVarianceNormalization MelWeightMatrix Min Mish Mod Mul Multinomial Neg NegativeLogLikelihoodLoss
NonMaxSuppression NonZero Not OneHot Optional OptionalGetElement OptionalHasElement Or PRelu Pad Pow QLinearConv
QLinearMatMul QuantizeLinear RMSNormalization RNN RandomNormal RandomNormalLike RandomUniform RandomUniformLike Range
Reciprocal ReduceL1 ReduceL2 ReduceLogSum ReduceLogSumExp ReduceMax ReduceMean ReduceMin ReduceProd ReduceSum
ReduceSumSquare RegexFullMatch Relu Reshape Resize ReverseSequence RoiAlign RotaryEmbedding Round STFT Scan Scatter
ScatterElements ScatterND Selu SequenceAt SequenceConstruct SequenceEmpty SequenceErase SequenceInsert SequenceLength
SequenceMap Shape Shrink Sigmoid Sign Sin Sinh Size Slice Softmax SoftmaxCrossEntropyLoss Softplus Softsign
SpaceToDepth Split SplitToSequence Sqrt Squeeze StringConcat StringNormalizer StringSplit Sub Sum Swish Tan Tanh
TensorScatter TfIdfVectorizer ThresholdedRelu Tile TopK Transpose Trilu Unique Unsqueeze Upsample Where Xor
ATen Affine ConstantFill Crop DynamicSlice FC GRUUnit GivenTensorFill ImageScaler LpPoolV1 MeanVarianceNormalizationV1
ParametricSoftplus ScaledTanh SpatialBN Caffe2Op
MemcpyFromHost MemcpyToHost SimplifiedLayerNormalization LayerNorm FusedConv FusedGemm FusedMatMul BiasGelu FastGelu
SkipLayerNormalization EmbedLayerNormalization QuickGelu GroupQueryAttention MultiHeadAttention
CategoryMapper ArrayFeatureExtractor Binarizer DictVectorizer FeatureVectorizer Imputer LabelEncoder LinearClassifier
LinearRegressor Normalizer OneHotEncoder SVMClassifier SVMRegressor Scaler TreeEnsemble TreeEnsembleClassifier
TreeEnsembleRegressor ZipMap Gradient GraphCall Adam Adagrad Momentum`

var onnxOperatorSet = sync.OnceValue(func() map[string]bool { return nameSet(onnxOperators) })

func nameSet(names string) map[string]bool {
	all := strings.Fields(names)
	set := make(map[string]bool, len(all))
	for _, name := range all {
		set[name] = true
	}
	return set
}

// domainKind is what is known of an operator's domain.
type domainKind uint8

const (
	domainUnknown   domainKind = iota
	domainDefault              // the standard's own
	domainBuiltin              // runtimes bring it
	domainExtension            // a published extension, which is a library of its own
)

func onnxDomain(domain string) domainKind {
	switch domain {
	case "", "ai.onnx":
		return domainDefault
	case "ai.onnx.ml", "ai.onnx.training", "ai.onnx.preview", "ai.onnx.preview.training", "com.microsoft", "com.ms.internal.nhwc",
		"org.pytorch.aten", "org.pytorch.prim", "org.pytorch.caffe2", "org.pytorch._caffe2", "aten", "prim", "quantized", "onnxscript.atenlib":
		return domainBuiltin
	case "ai.onnx.contrib", "com.microsoft.extensions", "mmdeploy", "mmcv", "TRT", "trt", "trt.plugins", "trt.plugin", "tensorrt", "org.openvinotoolkit",
		"com.nvidia", "ai.groq", "ai.graphcore", "com.qti.aisw", "qti_aisw", "qti.aisw", "com.amd", "com.xilinx", "com.intel.ai", "com.ryzenai",
		"onnx.brevitas", "qonnx.custom_op.general", "finn.custom_op.general", "org.tensorflow", "ai.onnx.converters.tensorflow":
		return domainExtension
	}
	for _, prefix := range [...]string{"com.microsoft.", "com.ms.", "ai.onnx.preview.", "pkg.onnxscript.", "pkg.torch.", "pkg.transformers."} {
		if strings.HasPrefix(domain, prefix) {
			return domainBuiltin
		}
	}
	return domainUnknown
}

// isPythonOperator knows the operators by which a runtime that was built for it
// calls Python: ONNX Runtime's language interop and its training build, and the
// functions of onnxruntime-extensions.
func isPythonOperator(name string) bool {
	plain := strings.ToLower(strings.Trim(strings.ReplaceAll(name, "_", ""), " "))
	// the decorator of onnxruntime-extensions names an operator by its class,
	// with a number or a name behind it when there are several
	if strings.HasPrefix(plain, "pycustomop") || strings.HasPrefix(plain, "pythonop") {
		return true
	}
	switch plain {
	case "pyop", "pythonop", "pythonopgrad", "pythonoperator", "pycustomop", "pycustomopdef", "pythoncustomop", "pyfunc", "pythonfunc",
		"pythonfunction", "eagerpyfunc", "pycall", "pythoncall", "pyscript", "pythonscript", "pyexec", "pyeval":
		return true
	}
	return false
}

// contribOperators are the native operators of onnxruntime-extensions. Any
// other name in its domain is one under which Python code has registered a
// function (onnx_op). (onnxruntime-extensions: docs/custom_ops.md)
const contribOperators = `
StringConcat StringEqual StringHash StringHashFast StringToHashBucket StringToHashBucketFast StringJoin StringLength
StringLower StringUpper StringMapping StringRaggedTensorToDense StringRegexReplace StringRegexSplit
StringRegexSplitWithOffsets StringECMARegexReplace StringECMARegexSplitWithOffsets StringSlice StringSplit StringStrip
StringToVector VectorToString MaskedFill RaggedTensorToDense RaggedTensorToSparse SegmentExtraction SegmentSum
Inverse NegPos EpsilonScalar STFT StftNorm AudioDecoder MergeSignalSegments SplitSignalSegments
GaussianBlur ImageDecoder ImageReader DecodeImage EncodeImage DrawBoundingBoxes BlingFireSentenceBreaker
AddAdd AddAddAdd AddMul AddSharedInput MaskedScatterNDOfShape MulAdd MulMul MulMulMul MulMulSigmoid MulSharedInput
MulSigmoid MulSub NegXPlus1 ReplaceZero Rotary ScatterNDOfShape SubMul Transpose2DCastFP16 Transpose2DCastFP32
TriMatrix FastGelu PaddedAttention`

var contribOperatorSet = sync.OnceValue(func() map[string]bool { return nameSet(contribOperators) })

// isContrib says whether onnxruntime-extensions brings the operator. Of its
// tokenizers there are more with every release.
func isContrib(name string) bool {
	return contribOperatorSet()[name] || strings.HasSuffix(name, "Tokenizer") || strings.HasSuffix(name, "Detokenizer") ||
		strings.HasSuffix(name, "TokenizerDecoder") || strings.HasSuffix(name, "Decoder")
}

// trtPlugins are the plug-ins that TensorRT and its Model Optimizer bring,
// without "_TRT". Under the domains of plug-ins every other name is one of a
// library that somebody else wrote. (TensorRT: plugin/README.md)
const trtPlugins = `
BatchTile BatchedNMS BatchedNMSDynamic Clip CoordConvAC CropAndResize CropAndResizeDynamic
CustomEmbLayerNormPluginDynamic CustomFCPluginDynamic CustomGeluPluginDynamic CustomQKVToContextPluginDynamic
CustomSkipLayerNormPluginDynamic DecodeBbox3DPlugin DetectionLayer DisentangledAttention EfficientNMS
EfficientNMS_Explicit_TF EfficientNMS_Implicit_TF EfficientNMS_ONNX FlattenConcat GenerateDetection GridAnchor
GridAnchorRect GroupNorm GroupNormalizationPlugin InstanceNormalization LReLU LayerNorm ModulatedDeformConv2d
MultilevelCropAndResize MultilevelProposeROI MultiscaleDeformableAttnPlugin NMS NMSDynamic Normalize PillarScatterPlugin
PriorBox Proposal ProposalDynamic ProposalLayer PyramidROIAlign RPROI Region Reorg ReorgDynamic ResizeNearest ROIAlign
ROIAlignRotated ScatterElements ScatterND SeqLen2Spatial SingleStepLSTMPlugin SpecialSlice Split SplitGeLU VoxelGeneratorPlugin
fMHA_V2 fMHCA TRT_FP8QuantizeLinear TRT_FP8DequantizeLinear TRT_INT4QuantizeLinear TRT_INT4DequantizeLinear
TRT_FP4DynamicQuantize TRT_FP4QDQ TRT_MXFP8DynamicQuantize TRT_MXFP8QuantizeLinear TRT_MXFP8DequantizeLinear`

var trtPluginSet = sync.OnceValue(func() map[string]bool { return nameSet(trtPlugins) })

// isTRTPlugin says whether TensorRT brings the plug-in.
func isTRTPlugin(name string) bool { return trtPluginSet()[strings.TrimSuffix(name, "_TRT")] }

// isTRTDomain says whether operators of the domain are plug-ins of TensorRT,
// which looks for them in every library that is loaded.
func isTRTDomain(domain string) bool {
	switch domain {
	case "TRT", "trt", "trt.plugins", "trt.plugin", "tensorrt":
		return true
	}
	return false
}
