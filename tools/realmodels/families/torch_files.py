"""PyTorch: tensors, state dicts, whole modules, optimizers, TorchScript."""

import collections
import io
import pickle
import sys

import torch
from torch import nn, optim

LAYERS = {
    "linear": lambda: nn.Linear(3, 2), "bilinear": lambda: nn.Bilinear(2, 3, 4), "identity": nn.Identity, "lazylinear": lambda: nn.LazyLinear(3),
    "conv1d": lambda: nn.Conv1d(1, 2, 3), "conv2d": lambda: nn.Conv2d(1, 2, 3, padding="same"), "conv3d": lambda: nn.Conv3d(1, 1, 2),
    "convtranspose": lambda: nn.ConvTranspose2d(1, 2, 3), "embedding": lambda: nn.Embedding(5, 3, padding_idx=0), "embeddingbag": lambda: nn.EmbeddingBag(5, 3),
    "batchnorm1d": lambda: nn.BatchNorm1d(3), "batchnorm2d": lambda: nn.BatchNorm2d(3), "syncbatchnorm": lambda: nn.SyncBatchNorm(3),
    "instancenorm": lambda: nn.InstanceNorm2d(3, affine=True), "layernorm": lambda: nn.LayerNorm(3), "groupnorm": lambda: nn.GroupNorm(1, 3),
    "localresponse": lambda: nn.LocalResponseNorm(2), "crossmap": lambda: nn.CrossMapLRN2d(2),
    "lstm": lambda: nn.LSTM(3, 4, 2, bidirectional=True), "gru": lambda: nn.GRU(3, 4), "rnn": lambda: nn.RNN(3, 4), "lstmcell": lambda: nn.LSTMCell(3, 4),
    "multihead": lambda: nn.MultiheadAttention(4, 2), "transformer": lambda: nn.Transformer(4, 2, 1, 1, 8),
    "transformer-encoder": lambda: nn.TransformerEncoder(nn.TransformerEncoderLayer(4, 2, 8, activation="gelu"), 2),
    "transformer-decoder": lambda: nn.TransformerDecoder(nn.TransformerDecoderLayer(4, 2, 8), 1),
    "prelu": nn.PReLU, "upsample": lambda: nn.Upsample(scale_factor=2), "adaptive-softmax": lambda: nn.AdaptiveLogSoftmaxWithLoss(4, 6, [2]),
}

ACTIVATIONS = ("ReLU ReLU6 Sigmoid Tanh Softmax LogSoftmax ELU SELU CELU GELU Hardshrink LeakyReLU LogSigmoid Softplus Softshrink Softsign Softmin "
               "Tanhshrink RReLU GLU Hardsigmoid Hardswish SiLU Mish Hardtanh Softmax2d Flatten Dropout Dropout2d AlphaDropout FeatureAlphaDropout").split()
POOLS = "MaxPool1d MaxPool2d MaxPool3d AvgPool1d AvgPool2d MaxUnpool2d AdaptiveAvgPool1d AdaptiveAvgPool2d AdaptiveMaxPool2d PixelShuffle PixelUnshuffle ReflectionPad1d ReflectionPad2d ReplicationPad2d ZeroPad2d ChannelShuffle".split()
LOSSES = ("L1Loss MSELoss CrossEntropyLoss NLLLoss BCELoss BCEWithLogitsLoss KLDivLoss SmoothL1Loss HuberLoss CTCLoss PoissonNLLLoss GaussianNLLLoss "
          "TripletMarginLoss CosineEmbeddingLoss MarginRankingLoss HingeEmbeddingLoss MultiLabelMarginLoss MultiMarginLoss TripletMarginWithDistanceLoss").split()


class Net(nn.Module):
    """A class of the program that trains: it saves itself as __main__.Net."""

    def __init__(self):
        super().__init__()
        self.body = nn.Sequential(collections.OrderedDict(first=nn.Linear(4, 8), act=nn.ReLU(), last=nn.Linear(8, 2)))
        self.register_buffer("mean", torch.zeros(4))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.body(x - self.mean)


def net():
    return nn.Sequential(nn.Conv2d(3, 4, 3), nn.BatchNorm2d(4), nn.ReLU(), nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Dropout(0.1), nn.Linear(4, 2))


