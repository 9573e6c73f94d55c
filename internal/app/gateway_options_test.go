package app

import (
	"crypto/sha1"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/apexlogic/apex/verdict"
)

// optionRoute is a route for NAME.example, with an option.
const optionRoute = `apiVersion: security.apexlogic.com/v1alpha1
kind: ProtectedRoute
metadata: {name: %[1]s}
spec:
  hosts: [%[1]s.example]
  api: JSON
  upstream: {url: "%[2]s", tls: Plaintext}
  anonymous: true
  allow:
    - {identities: [anonymous], actions: [infer, list]}
  limits: {requests: 100000}
  json: {%[4]s}
  %[3]s
---
`

// What the server behind says: an error of a database, the same as what a model
// wrote, and a credential.
var (
	sqlError   = `{"caption":"a car","debug":"You have an error in your SQL syntax; check the manual"}`
	sqlCaption = `{"caption":"You have an error in your SQL syntax; check the manual"}`
	credential = `{"note":"ghp_` + strings.Repeat("a1B2c3", 7) + `"}`
)

func TestEachOptionAboutAnswersIsCompiledAndItsTwinIsNot(t *testing.T) {
	behind := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if key := r.Header.Get("Sec-WebSocket-Key"); key != "" {
			sum := sha1.Sum([]byte(key + "258EAFA5-E914-47DA-95CA-C5AB0DC85B11")) // RFC 6455 section 4.2.2
			w.Header().Set("Upgrade", "websocket")
			w.Header().Set("Connection", "Upgrade")
			w.Header().Set("Sec-WebSocket-Accept", base64.StdEncoding.EncodeToString(sum[:]))
			w.WriteHeader(http.StatusSwitchingProtocols)
			if conn, _, err := http.NewResponseController(w).Hijack(); err == nil {
				conn.Close()
			}
			return
		}
		w.Header().Set("Content-Type", "application/json")
		io.WriteString(w, map[string]string{"/error": sqlError, "/caption": sqlCaption, "/credential": credential}[r.URL.Path])
	}))
	t.Cleanup(behind.Close)
	const passes = ""
	cases := []struct {
		name, option, json, path string
		code                     verdict.Code
	}{
		{"default", "waf: {}", "", "/error", verdict.AnswerBlocked},
		{"default-caption", "waf: {}", "", "/caption", verdict.AnswerBlocked},
		{"detect", "waf: {answers: Detect}", "", "/error", passes},
		{"observe", "waf: {mode: Detect}", "", "/error", passes},
		{"observe-but", "waf: {mode: Detect, answers: Block}", "", "/error", verdict.AnswerBlocked},
		{"requests-only", "waf: {answers: Disabled}", "", "/error", passes},
		{"answers-only", "waf: {mode: Disabled, answers: Block}", "", "/error", verdict.AnswerBlocked},
		{"nothing", "waf: {mode: Disabled}", "", "/error", passes},
		{"threshold", "waf: {answerThreshold: 6}", "", "/error", passes},
		{"threshold-met", "waf: {answerThreshold: 5}", "", "/error", verdict.AnswerBlocked},
		{"excluded", "waf: {exclusions: [{rule: 951230, until: 2099-01-01T00:00:00Z, reason: a course about SQL}]}", "", "/error", passes},
		{"excluded-once", "waf: {exclusions: [{rule: 951230, until: 2020-01-01T00:00:00Z, reason: a course about SQL}]}", "", "/error", verdict.AnswerBlocked},
		{"texts", "answers: {texts: [/caption]}", "", "/caption", passes},
		{"texts-beside", "answers: {texts: [/caption]}", "", "/error", verdict.AnswerBlocked},
		{"credentials", "answers: {credentials: Pass}", "", "/credential", passes},
		{"credentials-cut", "answers: {}", "", "/credential", verdict.StreamCredential},
		{"sockets", "waf: {}", "sockets: true", "/socket", passes},
		{"no-sockets", "waf: {}", "", "/socket", verdict.RequestRoute},
	}
	var all strings.Builder
	for _, c := range cases {
		fmt.Fprintf(&all, optionRoute, c.name, behind.URL, c.option, c.json)
	}
	dir := t.TempDir()
	put(t, dir, "routes.yaml", strings.TrimSuffix(all.String(), "---\n"))
	s := serveGateway(t, GatewayOptions{Config: dir, TrustDomain: "vision.example"})
	client := s.as(t, nil)
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			if c.path != "/socket" {
				status, code, text := s.ask(t, client, c.name+".example", c.path, `{"a":1}`, nil)
				if code != c.code || c.code == passes && status != http.StatusOK {
					t.Errorf("%d %s %q, not %s", status, code, text, c.code)
				}
				return
			}
			status, code := s.upgrade(t, client, c.name+".example", c.path)
			if code != c.code || c.code == passes && status != http.StatusSwitchingProtocols {
				t.Errorf("%d %s, not %s", status, code, c.code)
			}
		})
	}
	_, outcomes := s.records(t)
	looked := 0
	for _, o := range outcomes {
		if o.WAF != nil {
			looked++
		}
	}
	if want := len(cases) - 5; looked != want { // two do not look, one was cut before, and two are sockets
		t.Errorf("%d outcomes say what the rules found, not %d", looked, want)
	}
}

// upgrade asks for a WebSocket.
func (s *served) upgrade(t *testing.T, c *http.Client, host, path string) (int, verdict.Code) {
	t.Helper()
	r, err := http.NewRequestWithContext(t.Context(), http.MethodGet, "https://"+s.address+path, nil)
	if err != nil {
		t.Fatal(err)
	}
	r.Host = host
	for name, value := range map[string]string{
		"Connection": "Upgrade", "Upgrade": "websocket", "Sec-WebSocket-Version": "13", "Sec-WebSocket-Key": "dGhlIHNhbXBsZSBub25jZQ==",
	} {
		r.Header.Set(name, value)
	}
	resp, err := c.Do(r)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	if resp.StatusCode == http.StatusSwitchingProtocols {
		return resp.StatusCode, ""
	}
	var denied struct{ Error struct{ Code verdict.Code } }
	if err := json.NewDecoder(resp.Body).Decode(&denied); err != nil {
		t.Fatal(err)
	}
	return resp.StatusCode, denied.Error.Code
}
