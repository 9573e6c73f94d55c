package render

import (
	"cmp"
	"encoding/json"
	"maps"
	"slices"
	"strconv"
	"strings"

	"github.com/apexlogic/apex/internal/function/node"
	"github.com/apexlogic/apex/internal/function/stack"
	"github.com/apexlogic/apex/internal/gitops"
	"github.com/apexlogic/apex/verdict"
)

// aws makes the functions of a stack and the roles that they run as. Its other
// resources (tables, queues, APIs) are left to whoever deploys them; what would
// change a function or a role and is not understood is refused.
func (r *renderer) aws(t *template, s *stack.Stack) error {
	if len(s.Gaps) > 0 {
		g := s.Gaps[0]
		return refuse(verdict.FunctionUnreadable, verdict.Origin{File: g.File, Line: g.Line}, "%s", clip(g.Why))
	}
	if err := t.decided(); err != nil {
		return err
	}
	a := &deployment{template: t, stack: s, roles: map[string]string{}}
	for i := range s.Functions {
		if err := a.function(&s.Functions[i]); err != nil {
			return err
		}
	}
	if len(a.functions) == 0 {
		return refuse(verdict.RenderEmpty, in(t.file), "the template declares no function of AWS Lambda: move it out of the path")
	}
	if err := a.entrances(); err != nil {
		return err
	}
	for _, f := range a.functions {
		f.spec.Permissions = slices.SortedFunc(slices.Values(f.spec.Permissions), func(x, y gitops.LambdaPermission) int { return cmp.Compare(x.ID, y.ID) })
		o, err := f.spec.Object(f.name, f.where)
		if err != nil {
			return refuse(verdict.ObjectInvalid, f.where, "%v", err)
		}
		if err := r.placedAt(o, f.where); err != nil {
			return err
		}
	}
	for _, id := range slices.Sorted(maps.Keys(a.roles)) {
		o, err := a.role(id, a.roles[id])
		if err != nil {
			return err
		}
		if err := r.placedAt(o, o.Where); err != nil {
			return err
		}
	}
	return nil
}

func (r *renderer) placedAt(o gitops.Object, where verdict.Origin) error {
	return r.add(item{body: o.Body, where: where, at: func(string) verdict.Origin { return where }})
}

// decided refuses choices within what is applied: package function keeps both
// sides of one that it cannot make, which is right for a judge only.
func (t *template) decided() error {
	for _, f := range resources(t.doc) {
		kind := f.Value.Get("Type").Text()
		if !strings.HasPrefix(kind, "AWS::Lambda::") && !strings.HasPrefix(kind, "AWS::IAM::") && kind != "AWS::Serverless::Function" {
			continue
		}
		if c := f.Value.Get("Condition"); c != nil {
			return t.refuse(verdict.FunctionUnresolved, c, "whether %s is there depends on a condition: write a template for each case", clip(f.Key))
		}
		if n := choice(f.Value); n != nil {
			return t.refuse(verdict.FunctionUnresolved, n, "a choice (Fn::If) within %s: write a template for each case", clip(f.Key))
		}
	}
	if n := choice(t.doc.Get("Globals")); n != nil {
		return t.refuse(verdict.FunctionUnresolved, n, "a choice (Fn::If) within Globals: write a template for each case")
	}
	return nil
}

// resources are the entries of Resources; a service has them in a section.
func resources(doc *node.Node) []node.Field {
	if v := doc.Get("Resources"); v.IsMap() {
		return v.Fields
	}
	var out []node.Field
	for _, part := range doc.Get("resources").All() {
		if v := part.Get("Resources"); v.IsMap() {
			out = append(out, v.Fields...)
		}
	}
	return out
}

// choice finds a call of Fn::If.
func choice(n *node.Node) *node.Node {
	if n == nil {
		return nil
	}
	if name, _ := call(n); name == "If" {
		return n
	}
	for _, c := range n.Items {
		if found := choice(c); found != nil {
			return found
		}
	}
	for _, f := range n.Fields {
		if found := choice(f.Value); found != nil {
			return found
		}
	}
	return nil
}

// deployment is what a stack becomes.
type deployment struct {
	*template
	stack     *stack.Stack
	functions []*function
	roles     map[string]string // principal → the name of its role
}

type function struct {
	id, name string
	where    verdict.Origin
	spec     gitops.LambdaFunction
}

func (a *deployment) open(at stack.Where, what string) *Error {
	return refuse(verdict.FunctionUnresolved, verdict.Origin{File: at.File, Line: at.Line}, "%s depends on something outside of the file: write it out, give its parameter a default, or give the source its account and region", what)
}

// known is a text of package function, settled.
func (a *deployment) known(v stack.Text, at stack.Where, what string) (string, error) {
	if v.Known {
		return v.Value, nil
	}
	text, ok := a.settled(v.Value)
	if !ok || !strings.Contains(v.Value, "${AWS::") {
		return "", a.open(at, what)
	}
	return text, nil
}

