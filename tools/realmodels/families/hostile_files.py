"""Files of torch, h5py, onnx, gensim and NLTK that run or leave the file.

What would run is harmless, and what they reach for is not there.
"""

import io
import json
import os
import pickle
import zipfile

from .hostile import NOWHERE, Runs


def torch_files(shelf):
    import torch
    from torch import nn

    from .torch_files import Marked

    v = torch.__version__
    runs = Runs(os.system, "true")

    def bad(name, value, **options):
        shelf.add(f"malicious/torch/{name}.pt", "malicious", "torch.save", v, lambda target: torch.save(value(), target, **options))

    def module():
        model = nn.Sequential(nn.Linear(2, 2))
        model[0].note = runs
        return model

    def hooked():
        model = nn.Linear(2, 2)
        model._forward_hooks[0] = os.system
        return model

    def attribute():
        t = torch.ones(2).as_subclass(Marked)
        t.note = runs
        return t

    bad("dict", lambda: {"state_dict": {"w": torch.ones(2)}, "extra": runs})
    bad("dict-legacy", lambda: {"w": torch.ones(2), "extra": runs}, _use_new_zipfile_serialization=False)
    bad("module", module)
    bad("module-legacy", module, _use_new_zipfile_serialization=False)
    bad("hook", hooked)
    bad("tensor-attribute", attribute)
    bad("optimizer-key", lambda: {"optimizer": {"state": {0: {"step": Runs(eval, "1")}}, "param_groups": []}})
    bad("protocol0", lambda: {"a": runs}, pickle_protocol=0)
    bad("protocol5", lambda: {"a": runs}, pickle_protocol=5)
    bad("nested-load", lambda: Runs(torch.storage._load_from_bytes, saved(torch, {"a": runs})))
    bad("hub", lambda: Runs(torch.hub.load_state_dict_from_url, NOWHERE))
    bad("lambdalr", lambda: {"lr_lambdas": [Runs(eval, "lambda e: 1")]})

    def odd_member(target):
        torch.save({"w": torch.ones(2)}, target)
        with zipfile.ZipFile(target, "a") as z:
            z.writestr("archive/extra.pkl", pickle.dumps(runs))

    shelf.add("malicious/torch/odd-member.pt", "malicious", "torch.save+zipfile", v, odd_member)

    def script_member(target):
        torch.jit.script(nn.Linear(2, 2)).save(target)
        with zipfile.ZipFile(target, "a") as z:
            z.writestr("archive/code/run.pkl", pickle.dumps(runs))

    shelf.add("malicious/torch/script-member.pt", "malicious", "torch.jit.script+zipfile", v, script_member)

    def package(target):
        with torch.package.PackageExporter(target) as exporter:
            exporter.extern(["torch.**", "posix", "os"])
            exporter.save_pickle("model", "model.pkl", {"a": runs})

    shelf.add("malicious/torch/package.pt", "malicious", "torch.package", v, package)


def saved(torch, value):
    out = io.BytesIO()
    torch.save(value, out)
    return out.getvalue()


