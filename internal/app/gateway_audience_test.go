package app

import (
	"net/http"
	"net/http/httptest"
	"testing"

	"github.com/apexlogic/apex/verdict"
)

func TestTokensAreTakenOfTheTrustDomainsThatNameAnAudience(t *testing.T) {
	behind := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", "application/json")
		w.Write([]byte(`{"a":1}`))
	}))
	t.Cleanup(behind.Close)
	dir, bundles := t.TempDir(), t.TempDir()
	intake, guest := caller(t, bundles, "/intake"), workload(t, bundles, "guests.example", "/guest")
	put(t, dir, "route.yaml", `apiVersion: security.apexlogic.com/v1alpha1
kind: ProtectedRoute
metadata: {name: r}
spec:
  hosts: [r.example]
  api: JSON
  json: {}
  upstream: {url: "`+behind.URL+`", tls: Plaintext}
  identities:
    - spiffe: {trustDomain: claims.example, audience: captioner}
    - spiffe: {trustDomain: guests.example}
  allow: [{identities: ["*"], actions: [infer]}]
`)
	s := serveGateway(t, GatewayOptions{Config: dir, TrustDomain: "vision.example", Bundles: bundles})
	with := func(id interface{ Token(string) (string, error) }) verdict.Code {
		token, err := id.Token("captioner")
		if err != nil {
			t.Fatal(err)
		}
		_, code, _ := s.ask(t, s.as(t, nil), "r.example", "/", `{"a":1}`, func(r *http.Request) { r.Header.Set("Authorization", "Bearer "+token) })
		return code
	}
	if code := with(intake); code != "" {
		t.Errorf("a token of the trust domain with an audience: %s", code)
	}
	if code := with(guest); code != verdict.IdentityUntrusted {
		t.Errorf("a token of the trust domain without one: %q", code)
	}
	if _, code, _ := s.ask(t, s.as(t, guest), "r.example", "/", `{"a":1}`, nil); code != "" {
		t.Errorf("its certificate: %s", code)
	}
}
