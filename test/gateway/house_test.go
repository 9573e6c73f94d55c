// Package gateway holds whole gateways to what they promise: real listeners and
// TLS, real servers behind them, real ledgers on real disks, with faults that are
// really injected.
//
// Start with failclosed_test.go, whose table names the test of each way in which
// a gateway can lose what it needs; with traps_test.go, which names the tests of each
// known way around a gateway, in whatever package they stand; and with this file, of
// which the tests are built.
//
// APEX_SOAK=10m (make soak) and APEX_RELOAD=60s ask for longer runs.
package gateway

import (
	"bytes"
	"context"
	"crypto/tls"
	"encoding/json"
	"encoding/pem"
	"fmt"
	"io"
	"log"
	"log/slog"
	"maps"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/apexlogic/apex/internal/app"
	"github.com/apexlogic/apex/internal/clock"
	"github.com/apexlogic/apex/internal/config"
	"github.com/apexlogic/apex/internal/gateway"
	"github.com/apexlogic/apex/internal/identity/own"
	"github.com/apexlogic/apex/internal/ledger"
	"github.com/apexlogic/apex/verdict"
)

const (
	host = "captioner.example"
	chat = "/v1/chat/completions"
)

// house is a gateway with all that stands around it: the folders that it reads,
// a server behind it, and a caller that is known to it.
type house struct {
	t               testing.TB
	dir, bundles    string
	state           string
	clock           *jumpClock
	server          *server
	intake          *own.Identity // spiffe://claims.example/intake
	address, health string
	now             string // the generation in force when it was last waited for
	healths         chan config.Health
	end             func() error
	log             *logBook
	options         app.GatewayOptions
	// as shows the identity of intake by certificate, nobody shows none.
	as, nobody *http.Client
}

// jumpClock is the machine's clock, set forward; it stands still where a test says so.
type jumpClock struct {
	ahead atomic.Int64
	stood atomic.Int64 // the machine's time at which it stands, in nanoseconds since 1970; 0: it goes
}

func (c *jumpClock) Now() time.Time {
	now := time.Now()
	if at := c.stood.Load(); at != 0 {
		now = time.Unix(0, at)
	}
	return now.UTC().Add(time.Duration(c.ahead.Load()))
}
func (c *jumpClock) jump(d time.Duration) { c.ahead.Add(int64(d)) }
func (c *jumpClock) stand()               { c.stood.Store(time.Now().UnixNano()) }

var _ clock.Clock = (*jumpClock)(nil)

// logBook keeps what the gateway says, for whoever wonders why a test fails.
type logBook struct {
	mu   sync.Mutex
	text bytes.Buffer
}

// mostLog bounds what is kept of a long run.
const mostLog = 1 << 20

func (l *logBook) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.text.Len() < mostLog {
		l.text.Write(p)
	}
	return len(p), nil
}

func (l *logBook) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.text.String()
}

// take returns what was said, and forgets it.
func (l *logBook) take() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	defer l.text.Reset()
	return l.text.String()
}

// routeText is the route in front of the server, by the server's URL.
const routeText = `apiVersion: security.apexlogic.com/v1alpha1
kind: ProtectedRoute
metadata: {name: captioner}
spec:
  hosts: [captioner.example]
  api: OpenAI
  upstream: {url: "%s", tls: Plaintext}
  identities:
    - spiffe: {trustDomain: claims.example, audience: captioner}
  allow:
    - {identities: ["spiffe://claims.example/intake"], actions: [infer, list]}
  models:
    - {name: captioner, digest: "sha256:aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa"}
  limits: {bodyBytes: 200000, requests: 1000000, concurrent: 1000}
  media: {kinds: [Image, Audio]}
`

// build makes a house whose gateway does not run yet.
func build(t testing.TB) *house {
	t.Helper()
	h := &house{t: t, dir: t.TempDir(), bundles: t.TempDir(), state: t.TempDir(), clock: &jumpClock{}, log: &logBook{}, healths: make(chan config.Health, 256)}
	h.server = newServer(t)
	h.intake = h.workload("claims.example", "/intake")
	h.put("route.yaml", fmt.Sprintf(routeText, h.server.URL))
	h.as, h.nobody = h.client(h.intake), h.client(nil)
	return h
}

