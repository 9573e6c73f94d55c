package terraform

import (
	"context"
	"strings"

	"github.com/apexlogic/apex/internal/function/node"
	"github.com/apexlogic/apex/internal/function/stack"
)

// extraction fills a stack from the objects of a unit.
type extraction struct {
	*node.Builder
	unit  *unit
	links map[string]map[string][]*object
}

// all reads the objects: first what others refer to.
func (x *extraction) all(ctx context.Context) {
	passes := []func(*object){x.identity, x.function, x.attach, x.entrance, x.resource, x.kubernetes}
	for _, pass := range passes {
		for _, o := range x.unit.order {
			if ctx.Err() != nil {
				return
			}
			if !o.data {
				pass(o)
			}
		}
	}
	for _, o := range x.unit.order {
		if o.data && o.kind == "aws_iam_policy_document" && o.attrs["!document"] == nil {
			x.loose(o)
		}
	}
}

// loose takes a document that nothing in the files is made of.
func (x *extraction) loose(o *object) {
	doc := o.document()
	at := o.resource.Where
	for _, s := range doc.Get("Statement").All() {
		if s.Has("Principal") || s.Has("NotPrincipal") {
			x.Resource(stack.Resource{Where: at, ID: o.id, Name: o.name, Type: "AWS::IAM::PolicyDocument"}, doc, at)
			return
		}
	}
	x.Policy(doc, o.id, o.name, at)
}

// where is the place of an argument, the block's own when it has none.
func (o *object) where(name string) stack.Where {
	if a, ok := o.body.get(name); ok {
		return a.Where
	}
	for _, b := range o.body.blocks {
		if b.kind == name || b.kind == "dynamic" && len(b.labels) == 1 && b.labels[0] == name {
			return b.Where
		}
	}
	return o.resource.Where
}

// label is the name that an object goes by.
func (o *object) label(argument string) string {
	if v := o.get(argument); v.IsScalar() || v.IsUnknown() {
		return v.Value().Value
	}
	return ""
}

// first is the first of nested blocks.
func (o *object) first(name string) *node.Node {
	for _, b := range o.get(name).All() {
		if b.IsMap() {
			return b
		}
	}
	return nil
}

// identity adds principals and managed policies.
func (x *extraction) identity(o *object) {
	kind := strings.TrimPrefix(o.kind, "aws_iam_")
	at := o.resource.Where
	switch o.kind {
	case "aws_iam_role", "aws_iam_user", "aws_iam_group":
		x.Principal(stack.Principal{Where: at, ID: o.id, Name: o.label("name"), Kind: kind})
	case "aws_iam_policy":
		x.Policy(o.get("policy"), o.id, o.label("name"), at)
	case "aws_iot_policy":
		x.Policy(o.get("policy"), o.id, o.label("name"), at)
	}
}

// attach links policies to principals.
func (x *extraction) attach(o *object) {
	at := o.resource.Where
	switch o.kind {
	case "aws_iam_role", "aws_iam_user", "aws_iam_group":
		x.Bound(o.id, o.get("permissions_boundary"))
		x.Trust(o.id, o.get("assume_role_policy"), o.where("assume_role_policy"))
		for _, p := range o.get("inline_policy").All() {
			if p.IsMap() && p.Has("policy") {
				name := p.Get("name").Value().Value
				x.Attach(o.id, x.Policy(p.Get("policy"), o.id+"/"+name, name, p.Where))
			}
		}
		for _, arn := range o.get("managed_policy_arns").All() {
			x.AttachARN(o.id, arn, arn.Where)
		}
	case "aws_iam_role_policy", "aws_iam_user_policy", "aws_iam_group_policy":
		kind := strings.TrimSuffix(strings.TrimPrefix(o.kind, "aws_iam_"), "_policy")
		id := x.Policy(o.get("policy"), o.id, o.label("name"), at)
		x.Attach(x.FindOrAdd(kind, o.get(kind), at), id)
	case "aws_iam_role_policy_attachment", "aws_iam_user_policy_attachment", "aws_iam_group_policy_attachment":
		kind := strings.TrimSuffix(strings.TrimPrefix(o.kind, "aws_iam_"), "_policy_attachment")
		x.AttachARN(x.FindOrAdd(kind, o.get(kind), at), o.get("policy_arn"), at)
	case "aws_iam_role_policy_attachments_exclusive", "aws_iam_user_policy_attachments_exclusive", "aws_iam_group_policy_attachments_exclusive":
		kind := strings.TrimSuffix(strings.TrimPrefix(o.kind, "aws_iam_"), "_policy_attachments_exclusive")
		for _, arn := range o.get("policy_arns").All() {
			x.AttachARN(x.FindOrAdd(kind, o.get(kind+"_name"), at), arn, arn.Where)
		}
	case "aws_iam_policy_attachment":
		for _, kind := range []string{"role", "user", "group"} {
			for _, p := range o.get(kind + "s").All() {
				x.AttachARN(x.FindOrAdd(kind, p, at), o.get("policy_arn"), at)
			}
		}
	case "aws_iam_instance_profile":
		x.Update(x.Find("role", o.get("role")), func(p *stack.Principal) { p.Profile = true })
	case "aws_iam_user_group_membership":
		for _, g := range o.get("groups").All() {
			x.join(o.get("user"), g, at)
		}
	case "aws_iam_group_membership":
		for _, u := range o.get("users").All() {
			x.join(u, o.get("group"), at)
		}
	case "aws_ssoadmin_permission_set_inline_policy":
		id := "role " + o.get("permission_set_arn").Value().Value
		x.Principal(stack.Principal{Where: at, ID: id, Kind: "role"})
		x.Attach(id, x.Policy(o.get("inline_policy"), o.id, "", at))
	case "aws_ssoadmin_managed_policy_attachment":
		id := "role " + o.get("permission_set_arn").Value().Value
		x.Principal(stack.Principal{Where: at, ID: id, Kind: "role"})
		x.AttachARN(id, o.get("managed_policy_arn"), at)
	}
}

func (x *extraction) join(user, group *node.Node, at stack.Where) {
	id := x.FindOrAdd("group", group, at)
	x.Update(x.FindOrAdd("user", user, at), func(p *stack.Principal) { p.Groups = append(p.Groups, id) })
}
