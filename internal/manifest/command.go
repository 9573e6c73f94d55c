package manifest

import (
	"strings"

	"github.com/apexlogic/apex/verdict"
)

// container reads what a container is told to load: its environment, and its
// command and arguments as one line.
func (x *extractor) container(n *node, r role, s scope) error {
	if s.obj.complete && n.get("image") == nil {
		if err := x.missingImage(n, s); err != nil {
			return err
		}
	}
	env, err := x.environment(n.get("env"), s)
	if err != nil {
		return err
	}
	line, err := commandLine(n)
	if err != nil {
		return err
	}
	if err := x.command(line, env, s); err != nil {
		return err
	}
	return x.executes(n, line, env, s)
}

// environment reads a list of variables and returns the values that are known.
func (x *extractor) environment(list *node, s scope) (map[string]string, error) {
	if list == nil || list.isNull() {
		return nil, nil
	}
	if list.kind == mapping { // not Kubernetes' own form; some kinds have it
		x.pushField("env")
		defer x.pop()
		return nil, x.mapping(list, roleAny, nil, "env", s)
	}
	if list.kind != sequence {
		return nil, problem(list.line, list.col, "env is not a list: write a list of names and values")
	}
	known := make(map[string]string, len(list.items))
	x.pushField("env")
	defer x.pop()
	for i := range list.items {
		v := list.items[i].val
		name, value := v.str("name"), v.get("value")
		x.pushElement(i)
		switch {
		case value == nil:
			if from := v.get("valueFrom"); from.isMapping() && isModelFrom(name, from) {
				err := x.unresolved(v, name, verdict.ReferenceUnresolved, "the variable names a model and its value stands in another object: write the value here", s)
				if err != nil {
					return nil, err
				}
			}
		case value.kind == scalar:
			if value.typ != typeNull && value.typ != typeTagged {
				known[name] = value.text
			}
			x.pushField("value")
			if err := x.variable(name, value, known, s); err != nil {
				return nil, err
			}
			x.pop()
		}
		x.pop()
	}
	return known, nil
}

// variable reads one variable's value.
func (x *extractor) variable(name string, n *node, env map[string]string, s scope) error {
	text, ok := expand(n.text, env)
	means := modelSetting(name, text)
	if means == noModel || n.typ == typeNull || n.typ == typeOther || text == "" {
		return x.argument(n, name, text, s)
	}
	switch {
	case isLocal(text):
		return nil
	case means == maybeModel && !strings.Contains(text, "/"):
		return nil // a name to serve under
	case !ok || n.typ == typeTagged || isPlaceholder(text):
		return x.unresolvedModel(n, s)
	}
	return x.modelText(n, text, ClassModel, "", s)
}

// What a variable or an option says about a model.
type modelMeaning uint8

const (
	noModel modelMeaning = iota
	maybeModel
	alwaysModel
	modelList // name=location pairs
	modelRevision
)

// modelVariable knows the environment of the usual model servers.
func modelVariable(name string) modelMeaning {
	switch name {
	case "HF_MODEL_ID", "MODEL_ID", "HF_REPO_ID", "MODEL_REPO", "MODEL_REPO_ID", "HF_MODEL_REPO", "HUGGINGFACE_MODEL", "HUGGINGFACE_MODEL_ID", "HF_MODEL_NAME", "VLLM_MODEL", "OLLAMA_MODEL", "SPECULATIVE_MODEL", "DRAFT_MODEL", "PRETRAINED_MODEL_NAME_OR_PATH",
		"STORAGE_URI", "MODEL_URI", "MODEL_URL", "HF_MODEL", "SPACY_MODEL", "EMBEDDING_MODEL_ID", "LLM_MODEL_ID":
		return alwaysModel
	case "MODEL_NAME", "MODEL", "BASE_MODEL", "EMBEDDING_MODEL", "RERANKER_MODEL", "MODEL_PATH", "MODEL_DIR", "MODEL_STORE":
		return maybeModel
	}
	return noModel
}

