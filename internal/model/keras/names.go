package keras

import (
	"slices"
	"strings"
	"sync"
)

// standing is what a name in a configuration stands for.
type standing uint8

const (
	ours       standing = iota // a part that models are made of
	custom                     // a class or function that the user must bring
	unexpected                 // a part of Keras that models are not made of
	unknown                    // in a module that could be anything
	reaching                   // a function of Keras that reaches out of the model
	foreign                    // Python, its library, or one that is installed beside Keras
)

// named says what (module, name) stands for. isFunction says that Keras was
// told that it is one; a class may turn out to be one as well. registered says
// that the name is one of the registry, "package>Name".
func named(module, name string, isFunction, registered bool) standing {
	if module == "" {
		return custom
	}
	// Keras joins module and name by a dot and looks that up as a whole.
	full := module + "." + name
	dot := strings.LastIndexByte(full, '.')
	parts, leaf := strings.Split(full[:dot], "."), full[dot+1:]
	if slices.Contains(parts, "") {
		return foreign
	}
	// TensorFlow has Keras in it.
	if parts[0] == "tensorflow" || parts[0] == "tf" {
		for i, part := range parts[1:min(len(parts), 5)] {
			if part == "keras" {
				parts = parts[1+i:]
				break
			}
		}
	}
	isFunction = isFunction || !isCapital(leaf)
	switch parts[0] {
	case "keras", "tf_keras", "keras_core":
		return inKeras(parts[1:], leaf, isFunction)
	case "keras_nlp", "keras_hub", "keras_cv", "keras_rs":
		return inSister(parts[1:], leaf, isFunction)
	case "builtins", "__builtin__", "__builtins__":
		return inBuiltins(parts[1:], leaf)
	case "__main__":
		return custom
	case "collections":
		if leaf == "OrderedDict" || leaf == "defaultdict" {
			return ours
		}
	}
	switch root := parts[0]; {
	case isStandard(root):
		return foreign
	case isModelLibrary(root) && !isFunction && !isFileOp(leaf):
		return custom // ops and layers of TensorFlow and of its add-ons
	case isModelLibrary(root) || isInstalled(root):
		return foreign
	case registered || strings.Contains(name, ">"):
		return custom
	}
	return unknown
}

func isCapital(name string) bool { return name != "" && name[0] >= 'A' && name[0] <= 'Z' }

// inKeras judges a name by the part of Keras it is in.
func inKeras(parts []string, leaf string, isFunction bool) standing {
	for len(parts) > 0 { // ways of spelling keras.
		switch parts[0] {
		case "src", "api", "_tf_keras", "keras", "_v1", "_v2", "v1", "v2", "legacy", "experimental", "legacy_tf_layers":
			parts = parts[1:]
			continue
		}
		break
	}
	area := ""
	if len(parts) > 0 {
		area = parts[0]
	}
	switch area {
	case "activations", "losses", "metrics", "initializers", "regularizers", "constraints", "ops", "random", "quantizers":
		switch leaf {
		case "get", "serialize", "deserialize", "keras_export":
			return reaching
		}
		return ours
	case "", "layers", "models", "engine", "optimizers", "dtype_policies", "mixed_precision", "trainers", "feature_column",
		"premade", "premade_models", "distillation", "preprocessing_layers", "integration", "optimizer_v2", "optimizer_v1":
		if !isFunction {
			return ours
		}
		switch leaf {
		case "add", "subtract", "multiply", "average", "maximum", "minimum", "concatenate", "dot":
			return ours
		}
		return reaching
	case "export": // TFSMLayer, which has its own rules
		if leaf == "TFSMLayer" && !isFunction {
			return ours
		}
	case "utils":
		switch leaf {
		case "FeatureSpace", "Feature", "Cross", "Crosser", "TFDIdentity", "TFDConcat", "TorchModuleWrapper", "TrackedDict", "TrackedList":
			if !isFunction {
				return ours
			}
		}
	case "applications":
		if leaf == "preprocess_input" {
			return ours
		}
	case "backend", "tree", "distribution":
		return unexpected
	}
	if isFunction {
		return reaching
	}
	return unexpected
}

