package fleet_test

import (
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/apexlogic/apex/internal/advisory"
	"github.com/apexlogic/apex/internal/advisory/fleet"
	"github.com/apexlogic/apex/internal/advisory/snapshot"
)

func cpuTime() time.Duration {
	var u syscall.Rusage
	if syscall.Getrusage(syscall.RUSAGE_SELF, &u) != nil {
		return 0
	}
	return time.Duration(u.Utime.Nano() + u.Stime.Nano())
}

func heap() uint64 {
	runtime.GC()
	runtime.GC()
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	return m.HeapAlloc
}

// BenchmarkFleet measures 10,000 inventories of 150 packages: what the index
// takes, what each real day takes, and a full rescan to compare with. One run
// replays the whole month, so use -benchtime=1x.
func BenchmarkFleet(b *testing.B) {
	dates, records := days(b)
	first := firstDay(b)
	full := build(b, snapshot.Input{Taken: dates[len(dates)-1], Feeds: []snapshot.Feed{{Name: "PyPI", Records: readFeed(b, filepath.Join(shared(b), "pypi-2026-07-23.jsonl.gz"))}}})
	known := packagesOf(full)
	for b.Loop() {
		rng := rand.New(rand.NewPCG(3, 4))
		f := fleet.New(advisory.New(first))
		empty := heap()
		var spent time.Duration
		for i := range 10_000 {
			packages := generate(rng, known, 1, 150, 20)[0]
			began := cpuTime()
			if err := f.Add(fmt.Sprintf("ns/w%05d", i), fmt.Sprintf("sha256:%064d", i), packages); err != nil {
				b.Fatal(err)
			}
			spent += cpuTime() - began
		}
		stats := f.Stats()
		held := heap() - empty
		b.Logf("%+v; added in %v CPU; %.0f MiB, %.0f MiB per million versions", stats, spent.Round(time.Millisecond),
			float64(held)/(1<<20), float64(held)/(1<<20)*1e6/float64(stats.Versions))
		b.ReportMetric(float64(held)/(1<<20)*1e6/float64(stats.Versions), "MiB/1M-versions")

		snap := first
		var log strings.Builder // testing cuts a benchmark's log after ten lines
		var small, large time.Duration
		for i := range dates {
			began := cpuTime()
			snap = build(b, snapshot.Input{Taken: dates[i], Base: snap, Feeds: []snapshot.Feed{{Name: "PyPI", Records: records[i], Partial: true}}})
			built := cpuTime() - began
			next := advisory.New(snap)
			runtime.GC() // what building left is not the delta's cost
			began, wall := cpuTime(), time.Now()
			delta, events := f.Apply(next)
			took, walled := cpuTime()-began, time.Since(wall)
			verdicts, workloads := 0, map[string]bool{}
			for _, e := range events {
				verdicts += len(e.Workloads)
				for _, w := range e.Workloads {
					workloads[w] = true
				}
			}
			fmt.Fprintf(&log, "%s: %4d records, %4d packages, %6d verdicts of %6d workloads: %8v CPU, %8v wall (build %v)\n", dates[i].Format(time.DateOnly), len(records[i]), len(delta.Packages),
				verdicts, len(workloads), took.Round(10*time.Microsecond), walled.Round(10*time.Microsecond), built.Round(time.Millisecond))
			if len(records[i]) <= 50 {
				small = max(small, took)
			}
			large = max(large, took)
		}
		began := cpuTime()
		verdicts := 0
		for _, vs := range f.All() {
			verdicts += len(vs)
		}
		rescanned := cpuTime() - began
		fmt.Fprint(os.Stderr, log.String())
		b.Logf("full rescan: %d verdicts in %v CPU", verdicts, rescanned.Round(time.Millisecond))
		b.ReportMetric(float64(small)/1e6, "cpu-ms/day<=50")
		b.ReportMetric(float64(large)/1e6, "cpu-ms/worst-day")
		b.ReportMetric(float64(rescanned)/1e6, "cpu-ms/rescan")
		b.ReportMetric(float64(small)/float64(rescanned), "day<=50/rescan")
		b.ReportMetric(float64(large)/float64(rescanned), "worst/rescan")
	}
}
