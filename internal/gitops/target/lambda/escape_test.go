package lambda_test

import (
	"errors"
	"net/http"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/iam"
	awslambda "github.com/aws/aws-sdk-go-v2/service/lambda"
	"github.com/aws/aws-sdk-go-v2/service/lambda/types"

	"github.com/apexlogic/apex/internal/gitops"
	"github.com/apexlogic/apex/internal/gitops/target/lambda"
	"github.com/apexlogic/apex/internal/gitops/target/lambda/lambdatest"
)

// theirs makes a function and a role that no source put there.
func theirs(t testing.TB, w *world) {
	t.Helper()
	if _, err := w.iam.CreateRole(t.Context(), &iam.CreateRoleInput{RoleName: rn, AssumeRolePolicyDocument: aws.String(trust)}); err != nil {
		t.Fatal(err)
	}
	if _, err := w.lambda.CreateFunction(t.Context(), &awslambda.CreateFunctionInput{FunctionName: fn, Role: aws.String("arn:aws:iam::" + lambdatest.Account + ":role/captioner-role"),
		Runtime: types.RuntimePython312, Handler: aws.String("a.b"), Code: &types.FunctionCode{ZipFile: []byte("PK")}}); err != nil {
		t.Fatal(err)
	}
}

func TestNothingIsWrittenOutsideOfTheSource(t *testing.T) {
	named := func(kind, name string) *gitops.Object {
		if kind == gitops.LambdaRoleKind {
			o := *theRole(t)
			o.Name = name
			return &o
		}
		o := *theFunction(t, spec())
		o.Name = name
		return &o
	}
	function := func(change func(*gitops.LambdaFunction)) *gitops.Object {
		s := spec()
		change(&s)
		return theFunction(t, s)
	}
	for name, c := range map[string]struct {
		object *gitops.Object
		before func(*world, *lambdatest.Server)
		want   error
	}{
		"a function of the same name without a tag": {theFunction(t, spec()), func(w *world, _ *lambdatest.Server) { theirs(t, w) }, gitops.ErrForbidden},
		"a role of the same name without a tag":     {theRole(t), func(w *world, _ *lambdatest.Server) { theirs(t, w) }, gitops.ErrForbidden},
		"a function of another source": {theFunction(t, spec()), func(w *world, _ *lambdatest.Server) {
			theirs(t, w)
			if err := tagged(map[string]string{gitops.LabelSource: "claims"})(t.Context(), w); err != nil {
				t.Fatal(err)
			}
		}, gitops.ErrForbidden},
		"credentials of another account":              {theRole(t), func(_ *world, s *lambdatest.Server) { s.SetAccount("999999999999") }, gitops.ErrForbidden},
		"a function of another account":               {named("Function", "999999999999:function:captioner"), nil, gitops.ErrInvalid},
		"a function of another region":                {named("Function", "arn:aws:lambda:us-east-1:123456789012:function:captioner"), nil, gitops.ErrInvalid},
		"a version by its name":                       {named("Function", "captioner:1"), nil, gitops.ErrInvalid},
		"a name with a way up":                        {named("Function", "../../roles"), nil, gitops.ErrInvalid},
		"an empty name":                               {named("Function", ""), nil, gitops.ErrInvalid},
		"a role under a path":                         {named("Role", "service-role/other"), nil, gitops.ErrInvalid},
		"a role of another account":                   {function(func(f *gitops.LambdaFunction) { f.Role = "arn:aws:iam::999999999999:role/admin" }), nil, gitops.ErrForbidden},
		"a role that no source made":                  {theFunction(t, spec()), func(w *world, _ *lambdatest.Server) { role(t, w, "captioner-role") }, gitops.ErrForbidden},
		"a tag that says whose it is":                 {function(func(f *gitops.LambdaFunction) { f.Tags = map[string]string{gitops.LabelSource: "claims"} }), nil, gitops.ErrInvalid},
		"an archive whose name another could be read": {function(func(f *gitops.LambdaFunction) { f.Code.Bucket = "code/captioner" }), nil, gitops.ErrInvalid},
		"a statement with a name that is a path":      {function(func(f *gitops.LambdaFunction) { f.Permissions[0].ID = "../x" }), nil, gitops.ErrInvalid},
		"no code":                                     {function(func(f *gitops.LambdaFunction) { f.Code = nil }), nil, gitops.ErrInvalid},
	} {
		t.Run(name, func(t *testing.T) {
			w, server := fake(t, func(o *lambda.Options) { o.Settle = 50 * time.Millisecond })
			if c.before != nil {
				c.before(w, server)
			}
			server.Writes()
			_, err := w.target.Apply(t.Context(), c.object, gitops.ApplyOptions{})
			if !errors.Is(err, c.want) {
				t.Errorf("got %v, want %v", err, c.want)
			}
			if wrote := server.Writes(); len(wrote) > 0 {
				t.Errorf("it wrote %v", wrote)
			}
		})
	}
	w, _ := fake(t, nil)
	asDesired(t, theRole(t), put(t, w.target, theRole(t)))
	asDesired(t, theFunction(t, spec()), put(t, w.target, theFunction(t, spec())))
}

