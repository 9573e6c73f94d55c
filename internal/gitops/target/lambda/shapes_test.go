package lambda_test

import (
	"context"
	"errors"
	"testing"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/credentials"
	"github.com/aws/aws-sdk-go-v2/service/iam"
	awslambda "github.com/aws/aws-sdk-go-v2/service/lambda"
	"github.com/aws/aws-sdk-go-v2/service/lambda/types"
	"github.com/aws/aws-sdk-go-v2/service/s3"
	"github.com/aws/smithy-go"
	smithyhttp "github.com/aws/smithy-go/transport/http"

	"github.com/apexlogic/apex/internal/gitops/target/lambda/lambdatest"
)

// shape is what the SDK makes of an error: AWS's code, and the status.
type shape struct {
	code   string
	status int
}

func shapeOf(err error) (s shape) {
	var api smithy.APIError
	if errors.As(err, &api) {
		s.code = api.ErrorCode()
	}
	var answer *smithyhttp.ResponseError
	if errors.As(err, &answer) {
		s.status = answer.HTTPStatusCode()
	}
	return s
}

// refusals are calls that AWS refuses, as its API references document it, in the
// account of shared with the function captioner and its role.
var refusals = []struct {
	name string
	want shape
	moto string // why moto is not asked
	do   act
}{
	{"a function that is not there", shape{"ResourceNotFoundException", 404}, "", func(ctx context.Context, w *world) error {
		_, err := w.lambda.GetFunction(ctx, &awslambda.GetFunctionInput{FunctionName: aws.String("none")})
		return err
	}},
	{"the configuration of one", shape{"ResourceNotFoundException", 404}, "", func(ctx context.Context, w *world) error {
		_, err := w.lambda.GetFunctionConfiguration(ctx, &awslambda.GetFunctionConfigurationInput{FunctionName: aws.String("none")})
		return err
	}},
	{"the deletion of one", shape{"ResourceNotFoundException", 404}, "", func(ctx context.Context, w *world) error {
		_, err := w.lambda.DeleteFunction(ctx, &awslambda.DeleteFunctionInput{FunctionName: aws.String("none")})
		return err
	}},
	{"the aliases of one", shape{"ResourceNotFoundException", 404}, "", func(ctx context.Context, w *world) error {
		_, err := w.lambda.ListAliases(ctx, &awslambda.ListAliasesInput{FunctionName: aws.String("none")})
		return err
	}},
	{"the URL of one without", shape{"ResourceNotFoundException", 404}, "", func(ctx context.Context, w *world) error {
		if _, err := w.lambda.DeleteFunctionUrlConfig(ctx, &awslambda.DeleteFunctionUrlConfigInput{FunctionName: fn}); err != nil {
			return errors.New("there was none before")
		}
		_, err := w.lambda.GetFunctionUrlConfig(ctx, &awslambda.GetFunctionUrlConfigInput{FunctionName: fn})
		return err
	}},
	{"a function of the same name", shape{"ResourceConflictException", 409}, "", func(ctx context.Context, w *world) error {
		_, err := w.lambda.CreateFunction(ctx, &awslambda.CreateFunctionInput{FunctionName: fn, Role: aws.String("arn:aws:iam::" + lambdatest.Account + ":role/apex/captioner-role"),
			Runtime: types.RuntimePython312, Handler: aws.String("a.b"), Code: &types.FunctionCode{ZipFile: []byte("PK")}})
		return err
	}},
	{"a role that cannot be assumed", shape{"InvalidParameterValueException", 400}, "", func(ctx context.Context, w *world) error {
		_, err := w.lambda.CreateFunction(ctx, &awslambda.CreateFunctionInput{FunctionName: aws.String("new"), Role: aws.String("arn:aws:iam::" + lambdatest.Account + ":role/none"),
			Runtime: types.RuntimePython312, Handler: aws.String("a.b"), Code: &types.FunctionCode{ZipFile: []byte("PK")}})
		return err
	}},
	{"an alias that is not there", shape{"ResourceNotFoundException", 404}, "", func(ctx context.Context, w *world) error {
		_, err := w.lambda.UpdateAlias(ctx, &awslambda.UpdateAliasInput{FunctionName: fn, Name: aws.String("none")})
		return err
	}},
	{"a policy that is not there", shape{"ResourceNotFoundException", 404}, "", func(ctx context.Context, w *world) error {
		if err := revoke(ctx, w); err != nil {
			return errors.New("there was no statement before")
		}
		_, err := w.lambda.GetPolicy(ctx, &awslambda.GetPolicyInput{FunctionName: fn})
		return err
	}},
	{"a statement that is not there", shape{"ResourceNotFoundException", 404}, "", revoke},
	{"a statement of the same name", shape{"ResourceConflictException", 409}, "moto adds it", then(permit(func(*awslambda.AddPermissionInput) {}), permit(func(*awslambda.AddPermissionInput) {}))},
	{"a write on another revision", shape{"PreconditionFailedException", 412}, "moto knows no revisions of functions", config(func(in *awslambda.UpdateFunctionConfigurationInput) {
		in.RevisionId, in.Timeout = aws.String("00000000-0000-4000-8000-000000000000"), aws.Int32(1)
	})},
	{"a role that is not there", shape{"NoSuchEntity", 404}, "", func(ctx context.Context, w *world) error {
		_, err := w.iam.GetRole(ctx, &iam.GetRoleInput{RoleName: aws.String("none")})
		return err
	}},
	{"a role of the same name", shape{"EntityAlreadyExists", 409}, "", func(ctx context.Context, w *world) error {
		_, err := w.iam.CreateRole(ctx, &iam.CreateRoleInput{RoleName: rn, AssumeRolePolicyDocument: aws.String(trust)})
		return err
	}},
	{"a policy of a role that is not there", shape{"NoSuchEntity", 404}, "", func(ctx context.Context, w *world) error {
		_, err := w.iam.GetRolePolicy(ctx, &iam.GetRolePolicyInput{RoleName: rn, PolicyName: aws.String("none")})
		return err
	}},
	{"a policy that is not attached", shape{"NoSuchEntity", 404}, "", func(ctx context.Context, w *world) error {
		_, err := w.iam.DetachRolePolicy(ctx, &iam.DetachRolePolicyInput{RoleName: rn, PolicyArn: aws.String(admin)})
		return err
	}},
	{"a role that still has policies", shape{"DeleteConflict", 409}, "", func(ctx context.Context, w *world) error {
		_, err := w.iam.DeleteRole(ctx, &iam.DeleteRoleInput{RoleName: rn})
		return err
	}},
	{"a look at a version of an archive that is gone", shape{"NotFound", 404}, "", func(ctx context.Context, w *world) error {
		_, err := w.s3().HeadObject(ctx, &s3.HeadObjectInput{Bucket: aws.String("code"), Key: aws.String("captioner.zip"), VersionId: aws.String("gone-71a2b6c5-0000-4000-8000-000000000000")})
		return err
	}},
	{"a version of an archive that is gone", shape{"NoSuchVersion", 404}, "", func(ctx context.Context, w *world) error {
		_, err := w.s3().GetObject(ctx, &s3.GetObjectInput{Bucket: aws.String("code"), Key: aws.String("captioner.zip"), VersionId: aws.String("gone-71a2b6c5-0000-4000-8000-000000000000")})
		return err
	}},
}

func (w *world) s3() *s3.Client {
	return s3.New(s3.Options{Region: lambdatest.Region, BaseEndpoint: aws.String(w.url), UsePathStyle: true, Credentials: credentials.NewStaticCredentialsProvider("mallory", "test", "")})
}

func testShapes(t *testing.T, w *world) {
	t.Helper()
	all := victims(t, w)
	put(t, w.target, all[onRole])
	put(t, w.target, all[onFunction])
	for _, c := range refusals {
		t.Run(c.name, func(t *testing.T) {
			if w.real && c.moto != "" {
				t.Skip(c.moto)
			}
			err := c.do(t.Context(), w)
			if got := shapeOf(err); got != c.want {
				t.Errorf("got %+v, want %+v: %v", got, c.want, err)
			}
		})
	}
}

func TestTheFakeRefusesAsAWSDocumentsIt(t *testing.T) {
	w, _ := fake(t, nil)
	testShapes(t, w)
}

func TestMotoRefusesAsTheFakeDoes(t *testing.T) {
	if testing.Short() {
		t.Skip("it starts moto_server, which takes a while")
	}
	testShapes(t, inMoto(t))
}
