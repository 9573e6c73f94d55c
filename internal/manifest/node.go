package manifest

import (
	"errors"
	"fmt"
	"strings"

	"github.com/apexlogic/apex/verdict"
)

// Limits bound what [Extract] reads of one file. A field that is zero takes the
// default beside it.
type Limits struct {
	Bytes     int // MaxBytes
	Documents int // MaxDocuments
	Depth     int // MaxDepth
	Nodes     int // MaxNodes, counted after aliases are expanded
}

// The default limits.
const (
	// MaxBytes holds the largest rendered charts (a full operator bundle with
	// its CRDs is 3 to 5 MiB).
	MaxBytes = 8 << 20
	// MaxDocuments is above what one release renders; each costs a parser's turn.
	MaxDocuments = 2_000
	// MaxDepth is four times the depth of the deepest CRD schemas in use.
	MaxDepth = 100
	// MaxNodes bounds the walk, which visits what an alias names once per use.
	MaxNodes = 1_000_000
)

const (
	// maxDocument is what an API server takes in one request (3 MiB); it bounds
	// the parser's memory, which is some 170 bytes a node.
	maxDocument = 3 << 20
	// maxMarks bounds the nodes of one document before it is parsed: each node
	// needs at least one of the characters that separate nodes, two share one.
	maxMarks = 750_000
	// maxDirectives bounds %TAG lines, which the parser compares with each other.
	maxDirectives = 1_000
	// maxKey is above the longest key that Kubernetes accepts (an annotation's,
	// 317 bytes); longer ones would make every pointer below them long.
	maxKey = 1024
)

func (l Limits) orDefault() Limits {
	for field, value := range map[*int]int{
		&l.Bytes: MaxBytes, &l.Documents: MaxDocuments, &l.Depth: MaxDepth, &l.Nodes: MaxNodes,
	} {
		if *field == 0 {
			*field = value
		}
	}
	return l
}

type kind uint8

const (
	scalar kind = iota
	mapping
	sequence
)

// scalarType is what a scalar is for a decoder, as far as it matters here.
type scalarType uint8

const (
	typeString scalarType = iota
	typeNull
	typeOther  // a number or a boolean
	typeTagged // "!Sub …": what it becomes, only its own tool knows
)

// node is one value of a document with its aliases and merge keys resolved. An
// aliased node is shared, so a document is a graph without cycles.
type node struct {
	kind      kind
	typ       scalarType
	line, col int32
	height    int32 // of the tree below it; 0 for a scalar
	size      int   // nodes of the tree when it is written out, itself included
	text      string
	items     []item
}

// item is a field of a mapping, or an element of a sequence (its key is "").
type item struct {
	key       string
	line, col int32
	val       *node
}

// get returns the field's value, or nil.
func (n *node) get(key string) *node {
	if n == nil || n.kind != mapping {
		return nil
	}
	for i := range n.items {
		if n.items[i].key == key {
			return n.items[i].val
		}
	}
	return nil
}

// str returns the field's text when it is a string, otherwise "".
func (n *node) str(key string) string {
	if v := n.get(key); v.isString() {
		return v.text
	}
	return ""
}

func (n *node) isString() bool { return n != nil && n.kind == scalar && n.typ == typeString }
func (n *node) isNull() bool   { return n != nil && n.kind == scalar && n.typ == typeNull }
func (n *node) isMapping() bool {
	return n != nil && n.kind == mapping
}

// mappings returns the elements of a sequence of mappings; ok is false for
// everything else, and for an empty one.
func (n *node) mappings() (items []item, ok bool) {
	if n == nil || n.kind != sequence || len(n.items) == 0 {
		return nil, false
	}
	for i := range n.items {
		if n.items[i].val.kind != mapping {
			return nil, false
		}
	}
	return n.items, true
}

// builder turns bytes into nodes under limits.
type builder struct {
	limits Limits
	docs   int
	nodes  int // left
	merges int // fields that << has brought so far, wanted or not
}

func newBuilder(limits Limits) *builder {
	limits = limits.orDefault()
	return &builder{limits: limits, nodes: limits.Nodes}
}

// documents calls each with the root of every document that is not empty.
func (b *builder) documents(data []byte, each func(*node) error) error {
	data, err := b.screen(data)
	if err != nil {
		return err
	}
	if first := strings.TrimLeft(string(data[:min(len(data), 4096)]), " \t\r\n"); first != "" && (first[0] == '{' || first[0] == '[') {
		return b.jsonOrYAML(data, each)
	}
	return b.yaml(data, each)
}

// jsonOrYAML reads data that starts as JSON does. YAML's flow style starts in
// the same way, so JSON's syntax error alone decides nothing.
func (b *builder) jsonOrYAML(data []byte, each func(*node) error) error {
	var roots []*node
	keep := func(root *node) error { roots = append(roots, root); return nil }
	err := b.json(data, keep)
	if syntax := (*syntaxError)(nil); errors.As(err, &syntax) {
		roots = nil
		b.docs, b.nodes = 0, b.limits.Nodes
		if b.yaml(data, keep) == nil {
			err = nil
		}
	}
	if err != nil {
		return err
	}
	for _, root := range roots {
		if err := each(root); err != nil {
			return err
		}
	}
	return nil
}

// seal counts a finished node against the limits.
func (b *builder) seal(n *node) error {
	n.size = 1
	for i := range n.items {
		v := n.items[i].val
		n.size += v.size
		n.height = max(n.height, v.height+1)
		if n.size > b.limits.Nodes {
			return b.tooMany(n)
		}
	}
	if int(n.height) > b.limits.Depth {
		return b.tooDeep(n.line, n.col)
	}
	return nil
}

// spend counts a whole document against the file's limits.
func (b *builder) spend(root *node) error {
	if b.docs++; b.docs > b.limits.Documents {
		return problem(root.line, root.col, "the file has more than %d documents: split it", b.limits.Documents)
	}
	if b.nodes -= root.size; b.nodes < 0 {
		return b.tooMany(root)
	}
	return nil
}

func (b *builder) tooMany(n *node) error {
	return problem(n.line, n.col, "the file has more than %d values once its aliases are expanded: write less into one file, or fewer aliases of aliases", b.limits.Nodes)
}

func (b *builder) tooDeep(line, col int32) error {
	return problem(line, col, "nested deeper than %d levels: flatten it", b.limits.Depth)
}

func problem(line, col int32, format string, args ...any) *Problem {
	return &Problem{
		Where: verdict.Origin{Line: int(line), Column: int(col)},
		Code:  verdict.ManifestInvalid,
		Why:   fmt.Sprintf(format, args...),
	}
}
