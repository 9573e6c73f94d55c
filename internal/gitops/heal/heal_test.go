package heal_test

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/apexlogic/apex/api/v1alpha1"
	"github.com/apexlogic/apex/internal/gitops"
	"github.com/apexlogic/apex/internal/gitops/heal"
	"github.com/apexlogic/apex/verdict"
)

// counted is a world that counts requests and may lose events or refuse writes.
type counted struct {
	world
	requests atomic.Int64
	deaf     atomic.Bool // events are lost
	alter    func(body map[string]any)
	refuse   atomic.Pointer[error]
}

func (c *counted) Get(ctx context.Context, id gitops.ID, version string) (*gitops.Live, error) {
	c.requests.Add(1)
	return c.world.Get(ctx, id, version)
}

func (c *counted) Apply(ctx context.Context, o *gitops.Object, opt gitops.ApplyOptions) (*gitops.Live, error) {
	c.requests.Add(1)
	if err := c.refuse.Load(); err != nil {
		return nil, *err
	}
	if c.alter != nil {
		changed := *o
		changed.Body = deepCopy(o.Body)
		c.alter(changed.Body)
		o = &changed
	}
	return c.world.Apply(ctx, o, opt)
}

func (c *counted) Patch(ctx context.Context, id gitops.ID, version string, patch []byte) (*gitops.Live, error) {
	c.requests.Add(1)
	return c.world.Patch(ctx, id, version, patch)
}

func (c *counted) Watch(ctx context.Context, source string, kinds []gitops.Kind, each func(gitops.Event)) error {
	return c.world.Watch(ctx, source, kinds, func(e gitops.Event) {
		if e.Kind == gitops.Synced || !c.deaf.Load() {
			each(e)
		}
	})
}

func TestModesSayWhatHappensToDrift(t *testing.T) {
	kinds := func(c *heal.Config) {
		c.Heal = v1alpha1.GitHeal{Except: []v1alpha1.HealException{
			{Kind: "ConfigMap", Name: "settings", Path: "/data/limit", Mode: v1alpha1.ModeWarn},
			{Kind: "Secret", Mode: v1alpha1.ModeWarn},
			{Kind: "Deployment.apps", Path: "/spec/template/spec/containers/*/env", Mode: v1alpha1.ModeWarn},
		}}
	}
	for _, c := range []struct {
		name, victim string
		change       func(map[string]any)
		healed       bool
		path         string
	}{
		{"a part that is only watched", configMap, set("99", "data", "limit"), false, "/data/limit"},
		{"another part of the same object", configMap, set("lax", "data", "mode"), true, "/data/mode"},
		{"an object that is only watched", secret, set("eA==", "data", "more"), false, "/data/more"},
		{"an element's part that is only watched", deployment, add(object1("name", "X", "value", "y"), in(container, "env")...), false, "/spec/template/spec/containers/app/env/X"},
		{"its neighbour", deployment, set(evilImage, in(container, "image")...), true, "/spec/template/spec/containers/app/image"},
	} {
		t.Run(c.name, func(t *testing.T) {
			w := openEmbedded(t)
			g := newGuard(t, w, kinds)
			g.run(t)
			o := object(t, w, c.victim)
			g.put(t, o)
			g.rest(t, 0)
			written := w.write(t, o.ID, o.Version, writers[0], c.change)
			g.until(t, "a report", func(r []heal.Report) bool { return len(r) > 0 })
			g.rest(t, 0)
			live, err := w.Get(t.Context(), o.ID, o.Version)
			if err != nil {
				t.Fatal(err)
			}
			want := verdict.DriftFound
			if c.healed {
				want = verdict.DriftHealed
			}
			r := g.reports[0]
			if r.Code != want || len(r.Changes) != 1 || r.Changes[0].Path != c.path || r.Where.File != "app.yaml" {
				t.Errorf("reported %+v", r)
			}
			if len(r.By) != 1 || r.By[0].Name != "evil-controller" {
				t.Errorf("it is said to be by %+v", r.By)
			}
			if stays := live.ResourceVersion == written.ResourceVersion; stays == c.healed {
				t.Errorf("it stays: %t", stays)
			}
		})
	}
}

