package cloudformation

import (
	"strconv"
	"strings"

	"github.com/apexlogic/apex/internal/function/node"
	"github.com/apexlogic/apex/internal/function/stack"
)

// template is one template while its functions are resolved.
type template struct {
	root       *node.Node
	parameters map[string]*node.Node // their values: defaults
	resources  map[string]*node.Node
	conditions map[string]*node.Node
	decided    map[string]decision
	names      map[string]*node.Node // of resources, once resolved
	busy       map[string]bool
	steps      int
	implicit   map[string]string // roles that SAM makes: ID → function
}

type decision struct{ value, known bool }

func newTemplate(root *node.Node) *template {
	t := &template{root: root, parameters: map[string]*node.Node{}, resources: map[string]*node.Node{}, conditions: map[string]*node.Node{},
		decided: map[string]decision{}, names: map[string]*node.Node{}, busy: map[string]bool{}, steps: maxSteps, implicit: map[string]string{}}
	for _, f := range fields(root.Get("Parameters")) {
		v := f.Value.Get("Default")
		kind := f.Value.Get("Type").Text()
		switch {
		case v.IsNull(), strings.HasPrefix(kind, "AWS::SSM::Parameter::Value"):
			v = node.Unknown(f.Value.Where, f.Key)
		case strings.HasPrefix(kind, "List<") || kind == "CommaDelimitedList":
			if v.IsScalar() {
				var items []*node.Node
				for _, part := range strings.SplitN(v.Str, ",", maxItems) {
					items = append(items, node.String(v.Where, strings.TrimSpace(part)))
				}
				v = node.List(v.Where, items)
			}
		}
		t.parameters[f.Key] = v
	}
	for _, f := range fields(root.Get("Conditions")) {
		t.conditions[f.Key] = f.Value
	}
	for _, f := range fields(root.Get("Resources")) {
		t.resources[f.Key] = f.Value
	}
	return t
}

func fields(n *node.Node) []node.Field {
	if n.IsMap() {
		return n.Fields
	}
	return nil
}

// intrinsic returns the function that a value is a call of, and its argument.
func intrinsic(n *node.Node) (name string, arg *node.Node) {
	if tag, ok := strings.CutPrefix(n.Tag, "!"); ok && tag != "" {
		if tag != "Ref" && tag != "Condition" {
			tag = "Fn::" + tag
		}
		return tag, n.Tagged("")
	}
	if n.IsMap() && len(n.Fields) == 1 {
		if k := n.Fields[0].Key; k == "Ref" || strings.HasPrefix(k, "Fn::") {
			return k, n.Fields[0].Value
		}
	}
	return "", nil
}

// resolve evaluates the functions of a value. It is nil for AWS::NoValue.
func (t *template) resolve(n *node.Node, depth int) *node.Node {
	if n == nil {
		return nil
	}
	if t.steps--; t.steps < 0 || depth > 2*node.MaxDepth {
		return node.Unknown(n.Where, "a value that takes too long to resolve")
	}
	if name, arg := intrinsic(n); name != "" {
		return t.call(n, name, arg, depth)
	}
	switch n.Kind {
	case node.KindList:
		items := make([]*node.Node, 0, len(n.Items))
		for _, c := range n.Items {
			// A choice that cannot be made stands for both: either may be there.
			if name, arg := intrinsic(c); name == "Fn::If" && len(arg.All()) == 3 {
				if _, known := t.condition(arg.Items[0], depth); !known {
					for _, branch := range arg.Items[1:] {
						if v := t.resolve(branch, depth+1); v != nil {
							items = append(items, v)
						}
					}
					continue
				}
			}
			if v := t.resolve(c, depth+1); v != nil {
				items = append(items, v)
			}
		}
		return node.List(n.Where, items)
	case node.KindMap:
		out := make([]node.Field, 0, len(n.Fields))
		for _, f := range n.Fields {
			if v := t.resolve(f.Value, depth+1); v != nil {
				out = append(out, node.Field{Key: f.Key, Line: f.Line, Value: v})
			}
		}
		return node.Map(n.Where, out)
	}
	return n
}

// call resolves one function. Source: the reference of CloudFormation's
// intrinsic functions.
func (t *template) call(n *node.Node, name string, arg *node.Node, depth int) *node.Node {
	at := n.Where
	unknown := func() *node.Node { return node.Unknown(at, name+" "+short(arg)) }
	switch name {
	case "Ref":
		return t.ref(at, arg.Text())
	case "Fn::GetAtt":
		parts := arg.Texts()
		if len(parts) == 1 {
			id, attr, _ := strings.Cut(parts[0], ".")
			parts = []string{id, attr}
		}
		if len(parts) != 2 {
			return unknown()
		}
		return t.attribute(at, parts[0], parts[1])
	case "Fn::Sub":
		return t.sub(n, arg, depth)
	case "Fn::If":
		if len(arg.All()) != 3 || !arg.IsList() {
			return unknown()
		}
		value, known := t.condition(arg.Items[0], depth)
		yes, no := arg.Items[1], arg.Items[2]
		switch {
		case known && value:
			return t.resolve(yes, depth+1)
		case known:
			return t.resolve(no, depth+1)
		}
		a, b := t.resolve(yes, depth+1), t.resolve(no, depth+1)
		switch {
		case a == nil:
			return b // it may be there
		case b == nil:
			return a
		}
		return unknown()
	}
	v := t.resolve(arg, depth+1)
	if v == nil {
		return unknown()
	}
	if out := t.apply(at, name, v); out != nil {
		return out
	}
	return unknown()
}

