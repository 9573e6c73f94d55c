package judge

import (
	"testing"

	"github.com/apexlogic/apex/internal/function/stack"
)

// verdicts makes cases of policies that nobody has: statements by the name of
// the case, those that are bad and those that are good.
type verdicts struct{ bad, good map[string][]string }

func (v verdicts) cases() []labelled {
	var list []labelled
	for name, statements := range v.bad {
		list = append(list, labelled{name, true, alone(statements...)})
	}
	for name, statements := range v.good {
		list = append(list, labelled{name, false, alone(statements...)})
	}
	return list
}

// with is a role with policies of AWS.
func with(arns ...string) *stack.Stack {
	p := role("app", trusting(lambdas))
	p.Managed = managed(arns...)
	return &stack.Stack{Principals: []stack.Principal{p}}
}

// limited is a role with a policy and a boundary.
func limited(boundary string, statements ...string) *stack.Stack {
	p := role("app", trusting(lambdas), "p")
	p.Boundary = "limit"
	return &stack.Stack{Principals: []stack.Principal{p}, Policies: []stack.Policy{policy("p", statements...), policy("limit", boundary)}}
}

func TestDataExfiltration(t *testing.T) {
	cases := verdicts{
		bad: map[string][]string{
			"objects of every bucket":            {"Allow s3:GetObject on *"},
			"objects of every bucket, by ARN":    {"Allow s3:GetObject on arn:aws:s3:::*"},
			"objects of every bucket, by path":   {"Allow s3:GetObject on arn:aws:s3:::*/*"},
			"reads by a pattern":                 {"Allow s3:Get* on *"},
			"every secret":                       {"Allow secretsmanager:GetSecretValue on *"},
			"every secret of a region":           {"Allow secretsmanager:GetSecretValue on arn:aws:secretsmanager:eu-west-1:123456789012:secret:*"},
			"every parameter":                    {"Allow ssm:GetParameter,ssm:GetParameters on arn:aws:ssm:*:*:parameter/*"},
			"every table":                        {"Allow dynamodb:Scan,dynamodb:Query on arn:aws:dynamodb:eu-west-1:123456789012:table/*"},
			"snapshots of every database":        {"Allow rds:CopyDBSnapshot,rds:CreateDBSnapshot on *"},
			"all but deleting":                   {"Allow not s3:Delete* on *"},
			"all resources but one":              {"Allow secretsmanager:GetSecretValue on not arn:aws:secretsmanager:*:*:secret:root"},
			"a version stage, which all have":    {`Allow secretsmanager:GetSecretValue on * if {"StringEquals":{"secretsmanager:VersionStage":"AWSCURRENT"}}`},
			"its own account":                    {`Allow s3:GetObject on * if {"StringEquals":{"aws:ResourceAccount":"123456789012"}}`},
			"a Deny of one bucket":               {"Allow s3:GetObject on *", "Deny s3:GetObject on arn:aws:s3:::payroll/*"},
			"an unresolved partition and region": {"Allow secretsmanager:GetSecretValue on arn:${AWS::Partition}:secretsmanager:${AWS::Region}:${AWS::AccountId}:secret:*"},
		},
		good: map[string][]string{
			"objects of one bucket":          {"Allow s3:GetObject on arn:aws:s3:::photos/*"},
			"objects of a family of buckets": {"Allow s3:GetObject on arn:aws:s3:::vision-*/*"},
			"one bucket by reference":        {"Allow s3:GetObject on ${aws_s3_bucket.b.arn}/*"},
			"one bucket by name":             {"Allow s3:GetObject on arn:aws:s3:::${Photos}/*"},
			"one secret":                     {"Allow secretsmanager:GetSecretValue on arn:aws:secretsmanager:eu-west-1:123456789012:secret:db-*"},
			"parameters below a path":        {"Allow ssm:GetParametersByPath on arn:aws:ssm:*:*:parameter/vision/*"},
			"one table and its indexes":      {"Allow dynamodb:Query on arn:aws:dynamodb:*:*:table/claims,arn:aws:dynamodb:*:*:table/claims/index/*"},
			"names of buckets":               {"Allow s3:ListAllMyBuckets,s3:ListBucket on *"},
			"descriptions":                   {"Allow dynamodb:DescribeTable,secretsmanager:DescribeSecret,rds:Describe* on *"},
			"writing only":                   {"Allow s3:PutObject on *"},
			"a tag on the secret":            {`Allow secretsmanager:GetSecretValue on * if {"StringEquals":{"secretsmanager:ResourceTag/team":"vision"}}`},
			"a network that must be used":    {`Allow s3:GetObject on * if {"StringEquals":{"aws:SourceVpce":"vpce-0a1b"}}`},
			"a Deny of all objects":          {"Allow s3:* on *", "Deny s3:GetObject* on *"},
			"a Deny only":                    {"Deny s3:GetObject on *"},
		},
	}.cases()
	cases = append(cases,
		labelled{"AmazonS3ReadOnlyAccess", true, with("arn:aws:iam::aws:policy/AmazonS3ReadOnlyAccess")},
		labelled{"AWSLambdaBasicExecutionRole", false, with("arn:aws:iam::aws:policy/service-role/AWSLambdaBasicExecutionRole")},
		labelled{"a boundary of one bucket", false, limited("Allow s3:GetObject on arn:aws:s3:::photos/*", "Allow s3:GetObject on *")},
		labelled{"a boundary of everything", true, limited("Allow s3:* on *", "Allow s3:GetObject on *")},
	)
	check(t, "data_exfiltration", cases)
}

