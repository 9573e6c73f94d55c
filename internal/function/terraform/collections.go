package terraform

import (
	"slices"
	"strconv"

	"github.com/apexlogic/apex/internal/function/node"
)

// sure says that the list's length and order are known: no item stands for
// several.
func sure(n *node.Node) bool {
	return n.IsList() && !slices.ContainsFunc(n.Items, func(i *node.Node) bool { return i.IsUnknown() && i.Tag != objectTag })
}

// collection evaluates functions on lists and maps. They keep the nodes that
// they are given, and so the lines.
func (c *invocation) collection(name string) *node.Node {
	a := c.args
	switch name {
	case "concat":
		var items []*node.Node
		for _, l := range a {
			items = append(items, l.All()...) // an unknown list is one unknown item
		}
		return node.List(c.at, items)
	case "list":
		return node.List(c.at, a)
	case "map":
		return c.pairs()
	case "merge":
		return c.merge()
	case "coalesce", "coalescelist":
		for _, v := range a {
			switch {
			case v.IsUnknown():
				return nil
			case v.IsNull(), v.IsScalar() && v.Str == "", v.IsList() && len(v.Items) == 0:
				continue
			}
			return v
		}
		return node.Nothing(c.at)
	case "zipmap":
		return c.zipmap()
	case "lookup":
		return c.lookup()
	case "formatlist":
		return c.formatlist()
	case "contains":
		return c.contains()
	case "element", "slice", "index":
		return c.positions(name)
	case "range":
		return c.numbers()
	case "setunion":
		var items []*node.Node
		for _, l := range a {
			items = append(items, l.All()...)
		}
		return distinct(node.List(c.at, items))
	case "setintersection", "setsubtract":
		return c.sets(name)
	}
	if len(a) != 1 {
		return nil
	}
	return c.of(name, a[0])
}

// of evaluates functions of one collection.
func (c *invocation) of(name string, n *node.Node) *node.Node {
	switch name {
	case "toset", "distinct":
		if n.IsList() {
			return distinct(n)
		}
	case "flatten":
		if n.IsList() {
			return node.List(n.Where, flatten(nil, n, 0))
		}
	case "compact":
		if n.IsList() {
			return node.List(n.Where, slices.DeleteFunc(slices.Clone(n.Items), func(i *node.Node) bool {
				return i.IsNull() || i.IsScalar() && i.Str == ""
			}))
		}
	case "length":
		switch {
		case sure(n):
			return node.Number(c.at, strconv.Itoa(len(n.Items)))
		case n.IsMap() && n.Known():
			return node.Number(c.at, strconv.Itoa(len(n.Fields)))
		case n.IsScalar() && n.Known():
			return node.Number(c.at, strconv.Itoa(len([]rune(n.Str))))
		}
	case "keys":
		if n.IsMap() {
			var items []*node.Node
			for _, f := range n.Fields {
				at := n.Where
				at.Line = f.Line
				items = append(items, node.String(at, f.Key))
			}
			return node.List(c.at, items)
		}
	case "values":
		if n.IsMap() {
			var items []*node.Node
			for _, f := range n.Fields {
				items = append(items, f.Value)
			}
			return node.List(c.at, items)
		}
	case "one":
		switch {
		case sure(n) && len(n.Items) == 1:
			return n.Items[0]
		case n.IsList() && len(n.Items) == 0:
			return node.Nothing(c.at)
		}
	case "reverse":
		if sure(n) {
			items := slices.Clone(n.Items)
			slices.Reverse(items)
			return node.List(c.at, items)
		}
	case "sort":
		if n.IsList() && n.Known() {
			items := slices.Clone(n.Items)
			slices.SortStableFunc(items, func(a, b *node.Node) int {
				if a.Str < b.Str {
					return -1
				}
				if a.Str > b.Str {
					return 1
				}
				return 0
			})
			return node.List(c.at, items)
		}
	case "alltrue", "anytrue":
		return c.truth(n, name == "anytrue")
	}
	return nil
}

func (c *invocation) truth(n *node.Node, decides bool) *node.Node {
	if !n.IsList() {
		return nil
	}
	open := false
	for _, item := range n.Items {
		v, known := item.True()
		if known && v == decides {
			return node.Bool(c.at, decides)
		}
		open = open || !known
	}
	if open {
		return nil
	}
	return node.Bool(c.at, !decides)
}

func distinct(n *node.Node) *node.Node {
	seen := map[string]bool{}
	return node.List(n.Where, slices.DeleteFunc(slices.Clone(n.Items), func(i *node.Node) bool {
		key := strconv.Itoa(int(i.Kind)) + i.Str
		if !i.IsScalar() {
			data, ok := i.JSON()
			if !ok || i.Tag == objectTag {
				return false
			}
			key = string(data)
		}
		was := seen[key]
		seen[key] = true
		return was
	}))
}

func flatten(out []*node.Node, n *node.Node, depth int) []*node.Node {
	if len(out) > node.MaxSize || depth > node.MaxDepth {
		return out
	}
	for _, item := range n.Items {
		if item.IsList() {
			out = flatten(out, item, depth+1)
			continue
		}
		out = append(out, item)
	}
	return out
}

