package advisory_test

import (
	"math/rand/v2"
	"runtime"
	"syscall"
	"testing"
	"time"

	"github.com/apexlogic/apex/internal/advisory"
	"github.com/apexlogic/apex/internal/advisory/snapshot"
	"github.com/apexlogic/apex/internal/fact"
)

func cpuTime() time.Duration {
	var u syscall.Rusage
	if syscall.Getrusage(syscall.RUSAGE_SELF, &u) != nil {
		return 0
	}
	return time.Duration(u.Utime.Nano() + u.Stime.Nano())
}

// environments returns 120 lists of 60 packages that have advisories.
func environments(s *snapshot.Snapshot) [][]fact.Package {
	rng := rand.New(rand.NewPCG(9, 9))
	out := make([][]fact.Package, 120)
	for i := range out {
		for len(out[i]) < 60 {
			p := s.Package(rng.IntN(s.Packages()))
			v := "1.0.0"
			if len(p.Versions) > 0 {
				v = p.Versions[rng.IntN(len(p.Versions))]
			}
			out[i] = append(out[i], fact.Package{Ecosystem: p.Ecosystem, Name: p.Name.Name, Version: v})
		}
	}
	return out
}

// BenchmarkLoad loads PyPI, Go, KEV and EPSS of the month from our format.
func BenchmarkLoad(b *testing.B) {
	data := realSnapshot(b).Bytes()
	b.SetBytes(int64(len(data)))
	b.ReportAllocs()
	runtime.GC()
	began := cpuTime()
	for b.Loop() {
		s, err := snapshot.Load(data)
		if err != nil {
			b.Fatal(err)
		}
		advisory.New(s)
	}
	b.ReportMetric(float64(cpuTime()-began)/float64(b.N)/1e6, "cpu-ms/op")
}

// BenchmarkMatch120 matches 120 environments by a fresh index, so that the
// first look at each package is counted.
func BenchmarkMatch120(b *testing.B) {
	s := realSnapshot(b)
	envs := environments(s)
	b.ReportAllocs()
	runtime.GC()
	began := cpuTime()
	matches := 0
	for b.Loop() {
		x := advisory.New(s)
		matches = 0
		for _, packages := range envs {
			matches += len(x.Match(packages))
		}
	}
	b.ReportMetric(float64(cpuTime()-began)/float64(b.N)/1e6, "cpu-ms/op")
	b.ReportMetric(float64(matches), "matches")
}
