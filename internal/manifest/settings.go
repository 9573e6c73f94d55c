package manifest

import (
	"encoding/base64"
	"errors"
	"strings"
	"unicode/utf8"

	"github.com/apexlogic/apex/verdict"
)

// maxWork bounds the long text of one file that is read for what it hides,
// aliases counted each time: four times what a file may have.
const maxWork = 4 * MaxBytes

// maxHidden is the most text that is read as objects or settings: what an API
// server takes as one object.
const maxHidden = 1 << 20

// maxHiddenNodes is twice what a text of that size holds without aliases.
const maxHiddenNodes = 200_000

// hidden reads a string for the references that its text hides: lists of them,
// objects and settings in YAML or JSON, commands. key names the string; sure is
// true where the text is known to be run.
func (x *extractor) hidden(n *node, key, text string, sure bool, s scope) error {
	if x.work += len(text); x.work > maxWork {
		return problem(n.line, n.col, "more than %d bytes of text within the file's values: split it", maxWork)
	}
	if found, err := x.listed(n, text, s); found || err != nil {
		return err
	}
	if isWritten(key, text) && !sure {
		return nil
	}
	sure = sure || isScript(key, text)
	if mayBeSettings(text) {
		// Objects in a script stand in its here-documents.
		if !sure || !strings.Contains(text, "<<") {
			if read, err := x.settings(n, text, s); read && !sure || err != nil {
				return err
			}
		}
		if err := x.lines(n, text, s); err != nil {
			return err
		}
	}
	if isDockerfile(key) {
		return x.dockerfile(n, text, s)
	}
	if err := x.calls(n, text, s); err != nil {
		return err
	}
	if sure || namesProgram(text) {
		return x.script(n, text, nil, sure, 0, s)
	}
	return nil
}

// isWritten recognises what is written for readers, which mentions commands and
// images without any being run. A text that starts as a script is one.
func isWritten(key, text string) bool {
	switch ending(key) {
	case "md", "markdown", "rst", "adoc", "html", "htm", "tmpl.html", "txt", "log":
		return !strings.HasPrefix(text, "#!")
	}
	switch key {
	case "description", "summary", "message", "runbook", "README", "NOTES", "title", "LICENSE", "NOTICE", "CHANGELOG":
		return !strings.HasPrefix(text, "#!")
	}
	return false
}

func ending(key string) string {
	return strings.ToLower(key[strings.LastIndexByte(key, '.')+1:])
}

// isScript says whether a setting is a script, by its name or its first line.
func isScript(key, text string) bool {
	if strings.HasPrefix(text, "#!") {
		return true
	}
	switch ending(key) {
	case "sh", "bash", "zsh", "ksh", "ash", "dash":
		return true
	}
	switch fold(key) {
	case "script", "entrypoint", "command", "cmd", "run", "args", "exec", "poststart", "prestop", "init", "userdata", "startup", "startupscript", "bootstrap", "install":
		return true
	}
	return false
}

func isDockerfile(key string) bool {
	return containsFold(key, "dockerfile") || containsFold(key, "containerfile")
}

// mayBeSettings spares most text the cost of parsing it.
func mayBeSettings(text string) bool {
	return strings.ContainsAny(text, ":=") && (containsFold(text, "image") || containsFold(text, "model") || containsFold(text, "apiversion") ||
		strings.Contains(text, "@sha256:") || containsFold(text, "registry") || containsFold(text, "repository") || containsFold(text, "storageuri") ||
		strings.Contains(text, "://") || strings.Contains(text, "containers") || strings.Contains(text, "/") && strings.Contains(text, ":"))
}

// manifestShaped says whether text has lines as objects have them, even where
// nothing can parse it.
func manifestShaped(text string) bool {
	if !strings.Contains(text, "apiVersion") || !strings.Contains(text, "kind") {
		return false
	}
	version, kind := false, false
	for line := range strings.Lines(text) {
		key, _, _ := setting(line)
		version = version || key == "apiVersion"
		kind = kind || key == "kind"
	}
	return version && kind
}

