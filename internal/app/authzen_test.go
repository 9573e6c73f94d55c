package app

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/santhosh-tekuri/jsonschema/v6"

	"github.com/apexlogic/apex/internal/access/authzen"
	"github.com/apexlogic/apex/internal/clock"
	"github.com/apexlogic/apex/internal/config"
	"github.com/apexlogic/apex/internal/ledger"
)

// answerOfPoint asks a decision point, and holds what it answers with 200 to the
// shape that the specification says.
func answerOfPoint(t *testing.T, c *http.Client, method, url, schema, token, body string) (int, string) {
	t.Helper()
	r, err := http.NewRequestWithContext(t.Context(), method, url, strings.NewReader(body))
	if err != nil {
		t.Fatal(err)
	}
	r.Header.Set("Content-Type", "application/json")
	r.Header.Set("X-Request-ID", "asked-7")
	if token != "" {
		r.Header.Set("Authorization", "Bearer "+token)
	}
	resp, err := c.Do(r)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	data, err := io.ReadAll(resp.Body)
	if err != nil {
		t.Fatal(err)
	}
	if resp.Header.Get("X-Request-ID") != "asked-7" && schema != "" {
		t.Errorf("%s: the request's id does not come back: %v", url, resp.Header)
	}
	if resp.StatusCode != http.StatusOK || schema == "" {
		return resp.StatusCode, string(data)
	}
	document, err := jsonschema.UnmarshalJSON(bytes.NewReader(pointSchema(t)))
	if err != nil {
		t.Fatal(err)
	}
	compiler := jsonschema.NewCompiler()
	if err := compiler.AddResource("https://schema.test/authzen", document); err != nil {
		t.Fatal(err)
	}
	got, err := jsonschema.UnmarshalJSON(bytes.NewReader(data))
	if err != nil {
		t.Fatal(err)
	}
	if err := compiler.MustCompile("https://schema.test/authzen#/$defs/" + schema).Validate(got); err != nil {
		t.Errorf("%s: %s: %v", url, data, err)
	}
	return resp.StatusCode, string(data)
}

func pointSchema(t *testing.T) []byte {
	t.Helper()
	data, err := os.ReadFile("../access/authzen/testdata/answers.schema.json")
	if err != nil {
		t.Fatal(err)
	}
	return data
}

const (
	subjectIntake   = `"subject":{"type":"Workload","id":"spiffe://claims.example/intake"}`
	subjectOther    = `"subject":{"type":"Workload","id":"spiffe://claims.example/other"}`
	inferCaptioner  = `"action":{"name":"infer"},"resource":{"type":"Model","id":"captioner"}`
	asAnybody       = `"subject":{"type":"Workload"}`
	anyModel        = `"resource":{"type":"Model"}`
	captionerModel  = `"resource":{"type":"Model","id":"captioner"}`
	accessToHosts   = "apiVersion: security.apexlogic.com/v1alpha1\nkind: AccessPolicy\nmetadata: {name: out}\nspec:\n  cedar: |\n    permit(principal == Workload::\"spiffe://claims.example/intake\", action == Action::\"egress\", resource == Host::\"weights.example\");\n"
	forbidCaptioner = "apiVersion: security.apexlogic.com/v1alpha1\nkind: AccessPolicy\nmetadata: {name: closed}\nspec:\n  cedar: |\n    forbid(principal, action, resource == Model::\"captioner\");\n"
)

