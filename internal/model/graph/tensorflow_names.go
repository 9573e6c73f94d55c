package graph

import (
	"strings"
	"sync"
)

// TensorFlow registers some 1,600 operators. They come in families, versions
// and gradients, so names are judged by their parts: an operator that is in no
// family is not TensorFlow's, and runs only when a library brings it. A name
// that only looks like one of a family is refused by TensorFlow itself.

// tensorflowFamilies are what names of operators begin with.
const tensorflowFamilies = `
Accumulator Adjust Anonymous Apply Assign AudioS AvgPool Barrier Batch Bessel Bitwise BlockLSTM BoostedTrees Broadcast
CSRSparse CSV CTC CheckNumerics Cholesky Collective CompositeTensorVariant ComputeDedup ConcatV Conditional
ConfigureTPU ConfigureAndInit ConfigureDistr Conv2D Conv3D ConvertTo CropAndResize CudnnRNN DTensor DataFormat DataService Dataset DebugGradient
DecodeA DecodeB DecodeC DecodeG DecodeI DecodeJ DecodePadded DecodePng DecodeProto DecodeR DecodeW Delete DenseTo Depthwise Deserialize Dilation2D
DrawBoundingBoxes Dummy DynamicEnqueueTPU EncodeBase EncodeJpeg EncodeP EncodeW EnqueueTPU ExtractGlimpse ExtractI
ExtractJ ExtractV FFT FIFOQueue FakeQuant FinalizeTPU FractionalAvg FractionalMax FusedBatchNorm FusedPad FusedResize
GRUBlock Gather GetMinibatch GetSession HashTable IFFT IRFFT ImageProjective Infeed InitializeTable Inplace IsBoosted
Iterator KMC Kmeans LSTMBlock LoadAllTPU LoadTPUEmbedding Logical LookupTable MapStage MapUnstage Matrix MaxPool
MergeSummary MultiDeviceIterator MutableDense MutableHash Mutex Nccl NonMaxSuppression Optional OrderedMap Outfeed
PaddingFIFO ParallelConcat ParallelDynamic ParseExample ParseSequence ParseSingle Prelinearize PriorityQueue Quantize
Queue RFFT Ragged RandomC RandomG RandomI RandomP RandomS RandomU RandomD Reader RefE RefI RefM RefN RefS Requant
ResizeA ResizeB ResizeN ResourceA ResourceC ResourceG ResourceS RetrieveAllTPU RetrieveTPUEmbedding Risc Rng
SampleDistorted ScaleAndTranslate Scatter Sdca Segment SelfAdjoint SerializeI SerializeM SerializeS SerializeT Snapshot
SparseA SparseB SparseC SparseD SparseF SparseM SparseR SparseS SparseT SpaceTo StackC StackP Stateful StatelessC
StatelessI StatelessM StatelessP StatelessR StatelessS StatelessT StatelessW StaticRegex StatsAggregator StringF
StringJ StringL StringN StringS StringT StringU SummaryW TPU TakeManySparse TensorArray TensorList TensorMap
TensorScatter TensorStrided TensorSummary TridiagonalM TridiagonalS Unicode Uniform UnsortedSegment WriteAudio
WriteGraph WriteHistogram WriteImage WriteRaw WriteScalar WriteSummary Xla`