// settings parses text as YAML or JSON and reads the objects and the settings
// that it holds. read is false when the text is neither.
func (x *extractor) settings(n *node, text string, s scope) (read bool, err error) {
	start := strings.TrimLeft(text, " \t\r\n")
	if start == "" || !strings.Contains(text, "\n") && start[0] != '{' && start[0] != '[' && !strings.Contains(start, ": ") {
		return false, nil
	}
	if x.embedded >= maxEmbedded || len(text) > maxHidden {
		if manifestShaped(text) {
			return true, x.unresolved(n, "", verdict.ReferenceUnresolved, "objects in text that is too long, or too deep in other text, to be read: write them out", s)
		}
		return false, nil
	}
	inner := s
	if inner.embedded.Line == 0 {
		inner.embedded = verdict.Origin{Line: int(n.line), Column: int(n.col), Pointer: x.pointer()}
	}
	settings := object{name: s.obj.name, namespace: s.obj.namespace, labels: s.obj.labels, settings: true}
	refs, unresolved, path := len(x.res.Refs), len(x.res.Unresolved), len(x.path)
	room, parsed, objects := x.room, false, false
	elements := x.elements
	x.elements = nil
	x.embedded++
	err = newBuilder(Limits{Bytes: maxHidden, Documents: 200, Nodes: maxHiddenNodes}).documents([]byte(text), func(root *node) error {
		if root.kind == scalar {
			return nil
		}
		parsed = true
		if x.work += root.size; x.work > maxWork {
			return problem(n.line, n.col, "more settings within the file's values than are read: split it")
		}
		if root.str("apiVersion") != "" && root.str("kind") != "" {
			objects = true
			return x.object(root, inner, "", "")
		}
		inner := inner
		inner.obj = &settings
		return x.visit(root, roleAny, nil, "", inner)
	})
	x.embedded--
	x.elements = elements
	switch {
	case err == nil:
		return parsed, nil
	case x.work > maxWork || x.room < 0:
		return true, err
	}
	x.res.Refs, x.res.Unresolved, x.path, x.room = x.res.Refs[:refs], x.res.Unresolved[:unresolved], x.path[:path], room
	if !objects && !manifestShaped(text) || strings.Contains(text, "```") {
		return false, nil
	}
	why := "the text looks like an object and cannot be read as one: render it first, or write it out"
	var p *Problem
	if errors.As(err, &p) && !strings.Contains(text, "{{") {
		why = "an object in this text cannot be read: " + p.Why
	}
	if objects || hasImageLine(text) {
		return true, x.unresolved(n, "", verdict.ReferenceUnresolved, why, s)
	}
	return false, nil
}

// hasImageLine says whether text that cannot be parsed has an image somewhere.
func hasImageLine(text string) bool {
	for line := range strings.Lines(text) {
		if strings.Contains(line, "image:") || strings.Contains(line, `"image"`) || strings.Contains(line, "containers:") {
			return true
		}
	}
	return false
}

// lines reads text line by line: NAME=value, name: value, and elements of lists.
func (x *extractor) lines(n *node, text string, s scope) error {
	for line := range strings.Lines(text) {
		line = strings.TrimSpace(line)
		if line == "" || line[0] == '#' || line[0] == ';' {
			continue
		}
		key, val, ok := setting(line)
		if !ok {
			if _, err := x.listed(n, strings.TrimPrefix(line, "- "), s); err != nil {
				return err
			}
			continue
		}
		if val == "" || strings.Contains(val, "{{") || strings.Contains(val, "://") && strings.Contains(val, " ") {
			continue // a template is run by somebody who is not known, and what it makes is judged
		}
		if err := x.setting(n, key, val, s); err != nil {
			return err
		}
	}
	return nil
}