func TestCredentialsExposure(t *testing.T) {
	cases := verdicts{
		bad: map[string][]string{
			"keys of every user":        {"Allow iam:CreateAccessKey on *"},
			"keys of every user by ARN": {"Allow iam:CreateAccessKey on arn:aws:iam::123456789012:user/*"},
			"passwords":                 {"Allow iam:CreateLoginProfile,iam:UpdateLoginProfile on *"},
			"every role":                {"Allow sts:AssumeRole on *"},
			"every role by ARN":         {"Allow sts:AssumeRole on arn:aws:iam::*:role/*"},
			"any federated user":        {"Allow sts:GetFederationToken on *"},
			"every Redshift cluster":    {"Allow redshift:GetClusterCredentials on *"},
			"every database user":       {"Allow rds-db:connect on arn:aws:rds-db:*:*:dbuser:*/*"},
			"service credentials":       {"Allow iam:CreateServiceSpecificCredential on *"},
			"all of IAM":                {"Allow iam:* on *"},
			"passwords of instances":    {"Allow ec2:GetPasswordData on *"},
			"all of STS":                {"Allow sts:* on *"},
		},
		good: map[string][]string{
			"one's own keys":           {"Allow iam:CreateAccessKey on arn:aws:iam::*:user/${aws:username}"},
			"one role":                 {"Allow sts:AssumeRole on arn:aws:iam::123456789012:role/deploy"},
			"a family of roles":        {"Allow sts:AssumeRole on arn:aws:iam::*:role/deploy-*"},
			"who am I":                 {"Allow sts:GetCallerIdentity,sts:GetSessionToken on *"},
			"to pull images":           {"Allow ecr:GetAuthorizationToken on *"},
			"one database user":        {"Allow rds-db:connect on arn:aws:rds-db:eu-west-1:123456789012:dbuser:db-1/app"},
			"lists of keys":            {"Allow iam:ListAccessKeys,iam:GetUser on *"},
			"keys that are taken away": {"Allow iam:DeleteAccessKey on *"},
			"denied":                   {"Allow iam:CreateAccessKey on *", "Deny iam:*AccessKey on *"},
			"with a second factor":     {`Allow sts:AssumeRole on * if {"Bool":{"aws:MultiFactorAuthPresent":"true"}}`},
			"one cluster":              {"Allow redshift:GetClusterCredentials on arn:aws:redshift:*:*:dbuser:reports/app"},
		},
	}.cases()
	check(t, "credentials_exposure", cases)
}

