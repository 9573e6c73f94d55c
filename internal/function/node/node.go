// Package node is the value that every reader of infrastructure code works on:
// a tree of scalars, lists and maps in which each part knows the file and line
// that it was written at, and whether it depends on something outside of the
// files.
//
// Start at [YAML], [JSON] and [ParseText], which read foreign bytes within
// limits; [String], [List] and [Map] make values while a template is evaluated,
// and [Policy] turns one into a policy document with the line of each statement.
//
// What cannot be resolved stands inside a text between two private characters
// ([Open], [Close]), so that it survives joining, formatting and JSON; when the
// text leaves the package it reads "${expression}" and is not known. The account,
// region and partition that a template is deployed to are written
// "${AWS::AccountId}", "${AWS::Region}" and "aws", whatever the format calls them.
package node

import (
	"slices"
	"strconv"
	"strings"

	"github.com/apexlogic/apex/internal/function/stack"
)

// Limits of one value. A template that is larger in any of them deploys nothing
// that a person wrote; CloudFormation itself stops at 1 MB and 500 resources.
const (
	MaxDepth = 100     // nesting
	MaxSize  = 250_000 // nodes, each use of a shared one counted
	MaxText  = 1 << 20 // bytes of one text
)

// Open and Close stand around the expression of an unknown part of a text. They
// are private characters of Unicode; [Clean] takes them out of foreign bytes.
const (
	Open  = "\ue000"
	Close = "\ue001"
)

// maxExpression bounds the expression that an unknown part shows.
const maxExpression = 200

// Kind is what a node is.
type Kind uint8

// The kinds. An Unknown may be a scalar, a list or a map once it is deployed.
const (
	Null Kind = iota
	KindBool
	KindNumber
	KindString
	KindList
	KindMap
	KindUnknown
)

// Node is one value. A node that was made is not changed: it may be shared
// between trees. It is not safe for concurrent use only while it is made.
type Node struct {
	stack.Where
	Kind Kind
	// Str is the text of a scalar, unknown parts between Open and Close.
	Str    string
	Items  []*Node
	Fields []Field
	// Tag is a YAML tag of some tool's own: "!Ref".
	Tag string
	// Ref names the thing that the value is an attribute of, as the reader
	// names things: "aws_iam_role.r". Empty for most.
	Ref string
	// Source is the structure that a text of JSON was made from.
	Source *Node
	// Block says that a newline of the text is a newline of the file: it was
	// written as a block or is a file.
	Block bool

	index map[string]int // of Fields, when there are many
	size  int
	open  bool
}

// Field is one entry of a map, in the order of the file.
type Field struct {
	Key   string
	Line  int
	Value *Node
}

// Clean removes the characters that mark unknown parts from foreign text.
func Clean(text string) string {
	if !strings.Contains(text, Open) && !strings.Contains(text, Close) {
		return text
	}
	return strings.NewReplacer(Open, "\ufffd", Close, "\ufffd").Replace(text)
}

// String makes a text. A text beyond MaxText becomes unknown.
func String(at stack.Where, text string) *Node {
	if len(text) > MaxText {
		return Unknown(at, "a text of more than 1 MiB")
	}
	return &Node{Where: at, Kind: KindString, Str: text, size: 1, open: strings.Contains(text, Open)}
}

// Bool makes a boolean.
func Bool(at stack.Where, v bool) *Node {
	return &Node{Where: at, Kind: KindBool, Str: strconv.FormatBool(v), size: 1}
}

// Number makes a number from its text.
func Number(at stack.Where, text string) *Node {
	return &Node{Where: at, Kind: KindNumber, Str: text, size: 1}
}

// Nothing makes a null.
func Nothing(at stack.Where) *Node { return &Node{Where: at, size: 1} }

// Unknown makes a value that the files do not determine. The expression is
// shown to people: without "${" and "}".
func Unknown(at stack.Where, expression string) *Node {
	return &Node{Where: at, Kind: KindUnknown, Str: Placeholder(expression), size: 1, open: true}
}

// Placeholder is the unknown part of a text that the expression stands for.
func Placeholder(expression string) string {
	e := strings.Join(strings.Fields(Clean(expression)), " ")
	if len(e) > maxExpression {
		e = strings.ToValidUTF8(e[:maxExpression], "") + "…"
	}
	return Open + e + Close
}

// List makes a list. One that is too large becomes unknown.
func List(at stack.Where, items []*Node) *Node {
	n := &Node{Where: at, Kind: KindList, Items: items, size: 1}
	for _, c := range items {
		n.take(c)
	}
	if n.size > MaxSize {
		return Unknown(at, "a list that is too large to read")
	}
	return n
}

// Map makes a map. Of fields with one key the last one counts. One that is too
// large becomes unknown.
func Map(at stack.Where, fields []Field) *Node {
	n := &Node{Where: at, Kind: KindMap, Fields: fields, size: 1}
	for _, f := range fields {
		n.take(f.Value)
		if strings.Contains(f.Key, Open) {
			n.open = true
		}
	}
	if n.size > MaxSize {
		return Unknown(at, "a map that is too large to read")
	}
	if len(fields) > 16 {
		n.index = make(map[string]int, len(fields))
		for i, f := range fields {
			n.index[f.Key] = i
		}
	}
	return n
}

func (n *Node) take(c *Node) {
	n.size = min(n.size+c.size, MaxSize+1)
	n.open = n.open || c.open
}

