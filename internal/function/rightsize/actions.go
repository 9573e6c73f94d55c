package rightsize

import "strings"

// dataServices are those whose actions on data a log does not show by itself:
// CloudTrail records them only where a trail has been told to, or never.
func dataServices() []string {
	return []string{"bedrock", "cloudwatch", "dynamodb", "ec2messages", "elasticfilesystem", "es", "events", "execute-api", "firehose", "iot", "kafka-cluster",
		"kinesis", "lambda", "logs", "rds-data", "rds-db", "s3", "sagemaker", "sns", "sqs", "ssmmessages", "xray"}
}

// dataActions are a service's actions on data.
func dataActions(service string) []string {
	switch service {
	case "bedrock":
		return []string{"bedrock:ApplyGuardrail", "bedrock:InvokeAgent", "bedrock:InvokeFlow", "bedrock:Retrieve", "bedrock:RetrieveAndGenerate"}
	case "cloudwatch":
		return []string{"cloudwatch:PutMetricData"}
	case "dynamodb":
		return []string{"dynamodb:GetItem", "dynamodb:BatchGetItem", "dynamodb:Query", "dynamodb:Scan", "dynamodb:PutItem", "dynamodb:UpdateItem", "dynamodb:DeleteItem", "dynamodb:BatchWriteItem", "dynamodb:ConditionCheckItem", "dynamodb:GetRecords"}
	case "ec2messages":
		return []string{"ec2messages:AcknowledgeMessage", "ec2messages:DeleteMessage", "ec2messages:FailMessage", "ec2messages:GetEndpoint", "ec2messages:GetMessages", "ec2messages:SendReply"}
	case "elasticfilesystem":
		return []string{"elasticfilesystem:ClientMount", "elasticfilesystem:ClientRootAccess", "elasticfilesystem:ClientWrite"}
	case "es":
		return []string{"es:ESHttpDelete", "es:ESHttpGet", "es:ESHttpHead", "es:ESHttpPatch", "es:ESHttpPost", "es:ESHttpPut"}
	case "events":
		return []string{"events:PutEvents"}
	case "execute-api":
		return []string{"execute-api:Invoke", "execute-api:ManageConnections"}
	case "firehose":
		return []string{"firehose:PutRecord", "firehose:PutRecordBatch"}
	case "iot":
		return []string{"iot:Connect", "iot:GetThingShadow", "iot:Publish", "iot:Receive", "iot:Subscribe", "iot:UpdateThingShadow"}
	case "kafka-cluster":
		return []string{"kafka-cluster:AlterGroup", "kafka-cluster:Connect", "kafka-cluster:DescribeGroup", "kafka-cluster:DescribeTopic", "kafka-cluster:ReadData", "kafka-cluster:WriteData", "kafka-cluster:WriteDataIdempotently"}
	case "kinesis":
		return []string{"kinesis:PutRecord", "kinesis:PutRecords", "kinesis:GetRecords", "kinesis:GetShardIterator", "kinesis:SubscribeToShard"}
	case "lambda":
		return []string{"lambda:InvokeFunction"}
	case "logs":
		return []string{"logs:PutLogEvents"}
	case "rds-data":
		return []string{"rds-data:BatchExecuteStatement", "rds-data:BeginTransaction", "rds-data:CommitTransaction", "rds-data:ExecuteStatement", "rds-data:RollbackTransaction"}
	case "rds-db":
		return []string{"rds-db:connect"}
	case "s3":
		return []string{"s3:GetObject", "s3:PutObject", "s3:DeleteObject", "s3:GetObjectVersion", "s3:DeleteObjectVersion", "s3:GetObjectTagging", "s3:PutObjectTagging", "s3:GetObjectAcl", "s3:PutObjectAcl", "s3:ListBucket", "s3:AbortMultipartUpload", "s3:ListMultipartUploadParts", "s3:ListBucketMultipartUploads"}
	case "sagemaker":
		return []string{"sagemaker:InvokeEndpoint", "sagemaker:InvokeEndpointAsync"}
	case "sns":
		return []string{"sns:Publish"}
	case "sqs":
		return []string{"sqs:SendMessage", "sqs:ReceiveMessage", "sqs:DeleteMessage", "sqs:ChangeMessageVisibility"}
	case "ssmmessages":
		return []string{"ssmmessages:CreateControlChannel", "ssmmessages:CreateDataChannel", "ssmmessages:OpenControlChannel", "ssmmessages:OpenDataChannel"}
	case "xray":
		return []string{"xray:GetSamplingRules", "xray:GetSamplingStatisticSummaries", "xray:GetSamplingTargets", "xray:PutTelemetryRecords", "xray:PutTraceSegments"}
	}
	return nil
}

// action names the action of IAM that an event of CloudTrail is about. Most
// bear the name of the call; these do not.
func action(source, name string) string {
	service := strings.TrimSuffix(source, ".amazonaws.com")
	if i := strings.IndexByte(service, '.'); i >= 0 {
		service = service[:i]
	}
	switch service {
	case "monitoring":
		service = "cloudwatch"
	case "email":
		service = "ses"
	case "tagging":
		service = "tag"
	case "runtime-sagemaker":
		service = "sagemaker"
	case "lambda": // "GetFunction20150331v2"
		if i := strings.Index(name, "20"); i > 0 && len(name) >= i+8 && strings.Trim(name[i:i+8], "0123456789") == "" {
			name = name[:i]
		}
		if name == "Invoke" || name == "InvokeWithResponseStream" {
			name = "InvokeFunction"
		}
	case "s3":
		switch name {
		case "HeadObject", "SelectObjectContent":
			name = "GetObject"
		case "HeadBucket", "ListObjects", "ListObjectsV2":
			name = "ListBucket"
		case "ListObjectVersions":
			name = "ListBucketVersions"
		case "ListBuckets":
			name = "ListAllMyBuckets"
		case "CopyObject", "CreateMultipartUpload", "UploadPart", "UploadPartCopy", "CompleteMultipartUpload", "PostObject":
			name = "PutObject"
		case "DeleteObjects":
			name = "DeleteObject"
		case "ListParts":
			name = "ListMultipartUploadParts"
		case "ListMultipartUploads":
			name = "ListBucketMultipartUploads"
		case "GetBucketEncryption", "PutBucketEncryption":
			name = name[:3] + "EncryptionConfiguration"
		case "GetBucketLifecycle", "PutBucketLifecycle", "GetBucketLifecycleConfiguration", "PutBucketLifecycleConfiguration":
			name = name[:3] + "LifecycleConfiguration"
		case "GetBucketReplication", "PutBucketReplication":
			name = name[:3] + "ReplicationConfiguration"
		}
	}
	return service + ":" + name
}
