package gateway

import (
	"bufio"
	"io"
	"log/slog"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/apexlogic/apex/internal/clock"
)

// one is a listener of one connection.
type one chan net.Conn

func (o one) Accept() (net.Conn, error) {
	if c, ok := <-o; ok {
		return c, nil
	}
	return nil, net.ErrClosed
}
func (o one) Close() error   { return nil }
func (o one) Addr() net.Addr { return &net.TCPAddr{} }

// A denial is written behind the gateway's back, by the server.
func TestACallerThatDoesNotReadItsDenialsIsCutAndOneThatDoesIsNot(t *testing.T) {
	const asking = "GET /v1/models HTTP/1.1\r\nHost: nowhere.example\r\n\r\n"
	synctest.Test(t, func(t *testing.T) {
		began, ended := time.Now(), make(chan time.Duration, 2)
		s := &http.Server{
			Handler:  New(Options{Clock: clock.At(start), Recorder: &memory{}, Log: slog.New(slog.DiscardHandler)}),
			ErrorLog: quiet(), ConnState: func(_ net.Conn, state http.ConnState) {
				if state == http.StateClosed {
					ended <- time.Since(began)
				}
			},
		}
		l := make(one)
		go s.Serve(l)
		defer close(l)
		call := func() net.Conn {
			ours, theirs := net.Pipe()
			l <- theirs
			return ours
		}
		deaf := call()
		defer deaf.Close()
		io.WriteString(deaf, asking)
		if after := <-ended; after != takeWithin {
			t.Errorf("who reads nothing is let go after %v", after)
		}
		reading := call()
		answers := bufio.NewReader(reading)
		for range 3 { // with more than the time of one writing between them
			io.WriteString(reading, asking)
			resp, err := http.ReadResponse(answers, nil)
			if err != nil {
				t.Fatal(err)
			}
			io.Copy(io.Discard, resp.Body)
			if resp.StatusCode != http.StatusServiceUnavailable { // no routes are in force
				t.Errorf("who reads gets %d", resp.StatusCode)
			}
			time.Sleep(2 * takeWithin) // of the bubble
		}
		reading.Close()
		<-ended
	})
}

func TestACallerThatDoesNotReadItsAnswerIsCutAndOneThatDoesIsNot(t *testing.T) {
	event := "data: {\"choices\":[{\"delta\":{\"content\":\"" + strings.Repeat("words ", 5000) + "\"}}]}\n\n"
	for _, protocol := range []string{"HTTP/1.1", "HTTP/2"} {
		t.Run(protocol, func(t *testing.T) {
			w := newWorld(t, func(r *Route) { r.Limits.Take = 300 * time.Millisecond })
			var ends atomic.Bool
			w.behind.answer(func(rw http.ResponseWriter, r *http.Request) {
				rw.Header().Set("Content-Type", "text/event-stream")
				for i := 0; !ends.Load() || i < 400; i++ { // more than any buffer between the two
					if _, err := io.WriteString(rw, event); err != nil {
						return
					}
				}
			})
			transport := &http.Transport{}
			if protocol == "HTTP/2" {
				transport.Protocols = unencrypted2()
				w.front.Close()
				w.front = httptest.NewUnstartedServer(w.gateway)
				w.front.Config.Protocols = unencrypted2()
				w.front.Start()
				t.Cleanup(w.front.Close)
			}
			defer transport.CloseIdleConnections()
			ask := func() *http.Response {
				r, err := http.NewRequestWithContext(t.Context(), "POST", w.front.URL+"/v1/chat/completions", strings.NewReader(hello))
				if err != nil {
					t.Fatal(err)
				}
				r.Host = "captioner.example"
				r.Header.Set("Authorization", "Bearer alice")
				r.Header.Set("Content-Type", "application/json")
				resp, err := transport.RoundTrip(r)
				if err != nil {
					t.Fatal(err)
				}
				return resp
			}
			slow := ask() // and do not read
			defer slow.Body.Close()
			if err := w.gateway.Live().Wait(t.Context()); err != nil {
				t.Fatal(err)
			}
			ends.Store(true)
			w.use(t, "two", func() *Route { r := *w.route; r.Limits.Take = 0; return &r }())
			quick := ask()
			defer quick.Body.Close()
			if n, err := io.Copy(io.Discard, quick.Body); err != nil || n != int64(400*len(event)) {
				t.Errorf("who reads gets %d bytes of %d: %v", n, 400*len(event), err)
			}
		})
	}
}

func TestAGuardIsAskedAboutWholeAnswers(t *testing.T) {
	w := newWorld(t, nil)
	w.behind.answer(func(rw http.ResponseWriter, _ *http.Request) {
		rw.Header().Set("Content-Type", "application/json")
		io.WriteString(rw, `{"choices":[{"message":{"role":"assistant","content":"the secret is out"}}]}`)
	})
	if status, _, answer := w.ask(t, "POST", "/v1/chat/completions", hello, nil); status != 200 {
		t.Fatal(status, answer)
	}
	guarded := *w.route
	guarded.Guards = append(guarded.Guards, secrets{})
	w.use(t, "two", &guarded)
	if status, code, answer := w.ask(t, "POST", "/v1/chat/completions", hello, nil); status != 502 || code != "test.secret" {
		t.Errorf("%d %s", status, answer)
	}
}
