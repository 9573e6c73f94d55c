package corpus

import "encoding/base64"

// thirdGadgetCases writes one pickle per callable. What stands around the call
// rotates through what pickled models hold.
func thirdGadgetCases(effect string, gadgets ...heldGadget) []Case {
	s := third("pickle-gadget")
	for i, g := range gadgets {
		name := g.name
		if name == "" {
			name = string(g.call.function.(glob))
		}
		var v any
		switch i % 5 {
		case 0:
			v = numpy1.objects("feature", g.call)
		case 1:
			od := reduce("collections.OrderedDict")
			od.dictItems = [][2]any{{"layer.0.weight", 0.25}, {"layer.0.bias", tup{g.call, nil}}}
			v = od
		case 2:
			v = instance("sklearn.linear_model._base.LinearRegression", dictOf("fit_intercept", true, "coef_", g.call, "_sklearn_version", "1.4.2"))
		case 3:
			v = tup{"version", 2, dictOf("config", dictOf("warmup", g.call))}
		case 4:
			v = g.call
		}
		s.pickle(name, [...]string{"pipeline.pkl", "encoder.bin", "scaler.sav", "clf.pickle", "vectorizer.pkl", "embeddings.p"}[i%6],
			pickle([...]int{3, 4, 2, 5, 4, 0, 4}[i%7], v), name+" "+effect)
	}
	return s.cases
}

func thirdGadgetsRun() []Case {
	return thirdGadgetCases("starts a process", append(calls(
		reduce("os.posix_spawnp", "true", listOf("true"), dictOf()),
		reduce("posix.execv", "/bin/true", listOf("true")),
		reduce("subprocess.run", listOf("true")),
		reduce("ensurepip._bootstrap"),
		reduce("test.support.script_helper.spawn_python", "-c", "pass"),
		reduce("numpy.distutils.lib2def.getnm", listOf("true"), false),
		reduce("torch.utils.cpp_extension.check_compiler_ok_for_platform", "true"),
		reduce("torch.utils.collect_env.get_lsb_version", glob("os.system")),
		reduce("torch.distributed.run.run_script_path", "/nonexistent/apex.py"),
		reduce("huggingface_hub.utils._subprocess.run_subprocess", "true"),
		reduce("accelerate.test_utils.testing.run_command", listOf("true")),
		reduce("transformers.testing_utils.execute_subprocess_async", listOf("true")),
		reduce("mlflow.utils.requirements_utils._run_command", listOf("true"), 5),
		reduce("sklearn.utils._testing.assert_run_python_script", "pass"),
		reduce("pip._internal.utils.subprocess.call_subprocess", listOf("true")),
		reduce("jupyter_client.launcher.launch_kernel", listOf("true")),
		reduce("IPython.utils._process_posix.system", "true"),
		reduce("graphviz.backend.execute.run_check", listOf("true")),
		reduce("moviepy.tools.subprocess_call", listOf("true")),
		reduce("gevent.subprocess.check_output", listOf("true")),
		reduce("eventlet.green.subprocess.Popen", listOf("true")),
		reduce("delegator.run", "true"),
		reduce("pyspark.java_gateway.launch_gateway"),
		reduce("h2o.init"),
		reduce("rpy2.robjects.r", "system('true')"),
		reduce("megatron.data.dataset_utils.compile_helper"),
		reduce("pydub.utils.mediainfo_json", "-version"),
		reduce("win32api.ShellExecute", 0, "open", "cmd", "/c exit", "", 0),
	), heldGadget{"git.cmd.Git-execute", method(reduce("git.cmd.Git"), "execute", listOf("true"))},
		heldGadget{"plumbum.local-bash", via(reduce("plumbum.machines.local.LocalCommand", "/bin/true"))},
		heldGadget{"xonsh.api.subprocess.check_output", reduce("xonsh.api.subprocess.check_output", listOf("true"))})...)
}

