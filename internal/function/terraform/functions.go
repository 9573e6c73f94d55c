package terraform

import (
	"encoding/base64"
	"fmt"
	"math"
	"net/url"
	"path"
	"regexp"
	"slices"
	"strconv"
	"strings"

	"github.com/apexlogic/apex/internal/function/node"
)

// run evaluates the function, nil when the result is unknown. Source: the
// documentation of Terraform's functions.
func (c *invocation) run() *node.Node {
	name := strings.TrimPrefix(c.e.Name, "core::")
	switch name {
	case "jsonencode":
		return one(c, node.Encode)
	case "jsondecode", "yamldecode":
		return one(c, func(n *node.Node) *node.Node { return decode(name, n) })
	case "file":
		return one(c, func(n *node.Node) *node.Node {
			if data, where, ok := c.ev.in.file(n, c.at); ok {
				return node.String(where, node.Clean(string(data))).InBlock()
			}
			return nil
		})
	case "templatefile":
		if len(c.args) != 2 {
			return nil
		}
		data, where, ok := c.ev.in.file(c.args[0], c.at)
		if !ok {
			return nil
		}
		return c.template(node.String(where, node.Clean(string(data))).InBlock(), c.args[1])
	case "templatestring":
		if len(c.args) == 2 && c.args[0].Known() && c.args[0].IsScalar() {
			return c.template(c.args[0], c.args[1])
		}
	case "sensitive", "nonsensitive", "ephemeralasnull", "tolist", "tomap", "tobool", "tonumber", "tostring":
		return one(c, func(n *node.Node) *node.Node { return n })
	}
	if out := c.text(name); out != nil {
		return out
	}
	return c.collection(name)
}

func (c *invocation) template(text, vars *node.Node) *node.Node {
	names := map[string]*node.Node{}
	for _, f := range fieldsOf(vars) {
		names[f.Key] = f.Value
	}
	return c.ev.scope.template(text, names)
}

func one(c *invocation, f func(*node.Node) *node.Node) *node.Node {
	if len(c.args) != 1 {
		return nil
	}
	return f(c.args[0])
}

func decode(name string, n *node.Node) *node.Node {
	if !n.IsScalar() {
		return nil
	}
	if name == "jsondecode" || n.Source != nil {
		if v, err := node.ParseText(n); err == nil {
			return v
		}
		return nil
	}
	docs, err := node.YAML(n.File, []byte(node.Show(n.Str)))
	if err != nil || len(docs) != 1 || !n.Known() {
		return nil
	}
	return docs[0]
}

// texts are the arguments as known texts; ok is false when one is not.
func (c *invocation) texts() (out []string, ok bool) {
	for _, a := range c.args {
		if !a.Known() || !a.IsScalar() {
			return nil, false
		}
		out = append(out, a.Str)
	}
	return out, len(out) > 0
}

