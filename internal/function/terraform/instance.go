package terraform

import (
	"fmt"
	"io/fs"
	"maps"
	"path"
	"slices"
	"strconv"
	"strings"

	"github.com/hashicorp/hcl/v2"
	"github.com/hashicorp/hcl/v2/hclsyntax"

	"github.com/apexlogic/apex/internal/function/node"
	"github.com/apexlogic/apex/internal/function/stack"
)

// objectTag marks a node that stands for a whole resource or module.
const objectTag = "!object"

// unit is one root module while it is evaluated.
type unit struct {
	*Tree
	used    map[string]*module // by folder
	named   map[string]bool    // files that functions read
	objects map[string]*object
	order   []*object
	gaps    []stack.Gap
	steps   int
	depth   int
	spent   bool
}

// step spends work; false says that the unit has used up what it has.
func (u *unit) step(n int) bool {
	if u.steps -= n; u.steps < 0 {
		if !u.spent {
			u.spent = true
			u.gap(stack.Where{}, "evaluating it takes more steps than any real module: the rest is unknown")
		}
		return false
	}
	return true
}

func (u *unit) gap(at stack.Where, why string) {
	if len(u.gaps) < maxGaps {
		u.gaps = append(u.gaps, stack.Gap{Where: at, Why: why})
	}
}

func (u *unit) object(n *node.Node) *object {
	if n != nil && n.Tag == objectTag {
		return u.objects[n.Ref]
	}
	return nil
}

func (u *unit) module(dir string) *module {
	m := u.Tree.module(dir)
	u.used[dir] = m
	return m
}

func (t *Tree) module(dir string) *module {
	m := t.loaded[dir]
	if m == nil {
		m = t.load(dir)
		t.loaded[dir] = m
	}
	return m
}

// instance is a module as one call of it.
type instance struct {
	*scope
	unit   *unit
	mod    *module
	prefix string // "module.m." or ""
	parent *instance
	at     stack.Where
	inputs map[string]*node.Node

	cache    map[string]*node.Node // "var.x", "local.x", "module.m", addresses
	busy     map[string]bool
	expanded map[*resource][]*object
	children map[*call][]*instance
}

func (u *unit) instantiate(m *module, prefix string, parent *instance, inputs map[string]*node.Node) *instance {
	in := &instance{unit: u, mod: m, prefix: prefix, parent: parent, inputs: inputs,
		cache: map[string]*node.Node{}, busy: map[string]bool{},
		expanded: map[*resource][]*object{}, children: map[*call][]*instance{}}
	in.scope = &scope{in: in}
	return in
}

// once evaluates what a name stands for, once. A name that is part of its own
// value is unknown.
func (in *instance) once(name string, at stack.Where, make func() *node.Node) *node.Node {
	if v := in.cache[name]; v != nil {
		return v
	}
	if in.busy[name] {
		return node.Unknown(at, name)
	}
	in.busy[name] = true
	v := make()
	delete(in.busy, name)
	in.cache[name] = v
	return v
}

// traverse evaluates a name and what is taken from it.
func (ev *evaluator) traverse(e *hclsyntax.ScopeTraversalExpr) *node.Node {
	root := e.Traversal.RootName()
	rest := e.Traversal[1:]
	at := ev.at(e.Range())
	take := func(v *node.Node) *node.Node {
		if v == nil {
			return ev.unknown(e)
		}
		for _, t := range rest {
			v = ev.walk(v, t, e)
		}
		return v
	}
	if v := ev.bound(root); v != nil {
		return take(v)
	}
	step := func() string {
		if len(rest) == 0 {
			return ""
		}
		t, ok := rest[0].(hcl.TraverseAttr)
		if !ok {
			return ""
		}
		rest = rest[1:]
		return t.Name
	}
	switch root {
	case "var":
		return take(ev.in.variable(step(), at))
	case "local":
		return take(ev.in.local(step(), at))
	case "module":
		return take(ev.in.child(step(), at))
	case "data":
		kind := step()
		return take(ev.in.named("data."+kind+"."+step(), at))
	case "path":
		switch step() {
		case "module":
			return node.String(at, ev.in.mod.dir)
		case "root", "cwd":
			r := ev.in
			for r.parent != nil {
				r = r.parent
			}
			return node.String(at, r.mod.dir)
		}
		return ev.unknown(e)
	case "each", "count", "self", "terraform":
		return ev.unknown(e)
	}
	if len(rest) == 0 {
		return ev.unknown(e)
	}
	return take(ev.in.named(root+"."+step(), at))
}

