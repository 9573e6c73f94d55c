package rewrite

import (
	"encoding/json"
	"fmt"
	"strings"

	"go.yaml.in/yaml/v3"
)

// end is the offset behind a value in flow style that begins at an offset.
func (f *file) end(at int) (int, error) {
	depth := 0
	for i := at; i < len(f.text); {
		switch c := f.text[i]; {
		case c == '[' || c == '{':
			depth++
			i++
		case c == ']' || c == '}':
			if depth == 0 {
				return i, nil // behind a plain scalar
			}
			i++
			if depth--; depth == 0 {
				return i, nil
			}
		case (c == '"' || c == '\'') && begins(f.text, at, i):
			n := quoted(f.text[i:])
			if n < 0 {
				return 0, fmt.Errorf("%w: a quote does not end", ErrShape)
			}
			i += n
			if depth == 0 {
				return i, nil
			}
		case c == '#' && i > at && strings.ContainsRune(" \t\n", rune(f.text[i-1])):
			n := strings.IndexByte(f.text[i:], '\n')
			if n < 0 || depth == 0 {
				return 0, fmt.Errorf("%w: a comment stands within a value", ErrShape)
			}
			i += n
		case depth == 0 && (c == ',' || c == '\n'):
			return at + len(strings.TrimRight(f.text[at:i], " \t\r")), nil
		default:
			i++
		}
	}
	return 0, fmt.Errorf("%w: a value does not end", ErrShape)
}

// begins says whether a quote at i begins a text: within a plain one it is a
// character like any other.
func begins(text string, at, i int) bool {
	return i == at || strings.IndexByte(" \t\n\r[{,:", text[i-1]) >= 0
}

// quoted is the length of a text in quotes; -1: it does not end.
func quoted(s string) int {
	for i := 1; i < len(s); i++ {
		switch {
		case s[0] == '"' && s[i] == '\\':
			i++
		case s[i] != s[0]:
		case s[0] == '\'' && i+1 < len(s) && s[i+1] == '\'':
			i++
		default:
			return i + 1
		}
	}
	return -1
}

// setFlow replaces a field of a map in flow style.
func (f *file) setFlow(s *Field, key, value *yaml.Node, start int) (Edit, error) {
	from := f.offset(value)
	end, err := f.end(from)
	if err != nil {
		return Edit{}, err
	}
	items, err := f.items(s, value, true)
	if err != nil {
		return Edit{}, err
	}
	quotes := f.text[start] == '"'
	name := s.Key
	if quotes {
		name = `"` + name + `"`
	}
	keyEnd := start + len(key.Value)
	if quotes || f.text[start] == '\'' {
		keyEnd += 2
	}
	between := f.text[keyEnd:from] // the colon and blanks, as they stand
	e := Edit{Start: start, End: end}
	old := f.text[from:end]
	switch {
	case len(items) == 1 && (s.One || value.Kind != yaml.SequenceNode):
		e.Text = name + between + items[0]
	case len(items) < 2 || !strings.Contains(old, "\n") && (len(items) < 4 || !f.alone(start)):
		e.Text = name + between + "[" + strings.Join(items, ", ") + "]"
	default:
		// One a line, as lists of that file are written.
		margin := f.content(f.line(start))
		margin = margin[:len(margin)-len(strings.TrimLeft(margin, " \t"))]
		step := "  "
		if i := strings.IndexByte(old, '\n'); i >= 0 {
			first := old[i+1:]
			first = first[:len(first)-len(strings.TrimLeft(first, " \t"))]
			if len(first) > len(margin) && strings.HasPrefix(first, margin) {
				step = first[len(margin):]
			}
		}
		e.Text = name + between + "[" + f.eol + margin + step + strings.Join(items, ","+f.eol+margin+step) + f.eol + margin + "]"
	}
	return e, nil
}

// alone says whether nothing stands in front of an offset in its line.
func (f *file) alone(at int) bool {
	return strings.TrimSpace(f.text[f.starts[f.line(at)]:at]) == ""
}