func TestAdminOrServiceStar(t *testing.T) {
	cases := verdicts{
		bad: map[string][]string{
			"everything":                        {"Allow * on *"},
			"everything, with a colon":          {"Allow *:* on *"},
			"all of a service":                  {"Allow s3:* on *"},
			"all of a service, by its ARN":      {"Allow s3:* on arn:aws:s3:::*"},
			"all of a service in its account":   {"Allow dynamodb:* on arn:aws:dynamodb:*:123456789012:*"},
			"one star among others":             {"Allow s3:GetObject,sqs:* on *"},
			"a star beside a bounded statement": {"Allow s3:GetObject on arn:aws:s3:::a/*", "Allow ec2:* on *"},
			"all but a service":                 {"Allow not iam:* on *"},
			"a service in capitals":             {"Allow IAM:* on *"},
			"a region that the caller picks":    {`Allow ec2:* on * if {"StringEquals":{"aws:RequestedRegion":"eu-west-1"}}`},
			"a Deny of a little":                {"Allow s3:* on *", "Deny s3:DeleteBucket on *"},
			"all of a service on every table":   {"Allow dynamodb:* on arn:aws:dynamodb:*:*:table/*"},
			"two stars":                         {"Allow ec2:** on *"},
		},
		good: map[string][]string{
			"all of a service on one bucket":  {"Allow s3:* on arn:aws:s3:::photos,arn:aws:s3:::photos/*"},
			"all of a service on a reference": {"Allow dynamodb:* on ${aws_dynamodb_table.t.arn}"},
			"reads by a pattern":              {"Allow s3:Get*,s3:List* on *"},
			"a Deny of everything":            {"Deny * on *"},
			"a star that is denied":           {"Allow s3:* on *", "Deny s3:* on *"},
			"a star that is denied by all":    {"Allow sqs:* on *", "Deny * on *"},
			"all of a service on a family":    {"Allow dynamodb:* on arn:aws:dynamodb:*:*:table/claims-*"},
			"all on a bucket's ARN and more":  {"Allow * on arn:aws:s3:::photos/*"},
			"named actions":                   {"Allow ec2:DescribeInstances,logs:PutLogEvents on *"},
			"a star from one network":         {`Allow s3:* on * if {"IpAddress":{"aws:SourceIp":["203.0.113.7"]}}`},
			"a star with a second factor":     {`Allow ec2:* on * if {"Bool":{"aws:MultiFactorAuthPresent":"true"}}`},
			"a Deny by NotAction":             {"Deny not sts:GetCallerIdentity on *"},
			"everything on one queue":         {"Allow * on arn:aws:sqs:eu-west-1:123456789012:jobs"},
			"an action that is not known":     {"Allow ${var.service}:* on arn:aws:s3:::a"},
		},
	}.cases()
	cases = append(cases,
		labelled{"AdministratorAccess", true, with("arn:aws:iam::aws:policy/AdministratorAccess")},
		labelled{"AdministratorAccess in an unresolved partition", true, with("arn:${AWS::Partition}:iam::aws:policy/AdministratorAccess")},
		labelled{"AmazonDynamoDBFullAccess", true, with("arn:aws:iam::aws:policy/AmazonDynamoDBFullAccess")},
		labelled{"AWSLambdaVPCAccessExecutionRole", false, with("arn:aws:iam::aws:policy/service-role/AWSLambdaVPCAccessExecutionRole")},
		labelled{"a policy that is not known", false, with("arn:aws:iam::123456789012:policy/AdministratorAccess")},
		labelled{"a boundary of one service", false, limited("Allow s3:GetObject on *", "Allow ec2:* on *")},
	)
	check(t, "admin_or_service_star", cases)
}

func TestStarResource(t *testing.T) {
	cases := verdicts{
		bad: map[string][]string{
			"objects":                   {"Allow s3:PutObject on *"},
			"queues":                    {"Allow sqs:SendMessage on *"},
			"items":                     {"Allow dynamodb:PutItem,dynamodb:UpdateItem on *"},
			"functions":                 {"Allow lambda:InvokeFunction on *"},
			"instances":                 {"Allow ec2:TerminateInstances on *"},
			"all but one":               {"Allow sns:Publish on not arn:aws:sns:*:*:alarms"},
			"tags":                      {"Allow ec2:CreateTags on *"},
			"by a pattern":              {"Allow kinesis:Put* on *"},
			"a key":                     {"Allow kms:Decrypt,kms:Encrypt on *"},
			"among others":              {"Allow logs:DescribeLogGroups,s3:DeleteBucket on *"},
			"a star among names":        {"Allow sqs:SendMessage on arn:aws:sqs:*:*:jobs,*"},
			"a tag of the request only": {`Allow ec2:RunInstances on * if {"StringEquals":{"aws:RequestTag/team":"vision"}}`},
		},
		good: map[string][]string{
			"an action without a resource type":       {"Allow logs:DescribeLogGroups on *"},
			"lists of buckets":                        {"Allow s3:ListAllMyBuckets on *"},
			"a job whose id nobody knows yet":         {"Allow comprehend:StartPiiEntitiesDetectionJob on *"},
			"metrics":                                 {"Allow cloudwatch:PutMetricData on *"},
			"traces":                                  {"Allow xray:PutTraceSegments,xray:PutTelemetryRecords on *"},
			"reads":                                   {"Allow s3:GetObject on *"},
			"descriptions":                            {"Allow ec2:Describe* on *"},
			"one bucket":                              {"Allow s3:PutObject on arn:aws:s3:::photos/*"},
			"one queue by reference":                  {"Allow sqs:SendMessage on ${aws_sqs_queue.q.arn}"},
			"a star in a name":                        {"Allow sqs:SendMessage on arn:aws:sqs:*:*:jobs-*"},
			"a tag on the resource":                   {`Allow ec2:StopInstances on * if {"StringEquals":{"ec2:ResourceTag/team":"vision"}}`},
			"denied":                                  {"Allow sqs:SendMessage on *", "Deny sqs:* on *"},
			"a resource that is not known":            {"Allow sqs:SendMessage on ${var.queue}"},
			"authorization for a registry of images":  {"Allow ecr:GetAuthorizationToken on *"},
			"everything is denied by another element": {"Deny s3:PutObject on *"},
		},
	}.cases()
	cases = append(cases,
		labelled{"a boundary of one queue", false, limited("Allow sqs:SendMessage on arn:aws:sqs:*:*:jobs", "Allow sqs:SendMessage on *")},
		labelled{"a policy of AWS", false, with("arn:aws:iam::aws:policy/service-role/AWSLambdaVPCAccessExecutionRole")},
	)
	check(t, "star_resource", cases)
}

