package cluster_test

import (
	"fmt"
	"net/http"
	"slices"
	"strings"
	"sync/atomic"
	"testing"

	"github.com/apexlogic/apex/internal/gitops"
	"github.com/apexlogic/apex/internal/gitops/target/cluster"
	"github.com/apexlogic/apex/internal/gitops/targettest"
	"github.com/apexlogic/apex/internal/kube"
	"github.com/apexlogic/apex/internal/kube/kubetest"
)

type tripper func(*http.Request) (*http.Response, error)

func (f tripper) RoundTrip(r *http.Request) (*http.Response, error) { return f(r) }

func TestTheHealthOfManyCostsAFewRequestsAndSaysTheSame(t *testing.T) {
	s := kubetest.Start(t)
	var requests atomic.Int64
	target, own := tenant(t, s, func(o *cluster.Options) {
		counted, err := kube.Open(kube.Config{Kubeconfig: s.Kubeconfig(), Wrap: func(next http.RoundTripper) http.RoundTripper {
			return tripper(func(r *http.Request) (*http.Response, error) { requests.Add(1); return next.RoundTrip(r) })
		}})
		must(t, err)
		o.Client = counted
	})
	var all []gitops.Object
	for i := range 40 {
		all = append(all, *targettest.ConfigMap(own, fmt.Sprintf("map-%02d", i)))
	}
	for i := range 12 {
		labels := map[string]any{"app": "x"}
		o := desired(t, body("apps/v1", "Deployment", own, fmt.Sprintf("app-%02d", i), map[string]any{"spec": map[string]any{
			"replicas": int64(0), "selector": map[string]any{"matchLabels": labels}, "template": map[string]any{"metadata": map[string]any{"labels": labels},
				"spec": map[string]any{"containers": []any{map[string]any{"name": "c", "image": "registry.example/c:1"}}}}}}))
		labelled, err := gitops.Labelled(*o, targettest.Source)
		must(t, err)
		all = append(all, labelled)
	}
	all = append(all, *desired(t, body("v1", "ServiceAccount", own, "alone", nil)))
	for i := range all {
		_, err := target.Apply(t.Context(), &all[i], gitops.ApplyOptions{})
		must(t, err)
	}
	c := admin(t, s)
	must(t, c.Delete(t.Context(), kube.ID{Kind: kube.Kind{Version: "v1", Kind: "ConfigMap"}, Namespace: own, Name: "map-07"}, kube.Precondition{}))
	// One that lost its label is there all the same.
	_, err := c.Patch(t.Context(), kube.ID{Kind: kube.Kind{Version: "v1", Kind: "ConfigMap"}, Namespace: own, Name: "map-08"}, "test",
		[]byte(`[{"op":"remove","path":"/metadata/labels"}]`))
	must(t, err)
	// One is healthy: its controller, which the test plays, has seen it.
	_, err = c.ApplyStatus(t.Context(), body("apps/v1", "Deployment", own, "app-03", map[string]any{"status": map[string]any{"observedGeneration": int64(1)}}), "controller")
	must(t, err)

	var many, one []string
	before := requests.Load()
	must(t, target.Unhealthy(t.Context(), targettest.Source, all, func(id gitops.ID, why string) { many = append(many, id.Name+": "+why) }))
	if n := requests.Load() - before; n > 10 {
		t.Errorf("it took %d requests", n)
	}
	for i := range all {
		ok, why, err := target.Healthy(t.Context(), &all[i])
		must(t, err)
		if !ok {
			one = append(one, all[i].Name+": "+why)
		}
	}
	slices.Sort(many)
	slices.Sort(one)
	if len(one) != 12 || !strings.HasPrefix(one[11], "map-07: ") || !slices.Equal(many, one) {
		t.Errorf("together %q, one by one %q", many, one)
	}
	err = target.Unhealthy(t.Context(), targettest.Source, []gitops.Object{*targettest.ConfigMap("default", "x")}, func(gitops.ID, string) {})
	if err == nil {
		t.Error("the health of what is not the source's is told")
	}
}

func TestTheClusterSaysWhichVersionsItServes(t *testing.T) {
	s := kubetest.Start(t)
	target, _ := tenant(t, s, nil)
	for _, c := range []struct{ group, kind, want string }{
		{"", "ConfigMap", "v1"},
		{"apps", "Deployment", "v1"},
		{"autoscaling", "HorizontalPodAutoscaler", "v2 v1"},
		{"apps", "Thing", ""},
		{"absent.example", "Thing", ""},
		{"", "Thing", ""},
	} {
		got, err := target.Served(t.Context(), c.group, c.kind)
		if err != nil || strings.Join(got, " ") != c.want {
			t.Errorf("%s %s: %q, %v", c.group, c.kind, got, err)
		}
	}
	for _, group := range []string{"../api", "a/b", "..", "a?x=y"} {
		if got, err := target.Served(t.Context(), group, "ConfigMap"); err == nil {
			t.Errorf("%q: %q", group, got)
		}
	}
}
