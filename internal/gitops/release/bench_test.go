package release_test

import (
	"context"
	"fmt"
	"slices"
	"syscall"
	"testing"
	"time"

	"github.com/apexlogic/apex/internal/clock"
	"github.com/apexlogic/apex/internal/gitops"
	"github.com/apexlogic/apex/internal/gitops/release"
)

// cpu is what the process has used.
func cpu() time.Duration {
	var u syscall.Rusage
	_ = syscall.Getrusage(syscall.RUSAGE_SELF, &u)
	return time.Duration(u.Utime.Nano() + u.Stime.Nano())
}

// BenchmarkReturn measures from the answer of an analysis that is out of bounds to
// the moment when every object is written with its traffic on the old revision,
// on an embedded target on disk. One operation is one canary.
func BenchmarkReturn(b *testing.B) {
	for _, n := range []int{1, 10, 100} {
		b.Run(fmt.Sprintf("%d objects", n), func(b *testing.B) {
			set := func(version string) *gitops.Set {
				var all []gitops.Object
				for i := range n {
					all = append(all, object(b, "ksvc", fmt.Sprintf("captioner-%d", i), version))
				}
				return setOf(b, all...)
			}
			var took []time.Duration
			var used time.Duration
			for b.Loop() {
				b.StopTimer()
				p := newPlace(b, b.TempDir(), clock.At(noon), nil)
				p.deploy("one", set("one"))
				p.turn()
				p.deploy("two", set("two"))
				p.until(release.Observing, 0)
				p.value = func(release.Sample) (float64, error) { return 1, nil }
				before := cpu()
				b.StartTimer()
				begun := time.Now()
				c, err := p.Tick(context.Background())
				took = append(took, time.Since(begun))
				b.StopTimer()
				used += cpu() - before
				if err != nil || c.Phase != release.Gone {
					b.Fatal(c, err)
				}
				p.close()
				b.StartTimer()
			}
			slices.Sort(took)
			b.ReportMetric(float64(took[len(took)/2].Microseconds())/1000, "p50-ms")
			b.ReportMetric(float64(took[len(took)-1].Microseconds())/1000, "max-ms")
			b.ReportMetric(float64(used.Microseconds())/1000/float64(len(took)), "cpu-ms/op")
		})
	}
}
