package shared

import (
	"bytes"
	"context"
	"crypto/tls"
	"crypto/x509"
	"log/slog"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"

	"github.com/alicebob/miniredis/v2"

	"github.com/apexlogic/apex/internal/gateway/limit"
)

// lines is a log that a test reads while it is written.
type lines struct {
	mu sync.Mutex
	b  bytes.Buffer
}

func (l *lines) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.Write(p)
}

func (l *lines) has(text string) bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	return strings.Contains(l.b.String(), text)
}

// logged runs a store, and returns what it logs.
func logged(t *testing.T, o Options) (*Store, *lines) {
	t.Helper()
	said := &lines{}
	o.Within, o.Log = patient, slog.New(slog.NewTextHandler(said, nil))
	s, err := Open(o)
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	var running sync.WaitGroup
	running.Go(func() { s.Run(ctx) })
	t.Cleanup(func() { cancel(); running.Wait(); s.Close() })
	return s, said
}

func TestAStoreThatWasNeverReachedIsLoggedWithWhatToDo(t *testing.T) {
	for answer, want := range map[string]string{
		"-CROSSSLOT Keys in request don't hash to the same slot\r\n":        "it is a Redis Cluster",
		"-MOVED 3999 127.0.0.1:6381\r\n":                                    "it is a Redis Cluster",
		"-READONLY You can't write against a read only replica.\r\n":        "name the primary",
		"-ERR unknown command 'EVALSHA', with args beginning with:\r\n":     "as a Sentinel",
		"-NOAUTH Authentication required.\r\n":                              "name a file with it",
		"-WRONGPASS invalid username-password pair or user is disabled\r\n": "does not take the password",
	} {
		s, said := logged(t, Options{URL: answering(t, answer)})
		until(t, want+" is logged", func() bool { return said.has("limits are local") && said.has(want) })
		if s.Shared() {
			t.Errorf("%q: the limits are shared", answer)
		}
	}
}

func TestLimitsAreSharedByTLSWithAnAuthorityOfOnesOwn(t *testing.T) {
	front := httptest.NewTLSServer(nil) // for its certificate
	defer front.Close()
	server, err := miniredis.RunTLS(&tls.Config{Certificates: front.TLS.Certificates})
	if err != nil {
		t.Fatal(err)
	}
	defer server.Close()
	pool := x509.NewCertPool()
	pool.AddCert(front.Certificate())
	url := "rediss://" + server.Addr()
	s, _ := logged(t, Options{URL: url, Authorities: pool})
	until(t, "the store is reached", s.Shared)
	if refused, _, _, err := s.Take([]limit.Bound{requests("alice", 1, 1)}); refused != 0 || err != nil {
		t.Error(refused, err)
	}
	if refused, _, _, err := s.Take([]limit.Bound{requests("alice", 1, 1)}); refused != 1 || err != nil {
		t.Error(refused, err)
	}
	for name, o := range map[string]Options{
		"the system's authorities only": {URL: url},
		"without TLS":                   {URL: "redis://" + server.Addr()},
	} {
		s, said := logged(t, o)
		until(t, name+" is logged", func() bool { return said.has("limits are local") })
		if s.Shared() {
			t.Errorf("%s: the limits are shared", name)
		}
	}
}
