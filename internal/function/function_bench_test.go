//go:build unix

package function

import (
	"fmt"
	"strings"
	"syscall"
	"testing"
	"testing/fstest"
	"time"
)

func cpuTime() time.Duration {
	var u syscall.Rusage
	if syscall.Getrusage(syscall.RUSAGE_SELF, &u) != nil {
		return 0
	}
	return time.Duration(u.Utime.Nano() + u.Stime.Nano())
}

// BenchmarkRead reads units of 200 functions, each with a role and a policy.
func BenchmarkRead(b *testing.B) {
	var tf, cfn, sls strings.Builder
	cfn.WriteString("Resources:\n")
	sls.WriteString("service: s\nprovider: {name: aws}\nfunctions:\n")
	for i := range 200 {
		fmt.Fprintf(&tf, "resource \"aws_iam_role\" \"r%[1]d\" {\n  name = \"r%[1]d\"\n}\nresource \"aws_iam_role_policy\" \"p%[1]d\" {\n  role   = aws_iam_role.r%[1]d.id\n  policy = jsonencode({ Statement = [{ Effect = \"Allow\", Action = [\"s3:GetObject\"], Resource = \"arn:aws:s3:::b%[1]d/*\" }] })\n}\n"+
			"resource \"aws_lambda_function\" \"f%[1]d\" {\n  function_name = \"f%[1]d\"\n  role          = aws_iam_role.r%[1]d.arn\n}\n", i)
		fmt.Fprintf(&cfn, "  F%[1]d:\n    Type: AWS::Serverless::Function\n    Properties:\n      Policies:\n        - Statement:\n            - {Effect: Allow, Action: s3:GetObject, Resource: !Sub 'arn:aws:s3:::b%[1]d/${AWS::Region}'}\n", i)
		fmt.Fprintf(&sls, "  f%[1]d:\n    handler: h\n    iamRoleStatements:\n      - {Effect: Allow, Action: s3:GetObject, Resource: 'arn:aws:s3:::b%[1]d/${opt:stage, ''dev''}'}\n", i)
	}
	for _, tc := range []struct{ name, file, text string }{{"terraform", "main.tf", tf.String()}, {"sam", "t.yaml", cfn.String()}, {"serverless", "s.yml", sls.String()}} {
		b.Run(tc.name, func(b *testing.B) {
			fsys := fstest.MapFS{tc.file: &fstest.MapFile{Data: []byte(tc.text)}}
			began := cpuTime()
			for b.Loop() {
				stacks, err := Read(b.Context(), fsys, Options{})
				if err != nil || len(stacks) != 1 || len(stacks[0].Functions) != 200 || len(stacks[0].Policies) != 200 {
					b.Fatal(len(stacks), err)
				}
			}
			b.ReportMetric(float64(cpuTime()-began)/float64(b.N)/1e6, "cpu-ms/op")
		})
	}
}