def stepped(kind, **options):
    model = nn.Linear(3, 2)
    optimizer = kind(model.parameters(), **{"lr": 0.1, **options})

    def closure():
        optimizer.zero_grad()
        loss = model(torch.ones(1, 3)).sum()
        loss.backward()
        return loss

    optimizer.step(closure)
    return optimizer


def tensors():
    t = torch.arange(12.0).reshape(3, 4)
    for kind in "float16 bfloat16 float32 float64 int8 uint8 int16 int32 int64 bool complex64 complex128".split():
        yield "dtype-" + kind, t.to(getattr(torch, kind))
    yield "views", [t, t[1:], t.t(), t[:, ::2], t.view(-1)[3:5]]
    yield "scalar", torch.tensor(3)
    yield "empty", torch.empty(0, 3)
    yield "parameter", nn.Parameter(t)
    yield "requires-grad", t.clone().requires_grad_()
    yield "sparse-coo", t.to_sparse()
    yield "sparse-csr", t.to_sparse_csr()
    yield "quantized-tensor", torch.quantize_per_tensor(t, 0.1, 10, torch.qint8)
    yield "quantized-channel", torch.quantize_per_channel(t, torch.tensor([0.1, 0.2, 0.3]), torch.tensor([0, 0, 0]), 0, torch.quint8)
    yield "conjugate", torch.ones(2, dtype=torch.complex64).conj()
    yield "meta", torch.empty(3, device="meta")
    yield "channels-last", torch.ones(1, 2, 3, 4).to(memory_format=torch.channels_last)
    yield "size-dtype-device", {"size": t.shape, "dtype": t.dtype, "device": torch.device("cpu"), "layout": torch.strided, "dtypes": [torch.float16, torch.int8]}
    yield "rng", {"torch": torch.get_rng_state(), "numpy": __import__("numpy").random.get_state(), "python": __import__("random").getstate()}
    yield "generator", {"state": torch.Generator().manual_seed(3).get_state()}
    yield "storage", t.storage()
    yield "typed-storage", torch.FloatStorage([1.0, 2.0])
    yield "packed-sequence", nn.utils.rnn.pack_sequence([torch.ones(3), torch.ones(2)])
    yield "max", torch.max(t, 0)
    yield "subclass", marked(t)
    yield "nested-containers", {"a": [t, (t, {"b": {1, 2}})], "o": collections.OrderedDict(x=t), "d": collections.defaultdict(list, k=[t]), "n": None}


class Marked(torch.Tensor):
    """A class of the program, which keeps its attributes."""


def marked(t):
    made = t.as_subclass(Marked)
    made.note = "kept with the tensor"
    return made


def checkpoints():
    model = Net()
    optimizer = stepped(optim.Adam)
    scheduler = optim.lr_scheduler.CosineAnnealingLR(optimizer, 10)
    yield "state-dict", model.state_dict()
    yield "training", {"epoch": 3, "model": model.state_dict(), "optimizer": optimizer.state_dict(), "scheduler": scheduler.state_dict(), "loss": 0.5,
                       "args": __import__("argparse").Namespace(lr=0.1, path=__import__("pathlib").PurePosixPath("data"))}
    yield "lightning", {"epoch": 1, "global_step": 20, "pytorch-lightning_version": "1.9.0", "state_dict": model.state_dict(), "loops": {"fit_loop": {"state_dict": {}}},
                        "callbacks": {"ModelCheckpoint{'monitor': 'val'}": {"monitor": "val", "best_model_score": torch.tensor(0.3), "best_model_path": "/x/y.ckpt"}},
                        "optimizer_states": [optimizer.state_dict()], "lr_schedulers": [scheduler.state_dict()], "hparams_name": "kwargs",
                        "hyper_parameters": {"lr": 0.1, "layers": [1, 2]}}
    yield "ema", {"model": {k: v.half() for k, v in model.state_dict().items()}, "ema": None, "date": __import__("datetime").datetime(2020, 1, 1)}
    yield "averaged", optim.swa_utils.AveragedModel(net()).state_dict()
    yield "scaler", torch.cuda.amp.GradScaler(enabled=False).state_dict()


