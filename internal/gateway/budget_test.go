package gateway

import (
	"bytes"
	"compress/gzip"
	"context"
	"net/http"
	"net/http/httptest"
	"net/url"
	"os"
	"path"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/apexlogic/apex/internal/access"
	"github.com/apexlogic/apex/internal/gateway/fetch"
	"github.com/apexlogic/apex/internal/gateway/waf"
	"github.com/apexlogic/apex/internal/identity"
	"github.com/apexlogic/apex/verdict"
)

// tight is a budget that a stage which dawdles overruns for certain, and no
// other stage has.
const tight = time.Millisecond

// dawdle computes until a tight budget is used up.
func dawdle() {
	for began := time.Now(); time.Since(began) <= 2*tight; {
	}
}

// patient waits for an identity until nobody waits for it any more.
type patient struct{ tokens }

func (p patient) Authenticate(ctx context.Context, c *identity.Credentials) (*identity.Principal, error) {
	if c.Bearer == "bob" {
		<-ctx.Done()
		return nil, ctx.Err()
	}
	return p.tokens.Authenticate(ctx, c)
}

type slowRules struct{ onlyAlice }

func (s slowRules) Decide(q *access.Request) access.Decision {
	dawdle()
	return s.onlyAlice.Decide(q)
}

// slowTexts is a firewall that counts the texts that it scores, slowly.
type slowTexts struct{ scored *int }

func (slowTexts) Check(*waf.Request) waf.Result { return waf.Result{} }
func (s slowTexts) Score([]byte) waf.TextScore {
	*s.scored++
	dawdle()
	return waf.TextScore{Complete: true}
}

func TestAStageThatTakesLongerThanItsBudgetDenies(t *testing.T) {
	chat, texts := "/v1/chat/completions", `{"model":"captioner","messages":[{"role":"user","content":"one"},{"role":"user","content":"two"},{"role":"user","content":"three"}]}`
	scored := 0
	for _, tc := range []struct {
		stage  string
		change func(*Route)
		as     string
		body   string
	}{
		{"access", func(r *Route) { r.Access = slowRules{} }, "alice", hello},
		{"firewall", func(r *Route) { r.Firewall = slowTexts{&scored} }, "alice", texts},
		{"identity", func(r *Route) { r.Identity = patient{} }, "bob", hello},
	} {
		t.Run(tc.stage, func(t *testing.T) {
			scored = 0
			w := newWorld(t, func(r *Route) {
				tc.change(r)
				r.Budgets = map[string]time.Duration{tc.stage: tight}
			})
			ask := func(as string) (int, string, string) {
				return w.ask(t, "POST", chat, tc.body, func(r *http.Request) {
					r.Header.Set("Authorization", "Bearer "+as)
				})
			}
			status, code, answer := ask(tc.as)
			if status != 503 || code != string(verdict.GatewayOverdue) || w.behind.count() != 0 {
				t.Fatalf("%d %s: %s", status, code, answer)
			}
			d, durable := w.records.last(t)
			if d.Allowed || !durable || d.Stage != tc.stage || d.Code != code {
				t.Errorf("recorded: %+v", d)
			}
			if tc.stage == "firewall" && scored > 1 {
				t.Errorf("%d of three texts were scored, and the first used the budget up", scored)
			}
			again := *w.route
			again.Budgets = nil
			w.use(t, "two", &again)
			if status, code, answer := ask("alice"); status != 200 || w.behind.count() != 1 {
				t.Errorf("with the usual budget: %d %s: %s", status, code, answer)
			}
		})
	}
}

// slowLeaks finds nothing in answers, slowly.
type slowLeaks struct{}

func (slowLeaks) CheckAnswer(*waf.Answer) waf.AnswerResult {
	dawdle()
	return waf.AnswerResult{}
}

func TestAnAnswerThatIsLookedAtForTooLongIsWithheld(t *testing.T) {
	w := newWorld(t, func(r *Route) {
		r.AnswerFirewall, r.Budgets = slowLeaks{}, map[string]time.Duration{"firewall": tight}
	})
	if status, code, answer := w.ask(t, "POST", "/v1/chat/completions", hello, nil); status != 503 || code != string(verdict.GatewayOverdue) {
		t.Errorf("%d %s: %s", status, code, answer)
	}
	again := *w.route
	again.Budgets = nil
	w.use(t, "two", &again)
	if status, code, answer := w.ask(t, "POST", "/v1/chat/completions", hello, nil); status != 200 || answer != "{}" {
		t.Errorf("with the usual budget: %d %s: %s", status, code, answer)
	}
}

