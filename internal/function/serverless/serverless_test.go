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

func TestVariablesAreResolvedFromTheFilesOnly(t *testing.T) {
	const head = `service: s
provider:
  name: aws
  stage: ${opt:stage, 'dev'}
params:
  default: {p: from-default}
  prod: {p: from-prod}
custom:
  list: [zero, one]
  map: {dev: D, prod: P}
  loop: ${self:custom.loop}
functions:
  f:
    handler: h
    environment:
      V: `
	for _, tc := range []struct {
		variable, stage string
		want            stack.Text
	}{
		{"plain", "", stack.Literal("plain")},
		{"${self:custom.list.1}", "", stack.Literal("one")},
		{"${self:custom.map.${opt:stage, 'dev'}}", "", stack.Literal("D")},
		{"${self:custom.map.${opt:stage, 'dev'}}", "prod", stack.Literal("P")},
		{"${self:custom.map.${self:provider.stage}}-x", "", stack.Literal("D-x")},
		{"${self:custom.none, 'fallback'}", "", stack.Literal("fallback")},
		{"${self:custom.none, self:custom.list.0}", "", stack.Literal("zero")},
		{"${self:custom.none, ${self:custom.list.0}}", "", stack.Literal("zero")},
		{"${self:custom.none}", "", stack.Text{Value: "${self:custom.none}"}},
		{"${self:custom.loop}", "", stack.Text{Value: "${self:custom.loop}"}},
		{"${env:SECRET}", "", stack.Text{Value: "${env:SECRET}"}},
		{"${env:SECRET, 'given'}", "", stack.Literal("given")},
		{"${ssm:/path/to, 'given'}", "", stack.Text{Value: "${ssm:/path/to}"}},
		{"a-${cf:other.Out}", "", stack.Text{Value: "a-${cf:other.Out}"}},
		{"${param:p}", "", stack.Literal("from-default")},
		{"${param:p}", "prod", stack.Literal("from-prod")},
		{"${sls:stage}", "", stack.Literal("dev")},
		{"${aws:accountId}", "", stack.Text{Value: "${AWS::AccountId}"}},
		{"${strToBool(true)}", "", stack.Literal("true")},
		{"${file(x.json):a.b}", "", stack.Literal("c")},
		{"${file(./x.json):a.${file(key.txt)}}", "", stack.Literal("c")},
		{"${file(none.yml):a, 'fallback'}", "", stack.Literal("fallback")},
		{"${file(code.js):a}", "", stack.Text{Value: "${file(code.js)a}"}},
		{"${file(../../etc/passwd)}", "", stack.Text{Value: "${file(../../etc/passwd)}"}},
		{"${AWS::Region}", "", stack.Literal("${AWS::Region}")},
	} {
		t.Run(tc.variable+" "+tc.stage, func(t *testing.T) {
			var options map[string]string
			if tc.stage != "" {
				options = map[string]string{"stage": tc.stage}
			}
			t.Setenv("SECRET", "of this machine")
			s := read(t, map[string]string{"app/serverless.yml": head + `"` + tc.variable + `"` + "\n",
				"app/x.json": `{"a": {"b": "c"}}`, "app/key.txt": "b", "app/code.js": "module.exports = {}"}, options)
			if got := s.Functions[0].Environment[0].Value; got != tc.want {
				t.Errorf("%+v, want %+v", got, tc.want)
			}
		})
	}
}

func TestRolesOfFunctionsAreToldApart(t *testing.T) {
	for _, tc := range []struct{ name, provider, function, want string }{
		{"the one that is made", "", "", "IamRoleLambdaExecution"},
		{"one of the function", "", "role: Own", "Own"},
		{"one by its ARN", "", "role: !GetAtt Own.Arn", "Own"},
		{"one of the provider", "  iam: {role: Own}\n", "", "Own"},
		{"one of the provider in the old way", "  role: Own\n", "", "Own"},
		{"one of the plugin", "", "iamRoleStatements: [{Effect: Allow, Action: 'a:b', Resource: '*'}]", "FIamRoleLambdaExecution"},
		{"one of somewhere else", "", "role: 'arn:aws:iam::111122223333:role/x'", ""},
	} {
		t.Run(tc.name, func(t *testing.T) {
			text := "service: s\nprovider:\n  name: aws\n" + tc.provider + "functions:\n  f:\n    handler: h\n    " + tc.function + "\nresources:\n  Resources: {Own: {Type: AWS::IAM::Role}}\n"
			s := read(t, map[string]string{"app/serverless.yml": text}, nil)
			f := function(t, s, "FLambdaFunction")
			if f.Role != tc.want || f.Role == "" && f.RoleText.Value == "" {
				t.Errorf("%q %+v, want %q", f.Role, f.RoleText, tc.want)
			}
			made := slices.ContainsFunc(s.Principals, func(p stack.Principal) bool { return p.ID == "IamRoleLambdaExecution" })
			if made != (tc.want == "IamRoleLambdaExecution") {
				t.Errorf("the shared role is made: %v", made)
			}
		})
	}
}

