package terraform

import (
	"strings"

	"github.com/apexlogic/apex/internal/function/node"
)

// document renders a data source aws_iam_policy_document as the policy that its
// json attribute is. Each statement keeps the line of its block.
//
// Source: the provider's documentation of the data source. Statements of the
// sources come first, those of the block replace them by Sid, those of the
// overrides replace either.
func (o *object) document() *node.Node {
	at := o.resource.Where
	var statements []*node.Node
	take := func(n *node.Node) {
		for _, text := range n.All() {
			if text.IsNull() || text.Text() == "" && text.Known() {
				continue
			}
			doc := text
			if text.IsScalar() {
				var err error
				if doc, err = node.ParseText(text); err != nil {
					doc = node.Unknown(text.Where, text.Str)
				}
			}
			if !doc.IsMap() {
				statements = append(statements, node.Unknown(text.Where, text.Str))
				continue
			}
			for _, s := range doc.Get("Statement").All() {
				statements = replaceBySid(statements, s)
			}
		}
	}
	take(o.get("source_json"))
	take(o.get("source_policy_documents"))
	for _, s := range o.get("statement").All() {
		if !s.IsMap() {
			statements = append(statements, s)
			continue
		}
		statements = replaceBySid(statements, renderStatement(s))
	}
	take(o.get("override_json"))
	take(o.get("override_policy_documents"))
	version := o.get("version")
	if version.IsNull() {
		version = node.String(at, "2012-10-17")
	}
	return node.Map(at, []node.Field{{Key: "Version", Line: at.Line, Value: version},
		{Key: "Statement", Line: at.Line, Value: node.List(at, statements)}})
}

// replaceBySid adds a statement, in the place of one that has its Sid.
func replaceBySid(have []*node.Node, s *node.Node) []*node.Node {
	if sid := s.Get("Sid").Text(); sid != "" {
		for i, h := range have {
			if h.Get("Sid").Text() == sid {
				have[i] = s
				return have
			}
		}
	}
	return append(have, s)
}

func renderStatement(s *node.Node) *node.Node {
	var out []node.Field
	put := func(key string, v *node.Node) {
		if v.IsNull() || v.IsList() && len(v.Items) == 0 {
			return
		}
		out = append(out, node.Field{Key: key, Line: v.Line, Value: variables(v)})
	}
	put("Sid", s.Get("sid"))
	effect := s.Get("effect")
	if effect.IsNull() {
		effect = node.String(s.Where, "Allow")
	}
	put("Effect", effect)
	put("Action", s.Get("actions"))
	put("NotAction", s.Get("not_actions"))
	put("Resource", s.Get("resources"))
	put("NotResource", s.Get("not_resources"))
	put("Principal", renderPrincipals(s.Get("principals")))
	put("NotPrincipal", renderPrincipals(s.Get("not_principals")))
	put("Condition", renderConditions(s))
	return node.Map(s.Where, out)
}

func renderPrincipals(blocks *node.Node) *node.Node {
	var fields []node.Field
	if len(blocks.All()) > maxInstances {
		return node.Unknown(blocks.Where, "principals")
	}
	for _, p := range blocks.All() {
		kind := p.Get("type")
		if kind.Text() == "*" {
			return node.String(p.Where, "*")
		}
		if kind.IsNull() {
			return node.Unknown(p.Where, p.Str)
		}
		ids := p.Get("identifiers").All()
		if have := node.Map(p.Where, fields).Get(kind.Str); have != nil {
			ids = append(have.Items[:len(have.Items):len(have.Items)], ids...)
			fields = node.Map(p.Where, fields).With(kind.Str, node.List(p.Where, ids)).Fields
			continue
		}
		fields = append(fields, node.Field{Key: kind.Str, Line: p.Line, Value: node.List(p.Where, ids)})
	}
	if fields == nil {
		return nil
	}
	return node.Map(blocks.Where, fields)
}

func renderConditions(s *node.Node) *node.Node {
	blocks := s.Get("condition")
	if blocks.IsNull() {
		return nil
	}
	if len(blocks.All()) > maxInstances {
		return node.Unknown(blocks.Where, "condition")
	}
	out := node.Map(blocks.Where, nil)
	for _, c := range blocks.All() {
		test, variable, values := c.Get("test"), c.Get("variable"), c.Get("values")
		if test.IsNull() || variable.IsNull() || values.IsNull() {
			out = out.With(c.Str, node.Unknown(c.Where, "condition"))
			continue
		}
		inner := out.Get(test.Str)
		if inner == nil {
			inner = node.Map(c.Where, nil)
		}
		if have := inner.Get(variable.Str); have != nil {
			values = node.List(c.Where, append(have.All()[:len(have.All()):len(have.All())], values.All()...))
		}
		out = out.With(test.Str, inner.With(variable.Str, values))
	}
	return out
}

// variables writes the policy variables of a rendered document, which stand as
// &{aws:username} where HCL would take ${} for its own.
func variables(n *node.Node) *node.Node {
	switch {
	case n.Kind == node.KindString && strings.Contains(n.Str, "&{"):
		return node.String(n.Where, strings.ReplaceAll(n.Str, "&{", "${")).Referring(n.Ref)
	case n.IsList():
		items := make([]*node.Node, len(n.Items))
		for i, c := range n.Items {
			items[i] = variables(c)
		}
		return node.List(n.Where, items)
	case n.IsMap():
		fields := make([]node.Field, len(n.Fields))
		for i, f := range n.Fields {
			fields[i] = node.Field{Key: f.Key, Line: f.Line, Value: variables(f.Value)}
		}
		return node.Map(n.Where, fields)
	}
	return n
}
