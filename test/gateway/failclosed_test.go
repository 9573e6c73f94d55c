package gateway

import (
	"bytes"
	"compress/gzip"
	"crypto/tls"
	"encoding/base64"
	"fmt"
	"image"
	"image/png"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"runtime"
	"strconv"
	"strings"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/apexlogic/apex/internal/app"
	"github.com/apexlogic/apex/internal/config"
	"github.com/apexlogic/apex/internal/identity/identitytest"
	"github.com/apexlogic/apex/internal/identity/own"
	"github.com/apexlogic/apex/verdict"
)

// failsClosed is each thing that a gateway can lose or meet, what becomes of the
// request then, and the test that injects it. Every test has the same request
// without the fault, which passes.
var failsClosed = []struct{ fault, becomes, test string }{
	{"the keys of an issuer cannot be fetched, and those that are known are too old", "401 request.identity.unavailable", "TestKeysThatAreTooOldOpenNothing"},
	{"a caller's certificate has expired", "401 request.identity.expired", "TestAnExpiredCallerIsRefused"},
	{"the gateway's certificate has expired and no other is there", "no handshake", "TestAGatewayWithoutALivingIdentityShowsNone"},
	{"the certificate of a server behind has expired", "502 request.upstream.identity, nothing sent", "TestAServerWithoutALivingIdentityGetsNothing"},
	{"a server behind is revoked", "502 request.upstream.identity, and what it answers is cut", "TestARevokedServerIsCutByNameWhileItAnswers"},
	{"the gateway is told to end", "what runs ends by itself or is told so", "TestAGatewayThatEndsLetsWhatRunsEndAndTellsTheRest"},
	{"the gateway is killed", "what was answered is recorded", "TestWhatWasAnsweredIsRecordedAlsoWhenTheGatewayIsKilled"},
	{"a policy does not compile", "the last good generation stays, not ready", "TestAPolicyThatDoesNotCompileChangesNothing"},
	{"a forbid cannot be evaluated", "403 request.access.failed", "TestAForbidThatFailsDenies"},
	{"the firewall panics", "403 request.gateway.failed", "TestAFirewallThatPanicsDenies"},
	{"the firewall runs out of its budget", "403 request.waf.failed", "internal/gateway/waf.TestRulesThatLookAtTooMuchEndTheRequest"},
	{"what the firewall is to look at is too much", "403 request.waf.limit", "TestLimitsRefuseAndNeverCutShort"},
	{"the limit of the body, of depth, of values is reached", "413 request.body.limit", "TestLimitsRefuseAndNeverCutShort"},
	{"the bytes of a part are of no known kind, or of another than declared", "415 request.media.kind, request.media.mismatch", "TestContentThatIsNotWhatItSaysIsRefused"},
	{"a body unfolds into too much", "413 request.body.limit", "TestABodyThatUnfoldsTooFarIsRefused"},
	{"an answer's events cannot be looked at", "the stream is cut with an error event", "TestAStreamThatCannotBeLookedAtIsCutWithAnEvent"},
	{"a server breaks its events off", "the last event says request.upstream.down", "TestEventsThatTheServerBreaksOffEndWithAnEventThatSaysSo"},
	{"the disk below the ledger is full", "503 request.gateway.record, not ready", "TestAFullDiskClosesTheDoor"},
	{"the disk below the ledger lags behind", "the request waits for its record", "TestADiskThatLagsMakesRequestsWait"},
	{"a server fails again and again", "503 request.upstream.open with Retry-After", "TestAServerThatFailsIsLeftAlone"},
	{"the store of shared limits is lost", "each gateway gives out its share only", "internal/app.TestTwoGatewaysShareOneLimitAndFallBackToTheirShare"},
	{"what is known of who asks is too old", "403 request.access.stale", "internal/access.TestDenialsHaveTheirAllowingTwins"},
}

