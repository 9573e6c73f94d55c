package stream

import (
	"bytes"
	"compress/gzip"
	"crypto/sha256"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"net/http/httputil"
	"net/url"
	"strings"
	"testing"

	"github.com/apexlogic/apex/internal/media"
	"github.com/apexlogic/apex/internal/media/body"
	"github.com/apexlogic/apex/verdict"
)

// measured describes content by its length, its digest and what it is declared as.
func measured(r io.Reader, where, declared string, _ *media.Limits) (media.Part, error) {
	h := sha256.New()
	n, err := io.Copy(h, r)
	part := media.Part{Where: where, Declared: declared, Type: declared, Bytes: n}
	h.Sum(part.Digest[:0])
	return part, err
}

// proxied serves answer behind a proxy that looks at it, asks once, and returns
// what the client sees and what the answer was said to be. A refusal is status 502.
func proxied(t *testing.T, a Answers, answer http.HandlerFunc) (status int, header, trailer http.Header, text string, sum Summary, readErr error) {
	t.Helper()
	behind := httptest.NewServer(answer)
	defer behind.Close()
	to, err := url.Parse(behind.URL)
	if err != nil {
		t.Fatal(err)
	}
	ended := make(chan Summary, 1)
	a.Done = func(s Summary) { ended <- s }
	front := httptest.NewServer(&httputil.ReverseProxy{
		Rewrite: func(p *httputil.ProxyRequest) {
			p.SetURL(to)
			Ask(p.Out.Header)
		},
		ModifyResponse: a.Modify,
		ErrorHandler: func(w http.ResponseWriter, _ *http.Request, err error) {
			if c, is := errors.AsType[*Cut](err); is {
				w.Header().Set("Code", string(c.Code))
			}
			w.WriteHeader(http.StatusBadGateway)
		},
		ErrorLog: quiet(),
	})
	defer front.Close()
	res, err := front.Client().Get(front.URL)
	if err != nil {
		t.Fatal(err)
	}
	defer res.Body.Close()
	got, readErr := io.ReadAll(res.Body)
	return res.StatusCode, res.Header, res.Trailer, string(got), <-ended, readErr
}

func answerOf(kind, text string, more ...string) http.HandlerFunc {
	return func(w http.ResponseWriter, _ *http.Request) {
		if kind != "" {
			w.Header().Set("Content-Type", kind)
		} else {
			w.Header()["Content-Type"] = nil
		}
		for i := 0; i+1 < len(more); i += 2 {
			w.Header().Add(more[i], more[i+1])
		}
		io.WriteString(w, text)
	}
}

func zipped(text string) string {
	var b bytes.Buffer
	z := gzip.NewWriter(&b)
	io.WriteString(z, text)
	z.Close()
	return b.String()
}

