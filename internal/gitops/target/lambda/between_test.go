package lambda_test

import (
	"bytes"
	"io"
	"log"
	"net/http"
	"net/http/httptest"
	"net/http/httputil"
	"net/url"
	"strings"
	"sync"
	"testing"

	"github.com/apexlogic/apex/internal/gitops/heal"
)

const doing = "X-Test-Operation"

// between is an account as the healer reaches it: after each of its writes, and
// before it can look at what they made, somebody else has their turn.
func between(t *testing.T, account string, turn func()) string {
	t.Helper()
	to, err := url.Parse(account)
	if err != nil {
		t.Fatal(err)
	}
	proxy := &httputil.ReverseProxy{
		ErrorLog: log.New(io.Discard, "", 0), // requests that ended with the test
		Rewrite: func(r *httputil.ProxyRequest) {
			r.SetURL(to)
			body, err := io.ReadAll(r.In.Body)
			if err != nil {
				return
			}
			r.Out.Body = io.NopCloser(bytes.NewReader(body))
			r.Out.Header.Set(doing, r.Out.Method)
			if r.In.URL.Path == "/" { // IAM's: a form, whatever it asks for
				form, err := url.ParseQuery(string(body))
				if err != nil {
					return
				}
				r.Out.Header.Set(doing, form.Get("Action"))
			}
		},
		ModifyResponse: func(r *http.Response) error {
			switch op := strings.ToLower(r.Request.Header.Get(doing)); {
			case strings.HasPrefix(op, "get"), strings.HasPrefix(op, "list"), strings.HasPrefix(op, "head"):
			default:
				turn()
			}
			return nil
		},
	}
	s := httptest.NewServer(proxy)
	t.Cleanup(s.Close)
	return s.URL
}

// What is tampered with again between a write and the look at what it made is not
// taken for AWS's own doing: neither then nor when it comes again.
func TestWhatIsTamperedWithWhileItIsHealedIsNotLearned(t *testing.T) {
	for _, c := range tampers {
		if c.name == "the function deleted" {
			continue
		}
		t.Run(c.name, func(t *testing.T) {
			w, _ := fake(t, nil)
			all := victims(t, w)
			for _, name := range []string{onRole, onFunction, onImage, onPublic} {
				put(t, w.target, all[name])
			}
			before := get(t, w.target, all[c.on]).ResourceVersion
			var mu sync.Mutex
			left, taken := 8, 0
			address := between(t, w.url, func() {
				mu.Lock()
				defer mu.Unlock()
				if left > 0 {
					left--
					_ = c.do(t.Context(), w) // some can be done only once until they are healed
					taken++
				}
			})
			healing(t, open(t, address, nil), all, func(heal.Report) {})
			asBefore := func() bool { return get(t, w.target, all[c.on]).ResourceVersion == before }
			strike(t, w, c)
			healed(t, "between the writes", func() bool {
				mu.Lock()
				defer mu.Unlock()
				return taken > 0 && asBefore()
			})
			mu.Lock()
			left = 0
			mu.Unlock()
			healed(t, "at rest", asBefore)
			strike(t, w, c)
			healed(t, "once more", asBefore)
		})
	}
}