func TestEnforcementPointsAskTheGatewaysPolicies(t *testing.T) {
	dir, bundles := t.TempDir(), t.TempDir()
	intake, mesh := caller(t, bundles, "/intake"), workload(t, bundles, "mesh.example", "/pep")
	put(t, dir, "route.yaml", fmt.Sprintf(routeOf, "http://nobody.example"))
	put(t, dir, "out.yaml", accessToHosts)
	o := GatewayOptions{Config: dir, TrustDomain: "vision.example", Bundles: bundles, AuthZEN: AuthZEN{Address: "127.0.0.1:0", URL: "https://pdp.example", Callers: []string{"spiffe://mesh.example/pep"}}}
	at := doorsOf(&o)
	s := serveGateway(t, o)
	base := "https://" + at(doorAuthZEN)
	pep, stranger, nobody := s.as(t, mesh), s.as(t, intake), s.as(t, nil)
	token, err := mesh.Token("https://pdp.example")
	if err != nil {
		t.Fatal(err)
	}
	elsewhere, err := mesh.Token("https://other.example")
	if err != nil {
		t.Fatal(err)
	}
	for _, tc := range []struct {
		name               string
		as                 *http.Client
		token              string
		path, schema, body string
		status             int
		has                string
	}{
		{"who may", pep, "", "/access/v1/evaluation", "evaluation", "{" + subjectIntake + "," + inferCaptioner + "}", 200, `{"decision":true}`},
		{"who may not", pep, "", "/access/v1/evaluation", "evaluation", "{" + subjectOther + "," + inferCaptioner + "}", 200, `"decision":false`},
		{"by a token", nobody, token, "/access/v1/evaluation", "evaluation", "{" + subjectIntake + "," + inferCaptioner + "}", 200, `{"decision":true}`},
		{"by a token for somebody else", nobody, elsewhere, "/access/v1/evaluation", "", "{" + subjectIntake + "," + inferCaptioner + "}", 401, "not authenticated"},
		{"nobody", nobody, "", "/access/v1/evaluation", "", "{" + subjectIntake + "," + inferCaptioner + "}", 401, "not authenticated"},
		{"somebody who may not ask", stranger, "", "/access/v1/evaluation", "", "{" + subjectIntake + "," + inferCaptioner + "}", 403, "may not ask"},
		{"a batch", pep, "", "/access/v1/evaluations", "evaluations", "{" + inferCaptioner + `,"evaluations":[{` + subjectOther + "},{" + subjectIntake + `}],"options":{"evaluations_semantic":"deny_on_first_deny"}}`, 200, `{"evaluations":[{"decision":false,`},
		{"who can infer", pep, "", "/access/v1/search/subject", "entities", "{" + asAnybody + "," + inferCaptioner + "}", 200, `"id":"spiffe://claims.example/intake"`},
		{"which models", pep, "", "/access/v1/search/resource", "entities", "{" + subjectIntake + `,"action":{"name":"infer"},` + anyModel + "}", 200, `"id":"captioner"`},
		{"which hosts", pep, "", "/access/v1/search/resource", "entities", "{" + subjectIntake + `,"action":{"name":"egress"},"resource":{"type":"Host"}}`, 200, `"id":"weights.example"`},
		{"which actions", pep, "", "/access/v1/search/action", "actions", "{" + subjectIntake + "," + captionerModel + "}", 200, `{"name":"infer"},{"name":"list"}`},
		{"no question", pep, "", "/access/v1/evaluation", "", "{}", 400, "missing"},
	} {
		status, text := answerOfPoint(t, tc.as, http.MethodPost, base+tc.path, tc.schema, tc.token, tc.body)
		if status != tc.status || !strings.Contains(text, tc.has) {
			t.Errorf("%s: %d %s, want %d with %s", tc.name, status, text, tc.status, tc.has)
		}
	}
	if status, text := answerOfPoint(t, nobody, http.MethodGet, base+"/.well-known/authzen-configuration", "metadata", "", ""); status != 200 || !strings.Contains(text, `"policy_decision_point":"https://pdp.example"`) {
		t.Errorf("the metadata: %d %s", status, text)
	}
	first := s.now
	put(t, dir, "closed.yaml", forbidCaptioner)
	s.wait(t, func(h config.Health) bool { return h.OK() && h.Generation != s.now })
	if status, text := answerOfPoint(t, pep, http.MethodPost, base+"/access/v1/evaluation", "evaluation", "", "{"+subjectIntake+","+inferCaptioner+"}"); status != 200 || !strings.Contains(text, `"decision":false`) {
		t.Errorf("after it was forbidden: %d %s", status, text)
	}
	if err := s.end(); err != nil {
		t.Fatal(err)
	}
	asked := recordsOfPoint(t, s.state, roleGateway)
	if len(asked) != 9 {
		t.Fatalf("%d records of 9 answers: %v", len(asked), asked)
	}
	for _, a := range asked[:8] {
		if !strings.Contains(a, `"caller":"spiffe://mesh.example/pep"`) || !strings.Contains(a, `"generation":"`+first+`"`) || !strings.Contains(a, `"request":"asked-7"`) {
			t.Errorf("who asked, and what was in force: %s", a)
		}
	}
}

func TestADecisionPointAloneFollowsItsFolder(t *testing.T) {
	dir, state := t.TempDir(), filepath.Join(t.TempDir(), "state")
	put(t, dir, "route.yaml", fmt.Sprintf(routeOf, "http://nobody.example"))
	ctx, stop := context.WithCancel(t.Context())
	ready, healths, ended := make(chan string, 1), make(chan config.Health, 16), make(chan error, 1)
	go func() {
		ended <- AccessServe(ctx, AccessServeOptions{Config: dir, State: state, Address: "127.0.0.1:0", Ready: func(url string) { ready <- url }, Health: func(h config.Health) { healths <- h }})
	}()
	var base string
	select {
	case base = <-ready:
	case err := <-ended:
		t.Fatal(err)
	}
	first := <-healths
	token, err := os.ReadFile(filepath.Join(state, "token"))
	if err != nil {
		t.Fatal(err)
	}
	question := "{" + subjectIntake + "," + inferCaptioner + "}"
	ask := func(token string) (int, string) {
		return answerOfPoint(t, http.DefaultClient, http.MethodPost, base+"/access/v1/evaluation", "evaluation", token, question)
	}
	if status, text := ask(string(token)); status != 200 || !strings.Contains(text, `"decision":true`) {
		t.Errorf("%d %s", status, text)
	}
	if status, text := ask("guessed"); status != 401 {
		t.Errorf("without the token: %d %s", status, text)
	}
	_, text := answerOfPoint(t, http.DefaultClient, http.MethodGet, base+"/.well-known/authzen-configuration", "", "", "")
	var metadata map[string]string
	if err := json.Unmarshal([]byte(text), &metadata); err != nil || metadata["access_evaluation_endpoint"] != base+"/access/v1/evaluation" {
		t.Errorf("%s: %v", text, err)
	}
	put(t, dir, "closed.yaml", forbidCaptioner)
	for h := range healths {
		if h.OK() && h.Generation != first.Generation {
			break
		}
	}
	if status, text := ask(string(token)); status != 200 || !strings.Contains(text, `"decision":false`) {
		t.Errorf("after it was forbidden: %d %s", status, text)
	}
	stop()
	if err := <-ended; err != nil {
		t.Error(err)
	}
	asked := recordsOfPoint(t, state, roleAccess)
	if len(asked) != 2 || !strings.Contains(asked[0], `"caller":"token"`) || !strings.Contains(asked[0], `"allowed":true`) || !strings.Contains(asked[1], `"code":"request.access.forbidden"`) {
		t.Errorf("the ledger holds %v", asked)
	}
}

