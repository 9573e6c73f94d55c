package app

import (
	"crypto/tls"
	"encoding/json"
	"fmt"
	"net/http"
	"strings"
	"testing"

	"github.com/apexlogic/apex/verdict"
)

// A connection is no identity: each request shows who asks, to the route that it is
// for, by one credential in the one place for it.
func TestAConnectionProvesNoMoreThanEachRequestOnIt(t *testing.T) {
	dir, bundles := t.TempDir(), t.TempDir()
	intake, other := caller(t, bundles, "/intake"), workload(t, bundles, "mesh.example", "/other")
	upstream := answering(t)
	route := func(name, domain, path string) string {
		return fmt.Sprintf("apiVersion: security.apexlogic.com/v1alpha1\nkind: ProtectedRoute\nmetadata: {name: %s}\nspec:\n  hosts: [%s.example]\n  api: OpenAI\n  upstream: {url: %q, tls: Plaintext}\n"+
			"  identities:\n    - spiffe: {trustDomain: %s, audience: %s}\n  allow:\n    - {identities: [\"spiffe://%s%s\"], actions: [embed]}\n  models:\n    - {name: captioner}\n", name, name, upstream, domain, name, domain, path)
	}
	put(t, dir, "claims.yaml", route("claims", "claims.example", "/intake"))
	put(t, dir, "mesh.yaml", route("mesh", "mesh.example", "/other"))
	put(t, dir, "report.yaml", route("report", "claims.example", "/report"))
	s := serveGateway(t, GatewayOptions{Config: dir, TrustDomain: "vision.example", Bundles: bundles})
	token, err := intake.Token("claims")
	if err != nil {
		t.Fatal(err)
	}
	foreign, err := other.Token("claims")
	if err != nil {
		t.Fatal(err)
	}
	// One connection of HTTP/2 to the claims' route, which goes on for all of this.
	mine := shows(intake)
	mine.ClientSessionCache = tls.NewLRUClientSessionCache(8)
	resumed := false
	mine.VerifyConnection = func(c tls.ConnectionState) error { resumed = resumed || c.DidResume; return nil }
	transport := &http.Transport{TLSClientConfig: mine, ForceAttemptHTTP2: true, MaxConnsPerHost: 1}
	defer transport.CloseIdleConnections()
	known, nobody := &http.Client{Transport: transport}, s.as(t, nil)
	ask := func(c *http.Client, host string, change func(*http.Request)) (int, verdict.Code, *http.Response) {
		t.Helper()
		r, err := http.NewRequestWithContext(t.Context(), http.MethodPost, "https://"+s.address+"/v1/embeddings", strings.NewReader(`{"model":"captioner","input":"a dent"}`))
		if err != nil {
			t.Fatal(err)
		}
		r.Host = host
		r.Header = http.Header{"Content-Type": {"application/json"}, "Accept": {"application/json"}, "User-Agent": {"claims/1.0"}}
		if change != nil {
			change(r)
		}
		answer, err := c.Do(r)
		if err != nil {
			t.Fatal(err)
		}
		defer answer.Body.Close()
		return answer.StatusCode, codeIn(t, answer), answer
	}
	header := func(name, value string) func(*http.Request) {
		return func(r *http.Request) { r.Header[name] = append(r.Header[name], value) }
	}
	leaf, err := intake.Certificate()
	if err != nil {
		t.Fatal(err)
	}
	envoys := "By=spiffe://vision.example/apex/gateway;URI=spiffe://claims.example/intake;Hash=" + strings.Repeat("a", 64)
	for _, tt := range []struct {
		name   string
		as     *http.Client
		host   string
		change func(*http.Request)
		status int
		code   verdict.Code
	}{
		{"its own route", known, "claims.example", nil, 200, ""},
		{"another route on the same connection, of another trust domain", known, "mesh.example", nil, 401, verdict.IdentityUntrusted},
		{"another route on the same connection, which lets others in", known, "report.example", nil, 403, verdict.AccessDenied},
		{"its own route again", known, "claims.example", nil, 200, ""},
		{"a token beside the certificate, of the same workload", known, "claims.example", header("Authorization", "Bearer "+token), 401, verdict.IdentityAmbiguous},
		{"a token beside the certificate, of somebody else", known, "claims.example", header("Authorization", "Bearer "+foreign), 401, verdict.IdentityAmbiguous},
		{"a token alone", nobody, "claims.example", header("Authorization", "Bearer "+token), 200, ""},
		{"a token of a trust domain that is another route's", nobody, "claims.example", header("Authorization", "Bearer "+foreign), 401, verdict.IdentityUntrusted},
		{"a token made for another route", nobody, "report.example", header("Authorization", "Bearer "+token), 401, verdict.IdentityAudience},
		{"two tokens in two lines", nobody, "claims.example", func(r *http.Request) {
			r.Header["Authorization"] = []string{"Bearer " + token, "Bearer " + foreign}
		}, 400, verdict.RequestHeader},
		{"two tokens in one line", nobody, "claims.example", header("Authorization", "Bearer "+token+", Bearer "+foreign), 401, verdict.RequestIdentity},
		{"a token under another scheme", nobody, "claims.example", header("Authorization", "Basic "+token), 401, verdict.RequestIdentity},
		{"a token in the address", nobody, "claims.example", func(r *http.Request) { r.URL.RawQuery = "access_token=" + token }, 401, verdict.RequestIdentity},
		{"a token for proxies", nobody, "claims.example", header("Proxy-Authorization", "Bearer "+token), 401, verdict.RequestIdentity},
		{"a token in a cookie", nobody, "claims.example", header("Cookie", "Authorization=Bearer "+token), 401, verdict.RequestIdentity},
		{"a certificate in Envoy's header", nobody, "claims.example", header("X-Forwarded-Client-Cert", envoys), 401, verdict.RequestIdentity},
		{"a certificate in Envoy's header, spelled with _", nobody, "claims.example", header("X_Forwarded_Client_Cert", envoys), 401, verdict.RequestIdentity},
		{"a certificate in nginx's header", nobody, "claims.example", header("X-Ssl-Client-Cert", fmt.Sprintf("%x", leaf.Certificate[0])), 401, verdict.RequestIdentity},
		{"a SPIFFE ID in a header", nobody, "claims.example", header("X-Spiffe-Id", intake.ID), 401, verdict.RequestIdentity},
		{"a SPIFFE ID in a header, spelled with .", nobody, "claims.example", header("X.Spiffe.Id", intake.ID), 401, verdict.RequestIdentity},
		{"the gateway's own header", nobody, "claims.example", header("X-Apex-Principal", intake.ID), 401, verdict.RequestIdentity},
	} {
		t.Run(tt.name, func(t *testing.T) {
			status, code, answer := ask(tt.as, tt.host, tt.change)
			if status != tt.status || code != tt.code {
				t.Errorf("%d %s, want %d %s", status, code, tt.status, tt.code)
			}
			if tt.as == known && answer.ProtoMajor != 2 {
				t.Errorf("it is %s, want HTTP/2", answer.Proto)
			}
		})
	}

	// Nobody comes back on what an earlier handshake proved: there is nothing to resume,
	// and nothing is said before the handshake is over.
	transport.CloseIdleConnections()
	if status, code, _ := ask(known, "claims.example", nil); status != 200 {
		t.Errorf("on a new connection: %d %s", status, code)
	}
	if resumed {
		t.Error("a session was resumed")
	}
	// Below TLS 1.3 a certificate could be asked for later, and goes over the line in clear.
	old := shows(intake)
	old.MinVersion, old.MaxVersion = tls.VersionTLS12, tls.VersionTLS12
	if c, err := tls.Dial("tcp", s.address, old); err == nil {
		c.Close()
		t.Error("TLS 1.2 is spoken")
	}
	// Whose key it is has to be proved: a chain that is only shown is none.
	stolen := shows(nil)
	stolen.GetClientCertificate = func(*tls.CertificateRequestInfo) (*tls.Certificate, error) {
		thief, err := other.Certificate()
		return &tls.Certificate{Certificate: leaf.Certificate, PrivateKey: thief.PrivateKey}, err
	}
	if answer, err := (&http.Client{Transport: &http.Transport{TLSClientConfig: stolen, DisableKeepAlives: true}}).Get("https://" + s.address + "/"); err == nil {
		answer.Body.Close()
		t.Error("somebody else's certificate is taken")
	}
}

// codeIn is the code of a refusal; "" of an answer.
func codeIn(t *testing.T, answer *http.Response) verdict.Code {
	t.Helper()
	var denied struct{ Error struct{ Code verdict.Code } }
	if err := json.NewDecoder(answer.Body).Decode(&denied); err != nil {
		t.Fatal(err)
	}
	return denied.Error.Code
}
