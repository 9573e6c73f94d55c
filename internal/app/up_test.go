package app

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"maps"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/apexlogic/apex/examples/captioner"
	"github.com/apexlogic/apex/internal/clock"
	"github.com/apexlogic/apex/verdict"
)

// running is an Up in this process.
type running struct {
	t        *testing.T
	state    string
	registry string
	api      string
	token    string
	verdicts chan Verdicts
	first    Verdicts
	logged   *lockedBuffer
	stop     func() error
}

// start runs Up on dir until the test, or stop, ends it.
func start(t *testing.T, dir string, c clock.Clock) *running {
	t.Helper()
	r := &running{t: t, state: filepath.Join(dir, folderState), verdicts: make(chan Verdicts, 8), logged: &lockedBuffer{}}
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan error, 1)
	go func() {
		done <- Up(ctx, UpOptions{
			Dir: dir, RegistryAddress: "127.0.0.1:0", APIAddress: "127.0.0.1:0", Clock: c,
			Logger:   slog.New(slog.NewTextHandler(r.logged, nil)),
			Verdicts: func(v Verdicts) { r.verdicts <- v },
		})
	}()
	r.stop = sync.OnceValue(func() error { cancel(); return <-done })
	t.Cleanup(func() { r.stop() })
	select {
	case r.first = <-r.verdicts:
	case err := <-done:
		done <- err
		t.Fatalf("up ended: %v\n%s", err, r.logged)
	}
	r.registry, r.api = r.first.Registry, r.first.API
	token, err := os.ReadFile(filepath.Join(r.state, "token"))
	if err != nil {
		t.Fatal(err)
	}
	r.token = string(token)
	return r
}

// ask sends a request to the API, with the token unless it is empty.
func (r *running) ask(method, path, token, body string) (int, string) {
	r.t.Helper()
	req, err := http.NewRequestWithContext(r.t.Context(), method, "http://"+r.api+path, strings.NewReader(body))
	if err != nil {
		r.t.Fatal(err)
	}
	if token != "" {
		req.Header.Set("Authorization", "Bearer "+token)
	}
	client := &http.Client{Transport: &http.Transport{DisableKeepAlives: true}}
	res, err := client.Do(req)
	if err != nil {
		r.t.Fatal(err)
	}
	defer res.Body.Close()
	data, err := io.ReadAll(res.Body)
	if err != nil {
		r.t.Fatal(err)
	}
	return res.StatusCode, string(data)
}

type lockedBuffer struct {
	mu sync.Mutex
	b  bytes.Buffer
}

func (b *lockedBuffer) Write(p []byte) (int, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.b.Write(p)
}

func (b *lockedBuffer) String() string { b.mu.Lock(); defer b.mu.Unlock(); return b.b.String() }

// decided maps each workload to what was decided about it.
func decided(r *verdict.Report) map[string]string {
	out := map[string]string{}
	for i := range r.Verdicts {
		v := &r.Verdicts[i]
		name := strings.TrimSuffix(filepath.Base(v.Where.File), ".yaml")
		out[name] = v.Decision.String() + " " + string(v.Code)
	}
	return out
}

// promised reads the table of the example's README: what stops each workload.
func promised(t *testing.T) map[string]string {
	t.Helper()
	readme, err := captioner.Files.ReadFile("README.md")
	if err != nil {
		t.Fatal(err)
	}
	out := map[string]string{}
	row := regexp.MustCompile("(?m)^\\| `(captioner[a-z-]*)` \\|[^|]*\\| *(?:`([a-z.]+)`)? *\\|$")
	for _, m := range row.FindAllStringSubmatch(string(readme), -1) {
		out[m[1]] = "allow ok"
		if m[2] != "" {
			out[m[1]] = "deny " + m[2]
		}
	}
	return out
}

