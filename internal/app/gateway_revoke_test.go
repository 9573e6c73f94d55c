package app

import (
	"bufio"
	"crypto/sha256"
	"crypto/x509"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/apexlogic/apex/internal/config"
	"github.com/apexlogic/apex/verdict"
)

// Who takes a trust domain out of a route in a hurry, and leaves its grants, has to
// see that nothing has changed, and has a way that works at once.
func TestATrustDomainThatIsTakenOutOfARouteByHalvesIsStoppedByARevocation(t *testing.T) {
	dir, bundles := t.TempDir(), t.TempDir()
	intake := caller(t, bundles, "/intake")
	workload(t, bundles, "mesh.example", "/other")
	route := fmt.Sprintf(routeOf, inference(t).URL)
	halves := strings.Replace(route, "spiffe: {trustDomain: claims.example,", "spiffe: {trustDomain: mesh.example,", 1)
	put(t, dir, "route.yaml", route)
	var said lockedBuffer
	s := serveGateway(t, GatewayOptions{Config: dir, TrustDomain: "vision.example", Bundles: bundles, Logger: slog.New(slog.NewTextHandler(&said, nil))})
	client := s.as(t, intake)
	chat := func(when string, status int, code verdict.Code) {
		t.Helper()
		if got, why, _ := s.ask(t, client, "captioner.example", "/v1/chat/completions", imageChat(t), nil); got != status || why != code {
			t.Errorf("%s: %d %s, want %d %s", when, got, why, status, code)
		}
	}
	chat("at first", 200, "")

	put(t, dir, "route.yaml", halves)
	h := s.wait(t, func(h config.Health) bool { return !h.OK() })
	if h.Generation != s.now || len(h.Problems) != 1 || h.Problems[0].Path != "spec.allow[0].identities[0]" || !strings.Contains(h.Problems[0].Message, "take the grant away, too") {
		t.Errorf("%+v", h)
	}
	if text := said.String(); !strings.Contains(text, "only revocations count") || !strings.Contains(text, "spec.allow[0].identities[0]") {
		t.Errorf("the log says %s", text)
	}
	if status := s.probe(t, "/readyz"); status != 503 {
		t.Errorf("/readyz: %d", status)
	}
	chat("what was in force stays", 200, "")

	put(t, dir, "revocation.yaml", "apiVersion: security.apexlogic.com/v1alpha1\nkind: Revocation\nmetadata: {name: claims}\nspec:\n  identity: {issuer: claims.example, subject: \"*\"}\n  reason: its authority leaked\n")
	s.wait(t, func(h config.Health) bool { return !h.OK() && h.Generation != s.now })
	chat("the trust domain is revoked", 401, verdict.IdentityRevoked)

	if err := os.Remove(filepath.Join(dir, "revocation.yaml")); err != nil {
		t.Fatal(err)
	}
	put(t, dir, "route.yaml", strings.Replace(halves, "spiffe://claims.example/intake", "spiffe://mesh.example/other", 1))
	s.wait(t, config.Health.OK)
	chat("once the grant is taken away, too", 401, verdict.IdentityUntrusted)
	put(t, dir, "route.yaml", route)
	s.wait(t, func(h config.Health) bool { return h.OK() && h.Generation == s.now })
	chat("once all is as it was", 200, "")
}

func TestARevocationInTheFolderEndsAnAnswerThatRuns(t *testing.T) {
	behind := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Content-Type", "text/event-stream")
		io.WriteString(w, "data: {\"choices\":[]}\n\n")
		http.NewResponseController(w).Flush()
		<-r.Context().Done() // until the gateway hangs up
	}))
	defer behind.Close()
	dir, bundles := t.TempDir(), t.TempDir()
	intake := caller(t, bundles, "/intake")
	put(t, dir, "route.yaml", fmt.Sprintf(routeOf, behind.URL))
	s := serveGateway(t, GatewayOptions{Config: dir, TrustDomain: "vision.example", Bundles: bundles})
	certificate, err := intake.Certificate()
	if err != nil {
		t.Fatal(err)
	}
	leaf, err := x509.ParseCertificate(certificate.Certificate[0])
	if err != nil {
		t.Fatal(err)
	}
	client := s.as(t, intake)
	for _, tc := range []struct {
		name, spec string
		code       verdict.Code
	}{
		{"workload", `identity: {issuer: claims.example, subject: /intake}`, verdict.IdentityRevoked},
		{"trust-domain", `identity: {issuer: claims.example, subject: "*"}`, verdict.IdentityRevoked},
		{"key", fmt.Sprintf(`keyID: "sha256:%x"`, sha256.Sum256(leaf.RawSubjectPublicKeyInfo)), verdict.IdentityRevoked},
		{"model", `digest: "sha256:` + strings.Repeat("a", 64) + `"`, verdict.Revoked},
	} {
		r, err := http.NewRequestWithContext(t.Context(), http.MethodPost, "https://"+s.address+"/v1/chat/completions",
			strings.NewReader(`{"model":"captioner","stream":true,"messages":[{"role":"user","content":"Hello"}]}`))
		if err != nil {
			t.Fatal(err)
		}
		r.Host = "captioner.example"
		r.Header.Set("Content-Type", "application/json")
		r.Header.Set("Accept", "text/event-stream")
		r.Header.Set("User-Agent", "claims/1.0")
		resp, err := client.Do(r)
		if err != nil {
			t.Fatal(err)
		}
		defer resp.Body.Close()
		lines := bufio.NewReader(resp.Body)
		// Before anything is revoked the caller is let in again, and the answer runs.
		if first, err := lines.ReadString('\n'); err != nil || resp.StatusCode != 200 {
			t.Fatalf("%s: %d %q %v", tc.name, resp.StatusCode, first, err)
		}
		put(t, dir, "revocation.yaml", "apiVersion: security.apexlogic.com/v1alpha1\nkind: Revocation\nmetadata: {name: "+tc.name+"}\nspec:\n  "+tc.spec+"\n  reason: it is a test\n")
		began := time.Now()
		rest, err := io.ReadAll(lines)
		if err != nil || !strings.Contains(string(rest), string(tc.code)) {
			t.Errorf("%s: the answer ends without saying why: %q %v", tc.name, rest, err)
		}
		t.Logf("%s: from the file to the cut %v", tc.name, time.Since(began).Round(time.Millisecond))
		put(t, dir, "revocation.yaml", "apiVersion: security.apexlogic.com/v1alpha1\nkind: Revocation\nmetadata: {name: another}\nspec:\n  digest: sha256:"+strings.Repeat("b", 64)+"\n  reason: it is a test\n")
		for { // until it is in force that nothing of theirs is revoked
			if status, code, _ := s.ask(t, client, "captioner.example", "/v1/embeddings", `{"input":"x"}`, nil); code != tc.code {
				if status == http.StatusUnauthorized {
					t.Fatal(code)
				}
				break
			}
		}
	}
}
