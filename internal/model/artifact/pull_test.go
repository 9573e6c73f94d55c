//go:build unix

package artifact_test

import (
	"context"
	"errors"
	"maps"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/apexlogic/apex/internal/fact"
	"github.com/apexlogic/apex/internal/model/artifact"
	"github.com/apexlogic/apex/internal/oci"
	"github.com/apexlogic/apex/internal/oci/ocitest"
	"github.com/apexlogic/apex/verdict"
)

func pipe(name string) error { return syscall.Mkfifo(name, 0o644) }

// pulled is a model in a registry, and the place where it is pulled to.
type pulled struct {
	t       *testing.T
	client  *oci.Client
	server  *ocitest.Server
	ref     verdict.Ref
	model   fact.Model
	parent  string
	dir     string
	partial string

	mu    sync.Mutex
	serve http.HandlerFunc // of blobs, instead of the registry; nil: the registry
}

func newPulled(t *testing.T) *pulled {
	p := &pulled{t: t, parent: t.TempDir()}
	p.server = ocitest.Registry(t, ocitest.Behind(func(h http.Handler) http.Handler {
		return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			p.mu.Lock()
			serve := p.serve
			p.mu.Unlock()
			if serve != nil && r.Method == http.MethodGet && strings.Contains(r.URL.Path, "/blobs/") {
				serve(w, r)
				return
			}
			h.ServeHTTP(w, r)
		})
	}))
	p.client = client(t, p.server)
	ref := at(t, p.server, "vision/model:1.0")
	packed := pack(t, p.client, ref, model)
	p.model = packed.Model
	p.ref = verdict.Ref{Kind: verdict.KindModel, Repo: ref.Name(), Digest: packed.Descriptor.Digest}
	p.dir = filepath.Join(p.parent, "model")
	p.partial = p.dir + ".partial-" + packed.Descriptor.Digest.Hex()[:16]
	return p
}

func (p *pulled) blobs(h http.HandlerFunc) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.serve = h
}

func (p *pulled) pull() error {
	return artifact.Pull(p.t.Context(), p.client, p.ref, &p.model, p.dir, nil)
}

// invisible fails the test if anything of the model is to be seen.
func (p *pulled) invisible() {
	p.t.Helper()
	if _, err := os.Lstat(p.dir); !errors.Is(err, os.ErrNotExist) {
		p.t.Errorf("%s is to be seen: %v", p.dir, err)
	}
}

// whole fails the test unless a pull brings exactly the model.
func (p *pulled) whole() {
	p.t.Helper()
	if err := p.pull(); err != nil {
		p.t.Fatal(err)
	}
	if got := read(p.t, p.dir); !maps.Equal(got, model) {
		p.t.Errorf("pulled %d files", len(got))
	}
}

func TestAnInterruptedPullIsTakenUpAgain(t *testing.T) {
	p := newPulled(t)
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	came := int64(0)
	err := artifact.Pull(ctx, p.client, p.ref, &p.model, p.dir, func(n int64) {
		if came += n; came > 5 {
			cancel()
		}
	})
	if err == nil {
		t.Fatal("it was not interrupted")
	}
	p.invisible()
	if _, err := os.Stat(p.partial); err != nil {
		t.Fatal(err)
	}
	// A part of a file that was under way, as a killed process leaves it.
	const big = "模型/café.bin"
	if err := os.MkdirAll(filepath.Join(p.partial, "模型"), 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(p.partial, filepath.FromSlash(big)), []byte(model[big][:1000]), 0o644); err != nil {
		t.Fatal(err)
	}
	p.server.Forget()
	p.whole()
	digest := ocitest.Digest([]byte(model[big]))
	if n := p.server.Count(http.MethodGet, "/blobs/"+digest); n != 1 {
		t.Errorf("the file under way was asked for %d times", n)
	}
	if n := p.server.Count(http.MethodGet, "/blobs/"+ocitest.Digest([]byte(model["a-b/x"]))); n != 0 {
		t.Error("a file that was there is fetched again")
	}
}

func TestWhatAnInterruptionHasSpoiledIsFetchedAgain(t *testing.T) {
	for name, left := range map[string]string{
		"zeros after a power cut": strings.Repeat("\x00", 1000),
		"the whole, but zeros":    strings.Repeat("\x00", len(model["模型/café.bin"])),
		"more than there should":  model["模型/café.bin"] + "more",
	} {
		t.Run(name, func(t *testing.T) {
			p := newPulled(t)
			file := filepath.Join(p.partial, "模型", "café.bin")
			if err := os.MkdirAll(filepath.Dir(file), 0o700); err != nil {
				t.Fatal(err)
			}
			if err := os.WriteFile(file, []byte(left), 0o444); err != nil {
				t.Fatal(err)
			}
			p.whole()
		})
	}
}

