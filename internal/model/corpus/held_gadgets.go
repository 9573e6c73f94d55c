package corpus

// The callables below were looked for in the standard library and in packages
// that often stand beside a model: whatever ends in a shell, exec, an import, a
// shared object, another pickle, a socket or a template. Names that are on the
// published deny lists were left out where that was known. "this" is the module
// that prints the Zen of Python; paths below /nonexistent are not there.

type heldGadget struct {
	name string // of the case where the callable's own is not enough
	call *object
}

// heldGadgetCases writes one pickle per gadget. Protocols and surroundings
// rotate, as the models do in which such pickles are found.
func heldGadgetCases(effect string, gadgets ...heldGadget) []Case {
	s := heldCase("pickle-gadget")
	for i, g := range gadgets {
		name := g.name
		if name == "" {
			name = string(g.call.function.(glob))
		}
		var v any = g.call
		switch i % 4 {
		case 1:
			v = dictOf("epoch", 3, "state_dict", dictOf("fc.bias", g.call))
		case 2:
			v = listOf(1.5, tup{"weights", g.call})
		case 3:
			v = instance("argparse.Namespace", dictOf("lr", 0.001, "callback", g.call))
		}
		s.pickle(name, [...]string{"model.pkl", "weights.bin", "checkpoint.pickle", "estimator.dat"}[i%4],
			pickle([...]int{4, 2, 0, 5, 3, 1}[i%6], v), "calls "+name+", which "+effect)
	}
	return s.cases
}

func calls(objects ...*object) []heldGadget {
	var g []heldGadget
	for _, o := range objects {
		g = append(g, heldGadget{call: o})
	}
	return g
}

func heldGadgetsRun() []Case {
	commands := calls(
		reduce("pydoc.pipepager", "text", "true"),
		reduce("pydoc.tempfilepager", "text", "true"),
		reduce("uuid._get_command_stdout", "true"),
		reduce("_osx_support._read_output", "true"),
		reduce("_bootsubprocess.check_output", listOf("true")),
		reduce("imaplib.IMAP4_stream", "true"),
		reduce("mailcap.findmatch", dictOf("text/plain", listOf(dictOf("view", "", "test", "true"))), "text/plain"),
		reduce("test.support.script_helper.assert_python_ok", "-c", "pass"),
		reduce("ensurepip._run_pip", listOf("--version")),
		reduce("asyncio.run", reduce("asyncio.subprocess.create_subprocess_shell", "true")),
		reduce("setuptools._distutils.spawn.spawn", listOf("true")),
		reduce("pexpect.popen_spawn.PopenSpawn", "true"),
		reduce("dotenv.cli.run_command", listOf("true"), dictOf()),
		reduce("libcst.metadata.type_inference_provider.run_command", listOf("true")),
		reduce("libcst.codemod._cli.invoke_formatter", listOf("true"), ""),
		reduce("pycparser.preprocess_file", "x.h", "true"),
		reduce("sympy.printing.preview.system_default_viewer", "x", "png"),
		reduce("IPython.utils._process_common.process_handler", "true", glob("builtins.id")),
		reduce("IPython.core.page.pager_page", "text", 0, 25, "true"),
		reduce("click.termui.edit", "text", "true"),
		reduce("invoke.run", "true"),
		reduce("fabric.operations.local", "true"),
		reduce("paramiko.proxy.ProxyCommand", "true"),
		reduce("mlflow.utils.process._exec_cmd", listOf("true")),
		reduce("spacy.util.run_command", "true"),
		reduce("nltk.internals.java", listOf("-version")),
		reduce("numpy.distutils.cpuinfo.getoutput", "true"),
		reduce("numpy.f2py.diagnose.run_command", "true"),
		reduce("torch.testing._internal.common_utils.shell", listOf("true")),
		reduce("_winapi.CreateProcess", nil, "cmd /c exit", nil, nil, 0, 0, nil, nil, nil),
		reduce("popen2.popen2", "true"),
		reduce("os.popen3", "true"),
	)
	commands = append(commands,
		heldGadget{"pipes.Template-copy", method(instance("pipes.Template", dictOf("steps", listOf(listOf("true", "--")), "debugging", 0)), "copy", "/dev/null", "/dev/null")},
		heldGadget{"webbrowser.BackgroundBrowser-open", method(reduce("webbrowser.BackgroundBrowser", "true"), "open", "x")},
		heldGadget{"tkinter.Tcl-exec", method(reduce("tkinter.Tcl"), "eval", "exec true")},
		heldGadget{"sh-module-attribute", reduce("sh.bash", "-c", "true")})
	return heldGadgetCases("starts a process", commands...)
}

