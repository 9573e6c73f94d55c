package authzen

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/santhosh-tekuri/jsonschema/v6"

	"github.com/apexlogic/apex/internal/access"
	"github.com/apexlogic/apex/internal/clock"
)

const (
	intake  = "spiffe://claims.example/ns/claims/intake"
	keeper  = "spiffe://claims.example/ns/archive/keeper"
	alice   = "https://id.example#alice"
	bob     = "https://id.example#bob"
	rulings = `
@id("adjusters") permit(principal in Group::"adjusters", action in [Action::"infer", Action::"list"], resource);
@id("intake") permit(principal == Workload::"` + intake + `", action == Action::"infer", resource == Model::"captioner");
@id("size") forbid(principal, action, resource) when { context.bytes > 1000 };
@id("closed") forbid(principal, action, resource in Route::"closed");
@id("low") permit(principal, action == Action::"embed", resource is Model) when { resource has verdict && resource.verdict == "allow" };
@id("team") permit(principal, action == Action::"speak", resource) when { principal has team && principal.team == "voice" };
@id("old") permit(principal, action == Action::"moderate", resource) when { context.time < datetime("2020-01-01") };
`
)

// point is a decision point that a client asks over HTTP.
type point struct {
	*httptest.Server
	schema map[string]*jsonschema.Schema
}

func newPoint(t testing.TB, change ...func(*Config)) *point {
	t.Helper()
	set, err := access.Compile([]access.Policy{{Name: "p", Cedar: rulings, Claims: []access.Claim{{Name: "team", Type: access.String}}}}, nil, access.Options{})
	if err != nil {
		t.Fatal(err)
	}
	directory := NewDirectory([]Subject{
		{Entity: access.Entity{Type: "Person", ID: bob}},
		{Entity: access.Entity{Type: "Person", ID: alice}, Groups: []string{"adjusters"}},
		{Entity: access.Entity{Type: "Workload", ID: keeper}, Attributes: map[string]any{"team": "voice"}},
		{Entity: access.Entity{Type: "Workload", ID: intake}},
	}, []Resource{
		{Entity: access.Entity{Type: "Model", ID: "captioner"}, Route: "vision"},
		{Entity: access.Entity{Type: "Model", ID: "reader"}, Route: "closed"},
		{Entity: access.Entity{Type: "Model", ID: "shared"}, Route: "vision", Properties: map[string]any{"verdict": "allow"}},
		{Entity: access.Entity{Type: "Model", ID: "shared"}, Route: "closed"},
	})
	c := Config{
		Rules: func() Rules { return Rules{"g1", set, directory} }, URL: "https://pdp.example.com",
		Clock: clock.At(time.Date(2026, 11, 23, 12, 0, 0, 0, time.UTC)),
		Authenticate: func(r *http.Request) (string, error) {
			switch token := r.Header.Get("Authorization"); token {
			case "Bearer good", "Bearer good too":
				return strings.TrimPrefix(token, "Bearer "), nil
			case "Bearer other":
				return "", fmt.Errorf("%w: not the gateway", ErrForbidden)
			}
			return "", errors.New("secret: no such token")
		},
		Record: func(context.Context, *Asked) error { return nil },
	}
	for _, f := range change {
		f(&c)
	}
	s, err := New(c)
	if err != nil {
		t.Fatal(err)
	}
	p := &point{httptest.NewServer(s), schemas(t)}
	t.Cleanup(p.Close)
	return p
}

// schemas are those of the answers, by path.
func schemas(t testing.TB) map[string]*jsonschema.Schema {
	data, err := os.ReadFile("testdata/answers.schema.json")
	if err != nil {
		t.Fatal(err)
	}
	document, err := jsonschema.UnmarshalJSON(bytes.NewReader(data))
	if err != nil {
		t.Fatal(err)
	}
	c := jsonschema.NewCompiler()
	if err := c.AddResource("https://schema.test/authzen", document); err != nil {
		t.Fatal(err)
	}
	all := map[string]*jsonschema.Schema{}
	for _, name := range []string{"evaluation", "evaluations", "entities", "actions", "metadata"} {
		all[name] = c.MustCompile("https://schema.test/authzen#/$defs/" + name)
	}
	return all
}