func TestUnconstrainedPermissionsManagement(t *testing.T) {
	check(t, "unconstrained_permissions_mgmt", verdicts{
		bad: map[string][]string{
			"policies of roles":              {"Allow iam:AttachRolePolicy on *"},
			"policies of roles by ARN":       {"Allow iam:PutRolePolicy on arn:aws:iam::*:role/*"},
			"policies of buckets":            {"Allow s3:PutBucketPolicy on *"},
			"policies of buckets by ARN":     {"Allow s3:PutBucketPolicy,s3:PutBucketAcl on arn:aws:s3:::*"},
			"permissions of functions":       {"Allow lambda:AddPermission on *"},
			"permissions of queues":          {"Allow sqs:AddPermission on *"},
			"policies of keys":               {"Allow kms:PutKeyPolicy on *"},
			"policies of secrets":            {"Allow secretsmanager:PutResourcePolicy on *"},
			"all of IAM":                     {"Allow iam:* on *"},
			"by a pattern":                   {"Allow iam:*Policy on *"},
			"a tag of the request, as bound": {`Allow iam:PutRolePolicy on * if {"StringEquals":{"aws:RequestTag/a":"b"}}`},
		},
		good: map[string][]string{
			"policies of one role":        {"Allow iam:AttachRolePolicy on arn:aws:iam::123456789012:role/app"},
			"policies of a family":        {"Allow iam:PutRolePolicy on arn:aws:iam::*:role/vision/*"},
			"within a boundary":           {`Allow iam:AttachRolePolicy on * if {"StringEquals":{"iam:PermissionsBoundary":"arn:aws:iam::123456789012:policy/limit"}}`},
			"one bucket":                  {"Allow s3:PutBucketPolicy on arn:aws:s3:::photos"},
			"one bucket by reference":     {"Allow s3:PutBucketPolicy on ${aws_s3_bucket.b.arn}"},
			"reads of policies":           {"Allow iam:GetPolicy,iam:ListPolicies,s3:GetBucketPolicy on *"},
			"writes of data":              {"Allow s3:PutObject,sqs:SendMessage on *"},
			"denied":                      {"Allow iam:AttachRolePolicy on *", "Deny iam:Attach* on *"},
			"one function":                {"Allow lambda:AddPermission on arn:aws:lambda:*:*:function:captioner"},
			"a key for services only":     {`Allow kms:CreateGrant on * if {"Bool":{"kms:GrantIsForAWSResource":"true"}}`},
			"a role that is not known":    {"Allow iam:PutRolePolicy on ${var.role}"},
			"passing a role is no change": {"Allow iam:PassRole on *"},
		},
	}.cases())
}

