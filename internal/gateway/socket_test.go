package gateway

import (
	"errors"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/coder/websocket"

	"github.com/apexlogic/apex/internal/identity/live"
	"github.com/apexlogic/apex/internal/media/body"
	"github.com/apexlogic/apex/verdict"
)

// parrot is a server that says back each message of a WebSocket, as a text that a
// model said.
func parrot(rw http.ResponseWriter, r *http.Request) {
	c, err := websocket.Accept(rw, r, nil)
	if err != nil {
		return
	}
	defer c.CloseNow()
	c.SetReadLimit(-1)
	for {
		_, message, err := c.Read(r.Context())
		if err != nil {
			return
		}
		if _, said, ok := strings.Cut(string(message), `"say":"`); ok {
			message = []byte(`{"type":"response.text.delta","delta":"` + said[:strings.Index(said, `"`)] + `"}`)
		}
		if c.Write(r.Context(), websocket.MessageText, message) != nil {
			return
		}
	}
}

// dial opens a WebSocket as Alice.
func (w *world) dial(t *testing.T, path string, change func(*websocket.DialOptions)) (*websocket.Conn, *http.Response, error) {
	t.Helper()
	o := &websocket.DialOptions{Host: "captioner.example", HTTPHeader: http.Header{"Authorization": {"Bearer alice"}}}
	if change != nil {
		change(o)
	}
	c, resp, err := websocket.Dial(t.Context(), w.front.URL+path, o)
	if err == nil {
		t.Cleanup(func() { c.CloseNow() })
	}
	return c, resp, err
}

const realtime = "/v1/realtime?model=captioner"

// outcome waits for the first record of how something ended: the gateway writes
// it after the caller is told.
func (w *world) outcome(t *testing.T) Outcome {
	t.Helper()
	if err := w.gateway.Live().Wait(t.Context()); err != nil {
		t.Fatal(err)
	}
	w.front.CloseClientConnections()
	w.front.Close()
	w.records.mu.Lock()
	defer w.records.mu.Unlock()
	if len(w.records.outcomes) == 0 {
		t.Fatal("no outcome is recorded")
	}
	return w.records.outcomes[0]
}

func TestAWebSocketIsJudgedAtItsHandshake(t *testing.T) {
	for _, tc := range []struct {
		name, path string
		change     func(*websocket.DialOptions)
		route      func(*Route)
		status     int
		code       verdict.Code
	}{
		{"everything as it should be", realtime, nil, nil, 101, ""},
		{"no model, so the route's own", "/v1/realtime", nil, nil, 101, ""},
		{"another model", "/v1/realtime?model=other", nil, nil, 403, verdict.RequestModel},
		{"two models", realtime + "&model=other", nil, nil, 404, verdict.RequestRoute},
		{"a path without sockets", "/v1/chat/completions", nil, nil, 404, verdict.RequestRoute},
		{"nobody", realtime, func(o *websocket.DialOptions) { o.HTTPHeader.Del("Authorization") }, nil, 401, verdict.RequestIdentity},
		{"somebody without a right", realtime, func(o *websocket.DialOptions) { o.HTTPHeader.Set("Authorization", "Bearer bob") }, nil, 403, verdict.AccessDenied},
		{"a page of another site", realtime, func(o *websocket.DialOptions) { o.HTTPHeader.Set("Origin", "https://evil.example") }, nil, 403, verdict.RequestOrigin},
		{"an attack in the query", realtime + "&x=attack", nil, func(r *Route) { r.Firewall = rules{} }, 403, verdict.WAFBlocked},
		{"a route for JSON that says nothing of sockets", "/feed", nil, func(r *Route) { r.API = JSON }, 404, verdict.RequestRoute},
		{"a route for JSON with sockets", "/feed", nil, func(r *Route) { r.API, r.Sockets, r.Messages = JSON, true, plainTexts(t) }, 101, ""},
	} {
		t.Run(tc.name, func(t *testing.T) {
			w := newWorld(t, tc.route)
			w.behind.answer(parrot)
			_, resp, err := w.dial(t, tc.path, tc.change)
			if resp == nil || resp.StatusCode != tc.status || (err == nil) != (tc.code == "") {
				t.Fatalf("%v %v", resp, err)
			}
			d, durable := w.records.last(t)
			if d.Allowed != (tc.code == "") || d.Code != string(tc.code) || durable == d.Allowed {
				t.Errorf("recorded: %+v", d)
			}
			if (w.behind.count() > 0) != d.Allowed {
				t.Error("what is denied reaches the server, or what is allowed does not")
			}
			if d.Allowed && (d.Action != Infer || d.Model != "captioner") {
				t.Errorf("%+v", d)
			}
		})
	}
}

func plainTexts(t *testing.T) *body.API {
	t.Helper()
	api, err := body.Generic([]string{"/text"}, nil)
	if err != nil {
		t.Fatal(err)
	}
	return api
}