// inSister judges names of the packages beside Keras: all of their classes are
// parts of models, few of their functions are.
func inSister(parts []string, leaf string, isFunction bool) standing {
	for _, part := range parts {
		switch part {
		case "utils", "saving", "config", "datasets", "callbacks":
			if isFunction {
				return reaching
			}
			return unexpected
		}
	}
	if !isFunction || strings.HasSuffix(leaf, "_initializer") || strings.HasSuffix(leaf, "activation") {
		return ours
	}
	return unexpected
}

// inBuiltins judges names of Python itself. Keras gives functions without a
// module of their own this one, so that most names are those of users.
func inBuiltins(parts []string, leaf string) standing {
	if len(parts) > 0 {
		return foreign
	}
	if builtins()[leaf] {
		return foreign
	}
	return custom
}

// builtins are Python's, but for those that only compute.
var builtins = table(`__import__ __build_class__ __loader__ __spec__ __doc__ __name__ __package__ __debug__
	eval exec compile open input raw_input getattr setattr delattr hasattr globals locals vars dir
	breakpoint memoryview help exit quit copyright credits license super type map filter iter next callable classmethod staticmethod
	property execfile file reload apply buffer intern print aiter anext`)

// isStandard says whether a module belongs to Python: all of them, by
// sys.stdlib_module_names of 3.8 to 3.14, and Python 2's old names.
func isStandard(root string) bool { return standard()[root] || strings.HasPrefix(root, "_") }

var standard = table(`abc aifc annotationlib antigravity argparse array ast asynchat asyncio asyncore atexit audioop base64 bdb binascii binhex
	bisect builtins bz2 cProfile calendar cgi cgitb chunk cmath cmd code codecs codeop collections colorsys compileall
	compression concurrent configparser contextlib contextvars copy copyreg crypt csv ctypes curses dataclasses datetime
	dbm decimal difflib dis distutils doctest dummy_threading email encodings ensurepip enum errno faulthandler fcntl filecmp
	fileinput fnmatch formatter fractions ftplib functools gc genericpath getopt getpass gettext glob graphlib grp gzip
	hashlib heapq hmac html http idlelib imaplib imghdr imp importlib inspect io ipaddress itertools json keyword
	lib2to3 linecache locale logging lzma mailbox mailcap marshal math mimetypes mmap modulefinder msilib msvcrt
	multiprocessing netrc nis nntplib nt ntpath nturl2path numbers opcode operator optparse os ossaudiodev parser
	pathlib pdb pickle pickletools pipes pkgutil platform plistlib poplib posix posixpath pprint profile pstats pty
	pwd py_compile pyclbr pydoc pydoc_data pyexpat queue quopri random re readline reprlib resource rlcompleter
	runpy sched secrets select selectors shelve shlex shutil signal site smtpd smtplib sndhdr socket
	socketserver spwd sqlite3 sre_compile sre_constants sre_parse ssl stat statistics string stringprep struct
	subprocess sunau symbol symtable sys sysconfig syslog tabnanny tarfile telnetlib tempfile termios test textwrap this
	threading time timeit tkinter token tokenize tomllib trace traceback tracemalloc tty turtle turtledemo types
	typing unicodedata unittest urllib uu uuid venv warnings wave weakref webbrowser winreg winsound wsgiref
	xdrlib xml xmlrpc zipapp zipfile zipimport zlib zoneinfo
	commands __builtin__ cPickle cStringIO StringIO copy_reg urllib2 urlparse httplib popen2 Queue`)

// isModelLibrary says whether a library brings layers for Keras.
func isModelLibrary(root string) bool { return modelLibraries()[root] }

var modelLibraries = table(`tensorflow tensorflow_addons tensorflow_hub tensorflow_probability tensorflow_recommenders
	tensorflow_recommenders_addons tensorflow_text tensorflow_model_optimization tensorflow_graphics tensorflow_decision_forests
	tensorflow_ranking tensorflow_similarity tensorflow_gnn tf tfp tfa official transformers keras_contrib keras_bert
	keras_transformer keras_tuner keras_retinanet keras_unet_collection keras_self_attention keras_layer_normalization
	keras_tcn tcn segmentation_models efficientnet vit_keras autokeras deepctr spektral stellargraph larq qkeras
	bayesflow kapre medmnist cyclegan flax jax gpflow deepface yolov8 classification_models attention`)

