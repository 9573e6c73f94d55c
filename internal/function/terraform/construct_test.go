package terraform

import (
	"slices"
	"strings"
	"testing"

	"github.com/apexlogic/apex/internal/function/stack"
)

func line(t *testing.T, text, part string) int {
	t.Helper()
	before, _, ok := strings.Cut(text, part)
	if !ok {
		t.Fatalf("%q is not in the file", part)
	}
	return strings.Count(before, "\n") + 1
}

func policy(t *testing.T, s *stack.Stack, id string) stack.Policy {
	t.Helper()
	i := slices.IndexFunc(s.Policies, func(p stack.Policy) bool { return p.ID == id })
	if i < 0 {
		t.Fatalf("no policy %s in %+v", id, s.Policies)
	}
	return s.Policies[i]
}

func principal(t *testing.T, s *stack.Stack, id string) stack.Principal {
	t.Helper()
	i := slices.IndexFunc(s.Principals, func(p stack.Principal) bool { return p.ID == id })
	if i < 0 {
		t.Fatalf("no principal %s in %+v", id, s.Principals)
	}
	return s.Principals[i]
}

func resourceOf(t *testing.T, s *stack.Stack, id string) stack.Resource {
	t.Helper()
	i := slices.IndexFunc(s.Resources, func(r stack.Resource) bool { return r.ID == id })
	if i < 0 {
		t.Fatalf("no resource %s in %+v", id, s.Resources)
	}
	return s.Resources[i]
}

const ways = `
resource "aws_iam_role" "r" {
  name                 = "app"
  permissions_boundary = aws_iam_policy.bound.arn
  managed_policy_arns  = ["arn:aws:iam::aws:policy/ReadOnlyAccess"]
  inline_policy {
    name   = "inline"
    policy = jsonencode({ Statement = [{ Effect = "Allow", Action = "a:b", Resource = "*" }] })
  }
}
resource "aws_iam_policy" "bound" {
  policy = "{\"Statement\": [{\"Effect\": \"Allow\", \"Action\": \"*\", \"Resource\": \"*\"}]}"
}
resource "aws_iam_policy" "p" {
  name   = "p"
  policy = local.document
}
locals {
  document = jsonencode({
    Version = "2012-10-17"
    Statement = concat(
      [
        {
          Effect   = "Allow"
          Action   = "s3:Get*" # first
          Resource = "*"
        }
      ],
      [
        {
          Effect   = "Deny"
          Action   = "s3:Put*" # second
          Resource = "*"
        }
      ]
    )
  })
}
resource "aws_iam_role_policy_attachment" "a" {
  role       = aws_iam_role.r.name
  policy_arn = aws_iam_policy.p.arn
}
resource "aws_iam_role_policy_attachment" "by_name" {
  role       = "app"
  policy_arn = "arn:aws:iam::aws:policy/AdministratorAccess"
}
resource "aws_iam_role_policy" "elsewhere" {
  role   = "not-here"
  policy = jsonencode({ Statement = [] })
}
resource "aws_iam_policy_attachment" "many" {
  name       = "many"
  users      = [aws_iam_user.u.name]
  groups     = ["ops"]
  policy_arn = aws_iam_policy.p.arn
}
resource "aws_iam_user" "u" {
  name = "bob"
}
resource "aws_iam_user_group_membership" "m" {
  user   = aws_iam_user.u.name
  groups = ["ops"]
}
resource "aws_iam_instance_profile" "ip" {
  role = aws_iam_role.r.name
}
`

