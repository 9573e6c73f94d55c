package node

import (
	"encoding/json"
	"fmt"

	"github.com/apexlogic/apex/internal/function/stack"
)

// Policy makes a policy of AWS IAM from its document: a map, or a text of JSON.
// A statement that is wholly unknown is left out, and the policy is marked. The
// error says why a document that is there could not be read; the policy is then
// unknown and can be used.
func Policy(n *Node, id, name string, at stack.Where) (stack.Policy, error) {
	p := stack.Policy{Where: at, ID: id, Name: name}
	if n.IsNull() || n.IsUnknown() {
		p.Unknown = true
		return p, nil
	}
	doc := n
	if n.IsScalar() {
		var err error
		if doc, err = ParseText(n); err != nil {
			p.Unknown = true
			return p, fmt.Errorf("policy %s: %w", id, err)
		}
	}
	if !doc.IsMap() {
		p.Unknown = true
		if doc.IsUnknown() {
			return p, nil
		}
		return p, fmt.Errorf("policy %s: %s:%d: a policy is a map with a Statement", id, doc.File, doc.Line)
	}
	fields := make([]Field, 0, len(doc.Fields))
	for _, f := range doc.Fields {
		if f.Key != "Statement" {
			fields = append(fields, f)
		}
	}
	statement := doc.Get("Statement")
	if statement.IsNull() || statement.IsUnknown() {
		p.Unknown = true
		return p, nil
	}
	var items []*Node
	for _, s := range flat(statement) {
		if !s.IsMap() {
			p.Unknown = true
			continue
		}
		items = append(items, s)
		if s.File != at.File && len(items) == 1 {
			// The document stands in a file of its own: that is where to mend it.
			p.File, p.Line = s.File, s.Line
		}
		line := s.Line
		if s.File != p.File {
			line = 0 // a statement from yet another file: the policy's place stands for it
		}
		p.Lines = append(p.Lines, line)
	}
	fields = append(fields, Field{"Statement", statement.Line, List(statement.Where, items)})
	data, ok := Map(doc.Where, fields).JSON()
	if !ok {
		p.Unknown, p.Lines = true, nil
		return p, fmt.Errorf("policy %s: the document is larger than 1 MiB", id)
	}
	p.Document = json.RawMessage(data)
	return p, nil
}

// flat returns the statements, of lists in lists too: concat and conditions
// leave them behind.
func flat(n *Node) []*Node {
	if !n.IsList() {
		return n.All()
	}
	var out []*Node
	for _, item := range n.Items {
		if item.IsList() {
			out = append(out, flat(item)...)
		} else if !item.IsNull() {
			out = append(out, item)
		}
	}
	return out
}
