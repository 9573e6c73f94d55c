package gateway

import (
	"bufio"
	"fmt"
	"io"
	"net"
	"net/http"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/apexlogic/apex/internal/gateway/waf"
)

// rawly sends bytes over a connection of their own, and returns the status of the
// first answer.
func (w *world) rawly(t *testing.T, request string) int {
	t.Helper()
	conn, err := net.Dial("tcp", w.front.Listener.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	if err := conn.SetDeadline(time.Now().Add(5 * time.Minute)); err != nil {
		t.Fatal(err)
	}
	if _, err := io.WriteString(conn, request); err != nil {
		t.Fatal(err)
	}
	answer := bufio.NewReader(conn)
	for {
		resp, err := http.ReadResponse(answer, nil)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := io.Copy(io.Discard, resp.Body); err != nil {
			t.Fatal(err)
		}
		resp.Body.Close()
		if resp.StatusCode >= 200 {
			return resp.StatusCode
		}
	}
}

// post spells a request with further header lines and a body.
func post(lines, body string) string {
	return "POST /v1/chat/completions HTTP/1.1\r\nHost: captioner.example\r\nAuthorization: Bearer alice\r\n" + lines +
		fmt.Sprintf("Content-Length: %d\r\n\r\n", len(body)) + body
}

const asJSON = "Content-Type: application/json\r\n"

func TestTrapsOfFramingAndHeadersWithTheirTwins(t *testing.T) {
	bom := "\xef\xbb\xbf"
	wide := "{\x00}\x00"
	for _, tc := range []struct{ name, trap, twin string }{
		{"two Content-Type headers", post(asJSON+"Content-Type: text/plain\r\n", hello), post(asJSON, hello)},
		{"no Content-Type with JSON", post("", hello), post(asJSON, hello)},
		{"an empty Content-Type with JSON", post("Content-Type: \r\n", hello), post(asJSON, hello)},
		{"JSON as text", post("Content-Type: text/plain\r\n", hello), post(asJSON, hello)},
		{"JSON as a form", post("Content-Type: multipart/form-data; boundary=x\r\n", hello), post(asJSON, hello)},
		{"UTF-7", post("Content-Type: application/json; charset=utf-7\r\n", hello), post("Content-Type: application/json; charset=utf-8\r\n", hello)},
		{"UTF-16 by its charset", post("Content-Type: application/json; charset=utf-16\r\n", hello), post("Content-Type: application/json; charset=UTF-8\r\n", hello)},
		{"UTF-16 by its bytes", post(asJSON, wide), post(asJSON, "{}")},
		{"a byte order mark", post(asJSON, bom+hello), post(asJSON, hello)},
		{"an option of Connection that takes out a header", post(asJSON+"Connection: X-Apex-Principal\r\n", hello), post(asJSON+"Connection: keep-alive\r\n", hello)},
		{"one among others", post(asJSON+"Connection: close, X-Identity\r\n", hello), post(asJSON+"Connection: close, TE\r\n", hello)},
		{"two User-Agent headers", post(asJSON+"User-Agent: a\r\nUser-Agent: b\r\n", hello), post(asJSON+"User-Agent: a\r\n", hello)},
		{"two Cookie headers", post(asJSON+"Cookie: a=b\r\nCookie: a=c\r\n", hello), post(asJSON+"Cookie: a=b; c=d\r\n", hello)},
		{"two Referer headers", post(asJSON+"Referer: a\r\nReferer: b\r\n", hello), post(asJSON+"Accept: a/b\r\nAccept: c/d\r\n", hello)},
		{"two Origin headers", post(asJSON+"Origin: https://a\r\nOrigin: https://b\r\n", hello), post(asJSON+"Origin: https://a\r\n", hello)},
		{"two API keys", post(asJSON+"X-Api-Key: a\r\nX-Api-Key: b\r\n", hello), post(asJSON+"X-Api-Key: a\r\n", hello)},
		{"an expectation that nobody meets", post(asJSON+"Expect: 200-ok\r\n", hello), post(asJSON+"Expect: 100-continue\r\n", hello)},
		{"a line that is folded", post("Content-Type: application/json\r\n X: y\r\n", hello), post(asJSON, hello)},
		{"a space before a colon", post("Content-Type : application/json\r\n", hello), post(asJSON, hello)},
		{"two lengths", post(asJSON+"Content-Length: 3\r\n", hello), post(asJSON, hello)},
		{"a length with a sign", strings.Replace(post(asJSON, hello), "Content-Length: ", "Content-Length: +", 1), post(asJSON, hello)},
	} {
		t.Run(tc.name, func(t *testing.T) {
			w := newWorld(t, nil)
			if status := w.rawly(t, tc.trap); status < 400 || status >= 500 {
				t.Errorf("the trap is answered %d", status)
			}
			if n := w.behind.count(); n != 0 {
				t.Errorf("%d requests reached the server", n)
			}
			if status := w.rawly(t, tc.twin); status != 200 {
				t.Errorf("its twin is answered %d", status)
			}
			if n := w.behind.count(); n != 1 {
				t.Errorf("%d requests reached the server after its twin", n)
			}
		})
	}
}

func TestNamesThatServersTakeForOthersDoNotPass(t *testing.T) {
	w := newWorld(t, nil)
	lines := "X_Apex_Principal: mallory\r\nX.Apex.Principal: mallory\r\nX-Apex_Principal: mallory\r\nContent_Length: 1\r\nX-Forwarded_For: 1.1.1.1\r\nX-Note: kept\r\n"
	if status := w.rawly(t, post(asJSON+lines, hello)); status != 200 {
		t.Fatal(status)
	}
	h := w.behind.headers[0]
	for name := range h {
		if strings.ContainsAny(name, "_.") {
			t.Errorf("%s passes", name)
		}
	}
	if h.Get("X-Note") != "kept" || !slices.Equal(h["X-Apex-Principal"], []string{"https://id.example#alice"}) {
		t.Errorf("%v", h)
	}
}

// order keeps the headers that the rules are given.
type order struct{ listens }

func (o *order) Check(r *waf.Request) waf.Result {
	o.fields = slices.Clone(r.Headers)
	return waf.Result{}
}

func TestSeveralLinesOfOneHeaderAreOneToTheRules(t *testing.T) {
	o := new(order)
	w := newWorld(t, func(r *Route) { r.Firewall = o })
	if status := w.rawly(t, post(asJSON+"Accept: text/html\r\nX-A: b\r\nAccept: <script>\r\n", hello)); status != 200 {
		t.Fatal(status)
	}
	if !slices.Contains(o.fields, waf.Field{Name: "Accept", Value: "text/html, <script>"}) || !slices.Contains(o.fields, waf.Field{Name: "X-A", Value: "b"}) {
		t.Errorf("%q", o.fields)
	}
}