func TestDriftThatIsOnlyWatchedIsReportedOnceAndSurvivesAHealing(t *testing.T) {
	w := openEmbedded(t)
	g := newGuard(t, w, func(c *heal.Config) {
		c.Heal.Except = []v1alpha1.HealException{{Kind: "ConfigMap", Path: "/data/limit", Mode: v1alpha1.ModeWarn}}
	})
	g.run(t)
	o := object(t, w, configMap)
	g.put(t, o)
	w.write(t, o.ID, o.Version, writers[0], set("99", "data", "limit"))
	g.until(t, "a warning", func(r []heal.Report) bool { return len(r) == 1 })
	w.write(t, o.ID, o.Version, writers[0], set("lax", "data", "mode"))
	g.until(t, "healing", func(r []heal.Report) bool { return len(g.of(verdict.DriftHealed, o.ID)) == 1 })
	g.rest(t, 0)
	live, _ := w.Get(t.Context(), o.ID, o.Version)
	if at(live.Body, "data", "limit") != "99" || at(live.Body, "data", "mode") != "strict" {
		t.Errorf("the data are %v", at(live.Body, "data"))
	}
	if n := len(g.of(verdict.DriftFound, o.ID)); n != 1 {
		t.Errorf("%d warnings of one drift", n)
	}
}

func TestWithWarnADeletedObjectStaysDeletedAndIsReported(t *testing.T) {
	w := openEmbedded(t)
	g := newGuard(t, w, func(c *heal.Config) { c.Heal.Mode = v1alpha1.ModeWarn })
	g.run(t)
	o := object(t, w, configMap)
	g.put(t, o)
	g.rest(t, 0)
	remove(t, w, o)
	g.until(t, "a warning", func(r []heal.Report) bool { return len(r) == 1 && r[0].Code == verdict.DriftFound && r[0].Deleted })
	if _, err := w.Get(t.Context(), o.ID, o.Version); err == nil {
		t.Error("it is there again")
	}
}

func TestAFightIsReportedOnceAndNeverSlowsTheHealing(t *testing.T) {
	w := openEmbedded(t)
	g := newGuard(t, w, func(c *heal.Config) { c.FightHeals = 3 })
	g.run(t)
	o := object(t, w, configMap)
	g.put(t, o)
	for i := range 20 {
		w.write(t, o.ID, o.Version, writer{fmt.Sprintf("rival-%d", i%2), "Update", ""}, set(fmt.Sprint("lax", i), "data", "mode"))
		g.until(t, "healing", func([]heal.Report) bool { return len(g.of(verdict.DriftHealed, o.ID)) == i+1 })
	}
	g.rest(t, 0)
	fights := g.of(verdict.DriftFight, o.ID)
	if len(fights) != 1 || fights[0].Heals != 3 {
		t.Fatalf("%d reports of one fight: %v", len(fights), fights)
	}
	if names := fights[0].By; len(names) != 2 || names[0].Name != "rival-0" || names[1].Name != "rival-1" {
		t.Errorf("the rivals are %v", names)
	}
}

func TestFewerHealsThanAFightAreNone(t *testing.T) {
	w := openEmbedded(t)
	g := newGuard(t, w, func(c *heal.Config) { c.FightHeals = 3 })
	g.run(t)
	o := object(t, w, configMap)
	g.put(t, o)
	for i := range 2 {
		w.write(t, o.ID, o.Version, writers[0], set(fmt.Sprint("lax", i), "data", "mode"))
		g.until(t, "healing", func([]heal.Report) bool { return len(g.of(verdict.DriftHealed, o.ID)) == i+1 })
	}
	if n := len(g.of(verdict.DriftFight, o.ID)); n != 0 {
		t.Errorf("%d fights", n)
	}
}

