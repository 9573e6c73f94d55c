package dir_test

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/apexlogic/apex/internal/gitops"
	"github.com/apexlogic/apex/internal/gitops/target/dir"
	"github.com/apexlogic/apex/internal/gitops/targettest"
)

func put(t testing.TB, d *dir.Dir, o *gitops.Object) *gitops.Live {
	t.Helper()
	live, err := d.Apply(t.Context(), o, gitops.ApplyOptions{})
	if err != nil {
		t.Fatal(err)
	}
	return live
}

func TestLinksAreReplacedAndNeverFollowed(t *testing.T) {
	for name, plant := range map[string]func(root, outside string) error{
		"in place of the namespace": func(root, outside string) error { return os.Symlink(outside, filepath.Join(root, "vision")) },
		"in place of the kind": func(root, outside string) error {
			return errors.Join(os.Mkdir(filepath.Join(root, "vision"), 0o755), os.Symlink(outside, filepath.Join(root, "vision", "ConfigMap")))
		},
		"in place of the file": func(root, outside string) error {
			return errors.Join(os.MkdirAll(filepath.Join(root, "vision", "ConfigMap"), 0o755),
				os.Symlink(filepath.Join(outside, "settings.yaml"), filepath.Join(root, "vision", "ConfigMap", "settings.yaml")))
		},
		"to what Apex remembers": func(root, _ string) error { return os.Symlink(".apex", filepath.Join(root, "vision")) },
		"a directory in place of the file": func(root, _ string) error {
			return os.MkdirAll(filepath.Join(root, "vision", "ConfigMap", "settings.yaml", "x"), 0o755)
		},
		"a pipe in place of the file": func(root, _ string) error {
			return errors.Join(os.MkdirAll(filepath.Join(root, "vision", "ConfigMap"), 0o755),
				syscall.Mkfifo(filepath.Join(root, "vision", "ConfigMap", "settings.yaml"), 0o644))
		},
	} {
		t.Run(name, func(t *testing.T) {
			root, outside := filepath.Join(t.TempDir(), "tree"), t.TempDir()
			secret := "apiVersion: v1\nkind: ConfigMap\nmetadata: {name: settings, namespace: vision}\ndata: {stolen: x}\n"
			for _, file := range []string{"settings.yaml", "ConfigMap/settings.yaml"} {
				if err := errors.Join(os.MkdirAll(filepath.Dir(filepath.Join(outside, file)), 0o755), os.WriteFile(filepath.Join(outside, file), []byte(secret), 0o644)); err != nil {
					t.Fatal(err)
				}
			}
			d := open(t, dir.Options{Path: root})
			if err := plant(root, outside); err != nil {
				t.Fatal(err)
			}
			o := targettest.ConfigMap("vision", "settings", "a", "b")
			if live, err := d.Get(t.Context(), o.ID, "v1"); !errors.Is(err, gitops.ErrNotFound) {
				t.Errorf("through it, there is %v, %v", live, err)
			}
			if err := d.Delete(t.Context(), o.ID, "v1", gitops.Precondition{}); err != nil {
				t.Error(err)
			}
			put(t, d, o)
			if live, err := d.Get(t.Context(), o.ID, "v1"); err != nil || live.Body["data"].(map[string]any)["a"] != "b" {
				t.Errorf("got %v, %v", live, err)
			}
			for _, file := range []string{"settings.yaml", "ConfigMap/settings.yaml"} {
				if data, err := os.ReadFile(filepath.Join(outside, file)); err != nil || string(data) != secret {
					t.Errorf("outside, %s is %q, %v", file, data, err)
				}
			}
			if info, err := os.Lstat(filepath.Join(root, "vision")); err != nil || !info.IsDir() {
				t.Errorf("the link is still there: %v", err)
			}
		})
	}
}