func role(t testing.TB, w *world, name string) {
	t.Helper()
	if _, err := w.iam.CreateRole(t.Context(), &iam.CreateRoleInput{RoleName: aws.String(name), AssumeRolePolicyDocument: aws.String(trust)}); err != nil {
		t.Fatal(err)
	}
}

func TestAFunctionWithoutATagIsNeverDeleted(t *testing.T) {
	w, server := fake(t, nil)
	theirs(t, w)
	server.Writes()
	for _, o := range []*gitops.Object{theFunction(t, spec()), theRole(t)} {
		if err := w.target.Delete(t.Context(), o.ID, o.Version, gitops.Precondition{}); !errors.Is(err, gitops.ErrForbidden) {
			t.Errorf("got %v", err)
		}
	}
	if wrote := server.Writes(); slices.ContainsFunc(wrote, func(op string) bool { return strings.HasPrefix(op, "Delete") }) {
		t.Errorf("it wrote %v", wrote)
	}
}

func TestATagThatWasLostIsSetAgainWhenTheInventoryNamesTheObject(t *testing.T) {
	for name, inventory := range map[string]bool{"the inventory has it": true, "the inventory does not": false} {
		t.Run(name, func(t *testing.T) {
			w, _ := fake(t, nil)
			put(t, w.target, theRole(t))
			put(t, w.target, theFunction(t, spec()))
			if err := untagged(gitops.LabelSource)(t.Context(), w); err != nil {
				t.Fatal(err)
			}
			again := open(t, w.url, func(o *lambda.Options) { o.Owned = func(gitops.ID) bool { return inventory } }) // after a restart
			live, err := again.Apply(t.Context(), theFunction(t, spec()), gitops.ApplyOptions{})
			if inventory {
				if err != nil {
					t.Fatal(err)
				}
				asDesired(t, theFunction(t, spec()), live)
			} else if !errors.Is(err, gitops.ErrForbidden) {
				t.Errorf("got %v", err)
			}
		})
	}
}

func TestNoErrorSaysWhatIsInTheEnvironment(t *testing.T) {
	w, server := fake(t, nil)
	put(t, w.target, theRole(t))
	for _, op := range []string{"CreateFunction", "UpdateFunctionConfiguration"} {
		server.Fail(func(called string) *lambdatest.Fault {
			if called == op {
				return &lambdatest.Fault{Status: http.StatusBadRequest, Code: "InvalidParameterValueException", Message: "Value '{TOKEN=" + secret + "}' at 'environment' failed"}
			}
			return nil
		})
		_, err := w.target.Apply(t.Context(), theFunction(t, spec()), gitops.ApplyOptions{})
		if !errors.Is(err, gitops.ErrInvalid) || strings.Contains(err.Error(), secret) {
			t.Errorf("%s: got %v", op, err)
		}
		server.Fail(nil)
		put(t, w.target, theFunction(t, spec()))
		if err := config(func(in *awslambda.UpdateFunctionConfigurationInput) { in.Timeout = aws.Int32(9) })(t.Context(), w); err != nil {
			t.Fatal(err)
		}
	}
}