func TestPoliciesReachTheirPrincipalsInEveryWay(t *testing.T) {
	s := read(t, map[string]string{"main.tf": ways})
	r := principal(t, s, "aws_iam_role.r")
	if !slices.Equal(r.Policies, []string{"aws_iam_role.r/inline", "aws_iam_policy.p"}) || r.Boundary != "aws_iam_policy.bound" || !r.Profile {
		t.Errorf("role %+v", r)
	}
	if len(r.Managed) != 2 || r.ManagedAt[0].Line != line(t, ways, `["arn:aws:iam::aws:policy/ReadOnlyAccess"]`) || r.ManagedAt[1].Line != line(t, ways, `"by_name"`) {
		t.Errorf("managed %+v %+v", r.Managed, r.ManagedAt)
	}
	p := policy(t, s, "aws_iam_policy.p")
	if want := []int{line(t, ways, "# first") - 2, line(t, ways, "# second") - 2}; !slices.Equal(p.Lines, want) {
		t.Errorf("lines %v, want %v", p.Lines, want)
	}
	if e := principal(t, s, "role not-here"); !slices.Equal(e.Policies, []string{"aws_iam_role_policy.elsewhere"}) {
		t.Errorf("a role of somewhere else %+v", e)
	}
	u := principal(t, s, "aws_iam_user.u")
	if !slices.Equal(u.Policies, []string{"aws_iam_policy.p"}) || !slices.Equal(u.Groups, []string{"group ops"}) {
		t.Errorf("user %+v", u)
	}
}

const documents = `
data "aws_iam_policy_document" "base" {
  statement {
    sid       = "One"
    actions   = ["s3:Get*"]
    resources = ["*"]
  }
}
data "aws_iam_policy_document" "whole" {
  source_policy_documents   = [data.aws_iam_policy_document.base.json]
  override_policy_documents = [jsonencode({ Statement = [{ Sid = "Two", Effect = "Deny", Action = "x:y", Resource = "*" }] })]
  statement {
    sid         = "Two"
    effect      = "Allow"
    not_actions = ["iam:*"]
    resources   = ["arn:aws:s3:::b/&{aws:username}"]
  }
  dynamic "statement" {
    for_each = { a = "s3:PutObject", b = "s3:DeleteObject" }
    content {
      actions   = [statement.value]
      resources = ["arn:aws:s3:::${statement.key}"]
      condition {
        test     = "Bool"
        variable = "aws:SecureTransport"
        values   = ["true"]
      }
    }
  }
}
resource "aws_iam_policy" "p" {
  policy = data.aws_iam_policy_document.whole.json
}
data "aws_iam_policy_document" "loose" {
  statement {
    actions   = ["ec2:*"]
    resources = ["*"]
  }
}
resource "aws_s3_bucket_policy" "open" {
  bucket = "b"
  policy = data.aws_iam_policy_document.open.json
}
data "aws_iam_policy_document" "open" {
  statement {
    actions   = ["s3:GetObject"]
    resources = ["arn:aws:s3:::b/*"]
    principals {
      type        = "AWS"
      identifiers = ["*"]
    }
  }
}
`

func TestPolicyDocumentsAreRendered(t *testing.T) {
	s := read(t, map[string]string{"main.tf": documents})
	p := policy(t, s, "aws_iam_policy.p")
	want := `{"Version":"2012-10-17","Statement":[{"Sid":"One","Effect":"Allow","Action":["s3:Get*"],"Resource":["*"]},` +
		`{"Sid":"Two","Effect":"Deny","Action":"x:y","Resource":"*"},` +
		`{"Effect":"Allow","Action":["s3:PutObject"],"Resource":["arn:aws:s3:::a"],"Condition":{"Bool":{"aws:SecureTransport":["true"]}}},` +
		`{"Effect":"Allow","Action":["s3:DeleteObject"],"Resource":["arn:aws:s3:::b"],"Condition":{"Bool":{"aws:SecureTransport":["true"]}}}]}`
	if string(p.Document) != want {
		t.Errorf("%s\nwant\n%s", p.Document, want)
	}
	dyn := line(t, documents, "content {")
	if got := []int{line(t, documents, "statement {"), line(t, documents, "override_policy_documents"), dyn, dyn}; !slices.Equal(p.Lines, got) {
		t.Errorf("lines %v, want %v", p.Lines, got)
	}
	if l := policy(t, s, "data.aws_iam_policy_document.loose"); l.Line != line(t, documents, `"loose"`) {
		t.Errorf("a document that nothing uses %+v", l)
	}
	if len(s.Policies) != 2 {
		t.Errorf("%d policies: those that are used stand where they are used", len(s.Policies))
	}
	b := resourceOf(t, s, "aws_s3_bucket_policy.open")
	if b.Policy == nil || !strings.Contains(string(b.Policy.Document), `"Principal":{"AWS":["*"]}`) || b.Policy.Lines[0] != line(t, documents, `["s3:GetObject"]`)-1 {
		t.Errorf("bucket policy %+v", b.Policy)
	}
}

