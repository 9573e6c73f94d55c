package gateway

import (
	"context"
	"crypto/sha256"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"net/http/httptest"
	"net/url"
	"reflect"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/apexlogic/apex/internal/access"
	"github.com/apexlogic/apex/internal/clock"
	"github.com/apexlogic/apex/internal/gateway/waf"
	"github.com/apexlogic/apex/internal/identity"
	"github.com/apexlogic/apex/internal/identity/live"
	"github.com/apexlogic/apex/internal/media"
	"github.com/apexlogic/apex/verdict"
)

// upstream remembers what reached the server behind the gateway.
type upstream struct {
	mu      sync.Mutex
	bodies  []string
	headers []http.Header
	serve   http.HandlerFunc // nil: 200 and {}
}

func (u *upstream) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	data, err := io.ReadAll(r.Body)
	if err != nil {
		w.WriteHeader(http.StatusInternalServerError)
		return
	}
	u.mu.Lock()
	u.bodies, u.headers = append(u.bodies, string(data)), append(u.headers, r.Header.Clone())
	serve := u.serve
	u.mu.Unlock()
	if serve != nil {
		serve(w, r)
		return
	}
	w.Header().Set("Content-Type", "application/json")
	io.WriteString(w, `{}`)
}

// answer has requests answered in another way from now on.
func (u *upstream) answer(serve http.HandlerFunc) {
	u.mu.Lock()
	defer u.mu.Unlock()
	u.serve = serve
}

func (u *upstream) count() int {
	u.mu.Lock()
	defer u.mu.Unlock()
	return len(u.bodies)
}

// memory keeps decisions.
type memory struct {
	mu       sync.Mutex
	all      []Decision
	durable  []bool
	outcomes []Outcome
	fails    bool
}

func (m *memory) Record(_ context.Context, d *Decision, durable bool) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.fails {
		return errors.New("full")
	}
	m.all, m.durable = append(m.all, *d), append(m.durable, durable)
	return nil
}

func (m *memory) Outcome(_ context.Context, o *Outcome) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.outcomes = append(m.outcomes, *o)
	return nil
}

func (m *memory) last(t *testing.T) (Decision, bool) {
	t.Helper()
	m.mu.Lock()
	defer m.mu.Unlock()
	if len(m.all) == 0 {
		t.Fatal("nothing was recorded")
	}
	return m.all[len(m.all)-1], m.durable[len(m.durable)-1]
}

// tokens recognises bearer tokens by name: "alice" is Alice.
type tokens struct{}

func (tokens) Authenticate(_ context.Context, c *identity.Credentials) (*identity.Principal, error) {
	switch c.Bearer {
	case "":
		return nil, identity.ErrOther
	case "alice", "bob":
		return &identity.Principal{ID: "https://id.example#" + c.Bearer, Method: identity.OIDC, Credential: sha256.Sum256([]byte(c.Bearer))}, nil
	case "late":
		return &identity.Principal{ID: "https://id.example#late", Method: identity.OIDC, NotAfter: start.Add(-time.Second)}, nil
	case "broken":
		panic("broken")
	}
	return nil, identity.Refuse(verdict.RequestIdentity, "the token is not valid")
}

// onlyAlice allows Alice everything.
type onlyAlice struct{}

func (onlyAlice) Decide(q *access.Request) access.Decision {
	if q.Principal.ID == "https://id.example#alice" || q.Principal.Type == access.Nobody {
		return access.Decision{Allow: true, Code: verdict.OK, Policies: []string{"alice"}}
	}
	return access.Decision{Code: verdict.Code("request.access.denied"), Detail: "no policy permits it"}
}

var start = time.Date(2026, 11, 23, 12, 0, 0, 0, time.UTC)

// measured describes content by its first byte: P is an image, S a script.
func measured(r io.Reader, where, declared string, _ *media.Limits) (media.Part, error) {
	h, first := sha256.New(), [1]byte{}
	part := media.Part{Where: where, Declared: declared, Type: declared}
	if _, err := io.ReadFull(r, first[:]); err != nil {
		return part, err
	}
	h.Write(first[:])
	buffer := make([]byte, 32<<10)
	n, err := io.CopyBuffer(struct{ io.Writer }{h}, struct{ io.Reader }{r}, buffer)
	if err != nil {
		return part, err
	}
	part.Bytes = n + 1
	h.Sum(part.Digest[:0])
	switch first[0] {
	case 'P':
		part.Kind = media.Image
	case 'S':
		part.Kind, part.Carries = media.Image, media.Script
	}
	return part, nil
}

// world is a gateway in front of a server, both real, on loopback.
type world struct {
	gateway *Gateway
	front   *httptest.Server
	behind  *upstream
	records *memory
	clock   *clock.Fixed
	route   *Route
}

