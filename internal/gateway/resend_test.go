package gateway

import (
	"bufio"
	"context"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"net/url"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/apexlogic/apex/internal/clock"
	"github.com/apexlogic/apex/internal/meter"
	"github.com/apexlogic/apex/verdict"
)

func TestWhatTheServerMayHaveReadIsNotSentAgain(t *testing.T) {
	for name, change := range map[string]func(*http.Request){
		"a request":                       nil,
		"one whose key says it is a copy": func(r *http.Request) { r.Header.Set("Idempotency-Key", "1") },
		"in another spelling":             func(r *http.Request) { r.Header.Set("X-Idempotency-Key", "1") },
	} {
		t.Run(name, func(t *testing.T) {
			w := newWorld(t, nil)
			if status, _, _ := w.ask(t, "POST", "/v1/chat/completions", hello, change); status != 200 { // and the connection is kept
				t.Fatal(status)
			}
			w.behind.answer(func(http.ResponseWriter, *http.Request) { panic(http.ErrAbortHandler) })
			if status, _, _ := w.ask(t, "POST", "/v1/chat/completions", hello, change); status != 502 || w.behind.count() != 2 {
				t.Errorf("%d: the server got %d requests, want 2", status, w.behind.count())
			}
			w.behind.answer(func(rw http.ResponseWriter, _ *http.Request) {
				rw.Header().Set("Content-Type", "application/json")
				rw.WriteHeader(http.StatusEarlyHints)
				io.WriteString(rw, "{}")
			})
			if status, _, answer := w.ask(t, "POST", "/v1/chat/completions", hello, change); status != 200 || answer != "{}" {
				t.Errorf("once it answers, with an early hint before: %d %s", status, answer)
			}
		})
	}
}

// hanging is a server whose connections do what each of its turns says, one turn
// for a connection and the last one for all that follow.
type hanging struct {
	URL   *url.URL
	mu    sync.Mutex
	turns []turn
	got   []string // the first bytes of each body that arrived
	keys  []string
}

type turn func(s *hanging, c net.Conn)

func newHanging(t *testing.T, turns ...turn) *hanging {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	s := &hanging{turns: turns, URL: &url.URL{Scheme: "http", Host: l.Addr().String()}}
	var all sync.WaitGroup
	t.Cleanup(func() { l.Close(); all.Wait() })
	all.Go(func() {
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			s.mu.Lock()
			now := s.turns[0]
			if len(s.turns) > 1 {
				s.turns = s.turns[1:]
			}
			s.mu.Unlock()
			all.Go(func() {
				defer c.Close()
				c.SetDeadline(time.Now().Add(5 * time.Minute))
				now(s, c)
			})
		}
	})
	return s
}

// read takes a whole request.
func (s *hanging) read(c net.Conn) bool {
	r, err := http.ReadRequest(bufio.NewReader(c))
	if err != nil {
		return false
	}
	data, err := io.ReadAll(r.Body)
	if err != nil {
		return false
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.got, s.keys = append(s.got, string(data)), append(s.keys, r.Header.Get("Idempotency-Key"))
	return true
}

func (s *hanging) count() int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return len(s.got)
}

func reset(c net.Conn) { c.(*net.TCPConn).SetLinger(0) }

// What a connection may do.
var (
	answersWell turn = func(s *hanging, c net.Conn) {
		if s.read(c) {
			io.WriteString(c, "HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: 2\r\nConnection: close\r\n\r\n{}")
		}
	}
	hangsUp  turn = func(s *hanging, c net.Conn) { s.read(c) }
	resets   turn = func(s *hanging, c net.Conn) { s.read(c); reset(c) }
	oneByte  turn = func(s *hanging, c net.Conn) { s.read(c); io.WriteString(c, "H") }
	halfBody turn = func(s *hanging, c net.Conn) {
		s.read(c)
		io.WriteString(c, "HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nTransfer-Encoding: chunked\r\n\r\n")
		fmt.Fprintf(c, "%x\r\n%s\r\n", len(oneEvent), oneEvent)
	}
)

const oneEvent = "data: {\"choices\":[{\"delta\":{\"content\":\"a\"}}]}\n\n"

func keyed(r *http.Request) { r.Header.Set("Idempotency-Key", "7") }