func TestAtRestNothingIsAskedForAndASweepFindsWhatEventsDidNotTell(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := &counted{world: openEmbedded(t)}
		g := newGuard(t, w, func(c *heal.Config) { c.Heal.Sweep = &metav1.Duration{Duration: 10 * time.Minute} })
		ctx, cancel := context.WithCancel(t.Context())
		done := make(chan error)
		go func() { done <- g.Run(ctx) }()
		var objects []*gitops.Object
		for i := range 60 {
			o := object(t, w, strings.Replace(configMap, "settings", fmt.Sprint("settings-", i), 1))
			objects = append(objects, o)
			g.put(t, o)
			if i == 0 {
				synctest.Wait() // what comes while a watch still lists is asked for once more
			}
		}
		synctest.Wait()
		applied := w.requests.Load()
		if applied != 60 {
			t.Errorf("%d requests for 60 applied objects", applied)
		}
		w.deaf.Store(true)
		for _, i := range []int{3, 41} {
			w.write(t, objects[i].ID, "v1", writers[0], set("lax", "data", "mode"))
		}
		remove(t, w, objects[20])
		time.Sleep(time.Minute) // of the bubble's clock
		synctest.Wait()
		if n := w.requests.Load() - applied; n < 4 || n > 12 {
			t.Errorf("%d requests in the first of ten minutes: 6 objects are due, and a heal is one more", n)
		}
		time.Sleep(9*time.Minute + 2*time.Second)
		synctest.Wait()
		if n := w.requests.Load() - applied; n < 62 || n > 68 {
			t.Errorf("%d requests in a sweep over 60 objects with three to heal", n)
		}
		for _, i := range []int{3, 20, 41} {
			live, err := w.Get(t.Context(), objects[i].ID, "v1")
			if err != nil || at(live.Body, "data", "mode") != "strict" {
				t.Errorf("object %d was not healed: %v", i, err)
			}
		}
		cancel()
		<-done
	})
}

// listing can also name what it holds.
type listing struct {
	*counted
	lists atomic.Int64
	extra int // objects of others
}

func (l *listing) List(ctx context.Context, kind gitops.Kind, each func(gitops.Held)) error {
	l.lists.Add(1)
	for i := range l.extra {
		each(gitops.Held{ID: gitops.ID{Kind: kind.Kind, Namespace: "other", Name: fmt.Sprint(i)}, UID: "x", ResourceVersion: "1"})
	}
	return l.world.(embeddedWorld).List(ctx, kind, each)
}

func TestASweepListsWhereThatIsCheaper(t *testing.T) {
	for _, c := range []struct {
		name            string
		extra           int
		lists, requests int64
	}{
		{"among few others", 100, 1, 6}, // two are got and applied again; one is got, patched
		{"among very many others", 10_000, 1, 62},
	} {
		t.Run(c.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				w := &listing{counted: &counted{world: openEmbedded(t)}, extra: c.extra}
				g := newGuard(t, w, nil)
				ctx, cancel := context.WithCancel(t.Context())
				done := make(chan error)
				go func() { done <- g.Run(ctx) }()
				var objects []*gitops.Object
				for i := range 60 {
					o := object(t, w, strings.Replace(configMap, "settings", fmt.Sprint("settings-", i), 1))
					objects = append(objects, o)
					g.put(t, o)
				}
				synctest.Wait()
				applied := w.requests.Load()
				w.deaf.Store(true)
				w.write(t, objects[3].ID, "v1", writers[0], set("lax", "data", "mode"))
				w.write(t, objects[41].ID, "v1", writers[0], set("x", "data", "extra"))
				remove(t, w, objects[20])
				time.Sleep(20*time.Minute + 2*time.Second)
				synctest.Wait()
				if n := w.lists.Load(); n < c.lists || n > 2 {
					t.Errorf("listed %d times in two periods", n)
				}
				if n := w.requests.Load() - applied; n < c.requests || n > c.requests+4 {
					t.Errorf("%d requests, want %d", n, c.requests)
				}
				for _, i := range []int{3, 20, 41} {
					live, err := w.Get(t.Context(), objects[i].ID, "v1")
					if err != nil || at(live.Body, "data", "mode") != "strict" || at(live.Body, "data", "extra") != nil {
						t.Errorf("object %d was not healed: %v", i, err)
					}
				}
				cancel()
				<-done
			})
		})
	}
}