func newWorld(t testing.TB, change func(*Route)) *world {
	t.Helper()
	w := &world{behind: &upstream{}, records: &memory{}, clock: clock.At(start)}
	server := httptest.NewServer(w.behind)
	t.Cleanup(server.Close)
	at, err := url.Parse(server.URL)
	if err != nil {
		t.Fatal(err)
	}
	w.gateway = New(Options{Clock: w.clock, Recorder: w.records, Inspect: measured, Log: slog.New(slog.DiscardHandler)})
	w.route = &Route{
		Name: "captioner", Hosts: []string{"captioner.example"}, Path: "/", API: OpenAI, Identity: tokens{}, Access: onlyAlice{},
		Models: map[string]Model{"captioner": {Digest: "sha256:" + strings.Repeat("a", 64)}}, Default: "captioner", Media: media.Defaults(),
		Limits: Limits{Requests: 1000, Concurrent: 4, Total: 8}, Upstream: Upstream{URL: at, Timeout: time.Minute, Stream: time.Minute},
	}
	w.route.Kinds[media.Image] = true
	if change != nil {
		change(w.route)
	}
	w.use(t, "one", w.route)
	w.front = httptest.NewServer(w.gateway)
	t.Cleanup(w.front.Close)
	return w
}

func (w *world) use(t testing.TB, generation string, routes ...*Route) {
	t.Helper()
	s, err := NewSnapshot(generation, routes, w.gateway.Current())
	if err != nil {
		t.Fatal(err)
	}
	w.gateway.Use(s)
}

// ask sends one request and returns status, code and body of the answer.
func (w *world) ask(t testing.TB, method, path, body string, change func(*http.Request)) (int, string, string) {
	t.Helper()
	r, err := http.NewRequestWithContext(t.Context(), method, w.front.URL+path, strings.NewReader(body))
	if err != nil {
		t.Fatal(err)
	}
	r.Host = "captioner.example"
	r.Header.Set("Authorization", "Bearer alice")
	if body != "" {
		r.Header.Set("Content-Type", "application/json")
	}
	if change != nil {
		change(r)
	}
	resp, err := w.front.Client().Do(r)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	data, err := io.ReadAll(resp.Body)
	if err != nil {
		t.Fatal(err)
	}
	var denied struct{ Error struct{ Code string } }
	json.Unmarshal(data, &denied) // an answer of the server has no such field
	return resp.StatusCode, denied.Error.Code, string(data)
}

const hello = `{"model":"captioner","messages":[{"role":"user","content":"Hello"}]}`

func TestARequestPassesWhenEveryStageLetsIt(t *testing.T) {
	w := newWorld(t, nil)
	body := `{"model":"captioner","messages":[{"role":"user","content":[{"type":"text","text":"What?"},{"image_url":{"url":"data:image/png;base64,UE5H"}}]}]}`
	status, _, answer := w.ask(t, "POST", "/v1/chat/completions", body, nil)
	if status != 200 || answer != "{}" || w.behind.count() != 1 || w.behind.bodies[0] != body {
		t.Fatalf("%d %s: %q", status, answer, w.behind.bodies)
	}
	d, durable := w.records.last(t)
	picture := sha256.Sum256([]byte("PNG"))
	want := Decision{
		Schema: DecisionSchema, ID: d.ID, At: start, Generation: "one", Allowed: true, Route: "captioner",
		Principal: "https://id.example#alice", Method: "oidc", Credential: fmt.Sprintf("%x", sha256.Sum256([]byte("alice"))),
		Action: "infer", Model: "captioner", Digest: "sha256:" + strings.Repeat("a", 64), Policies: []string{"alice"},
		Bytes: int64(len(body)), Body: d.Body,
		Parts:  []PartRecord{{Kind: media.Image, Type: "image/png", Where: "/messages/0/content/1/image_url/url", Bytes: 3, Digest: fmt.Sprintf("%x", picture)}},
		Tokens: Tokens{Input: 3},
	}
	if !reflect.DeepEqual(d, want) || durable || len(d.Body) != 64 {
		t.Errorf("%+v\n%+v", d, want)
	}
	h := w.behind.headers[0]
	if h.Get("Authorization") != "" || h.Get("X-Apex-Principal") != "https://id.example#alice" || h.Get("X-Request-Id") != d.ID {
		t.Errorf("%v", h)
	}
}

