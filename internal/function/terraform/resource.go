package terraform

import (
	"strings"

	"github.com/apexlogic/apex/internal/function/node"
	"github.com/apexlogic/apex/internal/function/stack"
)

// resource adds the things that carry a policy of their own, or are data.
func (x *extraction) resource(o *object) {
	at := o.resource.Where
	switch o.kind {
	case "aws_s3_bucket_acl", "aws_s3_bucket_public_access_block", "aws_s3_bucket_server_side_encryption_configuration":
		return // part of the bucket
	case "aws_cloudwatch_event_permission":
		if anyone(o.get("principal")) {
			doc := statement(at, o.get("principal"), "events:PutEvents", o.first("condition"))
			x.Resource(stack.Resource{Where: at, ID: o.id, Name: o.label("statement_id"), Type: "AWS::Events::EventBusPolicy"}, doc, at)
		}
		return
	case "aws_lambda_layer_version_permission":
		doc := statement(at, o.get("principal"), "lambda:GetLayerVersion", nil)
		if o.get("organization_id") != nil {
			doc = nil
		}
		x.Resource(stack.Resource{Where: at, ID: o.id, Type: "AWS::Lambda::LayerVersionPermission"}, doc, at)
		return
	}
	if own, ok := ownPolicies()[o.kind]; ok {
		r := stack.Resource{Where: at, ID: o.id, Name: o.label(own.target), Type: own.cloud}
		x.stored(o, &r)
		x.Resource(r, o.get(own.policy), o.where(own.policy))
		return
	}
	_, isStore := atRest()[o.kind]
	if isStore || o.kind == "aws_dynamodb_table" || o.kind == "aws_ecr_repository" {
		k := kinds()[o.kind]
		r := stack.Resource{Where: at, ID: o.id, Type: k.cloud}
		if k.name != "" {
			r.Name = o.label(k.name)
		}
		x.stored(o, &r)
		x.Resource(r, nil, at)
	}
}

// statement is a policy of one statement, of a permission that is written as a
// resource.
func statement(at stack.Where, principal *node.Node, action string, condition *node.Node) *node.Node {
	fields := []node.Field{{Key: "Effect", Value: node.String(at, "Allow")}, {Key: "Principal", Value: principal},
		{Key: "Action", Value: node.String(at, action)}, {Key: "Resource", Value: node.String(at, "*")}}
	if condition != nil {
		key := condition.Get("key").Value().Value
		test := condition.Get("type").Value().Value
		value := condition.Get("value")
		if value == nil {
			value = node.Unknown(at, "condition")
		}
		fields = append(fields, node.Field{Key: "Condition", Value: node.Map(at, []node.Field{{Key: test, Value: node.Map(at, []node.Field{{Key: key, Value: value}})}})})
	}
	return node.Map(at, []node.Field{{Key: "Statement", Value: node.List(at, []*node.Node{node.Map(at, fields)})}})
}

// stored says whether a store is public and encrypted, as far as the files say.
func (x *extraction) stored(o *object, r *stack.Resource) {
	yes, no := true, false
	if o.kind == "aws_s3_bucket" {
		x.bucket(o, r)
		return
	}
	if v, known := o.get("publicly_accessible").True(); known {
		r.Public = &v
	}
	if o.kind == "aws_dynamodb_table" {
		// Tables are encrypted whatever the template says; the block chooses the key.
		r.Encrypted = &yes
		return
	}
	names := atRest()[o.kind]
	for _, name := range names {
		v := o.get(name)
		switch {
		case v.IsNull():
		case strings.Contains(name, "key"):
			if v.Str != "" {
				r.Encrypted = &yes
			}
		default:
			if on, known := v.True(); known && on {
				r.Encrypted = &yes
			} else if known && r.Encrypted == nil {
				r.Encrypted = &no
			}
		}
	}
}

func (x *extraction) bucket(o *object, r *stack.Resource) {
	yes, no := true, false
	open := func(acl string) {
		if acl == "public-read" || acl == "public-read-write" || acl == "authenticated-read" {
			r.Public = &yes
		}
	}
	open(o.get("acl").Text())
	if o.first("server_side_encryption_configuration") != nil {
		r.Encrypted = &yes
	}
	for _, other := range x.linked("aws_s3_bucket_acl", "bucket")[o.id] {
		open(other.get("acl").Text())
		for _, policy := range other.get("access_control_policy").All() {
			for _, g := range policy.Get("grant").All() {
				for _, who := range g.Get("grantee").All() {
					if uri := who.Get("uri").Text(); strings.HasSuffix(uri, "/AllUsers") || strings.HasSuffix(uri, "/AuthenticatedUsers") {
						r.Public = &yes
					}
				}
			}
		}
	}
	if len(x.linked("aws_s3_bucket_server_side_encryption_configuration", "bucket")[o.id]) > 0 {
		r.Encrypted = &yes
	}
	for _, other := range x.linked("aws_s3_bucket_public_access_block", "bucket")[o.id] {
		acls, _ := other.get("ignore_public_acls").True()
		policies, _ := other.get("restrict_public_buckets").True()
		if acls && policies {
			r.Public = &no
		}
	}
}
