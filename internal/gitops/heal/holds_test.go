package heal_test

import (
	"context"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/apexlogic/apex/internal/gitops"
	"github.com/apexlogic/apex/internal/gitops/heal"
	"github.com/apexlogic/apex/verdict"
)

// stops is what the controller remembers to have stopped.
type stops struct {
	mu  sync.Mutex
	all map[gitops.ID][]string
}

func (s *stops) Held(id gitops.ID) ([]string, bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	paths, ok := s.all[id]
	return paths, ok
}

func (s *stops) set(id gitops.ID, paths ...string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.all == nil {
		s.all = map[gitops.ID][]string{}
	}
	s.all[id] = paths
}

func (s *stops) drop(id gitops.ID) {
	s.mu.Lock()
	defer s.mu.Unlock()
	delete(s.all, id)
}

const (
	stopPath = "/spec/replicas"
	notePath = "/metadata/annotations/apexlogic.com~1stopped-from"
)

var compliance = writer{"apex-compliance", "Update", ""}

// stopIt is what the controller writes.
func stopIt(was string) func(map[string]any) {
	return both(set(int64(0), "spec", "replicas"), set(was, "metadata", "annotations", heal.AnnotationStopped))
}

func testStops(t *testing.T, w world) {
	var held stops
	g := newGuard(t, w, func(c *heal.Config) { c.Holder = &held })
	g.run(t)
	replicas := func(o *gitops.Object) any {
		live, err := w.Get(t.Context(), o.ID, o.Version)
		if err != nil {
			t.Fatal(err)
		}
		return at(live.Body, "spec", "replicas")
	}
	o := object(t, w, deployment)
	want := at(o.Body, "spec", "replicas")
	if want == nil || want == int64(0) {
		t.Fatalf("the Deployment of the test has %v replicas", want)
	}
	g.put(t, o)
	g.rest(t, 0)

	t.Run("the manager's name alone holds nothing", func(t *testing.T) {
		w.write(t, o.ID, o.Version, compliance, stopIt("1"))
		g.until(t, "healing", func([]heal.Report) bool { return len(g.of(verdict.DriftHealed, o.ID)) == 1 })
		g.rest(t, 0)
		live, err := w.Get(t.Context(), o.ID, o.Version)
		if err != nil {
			t.Fatal(err)
		}
		meta := live.Body["metadata"].(map[string]any)
		notes, _ := meta["annotations"].(map[string]any)
		if at(live.Body, "spec", "replicas") != want || notes[heal.AnnotationStopped] != nil {
			t.Errorf("%v replicas, annotations %v", at(live.Body, "spec", "replicas"), notes)
		}
	})
	t.Run("what is held stays stopped, and is no drift", func(t *testing.T) {
		before, looks := len(g.reports), g.Stats().Looks
		held.set(o.ID, stopPath, notePath)
		written := w.write(t, o.ID, o.Version, compliance, stopIt("1"))
		g.rest(t, looks+1)
		after, err := w.Get(t.Context(), o.ID, o.Version)
		if err != nil {
			t.Fatal(err)
		}
		if after.ResourceVersion != written.ResourceVersion {
			t.Errorf("written again: %s", diffOf(essence(written.Body), essence(after.Body)))
		}
		if len(g.reports) != before {
			t.Errorf("reports: %v", summary(g.reports[before:]))
		}
	})
	t.Run("who starts a held object again is healed, even under the name of the autoscaler", func(t *testing.T) {
		for _, by := range []writer{writers[0], compliance, {"kube-controller-manager", "Update", "scale"}, {gitops.FieldManager, "Apply", ""}} {
			was := len(g.of(verdict.DriftHealed, o.ID))
			w.write(t, o.ID, o.Version, by, set(int64(5), "spec", "replicas"))
			g.until(t, by.manager, func([]heal.Report) bool {
				return len(g.of(verdict.DriftHealed, o.ID)) > was && replicas(o) == int64(0)
			})
		}
	})
	t.Run("a held object heals where it is not held", func(t *testing.T) {
		was := len(g.of(verdict.DriftHealed, o.ID))
		w.write(t, o.ID, o.Version, compliance, set(evilImage, in(container, "image")...))
		g.until(t, "healing", func([]heal.Report) bool { return len(g.of(verdict.DriftHealed, o.ID)) > was })
		g.rest(t, 0)
		live, err := w.Get(t.Context(), o.ID, o.Version)
		if err != nil {
			t.Fatal(err)
		}
		if at(live.Body, in(container, "image")...) == evilImage || at(live.Body, "spec", "replicas") != int64(0) {
			t.Errorf("image %v, replicas %v", at(live.Body, in(container, "image")...), at(live.Body, "spec", "replicas"))
		}
	})
	t.Run("a held object that is deleted comes back stopped", func(t *testing.T) {
		was := len(g.of(verdict.DriftHealed, o.ID))
		remove(t, w, o)
		g.until(t, "making it again", func([]heal.Report) bool { return len(g.of(verdict.DriftHealed, o.ID)) > was })
		if n := replicas(o); n != int64(0) {
			t.Errorf("%v replicas", n)
		}
	})
	t.Run("an apply from Git leaves it stopped", func(t *testing.T) {
		target := heal.Holding(w, &held)
		if err := g.Desire(o); err != nil {
			t.Fatal(err)
		}
		live, err := target.Apply(t.Context(), o, gitops.ApplyOptions{})
		if err != nil {
			t.Fatal(err)
		}
		g.Applied(o, live)
		if n := at(live.Body, "spec", "replicas"); n != int64(0) {
			t.Errorf("%v replicas", n)
		}
		if n := at(o.Body, "spec", "replicas"); n != want {
			t.Errorf("the desired body was changed: %v replicas", n)
		}
	})
	t.Run("an apply from Git that does not know of it is stopped again", func(t *testing.T) {
		g.rest(t, 0)
		g.put(t, o)
		g.rest(t, 0)
		if n := replicas(o); n != int64(0) {
			t.Errorf("%v replicas", n)
		}
	})
	t.Run("what is let go is as Git has it, and that is no drift", func(t *testing.T) {
		before := len(g.reports)
		w.write(t, o.ID, o.Version, compliance, set("1", "metadata", "annotations", heal.AnnotationStopped))
		g.rest(t, 0)
		looks := g.Stats().Looks
		held.drop(o.ID)
		g.Recheck(o.ID)
		g.rest(t, looks+1)
		live, err := w.Get(t.Context(), o.ID, o.Version)
		if err != nil {
			t.Fatal(err)
		}
		notes, _ := live.Body["metadata"].(map[string]any)["annotations"].(map[string]any)
		if at(live.Body, "spec", "replicas") != want || notes[heal.AnnotationStopped] != nil {
			t.Errorf("%v replicas, annotations %v", at(live.Body, "spec", "replicas"), notes)
		}
		if len(g.reports) != before {
			t.Errorf("reports: %v", summary(g.reports[before:]))
		}
	})
	t.Run("a hold that was never written is put into force by the healer", func(t *testing.T) {
		before, looks := len(g.reports), g.Stats().Looks
		held.set(o.ID, stopPath)
		g.Recheck(o.ID)
		g.rest(t, looks+1)
		if n := replicas(o); n != int64(0) {
			t.Errorf("%v replicas", n)
		}
		if len(g.reports) != before {
			t.Errorf("reports: %v", summary(g.reports[before:]))
		}
		held.drop(o.ID)
		g.Recheck(o.ID)
	})
}

