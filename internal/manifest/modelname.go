package manifest

import (
	"encoding/json"
	"path"
	"strings"
)

// modelSetting says what a variable of this name, with this value, says about a
// model: those that are known by name, and any that speaks of a model and has
// the form of a hub's owner/name.
func modelSetting(name, val string) modelMeaning {
	if means := modelVariable(name); means != noModel {
		return means
	}
	if isHubID(val) && announcesModel(name) && !isSettingsFile(val) {
		return maybeModel
	}
	return noModel
}

// announcesModel says whether a name speaks of a model, and of none of the other
// things that models have and that are written with a slash.
func announcesModel(name string) bool {
	if len(name) > 64 || !containsFold(name, "model") && !containsFold(name, "huggingface") && !containsFold(name, "lora") && !containsFold(name, "tokenizer") &&
		!containsFold(name, "adapter") && !containsFold(name, "checkpoint") && !strings.HasPrefix(name, "HF_") {
		return false
	}
	folded := fold(name)
	for _, end := range [...]string{"path", "dir", "directory", "file", "topic", "prefix", "class", "module", "endpoint", "route", "namespace", "package", "format", "type", "queue", "home", "cache", "server", "key", "bucket"} {
		if strings.HasSuffix(folded, end) {
			return false
		}
	}
	return true
}

// isSettingsFile recognises the path of a file that is no model.
func isSettingsFile(text string) bool {
	switch strings.ToLower(path.Ext(text)) {
	case ".yaml", ".yml", ".json", ".txt", ".py", ".xml", ".proto", ".conf", ".toml", ".ini", ".csv", ".log", ".js", ".ts", ".sql", ".html":
		return true
	}
	return false
}

// isModelFrom says whether a variable whose value stands in another object names
// a model that nobody would judge there: what has the same name there is judged
// with that object.
func isModelFrom(name string, from *node) bool {
	switch modelVariable(name) {
	case alwaysModel:
		return true
	case maybeModel:
		if name == "MODEL_PATH" || name == "MODEL_DIR" || name == "MODEL_STORE" {
			return false
		}
		key := from.get("configMapKeyRef")
		if key == nil {
			key = from.get("secretKeyRef")
		}
		return key != nil && modelVariable(key.str("key")) == noModel && !announcesModel(key.str("key"))
	}
	return false
}

// registryOf returns the registry that a command line puts before its images.
func registryOf(line []word) string {
	for i, w := range line {
		name, val, inline := strings.Cut(w.text, "=")
		if !strings.HasPrefix(name, "-") {
			continue
		}
		switch fold(strings.TrimLeft(name, "-")) {
		case "registry", "imageregistry", "registryhost", "containerregistry", "dockerregistry", "registryurl":
			if !inline && i+1 < len(line) {
				val = line[i+1].text
			}
			_, host, ok := strings.Cut(val, "://")
			if !ok {
				host = val
			}
			return strings.TrimSuffix(host, "/")
		}
	}
	return ""
}

// isRegistryVariable recognises an image that begins with a registry which is
// not known: $(REGISTRY)/app.
func isRegistryVariable(text string) bool {
	if !strings.HasPrefix(text, "$") {
		return false
	}
	name, rest, ok := strings.Cut(text, "/")
	return ok && rest != "" && !strings.Contains(text, "://") && (containsFold(name, "registry") || containsFold(name, "image_") || containsFold(name, "_repo"))
}

// modelsIn reads a setting in JSON, as --speculative-config has it: the models
// that it names, and images in the usual fields.
func (x *extractor) modelsIn(n *node, name, text string, s scope) error {
	if x.work += len(text); x.work > maxWork {
		return problem(n.line, n.col, "more than %d bytes of text within the file's values: split it", maxWork)
	}
	var settings map[string]any
	if strings.Contains(text, "model") && json.Unmarshal([]byte(text), &settings) == nil {
		for _, key := range [...]string{"model", "draft_model", "speculative_model", "tokenizer", "model_id", "base_model"} {
			m, _ := settings[key].(string)
			if m == "" || isLocal(m) || m == "ngram" || m == "[ngram]" {
				continue
			}
			if strings.Contains(name, "spec") || isHubID(m) {
				if err := x.modelWithin(n, m, s); err != nil {
					return err
				}
			}
		}
	}
	return x.hidden(n, strings.TrimLeft(name, "-"), text, false, s)
}

func (x *extractor) modelWithin(n *node, m string, s scope) error {
	if isPlaceholder(m) {
		return x.unresolvedModel(n, s)
	}
	return x.modelText(n, m, ClassModel, "", s)
}
