package cloudformation

import (
	"strings"

	"github.com/apexlogic/apex/internal/function/node"
	"github.com/apexlogic/apex/internal/function/stack"
)

// all reads the resources: first what others refer to.
func (x *extraction) all() {
	for _, pass := range []func(*resource){x.principal, x.function, x.attach, x.entrance, x.data} {
		for _, r := range x.list {
			pass(r)
		}
	}
}

func principalKind(kind string) string {
	switch kind {
	case "AWS::IAM::Role":
		return "role"
	case "AWS::IAM::User":
		return "user"
	case "AWS::IAM::Group":
		return "group"
	}
	return ""
}

// principal adds principals and managed policies.
func (x *extraction) principal(r *resource) {
	switch r.kind {
	case "AWS::IAM::Role", "AWS::IAM::User", "AWS::IAM::Group":
		kind := principalKind(r.kind)
		x.Principal(stack.Principal{Where: r.Where, ID: r.id, Kind: kind, Name: r.name("RoleName", "UserName", "GroupName")})
	case "AWS::IAM::ManagedPolicy":
		x.Policy(r.props.Get("PolicyDocument"), r.id, r.name("ManagedPolicyName"), r.Where)
	case "AWS::IoT::Policy":
		x.Policy(r.props.Get("PolicyDocument"), r.id, r.name("PolicyName"), r.Where)
	case "AWS::SSO::PermissionSet":
		x.Principal(stack.Principal{Where: r.Where, ID: r.id, Kind: "role", Name: r.name("Name")})
	case "AWS::Serverless::Function", "AWS::Serverless::StateMachine":
		if r.props.Get("Role") == nil {
			x.Principal(stack.Principal{Where: r.Where, ID: r.id + "Role", Kind: "role", Name: ""})
		}
	}
}

// attach links policies to principals.
func (x *extraction) attach(r *resource) {
	switch r.kind {
	case "AWS::IAM::Role", "AWS::IAM::User", "AWS::IAM::Group":
		x.Bound(r.id, r.props.Get("PermissionsBoundary"))
		x.Trust(r.id, r.props.Get("AssumeRolePolicyDocument"), r.where("AssumeRolePolicyDocument"))
		for _, p := range r.props.Get("Policies").All() {
			name := p.Get("PolicyName").Value().Value
			x.Attach(r.id, x.Policy(p.Get("PolicyDocument"), r.id+"/"+name, name, p.Where))
		}
		for _, arn := range r.props.Get("ManagedPolicyArns").All() {
			x.AttachARN(r.id, arn, arn.Where)
		}
		for _, g := range r.props.Get("Groups").All() {
			x.join(node.String(r.Where, "").Referring(r.id), g, r.Where)
		}
	case "AWS::IAM::Policy", "AWS::IAM::RolePolicy", "AWS::IAM::UserPolicy", "AWS::IAM::GroupPolicy":
		id := x.Policy(r.props.Get("PolicyDocument"), r.id, r.name("PolicyName"), r.Where)
		x.attachTo(r, id)
	case "AWS::IAM::ManagedPolicy":
		x.attachTo(r, r.id)
	case "AWS::IAM::InstanceProfile":
		for _, role := range r.props.Get("Roles").All() {
			x.Update(x.Find("role", role), func(p *stack.Principal) { p.Profile = true })
		}
	case "AWS::IAM::UserToGroupAddition":
		for _, u := range r.props.Get("Users").All() {
			x.join(u, r.props.Get("GroupName"), r.Where)
		}
	case "AWS::SSO::PermissionSet":
		if doc := r.props.Get("InlinePolicy"); doc != nil {
			x.Attach(r.id, x.Policy(doc, r.id+"/inline", "", r.where("InlinePolicy")))
		}
		for _, arn := range r.props.Get("ManagedPolicies").All() {
			x.AttachARN(r.id, arn, arn.Where)
		}
	case "AWS::Serverless::Function", "AWS::Serverless::StateMachine":
		x.samRole(r)
	}
}