func TestEachStageRefusesWithItsCode(t *testing.T) {
	chat := "/v1/chat/completions"
	header := func(name string, values ...string) func(*http.Request) {
		return func(r *http.Request) { r.Header[name] = values }
	}
	for _, tc := range []struct {
		name, method, path, body string
		change                   func(*http.Request)
		route                    func(*Route)
		status                   int
		code                     verdict.Code
	}{
		{"an encoded slash", "POST", "/v1%2fchat/completions", hello, nil, nil, 400, verdict.RequestPath},
		{"a dot segment", "POST", "/v1/../v1/chat/completions", hello, nil, nil, 400, verdict.RequestPath},
		{"an empty segment", "POST", "/v1//chat/completions", hello, nil, nil, 400, verdict.RequestPath},
		{"a matrix parameter", "POST", "/v1/chat;x/completions", hello, nil, nil, 400, verdict.RequestPath},
		{"a semicolon in the query", "POST", chat + "?a=1;model=other", hello, nil, nil, 400, verdict.RequestPath},
		{"a percent sign alone in the query", "POST", chat + "?b=%zz&a=1", hello, nil, nil, 400, verdict.RequestPath},
		{"a path that is a route's but for its case", "POST", "/V1/chat/completions", hello, nil, func(r *Route) { r.Path = "/v1" }, 400, verdict.RequestPath},
		{"a model with a long name", "POST", chat, strings.Replace(hello, "captioner", strings.Repeat("x", maxName+1), 1), nil, func(r *Route) { r.Models = nil }, 403, verdict.RequestModel},
		{"two content types", "POST", chat, hello, header("Content-Type", "application/json", "text/plain"), nil, 400, verdict.RequestHeader},
		{"two authorizations", "POST", chat, hello, header("Authorization", "Bearer alice", "Bearer bob"), nil, 400, verdict.RequestHeader},
		{"an upgrade", "POST", chat, hello, header("Upgrade", "h2c"), nil, 400, verdict.RequestProtocol},
		{"too many headers", "POST", chat, hello, func(r *http.Request) {
			for i := range maxHeaders + 1 {
				r.Header.Set(fmt.Sprintf("X-%d", i), "1")
			}
		}, nil, 400, verdict.RequestHeader},
		{"another host", "POST", chat, hello, func(r *http.Request) { r.Host = "other.example" }, nil, 404, verdict.RequestRoute},
		{"another path", "POST", "/v1/assistants", hello, nil, nil, 404, verdict.RequestRoute},
		{"another method", "DELETE", chat, "", nil, nil, 404, verdict.RequestRoute},
		{"no identity", "POST", chat, hello, func(r *http.Request) { r.Header.Del("Authorization") }, nil, 401, verdict.RequestIdentity},
		{"a password", "POST", chat, hello, header("Authorization", "Basic YTpi"), nil, 401, verdict.RequestIdentity},
		{"a token that is not valid", "POST", chat, hello, header("Authorization", "Bearer mallory"), nil, 401, verdict.RequestIdentity},
		{"a token that has expired", "POST", chat, hello, header("Authorization", "Bearer late"), nil, 401, verdict.RequestIdentity},
		{"a stage that panics", "POST", chat, hello, header("Authorization", "Bearer broken"), nil, 403, verdict.GatewayFailed},
		{"a long body", "POST", chat, hello, nil, func(r *Route) { r.Media.Bytes = 10 }, 413, verdict.BodyLimit},
		{"a long body of unknown length", "POST", chat, hello, func(r *http.Request) { r.ContentLength = -1 }, func(r *Route) { r.Media.Bytes = 10 }, 413, verdict.BodyLimit},
		{"a body where none belongs", "GET", "/v1/models", hello, nil, nil, 405, verdict.RequestMethod},
		{"a body that is no JSON", "POST", chat, "{", nil, nil, 400, verdict.BodyMalformed},
		{"a body that is not encoded as it says", "POST", chat, hello, header("Content-Encoding", "gzip"), nil, 415, verdict.BodyEncoding},
		{"a body without a type", "POST", chat, hello, header("Content-Type"), nil, 415, verdict.BodyType},
		{"another model", "POST", chat, strings.Replace(hello, "captioner", "other", 1), nil, nil, 403, verdict.RequestModel},
		{"content of an unknown kind", "POST", chat, `{"messages":[{"content":[{"image_url":{"url":"data:image/png;base64,QUJD"}}]}]}`, nil, nil, 415, verdict.MediaKind},
		{"content of another type", "POST", chat, `{"messages":[{"content":[{"image_url":{"url":"data:image/gif;base64,UE5H"}}]}]}`, nil,
			func(r *Route) { r.Types = []string{"image/png"} }, 415, verdict.MediaKind},
		{"content that runs", "POST", chat, `{"messages":[{"content":[{"image_url":{"url":"data:image/png;base64,U05H"}}]}]}`, nil, nil, 403, verdict.MediaActive},
		{"an address", "POST", chat, `{"messages":[{"content":[{"image_url":{"url":"https://example.com/a.png"}}]}]}`, nil, nil, 403, verdict.MediaAddress},
		{"an answer too long", "POST", chat, `{"max_tokens":11}`, nil, func(r *Route) { r.Limits.Answer = 10 }, 429, verdict.LimitTokens},
		{"too many tokens that the caller made", "POST", "/v1/completions", `{"prompt":[1,2,3,4,5,6,7,8,9,10,11]}`, nil, func(r *Route) { r.Limits.Tokens = 11 }, 429, verdict.LimitTokens},
		{"too many tokens, of several prompts", "POST", "/v1/embeddings", `{"input":[[1,2,3,4,5,6],[7,8,9,10,11]]}`, nil, func(r *Route) { r.Limits.Tokens = 11 }, 429, verdict.LimitTokens},
		{"too many tokens in the schema of a tool", "POST", chat, `{"tools":[{"function":{"parameters":{"properties":{"` + strings.Repeat("word-", 10) + `":{"type":"string"}}}}}]}`, nil, func(r *Route) { r.Limits.Tokens = 11 }, 429, verdict.LimitTokens},
		{"too many tokens", "POST", chat, `{"max_tokens":50,"n":3}`, nil, func(r *Route) { r.Limits.Tokens = 150 }, 429, verdict.LimitTokens},
		{"tokens beyond counting", "POST", chat, `{"max_tokens":4611686018427387904,"n":9007199254740993}`, nil, func(r *Route) { r.Limits.Tokens = 150 }, 429, verdict.LimitTokens},
		{"somebody without a right", "POST", chat, hello, header("Authorization", "Bearer bob"), nil, 403, "request.access.denied"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			w := newWorld(t, tc.route)
			status, code, answer := w.ask(t, tc.method, tc.path, tc.body, tc.change)
			if status != tc.status || code != string(tc.code) {
				t.Fatalf("%d %s, want %d %s: %s", status, code, tc.status, tc.code, answer)
			}
			if w.behind.count() != 0 {
				t.Error("it reached the server")
			}
			if d, durable := w.records.last(t); d.Allowed || d.Code != string(tc.code) || !durable {
				t.Errorf("recorded: %+v", d)
			}
		})
	}
}

