package judge

import (
	"encoding/json"
	"testing"

	"github.com/apexlogic/apex/internal/function/stack"
)

func trusts(principal string, condition ...string) *stack.Stack {
	return &stack.Stack{Principals: []stack.Principal{role("app", trusting(principal, condition...))}}
}

func TestPublicOrCrossAccountTrust(t *testing.T) {
	const (
		github = `{"Federated":"arn:aws:iam::123456789012:oidc-provider/token.actions.githubusercontent.com"}`
		other  = `{"AWS":"arn:aws:iam::987654321098:root"}`
	)
	var cases []labelled
	bad := func(name string, s *stack.Stack) { cases = append(cases, labelled{name, true, s}) }
	good := func(name string, s *stack.Stack) { cases = append(cases, labelled{name, false, s}) }

	bad("everybody", trusts(`"*"`))
	bad("everybody of AWS", trusts(`{"AWS":"*"}`))
	bad("everybody in a list", trusts(`{"AWS":["arn:aws:iam::123456789012:role/app","*"]}`))
	bad("every service", trusts(`{"Service":"*"}`))
	bad("another account", trusts(other))
	bad("another account by its number", trusts(`{"AWS":"987654321098"}`))
	bad("another account beside a service", trusts(`{"Service":"lambda.amazonaws.com","AWS":"arn:aws:iam::987654321098:root"}`))
	bad("another account whose second factor may be missing", trusts(other, `{"BoolIfExists":{"aws:MultiFactorAuthPresent":"true"}}`))
	bad("another account with any external id", trusts(other, `{"StringLike":{"sts:ExternalId":"*"}}`))
	bad("another account with encrypted transport", trusts(other, `{"Bool":{"aws:SecureTransport":"true"}}`))
	bad("any role of any account", trusts(`{"AWS":"*"}`, `{"ArnLike":{"aws:PrincipalArn":"arn:aws:iam::*:role/*"}}`))
	bad("every repository of GitHub", trusts(github, `{"StringEquals":{"token.actions.githubusercontent.com:aud":"sts.amazonaws.com"}}`))
	bad("every repository by a star", trusts(github, `{"StringLike":{"token.actions.githubusercontent.com:sub":"repo:*"}}`))
	bad("a provider by reference, without a condition", trusts(`{"Federated":"${aws_iam_openid_connect_provider.github.arn}"}`))
	bad("a provider by reference, with its audience only", trusts(`{"Federated":"${aws_iam_openid_connect_provider.github.arn}"}`, `{"StringEquals":{"token.actions.githubusercontent.com:aud":"sts.amazonaws.com"}}`))
	bad("all but a few", &stack.Stack{Principals: []stack.Principal{role("app", `{"Statement":{"Effect":"Allow","Action":"sts:AssumeRole","NotPrincipal":{"AWS":"arn:aws:iam::123456789012:user/x"}}}`)}})

	good("a service", trusts(lambdas))
	good("several services", trusts(`{"Service":["lambda.amazonaws.com","edgelambda.amazonaws.com"]}`))
	good("one role of an account", trusts(`{"AWS":"arn:aws:iam::987654321098:role/deploy"}`))
	good("one role by reference", trusts(`{"AWS":"${aws_iam_role.deploy.arn}"}`))
	good("its own account", trusts(`{"AWS":"arn:aws:iam::${data.aws_caller_identity.current.account_id}:root"}`))
	good("its own account in CloudFormation", trusts(`{"AWS":"arn:${AWS::Partition}:iam::${AWS::AccountId}:root"}`))
	good("another account with an external id", trusts(other, `{"StringEquals":{"sts:ExternalId":"9c1d7f"}}`))
	good("another account with a second factor", trusts(other, `{"Bool":{"aws:MultiFactorAuthPresent":"true"}}`))
	good("everybody of one organisation", trusts(`{"AWS":"*"}`, `{"StringEquals":{"aws:PrincipalOrgID":"o-a1b2c3"}}`))
	good("one role of everybody", trusts(`{"AWS":"*"}`, `{"ArnEquals":{"aws:PrincipalArn":"arn:aws:iam::987654321098:role/deploy"}}`))
	good("one repository of GitHub", trusts(github, `{"StringLike":{"token.actions.githubusercontent.com:sub":"repo:apexlogic/apex:*"},"StringEquals":{"token.actions.githubusercontent.com:aud":"sts.amazonaws.com"}}`))
	good("a cluster's service account", trusts(`{"Federated":"arn:aws:iam::123456789012:oidc-provider/oidc.eks.eu-west-1.amazonaws.com/id/ABC"}`, `{"StringEquals":{"oidc.eks.eu-west-1.amazonaws.com/id/ABC:sub":"system:serviceaccount:vision:captioner"}}`))
	good("a pool of users", trusts(`{"Federated":"cognito-identity.amazonaws.com"}`, `{"StringEquals":{"cognito-identity.amazonaws.com:aud":"eu-west-1:1a2b"}}`))
	good("a Deny of everybody outside", &stack.Stack{Principals: []stack.Principal{role("app", `{"Statement":[{"Effect":"Allow","Action":"sts:AssumeRole","Principal":{"AWS":"*"}},{"Effect":"Deny","Action":"sts:AssumeRole","Principal":"*","Condition":{"StringNotEquals":{"aws:PrincipalOrgID":"o-a1b2c3"}}}]}`)}})
	check(t, "public_or_cross_account_trust", cases)
}

