package render_test

import (
	"encoding/json"
	"reflect"
	"strings"
	"testing"

	"github.com/apexlogic/apex/internal/gitops"
	"github.com/apexlogic/apex/verdict"
)

const sam = `AWSTemplateFormatVersion: "2010-09-09"
Transform: AWS::Serverless-2016-10-31
Parameters:
  Level: {Type: String, Default: info}
  Open: {Type: String}
Globals:
  Function:
    Timeout: 30
    Tags: {team: vision}
Resources:
  Captioner:
    Type: AWS::Serverless::Function
    Properties:
      FunctionName: captioner
      PackageType: Image
      ImageUri: 123456789012.dkr.ecr.eu-central-1.amazonaws.com/captioner:1.2
      MemorySize: 2048
      Architectures: [arm64]
      Environment: {Variables: {LEVEL: !Ref Level, REGION: !Sub "${AWS::Region}"}}
      Policies:
      - Statement:
        - {Effect: Allow, Action: "s3:GetObject", Resource: !Sub "arn:aws:s3:::models-${AWS::AccountId}/*"}
      FunctionUrlConfig: {AuthType: AWS_IAM}
      Events: {Queue: {Type: SQS, Properties: {Queue: "arn:aws:sqs:eu-central-1:123456789012:q"}}}
  Invoke:
    Type: AWS::Lambda::Permission
    Properties: {FunctionName: !Ref Captioner, Action: "lambda:InvokeFunction", Principal: s3.amazonaws.com, SourceArn: "arn:aws:s3:::in"}
  Table: {Type: AWS::DynamoDB::Table, Properties: {TableName: t}}
`

func TestFunctionsOfSAMBecomeObjects(t *testing.T) {
	o := options
	o.Account, o.Region = "123456789012", "eu-central-1"
	set := must(t, map[string]string{"template.yaml": sam}, ".", o)
	if got := ids(set); got != "Function.lambda.apexlogic.com captioner, Role.lambda.apexlogic.com captioner-role" {
		t.Fatalf("got %s", got)
	}
	f, err := gitops.LambdaFunctionOf(&set.Objects()[0])
	if err != nil {
		t.Fatal(err)
	}
	image := "123456789012.dkr.ecr.eu-central-1.amazonaws.com/captioner"
	want := gitops.LambdaFunction{Image: image + "@" + string(digestFor(image+":1.2")), Architecture: "arm64", Role: "captioner-role",
		Environment: map[string]string{"LEVEL": "info", "REGION": "eu-central-1"}, TimeoutSeconds: 30, MemoryMiB: 2048,
		URL: &gitops.LambdaURL{Auth: "AWS_IAM"}, Tags: map[string]string{"team": "vision"},
		Permissions: []gitops.LambdaPermission{{ID: "Invoke", Action: "lambda:InvokeFunction", Principal: "s3.amazonaws.com", SourceARN: "arn:aws:s3:::in"}}}
	if !reflect.DeepEqual(f, want) {
		t.Errorf("got %+v\nwant %+v", f, want)
	}
	role, err := gitops.LambdaRoleOf(&set.Objects()[1])
	if err != nil {
		t.Fatal(err)
	}
	var trust struct {
		Statement []struct{ Principal struct{ Service string } }
	}
	if err := json.Unmarshal(role.Trust, &trust); err != nil || len(trust.Statement) != 1 || trust.Statement[0].Principal.Service != "lambda.amazonaws.com" {
		t.Errorf("the trust is %s, %v", role.Trust, err)
	}
	if len(role.Inline) != 1 || len(role.Managed) != 1 || !strings.Contains(role.Managed[0], "AWSLambdaBasicExecutionRole") {
		t.Errorf("the role is %+v", role)
	}
	for _, doc := range role.Inline {
		if !strings.Contains(string(doc), "arn:aws:s3:::models-123456789012/*") {
			t.Errorf("the policy is %s", doc)
		}
	}
	if w := set.Objects()[0].Where; w.File != "template.yaml" || w.Line != 11 {
		t.Errorf("the place is %v", w)
	}
}

