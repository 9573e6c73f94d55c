package gateway

import (
	"bytes"
	"compress/gzip"
	"io"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/apexlogic/apex/internal/clock"
	"github.com/apexlogic/apex/internal/gateway/waf"
	"github.com/apexlogic/apex/internal/media/body"
	"github.com/apexlogic/apex/internal/meter"
	"github.com/apexlogic/apex/verdict"
)

// leak is what rule 951230 is about.
const leak = "You have an error in your SQL syntax; check the manual"

// guarded returns the real rules about answers.
func guarded(t *testing.T, change func(*waf.Profile)) *waf.WAF {
	t.Helper()
	p := waf.Strict(clock.System{})
	if change != nil {
		change(&p)
	}
	w, err := waf.New(p)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := w.Close(); err != nil {
			t.Error(err)
		}
	})
	return w
}

// nobodysAPI makes the route one of nobody's protocol.
func nobodysAPI(r *Route) {
	messages, err := body.Generic(nil, nil)
	if err != nil {
		panic(err)
	}
	r.API, r.Messages, r.Models = JSON, messages, nil
}

func TestAnAnswerThatLeaksIsWithheldAndItsTwinPasses(t *testing.T) {
	rules := guarded(t, nil)
	captions, err := body.AnswersWith([]string{"/captions/*/text"})
	if err != nil {
		t.Fatal(err)
	}
	chat := func(content string) string {
		return `{"id":"c1","object":"chat.completion","model":"captioner","choices":[{"index":0,"message":{"role":"assistant","content":` + strconv.Quote(content) + `},"finish_reason":"stop"}]}`
	}
	captioned := func(r *Route) { nobodysAPI(r); r.Answers = captions }
	for _, tc := range []struct {
		name         string
		route        func(*Route)
		status       int
		kind, answer string
		blocked      bool
		rule         int
		text         bool // it is scored
	}{
		{name: "an error in plain JSON", route: nobodysAPI, status: 200, kind: "application/json", answer: `{"message":"` + leak + `"}`, blocked: true, rule: 951230},
		{name: "an ordinary error in plain JSON", route: nobodysAPI, status: 404, kind: "application/json", answer: `{"message":"There is no such claim."}`},
		{name: "an error that JSON escapes", route: nobodysAPI, status: 200, kind: "application/json", answer: `{"page":"\u003c?php echo 1;"}`, blocked: true, rule: 953120},
		{name: "an error as a key", route: nobodysAPI, status: 200, kind: "application/json", answer: `{"` + leak + `":1}`, blocked: true, rule: 951230},
		{name: "an error where a model writes", route: captioned, status: 200, kind: "application/json", answer: `{"captions":[{"text":"` + leak + `"}]}`, text: true},
		{name: "an error beside what a model writes", route: captioned, status: 200, kind: "application/json", answer: `{"captions":[{"text":"a car"}],"debug":"` + leak + `"}`, blocked: true, rule: 951230},
		{name: "a page of plain text", route: nobodysAPI, status: 200, kind: "text/plain", answer: leak, blocked: true, rule: 951230},
		{name: "a page", route: nobodysAPI, status: 500, kind: "text/html; charset=utf-8", answer: "<h1>" + leak + "</h1>", blocked: true, rule: 951230},
		{name: "a page that says little", route: nobodysAPI, status: 500, kind: "text/html; charset=utf-8", answer: "<h1>Something went wrong</h1>"},
		{name: "a model that explains an error", status: 200, kind: "application/json", answer: chat("MySQL says: " + leak), text: true},
		{name: "a model that says hello", status: 200, kind: "application/json", answer: chat("Hello")},
		{name: "an inference server that fails", status: 500, kind: "application/json", answer: `{"error":{"message":"java.lang.NullPointerException at com.example.Load"}}`, blocked: true, rule: 952110},
		{name: "an inference server that says why it does not answer", status: 400, kind: "application/json", answer: `{"error":{"message":"max_tokens is too large: 9000","type":"invalid_request_error"}}`},
		{name: "a page of a server of an AI API", status: 200, kind: "text/html", answer: "<title>Index of /models</title><h1>Index of /models</h1>", blocked: true, rule: 950130},
		{name: "a transcript", status: 200, kind: "text/plain", answer: "She read it aloud: " + leak, text: true},
		{name: "what stands beside a model's text", status: 200, kind: "application/json", answer: strings.Replace(chat("Hello"), `"id":"c1"`, `"debug":"`+leak+`"`, 1), blocked: true, rule: 951230},
	} {
		t.Run(tc.name, func(t *testing.T) {
			w := newWorld(t, func(r *Route) {
				r.AnswerFirewall = rules
				if tc.route != nil {
					tc.route(r)
				}
			})
			w.behind.answer(func(rw http.ResponseWriter, _ *http.Request) {
				rw.Header().Set("Content-Type", tc.kind)
				rw.Header().Set("X-Powered-By", "secret")
				rw.WriteHeader(tc.status)
				io.WriteString(rw, tc.answer)
			})
			status, code, answer := w.ask(t, "POST", "/v1/chat/completions", hello, nil)
			w.front.Close() // the outcome is recorded when the handler has ended
			o := w.records.outcomes[0]
			if o.WAF == nil || o.WAF.RuleSet != waf.Version() {
				t.Fatalf("the outcome does not say what the rules found: %+v", o)
			}
			if !tc.blocked {
				if status != tc.status || answer != tc.answer || o.Code != "" || o.WAF.Score != 0 || o.WAF.Text > 0 != tc.text {
					t.Errorf("%d %s %q, %+v", status, code, answer, o.WAF)
				}
				return
			}
			if status != http.StatusBadGateway || code != string(verdict.AnswerBlocked) || strings.Contains(answer, "SQL") {
				t.Errorf("%d %s %q", status, code, answer)
			}
			if o.Code != string(verdict.AnswerBlocked) || o.Status != http.StatusBadGateway || o.WAF.Score < 4 || !slices.Contains(o.WAF.Rules, tc.rule) {
				t.Errorf("%+v %+v", o, o.WAF)
			}
			if d, _ := w.records.last(t); !d.Allowed || d.ID != o.ID {
				t.Errorf("the request was not recorded as passed on: %+v", d)
			}
		})
	}
}

