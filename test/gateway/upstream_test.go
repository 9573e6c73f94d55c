package gateway

import (
	"context"
	"crypto/tls"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/apexlogic/apex/internal/app"
	"github.com/apexlogic/apex/internal/config"
	"github.com/apexlogic/apex/internal/identity/own"
	"github.com/apexlogic/apex/verdict"
)

// mutual is a server that is met by mutual TLS only.
type mutual struct {
	URL    string
	mu     sync.Mutex
	shown  map[string]bool // serial numbers of what the gateway showed
	began  chan struct{}   // an answer runs
	goOn   chan struct{}   // and comes to its end
	closed chan struct{}   // a connection ended
}

// serveMutual serves as an identity, until the test ends.
func serveMutual(t *testing.T, h *house, id *own.Identity, protocols *http.Protocols) *mutual {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	m := &mutual{URL: "https://" + l.Addr().String(), shown: map[string]bool{}, began: make(chan struct{}, 1), goOn: make(chan struct{}), closed: make(chan struct{}, 64)}
	s := &http.Server{ErrorLog: discard(), Protocols: protocols, Handler: http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		m.mu.Lock()
		m.shown[r.TLS.PeerCertificates[0].SerialNumber.String()] = true
		m.mu.Unlock()
		data, _ := io.ReadAll(r.Body)
		if !strings.Contains(string(data), `"stream":true`) {
			h.server.ServeHTTP(w, r)
			return
		}
		w.Header().Set("Content-Type", "text/event-stream")
		io.WriteString(w, event("a"))
		http.NewResponseController(w).Flush()
		m.began <- struct{}{}
		select {
		case <-m.goOn:
			io.WriteString(w, "data: [DONE]\n\n")
		case <-r.Context().Done():
		}
	}), ConnState: func(_ net.Conn, state http.ConnState) {
		if state == http.StateClosed {
			select {
			case m.closed <- struct{}{}:
			default:
			}
		}
	}, TLSConfig: &tls.Config{MinVersion: tls.VersionTLS13, ClientAuth: tls.RequireAnyClientCert,
		GetCertificate: func(*tls.ClientHelloInfo) (*tls.Certificate, error) { return id.Certificate() }}}
	go s.ServeTLS(l, "", "")
	t.Cleanup(func() { s.Close() })
	return m
}

func (m *mutual) identities() int {
	m.mu.Lock()
	defer m.mu.Unlock()
	return len(m.shown)
}

func mutualRoute(url string) string {
	return strings.Replace(fmt.Sprintf(routeText, url), "tls: Plaintext", `spiffeIDs: ["spiffe://servers.example/captioner"]`, 1)
}

// stream asks for events, and returns where the whole answer will be.
func (h *house) stream() <-chan answer {
	ended := make(chan answer, 1)
	go func() {
		ended <- h.ask(h.as, http.MethodPost, chat, strings.Replace(saying("hello"), `{"model"`, `{"stream":true,"model"`, 1), nil)
	}()
	return ended
}

// take waits for something that has to come.
func take[T any](t *testing.T, what string, from <-chan T) T {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 5*time.Minute)
	defer cancel()
	select {
	case v := <-from:
		return v
	case <-ctx.Done():
		t.Fatal(what + " does not come")
		panic("unreachable")
	}
}

func serversOf(names ...string) []*http.Protocols {
	var all []*http.Protocols
	for _, name := range names {
		p := new(http.Protocols)
		p.SetHTTP1(name == "HTTP/1.1")
		p.SetHTTP2(name == "HTTP/2")
		all = append(all, p)
	}
	return all
}

const revoking = "apiVersion: security.apexlogic.com/v1alpha1\nkind: Revocation\nmetadata: {name: server}\nspec:\n  reason: its key was copied\n  identity: {issuer: \"spiffe://servers.example\", subject: %s}\n"

func TestARevokedServerIsCutByNameWhileItAnswers(t *testing.T) {
	for _, protocols := range serversOf("HTTP/1.1", "HTTP/2") {
		t.Run(protocols.String(), func(t *testing.T) {
			h := build(t)
			m := serveMutual(t, h, h.workload("servers.example", "/captioner"), protocols)
			h.put("route.yaml", mutualRoute(m.URL))
			h.start(app.GatewayOptions{TrustDomain: "vision.example"})
			must(t, "before", h.say("hello"), 200, "")
			running := h.stream()
			take(t, "the answer's beginning", m.began)
			h.change("revocation.yaml", fmt.Sprintf(revoking, "/other"))
			must(t, "while another server is revoked", h.say("hello"), 200, "")
			select {
			case a := <-running:
				t.Fatalf("the revocation of another server ends the answer: %s", a)
			default:
			}
			h.change("revocation.yaml", fmt.Sprintf(revoking, "/captioner"))
			a := take(t, "the answer's end", running)
			if a.status != 200 || !strings.HasPrefix(a.text, event("a")) || codeAtEnd(a.text) != verdict.UpstreamIdentity {
				t.Errorf("the answer of a server that is revoked: %s", a)
			}
			before := h.server.count()
			must(t, "of a server that is revoked", h.say("hello"), 502, verdict.UpstreamIdentity)
			if h.server.count() != before {
				t.Error("a server that is revoked was asked")
			}
			generation := h.now
			if err := os.Remove(h.dir + "/revocation.yaml"); err != nil {
				t.Fatal(err)
			}
			h.now = h.wait(func(now config.Health) bool { return now.OK() && now.Generation != generation }).Generation
			must(t, "not revoked any more", h.say("hello"), 200, "")
			if o := h.records().outcomes[a.id]; o.Code != string(verdict.UpstreamIdentity) {
				t.Errorf("recorded: %+v", o)
			}
		})
	}
}

