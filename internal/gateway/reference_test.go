package gateway

import (
	"bytes"
	"mime/multipart"
	"net/http"
	"strings"
	"testing"

	"github.com/apexlogic/apex/internal/media"
	"github.com/apexlogic/apex/internal/media/body"
	"github.com/apexlogic/apex/verdict"
)

func TestWhatTheServerKeepsPassesWhereTheRouteSaysSo(t *testing.T) {
	for _, tc := range []struct {
		name, path, message string
		of                  body.Reference
	}{
		{"a file", "/v1/chat/completions", `{"messages":[{"role":"user","content":[{"type":"file","file":{"file_id":"file-1"}}]}]}`, body.Files},
		{"a store of files", "/v1/responses", `{"input":"x","tools":[{"type":"file_search","vector_store_ids":["vs_1"]}]}`, body.Files},
		{"an earlier answer", "/v1/responses", `{"input":"x","previous_response_id":"resp_1"}`, body.Conversations},
		{"an item by its id", "/v1/responses", `{"input":[{"id":"msg_1"}]}`, body.Conversations},
		{"a stored prompt", "/v1/responses", `{"prompt":{"id":"pmpt_1"}}`, body.Prompts},
	} {
		t.Run(tc.name, func(t *testing.T) {
			w := newWorld(t, func(r *Route) {
				r.References = [body.References]bool{true, true, true}
				r.References[tc.of] = false
			})
			if status, code, answer := w.ask(t, "POST", tc.path, tc.message, nil); status != 403 || code != string(verdict.BodyReference) || w.behind.count() != 0 {
				t.Errorf("%d %s: %s", status, code, answer)
			}
			if d, durable := w.records.last(t); d.Allowed || d.Stage != "media" || !durable {
				t.Errorf("recorded: %+v", d)
			}
			again := *w.route
			again.References = [body.References]bool{}
			again.References[tc.of] = true
			w.use(t, "two", &again)
			if status, _, answer := w.ask(t, "POST", tc.path, tc.message, nil); status != 200 || w.behind.count() != 1 {
				t.Errorf("where the route says so: %d: %s", status, answer)
			}
		})
	}
	t.Run("in a stream", func(t *testing.T) {
		const stored = `{"type":"session.update","session":{"prompt":{"id":"pmpt_1"}}}`
		if last := newWorld(t, nil).talk(t, realtime, stored); !strings.Contains(last, string(verdict.BodyReference)) {
			t.Errorf("%q", last)
		}
		if last := newWorld(t, func(r *Route) { r.References[body.Prompts] = true }).talk(t, realtime, stored); last != "" {
			t.Errorf("where the route says so: %q", last)
		}
	})
}

