package lambda_test

import (
	"context"
	"encoding/json"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/credentials"
	"github.com/aws/aws-sdk-go-v2/service/iam"
	awslambda "github.com/aws/aws-sdk-go-v2/service/lambda"

	"github.com/apexlogic/apex/internal/gitops"
	"github.com/apexlogic/apex/internal/gitops/target/lambda"
	"github.com/apexlogic/apex/internal/gitops/target/lambda/lambdatest"
	"github.com/apexlogic/apex/verdict"
)

const source = "vision"

// world is an account, and somebody else who may write to it.
type world struct {
	url    string
	target *lambda.Target
	lambda *awslambda.Client
	iam    *iam.Client
	real   bool // not our own fake
	// The versions of the archive, and of the one that others deploy.
	good, evil string
}

// credentialsOf has the SDK find credentials that say nothing.
func credentialsOf(t testing.TB) {
	t.Setenv("AWS_ACCESS_KEY_ID", "test")
	t.Setenv("AWS_SECRET_ACCESS_KEY", "test")
	t.Setenv("AWS_EC2_METADATA_DISABLED", "true")
	t.Setenv("AWS_CONFIG_FILE", "/dev/null")
	t.Setenv("AWS_SHARED_CREDENTIALS_FILE", "/dev/null")
}

func open(t testing.TB, url string, change func(*lambda.Options)) *lambda.Target {
	t.Helper()
	opt := lambda.Options{Account: lambdatest.Account, Region: lambdatest.Region, Endpoint: url,
		Interval: 20 * time.Millisecond, Budget: 1000, Settle: time.Minute, Pause: time.Millisecond}
	if change != nil {
		change(&opt)
	}
	target, err := lambda.Open(t.Context(), opt)
	if err != nil {
		t.Fatal(err)
	}
	return target
}

func worldAt(t testing.TB, url string, change func(*lambda.Options)) *world {
	credentialsOf(t)
	c := aws.Config{Region: lambdatest.Region, BaseEndpoint: aws.String(url), Credentials: credentials.NewStaticCredentialsProvider("mallory", "test", "")}
	return &world{good: "v1", evil: "v9", url: url, target: open(t, url, change), lambda: awslambda.NewFromConfig(c), iam: iam.NewFromConfig(c)}
}

func fake(t testing.TB, change func(*lambda.Options)) (*world, *lambdatest.Server) {
	s := lambdatest.Start(t)
	return worldAt(t, s.URL, change), s
}

const (
	trust   = `{"Version":"2012-10-17","Statement":[{"Effect":"Allow","Principal":{"Service":"lambda.amazonaws.com"},"Action":"sts:AssumeRole"}]}`
	reading = `{"Version":"2012-10-17","Statement":[{"Effect":"Allow","Action":["s3:GetObject"],"Resource":"arn:aws:s3:::models/*"}]}`
	basic   = "arn:aws:iam::aws:policy/service-role/AWSLambdaBasicExecutionRole"
	admin   = "arn:aws:iam::aws:policy/AdministratorAccess"
	bound   = "arn:aws:iam::" + lambdatest.Account + ":policy/bound"
	digest  = "@sha256:aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa"
	layer   = "arn:aws:lambda:" + lambdatest.Region + ":" + lambdatest.Account + ":layer:torch:3"
	secret  = "hunter2-hunter2"
)

func labelled(t testing.TB, o gitops.Object, err error) *gitops.Object {
	t.Helper()
	if err == nil {
		o, err = gitops.Labelled(o, source)
	}
	if err != nil {
		t.Fatal(err)
	}
	return &o
}

var here = verdict.Origin{File: "template.yaml", Line: 1}

func theRole(t testing.TB) *gitops.Object {
	o, err := gitops.LambdaRole{Trust: json.RawMessage(trust), Inline: map[string]json.RawMessage{"reads": json.RawMessage(reading)},
		Managed: []string{basic}, Boundary: bound, Path: "/apex/"}.Object("captioner-role", here)
	return labelled(t, o, err)
}

