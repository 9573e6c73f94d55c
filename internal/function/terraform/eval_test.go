package terraform

import (
	"fmt"
	"strings"
	"testing"

	"github.com/apexlogic/apex/internal/function/node"
	"github.com/apexlogic/apex/internal/function/stack"
)

const probe = `
variable "known" { default = "k" }
variable "unset" {}
variable "flag" { default = true }
variable "none" { default = null }
variable "map" { default = { a = "1", b = "2" } }
variable "list" { default = ["x", "y", ""] }
locals {
  twice = "${var.known}${var.known}"
  loop  = local.loop
  num   = 2
}
data "aws_caller_identity" "me" {}
data "aws_region" "here" {}
data "aws_partition" "p" {}
resource "aws_s3_bucket" "named" { bucket = "data" }
resource "aws_s3_bucket" "auto" {}
resource "aws_sqs_queue" "many" {
  count = 2
  name  = "q${count.index}"
}
resource "aws_sns_topic" "each" {
  for_each = toset(["n1", "n2"])
  name     = each.key
}
resource "aws_lambda_function" "probe" {
  environment {
    variables = {
      P = %s
    }
  }
}
`

func known(s string) stack.Text   { return stack.Text{Value: s, Known: true} }
func unknown(s string) stack.Text { return stack.Text{Value: s} }

func TestExpressionsAreEvaluated(t *testing.T) {
	for _, tc := range []struct {
		expression string
		want       stack.Text
	}{
		{`"plain"`, known("plain")},
		{`var.known`, known("k")},
		{`"a-${var.known}"`, known("a-k")},
		{`"a-${var.unset}"`, unknown("a-${var.unset}")},
		{`local.twice`, known("kk")},
		{`local.loop`, unknown("${local.loop}")},
		{`var.map["a"]`, known("1")},
		{`var.map.b`, known("2")},
		{`lookup(var.map, "c", "d")`, known("d")},
		{`lookup(var.map, "a", "d")`, known("1")},
		{`try(var.map.c, "fallback")`, known("fallback")},
		{`try(var.unset, "fallback")`, unknown("${try(var.unset, 'fallback')}")},
		{`coalesce(var.none, "", "c")`, known("c")},
		{`join("-", compact(var.list))`, known("x-y")},
		{`join(",", [var.unset, "b"])`, unknown("${var.unset},b")},
		{`element(var.list, 3)`, known("x")},
		{`length(var.list)`, known("3")},
		{`length(var.unset)`, unknown("${length(var.unset)}")},
		{`var.flag ? "yes" : "no"`, known("yes")},
		{`var.unset ? "yes" : "no"`, unknown("${var.unset ? 'yes' : 'no'}")},
		{`var.unset == "k" ? "yes" : "no"`, unknown("${var.unset == 'k' ? 'yes' : 'no'}")},
		{`"x-${var.unset}" == "x-k" ? "yes" : "no"`, unknown("${'x-${var.unset}' == 'x-k' ? 'yes' : 'no'}")},
		{`!var.flag || local.num > 1 ? "yes" : "no"`, known("yes")},
		{`format("%s/%03d/%%", "a", 7)`, known("a/007/%")},
		{`format("arn:%s", var.unset)`, unknown("arn:${var.unset}")},
		{`upper(replace("a.b", ".", "-"))`, known("A-B")},
		{`replace("abc1", "/[0-9]+$/", "")`, known("abc")},
		{`split("/", "a/b")[1]`, known("b")},
		{`[for s in var.list : upper(s) if s != ""][1]`, known("Y")},
		{`{ for k, v in var.map : v => k }["2"]`, known("b")},
		{`merge(var.map, { a = "over" })["a"]`, known("over")},
		{`merge(var.map, var.unset)["a"]`, known("1")},
		{`merge(var.map, var.unset)["z"]`, unknown("${merge(var.map, var.unset)['z']}")},
		{`concat(["a"], var.list)[1]`, known("x")},
		{`flatten([["a"], [["b"]]])[1]`, known("b")},
		{`jsonencode({ a = [1, true, null, "x\"y"] })`, known(`{"a":[1,true,null,"x\"y"]}`)},
		{`jsondecode("{\"a\": \"b\"}").a`, known("b")},
		{`yamldecode("a: b").a`, known("b")},
		{`trimsuffix("a.b", ".b")`, known("a")},
		{`keys(var.map)[1]`, known("b")},
		{`tostring(local.num + 3 * 2)`, known("8")},
		{`contains(var.list, "x") ? "in" : "out"`, known("in")},
		{`aws_s3_bucket.named.arn`, known("arn:aws:s3:::data")},
		{`"${aws_s3_bucket.named.arn}/*"`, known("arn:aws:s3:::data/*")},
		{`aws_s3_bucket.named.id`, known("data")},
		{`aws_s3_bucket.auto.arn`, unknown("arn:aws:s3:::${aws_s3_bucket.auto.bucket}")},
		{`aws_s3_bucket.auto.hosted_zone_id`, unknown("${aws_s3_bucket.auto.hosted_zone_id}")},
		{`aws_sqs_queue.many[1].name`, known("q1")},
		{`join(" ", aws_sqs_queue.many[*].name)`, known("q0 q1")},
		{`join(" ", aws_sqs_queue.many.*.name)`, known("q0 q1")},
		{`aws_sns_topic.each["n2"].name`, known("n2")},
		{`join(" ", [for k, v in aws_sns_topic.each : v.name])`, known("n1 n2")},
		{`join(" ", values(aws_sns_topic.each)[*].name)`, known("n1 n2")},
		{`data.aws_caller_identity.me.account_id`, unknown("${AWS::AccountId}")},
		{`data.aws_region.here.name`, unknown("${AWS::Region}")},
		{`"arn:${data.aws_partition.p.partition}:iam::aws:policy/X"`, known("arn:aws:iam::aws:policy/X")},
		{`data.aws_subnet.none.id`, unknown("${data.aws_subnet.none.id}")},
		{`timestamp()`, unknown("${timestamp()}")},
		{`"%{ if var.flag }on%{ else }off%{ endif }"`, known("on")},
		{`"%{ for s in ["a", "b"] }${s};%{ endfor }"`, known("a;b;")},
		{`"$${aws:username}"`, known("${aws:username}")},
	} {
		t.Run(tc.expression, func(t *testing.T) {
			s := read(t, map[string]string{"main.tf": fmt.Sprintf(probe, tc.expression)})
			if len(s.Functions) != 1 || len(s.Functions[0].Environment) != 1 {
				t.Fatalf("%+v %v", s.Functions, s.Gaps)
			}
			got := s.Functions[0].Environment[0].Value
			want := tc.want
			want.Value = strings.ReplaceAll(want.Value, "'", `"`)
			if got != want {
				t.Errorf("%+v, want %+v", got, want)
			}
		})
	}
}

