package node

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"strings"

	"go.yaml.in/yaml/v3"

	"github.com/apexlogic/apex/internal/function/stack"
)

// maxDocuments bounds the documents of one stream: a folder's worth.
const maxDocuments = 2000

// YAML reads a stream of YAML 1.2 documents. Aliases are expanded within
// MaxSize, merge keys as YAML 1.1 has them; tags of some tool's own (!Ref) stand
// in Node.Tag. Documents before the first that cannot be read are returned
// together with the error.
func YAML(file string, data []byte) ([]*Node, error) {
	if len(data) > 8*MaxText {
		return nil, fmt.Errorf("%s: YAML of more than 8 MiB: split it", file)
	}
	data = []byte(Clean(string(data)))
	dec := yaml.NewDecoder(bytes.NewReader(data))
	c := converter{file: file}
	var out []*Node
	for range maxDocuments {
		var doc yaml.Node
		err := decode(dec, &doc)
		if errors.Is(err, io.EOF) {
			return out, nil
		}
		if err != nil {
			return out, fmt.Errorf("%s: not valid YAML: %s", file, clipLong(strings.TrimPrefix(err.Error(), "yaml: ")))
		}
		if len(doc.Content) == 0 {
			continue
		}
		c.doing = map[*yaml.Node]bool{}
		n, err := c.convert(doc.Content[0], 0)
		if err != nil {
			return out, fmt.Errorf("%s: %w", file, err)
		}
		out = append(out, n)
	}
	return out, fmt.Errorf("%s: more than %d documents: split it", file, maxDocuments)
}

// decode reads one document. The parser panics on states that it holds to be
// impossible; bytes that bring it there are refused like any others.
func decode(dec *yaml.Decoder, doc *yaml.Node) (err error) {
	defer func() {
		if p := recover(); p != nil {
			err = fmt.Errorf("the parser gave up: %v", p)
		}
	}()
	return dec.Decode(doc)
}

type converter struct {
	file  string
	count int
	doing map[*yaml.Node]bool // anchors that are being converted
}

func (c *converter) convert(y *yaml.Node, depth int) (*Node, error) {
	if depth > MaxDepth {
		return nil, fmt.Errorf("line %d: nested deeper than %d", y.Line, MaxDepth)
	}
	if c.count++; c.count > MaxSize {
		return nil, fmt.Errorf("line %d: more than %d values, aliases expanded", y.Line, MaxSize)
	}
	if y.Kind == yaml.AliasNode {
		if y.Alias == nil || c.doing[y.Alias] {
			return nil, fmt.Errorf("line %d: alias *%s is part of what it names", y.Line, clip(y.Value))
		}
		return c.convert(y.Alias, depth+1)
	}
	if y.Anchor != "" {
		c.doing[y] = true
		defer delete(c.doing, y)
	}
	at := stack.Where{File: c.file, Line: y.Line}
	n, err := c.bare(y, at, depth)
	if err != nil {
		return nil, err
	}
	if strings.HasPrefix(y.Tag, "!") && !strings.HasPrefix(y.Tag, "!!") && y.Tag != "!" {
		n.Tag = y.Tag
	}
	return n, nil
}

func (c *converter) bare(y *yaml.Node, at stack.Where, depth int) (*Node, error) {
	switch y.Kind {
	case yaml.ScalarNode:
		switch y.Tag {
		case "!!null":
			return Nothing(at), nil
		case "!!bool":
			return Bool(at, strings.EqualFold(y.Value, "true")), nil
		case "!!int", "!!float":
			return Number(at, y.Value), nil
		}
		n := String(at, Clean(y.Value)) // an escape may have made what Clean takes out
		if y.Style&(yaml.LiteralStyle|yaml.FoldedStyle) != 0 {
			n.Line++ // the text begins below its indicator
			n.Block = true
		}
		return n, nil
	case yaml.SequenceNode:
		items := make([]*Node, len(y.Content))
		for i, child := range y.Content {
			item, err := c.convert(child, depth+1)
			if err != nil {
				return nil, err
			}
			items[i] = item
		}
		return List(at, items), nil
	case yaml.MappingNode:
		fields, err := c.fields(y, depth)
		if err != nil {
			return nil, err
		}
		return Map(at, fields), nil
	}
	return nil, fmt.Errorf("line %d: an unknown kind of YAML node", y.Line)
}

func (c *converter) fields(y *yaml.Node, depth int) ([]Field, error) {
	var merged, own []Field
	for i := 0; i+1 < len(y.Content); i += 2 {
		k, v := y.Content[i], y.Content[i+1]
		value, err := c.convert(v, depth+1)
		if err != nil {
			return nil, err
		}
		if k.Tag == "!!merge" && k.Kind == yaml.ScalarNode {
			// Of merged maps the earlier wins, so it comes last here.
			all := value.All()
			for i := len(all) - 1; i >= 0; i-- {
				merged = append(merged, all[i].Fields...)
			}
			if c.count += len(merged); c.count > MaxSize {
				return nil, fmt.Errorf("line %d: more than %d values, merges expanded", y.Line, MaxSize)
			}
			continue
		}
		if k.Kind == yaml.AliasNode && k.Alias != nil {
			k = k.Alias
		}
		if k.Kind != yaml.ScalarNode {
			return nil, fmt.Errorf("line %d: a key must be a text", k.Line)
		}
		own = append(own, Field{Clean(k.Value), k.Line, value})
	}
	if merged == nil {
		return own, nil
	}
	last := map[string]int{}
	for i, f := range merged {
		last[f.Key] = i
	}
	var kept []Field
	for i, f := range merged {
		if last[f.Key] == i {
			kept = append(kept, f)
		}
	}
	return append(kept, own...), nil
}

func clipLong(s string) string {
	if len(s) > 200 {
		return strings.ToValidUTF8(s[:200], "") + "…"
	}
	return s
}
