package cloudformation

import (
	"strings"
	"sync"

	"github.com/apexlogic/apex/internal/function/node"
	"github.com/apexlogic/apex/internal/function/stack"
)

// samTemplates are the policy templates of SAM, a line each: the name, then for
// every statement its actions and resources. {X} stands for the parameter X; a
// resource that is no "*" and no ARN is written service:rest, in the account and
// region of the stack. Source: the SAM reference, "AWS SAM policy template list".
const samTemplates = `
AMIDescribePolicy | ec2:DescribeImages | *
AWSSecretsManagerGetSecretValuePolicy | secretsmanager:GetSecretValue | {SecretArn}
AWSSecretsManagerRotationPolicy | secretsmanager:DescribeSecret secretsmanager:GetSecretValue secretsmanager:PutSecretValue secretsmanager:UpdateSecretVersionStage | secretsmanager:secret:* | secretsmanager:GetRandomPassword | *
AcmGetCertificatePolicy | acm:GetCertificate | {CertificateArn}
AthenaQueryPolicy | athena:ListWorkGroups athena:GetExecutionEngine athena:GetExecutionEngines athena:GetNamespace athena:GetCatalogs athena:GetNamespaces athena:GetTables athena:GetTable | * | athena:StartQueryExecution athena:GetQueryResults athena:DeleteNamedQuery athena:GetNamedQuery athena:ListQueryExecutions athena:StopQueryExecution athena:GetQueryResultsStream athena:ListNamedQueries athena:CreateNamedQuery athena:GetQueryExecution athena:BatchGetNamedQuery athena:BatchGetQueryExecution athena:GetWorkGroup | athena:workgroup/{WorkGroupName}
CloudFormationDescribeStacksPolicy | cloudformation:DescribeStacks | cloudformation:stack/*
CloudWatchDashboardPolicy | cloudwatch:GetDashboard cloudwatch:ListDashboards cloudwatch:PutDashboard cloudwatch:ListMetrics | *
CloudWatchDescribeAlarmHistoryPolicy | cloudwatch:DescribeAlarmHistory | *
CloudWatchPutMetricPolicy | cloudwatch:PutMetricData | *
CodeCommitCrudPolicy | codecommit:GitPull codecommit:GitPush codecommit:CreateBranch codecommit:DeleteBranch codecommit:GetBranch codecommit:ListBranches codecommit:MergePullRequestByFastForward codecommit:CreatePullRequest codecommit:GetPullRequest codecommit:PutFile codecommit:GetFile codecommit:CreateCommit codecommit:GetCommit codecommit:UpdateComment | codecommit:{RepositoryName}
CodeCommitReadPolicy | codecommit:GitPull codecommit:GetBranch codecommit:ListBranches codecommit:GetPullRequest codecommit:GetFile codecommit:GetCommit codecommit:GetRepository | codecommit:{RepositoryName}
CodePipelineLambdaExecutionPolicy | codepipeline:PutJobSuccessResult codepipeline:PutJobFailureResult | *
CodePipelineReadOnlyPolicy | codepipeline:ListPipelineExecutions | codepipeline:{PipelineName}
ComprehendBasicAccessPolicy | comprehend:BatchDetectKeyPhrases comprehend:DetectDominantLanguage comprehend:DetectEntities comprehend:BatchDetectEntities comprehend:DetectKeyPhrases comprehend:DetectSentiment comprehend:BatchDetectDominantLanguage comprehend:BatchDetectSentiment | *
CostExplorerReadOnlyPolicy | ce:GetCostAndUsage ce:GetDimensionValues ce:GetReservationCoverage ce:GetReservationPurchaseRecommendation ce:GetReservationUtilization ce:GetTags | *
DynamoDBBackupFullAccessPolicy | dynamodb:CreateBackup dynamodb:DescribeContinuousBackups | dynamodb:table/{TableName} | dynamodb:DeleteBackup dynamodb:DescribeBackup dynamodb:ListBackups | dynamodb:table/{TableName}/backup/*
DynamoDBCrudPolicy | dynamodb:GetItem dynamodb:DeleteItem dynamodb:PutItem dynamodb:Scan dynamodb:Query dynamodb:UpdateItem dynamodb:BatchWriteItem dynamodb:BatchGetItem dynamodb:DescribeTable dynamodb:ConditionCheckItem | dynamodb:table/{TableName} dynamodb:table/{TableName}/index/*
DynamoDBReadPolicy | dynamodb:GetItem dynamodb:Scan dynamodb:Query dynamodb:BatchGetItem dynamodb:DescribeTable | dynamodb:table/{TableName} dynamodb:table/{TableName}/index/*
DynamoDBReconfigurePolicy | dynamodb:UpdateTable | dynamodb:table/{TableName}
DynamoDBRestoreFromBackupPolicy | dynamodb:RestoreTableFromBackup | dynamodb:table/{TableName}/backup/* | dynamodb:PutItem dynamodb:UpdateItem dynamodb:DeleteItem dynamodb:GetItem dynamodb:Query dynamodb:Scan dynamodb:BatchWriteItem | dynamodb:table/{TableName}
DynamoDBStreamReadPolicy | dynamodb:DescribeStream dynamodb:GetRecords dynamodb:GetShardIterator | dynamodb:table/{TableName}/stream/{StreamName} | dynamodb:ListStreams | dynamodb:table/{TableName}/stream/*
DynamoDBWritePolicy | dynamodb:PutItem dynamodb:UpdateItem dynamodb:BatchWriteItem | dynamodb:table/{TableName} dynamodb:table/{TableName}/index/*
EC2CopyImagePolicy | ec2:CopyImage | ec2:image/{ImageId}
EC2DescribePolicy | ec2:DescribeRegions ec2:DescribeInstances | *
EFSWriteAccessPolicy | elasticfilesystem:ClientMount elasticfilesystem:ClientWrite | elasticfilesystem:file-system/{FileSystem}
EKSDescribePolicy | eks:DescribeCluster eks:ListClusters | *
ElasticMapReduceAddJobFlowStepsPolicy | elasticmapreduce:AddJobFlowSteps | elasticmapreduce:cluster/{ClusterId}
ElasticMapReduceCancelStepsPolicy | elasticmapreduce:CancelSteps | elasticmapreduce:cluster/{ClusterId}
ElasticMapReduceTerminateJobFlowsPolicy | elasticmapreduce:TerminateJobFlows | elasticmapreduce:cluster/{ClusterId}
ElasticsearchHttpPostPolicy | es:ESHttpPost es:ESHttpPut | es:domain/{DomainName}/*
EventBridgePutEventsPolicy | events:PutEvents | events:event-bus/{EventBusName}
FilterLogEventsPolicy | logs:FilterLogEvents | logs:log-group:{LogGroupName}:log-stream:*
FirehoseCrudPolicy | firehose:CreateDeliveryStream firehose:DeleteDeliveryStream firehose:DescribeDeliveryStream firehose:PutRecord firehose:PutRecordBatch firehose:UpdateDestination | firehose:deliverystream/{DeliveryStreamName}
FirehoseWritePolicy | firehose:PutRecord firehose:PutRecordBatch | firehose:deliverystream/{DeliveryStreamName}
KMSDecryptPolicy | kms:Decrypt | kms:key/{KeyId}
KMSEncryptPolicy | kms:Encrypt | kms:key/{KeyId}
KinesisCrudPolicy | kinesis:AddTagsToStream kinesis:CreateStream kinesis:DecreaseStreamRetentionPeriod kinesis:DeleteStream kinesis:DescribeStream kinesis:DescribeStreamSummary kinesis:GetShardIterator kinesis:IncreaseStreamRetentionPeriod kinesis:ListTagsForStream kinesis:MergeShards kinesis:PutRecord kinesis:PutRecords kinesis:SplitShard kinesis:RemoveTagsFromStream | kinesis:stream/{StreamName}
KinesisStreamReadPolicy | kinesis:ListStreams kinesis:DescribeLimits | kinesis:stream/* | kinesis:DescribeStream kinesis:DescribeStreamSummary kinesis:GetRecords kinesis:GetShardIterator | kinesis:stream/{StreamName}
LambdaInvokePolicy | lambda:InvokeFunction | lambda:function:{FunctionName}*
MobileAnalyticsWriteOnlyAccessPolicy | mobileanalytics:PutEvents | *
OrganizationsListAccountsPolicy | organizations:ListAccounts | *
PinpointEndpointAccessPolicy | mobiletargeting:GetEndpoint mobiletargeting:UpdateEndpoint mobiletargeting:UpdateEndpointsBatch | mobiletargeting:apps/{PinpointApplicationId}/endpoints/*
PollyFullAccessPolicy | polly:GetLexicon polly:DeleteLexicon | polly:lexicon/{LexiconName} | polly:DescribeVoices polly:ListLexicons polly:PutLexicon polly:SynthesizeSpeech | *
RekognitionDetectOnlyPolicy | rekognition:DetectFaces rekognition:DetectLabels rekognition:DetectModerationLabels rekognition:DetectText | *
RekognitionFacesManagementPolicy | rekognition:IndexFaces rekognition:DeleteFaces rekognition:SearchFaces rekognition:SearchFacesByImage rekognition:ListFaces | rekognition:collection/{CollectionId}
RekognitionFacesPolicy | rekognition:CompareFaces rekognition:DetectFaces | *
RekognitionLabelsPolicy | rekognition:DetectLabels rekognition:DetectModerationLabels | *
RekognitionNoDataAccessPolicy | rekognition:CompareFaces rekognition:DetectFaces rekognition:DetectLabels rekognition:DetectModerationLabels | rekognition:collection/{CollectionId}
RekognitionReadPolicy | rekognition:ListCollections rekognition:ListFaces rekognition:SearchFaces rekognition:SearchFacesByImage | rekognition:collection/{CollectionId}
RekognitionWriteOnlyAccessPolicy | rekognition:CreateCollection rekognition:IndexFaces | rekognition:collection/{CollectionId}
Route53ChangeResourceRecordSetsPolicy | route53:ChangeResourceRecordSets | arn:aws:route53:::hostedzone/{HostedZoneId}
S3CrudPolicy | s3:GetObject s3:ListBucket s3:GetBucketLocation s3:GetObjectVersion s3:PutObject s3:PutObjectAcl s3:GetLifecycleConfiguration s3:PutLifecycleConfiguration s3:DeleteObject | arn:aws:s3:::{BucketName} arn:aws:s3:::{BucketName}/*
S3FullAccessPolicy | s3:GetObject s3:GetObjectAcl s3:GetObjectVersion s3:PutObject s3:PutObjectAcl s3:DeleteObject s3:DeleteObjectTagging s3:DeleteObjectVersionTagging s3:GetObjectTagging s3:GetObjectVersionTagging s3:PutObjectTagging s3:PutObjectVersionTagging | arn:aws:s3:::{BucketName}/* | s3:ListBucket s3:GetBucketLocation s3:GetLifecycleConfiguration s3:PutLifecycleConfiguration | arn:aws:s3:::{BucketName}
S3ReadPolicy | s3:GetObject s3:ListBucket s3:GetBucketLocation s3:GetObjectVersion s3:GetLifecycleConfiguration | arn:aws:s3:::{BucketName} arn:aws:s3:::{BucketName}/*
S3WritePolicy | s3:PutObject s3:PutObjectAcl s3:PutLifecycleConfiguration | arn:aws:s3:::{BucketName} arn:aws:s3:::{BucketName}/*
SESBulkTemplatedCrudPolicy | ses:GetIdentityVerificationAttributes ses:SendEmail ses:SendRawEmail ses:SendTemplatedEmail ses:SendBulkTemplatedEmail ses:VerifyEmailIdentity | ses:identity/{IdentityName}
SESCrudPolicy | ses:GetIdentityVerificationAttributes ses:SendEmail ses:SendRawEmail ses:VerifyEmailIdentity | ses:identity/{IdentityName}
SESEmailTemplateCrudPolicy | ses:CreateTemplate ses:GetTemplate ses:ListTemplates ses:UpdateTemplate ses:DeleteTemplate ses:TestRenderTemplate | *
SESSendBouncePolicy | ses:SendBounce | ses:identity/{IdentityName}
SNSCrudPolicy | sns:ListSubscriptionsByTopic sns:CreateTopic sns:SetTopicAttributes sns:Subscribe sns:Publish | sns:{TopicName}*
SNSPublishMessagePolicy | sns:Publish | sns:{TopicName}
SQSPollerPolicy | sqs:ChangeMessageVisibility sqs:ChangeMessageVisibilityBatch sqs:DeleteMessage sqs:DeleteMessageBatch sqs:GetQueueAttributes sqs:ReceiveMessage | sqs:{QueueName}
SQSSendMessagePolicy | sqs:SendMessage* | sqs:{QueueName}
SSMParameterReadPolicy | ssm:DescribeParameters | * | ssm:GetParameters ssm:GetParameter ssm:GetParametersByPath | ssm:parameter/{ParameterName}
SSMParameterWithSlashPrefixReadPolicy | ssm:DescribeParameters | * | ssm:GetParameters ssm:GetParameter ssm:GetParametersByPath | ssm:parameter{ParameterName}
ServerlessRepoReadWriteAccessPolicy | serverlessrepo:CreateApplication serverlessrepo:CreateApplicationVersion serverlessrepo:GetApplication serverlessrepo:ListApplications serverlessrepo:ListApplicationVersions | serverlessrepo:applications/*
StepFunctionsCallbackPolicy | states:SendTaskSuccess states:SendTaskFailure states:SendTaskHeartbeat | states:stateMachine:{StateMachineName}
StepFunctionsExecutionPolicy | states:StartExecution | states:stateMachine:{StateMachineName}
TextractDetectAnalyzePolicy | textract:DetectDocumentText textract:StartDocumentTextDetection textract:StartDocumentAnalysis textract:AnalyzeDocument | *
TextractGetResultPolicy | textract:GetDocumentTextDetection textract:GetDocumentAnalysis | *
TextractPolicy | textract:DetectDocumentText textract:StartDocumentTextDetection textract:StartDocumentAnalysis textract:AnalyzeDocument textract:GetDocumentTextDetection textract:GetDocumentAnalysis | *
VPCAccessPolicy | ec2:CreateNetworkInterface ec2:DeleteNetworkInterface ec2:DescribeNetworkInterfaces ec2:DetachNetworkInterface | *
`

