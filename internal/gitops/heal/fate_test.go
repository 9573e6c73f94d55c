package heal_test

import (
	"context"
	"testing"

	"github.com/apexlogic/apex/internal/gitops"
	"github.com/apexlogic/apex/internal/gitops/heal"
	"github.com/apexlogic/apex/verdict"
)

// fates: what happens to objects as a whole, and through other doors than the
// object itself.
var fates = []struct {
	name     string
	victim   string
	real     bool // needs a server that validates
	do       func(t *testing.T, w world, o *gitops.Object, live *gitops.Live)
	deleted  bool
	again    bool // another object of that name
	replaced bool
}{
	{name: "an object is deleted", victim: configMap, deleted: true,
		do: func(t *testing.T, w world, o *gitops.Object, _ *gitops.Live) { remove(t, w, o) }},
	{name: "a workload is deleted", victim: deployment, deleted: true,
		do: func(t *testing.T, w world, o *gitops.Object, _ *gitops.Live) { remove(t, w, o) }},
	{name: "an object is deleted while a finalizer holds it", victim: configMap,
		do: func(t *testing.T, w world, o *gitops.Object, _ *gitops.Live) {
			w.write(t, o.ID, o.Version, writers[0], add("evil.example/hold", "metadata", "finalizers"))
			remove(t, w, o)
		}},
	{name: "an object is deleted and made again as somebody likes it, with our label", victim: configMap, again: true,
		do: func(t *testing.T, w world, o *gitops.Object, live *gitops.Live) {
			remove(t, w, o)
			body := applicable(live.Body)
			set("lax", "data", "mode")(body)
			recreate(t, w, o, body)
		}},
	{name: "a workload is made again with a sidecar", victim: deployment, again: true,
		do: func(t *testing.T, w world, o *gitops.Object, live *gitops.Live) {
			remove(t, w, o)
			body := applicable(live.Body)
			add(object1("name", "miner", "image", evilImage), in(podSpec, "containers")...)(body)
			recreate(t, w, o, body)
		}},
	{name: "a workload is made again exactly as it was", victim: deployment, again: true,
		do: func(t *testing.T, w world, o *gitops.Object, live *gitops.Live) {
			remove(t, w, o)
			recreate(t, w, o, applicable(live.Body))
		}},
	{name: "an object is made again without our label", victim: configMap,
		do: func(t *testing.T, w world, o *gitops.Object, live *gitops.Live) {
			remove(t, w, o)
			body := applicable(live.Body)
			drop("metadata", "labels")(body)
			recreate(t, w, o, body)
		}},
	{name: "a binding is made again for another role", victim: roleBinding, real: true, again: true, replaced: true,
		do: func(t *testing.T, w world, o *gitops.Object, live *gitops.Live) {
			remove(t, w, o)
			body := applicable(live.Body)
			set(object1("apiGroup", "rbac.authorization.k8s.io", "kind", "ClusterRole", "name", "cluster-admin"), "roleRef")(body)
			recreate(t, w, o, body)
		}},
	{name: "settings are made again so that they cannot be changed", victim: configMap, real: true, again: true, replaced: true,
		do: func(t *testing.T, w world, o *gitops.Object, live *gitops.Live) {
			remove(t, w, o)
			body := applicable(live.Body)
			both(set(true, "immutable"), set("lax", "data", "mode"))(body)
			recreate(t, w, o, body)
		}},
	{name: "settings are made so that they cannot be changed", victim: configMap, real: true, replaced: true,
		do: func(t *testing.T, w world, o *gitops.Object, _ *gitops.Live) {
			w.write(t, o.ID, o.Version, writers[0], set(true, "immutable"))
		}},
	{name: "a workload is made again with another selector", victim: deployment, real: true, again: true, replaced: true,
		do: func(t *testing.T, w world, o *gitops.Object, live *gitops.Live) {
			remove(t, w, o)
			body := applicable(live.Body)
			both(set("x", "spec", "selector", "matchLabels", "more"), set("x", "spec", "template", "metadata", "labels", "more"))(body)
			recreate(t, w, o, body)
		}},
	{name: "a Pod is made again with a sidecar", victim: pod, real: true, again: true, replaced: true,
		do: func(t *testing.T, w world, o *gitops.Object, live *gitops.Live) {
			remove(t, w, o)
			body := applicable(live.Body)
			add(object1("name", "miner", "image", evilImage), "spec", "containers")(body)
			recreate(t, w, o, body)
		}},
	{name: "a Pod gets an ephemeral container", victim: pod, real: true, replaced: true,
		do: func(t *testing.T, w world, o *gitops.Object, _ *gitops.Live) {
			w.write(t, o.ID, o.Version, writer{"kubectl-debug", "Update", "ephemeralcontainers"},
				add(object1("name", "shell", "image", evilImage), "spec", "ephemeralContainers"))
		}},
	{name: "a workload is scaled through its subresource", victim: deployment, real: true,
		do: func(t *testing.T, w world, o *gitops.Object, _ *gitops.Live) {
			w.write(t, o.ID, o.Version, writer{"kubectl", "Update", "scale"}, set(int64(0), "spec", "replicas"))
		}},
	{name: "a workload is scaled by somebody who says he is the autoscaler", victim: deployment, real: true,
		do: func(t *testing.T, w world, o *gitops.Object, _ *gitops.Live) {
			w.write(t, o.ID, o.Version, writer{"kube-controller-manager", "Update", "scale"}, set(int64(0), "spec", "replicas"))
		}},
	{name: "a restart carries something else than a time", victim: deployment,
		do: func(t *testing.T, w world, o *gitops.Object, _ *gitops.Live) {
			w.write(t, o.ID, o.Version, writer{"kubectl-rollout", "Update", ""}, set("$(id)", "spec", "template", "metadata", "annotations", "kubectl.kubernetes.io/restartedAt"))
		}},
	{name: "somebody who says he is cert-manager changes an image", victim: deployment,
		do: func(t *testing.T, w world, o *gitops.Object, _ *gitops.Live) {
			w.write(t, o.ID, o.Version, writer{"cert-manager-cainjector", "Update", ""}, set(evilImage, in(container, "image")...))
		}},
}