func TestWhatIsWithinItsBoundsPasses(t *testing.T) {
	chat := "/v1/chat/completions"
	for _, tc := range []struct {
		name, path, body string
		route            func(*Route)
	}{
		{"a query, to the letter", chat + "?b=%3B&a=1&b=%C3%A9+2&c", hello, nil},
		{"a model whose name is as long as may be", chat, strings.Replace(hello, "captioner", strings.Repeat("x", maxName), 1), func(r *Route) { r.Models = nil }},
		{"tokens that the caller made", "/v1/completions", `{"prompt":[1,2,3,4,5,6,7,8,9,10]}`, func(r *Route) { r.Limits.Tokens = 11 }},
		{"tokens of several prompts", "/v1/embeddings", `{"input":[[1,2,3,4,5],[7,8,9,10,11]]}`, func(r *Route) { r.Limits.Tokens = 11 }},
		{"the schema of a tool", chat, `{"tools":[{"function":{"parameters":{"properties":{"word":{"type":"string"}}}}}]}`, func(r *Route) { r.Limits.Tokens = 11 }},
	} {
		t.Run(tc.name, func(t *testing.T) {
			w := newWorld(t, tc.route)
			asked := ""
			w.behind.answer(func(rw http.ResponseWriter, r *http.Request) {
				asked = r.RequestURI
				rw.Header().Set("Content-Type", "application/json")
				io.WriteString(rw, `{}`)
			})
			if status, code, answer := w.ask(t, "POST", tc.path, tc.body, nil); status != 200 || asked != tc.path {
				t.Errorf("%d %s %s; the server was asked for %s", status, code, answer, asked)
			}
		})
	}
}

func TestWhoIsNotKnownIsToldLittle(t *testing.T) {
	w := newWorld(t, nil)
	_, _, answer := w.ask(t, "POST", "/v1/chat/completions", hello, func(r *http.Request) { r.Header.Set("Authorization", "Bearer mallory") })
	if strings.Contains(answer, "not valid") || strings.Contains(answer, "mallory") {
		t.Error(answer)
	}
}

func TestHeadersThatClaimAnIdentityDoNotPass(t *testing.T) {
	w := newWorld(t, nil)
	claims := []string{"X-Forwarded-For", "Forwarded", "X-Real-Ip", "X-Apex-Principal", "X-Spiffe-Id", "X-Forwarded-Client-Cert", "X-Envoy-Original-Path",
		"X_Apex_Principal", "X.Apex.Principal", "x-apex_principal", "X-Auth-Request-User", "X-Http-Method-Override", "X-Amzn-Oidc-Data"}
	status, _, answer := w.ask(t, "POST", "/v1/chat/completions", hello, func(r *http.Request) {
		for _, name := range claims {
			r.Header[name] = []string{"mallory"}
		}
		r.Header.Set("X-Trace", "kept")
	})
	if status != 200 {
		t.Fatal(answer)
	}
	h := w.behind.headers[0]
	for name, values := range h {
		if strings.Contains(strings.Join(values, " "), "mallory") {
			t.Errorf("%s: %v", name, values)
		}
	}
	if h.Get("X-Apex-Principal") != "https://id.example#alice" || h.Get("X-Trace") != "kept" {
		t.Errorf("%v", h)
	}
}