// apply evaluates functions of values that are resolved; nil when it cannot be
// told.
func (t *template) apply(at stack.Where, name string, v *node.Node) *node.Node {
	args := v.All()
	switch name {
	case "Fn::Join":
		if len(args) != 2 || !args[0].Known() || !args[1].IsList() {
			return nil
		}
		var b strings.Builder
		for i, item := range args[1].Items {
			if !item.IsScalar() && !item.IsUnknown() {
				return nil
			}
			if i > 0 {
				b.WriteString(args[0].Str)
			}
			b.WriteString(item.Str)
			if b.Len() > node.MaxText {
				return nil
			}
		}
		return node.String(at, b.String())
	case "Fn::Split":
		if len(args) == 2 && args[0].Text() != "" && args[1].Known() && args[1].IsScalar() {
			var items []*node.Node
			for _, part := range strings.SplitN(args[1].Str, args[0].Str, maxItems) {
				items = append(items, node.String(at, part))
			}
			return node.List(at, items)
		}
	case "Fn::Select":
		if len(args) == 2 && args[0].Known() && args[1].IsList() {
			if i, err := strconv.Atoi(args[0].Str); err == nil && i >= 0 && i < len(args[1].Items) {
				return args[1].Items[i]
			}
		}
	case "Fn::FindInMap":
		if len(args) >= 3 && args[0].Known() && args[1].Known() && args[2].Known() {
			if out := t.root.Get("Mappings", args[0].Str, args[1].Str, args[2].Str); out != nil {
				return out
			}
			if len(args) == 4 {
				return args[3].Get("DefaultValue")
			}
		}
	case "Fn::Base64":
		return v
	case "Fn::ToJsonString":
		return node.Encode(v)
	case "Fn::Length":
		if v.IsList() && v.Known() {
			return node.Number(at, strconv.Itoa(len(v.Items)))
		}
	}
	return nil
}

func short(n *node.Node) string {
	text := strings.NewReplacer("${", "", "}", "").Replace(n.Value().Value)
	if len(text) > 80 {
		text = strings.ToValidUTF8(text[:80], "") + "…"
	}
	return text
}

// ref is what Ref of a name returns.
func (t *template) ref(at stack.Where, name string) *node.Node {
	switch name {
	case "AWS::NoValue":
		return nil
	case "AWS::Partition":
		return node.String(at, "aws")
	case "AWS::URLSuffix":
		return node.String(at, "amazonaws.com")
	}
	if v := t.parameters[name]; v != nil {
		return moved(v, at)
	}
	if r := t.resources[name]; r != nil {
		switch r.Get("Type").Text() {
		case "AWS::IAM::ManagedPolicy", "AWS::SNS::Topic", "AWS::StepFunctions::StateMachine", "AWS::SecretsManager::Secret":
			return t.attribute(at, name, "Arn")
		}
		return t.nameOf(at, name)
	}
	n := node.Unknown(at, name)
	if strings.HasSuffix(name, "Role") && t.resources[strings.TrimSuffix(name, "Role")] != nil {
		n = n.Referring(name)
	}
	return n
}

// moved is a value of a parameter as it is where it is used.
func moved(v *node.Node, at stack.Where) *node.Node {
	c := *v
	if !v.IsMap() && !v.IsList() {
		c.Where = at
	}
	return &c
}

// nameArguments are the properties that name a resource, in the order of trial.
var nameArguments = []string{"RoleName", "UserName", "GroupName", "ManagedPolicyName", "BucketName", "QueueName", "TopicName", "TableName", "FunctionName",
	"Name", "RepositoryName", "LogGroupName", "StateMachineName", "DeliveryStreamName", "DomainName", "NotebookInstanceName", "InstanceProfileName"}

// nameOf is the name of a resource, as far as the template says.
func (t *template) nameOf(at stack.Where, id string) *node.Node {
	if v := t.names[id]; v != nil {
		return moved(v, at).Referring(id)
	}
	out := node.Unknown(at, id)
	if !t.busy[id] {
		t.busy[id] = true
		props := t.resources[id].Get("Properties")
		for _, key := range nameArguments {
			if p := props.Get(key); p != nil {
				if v := t.resolve(p, 1); v.IsScalar() || v.IsUnknown() {
					out = v
				}
				break
			}
		}
		delete(t.busy, id)
		t.names[id] = out
	}
	return moved(out, at).Referring(id)
}

