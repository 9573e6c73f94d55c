package exchange_test

import (
	"bytes"
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"encoding/json"
	"errors"
	"io"
	"net/http"
	"net/http/httptest"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/spiffe/go-spiffe/v2/bundle/spiffebundle"
	"github.com/spiffe/go-spiffe/v2/spiffeid"

	"github.com/apexlogic/apex/internal/clock"
	"github.com/apexlogic/apex/internal/identity"
	"github.com/apexlogic/apex/internal/identity/attest"
	"github.com/apexlogic/apex/internal/identity/ca"
	"github.com/apexlogic/apex/internal/identity/exchange"
	"github.com/apexlogic/apex/internal/identity/svid"
	"github.com/apexlogic/apex/verdict"
)

var (
	noon   = time.Date(2026, 11, 23, 12, 0, 0, 0, time.UTC)
	domain = spiffeid.RequireTrustDomainFromString("claims.example")
	intake = spiffeid.RequireFromString("spiffe://claims.example/intake")
	report = spiffeid.RequireFromString("spiffe://claims.example/report")
)

type world struct {
	t         *testing.T
	server    *httptest.Server
	authority *ca.CA
	tokens    *attest.JoinTokens
	clock     *clock.Fixed
	recorded  []ca.Issued
	full      bool // the record is
}

func newWorld(t *testing.T, perMinute int) *world {
	t.Helper()
	w := &world{t: t, clock: clock.At(noon)}
	var err error
	if w.tokens, err = attest.OpenJoinTokens(filepath.Join(t.TempDir(), "join"), w.clock); err != nil {
		t.Fatal(err)
	}
	if w.authority, err = ca.Open(filepath.Join(t.TempDir(), "ca"), domain, w.clock); err != nil {
		t.Fatal(err)
	}
	entries, err := attest.NewEntries(domain,
		attest.Entry{ID: intake, Selectors: []attest.Selector{"join:name:intake"}},
		attest.Entry{ID: intake, Selectors: []attest.Selector{"join:name:both"}},
		attest.Entry{ID: report, Selectors: []attest.Selector{"join:name:both"}})
	if err != nil {
		t.Fatal(err)
	}
	h, err := exchange.New(exchange.Options{
		Authority: w.authority, Attestor: func(kind string) attest.Attestor { return map[string]attest.Attestor{"join": w.tokens}[kind] },
		Entries: func() *attest.Entries { return entries }, Life: ca.MinLife, PerMinute: perMinute, Clock: w.clock,
		Record: func(_ context.Context, i ca.Issued) error {
			if w.full {
				return errors.New("full")
			}
			w.recorded = append(w.recorded, i)
			return nil
		},
	})
	if err != nil {
		t.Fatal(err)
	}
	w.server = httptest.NewTLSServer(h)
	t.Cleanup(func() { w.server.Close(); w.authority.Close() })
	return w
}

// join is a fresh token.
func (w *world) join(name string) string {
	token, err := w.tokens.New(name, time.Hour)
	if err != nil {
		w.t.Fatal(err)
	}
	return token
}

func request(t *testing.T) []byte {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	der, err := x509.CreateCertificateRequest(rand.Reader, &x509.CertificateRequest{}, key)
	if err != nil {
		t.Fatal(err)
	}
	return der
}

// post returns the status, and the code of a refusal.
func (w *world) post(path, contentType, body string, into any) (int, verdict.Code) {
	w.t.Helper()
	answer, err := w.server.Client().Post(w.server.URL+path, contentType, strings.NewReader(body))
	if err != nil {
		w.t.Fatal(err)
	}
	defer answer.Body.Close()
	data, err := io.ReadAll(answer.Body)
	if err != nil {
		w.t.Fatal(err)
	}
	if answer.StatusCode == http.StatusOK {
		if answer.Header.Get("Cache-Control") != "no-store" {
			w.t.Error("the answer may be stored")
		}
		if err := json.Unmarshal(data, into); err != nil {
			w.t.Fatal(err)
		}
		return answer.StatusCode, ""
	}
	var refusal struct{ Code verdict.Code }
	json.Unmarshal(data, &refusal)
	return answer.StatusCode, refusal.Code
}

func text(v map[string]any) string {
	data, err := json.Marshal(v)
	if err != nil {
		panic(err)
	}
	return string(data)
}