func TestTheJSONSyntaxMeansTheSame(t *testing.T) {
	const text = `{
  "variable": {"name": {"default": "x"}},
  "locals": {"full": "${var.name}-role"},
  "data": {
    "aws_iam_policy_document": {
      "d": {
        "statement": [
          {"actions": ["s3:*"], "resources": ["*"]},
          {"actions": ["${var.unset}"], "resources": ["*"]}
        ]
      }
    }
  },
  "resource": {
    "aws_iam_role": {"r": [{"name": "${local.full}", "assume_role_policy": "{\"Statement\": [{\"Effect\": \"Allow\"}]}"}]},
    "aws_iam_role_policy": {
      "p": {
        "role": "${aws_iam_role.r.id}",
        "policy": "${data.aws_iam_policy_document.d.json}"
      }
    },
    "aws_lambda_function": {"f": {"role": "${aws_iam_role.r.arn}", "environment": {"variables": {"A": "b"}}}}
  }
}`
	s := read(t, map[string]string{"main.tf.json": text})
	r := principal(t, s, "aws_iam_role.r")
	if r.Name != "x-role" || !slices.Equal(r.Policies, []string{"aws_iam_role_policy.p"}) || r.Trust == nil || r.Line != line(t, text, `"aws_iam_role": {`) {
		t.Errorf("role %+v", r)
	}
	p := policy(t, s, "aws_iam_role_policy.p")
	if !slices.Equal(p.Lines, []int{line(t, text, `{"actions": ["s3:*"]`), line(t, text, `{"actions": ["${var.unset}"]`)}) || !strings.Contains(string(p.Document), `"${var.unset}"`) {
		t.Errorf("policy %+v %s", p, p.Document)
	}
	if f := s.Functions[0]; f.Role != r.ID || len(f.Environment) != 1 || f.Environment[0].Value != known("b") {
		t.Errorf("function %+v", f)
	}
}

func TestWaysIntoAFunctionAreFoundUnlessTheyAskWhoCalls(t *testing.T) {
	const f = `
resource "aws_lambda_function" "f" {
  function_name = "f"
}
`
	for _, tc := range []struct {
		name, text string
		public     bool
	}{
		{"a URL with authorization NONE", "resource \"aws_lambda_function_url\" \"u\" {\n  function_name = aws_lambda_function.f.function_name\n  authorization_type = \"NONE\"\n}\n", true},
		{"a URL with IAM", "resource \"aws_lambda_function_url\" \"u\" {\n  function_name = aws_lambda_function.f.function_name\n  authorization_type = \"AWS_IAM\"\n}\n", false},
		{"a permission for everyone", "resource \"aws_lambda_permission\" \"p\" {\n  function_name = \"f\"\n  principal = \"*\"\n}\n", true},
		{"a permission for everyone of an organisation", "resource \"aws_lambda_permission\" \"p\" {\n  function_name = \"f\"\n  principal = \"*\"\n  principal_org_id = \"o-1\"\n}\n", false},
		{"a permission for a service", "resource \"aws_lambda_permission\" \"p\" {\n  function_name = \"f\"\n  principal = \"s3.amazonaws.com\"\n}\n", false},
		{"a route without authorizer", route("NONE"), true},
		{"a route with one", route("JWT"), false},
		{"a method without authorizer", method("NONE", ""), true},
		{"a method with one", method("CUSTOM", ""), false},
		{"a method that asks for a key", method("NONE", "\n  api_key_required = true"), false},
	} {
		t.Run(tc.name, func(t *testing.T) {
			s := read(t, map[string]string{"main.tf": f + tc.text})
			if got := s.Functions[0].Public; (len(got) > 0) != tc.public {
				t.Errorf("%v", got)
			}
		})
	}
}