const zipped = `Resources:
  Fn:
    Type: AWS::Lambda::Function
    Properties:
      FunctionName: thumbs
      Runtime: python3.13
      Handler: app.handler
      Code: {S3Bucket: code, S3Key: thumbs.zip, S3ObjectVersion: abc}
      Layers: ["arn:aws:lambda:eu-central-1:123456789012:layer:deps:7"]
      Role: !GetAtt Runs.Arn
      ReservedConcurrentExecutions: 0
      VpcConfig: {SubnetIds: [s-2, s-1], SecurityGroupIds: [g-1]}
      TracingConfig: {Mode: Active}
      EphemeralStorage: {Size: 1024}
      Tags: [{Key: a, Value: b}]
  Runs:
    Type: AWS::IAM::Role
    Properties:
      RoleName: thumbs-runs
      Path: /vision/
      AssumeRolePolicyDocument: {Version: "2012-10-17", Statement: [{Effect: Allow, Principal: {Service: lambda.amazonaws.com}, Action: "sts:AssumeRole"}]}
      ManagedPolicyArns: ["arn:aws:iam::aws:policy/service-role/AWSLambdaBasicExecutionRole"]
      PermissionsBoundary: arn:aws:iam::123456789012:policy/edge
      Policies:
      - PolicyName: read
        PolicyDocument: {Version: "2012-10-17", Statement: [{Effect: Allow, Action: "s3:GetObject", Resource: "arn:aws:s3:::in/${aws:PrincipalTag/team}/*"}]}
`

func TestFunctionsOfCloudFormationBecomeObjects(t *testing.T) {
	set := must(t, map[string]string{"t.yaml": zipped}, ".", options)
	f, err := gitops.LambdaFunctionOf(&set.Objects()[0])
	if err != nil {
		t.Fatal(err)
	}
	none := 0
	want := gitops.LambdaFunction{Code: &gitops.LambdaCode{Bucket: "code", Key: "thumbs.zip", Version: "abc"}, Runtime: "python3.13", Handler: "app.handler",
		Layers: []string{"arn:aws:lambda:eu-central-1:123456789012:layer:deps:7"}, Role: "thumbs-runs", StorageMiB: 1024, ReservedConcurrency: &none,
		VPC: &gitops.LambdaVPC{Subnets: []string{"s-1", "s-2"}, SecurityGroups: []string{"g-1"}}, Tracing: "Active", Tags: map[string]string{"a": "b"}}
	if !reflect.DeepEqual(f, want) {
		t.Errorf("got %+v\nwant %+v", f, want)
	}
	role, err := gitops.LambdaRoleOf(&set.Objects()[1])
	if err != nil || role.Boundary != "arn:aws:iam::123456789012:policy/edge" || role.Path != "/vision/" || !strings.Contains(string(role.Inline["read"]), "in/${aws:PrincipalTag/team}/*") || len(role.Managed) != 1 {
		t.Errorf("got %+v, %v", role, err)
	}
}

const service = `service: captioner
provider:
  name: aws
  stage: ${opt:stage, 'dev'}
  memorySize: 512
  iam: {role: "arn:aws:iam::123456789012:role/runs"}
functions:
  caption:
    image: 123456789012.dkr.ecr.eu-central-1.amazonaws.com/captioner:1.2
    environment: {STAGE: "${opt:stage, 'dev'}"}
    url: {authorizer: aws_iam}
    events: [{sqs: "arn:aws:sqs:eu-central-1:123456789012:q"}]
`

func TestFunctionsOfTheServerlessFrameworkBecomeObjects(t *testing.T) {
	o := options
	o.Variables = map[string]string{"stage": "prod"}
	set := must(t, map[string]string{"serverless.yml": service}, ".", o)
	if got := ids(set); got != "Function.lambda.apexlogic.com captioner-prod-caption" {
		t.Fatalf("got %s", got)
	}
	f, err := gitops.LambdaFunctionOf(&set.Objects()[0])
	if err != nil {
		t.Fatal(err)
	}
	image := "123456789012.dkr.ecr.eu-central-1.amazonaws.com/captioner"
	want := gitops.LambdaFunction{Image: image + "@" + string(digestFor(image+":1.2")), Role: "arn:aws:iam::123456789012:role/runs",
		Environment: map[string]string{"STAGE": "prod"}, TimeoutSeconds: 6, MemoryMiB: 512, URL: &gitops.LambdaURL{Auth: "AWS_IAM"}}
	if !reflect.DeepEqual(f, want) {
		t.Errorf("got %+v\nwant %+v", f, want)
	}
}

