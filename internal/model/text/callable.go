package text

import (
	"slices"
	"strings"
	"sync"
)

// trust is how far a dotted Python name may be imported and called because a
// document asks for it.
type trust uint8

const (
	listed   trust = iota // a class or function that configurations are for
	foreign               // a class that this list does not know
	unlisted              // a function, or a root, that this list does not know
	gadget                // runs, loads or writes what it is given, or may
)

// judgeCallable judges a dotted name by its exact parts: allowing a module
// would allow all that it imports (torch.os.system), so a name is allowed by
// the namespace that defines it and by the look of its last part.
func judgeCallable(name string) (trust, string) {
	name = strings.ReplaceAll(strings.TrimSpace(name), ":", ".")
	parts := strings.Split(name, ".")
	for i, part := range parts {
		if !isIdentifier(part) {
			return gadget, "is no dotted name"
		}
		if strings.HasPrefix(part, "__") {
			return gadget, "reaches for " + part
		}
		if i > 0 && isDangerousModule(part) && !(i == len(parts)-1 && isClassName(part)) {
			return gadget, "reaches the module " + part + " through another one"
		}
	}
	root, leaf := parts[0], parts[len(parts)-1]
	if isRunner(leaf) {
		return gadget, leaf + " runs or loads what it is given"
	}
	if len(parts) == 1 {
		if isClassName(leaf) {
			return foreign, "names no module"
		}
		if isPlainBuiltin(leaf) {
			return listed, ""
		}
		if isStandard(leaf) || isDangerousModule(leaf) {
			return gadget, "is a module of Python's"
		}
		return unlisted, "names no module"
	}
	if isStandard(root) || isDangerousModule(root) {
		if isPlainStandard(name) {
			return listed, ""
		}
		return gadget, "is in Python's standard library and not listed as harmless"
	}
	if isDangerousPackage(root) {
		return gadget, root + " runs programs, loads code or writes files"
	}
	for _, part := range parts[1 : len(parts)-1] {
		if strings.HasPrefix(part, "_") && !isKnownPrivate(part) {
			return gadget, "reaches into the private module " + part
		}
	}
	if strings.HasPrefix(leaf, "_") {
		return gadget, "is private"
	}
	if why := dangerousWithin(name); why != "" {
		return gadget, why
	}
	if isLibrary(root) {
		if isClassName(leaf) || inNamespace(name) {
			return listed, ""
		}
		if len(parts) >= 3 && isClassName(parts[len(parts)-2]) {
			return listed, "" // a class method such as from_pretrained
		}
		return unlisted, "is a function of " + root + " that is not listed as harmless"
	}
	if isClassName(leaf) || len(parts) >= 3 && isClassName(parts[len(parts)-2]) {
		return foreign, "is defined outside of the known libraries"
	}
	return unlisted, "is a function outside of the known libraries"
}

func isIdentifier(s string) bool {
	for i, c := range s {
		if c != '_' && !(c|0x20 >= 'a' && c|0x20 <= 'z') && c < 0x80 && !(i > 0 && c >= '0' && c <= '9') {
			return false
		}
	}
	return s != ""
}

// isClassName says whether a name is written like a class.
func isClassName(s string) bool {
	return s[0] >= 'A' && s[0] <= 'Z'
}

// isRunner says whether a function of that name, whoever defines it, runs or
// loads what it is given.
func isRunner(leaf string) bool {
	switch leaf {
	case "system", "popen", "Popen", "exec", "eval", "execfile", "check_output", "check_call", "getoutput", "getstatusoutput", "spawn",
		"execv", "execve", "execvp", "execl", "spawnl", "spawnv", "fork", "run_path", "run_module", "runctx", "runcall", "import_module",
		"load_module", "exec_module", "load_source", "load_inline", "load_library", "loads", "unpickle", "read_pickle", "load_pickle", "pickle_load",
		"unsafe_load", "rmtree", "unlink", "removedirs", "chmod", "chown", "getattr", "setattr", "delattr", "exec_command",
		"urlretrieve", "urlopen", "CDLL", "WinDLL", "LoadLibrary", "run_cmd", "run_command", "shell", "system_call", "subprocess_call",
		"get_object", "get_method", "get_class", "get_static_method", "import_string", "resolve_name", "import_object", "safe_eval", "read_clipboard":
		return true
	}
	return false
}