func route(auth string) string {
	return `
resource "aws_apigatewayv2_api" "a" {}
resource "aws_apigatewayv2_integration" "i" {
  api_id          = aws_apigatewayv2_api.a.id
  integration_uri = aws_lambda_function.f.invoke_arn
}
resource "aws_apigatewayv2_route" "r" {
  api_id             = aws_apigatewayv2_api.a.id
  target             = "integrations/${aws_apigatewayv2_integration.i.id}"
  authorization_type = "` + auth + `"
}
`
}

func method(auth, more string) string {
	return `
resource "aws_api_gateway_rest_api" "a" {}
resource "aws_api_gateway_resource" "r" {
  rest_api_id = aws_api_gateway_rest_api.a.id
}
resource "aws_api_gateway_method" "m" {
  rest_api_id   = aws_api_gateway_rest_api.a.id
  resource_id   = aws_api_gateway_resource.r.id
  http_method   = "GET"
  authorization = "` + auth + `"` + more + `
}
resource "aws_api_gateway_integration" "i" {
  rest_api_id = aws_api_gateway_rest_api.a.id
  resource_id = aws_api_gateway_resource.r.id
  http_method = aws_api_gateway_method.m.http_method
  uri         = aws_lambda_function.f.invoke_arn
}
`
}

func TestModulesAreReadWithTheirInputs(t *testing.T) {
	s := read(t, map[string]string{
		"main.tf": `
module "fn" {
  source   = "./fn"
  for_each = { a = "A", b = "B" }
  name     = each.key
  role     = aws_iam_role.r.arn
  env      = { V = each.value }
}
resource "aws_iam_role" "r" {
  name = "shared"
}
resource "aws_lambda_permission" "p" {
  function_name = module.fn["b"].function
  principal     = "*"
}
module "remote" {
  source = "git::https://example.com/x.git"
}
`,
		"fn/main.tf": `
variable "name" {}
variable "role" {}
variable "env" {
  default = {}
}
variable "url" {
  default = false
}
resource "aws_lambda_function" "f" {
  function_name = "fn-${var.name}"
  role          = var.role
  environment {
    variables = var.env
  }
}
resource "aws_lambda_function_url" "u" {
  count              = var.url ? 1 : 0
  function_name      = aws_lambda_function.f.function_name
  authorization_type = "NONE"
}
output "function" {
  value = aws_lambda_function.f.function_name
}
`,
	})
	if len(s.Functions) != 2 {
		t.Fatalf("%+v", s.Functions)
	}
	for i, want := range []struct {
		id, name, v string
		public      int
	}{{`module.fn["a"].aws_lambda_function.f`, "fn-a", "A", 0}, {`module.fn["b"].aws_lambda_function.f`, "fn-b", "B", 1}} {
		f := s.Functions[i]
		if f.ID != want.id || f.Name != want.name || f.Role != "aws_iam_role.r" || f.Environment[0].Value != known(want.v) || len(f.Public) != want.public {
			t.Errorf("%+v", f)
		}
	}
	if len(s.Gaps) != 1 || !strings.Contains(s.Gaps[0].Why, "remote") {
		t.Errorf("gaps %v", s.Gaps)
	}
}