// variable is the value of an input: what the call gives, what the files of
// values say, the default.
func (in *instance) variable(name string, at stack.Where) *node.Node {
	return in.once("var."+name, at, func() *node.Node {
		if v := in.inputs[name]; v != nil {
			return v
		}
		if in.parent == nil {
			if e, ok := in.mod.values[name]; ok {
				return in.eval(e)
			}
		}
		if b := in.mod.variables[name]; b != nil {
			if a, ok := b.get("default"); ok {
				return in.eval(a.value)
			}
		}
		return node.Unknown(at, "var."+name)
	})
}

func (in *instance) local(name string, at stack.Where) *node.Node {
	a, ok := in.mod.locals[name]
	if !ok {
		return nil
	}
	return in.once("local."+name, at, func() *node.Node { return in.eval(a.value) })
}

// named is the value of an address: one object, or those of its instances.
func (in *instance) named(address string, at stack.Where) *node.Node {
	r := in.mod.byName[address]
	if r == nil {
		return nil
	}
	return in.once(address, at, func() *node.Node {
		objects := in.expand(r)
		nodes := make([]*node.Node, len(objects))
		fields := make([]node.Field, len(objects))
		for i, o := range objects {
			nodes[i] = o.node()
			fields[i] = node.Field{Key: o.key, Line: r.Line, Value: nodes[i]}
		}
		switch {
		case len(objects) == 1 && objects[0].how == single:
			return nodes[0]
		case len(objects) > 0 && objects[0].how == keyed:
			return node.Map(r.Where, fields)
		}
		return node.List(r.Where, nodes)
	})
}

// repeated evaluates count and for_each of a block: the scopes of its instances
// with their keys.
func (in *instance) repeated(b *body, what string) (scopes []*scope, keys []string, how repetition) {
	unknownEach := func(v *node.Node) {
		scopes = []*scope{in.scope.child(map[string]*node.Node{"each": node.Map(v.Where, []node.Field{
			{Key: "key", Value: node.Unknown(v.Where, "each.key")}, {Key: "value", Value: node.Unknown(v.Where, "each.value")}})})}
		keys, how = []string{""}, single
	}
	if a, ok := b.get("for_each"); ok {
		v := in.eval(a.value)
		pairs, ok := entries(v)
		if !ok || len(pairs) > maxInstances || v.IsUnknown() {
			unknownEach(v)
			return scopes, keys, how
		}
		if !in.unit.step(5 * len(pairs)) {
			return nil, nil, keyed
		}
		for _, p := range pairs {
			if v.IsList() { // a set: its keys are its values
				p.key = p.value
			}
			each := node.Map(p.value.Where, []node.Field{{Key: "key", Value: p.key}, {Key: "value", Value: p.value}})
			scopes = append(scopes, in.scope.child(map[string]*node.Node{"each": each}))
			keys = append(keys, p.key.Str)
		}
		return scopes, keys, keyed
	}
	if a, ok := b.get("count"); ok {
		v := in.eval(a.value)
		n := 1
		index := node.Unknown(v.Where, "count.index")
		if f, ok := number(v); ok {
			if n = int(min(max(f, 0), maxInstances+1)); n > maxInstances {
				in.unit.gap(a.Where, fmt.Sprintf("%s has more than %d instances: the first were read", what, maxInstances))
				n = maxInstances
			}
			index = nil
		} else if b, known := v.True(); known && !b {
			n, index = 0, nil // count = false of older versions
		}
		if !in.unit.step(5 * n) {
			return nil, nil, counted
		}
		for i := range n {
			value := index
			if value == nil {
				value = node.Number(v.Where, strconv.Itoa(i))
			}
			scopes = append(scopes, in.scope.child(map[string]*node.Node{"count": node.Map(v.Where, []node.Field{{Key: "index", Value: value}})}))
			keys = append(keys, strconv.Itoa(i))
		}
		return scopes, keys, counted
	}
	return []*scope{in.scope}, []string{""}, single
}

// expand makes the objects of a resource.
func (in *instance) expand(r *resource) []*object {
	if out, ok := in.expanded[r]; ok {
		return out
	}
	in.expanded[r] = nil // while its own count is evaluated
	address := in.prefix + r.address()
	scopes, keys, how := in.repeated(r.body, address)
	out := make([]*object, 0, len(scopes))
	for i, s := range scopes {
		if len(in.unit.order) >= maxObjects {
			in.unit.gap(r.Where, fmt.Sprintf("more than %d resources: the rest was not read", maxObjects))
			break
		}
		o := &object{resource: r, scope: s, in: in, key: keys[i], how: how, id: address, attrs: map[string]*node.Node{}, busy: map[string]bool{}}
		switch {
		case how == keyed:
			o.id += "[" + strconv.Quote(node.Show(o.key)) + "]"
		case how == counted && len(scopes) > 1:
			o.id += "[" + o.key + "]"
		}
		if in.unit.objects[o.id] != nil {
			continue // a key twice
		}
		in.unit.objects[o.id] = o
		in.unit.order = append(in.unit.order, o)
		out = append(out, o)
	}
	in.expanded[r] = out
	return out
}

