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
	case now == nil || want != nil && now.sameAs(want):
		return nil
	case want == nil:
		return w.do(ctx, "delete the function URL", true, func() error {
			_, err := w.lambda.DeleteFunctionUrlConfig(ctx, &lambda.DeleteFunctionUrlConfigInput{FunctionName: w.name})
			return gone(err)
		})
	case want.Auth == openToAll && now.Auth != want.Auth:
		return nil // that is opening it
	}
	return w.url(ctx)
}

func (w *writer) url(ctx context.Context) error {
	want := w.want.function.URL
	// All of it is written: what is left out might stay as it is.
	cors := &types.Cors{AllowCredentials: aws.Bool(false), AllowHeaders: []string{}, AllowMethods: []string{}, AllowOrigins: []string{}, ExposeHeaders: []string{}, MaxAge: aws.Int32(0)}
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
	case want == nil || now != nil && now.sameAs(want):
		return nil
	case now != nil && want.Auth == openToAll && now.Auth != want.Auth:
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
	want := append(w.want.function.implied(), w.want.function.Permissions...)
	for _, p := range append(slices.Clone(w.now.function.Permissions), w.now.function.folded...) {
		if slices.ContainsFunc(want, func(q permission) bool { return same(p, q) }) {
			continue
		}
		if err := w.do(ctx, fmt.Sprintf("remove the permission %.100q", p.ID), true, func() error { return w.revokeOne(ctx, p.ID) }); err != nil {
			return err
		}
	}
	return nil
}

// grant adds the statements that are missing.
func (w *writer) grant(ctx context.Context) error {
	now := append(slices.Clone(w.now.function.Permissions), w.now.function.folded...)
	for _, p := range append(w.want.function.implied(), w.want.function.Permissions...) {
		if p.Other != nil || slices.ContainsFunc(now, func(q permission) bool { return same(p, q) }) {
			continue
		}
		if err := w.do(ctx, "add the permission "+p.ID, true, func() error { return w.grantOne(ctx, p) }); err != nil {
			return err
		}
	}
	return nil
}