// isDangerousModule says whether reaching the module, under any other, is
// reaching for it.
func isDangerousModule(s string) bool {
	switch s {
	case "os", "sys", "subprocess", "builtins", "__builtin__", "importlib", "shutil", "pty", "ctypes", "pickle", "cPickle", "_pickle", "marshal",
		"runpy", "codeop", "pdb", "bdb", "socket", "posix", "nt", "commands", "popen2", "inspect", "gc", "webbrowser", "imp", "pkgutil",
		"timeit", "cProfile", "pipes", "cloudpickle", "dill", "smtplib", "ftplib", "telnetlib", "tempfile", "linecache", "ntpath", "posixpath",
		"cpp_extension", "collect_env", "ctypeslib", "f2py", "distutils", "execnet", "_sys", "_os", "sre_compile":
		return true
	}
	return false
}

// isStandard says whether the module is one of Python's.
func isStandard(s string) bool {
	if strings.HasPrefix(s, "_") {
		return true
	}
	_, found := slices.BinarySearch(standardModules(), s)
	return found
}

// standardModules are the public modules of CPython 3.8 to 3.14, and those
// that come with every installation of it.
var standardModules = sync.OnceValue(func() []string {
	names := strings.Fields(standardNames)
	slices.Sort(names)
	return names
})

const standardNames = `abc aifc annotationlib antigravity argparse array ast asynchat asyncio asyncore atexit audioop base64 bdb binascii
binhex bisect builtins bz2 cProfile calendar cgi cgitb chunk cmath cmd code codecs codeop collections colorsys compileall compression concurrent
configparser contextlib contextvars copy copyreg crypt csv ctypes curses dataclasses datetime dbm decimal difflib dis distutils doctest
dummy_threading email encodings ensurepip enum errno faulthandler fcntl filecmp fileinput fnmatch formatter fractions ftplib functools gc
genericpath getopt getpass gettext glob graphlib grp gzip hashlib heapq hmac html http idlelib imaplib imghdr imp importlib inspect io ipaddress
itertools json keyword lib2to3 linecache locale logging lzma macpath mailbox mailcap marshal math mimetypes mmap modulefinder msilib msvcrt
multiprocessing netrc nis nntplib nt ntpath nturl2path numbers opcode operator optparse os ossaudiodev parser pathlib pdb pickle pickletools pip
pipes pkg_resources pkgutil platform plistlib poplib posix posixpath pprint profile pstats pty pwd py_compile pyclbr pydoc pydoc_data pyexpat
queue quopri random re readline reprlib resource rlcompleter runpy sched secrets select selectors setuptools shelve shlex shutil signal site
smtpd smtplib sndhdr socket socketserver spwd sqlite3 sre_compile sre_constants sre_parse ssl stat statistics string stringprep struct
subprocess sunau symbol symtable sys sysconfig syslog tabnanny tarfile telnetlib tempfile termios textwrap this threading time timeit tkinter
token tokenize tomllib trace traceback tracemalloc tty turtle turtledemo types typing unicodedata unittest urllib uu uuid venv warnings wave
weakref webbrowser winreg winsound wsgiref xdrlib xml xmlrpc zipapp zipfile zipimport zlib zoneinfo`

// isPlainBuiltin says whether the builtin only makes a value of values.
func isPlainBuiltin(s string) bool {
	switch s {
	case "bool", "int", "float", "complex", "str", "bytes", "bytearray", "list", "tuple", "dict", "set", "frozenset", "slice", "range", "len",
		"sum", "min", "max", "abs", "round", "sorted", "zip", "enumerate", "reversed", "object", "any", "all":
		return true
	}
	return false
}

