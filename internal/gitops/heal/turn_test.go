package heal_test

import (
	"context"
	"errors"
	"strings"
	"sync"
	"testing"
	"testing/synctest"

	"github.com/apexlogic/apex/internal/gitops"
	"github.com/apexlogic/apex/internal/gitops/heal"
	"github.com/apexlogic/apex/verdict"
)

// halting is a world in which one request of the healer's waits: at the server's
// side before it is carried out, or with its answer on the way.
type halting struct {
	world
	mu      sync.Mutex
	at      string // "get" or "apply"; "" when none waits
	waits   chan struct{}
	release chan struct{}
}

func newHalting(w world) *halting {
	return &halting{world: w, waits: make(chan struct{}), release: make(chan struct{})}
}

func (h *halting) arm(at string) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.at = at
}

func (h *halting) halt(at string) {
	h.mu.Lock()
	mine := h.at == at
	if mine {
		h.at = ""
	}
	h.mu.Unlock()
	if mine {
		close(h.waits)
		<-h.release
	}
}

func (h *halting) Get(ctx context.Context, id gitops.ID, version string) (*gitops.Live, error) {
	live, err := h.world.Get(ctx, id, version)
	h.halt("get")
	return live, err
}

func (h *halting) Apply(ctx context.Context, o *gitops.Object, opt gitops.ApplyOptions) (*gitops.Live, error) {
	h.halt("apply")
	return h.world.Apply(ctx, o, opt)
}

// inTheMiddle tampers, stops the healer in the middle of what it does about it, has
// do begin, and lets the healer go on.
func inTheMiddle(t *testing.T, at string, do func(t *testing.T, w world, g *guard, o *gitops.Object), after func(t *testing.T, w world, o *gitops.Object)) {
	synctest.Test(t, func(t *testing.T) {
		w := openEmbedded(t)
		slow := newHalting(w)
		g := newGuard(t, slow, nil)
		g.world = w
		ctx, cancel := context.WithCancel(t.Context())
		ended := make(chan error)
		go func() { ended <- g.Run(ctx) }()
		o := object(t, w, configMap)
		g.put(t, o)
		synctest.Wait()
		slow.arm(at)
		w.write(t, o.ID, o.Version, writers[0], set("lax", "data", "mode"))
		<-slow.waits
		done := make(chan struct{})
		go func() {
			defer close(done)
			do(t, w, g, o)
		}()
		synctest.Wait()
		close(slow.release)
		<-done
		synctest.Wait()
		after(t, w, o)
		cancel()
		<-ended
	})
}

// What Git has no longer is deleted, and a healing that was on its way does not
// make it again: nobody would ever delete it.
func TestWhatIsForgottenIsNotMadeAgainByAHealingOnItsWay(t *testing.T) {
	for _, where := range []string{"get", "apply"} {
		t.Run(where, func(t *testing.T) {
			inTheMiddle(t, where, func(t *testing.T, w world, g *guard, o *gitops.Object) {
				g.Forget(o.ID)
				remove(t, w, o)
			}, func(t *testing.T, w world, o *gitops.Object) {
				if live, err := w.Get(t.Context(), o.ID, o.Version); !errors.Is(err, gitops.ErrNotFound) {
					t.Errorf("it is there again: %v, %v", live, err)
				}
			})
		})
	}
}

