package keras

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"strings"

	"go.yaml.in/yaml/v3"

	"github.com/apexlogic/apex/internal/model/scan"
)

// Keras up to 2.5 wrote a model as YAML too (model.to_yaml), and built it from
// that with a loader that makes Python's tuples. What it says is what the JSON
// says, so it becomes the same tree and is judged by the same code.
const (
	mostYAML = 8 << 20
	// mostMarks is how many values there may be: a model of a thousand layers
	// has some 50,000.
	mostMarks = 150_000
	// mostText is how much text is searched for a configuration too long to
	// be parsed.
	mostText = 256 << 20
	// mostDocuments is how many documents of one file are read; Keras reads
	// one.
	mostDocuments = 16
	// mostLevels bounds nesting: layers lie in models some ten levels deep.
	mostLevels = 200
	// mostYAMLNodes is how many values there may be once aliases, by which
	// PyYAML writes what occurs twice, are written out.
	// Their texts are not longer together than a file may be.
	mostYAMLNodes = 1 << 18
	// yamlNode is what a value takes while it is parsed, beside its text.
	yamlNode = 320
	// costYAML is a byte of YAML parsed.
	costYAML scan.Cost = 400
	// costNode is a value of the tree, which aliases make of hardly any bytes.
	costNode scan.Cost = 120
)

var errYAMLLarge = errors.New("more values or deeper nesting than a model has")

// claimYAML takes text that can hold a configuration. Of a file on another
// machine the beginning must say so.
func claimYAML(f *scan.File, head []byte) bool {
	if f.Size() > mostText || f.IsDear() && (f.Size() > mostDear || !mayBeYAML(head)) {
		return false
	}
	return len(head) > 0 && bytes.IndexFunc(head, func(r rune) bool { return r < ' ' && r != '\t' && r != '\n' && r != '\r' && r != '\f' && r != 0x85 }) < 0
}

// mayBeYAML says whether text has both keys that an object of Keras has. In
// quotes their letters can be escaped, which no writer does.
func mayBeYAML(b []byte) bool {
	if bytes.Contains(b, []byte("class_name")) && bytes.Contains(b, []byte("config")) {
		return true
	}
	for _, odd := range [...]string{`\x5f`, `\x5F`, `\x6`, `\u005`, `\u006`, `\u007`, `\U0000005`, `\U0000006`, `\U0000007`, "\\\n", "\\\r\n"} {
		if bytes.Contains(b, []byte(odd)) {
			return bytes.ContainsRune(b, ':')
		}
	}
	return false
}

// examineYAML reads a configuration in YAML.
func examineYAML(p *scan.Place, text []byte) error {
	if !mayBeYAML(text) {
		return scan.ErrOther
	}
	// No value goes without one of these marks, or two share one as key and value.
	marks := 64
	for _, c := range text {
		switch c {
		case '\n', '\r', ',', ':', '[', '{', '-', '?':
			marks++
		}
	}
	if len(text) > mostYAML || marks > mostMarks { // so has many a vocabulary
		if !rootLines(text) && !beginsFlow(text) {
			return scan.ErrOther
		}
		p.Report(ruleLimit, scan.Nowhere, fmt.Sprintf("%d bytes of YAML, with some %d values", len(text), marks))
		return nil
	}
	if err := p.Spend(scan.Cost(len(text)) * costYAML); err != nil {
		return err
	}
	release, err := p.Hold(int64(2*marks)*yamlNode + 2*int64(len(text)))
	if err != nil {
		return err
	}
	defer release()
	b := yamlTree{place: p}
	roots, err := b.documents(text)
	ours := false
	for i := range roots {
		ours = ours || isConfiguration(&roots[i])
	}
	if !ours {
		if err == nil || !rootLines(text) {
			return scan.ErrOther
		}
		roots = append(roots, lines(text))
	}
	w := &walker{place: p}
	if b.duplicated {
		p.Report(ruleDuplicate, scan.Nowhere, fmt.Sprintf("the key %q is there twice", b.duplicate))
	}
	for _, root := range roots {
		if err := w.walk(root); err != nil {
			return err
		}
	}
	switch {
	case errors.Is(err, errYAMLLarge):
		p.Report(ruleLimit, scan.Nowhere, err.Error())
	case errors.Is(err, scan.ErrBudget):
		return err
	case err != nil:
		p.Report(ruleBroken, scan.Nowhere, err.Error())
	}
	return nil
}

// isConfiguration says whether a document is an object that Keras builds.
func isConfiguration(root *node) bool {
	if root.kind != '{' || len(root.texts("class_name")) == 0 {
		return false
	}
	for i := range root.kids {
		if k := &root.kids[i]; k.key == "config" && (k.kind == '{' || k.kind == '[') {
			return true
		}
	}
	return false
}

// rootLines says whether both keys of an object stand at the beginning of
// lines, as to_yaml writes a model.
func rootLines(text []byte) bool {
	var class, config bool
	for line := range bytes.Lines(text) {
		if bytes.HasPrefix(line, []byte("```")) {
			return false // an example in a text
		}
		if line[0] == ' ' {
			continue
		}
		key, _, found := bytes.Cut(line, []byte(":"))
		switch key = bytes.Trim(key, " \"'?"); {
		case !found:
		case string(key) == "class_name":
			class = true
		case string(key) == "config":
			config = true
		}
	}
	return class && config
}

