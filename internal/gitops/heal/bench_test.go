package heal_test

import (
	"context"
	"encoding/hex"
	"fmt"
	"math/rand/v2"
	"os"
	"runtime"
	"slices"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/apexlogic/apex/internal/gitops"
	"github.com/apexlogic/apex/internal/gitops/heal"
	"github.com/apexlogic/apex/verdict"
)

// The figures of docs/performance.md:
//
//	go test ./internal/gitops/heal -run '^$' -bench . -benchtime 5x
//
// with KUBEBUILDER_ASSETS set for those on a real API server.

func cpu() time.Duration {
	var u syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &u); err != nil {
		return 0
	}
	return time.Duration(u.Utime.Nano() + u.Stime.Nano())
}

// cpuOf returns what the API server and etcd have used: wall time on a shared
// machine says little, that says much.
func cpuOf(w world) (api, etcd time.Duration) {
	c, ok := w.(*cluster)
	if !ok {
		return 0, 0
	}
	used := func(pid int) time.Duration {
		data, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
		if err != nil {
			return 0
		}
		_, after, _ := strings.Cut(string(data), ") ") // its name may hold anything
		var user, system int64
		if fields := strings.Fields(after); len(fields) > 12 {
			user, _ = strconv.ParseInt(fields[11], 10, 64)
			system, _ = strconv.ParseInt(fields[12], 10, 64)
		}
		return time.Duration(user+system) * (time.Second / 100) // USER_HZ, proc_pid_stat(5)
	}
	db, server := c.server.PIDs()
	return used(server), used(db)
}

// fleet is an application of n objects: nine of ten are ConfigMaps, one a Deployment.
func fleet(t testing.TB, w world, n int) []*gitops.Object {
	t.Helper()
	config, workload := object(t, w, configMap), object(t, w, deployment)
	out := make([]*gitops.Object, n)
	for i := range out {
		o := *config
		if i%10 == 0 {
			o = *workload
		}
		o.Body = deepCopy(o.Body)
		o.Name = fmt.Sprintf("%s-%d", o.Name, i)
		o.Body["metadata"].(map[string]any)["name"] = o.Name
		out[i] = &o
	}
	return out
}

// deployFleet applies with as many hands as a person would give it.
func deployFleet(t testing.TB, g *guard, objects []*gitops.Object) {
	t.Helper()
	work := make(chan *gitops.Object)
	var all sync.WaitGroup
	for range 16 {
		all.Go(func() {
			for o := range work {
				if err := g.Desire(o); err != nil {
					t.Error(err)
					continue
				}
				live, err := g.world.Apply(context.Background(), o, gitops.ApplyOptions{})
				if err != nil {
					t.Error(err)
					continue
				}
				g.Applied(o, live)
			}
		})
	}
	for _, o := range objects {
		work <- o
	}
	close(work)
	all.Wait()
	for !g.Idle() {
		time.Sleep(10 * time.Millisecond)
	}
}

// stopwatch notes when each object was tampered with and when it was healed.
type stopwatch struct {
	mu      sync.Mutex
	since   map[gitops.ID]time.Time
	took    []time.Duration
	missing int
	done    chan struct{}
}

func (s *stopwatch) start(ids int) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.since, s.missing, s.done = map[gitops.ID]time.Time{}, ids, make(chan struct{})
}

func (s *stopwatch) tampered(id gitops.ID) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.since[id] = time.Now()
}

func (s *stopwatch) healed(r heal.Report) {
	s.mu.Lock()
	defer s.mu.Unlock()
	at, ok := s.since[r.ID]
	if r.Code != verdict.DriftHealed || !ok {
		return
	}
	delete(s.since, r.ID)
	s.took = append(s.took, time.Since(at))
	if s.missing--; s.missing == 0 {
		close(s.done)
	}
}

func (s *stopwatch) metrics(b *testing.B, name string) {
	slices.Sort(s.took)
	at := func(share float64) float64 {
		return float64(s.took[min(int(share*float64(len(s.took))), len(s.took)-1)].Microseconds()) / 1000
	}
	b.ReportMetric(at(0.5), name+"p50-ms")
	b.ReportMetric(at(0.99), name+"p99-ms")
	b.ReportMetric(at(1), name+"max-ms")
	s.took = nil
}

const (
	fleetSize = 10_000
	atOnce    = 100
)

func BenchmarkTamperToHealedEmbedded(b *testing.B) { benchTampers(b, openEmbedded(b)) }
func BenchmarkTamperToHealedCluster(b *testing.B)  { benchTampers(b, openCluster(b)) }