// ask posts a body, and holds the answer to a schema when it is 200.
func (p *point) ask(t testing.TB, path, schema, body string, change ...func(*http.Request)) (int, string, http.Header) {
	t.Helper()
	method := http.MethodPost
	if body == "" && schema == "metadata" {
		method = http.MethodGet
	}
	r, err := http.NewRequestWithContext(t.Context(), method, p.URL+path, strings.NewReader(body))
	if err != nil {
		t.Fatal(err)
	}
	r.Header.Set("Content-Type", "application/json")
	r.Header.Set("Authorization", "Bearer good")
	for _, f := range change {
		f(r)
	}
	answer, err := p.Client().Do(r)
	if err != nil {
		t.Fatal(err)
	}
	defer answer.Body.Close()
	data, err := io.ReadAll(answer.Body)
	if err != nil {
		t.Fatal(err)
	}
	if answer.StatusCode != http.StatusOK {
		if kind := answer.Header.Get("Content-Type"); !strings.HasPrefix(kind, "text/plain") || strings.TrimSpace(string(data)) == "" {
			t.Errorf("%s: an error is a sentence, and not %s %q", path, kind, data)
		}
		return answer.StatusCode, string(data), answer.Header
	}
	if kind := answer.Header.Get("Content-Type"); kind != "application/json" {
		t.Errorf("%s: the content type is %s", path, kind)
	}
	document, err := jsonschema.UnmarshalJSON(bytes.NewReader(data))
	if err != nil {
		t.Fatalf("%s: %v", path, err)
	}
	if err := p.schema[schema].Validate(document); err != nil {
		t.Errorf("%s: %s\n%v", path, data, err)
	}
	return answer.StatusCode, string(data), answer.Header
}

func question(subject, action, resource string) string {
	return fmt.Sprintf(`{"subject": %s, "action": %s, "resource": %s}`, subject, action, resource)
}

const (
	intakeJSON    = `{"type": "Workload", "id": "` + intake + `"}`
	inferJSON     = `{"name": "infer"}`
	captionerJSON = `{"type": "Model", "id": "captioner"}`
)

