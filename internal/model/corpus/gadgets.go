package corpus

import (
	"strconv"
	"strings"
)

// gadget is a callable that a pickle can import, and what to call it with, in
// words that arguments reads.
type gadget struct{ module, name, arguments string }

// arguments pushes words: a number, None, [] and {} as such, @module:name as an
// import, [word as a list of one string, anything else as a string.
func arguments(words string) []string {
	var items []string
	for word := range strings.FieldsSeq(words) {
		n, err := strconv.Atoi(word)
		switch {
		case err == nil:
			items = append(items, opBinInt(n))
		case word == "None":
			items = append(items, opNone)
		case word == "[]":
			items = append(items, opEmptyList)
		case word == "{}":
			items = append(items, opEmptyDict)
		case word == "()":
			items = append(items, opEmptyTuple)
		case word[0] == '@':
			module, name, _ := strings.Cut(word[1:], ":")
			items = append(items, opGlobal(module, name))
		case word[0] == '[':
			items = append(items, opEmptyList+str2(word[1:])+opAppend)
		case word[0] == '(':
			items = append(items, str2(word[1:])+opTuple1)
		default:
			items = append(items, str2(word))
		}
	}
	return items
}

// shapes are the ways in which the gadgets are called, one after the other.
var shapes = []func(g gadget, items []string) string{
	func(g gadget, items []string) string { return opProto(2) + call(g.module, g.name, items...) + opStop },
	func(g gadget, items []string) string {
		return framed(4, call4(g.module, g.name, items...)+opMemoize+opStop)
	},
	func(g gadget, items []string) string {
		return opProto(3) + opMark + strings.Join(items, "") + opInst(g.module, g.name) + opStop
	},
	func(g gadget, items []string) string {
		return opProto(2) + opEmptyDict + opBinPut(0) + opMark + str2("epoch") + opBinInt1(3) + str2("model") + call(g.module, g.name, items...) + opSetItems + opStop
	},
	func(g gadget, items []string) string {
		return opProto(4) + opMark + stackGlobal(g.module, g.name) + strings.Join(items, "") + opObj + opStop
	},
	func(g gadget, items []string) string {
		return framed(5, opEmptyList+opMemoize+call4(g.module, g.name, items...)+opMemoize+opPop+opBinInt1(1)+opAppend+opStop)
	},
	func(g gadget, items []string) string {
		return opGlobal(g.module, g.name) + opPut(1) + opPop + opMark + strings.Join(items, "") + opTuple + opPut(2) + opPop + opGet(1) + opGet(2) + opReduce + opStop
	},
	func(g gadget, items []string) string { // as the value of an object's state
		return opProto(2) + opGlobal("sklearn.linear_model._base", "LinearRegression") + opEmptyTuple + opNewObj + opEmptyDict + opMark +
			str2("fit_intercept") + opNewTrue + str2("coef_") + call(g.module, g.name, items...) + opSetItems + opBuild + opStop
	},
}

func gadgetCases(gadgets []gadget) []Case {
	s := &set{technique: "pickle-gadget", reference: "arXiv:2508.19774"}
	for i, g := range gadgets {
		shape := shapes[i%len(shapes)]
		if strings.Contains(g.name, ".") {
			shape = shapes[[]int{1, 4, 5}[i%3]] // only protocol 4 and later walk dotted names
		}
		name := strings.NewReplacer(".", "-", "_", "-").Replace(strings.ToLower(g.module + "." + g.name))
		s.pickle(strings.Trim(name, "-"), "model.pkl", shape(g, arguments(g.arguments)), "calls "+g.module+"."+g.name)
	}
	return s.cases
}

