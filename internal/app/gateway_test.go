package app

import (
	"bytes"
	"context"
	"crypto/tls"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"image"
	"image/color"
	"image/png"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"

	"github.com/apexlogic/apex/examples/captioner"
	captionerserver "github.com/apexlogic/apex/examples/captioner/server"
	"github.com/apexlogic/apex/examples/captioner/tiny"
	"github.com/apexlogic/apex/internal/clock"
	"github.com/apexlogic/apex/internal/config"
	"github.com/apexlogic/apex/internal/gateway"
	"github.com/apexlogic/apex/internal/identity/own"
	"github.com/apexlogic/apex/internal/ledger"
	"github.com/apexlogic/apex/internal/meter"
	"github.com/apexlogic/apex/verdict"
)

// caller is a workload of the trust domain claims.example, whose bundle is in
// the folder bundles.
func caller(t testing.TB, bundles, path string) *own.Identity {
	t.Helper()
	id, err := own.Open(filepath.Join(t.TempDir(), "ca"), "claims.example", path, clock.System{})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { id.Close() })
	data, err := id.CA.Bundle().Marshal()
	if err != nil {
		t.Fatal(err)
	}
	put(t, bundles, "claims.example.json", string(data))
	return id
}

func put(t testing.TB, dir, name, text string) {
	t.Helper()
	// Renamed into place: what follows the directory never reads half of it.
	tmp := filepath.Join(t.TempDir(), name)
	if err := os.WriteFile(tmp, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	if err := os.Rename(tmp, filepath.Join(dir, name)); err != nil {
		t.Fatal(err)
	}
}

// inference is the example's own server, behind which the model really infers.
func inference(t testing.TB) *httptest.Server {
	t.Helper()
	file, err := captioner.Model.ReadFile("model/model.safetensors")
	if err != nil {
		t.Fatal(err)
	}
	m, err := tiny.Load(file)
	if err != nil {
		t.Fatal(err)
	}
	s := httptest.NewServer(captionerserver.New(m, captionerserver.Options{}))
	t.Cleanup(s.Close)
	return s
}

const routeOf = `apiVersion: security.apexlogic.com/v1alpha1
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
  limits: {bodyBytes: 200000, requests: 100000}
  media: {kinds: [Image]}
`

// served is a running gateway.
type served struct {
	address, health string
	state           string
	now             string // the generation in force when it was last waited for
	healths         chan config.Health
	end             func() error
}

// serveGateway runs a gateway until the test ends, and waits until it has its
// first routes.
func serveGateway(t testing.TB, o GatewayOptions) *served {
	t.Helper()
	ctx, stop := context.WithCancel(t.Context())
	s := &served{state: t.TempDir(), healths: make(chan config.Health, 64)}
	listening, ended := make(chan [2]string, 1), make(chan error, 1)
	o.State, o.Address, o.HealthAddress = s.state, "127.0.0.1:0", "127.0.0.1:0"
	o.Ready = func(address, health net.Addr) { listening <- [2]string{address.String(), health.String()} }
	o.Health = func(h config.Health) { s.healths <- h }
	go func() { ended <- Gateway(ctx, o) }()
	s.end = sync.OnceValue(func() error { stop(); return <-ended })
	t.Cleanup(func() { s.end() })
	select {
	case a := <-listening:
		s.address, s.health = a[0], a[1]
	case err := <-ended:
		ended <- err
		t.Fatal(err)
	}
	s.now = s.wait(t, func(config.Health) bool { return true }).Generation
	return s
}

// wait returns the next health that is as asked for.
func (s *served) wait(t testing.TB, is func(config.Health) bool) config.Health {
	t.Helper()
	for {
		select {
		case h := <-s.healths:
			if is(h) {
				return h
			}
		case <-t.Context().Done():
			t.Fatal("the gateway's health does not come to it")
		}
	}
}

// records returns all of the ledger, once the gateway has ended.
func (s *served) records(t *testing.T) (decisions []gateway.Decision, outcomes []gateway.Outcome) {
	t.Helper()
	if err := s.end(); err != nil {
		t.Fatal(err)
	}
	l, err := ledger.Open(t.Context(), filepath.Join(s.state, "ledger", roleGateway), ledger.Options{ReadOnly: true})
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
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
			decisions = append(decisions, d)
			p, err := l.Prove(t.Context(), e.ID, ledger.Disclose)
			if err != nil {
				t.Fatalf("%s has no proof: %v", e.ID, err)
			}
			data, err := p.Encode()
			if err != nil {
				t.Fatal(err)
			}
			if _, err := ledger.VerifyProof(data, l.VerifierKey()); err != nil {
				t.Errorf("%s: %v", e.ID, err)
			}
		case gateway.OutcomeSchema:
			var o gateway.Outcome
			if err := json.Unmarshal(e.Data, &o); err != nil {
				t.Fatal(err)
			}
			outcomes = append(outcomes, o)
		}
	}
	return decisions, outcomes
}

