package registry

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/apexlogic/apex/verdict"
)

// fixture is a registry that is served over real HTTP.
type fixture struct {
	t     *testing.T
	reg   *Registry
	url   string // http://127.0.0.1:port
	user  string
	pass  string
	plain *http.Client
	// finish stops serving and returns when all requests are answered and counted.
	finish func()
}

// serve opens and serves a registry until the test ends. Requests are made as
// the operator unless the test says otherwise.
func serve(t *testing.T, o Options) *fixture {
	t.Helper()
	if o.Dir == "" {
		o.Dir = t.TempDir()
	}
	local, err := OpenLocal(o.Dir)
	if err != nil {
		t.Fatal(err)
	}
	if o.Auth == nil {
		o.Auth = local
	} else {
		o.Auth = Authenticators{local, o.Auth}
	}
	reg, err := New(o)
	if err != nil {
		t.Fatal(err)
	}
	srv := httptest.NewUnstartedServer(reg)
	srv.Config = Server(reg)
	srv.Start()
	t.Cleanup(func() {
		srv.Close()
		if err := reg.Close(); err != nil {
			t.Error(err)
		}
	})
	return &fixture{t: t, reg: reg, url: srv.URL, user: LocalUser, pass: local.Token(), plain: srv.Client(), finish: srv.Close}
}

func (f *fixture) as(user, pass string) *fixture {
	g := *f
	g.user, g.pass = user, pass
	return &g
}

func (f *fixture) anonymous() *fixture { return f.as("", "") }

// reply is an answer that was read to its end.
type reply struct {
	status int
	header http.Header
	body   []byte
}

// code is the first error code of the answer, or "".
func (r reply) code() string {
	var e struct {
		Errors []struct{ Code, Message string }
	}
	if json.Unmarshal(r.body, &e) != nil || len(e.Errors) == 0 {
		return ""
	}
	return e.Errors[0].Code
}

func (r reply) String() string {
	return fmt.Sprintf("%d %s", r.status, bytes.TrimSpace(r.body[:min(len(r.body), 300)]))
}

func (f *fixture) do(method, path string, body io.Reader, headers ...string) reply {
	f.t.Helper()
	if !strings.HasPrefix(path, "http") {
		path = f.url + path
	}
	req, err := http.NewRequestWithContext(f.t.Context(), method, path, body)
	if err != nil {
		f.t.Fatal(err)
	}
	if f.user != "" {
		req.SetBasicAuth(f.user, f.pass)
	}
	for i := 0; i < len(headers); i += 2 {
		req.Header.Set(headers[i], headers[i+1])
	}
	resp, err := f.plain.Do(req)
	if err != nil {
		f.t.Fatal(err)
	}
	defer resp.Body.Close()
	data, err := io.ReadAll(resp.Body)
	if err != nil {
		f.t.Fatal(err)
	}
	return reply{resp.StatusCode, resp.Header, data}
}

// want fails the test unless the answer has the status and the error code.
func (f *fixture) want(r reply, status int, code string) reply {
	f.t.Helper()
	if r.status != status || r.code() != code {
		f.t.Fatalf("got %v, want %d %s", r, status, code)
	}
	return r
}

func digestOf(data []byte) verdict.Digest {
	sum := sha256.Sum256(data)
	return verdict.Digest("sha256:" + hex.EncodeToString(sum[:]))
}

// pushBlob uploads data in one request.
func (f *fixture) pushBlob(repo string, data []byte) verdict.Digest {
	f.t.Helper()
	d := digestOf(data)
	f.want(f.do("POST", "/v2/"+repo+"/blobs/uploads/?digest="+string(d), bytes.NewReader(data)), 201, "")
	return d
}

func desc(mediaType string, data []byte) map[string]any {
	return map[string]any{"mediaType": mediaType, "digest": digestOf(data), "size": len(data)}
}

const (
	typeConfig = "application/vnd.oci.image.config.v1+json"
	typeLayer  = "application/vnd.oci.image.layer.v1.tar+gzip"
)

// image pushes the blobs of an image whose one layer holds seed, and returns
// its manifest.
func (f *fixture) image(repo, seed string) []byte {
	f.t.Helper()
	config, layer := []byte(`{"os":"linux","architecture":"amd64"}`), []byte("layer "+seed)
	f.pushBlob(repo, config)
	f.pushBlob(repo, layer)
	return marshal(f.t, map[string]any{
		"schemaVersion": 2, "mediaType": typeOCIManifest,
		"config": desc(typeConfig, config), "layers": []any{desc(typeLayer, layer)},
	})
}

func marshal(t *testing.T, v any) []byte {
	t.Helper()
	data, err := json.Marshal(v)
	if err != nil {
		t.Fatal(err)
	}
	return data
}

func (f *fixture) put(repo, ref string, manifest []byte, mediaType string) reply {
	f.t.Helper()
	return f.do("PUT", "/v2/"+repo+"/manifests/"+ref, bytes.NewReader(manifest), "Content-Type", mediaType)
}

func (f *fixture) putImage(repo, ref, seed string) verdict.Digest {
	f.t.Helper()
	m := f.image(repo, seed)
	f.want(f.put(repo, ref, m, typeOCIManifest), 201, "")
	return digestOf(m)
}

func copyDiscard(rc io.ReadCloser) (int64, error) {
	defer rc.Close()
	return io.Copy(io.Discard, rc)
}

// staticUsers authenticates names with fixed passwords.
type staticUsers map[string]string

func (s staticUsers) Authenticate(_ context.Context, user, password string) (Principal, error) {
	if want, ok := s[user]; !ok || want != password {
		return Principal{}, ErrCredentials
	}
	return Principal{Name: user}, nil
}

// killable makes requests to a process that may die at any moment.
type killable struct{ url, user, pass string }

// do reports whether the request was answered with 201.
func (k *killable) do(method, path, body string) bool {
	req, err := http.NewRequest(method, k.url+path, strings.NewReader(body))
	if err != nil {
		return false
	}
	req.SetBasicAuth(k.user, k.pass)
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		return false
	}
	defer resp.Body.Close()
	return resp.StatusCode == 201
}