func TestBytesThatARegistryMadeUpAreNotPulled(t *testing.T) {
	p := newPulled(t)
	honest := map[string]string{}
	for _, text := range model {
		honest[ocitest.Digest([]byte(text))] = text
	}
	answer := func(change func(string) string) http.HandlerFunc {
		return func(w http.ResponseWriter, r *http.Request) {
			text := change(honest[r.URL.Path[strings.LastIndex(r.URL.Path, "/")+1:]])
			http.ServeContent(w, r, "", time.Time{}, strings.NewReader(text))
		}
	}
	for name, serve := range map[string]http.HandlerFunc{
		"other bytes":         answer(strings.ToUpper),
		"fewer bytes":         answer(func(s string) string { return s[:len(s)/2] }),
		"nothing":             ocitest.Status(404),
		"a login page":        ocitest.LoginPage(),
		"the whole each time": ocitest.Answer("application/octet-stream", []byte(strings.Repeat("x", 1<<20))),
	} {
		t.Run(name, func(t *testing.T) {
			p.blobs(serve)
			for range 2 { // what came first is no worse than what comes later
				if err := p.pull(); err == nil {
					t.Fatal("it was pulled")
				}
				p.invisible()
			}
		})
	}
	p.blobs(nil)
	p.whole()
}

func TestAFolderThatSomebodyElseHasPreparedIsNotTakenUp(t *testing.T) {
	const secret = "what is here must stay"
	for _, tc := range []struct {
		name    string
		prepare func(p *pulled, outside string) error
	}{
		{"the folder is a link", func(p *pulled, outside string) error { return os.Symlink(filepath.Dir(outside), p.partial) }},
		{"the folder is a link to an empty one", func(p *pulled, _ string) error {
			return errors.Join(os.Mkdir(p.dir+"2", 0o700), os.Symlink(p.dir+"2", p.partial))
		}},
		{"the folder is a file", func(p *pulled, _ string) error { return os.WriteFile(p.partial, nil, 0o644) }},
		{"a file is a link out of it", func(p *pulled, outside string) error {
			return errors.Join(os.Mkdir(p.partial, 0o700), os.Symlink(outside, filepath.Join(p.partial, "config.json")))
		}},
		{"a file is a link within it", func(p *pulled, _ string) error {
			return errors.Join(os.Mkdir(p.partial, 0o700), os.Symlink("empty", filepath.Join(p.partial, "config.json")))
		}},
		{"a file is another name of a file elsewhere", func(p *pulled, outside string) error {
			return errors.Join(os.Mkdir(p.partial, 0o700), os.Link(outside, filepath.Join(p.partial, "config.json")))
		}},
		{"a file is a pipe", func(p *pulled, _ string) error {
			return errors.Join(os.Mkdir(p.partial, 0o700), pipe(filepath.Join(p.partial, "config.json")))
		}},
		{"a folder is a link out of it", func(p *pulled, outside string) error {
			return errors.Join(os.Mkdir(p.partial, 0o700), os.Symlink(filepath.Dir(outside), filepath.Join(p.partial, "copy")))
		}},
		{"a folder is a link within it", func(p *pulled, _ string) error {
			return errors.Join(os.MkdirAll(filepath.Join(p.partial, "a"), 0o700), os.Symlink("a", filepath.Join(p.partial, "copy")))
		}},
		{"a file more", func(p *pulled, _ string) error {
			return errors.Join(os.Mkdir(p.partial, 0o700), os.WriteFile(filepath.Join(p.partial, "modeling.py"), []byte("import os"), 0o644))
		}},
		{"a folder more", func(p *pulled, _ string) error { return os.MkdirAll(filepath.Join(p.partial, "more"), 0o700) }},
		{"a file where a folder has to be", func(p *pulled, _ string) error {
			return errors.Join(os.Mkdir(p.partial, 0o700), os.WriteFile(filepath.Join(p.partial, "copy"), nil, 0o644))
		}},
		{"a folder where a file has to be", func(p *pulled, _ string) error {
			return os.MkdirAll(filepath.Join(p.partial, "config.json"), 0o700)
		}},
	} {
		t.Run(tc.name, func(t *testing.T) {
			p := newPulled(t)
			outside := filepath.Join(t.TempDir(), "outside")
			if err := os.WriteFile(outside, []byte(secret), 0o644); err != nil {
				t.Fatal(err)
			}
			if err := tc.prepare(p, outside); err != nil {
				t.Fatal(err)
			}
			if err := p.pull(); err == nil {
				t.Error("it was taken up")
			}
			p.invisible()
			data, err := os.ReadFile(outside)
			if err != nil || string(data) != secret {
				t.Errorf("what is outside is %q now, %v", data, err)
			}
			if rest, _ := os.ReadDir(filepath.Dir(outside)); len(rest) != 1 {
				t.Errorf("outside are %v", rest)
			}
			if err := os.RemoveAll(p.partial); err != nil {
				t.Fatal(err)
			}
			p.whole()
		})
	}
}

