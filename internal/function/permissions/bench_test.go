//go:build unix

package permissions

import (
	"syscall"
	"testing"
	"time"
)

func cpu() time.Duration {
	var u syscall.Rusage
	if syscall.Getrusage(syscall.RUSAGE_SELF, &u) != nil {
		return 0
	}
	return time.Duration(u.Utime.Nano() + u.Stime.Nano())
}

// BenchmarkList sums up a role as functions have it, and the dearest there is:
// every action.
func BenchmarkList(b *testing.B) {
	for _, tc := range []struct {
		name, statements string
		services         int
	}{
		{"function", `{"Effect":"Allow","Action":["s3:GetObject","s3:PutObject"],"Resource":"arn:aws:s3:::b/*"},{"Effect":"Allow","Action":"dynamodb:*","Resource":"arn:aws:dynamodb:*:*:table/t"},{"Effect":"Allow","Action":"logs:*","Resource":"*"}`, 3},
		{"administrator", `{"Effect":"Allow","Action":"*","Resource":"*"}`, 300},
	} {
		b.Run(tc.name, func(b *testing.B) {
			s := read(b, map[string]string{"t.json": template("", tc.statements)})
			began := cpu()
			for b.Loop() {
				if len(List(s)[0].Services) < tc.services {
					b.Fatal("too few services")
				}
			}
			b.ReportMetric(float64(cpu()-began)/float64(b.N)/1e6, "cpu-ms/op")
		})
	}
}
