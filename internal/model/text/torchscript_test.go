package text_test

import (
	"strings"
	"testing"

	"github.com/apexlogic/apex/internal/model/text"
)

const scripted = "class Net(Module):\n  __parameters__ = []\n  __buffers__ = []\n  training : bool\n  def forward(self: __torch__.Net,\n    x: Tensor) -> Tensor:\n    return BODY\n"

func TestTorchScriptThatUsesFilesIsFound(t *testing.T) {
	const bad = "malicious torchscript-source torchscript.file"
	body := func(expression string) string { return strings.Replace(scripted, "BODY", expression, 1) }
	check(t, []sample{
		{"a file that is read", body(`torch.from_file("/etc/hostname", False, 16)`), bad},
		{"a file that is written", body(`torch.save(x, "/tmp/x")`), bad},
		{"through ops", body(`ops.aten.save(x, "/tmp/x")`), bad},
		{"as a method", body(`(x).save("/tmp/x")`), bad},
		{"a picture of torchvision", body(`ops.image.read_file("/etc/passwd")`), bad},
		{"spaces and a comment between", body("torch . # save\n    save (x, \"/tmp/x\")"), bad},
		{"beside what Python cannot read", "# \"\n" + body(`torch.save(x, "/tmp/x") if b? else x`), bad},
		{"in a function", "def f(x: Tensor) -> NoneType:\n  return torch.save(x, \"/tmp/x\")\n", bad},
		{"in a function behind two imports", "import torch\nimport __torch__.a\ndef f(x: Tensor) -> NoneType:\n  return torch.save(x, \"/tmp/x\")\n", bad},
		{"in a function behind an import", "import torch\ndef f(x: Tensor) -> NoneType:\n  return torch.save(x, \"/tmp/x\")\n", bad},

		{"operators on tensors", body("torch.add(torch.relu(x), ops.prim.NumToTensor(1))"), "unknown"},
		{"a method of its own", body(`(self.cache).save(x)`) + "  def save(self: __torch__.Net,\n    x: Tensor) -> Tensor:\n    return x\n", "unknown"},
		{"words in a string", body(`ops.prim.RaiseException("torch.save(x)")`), "unknown"},
		{"a script that trains", "import torch\nfrom torch import Tensor\ndef f(x: Tensor) -> None:\n    torch.save(x, 'x.pt')\n", "unknown"},
		{"a script that imports relatively", "import torch\nfrom .types import Tensor\ndef f(x: Tensor) -> None:\n    torch.save(x, 'x.pt')\n", "unknown"},
		{"a script without types", "import torch\ndef f(x):\n    torch.save(x, 'x.pt')\n", "unknown"},
		{"prose", "A Tensor: call torch.save(x) to keep it.\n", "clean text"},
	})
}

func FuzzTorchScript(f *testing.F) {
	for _, seed := range []string{scripted, strings.Replace(scripted, "BODY", `torch.save(x, "a")`, 1), "def f(x: Tensor):\n  ops.a.b_file(\"\\\"", `Tensor """`} {
		f.Add([]byte(seed))
	}
	f.Fuzz(func(t *testing.T, content []byte) { same(t, text.TorchScript(), content) })
}
