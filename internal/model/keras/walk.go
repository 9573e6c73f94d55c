package keras

import (
	"fmt"
	"slices"
	"strconv"
	"strings"

	"github.com/apexlogic/apex/internal/model/scan"
)

// walker goes over the tree of a configuration.
type walker struct {
	place  *scan.Place
	handed int // pieces handed on
}

// mostHanded bounds what is handed on: a model has few functions.
const mostHanded = 4096

// step is where the walk is, from the root.
type step struct {
	up    *step
	key   string
	index int
}

// String writes the place as JSONPath does.
func (s *step) String() string {
	var parts []string
	for n := 0; s != nil && n < 24; s, n = s.up, n+1 {
		switch {
		case s.up == nil:
			parts = append(parts, "$")
		case s.key != "":
			parts = append(parts, "."+s.key[:min(len(s.key), 60)])
		default:
			parts = append(parts, "["+strconv.Itoa(s.index)+"]")
		}
	}
	slices.Reverse(parts)
	return strings.Join(parts, "")
}

func (w *walker) walk(root node) error {
	w.properties(&root)
	return w.visit(&root, &step{})
}

// properties keeps what the configuration says of itself.
func (w *walker) properties(root *node) {
	for i := range root.kids {
		kid := &root.kids[i]
		if root.kind != '{' || kid.kind != '"' || len(kid.text) > 64 {
			continue
		}
		switch kid.key {
		case "keras_version", "backend":
			w.place.Property(kid.key, kid.text)
			w.place.Property("framework", "keras")
		case "class_name":
			w.place.Property("framework", "keras")
		}
	}
}

// visit looks at a value and at all below it.
func (w *walker) visit(n *node, at *step) error {
	if err := w.place.Spend(100); err != nil {
		return err
	}
	switch n.kind {
	case '"':
		return w.text(n.text, at)
	case '{':
		if err := w.object(n, at); err != nil {
			return err
		}
	}
	for i := range n.kids {
		if err := w.visit(&n.kids[i], &step{up: at, key: n.kids[i].key, index: i}); err != nil {
			return err
		}
	}
	return nil
}

// texts returns the strings under a key: more than one where it is duplicate.
func (n *node) texts(key string) (all []string) {
	for i := range n.kids {
		if k := &n.kids[i]; k.key == key && k.kind == '"' {
			all = append(all, k.text)
		}
	}
	return all
}

// objects returns the objects under a key.
func (n *node) objects(key string) (all []*node) {
	for i := range n.kids {
		if k := &n.kids[i]; k.key == key && k.kind == '{' {
			all = append(all, k)
		}
	}
	return all
}

// mostSpellings bounds the combinations of duplicate keys that are judged.
const mostSpellings = 8

func some(all []string) []string { return all[:min(len(all), mostSpellings)] }

// object judges an object of the configuration.
func (w *walker) object(n *node, at *step) error {
	for _, key := range []string{"function_type", "output_shape_type", "mask_type"} {
		if slices.Contains(n.texts(key), "lambda") {
			w.report(ruleLambda, at, key+" is lambda")
		}
	}
	for _, class := range some(n.texts("class_name")) {
		if err := w.class(class, n, at); err != nil {
			return err
		}
	}
	return nil
}

func (w *walker) class(class string, n *node, at *step) error {
	bare := class[strings.LastIndexByte(class, '>')+1:]
	switch {
	case bare == "Lambda":
		w.report(ruleLambda, at, "a Lambda layer"+called(n))
		return w.functions(n, at)
	case class == "__lambda__":
		w.report(ruleLambda, at, "a serialized lambda")
		return w.functions(n, at)
	case bare == "TorchModuleWrapper":
		w.report(ruleTorch, at, "a TorchModuleWrapper"+called(n))
		return w.torch(n, at)
	case bare == "TFSMLayer":
		w.savedModel(n, at)
	case bare == "TFOpLambda" || bare == "SlicingOpLambda":
		for _, config := range n.objects("config") {
			for _, name := range some(config.texts("function")) {
				w.op(name, at)
			}
		}
	case bare == "TensorFlowOpLayer":
		w.graphOp(n, at)
	case bare == "KerasLayer":
		w.report(ruleHub, at, "a KerasLayer"+called(n))
		return nil
	}
	for _, config := range n.objects("config") {
		w.paths(class, config, at)
	}
	w.names(class, n, at)
	return nil
}

// called is how a layer is named, for people.
func called(n *node) string {
	for _, config := range n.objects("config") {
		for _, name := range config.texts("name") {
			return fmt.Sprintf(" named %q", name[:min(len(name), 80)])
		}
	}
	return ""
}

// names judges what an object's module and class stand for.
func (w *walker) names(class string, n *node, at *step) {
	names, isFunction := []string{class}, class == "function"
	switch class {
	case "function":
		// Which of the two is taken depends on who reads it.
		names = slices.Concat(some(n.texts("config")), some(n.texts("registered_name")))
		names = slices.DeleteFunc(names, func(s string) bool { return s == "function" && len(names) > 1 })
	case "__typespec__":
		names = some(n.texts("spec_name"))
	}
	registered := slices.ContainsFunc(n.texts("registered_name"), func(s string) bool { return strings.Contains(s, ">") })
	modules := some(n.texts("module"))
	if len(modules) == 0 {
		for _, name := range names {
			if !isFunction && !isKnownClass(name) {
				w.report(ruleCustom, at, fmt.Sprintf("the class %q", name))
			}
		}
		return
	}
	for _, module := range modules {
		for _, name := range names {
			w.name(module, name, isFunction, registered, at)
		}
	}
}