// A healing to what was desired before does not come after the apply of what is
// desired now.
func TestWhatIsAppliedIsNotUndoneByAHealingOnItsWay(t *testing.T) {
	for _, where := range []string{"get", "apply"} {
		t.Run(where, func(t *testing.T) {
			var g *guard
			var next *gitops.Object
			var live *gitops.Live
			inTheMiddle(t, where, func(t *testing.T, w world, running *guard, _ *gitops.Object) {
				g, next = running, object(t, w, strings.Replace(configMap, "strict", "stricter", 1))
				if err := g.Desire(next); err != nil {
					t.Error(err)
				}
				var err error
				if live, err = w.Apply(t.Context(), next, gitops.ApplyOptions{}); err != nil {
					t.Error(err)
				}
			}, func(t *testing.T, w world, o *gitops.Object) {
				is := func() any {
					live, err := w.Get(t.Context(), o.ID, o.Version)
					if err != nil {
						t.Fatal(err)
					}
					return at(live.Body, "data", "mode")
				}
				if got := is(); got != "stricter" {
					t.Errorf("after the apply it is %v", got)
				}
				g.Applied(next, live)
				w.write(t, o.ID, o.Version, writers[0], set("lax", "data", "mode"))
				synctest.Wait()
				if got := is(); got != "stricter" {
					t.Errorf("tampered with once more, it is %v", got)
				}
			})
		})
	}
}

// A target may say of what is gone which version it last had: that is the version
// that the applier wrote.
func TestADeletionBetweenAnApplyAndItsAnswerIsNotLost(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := lastVersion{openEmbedded(t)}
		g := newGuard(t, w, nil)
		ctx, cancel := context.WithCancel(t.Context())
		ended := make(chan error)
		go func() { ended <- g.Run(ctx) }()
		g.put(t, object(t, w, strings.Replace(configMap, "settings", "other", 1)))
		synctest.Wait() // the kind is watched
		o := object(t, w, configMap)
		if err := g.Desire(o); err != nil {
			t.Fatal(err)
		}
		live, err := w.Apply(t.Context(), o, gitops.ApplyOptions{})
		if err != nil {
			t.Fatal(err)
		}
		synctest.Wait()
		remove(t, w, o)
		synctest.Wait()
		g.Applied(o, live)
		synctest.Wait()
		if _, err := w.Get(t.Context(), o.ID, o.Version); err != nil {
			t.Errorf("it was not made again: %v", err)
		}
		if n := len(g.of(verdict.DriftHealed, o.ID)); n != 1 {
			t.Errorf("%d reports", n)
		}
		cancel()
		<-ended
	})
}

// lastVersion names of what is gone the version that it was seen with, as a
// directory does.
type lastVersion struct{ world }

func (w lastVersion) Watch(ctx context.Context, source string, kinds []gitops.Kind, each func(gitops.Event)) error {
	last := map[gitops.ID]string{}
	return w.world.Watch(ctx, source, kinds, func(e gitops.Event) {
		if e.Kind == gitops.Gone {
			e.ResourceVersion = last[e.ID]
		}
		last[e.ID] = e.ResourceVersion
		each(e)
	})
}

// What goes while no watch runs is missing in the listing of the next one.
func TestWhatWasDeletedBetweenTwoWatchesIsMadeAgain(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := &breaking{world: openEmbedded(t), next: make(chan struct{})}
		g := newGuard(t, w, nil)
		ctx, cancel := context.WithCancel(t.Context())
		ended := make(chan error)
		go func() { ended <- g.Run(ctx) }()
		o := object(t, w, configMap)
		g.put(t, o)
		synctest.Wait()
		close(w.next)
		synctest.Wait()
		remove(t, w, o)
		g.until(t, "making it again", func([]heal.Report) bool { return len(g.of(verdict.DriftHealed, o.ID)) == 1 })
		cancel()
		<-ended
	})
}

// breaking ends its first watch.
type breaking struct {
	world
	once sync.Once
	next chan struct{}
}

func (w *breaking) Watch(ctx context.Context, source string, kinds []gitops.Kind, each func(gitops.Event)) error {
	broke := false
	w.once.Do(func() {
		broke = true
		ctx, cancel := context.WithCancel(ctx)
		go func() {
			<-w.next
			cancel()
		}()
		_ = w.world.Watch(ctx, source, kinds, each)
	})
	if broke {
		return errors.New("the connection is lost")
	}
	return w.world.Watch(ctx, source, kinds, each)
}
