package app

import (
	"encoding/json"
	"fmt"
	"net/http"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/apexlogic/apex/api/v1alpha1"
	"github.com/apexlogic/apex/internal/config"
	"github.com/apexlogic/apex/internal/gateway"
	"github.com/apexlogic/apex/internal/gateway/capture"
	"github.com/apexlogic/apex/internal/ledger"
	"github.com/apexlogic/apex/internal/seal"
	"github.com/apexlogic/apex/verdict"
)

// capturing returns the route with everything captured for the key.
func capturing(t testing.TB, route string, key *seal.PrivateKey, more string) string {
	t.Helper()
	var b strings.Builder
	b.WriteString(route + "  capture:\n    sample: 100%\n" + more + "    sealTo:\n      - |\n")
	for line := range strings.Lines(string(key.Public().PEM())) {
		b.WriteString("        " + line)
	}
	return b.String()
}

func sealKey(t testing.TB) *seal.PrivateKey {
	t.Helper()
	k, err := seal.GenerateKey()
	if err != nil {
		t.Fatal(err)
	}
	return k
}

// captures returns all captures of a gateway that has ended, by the first word of
// their requests' User-Agent, and what the ledger says of each.
func (s *served) captures(t *testing.T, key *seal.PrivateKey) (all map[string]*capture.Capture, records map[string]capture.Record) {
	t.Helper()
	if err := s.end(); err != nil {
		t.Fatal(err)
	}
	l, err := ledger.Open(t.Context(), filepath.Join(s.state, "ledger", roleGateway), ledger.Options{ReadOnly: true})
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	records = map[string]capture.Record{}
	for e, err := range l.Records(t.Context(), ledger.Cursor{}) {
		if err != nil {
			t.Fatal(err)
		}
		if e.Type == capture.RecordSchema {
			var r capture.Record
			if err := json.Unmarshal(e.Data, &r); err != nil {
				t.Fatal(err)
			}
			records[r.ID] = r
		}
	}
	list, err := capture.List(capturesDir(s.state))
	if err != nil {
		t.Fatal(err)
	}
	all = map[string]*capture.Capture{}
	for i := range list {
		c, digest, err := list[i].Open(key, time.Now())
		if err != nil {
			t.Fatal(err)
		}
		if records[c.ID].Digest != digest {
			t.Errorf("%s has the digest %s, and the ledger says %s", c.ID, digest, records[c.ID].Digest)
		}
		all[c.Request.Header.Get("User-Agent")] = c
	}
	return all, records
}

func calledAs(name string) func(*http.Request) {
	return func(r *http.Request) { r.Header.Set("User-Agent", name) }
}

func TestWhatIsJudgedIsCapturedForReplay(t *testing.T) {
	dir, bundles := t.TempDir(), t.TempDir()
	intake, key := caller(t, bundles, "/intake"), sealKey(t)
	put(t, dir, "route.yaml", capturing(t, fmt.Sprintf(routeOf, inference(t).URL), key, "    answers: true\n"))
	s := serveGateway(t, GatewayOptions{Config: dir, TrustDomain: "vision.example", Bundles: bundles})
	token, err := intake.Token("captioner")
	if err != nil {
		t.Fatal(err)
	}
	const host, chat = "captioner.example", "/v1/chat/completions"
	picture := imageChat(t)
	by := s.as(t, nil)
	bearer := func(name string) func(*http.Request) {
		return func(r *http.Request) {
			calledAs(name)(r)
			r.Header.Set("Authorization", "Bearer "+token)
			r.Header.Set("X-Api-Key", "never-kept")
		}
	}
	if status, _, text := s.ask(t, by, host, chat+"?api_key=never-kept&id=1", picture, bearer("allowed")); status != 200 {
		t.Fatal(status, text)
	}
	if _, code, _ := s.ask(t, by, host, chat, strings.Replace(picture, `"captioner"`, `"other"`, 1), bearer("denied")); code != verdict.RequestModel {
		t.Fatal(code)
	}
	if _, code, _ := s.ask(t, by, host, chat, picture, calledAs("stranger")); code != verdict.RequestIdentity {
		t.Fatal(code)
	}
	all, records := s.captures(t, key)
	if len(all) != 2 || len(records) != 2 {
		t.Fatalf("%d captures, %d records; those of the two requests that were there as a whole should be", len(all), len(records))
	}
	allowed := all["allowed"]
	var d gateway.Decision
	if err := json.Unmarshal(allowed.Decision, &d); err != nil {
		t.Fatal(err)
	}
	if string(allowed.Request.Body) != picture || allowed.Principal.ID != "spiffe://claims.example/intake" || !d.Allowed || d.ID != allowed.ID ||
		allowed.Request.Target != chat+"?api_key=withheld&id=1" || allowed.Answer == nil || allowed.Answer.Status != 200 || !strings.Contains(string(allowed.Answer.Body), `"content":`) {
		t.Errorf("what was allowed is captured as %+v", allowed)
	}
	denied := all["denied"]
	if err := json.Unmarshal(denied.Decision, &d); err != nil {
		t.Fatal(err)
	}
	if d.Allowed || d.Code != string(verdict.RequestModel) || !strings.Contains(string(denied.Request.Body), `"other"`) || denied.Answer != nil {
		t.Errorf("what was denied is captured as %+v", denied)
	}
	for _, c := range all {
		text, err := json.Marshal(c)
		if err != nil {
			t.Fatal(err)
		}
		for _, secret := range []string{token, "never-kept", "Bearer"} {
			if strings.Contains(string(text), secret) {
				t.Errorf("a credential is in the capture: %.8s…", secret)
			}
		}
	}
}

