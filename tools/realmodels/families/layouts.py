"""Files that are laid out: HDF5 (plain, and as Keras has it) and ONNX."""

import json
import os

import h5py
import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper


def hdf5(shelf):
    v = f"{h5py.__version__}+hdf5-{h5py.version.hdf5_version}"

    def file(name, fill, label="benign", **options):
        def write(target):
            with h5py.File(target, "w", **options) as f:
                fill(f)
        shelf.add(f"hdf5/{name}.h5", label, "h5py", v, write)

    data = np.arange(600, dtype="f4").reshape(30, 20)
    file("plain", lambda f: f.create_dataset("x", data=data))
    file("latest", lambda f: f.create_dataset("a/b/c/x", data=data), libver="latest")
    file("v110", lambda f: f.create_dataset("a/x", data=data, chunks=True), libver=("earliest", "v110"))
    file("chunked", lambda f: f.create_dataset("x", data=data, chunks=(5, 7)))
    file("chunked-latest", lambda f: [f.create_dataset(f"x{i}", data=data, chunks=(4, 4), maxshape=m) for i, m in enumerate([None, (None, 20), (None, None)])], libver="latest")
    file("single-chunk", lambda f: f.create_dataset("x", data=data, chunks=data.shape, compression="gzip"), libver="latest")
    file("gzip", lambda f: f.create_dataset("x", data=data, compression="gzip", shuffle=True, fletcher32=True))
    file("lzf", lambda f: f.create_dataset("x", data=data, compression="lzf"))
    file("scaleoffset", lambda f: f.create_dataset("x", data=data.astype("i4"), scaleoffset=0))
    file("compact", lambda f: compact(f, data[:2]))
    file("resized", lambda f: f.create_dataset("x", data=data, maxshape=(None, 20)).resize((10, 20)))
    file("fill", lambda f: f.create_dataset("x", (1000, 10), fillvalue=3))
    file("empty", lambda f: [f.create_dataset("e", data=h5py.Empty("f4")), f.create_group("g")])
    file("scalar", lambda f: f.create_dataset("s", data=3.5))
    file("strings", lambda f: [f.create_dataset("fixed", data=np.array([b"a", b"bc"])), f.create_dataset("vlen", data=["ä", "bcd"], dtype=h5py.string_dtype()),
                               f.create_dataset("chunked", data=["x"] * 50, dtype=h5py.string_dtype(), chunks=(7,), compression="gzip")])
    file("types", lambda f: types(f))
    file("vlen", lambda f: f.create_dataset("v", (3,), dtype=h5py.vlen_dtype("i4")).__setitem__(1, [1, 2, 3]))
    file("references", lambda f: [f.create_dataset("x", data=data), f.create_dataset("r", data=np.array([f["x"].ref], dtype=h5py.ref_dtype)),
                                  f.create_dataset("rr", data=np.array([f["x"].regionref[:2, :3]], dtype=h5py.regionref_dtype))])
    file("links-inside", lambda f: [f.create_dataset("x", data=data), f.__setitem__("soft", h5py.SoftLink("/x")), f.__setitem__("hard", f["x"]),
                                    f.create_group("g").__setitem__("up", h5py.SoftLink("/x"))])
    file("dangling", lambda f: f.__setitem__("soft", h5py.SoftLink("/nothing")))
    file("attributes", lambda f: [f.attrs.__setitem__(k, x) for k, x in {"i": 1, "f": 1.5, "s": "text", "l": [1, 2], "a": data[0], "ss": ["a", "bc"]}.items()])
    file("attributes-many", lambda f: [f.attrs.__setitem__(f"a{i}", "x" * i) for i in range(60)], libver="latest")
    file("groups-many", lambda f: [f.create_dataset(f"g{i:03}/w", data=data[0]) for i in range(200)])
    file("groups-many-latest", lambda f: [f.create_dataset(f"g{i:03}/w", data=data[0]) for i in range(200)], libver="latest")
    file("ordered", lambda f: [f.create_group(f"g{i}") for i in (3, 1, 2)], track_order=True)
    file("deep", lambda f: f.create_dataset("/".join("abcdefghijklmnop"), data=data[0]))
    file("scales", lambda f: [f.create_dataset("x", data=data), f.create_dataset("rows", data=data[:, 0]), f["rows"].make_scale("rows"), f["x"].dims[0].attach_scale(f["rows"])])
    file("enum", lambda f: f.create_dataset("e", (3,), dtype=h5py.enum_dtype({"RED": 0, "BLUE": 1})))
    file("bytes-opaque", lambda f: f.create_dataset("o", data=np.void(b"abc\x00def")))
    file("userblock", lambda f: f.create_dataset("x", data=data), userblock_size=512)
    file("deleted", lambda f: [f.create_dataset("x", data=data), f.create_dataset("y", data=data), f.__delitem__("x")])
    file("virtual-inside", virtual_inside)
    file("pages", lambda f: [f.create_dataset(f"x{i}", data=data) for i in range(5)], fs_strategy="page", fs_persist=True)
    file("v108", lambda f: f.create_dataset("a/x", data=data, chunks=(3, 3), compression="gzip"), libver=("v108", "v108"))
    file("v112", lambda f: f.create_dataset("a/x", data=data, chunks=(3, 3), maxshape=(None, None)), libver=("v112", "v112"))
    file("extensible-filtered", lambda f: f.create_dataset("x", data=data, chunks=(3, 3), maxshape=(None, 20), compression="gzip"), libver="latest")
    file("btree2-filtered", lambda f: f.create_dataset("x", data=data, chunks=(3, 3), maxshape=(None, None), compression="gzip", fletcher32=True), libver="latest")
    file("big-attribute", lambda f: f.attrs.create("big", np.zeros(3000)))
    file("big-attribute-latest", lambda f: f.attrs.create("big", np.zeros(20000)), libver="latest")
    file("attribute-reference", lambda f: [f.create_group("g"), f.attrs.create("r", f["g"].ref, dtype=h5py.ref_dtype), f.attrs.create("t", np.dtype("f4").str)])
    file("compound-text", lambda f: f.create_dataset("c", data=np.array([(1, "a")], dtype=[("i", "i4"), ("s", h5py.string_dtype())])))
    file("array-type", lambda f: f.create_dataset("a", (2,), dtype=np.dtype(("f4", (2, 3)))))
    file("shared-type", lambda f: [f.__setitem__("t", np.dtype([("a", "i4")])), f.create_dataset("x", (3,), dtype=f["t"])])
    file("ordered-latest", lambda f: [f.create_dataset(f"d{i}", data=data) for i in range(30)], libver="latest", track_order=True)
    file("swmr", lambda f: [f.create_dataset("x", data=data, maxshape=(None, 20)), setattr(f, "swmr_mode", True)], libver="latest")
    file("aligned", lambda f: [f.create_dataset(f"x{i}", data=data) for i in range(3)], alignment_threshold=64, alignment_interval=4096)
    file("aggregated", lambda f: [f.create_dataset(f"x{i}", data=data) for i in range(3)], fs_strategy="aggregate")
    file("nostrategy", lambda f: f.create_dataset("x", data=data), fs_strategy="none")
    file("userblock-large", lambda f: f.create_dataset("x", data=data), userblock_size=2048, libver="latest")
    file("virtual-unlimited", virtual_unlimited, libver="latest")
    file("large-dataset", lambda f: f.create_dataset("x", (2000000,), dtype="f4", chunks=(1000,)).__setitem__(slice(0, 2000000, 1000), 1))
    file("long-names", lambda f: [f.create_group("g" * 300), f["g" * 300].attrs.__setitem__("a" * 200, 1)])
    file("unicode-names", lambda f: [f.create_dataset("größe/重み", data=data), f.attrs.__setitem__("ключ", "значение")])
    file("nbit-like", lambda f: f.create_dataset("x", data=data.astype("u2"), scaleoffset=5, shuffle=True, chunks=(5, 5)))
    file("mixed-deleted", lambda f: [f.create_dataset(f"x{i}", data=data) for i in range(20)] + [f.__delitem__(f"x{i}") for i in range(0, 20, 2)], libver="latest")
    file("moved", lambda f: [f.create_dataset("x", data=data), f.move("x", "y"), f.copy("y", "z")])
    file("keras-weights", lambda f: keras(f, None))
    file("keras-model", lambda f: keras(f, "Sequential"))
    file("keras-functional", lambda f: keras(f, "Functional"), libver="latest")
    file("keras-lambda-layer-name", lambda f: keras(f, "Sequential", name="lambda_eval_import"))
    file("pandas-like", lambda f: [f.create_group("df").attrs.__setitem__("pandas_type", "frame"), f.create_dataset("df/axis0", data=np.array([b"a", b"b"]))])


