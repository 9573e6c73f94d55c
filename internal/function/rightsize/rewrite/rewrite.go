// Package rewrite changes one list of a YAML or JSON file, the statements of a
// policy or the rules of a role, and leaves every other byte as it is: comments,
// order, quotes, functions of a template.
//
// Start at [List] for the edits and [Apply] for the new content. What cannot be
// changed without touching more is an error that wraps [ErrShape]; the caller
// then says what to change and leaves the file alone. Whoever writes a file reads
// the result again before: that the meaning is the one that was asked for is
// checked by its reader, not here.
//
// Source: YAML 1.2.2, chapters 7 (flow) and 8 (block styles); JSON is flow style.
package rewrite

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"
	"unicode/utf8"

	"go.yaml.in/yaml/v3"
)

// ErrShape is wrapped by the error about a file that cannot be changed in place.
var ErrShape = errors.New("it cannot be rewritten in place")

// The limits on a file.
const (
	MaxFile      = 8 << 20
	maxDocuments = 2_000
	maxDepth     = 100
)

// Entry is one entry of the new list: an old one, with some fields set.
type Entry struct {
	From int // index in the old list
	Set  []Field
}

// Field is a field of an entry that changes.
type Field struct {
	Keys   []string // the keys that it replaces, whichever the entry has
	Key    string
	Values []string // texts; what holds "${" must be one of Old
	// Old are the old values as a reader resolved them, one for each that the
	// file has: their own words are kept.
	Old []string
	// One: the value is a text, no list of them.
	One bool
}

// Edit replaces the bytes from Start to End.
type Edit struct {
	Start, End int
	Text       string
}

// Apply makes edits that do not overlap.
func Apply(source []byte, edits []Edit) []byte {
	list := slices.Clone(edits)
	slices.SortFunc(list, func(a, b Edit) int { return a.Start - b.Start })
	var out []byte
	at := 0
	for _, e := range list {
		out = append(append(out, source[at:e.Start]...), e.Text...)
		at = e.End
	}
	return append(out, source[at:]...)
}

// List is how to change the list whose entries are maps at these lines, each
// with the key has. A map that stands in place of a list of one is one too.
// There must be exactly one such list in the file.
func List(source []byte, lines []int, has string, entries []Entry) (edits []Edit, err error) {
	if len(source) > MaxFile {
		return nil, fmt.Errorf("%w: the file has more than %d bytes", ErrShape, MaxFile)
	}
	f := file{text: string(source), eol: "\n"}
	if strings.Contains(f.text, "\r\n") {
		f.eol = "\r\n"
	}
	for i := 0; i >= 0 && i <= len(f.text); {
		f.starts = append(f.starts, i)
		n := strings.IndexByte(f.text[i:], '\n')
		if n < 0 {
			break
		}
		i += n + 1
	}
	found, err := f.find(lines, has)
	if err != nil {
		return nil, err
	}
	// A position that is off by the file's own peculiarities must not panic.
	defer func() {
		if p := recover(); p != nil {
			edits, err = nil, fmt.Errorf("%w: %v", ErrShape, p)
		}
	}()
	return f.rewrite(found, entries)
}

// file is a source with the offsets of its lines.
type file struct {
	text   string
	starts []int
	eol    string
}

// list is a list and the key that it is the value of.
type list struct{ key, value *yaml.Node }

// find looks for the list.
func (f *file) find(lines []int, has string) (list, error) {
	dec := yaml.NewDecoder(bytes.NewReader([]byte(f.text)))
	var found []list
	for range maxDocuments {
		var doc yaml.Node
		err := decode(dec, &doc)
		if errors.Is(err, io.EOF) {
			break
		}
		if err != nil {
			return list{}, fmt.Errorf("%w: %w", ErrShape, err)
		}
		search(&doc, nil, lines, has, 0, &found)
	}
	if len(found) != 1 {
		return list{}, fmt.Errorf("%w: %d lists stand at line %v", ErrShape, len(found), lines)
	}
	return found[0], nil
}

// decode reads a document. The parser panics on states that it holds to be
// impossible.
func decode(dec *yaml.Decoder, doc *yaml.Node) (err error) {
	defer func() {
		if p := recover(); p != nil {
			err = fmt.Errorf("the parser gave up: %v", p)
		}
	}()
	return dec.Decode(doc)
}