def hdf5_files(shelf):
    import h5py
    import numpy as np

    v = f"{h5py.__version__}+hdf5-{h5py.version.hdf5_version}"

    def bad(name, fill, **options):
        def write(target):
            with h5py.File(target, "w", **options) as f:
                fill(f)
        shelf.add(f"malicious/hdf5/{name}.h5", "malicious", "h5py", v, write)

    def virtual(f):
        layout = h5py.VirtualLayout(shape=(4,), dtype="i8")
        layout[:] = h5py.VirtualSource("/etc/hostname", "x", shape=(4,))
        f.create_virtual_dataset("v", layout)

    def lambda_layer(f):
        import base64
        import marshal

        code = base64.b64encode(marshal.dumps(compile("1", "x", "eval"))).decode()
        f.attrs["model_config"] = json.dumps({"class_name": "Sequential", "config": {"name": "m", "layers": [
            {"class_name": "Lambda", "config": {"name": "l", "function": [code, None, None], "function_type": "lambda", "module": "__main__"}}]}})
        f.attrs["keras_version"] = "2.11.0"
        f.create_group("model_weights")

    bad("external-link", lambda f: f.__setitem__("x", h5py.ExternalLink("/etc/hostname", "/x")))
    bad("external-link-up", lambda f: f.__setitem__("a/b", h5py.ExternalLink("../../other.h5", "/w")), libver="latest")
    bad("external-link-among-many", lambda f: [f.create_dataset(f"g{i:03}/w", data=np.ones(3)) for i in range(50)] + [f.__setitem__("g020/y", h5py.ExternalLink("/etc/hostname", "/"))])
    bad("external-data", lambda f: f.create_dataset("x", (4,), dtype="u1", external=[("/etc/hostname", 0, 4)]))
    bad("virtual", virtual, libver="latest")
    bad("virtual-earliest", virtual)
    bad("lambda", lambda_layer)
    bad("lambda-latest", lambda_layer, libver="latest")


def onnx_files(shelf):
    import onnx
    from onnx import TensorProto, helper

    def model(location, node=None, domain=""):
        w = TensorProto(name="w", data_type=TensorProto.FLOAT, dims=[3, 3], data_location=TensorProto.EXTERNAL)
        w.external_data.add(key="location", value=location)
        info = lambda n: helper.make_tensor_value_info(n, TensorProto.FLOAT, [None, 3])  # noqa: E731
        graph = helper.make_graph([helper.make_node(node or "MatMul", ["x", "w"], ["y"], domain=domain)], "main", [info("x")], [info("y")], [w])
        return helper.make_model(graph)

    for name, location in (("absolute", "/etc/hostname"), ("up", "../../etc/hostname"), ("middle", "weights/../../x.bin"), ("backslash", "..\\x.bin")):
        shelf.bytes(f"malicious/onnx/{name}.onnx", "malicious", "onnx.helper", onnx.__version__, lambda p=location: model(p).SerializeToString())
    shelf.bytes("malicious/onnx/python-op.onnx", "malicious", "onnx.helper", onnx.__version__,
                lambda: model("weights.bin", "PyOp", "ai.onnx.contrib").SerializeToString())


def word_files(shelf):
    import gensim
    import nltk
    from gensim import corpora

    def dictionary(target):
        words = corpora.Dictionary([["a", "b"]])
        words.note = Runs(os.system, "true")
        words.save(target)

    shelf.add("malicious/gensim/dictionary.model", "malicious", "gensim.save", gensim.__version__, dictionary)
    shelf.bytes("malicious/nltk/tagger.pickle", "malicious", "nltk+pickle", nltk.__version__,
                lambda: pickle.dumps({"tagger": nltk.tag.UnigramTagger([[("a", "B")]]), "backoff": Runs(os.popen, "true")}))
    shelf.bytes("malicious/nltk/regexp.pickle", "malicious", "nltk+pickle", nltk.__version__,
                lambda: pickle.dumps({"t": nltk.RegexpTagger([(".*", "NN")]), "x": Runs(nltk.data.load, "/nonexistent/x.pickle")}))


def boost_files(shelf):
    import xgboost
    import numpy as np

    def classifier():
        model = xgboost.XGBClassifier(n_estimators=1, n_jobs=1).fit(np.array([[0.0], [1.0]]), [0, 1])
        model.note = Runs(os.system, "true")
        return model

    shelf.bytes("malicious/xgboost/classifier.pkl", "malicious", "xgboost+pickle", xgboost.__version__, lambda: pickle.dumps(classifier()))


def add(shelf):
    for part in (torch_files, hdf5_files, onnx_files, word_files, boost_files):
        try:
            part(shelf)
        except ImportError as err:
            shelf.failures.append((part.__name__, str(err)))
