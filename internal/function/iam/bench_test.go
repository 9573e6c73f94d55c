//go:build unix

package iam

import (
	"syscall"
	"testing"
	"time"
)

// BenchmarkCatalogLoad unpacks every service, which few questions need.
func BenchmarkCatalogLoad(b *testing.B) {
	began := cpu()
	for b.Loop() {
		c, err := open(table)
		if err != nil {
			b.Fatal(err)
		}
		for _, s := range c.names {
			if l := c.services[s].load(); l.err != nil {
				b.Fatal(l.err)
			}
		}
	}
	b.ReportMetric(float64(cpu()-began)/float64(b.N)/1e6, "cpu-ms/op")
}

// BenchmarkCatalogOpen is what the first question about one service costs.
func BenchmarkCatalogOpen(b *testing.B) {
	began := cpu()
	for b.Loop() {
		c, err := open(table)
		if err != nil {
			b.Fatal(err)
		}
		if _, ok := c.Lookup("s3:GetObject"); !ok {
			b.Fatal("not found")
		}
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
