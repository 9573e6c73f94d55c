"""Pickles that run something when they are loaded, by the real picklers.

Everything that would run is harmless: the command "true", an expression of
numbers, a file or an address that is not there. Nothing here is loaded.
"""

import collections
import copyreg
import functools
import gzip
import io
import pickle
import sys
import zipfile

import cloudpickle
import dill
import joblib
import numpy as np

NOWHERE = "http://127.0.0.1:9/x"


class Runs:
    """An object that pickle writes as a call."""

    def __init__(self, call, *args, state=None):
        self.made = (call, args) if state is None else (call, args, state)

    def __reduce__(self):
        return self.made


class Named:
    """A name that is imported when it is loaded, and need not exist here."""

    def __init__(self, module, name):
        self.__module__, self.__qualname__ = module, name
        self.__name__ = name

    def __reduce__(self):
        return self.__qualname__

    def __call__(self):
        pass


def dumps(value, protocol=4):
    """pickle.dumps that does not look whether names exist (the C pickler does)."""
    out = io.BytesIO()

    class Pickler(pickle._Pickler):
        def save_named(self, obj):
            if self.proto >= 4:
                self.save(obj.__module__)
                self.save(obj.__qualname__)
                self.write(pickle.STACK_GLOBAL)
            else:
                self.write(b"c" + obj.__module__.encode() + b"\n" + obj.__qualname__.encode() + b"\n")

        dispatch = {**pickle._Pickler.dispatch, Named: save_named}

    Pickler(out, protocol).dump(value)
    return out.getvalue()


def reached():
    """Callables that the standard library and installed ones offer."""
    import asyncio.subprocess  # noqa: F401
    import builtins
    import code
    import cProfile
    import ctypes
    import importlib
    import marshal
    import multiprocessing.util  # noqa: F401
    import operator
    import os
    import platform
    import pty
    import runpy
    import shutil
    import socket
    import subprocess
    import timeit
    import trace
    import urllib.request
    import webbrowser

    yield "os-system", os.system, "true"
    yield "os-popen", os.popen, "true"
    yield "os-execvp", os.execvp, "true", ["true"]
    yield "os-spawnlp", os.spawnlp, os.P_WAIT, "true", "true"
    yield "os-remove", os.remove, "/nonexistent/x"
    yield "os-putenv", os.putenv, "APEX_INERT", "1"
    yield "subprocess-popen", subprocess.Popen, ["true"]
    yield "subprocess-check-output", subprocess.check_output, ["true"]
    yield "subprocess-run", subprocess.run, ["true"]
    yield "subprocess-getoutput", subprocess.getoutput, "true"
    yield "eval", builtins.eval, "1+1"
    yield "exec", builtins.exec, "x = 1"
    yield "compile", builtins.compile, "1", "x", "eval"
    yield "import", builtins.__import__, "this_is_nowhere"
    yield "open", builtins.open, "/nonexistent/x"
    yield "import-module", importlib.import_module, "this_is_nowhere"
    yield "runpy", runpy.run_module, "this_is_nowhere"
    yield "runpy-path", runpy.run_path, "/nonexistent/x"
    yield "pty", pty.spawn, "true"
    yield "webbrowser", webbrowser.open, NOWHERE
    yield "urlopen", urllib.request.urlopen, NOWHERE
    yield "socket", socket.create_connection, ("127.0.0.1", 9), 0.01
    yield "rmtree", shutil.rmtree, "/nonexistent/x"
    yield "ctypes", ctypes.CDLL, "/nonexistent/x.so"
    yield "timeit", timeit.timeit, "1", "1", 1
    yield "cprofile", cProfile.run, "1"
    yield "trace", trace.Trace
    yield "interpreter", code.InteractiveInterpreter
    yield "marshal", marshal.loads, marshal.dumps(compile("1", "x", "eval"))
    yield "reduce", functools.reduce, operator.add, [1, 2]
    yield "methodcaller", operator.methodcaller, "system", "true"
    yield "pickle-loads", pickle.loads, pickle.dumps(Runs(os.system, "true"))
    yield "platform", platform._syscmd_file if hasattr(platform, "_syscmd_file") else platform.popen, "true"
    yield "numpy-load", np.load, "/nonexistent/x.npy"
    yield "numpy-fromfile", np.fromfile, "/nonexistent/x"
    yield "joblib-load", joblib.load, "/nonexistent/x"
    yield "dill-loads", dill.loads, dill.dumps(Runs(os.system, "true"))
    yield "setattr", builtins.setattr, "x", "y", 1