// open makes a house whose gateway runs.
func open(t testing.TB) *house {
	t.Helper()
	h := build(t)
	h.start(app.GatewayOptions{TrustDomain: "vision.example"})
	return h
}

// workload makes a trust domain with one workload, whose clock is the house's,
// and has the gateway believe it.
func (h *house) workload(domain, path string) *own.Identity {
	h.t.Helper()
	id, err := own.Open(filepath.Join(h.t.TempDir(), "ca"), domain, path, h.clock)
	if err != nil {
		h.t.Fatal(err)
	}
	h.t.Cleanup(func() { id.Close() })
	h.believe(domain, id)
	return id
}

func (h *house) believe(domain string, id *own.Identity) {
	h.t.Helper()
	data, err := id.CA.Bundle().Marshal()
	if err != nil {
		h.t.Fatal(err)
	}
	place(h.t, h.bundles, domain+".json", string(data))
}

// put writes a document of the gateway's folder.
func (h *house) put(name, text string) { h.t.Helper(); place(h.t, h.dir, name, text) }

// place renames into place: what follows a directory never reads half of a file.
func place(t testing.TB, dir, name, text string) {
	t.Helper()
	tmp := filepath.Join(t.TempDir(), name)
	if err := os.WriteFile(tmp, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	if err := os.Rename(tmp, filepath.Join(dir, name)); err != nil {
		t.Fatal(err)
	}
}

// start runs the gateway by the house's clock; see startWith.
func (h *house) start(o app.GatewayOptions) {
	h.t.Helper()
	o.Clock = h.clock
	h.startWith(o)
}

// again starts the gateway again that has ended.
func (h *house) again() {
	h.t.Helper()
	h.start(h.options)
}

// startWith runs the gateway until the test ends, and waits for its first routes.
func (h *house) startWith(o app.GatewayOptions) {
	h.t.Helper()
	h.options = o
	ctx, stop := context.WithCancel(context.WithoutCancel(h.t.Context()))
	listening, ended := make(chan [2]string, 1), make(chan error, 1)
	o.Config, o.Bundles, o.State = h.dir, h.bundles, h.state
	o.Address, o.HealthAddress = "127.0.0.1:0", "127.0.0.1:0"
	o.Logger = slog.New(slog.NewTextHandler(h.log, nil))
	o.Ready = func(address, health net.Addr) { listening <- [2]string{address.String(), health.String()} }
	o.Health = func(now config.Health) { h.healths <- now }
	go func() { ended <- app.Gateway(ctx, o) }()
	h.end = sync.OnceValue(func() error { stop(); return <-ended })
	h.t.Cleanup(func() {
		h.end()
		if h.t.Failed() {
			h.t.Logf("the gateway said:\n%.4000s", h.log)
		}
	})
	select {
	case a := <-listening:
		h.address, h.health = a[0], a[1]
	case err := <-ended:
		ended <- err
		h.t.Fatal(err)
	}
	first := h.wait(func(config.Health) bool { return true })
	if h.now = first.Generation; h.now == "" {
		h.t.Fatalf("no routes are in force: %s", first.Problems[0].String())
	}
}

// wait returns the next health that is as asked for.
func (h *house) wait(is func(config.Health) bool) config.Health {
	h.t.Helper()
	for {
		select {
		case now := <-h.healths:
			if is(now) {
				return now
			}
		case <-h.t.Context().Done():
			h.t.Fatal("the gateway's health does not come to it")
		}
	}
}

// change puts a document and waits until it is in force.
func (h *house) change(name, text string) {
	h.t.Helper()
	before := h.now
	h.put(name, text)
	h.now = h.wait(func(now config.Health) bool {
		if len(now.Problems) > 0 {
			h.t.Fatalf("%s is not in force: %s", name, now.Problems[0].String())
		}
		return now.Generation != before
	}).Generation
}

// jump sets the clock.
func (h *house) jump(d time.Duration) { h.clock.jump(d) }

// client shows an identity, or none, and takes the gateway for what its own
// identity says. It keeps no answer of a handshake for the next one.
func (h *house) client(id *own.Identity) *http.Client {
	transport := &http.Transport{MaxIdleConnsPerHost: 256, DisableCompression: true, TLSClientConfig: h.secure(id)}
	h.t.Cleanup(transport.CloseIdleConnections)
	return &http.Client{Transport: transport}
}

func (h *house) secure(id *own.Identity) *tls.Config {
	return &tls.Config{
		MinVersion: tls.VersionTLS13, InsecureSkipVerify: true, // a SPIFFE server has no name
		VerifyConnection: func(c tls.ConnectionState) error {
			if uris := c.PeerCertificates[0].URIs; len(uris) != 1 || uris[0].String() != "spiffe://vision.example/apex/gateway" {
				return fmt.Errorf("%v is not the gateway", uris)
			}
			return nil
		},
		GetClientCertificate: func(*tls.CertificateRequestInfo) (*tls.Certificate, error) {
			if id == nil {
				return &tls.Certificate{}, nil
			}
			return id.Certificate()
		},
	}
}

// answer is what a caller got.
type answer struct {
	status int
	code   verdict.Code // of a denial
	id     string       // by which the ledger has it
	header http.Header
	text   string
	err    error // the connection broke
}

func (a answer) String() string {
	return fmt.Sprintf("%d %s %.300s %v", a.status, a.code, a.text, a.err)
}

// ask sends a request.
func (h *house) ask(c *http.Client, method, path, body string, change func(*http.Request)) answer {
	r, err := http.NewRequestWithContext(h.t.Context(), method, "https://"+h.address+path, strings.NewReader(body))
	if err != nil {
		return answer{err: err}
	}
	r.Host = host
	r.Header.Set("Content-Type", "application/json")
	r.Header.Set("Accept", "application/json")
	r.Header.Set("User-Agent", "claims/1.0")
	if change != nil {
		change(r)
	}
	return do(c, r)
}

func do(c *http.Client, r *http.Request) answer {
	resp, err := c.Do(r)
	if err != nil {
		return answer{err: err}
	}
	defer resp.Body.Close()
	a := answer{status: resp.StatusCode, header: resp.Header, id: resp.Header.Get("X-Request-Id")}
	data, err := io.ReadAll(resp.Body)
	a.text, a.err = string(data), err
	a.code = codeOf(data)
	return a
}

// codeOf finds the code in a denial, in the form of either protocol. An answer of
// the server has none.
func codeOf(data []byte) verdict.Code {
	var denied struct{ Error struct{ Code verdict.Code } }
	if json.Unmarshal(data, &denied) == nil {
		return denied.Error.Code
	}
	var inference struct{ Error string }
	if json.Unmarshal(data, &inference) != nil {
		return ""
	}
	_, code, _ := strings.Cut(inference.Error, " (")
	code, _, _ = strings.Cut(code, ", request ")
	return verdict.Code(code)
}

// say asks for a chat with a text, as the known caller.
func (h *house) say(text string) answer { return h.ask(h.as, http.MethodPost, chat, saying(text), nil) }

func saying(text string) string {
	data, _ := json.Marshal(text)
	return `{"model":"captioner","messages":[{"role":"user","content":` + string(data) + `}]}`
}

// must fails the test when an answer is not as wanted.
func must(t testing.TB, what string, a answer, status int, code verdict.Code) {
	t.Helper()
	if a.err != nil || a.status != status || a.code != code {
		t.Errorf("%s: %s, want %d %s", what, a, status, code)
	}
}

// probe asks whether the gateway is ready.
func (h *house) probe() int {
	h.t.Helper()
	r, err := http.NewRequestWithContext(h.t.Context(), http.MethodGet, "http://"+h.health+"/readyz", nil)
	if err != nil {
		h.t.Fatal(err)
	}
	return do(http.DefaultClient, r).status
}

// kept is all of a ledger that is about requests.
type kept struct {
	decisions map[string]gateway.Decision
	outcomes  map[string]gateway.Outcome
	// together is how many decisions share a record with others.
	together int
}

// records ends the gateway and reads its ledger. A record that is there twice is
// a failure.
func (h *house) records() kept {
	h.t.Helper()
	if err := h.end(); err != nil {
		h.t.Fatal(err)
	}
	return readLedger(h.t, h.state)
}

func readLedger(t testing.TB, state string) kept {
	t.Helper()
	l, err := ledger.Open(t.Context(), filepath.Join(state, "ledger", "gateway"), ledger.Options{ReadOnly: true})
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	k := kept{decisions: map[string]gateway.Decision{}, outcomes: map[string]gateway.Outcome{}}
	for e, err := range l.Records(t.Context(), ledger.Cursor{}) {
		if err != nil {
			t.Fatal(err)
		}
		switch e.Type {
		case gateway.DecisionSchema:
			var d gateway.Decision
			if err := json.Unmarshal(e.Data, &d); err != nil {
				t.Fatal(err)
			}
			if _, twice := k.decisions[d.ID]; twice {
				t.Errorf("%s was decided twice", d.ID)
			}
			k.decisions[d.ID] = d
		case gateway.StrangersSchema:
			var s gateway.Strangers
			if err := json.Unmarshal(e.Data, &s); err != nil {
				t.Fatal(err)
			}
			for code, ids := range s.Denied {
				for _, id := range ids {
					if _, twice := k.decisions[id]; twice {
						t.Errorf("%s was decided twice", id)
					}
					k.together++
					k.decisions[id] = gateway.Decision{ID: id, Generation: s.Generation, Code: string(code)}
				}
			}
		case gateway.OutcomeSchema:
			var o gateway.Outcome
			if err := json.Unmarshal(e.Data, &o); err != nil {
				t.Fatal(err)
			}
			if _, twice := k.outcomes[o.ID]; twice {
				t.Errorf("%s ended twice", o.ID)
			}
			k.outcomes[o.ID] = o
		}
	}
	return k
}

// holds compares what was recorded with what the server saw: each request that
// arrived there was allowed first, and each that was allowed has an end.
func (k kept) holds(t testing.TB, seen map[string]int) {
	t.Helper()
	for id, n := range seen {
		if d, there := k.decisions[id]; !there || !d.Allowed {
			t.Errorf("the server saw %s, which was not allowed", id)
		}
		if n != 1 {
			t.Errorf("the server saw %s %d times", id, n)
		}
	}
	for id, d := range k.decisions {
		if _, ended := k.outcomes[id]; d.Allowed != ended {
			t.Errorf("%s: allowed %v, ended %v", id, d.Allowed, ended)
		}
	}
}

// server is an inference server that remembers the ids of what it was asked.
type server struct {
	URL string
	mu  sync.Mutex
	ids map[string]int
	// answers replaces what is answered; nil: a sentence.
	answers atomic.Pointer[http.HandlerFunc]
}

func newServer(t testing.TB) *server {
	s := &server{ids: map[string]int{}}
	s.URL = serve(t, s)
	return s
}

// serve serves on a free port until the test ends.
func serve(t testing.TB, h http.Handler) string {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	s := &http.Server{Handler: h, ErrorLog: discard()}
	go s.Serve(l)
	t.Cleanup(func() { s.Close() })
	return "http://" + l.Addr().String()
}

func discard() *log.Logger { return slog.NewLogLogger(slog.DiscardHandler, slog.LevelDebug) }

const sentence = `{"id":"c1","object":"chat.completion","model":"captioner","choices":[{"index":0,"message":{"role":"assistant","content":"a dent"},"finish_reason":"stop"}]}`

func (s *server) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	s.mu.Lock()
	s.ids[r.Header.Get("X-Request-Id")]++
	s.mu.Unlock()
	if h := s.answers.Load(); h != nil {
		(*h)(w, r)
		return
	}
	io.Copy(io.Discard, r.Body)
	w.Header().Set("Content-Type", "application/json")
	io.WriteString(w, sentence)
}

func (s *server) behave(h http.HandlerFunc) {
	if h == nil {
		s.answers.Store(nil)
		return
	}
	s.answers.Store(&h)
}

// seen is how often each request arrived, by its id.
func (s *server) seen() map[string]int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return maps.Clone(s.ids)
}

func (s *server) forget() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.ids = map[string]int{}
}

func (s *server) count() int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return len(s.ids)
}

// certificateOf writes the certificate that a server shows to a file.
func certificateOf(t testing.TB, address string) string {
	t.Helper()
	c, err := tls.Dial("tcp", strings.TrimPrefix(address, "https://"), &tls.Config{InsecureSkipVerify: true}) // it is taken as it is: the test started the server
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	path := filepath.Join(t.TempDir(), "ca.pem")
	text := pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: c.ConnectionState().PeerCertificates[0].Raw})
	if err := os.WriteFile(path, text, 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}