def modules():
    for name, make in LAYERS.items():
        yield name, make
    one = {"GLU": {}, "Softmax": {"dim": 1}, "LogSoftmax": {"dim": 1}, "Softmin": {"dim": 1}}
    yield "activations", lambda: nn.ModuleList([getattr(nn, k)(**one.get(k, {})) for k in ACTIVATIONS])
    yield "pools", lambda: nn.ModuleList([getattr(nn, k)(2) for k in POOLS])
    yield "losses", lambda: [getattr(nn, k)() for k in LOSSES]
    yield "sequential", net
    yield "moduledict", lambda: nn.ModuleDict({"a": nn.Linear(2, 2), "b": nn.ModuleList([nn.ReLU()])})
    yield "parameterlist", lambda: nn.ParameterList([nn.Parameter(torch.ones(2))])
    yield "parameterdict", lambda: nn.ParameterDict({"w": nn.Parameter(torch.ones(2))})
    yield "weight-norm", lambda: nn.utils.weight_norm(nn.Linear(3, 2))
    yield "spectral-norm", lambda: nn.utils.spectral_norm(nn.Linear(3, 2))
    yield "parallel", lambda: nn.DataParallel(nn.Linear(3, 2))
    yield "own-class", Net
    yield "grad-kept", lambda: with_gradient()
    yield "pruned", lambda: pruned()
    yield "quantized-dynamic", lambda: torch.quantization.quantize_dynamic(nn.Sequential(nn.Linear(3, 2), nn.ReLU()), {nn.Linear}, torch.qint8)
    yield "quantized-static", lambda: quantized()
    yield "distributions", lambda: [torch.distributions.Normal(0.0, 1.0), torch.distributions.Categorical(torch.ones(3))]
    yield "dataset", lambda: torch.utils.data.TensorDataset(torch.ones(3, 2), torch.zeros(3))
    yield "subset", lambda: torch.utils.data.Subset(torch.utils.data.TensorDataset(torch.ones(3, 2)), [0, 1])


def with_gradient():
    model = nn.Linear(3, 2)
    model(torch.ones(1, 3)).sum().backward()
    return model


def pruned():
    from torch.nn.utils import prune

    model = nn.Linear(3, 2)
    prune.l1_unstructured(model, "weight", 0.5)
    return model


def quantized():
    model = nn.Sequential(torch.quantization.QuantStub(), nn.Conv2d(1, 1, 1), nn.ReLU(), torch.quantization.DeQuantStub()).eval()
    model.qconfig = torch.quantization.get_default_qconfig("fbgemm")
    model = torch.quantization.prepare(model)
    model(torch.ones(1, 1, 2, 2))
    return torch.quantization.convert(model)


def schedulers():
    lr = optim.lr_scheduler
    for name, make in {
        "step": lambda o: lr.StepLR(o, 2), "multistep": lambda o: lr.MultiStepLR(o, [1, 2]), "exponential": lambda o: lr.ExponentialLR(o, 0.9),
        "cosine": lambda o: lr.CosineAnnealingLR(o, 5), "warm": lambda o: lr.CosineAnnealingWarmRestarts(o, 5), "plateau": lr.ReduceLROnPlateau,
        "onecycle": lambda o: lr.OneCycleLR(o, 0.1, total_steps=10),
        "linear": lr.LinearLR, "sequential": lambda o: lr.SequentialLR(o, [lr.ConstantLR(o), lr.LinearLR(o)], [2]),
        "chained": lambda o: lr.ChainedScheduler([lr.ConstantLR(o), lr.ExponentialLR(o, 0.9)]), "lambda": lambda o: lr.LambdaLR(o, lambda e: 0.9 ** e),
    }.items():
        yield name, lambda make=make: make(stepped(optim.SGD, momentum=0.9)).state_dict()


