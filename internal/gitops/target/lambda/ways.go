package lambda

import (
	"context"
	"encoding/json"
	"fmt"
	"slices"
	"strings"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/lambda"
	"github.com/aws/aws-sdk-go-v2/service/lambda/types"

	"github.com/apexlogic/apex/internal/gitops"
)

// close takes away an address that Git does not have, and shuts one that is more
// open than Git says.
func (w *writer) close(ctx context.Context) error {
	now, want := w.now.function.URL, w.want.function.URL
	switch {
	case now == nil || same(now, want):
		return nil
	case want == nil:
		return w.do(ctx, "delete the function URL", true, func() error {
			_, err := w.lambda.DeleteFunctionUrlConfig(ctx, &lambda.DeleteFunctionUrlConfigInput{FunctionName: w.name})
			return gone(err)
		})
	case want.Auth == string(types.FunctionUrlAuthTypeNone) && now.Auth != want.Auth:
		return nil // that is opening it
	}
	return w.url(ctx)
}

func (w *writer) url(ctx context.Context) error {
	want := w.want.function.URL
	cors := &types.Cors{}
	if want.CORS != nil {
		if err := json.Unmarshal(want.CORS, cors); err != nil {
			return fmt.Errorf("the function URL's CORS: %w: %w", err, gitops.ErrInvalid)
		}
	}
	mode := types.InvokeModeBuffered
	if want.Mode != "" {
		mode = types.InvokeMode(want.Mode)
	}
	return w.do(ctx, "change the function URL", true, func() error {
		_, err := w.lambda.UpdateFunctionUrlConfig(ctx, &lambda.UpdateFunctionUrlConfigInput{FunctionName: w.name,
			AuthType: types.FunctionUrlAuthType(want.Auth), Cors: cors, InvokeMode: mode})
		return err
	})
}

// open makes the address as Git says, after everything else.
func (w *writer) open(ctx context.Context) error {
	now, want := w.now.function.URL, w.want.function.URL
	switch {
	case want == nil || same(now, want):
		return nil
	case now != nil && want.Auth == string(types.FunctionUrlAuthTypeNone) && now.Auth != want.Auth:
		return w.url(ctx)
	case now != nil:
		return nil // close did it
	}
	return w.do(ctx, "make the function URL", true, func() error {
		_, err := w.lambda.CreateFunctionUrlConfig(ctx, &lambda.CreateFunctionUrlConfigInput{FunctionName: w.name, AuthType: types.FunctionUrlAuthType(want.Auth)})
		return err
	})
}

// cutAliases deletes aliases with their addresses: Git has none.
func (w *writer) cutAliases(ctx context.Context) error {
	for _, a := range w.now.function.Aliases {
		if slices.ContainsFunc(w.want.function.Aliases, func(b alias) bool { return same(a, b) }) {
			continue
		}
		if a.URL != "" {
			if err := w.do(ctx, "delete the URL of alias "+a.Name, true, func() error {
				_, err := w.lambda.DeleteFunctionUrlConfig(ctx, &lambda.DeleteFunctionUrlConfigInput{FunctionName: w.name, Qualifier: aws.String(a.Name)})
				return gone(err)
			}); err != nil {
				return err
			}
		}
		if err := w.do(ctx, "delete the alias "+a.Name, true, func() error {
			_, err := w.lambda.DeleteAlias(ctx, &lambda.DeleteAliasInput{FunctionName: w.name, Name: aws.String(a.Name)})
			return gone(err)
		}); err != nil {
			return err
		}
	}
	return nil
}

// cutVersions deletes published versions: each can be called on its own, with a
// policy of its own, and keeps the code that it was published with.
func (w *writer) cutVersions(ctx context.Context) error {
	for _, v := range w.now.function.Versions {
		if slices.Contains(w.want.function.Versions, v) {
			continue
		}
		if err := w.do(ctx, "delete version "+v, true, func() error {
			_, err := w.lambda.DeleteFunction(ctx, &lambda.DeleteFunctionInput{FunctionName: w.name, Qualifier: aws.String(v)})
			return gone(err)
		}); err != nil {
			return err
		}
	}
	return nil
}

func (w *writer) cutDestinations(ctx context.Context) error {
	done := map[string]bool{}
	for _, d := range w.now.function.Destinations {
		qualifier, _, _ := strings.Cut(d, " ")
		if done[qualifier] || slices.Contains(w.want.function.Destinations, d) {
			continue
		}
		done[qualifier] = true
		in := &lambda.DeleteFunctionEventInvokeConfigInput{FunctionName: w.name}
		if qualifier != "$LATEST" {
			in.Qualifier = aws.String(qualifier)
		}
		if err := w.do(ctx, "delete the destinations", true, func() error {
			_, err := w.lambda.DeleteFunctionEventInvokeConfig(ctx, in)
			return gone(err)
		}); err != nil {
			return err
		}
	}
	return nil
}

// revoke removes statements that Git does not have, or has otherwise.
func (w *writer) revoke(ctx context.Context) error {
	for _, p := range w.now.function.Permissions {
		if slices.ContainsFunc(w.want.function.Permissions, func(q permission) bool { return same(p, q) }) {
			continue
		}
		if err := w.do(ctx, fmt.Sprintf("remove the permission %.100q", p.ID), true, func() error {
			_, err := w.lambda.RemovePermission(ctx, &lambda.RemovePermissionInput{FunctionName: w.name, StatementId: aws.String(p.ID)})
			return gone(err)
		}); err != nil {
			return err
		}
	}
	return nil
}

// grant adds the statements that are missing.
func (w *writer) grant(ctx context.Context) error {
	text := func(s string) *string {
		if s == "" {
			return nil
		}
		return aws.String(s)
	}
	for _, p := range w.want.function.Permissions {
		if p.Other != nil || slices.ContainsFunc(w.now.function.Permissions, func(q permission) bool { return same(p, q) }) {
			continue
		}
		if err := w.do(ctx, "add the permission "+p.ID, true, func() error {
			_, err := w.lambda.AddPermission(ctx, &lambda.AddPermissionInput{FunctionName: w.name, StatementId: aws.String(p.ID), Action: aws.String(p.Action),
				Principal: aws.String(p.Principal), SourceArn: text(p.SourceARN), SourceAccount: text(p.SourceAccount), FunctionUrlAuthType: types.FunctionUrlAuthType(p.URLAuth)})
			if is(err, "ResourceConflictException") {
				return nil // it is there, by an earlier try
			}
			return err
		}); err != nil {
			return err
		}
	}
	return nil
}