// spec is a function of an archive that uses all that both servers know.
func spec() gitops.LambdaFunction {
	reserved := 5
	return gitops.LambdaFunction{Code: &gitops.LambdaCode{Bucket: "code", Key: "captioner.zip", Version: "v1"}, Runtime: "python3.12", Handler: "app.handler",
		Role: "captioner-role", Environment: map[string]string{"MODEL": "tiny", "TOKEN": secret}, TimeoutSeconds: 30, MemoryMiB: 512, ReservedConcurrency: &reserved,
		Description: "pictures to words",
		Permissions: []gitops.LambdaPermission{{ID: "bucket", Action: "lambda:InvokeFunction", Principal: "s3.amazonaws.com", SourceARN: "arn:aws:s3:::pictures", SourceAccount: lambdatest.Account}},
		URL:         &gitops.LambdaURL{Auth: "AWS_IAM"}, Tags: map[string]string{"team": "vision"}}
}

// wide is spec with the rest, which moto does not keep.
func wide() gitops.LambdaFunction {
	s := spec()
	s.Layers = []string{layer}
	s.KMSKey = "arn:aws:kms:" + lambdatest.Region + ":" + lambdatest.Account + ":key/1"
	s.VPC = &gitops.LambdaVPC{Subnets: []string{"subnet-1", "subnet-2"}, SecurityGroups: []string{"sg-1"}}
	s.Tracing, s.StorageMiB, s.Architecture = "Active", 1024, "arm64"
	return s
}

func theFunction(t testing.TB, s gitops.LambdaFunction) *gitops.Object {
	o, err := s.Object("captioner", here)
	return labelled(t, o, err)
}

func theImage(t testing.TB) *gitops.Object {
	o, err := gitops.LambdaFunction{Image: lambdatest.Account + ".dkr.ecr.eu-central-1.amazonaws.com/reader" + digest, Role: "captioner-role"}.Object("reader", here)
	return labelled(t, o, err)
}

// thePublic has an address for everybody, as SAM writes it: without permissions.
func thePublic(t testing.TB) *gitops.Object {
	o, err := gitops.LambdaFunction{Image: lambdatest.Account + ".dkr.ecr.eu-central-1.amazonaws.com/greeter" + digest, Role: "captioner-role",
		URL: &gitops.LambdaURL{Auth: "NONE"}}.Object("greeter", here)
	return labelled(t, o, err)
}

func put(t testing.TB, target gitops.Target, o *gitops.Object) *gitops.Live {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 2*time.Minute)
	defer cancel()
	live, err := target.Apply(ctx, o, gitops.ApplyOptions{})
	if err != nil {
		t.Fatalf("apply %s: %v", o.ID, err)
	}
	return live
}

func get(t testing.TB, target gitops.Target, o *gitops.Object) *gitops.Live {
	t.Helper()
	live, err := target.Get(t.Context(), o.ID, o.Version)
	if err != nil {
		t.Fatalf("get %s: %v", o.ID, err)
	}
	return live
}

// contains says whether the live value has all that the desired one has.
func contains(want, have any) bool {
	switch w := want.(type) {
	case map[string]any:
		h, ok := have.(map[string]any)
		for k, v := range w {
			ok = ok && contains(v, h[k])
		}
		return ok
	case []any:
		h, ok := have.([]any)
		ok = ok && len(w) == len(h)
		for i := range w {
			ok = ok && contains(w[i], h[i])
		}
		return ok
	}
	return want == have
}

func asDesired(t testing.TB, o *gitops.Object, live *gitops.Live) {
	t.Helper()
	if !contains(o.Body["spec"], live.Body["spec"]) || gitops.SourceOf(live.Body) != source {
		want, _ := json.Marshal(o.Body)
		have, _ := json.Marshal(live.Body)
		t.Errorf("%s is not as desired:\nwant %s\nhave %s", o.ID, want, have)
	}
}

type (
	options = lambda.Options
	fault   = lambdatest.Fault
)

type sharedWorld struct {
	*world
	server *lambdatest.Server
}

// shared is a world with both objects in it.
func shared(t testing.TB) sharedWorld {
	w, s := fake(t, nil)
	put(t, w.target, theRole(t))
	put(t, w.target, theFunction(t, spec()))
	return sharedWorld{w, s}
}
