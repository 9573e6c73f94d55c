package text_test

import "testing"

func TestWhatYOLOEvaluates(t *testing.T) {
	const bad = "malicious config.expression"
	model := func(activation, layer string) string {
		return "nc: 80\nactivation: " + activation + "\nbackbone:\n  - [-1, 1, " + layer + "]\nhead:\n  - [[0], 1, Detect, [nc]]\n"
	}
	data := func(download string) string {
		return "path: ../datasets/x\ntrain: images\nval: images\nnames:\n  0: cat\ndownload: " + download + "\n"
	}
	check(t, []sample{
		{"an activation that imports", model("__import__('os').system('true')", "Conv, [64]"), bad},
		{"an activation that evaluates", model("exec('1')", "Conv, [64]"), bad},
		{"a layer that imports", model("nn.ReLU()", "Conv, [\"__import__('os').system('true')\"]"), bad},
		{"a data set by a script", data("\"__import__('os').system('true')\""), bad},
		{"a data set by a shell", data("bash -c 'true; false'"), bad},
		{"a data set by a script elsewhere", data("bash ../../x.sh"), bad},

		{"an activation", model("torch.nn.LeakyReLU(0.1)", "Conv, [64]"), "clean"},
		{"an activation of a model that is not evaluated", "activation: \"__import__('os').system('true')\"\nlayers: 3\n", "clean"},
		{"a data set at an address", data("https://example.com/x.zip"), "clean"},
		{"a data set by its script", data("bash data/scripts/get_x.sh"), "clean"},
		{"a data set by a program", data("|\n  from ultralytics.utils.downloads import download\n  download(['a'], dir='x')"), "clean"},
	})
}
