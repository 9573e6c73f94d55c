package cloudformation

import (
	"slices"
	"strings"
	"testing"

	"github.com/apexlogic/apex/internal/function/node"
	"github.com/apexlogic/apex/internal/function/stack"
)

func read(t *testing.T, text string) *stack.Stack {
	t.Helper()
	name, parse := "t.yaml", node.YAML
	var doc *node.Node
	if strings.HasPrefix(strings.TrimSpace(text), "{") {
		d, err := node.JSON("t.json", []byte(text))
		if err != nil {
			t.Fatal(err)
		}
		doc, name = d, "t.json"
	} else {
		docs, err := parse(name, []byte(text))
		if err != nil {
			t.Fatal(err)
		}
		doc = docs[0]
	}
	if !Is(doc) {
		t.Fatal("it is not taken for a template")
	}
	return Read(name, doc)
}

// line is the line of the first occurrence of a text.
func line(t *testing.T, text, part string) int {
	t.Helper()
	before, _, ok := strings.Cut(text, part)
	if !ok {
		t.Fatalf("%q is not in the template", part)
	}
	return strings.Count(before, "\n") + 1
}

func policy(t *testing.T, s *stack.Stack, id string) stack.Policy {
	t.Helper()
	i := slices.IndexFunc(s.Policies, func(p stack.Policy) bool { return p.ID == id })
	if i < 0 {
		t.Fatalf("no policy %s in %+v", id, s.Policies)
	}
	return s.Policies[i]
}

func principal(t *testing.T, s *stack.Stack, id string) stack.Principal {
	t.Helper()
	i := slices.IndexFunc(s.Principals, func(p stack.Principal) bool { return p.ID == id })
	if i < 0 {
		t.Fatalf("no principal %s in %+v", id, s.Principals)
	}
	return s.Principals[i]
}

func function(t *testing.T, s *stack.Stack, id string) stack.Function {
	t.Helper()
	i := slices.IndexFunc(s.Functions, func(f stack.Function) bool { return f.ID == id })
	if i < 0 {
		t.Fatalf("no function %s in %+v", id, s.Functions)
	}
	return s.Functions[i]
}

const rolesYAML = `AWSTemplateFormatVersion: "2010-09-09"
Parameters:
  Env: {Type: String, Default: prod}
  Owner: {Type: String}
Conditions:
  IsProd: !Equals [!Ref Env, prod]
  IsDev: !Not [!Condition IsProd]
Mappings:
  Names:
    prod: {bucket: data-prod}
Resources:
  Role:
    Type: AWS::IAM::Role
    Properties:
      RoleName: !Sub "worker-${Env}"
      AssumeRolePolicyDocument:
        Version: 2012-10-17
        Statement:
          - Effect: Allow
            Principal: {Service: lambda.amazonaws.com}
            Action: sts:AssumeRole
      ManagedPolicyArns:
        - !Sub arn:${AWS::Partition}:iam::aws:policy/ReadOnlyAccess
      Policies:
        - PolicyName: inline
          PolicyDocument:
            Statement:
              - Effect: Allow
                Action: [s3:GetObject]
                Resource: !Sub "${Bucket.Arn}/*"
              - Effect: Allow
                Action: s3:PutObject
                Resource: !Join ["", ["arn:aws:s3:::", !Ref Owner, "/*"]]
  Bucket:
    Type: AWS::S3::Bucket
    Properties:
      BucketName: !FindInMap [Names, !Ref Env, bucket]
      AccessControl: PublicRead
  DevOnly:
    Type: AWS::IAM::Policy
    Condition: IsDev
    Properties: {PolicyName: dev, Roles: [!Ref Role], PolicyDocument: {Statement: {Effect: Allow, Action: "*", Resource: "*"}}}
  ProdOnly:
    Type: AWS::IAM::Policy
    Condition: IsProd
    Properties:
      PolicyName: prod
      Roles: [!Ref Role]
      PolicyDocument:
        Statement:
          Effect: Deny
          Action: "iam:*"
          Resource: "*"
  Fn:
    Type: AWS::Lambda::Function
    Properties:
      Role: !GetAtt Role.Arn
      Code: {ImageUri: !Sub "${AWS::AccountId}.dkr.ecr.eu-west-1.amazonaws.com/app:1"}
      Timeout: 30
      Environment:
        Variables:
          PLAIN: value
          FROM: "{{resolve:secretsmanager:db}}"
          OWNER: !Ref Owner
  Url:
    Type: AWS::Lambda::Url
    Properties: {TargetFunctionArn: !Ref Fn, AuthType: NONE}
`

func TestATemplateIsResolvedAsCloudFormationDoes(t *testing.T) {
	s := read(t, rolesYAML)
	role := principal(t, s, "Role")
	if role.Name != "worker-prod" || role.Line != line(t, rolesYAML, "  Role:\n") {
		t.Errorf("role %+v", role)
	}
	if got, want := role.Policies, []string{"Role/inline", "ProdOnly"}; !slices.Equal(got, want) {
		t.Errorf("policies %v, want %v: the condition of the other is false", got, want)
	}
	if len(role.Managed) != 1 || role.Managed[0].Value != "arn:aws:iam::aws:policy/ReadOnlyAccess" || !role.Managed[0].Known {
		t.Errorf("managed %+v", role.Managed)
	}
	if role.Trust == nil || role.Trust.Lines[0] != line(t, rolesYAML, "- Effect: Allow") {
		t.Errorf("trust %+v", role.Trust)
	}
	inline := policy(t, s, "Role/inline")
	if got, want := inline.Lines, []int{line(t, rolesYAML, "- Effect: Allow\n                Action: [s3:GetObject]"), line(t, rolesYAML, "- Effect: Allow\n                Action: s3:PutObject")}; !slices.Equal(got, want) {
		t.Errorf("lines %v, want %v", got, want)
	}
	for _, want := range []string{`"arn:aws:s3:::data-prod/*"`, `"arn:aws:s3:::${Owner}/*"`} {
		if !strings.Contains(string(inline.Document), want) {
			t.Errorf("%s lacks %s", inline.Document, want)
		}
	}
	f := function(t, s, "Fn")
	if f.Role != "Role" || f.Timeout.Seconds() != 30 || len(f.Public) != 1 || f.Public[0].Line != line(t, rolesYAML, "  Url:") {
		t.Errorf("function %+v", f)
	}
	if f.Image.Known || f.Image.Value != "${AWS::AccountId}.dkr.ecr.eu-west-1.amazonaws.com/app:1" {
		t.Errorf("image %+v", f.Image)
	}
	if len(f.Environment) != 3 || f.Environment[0].Line != line(t, rolesYAML, "PLAIN:") || !f.Environment[0].Value.Known ||
		f.Environment[1].From != "secretsmanager" || f.Environment[2].Value != (stack.Text{Value: "${Owner}"}) {
		t.Errorf("environment %+v", f.Environment)
	}
	if b := s.Resources[0]; b.Name != "data-prod" || b.Public == nil || !*b.Public {
		t.Errorf("bucket %+v", b)
	}
}