// text evaluates functions on texts.
func (c *invocation) text(name string) *node.Node {
	switch name {
	case "format":
		return c.format(c.args)
	case "join":
		return c.join()
	}
	a, ok := c.texts()
	if !ok {
		return nil
	}
	str := func(s string) *node.Node { return node.String(c.at, s) }
	if len(a) == 1 {
		switch name {
		case "lower":
			return str(strings.ToLower(a[0]))
		case "upper":
			return str(strings.ToUpper(a[0]))
		case "trimspace":
			return str(strings.TrimSpace(a[0]))
		case "chomp":
			return str(strings.TrimRight(a[0], "\r\n"))
		case "title":
			return str(title(a[0]))
		case "basename":
			return str(path.Base(a[0]))
		case "dirname":
			return str(path.Dir(a[0]))
		case "abspath", "pathexpand":
			return str(a[0])
		case "urlencode":
			return str(url.QueryEscape(a[0]))
		case "base64encode":
			return str(base64.StdEncoding.EncodeToString([]byte(a[0])))
		case "base64decode":
			if data, err := base64.StdEncoding.DecodeString(a[0]); err == nil {
				return str(node.Clean(string(data)))
			}
		case "strrev":
			r := []rune(a[0])
			slices.Reverse(r)
			return str(string(r))
		case "fileexists":
			_, err := node.ReadFile(c.ev.in.unit.fsys, path.Clean(a[0]), maxFile)
			return node.Bool(c.at, err == nil)
		}
	}
	if len(a) == 2 {
		switch name {
		case "split":
			if a[0] == "" || strings.Count(a[1], a[0]) > maxArguments {
				return nil
			}
			var items []*node.Node
			for _, part := range strings.Split(a[1], a[0]) {
				items = append(items, str(part))
			}
			return node.List(c.at, items)
		case "trimprefix":
			return str(strings.TrimPrefix(a[0], a[1]))
		case "trimsuffix":
			return str(strings.TrimSuffix(a[0], a[1]))
		case "trim":
			return str(strings.Trim(a[0], a[1]))
		case "startswith":
			return node.Bool(c.at, strings.HasPrefix(a[0], a[1]))
		case "endswith":
			return node.Bool(c.at, strings.HasSuffix(a[0], a[1]))
		case "strcontains":
			return node.Bool(c.at, strings.Contains(a[0], a[1]))
		case "regex":
			return c.regex(a[0], a[1])
		case "indent":
			if n, err := strconv.Atoi(a[0]); err == nil && n >= 0 && n < 200 {
				return c.indent(a[1], n)
			}
		}
	}
	if len(a) == 3 {
		switch name {
		case "replace":
			return c.replace(a[0], a[1], a[2])
		case "substr":
			return c.substr(a)
		}
	}
	return c.arithmetic(name)
}

func title(s string) string {
	words := strings.Split(s, " ")
	for i, w := range words {
		if w != "" {
			words[i] = strings.ToUpper(w[:1]) + w[1:]
		}
	}
	return strings.Join(words, " ")
}

func (c *invocation) arithmetic(name string) *node.Node {
	var f []float64
	for _, a := range c.args {
		v, ok := number(a)
		if !ok {
			return nil
		}
		f = append(f, v)
	}
	switch {
	case len(f) > 0 && name == "min":
		return numeric(c.at, slices.Min(f))
	case len(f) > 0 && name == "max":
		return numeric(c.at, slices.Max(f))
	case len(f) == 1 && name == "floor":
		return numeric(c.at, math.Floor(f[0]))
	case len(f) == 1 && name == "ceil":
		return numeric(c.at, math.Ceil(f[0]))
	case len(f) == 1 && name == "abs":
		return numeric(c.at, math.Abs(f[0]))
	}
	return nil
}

func (c *invocation) join() *node.Node {
	if len(c.args) < 2 || c.args[0].Text() == "" && !c.args[0].Known() {
		return nil
	}
	var b strings.Builder
	first := true
	for _, list := range c.args[1:] {
		if !list.IsList() {
			return nil
		}
		for _, item := range list.Items {
			if !item.IsScalar() && !item.IsUnknown() {
				return nil
			}
			if !first {
				b.WriteString(c.args[0].Str)
			}
			first = false
			b.WriteString(item.Str)
			if b.Len() > node.MaxText {
				return nil
			}
		}
	}
	return node.String(c.at, b.String())
}