func TestWhatIsNoObjectIsAnObjectWithNothingInIt(t *testing.T) {
	for name, text := range map[string]string{
		"an empty file":           "",
		"no YAML":                 "\t{{",
		"a list":                  "- a\n",
		"another object":          "apiVersion: v1\nkind: ConfigMap\nmetadata: {name: other, namespace: vision}\n",
		"two documents":           "apiVersion: v1\nkind: ConfigMap\nmetadata: {name: settings, namespace: vision}\n---\nkind: Secret\n",
		"a key that is twice":     "apiVersion: v1\nkind: ConfigMap\nkind: ConfigMap\nmetadata: {name: settings, namespace: vision}\n",
		"aliases that grow":       "a: &a [x,x,x,x,x,x,x,x,x]\nb: &b [*a,*a,*a,*a,*a,*a,*a,*a,*a]\nc: &c [*b,*b,*b,*b,*b,*b,*b,*b,*b]\nd: &d [*c,*c,*c,*c,*c,*c,*c,*c,*c]\ne: &e [*d,*d,*d,*d,*d,*d,*d,*d,*d]\nf: [*e,*e,*e,*e,*e,*e,*e,*e,*e]\n",
		"an alias of itself":      "a: &a [*a]\n",
		"a hundred thousand deep": strings.Repeat("[", 100_000),
		"5 MiB":                   "a: " + strings.Repeat("x", 5<<20),
	} {
		t.Run(name, func(t *testing.T) {
			root := filepath.Join(t.TempDir(), "tree")
			d := open(t, dir.Options{Path: root})
			o := targettest.ConfigMap("vision", "settings", "a", "b")
			before := put(t, d, o)
			if err := os.WriteFile(at(root, o.ID), []byte(text), 0o644); err != nil {
				t.Fatal(err)
			}
			live, err := d.Get(t.Context(), o.ID, "v1")
			if err != nil {
				t.Fatal(err)
			}
			if live.Body["data"] != nil || gitops.SourceOf(live.Body) != "" || live.ResourceVersion == before.ResourceVersion {
				t.Errorf("got %v", live)
			}
			if after := put(t, d, o); after.ResourceVersion != before.ResourceVersion {
				t.Error("an apply does not mend it")
			}
		})
	}
}

func TestEveryNameHasAFileOfItsOwn(t *testing.T) {
	root := filepath.Join(t.TempDir(), "tree")
	d := open(t, dir.Options{Path: root})
	long := strings.Repeat("n", 253)
	ids := []gitops.ID{
		{Kind: "ConfigMap", Name: "a"}, {Kind: "ConfigMap", Namespace: "_cluster", Name: "a"}, {Kind: "ConfigMap", Namespace: "%5Fcluster", Name: "a"},
		{Kind: "ConfigMap", Namespace: "..", Name: ".."}, {Kind: "ConfigMap", Namespace: ".apex", Name: "a"}, {Kind: "ConfigMap", Name: "."},
		{Kind: "ConfigMap", Name: "../../../escape"}, {Kind: "ConfigMap", Name: "a/b"}, {Kind: "ConfigMap", Name: "a%2Fb"}, {Kind: "ConfigMap", Name: "nul\x00"},
		{Kind: "ClusterRole", Group: "rbac.authorization.k8s.io", Name: "system:node"}, {Kind: "ConfigMap", Name: long}, {Kind: "ConfigMap", Name: long[1:] + "m"},
		{Kind: "ConfigMap", Name: "é"}, {Kind: "a/b", Name: "c"}, {Kind: "A", Group: "../x", Name: "c"},
	}
	for _, id := range ids {
		body := map[string]any{"apiVersion": "v1", "kind": id.Kind, "metadata": map[string]any{"name": id.Name, "labels": map[string]any{gitops.LabelSource: targettest.Source}}}
		if id.Group != "" {
			body["apiVersion"] = id.Group + "/v1"
		}
		if id.Namespace != "" {
			body["metadata"].(map[string]any)["namespace"] = id.Namespace
		}
		put(t, d, &gitops.Object{ID: id, Version: "v1", Body: body})
	}
	var found []gitops.ID
	err := d.List(t.Context(), gitops.Kind{Kind: "ConfigMap"}, func(h gitops.Held) {
		if h.Source == targettest.Source {
			found = append(found, h.ID)
		}
	})
	want := slices.DeleteFunc(slices.Clone(ids), func(id gitops.ID) bool { return id.Kind != "ConfigMap" })
	if err != nil || len(found) != len(want) {
		t.Errorf("%d of %d are listed: %v", len(found), len(want), err)
	}
	for _, id := range want {
		if !slices.Contains(found, id) {
			t.Errorf("%s is not listed", id)
		}
	}
	if foreign, err := d.Foreign(t.Context()); err != nil || len(foreign) > 0 {
		t.Errorf("foreign are %v, %v", foreign, err)
	}
	if entries, _ := os.ReadDir(filepath.Dir(root)); len(entries) != 1 {
		t.Errorf("beside the tree there is %v", entries)
	}
}