// tensorflowOperators are the others, without version and gradient.
const tensorflowOperators = `
Abort Abs AccumulateN Acos Acosh Add AddManySparseToTensorsMap AddN AddSparseToTensorsMap All AllCandidateSampler
AllToAll Angle Any ApproxTopK ApproximateEqual ArgMax ArgMin AsString Asin Asinh Assert AssertCardinalityDataset Atan Atan2
Atanh BandedTriangularSolve Betainc BiasAdd Bincount Bitcast Bucketize Case Cast Ceil CheckPinned ClipByValue
CloseSummaryWriter CollateTPUEmbeddingMemory CombinedNonMaxSuppression Complex ComplexAbs CompressElement
ComputeAccidentalHits ComputeBatchSize Concat ConcatOffset Conj ConjugateTranspose ConnectTPUEmbeddingHosts Const
ConsumeMutexLock ControlTrigger Conv Copy CopyHost CopyToMesh Cos Cosh CountUpTo CreateSummaryDbWriter
CreateSummaryFileWriter Cross CrossReplicaSum Cumprod Cumsum CumulativeLogsumexp Dawsn DeepCopy DenseBincount
DenseCountSparseOutput DepthToSpace Dequantize DestroyResourceOp DestroyTemporaryVariable DeviceIndex Diag DiagPart
Digamma DisableCopyOnRead DistributedSave Div DivNoNan DynamicPartition DynamicStitch EditDistance Eig Einsum Elu Empty
EmptyTensorList EmptyTensorMap EncodeProto EnsureShape Enter Equal Erf Erfc Erfinv EuclideanNorm
ExecuteTPUEmbeddingPartitioner Exit Exp ExpandDims Expint Expm1 Fact FakeParam FakeQueue FileSystemSetConfiguration Fill
Fingerprint FixedLengthRecordReader FixedUnigramCandidateSampler Floor FloorDiv FloorMod FlushSummaryWriter For FresnelCos
FresnelSin GenerateBoundingBoxProposals GenerateVocabRemapping GetElementAtIndex GetOptions
GetStatsFromListOfSparseCoreCooTensors GetTpuTaskId GlobalIterId Greater GreaterEqual GuaranteeConst HSVToRGB
HistogramFixedWidth HistogramSummary HostConst Identity IdentityN IdentityReader If Igamma IgammaGradA Igammac Imag
ImageSummary ImmutableConst ImportEvent InTopK Inv Invert InvertPermutation IsFinite IsInf IsNan IsTPUEmbeddingInitialized
IsVariableInitialized IsotonicRegression KthOrderStatistic L2Loss LMDBReader LRN LeakyRelu LearnedUnigramCandidateSampler
LeftShift Less LessEqual Lgamma LinSpace ListDiff LoadAndRemapMatrix Log Log1p LogMatrixDeterminant LogSoftmax
LogUniformCandidateSampler LoopCond LowerBound Lu MakeIterator MakeUnique MapClear MapDefun MapIncompleteSize MapPeek
MapSize MatMul Max Maximum Mean Merge MergeDedupData MergeV2Checkpoints Mfcc Min Minimum MirrorPad MlirPassthroughOp Mod
Mul MulNoNan Multinomial Ndtri NearestNeighbors Neg NegTrain NextAfter NextIteration NoOp NonDeterministicInts NotEqual
NthElement OneHot OneShotIterator OnesLike Pack Pad ParameterizedTruncatedNormal PartitionedCall Placeholder
PlaceholderWithDefault Polygamma PopulationCount Pow PreventGradient Print Prod Qr RGBToHSV Range Rank ReadVariableOp
ReadVariableXlaSplitND Real RealDiv Reciprocal RecordInput Recv RecvTPUEmbeddingActivations ReduceJoin RegexFullMatch
RegexReplace RegisterDataset Relayout RelayoutLike Relu Relu6 RemoteCall Reshape Restore RestoreSlice Reverse
ReverseSequence RightShift Rint Roll Round Rsqrt Save SaveSlices ScalarSummary Select Selu Send SendTPUEmbeddingGradients
SetSize Shape ShapeN ShardedFilename ShardedFilespec ShutdownDistributedTPU ShutdownTPUSystem Sigmoid Sign Sin Sinh Size
Skipgram Slice SobolSample Softmax SoftmaxCrossEntropyWithLogits Softplus Softsign SortListOfSparseCoreCooTensors Spence
Split SplitDedupData Sqrt Square SquaredDifference Squeeze Stack Stage StageClear StagePeek StageSize StochasticCastToInt
StopGradient StoreMinibatchStatisticsInFdo StridedSlice StridedSliceAssign Sub Substr Sum Svd Switch SymbolicGradient
SyncDevice TFRecordReader Tan Tanh TemporaryVariable TextLineReader ThreadPoolHandle ThreadUnsafeUnigramCandidateSampler
Tile Timestamp ToBool TopK TopKUnique TopKWithUnique TpuHandleToProtoKey Transpose TruncateDiv TruncateMod TruncatedNormal
Unbatch UncompressElement Unique UniqueWithCounts Unpack UnravelIndex Unstage UnwrapDatasetVariant
UpdateTaskIdAndGlobalCoreArray UpperBound VarHandleOp VarIsInitializedOp Variable VariableShape Where While
WholeFileReader WindowOp WorkerHeartbeat WrapDatasetVariant Xdivy Xlog1py Xlogy ZerosLike Zeta ParseTensor SplitV
SparseSoftmaxCrossEntropyWithLogits DebugIdentity DebugNanCount DebugNumericSummary
TRTEngineOp CreateTRTResourceHandle InitializeTRTResource SerializeTRTResource GetCalibrationDataOp
IgniteDataset RemoteFusedGraphExecute BigQueryReader GenerateBigQueryReaderPartitions`

