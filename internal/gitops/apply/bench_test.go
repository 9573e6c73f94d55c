package apply_test

import (
	"fmt"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/apexlogic/apex/internal/gitops"
	"github.com/apexlogic/apex/internal/gitops/apply"
)

// cpu is what the process has used, in seconds.
func cpu() float64 {
	var u syscall.Rusage
	_ = syscall.Getrusage(syscall.RUSAGE_SELF, &u)
	return time.Duration(u.Utime.Nano() + u.Stime.Nano()).Seconds()
}

// resident returns the process's resident memory in MB, after a collection.
func resident() float64 {
	runtime.GC()
	data, _ := os.ReadFile("/proc/self/statm")
	fields := strings.Fields(string(data))
	if len(fields) < 2 {
		return 0
	}
	pages, _ := strconv.Atoi(fields[1])
	return float64(pages) * float64(os.Getpagesize()) / 1e6
}

func benchSet(b *testing.B, n int, value string) *gitops.Set {
	b.Helper()
	all := make([]gitops.Object, n)
	for i := range all {
		all[i] = object(b, fmt.Sprintf("ConfigMap vision/object-%d v=%s text=%s", i, value, strings.Repeat("x", 300)))
	}
	return setOf(b, all...)
}

// BenchmarkApply plans and applies, one operation being the whole set.
func BenchmarkApply(b *testing.B) {
	for _, kind := range []string{"embedded", "dir"} {
		for _, n := range []int{1000, 10_000} {
			// Sets are made when a benchmark needs them: they count as memory.
			one := func() *gitops.Set { return benchSet(b, n, "one") }
			two := func() *gitops.Set { return benchSet(b, n, "two") }
			run := func(name string, prepare func(b *testing.B, w *world), step func(b *testing.B, w *world)) {
				b.Run(fmt.Sprintf("%s/%d/%s", kind, n, name), func(b *testing.B) {
					var used float64
					for b.Loop() {
						b.StopTimer()
						root := b.TempDir()
						w, err := openWorld(kind, root, nil)
						if err != nil {
							b.Fatal(err)
						}
						if prepare != nil {
							prepare(b, w)
						}
						before := cpu()
						b.StartTimer()
						step(b, w)
						b.StopTimer()
						used += cpu() - before
						b.ReportMetric(resident(), "MB-resident")
						if err := w.close(); err != nil {
							b.Fatal(err)
						}
						_ = os.RemoveAll(root)
						b.StartTimer()
					}
					b.ReportMetric(used/float64(b.N)/float64(n)*1e6, "cpu-us/object")
					b.ReportMetric(float64(n)*float64(b.N)/b.Elapsed().Seconds(), "objects/s")
				})
			}
			do := func(set func() *gitops.Set, commit, after string, look apply.Look) func(*testing.B, *world) {
				return func(b *testing.B, w *world) {
					b.StopTimer()
					made := set()
					b.StartTimer()
					p, err := w.Plan(b.Context(), apply.Request{Source: apply.Source{Name: victimsSource}, Set: made, Commit: commit, After: after, Look: look})
					if err == nil {
						_, err = w.Apply(b.Context(), p)
					}
					if err != nil {
						b.Fatal(err)
					}
				}
			}
			first := do(one, "one", "", apply.LookChanged)
			second := do(two, "two", "one", apply.LookChanged)
			run("first", nil, first)
			run("all changed", first, second)
			run("none changed, all looked at", first, do(one, "one", "", apply.LookAll))
			changed := func() *gitops.Set {
				all := slices.Clone(one().Objects())
				all[n/2] = object(b, fmt.Sprintf("ConfigMap vision/%s v=changed", all[n/2].Name))
				return setOf(b, all...)
			}
			run("one changed", first, do(changed, "two", "one", apply.LookChanged))
			run("rollback", func(b *testing.B, w *world) {
				first(b, w)
				if _, err := w.CheckHealth(b.Context(), victimsSource); err != nil {
					b.Fatal(err)
				}
				second(b, w)
			}, func(b *testing.B, w *world) {
				if _, err := w.Rollback(b.Context(), rollbackRequest()); err != nil {
					b.Fatal(err)
				}
			})
		}
	}
}

// BenchmarkOpen opens a target that holds 10,000 objects and lists them.
func BenchmarkOpen(b *testing.B) {
	for _, kind := range []string{"embedded", "dir"} {
		b.Run(kind, func(b *testing.B) {
			root := filepath.Join(b.TempDir(), "world")
			w, err := openWorld(kind, root, nil)
			if err != nil {
				b.Fatal(err)
			}
			p, err := w.Plan(b.Context(), apply.Request{Source: apply.Source{Name: victimsSource}, Set: benchSet(b, 10_000, "one"), Commit: "one", Look: apply.LookChanged})
			if err == nil {
				_, err = w.Apply(b.Context(), p)
			}
			if err != nil {
				b.Fatal(err)
			}
			if err := w.close(); err != nil {
				b.Fatal(err)
			}
			before := cpu()
			for b.Loop() {
				w, err := openWorld(kind, root, nil)
				if err != nil {
					b.Fatal(err)
				}
				n := 0
				if err := w.target.List(b.Context(), gitops.Kind{Version: "v1", Kind: "ConfigMap"}, func(gitops.Held) { n++ }); err != nil || n != 10_000 {
					b.Fatal(n, err)
				}
				b.StopTimer()
				if err := w.close(); err != nil {
					b.Fatal(err)
				}
				b.StartTimer()
			}
			b.ReportMetric((cpu()-before)/float64(b.N)*1e3, "cpu-ms/op")
		})
	}
}
