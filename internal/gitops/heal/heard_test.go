package heal_test

import (
	"bytes"
	"context"
	"errors"
	"os"
	"path/filepath"
	"sync"
	"testing"
	"time"

	"github.com/apexlogic/apex/internal/gitops"
	"github.com/apexlogic/apex/internal/gitops/heal"
	"github.com/apexlogic/apex/internal/gitops/target/dir"
	"github.com/apexlogic/apex/verdict"
)

// prompt is a target whose watch is never late: a write returns when the healer
// was told of it.
type prompt struct {
	gitops.Target
	mu   sync.Mutex
	told sync.Cond
	last map[gitops.ID]string
}

func newPrompt(t gitops.Target) *prompt {
	p := &prompt{Target: t, last: map[gitops.ID]string{}}
	p.told.L = &p.mu
	return p
}

func (p *prompt) Watch(ctx context.Context, source string, kinds []gitops.Kind, each func(gitops.Event)) error {
	return p.Target.Watch(ctx, source, kinds, func(e gitops.Event) {
		each(e)
		p.mu.Lock()
		defer p.mu.Unlock()
		p.last[e.ID] = e.ResourceVersion
		p.told.Broadcast()
	})
}

// promptWorld is one that others can write to.
type promptWorld struct{ *prompt }

func (w promptWorld) inner() world      { return w.Target.(world) }
func (w promptWorld) namespace() string { return w.inner().namespace() }
func (w promptWorld) real() bool        { return w.inner().real() }
func (w promptWorld) create(t testing.TB, body map[string]any, manager string) bool {
	return w.inner().create(t, body, manager)
}
func (w promptWorld) write(t testing.TB, id gitops.ID, version string, by writer, change func(map[string]any)) *gitops.Live {
	return w.inner().write(t, id, version, by, change)
}

func (p *prompt) wait(id gitops.ID, version string) {
	p.mu.Lock()
	defer p.mu.Unlock()
	for p.last[id] != version {
		p.told.Wait()
	}
}

func (p *prompt) Apply(ctx context.Context, o *gitops.Object, opt gitops.ApplyOptions) (*gitops.Live, error) {
	live, err := p.Target.Apply(ctx, o, opt)
	if err == nil && !opt.DryRun {
		p.wait(o.ID, live.ResourceVersion)
	}
	return live, err
}

func (p *prompt) Patch(ctx context.Context, id gitops.ID, version string, patch []byte) (*gitops.Live, error) {
	live, err := p.Target.Patch(ctx, id, version, patch)
	if err == nil {
		p.wait(id, live.ResourceVersion)
	}
	return live, err
}

func TestAHealingLooksOnceThoughTheWatchReportsItsOwnWrite(t *testing.T) {
	w := promptWorld{newPrompt(openEmbedded(t))}
	g := newGuard(t, w, nil)
	g.run(t)
	o := object(t, w, configMap)
	g.put(t, o)
	g.rest(t, 0)
	for name, change := range map[string]func(map[string]any){
		"a field":     set("lax", "data", "mode"),
		"an addition": set("x", "data", "extra"),
		"both":        both(set("lax", "data", "mode"), set("x", "data", "extra")),
	} {
		looks, heals := g.Stats().Looks, g.Stats().Heals
		w.write(t, o.ID, o.Version, writers[0], change)
		g.rest(t, looks+1)
		if s := g.Stats(); s.Looks != looks+1 || s.Heals != heals+1 {
			t.Errorf("%s: %d looks, %d heals", name, s.Looks-looks, s.Heals-heals)
		}
	}
}

// The twin: what somebody else writes while a healing ends is looked at.
func TestAChangeWhileAHealingEndsIsNotTakenForOurOwnWrite(t *testing.T) {
	w := promptWorld{newPrompt(openEmbedded(t))}
	var g *guard
	var once sync.Once
	var o *gitops.Object
	g = newGuard(t, w, func(c *heal.Config) {
		report := c.Report
		c.Report = func(r heal.Report) {
			once.Do(func() { // the worker still holds the object
				live := w.write(t, o.ID, o.Version, writers[0], set("y", "data", "extra"))
				w.wait(o.ID, live.ResourceVersion)
			})
			report(r)
		}
	})
	g.run(t)
	o = object(t, w, configMap)
	g.put(t, o)
	g.rest(t, 0)
	w.write(t, o.ID, o.Version, writers[0], set("lax", "data", "mode"))
	g.until(t, "two healings", func([]heal.Report) bool { return len(g.of(verdict.DriftHealed, o.ID)) == 2 })
	g.rest(t, 0)
	live, err := w.Get(t.Context(), o.ID, o.Version)
	if err != nil || at(live.Body, "data", "extra") != nil {
		t.Errorf("what was added stays: %v", err)
	}
}

// In a directory a version is what the file holds: the same tampering gives the
// same version once more, and is no event of the past.
func TestTheSameTamperingWhileAHealingEndsIsHealedInADirectory(t *testing.T) {
	home := t.TempDir()
	d, err := dir.Open(dir.Options{Path: filepath.Join(home, "tree"), Rescan: time.Hour})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = d.Close() })
	w := newPrompt(d)
	o := object(t, openEmbedded(t), configMap)
	file := filepath.Join(home, "tree", "shop", "ConfigMap", "settings.yaml")
	var evil []byte
	tamper := func() {
		if err := errors.Join(os.WriteFile(filepath.Join(home, "evil"), evil, 0o644), os.Rename(filepath.Join(home, "evil"), file)); err != nil {
			t.Error(err)
		}
	}
	healed := make(chan int, 16)
	heals := 0
	h, err := heal.New(heal.Config{Target: w, Source: source, Report: func(r heal.Report) {
		if r.Code != verdict.DriftHealed {
			return
		}
		if heals++; heals == 1 { // the worker still holds the object
			tamper()
			live, err := d.Get(t.Context(), o.ID, o.Version)
			if err != nil {
				t.Error(err)
				return
			}
			w.wait(o.ID, live.ResourceVersion)
		}
		healed <- heals
	}})
	if err != nil {
		t.Fatal(err)
	}
	g := &guard{Healer: h, world: embeddedWorld{}}
	g.run(t)
	if err := h.Desire(o); err != nil {
		t.Fatal(err)
	}
	live, err := d.Apply(t.Context(), o, gitops.ApplyOptions{})
	if err != nil {
		t.Fatal(err)
	}
	h.Applied(o, live)
	data, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	if evil = bytes.Replace(data, []byte("strict"), []byte("lax"), 1); bytes.Equal(evil, data) {
		t.Fatal("nothing to tamper with")
	}
	tamper()
	for n := 0; n < 2; {
		select {
		case n = <-healed:
		case <-time.After(patience):
			t.Fatalf("%d of 2 healings", n)
		}
	}
	if after, err := os.ReadFile(file); err != nil || !bytes.Equal(after, data) {
		t.Errorf("it is not as Git says: %v", err)
	}
}
