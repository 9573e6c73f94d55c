package terraform

import "sync"

// kindOf says what a resource of the AWS provider is to CloudFormation, which
// argument names it, and whether its id is its ARN.
type kindOf struct {
	cloud, name string
	idIsARN     bool
}

var kinds = sync.OnceValue(func() map[string]kindOf {
	return map[string]kindOf{
		"aws_iam_role":                         {"AWS::IAM::Role", "name", false},
		"aws_iam_user":                         {"AWS::IAM::User", "name", false},
		"aws_iam_group":                        {"AWS::IAM::Group", "name", false},
		"aws_iam_policy":                       {"AWS::IAM::ManagedPolicy", "name", true},
		"aws_iam_instance_profile":             {"AWS::IAM::InstanceProfile", "name", false},
		"aws_s3_bucket":                        {"AWS::S3::Bucket", "bucket", false},
		"aws_sqs_queue":                        {"AWS::SQS::Queue", "name", false},
		"aws_sns_topic":                        {"AWS::SNS::Topic", "name", true},
		"aws_dynamodb_table":                   {"AWS::DynamoDB::Table", "name", false},
		"aws_lambda_function":                  {"AWS::Lambda::Function", "function_name", false},
		"aws_kms_key":                          {"AWS::KMS::Key", "key_id", false},
		"aws_secretsmanager_secret":            {"AWS::SecretsManager::Secret", "name", true},
		"aws_kinesis_stream":                   {"AWS::Kinesis::Stream", "name", true},
		"aws_kinesis_firehose_delivery_stream": {"AWS::KinesisFirehose::DeliveryStream", "name", true},
		"aws_cloudwatch_log_group":             {"AWS::Logs::LogGroup", "name", false},
		"aws_ecr_repository":                   {"AWS::ECR::Repository", "name", false},
		"aws_ssm_parameter":                    {"AWS::SSM::Parameter", "name", false},
		"aws_sfn_state_machine":                {"AWS::StepFunctions::StateMachine", "name", true},
		"aws_cloudwatch_event_bus":             {"AWS::Events::EventBus", "name", false},
		"aws_efs_file_system":                  {"AWS::EFS::FileSystem", "id", false},
		"aws_codebuild_project":                {"AWS::CodeBuild::Project", "name", true},
		"aws_elasticsearch_domain":             {"AWS::Elasticsearch::Domain", "domain_name", true},
		"aws_opensearch_domain":                {"AWS::OpenSearchService::Domain", "domain_name", true},
		"aws_db_instance":                      {"AWS::RDS::DBInstance", "identifier", false},
		"aws_rds_cluster":                      {"AWS::RDS::DBCluster", "cluster_identifier", false},
		"aws_ebs_volume":                       {"AWS::EC2::Volume", "", false},
		"aws_redshift_cluster":                 {"AWS::Redshift::Cluster", "cluster_identifier", false},
		"aws_docdb_cluster":                    {"AWS::DocDB::DBCluster", "cluster_identifier", false},
		"aws_neptune_cluster":                  {"AWS::Neptune::DBCluster", "cluster_identifier", false},
	}
})

// policyOf says which argument of a resource is a policy of its own, which one
// names what it protects, and the type in CloudFormation's spelling.
type policyOf struct{ policy, target, cloud string }

