package message

import (
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

func BenchmarkVerify(b *testing.B) {
	p := newPost(b, nil)
	for name, e := range map[string]*Event{"certificate": p.signed(b, "1", nil), "token": p.bound(b, "2")} {
		b.Run(name, func(b *testing.B) {
			b.ReportAllocs()
			before := cpu()
			for b.Loop() {
				if _, err := p.gate.Verify(b.Context(), e); err != nil {
					b.Fatal(err)
				}
			}
			b.ReportMetric((cpu()-before)/float64(b.N), "cpu-ns/op")
		})
	}
}