func TestAnAnswerIsJudgedDecodedAndAsAWhole(t *testing.T) {
	m := meter.New(clock.System{})
	withheld := m.Handle(meter.Key{Control: "gateway", Unit: "answers", Decision: "deny"})
	w := newWorld(t, func(r *Route) {
		nobodysAPI(r)
		r.AnswerFirewall, r.Units.Withheld = guarded(t, nil), withheld
	})
	serve := func(text string) {
		w.behind.answer(func(rw http.ResponseWriter, _ *http.Request) {
			var b bytes.Buffer
			z := gzip.NewWriter(&b)
			io.WriteString(z, text)
			z.Close()
			rw.Header().Set("Content-Type", "text/plain")
			rw.Header().Set("Content-Encoding", "gzip")
			// What comes first says nothing; it does not pass before the rest is there.
			rw.Write(b.Bytes()[:10])
			http.NewResponseController(rw).Flush()
			rw.Write(b.Bytes()[10:])
		})
	}
	serve("All is well. " + leak)
	if status, code, answer := w.ask(t, "POST", "/x", `{"a":1}`, nil); status != http.StatusBadGateway || code != string(verdict.AnswerBlocked) || strings.Contains(answer, "well") {
		t.Errorf("%d %s %q", status, code, answer)
	}
	serve("All is well. The manual has it.")
	if status, _, answer := w.ask(t, "POST", "/x", `{"a":1}`, nil); status != http.StatusOK || answer != "All is well. The manual has it." {
		t.Errorf("%d %q", status, answer)
	}
	w.front.Close()
	if all := m.Totals(); len(all) != 1 || all[0].Total != 1 {
		t.Errorf("withheld answers are counted as %+v", all)
	}
}

func TestWithoutABodyAndInStreamsNoRulesAreAsked(t *testing.T) {
	w := newWorld(t, func(r *Route) { nobodysAPI(r); r.AnswerFirewall = guarded(t, nil) })
	for name, serve := range map[string]http.HandlerFunc{
		"nothing": func(rw http.ResponseWriter, _ *http.Request) { rw.WriteHeader(http.StatusNoContent) },
		"events": func(rw http.ResponseWriter, _ *http.Request) {
			rw.Header().Set("Content-Type", "text/event-stream")
			io.WriteString(rw, "data: "+leak+"\n\n")
		},
	} {
		w.behind.answer(serve)
		if status, code, _ := w.ask(t, "POST", "/x", `{"a":1}`, nil); status >= 300 || code != "" {
			t.Errorf("%s: %d %s", name, status, code)
		}
	}
	w.front.Close()
	for _, o := range w.records.outcomes {
		if o.WAF != nil {
			t.Errorf("%+v", o.WAF)
		}
	}
}

// panics is a firewall that fails.
type panics struct{}

func (panics) CheckAnswer(*waf.Answer) waf.AnswerResult { panic("broken") }

func TestAFirewallThatFailsOverAnAnswerWithholdsIt(t *testing.T) {
	w := newWorld(t, func(r *Route) { nobodysAPI(r); r.AnswerFirewall = panics{} })
	if status, code, _ := w.ask(t, "POST", "/x", `{"a":1}`, nil); status < 400 || code != string(verdict.GatewayFailed) {
		t.Errorf("%d %s", status, code)
	}
	w = newWorld(t, func(r *Route) {
		nobodysAPI(r)
		r.AnswerFirewall = guarded(t, func(p *waf.Profile) { p.Answers = waf.Observe })
	})
	w.behind.answer(func(rw http.ResponseWriter, _ *http.Request) {
		rw.Header().Set("Content-Type", "text/plain")
		io.WriteString(rw, leak)
	})
	if status, _, answer := w.ask(t, "POST", "/x", `{"a":1}`, nil); status != http.StatusOK || answer != leak {
		t.Errorf("observed: %d %q", status, answer)
	}
	w.front.Close()
	if o := w.records.outcomes[0]; o.WAF == nil || o.WAF.Score != 5 {
		t.Errorf("%+v", o.WAF)
	}
}