func (c *invocation) pairs() *node.Node {
	var fields []node.Field
	for i := 0; i+1 < len(c.args); i += 2 {
		fields = append(fields, node.Field{Key: c.args[i].Str, Line: c.args[i].Line, Value: c.args[i+1]})
	}
	return node.Map(c.at, fields)
}

// merge keeps the last of the values of a key. An unknown map could replace any
// value: it stands as a key of its own.
func (c *invocation) merge() *node.Node {
	var fields []node.Field
	at := map[string]int{}
	for _, m := range c.args {
		switch {
		case m.IsMap():
			for _, f := range m.Fields {
				if i, ok := at[f.Key]; ok {
					fields[i] = f
					continue
				}
				at[f.Key] = len(fields)
				fields = append(fields, f)
			}
		case m.IsUnknown():
			fields = append(fields, node.Field{Key: m.Str, Line: m.Line, Value: m})
		case !m.IsNull():
			return nil
		}
	}
	return node.Map(c.at, fields)
}

func (c *invocation) zipmap() *node.Node {
	if len(c.args) != 2 || !sure(c.args[0]) || !sure(c.args[1]) || len(c.args[0].Items) != len(c.args[1].Items) {
		return nil
	}
	var fields []node.Field
	for i, k := range c.args[0].Items {
		fields = append(fields, node.Field{Key: k.Str, Line: k.Line, Value: c.args[1].Items[i]})
	}
	return node.Map(c.at, fields)
}

func (c *invocation) lookup() *node.Node {
	if len(c.args) < 2 || !c.args[0].IsMap() || !c.args[1].Known() {
		return nil
	}
	v := c.ev.member(c.args[0], c.args[1].Str, c.e)
	if v.IsNull() && len(c.args) == 3 {
		return c.args[2]
	}
	return v
}

func (c *invocation) formatlist() *node.Node {
	n := -1
	for _, a := range c.args[min(1, len(c.args)):] {
		switch {
		case a.IsList() && (n < 0 || n == len(a.Items)):
			n = len(a.Items)
		case a.IsList():
			return nil
		}
	}
	if n < 0 {
		n = 1
	}
	if n > maxArguments {
		return nil
	}
	var out []*node.Node
	for i := range n {
		args := slices.Clone(c.args)
		for j, a := range args {
			if j > 0 && a.IsList() {
				args[j] = a.Items[i]
			}
		}
		v := c.format(args)
		if v == nil {
			return nil
		}
		out = append(out, v)
	}
	return node.List(c.at, out)
}

func (c *invocation) contains() *node.Node {
	if len(c.args) != 2 || !c.args[0].IsList() {
		return nil
	}
	open := false
	for _, item := range c.args[0].Items {
		same, known := equal(item, c.args[1])
		if known && same {
			return node.Bool(c.at, true)
		}
		open = open || !known
	}
	if open {
		return nil
	}
	return node.Bool(c.at, false)
}

func (c *invocation) positions(name string) *node.Node {
	if len(c.args) < 2 || !sure(c.args[0]) {
		return nil
	}
	items := c.args[0].Items
	if name == "index" {
		for i, item := range items {
			same, known := equal(item, c.args[1])
			if !known {
				return nil
			}
			if same {
				return node.Number(c.at, strconv.Itoa(i))
			}
		}
		return node.Nothing(c.at)
	}
	from, ok := number(c.args[1])
	if !ok || from < 0 || from > 1e6 {
		return nil
	}
	if name == "element" {
		if len(items) == 0 {
			return node.Nothing(c.at)
		}
		return items[int(from)%len(items)]
	}
	if len(c.args) != 3 {
		return nil
	}
	to, ok := number(c.args[2])
	if !ok || to < from || int(to) > len(items) {
		return nil
	}
	return node.List(c.at, items[int(from):int(to)])
}

func (c *invocation) numbers() *node.Node {
	from, to, step := 0.0, 0.0, 1.0
	for i, a := range c.args {
		v, ok := number(a)
		if !ok {
			return nil
		}
		switch {
		case len(c.args) == 1 || i == 1:
			to = v
		case i == 0:
			from = v
		case i == 2:
			step = v
		}
	}
	if step <= 0 || (to-from)/step > maxArguments || len(c.args) == 0 || !c.ev.in.unit.step(max(0, int((to-from)/step))) {
		return nil
	}
	var out []*node.Node
	for v := from; v < to; v += step {
		out = append(out, numeric(c.at, v))
	}
	return node.List(c.at, out)
}

func (c *invocation) sets(name string) *node.Node {
	if len(c.args) != 2 || !c.args[0].Known() || !c.args[1].Known() || !c.args[0].IsList() || !c.args[1].IsList() {
		return nil
	}
	in := map[string]bool{}
	for _, i := range c.args[1].Items {
		in[i.Str] = true
	}
	return node.List(c.at, slices.DeleteFunc(slices.Clone(c.args[0].Items), func(i *node.Node) bool {
		return in[i.Str] != (name == "setintersection")
	}))
}
