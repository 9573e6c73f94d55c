package tensor

import (
	"github.com/apexlogic/apex/internal/model/scan"
)

const (
	// costText is a byte of text looked at for templates and programs.
	costText scan.Cost = 10
	// costInside is a text that is handed on: every format is asked.
	costInside scan.Cost = 10_000
)

// metadata reads the value of "__metadata__".
func (s *safetensors) metadata(w *walker) error {
	start := w.i
	var failed error
	ok := w.members(func(key []byte) bool {
		at := "__metadata__." + short(key)
		if w.peek() != '"' {
			s.say(ruleSTMetadata, scan.Path(at), "its value is not a string")
			return w.skip()
		}
		value, ok := w.text()
		if !ok {
			return false
		}
		s.describe(string(key), value)
		for _, text := range [][]byte{key, value} {
			if failed = s.carried(ruleSTCode, at, text); failed != nil {
				return false
			}
		}
		return true
	})
	if failed == nil && !ok {
		s.say(ruleSTMetadata, scan.Path("__metadata__"), "it is not an object of strings")
		w.i = start
		w.skip()
	}
	return failed
}

// describe keeps what the metadata says of the model.
func (s *safetensors) describe(key string, value []byte) {
	if key := metadataProperties(key); key != "" && len(value) <= 1000 {
		s.Property(key, string(value))
	}
}

// metadataProperties names what a key of the metadata speaks of. Beside the
// plain names these are those of the ModelSpec standard and of training tools.
func metadataProperties(key string) string {
	switch key {
	case "format":
		return "framework"
	case "license", "modelspec.license":
		return "license"
	case "base_model", "ss_sd_model_name", "modelspec.merged_from":
		return "base_model"
	case "architecture", "modelspec.architecture":
		return "architecture"
	case "name", "modelspec.title":
		return "name"
	}
	return ""
}

// carried looks at a text of a header: a template is handed on; what is, or
// encodes, a program is reported by the rule and handed on.
func (r *reporter) carried(rule *scan.Rule, path string, text []byte) error {
	if len(text) < shortestCode {
		return nil
	}
	if err := r.Spend(scan.Cost(len(text)) * costText); err != nil {
		return err
	}
	if isTemplate(text) {
		if err := r.inside(path, text); err != nil {
			return err
		}
	}
	if what := program(text); what != "" {
		r.say(rule, scan.Path(path), "the text is %s", what)
		if err := r.inside(path, text); err != nil {
			return err
		}
	} else if what := code(text); what != "" {
		r.say(rule, scan.Path(path), "the text holds a program: %s", what)
	}
	release, err := r.Hold(2 * int64(min(len(text), longestText)))
	if err != nil {
		return err
	}
	defer release()
	if content, ok := decoded(text); ok {
		if what := program(content); what != "" {
			r.say(rule, scan.Path(path), "the text is %s once it is decoded", what)
			return r.inside(path, content)
		} else if what := code(content); what != "" && isText(content) {
			r.say(rule, scan.Path(path), "the text is a program once it is decoded: %s", what)
		}
	}
	return nil
}

// inside has every format look at a text of a header.
func (r *reporter) inside(path string, text []byte) error {
	if err := r.Spend(costInside); err != nil {
		return err
	}
	r.Inside(path, -1, scan.Bytes(text))
	return nil
}

// isText says whether bytes are printable, as far as one sees at once.
func isText(b []byte) bool {
	for _, c := range b[:min(len(b), 512)] {
		if c < ' ' && c != '\n' && c != '\r' && c != '\t' {
			return false
		}
	}
	return true
}
