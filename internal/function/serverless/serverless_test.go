package serverless

import (
	"slices"
	"strings"
	"testing"
	"testing/fstest"

	"github.com/apexlogic/apex/internal/function/node"
	"github.com/apexlogic/apex/internal/function/stack"
)

func read(t *testing.T, files map[string]string, options map[string]string) *stack.Stack {
	t.Helper()
	fsys := fstest.MapFS{}
	for name, text := range files {
		fsys[name] = &fstest.MapFile{Data: []byte(text)}
	}
	docs, err := node.YAML("app/serverless.yml", []byte(files["app/serverless.yml"]))
	if err != nil {
		t.Fatal(err)
	}
	if !Is(docs[0]) {
		t.Fatal("it is not taken for a service")
	}
	return Read(fsys, "app/serverless.yml", docs[0], options)
}

func line(t *testing.T, text, part string) int {
	t.Helper()
	before, _, ok := strings.Cut(text, part)
	if !ok {
		t.Fatalf("%q is not in the file", part)
	}
	return strings.Count(before, "\n") + 1
}

func function(t *testing.T, s *stack.Stack, id string) stack.Function {
	t.Helper()
	i := slices.IndexFunc(s.Functions, func(f stack.Function) bool { return f.ID == id })
	if i < 0 {
		t.Fatalf("no function %s in %+v", id, s.Functions)
	}
	return s.Functions[i]
}

func policy(t *testing.T, s *stack.Stack, id string) stack.Policy {
	t.Helper()
	i := slices.IndexFunc(s.Policies, func(p stack.Policy) bool { return p.ID == id })
	if i < 0 {
		t.Fatalf("no policy %s in %+v", id, s.Policies)
	}
	return s.Policies[i]
}

const captions = `service: captions
plugins: [serverless-iam-roles-per-function]
provider:
  name: aws
  stage: ${opt:stage, 'dev'}
  environment:
    STAGE: ${self:provider.stage}
    KEY: ${env:API_KEY}
  iam:
    role:
      statements:
        - Effect: Allow
          Action: s3:*
          Resource: "*"
        - ${file(statements.yml):extra}
custom:
  bucket: data-${self:provider.stage}
  loop: ${self:custom.loop}
functions:
  hello:
    handler: h.main
    events:
      - http: GET /hello
      - http:
          path: /safe
          method: get
          authorizer: aws_iam
  own-role:
    handler: h.main
    kmsKeyArn: arn:aws:kms:eu-west-1:111122223333:key/1
    url: true
    iamRoleStatements:
      - Effect: Allow
        Action: [s3:GetObject]
        Resource: !Sub "${Bucket.Arn}/*"
  shared:
    image: app:${self:custom.loop}
resources:
  Resources:
    Bucket:
      Type: AWS::S3::Bucket
      Properties: {BucketName: "${self:custom.bucket}"}
`

func TestAServiceIsReadAsTheFrameworkDeploysIt(t *testing.T) {
	s := read(t, map[string]string{"app/serverless.yml": captions, "app/statements.yml": "extra:\n  Effect: Deny\n  Action: 's3:Delete*'\n  Resource: '*'\n"}, nil)
	hello := function(t, s, "HelloLambdaFunction")
	if hello.Name != "captions-dev-hello" || hello.Role != "IamRoleLambdaExecution" || len(hello.Public) != 1 || hello.Public[0].Line != line(t, captions, "- http: GET") || hello.Line != line(t, captions, "  hello:") {
		t.Errorf("hello %+v", hello)
	}
	if len(hello.Environment) != 2 || hello.Environment[0].Value != stack.Literal("dev") || hello.Environment[1].Value != (stack.Text{Value: "${env:API_KEY}"}) || hello.Environment[1].Line != line(t, captions, "KEY:") {
		t.Errorf("environment %+v", hello.Environment)
	}
	own := function(t, s, "OwnDashroleLambdaFunction")
	if own.Role != "OwnDashroleIamRoleLambdaExecution" || own.KMSKey.Value == "" || len(own.Public) != 1 || own.Public[0].Line != line(t, captions, "url: true") {
		t.Errorf("own %+v", own)
	}
	if f := function(t, s, "SharedLambdaFunction"); f.Role != hello.Role || f.Image.Known {
		t.Errorf("shared %+v", f)
	}
	p := policy(t, s, "IamRoleLambdaExecution/statements")
	if !slices.Equal(p.Lines[:1], []int{line(t, captions, "- Effect: Allow\n          Action: s3:*")}) || !strings.Contains(string(p.Document), "s3:Delete*") {
		t.Errorf("statements %+v %s", p, p.Document)
	}
	p = policy(t, s, "OwnDashroleIamRoleLambdaExecution/statements")
	if !slices.Equal(p.Lines, []int{line(t, captions, "- Effect: Allow\n        Action: [s3:GetObject]")}) || !strings.Contains(string(p.Document), `"arn:aws:s3:::data-dev/*"`) {
		t.Errorf("own statements %+v %s", p, p.Document)
	}
}
