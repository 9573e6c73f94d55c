package access

import (
	"fmt"
	"slices"
	"strings"

	"github.com/cedar-policy/cedar-go/types"
	"github.com/cedar-policy/cedar-go/x/exp/ast"
)

// judge holds a policy to the schema: Cedar's strict type checker, and before
// it every name. The type checker alone takes a wrong name after has for one
// that is never there, and does not look at what it knows to be never reached.
func (s *schema) judge(r *rule, words []token) Problems {
	var problems Problems
	report := func(near []token, detail string) {
		w := &Problem{Policy: r.document, Detail: detail}
		if len(near) == 0 {
			near = words
		}
		if len(near) > 0 {
			w.Line, w.Column = near[0].line, near[0].column
		}
		if !slices.ContainsFunc(problems, func(o *Problem) bool { return *o == *w }) {
			problems = append(problems, w)
		}
	}
	for _, c := range r.policy.Conditions {
		ast.Inspect(ast.NewNode(c.Body), func(n ast.IsNode) bool {
			if of, name, ok := asked(n); ok {
				if known := s.known(of); !slices.Contains(known, name) {
					report(member(words, of, name), fmt.Sprintf("%s has no attribute %s%s", of, name, didYouMean(name, known)))
				}
			}
			return true
		})
	}
	if len(problems) > 0 {
		return problems
	}
	err := s.check.Policy("", r.policy)
	if err == nil {
		return nil
	}
	for _, line := range strings.Split(err.Error(), "\n") {
		near, detail := s.place(line, words)
		report(near, detail)
	}
	return problems
}

// asked returns what variable a node asks for which attribute.
func asked(n ast.IsNode) (of, name string, ok bool) {
	var arg ast.IsNode
	switch n := n.(type) {
	case ast.NodeTypeAccess:
		arg, name = n.Arg, string(n.Value)
	case ast.NodeTypeHas:
		arg, name = n.Arg, string(n.Value)
	}
	v, ok := arg.(ast.NodeTypeVariable)
	return string(v.Name), name, ok
}

// known are the attributes that a variable has for some type.
func (s *schema) known(variable string) []string {
	var all []attribute
	switch variable {
	case "context":
		all = about
	case "principal":
		for _, t := range principals {
			all = append(all, s.attributes(types.EntityType(t))...)
		}
	case "resource":
		for _, t := range resources {
			all = append(all, s.attributes(types.EntityType(t))...)
		}
	}
	var names []string
	for _, a := range all {
		if !slices.Contains(names, string(a.name)) {
			names = append(names, string(a.name))
		}
	}
	return names
}

// member finds OF.NAME and OF has NAME, also with the name in quotes.
func member(words []token, of, name string) []token {
	for i := range words {
		if words[i].text != of || i+2 >= len(words) {
			continue
		}
		switch words[i+1].text {
		case ".", "has", "[":
			if strings.Trim(words[i+2].text, `"`) == name {
				return words[i+2:]
			}
		}
	}
	return named(words, name)
}

// named finds a word, or a string that holds it.
func named(words []token, name string) []token {
	for i := range words {
		if words[i].text == name || words[i].kind == text && strings.Trim(words[i].text, `"`) == name {
			return words[i:]
		}
	}
	return nil
}

// place finds what a sentence of the type checker is about, and says it so that
// a person can mend it. A sentence that is not known stands as it is, at the
// beginning of the policy.
func (s *schema) place(sentence string, words []token) ([]token, string) {
	quoted := between(sentence, "`", "`")
	switch {
	case strings.HasPrefix(sentence, "unrecognized action"):
		name := between(quoted, `"`, `"`)
		return named(words, name), fmt.Sprintf("there is no action %s%s", name, didYouMean(name, Actions()))
	case strings.HasPrefix(sentence, "unrecognized entity type"):
		return named(words, quoted), fmt.Sprintf("there is no type %s%s", quoted, didYouMean(quoted, s.entityTypes()))
	case strings.HasPrefix(sentence, "attribute"):
		name, of := lastPart(quoted), variableOf(sentence)
		return member(words, of, name), fmt.Sprintf("%s: ask first, %s has %s && …", strings.ReplaceAll(sentence, "`", ""), of, name)
	case strings.HasPrefix(sentence, "unable to guarantee safety of access to optional attribute"):
		of := variableOf(sentence)
		return member(words, of, quoted), fmt.Sprintf("%s need not have %s: ask first, %s has %s && …", of, quoted, of, quoted)
	case strings.HasPrefix(sentence, "unable to guarantee safety of access to tag"):
		return named(words, "getTag"), "the label need not be there: ask first with hasTag"
	case strings.HasPrefix(sentence, "unable to find an applicable action"):
		return nil, "no action has such a principal and such a resource: the policy would never apply; " +
			"infer, embed, generate, transcribe, speak, moderate and list are done to a Model, callTool to a Tool, produce and consume to a Topic, egress to a Host"
	}
	return nil, sentence
}

// variableOf reads out of a sentence what is asked: a principal, a resource, or
// the request.
func variableOf(sentence string) string {
	_, t, ok := strings.Cut(sentence, "on entity type")
	switch {
	case !ok:
		return "context"
	case slices.ContainsFunc(principals[:], func(p string) bool { return strings.Contains(t, "`"+p+"`") }):
		return "principal"
	}
	return "resource"
}

func between(s, from, to string) string {
	_, s, _ = strings.Cut(s, from)
	s, _, _ = strings.Cut(s, to)
	return s
}

func lastPart(path string) string { return path[strings.LastIndexByte(path, '.')+1:] }
