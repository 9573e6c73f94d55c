package corpus

import (
	"iter"
	"strings"
)

// HeldOut returns a second corpus, malicious and benign mixed, always in the
// same order. Its author had seen neither the scanners nor the cases that
// [Malicious] and [Benign] return, and nobody may mend a scanner for the sake
// of a case here: the scanner is measured by it and the figures are written
// down. Techniques have the names of the first corpus, and every name begins
// with "technique/held-", so that the two can be read side by side.
func HeldOut() iter.Seq[Case] {
	bad, good := heldMalicious(), heldBenign()
	return func(yield func(Case) bool) {
		for i := range max(len(bad), len(good)) {
			if i < len(bad) && !heldOf(bad[i], true, yield) {
				return
			}
			if i < len(good) && !heldOf(good[i], false, yield) {
				return
			}
		}
	}
}

func heldOf(g group, malicious bool, yield func(Case) bool) bool {
	for _, c := range g() {
		c.Malicious = malicious
		c.Name = c.Technique + "/held-" + strings.TrimPrefix(c.Name, c.Technique+"/")
		if !yield(c) {
			return false
		}
	}
	return true
}

func heldMalicious() []group {
	return []group{
		heldGadgetsRun, heldGadgetsImport, heldGadgetsNet, heldGadgetsLibraries, heldGadgetsIndirect,
		heldPickleCalls, heldPickleParse, heldPickleStack, heldPickleNested, heldPickleState,
		heldZipHeaders, heldZipLayout, heldPolyglots, heldSeven,
		heldNested, heldTraversal, heldBombs, heldCompressed, heldArchives,
		heldTorchFiles, heldNumpy, heldHDF5, heldKerasConfigs, heldKerasLambdas,
		heldSafetensors, heldGGUF, heldGGUFTemplates, heldONNX, heldTF,
		heldTemplates, heldRemoteCode, heldYAML, heldSkops, heldXML, heldExecutables, heldWrongNames,
	}
}

func heldBenign() []group {
	return []group{
		heldRecorded, heldPlainPickles, heldPlainNumpy, heldPlainPandas, heldPlainSklearn, heldPlainBoosting,
		heldPlainTorch, heldPlainTraining, heldPlainModules, heldPlainLegacy,
		heldPlainRepos, heldPlainTokenizers, heldPlainChats, heldPlainGGUF, heldPlainTensors,
		heldPlainONNX, heldPlainTF, heldPlainKeras, heldPlainHDF5, heldPlainEdge,
		heldPlainZips, heldPlainTars, heldPlainJoblib, heldPlainYAML, heldPlainTexts, heldPlainMarkup, heldPlainMedia,
	}
}

// heldCase begins the cases of one technique or benign family.
func heldCase(technique string) *set { return &set{technique: technique} }

// via calls what function is, be it the result of another call.
func via(function any, args ...any) *object { return &object{function: function, args: args} }

// method calls object.name(args...) through operator.methodcaller.
func method(object any, name string, args ...any) *object {
	return via(reduce("operator.methodcaller", append([]any{name}, args...)...), object)
}

// body is a pickle without the PROTO at its head and the STOP at its end.
func body(proto int, v any) string {
	s := pickle(proto, v)
	if proto >= 2 {
		s = s[2:]
	}
	return s[:len(s)-1]
}