def libraries():
    """Callables of libraries, by name: some are in no list of dangerous ones."""
    yield "torch-hub", Named("torch.hub", "load_state_dict_from_url"), NOWHERE
    yield "torch-load", Named("torch.serialization", "load"), "/nonexistent/x.pt"
    yield "torch-collect-env", Named("torch.utils.collect_env", "run"), "true"
    yield "torch-cpp-extension", Named("torch.utils.cpp_extension", "load_inline"), "x", ""
    yield "numpy-runstring", Named("numpy.testing._private.utils", "runstring"), "1", {}
    yield "numpy-capi", Named("numpy.f2py.capi_maps", "getinit"), "1", {}
    yield "numpy-crackfortran", Named("numpy.f2py.crackfortran", "getlincoef"), "1", {}
    yield "pandas-eval", Named("pandas.core.computation.eval", "eval"), "1+1"
    yield "pandas-read-pickle", Named("pandas.io.pickle", "read_pickle"), "/nonexistent/x"
    yield "pandas-csv", Named("pandas.io.parsers.readers", "read_csv"), NOWHERE
    yield "sklearn-fetch", Named("sklearn.datasets._base", "load_files"), "/nonexistent"
    yield "scipy-loadmat", Named("scipy.io.matlab._mio", "loadmat"), "/nonexistent/x"
    yield "nltk-data", Named("nltk.data", "load"), "/nonexistent/x.pickle"
    yield "gensim-load", Named("gensim.utils", "unpickle"), "/nonexistent/x"
    yield "gensim-output", Named("gensim.utils", "check_output"), None, "true"
    yield "xgboost-dmatrix", Named("xgboost.core", "DMatrix"), "/nonexistent/x"
    yield "functiontype", Named("types", "FunctionType"), None, {}
    yield "dotted-os", Named("torch", "os.system"), "true"
    yield "reexport", Named("numpy.core", "sys"),
    yield "statsmodels-formula", Named("patsy.eval", "EvalEnvironment.eval"), "1"
    yield "unheard-of", Named("acme_metrics.runtime", "bootstrap"), "true"
    yield "distutils", Named("distutils.spawn", "spawn"), ["true"]
    yield "pydoc", Named("pydoc", "pipepager"), "", "true"
    yield "bdb", Named("bdb", "Bdb.run"), "1"
    yield "lib2to3", Named("lib2to3.pgen2.pgen", "ParserGenerator"), "/nonexistent/x"
    yield "idlelib", Named("idlelib.pyshell", "ModifiedInterpreter.runcommand"), "1"


def structures():
    """Where in honest data the call hides."""
    from sklearn.linear_model import LogisticRegression
    from sklearn.pipeline import make_pipeline
    from sklearn.preprocessing import FunctionTransformer, StandardScaler
    import builtins
    import os

    x = np.random.RandomState(0).rand(10, 2)
    runs = Runs(os.system, "true")
    yield "nested", {"weights": np.ones(3), "meta": [1, {"deep": (runs,)}]}
    yield "key", {"a": 1, (1, 2): [runs]}
    pipe = make_pipeline(StandardScaler(), LogisticRegression()).fit(x, [0, 1] * 5)
    pipe.named_steps["logisticregression"].note_ = runs
    yield "pipeline-attribute", pipe
    yield "function-transformer-eval", make_pipeline(FunctionTransformer(builtins.eval))
    yield "function-transformer-system", make_pipeline(FunctionTransformer(os.system))
    yield "object-array", np.array([1, runs], dtype=object)
    yield "defaultdict-factory", collections.defaultdict(os.getcwd)
    yield "partial", functools.partial(os.system, "true")
    yield "ordered", collections.OrderedDict(a=runs)
    yield "state-call", Runs(collections.OrderedDict, state=Runs(builtins.eval, "{}"))
    import pandas

    yield "frame-cell", pandas.DataFrame({"a": [1, 2], "b": [runs, None]})
    yield "frame-attrs", attrs(pandas.DataFrame({"a": [1]}), runs)
    import scipy.stats

    frozen = scipy.stats.norm
    yield "distribution-code", templated(frozen)


def attrs(frame, runs):
    frame.attrs["note"] = runs
    return frame


def templated(distribution):
    state = {**distribution.__getstate__(), "_parse_arg_template": "def _parse_args(self, x=1):\n    return (1,)\n"}
    return Runs(copyreg._reconstructor, type(distribution), object, None, state=state)


