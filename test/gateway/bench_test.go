package gateway

import (
	"bufio"
	"fmt"
	"io"
	"math/rand/v2"
	"net/http"
	"net/http/httputil"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/apexlogic/apex/internal/app"
)

// BenchmarkMemoryOfManyBodies has the built program take 32 bodies of 5 MB at once,
// again and again, and says what its process had resident at most.
func BenchmarkMemoryOfManyBodies(b *testing.B) {
	const at, size = 32, 5 << 20
	for _, bc := range []struct{ name, waf string }{{"all checks", ""}, {"without the firewall", "  waf: {mode: Disabled}\n"}} {
		b.Run(bc.name, func(b *testing.B) {
			h := build(b)
			h.put("route.yaml", strings.Replace(fmt.Sprintf(routeText, h.server.URL), "bodyBytes: 200000", "bodyBytes: 8000000", 1)+bc.waf)
			p := h.spawn()
			idle, _ := p.memory(b)
			body := showing("image/bmp", bitmap(size*3/4))
			first := h.ask(h.as, http.MethodPost, chat, body, nil)
			must(b, "one", first, 200, "")
			for b.Loop() {
				var all sync.WaitGroup
				for range at {
					all.Go(func() { must(b, "a body", h.ask(h.as, http.MethodPost, chat, body, nil), 200, "") })
				}
				all.Wait()
			}
			_, most := p.memory(b)
			b.ReportMetric(float64(idle>>20), "idle-MB")
			b.ReportMetric(float64(most>>20), "peak-MB")
			b.ReportMetric(float64(at*len(body)>>20), "bodies-MB")
		})
	}
}

// bitmap is a BMP of about so many bytes, which no compression makes smaller.
func bitmap(bytes int) []byte {
	const width = 1024
	height := bytes / (width * 3)
	data := make([]byte, 54+width*3*height)
	copy(data, "BM")
	put := func(at int, v int) {
		data[at], data[at+1], data[at+2], data[at+3] = byte(v), byte(v>>8), byte(v>>16), byte(v>>24)
	}
	put(2, len(data))
	put(10, 54)
	put(14, 40)
	put(18, width)
	put(22, height)
	data[26], data[28] = 1, 24
	put(34, width*3*height)
	random := rand.New(rand.NewPCG(1, 2))
	for i := 54; i < len(data); i++ {
		data[i] = byte(random.Uint32())
	}
	return data
}

// eventsOf answers with events that are numbered, a moment apart.
func eventsOf(n int, apart time.Duration) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		io.Copy(io.Discard, r.Body)
		w.Header().Set("Content-Type", "text/event-stream")
		c := http.NewResponseController(w)
		for i := range n {
			if i > 0 {
				time.Sleep(apart) // a model that thinks
			}
			io.WriteString(w, event(strconv.Itoa(i)))
			c.Flush()
		}
		io.WriteString(w, "data: [DONE]\n\n")
	}
}

// readEvents reads a stream and returns when its first event was there, and the
// texts of all, each as it came.
func readEvents(c *http.Client, r *http.Request) (first time.Duration, all []string, err error) {
	began := time.Now()
	resp, err := c.Do(r)
	if err != nil {
		return 0, nil, err
	}
	defer resp.Body.Close()
	in := bufio.NewScanner(resp.Body)
	for in.Scan() {
		if data, ok := strings.CutPrefix(in.Text(), "data: "); ok {
			if all = append(all, data); len(all) == 1 {
				first = time.Since(began)
			}
		}
	}
	return first, all, in.Err()
}

