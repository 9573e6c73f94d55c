package apply_test

import (
	"fmt"
	"net/http"
	"os"
	"strconv"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/apexlogic/apex/internal/gitops"
	"github.com/apexlogic/apex/internal/gitops/apply"
	"github.com/apexlogic/apex/internal/gitops/target/cluster"
	"github.com/apexlogic/apex/internal/kube"
	"github.com/apexlogic/apex/internal/kube/kubetest"
)

// tripper makes a function a transport.
type tripper func(*http.Request) (*http.Response, error)

func (f tripper) RoundTrip(r *http.Request) (*http.Response, error) { return f(r) }

// counting returns a client of the administrator that counts its requests.
func counting(t testing.TB, s *kubetest.Server) (*kube.Client, *atomic.Int64) {
	t.Helper()
	n := &atomic.Int64{}
	c, err := kube.Open(kube.Config{Kubeconfig: s.Kubeconfig(), Wrap: func(next http.RoundTripper) http.RoundTripper {
		return tripper(func(r *http.Request) (*http.Response, error) { n.Add(1); return next.RoundTrip(r) })
	}})
	if err != nil {
		t.Fatal(err)
	}
	return c, n
}

// cpuOf is what another process has used (proc(5): in ticks of 10 ms).
func cpuOf(pid int) time.Duration {
	data, _ := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
	_, after, _ := strings.Cut(string(data), ") ")
	fields := strings.Fields(after)
	if len(fields) < 13 {
		return 0
	}
	user, _ := strconv.Atoi(fields[11])
	system, _ := strconv.Atoi(fields[12])
	return time.Duration(user+system) * 10 * time.Millisecond
}

// tenant makes a namespace, and in it a ServiceAccount's rights to the kinds that
// the benchmarks write. Nobody else has any.
func tenant(t testing.TB, s *kubetest.Server, c *kube.Client) (namespace string) {
	t.Helper()
	namespace = s.Namespace(t)
	for _, body := range []map[string]any{
		{"apiVersion": "rbac.authorization.k8s.io/v1", "kind": "Role", "metadata": map[string]any{"namespace": namespace, "name": "deployer"},
			"rules": []any{map[string]any{"apiGroups": []any{"", "apps", "batch", "example.com", "rbac.authorization.k8s.io"}, "resources": []any{"*"},
				"verbs": []any{"get", "list", "watch", "create", "patch", "update", "delete"}}}},
		{"apiVersion": "rbac.authorization.k8s.io/v1", "kind": "RoleBinding", "metadata": map[string]any{"namespace": namespace, "name": "deployer"},
			"roleRef":  map[string]any{"apiGroup": "rbac.authorization.k8s.io", "kind": "Role", "name": "deployer"},
			"subjects": []any{map[string]any{"kind": "ServiceAccount", "name": "deployer", "namespace": namespace}}},
	} {
		if _, err := c.Apply(t.Context(), body, kube.ApplyOptions{Manager: "test"}); err != nil {
			t.Fatal(err)
		}
	}
	account, err := c.As(namespace, "deployer")
	if err != nil {
		t.Fatal(err)
	}
	for {
		ok, _, err := account.Can(t.Context(), "patch", kube.ID{Kind: kube.Kind{Version: "v1", Kind: "ConfigMap"}, Namespace: namespace})
		if err != nil {
			t.Fatal(err)
		}
		if ok {
			return namespace
		}
	}
}

// inCluster returns an applier of a source that goes to the namespace as its
// ServiceAccount; what is remembered is in a namespace beside it.
func inCluster(t testing.TB, s *kubetest.Server, c *kube.Client, namespace string, change ...func(*apply.Config)) *apply.Applier {
	t.Helper()
	target, err := cluster.New(cluster.Options{Client: c, ServiceAccount: namespace + "/deployer", Namespaces: []string{namespace}})
	if err != nil {
		t.Fatal(err)
	}
	config := apply.Config{Target: target, Store: cluster.NewStore(c, s.Namespace(t), nil), Sign: signState, Verify: verifyState}
	for _, fn := range change {
		fn(&config)
	}
	a, err := apply.New(config)
	if err != nil {
		t.Fatal(err)
	}
	return a
}

func clusterSet(t testing.TB, namespace string, n int, value string) *gitops.Set {
	t.Helper()
	all := make([]gitops.Object, n)
	for i := range all {
		all[i] = object(t, fmt.Sprintf("ConfigMap %s/object-%05d v=%s text=%s", namespace, i, value, strings.Repeat("x", 200)))
	}
	return setOf(t, all...)
}

// BenchmarkClusterFirstApply plans and applies a set that is not there, as the
// source's ServiceAccount with the rights of RBAC, on a real API server.
//
//	go test ./internal/gitops/apply -run '^$' -bench ClusterFirstApply -benchtime 1x
func BenchmarkClusterFirstApply(b *testing.B) {
	for _, n := range []int{1200, 10_000} {
		b.Run(fmt.Sprint(n), func(b *testing.B) {
			s := kubetest.Start(b, kubetest.Own())
			c, requests := counting(b, s)
			_, api := s.PIDs()
			var ours float64
			var theirs time.Duration
			var asked int64
			for b.Loop() {
				b.StopTimer()
				namespace := tenant(b, s, c)
				a, set := inCluster(b, s, c, namespace), clusterSet(b, namespace, n, "one")
				before, used, served := requests.Load(), cpu(), cpuOf(api)
				b.StartTimer()
				p, err := a.Plan(b.Context(), apply.Request{Source: apply.Source{Name: "vision"}, Set: set, Commit: "one", Look: apply.LookChanged})
				if err == nil {
					_, err = a.Apply(b.Context(), p)
				}
				if err != nil {
					b.Fatal(err)
				}
				ours, theirs, asked = ours+cpu()-used, theirs+cpuOf(api)-served, asked+requests.Load()-before
			}
			done := float64(n * b.N)
			b.ReportMetric(done/b.Elapsed().Seconds(), "objects/s")
			b.ReportMetric(ours/done*1e6, "cpu-µs/object")
			b.ReportMetric(float64(theirs.Microseconds())/done, "server-cpu-µs/object")
			b.ReportMetric(float64(asked)/done, "requests/object")
		})
	}
}