def compact(f, data):
    create = h5py.h5p.create(h5py.h5p.DATASET_CREATE)
    create.set_layout(h5py.h5d.COMPACT)
    space = h5py.h5s.create_simple(data.shape)
    h5py.h5d.create(f.id, b"x", h5py.h5t.NATIVE_FLOAT, space, create).write(h5py.h5s.ALL, h5py.h5s.ALL, data.copy())


def types(f):
    for kind in "i1 i2 i4 i8 u1 u2 u4 u8 f2 f4 f8 >f4 >i8 c8 c16 bool".split():
        f.create_dataset("t_" + kind.replace(">", "big"), data=np.zeros(3, dtype=kind))
    f.create_dataset("compound", data=np.zeros(2, dtype=[("a", "i4"), ("b", "f8", (2,)), ("c", "S5")]))
    f["committed"] = np.dtype("f8")


def virtual_inside(f):
    f.create_dataset("x", data=np.arange(10))
    layout = h5py.VirtualLayout(shape=(10,), dtype="i8")
    layout[:] = h5py.VirtualSource(".", "x", shape=(10,))
    f.create_virtual_dataset("v", layout)


def virtual_unlimited(f):
    f.create_dataset("x", data=np.arange(10), maxshape=(None,), chunks=(5,))
    layout = h5py.VirtualLayout(shape=(10,), dtype="i8", maxshape=(None,))
    layout[:] = h5py.VirtualSource(".", "x", shape=(10,), maxshape=(None,))
    f.create_virtual_dataset("v", layout)


