package stream

import (
	"bufio"
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/coder/websocket"

	"github.com/apexlogic/apex/internal/media"
	"github.com/apexlogic/apex/internal/media/body"
	"github.com/apexlogic/apex/verdict"
)

type ended struct {
	up, down Summary
	err      error
}

// socketTo serves s in front of a server that serve answers, and returns its address.
func socketTo(t *testing.T, s Socket, serve http.HandlerFunc) (address string, end <-chan ended) {
	t.Helper()
	behind := httptest.NewServer(serve)
	t.Cleanup(behind.Close)
	to, err := url.Parse(behind.URL)
	if err != nil {
		t.Fatal(err)
	}
	s.URL, s.Host = to, to.Host
	if s.Dial == nil {
		s.Dial = func(ctx context.Context) (net.Conn, error) { return new(net.Dialer).DialContext(ctx, "tcp", to.Host) }
	}
	all := make(chan ended, 1)
	front := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		one := s
		up, down, err := one.Serve(w, r)
		if err != nil {
			http.Error(w, err.Error(), http.StatusBadRequest)
		}
		all <- ended{up, down, err}
	}))
	t.Cleanup(front.Close)
	return front.URL, all
}

// echo is a server that says back what it hears, and what to "say: x".
func echo(compress websocket.CompressionMode) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		c, err := websocket.Accept(w, r, &websocket.AcceptOptions{Subprotocols: []string{"realtime"}, CompressionMode: compress, InsecureSkipVerify: true})
		if err != nil {
			return
		}
		defer c.CloseNow()
		c.SetReadLimit(-1)
		for {
			kind, message, err := c.Read(r.Context())
			if err != nil {
				return
			}
			switch text := string(message); {
			case strings.HasPrefix(text, "close: "):
				c.Close(websocket.StatusNormalClosure, text[7:])
				return
			case strings.HasPrefix(text, "say: "):
				for piece := range strings.SplitSeq(text[5:], "|") {
					if c.Write(r.Context(), kind, []byte(strings.ReplaceAll(piece, "_", ""))) != nil {
						return
					}
				}
			default:
				if c.Write(r.Context(), kind, message) != nil {
					return
				}
			}
		}
	}
}

func dial(t *testing.T, address string, o *websocket.DialOptions) *websocket.Conn {
	t.Helper()
	c, _, err := websocket.Dial(t.Context(), address, o)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { c.CloseNow() })
	c.SetReadLimit(-1)
	return c
}

func TestMessagesPassInBothDirections(t *testing.T) {
	for _, mode := range []websocket.CompressionMode{websocket.CompressionDisabled, websocket.CompressionContextTakeover} {
		address, end := socketTo(t, Socket{Up: Options{Binary: "application/x", Inspect: measured}, Down: Options{Binary: "application/x", Inspect: measured}}, echo(mode))
		c := dial(t, address, &websocket.DialOptions{CompressionMode: mode, CompressionThreshold: 1, Subprotocols: []string{"other", "realtime"}})
		if c.Subprotocol() != "realtime" {
			t.Errorf("the protocol is %q", c.Subprotocol())
		}
		messages := []string{"a", "", "grün", strings.Repeat("b", 125), strings.Repeat("c", 126), strings.Repeat("d", 65535), strings.Repeat("e", 65536), strings.Repeat("f", 200_000)}
		for _, m := range messages {
			for _, kind := range []websocket.MessageType{websocket.MessageText, websocket.MessageBinary} {
				if err := c.Write(t.Context(), kind, []byte(m)); err != nil {
					t.Fatal(err)
				}
				if k, got, err := c.Read(t.Context()); err != nil || k != kind || string(got) != m {
					t.Fatalf("%d bytes became %d, %v", len(m), len(got), err)
				}
			}
		}
		if err := c.Close(4001, "done"); err != nil {
			t.Error(err)
		}
		got := <-end
		if n := int64(2 * len(messages)); got.err != nil || got.up.Events != n || got.down.Events != n || got.up.Cut != "" || got.down.Cut != "" || got.up.Bytes != got.down.Bytes {
			t.Errorf("%+v", got)
		}
	}
}