func drawing(t testing.TB) string {
	t.Helper()
	m := image.NewRGBA(image.Rect(0, 0, 64, 64))
	for i := range 64 * 64 {
		m.Set(i%64, i/64, color.RGBA{200, uint8(i), 30, 255})
	}
	var b bytes.Buffer
	if err := png.Encode(&b, m); err != nil {
		t.Fatal(err)
	}
	return base64.StdEncoding.EncodeToString(b.Bytes())
}

func imageChat(t testing.TB) string {
	return `{"model":"captioner","messages":[{"role":"user","content":[{"type":"text","text":"What is it?"},{"type":"image_url","image_url":{"url":"data:image/png;base64,` + drawing(t) + `"}}]}]}`
}

// as returns a client that shows an identity; nil shows none. The gateway's own
// identity is verified.
func (s *served) as(t *testing.T, id *own.Identity) *http.Client {
	t.Helper()
	transport := &http.Transport{TLSClientConfig: &tls.Config{
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
	}}
	t.Cleanup(transport.CloseIdleConnections)
	return &http.Client{Transport: transport}
}

// ask sends a request and returns status, code and text of the answer.
func (s *served) ask(t *testing.T, c *http.Client, host, path, body string, change func(*http.Request)) (int, verdict.Code, string) {
	t.Helper()
	r, err := http.NewRequestWithContext(t.Context(), http.MethodPost, "https://"+s.address+path, strings.NewReader(body))
	if err != nil {
		t.Fatal(err)
	}
	r.Host = host
	r.Header.Set("Content-Type", "application/json")
	r.Header.Set("Accept", "application/json")
	r.Header.Set("User-Agent", "claims/1.0")
	if change != nil {
		change(r)
	}
	resp, err := c.Do(r)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	data, err := io.ReadAll(resp.Body)
	if err != nil {
		t.Fatal(err)
	}
	var denied struct{ Error struct{ Code verdict.Code } }
	json.Unmarshal(data, &denied) // an answer of the server has no such field
	return resp.StatusCode, denied.Error.Code, string(data)
}