func TestARequestIsSentAgainOnlyWhereASecondOneIsNoHarm(t *testing.T) {
	for _, tt := range []struct {
		name       string
		turns      []turn
		idempotent bool
		change     func(*http.Request)
		status     int
		got        int // how often the server read the request
		attempts   int // as recorded; 0: one
	}{
		{"a server that answers", []turn{answersWell}, true, keyed, 200, 1, 0},
		{"it hangs up, the route and the key allow it", []turn{hangsUp, answersWell}, true, keyed, 200, 2, 2},
		{"it resets, they allow it", []turn{resets, answersWell}, true, keyed, 200, 2, 2},
		{"it hangs up twice", []turn{hangsUp, resets, answersWell}, true, keyed, 200, 3, 3},
		{"it hangs up three times", []turn{hangsUp}, true, keyed, 502, 3, 3},
		{"it hangs up, without a key", []turn{hangsUp, answersWell}, true, nil, 502, 1, 0},
		{"it resets, without a key", []turn{resets, answersWell}, true, nil, 502, 1, 0},
		{"it hangs up, the route says nothing", []turn{hangsUp, answersWell}, false, keyed, 502, 1, 0},
		{"it resets, the route says nothing", []turn{resets, answersWell}, false, keyed, 502, 1, 0},
		{"it has begun to answer", []turn{oneByte, answersWell}, true, keyed, 502, 1, 0},
	} {
		t.Run(tt.name, func(t *testing.T) {
			s := newHanging(t, tt.turns...)
			m := meter.New(clock.At(start))
			resent := m.Handle(meter.Key{Control: "gateway", Unit: "resent-requests"})
			w := newWorld(t, func(r *Route) {
				r.Upstream.URL, r.Upstream.Idempotent, r.Units.Resent = s.URL, tt.idempotent, resent
			})
			status, code, answer := w.ask(t, "POST", "/v1/chat/completions", hello, tt.change)
			if status != tt.status || status == 502 && code != string(verdict.UpstreamDown) {
				t.Errorf("%d %s, want %d", status, answer, tt.status)
			}
			w.front.Close() // then the outcome is recorded
			if got := s.count(); got != tt.got {
				t.Errorf("the server read it %d times, want %d", got, tt.got)
			}
			for i, body := range s.got {
				if body != hello || tt.change != nil && s.keys[i] != "7" {
					t.Errorf("sending %d: %q with key %q", i, body, s.keys[i])
				}
			}
			if o := w.records.outcomes[0]; o.Attempts != tt.attempts || o.Status != tt.status {
				t.Errorf("recorded: %+v", o)
			}
			counted := uint64(0)
			for _, l := range m.Totals() {
				counted += l.Total
			}
			if counted != uint64(max(0, tt.attempts-1)) {
				t.Errorf("%d repetitions are counted", counted)
			}
		})
	}
}

func TestAnAnswerThatHasBegunIsNeverBegunAgain(t *testing.T) {
	s := newHanging(t, halfBody, answersWell)
	w := newWorld(t, func(r *Route) { r.Upstream.URL, r.Upstream.Idempotent = s.URL, true })
	r, err := http.NewRequestWithContext(t.Context(), "POST", w.front.URL+"/v1/chat/completions", strings.NewReader(hello))
	if err != nil {
		t.Fatal(err)
	}
	r.Host = "captioner.example"
	r.Header = http.Header{"Authorization": {"Bearer alice"}, "Content-Type": {"application/json"}, "Idempotency-Key": {"7"}}
	resp, err := w.front.Client().Do(r)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	data, err := io.ReadAll(resp.Body)
	begun, told := strings.CutPrefix(string(data), oneEvent)
	if resp.StatusCode != 200 || !told || strings.Count(begun, "data: ") != 2 || !strings.Contains(begun, string(verdict.UpstreamDown)) || err != nil || s.count() != 1 {
		t.Errorf("%d %q %v: the server got %d requests", resp.StatusCode, data, err, s.count())
	}
}

func TestSendingAgainIsBounded(t *testing.T) {
	s := newHanging(t, hangsUp)
	w := newWorld(t, func(r *Route) { r.Upstream.URL, r.Upstream.Idempotent = s.URL, true })
	asked := 0
	for ; asked < 30; asked++ {
		w.ask(t, "POST", "/v1/chat/completions", hello, keyed)
		w.clock.Advance(breakFor + time.Second) // it is not left alone
	}
	// Ten at first, and one more for every ten requests.
	if again := s.count() - asked; again < 10 || again > 10+asked/10 {
		t.Errorf("%d requests were sent again %d times", asked, again)
	}
}

