package gateway

import (
	"bufio"
	"bytes"
	"crypto/tls"
	"errors"
	"io"
	"net"
	"net/http"
	"strconv"
	"strings"
	"testing"
	"time"

	"golang.org/x/net/http2"
	"golang.org/x/net/http2/hpack"
)

// patience bounds how long a connection is waited for; no test depends on it
// while the gateway answers.
const patience = 2 * time.Minute

// raw sends bytes on a connection of HTTP/1.1, and behind the first answer a request
// that no route takes and that ends the connection: what lies between, if anything,
// was answered by then. It returns the answers' status in their order. Short says
// that the bytes are fewer than they announce, so that no answer comes before their end.
func (h *house) raw(t *testing.T, text string, short bool) (statuses []int) {
	t.Helper()
	config := h.secure(h.intake)
	config.NextProtos = []string{"http/1.1"}
	c, err := tls.Dial("tcp", h.address, config)
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	c.SetDeadline(time.Now().Add(patience))
	if _, err := io.WriteString(c, text); err != nil {
		return nil // it was closed before all was sent
	}
	if short {
		c.CloseWrite()
	}
	in := bufio.NewReader(c)
	for {
		resp, err := http.ReadResponse(in, nil)
		if timeout, is := errors.AsType[net.Error](err); is && timeout.Timeout() {
			t.Error("no answer comes")
		}
		if err != nil {
			return statuses
		}
		if _, err := io.Copy(io.Discard, resp.Body); err != nil {
			return statuses
		}
		if resp.StatusCode < 200 {
			continue
		}
		if statuses = append(statuses, resp.StatusCode); len(statuses) == 1 {
			io.WriteString(c, "GET /end HTTP/1.1\r\nHost: nowhere.example\r\nConnection: close\r\n\r\n") // it may be closed already
		}
	}
}