func TestNoRequestGetsAnotherModelOrServerPastItsBody(t *testing.T) {
	const chat = "/v1/chat/completions"
	form := func(fields ...string) (string, func(*http.Request)) {
		var b bytes.Buffer
		w := multipart.NewWriter(&b)
		for i := 0; i < len(fields); i += 2 {
			if err := w.WriteField(fields[i], fields[i+1]); err != nil {
				t.Fatal(err)
			}
		}
		w.Close()
		return b.String(), func(r *http.Request) { r.Header.Set("Content-Type", w.FormDataContentType()) }
	}
	for _, tc := range []struct {
		name, path string
		trap, twin []string // fields of a form; of one element, the body
		query      [2]string
		status     int
		code       verdict.Code
	}{
		{"models when the first one fails", chat, []string{`{"models":["other"],"messages":[]}`}, []string{`{"messages":[]}`}, [2]string{}, 400, verdict.BodyOutside},
		{"a host that holds a cache", chat, []string{`{"kv_transfer_params":{"remote_host":"10.0.0.1"},"messages":[]}`}, []string{`{"kv_transfer_params":null,"messages":[]}`}, [2]string{}, 400, verdict.BodyOutside},
		{"another model in the query", chat, []string{hello}, []string{hello}, [2]string{"?model=other", "?model=captioner"}, 403, verdict.RequestModel},
		{"another model in the query, encoded", chat, []string{hello}, []string{hello}, [2]string{"?%6dodel=other", "?api-version=1"}, 403, verdict.RequestModel},
		{"two models in the query", chat, []string{hello}, []string{hello}, [2]string{"?model=captioner&model=other", "?model=captioner&model=captioner"}, 403, verdict.RequestModel},
		{"an option in a form", "/v1/images/edits", []string{"prompt", "x", "extra_body", "{}"}, []string{"prompt", "x", "size", "1024x1024"}, [2]string{}, 400, verdict.BodyOutside},
		{"an option in a form, as a list", "/v1/images/edits", []string{"prompt", "x", "models[]", "other"}, []string{"prompt", "x", "model", "captioner"}, [2]string{}, 400, verdict.BodyAmbiguous},
		{"a bound in a form", "/v1/images/edits", []string{"prompt", "x", "max_tokens", "101"}, []string{"prompt", "x", "max_tokens", "100"}, [2]string{}, 429, verdict.LimitTokens},
		{"a file of the server in a form", "/v1/images/edits", []string{"prompt", "x", "file_id", "file-1"}, []string{"prompt", "x", "user", "file-1"}, [2]string{}, 403, verdict.BodyReference},
	} {
		t.Run(tc.name, func(t *testing.T) {
			w := newWorld(t, func(r *Route) { r.Limits.Answer = 100 })
			send := func(what []string, query string) (int, string, string) {
				if len(what) == 1 {
					return w.ask(t, "POST", tc.path+query, what[0], nil)
				}
				b, change := form(what...)
				return w.ask(t, "POST", tc.path+query, b, change)
			}
			if status, code, answer := send(tc.trap, tc.query[0]); status != tc.status || code != string(tc.code) || w.behind.count() != 0 {
				t.Errorf("%d %s: %s", status, code, answer)
			}
			if status, _, answer := send(tc.twin, tc.query[1]); status != 200 || w.behind.count() != 1 {
				t.Errorf("its twin: %d: %s", status, answer)
			}
		})
	}
}

func TestHeadersThatNameAServerDoNotPass(t *testing.T) {
	w := newWorld(t, nil)
	names := []string{
		"X-Gateway-Destination-Endpoint", "X-Gateway-Model-Name", "X-Prefiller-Host-Port", "X-Encoder-Hosts-Ports", "X-Data-Parallel-Host-Port", "X-Portkey-Custom-Host",
		"Helicone-Target-Url", "X-Litellm-Timeout",
	}
	status, _, answer := w.ask(t, "POST", "/v1/chat/completions", hello, func(r *http.Request) {
		for _, name := range names {
			r.Header.Set(name, "10.0.0.1:80")
		}
		r.Header.Set("X-Note", "kept")
	})
	if status != 200 {
		t.Fatal(status, answer)
	}
	h := w.behind.headers[0]
	for _, name := range names {
		if h.Get(name) != "" {
			t.Errorf("%s passes", name)
		}
	}
	if h.Get("X-Note") != "kept" {
		t.Error("another header does not pass")
	}
}

func TestPicturesBesideTheTextAreHeldToTheRoute(t *testing.T) {
	message := `{"messages":[{"role":"user","content":"x","images":["UE5H"]}]}`
	w := newWorld(t, func(r *Route) { r.Kinds = [kinds]bool{} })
	if status, code, answer := w.ask(t, "POST", "/v1/chat/completions", message, nil); status != 415 || code != string(verdict.MediaKind) {
		t.Errorf("%d %s: %s", status, code, answer)
	}
	again := *w.route
	again.Kinds[media.Image] = true
	w.use(t, "two", &again)
	if status, _, answer := w.ask(t, "POST", "/v1/chat/completions", message, nil); status != 200 {
		t.Errorf("where the route takes pictures: %d: %s", status, answer)
	}
}