// isPlainStandard says whether the name of the standard library only makes a
// value of values.
func isPlainStandard(name string) bool {
	if leaf, ok := strings.CutPrefix(name, "builtins."); ok {
		return isPlainBuiltin(leaf)
	}
	if leaf, ok := strings.CutPrefix(name, "math."); ok {
		return !strings.Contains(leaf, ".")
	}
	switch name {
	case "collections.OrderedDict", "collections.defaultdict", "collections.Counter", "collections.deque", "datetime.datetime", "datetime.date",
		"datetime.timedelta", "datetime.timezone", "decimal.Decimal", "fractions.Fraction", "pathlib.Path", "pathlib.PurePath", "pathlib.PosixPath",
		"random.Random", "uuid.UUID", "functools.partial", "types.SimpleNamespace", "re.compile", "operator.itemgetter", "operator.add", "operator.mul",
		"operator.sub", "operator.truediv", "logging.StreamHandler", "logging.Formatter", "logging.getLogger", "itertools.product", "itertools.chain",
		"string.Template", "time.time", "time.strftime", "datetime.datetime.now", "random.randint", "random.uniform", "random.choice", "random.seed",
		"copy.copy", "copy.deepcopy", "enum.Enum", "argparse.Namespace", "numbers.Number", "ipaddress.ip_address", "threading.Lock", "queue.Queue",
		"concurrent.futures.ThreadPoolExecutor", "os.path.join", "os.path.basename", "os.path.dirname", "os.cpu_count":
		return true
	}
	return false
}

// isDangerousPackage says whether the package, which is not Python's own, is
// there to run programs, to load code or to move files.
func isDangerousPackage(root string) bool {
	switch root {
	case "IPython", "fabric", "invoke", "paramiko", "pexpect", "sh", "plumbum", "docker", "jsonpickle", "joblib", "cloudpickle", "dill", "yaml",
		"ruamel", "smart_open", "fsspec", "requests", "httpx", "aiohttp", "urllib3", "wget", "gdown", "numexpr", "cffi", "pip", "wheel", "psutil", "code",
		"ipykernel", "jupyter_client", "notebook", "nbconvert", "execnet", "ansible", "pywin32", "win32api", "win32com", "pyautogui", "keyring",
		"RestrictedPython", "asteval", "simpleeval", "py", "ptpython", "bpython", "pytest", "nose", "sympy", "pdbpp", "ipdb", "pudb", "pyximport", "Cython",
		"gevent", "eventlet", "twisted", "torch_utils_hub":
		return true
	}
	return false
}

// isKnownPrivate names private modules of libraries that hold their classes.
func isKnownPrivate(part string) bool {
	switch part {
	case "_functional", "_impl", "_internal", "_base", "_core", "_transforms", "_loss", "_encoders", "_data", "_classes", "_forest", "_gb",
		"_logistic", "_ridge", "_tree", "_utils", "_meta", "_presets", "_geometry", "_color", "_misc", "_container", "_augment", "_type_conversion":
		return true
	}
	return false
}