func TestOnlyWhatTheRouteAsksForIsCaptured(t *testing.T) {
	dir, bundles := t.TempDir(), t.TempDir()
	intake, key := caller(t, bundles, "/intake"), sealKey(t)
	route := fmt.Sprintf(routeOf, inference(t).URL)
	put(t, dir, "route.yaml", route)
	s := serveGateway(t, GatewayOptions{Config: dir, TrustDomain: "vision.example", Bundles: bundles})
	by := s.as(t, intake)
	ask := func(name string) {
		t.Helper()
		if status, _, text := s.ask(t, by, "captioner.example", "/v1/chat/completions", imageChat(t), calledAs(name)); status != 200 {
			t.Fatal(status, text)
		}
		if _, code, text := s.ask(t, by, "captioner.example", "/v1/chat/completions", `{"model":"other","messages":[]}`, calledAs(name+" denied")); code != verdict.RequestModel {
			t.Fatal(code, text)
		}
	}
	use := func(text string) {
		t.Helper()
		put(t, dir, "route.yaml", text)
		s.now = s.wait(t, func(h config.Health) bool { return h.OK() && h.Generation != s.now }).Generation
	}
	ask("off")
	use(capturing(t, route, key, "    only: Denied\n"))
	ask("on")
	use(route)
	ask("off again")
	all, _ := s.captures(t, key)
	if len(all) != 1 || all["on denied"] == nil || all["on denied"].Answer != nil {
		t.Errorf("captured are %v", all)
	}
}

func TestACaptureThatCannotBeIsNotTaken(t *testing.T) {
	key := sealKey(t)
	private, err := key.PEM()
	if err != nil {
		t.Fatal(err)
	}
	public := string(key.Public().PEM())
	for name, tc := range map[string]struct {
		sample string
		keys   []string
		where  string
	}{
		"as it should be":     {"0.05%", []string{public}, ""},
		"no key":              {"1%", nil, "spec.capture.sealTo"},
		"the private key":     {"1%", []string{string(private)}, "spec.capture.sealTo[0]"},
		"a key twice":         {"1%", []string{public, public + "\n"}, "spec.capture.sealTo[1]"},
		"no percentage":       {"0.01", []string{public}, "spec.capture.sample"},
		"nothing":             {"0%", []string{public}, "spec.capture.sample"},
		"more than all":       {"101%", []string{public}, "spec.capture.sample"},
		"less than a million": {"0.00001%", []string{public}, "spec.capture.sample"},
	} {
		_, err := captureOf("captioner", &v1alpha1.RouteCapture{Sample: tc.sample, SealTo: tc.keys}, nil)
		if (err != nil) != (tc.where != "") || err != nil && !strings.HasPrefix(err.Error(), tc.where+": ") {
			t.Errorf("%s: %v", name, err)
		}
		if err != nil && strings.Contains(err.Error(), string(private[60:80])) {
			t.Errorf("%s: the error holds the key", name)
		}
	}
}