func TestWhatApexStoppedStaysStoppedInTheEmbeddedTarget(t *testing.T) { testStops(t, openEmbedded(t)) }
func TestWhatApexStoppedStaysStoppedInACluster(t *testing.T)          { testStops(t, openCluster(t)) }

// A holder that names other fields holds nothing: it cannot keep an image.
func TestAHolderHoldsNothingButAStop(t *testing.T) {
	w := openEmbedded(t)
	var held stops
	g := newGuard(t, w, func(c *heal.Config) { c.Holder = &held })
	g.run(t)
	o, config := object(t, w, deployment), object(t, w, configMap)
	g.put(t, o)
	g.put(t, config)
	g.rest(t, 0)
	held.set(o.ID, "/spec/template/spec/containers/app/image", "")
	held.set(config.ID, "/data/mode", stopPath)
	w.write(t, o.ID, o.Version, compliance, set(evilImage, in(container, "image")...))
	w.write(t, config.ID, config.Version, compliance, set("lax", "data", "mode"))
	g.until(t, "healing", func([]heal.Report) bool {
		return len(g.of(verdict.DriftHealed, o.ID)) == 1 && len(g.of(verdict.DriftHealed, config.ID)) == 1
	})
	held.set(o.ID, stopPath)
	g.Recheck(o.ID)
	g.rest(t, 0)
	live, err := w.Get(t.Context(), o.ID, o.Version)
	if err != nil || at(live.Body, "spec", "replicas") != int64(0) {
		t.Errorf("the twin is not stopped: %v", err)
	}
}

func TestAnAutoscalerInGitDoesNotStartWhatIsStopped(t *testing.T) {
	w := openEmbedded(t)
	var held stops
	g := newGuard(t, w, func(c *heal.Config) { c.Holder = &held })
	g.run(t)
	g.put(t, object(t, w, autoscaler))
	o := object(t, w, scaledDeployment)
	g.put(t, o)
	scale := writer{"kube-controller-manager", "Update", "scale"}
	looks := g.Stats().Looks
	w.write(t, o.ID, o.Version, scale, set(int64(4), "spec", "replicas"))
	g.rest(t, looks+1)
	if live, err := w.Get(t.Context(), o.ID, o.Version); err != nil || at(live.Body, "spec", "replicas") != int64(4) {
		t.Fatalf("the twin that is not stopped does not scale: %v", err)
	}
	held.set(o.ID, stopPath)
	g.Recheck(o.ID)
	g.rest(t, 0)
	w.write(t, o.ID, o.Version, scale, set(int64(3), "spec", "replicas"))
	g.until(t, "healing", func([]heal.Report) bool { return len(g.of(verdict.DriftHealed, o.ID)) == 1 })
	if live, err := w.Get(t.Context(), o.ID, o.Version); err != nil || at(live.Body, "spec", "replicas") != int64(0) {
		t.Errorf("it is not stopped: %v", err)
	}
}

// A sweep notices by itself that the holder has changed its mind.
func TestALookAsksTheHolderEvenWhereNothingChanged(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := openEmbedded(t)
		var held stops
		g := newGuard(t, w, func(c *heal.Config) {
			c.Holder = &held
			c.Target = struct{ gitops.Target }{w} // one that cannot list is swept object by object
		})
		ctx, cancel := context.WithCancel(t.Context())
		done := make(chan error)
		go func() { done <- g.Run(ctx) }()
		o := object(t, w, deployment)
		g.put(t, o)
		synctest.Wait()
		held.set(o.ID, stopPath)
		time.Sleep(heal.DefaultSweep + 2*time.Second)
		synctest.Wait()
		if live, err := w.Get(t.Context(), o.ID, o.Version); err != nil || at(live.Body, "spec", "replicas") != int64(0) {
			t.Errorf("it is not stopped: %v", err)
		}
		cancel()
		<-done
	})
}