func TestEvidenceIsExchangedForAnIdentityThatIsAccepted(t *testing.T) {
	w := newWorld(t, 1000)
	bundles, err := svid.NewBundles(w.authority.Bundle())
	if err != nil {
		t.Fatal(err)
	}
	var c exchange.Certificate
	if status, code := w.post("/v1/svid/x509", "application/json", text(map[string]any{"kind": "join", "evidence": w.join("intake"), "csr": request(t)}), &c); status != 200 {
		t.Fatalf("%d %s", status, code)
	}
	var chain []*x509.Certificate
	for _, der := range c.Chain {
		one, err := x509.ParseCertificate(der)
		if err != nil {
			t.Fatal(err)
		}
		chain = append(chain, one)
	}
	p, err := svid.NewX509(bundles, w.clock).Authenticate(t.Context(), &identity.Credentials{Peer: chain})
	if err != nil || p.ID != intake.String() || c.ID != p.ID || len(c.Bundle) != 1 || !p.NotAfter.Equal(c.Expires) {
		t.Errorf("%+v, %v", p, err)
	}
	var token exchange.Token
	if status, code := w.post("/v1/svid/jwt", "application/json", text(map[string]any{"kind": "join", "evidence": w.join("both"), "id": report.String(), "audience": []string{"gateway"}}), &token); status != 200 {
		t.Fatalf("%d %s", status, code)
	}
	j, err := svid.NewJWT(bundles, []string{"gateway"}, w.clock)
	if err != nil {
		t.Fatal(err)
	}
	q, err := j.Authenticate(t.Context(), &identity.Credentials{Bearer: token.Token})
	if err != nil || q.ID != report.String() {
		t.Fatalf("%+v, %v", q, err)
	}
	if len(w.recorded) != 2 || w.recorded[0].Credential != p.Credential || w.recorded[1].Credential != q.Credential || w.recorded[1].ID != report {
		t.Errorf("recorded %+v", w.recorded)
	}
}

func TestWhatIsNotProvedGetsNoIdentity(t *testing.T) {
	w := newWorld(t, 10_000)
	csr := request(t)
	forged := bytes.Clone(csr)
	forged[len(forged)-1] ^= 1
	weakKey, _ := ecdsa.GenerateKey(elliptic.P224(), rand.Reader)
	weak, err := x509.CreateCertificateRequest(rand.Reader, &x509.CertificateRequest{}, weakKey)
	if err != nil {
		t.Fatal(err)
	}
	const certificates, tokens, js = "/v1/svid/x509", "/v1/svid/jwt", "application/json"
	good := func() map[string]any { return map[string]any{"kind": "join", "evidence": w.join("intake"), "csr": csr} }
	with := func(name string, v any) string {
		m := good()
		if m[name] = v; v == nil {
			delete(m, name)
		}
		return text(m)
	}
	for _, tt := range []struct {
		name, path, kind, body string
		status                 int
		code                   verdict.Code
	}{
		{"as it should be", certificates, js, text(good()), 200, ""},
		{"an identity that it may have", certificates, js, with("id", intake.String()), 200, ""},
		{"an identity that it may not have", certificates, js, with("id", report.String()), 403, verdict.IdentityAttestation},
		{"two identities, and none is named", certificates, js, with("evidence", w.join("both")), 403, verdict.IdentityAttestation},
		{"evidence that no entry names", certificates, js, with("evidence", w.join("stranger")), 403, verdict.IdentityAttestation},
		{"evidence that is wrong", certificates, js, with("evidence", "guess"), 403, verdict.IdentityAttestation},
		{"no evidence", certificates, js, with("evidence", ""), 400, verdict.BodyMalformed},
		{"another kind of evidence", certificates, js, with("kind", "aws"), 403, verdict.IdentityAttestation},
		{"a csr that another key signed", certificates, js, with("csr", forged), 400, verdict.BodyMalformed},
		{"a csr of a weak key", certificates, js, with("csr", weak), 400, verdict.BodyMalformed},
		{"no csr", certificates, js, with("csr", nil), 400, verdict.BodyMalformed},
		{"a huge csr", certificates, js, with("csr", make([]byte, 9<<10)), 400, verdict.BodyMalformed},
		{"a certificate and an audience", certificates, js, with("audience", []string{"a"}), 400, verdict.BodyMalformed},
		{"a token and a csr", tokens, js, with("audience", []string{"a"}), 400, verdict.BodyMalformed},
		{"a token without an audience", tokens, js, with("csr", nil), 400, verdict.BodyMalformed},
		{"a token for an empty audience", tokens, js, text(map[string]any{"kind": "join", "evidence": w.join("intake"), "audience": []string{""}}), 400, verdict.BodyMalformed},
		{"a member more", certificates, js, with("uri", "x"), 400, verdict.BodyMalformed},
		{"a member twice", certificates, js, `{"kind":"x",` + text(good())[1:], 400, verdict.BodyMalformed},
		{"two documents", certificates, js, text(good()) + "{}", 400, verdict.BodyMalformed},
		{"a body without end", certificates, js, strings.Repeat(" ", 1<<20), 413, verdict.BodyLimit},
		{"a form", certificates, "application/x-www-form-urlencoded", text(good()), 415, verdict.BodyType},
		{"no type", certificates, "", text(good()), 415, verdict.BodyType},
	} {
		t.Run(tt.name, func(t *testing.T) {
			before := len(w.recorded)
			var into map[string]any
			if status, code := w.post(tt.path, tt.kind, tt.body, &into); status != tt.status || code != tt.code {
				t.Errorf("%d %s, want %d %s", status, code, tt.status, tt.code)
			}
			if issued := len(w.recorded) > before; issued != (tt.status == 200) {
				t.Errorf("recorded: %v", issued)
			}
		})
	}
	w.full = true
	if status, code := w.post(certificates, js, text(good()), nil); status != 503 || code != verdict.GatewayRecord {
		t.Errorf("when it cannot be recorded: %d %s", status, code)
	}
	w.full = false
	answer, err := w.server.Client().Get(w.server.URL + certificates)
	if err != nil {
		t.Fatal(err)
	}
	answer.Body.Close()
	if answer.StatusCode != http.StatusMethodNotAllowed {
		t.Errorf("GET: %d", answer.StatusCode)
	}
}