func TestUpDecidesAsTheExamplesReadmeSays(t *testing.T) {
	want := promised(t)
	files, err := captioner.Files.ReadDir("workloads")
	if err != nil {
		t.Fatal(err)
	}
	if len(want) != len(files) || len(want) < 8 {
		t.Fatalf("the README speaks of %d workloads, there are %d", len(want), len(files))
	}
	r := start(t, filepath.Join(t.TempDir(), "ws"), nil)
	got := decided(&r.first.Report)
	for name := range want {
		if got[name] != want[name] {
			t.Errorf("%s: %s, the README says %s", name, got[name], want[name])
		}
	}
	if len(got) != len(want) {
		t.Errorf("verdicts about %d workloads, want %d", len(got), len(want))
	}
	for i := range r.first.Report.Verdicts {
		if v := &r.first.Report.Verdicts[i]; v.ID == "" || v.Digest == "" {
			t.Errorf("%s: the verdict has no record or no digest", v.Asked)
		}
	}
	// Tessera logs through klog; it says there that it makes a log.
	if err := r.stop(); err != nil {
		t.Fatal(err)
	}
}

func TestUpReusesWhatAnEarlierUpMade(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "ws")
	first := start(t, dir, nil)
	if err := first.stop(); err != nil {
		t.Fatal(err)
	}
	second := start(t, dir, nil)
	if second.first.Commit != first.first.Commit {
		t.Errorf("commit %s, before it was %s", second.first.Commit, first.first.Commit)
	}
	if second.registry != first.registry || second.api != first.api {
		t.Errorf("it listens on %s and %s, before it was %s and %s", second.registry, second.api, first.registry, first.api)
	}
	if got, want := digests(&second.first.Report), digests(&first.first.Report); !maps.Equal(got, want) {
		t.Errorf("digests %v, before they were %v", got, want)
	}
	if got, want := decided(&second.first.Report), decided(&first.first.Report); !maps.Equal(got, want) {
		t.Errorf("verdicts %v, before they were %v", got, want)
	}
	if n := second.metric(`apex_registry_received_bytes_total`); n != "0" {
		t.Errorf("%s bytes were pushed again", n)
	}
	if first.token != second.token {
		t.Error("the API's token has changed")
	}
}

func digests(r *verdict.Report) map[string]verdict.Digest {
	out := map[string]verdict.Digest{}
	for i := range r.Verdicts {
		out[r.Verdicts[i].Asked] = r.Verdicts[i].Digest
	}
	return out
}

// metric returns the value of one series of /metrics, "" when it is not there.
func (r *running) metric(series string) string {
	r.t.Helper()
	status, body := r.ask("GET", "/metrics", r.token, "")
	if status != http.StatusOK {
		r.t.Fatalf("/metrics answered %d", status)
	}
	for line := range strings.Lines(body) {
		if value, ok := strings.CutPrefix(line, series+" "); ok {
			return strings.TrimSpace(value)
		}
	}
	return ""
}

func TestOneUpAtATimeServesAWorkspace(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "ws")
	first := start(t, dir, nil)
	err := Up(t.Context(), UpOptions{Dir: dir, Once: true})
	if !errors.Is(err, ErrServed) || !strings.Contains(err.Error(), dir) {
		t.Fatalf("a second up: %v, want one that says that the workspace is served", err)
	}
	if err := first.stop(); err != nil {
		t.Fatal(err)
	}
	if err := Up(t.Context(), UpOptions{Dir: dir, Once: true}); err != nil {
		t.Errorf("after the first has ended: %v", err)
	}
}