func TestTheGatewayInFrontOfTheCaptioner(t *testing.T) {
	dir, bundles := t.TempDir(), t.TempDir()
	intake := caller(t, bundles, "/intake")
	put(t, dir, "route.yaml", fmt.Sprintf(routeOf, inference(t).URL))
	s := serveGateway(t, GatewayOptions{Config: dir, TrustDomain: "vision.example", Bundles: bundles})

	other, err := own.Open(filepath.Join(t.TempDir(), "other"), "claims.example", "/intake", clock.System{})
	if err != nil {
		t.Fatal(err)
	}
	defer other.Close()
	known, nobody, impostor := s.as(t, intake), s.as(t, nil), s.as(t, other)
	token, err := intake.Token("captioner")
	if err != nil {
		t.Fatal(err)
	}
	foreign, err := intake.Token("elsewhere")
	if err != nil {
		t.Fatal(err)
	}
	bearer := func(token string) func(*http.Request) {
		return func(r *http.Request) { r.Header.Set("Authorization", "Bearer "+token) }
	}
	const chat, host = "/v1/chat/completions", "captioner.example"
	picture := imageChat(t)
	for _, tc := range []struct {
		name             string
		as               *http.Client
		host, path, body string
		change           func(*http.Request)
		status           int
		code             verdict.Code
	}{
		{"a picture by its certificate", known, host, chat, picture, nil, 200, ""},
		{"a picture by its token", nobody, host, chat, picture, bearer(token), 200, ""},
		{"no identity", nobody, host, chat, picture, nil, 401, verdict.RequestIdentity},
		{"an authority that is not trusted", impostor, host, chat, picture, nil, 401, verdict.IdentitySignature},
		{"a token for somebody else", nobody, host, chat, picture, bearer(foreign), 401, verdict.IdentityAudience},
		{"two identities", known, host, chat, picture, bearer(token), 401, verdict.IdentityAmbiguous},
		{"a body that is too long", known, host, chat, strings.Replace(picture, "What", strings.Repeat("What ", 50_000), 1), nil, 413, verdict.BodyLimit},
		{"another host", known, "other.example", chat, picture, nil, 404, verdict.RequestRoute},
		{"another operation", known, host, "/v1/fine_tuning/jobs", picture, nil, 404, verdict.RequestRoute},
		{"an attack in the query", known, host, chat + "?id=1%27%20UNION%20SELECT%20password%20FROM%20users--", picture, nil, 403, verdict.WAFBlocked},
		{"a query without one", known, host, chat + "?id=1", picture, nil, 200, ""},
		{"an action that is not allowed", known, host, "/v1/embeddings", `{"model":"captioner","input":"dent"}`, nil, 403, verdict.AccessDenied},
		{"another model", known, host, chat, strings.Replace(picture, `"captioner"`, `"other"`, 1), nil, 403, verdict.RequestModel},
		{"a picture that is none", known, host, chat, strings.Replace(picture, drawing(t), "PHN2Zz48L3N2Zz4=", 1), nil, 403, verdict.MediaActive},
	} {
		t.Run(tc.name, func(t *testing.T) {
			status, code, text := s.ask(t, tc.as, tc.host, tc.path, tc.body, tc.change)
			if status != tc.status || tc.code != "" && code != tc.code {
				t.Errorf("%d %s, want %d %s: %s", status, code, tc.status, tc.code, text)
			}
			if tc.status == 200 && !strings.Contains(text, `"content":`) {
				t.Errorf("the model does not answer: %s", text)
			}
		})
	}
	decisions, outcomes := s.records(t)
	allowed := map[string]bool{}
	for _, d := range decisions {
		if d.Allowed {
			allowed[d.ID] = true
			if d.Principal != "spiffe://claims.example/intake" || d.Generation == "" || len(d.Parts) != 1 || len(d.Policies) == 0 || d.WAF == nil {
				t.Errorf("%+v", d)
			}
		}
	}
	for _, o := range outcomes {
		if !allowed[o.ID] || o.Status != 200 || o.Bytes == 0 {
			t.Errorf("%+v", o)
		}
	}
	if len(decisions) != 14 || len(allowed) != 3 || len(outcomes) != 3 {
		t.Errorf("%d decisions, %d allowed, %d outcomes", len(decisions), len(allowed), len(outcomes))
	}
}

