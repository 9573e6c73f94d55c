package authzen

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/apexlogic/apex/internal/access"
	"github.com/apexlogic/apex/internal/ledger"
)

// recording is a decision point with what it records.
func recording(t *testing.T, change ...func(*Config)) (*point, chan *Asked) {
	records := make(chan *Asked, 16)
	keep := func(c *Config) {
		c.Record = func(_ context.Context, a *Asked) error { records <- a; return nil }
	}
	return newPoint(t, append([]func(*Config){keep}, change...)...), records
}

func TestWhatIsAnsweredIsRecordedAndNothingElse(t *testing.T) {
	p, records := recording(t)
	secret := `"properties": {"team": "hidden-team", "ssn": "hidden-number"}`
	subject := `{"type": "Workload", "id": "` + intake + `", ` + secret + `}`
	resource := `{"type": "Model", "id": "captioner", ` + secret + `}`
	long := "https://id.example#" + strings.Repeat("x", maxName)
	context := `, "context": {"note": "hidden-note"}}`
	who := `"subject":{"type":"Workload","id":"` + intake + `"}`
	what := `"resource":{"type":"Model","id":"captioner"}`
	for _, test := range []struct {
		name, path, schema, body string
		status                   int
		want                     []string // parts of the record; nil: there is none
	}{
		{"a permit", evaluationPath, "evaluation", strings.TrimSuffix(question(subject, inferJSON, resource), "}") + context, 200,
			[]string{`"schema":"apex.access.asked/v1","at":"2026-11-23T12:00:00Z","generation":"g1","caller":"good","request":"r-1","asked":"evaluation","decisions":1,"allowed":1`, who + `,"action":"infer",` + what + `,"route":"vision","allowed":true,"policies":["p/intake"]`}},
		{"a deny", evaluationPath, "evaluation", question(subject, `{"name": "embed"}`, resource), 200, []string{`"decisions":1,"allowed":0`, `"allowed":false,"code":"request.access.denied"`}},
		{"a batch", evaluationsPath, "evaluations", `{"subject": ` + subject + `, "resource": ` + resource + `, "evaluations": [{"action": ` + inferJSON + `}, {}, {"action": {"name": "embed"}}]}`, 200,
			[]string{`"asked":"evaluations","decisions":3,"allowed":1`, `,{"allowed":false},`}},
		{"a batch that ends early", evaluationsPath, "evaluations", `{"subject": ` + subject + `, "resource": ` + resource + `, "evaluations": [{}, {"action": ` + inferJSON + `}], "options": {"evaluations_semantic": "deny_on_first_deny"}}`, 200, []string{`"decisions":1,"allowed":0`}},
		{"a search", searchActionPath, "actions", `{"subject": ` + subject + `, "resource": ` + resource + `}`, 200, []string{`"asked":"search/action"`, `"decided":[{` + who + `,` + what + `,"route":"vision"}]`}},
		{"a search for subjects", searchSubjectPath, "entities", question(`{"type": "Person", "id": "ignored"}`, inferJSON, resource), 200, []string{`"decisions":2,"allowed":1`, `"subject":{"type":"Person"}`}},
		{"a search for resources", searchResourcePath, "entities", question(subject, inferJSON, `{"type": "Model", "id": "ignored"}`), 200, []string{`"resource":{"type":"Model"}`}},
		{"a long name is recorded as its digest", evaluationPath, "evaluation", question(`{"type": "Person", "id": "`+long+`"}`, inferJSON, resource), 200, []string{`"id":"sha256:`}},
		{"what is no question leaves no record", evaluationPath, "", "{}", 400, nil},
	} {
		t.Run(test.name, func(t *testing.T) {
			status, answer, _ := p.ask(t, test.path, test.schema, test.body, func(r *http.Request) { r.Header.Set("X-Request-ID", "r-1") })
			if status != test.status {
				t.Fatalf("%d %s", status, answer)
			}
			if test.want == nil {
				if len(records) != 0 {
					t.Errorf("%+v", <-records)
				}
				return
			}
			data, err := json.Marshal(<-records)
			if err != nil {
				t.Fatal(err)
			}
			for _, want := range test.want {
				if !strings.Contains(string(data), want) {
					t.Errorf("%s lacks %s", data, want)
				}
			}
			if strings.Contains(string(data), "hidden") || strings.Contains(string(data), "ignored") || strings.Contains(string(data), long) {
				t.Errorf("the record says too much: %s", data)
			}
		})
	}
	for _, token := range []string{"", "Bearer other"} {
		p.ask(t, evaluationPath, "", question(intakeJSON, inferJSON, captionerJSON), func(r *http.Request) { r.Header.Set("Authorization", token) })
	}
	if len(records) != 0 {
		t.Errorf("who may not ask leaves a record: %+v", <-records)
	}
}