// modelOption knows the options of the usual model servers.
func modelOption(name string) modelMeaning {
	switch strings.ReplaceAll(strings.TrimLeft(name, "-"), "_", "-") {
	case "model", "model-id", "hf-model-id", "storage-uri", "model-uri", "model-url", "speculative-model", "draft-model", "hf-repo":
		return alwaysModel
	case "m", "model-name", "model-path", "hf", "lora-adapter", "adapter-id", "prompt-adapter", "hf-config-path", "draft-model-path", "tokenizer-name", "base-model", "embedding-model", "reranker-model", "whisper-model", "model-name-or-path", "model-dir", "model-repository", "tokenizer", "lora-dir":
		return maybeModel
	case "lora-modules", "lora-adapters", "lora-paths":
		return modelList
	case "revision":
		return modelRevision
	}
	if strings.HasSuffix(name, ".model") { // vLLM's --speculative-config.model
		return alwaysModel
	}
	return noModel
}

// word is one word of a command line and where it stands.
type word struct {
	text  string
	n     *node
	field string
	index int // of the element of command or args; -1 when the field is a string
}

// commandLine puts command and args together as the container runtime does.
// Scripts that stand in one argument are taken apart at white space: that is
// not what a shell does, and finds what it would be given.
func commandLine(n *node) ([]word, error) {
	var line []word
	for _, field := range []string{"command", "args", "script", "source"} {
		v := n.get(field)
		switch {
		case v == nil:
		case v.kind == scalar, v.kind == sequence:
			line = appendWords(line, field, v)
		default:
			return nil, problem(v.line, v.col, "%s is not a list: write a list of strings", field)
		}
	}
	return line, nil
}

// appendWords adds the words of command or args.
func appendWords(line []word, field string, v *node) []word {
	add := func(v *node, index int) {
		if v.kind != scalar || v.typ == typeNull {
			return
		}
		if !strings.ContainsAny(v.text, " \t\n") || strings.HasPrefix(v.text, "{") || strings.HasPrefix(v.text, "-") && strings.Contains(v.text, "={") {
			line = append(line, word{v.text, v, field, index})
			return
		}
		for text := range strings.FieldsSeq(v.text) {
			line = append(line, word{strings.Trim(text, `"';`), v, field, index})
		}
	}
	if v.kind == scalar {
		add(v, -1)
	}
	for i := range v.items {
		add(v.items[i].val, i)
	}
	return line
}

// command finds the models and images that a command line names.
func (x *extractor) command(line []word, env map[string]string, s scope) error {
	revision := ""
	for i, w := range line {
		if name, value, ok := strings.Cut(w.text, "="); modelOption(name) == modelRevision && strings.HasPrefix(w.text, "-") {
			if !ok && i+1 < len(line) {
				value = line[i+1].text
			}
			revision = clip(value, 100)
		}
	}
	registry := registryOf(line)
	for i := 0; i < len(line); i++ {
		w := line[i]
		name, value, inline := strings.Cut(w.text, "=")
		means := noModel
		if strings.HasPrefix(name, "-") {
			means = modelOption(name)
		}
		switch {
		case means == modelList:
			if inline {
				if err := x.modelPair(w, value, env, s); err != nil {
					return err
				}
			}
			for ; i+1 < len(line) && !strings.HasPrefix(line[i+1].text, "-"); i++ {
				if err := x.modelPair(line[i+1], line[i+1].text, env, s); err != nil {
					return err
				}
			}
		case (means == alwaysModel || means == maybeModel) && inline:
			if err := x.modelWord(w, value, means, revision, env, s); err != nil {
				return err
			}
		case (means == alwaysModel || means == maybeModel) && i+1 < len(line) && !strings.HasPrefix(line[i+1].text, "-"):
			i++
			if err := x.modelWord(line[i], line[i].text, means, revision, env, s); err != nil {
				return err
			}
		case w.text == "serve" && i > 0 && strings.HasSuffix(line[i-1].text, "vllm") && i+1 < len(line) && !strings.HasPrefix(line[i+1].text, "-"):
			i++
			if err := x.modelWord(line[i], line[i].text, alwaysModel, revision, env, s); err != nil {
				return err
			}
		default:
			option := ""
			if inline {
				option = name
			} else {
				value = w.text
				if i > 0 && strings.HasPrefix(line[i-1].text, "-") {
					option = line[i-1].text
				}
			}
			value, _ = expand(value, env)
			if registry != "" && isNamedImage(option) && !isReference(value) {
				value = registry + "/" + value
			}
			if err := x.inWord(w, func() error { return x.argument(w.n, option, value, s) }); err != nil {
				return err
			}
		}
	}
	return nil
}

