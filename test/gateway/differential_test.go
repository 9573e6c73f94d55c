package gateway

import (
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"strings"
	"sync/atomic"
	"testing"

	"github.com/apexlogic/apex/internal/app"
	"github.com/apexlogic/apex/verdict"
)

// notJSON are texts that no reader should take for JSON, and some do (RFC 8259).
// Each stands where a value may stand.
var notJSON = []string{
	``, ` `, `nul`, `NULL`, `True`, `nil`, `undefined`, `NaN`, `Infinity`, `-Infinity`, `+1`, `-`, `--1`, `01`, `-01`, `00`, `1.`, `.5`, `-.5`, `1.e1`, `1e`, `1e+`,
	`1E-`, `1eE2`, `1.2.3`, `0x1F`, `0b1`, `1_000`, `1,000`, `１`, `1a`, `1 2`, `0e`, `-1x`,
	`"`, `"a`, `'a'`, "`a`", `a`, `"\a"`, `"\x41"`, `"\'"`, `"\0"`, `"\u"`, `"\u1"`, `"\u12"`, `"\u123"`, `"\u12G4"`, `"\U0041"`, "\"a\nb\"", "\"a\tb\"", "\"a\x00b\"", "\"a\x1fb\"",
	`"a" "b"`, `"\ud800"`, `"\udc00"`, `"\ud800\ud800"`, `"\ud83d\u0041"`, `"\ud83d"`, "\"\xff\"", "\"\xc0\xaf\"", "\"\xed\xa0\x80\"", "\"\xf4\x90\x80\x80\"", "\"\xe2\x82\"", `"\`,
	`[`, `]`, `[1`, `[1,`, `[,1]`, `[1,,2]`, `[1,]`, `[,]`, `[1 2]`, `[1;2]`, `[1:2]`, `[}`, `[1}`, `["a":1]`, `[1]]`, `[//c` + "\n" + `1]`, `[/* c */1]`, `[#c` + "\n" + `1]`, `[-]`, `[...]`, `<1>`, `(1)`,
	`{`, `}`, `{"a"`, `{"a":`, `{"a":1`, `{"a":1,`, `{"a":1,}`, `{,"a":1}`, `{"a":1,,"b":2}`, `{"a",1}`, `{"a" 1}`, `{"a"::1}`, `{"a":1 "b":2}`, `{"a":1;"b":2}`, `{a:1}`, `{'a':1}`, `{1:1}`,
	`{null:1}`, `{[1]:1}`, `{"a":}`, `{:1}`, `{"a"}`, `{"a":1]`, `{"a":1}}`, `{"a":1}{"b":2}`, `{"a":/**/1}`, `{"a":1 /* c */}`, `{"a":b}`, `{"a":"b"c}`, `{...{}}`, `{"a":1}#`, "{\"a\x00\":1}",
	"\ufeff1", "1\ufeff", "\u00a01", "\u20281", "1\x0b", "\x0c1", "\x001", "1\x00", "\xef\xbb\xbf1",
	`"a"+"b"`, `1+1`, `new Date()`, `<a/>`, `---`, `- a`, `a: b`, `0 0`, `*`, `$`, `%00`, `&#34;`, `\u0022a\u0022`, `"a",`, `,"a"`, `:`, `,`, `;`,
}

func TestWhatIsNoJSONIsRefusedAndItsTwinPasses(t *testing.T) {
	h := open(t)
	around := func(value string) string {
		return `{"model":"captioner","messages":[{"role":"user","content":"hello"}],"metadata":{"v":` + value + `}}`
	}
	for _, good := range []string{`null`, `true`, `-0`, `1e5`, `-1.5E-3`, `"a\u0041\n\ud83d\ude00"`, `[]`, `[1,[2,[3]]]`, `{}`, "{\"a\" :\t1 ,\r\n \"b\": [ ] }"} {
		must(t, good, h.ask(h.as, http.MethodPost, chat, around(good), nil), 200, "")
		must(t, "space "+good, h.ask(h.as, http.MethodPost, chat, " \r\n\t"+around(good)+"\n ", nil), 200, "")
	}
	before := h.server.count()
	for _, bad := range notJSON {
		for where, body := range map[string]string{"within": around(bad), "alone": bad, "behind": around("1") + bad} {
			if where != "within" && json.Valid([]byte(body)) || strings.TrimLeft(body, " \t\r\n") == "" && where == "behind" {
				continue // it is JSON there: a space behind, for example
			}
			if where == "behind" && strings.TrimSpace(bad) == "" {
				continue
			}
			a := h.ask(h.as, http.MethodPost, chat, body, nil)
			if a.err != nil || a.status != http.StatusBadRequest {
				t.Errorf("%s, %q: %s", where, bad, a)
			}
		}
	}
	if n := h.server.count() - before; n != 0 {
		t.Errorf("%d of them arrived at the server", n)
	}
	h.records().holds(t, h.server.seen())
}

// The server reads JSON with Go's library, which takes keys in any case, the last
// of two equal ones, and half of a pair of surrogates. What passes, it has to read
// as the gateway did.
func TestAServerReadsWhatTheGatewayRead(t *testing.T) {
	h := open(t)
	var model atomic.Value
	h.server.behave(func(w http.ResponseWriter, r *http.Request) {
		data, _ := io.ReadAll(r.Body)
		var read struct {
			Model    string
			Messages []struct{ Content any }
		}
		if err := json.Unmarshal(data, &read); err != nil {
			t.Errorf("the server cannot read what passed: %v", err)
		}
		model.Store(read.Model)
		w.Header().Set("Content-Type", "application/json")
		io.WriteString(w, sentence)
	})
	const messages = `"messages":[{"role":"user","content":"hello"}]`
	for _, tc := range []struct {
		name, body string
		kind       []string // Content-Type; nil: application/json
		status     int
		code       verdict.Code
	}{
		{"a name", `{"model":"captioner",` + messages + `}`, nil, 200, ""},
		{"a name in escapes", `{"\u006dodel":"captioner",` + messages + `}`, nil, 200, ""},
		{"another model by a name in escapes", `{"\u006dodel":"other",` + messages + `}`, nil, 403, verdict.RequestModel},
		{"a name twice", `{"model":"captioner","model":"other",` + messages + `}`, nil, 400, verdict.BodyAmbiguous},
		{"a name twice, once in escapes", `{"model":"captioner","mode\u006c":"other",` + messages + `}`, nil, 400, verdict.BodyAmbiguous},
		{"a name in capitals", `{"Model":"other",` + messages + `}`, nil, 400, verdict.BodyAmbiguous},
		{"a name in capitals beside it", `{"model":"captioner","MODEL":"other",` + messages + `}`, nil, 400, verdict.BodyAmbiguous},
		{"a long s that folds", `{"model":"captioner","me\u017fsages":[{"role":"user","content":"x"}],` + messages + `}`, nil, 400, verdict.BodyAmbiguous},
		{"a name with a zero byte", `{"model":"captioner","model\u0000":"other",` + messages + `}`, nil, 400, verdict.BodyAmbiguous},
		{"a mark before it", "\xef\xbb\xbf" + `{"model":"captioner",` + messages + `}`, nil, 400, verdict.BodyMalformed},
		{"UTF-16", "\xff\xfe{\x00}\x00", nil, 400, verdict.BodyMalformed},
		{"said to be UTF-16", `{"model":"captioner",` + messages + `}`, []string{"application/json; charset=utf-16"}, 415, verdict.BodyType},
		{"said to be UTF-7", `{"model":"captioner",` + messages + `}`, []string{"application/json; charset=utf-7"}, 415, verdict.BodyType},
		{"said to be UTF-8", `{"model":"captioner",` + messages + `}`, []string{"application/json; charset=utf-8"}, 200, ""},
		{"two types", `{"model":"captioner",` + messages + `}`, []string{"application/json", "multipart/form-data; boundary=x"}, 400, verdict.RequestHeader},
		{"no type", `{"model":"captioner",` + messages + `}`, []string{}, 415, verdict.BodyType},
		{"said to be a form", `{"model":"captioner",` + messages + `}`, []string{"multipart/form-data; boundary=x"}, 415, verdict.BodyType},
		{"said to be bytes", `{"model":"captioner",` + messages + `}`, []string{"application/octet-stream"}, 415, verdict.BodyType},
		{"a number that no reader holds", `{"model":"captioner","seed":1e999,` + messages + `}`, nil, 400, verdict.BodyMalformed},
	} {
		t.Run(tc.name, func(t *testing.T) {
			model.Store("")
			a := h.ask(h.as, http.MethodPost, chat, tc.body, func(r *http.Request) {
				if tc.kind != nil {
					r.Header["Content-Type"] = tc.kind
				}
			})
			must(t, tc.name, a, tc.status, tc.code)
			if a.status == http.StatusOK && model.Load() != "captioner" {
				t.Errorf("the server read the model %q", model.Load())
			}
		})
	}
	for _, d := range h.records().decisions {
		if d.Allowed && d.Model != "captioner" {
			t.Errorf("%+v", d)
		}
	}
}

// A bound on a number counts however the number is spelled.
func TestABoundCountsHoweverItsNumberIsSpelled(t *testing.T) {
	h := build(t)
	h.put("route.yaml", strings.Replace(fmt.Sprintf(routeText, h.server.URL), "concurrent: 1000}", "concurrent: 1000, answer: 1000}", 1))
	h.start(app.GatewayOptions{TrustDomain: "vision.example"})
	with := func(field, number string) answer {
		return h.ask(h.as, http.MethodPost, chat, strings.Replace(saying("hello"), `{"model"`, `{"`+field+`":`+number+`,"model"`, 1), nil)
	}
	for _, field := range []string{"max_tokens", "max_completion_tokens"} {
		for _, few := range []string{"1000", "1"} {
			must(t, field+" "+few, with(field, few), 200, "")
		}
		for _, many := range []string{"1001", "1e4", "10000.0", "0.1e6", "1e300", "9007199254740993e20", "99999999999999999999", `"5000"`, "[5000]", `{"n":5000}`, "true"} {
			if a := with(field, many); a.err != nil || a.status == http.StatusOK {
				t.Errorf("%s %s: %s", field, many, a)
			}
		}
	}
	h.records().holds(t, h.server.seen())
}