func TestUpSaysWhichAddressIsTakenAndWhatToDo(t *testing.T) {
	other, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer other.Close()
	taken := other.Addr().String()
	made := filepath.Join(t.TempDir(), "made")
	if err := Up(t.Context(), UpOptions{Dir: made, RegistryAddress: "127.0.0.1:0", APIAddress: "127.0.0.1:0", Once: true}); err != nil {
		t.Fatal(err)
	}
	registry, _, err := Listeners(filepath.Join(made, folderState))
	if err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct {
		name string
		o    UpOptions
		says []string
	}{
		{"the registry's port is taken", UpOptions{RegistryAddress: taken, APIAddress: "127.0.0.1:0"}, []string{"registry", taken, "--registry-address 127.0.0.1:0"}},
		{"the API's port is taken", UpOptions{RegistryAddress: "127.0.0.1:0", APIAddress: taken}, []string{"API", taken, "--api-address"}},
		{"the registry's address is not loopback", UpOptions{RegistryAddress: "0.0.0.0:0"}, []string{"--registry-address", "0.0.0.0:0", "loopback"}},
		{"the API's address is a name", UpOptions{RegistryAddress: "127.0.0.1:0", APIAddress: "localhost:0"}, []string{"--api-address", "loopback"}},
		{"the address has no port", UpOptions{RegistryAddress: "127.0.0.1"}, []string{"--registry-address", "missing port"}},
		{"the workspace's images are named after another address", UpOptions{Dir: made, RegistryAddress: taken}, []string{registry, taken, "another workspace"}},
	} {
		t.Run(c.name, func(t *testing.T) {
			if c.o.Dir == "" {
				c.o.Dir = filepath.Join(t.TempDir(), "ws")
			}
			c.o.Once = true
			err := Up(t.Context(), c.o)
			if err == nil {
				t.Fatal("it ran")
			}
			for _, text := range c.says {
				if !strings.Contains(err.Error(), text) {
					t.Errorf("%q does not say %q", err, text)
				}
			}
		})
	}
	// The twin: the same workspace, and nothing in the way.
	if err := Up(t.Context(), UpOptions{Dir: made, RegistryAddress: registry, APIAddress: "127.0.0.1:0", Once: true}); err != nil {
		t.Error(err)
	}
}

func TestUpPutsCommitsInForceAndSaysWhenOneIsBroken(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "ws")
	r := start(t, dir, nil)
	w := Workspace{dir}
	good, err := os.ReadFile(filepath.Join(dir, "policies", "multimodal-ai-model-image-policy.yaml"))
	if err != nil {
		t.Fatal(err)
	}
	name := "policies/multimodal-ai-model-image-policy.yaml"
	if _, err := w.Commit(t.Context(), map[string][]byte{name: bytes.Replace(good, []byte("action: Deny"), []byte("action: Dney"), 1)}, "Break it"); err != nil {
		t.Fatal(err)
	}
	r.await(func() bool {
		status, _ := r.ask("GET", "/healthz", r.token, "")
		return status == http.StatusServiceUnavailable
	})
	_, health := r.ask("GET", "/healthz", r.token, "")
	if !strings.Contains(health, "Dney") || !strings.Contains(health, `{"name":"ledger","ok":true}`) {
		t.Errorf("health does not say what is wrong, and what is not: %s", health)
	}
	if v := r.metric(`apex_component_healthy{component="policies"}`); v != "0" {
		t.Errorf("the metric of the policies' health is %q", v)
	}
	// What was in force before still is.
	point := &http.Client{Transport: &http.Transport{DisableKeepAlives: true}}
	for who, want := range map[string]string{"spiffe://vision.example/claims/intake": `"decision":true`, "spiffe://vision.example/stranger": `"decision":false`} {
		question := fmt.Sprintf(`{"subject":{"type":"Workload","id":%q},"action":{"name":"infer"},"resource":{"type":"Model","id":"captioner","properties":{"route":"captioner"}}}`, who)
		if status, text := answerOfPoint(t, point, "POST", "http://"+r.api+"/access/v1/evaluation", "evaluation", r.token, question); status != 200 || !strings.Contains(text, want) {
			t.Errorf("%s, want %s: %d %s", who, want, status, text)
		}
	}
	if status, _ := r.ask("POST", "/access/v1/evaluation", "", "{}"); status != 401 {
		t.Errorf("without the token: %d", status)
	}
	if status, text := r.ask("GET", "/.well-known/authzen-configuration", "", ""); status != 200 || !strings.Contains(text, r.api) {
		t.Errorf("the metadata: %d %s", status, text)
	}
	if _, body := r.ask("POST", "/v1/verify", r.token, r.question("vision/captioner:1.0")); !strings.Contains(body, `"decision":"allow"`) {
		t.Errorf("after a broken commit: %s", body)
	}
	warned := bytes.ReplaceAll(good, []byte("action: Deny"), []byte("action: Warn"))
	if _, err := w.Commit(t.Context(), map[string][]byte{name: warned}, "Warn only"); err != nil {
		t.Fatal(err)
	}
	next := <-r.verdicts
	if got := decided(&next.Report)["captioner-unsigned"]; !strings.HasPrefix(got, "warn ") {
		t.Errorf("the unsigned image under a policy that warns: %s", got)
	}
	if status, health := r.ask("GET", "/healthz", r.token, ""); status != http.StatusOK {
		t.Errorf("after a good commit: %s", health)
	}
}

