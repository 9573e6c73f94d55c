package rightsize

import "strings"

// dataServices are those whose actions on data CloudTrail records only where a
// trail has been told to.
func dataServices() []string {
	return []string{"dynamodb", "kinesis", "lambda", "s3", "sns", "sqs"}
}

// dataActions are a service's actions on data.
func dataActions(service string) []string {
	switch service {
	case "s3":
		return []string{"s3:GetObject", "s3:PutObject", "s3:DeleteObject", "s3:GetObjectVersion", "s3:DeleteObjectVersion", "s3:GetObjectTagging", "s3:PutObjectTagging", "s3:GetObjectAcl", "s3:PutObjectAcl", "s3:ListBucket", "s3:AbortMultipartUpload", "s3:ListMultipartUploadParts", "s3:ListBucketMultipartUploads"}
	case "dynamodb":
		return []string{"dynamodb:GetItem", "dynamodb:BatchGetItem", "dynamodb:Query", "dynamodb:Scan", "dynamodb:PutItem", "dynamodb:UpdateItem", "dynamodb:DeleteItem", "dynamodb:BatchWriteItem", "dynamodb:ConditionCheckItem", "dynamodb:GetRecords"}
	case "lambda":
		return []string{"lambda:InvokeFunction"}
	case "sqs":
		return []string{"sqs:SendMessage", "sqs:ReceiveMessage", "sqs:DeleteMessage", "sqs:ChangeMessageVisibility"}
	case "sns":
		return []string{"sns:Publish"}
	case "kinesis":
		return []string{"kinesis:PutRecord", "kinesis:PutRecords", "kinesis:GetRecords", "kinesis:GetShardIterator", "kinesis:SubscribeToShard"}
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