func heldGadgetsImport() []Case {
	all := heldGadgetCases("evaluates Python text", append(calls(
		reduce("idlelib.calltip.get_entity", "1+1"),
		reduce("profile.runctx", "pass", dictOf(), dictOf()),
		reduce("timeit.repeat", "pass", "pass"),
		reduce("doctest.debug_script", "pass\n", false, dictOf()),
		reduce("typing._eval_type", reduce("typing.ForwardRef", "__import__('this')"), dictOf(), dictOf()),
		reduce("dataclasses._create_fn", "f", listOf("self", "a=__import__('this')"), listOf("pass")),
		reduce("multiprocessing.managers.MakeProxyType", "Proxy", tup{"a(self): pass\nimport this\ndef b"}),
		reduce("_testcapi.run_in_subinterp", "pass"),
		reduce("code.interact", "", nil, dictOf()),
		reduce("attr._make._compile_and_eval", "import this", dictOf()),
		reduce("IPython.utils.frame.debugx", "1+1"),
		reduce("sympy.core.sympify.sympify", "1+1"),
		reduce("sympy.parsing.sympy_parser.eval_expr", "1+1", dictOf(), dictOf()),
		reduce("patsy.highlevel.dmatrix", "__import__('this')", dictOf()),
		reduce("PIL.ImageMath.unsafe_eval", "1+1"),
		reduce("pandas.core.computation.eval.eval", "1+1", "python"),
		reduce("dill._dill._eval_repr", "1+1"),
		reduce("numexpr.necompiler.evaluate", "1+1"),
		reduce("autogen.code_utils.execute_code", "pass"),
		reduce("llama_index.core.exec_utils.safe_exec", "pass"),
		reduce("torch.fx.graph_module._exec_with_source", "pass", dictOf()),
		reduce("tornado.template.Template", "{% import this %}"),
	), heldGadget{"bdb.Bdb-run", method(reduce("bdb.Bdb"), "run", "pass")},
		heldGadget{"optparse.Values-read_file", method(reduce("optparse.Values"), "read_file", "/nonexistent/apex.py")},
		heldGadget{"mako.template.Template-render", method(reduce("mako.template.Template", "${1+1}"), "render")},
		heldGadget{"jinja2.nativetypes-render", method(reduce("jinja2.nativetypes.NativeTemplate", "{{ 1+1 }}"), "render")},
	)...)
	return append(all, heldGadgetCases("imports a module by its name, or runs a file", append(calls(
		reduce("distutils.core.run_setup", "/nonexistent/apex.py"),
		reduce("pydoc.importfile", "/nonexistent/apex.py"),
		reduce("lib2to3.refactor.get_all_fix_names", "this"),
		reduce("importlib._bootstrap._gcd_import", "this"),
		reduce("logging.config._resolve", "this.s"),
		reduce("multiprocessing.spawn._fixup_main_from_name", "this"),
		reduce("multiprocessing.forkserver.main", 0, 0, listOf("this"), nil),
		reduce("xml.sax.make_parser", listOf("this")),
		reduce("unittest.main.TestProgram", "this"),
		reduce("pkgutil.get_data", "this", "x"),
		reduce("warnings._getcategory", "this.s"),
		reduce("runpy._run_module_as_main", "this"),
		reduce("turtle.config_dict", "/nonexistent/turtle.cfg"),
		reduce("site.addpackage", "/nonexistent", "apex.pth", &setOf{}),
		reduce("werkzeug.utils.import_string", "this"),
		reduce("traitlets.utils.importstring.import_item", "this.s"),
		reduce("wrapt.patches.resolve_path", "this", "s"),
		reduce("boto3.utils.lazy_call", "this.s"),
		reduce("pydantic.v1.utils.import_string", "this.s"),
		reduce("docutils.readers.get_reader_class", "this"),
		reduce("flask.cli.locate_app", "this", nil),
		reduce("cffi.setuptools_ext.execfile", "/nonexistent/apex.py", dictOf()),
		reduce("cloudpickle.cloudpickle.subimport", "this"),
		reduce("distributed.utils.import_file", "/nonexistent/apex.py"),
		reduce("spacy.util.import_file", "apex", "/nonexistent/apex.py"),
		reduce("transformers.utils.import_utils.direct_transformers_import", "/nonexistent"),
	), heldGadget{"importlib.metadata.EntryPoint-load", method(reduce("importlib.metadata.EntryPoint", "a", "this:s", "g"), "load")},
		heldGadget{"logging.config.dictConfig-factory", reduce("logging.config.dictConfig", dictOf("version", 1, "formatters", dictOf("f", dictOf("()", "os.system", "command", "true"))))},
	)...)...)
}