func TestAfterAStartWhatChangedMeanwhileIsHealed(t *testing.T) {
	w := openEmbedded(t)
	first := newGuard(t, w, nil)
	texts := []string{configMap, secret, service, deployment}
	var objects []*gitops.Object
	for _, text := range texts {
		o := object(t, w, text)
		objects = append(objects, o)
		first.put(t, o)
	}
	remove(t, w, objects[0])
	w.write(t, objects[1].ID, "v1", writers[0], drop("metadata", "labels"))
	w.write(t, objects[2].ID, "v1", writers[0], set("evil", "spec", "selector", "app"))

	second := newGuard(t, w, nil)
	for _, o := range objects {
		if err := second.Resume(o); err != nil {
			t.Fatal(err)
		}
	}
	second.run(t)
	second.until(t, "healing", func(r []heal.Report) bool { return len(r) == 3 })
	second.rest(t, 0)
	for _, o := range objects {
		live, err := w.Get(t.Context(), o.ID, o.Version)
		if err != nil || gitops.SourceOf(live.Body) != source {
			t.Errorf("%s: %v, %v", o.ID, live, err)
		}
	}
	if n := len(second.of(verdict.DriftHealed, objects[3].ID)); n != 0 {
		t.Error("what nobody touched was healed")
	}
}

func TestWhatIsAboutToBeAppliedIsNotMadeByTheHealerNorTakenForDrift(t *testing.T) {
	w := openEmbedded(t)
	g := newGuard(t, w, nil)
	g.run(t)
	o := object(t, w, configMap)
	g.put(t, o)
	g.rest(t, 0)
	next := object(t, w, strings.Replace(configMap, "strict", "stricter", 1))
	if err := g.Desire(next); err != nil {
		t.Fatal(err)
	}
	w.write(t, o.ID, o.Version, writers[0], set("x", "metadata", "annotations", "example.com/note"))
	g.rest(t, 0)
	live, _ := w.Get(t.Context(), o.ID, o.Version)
	if at(live.Body, "data", "mode") != "strict" {
		t.Error("the healer was ahead of the applier")
	}
	// What somebody does between the apply and its answer is not lost.
	live, err := w.Apply(t.Context(), next, gitops.ApplyOptions{})
	if err != nil {
		t.Fatal(err)
	}
	w.write(t, o.ID, o.Version, writers[0], set("lax", "data", "mode"))
	g.Applied(next, live)
	g.until(t, "healing", func(r []heal.Report) bool { return len(r) == 1 })
	live, _ = w.Get(t.Context(), o.ID, o.Version)
	if at(live.Body, "data", "mode") != "stricter" {
		t.Errorf("the data are %v", at(live.Body, "data"))
	}
}

func TestWhatIsForgottenIsLeftAlone(t *testing.T) {
	w := openEmbedded(t)
	g := newGuard(t, w, nil)
	g.run(t)
	o, other := object(t, w, configMap), object(t, w, secret)
	g.put(t, o)
	g.put(t, other)
	g.Forget(o.ID)
	remove(t, w, o)
	w.write(t, other.ID, "v1", writers[0], set("eA==", "data", "token"))
	g.until(t, "healing of the other", func([]heal.Report) bool { return len(g.of(verdict.DriftHealed, other.ID)) == 1 })
	g.rest(t, 0)
	if _, err := w.Get(t.Context(), o.ID, "v1"); err == nil {
		t.Error("it is there again")
	}
	if slices.Contains(g.Desired(), o.ID) {
		t.Error("it is still desired")
	}
}

func TestReportsHoldNoValues(t *testing.T) {
	w := openEmbedded(t)
	g := newGuard(t, w, nil)
	g.run(t)
	o := object(t, w, secret)
	g.put(t, o)
	w.write(t, o.ID, "v1", writers[0], both(set("aHVudGVyMg==", "data", "token"), set("aHVudGVyMg==", "data", "more")))
	g.until(t, "healing", func(r []heal.Report) bool { return len(r) == 1 })
	text := fmt.Sprintf("%+v", g.reports)
	for _, secret := range []string{"aHVudGVyMg", "hunter2", "c2VjcmV0"} {
		if strings.Contains(text, secret) {
			t.Errorf("the report says %s: %s", secret, text)
		}
	}
	if !strings.Contains(text, "/data/more") {
		t.Errorf("the report does not say which field: %s", text)
	}
}