func TestWithoutRulesOrRecordsNothingPasses(t *testing.T) {
	w := newWorld(t, nil)
	w.records.fails = true
	if status, code, _ := w.ask(t, "POST", "/v1/chat/completions", hello, nil); status != 503 || code != string(verdict.GatewayRecord) {
		t.Errorf("%d %s", status, code)
	}
	w.records.fails = false
	w.gateway.Use(nil)
	if status, code, _ := w.ask(t, "POST", "/v1/chat/completions", hello, nil); status != 503 || code != string(verdict.GatewayNotReady) {
		t.Errorf("%d %s", status, code)
	}
	if w.behind.count() != 0 {
		t.Error("something passed")
	}
	w.use(t, "two", w.route)
	if status, _, _ := w.ask(t, "POST", "/v1/chat/completions", hello, nil); status != 200 {
		t.Errorf("%d with rules and records", status)
	}
}

func TestLimitsAreEachCallersOwn(t *testing.T) {
	w := newWorld(t, func(r *Route) { r.Limits = Limits{Requests: 2}; r.Anonymous = true })
	anonymous := func(r *http.Request) { r.Header.Del("Authorization") }
	for range 2 {
		if status, _, _ := w.ask(t, "POST", "/v1/chat/completions", hello, nil); status != 200 {
			t.Fatal(status)
		}
	}
	if status, code, _ := w.ask(t, "POST", "/v1/chat/completions", hello, nil); status != 429 || code != string(verdict.LimitRate) {
		t.Errorf("%d %s", status, code)
	}
	if status, _, answer := w.ask(t, "POST", "/v1/chat/completions", hello, anonymous); status != 200 {
		t.Errorf("another caller: %d %s", status, answer)
	}
	w.clock.Advance(time.Minute)
	if status, _, _ := w.ask(t, "POST", "/v1/chat/completions", hello, nil); status != 200 {
		t.Errorf("a minute later: %d", status)
	}
}

func TestAPlaceIsGivenBackWhenTheAnswerEnds(t *testing.T) {
	w := newWorld(t, func(r *Route) { r.Limits = Limits{Concurrent: 1} })
	entered, leave := make(chan struct{}), make(chan struct{})
	w.behind.answer(func(rw http.ResponseWriter, r *http.Request) {
		entered <- struct{}{}
		<-leave
		io.WriteString(rw, "{}")
	})
	done := make(chan string, 1)
	go func() {
		status, _, answer := w.ask(t, "POST", "/v1/chat/completions", hello, nil)
		done <- fmt.Sprint(status, answer)
	}()
	select {
	case <-entered:
	case answer := <-done:
		t.Fatal(answer)
	}
	if status, code, _ := w.ask(t, "POST", "/v1/chat/completions", hello, nil); status != 429 || code != string(verdict.LimitConcurrency) {
		t.Errorf("%d %s", status, code)
	}
	close(leave)
	if answer := <-done; answer != "200{}" {
		t.Error(answer)
	}
	go func() { <-entered }()
	if status, _, _ := w.ask(t, "POST", "/v1/chat/completions", hello, nil); status != 200 {
		t.Errorf("%d after the first ended", status)
	}
}

func TestAServerThatDoesNotAnswerIsSaidSo(t *testing.T) {
	w := newWorld(t, nil)
	closed, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	address := closed.Addr().String()
	closed.Close()
	gone := *w.route
	gone.Upstream.URL = &url.URL{Scheme: "http", Host: address}
	w.use(t, "two", &gone)
	if status, code, _ := w.ask(t, "POST", "/v1/chat/completions", hello, nil); status != 502 || code != string(verdict.UpstreamDown) {
		t.Errorf("%d %s", status, code)
	}
	w.use(t, "three", w.route)
	if status, _, _ := w.ask(t, "POST", "/v1/chat/completions", hello, nil); status != 200 {
		t.Error(status)
	}
}

