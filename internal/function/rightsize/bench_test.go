//go:build unix

package rightsize

import (
	"math/rand/v2"
	"strings"
	"syscall"
	"testing"
	"time"
)

// BenchmarkShrink10000Roles is the whole fleet: 10,000 roles.
func BenchmarkShrink10000Roles(b *testing.B) {
	const n = 10_000
	r := rand.New(rand.NewPCG(4, 9))
	roles, events := make([]Role, n), make([][]Event, n)
	for i := range n {
		roles[i], events[i] = role(r, i)
	}
	began := cpu()
	for b.Loop() {
		for i := range n {
			if _, err := Shrink(roles[i], events[i], quarter()); err != nil {
				b.Fatal(err)
			}
		}
	}
	b.ReportMetric(float64(cpu()-began)/float64(b.N)/1e9, "cpu-s/op")
}

// BenchmarkCloudTrail reads 10,000 records, one a line.
func BenchmarkCloudTrail(b *testing.B) {
	const n = 10_000
	log := strings.Repeat(trail("s3", "GetObject", `"eventCategory":"Data","requestParameters":{"bucketName":"b","key":"in/a.jpg"}`)+"\n", n)
	b.SetBytes(int64(len(log)))
	began := cpu()
	for b.Loop() {
		events := 0
		if _, err := Read(strings.NewReader(log), func(Event) { events++ }, nil); err != nil || events != n {
			b.Fatal(events, err)
		}
	}
	b.ReportMetric(float64(cpu()-began)/float64(b.N)/n/1e3, "cpu-µs/record")
}

func cpu() time.Duration {
	var u syscall.Rusage
	if syscall.Getrusage(syscall.RUSAGE_SELF, &u) != nil {
		return 0
	}
	return time.Duration(u.Utime.Nano() + u.Stime.Nano())
}
