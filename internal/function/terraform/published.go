package terraform

import "strings"

// published are modules of the registry that many use in the place of a
// resource. Nothing is downloaded: their arguments are read as those of the
// resource that they wrap. The table holds the end of the source, the resource,
// and the arguments that have another name.
//
// Source: the documentation of the terraform-aws-modules.
var published = [...]struct {
	source, kind string
	renamed      map[string]string
}{
	{"terraform-aws-modules/s3-bucket/aws", "aws_s3_bucket", nil},
	{"terraform-aws-modules/sqs/aws", "aws_sqs_queue", nil},
	{"terraform-aws-modules/sns/aws", "aws_sns_topic", map[string]string{"topic_policy": "policy"}},
	{"terraform-aws-modules/kms/aws", "aws_kms_key", nil},
	{"terraform-aws-modules/ecr/aws", "aws_ecr_repository_policy", map[string]string{"repository_policy": "policy", "repository_name": "repository"}},
	{"terraform-aws-modules/secrets-manager/aws", "aws_secretsmanager_secret", nil},
	{"terraform-aws-modules/lambda/aws", "aws_lambda_function", map[string]string{"lambda_role": "role"}},
	{"terraform-aws-modules/iam/aws//modules/iam-policy", "aws_iam_policy", nil},
}

// wrapped is the resource that a call of a published module stands for, nil for
// other modules.
func (c *call) wrapped() *resource {
	if c.resource != nil {
		return c.resource
	}
	source, _, _ := strings.Cut(c.source, "?")
	source = strings.TrimPrefix(source, "registry.terraform.io/")
	for _, p := range published {
		if source != p.source {
			continue
		}
		b := &body{Where: c.body.Where, blocks: c.body.blocks}
		for _, a := range c.body.attrs {
			if to := p.renamed[a.name]; to != "" {
				a.name = to
			}
			b.attrs = append(b.attrs, a)
		}
		c.resource = &resource{Where: c.Where, kind: p.kind, name: c.name, body: b, module: true}
	}
	return c.resource
}
