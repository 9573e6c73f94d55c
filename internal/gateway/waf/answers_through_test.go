package waf_test

import (
	_ "embed"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"testing"

	"github.com/apexlogic/apex/internal/clock"
	"github.com/apexlogic/apex/internal/gateway"
	"github.com/apexlogic/apex/internal/gateway/waf"
	"github.com/apexlogic/apex/internal/media/body"
)

// written are what models write about code: errors, stack traces, source text.
//
//go:embed testdata/answers.txt
var written string

// answer is what a server answers to a path.
type answer struct {
	path, kind, text string
	status           int
}

// modelAnswers are ordinary answers of the OpenAI API with code in them.
func modelAnswers(t *testing.T) (all []answer) {
	t.Helper()
	spell := func(path string, v any) {
		data, err := json.Marshal(v)
		if err != nil {
			t.Fatal(err)
		}
		all = append(all, answer{path, "application/json", string(data), 200})
	}
	type object = map[string]any
	for i, text := range strings.Split(written, "\n%%\n") {
		message := object{"role": "assistant", "content": text}
		choice := func(m object) object {
			return object{"id": fmt.Sprint("chatcmpl-", i), "object": "chat.completion", "model": "captioner", "created": 1790000000,
				"choices": []any{object{"index": 0, "message": m, "finish_reason": "stop"}}, "usage": object{"prompt_tokens": 12, "completion_tokens": len(text) / 4}}
		}
		spell("/v1/chat/completions", choice(message))
		spell("/v1/chat/completions", choice(object{"role": "assistant", "content": nil, "tool_calls": []any{
			object{"id": "call_1", "type": "function", "function": object{"name": "write_file", "arguments": `{"text":` + fmt.Sprintf("%q", text) + `}`}}}}))
		spell("/v1/completions", object{"id": "cmpl-1", "object": "text_completion", "model": "captioner", "choices": []any{object{"index": 0, "text": text, "finish_reason": "length"}}})
		spell("/v1/responses", object{"id": "resp_1", "object": "response", "status": "completed", "model": "captioner",
			"output": []any{object{"type": "message", "id": "msg_1", "role": "assistant", "content": []any{object{"type": "output_text", "text": text}}}}})
		all = append(all, answer{"/v1/audio/transcriptions", "text/plain; charset=utf-8", text, 200})
	}
	return all
}

// apiErrors are what servers ordinarily say when they do not answer.
var apiErrors = []answer{
	{"", "application/json", `{"error":{"message":"The model 'captioner-9' does not exist.","type":"invalid_request_error","param":"model","code":"model_not_found"}}`, 404},
	{"", "application/json", `{"error":{"message":"This model's maximum context length is 8192 tokens. However, you requested 9000 tokens.","type":"invalid_request_error"}}`, 400},
	{"", "application/json", `{"error":{"message":"Rate limit reached for requests. Please try again in 20s.","type":"requests","code":"rate_limit_exceeded"}}`, 429},
	{"", "application/json", `{"error":{"message":"The engine is currently overloaded, please try again later","type":"server_error"}}`, 503},
	{"", "application/json", `{"error":{"message":"Incorrect API key provided.","type":"invalid_request_error","code":"invalid_api_key"}}`, 401},
	{"", "application/json", `{"detail":[{"loc":["body","messages",0,"role"],"msg":"field required","type":"value_error.missing"}]}`, 422},
	{"", "application/json", `{"object":"error","message":"temperature must be non-negative, got -1.0.","type":"BadRequestError","param":null,"code":400}`, 400},
	{"", "application/json", `{"error":"CUDA out of memory. Tried to allocate 2.00 GiB"}`, 500},
	{"", "application/problem+json", `{"type":"about:blank","title":"Not Found","status":404,"detail":"No claim has this number."}`, 404},
	{"", "text/plain; charset=utf-8", "404 page not found\n", 404},
	{"", "text/plain; charset=utf-8", "upstream connect error or disconnect/reset before headers. reset reason: connection timeout", 503},
	{"", "text/html", "<html><head><title>502 Bad Gateway</title></head><body><center><h1>502 Bad Gateway</h1></center><hr><center>nginx</center></body></html>", 502},
	{"", "text/html; charset=utf-8", "<!doctype html><title>405 Method Not Allowed</title><h1>Method Not Allowed</h1><p>The method is not allowed for the requested URL.</p>", 405},
}

