"""The standard library's values, by pickle, dill and cloudpickle."""

import array
import calendar
import collections
import dataclasses
import datetime
import http
import io
import ipaddress
import itertools
import logging
import operator
import pathlib
import pickle
import random
import re
import signal
import socket
import statistics
import string
import sys
import time
import types
import typing
import uuid
import zoneinfo

import cloudpickle
import dill
import numpy as np
import pandas as pd
import torch


def values():
    yield "addresses", [ipaddress.ip_address("10.0.0.1"), ipaddress.ip_network("10.0.0.0/8"), ipaddress.ip_address("::1")]
    yield "zones", [datetime.datetime(2020, 1, 1, tzinfo=zoneinfo.ZoneInfo("Europe/Berlin")), datetime.timezone(datetime.timedelta(hours=2), "X")]
    yield "arrays", [array.array("d", [1.0, 2.0]), array.array("b", b"ab"), array.array("Q", [2 ** 63])]
    yield "enums", [http.HTTPStatus.OK, signal.SIGINT, socket.AF_INET, re.I | re.M]
    yield "patterns", [re.compile("a"), re.compile(b"b", re.S), re.compile("c", re.I | re.X)]
    yield "iterators", [itertools.count(3), itertools.repeat("x", 2), iter([1, 2]), iter("ab"), reversed([1, 2]), enumerate(["a"]), zip([1], [2])]
    yield "streams", [io.BytesIO(b"abc"), io.StringIO("x")]
    yield "random", [random.Random(3), random.getstate()]
    yield "statistics", statistics.NormalDist(1, 2)
    yield "times", [time.gmtime(0), time.struct_time(range(9)), calendar.TextCalendar()]
    yield "templates", string.Template("$a")
    yield "paths", [pathlib.Path("a"), pathlib.PureWindowsPath("C:/x")]
    yield "getters", [operator.itemgetter("a", 1), operator.attrgetter("a"), operator.itemgetter(slice(1, 2))]
    yield "typing", [typing.List[int], typing.Optional[str], typing.Any, list[int], typing.Union[int, str], typing.Callable[[int], str]]
    yield "types", [types.SimpleNamespace(a=[1]), types.FunctionType.__name__]
    yield "userdata", [collections.UserDict(a=1), collections.UserList([1]), collections.UserString("x")]
    yield "strings", ["", "\0", "ä", "\U0001f600", "x" * 70000, "line\nline", "__class__", "os.system"]
    yield "bytes", [b"", bytes(range(256)), b"\x80\x04.", bytearray(1000)]
    yield "integers", [0, -1, 255, 256, 65535, 2 ** 31, -2 ** 31, 2 ** 63, -2 ** 63, 2 ** 2048]
    yield "floats", [0.0, -0.0, 1e308, float("inf"), float("nan"), 1 + 2j]
    yield "deep", nest(60)
    yield "wide", list(range(5000))
    yield "same", [[1]] * 300
    yield "uuids", [uuid.uuid5(uuid.NAMESPACE_DNS, "x") for _ in range(3)]
    yield "logger", logging.getLogger("model")
    yield "keys", {(1, "a"): 1, None: 2, 1.5: 3, frozenset([1]): 4, b"x": 5, True: 6}
    yield "nothing", None
    yield "errors", [OSError(2, "x"), UnicodeDecodeError("utf-8", b"\xff", 0, 1, "bad"), StopIteration(3), KeyError(("a", 1))]
    yield "fields", dataclasses.MISSING
    yield "config", {"model": {"layers": [64, 32], "activation": "relu"}, "train": {"lr": 1e-3, "import": "no", "eval": True, "exec": None}}
    yield "torch", {"w": torch.ones(3), "p": torch.nn.Linear(2, 2), "d": torch.float32}
    yield "pandas", [pd.DataFrame({"a": [1]}), pd.Timestamp("2020"), pd.Categorical(["a"])]
    yield "numpy", [np.arange(3), np.float64(1), np.dtype("U3"), np.random.default_rng(1), np.ma.ones(2)]


def nest(n):
    value = []
    for i in range(n):
        value = [value] if i % 3 else {"k": (value,)}
    return value


def add(shelf):
    for name, value in values():
        for protocol in range(6):
            shelf.bytes(f"standard/{name}.p{protocol}.pkl", "benign", "pickle", sys.version.split()[0], lambda x=value, p=protocol: pickle.dumps(x, protocol=p))
            if protocol in (1, 3, 4):
                shelf.bytes(f"standard/{name}.p{protocol}.dill", "benign", "dill", dill.__version__, lambda x=value, p=protocol: dill.dumps(x, protocol=p))
        shelf.bytes(f"standard/{name}.cloudpickle", "benign", "cloudpickle", cloudpickle.__version__, lambda x=value: cloudpickle.dumps(x))
        shelf.bytes(f"standard/{name}.python.pkl", "benign", "pickle (Python)", sys.version.split()[0], lambda x=value: pickle._dumps(x, protocol=4))