// attribute is what GetAtt returns.
func (t *template) attribute(at stack.Where, id, attr string) *node.Node {
	r := t.resources[id]
	if r != nil && (attr == "Arn" || attr == "TopicArn" || attr == "Id") {
		path := ""
		if p := r.Get("Properties", "Path"); p != nil && !t.busy["path of "+id] {
			t.busy["path of "+id] = true // it may be written with the ARN itself
			path = t.resolve(p, 1).Text()
			delete(t.busy, "path of "+id)
		}
		if arn := node.ARN(at, r.Get("Type").Text(), path, t.nameOf(at, id).Str); arn != nil {
			return arn.Referring(id)
		}
	}
	if r == nil && attr == "Arn" {
		if fn := strings.TrimSuffix(id, "Role"); t.resources[fn] != nil {
			return node.ARN(at, "AWS::IAM::Role", "", node.Placeholder(id)).Referring(id)
		}
	}
	return node.Unknown(at, id+"."+attr).Referring(id)
}

// sub resolves Fn::Sub: "${Name}" and "${Name.Attribute}"; "${!x}" is "${x}".
func (t *template) sub(n, arg *node.Node, depth int) *node.Node {
	text, vars := arg, (*node.Node)(nil)
	if arg.IsList() && len(arg.Items) == 2 {
		text, vars = arg.Items[0], arg.Items[1]
	}
	if !text.IsScalar() {
		return node.Unknown(n.Where, "Fn::Sub "+short(arg))
	}
	var b strings.Builder
	var only *node.Node
	parts := 0
	rest := text.Str
	for {
		i := strings.Index(rest, "${")
		if i < 0 {
			break
		}
		b.WriteString(rest[:i])
		end := strings.IndexByte(rest[i:], '}')
		if end < 0 {
			rest = rest[i:]
			break
		}
		name := strings.TrimSpace(rest[i+2 : i+end])
		whole := i == 0 && i+end+1 == len(text.Str)
		rest = rest[i+end+1:]
		if lit, ok := strings.CutPrefix(name, "!"); ok {
			b.WriteString("${" + lit + "}")
			continue
		}
		if t.steps--; t.steps < 0 {
			return node.Unknown(n.Where, "Fn::Sub")
		}
		var v *node.Node
		switch id, attr, dotted := strings.Cut(name, "."); {
		case vars.Get(name) != nil:
			v = t.resolve(vars.Get(name), depth+1)
		case dotted:
			v = t.attribute(text.Where, id, attr)
		default:
			v = t.ref(text.Where, name)
		}
		switch {
		case v.IsScalar(), v.IsUnknown():
			b.WriteString(v.Str)
		case v != nil:
			b.WriteString(node.Placeholder(name))
		}
		if parts++; whole {
			only = v
		}
		if b.Len() > node.MaxText {
			return node.Unknown(n.Where, "a text of more than 1 MiB")
		}
	}
	b.WriteString(rest)
	out := *node.String(text.Where, b.String())
	out.Block = text.Block
	if only != nil && parts == 1 {
		out.Ref = only.Ref
	}
	return &out
}

// condition evaluates a condition: a name, or functions of conditions.
func (t *template) condition(n *node.Node, depth int) (value, known bool) {
	if n == nil || depth > node.MaxDepth {
		return false, false
	}
	if t.steps--; t.steps < 0 {
		return false, false
	}
	name, arg := intrinsic(n)
	if name == "" && n.IsMap() && len(n.Fields) == 1 && n.Fields[0].Key == "Condition" {
		name, arg = "Condition", n.Fields[0].Value
	}
	switch name {
	case "":
		if n.IsScalar() {
			if _, declared := t.conditions[n.Str]; declared {
				return t.named(n.Str, depth)
			}
			return n.True()
		}
		return false, false
	case "Condition":
		return t.named(arg.Text(), depth)
	case "Fn::Equals":
		v := t.resolve(arg, depth+1)
		if !v.IsList() || len(v.Items) != 2 || !v.Known() {
			return false, false
		}
		return v.Items[0].Str == v.Items[1].Str, true
	case "Fn::Not":
		if len(arg.All()) != 1 {
			return false, false
		}
		v, known := t.condition(arg.All()[0], depth+1)
		return !v, known
	case "Fn::And", "Fn::Or":
		decides := name == "Fn::Or"
		all := true
		for _, c := range arg.All() {
			v, known := t.condition(c, depth+1)
			if known && v == decides {
				return decides, true
			}
			all = all && known
		}
		return !decides, all
	}
	return false, false
}

func (t *template) named(name string, depth int) (value, known bool) {
	if d, ok := t.decided[name]; ok {
		return d.value, d.known
	}
	c := t.conditions[name]
	if c == nil || t.busy["condition "+name] {
		return false, false
	}
	t.busy["condition "+name] = true
	value, known = t.condition(c, depth+1)
	delete(t.busy, "condition "+name)
	t.decided[name] = decision{value, known}
	return value, known
}
