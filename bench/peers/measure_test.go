package peers

import (
	"cmp"
	"context"
	"runtime"
	"runtime/pprof"
	"slices"
	"syscall"
	"testing"
	"time"
)

// contender does the work that is compared, once.
type contender struct {
	name    string
	prepare func(b *testing.B) // before each pass, unmeasured; nil: nothing
	pass    func(b *testing.B)
}

// rounds is how often every contender has its turn. Medians of nine are steady
// on a machine that is used by others too.
const rounds = 9

// sample is what one pass took.
type sample struct {
	cpu, wall time.Duration
	requests  int64
	allocated uint64 // bytes
}

// compare lets the contenders work in turns and reports the medians per item;
// the first one is the peer that the others are compared with.
func compare(b *testing.B, h *house, items int, contenders ...contender) {
	b.Helper()
	samples := make([][]sample, len(contenders))
	for range b.N {
		for round := range rounds {
			for i := range contenders {
				// Nobody always comes first, or always after the same one.
				n := (i + round) % len(contenders)
				// In a CPU profile: go tool pprof -tagfocus contender=apex ...
				pprof.Do(b.Context(), pprof.Labels("contender", contenders[n].name), func(context.Context) {
					if contenders[n].prepare != nil {
						contenders[n].prepare(b)
					}
					samples[n] = append(samples[n], measure(b, h, contenders[n].pass))
				})
			}
		}
	}
	for n, c := range contenders {
		per := float64(items)
		b.ReportMetric(median(samples[n], func(s sample) float64 { return float64(s.cpu.Microseconds()) })/per, c.name+"-cpu-µs")
		b.ReportMetric(median(samples[n], func(s sample) float64 { return float64(s.wall.Microseconds()) })/per, c.name+"-wall-µs")
		b.ReportMetric(median(samples[n], func(s sample) float64 { return float64(s.allocated) })/per/1024, c.name+"-alloc-kB")
		if h != nil {
			b.ReportMetric(median(samples[n], func(s sample) float64 { return float64(s.requests) })/per, c.name+"-requests")
		}
		if n == 0 {
			continue
		}
		// Pairs of one round share what else the machine did at that moment.
		var cpu, wall []float64
		for i := range samples[n] {
			cpu = append(cpu, float64(samples[n][i].cpu)/float64(samples[0][i].cpu))
			wall = append(wall, float64(samples[n][i].wall)/float64(samples[0][i].wall))
		}
		b.ReportMetric(middle(cpu), c.name+"/"+contenders[0].name+"-cpu")
		b.ReportMetric(middle(wall), c.name+"/"+contenders[0].name+"-wall")
	}
	b.ReportMetric(0, "ns/op") // of all rounds together, which says nothing
}

func measure(b *testing.B, h *house, pass func(b *testing.B)) sample {
	b.Helper()
	var s sample
	if h != nil {
		s.requests = -h.requests()
	}
	runtime.GC() // what others left behind is not this one's
	var before, after runtime.MemStats
	runtime.ReadMemStats(&before)
	cpu, start := cpuTime(b), time.Now()
	pass(b)
	s.wall, s.cpu = time.Since(start), cpuTime(b)-cpu
	runtime.ReadMemStats(&after)
	s.allocated = after.TotalAlloc - before.TotalAlloc
	if h != nil {
		s.requests += h.requests()
	}
	return s
}

// cpuTime is the process's, user and system.
func cpuTime(b *testing.B) time.Duration {
	b.Helper()
	var u syscall.Rusage
	must(b, syscall.Getrusage(syscall.RUSAGE_SELF, &u))
	return time.Duration(u.Utime.Nano() + u.Stime.Nano())
}

func median(samples []sample, of func(sample) float64) float64 {
	var all []float64
	for _, s := range samples {
		all = append(all, of(s))
	}
	return middle(all)
}

func middle[T cmp.Ordered](all []T) T {
	sorted := slices.Sorted(slices.Values(all))
	return sorted[len(sorted)/2]
}
