package lambda_test

import (
	"context"
	"errors"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/iam"
	iamtypes "github.com/aws/aws-sdk-go-v2/service/iam/types"
	awslambda "github.com/aws/aws-sdk-go-v2/service/lambda"
	"github.com/aws/aws-sdk-go-v2/service/lambda/types"

	"github.com/apexlogic/apex/internal/gitops"
	"github.com/apexlogic/apex/internal/gitops/target/lambda/lambdatest"
)

type act func(ctx context.Context, w *world) error

// Who may be tampered with.
const (
	onFunction = "captioner"
	onImage    = "reader"
	onRole     = "captioner-role"
	onPublic   = "greeter" // whose address is for everybody
)

type tamper struct {
	name string
	on   string
	fake string // why only the fake can be asked, "" when moto can
	do   act
}

var (
	fn = aws.String("captioner")
	im = aws.String("reader")
	rn = aws.String("captioner-role")
	pn = aws.String("greeter")
)

func config(change func(*awslambda.UpdateFunctionConfigurationInput)) act {
	return func(ctx context.Context, w *world) error {
		in := &awslambda.UpdateFunctionConfigurationInput{FunctionName: fn}
		change(in)
		_, err := w.lambda.UpdateFunctionConfiguration(ctx, in)
		return err
	}
}

func permit(change func(*awslambda.AddPermissionInput)) act {
	return func(ctx context.Context, w *world) error {
		in := &awslambda.AddPermissionInput{FunctionName: fn, StatementId: aws.String("evil"), Action: aws.String("lambda:InvokeFunction"), Principal: aws.String("*")}
		change(in)
		_, err := w.lambda.AddPermission(ctx, in)
		return err
	}
}

// then does one after the other.
func then(all ...act) act {
	return func(ctx context.Context, w *world) error {
		for _, do := range all {
			if err := do(ctx, w); err != nil {
				return err
			}
		}
		return nil
	}
}

func publish(ctx context.Context, w *world) error {
	_, err := w.lambda.PublishVersion(ctx, &awslambda.PublishVersionInput{FunctionName: fn})
	return err
}

// deployed deploys an archive of the bucket.
func deployed(key string) act {
	return func(ctx context.Context, w *world) error {
		version := w.good
		if key == "evil.zip" {
			version = w.evil
		}
		_, err := w.lambda.UpdateFunctionCode(ctx, &awslambda.UpdateFunctionCodeInput{FunctionName: fn, S3Bucket: aws.String("code"), S3Key: aws.String(key), S3ObjectVersion: aws.String(version)})
		return err
	}
}

func shortcut(weights map[string]float64) act {
	return func(ctx context.Context, w *world) error {
		versions, err := w.lambda.ListVersionsByFunction(ctx, &awslambda.ListVersionsByFunctionInput{FunctionName: fn})
		if err != nil {
			return err
		}
		in := &awslambda.CreateAliasInput{FunctionName: fn, Name: aws.String("live"), FunctionVersion: versions.Versions[len(versions.Versions)-1].Version}
		if weights != nil {
			in.RoutingConfig = &types.AliasRoutingConfiguration{AdditionalVersionWeights: weights}
		}
		_, err = w.lambda.CreateAlias(ctx, in)
		return err
	}
}

func revoke(ctx context.Context, w *world) error {
	_, err := w.lambda.RemovePermission(ctx, &awslambda.RemovePermissionInput{FunctionName: fn, StatementId: aws.String("bucket")})
	return err
}

func tagged(tags map[string]string) act {
	return func(ctx context.Context, w *world) error {
		_, err := w.lambda.TagResource(ctx, &awslambda.TagResourceInput{Resource: aws.String("arn:aws:lambda:" + lambdatest.Region + ":" + lambdatest.Account + ":function:captioner"), Tags: tags})
		return err
	}
}

