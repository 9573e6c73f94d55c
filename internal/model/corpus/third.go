package corpus

import (
	"iter"
	"strings"
)

// Third returns a third corpus, malicious and benign mixed, always in the same
// order. Its author read neither the scanners nor what is documented of them.
// The malicious half prefers roads that the first two corpora do not take; the
// benign half is laid out as model hubs hold it: mostly safetensors, torch
// archives, GGUF, ONNX and the small texts around them. As with [HeldOut],
// nobody may mend a scanner for the sake of a case here. Every name begins with
// "technique/third-".
func Third() iter.Seq[Case] {
	bad, good := thirdMalicious(), thirdBenign()
	return func(yield func(Case) bool) {
		for i := range max(len(bad), len(good)) {
			if i < len(bad) && !thirdOf(bad[i], true, yield) {
				return
			}
			if i < len(good) && !thirdOf(good[i], false, yield) {
				return
			}
		}
	}
}

func thirdOf(g group, malicious bool, yield func(Case) bool) bool {
	for _, c := range g() {
		c.Malicious = malicious
		c.Name = c.Technique + "/third-" + strings.TrimPrefix(c.Name, c.Technique+"/")
		if !yield(c) {
			return false
		}
	}
	return true
}

// third begins the cases of one technique or benign family.
func third(technique string) *set { return &set{technique: technique} }

// Calls in opcodes that any protocol may hold, by names that neither of the
// other corpora uses for the purpose.
const (
	thirdShell = "cposix\npopen\n(X\x04\x00\x00\x00truetR"
	thirdExec  = "cbuiltins\nexec\n(X\x04\x00\x00\x00passtR"
	thirdRun   = "csubprocess\ncheck_call\n(]X\x04\x00\x00\x00trueatR"
)

// thirdEvil is a pickle that calls when it is loaded; n chooses how.
func thirdEvil(n int) string {
	switch n % 7 {
	case 0:
		od := reduce("collections.OrderedDict")
		od.dictItems = [][2]any{{"encoder.weight", 0.5}, {"encoder.bias", reduce("posix.system", "true")}}
		return pickle(2, od)
	case 1:
		return pickle(4, dictOf("run", listOf(1, 2, reduce("subprocess.check_call", listOf("true")))))
	case 2:
		return pickle(0, tup{"v1", reduce("builtins.exec", "pass")})
	case 3:
		return pickle(5, listOf(dictOf("loss", 0.1), dictOf("loss", reduce("os.popen", "true"))))
	case 4:
		return pickle(3, dictOf("scaler", reduce("runpy.run_module", "this")))
	case 5:
		return opProto(2) + opMark + opGlobal("subprocess", "Popen") + opEmptyList + str2("true") + opAppend + opObj + opStop
	}
	return pickle(1, reduce("pty.spawn", "true"))
}

// thirdStateDict is the data.pkl of a torch archive with one tensor of eight
// floats and a call; n chooses the place and the call.
func thirdStateDict(n int) string {
	od := stateDict(entry{"head.weight", "FloatStorage", tup{2, 4}})
	switch n % 5 {
	case 0: // where torch keeps the versions of modules
		od.state = dictOf("_metadata", reduce("posix.popen", "true"))
	case 1:
		return pickle(2, dictOf("state_dict", od, "hyper_parameters", dictOf("lr", reduce("subprocess.check_call", listOf("true")))))
	case 2: // the requires-hooks argument of a parameter
		od.dictItems[0][1] = reduce("torch._utils._rebuild_parameter", od.dictItems[0][1], true, reduce("builtins.exec", "pass"))
	case 3:
		return pickle(2, dictOf("epoch", reduce("os.spawnlp", 0, "true", "true"), "model", od))
	case 4:
		od.dictItems[0][1].(*object).args[3] = reduce("builtins.eval", "(4, 1)")
	}
	return pickle(2, od)
}

// thirdHonestDict is a data.pkl of the same tensor that calls nothing else.
func thirdHonestDict() string {
	return pickle(2, stateDict(entry{"head.weight", "FloatStorage", tup{2, 4}}))
}

// thirdTorch is torch.save of the data.pkl with that tensor's storage.
func thirdTorch(root, pkl string, extra ...member) string {
	return string(torchZip(root, pkl, []string{weights(700, 8)}, extra...))
}

// thirdZip is a zip of names and contents in turn, deflated as zip(1) does.
func thirdZip(namesAndContents ...string) string {
	var m []member
	for i := 0; i < len(namesAndContents); i += 2 {
		m = append(m, member{name: namesAndContents[i], data: namesAndContents[i+1], deflate: true, unixTime: true})
	}
	return string(archive{members: m}.bytes())
}

// thirdTar is a tar of names and contents in turn.
func thirdTar(namesAndContents ...string) string {
	var f []tarFile
	for i := 0; i < len(namesAndContents); i += 2 {
		f = append(f, tarFile{namesAndContents[i], namesAndContents[i+1]})
	}
	return tarOf(f...)
}

func thirdMalicious() []group {
	return []group{
		thirdGadgetsRun, thirdGadgetsEval, thirdGadgetsImport, thirdGadgetsCall, thirdGadgetsFiles,
		thirdPickleCalls, thirdPickleComputed, thirdPickleParse, thirdPickleStack, thirdPickleState, thirdPickleNested,
		thirdZipHeaders, thirdZipLayout, thirdNested, thirdBombs, thirdCompressed,
		thirdTorchFiles, thirdNumpy, thirdKerasLambdas, thirdKerasConfigs, thirdHDF5,
		thirdSafetensors, thirdGGUF, thirdTemplates, thirdONNX, thirdTF, thirdExecutables,
		thirdRemoteCode, thirdHydra, thirdXML,
	}
}

func thirdBenign() []group {
	return []group{
		thirdPlainStates, thirdPlainSafetensors, thirdPlainGGUF, thirdPlainTraining, thirdPlainModules, thirdPlainONNX,
		thirdPlainSklearn, thirdPlainLibraries, thirdPlainNumpy, thirdPlainTF, thirdPlainKeras,
		thirdPlainConfigs, thirdPlainTokenizers, thirdPlainTexts, thirdPlainData,
	}
}
