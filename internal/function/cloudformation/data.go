package cloudformation

import (
	"strings"
	"sync"

	"github.com/apexlogic/apex/internal/function/node"
	"github.com/apexlogic/apex/internal/function/stack"
)

// ownPolicies says which property of a type is a policy of its own, and which
// one names what it protects.
var ownPolicies = sync.OnceValue(func() map[string][2]string {
	return map[string][2]string{
		"AWS::S3::BucketPolicy":               {"PolicyDocument", "Bucket"},
		"AWS::S3::AccessPoint":                {"Policy", "Name"},
		"AWS::SQS::QueuePolicy":               {"PolicyDocument", "Queues"},
		"AWS::SNS::TopicPolicy":               {"PolicyDocument", "Topics"},
		"AWS::KMS::Key":                       {"KeyPolicy", "Description"},
		"AWS::KMS::ReplicaKey":                {"KeyPolicy", "Description"},
		"AWS::ECR::Repository":                {"RepositoryPolicyText", "RepositoryName"},
		"AWS::ECR::RegistryPolicy":            {"PolicyText", ""},
		"AWS::SecretsManager::ResourcePolicy": {"ResourcePolicy", "SecretId"},
		"AWS::Elasticsearch::Domain":          {"AccessPolicies", "DomainName"},
		"AWS::OpenSearchService::Domain":      {"AccessPolicies", "DomainName"},
		"AWS::EFS::FileSystem":                {"FileSystemPolicy", ""},
		"AWS::Backup::BackupVault":            {"AccessPolicy", "BackupVaultName"},
		"AWS::ApiGateway::RestApi":            {"Policy", "Name"},
		"AWS::Logs::ResourcePolicy":           {"PolicyDocument", "PolicyName"},
		"AWS::Logs::Destination":              {"DestinationPolicy", "DestinationName"},
		"AWS::DynamoDB::Table":                {"ResourcePolicy", "TableName"},
		"AWS::Kinesis::ResourcePolicy":        {"ResourcePolicy", "ResourceArn"},
		"AWS::MediaStore::Container":          {"Policy", "ContainerName"},
		"AWS::CodeArtifact::Domain":           {"PermissionsPolicyDocument", "DomainName"},
		"AWS::CodeArtifact::Repository":       {"PermissionsPolicyDocument", "RepositoryName"},
		"AWS::SageMaker::ModelPackageGroup":   {"ModelPackageGroupPolicy", "ModelPackageGroupName"},
		"AWS::MSK::ClusterPolicy":             {"Policy", "ClusterArn"},
		"AWS::Glacier::Vault":                 {"AccessPolicy", "VaultName"},
	}
})

// data adds the things that carry a policy of their own, or are data.
func (x *extraction) data(r *resource) {
	p := r.props
	out := stack.Resource{Where: r.Where, ID: r.id, Type: r.kind}
	if own, ok := ownPolicies()[r.kind]; ok {
		doc := p.Get(own[0])
		if r.kind == "AWS::DynamoDB::Table" {
			doc = doc.Get("PolicyDocument")
		}
		if v := p.Get(own[1]); v.IsScalar() || v.IsUnknown() || v.IsList() {
			out.Name = v.Value().Value
		}
		x.stored(r, &out)
		x.Resource(out, doc, r.where(own[0]))
		return
	}
	switch r.kind {
	case "AWS::S3::Bucket", "AWS::SQS::Queue", "AWS::SNS::Topic", "AWS::RDS::DBInstance", "AWS::RDS::DBCluster", "AWS::EC2::Volume", "AWS::Redshift::Cluster",
		"AWS::Kinesis::Stream", "AWS::Serverless::SimpleTable", "AWS::Neptune::DBCluster", "AWS::DocDB::DBCluster":
		out.Name = r.name("BucketName", "QueueName", "TopicName", "DBInstanceIdentifier", "DBClusterIdentifier", "ClusterIdentifier", "Name", "TableName")
		x.stored(r, &out)
		x.Resource(out, nil, r.Where)
	case "AWS::Events::EventBusPolicy":
		doc := node.Map(r.Where, []node.Field{{Key: "Statement", Value: p.Get("Statement")}})
		if !p.Has("Statement") {
			doc = permission(r.Where, p.Get("Principal"), "events:PutEvents", p.Get("Condition"))
		}
		x.Resource(out, doc, r.Where)
	case "AWS::Lambda::LayerVersionPermission":
		if !p.Has("OrganizationId") {
			x.Resource(out, permission(r.Where, p.Get("Principal"), "lambda:GetLayerVersion", nil), r.Where)
		}
	case "AWS::Serverless::Api":
		if rp := p.Get("Auth", "ResourcePolicy", "CustomStatements"); rp != nil {
			x.Resource(out, node.Map(r.Where, []node.Field{{Key: "Statement", Line: rp.Line, Value: rp}}), rp.Where)
		}
	}
}

// permission is the policy that a resource writes as properties.
func permission(at stack.Where, principal *node.Node, action string, condition *node.Node) *node.Node {
	if principal == nil {
		return nil
	}
	f := []node.Field{{Key: "Effect", Value: node.String(at, "Allow")}, {Key: "Principal", Value: principal},
		{Key: "Action", Value: node.String(at, action)}, {Key: "Resource", Value: node.String(at, "*")}}
	if condition != nil {
		test, key, value := condition.Get("Type").Text(), condition.Get("Key").Text(), condition.Get("Value")
		if value == nil {
			value = node.Unknown(at, "condition")
		}
		f = append(f, node.Field{Key: "Condition", Value: node.Map(at, []node.Field{{Key: test, Value: node.Map(at, []node.Field{{Key: key, Value: value}})}})})
	}
	return node.Map(at, []node.Field{{Key: "Statement", Value: node.List(at, []*node.Node{node.Map(at, f)})}})
}

// stored says whether a store is public and encrypted, as far as the template says.
func (x *extraction) stored(r *resource, out *stack.Resource) {
	yes, no := true, false
	p := r.props
	if acl := p.Get("AccessControl").Text(); strings.HasPrefix(acl, "PublicRead") || acl == "AuthenticatedRead" {
		out.Public = &yes
	}
	block := p.Get("PublicAccessBlockConfiguration")
	acls, _ := block.Get("IgnorePublicAcls").True()
	policies, _ := block.Get("RestrictPublicBuckets").True()
	if acls && policies {
		out.Public = &no
	}
	if v, known := p.Get("PubliclyAccessible").True(); known {
		out.Public = &v
	}
	for _, key := range []string{"StorageEncrypted", "Encrypted", "SqsManagedSseEnabled"} {
		if v, known := p.Get(key).True(); known {
			out.Encrypted = &v
		}
	}
	for _, key := range []string{"KmsMasterKeyId", "BucketEncryption", "StreamEncryption", "KmsKeyId"} {
		if p.Has(key) {
			out.Encrypted = &yes
		}
	}
	if r.kind == "AWS::DynamoDB::Table" || r.kind == "AWS::Serverless::SimpleTable" {
		out.Encrypted = &yes // whatever the template says; it chooses the key
	}
}
