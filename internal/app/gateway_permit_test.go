package app

import (
	"bufio"
	"context"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/coder/websocket"

	"github.com/apexlogic/apex/internal/config"
	"github.com/apexlogic/apex/internal/gateway/fetch/address"
	"github.com/apexlogic/apex/internal/identity/identitytest"
	"github.com/apexlogic/apex/internal/identity/own"
	"github.com/apexlogic/apex/verdict"
)

// What rules or trust would not let begin any more does not go on, and everything
// else does: on one route run a workload's events, its WebSocket and a person's
// events, beside it the workload's tunnel, and events of somebody whom no change
// concerns.
func TestWhatWouldNotBeAllowedAnyMoreIsCut(t *testing.T) {
	release := make(chan struct{})
	behind := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.Header.Get("Upgrade") != "" {
			echo(w, r)
			return
		}
		w.Header().Set("Content-Type", "text/event-stream")
		io.WriteString(w, "data: {\"choices\":[]}\n\n")
		http.NewResponseController(w).Flush()
		select {
		case <-r.Context().Done():
		case <-release:
			io.WriteString(w, "data: [DONE]\n\n")
		}
	}))
	defer behind.Close()
	outside := httptest.NewTLSServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		http.NewResponseController(w).EnableFullDuplex()
		io.WriteString(w, "begun\n")
		http.NewResponseController(w).Flush()
		<-r.Context().Done()
	}))
	defer outside.Close()
	people := identitytest.NewIssuer(t).Serve()
	authorities := filepath.Join(t.TempDir(), "issuers.pem")
	if err := os.WriteFile(authorities, people.PEM, 0o600); err != nil {
		t.Fatal(err)
	}

	const (
		claims = "    - spiffe: {trustDomain: claims.example, audience: captioner}\n"
		mesh   = "    - spiffe: {trustDomain: mesh.example, audience: captioner}\n"
		model  = "    - {name: captioner}\n"
		spare  = "    - {name: spare}\n"
	)
	issuer := "    - oidc: {issuer: " + people.URL + ", audience: captioner}\n"
	ada := people.URL + "#ada"
	route := func(identities, allowed, models string) string {
		return fmt.Sprintf("apiVersion: security.apexlogic.com/v1alpha1\nkind: ProtectedRoute\nmetadata: {name: captioner}\nspec:\n  hosts: [captioner.example]\n  api: OpenAI\n"+
			"  upstream: {url: %q, tls: Plaintext}\n  identities:\n%s  allow:\n    - {identities: [%s], actions: [infer]}\n  models:\n%s  limits: {requests: 100000}\n", behind.URL, identities, allowed, models)
	}
	everybody := `"spiffe://claims.example/intake", "spiffe://mesh.example/other", "` + ada + `"`
	whole := route(claims+mesh+issuer, everybody, model+spare)

	dir, bundles := t.TempDir(), t.TempDir()
	intake, other := caller(t, bundles, "/intake"), workload(t, bundles, "mesh.example", "/other")
	put(t, dir, "route.yaml", whole)
	put(t, dir, "out.yaml", wayOut)
	put(t, dir, "labels.yaml", labelled)
	put(t, dir, "attributes.yaml", forbidByAttributes)
	o := GatewayOptions{
		Config: dir, TrustDomain: "vision.example", Bundles: bundles, PrivateIssuers: []string{people.URL}, IssuerAuthorities: authorities,
		Egress: Egress{Address: "127.0.0.1:0", dialer: &address.Dialer{Resolver: names{"weights.example.": "93.184.216.34"}, Connect: func(ctx context.Context, network, _ string) (net.Conn, error) {
			return (&net.Dialer{}).DialContext(ctx, network, outside.Listener.Addr().String())
		}}},
	}
	at := doorsOf(&o)
	s := serveGateway(t, o)
	h := &lasting{t: t, s: s, proxy: at(doorEgress)}
	h.token = people.Token("ES256", `{"alg":"ES256","kid":"p256"}`, identitytest.Object{"iss": people.URL, "sub": "ada", "aud": "captioner", "exp": time.Now().Unix() + 3000}.String())
	asIntake, asOther, asNobody := s.as(t, intake), s.as(t, other), s.as(t, nil)
	throughProxy := &http.Client{Transport: &http.Transport{TLSClientConfig: shows(intake), Proxy: http.ProxyURL(&url.URL{Scheme: "https", Host: h.proxy})}}
	defer throughProxy.CloseIdleConnections()

	untouched := h.events(asOther, "")
	var mine, hers *bufio.Reader
	var socket *websocket.Conn
	var tunnel io.ReadCloser
	for _, tt := range []struct {
		name, file, text string // what the folder says then; "" takes the file away
		in               string // another folder
		// How each ends; "" goes on.
		mine, hers verdict.Code
		tunnel     bool
	}{
		{"a label of the workload is taken off", "labels.yaml", strings.Replace(labelled, "team: claims", "team: sales", 1), dir, verdict.AccessForbidden, "", false},
		{"the class of the route is raised", "route.yaml", strings.Replace(whole, "  hosts:", "  classification: Restricted\n  hosts:", 1), dir, verdict.AccessForbidden, "", false},
		{"a change that concerns nobody", "more.yaml", strings.NewReplacer("captioner.example", "more.example", "{name: captioner}\nspec", "{name: more}\nspec").Replace(whole), dir, "", "", false},
		{"the right to go out is taken back", "out.yaml", strings.Replace(wayOut, `Host::"weights.example", `, "", 1), dir, "", "", true},
		{"the right to ask is taken back", "route.yaml", route(claims+mesh+issuer, `"spiffe://mesh.example/other", "`+ada+`"`, model+spare), dir, verdict.AccessDenied, "", false},
		{"a policy forbids it", "forbid.yaml", forbidAda(ada), dir, "", verdict.AccessForbidden, false},
		{"the route does not take the trust domain any more", "route.yaml", route(mesh+issuer, `"spiffe://mesh.example/other", "`+ada+`"`, model+spare), dir, verdict.IdentityUntrusted, "", false},
		{"the route does not take the issuer any more", "route.yaml", route(claims+mesh, `"spiffe://claims.example/intake", "spiffe://mesh.example/other"`, model+spare), dir, "", verdict.IdentityUntrusted, false},
		{"the keys of the trust domain are taken away", "claims.example.json", "", bundles, verdict.IdentityUntrusted, "", true},
	} {
		if mine == nil {
			mine, socket = h.events(asIntake, ""), h.socket(intake)
		}
		if hers == nil {
			hers = h.events(asNobody, h.token)
		}
		if tunnel == nil {
			tunnel = h.tunnel(throughProxy)
		}
		path := filepath.Join(tt.in, tt.file)
		before, err := os.ReadFile(path)
		existed := err == nil
		began := time.Now()
		if tt.text == "" {
			os.Remove(path)
		} else {
			put(t, tt.in, tt.file, tt.text)
		}
		if tt.in == dir {
			h.inForce()
		}
		if tt.mine != "" {
			h.cut(tt.name, mine, tt.mine)
			h.closed(tt.name, socket, tt.mine)
			mine = nil
		} else {
			h.goesOn(tt.name, socket)
		}
		if tt.hers != "" {
			h.cut(tt.name, hers, tt.hers)
			hers = nil
		}
		if tt.tunnel {
			if _, err := io.Copy(io.Discard, tunnel); err == nil {
				t.Errorf("%s: the tunnel went on to its end", tt.name)
			}
			tunnel.Close()
			tunnel = nil
		}
		t.Logf("%s: from the file to the last cut %v", tt.name, time.Since(began).Round(time.Millisecond))
		if existed {
			put(t, tt.in, tt.file, string(before))
		} else {
			os.Remove(path)
		}
		if tt.in == dir {
			h.inForce()
		}
		for { // until a bundle that is back was read
			if status, code, _ := s.ask(t, asIntake, "captioner.example", "/v1/embeddings", `{"input":"x","model":"captioner"}`, nil); code != verdict.IdentityUntrusted {
				if status == http.StatusUnauthorized {
					t.Fatal(tt.name, code)
				}
				break
			}
		}
	}
	// A model and a route are everybody's: what was not concerned so far is told, too.
	if mine == nil {
		mine, socket = h.events(asIntake, ""), h.socket(intake)
	}
	put(t, dir, "route.yaml", route(claims+mesh+issuer, everybody, spare))
	h.cut("the model is taken away", mine, verdict.RequestModel)
	h.closed("the model is taken away", socket, verdict.RequestModel)
	h.cut("the model is taken away, for another", untouched, verdict.RequestModel)
	h.inForce()
	put(t, dir, "route.yaml", whole)
	h.inForce()
	mine, untouched = h.events(asIntake, ""), h.events(asOther, "")
	put(t, dir, "route.yaml", strings.Replace(whole, "captioner.example", "elsewhere.example", 1))
	h.cut("the route is taken away", mine, verdict.RequestRoute)
	h.cut("the route is taken away, for another", untouched, verdict.RequestRoute)
	h.inForce()
	put(t, dir, "route.yaml", whole)
	h.inForce()
	last := h.events(asIntake, "")
	close(release)
	if rest, err := io.ReadAll(last); err != nil || !strings.Contains(string(rest), "[DONE]") || strings.Contains(string(rest), "apex_denied") {
		t.Errorf("what nothing concerned does not come to its end: %q %v", rest, err)
	}

	codes := map[string]int{}
	for _, r := range egressRecords(t, s) {
		codes[r.Event+" "+r.Code]++
	}
	for _, want := range []verdict.Code{verdict.EgressDestination, verdict.IdentityUntrusted} {
		if codes["closed "+string(want)] != 1 {
			t.Errorf("tunnels by how they ended: %v", codes)
		}
	}
}