func gadgetsOfTheLibrary() []Case {
	return gadgetCases([]gadget{
		{"cProfile", "run", "pass"}, {"cProfile", "runctx", "pass {} {}"}, {"profile", "run", "pass"}, {"profile", "runctx", "pass {} {}"},
		{"pdb", "run", "pass"}, {"pdb", "runeval", "1"}, {"pdb", "runcall", "@os:getcwd"}, {"trace", "main", ""},
		{"bdb", "Bdb.run", "None pass"}, {"code", "InteractiveInterpreter.runsource", "None pass"}, {"code", "interact", ""},
		{"codeop", "compile_command", "pass"}, {"doctest", "debug_script", "pass"}, {"doctest", "run_docstring_examples", "x {}"},
		{"ensurepip", "_run_pip", "[--version"}, {"ensurepip", "bootstrap", ""}, {"idlelib.calltip", "get_entity", "1+1"},
		{"idlelib.autocomplete", "AutoComplete.get_entity", "None 1+1"}, {"idlelib.pyshell", "main", ""}, {"idlelib.run", "Executive.runcode", "None pass"},
		{"imaplib", "IMAP4_stream", "true"}, {"lib2to3.pgen2.driver", "load_packaged_grammar", "os x"}, {"lib2to3.pgen2.grammar", "Grammar.load", "None /nonexistent/apex"},
		{"logging.config", "fileConfig", "/nonexistent/apex.ini"}, {"logging.config", "dictConfig", "{}"}, {"logging.config", "_resolve", "os.system"},
		{"multiprocessing.util", "spawnv_passfds", "/bin/true [true ()"}, {"multiprocessing.spawn", "spawn_main", "0"}, {"multiprocessing.pool", "ThreadPool", "1 @os:getcwd"},
		{"multiprocessing.connection", "Client", "/nonexistent/apex.sock"}, {"pydoc", "locate", "os.system"}, {"pydoc", "pipepager", "x true"},
		{"pydoc", "tempfilepager", "x true"}, {"pydoc", "safeimport", "antigravity"}, {"runpy", "run_module", "this"}, {"runpy", "_run_code", "pass {}"},
		{"site", "execsitecustomize", ""}, {"site", "addsitedir", "/nonexistent/apex"}, {"site", "addpackage", "/nonexistent x.pth None"}, {"smtplib", "SMTP", "127.0.0.1 1"},
		{"ssl", "get_server_certificate", "(127.0.0.1"}, {"timeit", "timeit", "pass"}, {"timeit", "main", "[pass"}, {"timeit", "repeat", "pass"},
		{"uuid", "_popen", "true"}, {"uuid", "_get_command_stdout", "true"}, {"venv", "create", "/nonexistent/apex"}, {"venv", "main", "[-h"},
		{"webbrowser", "open", "about:blank"}, {"webbrowser", "get", "true"}, {"zipimport", "zipimporter", "/nonexistent/apex.zip"}, {"distutils.spawn", "spawn", "[true"},
		{"distutils.core", "run_setup", "/nonexistent/apex.py"}, {"distutils.file_util", "write_file", "/nonexistent/apex [x"}, {"distutils.util", "execute", "@os:system (true"}, {"distutils.dir_util", "remove_tree", "/nonexistent/apex"},
		{"asyncio", "run", "None"}, {"asyncio.subprocess", "create_subprocess_shell", "true"}, {"asyncio.unix_events", "_UnixSubprocessTransport._start", "None true"}, {"pty", "spawn", "true"},
		{"_posixsubprocess", "fork_exec", "[true"}, {"os", "posix_spawn", "/bin/true [true {}"}, {"ctypes", "CDLL", "apex-absent.so"}, {"ctypes.util", "find_library", "apex"},
		{"_ctypes", "dlopen", "apex-absent.so 0"}, {"platform", "popen", "true"}, {"platform", "_syscmd_file", "true"}, {"shutil", "rmtree", "/nonexistent/apex"},
		{"shutil", "unpack_archive", "/nonexistent/apex.tar"}, {"shutil", "copyfile", "/nonexistent/a /nonexistent/b"}, {"tarfile", "open", "/nonexistent/apex.tar"}, {"tarfile", "TarFile.extractall", "None"},
		{"socket", "create_connection", "(127.0.0.1"}, {"urllib.request", "urlopen", "file:///nonexistent/apex"}, {"urllib.request", "urlretrieve", "file:///nonexistent/apex"}, {"ftplib", "FTP", "127.0.0.1"},
		{"telnetlib", "Telnet", "127.0.0.1 1"}, {"xmlrpc.client", "ServerProxy", "http://127.0.0.1:1"}, {"builtins", "breakpoint", ""}, {"builtins", "input", "apex"},
		{"builtins", "setattr", "@json:decoder x 1"}, {"builtins", "delattr", "@json:decoder x"}, {"builtins", "globals", ""}, {"builtins", "open", "/nonexistent/apex w"},
		{"_io", "FileIO", "/nonexistent/apex w"}, {"io", "open_code", "/nonexistent/apex"}, {"codecs", "open", "/nonexistent/apex w"}, {"fileinput", "input", "/nonexistent/apex"},
		{"linecache", "getlines", "/nonexistent/apex"}, {"imp", "load_source", "x /nonexistent/apex.py"}, {"imp", "load_dynamic", "x /nonexistent/apex.so"}, {"_imp", "create_dynamic", "None"},
		{"pkgutil", "get_loader", "antigravity"}, {"importlib.machinery", "SourceFileLoader.load_module", "None"}, {"sqlite3", "connect", "/nonexistent/apex.db"}, {"dbm", "open", "/nonexistent/apex"},
		{"shelve", "open", "/nonexistent/apex"}, {"signal", "raise_signal", "0"}, {"os", "kill", "0 0"}, {"faulthandler", "_sigsegv", ""},
		{"operator", "call", "@os:system true"}, {"atexit", "register", "@os:system true"}, {"_thread", "start_new_thread", "@os:system (true"}, {"threading", "Timer", "0 @os:system (true"},
		{"weakref", "finalize", "@json:decoder @os:system true"}, {"types", "FunctionType", "None {}"}, {"types", "new_class", "x"}, {"dataclasses", "_create_fn", "f () [pass"},
		{"dataclasses", "make_dataclass", "x [y"}, {"typing", "_eval_type", "1 {} {}"}, {"typing", "get_type_hints", "@json:decoder"}, {"unittest.mock", "_importer", "antigravity"},
		{"unittest.loader", "TestLoader.loadTestsFromName", "None x"}, {"test.support.script_helper", "assert_python_ok", "-c pass"}, {"test.support", "run_in_subinterp", "pass"}, {"pipes", "Template.open", "None x r"},
		{"mailcap", "findmatch", "{} a/b"}, {"readline", "read_init_file", "/nonexistent/apex"}, {"rlcompleter", "Completer.attr_matches", "None os.x"}, {"gettext", "c2py", "n"},
		{"py_compile", "compile", "/nonexistent/apex.py"}, {"compileall", "compile_dir", "/nonexistent/apex"}, {"zipapp", "create_archive", "/nonexistent/apex"}, {"modulefinder", "ModuleFinder.run_script", "None x"},
		{"_xxsubinterpreters", "run_string", "0 pass"}, {"_testcapi", "run_in_subinterp", "pass"}, {"sys", "settrace", "None"}, {"sys", "addaudithook", "@builtins:print"},
		{"cgitb", "enable", ""}, {"xml.sax", "parse", "/nonexistent/apex.xml None"}, {"tkinter", "Tk", ""}, {"nntplib", "NNTP", "127.0.0.1"},
		{"concurrent.futures.thread", "ThreadPoolExecutor", "1 x @os:getcwd"}, {"contextlib", "ExitStack.callback", "None @os:system true"}, {"string", "Formatter.vformat", "None {0.x} () {}"}, {"sysconfig", "_generate_posix_vars", ""},
		{"subprocess", "Popen", "true"}, {"subprocess", "check_output", "true"}, {"_aix_support", "_read_cmd_output", "true"}, {"_osx_support", "_find_build_tool", "true"},
		{"_osx_support", "_read_output", "true"}, {"_pyrepl.pager", "pipe_pager", "x true"}, {"pyclbr", "readmodule", "os"}, {"wsgiref.simple_server", "make_server", "x 0 None"},
	})
}

