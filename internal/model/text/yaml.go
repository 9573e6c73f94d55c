package text

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"strconv"
	"strings"

	"go.yaml.in/yaml/v3"

	"github.com/apexlogic/apex/internal/model/scan"
)

// maxYAML is the longest document that is parsed; a longer one is searched for
// tags only. Configurations have some hundred kB.
const maxYAML = 1 << 20

// What YAML costs for each byte: to parse, with what the nodes take, and to
// search.
const (
	costYAML   scan.Cost = 400
	costSearch scan.Cost = 5
)

// bombNodes is how many nodes a document may have once its aliases are
// written out.
const bombNodes = 5_000_000

var (
	rulePythonTag = &scan.Rule{ID: "yaml.python-tag", Severity: scan.Harmful,
		Why:        "The tag has an unsafe loader import, make or call what it names.",
		Mend:       "Do not load the document, or load it with yaml.safe_load only.",
		References: []string{"CVE-2020-14343", "CVE-2020-1747", "CWE-502"}}
	ruleTagUnlisted = &scan.Rule{ID: "yaml.object", Severity: scan.Doubtful,
		Why:        "The tag has an unsafe loader make an object of a class that is not listed.",
		Mend:       "Load the document with yaml.safe_load only.",
		References: []string{"CWE-502"}}
	ruleTagPlain = &scan.Rule{ID: "yaml.plain-tag", Severity: scan.Note,
		Why: "The tag names a plain type of Python's; the document needs an unsafe loader.", Mend: "Write the value without the tag."}
	ruleYAMLBomb = &scan.Rule{ID: "yaml.bomb", Severity: scan.Doubtful,
		Why:        "A small document becomes huge when its aliases are written out.",
		Mend:       "Do not load it; ask its author for one without aliases.",
		References: []string{"CWE-776"}}
	ruleYAMLSyntax = &scan.Rule{ID: "yaml.syntax", Severity: scan.Unreadable,
		Why:  "What stands behind the error was only searched for tags.",
		Mend: "Mend the document at this line."}
)

// YAML is a document of YAML, or several in one file.
func YAML() scan.Format {
	rules := append([]*scan.Rule{rulePythonTag, ruleTagUnlisted, ruleTagPlain, ruleYAMLBomb, ruleYAMLSyntax}, shapeRules()...)
	return scan.Format{Name: "yaml", Rules: rules, Claim: claimYAML, Scan: scanYAML}
}

func claimYAML(f *scan.File) bool {
	head := significant(f)
	if len(head) < 2 {
		return false
	}
	// A first document that is a word or a sentence can have others behind it.
	return looksLikeYAML(head) || f.Size() <= maxYAML && !f.IsDear() || mayHaveTags(head)
}

// mayHaveTags says whether a tag that runs something can be in the text.
func mayHaveTags(b []byte) bool {
	return bytes.Contains(b, []byte("!!")) || bytes.Contains(b, []byte("!<")) || bytes.Contains(b, []byte("%TAG")) || bytes.Contains(b, []byte("!p")) ||
		bytes.Contains(b, []byte("!r"))
}

// looksLikeYAML says whether the first line that says anything has the shape
// of a key, an item, a tag or the beginning of a document.
func looksLikeYAML(b []byte) bool {
	for line := range bytes.Lines(b) {
		line = bytes.TrimSpace(line)
		if len(line) == 0 || line[0] == '#' {
			continue
		}
		switch line[0] {
		case '%', '!', '&', '?', '{', '[', '*':
			return !bytes.HasPrefix(line, []byte("{{")) && !bytes.HasPrefix(line, []byte("{%")) && !bytes.HasPrefix(line, []byte("#!"))
		case '-':
			return len(line) == 1 || line[1] == ' ' || line[1] == '\t' || bytes.HasPrefix(line, []byte("---"))
		case '"', '\'':
			end := bytes.IndexByte(line[1:], line[0])
			return end >= 0 && bytes.HasPrefix(bytes.TrimLeft(line[end+2:], " "), []byte(":"))
		}
		i := bytes.IndexByte(line, ':')
		return i > 0 && (i+1 == len(line) || line[i+1] == ' ' || line[i+1] == '\t')
	}
	return false
}