// isLibrary says whether configurations commonly instantiate classes of the
// package.
func isLibrary(root string) bool {
	switch root {
	case "torch", "torchvision", "torchaudio", "torchtext", "torchmetrics", "torchtune", "torchdata", "torch_geometric", "pytorch_lightning",
		"lightning", "lightning_fabric", "transformers", "diffusers", "peft", "trl", "accelerate", "datasets", "tokenizers", "timm", "monai", "nemo",
		"nemo_run", "megatron", "apex", "omegaconf", "hydra", "numpy", "scipy", "sklearn", "pandas", "keras", "tensorflow", "jax", "flax", "optax",
		"fairseq", "fairseq2", "speechbrain", "espnet", "espnet2", "detectron2", "mmengine", "mmcv", "mmdet", "mmseg", "segmentation_models_pytorch",
		"albumentations", "kornia", "einops", "xformers", "bitsandbytes", "deepspeed", "sentence_transformers", "open_clip", "clip", "ldm", "sgm",
		"taming", "autoencoder", "audiocraft", "asteroid", "pyannote", "encodec", "wandb", "composer", "llmfoundry", "axolotl", "gymnasium", "gym",
		"stable_baselines3", "ray", "optuna", "xgboost", "lightgbm", "catboost", "statsmodels", "networkx", "PIL", "cv2", "librosa", "soundfile", "ignite",
		"transformer_engine", "flash_attn", "mlflow", "onnxruntime", "gluonts", "pytorch_forecasting", "cosmos", "sam2", "sam3", "segment_anything",
		"matcha", "vocos", "nnunetv2", "openvino", "ultralytics", "rfdetr", "spacy", "thinc", "tensorboard":
		return true
	}
	return false
}

// inNamespace says whether a function, not a class, of a library is one that
// configurations name.
func inNamespace(name string) bool {
	for _, prefix := range [...]string{"torch.nn.", "torch.optim.", "torchvision.transforms.", "torchvision.models.", "torchvision.ops.",
		"torchaudio.transforms.", "torchaudio.functional.", "torchmetrics.", "transformers.activations.", "transformers.optimization.",
		"numpy.random.", "numpy.linalg.", "einops.", "torch.distributions.", "timm.models.", "timm.create_model", "jax.nn.", "optax.",
		"segmentation_models_pytorch.", "torchtune.models.", "torchtune.modules.", "torchtune.datasets.", "albumentations.", "kornia.",
		"scipy.stats.", "scipy.signal.", "sklearn.metrics.", "sklearn.preprocessing.", "tensorflow.keras.", "keras.", "fairseq2.models.", "flax.linen.",
		"transformers.get_", "diffusers.optimization.", "torch.utils.data.", "nemo.core.", "nemo.collections.", "megatron.core.", "monai.transforms.", "monai.losses.", "monai.networks.",
		"monai.metrics.", "monai.data.", "monai.inferers.", "monai.handlers.", "lightning.pytorch.", "pytorch_lightning."} {
		if strings.HasPrefix(name, prefix) && !strings.Contains(name, ".hub.") {
			return true
		}
	}
	switch name {
	case "torch.device", "torch.tensor", "torch.zeros", "torch.ones", "torch.eye", "torch.arange", "torch.linspace", "torch.randn", "torch.rand",
		"torch.full", "torch.empty", "torch.manual_seed", "torch.cat", "torch.stack", "torch.set_float32_matmul_precision", "torch.compile",
		"torch.float16", "torch.bfloat16", "torch.float32", "torch.float64", "torch.int32", "torch.int64", "torch.Generator", "torch.cuda.is_available",
		"torch.cuda.device_count", "numpy.array", "numpy.zeros", "numpy.ones", "numpy.arange", "numpy.linspace", "numpy.mean", "numpy.full",
		"numpy.float32", "numpy.float64", "numpy.int32", "numpy.int64", "numpy.log", "numpy.exp", "numpy.sqrt", "omegaconf.listconfig.ListConfig",
		"datasets.load_dataset", "wandb.init", "optuna.create_study", "hydra.utils.to_absolute_path", "torch.inf", "gym.make", "gymnasium.make",
		"torch.randint", "torch.hann_window", "torch.relu", "torch.sigmoid", "torch.tanh", "torch.exp", "torch.log", "torch.mean", "torch.sum":
		return true
	}
	return false
}

