package access

import (
	"fmt"
	"math/rand/v2"
	"net/netip"
	"runtime"
	"slices"
	"syscall"
	"testing"
	"time"
	"unsafe"
)

// BenchmarkDecideTail reports how decisions among 10,000 policies are spread,
// by the CPU time that the deciding thread spent on each one: time in which
// the machine did something else is not in it, and what the garbage collector
// has the thread do for it is. Requests differ in who asks, what for, and what
// is known of them. The clock's own cost is in each figure, and is reported:
//
//	go test -run - -bench DecideTail -benchmem -benchtime 300000x ./internal/access
func BenchmarkDecideTail(b *testing.B) {
	const n = 10_000
	compare := func(i int) string { return fmt.Sprintf("context.bytes < %d", 2_000_000+i) }
	add := func(i int) string {
		return fmt.Sprintf("context.bytes + context.maxTokens * 4 < %d", 2_000_000+i)
	}
	for _, bc := range []struct {
		name      string
		condition func(int) string
		cedar     bool // evaluate by Cedar what need not be
	}{
		{"comparisons", compare, false}, {"comparisons-by-Cedar", compare, true}, {"arithmetic", add, false}, {"arithmetic-by-Cedar", add, true},
	} {
		b.Run(bc.name, func(b *testing.B) {
			policies := []Policy{{Name: "size", Cedar: `forbid(principal, action, resource) when { ` + bc.condition(100_000_000) + ` && context.bytes > 90000000 };`}}
			for i := range n - 1 {
				policies = append(policies, Policy{Name: fmt.Sprintf("model-%d", i), Cedar: fmt.Sprintf(
					`permit(principal in Group::"team-%d", action in [Action::"infer", Action::"embed"], resource == Model::"model-%d") when { %s };`, i%97, i, bc.condition(i))})
			}
			s := compiled(b, policies)
			if bc.cedar {
				for _, r := range s.rules {
					r.quick = nil
				}
			}
			r := rand.New(rand.NewPCG(1, 2))
			questions := make([]*Request, 4096)
			for i := range questions {
				m := r.IntN(n - 1)
				questions[i] = ask(who(Workload, fmt.Sprintf("spiffe://claims.example/ns/%d/x", r.IntN(1000)), "staff", fmt.Sprintf("team-%d", m%97)),
					to(fmt.Sprintf("model-%d", m)), with("bytes", int64(r.IntN(2_000_000))), with("maxTokens", int64(r.IntN(100))),
					with("address", netip.AddrFrom4([4]byte{10, 0, byte(i >> 8), byte(i)})), with("time", noon.Add(time.Duration(i)*time.Second)))
			}
			runtime.LockOSThread()
			defer runtime.UnlockOSThread()
			took := make([]time.Duration, b.N)
			allowed := 0
			runtime.GC()
			b.ReportAllocs()
			b.ResetTimer()
			for i := range b.N {
				from := threadTime()
				d := s.Decide(questions[i%len(questions)])
				took[i] = threadTime() - from
				if d.Allow {
					allowed++
				}
			}
			b.StopTimer()
			if allowed < b.N*9/10 {
				b.Fatalf("%d of %d are allowed", allowed, b.N)
			}
			slices.Sort(took)
			for _, p := range []struct {
				name string
				of   float64
			}{{"p50-ns", .5}, {"p99-ns", .99}, {"p99.9-ns", .999}} {
				b.ReportMetric(float64(took[int(float64(len(took)-1)*p.of)].Nanoseconds()), p.name)
			}
			clock := make([]time.Duration, 1000)
			for i := range clock {
				from := threadTime()
				clock[i] = threadTime() - from
			}
			slices.Sort(clock)
			b.ReportMetric(float64(clock[len(clock)/2].Nanoseconds()), "clock-ns")
		})
	}
}

// threadTime is the CPU time of this thread (clock_gettime(2), CLOCK_THREAD_CPUTIME_ID).
func threadTime() time.Duration {
	var t syscall.Timespec
	syscall.RawSyscall(syscall.SYS_CLOCK_GETTIME, 3, uintptr(unsafe.Pointer(&t)), 0)
	return time.Duration(t.Nano())
}