func TestEveryMessageOfAWebSocketIsJudged(t *testing.T) {
	const good = `{"type":"conversation.item.create","item":{"type":"message","role":"user","content":[{"type":"input_text","text":"Hello"}]}}`
	for _, tc := range []struct {
		name, message string
		code          verdict.Code
		route         func(*Route)
	}{
		{"a text", good, "", nil},
		{"another model", `{"type":"session.update","session":{"model":"other"}}`, verdict.RequestModel, nil},
		{"the same model", `{"type":"session.update","session":{"model":"captioner"}}`, "", nil},
		{"a picture of a kind that the route takes", `{"type":"x","item":{"content":[{"type":"input_image","image_url":"data:image/png;base64,UE5H"}]}}`, "", nil},
		{"content of a kind that the route does not take", `{"type":"x","item":{"content":[{"type":"input_image","image_url":"data:image/png;base64,QUJD"}]}}`, verdict.MediaKind, nil},
		{"an address", `{"type":"x","item":{"content":[{"type":"input_image","image_url":"https://example.com/a.png"}]}}`, verdict.MediaAddress, nil},
		{"a control that is an attack", `{"type":"x","note":"attack'--"}`, verdict.WAFBlocked, func(r *Route) { r.Firewall = rules{} }},
		{"a text about one", strings.Replace(good, "Hello", "What is an attack?", 1), "", func(r *Route) { r.Firewall = rules{} }},
		{"more tokens than there are", strings.Replace(good, "Hello", strings.Repeat("Hello ", 100), 1), verdict.LimitTokens, func(r *Route) { r.Limits.Tokens = 100 }},
		{"a message that is too long", strings.Replace(good, "Hello", strings.Repeat("Hello ", 100), 1), verdict.StreamLimit, func(r *Route) { r.Media.Bytes = 400 }},
		{"what is no JSON in one reading", `{"type":"x","type":"y"}`, verdict.StreamInvalid, nil},
		{"an answer that holds what no answer may", `{"say":"the secret is out"}`, "test.secret", func(r *Route) { r.Guards = append(r.Guards, secrets{}) }},
	} {
		t.Run(tc.name, func(t *testing.T) {
			w := newWorld(t, tc.route)
			w.behind.answer(parrot)
			c, _, err := w.dial(t, realtime, nil)
			if err != nil {
				t.Fatal(err)
			}
			c.SetReadLimit(-1)
			if err := c.Write(t.Context(), websocket.MessageText, []byte(good)); err != nil {
				t.Fatal(err)
			}
			if _, back, err := c.Read(t.Context()); err != nil || string(back) != good {
				t.Fatalf("%q %v", back, err)
			}
			if err := c.Write(t.Context(), websocket.MessageText, []byte(tc.message)); err != nil { // not only the first one is looked at
				t.Fatal(err)
			}
			_, back, err := c.Read(t.Context())
			if tc.code == "" {
				if err != nil || string(back) != tc.message {
					t.Fatalf("%q %v", back, err)
				}
				c.Close(websocket.StatusNormalClosure, "")
				if o := w.outcome(t); o.Code != "" || o.Sent.Events != 2 || o.Stream.Events != 2 || o.Status != 101 {
					t.Errorf("%+v %+v %+v", o, o.Sent, o.Stream)
				}
				return
			}
			if err != nil || !strings.Contains(string(back), `"type":"error"`) || !strings.Contains(string(back), string(tc.code)) {
				t.Fatalf("the end is not told: %q %v", back, err)
			}
			_, _, err = c.Read(t.Context())
			var closed websocket.CloseError
			if !errors.As(err, &closed) || closed.Reason != string(tc.code) {
				t.Errorf("%v", err)
			}
			if o := w.outcome(t); o.Code != string(tc.code) || o.Sent == nil {
				t.Errorf("%+v", o)
			}
		})
	}
}

// secrets is a guard that knows one word.
type secrets struct{}

func (secrets) Judge(text []byte, _ int) verdict.Code {
	if strings.Contains(string(text), "secret") {
		return "test.secret"
	}
	return ""
}

func TestAWebSocketHoldsItsPlaceForItsWholeLife(t *testing.T) {
	w := newWorld(t, func(r *Route) { r.Limits = Limits{Concurrent: 1} })
	w.behind.answer(parrot)
	c, _, err := w.dial(t, realtime, nil)
	if err != nil {
		t.Fatal(err)
	}
	if _, resp, err := w.dial(t, realtime, nil); err == nil || resp.StatusCode != 429 {
		t.Errorf("a second one: %v", err)
	}
	c.Close(websocket.StatusNormalClosure, "")
	if err := w.gateway.Live().Wait(t.Context()); err != nil {
		t.Fatal(err)
	}
	// The place is given back when the handler ends, a moment after the socket.
	for deadline := time.Now().Add(5 * time.Minute); ; {
		again, _, err := w.dial(t, realtime, nil)
		if err == nil {
			again.CloseNow()
			return
		}
		if time.Now().After(deadline) {
			t.Fatal(err)
		}
	}
}

func TestARevocationClosesAWebSocketWithItsCode(t *testing.T) {
	w := newWorld(t, nil)
	w.behind.answer(parrot)
	c, _, err := w.dial(t, realtime, nil)
	if err != nil {
		t.Fatal(err)
	}
	s, err := NewSnapshot("two", []*Route{w.route}, w.gateway.Current())
	if err != nil {
		t.Fatal(err)
	}
	s.Revoked = live.Revoked{Principals: map[string]bool{"https://id.example#alice": true}}
	w.gateway.Use(s)
	if _, text, err := c.Read(t.Context()); err != nil || !strings.Contains(string(text), string(verdict.IdentityRevoked)) {
		t.Errorf("%q %v", text, err)
	}
	if _, _, err := c.Read(t.Context()); websocket.CloseStatus(err) != websocket.StatusPolicyViolation {
		t.Errorf("%v", err)
	}
	if o := w.outcome(t); o.Code != string(verdict.IdentityRevoked) {
		t.Errorf("%+v", o)
	}
}

func TestAServerWithoutWebSocketsIsSaidSo(t *testing.T) {
	w := newWorld(t, nil) // it answers 200 and {}
	if _, resp, err := w.dial(t, realtime, nil); err == nil || resp.StatusCode != 502 {
		t.Errorf("%v %v", resp, err)
	}
	if o := w.outcome(t); o.Code != string(verdict.UpstreamDown) {
		t.Errorf("%+v", o)
	}
}