func TestUnconstrainedWrite(t *testing.T) {
	check(t, "unconstrained_write", verdicts{
		bad: map[string][]string{
			"objects everywhere":           {"Allow s3:PutObject on *"},
			"objects everywhere, by ARN":   {"Allow s3:PutObject,s3:DeleteObject on arn:aws:s3:::*"},
			"every table":                  {"Allow dynamodb:DeleteItem on arn:aws:dynamodb:*:*:table/*"},
			"every queue":                  {"Allow sqs:SendMessage,sqs:DeleteMessage on arn:aws:sqs:*:*:*"},
			"every topic":                  {"Allow sns:Publish on arn:aws:sns:eu-west-1:123456789012:*"},
			"every function":               {"Allow lambda:InvokeFunction on arn:aws:lambda:*:*:function:*"},
			"instances":                    {"Allow ec2:TerminateInstances on *"},
			"every stream":                 {"Allow kinesis:PutRecord on arn:aws:kinesis:*:*:stream/*"},
			"secrets":                      {"Allow secretsmanager:PutSecretValue on *"},
			"a user agent is no bound":     {`Allow s3:DeleteObject on * if {"StringLike":{"aws:UserAgent":"tool/*"}}`},
			"a condition that all meet":    {`Allow s3:DeleteObject on * if {"StringLike":{"aws:PrincipalTag/team":"*"}}`},
			"an excluded tag is no bound":  {`Allow ec2:TerminateInstances on * if {"StringNotEquals":{"aws:ResourceTag/keep":"yes"}}`},
			"all of a service":             {"Allow dynamodb:* on *"},
			"an account that is not known": {"Allow sqs:SendMessage on arn:aws:sqs:${AWS::Region}:${AWS::AccountId}:*"},
		},
		good: map[string][]string{
			"one bucket":                      {"Allow s3:PutObject on arn:aws:s3:::photos/*"},
			"below a path":                    {"Allow s3:PutObject on arn:aws:s3:::photos/in/*"},
			"one table":                       {"Allow dynamodb:PutItem on arn:aws:dynamodb:*:*:table/claims"},
			"a family of queues":              {"Allow sqs:SendMessage on arn:aws:sqs:*:*:vision-*"},
			"a tag on the resource":           {`Allow ec2:TerminateInstances on * if {"StringEquals":{"aws:ResourceTag/team":"vision"}}`},
			"a network":                       {`Allow s3:PutObject on * if {"StringEquals":{"aws:SourceVpc":"vpc-1"}}`},
			"its own logs":                    {"Allow logs:CreateLogGroup,logs:CreateLogStream,logs:PutLogEvents on arn:aws:logs:*:*:*"},
			"metrics, which take none":        {"Allow cloudwatch:PutMetricData on *"},
			"reads":                           {"Allow s3:GetObject,dynamodb:Query on *"},
			"denied":                          {"Allow s3:PutObject on *", "Deny s3:Put* on arn:aws:s3:::*"},
			"one function by reference":       {"Allow lambda:InvokeFunction on ${Captioner.Arn}"},
			"calls that only a service makes": {`Allow kms:Decrypt on * if {"StringEquals":{"kms:ViaService":"s3.eu-west-1.amazonaws.com"}}`},
		},
	}.cases())
}

func TestAFindingStandsAtItsStatementOncePerClassAndResource(t *testing.T) {
	s := alone("Allow s3:GetObject on arn:aws:s3:::a/*", "Allow sqs:SendMessage on *", "Allow sns:Publish on *")
	found := of(Judge(s, Options{}), "star_resource")
	if len(found) != 1 || found[0].Line != 102 || found[0].File != "main.tf" || found[0].Resource != "p" {
		t.Errorf("%+v", found)
	}
	p := role("app", trusting(lambdas))
	p.Managed = managed("arn:aws:iam::aws:policy/ReadOnlyAccess", "arn:aws:iam::aws:policy/AdministratorAccess")
	p.ManagedAt = []stack.Where{{File: "main.tf", Line: 20}, {File: "main.tf", Line: 30}}
	found = of(Judge(&stack.Stack{Principals: []stack.Principal{p}}, Options{}), "admin_or_service_star")
	if len(found) != 1 || found[0].Line != 30 {
		t.Errorf("an attached policy is found at %+v", found)
	}
	both := &stack.Stack{
		Principals: []stack.Principal{role("a", "", "p"), role("b", "", "p")},
		Policies:   []stack.Policy{policy("p", "Allow s3:* on *")},
	}
	if found := of(Judge(both, Options{}), "admin_or_service_star"); len(found) != 1 {
		t.Errorf("a policy of two roles is found %d times", len(found))
	}
	spread := &stack.Stack{
		Principals: []stack.Principal{role("app", "", "p", "q")},
		Policies:   []stack.Policy{policy("p", "Allow iam:PassRole on *"), policy("q", "Allow logs:DescribeLogGroups on *", "Allow ec2:RunInstances on *")},
	}
	found = of(Judge(spread, Options{}), "privilege_escalation")
	if len(found) != 1 || found[0].Line != 101 || len(found[0].Related) != 1 || found[0].Related[0].Line != 102 {
		t.Errorf("rights of two policies are found at %+v", found)
	}
}
