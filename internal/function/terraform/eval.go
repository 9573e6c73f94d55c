package terraform

import (
	"math/big"
	"strconv"
	"strings"

	"github.com/hashicorp/hcl/v2"
	"github.com/hashicorp/hcl/v2/hclsyntax"
	"github.com/zclconf/go-cty/cty"

	"github.com/apexlogic/apex/internal/function/node"
	"github.com/apexlogic/apex/internal/function/stack"
)

// scope is where an expression is evaluated: a module's instance, and the names
// that blocks and for expressions add.
type scope struct {
	in     *instance
	names  map[string]*node.Node
	anon   map[*hclsyntax.AnonSymbolExpr]*node.Node
	parent *scope
}

func (s *scope) child(names map[string]*node.Node) *scope {
	return &scope{in: s.in, names: names, parent: s}
}

func (s *scope) bound(n string) *node.Node {
	for ; s != nil; s = s.parent {
		if v := s.names[n]; v != nil {
			return v
		}
	}
	return nil
}

func (s *scope) symbol(e *hclsyntax.AnonSymbolExpr) *node.Node {
	for ; s != nil; s = s.parent {
		if v := s.anon[e]; v != nil {
			return v
		}
	}
	return nil
}

// eval evaluates an expression of a file. It never fails: what cannot be
// resolved is unknown.
func (s *scope) eval(e expr) *node.Node {
	switch {
	case e.hcl != nil:
		ev := evaluator{scope: s, src: e.src}
		return ev.eval(e.hcl)
	case e.json != nil:
		return s.evalJSON(e.json, e.src)
	}
	return node.Nothing(stack.Where{})
}

func (s *scope) evalJSON(n *node.Node, src *source) *node.Node {
	switch n.Kind {
	case node.KindString:
		if !strings.Contains(n.Str, "${") && !strings.Contains(n.Str, "%{") {
			return n
		}
		return s.template(n, nil)
	case node.KindList:
		items := make([]*node.Node, len(n.Items))
		for i, c := range n.Items {
			items[i] = s.evalJSON(c, src)
		}
		return node.List(n.Where, items)
	case node.KindMap:
		fields := make([]node.Field, len(n.Fields))
		for i, f := range n.Fields {
			fields[i] = node.Field{Key: f.Key, Line: f.Line, Value: s.evalJSON(f.Value, src)}
		}
		return node.Map(n.Where, fields)
	}
	return n
}

// template evaluates a text as a template of HCL.
func (s *scope) template(text *node.Node, names map[string]*node.Node) *node.Node {
	u := s.in.unit
	if !u.step(1+len(text.Str)/64) || len(text.Str) > maxFile {
		return node.Unknown(text.Where, "a template that is too large")
	}
	if !text.Known() {
		return node.Unknown(text.Where, "a template that is not known")
	}
	data := []byte(text.Str)
	start := hcl.Pos{Line: text.Line, Column: 1}
	tokens, _ := hclsyntax.LexTemplate(data, text.File, start)
	if checkTokens(tokens) != nil {
		return node.Unknown(text.Where, "a template that is nested too deep")
	}
	e, diags := hclsyntax.ParseTemplate(data, text.File, start)
	if diags.HasErrors() || e == nil {
		return node.Unknown(text.Where, "a template that cannot be parsed")
	}
	ev := evaluator{scope: s.child(names), src: &source{text.File, data}, shift: text.Line}
	out := ev.eval(e)
	if out.Kind == node.KindString && text.Block {
		c := *out
		c.Where, c.Block = text.Where, true
		return &c
	}
	return out
}

// evaluator evaluates the expressions of one file in one scope.
type evaluator struct {
	*scope
	src   *source
	shift int // the line that a template's text starts at, 0 for a file
}

func (ev *evaluator) at(r hcl.Range) stack.Where {
	return stack.Where{File: ev.src.file, Line: r.Start.Line}
}

