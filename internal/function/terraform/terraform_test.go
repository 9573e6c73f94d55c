package terraform

import (
	"path"
	"slices"
	"strings"
	"testing"
	"testing/fstest"

	"github.com/apexlogic/apex/internal/function/stack"
)

// tree makes a tree of files and the files of its folders.
func tree(files map[string]string) (fstest.MapFS, map[string][]string) {
	fsys, sources := fstest.MapFS{}, map[string][]string{}
	for name, text := range files {
		fsys[name] = &fstest.MapFile{Data: []byte(text)}
		if IsSource(name) {
			dir := path.Dir(name)
			sources[dir] = append(sources[dir], name)
		}
	}
	return fsys, sources
}

func read(t *testing.T, files map[string]string) *stack.Stack {
	t.Helper()
	fsys, sources := tree(files)
	s, err := NewTree(fsys, sources).Read(t.Context(), ".")
	if err != nil {
		t.Fatal(err)
	}
	return s
}

func TestAModuleIsReadAsTerraformEvaluatesIt(t *testing.T) {
	s := read(t, map[string]string{"main.tf": `
variable "env" { default = "prod" }
variable "unset" {}
locals { name = "fn-${var.env}" }
data "aws_iam_policy_document" "trust" {
  statement {
    actions = ["sts:AssumeRole"]
    principals {
      type = "Service"
      identifiers = ["lambda.amazonaws.com"]
    }
  }
}
resource "aws_iam_role" "r" {
  name = local.name
  assume_role_policy = data.aws_iam_policy_document.trust.json
}
resource "aws_iam_role_policy" "p" {
  role = aws_iam_role.r.id
  policy = <<EOF
{
  "Version": "2012-10-17",
  "Statement": [
    {
      "Effect": "Allow",
      "Action": "s3:*",
      "Resource": "${aws_s3_bucket.b.arn}/*"
    },
    {"Effect": "Deny", "Action": ${jsonencode(var.unset)}, "Resource": "*"}
  ]
}
EOF
}
resource "aws_s3_bucket" "b" { bucket = "data" }
resource "aws_lambda_function" "f" {
  function_name = "f"
  role = aws_iam_role.r.arn
  environment {
    variables = {
      A = "x"
      B = var.unset
    }
  }
}
resource "aws_lambda_function_url" "u" {
  function_name = aws_lambda_function.f.function_name
  authorization_type = "NONE"
}
`})
	if len(s.Principals) != 1 || s.Principals[0].Name != "fn-prod" || s.Principals[0].Trust == nil || !slices.Equal(s.Principals[0].Trust.Lines, []int{6}) {
		t.Errorf("principals %+v", s.Principals)
	}
	if p := s.Policies[0]; !slices.Equal(p.Lines, []int{24, 29}) || !strings.Contains(string(p.Document), `"arn:aws:s3:::data/*"`) || !strings.Contains(string(p.Document), `"${var.unset}"`) {
		t.Errorf("policy %+v %s", p, p.Document)
	}
	if f := s.Functions[0]; f.Role != "aws_iam_role.r" || len(f.Public) != 1 || f.Public[0].Line != 45 || f.Environment[1].Line != 41 || f.Environment[1].Value.Known {
		t.Errorf("function %+v", f)
	}
}
