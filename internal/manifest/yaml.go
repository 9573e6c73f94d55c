package manifest

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"strconv"
	"strings"

	"go.yaml.in/yaml/v3"
)

// yaml reads a stream of YAML documents.
func (b *builder) yaml(data []byte, each func(*node) error) error {
	dec := yaml.NewDecoder(bytes.NewReader(data))
	for {
		var doc yaml.Node
		if err := decode(dec, &doc); err != nil {
			if errors.Is(err, io.EOF) {
				return nil
			}
			return yamlProblem(err, data)
		}
		if len(doc.Content) == 0 {
			continue
		}
		d := yamlDocument{builder: b}
		root, err := d.convert(doc.Content[0], 0)
		if err != nil {
			return err
		}
		if err := b.spend(root); err != nil {
			return err
		}
		if root.isNull() {
			continue
		}
		if err := each(root); err != nil {
			return err
		}
	}
}

// decode reads the next document. The parser panics on states that it holds to
// be impossible; bytes that bring it there are rejected like any others.
func decode(dec *yaml.Decoder, doc *yaml.Node) (err error) {
	defer func() {
		if p := recover(); p != nil {
			err = fmt.Errorf("the parser gave up: %v", p)
		}
	}()
	return dec.Decode(doc)
}

// yamlProblem gives the parser's complaint its line.
func yamlProblem(err error, data []byte) error {
	text := strings.TrimPrefix(err.Error(), "yaml: ")
	line := int64(0)
	if rest, ok := strings.CutPrefix(text, "line "); ok {
		number, why, _ := strings.Cut(rest, ": ")
		if n, err := strconv.ParseInt(number, 10, 32); err == nil {
			line, text = n, why
		}
	}
	return problem(int32(line), min(1, int32(line)), "not valid YAML: %s: %s", clip(text, 200), mendSyntax(data, "YAML"))
}

// mendSyntax recognises the usual reason why a file cannot be parsed.
func mendSyntax(data []byte, language string) string {
	if bytes.Contains(data, []byte("{{")) {
		return "this looks like a template: render it first"
	}
	return "correct the " + language
}

// yamlDocument converts the nodes of one document, each anchor once.
type yamlDocument struct {
	*builder
	anchors map[*yaml.Node]*node // nil while the anchor's own value is converted
}

func (d *yamlDocument) convert(y *yaml.Node, depth int) (*node, error) {
	if depth > d.limits.Depth {
		return nil, d.tooDeep(int32(y.Line), int32(y.Column))
	}
	if y.Kind == yaml.AliasNode {
		n, ok := d.anchors[y.Alias]
		if !ok || n == nil {
			return nil, problem(int32(y.Line), int32(y.Column), "alias *%s is part of what it names: write the value out", clip(y.Value, 60))
		}
		return n, nil
	}
	if y.Anchor != "" {
		if d.anchors == nil {
			d.anchors = map[*yaml.Node]*node{}
		}
		d.anchors[y] = nil
	}
	n := &node{line: int32(y.Line), col: int32(y.Column)}
	tagged, err := checkTag(y)
	if err != nil {
		return nil, err
	}
	switch y.Kind {
	case yaml.ScalarNode:
		n.text = y.Value
		n.typ = scalarTypeOf(y.Tag)
		if tagged {
			n.typ = typeTagged
		}
		if n.typ == typeString && y.Style == 0 && looksLikeNumber(n.text) {
			return nil, problem(n.line, n.col, "the number %s is too large for some readers of YAML and text for others: quote it if it is text", clip(n.text, 60))
		}
	case yaml.SequenceNode:
		n.kind = sequence
		n.items = make([]item, len(y.Content))
		for i, c := range y.Content {
			if n.items[i].val, err = d.convert(c, depth+1); err != nil {
				return nil, err
			}
		}
	case yaml.MappingNode:
		n.kind = mapping
		if n.items, err = d.fields(y, depth); err != nil {
			return nil, err
		}
	default:
		return nil, problem(n.line, n.col, "an unknown kind of YAML node")
	}
	if err := d.seal(n); err != nil {
		return nil, err
	}
	if y.Anchor != "" {
		d.anchors[y] = n
	}
	return n, nil
}

func scalarTypeOf(tag string) scalarType {
	switch tag {
	case "!!null":
		return typeNull
	case "!!bool", "!!int", "!!float":
		return typeOther
	}
	return typeString // !!timestamp and !!merge too: no field of ours is one
}

// checkTag refuses tags that change what the text means (!!binary "bmdpbng="
// becomes "nginx"), and reports whether the tag is some tool's own.
func checkTag(y *yaml.Node) (own bool, err error) {
	if y.Style&yaml.TaggedStyle == 0 {
		return false, nil
	}
	switch y.Tag {
	case "!!str", "!!null", "!!bool", "!!int", "!!float", "!!map", "!!seq":
		return false, nil
	}
	if strings.HasPrefix(y.Tag, "!!") {
		return false, problem(int32(y.Line), int32(y.Column), "the tag %s changes what the value means: write the value itself", clip(y.Tag, 60))
	}
	return true, nil
}