// A smuggled request is one that the server sees and the gateway does not. In each
// case a second request stands where one of two readers could find it; it carries
// no identity of its own, and says so to the server in a header.
func TestNoRequestIsSmuggled(t *testing.T) {
	h := open(t)
	smuggled := 0
	h.server.behave(func(w http.ResponseWriter, r *http.Request) {
		if r.Header.Get("X-Smuggled") != "" {
			smuggled++
		}
		io.Copy(io.Discard, r.Body)
		w.Header().Set("Content-Type", "application/json")
		io.WriteString(w, sentence)
	})
	body := saying("hello")
	length := strconv.Itoa(len(body))
	inner := "POST " + chat + " HTTP/1.1\r\nHost: " + host + "\r\nX-Smuggled: yes\r\nContent-Type: application/json\r\nContent-Length: " + length + "\r\n\r\n" + body
	head := func(lines ...string) string {
		return "POST " + chat + " HTTP/1.1\r\nHost: " + host + "\r\nContent-Type: application/json\r\n" + strings.Join(lines, "\r\n") + "\r\n\r\n"
	}
	chunk := func(s string) string { return strconv.FormatInt(int64(len(s)), 16) + "\r\n" + s + "\r\n" }
	for _, tc := range []struct {
		name, text string
		passes     int // requests that the server may get
	}{
		{"a request", head("Content-Length: "+length) + body, 1},
		{"two requests, one behind the other", head("Content-Length: "+length) + body + head("Content-Length: "+length) + body, 2},
		{"a request in chunks", head("Transfer-Encoding: chunked") + chunk(body) + "0\r\n\r\n", 1},
		{"a request in two chunks", head("Transfer-Encoding: chunked") + chunk(body[:9]) + chunk(body[9:]) + "0\r\n\r\n", 1},
		{"a length and chunks", head("Content-Length: 6", "Transfer-Encoding: chunked") + "0\r\n\r\nX" + inner, 0},
		{"chunks and a length", head("Transfer-Encoding: chunked", "Content-Length: "+strconv.Itoa(len(chunk(body))+5+len(inner))) + chunk(body) + "0\r\n\r\n" + inner, 1}, // the chunks count (RFC 9112 6.3), and the connection ends with them
		{"a request behind chunks", head("Transfer-Encoding: chunked") + chunk(body) + "0\r\n\r\n" + inner, 1},                                                             // nobody can know whether there was a length, too
		{"a request behind chunks that are denied", head("Transfer-Encoding: chunked") + chunk(strings.Replace(body, "captioner", "other", 1)) + "0\r\n\r\n" + inner, 0},
		{"two lengths", head("Content-Length: "+length, "Content-Length: "+strconv.Itoa(len(body)+len(inner))) + body + inner, 0},
		{"two lengths in one", head("Content-Length: "+length+", "+strconv.Itoa(len(body)+len(inner))) + body + inner, 0},
		{"a length with a sign", head("Content-Length: +"+length) + body, 0},
		{"a length in hexadecimal", head("Content-Length: 0x10") + body, 0},
		{"a length with a space within", head("Content-Length: 1 0") + body, 0},
		{"a length below nought", head("Content-Length: -1") + body, 0},
		{"a length that is too long", head("Content-Length: 99999999999999999999") + body, 0},
		{"a space before the colon", head("Content-Length : "+length) + body, 0},
		{"another encoding", head("Transfer-Encoding: gzip, chunked") + chunk(body) + "0\r\n\r\n", 0},
		{"an encoding that looks like chunks", head("Transfer-Encoding: xchunked") + chunk(body) + "0\r\n\r\n", 0},
		{"chunks named twice", head("Transfer-Encoding: chunked", "Transfer-Encoding: chunked") + chunk(body) + "0\r\n\r\n", 0},
		{"chunks named with another in two lines", head("Transfer-Encoding: chunked", "Transfer-Encoding: identity") + chunk(body) + "0\r\n\r\n", 0},
		{"chunks behind a vertical tab", head("Transfer-Encoding: \x0bchunked") + chunk(body) + "0\r\n\r\n", 0},
		{"a name that looks like the encoding's", head("Content-Length: "+length, "Transfer_Encoding: chunked") + body, 1},
		{"a chunk's length that ends with a bare LF", head("Transfer-Encoding: chunked") + strconv.FormatInt(int64(len(body)), 16) + "\n" + body + "\r\n0\r\n\r\n", 0},
		{"a chunk that ends with a bare LF", head("Transfer-Encoding: chunked") + strconv.FormatInt(int64(len(body)), 16) + "\r\n" + body + "\n0\r\n\r\n", 0},
		{"an extension of a chunk that holds a bare LF", head("Transfer-Encoding: chunked") + strconv.FormatInt(int64(len(body)), 16) + ";a\nb\r\n" + body + "\r\n0\r\n\r\n" + inner, 0},
		{"a chunk's length with a sign", head("Transfer-Encoding: chunked") + "+" + chunk(body) + "0\r\n\r\n", 0},
		{"a chunk's length in 0x", head("Transfer-Encoding: chunked") + "0x" + chunk(body) + "0\r\n\r\n", 0},
		{"a chunk's length that overflows", head("Transfer-Encoding: chunked") + "10000000000000000" + chunk(body) + "0\r\n\r\n", 0},
		{"extensions without end", head("Transfer-Encoding: chunked") + "1;" + strings.Repeat("x", 20<<10) + "\r\n{\r\n0\r\n\r\n", 0},
		{"a header that is folded", head("X-A: b\r\n Content-Length: "+length, "Content-Length: "+length) + body, 1}, // RFC 9112 5.2: a server may unfold it
		{"a header that begins with a space", head(" Content-Length: "+length) + body, 0},
		{"a header without a colon", head("Content-Length "+length) + body, 0},
		{"a name with a zero byte", head("X-\x00A: b", "Content-Length: "+length) + body, 0},
		{"a value with a zero byte", head("X-A: b\x00c", "Content-Length: "+length) + body, 0},
		{"a value with a bare CR", head("X-A: b\rTransfer-Encoding: chunked", "Content-Length: "+length) + body, 0},
		{"two hosts", head("Host: other.example", "Content-Length: "+length) + body, 0},
		{"no host", strings.Replace(head("Content-Length: "+length), "Host: "+host+"\r\n", "", 1) + body, 0},
		{"a target that is a URL of another host", strings.Replace(head("Content-Length: "+length), "POST "+chat, "POST http://other.example"+chat, 1) + body, 0},
		{"an older protocol", strings.Replace(head("Content-Length: "+length), "HTTP/1.1", "HTTP/1.0", 1) + body, 0},
		{"a protocol that nobody knows", strings.Replace(head("Content-Length: "+length), "HTTP/1.1", "HTTP/1.9", 1) + body, 0},
		{"a method with a space", "PO ST " + chat + " HTTP/1.1\r\nHost: " + host + "\r\n\r\n", 0},
		{"a path with a line break", "POST " + chat + "\rX: HTTP/1.1\r\nHost: " + host + "\r\nContent-Length: 0\r\n\r\n", 0},
		{"an upgrade and a request behind it", head("Connection: Upgrade", "Upgrade: websocket", "Content-Length: "+length) + body + inner, 0},
		{"an upgrade to HTTP/2", head("Connection: Upgrade, HTTP2-Settings", "Upgrade: h2c", "HTTP2-Settings: AAMAAABkAARAAAAAAAIAAAAA", "Content-Length: "+length) + body, 0},
		{"a tunnel and a request in it", "CONNECT " + host + ":443 HTTP/1.1\r\nHost: " + host + ":443\r\n\r\n" + inner, 0},
		{"a body that a GET brings", "GET /v1/models HTTP/1.1\r\nHost: " + host + "\r\nContent-Length: " + strconv.Itoa(len(inner)) + "\r\n\r\n" + inner, 0},
		{"an expectation that is met", head("Expect: 100-continue", "Content-Length: "+length) + body, 1},
		{"an expectation that nobody knows", head("Expect: 200-ok", "Content-Length: "+length) + body, 0},
		{"a trailer with what steers", head("Transfer-Encoding: chunked", "Trailer: X-Apex-Principal") + chunk(body) + "0\r\nX-Apex-Principal: spiffe://claims.example/boss\r\n\r\n", 1},
		{"a body that is shorter than it says", head("Content-Length: "+strconv.Itoa(len(body)+10)) + body, 0},
	} {
		t.Run(tc.name, func(t *testing.T) {
			before := h.server.count()
			statuses := h.raw(t, tc.text, strings.Contains(tc.name, "shorter"))
			got := h.server.count() - before
			allowed := 0
			for _, s := range statuses {
				if s == http.StatusOK {
					allowed++
				}
			}
			if got != tc.passes || allowed != tc.passes {
				t.Errorf("the server got %d requests, %d are expected; the answers are %v", got, tc.passes, statuses)
			}
		})
	}
	if a := h.say("hello"); a.status != http.StatusOK || smuggled > 0 {
		t.Errorf("%d requests were smuggled; %s", smuggled, a)
	}
	h.records().holds(t, h.server.seen())
}