func heldGadgetsNet() []Case {
	all := heldGadgetCases("connects to, or listens for, another machine", calls(
		reduce("ssl.get_server_certificate", tup{"127.0.0.1", 9}),
		reduce("nntplib.NNTP", "127.0.0.1"),
		reduce("asyncio.run", reduce("asyncio.streams.open_connection", "127.0.0.1", 9)),
		reduce("socketserver.TCPServer", tup{"127.0.0.1", 0}, glob("socketserver.BaseRequestHandler")),
		reduce("multiprocessing.connection.Client", tup{"127.0.0.1", 9}),
		reduce("torch.utils.model_zoo.load_url", "http://127.0.0.1:9/x.pth"),
		reduce("huggingface_hub._snapshot_download.snapshot_download", "apex/none"),
		reduce("sklearn.datasets._openml._open_openml_url", "http://127.0.0.1:9/", nil),
		reduce("tensorflow.python.keras.utils.data_utils.get_file", "x", "http://127.0.0.1:9/x"),
	)...)
	all[2].Name = "pickle-gadget/asyncio.streams.open_connection"
	all = append(all, heldGadgetCases("loads a shared object or touches memory", append(calls(
		reduce("_imp.create_dynamic", reduce("importlib.machinery.ModuleSpec", "apex", nil).with(dictOf("origin", "/nonexistent/apex.so"))),
		reduce("ctypes.string_at", 0),
		reduce("numpy.ctypeslib.load_library", "libapex", "/nonexistent"),
		reduce("llvmlite.binding.dylib.load_library_permanently", "/nonexistent/libapex.so"),
		reduce("tensorflow.python.framework.load_library.load_op_library", "/nonexistent/apex.so"),
		reduce("mxnet.library.load", "/nonexistent/apex.so"),
		reduce("tvm.runtime.module.load_module", "/nonexistent/apex.so"),
		reduce("theano.gof.cmodule.dlimport", "/nonexistent/apex.so"),
		reduce("paddle.utils.cpp_extension.load", "apex", listOf("/nonexistent/a.cc")),
	), heldGadget{"torch._inductor.codecache.PyCodeCache-load", method(glob("torch._inductor.codecache.PyCodeCache"), "load", "pass")},
		heldGadget{"sqlite3-load_extension", method(reduce("sqlite3.connect", ":memory:"), "load_extension", "/nonexistent/apex")})...)...)
	return append(all, heldGadgetCases("writes, moves or deletes files", calls(
		reduce("compileall.compile_file", "/nonexistent/apex.py"),
		reduce("fileinput.FileInput", "/nonexistent/apex", true),
		reduce("shutil.unpack_archive", "/nonexistent/apex.zip", "/nonexistent"),
		reduce("zipapp.create_archive", "/nonexistent/apex", "/nonexistent/apex.pyz"),
		reduce("torch.from_file", "/nonexistent/apex", true, 4),
		reduce("tensorflow.python.ops.io_ops.write_file", "/nonexistent/apex", "x"),
		reduce("posix.truncate", "/nonexistent/apex", 0),
		reduce("pandas.io.common.get_handle", "/nonexistent/apex", "w"),
	)...)...)
}