func TestKeysThatAreTooOldOpenNothing(t *testing.T) {
	h := build(t)
	issuer := identitytest.NewIssuer(t).Serve()
	h.put("route.yaml", strings.Replace(fmt.Sprintf(routeText, h.server.URL), "  allow:\n", "    - oidc: {issuer: \""+issuer.URL+"\", audience: captioner}\n  allow:\n    - {identities: [\""+issuer.URL+"#ada\"], actions: [infer]}\n", 1))
	h.start(app.GatewayOptions{TrustDomain: "vision.example", PrivateIssuers: []string{issuer.URL}, IssuerAuthorities: certificateOf(t, issuer.URL)})
	ask := func(who string) answer {
		now := h.clock.Now().Unix()
		token := issuer.Token("ES256", identitytest.Object{"alg": "ES256", "kid": "p256"}.String(),
			identitytest.Object{"iss": issuer.URL, "sub": who, "aud": "captioner", "iat": now, "exp": now + 300}.String())
		return h.ask(h.nobody, http.MethodPost, chat, saying("hello"), func(r *http.Request) { r.Header.Set("Authorization", "Bearer "+token) })
	}
	must(t, "with fresh keys", ask("ada"), 200, "")
	issuer.Behave(func(w http.ResponseWriter, _ *http.Request) { http.Error(w, "down", http.StatusServiceUnavailable) })
	h.jump(59 * time.Minute)
	must(t, "with keys of an hour ago", ask("ada"), 200, "")
	h.jump(2 * time.Minute)
	must(t, "with keys that are older", ask("ada"), 401, verdict.IdentityUnavailable)
	issuer.Behave(nil)
	h.jump(time.Minute)
	must(t, "with keys again", ask("ada"), 200, "")
	h.records().holds(t, h.server.seen())
}

func TestAnExpiredCallerIsRefused(t *testing.T) {
	h := open(t)
	old, err := h.intake.Certificate()
	if err != nil {
		t.Fatal(err)
	}
	stale := h.client(nil)
	stale.Transport.(*http.Transport).TLSClientConfig.GetClientCertificate = func(*tls.CertificateRequestInfo) (*tls.Certificate, error) { return old, nil }
	ask := func(c *http.Client) answer { return h.ask(c, http.MethodPost, chat, saying("hello"), nil) }
	must(t, "while it lives", ask(stale), 200, "")
	h.jump(11 * time.Minute)
	must(t, "on the same connection afterwards", ask(stale), 401, verdict.IdentityExpired)
	stale.CloseIdleConnections()
	must(t, "on a new connection", ask(stale), 401, verdict.IdentityExpired)
	h.as.CloseIdleConnections()
	must(t, "renewed", ask(h.as), 200, "")
}

// The clock is set further ahead than authorities live, at once: the certificate is
// over, and there is nobody left to issue another.
func TestAGatewayWithoutALivingIdentityShowsNone(t *testing.T) {
	h := open(t)
	const longer = 49 * time.Hour
	ask := func() answer {
		h.nobody.CloseIdleConnections()
		return h.ask(h.nobody, http.MethodPost, chat, saying("hello"), nil)
	}
	must(t, "while it lives", h.say("hello"), 200, "")
	must(t, "while it lives, a stranger", ask(), 401, verdict.RequestIdentity)
	h.jump(longer)
	if a := ask(); a.err == nil || !strings.Contains(a.err.Error(), "tls: internal error") {
		t.Errorf("a gateway whose identity is over is met: %s", a)
	}
	h.jump(-longer)
	must(t, "when its time has come again, a stranger", ask(), 401, verdict.RequestIdentity)
	must(t, "when its time has come again", h.say("hello"), 200, "")
}

func TestAServerWithoutALivingIdentityGetsNothing(t *testing.T) {
	h := build(t)
	behind := h.workload("servers.example", "/captioner")
	var stale atomic.Pointer[tls.Certificate]
	var got atomic.Int64
	l, err := tls.Listen("tcp", "127.0.0.1:0", &tls.Config{MinVersion: tls.VersionTLS13, ClientAuth: tls.RequireAnyClientCert,
		GetCertificate: func(*tls.ClientHelloInfo) (*tls.Certificate, error) {
			if c := stale.Load(); c != nil {
				return c, nil
			}
			return behind.Certificate()
		}})
	if err != nil {
		t.Fatal(err)
	}
	s := &http.Server{ErrorLog: discard(), Handler: http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		got.Add(1)
		if uris := r.TLS.PeerCertificates[0].URIs; len(uris) != 1 || uris[0].String() != "spiffe://vision.example/apex/gateway" {
			t.Errorf("the gateway is %v", uris)
		}
		w.Header().Set("Connection", "close") // a handshake for each request
		h.server.ServeHTTP(w, r)
	})}
	go s.Serve(l)
	t.Cleanup(func() { s.Close() })
	h.put("route.yaml", strings.Replace(fmt.Sprintf(routeText, "https://"+l.Addr().String()), "tls: Plaintext", `spiffeIDs: ["spiffe://servers.example/captioner"]`, 1))
	h.start(app.GatewayOptions{TrustDomain: "vision.example"})
	must(t, "while it lives", h.say("hello"), 200, "")
	old, err := behind.Certificate()
	if err != nil {
		t.Fatal(err)
	}
	stale.Store(old)
	h.jump(11 * time.Minute)
	before := got.Load()
	h.as.CloseIdleConnections() // the caller's own is renewed
	must(t, "when it has expired", h.say("hello"), 502, verdict.UpstreamIdentity)
	if got.Load() != before {
		t.Error("the request was sent to a server whose identity has expired")
	}
	other, err := own.Open(filepath.Join(t.TempDir(), "other"), "servers.example", "/captioner", h.clock)
	if err != nil {
		t.Fatal(err)
	}
	defer other.Close()
	forged, err := other.Certificate()
	if err != nil {
		t.Fatal(err)
	}
	stale.Store(forged)
	must(t, "when another authority says who it is", h.say("hello"), 502, verdict.UpstreamIdentity)
	stale.Store(nil)
	must(t, "renewed", h.say("hello"), 200, "")
	h.records().holds(t, h.server.seen())
}

