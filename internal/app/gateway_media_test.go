package app

import (
	"encoding/base64"
	"encoding/pem"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"path/filepath"
	"strings"
	"testing"

	"github.com/apexlogic/apex/internal/config"
	"github.com/apexlogic/apex/verdict"
)

func TestTheModelSeesWhatStandsAtAnAddressOnAListedHost(t *testing.T) {
	png, err := base64.StdEncoding.DecodeString(drawing(t))
	if err != nil {
		t.Fatal(err)
	}
	store := httptest.NewTLSServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", "image/png")
		w.Write(png)
	}))
	defer store.Close()
	dir, bundles, keys := t.TempDir(), t.TempDir(), t.TempDir()
	put(t, keys, "store.pem", string(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: store.Certificate().Raw})))
	intake := caller(t, bundles, "/intake")
	host := strings.TrimPrefix(store.URL, "https://")
	content := fmt.Sprintf("media: {kinds: [Image], hosts: [%q], networks: [127.0.0.0/8], stripMetadata: true}", host)
	put(t, dir, "route.yaml", strings.Replace(fmt.Sprintf(routeOf, inference(t).URL), "media: {kinds: [Image]}", content, 1))
	s := serveGateway(t, GatewayOptions{Config: dir, TrustDomain: "vision.example", Bundles: bundles, ServerAuthorities: filepath.Join(keys, "store.pem")})
	chat := func(url string) string {
		return strings.Replace(imageChat(t), "data:image/png;base64,"+drawing(t), url, 1)
	}
	for url, want := range map[string]verdict.Code{store.URL + "/a.png": "", "https://127.0.0.1:1/a.png": verdict.MediaAddress} {
		status, code, text := s.ask(t, s.as(t, intake), "captioner.example", "/v1/chat/completions", chat(url), nil)
		if (status == 200) != (want == "") || code != want || want == "" && !strings.Contains(text, `"content":`) {
			t.Errorf("%s: %d %s %s", url, status, code, text)
		}
	}
	decisions, _ := s.records(t)
	for _, d := range decisions {
		if p := d.Parts[0]; d.Allowed && (p.From != host || p.Bytes != int64(len(png)) || d.Forwarded == "") {
			t.Errorf("%+v", d)
		}
	}
}

func TestReferencesPassWhereARouteNamesThem(t *testing.T) {
	dir := t.TempDir()
	behind := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", "application/json")
		io.WriteString(w, "{}")
	}))
	t.Cleanup(behind.Close)
	const route = `apiVersion: security.apexlogic.com/v1alpha1
kind: ProtectedRoute
metadata: {name: %[1]s}
spec:
  hosts: [%[1]s.example]
  api: OpenAI
  upstream: {url: "%[2]s", tls: Plaintext}
  anonymous: true
  allow: [{identities: [anonymous], actions: [infer]}]
  media: {references: [%[3]s]}
---
`
	messages := map[string]string{
		"Files":         `{"input":[{"role":"user","content":[{"type":"input_file","file_id":"file-1"}]}]}`,
		"Conversations": `{"input":"x","previous_response_id":"resp_1"}`,
		"Prompts":       `{"prompt":{"id":"pmpt_1"}}`,
	}
	all := fmt.Sprintf(route, "none", behind.URL, "")
	for name := range messages {
		all += fmt.Sprintf(route, strings.ToLower(name), behind.URL, name)
	}
	put(t, dir, "routes.yaml", strings.TrimSuffix(all, "---\n"))
	s := serveGateway(t, GatewayOptions{Config: dir, TrustDomain: "vision.example"})
	client := s.as(t, nil)
	for name, message := range messages {
		for host := range messages {
			status, code, answer := s.ask(t, client, strings.ToLower(host)+".example", "/v1/responses", message, nil)
			if passes := host == name; passes && status != 200 || !passes && code != verdict.BodyReference {
				t.Errorf("%s where %s pass: %d %s %s", name, host, status, code, answer)
			}
		}
		if _, code, answer := s.ask(t, client, "none.example", "/v1/responses", message, nil); code != verdict.BodyReference {
			t.Errorf("%s where none pass: %s %s", name, code, answer)
		}
	}
	put(t, dir, "json.yaml", strings.Replace(strings.TrimSuffix(fmt.Sprintf(route, "plain", behind.URL, "Files"), "---\n"), "api: OpenAI", "api: JSON\n  json: {}", 1))
	if h := s.wait(t, func(h config.Health) bool { return !h.OK() }); !strings.Contains(fmt.Sprint(h.Problems), "belong to api: OpenAI") {
		t.Errorf("%v", h.Problems)
	}
}
