package serverless

import (
	"io/fs"
	"path"
	"strconv"
	"strings"

	"github.com/apexlogic/apex/internal/function/node"
	"github.com/apexlogic/apex/internal/function/stack"
)

const (
	maxSteps    = 500_000 // of resolving one service
	maxVariable = 100     // variables within variables
	maxFile     = 4 << 20
	maxFiles    = 200
)

// variables resolves "${source:address, default}". What comes from outside of
// the files (the environment, stores, other stacks) is unknown, but for the
// default that stands beside an option or a variable of the environment.
type variables struct {
	fsys    fs.FS
	dir     string
	root    *node.Node
	options map[string]string
	gap     func(stack.Where, string)
	busy    map[string]bool
	files   map[string]*node.Node
	steps   int
}

// resolve returns the value with its variables resolved.
func (v *variables) resolve(n *node.Node, depth int) *node.Node {
	if n == nil {
		return nil
	}
	if v.steps--; v.steps < 0 || depth > maxVariable {
		return node.Unknown(n.Where, "a value that takes too long to resolve")
	}
	switch n.Kind {
	case node.KindString:
		if !strings.Contains(n.Str, "${") {
			return n
		}
		return v.text(n, depth).Tagged(n.Tag)
	case node.KindList:
		items := make([]*node.Node, len(n.Items))
		for i, c := range n.Items {
			items[i] = v.resolve(c, depth+1)
		}
		return node.List(n.Where, items).Tagged(n.Tag)
	case node.KindMap:
		out := make([]node.Field, len(n.Fields))
		for i, f := range n.Fields {
			key := f.Key
			if strings.Contains(key, "${") {
				key = v.text(node.String(n.Where, key), depth+1).Str
			}
			out[i] = node.Field{Key: key, Line: f.Line, Value: v.resolve(f.Value, depth+1)}
		}
		return node.Map(n.Where, out).Tagged(n.Tag)
	}
	return n
}

// text resolves the variables of a text. A text that is one variable is its
// value, whatever that is.
func (v *variables) text(n *node.Node, depth int) *node.Node {
	var b strings.Builder
	rest := n.Str
	for {
		i := strings.Index(rest, "${")
		if i < 0 {
			break
		}
		end := closing(rest[i:])
		if end < 0 {
			break
		}
		expression := rest[i+2 : i+end]
		if !isVariable(expression) {
			b.WriteString(rest[:i+2])
			rest = rest[i+2:]
			continue
		}
		value := v.evaluate(n.Where, expression, depth+1)
		if b.Len() == 0 && i == 0 && i+end+1 == len(rest) {
			if value.IsScalar() || value.IsUnknown() {
				c := *value
				c.Where = n.Where
				return &c
			}
			return value
		}
		b.WriteString(rest[:i])
		if value.IsScalar() || value.IsUnknown() {
			b.WriteString(value.Str)
		} else if !value.IsNull() {
			b.WriteString(node.Placeholder(expression))
		}
		rest = rest[i+end+1:]
		if b.Len() > node.MaxText {
			return node.Unknown(n.Where, "a text of more than 1 MiB")
		}
	}
	b.WriteString(rest)
	out := *node.String(n.Where, b.String())
	out.Block = n.Block
	return &out
}

// closing is the index of the brace that closes the one at the start of s.
func closing(s string) int {
	depth := 0
	for i := 0; i < len(s); i++ {
		switch {
		case strings.HasPrefix(s[i:], "${"):
			depth++
			i++
		case s[i] == '}':
			if depth--; depth == 0 {
				return i
			}
		}
	}
	return -1
}

// sources are the names before the colon of a variable. Everything else is left
// to CloudFormation.
var sources = [...]string{"self:", "opt:", "env:", "param:", "sls:", "aws:", "cf:", "cf.", "cf(", "ssm:", "ssm(", "ssm.", "s3:", "git:", "file(", "strToBool(", "terraform:", "doppler:", "vault:"}

func isVariable(expression string) bool {
	e := strings.TrimSpace(expression)
	if strings.HasPrefix(e, "${") {
		return true
	}
	for _, s := range sources {
		if strings.HasPrefix(e, s) && !strings.HasPrefix(e, s+":") {
			return true
		}
	}
	return false
}

// evaluate takes the first alternative that has a value.
func (v *variables) evaluate(at stack.Where, expression string, depth int) *node.Node {
	unknown := node.Unknown(at, expression)
	if v.steps--; v.steps < 0 || depth > maxVariable {
		return unknown
	}
	for _, alternative := range alternatives(expression) {
		a := strings.TrimSpace(alternative)
		if strings.Contains(a, "${") {
			inner := v.text(node.String(at, a), depth+1)
			switch {
			case strings.HasPrefix(a, "${") && closing(a) == len(a)-1:
				// A variable as an alternative: its value is the value.
				if inner.IsNull() {
					continue
				}
				return inner
			case !inner.IsScalar() || !inner.Known():
				return unknown
			}
			a = inner.Str
		}
		value := v.one(at, a, depth)
		if !value.IsNull() {
			return value
		}
	}
	return unknown
}

// alternatives splits at commas outside of quotes, parentheses and braces.
func alternatives(s string) []string {
	var out []string
	depth, start := 0, 0
	quote := byte(0)
	for i := 0; i < len(s); i++ {
		switch c := s[i]; {
		case quote != 0:
			if c == quote {
				quote = 0
			}
		case c == '\'' || c == '"':
			quote = c
		case c == '(' || c == '{':
			depth++
		case c == ')' || c == '}':
			depth--
		case c == ',' && depth == 0:
			out = append(out, s[start:i])
			start = i + 1
		}
	}
	return append(out, s[start:])
}