// Size is the number of nodes, each use of a shared one counted.
func (n *Node) Size() int { return n.size }

// Known says that nothing of the value depends on something outside of the files.
func (n *Node) Known() bool { return n != nil && !n.open }

// IsNull says that there is no value.
func (n *Node) IsNull() bool { return n == nil || n.Kind == Null }

// IsMap says that it is a map; a missing node is none.
func (n *Node) IsMap() bool { return n != nil && n.Kind == KindMap }

// IsList says that it is a list; a missing node is none.
func (n *Node) IsList() bool { return n != nil && n.Kind == KindList }

// IsScalar says that it is a text, number or boolean.
func (n *Node) IsScalar() bool {
	return n != nil && (n.Kind == KindString || n.Kind == KindNumber || n.Kind == KindBool)
}

// IsUnknown says that the whole value is unknown.
func (n *Node) IsUnknown() bool { return n != nil && n.Kind == KindUnknown }

// Get returns the value at a path of keys, nil when there is none. It may be
// called on nil.
func (n *Node) Get(path ...string) *Node {
	for _, key := range path {
		if n == nil || n.Kind != KindMap {
			return nil
		}
		n = n.field(key)
	}
	return n
}

func (n *Node) field(key string) *Node {
	if n.index != nil {
		if i, ok := n.index[key]; ok {
			return n.Fields[i].Value
		}
		return nil
	}
	for _, f := range slices.Backward(n.Fields) {
		if f.Key == key {
			return f.Value
		}
	}
	return nil
}

// At is where the value stands; a missing node stands nowhere.
func (n *Node) At() stack.Where {
	if n == nil {
		return stack.Where{}
	}
	return n.Where
}

// KeyAt is where a key stands, the map's own place when the key is missing.
func (n *Node) KeyAt(key string) stack.Where {
	if n == nil {
		return stack.Where{}
	}
	at := n.Where
	if n.Kind == KindMap {
		for _, f := range n.Fields {
			if f.Key == key {
				at.Line = f.Line
				if f.Value != nil && f.Value.File != "" {
					at.File = f.Value.File
				}
			}
		}
	}
	return at
}

// Has says that the map has the key, with whatever value but null.
func (n *Node) Has(path ...string) bool { return !n.Get(path...).IsNull() }

// All returns the items of a list, the value itself when it is anything else
// but null: AWS takes one text where it takes several.
func (n *Node) All() []*Node {
	switch {
	case n.IsNull():
		return nil
	case n.Kind == KindList:
		return n.Items
	}
	return []*Node{n}
}

// Value is the text as a judge sees it. A list or map is its JSON.
func (n *Node) Value() stack.Text {
	if n == nil {
		return stack.Text{Known: true}
	}
	if n.Kind == KindList || n.Kind == KindMap {
		if data, ok := n.JSON(); ok {
			return stack.Text{Value: string(data), Known: !n.open}
		}
		return stack.Text{Value: "${…}"}
	}
	return stack.Text{Value: Show(n.Str), Known: !n.open}
}

// Show writes the unknown parts of a text as "${expression}".
func Show(text string) string {
	if !strings.Contains(text, Open) {
		return text
	}
	return strings.NewReplacer(Open, "${", Close, "}").Replace(text)
}

// Text returns the text of a scalar that is known, "" of anything else.
func (n *Node) Text() string {
	if n.IsScalar() && !n.open {
		return n.Str
	}
	return ""
}

// Texts returns the known texts of a list of scalars.
func (n *Node) Texts() []string {
	var out []string
	for _, item := range n.All() {
		if item.IsScalar() && !item.open {
			out = append(out, item.Str)
		}
	}
	return out
}

// True says whether it is the boolean or the text true; known is false for an
// unknown and for anything that is no boolean.
func (n *Node) True() (value, known bool) {
	if !n.IsScalar() || n.open {
		return false, false
	}
	switch strings.ToLower(n.Str) {
	case "true", "yes", "on", "1":
		return true, true
	case "false", "no", "off", "0":
		return false, true
	}
	return false, false
}

// Int returns a whole number, 0 when it is none.
func (n *Node) Int() int {
	if !n.IsScalar() || n.open {
		return 0
	}
	if v, err := strconv.Atoi(strings.TrimSpace(n.Str)); err == nil {
		return v
	}
	if v, err := strconv.ParseFloat(n.Str, 64); err == nil && v > -1e9 && v < 1e9 {
		return int(v)
	}
	return 0
}

// Referring is the same value as an attribute of the thing that ref names.
func (n *Node) Referring(ref string) *Node {
	c := *n
	c.Ref = ref
	return &c
}

// Tagged is the same value with the YAML tag; "" takes it off.
func (n *Node) Tagged(tag string) *Node {
	c := *n
	c.Tag = tag
	return &c
}

// WithSource is the same text, known to be the JSON of source.
func (n *Node) WithSource(source *Node) *Node {
	c := *n
	c.Source = source
	return &c
}

// InBlock is the same text, whose newlines are those of the file.
func (n *Node) InBlock() *Node {
	c := *n
	c.Block = true
	return &c
}

// With is the map with one field set.
func (n *Node) With(key string, value *Node) *Node {
	fields := slices.DeleteFunc(slices.Clone(n.Fields), func(f Field) bool { return f.Key == key })
	return Map(n.Where, append(fields, Field{key, value.Line, value}))
}
