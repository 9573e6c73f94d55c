package kube_test

import (
	"bufio"
	"bytes"
	"context"
	"fmt"
	"net/http"
	"os"
	"os/exec"
	"runtime"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/apexlogic/apex/internal/kube"
	"github.com/apexlogic/apex/internal/kube/kubetest"
)

// cpu is what this process has used.
func cpu() time.Duration {
	var u syscall.Rusage
	_ = syscall.Getrusage(syscall.RUSAGE_SELF, &u)
	return time.Duration(u.Utime.Nano() + u.Stime.Nano())
}

const workers = 16

// fill applies n labelled ConfigMaps.
func fill(b testing.TB, c *kube.Client, namespace string, n int) {
	b.Helper()
	var next atomic.Int64
	var all sync.WaitGroup
	errs := make(chan error, workers)
	for range workers {
		all.Go(func() {
			for i := next.Add(1); i <= int64(n); i = next.Add(1) {
				body := labelled(namespace, fmt.Sprintf("object-%05d", i), "a", "some value", "b", strings.Repeat("x", 200))
				if _, err := c.Apply(b.Context(), body, byApex); err != nil {
					errs <- err
					return
				}
			}
		})
	}
	all.Wait()
	close(errs)
	for err := range errs {
		b.Fatal(err)
	}
}

// BenchmarkFirstApply applies objects that are not there to a real API server.
//
//	go test ./internal/kube -run=^$ -bench=FirstApply -benchtime=1x
func BenchmarkFirstApply(b *testing.B) {
	for _, n := range []int{1_200, 10_000} {
		b.Run(fmt.Sprint(n), func(b *testing.B) {
			s := kubetest.Start(b, kubetest.Own())
			c, requests := counted(b, s)
			_, err := c.Serves(b.Context(), configMap)
			must(b, err)
			var spent time.Duration
			var asked int64
			for b.Loop() {
				b.StopTimer()
				namespace := s.Namespace(b)
				before, used := requests.Load(), cpu()
				b.StartTimer()
				fill(b, c, namespace, n)
				spent, asked = spent+cpu()-used, asked+requests.Load()-before
			}
			done := float64(n * b.N)
			b.ReportMetric(done/b.Elapsed().Seconds(), "objects/s")
			b.ReportMetric(float64(spent.Microseconds())/done, "cpu-µs/object")
			b.ReportMetric(float64(asked)/done, "requests/object")
		})
	}
}

// BenchmarkWatch10000 watches 10,000 ConfigMaps in a process of its own, and
// reports its memory, and what it costs while nothing happens for five seconds.
//
//	go test ./internal/kube -run=^$ -bench=Watch10000 -benchtime=1x
func BenchmarkWatch10000(b *testing.B) {
	const n = 10_000
	if config := os.Getenv("KUBE_WATCH"); config != "" {
		watchForParent(b, config)
		return
	}
	s := kubetest.Start(b, kubetest.Own())
	c, namespace := open(b, s), s.Namespace(b)
	fill(b, c, namespace, n)
	for b.Loop() {
		cmd := exec.CommandContext(b.Context(), os.Args[0], "-test.run=^$", "-test.bench=^BenchmarkWatch10000$", "-test.benchtime=1x")
		cmd.Env = append(os.Environ(), "KUBE_WATCH="+s.Kubeconfig(), "KUBE_WATCH_NAMESPACE="+namespace)
		out, err := cmd.Output()
		if err != nil {
			b.Fatalf("%v\n%s", err, out)
		}
		lines := bufio.NewScanner(bytes.NewReader(out))
		for lines.Scan() {
			var value float64
			var unit string
			if k, _ := fmt.Sscanf(lines.Text(), "measured %f %s", &value, &unit); k == 2 {
				b.ReportMetric(value, unit)
			}
		}
	}
}

func watchForParent(b *testing.B, config string) {
	var requests atomic.Int64
	c, err := kube.Open(kube.Config{Kubeconfig: config, Wrap: func(next http.RoundTripper) http.RoundTripper {
		return tripper(func(r *http.Request) (*http.Response, error) { requests.Add(1); return next.RoundTrip(r) })
	}})
	must(b, err)
	namespace := os.Getenv("KUBE_WATCH_NAMESPACE")
	heap := func() uint64 {
		runtime.GC()
		var m runtime.MemStats
		runtime.ReadMemStats(&m)
		return m.HeapAlloc
	}
	before := heap()
	ctx, cancel := context.WithCancel(b.Context())
	synced, ended, seen := make(chan struct{}), make(chan error, 1), 0
	started, used := time.Now(), cpu()
	go func() {
		ended <- c.Watch(ctx, kube.Selection{Kind: configMap, Namespace: namespace, Labels: label + "=" + namespace}, func(e kube.Event) {
			if e.Kind == kube.Synced {
				close(synced)
			} else {
				seen++
			}
		})
	}()
	<-synced
	fmt.Printf("measured %f objects-listed\n", float64(seen))
	fmt.Printf("measured %f ms-to-synced\n", float64(time.Since(started).Milliseconds()))
	fmt.Printf("measured %f cpu-ms-to-synced\n", float64((cpu() - used).Milliseconds()))
	fmt.Printf("measured %f heap-B/object\n", float64(heap()-before)/float64(max(seen, 1)))
	fmt.Printf("measured %f peak-RSS-MB\n", float64(peak())/1024)
	asked, used := requests.Load(), cpu()
	<-time.After(5 * time.Second) // this is what is measured: nothing
	fmt.Printf("measured %f idle-requests\n", float64(requests.Load()-asked))
	fmt.Printf("measured %f idle-cpu-ms\n", float64((cpu()-used).Microseconds())/1000)
	cancel()
	<-ended
}

// peak is the most memory that the process held, in KiB.
func peak() int64 {
	var u syscall.Rusage
	_ = syscall.Getrusage(syscall.RUSAGE_SELF, &u)
	return u.Maxrss
}