// items writes the values of a field: those that the file has already in its
// own words.
func (f *file) items(s *Field, value *yaml.Node, inFlow bool) ([]string, error) {
	elements := []*yaml.Node{value}
	if value.Kind == yaml.SequenceNode && strings.HasPrefix(value.Tag, "!!") {
		elements = value.Content
		inFlow = inFlow || flow(value)
	}
	var out []string
	for _, v := range s.Values {
		text, err := f.words(s, v, elements, inFlow)
		if err != nil {
			return nil, err
		}
		out = append(out, text)
	}
	return out, nil
}

func (f *file) words(s *Field, v string, elements []*yaml.Node, inFlow bool) (string, error) {
	for i, e := range elements {
		untagged := e.Kind == yaml.ScalarNode && strings.HasPrefix(e.Tag, "!!")
		if len(s.Old) == len(elements) && s.Old[i] == v || untagged && e.Value == v && !strings.Contains(v, "${") {
			return f.raw(e, inFlow)
		}
	}
	if strings.Contains(v, "${") {
		return "", fmt.Errorf("%w: the file does not say %q by itself", ErrShape, v)
	}
	if plain(v) && !inFlow && s.plainBefore(elements) {
		return v, nil
	}
	data, err := json.Marshal(v)
	if err != nil {
		return "", err
	}
	return strings.NewReplacer(`\u003c`, "<", `\u003e`, ">", `\u0026`, "&").Replace(string(data)), nil
}

// raw is a value of one line as the file writes it.
func (f *file) raw(e *yaml.Node, inFlow bool) (string, error) {
	from := f.offset(e)
	begin := from
	if f.text[from] == '!' { // "!Sub text"
		begin += len(f.text[from:f.after(f.line(from))])
		if i := strings.IndexAny(f.text[from:begin], " \t"); i >= 0 {
			begin = from + i + strings.IndexFunc(f.text[from+i:begin], func(c rune) bool { return c != ' ' && c != '\t' })
		}
	}
	several := fmt.Errorf("%w: a value in line %d goes over several lines", ErrShape, e.Line)
	if begin == len(f.text) || deepest(e, 0) != e.Line || e.Style&(yaml.LiteralStyle|yaml.FoldedStyle) != 0 {
		return "", several
	}
	if inFlow || flow(e) || f.text[begin] == '"' || f.text[begin] == '\'' {
		to, err := f.end(begin)
		if err != nil {
			return "", err
		}
		if strings.Contains(f.text[from:to], "\n") {
			return "", several
		}
		return f.text[from:to], nil
	}
	text := f.text[from:f.after(f.line(from))]
	if i := strings.Index(text, " #"); i >= 0 {
		text = strings.TrimRight(text[:i], " \t")
	}
	if e.Kind == yaml.ScalarNode && !strings.HasSuffix(text, e.Value) {
		return "", several
	}
	return text, nil
}

// deepest is the last line that something of a value begins in.
func deepest(n *yaml.Node, depth int) int {
	last := n.Line
	if depth < maxDepth {
		for _, c := range n.Content {
			last = max(last, deepest(c, depth+1))
		}
	}
	return last
}

// plainBefore says whether the file writes its texts without quotes.
func (s *Field) plainBefore(elements []*yaml.Node) bool {
	return len(elements) == 0 || elements[0].Style&(yaml.DoubleQuotedStyle|yaml.SingleQuotedStyle) == 0
}

// plain says whether a text means itself without quotes in block style.
func plain(s string) bool {
	if s == "" || strings.HasSuffix(s, ":") || strings.Trim(s, "0123456789.:-_+") == "" {
		return false
	}
	for i, c := range []byte(s) {
		switch {
		case c >= 'a' && c <= 'z', c >= 'A' && c <= 'Z':
		case i > 0 && (c >= '0' && c <= '9' || strings.IndexByte("-_./:*", c) >= 0):
		default:
			return false
		}
	}
	switch strings.ToLower(s) {
	case "true", "false", "null", "yes", "no", "on", "off", "y", "n":
		return false
	}
	return true
}
