package config

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/apexlogic/apex/internal/clock"
	"github.com/apexlogic/apex/verdict"
)

var noon = time.Date(2026, 11, 1, 12, 0, 0, 0, time.UTC)

func TestAGenerationIsPublishedWholeOrNotAtAll(t *testing.T) {
	p := NewPublisher(clock.At(noon))
	count := Register(p, "count", func(s *Set) (int, error) { return s.Len(), nil })
	picky := Register(p, "picky", func(s *Set) (string, error) {
		for _, policy := range s.ImageSecurityPolicies {
			switch policy.Value.Name {
			case "explained":
				return "", &Invalid{Problems: []Problem{policy.Problem(verdict.PolicyInvalid, "spec.rules[0]", "no")}}
			case "plain":
				return "", errors.New("plainly no")
			case "panics":
				panic("at the disco")
			}
		}
		return s.Hash(), nil
	})
	if p.Current() != nil {
		t.Fatal("there is a generation before the first one")
	}
	if _, ok := count.Of(p.Current()); ok {
		t.Error("no generation has a part")
	}
	first := load(t, Bytes("a.yaml", []byte(trustYAML)))
	g, err := p.Publish(t.Context(), first)
	if err != nil || p.Current() != g || g.Hash != first.Hash() || g.Set != first || !g.At.Equal(noon) {
		t.Fatalf("published %+v, %v", g, err)
	}
	if n, ok := count.Of(g); !ok || n != 1 {
		t.Errorf("count: %d, %v", n, ok)
	}
	if again, err := p.Publish(t.Context(), load(t, Bytes("b.yaml", []byte(trustYAML)))); again != g || err != nil {
		t.Error("publishing the same content changes the generation")
	}
	named := func(name string) *Set {
		return load(t, Bytes("p.yaml", []byte(strings.Replace(reference(t), "multimodal-ai-model-image-policy", name, 1))))
	}
	for name, want := range map[string]string{
		"explained": "p.yaml:10:7: spec.rules[0]: no",
		"plain":     "picky: plainly no",
		"panics":    "picky: failed: at the disco",
	} {
		_, err := p.Publish(t.Context(), named(name))
		var invalid *Invalid
		if !errors.As(err, &invalid) || invalid.Error() != want {
			t.Errorf("%s: %v", name, err)
		}
		if p.Current() != g {
			t.Fatalf("%s: the generation in force has changed", name)
		}
	}
	if _, err := p.Publish(t.Context(), named("Not-A-Name")); err == nil || p.Current() != g {
		t.Errorf("a set with errors: %v", err)
	}
	cancelled, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := p.Publish(cancelled, named("fine")); !errors.Is(err, context.Canceled) || p.Current() != g {
		t.Errorf("a cancelled publication: %v", err)
	}
	next, err := p.Publish(t.Context(), named("fine"))
	if err != nil || p.Current() != next {
		t.Fatal(err)
	}
	if hash, ok := picky.Of(next); !ok || hash != next.Hash {
		t.Errorf("picky: %s, %v", hash, ok)
	}
	if n, _ := count.Of(g); n != 1 {
		t.Error("the old generation's part has changed")
	}
	if _, ok := count.Of(&Generation{}); ok {
		t.Error("another publisher's generation has a part")
	}
	defer func() {
		if recover() == nil {
			t.Error("a room registers after the first generation")
		}
	}()
	Register(p, "late", func(*Set) (int, error) { return 0, nil })
}

func TestReadersNeverSeeTwoGenerationsMixed(t *testing.T) {
	p := NewPublisher(clock.System{})
	a := Register(p, "a", func(s *Set) (string, error) { return s.Hash(), nil })
	b := Register(p, "b", func(s *Set) (string, error) { return s.Hash(), nil })
	sets := []*Set{load(t, Bytes("x", []byte(trustYAML))), load(t, Bytes("x", []byte(reference(t))))}
	if _, err := p.Publish(t.Context(), sets[0]); err != nil {
		t.Fatal(err)
	}
	var readers sync.WaitGroup
	done := make(chan struct{})
	for range 4 {
		readers.Go(func() {
			for {
				g := p.Current()
				x, _ := a.Of(g)
				y, _ := b.Of(g)
				if x != g.Hash || y != g.Hash {
					t.Errorf("generation %s has the parts %s and %s", g.Hash, x, y)
				}
				select {
				case <-done:
					return
				default:
				}
			}
		})
	}
	for i := range 200 {
		if _, err := p.Publish(t.Context(), sets[i%2]); err != nil {
			t.Error(err)
		}
	}
	close(done)
	readers.Wait()
}

