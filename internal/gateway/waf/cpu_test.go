//go:build unix

package waf

import (
	"syscall"
	"testing"
	"time"
)

// reportCPU has a benchmark report the CPU time of the process for each
// operation, which other load on the machine does not lengthen.
func reportCPU(b *testing.B) func() {
	before := cpuTime(b)
	return func() { b.ReportMetric(float64(cpuTime(b)-before)/float64(b.N)/1000, "cpu-us/op") }
}

func cpuTime(tb testing.TB) time.Duration {
	var u syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &u); err != nil {
		tb.Fatal(err)
	}
	return time.Duration(u.Utime.Nano() + u.Stime.Nano())
}