// refusing has the server behind at a port that takes no connection.
func refusing(r *Route) { r.Upstream.URL = &url.URL{Scheme: "http", Host: "127.0.0.1:0"} }

// TestEachStageDeniesInItsOwnName has each stage deny once, and holds what it
// denies with to the table of docs/gateway.md.
func TestEachStageDeniesInItsOwnName(t *testing.T) {
	chat, picture := "/v1/chat/completions", `{"messages":[{"content":[{"image_url":{"url":"data:image/png;base64,UE5H"}}]}]}`
	documented := documentedStages(t)
	for _, tc := range []struct {
		stage, path, body string
		change            func(*http.Request)
		route             func(*Route)
	}{
		{"hygiene", "/v1//chat", hello, nil, nil},
		{"route", "/v1/assistants", hello, nil, nil},
		{"identity", chat, hello, func(r *http.Request) { r.Header.Del("Authorization") }, nil},
		{"limits", chat, hello, nil, func(r *Route) { r.Media.Bytes = 10 }},
		{"body", chat, "{", nil, nil},
		{"media", chat, picture, nil, func(r *Route) { r.Kinds = [kinds]bool{} }},
		{"access", chat, hello, func(r *http.Request) { r.Header.Set("Authorization", "Bearer bob") }, nil},
		{"firewall", chat, hello, nil, func(r *Route) { r.Firewall = unsure{} }},
		{"content", chat, strings.Replace(picture, "data:image/png;base64,UE5H", "https://127.0.0.1/a.png", 1), nil, func(r *Route) {
			f, err := fetch.New(fetch.Options{Inspect: measured}) // from no host
			if err != nil {
				t.Fatal(err)
			}
			r.Addresses = &Addresses{Fetcher: f}
		}},
	} {
		t.Run(tc.stage, func(t *testing.T) {
			w := newWorld(t, tc.route)
			_, code, answer := w.ask(t, "POST", tc.path, tc.body, tc.change)
			d, _ := w.records.last(t)
			if d.Allowed || d.Stage != tc.stage || d.Code != code || w.behind.count() != 0 {
				t.Errorf("%s: recorded %+v", answer, d)
			}
			if !matches(documented[tc.stage], code) {
				t.Errorf("%s denies with %s, documented are %v", tc.stage, code, documented[tc.stage])
			}
		})
	}
	t.Run("upstream, and forward before it", func(t *testing.T) {
		w := newWorld(t, refusing)
		for range breakAfter {
			if _, code, _ := w.ask(t, "POST", chat, hello, nil); !matches(documented["forward"], code) {
				t.Errorf("forward ends with %s", code)
			}
		}
		_, code, _ := w.ask(t, "POST", chat, hello, nil)
		if d, _ := w.records.last(t); d.Allowed || d.Stage != "upstream" || !matches(documented["upstream"], code) {
			t.Errorf("%s: %+v", code, d)
		}
	})
	t.Run("unchanged", func(t *testing.T) {
		var packed bytes.Buffer
		g := gzip.NewWriter(&packed)
		g.Write([]byte(hello))
		g.Close()
		w := newWorld(t, nil)
		r := httptest.NewRequest("POST", chat, nil)
		r.RequestURI, r.Host = "", "captioner.example"
		r.Header = http.Header{"Authorization": {"Bearer alice"}, "Content-Type": {"application/json"}, "Content-Encoding": {"gzip"}}
		j := w.gateway.Judge(&Ask{Door: "extauthz", Request: r, Body: packed.Bytes()})
		if d, _ := w.records.last(t); j.Denial == nil || d.Stage != "unchanged" || !matches(documented["unchanged"], string(j.Denial.Code)) {
			t.Errorf("%+v: %+v", j.Denial, d)
		}
	})
	t.Run("record", func(t *testing.T) {
		w := newWorld(t, nil)
		w.records.fails = true
		if status, code, _ := w.ask(t, "POST", chat, hello, nil); status != 503 || !matches(documented["record"], code) {
			t.Error(status, code)
		}
	})
}

// unsure is a firewall that cannot score.
type unsure struct{}

func (unsure) Check(*waf.Request) waf.Result { return waf.Result{} }
func (unsure) Score([]byte) waf.TextScore    { return waf.TextScore{} }