// watched runs a watcher of dir and returns the states that it reports.
func watched(t *testing.T, p *Publisher, dir string) (*Watcher, <-chan Health) {
	t.Helper()
	states := make(chan Health, 16)
	w := NewWatcher(p, dir, func(h Health) { states <- h })
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan error, 1)
	go func() { done <- w.Run(ctx) }()
	t.Cleanup(func() {
		cancel()
		if err := <-done; err != nil {
			t.Errorf("Run: %v", err)
		}
	})
	return w, states
}

func put(t *testing.T, path, text string) {
	t.Helper()
	// Renamed into place: a watcher that looks between the beginning of a write and
	// its end sees an empty file, which is a state of its own.
	tmp := filepath.Join(t.TempDir(), filepath.Base(path))
	if err := os.WriteFile(tmp, []byte(text), 0o644); err != nil {
		t.Fatal(err)
	}
	if err := os.Rename(tmp, path); err != nil {
		t.Fatal(err)
	}
}

func TestABrokenEditKeepsTheGenerationInForce(t *testing.T) {
	dir := t.TempDir()
	policy, trust := filepath.Join(dir, "policy.yaml"), filepath.Join(dir, "trust.yaml")
	put(t, policy, reference(t))
	p := NewPublisher(clock.At(noon))
	w, states := watched(t, p, dir)
	first := <-states
	if !first.OK() || first.Generation != p.Current().Hash || !first.Since.Equal(noon) {
		t.Fatalf("at first: %+v", first)
	}
	put(t, policy, strings.Replace(reference(t), "action: Deny", "action: deny", 1))
	broken := <-states
	if broken.OK() || broken.Generation != first.Generation || p.Current().Hash != first.Generation || len(broken.Problems) != 1 || broken.Problems[0].Suggestion != "Deny" {
		t.Errorf("after a broken edit: %+v", broken)
	}
	if h := w.Health(); h.OK() {
		t.Error("Health says that all is well")
	}
	put(t, policy, reference(t))
	if h := <-states; !h.OK() || h.Generation != first.Generation {
		t.Errorf("after the edit was undone: %+v", h)
	}
	put(t, trust, trustYAML)
	second := <-states
	if !second.OK() || second.Generation == first.Generation || p.Current().Hash != second.Generation {
		t.Errorf("after a file was added: %+v", second)
	}
	if err := os.Remove(trust); err != nil {
		t.Fatal(err)
	}
	if h := <-states; !h.OK() || h.Generation != first.Generation {
		t.Errorf("after it was removed: %+v", h)
	}
}

func TestADirectoryThatIsGoneKeepsTheGenerationInForce(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "policies")
	p := NewPublisher(clock.At(noon))
	_, states := watched(t, p, dir)
	if h := <-states; h.OK() || h.Generation != "" || len(h.Problems) != 1 {
		t.Errorf("without a directory: %+v", h)
	}
	if p.Current() != nil {
		t.Error("there is a generation of nothing")
	}
	if err := os.Mkdir(dir, 0o755); err != nil {
		t.Fatal(err)
	}
	if h := <-states; !h.OK() {
		t.Errorf("with the directory: %+v", h)
	}
	if err := os.Remove(dir); err != nil {
		t.Fatal(err)
	}
	if h := <-states; h.OK() || h.Generation == "" {
		t.Errorf("when it is gone: %+v", h)
	}
}

func TestAnEditWithinOneTimeStampIsSeen(t *testing.T) {
	dir := t.TempDir()
	path := filepath.Join(dir, "trust.yaml")
	put(t, path, trustYAML)
	stamp := time.Now()
	set := func() {
		t.Helper()
		for _, name := range []string{path, dir} {
			if err := os.Chtimes(name, stamp, stamp); err != nil {
				t.Fatal(err)
			}
		}
	}
	set()
	p := NewPublisher(clock.At(noon))
	w := NewWatcher(p, dir, nil)
	w.look(t.Context())
	before := p.Current().Hash
	put(t, path, strings.Replace(trustYAML, "MFkw", "MFkx", 1))
	set()
	w.look(t.Context())
	if p.Current().Hash == before {
		t.Error("an edit of the same size and time is not seen")
	}
	// An old, unchanged time stamp is believed, for a while.
	stamp = stamp.Add(-time.Hour)
	set()
	w.look(t.Context())
	loaded := w.loaded
	w.look(t.Context())
	if w.loaded != loaded {
		t.Error("an unchanged directory is read again at once")
	}
	put(t, path, trustYAML)
	set()
	w.loaded = w.loaded.Add(-reread)
	w.look(t.Context())
	if p.Current().Hash != before {
		t.Error("an edit that sets the time stamp back is never seen")
	}
}