// readAsJSON says whether the text is JSON, which is read as that and has all
// that YAML would find. Flow style looks like it, and one key without quotes
// makes it YAML alone.
func readAsJSON(p *scan.Place, f *scan.File, b []byte) (bool, error) {
	first := bytes.TrimLeft(b, " \t\r\n")
	if len(first) == 0 || first[0] != '{' && first[0] != '[' || bytes.IndexByte(b, '!') >= 0 || bytes.IndexByte(b, '&') >= 0 {
		return false, nil
	}
	if len(b) > maxYAML {
		return claimJSON(f), nil
	}
	if err := p.Spend(scan.Cost(len(b)) * costJSON); err != nil {
		return false, err
	}
	return json.Valid(b), nil
}

func scanYAML(p *scan.Place, f *scan.File) error {
	limit := int64(maxJSON)
	looksLike := looksLikeYAML(significant(f))
	if f.IsDear() || !looksLike {
		limit = dearOther
	}
	b, whole, err := load(p, f, limit, costSearch)
	if err != nil {
		return err
	}
	b = toUTF8(b)
	if isJSON, err := readAsJSON(p, f, b); err != nil || isJSON {
		if err != nil {
			return err
		}
		return scan.ErrOther
	}
	if !looksLike && (!whole || !mayHaveTags(b)) {
		return scan.ErrOther
	}
	y := &yamlWalk{document: document{place: p, language: "yaml"}}
	if whole && len(b) <= maxYAML {
		if err := p.Spend(scan.Cost(len(b)) * costYAML); err != nil {
			return err
		}
		if _, err := p.Hold(int64(len(b)) * 60); err != nil {
			return err
		}
		err = y.documents(b)
		if err != nil && !errors.Is(err, errYAML) {
			return err
		}
	} else {
		err = errYAML
	}
	if err != nil {
		found := looksLike && y.search(b)
		if !found && !y.tagged {
			return scan.ErrOther
		}
		p.Report(ruleYAMLSyntax, scan.Nowhere, err.Error())
		return nil
	}
	if !looksLike && !y.tagged || !y.structured && !y.tagged {
		return scan.ErrOther // a sentence
	}
	return nil
}

// errYAML says that the document could not be parsed.
var errYAML = errors.New("the document cannot be parsed as a whole")

type yamlWalk struct {
	document
	structured bool // a mapping or a list was found
	tagged     bool
	nodes      int
}

// documents walks all documents of a file.
func (y *yamlWalk) documents(b []byte) error {
	d := yaml.NewDecoder(bytes.NewReader(b))
	for {
		var node yaml.Node
		err := d.Decode(&node)
		if errors.Is(err, io.EOF) {
			return nil
		}
		if err != nil {
			return fmt.Errorf("%w: %s", errYAML, strings.TrimPrefix(err.Error(), "yaml: "))
		}
		sizes := map[*yaml.Node]int{}
		if n := written(&node, sizes, 0); n > bombNodes {
			y.place.Report(ruleYAMLBomb, scan.Nowhere, fmt.Sprintf("%d nodes become more than %d", len(sizes), bombNodes))
			y.tagged = true
		}
		for _, inner := range node.Content {
			if _, err := y.value("", inner, true, false); err != nil {
				return err
			}
		}
	}
}

// written is how many nodes there are once aliases are written out.
func written(n *yaml.Node, sizes map[*yaml.Node]int, depth int) int {
	if n == nil || depth > maxYAMLDepth {
		return 1
	}
	if size, ok := sizes[n]; ok {
		return size
	}
	sizes[n] = 1 // an alias within itself counts once
	size := 1
	if n.Kind == yaml.AliasNode {
		size = written(n.Alias, sizes, depth+1)
	}
	for _, inner := range n.Content {
		size = min(size+written(inner, sizes, depth+1), bombNodes+1)
	}
	sizes[n] = size
	return size
}

// maxYAMLDepth is what Python's reader reaches before it gives up.
const maxYAMLDepth = 1000

