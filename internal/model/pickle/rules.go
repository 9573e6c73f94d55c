package pickle

import "github.com/apexlogic/apex/internal/model/scan"

const (
	mendFormat = "Ask for the weights as safetensors; do not load the file."
	mendList   = "Load the file only where its source is trusted, or ask for the weights as safetensors."
)

// What is imported.
var (
	ruleDenied = &scan.Rule{ID: "pickle.import.dangerous", Severity: scan.Harmful,
		Why:  "It imports what runs code, or reaches files or the network, when it is loaded.",
		Mend: mendFormat, References: []string{"CWE-502"}}
	ruleDotted = &scan.Rule{ID: "pickle.import.dotted", Severity: scan.Harmful,
		Why:  "It reaches through a module or class for something else: a way around lists of names.",
		Mend: mendFormat, References: []string{"CWE-502", "CVE-2025-10157"}}
	ruleReexport = &scan.Rule{ID: "pickle.import.reexport", Severity: scan.Harmful,
		Why:  "It takes a module, or what holds one, out of another module: a way around lists of names.",
		Mend: mendFormat, References: []string{"CWE-502"}}
	ruleComputed = &scan.Rule{ID: "pickle.import.computed", Severity: scan.Harmful,
		Why:  "What it imports is computed while it is loaded, so that nobody sees it before.",
		Mend: mendFormat, References: []string{"CWE-502", "CWE-913"}}
	ruleUnlisted = &scan.Rule{ID: "pickle.import.unlisted", Severity: scan.Doubtful,
		Why:  "It imports a name that no list of harmless ones has; importing a module runs it.",
		Mend: mendList, References: []string{"CWE-502"}}
	ruleLibrary = &scan.Rule{ID: "pickle.import.library", Severity: scan.Note,
		Why:  "It refers to a name of a well-known library, and does not call it.",
		Mend: "Load it with a version of the library that you trust."}
	ruleMain = &scan.Rule{ID: "pickle.import.main", Severity: scan.Note,
		Why:  "It needs a class that the program which loads it must define.",
		Mend: "Make sure that the program defines this class, and that it does nothing when it is made."}
	ruleExtension = &scan.Rule{ID: "pickle.import.extension", Severity: scan.Harmful,
		Why:  "It imports by a number from a registry of the process, so that nobody sees what.",
		Mend: mendFormat, References: []string{"CWE-502"}}
)

// What is called, made and changed.
var (
	ruleCall = &scan.Rule{ID: "pickle.call.unlisted", Severity: scan.Harmful,
		Why:  "It calls a function that no list of harmless ones has, with what the file says.",
		Mend: mendFormat, References: []string{"CWE-502"}}
	ruleCallee = &scan.Rule{ID: "pickle.call.computed", Severity: scan.Harmful,
		Why:  "It calls what another call returned: nobody can say what that is.",
		Mend: mendFormat, References: []string{"CWE-502", "CWE-913"}}
	ruleGadget = &scan.Rule{ID: "pickle.call.gadget", Severity: scan.Harmful,
		Why:  "It calls a function that is harmless with some arguments, with others.",
		Mend: mendFormat, References: []string{"CWE-502"}}
	ruleArguments = &scan.Rule{ID: "pickle.call.arguments", Severity: scan.Doubtful,
		Why:  "It calls a listed name in a way that pickles of honest models do not.",
		Mend: mendList, References: []string{"CWE-502"}}
	ruleUnlistedMade = &scan.Rule{ID: "pickle.make.unlisted", Severity: scan.Doubtful,
		Why:  "It makes an object of a class that no list of harmless ones has.",
		Mend: mendList, References: []string{"CWE-502"}}
	ruleLibraryMade = &scan.Rule{ID: "pickle.make.library", Severity: scan.Note,
		Why:  "It makes an object of a class of a well-known library, and gives it data.",
		Mend: "Load it with a version of the library that you trust."}
	ruleAttribute = &scan.Rule{ID: "pickle.call.attribute", Severity: scan.Note,
		Why:  "It holds a plain method of a listed type, or a getter of a plain attribute; nothing here calls it.",
		Mend: "Look at who calls this value."}
	ruleModified = &scan.Rule{ID: "pickle.build.global", Severity: scan.Harmful,
		Why:  "It changes a class, function or module of the process that loads it.",
		Mend: mendFormat, References: []string{"CWE-502", "CWE-915"}}
	ruleDunder = &scan.Rule{ID: "pickle.build.method", Severity: scan.Harmful,
		Why:  "It gives an object attributes that Python calls by itself.",
		Mend: mendFormat, References: []string{"CWE-502", "CWE-915"}}
	ruleComputedKey = &scan.Rule{ID: "pickle.build.computed", Severity: scan.Doubtful,
		Why:  "It gives an object attributes whose names are computed while it is loaded.",
		Mend: mendFormat, References: []string{"CWE-502", "CWE-915"}}
	ruleExec = &scan.Rule{ID: "pickle.build.code", Severity: scan.Harmful,
		Why:  "It gives a distribution of scipy.stats a text that scipy runs as code, and that is not scipy's own.",
		Mend: mendFormat, References: []string{"CWE-95", "CWE-502"}}
	ruleMemory = &scan.Rule{ID: "torch.setitem", Severity: scan.Harmful,
		Why:        "It sets items of a tensor or storage as if it were a dict, which breaks the memory of torch's restricted unpickler.",
		Mend:       "Do not load it, not with weights_only either; load files only with torch 2.10 or newer.",
		References: []string{"CVE-2026-24747"}}
	rulePersistent = &scan.Rule{ID: "pickle.persistent", Severity: scan.Doubtful,
		Why:  "A persistent id that is none of PyTorch's means whatever the loader makes of it.",
		Mend: mendList}
	ruleHidden = &scan.Rule{ID: "pickle.carrier.hidden", Severity: scan.Doubtful,
		Why:  "It unpickles bytes that are computed while it is loaded, so that nobody sees them before.",
		Mend: mendFormat, References: []string{"CWE-502"}}
	ruleCarrier = &scan.Rule{ID: "pickle.carrier.other", Severity: scan.Doubtful,
		Why:  "It unpickles bytes that are no format which this loader writes.",
		Mend: mendFormat, References: []string{"CWE-502"}}
	ruleInner = &scan.Rule{ID: "pickle.inner", Severity: scan.Note,
		Why:  "Bytes in it look like a pickle. Nothing in this file loads them.",
		Mend: "Look at who reads this value."}
)