// What intake may do hangs on its label and on the class of the route.
const (
	labelled = `apiVersion: security.apexlogic.com/v1alpha1
kind: WorkloadIdentity
metadata: {name: intake, labels: {team: claims}}
spec: {spiffeID: "spiffe://claims.example/intake", joinToken: {name: intake}}
`
	forbidByAttributes = `apiVersion: security.apexlogic.com/v1alpha1
kind: AccessPolicy
metadata: {name: attributes}
spec:
  cedar: |
    forbid (principal is Workload, action == Action::"infer", resource)
    when { principal == Workload::"spiffe://claims.example/intake" }
    unless { principal.hasTag("team") && principal.getTag("team") == "claims" };
    forbid (principal == Workload::"spiffe://claims.example/intake", action == Action::"infer", resource)
    when { context has classification && context.classification == "Restricted" };
`
)

func forbidAda(ada string) string {
	return "apiVersion: security.apexlogic.com/v1alpha1\nkind: AccessPolicy\nmetadata: {name: forbid}\nspec:\n  cedar: |\n    forbid(principal == Person::\"" + ada + "\", action, resource);\n"
}

// echo sends each message of a WebSocket back.
func echo(w http.ResponseWriter, r *http.Request) {
	c, err := websocket.Accept(w, r, nil)
	if err != nil {
		return
	}
	defer c.CloseNow()
	for {
		kind, message, err := c.Read(r.Context())
		if err != nil || c.Write(r.Context(), kind, message) != nil {
			return
		}
	}
}