func TestWhatWouldGrowWithoutEndIsUnknown(t *testing.T) {
	doubling := "locals {\n  l0 = [\"x\", \"x\"]\n"
	text := "  t0 = \"xxxxxxxxxxxxxxxx\"\n"
	for i := range 60 {
		doubling += fmt.Sprintf("  l%d = [local.l%d, local.l%d]\n", i+1, i, i)
		text += fmt.Sprintf("  t%d = \"${local.t%d}${local.t%d}\"\n", i+1, i, i)
	}
	doubling += text + "}\n"
	for _, tc := range []struct{ name, expression string }{
		{"lists of the same list", `jsonencode(local.l60)`},
		{"a text of the same text", `local.t60`},
		{"loops within loops", `length([for a in range(1000) : [for b in range(1000) : [for c in range(1000) : c]]])`},
		{"a width that fills the memory", `format("%999999999d", 1)`},
		{"a product of replacements", `replace(replace(local.t12, "x", local.t12), "x", local.t12)`},
		{"a number with a long exponent", `tostring(1e999999999)`},
	} {
		t.Run(tc.name, func(t *testing.T) {
			s := read(t, map[string]string{"main.tf": doubling + fmt.Sprintf(probe, tc.expression)})
			v := s.Functions[0].Environment[0].Value
			if len(v.Value) > node.MaxText || v.Known && tc.name != "a number with a long exponent" {
				t.Errorf("known %v, %d bytes", v.Known, len(v.Value))
			}
		})
	}
}

func TestInstancesOfInstancesEnd(t *testing.T) {
	calls, roles := "", ""
	for i := range 20 {
		calls += fmt.Sprintf("module \"m%d\" {\n  source = \"./x\"\n  count  = 500\n}\n", i)
		roles += fmt.Sprintf("resource \"aws_iam_role\" \"r%d\" {\n  count = 500\n}\n", i)
	}
	s := read(t, map[string]string{"main.tf": calls, "x/main.tf": calls + roles, "x/x/main.tf": roles})
	if len(s.Gaps) == 0 || len(s.Principals) == 0 || len(s.Principals) > maxObjects {
		t.Errorf("%d principals, gaps %v", len(s.Principals), s.Gaps)
	}
}

func TestWhatWouldLeadTheParserTooDeepIsRefused(t *testing.T) {
	for _, tc := range []struct{ name, text string }{
		{"brackets", "locals {\n a = " + strings.Repeat("[", 300) + strings.Repeat("]", 300) + "\n}\n"},
		{"signs", "locals {\n a = " + strings.Repeat("-", 30_000) + "1\n}\n"},
		{"questions", "locals {\n a = " + strings.Repeat("true ? 1 : ", 30_000) + "1\n}\n"},
		{"templates in templates", "locals {\n a = " + strings.Repeat(`"${`, 300) + "1" + strings.Repeat(`}"`, 300) + "\n}\n"},
		{"a file of many megabytes", strings.Repeat("#", maxFile+1)},
	} {
		t.Run(tc.name, func(t *testing.T) {
			s := read(t, map[string]string{"main.tf": tc.text, "ok.tf": "resource \"aws_iam_role\" \"r\" {}\n"})
			if len(s.Gaps) == 0 || len(s.Principals) != 1 {
				t.Errorf("gaps %v, principals %v", s.Gaps, s.Principals)
			}
		})
	}
}

func FuzzRead(f *testing.F) {
	f.Add(fmt.Sprintf(probe, `jsonencode({ a = var.unset })`), `{"locals": {"a": "${var.x}"}}`)
	f.Add("resource \"aws_iam_policy\" \"p\" {\n  policy = <<EOF\n{\"Statement\": [{\"Effect\": ${var.e}}]}\nEOF\n}\n", `{"resource": {"aws_iam_role": {"r": [{"name": "x"}]}}}`)
	f.Add("data \"aws_iam_policy_document\" \"d\" {\n  dynamic \"statement\" {\n    for_each = [1]\n    content {\n      actions = [\"a:b\"]\n    }\n  }\n}\n", `{}`)
	f.Add("module \"m\" {\n  source = \".\"\n}\n", `{"module": {"m": {"source": "./x", "count": 2}}}`)
	f.Fuzz(func(t *testing.T, hcl, json string) {
		fsys, sources := tree(map[string]string{"main.tf": hcl, "x/main.tf.json": json})
		s, err := NewTree(fsys, sources).Read(t.Context(), ".")
		if err != nil {
			t.Fatal(err)
		}
		for _, p := range s.Policies {
			if !p.Unknown && p.Document == nil {
				t.Errorf("policy %s is neither there nor unknown", p.ID)
			}
		}
	})
}