func TestAnswersAreLookedAtByWhatTheyAre(t *testing.T) {
	const openAI = `{"id":"a","choices":[{"index":0,"message":{"role":"assistant","content":%q}}]}`
	bad, good := fmt.Sprintf(openAI, "it is hunter2"), fmt.Sprintf(openAI, "it is a word")
	pixels := "\x89PNG and so on"
	for _, tc := range []struct {
		name   string
		answer http.HandlerFunc
		code   verdict.Code // "" passes
	}{
		{"a whole answer that holds a secret", answerOf("application/json", bad), secretFound},
		{"a whole answer that holds none", answerOf("application/json", good), ""},
		{"a secret behind an escape", answerOf("application/json", `{"choices":[{"message":{"content":"h\u0075nter2"}}]}`), secretFound},
		{"another word behind an escape", answerOf("application/json", `{"choices":[{"message":{"content":"h\u0075nter3"}}]}`), ""},
		{"a secret in a place that nobody knows", answerOf("application/json", `{"debug":{"x":["hunter2"]}}`), secretFound},
		{"a word in a place that nobody knows", answerOf("application/json", `{"debug":{"x":["hunter3"]}}`), ""},
		{"a secret in a tool's name", answerOf("application/json", `{"choices":[{"message":{"tool_calls":[{"function":{"name":"hunter2"}}]}}]}`), secretFound},
		{"a secret behind two spellings of a key", answerOf("application/json", `{"a":"x","a":"h\u0075nter2"}`), verdict.StreamInvalid},
		{"JSON that ends too early", answerOf("application/json", `{"a":"x"`), verdict.StreamInvalid},
		{"events although none were asked for", answerOf("text/event-stream; charset=utf-8", chunk("hunter2")), secretFound},
		{"events without a secret", answerOf("text/event-stream; charset=utf-8", chunk("hunter3")), ""},
		{"events that are encoded", answerOf("text/event-stream", zipped(chunk("a")), "Content-Encoding", "gzip"), verdict.StreamInvalid},
		{"lines of JSON, a secret over two of them", answerOf("application/x-ndjson", "{\"response\":\"hun\"}\n{\"response\":\"ter2\"}\n"), secretFound},
		{"lines of JSON without a secret", answerOf("application/x-ndjson", "{\"response\":\"hun\"}\n\n{\"response\":\"ter3\"}\n"), ""},
		{"a secret that is encoded", answerOf("application/json", zipped(bad), "Content-Encoding", "gzip"), secretFound},
		{"an encoded answer", answerOf("application/json", zipped(good), "Content-Encoding", "gzip"), ""},
		{"an answer that unfolds without measure", answerOf("application/json", zipped(`{"a":"`+strings.Repeat("a", 1<<20)+`"}`), "Content-Encoding", "gzip"), verdict.StreamLimit},
		{"an encoding that nobody knows", answerOf("application/json", "x", "Content-Encoding", "rot13"), verdict.StreamInvalid},
		{"a text with a secret", answerOf("text/plain", "hunter2"), secretFound},
		{"a text", answerOf("text/plain", "hunter3"), ""},
		{"a text that is JSON, with a secret", answerOf("text/plain", `{"a":"h\u0075nter2 and"}`), secretFound},
		{"a text that is JSON", answerOf("text/plain", `{"a":"h\u0075nter3 and"}`), ""},
		{"a text in another charset", answerOf("text/plain; charset=utf-16", "h\x00"), verdict.StreamInvalid},
		{"a text that is not UTF-8", answerOf("text/html", "\xff"), verdict.StreamInvalid},
		{"content without a type", answerOf("", "hunter3"), verdict.StreamInvalid},
		{"nothing without a type", answerOf("", ""), ""},
		{"two types", answerOf("text/plain", "a", "Content-Type", "application/json"), verdict.StreamInvalid},
		{"a type that nobody understands", answerOf("application/x-unheard", "a"), verdict.StreamInvalid},
		{"an image", answerOf("image/png", pixels), ""},
		{"an image of a kind that is not wanted", answerOf("image/gif", "GIF"), verdict.MediaKind},
		{"an image in JSON", answerOf("application/json", `{"data":[{"b64_json":"aGVsbG8="}]}`), ""},
		{"a part of something", func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Content-Type", "text/plain")
			w.Header().Set("Content-Range", "bytes 0-1/2")
			w.WriteHeader(http.StatusPartialContent)
			io.WriteString(w, "hu")
		}, verdict.StreamInvalid},
		{"another answer than a good one, with a secret", func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Content-Type", "application/json")
			w.WriteHeader(http.StatusInternalServerError)
			io.WriteString(w, `{"error":{"message":"the key hunter2 is wrong"}}`)
		}, secretFound},
		{"no content", func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(http.StatusNoContent) }, ""},
		{"an answer that breaks off", func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Content-Type", "application/json")
			w.Header().Set("Content-Length", "10")
			io.WriteString(w, "{")
		}, verdict.UpstreamDown},
		{"events that break off", func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Content-Type", "text/event-stream")
			io.WriteString(w, chunk("a")+`data: {"choices"`)
			http.NewResponseController(w).Flush()
			panic(http.ErrAbortHandler)
		}, verdict.UpstreamDown},
		{"events that end", answerOf("text/event-stream", chunk("a")), ""},
	} {
		t.Run(tc.name, func(t *testing.T) {
			a := Answers{Whole: body.OpenAIAnswers(), Error: OpenAIError("1"), Options: Options{
				Messages: body.OpenAIEvents(), Guards: []Guard{noSecret("hunter2")}, Inspect: measured,
				Part: func(p *media.Part) error {
					if p.Declared == "image/gif" {
						return media.Refuse(verdict.MediaKind, p.Where, "no GIF")
					}
					return nil
				},
			}}
			status, header, _, text, sum, err := proxied(t, a, tc.answer)
			if err != nil || sum.Cut != tc.code || strings.Contains(text, "ter2") {
				t.Fatalf("%d %q %+v %v, want %q", status, text, sum, err, tc.code)
			}
			refused := status == http.StatusBadGateway && header.Get("Code") == string(tc.code)
			told := strings.Contains(text, string(tc.code)) && strings.HasSuffix(text, "data: [DONE]\n\n")
			if tc.code != "" && !refused && !told || tc.code == "" && status == http.StatusBadGateway {
				t.Errorf("%d %q %v", status, text, header)
			}
			if header.Get("Content-Encoding") != "" {
				t.Error("what was decoded is said to be encoded")
			}
		})
	}
}