// A name has two addresses, and nobody listens on the first.
func TestWhereOneAddressRefusesAnotherOneIsAsked(t *testing.T) {
	w := newWorld(t, nil)
	_, port, _ := net.SplitHostPort(w.route.Upstream.URL.Host)
	two := *w.route
	two.Upstream.URL = &url.URL{Scheme: "http", Host: "captioner.svc:" + port}
	w.use(t, "two", &two)
	s := two.server
	asked := 0
	s.addresses.lookup = func(_ context.Context, host string) ([]netip.Addr, error) {
		if asked++; host != "captioner.svc" {
			t.Errorf("%s is looked up", host)
		}
		return []netip.Addr{netip.MustParseAddr("127.0.0.2"), netip.MustParseAddr("127.0.0.1")}, nil
	}
	if status, _, answer := w.ask(t, "POST", "/v1/chat/completions", hello, nil); status != 200 || asked != 1 {
		t.Errorf("%d %s", status, answer)
	}
	all, err := s.addresses.of(t.Context(), "captioner.svc")
	if err != nil || all[0] != netip.MustParseAddr("127.0.0.1") {
		t.Errorf("%v: the one that refused is asked last: %v", all, err)
	}
	s.transport.CloseIdleConnections()
	s.addresses.lookup = func(context.Context, string) ([]netip.Addr, error) {
		return []netip.Addr{netip.MustParseAddr("127.0.0.2"), netip.MustParseAddr("127.0.0.3")}, nil
	}
	if status, code, _ := w.ask(t, "POST", "/v1/chat/completions", hello, nil); status != 502 || code != string(verdict.UpstreamDown) {
		t.Errorf("all refuse: %d %s", status, code)
	}
	s.addresses.lookup = func(context.Context, string) ([]netip.Addr, error) {
		return nil, &net.DNSError{Err: "no such host", Name: "captioner.svc"}
	}
	if status, code, _ := w.ask(t, "POST", "/v1/chat/completions", hello, nil); status != 502 || code != string(verdict.UpstreamDown) {
		t.Errorf("the name is gone: %d %s", status, code)
	}
}

// A connection that breaks in the TLS handshake has sent nothing of the request.
func TestWhatBreaksInTheHandshakeIsSentAgain(t *testing.T) {
	for _, tt := range []struct {
		name     string
		breaks   int
		status   int
		attempts int
	}{{"once", 1, 200, 2}, {"twice", 2, 200, 3}, {"always", 100, 502, 3}, {"never", 0, 200, 0}} {
		t.Run(tt.name, func(t *testing.T) {
			w := newWorld(t, nil)
			secure := httptest.NewUnstartedServer(w.behind)
			secure.Listener = &breaking{Listener: secure.Listener, left: tt.breaks}
			secure.Config.ErrorLog = quiet()
			secure.EnableHTTP2 = true
			secure.StartTLS()
			t.Cleanup(secure.Close)
			at, _ := url.Parse(secure.URL)
			route := *w.route
			route.Upstream.URL, route.Upstream.TLS = at, secure.Client().Transport.(*http.Transport).TLSClientConfig
			w.use(t, "two", &route)
			status, _, answer := w.ask(t, "POST", "/v1/chat/completions", hello, nil)
			w.front.Close()
			if o := w.records.outcomes[0]; status != tt.status || o.Attempts != tt.attempts {
				t.Errorf("%d %s, %d attempts", status, answer, o.Attempts)
			}
			if want := 1; status == 200 && w.behind.count() != want {
				t.Errorf("the server got it %d times", w.behind.count())
			}
		})
	}
}

// breaking hangs up on the first connections.
type breaking struct {
	net.Listener
	left int
}

func (b *breaking) Accept() (net.Conn, error) {
	for {
		c, err := b.Listener.Accept()
		if err != nil || b.left == 0 {
			return c, err
		}
		b.left--
		c.Close()
	}
}

func TestABudgetRefillsWithRequests(t *testing.T) {
	var b budget
	spent := func() (n int) {
		for b.spend() {
			n++
		}
		return n
	}
	if n := spent(); n != 10 {
		t.Errorf("%d at first", n)
	}
	for range resendPrice - 1 {
		b.earn()
	}
	if n := spent(); n != 0 {
		t.Errorf("%d after nine requests", n)
	}
	b.earn()
	if n := spent(); n != 1 {
		t.Errorf("%d after ten", n)
	}
	for range 100_000 {
		b.earn()
	}
	if n := spent(); n != 10 {
		t.Errorf("%d after very many", n)
	}
}
