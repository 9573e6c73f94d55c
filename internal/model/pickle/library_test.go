package pickle_test

import "testing"

func TestClassesOfWellKnownLibrariesAreNotedWhenTheyAreOnlyMade(t *testing.T) {
	made := func(module, name, args string) []byte {
		return proto(2).global(module, name).raw(args, "\x81}").text("a").raw("K\x01sb").stop()
	}
	t5 := "transformers.models.t5.modeling_t5"
	expect(t, []sample{
		{"NEWOBJ and BUILD", made(t5, "T5LayerNorm", ")"), clean},
		{"a private class", made(t5, "_T5Helper", ")"), clean},
		{"with a number", made(t5, "T5LayerNorm", "K\x01\x85"), clean},
		{"by copyreg", proto(1).global("copyreg", "_reconstructor").raw("(").global("networkx.classes.digraph", "DiGraph").global("builtins", "object").raw("NtR}b").stop(), clean},
		{"a function that is stored", proto(2).raw("}").text("f").global("nltk.tokenize", "word_tokenize").raw("s").stop(), clean},
		{"a type of tensor", proto(2).raw("}").text("f").global("torchvision.tv_tensors._image", "Image").raw("s").stop(), clean},

		{"arguments of trl", made("trl.trainer.sft_config", "SFTConfig", ")"), clean},
		{"a normaliser", made("stable_baselines3.common.vec_env.vec_normalize", "VecNormalize", ")"), clean},

		{"a recorder that acts when it is gone", made("stable_baselines3.common.vec_env.vec_video_recorder", "VecVideoRecorder", ")"), suspicious},
		{"a file that a class owns", made("sklearn_crfsuite._fileresource", "FileResource", ")"), suspicious},
		{"with a path", made(t5, "T5LayerNorm", "X\x04\x00\x00\x00/etc\x85"), suspicious},
		{"with a name among the arguments", made(t5, "T5LayerNorm", "cnltk.tokenize\nword_tokenize\n\x85"), suspicious},
		{"a class of nobody", made("acme.net", "Net", ")"), suspicious},
		{"a root's look-alike", made("transformersx.net", "Net", ")"), suspicious},
		{"a function that is made", made(t5, "load_tf_weights", ")"), suspicious},
		{"a class that loads", made("transformers.data.x", "DataLoader", ")"), suspicious},
		{"a class that runs a process", made("monai.utils.x", "_PopenThing", ")"), suspicious},
		{"a formula of statsmodels", made("statsmodels.base.data", "ModelData", ")"), suspicious},
		{"a distribution", made("scipy.stats._distn_infrastructure", "Distribution", ")"), suspicious},
		{"a class of TorchScript", made("torch.jit._x", "Thing", ")"), suspicious},
		{"a state that is no dict", proto(2).global(t5, "T5LayerNorm").raw(")\x81K\x01K\x02\x86b").stop(), suspicious},
		{"items that its methods get", proto(2).global(t5, "T5LayerNorm").raw(")\x81").text("a").raw("K\x01s").stop(), suspicious},
		{"INST", proto(0).raw("(i" + t5 + "\nT5LayerNorm\n.").bytes(), suspicious},
		{"a function in a transformer of functions", proto(2).global("sklearn.preprocessing._function_transformer", "FunctionTransformer").
			raw(")\x81}").text("func").global("nltk.tokenize", "word_tokenize").raw("sb").stop(), suspicious},
		{"a function handed to a call", proto(2).global("collections", "OrderedDict").raw("(").global("nltk.tokenize", "word_tokenize").raw("tR").stop(), suspicious},

		{"called", proto(2).call(t5, "T5LayerNorm", "x").stop(), malicious},
		{"a function that is called", proto(2).call("nltk.tokenize", "word_tokenize", "x").stop(), malicious},
		{"a call of what was made", proto(2).global(t5, "T5LayerNorm").raw(")\x81)R").stop(), malicious},
		{"a function in functools.partial", proto(2).global("functools", "partial").global("nltk.tokenize", "word_tokenize").raw("\x85R").stop(), malicious},
		{"a class that is changed", proto(2).global(t5, "T5LayerNorm").raw("}").text("a").raw("K\x01sb").stop(), malicious},
		{"a wrapper that unpickles its state", made("stable_baselines3.common.vec_env.base_vec_env", "CloudpickleWrapper", ")"), malicious},
		{"a denied module", made("numpy.f2py", "Thing", ")"), malicious},
		{"a denied class", made("torch.package", "PackageImporter", ")"), malicious},
	})
}