const faas = `version: 1.0
provider: {name: openfaas, gateway: "http://127.0.0.1:8080"}
functions:
  caption:
    lang: python3
    handler: ./caption
    image: ghcr.io/vision/caption:0.1
    environment: {DEBUG: true, LEVEL: info}
    labels: {tier: gold}
    secrets: [token]
    fprocess: python3 index.py
    limits: {memory: 128Mi}
    readonly_root_filesystem: true
  resize:
    image: ghcr.io/vision/resize:0.1
    namespace: vision
`

func TestAStackOfOpenFaaSBecomesObjects(t *testing.T) {
	set := must(t, map[string]string{"stack.yml": faas}, ".", options)
	if got := ids(set); got != "Function.openfaas.com vision/caption, Function.openfaas.com vision/resize" {
		t.Fatalf("got %s", got)
	}
	want := map[string]any{"name": "caption", "image": "ghcr.io/vision/caption@" + string(digestFor("ghcr.io/vision/caption:0.1")),
		"environment": map[string]any{"DEBUG": "true", "LEVEL": "info", "fprocess": "python3 index.py"}, "labels": map[string]any{"tier": "gold"},
		"secrets": []any{"token"}, "limits": map[string]any{"memory": "128Mi"}, "readOnlyRootFilesystem": true}
	if got := set.Objects()[0].Body["spec"]; !reflect.DeepEqual(got, want) {
		t.Errorf("got %v\nwant %v", got, want)
	}
}

