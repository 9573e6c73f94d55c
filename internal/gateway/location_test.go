package gateway

import (
	"net/http"
	"strings"
	"testing"

	"github.com/apexlogic/apex/internal/media/body"
)

func TestAnAnswerLeadsNobodyAroundTheGateway(t *testing.T) {
	messages, err := body.Generic(nil, nil)
	if err != nil {
		t.Fatal(err)
	}
	w := newWorld(t, func(r *Route) { r.API, r.Messages = JSON, messages })
	own := w.route.Upstream.URL.Host
	for _, tc := range []struct {
		name, location string
		status         int
		want           string // "" where it is refused
	}{
		{"a path", "/v1/chat/completions/", 307, "/v1/chat/completions/"},
		{"a path beside it", "next?page=2#end", 302, "next?page=2#end"},
		{"the server's own address", "http://" + own + "/a%2Fb?c=d", 307, "/a%2Fb?c=d"},
		{"the server's own address without a scheme", "//" + own + "/a", 308, "/a"},
		{"the server's own address without a path", "http://" + own, 301, "/"},
		{"the gateway's address", "http://captioner.example/a", 303, "/a"},
		{"another server", "https://elsewhere.example/v1/chat/completions", 307, ""},
		{"another server without a scheme", "//elsewhere.example/", 302, ""},
		{"another server behind three slashes", "///elsewhere.example/", 302, ""},
		{"another server behind backslashes", `/\elsewhere.example/`, 302, ""},
		{"another port of the server", "http://127.0.0.1:1/", 307, ""},
		{"a path of the server that begins with a host", "http://" + own + "//elsewhere.example/", 302, ""},
		{"a user before the server", "http://a@" + own + "/", 302, ""},
		{"another scheme", "file://" + own + "/", 302, ""},
		{"a scheme alone", "http:elsewhere.example", 302, ""},
		{"what was made elsewhere", "https://elsewhere.example/file", 201, "https://elsewhere.example/file"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			w.behind.answer(func(rw http.ResponseWriter, _ *http.Request) {
				rw.Header().Set("Location", tc.location)
				rw.Header().Set("Alt-Svc", `h2="elsewhere.example:443"`)
				rw.Header().Set("Refresh", "0; url=https://elsewhere.example/")
				rw.WriteHeader(tc.status)
			})
			r, err := http.NewRequestWithContext(t.Context(), "POST", w.front.URL+"/a", strings.NewReader("{}"))
			if err != nil {
				t.Fatal(err)
			}
			r.Host = "captioner.example"
			r.Header.Set("Authorization", "Bearer alice")
			r.Header.Set("Content-Type", "application/json")
			resp, err := w.front.Client().Transport.RoundTrip(r) // which follows nothing
			if err != nil {
				t.Fatal(err)
			}
			resp.Body.Close()
			status := tc.status
			if tc.want == "" {
				status = http.StatusBadGateway
			}
			if h := resp.Header; resp.StatusCode != status || h.Get("Location") != tc.want || h.Get("Alt-Svc") != "" || h.Get("Refresh") != "" {
				t.Errorf("%d %v", resp.StatusCode, h)
			}
		})
	}
}