// Sections 5 (the information model) and 6, and 10.1.1: unknown members are ignored.
func TestEvaluations(t *testing.T) {
	p := newPoint(t)
	good := question(intakeJSON, inferJSON, captionerJSON)
	with := func(rest string) string { return strings.TrimSuffix(good, "}") + "," + rest + "}" }
	tests := []struct {
		name, body string
		want       string // part of the answer
	}{
		{"what is permitted", good, `{"decision":true}`},
		{"what is not", question(intakeJSON, `{"name": "embed"}`, captionerJSON), `"id":"request.access.denied"`},
		{"the context decides", with(`"context": {"bytes": 1001}`), `"id":"request.access.forbidden"`},
		{"the context allows", with(`"context": {"bytes": 1000}`), `{"decision":true}`},
		{"a context of another type denies", with(`"context": {"bytes": "5"}`), `"id":"request.access.invalid"`},
		{"a context that no policy asks for is ignored", with(`"context": {"time": "2025-06-27T18:03-07:00", "ip": "192.168.1.1", "deep": {"a": [1]}}`), `{"decision":true}`},
		{"members that are not known are ignored", with(`"foo": "bar", "futureField": {"nested": true}`), `{"decision":true}`},
		{"properties that are not known are ignored", question(`{"type": "Workload", "id": "`+intake+`", "properties": {"department": "Sales", "x": {"y": 1}}}`, `{"name": "infer", "properties": {"method": "GET"}}`, `{"type": "Model", "id": "captioner", "properties": {"owner": "bob"}}`), `{"decision":true}`},
		{"groups that the directory knows", question(`{"type": "Person", "id": "`+alice+`"}`, inferJSON, captionerJSON), `{"decision":true}`},
		{"groups that the request says", question(`{"type": "Person", "id": "`+bob+`", "properties": {"groups": ["adjusters"]}}`, inferJSON, captionerJSON), `{"decision":true}`},
		{"groups that the request takes away", question(`{"type": "Person", "id": "`+alice+`", "properties": {"groups": []}}`, inferJSON, captionerJSON), `"decision":false`},
		{"attributes that the directory knows", question(`{"type": "Workload", "id": "`+keeper+`"}`, `{"name": "speak"}`, captionerJSON), `{"decision":true}`},
		{"attributes that the request says", question(`{"type": "Workload", "id": "`+keeper+`", "properties": {"team": "other"}}`, `{"name": "speak"}`, captionerJSON), `"decision":false`},
		{"a property of a resource", question(intakeJSON, `{"name": "embed"}`, `{"type": "Model", "id": "captioner", "properties": {"verdict": "allow"}}`), `{"decision":true}`},
		{"a route that the directory knows", question(`{"type": "Person", "id": "`+alice+`"}`, inferJSON, `{"type": "Model", "id": "reader"}`), `"id":"request.access.forbidden"`},
		{"a route that the request says", question(`{"type": "Person", "id": "`+alice+`"}`, inferJSON, `{"type": "Model", "id": "shared", "properties": {"route": "vision"}}`), `{"decision":true}`},
		{"the other route", question(`{"type": "Person", "id": "`+alice+`"}`, inferJSON, `{"type": "Model", "id": "shared", "properties": {"route": "closed"}}`), `"decision":false`},
		{"a type that is not known", question(`{"type": "spaceship", "id": "x"}`, inferJSON, captionerJSON), `"id":"request.access.invalid"`},
		{"our time when there is none", question(intakeJSON, `{"name": "moderate"}`, captionerJSON), `"decision":false`},
		{"the time that the request says", strings.TrimSuffix(question(intakeJSON, `{"name": "moderate"}`, captionerJSON), "}") + `, "context": {"time": "2019-01-01T00:00:00Z"}}`, `{"decision":true}`},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			for range 2 { // the same each time
				if status, answer, h := p.ask(t, evaluationPath, "evaluation", test.body); status != 200 || !strings.Contains(answer, test.want) || h.Get("Cache-Control") != "no-store" {
					t.Errorf("%d %s", status, answer)
				}
			}
		})
	}
}