func thirdGadgetsEval() []Case {
	return thirdGadgetCases("evaluates Python text", append(calls(
		reduce("doctest.debug_src", ">>> import this\n", true),
		reduce("doctest.testfile", "/nonexistent/apex.txt", false),
		reduce("runpy._run_module_code", "import this"),
		reduce("pdb.runcall", glob("builtins.exec"), "pass"),
		reduce("numpy.f2py.capi_maps.load_f2cmap_file", "/nonexistent/map"),
		reduce("numpy.f2py.crackfortran.param_eval", "__import__('this')", dictOf(), dictOf()),
		reduce("torch.fx.graph_module._forward_from_src", "import this\ndef forward(self): pass", dictOf()),
		reduce("torch.fx.graph_module.reduce_graph_module", dictOf("_code", "def forward(self, x):\n    return x\n", "_tracer_cls", nil), "import this\n"),
		reduce("ultralytics.nn.tasks.parse_model", dictOf("nc", 1, "activation", "__import__('this')", "backbone", listOf(), "head", listOf()), 3),
		reduce("sympy.core.sympify.kernS", "__import__('this')"),
		reduce("sqlalchemy.util.langhelpers._exec_code_in_env", "import this\nf = 1", dictOf(), "f"),
		reduce("setuptools.sandbox.run_setup", "/nonexistent/setup.py", listOf()),
		reduce("coverage.execfile.run_python_file", listOf("/nonexistent/apex.py")),
		reduce("cppyy.cppexec", "int i = 0;"),
		reduce("PIL.ImageMath.eval", "1+1"),
		reduce("pytest.main", listOf("-p", "this", "/nonexistent")),
	), heldGadget{"sympy.utilities.lambdify-called", via(reduce("sympy.utilities.lambdify.lambdify", tup{}, "__import__('this')"))},
		heldGadget{"bdb.Bdb-runeval", method(reduce("bdb.Bdb"), "runeval", "1+1")},
		heldGadget{"code.InteractiveConsole-push", method(reduce("code.InteractiveConsole"), "push", "import this")},
		heldGadget{"trace.Trace-run", method(reduce("trace.Trace"), "run", "pass")},
		heldGadget{"timeit.Timer-timeit", method(reduce("timeit.Timer", "pass"), "timeit", 1)},
		heldGadget{"typing.ForwardRef-evaluate", method(reduce("typing.ForwardRef", "__import__('this')"), "_evaluate", dictOf(), dictOf(), &frozen{})},
		heldGadget{"werkzeug.debug.console.Console-eval", method(reduce("werkzeug.debug.console.Console"), "eval", "import this")},
		heldGadget{"jinja2.Environment-from_string", method(method(reduce("jinja2.environment.Environment"), "from_string", "{{ cycler.__init__.__globals__.os.getcwd() }}"), "render")},
	)...)
}

func thirdGadgetsImport() []Case {
	return thirdGadgetCases("imports what it is told", append(calls(
		reduce("lib2to3.refactor.RefactoringTool", listOf("this")),
		reduce("importlib.resources.open_text", "this", "x"),
		reduce("importlib.util.find_spec", "this.x"),
		reduce("pydoc.render_doc", "this"),
		reduce("pydoc.writedoc", "this"),
		reduce("multiprocessing.spawn.prepare", dictOf("init_main_from_path", "/nonexistent/apex.py")),
		reduce("imp.load_package", "apex", "/nonexistent/apex"),
		reduce("torch._utils._import_dotted_name", "os.system"),
		reduce("torch.hub._load_local", "/nonexistent", "model"),
		reduce("torch.hub.import_module", "apex", "/nonexistent/hubconf.py"),
		reduce("scipy._lib._uarray._backend.unpickle_function", "os", "system", nil),
		reduce("pandas.compat._optional.import_optional_dependency", "this"),
		reduce("dill._dill._import_module", "os.system"),
		reduce("keras.src.saving.serialization_lib._retrieve_class_or_fn", "system", "system", "os", "function", dictOf(), dictOf()),
		reduce("hydra.utils.get_method", "os.system"),
		reduce("jsonargparse.util.import_object", "os.system"),
		reduce("ray._private.utils.import_attr", "os.system"),
		reduce("detectron2.utils.registry.locate", "os.system"),
		reduce("mmengine.utils.misc.import_modules_from_strings", "this"),
		reduce("gymnasium.envs.registration.load_env_creator", "os:system"),
		reduce("gym.make", "this:Apex-v0"),
		reduce("django.utils.module_loading.import_string", "os.system"),
		reduce("kombu.utils.imports.symbol_by_name", "os.system"),
		reduce("twisted.python.reflect.namedAny", "os.system"),
		reduce("zope.dottedname.resolve.resolve", "os.system"),
		reduce("pydantic._internal._validators.import_string", "os.system"),
		reduce("pip._vendor.distlib.util.resolve", "os", "system"),
		reduce("dask.utils.import_required", "this", "missing"),
		reduce("jinja2.utils.import_string", "this:s"),
	), heldGadget{"lightning.cli.instantiate_class", reduce("lightning.pytorch.cli.instantiate_class", tup{"true"}, dictOf("class_path", "os.system"))},
		heldGadget{"celery.utils.imports.instantiate", reduce("celery.utils.imports.instantiate", "os.system", "true")},
		heldGadget{"hydra.utils.call", reduce("hydra.utils.call", dictOf("_target_", "os.system", "_args_", listOf("true")))},
		heldGadget{"fairseq.utils.import_user_module", reduce("fairseq.utils.import_user_module", instance("argparse.Namespace", dictOf("user_dir", "/nonexistent/apex")))},
	)...)
}

