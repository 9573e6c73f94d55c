package cluster_test

import (
	"context"
	"strings"
	"testing"
	"time"

	"github.com/apexlogic/apex/internal/gitops"
	"github.com/apexlogic/apex/internal/kube/kubetest"
)

// With real controllers and no node: a Deployment's Pods cannot run.
func TestADeploymentIsHealthyWhenItsControllerSaysSo(t *testing.T) {
	s := kubetest.Start(t, kubetest.Controllers())
	target, own := tenant(t, s, nil)
	deployment := func(replicas int64) *gitops.Object {
		return desired(t, body("apps/v1", "Deployment", own, "d", map[string]any{"spec": map[string]any{
			"replicas": replicas, "selector": map[string]any{"matchLabels": map[string]any{"app": "d"}},
			"template": map[string]any{"metadata": map[string]any{"labels": map[string]any{"app": "d"}}, "spec": map[string]any{"containers": []any{map[string]any{"name": "c", "image": "example.com/c"}}}},
		}}))
	}
	ctx, cancel := context.WithTimeout(t.Context(), 5*time.Minute)
	defer cancel()
	tick := time.NewTicker(20 * time.Millisecond)
	defer tick.Stop()
	until := func(o *gitops.Object, want func(ok bool, why string) bool) {
		t.Helper()
		_, err := target.Apply(ctx, o, gitops.ApplyOptions{})
		must(t, err)
		for {
			ok, why, err := target.Healthy(ctx, o)
			must(t, err)
			if want(ok, why) {
				return
			}
			<-tick.C
		}
	}
	until(deployment(2), func(ok bool, why string) bool {
		if ok {
			t.Fatal("it is healthy without a node")
		}
		return strings.Contains(why, "available")
	})
	until(deployment(0), func(ok bool, _ string) bool { return ok })
}
