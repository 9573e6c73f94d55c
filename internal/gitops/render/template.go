package render

import (
	"strconv"
	"strings"

	"github.com/apexlogic/apex/internal/function/node"
	"github.com/apexlogic/apex/verdict"
)

// template reads the properties of a template that package function does not
// need for its judgement. What is not written out, or a parameter with a
// default, is refused: nothing is guessed.
type template struct {
	file    string
	doc     *node.Node
	o       *Options
	service bool // of the Serverless Framework
}

func (t *template) refuse(code verdict.Code, at *node.Node, format string, args ...any) *Error {
	return refuse(code, t.where(at), format, args...)
}

func (t *template) where(n *node.Node) verdict.Origin {
	where := verdict.Origin{File: t.file}
	if n != nil && n.Line > 0 {
		where.Line = n.Line
		if n.File != "" {
			where.File = n.File
		}
	}
	return where
}

// text resolves a scalar; nothing is "".
func (t *template) text(n *node.Node) (string, error) {
	if n.IsNull() {
		return "", nil
	}
	name, arg := call(n)
	switch {
	case name == "" && n.IsScalar() && n.Known() && !(t.service && strings.Contains(n.Str, "${")):
		return n.Str, nil
	case name == "Ref":
		if v, ok := t.name(arg.Text()); ok {
			return v, nil
		}
	case name == "Sub" && arg.IsScalar():
		if v, ok := t.substitute(arg.Str); ok {
			return v, nil
		}
	}
	return "", t.refuse(verdict.FunctionUnresolved, n, "the value depends on something outside of the file: write it out, or give its parameter a default")
}

// call returns the function of CloudFormation that a value is a call of.
func call(n *node.Node) (name string, arg *node.Node) {
	if tag, ok := strings.CutPrefix(n.Tag, "!"); ok && tag != "" {
		return tag, n.Tagged("")
	}
	if n.IsMap() && len(n.Fields) == 1 {
		key := n.Fields[0].Key
		if key == "Ref" || strings.HasPrefix(key, "Fn::") {
			return strings.TrimPrefix(key, "Fn::"), n.Fields[0].Value
		}
	}
	return "", nil
}

// name is the value of a parameter or pseudo parameter.
func (t *template) name(name string) (string, bool) {
	switch name {
	case "AWS::Region":
		return t.o.Region, t.o.Region != ""
	case "AWS::AccountId":
		return t.o.Account, t.o.Account != ""
	case "AWS::Partition":
		return "aws", true
	}
	p := t.doc.Get("Parameters", name)
	v := p.Get("Default")
	if !v.IsScalar() || !v.Known() || strings.HasPrefix(p.Get("Type").Text(), "AWS::SSM::") {
		return "", false
	}
	return v.Str, true
}

// substitute replaces "${Name}" by values, each known.
func (t *template) substitute(text string) (string, bool) {
	var b strings.Builder
	for {
		before, rest, found := strings.Cut(text, "${")
		b.WriteString(before)
		if !found {
			return b.String(), true
		}
		name, after, closed := strings.Cut(rest, "}")
		if !closed {
			return "", false
		}
		if literal, ok := strings.CutPrefix(name, "!"); ok {
			b.WriteString("${" + literal + "}")
		} else if v, ok := t.name(name); ok {
			b.WriteString(v)
		} else {
			return "", false
		}
		text = after
	}
}

// number resolves a whole number; nothing is 0.
func (t *template) number(n *node.Node) (int, error) {
	text, err := t.text(n)
	if err != nil || text == "" {
		return 0, err
	}
	i, err := strconv.ParseInt(text, 10, 32)
	if err != nil || i < 0 {
		return 0, t.refuse(verdict.ObjectInvalid, n, "%q is no whole number", clip(text))
	}
	return int(i), nil
}

// list resolves a list of scalars.
func (t *template) list(n *node.Node) ([]string, error) {
	if name, _ := call(orEmpty(n)); name != "" {
		_, err := t.text(n)
		return nil, err
	}
	var out []string
	for _, item := range n.All() {
		v, err := t.text(item)
		if err != nil {
			return nil, err
		}
		out = append(out, v)
	}
	return out, nil
}

// orEmpty is a node that may be asked although there is none.
func orEmpty(n *node.Node) *node.Node {
	if n == nil {
		return &node.Node{}
	}
	return n
}

// settled replaces the account and region in a text that package function
// resolved, and refuses what is still open. Variables of IAM's own stay.
func (t *template) settled(text string) (string, bool) {
	for name, value := range map[string]string{"${AWS::AccountId}": t.o.Account, "${AWS::Region}": t.o.Region} {
		if value != "" {
			text = strings.ReplaceAll(text, name, value)
		}
	}
	for rest := text; ; {
		_, after, found := strings.Cut(rest, "${")
		if !found {
			return text, true
		}
		name, behind, closed := strings.Cut(after, "}")
		if !closed || !isPolicyVariable(name) {
			return "", false
		}
		rest = behind
	}
}

// isPolicyVariable recognises the variables that IAM itself fills in with every
// request ("IAM policy elements: Variables and tags"), for example
// "aws:PrincipalTag/team", and its escapes "*", "?" and "$".
func isPolicyVariable(name string) bool {
	if name == "*" || name == "?" || name == "$" {
		return true
	}
	service, key, ok := strings.Cut(name, ":")
	return ok && key != "" && !strings.HasPrefix(key, ":") && service != "" &&
		strings.Trim(service, "abcdefghijklmnopqrstuvwxyz0123456789-.") == "" && !strings.ContainsAny(key, "${} ")
}
