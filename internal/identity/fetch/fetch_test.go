package fetch_test

import (
	"context"
	"crypto/tls"
	"encoding/json"
	"errors"
	"io"
	"net/http"
	"net/http/httptest"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/apexlogic/apex/internal/clock"
	"github.com/apexlogic/apex/internal/identity/attest"
	"github.com/apexlogic/apex/internal/identity/ca"
	"github.com/apexlogic/apex/internal/identity/exchange"
	"github.com/apexlogic/apex/internal/identity/fetch"
	"github.com/apexlogic/apex/internal/identity/own"
	"github.com/apexlogic/apex/internal/identity/svid"
)

// world is an exchange with an identity, which may behave otherwise.
type world struct {
	t      *testing.T
	me     *own.Identity
	tokens *attest.JoinTokens
	server *httptest.Server
	behave http.HandlerFunc // nil: honestly
	shown  string
}

func newWorld(t *testing.T) *world {
	t.Helper()
	w := &world{t: t}
	var err error
	if w.me, err = own.Open(filepath.Join(t.TempDir(), "ca"), "claims.example", "/apex/identity", clock.System{}); err != nil {
		t.Fatal(err)
	}
	if w.tokens, err = attest.OpenJoinTokens(filepath.Join(t.TempDir(), "join"), clock.System{}); err != nil {
		t.Fatal(err)
	}
	intake, _, err := attest.ParseEntry(w.me.CA.TrustDomain(), "spiffe://claims.example/intake", "join:name:intake")
	if err != nil {
		t.Fatal(err)
	}
	entries, err := attest.NewEntries(w.me.CA.TrustDomain(), intake)
	if err != nil {
		t.Fatal(err)
	}
	honest, err := exchange.New(exchange.Options{
		Authority: w.me.CA, Attestor: func(kind string) attest.Attestor { return map[string]attest.Attestor{"join": w.tokens}[kind] },
		Entries: func() *attest.Entries { return entries }, Life: ca.MinLife, PerMinute: 60_000, Clock: clock.System{},
		Record: func(context.Context, ca.Issued) error { return nil },
	})
	if err != nil {
		t.Fatal(err)
	}
	w.server = httptest.NewUnstartedServer(http.HandlerFunc(func(rw http.ResponseWriter, r *http.Request) {
		if w.behave != nil {
			w.behave(rw, r)
			return
		}
		honest.ServeHTTP(rw, r)
	}))
	// With a certificate of its own, as httptest makes it, it would not show its identity.
	w.server.Listener = tls.NewListener(w.server.Listener, svid.ServerTLS(w.me.Certificate))
	w.server.Start()
	w.server.URL = "https://" + w.server.Listener.Addr().String()
	t.Cleanup(func() { w.server.Close(); w.me.Close() })
	return w
}

// source asks the exchange with a fresh join token, or with what was said to be shown.
func (w *world) source(change func(*fetch.ExchangeOptions)) (*fetch.Exchange, error) {
	w.t.Helper()
	bundle, err := w.me.CA.Bundle().Marshal()
	if err != nil {
		w.t.Fatal(err)
	}
	o := fetch.ExchangeOptions{
		URL: w.server.URL, TrustDomain: "claims.example", Bundle: bundle, Servers: []string{"/apex/identity"}, Clock: clock.System{},
		Evidence: func() (string, string, error) {
			if w.shown != "" {
				return "join", w.shown, nil
			}
			token, err := w.tokens.New("intake", time.Minute)
			return "join", token, err
		},
	}
	if change != nil {
		change(&o)
	}
	return fetch.NewExchange(o)
}

func TestAnExchangeGivesACertificateATokenAndItsBundle(t *testing.T) {
	w := newWorld(t)
	s, err := w.source(nil)
	if err != nil {
		t.Fatal(err)
	}
	c, err := s.Certificate(t.Context(), "")
	if err != nil || c.ID != "spiffe://claims.example/intake" || len(c.Bundle) == 0 || !c.Expires.Equal(c.Chain[0].NotAfter) {
		t.Fatalf("%+v %v", c, err)
	}
	token, err := s.Token(t.Context(), "spiffe://claims.example/intake", []string{"captioner"})
	if err != nil || token.ID != c.ID || token.Token == "" {
		t.Fatalf("%+v %v", token, err)
	}
	if b, err := s.Bundle(t.Context()); err != nil || !strings.Contains(string(b), "x509-svid") {
		t.Fatalf("%s %v", b, err)
	}
}