func TestWhatAnAdmissionWebhookMakesOfAnApplyIsReportedAndNotFoughtOver(t *testing.T) {
	w := &counted{world: openEmbedded(t), alter: set("mirror.local/captioner", in(container, "image")...)}
	g := newGuard(t, w, nil)
	g.run(t)
	o := object(t, w, deployment)
	g.put(t, o)
	g.until(t, "a report", func(r []heal.Report) bool { return len(r) > 0 })
	g.rest(t, 0)
	r := g.reports
	if len(r) != 1 || r[0].Code != verdict.DriftAltered || r[0].Changes[0].Path != "/spec/template/spec/containers/app/image" {
		t.Fatalf("reported %v", summary(r))
	}
	// Its twin: without the webhook nothing is reported.
	plain := newGuard(t, w.world, nil)
	plain.run(t)
	plain.put(t, object(t, w, strings.Replace(deployment, "name: captioner, n", "name: other, n", 1)))
	plain.rest(t, 0)
	if len(plain.reports) != 0 {
		t.Errorf("reported %v", summary(plain.reports))
	}
}

func TestWhatCannotBeHealedIsReportedOnceAndTriedUntilItCan(t *testing.T) {
	w := &counted{world: openEmbedded(t)}
	g := newGuard(t, w, nil)
	g.run(t)
	o := object(t, w, configMap)
	g.put(t, o)
	g.rest(t, 0)
	no := fmt.Errorf("apply: %w", gitops.ErrForbidden)
	w.refuse.Store(&no)
	w.write(t, o.ID, "v1", writers[0], set("lax", "data", "mode"))
	g.until(t, "a report", func([]heal.Report) bool { return len(g.of(verdict.DriftStuck, o.ID)) == 1 })
	tries := w.requests.Load()
	deadline := time.After(patience)
	for w.requests.Load() < tries+4 { // it goes on trying
		select {
		case <-deadline:
			t.Fatal("it gave up")
		case <-time.After(10 * time.Millisecond):
		}
	}
	w.refuse.Store(nil)
	g.until(t, "healing", func([]heal.Report) bool { return len(g.of(verdict.DriftHealed, o.ID)) == 1 })
	if n := len(g.of(verdict.DriftStuck, o.ID)); n != 1 {
		t.Errorf("%d reports of one thing", n)
	}
}

func TestAHealerRefusesWhatItCannotWatch(t *testing.T) {
	g := newGuard(t, openEmbedded(t), nil)
	o := object(t, g.world, configMap)
	drop("metadata", "labels")(o.Body)
	if err := g.Desire(o); err == nil || !strings.Contains(err.Error(), gitops.LabelSource) {
		t.Errorf("without the label: %v", err)
	}
	set(source, "metadata", "labels", gitops.LabelSource)(o.Body)
	if err := g.Desire(o); err != nil {
		t.Errorf("with it: %v", err)
	}
}

func TestAConfigurationThatMakesNoSenseIsRefused(t *testing.T) {
	w := openEmbedded(t)
	for name, change := range map[string]func(*heal.Config){
		"no target":           func(c *heal.Config) { c.Target = nil },
		"no source":           func(c *heal.Config) { c.Source = "" },
		"nobody to report to": func(c *heal.Config) { c.Report = nil },
		"an unknown mode":     func(c *heal.Config) { c.Heal.Mode = "Ignore" },
		"an unknown mode of an exception": func(c *heal.Config) {
			c.Heal.Except = []v1alpha1.HealException{{Mode: "Ignore"}}
		},
		"a path that is no pointer": func(c *heal.Config) {
			c.Heal.Except = []v1alpha1.HealException{{Path: "spec", Mode: v1alpha1.ModeWarn}}
		},
		"a sweep in no time":        func(c *heal.Config) { c.Heal.Sweep = &metav1.Duration{Duration: time.Millisecond} },
		"a writer without a path":   func(c *heal.Config) { c.Writers = []heal.Writer{{Managers: []string{"x"}, Kinds: []string{"Pod"}}} },
		"a writer without managers": func(c *heal.Config) { c.Writers = []heal.Writer{{Path: "/spec", Kinds: []string{"Pod"}}} },
	} {
		good := heal.Config{Target: w, Source: source, Report: func(heal.Report) {}}
		if _, err := heal.New(good); err != nil {
			t.Fatal(err)
		}
		change(&good)
		if _, err := heal.New(good); err == nil {
			t.Errorf("%s is accepted", name)
		}
	}
}