func TestAWholeAnswerPassesAsItCame(t *testing.T) {
	text := "{\"choices\" : [ ],\n \"x\":\"\\u00e9\"}"
	a := Answers{Whole: body.OpenAIAnswers()}
	status, header, _, got, sum, err := proxied(t, a, answerOf("application/json", text, "X-Kept", "yes"))
	if status != 200 || got != text || sum.Bytes != int64(len(text)) || err != nil || header.Get("X-Kept") != "yes" || header.Get("Content-Length") != fmt.Sprint(len(text)) {
		t.Errorf("%d %q %+v %v %v", status, got, sum, header, err)
	}
}

func TestMediaInAnAnswerIsDescribed(t *testing.T) {
	var parts []media.Part
	a := Answers{Whole: body.OpenAIAnswers(), Options: Options{Inspect: measured, Part: func(p *media.Part) error {
		parts = append(parts, *p)
		return nil
	}}}
	for _, answer := range []http.HandlerFunc{answerOf("image/png", "hello"), answerOf("application/json", `{"data":[{"b64_json":"aGVsbG8="}]}`)} {
		if status, _, _, _, sum, _ := proxied(t, a, answer); status != 200 || sum.Parts != 1 {
			t.Fatalf("%d %+v", status, sum)
		}
	}
	want := sha256.Sum256([]byte("hello"))
	if len(parts) != 2 || parts[0].Declared != "image/png" || parts[1].Where != "/data/0/b64_json" || parts[0].Digest != want || parts[1].Digest != want {
		t.Errorf("%+v", parts)
	}
}

func TestAWholeAnswerIsBounded(t *testing.T) {
	for n, want := range map[int]verdict.Code{62: "", 63: verdict.StreamLimit} {
		for _, sized := range []bool{true, false} {
			l := WholeLimits()
			l.Bytes = 64
			text := `"` + strings.Repeat("a", n) + `"`
			_, _, _, _, sum, _ := proxied(t, Answers{Limits: l}, func(w http.ResponseWriter, _ *http.Request) {
				w.Header().Set("Content-Type", "application/json")
				if !sized {
					w.(http.Flusher).Flush()
				}
				io.WriteString(w, text)
			})
			if sum.Cut != want {
				t.Errorf("%d bytes, sized %v: %+v", n, sized, sum)
			}
		}
	}
}

func TestTrailersAreKeptUnlessTheyHoldASecret(t *testing.T) {
	for _, kind := range []string{"application/json", "text/event-stream"} {
		for value, passes := range map[string]bool{"fine": true, "hunter2": false} {
			a := Answers{Options: Options{Guards: []Guard{noSecret("hunter2")}}}
			status, _, trailer, _, sum, err := proxied(t, a, func(w http.ResponseWriter, _ *http.Request) {
				w.Header().Set("Content-Type", kind)
				w.Header().Set("Trailer", "X-Said")
				if kind == "application/json" {
					io.WriteString(w, "{}")
				} else {
					io.WriteString(w, "data: a\n\n")
				}
				w.Header().Set("X-Said", value)
			})
			if passes && (status != 200 || trailer.Get("X-Said") != value || sum.Cut != "" || err != nil) {
				t.Errorf("%s: %d %v %+v %v", kind, status, trailer, sum, err)
			}
			if !passes && (trailer.Get("X-Said") != "" || sum.Cut != secretFound || status == 200 && err == nil) {
				t.Errorf("%s: %d %v %+v %v", kind, status, trailer, sum, err)
			}
		}
	}
}

func TestATrailerOfBinaryIsLookedAtAsWhatItIs(t *testing.T) {
	for value, want := range map[string]verdict.Code{
		"aHVudGVyMg": secretFound, "aHVudGVyMg==": secretFound, "aHVudGVyMw": "", "aHVudGVyMw==": "", "hunter2!": verdict.StreamInvalid, "": "",
	} {
		var j judge
		j.begin(&Options{Guards: []Guard{noSecret("hunter2")}})
		c, _ := errors.AsType[*Cut](j.trailers(http.Header{"Grpc-Status-Details-Bin": {value}}))
		if c == nil && want != "" || c != nil && c.Code != want {
			t.Errorf("%q: %v", value, c)
		}
	}
}

// panics is a guard that is broken.
type panics struct{}

func (panics) Judge(text []byte, _ int) verdict.Code {
	if bytes.Contains(text, []byte("bad")) {
		panic("a guard that is broken, with " + string(text))
	}
	return ""
}

