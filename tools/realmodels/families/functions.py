"""dill and cloudpickle: plain data (benign), and functions and classes (code)."""

import collections
import datetime
import decimal
import enum
import fractions
import functools
import math
import operator
import pathlib
import pickle
import re
import sys
import types
import uuid

import cloudpickle
import dill
import numpy as np


class Color(enum.Enum):
    RED = 1


class Model:
    """A class of the program that saves."""

    def __init__(self):
        self.w = np.ones(3)

    def predict(self, x):
        return x @ self.w


def plain():
    yield "containers", {"a": [1, 2.5, "x", b"y", None, True], "t": (1, (2,)), "s": {1, 2}, "f": frozenset("ab"), "c": 1j, "big": 10 ** 40, "ba": bytearray(b"z")}
    yield "times", [datetime.datetime(2020, 1, 1, tzinfo=datetime.timezone.utc), datetime.date(2020, 1, 1), datetime.time(1), datetime.timedelta(1)]
    yield "numbers", [decimal.Decimal("1.5"), fractions.Fraction(1, 3), float("nan"), float("inf"), -0.0]
    yield "collections", [collections.OrderedDict(a=1), collections.Counter("aab"), collections.deque([1], 3), collections.defaultdict(int, a=1), collections.defaultdict(list),
                          collections.ChainMap({"a": 1})]
    yield "others", [uuid.UUID(int=5), pathlib.PurePosixPath("a/b"), re.compile("a+b", re.I), range(3), slice(1, 2), Ellipsis, NotImplemented, types.SimpleNamespace(a=1)]
    yield "builtins", [len, print, sorted, math.sqrt, operator.itemgetter(1), operator.attrgetter("a"), int, dict, str.lower]
    yield "partials", [functools.partial(int, base=2), functools.partial(round, ndigits=2)]
    yield "types", [type(None), type(...), int, list, object]
    yield "exceptions", [ValueError("bad"), KeyError("k")]
    yield "arrays", {"x": np.arange(12.0).reshape(3, 4), "o": np.array([1, "a"], dtype=object), "s": np.float32(1)}
    yield "recursive", recursive()


def recursive():
    a = [1]
    a.append({"self": a})
    return a


def trained():
    from sklearn.linear_model import LogisticRegression
    from sklearn.pipeline import make_pipeline
    from sklearn.preprocessing import StandardScaler

    x = np.random.RandomState(0).rand(20, 3)
    yield "pipeline", make_pipeline(StandardScaler(), LogisticRegression()).fit(x, x[:, 0] > 0.5)
    import pandas

    yield "frame", pandas.DataFrame({"a": [1, 2], "b": ["x", "y"]})


def code():
    from sklearn.preprocessing import FunctionTransformer

    bound = 3
    own = types.ModuleType("own")
    yield "lambda", lambda x: x + 1
    yield "closure", lambda x: x + bound
    yield "function", recursive_sum
    yield "class", Model
    yield "instance", Model()
    yield "enum", Color.RED
    yield "method", Model().predict
    yield "function-transformer", FunctionTransformer(lambda x: x * 2)
    yield "partial-lambda", functools.partial(lambda x, y: x + y, 1)
    yield "module", own
    yield "generator-function", count
    yield "namedtuple", collections.namedtuple("Point", "x y")(1, 2)


def recursive_sum(xs):
    return 0 if not xs else xs[0] + recursive_sum(xs[1:])


def count(n):
    yield from range(n)


def add(shelf):
    for kind in (Color, Model):
        kind.__module__ = "__main__"
        setattr(sys.modules["__main__"], kind.__name__, kind)
    for function in (recursive_sum, count):
        function.__module__ = "__main__"
    for name, value in list(plain()) + list(trained()):
        for protocol in (2, 4, 5):
            shelf.bytes(f"dill/{name}.p{protocol}.dill", "benign", "dill", dill.__version__, lambda x=value, p=protocol: dill.dumps(x, protocol=p))
        shelf.bytes(f"cloudpickle/{name}.pkl", "benign", "cloudpickle", cloudpickle.__version__, lambda x=value: cloudpickle.dumps(x))
        for protocol in (0, 1, 3):
            shelf.bytes(f"stdlib/{name}.p{protocol}.pkl", "benign", "pickle", sys.version.split()[0], lambda x=value, p=protocol: pickle.dumps(x, protocol=p))
    for name, value in code():
        shelf.bytes(f"code/{name}.dill", "code", "dill", dill.__version__, lambda x=value: dill.dumps(x, byref=False, recurse=True))
        shelf.bytes(f"code/{name}.cloudpickle", "code", "cloudpickle", cloudpickle.__version__, lambda x=value: cloudpickle.dumps(x))
