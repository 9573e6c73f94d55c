package node

import (
	"strings"
	"sync"

	"github.com/apexlogic/apex/internal/function/stack"
)

// arns are the forms of ARNs by CloudFormation's type; R and A stand for the
// region and account. Source: the service authorization reference of AWS.
var arns = sync.OnceValue(func() map[string]string {
	return map[string]string{
		"AWS::IAM::Role":                       "arn:aws:iam::A:role/",
		"AWS::IAM::User":                       "arn:aws:iam::A:user/",
		"AWS::IAM::Group":                      "arn:aws:iam::A:group/",
		"AWS::IAM::ManagedPolicy":              "arn:aws:iam::A:policy/",
		"AWS::IAM::InstanceProfile":            "arn:aws:iam::A:instance-profile/",
		"AWS::S3::Bucket":                      "arn:aws:s3:::",
		"AWS::SQS::Queue":                      "arn:aws:sqs:R:A:",
		"AWS::SNS::Topic":                      "arn:aws:sns:R:A:",
		"AWS::DynamoDB::Table":                 "arn:aws:dynamodb:R:A:table/",
		"AWS::Serverless::SimpleTable":         "arn:aws:dynamodb:R:A:table/",
		"AWS::Lambda::Function":                "arn:aws:lambda:R:A:function:",
		"AWS::Serverless::Function":            "arn:aws:lambda:R:A:function:",
		"AWS::KMS::Key":                        "arn:aws:kms:R:A:key/",
		"AWS::SecretsManager::Secret":          "arn:aws:secretsmanager:R:A:secret:",
		"AWS::Kinesis::Stream":                 "arn:aws:kinesis:R:A:stream/",
		"AWS::KinesisFirehose::DeliveryStream": "arn:aws:firehose:R:A:deliverystream/",
		"AWS::Logs::LogGroup":                  "arn:aws:logs:R:A:log-group:",
		"AWS::ECR::Repository":                 "arn:aws:ecr:R:A:repository/",
		"AWS::SSM::Parameter":                  "arn:aws:ssm:R:A:parameter/",
		"AWS::StepFunctions::StateMachine":     "arn:aws:states:R:A:stateMachine:",
		"AWS::Events::EventBus":                "arn:aws:events:R:A:event-bus/",
		"AWS::EFS::FileSystem":                 "arn:aws:elasticfilesystem:R:A:file-system/",
		"AWS::CodeBuild::Project":              "arn:aws:codebuild:R:A:project/",
		"AWS::OpenSearchService::Domain":       "arn:aws:es:R:A:domain/",
		"AWS::Elasticsearch::Domain":           "arn:aws:es:R:A:domain/",
		"AWS::SageMaker::NotebookInstance":     "arn:aws:sagemaker:R:A:notebook-instance/",
		"AWS::Glue::Job":                       "arn:aws:glue:R:A:job/",
	}
})

// ARN is the ARN of a thing of a type of CloudFormation, as far as its name is
// known; nil for a type whose form is not in the table.
func ARN(at stack.Where, kind, path, name string) *Node {
	form, ok := arns()[kind]
	if !ok {
		return nil
	}
	form = strings.Replace(form, ":R:", ":"+Placeholder("AWS::Region")+":", 1)
	form = strings.Replace(form, ":A:", ":"+Placeholder("AWS::AccountId")+":", 1)
	if strings.HasPrefix(path, "/") && strings.HasSuffix(path, "/") {
		form = strings.TrimSuffix(form, "/") + path
	}
	return String(at, form+name)
}