// asked sends each answer through a gateway whose route is for an API, and
// returns how many were withheld.
func asked(t *testing.T, w *waf.WAF, api gateway.API, all []answer) (withheld int) {
	t.Helper()
	answers := make(chan answer, 1)
	behind := httptest.NewServer(http.HandlerFunc(func(rw http.ResponseWriter, _ *http.Request) {
		a := <-answers
		rw.Header().Set("Content-Type", a.kind)
		rw.WriteHeader(a.status)
		io.WriteString(rw, a.text)
	}))
	t.Cleanup(behind.Close)
	at, err := url.Parse(behind.URL)
	if err != nil {
		t.Fatal(err)
	}
	messages, err := body.Generic(nil, nil)
	if err != nil {
		t.Fatal(err)
	}
	address, _ := serve(t, w, func(r *gateway.Route) { r.API, r.Messages, r.Firewall, r.Upstream.URL = api, messages, nil, at })
	for _, a := range all {
		// An operation whose request needs no file; the route's answers are one table.
		answers <- a
		path := a.path
		if path == "" || strings.HasPrefix(path, "/v1/audio") {
			path = "/v1/chat/completions"
		}
		request := `{"model":"captioner","messages":[{"role":"user","content":"Why?"}]}`
		switch path {
		case "/v1/completions":
			request = `{"model":"captioner","prompt":"Why?"}`
		case "/v1/responses":
			request = `{"model":"captioner","input":"Why?"}`
		}
		r, err := http.NewRequestWithContext(t.Context(), http.MethodPost, "http://"+address+path, strings.NewReader(request))
		if err != nil {
			t.Fatal(err)
		}
		r.Host = "localhost"
		r.Header.Set("Content-Type", "application/json")
		resp, err := http.DefaultClient.Do(r)
		if err != nil {
			t.Fatal(err)
		}
		got, err := io.ReadAll(resp.Body)
		resp.Body.Close()
		if err != nil {
			t.Fatal(err)
		}
		switch {
		case resp.StatusCode == a.status && string(got) == a.text:
		case strings.Contains(string(got), "request.answer.blocked"):
			withheld++
			t.Logf("withheld: %.200q", a.text)
		default:
			t.Errorf("%d %.200q for %.200q", resp.StatusCode, got, a.text)
		}
	}
	return withheld
}

func TestOrdinaryAnswersPassAndTheSameLeaksDoNot(t *testing.T) {
	w, err := waf.New(waf.Strict(clock.System{}))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { w.Close() })
	models := modelAnswers(t)
	if n := asked(t, w, gateway.OpenAI, models); len(models) < 100 || n*100 > len(models) {
		t.Errorf("%d of %d answers of models are withheld; at most 1 %% may be", n, len(models))
	}
	for name, api := range map[string]gateway.API{"an AI API": gateway.OpenAI, "plain JSON": gateway.JSON} {
		if n := asked(t, w, api, apiErrors); n != 0 {
			t.Errorf("%d of %d ordinary errors of %s are withheld", n, len(apiErrors), name)
		}
	}
	// The same texts, when a server says them of itself, are what the rules are for.
	var leaks []answer
	for _, text := range strings.Split(written, "\n%%\n") {
		leaks = append(leaks, answer{"", "text/html", "<pre>" + text + "</pre>", 500})
	}
	if n := asked(t, w, gateway.OpenAI, leaks); n < len(leaks)/2 {
		t.Errorf("only %d of %d pages of errors are withheld", n, len(leaks))
	} else {
		t.Logf("%d answers of models pass; %d of %d of their texts are withheld as a server's own", len(models), n, len(leaks))
	}
}
