package app

import (
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"testing"

	"github.com/apexlogic/apex/internal/config"
	"github.com/apexlogic/apex/internal/gateway/capture"
	"github.com/apexlogic/apex/verdict"
)

// replayIn judges a capture by a folder with these documents.
func replayIn(t *testing.T, c *capture.Capture, documents ...string) Replayed {
	t.Helper()
	dir := t.TempDir()
	for i, text := range documents {
		put(t, dir, fmt.Sprintf("%d.yaml", i), text)
	}
	r, err := NewReplay(t.Context(), dir)
	if err != nil {
		t.Fatal(err)
	}
	got, err := r.Judge(c)
	if err != nil {
		t.Fatal(err)
	}
	return got
}

func TestAReplayTellsWhatOtherPoliciesWouldHaveDecided(t *testing.T) {
	dir, bundles := t.TempDir(), t.TempDir()
	intake, key := caller(t, bundles, "/intake"), sealKey(t)
	route := fmt.Sprintf(routeOf, inference(t).URL)
	put(t, dir, "route.yaml", capturing(t, route, key, ""))
	s := serveGateway(t, GatewayOptions{Config: dir, TrustDomain: "vision.example", Bundles: bundles})
	by := s.as(t, intake)
	const chat = "/v1/chat/completions"
	picture := imageChat(t)
	if status, _, text := s.ask(t, by, "captioner.example", chat, picture, calledAs("picture")); status != 200 {
		t.Fatal(status, text)
	}
	if _, code, _ := s.ask(t, by, "captioner.example", chat, strings.Replace(picture, `"captioner"`, `"other"`, 1), calledAs("other")); code != verdict.RequestModel {
		t.Fatal(code)
	}
	all, _ := s.captures(t, key)
	for _, tc := range []struct {
		name      string
		of        string
		documents []string
		after     string
	}{
		{"the same policies", "picture", []string{route}, "allow"},
		{"the same policies, about what was denied", "other", []string{route}, "deny request.model"},
		{"with the model", "other", []string{strings.Replace(route, "  limits:", "    - {name: other}\n  limits:", 1)}, "allow"},
		{"another grant", "picture", []string{strings.Replace(route, "/intake\"], actions: [infer, list]", "/intake\"], actions: [list]", 1)}, "deny request.access.denied"},
		{"another trust domain", "picture", []string{strings.ReplaceAll(route, "claims.example", "others.example")}, "deny request.identity"},
		{"another host", "picture", []string{strings.Replace(route, "captioner.example", "elsewhere.example", 1)}, "deny request.route"},
		{"no pictures", "picture", []string{strings.Replace(route, "kinds: [Image]", "kinds: [Audio]", 1)}, "deny request.media.kind"},
		{"a forbid by the time of the request", "picture", []string{route, `apiVersion: security.apexlogic.com/v1alpha1
kind: AccessPolicy
metadata: {name: past}
spec:
  cedar: |
    forbid (principal, action, resource) when { context.time < datetime("` + all["picture"].At.Add(1e9).UTC().Format("2006-01-02T15:04:05Z") + `") };
`}, "deny request.access.forbidden"},
		{"a revocation", "picture", []string{route, `apiVersion: security.apexlogic.com/v1alpha1
kind: Revocation
metadata: {name: intake}
spec: {identity: {issuer: claims.example, subject: /intake}, reason: "the key was lost"}
`}, "deny request.identity.revoked"},
		{"a server that this machine could not call", "picture", []string{strings.Replace(route, route[strings.Index(route, "  upstream:"):strings.Index(route, "  identities:")], "  upstream: {url: \"https://captioner:1\", spiffeIDs: [\"spiffe://vision.example/captioner\"]}\n", 1)}, "allow"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			got := replayIn(t, all[tc.of], tc.documents...)
			if got.After == nil {
				t.Fatalf("it was not judged: %s", got.Skipped)
			}
			if got.After.String() != tc.after {
				t.Errorf("after: %s (%s), want %s", got.After, got.After.Detail, tc.after)
			}
			if want := got.After.String() != got.Before.String(); got.Changed != want || got.Principal != "spiffe://claims.example/intake" {
				t.Errorf("changed is %v: %s, then %s", got.Changed, got.Before, got.After)
			}
		})
	}
}

func TestWhatPoliciesAloneDidNotDecideIsNotReplayed(t *testing.T) {
	route := fmt.Sprintf(routeOf, "http://127.0.0.1:1")
	for name, c := range map[string]*capture.Capture{
		"a stream": {Request: capture.Request{Stream: "websocket"}, Decision: []byte(`{"allowed":true}`)},
		"a limit":  {Decision: []byte(`{"code":"request.limit.tokens","stage":"media"}`)},
		"a server": {Decision: []byte(`{"code":"request.upstream.open","stage":"upstream"}`)},
	} {
		if got := replayIn(t, c, route); got.Skipped == "" || got.After != nil || got.Changed {
			t.Errorf("%s: %+v", name, got)
		}
	}
}

func TestAReplayByPoliciesThatAreWrongIsRefused(t *testing.T) {
	dir := t.TempDir()
	put(t, dir, "route.yaml", strings.Replace(fmt.Sprintf(routeOf, "http://127.0.0.1:1"), "kinds: [Image]", "kinds: [Smell]", 1))
	_, err := NewReplay(t.Context(), dir)
	if _, is := errors.AsType[*config.Invalid](err); !is {
		t.Error(err)
	}
}

func TestACaptureIsSentAgainWithoutTheOldCredential(t *testing.T) {
	var seen []string
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		body, err := io.ReadAll(r.Body)
		if err != nil {
			t.Error(err)
		}
		seen = append(seen, r.Host+" "+r.RequestURI+" "+r.Header.Get("Authorization")+" "+string(body))
		w.WriteHeader(http.StatusTeapot)
	}))
	defer server.Close()
	to, err := url.Parse(server.URL)
	if err != nil {
		t.Fatal(err)
	}
	c := &capture.Capture{Request: capture.Request{Method: "POST", Host: "captioner.example", Target: "/v1/x?id=1", Body: []byte("body")}}
	for _, token := range []string{"", "new"} {
		if status, err := SendCapture(t.Context(), c, to, token); status != http.StatusTeapot || err != nil {
			t.Error(status, err)
		}
	}
	c.Request.Withheld = []string{"api_key"}
	if _, err := SendCapture(t.Context(), c, to, ""); err == nil || !strings.Contains(err.Error(), "api_key") {
		t.Errorf("a request that was not kept as a whole: %v", err)
	}
	if len(seen) != 2 || seen[0] != "captioner.example /v1/x?id=1  body" || seen[1] != "captioner.example /v1/x?id=1 Bearer new body" {
		t.Errorf("the server got %q", seen)
	}
}