var templateLines = sync.OnceValue(func() map[string][]string {
	out := map[string][]string{}
	for line := range strings.Lines(samTemplates) {
		parts := strings.Split(strings.TrimSpace(line), " | ")
		if len(parts) > 1 {
			out[parts[0]] = parts[1:]
		}
	}
	return out
})

// policyTemplate expands a policy template of SAM, nil when it is none.
func policyTemplate(at stack.Where, name string, params *node.Node) *node.Node {
	parts, ok := templateLines()[name]
	if !ok {
		return nil
	}
	text := func(s string) *node.Node { return node.String(at, s) }
	var statements []*node.Node
	for i := 0; i+1 < len(parts); i += 2 {
		var actions, resources []*node.Node
		for _, a := range strings.Fields(parts[i]) {
			actions = append(actions, text(a))
		}
		for _, r := range strings.Fields(parts[i+1]) {
			if r != "*" && !strings.HasPrefix(r, "arn:") && !strings.HasPrefix(r, "{") {
				service, rest, _ := strings.Cut(r, ":")
				r = "arn:aws:" + service + ":" + node.Placeholder("AWS::Region") + ":" + node.Placeholder("AWS::AccountId") + ":" + rest
			}
			resources = append(resources, text(fill(r, params)))
		}
		statements = append(statements, node.Map(at, []node.Field{{Key: "Effect", Value: text("Allow")},
			{Key: "Action", Value: node.List(at, actions)}, {Key: "Resource", Value: node.List(at, resources)}}))
	}
	return node.Map(at, []node.Field{{Key: "Version", Value: text("2012-10-17")}, {Key: "Statement", Value: node.List(at, statements)}})
}

// fill puts a parameter's value in its place.
func fill(s string, params *node.Node) string {
	before, rest, ok := strings.Cut(s, "{")
	if !ok {
		return s
	}
	name, after, _ := strings.Cut(rest, "}")
	v := params.Get(name)
	if !v.IsScalar() && !v.IsUnknown() {
		return before + node.Placeholder(name) + fill(after, params)
	}
	return before + v.Str + fill(after, params)
}
