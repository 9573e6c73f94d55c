package gateway

import (
	"context"
	"crypto/sha256"
	"fmt"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/apexlogic/apex/internal/access"
	"github.com/apexlogic/apex/internal/identity"
	"github.com/apexlogic/apex/verdict"
)

// callers are identities by their bearer token.
type callersBy map[string]identity.Principal

func (c callersBy) Authenticate(_ context.Context, shown *identity.Credentials) (*identity.Principal, error) {
	p, ok := c[shown.Bearer]
	if !ok {
		return nil, identity.Refuse(verdict.IdentityUntrusted, "nobody")
	}
	p.Credential = sha256.Sum256([]byte(shown.Bearer))
	return &p, nil
}

func workload(id string) identity.Principal {
	return identity.Principal{ID: id, Method: identity.X509SVID}
}

func person(id string, groups ...string) identity.Principal {
	return identity.Principal{ID: id, Method: identity.OIDC, Groups: groups}
}

// decides is a world whose route is decided about by these policies and grants.
func decides(t *testing.T, cedar string, who callersBy, grants ...access.Grant) *world {
	t.Helper()
	var policies []access.Policy
	if cedar != "" {
		policies = []access.Policy{{Name: "p", Cedar: cedar, Claims: []access.Claim{{Name: "roles", Type: access.Strings}}}}
	}
	set, err := access.Compile(policies, grants, access.Options{MaxAge: time.Minute})
	if err != nil {
		t.Fatal(err)
	}
	return newWorld(t, func(r *Route) {
		r.Access, r.Identity, r.Anonymous, r.Models = set, who, true, nil
		r.Limits = Limits{Requests: 1 << 30, Concurrent: 64, Total: 64}
	})
}

// asks sends a chat, or what else the path takes; it returns status and code.
func (w *world) asks(t *testing.T, token, path, body string) (int, string) {
	t.Helper()
	method := http.MethodPost
	if body == "" {
		method = http.MethodGet
	}
	status, code, _ := w.ask(t, method, path, body, func(r *http.Request) {
		r.Header.Del("Authorization")
		if token != "" {
			r.Header.Set("Authorization", "Bearer "+token)
		}
	})
	return status, code
}

const (
	chatPath = "/v1/chat/completions"
	chatBody = `{"model":"captioner","messages":[{"role":"user","content":"hello"}]}`
)