func TestFunctionsAreRefusedWithTheirReason(t *testing.T) {
	o := options
	o.Account, o.Region = "123456789012", "eu-central-1"
	none := options
	for name, tc := range map[string]struct {
		text string
		code verdict.Code
		why  string
		bare bool // without account and region
	}{
		"an account that is not known":   {sam, verdict.FunctionUnresolved, "account and region", true},
		"no name":                        {edited(sam, "      FunctionName: captioner\n", ""), verdict.ObjectName, "FunctionName", false},
		"an image of outside":            {edited(sam, "ImageUri: 123456789012.dkr.ecr.eu-central-1.amazonaws.com/captioner:1.2", "ImageUri: !Ref Open"), verdict.FunctionUnresolved, "the image", false},
		"a variable of outside":          {edited(sam, "!Ref Level", "!Ref Open"), verdict.FunctionUnresolved, "LEVEL", false},
		"a variable of a secret store":   {edited(sam, "!Ref Level", `"{{resolve:secretsmanager:x}}"`), verdict.FunctionUnresolved, "secret store", false},
		"a memory of outside":            {edited(sam, "MemorySize: 2048", "MemorySize: !Ref Open"), verdict.FunctionUnresolved, "write it out", false},
		"a memory that is no number":     {edited(sam, "MemorySize: 2048", "MemorySize: much"), verdict.ObjectInvalid, "whole number", false},
		"a choice":                       {edited(sam, "MemorySize: 2048", "MemorySize: !If [Big, 2048, 128]"), verdict.FunctionUnresolved, "a choice", false},
		"a choice in a policy":           {edited(sam, "      - Statement:", "      - !If [Big, a, b]\n      - Statement:"), verdict.FunctionUnresolved, "a choice", false},
		"a condition":                    {edited(sam, "    Type: AWS::Serverless::Function\n", "    Type: AWS::Serverless::Function\n    Condition: Big\n"), verdict.FunctionUnresolved, "condition", false},
		"a policy of outside":            {edited(sam, "models-${AWS::AccountId}", "${Open}"), verdict.FunctionUnresolved, "the policy", false},
		"an event of a caller":           {edited(sam, "Type: SQS", "Type: S3"), verdict.RenderFeature, "AWS::Lambda::Permission", false},
		"a property that is not applied": {edited(sam, "MemorySize: 2048", "ImageConfig: {Command: [x]}"), verdict.RenderFeature, "ImageConfig", false},
		"one of all that is not applied": {edited(sam, "    Timeout: 30\n", "    AutoPublishAlias: live\n"), verdict.RenderFeature, "AutoPublishAlias", false},
		"an address for nobody":          {edited(sam, "AuthType: AWS_IAM", "AuthType: WHO"), verdict.ObjectInvalid, "AuthType", false},
		"an address with more":           {edited(sam, "AuthType: AWS_IAM", "AuthType: AWS_IAM, Cors: {}"), verdict.RenderFeature, "Cors", false},
		"a permission of another":        {edited(sam, "FunctionName: !Ref Captioner", "FunctionName: other"), verdict.FunctionUnresolved, "does not declare", false},
		"a macro":                        {edited(sam, "Transform: AWS::Serverless-2016-10-31", "Transform: [Mine]"), verdict.FunctionUnreadable, "macro", false},
		"an alias":                       {zipped + "  Live: {Type: AWS::Lambda::Alias, Properties: {Name: live}}\n", verdict.RenderFeature, "AWS::Lambda::Alias", false},
		"an archive without version":     {edited(zipped, ", S3ObjectVersion: abc", ""), verdict.FunctionMutable, "without its version", false},
		"code in the template":           {edited(zipped, "{S3Bucket: code, S3Key: thumbs.zip, S3ObjectVersion: abc}", "{ZipFile: x}"), verdict.FunctionMutable, "not built yet", false},
		"code in a folder":               {edited(zipped, "{S3Bucket: code, S3Key: thumbs.zip, S3ObjectVersion: abc}", "./src"), verdict.FunctionMutable, "not built yet", false},
		"no code":                        {edited(zipped, "      Code: {S3Bucket: code, S3Key: thumbs.zip, S3ObjectVersion: abc}\n", ""), verdict.FunctionMutable, "cannot change", false},
		"a layer without version":        {edited(zipped, "deps:7", "deps"), verdict.FunctionMutable, "no version", false},
		"a role without a name":          {edited(zipped, "      RoleName: thumbs-runs\n", ""), verdict.ObjectName, "RoleName", false},
		"a role of outside":              {edited(zipped, "!GetAtt Runs.Arn", "!ImportValue x"), verdict.FunctionUnresolved, "role", false},
		"two policies of one name":       {zipped + "      - PolicyName: read\n        PolicyDocument: {Statement: []}\n", verdict.ObjectName, "two policies", false},
		"an architecture of none":        {edited(sam, "arm64", "mips"), verdict.ObjectInvalid, "arm64", false},
		"a template without functions":   {"AWSTemplateFormatVersion: x\nResources: {T: {Type: AWS::DynamoDB::Table}}\n", verdict.RenderEmpty, "no function", false},
		"a task of ECS":                  {edited(zipped, "  Runs:\n", "  Task: {Type: AWS::ECS::TaskDefinition, Properties: {Family: x}}\n  Runs:\n"), verdict.RenderFeature, "only functions", false},
		"a service's open variable":      {edited(service, `"${opt:stage, 'dev'}"`, `"${env:STAGE}"`), verdict.FunctionUnresolved, "STAGE", false},
		"a service's event":              {edited(service, "{sqs: ", "{s3: "), verdict.RenderFeature, "event s3", false},
		"a service's setting":            {edited(service, "    url: ", "    provisionedConcurrency: 3\n    url: "), verdict.RenderFeature, "provisionedConcurrency", false},
		"OpenFaaS: a value of outside":   {edited(faas, "LEVEL: info", `LEVEL: "${LEVEL:-info}"`), verdict.FunctionUnresolved, "LEVEL", false},
		"OpenFaaS: an image of outside":  {edited(faas, "caption:0.1", "caption:${TAG:-1}"), verdict.ReferenceUnresolved, "not known here", false},
		"OpenFaaS: a file of variables":  {edited(faas, "fprocess: python3 index.py", "environment_file: [x.yml]"), verdict.RenderFeature, "environment_file", false},
		"OpenFaaS: no mapping":           {edited(faas, "    image: ghcr.io/vision/resize:0.1\n    namespace: vision\n", "    - x\n"), verdict.ObjectInvalid, "not a mapping", false},
		"OpenFaaS: another namespace":    {edited(faas, "namespace: vision", "namespace: claims"), verdict.ObjectNamespace, "claims", false},
		"OpenFaaS: variables in a list":  {edited(faas, "{DEBUG: true, LEVEL: info}", "[DEBUG]"), verdict.ObjectInvalid, "not a mapping", false},
	} {
		t.Run(name, func(t *testing.T) {
			with := o
			if tc.bare {
				with = none
			}
			r := refusal(t, map[string]string{"f.yaml": tc.text}, ".", with)[0]
			if r.Code != tc.code || !strings.Contains(r.Why, tc.why) || r.Where.File != "f.yaml" {
				t.Errorf("got %s at %v: %s", r.Code, r.Where, r.Why)
			}
		})
	}
}
