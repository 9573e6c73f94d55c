// Command gateway measures the CPU that the whole gateway needs for a request,
// beside a bare httputil.ReverseProxy and nginx with ModSecurity and the same
// rules, in one run on one machine:
//
//	go run ./bench/gateway
//
// Each is a process of its own with one processor. CPU is what all of its threads
// ran, from /proc/PID/task/*/schedstat: other load on the machine lengthens the
// wall time, and takes from caches, but does not count. Each figure is taken in
// several rounds that take turns, and the least and the middle one are printed.
//
// All checks: a JWT-SVID, limits, the strict parse, inspectors, 1,000 access
// policies, the Core Rule Set, scoring, both records in a real ledger, the meter.
// No request is sent twice: every text is put together anew. Connections are open,
// and everything is warm. nginx needs what bench/waf/nginx.sh says.
package main

import (
	"context"
	"flag"
	"fmt"
	"net"
	"net/http"
	"net/http/httputil"
	"net/url"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"time"

	"github.com/apexlogic/apex/internal/app"
	"github.com/apexlogic/apex/internal/clock"
	"github.com/apexlogic/apex/internal/config"
	"github.com/apexlogic/apex/internal/identity/own"
)

// upstream is where bench/waf/nginx.sh has the server behind all of them.
const (
	upstream    = "http://127.0.0.1:18380"
	modsecurity = "http://127.0.0.1:18382"
)

func main() {
	rounds := flag.Int("rounds", 5, "how often each figure is taken")
	seconds := flag.Float64("seconds", 2, "how long a round of small requests lasts")
	flag.Parse()
	var err error
	switch flag.Arg(0) {
	case "":
		err = measure(*rounds, time.Duration(*seconds*float64(time.Second)))
	case "proxy":
		err = proxy()
	case "gateway":
		err = gateway(flag.Arg(1), flag.Arg(2))
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}

// proxy is the bare one.
func proxy() error {
	to, err := url.Parse(upstream)
	if err != nil {
		return err
	}
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return err
	}
	fmt.Println("http://" + l.Addr().String())
	return http.Serve(l, &httputil.ReverseProxy{
		Transport: &http.Transport{DisableCompression: true, MaxIdleConnsPerHost: 64}, Rewrite: func(p *httputil.ProxyRequest) { p.SetURL(to) },
	})
}

// gateway is the whole one; dir holds its rules, its state and its keys.
func gateway(dir, waf string) error {
	ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGTERM)
	defer stop()
	var address atomic.Pointer[string]
	told := sync.OnceFunc(func() { fmt.Println("http://" + *address.Load()) })
	return app.Gateway(ctx, app.GatewayOptions{
		Config: filepath.Join(dir, waf), Bundles: filepath.Join(dir, "bundles"), State: filepath.Join(dir, "state-"+waf),
		Address: "127.0.0.1:0", HealthAddress: "127.0.0.1:0",
		Ready: func(a, _ net.Addr) { s := a.String(); address.Store(&s) },
		Health: func(h config.Health) {
			for _, p := range h.Problems {
				fmt.Fprintln(os.Stderr, p.String())
			}
			for address.Load() == nil {
				time.Sleep(time.Millisecond)
			}
			told()
		},
	})
}

// target is a process that is measured.
type target struct {
	name, url string
	pid       int
	refuses   bool // what is not answered 200 is expected
}

// ran is the CPU time that all threads of the process ran.
func (t *target) ran() (time.Duration, error) {
	files, err := filepath.Glob(fmt.Sprintf("/proc/%d/task/*/schedstat", t.pid))
	if err != nil || len(files) == 0 {
		return 0, fmt.Errorf("%s has ended: %w", t.name, err)
	}
	var total time.Duration
	for _, f := range files {
		data, err := os.ReadFile(f)
		if err != nil {
			continue // a thread that has ended
		}
		n, err := strconv.ParseInt(strings.Fields(string(data))[0], 10, 64)
		if err != nil {
			return 0, err
		}
		total += time.Duration(n)
	}
	return total, nil
}