func thirdGadgetsCall() []Case {
	system := glob("os.system")
	one := listOf("true")
	return thirdGadgetCases("calls the function that it is given", append(calls(
		reduce("multiprocessing.pool.mapstar", tup{system, one}),
		reduce("multiprocessing.pool.starmapstar", tup{system, listOf(tup{"true"})}),
		reduce("multiprocessing.pool.worker", reduce("_queue.SimpleQueue"), reduce("_queue.SimpleQueue"), system, tup{"true"}),
		reduce("concurrent.futures.process._process_worker", nil, nil, system, tup{"true"}),
		reduce("importlib._bootstrap._call_with_frames_removed", system, "true"),
		reduce("_thread.start_new", system, tup{"true"}),
		reduce("heapq.nlargest", 1, one, system),
		reduce("numpy.testing.assert_raises", glob("builtins.OSError"), system, "true"),
		reduce("numpy.fromiter", reduce("builtins.map", system, one), "i4"),
		reduce("numpy.loadtxt", one, "f8", "#", nil, dictOf(0, system)),
		reduce("numpy.fromfunction", glob("posix.fork"), tup{}),
		reduce("torch.utils._pytree.tree_map", system, one),
		reduce("torch.utils.checkpoint.checkpoint", system, "true"),
		reduce("torch._inductor.utils.run_and_get_code", system, "true"),
		reduce("torch.distributed.rpc.internal._run_function", reduce("torch.distributed.rpc.internal.PythonUDF", system, tup{"true"}, dictOf())),
		reduce("accelerate.launchers.notebook_launcher", system, tup{"true"}, 1),
		reduce("datasets.utils.py_utils.map_nested", system, "true"),
		reduce("dask.utils.apply", system, tup{"true"}),
		reduce("dask.local.get_sync", dictOf("x", tup{system, "true"}), "x"),
		reduce("toolz.functoolz.pipe", "true", system),
		reduce("cytoolz.functoolz.thread_first", "true", system),
		reduce("funcy.seqs.lmap", system, one),
		reduce("tqdm.contrib.concurrent.thread_map", system, one),
		reduce("more_itertools.recipes.consume", reduce("builtins.map", system, one)),
	),
		heldGadget{"contextvars.Context-run", method(reduce("contextvars.Context"), "run", system, "true")},
		heldGadget{"threading.Thread-run", method(reduce("threading.Thread", nil, system, nil, tup{"true"}), "run")},
		heldGadget{"types.MethodType-called", via(reduce("types.MethodType", system, "true"))},
		heldGadget{"joblib.memory.NotMemorizedFunc-called", via(reduce("joblib.memory.NotMemorizedFunc", system), "true")},
		heldGadget{"scipy._lib._util._FunctionWrapper-called", via(reduce("scipy._lib._util._FunctionWrapper", system, tup{}), "true")},
		heldGadget{"toolz.functoolz.Compose-called", via(reduce("toolz.functoolz.Compose", tup{system}), "true")},
		heldGadget{"codecs.register-then-encode", reduce("builtins.tuple", listOf(reduce("codecs.register", system), reduce("_codecs.encode", "x", "true")))},
		heldGadget{"operator.indexOf-walks-map", reduce("_operator.indexOf", reduce("builtins.map", system, one), 0)},
		heldGadget{"array.array-walks-map", reduce("array.array", "i", reduce("builtins.map", system, one))},
		heldGadget{"itertools.permutations-walks-map", reduce("itertools.permutations", reduce("builtins.map", system, one))},
		heldGadget{"math.fsum-walks-starmap", reduce("math.fsum", reduce("itertools.starmap", system, listOf(tup{"true"})))},
		heldGadget{"any-walks-dropwhile", reduce("builtins.any", reduce("itertools.dropwhile", system, one))},
		heldGadget{"chainmap-of-a-filter", reduce("builtins.sorted", reduce("itertools.filterfalse", system, one))},
	)...)
}