func TestARecordOfTheLargestBatchFitsTheLedger(t *testing.T) {
	p, records := recording(t)
	name := strings.Repeat("<", maxName) // JSON has it escaped
	item := question(`{"type": "`+name+`", "id": "`+name+`"}`, `{"name": "`+name+`"}`, `{"type": "`+name+`", "id": "`+name+`", "properties": {"route": "`+name+`"}}`)
	items := append(slices.Repeat([]string{item}, maxNamed), slices.Repeat([]string{question(intakeJSON, inferJSON, captionerJSON), "{}"}, (maxEvaluations-maxNamed)/2)...)
	if status, answer, _ := p.ask(t, evaluationsPath, "evaluations", `{"evaluations": [`+strings.Join(items, ",")+`]}`); status != 200 {
		t.Fatalf("%d %s", status, answer)
	}
	a := <-records
	data, err := json.Marshal(a)
	if err != nil || len(data) > ledger.MaxData {
		t.Errorf("%d bytes, %v", len(data), err)
	}
	if a.Decisions != maxEvaluations || a.Allowed != (maxEvaluations-maxNamed)/2 || a.Rest != strings.Repeat("+-", a.Allowed) {
		t.Errorf("%d decisions, %d allowed, the rest %s", a.Decisions, a.Allowed, a.Rest)
	}
}

func TestWhatCannotBeRecordedIsNotAnswered(t *testing.T) {
	broken := errors.New("secret: the disk is full")
	p := newPoint(t, func(c *Config) { c.Record = func(context.Context, *Asked) error { return broken } })
	good := question(intakeJSON, inferJSON, captionerJSON)
	for path, schema := range map[string]string{evaluationPath: "evaluation", evaluationsPath: "evaluation", searchActionPath: "actions"} {
		broken = errors.New("secret: the disk is full")
		status, answer, _ := p.ask(t, path, schema, good)
		if status != http.StatusServiceUnavailable || !strings.Contains(answer, "could not be recorded") || strings.Contains(answer, "secret") || strings.Contains(answer, "decision\"") {
			t.Errorf("%s: %d %s", path, status, answer)
		}
		broken = nil
		if status, answer, _ := p.ask(t, path, schema, good); status != 200 {
			t.Errorf("the twin of %s: %d %s", path, status, answer)
		}
	}
}

func TestACallerMayAskForSoManyDecisions(t *testing.T) {
	left := map[string]int{}
	p, records := recording(t, func(c *Config) {
		c.Take = func(caller string, n int) (time.Duration, bool) {
			if n > left[caller] {
				return 1200 * time.Millisecond, false
			}
			left[caller] -= n
			return 0, true
		}
	})
	good := question(intakeJSON, inferJSON, captionerJSON)
	batch := func(n int) string {
		return `{"evaluations": [` + strings.Join(slices.Repeat([]string{good}, n), ",") + `]}`
	}
	people := question(`{"type": "Person"}`, inferJSON, captionerJSON)
	actions := fmt.Sprintf(`{"subject": %s, "resource": %s}`, intakeJSON, captionerJSON)
	for _, test := range []struct {
		name, path, schema, body string
		left                     int // that is enough, by nothing
	}{
		{"an evaluation is one", evaluationPath, "evaluation", good, 1},
		{"a batch is as many as it has", evaluationsPath, "evaluations", batch(5), 5},
		{"a search is as many as are looked at", searchSubjectPath, "entities", people, 2},
		{"so is one for actions", searchActionPath, "actions", actions, len(access.Actions())},
	} {
		t.Run(test.name, func(t *testing.T) {
			left["good"], left["good too"] = test.left-1, test.left
			status, answer, h := p.ask(t, test.path, test.schema, test.body)
			if status != http.StatusTooManyRequests || h.Get("Retry-After") != "2" || !strings.Contains(answer, "more decisions than it may") || len(records) != 0 {
				t.Errorf("one too few: %d %v %s", status, h, answer)
			}
			status, answer, _ = p.ask(t, test.path, test.schema, test.body, func(r *http.Request) { r.Header.Set("Authorization", "Bearer good too") })
			if status != 200 || left["good too"] != 0 || (<-records).Caller != "good too" {
				t.Errorf("another caller: %d %s, %d left", status, answer, left["good too"])
			}
		})
	}
	left["good"] = 1
	if status, _, _ := p.ask(t, evaluationPath, "", "{"); status != 400 || left["good"] != 0 {
		t.Errorf("what is no question counts too: %d, %d left", status, left["good"])
	}
}
