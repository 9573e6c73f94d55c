package oci

import (
	"bufio"
	"context"
	"fmt"
	"io"
	"net"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/apexlogic/apex/verdict"
)

// speaker accepts connections and runs script on each: what it is told is how
// many connections there were before, and the requests that come, one by one.
// Each script runs until it returns, and the connection is then closed.
func speaker(t *testing.T, script func(nth int, conn net.Conn, next func() bool)) (host string, accepted func() int) {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	count := make(chan int, 1)
	count <- 0
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		for {
			conn, err := l.Accept()
			if err != nil {
				return
			}
			n := <-count
			count <- n + 1
			in := bufio.NewReader(conn)
			script(n, conn, func() bool {
				req, err := http.ReadRequest(in)
				return err == nil && req.Body.Close() == nil
			})
			conn.Close()
		}
	}()
	t.Cleanup(func() { l.Close(); <-ended })
	return l.Addr().String(), func() int { n := <-count; count <- n; return n }
}

// asker asks the host for /v2/ over one client.
func asker(t *testing.T, host string, limits Limits) func(ctx context.Context) (*response, error) {
	t.Helper()
	c, err := New(Options{AllowPrivate: []string{host}, PlainHTTP: []string{host}, Limits: limits})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(c.Close)
	repo, err := parseRepository(host + "/app")
	if err != nil {
		t.Fatal(err)
	}
	return func(ctx context.Context) (*response, error) {
		res, err := c.newCall("ask", host, repo).ask(ctx, request{method: http.MethodGet, path: "/v2/", actions: pull, limit: 1000})
		if c.open.idle > maxIdle {
			t.Errorf("%d connections are kept", c.open.idle)
		}
		return res, err
	}
}

const ok = "HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\ngood"

func TestAConnectionIsKeptWhenAnAnswerWasReadToItsEnd(t *testing.T) {
	for _, tc := range []struct {
		name, answer string
		connections  int
	}{
		{"a length", ok, 1},
		{"chunks", "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n4\r\ngood\r\n0\r\n\r\n", 1},
		{"interim answers first", strings.Repeat("HTTP/1.1 103 Early Hints\r\nLink: </x>\r\n\r\n", 5) + ok, 1},
		{"it says that it closes", "HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Length: 4\r\n\r\ngood", 2},
		{"an old protocol", "HTTP/1.0 200 OK\r\nContent-Length: 4\r\n\r\ngood", 2},
		{"more than its length", ok + "HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\nevil", 2},
	} {
		t.Run(tc.name, func(t *testing.T) {
			host, accepted := speaker(t, func(_ int, conn net.Conn, next func() bool) {
				for next() {
					io.WriteString(conn, tc.answer)
				}
			})
			ask := asker(t, host, Limits{})
			for range 2 {
				res, err := ask(t.Context())
				if err != nil || string(res.body) != "good" {
					t.Fatalf("%+v, %v", res, err)
				}
			}
			if n := accepted(); n != tc.connections {
				t.Errorf("%d connections, want %d", n, tc.connections)
			}
		})
	}
}

func TestAnAnswerUntilTheEndOfTheConnectionIsWhole(t *testing.T) {
	host, _ := speaker(t, func(_ int, conn net.Conn, next func() bool) {
		next()
		io.WriteString(conn, "HTTP/1.1 200 OK\r\n\r\ngood")
	})
	if res, err := asker(t, host, Limits{})(t.Context()); err != nil || string(res.body) != "good" {
		t.Fatalf("%+v, %v", res, err)
	}
}

func TestAConnectionThatWasClosedMeanwhileIsReplaced(t *testing.T) {
	closed := make(chan struct{}, 1)
	host, accepted := speaker(t, func(nth int, conn net.Conn, next func() bool) {
		if next() {
			io.WriteString(conn, ok)
		}
		if nth == 0 {
			conn.Close()
			closed <- struct{}{}
			return
		}
		next()
	})
	ask := asker(t, host, Limits{})
	for range 2 {
		res, err := ask(t.Context())
		if err != nil || string(res.body) != "good" {
			t.Fatalf("%+v, %v", res, err)
		}
		if accepted() == 1 {
			<-closed
		}
	}
	if n := accepted(); n != 2 {
		t.Errorf("%d connections", n)
	}
}

func TestAQuestionThatWasHeardIsNotAskedAgain(t *testing.T) {
	asked := make(chan struct{}, 8)
	host, accepted := speaker(t, func(_ int, conn net.Conn, next func() bool) {
		if next() {
			io.WriteString(conn, ok)
		}
		if next() {
			asked <- struct{}{}
			io.WriteString(conn, "HTTP/1.1 20") // and closes
		}
	})
	ask := asker(t, host, Limits{})
	if _, err := ask(t.Context()); err != nil {
		t.Fatal(err)
	}
	if res, err := ask(t.Context()); err == nil {
		t.Fatalf("got %+v", res)
	}
	if accepted() != 1 || len(asked) != 1 {
		t.Errorf("%d connections, asked again %d times", accepted(), len(asked))
	}
}