func TestEveryMessageOfASocketIsLookedAt(t *testing.T) {
	secret := []Guard{noSecret("hunter2")}
	openAI := Options{Guards: secret, Messages: body.OpenAIEvents()}
	for _, tc := range []struct {
		name     string
		up, down Options
		send     []string // at which the socket is cut, or not
		code     verdict.Code
		status   websocket.StatusCode
		back     int // messages that come back before
	}{
		{"a secret that the client sends, in its third message", Options{Guards: secret}, Options{}, []string{"a", "b", "hunter2"}, secretFound, 1008, 2},
		{"a word that the client sends", Options{Guards: secret}, Options{}, []string{"a", "b", "hunter3"}, "", 0, 3},
		{"a secret that the server sends, in two messages", Options{}, Options{Guards: secret}, []string{"say: a|hun|t_er2"}, secretFound, 1008, 2},
		{"a word that the server sends, in two messages", Options{}, Options{Guards: secret}, []string{"say: a|hun|t_er3"}, "", 0, 3},
		{"a secret behind an escape", openAI, Options{}, []string{`{"delta":"h\u0075nter2"}`}, secretFound, 1008, 0},
		{"JSON that readers read in two ways", openAI, Options{}, []string{`{"a":1,"a":2}`}, verdict.StreamInvalid, 1002, 0},
		{"JSON", openAI, openAI, []string{`{"a":1,"b":2}`}, "", 0, 1},
		{"a message that is too long", Options{EventBytes: 10}, Options{}, []string{"0123456789", "0123456789a"}, verdict.StreamLimit, 1009, 1},
		{"a long message", Options{EventBytes: 11}, Options{}, []string{"0123456789", "0123456789a"}, "", 0, 2},
		{"more than a socket may carry", Options{Bytes: 5}, Options{}, []string{"abc", "def"}, verdict.StreamLimit, 1009, 1},
		{"as much as a socket may carry", Options{Bytes: 6}, Options{}, []string{"abc", "def"}, "", 0, 2},
		{"a secret as the reason of a close", Options{}, Options{Guards: secret}, []string{"close: hunter2"}, secretFound, 1008, 0},
	} {
		t.Run(tc.name, func(t *testing.T) {
			address, end := socketTo(t, Socket{Up: tc.up, Down: tc.down}, echo(websocket.CompressionDisabled))
			c := dial(t, address, nil)
			for i := range max(tc.back, len(tc.send)) {
				if i < len(tc.send) {
					if err := c.Write(t.Context(), websocket.MessageText, []byte(tc.send[i])); err != nil {
						t.Fatal(err)
					}
				}
				if i >= tc.back {
					break
				}
				if _, m, err := c.Read(t.Context()); err != nil || strings.Contains(string(m), "ter2") {
					t.Fatalf("message %d: %q %v", i, m, err)
				}
			}
			if tc.code != "" {
				_, m, err := c.Read(t.Context())
				ce, is := errors.AsType[websocket.CloseError](err)
				if !is || ce.Code != tc.status || ce.Reason != string(tc.code) {
					t.Fatalf("%q %v", m, err)
				}
			} else {
				c.Close(1000, "")
			}
			if got := <-end; got.err != nil || got.up.Cut != tc.code && got.down.Cut != tc.code || tc.code == "" && got.down.Cut != "" {
				t.Errorf("%+v", got)
			}
		})
	}
}

