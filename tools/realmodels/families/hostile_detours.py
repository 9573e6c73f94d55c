"""Calls that hide behind what honest files hold: the detours of allow-lists."""

import collections
import functools
import operator
import sys

from .hostile import Named, Runs, dumps


class Kept:
    """A call whose result stays in a value that honest data has."""

    def __init__(self, *args):
        self.args = args

    def __reduce__(self):
        return self.args

    def __call__(self):
        """Picklers want what is called to be callable."""


def detours():
    evaluated = "__import__('posix').getpid()"
    load_type, text, attribute = (Named("dill._dill", n) for n in ("_load_type", "_eval_repr", "_getattr"))
    yield "dill-eval", Kept(text, (evaluated,))
    yield "dill-eval-range", Kept(text, ("range(0, " + evaluated + ")",))
    yield "dill-eval-kept", {"parse": text, "range": Kept(text, ("range(0, 3)",))}
    yield "dill-eval-partial", Kept(Named("functools", "partial"), (text, evaluated))
    yield "dill-eval-factory", Kept(Named("collections", "defaultdict"), (Kept(Named("functools", "partial"), (text, evaluated)),))
    yield "dill-method", Kept(attribute, (Kept(load_type, ("str",)), "lower", "<'a'" + evaluated + "'>"))
    yield "dill-code", Kept(Kept(load_type, ("CodeType",)), ())
    yield "dill-function", Kept(load_type, ("FunctionType",))
    yield "cloudpickle-code", Kept(Named("cloudpickle.cloudpickle", "_builtin_type"), ("CodeType",))
    yield "or-of-objects", Kept(Named("_operator", "or_"), (Kept(Named("acme.flags", "Flag"), ()), 1))
    yield "item-of-globals", Kept(Named("_operator", "getitem"), (Named("builtins", "__dict__"), "eval"))
    yield "optional-of-text", Kept(Named("_operator", "getitem"), (Named("typing", "Optional"), evaluated))
    yield "iter-of-call", Kept(Named("builtins", "iter"), (Named("posix", "getpid"), 0))
    yield "iter-of-partial", Kept(Named("builtins", "iter"), (functools.partial(eval, "1"), 0))
    yield "list-of-map", Kept(Named("builtins", "list"), (Kept(Named("builtins", "map"), (eval, ["1"])),))
    yield "list-of-count", Kept(Named("builtins", "list"), (Kept(Named("itertools", "count"), (0,)),))
    yield "vectorize", Kept(Kept(Named("numpy", "vectorize"), (eval,)), (["1"],))
    yield "hook", Kept(Named("torch.nn.modules.module", "_WrappedHook"), (), {"hook": eval, "with_module": False})
    yield "script-object", Kept(Named("copyreg", "_reconstructor"), (Named("torch", "ScriptObject"), object, None), ((1,), "__torch__.torch.classes.acme.Loader"))
    yield "new-of-another", Kept(Kept(Named("builtins", "getattr"), (Named("scipy.stats._stats_py", "KstestResult"), "__new__")), (Named("acme", "Net"),))
    yield "new-partial", Kept(Named("functools", "partial"), (Kept(Named("builtins", "getattr"), (Named("acme.net", "Net"), "__new__")), Named("acme.net", "Net")))
    yield "index-of-class", Kept(Named("pandas.core.indexes.interval", "_new_IntervalIndex"), (Named("acme.net", "Net"), {"left": 1}))
    yield "getter-of-globals", Kept(Kept(Named("operator", "attrgetter"), ("lower.__globals__",)), ("x",))
    yield "method-of-str", Kept(Kept(Named("builtins", "getattr"), ("{0.__class__}", "format")), (1,))
    yield "fromarrays", Kept(Named("torch._tensor", "_rebuild_from_type_v2"), (eval, object, ("1",), {}))
    yield "parameter-state", Kept(Named("torch._utils", "_rebuild_parameter_with_state"), (Runs(eval, "1"), True, collections.OrderedDict(), {}))
    yield "random-ctor", Kept(Named("numpy.random._pickle", "__randomstate_ctor"), ("MT19937", eval))
    yield "ufunc", Kept(Named("numpy.core", "_ufunc_reconstruct"), ("posix", "system"))
    yield "encode", Kept(Named("_codecs", "encode"), ("x", "rot13"))
    yield "sum", Kept(Named("builtins", "sum"), ([Runs(eval, "[1]")], []))
    yield "counter", Kept(Named("collections", "Counter"), (Runs(eval, "'aab'"),))
    yield "itemgetter", Kept(operator.itemgetter("x"), (Runs(eval, "{'x': 1}"),))


def add(shelf):
    version = sys.version.split()[0]
    for i, (name, value) in enumerate(detours()):
        shelf.bytes(f"malicious/detours/{name}.pkl", "malicious", "pickle", version, lambda x=value, p=(4, 2, 3, 5)[i % 4]: dumps(x, protocol=p))