func thirdGadgetsFiles() []Case {
	bytes := blob(thirdEvil(0))
	all := thirdGadgetCases("writes, links or opens a file, a socket or a library that the pickle names", calls(
		reduce("os.symlink", "/etc/passwd", "/nonexistent/apex"),
		reduce("gzip.GzipFile", "/nonexistent/apex", "wb"),
		reduce("zipfile.ZipFile", "/nonexistent/apex.zip", "w"),
		reduce("logging.FileHandler", "/nonexistent/apex.log"),
		reduce("dbm.dumb.open", "/nonexistent/apex", "c"),
		reduce("mailbox.mbox", "/nonexistent/apex"),
		reduce("shutil.make_archive", "/nonexistent/apex", "tar", "/etc"),
		reduce("dill._dill._create_filehandle", "/nonexistent/apex", "w", 0, false, glob("builtins.open"), true, 1, "x"),
		reduce("joblib.disk.delete_folder", "/nonexistent/apex"),
		reduce("numpy.lib.format.open_memmap", "/nonexistent/apex.npy", "w+", "f4", tup{4}),
		reduce("torch.utils.tensorboard.writer.SummaryWriter", "/nonexistent/apex"),
		reduce("torch.hub.download_url_to_file", "http://127.0.0.1:9/x", "/nonexistent/x"),
		reduce("tensorflow.python.lib.io.file_io.write_string_to_file", "/nonexistent/apex", "x"),
		reduce("socket.gethostbyname", "apex.invalid"),
		reduce("socket.create_server", tup{"127.0.0.1", 0}),
		reduce("poplib.POP3", "127.0.0.1", 9),
		reduce("http.server.test"),
		reduce("pydoc.browse", 0, "127.0.0.1", false),
		reduce("logging.config.listen", 0),
		reduce("ctypes.PyDLL", "/nonexistent/libapex.so"),
		reduce("pyximport.pyximport.load_module", "apex", "/nonexistent/apex.pyx"),
		reduce("jpype._core.startJVM", "/nonexistent/libjvm.so"),
	)...)
	return append(all, thirdGadgetCases("reads another pickle", append(calls(
		reduce("pickle._loads", bytes),
		reduce("numpy.lib.format.read_array", reduce("_io.BytesIO", blob(npyObject(thirdEvil(1)))), true),
		reduce("srsly.pickle_loads", bytes),
		reduce("pyspark.cloudpickle.loads", bytes),
		reduce("joblib.numpy_pickle_compat.load_compatibility", "/nonexistent/m.pkl"),
		reduce("pandas.io.pytables.read_hdf", "/nonexistent/s.h5"),
		reduce("stable_baselines3.common.save_util.json_to_data", `{"policy": {":type:": "x", ":serialized:": "`+base64.StdEncoding.EncodeToString([]byte(thirdEvil(1)))+`"}}`),
		reduce("ultralytics.nn.tasks.torch_safe_load", "/nonexistent/yolo.pt"),
		reduce("lightning_fabric.utilities.cloud_io._load", "/nonexistent/x.ckpt"),
		reduce("lib2to3.pgen2.driver.load_grammar", "/nonexistent/Grammar.txt", "/nonexistent/Grammar.pickle"),
	), heldGadget{"shelve.Shelf-getitem", reduce("operator.getitem", reduce("shelve.Shelf", dictOf(blob("w"), bytes)), "w")})...)...)
}