const forbidding = `apiVersion: security.apexlogic.com/v1alpha1
kind: AccessPolicy
metadata: {name: rules}
spec:
  cedar: |
    %s
`

func TestAPolicyThatDoesNotCompileChangesNothing(t *testing.T) {
	h := open(t)
	must(t, "before", h.say("hello"), 200, "")
	good := fmt.Sprintf(forbidding, `@id("short") forbid (principal, action, resource) when { context has bytes && context.bytes > 5000 };`)
	h.change("rules.yaml", good)
	must(t, "a long one", h.say(strings.Repeat("hello ", 2000)), 403, verdict.AccessForbidden)
	generation := h.now
	for what, broken := range map[string]string{
		"no Cedar":                  strings.Replace(good, "forbid (", "forbid ((", 1),
		"an attribute nobody has":   strings.Replace(good, "context.bytes > 5000", "context.size > 5000", 1),
		"a comparison of two kinds": strings.Replace(good, "context.bytes > 5000", `context.bytes > "5000"`, 1),
	} {
		h.put("rules.yaml", broken)
		now := h.wait(func(now config.Health) bool { return len(now.Problems) > 0 })
		if now.Generation != generation || h.probe() != http.StatusServiceUnavailable {
			t.Errorf("%s: %.30s is in force, ready %d", what, now.Generation, h.probe())
		}
		must(t, what+", and a short one", h.say("hello"), 200, "")
		must(t, what+", and a long one", h.say(strings.Repeat("hello ", 2000)), 403, verdict.AccessForbidden)
		h.put("rules.yaml", good)
		if now = h.wait(config.Health.OK); now.Generation != generation || h.probe() != http.StatusOK {
			t.Errorf("mended: %+v, ready %d", now, h.probe())
		}
	}
	for id, d := range h.records().decisions {
		if d.Generation == "" || d.Generation != generation && d.Code != "" {
			t.Errorf("%s: %+v", id, d)
		}
	}
}

func TestAForbidThatFailsDenies(t *testing.T) {
	h := build(t)
	h.put("rules.yaml", fmt.Sprintf(forbidding, `@id("sum") forbid (principal, action, resource) when { context has maxTokens && context.maxTokens * 9000000000000000000 > 9000000000000000000 };`))
	h.start(app.GatewayOptions{TrustDomain: "vision.example"})
	with := func(tokens string) answer {
		return h.ask(h.as, http.MethodPost, chat, strings.Replace(saying("hello"), `{"model"`, `{"max_tokens":`+tokens+`,"model"`, 1), nil)
	}
	must(t, "a product that fits", with("1"), 200, "")
	must(t, "one that does not", with("2"), 403, verdict.AccessFailed)
	h.records().holds(t, h.server.seen())
}

// panicClock panics when the firewall asks it, which it does to know which of
// its exclusions hold.
type panicClock struct {
	*jumpClock
	armed atomic.Bool
}

func (c *panicClock) Now() time.Time {
	if c.armed.Load() {
		var callers [8]uintptr
		frames := runtime.CallersFrames(callers[:runtime.Callers(2, callers[:])])
		for more := true; more; {
			var f runtime.Frame
			if f, more = frames.Next(); strings.Contains(f.Function, "internal/gateway/waf.(*WAF).Check") {
				panic("injected")
			}
		}
	}
	return c.jumpClock.Now()
}