func TestARouteNamesWhoMayDoWhatWithWhichModel(t *testing.T) {
	who := callersBy{
		"intake": workload("spiffe://claims.example/a/intake"), "deep": workload("spiffe://claims.example/a/b/c"), "ab": workload("spiffe://claims.example/ab"),
		"above": workload("spiffe://claims.example/a"), "case": workload("spiffe://Claims.example/a/intake"), "longer": workload("spiffe://claims.example.evil/a/intake"),
		"jwt":     {ID: "spiffe://claims.example/a/intake", Method: identity.JWTSVID},
		"ada":     person("https://id.example#ada"),
		"prefix":  person("https://id.example.evil#ada"),
		"slash":   person("https://id.example/#ada"),
		"member":  person("https://id.example#eve", "staff", "claims"),
		"other":   person("https://id.example#eve", "claims-admins"),
		"posing":  person("spiffe://claims.example/a/intake"),
		"grouped": person("https://id.example#mallory", "spiffe://claims.example/a"),
	}
	type answers map[string]bool // by token: whether it passes
	for _, tc := range []struct {
		name     string
		identity string
		want     answers
	}{
		{"a workload", "spiffe://claims.example/a/intake", answers{"intake": true, "jwt": true, "deep": false, "case": false, "longer": false, "posing": false, "": false}},
		{"workloads below a path", "spiffe://claims.example/a/*", answers{"intake": true, "deep": true, "jwt": true, "ab": false, "above": false, "case": false, "longer": false, "posing": false, "grouped": false}},
		{"workloads of a trust domain", "spiffe://claims.example/*", answers{"intake": true, "ab": true, "longer": false, "case": false, "ada": false}},
		{"a person", "https://id.example#ada", answers{"ada": true, "prefix": false, "slash": false, "member": false, "": false}},
		{"a group", "group:claims", answers{"member": true, "other": false, "ada": false, "intake": false}},
		{"whoever shows nothing", "anonymous", answers{"": true, "ada": false, "intake": false}},
		{"everybody", "*", answers{"": true, "ada": true, "intake": true}},
	} {
		t.Run(tc.name, func(t *testing.T) {
			w := decides(t, "", who, access.Grant{Name: "g", Route: "captioner", Identities: []string{tc.identity}, Actions: []string{"infer"}, Anonymous: true})
			for token, pass := range tc.want {
				status, code := w.asks(t, token, chatPath, chatBody)
				if pass && status != 200 || !pass && (status != 403 || code != string(verdict.AccessDenied)) {
					t.Errorf("%q: %d %s", token, status, code)
				}
			}
		})
	}
	// Everything that the API does, by one who may do that and by one who may not.
	for action, asked := range map[string][2]string{
		"infer": {chatPath, chatBody}, "embed": {"/v1/embeddings", `{"model":"captioner","input":"x"}`},
		"generate": {"/v1/images/generations", `{"model":"captioner","prompt":"x"}`}, "speak": {"/v1/audio/speech", `{"model":"captioner","input":"x","voice":"a"}`},
		"moderate": {"/v1/moderations", `{"model":"captioner","input":"x"}`}, "list": {"/v1/models/captioner", ""},
	} {
		for _, granted := range []string{"infer", "embed", "generate", "speak", "moderate", "list"} {
			w := decides(t, "", who, access.Grant{Name: "g", Route: "captioner", Identities: []string{"group:claims"}, Actions: []string{granted}, Models: []string{"captioner"}})
			status, code := w.asks(t, "member", asked[0], asked[1])
			if granted == action && status != 200 || granted != action && (status != 403 || code != string(verdict.AccessDenied)) {
				t.Errorf("%s by a grant of %s: %d %s", action, granted, status, code)
			}
			if granted == action && asked[1] != "" {
				if status, code := w.asks(t, "member", asked[0], strings.Replace(asked[1], "captioner", "other", 1)); status != 403 || code != string(verdict.AccessDenied) {
					t.Errorf("%s with another model: %d %s", action, status, code)
				}
			}
		}
	}
}

func TestPoliciesSeeWhatIsInARequestAndNotWhatItSaysOfItself(t *testing.T) {
	huge := make([]string, 5000) // more than any policy is asked about
	for i := range huge {
		huge[i] = fmt.Sprint("role-", i)
	}
	huge[17] = "blocked"
	roles := func(all []string) identity.Principal {
		p := workload("spiffe://claims.example/a/intake")
		p.Claims = map[string]any{"roles": all}
		return p
	}
	who := callersBy{"w": workload("spiffe://claims.example/a/intake"), "blocked": roles([]string{"x", "blocked"}), "free": roles([]string{"x"}), "huge": roles(huge)}
	long := strings.Replace(chatBody, "hello", strings.Repeat("hello ", 100), 1)
	for _, tc := range []struct {
		name, cedar, pass, passBody, denied, deniedBody string
		code                                            verdict.Code
	}{
		{"predicted tokens", `forbid(principal, action, resource) when { context has tokens && context.tokens > 100 };`, "w", chatBody, "w", long, verdict.AccessForbidden},
		{"a forbid that fails", `forbid(principal, action, resource) when { context.bytes * 9223372036854775807 > 0 && context.bytes > 99 };`, "", "", "w", chatBody, verdict.AccessFailed},
		{"a forbid on a route that fails", `forbid(principal in Group::"g", action, resource in Route::"captioner") when { context.bytes * 9223372036854775807 > 0 };`, "w", chatBody, "", "", ""},
		{"the peer's address", `forbid(principal, action, resource) unless { context has address && context.address.isLoopback() };`, "w", chatBody, "", "", ""},
		{"a header's address", `forbid(principal, action, resource) unless { context has address && context.address.isInRange(ip("10.9.8.7")) };`, "", "", "w", chatBody, verdict.AccessForbidden},
		{"a verdict that nobody knows", `forbid(principal, action, resource is Model) unless { resource has verdict && resource.verdict == "allow" };`, "", "", "w", chatBody, verdict.AccessForbidden},
		{"a claim", `forbid(principal, action, resource) when { principal has roles && principal.roles.contains("blocked") };`, "free", chatBody, "blocked", chatBody, verdict.AccessForbidden},
		// A claim with more values than are looked at is none: permits that ask for it do not hold.
		{"a claim without measure", `forbid(principal, action, resource) unless { principal has roles };`, "free", chatBody, "huge", chatBody, verdict.AccessForbidden},
	} {
		t.Run(tc.name, func(t *testing.T) {
			w := decides(t, `@id("all") permit(principal, action, resource);`+tc.cedar, who)
			if tc.passBody != "" {
				if status, code := w.asks(t, tc.pass, chatPath, tc.passBody); status != 200 {
					t.Errorf("%d %s", status, code)
				}
			}
			if tc.deniedBody == "" {
				return
			}
			status, code, _ := w.ask(t, http.MethodPost, chatPath, tc.deniedBody, func(r *http.Request) {
				r.Header.Set("Authorization", "Bearer "+tc.denied)
				r.Header.Set("X-Forwarded-For", "10.9.8.7")
				r.Header.Set("Forwarded", "for=10.9.8.7")
			})
			if status != 403 || code != string(tc.code) {
				t.Errorf("%d %s", status, code)
			}
		})
	}
}