func TestValuesThatTerraformTakesByItselfAreTaken(t *testing.T) {
	s := read(t, map[string]string{
		"main.tf":          "variable \"a\" {\n  default = \"d\"\n}\nvariable \"b\" {\n  default = \"d\"\n}\nvariable \"c\" {\n  default = \"d\"\n}\nresource \"aws_iam_role\" \"r\" {\n  name = \"${var.a}-${var.b}-${var.c}\"\n}\n",
		"terraform.tfvars": "a = \"file\"\nb = \"file\"\n",
		"x.auto.tfvars":    "b = \"auto\"\n",
		"prod.tfvars":      "c = \"not in force\"\n",
	})
	if got := s.Principals[0].Name; got != "file-auto-d" {
		t.Errorf("%s", got)
	}
}

func TestRolesOfKubernetesAreRead(t *testing.T) {
	s := read(t, map[string]string{"main.tf": `
resource "kubernetes_cluster_role" "r" {
  metadata {
    name = "all"
  }
  rule {
    api_groups = ["*"]
    resources  = ["*"]
    verbs      = ["*"]
  }
}
resource "kubernetes_role_binding_v1" "b" {
  metadata {
    name      = "b"
    namespace = "team"
  }
  role_ref {
    kind = "ClusterRole"
    name = kubernetes_cluster_role.r.metadata[0].name
  }
  subject {
    kind      = "ServiceAccount"
    name      = "default"
    namespace = "team"
  }
}
`})
	if r := s.Roles[0]; r.Name != "all" || r.Namespace != "" || r.Rules[0].Line != 6 || !slices.Equal(r.Rules[0].Verbs, []string{"*"}) {
		t.Errorf("role %+v", r)
	}
	if b := s.Bindings[0]; b.Namespace != "team" || !b.ClusterRole || b.Role != "all" || b.Subjects[0] != (stack.RBACSubject{Kind: "ServiceAccount", Namespace: "team", Name: "default"}) {
		t.Errorf("binding %+v", b)
	}
}

func TestPoliciesOfARoleOfSomewhereElseAreTakenTogether(t *testing.T) {
	s := read(t, map[string]string{"main.tf": `
resource "aws_iam_role_policy" "a" {
  role   = aws_iam_role.gone.id
  policy = jsonencode({ Statement = [] })
}
resource "aws_iam_role_policy" "b" {
  role   = aws_iam_role.gone.name
  policy = jsonencode({ Statement = [] })
}
resource "aws_iam_role_policy" "c" {
  role   = aws_iam_role.other.name
  policy = jsonencode({ Statement = [] })
}
`})
	if len(s.Principals) != 2 || !slices.Equal(s.Principals[0].Policies, []string{"aws_iam_role_policy.a", "aws_iam_role_policy.b"}) {
		t.Errorf("%+v", s.Principals)
	}
}

func TestPublishedModulesAreReadAsWhatTheyWrap(t *testing.T) {
	s := read(t, map[string]string{"main.tf": `
module "bucket" {
  source = "terraform-aws-modules/s3-bucket/aws"
  bucket = "b"
  policy = jsonencode({ Statement = [{ Effect = "Allow", Principal = "*", Action = "s3:GetObject", Resource = "*" }] })
}
module "fn" {
  source                = "terraform-aws-modules/lambda/aws"
  function_name         = "f"
  environment_variables = { A = "b" }
}
module "other" {
  source = "someone/s3-bucket/aws"
  policy = "{}"
}
`})
	if b := resourceOf(t, s, "module.bucket"); b.Name != "b" || b.Policy == nil || !slices.Equal(b.Policy.Lines, []int{5}) {
		t.Errorf("%+v", b)
	}
	if f := s.Functions[0]; f.ID != "module.fn" || f.Name != "f" || len(f.Environment) != 1 {
		t.Errorf("%+v", f)
	}
	if len(s.Resources) != 1 || len(s.Gaps) != 3 {
		t.Errorf("%d resources, gaps %v: what a module adds of its own is not known", len(s.Resources), s.Gaps)
	}
}