def keras(f, kind, name="dense"):
    """What model.save writes to HDF5 (Keras 2, saving/hdf5_format.py)."""
    target = f
    if kind:
        layer = {"class_name": "Dense", "config": {"name": name, "trainable": True, "dtype": "float32", "units": 2, "activation": "relu", "use_bias": True,
                 "kernel_initializer": {"class_name": "GlorotUniform", "config": {"seed": None}}, "bias_initializer": {"class_name": "Zeros", "config": {}}}}
        first = {"class_name": "InputLayer", "config": {"batch_input_shape": [None, 4], "dtype": "float32", "sparse": False, "ragged": False, "name": "input"}}
        config = {"name": "model", "layers": [first, layer]}
        if kind == "Functional":
            config = {"name": "model", "trainable": True, "layers": [{**first, "name": "input", "inbound_nodes": []},
                      {**layer, "name": name, "inbound_nodes": [[["input", 0, 0, {}]]]}], "input_layers": [["input", 0, 0]], "output_layers": [[name, 0, 0]]}
        f.attrs["model_config"] = json.dumps({"class_name": kind, "config": config})
        f.attrs["training_config"] = json.dumps({"loss": "mse", "metrics": [], "weighted_metrics": None, "loss_weights": None,
                                                 "optimizer_config": {"class_name": "Adam", "config": {"learning_rate": 0.001}}})
        target = f.create_group("model_weights")
    for at in {f.id: f, target.id: target}.values():
        at.attrs["keras_version"] = b"2.11.0"
        at.attrs["backend"] = b"tensorflow"
    target.attrs["layer_names"] = np.array([name.encode()])
    group = target.create_group(name)
    group.attrs["weight_names"] = np.array([f"{name}/kernel:0".encode(), f"{name}/bias:0".encode()])
    group.create_dataset(f"{name}/kernel:0", data=np.zeros((4, 2), "f4"))
    group.create_dataset(f"{name}/bias:0", data=np.zeros(2, "f4"))


def model(nodes, inputs=("x",), outputs=("y",), initializers=(), functions=(), domains=(), **options):
    info = lambda n: helper.make_tensor_value_info(n, TensorProto.FLOAT, [None, 3])  # noqa: E731
    graph = helper.make_graph(list(nodes), "main", [info(n) for n in inputs], [info(n) for n in outputs], list(initializers))
    opsets = [helper.make_opsetid("", 15)] + [helper.make_opsetid(d, 1) for d in domains]
    return helper.make_model(graph, functions=list(functions), opset_imports=opsets, producer_name="realmodels", **options)


def matmul():
    w = numpy_helper.from_array(np.arange(9, dtype="f4").reshape(3, 3), "w")
    return model([helper.make_node("MatMul", ["x", "w"], ["h"]), helper.make_node("Relu", ["h"], ["y"])], initializers=[w])


