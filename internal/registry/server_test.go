package registry

import (
	"bufio"
	"context"
	"io"
	"net"
	"net/http"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/apexlogic/apex/verdict"
)

func TestRequestsBeyondTheLimitAreToldToComeBack(t *testing.T) {
	entered, leave := make(chan struct{}), make(chan struct{})
	f := serve(t, Options{Limits: Limits{Requests: 1}, Gate: func(context.Context, string, string, verdict.Digest) (verdict.Decision, string, error) {
		entered <- struct{}{}
		<-leave
		return verdict.Allow, "", nil
	}})
	m := f.image(repo, "x")
	var wg sync.WaitGroup
	wg.Go(func() {
		if r := f.put(repo, "v1", m, typeOCIManifest); r.status != 201 {
			t.Errorf("%v", r)
		}
	})
	<-entered
	r := f.want(f.do("GET", "/v2/", nil), 429, codeTooManyRequests)
	if r.header.Get("Retry-After") == "" {
		t.Error("no Retry-After")
	}
	close(leave)
	wg.Wait()
	f.want(f.do("GET", "/v2/", nil), 200, "")
}

func TestAClosedRegistryAnswersThatItIsClosed(t *testing.T) {
	f := serve(t, Options{})
	f.want(f.do("GET", "/v2/", nil), 200, "")
	if err := f.reg.Close(); err != nil {
		t.Fatal(err)
	}
	f.want(f.do("GET", "/v2/", nil), 503, codeUnavailable)
}

func TestUnknownMethodsAndPathsAreRefused(t *testing.T) {
	f := serve(t, Options{})
	d := string(f.pushBlob(repo, []byte("x")))
	for _, c := range []struct {
		method, path string
		status       int
	}{
		{"GET", "/v2", 200},
		{"POST", "/v2/", 405},
		{"PUT", "/v2/_catalog", 405},
		{"PUT", "/v2/" + repo + "/blobs/" + d, 405},
		{"POST", "/v2/" + repo + "/manifests/v1", 405},
		{"GET", "/v2/" + repo + "/blobs/uploads/", 405},
		{"DELETE", "/v2/" + repo + "/tags/list", 405},
		{"TRACE", "/v2/" + repo + "/tags/list", 405},
		{"GET", "/v2/" + repo + "/other/thing", 404},
		{"GET", "/other", 404},
	} {
		if r := f.do(c.method, c.path, nil); r.status != c.status {
			t.Errorf("%s %s: %v", c.method, c.path, r)
		}
	}
}

// A client that sends one byte a second is cut off when its average falls
// below the least rate, and what it sent can be resumed; one that sends at
// twice the rate may take as long as it needs. Time is synthetic.
func TestASlowClientIsCutOffAndASteadyOneIsNot(t *testing.T) {
	dir := t.TempDir()
	local, err := OpenLocal(dir)
	if err != nil {
		t.Fatal(err)
	}
	for name, c := range map[string]struct {
		chunk  int
		chunks int
		status int
	}{
		"slow":   {1, 1000, 408},
		"steady": {2 * minRate, 400, 201},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				reg, err := New(Options{Dir: dir})
				if err != nil {
					t.Fatal(err)
				}
				defer reg.Close()
				ln := newPipeListener()
				srv := Server(reg)
				var wg sync.WaitGroup
				defer wg.Wait()
				wg.Go(func() { srv.Serve(ln) })
				defer srv.Close()
				body, feed := io.Pipe()
				defer body.Close()
				total := make([]byte, c.chunk*c.chunks)
				wg.Go(func() {
					defer feed.Close()
					for range c.chunks {
						time.Sleep(time.Second)
						if _, err := feed.Write(make([]byte, c.chunk)); err != nil {
							return
						}
					}
				})
				client, server := net.Pipe()
				ln.conns <- server
				defer client.Close()
				req, err := http.NewRequest("POST", "http://registry/v2/"+repo+"/blobs/uploads/?digest="+string(digestOf(total)), body)
				if err != nil {
					t.Fatal(err)
				}
				req.SetBasicAuth(LocalUser, local.Token())
				wg.Go(func() { req.Write(client) })
				resp, err := http.ReadResponse(bufio.NewReader(client), req)
				if err != nil {
					t.Fatal(err)
				}
				if resp.StatusCode != c.status {
					t.Errorf("status %d, want %d", resp.StatusCode, c.status)
				}
			})
		})
	}
}

// pipeListener accepts connections that are made in memory.
type pipeListener struct {
	conns chan net.Conn
	done  chan struct{}
	once  sync.Once
}

func newPipeListener() *pipeListener {
	return &pipeListener{conns: make(chan net.Conn), done: make(chan struct{})}
}

func (l *pipeListener) Accept() (net.Conn, error) {
	select {
	case c := <-l.conns:
		return c, nil
	case <-l.done:
		return nil, net.ErrClosed
	}
}

func (l *pipeListener) Close() error {
	l.once.Do(func() { close(l.done) })
	return nil
}

func (l *pipeListener) Addr() net.Addr { return &net.TCPAddr{} }

func TestAServerOfItsOwnKeepsItsDeadlines(t *testing.T) {
	s := Server(http.NotFoundHandler())
	if s.ReadHeaderTimeout == 0 || s.ReadTimeout == 0 || s.WriteTimeout <= gateTime || s.IdleTimeout == 0 || s.MaxHeaderBytes < maxToken {
		t.Errorf("%+v", s)
	}
	req, _ := http.NewRequest("GET", "/", nil)
	if timed(req) || timed(req.WithContext(context.WithValue(t.Context(), http.ServerContextKey, &http.Server{}))) {
		t.Error("deadlines would be moved that nobody sets again")
	}
	if !timed(req.WithContext(context.WithValue(t.Context(), http.ServerContextKey, s))) {
		t.Error("deadlines are not moved")
	}
}