// slowDisk keeps what it is given when nobody waits for it any more, or does not.
type slowDisk struct {
	*memory
	keeps bool
}

func (s slowDisk) Record(ctx context.Context, d *Decision, durable bool) error {
	if s.keeps {
		dawdle()
		return s.memory.Record(ctx, d, durable)
	}
	<-ctx.Done()
	return ctx.Err()
}

func TestARecordThatIsNotKeptInTimeDeniesAndOneThatIsKeptLateHolds(t *testing.T) {
	w := newWorld(t, func(r *Route) { r.Budgets = map[string]time.Duration{"record": tight} })
	w.gateway.options.Recorder = slowDisk{memory: w.records}
	if status, code, _ := w.ask(t, "POST", "/v1/chat/completions", hello, nil); status != 503 || code != string(verdict.GatewayRecord) || w.behind.count() != 0 {
		t.Fatal(status, code)
	}
	w.gateway.options.Recorder = slowDisk{memory: w.records, keeps: true}
	if status, code, _ := w.ask(t, "POST", "/v1/chat/completions", hello, nil); status != 200 {
		t.Fatal(status, code)
	}
	if d, _ := w.records.last(t); !d.Allowed || w.behind.count() != 1 {
		t.Errorf("recorded: %+v", d)
	}
}

func TestARouteSetsTheBudgetsOfStagesThatThereAre(t *testing.T) {
	w := newWorld(t, nil)
	for name, known := range map[string]bool{"firewall": true, "record": true, "forward": false, "hygiene": false, "fire": false} {
		r := *w.route
		r.Budgets = map[string]time.Duration{name: time.Second}
		if _, err := NewSnapshot("two", []*Route{&r}, nil); (err == nil) != known {
			t.Errorf("%s: %v", name, err)
		}
	}
}

// TestEachStageIsDocumentedWithItsBudgetAndItsCodes holds the table of
// docs/gateway.md to the one in stages.go.
func TestEachStageIsDocumentedWithItsBudgetAndItsCodes(t *testing.T) {
	rows := documentedRows(t)
	if len(rows) != len(stages) {
		t.Fatalf("%d stages are documented, there are %d", len(rows), len(stages))
	}
	for i := range stages {
		s, row := &stages[i], rows[i]
		name, budget, codes := strings.TrimSpace(row[0]), strings.TrimSpace(row[2]), row[3]
		if name != s.name {
			t.Errorf("stage %d is %s, documented is %s", i, s.name, name)
		}
		if s.budget == 0 || s.budget != byRoute && budget != s.budget.String() || budget == "" {
			t.Errorf("%s: its budget is %s, documented is %q", s.name, s.budget, budget)
		}
		named := patterns(codes)
		for _, pattern := range named {
			if !slices.ContainsFunc(verdict.Codes(), func(c verdict.CodeInfo) bool { return matches([]string{pattern}, string(c.Code)) }) {
				t.Errorf("%s: %s is no code", s.name, pattern)
			}
		}
		if len(named) == 0 {
			t.Errorf("%s: no code is documented", s.name)
		}
	}
}

// documentedRows are the cells of the table of stages.
func documentedRows(t *testing.T) (rows [][]string) {
	t.Helper()
	page, err := os.ReadFile("../../docs/gateway.md")
	if err != nil {
		t.Fatal(err)
	}
	_, table, _ := strings.Cut(string(page), "| stage | what it does | at most |")
	for line := range strings.Lines(table) {
		cells := strings.Split(strings.Trim(strings.TrimSpace(line), "|"), "|")
		if len(rows) > 0 && len(cells) != 4 {
			break
		}
		if len(cells) == 4 && !strings.Contains(cells[0], "---") {
			rows = append(rows, cells)
		}
	}
	return rows
}

// documentedStages are the patterns of codes that each stage is said to deny with.
func documentedStages(t *testing.T) map[string][]string {
	t.Helper()
	all := map[string][]string{}
	for _, row := range documentedRows(t) {
		all[strings.TrimSpace(row[0])] = patterns(row[3])
	}
	return all
}

// patterns are what stands in code spans.
func patterns(cell string) (all []string) {
	for i, text := range strings.Split(cell, "`") {
		if i%2 == 1 {
			all = append(all, text)
		}
	}
	return all
}

func matches(patterns []string, code string) bool {
	return slices.ContainsFunc(patterns, func(p string) bool {
		ok, err := path.Match(p, code)
		return ok && err == nil
	})
}