func untagged(keys ...string) act {
	return func(ctx context.Context, w *world) error {
		_, err := w.lambda.UntagResource(ctx, &awslambda.UntagResourceInput{Resource: aws.String("arn:aws:lambda:" + lambdatest.Region + ":" + lambdatest.Account + ":function:captioner"), TagKeys: keys})
		return err
	}
}

// unpermit removes a statement of the public function's.
func unpermit(id string) act {
	return func(ctx context.Context, w *world) error {
		_, err := w.lambda.RemovePermission(ctx, &awslambda.RemovePermissionInput{FunctionName: pn, StatementId: aws.String(id)})
		return err
	}
}

const onePolicy = "moto copies the function's policy into each version"

const noPublic = "moto does not know lambda:InvokedViaFunctionUrl"

const notKept = "moto does not keep this field on an update"

var tampers = []tamper{
	{"other code from an archive", onFunction, "", func(ctx context.Context, w *world) error {
		_, err := w.lambda.UpdateFunctionCode(ctx, &awslambda.UpdateFunctionCodeInput{FunctionName: fn, S3Bucket: aws.String("code"), S3Key: aws.String("evil.zip"), S3ObjectVersion: aws.String(w.evil)})
		return err
	}},
	{"other code, uploaded", onFunction, "", func(ctx context.Context, w *world) error {
		_, err := w.lambda.UpdateFunctionCode(ctx, &awslambda.UpdateFunctionCodeInput{FunctionName: fn, ZipFile: []byte("PK evil")})
		return err
	}},
	{"other code, with the tag that says which", onFunction, "", then(func(ctx context.Context, w *world) error {
		_, err := w.lambda.UpdateFunctionCode(ctx, &awslambda.UpdateFunctionCodeInput{FunctionName: fn, S3Bucket: aws.String("code"), S3Key: aws.String("evil.zip"), S3ObjectVersion: aws.String(w.evil)})
		return err
	}, tagged(map[string]string{"apexlogic.com/code": "code/evil.zip@v9"}))},
	{"another image", onImage, "moto does not resolve images", func(ctx context.Context, w *world) error {
		_, err := w.lambda.UpdateFunctionCode(ctx, &awslambda.UpdateFunctionCodeInput{FunctionName: im, ImageUri: aws.String("evil/reader:latest")})
		return err
	}},
	{"another command in the same image", onImage, "moto does not resolve images", func(ctx context.Context, w *world) error {
		_, err := w.lambda.UpdateFunctionConfiguration(ctx, &awslambda.UpdateFunctionConfigurationInput{FunctionName: im, ImageConfig: &types.ImageConfig{EntryPoint: []string{"/bin/sh", "-c"}, Command: []string{"curl evil"}}})
		return err
	}},
	{"a variable changed", onFunction, "", config(func(in *awslambda.UpdateFunctionConfigurationInput) {
		in.Environment = &types.Environment{Variables: map[string]string{"MODEL": "evil", "TOKEN": secret}}
	})},
	{"a variable added", onFunction, "", config(func(in *awslambda.UpdateFunctionConfigurationInput) {
		in.Environment = &types.Environment{Variables: map[string]string{"MODEL": "tiny", "TOKEN": secret, "LD_PRELOAD": "/tmp/evil.so"}}
	})},
	{"the variables removed", onFunction, "", config(func(in *awslambda.UpdateFunctionConfigurationInput) {
		in.Environment = &types.Environment{Variables: map[string]string{}}
	})},
	{"another role", onFunction, "", then(func(ctx context.Context, w *world) error {
		_, err := w.iam.CreateRole(ctx, &iam.CreateRoleInput{RoleName: aws.String("admin"), AssumeRolePolicyDocument: aws.String(trust)})
		var there *iamtypes.EntityAlreadyExistsException
		if errors.As(err, &there) {
			return nil
		}
		return err
	}, config(func(in *awslambda.UpdateFunctionConfigurationInput) {
		in.Role = aws.String("arn:aws:iam::" + lambdatest.Account + ":role/admin")
	}))},
	{"a shorter timeout", onFunction, "", config(func(in *awslambda.UpdateFunctionConfigurationInput) { in.Timeout = aws.Int32(1) })},
	{"more memory", onFunction, "", config(func(in *awslambda.UpdateFunctionConfigurationInput) { in.MemorySize = aws.Int32(10240) })},
	{"another handler", onFunction, "", config(func(in *awslambda.UpdateFunctionConfigurationInput) { in.Handler = aws.String("evil.handler") })},
	{"another runtime", onFunction, "", config(func(in *awslambda.UpdateFunctionConfigurationInput) { in.Runtime = types.RuntimePython38 })},
	{"another description", onFunction, "", config(func(in *awslambda.UpdateFunctionConfigurationInput) { in.Description = aws.String("mine") })},
	{"a layer added", onFunction, notKept, config(func(in *awslambda.UpdateFunctionConfigurationInput) {
		in.Layers = []string{layer, layer[:len(layer)-7] + "evil:1"}
	})},
	{"the layer's version changed", onFunction, notKept, config(func(in *awslambda.UpdateFunctionConfigurationInput) { in.Layers = []string{layer[:len(layer)-1] + "4"} })},
	{"the network changed", onFunction, notKept, config(func(in *awslambda.UpdateFunctionConfigurationInput) {
		in.VpcConfig = &types.VpcConfig{SubnetIds: []string{"subnet-evil"}, SecurityGroupIds: []string{"sg-1"}}
	})},
	{"taken out of its network", onFunction, notKept, config(func(in *awslambda.UpdateFunctionConfigurationInput) {
		in.VpcConfig = &types.VpcConfig{SubnetIds: []string{}, SecurityGroupIds: []string{}}
	})},
	{"another key", onFunction, notKept, config(func(in *awslambda.UpdateFunctionConfigurationInput) { in.KMSKeyArn = aws.String("") })},
	{"tracing off", onFunction, notKept, config(func(in *awslambda.UpdateFunctionConfigurationInput) {
		in.TracingConfig = &types.TracingConfig{Mode: types.TracingModePassThrough}
	})},
	{"more disk", onFunction, notKept, config(func(in *awslambda.UpdateFunctionConfigurationInput) {
		in.EphemeralStorage = &types.EphemeralStorage{Size: aws.Int32(10240)}
	})},
	{"failed events sent elsewhere", onFunction, notKept, config(func(in *awslambda.UpdateFunctionConfigurationInput) {
		in.DeadLetterConfig = &types.DeadLetterConfig{TargetArn: aws.String("arn:aws:sqs:eu-central-1:999999999999:evil")}
	})},
	{"a file system mounted", onFunction, notKept, config(func(in *awslambda.UpdateFunctionConfigurationInput) {
		in.FileSystemConfigs = []types.FileSystemConfig{{Arn: aws.String("arn:aws:elasticfilesystem:eu-central-1:123456789012:access-point/fsap-1"), LocalMountPath: aws.String("/mnt/evil")}}
	})},
	{"results sent elsewhere", onFunction, "moto writes the time of the change as text, which the SDK refuses", func(ctx context.Context, w *world) error {
		_, err := w.lambda.PutFunctionEventInvokeConfig(ctx, &awslambda.PutFunctionEventInvokeConfigInput{FunctionName: fn, DestinationConfig: &types.DestinationConfig{
			OnSuccess: &types.OnSuccess{Destination: aws.String("arn:aws:lambda:eu-central-1:123456789012:function:evil")}}})
		return err
	}},
	{"stopped by its concurrency", onFunction, "moto leaves a concurrency of zero out", func(ctx context.Context, w *world) error {
		_, err := w.lambda.PutFunctionConcurrency(ctx, &awslambda.PutFunctionConcurrencyInput{FunctionName: fn, ReservedConcurrentExecutions: aws.Int32(0)})
		return err
	}},
	{"its concurrency raised", onFunction, "", func(ctx context.Context, w *world) error {
		_, err := w.lambda.PutFunctionConcurrency(ctx, &awslambda.PutFunctionConcurrencyInput{FunctionName: fn, ReservedConcurrentExecutions: aws.Int32(500)})
		return err
	}},
	{"its concurrency given up", onFunction, "", func(ctx context.Context, w *world) error {
		_, err := w.lambda.DeleteFunctionConcurrency(ctx, &awslambda.DeleteFunctionConcurrencyInput{FunctionName: fn})
		return err
	}},
	{"a permission for everybody", onFunction, "", permit(func(*awslambda.AddPermissionInput) {})},
	{"a permission for another account", onFunction, "", permit(func(in *awslambda.AddPermissionInput) { in.Principal = aws.String("999999999999") })},
	{"a permission for an organisation", onFunction, "moto does not write this condition", permit(func(in *awslambda.AddPermissionInput) { in.PrincipalOrgID = aws.String("o-aaaaaaaaaa") })},
	{"a permission to call the address", onFunction, "", permit(func(in *awslambda.AddPermissionInput) {
		in.Action, in.FunctionUrlAuthType = aws.String("lambda:InvokeFunctionUrl"), types.FunctionUrlAuthTypeNone
	})},
	{"the permission removed", onFunction, "", revoke},
	{"the permission widened under its name", onFunction, "", then(revoke, permit(func(in *awslambda.AddPermissionInput) { in.StatementId = aws.String("bucket") }))},
	{"the address made public", onFunction, "", func(ctx context.Context, w *world) error {
		_, err := w.lambda.UpdateFunctionUrlConfig(ctx, &awslambda.UpdateFunctionUrlConfigInput{FunctionName: fn, AuthType: types.FunctionUrlAuthTypeNone})
		return err
	}},
	{"the address opened to other sites", onFunction, "", func(ctx context.Context, w *world) error {
		_, err := w.lambda.UpdateFunctionUrlConfig(ctx, &awslambda.UpdateFunctionUrlConfigInput{FunctionName: fn, AuthType: types.FunctionUrlAuthTypeAwsIam, Cors: &types.Cors{AllowOrigins: []string{"*"}}})
		return err
	}},
	{"the address deleted", onFunction, "", func(ctx context.Context, w *world) error {
		_, err := w.lambda.DeleteFunctionUrlConfig(ctx, &awslambda.DeleteFunctionUrlConfigInput{FunctionName: fn})
		return err
	}},
	{"an address where Git has none", onImage, "moto does not resolve images", func(ctx context.Context, w *world) error {
		_, err := w.lambda.CreateFunctionUrlConfig(ctx, &awslambda.CreateFunctionUrlConfigInput{FunctionName: im, AuthType: types.FunctionUrlAuthTypeNone})
		return err
	}},
	{"everybody turned away from the public address", onPublic, noPublic, unpermit("FunctionURLAllowPublicAccess")},
	{"everybody turned away within the public address", onPublic, noPublic, unpermit("FunctionURLInvokeAllowPublicAccess")},
	{"the public address asks for credentials", onPublic, noPublic, func(ctx context.Context, w *world) error {
		_, err := w.lambda.UpdateFunctionUrlConfig(ctx, &awslambda.UpdateFunctionUrlConfigInput{FunctionName: pn, AuthType: types.FunctionUrlAuthTypeAwsIam})
		return err
	}},
	{"the public address deleted", onPublic, noPublic, func(ctx context.Context, w *world) error {
		_, err := w.lambda.DeleteFunctionUrlConfig(ctx, &awslambda.DeleteFunctionUrlConfigInput{FunctionName: pn})
		return err
	}},
	{"one more let through the public address", onPublic, noPublic, permit(func(in *awslambda.AddPermissionInput) {
		in.FunctionName, in.Action, in.Principal, in.FunctionUrlAuthType = pn, aws.String("lambda:InvokeFunctionUrl"), aws.String("999999999999"), types.FunctionUrlAuthTypeNone
	})},
	{"everybody let in beside the public address, under its name", onPublic, noPublic, then(unpermit("FunctionURLInvokeAllowPublicAccess"), permit(func(in *awslambda.AddPermissionInput) {
		in.FunctionName, in.StatementId = pn, aws.String("FunctionURLInvokeAllowPublicAccess")
	}))},
	{"the statements of a public address where there is none", onImage, noPublic, then(permit(func(in *awslambda.AddPermissionInput) {
		in.FunctionName, in.StatementId, in.Action, in.FunctionUrlAuthType = im, aws.String("FunctionURLAllowPublicAccess"), aws.String("lambda:InvokeFunctionUrl"), types.FunctionUrlAuthTypeNone
	}), permit(func(in *awslambda.AddPermissionInput) {
		in.FunctionName, in.StatementId, in.InvokedViaFunctionUrl = im, aws.String("FunctionURLInvokeAllowPublicAccess"), aws.Bool(true)
	}))},
	{"a public address, and all that lets everybody through it", onImage, noPublic, then(permit(func(in *awslambda.AddPermissionInput) {
		in.FunctionName, in.StatementId, in.Action, in.FunctionUrlAuthType = im, aws.String("FunctionURLAllowPublicAccess"), aws.String("lambda:InvokeFunctionUrl"), types.FunctionUrlAuthTypeNone
	}), permit(func(in *awslambda.AddPermissionInput) {
		in.FunctionName, in.StatementId, in.InvokedViaFunctionUrl = im, aws.String("FunctionURLInvokeAllowPublicAccess"), aws.Bool(true)
	}), func(ctx context.Context, w *world) error {
		_, err := w.lambda.CreateFunctionUrlConfig(ctx, &awslambda.CreateFunctionUrlConfigInput{FunctionName: im, AuthType: types.FunctionUrlAuthTypeNone})
		return err
	})},
	{"a version of other code published", onFunction, "", then(deployed("evil.zip"), publish, deployed("captioner.zip"))},
	{"a version of another environment published", onFunction, "", then(config(func(in *awslambda.UpdateFunctionConfigurationInput) {
		in.Environment = &types.Environment{Variables: map[string]string{"MODEL": "evil"}}
	}), publish)},
	{"a permission to call a version that is Git's", onFunction, onePolicy, then(publish, func(ctx context.Context, w *world) error {
		versions, err := w.lambda.ListVersionsByFunction(ctx, &awslambda.ListVersionsByFunctionInput{FunctionName: fn})
		if err != nil {
			return err
		}
		return permit(func(in *awslambda.AddPermissionInput) {
			in.Qualifier = versions.Versions[len(versions.Versions)-1].Version
		})(ctx, w)
	})},
	{"the traffic of an alias shifted", onFunction, onePolicy, then(publish, deployed("evil.zip"), publish, shortcut(map[string]float64{"1": 0.1}))},
	{"an alias of what runs", onFunction, "", func(ctx context.Context, w *world) error {
		_, err := w.lambda.CreateAlias(ctx, &awslambda.CreateAliasInput{FunctionName: fn, Name: aws.String("live"), FunctionVersion: aws.String("$LATEST")})
		return err
	}},
	{"an alias of a version", onFunction, onePolicy, then(publish, shortcut(nil))},
	{"an alias with an address and a share of the traffic", onFunction, "moto has no addresses of aliases", then(publish, publish, shortcut(map[string]float64{"1": 0.5}), func(ctx context.Context, w *world) error {
		_, err := w.lambda.CreateFunctionUrlConfig(ctx, &awslambda.CreateFunctionUrlConfigInput{FunctionName: fn, Qualifier: aws.String("live"), AuthType: types.FunctionUrlAuthTypeNone})
		return err
	})},
	{"a tag added", onFunction, "", tagged(map[string]string{"access": "all"})},
	{"a tag changed", onFunction, "", tagged(map[string]string{"team": "mallory"})},
	{"the source's tag removed", onFunction, "", untagged(gitops.LabelSource)},
	{"the source's tag changed", onFunction, "", tagged(map[string]string{gitops.LabelSource: "mallory"})},
	{"the tags of code and role removed", onFunction, "", untagged("apexlogic.com/code", "apexlogic.com/role")},
	{"the function deleted", onFunction, "", func(ctx context.Context, w *world) error {
		_, err := w.lambda.DeleteFunction(ctx, &awslambda.DeleteFunctionInput{FunctionName: fn})
		return err
	}},
	{"a policy attached to the role", onRole, "", func(ctx context.Context, w *world) error {
		_, err := w.iam.AttachRolePolicy(ctx, &iam.AttachRolePolicyInput{RoleName: rn, PolicyArn: aws.String(admin)})
		return err
	}},
	{"a policy detached from the role", onRole, "", func(ctx context.Context, w *world) error {
		_, err := w.iam.DetachRolePolicy(ctx, &iam.DetachRolePolicyInput{RoleName: rn, PolicyArn: aws.String(basic)})
		return err
	}},
	{"a policy written into the role", onRole, "", func(ctx context.Context, w *world) error {
		_, err := w.iam.PutRolePolicy(ctx, &iam.PutRolePolicyInput{RoleName: rn, PolicyName: aws.String("evil"), PolicyDocument: aws.String(reading)})
		return err
	}},
	{"a policy of the role widened", onRole, "", func(ctx context.Context, w *world) error {
		_, err := w.iam.PutRolePolicy(ctx, &iam.PutRolePolicyInput{RoleName: rn, PolicyName: aws.String("reads"),
			PolicyDocument: aws.String(`{"Version":"2012-10-17","Statement":[{"Effect":"Allow","Action":["s3:*"],"Resource":"*"}]}`)})
		return err
	}},
	{"a policy of the role deleted", onRole, "", func(ctx context.Context, w *world) error {
		_, err := w.iam.DeleteRolePolicy(ctx, &iam.DeleteRolePolicyInput{RoleName: rn, PolicyName: aws.String("reads")})
		return err
	}},
	{"others let into the role", onRole, "", func(ctx context.Context, w *world) error {
		_, err := w.iam.UpdateAssumeRolePolicy(ctx, &iam.UpdateAssumeRolePolicyInput{RoleName: rn,
			PolicyDocument: aws.String(`{"Version":"2012-10-17","Statement":[{"Effect":"Allow","Principal":{"AWS":"arn:aws:iam::999999999999:root"},"Action":"sts:AssumeRole"}]}`)})
		return err
	}},
	{"the boundary removed", onRole, "", func(ctx context.Context, w *world) error {
		_, err := w.iam.DeleteRolePermissionsBoundary(ctx, &iam.DeleteRolePermissionsBoundaryInput{RoleName: rn})
		return err
	}},
	{"the boundary exchanged", onRole, "", func(ctx context.Context, w *world) error {
		_, err := w.iam.PutRolePermissionsBoundary(ctx, &iam.PutRolePermissionsBoundaryInput{RoleName: rn, PermissionsBoundary: aws.String(admin)})
		return err
	}},
	{"longer sessions of the role", onRole, "", func(ctx context.Context, w *world) error {
		_, err := w.iam.UpdateRole(ctx, &iam.UpdateRoleInput{RoleName: rn, MaxSessionDuration: aws.Int32(43200)})
		return err
	}},
	{"a tag on the role", onRole, "", func(ctx context.Context, w *world) error {
		_, err := w.iam.TagRole(ctx, &iam.TagRoleInput{RoleName: rn, Tags: []iamtypes.Tag{{Key: aws.String("access"), Value: aws.String("all")}}})
		return err
	}},
	{"the source's tag taken off the role", onRole, "", func(ctx context.Context, w *world) error {
		_, err := w.iam.UntagRole(ctx, &iam.UntagRoleInput{RoleName: rn, TagKeys: []string{gitops.LabelSource}})
		return err
	}},
}
