package gateway

import (
	"crypto/tls"
	"io"
	"net/http"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/coder/websocket"
	"golang.org/x/net/http2"

	"github.com/apexlogic/apex/internal/app"
	"github.com/apexlogic/apex/verdict"
)

// lasting is a server whose answers run until they are told to end.
type lastingServer struct {
	began chan struct{}
	goOn  chan struct{}
}

func (s *lastingServer) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	if r.Header.Get("Upgrade") != "" {
		c, err := websocket.Accept(w, r, nil)
		if err != nil {
			return
		}
		defer c.CloseNow()
		s.began <- struct{}{}
		c.Read(r.Context()) // until the gateway closes it
		return
	}
	data, _ := io.ReadAll(r.Body)
	if !strings.Contains(string(data), `"stream":true`) {
		w.Header().Set("Content-Type", "application/json")
		io.WriteString(w, sentence)
		return
	}
	w.Header().Set("Content-Type", "text/event-stream")
	io.WriteString(w, event("a"))
	http.NewResponseController(w).Flush()
	s.began <- struct{}{}
	if strings.Contains(string(data), "forever") {
		<-r.Context().Done()
		return
	}
	select {
	case <-s.goOn:
		io.WriteString(w, "data: [DONE]\n\n")
	case <-r.Context().Done():
	}
}

// goAway opens a connection of HTTP/2 and tells when it is told to go away.
func (h *house) goAway(t *testing.T) <-chan error {
	t.Helper()
	config := h.secure(h.intake)
	config.NextProtos = []string{"h2"}
	c, err := tls.Dial("tcp", h.address, config)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { c.Close() })
	c.SetDeadline(time.Now().Add(2 * time.Minute))
	io.WriteString(c, http2.ClientPreface)
	f := http2.NewFramer(c, c)
	f.WriteSettings()
	told, settled := make(chan error, 1), make(chan struct{})
	go func() {
		for {
			frame, err := f.ReadFrame()
			switch frame := frame.(type) {
			case *http2.SettingsFrame:
				if frame.IsAck() {
					close(settled)
				} else {
					f.WriteSettingsAck()
				}
			case *http2.GoAwayFrame:
				told <- nil
				return
			}
			if err != nil {
				told <- err
				return
			}
		}
	}()
	take(t, "the beginning of HTTP/2", settled)
	return told
}

func TestAGatewayThatEndsLetsWhatRunsEndAndTellsTheRest(t *testing.T) {
	h := build(t)
	s := &lastingServer{began: make(chan struct{}, 8), goOn: make(chan struct{})}
	h.server.behave(s.ServeHTTP)
	h.spawn("--drain", "40s") // by the machine's clock, which a busy machine uses up on what follows
	must(t, "before", h.say("hello"), 200, "")
	if code := h.probe(); code != http.StatusOK {
		t.Errorf("it is ready: %d", code)
	}
	ends := h.stream()
	take(t, "the first stream", s.began)
	forever := make(chan answer, 1)
	go func() {
		forever <- h.ask(h.as, http.MethodPost, chat, strings.Replace(saying("forever"), `{"model"`, `{"stream":true,"model"`, 1), nil)
	}()
	take(t, "the second stream", s.began)
	socket, _, err := websocket.Dial(t.Context(), "wss://"+h.address+"/v1/realtime?model=captioner", &websocket.DialOptions{Host: host, HTTPClient: h.as})
	if err != nil {
		t.Fatal(err)
	}
	defer socket.CloseNow()
	take(t, "the WebSocket", s.began)
	away := h.goAway(t)

	exited := make(chan error, 1)
	go func() { exited <- h.end() }() // SIGTERM
	if err := take(t, "GOAWAY", away); err != nil {
		t.Errorf("a connection of HTTP/2 is not told to go away: %v", err)
	}
	if code := h.probe(); code != http.StatusServiceUnavailable { // probes answer until the end
		t.Errorf("while it ends it is ready: %d", code)
	}
	if c, err := tls.Dial("tcp", h.address, h.secure(h.intake)); err == nil {
		c.Close()
		t.Error("while it ends it lets somebody in")
	}
	close(s.goOn)
	if a := take(t, "the end of the first stream", ends); a.status != 200 || !strings.HasSuffix(a.text, "data: [DONE]\n\n") || codeAtEnd(a.text) != "" {
		t.Errorf("a stream that ends by itself: %s", a)
	}
	for {
		_, message, err := socket.Read(t.Context())
		if err == nil {
			if codeAtEnd(string(message)) != verdict.StreamDrained {
				t.Errorf("the WebSocket says %s", message)
			}
			continue
		}
		if websocket.CloseStatus(err) != websocket.StatusGoingAway {
			t.Errorf("the WebSocket ends with %v", err)
		}
		break
	}
	cut := take(t, "the end of the second stream", forever)
	if cut.status != 200 || codeAtEnd(cut.text) != verdict.StreamDrained {
		t.Errorf("a stream that does not end: %s", cut)
	}
	if err := take(t, "the end of the process", exited); err != nil {
		t.Errorf("it ends with %v", err)
	}
	k := readLedger(t, h.state)
	k.holds(t, h.server.seen())
	if o := k.outcomes[cut.id]; o.Code != string(verdict.StreamDrained) {
		t.Errorf("recorded: %+v", o)
	}
}

func TestWhatWasAnsweredIsRecordedAlsoWhenTheGatewayIsKilled(t *testing.T) {
	h := build(t)
	s := &lastingServer{began: make(chan struct{}, 8), goOn: make(chan struct{})}
	h.server.behave(s.ServeHTTP)
	p := h.spawn()
	answered := map[string]bool{}
	for range 20 {
		a := h.say("hello")
		must(t, "a request", a, 200, "")
		answered[a.id] = true
		a = h.ask(h.nobody, http.MethodPost, chat, saying("hello"), nil)
		must(t, "a stranger", a, 401, verdict.RequestIdentity)
		answered[a.id] = false
	}
	running := h.stream()
	take(t, "a stream", s.began)
	if err := syscall.Kill(p.id, syscall.SIGKILL); err != nil {
		t.Fatal(err)
	}
	if a := take(t, "the stream's end", running); a.err == nil {
		t.Errorf("the stream of a gateway that was killed ends well: %s", a)
	}
	if err := h.end(); err == nil {
		t.Error("a gateway that was killed ends well")
	}
	h.start(app.GatewayOptions{TrustDomain: "vision.example"})
	must(t, "started again", h.say("hello"), 200, "")
	k := h.records()
	for id, allowed := range answered {
		if d, there := k.decisions[id]; !there || d.Allowed != allowed {
			t.Errorf("%s was answered, and its record is %+v", id, d)
		}
	}
	for id := range h.server.seen() {
		if !k.decisions[id].Allowed {
			t.Errorf("the server saw %s, which is not recorded", id)
		}
	}
}