// setting parts a line into a name without white space and its value.
func setting(line string) (key, val string, ok bool) {
	line = strings.TrimSpace(line)
	line = strings.TrimPrefix(strings.TrimPrefix(line, "- "), "export ")
	i := strings.IndexAny(line, ":=")
	if i < 1 {
		return "", "", false
	}
	key = strings.Trim(strings.TrimSpace(line[:i]), `"'`)
	if key == "" || strings.ContainsAny(key, " \t/@{}()") || line[i] == ':' && i+1 < len(line) && line[i+1] != ' ' {
		return "", "", false
	}
	val = strings.TrimSpace(line[i+1:])
	if before, _, comment := strings.Cut(val, " #"); comment {
		val = before
	}
	return key, strings.Trim(strings.TrimRight(strings.TrimSpace(val), ",;"), `"'`), true
}

// setting reads one setting by its name: an image's, a model's, or any that is
// a reference, or a list of them, by itself.
func (x *extractor) setting(n *node, key, val string, s scope) error {
	switch means := modelSetting(key, val); {
	case val == "" || isQuery(val) || containsFold(key, "taint"):
		return nil
	case isNamedImage(key):
		if isPlaceholder(val) {
			return x.unresolved(n, val, verdict.ReferenceUnresolved, "the image depends on a value that is not known here: render the manifest first, or give the parameter's value", s)
		}
		return x.named(n, val, s)
	case means != noModel:
		switch {
		case isLocal(val), means == maybeModel && !strings.Contains(val, "/"):
			return nil
		case isPlaceholder(val):
			if means == alwaysModel {
				return x.unresolvedModel(n, s)
			}
			return nil
		case strings.ContainsAny(val, " \t\n"):
			return nil
		}
		return x.modelText(n, val, ClassUnclassified, "", s)
	}
	if isLong(val) {
		_, err := x.listed(n, val, s)
		return err
	}
	if isReference(val) || looksLikeModel(val, containsFold(key, "model"), true) && !isPlaceholder(val) {
		return x.reference(n, val, s)
	}
	return nil
}

// isQuery recognises templates of Prometheus, whose labels are called image too
// and whose values name what runs already.
func isQuery(text string) bool {
	return strings.Contains(text, "$labels") || strings.Contains(text, "$value") || strings.Contains(text, ".Labels") || strings.Contains(text, ".CommonLabels")
}

// dockerfile reads what an image is to be built from.
func (x *extractor) dockerfile(n *node, text string, s scope) error {
	stages := map[string]bool{"scratch": true}
	for line := range strings.Lines(text) {
		f := strings.Fields(line)
		if len(f) < 2 || !strings.EqualFold(f[0], "FROM") {
			continue
		}
		f = f[1:]
		for len(f) > 1 && strings.HasPrefix(f[0], "--") {
			f = f[1:]
		}
		image := f[0]
		if len(f) > 2 && strings.EqualFold(f[1], "AS") {
			stages[f[2]] = true
		}
		var err error
		switch {
		case stages[image]:
		case isPlaceholder(image):
			err = x.unresolved(n, image, verdict.ReferenceUnresolved, "the base image depends on a value that is not known here: write it out", s)
		default:
			err = x.reference(n, image, s)
		}
		if err != nil {
			return err
		}
	}
	return nil
}

// decoded reads the text that a Secret's data or a ConfigMap's binaryData holds
// in base64; other bytes hold no references.
func (x *extractor) decoded(n *node, key string, s scope) error {
	if n.kind != scalar || n.text == "" || len(n.text) > 2*maxHidden {
		return nil
	}
	if x.work += len(n.text); x.work > maxWork {
		return problem(n.line, n.col, "more than %d bytes of text within the file's values: split it", maxWork)
	}
	data, err := base64.StdEncoding.DecodeString(strings.Map(func(r rune) rune {
		if r == '\n' || r == '\r' || r == ' ' {
			return -1
		}
		return r
	}, n.text))
	if err != nil || len(data) == 0 || !utf8.Valid(data) {
		return nil
	}
	plain := *n
	plain.typ, plain.text = typeString, string(data)
	return x.loose(&plain, roleData, key, s)
}