// inWord calls f with the path at the word.
func (x *extractor) inWord(w word, f func() error) error {
	x.pushField(w.field)
	if w.index >= 0 {
		x.pushElement(w.index)
	}
	err := f()
	if w.index >= 0 {
		x.pop()
	}
	x.pop()
	return err
}

func (x *extractor) modelWord(w word, value string, means modelMeaning, revision string, env map[string]string, s scope) error {
	text, ok := expand(strings.Trim(value, `"'`), env)
	return x.inWord(w, func() error {
		switch {
		case isLocal(text), text == "":
			return nil
		case means == maybeModel && !strings.Contains(text, "/"):
			return nil // a name to serve under
		case !ok || isPlaceholder(text):
			return x.unresolved(w.n, text, verdict.ReferenceUnresolved, "the model depends on a value that is not known here: write it out", s)
		}
		return x.modelText(w.n, text, ClassModel, revision, s)
	})
}

// modelPair reads "name=location", or JSON with a path.
func (x *extractor) modelPair(w word, value string, env map[string]string, s scope) error {
	location := value
	if strings.HasPrefix(value, "{") {
		_, location, _ = strings.Cut(value, `"path"`)
		location = strings.TrimLeft(location, `: "`)
		location, _, _ = strings.Cut(location, `"`)
	} else if _, after, ok := strings.Cut(value, "="); ok {
		location = after
	}
	return x.modelWord(w, location, alwaysModel, "", env, s)
}

// argument reads the value of an option or variable that is not known to name a
// model; name is the option's or variable's.
func (x *extractor) argument(n *node, name, text string, s scope) error {
	if text == "" || containsFold(name, "taint") { // node.example.io/role:NoSchedule
		return nil
	}
	shown := *n // the value alone, where its option or variable stands
	shown.text = text
	switch {
	case isNamedImage(name):
		return x.setting(&shown, strings.TrimLeft(name, "-"), text, s)
	case isRegistryVariable(text) && (name != "" || text[1] == '('):
		return x.unresolved(n, text, verdict.ReferenceUnresolved, "the image depends on a value that is not known here: write it out", s)
	case strings.HasPrefix(text, "{"):
		return x.modelsIn(&shown, name, text, s)
	case name != "" && isLong(text):
		return x.hidden(&shown, name, text, false, s)
	}
	announced := containsFold(name, "model") || containsFold(name, "lora") || containsFold(name, "weights") || containsFold(name, "checkpoint")
	return x.byText(&shown, announced, true, s)
}

// isLocal recognises a path in the container; what is there, a volume or the
// image has brought.
func isLocal(text string) bool {
	return strings.HasPrefix(text, "/") || strings.HasPrefix(text, "./") || strings.HasPrefix(text, "~")
}

// expand replaces $(NAME) and ${NAME} by the container's own variables. ok is
// false when one is not known.
func expand(text string, env map[string]string) (string, bool) {
	if !strings.Contains(text, "$") {
		return text, true
	}
	var b strings.Builder
	for rest := text; ; {
		before, after, found := strings.Cut(rest, "$")
		b.WriteString(before)
		if !found {
			return b.String(), true
		}
		end := ""
		switch {
		case strings.HasPrefix(after, "("):
			end = ")"
		case strings.HasPrefix(after, "{"):
			end = "}"
		default:
			return text, false
		}
		name, behind, closed := strings.Cut(after[1:], end)
		value, known := env[name]
		if !closed || !known || b.Len()+len(value) > maxModel {
			return text, false
		}
		b.WriteString(value)
		rest = behind
	}
}
