"""PyTorch in its breadth: quantisation, parametrisations, data, TorchScript."""

import collections
import pickle
from typing import Dict, List, Optional

import torch
from torch import nn, optim
from torch.distributions import transforms
from torch.utils import data


def quantised():
    from torch.ao import quantization as q

    def prepared(model, config="fbgemm", train=False):
        model = model.train() if train else model.eval()
        model.qconfig = (q.get_default_qat_qconfig if train else q.get_default_qconfig)(config)
        model = (q.prepare_qat if train else q.prepare)(model)
        model(torch.ones(1, 1, 4, 4))
        return q.convert(model.eval())

    stack = lambda *layers: nn.Sequential(q.QuantStub(), *layers, q.DeQuantStub())  # noqa: E731
    yield "dynamic-lstm", lambda: q.quantize_dynamic(nn.Sequential(nn.LSTM(3, 4)), {nn.LSTM})
    yield "dynamic-gru-float16", lambda: q.quantize_dynamic(nn.Sequential(nn.GRU(3, 4)), {nn.GRU}, torch.float16)
    yield "dynamic-cell", lambda: q.quantize_dynamic(nn.Sequential(nn.LSTMCell(3, 4)), {nn.LSTMCell})
    yield "static-conv", lambda: prepared(stack(nn.Conv2d(1, 2, 1)))
    yield "static-fused", lambda: prepared(q.fuse_modules(stack(nn.Conv2d(1, 2, 1), nn.BatchNorm2d(2), nn.ReLU()).eval(), [["1", "2", "3"]]))
    yield "static-linear", lambda: prepared(stack(nn.Flatten(), nn.Linear(16, 2), nn.ReLU()))
    yield "qat", lambda: prepared(stack(nn.Conv2d(1, 2, 1)), train=True)
    yield "embedding-bag", lambda: embedded(q)
    yield "fused-float", lambda: q.fuse_modules(nn.Sequential(nn.Conv2d(1, 2, 1), nn.ReLU()).eval(), [["0", "1"]])
    yield "observers", lambda: [q.MinMaxObserver(), q.HistogramObserver(), q.PerChannelMinMaxObserver(), q.MovingAverageMinMaxObserver()]
    yield "functional", lambda: torch.nn.quantized.FloatFunctional()


def embedded(q):
    model = nn.Sequential(nn.EmbeddingBag(5, 4))
    model.qconfig = q.float_qparams_weight_only_qconfig
    return q.convert(q.prepare(model))


def modules():
    p = nn.utils.parametrizations
    yield "param-spectral", lambda: p.spectral_norm(nn.Linear(3, 3)).state_dict()
    yield "param-orthogonal", lambda: p.orthogonal(nn.Linear(3, 3)).state_dict()
    yield "rnn-stack", lambda: nn.ModuleList([nn.RNNCell(2, 3), nn.GRUCell(2, 3), nn.RNN(2, 3, nonlinearity="relu")])
    yield "unet-like", lambda: nn.ModuleDict({"down": nn.Sequential(nn.Conv2d(3, 4, 3), nn.MaxPool2d(2)), "up": nn.Sequential(nn.ConvTranspose2d(4, 3, 2), nn.Upsample(scale_factor=2))})
    yield "frozen-weights", lambda: nn.Linear(3, 2).requires_grad_(False)
    yield "double", lambda: nn.Linear(3, 2).double()
    yield "bfloat16", lambda: nn.Linear(3, 2).bfloat16()
    yield "lazy-conv", lambda: nn.LazyConv2d(3, 2)
    yield "lazy-norm", lambda: nn.LazyBatchNorm1d()
    yield "swa", lambda: optim.swa_utils.AveragedModel(nn.Linear(2, 2)).state_dict()
    yield "hook-handles", lambda: collections.OrderedDict(a=1)
    yield "shared", shared
    yield "unflatten", lambda: nn.Sequential(nn.Flatten(), nn.Unflatten(1, (2, 2)), nn.Fold((2, 2), 1), nn.Unfold(2))
    yield "similarity", lambda: [nn.CosineSimilarity(), nn.PairwiseDistance(), nn.Bilinear(2, 2, 1)]
    yield "distributed-free", lambda: nn.SyncBatchNorm.convert_sync_batchnorm(nn.Sequential(nn.BatchNorm2d(2)))


def shared():
    a = nn.Linear(2, 2)
    b = nn.Linear(2, 2)
    b.weight = a.weight
    return nn.ModuleList([a, b])