// value turns a node into a field, and has shapes look at what it holds.
func (y *yamlWalk) value(key string, n *yaml.Node, root, inTemplate bool) (field, error) {
	f := field{key: key}
	y.nodes++
	if len(y.path) > 64<<10 || y.nodes > 4*maxKept {
		return f, fmt.Errorf("%w: it has too many parts", errYAML)
	}
	if n.Style&yaml.TaggedStyle != 0 || n.Tag != "" && n.Tag[0] == '!' && !strings.HasPrefix(n.Tag, "!!") || n.Kind == yaml.ScalarNode && !isCoreTag(n.Tag) {
		y.tag(n.Tag, n.Value, n.Line)
	}
	switch n.Kind {
	case yaml.MappingNode:
		y.structured = true
		o := &object{root: root, names: len(n.Content) / 2}
		f.kind, f.object = isObject, o
		for i := 0; i+1 < len(n.Content); i += 2 {
			name := n.Content[i].Value
			if _, err := y.value("", n.Content[i], false, false); err != nil {
				return f, err
			}
			length := y.push(name, -1)
			isTemplate := name == "chat_template" || inTemplate
			inner, err := y.value(name, n.Content[i+1], false, isTemplate)
			y.path = y.path[:length]
			if err != nil {
				return f, err
			}
			o.fields = append(o.fields, inner)
		}
		return f, y.check(o)
	case yaml.SequenceNode:
		y.structured = true
		f.kind = isList
		for i, item := range n.Content {
			length := y.push("", i)
			inner, err := y.value("", item, false, inTemplate)
			y.path = y.path[:length]
			if err != nil {
				return f, err
			}
			f.list = append(f.list, inner)
		}
	case yaml.ScalarNode:
		switch n.Tag {
		case "!!null":
			return f, nil
		case "!!bool":
			f.kind, f.text = isBool, strings.ToLower(n.Value)
			if f.text == "yes" || f.text == "on" {
				f.text = "true"
			}
			return f, nil
		case "!!int", "!!float":
			f.kind, f.text = isNumber, n.Value
			return f, nil
		}
		f.kind, f.text = isText, n.Value
		if hasTags([]byte(n.Value)) {
			as := anyString
			if inTemplate {
				as = obeyed
			}
			if _, _, err := checkTemplate(y.place, string(y.path), []byte(n.Value), as); err != nil {
				return f, err
			}
		}
		if len(n.Value) <= maxResolved && strings.Contains(n.Value, "$") {
			y.checkText(n.Value)
		}
	case yaml.AliasNode:
		if n.Alias != nil && n.Alias.Kind == yaml.ScalarNode {
			f.kind, f.text = isText, n.Alias.Value
		}
	}
	return f, nil
}

// isCoreTag says whether every YAML reader has the tag.
func isCoreTag(tag string) bool {
	switch strings.TrimPrefix(tag, "!!") {
	case "", "null", "bool", "int", "float", "str", "binary", "timestamp", "omap", "pairs", "set", "seq", "map", "merge", "value", "yaml":
		return true
	}
	return false
}

// tag judges a tag. Verdicts of names are those of every other configuration.
func (y *yamlWalk) tag(tag, value string, line int) {
	where := scan.Path("line " + strconv.Itoa(line))
	name := strings.TrimPrefix(strings.TrimPrefix(tag, "tag:yaml.org,2002:"), "!!")
	global := name != tag
	if !global {
		if handle, suffix, ok := strings.Cut(strings.TrimPrefix(tag, "!"), ":"); ok {
			switch handle {
			case "new", "name", "apply", "applyref", "module": // HyperPyYAML
				y.tagged = true
				y.name("hydra")
				if handle == "module" && !isStandard(strings.SplitN(suffix, ".", 2)[0]) {
					return
				}
				y.judgeTarget(suffix, true)
				return
			}
		}
		name = strings.TrimPrefix(tag, "!")
	}
	kind, rest, _ := strings.Cut(name, "/")
	switch {
	case isCoreTag("!!" + name):
	case kind == "python":
		y.tagged = true
		y.pythonTag(where, rest)
	case kind == "ruby", kind == "php", kind == "perl", kind == "js", kind == "java", kind == "net", kind == "object", kind == "hs":
		y.tagged = true
		y.place.Report(rulePythonTag, where, tag)
	case global: // Java readers take what stands here for the name of a class
		y.tagged = true
		y.place.Report(rulePythonTag, where, tag)
	case name == "eval", name == "exec", name == "expr", name == "lambda", name == "python", name == "shell", name == "cmd", name == "call", name == "code":
		y.tagged = true
		y.place.Report(ruleTagUnlisted, where, tag+" "+value)
	case strings.HasPrefix(name, "javax.") || strings.HasPrefix(name, "java.") || strings.HasPrefix(name, "com.sun.") || strings.HasPrefix(name, "org.springframework."):
		y.tagged = true
		y.place.Report(rulePythonTag, where, tag)
	}
}