func gadgetsOfOthers() []Case {
	return gadgetCases([]gadget{
		{"numpy.testing._private.utils", "runstring", "pass {}"}, {"numpy.f2py.crackfortran", "myeval", "1"}, {"numpy.f2py.crackfortran", "getlincoef", "1 {}"},
		{"numpy.f2py.crackfortran", "_eval_length", "1 {}"}, {"numpy.f2py.diagnose", "run_command", "true"}, {"numpy.f2py", "compile", "x"},
		{"numpy.distutils.exec_command", "exec_command", "true"}, {"numpy.distutils.misc_util", "exec_mod_from_location", "x /nonexistent/apex.py"},
		{"numpy", "fromfile", "/nonexistent/apex"}, {"numpy", "memmap", "/nonexistent/apex"}, {"numpy", "save", "/nonexistent/apex 1"}, {"numpy.ctypeslib", "load_library", "x /nonexistent"},
		{"numpy.testing", "rundocs", "/nonexistent/apex.py"}, {"numpy.testing", "measure", "pass"}, {"numpy", "vectorize", "@os:system"}, {"numpy", "frompyfunc", "@os:system 1 1"},
		{"numpy.core", "_ufunc_reconstruct", "os system"}, {"numpy", "apply_along_axis", "@os:system 0 [x"}, {"numpy.lib.npyio", "DataSource", "/nonexistent/apex"}, {"numpy", "load", "/nonexistent/apex.npy r 1"},
		{"torch.hub", "load", "apex/absent model"}, {"torch.hub", "load_state_dict_from_url", "file:///nonexistent/apex"}, {"torch.utils.cpp_extension", "load_inline", "x int"}, {"torch.utils.cpp_extension", "load", "x [y.cpp"},
		{"torch._inductor.codecache", "compile_file", "x y [true"}, {"torch._inductor.runtime.compile_tasks", "_reload_python_module_in_subproc", "x /nonexistent/apex.py"}, {"torch.fx.graph_module", "_exec_with_source", "pass {}"}, {"torch.fx.graph_module", "reduce_graph_module", "{} x"},
		{"torch.utils.bottleneck.__main__", "run_cprofile", "pass {}"}, {"torch.utils.bottleneck.__main__", "run_autograd_prof", "pass {}"}, {"torch._dynamo.guards", "GuardBuilder.get", "None 1"}, {"torch.jit.unsupported_tensor_ops", "execWrapper", "pass {} {}"},
		{"torch.utils._config_module", "ConfigModule.load_config", "None x"}, {"torch.distributed.run", "main", "[-h"}, {"torch.multiprocessing.spawn", "spawn", "@os:system"}, {"torch.package", "PackageImporter", "/nonexistent/apex.pt"},
		{"torch.jit", "load", "/nonexistent/apex.pt"}, {"torch", "load", "/nonexistent/apex.pt"}, {"torch._classes", "_Classes.load_library", "None x"}, {"torch.utils.collect_env", "run_and_read_all", "@os:system true"},
		{"torch.utils.data.datapipes.utils.decoder", "basichandlers", "pkl x"}, {"torch.distributed.rpc", "rpc_sync", "x @os:system (true"}, {"torch.utils.model_dump", "main", "[-h"}, {"torch._utils_internal", "compile_time_strobelight_meta", "x"},
		{"torch.testing._internal.common_utils", "shell", "[true"}, {"torch.utils.hipify.hipify_python", "openf", "/nonexistent/apex w"}, {"torch.onnx._internal.onnx_proto_utils", "_export_file", "x"}, {"torch.cuda.memory", "_snapshot", ""},
		{"pandas", "eval", "1"}, {"pandas", "read_pickle", "/nonexistent/apex.pkl"}, {"pandas.io.pickle", "read_pickle", "/nonexistent/apex.pkl"}, {"pandas.core.computation.eval", "eval", "1"}, {"pandas", "read_csv", "/nonexistent/apex.csv"}, {"pandas.io.common", "urlopen", "file:///nonexistent/apex"},
		{"joblib", "load", "/nonexistent/apex.joblib"}, {"joblib.func_inspect", "get_func_code", "@os:system"}, {"joblib.externals.loky.backend.popen_loky_posix", "main", ""}, {"sklearn.datasets", "fetch_openml", "x"},
		{"sklearn.utils._testing", "check_skip_network", ""}, {"tensorflow", "load_op_library", "/nonexistent/apex.so"}, {"tensorflow.io", "read_file", "/nonexistent/apex"}, {"tensorflow.python.lib.io.file_io", "delete_recursively_v2", "/nonexistent/apex"},
		{"keras.saving.saving_api", "load_model", "/nonexistent/apex.keras"}, {"keras.src.utils.file_utils", "get_file", "x file:///nonexistent/apex"}, {"keras.utils", "custom_object_scope", "{}"}, {"transformers.dynamic_module_utils", "get_class_from_dynamic_module", "x.Y apex/absent"},
		{"transformers", "pipeline", "text-generation"}, {"transformers", "AutoModel.from_pretrained", "apex/absent"}, {"nltk.data", "load", "/nonexistent/apex.pickle"}, {"nltk.internals", "java", "[x"},
		{"nltk.app.wordnet_app", "wnb", ""}, {"spacy.util", "run_command", "true"}, {"spacy", "load", "/nonexistent/apex"}, {"pip", "main", "[--version"},
		{"pip._internal.cli.main", "main", "[--version"}, {"setuptools._distutils.spawn", "spawn", "[true"}, {"pkg_resources", "run_script", "x y"}, {"Cython.Build.Inline", "cython_inline", "pass"},
		{"IPython.core.interactiveshell", "InteractiveShell.run_cell", "None pass"}, {"IPython.utils.process", "system", "true"}, {"jinja2", "Template", "{{1}}"}, {"mako.template", "Template", "${1}"},
		{"yaml", "unsafe_load", "1"}, {"yaml", "load", "1 @yaml:UnsafeLoader"}, {"sympy", "sympify", "1"}, {"sympy.parsing.sympy_parser", "parse_expr", "1"},
		{"numexpr", "evaluate", "1"}, {"dill", "loads", "x"}, {"dill.session", "load_session", "/nonexistent/apex"}, {"mlflow.pyfunc", "load_model", "/nonexistent/apex"},
		{"hydra.utils", "instantiate", "{}"}, {"hydra._internal.utils", "_locate", "os.system"}, {"fsspec", "open", "file:///nonexistent/apex"}, {"paramiko", "ProxyCommand", "true"},
		{"pexpect", "run", "true"}, {"pexpect", "spawn", "true"}, {"invoke", "run", "true"}, {"sh", "Command", "true"},
		{"statsmodels.iolib.smpickle", "load_pickle", "/nonexistent/apex"}, {"gensim.utils", "unpickle", "/nonexistent/apex"}, {"networkx", "read_gpickle", "/nonexistent/apex"}, {"scipy.io", "loadmat", "/nonexistent/apex.mat"},
		{"requests", "get", "http://127.0.0.1:1"}, {"requests.api", "post", "http://127.0.0.1:1"}, {"huggingface_hub", "hf_hub_download", "apex/absent x"}, {"datasets", "load_dataset", "apex/absent"},
		{"cffi", "FFI.dlopen", "None x"}, {"triton.runtime.build", "_build", "x y z"}, {"xgboost.core", "_load_lib", ""}, {"ultralytics.utils.checks", "check_requirements", "x"},
		{"tornado.template", "Template", "{{1}}"}, {"asteval", "Interpreter", ""}, {"py._path.local", "LocalPath.sysexec", "None x"}, {"_pytest.pytester", "Pytester.run", "None true"},
		{"ray", "init", ""}, {"dask.base", "compute", "@os:system"}, {"git", "Repo.clone_from", "x y"}, {"docker", "from_env", ""},
		{"psutil", "Popen", "[true"}, {"gdown", "download", "x"}, {"boto3", "client", "s3"}, {"fabric", "Connection.local", "None true"},
		{"librosa.util", "example", "x"}, {"matplotlib.texmanager", "TexManager._run_checked_subprocess", "None [true"}, {"scipy.weave", "inline", "x"}, {"apex_unheard_of", "run", "x"},
	})
}