func TestTheRouteIsTheMostSpecificOne(t *testing.T) {
	routes := []*Route{
		{Name: "all", Hosts: []string{"*.example"}, Path: "/", Upstream: Upstream{URL: &url.URL{}}},
		{Name: "host", Hosts: []string{"a.example"}, Path: "/", Upstream: Upstream{URL: &url.URL{}}},
		{Name: "path", Hosts: []string{"a.example"}, Path: "/team", Upstream: Upstream{URL: &url.URL{}}},
	}
	s, err := NewSnapshot("g", routes, nil)
	if err != nil {
		t.Fatal(err)
	}
	for _, tc := range []struct{ host, path, want string }{
		{"a.example", "/", "host"}, {"A.EXAMPLE:8443", "/x", "host"}, {"a.example.", "/x", "host"}, {"a.example", "/team", "path"}, {"a.example", "/team/x", "path"},
		{"a.example", "/teams", "host"}, {"b.example", "/team", "all"}, {"example", "/", ""}, {"c.b.example", "/", ""}, {"a.example.evil", "/", ""},
	} {
		got := ""
		r, mistaken := s.find(tc.host, tc.path)
		if r != nil {
			got = r.Name
		}
		if got != tc.want || mistaken != nil {
			t.Errorf("%s%s: %q, want %q", tc.host, tc.path, got, tc.want)
		}
	}
	for _, tc := range []struct{ host, path, mistaken string }{
		{"a.example", "/TEAM", "path"}, {"a.example", "/Team/x", "path"}, {"a.example", "/TEAMS", ""}, {"a.example", "/X/team", ""}, {"b.example", "/TEAM", ""},
	} {
		got := ""
		r, mistaken := s.find(tc.host, tc.path)
		if mistaken != nil {
			got = mistaken.Name
		}
		if got != tc.mistaken || (r == nil) != (mistaken != nil) {
			t.Errorf("%s%s: mistaken for %q, want %q", tc.host, tc.path, got, tc.mistaken)
		}
	}
	if _, err := NewSnapshot("g", append(routes, &Route{Name: "again", Hosts: []string{"a.example"}, Path: "/team", Upstream: Upstream{URL: &url.URL{}}}), nil); err == nil {
		t.Error("two routes for one path")
	}
}

func TestOperationsAreThoseOfTheAPI(t *testing.T) {
	for _, tc := range []struct {
		api           API
		method, path  string
		action, model string
	}{
		{OpenAI, "POST", "/v1/chat/completions", Infer, ""}, {OpenAI, "POST", "/v1/embeddings", Embed, ""}, {OpenAI, "GET", "/v1/models/a", List, "a"},
		{OpenAI, "POST", "/chat/completions", Infer, ""}, {OpenAI, "POST", "/v1/files", "", ""}, {OpenAI, "GET", "/v1/chat/completions", "", ""},
		{OpenInference, "POST", "/v2/models/m/infer", Infer, "m"}, {OpenInference, "POST", "/v2/models/m/versions/1/infer", Infer, "m"},
		{OpenInference, "GET", "/v2/models/m/ready", List, "m"}, {OpenInference, "GET", "/v2/health/live", List, ""},
		{OpenInference, "POST", "/v2/models//infer", "", ""}, {OpenInference, "POST", "/v2/repository/models/m/load", "", ""}, {OpenInference, "POST", "/v2/models/m", "", ""},
		{JSON, "POST", "/anything", Infer, ""}, {JSON, "GET", "/anything", List, ""}, {JSON, "TRACE", "/anything", "", ""},
	} {
		op, ok := tc.api.operation(tc.method, tc.path, &Route{Path: "/"})
		if ok != (tc.action != "") || ok && (op.Action != tc.action || op.Model != tc.model) {
			t.Errorf("%s %s: %+v %v", tc.method, tc.path, op, ok)
		}
	}
}

func TestAReloadMixesNoGenerations(t *testing.T) {
	w := newWorld(t, func(r *Route) { r.Limits, r.Name = Limits{}, "one" }) // a route is called like its generation
	stop := make(chan struct{})
	var reloading sync.WaitGroup
	reloading.Go(func() {
		for i := 0; ; i++ {
			select {
			case <-stop:
				return
			default:
				name := []string{"one", "two"}[i%2]
				r := *w.route
				r.Name = name
				s, err := NewSnapshot(name, []*Route{&r}, w.gateway.Current())
				if err != nil {
					t.Error(err)
					return
				}
				w.gateway.Use(s)
			}
		}
	})
	met := func() map[string]int {
		w.records.mu.Lock()
		defer w.records.mu.Unlock()
		met := map[string]int{}
		for _, d := range w.records.all {
			met[d.Generation]++
		}
		return met
	}
	deadline := time.Now().Add(2 * time.Minute)
	var asking sync.WaitGroup
	for range 4 {
		asking.Go(func() {
			for i := 0; i < 50 || len(met()) < 2 && time.Now().Before(deadline); i++ { // however late a reload gets its turn
				if status, _, answer := w.ask(t, "POST", "/v1/chat/completions", hello, nil); status != 200 {
					t.Errorf("%d %s", status, answer)
				}
			}
		})
	}
	asking.Wait()
	close(stop)
	reloading.Wait()
	for _, d := range w.records.all {
		if d.Generation != d.Route {
			t.Fatalf("generation %s judged by the route of %s", d.Generation, d.Route)
		}
	}
	if met := met(); len(met) != 2 {
		t.Errorf("the requests met %v: the rules were not reloaded between them", met)
	}
}