// lasting opens what runs for long, and sees how it ends.
type lasting struct {
	t            *testing.T
	s            *served
	proxy, token string
}

// inForce waits until something else is in force than before.
func (h *lasting) inForce() {
	h.t.Helper()
	h.s.now = h.s.wait(h.t, func(c config.Health) bool {
		if !c.OK() {
			h.t.Fatal(c.Problems)
		}
		return c.Generation != h.s.now
	}).Generation
}

// events opens an answer that does not end by itself.
func (h *lasting) events(c *http.Client, bearer string) *bufio.Reader {
	h.t.Helper()
	r, err := http.NewRequestWithContext(h.t.Context(), http.MethodPost, "https://"+h.s.address+"/v1/chat/completions",
		strings.NewReader(`{"model":"captioner","stream":true,"messages":[{"role":"user","content":"Hello"}]}`))
	if err != nil {
		h.t.Fatal(err)
	}
	r.Host = "captioner.example"
	r.Header = http.Header{"Content-Type": {"application/json"}, "Accept": {"text/event-stream"}, "User-Agent": {"claims/1.0"}}
	if bearer != "" {
		r.Header.Set("Authorization", "Bearer "+bearer)
	}
	resp, err := c.Do(r)
	if err != nil {
		h.t.Fatal(err)
	}
	h.t.Cleanup(func() { resp.Body.Close() })
	lines := bufio.NewReader(resp.Body)
	if first, err := lines.ReadString('\n'); err != nil || resp.StatusCode != http.StatusOK {
		h.t.Fatalf("%d %q %v", resp.StatusCode, first, err)
	}
	return lines
}