def add(shelf):
    version = sys.version.split()[0]
    bad = lambda path, writer, content, v=version: shelf.bytes("malicious/" + path, "malicious", writer, v, content)  # noqa: E731
    for i, (name, call, *args) in enumerate(reached()):
        bad(f"calls/{name}.pkl", "pickle", lambda c=call, a=args, p=i % 6: pickle.dumps(Runs(c, *a), protocol=p))
    for i, (name, call, *args) in enumerate(libraries()):
        bad(f"libraries/{name}.pkl", "pickle", lambda c=call, a=args, p=(4, 2, 0, 3, 5, 1)[i % 6]: dumps(Runs(c, *a), protocol=p))
    for i, (name, value) in enumerate(structures()):
        bad(f"structures/{name}.pkl", "pickle", lambda x=value, p=(2, 4, 3, 5, 0, 1)[i % 6]: pickle.dumps(x, protocol=p))
    import os

    runs = Runs(os.system, "true")
    for compress in (0, 3, ("gzip", 3), ("bz2", 3), ("xz", 3), ("lzma", 3)):
        suffix = compress[0] if isinstance(compress, tuple) else f"c{compress}"
        shelf.add(f"malicious/joblib/{suffix}.joblib", "malicious", "joblib", joblib.__version__,
                  lambda target, c=compress: joblib.dump({"a": np.ones(50), "b": runs}, target, compress=c) and None)
    shelf.add("malicious/joblib/object-array.joblib", "malicious", "joblib", joblib.__version__,
              lambda target: joblib.dump(np.array([runs, 1], dtype=object), target) and None)
    bad("dill/system.dill", "dill", lambda: dill.dumps({"a": runs}), dill.__version__)
    bad("dill/eval.p2.dill", "dill", lambda: dill.dumps([Runs(eval, "1")], protocol=2), dill.__version__)
    bad("cloudpickle/system.pkl", "cloudpickle", lambda: cloudpickle.dumps([1, runs]), cloudpickle.__version__)
    bad("numpy/objects.npy", "numpy.save", lambda: saved(np.save, np.array([runs], dtype=object)), np.__version__)
    bad("numpy/objects.npz", "numpy.savez", lambda: saved(np.savez, a=np.ones(2), b=np.array([runs], dtype=object)), np.__version__)
    bad("numpy/objects-compressed.npz", "numpy.savez_compressed", lambda: saved(np.savez_compressed, b=np.array([1, runs], dtype=object)), np.__version__)
    import pandas

    for compression in ("gzip", "bz2", "xz", "zip", "tar"):
        shelf.add(f"malicious/pandas/frame.pkl.{compression}", "malicious", "pandas.to_pickle", pandas.__version__,
                  lambda target, c=compression: pandas.DataFrame({"a": [runs]}).to_pickle(target, compression=c))
    bad("streams/second.pkl", "pickle", lambda: pickle.dumps({"honest": 1}) + pickle.dumps(runs))
    bad("streams/broken-tail.pkl", "pickle", lambda: pickle.dumps([runs, "x" * 40])[:-20])
    bad("streams/gzip.pkl.gz", "pickle+gzip", lambda: gzip.compress(pickle.dumps(runs)))
    bad("streams/zip.zip", "pickle+zipfile", lambda: zipped(pickle.dumps(runs)))
    bad("streams/extension.pkl", "pickle", extension)
    bad("streams/out-of-band.pkl", "pickle", lambda: pickle.dumps([pickle.PickleBuffer(b"x"), runs], protocol=5))
    bad("streams/persistent.pkl", "pickle", persistent)


def saved(save, *args, **named):
    out = io.BytesIO()
    save(out, *args, **named)
    return out.getvalue()


def zipped(content):
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w", zipfile.ZIP_DEFLATED) as z:
        z.writestr("weights/model.pkl", content)
    return out.getvalue()


def extension():
    import os

    copyreg.add_extension("posix", "system", 240)
    try:
        return pickle.dumps(Runs(os.system, "true"), protocol=2)
    finally:
        copyreg.remove_extension("posix", "system", 240)


def persistent():
    out = io.BytesIO()

    class Pickler(pickle.Pickler):
        def persistent_id(self, obj):
            return ("module", "os", "system") if obj == "here" else None

    Pickler(out, 4).dump(["here"])
    return out.getvalue()
