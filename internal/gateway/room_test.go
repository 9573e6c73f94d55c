package gateway

import (
	"bytes"
	"compress/gzip"
	"io"
	"net/http"
	"strings"
	"testing"

	"github.com/apexlogic/apex/internal/gateway/bodies"
	"github.com/apexlogic/apex/verdict"
)

// ofLength is a chat message of about so many bytes.
func ofLength(n int) string { return strings.Replace(hello, "Hello", strings.Repeat("Hello ", n/6), 1) }

func TestMessagesTogetherHoldNoMoreThanTheMemoryForThem(t *testing.T) {
	w := newWorld(t, nil)
	w.gateway.options.Bodies = bodies.New(1 << 20)
	chat := "/v1/chat/completions"
	var packed bytes.Buffer
	z := gzip.NewWriter(&packed)
	io.WriteString(z, ofLength(400))
	z.Close()
	gzipped := func(r *http.Request) { r.Header.Set("Content-Encoding", "gzip") }
	send := func(as, body string, change func(*http.Request)) (int, string) {
		status, code, _ := w.ask(t, "POST", chat, body, func(r *http.Request) {
			r.Header.Set("Authorization", "Bearer "+as)
			if change != nil {
				change(r)
			}
		})
		return status, code
	}
	if status, _ := send("alice", ofLength(100_000), nil); status != 200 {
		t.Fatalf("a message within the share: %d", status)
	}
	if status, _ := send("alice", packed.String(), gzipped); status != 200 {
		t.Fatalf("a compressed message within the share: %d", status)
	}
	if status, code := send("alice", ofLength(300_000), nil); status != 413 || code != string(verdict.BodyLimit) {
		t.Errorf("a message above the share: %d %s", status, code)
	}
	if n := w.gateway.options.Bodies.Taken(); n != 0 {
		t.Fatalf("%d bytes are held by no message", n)
	}

	// One caller holds its share, then all do.
	var held bodies.Hold
	held.Begin(w.gateway.options.Bodies, "https://id.example#alice")
	if err := held.Try(256 << 10); err != nil {
		t.Fatal(err)
	}
	if status, code := send("alice", hello, nil); status != 503 || code != string(verdict.BodyMemory) {
		t.Errorf("the caller holds its share: %d %s", status, code)
	}
	if d, durable := w.records.last(t); d.Code != string(verdict.BodyMemory) || d.Stage != "body" || !durable {
		t.Errorf("%+v", d)
	}
	if status, _ := send("bob", hello, nil); status != 403 { // refused by the policies: there was room
		t.Errorf("another caller beside it: %d", status)
	}
	for _, other := range []string{"b", "c", "d"} {
		var h bodies.Hold
		h.Begin(w.gateway.options.Bodies, other)
		if err := h.Try(256 << 10); err != nil {
			t.Fatal(err)
		}
		defer h.End()
	}
	if status, code := send("bob", hello, nil); status != 503 || code != string(verdict.BodyMemory) {
		t.Errorf("all is held: %d %s", status, code)
	}
	held.End()
	if status, _ := send("alice", hello, nil); status != 200 {
		t.Errorf("it was given back: %d", status)
	}
}

func TestARefusalForMemorySaysWhenToAskAgain(t *testing.T) {
	w := newWorld(t, nil)
	w.gateway.options.Bodies = bodies.New(8) // a share of two bytes
	var held bodies.Hold
	held.Begin(w.gateway.options.Bodies, "https://id.example#alice")
	if err := held.Try(2); err != nil {
		t.Fatal(err)
	}
	r, _ := http.NewRequestWithContext(t.Context(), "POST", w.front.URL+"/v1/chat/completions", strings.NewReader("{}"))
	r.Host = "captioner.example"
	r.Header.Set("Authorization", "Bearer alice")
	r.Header.Set("Content-Type", "application/json")
	resp, err := w.front.Client().Do(r)
	if err != nil {
		t.Fatal(err)
	}
	resp.Body.Close()
	if resp.StatusCode != 503 || resp.Header.Get("Retry-After") != "1" {
		t.Errorf("%d, %v", resp.StatusCode, resp.Header)
	}
}