// Sections 10.1 (method and content type), 10.1.1 (what is required) and 10.1.2 (errors are a sentence).
func TestRequestsThatAreNoneAreRefused(t *testing.T) {
	p := newPoint(t)
	good := question(intakeJSON, inferJSON, captionerJSON)
	header := func(name, value string) func(*http.Request) {
		return func(r *http.Request) { r.Header.Set(name, value) }
	}
	tests := []struct {
		name, body string
		change     func(*http.Request)
		status     int
		want       string
	}{
		{"no subject", `{"action": ` + inferJSON + `, "resource": ` + captionerJSON + `}`, nil, 400, "subject is missing"},
		{"no action", `{"subject": ` + intakeJSON + `, "resource": ` + captionerJSON + `}`, nil, 400, "action is missing"},
		{"no resource", `{"subject": ` + intakeJSON + `, "action": ` + inferJSON + `}`, nil, 400, "resource is missing"},
		{"no type of subject", question(`{"id": "x"}`, inferJSON, captionerJSON), nil, 400, "subject.type is missing"},
		{"no id of subject", question(`{"type": "Person"}`, inferJSON, captionerJSON), nil, 400, "subject.id is missing"},
		{"no name of action", question(intakeJSON, `{}`, captionerJSON), nil, 400, "action.name is missing"},
		{"no type of resource", question(intakeJSON, inferJSON, `{"id": "x"}`), nil, 400, "resource.type is missing"},
		{"no id of resource", question(intakeJSON, inferJSON, `{"type": "Model"}`), nil, 400, "resource.id is missing"},
		{"names are told apart by case", strings.Replace(good, `"subject"`, `"Subject"`, 1), nil, 400, "subject is missing"},
		{"a subject that is a string", question(`"alice"`, inferJSON, captionerJSON), nil, 400, "subject is no JSON object"},
		{"a name that is a number", question(intakeJSON, `{"name": 123}`, captionerJSON), nil, 400, "action.name is no string"},
		{"a name that is null", question(intakeJSON, `{"name": null}`, captionerJSON), nil, 400, "action.name is no string"},
		{"a context that is a list", strings.TrimSuffix(good, "}") + `, "context": [1]}`, nil, 400, "context: it is no JSON object"},
		{"groups that are a string", question(`{"type": "Person", "id": "x", "properties": {"groups": "adjusters"}}`, inferJSON, captionerJSON), nil, 400, "groups is no list"},
		{"a resource on several routes", question(intakeJSON, inferJSON, `{"type": "Model", "id": "shared"}`), nil, 400, "on the routes closed, vision"},
		{"a route that is a number", question(intakeJSON, inferJSON, `{"type": "Model", "id": "shared", "properties": {"route": 5}}`), nil, 400, "no name of a route"},
		{"nothing", "", nil, 400, "no JSON"},
		{"no JSON", "{", nil, 400, "no JSON"},
		{"a list", "[]", nil, 400, "no JSON object"},
		{"a key twice", strings.Replace(good, "{", `{"subject": {"type": "Person", "id": "x"},`, 1), nil, 400, "no JSON that is taken"},
		{"deep nesting", strings.TrimSuffix(good, "}") + `, "x": ` + strings.Repeat("[", 20) + strings.Repeat("]", 20) + `}`, nil, 400, "nested deeper"},
		{"another content type", good, header("Content-Type", "text/plain"), 400, "content type"},
		{"no content type", good, func(r *http.Request) { r.Header.Del("Content-Type") }, 400, "content type"},
		{"a very large body", good + strings.Repeat(" ", maxBody), nil, 413, "larger than"},
		{"another method", "", func(r *http.Request) { r.Method = http.MethodGet }, 405, "only POST"},
		{"no caller", good, func(r *http.Request) { r.Header.Del("Authorization") }, 401, "the caller is not authenticated"},
		{"a caller that may not ask", good, header("Authorization", "Bearer other"), 403, "may not ask"},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			change := func(*http.Request) {}
			if test.change != nil {
				change = test.change
			}
			status, answer, _ := p.ask(t, evaluationPath, "evaluation", test.body, change)
			if status != test.status || !strings.Contains(answer, test.want) || strings.Contains(answer, "secret") {
				t.Errorf("%d %s", status, answer)
			}
		})
	}
	if status, answer, _ := p.ask(t, evaluationPath, "evaluation", good, header("Content-Type", "application/json; charset=utf-8")); status != 200 {
		t.Errorf("the twin: %d %s", status, answer)
	}
	if status, _, _ := p.ask(t, "/access/v1/other", "evaluation", good); status != 404 {
		t.Errorf("another path: %d", status)
	}
}

// Section 10.1.3: the same identifier, an arbitrary string.
func TestTheRequestIDComesBack(t *testing.T) {
	p := newPoint(t)
	for body, status := range map[string]int{question(intakeJSON, inferJSON, captionerJSON): 200, "{": 400} {
		for _, id := range []string{"bfe9eb29-ab87-4ca3-be83-a1d5d8305716", "an arbitrary string", strings.Repeat("x", 3000), ""} {
			got, _, h := p.ask(t, evaluationPath, "evaluation", body, func(r *http.Request) {
				if id != "" {
					r.Header.Set("X-Request-ID", id)
				}
			})
			if got != status || h.Get("X-Request-ID") != id {
				t.Errorf("%d %q", got, h.Get("X-Request-ID"))
			}
		}
	}
}