func TestWhatIsRevokedStopsAtTheDoorAndWhileItRuns(t *testing.T) {
	for name, revoked := range map[string]live.Revoked{
		"an identity": {Principals: map[string]bool{"https://id.example#alice": true}},
		"a model":     {Digests: map[string]bool{"sha256:" + strings.Repeat("a", 64): true}},
	} {
		t.Run(name, func(t *testing.T) {
			w := newWorld(t, nil)
			const event = "data: {\"choices\":[]}\n\n"
			w.behind.answer(func(rw http.ResponseWriter, r *http.Request) {
				rw.Header().Set("Content-Type", "text/event-stream")
				io.WriteString(rw, event)
				http.NewResponseController(rw).Flush()
				<-r.Context().Done() // until the gateway hangs up
			})
			r, err := http.NewRequestWithContext(t.Context(), "POST", w.front.URL+"/v1/chat/completions", strings.NewReader(strings.Replace(hello, "{", `{"stream":true,`, 1)))
			if err != nil {
				t.Fatal(err)
			}
			r.Host = "captioner.example"
			r.Header.Set("Authorization", "Bearer alice")
			r.Header.Set("Content-Type", "application/json")
			resp, err := w.front.Client().Do(r)
			if err != nil {
				t.Fatal(err)
			}
			defer resp.Body.Close()
			first := make([]byte, len(event))
			if _, err := io.ReadFull(resp.Body, first); err != nil || string(first) != event {
				t.Fatalf("%q %v", first, err)
			}
			s, err := NewSnapshot("two", []*Route{w.route}, w.gateway.Current())
			if err != nil {
				t.Fatal(err)
			}
			s.Revoked = revoked
			w.gateway.Use(s)
			code := revoked.Why(&identity.Principal{ID: "https://id.example#alice"}, "sha256:"+strings.Repeat("a", 64))
			if text, err := io.ReadAll(resp.Body); err != nil || !strings.Contains(string(text), string(code)) {
				t.Errorf("the stream ends without saying why: %q", text)
			}
			w.behind.answer(nil)
			if _, got, _ := w.ask(t, "POST", "/v1/chat/completions", hello, nil); got != string(code) {
				t.Errorf("at the door: %s", got)
			}
			w.use(t, "three", w.route)
			if status, _, _ := w.ask(t, "POST", "/v1/chat/completions", hello, nil); status != 200 {
				t.Errorf("%d once nothing is revoked", status)
			}
		})
	}
}

func TestAServerThatFailsIsLeftAloneUntilItAnswers(t *testing.T) {
	w := newWorld(t, nil)
	var broken atomic.Bool
	broken.Store(true)
	w.behind.answer(func(rw http.ResponseWriter, _ *http.Request) {
		if broken.Load() {
			panic(http.ErrAbortHandler)
		}
		rw.Header().Set("Content-Type", "application/json")
		io.WriteString(rw, "{}")
	})
	ask := func() (int, string) {
		status, code, _ := w.ask(t, "POST", "/v1/chat/completions", hello, nil)
		return status, code
	}
	for range breakAfter {
		if status, code := ask(); status != 502 || code != string(verdict.UpstreamDown) {
			t.Fatalf("%d %s", status, code)
		}
	}
	before := w.behind.count()
	if status, code := ask(); status != 503 || code != string(verdict.UpstreamOpen) || w.behind.count() != before {
		t.Errorf("%d %s: it is not left alone", status, code)
	}
	if d, durable := w.records.last(t); d.Allowed || !durable || d.Stage != "upstream" {
		t.Errorf("recorded: %+v", d)
	}
	w.use(t, "two", w.route) // a reload forgets nothing
	if status, _ := ask(); status != 503 {
		t.Errorf("%d after a reload", status)
	}
	w.clock.Advance(breakFor)
	if status, _ := ask(); status != 502 {
		t.Errorf("%d: one request finds out whether it is back", status)
	}
	if status, _ := ask(); status != 503 {
		t.Errorf("%d: it is not back", status)
	}
	w.clock.Advance(breakFor)
	broken.Store(false)
	for range 2 {
		if status, _ := ask(); status != 200 {
			t.Errorf("%d: it is back", status)
		}
	}
}

func TestWhatBecameOfARequestIsRecordedWithItsID(t *testing.T) {
	w := newWorld(t, nil)
	w.ask(t, "POST", "/v1/chat/completions", hello, nil)
	d, _ := w.records.last(t)
	w.front.Close() // the outcome is recorded when the handler has ended
	if len(w.records.outcomes) != 1 {
		t.Fatalf("%+v", w.records.outcomes)
	}
	if o := w.records.outcomes[0]; o.ID != d.ID || o.Status != 200 || o.Bytes != 2 || o.Code != "" || o.Schema != OutcomeSchema || o.Stream == nil {
		t.Errorf("%+v", o)
	}
	w.records.outcomes = nil
	again := newWorld(t, nil)
	again.ask(t, "POST", "/v1/chat/completions", hello, func(r *http.Request) { r.Header.Del("Authorization") })
	again.front.Close()
	if len(again.records.outcomes) != 0 {
		t.Error("a denied request has no outcome beside its denial")
	}
}

