package lambda_test

import (
	"fmt"
	"syscall"
	"testing"
	"time"

	"github.com/apexlogic/apex/internal/gitops"
)

func cpu(b *testing.B) time.Duration {
	var u syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &u); err != nil {
		b.Fatal(err)
	}
	return time.Duration(u.Utime.Nano() + u.Stime.Nano())
}

// BenchmarkCompare describes and names 1,000 functions over HTTP; the CPU time
// is that of the target and of the fake together.
func BenchmarkCompare(b *testing.B) {
	const functions = 1000
	w, server := fake(b, nil)
	put(b, w.target, theRole(b))
	for i := range functions {
		o, err := spec().Object(fmt.Sprintf("captioner-%d", i), here)
		put(b, w.target, labelled(b, o, err))
	}
	kind := gitops.Kind{Group: gitops.LambdaGroup, Version: gitops.LambdaVersion, Kind: gitops.LambdaFunctionKind}
	_, before := server.Calls()
	start := cpu(b)
	for b.Loop() {
		seen := 0
		if err := w.target.List(b.Context(), kind, func(gitops.Held) { seen++ }); err != nil || seen != functions {
			b.Fatalf("%d, %v", seen, err)
		}
	}
	_, after := server.Calls()
	b.ReportMetric((cpu(b)-start).Seconds()/float64(b.N), "cpu-s/op")
	b.ReportMetric(float64(after-before)/float64(b.N*functions), "calls/function")
}
