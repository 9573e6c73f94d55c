// Package cloudformation reads what a template of AWS CloudFormation or SAM
// declares about functions and their rights.
//
// Start at [Is], which tells a template from other documents, and [Read]; a
// service of the Serverless Framework hands its resources to [Add]. Functions of
// the template are resolved from the defaults of parameters, mappings and
// conditions; a resource whose condition is false is not there. SAM is expanded
// as its transform does: implicit roles, policy templates, Globals, events.
//
// Source: the CloudFormation and SAM references.
package cloudformation

import (
	"strings"

	"github.com/apexlogic/apex/internal/function/node"
	"github.com/apexlogic/apex/internal/function/stack"
)

const (
	maxSteps     = 2_000_000 // of resolving one template
	maxItems     = 1000      // of a list that a text is split into
	maxResources = 10_000    // CloudFormation itself takes 500
)

// Is says whether a document is a template, by its content.
func Is(doc *node.Node) bool {
	if !doc.IsMap() || doc.Has("apiVersion") {
		return false
	}
	if doc.Has("AWSTemplateFormatVersion") {
		return true
	}
	for _, f := range fields(doc.Get("Resources")) {
		kind := f.Value.Get("Type").Text()
		if strings.HasPrefix(kind, "AWS::") || strings.HasPrefix(kind, "Custom::") || strings.HasPrefix(kind, "Alexa::") {
			return true
		}
	}
	return false
}

// Read reads a template.
func Read(file string, doc *node.Node) *stack.Stack {
	b := node.NewBuilder(stack.CloudFormation, file)
	Add(b, doc)
	return b.Stack
}

// Add adds what a template declares to a stack.
func Add(b *node.Builder, doc *node.Node) {
	x := &extraction{Builder: b, template: newTemplate(doc)}
	for _, t := range doc.Get("Transform").All() {
		if name := t.Text(); name != "" && !strings.HasPrefix(name, "AWS::Serverless") && name != "AWS::LanguageExtensions" && !strings.HasPrefix(name, "AWS::SecretsManager") {
			b.Gap(t.Where, "the macro "+name+" may change the template: what it adds is not read")
		}
	}
	x.resources()
	x.all()
}

// resource is one resource of a template, its functions resolved.
type resource struct {
	stack.Where
	id, kind string
	props    *node.Node
}

type extraction struct {
	*node.Builder
	*template
	list []*resource
	byID map[string]*resource
}

// resources resolves the properties of every resource that is there.
func (x *extraction) resources() {
	x.byID = map[string]*resource{}
	for _, f := range fields(x.root.Get("Resources")) {
		at := stack.Where{File: f.Value.File, Line: f.Line}
		if strings.HasPrefix(f.Key, "Fn::") {
			x.Gap(at, f.Key+" makes resources that are not read: write them out")
			continue
		}
		if !f.Value.IsMap() {
			continue
		}
		if len(x.list) >= maxResources {
			x.Gap(at, "more resources than any template may have: the rest was not read")
			break
		}
		if c := f.Value.Get("Condition"); c != nil {
			if v, known := x.condition(c, 0); known && !v {
				continue
			}
		}
		r := &resource{Where: at, id: f.Key, kind: f.Value.Get("Type").Text()}
		props := f.Value.Get("Properties")
		if props == nil {
			props = node.Map(at, nil)
		}
		r.props = x.resolve(props, 0)
		if r.kind == "AWS::Serverless::Function" || r.kind == "AWS::Serverless::Api" || r.kind == "AWS::Serverless::HttpApi" {
			r.props = x.withGlobals(r)
		}
		x.list = append(x.list, r)
		x.byID[r.id] = r
	}
}

// withGlobals adds what the Globals section says for all resources of a kind.
func (x *extraction) withGlobals(r *resource) *node.Node {
	global := x.resolve(x.root.Get("Globals", strings.TrimPrefix(r.kind, "AWS::Serverless::")), 0)
	if !global.IsMap() || !r.props.IsMap() {
		return r.props
	}
	return inherit(global, r.props, 0)
}

// inherit merges maps field by field, appends lists, and lets the own value win.
func inherit(global, own *node.Node, depth int) *node.Node {
	if depth > node.MaxDepth {
		return own
	}
	switch {
	case global.IsMap() && own.IsMap():
		out := own
		for _, f := range global.Fields {
			have := own.Get(f.Key)
			if have == nil {
				out = node.Map(own.Where, append(out.Fields[:len(out.Fields):len(out.Fields)], f))
				continue
			}
			if have.IsMap() && f.Value.IsMap() || have.IsList() && f.Value.IsList() {
				merged := inherit(f.Value, have, depth+1)
				list := make([]node.Field, 0, len(out.Fields))
				for _, g := range out.Fields {
					if g.Key == f.Key {
						g.Value = merged
					}
					list = append(list, g)
				}
				out = node.Map(own.Where, list)
			}
		}
		return out
	case global.IsList() && own.IsList():
		return node.List(own.Where, append(global.Items[:len(global.Items):len(global.Items)], own.Items...))
	}
	return own
}

// name is what a resource is called, by the property that names its kind.
func (r *resource) name(keys ...string) string {
	for _, key := range keys {
		if v := r.props.Get(key); v.IsScalar() || v.IsUnknown() {
			return v.Value().Value
		}
	}
	return ""
}

// where is the place of a property, the resource's own when it has none.
func (r *resource) where(key string) stack.Where {
	if r.props.Get(key) != nil {
		return r.props.KeyAt(key)
	}
	return r.Where
}
