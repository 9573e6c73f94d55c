package waf_test

import (
	"context"
	"fmt"
	"io"
	"log/slog"
	"net/http/httptest"
	"net/url"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/apexlogic/apex/internal/access"
	"github.com/apexlogic/apex/internal/clock"
	"github.com/apexlogic/apex/internal/gateway"
	"github.com/apexlogic/apex/internal/gateway/waf"
	"github.com/apexlogic/apex/internal/gateway/waf/crstest"
	"github.com/apexlogic/apex/internal/media"
	"github.com/apexlogic/apex/internal/media/body"
	"github.com/apexlogic/apex/verdict"
)

// decisions keeps what the gateway decided.
type decisions struct {
	mu  sync.Mutex
	all []gateway.Decision
	// answers are the outcomes of those that were passed on.
	answers []gateway.Outcome
}

func (d *decisions) Record(_ context.Context, one *gateway.Decision, _ bool) error {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.all = append(d.all, *one)
	return nil
}

func (d *decisions) Outcome(_ context.Context, one *gateway.Outcome) error {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.answers = append(d.answers, *one)
	return nil
}

func (d *decisions) take() ([]gateway.Decision, []gateway.Outcome) {
	d.mu.Lock()
	defer d.mu.Unlock()
	all, answers := d.all, d.answers
	d.all, d.answers = nil, nil
	return all, answers
}

// everybody may do everything.
type everybody struct{}

func (everybody) Decide(*access.Request) access.Decision {
	return access.Decision{Allow: true, Code: verdict.OK}
}

// throughGateway serves the whole gateway, with a firewall that blocks whatever
// any rule of any level matches, in front of the tests' own server. With the mode
// Observe it blocks answers only: what those tests have answered stands in their
// requests, which would be blocked for it.
func throughGateway(t *testing.T, requests waf.Mode) (address string, seen *decisions) {
	t.Helper()
	p := waf.Strict(clock.System{})
	p.Mode, p.Paranoia, p.BlockingThreshold, p.AnswerThreshold = requests, 4, 1, 1
	w, err := waf.NewForTests(p)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { w.Close() })
	return serve(t, w, nil)
}

// serve serves the gateway with a firewall on a route that change, if there is
// one, alters.
func serve(t *testing.T, w *waf.WAF, change func(*gateway.Route)) (address string, seen *decisions) {
	t.Helper()
	behind := httptest.NewServer(crstest.Backend())
	t.Cleanup(behind.Close)
	at, err := url.Parse(behind.URL)
	if err != nil {
		t.Fatal(err)
	}
	messages, err := body.Generic(nil, nil)
	if err != nil {
		t.Fatal(err)
	}
	seen = new(decisions)
	g := gateway.New(gateway.Options{
		Clock: clock.System{}, Recorder: seen, Log: slog.New(slog.DiscardHandler),
		Inspect: func(r io.Reader, where, declared string, _ *media.Limits) (media.Part, error) {
			n, err := io.Copy(io.Discard, r)
			return media.Part{Where: where, Declared: declared, Type: declared, Bytes: n}, err
		},
	})
	route := &gateway.Route{
		Name: "any", Hosts: []string{"localhost", "127.0.0.1", "*.com", "*.example"}, Path: "/", API: gateway.JSON, Messages: messages, Anonymous: true, Access: everybody{},
		Media: media.Defaults(), Firewall: w, AnswerFirewall: w, Upstream: gateway.Upstream{URL: at, Timeout: time.Minute, Stream: time.Minute},
	}
	for i := range route.Kinds {
		route.Kinds[i] = true
	}
	if change != nil {
		change(route)
	}
	s, err := gateway.NewSnapshot("test", []*gateway.Route{route}, nil)
	if err != nil {
		t.Fatal(err)
	}
	g.Use(s)
	front := httptest.NewServer(g)
	t.Cleanup(front.Close)
	return front.Listener.Addr().String(), seen
}

// differs are cases that the gateway answers otherwise than they ask for.
var differs = map[string]string{
	"920100-4":  "no API of a route has CONNECT: it is refused where the case wants it answered",
	"920410-1":  "the limit of a file's size is the route's, in bytes, before the rules",
	"920420-14": "a route takes text/plain, and other rules block what it says",
	"920420-19": "a route takes CloudEvents",
	"920540-3":  "the escape in the JSON is seen as the text that it is: nobody decodes it once more",
	"920620-1":  "two Content-Type headers are refused where the case wants httpd to make one of them",
	"920640-4":  "an empty Content-Type with a body is refused where the case wants it answered",
}

