package iam

import (
	"strings"
)

// Managed is what a policy that AWS manages allows, written as few statements
// as say the same. The real documents are long lists that change; these are
// kept to what a judge asks of them, and are never narrower in what is dangerous.
// False: the ARN is not in the table, and what it allows is not known.
//
// The ARN may stand with an unresolved partition ("arn:${AWS::Partition}:iam::aws:policy/…").
func Managed(arn string) (*Policy, bool) {
	const mark = ":iam::aws:policy/"
	at := strings.Index(arn, mark)
	if at < 0 || !strings.HasPrefix(arn, "arn:") {
		return nil, false
	}
	name := arn[at+len(mark):]
	name = name[strings.LastIndexByte(name, '/')+1:]
	allow, deny, ok := managed(name)
	if !ok {
		return nil, false
	}
	p := &Policy{Version: "2012-10-17", Name: name}
	if strings.HasPrefix(allow, "!") {
		p.Statements = append(p.Statements, Statement{Effect: Allow, NotActions: actions(allow[1:]), Resources: []*Pattern{ResourcePattern("*")}})
	} else if allow != "" {
		p.Statements = append(p.Statements, Statement{Effect: Allow, Actions: actions(allow), Resources: []*Pattern{ResourcePattern("*")}})
	}
	if deny != "" {
		p.Statements = append(p.Statements, Statement{Index: 1, Effect: Deny, Actions: actions(deny), Resources: []*Pattern{ResourcePattern("*")}})
	}
	return p, true
}

func actions(list string) []*Pattern {
	var out []*Pattern
	for _, a := range strings.Fields(list) {
		out = append(out, ActionPattern(a))
	}
	return out
}

