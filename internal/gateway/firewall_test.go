package gateway

import (
	"net/http"
	"slices"
	"testing"

	"github.com/apexlogic/apex/internal/gateway/waf"
	"github.com/apexlogic/apex/internal/media/body"
)

// listens keeps what the rules were given.
type listens struct{ fields, files []waf.Field }

func (l *listens) Check(r *waf.Request) waf.Result {
	l.fields, l.files = slices.Clone(r.Fields), slices.Clone(r.Files)
	return waf.Result{}
}

func (l *listens) Score([]byte) waf.TextScore { return waf.TextScore{Complete: true} }

func TestWhatSteersIsGivenToTheRulesAsItWasSent(t *testing.T) {
	messages, err := body.Generic([]string{"/prompt"}, nil)
	if err != nil {
		t.Fatal(err)
	}
	form := "--b\r\nContent-Disposition: form-data; name=\"photo\"; filename=\"shell.php\"\r\nContent-Type: image/png\r\n\r\nPNG\r\n" +
		"--b\r\nContent-Disposition: form-data; name=\"note\"\r\n\r\nword\r\n--b--\r\n"
	for _, tc := range []struct {
		name, kind, body string
		fields, files    []waf.Field
	}{
		{"a key is listed once, with its value", "application/json", `{"a b":"x y"}`, []waf.Field{{Name: "a b", Value: "x y"}}, nil},
		{"a key whose value says nothing is listed without one", "application/json", `{"a b":1}`, []waf.Field{{Name: "a b"}}, nil},
		{"a slash and a tilde in a key stay what they are", "application/json", `{"../etc/~x":"y z"}`, []waf.Field{{Name: "../etc/~x", Value: "y z"}}, nil},
		{"a value that is its own key is looked at", "application/json", `{"a b":"a b"}`, []waf.Field{{Name: "a b", Value: "a b"}}, nil},
		{"a single word is looked at", "application/json", `{"x":"__proto__"}`, []waf.Field{{Name: "x", Value: "__proto__"}}, nil},
		{"what people wrote is not among it", "application/json", `{"prompt":"select a from b"}`, nil, nil},
		{"a file's name is one of a file", "multipart/form-data; boundary=b", form,
			[]waf.Field{{Name: "note", Value: "word"}}, []waf.Field{{Name: "photo", Value: "shell.php"}}},
		{"a text that no table names steers", "text/plain", "cat /etc/passwd", []waf.Field{{Value: "cat /etc/passwd"}}, nil},
	} {
		t.Run(tc.name, func(t *testing.T) {
			l := new(listens)
			w := newWorld(t, func(r *Route) { r.API, r.Messages, r.Firewall, r.Models = JSON, messages, l, nil })
			status, code, answer := w.ask(t, "POST", "/anything", tc.body, func(r *http.Request) { r.Header.Set("Content-Type", tc.kind) })
			if status != http.StatusOK {
				t.Fatalf("%d %s: %s", status, code, answer)
			}
			if !slices.Equal(l.fields, tc.fields) || !slices.Equal(l.files, tc.files) {
				t.Errorf("fields %q, files %q", l.fields, l.files)
			}
		})
	}
}
