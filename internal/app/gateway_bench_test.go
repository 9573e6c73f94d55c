package app

import (
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"net/http/httputil"
	"net/url"
	"strings"
	"syscall"
	"testing"
	"time"
)

// BenchmarkGatewayWithAllChecks compares the CPU of a request through the whole
// gateway with that of one through a bare httputil.ReverseProxy, in one run: a
// JWT-SVID, limits, parse, inspectors, Cedar, the Core Rule Set, and both records
// in a real ledger. Client and server are in the same process: what a request
// without anything in between costs is taken off both.
func BenchmarkGatewayWithAllChecks(b *testing.B) {
	answer := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		io.Copy(io.Discard, r.Body)
		w.Header().Set("Content-Type", "application/json")
		io.WriteString(w, `{"choices":[]}`)
	}))
	defer answer.Close()
	at, err := url.Parse(answer.URL)
	if err != nil {
		b.Fatal(err)
	}
	bare := httptest.NewServer(&httputil.ReverseProxy{
		Transport: &http.Transport{DisableCompression: true, MaxIdleConnsPerHost: 64}, Rewrite: func(p *httputil.ProxyRequest) { p.SetURL(at) },
	})
	defer bare.Close()
	text := func(n int) string {
		return `{"model":"captioner","messages":[{"role":"user","content":"` + strings.Repeat(`The left front door is dented, and the paint is scratched. `, n/60) + `"}]}`
	}
	for _, bc := range []struct{ name, body, waf string }{
		{"small", text(120), ""}, {"small without CRS", text(120), "  waf: {mode: Disabled}\n"}, {"10 KB", text(10 << 10), ""}, {"picture", imageChat(b), ""},
	} {
		b.Run(bc.name, func(b *testing.B) {
			dir, bundles := b.TempDir(), b.TempDir()
			token, err := caller(b, bundles, "/intake").Token("captioner")
			if err != nil {
				b.Fatal(err)
			}
			put(b, dir, "route.yaml", strings.Replace(fmt.Sprintf(routeOf, answer.URL), "100000}", "10000000}", 1)+bc.waf)
			s := serveGateway(b, GatewayOptions{Config: dir, Bundles: bundles})
			client := &http.Client{Transport: &http.Transport{DisableCompression: true, MaxIdleConnsPerHost: 64}}
			defer client.CloseIdleConnections()
			ask := func(to string) {
				r, err := http.NewRequestWithContext(b.Context(), http.MethodPost, to+"/v1/chat/completions", strings.NewReader(bc.body))
				if err != nil {
					b.Fatal(err)
				}
				r.Host = "captioner.example"
				r.Header = http.Header{"Content-Type": {"application/json"}, "Accept": {"application/json"}, "User-Agent": {"claims/1.0"}, "Authorization": {"Bearer " + token}}
				resp, err := client.Do(r)
				if err != nil {
					b.Fatal(err)
				}
				io.Copy(io.Discard, resp.Body)
				resp.Body.Close()
				if resp.StatusCode != http.StatusOK {
					b.Fatal(resp.Status)
				}
			}
			targets := [...]string{answer.URL, bare.URL, "http://" + s.address}
			for _, to := range targets { // connections are there, and what is compiled once
				ask(to)
			}
			var spent [len(targets)]time.Duration
			const round = 20
			n := 0
			for b.Loop() {
				for i, to := range targets {
					before := processTime(b)
					for range round {
						ask(to)
					}
					spent[i] += processTime(b) - before
				}
				n += round
			}
			us := func(d time.Duration) float64 { return float64(d.Microseconds()) / float64(n) }
			proxy, whole := us(spent[1]-spent[0]), us(spent[2]-spent[0])
			b.ReportMetric(0, "ns/op")
			b.ReportMetric(proxy, "proxy-cpu-us")
			b.ReportMetric(whole, "gateway-cpu-us")
			b.ReportMetric(whole/proxy, "ratio")
		})
	}
}

func processTime(tb testing.TB) time.Duration {
	var u syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &u); err != nil {
		tb.Fatal(err)
	}
	return time.Duration(u.Utime.Nano() + u.Stime.Nano())
}