// isInstalled says whether a library stands beside Keras on many machines.
func isInstalled(root string) bool { return installed()[root] }

var installed = table(`IPython PIL absl accelerate aiohttp anyio apt attr boto3 botocore certifi cffi chardet click cloudpickle cryptography cv2
	cython dask datasets dill django docker fabric fastapi fickling filelock flask fsspec gast google grpc h5py httpx huggingface_hub idna
	invoke ipykernel ipywidgets jinja2 joblib jsonpickle jupyter keras_preprocessing lightgbm llvmlite lxml markdown
	matplotlib ml_dtypes mlflow mpmath namex nltk notebook numba numexpr numpy onnx onnxruntime opt_einsum optree optuna packaging pandas
	paramiko peft pexpect pip pkg_resources plumbum plotly polars protobuf psutil ptyprocess pyarrow pydantic pygments pytest
	pytz ray redis requests rich safetensors scipy seaborn sentencepiece setuptools sh six sklearn skimage sqlalchemy statsmodels
	streamlit sympy tblib tensorboard termcolor tokenizers toolz torch torchaudio torchvision tornado tqdm traitlets triton typer
	typing_extensions urllib3 uvicorn wandb websockets werkzeug wheel wrapt xgboost yaml zmq`)

// table makes a set of the words, when it is first asked for.
func table(words string) func() map[string]bool {
	return sync.OnceValue(func() map[string]bool {
		set := map[string]bool{}
		for word := range strings.FieldsSeq(words) {
			set[word] = true
		}
		return set
	})
}

// isKnownFunction says whether a function without a module is Keras's.
func isKnownFunction(name string) bool { return functions()[name] }

// functions are activations, losses and metrics, which Keras 2.13 to 3.6 say
// are in builtins.
var functions = table(`celu elu exponential gelu glu hard_shrink hard_sigmoid hard_silu hard_swish hard_tanh leaky_relu linear log_sigmoid log_softmax mish
	relu relu6 selu sigmoid silu soft_shrink softmax softplus softsign sparse_plus sparsemax squareplus swish tanh tanh_shrink threshold
	mse mae mape msle mean_squared_error mean_absolute_error mean_absolute_percentage_error mean_squared_logarithmic_error binary_crossentropy
	binary_focal_crossentropy categorical_crossentropy categorical_focal_crossentropy categorical_hinge cosine_similarity ctc dice hinge huber
	kl_divergence kld log_cosh logcosh poisson sparse_categorical_crossentropy squared_hinge tversky binary_accuracy categorical_accuracy
	sparse_categorical_accuracy top_k_categorical_accuracy sparse_top_k_categorical_accuracy accuracy`)

// isKnownClass says whether a class without a module is Keras's.
func isKnownClass(name string) bool { return classes()[name] || strings.HasPrefix(name, "__") }