// HTTP/2 has no lines, so what would be one behind is refused at the door.
func TestNothingOfHTTP2BecomesALine(t *testing.T) {
	h := open(t)
	h.server.behave(func(w http.ResponseWriter, r *http.Request) {
		if r.Header.Get("X-Smuggled") != "" || r.URL.Path != chat || r.Header.Get("Transfer-Encoding") != "" {
			t.Errorf("the server got %s %v", r.URL, r.Header)
		}
		io.Copy(io.Discard, r.Body)
		w.Header().Set("Content-Type", "application/json")
		io.WriteString(w, sentence)
	})
	body := saying("hello")
	for _, tc := range []struct {
		name   string
		change func([][2]string) [][2]string
		passes bool
	}{
		{"a request", func(f [][2]string) [][2]string { return f }, true},
		{"a value with a line break", func(f [][2]string) [][2]string { return append(f, [2]string{"x-a", "b\r\nX-Smuggled: yes"}) }, false},
		{"a value with a line feed", func(f [][2]string) [][2]string { return append(f, [2]string{"x-a", "b\nX-Smuggled: yes"}) }, false},
		{"a value with a zero byte", func(f [][2]string) [][2]string { return append(f, [2]string{"x-a", "b\x00"}) }, false},
		{"a name with a line break", func(f [][2]string) [][2]string { return append(f, [2]string{"x-a: b\r\nx-smuggled", "yes"}) }, false},
		{"a name with a colon", func(f [][2]string) [][2]string { return append(f, [2]string{"x-smuggled: yes", "b"}) }, false},
		{"a name in capitals", func(f [][2]string) [][2]string { return append(f, [2]string{"X-Smuggled", "yes"}) }, false},
		{"a path with a line break", func(f [][2]string) [][2]string {
			f[1][1] = chat + " HTTP/1.1\r\nX-Smuggled: yes\r\nX-B: "
			return f
		}, false},
		{"a method with a line break", func(f [][2]string) [][2]string {
			f[0][1] = "POST " + chat + " HTTP/1.1\r\nX-Smuggled: yes\r\n\r\nGET"
			return f
		}, false},
		{"an authority with a line break", func(f [][2]string) [][2]string { f[3][1] = host + "\r\nX-Smuggled: yes"; return f }, false},
		{"chunks", func(f [][2]string) [][2]string { return append(f, [2]string{"transfer-encoding", "chunked"}) }, false},
		{"a header of one connection", func(f [][2]string) [][2]string { return append(f, [2]string{"connection", "x-apex-principal"}) }, false},
		{"a length that is not the body's", func(f [][2]string) [][2]string { return append(f, [2]string{"content-length", "3"}) }, false},
		{"two paths", func(f [][2]string) [][2]string {
			return append(f[:4:4], append([][2]string{{":path", "/admin"}}, f[4:]...)...)
		}, false},
		{"a host twice, the same", func(f [][2]string) [][2]string { return append(f, [2]string{"host", host}) }, true},
		{"two hosts", func(f [][2]string) [][2]string { return append(f, [2]string{"host", "other.example"}) }, false},
	} {
		t.Run(tc.name, func(t *testing.T) {
			before := h.server.count()
			status := h.frames(t, tc.change([][2]string{{":method", "POST"}, {":path", chat}, {":scheme", "https"}, {":authority", host}, {"content-type", "application/json"}}), body)
			got := h.server.count() - before
			if tc.passes != (status == http.StatusOK && got == 1) || !tc.passes && (status == http.StatusOK || got != 0) {
				t.Errorf("status %d, the server got %d requests", status, got)
			}
		})
	}
	h.records().holds(t, h.server.seen())
}