// await asks until the answer is yes; the test's own limit is the bound.
func (r *running) await(yes func() bool) {
	r.t.Helper()
	tick := time.NewTicker(20 * time.Millisecond)
	defer tick.Stop()
	for !yes() {
		select {
		case <-tick.C:
		case <-r.t.Context().Done():
			r.t.Fatal("it never came")
		}
	}
}

func TestUpOnceFailsWhenNothingCouldBeDecided(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "ws")
	o := UpOptions{Dir: dir, RegistryAddress: "127.0.0.1:0", APIAddress: "127.0.0.1:0", Once: true}
	if err := Up(t.Context(), o); err != nil {
		t.Fatal(err)
	}
	if _, err := (Workspace{dir}).Commit(t.Context(), map[string][]byte{"policies/broken.yaml": []byte("apiVersion: security.apexlogic.com/v1alpha1\nkind: Nothing\n")}, "Break it"); err != nil {
		t.Fatal(err)
	}
	o.Verdicts = func(Verdicts) { t.Error("verdicts under documents that are not valid") }
	if err := Up(t.Context(), o); err == nil || !strings.Contains(err.Error(), "broken.yaml") {
		t.Errorf("err = %v, want one that names the document", err)
	}
}

func TestReportsGrowOldAndAreMadeAgain(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "ws")
	c := clock.At(time.Now().UTC())
	first := start(t, dir, c)
	if err := first.stop(); err != nil {
		t.Fatal(err)
	}
	c.Advance(30 * time.Hour)
	second := start(t, dir, c)
	if got, want := decided(&second.first.Report), decided(&first.first.Report); !maps.Equal(got, want) {
		t.Errorf("a day later: %v, want %v", got, want)
	}
	if second.metric("apex_registry_received_bytes_total") == "0" {
		t.Error("no report was made again, although the policy bears none older than 24 h")
	}
}

// BenchmarkUpOnce starts on a new workspace, and on one that is there. CPU time
// is reported beside wall time, most of which is fsync.
func BenchmarkUpOnce(b *testing.B) {
	run := func(b *testing.B, dir string) {
		o := UpOptions{Dir: dir, RegistryAddress: "127.0.0.1:0", APIAddress: "127.0.0.1:0", Once: true}
		if err := Up(b.Context(), o); err != nil {
			b.Fatal(err)
		}
	}
	b.Run("new", func(b *testing.B) {
		dir, n := b.TempDir(), 0
		before := cpuTime(b)
		for b.Loop() {
			n++
			run(b, filepath.Join(dir, strconv.Itoa(n)))
		}
		b.ReportMetric(float64((cpuTime(b)-before).Milliseconds())/float64(n), "cpu-ms/op")
	})
	b.Run("again", func(b *testing.B) {
		dir, n := b.TempDir(), 0
		run(b, dir)
		before := cpuTime(b)
		for b.Loop() {
			n++
			run(b, dir)
		}
		b.ReportMetric(float64((cpuTime(b)-before).Milliseconds())/float64(n), "cpu-ms/op")
	})
}

// cpuTime is what this process has used so far.
func cpuTime(b *testing.B) time.Duration {
	b.Helper()
	var u syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &u); err != nil {
		b.Fatal(err)
	}
	return time.Duration(u.Utime.Nano() + u.Stime.Nano())
}