// instancesOf makes the instances of a module that a call asks for.
func (in *instance) instancesOf(c *call) []*instance {
	if out, ok := in.children[c]; ok {
		return out
	}
	in.children[c] = nil
	dir, ok := local(in.mod.dir, c.source)
	if !ok || len(in.unit.files[dir]) == 0 {
		why := "module " + c.name + ": only modules within the folder that is read are read, not " + strconv.Quote(clip(c.source))
		in.unit.gap(c.Where, why)
		return nil
	}
	depth := 0
	for p := in; p != nil; p = p.parent {
		if depth++; p.mod.dir == dir || depth > maxModules {
			in.unit.gap(c.Where, "module "+c.name+" calls itself")
			return nil
		}
	}
	m := in.unit.module(dir)
	scopes, keys, how := in.repeated(c.body, "module "+c.name)
	var out []*instance
	for i, s := range scopes {
		if !in.unit.step(100) {
			break
		}
		prefix := in.prefix + "module." + c.name
		if how != single && len(scopes) > 1 {
			prefix += "[" + strconv.Quote(node.Show(keys[i])) + "]"
		}
		inputs := map[string]*node.Node{}
		for _, a := range c.body.attrs {
			if m.variables[a.name] != nil {
				inputs[a.name] = s.eval(a.value)
			}
		}
		child := in.unit.instantiate(m, prefix+".", in, inputs)
		child.at = c.Where
		out = append(out, child)
	}
	in.children[c] = out
	return out
}

// child is the value of a module: its outputs, evaluated when they are asked for.
func (in *instance) child(name string, at stack.Where) *node.Node {
	for _, c := range in.mod.calls {
		if c.name != name {
			continue
		}
		return in.once("module."+name, at, func() *node.Node {
			instances := in.instancesOf(c)
			var values []*node.Node
			var fields []node.Field
			for _, child := range instances {
				var outs []node.Field
				for _, out := range slices.Sorted(maps.Keys(child.mod.outputs)) {
					if a, ok := child.mod.outputs[out].get("value"); ok {
						outs = append(outs, node.Field{Key: out, Line: a.Line, Value: child.eval(a.value)})
					}
				}
				v := node.Map(c.Where, outs)
				values = append(values, v)
				fields = append(fields, node.Field{Key: keyOf(child.prefix), Value: v})
			}
			switch {
			case len(instances) == 0:
				return node.Unknown(at, "module."+name)
			case hasAttr(c.body, "for_each") && len(instances) > 1:
				return node.Map(c.Where, fields)
			case hasAttr(c.body, "count"):
				return node.List(c.Where, values)
			case hasAttr(c.body, "for_each"):
				return node.Unknown(at, "module."+name)
			}
			return values[0]
		})
	}
	return nil
}

func hasAttr(b *body, name string) bool {
	_, ok := b.get(name)
	return ok
}

// keyOf is the key in "module.m[\"key\"].".
func keyOf(prefix string) string {
	_, key, ok := strings.Cut(prefix[strings.LastIndex(prefix, "module."):], "[")
	if !ok {
		return ""
	}
	if s, err := strconv.Unquote(strings.TrimSuffix(key, "].")); err == nil {
		return s
	}
	return ""
}

func clip(s string) string {
	if len(s) > 80 {
		return strings.ToValidUTF8(s[:80], "") + "…"
	}
	return s
}

// literal is the text of an expression that is one.
func literal(e expr) string {
	if e.json != nil {
		return e.json.Text()
	}
	if t, ok := e.hcl.(*hclsyntax.TemplateExpr); ok && t.IsStringLiteral() {
		return fromCty(t.Parts[0].(*hclsyntax.LiteralValueExpr).Val, stack.Where{}).Text()
	}
	return ""
}

// file reads a file that a function names, within the tree that was handed in.
func (in *instance) file(name *node.Node, at stack.Where) (data []byte, where stack.Where, ok bool) {
	if !name.Known() || !name.IsScalar() {
		return nil, at, false
	}
	// path.module is written relative to the tree; a bare name is relative to
	// the root module, where Terraform runs.
	root := in
	for root.parent != nil {
		root = root.parent
	}
	for _, candidate := range []string{path.Clean(name.Str), path.Join(root.mod.dir, name.Str), path.Join(in.mod.dir, name.Str)} {
		if !fs.ValidPath(candidate) {
			continue
		}
		if data, err := node.ReadFile(in.unit.fsys, candidate, maxFile); err == nil {
			in.unit.named[candidate] = true
			return data, stack.Where{File: candidate, Line: 1}, true
		}
	}
	in.unit.gap(at, "the file "+strconv.Quote(clip(node.Show(name.Str)))+" cannot be read within the folder")
	return nil, at, false
}
