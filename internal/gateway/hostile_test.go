package gateway

import (
	"io"
	"net"
	"net/http"
	"strings"
	"testing"

	"github.com/apexlogic/apex/verdict"
)

// endless writes until the gateway has enough, and no more than a gateway may
// ever read.
func endless(first, again string) turn {
	return func(s *hanging, c net.Conn) {
		s.read(c)
		io.WriteString(c, first)
		for sent := 0; sent < 256<<20; sent += len(again) {
			if _, err := io.WriteString(c, again); err != nil {
				return
			}
		}
	}
}

func TestAServerThatSendsWithoutEndIsCut(t *testing.T) {
	for _, tt := range []struct {
		name   string
		turn   turn
		status int
		code   verdict.Code
	}{
		{"an answer", answersWell, 200, ""},
		{"headers", endless("HTTP/1.1 200 OK\r\n", "X-A: "+strings.Repeat("a", 1000)+"\r\n"), 502, verdict.UpstreamDown},
		{"one header", endless("HTTP/1.1 200 OK\r\nX-A: ", strings.Repeat("a", 1000)), 502, verdict.UpstreamDown},
		{"early hints", endless("", "HTTP/1.1 103 Early Hints\r\nLink: "+strings.Repeat("a", 1000)+"\r\n\r\n"), 403, verdict.StreamInvalid},
		{"a body", endless("HTTP/1.1 200 OK\r\nContent-Type: application/json\r\n\r\n", strings.Repeat(" ", 64<<10)), 403, verdict.StreamLimit},
		{"a body that says so", endless("HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: 99999999999\r\n\r\n", strings.Repeat(" ", 64<<10)), 403, verdict.StreamLimit},
		{"chunks", endless("HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nTransfer-Encoding: chunked\r\n\r\n", strings.Repeat("400\r\n"+strings.Repeat(" ", 1024)+"\r\n", 64)), 403, verdict.StreamLimit},
	} {
		t.Run(tt.name, func(t *testing.T) {
			s := newHanging(t, tt.turn)
			w := newWorld(t, func(r *Route) { r.Upstream.URL = s.URL })
			status, code, answer := w.ask(t, "POST", "/v1/chat/completions", hello, nil)
			if status != tt.status || code != string(tt.code) {
				t.Errorf("%d %s %.200s, want %d %s", status, code, answer, tt.status, tt.code)
			}
		})
	}
}

// What a server says of its own connection stays there, and what its framing leaves
// open is no answer.
func TestAnAnswersFramingIsItsConnectionsOwn(t *testing.T) {
	says := func(text string) turn {
		return func(s *hanging, c net.Conn) {
			s.read(c)
			io.WriteString(c, strings.ReplaceAll(text, "\n", "\r\n"))
		}
	}
	const kind = "Content-Type: application/json\n"
	for _, tt := range []struct {
		name, text string
		status     int
		answer     string
	}{
		{"an answer", "HTTP/1.1 200 OK\n" + kind + "Content-Length: 2\n\n{}", 200, "{}"},
		{"headers of its connection", "HTTP/1.1 200 OK\n" + kind + "Connection: X-Hop\nX-Hop: 1\nKeep-Alive: timeout=5\nProxy-Authenticate: Basic\nX-Apex-Principal: boss\nContent-Length: 2\n\n{}", 200, "{}"},
		{"chunks and a length", "HTTP/1.1 200 OK\n" + kind + "Content-Length: 100\nTransfer-Encoding: chunked\n\n2\n{}\n0\n\n", 200, "{}"},
		{"two lengths", "HTTP/1.1 200 OK\n" + kind + "Content-Length: 2\nContent-Length: 3\n\n{} ", 502, ""},
		{"another encoding", "HTTP/1.1 200 OK\n" + kind + "Transfer-Encoding: gzip\n\n{}", 502, ""},
		{"a body that is shorter than it says", "HTTP/1.1 200 OK\n" + kind + "Content-Length: 3\n\n{}", 502, ""},
		{"chunks that do not end", "HTTP/1.1 200 OK\n" + kind + "Transfer-Encoding: chunked\n\n2\n{}\n", 502, ""},
		{"no content", "HTTP/1.1 204 No Content\n\n", 204, ""},
		{"nothing new", "HTTP/1.1 304 Not Modified\nEtag: \"1\"\n\n", 304, ""},
		{"a change of protocol", "HTTP/1.1 101 Switching Protocols\nConnection: Upgrade\nUpgrade: other\n\n", 403, ""},
		{"a trailer", "HTTP/1.1 200 OK\n" + kind + "Trailer: X-Sum\nTransfer-Encoding: chunked\n\n2\n{}\n0\nX-Sum: 7\n\n", 200, "{}"},
		{"no status", "HTTP/1.1 \n\n", 502, ""},
		{"another protocol", "SSH-2.0-OpenSSH\n", 502, ""},
	} {
		t.Run(tt.name, func(t *testing.T) {
			s := newHanging(t, says(tt.text))
			w := newWorld(t, func(r *Route) { r.Upstream.URL = s.URL })
			r, err := http.NewRequestWithContext(t.Context(), "POST", w.front.URL+"/v1/chat/completions", strings.NewReader(hello))
			if err != nil {
				t.Fatal(err)
			}
			r.Host = "captioner.example"
			r.Header = http.Header{"Authorization": {"Bearer alice"}, "Content-Type": {"application/json"}}
			resp, err := w.front.Client().Do(r)
			if err != nil {
				t.Fatal(err)
			}
			defer resp.Body.Close()
			data, err := io.ReadAll(resp.Body)
			if err != nil || resp.StatusCode != tt.status || tt.status < 400 && string(data) != tt.answer {
				t.Errorf("%d %q %v, want %d %q", resp.StatusCode, data, err, tt.status, tt.answer)
			}
			for _, name := range []string{"X-Hop", "Keep-Alive", "Proxy-Authenticate", "X-Apex-Principal", "Upgrade"} {
				if v := resp.Header.Get(name); v != "" {
					t.Errorf("%s: %s passes", name, v)
				}
			}
			if strings.Contains(tt.text, "X-Sum") && resp.Trailer.Get("X-Sum") != "7" {
				t.Errorf("the trailer is lost: %v", resp.Trailer)
			}
		})
	}
}