func TestTheRuleSetsOwnTestsPassThroughTheGateway(t *testing.T) {
	address, seen := throughGateway(t, waf.Block)
	answering, answered := throughGateway(t, waf.Observe)
	cases, err := crstest.Load()
	if err != nil {
		t.Fatal(err)
	}
	every := 1
	if testing.Short() || waf.Raced() {
		every = 10
	}
	count := map[string]int{}
	earlier := map[string][]string{}
	for i, c := range cases {
		if i%every != 0 {
			continue
		}
		address, seen := address, seen
		if aboutAnswers(c) {
			count["about answers"]++
			address, seen = answering, answered
		}
		how, err := through(t, address, seen, c)
		if why, ok := differs[c.ID]; ok {
			if err == nil {
				t.Errorf("%s passes; it is listed because %s", c.ID, why)
			}
			count["otherwise"]++
			continue
		}
		if err != nil {
			count["failed"]++
			t.Errorf("%s: %v", c.ID, strings.ReplaceAll(err.Error(), "\n", "; "))
			continue
		}
		count["passed"]++
		if how != "" && aboutAnswers(c) && c.ID != "955260-1" { // whose request says text/plain for JSON; answers_test.go has its page
			t.Errorf("%s was not answered: %s", c.ID, how)
		}
		if how != "" {
			earlier[how] = append(earlier[how], c.ID)
		}
	}
	for how, ids := range earlier {
		t.Logf("%d refused before the rules with %s: %s", len(ids), how, strings.Join(ids, " "))
	}
	t.Logf("%d passed, %d failed, %d are answered otherwise; %d of all are about answers", count["passed"], count["failed"], count["otherwise"], count["about answers"])
	if count["passed"] < 400 {
		t.Errorf("only %d cases passed", count["passed"])
	}
}

// aboutAnswers tells whether a case is about what the server behind answers.
func aboutAnswers(c crstest.Case) bool { return c.ID >= "950" && c.ID < "98" }

// through sends a case, and tells by what code an earlier step refused it.
func through(t *testing.T, address string, seen *decisions, c crstest.Case) (how string, err error) {
	t.Helper()
	for _, stage := range c.Stages {
		send := crstest.Send
		if aboutAnswers(c) {
			send = crstest.Ask
		}
		status, err := send(t.Context(), address, stage.Request)
		if err != nil {
			return "", err
		}
		what := crstest.Seen{Status: status}
		by := fmt.Sprintf("%d by the server", status)
		decided, answered := seen.take()
		for _, o := range answered {
			if o.WAF != nil {
				what.IDs = append(what.IDs, o.WAF.Rules...)
			}
			if o.Code == string(verdict.AnswerBlocked) {
				what.IDs = append(what.IDs, 959100) // the sum, which the engine judges itself
			}
		}
		for _, d := range decided {
			if d.WAF != nil && d.WAF.Score > 0 {
				what.IDs = append(what.IDs, 980170) // the report on a request that scored, which the record is
			}
			if d.WAF != nil {
				what.IDs = append(what.IDs, d.WAF.Rules...)
				by = ""
			}
			if d.Allowed {
				// The sender ends its side of the connection at once, at which the
				// gateway gives up what it passes on; what counts is the decision.
				what.Status = 200
			}
			if d.Code == string(verdict.WAFBlocked) {
				what.IDs = append(what.IDs, 949110) // the sum, which the engine judges itself
			}
			if d.WAF == nil {
				by = fmt.Sprintf("%s at %s", d.Code, d.Stage)
			}
		}
		var log strings.Builder
		for _, id := range what.IDs {
			fmt.Fprintf(&log, "id \"%d\"\n", id)
		}
		what.Log = log.String()
		if len(what.IDs) > 0 {
			stage.Want.Status = 0       // it was blocked, as this profile does
			if stage.Want.Match != "" { // records hold no content: the rule is what can be seen
				stage.Want.Match = fmt.Sprintf("id %q", c.ID[:6])
			}
		}
		if err := stage.Want.Check(what); err != nil {
			if stage.Want.Refused(what) || stage.Want.Match != "" && what.Status >= 400 && len(what.IDs) == 0 {
				return by, nil
			}
			if alias := aliased(stage.Request); alias != "" {
				return "taking out the header " + alias, nil
			}
			return "", fmt.Errorf("%w (rules %v, status %d, %s; wanted %v not %v)", err, slices.Compact(what.IDs), status, by, stage.Want.IDs, stage.Want.NotIDs)
		}
	}
	return "", nil
}

// aliased returns the header of a request whose name some servers take for
// another's; the gateway passes none of those on.
func aliased(request []byte) string {
	for _, name := range []string{"X_Filename", "X.Filename", "X_File_Name", "X.File.Name", "X_File-Name", "X-File_Name"} {
		if strings.Contains(string(request), "\n"+name+":") {
			return name
		}
	}
	return ""
}