// function makes one function.
func (a *deployment) function(from *stack.Function) error {
	where := verdict.Origin{File: from.File, Line: from.Line}
	if from.Kind != "AWS::Lambda::Function" && from.Kind != "AWS::Serverless::Function" {
		return refuse(verdict.RenderFeature, where, "a %s is not applied here: only functions of AWS Lambda are", clip(from.Kind))
	}
	name, ok := a.settled(from.Name)
	if !ok || name == "" {
		return refuse(verdict.ObjectName, where, "the function %s has no fixed name: write FunctionName", clip(from.ID))
	}
	f := &function{id: from.ID, name: name, where: where}
	props, unknown := a.properties(from)
	if unknown != nil {
		return unknown
	}
	if err := props.fill(f); err != nil {
		return err
	}
	var err error
	if from.Image.Value != "" {
		if f.spec.Image, err = a.known(from.Image, from.Where, "the image"); err != nil {
			return err
		}
	}
	if (f.spec.Image == "") == (f.spec.Code == nil) {
		return refuse(verdict.FunctionMutable, where, "the function's code is not named by what cannot change: write ImageUri, or the bucket, key and version of an archive")
	}
	if f.spec.Environment, err = a.environment(from); err != nil {
		return err
	}
	if f.spec.KMSKey, err = a.known(from.KMSKey, from.Where, "the key"); err != nil {
		return err
	}
	if err := a.runsAs(f, from); err != nil {
		return err
	}
	a.functions = append(a.functions, f)
	return nil
}

func (a *deployment) environment(from *stack.Function) (map[string]string, error) {
	out := map[string]string{}
	for _, v := range from.Environment {
		if v.From != "" {
			return nil, a.open(v.Where, "the value of "+clip(v.Name)+", which a secret store holds,")
		}
		value, err := a.known(v.Value, v.Where, "the value of "+clip(v.Name))
		if err != nil {
			return nil, err
		}
		if strings.Contains(v.Name, "${") {
			return nil, a.open(v.Where, "the name of a variable")
		}
		out[v.Name] = value
	}
	if len(out) == 0 {
		return nil, nil
	}
	return out, nil
}

// runsAs names the function's role: one of the stack, which is made too, or one
// that is there.
func (a *deployment) runsAs(f *function, from *stack.Function) error {
	i := slices.IndexFunc(a.stack.Principals, func(p stack.Principal) bool { return from.Role != "" && p.ID == from.Role && p.Kind == "role" })
	if i < 0 {
		arn, err := a.known(from.RoleText, from.Where, "the role")
		if err != nil && from.RoleText.Value != "" {
			return err
		}
		if !strings.HasPrefix(arn, "arn:") {
			return refuse(verdict.FunctionUnresolved, f.where, "the function names no role that is known here: write a role of this template, or an ARN")
		}
		f.spec.Role = arn
		return nil
	}
	p := &a.stack.Principals[i]
	name, ok := a.settled(p.Name)
	if name == "" && p.ID == from.ID+"Role" {
		name = f.name + "-role" // SAM makes it, under a name of chance
	}
	if !ok || name == "" {
		return refuse(verdict.ObjectName, verdict.Origin{File: p.File, Line: p.Line}, "the role %s has no fixed name: write RoleName", clip(p.ID))
	}
	a.roles[p.ID], f.spec.Role = name, name
	return nil
}

// role makes a role with its policies.
func (a *deployment) role(id, name string) (gitops.Object, error) {
	p := &a.stack.Principals[slices.IndexFunc(a.stack.Principals, func(p stack.Principal) bool { return p.ID == id && p.Kind == "role" })]
	where := verdict.Origin{File: p.File, Line: p.Line}
	spec := gitops.LambdaRole{Inline: map[string]json.RawMessage{}}
	if p.Trust == nil {
		return gitops.Object{}, refuse(verdict.FunctionUnresolved, where, "nobody may assume the role %s: write its AssumeRolePolicyDocument", clip(name))
	}
	var err error
	if spec.Trust, err = a.policy(p.Trust); err != nil {
		return gitops.Object{}, err
	}
	for _, policyID := range p.Policies {
		policy := a.policyOf(policyID)
		if policy == nil {
			return gitops.Object{}, a.open(p.Where, "a policy of the role")
		}
		called := policy.Name
		if called == "" {
			called = policy.ID
		}
		if _, twice := spec.Inline[called]; twice || strings.Contains(called, "${") {
			return gitops.Object{}, refuse(verdict.ObjectName, verdict.Origin{File: policy.File, Line: policy.Line}, "two policies of the role are called %s, or its name is open: write another PolicyName", clip(called))
		}
		if spec.Inline[called], err = a.policy(policy); err != nil {
			return gitops.Object{}, err
		}
	}
	for _, arn := range p.Managed {
		text, err := a.known(arn, p.Where, "a managed policy")
		if err != nil {
			return gitops.Object{}, err
		}
		spec.Managed = append(spec.Managed, text)
	}
	slices.Sort(spec.Managed)
	spec.Managed = slices.Compact(spec.Managed)
	if p.Boundary != "" {
		return gitops.Object{}, refuse(verdict.RenderFeature, where, "the role's boundary is a policy of the template: name one that is there, by its ARN")
	}
	if p.Outside.Value != "" {
		if spec.Boundary, err = a.known(p.Outside, p.Where, "the boundary"); err != nil {
			return gitops.Object{}, err
		}
	}
	if props := a.resource(id); props != nil {
		if spec.Path, err = a.text(props.Get("Path")); err != nil {
			return gitops.Object{}, err
		}
	}
	o, err := spec.Object(name, where)
	if err != nil {
		return gitops.Object{}, refuse(verdict.ObjectInvalid, where, "%v", err)
	}
	return o, nil
}

