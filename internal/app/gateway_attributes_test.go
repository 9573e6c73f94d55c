package app

import (
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/apexlogic/apex/internal/config"
	"github.com/apexlogic/apex/internal/gateway"
	"github.com/apexlogic/apex/internal/gateway/message"
	"github.com/apexlogic/apex/verdict"
)

const (
	plainChat = `{"model":"captioner","max_tokens":16,"messages":[{"role":"user","content":"What is it?"}]}`
	attribute = `apiVersion: security.apexlogic.com/v1alpha1
kind: ProtectedRoute
metadata: {name: row-%[1]d, labels: {tier: low}}
spec:
  hosts: [row-%[1]d.example]
  api: OpenAI
  upstream: {url: "%[2]s", tls: Plaintext}
  identities:
    - spiffe: {trustDomain: claims.example, audience: captioner}
  models:
    - {name: captioner, digest: "sha256:%[3]s"%[4]s}
  media: {kinds: [Image]}
%[5]s---
apiVersion: security.apexlogic.com/v1alpha1
kind: AccessPolicy
metadata: {name: row-%[1]d}
spec:
  routes: [row-%[1]d]
  cedar: |
    permit (principal, action, resource)
    when { %[6]s };
---
`
)

// An issue's list: identity, labels, modality, class, size, token budget, the
// model's digest and verdict, time, network. Each row is a request that a policy
// permits by one attribute, with its twin that it does not.
func TestPoliciesDecideByEachAttributeOfARealRequest(t *testing.T) {
	s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		io.Copy(io.Discard, r.Body)
		w.Header().Set("Content-Type", "application/json")
		io.WriteString(w, `{"id":"1","object":"chat.completion","model":"captioner","choices":[]}`)
	}))
	defer s.Close()
	said := func(class string) func(*http.Request) {
		return func(r *http.Request) { r.Header.Set("Data-Classification", class) }
	}
	picture := imageChat(t)
	digest := strings.Repeat("a", 64)
	rows := []struct {
		name, when   string
		model, route string // what the route says beside the rest
		body         string
		change       func(*http.Request)
		want         int
	}{
		{name: "a principal by its name", when: `principal == Workload::"spiffe://claims.example/intake"`, want: 200},
		{name: "a principal by another name", when: `principal == Workload::"spiffe://claims.example/other"`, want: 403},
		{name: "a trust domain", when: `principal is Workload && principal.trustDomain == "claims.example"`, want: 200},
		{name: "another trust domain", when: `principal is Workload && principal.trustDomain == "other.example"`, want: 403},
		{name: "a path that it is below", when: `principal in Path::"spiffe://claims.example"`, want: 200},
		{name: "a path that it is not below", when: `principal in Path::"spiffe://claims.example/intake"`, want: 403},
		{name: "a label of the workload", when: `principal is Workload && principal.hasTag("team") && principal.getTag("team") == "claims"`, want: 200},
		{name: "another label of the workload", when: `principal is Workload && principal.hasTag("team") && principal.getTag("team") == "sales"`, want: 403},
		{name: "a label that it has not", when: `principal is Workload && principal.hasTag("criticality")`, want: 403},
		{name: "a label of the model", when: `resource is Model && resource.hasTag("tier") && resource.getTag("tier") == "low"`, want: 200},
		{name: "another label of the model", when: `resource is Model && resource.hasTag("tier") && resource.getTag("tier") == "high"`, want: 403},
		{name: "the digest of the model", when: fmt.Sprintf(`resource is Model && resource has digest && resource.digest == "sha256:%s"`, digest), want: 200},
		{name: "another digest of the model", when: `resource is Model && resource has digest && resource.digest == "sha256:0"`, want: 403},
		{name: "the verdict about the model", when: `resource is Model && resource has verdict && resource.verdict == "unknown"`, want: 200},
		{name: "another verdict about the model", when: `resource is Model && resource has verdict && resource.verdict == "allow"`, want: 403},
		{name: "a modality", when: `context.modalities.contains("image")`, body: picture, want: 200},
		{name: "without the modality", when: `context.modalities.contains("image")`, want: 403},
		{name: "few pieces", when: `context.parts == 1`, body: picture, want: 200},
		{name: "too few pieces", when: `context.parts == 1`, want: 403},
		{name: "digests of pieces", when: `context has digests && !context.digests.isEmpty()`, body: picture, want: 200},
		{name: "no digests of pieces", when: `context has digests && !context.digests.isEmpty()`, want: 403},
		{name: "a small message", when: `context.bytes < 1000`, want: 200},
		{name: "a large message", when: `context.bytes < 1000`, body: strings.Replace(plainChat, "What", strings.Repeat("What ", 300), 1), want: 403},
		{name: "a small budget of tokens", when: `context.maxTokens <= 16`, want: 200},
		{name: "a large budget of tokens", when: `context.maxTokens <= 16`, body: strings.Replace(plainChat, "16", "17", 1), want: 403},
		{name: "few predicted tokens", when: `context has tokens && context.tokens < 200`, want: 200},
		{name: "many predicted tokens", when: `context has tokens && context.tokens < 200`, body: strings.Replace(plainChat, "16", "4000", 1), want: 403},
		{name: "no stream", when: `!context.stream`, want: 200},
		{name: "a stream", when: `!context.stream`, body: strings.Replace(plainChat, `"max`, `"stream":true,"max`, 1), want: 403},
		{name: "a time that has come", when: `context.time >= datetime("2020-01-01")`, want: 200},
		{name: "a time that has passed", when: `context.time < datetime("2020-01-01")`, want: 403},
		{name: "a network", when: `context has address && context.address.isLoopback()`, want: 200},
		{name: "another network", when: `context has address && context.address.isInRange(ip("10.0.0.0/8"))`, want: 403},
		{name: "no class", when: `!(context has classification)`, want: 200},
		{name: "a class of the route", when: `context has classification && context.classification == "Internal"`, route: "  classification: Internal\n", want: 200},
		{name: "another class than the route's", when: `context has classification && context.classification == "Public"`, route: "  classification: Internal\n", want: 403},
		{name: "a class of the model", when: `context has classification && context.classification == "Confidential"`, model: ", classification: Confidential", want: 200},
		{name: "the stricter one of model and route", when: `context has classification && context.classification == "Confidential"`, model: ", classification: Confidential", route: "  classification: Public\n", want: 200},
		{name: "a class that the caller says", when: `context has classification && context.classification == "Confidential"`, change: said("confidential"), want: 200},
		{name: "a caller that says more than the route", when: `context has classification && context.classification == "Restricted"`, change: said("Restricted"), route: "  classification: Internal\n", want: 200},
		{name: "a caller that says less than the route", when: `context has classification && context.classification == "Public"`, change: said("Public"), route: "  classification: Internal\n", want: 403},
		{name: "a class that nobody knows is the strictest", when: `context has classification && context.classification == "Restricted"`, change: said("Cosmic"), want: 200},
		{name: "a class that is said twice", when: `true`, change: func(r *http.Request) { r.Header["Data-Classification"] = []string{"Public", "Restricted"} }, want: 400},
	}
	dir, bundles := t.TempDir(), t.TempDir()
	intake := caller(t, bundles, "/intake")
	var documents strings.Builder
	for i, row := range rows {
		fmt.Fprintf(&documents, attribute, i, s.URL, digest, row.model, row.route, row.when)
	}
	documents.WriteString(`apiVersion: security.apexlogic.com/v1alpha1
kind: WorkloadIdentity
metadata: {name: intake, labels: {team: claims}}
spec: {spiffeID: "spiffe://claims.example/intake", joinToken: {name: intake}}
`)
	put(t, dir, "all.yaml", documents.String())
	g := serveGateway(t, GatewayOptions{Config: dir, TrustDomain: "vision.example", Bundles: bundles})
	client := g.as(t, intake)
	for i, row := range rows {
		t.Run(row.name, func(t *testing.T) {
			body := row.body
			if body == "" {
				body = plainChat
			}
			status, code, text := g.ask(t, client, fmt.Sprintf("row-%d.example", i), "/v1/chat/completions", body, row.change)
			if status != row.want || row.want == 403 && code != verdict.AccessDenied {
				t.Errorf("%d %s %s, want %d", status, code, text, row.want)
			}
		})
	}
}