// beginsFlow says whether text begins as a mapping in flow style that is no
// JSON: its first key has no quotes.
func beginsFlow(text []byte) bool {
	inside, found := bytes.CutPrefix(bytes.TrimLeft(text, " \t\r\n"), []byte("{"))
	inside = bytes.TrimLeft(inside, " \t\r\n")
	return found && len(inside) > 0 && inside[0] >= 'a' && inside[0] <= 'z'
}

// lines makes objects of the lines that name a class, in a document that
// cannot be parsed.
func lines(text []byte) node {
	root := node{kind: '['}
	for line := range strings.Lines(string(text)) {
		line = strings.TrimLeft(line, " -\t")
		class, found := strings.CutPrefix(line, "class_name:")
		if class = strings.Trim(class, " \t\r\n'\","); !found || class == "" || len(root.kids) >= mostHanded {
			continue
		}
		root.kids = append(root.kids, node{kind: '{', kids: []node{{kind: '"', key: "class_name", text: class}}})
	}
	return root
}

// yamlTree makes the tree of what a document says.
type yamlTree struct {
	place      *scan.Place
	nodes      int
	bytes      int // of all texts
	duplicated bool
	duplicate  string
}

// documents returns what was read before an error.
func (y *yamlTree) documents(text []byte) (roots []node, err error) {
	decoder := yaml.NewDecoder(bytes.NewReader(text))
	for {
		var document yaml.Node
		switch err := decoder.Decode(&document); {
		case errors.Is(err, io.EOF):
			return roots, nil
		case err != nil:
			return roots, err
		case len(roots) == mostDocuments:
			return roots, errYAMLLarge
		}
		root, err := y.value(&document, 0)
		if roots = append(roots, root); err != nil {
			return roots, err
		}
	}
}

func (y *yamlTree) value(from *yaml.Node, depth int) (n node, err error) {
	y.bytes += len(from.Value)
	if y.nodes++; y.nodes > mostYAMLNodes || depth > mostLevels || y.bytes > mostYAML {
		return n, errYAMLLarge
	}
	if y.nodes%nodesHeld == 1 {
		if _, err := y.place.Hold(nodesHeld * nodeCost / 2); err != nil {
			return n, err
		}
		if err := y.place.Spend(nodesHeld * costNode); err != nil {
			return n, err
		}
	}
	switch from.Kind {
	case yaml.DocumentNode:
		return y.value(from.Content[0], depth+1)
	case yaml.AliasNode:
		return y.value(from.Alias, depth+1)
	case yaml.ScalarNode:
		switch from.ShortTag() {
		case "!!int", "!!float", "!!bool", "!!null", "!!timestamp":
			return n, nil
		}
		return node{kind: '"', text: from.Value}, nil
	case yaml.SequenceNode:
		n.kind = '['
		for _, item := range from.Content {
			kid, err := y.value(item, depth+1)
			if kid.kind != 0 {
				n.kids = append(n.kids, kid)
			}
			if err != nil {
				return n, err
			}
		}
	case yaml.MappingNode:
		n.kind = '{'
		return n, y.mapping(&n, from, depth)
	}
	return n, nil
}

// mapping reads the entries of a mapping, and those that it merges.
func (y *yamlTree) mapping(n *node, from *yaml.Node, depth int) error {
	keys := make(map[string]bool, len(from.Content)/2)
	var merged []node
	for i := 0; i+1 < len(from.Content); i += 2 {
		key := from.Content[i]
		if key.Kind == yaml.AliasNode {
			key = key.Alias
		}
		kid, err := y.value(from.Content[i+1], depth+1)
		if key.ShortTag() == "!!merge" {
			all := []node{kid}
			if kid.kind == '[' {
				all = kid.kids
			}
			for _, one := range all {
				if one.kind == '{' {
					merged = append(merged, one.kids...)
				}
			}
		} else {
			kid.key = key.Value
			if keys[kid.key] && !y.duplicated {
				y.duplicated, y.duplicate = true, kid.key
			}
			keys[kid.key] = true
			n.kids = append(n.kids, kid)
		}
		if err != nil {
			n.kids = append(n.kids, merged...)
			return err
		}
	}
	for _, kid := range merged {
		if y.nodes++; y.nodes > mostYAMLNodes {
			return errYAMLLarge
		}
		if !keys[kid.key] { // what stands in the mapping itself counts
			n.kids = append(n.kids, kid)
		}
	}
	return nil
}

// searchYAML searches what is too long to be read at once for the lines that
// a model in YAML has.
func searchYAML(p *scan.Place, f *scan.File) error {
	const step, overlap = 1 << 20, 64
	var class, config bool
	for at := int64(0); at < f.Size() && !(class && config); at += step {
		n := min(step+overlap, f.Size()-at)
		if err := p.Spend(scan.Cost(n) * scan.CostRead * 2); err != nil {
			return err
		}
		b, err := f.Read(at, n)
		if err != nil {
			return err
		}
		class = class || bytes.Contains(b, []byte("\nclass_name:")) || bytes.HasPrefix(b, []byte("class_name:"))
		config = config || bytes.Contains(b, []byte("\nconfig:"))
	}
	if !class || !config {
		return scan.ErrOther
	}
	p.Report(ruleLimit, scan.Nowhere, fmt.Sprintf("%d bytes of YAML", f.Size()))
	return nil
}
