package cluster

import (
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/apexlogic/apex/internal/kube"
)

// What the process of a controller may take that holds 10,000 objects.
const (
	managed = 10_000
	mostRSS = 120 << 20
)

// BenchmarkMemoryOfAController has a controller in a process of its own hold
// 10,000 objects of one source: the webhook, the source with its watches, and the
// background are all there. It is measured at rest after it has applied them, and,
// as a process that is started anew, after it has looked at all of them.
func BenchmarkMemoryOfAController(b *testing.B) {
	c := newCluster(b, 0)
	c.holds(true, 0)
	r := newRepository(b)
	first := r.git("rev-parse", "HEAD")
	r.fleet(c.image)
	c.apply(`{apiVersion: v1, kind: ServiceAccount, metadata: {name: deployer, namespace: vision}}`)
	c.apply(`{apiVersion: rbac.authorization.k8s.io/v1, kind: Role, metadata: {name: deployer, namespace: vision}, rules: [{apiGroups: ["*"], resources: ["*"], verbs: ["*"]}]}`)
	c.apply(`{apiVersion: rbac.authorization.k8s.io/v1, kind: RoleBinding, metadata: {name: deployer, namespace: vision}, roleRef: {apiGroup: rbac.authorization.k8s.io, kind: Role, name: deployer}, subjects: [{kind: ServiceAccount, name: deployer, namespace: vision}]}`)
	c.apply(fmt.Sprintf(`
apiVersion: security.apexlogic.com/v1alpha1
kind: TrustRoot
metadata: {name: commits}
spec: {entries: [{name: platform, owner: platform, uses: [Commits], ssh: {publicKey: %q}}]}`, r.public))
	c.apply(fmt.Sprintf(`
apiVersion: security.apexlogic.com/v1alpha1
kind: GitSource
metadata: {name: vision}
spec:
  url: %s
  namespace: vision
  interval: 15s
  trust: {firstCommit: %s, signers: [platform]}
  target: {cluster: {serviceAccount: vision/deployer, namespaces: [vision]}}`, r.dir, first))
	state := b.TempDir()
	for b.Loop() {
		for _, of := range []string{"applied", "resumed"} {
			p, err := c.begin(state)
			if err != nil {
				b.Fatal(err)
			}
			p.heals(b)
			core := 100 * p.rests(b)
			b.ReportMetric(core, of+"-%core")
			b.Logf("%s: %.2f %% of a core, %d MiB resident, %d of them its own", of, core, p.memory(b, "VmRSS")>>20, p.memory(b, "RssAnon")>>20)
			rss, peak := p.memory(b, "VmRSS"), p.memory(b, "VmHWM")
			b.ReportMetric(float64(rss)/(1<<20), of+"-rss-MB")
			b.ReportMetric(float64(peak)/(1<<20), of+"-peak-MB")
			if of == "resumed" && rss > mostRSS {
				b.Errorf("%d MiB resident: the limit is %d", rss>>20, mostRSS>>20)
			}
			if err := p.end(); err != nil {
				b.Fatal(err)
			}
		}
	}
}

// fleet commits the objects: ConfigMaps, a tenth of Services, and a hundredth of
// Deployments, whose image is asked about.
func (r *repository) fleet(image string) {
	r.t.Helper()
	var text strings.Builder
	for i := range managed {
		switch {
		case i%100 == 0:
			fmt.Fprintf(&text, "---\napiVersion: apps/v1\nkind: Deployment\nmetadata: {name: d-%d, labels: {app: x}}\nspec:\n  replicas: 0\n  selector: {matchLabels: {app: x, n: \"%d\"}}\n  template: {metadata: {labels: {app: x, n: \"%d\"}}, spec: {containers: [{name: c, image: %q, env: [{name: N, value: \"%d\"}]}]}}\n", i, i, i, image, i)
		case i%10 == 1:
			fmt.Fprintf(&text, "---\napiVersion: v1\nkind: Service\nmetadata: {name: s-%d}\nspec: {clusterIP: None, selector: {app: x, n: \"%d\"}, ports: [{port: 80}]}\n", i, i)
		default:
			fmt.Fprintf(&text, "---\napiVersion: v1\nkind: ConfigMap\nmetadata: {name: c-%d}\ndata: {n: \"%d\", text: %q}\n", i, i, strings.Repeat("x", 200))
		}
		if i%100 == 99 {
			name := filepath.Join(r.dir, fmt.Sprintf("part-%d.yaml", i/100))
			if err := os.WriteFile(name, []byte(text.String()), 0o644); err != nil {
				r.t.Fatal(err)
			}
			text.Reset()
		}
	}
	r.git("add", "-A")
	r.git("commit", "-q", "-S", "-m", "fleet")
}

