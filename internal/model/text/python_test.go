package text_test

import "testing"

func TestPythonSources(t *testing.T) {
	check(t, []sample{
		{"os.system", "import os\nos.system('id')\n", "suspicious python python.code"},
		{"in a function", "import os\ndef f():\n    return os.popen('id').read()\n", "suspicious python"},
		{"by another name", "import os as o\no.system('id')\n", "suspicious python"},
		{"from", "from os import system as s\ns('id')\n", "suspicious python"},
		{"from, with a star", "from subprocess import *\nPopen('id')\n", "suspicious python"},
		{"subprocess", "import subprocess\nclass A:\n    x = subprocess.run(['id'])\n", "suspicious python"},
		{"not called at once", "import os\nf = os.system\nf('id')\n", "suspicious python"},
		{"exec", "exec('x = 1')\n", "suspicious python"},
		{"eval", "import torch\nx = eval(input())\n", "suspicious python"},
		{"exec as a value", "f = exec\nf('x')\n", "suspicious python"},
		{"__import__", "__import__('os').system('id')\n", "suspicious python"},
		{"getattr", "import os\ngetattr(os, 'sys' + 'tem')('id')\n", "suspicious python"},
		{"builtins", "__builtins__.__dict__['exec']('x')\n", "suspicious python"},
		{"sys.modules", "import sys\nsys.modules['os'].system('id')\n", "suspicious python"},
		{"import_module", "import importlib\nimportlib.import_module('os').system('id')\n", "suspicious python"},
		{"code from base64", "import base64\nexec(base64.b64decode('eA=='))\n", "suspicious python"},
		{"marshal", "import marshal, types\ntypes.FunctionType(marshal.loads(b''), {})\n", "suspicious python"},
		{"a socket", "import socket\ns = socket.socket()\ns.connect(('127.0.0.1', 1))\n", "suspicious python"},
		{"ctypes", "import ctypes\nctypes.CDLL(None)\n", "suspicious python"},
		{"code from the network", "import requests\nexec(requests.get('http://127.0.0.1/').text)\n", "suspicious python"},
		{"in an f-string", "import os\nx = f\"{os.system('id')}\"\n", "suspicious python"},
		{"full width letters", "import os\nos.\uff53\uff59\uff53\uff54\uff45\uff4d('id')\n", "suspicious python"},
		{"subclasses", "x = ().__class__.__base__.__subclasses__()\n", "suspicious python"},
		{"a model", modeling, "unknown"},
		{"TorchScript", "class M(Module):\n  __parameters__ = [\"w\", ]\n  __buffers__ = []\n  w : Tensor\n  training : bool\n  def forward(self: __torch__.M,\n    x: Tensor) -> Tensor:\n    _0 = ops.prim.NumToTensor(torch.size(x, 0))\n    return torch.add(x, annotate(Tensor, CONSTANTS.c0), alpha=1)\n", "unknown"},
		{"words in strings", "\"\"\"Call os.system or eval(x) at your own risk.\"\"\"\nimport os\nX = 'os.system(1)'  # os.system('id')\n", "unknown"},
		{"attributes of modules", "import os\nx = getattr(os, 'O_BINARY', 0)\ny = compile('a')\n", "unknown"},
		{"a method called eval", "import torch\nmodel.eval()\nclass A:\n    def eval(self):\n        return self.model.eval()\nx = dict(eval=True)\n", "unknown"},
		{"a pattern", "import re\nPAT = re.compile('x')\n", "unknown"},
		{"files", "import os, json\nwith open(os.path.join('a', 'b')) as f:\n    json.load(f)\nos.makedirs('x', exist_ok=True)\n", "unknown"},
		{"words of a tokenizer", "import base64\nranks = {base64.b64decode(t): int(r) for t, r in (l.split() for l in lines)}\n", "unknown"},
		{"prose about code", "You can call os.system('id') to see it.\nThen eval(x) runs.\n", "clean text"},
	})
}

const modeling = `# coding=utf-8
"""A model."""
import math
from typing import Optional, Tuple

import torch
from torch import nn
from transformers import PreTrainedModel
from .configuration_x import XConfig

logger = logging.get_logger(__name__)


class XAttention(nn.Module):
    def __init__(self, config: XConfig, layer_idx: Optional[int] = None):
        super().__init__()
        self.q = nn.Linear(config.hidden_size, config.hidden_size, bias=False)
        self.register_buffer("inv", 1.0 / (10000 ** (torch.arange(0, 64, 2).float() / 64)), persistent=False)

    @torch.no_grad()
    def forward(self, x: torch.Tensor, mask=None) -> Tuple[torch.Tensor, ...]:
        if self.training and mask is not None:
            x = x @ self.q.weight.T + mask[:, None, ...]
        return x * (x.shape[-1] ** -0.5), f"{x.shape!r:>10} {{literal}}", {k: v for k, v in zip("ab", [1, 2])}


class XModel(PreTrainedModel):
    config_class = XConfig
    _no_split_modules = ["XAttention"]

    def load(self, path):
        return getattr(torch, "load")(path) if path else lambda *a, **k: None
`