// pythonTag judges what follows "python/".
func (y *yamlWalk) pythonTag(where scan.Where, what string) {
	switch what {
	case "none", "bool", "str", "unicode", "int", "long", "float", "complex", "list", "tuple", "dict", "bytes":
		y.place.Report(ruleTagPlain, where, "python/"+what)
		return
	}
	kind, name, _ := strings.Cut(what, ":")
	verdict, why := judgeCallable(name)
	switch name {
	case "numpy.core.multiarray.scalar", "numpy._core.multiarray.scalar", "numpy.dtype", "numpy.ndarray", "argparse.Namespace",
		"numpy.core.multiarray._reconstruct", "numpy._core.multiarray._reconstruct":
		verdict = listed
	case "functools.partial", "operator.itemgetter":
		verdict, why = gadget, "calls what it is given"
	}
	switch {
	case kind == "module", verdict == gadget, verdict == unlisted && kind != "object":
		y.place.Report(rulePythonTag, where, "python/"+what+" "+why)
	case verdict == listed:
		y.place.Report(ruleTagPlain, where, "python/"+what)
	case kind == "object/apply" || kind == "object/new":
		y.place.Report(rulePythonTag, where, "python/"+what+" "+why)
	default:
		y.place.Report(ruleTagUnlisted, where, "python/"+what+" "+why)
	}
}

// search looks for tags, and for targets of Hydra's, without parsing: for what
// other readers accept and this one does not.
func (y *yamlWalk) search(b []byte) (found bool) {
	handles := map[string]string{}
	number := 0
	for line := range bytes.Lines(b) {
		number++
		if bytes.HasPrefix(line, []byte("%TAG")) {
			if parts := bytes.Fields(line); len(parts) >= 3 && len(handles) < 16 {
				handles[string(parts[1])] = string(parts[2])
			}
			continue
		}
		if bytes.IndexByte(line, '!') >= 0 {
			for _, tag := range tagsOf(line) {
				before := y.tagged
				y.tagged = false
				y.tag(expandTag(tag, handles), "", number)
				found = found || y.tagged
				y.tagged = y.tagged || before
			}
		}
		if i := bytes.Index(line, []byte("_target_")); i >= 0 {
			rest := bytes.TrimLeft(line[i+len("_target_"):], `"' `+"\t")
			if len(rest) > 1 && (rest[0] == ':' || rest[0] == '=') {
				name := strings.Trim(string(bytes.TrimSpace(rest[1:])), `"'`)
				name, _, _ = strings.Cut(name, " ")
				if verdict, why := judgeCallable(strings.TrimRight(name, `"',}`)); verdict == gadget && why != "is no dotted name" {
					y.judgeTarget(strings.TrimRight(name, `"',}`), true)
					found = true
				}
			}
		}
	}
	return found
}

// tagsOf returns the tags of a line, outside of quotes and comments.
func tagsOf(line []byte) (tags []string) {
	quote := byte(0)
	before := byte(' ')
	for i := 0; i < len(line); i++ {
		c := line[i]
		opens := before == ' ' || before == '\t' || bytes.IndexByte([]byte("[{,:-?("), before) >= 0
		switch {
		case quote != 0:
			if c == '\\' && quote == '"' {
				i++
			} else if c == quote {
				quote = 0
			}
		case (c == '"' || c == '\'') && opens:
			quote = c
		case c == '#' && (before == ' ' || before == '\t'):
			return tags
		case c == '!' && opens && len(tags) < 64:
			end := i
			for end < len(line) && bytes.IndexByte([]byte(" \t\r\n,[]{}"), line[end]) < 0 {
				end++
			}
			tags = append(tags, string(line[i:end]))
			i = end - 1
		}
		if i < len(line) {
			before = line[i]
		}
	}
	return tags
}

// expandTag writes a tag out as a parser would.
func expandTag(tag string, handles map[string]string) string {
	if inner, ok := strings.CutPrefix(tag, "!<"); ok {
		tag = strings.TrimSuffix(inner, ">")
	} else {
		for _, handle := range []string{tag[:strings.LastIndexByte(tag, '!')+1]} {
			if prefix, ok := handles[handle]; ok {
				tag = prefix + tag[len(handle):]
			}
		}
	}
	for strings.Contains(tag, "%") {
		i := strings.IndexByte(tag, '%')
		if i+3 > len(tag) {
			break
		}
		n, err := strconv.ParseUint(tag[i+1:i+3], 16, 8)
		if err != nil {
			break
		}
		tag = tag[:i] + string(rune(n)) + tag[i+3:]
	}
	if rest, ok := strings.CutPrefix(tag, "tag:yaml.org,2002:"); ok {
		tag = "!!" + rest
	}
	return tag
}