func TestAReloadFailsNoRequestAndMixesNothing(t *testing.T) {
	dir, bundles := t.TempDir(), t.TempDir()
	intake := caller(t, bundles, "/intake")
	route := fmt.Sprintf(routeOf, inference(t).URL)
	put(t, dir, "route.yaml", route)
	s := serveGateway(t, GatewayOptions{Config: dir, TrustDomain: "vision.example", Bundles: bundles})
	known, picture := s.as(t, intake), imageChat(t)
	stop := make(chan struct{})
	var asking sync.WaitGroup
	for range 2 {
		asking.Go(func() {
			for {
				select {
				case <-stop:
					return
				default:
				}
				if status, _, text := s.ask(t, known, "captioner.example", "/v1/chat/completions", picture, nil); status != 200 {
					t.Errorf("%d %s", status, text)
					return
				}
			}
		})
	}
	generations := map[string]bool{}
	for i := range 4 {
		put(t, dir, "route.yaml", strings.Replace(route, "requests: 100000", fmt.Sprintf("requests: %d", 100001+i), 1))
		h := s.wait(t, func(h config.Health) bool { return h.OK() && !generations[h.Generation] })
		generations[h.Generation] = true
	}
	put(t, dir, "route.yaml", strings.Replace(route, "api: OpenAI", "api: SOAP", 1))
	last := s.wait(t, func(h config.Health) bool { return len(h.Problems) > 0 })
	if !generations[last.Generation] {
		t.Errorf("%s is in force, which never was right", last.Generation)
	}
	if status, _, _ := s.ask(t, known, "captioner.example", "/v1/chat/completions", picture, nil); status != 200 {
		t.Errorf("%d: what was in force stays", status)
	}
	if status := s.probe(t, "/readyz"); status != 503 {
		t.Errorf("ready: %d", status)
	}
	put(t, dir, "route.yaml", route)
	s.wait(t, config.Health.OK)
	if status := s.probe(t, "/readyz"); status != 200 {
		t.Errorf("not ready: %d", status)
	}
	close(stop)
	asking.Wait()
	decisions, outcomes := s.records(t)
	if len(decisions) == 0 || len(outcomes) != len(decisions) {
		t.Errorf("%d decisions, %d outcomes", len(decisions), len(outcomes))
	}
	for _, d := range decisions {
		if !d.Allowed || d.Generation == "" {
			t.Errorf("%+v", d)
		}
	}
}

func (s *served) probe(t *testing.T, path string) int {
	t.Helper()
	r, err := http.NewRequestWithContext(t.Context(), http.MethodGet, "http://"+s.health+path, nil)
	if err != nil {
		t.Fatal(err)
	}
	resp, err := http.DefaultClient.Do(r)
	if err != nil {
		t.Fatal(err)
	}
	resp.Body.Close()
	return resp.StatusCode
}

func TestARevocationInTheFolderStopsTheCaller(t *testing.T) {
	dir, bundles := t.TempDir(), t.TempDir()
	intake := caller(t, bundles, "/intake")
	put(t, dir, "route.yaml", fmt.Sprintf(routeOf, inference(t).URL))
	s := serveGateway(t, GatewayOptions{Config: dir, TrustDomain: "vision.example", Bundles: bundles})
	known, picture := s.as(t, intake), imageChat(t)
	ask := func() (int, verdict.Code) {
		status, code, _ := s.ask(t, known, "captioner.example", "/v1/chat/completions", picture, nil)
		return status, code
	}
	head := "apiVersion: security.apexlogic.com/v1alpha1\nkind: Revocation\nmetadata: {name: r}\nspec:\n  reason: it was stolen, INC-1\n"
	for what, code := range map[string]verdict.Code{
		"  identity: {issuer: \"spiffe://claims.example\", subject: /intake}\n": verdict.IdentityRevoked,
		"  digest: sha256:" + strings.Repeat("a", 64) + "\n":                    verdict.Revoked,
	} {
		if status, _ := ask(); status != 200 {
			t.Fatal(status)
		}
		before := s.now
		put(t, dir, "revocation.yaml", head+what)
		s.now = s.wait(t, func(h config.Health) bool { return h.OK() && h.Generation != before }).Generation
		if _, got := ask(); got != code {
			t.Errorf("%s: %s", what, got)
		}
		before = s.now
		if err := os.Remove(filepath.Join(dir, "revocation.yaml")); err != nil {
			t.Fatal(err)
		}
		s.now = s.wait(t, func(h config.Health) bool { return h.OK() && h.Generation != before }).Generation
	}
}