func TestAFirewallThatPanicsDenies(t *testing.T) {
	h := build(t)
	h.put("route.yaml", fmt.Sprintf(routeText, h.server.URL)+"  waf: {exclusions: [{rule: 942100, where: \"ARGS:q\", until: 2999-01-01T00:00:00Z, reason: a test}]}\n")
	clock := &panicClock{jumpClock: h.clock}
	h.startWith(app.GatewayOptions{TrustDomain: "vision.example", Clock: clock})
	must(t, "before", h.say("hello"), 200, "")
	clock.armed.Store(true)
	a := h.say("hello")
	must(t, "when it panics", a, 403, verdict.GatewayFailed)
	clock.armed.Store(false)
	must(t, "afterwards", h.say("hello"), 200, "")
	k := h.records()
	k.holds(t, h.server.seen())
	if d := k.decisions[a.id]; d.Stage != "firewall" || d.Allowed {
		t.Errorf("%+v", d)
	}
	if strings.Contains(h.log.String(), "injected") {
		t.Error("the panic's value is in the log, and could hold content")
	}
}

// Each limit has its twin: what just fits, with an attack behind it, is seen.
func TestLimitsRefuseAndNeverCutShort(t *testing.T) {
	h := open(t)
	const attack = "1' UNION SELECT password FROM users--"
	nested := func(n int, within string) string {
		return `{"model":"captioner","messages":[{"role":"user","content":"hello"}],"metadata":` + strings.Repeat("[", n) + within + strings.Repeat("]", n) + `}`
	}
	values := func(n int, last string) string {
		return `{"model":"captioner","messages":[{"role":"user","content":"hello"}],"metadata":[` + strings.Repeat("1,", n-1) + last + `]}`
	}
	fields := func(n int, last string) string {
		all := make([]string, n)
		for i := range all {
			all[i] = `"value ` + strconv.Itoa(i) + `"` // a plain name alone steers nothing, and is not looked at
		}
		all[n-1] = last
		return `{"model":"captioner","messages":[{"role":"user","content":"hello"}],"metadata":[` + strings.Join(all, ",") + `]}`
	}
	for _, tc := range []struct {
		name   string
		body   string
		status int
		code   verdict.Code
	}{
		{"a body of nearly all bytes", saying(strings.Repeat("x", 199_000)), 200, ""},
		{"a byte too many", saying(strings.Repeat("x", 200_000)), 413, verdict.BodyLimit},
		{"an attack behind what would be inspected", fields(2, `"`+attack+`"`) + strings.Repeat(" ", 200_000), 413, verdict.BodyLimit},
		{"as deep as it may be", nested(50, "1"), 200, ""},
		{"as deep, with an attack within", nested(50, `"`+attack+`"`), 403, verdict.WAFBlocked},
		{"too deep", nested(70, "1"), 413, verdict.BodyLimit},
		{"too deep by far", nested(90_000, "1"), 413, verdict.BodyLimit},
		{"as many values as there may be", values(90_000, "1"), 200, ""},
		{"as many, the last an attack", values(90_000, `"`+attack+`"`), 403, verdict.WAFBlocked},
		{"as many fields as the firewall looks at", fields(800, `"v"`), 200, ""},
		{"as many, the last an attack", fields(800, `"`+attack+`"`), 403, verdict.WAFBlocked},
		{"more fields than it looks at", fields(2000, `"v"`), 403, verdict.WAFLimit},
	} {
		t.Run(tc.name, func(t *testing.T) {
			before := h.server.count()
			must(t, tc.name, h.ask(h.as, http.MethodPost, chat, tc.body, nil), tc.status, tc.code)
			if n := h.server.count() - before; n != 0 && tc.status != 200 {
				t.Errorf("the server got %d requests", n)
			}
			// Without a length said before, the same.
			must(t, "chunked", h.ask(h.as, http.MethodPost, chat, tc.body, func(r *http.Request) {
				r.Body, r.ContentLength, r.GetBody = io.NopCloser(strings.NewReader(tc.body)), -1, nil
			}), tc.status, tc.code)
		})
	}
	h.records().holds(t, h.server.seen())
}

func drawing(t testing.TB) []byte {
	t.Helper()
	var b bytes.Buffer
	if err := png.Encode(&b, image.NewRGBA(image.Rect(0, 0, 32, 32))); err != nil {
		t.Fatal(err)
	}
	return b.Bytes()
}