func TestWhatIsSaidUnaskedIsNoAnswer(t *testing.T) {
	said := make(chan struct{})
	host, accepted := speaker(t, func(nth int, conn net.Conn, next func() bool) {
		if !next() {
			return
		}
		io.WriteString(conn, ok)
		if nth == 0 {
			<-said // the first answer was read
			io.WriteString(conn, strings.Replace(ok, "good", "evil", 1))
			said <- struct{}{}
		}
		next()
	})
	ask := asker(t, host, Limits{})
	for n := range 2 {
		res, err := ask(t.Context())
		if err != nil || string(res.body) != "good" {
			t.Fatalf("%+v, %v", res, err)
		}
		if n == 0 {
			said <- struct{}{}
			<-said
		}
	}
	if accepted() != 2 {
		t.Errorf("%d connections", accepted())
	}
}

func TestAnswersThatAreNoneEndTheExchange(t *testing.T) {
	for _, tc := range []struct{ name, answer string }{
		{"another protocol", "HTTP/1.1 101 Switching Protocols\r\nUpgrade: x\r\nConnection: upgrade\r\n\r\n"},
		{"interim answers for ever", strings.Repeat("HTTP/1.1 100 Continue\r\n\r\n", 100)},
		{"a header without an end", "HTTP/1.1 200 OK\r\nX: " + strings.Repeat("x", maxHeaderBytes) + "\r\n\r\n"},
		{"many headers", "HTTP/1.1 200 OK\r\n" + strings.Repeat("X: x\r\n", maxHeaderBytes/6) + "\r\n"},
		{"two lengths", "HTTP/1.1 200 OK\r\nContent-Length: 4\r\nContent-Length: 5\r\n\r\ngood"},
		{"less than its length", "HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\ngood"},
		{"no HTTP", "SSH-2.0-OpenSSH_9.9\r\n"},
		{"nothing", ""},
	} {
		t.Run(tc.name, func(t *testing.T) {
			host, _ := speaker(t, func(_ int, conn net.Conn, next func() bool) {
				next()
				io.WriteString(conn, tc.answer)
			})
			res, err := asker(t, host, Limits{})(t.Context())
			if err == nil {
				t.Fatalf("got %+v", res)
			}
			c := &call{op: "ask", ref: host}
			if code := CodeOf(c.wrap(err)); code != verdict.RegistryUnreachable {
				t.Errorf("%s: %v", code, err)
			}
		})
	}
}

// A deadline of the exchange is set again and again; none may outlive the caller's.
func TestAnExchangeEndsWithItsContext(t *testing.T) {
	for _, tc := range []struct{ name, answer string }{
		{"before the header", ""},
		{"within the header", "HTTP/1.1 200 OK\r\nX-"},
		{"before the body", "HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\n"},
		{"within the body", "HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\ngo"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			heard := make(chan struct{})
			host, _ := speaker(t, func(_ int, conn net.Conn, next func() bool) {
				next()
				io.WriteString(conn, tc.answer)
				close(heard)
				next() // until the other side closes
			})
			ctx, cancel := context.WithCancelCause(t.Context())
			mine := fmt.Errorf("enough")
			go func() { <-heard; cancel(mine) }()
			_, err := asker(t, host, Limits{Header: time.Hour, Grace: time.Hour, Call: time.Hour})(ctx)
			if err == nil || !strings.Contains(err.Error(), mine.Error()) {
				t.Errorf("got %v", err)
			}
		})
	}
}

func TestConnectionsAreKeptForSomeTimeOnly(t *testing.T) {
	ended := make(chan struct{})
	host, _ := speaker(t, func(_ int, conn net.Conn, next func() bool) {
		next()
		io.WriteString(conn, ok)
		next()
		close(ended)
	})
	c, err := New(Options{AllowPrivate: []string{host}, PlainHTTP: []string{host}})
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	repo, err := parseRepository(host + "/app")
	if err != nil {
		t.Fatal(err)
	}
	if _, err := c.newCall("ask", host, repo).ask(t.Context(), request{method: http.MethodGet, path: "/v2/", actions: pull, limit: 1000}); err != nil {
		t.Fatal(err)
	}
	w := c.open
	w.sweep()
	if w.idle != 1 || len(w.endpoints) != 1 || w.sweeper == nil {
		t.Fatalf("a young connection: %d idle, %d endpoints, sweeper %v", w.idle, len(w.endpoints), w.sweeper)
	}
	w.mu.Lock()
	for _, e := range w.endpoints {
		e.idle[0].kept = e.idle[0].kept.Add(-idleWait)
	}
	w.mu.Unlock()
	w.sweep()
	<-ended
	if w.idle != 0 || len(w.endpoints) != 0 || w.sweeper != nil {
		t.Errorf("an old connection: %d idle, %d endpoints, sweeper %v", w.idle, len(w.endpoints), w.sweeper)
	}
}
