package ocitest

import (
	"runtime"
	"strings"
	"sync/atomic"
	"testing"
	"time"
)

// NoLeak fails the test if, at its end, goroutines run that did not run when
// NoLeak was called. Call it first, so that its check comes after all other
// clean-up. It waits up to two minutes for goroutines that are about to end.
func NoLeak(t testing.TB) {
	t.Helper()
	before := goroutines()
	t.Cleanup(func() {
		const patience = 2 * time.Minute
		tick := time.NewTicker(10 * time.Millisecond)
		defer tick.Stop()
		end := time.After(patience)
		for {
			var left []string
			for id, stack := range goroutines() {
				if _, old := before[id]; !old && !ignored(stack) {
					left = append(left, stack)
				}
			}
			if len(left) == 0 {
				return
			}
			select {
			case <-tick.C:
			case <-end:
				t.Errorf("%d goroutines left after %s:\n%s", len(left), patience, strings.Join(left, "\n\n"))
				return
			}
		}
	})
}

// ignored are goroutines of the test framework and the runtime.
func ignored(stack string) bool {
	for _, part := range []string{"testing.tRunner", "testing.(*T).Run", "testing.(*M)", "runtime.ensureSigM", "os/signal."} {
		if strings.Contains(stack, part) {
			return true
		}
	}
	return false
}

// goroutines returns all stacks by their "goroutine N".
func goroutines() map[string]string {
	buf := make([]byte, 1<<20)
	buf = buf[:runtime.Stack(buf, true)]
	out := map[string]string{}
	for g := range strings.SplitSeq(string(buf), "\n\n") {
		if id, _, ok := strings.Cut(g, " ["); ok {
			out[id] = g
		}
	}
	return out
}

// HeapGrowth runs f and returns by how many bytes the heap was larger, at its
// largest, than before. It looks every millisecond.
func HeapGrowth(f func()) int64 {
	runtime.GC()
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	before := int64(m.HeapAlloc)
	var peak atomic.Int64
	done, stopped := make(chan struct{}), make(chan struct{})
	go func() {
		defer close(stopped)
		tick := time.NewTicker(time.Millisecond)
		defer tick.Stop()
		for {
			var m runtime.MemStats
			runtime.ReadMemStats(&m)
			peak.Store(max(peak.Load(), int64(m.HeapAlloc)))
			select {
			case <-tick.C:
			case <-done:
				return
			}
		}
	}()
	f()
	close(done)
	<-stopped
	return peak.Load() - before
}
