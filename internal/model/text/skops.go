package text

import (
	"strings"

	"github.com/apexlogic/apex/internal/model/scan"
)

var skopsReferences = []string{"CVE-2025-54412", "CVE-2025-54413", "CVE-2025-54886"}

var (
	ruleSkopsNode = &scan.Rule{ID: "skops.node", Severity: scan.Harmful,
		Why:        "Loading this node imports or calls something that runs, loads or writes what it is given.",
		Mend:       "Do not load the model.",
		References: skopsReferences}
	ruleSkopsUnlisted = &scan.Rule{ID: "skops.unlisted", Severity: scan.Doubtful,
		Why:        "Loading this node makes an object of a class that is not of a known library.",
		Mend:       "See that the package is the one that you expect before you trust the type.",
		References: skopsReferences}
)

func skopsRules() []*scan.Rule { return []*scan.Rule{ruleSkopsNode, ruleSkopsUnlisted} }

// skopsNode looks at a node of schema.json: __loader__ says how the loader
// makes an object of __module__ and __class__.
func skopsNode(d *document, o *object) error {
	if o.has("obj") && o.has("func") && d.as == "skops" || o.has("obj") && o.get("func").kind == isText && o.names == 2 {
		if method := o.text("func"); strings.HasPrefix(method, "_") || isRunner(method) || method != "" && !isIdentifier(method) {
			d.place.Report(ruleSkopsNode, d.at(), "a method "+method)
		}
	}
	loader := o.text("__loader__")
	if loader == "" || !o.has("__class__") && !o.has("__module__") {
		return nil
	}
	d.name("skops")
	module, class := o.text("__module__"), o.text("__class__")
	name := module + "." + class
	harmful := func(why string) { d.place.Report(ruleSkopsNode, d.at(), loader+" of "+name+": "+why) }
	switch loader {
	case "JsonNode", "NoneNode":
		return nil // its class is not looked up
	case "FunctionNode", "PartialNode", "OperatorFuncNode", "ConstructorFromReduceNode", "ReduceNode":
		if why := skopsFunction(loader, module, class); why != "" {
			harmful(why)
		}
		return nil
	case "DictNode", "DefaultDictNode", "ListNode", "SetNode", "TupleNode", "BytesNode", "BytearrayNode", "SliceNode", "TypeNode", "ObjectNode",
		"MethodNode", "NdArrayNode", "MaskedArrayNode", "RandomStateNode", "RandomGeneratorNode", "DTypeNode", "SparseMatrixNode", "TreeNode",
		"LossNode", "CyLossNode", "QuantileForestNode", "CachedNode", "_DictWithDeprecatedKeysNode", "_DictWithDeprecatedKeys":
	default:
		d.place.Report(ruleSkopsUnlisted, d.at(), "a loader "+loader)
	}
	if why, known := skopsClass(module, class); why != "" {
		harmful(why)
	} else if !known {
		d.place.Report(ruleSkopsUnlisted, d.at(), loader+" of "+name)
	}
	return nil
}

// skopsFunction says why a function may not be named, "" where it may.
func skopsFunction(loader, module, name string) string {
	root, _, _ := strings.Cut(module, ".")
	switch loader {
	case "PartialNode":
		if module == "functools" && name == "partial" {
			return "" // what it calls is a node of its own
		}
		return "no partial"
	case "OperatorFuncNode":
		if module == "operator" && (name == "attrgetter" || name == "itemgetter") {
			return ""
		}
		return "no plain getter"
	case "ConstructorFromReduceNode", "ReduceNode":
		if why, known := skopsClass(module, name); why != "" || known {
			return why
		}
		return "is not listed"
	}
	switch verdict, why := judgeCallable(module + "." + name); {
	case root == "builtins" && isPlainBuiltin(name):
		return ""
	case verdict == gadget && !(root == "sklearn" || root == "scipy" || root == "numpy"):
		return why
	case strings.HasPrefix(name, "__"), isRunner(name), dangerousWithin(module+"."+name) != "", reachesModule(module):
		return "runs, loads or writes what it is given"
	case root == "sklearn", root == "scipy", root == "numpy", module == "math", module == "operator" && isPlainStandard("operator."+name):
		return ""
	}
	return "is not listed"
}

// reachesModule says whether a dangerous module is reached through another.
func reachesModule(module string) bool {
	for i, part := range strings.Split(module, ".") {
		if i > 0 && isDangerousModule(part) || strings.HasPrefix(part, "__") {
			return true
		}
	}
	return false
}

// skopsClass judges a class: why it is harmful, or whether it is known.
func skopsClass(module, class string) (why string, known bool) {
	root, _, _ := strings.Cut(module, ".")
	switch {
	case class == "" && module == "":
		return "", true
	case strings.HasPrefix(class, "__"), isRunner(class), isDangerousModule(root) && root != "builtins", reachesModule(module),
		!isIdentifier(strings.ReplaceAll(strings.ReplaceAll(class, ".", "_"), "[", "_")) && class != "":
		if module == "inspect" || class == "spawn" {
			return "is not for models", false
		}
		return "reaches what runs, loads or writes what it is given", false
	}
	switch root {
	case "builtins":
		if isPlainBuiltin(class) || class == "NoneType" || class == "map" || class == "type" || class == "filter" || class == "function" || class == "method" || class == "ellipsis" ||
			class == "builtin_function_or_method" || strings.HasSuffix(class, "Error") || strings.HasSuffix(class, "Warning") {
			return "", true
		}
		return "is no plain type", false
	case "numpy", "scipy", "sklearn":
		if dangerousWithin(module+"."+class) != "" {
			return "runs, loads or writes what it is given", false
		}
		return "", true
	case "collections", "datetime", "decimal", "fractions", "uuid", "functools", "operator", "pathlib", "enum", "random":
		if class == "methodcaller" || class == "attrgetter" && root != "operator" || class == "cached_property" {
			return "calls what it is given", false
		}
		return "", true
	case "quantile_forest", "xgboost", "lightgbm", "catboost", "pandas", "imblearn", "skops":
		return "", !strings.Contains(module, "_") || root != "pandas"
	}
	if isStandard(root) {
		return "is in Python's standard library and not listed as harmless", false
	}
	return "", false
}
