package interop

import (
	"bytes"
	"context"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"

	"github.com/google/go-containerregistry/pkg/authn"

	"github.com/apexlogic/apex/internal/clock"
	"github.com/apexlogic/apex/internal/image"
	"github.com/apexlogic/apex/internal/oci"
	"github.com/apexlogic/apex/internal/oci/ocitest"
	"github.com/apexlogic/apex/internal/oci/reference"
	"github.com/apexlogic/apex/internal/registry"
	"github.com/apexlogic/apex/verdict"
)

// house is the embedded registry on a port of its own, and a client for it.
type house struct {
	t        testing.TB
	host     string // 127.0.0.1:port
	password string // of registry.LocalUser
	client   *oci.Client

	mu       sync.Mutex
	pushed   map[string][]pushed // repository → what was pushed, in order
	requests []string            // "METHOD path"
	corrupt  string              // digest of the blob that is served with a flipped byte
	wait     func()              // called before any request is answered
}

// open serves an empty registry until the test ends.
func open(t testing.TB) *house {
	t.Helper()
	dir := t.TempDir()
	local, err := registry.OpenLocal(dir)
	must(t, err)
	h := &house{t: t, password: local.Token(), pushed: map[string][]pushed{}}
	reg, err := registry.New(registry.Options{Dir: dir, Auth: local, OnPush: h.onPush, AnonymousPull: []string{"public/"}})
	must(t, err)
	srv := httptest.NewUnstartedServer(h.record(reg))
	srv.Config = registry.Server(srv.Config.Handler)
	srv.Start()
	h.host = strings.TrimPrefix(srv.URL, "http://")
	h.client = h.newClient()
	t.Cleanup(func() {
		h.client.Close()
		srv.Close()
		if err := reg.Close(); err != nil {
			t.Error(err)
		}
	})
	return h
}

// newClient returns a client that has cached nothing.
func (h *house) newClient() *oci.Client {
	h.t.Helper()
	c, err := oci.New(oci.Options{AllowPrivate: []string{h.host}, PlainHTTP: []string{h.host}, Keychain: login{h.password}})
	must(h.t, err)
	h.t.Cleanup(c.Close)
	return c
}

func (h *house) inspector(c clock.Clock) *image.Inspector { return image.New(h.newClient(), c) }

// login is the registry's own operator, for every registry.
type login struct{ password string }

func (l login) Resolve(authn.Resource) (authn.Authenticator, error) {
	return &authn.Basic{Username: registry.LocalUser, Password: l.password}, nil
}

func (h *house) onPush(_ context.Context, p registry.Pushed) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.pushed[p.Repo] = append(h.pushed[p.Repo], pushed{Tag: p.Tag, Digest: p.Digest, MediaType: p.MediaType})
}

// record notes every request and spoils the blob that a test asks to be spoilt.
func (h *house) record(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		h.mu.Lock()
		h.requests = append(h.requests, r.Method+" "+r.URL.Path)
		spoil := h.corrupt != "" && r.Method == http.MethodGet && strings.HasSuffix(r.URL.Path, "/blobs/"+h.corrupt)
		wait := h.wait
		h.mu.Unlock()
		if wait != nil {
			wait()
		}
		if !spoil {
			next.ServeHTTP(w, r)
			return
		}
		next.ServeHTTP(&spoiler{ResponseWriter: w}, r)
	})
}

// spoiler flips one bit of the first bytes of an answer.
type spoiler struct {
	http.ResponseWriter
	done bool
}

func (s *spoiler) Write(p []byte) (int, error) {
	if !s.done && len(p) > 0 {
		p = bytes.Clone(p)
		p[len(p)/2] ^= 1
		s.done = true
	}
	return s.ResponseWriter.Write(p)
}

// Unwrap lets the registry set the deadlines of the connection.
func (s *spoiler) Unwrap() http.ResponseWriter { return s.ResponseWriter }

// asked returns the requests so far whose path holds the text.
func (h *house) asked(text string) []string {
	h.mu.Lock()
	defer h.mu.Unlock()
	var found []string
	for _, r := range h.requests {
		if strings.Contains(r, text) {
			found = append(found, r)
		}
	}
	return found
}

func (h *house) spoil(d verdict.Digest) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.corrupt = string(d)
}

// hold lets every request wait for what the function waits for.
func (h *house) hold(wait func()) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.wait = wait
}

// get fetches a path as the operator.
func (h *house) get(path string) []byte {
	h.t.Helper()
	req, err := http.NewRequestWithContext(h.t.Context(), http.MethodGet, "http://"+h.host+path, nil)
	must(h.t, err)
	req.SetBasicAuth(registry.LocalUser, h.password)
	req.Header.Set("Accept", strings.Join([]string{oci.MediaTypeManifest, oci.MediaTypeIndex, "*/*"}, ", "))
	resp, err := http.DefaultClient.Do(req)
	must(h.t, err)
	defer resp.Body.Close()
	data, err := io.ReadAll(resp.Body)
	must(h.t, err)
	if resp.StatusCode != http.StatusOK {
		h.t.Fatalf("GET %s: %s: %s", path, resp.Status, data)
	}
	return data
}

// pushImage pushes a small image with the text in its layer under the tag 1.0.
func (h *house) pushImage(repository, text string) oci.Descriptor {
	h.t.Helper()
	d, err := h.client.PushImage(h.t.Context(), h.reference(repository+":1.0"), ocitest.Image(h.t, "linux/amd64", text))
	must(h.t, err)
	return d
}

func (h *house) reference(rest string) reference.Reference {
	h.t.Helper()
	ref, err := reference.Parse(h.host + "/" + rest)
	must(h.t, err)
	return ref
}

func (h *house) ref(repository string, d verdict.Digest) verdict.Ref {
	return verdict.Ref{Kind: verdict.KindImage, Repo: h.host + "/" + repository, Digest: d}
}

func must(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}