// cut wants the events to end with an event that says the code.
func (h *lasting) cut(name string, lines *bufio.Reader, code verdict.Code) {
	h.t.Helper()
	if rest, err := io.ReadAll(lines); err != nil || !strings.Contains(string(rest), `"code":"`+string(code)+`"`) {
		h.t.Errorf("%s: the events end without saying %s: %q %v", name, code, rest, err)
	}
}

// socket opens a WebSocket, by a token.
func (h *lasting) socket(id *own.Identity) *websocket.Conn {
	h.t.Helper()
	token, err := id.Token("captioner")
	if err != nil {
		h.t.Fatal(err)
	}
	transport := &http.Transport{TLSClientConfig: shows(nil)}
	h.t.Cleanup(transport.CloseIdleConnections)
	c, _, err := websocket.Dial(h.t.Context(), "wss://"+h.s.address+"/v1/realtime?model=captioner", &websocket.DialOptions{
		HTTPClient: &http.Client{Transport: transport}, Host: "captioner.example", HTTPHeader: http.Header{"Authorization": {"Bearer " + token}, "User-Agent": {"claims/1.0"}},
	})
	if err != nil {
		h.t.Fatal(err)
	}
	h.t.Cleanup(func() { c.CloseNow() })
	h.goesOn("at first", c)
	return c
}

// goesOn wants a message to come back.
func (h *lasting) goesOn(name string, c *websocket.Conn) {
	h.t.Helper()
	const message = `{"type":"response.text.delta","delta":"hello"}`
	if err := c.Write(h.t.Context(), websocket.MessageText, []byte(message)); err != nil {
		h.t.Fatal(name, err)
	}
	if _, got, err := c.Read(h.t.Context()); err != nil || string(got) != message {
		h.t.Fatalf("%s: the WebSocket does not go on: %q %v", name, got, err)
	}
}

// closed wants the WebSocket to be closed with an event that says the code.
func (h *lasting) closed(name string, c *websocket.Conn, code verdict.Code) {
	h.t.Helper()
	if _, text, err := c.Read(h.t.Context()); err != nil || !strings.Contains(string(text), string(code)) {
		h.t.Errorf("%s: the WebSocket ends without saying %s: %q %v", name, code, text, err)
	}
	if _, _, err := c.Read(h.t.Context()); websocket.CloseStatus(err) != websocket.StatusPolicyViolation {
		h.t.Errorf("%s: %v", name, err)
	}
}

// tunnel opens a way out that does not end by itself.
func (h *lasting) tunnel(c *http.Client) io.ReadCloser {
	h.t.Helper()
	r, err := http.NewRequestWithContext(h.t.Context(), http.MethodGet, "https://weights.example/long", nil)
	if err != nil {
		h.t.Fatal(err)
	}
	resp, err := c.Do(r)
	if err != nil {
		h.t.Fatal(err)
	}
	if _, err := io.ReadFull(resp.Body, make([]byte, len("begun\n"))); err != nil {
		h.t.Fatal(err)
	}
	return resp.Body
}
