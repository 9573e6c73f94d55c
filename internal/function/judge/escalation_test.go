package judge

import (
	"testing"

	"github.com/apexlogic/apex/internal/function/stack"
)

const (
	anyRole = "arn:aws:iam::*:role/*"
	lambdas = `{"Service":"lambda.amazonaws.com"}`
)

// two is a role "app" with its policies, and a role "other" with its own.
func two(other stack.Principal, theirs []stack.Policy, mine ...stack.Policy) *stack.Stack {
	s := &stack.Stack{Policies: append(theirs, mine...)}
	var ids []string
	for _, p := range mine {
		ids = append(ids, p.ID)
	}
	s.Principals = []stack.Principal{role("app", trusting(lambdas), ids...), other}
	return s
}

func TestPrivilegeEscalation(t *testing.T) {
	admin := policy("theirs", "Allow * on *")
	logs := policy("theirs", "Allow logs:CreateLogGroup,logs:PutLogEvents on *")
	strong := func(trust string) stack.Principal { return role("other", trust, "theirs") }
	joined := func(principal stack.Principal, policies ...stack.Policy) *stack.Stack {
		return &stack.Stack{Principals: []stack.Principal{principal}, Policies: policies}
	}
	user := func(policies ...string) stack.Principal {
		return stack.Principal{ID: "u", Name: "u", Kind: "user", Policies: policies}
	}
	bounded := role("app", trusting(lambdas), "p")
	bounded.Boundary = "limit"
	unknownGroup := func() *stack.Stack {
		s := joined(user(), policy("g", "Allow iam:PutGroupPolicy on arn:aws:iam::*:group/dev"))
		s.Principals[0].Groups = []string{"grp"}
		s.Principals = append(s.Principals, stack.Principal{ID: "grp", Name: "dev", Kind: "group", Policies: []string{"g"}})
		return s
	}
	var cases []labelled
	bad := func(name string, s *stack.Stack) { cases = append(cases, labelled{name, true, s}) }
	good := func(name string, s *stack.Stack) { cases = append(cases, labelled{name, false, s}) }

	for _, a := range []string{
		"iam:CreatePolicyVersion", "iam:SetDefaultPolicyVersion", "iam:AttachUserPolicy", "iam:AttachGroupPolicy", "iam:AttachRolePolicy",
		"iam:PutUserPolicy", "iam:PutGroupPolicy", "iam:PutRolePolicy", "iam:AddUserToGroup", "iam:CreateAccessKey", "iam:CreateLoginProfile", "iam:UpdateLoginProfile",
		"iam:UpdateAssumeRolePolicy,sts:AssumeRole", "lambda:UpdateFunctionCode", "lambda:UpdateFunctionConfiguration", "glue:UpdateDevEndpoint", "ssm:SendCommand", "ssm:StartSession", "iam:*", "iam:Put*",
		"iam:PassRole,lambda:CreateFunction,lambda:InvokeFunction", "iam:PassRole,lambda:CreateFunction,lambda:CreateEventSourceMapping", "iam:PassRole,ec2:RunInstances", "iam:PassRole,glue:CreateDevEndpoint",
		"iam:PassRole,glue:CreateJob,glue:StartJobRun", "iam:PassRole,cloudformation:CreateStack", "iam:PassRole,datapipeline:CreatePipeline,datapipeline:PutPipelineDefinition",
		"iam:PassRole,sagemaker:CreateNotebookInstance,sagemaker:CreatePresignedNotebookInstanceUrl", "iam:PassRole,sagemaker:CreateTrainingJob", "iam:PassRole,codebuild:CreateProject,codebuild:StartBuild",
		"iam:PassRole,ecs:RegisterTaskDefinition,ecs:RunTask", "iam:PassRole,states:CreateStateMachine,states:StartExecution", "iam:PassRole,apprunner:CreateService", "iam:PassRole,eks:CreateNodegroup", "iam:PassRole,batch:RegisterJobDefinition,batch:SubmitJob",
	} {
		bad(a+" on everything", alone("Allow "+a+" on *"))
	}
	for _, a := range []string{"iam:PassRole", "lambda:CreateFunction,lambda:InvokeFunction", "iam:PassRole,lambda:CreateFunction", "iam:PassRole,glue:CreateJob", "iam:PassRole,ecs:RegisterTaskDefinition", "ec2:RunInstances", "iam:Get*,iam:List*", "ec2:Describe*", "iam:CreateUser", "iam:CreateRole,iam:CreatePolicy", "states:StartExecution"} {
		good(a+" alone", alone("Allow "+a+" on *"))
	}

	bad("rights spread over two policies", joined(role("app", "", "p", "q"), policy("p", "Allow iam:PassRole on "+anyRole), policy("q", "Allow lambda:CreateFunction,lambda:InvokeFunction on *")))
	good("the same rights of two roles", &stack.Stack{
		Principals: []stack.Principal{role("a", "", "p"), role("b", "", "q")},
		Policies:   []stack.Policy{policy("p", "Allow iam:PassRole on "+anyRole), policy("q", "Allow lambda:CreateFunction,lambda:InvokeFunction on *")},
	})
	bad("a Deny of something else", joined(role("app", "", "p", "q"), policy("p", "Allow iam:CreateAccessKey on *"), policy("q", "Deny iam:DeleteUser on *")))
	good("a Deny in the same policy", alone("Allow iam:CreateAccessKey on *", "Deny iam:CreateAccessKey on *"))
	good("a Deny in another policy", joined(role("app", "", "p", "q"), policy("p", "Allow iam:CreateAccessKey on *"), policy("q", "Deny iam:* on *")))
	good("a Deny by NotAction", joined(role("app", "", "p", "q"), policy("p", "Allow iam:CreateAccessKey on *"), policy("q", "Deny not s3:* on *")))
	bad("a Deny on another resource", alone("Allow iam:CreateAccessKey on *", "Deny iam:CreateAccessKey on arn:aws:iam::*:user/root-like"))
	bad("a Deny that a chosen tag avoids", alone("Allow iam:CreateAccessKey on *", `Deny iam:CreateAccessKey on * if {"StringEquals":{"aws:RequestTag/a":"b"}}`))
	good("a Deny of all who have no second factor", alone("Allow iam:CreateAccessKey on *", `Deny * on * if {"BoolIfExists":{"aws:MultiFactorAuthPresent":"false"}}`))
	bad("a Deny that only looks at a second factor that is there", alone("Allow iam:CreateAccessKey on *", `Deny * on * if {"Bool":{"aws:MultiFactorAuthPresent":"false"}}`))

	bad("NotAction that leaves IAM in", alone("Allow not s3:*,ec2:* on *"))
	bad("NotAction that leaves functions in", alone("Allow not iam:* on *"))
	good("NotAction that leaves out what leads on", alone("Allow not iam:*,lambda:*,sts:*,ec2*:*,ssm:*,glue:*,cloudformation:*,codebuild:*,sagemaker:*,states:*,ecs:*,datapipeline:*,codestar:*,sso:*,identitystore:* on *"))
	good("NotAction on one bucket", alone("Allow not s3:DeleteObject on arn:aws:s3:::b/*"))

	bad("a second factor that may be missing", alone(`Allow iam:AttachUserPolicy on * if {"BoolIfExists":{"aws:MultiFactorAuthPresent":"true"}}`))
	good("a second factor", alone(`Allow iam:AttachUserPolicy on * if {"Bool":{"aws:MultiFactorAuthPresent":"true"}}`))
	bad("any address", alone(`Allow iam:AttachUserPolicy on * if {"IpAddress":{"aws:SourceIp":"0.0.0.0/0"}}`))
	good("an address of the office", alone(`Allow iam:AttachUserPolicy on * if {"IpAddress":{"aws:SourceIp":"203.0.113.0/24"}}`))
	bad("a user agent, which anybody can send", alone(`Allow iam:AttachUserPolicy on * if {"StringEquals":{"aws:UserAgent":"our-tool"}}`))
	bad("a tag of the request", alone(`Allow iam:PutRolePolicy on * if {"StringEquals":{"aws:RequestTag/team":"vision"}}`))
	good("a tag of the holder", alone(`Allow iam:PutRolePolicy on * if {"StringEquals":{"aws:PrincipalTag/admin":"yes"}}`))
	bad("a tag of the holder that it may set", alone(`Allow iam:PutRolePolicy on * if {"StringEquals":{"aws:PrincipalTag/admin":"yes"}}`, "Allow iam:TagRole on *"))
	good("a tag of the role", alone(`Allow iam:PutRolePolicy on * if {"StringEquals":{"aws:ResourceTag/team":"vision"}}`))
	bad("a tag of the role that the holder may set", alone(`Allow iam:PutRolePolicy on * if {"StringEquals":{"aws:ResourceTag/team":"vision"}}`, "Allow iam:TagRole on *"))
	bad("a star as the condition", alone(`Allow iam:PutRolePolicy on * if {"StringLike":{"aws:PrincipalTag/team":"*"}}`))
	bad("all of no values", alone(`Allow iam:PutRolePolicy on * if {"ForAllValues:StringEquals":{"aws:TagKeys":["a"]}}`))
	bad("encrypted transport only", alone(`Allow iam:PutRolePolicy on * if {"Bool":{"aws:SecureTransport":"true"}}`))
	good("a permissions boundary that is required", alone(`Allow iam:PutRolePolicy on * if {"StringEquals":{"iam:PermissionsBoundary":"arn:aws:iam::123456789012:policy/limit"}}`))
	good("only one harmless policy may be attached", alone(`Allow iam:AttachRolePolicy on * if {"ArnEquals":{"iam:PolicyARN":"arn:aws:iam::aws:policy/ReadOnlyAccess"}}`))
	bad("any policy of AWS may be attached", alone(`Allow iam:AttachRolePolicy on * if {"ArnLike":{"iam:PolicyARN":"arn:aws:iam::aws:policy/*"}}`))
	bad("a role passed to the service that runs it", alone(`Allow iam:PassRole on * if {"StringEquals":{"iam:PassedToService":"ec2.amazonaws.com"}}`, "Allow ec2:RunInstances on *"))
	good("a role passed to another service", alone(`Allow iam:PassRole on * if {"StringEquals":{"iam:PassedToService":"events.amazonaws.com"}}`, "Allow ec2:RunInstances on *"))
	good("a region where there is no IAM", alone(`Allow iam:PutRolePolicy on * if {"StringEquals":{"aws:RequestedRegion":"eu-west-1"}}`))
	bad("a region that the caller picks", alone(`Allow lambda:UpdateFunctionCode on * if {"StringEquals":{"aws:RequestedRegion":"eu-west-1"}}`))
	good("calls that a service makes", alone(`Allow iam:PutRolePolicy on * if {"StringEquals":{"aws:SourceAccount":"123456789012"}}`))

	run := policy("p", "Allow iam:PassRole on arn:aws:iam::*:role/other", "Allow lambda:CreateFunction,lambda:InvokeFunction on *")
	bad("a strong role of the stack may be passed", two(strong(trusting(lambdas)), []stack.Policy{admin}, run))
	good("a harmless role of the stack may be passed", two(strong(trusting(lambdas)), []stack.Policy{logs}, run))
	good("a strong role that trusts another service may be passed", two(strong(trusting(`{"Service":"ec2.amazonaws.com"}`)), []stack.Policy{admin}, run))
	bad("a strong role by reference", two(strong(trusting(lambdas)), []stack.Policy{admin}, policy("p", "Allow iam:PassRole on ${other.arn}", "Allow lambda:CreateFunction,lambda:InvokeFunction on *")))
	good("another role by reference", two(strong(trusting(lambdas)), []stack.Policy{admin}, policy("p", "Allow iam:PassRole on ${another.arn}", "Allow lambda:CreateFunction,lambda:InvokeFunction on *")))
	good("one role outside of the stack", alone("Allow iam:PassRole on arn:aws:iam::123456789012:role/exec", "Allow lambda:CreateFunction,lambda:InvokeFunction on *"))
	bad("every role by a pattern", alone("Allow iam:PassRole on arn:aws:iam::123456789012:role/*", "Allow lambda:CreateFunction,lambda:InvokeFunction on *"))
	good("a family of roles, none of them known", alone("Allow iam:PassRole on arn:aws:iam::*:role/exec-*", "Allow lambda:CreateFunction,lambda:InvokeFunction on *"))
	bad("a family of roles with a strong one in it", two(strong(trusting(lambdas)), []stack.Policy{admin}, policy("p", "Allow iam:PassRole on arn:aws:iam::*:role/oth*", "Allow lambda:CreateFunction,lambda:InvokeFunction on *")))

	assume := policy("p", "Allow sts:AssumeRole on arn:aws:iam::*:role/other")
	bad("a strong role that trusts it", two(strong(trusting(`{"AWS":"arn:aws:iam::123456789012:role/app"}`)), []stack.Policy{admin}, assume))
	good("a strong role that trusts somebody else", two(strong(trusting(`{"AWS":"arn:aws:iam::123456789012:role/deploy"}`)), []stack.Policy{admin}, assume))
	good("a weak role that trusts it", two(strong(trusting(`{"AWS":"arn:aws:iam::123456789012:role/app"}`)), []stack.Policy{logs}, assume))
	chain := two(strong(trusting(`{"AWS":"arn:aws:iam::123456789012:role/app"}`)), []stack.Policy{policy("theirs", "Allow sts:AssumeRole on arn:aws:iam::*:role/third")}, assume)
	chain.Policies = append(chain.Policies, policy("thirds", "Allow * on *"))
	chain.Principals = append(chain.Principals, role("third", trusting(`{"AWS":"arn:aws:iam::123456789012:role/other"}`), "thirds"))
	bad("a strong role by way of a weak one", chain)

	code := policy("p", "Allow lambda:UpdateFunctionCode on arn:aws:lambda:eu-west-1:123456789012:function:job")
	runs := func(theirs stack.Policy) *stack.Stack {
		s := two(strong(trusting(lambdas)), []stack.Policy{theirs}, code)
		s.Functions = []stack.Function{{ID: "job", Name: "job", Kind: "aws_lambda_function", Role: "other"}}
		return s
	}
	bad("the code of a function with a strong role", runs(admin))
	good("the code of a function with a harmless role", runs(logs))

	bad("its own inline policy", joined(user("p"), policy("p", "Allow iam:PutUserPolicy on arn:aws:iam::123456789012:user/${aws:username}")))
	good("its own access keys", joined(user("p"), policy("p", "Allow iam:CreateAccessKey,iam:DeleteAccessKey on arn:aws:iam::123456789012:user/${aws:username}")))
	bad("its own inline policy, by name", joined(user("p"), policy("p", "Allow iam:AttachUserPolicy on arn:aws:iam::*:user/u")))
	good("the inline policy of somebody else", joined(user("p"), policy("p", "Allow iam:AttachUserPolicy on arn:aws:iam::*:user/v")))
	bad("the policy of a group it is in", unknownGroup())
	bad("a version of the policy that it has", joined(user("p"), policy("p", "Allow iam:CreatePolicyVersion on arn:aws:iam::123456789012:policy/p")))
	good("a version of a policy that it has not", joined(user("p"), policy("p", "Allow iam:CreatePolicyVersion on arn:aws:iam::123456789012:policy/q")))
	good("a boundary that leaves IAM out", joined(bounded, policy("p", "Allow iam:PutRolePolicy on *"), policy("limit", "Allow s3:*,dynamodb:* on *")))
	bad("a boundary that leaves IAM in", joined(bounded, policy("p", "Allow iam:PutRolePolicy on *"), policy("limit", "Allow s3:*,iam:* on *")))
	good("all rights: there is nothing to gain", alone("Allow * on *"))
	full := role("app", trusting(lambdas))
	full.Managed = managed("arn:aws:iam::aws:policy/IAMFullAccess")
	bad("IAMFullAccess", joined(full))
	basic := role("app", trusting(lambdas))
	basic.Managed = managed("arn:aws:iam::aws:policy/service-role/AWSLambdaBasicExecutionRole")
	good("the basic execution role", joined(basic))
	split := role("app", trusting(lambdas), "p")
	split.Managed = managed("arn:aws:iam::aws:policy/AWSLambda_FullAccess")
	bad("AWSLambda_FullAccess with iam:PassRole", joined(split, policy("p", "Allow iam:PassRole on *")))
	good("a value that is not known", alone("Allow iam:PutRolePolicy on ${var.role_arn}"))
	good("actions that are not known", alone("Allow ${var.actions} on *"))

	check(t, "privilege_escalation", cases)
}