// Section 7: defaults (7.1.1), options and semantics (7.1.2), errors of one evaluation (7.2.1).
func TestBatches(t *testing.T) {
	p := newPoint(t)
	batch := func(options string, items ...string) string {
		return `{"subject": ` + intakeJSON + `, "resource": ` + captionerJSON + options + `, "evaluations": [` + strings.Join(items, ",") + `]}`
	}
	yes, no := `{"action": {"name": "infer"}}`, `{"action": {"name": "embed"}}`
	tests := []struct {
		name, body, want string
	}{
		{"all are answered in order", batch("", yes, no, yes), "true false true"},
		{"all, said so", batch(`, "options": {"evaluations_semantic": "execute_all", "other": 1}`, no, yes), "false true"},
		{"the first deny ends it", batch(`, "options": {"evaluations_semantic": "deny_on_first_deny"}`, yes, no, yes), "true false"},
		{"the first permit ends it", batch(`, "options": {"evaluations_semantic": "permit_on_first_permit"}`, no, yes, no), "false true"},
		{"an error is a deny of its own", batch("", yes, `{}`, `{"action": 5}`, `"x"`, yes), "true error error error true"},
		{"an error is the first deny", batch(`, "options": {"evaluations_semantic": "deny_on_first_deny"}`, yes, `{}`, yes), "true error"},
		{"defaults are replaced whole", `{"subject": ` + intakeJSON + `, "action": ` + inferJSON + `, "resource": {"type": "Model", "id": "captioner", "properties": {"route": "closed"}}, "evaluations": [{}, {"resource": ` + captionerJSON + `}]}`, "false true"},
		{"what is required falls back", `{"subject": {"type": "Workload"}, "action": ` + inferJSON + `, "resource": {"type": "Model"}, "evaluations": [{"subject": {"id": "` + intake + `"}, "resource": {"id": "captioner"}}]}`, "true"},
		{"the context is inherited, or replaced", batch(`, "context": {"bytes": 5000}`, yes, `{"action": {"name": "infer"}, "context": {"bytes": 5}}`), "false true"},
		{"without defaults", `{"evaluations": [` + question(intakeJSON, inferJSON, captionerJSON) + `]}`, "true"},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			status, answer, _ := p.ask(t, evaluationsPath, "evaluations", test.body)
			var got struct {
				Evaluations []struct {
					Decision bool
					Context  map[string]any
				}
			}
			if err := json.Unmarshal([]byte(answer), &got); err != nil || status != 200 {
				t.Fatalf("%d %s", status, answer)
			}
			var words []string
			for _, e := range got.Evaluations {
				switch {
				case e.Context["error"] != nil && !e.Decision:
					words = append(words, "error")
				default:
					words = append(words, fmt.Sprint(e.Decision))
				}
			}
			if strings.Join(words, " ") != test.want {
				t.Errorf("%s", answer)
			}
		})
	}
	for name, rest := range map[string]string{"no list": "", "an empty list": `, "evaluations": []`} {
		body := strings.TrimSuffix(question(intakeJSON, inferJSON, captionerJSON), "}") + rest + "}"
		if status, answer, _ := p.ask(t, evaluationsPath, "evaluation", body); status != 200 || answer != `{"decision":true}` {
			t.Errorf("%s: %d %s", name, status, answer)
		}
	}
	for name, body := range map[string]string{
		"another semantic":     batch(`, "options": {"evaluations_semantic": "any"}`, yes),
		"options that are one": batch(`, "options": 1`, yes),
		"no list":              `{"evaluations": {}}`,
		"too many":             batch("", slices.Repeat([]string{yes}, maxEvaluations+1)...),
	} {
		if status, answer, _ := p.ask(t, evaluationsPath, "evaluations", body); status != 400 {
			t.Errorf("%s: %d %s", name, status, answer)
		}
	}
	if status, _, _ := p.ask(t, evaluationsPath, "evaluations", batch("", slices.Repeat([]string{yes}, maxEvaluations)...)); status != 200 {
		t.Errorf("as many as may be: %d", status)
	}
}

