"""ONNX: the models that the library tests its operators with, and tensors."""

import numpy as np
import onnx
from onnx import numpy_helper
from onnx.backend.test.case.node import collect_testcases

EVERY = 6  # of some 1,100 models


def add(shelf):
    v = onnx.__version__
    for name, kind in (("float", float), ("int", int), ("bool", bool), ("object", object), ("str", str)):
        if name not in np.__dict__:  # the cases are older than the numpy that Debian has
            setattr(np, name, kind)
    seen = set()
    for i, case in enumerate(collect_testcases(None)):
        op = case.model.graph.node[0].op_type if case.model.graph.node else "none"
        if op in seen and i % EVERY:
            continue
        seen.add(op)
        shelf.add(f"operators/{case.name}.onnx", "benign", "onnx.save", v, lambda target, m=case.model: onnx.save(m, target))
    for kind in ("float32", "int64", "bool", "float16", "uint8", "complex64"):
        shelf.bytes(f"operators/tensor-{kind}.pb", "benign", "onnx.TensorProto", v,
                    lambda k=kind: numpy_helper.from_array(np.ones((2, 3), dtype=k), "x").SerializeToString())
