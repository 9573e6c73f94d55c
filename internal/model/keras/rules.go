package keras

import "github.com/apexlogic/apex/internal/model/scan"

const (
	mendLayer  = "Replace it by a layer of Keras, or by a registered class whose code you have read."
	mendAuthor = "Do not load it; ask its author what the reference is for."
)

var (
	ruleLambda = &scan.Rule{ID: "keras.lambda", Severity: scan.Harmful,
		Why:        "A Lambda layer holds a function of its author, which runs when the model is built or used; .h5 files ignore safe_mode.",
		Mend:       mendLayer,
		References: []string{"CVE-2024-3660", "CVE-2025-9905", "CWE-502"}}
	ruleCode = &scan.Rule{ID: "keras.code", Severity: scan.Harmful,
		Why:        "Python byte code in a configuration is there to be run.",
		Mend:       mendLayer,
		References: []string{"CVE-2024-3660", "CWE-502"}}
	ruleModule = &scan.Rule{ID: "keras.module", Severity: scan.Harmful,
		Why:        "Keras imports the module and calls what is named: this is no part of a model.",
		Mend:       mendAuthor,
		References: []string{"CVE-2025-1550", "CWE-502"}}
	ruleModuleUnknown = &scan.Rule{ID: "keras.module.unknown", Severity: scan.Doubtful,
		Why:        "Up to version 3.8 Keras imports a module of this name, whatever it does, to look for the class in it.",
		Mend:       "Have the class registered (keras.saving.register_keras_serializable) and load the model with its code.",
		References: []string{"CVE-2025-1550", "CWE-502"}}
	ruleFunction = &scan.Rule{ID: "keras.function", Severity: scan.Harmful,
		Why:        "The function belongs to Keras but not into a model: such functions fetch files, load other models or switch safe mode off.",
		Mend:       mendAuthor,
		References: []string{"CVE-2025-8747", "CVE-2025-9906", "CWE-502"}}
	ruleUnexpected = &scan.Rule{ID: "keras.class.unexpected", Severity: scan.Doubtful,
		Why:        "The name belongs to a part of Keras that models are not made of.",
		Mend:       mendAuthor,
		References: []string{"CVE-2025-8747"}}
	ruleTorch = &scan.Rule{ID: "keras.torch", Severity: scan.Harmful,
		Why:        "A TorchModuleWrapper is a pickle that torch.load runs without any restriction.",
		Mend:       mendLayer,
		References: []string{"CWE-502"}}
	ruleSavedModelOutside = &scan.Rule{ID: "keras.savedmodel.outside", Severity: scan.Harmful,
		Why:        "A TFSMLayer loads a SavedModel, which can do whatever TensorFlow can, from anywhere.",
		Mend:       mendAuthor,
		References: []string{"CVE-2026-1462", "CWE-502"}}
	ruleSavedModel = &scan.Rule{ID: "keras.savedmodel", Severity: scan.Doubtful,
		Why:        "A TFSMLayer loads a SavedModel, which can do whatever TensorFlow can and was not scanned with this file.",
		Mend:       "Scan the SavedModel, and rebuild its layers in Keras.",
		References: []string{"CVE-2026-1462", "CWE-502"}}
	ruleFileOutside = &scan.Rule{ID: "keras.file.outside", Severity: scan.Harmful,
		Why:        "A layer whose vocabulary is a path reads any file of the machine, or fetches one, when the model is loaded.",
		Mend:       mendAuthor,
		References: []string{"CVE-2025-12058", "CWE-73", "CWE-918"}}
	ruleFile = &scan.Rule{ID: "keras.file", Severity: scan.Doubtful,
		Why:        "A layer whose vocabulary is a path reads a file that was not scanned with this one.",
		Mend:       "Save the model with its vocabulary in it.",
		References: []string{"CVE-2025-12058", "CWE-73"}}
	ruleOp = &scan.Rule{ID: "keras.op", Severity: scan.Harmful,
		Why:        "The TensorFlow function reads or writes files, or runs Python, when the model is built.",
		Mend:       mendAuthor,
		References: []string{"CWE-502"}}
	ruleOpUnknown = &scan.Rule{ID: "keras.op.unknown", Severity: scan.Doubtful,
		Why:  "Any function of TensorFlow can be named here; this one is not among those that compute.",
		Mend: mendLayer}
	ruleDuplicate = &scan.Rule{ID: "keras.duplicate", Severity: scan.Unreadable,
		Why:  "Parsers disagree on which of two equal keys counts, so the file says two things.",
		Mend: "Save the model anew."}
	ruleBroken = &scan.Rule{ID: "keras.broken", Severity: scan.Unreadable,
		Why:  "What is no JSON was not read to its end.",
		Mend: "Fetch the file again; it may be cut short."}
	ruleLimit = &scan.Rule{ID: "keras.limit", Severity: scan.Unreadable,
		Why:  "A configuration that is longer or deeper than models need was not read to its end.",
		Mend: "Save the model anew."}
	ruleCustom = &scan.Rule{ID: "keras.custom", Severity: scan.Note,
		Why:  "The class or function is not Keras's: the model loads only where its code is registered.",
		Mend: "Read that code before you load the model."}
	ruleHub = &scan.Rule{ID: "keras.hub", Severity: scan.Note,
		Why:  "A KerasLayer of TensorFlow Hub fetches a model that was not scanned with this file.",
		Mend: "Scan that model, or save its weights in this one."}
)

func rules() []*scan.Rule {
	return []*scan.Rule{ruleLambda, ruleCode, ruleModule, ruleModuleUnknown, ruleFunction, ruleUnexpected, ruleTorch,
		ruleSavedModelOutside, ruleSavedModel, ruleFileOutside, ruleFile, ruleOp, ruleOpUnknown,
		ruleDuplicate, ruleBroken, ruleLimit, ruleCustom, ruleHub}
}