// unknown is the value of an expression that cannot be resolved: it shows the
// expression as it stands.
func (ev *evaluator) unknown(e hclsyntax.Expression) *node.Node {
	r := e.Range()
	text := "…"
	if r.Start.Byte >= 0 && r.Start.Byte <= r.End.Byte && r.End.Byte <= len(ev.src.text) {
		text = string(ev.src.text[r.Start.Byte:min(r.End.Byte, r.Start.Byte+1000)])
	}
	return node.Unknown(ev.at(r), text)
}

func (ev *evaluator) with(s *scope) *evaluator { return &evaluator{s, ev.src, ev.shift} }

func (ev *evaluator) eval(e hclsyntax.Expression) *node.Node {
	u := ev.in.unit
	if !u.step(1) {
		return ev.unknown(e)
	}
	if u.depth++; u.depth > maxEval {
		u.depth--
		return ev.unknown(e)
	}
	defer func() { u.depth-- }()
	at := ev.at(e.Range())
	switch e := e.(type) {
	case *hclsyntax.LiteralValueExpr:
		return fromCty(e.Val, at)
	case *hclsyntax.ParenthesesExpr:
		return ev.eval(e.Expression)
	case *hclsyntax.TemplateWrapExpr:
		return ev.eval(e.Wrapped)
	case *hclsyntax.ObjectConsKeyExpr:
		if k := hcl.ExprAsKeyword(e.Wrapped); k != "" && !e.ForceNonLiteral {
			return node.String(at, k)
		}
		return ev.eval(e.Wrapped)
	case *hclsyntax.TemplateExpr:
		return ev.join(e)
	case *hclsyntax.TemplateJoinExpr:
		return ev.joined(e)
	case *hclsyntax.TupleConsExpr:
		items := make([]*node.Node, len(e.Exprs))
		for i, x := range e.Exprs {
			items[i] = ev.eval(x)
		}
		return node.List(at, items)
	case *hclsyntax.ObjectConsExpr:
		fields := make([]node.Field, 0, len(e.Items))
		for _, item := range e.Items {
			k := ev.eval(item.KeyExpr)
			if !k.IsScalar() && !k.IsUnknown() {
				k = ev.unknown(item.KeyExpr)
			}
			fields = append(fields, node.Field{Key: k.Str, Line: item.KeyExpr.Range().Start.Line, Value: ev.eval(item.ValueExpr)})
		}
		return node.Map(at, fields)
	case *hclsyntax.ConditionalExpr:
		cond, known := ev.eval(e.Condition).True()
		switch {
		case !known:
			return ev.unknown(e)
		case cond:
			return ev.eval(e.TrueResult)
		}
		return ev.eval(e.FalseResult)
	case *hclsyntax.ScopeTraversalExpr:
		return ev.traverse(e)
	case *hclsyntax.RelativeTraversalExpr:
		v := ev.eval(e.Source)
		for _, t := range e.Traversal {
			v = ev.walk(v, t, e)
		}
		return v
	case *hclsyntax.IndexExpr:
		return ev.index(ev.eval(e.Collection), ev.eval(e.Key), e)
	case *hclsyntax.SplatExpr:
		return ev.splat(e)
	case *hclsyntax.AnonSymbolExpr:
		if v := ev.symbol(e); v != nil {
			return v
		}
	case *hclsyntax.ForExpr:
		return ev.loop(e)
	case *hclsyntax.FunctionCallExpr:
		return ev.call(e)
	case *hclsyntax.BinaryOpExpr:
		return ev.binary(e)
	case *hclsyntax.UnaryOpExpr:
		return ev.unary(e)
	}
	return ev.unknown(e)
}