func (x *extraction) attachTo(r *resource, id string) {
	for _, to := range []struct{ kind, list, one string }{{"role", "Roles", "RoleName"}, {"user", "Users", "UserName"}, {"group", "Groups", "GroupName"}} {
		targets := r.props.Get(to.list).All()
		if r.kind != "AWS::IAM::ManagedPolicy" {
			targets = append(targets[:len(targets):len(targets)], r.props.Get(to.one).All()...)
		}
		for _, p := range targets {
			x.Attach(x.FindOrAdd(to.kind, p, r.Where), id)
		}
	}
}

func (x *extraction) join(user, group *node.Node, at stack.Where) {
	id := x.FindOrAdd("group", group, at)
	x.Update(x.FindOrAdd("user", user, at), func(p *stack.Principal) { p.Groups = append(p.Groups, id) })
}

// samRole gives the role that SAM makes for a function its policies.
func (x *extraction) samRole(r *resource) {
	if r.props.Get("Role") != nil {
		return
	}
	id := r.id + "Role"
	x.Bound(id, r.props.Get("PermissionsBoundary"))
	service := "lambda.amazonaws.com"
	if r.kind == "AWS::Serverless::StateMachine" {
		service = "states.amazonaws.com"
	}
	if doc := r.props.Get("AssumeRolePolicyDocument"); doc != nil {
		x.Trust(id, doc, r.where("AssumeRolePolicyDocument"))
	} else {
		x.Trust(id, trust(r.Where, service), r.Where)
	}
	if r.kind == "AWS::Serverless::Function" {
		basic := "arn:aws:iam::aws:policy/service-role/AWSLambdaBasicExecutionRole"
		if r.props.Has("VpcConfig") {
			basic = "arn:aws:iam::aws:policy/service-role/AWSLambdaVPCAccessExecutionRole"
		}
		x.AttachARN(id, node.String(r.Where, basic), r.Where)
	}
	for i, p := range r.props.Get("Policies").All() {
		x.samPolicy(r, id, i, p)
	}
}

// samPolicy takes one entry of Policies: a name or ARN of a managed policy, a
// document, or a policy template of SAM.
func (x *extraction) samPolicy(r *resource, role string, i int, p *node.Node) {
	id := r.id + "RolePolicy" + string(rune('0'+i%10))
	switch {
	case p.IsScalar() && p.Known() && !strings.Contains(p.Str, ":"):
		x.AttachARN(role, node.String(p.Where, "arn:aws:iam::aws:policy/"+p.Str), p.Where)
	case p.IsScalar(), p.IsUnknown():
		x.AttachARN(role, p, p.Where)
	case p.Has("Statement"):
		x.Attach(role, x.Policy(p, id, "", p.Where))
	case p.IsMap() && len(p.Fields) == 1:
		name, params := p.Fields[0].Key, p.Fields[0].Value
		at := stack.Where{File: p.File, Line: p.Fields[0].Line}
		doc := policyTemplate(at, name, params)
		if doc == nil {
			x.Gap(at, "the policy template "+name+" is not known: what it allows is not read")
			doc = node.Unknown(at, name)
		}
		x.Attach(role, x.Policy(doc, id, name, at))
	}
}

// trust lets a service of AWS assume a role.
func trust(at stack.Where, service string) *node.Node {
	s := func(t string) *node.Node { return node.String(at, t) }
	st := node.Map(at, []node.Field{{Key: "Effect", Value: s("Allow")}, {Key: "Principal", Value: node.Map(at, []node.Field{{Key: "Service", Value: s(service)}})},
		{Key: "Action", Value: s("sts:AssumeRole")}})
	return node.Map(at, []node.Field{{Key: "Version", Value: s("2012-10-17")}, {Key: "Statement", Value: node.List(at, []*node.Node{st})}})
}