// showing is a chat with a picture.
func showing(kind string, data []byte) string {
	return `{"model":"captioner","messages":[{"role":"user","content":[{"type":"text","text":"What is it?"},{"type":"image_url","image_url":{"url":"data:` + kind + `;base64,` + base64.StdEncoding.EncodeToString(data) + `"}}]}]}`
}

func TestContentThatIsNotWhatItSaysIsRefused(t *testing.T) {
	h := open(t)
	picture := drawing(t)
	for _, tc := range []struct {
		name   string
		kind   string
		data   []byte
		status int
		code   verdict.Code
	}{
		{"a picture", "image/png", picture, 200, ""},
		{"bytes that nobody knows", "image/png", []byte("\x01\x02\x03\x04nothing that anybody knows of"), 415, verdict.MediaMismatch},
		{"a picture of another type", "image/jpeg", picture, 415, verdict.MediaMismatch},
		{"bytes that nobody knows, of no type", "application/octet-stream", []byte("\x01\x02\x03\x04nothing that anybody knows of"), 415, verdict.MediaKind},
	} {
		t.Run(tc.name, func(t *testing.T) {
			must(t, tc.name, h.ask(h.as, http.MethodPost, chat, showing(tc.kind, tc.data), nil), tc.status, tc.code)
		})
	}
	h.records().holds(t, h.server.seen())
}

func zipped(t testing.TB, text string) string {
	t.Helper()
	var b bytes.Buffer
	w := gzip.NewWriter(&b)
	io.WriteString(w, text)
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	return b.String()
}

func TestABodyThatUnfoldsTooFarIsRefused(t *testing.T) {
	h := open(t)
	send := func(encoding, body string) answer {
		return h.ask(h.as, http.MethodPost, chat, body, func(r *http.Request) { r.Header.Set("Content-Encoding", encoding) })
	}
	varied := strings.Builder{}
	for i := range 2000 {
		varied.WriteString(strconv.Itoa(i * i * 7919))
	}
	must(t, "a body that is folded", send("gzip", zipped(t, saying(varied.String()))), 200, "")
	must(t, "one that unfolds more than twentyfold", send("gzip", zipped(t, saying(strings.Repeat("a", 150_000)))), 413, verdict.BodyLimit)
	must(t, "one that unfolds beyond the route's bound", send("gzip", zipped(t, saying(strings.Repeat(varied.String(), 20)))), 413, verdict.BodyLimit)
	must(t, "one folded twice", send("gzip, gzip", zipped(t, zipped(t, saying("hello")))), 415, verdict.BodyEncoding)
	must(t, "one that is not folded", send("gzip", saying("hello")), 415, verdict.BodyEncoding)
	h.records().holds(t, h.server.seen())
}

func TestAStreamThatCannotBeLookedAtIsCutWithAnEvent(t *testing.T) {
	h := open(t)
	event := func(text string) string {
		return `data: {"id":"c","object":"chat.completion.chunk","model":"captioner","choices":[{"index":0,"delta":{"content":"` + text + `"}}]}` + "\n\n"
	}
	send := func(events ...string) answer {
		h.server.behave(func(w http.ResponseWriter, r *http.Request) {
			io.Copy(io.Discard, r.Body)
			w.Header().Set("Content-Type", "text/event-stream")
			for _, e := range events {
				io.WriteString(w, e)
				w.(http.Flusher).Flush()
			}
		})
		return h.ask(h.as, http.MethodPost, chat, strings.Replace(saying("hello"), `{"model"`, `{"stream":true,"model"`, 1), nil)
	}
	whole := send(event("a"), event("dent"), "data: [DONE]\n\n")
	must(t, "events", whole, 200, "")
	if whole.text != event("a")+event("dent")+"data: [DONE]\n\n" {
		t.Errorf("they did not pass as they came: %s", whole.text)
	}
	for what, broken := range map[string]string{
		"a name that is there twice": `data: {"choices":[{"delta":{"content":"x","content":"hidden"}}]}` + "\n\n",
		"no JSON":                    "data: {\"choices\":[\n\n",
		"no UTF-8":                   "data: {\"choices\":[{\"delta\":{\"content\":\"\xff\xfe\"}}]}\n\n",
		"an event without an end":    "data: " + strings.Repeat("x", 2<<20),
	} {
		a := send(event("a"), broken, event("hidden"), "data: [DONE]\n\n")
		if a.status != 200 || !strings.HasPrefix(a.text, event("a")) || strings.Contains(a.text, "hidden") || !strings.Contains(a.text, `"code":"request.stream`) {
			t.Errorf("%s: %s", what, a)
		}
	}
	k := h.records()
	k.holds(t, h.server.seen())
	cut := 0
	for _, o := range k.outcomes {
		if o.Code != "" && o.Stream != nil && string(o.Stream.Cut) == o.Code {
			cut++
		}
	}
	if cut != 4 {
		t.Errorf("%d records say that a stream was cut, want 4", cut)
	}
}