// fromCty makes a node of a literal.
func fromCty(v cty.Value, at stack.Where) *node.Node {
	switch {
	case v.IsNull():
		return node.Nothing(at)
	case !v.IsWhollyKnown():
		return node.Unknown(at, "…")
	case v.Type() == cty.String:
		return node.String(at, node.Clean(v.AsString()))
	case v.Type() == cty.Bool:
		return node.Bool(at, v.True())
	case v.Type() == cty.Number:
		return node.Number(at, decimal(v.AsBigFloat()))
	}
	return node.Unknown(at, "…")
}

// decimal writes a number without an exponent, but for one whose digits would
// fill the memory: 1e999999999 is a number to HCL.
func decimal(f *big.Float) string {
	if f.IsInf() || f.MantExp(nil) > 1000 || f.MantExp(nil) < -1000 {
		return f.Text('g', 20)
	}
	return f.Text('f', -1)
}

// join evaluates a quoted text or heredoc.
func (ev *evaluator) join(e *hclsyntax.TemplateExpr) *node.Node {
	at := ev.at(e.Range())
	block := false
	if start := e.Range().Start.Byte; start >= 0 && start < len(ev.src.text) && strings.HasPrefix(string(ev.src.text[start:min(start+2, len(ev.src.text))]), "<<") {
		block = true
		at.Line++ // the text begins below the heredoc's name
	}
	var b strings.Builder
	var only *node.Node
	solid := 0
	for _, part := range e.Parts {
		v := ev.eval(part)
		if strings.TrimSpace(v.Str) != "" || v.IsMap() || v.IsList() {
			only = v
			solid++
		}
		switch {
		case v.IsNull():
		case v.IsScalar(), v.IsUnknown():
			b.WriteString(v.Str)
		default:
			b.WriteString(node.Placeholder("a list or map inside of a text"))
		}
		if b.Len() > node.MaxText || !ev.in.unit.step(len(v.Str)/256) {
			return ev.unknown(e)
		}
	}
	out := node.String(at, b.String())
	if block {
		out = out.InBlock()
	}
	if solid == 1 && only.Source != nil {
		out = out.WithSource(only.Source)
	}
	if len(e.Parts) == 1 && only != nil && only.Ref != "" {
		out = out.Referring(only.Ref)
	}
	return out
}

// joined evaluates %{for} of a template.
func (ev *evaluator) joined(e *hclsyntax.TemplateJoinExpr) *node.Node {
	v := ev.eval(e.Tuple)
	if !v.IsList() {
		return ev.unknown(e)
	}
	var b strings.Builder
	for _, item := range v.Items {
		b.WriteString(item.Str)
		if b.Len() > node.MaxText {
			return ev.unknown(e)
		}
	}
	return node.String(ev.at(e.Range()), b.String())
}

// walk takes one step of a traversal.
func (ev *evaluator) walk(v *node.Node, t hcl.Traverser, e hclsyntax.Expression) *node.Node {
	switch t := t.(type) {
	case hcl.TraverseAttr:
		return ev.attribute(v, t.Name, e)
	case hcl.TraverseIndex:
		return ev.index(v, fromCty(t.Key, v.Where), e)
	}
	return ev.unknown(e)
}

// attribute returns what stands under a name in a value.
func (ev *evaluator) attribute(v *node.Node, name string, e hclsyntax.Expression) *node.Node {
	if o := ev.in.unit.object(v); o != nil {
		return o.attribute(name, ev.at(e.Range()))
	}
	switch v.Kind {
	case node.KindMap:
		return ev.member(v, name, e)
	case node.KindList:
		// Before 0.12 a counted resource could be named without an index.
		if len(v.Items) > 0 && ev.in.unit.object(v.Items[0]) != nil {
			return ev.attribute(v.Items[0], name, e)
		}
	}
	return ev.unknown(e)
}

// member returns a field of a map. A key that a known map lacks is null, as
// try() and lookup() need it.
func (ev *evaluator) member(v *node.Node, key string, e hclsyntax.Expression) *node.Node {
	if f := v.Get(key); f != nil {
		return f
	}
	for _, f := range v.Fields {
		if strings.Contains(f.Key, node.Open) {
			return ev.unknown(e)
		}
	}
	return node.Nothing(ev.at(e.Range()))
}