// recordsOfPoint are the answers that a ledger holds, in order.
func recordsOfPoint(t *testing.T, state, role string) (all []string) {
	t.Helper()
	l, err := ledger.Open(t.Context(), filepath.Join(state, "ledger", role), ledger.Options{ReadOnly: true})
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	for e, err := range l.Records(t.Context(), ledger.Cursor{}) {
		if err != nil {
			t.Fatal(err)
		}
		if e.Type == authzen.AskedSchema {
			all = append(all, string(e.Data))
		}
	}
	return all
}

func TestADecisionPointAnswersEachCallerSoOften(t *testing.T) {
	dir, bundles := t.TempDir(), t.TempDir()
	one, two := workload(t, bundles, "mesh.example", "/pep"), caller(t, bundles, "/intake")
	put(t, dir, "route.yaml", fmt.Sprintf(routeOf, "http://nobody.example"))
	// The clock stands, so that no minute passes.
	o := GatewayOptions{Clock: clock.At(time.Now()), Config: dir, TrustDomain: "vision.example", Bundles: bundles, AuthZEN: AuthZEN{Address: "127.0.0.1:0", URL: "https://pdp.example", Rate: 3, Callers: []string{"spiffe://mesh.example/pep", "spiffe://claims.example/intake"}}}
	at := doorsOf(&o)
	s := serveGateway(t, o)
	url := "https://" + at(doorAuthZEN) + "/access/v1/evaluations"
	batch := "{" + inferCaptioner + `,"evaluations":[{` + subjectIntake + "},{" + subjectOther + "}]}"
	if status, text := answerOfPoint(t, s.as(t, one), http.MethodPost, url, "evaluations", "", batch); status != 200 {
		t.Errorf("two of three: %d %s", status, text)
	}
	if status, text := answerOfPoint(t, s.as(t, one), http.MethodPost, url, "", "", batch); status != 429 {
		t.Errorf("four of three: %d %s", status, text)
	}
	if status, text := answerOfPoint(t, s.as(t, two), http.MethodPost, url, "evaluations", "", batch); status != 200 {
		t.Errorf("another caller: %d %s", status, text)
	}
}

func TestADecisionPointKnowsItsCallers(t *testing.T) {
	for want, o := range map[string]GatewayOptions{
		"--authzen-caller":   {TrustDomain: "vision.example", AuthZEN: AuthZEN{Address: "127.0.0.1:0"}},
		"is not a SPIFFE ID": {TrustDomain: "vision.example", AuthZEN: AuthZEN{Address: "127.0.0.1:0", Callers: []string{"pep"}}},
		"no certificate":     {AuthZEN: AuthZEN{Address: "0.0.0.0:0", Callers: []string{"spiffe://a.example/pep"}}},
		"the URL of the dec": {TrustDomain: "vision.example", AuthZEN: AuthZEN{Address: "127.0.0.1:0", URL: "http://pdp.example", Callers: []string{"spiffe://a.example/pep"}}},
	} {
		o.State, o.Config, o.Address, o.HealthAddress = t.TempDir(), t.TempDir(), "127.0.0.1:0", "127.0.0.1:0"
		if err := Gateway(t.Context(), o); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%v, want %s", err, want)
		}
	}
}

func TestWhatPoliciesNameOneByOneCanBeFound(t *testing.T) {
	dir := t.TempDir()
	put(t, dir, "route.yaml", fmt.Sprintf(routeOf, "http://nobody.example"))
	put(t, dir, "out.yaml", accessToHosts)
	rules, err := LoadAccess(t.Context(), []string{dir})
	if err != nil {
		t.Fatal(err)
	}
	who, what := rules.set.Named()
	var names []string
	for _, e := range slices.Concat(who, what) {
		names = append(names, e.Type+" "+e.ID)
	}
	if got := strings.Join(names, ", "); got != "Workload spiffe://claims.example/intake, Nobody anonymous, Host weights.example" {
		t.Error(got)
	}
}
