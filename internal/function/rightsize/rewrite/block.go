package rewrite

import (
	"fmt"
	"slices"
	"strings"

	"go.yaml.in/yaml/v3"
)

// line is the number, from 0, of the line that an offset is in.
func (f *file) line(at int) int {
	i, found := slices.BinarySearch(f.starts, at)
	if !found {
		i--
	}
	return i
}

// content is a line without its break and the blanks at its end.
func (f *file) content(i int) string {
	end := len(f.text)
	if i+1 < len(f.starts) {
		end = f.starts[i+1]
	}
	return strings.TrimRight(f.text[f.starts[i]:end], " \t\r\n")
}

// last is the last line that belongs to what begins in a line: until one that
// stops says no to. Blank lines and comments at its end do not belong to it.
func (f *file) last(from int, belongs func(line string, indent int) bool) int {
	last := from
	for i := from + 1; i < len(f.starts); i++ {
		line := f.content(i)
		trimmed := strings.TrimLeft(line, " ")
		if trimmed == "" || trimmed[0] == '#' {
			continue
		}
		if !belongs(trimmed, len(line)-len(trimmed)) {
			break
		}
		last = i
	}
	return last
}

// after is the offset behind a line's content.
func (f *file) after(i int) int { return f.starts[i] + len(f.content(i)) }

// blockList rewrites "- …" lines.
func (f *file) blockList(l list, entries []Entry) ([]Edit, error) {
	n := l.value
	if len(entries) == 0 {
		if l.key == nil {
			return nil, fmt.Errorf("%w: nothing is left of a list without a name", ErrShape)
		}
		from := f.offset(l.key) + len(l.key.Value)
		if f.text[from:from+1] != ":" {
			return nil, fmt.Errorf("%w: its key is written in quotes", ErrShape)
		}
		_, to, err := f.item(n, n.Content[len(n.Content)-1])
		if err != nil {
			return nil, err
		}
		return []Edit{{from + 1, to, " []"}}, nil
	}
	byOld := make([][]string, len(n.Content))
	order := -1
	for _, e := range entries {
		if e.From < order {
			return nil, fmt.Errorf("%w: the order of its entries changes", ErrShape)
		}
		order = e.From
		from, to, err := f.item(n, n.Content[e.From])
		if err != nil {
			return nil, err
		}
		text, err := f.made(n.Content[e.From], from, to, e.Set)
		if err != nil {
			return nil, err
		}
		byOld[e.From] = append(byOld[e.From], text)
	}
	var edits []Edit
	for i, texts := range byOld {
		from, to, err := f.item(n, n.Content[i])
		if err != nil {
			return nil, err
		}
		text := strings.Join(texts, f.eol)
		if text == f.text[from:to] {
			continue
		}
		if len(texts) == 0 { // with its line break
			if next := f.line(to) + 1; next < len(f.starts) {
				to = f.starts[next]
			}
		}
		edits = append(edits, Edit{from, to, text})
	}
	return edits, nil
}

// item is the range of one entry: from the start of the line of its dash to the
// end of its last line.
func (f *file) item(seq, n *yaml.Node) (from, to int, err error) {
	if n.Kind != yaml.MappingNode || n.Anchor != "" {
		return 0, 0, fmt.Errorf("%w: an entry in line %d is shared by an anchor, or is no map", ErrShape, n.Line)
	}
	at := f.offset(n)
	dash := len(strings.TrimRight(f.text[:at], " \t\r\n")) - 1
	if dash < 0 || f.text[dash] != '-' || f.column(dash) != seq.Column {
		return 0, 0, fmt.Errorf("%w: the entry in line %d does not begin with a dash", ErrShape, n.Line)
	}
	line := f.line(dash)
	if strings.TrimSpace(f.text[f.starts[line]:dash]) != "" {
		return 0, 0, fmt.Errorf("%w: something stands in front of the dash in line %d", ErrShape, line+1)
	}
	last := f.last(f.line(at), func(_ string, indent int) bool { return indent >= seq.Column })
	if flow(n) { // its end may stand at any indentation
		end, err := f.end(at)
		if err != nil {
			return 0, 0, err
		}
		last = max(last, f.line(end-1))
	}
	return f.starts[line], f.after(last), nil
}

// fields makes the edits of one entry.
func (f *file) fields(n *yaml.Node, set []Field) ([]Edit, error) {
	var edits []Edit
	for i := range set {
		e, err := f.set(n, &set[i])
		if err != nil {
			return nil, err
		}
		edits = append(edits, e)
	}
	return edits, nil
}

// set replaces one field of a map.
func (f *file) set(n *yaml.Node, s *Field) (Edit, error) {
	key, value, err := pick(n, s)
	if err != nil {
		return Edit{}, err
	}
	if value.Anchor != "" || key.Anchor != "" || value.Kind == yaml.AliasNode {
		return Edit{}, fmt.Errorf("%w: %s in line %d is shared by an anchor", ErrShape, key.Value, key.Line)
	}
	start := f.offset(key)
	if flow(n) {
		return f.setFlow(s, key, value, start)
	}
	line := f.line(start)
	indent := key.Column - 1
	last := f.last(line, func(text string, in int) bool {
		return in > indent || in == indent && (strings.HasPrefix(text, "- ") || text == "-")
	})
	if flow(value) {
		end, err := f.end(f.offset(value))
		if err != nil {
			return Edit{}, err
		}
		last = max(last, f.line(end-1))
	}
	items, err := f.items(s, value, false)
	if err != nil {
		return Edit{}, err
	}
	pad := indent + 2
	if value.Kind == yaml.SequenceNode && !flow(value) {
		pad = value.Column - 1
	}
	e := Edit{Start: start, End: f.after(last)}
	const wide = 100 // of a line that a person reads
	inline := s.Key + ": [" + strings.Join(items, ", ") + "]"
	switch {
	case len(items) == 1 && !strings.ContainsAny(items[0], "\n") && (s.One || value.Kind == yaml.ScalarNode && value.Tag != "!!null"):
		e.Text = s.Key + ": " + items[0]
	case len(items) == 0:
		e.Text = s.Key + ": []"
	case flow(value) && value.Kind == yaml.SequenceNode && indent+len(inline) <= wide:
		e.Text = inline
	default:
		e.Text = s.Key + ":"
		for _, item := range items {
			e.Text += f.eol + strings.Repeat(" ", pad) + "- " + item
		}
	}
	return e, nil
}

// pick finds the field that is to be set.
func pick(n *yaml.Node, s *Field) (key, value *yaml.Node, err error) {
	if n.Kind == yaml.MappingNode {
		for i := 0; i+1 < len(n.Content); i += 2 {
			for _, k := range s.Keys {
				if n.Content[i].Value == k {
					if key != nil {
						return nil, nil, fmt.Errorf("%w: %s stands twice in line %d", ErrShape, k, n.Content[i].Line)
					}
					key, value = n.Content[i], n.Content[i+1]
				}
			}
		}
	}
	if key == nil {
		return nil, nil, fmt.Errorf("%w: the entry in line %d has no %s", ErrShape, n.Line, s.Key)
	}
	return key, value, nil
}