func (w *walker) name(module, name string, isFunction, registered bool, at *step) {
	detail := fmt.Sprintf("%s.%s", module, name)
	switch named(module, name, isFunction, registered) {
	case custom:
		if module != "builtins" || !isKnownFunction(name) {
			w.report(ruleCustom, at, detail)
		}
	case unexpected:
		w.report(ruleUnexpected, at, detail)
	case unknown:
		w.report(ruleModuleUnknown, at, detail)
	case reaching:
		w.report(ruleFunction, at, detail)
	case foreign:
		w.report(ruleModule, at, detail)
	}
}

// functions hands on the byte code of a Lambda layer's functions.
func (w *walker) functions(n *node, at *step) error {
	for _, config := range n.objects("config") {
		for i := range config.kids {
			switch kid := &config.kids[i]; kid.key {
			case "function", "output_shape", "mask", "code", "value":
				text := kid.text
				if kid.kind == '[' && len(kid.kids) > 0 {
					text = kid.kids[0].text
				}
				if _, isCode := marshalled(text); isCode || text == "" {
					continue // it is handed on where it is found
				}
				b, ok := decoded(text)
				if !ok {
					continue
				}
				if err := w.hand(b, &step{up: at, key: kid.key}); err != nil {
					return err
				}
			}
		}
	}
	return nil
}

// torch hands on the pickle of a wrapped module.
func (w *walker) torch(n *node, at *step) error {
	for _, config := range n.objects("config") {
		texts := some(config.texts("module"))
		for _, inner := range config.objects("module") {
			for _, bytes := range inner.objects("config") {
				texts = append(texts, some(bytes.texts("value"))...)
			}
		}
		for _, text := range texts {
			at := &step{up: at, key: "module"}
			b, ok := decoded(text)
			if !ok {
				b, ok = latin(text)
			}
			if ok && len(b) > 0 {
				if err := w.hand(b, at); err != nil {
					return err
				}
			}
		}
	}
	return nil
}

// savedModel judges where a TFSMLayer loads from.
func (w *walker) savedModel(n *node, at *step) {
	rule, where := ruleSavedModel, "a place that is not said"
	for _, config := range n.objects("config") {
		for _, path := range some(config.texts("filepath")) {
			where = strconv.Quote(path)
			if outside(path) {
				rule = ruleSavedModelOutside
			}
		}
	}
	w.report(rule, at, "a SavedModel at "+where)
}

// paths judges texts that layers take for the names of files.
func (w *walker) paths(class string, config *node, at *step) {
	for _, key := range []string{"vocabulary", "vocabulary_file", "merges", "proto", "idf_weights"} {
		for _, path := range some(config.texts(key)) {
			if path == "" {
				continue
			}
			if key == "proto" && !outside(path) {
				if _, ok := decoded(path); ok {
					continue // a SentencePiece model, in base64
				}
			}
			rule := ruleFile
			if outside(path) {
				rule = ruleFileOutside
			}
			w.report(rule, &step{up: &step{up: at, key: "config"}, key: key}, fmt.Sprintf("%s reads %q", class, path[:min(len(path), 120)]))
		}
	}
}

// op judges the function of TensorFlow that a TFOpLambda calls.
func (w *walker) op(name string, at *step) {
	switch opStanding(name) {
	case foreign:
		w.report(ruleOp, at, "tf."+name)
	case unknown:
		w.report(ruleOpUnknown, at, "tf."+name)
	}
}

// graphOp judges the node of a TensorFlow graph that a TensorFlowOpLayer runs,
// which is written as JSON or as text.
func (w *walker) graphOp(n *node, at *step) {
	for _, config := range n.objects("config") {
		nodes := some(config.texts("node_def"))
		for _, def := range config.objects("node_def") {
			for _, op := range some(def.texts("op")) {
				nodes = append(nodes, `"op":"`+op+`"`)
			}
		}
		for _, def := range nodes {
			for rest := def; ; {
				_, after, found := strings.Cut(rest, "op")
				if !found {
					break
				}
				rest = after
				op := strings.TrimLeft(after, "\": \n\t\\")
				op = op[:min(len(op), 100)]
				if end := strings.IndexFunc(op, func(r rune) bool { return !isWord(r) }); end >= 0 {
					op = op[:end]
				}
				if op != "" && len(after) > len(op) && strings.ContainsAny(after[:1], "\": ") && isFileOp(op) {
					w.report(ruleOp, at, "the op "+op)
					break
				}
			}
		}
	}
}

func isWord(r rune) bool {
	return r >= 'a' && r <= 'z' || r >= 'A' && r <= 'Z' || r >= '0' && r <= '9' || r == '_'
}

// text looks at any string of the configuration.
func (w *walker) text(text string, at *step) error {
	if b, ok := marshalled(text); ok {
		w.report(ruleCode, at, fmt.Sprintf("%d bytes of Python byte code", len(b)))
		return w.hand(b, at)
	}
	if len(text) > 20 && (text[0] == '{' || text[0] == '[') && strings.Contains(text, "class_name") {
		return w.hand([]byte(text), at)
	}
	return nil
}

// hand has every format look at what was unpacked.
func (w *walker) hand(b []byte, at *step) error {
	if w.handed++; w.handed > mostHanded {
		if w.handed == mostHanded+1 {
			w.report(ruleLimit, at, fmt.Sprintf("more than %d functions", mostHanded))
		}
		return nil
	}
	if err := w.place.Spend(scan.CostMember + scan.Cost(len(b))*scan.CostRead); err != nil {
		return err
	}
	release, err := w.place.Hold(int64(len(b)))
	if err != nil {
		return err
	}
	defer release()
	w.place.Inside(at.String(), -1, scan.Bytes(b))
	return nil
}

func (w *walker) report(rule *scan.Rule, at *step, detail string) {
	w.place.Report(rule, scan.Path(at.String()), detail)
}