func TestABodyThatTricklesInIsRefusedAndOneThatComesInTimeIsNot(t *testing.T) {
	w := newWorld(t, func(r *Route) { r.Limits.Body = 50 * time.Millisecond })
	from, to := io.Pipe()
	defer to.Close()
	go io.WriteString(to, hello[:10]) // and nothing more
	r, err := http.NewRequestWithContext(t.Context(), "POST", w.front.URL+"/v1/chat/completions", from)
	if err != nil {
		t.Fatal(err)
	}
	r.Host = "captioner.example"
	r.Header.Set("Authorization", "Bearer alice")
	r.Header.Set("Content-Type", "application/json")
	resp, err := w.front.Client().Do(r)
	if err == nil {
		resp.Body.Close()
		if resp.StatusCode != 400 {
			t.Error(resp.Status)
		}
	}
	if d, _ := w.records.last(t); d.Allowed || d.Code != string(verdict.BodyIncomplete) {
		t.Errorf("recorded: %+v", d)
	}
	w.route.Limits.Body = time.Minute
	if status, _, _ := w.ask(t, "POST", "/v1/chat/completions", hello, nil); status != 200 {
		t.Error(status)
	}
}

func TestAnExpiringIdentityEndsItsStream(t *testing.T) {
	w := newWorld(t, func(r *Route) { r.Identity = soon{} })
	w.behind.answer(func(rw http.ResponseWriter, r *http.Request) {
		rw.Header().Set("Content-Type", "text/event-stream")
		http.NewResponseController(rw).Flush()
		<-r.Context().Done()
	})
	_, _, text := w.ask(t, "POST", "/v1/chat/completions", strings.Replace(hello, "{", `{"stream":true,`, 1), nil)
	if !strings.Contains(text, string(verdict.StreamExpired)) {
		t.Errorf("%q", text)
	}
}

// soon recognises everybody, for a moment.
type soon struct{}

func (soon) Authenticate(context.Context, *identity.Credentials) (*identity.Principal, error) {
	return &identity.Principal{ID: "https://id.example#alice", Method: identity.OIDC, NotAfter: start.Add(50 * time.Millisecond)}, nil
}

// rules block what holds the word attack.
type rules struct{}

func (rules) Check(r *waf.Request) waf.Result {
	found := strings.Contains(r.URI, "attack")
	for _, fields := range [][]waf.Field{r.Headers, r.Fields} {
		for _, f := range fields {
			found = found || strings.Contains(f.Name+f.Value, "attack")
		}
	}
	if found {
		return waf.Result{Block: true, Code: verdict.WAFBlocked, Score: 5, Rules: []int{942100}}
	}
	return waf.Result{}
}

func (rules) Score(text []byte) waf.TextScore {
	return waf.TextScore{Score: strings.Count(string(text), "attack"), Complete: !strings.Contains(string(text), "endless")}
}

func TestTheFirewallBlocksStructureAndScoresText(t *testing.T) {
	w := newWorld(t, func(r *Route) { r.Firewall = rules{} })
	chat := "/v1/chat/completions"
	for _, tc := range []struct {
		name, path, body, header string
		code                     verdict.Code
		text                     int
	}{
		{"a query", chat + "?x=attack", hello, "", verdict.WAFBlocked, 0},
		{"a header", chat, hello, "attack", verdict.WAFBlocked, 0},
		{"a field that steers", chat, strings.Replace(hello, "{", `{"note":"attack'--",`, 1), "", verdict.WAFBlocked, 0},
		{"a text", chat, strings.Replace(hello, "Hello", "What is an attack?", 1), "", "", 1},
		{"a text that cannot be scored", chat, strings.Replace(hello, "Hello", "endless", 1), "", verdict.WAFFailed, 0},
		{"nothing of the kind", chat + "?x=1", hello, "kind", "", 0},
	} {
		t.Run(tc.name, func(t *testing.T) {
			status, code, answer := w.ask(t, "POST", tc.path, tc.body, func(r *http.Request) { r.Header.Set("X-Note", tc.header) })
			if code != string(tc.code) || (status == 200) != (tc.code == "") {
				t.Fatalf("%d %s", status, answer)
			}
			d, _ := w.records.last(t)
			if d.WAF == nil || d.WAF.Text != tc.text || (d.WAF.Score > 0) != (tc.code == verdict.WAFBlocked) {
				t.Errorf("%+v", d.WAF)
			}
		})
	}
}