// frames sends one request in frames as they are, and returns the status; 0 when
// the stream or the connection was ended.
func (h *house) frames(t *testing.T, fields [][2]string, body string) int {
	t.Helper()
	config := h.secure(h.intake)
	config.NextProtos = []string{"h2"}
	c, err := tls.Dial("tcp", h.address, config)
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	c.SetDeadline(time.Now().Add(patience))
	io.WriteString(c, http2.ClientPreface)
	f := http2.NewFramer(c, c)
	f.AllowIllegalWrites = true
	f.WriteSettings()
	var block bytes.Buffer
	e := hpack.NewEncoder(&block)
	for _, field := range fields {
		e.WriteField(hpack.HeaderField{Name: field[0], Value: field[1]})
	}
	f.WriteHeaders(http2.HeadersFrameParam{StreamID: 1, BlockFragment: block.Bytes(), EndHeaders: true})
	f.WriteData(1, true, []byte(body))
	f.ReadMetaHeaders = hpack.NewDecoder(4096, nil)
	for {
		frame, err := f.ReadFrame()
		if err != nil {
			return 0
		}
		switch frame := frame.(type) {
		case *http2.SettingsFrame:
			if !frame.IsAck() {
				f.WriteSettingsAck()
			}
		case *http2.RSTStreamFrame, *http2.GoAwayFrame:
			return 0
		case *http2.MetaHeadersFrame:
			status, _ := strconv.Atoi(frame.PseudoValue("status"))
			return status
		}
	}
}