func search(n, key *yaml.Node, lines []int, has string, depth int, found *[]list) {
	if depth > maxDepth {
		return
	}
	switch n.Kind {
	case yaml.DocumentNode:
		for _, c := range n.Content {
			search(c, nil, lines, has, depth+1, found)
		}
	case yaml.SequenceNode:
		if len(n.Content) == len(lines) && len(lines) > 0 {
			same := true
			for i, c := range n.Content {
				same = same && c.Line == lines[i] && field(c, has) != nil
			}
			if same {
				*found = append(*found, list{key, n})
			}
		}
		for _, c := range n.Content {
			search(c, nil, lines, has, depth+1, found)
		}
	case yaml.MappingNode:
		if key != nil && len(lines) == 1 && n.Line == lines[0] && field(n, has) != nil {
			*found = append(*found, list{key, n})
		}
		for i := 0; i+1 < len(n.Content); i += 2 {
			search(n.Content[i+1], n.Content[i], lines, has, depth+1, found)
		}
	}
}

// field is the value of a key of a map.
func field(n *yaml.Node, name string) *yaml.Node {
	if n.Kind != yaml.MappingNode {
		return nil
	}
	for i := 0; i+1 < len(n.Content); i += 2 {
		if n.Content[i].Value == name {
			return n.Content[i+1]
		}
	}
	return nil
}

func flow(n *yaml.Node) bool { return n.Style&yaml.FlowStyle != 0 }

// offset is where a node begins. Columns count characters.
func (f *file) offset(n *yaml.Node) int {
	at, column := f.starts[n.Line-1], 1
	for i := range f.text[at:] {
		if column == n.Column {
			return at + i
		}
		column++
	}
	panic("a position outside of its line")
}

// column is that of an offset, from 1, in characters.
func (f *file) column(at int) int {
	return utf8.RuneCountInString(f.text[f.starts[f.line(at)]:at]) + 1
}

// rewrite makes the edits of a list.
func (f *file) rewrite(l list, entries []Entry) ([]Edit, error) {
	if l.value.Anchor != "" || !strings.HasPrefix(l.value.Tag, "!!") {
		return nil, fmt.Errorf("%w: the list in line %d is shared by an anchor, or made by a function", ErrShape, l.value.Line)
	}
	if l.value.Kind == yaml.MappingNode {
		if len(entries) != 1 {
			return nil, fmt.Errorf("%w: one statement becomes %d, and it stands in no list", ErrShape, len(entries))
		}
		return f.fields(l.value, entries[0].Set)
	}
	for _, e := range entries {
		if e.From < 0 || e.From >= len(l.value.Content) {
			return nil, fmt.Errorf("%w: it has no entry %d", ErrShape, e.From)
		}
	}
	if flow(l.value) {
		return f.flowList(l.value, entries)
	}
	return f.blockList(l, entries)
}

// made is the text of an entry that stood between two offsets.
func (f *file) made(n *yaml.Node, from, to int, set []Field) (string, error) {
	edits, err := f.fields(n, set)
	if err != nil {
		return "", err
	}
	for i := range edits {
		edits[i].Start -= from
		edits[i].End -= from
	}
	return string(Apply([]byte(f.text[from:to]), edits)), nil
}

// flowList rewrites "[{…}, {…}]".
func (f *file) flowList(n *yaml.Node, entries []Entry) ([]Edit, error) {
	start := f.offset(n)
	end, err := f.end(start)
	if err != nil {
		return nil, err
	}
	type span struct{ from, to int }
	var spans []span
	gaps := []string{} // what stands in front of each
	at := start + 1
	for _, c := range n.Content {
		from := f.offset(c)
		if f.text[start] != '[' || f.text[from] != '{' {
			return nil, fmt.Errorf("%w: an entry in line %d is shared by an anchor, or is no map", ErrShape, c.Line)
		}
		to, err := f.end(from)
		if err != nil {
			return nil, err
		}
		gaps = append(gaps, f.text[at:from])
		spans, at = append(spans, span{from, to}), to
	}
	tail := f.text[at : end-1]
	if len(entries) == 0 {
		return []Edit{{start, end, "[]"}}, nil
	}
	more := ", "
	switch {
	case len(gaps) > 1:
		more = gaps[1]
	case strings.Contains(gaps[0], "\n"):
		more = "," + gaps[0]
	}
	if strings.Contains(more, "#") { // a comment stands there
		more = "," + f.eol + strings.Repeat(" ", n.Content[0].Column-1)
	}
	var b strings.Builder
	b.WriteByte('[')
	used := map[int]bool{}
	for i, e := range entries {
		switch {
		case i == 0:
			b.WriteString(gaps[0])
		case used[e.From] || e.From == 0:
			b.WriteString(more)
		default:
			b.WriteString(gaps[e.From])
		}
		used[e.From] = true
		s := spans[e.From]
		text, err := f.made(n.Content[e.From], s.from, s.to, e.Set)
		if err != nil {
			return nil, err
		}
		b.WriteString(text)
	}
	b.WriteString(tail + "]")
	return []Edit{{start, end, b.String()}}, nil
}