// tensorflowExtensions are what the operators of published packages begin
// with: TensorFlow Text, SentencePiece, Decision Forests, Addons, I/O,
// Recommenders, Horovod, TensorFlow Quantum and MLIR's own.
const tensorflowExtensions = `
Addons> IO> TFText> TFRA> Text> Sentencepiece Sentencize SimpleML CaseFoldUTF8 NormalizeUTF8 ConstrainedSequence
MaxSpanningTree RegexSplit RougeL SentenceFragments SplitMerge UnicodeScriptTokenize WhitespaceTokenize Wordpiece
FastWordpiece FastBert FastSentencepiece Wordshape MstTree Utf8Binarize ByteSplit Phrase BoiseTags TrimmerO RoundRobin
Horovod Tfq TfText TensorFlowDecisionForests Edgetpu Neuron _Habana Struct2Tensor DecodeProtoSparse Tft Kafka
TensorForestTree DecisionTree GenerateVocab UnicodeErrors`

type tensorflowLists struct {
	families   map[byte][]string // by their first letter
	operators  map[string]bool
	extensions []string
}

var tensorflowNames = sync.OnceValue(func() *tensorflowLists {
	lists := &tensorflowLists{families: map[byte][]string{}, operators: nameSet(tensorflowOperators), extensions: strings.Fields(tensorflowExtensions)}
	for _, family := range strings.Fields(tensorflowFamilies) {
		lists.families[family[0]] = append(lists.families[family[0]], family)
	}
	return lists
})

// operatorKind is what is known of an operator of TensorFlow.
type operatorKind uint8

const (
	operatorUnknown operatorKind = iota
	operatorBuiltin
	operatorExtension
)

func tensorflowOperator(name string) operatorKind {
	lists := tensorflowNames()
	base := strings.TrimPrefix(name, "Experimental")
	base = withoutVersion(base)
	if lists.operators[base] || strings.HasSuffix(base, "Dataset") || strings.HasSuffix(base, "DatasetReader") ||
		strings.HasPrefix(name, "_") { // the runtime's own, which it writes when it optimizes
		return operatorBuiltin
	}
	for grad := base; ; {
		next, ok := cutGradient(grad)
		if !ok {
			break
		}
		if grad = withoutVersion(next); lists.operators[grad] {
			return operatorBuiltin
		}
	}
	if base != "" {
		for _, family := range lists.families[base[0]] {
			if strings.HasPrefix(base, family) {
				return operatorBuiltin
			}
		}
	}
	for _, extension := range lists.extensions {
		if strings.HasPrefix(name, extension) {
			return operatorExtension
		}
	}
	return operatorUnknown
}

func cutGradient(name string) (string, bool) {
	for _, end := range [...]string{"Gradient", "Grad"} {
		if rest, ok := strings.CutSuffix(name, end); ok && rest != "" {
			return rest, true
		}
	}
	return name, false
}

// withoutVersion cuts off "V2" and "v2".
func withoutVersion(name string) string {
	digits := strings.TrimRight(name, "0123456789")
	if len(digits) < len(name) && len(digits) > 1 && digits[len(digits)-1]|0x20 == 'v' {
		return digits[:len(digits)-1]
	}
	return name
}
