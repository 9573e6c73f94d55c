package gateway

import (
	"bytes"
	"context"
	"encoding/base64"
	"image"
	"image/png"
	"io"
	"log/slog"
	"math/rand/v2"
	"net/http"
	"net/http/httptest"
	"net/http/httputil"
	"net/url"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/apexlogic/apex/internal/clock"
	"github.com/apexlogic/apex/internal/media"
	"github.com/apexlogic/apex/internal/media/inspect"
)

// nowhere keeps nothing.
type nowhere struct{}

func (nowhere) Record(context.Context, *Decision, bool) error { return nil }
func (nowhere) Outcome(context.Context, *Outcome) error       { return nil }

func cpuTime(tb testing.TB) time.Duration {
	var u syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &u); err != nil {
		tb.Fatal(err)
	}
	return time.Duration(u.Utime.Nano() + u.Stime.Nano())
}

// BenchmarkAgainstReverseProxy compares the CPU of a request through the gateway
// with that of one through a bare httputil.ReverseProxy, in one run. Client and
// server are in the same process: what a request without anything in between
// costs is taken off both.
func BenchmarkAgainstReverseProxy(b *testing.B) {
	text := func(n int) string {
		return `{"model":"captioner","messages":[{"role":"user","content":"` + strings.Repeat(`The left front door is dented, and the paint is scratched. `, n/60) + `"}]}`
	}
	noise := image.NewNRGBA(image.Rect(0, 0, 620, 620)) // which does not pack: 1.5 MB, 2 MB as base64
	for i, random := 0, rand.New(rand.NewPCG(1, 2)); i < len(noise.Pix); i++ {
		noise.Pix[i] = byte(random.Uint32())
	}
	var picture bytes.Buffer
	if err := png.Encode(&picture, noise); err != nil {
		b.Fatal(err)
	}
	photo := `{"model":"captioner","messages":[{"role":"user","content":[{"type":"text","text":"What is this?"},{"type":"image_url","image_url":{"url":"data:image/png;base64,` +
		base64.StdEncoding.EncodeToString(picture.Bytes()) + `"}}]}]}`
	for _, bc := range []struct{ name, body string }{{"small", text(120)}, {"10 KB", text(10 << 10)}, {"2 MB image", photo}} {
		b.Run(bc.name, func(b *testing.B) {
			server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
				io.Copy(io.Discard, r.Body)
				w.Header().Set("Content-Type", "application/json")
				io.WriteString(w, `{"choices":[]}`)
			}))
			defer server.Close()
			at, err := url.Parse(server.URL)
			if err != nil {
				b.Fatal(err)
			}
			transport := &http.Transport{DisableCompression: true, MaxIdleConnsPerHost: 64}
			bare := httptest.NewServer(&httputil.ReverseProxy{
				Transport: transport, BufferPool: buffers, Rewrite: func(p *httputil.ProxyRequest) { p.SetURL(at) },
			})
			defer bare.Close()
			g := New(Options{Clock: clock.System{}, Recorder: nowhere{}, Inspect: inspect.Inspect, Log: slog.New(slog.DiscardHandler)})
			route := &Route{
				Name: "captioner", Hosts: []string{"captioner.example"}, Path: "/", API: OpenAI, Identity: tokens{}, Access: onlyAlice{},
				Models: map[string]Model{"captioner": {}}, Media: media.Defaults(), Limits: Limits{Requests: 1 << 40, Concurrent: 64, Total: 64},
				Upstream: Upstream{URL: at, Timeout: time.Minute},
			}
			route.Kinds[media.Image] = true
			s, err := NewSnapshot("g", []*Route{route}, nil)
			if err != nil {
				b.Fatal(err)
			}
			g.Use(s)
			front := httptest.NewServer(g)
			defer front.Close()

			client := &http.Client{Transport: &http.Transport{DisableCompression: true, MaxIdleConnsPerHost: 64}}
			ask := func(to string) {
				r, err := http.NewRequest("POST", to+"/v1/chat/completions", strings.NewReader(bc.body))
				if err != nil {
					b.Fatal(err)
				}
				r.Host = "captioner.example"
				r.Header.Set("Content-Type", "application/json")
				r.Header.Set("Authorization", "Bearer alice")
				resp, err := client.Do(r)
				if err != nil {
					b.Fatal(err)
				}
				io.Copy(io.Discard, resp.Body)
				resp.Body.Close()
				if resp.StatusCode != 200 {
					b.Fatal(resp.Status)
				}
			}
			targets := [...]string{server.URL, bare.URL, front.URL}
			var spent [len(targets)]time.Duration
			for _, to := range targets { // connections are there
				ask(to)
			}
			const round = 20
			n := 0
			for b.Loop() {
				for i, to := range targets {
					before := cpuTime(b)
					for range round {
						ask(to)
					}
					spent[i] += cpuTime(b) - before
				}
				n += round
			}
			us := func(d time.Duration) float64 { return float64(d.Microseconds()) / float64(n) }
			proxy, gateway := us(spent[1]-spent[0]), us(spent[2]-spent[0])
			b.ReportMetric(0, "ns/op")
			b.ReportMetric(proxy, "proxy-cpu-us")
			b.ReportMetric(gateway, "gateway-cpu-us")
			b.ReportMetric(gateway/proxy, "ratio")
		})
	}
}