// format is the verbs that templates of names and ARNs use.
func (c *invocation) format(args []*node.Node) *node.Node {
	if len(args) == 0 || !args[0].Known() || !args[0].IsScalar() {
		return nil
	}
	f := args[0].Str
	args = args[1:]
	var b strings.Builder
	for i := 0; i < len(f); i++ {
		if f[i] != '%' {
			b.WriteByte(f[i])
			continue
		}
		end := i + 1
		for end < len(f) && strings.IndexByte("+-# 0123456789.", f[end]) >= 0 {
			end++
		}
		if end >= len(f) || end-i > 6 {
			return nil // a width that only fills the memory
		}
		verb, spec := f[end], f[i:end]
		i = end
		if verb == '%' {
			b.WriteByte('%')
			continue
		}
		if len(args) == 0 {
			return nil
		}
		a := args[0]
		args = args[1:]
		switch {
		case !a.IsScalar() && !a.IsUnknown():
			return nil
		case !a.Known() || spec == "%" && (verb == 's' || verb == 'v'):
			b.WriteString(a.Str)
		case verb == 's' || verb == 'v' || verb == 'q':
			b.WriteString(fmt.Sprintf(bounded(spec)+string(verb), a.Str))
		default:
			v, ok := number(a)
			switch {
			case !ok:
				return nil
			case strings.IndexByte("dbxXoc", verb) >= 0:
				b.WriteString(fmt.Sprintf(bounded(spec)+string(verb), int64(v)))
			case strings.IndexByte("eEfgG", verb) >= 0:
				b.WriteString(fmt.Sprintf(bounded(spec)+string(verb), v))
			default:
				return nil
			}
		}
		if b.Len() > node.MaxText {
			return nil
		}
	}
	return node.String(c.at, b.String())
}

// bounded keeps at most three digits of a width: "%0008d" is none that a name has.
func bounded(spec string) string {
	if len(spec) > 4 {
		return "%"
	}
	return spec
}

func (c *invocation) replace(s, old, with string) *node.Node {
	if len(old) > 1 && strings.HasPrefix(old, "/") && strings.HasSuffix(old, "/") {
		re, err := compile(old[1 : len(old)-1])
		if err != nil || len(s)*(len(with)+1) > node.MaxText {
			return nil
		}
		return node.String(c.at, re.ReplaceAllString(s, with))
	}
	if n := strings.Count(s, old); n*len(with) > node.MaxText {
		return nil
	}
	return node.String(c.at, strings.ReplaceAll(s, old, with))
}

// compile bounds a pattern: a repetition of repetitions is large once compiled.
func compile(pattern string) (*regexp.Regexp, error) {
	if len(pattern) > 1000 {
		return nil, fmt.Errorf("a pattern of more than 1000 bytes")
	}
	return regexp.Compile(pattern)
}

func (c *invocation) regex(pattern, s string) *node.Node {
	re, err := compile(pattern)
	if err != nil {
		return nil
	}
	m := re.FindStringSubmatch(s)
	switch {
	case m == nil:
		return node.Nothing(c.at) // an error, as try() needs it
	case len(m) == 1:
		return node.String(c.at, m[0])
	}
	var items []*node.Node
	var fields []node.Field
	for i, name := range re.SubexpNames()[1:] {
		v := node.String(c.at, m[i+1])
		items = append(items, v)
		fields = append(fields, node.Field{Key: name, Value: v})
		if name == "" {
			fields = nil
		}
	}
	if len(fields) == len(items) {
		return node.Map(c.at, fields)
	}
	return node.List(c.at, items)
}

func (c *invocation) substr(a []string) *node.Node {
	from, err1 := strconv.Atoi(a[1])
	n, err2 := strconv.Atoi(a[2])
	r := []rune(a[0])
	if err1 != nil || err2 != nil {
		return nil
	}
	if from < 0 {
		from += len(r)
	}
	if from < 0 || from > len(r) {
		return nil
	}
	if n < 0 || n > len(r)-from {
		n = len(r) - from
	}
	return node.String(c.at, string(r[from:from+n]))
}

// indent keeps the text's place: its lines are as many as before.
func (c *invocation) indent(s string, n int) *node.Node {
	if strings.Count(s, "\n")*n > node.MaxText {
		return nil
	}
	out := *node.String(c.args[1].Where, strings.ReplaceAll(s, "\n", "\n"+strings.Repeat(" ", n)))
	out.Block = c.args[1].Block
	return &out
}
