package manifest

import (
	"strings"

	"github.com/apexlogic/apex/verdict"
)

// loaders are the functions of Python that load a model by its name. The first
// argument, or one by a keyword of [isModelKeyword], is that name.
var loaders = [...]string{"from_pretrained(", "snapshot_download(", "hf_hub_download(", "pipeline(", "SentenceTransformer(", "CrossEncoder(", "WhisperModel(",
	"LLM(", "AsyncEngineArgs(", "EngineArgs(", "load_model(", "hub.load(", "from_single_file(", "load_lora_weights(", "InferenceClient(", "Llama.from_pretrained(", "YOLO("}

// calls reports the models that code in Python loads by a literal name.
func (x *extractor) calls(n *node, text string, s scope) error {
	if !strings.Contains(text, "(") {
		return nil
	}
	for _, loader := range loaders {
		for rest := text; ; {
			i := strings.Index(rest, loader)
			if i < 0 {
				break
			}
			before := byte(' ')
			if i > 0 {
				before = rest[i-1]
			}
			rest = rest[i+len(loader):]
			if before|0x20 >= 'a' && before|0x20 <= 'z' || before == '_' || before >= '0' && before <= '9' {
				continue
			}
			if err := x.call(n, loader, rest, s); err != nil {
				return err
			}
		}
	}
	return nil
}

// maxCall bounds the arguments of one call.
const maxCall = 4096

// call reads the arguments of one call, up to the bracket that closes them.
func (x *extractor) call(n *node, loader, text string, s scope) error {
	text = text[:min(len(text), maxCall)]
	if x.work += len(text) / 8; x.work > maxWork {
		return problem(n.line, n.col, "more code than is read in one file: split it")
	}
	depth, keyword, index := 0, "", 0
	for i := 0; i < len(text); i++ {
		switch c := text[i]; {
		case c == '(' || c == '[' || c == '{':
			depth++
		case c == ')' || c == ']' || c == '}':
			if depth--; depth < 0 {
				return nil
			}
		case c == ',' && depth == 0:
			keyword, index = "", index+1
		case c == '=' && depth == 0:
			start := i
			for start > 0 && strings.IndexByte(" ,(\n\t", text[start-1]) < 0 {
				start--
			}
			keyword = strings.TrimSpace(text[start:i])
		case c == '#':
			if end := strings.IndexByte(text[i:], '\n'); end >= 0 {
				i += end
			}
		case c == '\'' || c == '"':
			formatted := i > 0 && (text[i-1] == 'f' || text[i-1] == 'F')
			end := i + 1
			for end < len(text) && text[end] != c {
				if text[end] == '\\' {
					end++
				}
				end++
			}
			if end >= len(text) {
				return nil
			}
			literal := text[i+1 : end]
			i = end
			if depth > 0 || !isModelArgument(loader, keyword, index, literal) {
				continue
			}
			var err error
			switch {
			case isLocal(literal) || strings.HasPrefix(literal, "./") || literal == "":
			case formatted && strings.Contains(literal, "{"), isPlaceholder(literal):
				err = x.unresolved(n, literal, verdict.ReferenceUnresolved, "the model depends on a value that is not known here: write it out", s)
			case !strings.ContainsAny(literal, " \t\n<>"):
				err = x.modelText(n, literal, ClassUnclassified, "", s)
			}
			if err != nil {
				return err
			}
		}
	}
	return nil
}

// isModelArgument says whether an argument is the name of a model.
func isModelArgument(loader, keyword string, index int, literal string) bool {
	switch keyword {
	case "model", "model_id", "model_name", "model_name_or_path", "pretrained_model_name_or_path", "repo_id", "tokenizer", "model_path", "model_size_or_path", "speculative_model", "repo_or_dir":
		return true
	case "":
		if loader == "pipeline(" || loader == "load_model(" || loader == "load_lora_weights(" || loader == "YOLO(" || loader == "InferenceClient(" {
			return index < 2 && (strings.Contains(literal, "/") && !strings.Contains(literal, " "))
		}
		return index == 0
	}
	return false
}
