package access

import (
	"fmt"
	"slices"
	"syscall"
	"testing"
	"time"
)

// manyPolicies is a set as a large platform has: a permit for each model and
// its team's group with a condition on the request, a grant's worth of models,
// and a few forbids for everybody.
func manyPolicies(t testing.TB, n int) *Set {
	policies := []Policy{{Name: "all", Cedar: `@id("size") forbid(principal, action, resource) when { context.bytes > 50000000 };`}}
	for i := range n - 1 {
		policies = append(policies, Policy{Name: fmt.Sprintf("model-%d", i), Cedar: fmt.Sprintf(
			`permit(principal in Group::"team-%d", action in [Action::"infer", Action::"embed"], resource == Model::"model-%d");`, i%97, i)})
	}
	return compiled(t, policies)
}

// inManyPolicies asks for the last model, of which one permit and the forbid hold
// their scope.
func inManyPolicies(n int) *Request {
	return ask(who(Workload, intake, "staff", fmt.Sprintf("team-%d", (n-2)%97)), to(fmt.Sprintf("model-%d", n-2)))
}

func cpu() time.Duration {
	var u syscall.Rusage
	if syscall.Getrusage(syscall.RUSAGE_SELF, &u) != nil {
		return 0
	}
	return time.Duration(u.Utime.Nano() + u.Stime.Nano())
}

// BenchmarkDecide reports what a decision costs, by the number of policies:
//
//	go test -run - -bench Decide -benchmem -cpu 1 ./internal/access
func BenchmarkDecide(b *testing.B) {
	for _, n := range []int{10, 100, 1_000, 10_000} {
		s, q := manyPolicies(b, n), inManyPolicies(n)
		b.Run(fmt.Sprintf("policies=%d", n), func(b *testing.B) {
			measure(b, func() bool { return s.Decide(q).Allow })
		})
	}
}

// BenchmarkDecideUnsliced is the same through cedar.Authorize over all policies.
func BenchmarkDecideUnsliced(b *testing.B) {
	for _, n := range []int{10, 1_000} {
		s, q := manyPolicies(b, n), inManyPolicies(n)
		b.Run(fmt.Sprintf("policies=%d", n), func(b *testing.B) {
			measure(b, func() bool { return s.decide(q, (*asking).all).Allow })
		})
	}
}

// BenchmarkDecideByCedar asks where Cedar has to evaluate a condition, among 10,000.
func BenchmarkDecideByCedar(b *testing.B) {
	policies := []Policy{{Name: "sum", Cedar: `forbid(principal, action, resource) when { context.bytes + context.maxTokens > 50000000 };`}}
	for i := range 9_999 {
		policies = append(policies, Policy{Name: fmt.Sprintf("m%d", i), Cedar: fmt.Sprintf(`permit(principal, action == Action::"infer", resource == Model::"model-%d");`, i)})
	}
	s, q := compiled(b, policies), ask(to("model-9000"))
	measure(b, func() bool { return s.Decide(q).Allow })
}

// BenchmarkDecideScopes asks where no condition has to be evaluated: a grant.
func BenchmarkDecideScopes(b *testing.B) {
	var grants []Grant
	for i := range 10_000 {
		grants = append(grants, Grant{Name: fmt.Sprintf("g%d", i), Route: "vision", Identities: []string{fmt.Sprintf("spiffe://claims.example/ns/%d/*", i)}, Actions: []string{"infer"}})
	}
	s := compiled(b, nil, grants...)
	q := ask(who(Workload, "spiffe://claims.example/ns/9999/x"))
	measure(b, func() bool { return s.Decide(q).Allow })
}

// BenchmarkCompile reports what a reload costs.
func BenchmarkCompile(b *testing.B) {
	for _, n := range []int{100, 1_000} {
		b.Run(fmt.Sprintf("policies=%d", n), func(b *testing.B) {
			measure(b, func() bool { return manyPolicies(b, n).Len() == n })
		})
	}
}

// measure runs f and reports CPU, and how long it took in the middle and at
// the 99th percentile, of the last 1<<17 runs.
func measure(b *testing.B, f func() bool) {
	b.Helper()
	var took []time.Duration
	took = make([]time.Duration, 0, 1<<17)
	b.ReportAllocs()
	for range 100 {
		if !f() {
			b.Fatal("denied")
		}
		if b.N == 1 {
			break
		}
	}
	b.ResetTimer()
	from := cpu()
	for range b.N {
		start := time.Now()
		f()
		d := time.Since(start)
		if len(took) == cap(took) {
			took = took[:0]
		}
		took = append(took, d)
	}
	used := cpu() - from
	b.StopTimer()
	slices.Sort(took)
	b.ReportMetric(float64(used.Nanoseconds())/float64(b.N), "cpu-ns/op")
	b.ReportMetric(float64(took[len(took)/2].Nanoseconds()), "p50-ns")
	b.ReportMetric(float64(took[len(took)*99/100].Nanoseconds()), "p99-ns")
}