def add(shelf):
    v = torch.__version__
    for kind in (Net, Marked):
        kind.__module__ = "__main__"
        setattr(sys.modules["__main__"], kind.__name__, kind)
    zipped = lambda value: lambda target: torch.save(value(), target)  # noqa: E731
    legacy = lambda value: lambda target: torch.save(value(), target, _use_new_zipfile_serialization=False)  # noqa: E731
    for i, (name, value) in enumerate(tensors()):
        how = (zipped, legacy)[i % 2]
        shelf.add(f"torch/tensor-{name}.pt", "benign", "torch.save", v, how(lambda x=value: x))
    for name, value in checkpoints():
        shelf.add(f"torch/checkpoint-{name}.pt", "benign", "torch.save", v, zipped(lambda x=value: x))
        shelf.add(f"torch/checkpoint-{name}.legacy.pt", "benign", "torch.save (legacy)", v, legacy(lambda x=value: x))
        shelf.bytes(f"torch/checkpoint-{name}.pkl", "benign", "torch+pickle", v, lambda x=value: pickle.dumps(x))
    for i, (name, make) in enumerate(modules()):
        shelf.add(f"torch/module-{name}.pt", "benign", "torch.save", v, (zipped, legacy)[i % 2](make))
        if i % 3 == 0:
            shelf.bytes(f"torch/module-{name}.pkl", "benign", "torch+pickle", v, lambda m=make: pickle.dumps(m(), protocol=4))
    for name in "SGD Adam AdamW Adagrad Adadelta Adamax RMSprop Rprop ASGD NAdam RAdam LBFGS".split():
        shelf.add(f"torch/optimizer-{name.lower()}.pt", "benign", "torch.save", v, zipped(lambda n=name: stepped(getattr(optim, n)).state_dict()))
    for name in ("SGD", "Adam"):
        shelf.add(f"torch/optimizer-object-{name.lower()}.pt", "benign", "torch.save", v, zipped(lambda n=name: stepped(getattr(optim, n))))
    for name, make in schedulers():
        shelf.add(f"torch/scheduler-{name}.pt", "benign", "torch.save", v, zipped(make))
    for protocol in range(1, 6):  # torch.load refuses what protocol 0 makes of its ids
        shelf.add(f"torch/protocol{protocol}.pt", "benign", "torch.save", v,
                  lambda target, p=protocol: torch.save({"w": torch.ones(3), "n": "x"}, target, pickle_protocol=p))
        shelf.add(f"torch/protocol{protocol}.legacy.pt", "benign", "torch.save (legacy)", v,
                  lambda target, p=protocol: torch.save({"w": torch.ones(3)}, target, pickle_protocol=p, _use_new_zipfile_serialization=False))
    scripts(shelf, v)


def scripts(shelf, v):
    shelf.add("torch/script.pt", "benign", "torch.jit.script", v, lambda target: torch.jit.script(Net()).save(target))
    shelf.add("torch/script-layers.pt", "benign", "torch.jit.script", v, lambda target: torch.jit.script(net().eval()).save(target))
    shelf.add("torch/trace.pt", "benign", "torch.jit.trace", v, lambda target: torch.jit.trace(net().eval(), torch.ones(1, 3, 8, 8)).save(target))
    shelf.add("torch/trace-lstm.pt", "benign", "torch.jit.trace", v, lambda target: torch.jit.trace(nn.LSTM(3, 4), torch.ones(2, 1, 3)).save(target))
    shelf.add("torch/frozen.pt", "benign", "torch.jit.freeze", v, lambda target: torch.jit.freeze(torch.jit.script(net().eval())).save(target))
    shelf.add("torch/script-quantized.pt", "benign", "torch.jit.script", v, lambda target: torch.jit.script(quantized()).save(target))
    shelf.add("torch/script-extra.pt", "benign", "torch.jit.save", v,
              lambda target: torch.jit.save(torch.jit.script(Net()), target, _extra_files={"config.json": '{"a": 1}'}))
    shelf.add("torch/script-lite.ptl", "benign", "torch.jit (mobile)", v, lambda target: torch.jit.script(Net())._save_for_lite_interpreter(target))

    def package(target):
        with torch.package.PackageExporter(target) as exporter:
            exporter.extern(["torch.**", "collections"])
            exporter.save_pickle("model", "weights.pkl", Net().state_dict())
            exporter.save_text("model", "labels.txt", "cat\ndog\n")

    shelf.add("torch/package-weights.pt", "benign", "torch.package", v, package)

    def package_module(target):
        with torch.package.PackageExporter(target) as exporter:
            exporter.extern(["torch.**"])
            exporter.save_pickle("model", "model.pkl", net())

    shelf.add("torch/package-module.pt", "benign", "torch.package", v, package_module)

    def package_source(target):
        with torch.package.PackageExporter(target) as exporter:
            exporter.extern(["torch.**"])
            exporter.save_source_string("helper", "def scale(x):\n    return x * 2\n")
            exporter.save_pickle("model", "weights.pkl", {"w": torch.ones(3)})

    shelf.add("torch/package-source.pt", "code", "torch.package", v, package_source)
    buffer = io.BytesIO()
    torch.save(torch.ones(3), buffer)
    shelf.bytes("torch/bytes-in-pickle.pkl", "benign", "torch+pickle", v, lambda: pickle.dumps({"weights": buffer.getvalue()}))