func TestIdentitiesAreRenewedOnBothSidesWhileAnAnswerRuns(t *testing.T) {
	h := build(t)
	m := serveMutual(t, h, h.workload("servers.example", "/captioner"), serversOf("HTTP/1.1")[0])
	h.put("route.yaml", mutualRoute(m.URL))
	h.start(app.GatewayOptions{TrustDomain: "vision.example"})
	running := h.stream()
	take(t, "the answer's beginning", m.began)
	h.jump(6 * time.Minute) // beyond half of a certificate's life
	must(t, "on another connection", h.say("hello"), 200, "")
	if n := m.identities(); n != 2 {
		t.Errorf("the gateway showed %d certificates", n)
	}
	close(m.goOn)
	if a := take(t, "the answer's end", running); a.status != 200 || !strings.HasSuffix(a.text, "data: [DONE]\n\n") {
		t.Errorf("an answer on the connection from before: %s", a)
	}
	h.jump(11 * time.Minute) // nothing runs, and what the server showed is over
	take(t, "the end of a connection", m.closed)
	take(t, "the end of the other", m.closed)
	h.as.CloseIdleConnections()
	must(t, "on a new connection", h.say("hello"), 200, "")
	if n := m.identities(); n != 3 {
		t.Errorf("the gateway showed %d certificates", n)
	}
	h.records().holds(t, h.server.seen())
}

func TestAServerWithoutTLSIsAskedOnlyWhereTheRouteSaysSo(t *testing.T) {
	h := build(t)
	h.workload("servers.example", "/captioner")
	h.put("route.yaml", mutualRoute(strings.Replace(h.server.URL, "http://", "https://", 1)))
	h.start(app.GatewayOptions{TrustDomain: "vision.example"})
	must(t, "by mutual TLS a server that has none", h.say("hello"), 502, verdict.UpstreamIdentity)
	if h.server.count() != 0 {
		t.Error("it was asked")
	}
	h.change("route.yaml", fmt.Sprintf(routeText, h.server.URL))
	must(t, "in plain text, as the route says", h.say("hello"), 200, "")
	h.records().holds(t, h.server.seen())
}

// What comes before the break passes; an event that is not whole does not.
func TestEventsThatTheServerBreaksOffEndWithAnEventThatSaysSo(t *testing.T) {
	h := open(t)
	send := func(end func(http.ResponseWriter)) answer {
		h.server.behave(func(w http.ResponseWriter, r *http.Request) {
			io.Copy(io.Discard, r.Body)
			w.Header().Set("Content-Type", "text/event-stream")
			io.WriteString(w, event("a"))
			end(w)
		})
		return take(t, "the answer", h.stream())
	}
	whole := send(func(w http.ResponseWriter) { io.WriteString(w, "data: [DONE]\n\n") })
	if must(t, "events that end", whole, 200, ""); whole.text != event("a")+"data: [DONE]\n\n" {
		t.Errorf("they did not pass as they came: %s", whole.text)
	}
	broken := send(func(w http.ResponseWriter) {
		io.WriteString(w, strings.TrimSuffix(event("half"), "\n\n"))
		http.NewResponseController(w).Flush()
		panic(http.ErrAbortHandler)
	})
	if must(t, "events that break off", broken, 200, ""); !strings.HasPrefix(broken.text, event("a")) || codeAtEnd(broken.text) != verdict.UpstreamDown ||
		!strings.HasSuffix(broken.text, "data: [DONE]\n\n") || strings.Contains(broken.text, "half") {
		t.Errorf("the caller gets %s", broken)
	}
	k := h.records()
	k.holds(t, h.server.seen())
	if o := k.outcomes[broken.id]; o.Code != string(verdict.UpstreamDown) || o.Stream == nil || o.Stream.Events != 1 {
		t.Errorf("recorded: %+v", o)
	}
	if o := k.outcomes[whole.id]; o.Code != "" {
		t.Errorf("recorded of what ended: %+v", o)
	}
}
