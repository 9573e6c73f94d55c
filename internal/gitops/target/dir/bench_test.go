package dir_test

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/apexlogic/apex/internal/gitops"
	"github.com/apexlogic/apex/internal/gitops/target/dir"
	"github.com/apexlogic/apex/internal/gitops/targettest"
)

func cpu() time.Duration {
	var u syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &u); err != nil {
		return 0
	}
	return time.Duration(u.Utime.Nano() + u.Stime.Nano())
}

// BenchmarkHeal tampers with 100 of 10,000 files at once and applies each again
// when the watch reports it; what is measured is from the write to the answer.
func BenchmarkHeal(b *testing.B) {
	const objects, tampered = 10_000, 100
	root := filepath.Join(b.TempDir(), "tree")
	d := open(b, dir.Options{Path: root})
	desired := make([]*gitops.Object, objects)
	byID := map[gitops.ID]int{}
	versions := make([]string, objects)
	var wg sync.WaitGroup
	for w := range 16 {
		wg.Go(func() {
			for i := w; i < objects; i += 16 {
				desired[i] = targettest.ConfigMap("vision", fmt.Sprintf("object-%d", i), "a", "b")
				live, err := d.Apply(b.Context(), desired[i], gitops.ApplyOptions{})
				if err != nil {
					b.Error(err)
					return
				}
				versions[i] = live.ResourceVersion
			}
		})
	}
	wg.Wait()
	for i, o := range desired {
		byID[o.ID] = i
	}
	started := time.Now()
	suspects, healed, synced := make(chan int, objects), make(chan int, objects), make(chan time.Time, 1)
	ctx, cancel := context.WithCancel(b.Context())
	var watching sync.WaitGroup
	watching.Go(func() {
		_ = d.Watch(ctx, targettest.Source, []gitops.Kind{{Version: "v1", Kind: "ConfigMap"}}, func(e gitops.Event) {
			if e.Kind == gitops.Synced {
				synced <- time.Now()
				return
			}
			if i := byID[e.ID]; e.Kind == gitops.Gone || e.ResourceVersion != versions[i] {
				suspects <- i
			}
		})
	})
	for range 16 {
		watching.Go(func() {
			for {
				select {
				case <-ctx.Done():
					return
				case i := <-suspects:
					if _, err := d.Apply(ctx, desired[i], gitops.ApplyOptions{}); err == nil {
						healed <- i
					}
				}
			}
		})
	}
	listing := (<-synced).Sub(started)
	var took []time.Duration
	spent := cpu()
	for b.Loop() {
		began := map[int]time.Time{}
		for i := range tampered {
			n := i * 97 % objects
			began[n] = time.Now()
			if err := os.WriteFile(at(root, desired[n].ID), []byte("tampered: true\n"), 0o644); err != nil {
				b.Fatal(err)
			}
		}
		for len(began) > 0 {
			n := <-healed
			if t, ok := began[n]; ok {
				if live, err := d.Get(ctx, desired[n].ID, "v1"); err == nil && live.ResourceVersion == versions[n] {
					took = append(took, time.Since(t))
					delete(began, n)
				}
			}
		}
	}
	perHeal := (cpu() - spent) / time.Duration(len(took))
	cancel()
	watching.Wait()
	slices.Sort(took)
	ms := func(d time.Duration) float64 { return float64(d.Microseconds()) / 1000 }
	b.ReportMetric(ms(took[len(took)/2]), "p50-ms")
	b.ReportMetric(ms(took[len(took)*99/100]), "p99-ms")
	b.ReportMetric(ms(took[len(took)-1]), "max-ms")
	b.ReportMetric(ms(perHeal), "cpu-ms/heal")
	b.ReportMetric(ms(listing), "listing-ms")
}

// BenchmarkOpen opens a directory of 1,000 files; they are read when they are
// listed or watched.
func BenchmarkOpen(b *testing.B) {
	root := filepath.Join(b.TempDir(), "tree")
	d := open(b, dir.Options{Path: root})
	for i := range 1000 {
		put(b, d, targettest.ConfigMap("vision", fmt.Sprintf("object-%d", i), "a", "b"))
	}
	for b.Loop() {
		d, err := dir.Open(dir.Options{Path: root})
		if err != nil {
			b.Fatal(err)
		}
		if err := d.Close(); err != nil {
			b.Fatal(err)
		}
	}
}