// Another user's folder, or file in ours, can be changed by them after it was
// verified. Only root can make one here.
func TestWhatBelongsToSomebodyElseIsNotTakenUp(t *testing.T) {
	if os.Geteuid() != 0 {
		t.Skip("giving files away takes root")
	}
	const nobody = 65534
	for name, give := range map[string]func(p *pulled) string{
		"the folder":      func(p *pulled) string { return p.partial },
		"a folder in it":  func(p *pulled) string { return filepath.Join(p.partial, "copy") },
		"a file":          func(p *pulled) string { return filepath.Join(p.partial, "config.json") },
		"a finished file": func(p *pulled) string { return filepath.Join(p.partial, "empty") },
	} {
		t.Run(name, func(t *testing.T) {
			p := newPulled(t)
			for _, f := range []string{"config.json", "empty", "copy/config.json"} {
				full := filepath.Join(p.partial, filepath.FromSlash(f))
				if err := errors.Join(os.MkdirAll(filepath.Dir(full), 0o700), os.WriteFile(full, []byte(model[f]), 0o444)); err != nil {
					t.Fatal(err)
				}
			}
			if err := os.Chown(give(p), nobody, nobody); err != nil {
				t.Fatal(err)
			}
			if err := p.pull(); err == nil {
				t.Error("it was taken up")
			}
			p.invisible()
			if err := os.Chown(give(p), 0, 0); err != nil {
				t.Fatal(err)
			}
			p.whole()
		})
	}
}

func TestAPlaceThatIsTakenStaysAsItIs(t *testing.T) {
	for name, take := range map[string]func(dir string) error{
		"a folder with a file": func(dir string) error {
			return errors.Join(os.Mkdir(dir, 0o755), os.WriteFile(filepath.Join(dir, "mine"), []byte("mine"), 0o644))
		},
		"a file":                    func(dir string) error { return os.WriteFile(dir, []byte("mine"), 0o644) },
		"a link to an empty folder": func(dir string) error { return errors.Join(os.Mkdir(dir+"2", 0o755), os.Symlink(dir+"2", dir)) },
		"a link to nowhere":         func(dir string) error { return os.Symlink("nowhere", dir) },
	} {
		t.Run(name, func(t *testing.T) {
			p := newPulled(t)
			if err := take(p.dir); err != nil {
				t.Fatal(err)
			}
			before, err := os.Lstat(p.dir)
			if err != nil {
				t.Fatal(err)
			}
			p.server.Forget()
			if err := p.pull(); err == nil {
				t.Error("it was pulled")
			}
			if len(p.server.Requests()) != 0 {
				t.Error("it was fetched for nothing")
			}
			// The same, when it appears only while the model is on its way.
			p2 := newPulled(t)
			once := sync.OnceValue(func() error { return take(p2.dir) })
			err = artifact.Pull(t.Context(), p2.client, p2.ref, &p2.model, p2.dir, func(int64) {
				if err := once(); err != nil {
					t.Error(err)
				}
			})
			if err == nil {
				t.Error("what appeared meanwhile was replaced")
			}
			for _, dir := range []string{p.dir, p2.dir} {
				after, err := os.Lstat(dir)
				if err != nil || after.Mode() != before.Mode() {
					t.Errorf("it is %v now, %v", after, err)
				}
			}
		})
	}
	p := newPulled(t)
	if err := os.Mkdir(p.dir, 0o755); err != nil {
		t.Fatal(err)
	}
	p.whole() // an empty folder may be there
}

func TestTwoPullsAtOnceDoNotMix(t *testing.T) {
	p := newPulled(t)
	tried := false
	err := artifact.Pull(t.Context(), p.client, p.ref, &p.model, p.dir, func(int64) {
		if tried {
			return
		}
		tried = true
		if err := p.pull(); err == nil || !strings.Contains(err.Error(), "another pull") {
			t.Errorf("the second pull: %v", err)
		}
	})
	if err != nil {
		t.Fatal(err)
	}
	if got := read(t, p.dir); !maps.Equal(got, model) {
		t.Errorf("pulled %d files", len(got))
	}
}

func TestPackedLayersAreNotUnpacked(t *testing.T) {
	p := newPulled(t)
	p.model.Root = ""
	if err := p.pull(); err == nil || !strings.Contains(err.Error(), "packed") {
		t.Errorf("%v", err)
	}
	p.invisible()
}