func (ev *evaluator) index(v, key *node.Node, e hclsyntax.Expression) *node.Node {
	if !key.Known() || !key.IsScalar() {
		return ev.unknown(e)
	}
	switch v.Kind {
	case node.KindMap:
		return ev.member(v, key.Str, e)
	case node.KindList:
		i, err := strconv.Atoi(key.Str)
		if err != nil {
			return ev.unknown(e)
		}
		for j, item := range v.Items {
			if item.IsUnknown() && item.Tag != objectTag {
				return ev.unknown(e) // it may be several
			}
			if j == i {
				return item
			}
		}
		return node.Nothing(ev.at(e.Range()))
	}
	// A resource whose count is not known stands for each of its instances.
	if v.Tag == objectTag {
		return v
	}
	return ev.unknown(e)
}

func (ev *evaluator) splat(e *hclsyntax.SplatExpr) *node.Node {
	v := ev.eval(e.Source)
	var items []*node.Node
	switch {
	case v.IsNull():
	case v.IsList():
		items = v.Items
	case v.IsUnknown() && v.Tag != objectTag:
		return ev.unknown(e)
	default:
		items = []*node.Node{v}
	}
	out := make([]*node.Node, len(items))
	for i, item := range items {
		s := ev.child(nil)
		s.anon = map[*hclsyntax.AnonSymbolExpr]*node.Node{e.Item: item}
		out[i] = ev.with(s).eval(e.Each)
	}
	return node.List(ev.at(e.Range()), out)
}

func (ev *evaluator) loop(e *hclsyntax.ForExpr) *node.Node {
	coll := ev.eval(e.CollExpr)
	at := ev.at(e.Range())
	pairs, ok := entries(coll)
	if !ok {
		return ev.unknown(e)
	}
	var items []*node.Node
	var fields []node.Field
	for _, p := range pairs {
		if !ev.in.unit.step(1) {
			return ev.unknown(e)
		}
		names := map[string]*node.Node{e.ValVar: p.value}
		if e.KeyVar != "" {
			names[e.KeyVar] = p.key
		}
		inner := ev.with(ev.child(names))
		if e.CondExpr != nil {
			// One that may be there is there: what it grants may be granted.
			if keep, known := inner.eval(e.CondExpr).True(); known && !keep {
				continue
			}
		}
		v := inner.eval(e.ValExpr)
		if e.KeyExpr == nil {
			items = append(items, v)
			continue
		}
		k := inner.eval(e.KeyExpr)
		if !k.IsScalar() && !k.IsUnknown() {
			return ev.unknown(e)
		}
		if e.Group {
			if !ev.in.unit.step(len(fields)) {
				return ev.unknown(e)
			}
			have := node.Map(at, fields).Get(k.Str)
			v = node.List(at, append(have.All()[:len(have.All()):len(have.All())], v))
			fields = node.Map(at, fields).With(k.Str, v).Fields
			continue
		}
		fields = append(fields, node.Field{Key: k.Str, Line: v.Line, Value: v})
	}
	if e.KeyExpr == nil {
		return node.List(at, items)
	}
	return node.Map(at, fields)
}

type entry struct{ key, value *node.Node }

// entries are the pairs that a loop goes through; ok is false when they cannot
// be told.
func entries(n *node.Node) (out []entry, ok bool) {
	switch {
	case n.IsNull():
		return nil, true
	case n.IsList():
		for i, item := range n.Items {
			out = append(out, entry{node.Number(item.Where, strconv.Itoa(i)), item})
		}
		return out, true
	case n.IsMap():
		for _, f := range n.Fields {
			at := stack.Where{File: n.File, Line: f.Line}
			out = append(out, entry{node.String(at, f.Key), f.Value})
		}
		return out, true
	}
	return nil, false
}