// dangerousWithin names what in a known library runs, loads or writes.
func dangerousWithin(name string) string {
	for _, prefix := range [...]string{"torch.hub", "torch.load", "torch.save", "torch.jit.load", "torch.package", "torch.utils.model_zoo",
		"torch.utils.cpp_extension", "torch.utils.bottleneck", "torch.utils.collect_env", "torch.multiprocessing", "torch.distributed.elastic",
		"torch.distributed.launch", "torch.distributed.run", "torch.ops.load", "torch.classes.load", "torch.serialization", "torch.testing",
		"torch.storage", "torch.export.load", "torch.fx", "torch.utils.hipify", "torch.distributed.rpc", "torch.utils.tensorboard.summary.hook",
		"numpy.load", "numpy.save", "numpy.fromfile", "numpy.memmap", "numpy.testing", "numpy.distutils", "numpy.lib.npyio", "numpy.genfromtxt", "numpy.loadtxt",
		"numpy.vectorize", "numpy.apply_along_axis", "numpy.compat", "numpy.core.test", "numpy.ma.core.mod",
		"pandas.read_", "pandas.eval", "pandas.DataFrame.eval", "pandas.DataFrame.query", "pandas.io", "pandas.core.computation", "pandas.DataFrame.to_", "pandas.compat",
		"hydra.utils.instantiate", "hydra.utils.call", "hydra._internal", "hydra.main", "hydra.compose", "hydra.experimental", "hydra.core", "omegaconf.OmegaConf.register",
		"omegaconf.OmegaConf.load", "omegaconf.OmegaConf.save", "omegaconf.OmegaConf.unsafe", "omegaconf.OmegaConf.resolve", "transformers.dynamic_module_utils", "transformers.utils.import_utils", "transformers.testing_utils",
		"transformers.utils.hub", "transformers.commands", "diffusers.utils.dynamic_modules_utils", "diffusers.commands", "accelerate.commands",
		"accelerate.launchers", "accelerate.notebook_launcher", "accelerate.utils.launch", "datasets.load.", "datasets.load_from", "datasets.utils", "datasets.commands", "monai.bundle.scripts", "monai.bundle.run",
		"monai.apps", "monai.utils.module", "monai.config.print", "monai.data.torchscript_utils", "fairseq.checkpoint_utils", "fairseq.utils.import_user_module",
		"pytorch_lightning.cli", "lightning.pytorch.cli", "lightning.app", "keras.utils.get_file", "tensorflow.keras.utils.get_file", "keras.models.load", "tensorflow.keras.models.load", "keras.saving",
		"tensorflow.keras.saving", "tensorflow.io", "tensorflow.saved_model", "tensorflow.py_function", "tensorflow.numpy_function", "tensorflow.load", "tensorflow.raw_ops", "tensorflow.python",
		"keras.src", "scipy.io", "scipy.weave", "sklearn.externals", "sklearn.datasets.fetch", "sklearn.datasets.load_files", "ray.init", "ray.cloudpickle", "ray.remote", "ray.util", "ray.serve", "ray.job", "mlflow.run", "mlflow.pyfunc", "mlflow.projects", "mlflow.sklearn.load",
		"mlflow.artifacts", "wandb.sdk", "wandb.restore", "nemo.utils.exp_manager.exec", "nemo.utils.cloud", "nemo.utils.get_rank.exec", "ultralytics.utils.checks", "ultralytics.utils.downloads", "spacy.cli",
		"spacy.util", "thinc.util", "jax.experimental.host", "jax.pure_callback", "xgboost.core.load", "networkx.read_gpickle", "gluonts.core.serde", "cv2.VideoCapture",
		"gym.envs.registration.load", "statsmodels.iolib", "lightgbm.basic", "librosa.util.files", "PIL.ImageShow", "PIL.ImageGrab", "PIL.ImageMath", "tensorboard.program", "deepspeed.launcher", "deepspeed.ops.op_builder", "optuna.storages"} {
		if rest, ok := strings.CutPrefix(name, prefix); ok && (rest == "" || rest[0] == '.' || prefix[len(prefix)-1] == '_' || prefix[len(prefix)-1] == '.' || strings.HasPrefix(rest, "_")) {
			return prefix + " runs, loads or writes what it is given"
		}
	}
	return ""
}
