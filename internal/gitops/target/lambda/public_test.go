package lambda_test

import (
	"encoding/json"
	"errors"
	"slices"
	"testing"

	"github.com/aws/aws-sdk-go-v2/aws"
	awslambda "github.com/aws/aws-sdk-go-v2/service/lambda"
	"github.com/aws/aws-sdk-go-v2/service/lambda/types"

	"github.com/apexlogic/apex/internal/gitops"
)

// granted are the statements that a function's policy has, by their names.
func granted(t testing.TB, w *world, name *string) []string {
	t.Helper()
	out, err := w.lambda.GetPolicy(t.Context(), &awslambda.GetPolicyInput{FunctionName: name})
	var none *types.ResourceNotFoundException
	if errors.As(err, &none) {
		return nil
	}
	if err != nil {
		t.Fatal(err)
	}
	return statementIDs(t, aws.ToString(out.Policy))
}

func TestAnAddressForEverybodyLetsEverybodyThroughAndNoFurther(t *testing.T) {
	w, _ := fake(t, nil)
	put(t, w.target, theRole(t))
	o := thePublic(t)
	asDesired(t, o, put(t, w.target, o))
	if got, want := granted(t, w, pn), []string{"FunctionURLAllowPublicAccess", "FunctionURLInvokeAllowPublicAccess"}; !slices.Equal(got, want) {
		t.Errorf("the policy has %v, want %v", got, want)
	}
	// Git thinks better of it.
	f, err := gitops.LambdaFunctionOf(o)
	if err != nil {
		t.Fatal(err)
	}
	for name, url := range map[string]*gitops.LambdaURL{"with credentials": {Auth: "AWS_IAM"}, "none": nil} {
		f.URL = url
		closed, err := f.Object("greeter", here)
		asDesired(t, labelled(t, closed, err), put(t, w.target, labelled(t, closed, err)))
		if got := granted(t, w, pn); len(got) > 0 {
			t.Errorf("%s: the policy still has %v", name, got)
		}
		put(t, w.target, o)
	}
	if err := w.target.Delete(t.Context(), o.ID, o.Version, gitops.Precondition{}); err != nil {
		t.Fatal(err)
	}
}

// Whoever says in Git who may pass means those, and nobody else.
func TestPermissionsForTheAddressInGitTakeThePlaceOfTheImplied(t *testing.T) {
	w, _ := fake(t, nil)
	put(t, w.target, theRole(t))
	f, err := gitops.LambdaFunctionOf(thePublic(t))
	if err != nil {
		t.Fatal(err)
	}
	f.Permissions = []gitops.LambdaPermission{{ID: "partner", Action: "lambda:InvokeFunctionUrl", Principal: "999999999999", URLAuth: "NONE"}}
	made, err := f.Object("greeter", here)
	o := labelled(t, made, err)
	before := put(t, w.target, o)
	asDesired(t, o, before)
	if got := granted(t, w, pn); !slices.Equal(got, []string{"partner"}) {
		t.Errorf("the policy has %v", got)
	}
	open := permit(func(in *awslambda.AddPermissionInput) {
		in.FunctionName, in.StatementId, in.Action, in.FunctionUrlAuthType = pn, aws.String("FunctionURLAllowPublicAccess"), aws.String("lambda:InvokeFunctionUrl"), types.FunctionUrlAuthTypeNone
	})
	for name, do := range map[string]act{"as well": open, "instead": then(unpermit("partner"), open)} {
		if err := do(t.Context(), w); err != nil {
			t.Fatal(err)
		}
		if get(t, w.target, o).ResourceVersion == before.ResourceVersion {
			t.Errorf("everybody let through %s is not found", name)
		}
		asDesired(t, o, put(t, w.target, o))
		if got := granted(t, w, pn); !slices.Equal(got, []string{"partner"}) {
			t.Errorf("%s: the policy has %v", name, got)
		}
	}
}

// A condition that the API does not know is left out without a word, and what is
// left of the statement lets everybody call the function.
func TestAnAPIThatDoesNotKnowTheConditionOpensNothing(t *testing.T) {
	w, server := fake(t, nil)
	put(t, w.target, theRole(t))
	o := thePublic(t)
	server.OldURLs(true)
	if _, err := w.target.Apply(t.Context(), o, gitops.ApplyOptions{}); !errors.Is(err, gitops.ErrInvalid) {
		t.Errorf("got %v", err)
	}
	if got := granted(t, w, pn); slices.Contains(got, "FunctionURLInvokeAllowPublicAccess") {
		t.Errorf("the policy has %v", got)
	}
	server.OldURLs(false)
	asDesired(t, o, put(t, w.target, o))
}

func statementIDs(t testing.TB, policy string) (ids []string) {
	t.Helper()
	var doc struct{ Statement []struct{ Sid string } }
	if err := json.Unmarshal([]byte(policy), &doc); err != nil {
		t.Fatal(err)
	}
	for _, s := range doc.Statement {
		ids = append(ids, s.Sid)
	}
	slices.Sort(ids)
	return ids
}
