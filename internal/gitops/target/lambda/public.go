package lambda

import (
	"context"
	"encoding/json"
	"fmt"
	"slices"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/lambda"
	"github.com/aws/aws-sdk-go-v2/service/lambda/types"

	"github.com/apexlogic/apex/internal/gitops"
)

// An address without authorisation answers nobody until the resource policy lets
// everybody through it ("Control access to Lambda function URLs", AWS Lambda
// Developer Guide; since October 2025 two statements are needed). SAM and the
// Serverless Framework add them without a word in the template, so an address of
// NONE means them too, unless Git says itself who may pass. In a description they
// are folded into the address: both are there, or it is shut.

const (
	openToAll = string(types.FunctionUrlAuthTypeNone)
	passURL   = "lambda:InvokeFunctionUrl"
	// The names that AWS's own console gives the two statements.
	publicPass   = "FunctionURLAllowPublicAccess"
	publicInvoke = "FunctionURLInvokeAllowPublicAccess"
)

// public are the two statements.
func public() []permission {
	return []permission{
		{LambdaPermission: gitops.LambdaPermission{ID: publicPass, Action: passURL, Principal: "*", URLAuth: openToAll}},
		{LambdaPermission: gitops.LambdaPermission{ID: publicInvoke, Action: "lambda:InvokeFunction", Principal: "*"}, ViaURL: true},
	}
}

// implied are the statements that a function is to have beside its permissions.
func (f *function) implied() []permission {
	if f.URL == nil || f.URL.Auth != openToAll || slices.ContainsFunc(f.Permissions, func(p permission) bool { return p.Action == passURL }) {
		return nil
	}
	return public()
}

// fold takes the implied statements out of the permissions. Where others speak of
// the address as well all are shown: what Git implies and what it says are not
// told apart here.
func (f *function) fold() {
	if f.URL == nil || f.URL.Auth != openToAll {
		return
	}
	is := func(p permission) bool {
		return slices.ContainsFunc(public(), func(q permission) bool { return same(p, q) })
	}
	if slices.ContainsFunc(f.Permissions, func(p permission) bool { return p.Action == passURL && !is(p) }) {
		return
	}
	for _, p := range public() {
		if slices.ContainsFunc(f.Permissions, func(q permission) bool { return same(p, q) }) {
			f.folded = append(f.folded, p)
		} else {
			f.URL.Shut = append(f.URL.Shut, p.ID)
		}
	}
	f.Permissions = slices.DeleteFunc(f.Permissions, is)
}

// sameAs compares the settings of two addresses, and not who is let through.
func (a *address) sameAs(b *address) bool {
	x, y := *a, *b
	x.Shut, y.Shut = nil, nil
	return same(x, y)
}

// grantOne adds a statement. One for those who come through the address is read
// back: where a condition is not known, it would let everybody in everywhere.
func (w *writer) grantOne(ctx context.Context, p permission) error {
	text := func(s string) *string {
		if s == "" {
			return nil
		}
		return aws.String(s)
	}
	in := &lambda.AddPermissionInput{FunctionName: w.name, StatementId: aws.String(p.ID), Action: aws.String(p.Action),
		Principal: aws.String(p.Principal), SourceArn: text(p.SourceARN), SourceAccount: text(p.SourceAccount), FunctionUrlAuthType: types.FunctionUrlAuthType(p.URLAuth)}
	if p.ViaURL {
		in.InvokedViaFunctionUrl = aws.Bool(true)
	}
	out, err := w.lambda.AddPermission(ctx, in)
	if is(err, "ResourceConflictException") {
		return nil // it is there, by an earlier try
	}
	if err != nil || !p.ViaURL {
		return err
	}
	if wrote, ok := permissionOf(json.RawMessage(aws.ToString(out.Statement)), w.now.arn); ok && same(wrote, p) {
		return nil
	}
	if err := w.revokeOne(ctx, p.ID); err != nil {
		return err
	}
	return fmt.Errorf("the API does not know the condition lambda:InvokedViaFunctionUrl, without which the statement would let everybody call the function: %w", gitops.ErrInvalid)
}

func (w *writer) revokeOne(ctx context.Context, id string) error {
	_, err := w.lambda.RemovePermission(ctx, &lambda.RemovePermissionInput{FunctionName: w.name, StatementId: aws.String(id)})
	return gone(err)
}