func remove(t *testing.T, w world, o *gitops.Object) {
	t.Helper()
	if err := w.Delete(context.Background(), o.ID, o.Version, gitops.Precondition{}); err != nil {
		t.Fatal(err)
	}
}

// recreate makes the object before the healer does, or after it once more.
func recreate(t *testing.T, w world, o *gitops.Object, body map[string]any) {
	t.Helper()
	for range 1000 {
		if w.create(t, body, "evil-controller") {
			return
		}
		remove(t, w, o)
	}
	t.Fatal("a thousand times the healer was faster")
}

func TestWhateverHappensToAnObjectIsUndoneInTheEmbeddedTarget(t *testing.T) {
	testFates(t, openEmbedded(t))
}
func TestWhateverHappensToAnObjectIsUndoneInACluster(t *testing.T) { testFates(t, openCluster(t)) }

func testFates(t *testing.T, w world) {
	g := newGuard(t, w, func(c *heal.Config) { c.FightHeals = 1 << 20 })
	g.run(t)
	for _, c := range fates {
		t.Run(c.name, func(t *testing.T) {
			if c.real && !w.real() {
				t.Skip("needs a server that validates")
			}
			o := object(t, w, c.victim)
			before := g.put(t, o)
			t.Cleanup(func() {
				g.Forget(o.ID)
				remove(t, w, o)
			})
			g.rest(t, 0)
			was := len(g.of(verdict.DriftHealed, o.ID))
			c.do(t, w, o, before)
			var diff string
			g.until(t, "healing", func([]heal.Report) bool {
				healed := g.of(verdict.DriftHealed, o.ID)[was:]
				if len(healed) == 0 {
					return false
				}
				after, err := w.Get(t.Context(), o.ID, o.Version)
				if err != nil {
					return false
				}
				if diff = diffOf(essence(before.Body), essence(after.Body)); diff != "" {
					return false
				}
				var deleted, again, replaced bool
				for _, r := range healed {
					deleted, again, replaced = deleted || r.Deleted, again || r.Recreated, replaced || r.Replaced
				}
				return (!c.deleted || deleted) && (!c.again || again || deleted) && (!c.replaced || replaced)
			})
			if diff != "" {
				t.Fatalf("healed to something else (-before +after):\n%s", diff)
			}
		})
	}
}