// measure starts everything, and prints a line for each target and body.
func measure(rounds int, each time.Duration) (err error) {
	dir, err := os.MkdirTemp("", "bench-gateway")
	if err != nil {
		return err
	}
	defer os.RemoveAll(dir)
	token, err := prepare(dir)
	if err != nil {
		return err
	}
	var started []*exec.Cmd
	defer func() {
		for _, c := range started {
			c.Process.Signal(syscall.SIGTERM)
			c.Wait()
		}
	}()
	start := func(name string, arg ...string) (string, int, error) {
		c := exec.Command(name, arg...)
		c.Env, c.Stderr = append(os.Environ(), "GOMAXPROCS=1", "SERVE=1"), os.Stderr
		out, err := c.StdoutPipe()
		if err != nil {
			return "", 0, err
		}
		if err := c.Start(); err != nil {
			return "", 0, err
		}
		started = append(started, c)
		var line string
		_, err = fmt.Fscanln(out, &line)
		return line, c.Process.Pid, err
	}
	self, err := os.Executable()
	if err != nil {
		return err
	}
	worker, _, err := start("sh", "bench/waf/nginx.sh")
	if err != nil {
		return fmt.Errorf("start nginx: %w; run this at the root of the repository", err)
	}
	targets := []*target{{name: "proxy"}, {name: "gateway"}, {name: "gateway without CRS"}, {name: "nginx + ModSecurity", url: modsecurity, refuses: true}}
	if targets[3].pid, err = strconv.Atoi(worker); err != nil {
		return err
	}
	for i, args := range [][]string{{"proxy"}, {"gateway", dir, "on"}, {"gateway", dir, "off"}} {
		if targets[i].url, targets[i].pid, err = start(self, args...); err != nil {
			return fmt.Errorf("start %s: %w", targets[i].name, err)
		}
	}
	for _, b := range bodies() {
		if err := b.measure(targets, token, rounds, each); err != nil {
			return err
		}
	}
	return nil
}

// measure takes the figures of one kind of body.
func (b *kind) measure(targets []*target, token string, rounds int, each time.Duration) error {
	spent := make([][]float64, len(targets))
	refused := make([]int, len(targets))
	sent := make([]int, len(targets))
	for round := range rounds + 1 { // the first warms up
		for i, t := range targets {
			n := b.enough
			if t.refuses && b.dear {
				n = 1
			}
			before, err := t.ran()
			if err != nil {
				return err
			}
			all, bad, err := send(t.url, token, b.make, n, each)
			if err != nil {
				return fmt.Errorf("%s, %s: %w", t.name, b.name, err)
			}
			after, err := t.ran()
			if err != nil {
				return err
			}
			if round > 0 {
				spent[i] = append(spent[i], float64((after-before).Microseconds())/float64(all))
				refused[i] += bad
				sent[i] += all
			}
		}
	}
	least := slices.Min(spent[0])
	for i, t := range targets {
		slices.Sort(spent[i])
		fmt.Printf("%-11s %-20s %9.0f us (middle %.0f), %6.2f x proxy (middle %.2f); %d of %d refused\n", b.name, t.name,
			spent[i][0], spent[i][len(spent[i])/2], spent[i][0]/least, spent[i][len(spent[i])/2]/spent[0][len(spent[0])/2], refused[i], sent[i])
	}
	return nil
}

// prepare writes the rules, the policies and the keys, and returns a token.
func prepare(dir string) (token string, err error) {
	id, err := own.Open(filepath.Join(dir, "ca"), "claims.example", "/intake", clock.System{})
	if err != nil {
		return "", err
	}
	defer id.Close()
	bundle, err := id.CA.Bundle().Marshal()
	if err != nil {
		return "", err
	}
	files := map[string]string{"bundles/claims.example.json": string(bundle)}
	for waf, mode := range map[string]string{"on": "Block", "off": "Disabled"} {
		files[waf+"/route.yaml"] = fmt.Sprintf(route, upstream, mode)
		for i := range 10 { // 1,000 policies: a document holds 100
			var cedar strings.Builder
			for j := range 100 {
				fmt.Fprintf(&cedar, "    @id(\"p%d-%d\")\n    permit (principal, action == Action::\"infer\", resource == Model::\"model-%d-%d\") when { context.bytes < %d };\n", i, j, i, j, 1000+j)
			}
			files[fmt.Sprintf("%s/access-%d.yaml", waf, i)] = fmt.Sprintf(policy, i, cedar.String())
		}
	}
	for name, text := range files {
		path := filepath.Join(dir, name)
		if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
			return "", err
		}
		if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
			return "", err
		}
	}
	return id.Token("captioner")
}

const route = `apiVersion: security.apexlogic.com/v1alpha1
kind: ProtectedRoute
metadata: {name: captioner}
spec:
  hosts: [captioner.example]
  api: OpenAI
  upstream: {url: "%s", tls: Plaintext}
  identities:
    - spiffe: {trustDomain: claims.example, audience: captioner}
  allow:
    - {identities: ["spiffe://claims.example/intake"], actions: [infer, list]}
  models:
    - {name: captioner, digest: "sha256:aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa"}
  limits: {requests: 10000000}
  media: {kinds: [Image]}
  waf: {mode: %s}
`

const policy = `apiVersion: security.apexlogic.com/v1alpha1
kind: AccessPolicy
metadata: {name: access-%d}
spec:
  cedar: |
%s`