// What cannot be read.
var (
	ruleBroken = &scan.Rule{ID: "pickle.broken", Severity: scan.Unreadable,
		Why:  "Loading stops here with an error; what came before has been run by then.",
		Mend: "Get the file again; if it is the same, do not load it."}
	ruleProtocol = &scan.Rule{ID: "pickle.protocol", Severity: scan.Unreadable,
		Why:  "No Python reads this protocol.",
		Mend: "Get the file again; if it is the same, do not load it."}
	ruleFrame = &scan.Rule{ID: "pickle.frame", Severity: scan.Unreadable,
		Why:  "A frame ends after the file does: one unpickler reads it, the other does not.",
		Mend: "Get the file again; if it is the same, do not load it."}
	ruleCrossed = &scan.Rule{ID: "pickle.frame.crossed", Severity: scan.Doubtful,
		Why: "A frame ends in the middle of an opcode: CPython drops what is left of it when it reads from a file, " +
			"and takes the rest for other opcodes than when it reads from memory.",
		Mend: mendFormat, References: []string{"CWE-436", "CWE-502"}}
	ruleResidue = &scan.Rule{ID: "pickle.residue", Severity: scan.Unreadable,
		Why:  "After the pickle come bytes that its loader does not read.",
		Mend: "Ask its author what they are; a model file has no use for them."}
	ruleAppended = &scan.Rule{ID: "pickle.appended", Severity: scan.Doubtful,
		Why:  "After the pickle comes another file: two loaders read two different models.",
		Mend: mendFormat}
	rulePadding = &scan.Rule{ID: "pickle.padding", Severity: scan.Note,
		Why: "After the pickle comes padding."}
	ruleArray = &scan.Rule{ID: "joblib.array", Severity: scan.Unreadable,
		Why:  "How long an array is cannot be said, so what follows it was not read.",
		Mend: "Save the model again with a present joblib."}
	ruleFrameArray = &scan.Rule{ID: "joblib.frame", Severity: scan.Doubtful,
		Why:  "An array stands inside of a frame, so that joblib and pickle read on at different places.",
		Mend: mendFormat, References: []string{"CWE-502"}}
	ruleOutside = &scan.Rule{ID: "joblib.outside", Severity: scan.Doubtful,
		Why:  "It loads, with pickle, a file that lies outside of the model's own directory.",
		Mend: mendFormat, References: []string{"CWE-22", "CWE-502"}}
	ruleStorage = &scan.Rule{ID: "torch.legacy.storage", Severity: scan.Unreadable,
		Why:  "The storages at the end are not those that the pickle names.",
		Mend: "Save the model again with torch.save, better as safetensors."}
	ruleSource = &scan.Rule{ID: "torch.source", Severity: scan.Note,
		Why: "The file carries the source of a class, which torch only compares."}
)

// Python's own code.
var (
	ruleBytecode = &scan.Rule{ID: "python.bytecode", Severity: scan.Doubtful,
		Why:  "It is a compiled Python module, which runs when it is imported; nobody reads what it does.",
		Mend: "Remove it: a model needs no code beside it, and code comes as source."}
	ruleMarshal = &scan.Rule{ID: "python.marshal", Severity: scan.Doubtful,
		Why:  "It is a marshalled Python code object, which somebody means to run.",
		Mend: "Remove it: a model needs no code beside it, and code comes as source."}
)

func allRules() []*scan.Rule {
	return []*scan.Rule{ruleDenied, ruleDotted, ruleReexport, ruleComputed, ruleUnlisted, ruleLibrary, ruleMain, ruleExtension,
		ruleCall, ruleCallee, ruleGadget, ruleArguments, ruleAttribute, ruleUnlistedMade, ruleLibraryMade, ruleModified, ruleDunder, ruleComputedKey, ruleExec, ruleMemory, rulePersistent,
		ruleHidden, ruleCarrier, ruleInner, ruleBroken, ruleProtocol, ruleFrame, ruleCrossed, ruleResidue, ruleAppended, rulePadding,
		ruleArray, ruleFrameArray, ruleOutside, ruleStorage, ruleSource}
}