func TestStatementsOfAnOldServiceAreInheritedWhenItSaysSo(t *testing.T) {
	for inherit, want := range map[string]int{"true": 2, "false": 1} {
		text := "service: s\nprovider:\n  name: aws\n  iamRoleStatements:\n    - {Effect: Allow, Action: 'a:b', Resource: '*'}\nfunctions:\n  f:\n    handler: h\n    iamRoleStatementsInherit: " + inherit +
			"\n    iamRoleStatements:\n      - {Effect: Allow, Action: 'c:d', Resource: '*'}\n"
		s := read(t, map[string]string{"app/serverless.yml": text}, nil)
		if p := policy(t, s, "FIamRoleLambdaExecution/statements"); len(p.Lines) != want || p.Lines[0] != 11 {
			t.Errorf("inherit %s: %v", inherit, p.Lines)
		}
	}
}

func TestEventsAreWaysInUnlessTheyAskWhoCalls(t *testing.T) {
	for _, tc := range []struct {
		name, function, provider string
		public                   bool
	}{
		{"http", "events: [{http: {path: /, method: get}}]", "", true},
		{"http with an authorizer", "events: [{http: {path: /, method: get, authorizer: auth}}]", "", false},
		{"http with a key", "events: [{http: {path: /, method: get, private: true}}]", "", false},
		{"http inside of a network", "events: [{http: GET /}]", "  endpointType: PRIVATE\n", false},
		{"http with a policy", "events: [{http: GET /}]", "  apiGateway: {resourcePolicy: [{Effect: Allow, Principal: '*', Action: x, Resource: y}]}\n", false},
		{"httpApi", "events: [{httpApi: '*'}]", "", true},
		{"httpApi with an authorizer", "events: [{httpApi: {path: /, method: get, authorizer: {name: a}}}]", "", false},
		{"a URL", "url: true", "", true},
		{"a URL with cors", "url: {cors: true}", "", true},
		{"a URL with IAM", "url: {authorizer: aws_iam}", "", false},
		{"a queue", "events: [{sqs: 'arn:aws:sqs:r:a:q'}]", "", false},
	} {
		t.Run(tc.name, func(t *testing.T) {
			text := "service: s\nprovider:\n  name: aws\n" + tc.provider + "functions:\n  f:\n    handler: h\n    " + tc.function + "\n"
			s := read(t, map[string]string{"app/serverless.yml": text}, nil)
			if got := function(t, s, "FLambdaFunction").Public; (len(got) > 0) != tc.public {
				t.Errorf("%v", got)
			}
		})
	}
}

func FuzzRead(f *testing.F) {
	f.Add(captions, "a: ${self:custom}\n")
	f.Add("service: s\nprovider: {name: aws}\nfunctions: ${file(x.yml)}\n", "f: {handler: '${file(x.yml)}'}\n")
	f.Add("service: s\nprovider: aws\ncustom: {a: '${self:custom.b}${self:custom.b}', b: '${self:custom.c, ${opt:x, strToBool(1)}}'}\nresources: [1]\n", "")
	f.Fuzz(func(t *testing.T, text, other string) {
		docs, _ := node.YAML("app/serverless.yml", []byte(text))
		fsys := fstest.MapFS{"app/x.yml": &fstest.MapFile{Data: []byte(other)}}
		for _, d := range docs {
			if Is(d) {
				for _, p := range Read(fsys, "app/serverless.yml", d, nil).Policies {
					if !p.Unknown && p.Document == nil {
						t.Errorf("policy %s is neither there nor unknown", p.ID)
					}
				}
			}
		}
	})
}
