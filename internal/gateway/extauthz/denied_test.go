package extauthz

import (
	"context"
	"crypto/tls"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"testing"

	"google.golang.org/grpc/codes"

	"github.com/apexlogic/apex/verdict"
)

// TestWhatAClientReadsWhenItIsRefused holds both flavours to one table: Envoy
// sends the client the status, the headers and the body as they are here.
func TestWhatAClientReadsWhenItIsRefused(t *testing.T) {
	a := newAuthority(t)
	for what, test := range map[string]struct {
		decision Decision
		status   int
		code     codes.Code
		headers  map[string]string // beside content-type and cache-control
		message  string
	}{
		"who is not known is told what the code means": {Decision{Code: verdict.IdentitySignature, Detail: "a detail of the token"}, 401, codes.Unauthenticated, map[string]string{"www-authenticate": "Bearer"}, verdict.IdentitySignature.Info().Meaning},
		"who is known is told why":                     {Decision{Code: verdict.AccessDenied, Detail: "no policy permits it", Known: true}, 403, codes.PermissionDenied, nil, "no policy permits it"},
		"who is known, where there is no detail":       {Decision{Code: verdict.AccessDenied, Known: true}, 403, codes.PermissionDenied, nil, verdict.AccessDenied.Info().Meaning},
		"a rate, and when to ask again":                {Decision{Code: verdict.LimitRate, Detail: "too many", Known: true, Status: 429, RetryAfter: 7}, 429, codes.PermissionDenied, map[string]string{"retry-after": "7"}, "too many"},
		"a status that is no refusal":                  {Decision{Code: verdict.AccessDenied, Known: true, Status: 200}, 403, codes.PermissionDenied, nil, verdict.AccessDenied.Info().Meaning},
		"a record that cannot be kept":                 {Decision{Code: verdict.GatewayRecord, Known: true}, 503, codes.PermissionDenied, nil, verdict.GatewayRecord.Info().Meaning},
		"a path that servers read differently":         {Decision{Code: verdict.RequestPath, Known: true}, 400, codes.PermissionDenied, nil, verdict.RequestPath.Info().Meaning},
		"a body that is too large":                     {Decision{Code: verdict.BodyLimit, Known: true}, 413, codes.PermissionDenied, nil, verdict.BodyLimit.Info().Meaning},
		"headers for the server behind are not sent": {Decision{Code: verdict.AccessDenied, Known: true, Set: http.Header{"X-Apex-Principal": {"somebody"}}, Remove: []string{"Cookie"}},
			403, codes.PermissionDenied, nil, verdict.AccessDenied.Info().Meaning},
	} {
		t.Run(what, func(t *testing.T) {
			want := []string{"cache-control: no-store", "content-type: application/json"}
			for name, value := range test.headers {
				want = append(want, name+": "+value)
			}
			slices.Sort(want)
			refusal := func(flavour, id string, status int, headers []string, body []byte) {
				t.Helper()
				slices.Sort(headers)
				var content struct {
					Error struct {
						Message, Type string
						Code          verdict.Code
						RequestID     string `json:"request_id"`
					}
				}
				if err := json.Unmarshal(body, &content); err != nil {
					t.Fatalf("%s: %s: %v", flavour, body, err)
				}
				e := content.Error
				if status != test.status || !slices.Equal(headers, want) || e.Message != test.message || e.Type != "apex_denied" || e.Code != test.decision.Code || e.RequestID != id {
					t.Errorf("%s: %d %v %s, want %d %v %q", flavour, status, headers, body, test.status, want, test.message)
				}
			}
			o := Options{Socket: true, Bodies: true, Identity: a, Proxies: []string{envoy}, Decide: func(context.Context, *Request) Decision { return test.decision }}
			r, err := dial(t, o).Check(t.Context(), ask(nil))
			if err != nil {
				t.Fatal(err)
			}
			no := r.GetDeniedResponse()
			if no == nil || r.GetOkResponse() != nil || r.Status.Code != int32(test.code) || r.Status.Message != string(test.decision.Code) {
				t.Fatalf("%v", r)
			}
			var headers []string
			for _, h := range no.Headers {
				headers = append(headers, h.Header.Key+": "+h.Header.Value)
			}
			refusal("gRPC", "7", int(no.Status.Code), headers, []byte(no.Body))

			s, err := New(o)
			if err != nil {
				t.Fatal(err)
			}
			web := httptest.NewUnstartedServer(s)
			web.TLS = &tls.Config{Certificates: []tls.Certificate{a.issue(t, "spiffe://mesh.example/apex")}, ClientAuth: tls.RequestClientCert}
			web.StartTLS()
			defer web.Close()
			tr := &http.Transport{TLSClientConfig: &tls.Config{RootCAs: a.pool(), ServerName: "apex.test", Certificates: []tls.Certificate{a.issue(t, envoy)}}}
			defer tr.CloseIdleConnections()
			q, err := http.NewRequestWithContext(t.Context(), http.MethodPost, web.URL+"/v1/models", strings.NewReader("abc"))
			if err != nil {
				t.Fatal(err)
			}
			q.Header.Set(partial, "false")
			q.Header.Set("X-Request-Id", "8")
			answer, err := tr.RoundTrip(q)
			if err != nil {
				t.Fatal(err)
			}
			defer answer.Body.Close()
			headers = nil
			for name, values := range answer.Header {
				if name != "Date" && name != "Content-Length" {
					headers = append(headers, fmt.Sprintf("%s: %s", strings.ToLower(name), strings.Join(values, ",")))
				}
			}
			body, err := io.ReadAll(answer.Body)
			if err != nil {
				t.Fatal(err)
			}
			refusal("HTTP", "8", answer.StatusCode, headers, body)
		})
	}
}