func TestEvidenceIsNotTakenInTheClear(t *testing.T) {
	w := newWorld(t, 1000)
	plain := httptest.NewServer(w.server.Config.Handler)
	defer plain.Close()
	body := text(map[string]any{"kind": "join", "evidence": w.join("intake"), "csr": request(t)})
	answer, err := http.Post(plain.URL+"/v1/svid/x509", "application/json", strings.NewReader(body))
	if err != nil {
		t.Fatal(err)
	}
	answer.Body.Close()
	if answer.StatusCode != http.StatusUpgradeRequired {
		t.Errorf("over HTTP: %d", answer.StatusCode)
	}
	var c exchange.Certificate
	if status, code := w.post("/v1/svid/x509", "application/json", body, &c); status != 200 {
		t.Errorf("over HTTPS: %d %s", status, code)
	}
}

func TestAnAddressThatAsksTooOftenWaits(t *testing.T) {
	w := newWorld(t, 3)
	ask := func() (int, verdict.Code) {
		var c exchange.Certificate
		return w.post("/v1/svid/x509", "application/json", text(map[string]any{"kind": "join", "evidence": w.join("intake"), "csr": request(t)}), &c)
	}
	for n := range 3 {
		if status, code := ask(); status != 200 {
			t.Fatalf("request %d: %d %s", n+1, status, code)
		}
	}
	if status, code := ask(); status != 429 || code != verdict.LimitRate {
		t.Errorf("request 4: %d %s", status, code)
	}
	w.clock.Advance(20 * time.Second)
	if status, code := ask(); status != 200 {
		t.Errorf("after a third of a minute: %d %s", status, code)
	}
	w.clock.Advance(-24 * time.Hour) // nobody waits for the clock to catch up
	if status, code := ask(); status == 429 {
		t.Errorf("after the clock was set back: %d %s", status, code)
	}
}

func TestEverybodyMayReadThePublicKeys(t *testing.T) {
	w := newWorld(t, 2)
	for n, want := range []int{200, 200, 429} { // as often as anything else
		answer, err := w.server.Client().Get(w.server.URL + "/v1/bundle")
		if err != nil {
			t.Fatal(err)
		}
		data, err := io.ReadAll(answer.Body)
		answer.Body.Close()
		if err != nil || answer.StatusCode != want {
			t.Fatalf("request %d: %d, %v", n+1, answer.StatusCode, err)
		}
		if want != 200 {
			continue
		}
		b, err := spiffebundle.Parse(domain, data)
		if err != nil || !b.Equal(w.authority.Bundle()) {
			t.Errorf("%v, %s", err, data)
		}
	}
}