// smallDisk returns a folder on a file system of its own with so many bytes.
func smallDisk(t testing.TB, bytes int) string {
	t.Helper()
	dir := t.TempDir()
	if err := syscall.Mount("tmpfs", dir, "tmpfs", 0, "size="+strconv.Itoa(bytes)); err != nil {
		t.Skipf("a small disk cannot be mounted here: %v", err)
	}
	t.Cleanup(func() { syscall.Unmount(dir, syscall.MNT_DETACH) })
	return dir
}

func TestAFullDiskClosesTheDoor(t *testing.T) {
	h := build(t)
	h.state = smallDisk(t, 4<<20)
	h.start(app.GatewayOptions{TrustDomain: "vision.example"})
	must(t, "while there is room", h.say("hello"), 200, "")
	filler, err := os.Create(filepath.Join(h.state, "filler"))
	if err != nil {
		t.Fatal(err)
	}
	defer filler.Close()
	for block := make([]byte, 4096); ; {
		if _, err := filler.Write(block); err != nil {
			break
		}
	}
	// What is left of the last page is used up first.
	var full answer
	for i := 0; i < 200 && full.status != 503; i++ {
		full = h.say("hello")
		if full.status != 503 && full.status != 200 {
			break
		}
	}
	must(t, "when it is full", full, 503, verdict.GatewayRecord)
	before := h.server.count()
	for range 20 {
		must(t, "while it is full", h.say("hello"), 503, verdict.GatewayRecord)
		must(t, "a denial", h.ask(h.nobody, http.MethodPost, chat, saying("hello"), nil), 503, verdict.GatewayRecord)
	}
	if h.server.count() != before {
		t.Error("a request passed whose record could not be kept")
	}
	if h.probe() != http.StatusServiceUnavailable {
		t.Error("it is ready with a full disk")
	}
	h.end()
	seen := h.server.seen()
	if err := os.Remove(filler.Name()); err != nil {
		t.Fatal(err)
	}
	filler.Close()
	h.again()
	must(t, "when there is room and it was started again", h.say("hello"), 200, "")
	k := h.records()
	for id := range seen {
		if d, there := k.decisions[id]; !there || !d.Allowed {
			t.Errorf("the server saw %s, which is not recorded", id)
		}
	}
}

// By a clock that is set forward, what was written a moment ago waits for its fsync
// since long ago, as on a disk that does not keep up.
func TestADiskThatLagsMakesRequestsWait(t *testing.T) {
	h := open(t)
	for range 50 {
		must(t, "before", h.say("hello"), 200, "")
		h.jump(time.Second)
		must(t, "while records wait", h.say("hello"), 200, "")
	}
	h.records().holds(t, h.server.seen())
}

func TestAServerThatFailsIsLeftAlone(t *testing.T) {
	h := open(t)
	h.clock.stand() // the time for which the server is left alone does not go by between two requests
	must(t, "while it works", h.say("hello"), 200, "")
	h.server.behave(func(w http.ResponseWriter, r *http.Request) {
		if c, _, err := http.NewResponseController(w).Hijack(); err == nil {
			c.Close()
		}
	})
	for range 5 {
		must(t, "a server that hangs up", h.say("hello"), 502, verdict.UpstreamDown)
	}
	before := h.server.count()
	a := h.say("hello")
	must(t, "after five failures", a, 503, verdict.UpstreamOpen)
	if wait, err := strconv.Atoi(a.header.Get("Retry-After")); err != nil || wait < 1 || wait > 5 {
		t.Errorf("Retry-After %q", a.header.Get("Retry-After"))
	}
	if h.server.count() != before {
		t.Error("the server was asked")
	}
	h.server.behave(nil)
	h.jump(6 * time.Second)
	must(t, "when it is asked again and works", h.say("hello"), 200, "")
	must(t, "and the next one", h.say("hello"), 200, "")
	k := h.records()
	k.holds(t, h.server.seen())
	if d := k.decisions[a.id]; d.Allowed || d.Stage != "upstream" {
		t.Errorf("%+v", d)
	}
}