func TestForeignFilesAreReportedAndRemovedWhereTheTreeIsOurs(t *testing.T) {
	plants := map[string]string{
		"README.md": "text", ".git/config": "text", "vision/notes.txt": "text", "vision/ConfigMap/planted.txt": "text",
		"vision/ConfigMap/unlabelled.yaml": "apiVersion: v1\nkind: ConfigMap\nmetadata: {name: unlabelled, namespace: vision}\n",
		"vision/ConfigMap/deep/er.yaml":    "text", "vision/ConfigMap/A B.yaml": "text",
	}
	for name, exclusive := range map[string]bool{"they stay in a tree that is shared": false, "they go where it is ours": true} {
		t.Run(name, func(t *testing.T) {
			root := filepath.Join(t.TempDir(), "tree")
			ours := targettest.ConfigMap("vision", "ours", "a", "b")
			var mu sync.Mutex
			told := map[string]bool{}
			more := make(chan struct{}, 100)
			opt := dir.Options{Path: root, Foreign: func(path string, removed bool) {
				mu.Lock()
				told[path] = removed
				mu.Unlock()
				more <- struct{}{}
			}}
			if exclusive {
				opt.Named = func(id gitops.ID) (bool, error) {
					if id.Name == "unsure" {
						return false, errors.New("not known yet")
					}
					return id == ours.ID, nil
				}
			}
			d := open(t, opt)
			put(t, d, ours)
			put(t, d, targettest.ConfigMap("vision", "unsure", "a", "b"))
			half := 0
			write := func(path, text string) {
				path = filepath.Join(root, path)
				for tries := 0; ; tries++ {
					// The folder may be gone again before the file is in it.
					err := errors.Join(os.MkdirAll(filepath.Dir(path), 0o755), os.WriteFile(path, []byte(text), 0o644))
					if err == nil {
						break
					}
					if !errors.Is(err, os.ErrNotExist) || tries > 100 {
						t.Fatal(err)
					}
				}
			}
			for path, text := range plants { // some before the watch begins
				if half++; half%2 == 0 {
					write(path, text)
				}
			}
			ctx, cancel := context.WithCancel(t.Context())
			synced, done := make(chan struct{}), make(chan error, 1)
			go func() {
				done <- d.Watch(ctx, targettest.Source, []gitops.Kind{{Version: "v1", Kind: "ConfigMap"}}, func(e gitops.Event) {
					if e.Kind == gitops.Synced {
						close(synced)
					}
				})
			}()
			<-synced
			for path, text := range plants { // and all of them after
				if exclusive {
					if _, err := os.Lstat(filepath.Join(root, path)); err == nil {
						continue // not walked into yet
					}
				}
				write(path, text)
			}
			want := []string{"README.md", "vision/notes.txt", "vision/ConfigMap/planted.txt", "vision/ConfigMap/unlabelled.yaml", "vision/ConfigMap/deep", "vision/ConfigMap/A B.yaml", ".git/config"}
			deadline := time.NewTimer(5 * time.Minute)
			for {
				mu.Lock()
				missing := slices.DeleteFunc(slices.Clone(want), func(p string) bool {
					// What was planted twice is told of, perhaps, and not yet gone again.
					_, err := os.Lstat(filepath.Join(root, p))
					removed, ok := told[p]
					return ok && removed == exclusive && (err != nil) == exclusive
				})
				mu.Unlock()
				if len(missing) == 0 {
					break
				}
				select {
				case <-more:
				case <-time.After(20 * time.Millisecond):
				case <-deadline.C:
					t.Fatalf("not told of %v", missing)
				}
			}
			cancel()
			if err := <-done; !errors.Is(err, context.Canceled) {
				t.Error(err)
			}
			for _, path := range want {
				if _, err := os.Lstat(filepath.Join(root, path)); (err == nil) == exclusive {
					t.Errorf("%s: %v", path, err)
				}
			}
			for _, o := range []string{"ours", "unsure"} {
				if _, err := os.Lstat(filepath.Join(root, "vision/ConfigMap", o+".yaml")); err != nil {
					t.Error(err)
				}
			}
			if info, err := os.Stat(filepath.Join(root, ".apex")); err != nil || info.Mode().Perm() != 0o700 {
				t.Errorf("what Apex remembers: %v, %v", info, err)
			}
		})
	}
}

func TestAPlantedFileUnderOurLabelGoesWhereTheTreeIsOurs(t *testing.T) {
	root := filepath.Join(t.TempDir(), "tree")
	removed := make(chan string, 10)
	ours := targettest.ConfigMap("vision", "ours", "a", "b")
	d := open(t, dir.Options{Path: root, Named: func(id gitops.ID) (bool, error) { return id == ours.ID, nil },
		Foreign: func(path string, gone bool) {
			if gone {
				removed <- path
			}
		}})
	put(t, d, ours)
	put(t, d, targettest.ConfigMap("vision", "planted", "a", "b"))
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan error, 1)
	go func() {
		done <- d.Watch(ctx, targettest.Source, []gitops.Kind{{Version: "v1", Kind: "ConfigMap"}}, func(gitops.Event) {})
	}()
	if path := <-removed; path != "vision/ConfigMap/planted.yaml" {
		t.Errorf("%s went", path)
	}
	cancel()
	<-done
	if _, err := d.Get(t.Context(), ours.ID, "v1"); err != nil {
		t.Errorf("its twin: %v", err)
	}
}