// BenchmarkFirstEvent compares when the first event of a stream is there: straight
// from the server, through a bare httputil.ReverseProxy, and through the whole
// gateway, in turns, over plain connections that are open. Every stream has all of
// its events, but for those that the bare proxy loses: it gives up a connection now
// and then while a machine is busy (proxy-lost), and is asked again.
func BenchmarkFirstEvent(b *testing.B) {
	const events = 20
	h := build(b)
	h.server.behave(eventsOf(events, time.Millisecond))
	h.start(app.GatewayOptions{})
	at, err := url.Parse(h.server.URL)
	if err != nil {
		b.Fatal(err)
	}
	proxy := serve(b, &httputil.ReverseProxy{FlushInterval: -1, Transport: &http.Transport{DisableCompression: true}, ErrorLog: discard(), Rewrite: func(p *httputil.ProxyRequest) { p.SetURL(at) }})
	token, err := h.intake.Token("captioner")
	if err != nil {
		b.Fatal(err)
	}
	targets := [...]string{h.server.URL, proxy, "http://" + h.address}
	var first [len(targets)][]time.Duration
	client := &http.Client{Transport: &http.Transport{DisableCompression: true}}
	defer client.CloseIdleConnections()
	body := strings.Replace(saying("hello"), `{"model"`, `{"stream":true,"model"`, 1)
	lost := 0
	var ask func(i int) time.Duration
	ask = func(i int) time.Duration {
		r, err := http.NewRequestWithContext(b.Context(), http.MethodPost, targets[i]+chat, strings.NewReader(body))
		if err != nil {
			b.Fatal(err)
		}
		r.Host = host
		r.Header = http.Header{"Content-Type": {"application/json"}, "Accept": {"text/event-stream"}, "User-Agent": {"claims/1.0"}, "Authorization": {"Bearer " + token}}
		took, all, err := readEvents(client, r)
		if targets[i] == proxy && err != nil && lost < 100 {
			lost++
			return ask(i)
		}
		if err != nil || len(all) != events+1 {
			b.Fatalf("%d events: %v", len(all), err)
		}
		return took
	}
	for i := range targets {
		for range 3 {
			ask(i)
		}
	}
	for b.Loop() {
		for i := range targets {
			first[i] = append(first[i], ask(i))
		}
	}
	median := func(all []time.Duration) float64 {
		slices.Sort(all)
		return float64(all[len(all)/2].Microseconds())
	}
	direct, bare, whole := median(first[0]), median(first[1]), median(first[2])
	b.ReportMetric(0, "ns/op")
	b.ReportMetric(float64(lost), "proxy-lost")
	b.ReportMetric(direct, "direct-us")
	b.ReportMetric(bare, "proxy-us")
	b.ReportMetric(whole, "gateway-us")
	b.ReportMetric(whole-bare, "added-us")
}

// TestNoEventIsMergedOrLost reads streams whose events come in writes that are cut
// anywhere: an event in three writes, three in one, a line end in two.
func TestNoEventIsMergedOrLost(t *testing.T) {
	h := open(t)
	const events = 200
	random := rand.New(rand.NewPCG(3, 4))
	h.server.behave(func(w http.ResponseWriter, r *http.Request) {
		io.Copy(io.Discard, r.Body)
		w.Header().Set("Content-Type", "text/event-stream")
		var whole strings.Builder
		for i := range events {
			whole.WriteString(event(strconv.Itoa(i)))
		}
		whole.WriteString("data: [DONE]\n\n")
		for rest := whole.String(); rest != ""; {
			n := min(1+random.IntN(400), len(rest))
			io.WriteString(w, rest[:n])
			http.NewResponseController(w).Flush()
			rest = rest[n:]
		}
	})
	for range 5 {
		r, err := http.NewRequestWithContext(t.Context(), http.MethodPost, "https://"+h.address+chat, strings.NewReader(strings.Replace(saying("hello"), `{"model"`, `{"stream":true,"model"`, 1)))
		if err != nil {
			t.Fatal(err)
		}
		r.Host = host
		r.Header.Set("Content-Type", "application/json")
		r.Header.Set("Accept", "text/event-stream")
		r.Header.Set("User-Agent", "claims/1.0")
		_, all, err := readEvents(h.as, r)
		if err != nil || len(all) != events+1 || all[events] != "[DONE]" {
			t.Fatalf("%d events: %v", len(all), err)
		}
		for i, data := range all[:events] {
			if "data: "+data+"\n\n" != event(strconv.Itoa(i)) {
				t.Fatalf("event %d is %s", i, data)
			}
		}
	}
	for id, o := range h.records().outcomes {
		if o.Stream == nil || o.Stream.Events != events+1 || o.Code != "" {
			t.Errorf("%s: %+v", id, o.Stream)
		}
	}
}