func (a *deployment) policyOf(id string) *stack.Policy {
	for i := range a.stack.Policies {
		if a.stack.Policies[i].ID == id {
			return &a.stack.Policies[i]
		}
	}
	return nil
}

// policy is a document whose every part is known.
func (a *deployment) policy(p *stack.Policy) (json.RawMessage, error) {
	if text, ok := a.settled(string(p.Document)); ok && !p.Unknown && json.Valid([]byte(text)) {
		return json.RawMessage(text), nil
	}
	return nil, a.open(p.Where, "the policy "+clip(cmp.Or(p.Name, p.ID)))
}

// resource returns the properties of a resource as they are written.
func (t *template) resource(id string) *node.Node {
	for _, f := range resources(t.doc) {
		if f.Key == id {
			return f.Value.Get("Properties")
		}
	}
	return nil
}

// entrances adds the ways into functions that stand beside them.
func (a *deployment) entrances() error {
	for _, r := range resources(a.doc) {
		kind, p := r.Value.Get("Type").Text(), r.Value.Get("Properties")
		switch kind {
		case "AWS::Lambda::Permission":
			f, err := a.target(p.Get("FunctionName"))
			if err != nil {
				return err
			}
			permission := gitops.LambdaPermission{ID: r.Key}
			for to, key := range map[*string]string{&permission.Action: "Action", &permission.Principal: "Principal", &permission.SourceARN: "SourceArn",
				&permission.SourceAccount: "SourceAccount", &permission.URLAuth: "FunctionUrlAuthType"} {
				if *to, err = a.text(p.Get(key)); err != nil {
					return err
				}
			}
			if err := a.only(p, "FunctionName", "Action", "Principal", "SourceArn", "SourceAccount", "FunctionUrlAuthType"); err != nil {
				return err
			}
			f.spec.Permissions = append(f.spec.Permissions, permission)
		case "AWS::Lambda::Url":
			f, err := a.target(p.Get("TargetFunctionArn"))
			if err != nil {
				return err
			}
			if err := a.url(f, p, "TargetFunctionArn"); err != nil {
				return err
			}
		case "AWS::Lambda::Alias", "AWS::Lambda::Version", "AWS::Lambda::EventInvokeConfig":
			return a.refuse(verdict.RenderFeature, r.Value, "a %s is not applied here", kind)
		}
	}
	return nil
}

// url reads the settings of a function URL.
func (a *deployment) url(f *function, n *node.Node, beside ...string) error {
	if f.spec.URL != nil {
		return a.refuse(verdict.ObjectInvalid, n, "the function has two addresses: write one")
	}
	if err := a.only(n, append(beside, "AuthType")...); err != nil {
		return err
	}
	auth, err := a.text(n.Get("AuthType"))
	if err != nil {
		return err
	}
	if auth != "AWS_IAM" && auth != "NONE" {
		return a.refuse(verdict.ObjectInvalid, n, "AuthType is neither AWS_IAM nor NONE")
	}
	f.spec.URL = &gitops.LambdaURL{Auth: auth}
	return nil
}

// target is the function that a resource is about.
func (a *deployment) target(n *node.Node) (*function, error) {
	name, arg := call(orEmpty(n))
	id := ""
	switch {
	case name == "Ref":
		id = arg.Text()
	case name == "GetAtt" && arg.IsList():
		id = arg.All()[0].Text()
	case name == "GetAtt":
		id, _, _ = strings.Cut(arg.Text(), ".")
	}
	for _, f := range a.functions {
		if f.id == id && id != "" || name == "" && n.Text() == f.name {
			return f, nil
		}
	}
	return nil, a.refuse(verdict.FunctionUnresolved, n, "this is about a function that the template does not declare: name one of its own")
}

// only refuses properties that nothing would hold the target to.
func (t *template) only(n *node.Node, keys ...string) error {
	if n == nil {
		return nil
	}
	for _, f := range n.Fields {
		if !slices.Contains(keys, f.Key) {
			return refuse(verdict.RenderFeature, verdict.Origin{File: t.file, Line: f.Line}, "%s is not applied here, so it would not be held to: remove it", clip(f.Key))
		}
	}
	return nil
}

// layerVersion says whether the ARN of a layer ends in a version.
func layerVersion(arn string) bool {
	i := strings.LastIndexByte(arn, ':')
	_, err := strconv.Atoi(arn[i+1:])
	return i > 0 && err == nil && strings.Contains(arn, ":layer:")
}