func TestARealtimeSessionIsItsTextsAndItsAudio(t *testing.T) {
	var up, down []media.Part
	keep := func(all *[]media.Part) func(*media.Part) error {
		return func(p *media.Part) error {
			if p.URL != "" {
				return media.Refuse(verdict.MediaAddress, p.Where, "no addresses")
			}
			*all = append(*all, *p)
			return nil
		}
	}
	models := []string{}
	s := Socket{
		Up: Options{Messages: body.Realtime().Client, Guards: []Guard{noSecret("hunter2")}, Inspect: measured, Part: keep(&up), Model: func(name string) error {
			models = append(models, name)
			return nil
		}},
		Down:  Options{Messages: body.Realtime().Server, Guards: []Guard{noSecret("hunter2")}, Inspect: measured, Part: keep(&down)},
		Error: RealtimeError("7"),
	}
	address, end := socketTo(t, s, echo(websocket.CompressionDisabled))
	c := dial(t, address, nil)
	for _, m := range []string{
		`{"type":"input_audio_buffer.append","audio":"aGVsbG8="}`,
		`{"type":"session.update","session":{"model":"voice","instructions":"be kind"}}`,
		`{"type":"response.audio.delta","delta":"aGVsbG8="}`, // what a client sends comes back as the server's
		`{"type":"response.text.delta","delta":"hun"}`,
		`{"type":"response.audio_transcript.delta","delta":"of another text"}`,
	} {
		if err := c.Write(t.Context(), websocket.MessageText, []byte(m)); err != nil {
			t.Fatal(err)
		}
		if _, got, err := c.Read(t.Context()); err != nil || string(got) != m {
			t.Fatalf("%q %v", got, err)
		}
	}
	c.Write(t.Context(), websocket.MessageText, []byte(`say: {"type":"response.te_xt.delta","delta":"ter_2"}`))
	_, got, err := c.Read(t.Context())
	if err != nil || !strings.HasPrefix(string(got), `{"type":"error","error":{`) || !strings.Contains(string(got), string(secretFound)) {
		t.Fatalf("%q %v", got, err)
	}
	if _, _, err := c.Read(t.Context()); websocket.CloseStatus(err) != 1008 {
		t.Error(err)
	}
	e := <-end
	digest := sha256.Sum256([]byte("hello"))
	if len(up) != 1 || up[0].Where != "/audio" || up[0].Digest != digest || up[0].Kind != media.Audio || len(down) != 1 || down[0].Where != "/delta" || e.down.Cut != secretFound || e.down.Parts != 1 ||
		len(models) != 1 || models[0] != "voice" {
		t.Errorf("%+v %+v %+v %v", up, down, e, models)
	}
}

func TestWhatMayNotComeInASocketIsRefused(t *testing.T) {
	realtime := Options{Messages: body.Realtime().Client, Inspect: measured}
	noModel := realtime
	noModel.Model = func(string) error { return media.Refuse(verdict.RequestModel, "", "no such model") }
	for _, tc := range []struct {
		name string
		up   Options
		kind websocket.MessageType
		text string
		code verdict.Code
	}{
		{"a binary message where none may come", Options{}, websocket.MessageBinary, "a", verdict.MediaKind},
		{"audio that is no base64", realtime, websocket.MessageText, `{"type":"input_audio_buffer.append","audio":"hunter2!"}`, verdict.MediaEncoding},
		{"an address of an image", realtime, websocket.MessageText, `{"item":{"content":[{"image_url":"https://a.example/"}]}}`, verdict.MediaAddress},
		{"media where none is expected", Options{Messages: body.Realtime().Client}, websocket.MessageText, `{"audio":"aGVsbG8="}`, verdict.MediaKind},
		{"a model that the route does not have", noModel, websocket.MessageText, `{"session":{"model":"other"}}`, verdict.RequestModel},
		{"a text that is not UTF-8", Options{}, websocket.MessageText, "\xff", verdict.StreamInvalid},
	} {
		t.Run(tc.name, func(t *testing.T) {
			address, end := socketTo(t, Socket{Up: tc.up}, echo(websocket.CompressionDisabled))
			c := dial(t, address, nil)
			c.Write(t.Context(), tc.kind, []byte(tc.text))
			if _, m, err := c.Read(t.Context()); err == nil {
				t.Errorf("%q comes back", m)
			}
			if got := <-end; got.up.Cut != tc.code {
				t.Errorf("%+v, want %s", got, tc.code)
			}
		})
	}
}

