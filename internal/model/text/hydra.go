package text

import (
	"strings"

	"github.com/apexlogic/apex/internal/model/scan"
)

var hydraReferences = []string{"CVE-2025-23304", "CVE-2026-22584", "CWE-94"}

var (
	ruleTargetHarmful = &scan.Rule{ID: "hydra.target", Severity: scan.Harmful,
		Why:        "Hydra calls whatever _target_ names, and this one runs, loads or writes what it is given.",
		Mend:       "Do not instantiate the configuration; ask its author for one that names classes of its library only.",
		References: hydraReferences}
	ruleTargetUnlisted = &scan.Rule{ID: "hydra.function", Severity: scan.Doubtful,
		Why:        "Hydra calls whatever _target_ names, and this function is not known to be harmless.",
		Mend:       "Read the function; install only the package that you expect it from.",
		References: hydraReferences}
	ruleTargetForeign = &scan.Rule{ID: "hydra.class", Severity: scan.Note,
		Why:  "The configuration instantiates a class that is not of a known library.",
		Mend: "See that the package is the one that you expect."}
	ruleTargetComputed = &scan.Rule{ID: "hydra.computed", Severity: scan.Doubtful,
		Why:        "What is called is known only when the configuration is resolved.",
		Mend:       "Write the target's name as it is.",
		References: hydraReferences}
	ruleResolver = &scan.Rule{ID: "hydra.resolver", Severity: scan.Doubtful,
		Why:        "The configuration reads the environment or evaluates an expression when it is resolved.",
		Mend:       "Write the value as it is.",
		References: []string{"CWE-200", "CWE-95"}}
	ruleExpression = &scan.Rule{ID: "config.expression", Severity: scan.Harmful,
		Why:        "Loaders of this configuration evaluate the text as Python, and it runs programs or code.",
		Mend:       "Do not load the configuration.",
		References: []string{"CWE-95"}}
)

func hydraRules() []*scan.Rule {
	return []*scan.Rule{ruleTargetHarmful, ruleTargetUnlisted, ruleTargetForeign, ruleTargetComputed, ruleResolver, ruleExpression}
}

// hydraTarget looks at objects that name what is to be called: _target_ (Hydra,
// NeMo, MONAI), class_path (Lightning), target with params (latent diffusion).
func hydraTarget(d *document, o *object) error {
	if target := o.get("_target_"); target.kind == isText {
		d.name("hydra")
		d.judgeTarget(target.text, true)
		for _, key := range []string{"path", "func", "fn", "callable"} {
			if path := o.text(key); path != "" && strings.HasPrefix(target.text, "hydra.") {
				d.judgeTarget(path, true)
			}
		}
	}
	if class := o.text("class_path"); class != "" && strings.Contains(class, ".") && !strings.ContainsAny(class, "/\\ ;") {
		d.judgeTarget(class, false)
	}
	if target := o.text("target"); strings.Contains(target, ".") && (o.has("params") || o.has("args") || o.has("kwargs")) && !strings.ContainsAny(target, "/\\ -") {
		d.judgeTarget(target, false)
	}
	yolo(d, o)
	return nil
}

// judgeTarget reports a name that is called. Where it is not sure that the
// name is called at all, only what no configuration needs is reported.
func (d *document) judgeTarget(name string, sure bool) {
	if strings.Contains(name, "${") {
		if sure {
			d.place.Report(ruleTargetComputed, d.at(), name)
		}
		return
	}
	switch verdict, why := judgeCallable(name); {
	case verdict == gadget && (sure || why != "is no dotted name"):
		d.place.Report(ruleTargetHarmful, d.at(), name+" "+why)
	case !sure:
	case verdict == unlisted:
		if strings.Contains(name, ".") {
			d.place.Report(ruleTargetUnlisted, d.at(), name+" "+why)
		}
	case verdict == foreign:
		d.place.Report(ruleTargetForeign, d.at(), name+" "+why)
	}
}

// yolo looks at what YOLO's loaders evaluate: the activation and the layers of
// a model (parse_model), the script that fetches a data set (check_dataset).
func yolo(d *document, o *object) {
	d.evaluatedCells(o.get("backbone"))
	d.evaluatedCells(o.get("head"))
	if o.has("backbone") || o.has("head") {
		d.evaluated(o.text("activation"))
	}
	script := o.text("download")
	if script == "" || !o.root || !o.has("names") || strings.HasPrefix(script, "http") {
		return
	}
	if command, ok := strings.CutPrefix(script, "bash "); !ok {
		d.evaluated(script)
	} else if strings.ContainsAny(command, " ;&|<>$`()\n\\") || strings.HasPrefix(command, "/") || strings.Contains(command, "..") {
		d.place.Report(ruleExpression, d.at(), "it is run by a shell: "+script)
	}
}

func (d *document) evaluated(text string) {
	if why := pythonDoes([]byte(text)); why != "" {
		d.place.Report(ruleExpression, d.at(), why)
	}
}

// evaluatedCells looks at the layers of a model, each of which is evaluated:
// [from, number, module, arguments].
func (d *document) evaluatedCells(rows field) {
	if rows.kind != isList {
		return
	}
	for _, row := range rows.list {
		if row.kind != isList || len(row.list) != 4 {
			continue
		}
		for _, text := range row.texts() {
			d.evaluated(text)
		}
	}
}

// checkText looks at any text of a configuration for what resolvers and
// evaluators make of it.
func (d *document) checkText(s string) {
	if strings.HasPrefix(s, "$") && !strings.HasPrefix(s, "${") { // MONAI evaluates it
		if why := pythonDoes([]byte(s[1:])); why != "" {
			d.place.Report(ruleExpression, d.at(), why)
		}
	}
	for rest := s; ; {
		i := strings.Index(rest, "${")
		if i < 0 {
			return
		}
		rest = rest[i+2:]
		name, _, ok := strings.Cut(rest, ":")
		if !ok || len(name) > 40 {
			continue
		}
		switch name = strings.TrimSpace(name); name {
		case "eval", "exec", "python", "py", "shell", "sh", "cmd", "run", "system", "subprocess", "os.system", "oc.eval", "import", "call", "lambda":
			d.place.Report(ruleResolver, d.at(), s)
			return
		case "oc.env", "env":
			variable, _, _ := strings.Cut(strings.TrimSpace(rest[len(name)+1:]), "}")
			variable, _, _ = strings.Cut(variable, ",")
			if isSecretName(variable) {
				d.place.Report(ruleResolver, d.at(), s)
				return
			}
		}
	}
}

// isSecretName says whether an environment variable commonly holds a secret.
func isSecretName(name string) bool {
	name = strings.ToUpper(strings.Trim(name, ` "'`))
	for _, word := range [...]string{"SECRET", "PASSWORD", "PASSWD", "TOKEN", "CREDENTIAL", "PRIVATE_KEY", "API_KEY", "ACCESS_KEY"} {
		if strings.Contains(name, word) {
			return true
		}
	}
	return false
}