// said is a verdict that was found out when it was.
type said struct{ at time.Time }

func (s said) Verdict(_, repository, _ string) (string, time.Time) {
	if repository != "registry.example/m" {
		return "", time.Time{}
	}
	return "allow", s.at
}

func TestWhatIsKnownOfAModelForTooLongDenies(t *testing.T) {
	for _, tc := range []struct {
		name string
		at   time.Time
		want verdict.Code
	}{
		{"it is fresh", start.Add(-time.Minute), ""},
		{"it is stale", start.Add(-time.Minute - 1), verdict.AccessStale},
		{"the clock went back", start.Add(time.Hour), ""},
	} {
		t.Run(tc.name, func(t *testing.T) {
			w := decides(t, `permit(principal, action, resource is Model) when { resource has verdict && resource.verdict == "allow" };`, callersBy{"w": workload("spiffe://claims.example/a")})
			w.gateway.options.Verdicts = said{tc.at}
			for _, routes := range w.gateway.Current().exact {
				routes[0].Models = map[string]Model{"captioner": {Digest: "sha256:0", Repository: "registry.example/m"}}
			}
			status, code := w.asks(t, "w", chatPath, chatBody)
			if tc.want == "" && status != 200 || tc.want != "" && (status != 503 || code != string(tc.want)) {
				t.Errorf("%d %s", status, code)
			}
		})
	}
}

func TestTheTimeOfDayIsAskedForAcrossMidnightAndJumps(t *testing.T) {
	w := decides(t, `permit(principal, action, resource) when { context.time.toTime() >= duration("22h") || context.time.toTime() < duration("6h") };`,
		callersBy{"w": workload("spiffe://claims.example/a"), "v": workload("spiffe://claims.example/b")})
	for _, tc := range []struct {
		by   time.Duration // since noon, in UTC: there is no summer time in it
		pass bool
	}{
		{0, false}, {10*time.Hour - time.Millisecond, false}, {10 * time.Hour, true}, {12 * time.Hour, true}, {18*time.Hour - time.Millisecond, true}, {18 * time.Hour, false},
		{-14 * time.Hour, true}, {-2 * time.Hour, false}, // the clock went back
	} {
		w.clock.Advance(start.Add(tc.by).Sub(w.clock.Now()))
		token := "w"
		if tc.by < 0 { // limits are counted from the latest time that a caller was seen at
			token = "v"
		}
		status, code := w.asks(t, token, chatPath, chatBody)
		if tc.pass != (status == 200) || !tc.pass && code != string(verdict.AccessDenied) {
			t.Errorf("%s after noon: %d %s", tc.by, status, code)
		}
	}
}
