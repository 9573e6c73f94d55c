package config

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"math"
	"strconv"
	"strings"
	"unicode/utf8"

	"go.yaml.in/yaml/v3"
)

const (
	// maxDocuments bounds the documents of one file.
	maxDocuments = 4096
	// maxDepth bounds nesting. Our deepest kind needs 10 levels.
	maxDepth = 32
	// maxNodes bounds the nodes of one file after its aliases are expanded, so
	// that a few lines of aliases cannot become gigabytes. A file of maxFile
	// bytes without aliases has a third of them.
	maxNodes = 300_000
	// maxText bounds the bytes of all scalars of one file after its aliases are
	// expanded, for the same reason.
	maxText = 4 * maxFile
	// maxKey bounds a key. A label's key, the longest of ours, has 317 bytes;
	// the key is part of the path of everything below it.
	maxKey = 512
)

// size is what has been built of a file, aliases expanded.
type size struct {
	nodes, text int
}

func (s *size) exceeded() bool { return s.nodes > maxNodes || s.text > maxText }

// parse splits data into documents. It stops at the first syntax error: what
// follows cannot be told apart any more.
func parse(data []byte) ([]*yaml.Node, *syntaxError) {
	if line, ok := invalidText(data); !ok {
		return nil, &syntaxError{line: line, message: "the file is not UTF-8 text; save it as UTF-8 without NUL bytes"}
	}
	dec := yaml.NewDecoder(bytes.NewReader(data))
	var docs []*yaml.Node
	for {
		var doc yaml.Node
		err := dec.Decode(&doc)
		if errors.Is(err, io.EOF) {
			return docs, nil
		}
		if err != nil {
			syntax := newSyntaxError(err)
			syntax.line = min(syntax.line, 1+bytes.Count(data, []byte("\n")))
			return docs, syntax
		}
		if len(docs) == maxDocuments {
			return docs, &syntaxError{line: doc.Line, message: fmt.Sprintf("the file holds more than %d documents; split it", maxDocuments)}
		}
		docs = append(docs, &doc)
	}
}

// invalidText returns the line of the first byte that is no UTF-8 text.
func invalidText(data []byte) (line int, ok bool) {
	if utf8.Valid(data) && bytes.IndexByte(data, 0) < 0 {
		return 0, true
	}
	for i := 0; i < len(data); {
		r, size := utf8.DecodeRune(data[i:])
		if r == utf8.RuneError && size == 1 || r == 0 {
			return 1 + bytes.Count(data[:i], []byte("\n")), false
		}
		i += size
	}
	return 1, false
}

// syntaxError is a document that is no YAML, or more than we read of it.
type syntaxError struct {
	line, column int
	message      string
}

// newSyntaxError takes the line out of the parser's message, which has the
// form "yaml: line 3: did not find …".
func newSyntaxError(err error) *syntaxError {
	text := strings.TrimPrefix(err.Error(), "yaml: ")
	if rest, found := strings.CutPrefix(text, "line "); found {
		number, message, _ := strings.Cut(rest, ": ")
		if line, err := strconv.Atoi(number); err == nil {
			// Those of the parser, unlike those of the scanner, count from 0.
			for _, expected := range []string{"node content", "key", "'-' indicator", "',' or ']'", "',' or '}'", "<document start>"} {
				if message == "did not find expected "+expected {
					line++
				}
			}
			return &syntaxError{line: line, column: 1, message: "not valid YAML: " + message}
		}
	}
	return &syntaxError{message: "not valid YAML: " + text}
}

// builder turns YAML nodes into values and collects what is wrong with them.
type builder struct {
	report func(line, column int, path, message, suggestion string)
	size   *size // of the file so far
	ok     bool
}

// build returns the document's value; ok is false when something was reported.
// It adds the document's size to that of its file.
func build(root *yaml.Node, size *size, report func(line, column int, path, message, suggestion string)) (v *value, ok bool) {
	b := &builder{report: report, size: size, ok: true}
	return b.node(root, "", 0), b.ok
}

func (b *builder) fail(n *yaml.Node, path, message, suggestion string) *value {
	b.ok = false
	b.report(n.Line, n.Column, path, message, suggestion)
	return &value{line: n.Line, column: n.Column}
}

func (b *builder) node(n *yaml.Node, path string, depth int) *value {
	b.size.nodes++
	b.size.text += len(n.Value)
	switch {
	case b.size.exceeded() && b.ok:
		return b.fail(n, path, fmt.Sprintf("the file has more than %d values or %d bytes of text after its aliases are expanded", maxNodes, maxText), "")
	case b.size.exceeded():
		return &value{line: n.Line, column: n.Column}
	case depth > maxDepth:
		return b.fail(n, path, fmt.Sprintf("nested deeper than %d levels", maxDepth), "")
	}
	switch n.Kind {
	case yaml.DocumentNode:
		return b.node(n.Content[0], path, depth)
	case yaml.AliasNode:
		// An alias inside of what it names would not end; the depth ends it.
		return b.node(n.Alias, path, depth+1)
	case yaml.SequenceNode:
		return b.list(n, path, depth)
	case yaml.MappingNode:
		return b.mapping(n, path, depth)
	}
	return b.scalar(n, path)
}