func TestARevocationClosesASocketAtOnce(t *testing.T) {
	ctx, cancel := context.WithCancelCause(t.Context())
	to := make(chan *websocket.Conn, 1)
	behind := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		c, err := websocket.Accept(w, r, nil)
		if err != nil {
			return
		}
		to <- c
		<-r.Context().Done()
	}))
	defer behind.Close()
	at, _ := url.Parse(behind.URL)
	done := make(chan ended, 1)
	front := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		s := Socket{URL: at, Host: at.Host, Dial: func(ctx context.Context) (net.Conn, error) { return new(net.Dialer).DialContext(ctx, "tcp", at.Host) }}
		up, down, err := s.Serve(w, r.WithContext(ctx))
		done <- ended{up, down, err}
	}))
	defer front.Close()
	c := dial(t, front.URL, nil)
	server := <-to
	cancel(&Cut{Code: verdict.StreamExpired, Detail: "revoked"})
	if _, _, err := c.Read(t.Context()); websocket.CloseStatus(err) != 1008 {
		t.Error(err)
	}
	if _, _, err := server.Read(t.Context()); websocket.CloseStatus(err) != 1001 {
		t.Error(err)
	}
	if e := <-done; e.down.Cut != verdict.StreamExpired {
		t.Errorf("%+v", e)
	}
}

func handshake(change func(h http.Header, r *http.Request)) *http.Request {
	r := httptest.NewRequest(http.MethodGet, "http://apex.example/v1/realtime", nil)
	for name, v := range map[string]string{"Connection": "keep-alive, Upgrade", "Upgrade": "websocket", "Sec-WebSocket-Version": "13", "Sec-WebSocket-Key": "AAAAAAAAAAAAAAAAAAAAAA=="} {
		r.Header.Set(name, v)
	}
	change(r.Header, r)
	return r
}

func TestAHandshakeIsHeldToItsForm(t *testing.T) {
	for _, tc := range []struct {
		name   string
		change func(h http.Header, r *http.Request)
		ok     bool
	}{
		{"as it is written", func(http.Header, *http.Request) {}, true},
		{"by POST", func(_ http.Header, r *http.Request) { r.Method = "POST" }, false},
		{"in HTTP/2", func(_ http.Header, r *http.Request) { r.ProtoMajor, r.ProtoMinor = 2, 0 }, false},
		{"with a body", func(_ http.Header, r *http.Request) { r.ContentLength = 3 }, false},
		{"without Upgrade", func(h http.Header, _ *http.Request) { h.Del("Upgrade") }, false},
		{"to another protocol", func(h http.Header, _ *http.Request) { h.Set("Upgrade", "h2c") }, false},
		{"without Connection", func(h http.Header, _ *http.Request) { h.Del("Connection") }, false},
		{"of another version", func(h http.Header, _ *http.Request) { h.Set("Sec-WebSocket-Version", "8") }, false},
		{"of two versions", func(h http.Header, _ *http.Request) { h.Add("Sec-WebSocket-Version", "13") }, false},
		{"with a short key", func(h http.Header, _ *http.Request) { h.Set("Sec-WebSocket-Key", "AAAA") }, false},
		{"with two keys", func(h http.Header, _ *http.Request) { h.Add("Sec-WebSocket-Key", "AAAAAAAAAAAAAAAAAAAAAA==") }, false},
		{"of a page of this site", func(h http.Header, _ *http.Request) { h.Set("Origin", "https://apex.example") }, true},
		{"of a page of another site", func(h http.Header, _ *http.Request) { h.Set("Origin", "https://evil.example") }, false},
		{"of a page of another site that is named", func(h http.Header, _ *http.Request) { h.Set("Origin", "https://friend.example") }, true},
		{"of a page of nowhere", func(h http.Header, _ *http.Request) { h.Set("Origin", "null") }, false},
		{"with a protocol", func(h http.Header, _ *http.Request) { h.Set("Sec-WebSocket-Protocol", "realtime, other") }, true},
		{"with a protocol that is no word", func(h http.Header, _ *http.Request) { h.Set("Sec-WebSocket-Protocol", "a b") }, false},
		{"with too many protocols", func(h http.Header, _ *http.Request) {
			h.Set("Sec-WebSocket-Protocol", strings.Repeat("a,", 16)+"a")
		}, false},
	} {
		_, err := readHandshake(handshake(tc.change), []string{"https://friend.example"})
		c, is := errors.AsType[*Cut](err)
		want := verdict.RequestProtocol
		if strings.HasPrefix(tc.name, "of a page") {
			want = verdict.RequestOrigin
		}
		if (err == nil) != tc.ok || err != nil && (!is || c.Code != want) {
			t.Errorf("%s: %v", tc.name, err)
		}
	}
}