// managed says what a policy allows, "!" in front of what it does not, and denies.
func managed(name string) (allow, deny string, ok bool) {
	switch name {
	case "AdministratorAccess":
		return "*", "", true
	case "AdministratorAccess-Amplify", "AdministratorAccess-AWSElasticBeanstalk":
		return "cloudformation:* iam:PassRole iam:CreateRole iam:AttachRolePolicy iam:PutRolePolicy s3:* lambda:* apigateway:* dynamodb:*", "", true
	case "PowerUserAccess":
		return "!iam:* organizations:* account:*", "", true
	case "SystemAdministrator":
		return "ec2:* ssm:* cloudwatch:* cloudtrail:* logs:* rds:* route53:* s3:List* s3:Get* s3:Put* sns:* sqs:* iam:Get* iam:List*", "", true
	case "NetworkAdministrator":
		return "ec2:*Vpc* ec2:*Subnet* ec2:*SecurityGroup* ec2:*Route* ec2:*NetworkAcl* route53:* cloudfront:* elasticloadbalancing:* directconnect:*", "", true
	case "DatabaseAdministrator":
		return "rds:* dynamodb:* elasticache:* redshift:* s3:Get* s3:List* s3:Put* cloudwatch:* sns:*", "", true
	case "DataScientist":
		return "elasticmapreduce:* s3:* redshift:* machinelearning:* sagemaker:* ec2:Describe* cloudwatch:* kinesis:* iam:Get* iam:List*", "", true
	case "IAMFullAccess":
		return "iam:* organizations:DescribeAccount organizations:List*", "", true
	case "IAMReadOnlyAccess":
		return "iam:Get* iam:List* iam:GenerateCredentialReport iam:GenerateServiceLastAccessedDetails iam:Simulate*", "", true
	case "IAMUserChangePassword":
		return "iam:GetAccountPasswordPolicy", "", true
	case "SecurityAudit", "ViewOnlyAccess":
		return "ec2:Describe* iam:Get* iam:List* s3:GetBucket* s3:ListAllMyBuckets lambda:List* lambda:GetPolicy logs:Describe* cloudtrail:Describe* kms:List* kms:Describe* sns:List* sqs:List*", "", true
	case "ReadOnlyAccess":
		return "a*:Describe* a*:Get* a*:List* cloud*:Describe* cloud*:Get* cloud*:List* dynamodb:BatchGet* dynamodb:Describe* dynamodb:Get* dynamodb:List* dynamodb:Query dynamodb:Scan ec2:Describe* ec2:Get* ecr:BatchGet* ecr:Get* ecr:Describe* ecr:List* iam:Get* iam:List* kinesis:Get* kinesis:Describe* kms:Describe* kms:List* kms:Get* lambda:Get* lambda:List* logs:Describe* logs:Get* logs:FilterLogEvents rds:Describe* rds:List* s3:Get* s3:List* sns:Get* sns:List* sqs:Get* sqs:List* sqs:ReceiveMessage states:Describe* states:List* states:Get*", "", true
	case "AWSLambda_FullAccess", "AWSLambdaFullAccess":
		return "lambda:* cloudformation:Describe* cloudwatch:Get* cloudwatch:List* iam:GetRole iam:ListRoles iam:ListPolicies logs:Describe* logs:FilterLogEvents states:List* states:Describe* tag:GetResources xray:Get*", "", true
	case "AWSLambda_ReadOnlyAccess", "AWSLambdaReadOnlyAccess":
		return "lambda:Get* lambda:List* logs:Describe* logs:FilterLogEvents iam:ListRoles xray:Get*", "", true
	case "AWSLambdaInvocation-DynamoDB":
		return "lambda:InvokeFunction dynamodb:DescribeStream dynamodb:GetRecords dynamodb:GetShardIterator dynamodb:ListStreams", "", true
	case "AWSLambdaRole":
		return "lambda:InvokeFunction", "", true
	case "AWSLambdaExecute":
		return "logs:CreateLogGroup logs:CreateLogStream logs:PutLogEvents s3:GetObject s3:PutObject", "", true
	case "AWSLambdaBasicExecutionRole", "AWSAppSyncPushToCloudWatchLogs", "AmazonAPIGatewayPushToCloudWatchLogs", "CloudWatchLambdaInsightsExecutionRolePolicy":
		return "logs:CreateLogGroup logs:CreateLogStream logs:PutLogEvents", "", true
	case "AWSLambdaVPCAccessExecutionRole":
		return "logs:CreateLogGroup logs:CreateLogStream logs:PutLogEvents ec2:CreateNetworkInterface ec2:DescribeNetworkInterfaces ec2:DescribeSubnets ec2:DeleteNetworkInterface ec2:AssignPrivateIpAddresses ec2:UnassignPrivateIpAddresses", "", true
	case "AWSLambdaENIManagementAccess":
		return "ec2:CreateNetworkInterface ec2:DescribeNetworkInterfaces ec2:DeleteNetworkInterface ec2:AssignPrivateIpAddresses ec2:UnassignPrivateIpAddresses", "", true
	case "AWSLambdaSQSQueueExecutionRole":
		return "sqs:ReceiveMessage sqs:DeleteMessage sqs:GetQueueAttributes logs:CreateLogGroup logs:CreateLogStream logs:PutLogEvents", "", true
	case "AWSLambdaDynamoDBExecutionRole":
		return "dynamodb:DescribeStream dynamodb:GetRecords dynamodb:GetShardIterator dynamodb:ListStreams logs:CreateLogGroup logs:CreateLogStream logs:PutLogEvents", "", true
	case "AWSLambdaKinesisExecutionRole":
		return "kinesis:DescribeStream kinesis:DescribeStreamSummary kinesis:GetRecords kinesis:GetShardIterator kinesis:ListShards kinesis:ListStreams kinesis:SubscribeToShard logs:CreateLogGroup logs:CreateLogStream logs:PutLogEvents", "", true
	case "AWSLambdaMSKExecutionRole":
		return "kafka:DescribeCluster kafka:DescribeClusterV2 kafka:GetBootstrapBrokers ec2:CreateNetworkInterface ec2:DescribeNetworkInterfaces ec2:DeleteNetworkInterface logs:CreateLogGroup logs:CreateLogStream logs:PutLogEvents", "", true
	case "AWSXRayDaemonWriteAccess", "AWSXrayWriteOnlyAccess":
		return "xray:PutTraceSegments xray:PutTelemetryRecords xray:GetSamplingRules xray:GetSamplingTargets xray:GetSamplingStatisticSummaries", "", true
	case "CloudWatchAgentServerPolicy":
		return "cloudwatch:PutMetricData ec2:DescribeVolumes ec2:DescribeTags logs:PutLogEvents logs:DescribeLogStreams logs:DescribeLogGroups logs:CreateLogStream logs:CreateLogGroup", "", true
	case "CloudWatchFullAccess", "CloudWatchFullAccessV2":
		return "cloudwatch:* logs:* sns:CreateTopic sns:ListTopics sns:Subscribe iam:GetRole", "", true
	case "CloudWatchLogsFullAccess":
		return "logs:*", "", true
	case "CloudWatchReadOnlyAccess", "CloudWatchLogsReadOnlyAccess":
		return "cloudwatch:Describe* cloudwatch:Get* cloudwatch:List* logs:Describe* logs:Get* logs:List* logs:FilterLogEvents", "", true
	case "AmazonS3FullAccess":
		return "s3:* s3-object-lambda:*", "", true
	case "AmazonS3ReadOnlyAccess":
		return "s3:Get* s3:List* s3:Describe* s3-object-lambda:Get* s3-object-lambda:List*", "", true
	case "AmazonDynamoDBFullAccess", "AmazonDynamoDBFullAccess_v2":
		return "dynamodb:* dax:*", "", true
	case "AmazonDynamoDBReadOnlyAccess":
		return "dynamodb:BatchGetItem dynamodb:Describe* dynamodb:List* dynamodb:GetItem dynamodb:Query dynamodb:Scan", "", true
	case "AmazonSQSFullAccess":
		return "sqs:*", "", true
	case "AmazonSQSReadOnlyAccess":
		return "sqs:GetQueueAttributes sqs:GetQueueUrl sqs:ListQueues sqs:ListDeadLetterSourceQueues", "", true
	case "AmazonSNSFullAccess":
		return "sns:*", "", true
	case "AmazonSNSReadOnlyAccess":
		return "sns:GetTopicAttributes sns:List*", "", true
	case "AmazonKinesisFullAccess":
		return "kinesis:*", "", true
	case "AmazonEC2FullAccess":
		return "ec2:* elasticloadbalancing:* cloudwatch:* autoscaling:*", "", true
	case "AmazonEC2ReadOnlyAccess":
		return "ec2:Describe* ec2:GetSecurityGroupsForVpc elasticloadbalancing:Describe* cloudwatch:Describe* cloudwatch:Get* cloudwatch:List* autoscaling:Describe*", "", true
	case "AmazonEC2ContainerRegistryFullAccess":
		return "ecr:* cloudtrail:LookupEvents", "", true
	case "AmazonEC2ContainerRegistryReadOnly", "AmazonEC2ContainerRegistryPullOnly":
		return "ecr:GetAuthorizationToken ecr:BatchCheckLayerAvailability ecr:GetDownloadUrlForLayer ecr:GetRepositoryPolicy ecr:DescribeRepositories ecr:ListImages ecr:DescribeImages ecr:BatchGetImage", "", true
	case "AmazonECSTaskExecutionRolePolicy":
		return "ecr:GetAuthorizationToken ecr:BatchCheckLayerAvailability ecr:GetDownloadUrlForLayer ecr:BatchGetImage logs:CreateLogStream logs:PutLogEvents", "", true
	case "AmazonECS_FullAccess":
		return "ecs:* ecr:BatchGetImage ecr:Describe* autoscaling:* elasticloadbalancing:* logs:CreateLogGroup", "", true
	case "AmazonSSMManagedInstanceCore":
		return "ssm:DescribeAssociation ssm:GetDocument ssm:ListAssociations ssm:UpdateInstanceInformation ssmmessages:CreateControlChannel ssmmessages:CreateDataChannel ssmmessages:OpenControlChannel ssmmessages:OpenDataChannel ec2messages:GetMessages ec2messages:SendReply", "", true
	case "AmazonEC2RoleforSSM":
		return "ssm:GetParameter ssm:GetParameters ssm:DescribeAssociation ssm:GetDocument ssm:UpdateInstanceInformation ssmmessages:CreateControlChannel ssmmessages:CreateDataChannel ssmmessages:OpenControlChannel ssmmessages:OpenDataChannel ec2messages:GetMessages ec2messages:SendReply s3:GetObject s3:PutObject logs:*", "", true
	case "AmazonSSMFullAccess":
		return "ssm:* ec2:DescribeInstanceStatus cloudwatch:PutMetricData logs:*", "", true
	case "AmazonSSMReadOnlyAccess":
		return "ssm:Describe* ssm:Get* ssm:List*", "", true
	case "SecretsManagerReadWrite":
		return "secretsmanager:* kms:DescribeKey kms:ListAliases kms:ListKeys lambda:AddPermission lambda:CreateFunction lambda:GetFunction lambda:InvokeFunction lambda:UpdateFunctionConfiguration", "", true
	case "AWSKeyManagementServicePowerUser":
		return "kms:CreateAlias kms:CreateKey kms:DeleteAlias kms:Describe* kms:GenerateRandom kms:Get* kms:List* kms:TagResource kms:UntagResource", "", true
	case "AmazonRDSFullAccess":
		return "rds:* cloudwatch:DescribeAlarms ec2:Describe* sns:ListTopics logs:DescribeLogStreams", "", true
	case "AmazonRDSDataFullAccess":
		return "rds-data:* secretsmanager:CreateSecret secretsmanager:ListSecrets secretsmanager:GetRandomPassword", "", true
	case "AmazonSageMakerFullAccess":
		return "sagemaker:* ecr:* logs:* cloudwatch:PutMetricData s3:CreateBucket s3:ListAllMyBuckets s3:ListBucket", "", true
	case "AmazonBedrockFullAccess":
		return "bedrock:*", "", true
	case "AmazonAPIGatewayInvokeFullAccess":
		return "execute-api:Invoke execute-api:ManageConnections", "", true
	case "AmazonAPIGatewayAdministrator":
		return "apigateway:*", "", true
	case "AWSStepFunctionsFullAccess":
		return "states:*", "", true
	case "AWSCodeBuildAdminAccess":
		return "codebuild:* codecommit:GitPull ecr:Describe* logs:GetLogEvents s3:GetBucketLocation s3:ListAllMyBuckets", "", true
	case "AWSCloudFormationFullAccess":
		return "cloudformation:*", "", true
	case "AWSGlueConsoleFullAccess":
		return "glue:* s3:ListBucket s3:ListAllMyBuckets", "", true
	case "AWSGlueServiceRole":
		return "glue:* s3:GetBucketLocation s3:ListBucket s3:ListAllMyBuckets s3:GetBucketAcl ec2:Describe* iam:ListRolePolicies iam:GetRole iam:GetRolePolicy logs:CreateLogGroup logs:CreateLogStream logs:PutLogEvents", "", true
	case "AWSDenyAll":
		return "", "*", true
	}
	return "", "", false
}
