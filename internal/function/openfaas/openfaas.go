// Package openfaas reads the functions of OpenFaaS: a stack.yml of its command
// line, and the custom resource that its operator takes.
//
// Start at [Is] and [Read] for a stack.yml, [Function] for the resource.
// Source: "YAML file reference" and the Function CRD of OpenFaaS.
package openfaas

import (
	"strings"

	"github.com/apexlogic/apex/internal/function/node"
	"github.com/apexlogic/apex/internal/function/stack"
)

// Is says whether a document is a stack.yml: a map of functions for the
// provider openfaas.
func Is(doc *node.Node) bool {
	name := doc.Get("provider", "name").Text()
	return doc.Get("functions").IsMap() && (name == "openfaas" || name == "faas")
}

// Read reads a stack.yml. A value "${NAME:-default}" is taken from the
// environment when it is deployed, so it is unknown; without a default as well.
func Read(file string, doc *node.Node) *stack.Stack {
	s := &stack.Stack{Unit: stack.OpenFaaS, Root: file}
	for _, f := range doc.Get("functions").Fields {
		if len(s.Functions) >= maxFunctions {
			s.Gaps = append(s.Gaps, stack.Gap{Where: f.Value.Where, Why: "more functions than any stack has: the rest was not read"})
			break
		}
		fn := stack.Function{Where: stack.Where{File: doc.File, Line: f.Line}, ID: f.Key, Name: f.Key, Kind: "openfaas.com/Function", Egress: stack.EgressAnywhere}
		fill(&fn, f.Value)
		if lang := f.Value.Get("lang"); lang.IsScalar() {
			fn.Code = append(fn.Code, stack.Ref{Where: lang.Where, Text: stack.Literal("template:" + lang.Str)})
		}
		s.Functions = append(s.Functions, fn)
	}
	return s
}

const maxFunctions = 10_000

// Function reads an object of kind Function (openfaas.com).
func Function(doc *node.Node) stack.Function {
	spec := doc.Get("spec")
	name := spec.Get("name").Text()
	if name == "" {
		name = doc.Get("metadata", "name").Text()
	}
	f := stack.Function{Where: doc.Where, ID: "Function " + name, Name: name, Kind: "openfaas.com/Function", Egress: stack.EgressAnywhere}
	fill(&f, spec)
	return f
}

func fill(f *stack.Function, n *node.Node) {
	if image := n.Get("image"); image != nil {
		f.Image = text(image)
	}
	f.Environment = node.Variables(n.Get("environment"))
	for i := range f.Environment {
		v := &f.Environment[i]
		v.Value = open(v.Value)
	}
	for _, s := range n.Get("secrets").All() {
		f.Environment = append(f.Environment, stack.Variable{Where: s.Where, Name: s.Text(), From: "secret " + s.Text()})
	}
	labels := map[string]string{}
	if l := n.Get("labels"); l.IsMap() {
		for _, e := range l.Fields {
			labels[e.Key] = e.Value.Text()
		}
	}
	if len(labels) > 0 {
		f.Labels = labels
	}
	// The gateway of OpenFaaS serves every function to whoever reaches it; a
	// label says that the Apex gateway stands before it.
	f.Gateway = labels["security.apexlogic.com/gateway"] != ""
}

func text(n *node.Node) stack.Text { return open(n.Value()) }

func open(t stack.Text) stack.Text {
	if strings.Contains(t.Value, "${") {
		t.Known = false
	}
	return t
}