// owning is a resource with a policy, whose statements are written in JSON.
func owning(kind, statements string) *stack.Stack {
	where := stack.Where{File: "main.tf", Line: 50}
	return &stack.Stack{Resources: []stack.Resource{{Where: where, ID: "r", Name: "r", Type: kind, Policy: &stack.Policy{Where: where, Document: json.RawMessage(`{"Version":"2012-10-17","Statement":[` + statements + `]}`)}}}}
}

func TestPublicResourcePolicy(t *testing.T) {
	allow := func(principal, action, condition string) *stack.Stack {
		s := `{"Effect":"Allow","Principal":` + principal + `,"Action":"` + action + `","Resource":"*"`
		if condition != "" {
			s += `,"Condition":` + condition
		}
		return owning("AWS::SQS::Queue", s+"}")
	}
	yes, no := true, false
	var cases []labelled
	bad := func(name string, s *stack.Stack) { cases = append(cases, labelled{name, true, s}) }
	good := func(name string, s *stack.Stack) { cases = append(cases, labelled{name, false, s}) }

	bad("everybody reads objects", allow(`"*"`, "s3:GetObject", ""))
	bad("everybody of AWS", allow(`{"AWS":"*"}`, "sqs:SendMessage", ""))
	bad("everybody in a list", allow(`{"AWS":["arn:aws:iam::123456789012:root","*"]}`, "sns:Publish", ""))
	bad("everybody does everything", allow(`"*"`, "*", ""))
	bad("everybody over encrypted transport", allow(`"*"`, "s3:GetObject", `{"Bool":{"aws:SecureTransport":"true"}}`))
	bad("everybody with a referer", allow(`"*"`, "s3:GetObject", `{"StringLike":{"aws:Referer":"https://example.org/*"}}`))
	bad("everybody from anywhere", allow(`"*"`, "s3:PutObject", `{"IpAddress":{"aws:SourceIp":"0.0.0.0/0"}}`))
	bad("everybody from outside of one network", allow(`"*"`, "s3:PutObject", `{"NotIpAddress":{"aws:SourceIp":"10.0.0.0/8"}}`))
	bad("on behalf of any bucket", allow(`"*"`, "sns:Publish", `{"ArnLike":{"aws:SourceArn":"arn:aws:s3:*:*:*"}}`))
	bad("all but one", owning("AWS::S3::Bucket", `{"Effect":"Allow","NotPrincipal":{"AWS":"arn:aws:iam::123456789012:user/x"},"Action":"s3:*","Resource":"*"}`))
	bad("everybody, and a Deny of plain transport", owning("AWS::S3::Bucket", `{"Effect":"Allow","Principal":"*","Action":"s3:GetObject","Resource":"arn:aws:s3:::b/*"},{"Effect":"Deny","Principal":"*","Action":"s3:*","Resource":"*","Condition":{"Bool":{"aws:SecureTransport":"false"}}}`))
	bad("an access list for everybody", &stack.Stack{Resources: []stack.Resource{{ID: "r", Type: "AWS::S3::Bucket", Public: &yes}}})
	bad("a key that all may use", owning("AWS::KMS::Key", `{"Effect":"Allow","Principal":{"AWS":"*"},"Action":"kms:Decrypt","Resource":"*"}`))

	good("one account", allow(`{"AWS":"arn:aws:iam::123456789012:root"}`, "kms:*", ""))
	good("a service", allow(`{"Service":"sns.amazonaws.com"}`, "sqs:SendMessage", ""))
	good("one role", allow(`{"AWS":"arn:aws:iam::987654321098:role/reader"}`, "s3:GetObject", ""))
	good("one organisation", allow(`"*"`, "s3:GetObject", `{"StringEquals":{"aws:PrincipalOrgID":"o-a1b2c3"}}`))
	good("on behalf of one topic", allow(`"*"`, "sqs:SendMessage", `{"ArnEquals":{"aws:SourceArn":"arn:aws:sns:eu-west-1:123456789012:jobs"}}`))
	good("on behalf of one bucket", allow(`"*"`, "sqs:SendMessage", `{"ArnLike":{"aws:SourceArn":"arn:aws:s3:*:*:photos"}}`))
	good("on behalf of one account", allow(`"*"`, "sns:Publish", `{"StringEquals":{"aws:SourceAccount":"123456789012"}}`))
	good("through one endpoint", allow(`"*"`, "s3:GetObject", `{"StringEquals":{"aws:SourceVpce":"vpce-1a2b"}}`))
	good("from the office", allow(`"*"`, "s3:GetObject", `{"IpAddress":{"aws:SourceIp":["203.0.113.0/24"]}}`))
	good("a key by the callers of one account", allow(`{"AWS":"*"}`, "kms:Decrypt", `{"StringEquals":{"kms:CallerAccount":"123456789012","kms:ViaService":"s3.eu-west-1.amazonaws.com"}}`))
	good("a Deny of everybody", owning("AWS::S3::Bucket", `{"Effect":"Deny","Principal":"*","Action":"s3:*","Resource":"*","Condition":{"Bool":{"aws:SecureTransport":"false"}}}`))
	good("everybody, and a Deny of all outside", owning("AWS::S3::Bucket", `{"Effect":"Allow","Principal":"*","Action":"s3:GetObject","Resource":"arn:aws:s3:::b/*"},{"Effect":"Deny","Principal":"*","Action":"s3:*","Resource":"*","Condition":{"StringNotEquals":{"aws:SourceVpc":"vpc-1"}}}`))
	good("an access list for its owner", &stack.Stack{Resources: []stack.Resource{{ID: "r", Type: "AWS::S3::Bucket", Public: &no}}})
	good("a name that is not known", allow(`{"AWS":"${var.reader}"}`, "s3:GetObject", ""))
	check(t, "public_resource_policy", cases)
}