func TestLabelsThatContradictEachOtherAreNotInForce(t *testing.T) {
	dir := t.TempDir()
	identity := func(name, team string) string {
		return fmt.Sprintf("apiVersion: security.apexlogic.com/v1alpha1\nkind: WorkloadIdentity\nmetadata: {name: %s, labels: {team: %s}}\nspec: {spiffeID: \"spiffe://claims.example/intake\", joinToken: {name: %[1]s}}\n", name, team)
	}
	put(t, dir, "route.yaml", fmt.Sprintf(openRoute, inference(t).URL, 1000))
	put(t, dir, "a.yaml", identity("a", "claims"))
	put(t, dir, "b.yaml", identity("b", "claims"))
	g := serveGateway(t, GatewayOptions{Config: dir})
	if g.now == "" {
		t.Fatal("two documents that say the same are not in force")
	}
	put(t, dir, "b.yaml", identity("b", "sales"))
	h := g.wait(t, func(h config.Health) bool { return !h.OK() })
	if h.Generation != g.now || !strings.Contains(h.Problems[0].String(), "b.yaml") || !strings.Contains(h.Problems[0].Message, `"sales" here`) {
		t.Errorf("%+v", h)
	}
}

func TestTheClassOfAnEventIsTheOneThatItsSenderSigned(t *testing.T) {
	dir, bundles := t.TempDir(), t.TempDir()
	intake := caller(t, bundles, "/intake")
	url, _ := receiver(t)
	put(t, dir, "route.yaml", fmt.Sprintf(eventsRoute, url, "{window: 5m}")+`    forbid(principal, action == Action::"produce", resource)
    when { context has classification && context.classification == "Restricted" };
`)
	s := serveGateway(t, GatewayOptions{Config: dir, TrustDomain: "vision.example", Bundles: bundles})
	classed := func(class string) func(*message.Event) {
		return func(e *message.Event) { e.Attributes["dataclassification"] = class }
	}
	for i, tc := range []struct {
		name       string
		sign, then func(*message.Event)
		header     string
		status     int
		code       verdict.Code
	}{
		{"no class", nil, nil, "", 202, ""},
		{"a class that the policy lets through", classed("Internal"), nil, "", 202, ""},
		{"the class that it forbids", classed("Restricted"), nil, "", 403, verdict.AccessForbidden},
		{"a class that nobody knows", classed("Cosmic"), nil, "", 403, verdict.AccessForbidden},
		{"a class that was lowered on the way", classed("Restricted"), classed("Public"), "", 401, verdict.MessageSignature},
		{"a class beside the event", nil, nil, "Restricted", 400, verdict.RequestHeader},
	} {
		e := event(t, intake, fmt.Sprint(i), tc.sign, tc.then)
		status, code, text := s.ask(t, s.as(t, nil), "events.example", "/photos", string(e.Data), func(r *http.Request) {
			r.Header.Del("Content-Type")
			for name, value := range e.Metadata("ce-") {
				r.Header.Set(name, strings.ReplaceAll(value, " ", "%20"))
			}
			if tc.header != "" {
				r.Header.Set(gateway.ClassHeader, tc.header)
			}
		})
		if status != tc.status || code != tc.code {
			t.Errorf("%s: %d %s %s, want %d %s", tc.name, status, code, text, tc.status, tc.code)
		}
	}
}