// Section 9: the parameters (9.1), and where they are (9.2). What there is none of is omitted.
func TestTheMetadataSaysWhereToAsk(t *testing.T) {
	p := newPoint(t)
	status, answer, _ := p.ask(t, "/.well-known/authzen-configuration", "metadata", "", func(r *http.Request) { r.Header.Del("Authorization") })
	if status != 200 || !strings.Contains(answer, `"policy_decision_point":"https://pdp.example.com"`) || !strings.Contains(answer, `"search_action_endpoint":"https://pdp.example.com/access/v1/search/action"`) {
		t.Errorf("%d %s", status, answer)
	}
	tenant := newPoint(t, func(c *Config) { c.URL = "https://example.com/tenant1" })
	status, answer, _ = tenant.ask(t, "/.well-known/authzen-configuration/tenant1", "metadata", "")
	if status != 200 || !strings.Contains(answer, `"access_evaluation_endpoint":"https://example.com/tenant1/access/v1/evaluation"`) {
		t.Errorf("%d %s", status, answer)
	}
	if status, answer, _ := tenant.ask(t, "/tenant1"+evaluationPath, "evaluation", question(intakeJSON, inferJSON, captionerJSON)); status != 200 {
		t.Errorf("%d %s", status, answer)
	}
	if status, _, _ := tenant.ask(t, evaluationPath, "evaluation", question(intakeJSON, inferJSON, captionerJSON)); status != 404 {
		t.Errorf("outside of the tenant's path: %d", status)
	}
	if status, _, _ := p.ask(t, "/.well-known/authzen-configuration", "metadata", "{}"); status != 405 {
		t.Errorf("POST: %d", status)
	}
}

func TestADecisionPointWithoutPoliciesDenies(t *testing.T) {
	p := newPoint(t, func(c *Config) { c.Rules = func() Rules { return Rules{} } })
	if status, answer, _ := p.ask(t, evaluationPath, "evaluation", question(intakeJSON, inferJSON, captionerJSON)); status != 200 || !strings.Contains(answer, `"decision":false`) {
		t.Errorf("%d %s", status, answer)
	}
	if got := p.found(t, searchSubjectPath, "entities", question(`{"type": "Person"}`, inferJSON, captionerJSON)); got != nil {
		t.Errorf("%v", got)
	}
}

func TestADecisionPointNeedsItsParts(t *testing.T) {
	good := Config{Rules: func() Rules { return Rules{} }, Authenticate: func(*http.Request) (string, error) { return "", nil }, Record: func(context.Context, *Asked) error { return nil }, URL: "https://pdp.example.com/", Clock: clock.System{}}
	if _, err := New(good); err != nil {
		t.Fatal(err)
	}
	for name, change := range map[string]func(*Config){
		"plain http":     func(c *Config) { c.URL = "http://pdp.example.com" },
		"no host":        func(c *Config) { c.URL = "https:///x" },
		"a query":        func(c *Config) { c.URL = "https://pdp.example.com?x=1" },
		"a fragment":     func(c *Config) { c.URL = "https://pdp.example.com#x" },
		"a user":         func(c *Config) { c.URL = "https://a:b@pdp.example.com" },
		"no policies":    func(c *Config) { c.Rules = nil },
		"no records":     func(c *Config) { c.Record = nil },
		"no clock":       func(c *Config) { c.Clock = nil },
		"no callers":     func(c *Config) { c.Authenticate = nil },
		"an empty query": func(c *Config) { c.URL = "https://pdp.example.com/?" },
	} {
		c := good
		change(&c)
		if _, err := New(c); err == nil {
			t.Errorf("%s is taken", name)
		}
	}
}

// FuzzServe sends foreign bodies: every answer is one of the API's, and none is 500.
func FuzzServe(f *testing.F) {
	p := newPoint(f)
	for _, path := range []byte{0, 1, 2, 3, 4} {
		f.Add(path, []byte(question(intakeJSON, inferJSON, captionerJSON)))
		f.Add(path, []byte(`{"evaluations": [{}, {"subject": {"type": "Person"}}], "options": {"evaluations_semantic": "deny_on_first_deny"}, "page": {"limit": 1, "token": "AAAA"}}`))
	}
	paths := []string{evaluationPath, evaluationsPath, searchSubjectPath, searchResourcePath, searchActionPath}
	f.Fuzz(func(t *testing.T, path byte, body []byte) {
		r := httptest.NewRequest(http.MethodPost, paths[int(path)%len(paths)], bytes.NewReader(body))
		r.Header.Set("Content-Type", "application/json")
		r.Header.Set("Authorization", "Bearer good")
		w := httptest.NewRecorder()
		p.Config.Handler.ServeHTTP(w, r)
		switch w.Code {
		case 200:
			if !json.Valid(w.Body.Bytes()) {
				t.Fatalf("%s", w.Body)
			}
		case 400, 413:
		default:
			t.Fatalf("%d %s", w.Code, w.Body)
		}
	})
}
