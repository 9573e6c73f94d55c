// Package ocitest holds what tests of registry clients need: a real registry
// ([Registry]), registries that misbehave on purpose ([Hostile] with the
// behaviours in hostile.go), small images ([Image], [Index]) and checks that a
// call cleans up after itself ([NoLeak], [HeapGrowth]).
//
// All servers listen on 127.0.0.1, speak plain HTTP and stop with the test. A
// client reaches them with AllowPrivate and PlainHTTP set to [Server.Host].
package ocitest

import (
	"fmt"
	"io"
	"log"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"

	"github.com/google/go-containerregistry/pkg/registry"
)

// Server is a registry under test. It is safe for concurrent use.
type Server struct {
	// Host is "127.0.0.1:port", as it stands in a reference.
	Host string

	mu   sync.Mutex
	seen []Request
}

// Request is one request that a server got.
type Request struct {
	Method string
	// URI is the path with its query.
	URI           string
	Authorization string
}

// String returns "METHOD URI".
func (r Request) String() string { return r.Method + " " + r.URI }

// Requests returns what has been asked so far, in order.
func (s *Server) Requests() []Request {
	s.mu.Lock()
	defer s.mu.Unlock()
	return append([]Request(nil), s.seen...)
}

// Count returns how many requests had the method ("" for any) and a path that contains part.
func (s *Server) Count(method, part string) int {
	n := 0
	for _, r := range s.Requests() {
		if (method == "" || r.Method == method) && strings.Contains(r.URI, part) {
			n++
		}
	}
	return n
}

// Forget drops the record of requests.
func (s *Server) Forget() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.seen = nil
}

// Serve starts a server around any handler and records its requests.
func Serve(t testing.TB, h http.Handler) *Server {
	t.Helper()
	s := &Server{}
	srv := httptest.NewUnstartedServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		s.mu.Lock()
		s.seen = append(s.seen, Request{r.Method, r.URL.RequestURI(), r.Header.Get("Authorization")})
		s.mu.Unlock()
		h.ServeHTTP(w, r)
	}))
	srv.Config.ErrorLog = log.New(io.Discard, "", 0)
	srv.Start()
	t.Cleanup(func() {
		srv.CloseClientConnections() // ends handlers that wait for their client
		srv.Close()
	})
	s.Host = strings.TrimPrefix(srv.URL, "http://")
	return s
}

// Option changes a [Registry].
type Option func(*options)

type options struct {
	noReferrers bool
	wrap        []func(http.Handler) http.Handler
}

// WithoutReferrers makes the registry one from before OCI 1.1: the Referrers
// API answers 404.
func WithoutReferrers() Option { return func(o *options) { o.noReferrers = true } }

// Behind puts a handler in front of the registry.
func Behind(wrap func(http.Handler) http.Handler) Option {
	return func(o *options) { o.wrap = append(o.wrap, wrap) }
}

// Registry starts an empty in-memory registry.
func Registry(t testing.TB, opts ...Option) *Server {
	t.Helper()
	var o options
	for _, opt := range opts {
		opt(&o)
	}
	h := registry.New(registry.Logger(log.New(io.Discard, "", 0)), registry.WithReferrersSupport(!o.noReferrers))
	for _, wrap := range o.wrap {
		h = wrap(h)
	}
	return Serve(t, h)
}

// Repo returns the canonical name of a repository on the server.
func (s *Server) Repo(path string) string { return fmt.Sprintf("%s/%s", s.Host, path) }
