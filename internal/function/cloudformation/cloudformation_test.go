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

const sam = `Transform: AWS::Serverless-2016-10-31
Globals:
  Function:
    Timeout: 5
    Environment: {Variables: {SHARED: "1"}}
  Api: {Auth: {DefaultAuthorizer: Cognito}}
Resources:
  Table: {Type: AWS::Serverless::SimpleTable}
  Fn:
    Type: AWS::Serverless::Function
    Properties:
      Environment: {Variables: {OWN: "2"}}
      Policies:
        - AWSLambdaExecute
        - arn:aws:iam::aws:policy/AdministratorAccess
        - DynamoDBCrudPolicy:
            TableName: !Ref Table
        - Version: "2012-10-17"
          Statement:
            - Effect: Allow
              Action: s3:GetObject
              Resource: "*"
        - NoSuchPolicy: {A: b}
      Events:
        Guarded: {Type: Api, Properties: {Path: /, Method: get}}
        Open: {Type: Api, Properties: {Path: /open, Method: get, Auth: {Authorizer: NONE}}}
        Http: {Type: HttpApi}
        Queue: {Type: SQS, Properties: {Queue: q}}
  Url:
    Type: AWS::Serverless::Function
    Properties:
      Role: !GetAtt FnRole.Arn
      FunctionUrlConfig: {AuthType: NONE}
  Iam:
    Type: AWS::Serverless::Function
    Properties:
      FunctionUrlConfig: {AuthType: AWS_IAM}
      PackageType: Image
      ImageUri: r/app@sha256:00
      Layers: [!Sub "arn:aws:lambda:eu-west-1:1:layer:l:3"]
`

func TestSAMIsExpandedAsItsTransformDoes(t *testing.T) {
	s := read(t, sam)
	fn := function(t, s, "Fn")
	if fn.Role != "FnRole" || fn.Timeout.Seconds() != 5 || len(fn.Environment) != 2 {
		t.Errorf("%+v", fn)
	}
	var open []int
	for _, e := range fn.Public {
		open = append(open, e.Line)
	}
	if want := []int{line(t, sam, "Open:"), line(t, sam, "Http:")}; !slices.Equal(open, want) {
		t.Errorf("ways in %v, want %v", fn.Public, want)
	}
	role := principal(t, s, "FnRole")
	if len(role.Policies) != 3 || len(role.Managed) != 3 || role.Managed[1].Value != "arn:aws:iam::aws:policy/AWSLambdaExecute" || role.Trust == nil {
		t.Errorf("role %+v", role)
	}
	if role.ManagedAt[2].Line != line(t, sam, "- arn:aws:iam::aws:policy/Admin") {
		t.Errorf("managed at %+v", role.ManagedAt)
	}
	crud := policy(t, s, "FnRolePolicy2")
	if crud.Lines[0] != line(t, sam, "DynamoDBCrudPolicy") || !strings.Contains(string(crud.Document), `"arn:aws:dynamodb:${AWS::Region}:${AWS::AccountId}:table/${Table}/index/*"`) {
		t.Errorf("%+v %s", crud.Lines, crud.Document)
	}
	if own := policy(t, s, "FnRolePolicy3"); own.Lines[0] != line(t, sam, "- Effect: Allow") {
		t.Errorf("%+v", own.Lines)
	}
	if no := policy(t, s, "FnRolePolicy4"); !no.Unknown || len(s.Gaps) != 1 {
		t.Errorf("a template that nobody knows: %+v, gaps %v", no, s.Gaps)
	}
	if u := function(t, s, "Url"); u.Role != "FnRole" || len(u.Public) != 1 {
		t.Errorf("%+v", u)
	}
	if i := function(t, s, "Iam"); len(i.Public) != 0 || i.Image.Value != "r/app@sha256:00" || len(i.Code) != 1 || i.Role != "IamRole" {
		t.Errorf("%+v", i)
	}
}

func TestEveryPolicyTemplateHasStatements(t *testing.T) {
	for name := range templateLines() {
		p, err := node.Policy(policyTemplate(stack.Where{File: "t", Line: 1}, name, nil), name, "", stack.Where{File: "t", Line: 1})
		if err != nil || p.Unknown || len(p.Lines) == 0 {
			t.Errorf("%s: %+v, %v", name, p, err)
		}
		if strings.Contains(string(p.Document), `"{`) || strings.Contains(string(p.Document), `""`) {
			t.Errorf("%s: a parameter is not filled: %s", name, p.Document)
		}
	}
}

