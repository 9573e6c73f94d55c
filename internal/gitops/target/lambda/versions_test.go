package lambda_test

import (
	"context"
	"errors"
	"slices"
	"testing"

	"github.com/aws/aws-sdk-go-v2/aws"
	awslambda "github.com/aws/aws-sdk-go-v2/service/lambda"
	"github.com/aws/aws-sdk-go-v2/service/lambda/types"

	"github.com/apexlogic/apex/internal/gitops"
)

// published are the numbers of the versions that are there.
func published(t testing.TB, w *world) (numbers []string) {
	t.Helper()
	out, err := w.lambda.ListVersionsByFunction(t.Context(), &awslambda.ListVersionsByFunctionInput{FunctionName: fn})
	if err != nil {
		t.Fatal(err)
	}
	for _, v := range out.Versions {
		if n := aws.ToString(v.Version); n != "$LATEST" {
			numbers = append(numbers, n)
		}
	}
	return numbers
}

// A version is published, then a revision applied that has the function run
// something else, by the same process or by one that remembers nothing.
func TestAVersionOfARevisionOfGitIsHistoryAndStays(t *testing.T) {
	next := func() gitops.LambdaFunction {
		s := spec()
		s.Code.Version, s.MemoryMiB = "v2", 1024
		return s
	}
	keeping := func(change func(*gitops.LambdaFunction)) func(testing.TB, *options) {
		return func(t testing.TB, o *options) {
			o.Revisions = func(_ context.Context, id gitops.ID) ([]gitops.Object, error) {
				if id.Name != "captioner" {
					return nil, nil
				}
				s := spec()
				change(&s)
				return []gitops.Object{*theFunction(t, s)}, nil
			}
		}
	}
	none := act(func(context.Context, *world) error { return nil })
	for name, c := range map[string]struct {
		before, after act // the version is published in between
		start         bool
		options       func(testing.TB, *options)
		stays         bool
	}{
		"of one that this process applied":                    {none, none, false, nil, true},
		"of one that is kept":                                 {none, none, true, keeping(func(*gitops.LambdaFunction) {}), true},
		"of one that nothing knows of":                        {none, none, true, nil, false},
		"of one that is kept with another archive":            {none, none, true, keeping(func(s *gitops.LambdaFunction) { s.Code.Version = "v0" }), false},
		"of one that is kept with another environment":        {none, none, true, keeping(func(s *gitops.LambdaFunction) { s.Environment = nil }), false},
		"of one that is kept with another role":               {none, none, true, keeping(func(s *gitops.LambdaFunction) { s.Role = "other" }), false},
		"of other code":                                       {deployed("evil.zip"), deployed("captioner.zip"), false, nil, false},
		"of other code, where the revision is kept":           {deployed("evil.zip"), deployed("captioner.zip"), true, keeping(func(*gitops.LambdaFunction) {}), false},
		"of another description, which AWS lets one say":      {none, none, false, nil, true},
		"of a role that was exchanged while it was published": {exchangedRole, none, false, nil, false},
	} {
		t.Run(name, func(t *testing.T) {
			w, _ := fake(t, nil)
			put(t, w.target, theRole(t))
			put(t, w.target, theFunction(t, spec()))
			publish := func(ctx context.Context, w *world) error {
				_, err := w.lambda.PublishVersion(ctx, &awslambda.PublishVersionInput{FunctionName: fn, Description: aws.String("release")})
				return err
			}
			if err := then(c.before, publish, c.after)(t.Context(), w); err != nil {
				t.Fatal(err)
			}
			target := w.target
			if c.start {
				target = open(t, w.url, func(o *options) {
					if c.options != nil {
						c.options(t, o)
					}
				})
			}
			asDesired(t, theFunction(t, next()), put(t, target, theFunction(t, next())))
			if got := published(t, w); slices.Contains(got, "1") != c.stays {
				t.Errorf("the versions are %v", got)
			}
		})
	}
}

// What is kept cannot be read: nothing is decided about the versions.
func TestNoVersionIsCutWhileTheRevisionsCannotBeRead(t *testing.T) {
	w, server := fake(t, nil)
	put(t, w.target, theRole(t))
	put(t, w.target, theFunction(t, spec()))
	if err := publish(t.Context(), w); err != nil {
		t.Fatal(err)
	}
	broken := true
	target := open(t, w.url, func(o *options) {
		o.Revisions = func(context.Context, gitops.ID) ([]gitops.Object, error) {
			if broken {
				return nil, errors.New("the disk is gone")
			}
			return []gitops.Object{*theFunction(t, spec())}, nil
		}
	})
	s := spec()
	s.MemoryMiB = 1024
	server.Writes()
	if _, err := target.Apply(t.Context(), theFunction(t, s), gitops.ApplyOptions{}); err == nil {
		t.Error("it is applied")
	}
	if wrote := server.Writes(); len(wrote) > 0 {
		t.Errorf("it wrote %v", wrote)
	}
	broken = false
	asDesired(t, theFunction(t, s), put(t, target, theFunction(t, s)))
	if got := published(t, w); !slices.Equal(got, []string{"1"}) {
		t.Errorf("the versions are %v", got)
	}
}

func exchangedRole(ctx context.Context, w *world) error {
	for _, c := range tampers {
		if c.name == "another role" {
			return c.do(ctx, w)
		}
	}
	panic("there is no such tamper")
}

// Git names no alias: whoever is called by one gets what Git says of no one. The
// versions behind it are history.
func TestAnAliasGoesAndTheVersionsBehindItStay(t *testing.T) {
	w, _ := fake(t, nil)
	put(t, w.target, theRole(t))
	put(t, w.target, theFunction(t, spec()))
	if err := publish(t.Context(), w); err != nil {
		t.Fatal(err)
	}
	s := spec()
	s.MemoryMiB = 1024
	o := theFunction(t, s)
	before := put(t, w.target, o)
	if err := publish(t.Context(), w); err != nil {
		t.Fatal(err)
	}
	if get(t, w.target, o).ResourceVersion != before.ResourceVersion {
		t.Error("a version of Git counts as a change")
	}
	// Nine tenths for what runs now, one for what ran before.
	if _, err := w.lambda.CreateAlias(t.Context(), &awslambda.CreateAliasInput{FunctionName: fn, Name: aws.String("live"), FunctionVersion: aws.String("2"),
		RoutingConfig: &types.AliasRoutingConfiguration{AdditionalVersionWeights: map[string]float64{"1": 0.1}}}); err != nil {
		t.Fatal(err)
	}
	one := get(t, w.target, o)
	if one.ResourceVersion == before.ResourceVersion {
		t.Error("an alias is not found")
	}
	if _, err := w.lambda.UpdateAlias(t.Context(), &awslambda.UpdateAliasInput{FunctionName: fn, Name: aws.String("live"),
		RoutingConfig: &types.AliasRoutingConfiguration{AdditionalVersionWeights: map[string]float64{"1": 0.9}}}); err != nil {
		t.Fatal(err)
	}
	if get(t, w.target, o).ResourceVersion == one.ResourceVersion {
		t.Error("another share of the traffic is not found")
	}
	if after := put(t, w.target, o); after.ResourceVersion != before.ResourceVersion {
		t.Errorf("it is %v", after.Body["spec"])
	}
	if got := published(t, w); !slices.Equal(got, []string{"1", "2"}) {
		t.Errorf("the versions are %v", got)
	}
}
