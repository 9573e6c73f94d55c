package ocitest

import (
	"compress/gzip"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"io"
	"net/http"
	"strconv"
	"strings"
	"testing"
	"time"
)

// Routes maps "METHOD /path" to what answers it. A path that ends in "*"
// stands for all that begin so; the longest match wins. What no route matches
// is answered 404.
type Routes map[string]http.HandlerFunc

// Hostile starts a server with hand-written answers.
func Hostile(t testing.TB, routes Routes) *Server {
	t.Helper()
	return Serve(t, routes)
}

// ServeHTTP answers with the best matching route.
func (rs Routes) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	asked := r.Method + " " + r.URL.Path
	best := ""
	for route := range rs {
		prefix, wild := strings.CutSuffix(route, "*")
		if (asked == route || wild && strings.HasPrefix(asked, prefix)) && len(route) > len(best) {
			best = route
		}
	}
	if best == "" {
		http.NotFound(w, r)
		return
	}
	rs[best](w, r)
}

// Digest returns "sha256:<hex>" of data.
func Digest(data []byte) string {
	sum := sha256.Sum256(data)
	return "sha256:" + hex.EncodeToString(sum[:])
}

// Answer sends the body honestly.
func Answer(contentType string, body []byte) http.HandlerFunc {
	return func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", contentType)
		w.Header().Set("Docker-Content-Digest", Digest(body))
		w.Header().Set("Content-Length", strconv.Itoa(len(body)))
		_, _ = w.Write(body)
	}
}

// Status answers with a status, headers given in pairs, and a short body.
func Status(status int, headers ...string) http.HandlerFunc {
	return func(w http.ResponseWriter, _ *http.Request) {
		for i := 0; i+1 < len(headers); i += 2 {
			w.Header().Add(headers[i], headers[i+1])
		}
		w.WriteHeader(status)
		_, _ = fmt.Fprintf(w, "%d\n", status)
	}
}

// LoginPage is what a captive proxy sends for everything.
func LoginPage() http.HandlerFunc {
	return func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", "text/html; charset=utf-8")
		_, _ = io.WriteString(w, "<html><form action=/login>Please log in</form></html>")
	}
}

// Endless sends body chunks for as long as somebody reads them.
func Endless(contentType string) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Content-Type", contentType)
		chunk := []byte(strings.Repeat(" ", 32<<10))
		for r.Context().Err() == nil {
			if _, err := w.Write(chunk); err != nil {
				return
			}
		}
	}
}

// Announces claims a Content-Length and sends bytes until nobody reads them.
func Announces(contentType string, length int64) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Content-Length", strconv.FormatInt(length, 10))
		Endless(contentType)(w, r)
	}
}

// SilentHeader never sends its response header.
func SilentHeader() http.HandlerFunc {
	return func(_ http.ResponseWriter, r *http.Request) { <-r.Context().Done() }
}

// Drip sends its header and then one byte each interval.
func Drip(contentType string, interval time.Duration) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Content-Type", contentType)
		flush := http.NewResponseController(w)
		tick := time.NewTicker(interval)
		defer tick.Stop()
		for {
			if _, err := w.Write([]byte(" ")); err != nil || flush.Flush() != nil {
				return
			}
			select {
			case <-tick.C:
			case <-r.Context().Done():
				return
			}
		}
	}
}

// GzipBomb sends size zero bytes, compressed, whether that was asked for or not.
func GzipBomb(contentType string, size int64) http.HandlerFunc {
	return func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", contentType)
		w.Header().Set("Content-Encoding", "gzip")
		w.WriteHeader(http.StatusOK)
		_ = http.NewResponseController(w).Flush() // the body takes its time to be made
		z := gzip.NewWriter(w)
		_, _ = io.CopyN(z, zeros{}, size)
		_ = z.Close()
	}
}

type zeros struct{}

func (zeros) Read(p []byte) (int, error) { clear(p); return len(p), nil }

// Redirect sends the client elsewhere.
func Redirect(to string) http.HandlerFunc {
	return func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Location", to)
		w.WriteHeader(http.StatusTemporaryRedirect)
	}
}

// Alternate answers the first request with the first handler, the second with
// the second and so on, and then from the start again.
func Alternate(handlers ...http.HandlerFunc) http.HandlerFunc {
	turn := make(chan int, 1)
	turn <- 0
	return func(w http.ResponseWriter, r *http.Request) {
		n := <-turn
		turn <- n + 1
		handlers[n%len(handlers)](w, r)
	}
}