// fields converts a mapping. Merge keys are resolved as YAML 1.1 says: a key of
// the mapping itself wins, then the earlier of the merged mappings.
func (d *yamlDocument) fields(y *yaml.Node, depth int) ([]item, error) {
	f := fieldList{items: make([]item, 0, len(y.Content)/2)}
	mergedAt := 0
	for i := 0; i+1 < len(y.Content); i += 2 {
		k, v := y.Content[i], y.Content[i+1]
		line, col := int32(k.Line), int32(k.Column)
		if k.Tag == "!!merge" && k.Kind == yaml.ScalarNode && k.Style == 0 {
			if mergedAt != 0 {
				return nil, problem(line, col, `the key "<<" is already on line %d: merge a list of aliases instead`, mergedAt)
			}
			mergedAt = k.Line
			if err := d.merge(&f, v, depth); err != nil {
				return nil, err
			}
			continue
		}
		key, err := d.key(k)
		if err != nil {
			return nil, err
		}
		val, err := d.convert(v, depth+1)
		if err != nil {
			return nil, err
		}
		if err := f.set(item{key, line, col, val}); err != nil {
			return nil, err
		}
	}
	return f.items, nil
}

// key returns the text of a mapping's key. Numbers and booleans become text,
// as they do on the way to an API server; null and collections are no keys.
func (d *yamlDocument) key(k *yaml.Node) (string, error) {
	line, col := int32(k.Line), int32(k.Column)
	if k.Kind == yaml.AliasNode && k.Alias != nil {
		k = k.Alias
	}
	own, err := checkTag(k)
	switch {
	case err != nil:
		return "", err
	case k.Kind != yaml.ScalarNode && strings.Contains(k.Tag, "map"):
		return "", problem(line, col, "a mapping is used as a key: if this is a template ({{ … }}), render it first; otherwise quote the key")
	case k.Kind != yaml.ScalarNode || own || k.Tag == "!!null":
		return "", problem(line, col, "a key that is not a string: quote it")
	case k.Value == "<<":
		return "", problem(line, col, `parsers disagree on whether this "<<" merges: write a plain << or use another key`)
	case len(k.Value) > maxKey:
		return "", problem(line, col, "a key of %d bytes and the limit is %d: shorten it", len(k.Value), maxKey)
	}
	if k.Style == 0 && !isCanonicalKey(k) {
		return "", problem(line, col, "the key %s becomes another one where keys are text: quote it", clip(k.Value, 60))
	}
	// Keys are marked too; their anchors can be aliased as values.
	if k.Anchor != "" && d.anchors[k] == nil {
		if _, err := d.convert(k, 0); err != nil {
			return "", err
		}
	}
	return k.Value, nil
}

// merge adds the fields of what << names: a mapping or a list of mappings.
func (d *yamlDocument) merge(f *fieldList, v *yaml.Node, depth int) error {
	n, err := d.convert(v, depth+1)
	if err != nil {
		return err
	}
	from := []*node{n}
	if items, ok := n.mappings(); ok {
		from = from[:0]
		for i := range items {
			from = append(from, items[i].val)
		}
	}
	for _, m := range from {
		if m.kind != mapping {
			return problem(int32(v.Line), int32(v.Column), "<< takes an alias of a mapping, or a list of such aliases")
		}
		if d.merges += len(m.items); d.merges > d.limits.Nodes {
			return problem(int32(v.Line), int32(v.Column), "the file merges more than %d fields with <<: write less into one file", d.limits.Nodes)
		}
		for _, it := range m.items {
			if err := f.inherit(it, int32(v.Line), int32(v.Column)); err != nil {
				return err
			}
		}
	}
	return nil
}

// fieldList collects the fields of a mapping and refuses a key that comes twice.
type fieldList struct {
	items  []item
	index  map[string]int // built once the list is long
	merged map[string]bool
}

// small is the length up to which searching a list beats a map.
const small = 12

func (f *fieldList) find(key string) int {
	if f.index == nil && len(f.items) > small {
		f.index = make(map[string]int, cap(f.items))
		for i := range f.items {
			f.index[f.items[i].key] = i
		}
	}
	if f.index != nil {
		if i, ok := f.index[key]; ok {
			return i
		}
		return -1
	}
	for i := range f.items {
		if f.items[i].key == key {
			return i
		}
	}
	return -1
}

func (f *fieldList) add(it item) {
	if f.index != nil {
		f.index[it.key] = len(f.items)
	}
	f.items = append(f.items, it)
}

// set adds a field of the mapping itself; it wins over a merged one.
func (f *fieldList) set(it item) error {
	i := f.find(it.key)
	switch {
	case i < 0:
		f.add(it)
	case f.merged[it.key]:
		f.items[i] = it
		delete(f.merged, it.key)
	default:
		return problem(it.line, it.col, "duplicate key %q, also on line %d: keep one of them", clip(it.key, 60), f.items[i].line)
	}
	return nil
}

// inherit adds a merged field. A field of the mapping itself must come behind
// the merge: YAML 1.1 parsers let the later one win, others the mapping's own.
func (f *fieldList) inherit(it item, line, col int32) error {
	i := f.find(it.key)
	switch {
	case i < 0:
		if f.merged == nil {
			f.merged = map[string]bool{}
		}
		f.merged[it.key] = true
		f.add(it)
	case !f.merged[it.key]:
		return problem(line, col, "<< also brings %q, which line %d has set before, and parsers disagree on which one wins: write << first", clip(it.key, 60), f.items[i].line)
	}
	return nil
}

func clip(text string, n int) string {
	if len(text) <= n {
		return text
	}
	return strings.ToValidUTF8(text[:n], "") + "…"
}