def random_variables():
    d = torch.distributions
    one = torch.ones(2)
    for made in (lambda: d.Normal(one, one), lambda: d.Beta(one, one), lambda: d.Gamma(one, one), lambda: d.Dirichlet(one), lambda: d.Categorical(one),
                 lambda: d.Bernoulli(one / 2), lambda: d.MultivariateNormal(one, torch.eye(2)), lambda: d.Poisson(one), lambda: d.StudentT(one),
                 lambda: d.LogNormal(one, one), lambda: d.Uniform(one * 0, one), lambda: d.Laplace(one, one), lambda: d.Exponential(one),
                 lambda: d.Independent(d.Normal(one, one), 1), lambda: d.TransformedDistribution(d.Normal(one, one), [transforms.ExpTransform(), transforms.AffineTransform(0, 1)]),
                 lambda: d.MixtureSameFamily(d.Categorical(one), d.Normal(one, one)), lambda: d.OneHotCategorical(one), lambda: d.VonMises(one, one)):
        yield type(made()).__name__.lower(), made


def datasets():
    tensors = data.TensorDataset(torch.ones(6, 2), torch.zeros(6))
    yield "concat", lambda: data.ConcatDataset([tensors, tensors])
    yield "split", lambda: data.random_split(tensors, [4, 2])
    yield "loader", lambda: data.DataLoader(tensors, batch_size=2, shuffle=True)
    yield "weighted-sampler", lambda: data.WeightedRandomSampler([0.5, 0.5], 2)
    yield "batch-sampler", lambda: data.BatchSampler(data.SequentialSampler(tensors), 2, False)
    yield "returned", lambda: [torch.sort(torch.ones(3)), torch.topk(torch.ones(3), 2), torch.finfo(torch.float32), torch.Size([1, 2])]
    yield "nested-state", lambda: {"a": [torch.ones(2)], "b": collections.OrderedDict(c=(torch.zeros(1), None, "x", 1.5, True, {3}))}
    yield "many", lambda: {f"layer.{i}.weight": torch.full((3,), float(i)) for i in range(300)}


class Decoder(nn.Module):
    """Containers, options and loops as TorchScript knows them."""

    table: Dict[str, List[int]]

    def __init__(self):
        super().__init__()
        self.table = {"a": [1, 2], "b": []}
        self.names = ["x", "y"]
        self.cell = nn.LSTMCell(2, 3)
        self.pair = (1, 2.5, "three")

    def forward(self, x: torch.Tensor, state: Optional[torch.Tensor] = None) -> Dict[str, torch.Tensor]:
        out: Dict[str, torch.Tensor] = {}
        for i, name in enumerate(self.names):
            if state is None:
                state = torch.zeros(x.size(0), 3)
            state = self.cell(x, (state, state))[0]
            out[name] = state * (i + len(self.table["a"]))
        return out

    @torch.jit.export
    def size(self) -> int:
        return self.pair[0]


def scripts():
    yield "decoder", lambda t: torch.jit.script(Decoder()).save(t)
    yield "function", lambda t: torch.jit.script(relu_twice).save(t)
    yield "transformer", lambda t: torch.jit.script(nn.TransformerEncoderLayer(4, 2, 8)).save(t)
    yield "multihead", lambda t: torch.jit.script(nn.MultiheadAttention(4, 2)).save(t)
    yield "inference", lambda t: torch.jit.optimize_for_inference(torch.jit.script(nn.Sequential(nn.Conv2d(1, 1, 1), nn.ReLU()).eval())).save(t)
    yield "trace-dict", lambda t: torch.jit.trace(Pair(), torch.ones(2), strict=False).save(t)
    yield "dynamic", lambda t: torch.jit.script(torch.quantization.quantize_dynamic(nn.Sequential(nn.Linear(2, 2)), {nn.Linear})).save(t)


class Pair(nn.Module):
    def forward(self, x):
        return {"a": x + 1, "b": x * 2}


def relu_twice(x: torch.Tensor) -> torch.Tensor:
    return torch.relu(x) * 2


def add(shelf):
    v = torch.__version__
    groups = {"quantised": quantised(), "module": modules(), "distribution": random_variables(), "data": datasets()}
    for group, values in groups.items():
        for i, (name, make) in enumerate(values):
            shelf.add(f"networks/{group}-{name}.pt", "benign", "torch.save", v,
                      lambda target, m=make, z=i % 2 == 0: torch.save(m(), target, _use_new_zipfile_serialization=z))
            shelf.bytes(f"networks/{group}-{name}.pkl", "benign", "torch+pickle", v, lambda m=make, p=(2, 4, 3, 5)[i % 4]: pickle.dumps(m(), protocol=p))
    for name, write in scripts():
        shelf.add(f"networks/script-{name}.pt", "benign", "torch.jit", v, write)
    shelf.add("networks/traced-graph.pt", "code", "torch.fx", v, lambda target: torch.save(torch.fx.symbolic_trace(nn.Sequential(nn.Linear(2, 2), nn.ReLU())), target))