// benchTampers: in 10,000 objects 100 are tampered with at once. The time is from
// the moment before the tampering is sent to the report that it was healed.
func benchTampers(b *testing.B, w world) {
	var s stopwatch
	g := newGuard(b, w, func(c *heal.Config) {
		c.Report = s.healed
		c.FightHeals = 1 << 20
	})
	g.run(b)
	objects := fleet(b, w, fleetSize)
	began := time.Now()
	deployFleet(b, g, objects)
	b.Logf("%d objects applied and known in %s; %+v", fleetSize, time.Since(began).Round(time.Millisecond), g.Stats())
	each := func(name string, change func(i int, o *gitops.Object) func(map[string]any), patch func(o *gitops.Object) string) {
		b.Run(name, func(b *testing.B) {
			spent := cpu()
			api, etcd := cpuOf(w)
			for n := range b.N {
				s.start(atOnce)
				var all sync.WaitGroup
				for hand := range 8 {
					all.Go(func() {
						for i := hand; i < atOnce; i += 8 {
							o := objects[(n*7919+i*97)%fleetSize]
							s.tampered(o.ID)
							if c, ok := w.(*cluster); ok { // one request
								c.tamper(b, o, writers[i%3].manager, patch(o))
								continue
							}
							w.write(b, o.ID, o.Version, writers[i%3], change(i, o))
						}
					})
				}
				all.Wait()
				select {
				case <-s.done:
				case <-time.After(time.Minute):
					b.Fatalf("%d of %d were not healed within a minute", s.missing, atOnce)
				}
			}
			s.metrics(b, "")
			b.ReportMetric(float64((cpu()-spent).Microseconds())/1000/float64(b.N*atOnce), "cpu-ms/heal")
			if apiNow, etcdNow := cpuOf(w); apiNow > 0 {
				b.ReportMetric(float64((apiNow-api).Microseconds())/1000/float64(b.N*atOnce), "api-cpu-ms/heal")
				b.ReportMetric(float64((etcdNow-etcd).Microseconds())/1000/float64(b.N*atOnce), "etcd-cpu-ms/heal")
			}
		})
	}
	each("field", func(i int, o *gitops.Object) func(map[string]any) {
		if o.Kind == "Deployment" {
			return set(evilImage, in(container, "image")...)
		}
		return set("lax", "data", "mode")
	}, func(o *gitops.Object) string {
		if o.Kind == "Deployment" {
			return `[{"op":"replace","path":"/spec/template/spec/containers/0/image","value":"` + evilImage + `"}]`
		}
		return `[{"op":"replace","path":"/data/mode","value":"lax"}]`
	})
	each("additive", func(i int, o *gitops.Object) func(map[string]any) {
		if o.Kind == "Deployment" {
			return add(object1("name", "miner", "image", evilImage), in(podSpec, "containers")...)
		}
		return set("x", "data", "extra")
	}, func(o *gitops.Object) string {
		if o.Kind == "Deployment" {
			return `[{"op":"add","path":"/spec/template/spec/containers/-","value":{"name":"miner","image":"` + evilImage + `"}}]`
		}
		return `[{"op":"add","path":"/data/extra","value":"x"}]`
	})
	b.Run("one-again-and-again", func(b *testing.B) {
		// Twenty times, 100 ms after it was healed.
		o := objects[1]
		for range b.N {
			for range 20 {
				s.start(1)
				s.tampered(o.ID)
				if c, ok := w.(*cluster); ok {
					c.tamper(b, o, writers[0].manager, `[{"op":"replace","path":"/data/mode","value":"lax"}]`)
				} else {
					w.write(b, o.ID, o.Version, writers[0], set("lax", "data", "mode"))
				}
				select {
				case <-s.done:
				case <-time.After(time.Minute):
					b.Fatal("not healed within a minute")
				}
				time.Sleep(100 * time.Millisecond)
			}
		}
		s.metrics(b, "")
	})
	b.Run("idle", func(b *testing.B) {
		const rest = 10 * time.Second
		for !g.Idle() {
			time.Sleep(10 * time.Millisecond)
		}
		var requests int64
		if c, ok := w.(*cluster); ok {
			requests = c.requests.Load()
		}
		looks, spent := g.Stats().Looks, cpu()
		time.Sleep(rest)
		b.ReportMetric(100*float64(cpu()-spent)/float64(rest), "%core")
		b.ReportMetric(float64(g.Stats().Looks-looks)*6, "looks/min")
		if c, ok := w.(*cluster); ok {
			b.ReportMetric(float64(c.requests.Load()-requests)*6, "requests/min")
		}
		var m runtime.MemStats
		runtime.GC()
		runtime.ReadMemStats(&m)
		b.ReportMetric(float64(m.HeapAlloc)/fleetSize, "process-heap-B/object")
	})
}

// echo is a target that holds nothing: it answers with what was applied.
type echo struct{ world }

func (echo) Apply(_ context.Context, o *gitops.Object, _ gitops.ApplyOptions) (*gitops.Live, error) {
	body := deepCopy(o.Body)
	uid := fmt.Sprintf("%08d-aaaa-4bbb-8ccc-%s", len(o.Name), strings.Repeat("d", 12))
	return &gitops.Live{UID: uid, ResourceVersion: fmt.Sprint(1_000_000 + len(o.Name)), Body: body}, nil
}

func heapOf(t testing.TB, make func() *guard) (bytes float64, g *guard) {
	var before, after runtime.MemStats
	runtime.GC()
	runtime.GC()
	runtime.ReadMemStats(&before)
	g = make()
	runtime.GC()
	runtime.GC()
	runtime.ReadMemStats(&after)
	return float64(after.HeapAlloc) - float64(before.HeapAlloc), g
}

func TestALedgerOfManyObjectsIsSmall(t *testing.T) {
	w := echo{openEmbedded(t)}
	got, g := heapOf(t, func() *guard {
		g := newGuard(t, w, nil)
		random := rand.NewChaCha8([32]byte{1})
		for _, o := range fleet(t, w, fleetSize) {
			own := make([]byte, 256) // what no two objects share
			_, _ = random.Read(own)
			set(hex.EncodeToString(own), "metadata", "annotations", "own")(o.Body)
			g.put(t, o)
		}
		return g
	})
	per := got / fleetSize
	t.Logf("%.0f bytes of heap per object, %.0f of them the desired bodies (256 random bytes in each)", per, float64(g.Stats().HeapBodies)/fleetSize)
	if per > 1500 {
		t.Errorf("%.0f bytes of heap per object: the limit is 1,500", per)
	}
}