// heals returns once the process has put back the last object, which was deleted
// by somebody else: it holds them all then.
func (p *process) heals(b *testing.B) {
	b.Helper()
	id := kube.ID{Kind: kube.Kind{Version: "v1", Kind: "ConfigMap"}, Namespace: "vision", Name: fmt.Sprintf("c-%d", managed-1)}
	there := func() bool { _, err := p.c.client.Get(b.Context(), id); return err == nil }
	began := time.Now()
	for !there() || !p.c.ready("vision") {
		if time.Since(began) > 5*patience {
			o, _ := p.c.client.Get(b.Context(), kube.ID{Kind: kube.Kind{Group: "security.apexlogic.com", Version: "v1alpha1", Kind: "GitSource"}, Name: "vision"})
			b.Fatalf("it is not applied: %v\n%s", o.Object["status"], p.errors)
		}
		time.Sleep(50 * time.Millisecond)
	}
	b.Logf("it holds all after %v", time.Since(began).Round(time.Millisecond))
	if err := p.c.client.Delete(b.Context(), id, kube.Precondition{}); err != nil {
		b.Fatal(err)
	}
	p.c.await("it is healed", there)
}

// ready says whether the source's newest commit is applied.
func (c *cluster) ready(source string) bool {
	o, err := c.client.Get(c.t.Context(), kube.ID{Kind: kube.Kind{Group: "security.apexlogic.com", Version: "v1alpha1", Kind: "GitSource"}, Name: source})
	return err == nil && strings.Contains(fmt.Sprint(o.Object["status"]), "is applied")
}

// rests waits until the collector has had its turns, and returns how much of a core
// the process uses meanwhile.
func (p *process) rests(b *testing.B) float64 {
	b.Helper()
	const settles, measured = 10 * time.Second, 10 * time.Second
	time.Sleep(settles)
	before := p.ticks(b)
	time.Sleep(measured)
	return float64(p.ticks(b)-before) / 100 / measured.Seconds()
}

// ticks is the processor time that the process has used (proc_pid_stat(5)).
func (p *process) ticks(b *testing.B) int {
	b.Helper()
	data, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", p.cmd.Process.Pid))
	if err != nil {
		b.Skip("only Linux says what a process uses")
	}
	_, rest, _ := strings.Cut(string(data), ") ")
	fields := strings.Fields(rest)
	user, _ := strconv.Atoi(fields[11])
	system, _ := strconv.Atoi(fields[12])
	return user + system
}

// memory is a figure of the process in bytes (proc_pid_status(5)).
func (p *process) memory(b *testing.B, name string) int64 {
	b.Helper()
	data, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", p.cmd.Process.Pid))
	if err != nil {
		b.Skip("only Linux says how much memory a process has")
	}
	for line := range strings.Lines(string(data)) {
		if value, ok := strings.CutPrefix(line, name+":"); ok {
			kb, err := strconv.ParseInt(strings.TrimSuffix(strings.TrimSpace(value), " kB"), 10, 64)
			if err != nil {
				b.Fatal(err)
			}
			return kb << 10
		}
	}
	b.Fatalf("no %s in the status of the process", name)
	return 0
}