func TestAReplayKnowsTheLabelAndTheClassOfARequest(t *testing.T) {
	dir, bundles := t.TempDir(), t.TempDir()
	intake, key := caller(t, bundles, "/intake"), sealKey(t)
	route := fmt.Sprintf(routeOf, inference(t).URL)
	put(t, dir, "route.yaml", capturing(t, route, key, ""))
	s := serveGateway(t, GatewayOptions{Config: dir, TrustDomain: "vision.example", Bundles: bundles})
	for _, class := range []string{"Internal", "Restricted"} {
		if status, _, text := s.ask(t, s.as(t, intake), "captioner.example", "/v1/chat/completions", imageChat(t), func(r *http.Request) {
			calledAs(class)(r)
			r.Header.Set(gateway.ClassHeader, class)
		}); status != http.StatusOK {
			t.Fatal(status, text)
		}
	}
	all, _ := s.captures(t, key)
	for _, tc := range []struct{ name, of, labels, after string }{
		{"its label and a low class", "Internal", labelled, "allow"},
		{"its label and the strictest class", "Restricted", labelled, "deny request.access.forbidden"},
		{"another label", "Internal", strings.Replace(labelled, "team: claims", "team: sales", 1), "deny request.access.forbidden"},
	} {
		if got := replayIn(t, all[tc.of], route, forbidByAttributes, tc.labels); got.After == nil || got.After.String() != tc.after {
			t.Errorf("%s: %+v, want %s", tc.name, got, tc.after)
		}
	}
}