// Evidence is worth an identity to whoever gets to see it: it is shown to the
// exchange alone.
func TestEvidenceIsShownToTheExchangeAlone(t *testing.T) {
	w := newWorld(t)
	elsewhere := httptest.NewServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) { t.Error("the evidence went elsewhere") }))
	defer elsewhere.Close()
	other, err := own.Open(filepath.Join(t.TempDir(), "other"), "claims.example", "/apex/identity", clock.System{})
	if err != nil {
		t.Fatal(err)
	}
	defer other.Close()
	stranger, err := other.CA.Bundle().Marshal()
	if err != nil {
		t.Fatal(err)
	}
	for _, tt := range []struct {
		name   string
		change func(*fetch.ExchangeOptions)
		behave http.HandlerFunc
		says   string // "" when it is shown
	}{
		{"as it should be", nil, nil, ""},
		{"an authority of the same name", func(o *fetch.ExchangeOptions) { o.Bundle = stranger }, nil, "not signed by an authority"},
		{"another workload of the trust domain", func(o *fetch.ExchangeOptions) { o.Servers = []string{"/apex/gateway"} }, nil, "another identity than the one that is expected"},
		{"a certificate that no authority of the system signed", func(o *fetch.ExchangeOptions) { o.Bundle = nil }, nil, "certificate"},
		{"a redirect", nil, func(rw http.ResponseWriter, r *http.Request) {
			http.Redirect(rw, r, elsewhere.URL, http.StatusTemporaryRedirect)
		}, "sends elsewhere"},
		{"plain HTTP", func(o *fetch.ExchangeOptions) { o.URL = "http://127.0.0.1:1" }, nil, "not https://HOST:PORT"},
		{"a user in the address", func(o *fetch.ExchangeOptions) { o.URL = "https://a:b@127.0.0.1:1" }, nil, "not https://HOST:PORT"},
		{"a bundle of another trust domain", func(o *fetch.ExchangeOptions) { o.Bundle = []byte("{}") }, nil, "the bundle of claims.example"},
		{"a trust domain that is none", func(o *fetch.ExchangeOptions) { o.TrustDomain = "Claims!" }, nil, "the trust domain"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			w.behave = tt.behave
			s, err := w.source(tt.change)
			if err == nil {
				_, err = s.Token(t.Context(), "", []string{"captioner"})
			}
			if (err == nil) != (tt.says == "") || err != nil && !strings.Contains(err.Error(), tt.says) {
				t.Errorf("%v, want %q", err, tt.says)
			}
			if _, refused := errors.AsType[*fetch.Refused](err); refused {
				t.Error("it is told as the exchange's refusal")
			}
		})
	}
}

// A refusal is told from an exchange that cannot answer: the one is for people to
// mend, the other to be asked again.
func TestARefusalIsToldFromAFailure(t *testing.T) {
	w := newWorld(t)
	says := func(status int, body string) http.HandlerFunc {
		return func(rw http.ResponseWriter, _ *http.Request) { rw.WriteHeader(status); io.WriteString(rw, body) }
	}
	certificate := func(change func(*exchange.Certificate)) http.HandlerFunc {
		shown, err := w.me.Certificate()
		if err != nil {
			t.Fatal(err)
		}
		c := exchange.Certificate{ID: "spiffe://claims.example/intake", Chain: shown.Certificate, Bundle: shown.Certificate}
		change(&c)
		data, err := json.Marshal(c)
		if err != nil {
			t.Fatal(err)
		}
		return says(200, string(data))
	}
	for _, tt := range []struct {
		name    string
		behave  http.HandlerFunc
		shown   string
		refused bool
		says    string
	}{
		{"evidence that is unknown", nil, "x", true, "the join token is unknown, was used, or has expired (request.identity.attestation)"},
		{"too many requests", says(429, `{"code":"request.limit.rate","detail":"wait"}`), "", false, "wait (request.limit.rate)"},
		{"a full disk", says(503, `{"code":"request.gateway.record","detail":"it could not be recorded"}`), "", false, "it could not be recorded"},
		{"somebody else's page", says(404, "<html>"), "", false, "the exchange answers 404"},
		{"no JSON", says(200, "<html>"), "", false, "read the exchange's answer"},
		{"an answer without end", func(rw http.ResponseWriter, _ *http.Request) { rw.Write(make([]byte, 2<<20)) }, "", false, "read the exchange's answer"},
		{"no certificate", certificate(func(c *exchange.Certificate) { c.Chain = nil }), "", false, "read the exchange's answer"},
		{"what is no certificate", certificate(func(c *exchange.Certificate) { c.Bundle = [][]byte{{1}} }), "", false, "read the exchange's answer"},
		{"a certificate for somebody else's key", certificate(func(*exchange.Certificate) {}), "", false, "certified another key than ours"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			w.behave, w.shown = tt.behave, tt.shown
			s, err := w.source(nil)
			if err != nil {
				t.Fatal(err)
			}
			_, err = s.Certificate(t.Context(), "")
			if err == nil || !strings.Contains(err.Error(), tt.says) {
				t.Fatalf("%v, want %q", err, tt.says)
			}
			if _, refused := errors.AsType[*fetch.Refused](err); refused != tt.refused {
				t.Errorf("refused: %v", refused)
			}
		})
	}
	w.server.Close()
	s, err := w.source(nil)
	if err != nil {
		t.Fatal(err)
	}
	if _, err = s.Bundle(t.Context()); err == nil || !strings.Contains(err.Error(), "ask the exchange") {
		t.Errorf("nobody there: %v", err)
	}
}
