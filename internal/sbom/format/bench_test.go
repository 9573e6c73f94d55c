//go:build unix

package format_test

import (
	"fmt"
	"io"
	"syscall"
	"testing"
	"time"

	"github.com/apexlogic/apex/internal/fact"
	"github.com/apexlogic/apex/internal/sbom/format"
)

func cpuTime() time.Duration {
	var u syscall.Rusage
	if syscall.Getrusage(syscall.RUSAGE_SELF, &u) != nil {
		return 0
	}
	return time.Duration(u.Utime.Nano() + u.Stime.Nano())
}

// large is an inventory of 10,000 packages, as many as the largest images have.
func large() *fact.Inventory {
	inv := sample()
	one := inv.Packages[:10]
	inv.Packages = nil
	for i := range 10_000 {
		p := one[i%len(one)]
		p.Path = fmt.Sprintf("opt/%d/%s", i, p.Path)
		inv.Packages = append(inv.Packages, p)
	}
	return inv
}

func BenchmarkWrite(b *testing.B) {
	inv := large()
	for f, to := range writers() {
		b.Run(string(f), func(b *testing.B) {
			b.ReportAllocs()
			began := cpuTime()
			for b.Loop() {
				if err := to(io.Discard, inv); err != nil {
					b.Fatal(err)
				}
			}
			b.ReportMetric(float64(cpuTime()-began)/float64(b.N)/1e6, "cpu-ms/op")
		})
	}
}

func BenchmarkRead(b *testing.B) {
	inv := large()
	for f := range writers() {
		b.Run(string(f), func(b *testing.B) {
			data := write(b, f, inv)
			b.SetBytes(int64(len(data)))
			b.ReportAllocs()
			began := cpuTime()
			for b.Loop() {
				if _, _, _, err := format.Read(data); err != nil {
					b.Fatal(err)
				}
			}
			b.ReportMetric(float64(cpuTime()-began)/float64(b.N)/1e6, "cpu-ms/op")
		})
	}
}
