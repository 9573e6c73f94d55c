//go:build unix

package judge

import (
	"fmt"
	"syscall"
	"testing"
	"time"

	"github.com/apexlogic/apex/internal/function/stack"
)

// BenchmarkJudge270Policies judges 270 different documents, each for itself.
func BenchmarkJudge270Policies(b *testing.B) {
	var stacks []*stack.Stack
	for i := range 270 {
		statements := []string{
			fmt.Sprintf("Allow s3:GetObject,s3:PutObject on arn:aws:s3:::bucket-%d/*", i),
			fmt.Sprintf("Allow dynamodb:* on arn:aws:dynamodb:*:*:table/t%d", i),
			"Allow logs:CreateLogGroup,logs:PutLogEvents on *",
		}
		switch i % 4 {
		case 0:
			statements = append(statements, "Allow iam:PassRole on *", "Allow lambda:CreateFunction,lambda:InvokeFunction on *")
		case 1:
			statements = append(statements, "Allow ec2:Describe*,ec2:*Instances on *", "Deny ec2:TerminateInstances on *")
		case 2:
			statements = append(statements, "Allow not iam:* on *")
		}
		stacks = append(stacks, alone(statements...))
	}
	began := cpu()
	for b.Loop() {
		for _, s := range stacks {
			if Judge(s, Options{}) == nil {
				b.Fatal("nothing was found")
			}
		}
	}
	b.ReportMetric(float64(cpu()-began)/float64(b.N)/1e6, "cpu-ms/op")
}

// BenchmarkJudge1000Roles judges one stack of a thousand roles that are bound to
// each other by what they may pass.
func BenchmarkJudge1000Roles(b *testing.B) {
	s := &stack.Stack{}
	for i := range 1000 {
		id := fmt.Sprintf("p%d", i)
		s.Policies = append(s.Policies, policy(id, fmt.Sprintf("Allow iam:PassRole on arn:aws:iam::*:role/r%d*", i%100), "Allow lambda:CreateFunction,lambda:InvokeFunction on *", fmt.Sprintf("Allow s3:* on arn:aws:s3:::b%d/*", i)))
		s.Principals = append(s.Principals, role(fmt.Sprintf("r%d", i), trusting(lambdas), id))
	}
	began := cpu()
	for b.Loop() {
		Judge(s, Options{})
	}
	b.ReportMetric(float64(cpu()-began)/float64(b.N)/1e6, "cpu-ms/op")
}

func cpu() time.Duration {
	var u syscall.Rusage
	if syscall.Getrusage(syscall.RUSAGE_SELF, &u) != nil {
		return 0
	}
	return time.Duration(u.Utime.Nano() + u.Stime.Nano())
}
