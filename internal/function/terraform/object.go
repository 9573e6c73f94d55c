package terraform

import (
	"github.com/apexlogic/apex/internal/function/node"
	"github.com/apexlogic/apex/internal/function/stack"
)

// repetition is how a block is repeated.
type repetition uint8

const (
	single repetition = iota
	counted
	keyed
)

// object is one instance of a resource.
type object struct {
	*resource
	*scope
	in      *instance
	id, key string
	how     repetition
	attrs   map[string]*node.Node
	busy    map[string]bool
}

func (o *object) node() *node.Node {
	return node.Unknown(o.resource.Where, o.id).Tagged(objectTag).Referring(o.id)
}

// get is an argument as the block has it, nil when it has none: the value of an
// attribute, a list of maps for nested blocks.
func (o *object) get(name string) *node.Node {
	if v, ok := o.attrs[name]; ok {
		return v
	}
	if o.busy[name] {
		return node.Unknown(o.resource.Where, o.id+"."+name)
	}
	o.busy[name] = true
	v := argument(o.scope, o.body, name)
	delete(o.busy, name)
	o.attrs[name] = v
	return v
}

// argument evaluates an attribute or the nested blocks of a name.
func argument(s *scope, b *body, name string) *node.Node {
	if a, ok := b.get(name); ok {
		v := s.eval(a.value)
		return v
	}
	var items []*node.Node
	at := b.Where
	for _, bl := range b.blocks {
		switch {
		case bl.kind == name:
			items = append(items, contents(s, bl.body, 0))
		case bl.kind == "dynamic" && len(bl.labels) == 1 && bl.labels[0] == name:
			items = append(items, dynamic(s, bl, 0)...)
		default:
			continue
		}
		if len(items) == 1 {
			at = bl.Where
		}
	}
	if items == nil {
		return nil
	}
	return node.List(at, items)
}

// contents evaluates a nested block as a map; blocks within it are lists.
func contents(s *scope, b *body, depth int) *node.Node {
	if depth > maxModules || !s.in.unit.step(1) {
		return node.Unknown(b.Where, "a block that is nested too deep")
	}
	var fields []node.Field
	for _, a := range b.attrs {
		fields = append(fields, node.Field{Key: a.name, Line: a.Line, Value: s.eval(a.value)})
	}
	lists := map[string][]*node.Node{}
	var names []string
	for _, bl := range b.blocks {
		kind := bl.kind
		var items []*node.Node
		if kind == "dynamic" && len(bl.labels) == 1 {
			kind = bl.labels[0]
			items = dynamic(s, bl, depth+1)
		} else {
			items = []*node.Node{contents(s, bl.body, depth+1)}
		}
		if lists[kind] == nil {
			names = append(names, kind)
		}
		lists[kind] = append(lists[kind], items...)
	}
	for _, name := range names {
		items := lists[name]
		line := b.Line
		if len(items) > 0 {
			line = items[0].Line
		}
		fields = append(fields, node.Field{Key: name, Line: line, Value: node.List(stack.Where{File: b.File, Line: line}, items)})
	}
	return node.Map(b.Where, fields)
}

// dynamic evaluates a dynamic block: one map for each turn.
func dynamic(s *scope, bl block, depth int) []*node.Node {
	each, ok := bl.body.get("for_each")
	if !ok {
		return nil
	}
	iterator := bl.labels[0]
	if a, ok := bl.body.get("iterator"); ok {
		if name := keyword(a.value); name != "" {
			iterator = name
		}
	}
	var content *body
	for _, b := range bl.body.blocks {
		if b.kind == "content" {
			content = b.body
		}
	}
	if content == nil {
		return nil
	}
	turn := func(key, value *node.Node) *node.Node {
		it := node.Map(value.Where, []node.Field{{Key: "key", Value: key}, {Key: "value", Value: value}})
		return contents(s.child(map[string]*node.Node{iterator: it}), content, depth+1)
	}
	v := s.eval(each.value)
	pairs, ok := entries(v)
	if !ok || len(pairs) > maxInstances {
		// It may be there, with values that nobody knows.
		return []*node.Node{turn(node.Unknown(v.Where, iterator+".key"), node.Unknown(v.Where, iterator+".value"))}
	}
	var out []*node.Node
	for _, p := range pairs {
		out = append(out, turn(p.key, p.value))
	}
	return out
}

// attribute is what another expression sees of the object: an argument, or what
// the provider computes.
func (o *object) attribute(name string, at stack.Where) *node.Node {
	if o.data {
		if v := o.dataAttribute(name, at); v != nil {
			return v
		}
	}
	if v := o.get(name); v != nil && !(v.IsNull()) {
		if v.IsList() || v.IsMap() {
			return v
		}
		return v.Referring(o.id)
	}
	switch k := kinds()[o.kind]; {
	case name == "arn", name == "id" && k.idIsARN:
		return o.arn(at)
	case name == "id" && o.get(k.name).IsScalar():
		return o.get(k.name).Referring(o.id)
	}
	return node.Unknown(at, o.id+"."+name).Referring(o.id)
}

// arn is the object's ARN as far as it can be written.
func (o *object) arn(at stack.Where) *node.Node {
	k := kinds()[o.kind]
	if k.name != "" && (!o.data || o.get(k.name) != nil) {
		name := node.Placeholder(o.id + "." + k.name)
		if v := o.get(k.name); v.IsScalar() || v.IsUnknown() {
			name = v.Str
		}
		if v := node.ARN(at, k.cloud, o.get("path").Text(), name); v != nil {
			return v.Referring(o.id)
		}
	}
	return node.Unknown(at, o.id+".arn").Referring(o.id)
}

// dataAttribute is what a data source returns, as far as it can be told.
func (o *object) dataAttribute(name string, at stack.Where) *node.Node {
	switch o.kind {
	case "aws_iam_policy_document":
		if name == "json" || name == "minified_json" {
			key := "!document"
			if v := o.attrs[key]; v != nil {
				return v
			}
			if o.busy[key] {
				return node.Unknown(at, o.id+"."+name)
			}
			o.busy[key] = true
			v := node.Encode(o.document())
			delete(o.busy, key)
			o.attrs[key] = v
			return v
		}
	case "aws_caller_identity":
		if name == "account_id" || name == "id" {
			return node.Unknown(at, "AWS::AccountId")
		}
	case "aws_region":
		if name == "name" || name == "id" || name == "region" {
			if o.get("name") == nil && o.get("region") == nil {
				return node.Unknown(at, "AWS::Region")
			}
		}
	case "aws_partition":
		switch name {
		case "partition", "id":
			return node.String(at, "aws")
		case "dns_suffix":
			return node.String(at, "amazonaws.com")
		}
	case "template_file":
		if name == "rendered" {
			if t := o.get("template"); t != nil {
				vars := map[string]*node.Node{}
				for _, f := range fieldsOf(o.get("vars")) {
					vars[f.Key] = f.Value
				}
				return o.template(t, vars)
			}
		}
	case "local_file":
		if name == "content" {
			if data, where, ok := o.in.file(o.get("filename"), at); ok {
				return node.String(where, node.Clean(string(data))).InBlock()
			}
		}
	}
	return nil
}

func fieldsOf(n *node.Node) []node.Field {
	if n.IsMap() {
		return n.Fields
	}
	return nil
}