func TestJSONTemplatesMeanTheSame(t *testing.T) {
	const text = `{
  "Parameters": {"Who": {"Type": "String"}},
  "Resources": {
    "Role": {
      "Type": "AWS::IAM::Role",
      "Properties": {
        "AssumeRolePolicyDocument": {
          "Statement": [
            {"Effect": "Allow", "Principal": {"AWS": {"Fn::Sub": "arn:aws:iam::${AWS::AccountId}:root"}}, "Action": "sts:AssumeRole"},
            {"Fn::If": ["Nobody", {"Effect": "Allow", "Principal": "*", "Action": "sts:AssumeRole"}, {"Ref": "AWS::NoValue"}]}
          ]
        }
      }
    },
    "Policy": {
      "Type": "AWS::IAM::ManagedPolicy",
      "Properties": {
        "Roles": [{"Ref": "Role"}],
        "PolicyDocument": {
          "Statement": {
            "Effect": "Allow",
            "Action": {"Fn::Join": [":", ["s3", {"Ref": "Who"}]]},
            "Resource": {"Fn::GetAtt": ["Other", "Arn"]}
          }
        }
      }
    },
    "Queue": {"Type": "AWS::SQS::Queue"},
    "QueuePolicy": {
      "Type": "AWS::SQS::QueuePolicy",
      "Properties": {
        "Queues": [{"Ref": "Queue"}],
        "PolicyDocument": {
          "Statement": [{"Effect": "Allow", "Principal": "*", "Action": "sqs:*", "Resource": "*"}]
        }
      }
    }
  }
}`
	s := read(t, text)
	role := principal(t, s, "Role")
	if !strings.Contains(string(role.Trust.Document), `"arn:aws:iam::${AWS::AccountId}:root"`) || len(role.Trust.Lines) != 2 || !slices.Equal(role.Policies, []string{"Policy"}) {
		t.Errorf("%+v %s", role, role.Trust.Document)
	}
	p := policy(t, s, "Policy")
	if !strings.Contains(string(p.Document), `"Action":"s3:${Who}","Resource":"${Other.Arn}"`) || p.Lines[0] != line(t, text, `"Statement": {`) {
		t.Errorf("%v %s", p.Lines, p.Document)
	}
	i := slices.IndexFunc(s.Resources, func(r stack.Resource) bool { return r.ID == "QueuePolicy" })
	if i < 0 || s.Resources[i].Policy == nil || s.Resources[i].Policy.Lines[0] != line(t, text, `"Action": "sqs:*"`) {
		t.Errorf("%+v", s.Resources)
	}
}

func TestWaysIntoAFunctionAreFoundUnlessTheyAskWhoCalls(t *testing.T) {
	const head = "Resources:\n  F: {Type: AWS::Lambda::Function}\n  I: {Type: AWS::ApiGatewayV2::Integration, Properties: {IntegrationUri: !GetAtt F.Arn}}\n  X:\n"
	for _, tc := range []struct {
		name, text string
		public     bool
	}{
		{"a permission for everyone", "    Type: AWS::Lambda::Permission\n    Properties: {FunctionName: !Ref F, Principal: '*'}\n", true},
		{"one with a source", "    Type: AWS::Lambda::Permission\n    Properties: {FunctionName: !Ref F, Principal: '*', SourceArn: 'arn:aws:s3:::b'}\n", false},
		{"a method without authorizer", "    Type: AWS::ApiGateway::Method\n    Properties: {HttpMethod: GET, AuthorizationType: NONE, Integration: {Uri: !Sub 'arn:aws:apigateway:${AWS::Region}:lambda:path/2015-03-31/functions/${F.Arn}/invocations'}}\n", true},
		{"a method with one", "    Type: AWS::ApiGateway::Method\n    Properties: {HttpMethod: GET, AuthorizationType: CUSTOM, Integration: {Uri: !Sub 'arn:aws:apigateway:${AWS::Region}:lambda:path/2015-03-31/functions/${F.Arn}/invocations'}}\n", false},
		{"a route without authorizer", "    Type: AWS::ApiGatewayV2::Route\n    Properties: {Target: !Sub 'integrations/${I}'}\n", true},
		{"a route with one", "    Type: AWS::ApiGatewayV2::Route\n    Properties: {Target: !Sub 'integrations/${I}', AuthorizationType: JWT}\n", false},
	} {
		t.Run(tc.name, func(t *testing.T) {
			s := read(t, head+tc.text)
			if len(s.Functions) != 1 || len(s.Functions[0].Public) > 0 != tc.public {
				t.Errorf("%+v", s.Functions)
			}
		})
	}
}

func TestReferencesInACircleEnd(t *testing.T) {
	s := read(t, "Conditions: {A: !Condition B, B: !Condition A}\nResources:\n  R:\n    Type: AWS::IAM::Role\n    Condition: A\n    Properties: {RoleName: !Sub '${S}'}\n  S:\n    Type: AWS::IAM::Role\n    Properties: {RoleName: !Ref R, Path: !Sub '/${S.Arn}${S.Arn}/', ManagedPolicyArns: [!GetAtt S.Arn]}\n")
	if len(s.Principals) != 2 || !strings.HasPrefix(s.Principals[0].Name, "${") {
		t.Errorf("%+v", s.Principals)
	}
}

func FuzzRead(f *testing.F) {
	f.Add(rolesYAML)
	f.Add(sam)
	f.Add("Resources: {A: {Type: AWS::IAM::Role, Properties: {Policies: !If [x, !Ref A, !GetAtt A.B]}}}")
	f.Add("Globals: {Function: {Layers: [a]}}\nResources: {A: {Type: AWS::Serverless::Function, Properties: !Ref x}}")
	f.Fuzz(func(t *testing.T, text string) {
		docs, _ := node.YAML("t.yaml", []byte(text))
		for _, d := range docs {
			if !Is(d) {
				continue
			}
			for _, p := range Read("t.yaml", d).Policies {
				if !p.Unknown && p.Document == nil {
					t.Errorf("policy %s is neither there nor unknown", p.ID)
				}
			}
		}
	})
}
