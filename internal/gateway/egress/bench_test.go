package egress

import (
	"bytes"
	"syscall"
	"testing"
)

// cpu is the processor time of this process so far, in nanoseconds: on a machine
// that others use too, wall time says little.
func cpu() float64 {
	var u syscall.Rusage
	if syscall.Getrusage(syscall.RUSAGE_SELF, &u) != nil {
		return 0
	}
	return float64(u.Utime.Nano() + u.Stime.Nano())
}

func BenchmarkGreeting(b *testing.B) {
	greeting := greet(b, "example.com", nil)
	b.ReportAllocs()
	before := cpu()
	for b.Loop() {
		if _, _, err := readGreeting(bytes.NewReader(greeting)); err != nil {
			b.Fatal(err)
		}
	}
	b.ReportMetric((cpu()-before)/float64(b.N), "cpu-ns/op")
}