var ownPolicies = sync.OnceValue(func() map[string]policyOf {
	return map[string]policyOf{
		"aws_s3_bucket":                                  {"policy", "bucket", "AWS::S3::Bucket"},
		"aws_s3_bucket_policy":                           {"policy", "bucket", "AWS::S3::BucketPolicy"},
		"aws_s3_access_point":                            {"policy", "name", "AWS::S3::AccessPoint"},
		"aws_s3control_access_point_policy":              {"policy", "access_point_arn", "AWS::S3::AccessPoint"},
		"aws_sqs_queue":                                  {"policy", "name", "AWS::SQS::Queue"},
		"aws_sqs_queue_policy":                           {"policy", "queue_url", "AWS::SQS::QueuePolicy"},
		"aws_sns_topic":                                  {"policy", "name", "AWS::SNS::Topic"},
		"aws_sns_topic_policy":                           {"policy", "arn", "AWS::SNS::TopicPolicy"},
		"aws_kms_key":                                    {"policy", "description", "AWS::KMS::Key"},
		"aws_kms_external_key":                           {"policy", "description", "AWS::KMS::Key"},
		"aws_kms_replica_key":                            {"policy", "description", "AWS::KMS::ReplicaKey"},
		"aws_kms_key_policy":                             {"policy", "key_id", "AWS::KMS::Key"},
		"aws_ecr_repository_policy":                      {"policy", "repository", "AWS::ECR::Repository"},
		"aws_ecr_registry_policy":                        {"policy", "", "AWS::ECR::RegistryPolicy"},
		"aws_secretsmanager_secret":                      {"policy", "name", "AWS::SecretsManager::Secret"},
		"aws_secretsmanager_secret_policy":               {"policy", "secret_arn", "AWS::SecretsManager::ResourcePolicy"},
		"aws_elasticsearch_domain":                       {"access_policies", "domain_name", "AWS::Elasticsearch::Domain"},
		"aws_elasticsearch_domain_policy":                {"access_policies", "domain_name", "AWS::Elasticsearch::Domain"},
		"aws_opensearch_domain":                          {"access_policies", "domain_name", "AWS::OpenSearchService::Domain"},
		"aws_opensearch_domain_policy":                   {"access_policies", "domain_name", "AWS::OpenSearchService::Domain"},
		"aws_efs_file_system_policy":                     {"policy", "file_system_id", "AWS::EFS::FileSystem"},
		"aws_glacier_vault":                              {"access_policy", "name", "AWS::Glacier::Vault"},
		"aws_glacier_vault_lock":                         {"policy", "vault_name", "AWS::Glacier::Vault"},
		"aws_backup_vault_policy":                        {"policy", "backup_vault_name", "AWS::Backup::BackupVault"},
		"aws_api_gateway_rest_api":                       {"policy", "name", "AWS::ApiGateway::RestApi"},
		"aws_api_gateway_rest_api_policy":                {"policy", "rest_api_id", "AWS::ApiGateway::RestApi"},
		"aws_cloudwatch_event_bus_policy":                {"policy", "event_bus_name", "AWS::Events::EventBusPolicy"},
		"aws_cloudwatch_log_resource_policy":             {"policy_document", "policy_name", "AWS::Logs::ResourcePolicy"},
		"aws_cloudwatch_log_destination_policy":          {"access_policy", "destination_name", "AWS::Logs::Destination"},
		"aws_media_store_container_policy":               {"policy", "container_name", "AWS::MediaStore::Container"},
		"aws_codeartifact_domain_permissions_policy":     {"policy_document", "domain", "AWS::CodeArtifact::Domain"},
		"aws_codeartifact_repository_permissions_policy": {"policy_document", "repository", "AWS::CodeArtifact::Repository"},
		"aws_dynamodb_resource_policy":                   {"policy", "resource_arn", "AWS::DynamoDB::Table"},
		"aws_kinesis_resource_policy":                    {"policy", "resource_arn", "AWS::Kinesis::ResourcePolicy"},
		"aws_glue_resource_policy":                       {"policy", "", "AWS::Glue::ResourcePolicy"},
		"aws_msk_cluster_policy":                         {"policy", "cluster_arn", "AWS::MSK::ClusterPolicy"},
		"aws_redshift_resource_policy":                   {"policy", "resource_arn", "AWS::Redshift::ResourcePolicy"},
		"aws_sagemaker_model_package_group_policy":       {"resource_policy", "model_package_group_name", "AWS::SageMaker::ModelPackageGroup"},
	}
})

// atRest says which argument of a store says that it is encrypted: a boolean,
// or a key.
var atRest = sync.OnceValue(func() map[string][]string {
	return map[string][]string{
		"aws_sqs_queue":        {"kms_master_key_id", "sqs_managed_sse_enabled"},
		"aws_sns_topic":        {"kms_master_key_id"},
		"aws_efs_file_system":  {"encrypted", "kms_key_id"},
		"aws_db_instance":      {"storage_encrypted", "kms_key_id"},
		"aws_rds_cluster":      {"storage_encrypted", "kms_key_id"},
		"aws_ebs_volume":       {"encrypted", "kms_key_id"},
		"aws_redshift_cluster": {"encrypted", "kms_key_id"},
		"aws_docdb_cluster":    {"storage_encrypted", "kms_key_id"},
		"aws_neptune_cluster":  {"storage_encrypted", "kms_key_arn"},
		"aws_kinesis_stream":   {"kms_key_id"},
	}
})