func (b *builder) list(n *yaml.Node, path string, depth int) *value {
	if n.ShortTag() != "!!seq" {
		return b.fail(n, path, "the YAML tag "+quote(n.Tag)+" is not supported; remove it", "")
	}
	v := &value{kind: kindList, line: n.Line, column: n.Column, items: make([]*value, 0, len(n.Content))}
	for i, child := range n.Content {
		if b.size.exceeded() {
			break
		}
		v.items = append(v.items, b.node(child, element(path, i), depth+1))
	}
	return v
}

func (b *builder) mapping(n *yaml.Node, path string, depth int) *value {
	if n.ShortTag() != "!!map" {
		return b.fail(n, path, "the YAML tag "+quote(n.Tag)+" is not supported; remove it", "")
	}
	v := &value{kind: kindMap, line: n.Line, column: n.Column, fields: make([]field, 0, len(n.Content)/2)}
	seen := make(map[string]int, len(n.Content)/2)
	for i := 0; i+1 < len(n.Content) && !b.size.exceeded(); i += 2 {
		key := n.Content[i]
		if key.Kind == yaml.AliasNode {
			key = key.Alias
		}
		switch {
		case key.ShortTag() == "!!merge":
			b.fail(n.Content[i], path, "merge keys are not supported; write the fields out", "")
			continue
		case key.Kind != yaml.ScalarNode || key.ShortTag() != "!!str":
			b.fail(n.Content[i], path, "a key has to be text; quote it", "")
			continue
		case len(key.Value) > maxKey:
			b.fail(n.Content[i], path, fmt.Sprintf("a key has more than %d bytes", maxKey), "")
			continue
		case oldBoolean(key):
			b.fail(n.Content[i], path, "the key "+key.Value+" means a boolean to YAML 1.1 parsers; quote it", strconv.Quote(key.Value))
			continue
		}
		if first, twice := seen[key.Value]; twice {
			b.fail(n.Content[i], join(path, key.Value), fmt.Sprintf("the key is there twice, first on line %d; remove one of the two", first), "")
			continue
		}
		seen[key.Value] = n.Content[i].Line
		v.fields = append(v.fields, field{
			key: key.Value, line: n.Content[i].Line, column: n.Content[i].Column,
			value: b.node(n.Content[i+1], join(path, key.Value), depth+1),
		})
	}
	return v
}

func (b *builder) scalar(n *yaml.Node, path string) *value {
	v := &value{line: n.Line, column: n.Column, text: n.Value, plain: n.Style&(yaml.SingleQuotedStyle|yaml.DoubleQuotedStyle|yaml.LiteralStyle|yaml.FoldedStyle) == 0}
	if n.Style&yaml.TaggedStyle != 0 {
		return b.fail(n, path, "the YAML tag "+quote(n.Tag)+" is not supported; remove it", "")
	}
	switch n.ShortTag() {
	case "!!null":
		v.kind = kindNull
	case "!!bool":
		v.kind, v.truth = kindBool, strings.EqualFold(n.Value, "true")
	case "!!int":
		number, err := strconv.ParseInt(n.Value, 10, 64)
		if err != nil || n.Value[0] == '+' || len(n.Value) > 1 && strings.TrimPrefix(n.Value, "-")[0] == '0' {
			return b.fail(n, path, "the number "+quote(n.Value)+" is not a plain decimal integer of 64 bits; quote it if it is text", strconv.Quote(n.Value))
		}
		v.kind, v.number = kindInt, number
	case "!!float":
		number, err := strconv.ParseFloat(n.Value, 64)
		if err != nil || math.IsInf(number, 0) || math.IsNaN(number) {
			return b.fail(n, path, "the number "+quote(n.Value)+" is not a plain decimal number; quote it if it is text", strconv.Quote(n.Value))
		}
		v.kind, v.float = kindFloat, number
	case "!!str", "!!timestamp":
		v.kind = kindString
		if oldBoolean(n) {
			return b.fail(n, path, n.Value+" means a boolean to YAML 1.1 parsers and text to others; write true or false, or quote it", oldTruth(n.Value))
		}
	default:
		return b.fail(n, path, "the YAML tag "+quote(n.Tag)+" is not supported; remove it", "")
	}
	return v
}

// oldBoolean reports whether a plain scalar is a boolean in YAML 1.1 and text
// in YAML 1.2. kubectl reads the former, so the same file would say two things.
func oldBoolean(n *yaml.Node) bool {
	if n.Style != 0 || len(n.Value) > 3 {
		return false
	}
	switch n.Value {
	case "y", "Y", "n", "N":
		return true
	}
	switch strings.ToLower(n.Value) {
	case "yes", "no", "on", "off":
		return true
	}
	return false
}

func oldTruth(text string) string {
	switch strings.ToLower(text) {
	case "y", "yes", "on":
		return "true"
	}
	return "false"
}
