package heal_test

import (
	"fmt"
	"os"
	"os/exec"
	"runtime"
	"strconv"
	"strings"
	"testing"
	"time"

	target "github.com/apexlogic/apex/internal/gitops/target/cluster"
	"github.com/apexlogic/apex/internal/kube"
)

// What a process may take that keeps 10,000 objects of a cluster.
const (
	mostRSS          = 120 << 20
	mostHeapPerEntry = 1500
)

// The environment of the process that is measured.
const (
	envKubeconfig = "APEX_HEAL_KUBECONFIG"
	envNamespace  = "APEX_HEAL_NAMESPACE"
)

// BenchmarkMemoryOfAProcess has a process of its own hold 10,000 objects: the
// target of a cluster, its watches and a healer, and nothing of the test's. It is
// measured after everything was looked at once.
func BenchmarkMemoryOfAProcess(b *testing.B) {
	w := openCluster(b)
	g := newGuard(b, w, nil)
	g.run(b)
	deployFleet(b, g, fleet(b, w, fleetSize))
	for b.Loop() {
		cmd := exec.CommandContext(b.Context(), os.Args[0], "-test.run=^TestTheProcessThatIsMeasured$", "-test.v")
		cmd.Env = append(os.Environ(), envKubeconfig+"="+w.server.Kubeconfig(), envNamespace+"="+w.ns)
		out, err := cmd.CombinedOutput()
		if err != nil {
			b.Fatalf("%v:\n%s", err, out)
		}
		said := false
		for line := range strings.Lines(string(out)) {
			_, figures, ok := strings.Cut(line, "measured: ")
			if !ok {
				continue
			}
			said = true
			for _, f := range strings.Fields(figures) {
				unit, value, _ := strings.Cut(f, "=")
				if n, err := strconv.ParseFloat(value, 64); err == nil {
					b.ReportMetric(n, unit)
				}
			}
		}
		if !said {
			b.Fatalf("the process said nothing:\n%s", out)
		}
	}
}

// TestTheProcessThatIsMeasured is what [BenchmarkMemoryOfAProcess] starts.
func TestTheProcessThatIsMeasured(t *testing.T) {
	if os.Getenv(envKubeconfig) == "" {
		t.Skip("only for BenchmarkMemoryOfAProcess")
	}
	bare := statusOf(t, "VmRSS")
	client, err := kube.Open(kube.Config{Kubeconfig: os.Getenv(envKubeconfig)})
	if err != nil {
		t.Fatal(err)
	}
	w := &cluster{ns: os.Getenv(envNamespace)}
	if w.Target, err = target.New(target.Options{Client: client, ServiceAccount: w.ns + "/applier", Namespaces: []string{w.ns}}); err != nil {
		t.Fatal(err)
	}
	g := newGuard(t, w, nil)
	for _, o := range fleet(t, w, fleetSize) {
		if err := g.Resume(o); err != nil {
			t.Fatal(err)
		}
	}
	g.run(t)
	rest := func(looks int) {
		for deadline := time.Now().Add(2 * time.Minute); g.Stats().Looks < looks || !g.Idle(); time.Sleep(50 * time.Millisecond) {
			if time.Now().After(deadline) {
				t.Fatalf("not at rest: %+v", g.Stats())
			}
		}
	}
	rest(fleetSize)
	if s := g.Stats(); s.Heals > 0 || s.Objects != fleetSize {
		t.Errorf("nobody touched anything: %+v", s)
	}
	rss, most := statusOf(t, "VmRSS"), statusOf(t, "VmHWM")
	var m runtime.MemStats
	runtime.GC()
	runtime.GC()
	runtime.ReadMemStats(&m)
	perEntry := float64(m.HeapAlloc) / fleetSize
	fmt.Printf("measured: rss-MB=%.1f peak-rss-MB=%.1f before-rss-MB=%.1f heap-B/object=%.0f\n",
		float64(rss)/(1<<20), float64(most)/(1<<20), float64(bare)/(1<<20), perEntry)
	if rss > mostRSS {
		t.Errorf("%d MiB resident: the limit is %d", rss>>20, mostRSS>>20)
	}
	if perEntry > mostHeapPerEntry {
		t.Errorf("%.0f bytes of heap per object: the limit is %d", perEntry, mostHeapPerEntry)
	}
	runtime.KeepAlive(g)
}

// statusOf returns a figure of this process in bytes (proc_pid_status(5)).
func statusOf(t testing.TB, name string) int64 {
	t.Helper()
	data, err := os.ReadFile("/proc/self/status")
	if err != nil {
		t.Skip("only Linux says how much memory a process has")
	}
	for line := range strings.Lines(string(data)) {
		if value, ok := strings.CutPrefix(line, name+":"); ok {
			kb, err := strconv.ParseInt(strings.TrimSuffix(strings.TrimSpace(value), " kB"), 10, 64)
			if err != nil {
				t.Fatal(err)
			}
			return kb << 10
		}
	}
	t.Fatalf("no %s in /proc/self/status", name)
	return 0
}