// classes are what Keras 2 and 3 save without saying where they come from.
var classes = table(`Sequential Functional Model InputLayer Input Layer InputSpec TFOpLambda SlicingOpLambda TensorFlowOpLayer ClassMethod InstanceMethod InstanceProperty
	Activation ActivityRegularization Add AdditiveAttention AlphaDropout Attention AugMix AutoContrast Average AveragePooling1D AveragePooling2D
	AveragePooling3D AvgPool1D AvgPool2D AvgPool3D BatchNormalization BatchNormalizationV1 BatchNormalizationV2 SyncBatchNormalization Bidirectional CategoryEncoding
	CenterCrop Concatenate Conv1D Conv1DTranspose Conv2D Conv2DTranspose Conv3D Conv3DTranspose ConvLSTM1D ConvLSTM2D ConvLSTM3D
	Convolution1D Convolution2D Convolution3D Cropping1D Cropping2D Cropping3D CuDNNGRU CuDNNLSTM CutMix Dense DenseFeatures DepthwiseConv1D DepthwiseConv2D
	Discretization Dot Dropout ELU EinsumDense Embedding Equalization Flatten FlaxLayer GRU GRUCell GRUV2 GaussianDropout GaussianNoise GlobalAveragePooling1D
	GlobalAveragePooling2D GlobalAveragePooling3D GlobalAvgPool1D GlobalAvgPool2D GlobalAvgPool3D GlobalMaxPool1D GlobalMaxPool2D GlobalMaxPool3D
	GlobalMaxPooling1D GlobalMaxPooling2D GlobalMaxPooling3D GroupNormalization GroupQueryAttention HashedCrossing Hashing Highway Identity
	IntegerLookup JaxLayer LSTM LSTMCell LSTMV2 LayerNormalization LeakyReLU LocallyConnected1D LocallyConnected2D Masking MaxNumBoundingBoxes MaxPool1D MaxPool2D
	MaxPool3D MaxPooling1D MaxPooling2D MaxPooling3D Maximum MaxoutDense MelSpectrogram Minimum MixUp MultiHeadAttention Multiply Normalization PReLU Permute
	Pipeline RMSNormalization RNN RandAugment RandomBrightness RandomColorDegeneration RandomColorJitter RandomContrast RandomCrop RandomElasticTransform RandomErasing RandomFlip
	RandomGaussianBlur RandomGrayscale RandomHeight RandomHue RandomInvert RandomPerspective RandomPosterization RandomRotation RandomSaturation
	RandomSharpness RandomShear RandomTranslation RandomWidth RandomZoom ReLU RepeatVector Rescaling Reshape Resizing STFTSpectrogram
	SeparableConv1D SeparableConv2D SeparableConvolution1D SeparableConvolution2D SimpleRNN SimpleRNNCell Softmax Solarization SpatialDropout1D
	SpatialDropout2D SpatialDropout3D SpectralNormalization StackedRNNCells StringLookup Subtract TFSMLayer TextVectorization ThresholdedReLU TimeDistributed
	TorchModuleWrapper UnitNormalization UpSampling1D UpSampling2D UpSampling3D Wrapper ZeroPadding1D ZeroPadding2D ZeroPadding3D
	Constant GlorotNormal GlorotUniform HeNormal HeUniform IdentityInitializer LecunNormal LecunUniform Ones Orthogonal OrthogonalInitializer RandomNormal
	RandomUniform STFTInitializer TruncatedNormal VarianceScaling Zeros L1 L1L2 L2 OrthogonalRegularizer MaxNorm MinMaxNorm NonNeg RadialConstraint UnitNorm
	Adadelta Adafactor Adagrad Adam AdamW Adamax Ftrl Lamb Lion LossScaleOptimizer LossScaleOptimizerV1 LossScaleOptimizerV3 Muon Nadam RMSprop SGD CosineDecay CosineDecayRestarts ExponentialDecay
	InverseTimeDecay PiecewiseConstantDecay PolynomialDecay DTypePolicy FloatDTypePolicy QuantizedDTypePolicy Policy PolicyV1 DTypePolicyMap
	BinaryCrossentropy BinaryFocalCrossentropy CategoricalCrossentropy CategoricalFocalCrossentropy CategoricalGeneralizedCrossEntropy CategoricalHinge
	CosineSimilarity Dice Hinge Huber KLDivergence LogCosh MeanAbsoluteError MeanAbsolutePercentageError MeanSquaredError MeanSquaredLogarithmicError Poisson
	SparseCategoricalCrossentropy SquaredHinge Tversky AUC Accuracy BinaryAccuracy BinaryIoU CategoricalAccuracy F1Score FBetaScore FalseNegatives
	FalsePositives IoU LogCoshError Mean MeanIoU MeanMetricWrapper MeanRelativeError MeanTensor OneHotIoU OneHotMeanIoU Precision PrecisionAtRecall R2Score Recall RecallAtPrecision
	RootMeanSquaredError SensitivityAtSpecificity SparseCategoricalAccuracy SparseTopKCategoricalAccuracy SpecificityAtSensitivity Sum TopKCategoricalAccuracy
	TrueNegatives TruePositives TensorShape TypeSpec TensorSpec CompositeTensor`)