func heldGadgetsLibraries() []Case {
	bytes := blob(evil(0))
	return append(heldGadgetCases("reads another pickle", append(calls(
		reduce("lib2to3.pgen2.driver.load_packaged_grammar", "this", "/nonexistent/Grammar.txt"),
		reduce("trace.CoverageResults", nil, nil, "/nonexistent/counts"),
		reduce("statsmodels.iolib.smpickle.load_pickle", "/nonexistent/m.pickle"),
		reduce("gensim.utils.unpickle", "/nonexistent/m.model"),
		reduce("networkx.readwrite.gpickle.read_gpickle", "/nonexistent/g.gpickle"),
		reduce("pydantic.deprecated.parse.load_str_bytes", bytes),
		reduce("distributed.protocol.pickle.loads", bytes),
		reduce("ray.cloudpickle.loads", bytes),
		reduce("fastai.learner.load_learner", "/nonexistent/export.pkl"),
		reduce("pandas.compat.pickle_compat.load", reduce("io.BytesIO", bytes)),
		reduce("fairseq.checkpoint_utils.load_checkpoint_to_cpu", "/nonexistent/c.pt"),
		reduce("mlflow.sklearn._load_model_from_local_file", "/nonexistent/m.pkl", "pickle"),
		reduce("xmlrpc.client.loads", "<methodResponse/>"),
		reduce("numba.core.serialize._rebuild_function", bytes),
		reduce("keras.src.saving.serialization_lib.deserialize_keras_object", dictOf("class_name", "system", "module", "os", "config", dictOf())),
		reduce("keras.src.utils.python_utils.func_load", "4wAAAA=="),
		reduce("jsonpickle.unpickler.decode", `{"py/reduce": [{"py/function": "os.system"}, {"py/tuple": ["true"]}]}`),
		reduce("ruamel.yaml.main.unsafe_load", "!!python/object/apply:os.system [\"true\"]"),
		reduce("hydra._internal.instantiate._instantiate2.instantiate", dictOf("_target_", "os.system", "command", "true")),
	), heldGadget{"multiprocessing.reduction.ForkingPickler-loads", method(glob("multiprocessing.reduction.ForkingPickler"), "loads", bytes)},
		heldGadget{"torch.distributed.rpc-deserialize", method(glob("torch.distributed.rpc.internal._internal_rpc_pickler"), "deserialize", bytes, listOf())},
	)...), heldGadgetCases("does its work when the module is imported; nothing is called", heldImports()...)...)
}

// heldImports name modules that act at import: GLOBAL alone is enough.
func heldImports() []heldGadget {
	only := func(name string) *object {
		return reduce("builtins.dict", listOf(tup{"version", glob(name)}))
	}
	return []heldGadget{
		{"import-of-antigravity", only("antigravity.geohash")},
		{"import-of-unittest-main", only("unittest.__main__.main")},
		{"import-of-idle", only("idlelib.idle.idlelib")},
		{"import-of-a-module-beside-the-model", only("modeling_apex.Model")},
		{"import-of-user-in-python-2", only("user.home")},
	}
}