func TestAGuardThatPanicsEndsItsStreamAlone(t *testing.T) {
	for _, kind := range []string{"application/json", "text/plain", "text/event-stream", "application/x-ndjson"} {
		for word, want := range map[string]verdict.Code{"bad": verdict.GatewayFailed, "good": ""} {
			text := fmt.Sprintf("{\"a\":%q}", word)
			if kind == "text/event-stream" {
				text = "data: " + text + "\n\n"
			}
			_, _, _, got, sum, _ := proxied(t, Answers{Options: Options{Guards: []Guard{panics{}}}, Error: OpenAIError("1")}, answerOf(kind, text))
			if sum.Cut != want || strings.Contains(got, "bad") {
				t.Errorf("%s %s: %+v %q", kind, word, sum, got)
			}
		}
	}
}

func TestAnAnswerOfNoProtocolIsLookedAtToTheLastName(t *testing.T) {
	for _, kind := range []string{"application/json", "text/event-stream", "application/x-ndjson", "text/plain"} {
		for name, tc := range map[string]struct {
			text string
			code verdict.Code
		}{
			"a secret that is a name":       {`{"a":{"b":"hunter2"}}`, secretFound},
			"a secret behind an escape":     {`{"a":["h\u0075nter2"]}`, secretFound},
			"a word behind an escape":       {`{"a":["h\u0075nter3"]}`, ""},
			"a key that comes twice":        {`{"a":1,"a":2}`, verdict.StreamInvalid},
			"a key that comes once":         {`{"a":1,"b":2}`, ""},
			"media that nobody looks after": {`"data:image/png;base64,aGVsbG8="`, ""}, // a string like any other
		} {
			if kind == "text/event-stream" {
				tc.text = "data: " + tc.text + "\n\n"
			}
			_, _, _, _, sum, _ := proxied(t, Answers{Options: Options{Guards: []Guard{noSecret("hunter2")}}, Error: OpenAIError("1")}, answerOf(kind, tc.text))
			if sum.Cut != tc.code {
				t.Errorf("%s, %s: %+v", kind, name, sum)
			}
		}
	}
}

func TestAPieceOfAudioInAnEventIsContent(t *testing.T) {
	event := "data: {\"choices\":[{\"delta\":{\"audio\":{\"data\":\"aGVsbG8=\",\"transcript\":\"a word\"}}}]}\n\n"
	for name, tc := range map[string]struct {
		inspect body.Inspect
		part    func(*media.Part) error
		code    verdict.Code
	}{
		"that passes":              {measured, nil, ""},
		"where none is expected":   {nil, nil, verdict.MediaKind},
		"that the route refuses":   {measured, func(p *media.Part) error { return media.Refuse(verdict.MediaKind, p.Where, "no audio") }, verdict.MediaKind},
		"that could not be judged": {measured, func(*media.Part) error { return io.ErrUnexpectedEOF }, verdict.GatewayFailed},
	} {
		a := Answers{Options: Options{Messages: body.OpenAIEvents(), Inspect: tc.inspect, Part: tc.part}, Error: OpenAIError("1")}
		_, _, _, got, sum, err := proxied(t, a, answerOf("text/event-stream", event))
		if sum.Cut != tc.code || err != nil || (got == event) != (tc.code == "") {
			t.Errorf("%s: %+v %q %v", name, sum, got, err)
		}
	}
}

func TestAnEventPassesTheProxyBeforeTheNextOneComes(t *testing.T) {
	next := make(chan struct{})
	behind := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Content-Type", "text/event-stream")
		for i := range 3 {
			io.WriteString(w, chunk(fmt.Sprint(i)))
			w.(http.Flusher).Flush()
			select {
			case <-next:
			case <-r.Context().Done():
				return
			}
		}
	}))
	defer behind.Close()
	to, _ := url.Parse(behind.URL)
	a := &Answers{Options: Options{Messages: body.OpenAIEvents(), Guards: []Guard{noSecret("x")}}}
	front := httptest.NewServer(&httputil.ReverseProxy{Rewrite: func(p *httputil.ProxyRequest) { p.SetURL(to) }, ModifyResponse: a.Modify})
	defer front.Close()
	res, err := front.Client().Get(front.URL)
	if err != nil {
		t.Fatal(err)
	}
	defer res.Body.Close()
	for i := range 3 {
		want := chunk(fmt.Sprint(i))
		got := make([]byte, len(want))
		if _, err := io.ReadFull(res.Body, got); err != nil || string(got) != want {
			t.Fatalf("%q %v", got, err)
		}
		next <- struct{}{}
	}
	if rest, err := io.ReadAll(res.Body); len(rest) > 0 || err != nil {
		t.Errorf("%q %v", rest, err)
	}
}