func TestWhatARouteAsksForAndCannotHaveIsSaid(t *testing.T) {
	bundles := t.TempDir()
	caller(t, bundles, "/intake")
	compiler, err := newGatewayCompiler(&GatewayOptions{Bundles: bundles, Clock: clock.System{}}, nil, meter.New(clock.System{}), func() *gateway.Snapshot { return nil })
	if err != nil {
		t.Fatal(err)
	}
	defer compiler.close()
	route := fmt.Sprintf(routeOf, "http://127.0.0.1:1")
	policy := `---
apiVersion: security.apexlogic.com/v1alpha1
kind: AccessPolicy
metadata: {name: p}
spec:
  cedar: permit (principal, action == Action::"embed", resource);
  tests:
    - {name: t, principal: "spiffe://claims.example/other", action: embed, route: captioner, model: captioner, expect: Allow}
`
	for _, tc := range []struct{ name, old, new, path, says string }{
		{"a trust domain whose keys nobody knows", "    - spiffe:", "    - spiffe: {trustDomain: other.example}\n    - spiffe:", "spec.identities", "other.example.json"},
		{"mutual TLS without an identity", `"http://127.0.0.1:1", tls: Plaintext`, `"https://127.0.0.1:1", spiffeIDs: ["spiffe://vision.example/a"]`, "spec.upstream.tls", "--trust-domain"},
		{"content from everywhere below a top-level domain", "kinds: [Image]", "hosts: ['*.example']", "spec.media.hosts", "without a dot"},
		{"content from a network that is none", "kinds: [Image]", "hosts: [media.example], networks: [10.1.2.3/8]", "spec.media.networks[0]", "10.0.0.0/8"},
		{"a grant to nobody", "spiffe://claims.example/intake", "intake", "spec.allow[0]", "is nobody"},
		{"a policy that is no Cedar", `permit (principal, action ==`, `permit (principal, action =`, "spec.cedar", "line 1"},
		{"a policy about an action that there is not", `Action::"embed"`, `Action::"dance"`, "spec.cedar", "dance"},
		{"a test that fails", "expect: Allow", "expect: Deny", "spec.tests[0]", "expected Deny"},
		{"a test of an action that there is not", "action: embed, route", "action: dance, route", "spec.tests[0]", "dance"},
		{"an exclusion that is no rule about attacks", "  limits:", "  waf: {exclusions: [{rule: 901001, until: 2099-01-01T00:00:00Z, reason: why}]}\n  limits:", "spec.waf", "911000"},
		{"an exclusion of a rule that there is not", "  limits:", "  waf: {exclusions: [{rule: 942109, until: 2099-01-01T00:00:00Z, reason: why}]}\n  limits:", "spec.waf", "has no such rule"},
		{"an issuer with a query", "    - spiffe:", "    - oidc: {issuer: \"https://u@id.example\", audience: a}\n    - spiffe:", "spec.identities", "https URL"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			whole := route + policy
			if strings.Count(whole, tc.old) == 0 {
				t.Fatal("the document has no such text")
			}
			for change, text := range map[bool]string{false: whole, true: strings.Replace(whole, tc.old, tc.new, 1)} {
				set, err := config.Load(t.Context(), config.Bytes("f", []byte(text)))
				if err != nil || set.Err() != nil {
					t.Fatal(err, set.Err())
				}
				_, err = compiler.compile(set)
				if !change {
					if err != nil {
						t.Fatal(err)
					}
					continue
				}
				invalid, is := errors.AsType[*config.Invalid](err)
				if !is || invalid.Problems[0].Path != tc.path || !strings.Contains(invalid.Problems[0].Message, tc.says) {
					t.Errorf("%v", err)
				}
			}
		})
	}
}

func TestWithoutACertificateTheGatewayListensOnLoopbackOnly(t *testing.T) {
	err := Gateway(t.Context(), GatewayOptions{Config: t.TempDir(), State: t.TempDir(), Address: "0.0.0.0:0", HealthAddress: "127.0.0.1:0"})
	if err == nil || !strings.Contains(err.Error(), "--trust-domain") {
		t.Error(err)
	}
}