def onnx_models():
    yield "matmul", matmul()
    plain = matmul()
    plain.doc_string = "A small model"
    helper.set_model_props(plain, {"license": "MIT", "author": "nobody"})
    yield "properties", plain
    branch = lambda op: helper.make_graph([helper.make_node(op, ["x"], ["b"])], op, [], [helper.make_tensor_value_info("b", TensorProto.FLOAT, None)])  # noqa: E731
    yield "if", model([helper.make_node("If", ["c"], ["y"], then_branch=branch("Relu"), else_branch=branch("Abs"))],
                      initializers=[numpy_helper.from_array(np.array(True), "c")])
    body = helper.make_graph([helper.make_node("Identity", ["cond"], ["go"]), helper.make_node("Add", ["v", "v"], ["out"])], "body",
                             [helper.make_tensor_value_info(n, t, None) for n, t in (("i", TensorProto.INT64), ("cond", TensorProto.BOOL), ("v", TensorProto.FLOAT))],
                             [helper.make_tensor_value_info("go", TensorProto.BOOL, None), helper.make_tensor_value_info("out", TensorProto.FLOAT, None)])
    yield "loop", model([helper.make_node("Loop", ["n", "", "x"], ["y"], body=body)], initializers=[numpy_helper.from_array(np.array(3), "n")])
    twice = helper.make_function("local", "Twice", ["a"], ["b"], [helper.make_node("Add", ["a", "a"], ["b"])], [helper.make_opsetid("", 15)])
    yield "function", model([helper.make_node("Twice", ["x"], ["y"], domain="local")], functions=[twice], domains=["local"])
    yield "ml-scaler", model([helper.make_node("Scaler", ["x"], ["y"], domain="ai.onnx.ml", offset=[0.0], scale=[1.0])], domains=["ai.onnx.ml"])
    yield "ml-trees", model([helper.make_node(
        "TreeEnsembleRegressor", ["x"], ["y"], domain="ai.onnx.ml", nodes_treeids=[0], nodes_nodeids=[0], nodes_featureids=[0], nodes_values=[0.0], nodes_modes=["LEAF"],
        nodes_truenodeids=[0], nodes_falsenodeids=[0], target_treeids=[0], target_nodeids=[0], target_ids=[0], target_weights=[1.0], n_targets=1)], domains=["ai.onnx.ml"])
    yield "strings", model([helper.make_node("Identity", ["x"], ["y"])],
                           initializers=[helper.make_tensor("s", TensorProto.STRING, [2], [b"eval", b"import os"])])
    yield "tensors", model([helper.make_node("Identity", ["x"], ["y"])], initializers=[
        helper.make_tensor(str(i), kind, [2], [1, 0]) for i, kind in enumerate((TensorProto.FLOAT, TensorProto.INT64, TensorProto.INT32, TensorProto.DOUBLE, TensorProto.UINT8,
                                                                            TensorProto.BOOL, TensorProto.FLOAT16))])
    yield "sparse", model([helper.make_node("Constant", [], ["y"], sparse_value=helper.make_sparse_tensor(
        helper.make_tensor("v", TensorProto.FLOAT, [2], [1.0, 2.0]), helper.make_tensor("i", TensorProto.INT64, [2], [0, 2]), [3]))])
    layers = [helper.make_node("Relu", [f"h{i}" if i else "x"], [f"h{i + 1}" if i < 299 else "y"]) for i in range(300)]
    yield "deep", model(layers)


def onnx_files(shelf):
    v = onnx.__version__
    for name, made in onnx_models():
        shelf.add(f"onnx/{name}.onnx", "benign", "onnx.helper", v, lambda target, m=made: onnx.save(m, target))

    def external(target, location, **options):
        big = model([helper.make_node("MatMul", ["x", "w"], ["y"])], initializers=[numpy_helper.from_array(np.ones((3, 3), "f4"), "w")])
        onnx.save(big, target, save_as_external_data=True, location=location, size_threshold=0, **options)
        folder = os.path.dirname(target)
        return [os.path.join(folder, n) for n in sorted(os.listdir(folder))]

    shelf.add("onnx/external/model.onnx", "benign", "onnx.save", v, lambda target: external(target, "weights.bin"))
    shelf.add("onnx/external-each/model.onnx", "benign", "onnx.save", v, lambda target: external(target, None, all_tensors_to_one_file=False))
    shelf.bytes("onnx/model.textproto", "benign", "onnx+protobuf", v, lambda: str(matmul()).encode())


def add(shelf):
    hdf5(shelf)
    onnx_files(shelf)