func TestAServerThatAnswersTheHandshakeOtherwiseIsRefused(t *testing.T) {
	for _, tc := range []struct {
		name, answer string // %s is the right answer to the key
		code         verdict.Code
	}{
		{"as it is written", "HTTP/1.1 101 x\r\nUpgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Accept: %s\r\n\r\n", ""},
		{"not at all", "", verdict.UpstreamDown},
		{"with no", "HTTP/1.1 403 no\r\nX: %s\r\n\r\n", verdict.UpstreamDown},
		{"for another key", "HTTP/1.1 101 x\r\nUpgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Accept: a%s\r\n\r\n", verdict.StreamInvalid},
		{"with an extension", "HTTP/1.1 101 x\r\nUpgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Accept: %s\r\nSec-WebSocket-Extensions: permessage-deflate\r\n\r\n", verdict.StreamInvalid},
		{"with a protocol that nobody offered", "HTTP/1.1 101 x\r\nUpgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Accept: %s\r\nSec-WebSocket-Protocol: x\r\n\r\n", verdict.StreamInvalid},
		{"without end", "HTTP/1.1 101 x\r\nX: %s" + strings.Repeat("a", handshakeBytes) + "\r\n\r\n", verdict.UpstreamDown},
	} {
		t.Run(tc.name, func(t *testing.T) {
			ours, theirs := net.Pipe()
			go func() {
				defer theirs.Close()
				r, err := http.ReadRequest(bufio.NewReader(theirs))
				if err == nil && tc.answer != "" && r.Header.Get("Sec-WebSocket-Extensions") == "" {
					fmt.Fprintf(theirs, tc.answer, acceptOf(r.Header.Get("Sec-WebSocket-Key")))
				}
			}()
			s := Socket{URL: &url.URL{Scheme: "http", Host: "a.example", Path: "/"}, Header: http.Header{"Sec-Websocket-Extensions": {"permessage-deflate"}},
				Dial: func(context.Context) (net.Conn, error) { return ours, nil }}
			_, _, _, err := s.connect(t.Context(), asked{})
			c, _ := errors.AsType[*Cut](err)
			if (err == nil) != (tc.code == "") || c != nil && c.Code != tc.code {
				t.Error(err)
			}
		})
	}
}

func TestASideThatIsSilentIsAskedAndThenCut(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		client, ours := net.Pipe()
		server, theirs := net.Pipe()
		tun := &tunnel{idle: time.Minute}
		o := Options{}
		o.defaults()
		now := time.Now()
		tun.client = side{conn: ours, began: now, frames: frames{from: bufio.NewReader(ours), masked: true, most: 100}}
		tun.server = side{conn: theirs, began: now, frames: frames{from: bufio.NewReader(theirs), most: 100}, isServer: true}
		tun.up.begin(&o)
		tun.down.begin(&o)
		go func() { // a client that answers pings
			f := frames{from: bufio.NewReader(client), most: 100, control: func(kind byte, payload []byte) error {
				if kind == framePing {
					client.Write(controlFrame(framePong, payload, true))
				}
				return nil
			}}
			for {
				if _, _, err := f.next(); err != nil {
					return
				}
			}
		}()
		go io.Copy(io.Discard, server) // a server that says nothing
		began := time.Now()
		tun.run(t.Context(), nil)
		if tun.down.sum.Cut != verdict.StreamIdle || time.Since(began) < time.Minute || tun.client.silent() > 30*time.Second {
			t.Errorf("%+v after %s", tun.down.sum, time.Since(began))
		}
		client.Close()
		server.Close()
	})
}