// one evaluates one alternative; nil says that it has no value.
func (v *variables) one(at stack.Where, a string, depth int) *node.Node {
	if len(a) >= 2 && (a[0] == '\'' || a[0] == '"') && a[len(a)-1] == a[0] {
		return node.String(at, a[1:len(a)-1])
	}
	switch a {
	case "true", "false":
		return node.Bool(at, a == "true")
	case "null", "":
		return nil
	}
	if _, err := strconv.ParseFloat(a, 64); err == nil {
		return node.Number(at, a)
	}
	if inner, ok := strings.CutPrefix(a, "strToBool("); ok {
		n := node.String(at, strings.TrimSuffix(inner, ")"))
		if b, known := n.True(); known {
			return node.Bool(at, b)
		}
		return node.Unknown(at, a)
	}
	if rest, ok := strings.CutPrefix(a, "file("); ok {
		name, address, _ := strings.Cut(rest, ")")
		return v.file(at, strings.TrimSpace(name), strings.TrimPrefix(address, ":"), depth)
	}
	source, address, ok := strings.Cut(a, ":")
	if !ok {
		return nil
	}
	switch source {
	case "self":
		return v.address("self", v.root, address, depth)
	case "opt":
		if o, ok := v.options[address]; ok {
			return node.String(at, o)
		}
		return nil
	case "env":
		return nil
	case "param":
		stage := v.stage(at, depth).Text()
		for _, set := range []string{stage, "default"} {
			if p := v.address("param", v.root, "params."+set+"."+address, depth); p != nil {
				return p
			}
		}
		return nil
	case "sls":
		if address == "stage" {
			return v.stage(at, depth)
		}
	case "aws":
		switch address {
		case "accountId":
			return node.Unknown(at, "AWS::AccountId")
		case "region":
			if r := v.address("self", v.root, "provider.region", depth); r.Text() != "" {
				return r
			}
			return node.Unknown(at, "AWS::Region")
		}
	}
	return node.Unknown(at, a)
}

// stage is the one that the service is deployed to.
func (v *variables) stage(at stack.Where, depth int) *node.Node {
	if o, ok := v.options["stage"]; ok {
		return node.String(at, o)
	}
	if s := v.address("self", v.root, "provider.stage", depth); s != nil {
		return s
	}
	return node.String(at, "dev")
}

// address follows a path of keys, resolving what it passes. nil says that
// nothing stands there.
func (v *variables) address(space string, n *node.Node, address string, depth int) *node.Node {
	key := space + ":" + address
	if v.busy[key] || address == "" {
		return node.Unknown(n.Where, key)
	}
	v.busy[key] = true
	defer delete(v.busy, key)
	for _, step := range strings.Split(address, ".") {
		if n.Kind == node.KindString && strings.Contains(n.Str, "${") {
			n = v.resolve(n, depth+1)
		}
		switch {
		case n.IsUnknown():
			return n
		case n.IsList():
			i, err := strconv.Atoi(step)
			if err != nil || i < 0 || i >= len(n.Items) {
				return nil
			}
			n = n.Items[i]
		default:
			if n = n.Get(step); n == nil {
				return nil
			}
		}
	}
	return v.resolve(n, depth+1)
}

// file reads a file that a variable names, within the tree that was handed in.
func (v *variables) file(at stack.Where, name, address string, depth int) *node.Node {
	target := path.Join(v.dir, strings.TrimPrefix(name, "~"))
	unknown := node.Unknown(at, "file("+name+")"+address)
	if !fs.ValidPath(target) || strings.HasPrefix(name, "~") || path.IsAbs(name) {
		v.gap(at, "the file "+strconv.Quote(name)+" is outside of the folder that is read")
		return unknown
	}
	doc, ok := v.files[target]
	if !ok {
		if len(v.files) >= maxFiles {
			v.gap(at, "more files are named than any service has")
			return unknown
		}
		doc = v.load(at, target)
		v.files[target] = doc
	}
	switch {
	case doc == nil:
		return nil // the default may follow
	case doc.IsUnknown():
		return unknown
	case address != "":
		return v.address("file "+target, doc, address, depth)
	}
	key := "file " + target
	if v.busy[key] {
		return unknown
	}
	v.busy[key] = true
	defer delete(v.busy, key)
	return v.resolve(doc, depth+1)
}

// load parses a file by its kind; nil when there is none.
func (v *variables) load(at stack.Where, target string) *node.Node {
	data, err := node.ReadFile(v.fsys, target, maxFile)
	if err != nil {
		v.gap(at, "the file "+strconv.Quote(target)+" cannot be read within the folder")
		return nil
	}
	switch path.Ext(target) {
	case ".json":
		doc, err := node.JSON(target, data)
		if err == nil {
			return doc
		}
		v.gap(at, err.Error())
	case ".yml", ".yaml":
		docs, err := node.YAML(target, data)
		if err == nil && len(docs) == 1 {
			return docs[0]
		}
		if err != nil {
			v.gap(at, err.Error())
		}
	case ".js", ".cjs", ".mjs", ".ts":
		v.gap(at, "the file "+strconv.Quote(target)+" is a program: it is not run")
	default:
		return node.String(stack.Where{File: target, Line: 1}, node.Clean(string(data))).InBlock()
	}
	return node.Unknown(at, target)
}