// A file that no commit names goes; one that a commit brings just then stays.
func TestWhatIsAppliedWhileAPlantedFileGoesStays(t *testing.T) {
	root := filepath.Join(t.TempDir(), "tree")
	next := targettest.ConfigMap("vision", "next", "a", "b")
	removed := make(chan string, 10)
	desired := make(chan struct{})
	var d *dir.Dir
	d = open(t, dir.Options{Path: root,
		Named: func(id gitops.ID) (bool, error) {
			if id != next.ID {
				return false, nil
			}
			select {
			case <-desired:
				return true, nil
			default:
			}
			// Nothing names it, and before the answer is heard it is applied.
			close(desired)
			put(t, d, next)
			return false, nil
		},
		Foreign: func(path string, gone bool) {
			if gone {
				removed <- path
			}
		}})
	put(t, d, targettest.ConfigMap("vision", "next", "a", "planted"))
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan error, 1)
	go func() {
		done <- d.Watch(ctx, targettest.Source, []gitops.Kind{{Version: "v1", Kind: "ConfigMap"}}, func(gitops.Event) {})
	}()
	<-desired
	put(t, d, targettest.ConfigMap("vision", "other", "a", "b")) // its twin, which is looked at later
	if path := <-removed; path != "vision/ConfigMap/other.yaml" {
		t.Errorf("%s went", path)
	}
	cancel()
	<-done
	if live, err := d.Get(t.Context(), next.ID, "v1"); err != nil {
		t.Errorf("what was applied is gone: %v, %v", live, err)
	}
}

func TestSecretsAreTheirOwnersToRead(t *testing.T) {
	root := filepath.Join(t.TempDir(), "tree")
	d := open(t, dir.Options{Path: root})
	o := targettest.ConfigMap("vision", "token", "a", "b")
	o.Kind, o.Body["kind"] = "Secret", "Secret"
	put(t, d, o)
	if info, err := os.Stat(at(root, o.ID)); err != nil || info.Mode().Perm() != 0o600 {
		t.Errorf("%v, %v", info.Mode(), err)
	}
}

func TestAKilledWritersFileIsTakenAway(t *testing.T) {
	root := filepath.Join(t.TempDir(), "tree")
	if err := open(t, dir.Options{Path: root}).Close(); err != nil {
		t.Fatal(err)
	}
	left := filepath.Join(root, ".apex", "new", "HALF")
	if err := os.WriteFile(left, []byte("half"), 0o600); err != nil {
		t.Fatal(err)
	}
	open(t, dir.Options{Path: root})
	if _, err := os.Lstat(left); !errors.Is(err, os.ErrNotExist) {
		t.Error(err)
	}
}

// Whoever tampers in the same way again, before anybody has looked at what was put
// in order, is reported again.
func TestTheSameTamperingRightAfterTheHealingIsReported(t *testing.T) {
	home := t.TempDir()
	root := filepath.Join(home, "tree")
	d := open(t, dir.Options{Path: root, Rescan: time.Hour})
	o := targettest.ConfigMap("vision", "settings", "a", "b")
	ours := put(t, d, o)
	file := at(root, o.ID)
	data, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	evil := []byte(strings.Replace(string(data), "a: b", "a: evil", 1))
	tamper := func() { // in one step
		if err := errors.Join(os.WriteFile(filepath.Join(home, "evil"), evil, 0o644), os.Rename(filepath.Join(home, "evil"), file)); err != nil {
			t.Error(err)
		}
	}
	ctx, cancel := context.WithCancel(t.Context())
	ended, synced, again := make(chan error, 1), make(chan struct{}), make(chan struct{}, 100)
	healed := false
	go func() {
		ended <- d.Watch(ctx, targettest.Source, []gitops.Kind{{Version: "v1", Kind: "ConfigMap"}}, func(e gitops.Event) {
			switch {
			case e.Kind == gitops.Synced:
				close(synced)
			case e.ResourceVersion == ours.ResourceVersion:
			case healed:
				again <- struct{}{}
			default: // the watch waits meanwhile, and then finds the same bytes
				put(t, d, o)
				tamper()
				healed = true
			}
		})
	}()
	<-synced
	tamper()
	select {
	case <-again:
	case <-time.After(2 * time.Minute):
		t.Error("the second tampering is not reported")
	}
	cancel()
	<-ended
}
